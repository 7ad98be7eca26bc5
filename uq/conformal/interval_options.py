"""Options of conformal regression, checked before anything is fitted."""

from __future__ import annotations

from typing import Any

from calib._border.checks import check_fraction, check_integer, check_option, describe
from calib._border.labels import check_same_length, check_vector
from calib._border.limits import MOST_RESAMPLES
from calib._border.typing import ArrayLike, LabelArray
from calib._core.estimators.out_of_fold import check_estimator, warn_if_trained
from uq.conformal.bands import is_frozen, members_of
from uq.mapie.intervals import check_supported


def category_names(est: Any, X: Any, given: ArrayLike, n_samples: int | None) -> LabelArray | None:
    """Return the categories of the samples, from the function or as given."""
    if given is not None and est.mondrian is not None:
        raise ValueError("categories were passed and mondrian is a function of X; choose one")
    if est.mondrian is not None:
        given = est.mondrian(X)
    if given is None:
        return None
    names = check_vector(given, "categories")
    if n_samples is not None:
        check_same_length(n_samples, len(names), "X", "categories")
    return names


def check_options(est: Any, weighted: bool) -> None:
    """Raise for options that are unknown or contradict each other."""
    for member in members_of(est.estimator):
        check_estimator(member, kind="regressor", answers=("predict",))
    check_option("method", est.method, ("split", "cross", "bootstrap"))
    check_option("conformity_score", est.conformity_score, ("absolute", "normalised", "quantile"))
    check_option("tails", est.tails, ("symmetric", "asymmetric", "lower", "upper"))
    check_option("aggregation", est.aggregation, ("plus", "minmax"))
    check_option("small", est.small, ("infinite", "raise"))
    check_option("backend", est.backend, ("native", "mapie"))
    check_integer("n_resamples", est.n_resamples, low=2, high=MOST_RESAMPLES)
    for name in ("mondrian", "likelihood_ratio"):
        if getattr(est, name) is not None and not callable(getattr(est, name)):
            raise ValueError(f"{name} must be a function of X; got {describe(getattr(est, name))}")
    if not isinstance(est.quantiles, (tuple, list)) or len(est.quantiles) != 2:
        raise ValueError(f"quantiles must be two levels; got {describe(est.quantiles)}")
    low, high = (check_fraction("quantiles", level) for level in est.quantiles)
    if not low < high:
        raise ValueError(f"quantiles must ascend; got {est.quantiles!r}")
    if est.method != "split":
        if weighted or est.likelihood_ratio is not None:
            raise ValueError(f"likelihood_ratio needs method='split'; got {est.method!r}")
        if is_frozen(est.estimator):
            raise ValueError(
                f"method={est.method!r} fits the estimator several times, and a frozen one "
                f"cannot be; pass method='split'"
            )
    if est.method == "bootstrap" and est.conformity_score != "absolute":
        raise ValueError(
            f"method='bootstrap' takes conformity_score='absolute'; got {est.conformity_score!r}"
        )
    if isinstance(est.estimator, (tuple, list)) and est.conformity_score != "quantile":
        number = {2: "two", 3: "three"}.get(len(est.estimator), "several")
        raise ValueError(
            f"{number} estimators go with conformity_score='quantile'; got {est.conformity_score!r}"
        )
    for member in members_of(est.estimator):
        if not is_frozen(member):
            warn_if_trained(member)
    if est.backend == "mapie":
        check_supported(est, weighted)
