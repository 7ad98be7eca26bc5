"""JSON files, plain or gzip: reading names the file at fault, writing is all or nothing."""

from __future__ import annotations

import gzip
import io
import json
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from calib._border.checks import describe
from calib._border.files import atomic_write

#: A file, or what it holds.
JsonSource: TypeAlias = str | os.PathLike[str] | Mapping[str, Any] | Sequence[Mapping[str, Any]]
GZIP_MAGIC = b"\x1f\x8b"


def read_json(path: str | os.PathLike[str]) -> Any:
    """Return what a JSON file holds; gzip is recognised by its first bytes, not by its name."""
    path = Path(path)
    content = path.read_bytes()
    if not content:
        raise ValueError(f"{path.name} is empty")
    if content.startswith(GZIP_MAGIC):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{path.name} is a damaged gzip file: {error}") from error
    try:
        text = content.decode("utf-8-sig")
        del content  # a million rows are 90 MB; free them before objects are made
        return json.loads(text)
    except RecursionError:
        raise ValueError(f"{path.name} is nested too deeply to be read") from None
    except ValueError as error:  # also what is no text, and integers with thousands of digits
        raise ValueError(f"{path.name} is not complete, valid JSON: {error}") from error


def load_source(source: JsonSource, argument: str) -> tuple[Any, str]:
    """Return what a file holds with the name of the file, or what is already loaded."""
    if isinstance(source, (str, os.PathLike)):
        return read_json(source), Path(source).name
    if isinstance(source, (Mapping, list, tuple)):
        return source, argument
    raise ValueError(
        f"{argument} must be a path, or the lists and dicts that a JSON file holds; got "
        f"{describe(source)}"
    )


def json_text(value: Any, name: str) -> str:
    """Return `value` as JSON that every parser accepts, or say what in it is no JSON."""
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    except RecursionError:
        raise ValueError(f"{name} is nested too deeply to be written") from None
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} cannot be written as JSON: {error}") from error


def write_text(text: str, out: str | os.PathLike[str]) -> Path:
    """Write a file that is there in full or not at all; gzip if its name ends in ``.gz``.

    Equal texts give equal bytes: the gzip header holds neither time nor name.
    """
    out = Path(out)
    content = text.encode("utf-8")
    if out.name.endswith(".gz"):
        packed = io.BytesIO()
        with gzip.GzipFile("", "wb", compresslevel=6, fileobj=packed, mtime=0) as gzip_file:
            gzip_file.write(content)
        content = packed.getvalue()
    with atomic_write(out, "wb", name="out") as file:
        file.write(content)
    return out
