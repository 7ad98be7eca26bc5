"""Whatever stands on the command line: one line on the error stream and exit code 2."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calib import TemperatureCalibrator, save
from calib.cli import main

pyarrow = pytest.importorskip("pyarrow")
from pyarrow import parquet  # noqa: E402

Z, Y = np.array([-2.0, 1.0, -1.0, 3.0, 0.3, -0.4] * 10), np.array([0, 1, 0, 1, 1, 1] * 10)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with good and bad files, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    p = 1 / (1 + np.exp(-Z))
    columns: dict[str, Any] = {"y": Y, "z": Z, "p": p, "w": np.ones(60)}
    parquet.write_table(pyarrow.table(columns), "good.parquet")
    odd: dict[str, Any] = {
        **columns,
        "struct": pyarrow.array([{"a": 1}] * 60),
        "when": pyarrow.array([10**18] * 60, pyarrow.timestamp("ns")),
        "day": pyarrow.array([1] * 60, pyarrow.date32()),
        "bytes": pyarrow.array([b"a", b"b"] * 30),
        "map": pyarrow.array([[("a", 1)]] * 60, pyarrow.map_(pyarrow.string(), pyarrow.int64())),
        "nested": pyarrow.array([[[0.5]]] * 60),
        "texts": pyarrow.array([["a"]] * 60),
        "null": pyarrow.nulls(60),
        "ragged": pyarrow.array([[0.5]] * 59 + [[0.5, 0.5]]),
        "hole": pyarrow.array([[0.5]] * 59 + [None]),
        "gap": pyarrow.array([[0.5]] * 59 + [[None]]),
        "length": pyarrow.array([10**9] * 60, pyarrow.duration("ns")),
        "inf": pyarrow.array([np.inf] * 60),
    }
    parquet.write_table(pyarrow.table(odd), "odd.parquet")
    for word in ("inf", "-Infinity", "1e999"):
        rows = "\n".join(f"{y},{z}" for y, z in zip([word, *Y[1:]], Z, strict=True))
        Path(f"inf_{word}.csv").write_text(f"y,z\n{rows}\n")
    Path("inf.jsonl").write_text('{"y": 0, "z": 1}\n{"y": 1, "z": 0}\n{"y": Infinity, "z": 1}\n')
    Path("few.csv").write_text("g\n1\n2\n")
    Path("two.csv").write_text("g,h\n1,1\n2,2\n")
    np.save("cube.npy", np.zeros((60, 2, 2)))
    save(TemperatureCalibrator(input="logits").fit(Z, Y), "cal.json")
    Path("junk.bin").write_bytes(bytes(range(256)) * 10)
    for ending in ("csv", "parquet", "npz", "npy", "pt", "jsonl", "feather", "tsv", "json", "gz"):
        Path(f"junk.{ending}").write_bytes(bytes(range(256)) * 10)
    Path("empty.csv").touch()
    Path("text.json").write_text("[1, 2")
    Path("folder").mkdir()
    np.savez(
        "odd.npz", z=Z, y=Y, when=np.array(["2020"] * 60, "M8[D]"), c=Z * 1j,
        record=np.array([(1, 2.0)] * 60, [("a", int), ("b", float)]), b=np.array([b"a"] * 60),
        cube=np.zeros((60, 2, 2)), none=np.zeros((0,)), zero=np.array(1.0),
    )  # fmt: skip
    return tmp_path


REPORT = "report good.parquet --label y --logits z"
FIT = "fit good.parquet --label y --logits z --out new.json"
ODD = ("struct", "when", "day", "bytes", "map", "nested", "texts", "null", "ragged", "hole", "gap",
       "length", "inf")  # fmt: skip
COMMANDS = [
    "", "reports", "--nothing", "report", "report good.parquet", "methods --all", "fit", "apply",
    "detect", "detect nothing", "detect fit", "apply cal.json", "demo extra", "demo --html folder",
    f"{REPORT} --bins 1000000000", f"{REPORT} --bins 0", f"{REPORT} --bins -3",
    f"{REPORT} --bins 1e3", f"{REPORT} --bins {'9' * 5000}", f"{REPORT} --resamples 1000000000000",
    f"{REPORT} --resamples -1", f"{REPORT} --level nan", f"{REPORT} --level inf",
    f"{REPORT} --level 95", f"{REPORT} --level x", f"{REPORT} --seed -1", f"{REPORT} --seed x",
    f"{REPORT} --group nothing", f"{REPORT} --weight y2", f"{REPORT} --name a --name b",
    *(f"report {file} --label y --logits z{stream}" for file in
      ("inf_inf.csv", "inf_-Infinity.csv", "inf_1e999.csv", "inf.jsonl")
      for stream in ("", " --stream")),
    "fit inf_inf.csv --label y --logits z --out new.json", f"{REPORT} --group inf_inf.csv",
    *(f"{REPORT} --{option} {file}" for option in ("group", "weight") for file in
      ("few.csv", "two.csv", "cube.npy", "junk.npy", "empty.csv", "folder", "none.csv",
       "cal.json")),
    *(f"report good.parquet --logits z --label {file}" for file in
      ("few.csv", "two.csv", "cube.npy", "junk.npy", "empty.csv", "folder", "none.csv")),
    *(f"report good.parquet --label {file} --logits z --stream" for file in ("few.csv",)),
    f"{REPORT} --weight few.csv --stream", f"{REPORT} --group few.csv --stream",
    *(f"{REPORT} --bins {edges}" for edges in
      (",", "0,1,", "0,a,1", "1,0", "0,0.5", "0,nan,1", "0,inf", "0.5,1", "0;1", "0,1e999",
       "0,1 --stream")),
    f"{REPORT} --positive 7", f"{REPORT} --positive", "report good.parquet --label y --proba p "
    "--positive yes", f"{REPORT} --name", f"{REPORT} --proba p --name a --name a",
    f"{REPORT} --stream --stream=yes", f"{REPORT} --level", f"{REPORT} --level 0",
    f"{REPORT} --level 1", f"{REPORT} --level 0,9", f"{REPORT} --seed 1.5",
    f"{REPORT} --resamples 1", f"{REPORT} --resamples x",
    f"{FIT} --positive 7", f"{FIT} --weight few.csv", f"{FIT} --weight when", f"{FIT} --param",
    "apply cal.json good.parquet --logits z --positive 7", "apply cal.json", "methods x",
    "apply cal.json good.parquet --logits z --out",
    f"{REPORT} --calibrator junk.bin", f"{REPORT} --calibrator folder",
    f"{REPORT} --calibrator text.json", f"{REPORT} --calibrator good.parquet",
    f"{REPORT} --labels y", f"{REPORT} --logit z", f"{REPORT} --html", f"{REPORT} --html folder",
    f"{REPORT} --html none/r.html", f"{REPORT} --json -", f"{REPORT} --html -",
    f"{REPORT} --logits [", f"{REPORT} --logits ,", f"{REPORT} --logits *?[",
    "report junk.bin --label y --proba p", "report folder --label y --proba p",
    "report folder --label y --proba p --stream", "report none.csv --label y --proba p --stream",
    "report empty.csv --label y --proba p", "report empty.csv --label y --proba p --stream",
    *(f"report junk.{end} --label y --proba p" for end in
      ("csv", "parquet", "npz", "npy", "pt", "jsonl", "feather", "tsv", "json", "gz")),
    *(f"report junk.{end} --label y --proba p --stream" for end in
      ("csv", "parquet", "npz", "npy", "pt", "jsonl", "feather", "tsv", "json", "gz")),
    "report cal.json --label y --proba p", "report /dev/null --label y --proba p",
    "report - --label y --proba p",
    *(f"report odd.parquet --label {name} --logits z" for name in ODD),
    *(f"report odd.parquet --label y --logits {name}" for name in ODD),
    *(f"report odd.parquet --label y --logits z --weight {name}" for name in ODD),
    *(f"report odd.parquet --label {name} --logits z --stream" for name in ODD),
    *(f"report odd.parquet --label y --logits {name} --stream" for name in ODD),
    *(f"report odd.parquet --label y --logits z --weight {name} --stream" for name in ODD),
    *(f"fit odd.parquet --label {name} --logits z --out new.json" for name in ODD),
    *(f"fit odd.npz --label {name} --logits z --out new.json" for name in
      ("when", "c", "record", "cube", "none", "zero")),
    *(f"fit odd.npz --label y --logits {name} --out new.json" for name in
      ("when", "c", "record", "cube", "none", "zero", "b")),
    "apply cal.json good.parquet --logits y,z", "apply cal.json good.parquet --proba p",
    "apply cal.json odd.parquet --logits ragged", "apply good.parquet cal.json",
    "apply cal.json good.parquet --logits z --out new.npy",
    "apply cal.json good.parquet --logits z --out new.xls",
    "apply cal.json good.parquet --logits z --out folder",
    *(f"{FIT} --method temperature --param {value}" for value in (
        "smoothing={[]:1}", "smoothing={{}}", "smoothing=[1,2]", "smoothing=1e999", "smoothing=()",
        "smoothing=" + "(" * 3000, "smoothing=" + "-" * 5000 + "1", "smoothing=b'x'",
        "smoothing=1j", "smoothing=\x00", "smoothing", "=1", "", "smoothing=nan", "nothing=1",
        "smoothing=" + "9" * 5000, "smoothing=set()", "smoothing=...", "smoothing=lambda:0",
    )),
    *(f"{FIT} --method {method} --param {value}" for method, value in (
        ("histogram", "n_bins=1000000000000"), ("histogram", "n_bins=-1"),
        ("histogram", "n_bins=1.5"), ("histogram", "n_bins={}"), ("histogram", "strategy=[]"),
        ("spline", "n_knots={[]:1}"), ("spline", "prior_weight=x"), ("spline", "prior_weight=nan"),
        ("venn_abers", "merge=[1]"), ("auto", "random_state=x"), ("auto", "random_state=-1"),
        ("auto", "random_state=[]"), ("auto", "random_state=1.5"), ("nothing", "a=1"),
        ("matrix_scaling", "strength=x"), ("matrix_scaling", "strength=[]"),
        ("dirichlet", "n_splits=99"), ("h_calibration", "max_iter=x"), ("platt", "input=proba"),
    )),
    f"{FIT} --method", f"{FIT} --method {'x' * 5000}", f"{FIT} --out", f"{FIT} --out folder",
    "fit good.parquet --label y --logits z --out new.pkl",
    f"fit good.parquet --label y --logits z --out {'x' * 300}.json",
    "detect fit --truth junk.bin --detections junk.bin --out new.json",
    "detect fit --truth text.json --detections text.json --out new.json",
    "detect fit --truth good.parquet --detections folder --out new.json",
    "detect fit --truth cal.json --detections cal.json --out new.json",
    "detect fit --truth none.json --detections none.json --out new.json --threshold x",
    "detect apply cal.json text.json", "detect apply junk.bin text.json",
    "detect report --truth text.json --detections text.json --calibrator cal.json",
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=lambda text: text[:60] or "nothing")
@pytest.mark.usefixtures("folder")
def test_bad_arguments_are_one_line(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in Path().iterdir() if path.is_file()}
    code = main(command.split(" ") if command else [])
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if not line.startswith("calib: warning: ")]
    assert code == 2, (out, err)
    assert len(lines) == 1, err
    assert lines[0].startswith("calib: error: ")
    assert "unexpected" not in lines[0]
    assert len(lines[0]) < 700
    assert before == {path: path.read_bytes() for path in Path().iterdir() if path.is_file()}


@pytest.mark.parametrize(
    ("given", "meant"), [("--labels", "--label"), ("--logit", "--logits"), ("--bin", "--bins")]
)
@pytest.mark.usefixtures("folder")
def test_an_unknown_option_has_a_near_one(
    given: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*REPORT.split(), given, "y"]) == 2
    assert f"did you mean {meant}?" in capsys.readouterr().err


# ---------------------------------------------------------------------- outputs and inputs


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "command",
    [
        "report good.parquet --label y --logits z --html good.parquet",
        "report good.parquet --label y --logits z --json good.parquet",
        "report good.parquet --label y --logits z --html hard.html",
        "report good.parquet --label y --logits z --html soft.html",
        "report good.parquet --label y --logits z --html folder/../good.parquet",
        "report good.parquet --label y --logits z --calibrator cal.json --json cal.json",
        "report good.parquet --label y --logits z --json other.json",
        "report good.parquet --label y --logits z --json truth.json",
        "report good.parquet --label y --logits z --json new.csv",
        "report good.parquet --label y --logits z --html new.csv",
        "report good.parquet --label y --logits z --html new.json",
        "report good.parquet --label y --logits z --html page.csv",
        "report good.parquet --label y --logits z --html notes",
        "report good.parquet --label y --logits z --html same --json same",
        "report good.parquet --label y --logits z --html same --json ./same",
        "report good.parquet --label y --logits z --json page.html",
        "report good.parquet --label y --logits z --stream --html hard.html",
        "report good.parquet --label y --logits z --stream --json cal.json",
        "report good.parquet --label y.npy --logits z --json y.npy",
        "fit good.parquet --label y --logits z --out truth.json",
        "fit lines.json --label y --logits z --out lines.json",
        "fit good.parquet --label y --logits z --out report.json",
        "apply cal.json good.parquet --logits z --out cal.json",
        "apply cal.json good.parquet --logits z --out page.csv",
        "apply cal.json good.parquet --logits z --out other.csv",
        "detect fit --truth truth.json --detections dets.json --out truth.json",
        "detect fit --truth truth.json --detections dets.json --out dets.json",
        "detect fit --truth truth.json --detections dets.json --out hard.json",
        "detect report --truth truth.json --detections dets.json --calibrator cal.json "
        "--json truth.json",
        "detect report --truth truth.json --detections dets.json --calibrator cal.json "
        "--html dets.json",
        "detect apply cal.json dets.json --out cal.json",
        "detect apply cal.json dets.json --truth truth.json --out truth.json",
        "demo --html good.parquet",
    ],
)
def test_no_output_replaces_something_else(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    os.link("good.parquet", "hard.html")
    Path("soft.html").symlink_to("good.parquet")
    Path("truth.json").write_text('{"images": [], "annotations": [], "categories": []}')
    Path("dets.json").write_text('[{"image_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]')
    os.link("dets.json", "hard.json")
    Path("page.csv").write_text("<!doctype html><html></html>")
    Path("page.html").write_text("<!doctype html><html></html>")
    Path("report.json").write_text('{"n_samples": 3}')
    Path("notes").write_text("my notes")
    Path("lines.json").write_text('{"y": 0, "z": 1.0}\n{"y": 1, "z": 2.0}\n')
    np.save("y.npy", Y)
    shutil.copy("cal.json", "other.json")
    shutil.copy("good.parquet", "other.csv")
    before = {path: path.read_bytes() for path in Path().iterdir() if path.is_file()}
    assert main(command.split()) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert any(word in err for word in ("would replace", "same file", "another ending")), err
    assert before == {path: path.read_bytes() for path in Path().iterdir() if path.is_file()}


@pytest.mark.usefixtures("folder")
def test_an_output_replaces_its_own_kind(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert main([*REPORT.split(), "--html", "r.html", "--json", "r.json"]) == 0
        assert main(FIT.split()) == 0
        assert main("apply cal.json good.parquet --logits z --out out.csv".split()) == 0
    assert main([*REPORT.split(), "--json", os.devnull, "--html", os.devnull]) == 0
    assert not [path for path in Path().iterdir() if path.name.endswith((".tmp", ".part"))]
    json.loads(Path("r.json").read_text())


@pytest.mark.usefixtures("folder")
def test_a_failed_command_leaves_good_outputs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = ("r.html", "r.json", "new.json", "out.csv", "out.parquet", "out.npz", "out.feather",
               "out.jsonl", "out.csv.gz")  # fmt: skip
    commands = [
        [*REPORT.split(), "--html", "r.html"],
        [*REPORT.split(), "--json", "r.json"],
        [*REPORT.split(), "--stream", "--json", "r.json"],
        FIT.split(),
        *(["apply", "cal.json", "good.parquet", "--logits", "z", "--out", n] for n in outputs[3:]),
    ]
    for command in commands:
        assert main(command) == 0
    before = {name: Path(name).read_bytes() for name in outputs}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    capsys.readouterr()
    for command in commands:
        assert main(command) == 2
        assert "No space left" in capsys.readouterr().err
    assert before == {name: Path(name).read_bytes() for name in outputs}
    assert not [path for path in Path().iterdir() if path.name.endswith((".tmp", ".part"))]
