"""Whether the folders `calib` and `uq` are ours; other distributions use these names, too."""

from __future__ import annotations

import os
import sys

#: What `calib` and `uq` of this library carry as ``__distribution__``.
DISTRIBUTION = "calib-uq"
#: Characters of a file that hold the mark.
HEAD = 4096
REMEDY = (
    "Another distribution has written to, or removed, a folder of this name. Uninstall both "
    "(`pip uninstall calib-uq <the other one>`) and install calib-uq alone in a new environment; "
    "`pip show -f <name>` lists the files of a distribution."
)


def check_package() -> None:
    """Check that the imported `calib` is ours: another one may have replaced its first file.

    Raises
    ------
    ImportError
        If it is not.
    """
    package = sys.modules["calib"]
    if getattr(package, "__distribution__", None) != DISTRIBUTION:
        file = getattr(package, "__file__", None) or f"{list(package.__path__)} (no __init__.py)"
        raise ImportError(f"`calib` is {file}, which is not that of {DISTRIBUTION}. {REMEDY}")


def check_neighbour(init: str) -> None:
    """Check that the folder `uq` beside `calib`, if there is one, is ours.

    Parameters
    ----------
    init : str
        File of the package `calib`.

    Raises
    ------
    ImportError
        If its first file lacks the mark, or is gone while our modules are there.
    """
    folder = os.path.join(os.path.dirname(os.path.dirname(init)), "uq")
    file = os.path.join(folder, "__init__.py")
    try:
        with open(file, encoding="utf-8", errors="replace") as stream:
            ours = f'__distribution__ = "{DISTRIBUTION}"' in stream.read(HEAD)
    except OSError:
        if os.path.isdir(os.path.join(folder, "conformal")):
            raise ImportError(f"{file} is missing beside `calib`. {REMEDY}") from None
        return
    if not ours:
        raise ImportError(f"{file}, beside `calib`, is not that of {DISTRIBUTION}. {REMEDY}")
