"""Writing a table and further columns, whatever the kind of its source."""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from calib._border.files import atomic_write
from calib._border.optional import require
from calib._border.typing import LabelArray
from calib.cli.files.columns import DECIMAL_COMMA, to_list
from calib.cli.files.contents import FORMATS, format_of
from calib.cli.files.tables import FileTable

#: Further columns of a table by name.
Added = Mapping[str, LabelArray]
#: Rows that are turned into text at a time.
ROWS_AT_A_TIME = 10_000


def write_table(table: FileTable, added: Added, path: Path) -> None:
    """Write a table and further columns; an existing file is replaced when the new one is whole."""
    taken = [name for name in added if name in table.columns]
    if taken:
        raise ValueError(
            f"{table.path.name} already has a column {taken[0]!r}; rename it or start from the "
            f"file without it"
        )
    writer = _WRITERS[writable_format(path)]
    with atomic_write(path, "wb") as file:
        if path.name.lower().endswith(".gz"):  # equal tables give equal bytes
            with gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0) as packed:
                writer(table, added, cast(IO[bytes], packed), path)
        else:
            writer(table, added, file, path)


def write_report(report: Any, args: argparse.Namespace) -> None:
    """Write a report to the files that a command names, print it, and say what was written."""
    if args.html is not None:
        report.to_html(args.html)
    if args.json is not None:
        _write_text(json.dumps(report.to_dict(), indent=1) + "\n", args.json)
    if args.latex is not None:
        _write_text(report.to_latex(), args.latex)
    print(report)
    for path in filter(None, (args.html, args.json, args.latex)):
        print(f"wrote {path}")


def _write_text(text: str, path: Path) -> None:
    with atomic_write(path) as file:
        file.write(text)


def report_outputs(args: argparse.Namespace) -> dict[str, tuple[Path | None, str]]:
    """Return the files that a report is written to, for `check_files`."""
    outputs = {"--html": "html", "--json": "report", "--latex": "latex"}
    return {option: (getattr(args, option[2:]), kind) for option, kind in outputs.items()}


def write_calibrator(calibrator: Any, path: Path) -> None:
    """Save a calibrator, or say why it cannot be saved."""
    from calib.persistence import save

    try:
        save(calibrator, path)
    except TypeError as error:
        raise ValueError(str(error)) from error


def writable_format(path: Path) -> str:
    """Return the kind of file to write, or raise a `ValueError` that lists what can be written."""
    kind = format_of(path)
    if kind not in _WRITERS:
        endings = ", ".join(end for end, kind in FORMATS.items() if kind in _WRITERS)
        raise ValueError(f"{path.name}: tables are written as one of {endings}")
    return kind


def _native(table: FileTable, added: Added) -> Any:
    """Return an Arrow table: what was read, without loss, and the further columns."""
    pyarrow = require("pyarrow", extra="cli", purpose="writing parquet, Arrow and JSON files")
    native = table.native
    if native is None:
        n_rows = len(next(iter(added.values())))
        parts = chain.from_iterable(_parts(table, name, n_rows) for name in table.columns)
        native = pyarrow.table({name: pyarrow.array(to_list(values)) for name, values in parts})
    for name, values in added.items():
        native = native.append_column(name, pyarrow.array(values))
    return native


def _write_parquet(table: FileTable, added: Added, file: IO[bytes], path: Path) -> None:
    native = _native(table, added)
    from pyarrow import parquet

    parquet.write_table(native, file)


def _write_feather(table: FileTable, added: Added, file: IO[bytes], path: Path) -> None:
    native = _native(table, added)
    import pyarrow

    with pyarrow.ipc.new_file(file, native.schema) as writer:
        writer.write_table(native)


def _write_json_lines(table: FileTable, added: Added, file: IO[bytes], path: Path) -> None:
    for batch in _native(table, added).to_batches(max_chunksize=ROWS_AT_A_TIME):
        for row in batch.to_pylist():
            try:
                text = json.dumps(row, allow_nan=False, default=str)
            except ValueError:
                raise ValueError(
                    f"{table.path.name} holds nan or an infinity, which JSON has no word for; "
                    f"write another kind of file"
                ) from None
            file.write(text.encode("utf-8") + b"\n")


def _write_csv(table: FileTable, added: Added, file: IO[bytes], path: Path) -> None:
    columns: dict[str, Any] = {}
    matrices = table.widths()  # of all arrays, and of columns with a list in every row
    for name in table.columns:
        if name in matrices:
            columns.update(_parts(table, name, len(next(iter(added.values())))))
        else:
            columns[name] = table.columns[name]
    separator = "\t" if path.name.lower().removesuffix(".gz").endswith(".tsv") else ","
    if table.kind == "csv" and separator == ",":
        separator = table.dialect.separator
    commas = separator == ";" and _has_decimal_commas(table)
    columns |= {
        name: [str(x).replace(".", ",") for x in values.tolist()] if commas else values
        for name, values in added.items()
    }
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    try:
        writer = csv.writer(text, lineterminator="\n", delimiter=separator)
        writer.writerow(columns)
        n_rows = len(next(iter(columns.values())))
        for start in range(0, n_rows, ROWS_AT_A_TIME):
            part = [to_list(column[start : start + ROWS_AT_A_TIME]) for column in columns.values()]
            writer.writerows(zip(*part, strict=True))
    finally:
        text.detach()


def _has_decimal_commas(table: FileTable) -> bool:
    """Return whether a text file writes its numbers with decimal commas."""
    for column in table.columns.values():
        texts = [text for text in to_list(column[:ROWS_AT_A_TIME]) if "," in text]
        if texts and all(DECIMAL_COMMA.fullmatch(text.strip()) for text in texts):
            return True
    return False


def _write_npz(table: FileTable, added: Added, file: IO[bytes], path: Path) -> None:
    arrays = {name: table.values(name) for name in table.columns}
    for name, array in arrays.items():
        if array.dtype.kind == "O":  # archives hold no Python objects
            arrays[name] = np.array(["" if value is None else str(value) for value in array])
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in (arrays | dict(added)).items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)


def _parts(table: FileTable, name: str, n_rows: int) -> Iterator[tuple[str, Any]]:
    """Yield a column, or the columns of a matrix under numbered names."""
    values = table.values(name)
    if values.ndim not in (1, 2) or len(values) != n_rows:
        raise ValueError(
            f"array {name!r} of {table.path.name} has shape {values.shape}, the scores have "
            f"{n_rows} rows, so that one table cannot hold both; write an .npz file"
        )
    if values.ndim == 1:
        yield name, values
    else:
        yield from ((f"{name}_{k}", values[:, k]) for k in range(values.shape[1]))


_WRITERS: dict[str, Callable[[FileTable, Added, IO[bytes], Path], None]] = {
    "parquet": _write_parquet,
    "feather": _write_feather,
    "csv": _write_csv,
    "jsonl": _write_json_lines,
    "npz": _write_npz,
}
