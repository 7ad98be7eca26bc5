"""What a fitted calibrator is: a pure function of scores, its arrays, its options and its traits.

Mapping, files, torch modules, pools of maps, collections and detectors consume a `FittedMap` and
nothing else of a calibrator. The traits are declared beside the method that fits the map. They say
what its arrays have to be (shape, range, order): a file holds numbers that somebody may have
changed, and a loaded map that keeps what is true of every fit gives probabilities wherever it is
applied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from calib._border.arrays import array_namespace, blocks_of, is_half, like
from calib._border.typing import Array, Domain, InputKind, LabelArray, Namespace
from calib._core import links

#: A pure function of scores (n, n_classes), fitted values with options, and a namespace.
PureMap: TypeAlias = Callable[[Array, Mapping[str, Any], Namespace], Array]

#: A length, the name of one, or the name of one with what is added to it.
Length: TypeAlias = int | str | tuple[str, int]
#: Largest size of a number that a map multiplies scores by; beyond it sums overflow.
LARGEST = 1e300
#: Rounding that an order or a sum may show.
ROUNDING = 1e-9


@dataclass(frozen=True)
class FittedArray:
    """Declaration of one fitted value.

    Attributes
    ----------
    shape : tuple of int, str or (str, int)
        Length of every axis; ``()`` is a number. A name stands for a size of the calibrator
        (``"classes"``, ``"problems"``) or, where it has none of that name, for one length that all
        arrays share. ``("bins", 1)`` is one more than ``"bins"``.
    low, high : float
        Range of the values, ends included.
    above : float or None
        Bound that every value exceeds.
    ascending : bool
        Whether values ascend along the last axis, repetitions allowed.
    total : float or None
        Sum along the last axis.
    integer : bool
        Whether values are integers.
    empty : bool
        Whether an axis may have length 0.
    static : bool
        Whether the value says how the map is put together: NumPy integers wherever the map runs.
    text : bool
        Whether values are texts.
    names : tuple of str
        What integers stand for, in order; files hold the names.
    absent : callable or None
        For values that older files lack: what they stand for, given the others.
    """

    shape: tuple[Length, ...] = ()
    low: float = -LARGEST
    high: float = LARGEST
    above: float | None = None
    ascending: bool = False
    total: float | None = None
    integer: bool = False
    empty: bool = False
    static: bool = False
    text: bool = False
    names: tuple[str, ...] = ()
    absent: Callable[[Mapping[str, Any]], Any] | None = None

    def of_shape(self, *shape: Length) -> FittedArray:
        """Return the same declaration for another shape."""
        return replace(self, shape=shape)

    def check(self, name: str, value: Any, sizes: dict[str, int]) -> None:
        """Raise a `ValueError` unless `value` is as declared.

        Parameters
        ----------
        name : str
        value : number or ndarray
        sizes : dict of str to int
            Known lengths; those that this array settles are added.
        """
        array = np.asarray(value)
        if self.text:
            if array.dtype.kind not in "UO" or not all(isinstance(v, str) for v in array.flat):
                raise ValueError(f"{name} must hold texts; got {array.dtype}")
            self._check_shape(name, array.shape, sizes)
            return
        if array.dtype.kind not in ("iu" if self.integer else "fiu"):
            kind = "integers" if self.integer else "numbers"
            raise ValueError(f"{name} must hold {kind}; got {array.dtype}")
        self._check_shape(name, array.shape, sizes)
        if not np.isfinite(array).all():
            raise ValueError(f"{name} must be finite")
        if array.size:
            self._check_range(name, array)
        if self.ascending and array.shape[-1] > 1:
            steps = np.diff(array, axis=-1)
            if (steps < -ROUNDING * np.maximum(1.0, np.abs(array[..., 1:]))).any():
                raise ValueError(f"{name} must ascend")
        if self.total is not None:
            gap = np.abs(array.sum(axis=-1) - self.total)
            if (gap > ROUNDING * array.shape[-1]).any():
                raise ValueError(f"{name} must sum to {self.total:g}")

    def _check_shape(self, name: str, shape: tuple[int, ...], sizes: dict[str, int]) -> None:
        wanted = []
        for axis, length in enumerate(self.shape):
            key, more = length if isinstance(length, tuple) else (length, 0)
            if isinstance(key, str):
                if key not in sizes and axis < len(shape):
                    sizes[key] = shape[axis] - more
                key = sizes.get(key, -1)
            wanted.append(key + more)
        if list(shape) != wanted or (0 in shape and not self.empty):
            raise ValueError(f"{name} must have shape {tuple(wanted)}; got {shape}")

    def _check_range(self, name: str, array: LabelArray) -> None:
        least, most = array.min(), array.max()
        if least < self.low or most > self.high:
            value = least if least < self.low else most
            raise ValueError(f"{name} must lie in [{self.low:g}, {self.high:g}]; got {value:g}")
        if self.above is not None and least <= self.above:
            raise ValueError(f"{name} must be > {self.above:g}; got {least:g}")


def _one(_fitted: Mapping[str, Any]) -> float:
    return 1.0


#: A share of the uniform distribution, a probability, or a weight of one.
SHARE = FittedArray(low=0.0, high=1.0)
#: A temperature or another unit of scores: small enough for large scores, and log-odds over it
#: do not overflow.
POSITIVE = FittedArray(low=1e-305, high=np.inf)
#: Any number that multiplies or moves scores.
NUMBER = FittedArray()
#: What logits are divided by first; older files take them as they are.
UNIT = replace(POSITIVE, absent=_one)


@dataclass(frozen=True, eq=False)
class MapTraits:
    """What a method declares of its map, true of every fit.

    Attributes
    ----------
    arrays : mapping of str to FittedArray
        Fitted attributes that feed the map, files and exported modules, in the order of files.
    domain : {"logits", "proba", "declared"}
        What the map reads; scores are converted, ``"declared"`` leaves them as they come (the map
        finds what they are as ``fitted["input"]``).
    options : tuple of str
        Constructor arguments that the map reads beside the arrays.
    double : bool
        Whether the map needs float64 whatever arrives, as step functions that compare scores do.
    cancels : bool
        Whether digits cancel in the map, so that it works in float64 as well, but for modules that
        are traced: exporters of torch write numbers in single precision.
    block_rows : int
        Fewest rows that are mapped together; maps that loop over classes want more. Rows are
        mapped independently of each other.
    rescales_from : int
        Number of classes from which logits are divided by a fitted ``unit_`` first, so that any
        scale is the same; 0 for maps that have no need of it. Others have the array ``unit_``.
    n_scores : str
        Name of the static array that holds how many leading columns are scores, where features
        may follow; features reach the map as they are, behind one column of scores per class.
    widest : str
        Name of the array of whose second length the map makes as many numbers a row, where these
        may be more than the columns of scores; blocks of rows are made for them.
    pure : bool
        Whether the arrays are all there is; False for a calibrator with an inner model, which has
        no `FittedMap`.
    required : tuple of str
        Names of the arrays that every version of a fit has set.
    static : frozenset of str
        Names of the static arrays.
    shares : frozenset of str
        Names of the numbers that are shares, which spare tensors the work for one of 0.
    """

    arrays: Mapping[str, FittedArray] = field(default_factory=dict)
    domain: Domain = "logits"
    options: tuple[str, ...] = ()
    double: bool = False
    cancels: bool = False
    block_rows: int = 1
    rescales_from: int = 0
    n_scores: str = ""
    widest: str = ""
    pure: bool = True
    required: tuple[str, ...] = field(init=False)
    static: frozenset[str] = field(init=False)
    shares: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        if self.rescales_from:
            object.__setattr__(self, "arrays", {**self.arrays, "unit_": UNIT})
        required = [name for name, array in self.arrays.items() if not array.absent]
        object.__setattr__(self, "required", tuple(required))
        static = [name for name, array in self.arrays.items() if array.static]
        object.__setattr__(self, "static", frozenset(static))
        shares = [name for name, array in self.arrays.items() if array is SHARE]
        object.__setattr__(self, "shares", frozenset(shares))

    def completed(self, fitted: Mapping[str, Any]) -> dict[str, Any]:
        """Return fitted values in the declared order, with those that older files lack."""
        return {
            name: fitted[name] if name in fitted or array.absent is None else array.absent(fitted)
            for name, array in self.arrays.items()
        }

    def check(self, fitted: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, int]:
        """Raise a `ValueError` unless every value is as declared; return all lengths."""
        return check_arrays(fitted, self.arrays, sizes)


@dataclass(frozen=True, eq=False)
class FittedMap:
    """A fitted map as a value: made by ``BaseCalibrator.fitted_map``, consumed everywhere else.

    Attributes
    ----------
    function : callable
        Pure function of scores, fitted values with options, and an array namespace.
    traits : MapTraits
        What the method declares.
    arrays : mapping of str to array or number
        Fitted values by attribute name.
    options : mapping of str to str, bool or number
        Constructor arguments that the map reads.
    """

    function: PureMap
    traits: MapTraits
    arrays: Mapping[str, Any]
    options: Mapping[str, Any]

    @np.errstate(over="ignore")  # what is infinite is certain
    def map_rows(self, scores: Array, source: InputKind) -> Array:
        """Apply the map to a matrix of any namespace, in blocks of rows in the host's memory.

        Parameters
        ----------
        scores : array of shape (n_samples, 1) or (n_samples, n_classes)
            Checked scores.
        source : {"proba", "logits"}
            What they are.

        Returns
        -------
        proba : array of shape (n_samples, n_classes)
            Of the floating type, library and device of `scores`.
        """
        xp = array_namespace(scores)
        n_columns = max(2, scores.shape[1])
        if self.traits.widest:
            n_columns = max(n_columns, self.arrays[self.traits.widest].shape[1])
        blocks = blocks_of(scores, n_columns, at_least=self.traits.block_rows)
        if len(blocks) < 2:
            return self.apply(scores, source, xp, eager=True)
        first = self.apply(scores[blocks[0]], source, xp, eager=True)
        out = xp.empty((scores.shape[0], *first.shape[1:]), dtype=first.dtype)
        out[blocks[0]] = first
        for rows in blocks[1:]:
            out[rows] = self.apply(scores[rows], source, xp, eager=True)
        return out

    def apply(
        self,
        scores: Array,
        source: InputKind,
        xp: Namespace,
        arrays: Mapping[str, Any] | None = None,
        *,
        eager: bool = False,
    ) -> Array:
        """Convert and cast scores as they were declared, map them, and cast back.

        Parameters
        ----------
        scores : array of shape (n_samples, 1) or (n_samples, n_classes)
        source : {"proba", "logits"}
            What they are.
        xp : namespace
            That of `scores`.
        arrays : mapping of str to array, default=None
            Fitted values that replace those of the map, such as buffers on a device.
        eager : bool, default=False
            Whether values may decide what is computed, as they do in NumPy but not where a module
            of tensors is traced.

        Returns
        -------
        proba : array of shape (n_samples, n_classes)
            Of the floating type of `scores`.
        """
        work = self._working(scores, xp, eager)
        values = self.arrays if arrays is None else arrays
        kept = self.traits.static
        if eager and xp is not np:
            kept = kept | self.traits.shares
        fitted = {
            name: value if name in kept else _cast(value, work, xp)
            for name, value in values.items()
        }
        features = None
        if self.traits.n_scores:
            n_scores = int(fitted[self.traits.n_scores])
            work, features = work[:, :n_scores], work[:, n_scores:]
        columns = links.both_columns(work, source, xp) if work.shape[1] == 1 else work
        hidden = None
        if source == "logits":
            hidden = links.excluded(columns, xp, eager)
            if hidden is not None or fitted.get("unit_", 1.0) != 1.0:
                columns = links.in_units(columns, fitted.get("unit_", 1.0), xp)
        if features is not None and features.shape[1]:
            columns = xp.concat([columns, features], axis=1)
        out = self.evaluate(columns, source, xp, fitted)
        if hidden is not None and out.ndim > 1:
            hidden = hidden[:, : out.shape[1]]  # what stands behind the scores has no probability
            if out.ndim == 3:  # intervals
                out = xp.where(xp.expand_dims(hidden, axis=2), xp.zeros_like(out), out)
            else:
                out = links.without_excluded(out, hidden, xp)
        if xp is np:
            return out if out.dtype is scores.dtype else out.astype(scores.dtype)
        return xp.astype(out, scores.dtype, copy=False)

    def _working(self, scores: Array, xp: Namespace, eager: bool) -> Array:
        """Return scores in the floating type that the map works in."""
        double = self.traits.double or (self.traits.cancels and (eager or xp is np))
        if xp is np and scores.dtype.char in "df":
            return scores.astype(np.float64, copy=False) if double else scores
        if double:
            return xp.astype(scores, xp.float64, copy=False)
        return xp.astype(scores, xp.float32) if is_half(scores) else scores

    def evaluate(
        self,
        columns: Array,
        source: InputKind,
        xp: Namespace,
        arrays: Mapping[str, Any] | None = None,
    ) -> Array:
        """Map numbers that are calculated with as they are: one column per class, in units.

        Parameters
        ----------
        columns : array of shape (n_samples, n_classes)
            Finite, of the floating type of the map.
        source : {"proba", "logits"}
            What they are.
        xp : namespace
        arrays : mapping of str to array, default=None
            Fitted values that replace those of the map.

        Returns
        -------
        proba : array of shape (n_samples, n_classes)
        """
        values = {**(self.arrays if arrays is None else arrays), **self.options}
        domain = self.traits.domain
        if domain == "declared":
            values["input"] = source
        return self.function(links.convert(columns, source, domain, xp), values, xp)


def _cast(value: Any, work: Array, xp: Namespace) -> Array:
    """Bring a fitted value, a NumPy one or a buffer, into the floating type of `work`."""
    if type(value) is np.ndarray and value.dtype is work.dtype:
        return value
    if xp is np or isinstance(value, (np.ndarray, np.generic, float, int)):
        return like(value, work, xp)
    floating = xp.isdtype(value.dtype, "real floating")
    return xp.astype(value, work.dtype, copy=False) if floating else value


def check_arrays(
    values: Mapping[str, Any], declared: Mapping[str, FittedArray], sizes: Mapping[str, int]
) -> dict[str, int]:
    """Raise a `ValueError` unless every value is as declared; return all lengths."""
    known = dict(sizes)
    for name, value in values.items():
        if name not in declared:
            raise ValueError(f"{name} is not declared")
        declared[name].check(name, value, known)
    return known
