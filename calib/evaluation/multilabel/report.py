"""What a model claims of many labels, and what happened: all labels together and each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from calib._border.checks import check_fraction, check_integer
from calib._border.labels import unit_codes
from calib._border.limits import MOST_BINS, MOST_RESAMPLES
from calib._border.optional import require
from calib._border.random import generator
from calib._border.typing import ArrayLike, Float64Array, IntArray, RandomState
from calib._core.binning import quotient, uniform_cells
from calib._documents.document import Document, Notes, Verdict, plain_table
from calib._documents.documented import Documented
from calib.evaluation.multilabel.errors import read_cells, sums_by_label, sums_by_unit
from calib.evaluation.sampling.draws import multinomial_counts
from calib.evaluation.sampling.wild import wild_floor

#: Positives, and negatives, of a label below which only its mean is judged.
FEWEST_JUDGED = 20
#: Labels that a printed table shows, the most doubtful first; a page and a frame hold all.
MOST_PRINTED = 20
SENTENCES = {
    "clean": "{model}: no sign of miscalibration in {n} labels of {rows} samples.",
    "labels": "{model}: {k} of {n} labels are miscalibrated beyond chance ({names}).",
    "cardinality": "{model} expects {bias} labels a sample {direction} than there are "
    "({low} to {high}).",
    "micro": "{model}: all cells together are off by {error}, where chance explains {limit}.",
}


@dataclass(frozen=True)
class LabelRow:
    """One label under one model.

    Attributes
    ----------
    label : str or int
    n_labelled : int
    n_positives : float
    prevalence, mean_probability, bias : float
        Share of positives, mean claim, and claim less share; nan without labelled cells.
    log_loss, brier : float
    error, error_floor : float
        ECE, and its mean if the label were calibrated.
    p_value : float
        Of calibration: of the number of positives and, from 20 positives and negatives on, of the
        error; before the correction for many labels.
    verdict : {"calibrated", "claims too much", "claims too little", "curve off", "no labels"}
    """

    label: Any
    n_labelled: int
    n_positives: float
    prevalence: float
    mean_probability: float
    bias: float
    log_loss: float
    brier: float
    error: float
    error_floor: float
    p_value: float
    verdict: str


@dataclass(frozen=True)
class MultilabelModel:
    """All labels together under one model, and each.

    Attributes
    ----------
    log_loss, brier : tuple of float
        Per cell: value and the ends of its interval.
    cardinality_bias : tuple of float
        Expected less observed labels a sample: value and ends.
    micro_error, micro_floor, micro_limit : float
        ECE of all cells, its mean under calibration, and the largest value that chance explains.
    macro_error, macro_floor : float
        Mean of the errors of labels, and the same under calibration.
    labels : tuple of LabelRow
    """

    log_loss: tuple[float, float, float]
    brier: tuple[float, float, float]
    cardinality_bias: tuple[float, float, float]
    micro_error: float
    micro_floor: float
    micro_limit: float
    macro_error: float
    macro_floor: float
    labels: tuple[LabelRow, ...]


@dataclass(frozen=True, repr=False)
class MultilabelReport(Documented):
    """Result of `multilabel_report`: prints itself, ``to_frame()``, ``to_html(path)``.

    Attributes
    ----------
    models : dict of str to MultilabelModel
    n_samples, n_units : int
        Rows, and what is drawn independently (rows or groups).
    confidence_level : float
    """

    models: Mapping[str, MultilabelModel]
    n_samples: int
    n_units: int
    confidence_level: float

    @property
    def findings(self) -> list[Verdict]:
        """What is off beyond chance, in sentences."""
        return [
            verdict for name, model in self.models.items() for verdict in _told(self, name, model)
        ]

    def to_frame(self) -> Any:
        """Return one row per model and label as a pandas data frame."""
        pandas = require("pandas", extra="pandas", purpose="to_frame")
        return pandas.DataFrame(
            [
                {"model": name, **asdict(row)}
                for name, model in self.models.items()
                for row in model.labels
            ]
        )

    def document(self) -> Document:
        """Return the findings, all labels together, and the most doubtful labels."""
        return self._document(MOST_PRINTED)

    def page(self) -> Document:
        """Return the same with every label."""
        return self._document(None)

    def _document(self, most: int | None) -> Document:
        top = plain_table(
            [
                "model", "log loss", "Brier score", "ECE, all cells (chance)",
                "ECE, mean of labels (chance)", "labels a sample too many",
            ],
            {
                "": [
                    [
                        name, _ranged(m.log_loss), _ranged(m.brier),
                        f"{m.micro_error:.4f} ({m.micro_floor:.4f})",
                        f"{m.macro_error:.4f} ({m.macro_floor:.4f})", _ranged(m.cardinality_bias),
                    ]
                    for name, m in self.models.items()
                ]
            },
            "All labels",
        )  # fmt: skip
        rows = {
            name: [_cells(row) for row in sorted(m.labels, key=_doubt)[:most]]
            for name, m in self.models.items()
        }
        titles = [
            "label", "labelled", "positives", "share", "mean claim", "log loss", "ECE (chance)",
            "p", "verdict",
        ]  # fmt: skip
        told = self.findings
        n_labels = len(next(iter(self.models.values())).labels)
        notes = Notes(
            [
                f"Ranges hold with {self.confidence_level:.0%} confidence, from draws of "
                f"{self.n_units} independent units; labels of a unit may depend on each other.",
                "Verdicts keep one error rate over all labels of a model (Holm). In brackets: what "
                "calibrated labels show on average.",
            ]
        )
        return Document(
            "Multi-label report",
            f"{self.n_samples} samples, {n_labels} labels",
            [top, plain_table(titles, rows, "Labels, the most doubtful first"), notes],
            told[0],
            told[1:5],
        )


def multilabel_report(
    y_true: ArrayLike,
    y_prob: ArrayLike | Mapping[str, ArrayLike],
    *,
    label_names: Sequence[Any] | None = None,
    groups: ArrayLike = None,
    n_bins: int = 15,
    confidence_level: float = 0.95,
    n_resamples: int = 1000,
    n_redraws: int = 200,
    random_state: RandomState = 0,
) -> MultilabelReport:
    """Report the calibration of many labels, together and one by one.

    Parameters
    ----------
    y_true : array-like of shape (n_samples, n_labels)
        0, 1, or nan where a label is unknown; these cells drop out.
    y_prob : array-like of shape (n_samples, n_labels), or mapping of str to such
        Probabilities of one model or of several by name.
    label_names : sequence of length n_labels, default=None
        None takes the columns of a table, else 0, 1, ...
    groups : array-like of shape (n_samples,), default=None
        Rows of a group (patient, video) are drawn together.
    n_bins : int >= 1, default=15
        Bins of equal width of the calibration errors.
    confidence_level : float in (0, 1), default=0.95
    n_resamples : int >= 1, default=1000
        Draws of intervals, and of the floor of all cells.
    n_redraws : int >= 2, default=200
        Redrawn labels behind the floors of single labels.
    random_state : int, RandomState, Generator or None, default=0

    Returns
    -------
    report : MultilabelReport

    Raises
    ------
    ValueError
        If shapes differ, values lie outside [0, 1], `y_true` holds fractions, or no cell is
        labelled.

    Notes
    -----
    Labels of one sample depend on each other: intervals are drawn by sample, and the error of all
    cells has the floor of the wild bootstrap by sample. The number of positives of a label is held
    against its exact law under calibration (Poisson-binomial; with `groups`, against its variance
    over groups), its error against redrawn labels.

    References
    ----------
    S. Holm. A simple sequentially rejective multiple test procedure. Scandinavian Journal of
    Statistics 6, 1979. C. F. J. Wu. Jackknife, bootstrap and
    other resampling methods in regression analysis. Annals of Statistics 14, 1986.

    Examples
    --------
    >>> import numpy as np
    >>> from calib.evaluation import multilabel_report
    >>> rng = np.random.default_rng(0)
    >>> y_prob = rng.beta(1, 4, (500, 3))
    >>> y_true = rng.random((500, 3)) < y_prob
    >>> print(multilabel_report(y_true, {"right": y_prob, "high": y_prob**0.5}).findings[0])
    right: no sign of miscalibration in 3 labels of 500 samples.
    """
    check_integer("n_bins", n_bins, low=1, high=MOST_BINS)
    check_integer("n_resamples", n_resamples, low=1, high=MOST_RESAMPLES)
    check_integer("n_redraws", n_redraws, low=2, high=MOST_RESAMPLES)
    check_fraction("confidence_level", confidence_level)
    given = y_prob if isinstance(y_prob, Mapping) else {"model": y_prob}
    if not given:
        raise ValueError(
            "y_prob holds no model; pass one array of probabilities, or several by name"
        )
    models = {}
    for name, proba in given.items():
        y, p, names = read_cells(y_true, proba, f"y_prob[{name!r}]" if len(given) > 1 else "y_prob")
        known = y[np.isfinite(y)]
        if ((known != 0) & (known != 1)).any():
            raise ValueError("y_true holds fractions; a report needs labels 0 and 1, or nan")
        labels = list(range(y.shape[1])) if names is None else names
        if label_names is not None:
            if len(label_names) != y.shape[1]:
                raise ValueError(
                    f"label_names has {len(label_names)} names for {y.shape[1]} labels"
                )
            labels = list(label_names)
        unit = (
            np.arange(len(y)) if groups is None else unit_codes(groups, len(y), "groups", "y_true")
        )
        rng = generator(random_state)
        models[str(name)] = _measured(
            y, p, labels, unit, groups is not None, n_bins, confidence_level, n_resamples,
            n_redraws, rng,
        )  # fmt: skip
    return MultilabelReport(models, len(y), int(unit.max()) + 1, confidence_level)


def _measured(
    y: Float64Array,
    p: Float64Array,
    names: list[Any],
    unit: IntArray,
    grouped: bool,
    n_bins: int,
    level: float,
    n_resamples: int,
    n_redraws: int,
    rng: np.random.Generator,
) -> MultilabelModel:
    from scipy.special import xlog1py, xlogy

    known = np.isfinite(y)
    filled = np.where(known, y, 0.0)
    loss = np.where(known, -xlogy(filled, p) - xlog1py(1.0 - filled, -p), 0.0)
    square = np.where(known, (p - filled) ** 2, 0.0)
    excess = np.where(known, p - filled, 0.0)
    n_units = int(unit.max()) + 1
    count = known.sum(axis=0)
    rows = np.bincount(unit, minlength=n_units).astype(np.float64)
    cells_of = np.bincount(unit, known.sum(axis=1), minlength=n_units).astype(np.float64)
    counts = multinomial_counts(n_units, n_resamples, rng).astype(np.float64)

    def interval(values: Float64Array, mass: Float64Array) -> tuple[float, float, float]:
        sums = np.bincount(unit, values.sum(axis=1), minlength=n_units)
        value = float(sums.sum() / mass.sum())
        if not np.isfinite(value):
            return value, np.nan, value
        drawn = quotient(counts @ sums, counts @ mass)
        low, high = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2])
        return value, float(low), float(high)

    bins = uniform_cells(p, n_bins)
    sums, mass = sums_by_label(y, p, bins, n_bins, None)
    error = quotient(np.abs(sums).sum(axis=1), mass.sum(axis=1))
    chance = wild_floor(*sums_by_unit(y, p, bins, n_bins, unit), n_resamples, rng)
    floors = _label_floors(p, known, bins, n_bins, n_redraws, rng)
    positives = filled.sum(axis=0)
    p_mean = np.array(
        [
            _p_of_groups(excess[:, k], unit)
            if grouped
            else _p_of_count(p[known[:, k], k], int(positives[k]))
            for k in range(len(names))
        ]
    )
    p_curve = np.array([_p_of_error(error[k], floors[:, k]) for k in range(len(names))])
    judged = (positives >= FEWEST_JUDGED) & (count - positives >= FEWEST_JUDGED)
    p_label = np.where(judged, np.minimum(1.0, 2.0 * np.minimum(p_mean, p_curve)), p_mean)
    off = _holm(p_label, count > 0, 1.0 - level)
    bias = quotient(excess.sum(axis=0), count)
    labels = []
    for k, name in enumerate(names):
        verdict = "no labels" if count[k] == 0 else "calibrated"
        if off[k] and (not judged[k] or p_mean[k] <= max(p_curve[k], (1.0 - level) / len(names))):
            verdict = "claims too much" if bias[k] > 0 else "claims too little"
        elif off[k]:
            verdict = "curve off"
        total = count[k] if count[k] else np.nan
        labels.append(
            LabelRow(
                name, int(count[k]), float(positives[k]), float(positives[k] / total),
                float(p[known[:, k], k].mean()) if count[k] else np.nan, float(bias[k]),
                float(loss[:, k].sum() / total), float(square[:, k].sum() / total),
                float(error[k]), float(floors[:, k].mean()), float(p_label[k]), verdict,
            )
        )  # fmt: skip
    seen = count > 0
    return MultilabelModel(
        interval(loss, cells_of),
        interval(square, cells_of),
        interval(excess, rows),
        float(np.abs(sums.sum(axis=0)).sum() / mass.sum()),
        float(chance.mean()),
        float(np.quantile(chance, level, method="weibull")),
        float(error[seen].mean()),
        float(floors[:, seen].mean()),
        tuple(labels),
    )


def _label_floors(
    p: Float64Array,
    known: Any,
    bins: IntArray,
    n_bins: int,
    n_redraws: int,
    rng: np.random.Generator,
) -> Float64Array:
    """Return errors of redrawn labels, (n_redraws, n_labels)."""
    n_labels = p.shape[1]
    key = (np.arange(n_labels) * n_bins + bins)[known]
    proba = p[known]
    size = np.maximum(known.sum(axis=0), 1)
    floors = np.empty((n_redraws, n_labels))
    for draw in range(n_redraws):
        residual = (rng.random(len(proba)) < proba) - proba
        sums = np.bincount(key, residual, minlength=n_labels * n_bins).reshape(n_labels, n_bins)
        floors[draw] = np.abs(sums).sum(axis=1) / size
    return floors


def _p_of_count(proba: Float64Array, positives: int) -> float:
    """Return the two-sided probability of a number of positives under calibration."""
    if not len(proba):
        return 1.0
    law = _poisson_binomial(proba)
    below, above = law[: positives + 1].sum(), law[positives:].sum()
    return float(min(1.0, max(2.0 * min(below, above), 0.0)))


def _poisson_binomial(proba: Float64Array) -> Float64Array:
    """Return the law of the number of events, by products of polynomials in pairs."""
    size = 1 << max(0, int(np.ceil(np.log2(len(proba)))))
    table = np.zeros((size, 2))
    table[:, 0] = 1.0
    table[: len(proba)] = np.column_stack([1.0 - proba, proba])
    while len(table) > 1:
        degree = table.shape[1] - 1
        length = 1 << (2 * degree).bit_length()
        spectrum = np.fft.rfft(table, length, axis=1)
        table = np.fft.irfft(spectrum[::2] * spectrum[1::2], length, axis=1)[:, : 2 * degree + 1]
    law: Float64Array = np.maximum(table[0], 0.0)
    return np.asarray(law / law.sum())


def _p_of_groups(excess: Float64Array, unit: IntArray) -> float:
    """Return the two-sided probability of a sum of residuals that are dependent in groups."""
    from scipy.special import stdtr

    sums = np.bincount(unit, excess)
    error = float(np.sqrt(sums @ sums))
    if error <= 0:
        return 1.0
    return float(2.0 * stdtr(max(len(sums) - 1, 1), -abs(float(sums.sum())) / error))


def _p_of_error(error: float, floor: Float64Array) -> float:
    """Return the probability of an error under calibration, by a gamma law of its moments."""
    from scipy.special import gammaincc

    mean, variance = float(floor.mean()), float(floor.var(ddof=1))
    if not np.isfinite(error) or mean <= 0 or variance <= 0:
        return 1.0
    return float(gammaincc(mean * mean / variance, error * mean / variance))


def _holm(p: Float64Array, counted: Any, level: float) -> Any:
    """Return which hypotheses fall at a family-wise level."""
    places = np.flatnonzero(counted)
    order = places[np.argsort(p[places], kind="stable")]
    fallen = p[order] <= level / np.arange(len(order), 0, -1)
    off = np.zeros(len(p), dtype=bool)
    off[order[np.cumprod(fallen).astype(bool)]] = True
    return off


# --------------------------------------------------------------------------------------- in words


def _told(report: MultilabelReport, name: str, model: MultilabelModel) -> list[Verdict]:
    told = []
    off = [row for row in model.labels if row.verdict not in ("calibrated", "no labels")]
    if off:
        worst = sorted(off, key=_doubt)
        names = ", ".join(f"{row.label}: {row.verdict}" for row in worst[:3])
        more = f", and {len(off) - 3} more" if len(off) > 3 else ""
        told.append(
            _verdict("labels", model=name, k=len(off), n=len(model.labels), names=names + more)
        )
    bias, low, high = model.cardinality_bias
    if low > 0 or high < 0:
        ends = sorted([abs(low), abs(high)])
        told.append(
            _verdict(
                "cardinality",
                model=name,
                bias=f"{abs(bias):.3g}",
                direction="more" if bias > 0 else "fewer",
                low=f"{ends[0]:.3g}",
                high=f"{ends[1]:.3g}",
            )
        )
    if model.micro_error > model.micro_limit:
        told.append(
            _verdict(
                "micro",
                model=name,
                error=f"{model.micro_error:.4f}",
                limit=f"{model.micro_limit:.4f}",
            )
        )
    if not told:
        told.append(_verdict("clean", model=name, n=len(model.labels), rows=report.n_samples))
    return told


def _verdict(case: str, **values: object) -> Verdict:
    return Verdict(case, SENTENCES[case], {key: str(value) for key, value in values.items()})


def _doubt(row: LabelRow) -> tuple[bool, float, float]:
    return row.verdict in ("calibrated", "no labels"), row.p_value, -abs(np.nan_to_num(row.bias))


def _ranged(value: tuple[float, float, float]) -> str:
    return f"{value[0]:.4g} ({value[1]:.4g} to {value[2]:.4g})"


def _cells(row: LabelRow) -> list[str]:
    return [
        str(row.label), f"{row.n_labelled}", f"{row.n_positives:g}", f"{row.prevalence:.4f}",
        f"{row.mean_probability:.4f}", f"{row.log_loss:.4f}",
        f"{row.error:.4f} ({row.error_floor:.4f})", f"{row.p_value:.2g}", row.verdict,
    ]  # fmt: skip
