from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from scipy.special import expit

from calib.evaluation import (
    Interval,
    consistency_interval,
    expected_calibration_error,
    metric_interval,
)

ECE = partial(expected_calibration_error, average="binary")


def brier(y: np.ndarray, p: np.ndarray, sample_weight: np.ndarray | None = None) -> float:
    return float(np.average((y - p) ** 2, weights=sample_weight))


def calibrated(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    p = rng.beta(1, 1.5, n)
    return (rng.random(n) < p).astype(int), p


def test_interval_describes_the_draws(rng: np.random.Generator) -> None:
    y, p = calibrated(rng, 400)
    interval = metric_interval(brier, y, p, n_resamples=300, random_state=1)
    assert isinstance(interval, Interval)
    assert interval.value == brier(y, p)
    assert interval.value in interval
    assert interval.low < interval.median < interval.high
    assert interval.n_resamples == 300
    standard_error = ((y - p) ** 2).std() / 20
    assert interval.standard_deviation == pytest.approx(standard_error, rel=0.15)
    assert interval.mean == pytest.approx(interval.value, abs=3 * standard_error / 300**0.5)


@pytest.mark.parametrize("method", ["double", "percentile", "basic", "BCa"])
def test_methods_and_determinism(method: str, rng: np.random.Generator) -> None:
    y, p = calibrated(rng, 60)
    options = {"n_resamples": 99, "method": method, "random_state": 3}
    first = metric_interval(brier, y, p, **options)
    assert first == metric_interval(brier, y, p, **options)
    assert first.low < first.value < first.high
    assert first != metric_interval(brier, y, p, **{**options, "random_state": 4})


def test_global_random_state_is_left_alone(rng: np.random.Generator) -> None:
    y, p = calibrated(rng, 50)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    metric_interval(brier, y, p, n_resamples=9)
    consistency_interval(brier, p, n_resamples=9)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_narrower_level_is_inside(rng: np.random.Generator) -> None:
    y, p = calibrated(rng, 100)
    options = {"n_resamples": 200, "random_state": 0}
    wide = metric_interval(brier, y, p, confidence_level=0.99, **options)
    narrow = metric_interval(brier, y, p, confidence_level=0.5, **options)
    assert wide.low <= narrow.low < narrow.high <= wide.high


def test_groups_widen_the_interval_of_dependent_samples(rng: np.random.Generator) -> None:
    y, p = calibrated(rng, 60)
    y, p, groups = np.repeat(y, 10), np.repeat(p, 10), np.repeat(np.arange(60), 10)
    options = {"n_resamples": 300, "random_state": 0}
    single = metric_interval(brier, y, p, **options)
    grouped = metric_interval(brier, y, p, groups=groups.astype(str), **options)
    ratio = grouped.standard_deviation / single.standard_deviation
    assert ratio == pytest.approx(10**0.5, rel=0.2)
    singles = metric_interval(brier, y, p, groups=np.arange(600), **options)
    assert singles == single  # groups of one are samples


def test_weights_travel_with_their_rows(rng: np.random.Generator) -> None:
    y, p = calibrated(rng, 80)
    w = rng.random(80)
    interval = metric_interval(brier, y, p, sample_weight=w, n_resamples=50, random_state=0)
    assert interval.value == pytest.approx(np.average((y - p) ** 2, weights=w))


def test_bootstrap_covers_the_expected_score() -> None:
    truth, hits = 0.0, 0
    n_trials = 120
    for seed in range(n_trials):
        rng = np.random.default_rng(seed)
        p = rng.random(150)
        y = (rng.random(150) < p).astype(int)
        truth = 1 / 6  # E p(1-p) for uniform p
        interval = metric_interval(brier, y, p, n_resamples=150, random_state=seed)
        hits += truth in interval
    # binomial: 0.95 * 120 = 114, standard deviation 2.4; small-sample loss allowed
    assert hits >= 104, f"covered {hits} of {n_trials}, n=150, seeds 0..{n_trials - 1}"


def test_floor_holds_calibrated_data_and_rejects_others() -> None:
    inside = 0
    for seed in range(40):
        y, p = calibrated(np.random.default_rng(seed), 300)
        floor = consistency_interval(ECE, p, n_resamples=100, random_state=seed)
        inside += ECE(y, p) in floor
    assert inside >= 33, f"{inside} of 40 inside, n=300, seeds 0..39"
    y, p = calibrated(np.random.default_rng(0), 2000)
    sharpened = p**3 / (p**3 + (1 - p) ** 3)
    assert ECE(y, sharpened) > consistency_interval(ECE, sharpened, n_resamples=100).high


def test_floor_of_a_proper_score_is_its_expectation(rng: np.random.Generator) -> None:
    p = rng.random(3000)
    floor = consistency_interval(brier, p, n_resamples=200, random_state=0)
    assert floor.value == floor.mean
    assert floor.mean == pytest.approx((p * (1 - p)).mean(), abs=1e-3)


def test_floor_with_labels_and_several_classes(rng: np.random.Generator) -> None:
    p = rng.dirichlet(np.ones(3), 500)
    names = np.array(["c", "a", "b"])  # in column order, not sorted
    metric = partial(expected_calibration_error, labels=names)
    options = {"n_resamples": 30, "random_state": 0}
    named = consistency_interval(metric, p, labels=names, **options)
    assert named == consistency_interval(expected_calibration_error, p, **options)
    assert named.low <= named.median <= named.high


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"confidence_level": 1.0}, "confidence_level must lie"),
        ({"confidence_level": 95}, "confidence_level must lie"),
        ({"n_resamples": 1}, "n_resamples must be >= 2"),
        ({"method": "bca"}, "method must be one of"),
        ({"groups": [0, 0, 0]}, "at least 2 groups"),
        ({"groups": [0, 1]}, "3 samples but groups has 2"),
        ({"sample_weight": [1, 2]}, "one weight per sample"),
    ],
)
def test_bad_options(options, message) -> None:
    with pytest.raises(ValueError, match=message):
        metric_interval(brier, [0, 1, 1], [0.1, 0.5, 0.8], **options)


def test_bad_data() -> None:
    with pytest.raises(ValueError, match="2 samples but y_true has 3"):
        metric_interval(brier, [0, 1, 1], [0.1, 0.5])
    with pytest.raises(ValueError, match="at least 2 samples"):
        metric_interval(brier, [0], [0.1])
    with pytest.raises(ValueError, match="not logits"):
        consistency_interval(brier, [0.1, 3.0])
    with pytest.raises(ValueError, match="labels must name"):
        consistency_interval(brier, [0.1, 0.3], labels=["a", "b", "c"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Brier", "log loss", "ECE", "KS"])
def test_intervals_cover_the_value_of_the_population(name: str) -> None:
    """An overconfident model, 1,000 samples: nominally 95 %, 400 data sets, seeds 0..399."""

    def draw(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        z = 1.5 * rng.normal(size=n) - 0.3
        return (rng.random(n) < expit(z)).astype(int), expit(1.5 * z)

    edges = np.linspace(0, 1, 16)

    def ece(y: np.ndarray, p: np.ndarray) -> float:
        found = np.searchsorted(edges, p, side="right") - 1
        return float(np.abs(np.bincount(found, p - y)).sum() / len(y))

    metric = {
        "Brier": brier,
        "log loss": lambda y, p: -float(np.mean(np.log(np.where(y == 1, p, 1 - p)))),
        "ECE": ece,
        "KS": lambda y, p: float(np.abs(np.cumsum((p - y)[np.argsort(p)])).max() / len(y)),
    }[name]
    truth = metric(*draw(np.random.default_rng(10**6), 4_000_000))
    held = 0
    for seed in range(400):
        y, p = draw(np.random.default_rng(seed), 1000)
        held += truth in metric_interval(metric, y, p, n_resamples=300, random_state=seed)
    assert 0.92 <= held / 400 <= 0.98, f"{name}: {held} of 400"


def test_double_bootstrap_corrects_a_bias(rng: np.random.Generator) -> None:
    """The square of a mean near 0 is biased upwards by its variance."""
    y, p = calibrated(rng, 400)

    def square(y: np.ndarray, p: np.ndarray) -> float:
        return float(np.mean(y - p) ** 2)

    options = {"n_resamples": 400, "random_state": 0}
    double = metric_interval(square, y, p, method="double", **options)
    assert (double.low + double.high) / 2 == pytest.approx(2 * double.value - double.mean)
    plain = metric_interval(square, y, p, method="percentile", **options)
    assert double.low < plain.low
    mean = metric_interval(brier, y, p, **options)
    error = mean.standard_deviation  # of a mean nothing is to be corrected
    assert mean.high - mean.low == pytest.approx(2 * 1.96 * error, rel=0.12)


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((0.73839, 0.69933, 0.76768), "0.738 (0.699 to 0.768)"),
        ((1234.5, 1100.0, 1400.0), "1234 (1100 to 1400)"),
        ((0.5, 0.5, 0.5), "0.5 (0.5 to 0.5)"),
        ((0.01234, 0.0119, 0.0127), "0.01234 (0.01190 to 0.01270)"),
    ],
)
def test_intervals_print_the_digits_that_they_have(
    numbers: tuple[float, float, float], text: str
) -> None:
    assert str(Interval(*numbers, 0.95, 0.0, 0.0, 0.0, 10)) == text
