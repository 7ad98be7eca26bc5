"""The operating points of a detector that was fitted on other images."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from calib.detection import (
    DetectionCalibrator,
    MatchedScores,
    NoOptimalThresholdWarning,
    apply_thresholds,
    lrp_optimal_thresholds,
    match,
)
from calib.detection.lrp import reaches_thresholds_of_others
from tests.support.detector import scene


@pytest.mark.parametrize("n_folds", [2, 3, 10, 500])
@pytest.mark.parametrize("zero_iou", ["strict", "reference"])
def test_fit_rows_reach_thresholds_found_without_their_images(n_folds: int, zero_iou: Any) -> None:
    """Against a search on the other images, fold by fold; 500 folds leave out single images."""
    found, truth = scene(40, n_classes=30, seed=4)  # some classes lack a true positive elsewhere
    some = np.random.default_rng(0).random(len(truth)) < 0.1
    truth = truth.replaced({"ignore": some})
    found = found[found.image_id != 7]  # boxes, no detection
    images = np.unique(found.image_id)
    fold = np.random.default_rng(0).permutation(len(images)) % min(n_folds, len(images))
    expected = np.zeros(len(found), dtype=bool)
    for number in range(fold.max() + 1):
        out = images[fold == number]
        rest = ~np.isin(found.image_id, out)
        others = truth.in_images(np.setdiff1d(truth.images, out))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NoOptimalThresholdWarning)
            limits = lrp_optimal_thresholds(found[rest], others, zero_iou=zero_iou)
        pooled = MatchedScores.from_matches(
            found[rest], others, match(found[rest], others, iou_threshold=0.0, zero_iou=zero_iou),
            iou_threshold=0.0,
        ).pooled_threshold()  # fmt: skip
        expected[~rest] = apply_thresholds(found[~rest], limits, default=pooled)
    matches = match(found, truth, iou_threshold=0.0, zero_iou=zero_iou)
    reaches = reaches_thresholds_of_others(found, truth, matches, 0.0, n_folds)
    np.testing.assert_array_equal(reaches, expected)
    order = np.random.default_rng(1).permutation(len(found))
    again = reaches_thresholds_of_others(found[order], truth, matches[order], 0.0, n_folds)
    np.testing.assert_array_equal(again, expected[order])
    # they are what the maps are fitted to
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoOptimalThresholdWarning)
        cal = DetectionCalibrator(threshold_folds=n_folds, zero_iou=zero_iou).fit(found, truth)
        same = DetectionCalibrator(threshold_folds=None, zero_iou=zero_iou).fit(found, truth)
    bare = DetectionCalibrator(threshold=None, zero_iou=zero_iou).fit(found[expected], truth)
    np.testing.assert_array_equal(cal.transform(found).scores, bare.transform(found).scores)
    assert cal.raw_thresholds_ == same.raw_thresholds_, "operating points are those of all images"
    assert cal.class_counts_ != same.class_counts_
