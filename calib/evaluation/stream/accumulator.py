"""Evaluation in one pass over any number of rows, in pieces that merge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np

from calib._border.arrays import eager, read_array, to_numpy
from calib._border.checks import check_fraction, check_integer, describe
from calib._border.labels import check_classes, check_same_length, check_weight, with_positive
from calib._border.limits import MOST_BINS, MOST_RESAMPLES
from calib._border.random import generator
from calib._border.typing import ArrayLike, Float64Array, LabelArray, RandomState
from calib._core.binning import BinTable
from calib._core.predictions import check_predictions
from calib.evaluation.report import measures
from calib.evaluation.report.comparison import compared
from calib.evaluation.report.measure_results import joint_ranges
from calib.evaluation.stream.redraws import fine_table
from calib.evaluation.stream.results import AccumulatedReport, model_report, replicates_of
from calib.evaluation.stream.sums import SumLayout, add_rows
from calib.evaluation.views.views import natural_view


class CalibrationAccumulator:
    """Evaluate probabilities batch by batch, on one machine or on many.

    Feed batches with `update`, combine accumulators of disjoint rows with `merge` or ``+``, and
    read the result with `report`. The state is one array of sums whose size does not depend on the
    number of rows, so neither order nor partition of the rows matters.

    Parameters
    ----------
    n_classes : int >= 2
        Number of classes.
    labels : array-like of shape (n_classes,), default=None
        Class of every column of probabilities; None means the integers 0..n_classes - 1. It cannot
        be learned from the data, because a batch may lack classes.
    n_bins : int >= 1, default=15
        Number of bins of the calibration errors.
    pos_label : int, float, bool or str, default=None
        Which of two classes a single column belongs to; None means the second of `labels`.

    Attributes
    ----------
    classes : ndarray of shape (n_classes,)
        Class of every column.
    n_classes, n_bins : int
        As given.
    sums : ndarray of shape (n_sums,), float64
        The whole state. Adding the arrays of two accumulators of the same parameters merges them,
        which is all that a network library has to do.

    Raises
    ------
    ValueError
        If `n_classes` is below 2, `n_bins` below 1, or `labels` does not name every class once.

    See Also
    --------
    calibration_report : The same measures of arrays in memory.
    dense_report : Pixels and tokens, with images as the units of chance.

    Notes
    -----
    *Exact*, to rounding: log loss, Brier score, accuracy, expected calibration error and its two
    signed parts, the reliability diagram. *Approximate*: the adaptive error, whose equal-mass
    ranges can end only between cells. For two classes these are at least 7,500 equal-width cells;
    for more, every class has 1,122 cells that are about 6 % as wide as their distance from 0 or 1,
    down to distances of 4e-15 and 6e-8.

    *Intervals* are by row: rows count as independent. Pixels of an image and tokens of a sequence
    are not; `dense_report` has intervals by image. In the Poisson bootstrap every row counts
    Poisson(1) times. The counts of rows in
    one cell with the same label sum to one Poisson variable, so replicates of the binned errors
    are drawn from the table when the report is made, without cost per row. Intervals are
    built from them as in `calibration_report`; those of log loss, Brier score and accuracy are the
    same numbers, from sums of powers. The adaptive error of three and more
    classes needs the dependence between classes: rows fall into 16 groups by a hash of their
    values, and groups are resampled. Equal rows share a group, so that this interval is too wide
    where scores have few distinct values. Beyond 100 classes the groups would not fit in memory and
    there is no such interval (NaN).

    *Memory*: 0.4 MB for two classes, 6 MB for ten, 36 MB for a thousand, plus about as much during
    an update. *Time* for two classes: about 0.05 microseconds a row; for ten about 0.3, a quarter
    less where numba is installed, with the same bits.

    References
    ----------
    .. [1] N. Chamandy, O. Muralidharan, A. Najmi, S. Naidu. Estimating Uncertainty for Massive Data
       Streams. Google 2012.
    .. [2] C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger. On Calibration of Modern Neural Networks.
       ICML 2017. arXiv:1706.04599

    Examples
    --------
    >>> import numpy as np
    >>> from calib.evaluation import CalibrationAccumulator
    >>> rng = np.random.default_rng(0)
    >>> halves = [CalibrationAccumulator(2), CalibrationAccumulator(2)]
    >>> for half in halves:
    ...     for _ in range(3):
    ...         p = rng.random(10_000)
    ...         _ = half.update(rng.random(10_000) < p**1.2, p)
    >>> report = (halves[0] + halves[1]).report()
    >>> report.n_samples
    60000
    >>> round(report.models["model"].measures["expected_calibration_error"].value, 3)
    0.05
    """

    def __init__(
        self,
        n_classes: int,
        *,
        labels: ArrayLike = None,
        n_bins: int = 15,
        pos_label: object = None,
    ) -> None:
        check_integer("n_classes", n_classes, low=2)
        check_integer("n_bins", n_bins, low=1, high=MOST_BINS)
        named = np.arange(n_classes) if labels is None else labels
        classes = check_classes(named, n_classes, "classes")
        if pos_label is not None:
            classes = with_positive(classes, pos_label, None, "y_prob")
        self.n_classes = int(n_classes)
        self.n_bins = int(n_bins)
        self.classes: LabelArray = classes
        self.sums: Float64Array = np.zeros(self._layout.size)

    def update(self, y_true: ArrayLike, y_prob: ArrayLike, sample_weight: ArrayLike = None) -> Self:
        """Add a batch of rows.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            True labels, among `classes`.
        y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
            Probabilities in [0, 1], rows sum to 1 within 1e-3; one column means the probability of
            the second of two classes. Columns of a table that are named by the classes may stand in
            any order.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights; rows of weight 0 are not there, whatever they hold.

        Returns
        -------
        self : CalibrationAccumulator
            An empty batch is allowed and changes nothing.

        Raises
        ------
        ValueError
            If an argument is not finite, of the wrong shape or length, if `y_prob` holds no
            probabilities, or if a label is unknown; the accumulator is then as it was.
        """
        table = eager(y_prob)
        proba = read_array(table, "y_prob")
        n_columns = 1 if proba.ndim == 1 else proba.shape[-1]
        if n_columns != self.n_classes and not (n_columns == 1 and self.n_classes == 2):
            raise ValueError(
                f"y_prob has {n_columns} columns; this accumulator was made for {self.n_classes} "
                f"classes"
            )
        if proba.shape[0] == 0:
            y = read_array(y_true, "y_true")
            check_same_length(0, len(y), "y_prob", "y_true")
            return self
        weight = _weight(sample_weight, int(proba.shape[0]))
        if weight is not None and not weight.any():
            check_same_length(len(weight), len(read_array(y_true, "y_true")), "y_prob", "y_true")
            return self
        codes, checked, _, classes = check_predictions(
            y_true, table, labels=self.classes, sample_weight=weight
        )
        if classes[0] != self.classes[0]:  # one column, named like the other class
            codes, checked = 1 - codes, 1 - checked
        if weight is not None and not weight.all():
            kept = weight > 0
            codes, checked, weight = codes[kept], checked[kept], weight[kept]
        add_rows(self._layout, self.sums, checked, codes, weight)
        return self

    def merge(self, other: CalibrationAccumulator) -> Self:
        """Add the rows of another accumulator to this one.

        Parameters
        ----------
        other : CalibrationAccumulator
            With the same classes and bins; it is left as it is.

        Returns
        -------
        self : CalibrationAccumulator

        Raises
        ------
        ValueError
            If classes or numbers of bins differ.
        """
        self._check_same(other)
        self.sums += other.sums
        return self

    def __add__(self, other: CalibrationAccumulator) -> CalibrationAccumulator:
        """Return a new accumulator with the rows of both."""
        if not isinstance(other, CalibrationAccumulator):
            return NotImplemented
        return self.copy().merge(other)

    def copy(self) -> CalibrationAccumulator:
        """Return an independent accumulator with the same rows."""
        out = type(self)(self.n_classes, labels=self.classes, n_bins=self.n_bins)
        out.sums[:] = self.sums
        return out

    @property
    def weighted(self) -> bool:
        """Whether any sample had a weight other than 1."""
        n_samples, weight, square = self._layout.scalars(self.sums)[:3]
        return not float(n_samples) == float(weight) == float(square)

    @property
    def n_samples(self) -> int:
        """Number of rows of positive weight so far."""
        return int(self.sums[0])

    @property
    def table(self) -> BinTable:
        """The fine equal-width table of the view: the second of two classes, or the top label."""
        return fine_table(self._layout, self.sums)

    def report(
        self,
        *,
        name: str = "model",
        confidence_level: float = 0.95,
        n_resamples: int = 200,
        random_state: RandomState = 0,
    ) -> AccumulatedReport:
        """Turn the sums into a calibration report.

        Parameters
        ----------
        name : str, default="model"
            Name of the model in the report.
        confidence_level : float in (0, 1), default=0.95
            Level of the intervals and of the ranges under calibration.
        n_resamples : int >= 2, default=200
            Number of bootstrap draws and of redrawn label vectors.
        random_state : int, RandomState, Generator or None, default=0
            Seed of both.

        Returns
        -------
        report : AccumulatedReport
            A `CalibrationReport` whose notes say what is approximate.

        Raises
        ------
        ValueError
            If fewer than two rows of positive weight were added, or an option is out of range.
        """
        return accumulated_report(
            {name: self},
            confidence_level=confidence_level,
            n_resamples=n_resamples,
            random_state=random_state,
        )

    def _check_same(self, other: CalibrationAccumulator) -> None:
        if not isinstance(other, CalibrationAccumulator):
            raise ValueError(f"other must be a CalibrationAccumulator; got {describe(other)}")
        if self.n_bins != other.n_bins or not np.array_equal(self.classes, other.classes):
            raise ValueError(
                f"accumulators with different classes or bins cannot be merged: "
                f"{describe(self.classes.tolist())} with {self.n_bins} bins and "
                f"{describe(other.classes.tolist())} with {other.n_bins}"
            )

    @property
    def _layout(self) -> SumLayout:
        return SumLayout(self.n_classes, self.n_bins)


def accumulated_report(
    accumulators: Mapping[str, CalibrationAccumulator],
    *,
    confidence_level: float = 0.95,
    n_resamples: int = 200,
    random_state: RandomState = 0,
) -> AccumulatedReport:
    """Report on several models that were accumulated over the same rows.

    Parameters
    ----------
    accumulators : dict of str to CalibrationAccumulator
        One per model, with the same classes, bins and rows.
    confidence_level : float in (0, 1), default=0.95
        Level of the intervals and of the ranges under calibration.
    n_resamples : int >= 2, default=200
        Number of bootstrap draws and of redrawn label vectors.
    random_state : int, RandomState, Generator or None, default=0
        Seed of both; models are drawn one after the other, not paired.

    Returns
    -------
    report : AccumulatedReport

    Raises
    ------
    ValueError
        If there is none, if they differ in classes, bins or number of rows, if they hold fewer than
        two rows of positive weight, or if an option is out of range.

    Examples
    --------
    >>> from calib.evaluation import CalibrationAccumulator, accumulated_report
    >>> raw = CalibrationAccumulator(2).update([0, 1, 1, 0], [0.1, 0.9, 0.8, 0.4])
    >>> flat = CalibrationAccumulator(2).update([0, 1, 1, 0], [0.5, 0.5, 0.5, 0.5])
    >>> report = accumulated_report({"raw": raw, "flat": flat})
    >>> round(report.models["flat"].measures["log_loss"].value, 4)
    0.6931
    """
    confidence_level = check_fraction("confidence_level", confidence_level)
    check_integer("n_resamples", n_resamples, low=2, high=MOST_RESAMPLES)
    rng = generator(random_state)
    if not accumulators:
        raise ValueError("accumulators is empty; pass at least one")
    first = next(iter(accumulators.values()))
    for name, one in accumulators.items():
        if not isinstance(name, str) or not name:
            raise ValueError(f"names of models must be non-empty strings; got {describe(name)}")
        first._check_same(one)
        if one.n_samples != first.n_samples:
            raise ValueError(
                f"models must be accumulated over the same rows; {name!r} has {one.n_samples}, "
                f"another has {first.n_samples}"
            )
    if first.n_samples < 2:
        raise ValueError(
            f"a report needs at least 2 samples of positive weight; got {first.n_samples}"
        )
    view = natural_view(first.n_classes)
    information = measures.describe_measures(first.n_bins, view, first.classes[1])
    label = first.classes[1] if view == "binary" else None
    replicates = {
        name: replicates_of(one._layout, one.sums, information, n_resamples, rng)
        for name, one in accumulators.items()
    }
    chance = joint_ranges(replicates, information, confidence_level)
    models = {
        name: model_report(
            one._layout,
            one.sums,
            label,
            information,
            replicates[name],
            (chance[0][row], chance[1][row], chance[2][row]),
            confidence_level,
        )
        for row, (name, one) in enumerate(accumulators.items())
    }
    comparison = compared(
        {name: model.measures for name, model in models.items()},
        information,
        {name: draws.bootstrap for name, draws in replicates.items()},
        {},
        next(iter(models)),
        any(model.n_impossible for model in models.values()),
        confidence_level,
    )
    return AccumulatedReport(
        models=models,
        n_samples=first.n_samples,
        n_groups=None,
        classes=first.classes,
        n_bins=first.n_bins,
        view=view,
        confidence_level=confidence_level,
        n_resamples=n_resamples,
        comparison=comparison,
        weighted=any(accumulator.weighted for accumulator in accumulators.values()),
    )


def _weight(sample_weight: ArrayLike, n_samples: int) -> Float64Array | None:
    """Return checked weights; unlike those of a whole sample, all of a batch may be 0."""
    if sample_weight is None:
        return None
    array = to_numpy(read_array(sample_weight, "sample_weight"))
    if array.shape == (n_samples,) and array.dtype.kind in "iufb" and not np.any(array != 0):
        return np.zeros(n_samples)
    return check_weight(array, n_samples)
