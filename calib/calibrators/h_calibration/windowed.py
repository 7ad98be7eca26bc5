"""The windowed calibration error of events, its closed-form gradient, and the events it reads.

An event is an entry of a matrix of probabilities with the mark of its occurrence. Events are
sorted by probability; in a window of neighbours the mean of (probability - occurrence) is zero up
to noise if the probabilities are calibrated. What exceeds a tolerance is averaged in clusters of
similar probability, then over clusters, so that rare levels count as much as common ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from calib._border.typing import Float64Array, IntArray

#: Neighbours of an event in its window, itself aside, and clusters of events, as published.
WINDOW = 200
N_CLUSTERS = 15
LLOYD_STEPS = 25
#: Tolerance of the published objective: none, in effect.
PUBLISHED_TOLERANCE = 1e-20
#: Number of classes beyond which the published objective pools all samples.
PUBLISHED_POOLING = 200


@dataclass(frozen=True)
class WindowRule:
    """How the error of a window is measured.

    Attributes
    ----------
    window : int
        Neighbours of an event in its window, itself aside; even, >= 0.
    margin : float
        Tolerance in standard deviations of a window's mean residual under perfect calibration.
    padded : bool
        Whether windows are filled up with zeros at both ends of the range (as published) instead
        of shortened.
    """

    window: int = WINDOW
    margin: float = 1.0
    padded: bool = False

    def fitted_to(self, total: float) -> WindowRule:
        """Return the rule with a window that is at most a quarter of all events."""
        if self.padded:
            return self
        return WindowRule(min(self.window, 2 * int(total // 8)), self.margin)


#: The published objective, apart from its event sets.
PUBLISHED_RULE = WindowRule(margin=0.0, padded=True)


class Windows:
    """Sliding windows over sorted events; each event occupies a length equal to its weight.

    Parameters
    ----------
    n_events : int
    weight : ndarray of shape (n_events,) or None
        Positive; None means 1 each.
    window : int
        A window reaches ``(window + 1) / 2`` to both sides of the middle of an event.
    """

    def __init__(self, n_events: int, weight: Float64Array | None, window: int) -> None:
        self.half = window // 2
        self.weight = weight
        if weight is None:
            position = np.arange(n_events)
            self.length = (
                np.minimum(position + self.half + 1, n_events) - np.maximum(position - self.half, 0)
            ).astype(np.float64)
            return
        self.edges = np.concatenate([[0.0], np.cumsum(weight)])
        middle = 0.5 * (self.edges[1:] + self.edges[:-1])
        reach = 0.5 * (window + 1)
        ends = np.stack([middle - reach, middle + reach])
        ends = np.clip(ends, 0.0, self.edges[-1])
        # a weight may be lost among larger ones
        self.length = np.maximum(ends[1] - ends[0], np.finfo(np.float64).tiny)
        self.place = np.searchsorted(self.edges, ends, side="right") - 1
        np.clip(self.place, 0, n_events - 1, out=self.place)
        self.share = (ends - self.edges[self.place]) / weight[self.place]

    def sums(self, values: Float64Array) -> Float64Array:
        """Integrate values over every window."""
        if self.weight is None:
            return _box_sums(values, self.half)
        mass = values * self.weight
        before = np.concatenate([[0.0], np.cumsum(mass)])
        low, high = before[self.place] + self.share * mass[self.place]
        out: Float64Array = high - low
        return out

    def adjoint(self, values: Float64Array) -> Float64Array:
        """Apply the transpose of `sums`."""
        if self.weight is None:
            return _box_sums(values, self.half)
        n = len(values)
        total = np.zeros(n)
        for sign, place, share in zip((-1.0, 1.0), self.place, self.share, strict=True):
            beyond = np.cumsum(np.bincount(place, values, n)[::-1])[::-1]  # ends here or later
            partly = np.bincount(place, values * (1.0 - share), n)
            total += sign * (beyond - partly)
        return total * self.weight


def _box_sums(values: Float64Array, half: int) -> Float64Array:
    """Sum ``2 half + 1`` neighbours by differences of a prefix sum; nothing beyond the ends."""
    n = len(values)
    prefix = np.zeros(n + 1 + 2 * half)
    np.cumsum(values, out=prefix[half + 1 : half + 1 + n])
    prefix[half + 1 + n :] = prefix[half + n]
    out: Float64Array = prefix[2 * half + 1 :] - prefix[:n]
    return out


def cluster_starts(
    values: Float64Array, mass: Float64Array | None, n_clusters: int = N_CLUSTERS
) -> IntArray:
    """Cluster sorted values by one-dimensional k-means; return where each cluster starts and ends.

    Parameters
    ----------
    values : ndarray of shape (n_events,)
        Ascending.
    mass : ndarray of shape (n_events,) or None
    n_clusters : int, default=N_CLUSTERS

    Returns
    -------
    bounds : ndarray of shape (n_clusters + 1,)
        Cluster b holds ``values[bounds[b]:bounds[b + 1]]``; it may be empty.

    Notes
    -----
    Centres start at the quantiles ``(b + 1/2) / n_clusters`` and take at most `LLOYD_STEPS` steps.
    Of probabilities, most of which are tiny, this leaves clusters at about geometric distances, as
    the published form does by its random start; converged clusters would be equally spaced.
    """
    n = len(values)
    mass_before = np.arange(n + 1.0) if mass is None else np.concatenate([[0.0], np.cumsum(mass)])
    moment = values if mass is None else values * mass
    moment_before = np.concatenate([[0.0], np.cumsum(moment)])
    levels = (np.arange(n_clusters) + 0.5) / n_clusters * mass_before[-1]
    first = np.clip(np.searchsorted(mass_before, levels, side="right") - 1, 0, n - 1)
    centres = values[first]
    bounds = np.empty(n_clusters + 1, dtype=np.intp)
    bounds[0], bounds[-1] = 0, n
    for _ in range(LLOYD_STEPS):
        bounds[1:-1] = np.searchsorted(values, 0.5 * (centres[1:] + centres[:-1]))
        inside = np.diff(mass_before[bounds])
        filled = inside > 0
        moved = np.where(
            filled, np.diff(moment_before[bounds]) / np.where(filled, inside, 1.0), centres
        )
        if np.array_equal(moved, centres):
            break
        centres = np.maximum.accumulate(moved)  # equal but for rounding: keeps them ascending
    return bounds


def sorted_error(
    proba: Float64Array,
    residual: Float64Array,
    weight: Float64Array | None,
    mass: Float64Array | None,
    rule: WindowRule,
) -> tuple[float, Float64Array]:
    """Return the windowed error of sorted events and its gradient in their residuals.

    Clusters and tolerance are constants of the gradient, which is the transpose of the window sums
    applied to the signs of the means beyond tolerance: one more box filter.

    Parameters
    ----------
    proba, residual : ndarray of shape (n_events,)
        Ascending probabilities, and probability minus occurrence. Events of equal probability are
        one event with their mean residual.
    weight : ndarray of shape (n_events,) or None
        Repetitions of an event.
    mass : ndarray of shape (n_events,) or None
        What an event counts in the average of its cluster; None means its weight.
    rule : WindowRule

    Returns
    -------
    error : float
    gradient : ndarray of shape (n_events,)
    """
    mass = weight if mass is None else mass
    new = np.concatenate([[True], proba[1:] != proba[:-1]])
    if not new.all():
        return _tied_error(proba, residual, weight, mass, rule, new)
    n = len(proba)
    windows = Windows(n, weight, rule.window)
    length = np.full(n, rule.window + 1.0) if rule.padded else windows.length
    mean = windows.sums(residual) / length
    if rule.padded:
        tolerance: float | Float64Array = PUBLISHED_TOLERANCE
    else:
        noise = windows.sums(proba * (1.0 - proba))
        tolerance = rule.margin * np.sqrt(np.maximum(noise, 0.0)) / length
    excess = np.maximum(np.abs(mean) - tolerance, 0.0)
    bounds = cluster_starts(proba, mass)
    before = np.arange(n + 1.0) if mass is None else np.concatenate([[0.0], np.cumsum(mass)])
    inside = np.diff(before[bounds])
    share = np.repeat(1.0 / (N_CLUSTERS * (inside + 1e-5)), np.diff(bounds))
    if mass is not None:
        share *= mass
    error = float(share @ excess)
    return error, windows.adjoint(share * np.sign(mean) * (excess > 0) / length)


def _tied_error(
    proba: Float64Array,
    residual: Float64Array,
    weight: Float64Array | None,
    mass: Float64Array | None,
    rule: WindowRule,
    new: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
) -> tuple[float, Float64Array]:
    """Merge events of equal probability, then hand the gradient of the mean to each."""
    starts = np.flatnonzero(new)
    ones = np.ones(len(proba))
    weight = ones if weight is None else weight
    merged = np.add.reduceat(weight, starts)
    error, gradient = sorted_error(
        proba[starts],
        np.add.reduceat(weight * residual, starts) / merged,
        merged,
        np.add.reduceat(ones if mass is None else mass, starts),
        rule,
    )
    return error, np.repeat(gradient / merged, np.diff(np.append(starts, len(proba)))) * weight


@dataclass(frozen=True)
class Events:
    """Events of one calibration set, in any order.

    Attributes
    ----------
    occurrence : ndarray of shape (n_events,)
        Share of repetitions in which the event occurred, in [0, 1].
    weight : ndarray of shape (n_events,) or None
        Repetitions.
    mass : ndarray of shape (n_events,) or None
        What the event stands for in the average of its cluster: more than its weight where events
        like it were left out. None means its weight.
    codes : ndarray of shape (n_events,) or None
        Class of the event's row: the error is then the mean over sets of events that leave out
        the rows of one class each, as published.
    n_classes : int
    """

    occurrence: Float64Array
    weight: Float64Array | None = None
    mass: Float64Array | None = None
    codes: IntArray | None = None
    n_classes: int = 0

    @property
    def total(self) -> float:
        """Total weight of the events."""
        return float(len(self.occurrence) if self.weight is None else self.weight.sum())

    def error(self, proba: Float64Array, rule: WindowRule) -> tuple[float, Float64Array]:
        """Return the windowed error at probabilities of shape (n_events,) and its gradient."""
        order = np.argsort(proba)
        p = proba[order]
        residual = p - self.occurrence[order]
        weight = None if self.weight is None else self.weight[order]
        mass = None if self.mass is None else self.mass[order]
        gradient = np.empty(len(proba))
        if self.codes is None:
            error, gradient[order] = sorted_error(p, residual, weight, mass, rule)
            return error, gradient
        total, total_gradient = 0.0, np.zeros(len(proba))
        for keep in self._sets(order):
            part = None if weight is None else weight[keep]
            error, slope = sorted_error(p[keep], residual[keep], part, None, rule)
            total += error / self.n_classes
            total_gradient[keep] += slope / self.n_classes
        gradient[order] = total_gradient
        return total, gradient

    def _sets(self, order: IntArray) -> Iterator[IntArray]:
        assert self.codes is not None
        codes = self.codes[order]
        for left_out in range(self.n_classes):
            keep = np.flatnonzero(codes != left_out)
            if len(keep):
                yield keep
