"""`CalibratedClassifier(features=)`: which columns reach the calibrator, and which do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from calib import CalibratedClassifier, MulticalibrationCalibrator

pd = pytest.importorskip("pandas")


def frame(n: int = 1500, seed: int = 0) -> tuple[Any, np.ndarray]:
    rng = np.random.default_rng(seed)
    a, age, sex = rng.normal(size=n), rng.integers(18, 90, n), rng.choice(["f", "m"], n)
    odds = a + 0.05 * (age - 50) * (sex == "f")
    y = np.where(rng.random(n) < expit(odds), "yes", "no")
    return pd.DataFrame({"a": a, "age": age.astype(float), "sex": sex}, index=np.arange(n) + 7), y


def model() -> Any:
    return make_pipeline(make_column_transformer(("passthrough", ["a"])), LogisticRegression())


@pytest.mark.parametrize("ensemble", [False, True])
@pytest.mark.parametrize("features", [["age", "sex"], [1, 2], lambda X: X[["age", "sex"]]])
def test_features_by_name_place_and_function_are_the_same(features: Any, ensemble: bool) -> None:
    X, y = frame()
    wrap = CalibratedClassifier(model(), "multicalibration", features=features, ensemble=ensemble)
    named = clone(wrap).set_params(features=["age", "sex"]).fit(X, y)
    wrap.fit(X, y)
    assert wrap.pairs_[0][1].used_ or ensemble
    np.testing.assert_array_equal(wrap.predict_proba(X), named.predict_proba(X))


def test_what_reaches_the_calibrator_is_named() -> None:
    X, y = frame()
    wrap = CalibratedClassifier(model(), "multicalibration", features=["sex", "age"]).fit(X, y)
    assert wrap.calibrator_.feature_names_in_.tolist() == ["score of yes", "sex", "age"]
    assert wrap.calibrator_.n_scores == 1
    assert wrap.calibrator_.used_


def test_all_columns() -> None:
    X, y = frame()
    wrap = CalibratedClassifier(model(), "multicalibration", features="all").fit(X, y)
    assert wrap.calibrator_.n_features_in_ == 4


def test_matrices_polars_and_mappings() -> None:
    X, y = frame()
    numbers = X[["a", "age"]].to_numpy()
    plain = CalibratedClassifier(LogisticRegression(), "multicalibration", features=[1])
    p = plain.fit(numbers, y).predict_proba(numbers)
    assert plain.calibrator_.n_features_in_ == 2
    named = clone(plain).set_params(features=["age"])
    np.testing.assert_allclose(
        named.fit(X[["a", "age"]], y).predict_proba(X[["a", "age"]]), p, atol=1e-9
    )
    polars = pytest.importorskip("polars")
    other = polars.from_pandas(X[["a", "age"]])
    np.testing.assert_allclose(clone(named).fit(other, y).predict_proba(other), p, atol=1e-9)


def test_frozen_models_and_split_point() -> None:
    X, y = frame()
    frozen = FrozenEstimator(model().fit(X[:700], y[:700]))
    for name in ("multicalibration", "split_point"):
        wrap = CalibratedClassifier(frozen, name, features=["age"]).fit(X[700:], y[700:])
        assert wrap.predict_proba(X).shape == (1500, 2)
    wrap = CalibratedClassifier(frozen, "group", features=["sex"]).fit(X[700:], y[700:])
    assert wrap.calibrator_.n_features_in_ == 2


def test_categories_are_named_by_columns_of_the_table() -> None:
    X, y = frame()
    calibrator = MulticalibrationCalibrator(categorical=["age"])
    wrap = CalibratedClassifier(model(), calibrator, features=["age"]).fit(X, y)
    assert wrap.calibrator_.category_column_.tolist() in ([0], [])
    with pytest.raises(ValueError, match="categorical names the column 'sex'"):
        CalibratedClassifier(
            model(), MulticalibrationCalibrator(categorical=["sex"]), features=["age"]
        ).fit(X, y)


def test_groups_reach_the_folds_of_the_calibrator() -> None:
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(150), 10)
    trait = rng.normal(size=150)[person]
    s = rng.normal(size=1500)
    y = (rng.random(1500) < expit(s + 1.5 * trait)).astype(int)
    X = np.c_[s, rng.normal(size=150)[person]]
    base = FrozenEstimator(LogisticRegression(C=1e6).fit(X[:, :1], y))
    del base
    wrap = CalibratedClassifier(LogisticRegression(), "multicalibration", features=[1])
    assert clone(wrap).fit(X, y).calibrator_.used_
    assert not clone(wrap).fit(X, y, groups=person).calibrator_.used_


@pytest.mark.parametrize(
    ("calibrator", "features", "text"),
    [
        ("temperature", ["age"], "'temperature' takes no features; use 'multicalibration'"),
        ("multicalibration", None, "'multicalibration' reads features; pass features="),
        ("group", None, "'group' reads features"),
        ("multicalibration", ["agee"], "features names 'agee', which X lacks. Did you mean 'age'"),
        ("multicalibration", "age", r"For a single column pass \['age'\]"),
        ("multicalibration", [], "features is empty"),
        ("multicalibration", [5], "position 5, but X has 3 columns"),
        ("multicalibration", ["age", "age"], "a column twice"),
        ("multicalibration", [None], "pass names or positions"),
        ("multicalibration", 3, "features must be 'all', a list"),
        ("multicalibration", lambda X: np.zeros(3), "3"),
        ("multicalibration", lambda X: np.zeros((len(X), 2, 2)), "table or a matrix"),
    ],
)
def test_bad_features_are_named(calibrator: str, features: Any, text: str) -> None:
    X, y = frame(200)
    with pytest.raises(ValueError, match=text):
        CalibratedClassifier(model(), calibrator, features=features).fit(X, y)


def test_names_need_a_table() -> None:
    X, y = frame(200)
    numbers = X[["a", "age"]].to_numpy()
    with pytest.raises(ValueError, match="X has no column names"):
        CalibratedClassifier(LogisticRegression(), "multicalibration", features=["age"]).fit(
            numbers, y
        )


def test_a_feature_may_not_be_called_like_a_score() -> None:
    X, y = frame(200)
    with pytest.raises(ValueError, match="a feature is called 'score of yes'"):
        CalibratedClassifier(model(), "multicalibration", features=["score of yes"]).fit(
            X.rename(columns={"age": "score of yes"}), y
        )


def test_an_onnx_model_reads_the_same_columns(tmp_path: Any) -> None:
    pytest.importorskip("skl2onnx")
    runtime = pytest.importorskip("onnxruntime")
    from calib.export import to_onnx

    X, y = frame()
    numbers = X[["a", "age"]].to_numpy().astype(np.float32)
    wrap = CalibratedClassifier(LogisticRegression(), "multicalibration", features=[1])
    wrap.fit(numbers, y)
    to_onnx(wrap, tmp_path / "model.onnx")
    session = runtime.InferenceSession(str(tmp_path / "model.onnx"))
    (out,) = session.run(None, {session.get_inputs()[0].name: numbers})
    np.testing.assert_allclose(out, wrap.predict_proba(numbers), atol=1e-5)
    made = CalibratedClassifier(
        LogisticRegression(), "multicalibration", features=lambda X: X[:, 1:]
    )
    with pytest.raises(TypeError, match="features= is a function"):
        to_onnx(made.fit(numbers, y), tmp_path / "model.onnx")
