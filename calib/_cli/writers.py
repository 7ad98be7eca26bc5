"""Writing a table and further columns, whatever the kind of its source."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from calib._border.typing import LabelArray
from calib._cli.columns import to_list, to_values
from calib._cli.tables import Table, format_of, open_text
from calib._core.optional import require

#: Rows that are turned into text at a time.
ROWS_AT_A_TIME = 10_000


def write_table(table: Table, added: Mapping[str, LabelArray], path: Path) -> None:
    """Write a table and further columns; an existing file is replaced when the new one is whole."""
    taken = [name for name in added if name in table.columns]
    if taken:
        raise ValueError(
            f"{table.path.name} already has a column {taken[0]!r}; rename it or start from the "
            f"file without it"
        )
    partial = path.with_name(f"{path.name}.part")
    try:
        _WRITERS[format_of(path)](table, added, partial, path.name.lower().endswith(".gz"))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _write_parquet(
    table: Table, added: Mapping[str, LabelArray], path: Path, compress: bool
) -> None:
    pyarrow = require("pyarrow", extra="cli", purpose="writing parquet")
    from pyarrow import parquet

    native = table.native
    if table.kind != "parquet":
        native = pyarrow.table(
            {name: pyarrow.array(to_list(values)) for name, values in _flat(table, added)}
        )
    for name, values in added.items():
        native = native.append_column(name, pyarrow.array(values))
    parquet.write_table(native, path)


def _write_csv(table: Table, added: Mapping[str, LabelArray], path: Path, compress: bool) -> None:
    kept = _flat(table, added) if table.kind == "npz" else table.columns.items()
    columns: dict[str, Any] = dict(kept) | dict(added)
    with open_text(path, "wt", compress=compress) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        n_rows = len(next(iter(columns.values())))
        for start in range(0, n_rows, ROWS_AT_A_TIME):
            part = [to_list(column[start : start + ROWS_AT_A_TIME]) for column in columns.values()]
            writer.writerows(zip(*part, strict=True))


def _write_npz(table: Table, added: Mapping[str, LabelArray], path: Path, compress: bool) -> None:
    arrays = {
        name: to_values(table.column(name), is_text=table.kind == "csv") for name in table.columns
    }
    for name, array in arrays.items():
        if array.dtype.kind == "O":  # archives hold no Python objects
            arrays[name] = np.array(["" if value is None else str(value) for value in array])
    with path.open("wb") as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in (arrays | dict(added)).items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)


def _flat(table: Table, added: Mapping[str, LabelArray]) -> Iterator[tuple[str, Any]]:
    """Yield one-dimensional columns: text of a CSV file parsed, matrices taken apart."""
    n_rows = len(next(iter(added.values())))
    for name in table.columns:
        values = to_values(table.column(name), is_text=table.kind == "csv")
        if values.ndim not in (1, 2) or len(values) != n_rows:
            raise ValueError(
                f"array {name!r} of {table.path.name} has shape {values.shape}, the scores have "
                f"{n_rows} rows, so that one table cannot hold both; write an .npz file"
            )
        if values.ndim == 1:
            yield name, values
        else:
            yield from ((f"{name}_{k}", values[:, k]) for k in range(values.shape[1]))


_WRITERS: dict[str, Callable[[Table, Mapping[str, LabelArray], Path, bool], None]] = {
    "parquet": _write_parquet,
    "csv": _write_csv,
    "npz": _write_npz,
}
