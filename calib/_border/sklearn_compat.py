"""The only place that touches scikit-learn's internals, and the typed doors to its bases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.model_selection._search import BaseSearchCV
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import validate_data

from calib._border.typing import ArrayLike


def take_rows(x: ArrayLike, rows: Any) -> Any:
    """Select rows of an array, list or table, or of all arrays of a mapping, keeping its type."""
    if is_named_arrays(x):
        return {name: take_rows(values, rows) for name, values in x.items()}
    return _safe_indexing(x, rows)


def is_named_arrays(x: ArrayLike) -> bool:
    """Return whether `x` maps names to arrays (a sparse matrix of scipy may be a dict, too)."""
    return isinstance(x, Mapping) and not hasattr(x, "nnz")


def is_search(estimator: object) -> bool:
    """Return whether an estimator is a search over parameters, whose `fit` hands parameters on."""
    return isinstance(estimator, BaseSearchCV)


def check_features(estimator: object, x: ArrayLike, *, reset: bool) -> None:
    """Set (at fit) or compare (later) ``n_features_in_`` and ``feature_names_in_``.

    A plain array of the right width is compared without asking every library of tables whether it
    is one of theirs, which takes longer than most maps of one row.
    """
    if (
        type(x) is np.ndarray
        and not reset
        and x.shape[1] == getattr(estimator, "n_features_in_", 0)
    ):
        if not hasattr(estimator, "feature_names_in_"):
            return
    validate_data(estimator, x, reset=reset, skip_check_array=True)
