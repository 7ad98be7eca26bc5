"""Who is off: segments are found, counted, and never called off or fine without evidence."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import norm

from calib.evaluation import calibration_report, multicalibration_error, segment_report
from tests.support.people import people


def sample(
    n: int = 4000, seed: int = 0, off: float = 0.1
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Calibrated probabilities but for women, of whom the event is rarer by `off`."""
    rng = np.random.default_rng(seed)
    p, sex = rng.uniform(0.15, 0.85, n), rng.choice(["f", "m"], n)
    age = rng.integers(18, 90, n)
    y = (rng.random(n) < p - off * (sex == "f")).astype(int)
    return y, p, {"sex": sex, "age": age}


def row_of(report: Any, segment: str) -> Any:
    return next(row for row in report.rows if row.segment == segment)


def test_the_segment_that_is_off_is_named_with_its_numbers() -> None:
    y, p, by = sample()
    report = segment_report(y, p, by)
    worst = report.worst(1)[0]
    women = by["sex"] == "f"
    assert worst.segment == "sex = f"
    assert worst.state == "off"
    assert worst.n == women.sum()
    assert worst.gap == pytest.approx(y[women].mean() - p[women].mean())
    assert worst.low < worst.gap < worst.high < 0
    text = report.verdict()
    assert text.startswith("Worst: sex = f: predicted 50.")
    assert "segments" in text
    assert "off beyond chance" in text


def test_gap_z_and_interval_are_their_definitions() -> None:
    y, p, by = sample(600)
    report = segment_report(y, p, {"sex": by["sex"]})
    row = row_of(report, "sex = f")
    women = by["sex"] == "f"
    residual, variance = y[women] - p[women], (p[women] * (1 - p[women])).sum()
    assert row.z == pytest.approx(residual.sum() / np.sqrt(variance))
    walk = np.cumsum(residual[np.argsort(p[women], kind="stable")])
    width = max(walk.max(), 0) - min(walk.min(), 0)
    assert row.sigma == pytest.approx(width / np.sqrt(variance))
    # likelihood interval of a shift of the log-odds, at the level that two segments share
    s, events = logit(p[women]), y[women].sum()

    def likelihood(t: float) -> float:
        return float((y[women] * (s + t) - np.logaddexp(0, s + t)).sum())

    best = brentq(lambda t: expit(s + t).sum() - events, -5, 5)
    q = expit(s + best)
    noise = ((y[women] - q) ** 2).sum() / (q * (1 - q)).sum()  # more than promised widens
    fall = norm.isf(0.05 / 4) ** 2 * max(1.0, noise)
    for end, low, high in ((row.low, best - 3, best), (row.high, best, best + 3)):
        t = brentq(lambda t: 2 * (likelihood(best) - likelihood(t)) - fall, low, high)
        assert end == pytest.approx(expit(s + t).mean() - p[women].mean(), abs=1e-6)


def test_the_tail_is_that_of_the_number_of_events() -> None:
    rng = np.random.default_rng(1)
    p = rng.uniform(0.02, 0.3, 80)
    law = np.array([1.0])  # of the sum, by convolution
    for q in p:
        law = np.convolve(law, [1 - q, q])
    equal = 0
    for events in (22, 26, 3, 1):
        y = np.zeros(80, dtype=int)
        y[:events] = 1
        row = segment_report(y, p, {"all": np.zeros(80)}, min_size=2).rows[0]
        tail = law[events:].sum() if events > p.sum() else law[: events + 1].sum()
        of_gap = min(1.0, 4 * tail)
        assert row.p <= 1.03 * of_gap  # the shape may speak louder
        equal += row.p == pytest.approx(of_gap, rel=0.03)
    assert equal >= 2


def test_ties_have_no_order() -> None:
    y = np.repeat([0, 1], 500)
    p = np.full(1000, 0.5)
    sorted_rows = segment_report(y, p, {"all": np.zeros(1000)}).rows[0]
    order = np.random.default_rng(0).permutation(1000)
    shuffled = segment_report(y[order], p, {"all": np.zeros(1000)}).rows[0]
    assert sorted_rows.sigma == shuffled.sigma == 0


def test_gaps_that_cancel_are_found_by_shape() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(0.1, 0.9, 4000)
    y = (rng.random(4000) < np.where(p < 0.5, p - 0.08, p + 0.08)).astype(int)
    row = segment_report(y, p, {"all": np.zeros(4000)}).rows[0]
    assert (row.state, row.reason) == ("off", "shape")
    assert "by shape" in segment_report(y, p, {"all": np.zeros(4000)}).verdict()


def test_three_states_and_a_count_of_what_is_not_judged() -> None:
    rng = np.random.default_rng(0)
    n = 40_000
    group = np.r_[np.zeros(30_000), np.ones(9_900), np.full(80, 2), np.full(20, 3)].astype(int)
    p = rng.uniform(0.2, 0.8, n)
    y = (rng.random(n) < p - 0.1 * (group == 1)).astype(int)
    report = segment_report(y, p, {"g": group}, tolerance=0.03)
    assert [row_of(report, f"g = {k}").state for k in range(4)] == [
        "fine",
        "off",
        "undecided",
        "not judged",
    ]
    assert (report.n_off, report.n_fine, report.n_undecided, report.n_not_judged) == (1, 1, 1, 1)
    assert report.verdict().endswith("1 small segment was not judged.")
    assert report.rows[-1].state == "not judged"
    assert np.isnan(report.rows[-1].adjusted_p)


def test_nothing_found_is_not_called_calibrated() -> None:
    y, p, by = sample(400, off=0.0)
    text = segment_report(y, p, by).verdict()
    assert "are undecided: too few rows to tell" in text
    many = segment_report(*sample(200_000, off=0.0)[:2], {"all": np.zeros(200_000)})
    assert many.verdict() == "All 1 segment are within 2 points of what was predicted."


def test_frame_has_the_promised_columns_worst_first() -> None:
    pytest.importorskip("pandas")
    y, p, by = sample()
    frame = segment_report(y, {"a": p, "b": p**2}, by).to_frame()
    assert list(frame.columns) == [
        "model",
        "segment",
        "n",
        "predicted",
        "observed",
        "gap",
        "low",
        "high",
        "z",
        "sigma",
        "p",
        "adjusted_p",
        "reason",
        "state",
    ]
    assert frame["adjusted_p"].dropna().is_monotonic_increasing
    assert set(frame["model"]) == {"a", "b"}


def test_models_share_one_error_rate() -> None:
    y, p, by = sample()
    alone = row_of(segment_report(y, p, by), "sex = f")
    both = next(
        row
        for row in segment_report(y, {"a": p, "b": p}, by).rows
        if row.segment == "sex = f" and row.model == "a"
    )
    assert both.low < alone.low
    report = segment_report(y, {"a": p, "b": p}, by)
    assert set(report.multicalibration_error) == {"a", "b"}
    with pytest.raises(ValueError, match="model must be one of"):
        report.verdict()
    assert report.findings[0].startswith("a: Worst")


def test_more_than_two_classes_judge_whether_the_top_label_is_right() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(3000, 4)) * 2
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    y = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
    report = segment_report(y, p, {"half": np.arange(3000) % 2})
    assert report.event == "the top label is right"
    right = (p.argmax(axis=1) == y)[::2]
    assert row_of(report, "half = 0").observed == pytest.approx(right.mean())


def test_zero_and_all_events_have_an_interval_up_to_the_wall() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(0.05, 0.2, 500)
    row = segment_report(np.zeros(500, dtype=int), p, {"all": np.zeros(500)}, labels=[0, 1]).rows[0]
    assert row.low == pytest.approx(-p.mean(), abs=1e-9)
    assert -p.mean() < row.high < 0
    assert row.state == "off"


# ---------------------------------------------------------------------- levels


def names(by: Any, n: int = 600, **options: Any) -> list[str]:
    y, p, _ = sample(n)
    return sorted(row.segment for row in segment_report(y, p, by, **options).rows)


def test_levels_ranges_and_gaps() -> None:
    pd = pytest.importorskip("pandas")
    n = 600
    frame = pd.DataFrame(
        {
            "text": np.where(np.arange(n) % 3 == 0, "a", "b"),
            "truth": np.arange(n) % 2 == 0,
            "whole": np.arange(n) % 4,
            "number": np.linspace(0, 1, n),
        }
    )
    frame.loc[:49, "text"] = None
    frame["kind"] = pd.Categorical(np.where(np.arange(n) % 5 == 0, "x", "y"))
    found = names(frame)
    assert {"text = a", "text = b", "text: missing"} <= set(found)
    assert {"truth = False", "truth = True"} <= set(found)
    assert {f"whole = {k}" for k in range(4)} <= set(found)
    assert {"kind = x", "kind = y"} <= set(found)
    assert sum(name.startswith("number ") for name in found) == 10


def test_ties_are_not_split_between_ranges() -> None:
    values = np.repeat([0.0, 0.5, 1.5, 2.5], [300, 100, 100, 100])
    found = names({"x": values}, n_bins=4, max_levels=2)
    assert "x = 0" in found
    assert len(found) == 3


def test_many_levels_are_merged_and_told() -> None:
    level = np.random.default_rng(0).zipf(1.3, 4000).clip(max=500).astype(str)
    y, p, _ = sample()
    report = segment_report(y, p, {"code": level}, max_levels=10)
    assert sum("other (" in row.segment for row in report.rows) == 1
    assert len(report.rows) == 10
    assert "the" in report.remarks[0]
    assert "rarest count as one" in report.remarks[0]


def test_ids_are_too_many_to_judge() -> None:
    y, p, _ = sample()
    report = segment_report(y, p, {"id": [f"row{k}" for k in range(4000)]})
    assert report.remarks == ("Column 'id' has 4,000 levels of one row each: too many to judge.",)
    assert [row.segment for row in report.rows] == ["id: other (4,000 levels)"]
    assert "too many to judge" in str(report)


def test_pairs_are_products() -> None:
    y, p, by = sample()
    by = {**by, "half": np.arange(4000) % 2}
    everything = segment_report(y, p, by, pairs=True)
    some = segment_report(y, p, by, pairs=[("sex", "half")])
    assert len(some.rows) == len(segment_report(y, p, by).rows) + 4
    assert len(everything.rows) == len(some.rows) + 10 * 2 + 10 * 2
    row = row_of(some, "sex = f, half = 1")
    assert row.n == ((by["sex"] == "f") & (by["half"] == 1)).sum()


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_any_table(library: str) -> None:
    module = pytest.importorskip(library)
    y, p, by = sample()
    make = module.table if library == "pyarrow" else module.DataFrame
    plain = segment_report(y, p, by)
    assert [row.segment for row in segment_report(y, p, make(by)).rows] == [
        row.segment for row in plain.rows
    ]


def test_arrays_and_series() -> None:
    y, p, by = sample()
    report = segment_report(y, p, np.column_stack([by["age"], by["age"] > 50]))
    assert any(row.segment.startswith("column 0 ") for row in report.rows)
    assert {row.segment for row in segment_report(y, p, by["sex"]).rows} == {"by = f", "by = m"}


# ---------------------------------------------------------------------- weights and groups


def test_weights_of_one_are_no_weights_and_rows_of_weight_0_are_not_there() -> None:
    y, p, by = sample()
    plain, ones = segment_report(y, p, by), segment_report(y, p, by, sample_weight=np.ones(4000))
    for row in plain.rows:
        other = row_of(ones, row.segment)
        assert (other.gap, other.z, other.sigma) == pytest.approx((row.gap, row.z, row.sigma))
    kept = np.arange(4000) % 3 > 0
    dropped = segment_report(y, p, by, sample_weight=kept.astype(float))
    part = segment_report(
        y[kept],
        p[kept],
        {name: values[kept] for name, values in by.items()},
        sample_weight=np.ones(kept.sum()),
    )
    for row in part.rows:
        if row.segment.startswith("sex"):
            assert row_of(dropped, row.segment).gap == pytest.approx(row.gap)


def test_groups_of_one_row_are_nearly_independent_rows() -> None:
    y, p, by = sample()
    plain = segment_report(y, p, {"sex": by["sex"]})
    alone = segment_report(y, p, {"sex": by["sex"]}, groups=np.arange(4000))
    for row in plain.rows:
        other = row_of(alone, row.segment)
        assert other.gap == row.gap
        assert other.z == pytest.approx(row.z, rel=0.1)
        assert other.high - other.low == pytest.approx(row.high - row.low, rel=0.1)


def test_segments_of_few_groups_are_not_judged() -> None:
    y, p, by = sample()
    report = segment_report(y, p, {"sex": by["sex"]}, groups=np.arange(4000) // 250)
    assert report.n_judged == 0
    assert report.verdict().startswith("No segment of 50 rows; nothing was judged.")


# ---------------------------------------------------------------------- one number


def test_multicalibration_error_is_the_largest_sigma() -> None:
    y, p, by = sample()
    report = segment_report(y, p, by)
    value = multicalibration_error(y, p, by)
    assert value == report.multicalibration_error["model"]
    assert value == max(row.sigma for row in report.rows if row.state != "not judged")
    assert 0.05 < multicalibration_error(y, p, by, scale="absolute") < 0.2
    with pytest.raises(ValueError, match="scale must be one of"):
        multicalibration_error(y, p, by, scale="percent")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no segment of by has 50 rows"):
        multicalibration_error(y[:30], p[:30], by["sex"][:30])
    with pytest.raises(ValueError, match="one model"):
        multicalibration_error(y, {"a": p}, by)  # type: ignore[arg-type]


@given(st.integers(0, 2**20))
def test_whatever_the_sample_numbers_are_finite_and_ordered(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(60, 400))
    p = rng.beta(*rng.choice([0.3, 1.0, 4.0], 2), n)
    p[: n // 10] = rng.choice([0.0, 1.0])
    y = (rng.random(n) < rng.choice([0.1, 0.5, 0.9])).astype(int)
    y[:2] = [0, 1]
    report = segment_report(y, p, {"g": rng.integers(0, 3, n)})
    for row in report.rows:
        if row.state == "not judged":
            continue
        assert -1 <= row.low <= row.gap + 1e-9
        assert row.gap - 1e-9 <= row.high <= 1
        assert 0 <= row.p <= row.adjusted_p <= 1


# ---------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("by", "options", "text"),
    [
        ({"a": np.zeros(90)}, {}, "y_true has 100 .*by 90|by.*90.*100|100.*90"),
        ({"a": np.zeros(100), "b": np.zeros(99)}, {}, "different lengths"),
        ({}, {}, "no columns"),
        ({"a": np.r_[np.inf, np.zeros(99)]}, {}, "inf in row 0 of column 'a'"),
        ({"a": np.zeros(100)}, {"pairs": [("a", "b")]}, "pairs names 'b', which by lacks"),
        ({"a": np.zeros(100)}, {"pairs": [("a", "a")]}, "a column with itself"),
        ({"a": np.zeros(100)}, {"pairs": "a"}, "pairs must be a bool or a list"),
        ({"a": np.zeros(100)}, {"pairs": ["ab"]}, "pairs must hold pairs"),
        ({"a": np.zeros(100)}, {"tolerance": 0}, "tolerance"),
        ({"a": np.zeros(100)}, {"min_size": 1}, "min_size must be >= 2"),
        ({"a": np.zeros(100)}, {"max_levels": 1}, "max_levels must be >= 2"),
        ({"a": np.zeros(100)}, {"n_bins": 1}, "n_bins must be >= 2"),
        (np.zeros((100, 2, 2)), {}, "one or two dimensions"),
    ],
)
def test_bad_input_is_named(by: Any, options: dict[str, Any], text: str) -> None:
    y, p, _ = sample(100)
    with pytest.raises(ValueError, match=text):
        segment_report(y, p, by, **options)


def test_no_models() -> None:
    with pytest.raises(ValueError, match="empty dict"):
        segment_report([0, 1], {}, [0, 1])


# ---------------------------------------------------------------------- the large report


def test_the_calibration_report_says_who_is_off(tmp_path: Path) -> None:
    y, p, by = sample()
    report = calibration_report(y, {"raw": p, "low": p - 0.05}, by=by, n_resamples=50)
    assert report.segments is not None
    assert report.segments.models == ("raw", "low")
    assert any("sex = f" in text for text in report.findings)
    assert "Who is off?" in report.details()
    assert report.to_dict()["segments"][0]["segment"]
    report.to_html(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Who is off?" in page
    assert "sex = f" in page
    assert calibration_report(y, p, n_resamples=50).segments is None
    with pytest.raises(ValueError, match="pass by as well"):
        calibration_report(y, p, pairs=True)
    with pytest.raises(ValueError, match="tolerance"):
        calibration_report(y, p, by=by, tolerance=2)


def test_the_headline_counts_segments_that_are_off() -> None:
    y, p, by = sample()
    report = calibration_report(y, p, by=by, n_resamples=50)
    assert report.segments is not None
    worst = report.segments.worst(1)[0]
    assert worst.state == "off"
    n_off, n_judged = report.segments.n_off, report.segments.n_judged
    assert f"{n_off} of {n_judged} segments " in report.headline
    assert f"the worst by {round(100 * abs(worst.gap), 1):g} points" in report.headline
    assert "MulticalibrationCalibrator" in report.findings[-1]
    rng = np.random.default_rng(1)
    drawn = (rng.random(len(p)) < p).astype(int)
    fine = calibration_report(drawn, p, by=by, n_resamples=50)
    assert "segments" not in fine.headline
    assert "MulticalibrationCalibrator" not in fine.findings[-1]


def test_braces_in_names_of_levels_are_texts() -> None:
    y, p, by = sample()
    odd = np.where(by["sex"] == "f", "{x}", "m")
    assert "g = {x}" in str(segment_report(y, p, {"g": odd}))
    report = calibration_report(y, p, by={"g": odd}, n_resamples=50)
    assert any("g = {x}" in text for text in report.findings)


def test_the_command_line_takes_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pd = pytest.importorskip("pandas")
    from calib.cli import main

    y, p, by = sample(1500)
    frame = pd.DataFrame({"y": y, "p": p, **by})
    frame.to_csv(tmp_path / "t.csv", index=False)
    base = ["report", str(tmp_path / "t.csv"), "--label", "y", "--proba", "p", "--resamples", "50"]
    assert main([*base, "--by", "sex", "--by", "age"]) == 0
    assert "sex = f" in capsys.readouterr().out
    assert main([*base, "--by", "sex,age", "--pairs", "--tolerance", "0.05"]) == 0
    assert "sex = f" in capsys.readouterr().out
    assert main([*base, "--pairs"]) != 0
    assert "--by" in capsys.readouterr().err
    assert main([*base, "--by", "sexx"]) != 0
    assert "did you mean 'sex'" in capsys.readouterr().err


def test_a_report_is_drawn_as_text_page_and_latex(tmp_path: Path) -> None:
    y, p, by = sample()
    report = segment_report(y, p, by)
    assert "Gap in points" in str(report)
    assert r"\begin{tabular}" in report.to_latex()
    report.to_html(tmp_path / "page.html")
    assert "<svg" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "sex = f" in report._repr_html_()


def test_people_past_fifty_are_found_by_pairs() -> None:
    X, y = people(20_000)
    by = {"age": X[:, 1], "sex": X[:, 2]}
    report = segment_report(y, expit(X[:, 0]), by, pairs=True)
    assert "sex = 1" in report.worst(1)[0].segment
    assert "age: missing" in {row.segment for row in report.rows}


def test_a_hundred_segments_of_many_rows_take_no_time() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(size=20_000)
    y = (rng.random(20_000) < p).astype(int)
    start = time.process_time()
    segment_report(y, p, rng.normal(size=(20_000, 10)))
    assert time.process_time() - start < 2.0
