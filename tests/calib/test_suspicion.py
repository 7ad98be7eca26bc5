"""Every fit looks at what it has matched, and says what speaks against it."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from calib import (
    CalibratedClassifier,
    DegenerateScoresWarning,
    IsotonicCalibrator,
    PlattCalibrator,
    TemperatureCalibrator,
    make_calibrator,
)
from calib.evaluation import calibration_report, expected_calibration_error


def scores(n_classes: int, n: int = 1000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, n_classes, n)
    z = rng.normal(size=(n, n_classes))
    z[np.arange(n), y] += 3
    return z, y


def said(call: Any) -> str:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    texts = [w.message for w in caught if issubclass(w.category, DegenerateScoresWarning)]
    return " ".join(str(text) for text in texts)


@pytest.mark.parametrize("method", ["temperature", "platt", "isotonic", "beta", "venn_abers"])
def test_one_column_of_the_other_class(method: str) -> None:
    z, y = scores(2)
    s = z[:, 0] - z[:, 1]
    text = said(lambda: make_calibrator(method, input="logits").fit(s, y))
    assert "AUC of 0.0" in text
    assert "pos_label=0" in text
    assert said(lambda: make_calibrator(method, input="logits").fit(s, y, pos_label=0)) == ""


@pytest.mark.parametrize(
    ("order", "cause"),
    [
        ([1, 2, 3, 4, 0], "shifted by one"),
        ([4, 0, 1, 2, 3], "shifted by one"),
        ([1, 0, 2, 3, 4], "change places"),
        ([3, 4, 1, 0, 2], "stand in another order"),
    ],
)
def test_columns_in_another_order(order: list[int], cause: str) -> None:
    z, y = scores(5)
    text = said(lambda: TemperatureCalibrator(input="logits").fit(z[:, order], y))
    assert cause in text
    assert "99.9%" in text
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    assert cause in said(lambda: calibration_report(y, p[:, order], n_resamples=20))


def test_reversed_sign_of_many_classes() -> None:
    z, y = scores(5)
    text = said(lambda: IsotonicCalibrator(input="logits").fit(-z, y))
    assert "sign of the scores" in text
    text = said(lambda: TemperatureCalibrator(input="logits").fit(-z, y))
    assert "at its bound" in text


def test_a_negative_slope_is_told_with_the_ranking() -> None:
    z, y = scores(2)
    text = said(lambda: PlattCalibrator(input="logits").fit(z[:, 0] - z[:, 1], y))
    assert "slope is negative" in text


@pytest.mark.parametrize("n_classes", [2, 3, 10])
def test_nothing_is_said_of_good_useless_or_biased_scores(n_classes: int) -> None:
    z, y = scores(n_classes)
    biased = z + np.arange(n_classes)
    noise = np.random.default_rng(5).normal(size=z.shape)
    for given in (z, biased, noise):
        assert "order" not in said(lambda g=given: IsotonicCalibrator(input="logits").fit(g, y))


@pytest.mark.parametrize("n", [50, 500, 5000])
@pytest.mark.parametrize("n_classes", [2, 3, 10])
def test_noise_is_not_told_that_its_temperature_is_at_a_bound(n_classes: int, n: int) -> None:
    rng = np.random.default_rng(0)
    n_draws = 100 if n < 5000 else 25
    alarms = {"bound": 0, "slope": 0}
    for _ in range(n_draws):
        z, y = rng.normal(size=(n, n_classes)), rng.integers(0, n_classes, n)
        labels = np.arange(n_classes)
        for method in ("temperature", "platt"):
            cal = make_calibrator(method, input="logits")
            text = said(lambda c=cal, z=z, y=y, k=labels: c.fit(z, y, labels=k))
            for word in alarms:
                alarms[word] += word in text
    assert max(alarms.values()) <= 0.05 * n_draws + 2


@pytest.mark.parametrize("n_classes", [2, 3, 10])
@pytest.mark.parametrize("n", [50, 500, 5000])
def test_scores_against_the_labels_are_told_at_any_size(n_classes: int, n: int) -> None:
    z, y = scores(n_classes, n)
    fit = TemperatureCalibrator(input="logits").fit
    assert "at its bound" in said(lambda: fit(-z, y))
    moved = np.roll(z, 1, axis=1)
    assert "labels" in said(lambda: fit(moved, y))
    assert said(lambda: fit(z, y)) == ""
    assert said(lambda: fit(100.0 * np.eye(n_classes)[y], y)) == ""  # separable


@pytest.mark.slow
@pytest.mark.parametrize("n_classes", [2, 5])
def test_false_alarms_are_rare(n_classes: int) -> None:
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(1000):
        z = rng.normal(size=(int(rng.integers(20, 400)), n_classes))
        y = rng.integers(0, n_classes, len(z))
        alarms += bool(said(lambda z=z, y=y: IsotonicCalibrator(input="logits").fit(z, y)))
    assert alarms <= 6  # 2 expected at the level of 99.9 %


def test_swapped_arguments_are_refused() -> None:
    z, y = scores(2)
    p = 1 / (1 + np.exp(z[:, 0] - z[:, 1]))
    for method in ("temperature", "platt", "isotonic", "venn_abers"):
        for first, second in ((y, p), (y, np.stack([1 - p, p], axis=1)), (y.tolist(), p.tolist())):
            with pytest.raises(ValueError, match="swapped"):
                make_calibrator(method).fit(first, second)
    with pytest.raises(ValueError, match="swapped"):
        TemperatureCalibrator().fit(np.array(["a", "b"])[y], p)


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        (lambda p: 100 * p, "divide by 100"),
        (lambda p: 255 * p, "divide by 255"),
        (lambda p: np.log(p), "log-probabilities"),
        (lambda p: (p * 1.005).clip(0, 1), "half precision"),
        (lambda p: p / 2 + 0.3, "several labels"),
    ],
)
def test_refused_probabilities_are_told_the_cure_that_fits(change: Any, advice: str) -> None:
    z, y = scores(3)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    with pytest.raises(ValueError, match=advice):
        TemperatureCalibrator().fit(change(p), y)
    with pytest.raises(ValueError, match=advice):
        expected_calibration_error(y, change(p))


def test_one_column_of_percentages() -> None:
    with pytest.raises(ValueError, match="divide by 100"):
        expected_calibration_error([0, 1, 1], [10.0, 80.0, 99.0])


def test_several_labels_per_sample_are_named() -> None:
    p = np.full((4, 3), 1 / 3)
    several = np.array([[1, 1, 0], [0, 0, 1], [1, 0, 1], [0, 0, 0]])
    for y in (several, [["a", "b"], ["c"], [], ["a"]]):
        with pytest.raises(ValueError, match="multi-label"):
            TemperatureCalibrator().fit(p, y)
        with pytest.raises(ValueError, match="multi-label"):
            expected_calibration_error(y, p)
    with pytest.raises(ValueError, match="one-hot"):
        expected_calibration_error(np.eye(3)[[0, 1, 2, 0]], p)


@pytest.mark.parametrize("mark", [255, -100, -1])
def test_marks_of_what_is_to_be_ignored(mark: int) -> None:
    z, y = scores(3)
    marked = y.copy()
    marked[:50] = mark
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    with pytest.raises(ValueError, match=r"ignored.*sample_weight 0"):
        TemperatureCalibrator(input="logits").fit(z, marked)
    with pytest.raises(ValueError, match=r"ignored.*sample_weight 0"):
        expected_calibration_error(marked, p)
    weight = (np.arange(len(y)) >= 50).astype(float)
    z[:3], p[:3] = np.nan, np.inf  # rows of weight 0 may hold anything
    cal = TemperatureCalibrator(input="logits").fit(z, marked, weight)
    plain = TemperatureCalibrator(input="logits").fit(z[50:], y[50:])
    assert cal.temperature_ == pytest.approx(plain.temperature_)
    found = expected_calibration_error(marked, p, sample_weight=weight)
    assert found == pytest.approx(expected_calibration_error(y[50:], p[50:]))


@pytest.mark.parametrize("kind", ["datetime64[s]", "timedelta64[s]", "structured"])
def test_times_and_structures_are_no_scores(kind: str) -> None:
    if kind == "structured":
        x: Any = np.zeros(4, dtype=[("a", float), ("b", float)])
    else:
        x = np.arange(4).astype(kind)
    with pytest.raises(ValueError, match="must hold numbers"):
        TemperatureCalibrator(input="logits").fit(x, [0, 1, 0, 1])
    with pytest.raises(ValueError, match="must hold numbers"):
        expected_calibration_error([0, 1, 0, 1], x)


def test_folds_that_lack_the_first_class_are_not_warned_of() -> None:
    from sklearn.dummy import DummyClassifier

    assert CalibratedClassifier(DummyClassifier()) is not None
    z, y = scores(4)
    kept = y > 0
    cal = TemperatureCalibrator(input="logits")
    assert said(lambda: cal.fit(z[kept], y[kept], labels=np.arange(4))) == ""
