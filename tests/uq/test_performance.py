"""Metrics without labels: what is estimated, what intervals hold, and bad input."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    f1_score,
    log_loss,
    roc_auc_score,
)

from calib import make_calibrator
from uq import (
    EffectiveSampleSizeWarning,
    UnlabelledEstimateWarning,
    cost_decision,
    estimate_performance,
)

COSTS = np.array([[0, 1], [5, 0]])


def drawn(n: int, seed: int, a: float = 0.7, b: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = rng.beta(a, b, n)
    return (rng.random(n) < p).astype(int), p


def of_many(n: int, k: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.linspace(0.3, 1.5, k), n)
    return (rng.random((n, 1)) > p.cumsum(axis=1)).sum(axis=1), p


def realised(y: np.ndarray, p: np.ndarray, d: np.ndarray) -> dict[str, float]:
    return {
        "accuracy": accuracy_score(y, d),
        "f1": f1_score(y, d),
        "roc_auc": roc_auc_score(y, p),
        "brier_score": brier_score_loss(y, p),
        "log_loss": log_loss(y, p),
        "cost": COSTS[y, d].mean(),
    }


# --------------------------------------------------------------------------------------- estimates


def test_values_are_expectations_over_all_labels() -> None:
    """Losses exactly; F1 and the area as ratios of expectations."""
    p = np.array([0.1, 0.35, 0.35, 0.8, 0.9])
    d = np.array([0, 0, 1, 1, 1])
    score = np.array([1.0, 2, 2, 5, 4])
    sums: dict[str, float] = dict.fromkeys(
        ("accuracy", "brier_score", "log_loss", "cost", "tp", "fp", "fn", "above", "pairs"), 0.0
    )
    for code in range(32):
        y = np.array([code >> j & 1 for j in range(5)])
        mass = np.prod(np.where(y == 1, p, 1 - p))
        sums["accuracy"] += mass * (y == d).mean()
        sums["brier_score"] += mass * ((y - p) ** 2).mean()
        sums["log_loss"] -= mass * np.log(np.where(y == 1, p, 1 - p)).mean()
        sums["cost"] += mass * COSTS[y, d].mean()
        for name, count in (("tp", y * d), ("fp", (1 - y) * d), ("fn", y * (1 - d))):
            sums[name] += mass * count.sum()
        for i, j in zip(*np.nonzero((y[:, None] == 1) & (y == 0)), strict=True):
            sums["pairs"] += mass
            sums["above"] += mass * (float(score[i] > score[j]) + 0.5 * (score[i] == score[j]))
    estimates = estimate_performance(
        p, d, cost=(1, 5), score=score, reference=drawn(200, 0), random_state=0
    )
    for name in ("accuracy", "brier_score", "log_loss", "cost"):
        assert estimates[name].value == pytest.approx(sums[name])
    f1 = 2 * sums["tp"] / (2 * sums["tp"] + sums["fp"] + sums["fn"])
    assert estimates["f1"].value == pytest.approx(f1)
    assert estimates["roc_auc"].value == pytest.approx(sums["above"] / sums["pairs"])
    assert list(estimates) == ["accuracy", "f1", "roc_auc", "brier_score", "log_loss", "cost"]


def test_draws_are_the_metrics_of_drawn_labels() -> None:
    """Certain probabilities have certain labels, whose metrics scikit-learn knows."""
    y = np.array([0, 1, 1, 0, 1, 0, 0, 1])
    score = np.array([3.0, 1, 4, 1, 5, 9, 2, 6])
    d = (score > 2).astype(int)
    with pytest.warns(UnlabelledEstimateWarning):
        estimates = estimate_performance(
            y.astype(float), d, cost=COSTS, score=score, random_state=0
        )
    expected = {
        "accuracy": accuracy_score(y, d),
        "f1": f1_score(y, d),
        "roc_auc": roc_auc_score(y, score),
        "cost": COSTS[y, d].mean(),
        "brier_score": 0.0,
        "log_loss": 0.0,
    }
    for name, value in expected.items():
        got = estimates[name]
        assert (got.value, got.low, got.high) == pytest.approx((value,) * 3)


def test_decisions_by_default_are_the_most_probable_classes() -> None:
    p = drawn(100, 0)[1]
    reference = drawn(300, 1)
    plain = estimate_performance(p, cost=(1, 5), reference=reference, random_state=0)
    given = estimate_performance(
        p, (p > 0.5).astype(int), cost=COSTS, reference=reference, random_state=0
    )
    assert plain == given
    cheaper = estimate_performance(
        p, cost_decision(p, COSTS), cost=COSTS, reference=reference, random_state=0
    )
    assert cheaper["cost"].value < plain["cost"].value


@pytest.mark.parametrize("k", [3, 6])
def test_any_number_of_classes(k: int) -> None:
    y, p = of_many(500, k, 0)
    costs = np.random.default_rng(1).random((k, k))
    estimates = estimate_performance(
        p, cost=costs, reference=of_many(1000, k, 1), n_resamples=200, random_state=0
    )
    assert list(estimates) == ["accuracy", "brier_score", "log_loss", "cost"]
    assert estimates["accuracy"].value == pytest.approx(p.max(axis=1).mean())
    assert estimates["log_loss"].value == pytest.approx(-(p * np.log(p)).sum(axis=1).mean())
    assert estimates["brier_score"].value == pytest.approx(1 - (p**2).sum(axis=1).mean())
    d = p.argmax(axis=1)
    assert estimates["cost"].value == pytest.approx((p @ costs)[np.arange(500), d].mean())
    assert accuracy_score(y, d) in estimates["accuracy"]
    assert log_loss(y, p) in estimates["log_loss"]


def test_two_columns_are_one() -> None:
    p = drawn(200, 0)[1]
    reference = drawn(300, 1)
    one = estimate_performance(p, reference=reference, random_state=0)
    two = estimate_performance(
        np.column_stack([1 - p, p]), reference=(reference[0], reference[1][:, None]), random_state=0
    )
    for name in one:
        assert one[name].value == pytest.approx(two[name].value)
        assert one[name].low == pytest.approx(two[name].low)


def test_labels_may_have_names() -> None:
    p = drawn(200, 0)[1]
    y, old = drawn(300, 1)
    names = np.array(["dog", "cat"])  # the second in the alphabet is the first here
    plain = estimate_performance(p, reference=(y, old), random_state=0)
    named = estimate_performance(
        p, names[(p > 0.5).astype(int)], reference=(names[y], old), pos_label="cat", random_state=0
    )
    assert plain == named


def test_columns_of_a_table_meet_classes_by_name() -> None:
    pandas = pytest.importorskip("pandas")
    y, p = of_many(300, 3, 0)
    names = np.array(["a", "b", "c"])
    plain = estimate_performance(p, reference=(y, p), random_state=0)
    table = pandas.DataFrame(p, columns=names)[["c", "a", "b"]]
    turned = estimate_performance(
        table, names[p.argmax(axis=1)], reference=(names[y], table), random_state=0
    )
    for name in plain:
        assert plain[name].value == pytest.approx(turned[name].value)


# --------------------------------------------------------------------------------------- intervals


@pytest.mark.parametrize(("calibrator", "n"), [("platt", 300), ("spline", 1000)])
def test_intervals_hold_what_labels_show(calibrator: str, n: int) -> None:
    """Of 120 maps and chunks a nominal 95 % interval holds 87 % to 100 %, each metric."""
    held = []
    for seed in range(120):
        y, s = drawn(n + 500, seed)
        s = s**2 / (s**2 + (1 - s) ** 2)  # over-confident
        cal = make_calibrator(calibrator).fit(s[:n], y[:n])
        p = cal.transform(s)[:, 1]
        new, d = p[n:], (s[n:] > 0.5).astype(int)
        estimates = estimate_performance(
            new, d, cost=(1, 5), reference=(y[:n], p[:n]), n_resamples=200, random_state=seed
        )
        shown = realised(y[n:], new, d)
        held.append([shown[name] in interval for name, interval in estimates.items()])
    shares = np.mean(held, axis=0)
    assert (shares >= 0.87).all(), shares


def test_few_reference_rows_widen_intervals() -> None:
    p = drawn(1000, 0)[1]
    widths = []
    for n in (100, 1000, 100_000):
        interval = estimate_performance(p, reference=drawn(n, 1), random_state=0)["accuracy"]
        widths.append(interval.high - interval.low)
    with pytest.warns(UnlabelledEstimateWarning, match="without reference"):
        alone = estimate_performance(p, random_state=0)["accuracy"]
    assert widths[0] > 1.5 * widths[1] > 1.6 * widths[2]
    assert widths[2] == pytest.approx(alone.high - alone.low, rel=0.1)


def test_a_reference_that_contradicts_is_said() -> None:
    y, p = drawn(2000, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimate_performance(p, reference=(y, p), n_resamples=10)
    with pytest.warns(UnlabelledEstimateWarning, match="not calibrated on the reference rows"):
        estimate_performance(p, reference=(y, p**2), n_resamples=10)
    y, p = of_many(2000, 4, 0)
    with pytest.warns(UnlabelledEstimateWarning, match="not calibrated on the reference rows"):
        estimate_performance(p, reference=(y, p[:, ::-1]), n_resamples=10)


def test_probabilities_of_exactly_0_and_1_leave_room() -> None:
    p = np.repeat([0.0, 0.5, 1.0], 100)
    y = np.concatenate([np.zeros(100), np.arange(100) % 2, np.ones(100)]).astype(int)
    estimates = estimate_performance(p, reference=(y, p), random_state=0)
    assert estimates["accuracy"].value == pytest.approx(250 / 300)
    assert estimates["log_loss"].value == pytest.approx(np.log(2) / 3)
    assert estimates["log_loss"].high > 0.5  # one label against a certain row


# ------------------------------------------------------------------------------------------ ratios


def test_ratios_count_reference_rows() -> None:
    y, p = drawn(400, 0)
    weight = np.random.default_rng(2).integers(0, 2, 400)
    new = drawn(500, 3)[1]
    weighted = estimate_performance(new, reference=(y, p), ratio=weight, random_state=0)
    kept = weight == 1
    left = estimate_performance(
        new, reference=(y[kept], p[kept]), ratio=np.full(kept.sum(), 7.0), random_state=0
    )
    assert weighted == left


@pytest.mark.parametrize("k", [2, 3])
def test_ratios_fit_the_map_again_where_the_new_rows_are(k: int) -> None:
    """Two groups whose maps differ; the new rows are of one of them."""
    y, p = drawn(8000, 1, 1, 1) if k == 2 else of_many(8000, 3, 1)
    group = np.arange(8000) % 2
    odds = p / (1 - p) if k == 2 else p
    sharper, flatter = odds**2, odds**0.5
    reported = np.where(group if k == 2 else group[:, None], flatter, sharper)
    reported = reported / (1 + reported) if k == 2 else reported / reported.sum(1, keepdims=True)
    old, new = slice(0, 4000), (np.arange(8000) >= 4000) & (group == 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnlabelledEstimateWarning)
        plain = estimate_performance(reported[new], reference=(y[old], reported[old]))
    again = estimate_performance(
        reported[new], reference=(y[old], reported[old]), ratio=group[old], random_state=0
    )
    shown = log_loss(y[new], reported[new])
    assert shown in again["log_loss"]
    assert abs(again["log_loss"].value - shown) < 0.3 * abs(plain["log_loss"].value - shown)
    shown = accuracy_score(y[new], reported[new] > 0.5 if k == 2 else reported[new].argmax(axis=1))
    assert shown in again["accuracy"]


def test_few_effective_rows_are_said() -> None:
    y, p = drawn(100, 0)
    with pytest.warns(EffectiveSampleSizeWarning, match="effective sample size of 2 of 100"):
        estimate_performance(p, reference=(y, p), ratio=np.arange(100) > 97, n_resamples=10)


# --------------------------------------------------------------------------------------- odd cases


def test_one_certain_class_has_no_area() -> None:
    reference = drawn(200, 0)
    estimates = estimate_performance(np.zeros(5), reference=reference, random_state=0)
    assert np.isnan(estimates["roc_auc"].value)
    assert np.isnan(estimates["roc_auc"].low)
    assert estimates["f1"].value == 0
    assert estimates["accuracy"].value == 1
    one = estimate_performance([0.3], reference=reference, random_state=0)
    assert np.isnan(one["roc_auc"].value)
    assert one["accuracy"].value == pytest.approx(0.7)


@pytest.mark.parametrize(
    "reference",
    [
        ([0, 0, 0], [0.2, 0.3, 0.1]),
        ([0, 1], [0.5, 0.5]),
        ([1], [0.9]),
        ([0, 1, 0], [0.0, 1.0, 0.0]),
    ],
)
def test_any_reference_gives_an_interval(reference: Any) -> None:
    p = drawn(50, 0)[1]
    for name, interval in estimate_performance(p, reference=reference, random_state=0).items():
        assert np.isfinite([interval.low, interval.value, interval.high]).all(), name
        assert interval.low <= interval.value <= interval.high


def test_seeds_fix_the_draws() -> None:
    p = drawn(50, 0)[1]
    first, again = (
        estimate_performance(p, reference=drawn(99, 1), random_state=3) for _ in range(2)
    )
    assert first == again
    assert first["accuracy"].n_resamples == 500
    assert first["accuracy"].confidence_level == 0.95


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"y_prob": [0.2, 1.4]}, r"y_prob .*outside \[0, 1\]"),
        ({"y_prob": [0.2, np.nan]}, "y_prob contains NaN"),
        ({"y_prob": []}, "0 samples"),
        ({"y_prob": [[0.2, 0.3]]}, "sum"),
        ({"y_prob": [-2.0, 3.0]}, "not logits"),
        ({"y_prob": [[0.2, 0.3, 0.5]] * 2}, "reference has probabilities of 2 classes"),
        ({"y_pred": [1]}, "y_pred"),
        ({"y_pred": [0, 2]}, "y_pred has labels"),
        ({"y_pred": ["a", "b"]}, "y_pred holds labels of another type"),
        ({"metrics": ("accuracy", "f2")}, "metrics must be one of"),
        ({"metrics": "auc"}, "metrics must be one of"),
        ({"metrics": ("cost",)}, "by cost="),
        ({"metrics": ()}, "metrics is empty"),
        ({"cost": (1, 2, 3)}, r"cost must have shape \(2, 2\)"),
        ({"cost": np.ones((3, 3))}, r"cost must have shape \(2, 2\)"),
        ({"cost": np.ones((2, 3))}, r"cost must have shape \(2, 2\)"),
        ({"cost": (1, np.nan)}, "cost contains NaN"),
        ({"cost": 3}, "cost must have shape"),
        ({"score": [1.0]}, "score"),
        ({"score": [1.0, np.inf]}, "score contains NaN or inf"),
        ({"reference": [0, 1, 0]}, "reference must be a pair"),
        ({"reference": ([0, 1], [0.2])}, "y_true"),
        ({"reference": ([0, 1], [0.2, 1.3])}, r"reference\[1\]"),
        ({"reference": ([0, 3], [0.2, 0.3]), "y_pred": [0, 1]}, "y_pred has labels"),
        ({"ratio": [0, 0, 0]}, "ratio is zero"),
        ({"ratio": [1, -1, 1]}, "ratio must be >= 0"),
        ({"ratio": [1, 1]}, "ratio"),
        ({"ratio": [1, np.inf, 1]}, "ratio"),
        ({"ratio": [1, 1, 1], "reference": None}, "ratio weighs the rows of reference"),
        ({"confidence_level": 95}, "divide by 100"),
        ({"n_resamples": 1}, "n_resamples"),
        ({"random_state": "a"}, "random_state"),
    ],
)
def test_bad_input(change: dict[str, Any], text: str) -> None:
    given: dict[str, Any] = {
        "y_prob": [0.2, 0.6],
        "reference": ([0, 1, 0], [0.2, 0.6, 0.4]),
        **change,
    }
    with pytest.raises(ValueError, match=text):
        estimate_performance(given.pop("y_prob"), **given)


@pytest.mark.parametrize("metric", ["f1", "roc_auc"])
def test_metrics_of_two_classes_are_refused_for_more(metric: str) -> None:
    y, p = of_many(50, 3, 0)
    with pytest.raises(ValueError, match=f"'{metric}' is defined for two classes, y_prob has 3"):
        estimate_performance(p, metrics=[metric], reference=(y, p))
    with pytest.raises(ValueError, match="score ranks the rows of two classes"):
        estimate_performance(p, score=p[:, 0], reference=(y, p))
