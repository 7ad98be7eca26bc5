"""What flat tables of boxes share: length, selection and concatenation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Self, TypeVar

import numpy as np

from calib._border.arrays import read_array, to_numpy
from calib._border.checks import is_integer
from calib._border.typing import LabelArray
from calib._border.warn import warn
from calib.warnings import InvalidRowsWarning

_Table = TypeVar("_Table", bound="Flat")


class Flat:
    """Parallel arrays with one row per box: length, selection and concatenation."""

    def __len__(self) -> int:
        return int(self.labels.shape[0])  # type: ignore[attr-defined]

    def rows(self) -> dict[str, Any]:
        """Fields that hold one entry per row, by name; None where not given."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.metadata.get("rows", True)}  # type: ignore[arg-type]

    def replaced(self, values: Mapping[str, Any]) -> Self:
        """Return a copy with other, already checked values."""
        out = object.__new__(type(self))
        for one in fields(self):  # type: ignore[arg-type]
            object.__setattr__(out, one.name, values.get(one.name, getattr(self, one.name)))
        return out

    def __getitem__(self, index: Any) -> Self:
        """Return the rows that a mask, an array of positions or a slice selects."""
        if is_integer(index):
            index = [index]
        if not isinstance(index, slice):
            index = np.atleast_1d(to_numpy(read_array(index, "index")))
            if index.dtype.kind == "b" and index.shape != (len(self),):
                raise IndexError(
                    f"the mask has shape {index.shape}, but there are {len(self)} rows"
                )
            if index.ndim != 1:
                raise IndexError(
                    f"rows are selected by one mask, slice or list of positions; got an array of "
                    f"shape {index.shape}"
                )
            if index.size == 0 and index.dtype.kind != "b":
                index = index.astype(np.intp)
        return self.replaced({k: None if v is None else v[index] for k, v in self.rows().items()})


def merged_rows(parts: Sequence[_Table]) -> dict[str, Any]:
    """Concatenate the row-wise fields; a field has to be given everywhere or nowhere."""
    if not parts:
        raise ValueError("nothing to concatenate; pass at least one part")
    filled = [k for k, part in enumerate(parts) if len(part)] or [0]
    tables = [parts[k].rows() for k in filled]  # parts without rows have no say
    out: dict[str, Any] = {}
    for name in tables[0]:
        given = [table[name] is not None for table in tables]
        if any(given) and not all(given):
            raise ValueError(
                f"{name} is missing in part {filled[given.index(False)]} but given in part "
                f"{filled[given.index(True)]}; give it everywhere or nowhere"
            )
        values = [table[name] for table in tables]
        widths = {value.shape[1:] for value in values if value is not None}
        if len(widths) > 1:
            raise ValueError(
                f"{name} has {' and '.join(str(w[0]) for w in sorted(widths))} columns in "
                f"different parts; give every part the same columns"
            )
        out[name] = np.concatenate(values) if all(given) else None
    return out


def set_fields(target: object, **values: Any) -> None:
    """Set fields of a frozen dataclass while it is being built."""
    for name, value in values.items():
        object.__setattr__(target, name, value)


def kept(
    columns: dict[str, Any],
    keep: np.ndarray[Any, np.dtype[np.bool_]],
    *,
    where: str = "",
) -> dict[str, Any]:
    """Drop rows of all columns, with a warning that counts them."""
    for name, column in columns.items():
        if column is not None and np.shape(column)[:1] != keep.shape:
            raise ValueError(
                f"{name} must have one entry for each of the {len(keep)} boxes; got shape "
                f"{np.shape(column)}"
            )
    n_dropped = int((~keep).sum())
    if n_dropped:
        warn(
            f"{where}dropped {n_dropped} of {len(keep)} rows that hold NaN, an infinity or a "
            f"negative width or height",
            InvalidRowsWarning,
        )
    return {name: None if v is None else v[keep] for name, v in columns.items()}


def summary(table: Any, what: str, images: LabelArray) -> str:
    """Return what a table holds in one line."""
    counts = (
        (len(table), what, what + "es"),
        (len(np.unique(images)), "image", "images"),
        (len(np.unique(table.labels)), "class", "classes"),
    )
    text = ", ".join(f"{n} {one if n == 1 else many}" for n, one, many in counts)
    return f"{type(table).__name__}({text})"
