"""One way to write a file: it is there in full, or the old one stays."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


@contextmanager
def atomic_write(
    path: str | os.PathLike[str], mode: str = "w", *, name: str = "path"
) -> Iterator[IO[Any]]:
    """Open a file that replaces `path` when the block ends without an error, and only then.

    The text goes to a file of a unique name beside the target, is flushed to the disk, and takes
    the place of the target in one step; after an error the target is as it was. A symbolic link
    stays a link, permissions of the target are kept.

    Parameters
    ----------
    path : path-like
        Target; its folder has to exist.
    mode : {"w", "wb"}, default="w"
        Text (UTF-8, line ends as written) or bytes.
    name : str, default="path"
        The argument that errors name.

    Yields
    ------
    file : file object
        To be written to.

    Raises
    ------
    IsADirectoryError
        If `path` is a folder.
    FileNotFoundError
        If the folder of `path` does not exist.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"{name} is a folder, not a file: {path}")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"the folder of {name} does not exist: {path}")
    unfinished = target.parent / f".{secrets.token_hex(8)}.tmp"
    encoding = None if "b" in mode else "utf-8"
    newline = None if "b" in mode else ""
    try:
        with unfinished.open(mode.replace("w", "x"), encoding=encoding, newline=newline) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, unfinished)
        os.replace(unfinished, target)
    finally:
        unfinished.unlink(missing_ok=True)
