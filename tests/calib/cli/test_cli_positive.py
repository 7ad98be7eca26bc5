"""--positive: the class that a single column of scores belongs to, on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from calib import TemperatureCalibrator, load
from calib.cli import main

pd = pytest.importorskip("pandas")


@pytest.fixture
def data(tmp_path: Path) -> tuple[Path, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    p = rng.random(400)
    y = np.where(rng.random(400) < p, "diseased", "healthy")
    path = tmp_path / "d.csv"
    pd.DataFrame({"risk": p, "y": y}).to_csv(path, index=False)
    return path, p, y


def test_fit_apply_and_report(data: tuple[Path, np.ndarray, np.ndarray], tmp_path: Path) -> None:
    path, p, y = data
    cal, out, numbers = tmp_path / "c.json", tmp_path / "o.csv", tmp_path / "r.json"
    given = ["--label", "y", "--proba", "risk", "--positive", "diseased"]
    fit = ["fit", str(path), *given, "--method", "temperature", "--out", str(cal)]
    assert main(fit) == 0
    expected = TemperatureCalibrator().fit(p, y, pos_label="diseased")
    found = load(cal)
    assert found.temperature_ == pytest.approx(expected.temperature_)
    np.testing.assert_array_equal(found.classes_, ["healthy", "diseased"])
    assert main(["apply", str(cal), str(path), "--out", str(out)]) == 0
    table = pd.read_csv(out)
    np.testing.assert_allclose(table["calibrated_diseased"], expected.transform(p)[:, 1])
    turned = tmp_path / "t.csv"
    pd.DataFrame({"risk": 1 - p}).to_csv(turned, index=False)
    assert main(["apply", str(cal), str(turned), "--positive", "healthy", "--out", str(out)]) == 0
    table = pd.read_csv(out)
    np.testing.assert_allclose(table["calibrated_diseased"], expected.transform(p)[:, 1])
    report = ["report", str(path), *given, "--calibrator", str(cal), "--json", str(numbers)]
    assert main([*report, "--resamples", "20"]) == 0
    assert "diseased" in json.loads(numbers.read_text()).__repr__()


def test_an_unknown_label_is_refused(
    data: tuple[Path, np.ndarray, np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--label", "y", "--proba", "risk", "--positive", "ill"]
    assert main(["report", str(data[0]), *given]) == 2
    assert "ill" in capsys.readouterr().err


def test_the_name_of_the_column_is_its_class(
    data: tuple[Path, np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    _, p, y = data
    path, cal = tmp_path / "n.csv", tmp_path / "c.json"
    pd.DataFrame({"p_diseased": p, "y": y}).to_csv(path, index=False)
    given = ["--label", "y", "--proba", "p_diseased", "--method", "temperature"]
    assert main(["fit", str(path), *given, "--out", str(cal)]) == 0
    np.testing.assert_array_equal(load(cal).classes_, ["healthy", "diseased"])
