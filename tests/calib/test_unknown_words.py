"""Every option that takes one of several words answers an unknown word with the near one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import uq
from calib import (
    CALIBRATORS,
    CalibratedClassifier,
    PlattCalibrator,
    VennAbersCalibrator,
    make_calibrator,
)
from calib.detection import (
    DETECTION_MAPS,
    CalibratedDetector,
    DetectionCalibrator,
    Detections,
    GroundTruth,
)
from calib.evaluation import (
    calibration_report,
    detection_metric_interval,
    expected_calibration_error,
    metric_interval,
    quantile_crps,
)

RNG = np.random.default_rng(0)
Y = np.arange(40) % 2
P = np.clip(0.5 + 0.2 * (Y - 0.5) + 0.2 * RNG.normal(size=40), 0.01, 0.99)
X = RNG.normal(size=(40, 2))
BOXES = np.tile([[0.0, 0, 9, 9]], (40, 1))
FOUND = Detections(BOXES, P, np.zeros(40, dtype=int), np.arange(40))
TRUTH = GroundTruth(BOXES, np.zeros(40, dtype=int), np.arange(40))
MODEL = LogisticRegression()

CASES: dict[str, tuple[Callable[[], Any], object]] = {
    "input": (lambda: PlattCalibrator(input="logit").fit(P, Y), "logits"),
    "input, long": (lambda: PlattCalibrator(input="probabilities").fit(P, Y), "proba"),
    "input, capitals": (lambda: PlattCalibrator(input="Logits").fit(P, Y), "logits"),
    "strategy": (lambda: expected_calibration_error(Y, P, strategy="quantiles"), "quantile"),
    "average": (lambda: expected_calibration_error(Y, P, average="top-label"), "top_label"),
    "norm": (lambda: expected_calibration_error(Y, P, norm="1"), 1),
    "measures": (lambda: calibration_report(Y, P, measures="al"), "all"),
    "one measure": (
        lambda: calibration_report(Y, P, measures=["smooth_calibration_eror"]),
        "smooth_calibration_error",
    ),
    "interval": (
        lambda: metric_interval(expected_calibration_error, Y, P, method="percentiles"),
        "percentile",
    ),
    "pos_label": (
        lambda: expected_calibration_error(np.array(["ill", "well"])[Y], P, pos_label="Well"),
        "well",
    ),
    "pos_label of another type": (lambda: expected_calibration_error(Y, P, pos_label="1"), 1),
    "weights of levels": (
        lambda: quantile_crps(
            P, np.stack([P, P], axis=1), levels=[0.1, 0.9], level_weights="equally"
        ),
        "equal",
    ),
    "registry": (lambda: make_calibrator("temprature"), "temperature"),
    "wrapper": (lambda: CalibratedClassifier(MODEL, "sigmoid").fit(X, Y), "platt"),
    "response": (
        lambda: CalibratedClassifier(MODEL, response="predict_probability").fit(X, Y),
        "predict_proba",
    ),
    "merge": (lambda: VennAbersCalibrator(merge="brier score").fit(P, Y), "brier"),
    "detection map": (lambda: DetectionCalibrator("identiti").fit(FOUND, TRUTH), "identity"),
    "detection map of the registry": (
        lambda: DetectionCalibrator("plat").fit(FOUND, TRUTH),
        "platt",
    ),
    "target of detections": (
        lambda: DetectionCalibrator("platt", target="IoU").fit(FOUND, TRUTH),
        "iou",
    ),
    "features": (
        lambda: DetectionCalibrator("platt", features=["W"]).fit(FOUND, TRUTH),
        "w",
    ),
    "metric of detections": (
        lambda: detection_metric_interval("detection_calibration_eror", FOUND, TRUTH),
        "detection_calibration_error",
    ),
    "adapter": (
        lambda: CalibratedDetector(
            len, DetectionCalibrator("identity").fit(FOUND, TRUTH), adapter="array"
        ),
        "arrays",
    ),
    "conformal score": (
        lambda: uq.ConformalClassifier(MODEL, conformity_score="APS").fit(X, Y),
        "aps",
    ),
    "conformal backend": (
        lambda: uq.ConformalClassifier(MODEL, backend="Mapie").fit(X, Y),
        "mapie",
    ),
    "doubt": (lambda: uq.ood_score(X, method="max-logit"), "max_logit"),
    "procedure": (
        lambda: uq.control_selective_risk(Y, P, procedure="fixed sequence"),
        "fixed_sequence",
    ),
    "study": (
        lambda: uq.leave_one_out_study({"a": MODEL}, X, Y, calibrators=["isotonik"]),
        "isotonic",
    ),
}


@pytest.mark.filterwarnings("ignore::calib.CalibWarning")
@pytest.mark.parametrize("case", CASES)
def test_the_near_word_is_named(case: str) -> None:
    call, meant = CASES[case]
    with pytest.raises(ValueError) as refusal:  # noqa: PT011
        call()
    assert f"Did you mean {meant!r}?" in str(refusal.value), refusal.value


@pytest.mark.parametrize("name", sorted({*DETECTION_MAPS, *CALIBRATORS}))
def test_every_map_of_detectors_is_found_again(name: str) -> None:
    word = name[:-1] + name[-1] * 2
    with pytest.raises(ValueError, match=f"Did you mean '{name}'"):
        DetectionCalibrator(word).fit(FOUND, TRUTH)


@pytest.mark.parametrize("value", ["", "?", None, True, 3.5, ["logits"], "odds", "x" * 1000])
def test_nothing_near_is_no_hint(value: object) -> None:
    with pytest.raises(ValueError, match="input must be one of") as refusal:
        PlattCalibrator(input=value).fit(P, Y)  # type: ignore[arg-type]
    assert "Did you mean" not in str(refusal.value)
