"""The maps that a detector can be calibrated with: those of detectors, then the registry's."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from sklearn.base import clone

from calib._border.checks import describe
from calib.base import BaseCalibrator
from calib.grouped.maps import (
    DependentLogisticCalibrator,
    GridHistogramCalibrator,
    IdentityCalibrator,
    LinearCalibrator,
)
from calib.registry import CALIBRATORS, closest_name, get_entry, name_of

#: Maps that `DetectionCalibrator` knows by name, beside those of the registry.
DETECTION_MAPS: dict[str, type[BaseCalibrator]] = {
    "identity": IdentityCalibrator,
    "linear": LinearCalibrator,
    "dependent_logistic": DependentLogisticCalibrator,
    "grid_histogram": GridHistogramCalibrator,
}

MapForm: TypeAlias = Literal["default", "published"]

#: Options with which published rows of detectors were computed: Platt scaling of the log-odds as
#: they are, isotonic regression by plain least squares.
PUBLISHED_OPTIONS: dict[str, dict[str, Any]] = {
    "platt": {"smooth_input": False},
    "temperature": {"smooth_input": False},
    "isotonic": {"smoothing": False},
}


def map_names() -> list[str]:
    """Return all names that `DetectionCalibrator` takes: these maps, then the registry's.

    Returns
    -------
    names : list of str
    """
    return [*DETECTION_MAPS, *CALIBRATORS]


def make_map(
    calibrator: str | BaseCalibrator, n_features: int, form: MapForm = "default"
) -> BaseCalibrator:
    """Return a new, unfitted calibrator for one column of probabilities and some features.

    Parameters
    ----------
    calibrator : str or BaseCalibrator
        A name, which stands for the calibrator without arguments, or an instance, which is cloned.
        `input` becomes ``"proba"``, and ``n_scores``, where it exists, 1.
    n_features : int
        Columns after the score, >= 0.
    form : {"default", "published"}, default="default"
        Whether a name stands for `PUBLISHED_OPTIONS` instead.

    Returns
    -------
    calibrator : BaseCalibrator

    Raises
    ------
    ValueError
        If the name is unknown, the instance is no calibrator or shall be of the published form, or
        it cannot read features.
    """
    if isinstance(calibrator, str):
        made: BaseCalibrator = map_class(calibrator)()
        if form == "published":
            made.set_params(**PUBLISHED_OPTIONS.get(calibrator, {}))
    elif isinstance(calibrator, BaseCalibrator):
        if form == "published":
            raise ValueError(
                f"form='published' is for calibrators by name; got {describe(calibrator)}: give it "
                f"its options, and pass form='default'"
            )
        made = clone(calibrator)
    else:
        raise ValueError(
            f"calibrator must be a name ({', '.join(map_names())}) or an instance of "
            f"BaseCalibrator; got {describe(calibrator)}"
        )
    parameters = made.get_params(deep=False)
    if "input" in parameters:
        made.set_params(input="proba")
    if "n_scores" in parameters:
        made.set_params(n_scores=None if made.needs_features and not n_features else 1)
    elif n_features and not getattr(made, "reads_features", False):
        raise ValueError(
            f"features={n_features} columns, but {type(made).__name__} reads scores alone; use "
            f"'dependent_logistic', 'grid_histogram', 'multicalibration' or 'split_point', or "
            f"features=()"
        )
    return made


def map_class(name: str) -> type[BaseCalibrator]:
    """Return the class of a name in either table, or raise a `ValueError` that lists them."""
    if not isinstance(name, str) or name not in map_names():
        known = ", ".join(map_names())
        meant = None
        if isinstance(name, str):
            meant = closest_name(name, extra=tuple(DETECTION_MAPS))
        hint = "" if meant is None else f". Did you mean {meant!r}?"
        raise ValueError(f"unknown calibrator {describe(name)}; known names: {known}{hint}")
    return DETECTION_MAPS[name] if name in DETECTION_MAPS else get_entry(name).load()


#: What sets the maps of detectors apart from registered calibrators in files.
_PREFIX = "detection."
#: Names in files of older versions -> names of today.
_OLDER_NAMES = {"detection.histogram": "detection.grid_histogram"}


def stored_name(calibrator: object) -> str | None:
    """Return the name of a calibrator in files, None if its class is in neither table."""
    for name, row in DETECTION_MAPS.items():
        if type(calibrator) is row:
            return _PREFIX + name
    return name_of(calibrator)


def stored_class(name: str) -> type[BaseCalibrator]:
    """Return the class that `stored_name` named, or raise a `ValueError`."""
    for known, method in DETECTION_MAPS.items():
        if isinstance(name, str) and _OLDER_NAMES.get(name, name) == _PREFIX + known:
            return method
    return get_entry(name).load()
