"""Evaluate, apply and fit calibrators on Dask collections, where the rows are.

`fit` gives a calibrator, `apply` its probabilities, `evaluate` a report and `accumulate` the sums
behind it; `METHODS` names the calibrators that are fitted there.
"""

from calib.distributed.collections import METHODS, accumulate, apply, evaluate, fit

__all__ = ["METHODS", "accumulate", "apply", "evaluate", "fit"]
