"""Random forests on small tables: scikit-learn's trees, number for number, in a tenth of the time.

A study refits a forest thousands of times on a hundred rows. There, cloning and checking sixty
trees takes ten times as long as growing them. What is grown here is compared with scikit-learn's
own forest before every study, and is used only where the two answer alike to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state

from calib._border.checks import is_integer
from calib._border.sklearn_compat import grown_tree
from calib._border.typing import FloatArray, IntArray, LabelArray

#: Parameters of a forest that may differ from their defaults.
FREE = {
    "n_estimators",
    "max_depth",
    "min_samples_split",
    "min_samples_leaf",
    "max_features",
    "min_impurity_decrease",
    "random_state",
}
#: Seeds of trees are drawn below this, and no tree is deeper.
MOST = int(np.iinfo(np.int32).max)


@dataclass(frozen=True, eq=False)
class GrownForest:
    """A forest that answers with the mean of its trees.

    Attributes
    ----------
    before : Pipeline or None
        Fitted steps before the forest.
    trees : list of tree
        Each with `predict`.
    classes_ : ndarray of shape (2,)
        0 and 1.
    """

    before: Any
    trees: list[Any]
    classes_: IntArray

    def predict_proba(self, X: Any) -> FloatArray:
        """Return the shares of both classes, shape (n_samples, 2)."""
        inputs = _inputs(self.before, X)
        total = np.zeros((len(inputs), 2))
        for tree in self.trees:
            total += tree.predict(inputs)
        return np.asarray(total / len(self.trees))


def _forest_of(model: Any) -> Any:
    """Return the forest that a model is or ends with."""
    return model.steps[-1][1] if type(model) is Pipeline else model


def is_plain_forest(model: Any) -> bool:
    """Return whether a model is a random forest, or ends with one, of a kind that is grown here."""
    from sklearn.ensemble import RandomForestClassifier

    forest = _forest_of(model)
    if type(forest) is not RandomForestClassifier:
        return False
    usual = RandomForestClassifier().get_params()
    given = forest.get_params()
    counts = (given["min_samples_split"], given["min_samples_leaf"], given["random_state"])
    return all(map(is_integer, counts)) and all(
        given[name] == usual[name] for name in usual.keys() - FREE
    )


def grow_forest(model: Any, X: Any, codes: IntArray) -> Any:
    """Train the forest that a model is or ends with, steps before it included.

    Parameters
    ----------
    model : RandomForestClassifier or Pipeline
        Unfitted, see `is_plain_forest`; its seed is an integer.
    X : table or array of shape (n_samples, n_features)
    codes : ndarray of shape (n_samples,)
        0 and 1.

    Returns
    -------
    forest : GrownForest or estimator
        The model itself, trained by scikit-learn, where values are missing.
    """
    forest, before, given = _forest_of(model), None, X
    if forest is not model and len(model.steps) > 1:
        before = model[:-1]
        X = before.fit_transform(X, codes)
    inputs, y = _inputs(None, X), codes.astype(np.float64)[:, None]
    if not np.isfinite(inputs).all():
        return model.fit(given, codes)
    n_samples = len(y)
    depth = MOST if forest.max_depth is None else forest.max_depth
    options = {
        "max_features": _n_features(forest.max_features, inputs.shape[1]),
        "min_samples_split": max(forest.min_samples_split, 2 * forest.min_samples_leaf),
        "min_samples_leaf": forest.min_samples_leaf,
        "max_depth": depth,
        "min_impurity_decrease": forest.min_impurity_decrease,
    }
    seeds, generator = check_random_state(forest.random_state), check_random_state(0)
    trees = []
    for _ in range(forest.n_estimators):
        seed = seeds.randint(MOST)
        generator.seed(seed)
        drawn = generator.randint(0, n_samples, n_samples)
        weight = np.bincount(drawn, minlength=n_samples).astype(np.float64)
        generator.seed(seed)
        trees.append(grown_tree(inputs, y, weight, generator, **options))
    return GrownForest(before, trees, np.arange(2))


def grows_alike(model: Any, fitted: Any, X: Any, codes: IntArray) -> bool:
    """Return whether `grow_forest` answers as scikit-learn's own forest does, to the last bit."""
    if not is_plain_forest(model):
        return False
    try:
        grown: LabelArray = grow_forest(model, X, codes).predict_proba(X)
    except Exception:  # another version of scikit-learn
        return False
    return bool(np.array_equal(grown, fitted.predict_proba(X)))


def _inputs(before: Any, X: Any) -> FloatArray:
    values = X if before is None else before.transform(X)
    return np.ascontiguousarray(values, dtype=np.float32)


def _n_features(rule: Any, n_features: int) -> int:
    """Return how many features a split looks at."""
    if rule is None:
        return n_features
    if is_integer(rule):
        return rule
    if rule in ("sqrt", "log2"):
        return max(1, int(np.sqrt(n_features) if rule == "sqrt" else np.log2(n_features)))
    return max(1, int(rule * n_features))
