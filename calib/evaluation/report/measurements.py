"""All measurements of the benchmark study of calibration, before and after recalibration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from calib._border.checks import check_option, describe
from calib._border.optional import require
from calib._border.typing import ArrayLike, Float64Array, FloatArray, IntArray
from calib._border.validation import check_matrix
from calib._core import binning
from calib._core.binning import Strategy
from calib._core.predictions import check_both_predictions
from calib._documents import text
from calib._documents.digits import printed
from calib._documents.document import Block, Document, Notes, Remark, Verdict, plain_table
from calib.evaluation.proper.losses import sample_losses, zero_floor
from calib.evaluation.report.records import ROUNDING
from calib.evaluation.unbinned.cumulative import ks_calibration_error
from calib.evaluation.unbinned.density import density_calibration_error
from calib.evaluation.unbinned.kernel import maximum_mean_calibration_error
from calib.evaluation.views import views
from calib.evaluation.views.views import PairView

#: Bin counts of the study.
BIN_COUNTS = (5, 10, 15, 20, 25, 50, 100, 200, 500)
BINNED = ("ECE", "ECE_em", "cwCE", "cwCE_em", "MCE")
OTHERS = ("KSCE", "KDECE", "MMCE", "NLL", "Brier")
STAGES = ("pre", "post")
#: Bins of the error that the headline speaks of.
_USUAL_BINS = 15
_SENTENCES = {
    "lower": "Recalibration lowers the calibration error (ECE, 15 bins) from {before} to {after} "
    "and the log loss from {loss_before} to {loss}.",
    "mixed": "Recalibration changes the calibration error (ECE, 15 bins) from {before} to {after}, "
    "but the log loss from {loss_before} to {loss}: they disagree, trust the log loss.",
    "higher": "Keep the probabilities before: recalibration raises the calibration error (ECE, "
    "15 bins) from {before} to {after} and the log loss from {loss_before} to {loss}.",
    "same": "Recalibration changes neither the calibration error (ECE, 15 bins, {before}) nor the "
    "log loss ({loss_before}).",
    "counts": "{n_lower} of {n} measurements on {samples} are lower after it, {n_higher} higher.",
}
_NOTE = (
    "pre, post: before and after. Without intervals: calibration_report says what is more than "
    "chance. Errors of many bins are mostly chance."
)
#: What names of areas begin with.
AREA = "auc_"


class Measurement(NamedTuple):
    """One number of a `MeasurementTable`.

    Parameters
    ----------
    measure : str
        ``"ECE"``, ``"ECE_em"``, ``"cwCE"``, ``"cwCE_em"``, ``"MCE"``, ``"KSCE"``, ``"KDECE"``,
        ``"MMCE"``, ``"NLL"``, ``"Brier"``, or ``"auc_"`` with the name of a set.
    n_bins : int or None
        Number of bins, None for measures without.
    stage : {"pre", "post"}
        Before or after recalibration; areas are those of the raw network.
    value : float
        The measurement.
    """

    measure: str
    n_bins: int | None
    stage: str
    value: float

    @property
    def name(self) -> str:
        """Name of a column as published, such as ``"pre_ECE_15"`` or ``"pre_auc_svhn"``."""
        bins = "" if self.n_bins is None else f"_{self.n_bins}"
        return f"{self.stage}_{self.measure}{bins}"


@dataclass(frozen=True, repr=False)
class MeasurementTable:
    """Result of `measurement_table`; printing it shows the numbers before and after.

    Attributes
    ----------
    rows : tuple of Measurement
        90 binned and 10 other measurements, then one area per out-of-distribution set.
    n_samples : int
        Number of samples.
    """

    rows: tuple[Measurement, ...]
    n_samples: int

    def __getitem__(self, name: str) -> float:
        """Return the value of a name such as ``"pre_ECE_15"`` or ``"post_NLL"``."""
        return self.to_dict()[name]

    def __str__(self) -> str:
        values = self.to_dict()
        binned = [
            [name, *(_shown(values[f"{name}_{m}"]) for m in BIN_COUNTS)]
            for name in (f"{stage}_{measure}" for measure in BINNED for stage in STAGES)
        ]
        others = [
            [stage, *(_shown(values[f"{stage}_{measure}"]) for measure in OTHERS)]
            for stage in STAGES
        ]
        areas = [row for row in self.rows if row.measure.startswith(AREA)]
        blocks: list[Block] = [
            plain_table(["bins", *map(str, BIN_COUNTS)], {"": binned}),
            plain_table(["stage", *OTHERS], {"": others}),
            *(Remark(row.name, _shown(row.value)) for row in areas),
            Notes([_NOTE]),
        ]
        heading = f"{self.n_samples:,} samples"
        return text.text_of(
            Document("Calibration measurements", heading, blocks, *_answer(values, heading))
        )

    __repr__ = __str__

    def to_dict(self) -> dict[str, float]:
        """Return all numbers by name: one row of a table of models."""
        return {row.name: row.value for row in self.rows}

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with one row per number.

        Returns
        -------
        frame : pandas.DataFrame
            Columns ``measure``, ``n_bins`` (missing where there are none), ``stage`` and ``value``;
            the index holds the names.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        pandas = require("pandas", extra="pandas", purpose="MeasurementTable.to_frame")
        index = pandas.Index([row.name for row in self.rows], name="name")
        frame = pandas.DataFrame(list(self.rows), columns=Measurement._fields, index=index)
        return frame.astype({"n_bins": "Int64"})


def _shown(value: float) -> str:
    """Return a number as printed; rounding is no error."""
    return printed(0.0 if abs(value) < ROUNDING else value, 4)


def _answer(values: Mapping[str, float], samples: str) -> tuple[Verdict, list[Verdict]]:
    """Return what recalibration did, and how many of the measurements say so."""
    names = [name.removeprefix("post_") for name in values if name.startswith("post_")]
    changes = [values[f"post_{name}"] - values[f"pre_{name}"] for name in names]
    changes = [0.0 if abs(change) < ROUNDING else change for change in changes]
    error, loss = (values[f"post_{m}"] - values[f"pre_{m}"] for m in (f"ECE_{_USUAL_BINS}", "NLL"))
    case = "mixed"
    if max(error, loss) <= 0 or min(error, loss) >= 0:
        case = "lower" if min(error, loss) < 0 else "higher" if max(error, loss) > 0 else "same"
    parameters = {
        key: _shown(values[name])
        for key, name in (
            ("before", f"pre_ECE_{_USUAL_BINS}"),
            ("after", f"post_ECE_{_USUAL_BINS}"),
            ("loss_before", "pre_NLL"),
            ("loss", "post_NLL"),
        )
    }
    counts = {
        "n": f"{len(names)}",
        "n_lower": f"{sum(change < 0 for change in changes)}",
        "n_higher": f"{sum(change > 0 for change in changes)}",
        "samples": samples,
    }
    return (
        Verdict(case, _SENTENCES[case], parameters),
        [Verdict("counts", _SENTENCES["counts"], counts)],
    )


def measurement_table(
    y_true: ArrayLike,
    y_prob_before: ArrayLike,
    y_prob_after: ArrayLike,
    *,
    scores_in: ArrayLike = None,
    scores_out: Mapping[str, ArrayLike] | None = None,
    average: PairView = "auto",
    sample_weight: ArrayLike = None,
    labels: ArrayLike = None,
    pos_label: object = None,
) -> MeasurementTable:
    """Compute the 90 binned and 12 other measurements of the benchmark study in one call.

    For comparing many models, or measures with each other, as the study did. To judge one model
    use `calibration_report`: these numbers come without intervals and without their floors.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob_before, y_prob_after : array-like of shape (n_samples,) or (n_samples, n_classes)
        Probabilities in [0, 1], rows sum to 1 within 1e-3, before and after recalibration (in the
        study by a temperature); one column means the probability of the second of two classes.
    scores_in : array-like of shape (n_in,), default=None
        Scores of in-distribution samples, larger where the model is surer, such as the largest
        probability; needed if `scores_out` is given.
    scores_out : dict of str to array-like of shape (n_out,), default=None
        The same scores of out-of-distribution sets by name; the study has two, ``"cifar10c"``
        (corrupted images) and ``"svhn"`` (another data set). None leaves these areas out.
    average : {"auto", "top_label", "binary"}, default="auto"
        View of all but the class-wise measures, as for `expected_calibration_error`. The study,
        whose data have ten classes and more, takes the top label.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights of `y_true` and both predictions; an integer weight equals that many
        repetitions of the row.
    labels : array-like of shape (n_classes,), default=None
        Class of every column, where `y_true` does not tell.
    pos_label : int, float, bool or str, default=None
        Class that a single column, and the binary view, belong to; None means the second.

    Returns
    -------
    table : MeasurementTable
        For both stages the families ``ECE``, ``ECE_em``, ``cwCE``, ``cwCE_em`` and ``MCE`` at 5,
        10, 15, 20, 25, 50, 100, 200 and 500 bins, and ``KSCE``, ``KDECE``, ``MMCE``, ``NLL`` and
        ``Brier``; then ``pre_auc_<name>``, the area under the ROC curve, of every
        out-of-distribution set. Names are those of the published tables.

    Raises
    ------
    ValueError
        As `expected_calibration_error`; also if both predictions differ in the number of classes,
        or only one of `scores_in` and `scores_out` is given.

    See Also
    --------
    calibration_report : A few measures with intervals and floors.
    post_hoc_improvement : The differences in log loss and Brier score with intervals.

    Notes
    -----
    ``em`` stands for bins of equal mass, ``cw`` for the mean over classes; the others take the view
    of `average`. All but ``NLL`` (nats) and ``Brier`` (summed over classes, 0 to 2) are defined by
    `expected_calibration_error`, `maximum_calibration_error`, `ks_calibration_error`,
    `density_calibration_error` (triweight kernel) and `maximum_mean_calibration_error` (width 0.4);
    a probability of exactly 0 counts as the smallest normal float32 in ``NLL``. An area is the
    probability that an in-distribution score exceeds one of the other set, ties counted half.

    Published code mostly bins ``(a, b]`` and cuts equal mass through ties; this package does
    neither, which matters for saturated probabilities. Binned values are biased upwards, at 500
    bins so much that they rank models after recalibration by noise; ``cwCE_em`` with many classes
    measures the mass near 0 and ranked models unlike all other measures.
    Cost: O(n_samples n_classes log n_samples).

    References
    ----------
    .. [1] L. Tao, Y. Zhu, H. Guo, M. Dong, C. Xu. A Benchmark Study on Calibration. ICLR 2024.
       arXiv:2308.11838

    Examples
    --------
    >>> import numpy as np
    >>> from calib.evaluation import measurement_table
    >>> rng = np.random.default_rng(0)
    >>> p = rng.dirichlet([1, 1, 1], 2000)
    >>> y = (p.cumsum(axis=1) < rng.random((2000, 1))).sum(axis=1)
    >>> sharpened = p**2 / (p**2).sum(axis=1, keepdims=True)
    >>> table = measurement_table(y, sharpened, p)
    >>> len(table.rows)
    100
    >>> round(table["pre_ECE_15"], 3), round(table["post_ECE_15"], 3)
    (0.148, 0.019)
    """
    check_option("average", average, views.PAIR_VIEWS)
    both = check_both_predictions(
        y_true, y_prob_before, y_prob_after, labels, pos_label, sample_weight
    )
    columns = [views.all_columns(proba) for _, proba, _, _ in both]
    codes, _, weight, _ = both[0]
    if columns[0].shape[1] != columns[1].shape[1]:
        raise ValueError(
            f"y_prob_before has {columns[0].shape[1]} classes but y_prob_after has "
            f"{columns[1].shape[1]}; pass predictions of the same classes"
        )
    areas = _areas(scores_in, scores_out)
    found = [_measure(proba, codes, weight, average) for proba in columns]
    rows = [
        Measurement(measure, m, stage, values[measure, m])
        for measure in BINNED
        for m in BIN_COUNTS
        for stage, values in zip(STAGES, found, strict=True)
    ]
    rows += [
        Measurement(measure, None, stage, values[measure, 0])
        for measure in OTHERS
        for stage, values in zip(STAGES, found, strict=True)
    ]
    rows += [Measurement(f"{AREA}{name}", None, "pre", value) for name, value in areas.items()]
    return MeasurementTable(tuple(rows), len(codes))


def _measure(
    proba: FloatArray, codes: IntArray, weight: Float64Array | None, average: PairView
) -> dict[tuple[str, int], float]:
    """Return the measurements of one stage by measure and number of bins (0: none)."""
    score, event = views.pairs(proba, codes, average)
    values: dict[tuple[str, int], float] = {}
    for m in BIN_COUNTS:
        uniform = binning.tabulate(score, event, weight, m, "uniform")
        quantile = binning.tabulate(score, event, weight, m, "quantile")
        values["ECE", m] = float(uniform.error(1)[0])
        values["ECE_em", m] = float(quantile.error(1)[0])
        values["MCE", m] = float(uniform.error("max")[0])
    for m, errors in zip(BIN_COUNTS, _classwise(proba, codes, weight), strict=True):
        values["cwCE", m], values["cwCE_em", m] = float(errors[0]), float(errors[1])
    values["KSCE", 0] = ks_calibration_error(event, score, average="binary", sample_weight=weight)
    values["KDECE", 0] = density_calibration_error(
        event, score, average="binary", sample_weight=weight
    )
    values["MMCE", 0] = maximum_mean_calibration_error(
        event, score, average="binary", sample_weight=weight
    )
    losses = sample_losses(proba, codes, floor=zero_floor(proba.dtype))
    nll, brier = np.average(losses, axis=0, weights=weight)
    values["NLL", 0], values["Brier", 0] = float(nll), float(brier)
    return values


def _classwise(proba: FloatArray, codes: IntArray, weight: Float64Array | None) -> Float64Array:
    """Return class-wise errors of equal width and equal mass, shape (n_bin_counts, 2).

    Every column is sorted once; bins of any kind are then runs of it, and their gaps differences
    of one cumulative sum.
    """
    n_samples, n_classes = proba.shape
    total = float(n_samples if weight is None else weight.sum())
    out = np.zeros((len(BIN_COUNTS), 2))
    walk = np.zeros(n_samples + 1)
    strategies: tuple[Strategy, Strategy] = ("uniform", "quantile")
    for k in range(n_classes):
        column = proba[:, k].astype(np.float64)
        order = np.argsort(column, kind="stable")
        p, w = column[order], None if weight is None else weight[order]
        gap = p - (codes[order] == k)
        np.cumsum(gap if w is None else w * gap, out=walk[1:])
        for row, m in enumerate(BIN_COUNTS):
            for side, strategy in enumerate(strategies):
                edges = (
                    binning.uniform_edges(m)
                    if strategy == "uniform"
                    else binning.quantile_edges(p, m, w)
                )
                ends = np.searchsorted(p, edges[1:-1], side="left")
                ends = np.concatenate([[0], ends, [n_samples]])
                out[row, side] += np.abs(np.diff(walk[ends])).sum()
    out /= total * n_classes
    return out


def _areas(scores_in: ArrayLike, scores_out: Mapping[str, ArrayLike] | None) -> dict[str, float]:
    """Return the area under the ROC curve of every out-of-distribution set."""
    if scores_in is None and scores_out is None:
        return {}
    if scores_in is None or scores_out is None:
        given, missing = ("scores_out", "scores_in")[:: 1 if scores_in is None else -1]
        raise ValueError(f"{given} is given without {missing}; areas compare the two")
    if not isinstance(scores_out, Mapping):
        raise ValueError(
            f"scores_out must be a dict of name and scores; got {describe(scores_out)}"
        )
    from scipy.stats import rankdata

    inside = _score_vector(scores_in, "scores_in")
    areas = {}
    for name, scores in scores_out.items():
        outside = _score_vector(scores, f"scores_out[{name!r}]")
        ranks = rankdata(np.concatenate([inside, outside]))[: len(inside)].sum()
        n_in = len(inside)
        areas[str(name)] = float((ranks - n_in * (n_in + 1) / 2) / (n_in * len(outside)))
    return areas


def _score_vector(scores: ArrayLike, name: str) -> Float64Array:
    from calib._border.arrays import to_numpy

    matrix = to_numpy(check_matrix(scores, name))
    if matrix.shape[1] != 1:
        raise ValueError(f"{name} must hold one score per sample; got shape {matrix.shape}")
    return matrix[:, 0].astype(np.float64)
