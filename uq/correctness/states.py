"""Hidden states of a network: checked once, then read one layer at a time, in blocks of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from calib._border.arrays import is_foreign_array, read_array, row_blocks, to_numpy
from calib._border.checks import describe
from calib._border.typing import Array, ArrayLike, Float64Array, FloatArray, LabelArray
from calib._border.validation import as_floating

Pooling: TypeAlias = Literal["last", "mean"] | None
#: Rows of a block at least, so that sums over a block stay efficient.
ROWS_AT_LEAST = 256
#: Largest state whose squares still add up.
LARGEST_STATE = 1e100
#: A dimension whose spread is below this many rounding errors of its size is constant.
ROUNDINGS = 4.0


@dataclass(frozen=True, eq=False)
class HiddenStates:
    """States of some samples, layer by layer, wherever they are stored.

    Attributes
    ----------
    layers : tuple of array
        Of each layer, shape (n_samples, n_features) or (n_samples, n_tokens, n_features); views
        of what was passed, which stay on disk where that is a memory map.
    pooling : {"last", "mean"} or None
        How the tokens of a row become one vector.
    mask : ndarray of bool, shape (n_samples, n_tokens), or None
        Which tokens are there; None: all.
    """

    layers: tuple[Array, ...]
    pooling: Pooling
    mask: LabelArray | None

    @property
    def n_samples(self) -> int:
        """Number of rows."""
        return int(self.layers[0].shape[0])

    @property
    def n_features(self) -> int:
        """Dimension of a state."""
        return int(self.layers[0].shape[-1])

    def precision(self, layer: int) -> type[np.floating[Any]]:
        """Return the type that holds the values of a layer exactly: float32 unless it is wider."""
        floating = as_floating(_first_rows(self.layers[layer]), "H")
        return np.float32 if floating.dtype.itemsize <= 4 else np.float64

    def blocks(self, layer: int, number: int | None = None) -> Iterator[tuple[slice, FloatArray]]:
        """Yield slices of rows with their pooled states, float32 or float64.

        Parameters
        ----------
        layer : int
            Position in `layers`.
        number : int or None, default=None
            What an error calls the layer; None means `layer`.

        Raises
        ------
        ValueError
            For NaN, inf and numbers whose squares overflow; it names the layer and the row.
        """
        source = self.layers[layer]
        dtype = self.precision(layer)
        elements = int(np.prod(source.shape[1:]))
        for rows in row_blocks(self.n_samples, elements, at_least=ROWS_AT_LEAST):
            block = to_numpy(as_floating(source[rows], "H")).astype(dtype, copy=False)
            if block.ndim == 3:
                block = self._pooled(block, rows)
            top, bottom = float(block.max()), float(block.min())  # NaN stays NaN
            if not (top <= LARGEST_STATE and -bottom <= LARGEST_STATE):
                _refuse(block, layer if number is None else number, rows.start)
            yield rows, block

    def _pooled(self, block: FloatArray, rows: slice) -> FloatArray:
        n_tokens = block.shape[1]
        mask = np.ones(block.shape[:2], dtype=bool) if self.mask is None else self.mask[rows]
        if self.pooling == "last":
            last = n_tokens - 1 - np.argmax(mask[:, ::-1], axis=1)
            return np.asarray(block[np.arange(len(block)), last])
        filled = np.where(mask[:, :, None], block, 0)  # padding may hold anything
        mean = filled.sum(axis=1, dtype=np.float64) / mask.sum(axis=1)[:, None]
        return np.asarray(mean.astype(block.dtype))


def read_states(H: ArrayLike, pooling: Pooling, mask: ArrayLike) -> HiddenStates:
    """Check the shape of hidden states, without reading more than one row of each layer.

    Parameters
    ----------
    H : array-like or sequence of arrays
        Shape (n_samples, n_features), (n_samples, n_layers, n_features) or (n_samples, n_layers,
        n_tokens, n_features); or a list or tuple with an array of shape (n_samples, n_features) or
        (n_samples, n_tokens, n_features) per layer.
    pooling : {"last", "mean"} or None
    mask : array-like of shape (n_samples, n_tokens) or None

    Raises
    ------
    ValueError
        For any other shape, layers of different shapes, tokens without `pooling`, and a mask
        without tokens, of another shape, with other values than 0 and 1, or with an empty row.
    """
    layers = _layers_of(H)
    shape = tuple(layers[0].shape)
    for number, layer in enumerate(layers):
        if tuple(layer.shape) != shape:
            raise ValueError(
                f"H holds one array per layer, which must have one shape: layer 0 has {shape}, "
                f"layer {number} has {tuple(layer.shape)}"
            )
        as_floating(_first_rows(layer), "H")
    if len(shape) == 2:
        if mask is not None:
            raise ValueError(
                "mask marks tokens, but H has none (one array of three axes is read as samples, "
                "layers, dimensions); leave mask out, or pass one array (n_samples, n_tokens, "
                "n_features) per layer, [H] for a single one"
            )
        return HiddenStates(layers, pooling, None)
    if pooling is None:
        raise ValueError(
            f"H has {shape[1]} tokens per row and layer, and pooling=None reads states that are "
            f"pooled already; pass pooling='last' or 'mean'"
        )
    return HiddenStates(layers, pooling, _read_mask(mask, shape[:2]))


def _layers_of(H: ArrayLike) -> tuple[Array, ...]:
    """Return one array per layer, views of what was passed."""
    if _is_sequence_of_layers(H):
        arrays = [read_array(layer, f"H[{number}]") for number, layer in enumerate(H)]
        for number, array in enumerate(arrays):
            if len(array.shape) not in (2, 3):
                raise ValueError(
                    f"H[{number}] has shape {tuple(array.shape)}; a list of layers needs arrays "
                    f"of shape (n_samples, n_features) or (n_samples, n_tokens, n_features)"
                )
            _check_size(array, f"H[{number}]")
        return tuple(arrays)
    array = read_array(H, "H")
    if len(array.shape) not in (2, 3, 4):
        advice = (
            "Reshape your data: states of one layer are a matrix, of one sample H.reshape(1, -1)"
            if len(array.shape) < 2
            else "Pass one array per layer where samples have different numbers of layers"
        )
        raise ValueError(
            f"H must have shape (n_samples, n_features), (n_samples, n_layers, n_features) or "
            f"(n_samples, n_layers, n_tokens, n_features); got shape {tuple(array.shape)}. {advice}"
        )
    _check_size(array, "H")
    if len(array.shape) == 2:
        return (array,)
    return tuple(array[:, layer] for layer in range(array.shape[1]))


def _is_sequence_of_layers(H: ArrayLike) -> bool:
    return (
        isinstance(H, Sequence)
        and len(H) > 0
        and all(
            (isinstance(layer, np.ndarray) or is_foreign_array(layer)) and len(layer.shape) >= 2
            for layer in H
        )
    )


def _check_size(array: Array, name: str) -> None:
    shape = tuple(int(size) for size in array.shape)
    if shape[0] == 0:
        raise ValueError(f"{name} has 0 sample(s) (shape={shape}) while a minimum of 1 is required")
    if 0 in shape:
        raise ValueError(
            f"{name} has 0 feature(s) (shape={shape}) while a minimum of 1 is required."
        )


def _first_rows(layer: Array) -> Array:
    return layer[:1]


def _read_mask(mask: ArrayLike, shape: tuple[int, ...]) -> LabelArray | None:
    if mask is None:
        return None
    array = to_numpy(read_array(mask, "mask"))
    if array.shape != shape:
        raise ValueError(f"mask must have shape (n_samples, n_tokens) = {shape}; got {array.shape}")
    if array.dtype.kind not in "biuf" or not np.isin(array, (0, 1)).all():
        raise ValueError(
            f"mask must hold 1 (or True) for tokens and 0 for padding; got {array.dtype} with "
            f"values such as {describe(array.ravel()[int(np.argmax(_not_a_bit(array)))].item())}"
        )
    there = array.astype(bool)
    empty = np.flatnonzero(~there.any(axis=1))
    if len(empty):
        raise ValueError(
            f"mask has no token in {len(empty)} of {len(there)} rows (first: row {empty[0]}), so "
            f"there is nothing to pool; remove these rows"
        )
    return there


def _not_a_bit(array: LabelArray) -> LabelArray:
    if array.dtype.kind not in "biuf":
        return np.ones(array.size, dtype=bool)
    return np.asarray(~np.isin(array.ravel(), (0, 1)))


def _refuse(block: FloatArray, layer: int, start: int) -> None:
    bad = ~(np.abs(block.astype(np.float64)) <= LARGEST_STATE)
    row, column = (int(place) for place in np.argwhere(bad)[0])
    value = float(block[row, column])
    place = f"layer {layer}, row {start + row}, dimension {column}"
    if np.isfinite(value):
        raise ValueError(
            f"H has {value:.6g} in {place}, whose square overflows; divide H by a constant (at "
            f"most {LARGEST_STATE:g} is read)"
        )
    raise ValueError(
        f"H contains NaN or inf: {value} in {place}; remove such rows or this layer (float16 ends "
        f"at 65,504: store float32 if states overflow)"
    )


@dataclass(frozen=True, eq=False)
class StateScaling:
    """What states are centred and multiplied by, dimension by dimension.

    Attributes
    ----------
    mean : ndarray of shape (n_features,)
    factor : ndarray of shape (n_features,)
        0 for constant dimensions, which say nothing.
    """

    mean: Float64Array
    factor: Float64Array

    @property
    def n_varying(self) -> int:
        """Number of dimensions that are not constant."""
        return int(np.count_nonzero(self.factor))


def scaled_layer(
    states: HiddenStates, layer: int, *, standardize: bool, dtype: type[np.floating[Any]] | None
) -> tuple[Any, StateScaling]:
    """Return the states of a layer with mean 0 and mean square 1, and how they were scaled.

    Parameters
    ----------
    states : HiddenStates
    layer : int
    standardize : bool
        Whether every dimension has mean square 1, or all of them on average.
    dtype : type or None
        Of the result; None means the precision of the layer.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        Constant dimensions are 0.
    scale : StateScaling
    """
    n, d = states.n_samples, states.n_features
    out = np.empty((n, d), dtype=dtype or states.precision(layer))
    total, squares = np.zeros(d), np.zeros(d)
    shift: FloatArray | None = None
    for rows, block in states.blocks(layer):
        shift = block[0].astype(np.float64) if shift is None else shift
        from_first = np.subtract(block, shift, dtype=np.float64)
        total += from_first.sum(axis=0)
        squares += np.einsum("ij,ij->j", from_first, from_first)
        out[rows] = from_first
    assert shift is not None
    offset = total / n
    variance = np.maximum(squares / n - offset**2, 0.0)
    rounding = ROUNDINGS * np.finfo(states.precision(layer)).eps * np.abs(shift + offset)
    varies = np.sqrt(variance) > rounding
    factor = np.zeros(d)
    spread = variance[varies]
    factor[varies] = 1.0 / np.sqrt(spread if standardize else spread.mean())
    centre, multiple = offset.astype(out.dtype), factor.astype(out.dtype)
    for rows in row_blocks(n, d, at_least=ROWS_AT_LEAST):
        part = out[rows]
        part -= centre
        part *= multiple
    return out, StateScaling(shift + offset, factor)


def product(states: HiddenStates, layer: int, number: int, weights: Float64Array) -> Float64Array:
    """Return the products of the states of a layer with some vectors, shape (n_samples, ...)."""
    out = np.empty((states.n_samples, *weights.shape[1:]))
    for rows, block in states.blocks(layer, number):
        out[rows] = block @ weights
    return out
