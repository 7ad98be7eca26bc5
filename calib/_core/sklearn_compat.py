"""The only place that touches scikit-learn's internals, and the typed doors to its bases."""

from __future__ import annotations

from typing import Any

from sklearn.utils import _safe_indexing
from sklearn.utils.validation import validate_data

from calib._border.typing import ArrayLike


def take_rows(x: ArrayLike, rows: Any) -> Any:
    """Select rows of an array, list or table without changing its type."""
    return _safe_indexing(x, rows)


def check_features(estimator: object, x: ArrayLike, *, reset: bool) -> None:
    """Set (at fit) or compare (later) ``n_features_in_`` and ``feature_names_in_``."""
    validate_data(estimator, x, reset=reset, skip_check_array=True)
