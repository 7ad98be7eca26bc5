"""calib report on several networks, a file for each; chosen measures; tables for LaTeX."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from calib import TemperatureCalibrator, save
from calib.cli import main
from calib.evaluation import calibration_report

pyarrow = pytest.importorskip("pyarrow")
from pyarrow import (  # noqa: E402
    csv as arrow_csv,
    feather,
    parquet,
)

N, K = 300, 3
KINDS = ("npz", "npz of one", "npy", "pt", "parquet", "feather", "csv", "lists")
ALL = ("--proba", "*", "--resamples", "5")


@pytest.fixture(scope="module")
def logits() -> np.ndarray:
    return 2.0 * np.random.default_rng(0).normal(size=(N, K))


@pytest.fixture(scope="module")
def y(logits: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.array([rng.choice(K, p=p) for p in softmax(logits / 1.5, axis=1)])


@pytest.fixture(scope="module")
def proba(logits: np.ndarray) -> np.ndarray:
    return softmax(logits, axis=1)


@pytest.fixture
def labels(tmp_path: Path, y: np.ndarray) -> Path:
    np.savez(tmp_path / "labels.npz", y=y)
    return tmp_path / "labels.npz"


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def run(*arguments: object) -> str:
        assert main([str(argument) for argument in arguments]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        line = err.splitlines()[-1]
        assert line.startswith("calib: error: ")
        assert "unexpected" not in line
        return line

    return run


def write(path: Path, kind: str, scores: np.ndarray, **columns: np.ndarray) -> Path:
    """Write the scores of a network as a file of a kind, beside other columns."""
    named = {f"c_{k}": scores[:, k] for k in range(scores.shape[1])} | columns
    if kind == "npz":
        np.savez(file := path.with_suffix(".npz"), scores=scores, **columns)
    elif kind == "npz of one":
        np.savez(file := path.with_suffix(".npz"), scores)
    elif kind == "npy":
        np.save(file := path.with_suffix(".npy"), scores)
    elif kind == "pt":
        torch = pytest.importorskip("torch")
        torch.save(torch.from_numpy(scores), file := path.with_suffix(".pt"))
    elif kind == "parquet":
        parquet.write_table(pyarrow.table(named), file := path.with_suffix(".parquet"))
    elif kind == "feather":
        feather.write_feather(pyarrow.table(named), file := path.with_suffix(".feather"))
    elif kind == "csv":
        arrow_csv.write_csv(pyarrow.table(named), file := path.with_suffix(".csv"))
    else:
        table = pyarrow.table({"scores": scores.tolist(), **columns})
        parquet.write_table(table, file := path.with_suffix(".pq"))
    return file


def values(path: Path) -> dict[str, float]:
    """Return the log loss of every model of a report."""
    models = json.loads(path.read_text(encoding="utf-8"))["models"]
    return {name: model["measures"]["log_loss"]["value"] for name, model in models.items()}


# ---------------------------------------------------------------------- what comes out


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file(kind, labels, proba, y, tmp_path, succeeds):
    first = write(tmp_path / "one", kind, proba)
    second = write(tmp_path / "two", kind, softmax(np.log(proba) / 2, axis=1))
    text = succeeds(
        "report", labels, "--label", "y", *ALL, "--scores", f"resnet={first}",
        "--scores", f"vit={second}", "--json", tmp_path / "r.json",
    )  # fmt: skip
    assert "resnet" in text
    expected = calibration_report(
        y, {"resnet": proba, "vit": softmax(np.log(proba) / 2, axis=1)}, n_resamples=5
    )
    found = values(tmp_path / "r.json")
    assert list(found) == ["resnet", "vit"]
    for name, value in found.items():
        assert value == pytest.approx(expected.models[name].measures["log_loss"].value, rel=1e-6)


def test_kinds_are_mixed_and_declared_once_or_for_each(labels, logits, proba, tmp_path, succeeds):
    first = write(tmp_path / "one", "npz", logits)
    second = write(tmp_path / "two", "csv", proba)
    options = ("report", labels, "--label", "y", "--json", tmp_path / "r.json", "--resamples", "5")
    files = ("--scores", f"a={first}", "--scores", f"b={second}")
    succeeds(*options, *files, "--logits", "scores", "--proba", "c_*")
    found = values(tmp_path / "r.json")
    assert found["a"] == pytest.approx(found["b"], rel=1e-9)
    succeeds(*options, "--scores", f"a={first}", "--scores", f"b={first}", "--logits", "*")
    assert values(tmp_path / "r.json")["a"] == pytest.approx(found["a"], rel=1e-12)


@pytest.mark.parametrize("holder", ["first", "second", "both"])
def test_labels_of_the_files_themselves(holder, proba, y, tmp_path, succeeds):
    of = {"y": y, "w": np.arange(N) % 3.0}
    first = write(tmp_path / "one", "npz", proba, **(of if holder != "second" else {}))
    second = write(tmp_path / "two", "parquet", proba, **(of if holder != "first" else {}))
    succeeds(
        "report", "--label", "y", "--weight", "w", *ALL, "--scores", f"a={first}",
        "--scores", f"b={second}", "--json", tmp_path / "r.json",
    )  # fmt: skip
    expected = calibration_report(y, proba, sample_weight=of["w"], n_resamples=5)
    loss = expected.models["model"].measures["log_loss"].value
    assert list(values(tmp_path / "r.json").values()) == pytest.approx([loss, loss], rel=1e-9)


def test_labels_in_a_file_of_their_own(proba, y, tmp_path, succeeds):
    np.save(tmp_path / "truth.npy", y)
    first = write(tmp_path / "one", "npy", proba)
    text = succeeds("report", "--label", tmp_path / "truth.npy", *ALL, "--scores", f"a={first}")
    assert f"{N}" in text


def test_file_may_follow_the_options(labels, proba, tmp_path, succeeds):
    first = write(tmp_path / "one", "npy", proba)
    succeeds("report", "--label", "y", labels, *ALL, "--scores", f"a={first}")
    succeeds("report", "--label", "y", *ALL, "--scores", f"a={first}", labels)


@pytest.mark.parametrize("text", [False, True])
def test_rows_are_matched_by_ids(text, proba, y, tmp_path, succeeds):
    ids = np.array([f"image_{k:04d}" for k in range(N)]) if text else np.arange(N) + 7
    order = np.random.default_rng(2).permutation(N)
    first = write(tmp_path / "one", "npz", proba, y=y, id=ids)
    second = write(tmp_path / "two", "parquet", proba[order], y=y[order], id=ids[order])
    command = (
        "report", "--label", "y", *ALL, "--id", "id", "--scores", f"a={first}",
        "--scores", f"b={second}", "--json", tmp_path / "r.json",
    )  # fmt: skip
    succeeds(*command)
    found = values(tmp_path / "r.json")
    assert found["a"] == pytest.approx(found["b"], rel=1e-12)


def test_two_classes_take_the_same_positive_one(tmp_path, rng, succeeds):
    p = rng.random(N)
    y = np.where(rng.random(N) < p, "yes", "no")
    first = write(tmp_path / "one", "npz", p[:, None], y=y)
    second = write(tmp_path / "two", "csv", np.stack([1 - p, p], axis=1))
    succeeds(
        "report", "--label", "y", *ALL, "--scores", f"a={first}", "--scores", f"b={second}",
        "--json", tmp_path / "r.json",
    )  # fmt: skip
    found = values(tmp_path / "r.json")
    assert found["a"] == pytest.approx(found["b"], rel=1e-9)


@pytest.mark.filterwarnings("default")
def test_suspicions_name_the_network(labels, proba, tmp_path, capsys):
    first, second = (write(tmp_path / name, "npy", proba) for name in ("one", "two"))
    arguments = ["report", labels, "--label", "y", "--logits", "*", "--resamples", "5"]
    arguments += ["--scores", f"a={first}", "--scores", f"b={second}"]
    assert main([str(argument) for argument in arguments]) == 0
    error = capsys.readouterr().err
    assert "* of a looks like probabilities" in error
    assert "* of b looks like probabilities" in error


# ---------------------------------------------------------------------- measures and LaTeX


def test_measures_are_passed_on(labels, proba, y, tmp_path, succeeds, fails):
    first = write(tmp_path / "one", "npz", proba, y=y)
    out = tmp_path / "r.json"
    for given, wanted in (
        ("all", "all"),
        ("core", "core"),
        (
            "smooth_calibration_error, ks_calibration_error",
            ["smooth_calibration_error", "ks_calibration_error"],
        ),
    ):
        options = ("--measures", given, "--json", out, "--resamples", "5")
        succeeds("report", first, "--label", "y", "--proba", "scores", *options)
        expected = calibration_report(y, proba, measures=wanted, n_resamples=5)
        found = json.loads(out.read_text(encoding="utf-8"))["models"]["model"]["measures"]
        assert set(found) == set(expected.models["model"].measures)
    command = ("report", first, "--label", "y", "--proba", "scores", "--measures")
    assert "unknown name" in fails(*command, "brier,breir")
    assert "--measures: ',' names no measure" in fails(*command, ",")


def test_measures_are_not_streamed(proba, y, tmp_path, fails, succeeds):
    file = write(tmp_path / "one", "parquet", proba, y=y)
    command = ("report", file, "--label", "y", "--proba", "c_*", "--stream", "--measures")
    assert "--stream adds up the core alone" in fails(*command, "all")
    succeeds(*command, "core")
    assert "--stream chooses no reference" in fails(*command[:-1], "--reference", "model")


def test_reference_is_passed_on(labels, proba, logits, y, tmp_path, succeeds, fails):
    files = []
    for name, power in (("one", 1.0), ("two", 0.5), ("three", 3.0)):
        path = write(tmp_path / name, "npy", softmax(power * logits, axis=1))
        files += ["--scores", f"{name}={path}"]
    out = tmp_path / "r.json"
    command = ("report", labels, "--label", "y", *ALL, *files, "--json", out, "--reference")
    for name in ("one", "three"):
        succeeds(*command, name)
        models = {
            n: softmax(p * logits, axis=1) for n, p in (("one", 1), ("two", 0.5), ("three", 3))
        }
        expected = calibration_report(y, models, reference=name, n_resamples=5)
        assert expected.reference == name
        assert json.loads(out.read_text(encoding="utf-8")) == json.loads(
            json.dumps(expected.to_dict())
        )
    error = fails(*command, "tow")
    assert "--reference 'tow' is no model of the report; it has one, two, three" in error
    assert "Did you mean 'two'?" in error


def test_reference_may_be_a_calibrator_or_a_set_of_columns(proba, logits, y, tmp_path, succeeds):
    save(TemperatureCalibrator(input="logits").fit(logits, y), tmp_path / "cal.json")
    file, out = write(tmp_path / "one", "npz", logits, y=y), tmp_path / "r.json"
    options = ("--label", "y", "--logits", "scores", "--calibrator", tmp_path / "cal.json")
    for name in ("cal", "raw"):
        succeeds("report", file, *options, "--json", out, "--reference", name)
        assert json.loads(out.read_text(encoding="utf-8"))["comparison"]["reference"] == name


def test_latex_is_what_the_report_says(proba, y, tmp_path, succeeds, fails):
    file, out = write(tmp_path / "one", "npz", proba, y=y), tmp_path / "r.tex"
    command = ("report", file, "--label", "y", "--proba", "scores", "--resamples", "5")
    text = succeeds(*command, "--latex", out)
    assert f"wrote {out}" in text
    expected = calibration_report(y, proba, n_resamples=5).to_latex()
    assert out.read_text(encoding="utf-8") == expected
    assert r"\begin{tabular}" in expected
    succeeds(*command, "--latex", out)  # replaces its own kind
    out.write_text("\\documentclass{article}\n\\begin{tabular}{l}\\end{tabular}\n")
    assert "would replace" in fails(*command, "--latex", out)
    assert "\\documentclass" in out.read_text()


@pytest.mark.parametrize("name", ["r.csv", "r.npz", "r.html", "r.json"])
def test_latex_takes_the_ending_of_nothing_else(name, proba, y, tmp_path, fails):
    file = write(tmp_path / "one", "npz", proba, y=y)
    command = ("report", file, "--label", "y", "--proba", "scores")
    assert "another ending" in fails(*command, "--latex", tmp_path / name)
    assert "another ending" in fails(*command, "--html", tmp_path / "r.tex")
    assert "another ending" in fails(*command, "--json", tmp_path / "r.tex")
    assert "same file" in fails(*command, "--latex", tmp_path / "a", "--html", tmp_path / "a")


def test_outputs_replace_no_network(labels, proba, tmp_path, fails):
    first = write(tmp_path / "one", "npy", proba)
    second = tmp_path / "two"
    second.write_bytes(first.read_bytes())
    command = ("report", labels, "--label", "y", *ALL, "--scores", f"a={first}")
    error = fails(*command, "--scores", f"b={second}", "--latex", second)
    assert "would replace a file that is read" in error


# ---------------------------------------------------------------------- bad input


@pytest.mark.parametrize("text", ["resnet", "=a.npz", "resnet=", " = "])
def test_a_network_is_name_and_file(text, labels, fails):
    error = fails("report", labels, "--label", "y", *ALL, "--scores", text)
    assert "is not NAME=FILE" in error


def test_options_that_go_with_one_file_alone(labels, proba, logits, y, tmp_path, fails):
    first = write(tmp_path / "one", "npy", proba)
    save(TemperatureCalibrator(input="logits").fit(logits, y), tmp_path / "cal.json")
    command = ("report", labels, "--label", "y", *ALL, "--scores", f"a={first}")
    assert "--stream is for the scores of one FILE" in fails(*command, "--stream")
    assert "--name is for the scores of one FILE" in fails(*command, "--name", "x")
    error = fails(*command, "--calibrator", tmp_path / "cal.json")
    assert "--calibrator is for the scores of one FILE" in error
    assert "calib apply" in error
    without = ("report", labels, "--label", "y", "--proba", "y")
    assert "--id is for the files of --scores" in fails(*without, "--id", "id")
    assert "FILE" in fails("report", "--label", "y", *ALL)
    assert "'*' takes all columns" in fails(
        "report", labels, "--label", "y", "--scores", f"a={first}"
    )


def test_names_and_declarations_are_counted(labels, proba, tmp_path, fails):
    first = write(tmp_path / "one", "npy", proba)
    command = ("report", labels, "--label", "y", "--scores", f"a={first}", "--scores")
    assert "two networks named 'a'" in fails(*command, f"a={first}", *ALL)
    error = fails(*command, f"b={first}", "--proba", "*", "--proba", "*", "--logits", "*")
    assert "--scores names 2 files, --proba and --logits 3 sets" in error


def test_rows_that_do_not_match(labels, proba, y, tmp_path, fails):
    short = write(tmp_path / "short", "npy", proba[:-10])
    command = ("report", labels, "--label", "y", *ALL, "--scores")
    error = fails(*command, f"vit={short}")
    assert f"--scores vit={short}" in error
    assert "has 290 rows, the label column 300" in error
    order = np.r_[1:N, 0]
    turned = write(tmp_path / "turned", "npz", proba[order], y=y[order])
    error = fails(*command, f"vit={turned}")
    row = int(np.argmax(y != y[order]))
    said = f"--scores vit={turned}: column 'y' has {y[row + 1]} where labels.npz has {y[row]}"
    assert f"{said}, in row {row} " in error
    assert "--id" in error
    fewer = write(tmp_path / "fewer", "npz", proba, y=y[:-1])
    assert "column 'y' has 299 labels for 300 rows" in fails(*command, f"vit={fewer}")


def test_ids_that_do_not_match(proba, y, tmp_path, fails):
    ids = np.arange(N)
    first = write(tmp_path / "one", "npz", proba, y=y, id=ids)
    command = (
        "report", "--label", "y", *ALL, "--id", "id", "--scores", f"a={first}", "--scores",
    )  # fmt: skip
    lacking = write(tmp_path / "lacking", "csv", proba[2:], id=ids[2:])
    error = fails(*command, f"b={lacking}")
    assert f"--scores b={lacking}: column 'id' lacks 2 of the 300 ids of one.npz" in error
    beyond = write(tmp_path / "beyond", "csv", np.r_[proba, proba[:1]], id=np.r_[ids, N])
    assert "has 1 ids that one.npz lacks, such as 300" in fails(*command, f"b={beyond}")
    twice = write(tmp_path / "twice", "csv", proba, id=np.r_[ids[:-1], 0])
    assert "has the id 0 2 times" in fails(*command, f"b={twice}")
    without = write(tmp_path / "without", "csv", proba)
    assert "unknown column 'id'" in fails(*command, f"b={without}")
    wrong = write(tmp_path / "wrong", "csv", proba, id=ids, y=(y + 1) % K)
    error = fails(*command, f"b={wrong}")
    assert "correct one of them" in error
    assert "--id" not in error
    uneven = write(tmp_path / "uneven", "npz", proba, id=ids[:-1], y=y)
    uneven_first = ("report", "--label", "y", *ALL, "--id", "id", "--scores", f"a={uneven}")
    error = fails(
        *uneven_first, "--scores", f"b={write(tmp_path / 'u', 'csv', proba[:-1], id=ids[:-1])}"
    )
    assert "column 'id' has 299 ids for 300 labels" in error


def test_files_without_labels(proba, tmp_path, fails):
    first = write(tmp_path / "one", "npy", proba)
    error = fails("report", "--label", "y", *ALL, "--scores", f"a={first}")
    assert "no file of --scores has a column 'y'" in error
    assert "FILE" in error


def test_networks_with_other_classes(labels, proba, y, tmp_path, fails):
    first = write(tmp_path / "one", "npy", proba)
    wide = np.c_[proba, np.zeros(N)]
    second = write(tmp_path / "two", "npy", wide)
    command = ("report", labels, "--label", "y", *ALL, "--scores", f"a={first}", "--scores")
    error = fails(*command, f"b={second}")
    assert f"--scores b={second}" in error


@pytest.mark.parametrize(
    "kind", ["text", "pickle", "object array", "object npz", "damaged", "none"]
)
def test_files_that_are_not_read(kind, labels, proba, tmp_path, fails):
    file = tmp_path / "net.npy"
    wanted = "net.npy"
    objects = np.array([{"a": 1}] * N, dtype=object)
    if kind == "text":
        file = tmp_path / "net.scores"
        file.write_text("1,2\n")
        wanted = "net.scores: unknown kind of file; use one of .parquet"
    elif kind == "pickle":
        file.write_bytes(pickle.dumps(proba))
        wanted = "is a pickle, which is not read because it can run code"
    elif kind == "object array":
        np.save(file, objects)
        wanted = "Object arrays cannot be loaded"
    elif kind == "object npz":
        file = tmp_path / "net.npz"
        np.savez(file, p=objects)
        wanted = "Object arrays cannot be loaded"
    elif kind == "damaged":
        np.save(file, proba)
        file.write_bytes(file.read_bytes()[:-100])
    error = fails("report", labels, "--label", "y", *ALL, "--scores", f"net={file}")
    assert str(file) in error
    assert wanted in error


def test_pickled_objects_beside_tensors_are_refused(labels, tmp_path, fails):
    torch = pytest.importorskip("torch")
    torch.save({"p": torch.zeros(2), "model": torch.nn.Linear(1, 1)}, tmp_path / "net.pt")
    command = ("report", labels, "--label", "y", *ALL, "--scores")
    error = fails(*command, f"net={tmp_path / 'net.pt'}")
    assert "net.pt holds more than tensors, which is not read" in error


def test_tensors_without_torch(labels, proba, tmp_path, fails, monkeypatch):
    file = write(tmp_path / "net", "pt", proba)
    monkeypatch.setitem(sys.modules, "torch", None)
    error = fails("report", labels, "--label", "y", *ALL, "--scores", f"net={file}")
    assert "reading net.pt needs torch; pip install" in error


def test_values_that_are_no_probabilities(labels, logits, tmp_path, fails):
    file = write(tmp_path / "net", "npy", logits)
    error = fails("report", labels, "--label", "y", *ALL, "--scores", f"net={file}")
    assert f"--scores net={file}: * of net has values outside [0, 1]" in error
    assert "--logits" in error
    broken = logits.copy()
    broken[3, 1] = np.nan
    file = write(tmp_path / "nan", "npy", broken)
    options = ("--label", "y", "--logits", "*", "--scores", f"net={file}")
    assert "has nan in row 3" in fails("report", labels, *options)
