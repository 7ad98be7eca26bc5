from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from calib.detection import Detections, GroundTruth, match
from calib.evaluation import (
    NothingToMeasureWarning,
    localization_aware_absolute_error,
    localization_aware_calibration_error,
    localization_recall_precision,
    localization_recall_precision_of,
    localization_table,
    optimal_localization_recall_precision,
    score_iou_squared_error,
)

BOX = [0.0, 0.0, 4.0, 4.0]


@pytest.fixture(scope="module")
def reference(shared_data: Path) -> dict[str, dict[str, float]]:
    path = shared_data / "detection" / "oracle" / "reference_yolox_nano.json"
    return json.loads(path.read_text())


# ---------------------------------------------------------------------- numbers of real detectors


def check_against(numbers: dict[str, float], yolox: Any, **kwargs: Any) -> None:
    found, truth = yolox.found, yolox.truth
    laece = localization_aware_calibration_error(found, truth, reference_compat=True, **kwargs)
    laace = localization_aware_absolute_error(found, truth, reference_compat=True, **kwargs)
    lrp = localization_recall_precision(found, truth, **kwargs)
    assert laece == pytest.approx(numbers["LaECE"], abs=1e-12)
    assert laace == pytest.approx(numbers["LaACE"], abs=1e-12)
    assert lrp.value == pytest.approx(numbers["lrp"], abs=1e-12)
    assert lrp.localization == pytest.approx(numbers["lrp_loc"], abs=1e-12)
    assert lrp.false_positive == pytest.approx(numbers["lrp_fp"], abs=1e-12)
    assert lrp.false_negative == pytest.approx(numbers["lrp_fn"], abs=1e-12)


@pytest.mark.shared_data
def test_published_code_at_operating_thresholds(yolox: Any, reference: Any) -> None:
    check_against(
        reference["lrp_cw_identity"],
        yolox,
        threshold=yolox.threshold,
        matches=yolox.reference,
    )


@pytest.mark.shared_data
def test_published_code_at_a_fixed_threshold(yolox: Any, reference: Any) -> None:
    check_against(
        reference["dece03_ca_identity"],
        yolox,
        iou_threshold=0.5,
        threshold=0.3,
        matches=yolox.half,
    )


@pytest.mark.shared_data
def test_compatible_matching_is_implied(yolox: Any, reference: Any) -> None:
    value = localization_aware_absolute_error(
        yolox.found, yolox.truth, threshold=yolox.threshold, reference_compat=True
    )
    assert value == pytest.approx(reference["lrp_cw_identity"]["LaACE"], abs=1e-12)


@pytest.mark.shared_data
def test_without_the_slips(yolox: Any) -> None:
    """Ignored detections left out; boxes that do not touch not matched."""
    found, truth, threshold = yolox.found, yolox.truth, yolox.threshold
    kwargs = {"threshold": threshold, "matches": yolox.reference}
    assert localization_aware_absolute_error(found, truth, **kwargs) == pytest.approx(
        0.228414, abs=5e-7
    )
    laece = localization_aware_calibration_error(found, truth, threshold=threshold)
    assert laece == pytest.approx(0.17913, abs=5e-6)
    lrp = localization_recall_precision(found, truth, threshold=threshold)
    assert lrp.value == pytest.approx(0.75987, abs=5e-6)
    everything = localization_aware_calibration_error(
        found, truth, reference_compat=True, matches=yolox.reference
    )
    assert everything == pytest.approx(0.0232400, abs=5e-8)
    saod = localization_aware_calibration_error(
        found, truth, iou_threshold=0.1, threshold=threshold
    )
    assert saod == pytest.approx(0.179534, abs=1e-6)  # own number: no published one to compare
    squared = score_iou_squared_error(found, truth, **kwargs)
    assert squared == pytest.approx(0.0816, abs=5e-5)


# ------------------------------------------------------------------------------------------ by hand


def small() -> tuple[Detections, GroundTruth]:
    """Class 1: overlap 0.75 at 0.9, miss at 0.4, one box missed. Class 2: overlap 1 at 0.7."""
    found = Detections(
        [[0, 0, 4, 3], [20, 0, 24, 4], [0, 0, 4, 4]], [0.9, 0.4, 0.7], [1, 1, 2], [7, 7, 8]
    )
    return found, GroundTruth([BOX, [0, 10, 4, 14], BOX], [1, 1, 2], [7, 7, 8])


def test_by_hand() -> None:
    found, truth = small()
    laece = localization_aware_calibration_error(found, truth)
    assert laece == pytest.approx(((0.15 + 0.4) / 2 + 0.3) / 2)
    one = localization_aware_calibration_error(found, truth, n_bins=1)
    assert one == pytest.approx((abs(1.3 - 0.75) / 2 + 0.3) / 2)
    mass = localization_aware_calibration_error(found, truth, n_bins=2, strategy="quantile")
    assert mass == pytest.approx(laece)
    laace = localization_aware_absolute_error(found, truth)
    assert laace == pytest.approx(((0.15 + 0.4) / 2 + 0.3) / 2)
    squared = score_iou_squared_error(found, truth)
    assert squared == pytest.approx((0.15**2 + 0.4**2 + 0.3**2) / 3)


def test_recall_precision_by_hand() -> None:
    found, truth = small()
    lrp = localization_recall_precision(found, truth)
    np.testing.assert_allclose(lrp.class_value, [(0.25 + 1 + 1) / 3, 0.0], atol=1e-15)
    np.testing.assert_allclose(lrp.class_localization, [0.25, 0.0], atol=1e-15)
    np.testing.assert_allclose(lrp.class_false_positive, [0.5, 0.0])
    np.testing.assert_allclose(lrp.class_false_negative, [0.5, 0.0])
    assert lrp.value == pytest.approx(0.375)
    assert lrp.n_truth.tolist() == [2, 1]
    assert lrp.n_true_positive.tolist() == [1, 1]
    assert lrp.n_false_positive.tolist() == [1, 0]
    assert lrp.threshold.tolist() == [0.0, 0.0]
    assert "value=0.3750" in repr(lrp)
    half = localization_recall_precision(found, truth, iou_threshold=0.5)
    assert half.class_value[0] == pytest.approx((0.5 + 1 + 1) / 3)


def test_optimum_by_hand() -> None:
    found, truth = small()
    best = optimal_localization_recall_precision(found, truth)
    np.testing.assert_allclose(best.class_value, [(0.25 + 1) / 2, 0.0], atol=1e-15)
    assert best.threshold.tolist() == [0.9, 0.7]
    same = localization_recall_precision(found, truth, threshold={1: 0.9, 2: 0.7})
    assert same.value == best.value
    assert same.threshold.tolist() == [0.9, 0.7]
    assert (
        localization_recall_precision(found, truth, threshold=0.8).threshold.tolist() == [0.8] * 2
    )


def test_compatibility_drops_classes_without_error() -> None:
    found = Detections([BOX, BOX], [0.5, 1.0], [1, 2], [7, 7])
    truth = GroundTruth([BOX, BOX], [1, 2], [7, 7])
    for metric in (localization_aware_calibration_error, localization_aware_absolute_error):
        assert metric(found, truth) == pytest.approx(0.25)
        assert metric(found, truth, reference_compat=True) == pytest.approx(0.5)


def test_compatibility_counts_ignored_detections() -> None:
    found = Detections([BOX, [20, 0, 24, 4]], [0.5, 0.75], [1, 1], [7, 7])
    truth = GroundTruth([BOX, [18, 0, 26, 4]], [1, 1], [7, 7], ignore=[False, True])
    assert localization_aware_absolute_error(found, truth) == pytest.approx(0.5)
    value = localization_aware_absolute_error(found, truth, reference_compat=True)
    assert value == pytest.approx((0.5 + 0.75) / 2)


# -------------------------------------------------------------------------------------- edge cases


def test_no_detections() -> None:
    empty = Detections(np.empty((0, 4)), [], [], [])
    truth = GroundTruth([BOX, BOX], [1, 2], [7, 8])
    for metric in (
        localization_aware_calibration_error,
        localization_aware_absolute_error,
        score_iou_squared_error,
    ):
        with pytest.warns(NothingToMeasureWarning, match="no detection counts"):
            assert np.isnan(metric(empty, truth))
    for lrp in (
        localization_recall_precision(empty, truth),
        optimal_localization_recall_precision(empty, truth),
    ):
        assert lrp.value == lrp.false_negative == 1.0
        assert lrp.class_value.tolist() == [1.0, 1.0]
        assert np.isnan([lrp.localization, lrp.false_positive]).all()


def test_no_boxes() -> None:
    found, _ = small()
    with pytest.warns(NothingToMeasureWarning, match="no annotated box"):
        lrp = localization_recall_precision(
            found, GroundTruth(np.empty((0, 4)), [], [], images=[7, 8])
        )
    assert np.isnan(lrp.value)


def test_class_on_one_side_only() -> None:
    found = Detections([BOX, BOX], [0.6, 0.9], [1, 3], [7, 7])
    truth = GroundTruth([BOX, BOX], [1, 2], [7, 7], class_names={1: "a", 2: "b", 3: "c", 4: "d"})
    assert localization_aware_calibration_error(found, truth) == pytest.approx(0.4)
    assert localization_aware_absolute_error(found, truth) == pytest.approx(0.4)
    assert score_iou_squared_error(found, truth) == pytest.approx(0.16)
    as_false = score_iou_squared_error(found, truth, classes_without_gt="fp")
    assert as_false == pytest.approx((0.16 + 0.81) / 2)
    lrp = localization_recall_precision(found, truth)
    np.testing.assert_array_equal(lrp.class_label, [1, 2, 3, 4])
    np.testing.assert_allclose(lrp.class_value, [0, 1, np.nan, np.nan])
    assert lrp.value == 0.5


def test_images_on_one_side_only() -> None:
    """An image without detections has misses only, one without boxes false positives only."""
    found = Detections([BOX, BOX], [0.6, 0.9], [1, 1], [7, 9])
    truth = GroundTruth([BOX, BOX], [1, 1], [7, 8], images=[7, 8, 9, 10])
    lrp = localization_recall_precision(found, truth)
    assert (lrp.n_true_positive[0], lrp.n_false_positive[0], lrp.n_truth[0]) == (1, 1, 2)
    assert lrp.value == pytest.approx(2 / 3)


def test_crowds_only() -> None:
    found = Detections([BOX, [20, 0, 24, 4]], [0.6, 0.9], [1, 1], [7, 7])
    truth = GroundTruth([BOX, BOX], [1, 2], [7, 7], ignore=[True, False])
    with pytest.warns(NothingToMeasureWarning):
        assert np.isnan(localization_aware_calibration_error(found, truth))
    lrp = localization_recall_precision(found, truth)
    np.testing.assert_allclose(lrp.class_value, [np.nan, 1.0])


def test_bad_options() -> None:
    found, truth = small()
    with pytest.raises(ValueError, match="n_bins must be >= 1"):
        localization_aware_calibration_error(found, truth, n_bins=0)
    with pytest.raises(ValueError, match="strategy must be one of"):
        localization_aware_calibration_error(found, truth, strategy="equal")
    with pytest.raises(ValueError, match="classes_without_gt must be one of"):
        score_iou_squared_error(found, truth, classes_without_gt="drop")
    with pytest.raises(ValueError, match="zero_iou"):
        localization_recall_precision(found, truth, zero_iou="loose")


# -------------------------------------------------------------------------------------- properties


@given(seed=st.integers(0, 10_000), tau=st.sampled_from([0.0, 0.3, 0.5]))
@settings(max_examples=40, deadline=None)
def test_bounds(scene: Callable[..., Any], seed: int, tau: float) -> None:
    found, truth = scene(seed)
    matches = match(found, truth, iou_threshold=tau)
    kwargs: dict[str, Any] = {"iou_threshold": tau, "matches": matches}
    laece = localization_aware_calibration_error(found, truth, **kwargs)
    fine = localization_aware_calibration_error(found, truth, n_bins=1000, **kwargs)
    laace = localization_aware_absolute_error(found, truth, **kwargs)
    assert 0 <= laece <= fine + 1e-12
    assert fine <= laace + 1e-12 <= 1
    assert 0 <= score_iou_squared_error(found, truth, **kwargs) <= laace**0.5
    here = localization_recall_precision(found, truth, **kwargs)
    best = optimal_localization_recall_precision(found, truth, **kwargs)
    defined = ~np.isnan(here.class_value)
    assert ((0 <= best.class_value[defined]) & (here.class_value[defined] <= 1)).all()
    assert (best.class_value[defined] <= here.class_value[defined] + 1e-12).all()


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_one_match_serves_every_threshold(scene: Callable[..., Any], seed: int) -> None:
    found, truth = scene(seed)
    limits = np.random.default_rng(seed).random(6)
    keep = found.scores >= limits[found.labels]
    threshold = dict(enumerate(limits.tolist()))
    matches = match(found, truth, iou_threshold=0.0)
    once = localization_recall_precision(found, truth, threshold=threshold, matches=matches)
    again = localization_recall_precision(found[keep], truth)
    assert once.value == pytest.approx(again.value, abs=1e-15)
    known = np.isin(once.class_label, again.class_label)
    np.testing.assert_array_equal(once.n_true_positive[known], again.n_true_positive)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_perfect_scores(scene: Callable[..., Any], seed: int) -> None:
    found, truth = scene(seed)
    matches = match(found, truth, iou_threshold=0.0)
    exact = found.with_scores(matches.iou)
    assert localization_aware_calibration_error(exact, truth, matches=matches) == 0.0
    assert localization_aware_absolute_error(exact, truth, matches=matches) == 0.0
    assert score_iou_squared_error(exact, truth, matches=matches) == 0.0


@given(seed=st.integers(0, 10_000), cut=st.integers(1, 11))
@settings(max_examples=25, deadline=None)
def test_tables_of_parts_add_up(scene: Callable[..., Any], seed: int, cut: int) -> None:
    found, truth = scene(seed)
    tables = []
    for images in (range(cut), range(cut, 12)):
        here = np.isin(found.image_id, list(images))
        tables.append(localization_table(found[here], truth.in_images(list(images)), threshold=0.3))
    merged = tables[1] + tables[0]
    kwargs = {"threshold": 0.3}
    assert merged.calibration_error(average="macro") == pytest.approx(
        localization_aware_calibration_error(found, truth, **kwargs), abs=1e-12
    )
    assert merged.absolute_error() == pytest.approx(
        localization_aware_absolute_error(found, truth, **kwargs), abs=1e-12
    )
    assert merged.squared_error() == pytest.approx(
        score_iou_squared_error(found, truth, **kwargs), abs=1e-12
    )
    whole = localization_recall_precision(found, truth, **kwargs)
    part = localization_recall_precision_of(merged, 0.3)
    known = np.isin(whole.class_label, part.class_label)
    np.testing.assert_allclose(part.class_value, whole.class_value[known], atol=1e-12)
    assert part.value == pytest.approx(whole.value, abs=1e-12)
    errors = merged.class_errors()
    assert np.nanmean(errors) == pytest.approx(merged.calibration_error(average="macro"))
