"""JSON files, plain or gzip: reading names the file at fault, writing is all or nothing."""

from __future__ import annotations

import gzip
import io
import json
import os
import secrets
import shutil
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from calib._core.reading import describe

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
    target = Path(os.path.realpath(out))  # a link stays a link
    if target.is_dir():
        raise IsADirectoryError(f"out is a folder, not a file: {out}")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"the folder of out does not exist: {out}")
    content = text.encode("utf-8")
    if out.name.endswith(".gz"):
        packed = io.BytesIO()
        with gzip.GzipFile("", "wb", compresslevel=6, fileobj=packed, mtime=0) as file:
            file.write(content)
        content = packed.getvalue()
    unfinished = target.parent / f".{secrets.token_hex(8)}.tmp"
    try:
        with unfinished.open("xb") as raw:
            raw.write(content)
            raw.flush()
            os.fsync(raw.fileno())
        if target.exists():
            shutil.copymode(target, unfinished)
        os.replace(unfinished, target)
    finally:
        unfinished.unlink(missing_ok=True)
    return out
