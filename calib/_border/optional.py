"""Optional packages: one way to import them, one error text when they are missing."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from importlib.util import find_spec
from types import ModuleType
from typing import Any

DISTRIBUTION = "calib-uq"
#: Steps that NumPy takes in about the time that numba needs to load and to read what it compiled
#: before (half a second): a process that has met as many compiles.
COMPILE_FROM = 200_000_000


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


class CompiledLoop:
    """A function of arrays that is worth its call only where numba compiles it.

    The caller holds the same in NumPy, for where numba is absent or would not repay its start.

    Parameters
    ----------
    function : callable
        In the part of Python that numba compiles, without keywords.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self._compiled: Callable[..., Any] | None = None

    def after(self, n_steps: float) -> Callable[..., Any] | None:
        """Return the compiled function once the process has met work enough, else None.

        For loops that give the bits that NumPy gives.

        Parameters
        ----------
        n_steps : float
            Steps of the work at hand, which count towards those that the process has met.
        """
        _met[0] += n_steps
        return self.given(_met[0])

    def given(self, n_steps: float) -> Callable[..., Any] | None:
        """Return the compiled function if that many steps are worth it, else None.

        Work of one size is always done in one way, also where the two ways round differently.
        """
        if n_steps < COMPILE_FROM or not is_installed("numba"):
            return None
        if self._compiled is None:
            import numba

            try:
                self._compiled = numba.njit(cache=True)(self.function)
            except RuntimeError:  # no folder to cache in
                self._compiled = numba.njit(self.function)
        return self._compiled


#: Steps that this process has met, of all loops.
_met = [0.0]
