"""Maps that keep the order of the classes in every row, and their fit to a windowed error.

One form holds them all: a mixture of ``softmax(-g_m(u))``, where ``u`` is minus the log-softmax and
every ``g_m`` is increasing, continuous and piecewise linear. With one segment and one component
that is a temperature; with one segment, a mixture of temperatures; with one component, a piecewise
linear map.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from calib._border.typing import Array, Float64Array, IntArray, Namespace
from calib.calibrators.h_calibration.canonical import Sample
from calib.calibrators.h_calibration.windowed import Events, WindowRule

#: Largest factor by which a slope may move from where it started.
MAX_FACTOR = 100.0
#: The temperatures of a mixture start spread over this factor to both sides of the best single one.
SPREAD = 2.0
#: First step of the optimiser, in logarithms of slopes; a cosine takes it to 0.
LEARNING_RATE = 0.03
#: Decay of the running means of the gradient and of its square, and what keeps them from 0.
DECAY = (0.9, 0.999)
TINY = 1e-12


@dataclass(frozen=True)
class MapValues:
    """The numbers of a map.

    Attributes
    ----------
    weights : ndarray of shape (n_components,)
        Positive, sum to 1.
    knots : ndarray of shape (n_segments,)
        Where the segments begin: ascending from 0; the last segment has no end.
    slopes : ndarray of shape (n_components, n_segments)
        Positive.
    """

    weights: Float64Array
    knots: Float64Array
    slopes: Float64Array


def single_temperature(temperature: float) -> MapValues:
    """Return ``softmax(z / T)`` in the common form."""
    return MapValues(np.ones(1), np.zeros(1), np.full((1, 1), 1.0 / temperature))


def mixture_start(temperature: float, n_components: int) -> MapValues:
    """Return equal shares of temperatures spread around the best one."""
    spread = SPREAD ** np.linspace(-1.0, 1.0, n_components) if n_components > 1 else np.ones(1)
    weights = np.full(n_components, 1.0 / n_components)
    return MapValues(weights, np.zeros(1), spread[:, None] / temperature)


def piecewise_start(temperature: float, knots: Float64Array) -> MapValues:
    """Return the best temperature as a piecewise linear map."""
    return MapValues(np.ones(1), knots, np.full((1, len(knots)), 1.0 / temperature))


def mixed_with_temperature(values: MapValues, temperature: float, share: float) -> MapValues:
    """Return ``share * map + (1 - share) * softmax(z / T)`` in the common form."""
    if share == 1.0:
        return values
    line = np.full((1, len(values.knots)), 1.0 / temperature)
    weights = np.concatenate([[1.0 - share], share * values.weights])
    return MapValues(weights, values.knots, np.concatenate([line, values.slopes]))


def apply_map(logits: Array, weights: Array, knots: Array, slopes: Array, xp: Namespace) -> Array:
    """Return ``sum_m w_m softmax(-g_m(u))``, shape (n_samples, n_classes), in any namespace."""
    u = xp.max(logits, axis=1, keepdims=True) - logits
    n_segments = knots.shape[0]
    if n_segments > 1:  # a single slope does not see the shift
        u = u + xp.log(xp.sum(xp.exp(-u), axis=1, keepdims=True))
    proba = xp.zeros_like(u)
    for m in range(weights.shape[0]):
        g = slopes[m, n_segments - 1] * xp.clip(u - knots[n_segments - 1], 0.0, None)
        for j in range(n_segments - 1):
            reach = xp.clip(u - knots[j], 0.0, None)
            g = g + slopes[m, j] * xp.minimum(reach, knots[j + 1] - knots[j])
        power = xp.exp(xp.min(g, axis=1, keepdims=True) - g)
        proba = proba + weights[m] * (power / xp.sum(power, axis=1, keepdims=True))
    return proba


class SampleMap:
    """A map on the rows of a sample, with the gradient of any function of its output.

    Parameters
    ----------
    sample : Sample
    knots : ndarray of shape (n_segments,)
    """

    def __init__(self, sample: Sample, knots: Float64Array) -> None:
        self.columns = sample.columns
        self.knots = knots
        self.u = sample.gap
        self.segment: IntArray | None = None
        if len(knots) > 1:
            self.u = sample.gap + sample.shift
            self.segment = np.searchsorted(knots, self.u.ravel(), side="right") - 1
            self.rest = self.u.ravel() - knots[self.segment]
        self.parts: list[Float64Array] = []

    def forward(self, values: MapValues) -> Float64Array:
        """Return probabilities, shape (n_rows, n_columns)."""
        self.parts = []
        proba = np.zeros_like(self.u)
        for weight, slopes in zip(values.weights, values.slopes, strict=True):
            if self.segment is None:
                g = slopes[0] * self.u
            else:
                below = np.concatenate([[0.0], np.cumsum(slopes[:-1] * np.diff(self.knots))])
                g = (below[self.segment] + slopes[self.segment] * self.rest).reshape(self.u.shape)
            np.subtract(g.min(axis=1, keepdims=True), g, out=g)
            np.exp(g, out=g)
            total = g.sum(axis=1) if self.columns is None else g @ self.columns
            g /= total[:, None]
            self.parts.append(g)
            proba += weight * g
        return proba

    def backward(
        self, values: MapValues, gradient: Float64Array
    ) -> tuple[Float64Array, Float64Array]:
        """Turn the gradient in the last output into those in weights and logarithms of slopes."""
        by_weight = np.empty(len(values.weights))
        by_slope = np.empty_like(values.slopes)
        for m, part in enumerate(self.parts):
            pull = part * gradient
            total = pull.sum(axis=1)
            by_weight[m] = total.sum()
            share = part if self.columns is None else part * self.columns
            pull -= share * total[:, None]
            if self.segment is None:
                by_slope[m] = -np.vdot(pull, self.u)
            else:
                by_slope[m] = -self._by_segment(self.segment, pull.ravel())
        return by_weight, by_slope * values.weights[:, None] * values.slopes

    def _by_segment(self, segment: IntArray, pull: Float64Array) -> Float64Array:
        n_segments = len(self.knots)
        inside = np.asarray(np.bincount(segment, pull * self.rest, n_segments), dtype=np.float64)
        above = np.cumsum(np.bincount(segment, pull, n_segments)[::-1])[::-1]
        inside[:-1] += np.diff(self.knots) * above[1:]
        return inside


@dataclass(frozen=True)
class MapFit:
    """A fitted map and how it came about.

    Attributes
    ----------
    values : MapValues
    loss_curve : list of float
        Windowed error before every step.
    """

    values: MapValues
    loss_curve: list[float]


def fit_map(
    sample: Sample,
    start: MapValues,
    events: Events,
    places: IntArray | None,
    rule: WindowRule,
    max_iter: int,
) -> MapFit:
    """Minimise the windowed error over a map by Adam with a step that a cosine takes to 0.

    The error is not convex and jumps where events change places or clusters, so that Newton steps
    and line searches do not apply; what they are good for, the best temperature, is the start.

    Parameters
    ----------
    sample : Sample
    start : MapValues
        The weights move, and the slopes except the last one of several: it belongs to events too
        improbable to tell.
    events : Events
    places : ndarray of shape (n_events,) or None
        Where the events stand in the flattened output; None means all of it.
    rule : WindowRule
    max_iter : int

    Returns
    -------
    fit : MapFit
    """
    model = SampleMap(sample, start.knots)
    n_components, n_segments = start.slopes.shape
    theta = np.zeros(n_components + start.slopes.size)
    free = np.ones(theta.size, dtype=bool)
    if n_segments > 1:
        free[n_components:].reshape(start.slopes.shape)[:, -1] = False
    first, second = np.zeros((2, theta.size))
    curve: list[float] = []
    bound = math.log(MAX_FACTOR)
    values = start
    for step in range(max_iter):
        proba = model.forward(values)
        flat = proba.ravel()
        error, slope = events.error(flat if places is None else flat[places], rule)
        curve.append(error)
        if error == 0.0:
            break
        if places is not None:
            spread = np.zeros(flat.size)
            spread[places] = slope
            slope = spread
        by_weight, by_slope = model.backward(values, slope.reshape(proba.shape))
        by_share = values.weights * (by_weight - values.weights @ by_weight)
        gradient = np.concatenate([by_share, by_slope.ravel()]) * free
        first += (1.0 - DECAY[0]) * (gradient - first)
        second += (1.0 - DECAY[1]) * (gradient * gradient - second)
        rate = 0.5 * LEARNING_RATE * (1.0 + math.cos(math.pi * step / max_iter))
        rate *= math.sqrt(1.0 - DECAY[1] ** (step + 1)) / (1.0 - DECAY[0] ** (step + 1))
        theta -= rate * first / (np.sqrt(second) + TINY)
        np.clip(theta, -bound, bound, out=theta)
        shares = np.exp(theta[:n_components])
        slopes = start.slopes * np.exp(theta[n_components:].reshape(start.slopes.shape))
        values = MapValues(shares / shares.sum(), start.knots, slopes)
    return MapFit(values, curve)
