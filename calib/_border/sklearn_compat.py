"""The only place that touches scikit-learn's internals, and the typed doors to its bases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.model_selection._search import BaseSearchCV
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import validate_data

from calib._border.typing import ArrayLike, Float64Array


def take_rows(x: ArrayLike, rows: Any) -> Any:
    """Select rows of an array, list or table, or of all arrays of a mapping, keeping its type."""
    if is_named_arrays(x):
        return {name: take_rows(values, rows) for name, values in x.items()}
    return _safe_indexing(x, rows)


def take_features(x: ArrayLike, columns: Any) -> Any:
    """Select columns of an array or table by their positions, keeping its type."""
    return _safe_indexing(x, columns, axis=1)


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


def grown_tree(
    X: Any,
    y: Float64Array,
    weight: Float64Array,
    random_state: Any,
    *,
    max_features: int,
    min_samples_split: int,
    min_samples_leaf: int,
    max_depth: int,
    min_impurity_decrease: float,
) -> Any:
    """Grow a tree of two classes as ``DecisionTreeClassifier.fit`` does, without its checks.

    On a hundred rows the checks take ten times as long as the tree. What is called here is free to
    change, so a caller compares the result with that of ``fit`` once, and takes ``fit`` if this
    raises or differs.

    Parameters
    ----------
    X : ndarray of float32, shape (n_samples, n_features)
        C-contiguous and finite.
    y : ndarray of shape (n_samples, 1)
        0 and 1.
    weight : ndarray of shape (n_samples,)
    random_state : RandomState

    Returns
    -------
    tree : sklearn.tree._tree.Tree
        With `predict`, which gives the shares of both classes.
    """
    from sklearn.tree._criterion import Gini
    from sklearn.tree._splitter import BestSplitter
    from sklearn.tree._tree import DepthFirstTreeBuilder, Tree

    n_classes = np.array([2], dtype=np.intp)
    splitter = BestSplitter(
        Gini(1, n_classes), max_features, min_samples_leaf, 0.0, random_state, None
    )
    tree = Tree(X.shape[1], n_classes, 1)
    builder = DepthFirstTreeBuilder(
        splitter, min_samples_split, min_samples_leaf, 0.0, max_depth, min_impurity_decrease
    )
    builder.build(tree, X, y, weight, None)
    return tree
