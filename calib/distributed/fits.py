"""Which function fits which calibrator on the rows of a collection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from calib._border.checks import check_option
from calib.base import BaseCalibrator
from calib.distributed import logistic
from calib.distributed.logistic import RemoteOdds
from calib.distributed.rows import Rows, odds_of
from calib.distributed.softmax import fit_temperature, fit_vector


def _temperature(calibrator: Any, rows: Rows) -> list[int]:
    odds = RemoteOdds(rows.mapped(odds_of)) if rows.n_classes == 2 else None
    return fit_temperature(calibrator, rows, odds)


def _with_odds(fit: Callable[[Any, RemoteOdds], list[int]]) -> Callable[[Any, Rows], list[int]]:
    return lambda calibrator, rows: fit(calibrator, RemoteOdds(rows.mapped(odds_of)).confined())


#: Methods that can be fitted on a collection: each sets the fitted attributes of its calibrator and
#: returns the problems (0 if there is one only) that did not converge.
FITS: dict[str, Callable[[Any, Rows], list[int]]] = {
    "temperature": _temperature,
    "platt": _with_odds(logistic.fit_platt),
    "quadratic": _with_odds(logistic.fit_quadratic),
    "beta": _with_odds(logistic.fit_beta),
    "vector_scaling": fit_vector,
}
#: Values that the options of these methods may take.
OPTIONS: dict[str, tuple[Any, ...]] = {
    "smoothing": ("auto", True, False),
    "smooth_targets": ("auto", True, False),
    "smooth_input": ("auto", True, False),
    "monotone": (True, False),
    "structured": (True, False),
}


def check_parameters(calibrator: BaseCalibrator) -> None:
    """Raise for an unknown option, as the fit on one machine does."""
    for name, value in calibrator.get_params().items():
        if name in OPTIONS:
            check_option(name, value, OPTIONS[name])
