"""A map of two probabilities with a prior that was learnt from many trained models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from calib._border.arrays import PROBA_FLOOR
from calib._border.typing import Array, Float64Array, Namespace
from calib._core import links
from calib._core.fitted_map import NUMBER, SHARE, FittedArray, MapTraits
from calib._core.logistic import (
    LOG_TWO,
    Odds,
    Regressions,
    centred_logarithms,
    confined_problems,
    mean_loss,
    minimize_on,
    warn_of_classes,
)
from calib._core.newton import Objective
from calib._core.rows import Rows
from calib.base import BaseCalibrator


@dataclass(frozen=True)
class PriorComponent:
    """One kind of model: how its log-odds are read, and which maps are likely for it.

    Attributes
    ----------
    share : float
        Share of the uniform distribution mixed into the probabilities first, in (0, 1).
    probability : float
        How common the kind is.
    slope, slope_sd : float
        Mean and standard deviation of the logarithm of the slope.
    bend_sd : float
        Standard deviation of the logarithm of the ratio of the two slopes, whose mean is 0.
    shift_sd : float
        Standard deviation of the log-odds that 1/2 becomes, whose mean is 0.
    correlation : float
        Of bend and shift.
    """

    share: float
    probability: float
    slope: float
    slope_sd: float
    bend_sd: float
    shift_sd: float
    correlation: float

    @property
    def mean(self) -> Float64Array:
        """Mean of (slope, bend, shift)."""
        return np.array([self.slope, 0.0, 0.0])

    @property
    def precision(self) -> Float64Array:
        """Inverse of their covariance, (3, 3)."""
        both = self.correlation * self.bend_sd * self.shift_sd
        covariance = np.diag([self.slope_sd**2, self.bend_sd**2, self.shift_sd**2])
        covariance[1, 2] = covariance[2, 1] = both
        return np.asarray(np.linalg.inv(covariance))


#: What ``python -m benchmarks.learnt_prior`` found.
PRIOR = (
    PriorComponent(1e-30, 0.198, -0.317, 1.91, 2.71, 2.79, 0.674),
    PriorComponent(0.001, 0.417, 0.452, 0.823, 0.641, 0.342, 0.231),
    PriorComponent(0.02, 0.0721, 0.164, 0.74, 0.802, 1.82, -0.0811),
    PriorComponent(0.1, 0.313, 0.0807, 0.408, 0.823, 0.319, 0.281),
)

#: Slope, bend and shift in the logarithms of the factors a and b.
EXPONENTS = np.array([[1.0, 0.5, 0.0], [1.0, -0.5, 0.0]])


@dataclass(frozen=True)
class Posterior:
    """The maps of all kinds of models, given the labels.

    Attributes
    ----------
    mode : ndarray of shape (n_problems, n_components, 3)
        Most probable slope, bend and shift.
    curvature : ndarray of shape (n_problems, n_components, 3, 3)
        Curvature of minus the log-posterior there, by Gauss and Newton.
    log_evidence : ndarray of shape (n_problems, n_components)
        Logarithm of the kind's probability and of that of the labels given the kind, by Laplace's
        method.
    converged : ndarray of bool, shape (n_problems,)
    """

    mode: Float64Array
    curvature: Float64Array
    log_evidence: Float64Array
    converged: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


class EmpiricalBayesCalibrator(BaseCalibrator):
    r"""Average the likely maps of the kinds of models that are known, weighted by the labels.

    Three parameters, as of beta calibration, that start from experience instead of from nothing:
    how over-confident, how lopsided and how noisy at the ends the scores of trained models tend to
    be was learnt from hundreds of classifiers, as a mixture of Gaussian priors. With few labels the
    prior speaks, with many the labels do. Of all single maps of this library it is the best where
    two classes have fewer than about 300 labels.

    Parameters
    ----------
    input : {"proba", "logits"}, default="proba"
        What `X` holds; see `BaseCalibrator`.

    Attributes
    ----------
    coef_ : ndarray of shape (1, n_components, 2) or (n_classes, n_components, 2)
        Factors a and b of ``log p`` and ``-log(1 - p)``, for each component of the prior.
    intercept_ : ndarray of shape (1, n_components) or (n_classes, n_components)
        Intercept of each.
    weights_ : ndarray of shape (1, n_components) or (n_classes, n_components)
        Share of each in the average: its posterior probability; rows sum to 1.
    shares_ : ndarray of shape (n_components,)
        Share of the uniform distribution that each mixes into the probabilities first.
    smoothing_ : float
        Share of the uniform distribution mixed in at the end, ``1 / (n + 1)``.
    log_evidence_ : ndarray of shape (1,) or (n_classes,)
        Logarithm of the probability of the labels given the scores, over all maps (nats).
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

    Warns
    -----
    ConvergenceWarning
        If the solver does not meet its tolerance.

    See Also
    --------
    BetaCalibrator : the same curve without a prior.
    AutoCalibrator : has it as a member, and leaves good scores alone.

    Notes
    -----
    Of a component with share e, let :math:`q = (1 - e) p + e / 2`. Its map is

    .. math:: \operatorname{logit} p' = c + a \log 2q - b \log 2(1 - q), \quad
       a = e^{u + v / 2}, b = e^{u - v / 2},

    with a Gaussian prior for slope u, bend v and shift c, symmetric in the two classes. The
    posterior mode is found by Newton steps; Laplace's method, with the curvature of Gauss and
    Newton, gives the probability of the labels, hence the posterior probability of the component.
    The result averages the components' probabilities. All of it increases with p, so ranks are
    kept, up to log-odds of about 70, where the smallest share bounds them.

    The prior is fitted by expectation-maximisation (empirical Bayes) to 870 sets of scores: nine
    kinds of classifiers on 104 tables of the KEEL repository, related tables weighted as one. It
    holds for log-odds of probabilities, and for decision scores brought to a standard deviation
    of 1. Beyond two classes every class is fitted against the rest with the same prior, and rows
    are renormalised.

    References
    ----------
    M. Kull, T. Silva Filho, P. Flach. Beta calibration: a well-founded and easily implemented
    improvement on logistic calibration for binary classifiers. AISTATS 2017, PMLR 54:623-631.
    H. Robbins. An empirical Bayes approach to statistics. Proceedings of the Third Berkeley
    Symposium 1, 157-163, 1956.

    Examples
    --------
    >>> import numpy as np
    >>> from calib import EmpiricalBayesCalibrator
    >>> p = np.array([0.01, 0.02, 0.1, 0.3, 0.8, 0.9, 0.97, 0.99])
    >>> cal = EmpiricalBayesCalibrator().fit(p, [0, 1, 0, 0, 1, 0, 1, 1])
    >>> cal.transform(np.array([0.001, 0.5, 0.999]))[:, 1].round(2)
    array([0.12, 0.49, 0.9 ])
    """

    traits: ClassVar[MapTraits] = MapTraits(
        arrays={
            "coef_": FittedArray(("problems", "components", 2), low=0.0),
            "intercept_": NUMBER.of_shape("problems", "components"),
            "weights_": FittedArray(("problems", "components"), low=0.0, high=1.0, total=1.0),
            "shares_": FittedArray(("components",), above=0.0, high=1.0),
            "smoothing_": SHARE,
        },
        cancels=True,
        rescales_from=2,
    )
    soft_targets: ClassVar[bool] = True
    _reads_shares: ClassVar[bool] = True

    coef_: Float64Array
    intercept_: Float64Array
    weights_: Float64Array
    shares_: Float64Array
    smoothing_: float
    log_evidence_: Float64Array

    def __init__(self, *, input: Literal["proba", "logits"] = "proba") -> None:
        super().__init__(input=input)

    def _fit_rows(self, rows: Rows) -> None:
        n_problems = 1 if rows.n_classes == 2 else rows.n_classes
        shape = (n_problems, len(PRIOR))
        self.coef_, self.intercept_ = np.zeros((*shape, 2)), np.zeros(shape)
        self.weights_, self.log_evidence_ = np.zeros(shape), np.zeros(n_problems)
        self.shares_ = np.array([component.share for component in PRIOR])
        self.smoothing_ = 1.0 / (rows.total + 1.0)
        failed: list[int] = []
        for columns, odds in confined_problems(rows):
            found = posterior(odds, PRIOR)
            slope, bend, shift = np.moveaxis(found.mode, 2, 0)
            a, b = np.exp(slope + 0.5 * bend), np.exp(slope - 0.5 * bend)
            self.coef_[columns] = np.stack([a, b], axis=2)
            self.intercept_[columns] = shift + LOG_TWO * (a - b)
            best = found.log_evidence.max(axis=1, keepdims=True)
            share = np.exp(found.log_evidence - best)
            self.log_evidence_[columns] = best[:, 0] + np.log(share.sum(axis=1))
            self.weights_[columns] = share / share.sum(axis=1, keepdims=True)
            failed += (columns.start + np.flatnonzero(~found.converged)).tolist()
        text = "the search for the most probable map did not converge"
        warn_of_classes(text, failed, self.classes_, n_problems)

    @staticmethod
    def _map(scores: Array, fitted: Mapping[str, Array], xp: Namespace) -> Array:
        coef, intercept, weights = fitted["coef_"], fitted["intercept_"], fitted["weights_"]

        def eta(s: Array) -> Array:
            bounded = links.bounded_log_odds(xp.expand_dims(s, axis=2), fitted["shares_"], xp)
            log_p, minus_log_rest = links.logarithms(bounded, xp)
            parts = intercept + coef[:, :, 0] * log_p + coef[:, :, 1] * minus_log_rest
            decay = xp.exp(-xp.abs(parts))
            larger = weights / (1 + decay)
            smaller, up = decay * larger, parts >= 0
            own = xp.sum(xp.where(up, larger, smaller), axis=2)
            other = xp.sum(xp.where(up, smaller, larger), axis=2)
            return xp.log(xp.clip(own, PROBA_FLOOR, None) / xp.clip(other, PROBA_FLOOR, None))

        unsmoothed = {**fitted, "input_smoothing_": xp.zeros_like(intercept[:, 0])}
        return links.through_log_odds(eta, scores, unsmoothed, xp)


def posterior(odds: Regressions, prior: tuple[PriorComponent, ...]) -> Posterior:
    """Return the most probable maps of some problems, and the evidence for each component."""
    shape = (len(odds.ones), len(prior))
    shares = np.array([component.share for component in prior])
    mean = np.tile([component.mean for component in prior], (shape[0], 1))
    precision = np.tile([component.precision for component in prior], (shape[0], 1, 1))
    rows = odds.rows.mapped(_read_by_all, shares)
    own = precision / odds.total
    minimum = minimize_on(rows, mean, _objectives(mean, own, convex_part=True))
    plain = _objectives(mean, own, convex_part=False)
    curvature = odds.total * plain(rows)(minimum.x)[2]
    evidence = np.tile([np.log(component.probability) for component in prior], shape[0])
    evidence -= odds.total * minimum.value
    evidence -= 0.5 * _log_narrowing(precision, curvature)
    return Posterior(
        minimum.x.reshape(*shape, 3),
        curvature.reshape(*shape, 3, 3),
        evidence.reshape(shape),
        np.asarray(minimum.converged.reshape(shape).all(axis=1)),
    )


def _log_narrowing(precision: Float64Array, curvature: Float64Array) -> Float64Array:
    """Return ``log det curvature - log det precision``, by problem.

    A posterior is narrower than its prior in every direction, also where the sum of both
    curvatures has lost that of the prior.
    """
    half = np.linalg.cholesky(precision)
    once = np.linalg.solve(half, curvature).transpose(0, 2, 1)
    ratios = np.linalg.eigvalsh(np.linalg.solve(half, once))
    return np.asarray(np.log(np.maximum(ratios, 1.0)).sum(axis=1))


def _read_by_all(part: Odds, shares: Float64Array) -> Odds:
    """Return one column for each problem and component, its log-odds bounded as it reads them."""
    s = np.repeat(part.s, len(shares), axis=1)
    bounds = np.tile(shares, part.s.shape[1])
    target = np.repeat(part.target, len(shares), axis=1)
    columns = np.asfortranarray(links.bounded_log_odds(s, bounds, np))  # sums run down them
    return Odds(columns, np.asfortranarray(target), part.weight)


def _objectives(
    mean: Float64Array, precision: Float64Array, *, convex_part: bool
) -> Callable[[Rows], Objective]:
    """Return what makes the mean of minus the log-posterior from rows; precision is a sample's.

    The curvature is that of Gauss and Newton; with `convex_part` what the exponentials of slope and
    bend add to it is there where it is positive, without which steps towards flat maps are too
    long.
    """
    certain = np.zeros(len(mean)), np.ones(len(mean))

    def objective_of(rows: Rows) -> Objective:
        loss = mean_loss(centred_logarithms, rows, certain, None)

        @np.errstate(over="ignore", invalid="ignore")  # steps that lead there are halved
        def objective(x: Float64Array) -> tuple[Float64Array, Float64Array, Float64Array]:
            a, b = np.exp(x[:, 0] + 0.5 * x[:, 1]), np.exp(x[:, 0] - 0.5 * x[:, 1])
            value, slope, curvature = loss(np.stack([x[:, 2], a, b], axis=1))
            turn = np.zeros((len(x), 3, 3))  # of intercept, a and b in slope, bend and shift
            turn[:, 0, 1:] = np.stack([a, b], axis=1)
            turn[:, 1, 1:] = np.stack([0.5 * a, -0.5 * b], axis=1)
            turn[:, 2, 0] = 1.0
            distance = x - mean
            pull = np.einsum("pij,pj->pi", precision, distance)
            hessian = turn @ curvature @ turn.transpose(0, 2, 1) + precision
            if convex_part:
                rising = np.maximum(slope[:, 1:] * np.stack([a, b], axis=1), 0.0)
                hessian += np.einsum("pk,ki,kj->pij", rising, EXPONENTS, EXPONENTS)
            return (
                value + 0.5 * (distance * pull).sum(axis=1),
                np.einsum("pij,pj->pi", turn, slope) + pull,
                hessian,
            )

        return objective

    return objective_of
