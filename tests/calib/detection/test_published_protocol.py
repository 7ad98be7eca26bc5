"""Policies of the published protocol by name, and reports about the images of the fit."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calib import load, save
from calib.cli import main
from calib.datasets import make_detection_scenes
from calib.detection import (
    DetectionCalibrator,
    Detections,
    FallbackWarning,
    GroundTruth,
    NoOptimalThresholdWarning,
    from_coco,
    lrp_optimal_thresholds,
)
from calib.evaluation import (
    FitImagesWarning,
    detection_calibration_error,
    detection_calibration_table,
    detection_report,
    localization_aware_absolute_error,
    localization_aware_calibration_error,
)

PUBLISHED: dict[str, Any] = {
    "form": "published",
    "zero_iou": "reference",
    "threshold_folds": None,
    "fallback": "keep",
    "single_target": "own",
    "min_class_samples": 1,
    "max_detections": 100,
}


def with_hopeless_class(seed: int = 0) -> tuple[Detections, GroundTruth]:
    """Add a class whose 30 detections lie in other images than its 30 boxes."""
    found, truth = make_detection_scenes(120, random_state=seed)
    rng = np.random.default_rng(seed)
    n, image = 30, np.arange(30)
    more = Detections(
        np.tile([0.0, 0.0, 4.0, 4.0], (n, 1)),
        rng.uniform(0.05, 0.3, n),
        np.full(n, 20),
        image,
        image_size=np.tile([640.0, 480.0], (n, 1)),
    )
    names = {**truth.class_names, 20: "ghost"}
    boxes = GroundTruth(
        np.concatenate([truth.boxes, np.tile([600.0, 400.0, 630.0, 470.0], (n, 1))]),
        np.concatenate([truth.labels, np.full(n, 20)]),
        np.concatenate([truth.image_id, image + n]),
        images=truth.images,
        sizes=truth.sizes,
        class_names=names,
    )
    return Detections.concat([found, more]), boxes


FOUND, TRUTH = with_hopeless_class()


@pytest.mark.parametrize("folds", [None, 5])
def test_keep_drops_nothing_of_a_class_without_an_optimum(folds: int | None) -> None:
    options: dict[str, Any] = {"threshold_folds": folds}
    with pytest.warns(NoOptimalThresholdWarning, match="they take"):
        pooled = DetectionCalibrator("platt", **options).fit(FOUND, TRUTH)
    with pytest.warns(NoOptimalThresholdWarning, match="all their detections are kept"):
        keep = DetectionCalibrator("platt", fallback="keep", **options).fit(FOUND, TRUTH)
    ghost = FOUND.labels == 20
    assert keep.raw_thresholds_[20] == keep.calibrated_thresholds_[20] == 0.0
    assert keep.pooled_thresholds_ == (0.0, 0.0)
    assert keep.threshold_fallbacks_ == (20,)
    assert keep.operating_mask(FOUND)[ghost].all()
    assert keep.class_counts_[20] == 30
    assert not pooled.operating_mask(FOUND)[ghost].any()
    others = {k: v for k, v in keep.raw_thresholds_.items() if k != 20}
    assert others == {k: v for k, v in pooled.raw_thresholds_.items() if k != 20}


def test_keep_is_the_policy_of_the_thresholds_too() -> None:
    with pytest.warns(NoOptimalThresholdWarning):
        wanted = lrp_optimal_thresholds(FOUND, TRUTH, fallback="keep")
    with pytest.warns(NoOptimalThresholdWarning):
        cal = DetectionCalibrator("identity", fallback="keep").fit(FOUND, TRUTH)
    assert cal.raw_thresholds_ == wanted


@pytest.mark.filterwarnings("ignore::calib.detection.NoOptimalThresholdWarning")
@pytest.mark.parametrize("calibrator", ["linear", "platt", "temperature", "isotonic"])
def test_own_maps_keep_as_many_as_raw_scores(calibrator: str) -> None:
    """As in published tables, where maps that keep the order keep the same detections."""
    raw = DetectionCalibrator("identity", **PUBLISHED).fit(FOUND, TRUTH)
    cal = DetectionCalibrator(calibrator, per_class=True, **PUBLISHED).fit(FOUND, TRUTH)
    n = raw.operating_mask(FOUND).sum()
    kept = cal.operating_mask(FOUND).sum()
    assert kept == n if calibrator != "isotonic" else kept <= n
    assert cal.fallbacks_ == {}
    ghost = FOUND.labels == 20
    assert cal.operating_mask(FOUND)[ghost].all()
    if calibrator != "temperature":  # which cannot reach 0 at a score above one half
        np.testing.assert_allclose(cal.transform(FOUND[ghost]).scores, 0.0, atol=1e-6)


@pytest.mark.filterwarnings("ignore::calib.detection.NoOptimalThresholdWarning")
@pytest.mark.parametrize("calibrator", ["linear", "platt", "isotonic", "grid_histogram", "beta"])
@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("n", [1, 2, 40])
def test_classes_of_one_target(calibrator: str, value: float, n: int) -> None:
    found, truth = make_detection_scenes(120, random_state=0)
    image = np.arange(n)
    box = np.array([300.0, 300.0, 340.0, 340.0])
    more = Detections(
        np.tile(box if value else box - 290, (n, 1)),
        np.linspace(0.2, 0.6, n),
        np.full(n, 9),
        image,
        image_size=np.tile([640.0, 480.0], (n, 1)),
    )
    boxes = GroundTruth(
        np.vstack([truth.boxes, np.tile(box, (n, 1))]),
        np.concatenate([truth.labels, np.full(n, 9)]),
        np.concatenate([truth.image_id, image]),
        images=truth.images,
        sizes=truth.sizes,
    )
    both = Detections.concat([found, more])
    options: dict[str, Any] = {"threshold": None, "min_class_samples": 1, "form": "published"}
    own = DetectionCalibrator(calibrator, per_class=True, single_target="own", **options)
    scores = own.fit(both, boxes).transform(more).scores
    assert 9 not in own.fallbacks_
    smooths = calibrator == "beta" or (calibrator == "platt" and n == 1)  # its own targets
    if not smooths:
        np.testing.assert_allclose(scores, value, atol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FallbackWarning)
        pooled = DetectionCalibrator(calibrator, per_class=True, **options).fit(both, boxes)
    assert pooled.fallbacks_[9].startswith("all targets equal")
    if calibrator == "beta":
        return
    shrunk = DetectionCalibrator(calibrator, single_target="own", **options).fit(both, boxes)
    between = shrunk.transform(more).scores
    assert (np.abs(between - value) <= np.abs(pooled.transform(more).scores - value) + 1e-9).all()


@pytest.mark.parametrize("name", ["fallback", "single_target"])
def test_unknown_policies(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        DetectionCalibrator(**{name: "none"}).fit(FOUND, TRUTH)


@pytest.mark.filterwarnings("ignore::calib.detection.NoOptimalThresholdWarning")
def test_policies_are_saved(tmp_path: Path) -> None:
    cal = DetectionCalibrator("isotonic", per_class=True, **PUBLISHED).fit(FOUND, TRUTH)
    again = load(save(cal, tmp_path / "cal.json"))
    assert (again.fallback, again.single_target, again.max_detections) == ("keep", "own", 100)
    np.testing.assert_array_equal(again.transform(FOUND).scores, cal.transform(FOUND).scores)


# ---------------------------------------------------------------------- edges


def edges() -> tuple[Detections, GroundTruth]:
    """Scores on the edges of ten bins, half of them right."""
    score = np.repeat(np.arange(1, 10) / 10, 6)
    n = len(score)
    boxes = np.tile([0.0, 0.0, 9.0, 9.0], (n, 1))
    right = np.arange(n) % 3 == 0
    found = Detections(boxes, score, np.ones(n, int), np.arange(n))
    truth = GroundTruth(boxes[right], np.ones(right.sum(), int), np.flatnonzero(right),
                        images=np.arange(n))  # fmt: skip
    return found, truth


def test_bins_closed_on_the_right_everywhere() -> None:
    found, truth = edges()
    shifted = found.with_scores(found.scores - 1e-9)
    for n_bins in (5, 7, 10):
        right = detection_calibration_error(found, truth, n_bins=n_bins, reference_compat=True)
        assert right == pytest.approx(
            detection_calibration_error(shifted, truth, n_bins=n_bins), abs=1e-7
        )
    options = {"n_bins": 5}
    table = detection_calibration_table(found, truth, reference_compat=True, **options)
    assert table.right_closed
    left = detection_calibration_table(found, truth, **options)
    with pytest.raises(ValueError, match="right_closed"):
        table + left
    assert (table + table).right_closed


@pytest.mark.filterwarnings("ignore::calib.evaluation.FitImagesWarning")
def test_a_report_in_the_published_convention() -> None:
    found, truth = make_detection_scenes(100, random_state=1)
    found = found.with_scores(np.round(found.scores, 1))
    cal = DetectionCalibrator("identity", threshold=None, zero_iou="reference")
    cal.fit(*make_detection_scenes(100, random_state=0))
    numbers = {}
    for compat in (False, True):
        report = detection_report(
            found, truth, calibrator=cal, n_resamples=5, n_floor=2, reference_compat=compat
        )
        measures = report.models["raw"].measures
        named = {
            "detection_calibration_error": detection_calibration_error,
            "localization_aware_calibration_error": localization_aware_calibration_error,
            "localization_aware_absolute_error": localization_aware_absolute_error,
        }
        for name, metric in named.items():
            more = {} if name.startswith("detection") else {"zero_iou": "reference"}
            wanted = metric(found, truth, reference_compat=compat, **more)
            assert measures[name].value == pytest.approx(wanted), name
        numbers[compat] = measures["detection_calibration_error"].value
    assert numbers[False] != numbers[True]


# ---------------------------------------------------------------------- published rows


@pytest.fixture(scope="module")
def halves(shared_data: Path) -> dict[str, tuple[Detections, GroundTruth]]:
    folder = shared_data / "detection"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            part: from_coco(
                folder / "yolox_nano_dets.json.gz",
                folder / f"coco_val2017_1229_gt_{part}.json.gz",
                unknown_images="drop",
            )
            for part in ("minival", "minitest")
        }


@pytest.mark.shared_data
@pytest.mark.oracle
@pytest.mark.parametrize(
    ("calibrator", "per_class", "row", "tolerance"),
    [
        ("identity", False, "lrp_cw_identity", 1e-12),
        ("linear", True, "lrp_cw_linear_regression", 1e-12),
        ("linear", False, "lrp_ca_linear_regression", 1e-12),
        ("isotonic", True, "lrp_cw_isotonic_regression", 2e-3),  # it cuts between equal scores
        ("isotonic", False, "lrp_ca_isotonic_regression", 3e-4),
    ],
)
def test_published_rows(
    shared_data: Path, halves: Any, calibrator: str, per_class: bool, row: str, tolerance: float
) -> None:
    path = shared_data / "detection" / "oracle" / "reference_yolox_nano.json"
    wanted = json.loads(path.read_text())[row]
    cal = DetectionCalibrator(calibrator, per_class=per_class, **PUBLISHED)
    cal.fit(*halves["minival"])
    found, truth = halves["minitest"]
    report = detection_report(
        found, truth, calibrator=cal, n_resamples=2, n_floor=2, reference_compat=True
    )
    measures = report.models["calibrated"].measures
    n = cal.operating_mask(found).sum()
    if calibrator != "isotonic":
        assert n == wanted["n"]
    else:  # published code cuts between equal scores, of which these maps make many
        assert wanted["n"] <= n <= 2586
    for key, name in (
        ("LaECE", "localization_aware_calibration_error"),
        ("LaACE", "localization_aware_absolute_error"),
        ("lrp", "localization_recall_precision"),
        ("DECE", "detection_calibration_error"),
    ):
        assert measures[name].value == pytest.approx(wanted[key], abs=tolerance), key


# ---------------------------------------------------------------------- D-ECE by design


def test_the_verdict_says_why_d_ece_rises() -> None:
    fit, test = (make_detection_scenes(500, overconfidence=1.0, random_state=k) for k in (0, 1))
    for target in ("iou", "tp"):
        cal = DetectionCalibrator("platt", target=target).fit(*fit)
        report = detection_report(*test, calibrator=cal, n_resamples=50, n_floor=20)
        rise = report.models["calibrated"].measures["detection_calibration_error"].change
        said = "worse, by design" in report.headline
        assert said == (target == "iou") == (rise.low > 0)
        if said:
            assert 'target="tp"' in report.verdict("calibrated")
            assert "by design" in report.to_dict()["models"]["calibrated"]["verdict"]
            assert "rises_overlap" in report.answer[2].case or "worse" in report.answer[2].case


# ---------------------------------------------------------------------- images of the fit

FEW: dict[str, Any] = {"n_resamples": 5, "n_floor": 2}


def test_a_report_on_the_images_of_the_fit(tmp_path: Path) -> None:
    fit, test = (make_detection_scenes(60, random_state=k) for k in (0, 1))
    cal = DetectionCalibrator("platt").fit(*fit)
    detection_report(*test, calibrator=cal, **FEW)  # other images of the same ids: no word
    n = len(np.unique(fit[1].image_id[~fit[1].ignore]))
    for one in (cal, load(save(cal, tmp_path / "cal.json"))):
        with pytest.warns(FitImagesWarning, match=rf"'calibrated' \({n} of {n}\)"):
            detection_report(*fit, calibrator=one, **FEW)
    part = fit[1].in_images(np.arange(10))
    with pytest.warns(FitImagesWarning, match=r"'a' \((\d+) of \1\)"):
        detection_report(fit[0][fit[0].image_id < 10], part, calibrator={"a": cal}, **FEW)


def test_some_images_of_the_fit_among_others() -> None:
    fit = make_detection_scenes(60, random_state=0)
    cal = DetectionCalibrator("platt").fit(
        fit[0][fit[0].image_id < 40], fit[1].in_images(np.arange(40))
    )
    with pytest.warns(FitImagesWarning, match=r"\(\d+ of \d+\)"):
        detection_report(*fit, calibrator=cal, **FEW)
    rest = fit[1].in_images(np.arange(40, 60))
    detection_report(fit[0][fit[0].image_id >= 40], rest, calibrator=cal, **FEW)


def test_the_order_and_type_of_rows_leave_no_trace() -> None:
    found, truth = make_detection_scenes(60, random_state=0)
    cal = DetectionCalibrator("platt").fit(found, truth)
    order = np.random.default_rng(0).permutation(len(truth))
    other = GroundTruth(
        truth.boxes[order].astype(np.float32),
        truth.labels[order],
        truth.image_id[order],
        ignore=truth.ignore[order],
        images=truth.images,
    )
    again = DetectionCalibrator("platt").fit(found, other)
    assert np.isin(again.fit_images_, cal.fit_images_).mean() > 0.9


def test_files_without_images_of_the_fit_are_read(tmp_path: Path) -> None:
    scenes = make_detection_scenes(60, random_state=0)
    path = save(DetectionCalibrator("platt").fit(*scenes), tmp_path / "cal.json")
    document = json.loads(path.read_text())
    del document["fit_images"]
    path.write_text(json.dumps(document))
    detection_report(*scenes, calibrator=load(path), **FEW)  # nothing is known, nothing is said
    for bad in ("?", 3, "AAAA", [1]):
        path.write_text(json.dumps({**document, "fit_images": bad}))
        with pytest.raises(ValueError, match="fit_images"):
            load(path)


def test_the_command_line_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, truth = make_detection_scenes(60, crowd_rate=0.0, random_state=0)
    rows = [
        {"image_id": i, "category_id": k, "bbox": [*b[:2], b[2] - b[0], b[3] - b[1]], "score": s}
        for i, k, b, s in zip(
            found.image_id.tolist(), found.labels.tolist(), found.boxes.tolist(),
            found.scores.tolist(), strict=True,
        )
    ]  # fmt: skip
    document = {
        "images": [{"id": i, "width": 640, "height": 480} for i in truth.images.tolist()],
        "categories": [{"id": k, "name": v} for k, v in truth.class_names.items()],
        "annotations": [
            {"id": n, "image_id": i, "category_id": k, "bbox": [*b[:2], b[2] - b[0], b[3] - b[1]]}
            for n, (i, k, b) in enumerate(
                zip(truth.image_id.tolist(), truth.labels.tolist(), truth.boxes.tolist(),
                    strict=True)
            )
        ],
    }  # fmt: skip
    (tmp_path / "gt.json").write_text(json.dumps(document))
    (tmp_path / "dets.json").write_text(json.dumps(rows))
    pair = ["--truth", str(tmp_path / "gt.json"), "--detections", str(tmp_path / "dets.json")]
    cal = str(tmp_path / "cal.json")
    fit = ["detect", "fit", *pair, "--out", cal, "--fallback", "keep", "--single-target", "own"]
    assert main(fit) == 0, capsys.readouterr().err
    assert load(cal).fallback == "keep"
    capsys.readouterr()
    assert main(["detect", "report", *pair, "--calibrator", cal, "--resamples", "5"]) == 0
    assert "images of the fit" in capsys.readouterr().err
