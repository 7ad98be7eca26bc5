"""Choices that a study makes inside every training part: features, and parameters of models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, StratifiedKFold
from sklearn.pipeline import Pipeline

from calib._border.checks import check_fraction, describe
from calib._border.words import did_you_mean
from uq.study.feature_sets import SpearmanFilter

#: Parameters to try, per model.
Grids: TypeAlias = Mapping[str, Mapping[str, Sequence[Any]]]
#: Folds among the rows of a training part that choose parameters.
TUNING_FOLDS = 3


def study_grids() -> dict[str, dict[str, list[Any]]]:
    """Return the parameters that ``leave_one_out_study(..., tuning=True)`` tries.

    Returns
    -------
    grids : dict of str to dict
        Per model of `study_models`, values of parameters as `GridSearchCV` takes them. Few, since
        a hundred rows cannot tell many apart: 4 strengths of regularisation for the linear model
        and for the kernel, 3 sizes of trees for the two of trees.

    Examples
    --------
    >>> from uq import study_grids
    >>> study_grids()["random_forest"]
    {'min_samples_leaf': [1, 3, 10]}
    """
    return {
        "logistic_regression": {"logisticregression__C": [0.01, 0.1, 1.0, 10.0]},
        "svm": {"svc__C": [0.1, 1.0, 10.0, 100.0]},
        "gradient_boosting": {"max_depth": [1, 2, 3]},
        "random_forest": {"min_samples_leaf": [1, 3, 10]},
    }


def read_grids(tuning: bool | Grids, models: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the grid of every model that is tuned.

    Raises
    ------
    ValueError
        For what is neither a bool nor a mapping of names of models to grids.
    """
    if tuning is False:
        return {}
    if tuning is True:
        grids = {name: grid for name, grid in study_grids().items() if name in models}
        unknown = [name for name in models if name not in grids]
        if unknown:
            raise ValueError(
                f"tuning=True knows grids for the models of study_models alone, not for "
                f"{describe(unknown[0])}; pass tuning={{{unknown[0]!r}: {{parameter: [values]}}}}"
            )
        return {name: _in_pipeline(models[name], grid) for name, grid in grids.items()}
    if not isinstance(tuning, Mapping):
        raise ValueError(
            f"tuning must be True, False or a mapping of names of models to grids; got "
            f"{describe(tuning)}"
        )
    for name, grid in tuning.items():
        if name not in models:
            raise ValueError(
                f"tuning has {describe(name)}, which is no model of this study: "
                f"{', '.join(map(repr, models))}{did_you_mean(name, models)}"
            )
        empty = not isinstance(grid, Mapping) or not grid
        if empty or any(isinstance(v, str) or not hasattr(v, "__len__") for v in grid.values()):
            raise ValueError(
                f"tuning[{name!r}] must map parameters to lists of values; got {describe(grid)}"
            )
    return {name: dict(grid) for name, grid in tuning.items()}


def _in_pipeline(model: Any, grid: Mapping[str, Any]) -> dict[str, Any]:
    """Return a grid under the names of the last step, where the model is a pipeline."""
    if not isinstance(model, Pipeline):
        return dict(grid)
    last = model.steps[-1][0]
    return {f"{last}__{name.rpartition('__')[2]}": values for name, values in grid.items()}


def prepared(
    model: Any,
    *,
    correlation_limit: float | None,
    grid: Mapping[str, Any] | None,
    grouped: bool,
    seed: int,
) -> Any:
    """Return a model that chooses its features and parameters from the rows it is trained on.

    Parameters
    ----------
    model : classifier
        Unfitted.
    correlation_limit : float or None
        Limit of the `SpearmanFilter` before it.
    grid : mapping or None
        Parameters to try.
    grouped : bool
        Whether ``fit`` is given groups, for folds that keep them together.
    seed : int
        Seed of the folds that choose the parameters.
    """
    prefix = ""
    if correlation_limit is not None:
        limit = check_fraction("correlation_limit", correlation_limit)
        model, prefix = Pipeline([("filter", SpearmanFilter(limit)), ("model", model)]), "model__"
    if grid is None:
        return model
    kind: Any = StratifiedGroupKFold if grouped else StratifiedKFold
    return GridSearchCV(
        model,
        {f"{prefix}{name}": list(values) for name, values in grid.items()},
        scoring="roc_auc",
        cv=kind(TUNING_FOLDS, shuffle=True, random_state=seed),
        error_score="raise",
    )
