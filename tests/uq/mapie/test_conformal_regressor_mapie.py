"""ConformalRegressor beside MAPIE: fitted independently, and as its own backend.

MAPIE computes ``ceil((n + 1) level)`` in binary floating point, and refuses levels that only the
largest score reaches; levels here stay clear of both. Its fold and bootstrap models are the same,
because splitters and seeds are.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, QuantileRegressor, Ridge
from sklearn.model_selection import KFold, LeaveOneOut

from uq import ConformalRegressor

LEVELS = [0.5, 0.83, 0.71, 0.9]
pytestmark = pytest.mark.oracle


def data(n: int, seed: int = 0, slope: float = 0.4):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    return X, X[:, 0] + np.exp(slope * X[:, 1]) * rng.normal(size=n)


@pytest.fixture(params=[157, 503], ids=lambda n: f"n={n}")
def samples(request: pytest.FixtureRequest):
    return *data(request.param), data(80, 1)[0]


@pytest.mark.parametrize("tails", ["symmetric", "asymmetric"])
def test_split(samples, tails: str) -> None:
    from mapie.conformity_scores import AbsoluteConformityScore
    from mapie.regression import SplitConformalRegressor

    X, y, new = samples
    model = Ridge().fit(*data(200, 2))
    peer = SplitConformalRegressor(
        model,
        confidence_level=LEVELS,
        conformity_score=AbsoluteConformityScore(sym=tails == "symmetric"),
        prefit=True,
    ).conformalize(X, y)
    ours = ConformalRegressor(FrozenEstimator(model), tails=tails).fit(X, y)
    np.testing.assert_array_equal(
        ours.predict_intervals(new, LEVELS), peer.predict_interval(new)[1]
    )
    scores = peer.conformity_scores
    np.testing.assert_array_equal(ours.conformity_scores_, np.abs(scores))


def test_normalised(samples) -> None:
    from mapie.conformity_scores import ResidualNormalisedScore
    from mapie.regression import SplitConformalRegressor

    class Scale(LinearRegression):
        def predict(self, X):
            return np.exp(super().predict(X))

    X, y, new = samples
    model = Ridge().fit(*data(200, 2))
    scale = Scale().fit(X, 0.3 * X[:, 1])
    peer = SplitConformalRegressor(
        model,
        confidence_level=LEVELS,
        conformity_score=ResidualNormalisedScore(scale, prefit=True),
        prefit=True,
    ).conformalize(X, y)
    ours = ConformalRegressor(
        FrozenEstimator(model),
        conformity_score="normalised",
        scale_estimator=FrozenEstimator(scale),
    ).fit(X, y)
    np.testing.assert_allclose(
        ours.predict_intervals(new, LEVELS), peer.predict_interval(new)[1], rtol=1e-13, atol=1e-13
    )


@pytest.mark.parametrize("tails", ["symmetric", "asymmetric"])
@pytest.mark.parametrize(
    "estimator",
    [
        QuantileRegressor(alpha=0),
        HistGradientBoostingRegressor(loss="quantile", max_iter=15, random_state=0),
    ],
    ids=["linear", "boosting"],
)
def test_quantiles(tails: str, estimator) -> None:
    """Where quantiles do not cross; MAPIE leaves crossing ones as they are."""
    from mapie.regression import ConformalizedQuantileRegressor

    X, y = data(503, slope=0.1)
    new = data(80, 1)[0]
    train = np.arange(len(y)) % 2 == 0
    peer = ConformalizedQuantileRegressor(estimator, confidence_level=0.8)
    peer.fit(X[train], y[train]).conformalize(X[~train], y[~train])
    models = [*peer._mapie_quantile_regressor.estimators_]
    frozen = tuple(FrozenEstimator(models[k]) for k in (0, 2, 1))
    ours = ConformalRegressor(frozen, conformity_score="quantile", tails=tails)
    ours.fit(X[~train], y[~train])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the median outside the ends
        point, wanted = peer.predict_interval(new, symmetric_correction=tails == "symmetric")
    np.testing.assert_array_equal(ours.predict_interval(new, 0.8), wanted[:, :, 0])
    np.testing.assert_array_equal(ours.predict(new), point)


@pytest.mark.parametrize("tails", ["symmetric", "asymmetric"])
@pytest.mark.parametrize("aggregation", ["plus", "minmax"])
@pytest.mark.parametrize("cv", [KFold(5), KFold(10, shuffle=True, random_state=3), LeaveOneOut()])
def test_cross(samples, cv, aggregation: str, tails: str) -> None:
    from mapie.conformity_scores import AbsoluteConformityScore
    from mapie.regression import CrossConformalRegressor

    X, y, new = samples
    peer = CrossConformalRegressor(
        Ridge(),
        confidence_level=LEVELS,
        conformity_score=AbsoluteConformityScore(sym=tails == "symmetric"),
        method=aggregation,
        cv=cv,
    ).fit_conformalize(X, y)
    ours = ConformalRegressor(
        Ridge(), method="cross", cv=cv, aggregation=aggregation, tails=tails
    ).fit(X, y)
    np.testing.assert_array_equal(
        ours.predict_intervals(new, LEVELS), peer.predict_interval(new)[1]
    )


@pytest.mark.parametrize("tails", ["symmetric", "asymmetric"])
@pytest.mark.parametrize("aggregation", ["plus", "minmax"])
def test_bootstrap(samples, aggregation: str, tails: str) -> None:
    from mapie.conformity_scores import AbsoluteConformityScore
    from mapie.regression import JackknifeAfterBootstrapRegressor

    X, y, new = samples
    peer = JackknifeAfterBootstrapRegressor(
        Ridge(),
        confidence_level=LEVELS,
        conformity_score=AbsoluteConformityScore(sym=tails == "symmetric"),
        method=aggregation,
        resampling=30,
        random_state=4,
    ).fit_conformalize(X, y)
    ours = ConformalRegressor(
        Ridge(), method="bootstrap", aggregation=aggregation, tails=tails, random_state=4
    ).fit(X, y)
    np.testing.assert_allclose(
        ours.predict_intervals(new, LEVELS), peer.predict_interval(new)[1], rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("tails", ["symmetric", "asymmetric"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"conformity_score": "normalised"},
        {"conformity_score": "quantile", "estimator": QuantileRegressor(alpha=0)},
        {"method": "cross"},
        {"method": "cross", "aggregation": "minmax"},
        {"method": "bootstrap"},
        {"method": "bootstrap", "aggregation": "minmax"},
    ],
    ids=lambda options: "-".join(str(v)[:10] for v in options.values()) or "split",
)
def test_backends_agree(samples, options: dict, tails: str) -> None:
    X, y, new = samples
    options = {"estimator": Ridge(), "tails": tails, "random_state": 0, **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        native = ConformalRegressor(**options).fit(X, y)
        mapie = ConformalRegressor(**options, backend="mapie").fit(X, y)
        levels = [*LEVELS, 0.995]  # only the largest score, or nothing, reaches the last one
        got = mapie.predict_intervals(new, levels)
        np.testing.assert_allclose(got, native.predict_intervals(new, levels), rtol=0, atol=1e-12)


def test_where_floating_point_moves_the_rank_of_mapie() -> None:
    """100 times 0.55 is 55.00000000000001: MAPIE takes the next score, which covers more."""
    from mapie.regression import SplitConformalRegressor

    X, y = data(99)
    model = Ridge().fit(*data(200, 2))
    peer = SplitConformalRegressor(model, confidence_level=0.55).conformalize(X, y)
    ours = ConformalRegressor(FrozenEstimator(model)).fit(X, y)
    scores = np.sort(ours.conformity_scores_)
    widths = np.array(
        [
            0.5 * np.ptp(ours.predict_interval(X[:1], 0.55)),
            0.5 * np.ptp(peer.predict_interval(X[:1])[1]),
        ]
    )
    np.testing.assert_allclose(widths, scores[[54, 55]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tails": "lower"}, "needs tails='symmetric' or 'asymmetric'"),
        ({"mondrian": len}, "needs mondrian=None"),
        ({"likelihood_ratio": len}, "needs likelihood_ratio=None"),
        ({"method": "cross", "conformity_score": "normalised"}, "conformity_score='absolute'"),
    ],
)
def test_what_mapie_cannot_do(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ConformalRegressor(Ridge(), backend="mapie", **options).fit(*data(50))
    with pytest.raises(ValueError, match="takes no categories"):
        ConformalRegressor(Ridge(), backend="mapie").fit(*data(50), categories=[0] * 50)
