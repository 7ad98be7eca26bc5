"""Penalised multinomial logistic maps of logits: ``softmax(z + A z + b)`` and its thin forms.

The unknowns are the departure from the identity, so every penalty pulls towards "leave the scores
alone". Loss and gradient are summed over cache-sized blocks of rows; logits are kept in memory only
up to a fixed size, beyond which they are made anew in every pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np

from calib._border.arrays import row_blocks
from calib._border.typing import Array, Float64Array, LabelArray, Namespace
from calib._core import links
from calib._core.estimators.targets import at_target, class_target, subtract_truth
from calib._core.newton import LargeMinimum, minimize_large
from calib._core.rows import Part, Rows, ScoredPart, Sums
from calib._core.scores import Scores

#: Unknowns up to which the Hessian is factorised as a whole; beyond, class by class.
WHOLE_HESSIAN = 1200
#: Rows that the approximate Hessian is built from.
HESSIAN_ROWS = 5000
#: Passes after which the Hessian is made anew, from four times as many rows, and how often.
PASSES_PER_TURN, MAX_TURNS = 25, 16
#: Elements of the subsample on which the first steps are taken.
START_ELEMENTS = 1_000_000
#: Elements of logits that are kept in memory (128 MB).
KEPT_ELEMENTS = 1 << 24
#: Logits so far below the largest of their row are those of masks, minus infinity among them.
MASK_GAP = 1000.0
#: What masked classes lose against the others, so that they have next to no probability.
MASK_LOSS = 100.0
#: Keeps Hessians of flat directions invertible.
RIDGE = 1e-9


class LogitSource(Protocol):
    """Logits of some rows, read block by block."""

    @property
    def n_samples(self) -> int: ...

    @property
    def n_classes(self) -> int: ...

    def block(self, rows: slice) -> Float64Array:
        """Return rows as float64, not to be written to."""

    def take(self, rows: slice | LabelArray) -> Self:
        """Return some of the rows."""

    def joined(self, others: Sequence[Any]) -> Self:
        """Return the rows of several (this one among them) in one."""


@dataclass(frozen=True)
class Kept:
    """Logits in memory."""

    z: Float64Array

    @property
    def n_samples(self) -> int:
        return len(self.z)

    @property
    def n_classes(self) -> int:
        return int(self.z.shape[1])

    def block(self, rows: slice) -> Float64Array:
        return self.z[rows]

    def take(self, rows: slice | LabelArray) -> Kept:
        return Kept(self.z[rows])

    def joined(self, others: Sequence[Kept]) -> Kept:
        return Kept(np.concatenate([other.z for other in others]))


@dataclass(frozen=True)
class Tempered:
    """Logarithms of smoothed probabilities at a temperature, made from scores block by block.

    `masked` stands for those of masked classes, if it is not None.
    """

    scores: Scores
    temperature: float
    share: float
    masked: float | None = None

    @property
    def n_samples(self) -> int:
        return self.scores.n_samples

    @property
    def n_classes(self) -> int:
        return self.scores.n_classes

    def block(self, rows: slice) -> Float64Array:
        z = self.scores.block(rows)
        out = np.asarray(tempered_logits(z, self.temperature, self.share, np))
        if self.masked is None:
            return out
        hidden = masks(z, np)
        return out if hidden is None else np.where(hidden, self.masked, out)

    def take(self, rows: slice | LabelArray) -> Tempered:
        return replace(self, scores=self.scores.take(rows))

    def joined(self, others: Sequence[Tempered]) -> Tempered:
        return replace(self, scores=self.scores.joined([other.scores for other in others]))


@dataclass(frozen=True)
class Logits(Part):
    """Logits of some rows with their labels.

    Attributes
    ----------
    source : LogitSource
        Logits; any constant may be added to a row.
    target : ndarray of int, shape (n_samples,), or of shape (n_samples, n_classes)
        Column of the true class, or the share of every class.
    weight : ndarray of shape (n_samples,) or None
    """

    source: LogitSource
    target: LabelArray
    weight: Float64Array | None


def tempered(rows: Rows, temperature: float, share: float, masked: float | None = None) -> Rows:
    """Return rows of tempered `Logits`, made once if they are few enough."""
    out = rows.mapped(_tempered, temperature, share, masked)
    few = rows.n_samples * rows.n_classes <= KEPT_ELEMENTS
    return out.mapped(_made) if few else out


def _tempered(part: ScoredPart, temperature: float, share: float, masked: float | None) -> Logits:
    source = Tempered(part.scores, temperature, share, masked)
    return Logits(source, class_target(part.target), part.weight)


def _made(part: Logits) -> Logits:
    shape = part.n_samples, part.source.n_classes
    if isinstance(part.source, Kept) or shape[0] * shape[1] > KEPT_ELEMENTS:
        return part
    out = np.empty(shape)
    for rows in row_blocks(*out.shape):
        out[rows] = part.source.block(rows)
    return replace(part, source=Kept(out))


def tempered_logits(z: Array, temperature: Array, share: Array, xp: Namespace) -> Array:
    """Return the floored ``log(smooth(softmax(z / temperature), share))``."""
    proba = links.tempered_softmax(z, temperature, xp)
    return links.logits_from_proba(links.smooth(proba, share), xp)


def masks(z: Array, xp: Namespace) -> Array | None:
    """Return which logits are those of masked classes; None, in NumPy, where there are none."""
    hidden: Array = z - links.row_max(z, xp) < -MASK_GAP
    return None if xp is np and not hidden.any() else hidden


@dataclass(frozen=True)
class LinearForm:
    """How unknowns make a linear map of logits.

    Attributes
    ----------
    full : bool
        Whether the matrix is full.
    basis : ndarray of shape (n_classes, n_directions) or None
        Shared directions of a thin matrix.
    masked : float or None
        What stands for logits of masked classes, which get no probability; None without such.
    """

    full: bool
    basis: Float64Array | None = None
    masked: float | None = None

    def linear(self, x: Float64Array, z: Float64Array) -> Float64Array:
        """Return the mapped logits of a block, a new array."""
        if self.full:
            out = z @ x[:, 1:].T
            out += z
        else:
            out = z * (1.0 + x[:, 1])
            if self.basis is not None:
                out += (z @ self.basis) @ x[:, 2:].T
        out += x[:, 0]
        if self.masked is not None:
            out[z == self.masked] -= MASK_LOSS
        return np.asarray(out)

    def add_gradient(self, gradient: Float64Array, slope: Float64Array, z: Float64Array) -> None:
        """Add what a block contributes, given the slope of its loss in the mapped logits."""
        gradient[:, 0] += slope.sum(axis=0)
        if self.full:
            gradient[:, 1:] += slope.T @ z
        else:
            gradient[:, 1] += np.einsum("ij,ij->j", slope, z)
            if self.basis is not None:
                gradient[:, 2:] += slope.T @ (z @ self.basis)

    def features(self, z: Float64Array, k: int) -> Float64Array:
        """Return what the unknowns of class `k` multiply, shape (n_rows, n_unknowns)."""
        one = np.ones((len(z), 1))
        if self.full:
            return np.hstack([one, z])
        shared = np.empty((len(z), 0)) if self.basis is None else z @ self.basis
        return np.hstack([one, z[:, k : k + 1], shared])


def _loss_and_gradient(part: Logits, form: LinearForm, x: Float64Array) -> Sums:
    value, gradient = 0.0, np.zeros_like(x)
    for rows in row_blocks(part.n_samples, part.source.n_classes):
        z, target = part.source.block(rows), part.target[rows]
        slope, loss = softmax_loss(form.linear(x, z), target)
        subtract_truth(slope, target)
        if part.weight is not None:
            slope *= part.weight[rows, None]
            loss *= part.weight[rows]
        value += float(loss.sum())
        form.add_gradient(gradient, slope, z)
    return value, gradient


@dataclass(frozen=True)
class Curvature:
    """Approximate Hessian of a mean log loss at one point, which serves any penalties.

    Attributes
    ----------
    hessian : ndarray of shape (n_classes, m, m) or (n_classes * m, n_classes * m)
        Of the m unknowns of each class alone, or of all together. Its diagonal is scratch space.
    diagonal : ndarray of shape (n_classes, m)
        Diagonal without penalties.
    """

    hessian: Float64Array
    diagonal: Float64Array

    def inverse(self, penalty: Float64Array) -> Callable[[Float64Array], Float64Array]:
        """Return the inverse Hessian of the loss with penalties, shape (n_classes, m)."""
        diagonal = np.einsum("...ii->...i", self.hessian)  # a view
        diagonal[...] = (self.diagonal + (2.0 * penalty + RIDGE)).reshape(diagonal.shape)
        if self.hessian.ndim == 3:
            inverse = np.linalg.inv(self.hessian)
            return lambda g: np.einsum("kij,kj->ki", inverse, g.reshape(penalty.shape)).ravel()
        from scipy.linalg import cho_factor, cho_solve

        factor = cho_factor(self.hessian, lower=True)
        return lambda g: np.asarray(cho_solve(factor, g))


@dataclass(frozen=True)
class MultinomialProblem:
    """Data and penalties of one fit.

    Attributes
    ----------
    rows : Rows
        Of `Logits`.
    penalty : ndarray of shape (n_classes, n_unknowns)
        Factor of each squared unknown in the mean loss. Column 0 belongs to the intercepts. Full
        matrices: column ``1 + l`` to the logit of class l. Thin ones: column 1 to the class's own
        logit, column ``2 + j`` to shared direction j.
    form : LinearForm
    """

    rows: Rows
    penalty: Float64Array
    form: LinearForm

    def every(self, step: int) -> MultinomialProblem:
        """Return the same problem on every `step`-th row, kept in memory."""
        return replace(self, rows=self.rows.every(step).mapped(_made))

    def __call__(self, flat: Float64Array) -> tuple[float, Float64Array]:
        """Return the penalised mean log loss and its gradient."""
        x = flat.reshape(self.penalty.shape)
        value, gradient = self.rows.reduce(_loss_and_gradient, self.form, x)
        total = self.rows.total
        mean = value / total + float((self.penalty * x * x).sum())
        return mean, (gradient / total + 2.0 * self.penalty * x).ravel()

    def scaled(self, scale: float) -> Float64Array:
        """Return the unknowns of the map that multiplies all logits by `scale`."""
        x = np.zeros(self.penalty.shape)
        own = np.arange(len(x))
        x[own, 1 + own if self.form.full else 1] = scale - 1.0
        return x

    def solve(
        self,
        start: Float64Array,
        *,
        tolerance: float = 1e-12,
        curvature: Curvature | None = None,
    ) -> LargeMinimum:
        """Minimise from `start`: first on a subsample, then on all rows.

        `curvature` of these rows at a point near `start` spares making it anew.
        """
        x = start
        n, n_classes = self.rows.n_samples, len(self.penalty)
        step = max(1, min(n * n_classes // START_ELEMENTS, n // HESSIAN_ROWS))
        if step > 1:
            part = self.every(step)
            inverse = part.curvature(x).inverse(self.penalty)
            first = minimize_large(part, x.ravel(), inverse, tolerance=1e-6)
            x = first.x.reshape(x.shape)
        n_evaluations = 0
        for turn in range(MAX_TURNS):
            if turn or curvature is None:
                n_rows, damping = HESSIAN_ROWS * 4 ** min(turn, 8), 0.1 ** min(turn, 8)
                curvature = self.curvature(x, n_rows, damping if turn else 0.0)
            minimum = minimize_large(
                self,
                x.ravel(),
                curvature.inverse(self.penalty),
                tolerance=tolerance,
                max_evaluations=PASSES_PER_TURN,
            )
            n_evaluations += minimum.n_evaluations
            x = minimum.x.reshape(x.shape)
            if minimum.converged:
                break
        return replace(minimum, n_evaluations=n_evaluations)

    # ------------------------------------------------------------------ approximate Hessian

    def curvature(
        self, x: Float64Array, n_rows: int = HESSIAN_ROWS, damping: float = 0.0
    ) -> Curvature:
        """Return the Hessian of the loss at `x`, estimated on about `n_rows` of the rows.

        `damping` adds a share of its bound for any probabilities (Boehning 1992), which helps where
        rows are so certain that the Hessian says nothing.
        """
        part = self.every(max(1, self.rows.n_samples // n_rows)).rows.every(1).part
        z = part.source.block(slice(None))
        proba, _ = softmax_loss(self.form.linear(x, z), part.target)
        weight = np.ones(len(z)) if part.weight is None else part.weight
        weight = weight / weight.sum()
        blocks = self._by_class(z, proba, weight, damping)
        diagonal = np.einsum("kii->ki", blocks) * (1.0 + RIDGE)
        if x.size > WHOLE_HESSIAN:
            return Curvature(blocks, diagonal)
        return Curvature(self._coupled(z, proba, weight, blocks), diagonal)

    def _by_class(
        self, z: Float64Array, proba: Float64Array, weight: Float64Array, damping: float
    ) -> Float64Array:
        """Return the Hessian of each class alone, shape (n_classes, m, m)."""
        spread = weight[:, None] * (proba * (1.0 - proba) + 0.25 * damping)
        n_classes, m = self.penalty.shape
        out = np.empty((n_classes, m, m))
        for k in range(n_classes):
            if k == 0 or not self.form.full:
                features = self.form.features(z, k)
            out[k] = (features * spread[:, k, None]).T @ features
        return out

    def _coupled(
        self, z: Float64Array, proba: Float64Array, weight: Float64Array, blocks: Float64Array
    ) -> Float64Array:
        """Return the whole Hessian, shape (n_unknowns, n_unknowns)."""
        n_classes, m = self.penalty.shape
        half = np.sqrt(weight)[:, None] * proba
        wide = np.empty((len(z), n_classes, m))
        for k in range(n_classes):
            wide[:, k] = half[:, k, None] * self.form.features(z, k)
        flat = wide.reshape(len(z), -1)
        out = -(flat.T @ flat).reshape(n_classes, m, n_classes, m)
        index = np.arange(n_classes)
        out[index, :, index, :] = blocks
        return np.asarray(out.reshape(n_classes * m, n_classes * m))


def softmax_loss(eta: Float64Array, target: LabelArray) -> tuple[Float64Array, Float64Array]:
    """Return probabilities (overwriting `eta`) and the log loss of each row."""
    eta -= eta.max(axis=1, keepdims=True)
    picked = at_target(eta, target)
    np.exp(eta, out=eta)
    total = eta.sum(axis=1)
    eta /= total[:, None]
    return eta, np.asarray(np.log(total) - picked)
