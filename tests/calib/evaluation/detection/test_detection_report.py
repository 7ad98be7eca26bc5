from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from calib.detection import (
    DetectionCalibrator,
    FallbackWarning,
    GroundTruth,
    NoOptimalThresholdWarning,
    apply_thresholds,
    match,
)
from calib.evaluation import (
    NothingToMeasureWarning,
    average_precision,
    detection_calibration_error,
    detection_calibration_table,
    detection_metric_difference,
    detection_metric_interval,
    detection_report,
    localization_aware_absolute_error,
    localization_aware_calibration_error,
    localization_recall_precision,
    score_iou_squared_error,
)
from tests.support.detector_reports import CALIBRATORS, EMPTY, FIT, TEST, report_of_two_maps


@pytest.fixture(scope="module")
def report():
    return report_of_two_maps()


FIVE = ("score", "cx", "cy", "w", "h")
LAECE = "localization_aware_calibration_error"
DECE = "detection_calibration_error"
BOTH = {**CALIBRATORS, "hits": DetectionCalibrator("platt", target="tp", threshold=0.3).fit(*FIT)}


LRP = (
    "localization_recall_precision",
    "lrp_localization",
    "lrp_false_positive",
    "lrp_false_negative",
)
OVERLAP = (LAECE, "localization_aware_absolute_error", "score_iou_squared_error")
#: Target of the calibrator -> measures from the most to the least telling.
ORDER = {
    "iou": (*OVERLAP, *LRP, DECE, "position_calibration_error"),
    "tp": (DECE, "brier", "position_calibration_error", *LRP, *OVERLAP),
}


# --------------------------------------------------------------------------------- the same numbers


def by_hand(calibrator: DetectionCalibrator) -> dict[str, dict[str, float]]:
    """Follow the protocol with the public functions, raw and calibrated."""
    found, truth = TEST
    tau = 0.0 if calibrator.target == "iou" else 0.5
    raw = found[apply_thresholds(found, calibrator.raw_thresholds_)]
    calibrated = calibrator.transform(raw)
    out = {}
    for name, scored, limit in (
        ("raw", raw, None),
        ("calibrated", calibrated, calibrator.calibrated_thresholds_),
    ):
        kept = scored[apply_thresholds(scored, limit)]
        at = {"iou_threshold": tau}
        lrp = localization_recall_precision(kept, truth, **at)
        table = detection_calibration_table(kept, truth, features=FIVE, n_bins=5)
        outcome = match(scored, truth)
        known = outcome.valid & np.isin(scored.labels, truth.labels[~truth.ignore])
        hit = outcome.is_true_positive[known]
        out[name] = {
            LAECE: localization_aware_calibration_error(kept, truth, **at),
            "localization_aware_absolute_error": localization_aware_absolute_error(
                kept, truth, **at
            ),
            "score_iou_squared_error": score_iou_squared_error(scored, truth, **at),
            "localization_recall_precision": lrp.value,
            "lrp_localization": lrp.localization,
            "lrp_false_positive": lrp.false_positive,
            "lrp_false_negative": lrp.false_negative,
            DECE: detection_calibration_error(kept, truth),
            "brier": float(np.mean((scored.scores[known] - hit) ** 2)),
            "position_calibration_error": table.calibration_error(min_samples=8, renormalise=True),
            "coverage": table.coverage(min_samples=8),
        }
    return out


@pytest.mark.parametrize("name", BOTH)
def test_values_are_those_of_the_functions(name: str) -> None:
    report = detection_report(*TEST, calibrator={name: BOTH[name]}, n_resamples=5, n_floor=2)
    expected = by_hand(BOTH[name])
    assert list(report.models) == ["raw", name]
    for model, numbers in zip(report.models.values(), expected.values(), strict=True):
        assert tuple(model.measures) == ORDER[BOTH[name].target]
        assert model.coverage == pytest.approx(numbers.pop("coverage"))
        for key, measure in model.measures.items():
            assert measure.value == pytest.approx(numbers[key], abs=1e-12), key
    for model, found in (("raw", TEST[0]), (name, BOTH[name].transform(TEST[0]))):
        ap = average_precision(found, TEST[1])
        shown = report.models[model]
        assert (shown.ap, shown.ap50, shown.ap75) == (ap.ap, ap.ap50, ap.ap75)


def test_counts_and_means(report) -> None:
    found, truth = TEST
    one = CALIBRATORS["isotonic"]
    calibrated = one.transform(found)
    keep = one.operating_mask(found, calibrated)
    matches = match(calibrated[keep], truth, iou_threshold=0.0)
    model = report.models["isotonic"]
    assert model.n_kept == matches.valid.sum()
    assert model.n_kept + model.n_ignored == keep.sum()
    assert model.n_ignored > 0
    assert model.n_skipped == 0
    assert model.mean_score == pytest.approx(calibrated[keep].scores[matches.valid].mean())
    assert model.mean_iou == pytest.approx(matches.iou[matches.valid].mean())
    assert model.precision == pytest.approx(
        match(calibrated[keep], truth).is_true_positive[matches.valid].mean(), abs=0.01
    )
    bins = model.reliability["iou"]
    assert bins.n_detections.sum() == model.n_kept
    filled = bins.n_detections > 0
    assert (bins.mean_score[filled] >= bins.left[filled]).all()
    assert (bins.mean_score[filled] <= bins.right[filled]).all()
    assert model.position.n_detections.sum() == model.n_kept
    mean = np.nansum(model.position.n_detections * model.position.gap) / model.n_kept
    assert mean == pytest.approx(model.mean_score - model.mean_iou)


def test_intervals_and_changes_agree_with_the_functions(report) -> None:
    found, truth = TEST
    one = CALIBRATORS["platt"]
    raw = found[apply_thresholds(found, one.raw_thresholds_)]
    after = one.transform(raw)
    for key in (LAECE, DECE, "localization_recall_precision", "score_iou_squared_error"):
        limit = None if key == "score_iou_squared_error" else one.calibrated_thresholds_
        ours = report.models["platt"].measures[key]
        theirs = detection_metric_interval(
            key, after, truth, threshold=limit, n_resamples=400, random_state=7
        )
        spread = theirs.interval.standard_deviation
        assert ours.interval.standard_deviation == pytest.approx(spread, rel=0.3)
        assert ours.interval.low == pytest.approx(theirs.interval.low, abs=1.2 * spread)
        if key != "localization_recall_precision":
            assert ours.floor_mean == pytest.approx(theirs.floor_mean, abs=1.5 * theirs.floor_sd)
            assert ours.excess == ours.value - ours.floor_mean
        step = detection_metric_difference(
            key, raw, after, truth, threshold_after=limit, n_resamples=400, random_state=7
        )
        assert ours.change.value == pytest.approx(step.value, abs=1e-12)
        assert ours.change.standard_deviation == pytest.approx(
            step.standard_deviation, rel=0.35, abs=1e-9
        )


def numbers(report: Any, name: str) -> dict[str, Any]:
    """All measures of a model as plain numbers; equal where NaN is."""
    return report.to_dict()["models"][name]["measures"]


def test_seeded_and_paired(report) -> None:
    again = detection_report(*TEST, calibrator=CALIBRATORS, n_resamples=60, n_floor=20)
    alone = detection_report(*TEST, calibrator=CALIBRATORS["isotonic"], n_resamples=60, n_floor=20)
    other = detection_report(
        *TEST, calibrator=CALIBRATORS, n_resamples=60, n_floor=20, random_state=1
    )
    assert numbers(again, "isotonic") == numbers(report, "isotonic")
    for key, measure in numbers(alone, "calibrated").items():
        same = numbers(report, "isotonic")[key]
        for part in ("value", "floor", "floor_sd", "change", "change_low", "change_high"):
            assert measure[part] == same[part]  # what chance explains depends on all models
    assert numbers(other, "isotonic") != numbers(report, "isotonic")
    same = detection_report(
        *TEST, calibrator=DetectionCalibrator("identity").fit(*FIT), n_resamples=20, n_floor=5
    )
    for measure in same.models["calibrated"].measures.values():
        assert measure.change.value == measure.change.low == measure.change.high == 0
        assert not measure.is_changed


# ------------------------------------------------------------------------------------- what it says


def test_calibration_is_recognised(report) -> None:
    raw, platt = report.models["raw"], report.models["platt"]
    assert raw.measures[LAECE].is_beyond_floor
    assert platt.measures["score_iou_squared_error"].is_changed
    assert platt.measures["score_iou_squared_error"].change.high < 0
    assert platt.measures[LAECE].excess < 0.5 * raw.measures[LAECE].excess
    assert "Calibrate them." in report.verdict("raw")
    assert re.search(
        r"LaECE \d+\.\d % before, \d+\.\d % after \(change -\d+\.\d to -\d+\.\d points\); "
        r"perfectly calibrated scores would still show \d+\.\d % on \d+ detections",
        report.verdict("platt"),
    )
    assert report.headline.startswith("Use platt: it brings scores closer to the overlap")
    assert "detections are kept" in report.verdict("platt")
    same = DetectionCalibrator("identity").fit(*FIT)
    text = detection_report(*TEST, calibrator=same, n_resamples=9, n_floor=20).verdict("calibrated")
    assert "Calibration makes no difference that" in text
    assert "AP stays at" in text


def test_calibrators_with_other_targets_have_raw_scores_of_their_own() -> None:
    report = detection_report(*TEST, calibrator=BOTH, n_resamples=5, n_floor=2)
    names = ["raw (platt, isotonic)", "platt", "isotonic", "raw (hits)", "hits"]
    assert list(report.models) == names
    assert report.models["hits"].baseline == "raw (hits)"
    assert report.models["hits"].iou_threshold == report.models["hits"].precision_iou == 0.5
    assert next(iter(report.models["hits"].measures)) == DECE
    assert next(iter(report.models["platt"].measures)) == LAECE
    assert "brier" not in report.models["platt"].measures
    assert "D-ECE " in report.verdict("hits")
    assert "overlap > 0 or 0.5" in report.titles[LAECE]
    assert "hits, against raw scores of its own" in report.findings[-1]
    assert "raw scores of their own" in " ".join(report.notes)
    assert "numbers of different groups are not comparable" in report._repr_html_()
    alone = detection_report(*TEST, calibrator={"hits": BOTH["hits"]}, n_resamples=5, n_floor=2)
    for key, measure in alone.models["hits"].measures.items():
        assert measure.value == report.models["hits"].measures[key].value


def test_classes(report) -> None:
    found, truth = TEST
    one, table = CALIBRATORS["platt"], report.per_class["platt"]
    assert table.name[0] == "person"
    assert len(table) == len(table.label) == 8
    calibrated = one.transform(found)
    keep = one.operating_mask(found, calibrated)
    matches = match(calibrated[keep], truth, iou_threshold=0.0)
    for k, label in enumerate(table.label.tolist()):
        of = found.labels == label
        kept = (found.labels[keep] == label) & matches.valid
        above = found.scores[of] >= one.raw_thresholds_[label]
        assert table.n_truth[k] == ((truth.labels == label) & ~truth.ignore).sum()
        assert table.n_raw[k] == above.sum()
        assert table.n_kept[k] == (keep & of).sum()
        assert table.threshold_calibrated[k] == one.calibrated_thresholds_[label]
        assert table.score_raw[k] == pytest.approx(found[keep].scores[kept].mean())
        assert table.score_calibrated[k] == pytest.approx(calibrated[keep].scores[kept].mean())
        assert table.mean_iou[k] == pytest.approx(matches.iou[kept].mean())
        assert (table.map_fallback[k] != "") == (label in one.fallbacks_)
    lrp = localization_recall_precision(
        calibrated[keep], truth, matches=matches, threshold=dict.fromkeys(range(8), 0.0)
    )
    np.testing.assert_allclose(table.lrp_calibrated, lrp.class_value)
    assert report.models["platt"].measures["localization_recall_precision"].value == pytest.approx(
        np.nanmean(table.lrp_calibrated)
    )


def test_classes_that_fall_back_are_named() -> None:
    few = FIT[0][FIT[0].labels < 6], FIT[1][FIT[1].labels < 6]
    with pytest.warns(NoOptimalThresholdWarning):
        one = DetectionCalibrator("platt", min_class_samples=60).fit(
            FIT[0], FIT[1][FIT[1].labels != 3]
        )
    table = detection_report(*TEST, calibrator=one, n_resamples=3, n_floor=2).per_class[
        "calibrated"
    ]
    assert table.threshold_fallback.tolist() == [label == 3 for label in range(8)]
    assert table.map_fallback[3] == "no annotated box"
    assert "60" in table.map_fallback[7]
    one = DetectionCalibrator("platt").fit(*few)
    with pytest.warns(FallbackWarning, match="not seen at fit"):
        report = detection_report(*TEST, calibrator=one, n_resamples=3, n_floor=2)
    table = report.per_class["calibrated"]
    assert table.map_fallback[6:] == ("not seen at fit",) * 2
    assert table.threshold_fallback.tolist() == [False] * 6 + [True] * 2
    assert table.threshold_raw[7] == one.pooled_thresholds_[0]
    assert table.threshold_calibrated[7] == one.pooled_thresholds_[1]
    said = "2 of 8 classes take the pooled map; 2 of 8 classes take the pooled threshold"
    assert said in report.findings[-1]


# -------------------------------------------------------------------------------------------- forms


def test_frames_and_dictionary(report) -> None:
    pytest.importorskip("pandas")
    frame = report.to_frame()
    assert frame.index.tolist() == ["raw", "platt", "isotonic"]
    assert frame.index.name == "model"
    measures = report.models["platt"].measures
    assert list(frame.columns[: len(measures)]) == list(measures)
    assert frame.loc["platt", LAECE] == measures[LAECE].value
    assert frame.loc["platt", f"{LAECE}_floor"] == measures[LAECE].floor_mean
    assert frame.loc["platt", f"{LAECE}_change_high"] == measures[LAECE].change.high
    assert np.isnan(frame.loc["raw", f"{LAECE}_change"])
    assert frame.loc["isotonic", "ap"] == report.models["isotonic"].ap
    assert frame["n_kept"].dtype.kind == "i"
    classes = report.per_class_frame()
    assert classes.index.names == ["model", "label"]
    assert len(classes) == 16
    assert list(classes.columns) == [
        one.name for one in fields(report.per_class["platt"]) if one.name != "label"
    ]
    assert classes.loc[("isotonic", 0), "name"] == "person"
    content = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert content["models"]["platt"]["measures"][LAECE]["value"] == frame.loc["platt", LAECE]
    assert content["models"]["raw"]["measures"][LAECE]["change"] is None
    assert content["models"]["raw"]["baseline"] is None
    assert len(content["models"]["platt"]["reliability"]["tp"]["n_detections"]) == 10
    assert len(content["models"]["platt"]["position"]["mean_score"]) == 5
    assert content["per_class"]["platt"]["name"][0] == "person"
    assert content["titles"] == report.titles
    assert content["n_images"] == 160


def test_text(report) -> None:
    text = str(report)
    assert repr(report) == text
    titles = list(report.titles.values())
    assert [title.split(":")[0].split(" of ")[0] for title in titles[:4]] == [
        "LaECE_0", "LaACE_0", "Squared error", "LRP"
    ]  # fmt: skip
    assert max(len(line) for line in text.splitlines()) <= 100
    assert report.heading.startswith("160 images, ")
    assert report.notes[0].startswith("95 % intervals from 60 draws of images")
    assert "nan" not in text


def test_html_is_self_contained_and_escaped(tmp_path: Path) -> None:
    nasty = "<script>alert('x')</script> & \"co\""
    names = {0: "<b>person</b>"}
    truth = TEST[1].replaced({"class_names": names})
    report = detection_report(
        TEST[0], truth, calibrator={nasty: CALIBRATORS["platt"]}, n_resamples=10, n_floor=5
    )
    report.to_html(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert "<script" not in page
    assert "<b>" not in page
    assert "&lt;b&gt;person" in page
    assert not re.search(r"https?:|src=|href=|@import|url\(", page)
    assert 'name="viewport"' in page
    figures = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    drawings = [figure for figure in figures if "role='img'" in figure]
    assert len(drawings) == 4  # two panels, two maps
    for figure in drawings:
        root = ET.fromstring(figure)
        assert root.attrib["role"] == "img"
        starts = ("Mean overlap against", "Share right (overlap 0.5) against", "Gap by position")
        assert root.attrib["aria-label"].startswith(starts)
        assert len(root.findtext("desc", "")) > 30
        numbers = [float(n) for c in root.iter("circle") for n in (c.attrib["cx"], c.attrib["cy"])]
        assert np.isfinite(numbers).all()
    assert report._repr_html_() in page
    assert "nan" not in page
    body = re.sub(r"<style>.*?</style>|&[#\w]+;", "", page, flags=re.DOTALL)
    body = body[body.index("<div class='calib-report'>") : body.index("</main>")]
    ET.fromstring(body)  # every element is closed


def test_plot(report) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    ax = report.plot()
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["raw", "platt", "isotonic"]
    assert ax.get_ylabel() == "Mean overlap, 0 for false positives"
    np.testing.assert_array_equal(
        ax.lines[1].get_ydata(),
        report.models["raw"]
        .reliability["iou"]
        .mean_target[report.models["raw"].reliability["iou"].n_detections > 0],
    )
    _, own = plt.subplots()
    assert report.plot(own) is own
    plt.close("all")


# --------------------------------------------------------------------------------------- edge cases


def check_forms(report: Any) -> str:
    """Render every form that needs no further package; return the text."""
    json.dumps(report.to_dict(), allow_nan=False)
    assert report._repr_html_().endswith("</div>")
    assert "nan" not in report._repr_html_()
    assert "nan" not in str(report)
    return str(report)


def test_image_sizes_are_not_known() -> None:
    found = TEST[0].replaced({"image_size": None})
    report = detection_report(found, TEST[1], calibrator=CALIBRATORS, n_resamples=5, n_floor=2)
    assert "position_calibration_error" not in report.models["platt"].measures
    assert report.models["platt"].position is None
    check_forms(report)
    assert any(note.startswith("Image sizes are not known") for note in report.notes)
    assert "Gap by position" not in report._repr_html_()
    whole = detection_report(*TEST, calibrator=CALIBRATORS, n_resamples=5, n_floor=2)
    assert whole.models["platt"].measures[LAECE] == report.models["platt"].measures[LAECE]


def test_no_detections() -> None:
    with pytest.warns(NothingToMeasureWarning, match="'raw', 'platt'"):
        report = detection_report(
            EMPTY, TEST[1], calibrator={"platt": CALIBRATORS["platt"]}, n_resamples=5, n_floor=2
        )
    model = report.models["platt"]
    assert np.isnan(model.measures[LAECE].value)
    assert model.measures["localization_recall_precision"].value == 1
    assert model.ap == 0
    assert model.n_kept == 0
    check_forms(report)
    assert "cannot be measured" in report.headline


def test_nothing_but_crowds() -> None:
    truth = TEST[1].replaced({"ignore": np.ones(len(TEST[1]), dtype=bool)})
    with pytest.warns(NothingToMeasureWarning, match="no annotated box can be missed"):
        report = detection_report(TEST[0], truth, calibrator=CALIBRATORS, n_resamples=5, n_floor=2)
    assert report.n_truth == 0
    assert np.isnan(report.models["raw"].ap)
    assert np.isnan(report.models["raw"].measures["localization_recall_precision"].value)
    assert report.models["raw"].n_skipped == report.models["raw"].n_kept
    check_forms(report)


def test_classes_on_one_side_only() -> None:
    found, truth = TEST
    truth = truth[truth.labels != 1]
    found = found[found.labels != 2]
    report = detection_report(found, truth, calibrator=CALIBRATORS, n_resamples=5, n_floor=2)
    table = report.per_class["platt"]
    assert table.n_truth[1] == 0
    assert table.n_kept[1] > 0
    assert np.isnan(table.lrp_calibrated[1])
    assert table.n_kept[2] == 0
    assert table.lrp_calibrated[2] == 1
    assert np.isnan(table.score_calibrated[2])
    assert report.models["platt"].n_skipped == table.n_kept[1] > 0
    check_forms(report)
    left_out = f"{report.models['platt'].n_skipped} of classes without an annotated box"
    assert left_out in " ".join(report.findings)


def test_one_image_has_values_without_intervals() -> None:
    image = int(TEST[0].image_id[0])
    found, truth = TEST[0][TEST[0].image_id == image], TEST[1].in_images([image])
    report = detection_report(found, truth, calibrator=CALIBRATORS["platt"], n_floor=3)
    measure = report.models["calibrated"].measures["score_iou_squared_error"]
    assert np.isfinite([measure.value, measure.floor_mean, measure.change.value]).all()
    assert np.isnan([measure.interval.low, measure.change.high]).all()
    assert not measure.is_changed
    assert report.n_resamples == 0
    check_forms(report)
    assert report.headline.startswith("One image is too few to judge")
    assert "a single image cannot be resampled" in report.notes[0]


def test_detections_beyond_the_limit_are_counted() -> None:
    one = DetectionCalibrator("platt", max_detections=1).fit(*FIT)
    report = detection_report(*TEST, calibrator=one, n_resamples=3, n_floor=2)
    kept = one.operating_mask(TEST[0]).sum()
    model = report.models["calibrated"]
    assert model.n_kept + model.n_ignored == kept
    assert model.n_ignored > 100
    assert model.ap == average_precision(*TEST).ap  # a limit of its own, not of the fit


@pytest.mark.parametrize(
    ("calibrator", "options", "message"),
    [
        ({}, {}, "empty mapping"),
        ("platt", {}, "must be a fitted DetectionCalibrator"),
        ({"a": 3}, {}, r"got .*'a'"),
        ({1: CALIBRATORS["platt"]}, {}, "non-empty strings"),
        ({"": CALIBRATORS["platt"]}, {}, "non-empty strings"),
        ({"raw": CALIBRATORS["platt"]}, {}, "rename that calibrator"),
        (CALIBRATORS, {"n_resamples": 1}, "n_resamples must be"),
        (CALIBRATORS, {"n_floor": 1}, "n_floor must be"),
        (CALIBRATORS, {"confidence_level": 1.0}, "confidence_level must"),
        (CALIBRATORS, {"random_state": "x"}, "random_state must"),
    ],
)
def test_bad_input(calibrator: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        detection_report(*TEST, calibrator=calibrator, **options)


def test_bad_tables() -> None:
    with pytest.raises(NotFittedError, match="'calibrated' is not fitted; call fit"):
        detection_report(*TEST, calibrator=DetectionCalibrator())
    with pytest.raises(ValueError, match="order of the arguments"):
        detection_report(TEST[0], TEST[0], calibrator=CALIBRATORS)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="detections must be a Detections table"):
        detection_report(TEST[1], TEST[1], calibrator=CALIBRATORS)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="does not list"):
        detection_report(TEST[0], TEST[1].in_images([0, 1]), calibrator=CALIBRATORS)


def test_text_ids(report) -> None:
    found, truth = TEST
    names = np.array([f"scene {k:03d}" for k in range(160)])
    renamed = GroundTruth(
        truth.boxes,
        truth.labels,
        names[truth.image_id],
        ignore=truth.ignore,
        images=names,
        sizes=truth.sizes,
    )
    other = detection_report(
        found.replaced({"image_id": names[found.image_id]}),
        renamed,
        calibrator=CALIBRATORS,
        n_resamples=60,
        n_floor=20,
    )
    assert numbers(other, "platt") == numbers(report, "platt")
    assert other.per_class["platt"].name[0] == "0"


# ---------------------------------------------------------------------------------- a real detector


@pytest.mark.shared_data
def test_published_protocol_on_a_real_detector(yolox) -> None:
    """Values of the published code; its bins close on the other side, hence the tolerance."""
    options = {
        "zero_iou": "reference",
        "per_class": False,
        "threshold_folds": None,
        "form": "published",
    }
    cals = {
        name: DetectionCalibrator(name, **options).fit(*yolox.minival)
        for name in ("isotonic", "linear", "platt", "temperature")
    }
    report = detection_report(yolox.found, yolox.truth, calibrator=cals)
    value = {
        name: {key: measure.value for key, measure in model.measures.items()}
        for name, model in report.models.items()
    }
    raw = report.models["raw"]
    assert raw.n_kept + raw.n_ignored == 2586
    assert value["raw"][LAECE] == pytest.approx(0.1813484, abs=2e-5)
    assert value["raw"]["localization_aware_absolute_error"] == pytest.approx(0.228414, abs=2e-6)
    for key, expected in (
        ("localization_recall_precision", 0.7610045),
        ("lrp_localization", 0.3172326),
        ("lrp_false_positive", 0.2984278),
        ("lrp_false_negative", 0.5698572),
    ):
        assert value["raw"][key] == pytest.approx(expected, abs=1e-7)
        assert value["platt"][key] == pytest.approx(expected, abs=1e-7)
    assert value["raw"][DECE] == pytest.approx(0.0524171, abs=2e-6)
    for name, laece, dece in (
        ("isotonic", 0.14986, 0.07689),
        ("linear", 0.17328, 0.07590),
        ("platt", 0.17227, 0.07594),
        ("temperature", 0.17937, 0.06001),
    ):
        assert value[name][LAECE] == pytest.approx(laece, abs=3e-3), name
        assert value[name][DECE] == pytest.approx(dece, abs=1e-3), name
    assert raw.measures[LAECE].floor_mean == pytest.approx(0.143, abs=0.012)
    assert value["raw"]["score_iou_squared_error"] == pytest.approx(0.0816, abs=5e-5)
    assert value["platt"]["score_iou_squared_error"] == pytest.approx(0.0763, abs=5e-5)
    assert (100 * raw.ap, 100 * raw.ap50) == pytest.approx((26.274, 41.766), abs=5e-4)
    assert report.models["platt"].ap == raw.ap
    assert report.models["isotonic"].ap == pytest.approx(raw.ap, abs=0.01)
    assert report.models["platt"].measures["score_iou_squared_error"].change.high < 0


@pytest.mark.shared_data
def test_netcal_values_at_a_fixed_threshold(yolox) -> None:
    one = DetectionCalibrator("platt", target="tp", threshold=0.3, per_class=False)
    report = detection_report(
        yolox.found, yolox.truth, calibrator=one.fit(*yolox.minival), n_resamples=50
    )
    raw = report.models["raw"]
    assert raw.n_kept == 2170
    assert raw.measures[DECE].value == pytest.approx(0.05875893, abs=1e-7)
    position = raw.measures["position_calibration_error"].value
    assert position * raw.coverage == pytest.approx(0.03945636, abs=1e-7)
    assert report.models["calibrated"].measures[DECE].change.high < 0
    assert not report.models["calibrated"].measures[DECE].is_beyond_floor


def test_calibrated_detectors_are_seldom_called_wrong(scene: Callable[..., Any]) -> None:
    inside = 0
    for seed in range(40):
        found, truth = scene(seed, calibrated=True, n_boxes=300)
        one = DetectionCalibrator("identity", target="tp", threshold=None).fit(found, truth)
        report = detection_report(found, truth, calibrator=one, n_resamples=2, n_floor=40)
        inside += not report.models["raw"].measures[DECE].is_beyond_floor
    assert inside >= 35, f"{inside} of 40 within the floor, n=300, seeds 0..39"


def test_too_few_draws_of_the_floor_are_said() -> None:
    same = DetectionCalibrator("identity").fit(*FIT)
    few, enough = (
        detection_report(*TEST, calibrator=same, n_resamples=9, n_floor=n) for n in (18, 19)
    )
    for form in (str(few), few._repr_html_()):
        assert "Too few draws to judge: 18 simulated detectors cannot show" in " ".join(
            form.split()
        )
        assert "at least 19 are needed (n_floor)." in " ".join(form.split())
    assert not few.models["raw"].measures[LAECE].is_beyond_floor
    assert enough.models["raw"].measures[LAECE].is_beyond_floor
    assert "Too few draws" not in str(enough)
