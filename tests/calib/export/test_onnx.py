"""ONNX models give what `transform` gives, on whatever scores arrive."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.discriminant_analysis import (
    LinearDiscriminantAnalysis,
    QuadraticDiscriminantAnalysis,
)
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.svm import LinearSVC

from calib import (
    CALIBRATORS,
    CalibratedClassifier,
    ExternalCalibrator,
    TemperatureCalibrator,
    VennAbersCalibrator,
    __version__,
    make_calibrator,
)
from calib.export import to_onnx

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

METHODS = [name for name, row in CALIBRATORS.items() if row.onnx]
NEWEST = onnx.defs.onnx_opset_version()
#: Methods whose fit with a thousand classes takes a second.
FAST = [
    "temperature",
    "ensemble_temperature",
    "platt",
    "quadratic",
    "isotonic",
    "histogram",
    "venn_abers",
    "h_calibration",
    "vector_scaling",
]


def run(model: Any, **given: np.ndarray) -> np.ndarray:
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # operators newer than the last release of the runtime
    session = runtime.InferenceSession(model.SerializeToString(), options)
    (proba,) = session.run(["probabilities"], given)
    assert proba.dtype == np.float32
    return proba


def sample(n_classes: int, source: str, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n_classes)
    z = 2 * rng.normal(size=(n, n_classes))
    y = (z / 3 + rng.gumbel(size=z.shape)).argmax(axis=1)
    if source == "proba":
        z = np.exp(z - z.max(axis=1, keepdims=True))
        z /= z.sum(axis=1, keepdims=True)
    return z.astype(np.float32), y


def hostile(scores: np.ndarray, source: str) -> np.ndarray:
    """Return scores of the fit, most of which are knots, with rows that nothing is fitted on."""
    x, n_classes = scores.copy(), scores.shape[1]
    if source == "logits":
        x[0, 0] = -np.inf
        x[1] = 0.0
        x[2] = np.linspace(-1e30, 1e30, n_classes)
        x[3, :-1] = -np.inf
        x[4] *= 1e4
        x[5] *= 1e-20
    else:
        x[:4] = 0.0
        x[0, 0] = x[1, -1] = 1.0
        x[2] = 1.0 / n_classes
        x[3, :2] = 0.5
    return x


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("n_classes", [2, 10])
@pytest.mark.parametrize("source", ["logits", "proba"])
@pytest.mark.parametrize("opset", [17, NEWEST])
def test_hostile_rows(name: str, n_classes: int, source: str, opset: int) -> None:
    scores, y = sample(n_classes, source)
    cal = make_calibrator(name, input=source).fit(scores, y)
    x = hostile(scores, source)
    model = to_onnx(cal, opset=opset)
    proba = run(model, scores=x)
    np.testing.assert_allclose(proba, cal.transform(x), atol=1e-6, rtol=0)
    assert (proba[np.isinf(x)] == 0).all()
    np.testing.assert_allclose(run(model, scores=x[:1]), proba[:1], atol=1e-7)


@pytest.mark.filterwarnings("ignore::calib.warnings.ScarceLabelsWarning")
@pytest.mark.parametrize("name", FAST)
@pytest.mark.parametrize("source", ["logits", "proba"])
def test_a_thousand_classes(name: str, source: str) -> None:
    scores, y = sample(1000, source, n=300)
    cal = make_calibrator(name, input=source).fit(scores, y, labels=np.arange(1000))
    x = hostile(scores, source)
    proba = run(to_onnx(cal), scores=x)
    np.testing.assert_allclose(proba, cal.transform(x), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["isotonic", "venn_abers", "spline"])
def test_many_rows(name: str) -> None:
    scores, y = sample(10, "logits", n=10_000)
    cal = make_calibrator(name, input="logits").fit(scores[:500], y[:500])
    proba = run(to_onnx(cal), scores=scores)
    np.testing.assert_allclose(proba, cal.transform(scores), atol=1e-6, rtol=0)


def test_the_number_of_nodes_does_not_grow_with_the_classes() -> None:
    sizes = []
    for n_classes in (10, 100):
        scores, y = sample(n_classes, "logits", n=1000)
        cal = make_calibrator("histogram", input="logits")
        model = to_onnx(cal.fit(scores, y, labels=np.arange(n_classes)))
        sizes.append(len(model.graph.node))
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize("name", ["platt", "isotonic", "venn_abers", "auto"])
@pytest.mark.parametrize("source", ["logits", "proba"])
def test_a_single_column(name: str, source: str) -> None:
    scores, y = sample(2, source)
    column = scores[:, 1] - (scores[:, 0] if source == "logits" else 0)
    cal = make_calibrator(name, input=source).fit(column, y)
    x = column.copy()
    x[:3] = (np.inf, -np.inf, 0.0) if source == "logits" else (1.0, 0.0, 0.5)
    proba = run(to_onnx(cal), scores=x[:, None])
    np.testing.assert_allclose(proba, cal.transform(x), atol=1e-6, rtol=0)


@pytest.mark.parametrize("source", ["logits", "proba"])
@pytest.mark.parametrize("n_classes", [2, 5])
def test_pairwise_venn_abers(source: str, n_classes: int) -> None:
    scores, y = sample(n_classes, source)
    cal = VennAbersCalibrator(input=source, merge="brier", multiclass="pairwise").fit(scores, y)
    x = hostile(scores, source)
    np.testing.assert_allclose(run(to_onnx(cal), scores=x), cal.transform(x), atol=1e-6, rtol=0)


FITTED = {
    name: make_calibrator(name, input="logits").fit(*sample(3, "logits"))
    for name in ("isotonic", "beta", "histogram")
}
SESSIONS = {
    name: runtime.InferenceSession(to_onnx(cal).SerializeToString()) for name, cal in FITTED.items()
}
LOGITS = st.floats(-(2.0**100), 2.0**100, width=32) | st.floats(-5, 5, width=32) | st.just(0.0)


@given(st.lists(st.tuples(LOGITS, LOGITS, LOGITS), min_size=1, max_size=5))
@settings(max_examples=60)
def test_any_logits(rows: list[tuple[float, float, float]]) -> None:
    x = np.array(rows, dtype=np.float32)
    for name, cal in FITTED.items():
        (proba,) = SESSIONS[name].run(None, {"scores": x})
        expected = cal.transform(x)
        np.testing.assert_allclose(proba, expected, atol=1e-6, rtol=0)


# ---------------------------------------------------------------------- the file


def test_the_file_says_what_it_is(tmp_path: Path) -> None:
    scores, y = sample(3, "logits")
    cal = TemperatureCalibrator(input="logits").fit(scores, np.array(["a", "b", "ü"])[y])
    model = to_onnx(cal, tmp_path / "cal.onnx")
    stored = onnx.load(tmp_path / "cal.onnx")
    assert stored == model
    told = {entry.key: entry.value for entry in stored.metadata_props}
    assert told["version"] == __version__
    assert told["method"] == "temperature"
    assert json.loads(told["classes"]) == ["a", "b", "ü"]
    assert (told["input"], told["n_columns"]) == ("logits", "3")
    assert stored.producer_name == "calib-uq"
    assert [(opset.domain, opset.version) for opset in stored.opset_import] == [("", 17)]


def test_what_a_fit_remembers_is_in_the_file() -> None:
    cal = TemperatureCalibrator(input="logits").fit(*sample(3, "logits"))
    told = {entry.key: entry.value for entry in to_onnx(cal).metadata_props}
    assert json.loads(told["fit"]) == cal.fit_record_.to_dict()


def test_torch_is_not_loaded() -> None:
    code = "from calib.export import to_onnx; import sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_cannot_be_written() -> None:
    with pytest.raises(NotFittedError):
        to_onnx(TemperatureCalibrator())
    with pytest.raises(TypeError, match="ExternalCalibrator has no map of its own"):
        to_onnx(ExternalCalibrator(IsotonicRegression()).fit(*sample(2, "proba")))
    with pytest.raises(TypeError, match="got LogisticRegression"):
        to_onnx(LogisticRegression())
    cal = TemperatureCalibrator(input="logits").fit(*sample(2, "logits"))
    for opset in (16, NEWEST + 1):
        with pytest.raises(ValueError, match="opset must be"):
            to_onnx(cal, opset=opset)


# ---------------------------------------------------------------------- classifiers

BINARY, WINE = (
    (StandardScaler().fit_transform(X).astype(np.float32), y)
    for X, y in (load_breast_cancer(return_X_y=True), load_wine(return_X_y=True))
)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what skl2onnx does
@pytest.mark.parametrize("data", [BINARY, WINE], ids=["binary", "wine"])
@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(),
        LinearSVC(),
        RandomForestClassifier(10, random_state=0),
        HistGradientBoostingClassifier(max_iter=10),
        make_pipeline(StandardScaler(), LogisticRegression()),
    ],
    ids=lambda model: type(model).__name__,
)
def test_classifiers(data: tuple[np.ndarray, np.ndarray], model: Any) -> None:
    pytest.importorskip("skl2onnx")
    X, y = data
    wrapped = CalibratedClassifier(model, calibrator="platt", cv=3).fit(X, y)
    proba = run(to_onnx(wrapped), features=X)
    np.testing.assert_allclose(proba, wrapped.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize("calibrator", ["beta", "venn_abers"])
def test_an_ensemble_is_merged_as_in_predict_proba(calibrator: str) -> None:
    pytest.importorskip("skl2onnx")
    X, y = WINE
    model = LogisticRegression()
    wrapped = CalibratedClassifier(model, calibrator=calibrator, cv=3, ensemble=True).fit(X, y)
    gap = np.abs(run(to_onnx(wrapped), features=X) - wrapped.predict_proba(X)).max(axis=1)
    assert np.mean(gap < 1e-5) > 0.95  # a score within rounding of a step may take another step


def test_frozen_models_and_pipelines_around_a_classifier() -> None:
    pytest.importorskip("skl2onnx")
    X, y = BINARY
    frozen = CalibratedClassifier(FrozenEstimator(LogisticRegression().fit(X, y)), "platt")
    proba = run(to_onnx(frozen.fit(X, y)), features=X)
    np.testing.assert_allclose(proba, frozen.predict_proba(X), atol=1e-5)
    around = make_pipeline(
        PolynomialFeatures(2),
        StandardScaler(),
        CalibratedClassifier(LogisticRegression(), calibrator="platt", cv=3),
    ).fit(X, y)
    proba = run(to_onnx(around), features=X)
    np.testing.assert_allclose(proba, around.predict_proba(X), atol=1e-5)


def test_models_that_do_not_convert_are_named() -> None:
    pytest.importorskip("skl2onnx")
    X, y = WINE
    quadratic = CalibratedClassifier(QuadraticDiscriminantAnalysis(reg_param=0.1), "platt", cv=3)
    with pytest.raises(TypeError, match=r"QuadraticDiscriminantAnalysis.*'predict_proba'"):
        to_onnx(quadratic.fit(X, y))
    X, y = BINARY
    linear = LinearDiscriminantAnalysis()
    wrong = CalibratedClassifier(linear, calibrator="platt", cv=3, response="predict_proba")
    with pytest.raises(TypeError, match="gives other scores"):
        to_onnx(wrong.fit(X, y))
    with pytest.raises(TypeError, match="last step of a pipeline"):
        to_onnx(make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y))
