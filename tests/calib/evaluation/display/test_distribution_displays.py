"""Pictures of predicted distributions: what stands on the axes and on the object."""

from __future__ import annotations

import numpy as np
import pytest

from calib.evaluation import (
    CoverageDisplay,
    PITDisplay,
    PredictiveDistributionDisplay,
    coverage_curve,
    pit_histogram,
    predictive_distribution,
)
from tests.support.golden import golden

plt = pytest.importorskip("matplotlib.pyplot")
Y, MEAN, STD = golden()
GIVEN = predictive_distribution(mean=MEAN, std=STD)
DISPLAYS = (PITDisplay, CoverageDisplay, PredictiveDistributionDisplay)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


class Regressor:
    """Fitted, and answers with distributions."""

    def predict_distribution(self, X):
        return GIVEN[: len(X)]


@pytest.mark.parametrize("display", DISPLAYS)
def test_axes_of_the_user_are_drawn_on(display) -> None:
    figure, ax = plt.subplots()
    made = display.from_predictions(Y, GIVEN, name="nets", ax=ax, color="red")
    assert made.ax_ is ax
    assert made.figure_ is figure
    assert made.line_.get_color() == "red"
    assert any("nets" in text.get_text() for text in ax.get_legend().get_texts())
    assert ax.get_xlabel()
    assert ax.get_ylabel()
    figure.canvas.draw()


@pytest.mark.parametrize("display", DISPLAYS)
def test_estimators_are_asked(display) -> None:
    made = display.from_estimator(Regressor(), np.zeros((60, 2)), Y[:60])
    names = [text.get_text() for text in made.ax_.get_legend().get_texts()]
    assert any("Regressor" in name for name in names)
    with pytest.raises(ValueError, match="has no predict_distribution"):
        display.from_estimator(object(), np.zeros((60, 2)), Y[:60])
    with pytest.raises(ValueError, match="must be a PredictiveDistribution"):
        display.from_predictions(Y, MEAN)


@pytest.mark.parametrize("display", [PITDisplay, CoverageDisplay])
def test_a_second_model_differs_by_dash(display) -> None:
    first = display.from_predictions(Y, GIVEN, name="a")
    second = display.from_predictions(Y, GIVEN, name="b", ax=first.ax_, band=False)
    assert first.line_.get_linestyle() != second.line_.get_linestyle()
    assert first.line_.get_color() != second.line_.get_color()


def test_numbers_are_those_of_the_functions() -> None:
    histogram = PITDisplay.from_predictions(Y, GIVEN, n_bins=8, n_calibration=50).histogram
    expected = pit_histogram(GIVEN.pit(Y), n_bins=8, n_calibration=50)
    assert histogram.density.tolist() == expected.density.tolist()
    assert (histogram.low, histogram.high) == (expected.low, expected.high)
    curve = CoverageDisplay.from_predictions(Y, GIVEN, levels=[0.9, 0.5]).curve
    expected = coverage_curve(Y, GIVEN, levels=[0.9, 0.5])
    assert curve.coverage.tolist() == expected.coverage.tolist()


def test_options_reach_the_functions() -> None:
    weight = np.arange(1.0, len(Y) + 1)
    options = {"confidence_level": 0.8, "sample_weight": weight}
    drawn = predictive_distribution(samples=GIVEN.sample(9, 0).round())
    histogram = PITDisplay.from_predictions(Y.round(), drawn, random_state=3, **options).histogram
    expected = pit_histogram(drawn.pit(Y.round(), 3), **options)
    assert histogram.density.tolist() == expected.density.tolist()
    assert (histogram.low, histogram.high) == (expected.low, expected.high)
    other = PITDisplay.from_predictions(Y.round(), drawn, random_state=4, **options).histogram
    assert other.density.tolist() != expected.density.tolist()
    curve = CoverageDisplay.from_predictions(Y, GIVEN, **options).curve
    assert curve.coverage.tolist() == coverage_curve(Y, GIVEN, **options).coverage.tolist()
    assert curve.coverage.tolist() != coverage_curve(Y, GIVEN).coverage.tolist()


def test_a_fan_is_sorted_and_bounded() -> None:
    fan = PredictiveDistributionDisplay.from_predictions(Y, GIVEN, levels=(0.9, 0.5), max_rows=100)
    assert fan.median.shape == (100,)
    assert (np.diff(fan.median) >= 0).all()
    assert list(fan.levels) == [0.5, 0.9]
    inner, outer = fan.intervals
    assert (outer[:, 0] < inner[:, 0]).all()
    assert (outer[:, 1] > inner[:, 1]).all()
    names = [text.get_text() for text in fan.ax_.get_legend().get_texts()]
    assert names == ["median", "90 %", "50 %", "label", "label outside 90 %"]


def test_a_fan_against_a_feature() -> None:
    x = np.arange(len(Y))[::-1]
    fan = PredictiveDistributionDisplay.from_predictions(None, GIVEN, x=x, x_label="hour")
    assert fan.x.tolist() == sorted(x.tolist())
    assert fan.median.tolist() == GIVEN.median()[::-1].tolist()
    assert fan.ax_.get_xlabel() == "hour"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"x": [1, 2]}, "x has 2"),
        ({"levels": []}, "at least one"),
        ({"levels": [90]}, "levels"),
        ({"max_rows": 1}, "max_rows"),
    ],
)
def test_refusals_of_a_fan(options: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PredictiveDistributionDisplay.from_predictions(Y, GIVEN, **options)
