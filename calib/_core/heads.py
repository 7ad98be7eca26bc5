"""Regressions on the residuals of a frozen model: the learned part of the split-point methods.

A head is a mean (or a quantile) of a residual given inputs. Several heads share their inputs and
are the columns of one target array, so that linear heads are one solve and a network one pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from sklearn.utils import check_random_state

from calib._border.arrays import row_blocks
from calib._border.optional import require
from calib._border.typing import Array, Float64Array, IntArray, Namespace, RandomState

HeadKind: TypeAlias = Literal["ridge", "hgb", "torch"]
HEAD_KINDS: tuple[HeadKind, ...] = ("ridge", "hgb", "torch")

#: Penalties tried by ridge heads, as multiples of the total weight (columns have unit variance).
PENALTIES = tuple(10.0 ** np.arange(-4.0, 2.01, 0.5))
#: Of penalties whose held-out errors agree to this relative precision the largest is taken.
SAME_ERROR = 1e-9
#: Smallest share of itself that a sample leaves unexplained, against division by zero.
LEAST_LEVERAGE_LEFT = 1e-9
#: Standard deviation, relative to the largest value, below which an input counts as constant.
CONSTANT = 1e-12
#: Boosted trees: few leaves, small steps; residuals hold little signal.
BOOSTING = {"max_iter": 100, "max_leaf_nodes": 8, "min_samples_leaf": 20, "learning_rate": 0.05}
#: Rows below which trees and networks learn a constant.
FEWEST_ROWS = 20
#: Network: units of each of two hidden layers, steps, rows per step, step size, weight decay.
HIDDEN, STEPS, BATCH, RATE, DECAY = 50, 2000, 64, 1e-3, 1e-4
#: Parts of the cross-validation of heads without a closed form.
N_FOLDS = 5


class Heads(Protocol):
    """What all fitted heads have in common."""

    def predict(self, inputs: Array, xp: Namespace = np) -> Array:
        """Return the heads at inputs of shape (n, n_inputs), shape (n, n_heads)."""
        ...


@dataclass(frozen=True)
class ConstantHeads:
    """Heads that ignore their inputs."""

    values: Float64Array

    def predict(self, inputs: Array, xp: Namespace = np) -> Array:
        return xp.zeros_like(inputs[:, :1]) + self.values


@dataclass(frozen=True)
class RidgeHeads:
    """Linear heads; they go on as straight lines outside the data they were fitted on.

    Attributes
    ----------
    centre, unit : ndarray of shape (n_inputs,)
        Mean and standard deviation of the inputs.
    intercept : ndarray of shape (n_heads,)
    slope : ndarray of shape (n_heads, n_inputs)
        Of standardised inputs.
    penalty : float
        The penalty, relative to the total weight, > 0.
    """

    centre: Float64Array
    unit: Float64Array
    intercept: Float64Array
    slope: Float64Array
    penalty: float

    def predict(self, inputs: Array, xp: Namespace = np) -> Array:
        standard = (inputs - self.centre) / self.unit
        if xp is not np:
            return xp.matmul(standard, self.slope.T) + self.intercept
        # plain einsum: unlike BLAS it gives a row the same bits in whatever batch it comes
        out: Float64Array = np.einsum("ij,kj->ik", standard, self.slope, optimize=False)
        return out + self.intercept


@dataclass(frozen=True)
class BoostedHeads:
    """One scikit-learn histogram gradient boosting a head; constant outside their data."""

    models: tuple[Any, ...]

    def predict(self, inputs: Array, xp: Namespace = np) -> Array:
        if xp is not np:
            raise TypeError(
                "heads='hgb' are trees, which cannot be exported; heads='ridge' and 'torch' can"
            )
        return np.stack([model.predict(inputs) for model in self.models], axis=1)


@dataclass(frozen=True)
class NetworkHeads:
    """A small rectifier network with linear outputs, kept as NumPy arrays."""

    centre: Float64Array
    unit: Float64Array
    layers: tuple[tuple[Float64Array, Float64Array], ...]
    scale: Float64Array

    def predict(self, inputs: Array, xp: Namespace = np) -> Array:
        out = (inputs - self.centre) / self.unit
        *hidden, (weights, bias) = self.layers
        for inner, offset in hidden:
            out = xp.clip(out @ inner + offset, 0.0, None)
        return (out @ weights + bias) * self.scale


def fit_heads(
    kind: HeadKind,
    inputs: Float64Array,
    targets: Float64Array,
    weight: Float64Array | None = None,
    *,
    quantile: float | None = None,
    random_state: RandomState = None,
) -> Heads:
    """Fit one head for each column of the targets.

    Parameters
    ----------
    kind : {"ridge", "hgb", "torch"}
        Linear with a penalty chosen by exact leave-one-out errors; boosted trees; a small network.
    inputs : ndarray of shape (n_samples, n_inputs)
        Finite; any scale, they are standardised here.
    targets : ndarray of shape (n_samples, n_heads)
        Residuals or parts of them. A head for one side of the split point is fitted by passing
        the rows of that side only.
    weight : ndarray of shape (n_samples,), default=None
        Positive weights.
    quantile : float, default=None
        Level in (0, 1) for the pinball loss; None means squared error. Not for ``"ridge"``.
    random_state : int, RandomState instance or None, default=None
        Of networks; the others draw nothing.

    Returns
    -------
    heads : Heads
        Constant ones where trees or a network would have fewer than `FEWEST_ROWS` rows, and zero
        without any row: the mean residual of a side that never occurs.

    Raises
    ------
    ValueError
        For ridge heads of a quantile.
    ImportError
        For ``"torch"`` without torch.
    """
    if not len(inputs):
        return ConstantHeads(np.zeros(targets.shape[1]))
    if kind == "ridge":
        if quantile is not None:
            raise ValueError("heads='ridge' has no quantile loss; use 'hgb' or 'torch'")
        return _fit_ridge(inputs, targets, weight)[0]
    if len(inputs) < FEWEST_ROWS:
        return ConstantHeads(_constants(targets, weight, quantile))
    if kind == "hgb":
        return _fit_boosting(inputs, targets, weight, quantile)
    return _fit_network(inputs, targets, weight, quantile, random_state)


def fit_with_held_out(
    kind: HeadKind,
    inputs: Float64Array,
    targets: Float64Array,
    weight: Float64Array | None = None,
    *,
    random_state: RandomState = None,
) -> tuple[Heads, Float64Array]:
    """Fit heads of means and predict each sample by heads that did not see it.

    Parameters
    ----------
    kind, inputs, targets, weight, random_state
        As for `fit_heads`; `random_state` also shuffles the folds.

    Returns
    -------
    heads : Heads
        Fitted on all samples.
    held_out : ndarray of shape (n_samples, n_heads)
        Ridge: exact leave-one-out predictions, in closed form. A sample of weight w counts as w
        copies of which one is left out (all of it for w < 1), so that weights and repetitions
        agree. Others: folds of distinct inputs, so that copies of a row share a fold.
    """
    if kind == "ridge":
        return _fit_ridge(inputs, targets, weight)
    random = check_random_state(random_state)
    heads = fit_heads(kind, inputs, targets, weight, random_state=random)
    fold = _folds(inputs, random)
    if fold.max() == 0:  # a single distinct row: nothing but a constant can be learned
        return heads, heads.predict(inputs)
    out = np.empty(targets.shape)
    for number in range(fold.max() + 1):
        test = fold == number
        part = None if weight is None else weight[~test]
        heads_of_fold = fit_heads(kind, inputs[~test], targets[~test], part, random_state=random)
        out[test] = heads_of_fold.predict(inputs[test])
    return heads, out


def _folds(inputs: Float64Array, random: np.random.RandomState) -> IntArray:
    """Assign distinct rows to folds; the order of the samples has no influence."""
    _, row = np.unique(inputs, axis=0, return_inverse=True)
    row = row.reshape(-1)
    n_distinct = int(row.max()) + 1
    fold: IntArray = random.permutation(n_distinct)[row] % min(N_FOLDS, n_distinct)
    return fold


def _standardise(
    inputs: Float64Array, weight: Float64Array | None
) -> tuple[Float64Array, Float64Array]:
    """Return means and standard deviations of the columns (1 for constant ones)."""
    peak = np.abs(inputs).max(axis=0)
    peak = np.where(peak > 0, peak, 1.0)  # taken out first: squares of large inputs overflow
    centre = np.average(inputs / peak, axis=0, weights=weight)
    unit = np.sqrt(np.average((inputs / peak - centre) ** 2, axis=0, weights=weight))
    return centre * peak, np.where(unit > CONSTANT, unit, 1.0) * peak


def _constants(
    targets: Float64Array, weight: Float64Array | None, quantile: float | None
) -> Float64Array:
    if quantile is None:
        return np.average(targets, axis=0, weights=weight)
    w = np.ones(len(targets)) if weight is None else weight
    out = np.empty(targets.shape[1])
    for k, column in enumerate(targets.T):
        order = np.argsort(column, kind="stable")
        mass = np.cumsum(w[order])
        place = np.searchsorted(mass, quantile * mass[-1] * (1 - 1e-12))
        out[k] = column[order][min(place, len(column) - 1)]
    return out


# ---------------------------------------------------------------------- ridge


def _fit_ridge(
    inputs: Float64Array, targets: Float64Array, weight: Float64Array | None
) -> tuple[RidgeHeads, Float64Array]:
    """Fit linear heads; return them with the exact leave-one-out predictions.

    With standardised inputs ``x``, total weight ``W`` and penalty ``a`` the slope is ``(C + a)^-1
    c``, C and c the weighted second moments with the inputs and the targets. Leaving a unit of
    weight out changes the prediction ``f`` of target ``t`` to ``t - (t - f) / (1 - h)``, where
    ``h = (1 + x' (C + a)^-1 x) / W``. All heads share the penalty with the least squared error of
    this kind, so that sums of targets get the sums of their heads.
    """
    n_samples = len(inputs)
    centre, unit = _standardise(inputs, weight)
    standard = (inputs - centre) / unit
    total = float(n_samples if weight is None else weight.sum())
    weighted = standard if weight is None else standard * weight[:, None]
    mean = np.average(targets, axis=0, weights=weight)
    spectrum, basis = np.linalg.eigh(weighted.T @ standard / total)
    spectrum = np.maximum(spectrum, 0.0)
    moments = basis.T @ (weighted.T @ (targets - mean)) / total
    unit_left_out = np.ones(n_samples) if weight is None else np.minimum(weight, 1.0)

    def left_out(rows: slice, penalty: float) -> Float64Array:
        rotated = standard[rows] @ basis
        fitted = mean + rotated @ (moments / (spectrum + penalty)[:, None])
        reach = 1.0 + (rotated * rotated) @ (1.0 / (spectrum + penalty))
        leverage = np.maximum(1.0 - unit_left_out[rows] * reach / total, LEAST_LEVERAGE_LEFT)
        out: Float64Array = targets[rows] - (targets[rows] - fitted) / leverage[:, None]
        return out

    blocks = list(row_blocks(n_samples, inputs.shape[1] + targets.shape[1]))
    errors = np.zeros(len(PENALTIES))
    for rows in blocks:
        for i, penalty in enumerate(PENALTIES):
            square = ((targets[rows] - left_out(rows, penalty)) ** 2).sum(axis=1)
            errors[i] += float(square.sum() if weight is None else square @ weight[rows])
    penalty = PENALTIES[int(np.flatnonzero(errors <= errors.min() * (1 + SAME_ERROR))[-1])]
    held_out = np.concatenate([left_out(rows, penalty) for rows in blocks])
    slope = basis @ (moments / (spectrum + penalty)[:, None])
    return RidgeHeads(centre, unit, mean, np.ascontiguousarray(slope.T), penalty), held_out


# ---------------------------------------------------------------------- trees


def _fit_boosting(
    inputs: Float64Array,
    targets: Float64Array,
    weight: Float64Array | None,
    quantile: float | None,
) -> BoostedHeads:
    from sklearn.ensemble import HistGradientBoostingRegressor

    loss = {"loss": "squared_error"} if quantile is None else {"loss": "quantile"}
    models = []
    for column in targets.T:
        model = HistGradientBoostingRegressor(
            **loss, quantile=quantile, early_stopping=False, random_state=0, **BOOSTING
        )
        models.append(model.fit(inputs, column, sample_weight=weight))
    return BoostedHeads(tuple(models))


# ---------------------------------------------------------------------- network


def _fit_network(
    inputs: Float64Array,
    targets: Float64Array,
    weight: Float64Array | None,
    quantile: float | None,
    random_state: RandomState,
) -> NetworkHeads:
    require("torch", extra="torch", purpose="heads='torch'")
    import torch

    generator = torch.Generator()
    generator.manual_seed(int(check_random_state(random_state).randint(2**31 - 1)))
    centre, unit = _standardise(inputs, weight)
    size = np.average(np.abs(targets), axis=0, weights=weight)
    scale = np.where(size > 0, size, 1.0)
    x = torch.tensor((inputs - centre) / unit, dtype=torch.float32)
    t = torch.tensor(targets / scale, dtype=torch.float32)
    share = np.ones(len(x)) if weight is None else weight
    w = torch.tensor(share / share.mean(), dtype=torch.float32)[:, None]

    widths = [inputs.shape[1], HIDDEN, HIDDEN, targets.shape[1]]
    layers = []
    for before, after in pairwise(widths):
        bound = before**-0.5  # torch's own choice, drawn from our generator
        drawn = torch.rand((before + 1, after), generator=generator) * 2 * bound - bound
        layers.append((drawn[:-1].clone().requires_grad_(), drawn[-1].clone().requires_grad_()))
    parameters = [part for layer in layers for part in layer]
    optimiser = torch.optim.Adam(parameters, lr=RATE, weight_decay=DECAY)
    with torch.enable_grad():
        for _ in range(STEPS):
            chosen = torch.randint(len(x), (BATCH,), generator=generator)
            out = x[chosen]
            for inner, offset in layers[:-1]:
                out = torch.relu(out @ inner + offset)
            gap = t[chosen] - (out @ layers[-1][0] + layers[-1][1])
            if quantile is None:
                loss = gap.square()
            else:
                loss = torch.maximum(quantile * gap, (quantile - 1.0) * gap)
            optimiser.zero_grad()
            (loss * w[chosen]).mean().backward()
            optimiser.step()
    fitted = tuple(
        (a.detach().numpy().astype(np.float64), b.detach().numpy().astype(np.float64))
        for a, b in layers
    )
    return NetworkHeads(centre, unit, fitted, scale)
