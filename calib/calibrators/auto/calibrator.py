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
from calib.calibrators.auto.cross_fitting import (
    LABELS,
    ClassCells,
    candidates,
    is_large,
    thinning,
    unfitted,
)
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
#: The pool is used if its cross-fitted gain in total log-likelihood exceeds so many nats.
NATS = 2.0
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
    verbose : bool, default=False
        Whether to say on the error stream which map is being fitted: on a terminal with tqdm a bar
        that appears after two seconds, elsewhere a line per step. A fit to 10,000 samples of 100
        classes takes about 20 seconds.

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
    The pool is log-linear: ``p ~ prod_m p_m^(w_m)``, normalised. Its weights minimise the log loss
    of five-fold out-of-fold predictions over the simplex (a convex problem). Then the weights are
    refitted without each fold in turn; unless the total log-likelihood that results is more than
    two nats above that of the scores (smoothed by ``1 / (n + 1)``), the identity alone is kept.
    Members are finally fitted to all samples; what smoothing of the input they choose there is
    used in the folds too. Samples with equal scores and class count as one with the sum of their
    weights, shared out among folds, so integer weights equal repetition.

    Even where scores are left alone, probabilities below ``floor_``, at most
    ``0.2 / (K (n + 1))``, are raised to it, so that no log loss is infinite; rows without any are
    returned as they came. From 100,000 scores (or 4,000 samples, if that is more) on, the choice is
    made on a systematic subsample; from two million on, with fewer maps and fitted to one fold less
    only, whose samples are shared out for the weights.

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
            "packed_": FittedArray(("numbers",)),
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

    def __init__(
        self,
        *,
        input: Literal["proba", "logits"] = "proba",
        random_state: RandomState = 0,
        verbose: bool = False,
    ) -> None:
        super().__init__(input=input)
        self.random_state = random_state
        self.verbose = verbose

    @property
    def member_names(self) -> list[str]:
        """Names of the members, in the order of ``weights_``."""
        return [LABELS[int(place)] for place in self.members_]

    def _fit_rows(self, rows: Rows) -> None:
        check_option("verbose", self.verbose, (True, False))
        self.smoothing_ = 1.0 / (rows.total + 1.0)
        self.floor_ = min(IDENTITY_FLOOR, FLOOR_SHARE * self.smoothing_) / rows.n_classes
        places = candidates(rows.n_samples, rows.n_classes)
        self.candidates_ = [LABELS[place] for place in places]
        large = is_large(rows.n_samples, rows.n_classes)
        step = thinning(rows.n_samples, rows.n_classes)
        thin = rows.every(step)
        scores, codes = thin.part.scores, thin.part.target.astype(np.intp)
        folds = stratified_folds(scores, codes, thin.part.weight, N_FOLDS, self.random_state)
        cells = ClassCells(
            scores.array[folds.rows],
            scores.source,
            codes[folds.rows],
            folds,
            range(1 if large else N_FOLDS),
            self.smoothing_,
            self.floor_,
            scores.unit,
        )
        n_steps = (1 if large else 2) * len(places) + 2
        with (
            Progress(n_steps, shown=bool(self.verbose)) as progress,
            warnings.catch_warnings(),  # a member that is hard to fit finds no weight
        ):
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted: dict[int, BaseCalibrator | None] = {}
            if not large:
                for place in places:
                    progress.step(f"fitting {LABELS[place]}")
                    fitted[place] = self._member(place, thin)
            logs = cells.held_out(places, fitted, progress)
            progress.step("weighing")
            chosen = self._weigh(cells, logs, places)
            progress.step("fitting all samples")
            if large or step > 1:
                fitted = {p: self._member(p, rows) for p, _ in chosen}
            self._keep(chosen, fitted)

    def _weigh(
        self, cells: ClassCells, logs: Float64Array, places: list[int]
    ) -> list[tuple[int, float]]:
        """Return the members of the final pool with their weights."""
        codes, weight, fold = cells.flat()
        uniform = np.full(len(places), 1.0 / len(places))
        weights = fit_pool(logs, codes, weight, uniform)
        pooled = np.empty(logs.shape[1:])
        if len(cells.numbers) == 1:  # the held-out samples themselves are shared out
            fold = np.arange(len(codes)) % N_FOLDS
        for number in np.unique(fold):
            held = fold == number
            inside = fit_pool(logs[:, ~held], codes[~held], weight[~held], weights)
            pooled[held] = pool(list(logs[:, held]), inside, np)
        base = links.softmax(logs[0], np)
        brier = _brier(base, codes) - _brier(pooled, codes)
        rows = np.arange(len(codes))
        log = np.log(np.maximum(pooled[rows, codes], PROBA_FLOOR))
        log -= np.log(links.smooth(base, self.smoothing_)[rows, codes])
        self.gain_brier_, self.gain_log_loss_ = _gain(brier, weight), _gain(log, weight)
        self.used_ = self.gain_log_loss_.value * float(weight.sum()) > NATS
        if not self.used_:
            return [(0, 1.0)]
        weights = np.where(weights < LEAST_WEIGHT, 0.0, weights)
        weights /= weights.sum()
        return [(place, float(w)) for place, w in zip(places, weights, strict=True) if w > 0]

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
        return pool(logs, fitted["weights_"], xp)


def _restored(place: int, source: InputKind, values: list[Any]) -> BaseCalibrator | None:
    """Return a fitted member, of the namespace of its arrays; None for the identity."""
    member = unfitted(place, source)
    names = () if member is None else tuple(member.traits.arrays)
    if len(values) != len(names):
        raise ValueError(f"{LABELS[place]} needs the arrays {list(names)}")
    for name, value in zip(names, values, strict=True):
        setattr(member, name, value)
    return member


def _brier(proba: Float64Array, codes: IntArray) -> Float64Array:
    own = proba[np.arange(len(codes)), codes]
    return np.asarray((proba**2).sum(axis=1) - 2.0 * own + 1.0)


def _gain(values: Float64Array, weight: Float64Array) -> CrossFittedGain:
    """Return the weighted mean with its interval."""
    total = float(weight.sum())
    mean = float(values @ weight) / total
    error = float(np.sqrt((values - mean) ** 2 @ weight / total / max(total, 1.0)))
    return CrossFittedGain(mean, mean - 1.96 * error, mean + 1.96 * error)
