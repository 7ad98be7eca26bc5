"""The same ends from MAPIE: its public classes, fed with predictions of models already fitted.

MAPIE fixes the level and fits the models in one object. Here it receives stand-ins that replay
saved predictions, so that a new level costs no new fit. Splitters tell the stand-ins which model to
replay by the number of training rows.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.model_selection import BaseCrossValidator

from calib._border.typing import Float64Array, IntArray
from uq.conformal.bands import Ends
from uq.conformal.interval_fitting import Calibration
from uq.conformal.quantiles import conformal_rank

#: Columns of `Calibration.seen` in the order of MAPIE's quantile models.
LOW, POINT, HIGH, SCALE = range(4)


def check_supported(est: Any, weighted: bool) -> None:
    """Raise for what only the native backend does."""
    for name, wanted, got in (
        ("tails", "'symmetric' or 'asymmetric'", est.tails in ("symmetric", "asymmetric")),
        ("mondrian", "None", est.mondrian is None),
        ("likelihood_ratio", "None", est.likelihood_ratio is None and not weighted),
        (
            "conformity_score",
            "'absolute'",
            est.method == "split" or est.conformity_score == "absolute",
        ),
    ):
        if not got:
            raise ValueError(
                f"backend='mapie' with method={est.method!r} needs {name}={wanted}; pass "
                f"backend='native'"
            )


class _Column(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Return a column of X: the given one, or the one that the number of training rows names."""

    def __init__(self, column: int | None = None) -> None:
        self.column = column

    def fit(self, X: Float64Array, y: Any = None) -> _Column:
        self.column_ = self.column if self.column is not None else min(len(X), X.shape[1]) - 1
        return self

    def predict(self, X: Float64Array) -> Float64Array:
        return X[:, self.column_]


class _Folds(BaseCrossValidator):  # type: ignore[misc]
    """Hold out the given rows; train on as many rows as the number of the fold says."""

    def __init__(self, held_out: list[IntArray]) -> None:
        self.held_out = held_out

    def split(self, *args: Any, **kwargs: Any) -> Iterator[tuple[IntArray, IntArray]]:
        for k, rows in enumerate(self.held_out):
            yield np.zeros(k + 1, dtype=np.intp), rows

    def get_n_splits(self, *args: Any, **kwargs: Any) -> int:
        return len(self.held_out)


def mapie_interval(
    calibration: Calibration, bands: list[Ends], level: float, wanted: float, est: Any
) -> Float64Array | None:
    """Return MAPIE's intervals, shape (n_samples, 2).

    None stands for levels that only the largest score or an infinite end reaches, which MAPIE
    refuses.
    """
    n = len(calibration.labels)
    if conformal_rank(n, wanted) >= n:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # crossing quantiles have been reported
        if est.method == "split":
            made = _split(calibration, bands[0], level, est)
        else:
            made = _several(calibration, bands, level, est)
    return np.asarray(made[:, :, 0])


def _split(calibration: Calibration, ends: Ends, level: float, est: Any) -> Float64Array:
    from mapie.conformity_scores import AbsoluteConformityScore, ResidualNormalisedScore
    from mapie.regression import ConformalizedQuantileRegressor, SplitConformalRegressor

    symmetric = est.tails == "symmetric"
    scale = np.ones(len(ends.low)) if ends.scale is None else ends.scale
    new = np.stack([ends.low, 0.5 * ends.low + 0.5 * ends.high, ends.high, scale], axis=1)
    seen, y = calibration.seen, calibration.labels
    columns = [_Column(k).fit(seen) for k in range(4)]
    if est.conformity_score == "quantile":
        models = [columns[LOW], columns[HIGH], columns[POINT]]
        quantile = ConformalizedQuantileRegressor(models, confidence_level=level, prefit=True)
        quantile.conformalize(seen, y)
        answer: Float64Array = quantile.predict_interval(new, symmetric_correction=symmetric)[1]
        return answer
    if est.conformity_score == "normalised":
        score = ResidualNormalisedScore(columns[SCALE], prefit=True, sym=symmetric)
    else:
        score = AbsoluteConformityScore(sym=symmetric)
    split = SplitConformalRegressor(
        columns[POINT], confidence_level=level, conformity_score=score, prefit=True
    )
    split.conformalize(seen, y)
    answer = split.predict_interval(new, allow_infinite_bounds=True)[1]
    return answer


def _several(calibration: Calibration, bands: list[Ends], level: float, est: Any) -> Float64Array:
    from mapie.conformity_scores import AbsoluteConformityScore
    from mapie.regression import CrossConformalRegressor, JackknifeAfterBootstrapRegressor
    from mapie.subsample import Subsample

    score = AbsoluteConformityScore(sym=est.tails == "symmetric")
    new = np.stack([band.low for band in bands], axis=1)
    seen, y = calibration.seen, calibration.labels
    options: dict[str, Any] = {
        "confidence_level": level,
        "conformity_score": score,
        "method": est.aggregation,
    }
    if est.method == "cross":
        folds = [np.flatnonzero(calibration.fold == k) for k in range(len(bands))]
        seen = np.repeat(seen[:, [POINT]], len(bands), axis=1)
        model = CrossConformalRegressor(_Column(), cv=_Folds(folds), **options)
    else:

        class _Draws(_Folds, Subsample):  # type: ignore[misc]
            """Folds that MAPIE takes for bootstrap draws."""

        left = [np.flatnonzero(~np.isnan(seen[:, b])) for b in range(len(bands))]
        model = JackknifeAfterBootstrapRegressor(_Column(), resampling=_Draws(left), **options)
    model.fit_conformalize(seen, y)
    answer: Float64Array = model.predict_interval(new, allow_infinite_bounds=True)[1]
    return answer
