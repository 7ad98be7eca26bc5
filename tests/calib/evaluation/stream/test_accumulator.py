"""The accumulator: equal to the functions in memory, whatever the partition."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from calib.evaluation import (
    CalibrationAccumulator,
    accumulated_report,
    adaptive_calibration_error,
    calibration_report,
    expected_calibration_error,
)
from tests.support.report import accumulate, sample

EXACT = (
    "log_loss", "brier", "accuracy", "expected_calibration_error", "overconfidence",
    "underconfidence",
)  # fmt: skip


@pytest.mark.parametrize("n_classes", [2, 3, 10])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_bins", [1, 15, 40])
def test_equals_the_report_in_memory(n_classes, weighted, n_bins):
    y, p, w = sample(3000, n_classes)
    w = w if weighted else None
    here = calibration_report(y, p, sample_weight=w, n_bins=n_bins, n_resamples=400)
    there = accumulate(y, p, w, n_bins=n_bins).report(n_resamples=400)
    one, other = here.models["model"], there.models["model"]
    for name in EXACT:
        assert other.measures[name].value == pytest.approx(one.measures[name].value, abs=1e-12)
    for name, a in one.measures.items():
        b = other.measures[name]
        width = a.interval.high - a.interval.low
        slack = 0.5 if name == "adaptive_calibration_error" else 0.25  # few groups; few draws
        for end in ("low", "high"):
            gap = abs(getattr(a.interval, end) - getattr(b.interval, end))
            assert gap <= slack * width + 1e-12, (name, end)
        spread = a.calibrated.high - a.calibrated.low
        for end in ("mean", "low", "high"):
            gap = abs(getattr(a.calibrated, end) - getattr(b.calibrated, end))
            assert gap <= 0.25 * spread + 1e-12, (name, end)
    assert other.mean_prediction == pytest.approx(one.mean_prediction, abs=1e-12)
    assert other.mean_event == pytest.approx(one.mean_event, abs=1e-12)
    for name in ("weight", "effective_count", "mean_prediction", "observed_rate", "left", "right"):
        expected = getattr(one.table, name)
        np.testing.assert_allclose(getattr(other.table, name), expected, rtol=1e-9, atol=1e-12)
    assert there.n_samples == here.n_samples
    assert list(other.table.class_label) == list(one.table.class_label)


@pytest.mark.parametrize("n_classes", [2, 3, 10])
def test_equal_mass_is_within_a_cell(n_classes):
    y, p, w = sample(20_000, n_classes)
    for weight in (None, w):
        exact = adaptive_calibration_error(y, p, sample_weight=weight)
        found = accumulate(y, p, weight).report(n_resamples=2).models["model"].measures
        value = found["adaptive_calibration_error"].value
        assert value == pytest.approx(exact, abs=0.03 * exact)


def test_equal_mass_is_exact_where_cells_hold_single_values():
    rng = np.random.default_rng(0)
    p = rng.choice(np.linspace(0.02, 0.98, 90), 5000)
    y = (rng.random(5000) < p**1.3).astype(int)
    value = accumulate(y, p).report(n_resamples=2).models["model"].measures
    exact = adaptive_calibration_error(y, p)
    assert value["adaptive_calibration_error"].value == pytest.approx(exact, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    n_classes=st.sampled_from([2, 5]),
    cuts=st.lists(st.integers(0, 300), max_size=6),
    seed=st.integers(0, 99),
    weighted=st.booleans(),
)
def test_partition_and_order_do_not_matter(n_classes, cuts, seed, weighted):
    y, p, w = sample(300, n_classes, seed)
    w = w if weighted else None
    whole = accumulate(y, p, w, size=300)
    order = np.random.default_rng(seed).permutation(300)
    parts = [CalibrationAccumulator(n_classes) for _ in range(len(cuts) + 1)]
    for part, rows in zip(parts, np.split(order, sorted(cuts)), strict=True):
        part.update(y[rows], p[rows], None if w is None else w[rows])
    merged = sum(parts[1:], start=parts[0])
    np.testing.assert_allclose(merged.sums, whole.sums, rtol=1e-9, atol=1e-11)
    left, right = whole.report(n_resamples=20), merged.report(n_resamples=20)
    for name, a in left.models["model"].measures.items():
        b = right.models["model"].measures[name]
        assert b.interval.low == pytest.approx(a.interval.low, abs=1e-9)
        assert b.calibrated.high == pytest.approx(a.calibrated.high, abs=1e-9)


def test_merge_is_associative_and_leaves_its_arguments():
    y, p, _ = sample(900, 4)
    a, b, c = (accumulate(y[k::3], p[k::3]) for k in range(3))
    before = [one.sums.copy() for one in (a, b, c)]
    np.testing.assert_allclose(((a + b) + c).sums, (a + (b + c)).sums, rtol=1e-12)
    np.testing.assert_allclose((a + b).sums, (b + a).sums, rtol=0, atol=0)
    for one, sums in zip((a, b, c), before, strict=True):
        np.testing.assert_array_equal(one.sums, sums)
    a.merge(b)
    assert a.n_samples == 600
    assert pickle.loads(pickle.dumps(a)).n_samples == 600


def test_integer_weights_equal_repetition():
    y, p, _ = sample(500, 3)
    w = np.random.default_rng(0).integers(0, 4, 500)
    weighted = accumulate(y, p, w).report(n_resamples=2).models["model"].measures
    repeated = accumulate(np.repeat(y, w), np.repeat(p, w, axis=0)).report(n_resamples=2)
    for name, one in repeated.models["model"].measures.items():
        assert weighted[name].value == pytest.approx(one.value, abs=1e-12)


def test_rows_of_weight_zero_are_not_there():
    y, p, w = sample(400, 2)
    w[::3] = 0.0
    total = CalibrationAccumulator(2).update(y, p, w)
    total.update(y[:5], p[:5], np.zeros(5))  # a batch without any weight
    total.update(y[:0], p[:0], w[:0])
    total.update(y[:0], p[:0])
    assert total.n_samples == np.count_nonzero(w)
    kept = w > 0
    expected = CalibrationAccumulator(2).update(y[kept], p[kept], w[kept])
    np.testing.assert_allclose(total.sums, expected.sums, rtol=1e-12)


def test_labels_of_any_type_and_float32():
    y, p, _ = sample(600, 3)
    names = np.array(["ant", "bee", "cat"])
    text = CalibrationAccumulator(3, labels=names).update(names[y], p.astype(np.float32))
    report = text.report(name="net")
    plain = calibration_report(names[y], {"net": p.astype(np.float32)})
    for name in EXACT:
        expected = plain.models["net"].measures[name].value
        assert report.models["net"].measures[name].value == pytest.approx(expected, abs=1e-12)
    assert list(report.classes) == ["ant", "bee", "cat"]


def test_impossible_labels_are_counted_and_cut_as_in_memory():
    y, p = np.array([0, 1, 1, 0]), np.array([0.0, 0.0, 1.0, 0.5])
    here, there = calibration_report(y, p), accumulate(y, p).report()
    assert there.models["model"].n_impossible == here.models["model"].n_impossible == 1
    for name in EXACT:
        expected = here.models["model"].measures[name].value
        assert there.models["model"].measures[name].value == pytest.approx(expected, abs=1e-12)


def test_report_reads_like_one_in_memory(tmp_path):
    y, p, _ = sample(2000, 3)
    report = accumulate(y, p).report(name="net")
    details = " ".join(report.details().split())
    assert "Approximate: ACE" in details
    assert "to within a cell of a fine grid" in details
    report.to_html(tmp_path / "report.html")
    assert "Approximate: ACE" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert json.loads(json.dumps(report.to_dict()))["approximate"] == ["adaptive_calibration_error"]
    assert report.to_frame(tidy=False).index.tolist() == ["net"]
    assert set(report.to_frame()["model"]) == {"net"}
    assert report.verdict("net").startswith("Overconfident ")
    assert report.headline.startswith("Overconfident ")


def test_several_models_and_the_seed():
    y, p, _ = sample(1000, 2)
    models = {"raw": accumulate(y, p), "flat": accumulate(y, np.full(1000, 0.5))}
    one, two = (accumulated_report(models, random_state=1) for _ in range(2))
    assert one.to_dict() == two.to_dict()
    other = accumulated_report(models, random_state=2)
    assert other.to_dict() != one.to_dict()
    assert one.models["flat"].measures["log_loss"].value == pytest.approx(np.log(2))


def test_many_classes_in_little_memory():
    rng = np.random.default_rng(0)
    p = np.exp(3.0 * rng.normal(size=(2000, 1000)))
    p /= p.sum(axis=1, keepdims=True)
    y = (p.cumsum(axis=1) < rng.random((2000, 1))).sum(axis=1).clip(max=999)
    total = accumulate(y, p, size=500)
    assert total.sums.nbytes < 40e6
    report = total.report(n_resamples=20)
    found = report.models["model"].measures
    exact = expected_calibration_error(y, p)
    assert found["expected_calibration_error"].value == pytest.approx(exact, abs=1e-12)
    adaptive = found["adaptive_calibration_error"]
    assert adaptive.value == pytest.approx(adaptive_calibration_error(y, p), rel=0.1)
    assert np.isnan(adaptive.interval.low)
    assert "no interval for so many classes" in " ".join(report.details().split())
    assert "nan" not in report.details()
    text = json.dumps(report.to_dict(), allow_nan=False)
    measures = json.loads(text)["models"]["model"]["measures"]
    assert measures["adaptive_calibration_error"]["low"] is None


def test_floor_of_a_calibrated_model_covers_it():
    y, p, _ = sample(4000, 5, seed=3, sharp=1.0)
    measures = accumulate(y, p).report().models["model"].measures
    assert not any(m.surprises(name) for name, m in measures.items())


@pytest.mark.slow
def test_intervals_cover_as_often_as_those_in_memory():
    """Draw many samples of one model; compare how often the true loss and error are covered."""
    truth = accumulate(*sample(400_000, 3, seed=10**6)[:2]).report(n_resamples=2)
    target = {name: m.value for name, m in truth.models["model"].measures.items()}
    names = ("log_loss", "accuracy", "expected_calibration_error", "adaptive_calibration_error")
    covered = dict.fromkeys(names, 0)
    for seed in range(200):
        y, p, _ = sample(1500, 3, seed)
        measures = CalibrationAccumulator(3).update(y, p).report().models["model"].measures
        for name in names:
            covered[name] += target[name] in measures[name].interval
    assert covered["log_loss"] >= 180
    assert covered["accuracy"] >= 180
    assert covered["expected_calibration_error"] >= 165
    assert covered["adaptive_calibration_error"] >= 140  # as in memory: biased by small ranges


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: CalibrationAccumulator(1), "n_classes"),
        (lambda: CalibrationAccumulator(2, n_bins=0), "n_bins"),
        (lambda: CalibrationAccumulator(3, labels=["a", "b"]), "labels must name the 3 classes"),
        (lambda: CalibrationAccumulator(2).report(), "at least 2 samples"),
        (lambda: CalibrationAccumulator(2).update([0], [[0.2, 0.3, 0.5]]), "3 columns"),
        (lambda: CalibrationAccumulator(3).update([0], [0.2]), "1 columns"),
        (lambda: CalibrationAccumulator(2).update([0, 2], [0.2, 0.3]), "labels 2|labels \\[2\\]"),
        (lambda: CalibrationAccumulator(2).update([0, 1], [0.2, np.nan]), "NaN or inf"),
        (lambda: CalibrationAccumulator(2).update([0, 1], [0.2, 1.3]), "outside"),
        (lambda: CalibrationAccumulator(2).update([0, 1], [0.2]), "samples"),
        (lambda: CalibrationAccumulator(2).update([0], [0.2], [-1.0]), "sample_weight"),
        (lambda: CalibrationAccumulator(2).update([0], [0.2], [0.0, 0.0]), "sample_weight"),
        (lambda: CalibrationAccumulator(2).merge(CalibrationAccumulator(3)), "cannot be merged"),
        (lambda: CalibrationAccumulator(2).merge(3), "other must be"),
        (lambda: accumulated_report({}), "empty"),
    ],
)
def test_bad_input_is_named(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def test_a_failed_update_changes_nothing():
    total = CalibrationAccumulator(2).update([0, 1], [0.2, 0.7])
    before = total.sums.copy()
    with pytest.raises(ValueError, match="NaN"):
        total.update([0, 1], [0.2, np.nan])
    np.testing.assert_array_equal(total.sums, before)
    with pytest.raises(ValueError, match="same rows"):
        accumulated_report({"a": total, "b": CalibrationAccumulator(2)})
