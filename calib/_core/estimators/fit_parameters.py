"""What reaches the `fit` of a wrapped estimator and the splitter beside X and y, by one rule.

With scikit-learn's metadata routing, its requests decide. Without it, weights go to the estimator
where it takes them (in a pipeline: its last step), groups to the splitter, and all other parameters
to the estimator. A list, array or table with one entry per sample is cut to the rows of a fit;
anything else, and whatever is named as validation data, is handed on whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sklearn
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.validation import has_fit_parameter

from calib._border.labels import check_same_length, check_vector
from calib._border.sklearn_compat import is_search, take_rows
from calib._border.typing import ArrayLike, Float64Array, IntArray
from calib._border.warn import warn


@dataclass(frozen=True)
class FitParameters:
    """Parameters of the fits of some estimators (one, or the members of a tuple).

    Attributes
    ----------
    n_samples : int
        Rows of the data they belong to.
    members : tuple of dict
        What `fit` of each estimator takes.
    split : dict
        What the splitter takes.
    """

    n_samples: int
    members: tuple[dict[str, Any], ...] = ({},)
    split: Mapping[str, Any] | None = None

    @property
    def groups(self) -> Any:
        """Groups of the samples, None without."""
        return (self.split or {}).get("groups")

    def of_rows(self, rows: IntArray | None, member: int = 0) -> dict[str, Any]:
        """Return the parameters of one estimator for a fit on some rows (None: all)."""
        return self._taken(self.members[member], rows)

    def restricted(self, rows: IntArray) -> FitParameters:
        """Return the parameters that belong to a part of the data."""
        members = tuple(self.of_rows(rows, k) for k in range(len(self.members)))
        split = self._taken(self.split or {}, rows)
        return FitParameters(len(rows), members, split)

    def _taken(self, values: Mapping[str, Any], rows: IntArray | None) -> dict[str, Any]:
        if rows is None:
            return dict(values)
        return {
            name: take_rows(value, rows) if self._is_per_sample(name, value) else value
            for name, value in values.items()
        }

    def _is_per_sample(self, name: str, value: object) -> bool:
        """Return whether a value has one entry per sample of the data passed to `fit`."""
        last = name.rpartition("__")[2].lower()
        if last.startswith(("eval_", "val_", "valid")) or last.endswith(("_val", "_valid")):
            return False
        if value is None or isinstance(value, (str, bytes, Mapping)):
            return False
        shape = getattr(value, "shape", None)
        if shape is not None:
            return len(shape) > 0 and shape[0] == self.n_samples
        return isinstance(value, Sequence) and len(value) == self.n_samples


def routing_of(owner: object, estimators: Sequence[Any], cv: Any) -> MetadataRouter:
    """Return the router of a wrapper: its `fit` calls those of its estimators and the splitter."""
    router = MetadataRouter(owner=type(owner).__name__).add_self_request(owner)
    for name, estimator in zip(_names(estimators), estimators, strict=True):
        fit = MethodMapping().add(caller="fit", callee="fit")
        router.add(**{name: estimator}, method_mapping=fit)
    split = MethodMapping().add(caller="fit", callee="split")
    return router.add(splitter=cv, method_mapping=split)


def route_fit(
    owner: object,
    estimators: Sequence[Any],
    n_samples: int,
    *,
    sample_weight: Float64Array | None = None,
    groups: ArrayLike = None,
    fit_params: Mapping[str, Any] | None = None,
    otherwise: str,
) -> FitParameters:
    """Share out what was passed to the `fit` of a wrapper.

    Parameters
    ----------
    owner : estimator
        The wrapper, which has `get_metadata_routing`.
    estimators : sequence of estimators
        What it trains.
    n_samples : int
    sample_weight : ndarray of shape (n_samples,) or None
        Checked weights.
    groups : array-like of shape (n_samples,) or None
        For the splitter.
    fit_params : mapping or None
        Whatever else was passed.
    otherwise : str
        What becomes of weights if an estimator takes none.

    Returns
    -------
    parameters : FitParameters

    Warns
    -----
    UserWarning
        If weights were passed and an estimator takes none.
    """
    given = dict(fit_params or {})
    if groups is not None:
        groups = check_vector(groups, "groups")
        check_same_length(n_samples, len(groups), "X", "groups")
    split = {} if groups is None else {"groups": groups}
    if sklearn.get_config()["enable_metadata_routing"]:
        passed = {**given, "sample_weight": sample_weight, "groups": groups}
        passed = {name: value for name, value in passed.items() if value is not None}
        routed = process_routing(owner, "fit", **passed)
        members = [dict(routed[name]["fit"]) for name in _names(estimators)] if passed else []
        members = members or [{} for _ in estimators]
        split = {**(dict(routed["splitter"]["split"]) if passed else {}), **split}
        unused = [wrapped for wrapped in estimators if weight_parameter(wrapped) is None]
    else:
        members, unused = [], []
        for estimator in estimators:
            values = dict(given)
            name = weight_parameter(estimator)
            if sample_weight is not None and name is None:
                unused.append(estimator)
            elif sample_weight is not None and name is not None:
                values.setdefault(name, sample_weight)
            members.append(values)
    if sample_weight is not None and unused:
        warn(f"{type(unused[0]).__name__}.fit takes no sample_weight; {otherwise}", UserWarning)
    return FitParameters(n_samples, tuple(members), split)


def weight_parameter(estimator: Any) -> str | None:
    """Return the name under which the `fit` of an estimator takes weights, None if it does not."""
    if has_fit_parameter(estimator, "sample_weight"):
        return "sample_weight"
    if isinstance(estimator, Pipeline) and estimator.steps:
        step, last = estimator.steps[-1]
        inner = weight_parameter(last)
        return None if inner is None else f"{step}__{inner}"
    if is_search(estimator):
        return weight_parameter(estimator.estimator)
    from sklearn.compose import TransformedTargetRegressor

    if isinstance(estimator, TransformedTargetRegressor) and estimator.regressor is not None:
        return weight_parameter(estimator.regressor)
    return None


def _names(estimators: Sequence[Any]) -> list[str]:
    if len(estimators) == 1:
        return ["estimator"]
    return [f"estimator_{k}" for k in np.arange(len(estimators)).tolist()]
