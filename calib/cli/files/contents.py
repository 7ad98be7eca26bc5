"""What a file holds, told by its first bytes: its kind, its compression, its encoding."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

#: Kind of file that belongs to the end of a file name; each may be followed by ``.gz``.
FORMATS = {
    ".parquet": "parquet", ".pq": "parquet", ".feather": "feather", ".arrow": "feather",
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".json": "jsonl", ".npz": "npz", ".npy": "npy", ".pt": "pt", ".pth": "pt",
}  # fmt: skip
#: First bytes of the kinds that have some of their own.
_MAGIC = {b"PAR1": "parquet", b"ARROW1": "feather", b"FEA1": "feather", b"\x93NUMPY": "npy"}
#: First bytes of files that are not read, with what they are and what to do.
_FOREIGN = {
    b"BZh": "compressed with bzip2; decompress it first",
    b"\xfd7zXZ": "compressed with xz; decompress it first",
    b"\x28\xb5\x2f\xfd": "compressed with zstandard; decompress it first",
    b"\x89HDF": "an HDF5 file; save the arrays with numpy.savez",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; save the sheet as CSV",
    b"SQLite format": "a database; export the table as CSV",
    b"%PDF": "a PDF",
    b"Obj\x01": "an Avro file; save it as parquet",
    b"ORC": "an ORC file; save it as parquet",
}
_GZIP = b"\x1f\x8b"
_PICKLE = re.compile(rb"\x80[\x02-\x05]")
#: What may stand between the values of a text file; the first wins where several would do.
SEPARATORS = ",;\t|"
_SEPARATOR_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
#: Bytes that are looked at.
_HEAD = 1 << 16
_NUMBER = re.compile(r"[+-]?([0-9]+[.,]?[0-9]*|[.,][0-9]+)([eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class Dialect:
    """How a text file is written.

    Attributes
    ----------
    separator : str
        What stands between values: a comma, a semicolon, a tab or a bar.
    encoding : str
        Of the characters.
    skipped : int
        Lines before the one with the names (Excel's ``sep=;``).
    """

    separator: str = ","
    encoding: str = "utf-8-sig"
    skipped: int = 0


def format_of(path: Path) -> str:
    """Return the kind of file that a name stands for, such as ``"parquet"``."""
    name = path.name.lower().removesuffix(".gz")
    for ending, kind in FORMATS.items():
        if name.endswith(ending):
            return kind
    raise ValueError(f"{path.name}: unknown kind of file; use one of {', '.join(FORMATS)}")


def kind_of(path: Path) -> str:
    """Return the kind of an existing file, by its content where that tells and else by its name.

    Raises
    ------
    ValueError
        If it is of a kind that is not read, with what to do.
    """
    with open_binary(path) as file:
        head = file.read(64)
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            return kind
    for magic, what in _FOREIGN.items():
        if head.startswith(magic):
            raise ValueError(f"{path.name} is {what}")
    if head.startswith(b"PK\x03\x04"):
        return _kind_of_archive(path)
    kind = format_of(path)
    if _PICKLE.match(head) and kind != "pt":
        raise ValueError(
            f"{path.name} is a pickle, which is not read because it can run code; save the arrays "
            f"with numpy.savez, or tensors with torch.save as a .pt file"
        )
    return kind


def _kind_of_archive(path: Path) -> str:
    try:
        with open_binary(path) as file, zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        return format_of(path)  # its reader says what is wrong
    if any(name.endswith("data.pkl") for name in names):
        return "pt"
    if names and all(name.endswith(".npy") for name in names):
        return "npz"
    if "[Content_Types].xml" in names:
        raise ValueError(f"{path.name} is an Excel workbook; save the sheet as CSV")
    if format_of(path) in ("npz", "pt"):
        return format_of(path)
    raise ValueError(f"{path.name} is a zip archive; unpack it first")


def open_binary(path: Path) -> BinaryIO:
    """Open a file for reading, decompressed where its first bytes say gzip, whatever its name."""
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP
    return cast(BinaryIO, gzip.open(path)) if packed else path.open("rb")


def open_for_arrow(path: Path) -> Any:
    """Open a file for Arrow, as a file of its own unless it is compressed.

    Its threads keep what they have read from; one that lets go of a file of Python while Python
    ends aborts the process.
    """
    file: Any = open_binary(path)
    if isinstance(file, gzip.GzipFile):
        return file
    file.close()
    import pyarrow

    return pyarrow.OSFile(str(path))


def open_text(path: Path, dialect: Dialect) -> TextIO:
    """Open a text file for reading, with its line ends as they are."""
    return io.TextIOWrapper(open_binary(path), encoding=dialect.encoding, newline="")


def dialect_of(path: Path) -> Dialect:
    """Return how a text file is written: its encoding, and the separator that suits its lines."""
    with open_binary(path) as file:
        head = file.read(_HEAD)
    encoding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = head[: len(head) // 2 * 2].decode(encoding, errors="ignore")
    if "\x00" in text:
        raise ValueError(
            f"{path.name} is not a text file in UTF-8"
            + (" (UTF-16 without a mark?)" if "\x00" in text[:4] else "")
        )
    lines = text.splitlines()
    named = re.fullmatch(r"sep=(.)", lines[0].strip(" \r")) if lines else None
    if named:
        return Dialect(named[1], encoding, 1)
    counts = {separator: _n_fields(lines[:20], separator) for separator in SEPARATORS}
    best = max(counts.values(), default=0)
    return Dialect(next((s for s in SEPARATORS if counts[s] == best), ","), encoding)


def _n_fields(lines: Iterable[str], separator: str) -> int:
    """Return the number of names in the first line, halved where the second has others."""
    try:
        rows = [row for row in csv.reader(lines, delimiter=separator) if row][:2]
    except csv.Error:
        return 0
    sizes = [len(row) for row in rows]
    return 0 if not sizes else sizes[0] if len(set(sizes)) == 1 else sizes[0] // 2


def check_header(path: Path, names: list[str]) -> None:
    """Raise unless names can be told apart and are names."""
    if not names:
        raise ValueError(f"{path.name} has no columns")
    numbers = all(_NUMBER.fullmatch(name) for name in names)
    if numbers and any(set(name) & set(".,eE") for name in names):
        raise ValueError(
            f"{path.name} begins with numbers ({', '.join(names[:3])}), not with the names of its "
            f"columns; add a line of names"
        )
    seen: set[str] = set()
    for name in names:
        if name in seen:
            hint = "; does the line of names lack?" if numbers else ""
            raise ValueError(f"{path.name} has two columns named {name!r}{hint}")
        seen.add(name)


def separator_hint(names: list[str]) -> str:
    """Return a word on separators where a single name looks like several."""
    if len(names) == 1 and re.search(r"[;\t|:^~\s,]", names[0].strip()):
        listed = ", ".join(_SEPARATOR_NAMES.values())
        return f" (one column; values are separated by one of {listed})"
    return ""
