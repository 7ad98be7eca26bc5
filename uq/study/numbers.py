"""Numbers of a study: metrics, their draws over rows, and differences on the same draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from calib._border.checks import check_option, describe
from calib._border.random import stream
from calib._border.typing import ArrayLike, Float64Array, IntArray, LabelArray
from calib._border.validation import check_score_vector
from calib.evaluation.sampling.draws import multinomial_counts
from uq.selective.kept_rows import METRICS, Cut, kept_metrics, kept_weight
from uq.study.methods import CONFIDENCE, MAX_PROBABILITY, StudyPredictions
from uq.study.scores import Protocol

#: Model, method, certainty, kind of cut and where: what a row of a table measures.
Key: TypeAlias = tuple[str, str, str, Cut, float]
#: The method whose probabilities, and the one whose certainty, the recommended pair takes.
PAIR = ("venn_abers", "conformal")
#: The share of rows that a cut keeps, drawn beside the metrics.
SHARE = "share"
#: The squared kernel calibration error of all rows, without bias; drawn where it is asked for.
KERNEL = "kernel"
#: Bandwidth of the kernel on the scale of probabilities.
BANDWIDTH = 0.4


@dataclass(frozen=True)
class StudyNumber:
    """A metric of one method.

    Attributes
    ----------
    value : float
        Mean over repetitions; NaN where too few rows or one class only are kept.
    deviation : float
        Standard deviation over repetitions, that is over seeds, not over patients; NaN for one.
    low, high : float
        Bootstrap interval over patients (or groups), of the mean over repetitions. For ACE it is
        reflected about the value, because draws repeat its upward bias.
    """

    value: float
    deviation: float
    low: float
    high: float


@dataclass(frozen=True)
class StudyRow:
    """One model and method, on all rows or on those it is certain about.

    Attributes
    ----------
    model, method, certainty : str
        Who predicts, how probabilities are made, and what decides which rows are kept.
    cut : {"none", "threshold", "share"}
        Keep everything, rows with at least a certainty, or a share of them, most certain first.
    at : float
        The threshold or share asked for; 0 for ``"none"``.
    share, n_kept, prevalence : float
        Share and number of rows kept, and share of the second class among them; means over
        repetitions.
    n_repeats : int
        Repetitions in which enough rows of both classes were kept; metrics average over these.
    metrics : dict of str to StudyNumber
        ``auroc``, ``auprc``, ``auprc_gain`` (minus prevalence), ``ace``, ``brier``, ``accuracy``.
    ace_calibrated : float
        Mean ACE of a perfectly calibrated model with these probabilities: the floor of ``ace``.
    """

    model: str
    method: str
    certainty: str
    cut: Cut
    at: float
    share: float
    n_kept: float
    prevalence: float
    n_repeats: int
    metrics: dict[str, StudyNumber]
    ace_calibrated: float


@dataclass(frozen=True)
class StudyDifference:
    """How much two things of a study differ in a metric, on the same draws of rows.

    Attributes
    ----------
    metric : str
        What is compared.
    value : float
        The first minus the second; NaN where one of them keeps too little.
    low, high : float
        Bootstrap interval over patients (or groups), drawn for both alike. Those of ACE are wide:
        draws of either side repeat its upward bias.
    """

    metric: str
    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.3f} ({self.low:+.3f} to {self.high:+.3f})"


@dataclass(frozen=True, eq=False, repr=False)
class StudyNumbers:
    """Predictions of a study and what is measured on them; `StudyResult` describes them."""

    predictions: dict[tuple[str, str], list[StudyPredictions]]
    y_true: LabelArray
    codes: IntArray
    groups: IntArray | None
    protocol: Protocol
    thresholds: tuple[float, ...]
    min_kept: int
    confidence_level: float
    n_resamples: int
    n_simulations: int
    members: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    software: dict[str, str] = field(default_factory=dict)
    _memory: dict[Key, StudyRow] = field(init=False, default_factory=dict)
    _draws: dict[Key, dict[str, Float64Array]] = field(init=False, default_factory=dict)

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models, in the order given."""
        return tuple(dict.fromkeys(model for model, _ in self.predictions))

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods, in the order given."""
        return tuple(dict.fromkeys(method for _, method in self.predictions))

    @property
    def recommended(self) -> tuple[str, str] | None:
        """Method and certainty to begin with: Venn-ABERS probabilities by conformal confidence.

        None if the study lacks one of the two.
        """
        return (PAIR[0], CONFIDENCE) if set(PAIR) <= set(self.methods) else None

    def certainties_of(self, method: str) -> tuple[str, ...]:
        """Return the certainties that a method can be cut by.

        Parameters
        ----------
        method : str
            One of `methods`.

        Returns
        -------
        names : tuple of str
            Those of its own predictions (see `StudyPredictions.certainties`), then conformal
            confidence and credibility, which every method may borrow.
        """
        check_option("method", method, self.methods)
        scales = self.predictions[self.models[0], method][0].certainties()
        borrowed = (CONFIDENCE, "conformal_credibility") if "conformal" in self.methods else ()
        return tuple(dict.fromkeys((*scales, *borrowed)))

    def evaluate(
        self,
        model: str,
        method: str,
        certainty: str = MAX_PROBABILITY,
        *,
        thresholds: ArrayLike = (),
        shares: ArrayLike = (),
    ) -> list[StudyRow]:
        """Measure one model and method without a cut, at thresholds and at shares.

        Parameters
        ----------
        model : str
            One of `models`.
        method : str
            One of `methods`: whose probabilities are measured.
        certainty : str, default="max_probability"
            One of ``certainties_of(method)``: what decides which rows are kept.
        thresholds : array-like of float, default=()
            Keep rows with at least this certainty.
        shares : array-like of float in (0, 1], default=()
            Keep this share of the rows, the most certain first; comparable between certainties.

        Returns
        -------
        rows : list of StudyRow
            First the row without a cut, then those of the thresholds and of the shares.

        Raises
        ------
        ValueError
            For unknown names or shares outside (0, 1].
        """
        check_option("model", model, self.models)
        check_option("certainty", certainty, self.certainties_of(method))
        cuts = _vector(thresholds, "thresholds")
        fractions = _vector(shares, "shares")
        if any(not 0 < share <= 1 for share in fractions):
            raise ValueError(f"shares must lie in (0, 1]; got {describe(fractions)}")
        wanted: list[tuple[Cut, float]] = [("none", 0.0)]
        wanted += [("threshold", cut) for cut in cuts] + [("share", share) for share in fractions]
        return [self._row(model, method, certainty, cut, at) for cut, at in wanted]

    def difference(
        self,
        first: tuple[str, str],
        second: tuple[str, str],
        metric: str = "brier",
        *,
        certainty: str = MAX_PROBABILITY,
        share: float = 1.0,
    ) -> StudyDifference:
        """Compare two pairs of model and method on the same draws of rows.

        Parameters
        ----------
        first, second : tuple of (str, str)
            Model and method, such as ``("svm", "platt")``.
        metric : {"auroc", "auprc", "auprc_gain", "ace", "brier", "accuracy"}, default="brier"
            What is compared.
        certainty : str, default="max_probability"
            What decides which rows are kept, for both.
        share : float in (0, 1], default=1.0
            Share of the rows that is kept, the most certain first.

        Returns
        -------
        difference : StudyDifference
            The first minus the second.

        Raises
        ------
        ValueError
            For unknown names, or a share outside (0, 1].

        Examples
        --------
        >>> from sklearn.linear_model import LogisticRegression
        >>> from uq import leave_one_out_study, load_study_stand_in
        >>> X, y = load_study_stand_in()
        >>> study = leave_one_out_study(
        ...     {"lr": LogisticRegression()}, X[:40], y[:40], calibrators=["raw", "platt"],
        ...     n_repeats=1, n_resamples=200,
        ... )
        >>> print(study.difference(("lr", "platt"), ("lr", "raw"), "brier"))
        -0.012 (-0.029 to +0.006)
        """
        check_option("metric", metric, METRICS)
        keys: list[Key] = []
        for name, pair in (("first", first), ("second", second)):
            if not isinstance(pair, tuple) or len(pair) != 2:
                raise ValueError(f"{name} must be (model, method); got {describe(pair)}")
            self.evaluate(*pair, certainty, shares=[share])  # checks the names
            keys.append((*pair, certainty, "none" if share == 1 else "share", float(share % 1)))
        return self.contrast(keys[:1], keys[1:], metric)

    def contrast(self, first: Sequence[Key], second: Sequence[Key], metric: str) -> StudyDifference:
        """Return the mean of a metric over some rows minus that over others, on the same draws.

        Parameters
        ----------
        first, second : sequence of (model, method, certainty, cut, at)
            Nothing counts as 0.
        metric : str
            A metric, ``"share"`` for the share of rows that are kept, or ``"kernel"`` for the
            squared kernel calibration error, whose draws have no bias that differences would show.
        """
        draws = self.mean_draws(first, metric)
        if second:
            draws = draws - self.mean_draws(second, metric)
        low, high = interval(draws, self.confidence_level)
        return StudyDifference(metric, float(draws[0]), low, high)

    def mean_draws(self, keys: Sequence[Key], metric: str) -> Float64Array:
        """Return a metric on the rows and on every draw of them, as a mean over `keys`.

        Parameters
        ----------
        keys : sequence of (model, method, certainty, cut, at)
        metric : str

        Returns
        -------
        draws : ndarray of shape (1 + n_resamples,)
        """
        for key in keys:
            self._row(*key)
            if metric == KERNEL and metric not in self._draws[key]:
                predictions = self.predictions[key[0], key[1]]
                errors = [
                    kernel_errors(one.y_prob, self.codes, self.weights()) for one in predictions
                ]
                self._draws[key][metric] = np.mean(errors, axis=0)
        return np.asarray(np.mean([self._draws[key][metric] for key in keys], axis=0))

    def weights(self) -> Float64Array:
        """Return how often every row is drawn, the first line being the rows themselves."""
        seed, n_samples = self.protocol.random_state, len(self.codes)
        return draw_weights(self.groups, n_samples, self.n_resamples, seed)

    def _row(self, model: str, method: str, certainty: str, cut: Cut, at: float) -> StudyRow:
        key = (model, method, certainty, cut, at)
        if key not in self._memory:
            self._memory[key], self._draws[key] = self._measure(*key)
        return self._memory[key]

    def _measure(
        self, model: str, method: str, certainty: str, cut: Cut, at: float
    ) -> tuple[StudyRow, dict[str, Float64Array]]:
        weight = self.weights()
        rng = stream(self.protocol.random_state, 0xF1)
        draws, kept, shares = [], [], []
        for repeat, predictions in enumerate(self.predictions[model, method]):
            certain = self._certainty(model, method, certainty, repeat)
            metrics, counts = kept_metrics(
                self.codes,
                predictions.y_prob,
                certain,
                weight,
                cut=cut,
                at=at,
                min_kept=self.min_kept,
                uniform=rng.random((self.n_simulations, len(self.codes))),
            )
            draws.append(metrics)
            kept.append(counts)
            shares.append(kept_weight(certain, weight, cut, at).sum(axis=1) / weight.sum(axis=1))
        mean = {name: _mean([counts[name] for counts in kept]) for name in kept[0]}
        row = StudyRow(
            model,
            method,
            certainty,
            cut,
            at,
            n_repeats=sum(not np.isnan(metrics["auroc"][0]) for metrics in draws),
            metrics=summarise(draws, self.confidence_level),
            **mean,
        )
        means = {name: over_repetitions([one[name] for one in draws]) for name in METRICS}
        return row, {**means, SHARE: np.mean(shares, axis=0)}

    def _certainty(self, model: str, method: str, certainty: str, repeat: int) -> Float64Array:
        scales = self.predictions[model, method][repeat].certainties()
        if certainty in scales:
            return scales[certainty]
        return self.predictions[model, "conformal"][repeat].certainties()[certainty]


def draw_weights(
    groups: IntArray | None, n_samples: int, n_resamples: int, seed: int
) -> Float64Array:
    """Return how often every row is drawn: once in the first line, at random in the others.

    Returns
    -------
    weight : ndarray of shape (n_resamples + 1, n_samples)
        Rows of a group are drawn together.
    """
    n_units = n_samples if groups is None else int(groups.max()) + 1
    rng = stream(seed, 0x57D7)
    units = np.vstack([np.ones((1, n_units)), multinomial_counts(n_units, n_resamples, rng)])
    return units if groups is None else units[:, groups]


def kernel_errors(y_prob: Float64Array, codes: IntArray, weight: Float64Array) -> Float64Array:
    """Return the squared kernel calibration error of every draw, pairs of a row with itself aside.

    The mean product of the residuals of two rows, weighted by ``exp(-|p - q| / 0.4)``: 0 on average
    for a calibrated model, so it may be negative. An adaptive calibration error is far from 0 then,
    and farther for sharper models; differences of it speak of sharpness, too.

    Parameters
    ----------
    y_prob, codes : ndarray of shape (n_samples,)
    weight : ndarray of shape (n_draws, n_samples)
    """
    residual = y_prob - codes
    products = np.exp(-np.abs(y_prob[:, None] - y_prob) / BANDWIDTH) * np.outer(residual, residual)
    np.fill_diagonal(products, 0.0)
    total = weight.sum(axis=1)
    sums = ((weight @ products) * weight).sum(axis=1)
    return np.asarray(sums / (total * (total - 1)))


def over_repetitions(repeats: list[Float64Array]) -> Float64Array:
    """Return the mean over repetitions in which the sample gives a number, draw by draw.

    Parameters
    ----------
    repeats : list of ndarray of shape (n_draws,)
        The sample itself comes first; NaN where a metric is undefined.
    """
    table = np.array(repeats)
    table = table[~np.isnan(table[:, 0])]
    defined = ~np.isnan(table)
    count = defined.sum(axis=0)
    sums = np.where(defined, table, 0.0).sum(axis=0)
    return np.asarray(np.divide(sums, count, out=np.full(table.shape[1], np.nan), where=count > 0))


def interval(
    draws: Float64Array, confidence_level: float, *, reflected: bool = False
) -> tuple[float, float]:
    """Return the interval of a number from its draws; NaN where half of them are undefined.

    Parameters
    ----------
    draws : ndarray of shape (1 + n_draws,)
        The number itself comes first.
    confidence_level : float in (0, 1)
    reflected : bool, default=False
        Whether draws repeat a bias of the number, so that the interval is turned about it.
    """
    replicates = draws[1:][~np.isnan(draws[1:])]
    if np.isnan(draws[0]) or 2 * len(replicates) <= len(draws) - 1:
        return np.nan, np.nan
    tail = (1 - confidence_level) / 2
    low, high = (float(end) for end in np.quantile(replicates, [tail, 1 - tail]))
    value = float(draws[0])
    return (2 * value - high, 2 * value - low) if reflected else (low, high)


def summarise(
    draws: list[dict[str, Float64Array]], confidence_level: float
) -> dict[str, StudyNumber]:
    """Return mean and deviation over repetitions, and the interval over the draws."""
    out = {}
    for name in METRICS:
        values = np.array([repeat[name][0] for repeat in draws])
        values = values[~np.isnan(values)]
        if not len(values):
            out[name] = StudyNumber(np.nan, np.nan, np.nan, np.nan)
            continue
        deviation = float(values.std(ddof=1)) if len(values) > 1 else np.nan
        means = over_repetitions([repeat[name] for repeat in draws])
        low, high = interval(means, confidence_level, reflected=name == "ace")
        if name == "ace":
            low, high = max(low, 0.0), min(high, 1.0)
        out[name] = StudyNumber(float(values.mean()), deviation, low, high)
    return out


def _mean(values: list[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else np.nan


def _vector(values: ArrayLike, name: str) -> list[float]:
    if values is None or not np.size(values):
        return []
    numbers: list[float] = check_score_vector(np.atleast_1d(values), name).tolist()
    return numbers
