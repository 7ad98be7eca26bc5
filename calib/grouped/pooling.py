"""One map for all classes, one per class, and everything between: how the maps of a detector share.

Most classes have a few dozen detections at their operating point. A map of their own follows the
noise, a common map ignores what differs; shrinking each class towards the common map is better than
either.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from calib._border.advice import Door, coming_through
from calib._border.typing import Float64Array, IntArray
from calib._border.warn import warn
from calib._core import links
from calib._core.features.glm import Link, fit_groups
from calib._core.features.prior import Prior
from calib.base import BaseCalibrator
from calib.grouped.maps import (
    FREE,
    DependentLogisticCalibrator,
    IdentityCalibrator,
    LinearCalibrator,
    cut,
    log_odds,
    standard_monomials,
)
from calib.registry import name_of
from calib.warnings import CalibrationWarning, FallbackWarning

#: How strongly parametric maps are drawn to the pooled one: inverse variances of coefficients.
PRIOR_WEIGHT = 20.0
#: Detections of a class at which other maps are mixed half and half with the pooled one.
MIXING_WEIGHT = 200.0
#: Least slope of a temperature map.
LEAST_SLOPE = 1e-6

#: Distance from 0 and 1 of the map of a class whose targets are all 0 or all 1.
SINGLE_TARGET_MARGIN = 1e-9

#: What can be done about scores of detections that are higher for the wrong ones.
DOOR = Door.of_model(
    "the score of the detections",
    "that larger scores mean surer detections, that boxes and annotations are those of the same "
    "images, in the same unit and corner format, and that categories have the same ids",
    classes=("a wrong detection", "a right detection"),
)

PerClass: TypeAlias = Literal["shrink"] | bool
SingleTarget: TypeAlias = Literal["pooled", "own"]


@dataclass(frozen=True, eq=False)
class ClassMaps:
    """The fitted maps of a detector.

    Attributes
    ----------
    pooled : BaseCalibrator
        Map of all classes taken as one; serves the classes without a map of their own.
    own : dict of int to BaseCalibrator
        Maps of single classes.
    share : dict of int to float
        Weight of the map of the class in its mixture with the pooled one, in (0, 1].
    fallbacks : dict of int to str
        Classes that wanted a map of their own and got none, with the reason.
    """

    pooled: BaseCalibrator
    own: dict[int, BaseCalibrator] = field(default_factory=dict)
    share: dict[int, float] = field(default_factory=dict)
    fallbacks: dict[int, str] = field(default_factory=dict)


def fitted_identity() -> IdentityCalibrator:
    """Return the map that changes nothing, fitted without data."""
    identity = IdentityCalibrator()
    identity.classes_ = np.arange(2)
    identity.n_features_in_ = 1
    return identity


def fit_maps(
    template: BaseCalibrator,
    X: Float64Array,
    target: Float64Array,
    labels: IntArray,
    *,
    per_class: PerClass,
    prior_weight: float | None,
    min_class_samples: int,
    single_target: SingleTarget = "pooled",
) -> ClassMaps:
    """Fit the pooled map and, where asked for, one per class.

    Parameters
    ----------
    template : BaseCalibrator
        Unfitted map; cloned.
    X : ndarray of shape (n_samples, 1 + n_features)
        Scores in [0, 1], then features.
    target : ndarray of shape (n_samples,)
        Fractions.
    labels : ndarray of int of shape (n_samples,)
        Class of each row.
    per_class : {"shrink", True, False}
        See `DetectionCalibrator`.
    prior_weight : float or None
        See `DetectionCalibrator`; None stands for ``"auto"``.
    min_class_samples : int
        Fewest rows with which a class gets a map of its own.
    single_target : {"pooled", "own"}, default="pooled"
        See `DetectionCalibrator`.

    Returns
    -------
    maps : ClassMaps

    Warns
    -----
    FallbackWarning
        If nothing could be fitted at all.
    """
    if isinstance(template, IdentityCalibrator):
        return ClassMaps(fitted_identity())
    if len(target) < 2 or target.min() == target.max():
        what = "all targets are equal" if len(target) > 1 else f"there are {len(target)} detections"
        warn(
            f"no calibration map can be fitted, because {what}; scores stay as they are",
            FallbackWarning,
        )
        return ClassMaps(fitted_identity())
    X = cut(template, X)
    order = np.lexsort((target, X[:, 0], labels))  # so that the order of rows leaves no trace
    X, target, labels = X[order], target[order], labels[order]
    form = _form_of(template)
    with coming_through(DOOR), warnings.catch_warnings():
        # boxes of an image depend on each other: no guarantee is expected
        warnings.filterwarnings("ignore", "y holds soft targets", CalibrationWarning)
        fitted = clone(template).fit(X, both_shares(target))
    pooled = _never_falling(fitted, form, X, target)
    maps = ClassMaps(pooled)
    if per_class is False:
        return maps
    groups = list(_eligible(maps, target, labels, min_class_samples, single_target == "own"))
    if per_class == "shrink" and form is not None:
        weight = PRIOR_WEIGHT if prior_weight is None else prior_weight
        _fit_shrunk(maps, form, X, target, groups, weight)
        return maps
    k = MIXING_WEIGHT if prior_weight is None else prior_weight
    for label, rows in groups:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", CalibrationWarning)  # what one class looks like
                own_X, own_target = _with_own_map(X[rows], target[rows])
                own = clone(template).fit(own_X, both_shares(own_target))
        except ValueError as error:
            maps.fallbacks[label] = f"its own fit failed: {error}"
            continue
        maps.own[label] = _never_falling(own, form, X[rows], target[rows])
        n = rows.stop - rows.start
        maps.share[label] = n / (n + k) if per_class == "shrink" else 1.0
    return maps


def _eligible(
    maps: ClassMaps, target: Float64Array, labels: IntArray, least: int, single: bool
) -> Iterator[tuple[int, slice]]:
    """Yield the classes (of sorted rows) that get a map of their own; note the reason otherwise."""
    classes, starts = np.unique(labels, return_index=True)
    for label, start, stop in zip(
        classes.tolist(), starts.tolist(), [*starts.tolist()[1:], len(labels)], strict=True
    ):
        rows = slice(start, stop)
        if stop - start < least:
            maps.fallbacks[label] = f"{stop - start} detections, min_class_samples={least}"
        elif single:
            yield label, rows
        elif stop - start < 2 or target[rows].min() == target[rows].max():
            maps.fallbacks[label] = f"all targets equal {target[start]:.3g}"
        else:
            yield label, rows


def both_shares(target: Float64Array) -> Float64Array:
    """Return fractions of the second of two classes as soft targets."""
    return np.stack([1.0 - target, target], axis=1)


def _with_own_map(X: Float64Array, target: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return rows to which any calibrator can be fitted, with the same optimum.

    Targets that are all 0 or all 1 stay off the ends, and a single row stands twice.
    """
    if target.min() == target.max():
        target = np.clip(target, SINGLE_TARGET_MARGIN, 1 - SINGLE_TARGET_MARGIN)
    n = 2 if len(target) == 1 else 1
    return np.repeat(X, n, axis=0), np.repeat(target, n)


# ---------------------------------------------------------------------- maps with coefficients


@dataclass(frozen=True, eq=False)
class Form:
    """How a map with coefficients is a regression.

    Attributes
    ----------
    link : {"logistic", "identity"}
    design : callable
        Fitted map and `X` to regressors of shape (n_samples, n_unknowns).
    coefficients, attributes : callable
        Coefficients of a fitted map, and the fitted attributes of a map with given ones.
    increasing : int or None
        Column whose coefficient is the slope in the score.
    """

    link: Link
    design: Callable[[Any, Float64Array], Float64Array]
    coefficients: Callable[[Any], Float64Array]
    attributes: Callable[[Float64Array], dict[str, Any]]
    increasing: int | None


def _with_ones(column: Float64Array) -> Float64Array:
    return np.stack([np.ones_like(column), column], axis=1)


def _platt_design(cal: Any, X: Float64Array) -> Float64Array:
    s, share = log_odds(X[:, 0]), getattr(cal, "input_smoothing_", None)
    if share is not None and share.any():
        s = links.bounded_log_odds(s, share[0], np)
    return _with_ones(s)


def _temperature_design(cal: Any, X: Float64Array) -> Float64Array:
    s, share = log_odds(X[:, :1]), getattr(cal, "input_smoothing_", 0.0)
    return links.bounded_log_odds(s, np.asarray(share), np) if share > 0 else s


_PLATT = Form(
    "logistic",
    _platt_design,
    lambda cal: np.concatenate([cal.intercept_, cal.slope_]),
    lambda x: {"intercept_": x[:1].copy(), "slope_": x[1:].copy()},
    increasing=1,
)
_TEMPERATURE = Form(
    "logistic",
    _temperature_design,
    lambda cal: np.array([1.0 / cal.temperature_]),
    lambda x: {"temperature_": 1.0 / max(float(x[0]), LEAST_SLOPE), "smoothing_": 0.0},
    increasing=0,
)
_LINEAR = Form(
    "identity",
    lambda cal, X: _with_ones(X[:, 0]),
    lambda cal: np.array([cal.intercept_, cal.slope_]),
    lambda x: {"intercept_": float(x[0]), "slope_": float(x[1])},
    increasing=1,
)
_MONOMIALS = Form(
    "logistic",
    standard_monomials,
    lambda cal: cal.coefficients_,
    lambda x: {"coefficients_": x.copy()},
    increasing=None,
)


def _form_of(template: BaseCalibrator) -> Form | None:
    """Return the form of a map, None if it has none that keeps its options."""
    if type(template) is LinearCalibrator:
        return _LINEAR
    if type(template) is DependentLogisticCalibrator:
        return _MONOMIALS
    parameters = template.get_params(deep=False)
    name = name_of(template)
    if name == "platt" and parameters["smooth_targets"] is not True:
        return _PLATT
    if name == "temperature" and parameters["smoothing"] is not True:
        return _TEMPERATURE
    return None


def _never_falling(
    fitted: BaseCalibrator, form: Form | None, X: Float64Array, target: Float64Array
) -> BaseCalibrator:
    """Replace a map that falls with the score by the best constant."""
    if form is None or form.increasing is None:
        return fitted
    x = form.coefficients(fitted)
    if x[form.increasing] >= 0:
        return fitted
    prior = Prior(x, np.full(len(x), FREE))
    fits = fit_groups(
        form.design(fitted, X),
        target,
        np.array([0]),
        prior,
        form.link,
        increasing=form.increasing,
    )
    fitted.__dict__.update(form.attributes(fits.coefficients[0]))
    return fitted


def _fit_shrunk(
    maps: ClassMaps,
    form: Form,
    X: Float64Array,
    target: Float64Array,
    groups: list[tuple[int, slice]],
    weight: float,
) -> None:
    """Fit all classes side by side, with a Gaussian prior centred on the pooled coefficients."""
    if not groups:
        return
    rows = np.concatenate([np.arange(part.start, part.stop) for _, part in groups])
    sizes = np.array([part.stop - part.start for _, part in groups])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    centre = form.coefficients(maps.pooled)
    prior = Prior(centre, np.full(len(centre), max(weight, FREE)))
    design = form.design(maps.pooled, X[rows])
    fits = fit_groups(design, target[rows], starts, prior, form.link, increasing=form.increasing)
    if not fits.converged.all():
        failed = [
            label for (label, _), good in zip(groups, fits.converged, strict=True) if not good
        ]
        warn(
            f"shrunk maps of {len(failed)} classes did not converge: {failed[:5]}",
            ConvergenceWarning,
        )
    for (label, _), x in zip(groups, fits.coefficients, strict=True):
        own = copy.copy(maps.pooled)
        own.__dict__.update(form.attributes(x))
        maps.own[label], maps.share[label] = own, 1.0
