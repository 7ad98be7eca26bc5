"""calib report on parquet files in batches."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from calib import TemperatureCalibrator, save
from calib.cli import main, report
from calib.evaluation import calibration_report

pyarrow = pytest.importorskip("pyarrow")
from pyarrow import parquet  # noqa: E402

EXACT = (
    "log_loss", "brier", "accuracy", "expected_calibration_error", "overconfidence",
    "underconfidence",
)  # fmt: skip
N = 4000


@pytest.fixture
def columns() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    z = 2.0 * rng.normal(size=(N, 3))
    y = (softmax(0.7 * z, axis=1).cumsum(axis=1) < rng.random((N, 1))).sum(axis=1).clip(max=2)
    p = softmax(z, axis=1)
    return {
        "id": np.arange(N),
        **{f"z_{k}": z[:, k] for k in range(3)},
        **{f"p_{k}": p[:, k] for k in range(3)},
        "y": y,
        "w": rng.integers(0, 3, N).astype(float),
    }


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small batches, so that there are several per row group."""
    monkeypatch.setattr(report.batches, "BATCH_NUMBERS", 1 << 10)
    monkeypatch.setattr(report.batches, "BATCH_ROWS", 100)


def write(path: Path, columns: dict[str, object], rows: int = 1500) -> Path:
    parquet.write_table(pyarrow.table(columns), path, row_group_size=rows)
    return path


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def run(*arguments: object) -> str:
        assert main([str(a) for a in arguments]) == 2
        error = capsys.readouterr().err
        assert error.startswith("calib: error: ")
        assert error.count("\n") == 1
        return error

    return run


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("kind", ["proba", "logits"])
def test_stream_equals_the_report_in_memory(kind, columns, tmp_path, succeeds):
    file, out = write(tmp_path / "big.parquet", columns), tmp_path / "r.json"
    text = succeeds(
        "report", file, "--label", "y", f"--{kind}", f"{kind[0].replace('l', 'z')}_*",
        "--weight", "w", "--stream", "--json", out, "--html", tmp_path / "r.html",
    )  # fmt: skip
    assert "report.details()" in text  # what it says is in the page
    assert "Approximate: ACE" in (tmp_path / "r.html").read_text(encoding="utf-8")
    found = json.loads(out.read_text())["models"]["model"]["measures"]
    p = np.stack([columns[f"p_{k}"] for k in range(3)], axis=1)
    expected = calibration_report(columns["y"], p, sample_weight=columns["w"], n_resamples=2)
    for name in EXACT:
        value = expected.models["model"].measures[name].value
        assert found[name]["value"] == pytest.approx(value, abs=1e-12)


@pytest.mark.usefixtures("small")
def test_large_files_are_streamed_by_themselves(columns, tmp_path, capsys, monkeypatch):
    file, out = write(tmp_path / "big.parquet", columns), tmp_path / "r.json"
    command = ["report", str(file), "--label", "y", "--proba", "p_*", "--resamples", "20"]
    command += ["--json", str(out)]

    def streamed(*options: str) -> bool:
        assert main([*command, *options]) == 0
        in_batches = "is read in batches" in capsys.readouterr().err
        assert ("approximate" in json.loads(out.read_text())) == in_batches
        return in_batches

    assert not streamed()
    monkeypatch.setattr(report, "LARGE", N)
    assert streamed()
    assert not streamed("--group", "id")  # needs the whole file


@pytest.mark.usefixtures("small")
def test_calibrators_text_labels_and_the_order_of_columns(columns, tmp_path, succeeds):
    names = np.array(["cat", "ant", "bee"])
    labels = names[columns["y"]]
    table = {f"z_{name}": columns[f"z_{k}"] for k, name in enumerate(names)} | {"y": labels}
    file, out = write(tmp_path / "big.parquet", table), tmp_path / "r.json"
    z = np.stack([table[f"z_{name}"] for name in sorted(names)], axis=1)
    cal = TemperatureCalibrator(input="logits").fit(z, labels)
    save(cal, tmp_path / "cal.json")
    succeeds(
        "report", file, "--label", "y", "--logits", "z_*", "--calibrator", tmp_path / "cal.json",
        "--stream", "--json", out,
    )  # fmt: skip
    found = json.loads(out.read_text())
    assert found["classes"] == ["ant", "bee", "cat"]
    probas = {"raw": softmax(z, axis=1), "cal": cal.transform(z)}
    expected = calibration_report(labels, probas, n_resamples=2)
    for model in probas:
        for name in EXACT:
            value = expected.models[model].measures[name].value
            assert found["models"][model]["measures"][name]["value"] == pytest.approx(value)


def test_one_column_float32_and_boolean_labels(tmp_path, succeeds):
    rng = np.random.default_rng(0)
    p = rng.random(3000).astype(np.float32)
    y = rng.random(3000) < p
    file, out = write(tmp_path / "b.parquet", {"p": p, "y": y}), tmp_path / "r.json"
    succeeds("report", file, "--label", "y", "--proba", "p", "--stream", "--json", out)
    found = json.loads(out.read_text())
    expected = calibration_report(y, p, n_resamples=2).models["model"].measures
    assert found["classes"] == [False, True]
    for name in EXACT:
        value = found["models"]["model"]["measures"][name]["value"]
        assert value == pytest.approx(expected[name].value, abs=1e-12)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("value", [np.nan, np.inf, None])
def test_one_gap_is_found_by_file_row_group_and_row(value, tmp_path, fails):
    p = np.full(N, 0.5).tolist()
    p[3217] = value
    file = write(tmp_path / "big.parquet", {"p": p, "y": np.arange(N) % 2})
    error = fails("report", file, "--label", "y", "--proba", "p", "--stream")
    assert "column 'p' of big.parquet" in error
    assert "row group 2, row 217 (row 3217 of the file" in error


@pytest.mark.usefixtures("small")
def test_missing_labels_and_bad_weights_are_found(tmp_path, fails):
    y = (np.arange(N) % 2).tolist()
    y[1600] = None
    w = np.ones(N)
    w[2000] = -1.0
    file = write(tmp_path / "big.parquet", {"p": np.full(N, 0.5), "y": y, "w": w})
    command = ("report", file, "--proba", "p", "--stream", "--label")
    assert "column 'y' of big.parquet has no value in row group 1, row 100" in fails(*command, "y")
    file = write(tmp_path / "big.parquet", {"p": np.full(N, 0.5), "y": np.arange(N) % 2, "w": w})
    error = fails(*command, "y", "--weight", "w")
    assert "(weights) has -1.0 in row group 1, row 500" in error


@pytest.mark.usefixtures("small")
def test_numbers_that_are_no_probabilities_name_their_rows(tmp_path, fails):
    p = np.full(N, 0.5)
    p[2500] = 1.7
    file = write(tmp_path / "big.parquet", {"p": p, "y": np.arange(N) % 2})
    error = fails("report", file, "--label", "y", "--proba", "p", "--stream")
    assert "big.parquet, row group 1, rows 512 to 1023" in error or "row group 1, rows" in error
    assert "outside [0, 1]" in error


def test_a_file_that_ends_early(columns, tmp_path, fails):
    file = write(tmp_path / "big.parquet", columns)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    error = fails("report", file, "--label", "y", "--proba", "p_*", "--stream")
    assert "big.parquet is not a readable parquet file" in error


def test_a_file_with_a_hole(tmp_path, fails):
    """The footer is whole, but the pages of a row group are not."""
    rng = np.random.default_rng(0)
    table = pyarrow.table({"y": rng.integers(0, 2, N), "p": rng.random(N)})
    file = tmp_path / "big.parquet"
    parquet.write_table(table, file, row_group_size=1500, use_dictionary=False)
    start = parquet.ParquetFile(file).metadata.row_group(1).column(1).data_page_offset
    damaged = bytearray(file.read_bytes())
    damaged[start : start + 400] = b"\xff" * 400
    file.write_bytes(bytes(damaged))
    error = fails("report", file, "--label", "y", "--proba", "p", "--stream")
    assert "big.parquet is damaged in row group 1" in error


def test_a_column_of_strings(tmp_path, fails):
    file = write(tmp_path / "big.parquet", {"p": ["a"] * 10, "y": np.arange(10) % 2})
    error = fails("report", file, "--label", "y", "--proba", "p", "--stream")
    assert "column 'p' of big.parquet is not numeric" in error


def test_empty_row_groups_and_empty_files(tmp_path, succeeds, fails):
    schema = pyarrow.schema([("p", pyarrow.float64()), ("y", pyarrow.int64())])
    some = pyarrow.table({"p": [0.2, 0.7, 0.6], "y": [0, 1, 0]}, schema=schema)
    file = tmp_path / "big.parquet"
    with parquet.ParquetWriter(file, schema) as writer:
        for part in (some.slice(0, 0), some, some.slice(0, 0), some):
            writer.write_table(part)
    text = succeeds("report", file, "--label", "y", "--proba", "p", "--stream")
    assert "6 samples" in text
    parquet.write_table(some.slice(0, 0), file)
    error = fails("report", file, "--label", "y", "--proba", "p", "--stream")
    assert "big.parquet has no rows" in error


def test_weights_that_are_all_zero(tmp_path, fails):
    table = {"p": [0.2, 0.7, 0.6], "y": [0, 1, 0], "w": [0.0, 0.0, 0.0]}
    file = write(tmp_path / "big.parquet", table)
    arguments = ("report", file, "--label", "y", "--proba", "p", "--weight", "w", "--stream")
    assert "at least 2 samples of positive weight" in fails(*arguments)


def test_what_cannot_be_streamed_is_said(columns, tmp_path, fails):
    file = write(tmp_path / "big.parquet", columns)
    command = ("report", file, "--label", "y", "--proba", "p_*", "--stream")
    assert "groups" in fails(*command, "--group", "id")
    np.savez(tmp_path / "a.npz", p=np.array([0.2, 0.7]), y=np.array([0, 1]))
    other = ("report", tmp_path / "a.npz", "--label", "y", "--proba", "p", "--stream")
    assert "--stream reads parquet, feather, csv, jsonl files; a.npz" in fails(*other)
    assert "unknown column" in fails("report", file, "--label", "x", "--proba", "p_*", "--stream")
    unknown = ("report", file, "--label", "y", "--proba", "q_*", "--stream")
    assert "no column matches" in fails(*unknown)
    assert "distinct labels" in fails("report", file, "--label", "id", "--proba", "p_*", "--stream")
    two = ("report", file, "--label", "y", "--proba", "p_*", "--name", "a", "--name", "b")
    assert "--name" in fails(*two, "--stream")
    assert "fitted with" in _calibrator_of_other_kind(file, columns, tmp_path, fails)


def _calibrator_of_other_kind(file, columns, tmp_path, fails):
    z = np.stack([columns[f"z_{k}"] for k in range(3)], axis=1)
    save(TemperatureCalibrator(input="logits").fit(z, columns["y"]), tmp_path / "cal.json")
    arguments = ("report", file, "--label", "y", "--proba", "p_*", "--stream")
    return fails(*arguments, "--calibrator", tmp_path / "cal.json")
