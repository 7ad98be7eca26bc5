from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression, RidgeClassifier

from calib.evaluation import ReliabilityDisplay, binned_calibration_table

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def closed_figures() -> Iterator[None]:
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.fixture
def binary(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    p = rng.random(500)
    return (rng.random(500) < p).astype(int), p


def test_numbers_stay_on_the_object(binary) -> None:
    y, p = binary
    display = ReliabilityDisplay.from_predictions(y, p, n_bins=8, name="model")
    table = binned_calibration_table(y, p, n_bins=8, average="binary")
    np.testing.assert_array_equal(display.table.gap, table.gap)
    np.testing.assert_array_equal(display.line_.get_xdata(), table.mean_prediction)
    np.testing.assert_array_equal(display.line_.get_ydata(), table.observed_rate)
    assert display.ax_.get_ylabel() == "Observed rate"
    assert display.figure_ is display.ax_.figure
    assert display.histogram_ax_ is not None
    low, high = table.consistency_band()
    bars = display.ax_.patches
    np.testing.assert_allclose([bar.get_y() for bar in bars], low)
    np.testing.assert_allclose([bar.get_height() for bar in bars], high - low)


def test_options(binary) -> None:
    import matplotlib.pyplot as plt

    y, p = binary
    _, ax = plt.subplots()
    options = {"ax": ax, "histogram": False, "strategy": "quantile"}
    first = ReliabilityDisplay.from_predictions(y, p, name="a", band=False, **options)
    second = ReliabilityDisplay.from_predictions(y, p**2, name="b", **options)
    assert first.ax_ is second.ax_ is ax
    assert first.histogram_ax_ is None
    assert len(ax.lines) == 3  # one diagonal, two curves
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]
    plain = ReliabilityDisplay(first.table, average="binary").plot(color="black", marker="s")
    assert plain.line_.get_color() == "black"
    assert plain.ax_.get_legend() is None


def test_views_and_empty_bins(rng: np.random.Generator) -> None:
    p = rng.dirichlet(np.ones(3), 200)
    y = rng.integers(0, 3, 200)
    display = ReliabilityDisplay.from_predictions(y, p)
    assert display.average == "top_label"
    assert display.ax_.get_xlabel() == "Confidence"
    assert len(display.line_.get_xdata()) == (display.table.weight > 0).sum() < 15
    two = ReliabilityDisplay.from_predictions(y == 1, p[:, 1], average="top_label")
    assert two.average == "top_label"


def test_from_estimator() -> None:
    X, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])
    model = LogisticRegression(max_iter=500).fit(X, names[y])
    display = ReliabilityDisplay.from_estimator(model, X[60:], names[y[60:]])
    assert display.name == "LogisticRegression"
    assert display.average == "top_label"
    with pytest.raises(ValueError, match="no predict_proba"):
        ReliabilityDisplay.from_estimator(RidgeClassifier().fit(X, y), X, y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"average": "classwise"}, "average must be one of"),
        ({"confidence_level": 2}, "confidence_level must"),
        ({"n_bins": 0}, "n_bins must be"),
    ],
)
def test_bad_options(options, message, binary) -> None:
    with pytest.raises(ValueError, match=message):
        ReliabilityDisplay.from_predictions(*binary, **options)
