"""Units, limits, kinds of values and directions that were assumed: refused, or said."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import uq
from calib import DegenerateScoresWarning
from calib.evaluation import (
    calibration_report,
    consistency_interval,
    interval_coverage,
    interval_quality,
    interval_score,
    mean_interval_width,
    pit_uniformity,
    quantile_crps,
    quantile_pit,
)

RNG = np.random.default_rng(0)
N = 60
S = RNG.random(N)
E = (np.arange(N) % 2).astype(int)
Y = RNG.normal(size=N)
LOW, HIGH = Y - 1, Y + 1
Q = np.sort(RNG.normal(size=(N, 3)), axis=1)
P = RNG.random((N, 3))
X = RNG.normal(size=(N, 3))
LEVELS = [0.1, 0.5, 0.9]
BOXES = np.array([[10.0, 10, 60, 80]]) + RNG.normal(size=(N, 4))
TRUE = BOXES + RNG.normal(size=(N, 4))
TEXT = np.array([str(value) for value in S])
DATES = np.arange(N).astype("datetime64[D]")

PERCENT = {
    "interval_score": lambda: interval_score(Y, LOW, HIGH, confidence_level=90),
    "interval_quality": lambda: interval_quality(Y, LOW, HIGH, confidence_level=95.0),
    "quantile_crps": lambda: quantile_crps(Y, Q, levels=[5, 50, 95]),
    "quantile_pit": lambda: quantile_pit(Y, Q, levels=[5, 50, 95]),
    "pit_uniformity": lambda: pit_uniformity(100 * S),
    "adaptive": lambda: uq.AdaptiveConformal(90).fit(S),
    "conformal_quantile": lambda: uq.conformal_quantile(S, 90),
    "forced": lambda: uq.forced_prediction(100 * P),
    "confidence": lambda: uq.conformal_confidence(100 * P),
    "credibility": lambda: uq.conformal_credibility(100 * P),
    "width": lambda: uq.interval_width_certainty(100 * np.sort(P[:, :2], axis=1)),
    "singleton": lambda: uq.is_conformal_singleton(P, confidence_level=90),
    "risk": lambda: uq.control_selective_risk(E, S, target_risk=10),
    "utility": lambda: uq.abstention_utility(E, 100 * S),
    "thresholds": lambda: uq.certainty_curve(E, S, S, thresholds=[50, 90], n_simulations=0),
    "shares": lambda: uq.certainty_curve(E, S, S, shares=[50, 90], n_simulations=0),
    "tpr": lambda: uq.ood_report(S, S, true_positive_rate=95),
    "contamination": lambda: uq.MahalanobisDetector(contamination=5).fit(X),
    "negatives": lambda: uq.select_negatives(X, X[:2], quantile=95),
    "boxes": lambda: uq.ConformalBoxes().fit(BOXES, TRUE).predict(BOXES, 90),
    "report": lambda: calibration_report(E, S, confidence_level=95),
    "floor": lambda: consistency_interval(lambda y, p: 0.0, S, confidence_level=95),
}


@pytest.mark.parametrize("case", PERCENT)
def test_percentages_are_told_to_be_divided(case: str) -> None:
    with pytest.raises(ValueError, match="divide by 100"):
        PERCENT[case]()


NUMBERS = {
    "interval labels": lambda v: interval_coverage(v, LOW, HIGH),
    "interval ends": lambda v: interval_coverage(Y, v, v),
    "width ends": lambda v: mean_interval_width(v, v),
    "crps labels": lambda v: quantile_crps(v, Q, levels=LEVELS),
    "crps quantiles": lambda v: quantile_crps(Y, np.stack([v, v, v], axis=1), levels=LEVELS),
    "pit": lambda v: pit_uniformity(v),
    "adaptive fit": lambda v: uq.AdaptiveConformal().fit(v),
    "adaptive update": lambda v: uq.AdaptiveConformal().fit(S).update(v),
    "adaptive set": lambda v: uq.AdaptiveConformal().fit(S).predict_set(np.stack([v, v], axis=1)),
    "p-values": lambda v: uq.conformal_p_values(v, S),
    "p-values of tests": lambda v: uq.conformal_p_values(S, v),
    "mondrian": lambda v: uq.mondrian_p_values(v, E, S, E),
    "forced": lambda v: uq.forced_prediction(np.stack([v, v], axis=1)),
    "confidence": lambda v: uq.conformal_confidence(np.stack([v, v], axis=1)),
    "width of interval": lambda v: uq.interval_width_certainty(np.stack([v, v], axis=1)),
    "quantile": lambda v: uq.conformal_quantile(v, 0.9),
    "error": lambda v: uq.control_selective_risk(v, S),
    "confidence of risk": lambda v: uq.control_selective_risk(E, v),
    "loss": lambda v: uq.risk_coverage_curve(v, S),
    "ood": lambda v: uq.ood_report(v, S),
    "ratio": lambda v: uq.LikelihoodRatio().fit(np.stack([v, v], axis=1), X[:, :2]),
    "boxes": lambda v: uq.ConformalBoxes().fit(np.stack([v] * 4, axis=1), TRUE),
}


@pytest.mark.parametrize(
    "values", [TEXT, TEXT.astype(object), DATES], ids=["text", "object", "date"]
)
@pytest.mark.parametrize("case", NUMBERS)
def test_texts_and_dates_are_no_numbers(case: str, values: np.ndarray) -> None:
    with pytest.raises((ValueError, TypeError), match="must hold numbers"):
        NUMBERS[case](values)


WEIGHTED = {
    "coverage": lambda w: interval_coverage(Y, LOW, HIGH, sample_weight=w),
    "width": lambda w: mean_interval_width(LOW, HIGH, sample_weight=w),
    "score": lambda w: interval_score(Y, LOW, HIGH, confidence_level=0.9, sample_weight=w),
    "quality": lambda w: (
        interval_quality(Y, LOW, HIGH, confidence_level=0.9, sample_weight=w).coverage
    ),
    "crps": lambda w: quantile_crps(Y, Q, levels=LEVELS, sample_weight=w),
    "area": lambda w: uq.area_under_risk_coverage(E, S, sample_weight=w),
    "excess": lambda w: uq.excess_area_under_risk_coverage(E, S, sample_weight=w),
    "ood": lambda w: (
        uq.ood_report(S, S - 0.5, sample_weight=w, n_resamples=20, random_state=0).mean.auroc.value
    ),
}


@pytest.mark.parametrize("weight", [1e308, 1e150, 1e-150, 5e-324])
@pytest.mark.parametrize("case", WEIGHTED)
def test_weights_have_a_limit(case: str, weight: float) -> None:
    with pytest.raises(ValueError, match="sample_weight must be 0 or lie in"):
        WEIGHTED[case](np.full(N, weight))


@pytest.mark.parametrize("weight", [1e99, 1e-99])
@pytest.mark.parametrize("case", WEIGHTED)
def test_weights_inside_the_limit_give_numbers(case: str, weight: float) -> None:
    assert np.isfinite(WEIGHTED[case](np.full(N, weight) * np.r_[0, np.ones(N - 1)]))


def test_intervals_in_another_unit_are_said() -> None:
    with pytest.warns(DegenerateScoresWarning, match="labels lie outside their intervals"):
        interval_quality(1000 * Y + 5000, LOW, HIGH, confidence_level=0.9)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        interval_quality(Y + 3, LOW, HIGH, confidence_level=0.9)  # bad, but the same unit
        huge = interval_quality(
            np.zeros(N), np.full(N, -1.7e308), np.full(N, 1.7e308), confidence_level=0.9
        )
        assert huge.coverage == 1
        assert quantile_crps(np.full(N, 1e308), np.full((N, 3), -1e308), levels=LEVELS) == np.inf


def test_levels_are_told_what_is_wrong_with_them() -> None:
    with pytest.raises(ValueError, match="sort them together with the columns"):
        quantile_crps(Y, Q, levels=[0.9, 0.5, 0.1])
    with pytest.raises(ValueError, match="drop repeated ones"):
        quantile_crps(Y, Q, levels=[0.1, 0.1, 0.9])
    with pytest.raises(ValueError, match="transposed"):
        quantile_crps(Y, Q.T, levels=LEVELS)


def test_steps_of_the_online_level_neither_overflow_nor_fail() -> None:
    for step in (1e6, [1e-3, 1e6]):
        online = uq.AdaptiveConformal(step_size=step).fit(S).update(S)
        assert np.isfinite(online.level_)
        online.predict_set(P)
    with pytest.raises(ValueError, match="at most 1e"):
        uq.AdaptiveConformal(step_size=1e308).fit(S)
    with pytest.raises(ValueError, match="one score per label"):
        uq.AdaptiveConformal().fit(S).predict_set(S)


def test_unknown_categories_and_repeated_labels() -> None:
    with pytest.warns(uq.SmallCalibrationSetWarning, match="no test_category occurs"):
        uq.mondrian_p_values(S, E, S[:3], [7, 8, 9])
    with pytest.raises(ValueError, match="another type"):
        uq.mondrian_p_values(S, E, S[:3], ["0", "1", "0"])
    with pytest.raises(ValueError, match="name every column once"):
        uq.forced_prediction(P, labels=["a", "a", "b"])


@pytest.mark.parametrize("threshold", ["0.5", True, [0.5]])
def test_thresholds_are_numbers(threshold) -> None:
    with pytest.raises(ValueError, match="threshold must be a number"):
        uq.abstention_utility(E, S, threshold=threshold)


@pytest.mark.filterwarnings("ignore::uq.NothingKeptWarning")
@pytest.mark.parametrize("function", [uq.control_selective_risk, uq.risk_coverage_curve])
def test_correctness_in_the_place_of_errors_is_said(function) -> None:
    rng = np.random.default_rng(1)
    confidence = rng.random(400)
    wrong = (rng.random(400) > 0.3 + 0.7 * confidence).astype(int)
    with pytest.warns(DegenerateScoresWarning, match="errors come with higher confidence"):
        function(1 - wrong, confidence)
    if function is uq.risk_coverage_curve:
        with pytest.warns(DegenerateScoresWarning, match="confidence may be a doubt"):
            function(wrong, -confidence)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DegenerateScoresWarning)
        warnings.simplefilter("ignore", uq.NothingKeptWarning)
        function(wrong, confidence)
        function(rng.integers(0, 2, 400), confidence)


def test_losses_have_a_limit() -> None:
    with pytest.raises(ValueError, match="whose sums overflow"):
        uq.area_under_risk_coverage(np.full(N, 1e308), S)


def test_detectors_know_classes_and_limits() -> None:
    with pytest.raises(ValueError, match="pass class labels, or None"):
        uq.MahalanobisDetector().fit(X, Y)
    with pytest.raises(ValueError, match="whose squares overflow"):
        uq.MahalanobisDetector().fit(1e200 * X)
    with pytest.raises(ValueError, match="two sets of one name"):
        uq.ood_report(S, {1: S, "1": S})


def test_columns_of_a_likelihood_ratio_have_names() -> None:
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(2)
    old = pandas.DataFrame(rng.normal(size=(300, 3)), columns=list("abc"))
    new = pandas.DataFrame(rng.normal([0.0, 1.0, 0.0], size=(300, 3)), columns=list("abc"))
    plain = uq.LikelihoodRatio(random_state=0).fit(old, new)
    turned = uq.LikelihoodRatio(random_state=0).fit(old, new[["c", "b", "a"]])
    np.testing.assert_allclose(turned.ratio(new), plain.ratio(new))
    np.testing.assert_allclose(plain.ratio(new[["b", "c", "a"]]), plain.ratio(new))
    with pytest.raises(ValueError, match="pass the same columns"):
        plain.ratio(new.rename(columns={"a": "z"}))
    with pytest.raises(ValueError, match="has 2 columns; the ratio was fitted on 3"):
        plain.ratio(new.to_numpy()[:, :2])


def test_boxes_of_another_unit_format_or_order_are_said() -> None:
    rng = np.random.default_rng(3)
    corner = rng.uniform(0, 400, (N, 2))
    true = np.hstack([corner, corner + rng.uniform(20, 200, (N, 2))])
    found = true + rng.normal(size=(N, 4))
    warned = uq.UnmatchedBoxesWarning
    with pytest.warns(warned, match="different units"):
        uq.ConformalBoxes().fit(found / 640, true)
    with pytest.warns(warned, match="orders of rows"):
        uq.ConformalBoxes().fit(found, true[::-1])
    near = np.array([[30.0, 40, 80, 120]]) + rng.normal(size=(N, 4))
    as_sizes = np.hstack([near[:, :2], near[:, 2:] - near[:, :2]])
    with pytest.warns(warned, match="x, y, width, height"):
        uq.ConformalBoxes().fit(as_sizes, near)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted = uq.ConformalBoxes().fit(found, true)
        fitted.predict(found)
    with pytest.warns(warned, match="other units"):
        fitted.predict(found / 640)
    with pytest.raises(ValueError, match="image_id mixes"):
        uq.ConformalBoxes().fit(found, true, image_id=np.array([1, "a"] * (N // 2), dtype=object))


@pytest.mark.parametrize("factor", [1e-200, 1.0, 1e200])
def test_overlaps_have_no_scale(factor: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        overlap = uq.ConformalBoxes(method="iou").fit(factor * BOXES, factor * TRUE).overlap_
    np.testing.assert_allclose(overlap, uq.ConformalBoxes().fit(BOXES, TRUE).overlap_)


@pytest.mark.parametrize("temperature", [5e-324, 1e-150, 1e150])
def test_temperatures_have_limits(temperature: float) -> None:
    for call in (
        lambda: uq.energy_score([[1.0, 2.0]], temperature=temperature),
        lambda: uq.concept_matching_score(X, X[:2], temperature=temperature),
        lambda: uq.margin_score([[1.0, 2.0]], input="logits", temperature=temperature),
    ):
        with pytest.raises(ValueError, match="temperature must lie in"):
            call()


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize(
    "name", ["max_probability_score", "margin_score", "negative_entropy_score"]
)
def test_the_largest_logits_leak_nothing(name: str) -> None:
    score = getattr(uq, name)([[1e304, -1e304], [1.0, 2.0]], input="logits")
    assert np.isfinite(score).all()
    with pytest.raises(ValueError, match="beyond 1e305"):
        getattr(uq, name)([[1e308, -1e308], [1.0, 2.0]], input="logits")
    assert np.isfinite(uq.energy_score([[1e308, -1e308]])).all()
