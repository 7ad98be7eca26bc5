"""The command line, called as a function; bad input row by row; one real process."""

from __future__ import annotations

import csv
import gzip
import json
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from calib import (
    CALIBRATORS,
    IsotonicCalibrator,
    PlattCalibrator,
    ProbabilitiesAsLogitsWarning,
    TemperatureCalibrator,
    __version__,
    load,
    save,
)
from calib.cli import main
from calib.evaluation import calibration_report

pyarrow = pytest.importorskip("pyarrow")
from pyarrow import parquet  # noqa: E402

N, K = 400, 12
WORDS = np.array("gull crow duck wren kite lark swan rook heron stork finch robin".split())
KINDS = ("parquet", "csv", "csv.gz", "npz")


@pytest.fixture(scope="module")
def logits() -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.normal(size=(N, K)) * 3


@pytest.fixture(scope="module")
def y(logits: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(2)
    return np.array([rng.choice(K, p=p) for p in softmax(logits / 2.5, axis=1)])


@pytest.fixture(scope="module")
def weight() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 4, N).astype(float)


def write(path: Path, columns: dict[str, object]) -> Path:
    """Write columns as a user would have them: text and numbers by any tool."""
    if path.name.endswith("parquet"):
        parquet.write_table(pyarrow.table({k: pyarrow.array(v) for k, v in columns.items()}), path)
    elif path.name.endswith("npz"):
        np.savez(path, **{key: np.asarray(value) for key, value in columns.items()})
    else:
        file = gzip.open(path, "wt", newline="") if path.suffix == ".gz" else path.open("w")
        with file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(zip(*(np.asarray(v).tolist() for v in columns.values()), strict=True))
    return path


def columns_of(path: Path) -> dict[str, list[object]]:
    """Read a file by other means than the library's."""
    if path.name.endswith("parquet"):
        found: dict[str, list[object]] = parquet.ParquetFile(path).read().to_pydict()
        return found
    if path.name.endswith("npz"):
        with np.load(path) as file:
            return {name: file[name].tolist() for name in file.files}
    file = gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="")
    with file:
        rows = list(csv.reader(file))
    return {name: [row[k] for row in rows[1:]] for k, name in enumerate(rows[0])}


def table(logits: np.ndarray, labels: np.ndarray, weight: np.ndarray) -> dict[str, object]:
    """Columns in natural order, z_2 before z_10, between others."""
    named = {f"z_{k}": logits[:, k] for k in range(logits.shape[1])}
    codes = [f"{i:05d}" for i in range(len(labels))]
    return {"id": codes, **named, "y": labels, "w": weight, "note": ['a "b", c'] * len(labels)}


@pytest.fixture
def data(tmp_path: Path, logits: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Path:
    return write(tmp_path / "data.parquet", table(logits, y, weight))


@pytest.fixture
def succeeds(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def run(*arguments: object) -> str:
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert code == 0, err
        assert "error" not in err
        return out

    return run


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def run(*arguments: object) -> str:
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert code == 2
        assert out == ""
        lines = err.splitlines()
        assert len(lines) == 1, err
        assert lines[0].startswith("calib: error: ")
        return lines[0]

    return run


# ---------------------------------------------------------------------- the whole way


@pytest.mark.parametrize("kind", KINDS)
def test_fit_apply_report_equal_the_python_api(
    kind, tmp_path, logits, y, weight, succeeds, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / f"data.{kind}", table(logits, y, weight))
    fit = ("fit", path, "--label", "y", "--logits", "z_*", "--method", "temperature")
    text = succeeds(*fit, "--out", "cal.json")
    assert "cross-fitted (5 folds)" in text
    assert "wrote cal.json" in text
    expected = TemperatureCalibrator(input="logits").fit(logits, y)
    fitted = load("cal.json")
    assert fitted.temperature_ == expected.temperature_
    assert fitted.classes_.tolist() == list(range(K))
    assert fitted.feature_names_in_.tolist() == [f"z_{k}" for k in range(K)]

    succeeds("apply", "cal.json", path, "--out", f"out.{kind}")
    before, after = columns_of(path), columns_of(tmp_path / f"out.{kind}")
    assert list(after)[: len(before)] == list(before)
    assert {name: after[name] for name in before} == before
    proba = expected.transform(logits)
    if kind == "npz":
        np.testing.assert_array_equal(after["calibrated"], proba)
        assert after["classes_of_calibrated"] == [str(k) for k in range(K)]
    else:
        added = [f"calibrated_{k}" for k in range(K)]
        assert list(after)[len(before) :] == added
        found = np.array([after[name] for name in added], dtype=np.float64).T
        np.testing.assert_array_equal(found, proba)

    pattern = "calibrated" if kind == "npz" else "calibrated_*"
    options = ("--label", "y", "--proba", pattern, "--resamples", 20, "--json", "r.json")
    text = succeeds("report", f"out.{kind}", *options)
    report = calibration_report(y, {"model": proba}, n_resamples=20)
    assert str(report) in text
    assert json.loads(Path("r.json").read_text()) == report.to_dict()


@pytest.mark.parametrize("kind", KINDS)
def test_text_labels_and_columns_named_after_them(kind, tmp_path, logits, y, weight, succeeds):
    """The file has its columns in another order than the sorted labels."""
    columns = table(logits, WORDS[y], weight)
    columns = {
        f"z_{WORDS[int(name[2:])]}" if name.startswith("z_") else name: value
        for name, value in columns.items()
    }
    path, cal = write(tmp_path / f"data.{kind}", columns), tmp_path / "cal.json"
    succeeds(
        "fit", path, "--label", "y", "--logits", "z_*", "--out", cal,
        "--method", "isotonic", "--param", "centred=true", "--weight", "w",
    )  # fmt: skip
    order = np.argsort(WORDS)
    ordered = np.take(logits, order, axis=1)
    expected = IsotonicCalibrator(input="logits", centred=True)
    expected.fit(ordered, WORDS[y], sample_weight=weight)
    assert load(cal).classes_.tolist() == sorted(WORDS)
    out = tmp_path / "out.npz"
    succeeds("apply", cal, path, "--out", out)
    proba = expected.transform(ordered)
    np.testing.assert_array_equal(columns_of(out)["calibrated"], proba)

    text = succeeds(
        "report", path, "--label", "y", "--logits", "z_*", "--calibrator", cal, "--bins", 10,
        "--weight", "w", "--group", "id", "--resamples", 20, "--seed", 5,
        "--level", "0.8",
    )  # fmt: skip
    report = calibration_report(
        WORDS[y],
        {"raw": softmax(ordered, axis=1), "cal": proba},
        sample_weight=weight,
        groups=np.arange(N),
        n_bins=10,
        n_resamples=20,
        confidence_level=0.8,
        random_state=5,
    )
    assert str(report) in text


def test_note_when_names_reorder_columns(tmp_path, capsys):
    columns = {"p_dog": [0.9, 0.2, 0.6], "p_cat": [0.1, 0.8, 0.4], "y": ["dog", "cat", "dog"]}
    path = write(tmp_path / "pets.csv", columns)
    assert main(["report", str(path), "--label", "y", "--proba", "p_*"]) == 0
    out, err = capsys.readouterr()
    assert err == "calib: note: columns are taken in the order of their classes: p_cat, p_dog\n"
    assert re.search(r"Accuracy( %)? +100\b", out)


def test_labels_may_lack_a_class_that_a_column_names(tmp_path, succeeds):
    columns = {
        "p_a": [0.5, 0.2, 0.6, 0.1],
        "p_b": [0.3, 0.7, 0.2, 0.6],
        "p_c": [0.2, 0.1, 0.2, 0.3],
        "y": ["a", "b", "a", "b"],
    }
    path, cal = write(tmp_path / "few.csv", columns), tmp_path / "cal.json"
    text = succeeds("fit", path, "--label", "y", "--proba", "p_*", "--out", cal)
    assert "in-sample (optimistic)" in text
    assert load(cal).classes_.tolist() == ["a", "b", "c"]
    numbers = tmp_path / "r.json"
    succeeds("report", path, "--label", "y", "--proba", "p_*", "--json", numbers)
    assert json.loads(numbers.read_text())["classes"] == ["a", "b", "c"]


def test_columns_and_classes_are_listed_where_names_do_not_tell(tmp_path, succeeds):
    columns = {"first": [0.5, 0.2, 0.6], "second": [0.5, 0.8, 0.4], "y": ["no", "yes", "no"]}
    path = write(tmp_path / "two.csv", columns)
    text = succeeds(
        "fit", path, "--label", "y", "--proba", "first,second", "--out", tmp_path / "c.json"
    )
    assert "columns: first = class no, second = class yes" in text


@pytest.mark.parametrize("kind", ["parquet", "csv", "npz"])
@pytest.mark.parametrize("option", ["logits", "proba"])
@pytest.mark.parametrize("labels", [[0, 1], ["bad", "good"], [False, True], [1, 2]])
def test_one_column_of_the_positive_class(kind, option, labels, tmp_path, rng, succeeds):
    s = rng.normal(size=300) * 4
    positive = rng.random(300) < 1 / (1 + np.exp(-s / 2))
    scores = s if option == "logits" else 1 / (1 + np.exp(-s))
    path = write(tmp_path / f"b.{kind}", {"y": np.array(labels)[positive.astype(int)], "s": scores})
    cal, out = tmp_path / "cal.json", tmp_path / f"out.{kind}"
    args = ("--label", "y", f"--{option}", "s")
    succeeds("fit", path, *args, "--method", "platt", "--out", cal)
    succeeds("apply", cal, path, "--out", out)
    expected = PlattCalibrator(input=option).fit(scores, positive.astype(int))
    proba = expected.transform(scores)
    found = columns_of(out)
    got = (
        np.array(found["calibrated"])
        if kind == "npz"
        else np.array([found[f"calibrated_{label}"] for label in labels], dtype=float).T
    )
    np.testing.assert_array_equal(got, proba)
    numbers = tmp_path / "report.json"
    succeeds("report", path, *args, "--calibrator", cal, "--json", numbers)
    measures = json.loads(numbers.read_text())["models"]["cal"]["measures"]
    log_loss = -np.log(proba[np.arange(300), positive.astype(int)]).mean()
    assert measures["log_loss"]["value"] == pytest.approx(log_loss, rel=1e-9)


def test_archive_with_matrices_of_several_lengths(tmp_path, logits, y, succeeds):
    path, cal = tmp_path / "scores.npz", tmp_path / "cal.json"
    np.savez(path, cal_z=logits[:250], cal_y=y[:250], test_z=logits[250:], test_y=WORDS[y[250:]])
    fit = ("fit", path, "--label", "cal_y", "--logits", "cal_z", "--method", "temperature")
    succeeds(*fit, "--out", cal)
    succeeds("apply", cal, path, "--logits", "test_z")
    expected = TemperatureCalibrator(input="logits").fit(logits[:250], y[:250])
    found = columns_of(tmp_path / "scores.calibrated.npz")
    np.testing.assert_array_equal(found["calibrated"], expected.transform(logits[250:]))
    assert len(found["cal_y"]) == 250
    assert found["test_y"] == WORDS[y[250:]].tolist()


def test_only_matrix_of_an_archive_is_found(tmp_path, logits, y, succeeds):
    np.savez(tmp_path / "a.npz", z=logits, y=y)
    cal = save(TemperatureCalibrator(input="logits").fit(logits, y), tmp_path / "cal.json")
    succeeds("apply", cal, tmp_path / "a.npz")
    assert np.shape(columns_of(tmp_path / "a.calibrated.npz")["calibrated"]) == (N, K)


def test_columns_named_after_the_classes_are_found(tmp_path, data, logits, y, succeeds):
    cal = save(TemperatureCalibrator(input="logits").fit(logits, y), tmp_path / "cal.json")
    succeeds("apply", cal, data)
    assert "calibrated_11" in columns_of(tmp_path / "data.calibrated.parquet")


@pytest.mark.parametrize("source", KINDS)
@pytest.mark.parametrize("target", KINDS)
def test_any_kind_of_file_becomes_any_other(source, target, tmp_path, logits, y, weight, succeeds):
    cal = save(TemperatureCalibrator(input="logits").fit(logits, y), tmp_path / "cal.json")
    path = write(tmp_path / f"in.{source}", table(logits, WORDS[y], weight))
    out = tmp_path / f"out.{target}"
    succeeds("apply", cal, path, "--logits", "z_*", "--out", out)
    found = columns_of(out)
    assert found["id"][7] == "00007"
    assert found["y"] == WORDS[y].tolist()
    assert found["note"][0] == 'a "b", c'
    assert np.array_equal(np.array(found["z_10"], dtype=float), logits[:, 10])
    assert np.array_equal(np.array(found["w"], dtype=float), weight)
    if target in ("parquet", "npz"):
        assert isinstance(found["w"][0], float)


def test_matrices_become_columns(tmp_path, logits, y, succeeds):
    np.savez(tmp_path / "a.npz", z=logits, y=y)
    cal = save(TemperatureCalibrator(input="logits").fit(logits, y), tmp_path / "cal.json")
    succeeds("apply", cal, tmp_path / "a.npz", "--out", tmp_path / "a.csv")
    found = columns_of(tmp_path / "a.csv")
    assert list(found)[:3] == ["z_0", "z_1", "z_2"]
    np.testing.assert_array_equal(np.array(found["z_3"], dtype=float), logits[:, 3])


def test_csv_needs_no_pyarrow(tmp_path, logits, y, weight, succeeds, fails, monkeypatch):
    columns = table(logits[:, np.argsort(WORDS)], WORDS[y], weight)
    path = write(tmp_path / "data.csv", columns)
    other = write(tmp_path / "data.parquet", columns)
    cal, out = tmp_path / "cal.json", tmp_path / "out.csv.gz"
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pyarrow", None)
        patch.setitem(sys.modules, "pyarrow.parquet", None)
        succeeds("fit", path, "--label", "y", "--logits", "z_*", "--out", cal)
        succeeds("apply", cal, path, "--out", out)
        text = fails("apply", cal, other)
        assert 'needs pyarrow; pip install "calib-uq[cli]"' in text
        assert "pip install" in fails("apply", cal, path, "--out", tmp_path / "o.parquet")
    first = cal.read_text()
    succeeds("fit", path, "--label", "y", "--logits", "z_*", "--out", cal)
    assert cal.read_text() == first
    again = tmp_path / "again.csv"
    succeeds("apply", cal, path, "--out", again)
    assert columns_of(again) == columns_of(out)


def test_floating_type_of_the_file_is_kept(tmp_path, logits, y, succeeds):
    half = logits.astype(np.float32)
    columns = {f"z_{k}": half[:, k] for k in range(K)} | {"y": y}
    path, cal = write(tmp_path / "f.parquet", columns), tmp_path / "cal.json"
    fit = ("fit", path, "--label", "y", "--logits", "z_*", "--method", "temperature")
    succeeds(*fit, "--out", cal)
    succeeds("apply", cal, path, "--out", tmp_path / "o.parquet")
    found = parquet.ParquetFile(tmp_path / "o.parquet").read()
    assert found.column("calibrated_0").type == pyarrow.float32()
    expected = TemperatureCalibrator(input="logits").fit(half, y).transform(half)
    np.testing.assert_array_equal(found.column("calibrated_0").to_numpy(), expected[:, 0])


def test_spellings_of_a_csv_file(tmp_path, succeeds):
    """Byte order mark, spaces after commas, plus signs, Windows lines, quoted line breaks."""
    path = tmp_path / "odd.csv"
    text = 'y, p_0, p_1,note\r\n0, +0.75,2.5e-1,"a\nb"\r\n1, .25, 0.75,\r\n1, 0.5,0.5,x\r\n'
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    numbers = tmp_path / "r.json"
    report = ("report", path, "--label", "y", "--proba", "p_*", "--resamples", 5)
    succeeds(*report, "--json", numbers)
    content = json.loads(numbers.read_text())
    assert (content["n_samples"], len(content["classes"])) == (3, 2)
    cal = tmp_path / "cal.json"
    succeeds("fit", path, "--label", "y", "--proba", "p_*", "--out", cal)
    succeeds("apply", cal, path, "--out", tmp_path / "o.csv")
    assert columns_of(tmp_path / "o.csv")["note"] == ["a\nb", "", "x"]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["0", "1", "1"], [0, 1]),
        (["-1", " 1", "1"], [-1, 1]),
        (["0.0", "1.0", "1"], [0.0, 1.0]),
        (["01", "02", "01"], ["01", "02"]),
        (["True", "False", "True"], ["False", "True"]),
        (["1", "b", "b"], ["1", "b"]),
    ],
)
def test_labels_of_a_csv_file(texts, expected, tmp_path, succeeds):
    path = write(tmp_path / "l.csv", {"p": [0.25, 0.5, 0.75], "y": texts})
    cal = tmp_path / "cal.json"
    succeeds("fit", path, "--label", "y", "--proba", "p", "--out", cal)
    assert load(cal).classes_.tolist() == expected


def test_categories_and_decimals_of_parquet(tmp_path, succeeds):
    p = pyarrow.array([0.25, 0.5, 0.75]).cast(pyarrow.decimal128(5, 3))
    y = pyarrow.array(["no", "yes", "yes"]).dictionary_encode()
    other = pyarrow.array(["a", "b", None]).cast(pyarrow.large_string())
    path = tmp_path / "t.parquet"
    parquet.write_table(pyarrow.table({"p": p, "y": y, "other": other}), path)
    cal = tmp_path / "cal.json"
    succeeds("fit", path, "--label", "y", "--proba", "p", "--out", cal)
    succeeds("apply", cal, path, "--out", tmp_path / "o.npz")
    assert columns_of(tmp_path / "o.npz")["other"] == ["a", "b", ""]
    succeeds("apply", cal, path, "--out", tmp_path / "o.csv")
    assert columns_of(tmp_path / "o.csv")["other"] == ["a", "b", ""]
    succeeds("apply", cal, path)
    assert columns_of(tmp_path / "t.calibrated.parquet")["other"] == ["a", "b", None]


def test_result_may_replace_its_source(data, tmp_path, logits, y, succeeds, fails):
    cal = save(TemperatureCalibrator(input="logits").fit(logits, y), tmp_path / "cal.json")
    succeeds("apply", cal, data, "--logits", "z_*", "--out", data)
    assert "calibrated_0" in columns_of(data)
    assert "already has a column 'calibrated_0'" in fails(
        "apply", cal, data, "--logits", "z_*", "--out", data
    )
    assert not list(tmp_path.glob("*.part"))


def test_several_scores_in_one_report(data, tmp_path, succeeds):
    out, numbers = tmp_path / "r.html", tmp_path / "r.json"
    text = succeeds(
        "report", data, "--label", "y", "--logits", "z_*", "--name", "one", "--logits",
        "z_0,z_1,z_2,z_3,z_4,z_5,z_6,z_7,z_8,z_9,z_11,z_10", "--name", "two", "--resamples", 5,
        "--html", out, "--json", numbers,
    )  # fmt: skip
    assert f"wrote {out}" in text
    assert "one" in text
    assert "<html" in out.read_text(encoding="utf-8").lower()
    models = json.loads(numbers.read_text())["models"]
    assert list(models) == ["one", "two"]
    one, two = (models[name]["measures"] for name in models)
    assert one == two, "the names of the columns order both alike"


def test_globs_leave_out_labels_and_weights(tmp_path, succeeds):
    columns = {"w": [1.0, 2.0, 1.0], "a": [0.5, 0.2, 0.7], "b": [0.5, 0.8, 0.3], "y": [0, 1, 0]}
    path = write(tmp_path / "t.csv", columns)
    numbers = tmp_path / "r.json"
    report = ("report", path, "--label", "y", "--weight", "w", "--proba", "*")
    succeeds(*report, "--json", numbers)
    content = json.loads(numbers.read_text())
    assert (content["n_samples"], len(content["classes"])) == (3, 2)


def test_summary_of_a_fit_with_rare_classes_and_zero_weights(tmp_path, logits, y, succeeds):
    rare = np.where(np.arange(N) < 2, 11, np.minimum(y, 10))
    weight = (np.arange(N) % 3 > 0).astype(float)
    path = write(tmp_path / "d.csv", table(logits, rare, weight))
    out = succeeds(
        "fit",
        path,
        "--label",
        "y",
        "--logits",
        "z_*",
        "--weight",
        "w",
        "--out",
        tmp_path / "c.json",
    )
    rows = [line for line in out.splitlines() if line.startswith(("before", "after"))]
    before, after = (float(row.rpartition("  ")[0].split()[-3]) for row in rows)
    assert after < before


# ---------------------------------------------------------------------- other commands


def test_demo(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(
        CALIBRATORS,
        "missing",
        replace(CALIBRATORS["platt"], target="nowhere:Missing", needs=("no_such_package",)),
    )
    assert main(["demo"]) == 0
    out, err = capsys.readouterr()
    assert err == "calib: note: missing is left out: needs no_such_package\n"
    assert "wrote report.html" in out
    page = Path("report.html").read_text(encoding="utf-8")
    for name in ["raw", *CALIBRATORS]:
        if name in ("multicalibration", "group"):  # they read features beside scores
            continue
        assert name == "missing" or (name[:12] in out and name in page)  # long ones are cut
    first = out.split("Use ")[1].split(":")[0]
    assert first in CALIBRATORS


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_export_writes_an_onnx_model(succeeds, fails, data, tmp_path, logits):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    cal, out = tmp_path / "cal.json", tmp_path / "cal.onnx"
    succeeds("fit", data, "--label", "y", "--logits", "z_*", "--method", "isotonic", "--out", cal)
    told = f"wrote {out}: scores -> probabilities, opset 17\n"
    assert succeeds("export", cal) == told
    assert succeeds("export", cal, "--out", out) == told  # in place of the same kind of file
    session = runtime.InferenceSession(out)
    scores = logits.astype(np.float32)
    (proba,) = session.run(None, {"scores": scores})
    np.testing.assert_allclose(proba, load(cal).transform(scores), atol=1e-6)
    assert "opset must be" in fails("export", cal, "--opset", 3)
    assert "another ending than .html" in fails("export", cal, "--out", tmp_path / "a.html")
    assert "would replace" in fails("export", cal, "--out", cal)
    assert "no such file" in fails("export", tmp_path / "none.json")


def test_methods_lists_the_registry(succeeds):
    lines = succeeds("methods").splitlines()
    assert lines[0].split()[:2] == ["name", "class"]
    assert [line.split()[:2] for line in lines[1:]] == [
        [name, entry.class_name] for name, entry in CALIBRATORS.items()
    ]


def test_version_and_help(succeeds):
    assert succeeds("--version") == f"calib {__version__}\n"
    assert "calib demo" in succeeds("--help")
    for command in ("demo", "report", "fit", "apply", "export", "methods"):
        assert f"calib {command}" in succeeds(command, "--help")


def test_tables_on_a_terminal(succeeds, monkeypatch):
    pytest.importorskip("rich")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    lines = succeeds("methods").splitlines()
    assert all(entry.class_name in "".join(lines) for entry in CALIBRATORS.values())


def test_no_progress_bar_without_tqdm(data, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert main(["report", str(data), "--label", "y", "--logits", "z_*", "--resamples", "5"]) == 0
    assert capsys.readouterr().err == ""


def test_process(data, tmp_path):
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "calib", *arguments]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment
        )

    done = run("fit", data.name, "--label", "y", "--logits", "z_*", "--out", "cal.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert load(tmp_path / "cal.json").weights_.sum() == pytest.approx(1.0)  # of the default
    done = run("fit", data.name, "--label", "yy", "--logits", "z_*", "--out", "cal.json")
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("calib: error: unknown column 'yy' (did you mean 'y'?)")


def test_closed_pipe(tmp_path):
    code = (
        "import os, sys; from calib.cli import main; r, w = os.pipe(); os.close(r); os.dup2(w, 1); "
        "sys.exit(main(['methods']))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("word", ["--help", "methods"])
def test_start_is_light(word):
    code = (
        f"import sys; from calib.cli import main; main(['{word}']); "
        "assert not {'numpy', 'sklearn', 'pyarrow', 'tqdm', 'rich'} & set(sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr


def test_interrupt(data, monkeypatch, capsys):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("calib.evaluation.calibration_report", interrupted)
    assert main(["report", str(data), "--label", "y", "--logits", "z_*"]) == 130
    assert capsys.readouterr().err == "calib: error: interrupted\n"


# ---------------------------------------------------------------------- bad input


def test_bad_command_line(fails, data):
    assert "COMMAND" in fails()
    assert "invalid choice: 'reports'" in fails("reports")
    assert "--label" in fails("report", data)
    assert "--proba or --logits" in fails("report", data, "--label", "y")
    assert "once" in fails(
        "fit", data, "--label", "y", "--logits", "z_*", "--proba", "z_*", "--out", "c.json"
    )
    assert "invalid int value" in fails("report", data, "--label", "y", "--bins", "many")
    assert "unrecognized arguments" in fails("methods", "--all")


def report_of(*names: str) -> tuple[str, ...]:
    return ("--label", "y", "--proba", *names)


def test_bad_files(tmp_path, fails, data):
    options = report_of("p")
    assert "no such file" in fails("report", tmp_path / "none.csv", *options)
    assert "is a directory" in fails("report", tmp_path, *options)
    for name in ("a.csv", "a.parquet", "a.npz", "a.csv.gz"):
        (tmp_path / name).touch()
        assert "is empty" in fails("report", tmp_path / name, *options)
    (tmp_path / "a.xlsx").write_bytes(b"x")
    text = fails("report", tmp_path / "a.xlsx", *options)
    assert "unknown kind of file" in text
    assert ".parquet" in text
    garbage = bytes(range(256)) * 20
    for name in ("g.csv", "g.parquet", "g.npz", "g.csv.gz"):
        (tmp_path / name).write_bytes(garbage)
        assert name in fails("report", tmp_path / name, *options)
    whole = data.read_bytes()
    (tmp_path / "t.parquet").write_bytes(whole[: len(whole) // 2])
    assert "not a readable parquet file" in fails("report", tmp_path / "t.parquet", *options)
    np.savez(tmp_path / "w.npz", p=np.zeros(500))
    (tmp_path / "t.npz").write_bytes((tmp_path / "w.npz").read_bytes()[:600])
    assert "not a NumPy archive" in fails("report", tmp_path / "t.npz", *options)
    packed = gzip.compress(b"p,y\n" + b"0.5,1\n" * 1000)
    (tmp_path / "t.csv.gz").write_bytes(packed[:-10])
    assert "t.csv.gz" in fails("report", tmp_path / "t.csv.gz", *options)


def test_files_without_permission(tmp_path, fails, data, monkeypatch):
    """Simulated, because the superuser may do everything."""

    def refuse(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    cal = tmp_path / "cal.json"
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        assert "data.parquet: Permission denied" in fails("report", data, *report_of("p"))
    with monkeypatch.context() as patch:
        patch.setattr("os.access", lambda *_: False)
        assert "cal.json: permission denied" in fails("fit", data, *report_of("p"), "--out", cal)


@pytest.mark.parametrize("arrow", [True, False])
def test_bad_csv(arrow, tmp_path, fails, monkeypatch):
    if not arrow:
        monkeypatch.setitem(sys.modules, "pyarrow", None)
    path = tmp_path / "a.csv"

    def fails_with(text: str, *options: str) -> str:
        path.write_text(text)
        return fails("report", path, *(options or report_of("p")))

    assert "has no rows" in fails_with("p,y\n")
    assert "two columns named 'p'" in fails_with("p,p,y\n0.5,0.5,1\n")
    assert "not a readable CSV file" in fails_with("p,y\n0.5,1\n0.5\n")
    assert "values are separated by one of commas, semicolons" in fails_with("p y\n0.5 1\n")
    assert "'p' of a.csv is not numeric: 'high' in row 1" in fails_with("p,y\n0.5,1\nhigh,0\n")
    assert "'p' of a.csv is not numeric: nothing in row 1" in fails_with("p,y\n0.5,1\n,0\n")
    assert "'p' of a.csv has nan in row 2" in fails_with("p,y\n0.5,1\n0.5,0\nNaN,1\n")
    assert "'p' of a.csv has inf in row 0" in fails_with("p,y\ninf,1\n0.5,0\n")
    assert "'y' of a.csv has no value in row 1" in fails_with("p,y\n0.5,1\n0.5,\n0.5,0\n")
    assert "'y' of a.csv has no value in row 1" in fails_with("p,y\n0.5,a\n0.5,\n0.5,b\n")


def test_bad_columns(data, fails):
    text = fails("report", data, "--label", "Y", "--logits", "z_*")
    assert "unknown column 'Y'" in text
    assert "data.parquet has: id, z_0, z_1" in text
    assert "did you mean 'z_11'" in fails("report", data, "--label", "y", "--logits", "z_111")
    assert "no column matches 'q_*'" in fails("report", data, "--label", "y", "--logits", "q_*")
    assert "names no column" in fails("report", data, "--label", "y", "--logits", ",")
    assert "is not numeric: 'a \"b\", c' in row 0" in fails(
        "report", data, "--label", "y", "--logits", "note"
    )
    assert "12 distinct labels" in fails("report", data, "--label", "y", "--logits", "z_0,z_1")
    options = ("--label", "y", "--logits", "z_*")
    assert "unknown column 'u'" in fails("report", data, *options, "--group", "u")
    assert "unknown column 'u'" in fails("report", data, *options, "--weight", "u")
    assert "--name" in fails("report", data, *options, "--name", "a", "--name", "b")


def test_bad_values(data, tmp_path, fails, logits, y):
    text = fails("report", data, *report_of("z_*"))
    assert "z_* has values outside [0, 1]" in text
    assert "pass --logits" in text
    columns = {f"p_{k}": np.abs(logits[:, k]) / 50 for k in range(K)} | {"y": y}
    path = write(tmp_path / "sums.csv", columns)
    assert "rows that do not sum to 1" in fails("report", path, *report_of("p_*"))
    options = ("--label", "y", "--logits", "z_*")
    assert "name the same file" in fails("report", data, *options, "--html", "r", "--json", "r")
    assert "n_bins must be >= 1" in fails("report", data, *options, "--bins", 0)
    assert "confidence_level" in fails("report", data, *options, "--level", 2)
    assert "n_resamples" in fails("report", data, *options, "--resamples", 0)
    weights = write(tmp_path / "w.csv", {"p": [0.5, 0.2], "y": [0, 1], "w": [1.0, -1.0]})
    assert "must be >= 0" in fails("report", weights, *report_of("p"), "--weight", "w")
    one = write(tmp_path / "one.csv", {"p": [0.5, 0.2], "y": [1, 1]})
    assert "single class" in fails("fit", one, *report_of("p"), "--out", tmp_path / "c.json")
    assert not (tmp_path / "c.json").exists()


def test_bad_arrays(tmp_path, fails, logits, y):
    path = tmp_path / "a.npz"
    bad = logits.copy()
    bad[3, 4] = np.nan
    objects = np.array([{}, 1], dtype=object)
    np.savez(path, z=logits, y=y, bad=bad, objects=objects, cube=np.zeros((N, 2, 2)), short=y[:5])
    assert "'bad' of a.npz has nan in row 3 (the first is row 0), column 4" in fails(
        "report", path, "--label", "y", "--logits", "bad"
    )
    assert "cannot be read" in fails("report", path, "--label", "objects", "--logits", "z")
    assert "name one two-dimensional array" in fails(
        "report", path, "--label", "y", "--logits", "z,short"
    )
    assert "z has 400 rows, the label column 5" in fails(
        "report", path, "--label", "short", "--logits", "z"
    )
    assert "labels and groups have one dimension" in fails(
        "report", path, "--label", "z", "--logits", "z"
    )
    assert "dimensions" in fails("report", path, "--label", "y", "--logits", "cube")
    np.savez(path)
    assert "a.npz" in fails("report", path, "--label", "y", "--logits", "z")


def test_bad_fit(data, tmp_path, fails):
    def fit(*options: str, out: str = "cal.json") -> str:
        base = ("fit", data, "--label", "y", "--logits", "z_*", "--out", tmp_path / out)
        return fails(*base, *options)

    text = fit("--method", "thermometer")
    assert "unknown calibrator 'thermometer'; known names: auto, temperature" in text
    assert "no such parameter; it takes random_state" in fit("--param", "fast=1")
    assert "KEY=VALUE" in fit("--param", "fast")
    assert "--logits and --proba say" in fit("--param", "input=proba")
    assert "smoothing must be one of" in fit("--method", "temperature", "--param", "smoothing=3")
    assert "smoothing must be one of" in fit(
        "--method", "temperature", "--param", "smoothing=maybe"
    )
    assert "there is no directory" in fit(out="none/cal.json")
    assert "saved as .json" in fit(out="cal.parquet")
    (tmp_path / "folder.json").mkdir()
    assert "is a directory" in fit(out="folder.json")


def test_unavailable_method(data, tmp_path, fails, monkeypatch):
    entry = replace(CALIBRATORS["platt"], target="nowhere:Missing", needs=("no_such_package",))
    monkeypatch.setitem(CALIBRATORS, "missing", entry)
    options = ("--label", "y", "--logits", "z_*", "--out", tmp_path / "c.json")
    assert "missing needs no_such_package" in fails("fit", data, *options, "--method", "missing")


def test_bad_calibrator_files(data, tmp_path, fails, logits, y):
    good = save(TemperatureCalibrator(input="logits").fit(logits, y), tmp_path / "cal.json")
    assert "no such file" in fails("apply", tmp_path / "none.json", data)
    assert "is a directory" in fails("apply", tmp_path, data)
    text = good.read_text()
    for name, content in {
        "truncated": text[:100],
        "hostile": text.replace('"temperature"', '"os:system"'),
        "other": '{"a": 1}',
        "table": "a,b\n1,2\n",
        "number": re.sub('"format": [0-9]+', '"format": 99', text),
    }.items():
        path = tmp_path / f"{name}.json"
        path.write_text(content)
        assert f"{name}.json" in fails("apply", path, data)
        assert f"{name}.json" in fails(
            "report", data, "--label", "y", "--logits", "z_*", "--calibrator", path
        )
    (tmp_path / "binary.json").write_bytes(bytes(range(256)))
    assert "binary.json" in fails("apply", tmp_path / "binary.json", data)
    (tmp_path / "empty.json").touch()
    assert "is empty" in fails("apply", tmp_path / "empty.json", data)


def test_bad_apply(data, tmp_path, fails, logits, y):
    cal = save(TemperatureCalibrator(input="logits").fit(logits, y), tmp_path / "cal.json")
    assert "pass --logits instead of --proba" in fails("apply", cal, data, "--proba", "z_*")
    assert "12 features" in fails("apply", cal, data, "--logits", "z_0,z_1")
    assert "unknown kind of file" in fails("apply", cal, data, "--out", tmp_path / "out.xls")
    assert "there is no directory" in fails("apply", cal, data, "--out", tmp_path / "no" / "o.csv")
    words = write(tmp_path / "w.csv", {"a": [1.0, 2.0], "b": [2.0, 1.0]})
    assert "no columns of w.csv can be the scores; name them with --logits" in fails(
        "apply", cal, words
    )
    twice = {f"{p}_{k}": logits[:, k] for p in "pz" for k in range(K)}
    path = write(tmp_path / "twice.csv", twice)
    assert "several columns of twice.csv" in fails("apply", cal, path)
    named = TemperatureCalibrator(input="logits").fit(logits, y)
    named.feature_names_in_ = np.array([f"q_{k}" for k in range(K)], dtype=object)
    save(named, cal)
    assert "lacks the column 'q_0' of the fit" in fails("apply", cal, data)
    np.savez(tmp_path / "m.npz", z=logits, other=np.zeros(7))
    assert "write an .npz file" in fails(
        "apply", cal, tmp_path / "m.npz", "--out", tmp_path / "m.csv"
    )
    assert not list(tmp_path.glob("*.part"))


def test_calibrator_of_other_classes_or_scores(data, tmp_path, fails, logits, y):
    options = ("--label", "y", "--logits", "z_*", "--calibrator")
    words = save(
        TemperatureCalibrator(input="logits").fit(logits, WORDS[y], labels=WORDS),
        tmp_path / "w.json",
    )
    assert "w.json knows the classes gull, crow" in fails("report", data, *options, words)
    proba = TemperatureCalibrator().fit(softmax(logits, axis=1), y)
    assert "was fitted with --proba" in fails(
        "report", data, *options, save(proba, tmp_path / "p.json")
    )


def test_probabilities_as_logits(tmp_path, logits, y, capsys, fails):
    proba = softmax(logits, axis=1)
    path = write(tmp_path / "p.csv", {f"p_{k}": proba[:, k] for k in range(K)} | {"y": y})
    command = ["report", str(path), "--label", "y", "--logits", "p_*", "--resamples", "5"]
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert main(command) == 0
    err = capsys.readouterr().err
    assert err.startswith("calib: warning: p_* looks like probabilities but --logits was given")
    assert len(err.splitlines()) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error", ProbabilitiesAsLogitsWarning)
        assert "looks like probabilities" in fails(*command)


def test_groups_come_from_a_column_or_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As labels and weights do; the file counts as an input that no output replaces."""
    rng = np.random.default_rng(0)
    y, z, g = rng.integers(0, 2, 80), rng.normal(size=80), np.repeat(np.arange(20), 4)
    rows = "\n".join(f"{a},{b},{c}" for a, b, c in zip(y, z, g, strict=True))
    data, alone, array = tmp_path / "d.csv", tmp_path / "g.csv", tmp_path / "g.npy"
    data.write_text(f"y,z,g\n{rows}\n")
    alone.write_text("g\n" + "\n".join(map(str, g)) + "\n")
    np.save(array, g)
    command = ["report", str(data), "--label", "y", "--logits", "z"]
    shown, numbers = [], tmp_path / "r.json"
    for group in ("g", str(alone), str(array)):
        assert main([*command, "--group", group, "--json", str(numbers)]) == 0
        shown.append((capsys.readouterr().out, numbers.read_text()))
        assert json.loads(numbers.read_text())["n_groups"] == 20
    assert len(set(shown)) == 1
    alone.write_text("g\n1\n2\n")
    assert main([*command, "--group", str(alone)]) == 2
    assert "g.csv has 2 groups for 80 rows" in capsys.readouterr().err
    assert main([*command, "--group", str(array), "--html", str(array)]) == 2
    assert "would replace" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["inf", "-inf", "Infinity", "1e999"])
@pytest.mark.parametrize("stream", [[], ["--stream"]])
def test_infinity_among_numbers_is_no_label(
    word: str, stream: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "d.csv"
    data.write_text(f"y,z\n0,1\n1,2\n{word},3\n0,1\n")
    assert main(["report", str(data), "--label", "y", "--logits", "z", *stream]) == 2
    err = capsys.readouterr().err
    assert "inf among numbers, which is no class" in err
    assert "row 2" in err
    data.write_text(f"y,z\na,1\nb,2\n{word},3\na,1\n")  # among words it is one of them
    assert main(["report", str(data), "--label", "y", "--logits", "z", *stream]) == 2
    assert "3 distinct labels" in capsys.readouterr().err
