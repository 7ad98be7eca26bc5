"""Ensemble temperature scaling: a mixture of tempered, raw and uniform probabilities."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from calib._border.typing import Array, Float64Array, Namespace
from calib._border.warn import warn
from calib._core import links
from calib._core.estimators.targets import shares_of
from calib._core.fitted_map import POSITIVE, SHARE, FittedArray, MapTraits
from calib._core.newton import find_root
from calib._core.rows import Rows, ScoredPart, Sums
from calib.base import BaseCalibrator

#: Range of the temperature.
LOWEST, HIGHEST = 0.05, 5.0
#: Elements of the subsample that provides the first temperature of a large fit.
START_ELEMENTS = 1 << 18


class EnsembleTemperatureCalibrator(BaseCalibrator):
    """Mix tempered, raw and uniform probabilities (ETS), fitted to the squared error.

    ``w1 softmax(z / T) + w2 softmax(z) + w3 / K`` with weights that sum to 1. Keeps the ranking of
    every row, has three free parameters at any number of classes, and is the best map of the
    public benchmark for a thousand classes by Brier score.

    Parameters
    ----------
    input : {"proba", "logits"}, default="proba"
        What `X` holds; see `BaseCalibrator`.

    Attributes
    ----------
    temperature_ : float in [0.05, 5]
        T.
    weights_ : ndarray of shape (3,)
        Weights of tempered, raw and uniform probabilities, >= 0, sum 1.
    smoothing_ : float
        Share of the uniform distribution mixed in at the end, ``1 / (n + 1)``.
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
        If no temperature meets the tolerance.

    See Also
    --------
    TemperatureCalibrator : the tempered part alone, fitted to the log loss.

    Notes
    -----
    First the temperature that minimises the mean squared distance to the labels, by Newton steps
    inside a bracket; then the weights, exactly, from the Gram matrix of the three parts (a
    quadratic programme on a triangle, solved on each of its faces). Two or three passes over the
    scores after a start on a subsample, in blocks.

    References
    ----------
    J. Zhang, B. Kailkhura, T. Y.-J. Han. Mix-n-Match: Ensemble and Compositional Methods for
    Uncertainty Calibration in Deep Learning. ICML 2020. arXiv:2003.07329

    Examples
    --------
    >>> from calib import EnsembleTemperatureCalibrator
    >>> from calib.datasets import load_digits_scores
    >>> scores = load_digits_scores()
    >>> cal = EnsembleTemperatureCalibrator(input="logits").fit(scores.logits_cal, scores.y_cal)
    >>> bool(cal.temperature_ > 1), bool(abs(cal.weights_.sum() - 1) < 1e-12)
    (True, True)
    """

    traits: ClassVar[MapTraits] = MapTraits(
        arrays={
            "temperature_": POSITIVE,
            "weights_": FittedArray((3,), low=0.0, high=1.0, total=1.0),
            "smoothing_": SHARE,
        },
        rescales_from=2,
    )
    _may_miss_rates: ClassVar[bool] = True
    soft_targets: ClassVar[bool] = True
    _reads_shares: ClassVar[bool] = True

    temperature_: float
    weights_: Float64Array
    smoothing_: float

    def _fit_rows(self, rows: Rows) -> None:
        step = max(1, rows.n_samples * rows.n_classes // START_ELEMENTS)
        low, high = -math.log(HIGHEST), -math.log(LOWEST)
        start = 0.0
        if step > 1:
            first = find_root(_derivatives(rows.every(step)), start, low, high, tolerance=1e-4)
            start = min(max(first.x, low + 1e-3), high - 1e-3)
        root = find_root(_derivatives(rows), start, low, high)
        if not root.converged:
            warn(
                f"ensemble temperature scaling found no temperature in {root.n_evaluations} "
                f"passes; temperature_ = {math.exp(-root.x):.6g} is the best bracket",
                ConvergenceWarning,
            )
        self.temperature_ = math.exp(-root.x)
        self.weights_ = _best_mixture(*_gram(rows, self.temperature_))
        self.smoothing_ = 1.0 / (rows.total + 1.0)

    @staticmethod
    def _map(scores: Array, fitted: Mapping[str, Array], xp: Namespace) -> Array:
        w = fitted["weights_"]
        shifted = scores - xp.max(scores, axis=1, keepdims=True)
        proba = w[0] * links.softmax(shifted / fitted["temperature_"], xp)
        proba = proba + w[1] * links.softmax(shifted, xp) + w[2] / scores.shape[1]
        return links.smooth(proba, fitted["smoothing_"])


def _derivatives(rows: Rows) -> Callable[[float], tuple[float, float, float]]:
    """Slope of the squared error in ``v = log(1 / T)``, and the slope of that."""
    total = rows.total

    def derivatives(v: float) -> tuple[float, float, float]:
        inverse = math.exp(v)
        (sums,) = rows.reduce(_slopes, inverse)
        slope, bend = sums / total
        return slope * inverse, slope * inverse + bend * inverse * inverse, 0.0

    return derivatives


@np.errstate(over="ignore", invalid="ignore")  # of huge logits; bisection then takes over
def _slopes(part: ScoredPart, inverse: float) -> Sums:
    """Return the sums of the slope of the squared error in ``1 / T``, and of the slope of that."""
    scores, target, weight = part.scores, part.target, part.weight
    sums = np.zeros(2)
    for rows, block in scores:
        z = block - block.max(axis=1, keepdims=True)
        p = np.exp(z * inverse)
        p /= p.sum(axis=1, keepdims=True)
        gap = p - shares_of(target[rows], scores.n_classes)
        z -= np.einsum("ij,ij->i", p, z)[:, None]  # centred at the mean under p
        moved = p * z
        variance = np.einsum("ij,ij->i", moved, z)
        first = 2.0 * np.einsum("ij,ij->i", gap, moved)
        moved_gap = gap * p
        second = np.einsum("ij,ij->i", moved, moved) + np.einsum(
            "ij,ij->i", moved_gap, z * z - variance[:, None]
        )
        parts = np.stack([first, 2.0 * second])
        sums += parts.sum(axis=1) if weight is None else parts @ weight[rows]
    return (sums,)


def _gram(rows: Rows, temperature: float) -> tuple[Float64Array, Float64Array]:
    """Return mean products of the three parts with each other and with the labels."""
    k = rows.n_classes
    (sums,) = rows.reduce(_products, temperature)
    tt, tr, rr, ty, ry = sums / rows.total
    gram = np.array([[tt, tr, 1.0 / k], [tr, rr, 1.0 / k], [1.0 / k, 1.0 / k, 1.0 / k]])
    return gram, np.array([ty, ry, 1.0 / k])


def _products(part: ScoredPart, temperature: float) -> Sums:
    scores, target, weight = part.scores, part.target, part.weight
    sums = np.zeros(5)
    for rows, block in scores:
        z = block - block.max(axis=1, keepdims=True)
        tempered, raw = links.softmax(z / temperature, np), links.softmax(z, np)
        truth = shares_of(target[rows], scores.n_classes)
        pairs = ((tempered, tempered), (tempered, raw), (raw, raw), (tempered, truth), (raw, truth))
        parts = np.stack([np.einsum("ij,ij->i", a, b) for a, b in pairs])
        sums += parts.sum(axis=1) if weight is None else parts @ weight[rows]
    return (sums,)


def _best_mixture(gram: Float64Array, right: Float64Array) -> Float64Array:
    """Minimise ``w'Gw - 2 r'w`` over the triangle ``w >= 0, sum w = 1``, exactly."""
    best, weights = np.inf, np.array([1.0, 0.0, 0.0])
    for members in ([0], [1], [2], [0, 1], [0, 2], [1, 2], [0, 1, 2]):
        w = np.zeros(3)
        w[members[0]] = 1.0
        if len(members) > 1:  # steps from the first corner that keep the sum
            steps = np.zeros((3, len(members) - 1))
            steps[members[0]] = -1.0
            steps[members[1:], np.arange(len(members) - 1)] = 1.0
            curvature = steps.T @ gram @ steps
            lift = steps.T @ (right - gram @ w)
            w = w + steps @ np.linalg.lstsq(curvature, lift, rcond=1e-12)[0]
        if w.min() < 0.0:
            continue
        value = float(w @ gram @ w - 2.0 * right @ w)
        if value < best - 1e-15:
            best, weights = value, w
    return np.asarray(weights / weights.sum())
