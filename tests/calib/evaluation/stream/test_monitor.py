"""The monitor: alarms, places, streams in pieces, late labels, files, and what it refuses."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calib import load, save
from calib.evaluation import CalibrationMonitor


def stream(n: int = 6000, *, broken_from: int = 3000, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Return outcomes and probabilities that are too high in the middle after a break."""
    rng = np.random.default_rng(seed)
    p = rng.uniform(0.02, 0.98, n)
    late = (np.arange(n) >= broken_from) & (p > 0.4) & (p < 0.6)
    return (rng.random(n) < np.where(late, p - 0.25, p)).astype(int), p


def contents(monitor: CalibrationMonitor) -> str:
    return json.dumps(monitor.to_contents())


# ---------------------------------------------------------------------- what it says


def test_no_alarm_for_calibrated_probabilities() -> None:
    y, p = stream(broken_from=6000)
    monitor = CalibrationMonitor(tolerance=0).update(y, p)
    assert not monitor.alarm_
    assert monitor.alarm_at_ is None
    assert 0 < monitor.e_value_ < 20
    assert 0.05 < monitor.p_value_ <= 1
    assert monitor.n_rows_ == 6000
    text = str(monitor.report())
    assert text.startswith("No alarm after 6,000 rows (e = ")
    assert monitor.report().headline in repr(monitor)


def test_an_alarm_names_the_row_and_the_place() -> None:
    y, p = stream(12_000)
    monitor = CalibrationMonitor().update(y, p)
    assert monitor.alarm_
    assert monitor.alarm_at_ is not None
    assert 3000 < monitor.alarm_at_ < 8000
    flagged = [(row.low, row.high) for row in monitor.where() if row.flagged]
    assert flagged == [pytest.approx((0.4, 0.5)), pytest.approx((0.5, 0.6))]
    assert monitor.report().headline.startswith(
        f"Alarm at row {monitor.alarm_at_:,}: probabilities too high between 0.4 and 0.6"
    )


def test_an_alarm_stays() -> None:
    y, p = stream(broken_from=0)
    monitor = CalibrationMonitor(tolerance=0).update(y, p)
    first, smallest = monitor.alarm_at_, monitor.p_value_
    fine, q = stream(20_000, broken_from=20_000, seed=1)
    monitor.update(fine, q)
    assert monitor.alarm_at_ == first
    assert monitor.p_value_ <= smallest


def test_the_logarithm_is_the_log_loss_that_recalibration_saves() -> None:
    """Without a tolerance, up to what a mixture pays for learning."""
    rng = np.random.default_rng(0)
    p = rng.uniform(0.02, 0.98, 3000)
    y = (rng.random(3000) < p**0.6 / (p**0.6 + 2 * (1 - p) ** 0.6)).astype(int)
    monitor = CalibrationMonitor(tolerance=0).update(y, p)
    odds = np.log(p / (1 - p))
    lines = np.column_stack([np.ones_like(odds), odds])
    beta = np.array([0.0, 1.0])
    for _ in range(30):
        q = 1 / (1 + np.exp(-lines @ beta))
        beta = beta + np.linalg.solve((lines.T * (q * (1 - q))) @ lines, lines.T @ (y - q))
    saved = np.log(np.where(y, q / p, (1 - q) / (1 - p))).sum()
    assert saved - 16 < monitor.log_e_value_ < saved + 2


def test_tolerance_lets_small_faults_pass() -> None:
    rng = np.random.default_rng(3)
    p = rng.uniform(0.1, 0.9, 40_000)
    y = rng.random(40_000) < p + 0.015
    assert CalibrationMonitor(tolerance=0).update(y, p).alarm_
    assert not CalibrationMonitor(tolerance=0.02).update(y, p).alarm_


def test_top_label() -> None:
    rng = np.random.default_rng(0)
    z = 2 * rng.normal(size=(8000, 4))
    y = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    sharp = p**2 / (p**2).sum(axis=1, keepdims=True)
    assert not CalibrationMonitor(average="top_label").update(y, p).alarm_
    monitor = CalibrationMonitor(average="top_label").update(y, sharp)
    assert monitor.alarm_
    assert monitor.report().average == "top_label"
    assert monitor.recent().classes.tolist() == ["wrong", "right"]
    two = CalibrationMonitor(average="top_label").update(y[:100] % 2, p[:100, 0])
    both = CalibrationMonitor(average="top_label")
    both.update(y[:100] % 2, np.column_stack([1 - p[:100, 0], p[:100, 0]]))
    assert two.log_e_value_ == both.log_e_value_


def test_recent_is_a_report_of_the_window() -> None:
    y, p = stream(2000)
    monitor = CalibrationMonitor(window=500)
    for start in range(0, 2000, 130):
        monitor.update(y[start : start + 130], p[start : start + 130])
    report = monitor.recent()
    assert report.n_samples == 500
    brier = report.models["served"].measures["brier"].value
    assert brier == pytest.approx(2 * np.mean((p[-500:] - y[-500:]) ** 2))
    with pytest.raises(ValueError, match="at least 2 samples"):
        CalibrationMonitor().recent()


def test_named_classes_and_tables() -> None:
    pd = pytest.importorskip("pandas")
    y, p = stream(500)
    plain = CalibrationMonitor().update(y, p)
    words = np.array(["no", "yes"])[y]
    named = CalibrationMonitor(labels=["no", "yes"]).update(words, p)
    table = pd.DataFrame({"yes": p, "no": 1 - p})
    turned = CalibrationMonitor(labels=["no", "yes"]).update(words, table)
    single = CalibrationMonitor(labels=["no", "yes"]).update(words, pd.DataFrame({"no": 1 - p}))
    assert named.log_e_value_ == plain.log_e_value_ == turned.log_e_value_
    assert single.log_e_value_ == pytest.approx(plain.log_e_value_)
    assert named.recent().classes.tolist() == ["no", "yes"]


def test_what_had_probability_0_is_named() -> None:
    y, p = stream(100)
    p[40], y[40] = 0.0, 1
    p[70], y[70] = 1.0, 0
    monitor = CalibrationMonitor(tolerance=0).update(y, p)
    assert monitor.alarm_at_ == monitor.impossible_at_ == 41
    assert monitor.e_value_ == monitor.log_e_value_ == math.inf
    assert monitor.p_value_ == 0
    assert monitor.report().headline.startswith(
        "Alarm at row 41: what came there had probability 0"
    )
    more, q = stream(100, seed=2)
    assert monitor.update(more, q).log_e_value_ == math.inf
    forgiving = CalibrationMonitor().update(y, p)
    assert forgiving.impossible_at_ is None
    assert math.isfinite(forgiving.log_e_value_)


@pytest.mark.parametrize("certain", [0.0, 1.0, 1e-12, 1 - 1e-12])
def test_certain_and_right_costs_little(certain: float) -> None:
    p = np.full(5000, certain)
    monitor = CalibrationMonitor(tolerance=0).update((p > 0.5).astype(int), p)
    assert -2 < monitor.log_e_value_ <= 0


# ---------------------------------------------------------------------- streams in pieces


def test_batches_may_be_cut_anywhere(tmp_path: Path) -> None:
    y, p = stream(3500)
    whole = CalibrationMonitor(window=300).update(y, p)
    rng = np.random.default_rng(1)
    pieces, start = CalibrationMonitor(window=300), 0
    while start < len(y):
        stop = start + int(rng.integers(1, 60))
        pieces.update(y[start:stop], p[start:stop])
        if stop % 5 == 0:
            pieces = load(save(pieces, tmp_path / "monitor.json"))
        start = stop
    assert contents(pieces) == contents(whole)
    assert str(pieces.report()) == str(whole.report())


def test_late_labels_count_with_what_was_served() -> None:
    y, p = stream(400)
    ids = [f"row {k}" for k in range(400)]
    late = CalibrationMonitor()
    late.expect(ids[:250], p[:250]).expect(ids[250:], p[250:])
    assert late.n_waiting_ == 400
    late.update(y[:100], ids=ids[:100]).update(y[100:], ids=ids[100:])
    direct = CalibrationMonitor().update(y, p)
    assert late.n_waiting_ == 0
    assert late.log_e_value_ == direct.log_e_value_
    assert "300 predictions wait" in str(
        CalibrationMonitor().expect(range(300), p[:300]).report().details()
    )


def test_late_labels_of_many_classes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), 200)
    y = rng.integers(0, 3, 200)
    late = CalibrationMonitor(average="top_label").expect(np.arange(200), p)
    late = load(save(late, tmp_path / "monitor.json"))
    late.update(y, ids=np.arange(200))
    assert late.log_e_value_ == CalibrationMonitor(average="top_label").update(y, p).log_e_value_


def test_timestamps() -> None:
    pd = pytest.importorskip("pandas")
    y, p = stream(6000, broken_from=0)
    days = pd.date_range("2026-01-01", periods=6000, freq="h")
    monitor = CalibrationMonitor(tolerance=0).update(y, p, timestamps=days)
    assert monitor.alarm_at_ is not None
    assert monitor.alarm_time_ == str(days.to_numpy()[monitor.alarm_at_ - 1])
    assert monitor.alarm_time_ in monitor.report().headline
    aware = CalibrationMonitor(tolerance=0).update(y, p, timestamps=days.tz_localize("UTC"))
    assert aware.alarm_at_ == monitor.alarm_at_
    with pytest.raises(ValueError, match="row 0 lies before the last of the batch before"):
        monitor.update([1], [0.5], timestamps=days[:1])


# ---------------------------------------------------------------------- what it refuses


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"alpha": 0}, "alpha must lie in"),
        ({"alpha": 5}, "divide by 100"),
        ({"tolerance": -0.1}, r"tolerance must lie in \[0, 0.5\)"),
        ({"tolerance": 0.5}, r"tolerance must lie in \[0, 0.5\)"),
        ({"average": "top"}, "average must be one of"),
        ({"n_bins": 0}, "n_bins must be >= 1"),
        ({"window": 1}, "window must be >= 2"),
        ({"labels": [1, 1]}, "once each"),
        ({"labels": [0, 1, 2]}, "labels must name two classes"),
    ],
)
def test_parameters(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CalibrationMonitor(**params)


BAD = [
    ((([0, 1], [0.5, 1.2])), {}, "outside"),
    (([0, 1], [0.5, np.nan]), {}, "NaN"),
    (([0, 2], [0.5, 0.5]), {}, "2"),
    (([0, np.nan], [0.5, 0.5]), {}, "y_true"),
    (([0, 1, 1], [0.5, 0.5]), {}, "y_true"),
    (([0, 1], [[0.2, 0.3, 0.5]] * 2), {}, "average='top_label' watches more than two"),
    (([0, 1],), {}, "got neither"),
    (([0, 1], [0.5, 0.5]), {"ids": [1, 2]}, "got both"),
    (([0, 1],), {"ids": [7, 8]}, "7, which no prediction waits under"),
    (([0, 1],), {"ids": ["a", "a"]}, "more than once"),
    (([0, 2],), {"ids": ["a", "b"]}, "2"),
    (([0],), {"ids": ["a", "b"]}, "ids"),
    (([0, 1],), {"ids": [0.5, 1.5]}, "ids must hold integers or texts"),
    (([0, 1],), {"ids": "ab"}, "ids must have shape"),
    (([0, 1], [0.5, 0.5]), {"timestamps": [2, 1]}, "row 1 lies before row 0"),
    (([0, 1], [0.5, 0.5]), {"timestamps": [3]}, "timestamps"),
    (([0, 1], [0.5, 0.5]), {"timestamps": [3, np.nan]}, "no time in row 1"),
    (([0, 1], [0.5, 0.5]), {"timestamps": ["2026-01-01", "2026-01-02"]}, "pandas.to_datetime"),
    (([0, 1], [0.5, 0.5]), {"timestamps": [[3, 4]]}, "timestamps must have shape"),
    (([0, 1], [0.5, 0.5]), {"timestamps": [1, 2]}, "got number after none"),
]


@pytest.mark.parametrize(("args", "kwargs", "message"), BAD)
def test_a_refused_batch_changes_nothing(args: Any, kwargs: Any, message: str) -> None:
    y, p = stream(130)
    monitor = CalibrationMonitor().update(y, p).expect(["a", "b"], [0.2, 0.4])
    before = contents(monitor)
    with pytest.raises(ValueError, match=message):
        monitor.update(*args, **kwargs)
    assert contents(monitor) == before
    monitor.update([], []).update([], ids=[])
    assert contents(monitor) == before


@pytest.mark.parametrize(
    ("ids", "proba", "message"),
    [
        (["c", "c"], [0.1, 0.2], "'c' more than once"),
        (["c", "a"], [0.1, 0.2], "'a', which waits for its label already"),
        (["c"], [0.1, 0.2], "ids"),
        (["c"], [1.5], "outside"),
        (["c"], [[0.2, 0.3, 0.5]], "3 columns"),
    ],
)
def test_refused_predictions(ids: Any, proba: Any, message: str) -> None:
    monitor = CalibrationMonitor().expect(["a", "b"], [0.2, 0.4])
    before = contents(monitor)
    with pytest.raises(ValueError, match=message):
        monitor.expect(ids, proba)
    assert contents(monitor) == before
    assert contents(monitor.expect([], [])) == before


def test_two_monitors_are_not_merged() -> None:
    with pytest.raises(TypeError, match="order of the rows"):
        CalibrationMonitor().merge(CalibrationMonitor())


# ---------------------------------------------------------------------- files and documents


def test_files(tmp_path: Path) -> None:
    y, p = stream(5000, broken_from=0)
    p[4000], y[4000] = 0.0, 1
    times = np.arange(5000)
    monitor = CalibrationMonitor(tolerance=0).update(y, p, timestamps=times).expect(["a"], [0.3])
    path = save(monitor, tmp_path / "monitor.json")
    same = load(path)
    assert contents(same) == contents(monitor)
    assert same.impossible_at_ == 4001
    with pytest.raises(ValueError, match="row 0 lies before"):
        same.update([1], [0.5], timestamps=[10])


def changed(document: dict[str, Any], path: list[Any], value: Any) -> dict[str, Any]:
    inner: Any = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return document


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["state"], 2, "monitor of version 2"),
        (["format"], 99, "format 99"),
        (["n_rows"], -1, "n_rows"),
        (["alarm_at"], 3, "contradicts"),
        (["mixture", "lines"], [[0.0, 1.0]], "lines must have shape"),
        (["mixture", "weights"], [["x"] * 4], "usable"),
        (["bins", "gaps"], [0.0], "gaps must have shape"),
        (["latest"], [[0.1], [1.0]], "latest must hold"),
        (["history"], [0.0], "history"),
        (["stamps"], {"kind": "clock", "last": 1.0}, "stamps"),
        (["waiting"], [["a", 1.5, 1]], "waiting"),
        (["parameters"], {}, "parameters"),
        (["parameters", "alpha"], 2, "alpha"),
    ],
)
def test_broken_files(path: list[Any], value: Any, message: str, tmp_path: Path) -> None:
    y, p = stream(700)
    file = save(CalibrationMonitor().update(y, p), tmp_path / "monitor.json")
    file.write_text(json.dumps(changed(json.loads(file.read_text()), path, value)))
    with pytest.raises(ValueError, match=message):
        load(file)


def test_documents(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    y, p = stream(12_000)
    report = CalibrationMonitor().update(y, p).report()
    report.to_html(tmp_path / "monitor.html")
    page = (tmp_path / "monitor.html").read_text()
    assert "probabilities too high between 0.4 and 0.6" in page
    assert "E-value by row" in page
    assert "0.4 and 0.5" in report.to_latex()
    assert report.to_frame()["flagged"].sum() == 2
    assert report.to_dict()["bins"][0]["n"] == report.bins[0].n
    assert json.dumps(report.to_dict())
    assert "No row yet." in str(CalibrationMonitor().report())
    assert len(report.history) <= 512
    assert report.history[-1][0] <= 12_000
