"""Files: exact round trips, and every hostile file refused with a reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.isotonic import IsotonicRegression

from calib import (
    CALIBRATORS,
    ExternalCalibrator,
    TemperatureCalibrator,
    load,
    make_calibrator,
    save,
)


def fitted(name: str, n_classes: int, labels: Any = None, dtype: type = np.float64) -> Any:
    rng = np.random.default_rng(0)
    z = 2 * rng.normal(size=(200, n_classes))
    y = (z / 3 + rng.gumbel(size=z.shape)).argmax(axis=1)
    cal = make_calibrator(name, input="logits")
    return cal.fit(z.astype(dtype), y if labels is None else np.asarray(labels)[y]), z


METHODS = [name for name, row in CALIBRATORS.items() if row.saves]


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("n_classes", [2, 5])
@pytest.mark.parametrize(
    "labels",
    [None, list("abcde"), np.array(list("abcde"), dtype=object), [-1.5, 0.5, 1.5, 2.5, 3.5]],
    ids=["int", "str", "object", "float"],
)
def test_round_trip_is_bit_identical(
    name: str, n_classes: int, labels: Any, tmp_path: Path
) -> None:
    if labels is not None and not isinstance(labels[0], str):
        labels = [-1, 10, 20, 30, 40]
    cal, z = fitted(name, n_classes, None if labels is None else labels[:n_classes])
    same = load(save(cal, tmp_path / "cal.json"))
    assert type(same) is type(cal)
    assert same.get_params() == cal.get_params()
    for x in (z, z.astype(np.float32)):
        assert same.transform(x).tobytes() == cal.transform(x).tobytes()
    np.testing.assert_array_equal(same.classes_, cal.classes_)
    assert same.classes_.dtype == cal.classes_.dtype
    again = save(same, tmp_path / "again.json")
    assert again.read_text() == (tmp_path / "cal.json").read_text()


def test_one_column_and_feature_names(tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"score": rng.normal(size=50)})
    y = (frame["score"] + rng.normal(size=50) > 0).astype(int)
    cal = TemperatureCalibrator(input="logits").fit(frame, y)
    same = load(save(cal, tmp_path / "cal.json"))
    assert same.n_features_in_ == 1
    assert same.feature_names_in_.tolist() == ["score"]
    np.testing.assert_array_equal(same.transform(frame), cal.transform(frame))


def test_what_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(NotFittedError):
        save(TemperatureCalibrator(), tmp_path / "x.json")
    adapter = ExternalCalibrator(IsotonicRegression())
    with pytest.raises(TypeError, match=r"ExternalCalibrator cannot be saved as JSON.*skops"):
        save(adapter, tmp_path / "x.json")
    assert not (tmp_path / "x.json").exists()


def mutations() -> dict[str, Any]:
    def put(*path: Any) -> Any:
        *keys, value = path

        def change(document: dict[str, Any]) -> None:
            inner = document
            for key in keys[:-1]:
                inner = inner[key]
            inner[keys[-1]] = value

        return change

    def drop(key: str) -> Any:
        return lambda document: document.pop(key)

    temperature = "temperature_"
    return {
        "other kind": put("kind", "pickle"),
        "newer format": put("format", 99),
        "format text": put("format", "1"),
        "unknown calibrator": put("calibrator", "os.system"),
        "calibrator not text": put("calibrator", ["temperature"]),
        "unknown parameter": put("parameters", {"command": "x"}),
        "bad parameter": put("parameters", "input", ["logits"]),
        "bad input": put("parameters", "input", "scores"),
        "parameters not a dict": put("parameters", [1]),
        "no fitted": drop("fitted"),
        "no classes": drop("classes"),
        "no format": drop("format"),
        "missing array": put("fitted", {}),
        "extra array": put("fitted", "__class__", {"dtype": "float64", "shape": [], "data": [1]}),
        "object dtype": put("fitted", temperature, "dtype", "object"),
        "array is text": put("fitted", temperature, "abc"),
        "wrong count": put("fitted", temperature, "data", [1.0, 2.0]),
        "text inside": put("fitted", temperature, "data", ["1"]),
        "shape bomb": put("fitted", temperature, "shape", [10**12]),
        "negative shape": put("fitted", temperature, "shape", [-1]),
        "wrong shape": put(
            "fitted", temperature, {"dtype": "float64", "shape": [7], "data": [1.0] * 7}
        ),
        "zero temperature": put("fitted", temperature, "data", [0.0]),
        "smoothing beyond 1": put("fitted", "smoothing_", "data", [-3.0]),
        "one class": put("classes", "data", [0]),
        "equal classes": put("classes", "data", [0, 0, 0]),
        "nested classes": put("classes", "data", [[0], [1], [2]]),
        "classes dtype": put("classes", "dtype", "M8[ns]"),
        "classes dtype junk": put("classes", "dtype", "no such type"),
        "columns": put("n_features_in", 5),
        "columns text": put("n_features_in", "3"),
        "columns zero": put("n_features_in", 0),
        "names": put("feature_names_in", ["a"]),
        "huge integer": put("fitted", temperature, "data", [10**400]),
    }


@pytest.mark.parametrize("mutation", list(mutations()))
def test_hostile_files_are_refused(mutation: str, tmp_path: Path) -> None:
    cal, _ = fitted("temperature", 3)
    path = save(cal, tmp_path / "cal.json")
    document = json.loads(path.read_text())
    mutations()[mutation](document)
    path.write_text(json.dumps(document))
    with pytest.raises(ValueError, match=r"cal\.json is not a usable calibrator file"):
        load(path)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "3", '{"kind": "calib calibrator"}', "\x00\x01", '{"a": NaN}'],
)
def test_files_of_another_kind_are_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "cal.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"cal\.json is not a usable calibrator file"):
        load(path)


def test_truncation_at_every_length_is_refused(tmp_path: Path) -> None:
    cal, _ = fitted("platt", 3)
    text = save(cal, tmp_path / "cal.json").read_text()
    path = tmp_path / "cut.json"
    for length in range(0, len(text) - 2, 7):
        path.write_text(text[:length])
        with pytest.raises(ValueError, match="not a usable calibrator file"):
            load(path)


def test_deep_nesting_and_bytes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "cal.json"
    path.write_text("[" * 100_000)
    with pytest.raises(ValueError, match="calibrator file"):
        load(path)
    path.write_bytes(b"\xff\xfe\x80\x81")
    with pytest.raises(ValueError, match="not a usable calibrator file"):
        load(path)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.json")
