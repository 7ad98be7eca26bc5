"""The measures of a report inside: blocks and floors, deviating ranges, charts."""

from __future__ import annotations

import numpy as np
import pytest

from calib.evaluation import (
    binned_calibration_table,
    calibration_report,
)
from calib.evaluation.report.diagnosis import Diagnosis, Range, deviating_ranges, probability_text
from tests.support.internals.documents import panels
from tests.support.reports import MEASURES, simulate, two_models


def test_blocks_do_not_matter(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    y, p, _ = simulate(rng, 500)
    whole = calibration_report(y, p, n_resamples=200).models["model"].measures
    monkeypatch.setattr("calib.evaluation.report.measures.BLOCK_NUMBERS", 201 * 37)
    pieces = calibration_report(y, p, n_resamples=200).models["model"].measures
    for name in MEASURES:
        assert pieces[name].value == pytest.approx(whole[name].value, abs=1e-12)
        spread = whole[name].interval.standard_deviation
        assert pieces[name].interval.standard_deviation == pytest.approx(spread, rel=0.25)


def test_probability_zero_on_the_label_is_cut_and_reported() -> None:
    p = np.array([[1.0, 0.0], [1e-30, 1 - 1e-30], [0.5, 0.5]])
    report = calibration_report([1, 0, 0], p, n_resamples=10)
    expected = -(np.log(np.finfo(np.float32).tiny) + np.log(1e-30) + np.log(0.5)) / 3
    assert report.models["model"].measures["log_loss"].value == pytest.approx(expected)
    assert report.models["model"].n_impossible == 1
    assert "Samples whose label had probability 0: 1;" in report.verdict("model")
    for dtype, floor in ((np.float32, np.finfo(np.float32).tiny), (np.float16, 6e-8)):
        halves = np.array([[1.0, 0.0], [0.5, 0.5]], dtype=dtype)
        found = calibration_report([1, 0], halves, n_resamples=2).models["model"].measures
        assert found["log_loss"].value == pytest.approx(
            -(np.log(floor) + np.log(0.5)) / 2, rel=1e-3
        )


def test_calibrated_samples_seldom_yield_a_range() -> None:
    alarms = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        p = rng.random(500)
        table = binned_calibration_table(rng.random(500) < p, p, average="binary")
        alarms += bool(deviating_ranges(table, 0.95))
    assert alarms <= 18, f"{alarms} of 200 samples of 500, seeds 0..199; 10 expected at most"


def test_worst_classes_of_many() -> None:
    y, p, _ = two_models(10, 3000, 40)
    p[:, 7] *= 2  # far too probable
    p /= p.sum(axis=1, keepdims=True)
    report = calibration_report(y, p, n_resamples=5)
    (fold,) = (
        block
        for block in report.document().blocks
        if "Single classes" in getattr(block, "title", "")
    )
    assert fold.note == "the 25 of 40 that deviate most"
    (table,) = (block for block in fold.blocks if hasattr(block, "n_rows"))
    rows = {int(row[0].text): row for group in table.groups for row in group.rows}
    assert len(rows) == 25
    assert "*" in rows[7][-1].mark
    gap = {k: 100 * (p[:, k].mean() - (y == k).mean()) for k in range(40)}
    for k, row in rows.items():
        assert float(row[-1].text) == pytest.approx(gap[k], abs=0.006)
    error = {k: np.sqrt((p[:, k] * (1 - p[:, k])).mean()) for k in range(40)}
    size = {k: abs(gap[k]) / error[k] for k in range(40)}
    hidden = [size[k] for k in range(40) if k not in rows]
    assert min(size[k] for k in rows) >= 0.999 * max(hidden)
    assert "the 25 of 40 that deviate most" in report._repr_html_()


def test_thinning_keeps_the_extremes() -> None:
    walk = np.cumsum(np.random.default_rng(0).normal(size=50000))
    shown = panels.thinned(walk)
    assert len(shown) <= 3 * panels.STRETCHES + 1
    assert walk[shown].max() == walk.max()
    assert walk[shown].min() == walk.min()
    assert shown[0] == 0
    assert shown[-1] == len(walk) - 1


@pytest.mark.parametrize(
    ("probability", "text"),
    [(0.0, "0"), (1.0, "1"), (0.5, "0.5"), (0.9333, "0.93"), (0.9995, "0.9995"), (1e-5, "0.00001"),
     (0.99, "0.99"), (0.997, "0.997")],
)  # fmt: skip
def test_probabilities_near_their_ends_keep_digits(probability: float, text: str) -> None:
    assert probability_text(probability) == text


@pytest.mark.parametrize(
    ("ranges", "view", "briefs"),
    [
        ([(0.5, 0.9, 0.1)], "top_label", ["over 0.5-0.9", "over 0.5-0.9", "over", "both ways"]),
        ([(0.9, 1, 0.1)], "binary", ["too high above 0.9", "too high above 0.9", "too high"]),
        ([(0, 1, -0.1)], "top_label", ["under on the whole scale", "under", "under"]),
        ([(0, 0.2, -0.1), (0.9, 1, 0.1)], "top_label",
         ["under below 0.2, over above 0.9", "under below 0.2, over above 0.9", "over and under"]),
    ],
)  # fmt: skip
def test_words_from_long_to_short(
    ranges: list[tuple[float, float, float]], view: str, briefs: list[str]
) -> None:
    found = [Range(low, high, gap, 0.5, 0.5 - gap) for low, high, gap in ranges]
    told = Diagnosis(("log_loss",), found).briefs(view)
    assert told[1 : len(briefs)] == briefs[1:]
    assert Diagnosis((), []).briefs(view) == ["none seen"]
    assert Diagnosis((), [], is_judged=False).briefs(view) == ["not judged"]
    assert len(told[-1]) <= 13


def test_words_without_a_place() -> None:
    classes = Diagnosis(("adaptive_calibration_error",), [])
    assert classes.briefs("top_label") == ["single classes", "single classes"]
    over = Diagnosis(("log_loss",), [], "over")
    assert over.briefs("top_label") == ["over", "over"]
    assert over.briefs("binary") == ["too extreme", "too extreme"]
    assert Diagnosis(("brier",), []).briefs("binary") == ["off in Brier score", "off"]


def test_even_scales_have_five_or_six_ticks() -> None:
    rng = np.random.default_rng(0)
    counts = []
    for _ in range(500):
        low = rng.normal()
        ticks = np.array(panels.Scale(low, low + 10 ** rng.uniform(-5, 5)).ticks(300))
        counts.append(len(ticks))
        np.testing.assert_allclose(np.diff(ticks, 2), 0, atol=1e-9 * np.abs(ticks).max())
    assert min(counts) >= 4
    assert max(counts) <= 7
    assert np.mean(np.isin(counts, (5, 6))) > 0.5
    assert panels.Scale(0, 1).ticks(300) == [0, 0.25, 0.5, 0.75, 1]
    assert panels.tick_text(-0.05) == "\N{MINUS SIGN}0.05"
    assert panels.tick_text(1e-5) == "1e\N{MINUS SIGN}5"
