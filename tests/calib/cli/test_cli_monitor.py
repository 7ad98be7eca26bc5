"""``calib monitor``: batches of a stream, one file after the other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calib import TemperatureCalibrator, load, save
from calib.cli import main
from calib.evaluation import CalibrationMonitor

pd = pytest.importorskip("pandas")


def stream(n: int = 2000) -> Any:
    """Return a stream whose probabilities are too high from the middle on."""
    rng = np.random.default_rng(0)
    z = rng.normal(-0.5, 1.2, n)
    shift = np.where(np.arange(n) >= n // 2, -1.0, 0.0)
    ill = rng.random(n) < 1 / (1 + np.exp(-z - shift))
    return pd.DataFrame(
        {
            "y": np.where(ill, "ill", "well"),
            "p_ill": 1 / (1 + np.exp(-z)),
            "z": z,
            "t": pd.date_range("2026-01-01", periods=n, freq="h").astype(str),
        }
    )


@pytest.fixture
def halves(tmp_path: Path) -> tuple[Path, Path]:
    frame, paths = stream(), (tmp_path / "first.csv", tmp_path / "second.csv")
    frame[:1000].to_csv(paths[0], index=False)
    frame[1000:].to_csv(paths[1], index=False)
    return paths


def command(file: Path, *more: Any) -> list[str]:
    return ["monitor", str(file), "--label", "y", "--positive", "ill", *map(str, more)]


def test_batches_go_on_where_the_last_one_ended(
    halves: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state, page = tmp_path / "monitor.json", tmp_path / "monitor.html"
    kept = ("--proba", "p_ill", "--time", "t", "--state", state)
    assert main(command(halves[0], *kept)) == 0
    assert capsys.readouterr().out.startswith("No alarm after 1,000 rows")
    assert main(command(halves[1], *kept, "--html", page)) == 0
    assert capsys.readouterr().out.startswith("Alarm at row 1,")
    assert "Evidence against calibration" in page.read_text(encoding="utf-8")
    frame = stream()
    whole = CalibrationMonitor(labels=["well", "ill"])
    whole.update(frame["y"], frame["p_ill"], timestamps=pd.to_datetime(frame["t"]).to_numpy())
    monitor = load(state)
    assert monitor.alarm_at_ == whole.alarm_at_
    assert monitor.log_e_value_ == pytest.approx(whole.log_e_value_, rel=1e-9)
    before = state.read_text(encoding="utf-8")
    assert main(command(halves[0], *kept)) == 2
    assert "timestamps must not descend" in capsys.readouterr().err
    assert state.read_text(encoding="utf-8") == before


def test_settings_log_odds_and_numbers(
    halves: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers = tmp_path / "numbers.json"
    given = ("--alpha", 0.01, "--tolerance", 0, "--window", 100, "--json", numbers)
    assert main(command(halves[0], "--logits", "z", *given)) == 0
    assert "0.01" in capsys.readouterr().out
    content = json.loads(numbers.read_text(encoding="utf-8"))
    assert (content["alpha"], content["tolerance"], content["n_recent"]) == (0.01, 0.0, 100)
    plain = CalibrationMonitor(alpha=0.01, tolerance=0, window=100, labels=["well", "ill"])
    frame = stream()[:1000]
    plain.update(frame["y"], frame["p_ill"])
    assert content["log_e_value"] == pytest.approx(plain.log_e_value_, abs=1e-9)


def test_more_classes_are_watched_by_the_top_label(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), 500)
    y = np.array(["cat", "dog", "owl"])[(rng.random(500)[:, None] > p.cumsum(axis=1)).sum(axis=1)]
    frame = pd.DataFrame(p, columns=["p_dog", "p_owl", "p_cat"])[["p_dog", "p_owl", "p_cat"]]
    frame["p_cat"], frame["p_dog"], frame["p_owl"] = p.T
    frame["y"] = y
    frame.to_csv(tmp_path / "t.csv", index=False)
    state = tmp_path / "monitor.json"
    words = ["monitor", str(tmp_path / "t.csv"), "--label", "y", "--proba", "p_*"]
    assert main([*words, "--state", str(state)]) == 0
    assert load(state).average == "top_label"
    frame[frame["y"] == "cat"][:50].to_csv(tmp_path / "one.csv", index=False)
    words[1] = str(tmp_path / "one.csv")
    assert main([*words, "--state", str(state)]) == 0
    assert load(state).n_rows_ == 550


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (("--proba", "p_ill", "--alpha", "0.1"), "was begun with 0.05"),
        (("--proba", "p_ill", "--time", "y"), "neither numbers nor dates"),
        (("--proba", "p_ill", "--time", "when"), "when"),
        (("--proba", "p_ill", "--logits", "z"), "once"),
        ((), "name the columns of scores once"),
    ],
)
def test_what_is_refused_changes_nothing(
    halves: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    more: tuple[str, ...],
    text: str,
) -> None:
    state = tmp_path / "monitor.json"
    assert main(command(halves[0], "--proba", "p_ill", "--state", state)) == 0
    before = state.read_text(encoding="utf-8")
    capsys.readouterr()
    assert main(command(halves[1], *more, "--state", state)) == 2
    assert text in capsys.readouterr().err
    assert state.read_text(encoding="utf-8") == before


def test_a_file_of_something_else_is_no_monitor(
    halves: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "cal.json"
    save(TemperatureCalibrator().fit([[0.2, 0.8], [0.7, 0.3], [0.4, 0.6]], [1, 0, 0]), other)
    assert main(command(halves[0], "--proba", "p_ill", "--state", other)) == 2
    assert "holds no monitor but a TemperatureCalibrator" in capsys.readouterr().err
