"""The default that does no harm: a cross-fitted pool of calibration maps and the identity."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from calib._border.arrays import PROBA_FLOOR
from calib._border.checks import check_option
from calib._border.typing import Array, Float64Array, InputKind, IntArray, Namespace, RandomState
from calib._core import links
from calib._core.estimators.folds import stratified_folds
from calib._core.fitted_map import SHARE, FittedArray, MapTraits
from calib._core.rows import Rows
from calib.base import BaseCalibrator
from calib.calibrators.auto.candidates import (
    EMPIRICAL_BAYES,
    LABELS,
    Pool,
    Strategy,
    spoken_name,
    strategy,
    unfitted,
)
from calib.calibrators.auto.cross_fitting import ClassCells
from calib.calibrators.auto.pooling import (
    MOST_DIMENSIONS,
    check_layout,
    fit_pool,
    pack,
    pool,
    unpack,
)
from calib.progress import Progress

N_FOLDS = 5
#: Probability that the identity reserves for all classes together, and the same in units of
#: ``1 / (n + 1)``: the smaller counts. Only rows that all but exclude a class change.
IDENTITY_FLOOR, FLOOR_SHARE = 2e-5, 0.2
#: A pool is used if the evidence for it exceeds so many nats.
NATS = 1.25
#: Largest change of a probability that keeps apart what rounding would make equal.
TIE = 1e-10


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

    No single map is safe: those that win on average make a fifth of all models worse. This
    calibrator fits the winners, weights them together with the uncalibrated scores on out-of-fold
    predictions of the calibration set, and keeps the scores as they are unless the combination is
    better beyond chance. Its printed form says what it chose. It is the default of
    `CalibratedClassifier` and of the command line.

    Parameters
    ----------
    input : {"proba", "logits"}, default="proba"
        What `X` holds; see `BaseCalibrator`.
    rank_preserving : bool, default=False
        Whether to use only maps that keep the order of the scores: with two classes the order of
        the samples, and so the AUROC, with more the order of the classes in every row, and so the
        accuracy. It costs gain wherever classes are confused in a way that labels show.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the folds.
    verbose : bool, default=False
        Whether to say on the error stream which map is being fitted: on a terminal with tqdm a bar
        that appears after two seconds, elsewhere a line per step. A fit to 5,000 samples of 100
        classes takes about 10 seconds.

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
    gain_nats_ : float
        Total improvement in log loss over the samples that it was judged on.
    smoothing_ : float
        Share of the uniform distribution mixed into every member but the identity.
    floor_ : float
        Smallest probability that the identity passes on.
    layout_, packed_ : ndarray
        Fitted arrays of the members, one after the other, and where each lies.
    unit_ : float
        Number that logits are divided by first: 1 unless they are on another scale than
        log-probabilities (decision scores), then their standard deviation.
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
    MatrixScalingCalibrator, SplineCalibrator, VennAbersCalibrator : members on their own.

    Notes
    -----
    The pool is log-linear: ``p ~ prod_m p_m^(w_m)``, normalised. Its weights minimise the total
    log loss of five-fold out-of-fold predictions over the simplex, plus half of `pull` times their
    squared distance from weights that served well elsewhere (convex; the pull is 10 nats for two
    classes, 3 for more, so it matters where labels are few). Then the weights are refitted without
    each fold in turn, which gives the gain in total log-likelihood over the scores (smoothed by
    ``1 / (n + 1)``), and that of a small pool: `EmpiricalBayesCalibrator` for two classes,
    the identity, a temperature and vector scaling for more.

    * **Two classes:** the pool is used if the larger gain and the logarithm of the Bayes factor of
      the empirical Bayes map against the scores as they are have a mean above 1.25 nats. One of
      the two knows the prior, the other does not; each is noise alone where labels are few.
    * **More:** it is used if either gain is above 1.25 nats. Up to five samples a class (or K / 5,
      if that is more) it must also beat the small pool by K / 5 nats, or that one is used.

    Members are finally fitted to all samples; what smoothing of the input they choose there is
    used in the folds too. Samples with equal scores and class count as one with the sum of their
    weights, shared out among folds, so integer weights equal repetition.

    Even where scores are left alone, probabilities below ``floor_``, at most
    ``0.2 / (K (n + 1))``, are raised to it, so that no log loss is infinite; rows without any are
    returned as they came. With two classes, what that and other bounds make equal is kept apart by
    1e-10 in the order of the scores. Beyond 50 classes matrices have 20 shared directions, unless
    there are more than 20 samples a class. From 200,000 scores (or 8,000 samples, if that is more;
    10,000 of two classes) on, the choice is made on a systematic subsample; from two million on,
    with fewer maps and fitted to one fold less only, whose samples are shared out for the weights.

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
    >>> AutoCalibrator().fit([0.1, 0.2, 0.3, 0.6, 0.7, 0.9], [0, 0, 1, 0, 1, 1])
    AutoCalibrator(): scores left alone; the best pool gains -0.53 nats
    """

    traits: ClassVar[MapTraits] = MapTraits(
        arrays={
            "members_": FittedArray(
                ("members",),
                low=0,
                high=len(LABELS) - 1,
                integer=True,
                static=True,
                names=LABELS,
            ),
            "weights_": FittedArray(("members",), above=0.0, high=1.0, total=1.0),
            "smoothing_": SHARE,
            "floor_": SHARE,
            "layout_": FittedArray(
                ("arrays", 3 + MOST_DIMENSIONS), low=0, integer=True, empty=True, static=True
            ),
            "packed_": FittedArray(("numbers",), low=-np.inf, high=np.inf),  # see `check_map`
        },
        domain="declared",
        double=True,
        block_rows=4096,
        rescales_from=2,
    )

    candidates_: list[str]
    members_: IntArray
    weights_: Float64Array
    smoothing_: float
    floor_: float
    layout_: IntArray
    packed_: Float64Array
    used_: bool
    gain_brier_: CrossFittedGain
    gain_log_loss_: CrossFittedGain
    gain_nats_: float

    def __init__(
        self,
        *,
        input: Literal["proba", "logits"] = "proba",
        rank_preserving: bool = False,
        random_state: RandomState = 0,
        verbose: bool = False,
    ) -> None:
        super().__init__(input=input)
        self.rank_preserving = rank_preserving
        self.random_state = random_state
        self.verbose = verbose

    @property
    def choice(self) -> str:
        """What was chosen, in words: members with their weights, and the gain."""
        gain = getattr(self, "gain_nats_", None)  # files do not hold it
        if self.member_names == ["identity"]:
            text = "scores left alone"
            return text if gain is None else f"{text}; the best pool gains {gain:.2g} nats"
        pairs = zip(self.member_names, self.weights_, strict=True)
        text = ", ".join(f"{spoken_name(name)} {weight:.2f}" for name, weight in pairs)
        return text if gain is None else f"{text}; gain {gain:.3g} nats"

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        """Return the parameters and, once fitted, what was chosen."""
        text = str(super().__repr__(N_CHAR_MAX))
        return f"{text}: {self.choice}" if hasattr(self, "members_") else text

    @property
    def member_names(self) -> list[str]:
        """Names of the members, in the order of ``weights_``."""
        return [LABELS[int(place)] for place in self.members_]

    def _fit_rows(self, rows: Rows) -> None:
        check_option("rank_preserving", self.rank_preserving, (True, False))
        check_option("verbose", self.verbose, (True, False))
        self.smoothing_ = 1.0 / (rows.total + 1.0)
        self.floor_ = min(IDENTITY_FLOOR, FLOOR_SHARE * self.smoothing_) / rows.n_classes
        tried = strategy(
            rows.n_samples, rows.total, rows.n_classes, rank_preserving=self.rank_preserving
        )
        places = tried.places
        self.candidates_ = [LABELS[place] for place in places]
        thin = rows.every(tried.step)
        scores, codes = thin.part.scores, thin.part.target.astype(np.intp)
        folds = stratified_folds(
            scores, codes, thin.part.weight, N_FOLDS, self.random_state, soft=thin.soft
        )
        cells = ClassCells(
            scores.array[folds.rows],
            scores.source,
            codes[folds.rows],
            folds,
            range(1 if tried.large else N_FOLDS),
            self.smoothing_,
            self.floor_,
            scores.unit,
        )
        n_steps = (1 if tried.large else 2) * len(places) + 2
        with (
            Progress(n_steps, shown=bool(self.verbose)) as progress,
            warnings.catch_warnings(),  # a member that is hard to fit finds no weight
        ):
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted: dict[int, BaseCalibrator | None] = {}
            if not tried.large:
                for place in places:
                    progress.step(f"fitting {LABELS[place]}")
                    fitted[place] = self._member(place, thin)
            logs = cells.held_out(places, fitted, progress)
            progress.step("weighing")
            chosen = self._weigh(cells, logs, tried, fitted.get(EMPIRICAL_BAYES))
            progress.step("fitting all samples")
            if tried.large or tried.step > 1:
                fitted = {p: self._member(p, rows) for p, _ in chosen}
            self._keep(chosen, fitted)

    def _weigh(
        self,
        cells: ClassCells,
        logs: Float64Array,
        tried: Strategy,
        learnt: BaseCalibrator | None,
    ) -> list[tuple[int, float]]:
        """Return the members of the final pool with their weights."""
        codes, weight, fold = cells.flat()
        if len(cells.numbers) == 1:  # the held-out samples themselves are shared out
            fold = np.arange(len(codes)) % N_FOLDS
        base = links.softmax(logs[0], np)
        rows = np.arange(len(codes))
        own = np.log(links.smooth(base, self.smoothing_)[rows, codes])

        def judged(pool: Pool) -> _Judged:
            members = logs[[tried.places.index(place) for place in pool.places]]
            weights, pooled = _cross_fitted(pool, members, codes, weight, fold)
            log = np.log(np.maximum(pooled[rows, codes], PROBA_FLOOR)) - own
            return _Judged(pool, weights, log, _brier(base, codes) - _brier(pooled, codes))

        rich, small = judged(tried.rich), judged(tried.small)
        nats = [float(weight @ one.log) for one in (rich, small)]
        used = rich if nats[0] > max(NATS, nats[1] + tried.margin) else small
        if tried.margin < 0 and max(nats) > NATS:  # the small pool vouches for the rich one
            used = rich
        evidence = max(nats)
        if learnt is not None and len(self.classes_) == 2:
            used = rich
            evidence = 0.5 * (evidence + float(learnt.log_evidence_[0]) - float(weight @ own))
        self.used_ = evidence > NATS
        self.gain_brier_, self.gain_log_loss_ = (
            gain_of(values, weight) for values in (used.brier, used.log)
        )
        self.gain_nats_ = float(weight @ used.log)
        if not self.used_:
            return [(0, 1.0)]
        weights = np.where(used.weights < tried.least_weight, 0.0, used.weights)
        weights /= weights.sum()
        return [(p, float(w)) for p, w in zip(used.pool.places, weights, strict=True) if w > 0]

    def _member(self, place: int, rows: Rows) -> BaseCalibrator | None:
        """Return a fitted member, None for the identity."""
        member = unfitted(place, rows.source)
        if member is not None:
            member.fit_member(rows, classes=self.classes_)
        return member

    def _keep(
        self, chosen: list[tuple[int, float]], fitted: Mapping[int, BaseCalibrator | None]
    ) -> None:
        """Keep the arrays of the chosen members."""
        self.members_ = np.array([place for place, _ in chosen], dtype=np.int64)
        self.weights_ = np.array([w for _, w in chosen])
        members = [fitted[place] for place, _ in chosen]
        arrays: list[list[Any]] = [
            [] if member is None else [*member.fitted_map.arrays.values()] for member in members
        ]
        self.layout_, self.packed_ = pack(arrays)

    def check_map(self) -> None:
        """Raise a `ValueError` unless the fitted values can be those of a fit."""
        super().check_map()
        if len(set(self.members_.tolist())) < len(self.members_):
            raise ValueError("members_ must be distinct")
        if self.floor_ * len(self.classes_) > 1.0:
            raise ValueError(f"floor_ must be at most 1 / K; got {self.floor_:g}")
        check_layout(self.layout_, self.packed_, len(self.members_))
        for number, place in enumerate(self.members_.tolist()):
            member = _restored(place, self.input, unpack(self.layout_, self.packed_, number))
            if member is not None:
                member.classes_, member.n_features_in_ = self.classes_, self.n_features_in_
                member.check_map()

    @staticmethod
    def _map(scores: Array, fitted: Mapping[str, Array], xp: Namespace) -> Array:
        source: InputKind = fitted["input"]
        logs = []
        places = [int(place) for place in fitted["members_"]]
        if places == [0]:  # to the last digit, unless something is excluded
            proba = links.convert(scores, source, "proba", xp)
            raised = xp.maximum(proba, xp.zeros_like(proba) + fitted["floor_"])
            least = xp.min(proba, axis=1, keepdims=True)
            raised = raised / xp.sum(raised, axis=1, keepdims=True)
            raised = _kept_apart(raised, scores, source, xp)
            return xp.where(least < fitted["floor_"], raised, proba)
        for number, place in enumerate(places):
            values = unpack(fitted["layout_"], fitted["packed_"], number)
            member = _restored(place, source, values)
            if member is None:
                proba = links.convert(scores, source, "proba", xp)
                logs.append(xp.log(xp.maximum(proba, xp.zeros_like(proba) + fitted["floor_"])))
                continue
            proba = member.fitted_map.evaluate(scores, source, xp)
            logs.append(xp.log(links.smooth(proba, fitted["smoothing_"])))
        return _kept_apart(pool(logs, fitted["weights_"], xp), scores, source, xp)


def _kept_apart(proba: Array, scores: Array, source: InputKind, xp: Namespace) -> Array:
    """Order the samples of two classes that a bound or a step made equal as their scores do."""
    if proba.shape[1] > 2:
        return proba
    s = links.binary_log_odds(links.convert(scores, source, "logits", xp))
    side = s / (1.0 + xp.abs(s))
    mark = xp.stack([0.5 - 0.5 * side, 0.5 + 0.5 * side], axis=1)
    return (1.0 - TIE) * proba + TIE * mark


@dataclass(frozen=True)
class _Judged:
    """A pool with its weights, and its gains over the scores where it was not fitted."""

    pool: Pool
    weights: Float64Array
    log: Float64Array
    brier: Float64Array


def _cross_fitted(
    pool_of: Pool, logs: Float64Array, codes: IntArray, weight: Float64Array, fold: IntArray
) -> tuple[Float64Array, Float64Array]:
    """Return the weights of a pool, and what it says of samples that they were not fitted to."""
    weights = fit_pool(logs, codes, weight, pool_of.centre, pool_of.pull)
    pooled = np.empty(logs.shape[1:])
    for number in np.unique(fold):
        held = fold == number
        rest = (logs[:, ~held], codes[~held], weight[~held])
        pooled[held] = pool(list(logs[:, held]), fit_pool(*rest, pool_of.centre, pool_of.pull), np)
    return weights, pooled


def _restored(place: int, source: InputKind, values: list[Any]) -> BaseCalibrator | None:
    """Return a fitted member, of the namespace of its arrays; None for the identity."""
    member = unfitted(place, source)
    names = () if member is None else tuple(member.traits.arrays)
    if len(values) != len(names):
        raise ValueError(f"layout_ must give {LABELS[place]} the arrays {list(names)}")
    for name, value in zip(names, values, strict=True):
        setattr(member, name, value)
    return member


def _brier(proba: Float64Array, codes: IntArray) -> Float64Array:
    own = proba[np.arange(len(codes)), codes]
    return np.asarray((proba**2).sum(axis=1) - 2.0 * own + 1.0)


def gain_of(values: Float64Array, weight: Float64Array) -> CrossFittedGain:
    """Return the weighted mean with its interval."""
    total = float(weight.sum())
    mean = float(values @ weight) / total
    error = float(np.sqrt((values - mean) ** 2 @ weight / total / max(total, 1.0)))
    return CrossFittedGain(mean, mean - 1.96 * error, mean + 1.96 * error)
