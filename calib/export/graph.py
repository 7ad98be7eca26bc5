"""A namespace of arrays whose operations are written down as nodes of an ONNX graph.

A fitted map is a pure function of an array namespace; called with this one it leaves the graph
that does the same. What depends on fitted arrays alone is calculated by NumPy at once.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

import numpy as np

from calib._border.typing import LabelArray

Operand: TypeAlias = "Tensor | LabelArray | float | int | bool"
#: Lengths of the axes; None for the rows, whose number is known only when the graph runs.
Shape: TypeAlias = tuple[int | None, ...]

INT64 = np.dtype(np.int64)


class Tensor:
    """An array of a graph: fitted numbers, or the output of a node.

    Parameters
    ----------
    graph : Graph
        Where operations on it are written down.
    dtype : numpy.dtype
    shape : tuple of int or None
    name : str, default=""
        Name of the output.
    value : ndarray, default=None
        The numbers, if they are known.
    """

    __array_ufunc__ = None  # NumPy leaves mixed operations to this class
    device = "cpu"

    def __init__(
        self,
        graph: Graph,
        dtype: np.dtype[Any],
        shape: Shape,
        name: str = "",
        value: LabelArray | None = None,
    ) -> None:
        self.graph = graph
        self.dtype = dtype
        self.shape = shape
        self.name = name
        self.value = value

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __add__(self, other: Operand) -> Tensor:
        return self.graph.binary("Add", np.add, self, other)

    def __sub__(self, other: Operand) -> Tensor:
        return self.graph.binary("Sub", np.subtract, self, other)

    def __mul__(self, other: Operand) -> Tensor:
        return self.graph.binary("Mul", np.multiply, self, other)

    def __truediv__(self, other: Operand) -> Tensor:
        return self.graph.binary("Div", np.divide, self, other)

    def __radd__(self, other: Operand) -> Tensor:
        return self.graph.binary("Add", np.add, other, self)

    def __rsub__(self, other: Operand) -> Tensor:
        return self.graph.binary("Sub", np.subtract, other, self)

    def __rmul__(self, other: Operand) -> Tensor:
        return self.graph.binary("Mul", np.multiply, other, self)

    def __rtruediv__(self, other: Operand) -> Tensor:
        return self.graph.binary("Div", np.divide, other, self)

    def __matmul__(self, other: Operand) -> Tensor:
        return self.graph.matmul(self, other)

    def __neg__(self) -> Tensor:
        return self.graph.unary("Neg", np.negative, self)

    def __lt__(self, other: Operand) -> Tensor:  # type: ignore[misc]
        return self.graph.binary("Less", np.less, self, other)

    def __le__(self, other: Operand) -> Tensor:  # type: ignore[misc]
        return self.graph.binary("LessOrEqual", np.less_equal, self, other)

    def __gt__(self, other: Operand) -> Tensor:  # type: ignore[misc]
        return self.graph.binary("Greater", np.greater, self, other)

    def __ge__(self, other: Operand) -> Tensor:  # type: ignore[misc]
        return self.graph.binary("GreaterOrEqual", np.greater_equal, self, other)

    def __eq__(self, other: object) -> Tensor:  # type: ignore[override]
        return self.graph.binary("Equal", np.equal, self, cast("Operand", other))

    __hash__ = None  # type: ignore[assignment]

    def __and__(self, other: Operand) -> Tensor:
        return self.graph.binary("And", np.logical_and, self, other)

    def __or__(self, other: Operand) -> Tensor:
        return self.graph.binary("Or", np.logical_or, self, other)

    def __invert__(self) -> Tensor:
        return self.graph.unary("Not", np.logical_not, self)

    def __float__(self) -> float:
        return float(self._known().item())

    def __int__(self) -> int:
        return int(self._known().item())

    def __bool__(self) -> bool:
        return bool(self._known().item())

    def _known(self) -> LabelArray:
        if self.value is None:
            raise TypeError("a value of a graph is not known before the graph runs")
        return self.value

    def reshape(self, *shape: Any) -> Tensor:
        """Return the numbers of a fitted array in another shape."""
        value = self._known()
        return self.graph.constant(value.reshape(*shape))

    def __getitem__(self, key: Any) -> Tensor:
        if isinstance(key, Tensor):
            return self.graph.take(self, key, axis=0)
        if self.value is not None:
            return self.graph.constant(self.value[key])
        keys = key if isinstance(key, tuple) else (key,)
        out, axis = self, 0
        for part in keys:
            if part is None:
                out = self.graph.expand_dims(out, axis=axis)
                axis += 1
            elif isinstance(part, slice):
                if part != slice(None):
                    out = self.graph.cut(out, part, axis)
                axis += 1
            else:
                out = self.graph.take(out, self.graph.constant(np.asarray(part, INT64)), axis=axis)
        return out


class Graph:
    """The nodes that were written down, and the functions of a namespace that write them.

    Parameters
    ----------
    opset : int
        Version of the operators.
    """

    float32, float64 = np.dtype(np.float32), np.dtype(np.float64)
    int32, int64 = np.dtype(np.int32), INT64
    #: Relative error of the scores that come in: of models that answer in single precision.
    score_rounding = 0.0

    def __init__(self, opset: int) -> None:
        from onnx import helper, numpy_helper

        self.opset = opset
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self._helper, self._numpy_helper = helper, numpy_helper
        self._stored: dict[tuple[str, Shape, bytes], str] = {}

    # ------------------------------------------------------------------ nodes

    def constant(self, value: Any) -> Tensor:
        """Return known numbers as an array of the graph."""
        array = np.asarray(value)
        return Tensor(self, array.dtype, array.shape, value=array)

    def variable(self, name: str, dtype: np.dtype[Any], shape: Shape) -> Tensor:
        """Return an input of the graph, or the output of a node made elsewhere."""
        return Tensor(self, dtype, shape, name)

    def name(self, tensor: Tensor) -> str:
        """Return the name of an array, storing its numbers where they are known."""
        if tensor.value is None:
            return tensor.name
        array = np.ascontiguousarray(tensor.value).reshape(tensor.value.shape)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._stored:
            self._stored[key] = f"fitted_{len(self._stored)}"
            self.initializers.append(self._numpy_helper.from_array(array, self._stored[key]))
        return self._stored[key]

    def node(
        self, op: str, inputs: Sequence[Tensor], dtype: np.dtype[Any], shape: Shape, **given: Any
    ) -> Tensor:
        """Write down one node and return its output."""
        out = Tensor(self, dtype, shape, f"step_{len(self.nodes)}")
        names = [self.name(tensor) for tensor in inputs]
        self.nodes.append(self._helper.make_node(op, names, [out.name], **given))
        return out

    def rename(self, tensor: Tensor, name: str) -> None:
        """Give an array a name of its own, as an output of the graph."""
        self.nodes.append(self._helper.make_node("Identity", [self.name(tensor)], [name]))

    def lift(self, value: Any, dtype: np.dtype[Any]) -> Tensor:
        """Return an operand as an array; numbers of Python take the type of the other operand."""
        if isinstance(value, Tensor):
            return value
        if isinstance(value, (bool, int, float)):
            return self.constant(np.asarray(value, dtype=dtype))
        return self.constant(value)

    def operands(self, *values: Operand) -> list[Tensor]:
        """Return operands as arrays of one type."""
        arrays = [v for v in values if isinstance(v, (Tensor, np.ndarray, np.generic))]
        dtype = functools.reduce(np.promote_types, (array.dtype for array in arrays))
        if dtype.kind in "ib" and any(isinstance(v, float) for v in values):
            dtype = self.float64
        return [self.astype(self.lift(v, dtype), dtype) for v in values]

    def binary(
        self, op: str, function: Callable[..., Any], first: Operand, second: Operand
    ) -> Tensor:
        """Write down an operation on two operands."""
        a, b = self.operands(first, second)
        if a.value is not None and b.value is not None:
            with np.errstate(all="ignore"):
                return self.constant(function(a.value, b.value))
        truth = op in ("Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal")
        dtype = np.dtype(bool) if truth else a.dtype
        return self.node(op, [a, b], dtype, _broadcast(a.shape, b.shape))

    def unary(self, op: str, function: Callable[..., Any], x: Tensor, **given: Any) -> Tensor:
        """Write down an operation on every number."""
        x = self.asarray(x)
        if x.value is not None:
            with np.errstate(all="ignore"):
                return self.constant(function(x.value))
        return self.node(op, [x], x.dtype, x.shape, **given)

    def cut(self, x: Tensor, part: slice, axis: int) -> Tensor:
        """Write down a slice along one axis of known length."""
        length = x.shape[axis]
        if length is None:
            raise TypeError("rows of a graph are not cut: their number is not known")
        start, stop, step = part.indices(length)
        numbers = [self.constant(np.array([n], INT64)) for n in (start, stop, axis, step)]
        shape = (*x.shape[:axis], len(range(start, stop, step)), *x.shape[axis + 1 :])
        return self.node("Slice", [x, *numbers], x.dtype, shape)

    # ------------------------------------------------------------------ the namespace

    def asarray(self, x: Any, dtype: Any = None, device: Any = None) -> Tensor:
        """Return numbers or an array as an array of the graph."""
        if isinstance(x, Tensor):
            return x if dtype is None else self.astype(x, dtype)
        return self.constant(np.asarray(x, dtype=dtype))

    def astype(self, x: Tensor, dtype: Any, copy: bool = True) -> Tensor:
        """Convert to another type."""
        wanted = np.dtype(dtype)
        x = self.asarray(x)
        if x.dtype == wanted:
            return x
        if x.value is not None:
            return self.constant(x.value.astype(wanted))
        to = self._helper.np_dtype_to_tensor_dtype(wanted)
        return self.node("Cast", [x], wanted, x.shape, to=to)

    @staticmethod
    def isdtype(dtype: Any, kind: str) -> bool:
        """Return whether a type is of a kind of the array API."""
        return bool(np.isdtype(dtype, kind))

    @staticmethod
    def finfo(dtype: Any) -> Any:
        """Return the limits of a floating type."""
        return np.finfo(dtype)

    def arange(self, n: int, device: Any = None) -> Tensor:
        """Return the first `n` integers."""
        return self.constant(np.arange(n, dtype=INT64))

    def exp(self, x: Tensor) -> Tensor:
        """Return the exponentials."""
        return self.unary("Exp", np.exp, x)

    def log(self, x: Tensor) -> Tensor:
        """Return the natural logarithms."""
        return self.unary("Log", np.log, x)

    def log1p(self, x: Tensor) -> Tensor:
        """Return ``log(1 + x)`` for x in [0, 1]."""
        return self.log(1.0 + x)

    def abs(self, x: Tensor) -> Tensor:
        """Return the sizes."""
        return self.unary("Abs", np.abs, x)

    def floor(self, x: Tensor) -> Tensor:
        """Round down."""
        return self.unary("Floor", np.floor, x)

    def isinf(self, x: Tensor) -> Tensor:
        """Return which numbers are infinite."""
        return self.abs(x) == np.inf

    def minimum(self, x: Operand, y: Operand) -> Tensor:
        """Return the smaller of two numbers."""
        return self.binary("Min", np.minimum, x, y)

    def maximum(self, x: Operand, y: Operand) -> Tensor:
        """Return the larger of two numbers."""
        return self.binary("Max", np.maximum, x, y)

    def clip(self, x: Tensor, low: float | None, high: float | None) -> Tensor:
        """Move numbers into an interval, None for an open end."""
        out = x if low is None else self.maximum(x, low)
        return out if high is None else self.minimum(out, high)

    def where(self, condition: Tensor, first: Operand, second: Operand) -> Tensor:
        """Choose between two numbers."""
        if not any(isinstance(v, (Tensor, np.ndarray, np.generic)) for v in (first, second)):
            kind = self.float64 if isinstance(first, float) else INT64
            first, second = self.lift(first, kind), self.lift(second, kind)
        a, b = self.operands(first, second)
        condition = self.asarray(condition)
        if condition.value is not None and a.value is not None and b.value is not None:
            return self.constant(np.where(condition.value, a.value, b.value))
        shape = _broadcast(condition.shape, _broadcast(a.shape, b.shape))
        return self.node("Where", [condition, a, b], a.dtype, shape)

    def full_like(self, x: Tensor, value: float) -> Tensor:
        """Return an array of the same shape, filled with a number."""
        x = self.asarray(x)
        if x.value is not None:
            return self.constant(np.full_like(x.value, value))
        size = self.node("Shape", [x], INT64, (x.ndim,))
        filling = self._numpy_helper.from_array(np.array([value], dtype=x.dtype))
        return self.node("ConstantOfShape", [size], x.dtype, x.shape, value=filling)

    def zeros_like(self, x: Tensor, dtype: Any = None) -> Tensor:
        """Return an array of the same shape, filled with 0."""
        return self.full_like(x, 0)

    def ones_like(self, x: Tensor) -> Tensor:
        """Return an array of the same shape, filled with 1."""
        return self.full_like(x, 1)

    def sum(self, x: Tensor, axis: int, keepdims: bool = False) -> Tensor:
        """Return sums along an axis."""
        return self._reduced("ReduceSum", np.sum, x, axis, keepdims)

    def max(self, x: Tensor, axis: int, keepdims: bool = False) -> Tensor:
        """Return the largest numbers along an axis."""
        return self._reduced("ReduceMax", np.max, x, axis, keepdims)

    def min(self, x: Tensor, axis: int, keepdims: bool = False) -> Tensor:
        """Return the smallest numbers along an axis."""
        return self._reduced("ReduceMin", np.min, x, axis, keepdims)

    def any(self, x: Tensor, axis: int, keepdims: bool = False) -> Tensor:
        """Return where something holds along an axis."""
        return self.max(self.astype(x, np.int32), axis, keepdims) > 0

    def _reduced(
        self, op: str, function: Callable[..., Any], x: Tensor, axis: int, keepdims: bool
    ) -> Tensor:
        x = self.asarray(x)
        if x.value is not None:
            return self.constant(function(x.value, axis=axis, keepdims=keepdims))
        kept = (1,) if keepdims else ()
        shape = (*x.shape[:axis], *kept, *x.shape[axis + 1 :])
        if op == "ReduceSum" or self.opset >= 18:
            axes = self.constant(np.array([axis], INT64))
            return self.node(op, [x, axes], x.dtype, shape, keepdims=int(keepdims))
        return self.node(op, [x], x.dtype, shape, axes=[axis], keepdims=int(keepdims))

    def argmax(self, x: Tensor, axis: int) -> Tensor:
        """Return the first place of the largest number along an axis."""
        shape = (*x.shape[:axis], *x.shape[axis + 1 :])
        return self.node("ArgMax", [x], INT64, shape, axis=axis, keepdims=0)

    def expand_dims(self, x: Tensor, axis: int) -> Tensor:
        """Insert an axis of length 1."""
        x = self.asarray(x)
        if x.value is not None:
            return self.constant(np.expand_dims(x.value, axis))
        axes = self.constant(np.array([axis], INT64))
        return self.node("Unsqueeze", [x, axes], x.dtype, (*x.shape[:axis], 1, *x.shape[axis:]))

    def concat(self, arrays: Sequence[Tensor], axis: int) -> Tensor:
        """Join arrays along an axis."""
        arrays = self.operands(*arrays)
        length = sum(cast(int, array.shape[axis]) for array in arrays)
        shape = (*arrays[0].shape[:axis], length, *arrays[0].shape[axis + 1 :])
        return self.node("Concat", arrays, arrays[0].dtype, shape, axis=axis)

    def stack(self, arrays: Sequence[Tensor], axis: int) -> Tensor:
        """Join arrays along a new axis."""
        return self.concat([self.expand_dims(array, axis) for array in arrays], axis)

    def take(self, x: Tensor, places: Tensor, axis: int) -> Tensor:
        """Return the entries at some places of an axis."""
        x = self.asarray(x)
        if x.value is not None and places.value is not None:
            return self.constant(np.take(x.value, places.value, axis=axis))
        shape = (*x.shape[:axis], *places.shape, *x.shape[axis + 1 :])
        return self.node("Gather", [x, places], x.dtype, shape, axis=axis)

    def reshape(self, x: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Return the numbers of an array in another shape; -1 stands for as many as there are."""
        x = self.asarray(x)
        if x.value is not None:
            return x.reshape(shape)
        lengths = self.constant(np.array(shape, INT64))
        known = tuple(None if length < 0 else length for length in shape)
        return self.node("Reshape", [x, lengths], x.dtype, known)

    def matrix_transpose(self, x: Tensor) -> Tensor:
        """Exchange the axes of a matrix."""
        x = self.asarray(x)
        if x.value is not None:
            return self.constant(x.value.T)
        return self.node("Transpose", [x], x.dtype, x.shape[::-1], perm=[1, 0])

    def matmul(self, x: Tensor, y: Operand) -> Tensor:
        """Return the matrix product."""
        a, b = self.operands(x, y)
        return self.node("MatMul", [a, b], a.dtype, (*a.shape[:-1], *b.shape[1:]))


def _broadcast(first: Shape, second: Shape) -> Shape:
    size = max(len(first), len(second))
    pairs = zip(
        (1,) * (size - len(first)) + first, (1,) * (size - len(second)) + second, strict=True
    )
    return tuple(b if a == 1 else a for a, b in pairs)
