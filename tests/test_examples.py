"""The examples run as their texts say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import closing
from http.client import HTTPConnection as Connection
from pathlib import Path

import numpy as np
import pytest

from calib import load

ROOT = Path(__file__).resolve().parents[1]
SERVICE = ROOT / "examples" / "service"

if not SERVICE.is_dir():
    pytest.skip("the examples are not part of the source distribution", allow_module_level=True)
for package in ("onnx", "onnxruntime", "uvicorn"):
    pytest.importorskip(package)

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("service")
    command = [sys.executable, str(SERVICE / "prepare.py"), str(path)]
    subprocess.run(command, check=True, env=ENVIRONMENT, capture_output=True)
    return path


@pytest.fixture(params=["calibrator.onnx", "calibrator.json"])
def service(request: pytest.FixtureRequest, folder: Path, tmp_path: Path):
    """Start the service on one of its two kinds of files; yield a connection."""
    for name in (request.param, "facts.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    command = [sys.executable, "-m", "uvicorn", "app:app", "--port", "0", "--app-dir", str(SERVICE)]
    log = tmp_path / "log"
    with log.open("w") as file:
        process = subprocess.Popen(
            command, env={**ENVIRONMENT, "SERVICE_FOLDER": str(tmp_path)}, stdout=file, stderr=file
        )
    try:
        with closing(Connection("127.0.0.1", listening(process, log), timeout=20)) as connection:
            yield connection
    finally:
        process.terminate()
        process.wait(timeout=20)


def listening(process: subprocess.Popen[bytes], log: Path) -> int:
    for _ in range(600):
        text = log.read_text()
        if "running on http://127.0.0.1:" in text:
            return int(text.rpartition("running on http://127.0.0.1:")[2].split()[0])
        assert process.poll() is None, text
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def asked(connection: Connection, body: str) -> tuple[int, dict]:
    connection.request("POST", "/", body)
    reply = connection.getresponse()
    return reply.status, json.loads(reply.read())


def test_a_thousand_requests_are_answered_as_by_transform(
    service: Connection, folder: Path
) -> None:
    calibrator = load(folder / "calibrator.json")
    least = json.loads((folder / "facts.json").read_text())["least_probability"]
    rng = np.random.default_rng(0)
    for _ in range(1000):
        scores = 8 * rng.normal(size=(rng.integers(1, 5), 10))
        status, reply = asked(service, json.dumps({"scores": scores.tolist()}))
        assert status == 200, reply
        expected = calibrator.transform(scores)
        np.testing.assert_allclose(reply["probabilities"], expected, atol=2e-6)
        for row, labels in zip(expected, reply["sets"], strict=True):
            clear = np.abs(row - least) > 1e-5
            assert {k for k in labels if clear[k]} == set(np.flatnonzero((row > least) & clear))
        assert all(0 <= doubt <= 1 for doubt in reply["doubt"])


def test_bad_rows_are_refused_with_a_reason(service: Connection) -> None:
    for body in ("", "{}", '{"scores": [[1, 2]]}', '{"scores": ["text"]}', '{"scores": 1}'):
        status, reply = asked(service, body)
        assert status == 400
        assert reply["error"]
    unlike = {"scores": [[0.0] * 10]}
    assert asked(service, json.dumps(unlike))[1]["doubt"][0] > 0.9


def test_labels_that_come_later_are_watched(
    service: Connection, folder: Path, tmp_path: Path
) -> None:
    if not (tmp_path / "calibrator.json").exists():
        pytest.skip("the same whatever serves")
    rng = np.random.default_rng(0)
    for day in range(2):
        scores = 3 * rng.normal(size=(300, 10))
        reply = asked(service, json.dumps({"scores": scores.tolist()}))[1]
        wrong = np.argmin(scores, axis=1)  # the model has never been as wrong
        lines = [f"{name},{label}" for name, label in zip(reply["ids"], wrong, strict=True)]
        labels = tmp_path / "labels.csv"
        labels.write_text("\n".join(lines[:200]), encoding="utf-8")
        command = [sys.executable, str(SERVICE / "watch.py"), str(labels), str(tmp_path)]
        done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("Alarm at row ")
        monitor = load(tmp_path / "monitor.json")
        assert (monitor.n_rows_, monitor.n_waiting_) == (200 * (day + 1), 100 * (day + 1))
    assert (tmp_path / "monitor.html").exists()
