"""Pairs and triples of quantile models in any order; what is no target of a regressor."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, QuantileRegressor, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from calib import VennAbersRegressor
from uq import ConformalRegressor, SplitPointRegressor, leave_one_out_study

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 2))
Y = X[:, 0] + RNG.standard_normal(300)


class Shifted(RegressorMixin, BaseEstimator):
    """A trained model that does not state its level."""

    def __init__(self, by: float) -> None:
        self.by = by
        self.trained_ = True

    def fit(self, X: Any, y: Any) -> Shifted:
        return self

    def predict(self, X: Any) -> np.ndarray:
        return X[:, 0] + self.by


def quantile(level: float) -> Any:
    return make_pipeline(StandardScaler(), QuantileRegressor(quantile=level, alpha=0.0))


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("frozen", [False, True])
def test_stated_levels_decide(order: tuple[int, ...], frozen: bool) -> None:
    models = [quantile(level).fit(X, Y) if frozen else quantile(level) for level in (0.1, 0.5, 0.9)]
    models = [FrozenEstimator(model) for model in models] if frozen else models

    def fitted(chosen: list[Any]) -> ConformalRegressor:
        return ConformalRegressor(tuple(chosen), conformity_score="quantile", random_state=0).fit(
            X, Y
        )

    one, other = fitted([models[k] for k in order]), fitted(models)
    np.testing.assert_array_equal(one.predict_interval(X), other.predict_interval(X))
    np.testing.assert_array_equal(one.predict(X), other.predict(X))


def test_a_triple_in_another_order_is_refused() -> None:
    low, median, high = (FrozenEstimator(Shifted(by)) for by in (-1.6, 0.0, 1.6))
    for triple, place in (((low, high, median), "third"), ((median, low, high), "first")):
        with pytest.raises(ValueError, match=f"the {place} one predicts between"):
            ConformalRegressor(triple, conformity_score="quantile").fit(X, Y)


def test_a_pair_is_read() -> None:
    for pair in ((-1.6, 1.6), (1.6, -1.6)):
        models = tuple(FrozenEstimator(Shifted(by)) for by in pair)
        model = ConformalRegressor(models, conformity_score="quantile")
        if pair[0] > 0:
            with pytest.warns(UserWarning, match="cross for 300"):
                model.fit(X, Y)
            continue
        model.fit(X, Y)
        np.testing.assert_allclose(model.predict(X), X[:, 0])
        interval = model.predict_interval(X, 0.9)
        assert ((interval[:, 0] <= Y) & (interval[:, 1] >= Y)).mean() >= 0.9
        assert model.bands_[0].point is None


@pytest.mark.parametrize("tails", ["symmetric", "asymmetric"])
@pytest.mark.parametrize("method", ["split", "cross"])
def test_the_point_lies_inside(tails: str, method: str) -> None:
    model = ConformalRegressor(
        (quantile(0.05), quantile(0.5), quantile(0.95)),
        conformity_score="quantile",
        method=method,
        tails=tails,
        random_state=0,
    ).fit(X, Y)
    new = np.random.default_rng(1).normal(size=(200, 2)) * 5
    point = model.predict(new)
    with np.errstate(all="ignore"):
        for level in (0.2, 0.5, 0.9):
            try:
                interval = model.predict_interval(new, level)
            except UserWarning:  # empty ends are put in the middle, with a warning
                continue
            assert (interval[:, 0] <= point).all()
            assert (point <= interval[:, 1]).all()


def test_one_frozen_model_has_one_level() -> None:
    model = FrozenEstimator(quantile(0.5).fit(X, Y))
    with pytest.raises(ValueError, match=r"two models \(low, high\) or three"):
        ConformalRegressor(model, conformity_score="quantile").fit(X, Y)


DAYS = np.datetime64("2020-01-01") + np.arange(300).astype("timedelta64[D]")


@pytest.mark.parametrize(
    "model",
    [
        ConformalRegressor(Ridge()),
        SplitPointRegressor(Ridge(), sds_heads=None),
        VennAbersRegressor(),
    ],
)
@pytest.mark.parametrize(
    "y",
    [DAYS, DAYS - DAYS[0], Y.astype(str), Y.astype(str).astype(object), Y + 1j,
     np.array(DAYS.tolist(), dtype=object), Y.astype(bytes)],
    ids=["dates", "durations", "text", "objects", "complex", "date objects", "bytes"],
)  # fmt: skip
def test_what_is_no_target(model: Any, y: np.ndarray) -> None:
    rows = X[:, 0] if isinstance(model, VennAbersRegressor) else X
    with pytest.raises(ValueError, match=r"must hold numbers|Complex data"):
        model.fit(rows, y)


@pytest.mark.parametrize("kind", ["object", "str", "pandas", "categorical", "bool", "int"])
def test_a_study_of_any_labels_can_be_printed(kind: str) -> None:
    codes = (Y[:40] > 0).astype(int)
    y: Any = np.array(["no", "yes"])[codes]
    if kind in ("pandas", "categorical"):
        pandas = pytest.importorskip("pandas")
        y = pandas.Series(y, dtype="category" if kind == "categorical" else None)
    else:
        y = {"object": y.astype(object), "str": y, "bool": codes > 0, "int": codes}[kind]
    study = leave_one_out_study(
        {"lr": LogisticRegression()}, X[:40], y, calibrators=["raw"], n_repeats=1,
        n_resamples=20, n_simulations=0, inner_folds=2,
    )  # fmt: skip
    assert f"of class {np.asarray(y)[codes == 1][:1].tolist()[0]!r}" in str(study)
    assert study._repr_html_()
