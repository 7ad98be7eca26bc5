"""Evaluate, apply and fit calibrators on Dask collections, where the rows are."""

from calib.distributed.collections import METHODS, accumulate, apply, evaluate, fit

__all__ = ["METHODS", "accumulate", "apply", "evaluate", "fit"]
