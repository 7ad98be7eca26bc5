from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression, RidgeClassifier

from calib.evaluation import (
    CumulativeDisplay,
    cumulative_calibration_curve,
    cumulative_calibration_test,
    ks_calibration_error,
)

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def closed_figures() -> Iterator[None]:
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.fixture
def binary(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    p = np.round(rng.random(500), 2)
    return (rng.random(500) < p**1.3).astype(int), p


def test_curve(binary) -> None:
    y, p = binary
    curve = cumulative_calibration_curve(y, p, average="binary")
    assert len(curve.share) == len(curve.score) == len(curve.difference) == len(np.unique(p)) + 1
    assert curve.share[0] == curve.difference[0] == 0
    assert curve.share[-1] == pytest.approx(1)
    assert np.isnan(curve.score[0])
    np.testing.assert_array_equal(curve.score[1:], np.unique(p))
    error = ks_calibration_error(y, p, average="binary")
    assert np.abs(curve.difference).max() == pytest.approx(error)
    assert curve.difference[-1] == pytest.approx(y.mean() - p.mean())
    slope = np.diff(curve.difference) / np.diff(curve.share)
    gap = [y[p == value].mean() - value for value in curve.score[1:]]
    np.testing.assert_allclose(slope, gap, atol=1e-10)


def test_the_curve_leaves_the_band_where_the_test_rejects(binary) -> None:
    y, p = binary
    test = cumulative_calibration_test(y, p, average="binary")
    curve = cumulative_calibration_curve(y, p, average="binary")
    assert 0 < test.p_value < 1
    assert curve.band(1 - test.p_value) == pytest.approx(test.statistic, rel=1e-6)
    assert curve.band(0.9) < curve.band(0.99)
    with pytest.raises(ValueError, match="confidence_level must"):
        curve.band(1.0)


def test_numbers_stay_on_the_object(binary) -> None:
    y, p = binary
    w = np.linspace(0.5, 2, 500)
    display = CumulativeDisplay.from_predictions(y, p, sample_weight=w, name="model")
    curve = cumulative_calibration_curve(y, p, average="binary", sample_weight=w)
    np.testing.assert_array_equal(display.curve.difference, curve.difference)
    np.testing.assert_array_equal(display.line_.get_xdata(), curve.share)
    np.testing.assert_array_equal(display.line_.get_ydata(), curve.difference)
    assert display.average == "binary"
    assert display.figure_ is display.ax_.figure
    (shade,) = display.ax_.patches
    assert shade.get_bbox().height == pytest.approx(2 * curve.band(0.95))


def test_options(binary) -> None:
    import matplotlib.pyplot as plt

    y, p = binary
    _, ax = plt.subplots()
    first = CumulativeDisplay.from_predictions(y, p, name="a", ax=ax, band=False)
    second = CumulativeDisplay.from_predictions(y, p**2, name="b", ax=ax)
    assert first.ax_ is second.ax_ is ax
    assert len(ax.lines) == 3  # one zero line, two curves
    assert len(ax.patches) == 1
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]
    plain = CumulativeDisplay(first.curve, average="binary").plot(color="black")
    assert plain.line_.get_color() == "black"
    assert plain.ax_.get_legend() is None


def test_views_and_estimators() -> None:
    X, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])
    model = LogisticRegression(max_iter=500).fit(X, names[y])
    display = CumulativeDisplay.from_estimator(model, X[60:], names[y[60:]])
    assert display.name == "LogisticRegression"
    assert display.average == "top_label"
    assert "confidence" in display.ax_.get_xlabel()
    with pytest.raises(ValueError, match="no predict_proba"):
        CumulativeDisplay.from_estimator(RidgeClassifier().fit(X, y), X, y)


def test_certain_predictions_have_no_band() -> None:
    display = CumulativeDisplay.from_predictions([0, 1, 1], [0.0, 1.0, 1.0])
    assert display.curve.band() == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"average": "classwise"}, "average must be one of"),
        ({"confidence_level": 2}, "confidence_level must"),
    ],
)
def test_bad_options(options, message, binary) -> None:
    with pytest.raises(ValueError, match=message):
        CumulativeDisplay.from_predictions(*binary, **options)
