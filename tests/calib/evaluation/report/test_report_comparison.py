"""What a report says beyond its table: differences, findings, tests, further measures, page."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from html import unescape
from pathlib import Path

import numpy as np
import pytest

from calib.evaluation import (
    calibration_report,
    calibration_tests,
    expected_calibration_error,
    ks_calibration_error,
    post_hoc_improvement,
    score_decomposition,
    smooth_calibration_error,
)
from tests.support.reports import two_models

#: What `measures="all"` adds, in its order.
FURTHER = [
    "smooth_calibration_error",
    "ks_calibration_error",
    "sweep_calibration_error",
    "density_calibration_error",
    "maximum_mean_calibration_error",
    "integrated_calibration_index",
    "maximum_calibration_error",
    "average_calibration_error",
    "classwise_calibration_error",
    "classwise_ks_calibration_error",
]


# ------------------------------------------------------------------------------------- differences


def test_differences_are_those_of_the_values_and_paired() -> None:
    y, true, sharp = two_models(0)
    report = calibration_report(y, {"raw": sharp, "true": true, "same": sharp}, n_resamples=100)
    assert list(report.differences) == ["true", "same"]
    models = report.models
    for key, found in report.differences["true"].items():
        after, before = (models[name].measures[key] for name in ("true", "raw"))
        assert found.value == pytest.approx(after.debiased - before.debiased, abs=1e-15)
        assert found.usual == pytest.approx(after.value - before.value, abs=1e-15)
        assert found.low <= found.value <= found.high
    for found in report.differences["same"].values():
        assert (found.value, found.low, found.high, found.usual) == (0, 0, 0, 0)
    loss, alone = report.differences["true"]["log_loss"], models["raw"].measures["log_loss"]
    assert loss.standard_deviation < alone.interval.standard_deviation
    assert loss.high < 0
    assert report.compare("true", "raw") == report.differences["true"]
    for key, back in report.compare("raw", "true").items():
        assert back.value == pytest.approx(-report.differences["true"][key].value, abs=1e-15)
        assert back.standard_deviation == pytest.approx(
            report.differences["true"][key].standard_deviation, abs=1e-12
        )
    with pytest.raises(ValueError, match=r"base must be .*'raw'.*got 'rwa'"):
        report.compare("true", "rwa")


def test_the_reference_is_what_others_are_compared_with() -> None:
    y, true, sharp = two_models(0)
    models = {"true": true, "raw": sharp, "more": 0.5 * (true + sharp)}
    first, named = (
        calibration_report(y, models, reference=name, n_resamples=50) for name in (None, "raw")
    )
    assert (first.reference, named.reference) == ("true", "raw")
    assert list(named.differences) == ["true", "more"]
    assert first.headline.startswith("Keep true: ")
    assert named.headline.startswith("Use true: ")
    assert named.recommended == first.recommended == "true"
    assert named.models["raw"].measures == first.models["raw"].measures
    with pytest.raises(ValueError, match="reference must be"):
        calibration_report(y, models, reference="rwa")


def test_difference_of_scores_agrees_with_the_improvement() -> None:
    y, true, sharp = two_models(1)
    found = calibration_report(y, {"raw": sharp, "true": true}, n_resamples=400).differences["true"]
    other = post_hoc_improvement(y, sharp, true, n_resamples=400, random_state=3)
    for ours, theirs in ((found["log_loss"], other.log_loss), (found["brier"], other.brier)):
        assert ours.value == pytest.approx(-theirs.value, abs=1e-12)
        assert ours.standard_deviation == pytest.approx(theirs.standard_deviation, rel=0.15)


def test_one_model_has_no_differences() -> None:
    y, true, _ = two_models(2, 200)
    report = calibration_report(y, true, n_resamples=5)
    assert report.differences == {}
    for text in (str(report), report.details(), report._repr_html_()):
        assert "Minus" not in text
        assert "Changes against" not in text
        assert "behind" not in text


# ---------------------------------------------------------------------------------------- findings


def test_findings_name_the_range() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(0.4, 1, 20000)
    hit = rng.random(20000) < np.where(p > 0.8, p - 0.15, p)
    rest = (1 - p) / 2
    report = calibration_report(
        np.where(hit, 0, 1 + (rng.random(20000) < 0.5)),
        np.column_stack([p, rest, rest]),
        n_bins=10,
        n_resamples=40,
    )
    found = re.match(
        r"Overconfident above 0\.8: claims (\d+\.\d) %, right in (\d+\.\d) %\.", report.headline
    )
    assert found
    claimed, right = map(float, found.groups())
    assert claimed == pytest.approx(90, abs=0.5)
    assert claimed - right == pytest.approx(15, abs=1)
    assert report.headline in " ".join(str(report).split())


def test_findings_of_two_classes_use_other_words() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(20000)
    y = rng.random(20000) < p**1.5
    headline = calibration_report(y.astype(int), p, n_resamples=40).headline
    assert headline.startswith("Probabilities too high ")
    assert "confident" not in headline


def test_calibrated_models_differ_within_noise() -> None:
    y, true, _ = two_models(4)
    report = calibration_report(y, {"isotonic": true, "temperature": true})
    assert report.headline == (
        "Keep isotonic: no other method is better beyond chance; temperature is not "
        "distinguishable from it."
    )
    assert report.may_be_best == ("isotonic", "temperature")
    for model in report.models:
        assert report.verdict(model).startswith("No miscalibration seen; ")


def test_findings_say_which_is_better() -> None:
    y, true, sharp = two_models(5)
    report = calibration_report(y, {"raw": sharp, "true": true})
    assert report.headline.startswith("Use true: it leaves no miscalibration ")
    assert any(text.startswith("raw is clearly behind in log loss (") for text in report.findings)
    back = calibration_report(y, {"true": true, "raw": sharp})
    assert back.headline.startswith("Keep true: raw is worse (log loss +")
    assert "Worse than true in some respect: raw (Brier score, ECE, ACE)." in back.findings


# --------------------------------------------------------------------------------- tests and others


def test_tests_and_decompositions_on_request() -> None:
    y, true, sharp = two_models(6, 600)
    plain = calibration_report(y, {"raw": sharp, "true": true}, n_resamples=10)
    assert plain.tests == {}
    assert plain.decompositions == {}
    report = calibration_report(y, {"raw": sharp, "true": true}, n_resamples=10, tests=True)
    expected = calibration_tests(y, sharp, random_state=0)
    for key in ("ecce_mad", "cox", "spiegelhalter", "hosmer_lemeshow"):
        assert report.tests["raw"][key].p_value == pytest.approx(expected[key].p_value)
    assert report.models["raw"].measures == plain.models["raw"].measures
    for score in ("brier", "log_loss"):
        found = report.decompositions["raw"][score]
        assert found == pytest.approx(score_decomposition(y, sharp, score=score))
    text = " ".join(report.details().split())
    assert "raw 600 samples, top label " in text
    assert "Decomposition" in text
    for one, there in ((report, True), (plain, False)):
        assert ("Tests of calibration" in one.details()) == there
        assert ("Tests of calibration" in one._repr_html_()) == there
    content = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert content["tests"]["true"]["tests"]["cox"]["p_value"] > 0.001
    assert content["decompositions"]["raw"]["brier"]["miscalibration"] > 0
    assert content["differences"]["true"]["brier"]["high"] < 0
    assert [sentence["text"] for sentence in content["answer"]] == report.findings


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_further_measures_are_the_functions(n_classes: int, weighted: bool) -> None:
    y, true, sharp = two_models(7, 400, n_classes)
    w = np.random.default_rng(1).random(400) if weighted else None
    report = calibration_report(
        y, {"raw": sharp, "true": true}, sample_weight=w, measures="all", n_resamples=20
    )
    view = {"average": "binary" if n_classes == 2 else "top_label", "sample_weight": w}
    raw = report.models["raw"].measures
    assert list(raw)[7:] == FURTHER == list(report.further)
    for name, function in (
        ("smooth_calibration_error", smooth_calibration_error),
        ("ks_calibration_error", ks_calibration_error),
    ):
        assert raw[name].value == pytest.approx(function(y, sharp, **view), abs=1e-12)
    for name, function in (
        ("classwise_calibration_error", expected_calibration_error),
        ("classwise_ks_calibration_error", ks_calibration_error),
    ):
        expected = function(y, sharp, average="classwise", sample_weight=w)
        assert raw[name].value == pytest.approx(expected, abs=1e-12)
    for name in ("smooth_calibration_error", "ks_calibration_error", "classwise_calibration_error"):
        assert raw[name].surprises(name)
        assert not report.models["true"].measures[name].surprises(name)
    assert "Smooth calibration error" in report.details()
    core = calibration_report(y, {"raw": sharp}, sample_weight=w, n_resamples=20)
    for name, found in core.models["raw"].measures.items():
        assert (raw[name].value, raw[name].floor) == (found.value, found.floor)
        assert raw[name].debiased == found.debiased
        assert raw[name].high == found.high  # what chance explains depends on all measures


def test_further_measures_by_name_and_group() -> None:
    y, true, _ = two_models(8, 60)
    y, true, groups = np.repeat(y, 9), np.repeat(true, 9, axis=0), np.repeat(np.arange(60), 9)
    names = ["ks_calibration_error", "log_loss"]
    single, grouped = (
        calibration_report(y, true, measures=names, groups=given, n_resamples=200)
        for given in (None, groups)
    )
    assert single.further == ("ks_calibration_error",)
    spread = [
        r.models["model"].measures["ks_calibration_error"].interval.standard_deviation
        for r in (single, grouped)
    ]
    assert spread[1] > 1.7 * spread[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"measures": ["brier", "bier"]}, "unknown name 'bier'; known are log_loss, .*smooth_"),
        ({"measures": "brier"}, "must be 'core', 'all' or a list"),
        ({"measures": 3}, "must be 'core', 'all' or a list"),
        ({"tests": "yes"}, "tests must be"),
    ],
)
def test_bad_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        calibration_report([0, 1], [0.1, 0.9], **options)  # type: ignore[arg-type]


# -------------------------------------------------------------------------------------------- page


def test_every_picture_is_described() -> None:
    y, true, sharp = two_models(9, 500)
    page = calibration_report(y, {"<b>": true, "raw": sharp}, n_resamples=5)._repr_html_()
    pictures = [ET.fromstring(f) for f in re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)]
    spoken = [picture for picture in pictures if picture.attrib.get("aria-hidden") != "true"]
    titled = [picture.findtext("title", "") for picture in spoken]
    assert titled == ["Accuracy over ranges of the prediction", "Added-up gap"]
    for picture in spoken:
        assert picture.attrib["role"] == "img"
        assert picture.findtext("desc", "") in picture.attrib["aria-label"]
        assert re.search(r"\d", picture.attrib["aria-label"])
    assert "@media print" in page


@pytest.mark.slow
def test_page_in_a_browser(tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no browser: neither chromium nor google-chrome is on the path")
    y, true, sharp = two_models(11, 600)
    report = calibration_report(y, {"raw": sharp, "true": true}, n_resamples=10, tests=True)
    path = tmp_path / "report.html"
    report.to_html(path)
    options = [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
        "--no-first-run", f"--user-data-dir={tmp_path / 'profile'}",
    ]  # fmt: skip
    found = subprocess.run(
        [browser, *options, "--dump-dom", path.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    assert found.count("<svg") == found.count("</svg>") >= 2
    assert "<title>Calibration report" in found
    shown = " ".join(unescape(re.sub(r"<[^>]*>", "", found)).split())
    for text in (*report.findings, "Changes against raw", "Tests of calibration"):
        assert text in shown.replace("\N{NO-BREAK SPACE}", " ")
    subprocess.run(
        [
            browser, *options, "--window-size=390,2400",
            f"--screenshot={tmp_path / 'phone.png'}", path.as_uri(),
        ],
        capture_output=True,
        timeout=120,
        check=True,
    )  # fmt: skip
    assert (tmp_path / "phone.png").stat().st_size > 20000


def test_changes_leave_out_what_the_error_is_the_sum_of() -> None:
    y, true, sharp = two_models(4, 300)
    report = calibration_report(y, {"raw": sharp, "net": true}, n_resamples=20)
    details = report.details()
    changes = details[details.index("Changes against raw") : details.index("Method by method")]
    titles = [title for title in report.titles.values() if title.split(" (")[0] in changes]
    assert len(titles) == 5
    assert "confidence" not in changes
    assert details.count("Difference: model minus reference") == 1
