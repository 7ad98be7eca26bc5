"""One way to write a file: it is there in full, or the old one stays."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
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
    stays a link, permissions of the target are kept. What is no ordinary file (a terminal, a pipe,
    ``/dev/null``) cannot be replaced and is written to directly.

    Parameters
    ----------
    path : path-like
        Target; its folder has to exist.
    mode : {"w", "wb"}, default="w"
        Text (UTF-8, line ends as written) or bytes. A bytes file can be read back and moved in, as
        writers of archives and tables do.
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
    PermissionError
        If `path` must not be written, or its folder takes no new file.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"{name} is a folder, not a file: {path}")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"the folder of {name} does not exist: {path}")
    binary = "b" in mode
    form: dict[str, Any] = {} if binary else {"encoding": "utf-8", "newline": ""}
    if target.exists() and not stat.S_ISREG(target.stat().st_mode):
        with open(path, mode, **form) as file:
            yield file
        return
    if target.exists() and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    unfinished = target.parent / f".{secrets.token_hex(8)}.tmp"
    try:
        file = open(unfinished, "xb+" if binary else "x", **form)
    except OSError as error:  # the name that the caller knows, not that of the unfinished file
        raise type(error)(error.errno, error.strerror, str(path)) from None
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, unfinished)
        os.replace(unfinished, target)
    finally:
        unfinished.unlink(missing_ok=True)
