"""The models and the small table that a study of calibrators starts from."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline, make_pipeline

from calib._border.checks import check_option
from calib._border.optional import is_installed
from calib._border.typing import Float64Array, IntArray

#: Packages whose projects have another name.
PROJECTS = {"sklearn": "scikit-learn", "xgboost": "XGBoost"}
#: Rows of the stand-in table.
STAND_IN_ROWS = 101


def study_models(*, impute: bool = False) -> dict[str, Any]:
    """Return the four classifiers of the study, unfitted, with settings for a hundred rows.

    Parameters
    ----------
    impute : bool, default=False
        Whether to begin each of them with the median of the training rows for missing values.

    Returns
    -------
    models : dict of str to estimator
        ``"logistic_regression"`` (standardised, C=0.1), ``"svm"`` (standardised, RBF kernel, C=1),
        ``"gradient_boosting"`` (60 trees of depth 3, rate 0.1, 80 % of the rows and half of the
        columns per tree: XGBoost where installed, else scikit-learn's, whose columns are drawn per
        split) and ``"random_forest"`` (60 trees, 3 rows per leaf). Seeds are left open.

    Raises
    ------
    ValueError
        If `impute` is not a bool.

    References
    ----------
    T. Chen, C. Guestrin, "XGBoost: A Scalable Tree Boosting System", KDD 2016, arXiv 1603.02754.

    Examples
    --------
    >>> from uq import study_models
    >>> list(study_models())
    ['logistic_regression', 'svm', 'gradient_boosting', 'random_forest']
    """
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    check_option("impute", impute, (True, False))
    boosting: Any
    if is_installed("xgboost"):
        boosting = import_module("xgboost").XGBClassifier(
            n_estimators=60,
            max_depth=3,
            learning_rate=0.1,
            subsample=0.8,
            colsample_bytree=0.5,
            n_jobs=1,
        )
    else:
        boosting = GradientBoostingClassifier(
            n_estimators=60, max_depth=3, learning_rate=0.1, subsample=0.8, max_features=0.5
        )
    first = [SimpleImputer(strategy="median")] if impute else []
    forest = RandomForestClassifier(n_estimators=60, min_samples_leaf=3)
    return {
        "logistic_regression": make_pipeline(
            *first, StandardScaler(), LogisticRegression(C=0.1, random_state=0)
        ),
        "svm": make_pipeline(*first, StandardScaler(), SVC(C=1.0, random_state=0)),
        "gradient_boosting": make_pipeline(*first, boosting) if impute else boosting,
        "random_forest": make_pipeline(*first, forest) if impute else forest,
    }


def software_of(model: Any) -> str:
    """Return the class of the last step of a model, with the package and version it comes from."""
    last = model.steps[-1][1] if isinstance(model, Pipeline) else model
    package = type(last).__module__.partition(".")[0]
    version = getattr(import_module(package), "__version__", "")
    return f"{type(last).__name__} of {PROJECTS.get(package, package)} {version}".strip()


def load_study_stand_in() -> tuple[Float64Array, IntArray]:
    """Return a public table of the size of a small clinical study.

    The diabetes data of scikit-learn, with progression above its median as the outcome, reduced to
    a stratified sample of 101 patients. It stands in for data that cannot be shared; nothing about
    another disease follows from it.

    Returns
    -------
    X : ndarray of shape (101, 10)
        Age, sex, body mass index, blood pressure and six blood values, scaled.
    y : ndarray of shape (101,)
        1 for progression above the median of all 442 patients.

    References
    ----------
    B. Efron, T. Hastie, I. Johnstone, R. Tibshirani, "Least Angle Regression", Annals of Statistics
    32, 2004, arXiv math/0406456.

    Examples
    --------
    >>> from uq import load_study_stand_in
    >>> X, y = load_study_stand_in()
    >>> X.shape, int(y.sum())
    ((101, 10), 51)
    """
    from sklearn.datasets import load_diabetes
    from sklearn.model_selection import StratifiedShuffleSplit

    X, progression = load_diabetes(return_X_y=True)
    y = (progression > np.median(progression)).astype(np.intp)
    splitter = StratifiedShuffleSplit(n_splits=1, train_size=STAND_IN_ROWS, random_state=0)
    rows, _ = next(splitter.split(X, y))
    return np.asarray(X[rows], dtype=np.float64), y[rows]
