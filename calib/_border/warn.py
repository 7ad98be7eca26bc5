"""One way to warn: at the line of the caller's own code, however deep the library is."""

from __future__ import annotations

import sys
import warnings
from types import FrameType

#: Packages whose frames stand between a caller and the line that warns.
INNER_PACKAGES = frozenset({"calib", "uq", "sklearn", "joblib", "mapie"})


def warn(message: str, category: type[Warning]) -> None:
    """Issue a warning that points at the first frame outside the library.

    Frames of scikit-learn, joblib and MAPIE are passed over too, because meta-estimators call our
    methods from there. Where no frame is left (a worker process), the outermost one is named.

    Parameters
    ----------
    message : str
        What was seen, what it may mean, and what to do.
    category : type of Warning
        A class of ``calib.warnings``, ``uq.warnings`` or ``sklearn.exceptions``.
    """
    warnings.warn(message, category, stacklevel=_levels_to_caller(sys._getframe(1)))


def _levels_to_caller(frame: FrameType) -> int:
    """Return the ``stacklevel`` at which `warnings.warn`, called by `warn`, finds the caller."""
    level, current = 2, frame
    while _is_inner(current) and current.f_back is not None:
        current = current.f_back
        # frames of the import system do not count as levels
        level += not current.f_code.co_filename.startswith("<frozen importlib")
    return level


def _is_inner(frame: FrameType) -> bool:
    module = frame.f_globals.get("__name__", "")
    return str(module).partition(".")[0] in INNER_PACKAGES
