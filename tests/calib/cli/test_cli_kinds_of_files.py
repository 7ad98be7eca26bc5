"""Scores in every kind of file that models and people write: read alike, or refused with a word."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import pickle
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calib import TemperatureCalibrator, load, save
from calib.cli import main
from tests.support.texts import TEXTS, K, N, Y, Z, check_stream, text_of

pyarrow = pytest.importorskip("pyarrow")
from pyarrow import (  # noqa: E402
    csv as arrow_csv,
    feather,
    json as arrow_json,
    parquet,
)

EXPECTED = TemperatureCalibrator(input="logits").fit(Z, Y).temperature_


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def run(*arguments: object) -> str:
        code = main([str(argument) for argument in arguments])
        _, err = capsys.readouterr()
        assert code == 2
        assert len(err.splitlines()) == 1, err
        assert "unexpected" not in err
        return err

    return run


def temperature(succeeds: Callable[..., str], path: Path, *options: object) -> float:
    out = path.parent / "fitted.json"
    options = options or ("--label", "y", "--logits", "z_*")
    succeeds("fit", path, *options, "--method", "temperature", "--out", out)
    found: float = load(out).temperature_
    return found


@pytest.mark.parametrize("arrow", [True, False])
@pytest.mark.parametrize("name", TEXTS)
def test_text_files(
    name: str, arrow: bool, tmp_path: Path, succeeds: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not arrow:
        monkeypatch.setitem(sys.modules, "pyarrow", None)
    file, content = TEXTS[name]
    (tmp_path / file).write_bytes(content)
    assert temperature(succeeds, tmp_path / file) == pytest.approx(EXPECTED, rel=1e-12)


# ---------------------------------------------------------------------- tables and lists


def columns() -> dict[str, Any]:
    return {"y": Y, **{f"z_{k}": Z[:, k] for k in range(K)}}


def lists(kind: str) -> Any:
    types = {
        "list": pyarrow.list_(pyarrow.float64()),
        "large": pyarrow.large_list(pyarrow.float64()),
        "fixed": pyarrow.list_(pyarrow.float64(), K),
        "float32": pyarrow.list_(pyarrow.float32(), K),
    }
    return pyarrow.table({"y": Y, "logits": pyarrow.array(Z.tolist(), types[kind])})


@pytest.mark.parametrize("ending", ["parquet", "feather", "arrow", "stream.arrow"])
@pytest.mark.parametrize("kind", ["list", "large", "fixed", "float32"])
def test_columns_of_lists(kind: str, ending: str, tmp_path: Path, succeeds: Any) -> None:
    path = tmp_path / f"a.{ending}"
    if ending == "parquet":
        parquet.write_table(lists(kind), path, row_group_size=70)
    elif ending == "feather":
        feather.write_feather(lists(kind), path)
    elif ending == "stream.arrow":
        with pyarrow.ipc.new_stream(path, lists(kind).schema) as writer:
            writer.write_table(lists(kind), max_chunksize=70)
    else:
        with pyarrow.ipc.new_file(path, lists(kind).schema) as writer:
            writer.write_table(lists(kind), max_chunksize=70)
    found = temperature(succeeds, path, "--label", "y", "--logits", "logits")
    assert found == pytest.approx(EXPECTED, rel=1e-5 if kind == "float32" else 1e-12)
    if kind != "float32":
        check_stream(path, succeeds, "logits")
    for target in ("b.parquet", "b.feather", "b.csv", "b.npz", "b.jsonl"):
        succeeds("apply", tmp_path / "fitted.json", path, "--out", tmp_path / target)
    with (tmp_path / "b.csv").open() as file:
        assert next(csv.reader(file))[:4] == ["y", "logits_0", "logits_1", "logits_2"]
    again = parquet.read_table(tmp_path / "b.parquet")
    assert again.column("logits").type == lists(kind).schema.field("logits").type


def test_lists_that_are_no_matrix(tmp_path: Path, fails: Any) -> None:
    odd = {
        "ragged": [[0.1, 0.2, 0.3]] * (N - 1) + [[0.1]],
        "gap": [[0.1, 0.2, 0.3]] * (N - 1) + [[0.1, None, 0.2]],
        "hole": [[0.1, 0.2, 0.3]] * (N - 1) + [None],
    }
    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"y": Y, **odd}), path)
    base = ("report", path, "--label", "y", "--logits")
    for stream in ((), ("--stream",)):
        assert "1 in row 299" in fails(*base, "ragged", *stream)
        error = fails(*base, "gap", *stream)
        assert "has nan in" in error
        assert "row 299" in error
        assert "no value in row 299" in fails(*base, "hole", *stream)
        assert "name one" in fails(*base, "ragged,gap", *stream) or stream == ()
    assert "labels" in fails("report", path, "--label", "gap", "--logits", "ragged")


@pytest.mark.parametrize("options", [(), ("--stream",)])
@pytest.mark.parametrize("kind", ["parquet", "feather", "jsonl", "csv"])
def test_threads_of_arrow_hold_no_file_of_python(
    kind: str,
    options: tuple[str, ...],
    tmp_path: Path,
    succeeds: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that lets go of such a file while Python ends aborts the process."""
    columns = {"y": Y, **{f"z_{k}": Z[:, k] for k in range(K)}}
    table, path = pyarrow.table(columns), tmp_path / f"a.{kind}"
    if kind == "parquet":
        parquet.write_table(table, path)
    elif kind == "feather":
        feather.write_feather(table, path)
    elif kind == "csv":
        path.write_text(text_of(), encoding="utf-8")
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    opened: list[Any] = []

    def watch(module: Any, name: str) -> None:
        original = getattr(module, name)

        def call(source: Any, *args: Any, **kwargs: Any) -> Any:
            opened.append(source)
            return original(source, *args, **kwargs)

        monkeypatch.setattr(module, name, call)

    watch(parquet, "ParquetFile")
    watch(feather, "read_table")
    watch(pyarrow.ipc, "open_file")
    for name in ("read_json", "open_json"):
        watch(arrow_json, name)
    for name in ("read_csv", "open_csv"):
        watch(arrow_csv, name)
    succeeds("report", path, "--label", "y", "--logits", "z_*", "--resamples", 5, *options)
    assert opened
    assert all(isinstance(source, (Path, pyarrow.NativeFile)) for source in opened), opened


@pytest.mark.parametrize("shape", ["lines", "list", "lines of lists", "packed"])
def test_json(shape: str, tmp_path: Path, succeeds: Any) -> None:
    rows: list[dict[str, Any]] = [
        {"y": int(label), **{f"z_{k}": float(x) for k, x in enumerate(row)}}
        for label, row in zip(Y, Z, strict=True)
    ]
    options: tuple[object, ...] = ("--label", "y", "--logits", "z_*")
    if shape == "lines of lists":
        rows = [{"y": int(a), "logits": b.tolist()} for a, b in zip(Y, Z, strict=True)]
        options = ("--label", "y", "--logits", "logits")
    text = "\n".join(map(json.dumps, rows)) if shape != "list" else json.dumps(rows)
    path = tmp_path / ("a.json" if shape == "list" else "a.jsonl")
    path.write_bytes(gzip.compress(text.encode()) if shape == "packed" else text.encode())
    assert temperature(succeeds, path, *options) == pytest.approx(EXPECTED, rel=1e-12)
    if shape != "list":
        check_stream(path, succeeds, str(options[-1]))
    succeeds("apply", tmp_path / "fitted.json", path, "--out", tmp_path / "b.jsonl")
    row = json.loads((tmp_path / "b.jsonl").read_text().splitlines()[0])
    cal = load(tmp_path / "fitted.json")
    vars(cal).pop("feature_names_in_", None)
    assert row["calibrated_0"] == pytest.approx(cal.transform(Z)[0, 0], rel=1e-12)


# ---------------------------------------------------------------------- arrays and tensors


def test_arrays_with_labels_in_another_file(tmp_path: Path, succeeds: Any, fails: Any) -> None:
    np.save(tmp_path / "logits.npy", Z)
    np.save(tmp_path / "labels.npy", Y)
    options = ("--label", tmp_path / "labels.npy", "--logits", "logits")
    found = temperature(succeeds, tmp_path / "logits.npy", *options)
    assert found == pytest.approx(EXPECTED, rel=1e-12)
    succeeds("apply", tmp_path / "fitted.json", tmp_path / "logits.npy")
    with np.load(tmp_path / "logits.calibrated.npz") as file:
        np.testing.assert_array_equal(
            file["calibrated"], load(tmp_path / "fitted.json").transform(Z)
        )
    np.save(tmp_path / "short.npy", Y[:5])
    assert "5" in fails(
        "report", tmp_path / "logits.npy", "--label", tmp_path / "short.npy", "--logits", "logits"
    )
    np.savez(tmp_path / "two.npz", a=Y, b=Y)
    assert "must hold one alone" in fails(
        "report", tmp_path / "logits.npy", "--label", tmp_path / "two.npz", "--logits", "logits"
    )


def test_packed_arrays_and_records(tmp_path: Path, succeeds: Any) -> None:
    out = io.BytesIO()
    np.savez(out, z=Z.astype(">f8"), y=Y)
    (tmp_path / "a.npz").write_bytes(gzip.compress(out.getvalue()))
    options = ("--label", "y", "--logits", "z")
    assert temperature(succeeds, tmp_path / "a.npz", *options) == pytest.approx(EXPECTED)
    record = np.rec.fromarrays([Y, *Z.T], names="y,z_0,z_1,z_2")
    np.save(tmp_path / "record.npy", np.asarray(record))
    assert temperature(succeeds, tmp_path / "record.npy") == pytest.approx(EXPECTED)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("kind", ["dict", "list", "bfloat16"])
def test_tensors(kind: str, legacy: bool, tmp_path: Path, succeeds: Any) -> None:
    torch = pytest.importorskip("torch")
    z, y = torch.tensor(Z, requires_grad=True), torch.tensor(Y)
    content: Any = {"z": z, "y": y}
    options: tuple[object, ...] = ("--label", "y", "--logits", "z")
    if kind == "list":
        content, options = [z, y], ("--label", "arr_1", "--logits", "arr_0")
    elif kind == "bfloat16":
        content = {"z": z.detach().to(torch.bfloat16), "y": y}
    torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=not legacy)
    found = temperature(succeeds, tmp_path / "a.pt", *options)
    assert found == pytest.approx(EXPECTED, rel=2e-2 if kind == "bfloat16" else 1e-12)


def test_a_tensor_file_runs_no_code(tmp_path: Path, fails: Any) -> None:
    torch = pytest.importorskip("torch")

    path = tmp_path / "a.pt"
    torch.save({"z": torch.zeros(3), "model": torch.nn.Linear(2, 2)}, path)
    assert "can run code" in fails("report", path, "--label", "y", "--logits", "z")


# ---------------------------------------------------------------------- what is not read


def test_foreign_files_say_what_they_are(tmp_path: Path, fails: Any) -> None:
    text = text_of().encode()
    excel = io.BytesIO()
    with zipfile.ZipFile(excel, "w") as archive:
        archive.writestr("[Content_Types].xml", "<x/>")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.csv", text)
    for content, word in {
        bz2.compress(text): "bzip2",
        lzma.compress(text): "xz",
        b"\x28\xb5\x2f\xfd" + text: "zstandard",
        b"\x89HDF\r\n" + text: "HDF5",
        pickle.dumps(Z): "can run code",
        excel.getvalue(): "Excel workbook",
        packed.getvalue(): "zip archive",
        text.decode().encode("utf-16-le"): "not a text file in UTF-8",
        "y,z_0\n1,é\n".encode("latin-1"): "not a text file in UTF-8",
    }.items():
        path = tmp_path / "a.csv"
        path.write_bytes(content)
        for stream in ((), ("--stream",)):
            error = fails("report", path, "--label", "y", "--logits", "z_*", *stream)
            assert word in error or (stream and "not a readable" in error), (word, error)


def test_a_kind_is_told_by_content(tmp_path: Path, succeeds: Any) -> None:
    parquet.write_table(pyarrow.table(columns()), tmp_path / "a.csv")
    assert temperature(succeeds, tmp_path / "a.csv") == pytest.approx(EXPECTED)
    np.savez(tmp_path / "a.bin.npz", **columns())
    (tmp_path / "a.bin.npz").rename(tmp_path / "a.dat")
    assert temperature(succeeds, tmp_path / "a.dat") == pytest.approx(EXPECTED)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("arrow", [True, False])
def test_headers_and_rows(
    arrow: bool, stream: bool, tmp_path: Path, fails: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not arrow:
        if stream:
            pytest.skip("batches need pyarrow")
        monkeypatch.setitem(sys.modules, "pyarrow", None)
    options = ("--label", "y", "--proba", "p", *(["--stream"] if stream else []))
    for text, word in {
        "0.5,1\n0.7,0\n": "begins with numbers (0.5, 1), not with the names",
        "1,1\n0,0\n": "two columns named '1'; does the line of names lack?",
        "p;p;y\n1;1;1\n": "two columns named 'p'",
        "p,y\n": "has no rows",
        "p y\n0.5 1\n": "values are separated by one of commas",
        "p:y\n0.5:1\n": "values are separated by one of commas",
        "p,y,w\n0.5,1\n0.5,0\n": "not a readable",
        "p,y\n0.5,1,7\n0.5,0,7\n": "not a readable",
        "p,y\n0.5,1\n0.5\n": "not a readable",
        'p,y\n"1,000.5",1\n0.5,0\n': "separators of thousands",
        "p;y\n1.000,5;1\n0,5;0\n": "separators of thousands",
        "p;y\n1 000;1\n0,5;0\n": "separators of thousands",
        "p\ty\n1,234\t1\n2,345\t0\n": "decimal comma or a separator of thousands",
        "p,y\n0.5,1\nNA,0\n": "'NA' in row 1",
        "p,y\n0.5,1\n,0\n": "nothing in row 1",
        "p,y\n0.5,1\nnan,0\n": "has nan in row 1",
        "p,y\n0.5,1\n0.5,nan\n0.5,0\n": "no value in row 1",
        "p,y\n0.5,1\n0.5,NA\n0.5,0\n": "no value in row 1",
        "p,y\n0.5,1\n1_0,0\n": "'1_0' in row 1",
        "p,y\n0.5,1\n0x1,0\n": "'0x1' in row 1",
        "p,y\n0.5,1\n50%,0\n": "'50%' in row 1",
        "p;y\n0,5;1\n0.5;0\n": "'0,5' in row 0",
    }.items():
        path = tmp_path / "a.csv"
        path.write_text(text)
        error = fails("report", path, *options)
        assert word in error, (text, error)


def test_words_among_text_are_labels(tmp_path: Path, succeeds: Any) -> None:
    path = tmp_path / "a.csv"
    path.write_text("p;y\n" + "0,25;NA\n-0,0;NA\n0,75;US\n1,0;US\n" * 20)
    out = tmp_path / "cal.json"
    succeeds("fit", path, "--label", "y", "--proba", "p", "--method", "temperature", "--out", out)
    assert load(out).classes_.tolist() == ["NA", "US"]


@pytest.mark.parametrize("labels", [["-0.0", "1.0"], ["0,0", "1,0"], ["-0", "1"]])
def test_labels_that_are_numbers(labels: list[str], tmp_path: Path, succeeds: Any) -> None:
    path = tmp_path / "a.csv"
    path.write_text("p;y\n" + "".join(f"0,{25 + 50 * k};{labels[k]}\n" for k in (0, 1)) * 20)
    out = tmp_path / "cal.json"
    succeeds("fit", path, "--label", "y", "--proba", "p", "--method", "temperature", "--out", out)
    assert load(out).classes_.tolist() == [0, 1]


def test_applying_keeps_the_way_a_text_file_is_written(tmp_path: Path, succeeds: Any) -> None:
    cal = save(TemperatureCalibrator(input="logits").fit(Z, Y), tmp_path / "cal.json")
    path = tmp_path / "a.csv"
    path.write_text(text_of(";", ","))
    succeeds("apply", cal, path, "--logits", "z_*")
    lines = (tmp_path / "a.calibrated.csv").read_text().splitlines()
    assert lines[0] == "y;z_0;z_1;z_2;calibrated_0;calibrated_1;calibrated_2"
    assert "." not in lines[1]
    proba = [float(x.replace(",", ".")) for x in lines[1].split(";")[-3:]]
    np.testing.assert_array_equal(proba, load(cal).transform(Z)[0])
    succeeds("apply", cal, path, "--logits", "z_*", "--out", tmp_path / "b.tsv")
    assert (tmp_path / "b.tsv").read_text().count("\t") == 6 * (N + 1)


# ---------------------------------------------------------------------- partitions


def partitions(folder: Path, tables: list[dict[str, Any]]) -> Path:
    folder.mkdir()
    for number, table in enumerate(tables):
        parquet.write_table(pyarrow.table(table), folder / f"part.{number}.parquet")
    return folder


def test_a_folder_of_parts_equals_one_file(tmp_path: Path, succeeds: Any) -> None:
    parts = [{name: value[k::4] for name, value in columns().items()} for k in range(4)]
    folder = partitions(tmp_path / "data", parts)
    parquet.write_table(pyarrow.table(columns()), tmp_path / "a.parquet")
    values = []
    for path in (folder, tmp_path / "a.parquet"):
        out = tmp_path / "r.json"
        succeeds(
            "report", path, "--label", "y", "--logits", "z_*", "--stream", "--json", out,
            "--resamples", 20,
        )  # fmt: skip
        values.append(json.loads(out.read_text())["models"]["model"]["measures"]["log_loss"])
    assert values[0]["value"] == pytest.approx(values[1]["value"], rel=1e-12)


def test_a_part_that_differs_is_named(tmp_path: Path, fails: Any) -> None:
    whole = columns()
    options = ("--label", "y", "--logits", "z_*", "--stream")
    without = {name: value for name, value in whole.items() if name != "z_1"}
    error = fails("report", partitions(tmp_path / "a", [whole, whole, without]), *options)
    assert "partition part.2.parquet" in error
    assert "lacks the column 'z_1'" in error
    error = fails("report", partitions(tmp_path / "b", [without, whole]), *options)
    assert "part.1.parquet" in error
    assert "'z_1' that part.0.parquet lacks" in error
    text = {**whole, "y": whole["y"].astype(str)}
    error = fails("report", partitions(tmp_path / "c", [whole, text]), *options)
    assert "part.1.parquet" in error
    assert "text" in error
    error = fails(
        "report", partitions(tmp_path / "d", [whole, {**whole, "z_1": whole["y"].astype(str)}]),
        *options,
    )  # fmt: skip
    assert "'z_1' of part.1.parquet is not numeric" in error
    (tmp_path / "e").mkdir()
    assert "without .parquet files" in fails("report", tmp_path / "e", *options)


@pytest.mark.slow
def test_many_columns_take_time_in_proportion(tmp_path: Path, succeeds: Any) -> None:
    n_columns = 20_000
    rng = np.random.default_rng(0)
    wide = {f"z_{k}": rng.normal(size=30) for k in range(n_columns)}
    path = tmp_path / "w.parquet"
    parquet.write_table(pyarrow.table({"y": rng.integers(0, n_columns, 30), **wide}), path)
    start = time.process_time()
    cal = tmp_path / "cal.json"
    options = ("--label", "y", "--logits", "z_*")
    succeeds("fit", path, *options, "--method", "temperature", "--out", cal)
    succeeds("apply", cal, path, "--out", tmp_path / "out.npz")
    succeeds("report", path, *options, "--stream", "--resamples", 2)
    assert time.process_time() - start < 90  # quadratic matching took minutes
