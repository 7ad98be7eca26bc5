"""Costs: thresholds, decisions of least cost, and decision curves."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

from calib.evaluation import metric_interval
from uq import cost_decision, cost_threshold, decision_curve


def binary(n: int = 600, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = rng.beta(1, 2, n)
    return (rng.random(n) < p).astype(int), p


# ------------------------------------------------------------------------------------- thresholds


@pytest.mark.parametrize(
    ("costs", "threshold"),
    [
        ((1, 1), 0.5),
        ((1, 4), 0.2),
        ((5, 20, 1, -1), 6 / 25),
        ((0, 3), 0.0),
        ((3, 0), 1.0),
        ((1e300, 1e300), 0.5),
        ((5, -2, -5), 5 / 8),
    ],
)
def test_the_threshold_is_where_both_decisions_cost_the_same(
    costs: tuple[float, ...], threshold: float
) -> None:
    assert cost_threshold(*costs) == pytest.approx(threshold)


@pytest.mark.parametrize("seed", range(5))
def test_threshold_and_decision_agree(seed: int) -> None:
    rng = np.random.default_rng(seed)
    fp, fn = rng.uniform(1, 9, 2)
    tp, tn = rng.uniform(-1, 1, 2)
    p = rng.random(500)
    decided = cost_decision(p, [[tn, fp], [fn, tp]])
    np.testing.assert_array_equal(decided, p >= cost_threshold(fp, fn, tp, tn))


@pytest.mark.parametrize(
    ("costs", "text"),
    [
        ((0, 0), "errors cost no more"),
        ((1, 1, 1, 1), "errors cost no more"),
        ((-1, -4), "errors cost less"),
        ((0, -1), "errors cost less"),
        ((-1, 4), "positive decision is never dearer"),
        ((4, 1, 2), "negative decision is never dearer"),
        ((float("nan"), 1), "cost_fp must be a number"),
        ((1, float("inf")), "cost_fn must be finite"),
        (("1", 1), "cost_fp must be a number"),
        ((True, 1), "cost_fp must be a number"),
    ],
)
def test_costs_without_a_threshold_say_which_decision_stands(
    costs: tuple[Any, ...], text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        cost_threshold(*costs)


def test_constant_decisions_are_taken() -> None:
    p = np.linspace(0, 1, 11)
    assert (cost_decision(p, [[0, -1], [4, 0]]) == 1).all()
    assert (cost_decision(p, [[0, 4], [1, 2]]) == 0).all()


# -------------------------------------------------------------------------------------- decisions


def test_decisions_minimise_the_expected_cost() -> None:
    rng = np.random.default_rng(0)
    p, costs = rng.dirichlet(np.ones(4), 200), rng.normal(size=(4, 6))
    np.testing.assert_array_equal(cost_decision(p, costs), (p @ costs).argmin(axis=1))
    np.testing.assert_array_equal(
        cost_decision(p, costs + rng.normal(size=(4, 1))), (p @ costs).argmin(axis=1)
    )


def test_of_equal_costs_the_more_probable_class_wins() -> None:
    p = [[0.2, 0.5, 0.3]]
    assert cost_decision(p, np.zeros((3, 3))).tolist() == [1]
    assert cost_decision(p, np.zeros((3, 2))).tolist() == [0]
    assert cost_decision(p, 1 - np.eye(3)).tolist() == [1]


def test_one_column_is_that_of_the_second_class() -> None:
    costs = [[0, 1], [4, 0]]
    p = np.linspace(0, 1, 7)
    both = np.column_stack([1 - p, p])
    np.testing.assert_array_equal(cost_decision(p, costs), cost_decision(both, costs))
    np.testing.assert_array_equal(cost_decision(p, costs), cost_decision(p[:, None], costs))


@pytest.mark.parametrize(
    ("p", "costs", "text"),
    [
        ([0.2, 0.4], [[0, 1, 2]], r"cost_matrix must have shape \(2, n_decisions\).*got shape"),
        ([[0.2, 0.4, 0.4]], [[0, 1], [1, 0]], r"cost_matrix must have shape \(3"),
        ([0.2, 0.4], [1, 4], "cost_matrix must have shape"),
        ([0.2, 0.4], np.zeros((2, 0)), "no decision"),
        ([0.2, 0.4], [[0, np.nan], [1, 0]], "cost_matrix contains NaN"),
        ([0.2, 0.4], [[0, np.inf], [1, 0]], "cost_matrix contains"),
        ([0.2, 0.4], [["a", "b"], ["c", "d"]], "cost_matrix"),
        ([0.2, 1.4], [[0, 1], [1, 0]], r"outside \[0, 1\]"),
        ([[0.2, 0.4]], [[0, 1], [1, 0]], "sum"),
        ([0.2, np.nan], [[0, 1], [1, 0]], "y_prob contains NaN"),
        ([], [[0, 1], [1, 0]], "0 samples"),
    ],
)
def test_bad_input_of_decisions(p: Any, costs: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        cost_decision(p, costs)


# ------------------------------------------------------------------------------------------ curves


def net_benefit(
    y: np.ndarray, p: np.ndarray, t: float, sample_weight: np.ndarray | None = None
) -> float:
    w = np.ones(len(y)) if sample_weight is None else sample_weight
    chosen = p >= t
    odds = t / (1 - t)
    return float(((w * chosen * (y == 1)).sum() - odds * (w * chosen * (y == 0)).sum()) / w.sum())


def test_net_benefit_is_that_of_its_definition() -> None:
    y, p = binary()
    p = p.round(2)  # ties with thresholds count as reached
    curve = decision_curve(y, p, n_resamples=10, random_state=0)
    t = curve.threshold
    np.testing.assert_allclose(curve.net_benefit, [net_benefit(y, p, one) for one in t])
    np.testing.assert_allclose(curve.treat_all, [net_benefit(y, y * 0 + 1, one) for one in t])
    assert (curve.treat_none == 0).all()
    best = np.maximum(curve.treat_all, 0)
    np.testing.assert_allclose(curve.gain, curve.net_benefit - best, atol=1e-14)


def test_weights_count_rows_and_zeros_are_not_there() -> None:
    y, p = binary(200)
    weight = np.random.default_rng(1).integers(0, 4, 200)
    rows = np.repeat(np.arange(200), weight)
    weighted = decision_curve(y, p, sample_weight=weight, n_resamples=20, random_state=0)
    repeated = decision_curve(y[rows], p[rows], n_resamples=20, random_state=0)
    np.testing.assert_allclose(weighted.net_benefit, repeated.net_benefit)
    assert weighted.n_samples == (weight > 0).sum()
    assert weighted.prevalence == pytest.approx(repeated.prevalence)


@pytest.mark.parametrize("t", [0.1, 0.5])
@pytest.mark.parametrize("kind", ["samples", "weights", "groups"])
def test_intervals_are_those_of_the_bootstrap(t: float, kind: str) -> None:
    y, p = binary()
    rng = np.random.default_rng(2)
    options: dict[str, Any] = {
        "samples": {},
        "weights": {"sample_weight": rng.random(600) + 0.1},
        "groups": {"groups": np.arange(600) // 6},
    }[kind]
    curve = decision_curve(y, p, [t], n_resamples=4000, random_state=0, **options)
    usual = metric_interval(
        partial(net_benefit, t=t), y, p, n_resamples=4000, method="percentile", random_state=0,
        **options,
    )  # fmt: skip
    assert usual.value == pytest.approx(curve.net_benefit[0])
    width = usual.high - usual.low
    assert abs(curve.low[0] - usual.low) < 0.06 * width
    assert abs(curve.high[0] - usual.high) < 0.06 * width


def test_the_curve_shows_itself() -> None:
    y, p = binary()
    curve = decision_curve(y, p, random_state=0)
    assert "600 samples" in str(curve)
    assert "treat all" in str(curve)
    assert (curve.low <= curve.net_benefit).all()
    assert (curve.net_benefit <= curve.high).all()
    frame = curve.to_frame()
    assert len(frame) == 99
    assert set(frame.columns) <= set(curve.to_dict())
    again = decision_curve(y, p, random_state=0)
    assert again.to_dict() == curve.to_dict()


def test_curves_share_axes() -> None:
    pytest.importorskip("matplotlib")
    y, p = binary()
    ax = decision_curve(y, p, n_resamples=20).plot()
    assert decision_curve(y, p**2, n_resamples=20).plot(ax, name="squared", color="k") is ax
    assert [text.get_text() for text in ax.get_legend().get_texts()].count("treat all") == 1
    assert "squared" in [text.get_text() for text in ax.get_legend().get_texts()]
    ax.figure.clf()


def test_labels_may_have_names() -> None:
    y, p = binary(100)
    names = np.where(y == 1, "ill", "well")
    curve = decision_curve(names, p, pos_label="ill", n_resamples=10)
    assert curve.prevalence == pytest.approx(y.mean())


def test_one_class_alone_is_no_error() -> None:
    curve = decision_curve([1, 1, 1], [0.2, 0.5, 0.9], [0.4], n_resamples=10)
    assert curve.net_benefit[0] == pytest.approx(2 / 3)
    assert curve.treat_all[0] == 1


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"thresholds": [0.0, 0.5]}, r"thresholds must lie in \(0, 1\)"),
        ({"thresholds": [0.5, 1.0]}, r"thresholds must lie in \(0, 1\)"),
        ({"thresholds": [5, 10]}, "divide by 100"),
        ({"thresholds": [0.5, 0.2]}, "thresholds must increase"),
        ({"thresholds": [0.2, 0.2]}, "thresholds must increase"),
        ({"thresholds": []}, "thresholds has 0"),
        ({"thresholds": [np.nan]}, "thresholds contains NaN"),
        ({"y_prob": [[0.2, 0.3, 0.5]] * 4}, "for two classes"),
        ({"y_true": [0, 1, 1]}, "y_prob"),
        ({"y_true": [0, 1, 1, np.nan]}, "y_true"),
        ({"y_true": [0, 1, 2, 1]}, "distinct labels"),
        ({"groups": [0, 0, 0, 0]}, "at least 2 groups"),
        ({"sample_weight": [0, 0, 0, 1]}, "at least 2 samples"),
        ({"confidence_level": 95}, "divide by 100"),
        ({"n_resamples": 1}, "n_resamples"),
    ],
)
def test_bad_input_of_curves(change: dict[str, Any], text: str) -> None:
    given: dict[str, Any] = {"y_true": [0, 1, 0, 1], "y_prob": [0.2, 0.6, 0.4, 0.9], **change}
    with pytest.raises(ValueError, match=text):
        decision_curve(given.pop("y_true"), given.pop("y_prob"), **given)


def test_labels_settle_a_class_that_is_absent() -> None:
    p = np.array([0.2, 0.7, 0.4])
    with pytest.raises(ValueError, match="labels"):
        decision_curve(["no"] * 3, p, n_resamples=20)
    settled = {"labels": ["no", "yes"], "n_resamples": 20}
    curve = decision_curve(["no"] * 3, p, thresholds=[0.5], **settled)
    assert curve.net_benefit[0] == pytest.approx(-1 / 3)
