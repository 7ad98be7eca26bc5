"""The default that does no harm: a cross-fitted pool of calibration maps and the identity."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from calib._core import links
from calib._core.folds import Folds, stratified_folds
from calib._core.packing import pack, unpack
from calib._core.pooling import fit_pool, pool
from calib._core.scores import Scores
from calib._core.typing import (
    Array,
    Domain,
    Float64Array,
    InputKind,
    IntArray,
    Namespace,
    RandomState,
)
from calib.base import BaseCalibrator
from calib.calibrators.beta import BetaCalibrator
from calib.calibrators.ensemble import EnsembleTemperatureCalibrator
from calib.calibrators.isotonic import IsotonicCalibrator
from calib.calibrators.matrix import MatrixScalingCalibrator, VectorScalingCalibrator
from calib.calibrators.platt import PlattCalibrator
from calib.calibrators.quadratic import QuadraticCalibrator
from calib.calibrators.spline import SplineCalibrator
from calib.calibrators.temperature import TemperatureCalibrator
from calib.calibrators.venn_abers import VennAbersCalibrator

#: Label, class and parameters of everything that may enter the pool. Files refer to places in this
#: table: append, never reorder. The first is the identity.
CATALOGUE: tuple[tuple[str, type[BaseCalibrator] | None, dict[str, Any]], ...] = (
    ("identity", None, {}),
    ("temperature", TemperatureCalibrator, {"smoothing": True}),
    ("ensemble_temperature", EnsembleTemperatureCalibrator, {}),
    ("platt", PlattCalibrator, {}),
    ("quadratic", QuadraticCalibrator, {}),
    ("beta", BetaCalibrator, {}),
    ("spline", SplineCalibrator, {}),
    ("isotonic", IsotonicCalibrator, {}),
    ("venn_abers", VennAbersCalibrator, {}),
    ("vector_scaling", VectorScalingCalibrator, {}),
    ("matrix_scaling", MatrixScalingCalibrator, {}),
    ("matrix_scaling(strength=0.1)", MatrixScalingCalibrator, {"strength": 0.1}),
    ("matrix_scaling(strength=0.01)", MatrixScalingCalibrator, {"strength": 0.01}),
)
LABELS = tuple(label for label, _, _ in CATALOGUE)
#: Candidates for two classes, for more, and for so many scores that few maps are affordable.
TWO = ("identity", "platt", "quadratic", "beta", "spline", "venn_abers")
MANY = (
    "identity",
    "ensemble_temperature",
    "vector_scaling",
    "matrix_scaling",
    "matrix_scaling(strength=0.1)",
    "matrix_scaling(strength=0.01)",
    "beta",
    "isotonic",
)
LARGE = ("identity", "ensemble_temperature", "vector_scaling", "matrix_scaling")
HUGE = ("identity", "temperature", "ensemble_temperature", "vector_scaling")
#: Scores (samples times classes) from which `LARGE` applies, and classes from which `HUGE` does.
LARGE_ELEMENTS, HUGE_CLASSES = 2_000_000, 150
#: Scores that choice and weighting are made on, at least so many samples per class.
CHOICE_ELEMENTS, CHOICE_ROWS_PER_CLASS = 400_000, 4
N_FOLDS = 7
#: Floor of the identity: touches only rows as good as certain, bounds their log loss.
IDENTITY_FLOOR = 1e-5
#: The pool is used if its cross-fitted gain in Brier score exceeds so many standard errors, or
#: its gain in total log-likelihood so many nats.
BRIER_ERRORS, NATS = 1.0, 2.0
#: Members below this weight are left out.
LEAST_WEIGHT = 0.05


@dataclass(frozen=True)
class CrossFittedGain:
    """Improvement over the uncalibrated scores, on samples that the pool was not fitted to.

    Attributes
    ----------
    value : float
        Mean score of the identity minus that of the pool; positive is better.
    low, high : float
        Central 95 % interval, normal approximation.
    """

    value: float
    low: float
    high: float


class AutoCalibrator(BaseCalibrator):
    """Combine calibration maps and the identity, as held-out samples prefer.

    No single map is safe: those that win on average make a quarter of all models worse. This
    calibrator fits the winners, weights them together with the uncalibrated scores on out-of-fold
    predictions of the calibration set, and keeps the scores as they are unless the combination is
    better beyond chance. It is the default of `CalibratedClassifier` and of the command line.

    Parameters
    ----------
    input : {"proba", "logits"}, default="proba"
        What `X` holds; see `BaseCalibrator`.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the folds.

    Attributes
    ----------
    candidates_ : list of str
        What was considered, for the number of samples and classes at hand.
    weights_ : ndarray of shape (n_members,)
        Exponents of the members' probabilities, > 0, sum 1.
    members_ : ndarray of int, shape (n_members,)
        Places of the members in the table of candidates; `member_names` gives names.
    used_ : bool
        Whether the pool is used; False means that scores are left alone.
    gain_brier_, gain_log_loss_ : CrossFittedGain
        Cross-fitted improvement of the pool over the uncalibrated scores, used or not.
    smoothing_ : float
        Share of the uniform distribution mixed into every member but the identity.
    layout_, packed_ : ndarray
        Fitted arrays of the members, one after the other, and where each lies.
    classes_ : ndarray of shape (n_classes,)
        Class of each column.
    n_features_in_ : int
        Number of columns of `X` seen at fit.

    Raises
    ------
    ValueError
        At fit, for input that `BaseCalibrator.fit` refuses.

    See Also
    --------
    MatrixScalingCalibrator, QuadraticCalibrator, VennAbersCalibrator : members on their own.

    Notes
    -----
    The pool is log-linear: ``p ~ prod_m p_m^(w_m)``, normalised. Its weights minimise the log loss
    of seven-fold out-of-fold predictions over the simplex (a convex problem). Then the weights are
    refitted without each fold in turn; if the Brier score that results is not better by one
    standard error, nor the log-likelihood by two nats, the identity alone is kept. Members are
    finally fitted to all samples. Samples with equal scores and class count as one with the sum of
    their weights, shared out among folds, so integer weights equal repetition.

    Probabilities below 1e-5 are raised to that even where scores are left alone, so that no log
    loss is infinite. From two million scores on, fewer maps are tried and the choice is made on a
    subsample with a single split.

    References
    ----------
    .. [1] E. Berta, D. Holzmüller, F. Bach, M. I. Jordan. CalArena: A Large-Scale Post-Hoc
       Calibration Benchmark. 2026. arXiv:2605.30188
    .. [2] M. J. van der Laan, E. C. Polley, A. E. Hubbard. Super Learner. Statistical Applications
       in Genetics and Molecular Biology 6(1), 2007. doi:10.2202/1544-6115.1309

    Examples
    --------
    >>> from calib import AutoCalibrator
    >>> from calib.datasets import load_digits_scores
    >>> scores = load_digits_scores()
    >>> cal = AutoCalibrator(input="logits").fit(scores.logits_cal, scores.y_cal)
    >>> cal.used_, bool(cal.gain_log_loss_.low > 0)
    (True, True)
    """

    _domain: ClassVar[Domain] = "declared"
    _fitted: ClassVar[tuple[str, ...]] = (
        "members_",
        "weights_",
        "smoothing_",
        "layout_",
        "packed_",
    )
    _static: ClassVar[tuple[str, ...]] = ("members_", "layout_")
    _options: ClassVar[tuple[str, ...]] = ("input",)
    _double: ClassVar[bool] = True
    _block_rows: ClassVar[int] = 4096

    candidates_: list[str]
    members_: IntArray
    weights_: Float64Array
    smoothing_: float
    layout_: IntArray
    packed_: Float64Array
    used_: bool
    gain_brier_: CrossFittedGain
    gain_log_loss_: CrossFittedGain

    def __init__(
        self,
        *,
        input: Literal["proba", "logits"] = "proba",
        random_state: RandomState = 0,
    ) -> None:
        super().__init__(input=input)
        self.random_state = random_state

    @property
    def member_names(self) -> list[str]:
        """Names of the members, in the order of ``weights_``."""
        return [LABELS[int(place)] for place in self.members_]

    def _fit(self, scores: Scores, target: Float64Array, weight: Float64Array | None) -> None:
        codes = target.astype(np.intp)
        total = float(len(codes) if weight is None else weight.sum())
        self.smoothing_ = 1.0 / (total + 1.0)
        places = candidates(scores.n_samples, scores.n_classes)
        self.candidates_ = [LABELS[place] for place in places]
        large = scores.n_samples * scores.n_classes > LARGE_ELEMENTS
        step = _thinning(scores.n_samples, scores.n_classes)
        part = None if weight is None else weight[::step]
        folds = stratified_folds(
            scores.every(step), codes[::step], part, N_FOLDS, self.random_state
        )
        cells = Cells(
            scores.array[::step][folds.rows],
            scores.source,
            codes[::step][folds.rows],
            folds,
            range(1 if large else N_FOLDS),
            self.smoothing_,
        )
        with warnings.catch_warnings():  # a member that is hard to fit finds no weight
            warnings.simplefilter("ignore", ConvergenceWarning)
            logs = cells.held_out(places)
            chosen = self._weigh(cells, logs, places)
            self._keep(chosen, scores, target, weight)

    def _weigh(
        self, cells: Cells, logs: Float64Array, places: list[int]
    ) -> list[tuple[int, float]]:
        """Return the members of the final pool with their weights."""
        codes, weight, fold = cells.flat()
        uniform = np.full(len(places), 1.0 / len(places))
        weights = fit_pool(logs, codes, weight, uniform)
        pooled = np.empty(logs.shape[1:])
        for number in cells.numbers:
            held = fold == number
            single = len(cells.numbers) == 1
            inside = (
                weights
                if single
                else fit_pool(logs[:, ~held], codes[~held], weight[~held], weights)
            )
            pooled[held] = pool(list(logs[:, held]), inside, np)
        base = links.softmax(logs[0], np)
        brier = _brier(base, codes) - _brier(pooled, codes)
        rows = np.arange(len(codes))
        log = np.log(np.maximum(pooled[rows, codes], links.PROBA_FLOOR))
        log -= np.log(links.smooth(base, self.smoothing_)[rows, codes])
        self.gain_brier_, error = _gain(brier, weight)
        self.gain_log_loss_, _ = _gain(log, weight)
        nats = self.gain_log_loss_.value * float(weight.sum())
        self.used_ = self.gain_brier_.value > BRIER_ERRORS * error or nats > NATS
        if not self.used_:
            return [(0, 1.0)]
        weights = np.where(weights < LEAST_WEIGHT, 0.0, weights)
        weights /= weights.sum()
        return [(place, float(w)) for place, w in zip(places, weights, strict=True) if w > 0]

    def _keep(
        self,
        chosen: list[tuple[int, float]],
        scores: Scores,
        target: Float64Array,
        weight: Float64Array | None,
    ) -> None:
        """Fit the members to everything and keep their arrays."""
        self.members_ = np.array([place for place, _ in chosen], dtype=np.int64)
        self.weights_ = np.array([w for _, w in chosen])
        arrays: list[list[Any]] = []
        for place, _ in chosen:
            member = _member(place, scores.source)
            if member is None:
                arrays.append([])
                continue
            member.classes_ = self.classes_
            member._fit(scores.in_domain(member._domain), target, weight)
            arrays.append([getattr(member, name) for name in member._fitted])
        self.layout_, self.packed_ = pack(arrays)

    @staticmethod
    def _map(scores: Array, fitted: Mapping[str, Array], xp: Namespace) -> Array:
        source: InputKind = fitted["input"]
        logs = []
        for number, place in enumerate(int(place) for place in fitted["members_"]):
            member = _member(place, source)
            if member is None:
                proba = links.convert(scores, source, "proba", xp)
                logs.append(xp.log(xp.clip(proba, IDENTITY_FLOOR, None)))
                continue
            values = unpack(fitted["layout_"], fitted["packed_"], number)
            tables = dict(zip(member._fitted, values, strict=True))
            options = {name: getattr(member, name) for name in member._options}
            inputs = links.convert(scores, source, member._domain, xp)
            proba = type(member)._map(inputs, {**tables, **options}, xp)
            logs.append(xp.log(links.smooth(proba, fitted["smoothing_"])))
        return pool(logs, fitted["weights_"], xp)


@dataclass(frozen=True)
class Cells:
    """Distinct samples of the choice, shared out among folds."""

    array: Array
    source: InputKind
    codes: IntArray
    folds: Folds
    numbers: range
    smoothing: float

    def held_out(self, places: list[int]) -> Float64Array:
        """Return log-probabilities of the candidates, (n_candidates, n_pairs, n_classes).

        Pairs of fold and cell, fold after fold, as in `flat`.
        """
        out = []
        for place in places:
            parts = []
            for number in self.numbers:
                held = self.folds.weight[:, number] > 0
                parts.append(self._predict(place, self.folds.train(number), held))
            out.append(np.concatenate(parts))
        return np.stack(out)

    def flat(self) -> tuple[IntArray, Float64Array, IntArray]:
        """Return class, weight and fold of every pair."""
        cell, fold = [], []
        for number in self.numbers:
            found = np.flatnonzero(self.folds.weight[:, number] > 0)
            cell.append(found)
            fold.append(np.full(len(found), number))
        rows, numbers = np.concatenate(cell), np.concatenate(fold)
        return self.codes[rows], self.folds.weight[rows, numbers], numbers

    def _predict(self, place: int, weight: Float64Array, held: Array) -> Float64Array:
        new = Scores(self.array[held], self.source, "declared")
        identity = np.log(np.clip(new.in_domain("proba").dense(), IDENTITY_FLOOR, None))
        member = _member(place, self.source)
        train = weight > 0
        codes = self.codes[train]
        if member is None or len(codes) < 2 or codes.min() == codes.max():
            return identity
        member.classes_ = np.arange(new.n_classes)
        scores = Scores(self.array[train], self.source, member._domain)
        w = weight[train]
        target: Any = codes
        member._fit(scores, target, None if (w == 1.0).all() else w)
        fitted = {**member._fitted_values(), **{k: getattr(member, k) for k in member._options}}
        fitted = {k: v if isinstance(v, str) else np.asarray(v) for k, v in fitted.items()}
        proba = type(member)._map(new.in_domain(member._domain).dense(), fitted, np)
        return np.asarray(np.log(links.smooth(proba, np.asarray(self.smoothing))))


def candidates(n_samples: int, n_classes: int) -> list[int]:
    """Return places in the table of what is worth fitting at this size."""
    names: tuple[str, ...]
    if n_classes == 2:
        names = TWO
    elif n_classes > HUGE_CLASSES:
        names = HUGE
    else:
        names = LARGE if n_samples * n_classes > LARGE_ELEMENTS else MANY
    return [LABELS.index(name) for name in names]


def _thinning(n_samples: int, n_classes: int) -> int:
    """Return the step of the subsample on which the choice is made."""
    rows = max(CHOICE_ELEMENTS // n_classes, CHOICE_ROWS_PER_CLASS * n_classes)
    return max(1, n_samples // rows)


def _member(place: int, source: InputKind) -> BaseCalibrator | None:
    """Return an unfitted member, None for the identity."""
    _, method, params = CATALOGUE[place]
    return None if method is None else method(input=source, **params)


def _brier(proba: Float64Array, codes: IntArray) -> Float64Array:
    own = proba[np.arange(len(codes)), codes]
    return np.asarray((proba**2).sum(axis=1) - 2.0 * own + 1.0)


def _gain(values: Float64Array, weight: Float64Array) -> tuple[CrossFittedGain, float]:
    """Return the weighted mean with its interval, and its standard error."""
    total = float(weight.sum())
    mean = float(values @ weight) / total
    error = float(np.sqrt((values - mean) ** 2 @ weight / total / max(total, 1.0)))
    return CrossFittedGain(mean, mean - 1.96 * error, mean + 1.96 * error), error
