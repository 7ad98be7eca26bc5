"""Calibration of images and sequences, with intervals and floors by image."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from calib._border.arrays import read_array, row_blocks
from calib._border.checks import check_fraction, check_integer, check_option, describe
from calib._border.limits import MOST_BINS, MOST_RESAMPLES
from calib._border.random import generator
from calib._border.typing import ArrayLike, Float64Array, RandomState
from calib.dense import DenseBatch
from calib.evaluation.dense.results import (
    ECE,
    FEW_IMAGES,
    MEASURES,
    DenseModel,
    DenseReport,
    values_of,
)
from calib.evaluation.dense.sums import N_SCALARS, image_sums
from calib.evaluation.sampling.draws import unit_counts
from calib.evaluation.sampling.intervals import Interval, interval_of
from calib.evaluation.sampling.wild import wild_floor


def dense_report(
    y_true: ArrayLike | Iterable[tuple[Any, ...]],
    y_prob: ArrayLike | Mapping[str, ArrayLike] = None,
    *,
    reference: str | None = None,
    class_axis: int | None = 1,
    ignore_index: int | None = None,
    sample_weight: ArrayLike = None,
    n_bins: int = 15,
    confidence_level: float = 0.95,
    n_resamples: int = 1000,
    random_state: RandomState = 0,
) -> DenseReport:
    """Measure the calibration of pixels or tokens, with images as the units of chance.

    Parameters
    ----------
    y_true : array-like, or iterable of (y_true, y_prob) or (y_true, y_prob, sample_weight)
        Labels 0..n_classes - 1, of the shape of `y_prob` without the axis of the classes; or, where
        `y_prob` is None, batches that are read once.
    y_prob : array-like of shape (n_images, n_classes, ...), or dict, default=None
        Probabilities in [0, 1] that sum to 1 along `class_axis`; those of ignored cells may be NaN.
        A dict holds several models by name, in batches as well.
    reference : str, default=None
        Model that the others are compared with, such as the uncalibrated one; None means the first.
    class_axis : int or None, default=1
        Axis of the classes; None, or an axis of length 1, for the probability of the positive
        class.
    ignore_index : int or None, default=None
        Label of cells that have none.
    sample_weight : array-like of the shape of the labels, default=None
        Non-negative weights of cells; those of weight 0 are not there.
    n_bins : int >= 1, default=15
        Bins of equal width: of the probability of the second of two classes, of the largest
        probability beyond.
    confidence_level : float in (0, 1), default=0.95
        Of the intervals and of the range of chance.
    n_resamples : int >= 20, default=1000
        Replicates of both.
    random_state : int, RandomState, Generator or None, default=0
        Decides which images are drawn; the same draws serve all models.

    Returns
    -------
    report : DenseReport
        Prints as a table; ``to_frame()``, ``to_dict()`` and ``to_html(path)`` give it in other
        forms. ``findings`` are plain sentences, ``differences`` compare every model with
        `reference` on the same draws.

    Raises
    ------
    ValueError
        If shapes do not fit, `y_prob` holds no probabilities or no model, a label is none of the
        classes, no cell is labelled, batches differ in models or classes, or an option is out of
        range.

    See Also
    --------
    calib.DenseCalibrator : what makes such probabilities true.

    Notes
    -----
    Of every image and model 4 + 3 `n_bins` sums are kept; value, bootstrap and floor follow from
    them, so that memory does not grow with cells. The range of chance is that of a wild bootstrap
    with one sign an image [1]_.

    References
    ----------
    .. [1] A. C. Cameron, J. B. Gelbach, D. L. Miller. Bootstrap-based improvements for inference
       with clustered errors. Review of Economics and Statistics 90, 2008. doi:10.1162/rest.90.3.414

    Examples
    --------
    >>> import numpy as np
    >>> from calib.evaluation import dense_report
    >>> rng = np.random.default_rng(1)
    >>> p = rng.random((30, 16, 16))
    >>> y = rng.random(p.shape) < p
    >>> report = dense_report(y, p, class_axis=None)
    >>> report.is_beyond_chance, report.n_images
    (False, 30)
    >>> report = dense_report(y, {"right": p, "high": p**0.5}, class_axis=None)
    >>> report.models["high"].is_beyond_chance, report.differences["high"]["log_loss"].low > 0
    (True, True)
    """
    check_integer("n_bins", n_bins, low=1, high=MOST_BINS)
    check_fraction("confidence_level", confidence_level)
    check_integer("n_resamples", n_resamples, low=20, high=MOST_RESAMPLES)
    rng = generator(random_state)
    batches: Any = [(y_true, y_prob, sample_weight)]
    if y_prob is None:
        if sample_weight is not None:
            raise ValueError("sample_weight belongs into the batches where y_prob is None")
        batches = y_true
    sums: dict[str, list[Float64Array]] = {}
    n_columns: dict[str, int] = {}
    for place, batch in enumerate(batches):
        if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
            raise ValueError(
                f"without y_prob, y_true must yield (y_true, y_prob) or (y_true, y_prob, "
                f"sample_weight); batch {place} is {describe(batch)}"
            )
        given = _models_of(batch[1])
        if place == 0:
            sums = {name: [] for name in given}
        elif set(given) != set(sums):
            raise ValueError(
                f"batch {place} has the models {[*given]}, those before have {[*sums]}"
            )
        weight = batch[2] if len(batch) == 3 else None
        for name, array in given.items():
            label = f"y_prob[{name!r}]" if isinstance(batch[1], Mapping) else "y_prob"
            checked = DenseBatch.of(
                read_array(array, label), batch[0], weight, class_axis, (label, "y_true")
            )
            known = n_columns.setdefault(name, checked.n_columns)
            if checked.n_columns != known:
                raise ValueError(
                    f"batch {place} has {checked.n_columns} classes, those before have {known}"
                )
            sums[name] += image_sums(checked, int(n_bins), ignore_index, len(sums[name]))
    if reference is not None:
        check_option("reference", reference, tuple(sums))
    shape = -1, N_SCALARS + 3 * int(n_bins)
    tables = {name: np.array(rows).reshape(shape) for name, rows in sums.items()}
    if not any((table[:, 0] > 0).any() for table in tables.values()):
        raise ValueError("y_true has no labelled cell: all are ignored or have weight 0")
    return _report(tables, reference, int(n_bins), confidence_level, n_resamples, rng)


def _models_of(y_prob: Any) -> dict[str, Any]:
    """Return the probabilities of one model or several by name."""
    if not isinstance(y_prob, Mapping):
        return {"model": y_prob}
    if not y_prob:
        raise ValueError("y_prob is an empty dict; pass at least one array of probabilities")
    for name in y_prob:
        if not isinstance(name, str) or not name:
            raise ValueError(f"names of models must be non-empty strings; got {describe(name)}")
    return dict(y_prob)


def _report(
    tables: dict[str, Float64Array],
    reference: str | None,
    n_bins: int,
    confidence_level: float,
    n_resamples: int,
    rng: np.random.Generator,
) -> DenseReport:
    """Return the report on sums of every image by model; weights are those of all models."""
    first = next(iter(tables.values()))
    seen = first[:, 0] > 0
    n_images = int(seen.sum())
    units = {name: table[seen] for name, table in tables.items()}
    draws = {name: np.empty((n_resamples, len(MEASURES))) for name in tables}
    for block in row_blocks(n_resamples, n_images):
        counts = unit_counts(n_images, block.stop - block.start, rng)
        for name in tables:
            draws[name][block] = values_of(counts @ units[name], n_bins)
    models = {
        name: _model(
            table, units[name], draws[name], n_bins, confidence_level, copy.deepcopy(rng)
        )  # the same signs for all: no number depends on the other models
        for name, table in tables.items()
    }
    return DenseReport(
        models=models,
        reference=next(iter(tables)) if reference is None else reference,
        n_images=n_images,
        n_empty=len(first) - n_images,
        n_cells=float(first[:, 0].sum()),
        n_bins=n_bins,
        few_images=n_images < FEW_IMAGES,
        confidence_level=confidence_level,
    )


def _model(
    sums: Float64Array,
    units: Float64Array,
    draws: Float64Array,
    n_bins: int,
    confidence_level: float,
    rng: np.random.Generator,
) -> DenseModel:
    total = values_of(units.sum(axis=0)[None], n_bins)[0]
    mass, prediction, event = units[:, N_SCALARS:].reshape(len(units), 3, n_bins).swapaxes(0, 1)
    chance = wild_floor(event - prediction, mass, len(draws), rng)
    low, high = np.quantile(chance, [0.0, confidence_level])
    measures = {}
    for column, (key, (_, bounds)) in enumerate(MEASURES.items()):
        measures[key] = interval_of(
            float(total[column]), draws[:, column], confidence_level, reflect=True, bounds=bounds
        )
    error = vars(measures[ECE])
    floors = {"floor": float(chance.mean()), "floor_low": float(low), "floor_high": float(high)}
    measures[ECE] = Interval(**{**error, **floors})
    return DenseModel(measures, bool(error["value"] > high), n_bins, sums, draws)
