"""The answer of a report agrees with its numbers: stars, intervals, words, p-values, sets."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.special import softmax

from calib.evaluation import (
    CalibrationAccumulator,
    accumulated_report,
    adaptive_calibration_error,
    brier_score,
    calibration_report,
    expected_calibration_error,
    metric_interval,
)
from tests.support.answers import logits, scaled

SCORES = ("log_loss", "brier", "accuracy")
#: What a starred measure is called in sentences: of confidences, of probabilities of an event.
WORDS = {
    "log_loss": ("log loss", "log loss"),
    "brier": ("Brier score", "Brier score"),
    "accuracy": ("accuracy", "accuracy"),
    "expected_calibration_error": ("ECE", "ECE"),
    "adaptive_calibration_error": ("ACE", "ACE"),
    "overconfidence": ("overconfidence", "predictions above the rates"),
    "underconfidence": ("underconfidence", "predictions below the rates"),
}
#: Headlines that say that a model, or the recommended one, shows nothing.
SILENT = {
    "clean_after",
    "both_clean",
    "too_few",
    "too_few_single",
    "no_events",
    "nothing_seen",
    "nothing_seen_binary",
}


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.sampled_from([20, 100, 500]),
    n_classes=st.integers(2, 4),
    slopes=st.lists(st.sampled_from([0.3, 0.8, 1.0, 1.3, 4.0]), min_size=1, max_size=3),
    stream=st.booleans(),
)
def test_a_star_is_an_interval_above_0_and_a_word(
    seed: int, n: int, n_classes: int, slopes: list[float], stream: bool
) -> None:
    y, z = logits(seed, n, n_classes)
    models = {f"m{k}": softmax(slope * z, axis=1) for k, slope in enumerate(slopes)}
    options = {"n_resamples": 40, "random_state": 0}
    if stream:
        sums = {name: CalibrationAccumulator(n_classes).update(y, p) for name, p in models.items()}
        report = accumulated_report(sums, **options)
    else:
        report = calibration_report(y, models, labels=np.arange(n_classes), **options)
    frame = report.to_frame()
    binary = n_classes == 2
    for name, model in report.models.items():
        starred = {key for key, found in model.measures.items() if found.surprises(key)}
        for key, found in model.measures.items():
            row = frame[(frame.model == name) & (frame.measure == key)].iloc[0]
            assert row.beyond_chance == (key in starred)
            assert (found.p_value <= 0.05) == (key in starred), key
            if key not in SCORES:
                assert (found.low > 0) == (key in starred), key
                assert (row.value > row.chance_high) == (key in starred), key
            else:
                inside = row.chance_low <= row.value <= row.chance_high
                assert inside == (key not in starred), key
        said = report.verdict(name)
        assert said.startswith("No miscalibration seen; ") == (not starred)
        named = re.search(r"More than chance: (.*?)\.(?: |$)", said)
        expected = [WORDS[key][binary] for key in model.measures if key in starred]
        assert (re.split(", | and ", named[1]) if named else []) == expected
    chosen = report.models[report.recommended].measures
    starred = [key for key, found in chosen.items() if found.surprises(key)]
    case = report.answer[0].case
    assert not (case in SILENT and starred)
    if starred and len(models) > 1:
        assert {"left", "still_off"} & {verdict.case for verdict in report.answer}
    if len(models) == 1:
        assert (case in SILENT) == (not starred)
        for key in starred:
            assert any(WORDS[key][binary] in text for text in report.findings)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    slopes=st.lists(st.sampled_from([0.5, 0.9, 1.0, 1.05, 2.0]), min_size=2, max_size=6),
    reference=st.integers(0, 5),
    grouped=st.booleans(),
)
def test_sets_orders_and_recommendations_agree(
    seed: int, slopes: list[float], reference: int, grouped: bool
) -> None:
    y, z = logits(seed, 300, 3)
    models = {f"m{k}": softmax(slope * z, axis=1) for k, slope in enumerate(slopes)}
    first = list(models)[reference % len(models)]
    groups = np.arange(300) // 4 if grouped else None
    report = calibration_report(
        y, models, reference=first, groups=groups, n_resamples=40, random_state=0
    )
    comparison, frame = report.comparison, report.to_frame()
    assert report.reference == first
    assert set(comparison.order) == set(models)
    assert report.may_be_best == comparison.order[: len(report.may_be_best)]
    assert report.recommended in report.may_be_best
    values = [report.models[name].measures["log_loss"].value for name in comparison.order]
    assert values == sorted(values)
    honest = [
        name
        for name in report.may_be_best
        if not any(m.surprises(key) for key, m in report.models[name].measures.items())
    ]
    pool = honest or list(report.may_be_best)
    assert report.recommended in pool
    if first in pool:
        assert report.recommended == first
    for name in models:
        behind = comparison.behind_at_least(name)
        assert (behind > 0) == (name not in report.may_be_best)
        row = frame[(frame.model == name) & (frame.measure == "log_loss")].iloc[0]
        assert row["rank"] == comparison.order.index(name) + 1
        assert row.may_be_best == (name in report.may_be_best)
        assert row.behind_at_least == behind
    assert not comparison.worse[first]
    assert "log_loss" not in comparison.worse[report.recommended]
    worsened = {name for name, worse in comparison.worse.items() if set(worse) - {"log_loss"}}
    lists = [
        verdict.parameters["list"] for verdict in report.answer if verdict.case == "worse"
    ] or [""]
    said = re.sub(r"(\d+) others", "", lists[0])
    hidden = sum(map(int, re.findall(r"(\d+) others", lists[0])))
    told = {name for name in worsened if re.search(rf"\b{name}\b", said)}
    assert len(told) + hidden >= len(worsened)  # one of many is counted where it is not named
    assert bool(lists[0]) >= bool(worsened)


def test_identical_models_share_everything() -> None:
    y, z = logits(0, 400, 3)
    p = softmax(z, axis=1)
    report = calibration_report(y, {"a": p, "b": p, "c": p}, n_resamples=40, reference="b")
    assert report.may_be_best == ("a", "b", "c")
    assert report.recommended == "b"
    assert report.comparison.worse == {"a": {}, "b": {}, "c": {}}


# ------------------------------------------------------------------------------------------- doors


@pytest.mark.parametrize(("n_classes", "slope"), [(2, 1.0), (2, 2.0), (5, 1.0), (5, 2.0)])
def test_one_number_through_all_doors(n_classes: int, slope: float) -> None:
    y, z = logits(3, 1500, n_classes)
    p = softmax(slope * z, axis=1)
    report = calibration_report(y, p, n_resamples=100, random_state=5)
    frame = report.to_frame().set_index("measure")
    wide = report.to_frame(tidy=False).loc["model"]
    content = report.to_dict()["models"]["model"]["measures"]
    for key, function in (
        ("expected_calibration_error", expected_calibration_error),
        ("adaptive_calibration_error", adaptive_calibration_error),
        ("brier", brier_score),
    ):
        found = report.models["model"].measures[key]
        assert found.usual == found.value == pytest.approx(function(y, p), abs=1e-12)
        assert frame.loc[key, "usual"] == wide[key] == content[key]["value"] == found.value
        assert frame.loc[key, "value"] == wide[f"{key}_debiased"] == found.debiased
        assert content[key]["debiased"] == found.debiased
        for end in ("low", "high"):
            number = getattr(found, end)
            assert frame.loc[key, end] == wide[f"{key}_{end}"] == content[key][end] == number
        there = metric_interval(function, y, p, n_resamples=100, random_state=5)
        tolerance = 0.2 * found.interval.standard_deviation
        assert there.usual == pytest.approx(found.usual, abs=1e-12)
        assert there.value == pytest.approx(found.debiased, abs=tolerance)
        assert there.low == pytest.approx(found.low, abs=2 * tolerance)
        assert there.high == pytest.approx(found.high, abs=2 * tolerance)


# ----------------------------------------------------------------------------------------- options


def test_forms_of_the_frame() -> None:
    report = scaled(0, 500, 3, raw=2.0, scaled=1.0)
    tidy, wide = report.to_frame(), report.to_frame(tidy=False)
    assert tidy.columns.tolist() == [
        "model", "measure", "value", "low", "high", "usual", "if_calibrated", "chance_low",
        "chance_high", "p", "beyond_chance", "rank", "may_be_best", "behind_at_least",
    ]  # fmt: skip
    assert len(tidy) == 2 * 7
    assert wide.index.tolist() == ["raw", "scaled"]
    assert not tidy.drop(columns=["rank"]).isna().any().any()
    for key, rows in tidy.groupby("measure"):
        assert sorted(rows["rank"]) == [1, 2], key
    with pytest.raises(ValueError, match="tidy must be"):
        report.to_frame(tidy="no")


@pytest.mark.parametrize("options", [{"values": "both"}, {"intervals": 3}])
def test_unknown_options_of_tables(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must be"):
        scaled(0, 100, 3, raw=2.0).to_latex(**options)


def test_pages_can_be_written_with_open_folds(tmp_path) -> None:
    report = scaled(0, 500, 3, raw=2.0, scaled=1.0)
    for unfold in (False, True):
        report.to_html(tmp_path / "report.html", unfold=unfold)
        page = (tmp_path / "report.html").read_text(encoding="utf-8")
        folds = re.findall(r"<details[^>]*>", page)
        assert len(folds) > 4
        assert all(("open" in fold) == unfold for fold in folds)


def test_the_level_is_that_of_stars_words_and_intervals() -> None:
    y, z = logits(6, 400, 3)
    p = softmax(1.35 * z, axis=1)
    strict, loose = (
        calibration_report(y, p, confidence_level=level, n_resamples=200) for level in (0.99, 0.6)
    )
    for report, level in ((strict, "99 %"), (loose, "60 %")):
        assert f"{level} interval" in report._repr_html_()
        for key, found in report.models["model"].measures.items():
            assert (found.p_value <= 1 - report.confidence_level) == found.surprises(key)
    for key, found in strict.models["model"].measures.items():
        other = loose.models["model"].measures[key]
        assert found.low <= other.low
        assert other.high <= found.high
