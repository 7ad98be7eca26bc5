"""Views of tables that keep their label: noise, masking and resampling of some cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np

from calib._border.arrays import read_array, to_numpy
from calib._border.checks import check_fraction, check_number, describe
from calib._border.typing import ArrayLike, Float64Array, IntArray, LabelArray


@dataclass(frozen=True)
class TableColumn:
    """What is known of a column of the training table.

    Attributes
    ----------
    kind : {"float", "integer", "other"}
        Numbers with fractions, whole numbers, and what takes no arithmetic: two values, truth
        values, texts, categories, dates.
    centre, spread, low, high : float
        Mean, standard deviation and range of a column of numbers.
    common : int
        Row that holds the most frequent value.
    """

    kind: str
    centre: float
    spread: float
    low: float
    high: float
    common: int


class ColumnTable:
    """A table of any library, or a matrix, whose columns are read and replaced."""

    def __init__(self, X: ArrayLike, name: str = "X") -> None:
        import narwhals as nw

        native: Any = nw.from_native(X, eager_only=True, pass_through=True)
        self.frame = native if isinstance(native, nw.DataFrame) else None
        if self.frame is None:
            self.array = to_numpy(read_array(X, name))
            if self.array.ndim != 2:
                raise ValueError(f"{name} must be a table; got shape {self.array.shape}")
            self.names: list[Any] = list(range(self.array.shape[1]))
            self.n_rows = len(self.array)
        else:
            self.names, self.n_rows = list(self.frame.columns), len(self.frame)
        if not self.n_rows or not self.names:
            raise ValueError(f"{name} has {self.n_rows} rows and {len(self.names)} columns")

    def column(self, name: Any) -> LabelArray:
        """Return the values of a column."""
        if self.frame is None:
            return np.asarray(self.array[:, name])
        return np.asarray(self.frame[name].to_numpy())

    def replaced(
        self, numbers: dict[Any, LabelArray], rows: dict[Any, LabelArray], by: ColumnTable
    ) -> Any:
        """Return the table, in its own form, with some columns changed.

        Parameters
        ----------
        numbers : dict of name to ndarray of shape (n_rows,)
            New numbers, in the type of the column.
        rows : dict of name to ndarray of int, shape (n_rows,)
            Rows of `by` that values are taken from; -1 keeps the own value.
        by : ColumnTable
        """
        own = np.arange(self.n_rows)
        if self.frame is None:
            out = self.array.copy()
            for name, values in numbers.items():
                out[:, name] = values
            for name, chosen in rows.items():
                taken = chosen >= 0
                out[taken, name] = by.array[chosen[taken], name]
            return out
        import narwhals as nw

        changed = []
        for name, values in numbers.items():
            dtype = self.frame[name].dtype
            changed.append(nw.new_series(name, values, dtype, backend=self.frame.implementation))
        for name, chosen in rows.items():
            both = nw.concat([self.frame.select(name), cast(Any, by.frame).select(name)])[name]
            changed.append(both[np.where(chosen >= 0, chosen + self.n_rows, own)])
        return nw.to_native(self.frame.with_columns(*changed))


class TableView:
    """Base of the views of tables, which are made from the training table.

    Columns of zeros and ones that sum to one in every training row (one-hot codes, side by side)
    change together, so that they stay a code.
    """

    #: Name of the number that says how much is changed.
    _amount: ClassVar[str] = "share"

    def __init__(self, X: ArrayLike, share: float = 0.15) -> None:
        self.share = check_fraction("share", share)
        self._learn(X)

    def _learn(self, X: ArrayLike) -> None:
        self.reference = ColumnTable(X)
        values = [self.reference.column(name) for name in self.reference.names]
        self.columns = [_described(column) for column in values]
        self.groups = _groups(values)

    def __repr__(self) -> str:
        amount = getattr(self, self._amount)
        shape = (self.reference.n_rows, len(self.columns))
        return f"{type(self).__name__}({shape[0]} x {shape[1]} table, {self._amount}={amount:g})"

    def __call__(self, X: ArrayLike, rng: np.random.Generator) -> Any:
        """Return a changed copy of a table.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_columns)
            A matrix, or a table of any dataframe library, with the columns of the training table.
        rng : numpy.random.Generator
            Of the changes.

        Returns
        -------
        changed : ndarray or table
            Of the kind of `X`.

        Raises
        ------
        ValueError
            If `X` has other columns than the training table.
        """
        table = ColumnTable(X)
        if (table.frame is None) != (self.reference.frame is None):
            kinds = ["a matrix" if t.frame is None else "a table" for t in (table, self.reference)]
            raise ValueError(f"X is {kinds[0]}, but the view was made from {kinds[1]}")
        if table.names != self.reference.names:
            raise ValueError(
                f"X has the columns {describe(table.names)}, but the view was made from "
                f"{describe(self.reference.names)}"
            )
        numbers, rows = self._changes(table, rng)
        return table.replaced(numbers, rows, self.reference)

    def _changes(
        self, table: ColumnTable, rng: np.random.Generator
    ) -> tuple[dict[Any, LabelArray], dict[Any, LabelArray]]:
        """Return new numbers by column, and rows of the training table by column."""
        raise AssertionError("a view of tables defines _changes")


class Noise(TableView):
    """Add Gaussian noise to the numbers of a table.

    Columns with two values, texts and categories stay as they are; whole numbers stay whole; all
    stay in the range of the training column. Missing values stay missing.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_columns)
        The training table: matrix or table of any dataframe library.
    scale : float, default=0.2
        Standard deviation of the noise, as a share of that of the training column, > 0; 0.1 to
        0.4 are usual.

    Raises
    ------
    ValueError
        If no column holds numbers of more than two values, or `scale` is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> from calib.views import Noise
    >>> X = np.array([[0.5, 1.0, 5], [2.0, 0.0, 7], [4.0, 1.0, 6]])
    >>> Noise(X, scale=0.3)(X, np.random.default_rng(0)).round(2)
    array([[0.55, 1.  , 5.  ],
           [1.94, 0.  , 7.  ],
           [4.  , 1.  , 6.  ]])
    """

    _amount = "scale"

    def __init__(self, X: ArrayLike, scale: float = 0.2) -> None:
        self.scale = check_number("scale", scale)
        if not 0 < self.scale < np.inf:
            raise ValueError(f"scale must be > 0; got {scale}")
        self._learn(X)
        if all(column.kind == "other" for column in self.columns):
            raise ValueError(
                "X has no column of numbers with more than two values, so noise changes nothing; "
                "use Masking or Resampling"
            )

    def _changes(
        self, table: ColumnTable, rng: np.random.Generator
    ) -> tuple[dict[Any, LabelArray], dict[Any, LabelArray]]:
        numbers: dict[Any, LabelArray] = {}
        for name, column in zip(table.names, self.columns, strict=True):
            if column.kind == "other":
                continue
            values = table.column(name)
            noise = self.scale * column.spread * rng.standard_normal(table.n_rows)
            changed = np.asarray(values, dtype=np.float64) + noise
            numbers[name] = _fitting(changed, column, values)
        return numbers, {}


class Masking(TableView):
    """Replace some cells by the mean of the training column, or its most frequent value.

    The mean serves columns of numbers (rounded where these are whole), the most frequent value
    all others.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_columns)
        The training table: matrix or table of any dataframe library.
    share : float, default=0.15
        Probability that a cell is replaced, in (0, 1); 0.05 to 0.15 are usual.

    Raises
    ------
    ValueError
        If `share` is out of its range, or `X` is no table.

    Examples
    --------
    >>> import numpy as np
    >>> from calib.views import Masking
    >>> X = np.array([[0.5, 1.0], [2.0, 0.0], [5.0, 1.0]])
    >>> Masking(X, share=0.5)(X, np.random.default_rng(0))
    array([[0.5, 1. ],
           [2.5, 0. ],
           [2.5, 1. ]])
    """

    def _changes(
        self, table: ColumnTable, rng: np.random.Generator
    ) -> tuple[dict[Any, LabelArray], dict[Any, LabelArray]]:
        numbers, rows = {}, {}
        for group in self.groups:
            chosen = rng.random(table.n_rows) < self.share
            for place in group:
                name, column = table.names[place], self.columns[place]
                if column.kind == "other":
                    rows[name] = np.where(chosen, self._common(group), -1)
                    continue
                values = table.column(name)
                masked = np.where(chosen, column.centre, np.asarray(values, dtype=np.float64))
                numbers[name] = _fitting(masked, column, values, chosen)
        return numbers, rows

    def _common(self, group: IntArray) -> int:
        """Return a row with the most frequent code of a group of columns."""
        if len(group) == 1:
            return int(self.columns[group[0]].common)
        codes = [self.reference.column(self.reference.names[place]) for place in group]
        sums = [np.asarray(code, dtype=np.float64).sum() for code in codes]
        return int(np.argmax(codes[int(np.argmax(sums))]))


class Resampling(TableView):
    """Replace some cells by values of the same column in random rows of the training table.

    Every column keeps its distribution, and every value is one that occurs.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_columns)
        The training table: matrix or table of any dataframe library.
    share : float, default=0.15
        Probability that a cell is replaced, in (0, 1); 0.05 to 0.15 are usual.

    Raises
    ------
    ValueError
        If `share` is out of its range, or `X` is no table.

    Examples
    --------
    >>> import numpy as np
    >>> from calib.views import Resampling
    >>> X = np.array([[1, 10], [2, 20], [3, 30]])
    >>> Resampling(X, share=0.5)(X, np.random.default_rng(0))
    array([[ 1, 10],
           [ 1, 20],
           [ 1, 30]])
    """

    def _changes(
        self, table: ColumnTable, rng: np.random.Generator
    ) -> tuple[dict[Any, LabelArray], dict[Any, LabelArray]]:
        rows = {}
        for group in self.groups:
            chosen = rng.random(table.n_rows) < self.share
            donors = rng.integers(self.reference.n_rows, size=table.n_rows)
            for place in group:
                rows[table.names[place]] = np.where(chosen, donors, -1)
        return {}, rows


# ---------------------------------------------------------------------- columns


def _described(values: LabelArray) -> TableColumn:
    """Return what a training column is."""
    present = np.array([value == value and value is not None for value in values], dtype=bool)
    known = values[present]
    if not len(known):
        return TableColumn("other", 0.0, 0.0, 0.0, 0.0, 0)
    distinct, first, counts = np.unique(
        known.astype(str) if known.dtype.kind == "O" else known,
        return_index=True,
        return_counts=True,
    )
    common = int(np.flatnonzero(present)[first[np.argmax(counts)]])
    numeric = known.dtype.kind in "iuf" and len(distinct) > 2
    if not numeric:
        return TableColumn("other", 0.0, 0.0, 0.0, 0.0, common)
    numbers: Float64Array = known.astype(np.float64)
    kind = "integer" if (numbers == np.rint(numbers)).all() else "float"
    low, high = float(numbers.min()), float(numbers.max())
    return TableColumn(kind, float(numbers.mean()), float(numbers.std()), low, high, common)


def _fitting(
    changed: Float64Array, column: TableColumn, values: LabelArray, where: LabelArray | None = None
) -> LabelArray:
    """Return numbers that could stand in the training column, in the type of `values`.

    Only those of `where` are touched; others, and numbers beyond the range of the training column,
    may be what they were.
    """
    before = np.asarray(values, dtype=np.float64)
    low, high = np.fmin(column.low, before), np.fmax(column.high, before)
    fitting = np.clip(changed, low, high)
    if column.kind == "integer":
        fitting = np.rint(fitting)
    if where is not None:
        fitting = np.where(where, fitting, before)
    return fitting.astype(values.dtype) if values.dtype.kind in "iuf" else fitting


def _groups(values: list[LabelArray]) -> list[IntArray]:
    """Return the places of columns that change together: one-hot codes, all others alone."""
    binary = [column.dtype.kind in "iufb" and set(np.unique(column)) == {0, 1} for column in values]
    groups, start = [], 0
    while start < len(values):
        end = start + 1
        if binary[start]:
            total = values[start].astype(np.float64)
            while end < len(values) and binary[end] and total.min() < 1:
                total = total + values[end].astype(np.float64)
                end += 1
            if not (total == 1).all():
                end = start + 1
        groups.append(np.arange(start, end))
        start = end
    return groups
