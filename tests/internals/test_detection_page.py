"""The page of a detection report inside: the headline of every case, stars and their voices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from calib.detection import DetectionCalibrator
from calib.evaluation import Interval, detection_report
from calib.evaluation.detection.report import answer, figures, page, records
from tests.support.detector_reports import FIT, TEST, report_of_two_maps
from tests.support.internals.documents import doc

LAECE, DECE = "localization_aware_calibration_error", "detection_calibration_error"
SQUARED = "score_iou_squared_error"
LRP = "localization_recall_precision"
NAN = float("nan")


def interval(value: float, low: float, high: float, usual: float = NAN) -> Interval:
    return Interval(value, low, high, 0.95, value, value, 0.01, 100, usual)


def measure(
    value: float,
    *,
    star: bool = False,
    left: float = 0.0,
    high: float = 0.03,
    change: tuple[float, float, float] | None = None,
) -> records.DetectionMeasure:
    limit = value - 0.01 if star else value + 0.01
    return records.DetectionMeasure(
        interval(left, 0.01 if star else 0.0, high, value),
        interval(limit - 0.01, limit - 0.02, limit),
        change=None if change is None else interval(*change),
    )


def bins() -> records.ReliabilityBins:
    edges = np.linspace(0, 1, 11)
    middle = (edges[:-1] + edges[1:]) / 2
    counts = np.full(10, 10)
    return records.ReliabilityBins(
        edges[:-1], edges[1:], counts, middle, middle, middle - 0.1, middle + 0.1
    )


def model(
    target: str, baseline: str | None, **measures: records.DetectionMeasure
) -> records.DetectionModelReport:
    step = None if baseline is None else (0.0, 0.0, 0.0)
    lrp = records.DetectionMeasure(
        interval(0.7, 0.6, 0.8),
        interval(NAN, NAN, NAN),
        change=None if step is None else interval(*step),
    )
    return records.DetectionModelReport(
        baseline=baseline,
        target=target,  # type: ignore[arg-type]
        iou_threshold=0.0,
        precision_iou=0.5,
        measures={**measures, LRP: lrp},
        n_kept=2557,
        n_ignored=0,
        n_skipped=0,
        coverage=NAN,
        ap=0.263,
        ap50=0.418,
        ap75=0.272,
        mean_score=0.543,
        mean_iou=0.48,
        precision=0.576,
        reliability={"iou": bins(), "tp": bins()},
        position=None,
    )


def facts(
    error: records.DetectionMeasure,
    score: records.DetectionMeasure,
    other: records.DetectionMeasure,
    *,
    was: records.DetectionMeasure | None = None,
    target: str = "iou",
) -> answer.DetectorFacts:
    keys = (*answer.LEADING[target], DECE if target == "iou" else LAECE)
    after = model(target, "raw", **dict(zip(keys, (error, score, other), strict=True)))
    before = model(
        target,
        None,
        **{key: measure(0.177, star=True, left=0.032) for key in keys[1:]},
        **{keys[0]: was or measure(0.177, star=True, left=0.032)},
    )
    return answer.DetectorFacts("calibrated", after, before, None, 0.95)


DOWN, UP = (-0.013, -0.023, -0.009), (0.038, 0.023, 0.061)
NOISE, SAME = (0.001, -0.01, 0.012), (0.0, 0.0, 0.0)
RISEN = measure(0.09, star=True, left=0.08, change=UP)
STILL = measure(0.05, change=NOISE)
CASES = {
    "closer": facts(
        measure(0.164, star=True, left=0.017, change=DOWN), measure(0.08, change=DOWN), RISEN
    ),
    "closer_clean": facts(measure(0.164, change=DOWN), measure(0.08, change=DOWN), STILL),
    "closer_left": facts(measure(0.164, change=DOWN), measure(0.08, star=True, change=DOWN), STILL),
    "closer_score": facts(measure(0.164, change=NOISE), measure(0.08, change=DOWN), STILL),
    "mixed": facts(measure(0.2, star=True, change=UP), measure(0.08, change=DOWN), STILL),
    "worse": facts(measure(0.2, star=True, left=0.06, change=UP), STILL, STILL),
    "no_change": facts(measure(0.17, star=True, left=0.032, change=NOISE), STILL, STILL),
    "keep": facts(STILL, STILL, STILL, was=measure(0.05)),
    "too_few": facts(measure(0.05, high=0.12, change=NOISE), STILL, STILL, was=measure(0.05)),
    "one_image": facts(measure(0.05, high=NAN, change=(0.01, NAN, NAN)), STILL, STILL),
    "nothing": facts(measure(NAN, left=NAN, change=(NAN, NAN, NAN)), STILL, STILL),
}


@pytest.mark.parametrize("case", CASES)
def test_every_case_of_the_headline(case: str) -> None:
    found = answer.detector_headline(CASES[case])
    assert found.case == case
    assert "{" not in found.text
    assert "nan" not in found.text


def test_the_sentence_of_the_design() -> None:
    found = answer.detector_headline(CASES["closer"])
    assert found.text == (
        "Calibration brings scores closer to the overlap: it removes 47 % of the error beyond "
        "chance. As a chance of being right they are worse, by design."
    )
    effect, rise, kept = (one.text for one in answer.detector_bullets(CASES["closer"]))
    assert effect.startswith("LaECE 17.7 % before, 16.4 % after (change -2.3 to -0.9 points); ")
    assert rise == (
        'D-ECE rises by 3.8 points (+2.3 to +6.1): a score now means "expected overlap", which '
        "is lower than the chance of being right. If scores shall be that chance, fit with "
        'target="tp".'
    )
    assert kept == (
        "Nothing is lost: all 2,557 detections are kept, AP stays at 26.3 %, LRP at 70.0 %."
    )
    several = answer.detector_headline(CASES["closer"], n_calibrators=3).text
    assert several.startswith("Use calibrated: it brings scores closer to the overlap and removes")


def test_the_other_target_has_its_own_words() -> None:
    error = measure(0.03, star=True, left=0.016, change=DOWN)
    one = facts(error, measure(0.08, change=DOWN), RISEN, target="tp")
    assert answer.detector_headline(one).text.endswith("As an overlap they are worse, by design.")
    assert 'fit with target="iou"' in answer.detector_bullets(one)[1].text
    assert "which is higher than the overlap" in answer.detector_bullets(one)[1].text


def test_raw_scores_by_themselves() -> None:
    raw = CASES["closer"].before
    assert raw is not None
    alone = answer.DetectorFacts("raw", raw, None, None, 0.95)
    assert answer.detector_headline(alone).case == "off"
    assert answer.detector_headline(alone).text == (
        "Scores are off as an overlap, by 3.2 points beyond chance: mean score 0.543, mean overlap "
        "0.480. Calibrate them."
    )
    columns = [column.title for column in page.answer_table(alone).columns]
    assert columns == ["Measure", "Raw", "Picture"]
    for high, case in ((0.03, "nothing_seen"), (0.2, "too_few")):
        quiet = model("iou", None, **{key: measure(0.05, high=high) for key in (LAECE, SQUARED)})
        found = answer.detector_headline(answer.DetectorFacts("raw", quiet, None, None, 0.95))
        assert found.case == case
        assert "nan" not in found.text


@pytest.mark.parametrize("case", [case for case in CASES if case != "nothing"])
def test_stars_and_worsenings_have_a_voice(case: str) -> None:
    one = CASES[case]
    said = " ".join(
        [
            answer.detector_headline(one).text,
            *(found.text for found in answer.detector_bullets(one)),
        ]
    )
    short = {LAECE: "LaECE", SQUARED: "squared error", DECE: "D-ECE"}
    for key, name in short.items():
        if one.after.measures[key].is_beyond_floor or key in one.risen:
            assert name in said, (key, said)
    assert len(answer.detector_bullets(one)) <= 4
    by_design = "worse, by design" in answer.detector_headline(one).text
    assert by_design == (DECE in one.risen and not one.worse and case != "mixed")


def test_the_table_says_what_a_change_means() -> None:
    words = {
        case: [row[-1].text for row in page.answer_table(CASES[case]).groups[0].rows]
        for case in ("closer", "worse", "closer_score")
    }
    assert words["closer"] == ["better", "better", "worse, by design", "unchanged"]
    assert words["worse"] == ["worse", "no clear change", "no clear change", "unchanged"]
    assert words["closer_score"][0] == "no clear change"
    table = page.answer_table(CASES["closer"])
    (first, *_), titles = table.groups[0].rows, [column.title for column in table.columns]
    assert titles == ["Measure", "Raw", "calibrated", "Before, after", "Change", "So"]
    assert (first[1].text, first[1].mark, first[1].chance) == ("17.7", "*", "15.7")
    before, after = first[3].glyphs
    assert (before.hollow, after.hollow) == (True, False)
    assert (before.beyond, after.beyond) == (True, True)
    assert 0 < after.dot < before.dot < 1
    assert first[4].interval == "-2.3 to -0.9"
    assert [column.title for column in page.paper_table(table).columns] == [
        title for title in titles if title != "Before, after"
    ]


def test_others_are_level_or_behind() -> None:
    ranking = answer.Ranking(
        np.array([0, 1, 2]), np.array([True, True, False]), np.zeros(3), np.ones(3)
    )
    level, behind = answer.others(ranking, ["a", "b", "c"], "a", "iou")
    assert level.text == "Also b: not distinguishable by squared error."
    assert behind.text == "Clearly behind by squared error: c."
    assert answer.others(None, ["a", "b"], "a", "iou") == []


def test_no_sentence_is_unused() -> None:
    used = {answer.detector_headline(one).case for one in CASES.values()}
    assert used <= set(answer.SENTENCES)


# ----------------------------------------------------------------------------------------- reports


def check_terminal(report: Any) -> None:
    """Assert that a print fits a terminal, whatever the calibrators."""
    lines = str(report).splitlines()
    assert len(lines) <= 25, str(report)
    assert max(map(len, lines)) <= 80, str(report)
    assert lines[0].startswith(report.headline[:40])


def test_a_terminal_needs_25_lines_of_80_columns_at_most() -> None:
    check_terminal(report_of_two_maps())
    for target in ("iou", "tp"):
        one = DetectionCalibrator("platt", target=target).fit(*FIT)
        check_terminal(detection_report(*TEST, calibrator=one, n_resamples=60, n_floor=20))


def test_folds_hold_classes_thresholds_and_counts() -> None:
    report = report_of_two_maps()
    folds = {
        block.title: block for block in report.document().blocks if isinstance(block, doc.Fold)
    }
    chosen = report.recommended
    assert list(folds) == [
        f"{chosen} against raw", "How to read this", "All numbers", "In words",
        "Counts and average precision", f"Classes of {chosen}", f"Thresholds of {chosen}",
        "Classes and thresholds of the others", "Gap by position", "How this was computed",
    ]  # fmt: skip
    _, classes = folds[f"Classes of {chosen}"].blocks
    boxes = [int(row[1].text.replace(",", "")) for row in classes.groups[0].rows]
    assert boxes == sorted(boxes, reverse=True)
    assert folds["Thresholds of " + chosen].blocks[0].text.startswith("Thresholds of the fit: ")
    counts = folds["Counts and average precision"].blocks[1].groups[0].rows[0]
    given, below, ignored, counted = (int(cell.text.replace(",", "")) for cell in counts[1:5])
    assert given == below + ignored + counted == report.n_detections
    assert report.to_dict()["answer"][0]["text"] == report.headline
    latex = report.to_latex()
    assert "hollow, filled" not in latex
    assert r"{\scriptsize (" in latex


def test_one_threshold_for_all_classes_needs_no_table() -> None:
    one = DetectionCalibrator("platt", threshold=0.3).fit(*FIT)
    report = detection_report(*TEST, calibrator=one, n_resamples=5, n_floor=2)
    folds = [block for block in report.document().blocks if isinstance(block, doc.Fold)]
    blocks = next(fold for fold in folds if fold.title == "Thresholds").blocks
    assert blocks[0].text.startswith("Thresholds of the fit: 0.3 for all classes")
    assert not any(isinstance(block, doc.Table) for block in blocks)
    every = DetectionCalibrator("platt", threshold=None).fit(*FIT)
    report = detection_report(*TEST, calibrator=every, n_resamples=5, n_floor=2)
    assert "No threshold was fitted: every detection is kept." in report.findings[-1]


@pytest.mark.parametrize("strength", np.linspace(-1, 1, 41))
def test_numbers_oncolours_can_be_read(strength: float) -> None:
    def luminance(colour: str) -> float:
        part = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
        linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
        return float(linear @ (0.2126, 0.7152, 0.0722))

    fill, ink = map(luminance, figures.colours(strength))
    assert (max(fill, ink) + 0.05) / (min(fill, ink) + 0.05) >= 4.5
