"""Optional packages: one way to import them, one error text when they are missing."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from types import ModuleType

DISTRIBUTION = "calib-uq"


def is_installed(package: str) -> bool:
    """Return whether `package` can be imported, without importing it."""
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def require(package: str, *, extra: str, purpose: str) -> ModuleType:
    """Import `package` or say which extra brings it.

    Parameters
    ----------
    package : str
        Name of the module to import, for instance ``"torch"``.
    extra : str
        Extra of this distribution that installs it.
    purpose : str
        What needs it, as the subject of the error text, for instance ``"to_torch"``.

    Returns
    -------
    module
        The imported module.

    Raises
    ------
    ImportError
        If the package is not installed; the text names the command that installs it.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        root = package.partition(".")[0]
        if error.name is not None and error.name.partition(".")[0] != root:
            raise
        raise ImportError(
            f'{purpose} needs {root}; pip install "{DISTRIBUTION}[{extra}]"'
        ) from error
