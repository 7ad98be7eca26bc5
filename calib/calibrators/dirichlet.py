"""Dirichlet calibration: a linear map of log-probabilities with cross-validated penalties."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from calib._border.arrays import PROBA_FLOOR
from calib._border.checks import check_integer, describe
from calib._border.typing import Float64Array, LabelArray, RandomState
from calib._core.estimators.folds import stratified_folds
from calib._core.estimators.targets import class_target
from calib._core.fitted_map import FittedArray, MapTraits
from calib._core.multinomial import Kept, LinearForm, Logits, MultinomialProblem, softmax_loss
from calib._core.rows import LocalRows, Rows, rescored
from calib._core.scores import Scores
from calib.calibrators.linear_maps import LINEAR_MAP, NO_PENALTY, LinearMapCalibrator, LinearStart

#: Penalties that cross-validation chooses from.
GRID = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
#: Penalty with which smoothing of the input is chosen, before cross-validation.
MIDDLE = 1e-3
#: Elements of the scores that cross-validation works on; larger sets are thinned.
SEARCH_ELEMENTS = 400_000
#: Standard errors by which weaker penalties have to fit worse before none weaker are tried.
BEYOND_NOISE = 3.0
#: Masked classes count as probabilities of ``n_classes ** -MASKED_POWER`` at the best temperature.
MASKED_POWER = 2.0
#: Predicted decrease of the loss at which a fit of the search ends.
SEARCH_TOLERANCE = 1e-9


def _earlier_fill(fitted: Mapping[str, Any]) -> float:
    """Return the logarithm that files of earlier versions read a masked class as."""
    return float(np.log(PROBA_FLOOR))


class DirichletCalibrator(LinearMapCalibrator):
    """Dirichlet calibration with off-diagonal and intercept regularisation (ODIR).

    The map that is right if the probabilities of each class follow a Dirichlet distribution: a full
    linear map of the log-probabilities. Prefer `MatrixScalingCalibrator`, which has the same form,
    scales its penalties with the data, needs no cross-validation and ranks higher in the public
    benchmark; this one is for comparison and for reproducing published results.

    Parameters
    ----------
    input : {"proba", "logits"}, default="proba"
        What `X` holds; see `BaseCalibrator`.
    penalty : "cv" or float >= 0, default="cv"
        Factor of the squared off-diagonal coefficients and of the squared intercepts in the mean
        log loss. ``"cv"`` chooses both from 1e-1 to 1e-5 by the log loss of left-out folds.
    n_folds : int >= 2, default=5
        Number of stratified folds.
    smooth_input : {"auto", True, False}, default="auto"
        Whether to mix the probabilities with the uniform distribution first, at the share that
        `TemperatureCalibrator` chooses, where the map then fits better than without. ``"auto"``
        does so for ``input="proba"``.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the folds.

    Attributes
    ----------
    penalty_ : tuple of two floats
        Penalties of the off-diagonal coefficients and of the intercepts.
    temperature_, tempered_smoothing_ : float
        1 and 0: there is no temperature.
    input_smoothing_ : float
        Share of the uniform distribution mixed into the input.
    masked_log_proba_ : float
        What the map reads as log-probability of a masked class, < 0; its output is 0 where the
        logit is minus infinity.
    coef_ : ndarray of shape (n_classes, n_classes)
        Matrix of the map.
    intercept_ : ndarray of shape (n_classes,)
        Shift of every class.
    smoothing_ : float
        Share of the uniform distribution mixed in at the end, ``1 / (n + 1)``.
    n_evaluations_ : int
        Passes over the data of the final fit.
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
        At fit, for input that `BaseCalibrator.fit` refuses, or an impossible parameter.

    Warns
    -----
    ConvergenceWarning
        If the solver does not meet its tolerance.

    See Also
    --------
    MatrixScalingCalibrator : penalties that follow from the number of samples.

    Notes
    -----
    Minimises the mean log loss of ``softmax(W log p + b)`` plus ``l |offdiag W|^2 + m |b|^2``. The
    search thins sets of more than 400,000 scores and tries the 25 pairs from strong to weak, each
    started at its neighbour's solution. It ends at an `l` whose best pair fits left-out samples
    worse than the best so far by three standard errors of the (paired) difference. The
    cost of a search grows as ``n K^3``.

    A masked class (its logit is minus infinity, or a thousand and more below the largest) has no
    probability in the fit. What the others read of it, through the columns of W, is the logarithm
    of ``K^-2`` at the best temperature: of an unlikely class, not of one that lies far outside the
    range of all others.

    References
    ----------
    M. Kull, M. Perello-Nieto, M. Kängsepp, T. Silva Filho, H. Song, P. Flach. Beyond temperature
    scaling: Obtaining well-calibrated multiclass probabilities with Dirichlet calibration. NeurIPS
    2019. arXiv:1910.12656

    Examples
    --------
    >>> from calib import DirichletCalibrator
    >>> from calib.datasets import load_digits_scores
    >>> scores = load_digits_scores()
    >>> cal = DirichletCalibrator(input="logits", penalty=1e-2)
    >>> cal.fit(scores.logits_cal, scores.y_cal).penalty_
    (0.01, 0.01)
    """

    traits: ClassVar[MapTraits] = MapTraits(
        arrays={
            **LINEAR_MAP,
            "masked_log_proba_": FittedArray(high=0.0, absent=_earlier_fill),
        },
        rescales_from=2,
    )
    structured: ClassVar[bool] = False  # type: ignore[misc]

    penalty_: tuple[float, float]
    masked_log_proba_: float

    def __init__(
        self,
        *,
        input: Literal["proba", "logits"] = "proba",
        penalty: Literal["cv"] | float = "cv",
        n_folds: int = 5,
        smooth_input: Literal["auto", True, False] = "auto",
        random_state: RandomState = 0,
    ) -> None:
        super().__init__(input=input)
        self.penalty = penalty
        self.n_folds = n_folds
        self.smooth_input = smooth_input
        self.random_state = random_state

    def _fit_rows(self, rows: Rows) -> None:
        check_integer("n_folds", self.n_folds, low=2)
        number = isinstance(self.penalty, (int, float)) and not isinstance(self.penalty, bool)
        if self.penalty != "cv" and not (number and 0 <= float(self.penalty) < np.inf):
            raise ValueError(f"penalty must be 'cv' or >= 0; got {describe(self.penalty)}")
        search = self.penalty == "cv"
        self.penalty_ = (MIDDLE, MIDDLE) if search else (float(self.penalty), float(self.penalty))
        start = self._start(rows)
        if search:
            bounded = rows.mapped(rescored, Scores.smoothed, start.input_smoothing)
            self.penalty_ = self._search(start, bounded)
            start = start.posed(self._problem(start.problem.rows, rows.n_classes, rows.total))
        fit = self._kept(start.solved())
        x = fit.x
        self.intercept_, self.coef_ = x[:, 0].copy(), np.eye(len(x)) + x[:, 1:]

    def _of_masked_classes(self, temperature: float, n_classes: int) -> float:
        self.masked_log_proba_ = -MASKED_POWER * temperature * float(np.log(n_classes))
        return self.masked_log_proba_

    def _problem(self, rows: Rows, n_classes: int, total: float) -> MultinomialProblem:
        return _problem(rows, n_classes, self.penalty_, self.masked_log_proba_)

    def _search(self, start: LinearStart, rows: Rows) -> tuple[float, float]:
        """Return the pair of penalties with the smallest cross-validated log loss."""
        step = max(1, rows.n_samples * rows.n_classes // SEARCH_ELEMENTS)
        part, source = rows.every(step).part, start.problem.rows.every(step).part.source
        target = class_target(part.target)
        folds = stratified_folds(part.scores, target, part.weight, self.n_folds, self.random_state)
        z = source.block(slice(0, part.n_samples))[folds.rows]
        target = target[folds.rows] if folds.shares is None else folds.shares
        shared = [(folds.train(fold), folds.weight[:, fold]) for fold in range(self.n_folds)]
        x = start.problem.scaled(start.scale)
        paths = [
            _Path(z, target, inside, held, self.masked_log_proba_, x)
            for inside, held in shared
            if inside.any() and held.any()
        ]
        return _least_loss(paths) if paths else (GRID[0], GRID[0])


@dataclass
class _Path:
    """One fold, and the map fitted without it to the latest pair of penalties.

    Attributes
    ----------
    z : ndarray of shape (n_cells, n_classes)
    target : ndarray of int, shape (n_cells,), or of shape (n_cells, n_classes)
        Class of each cell, or the share of every class.
    inside, held : ndarray of shape (n_cells,)
        Weight of each row outside and inside the fold.
    masked : float
        What stands for the logits of masked classes.
    x : ndarray of shape (n_classes, 1 + n_classes)
    """

    z: Float64Array
    target: LabelArray
    inside: Float64Array
    held: Float64Array
    masked: float
    x: Float64Array

    def losses(self, a: float, intercepts: Sequence[float]) -> Float64Array:
        """Return log losses of the rows of the fold, shape (n_intercepts, n_held)."""
        train, test = self.inside > 0, self.held > 0
        seen = LocalRows(Logits(Kept(self.z[train]), self.target[train], self.inside[train]))
        z, target, curvature = self.z[test], self.target[test], None
        out = np.empty((len(intercepts), len(z)))
        for number, b in enumerate(intercepts):
            problem = _problem(seen, z.shape[1], (a, b), self.masked)
            curvature = problem.curvature(self.x) if curvature is None else curvature
            minimum = problem.solve(self.x, tolerance=SEARCH_TOLERANCE, curvature=curvature)
            self.x = minimum.x.reshape(self.x.shape)
            _, out[number] = softmax_loss(problem.form.linear(self.x, z), target)
        return out


def _least_loss(paths: list[_Path]) -> tuple[float, float]:
    """Return the pair of the smallest loss, from strong penalties to weak, neighbours in turn."""
    weight = np.concatenate([path.held[path.held > 0] for path in paths])
    chosen, least = (GRID[0], GRID[0]), None
    for turn, a in enumerate(GRID):
        order = GRID if turn % 2 == 0 else GRID[::-1]
        losses = np.concatenate([path.losses(a, order) for path in paths], axis=1)
        best = int(np.argmin(losses @ weight))
        excess = np.zeros(len(weight)) if least is None else losses[best] - least
        if weight @ excess > BEYOND_NOISE * np.sqrt(weight @ excess**2):
            break
        if least is None or weight @ excess < 0:
            chosen, least = (a, order[best]), losses[best]
    return chosen


def _problem(
    rows: Rows, n_classes: int, pair: tuple[float, float], masked: float
) -> MultinomialProblem:
    penalty = np.full((n_classes, n_classes + 1), max(pair[0], NO_PENALTY))
    penalty[:, 0] = max(pair[1], NO_PENALTY)
    own = np.arange(n_classes)
    penalty[own, 1 + own] = NO_PENALTY
    return MultinomialProblem(rows, penalty, LinearForm(full=True, masked=masked))
