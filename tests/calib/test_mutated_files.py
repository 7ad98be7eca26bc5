"""Files of calibrators after random changes: refused with a word, or a map of probabilities."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import softmax

from calib import CALIBRATORS, load, make_calibrator, save
from calib.datasets import make_detection_scenes
from calib.detection import DetectionCalibrator

#: Changed files of every calibrator and shape.
N_CHANGES = 60
NUMBERS = (
    0.0, -0.0, 1.0, -1.0, 0.5, 2.0, -3.0, 1e-300, 5e-324, 1e17, -1e17, 1e300, -1e300, 1.7e308,
    -1.7e308, 7, -(2**62), 2**63 - 1, 10**400, True, None, "0.5", [0.5],
)  # fmt: skip


def sample(n_classes: int, source: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n_classes)
    z = 2 * rng.normal(size=(300, n_classes))
    y = (z / 2 + rng.gumbel(size=z.shape)).argmax(axis=1)
    return (z if source == "logits" else softmax(z, axis=1)), y


def probes(n_columns: int, source: str) -> np.ndarray:
    """Rows of every kind: even, certain, wild."""
    rng = np.random.default_rng(5)
    scales = np.repeat([0.0, 0.1, 1.0, 10.0, 1e3, 1e6], 40)
    if n_columns == 1:
        z = scales[:, None] * rng.normal(size=(len(scales), 1))
        return z if source == "logits" else 1 / (1 + np.exp(-z.clip(-700, 700)))
    z = scales[:, None] * rng.normal(size=(len(scales), n_columns))
    return z if source == "logits" else softmax(z, axis=1)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value in a document, containers included."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        if isinstance(inner, (dict, list)):
            yield from places(inner, (*path, key))
        else:
            yield (*path, key)


def changed(document: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """Return a copy of a document with one to three changes, as an editor or a bug makes them."""
    document = copy.deepcopy(document)
    for _ in range(rng.integers(1, 4)):
        everywhere = list(places(document))
        *keys, last = everywhere[rng.integers(len(everywhere))]
        inner: Any = document
        for key in keys:
            inner = inner[key]
        old = inner[last]
        kind = rng.integers(8)
        if kind <= 2 or not isinstance(old, (list, dict)):
            if kind == 0 and isinstance(old, float):
                inner[last] = old * float(rng.choice([-1.0, 1e3, 1e-3, 1.5]))
            else:
                inner[last] = NUMBERS[rng.integers(len(NUMBERS))]
        elif isinstance(old, dict):
            old.pop(next(iter(old), ""), None)
        elif kind == 3:
            old.reverse()
        elif kind == 4 and old:
            old.pop()
        elif kind == 5 and old:
            old.append(old[0])
        elif old:
            i, j = rng.integers(len(old), size=2)
            old[i], old[j] = old[j], old[i]
    return document


def reshaped(document: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """Return a copy in which one array changes shape and length together."""
    document = copy.deepcopy(document)
    arrays = [entry for entry in document["fitted"].values() if isinstance(entry, dict)]
    if not arrays:
        return document
    entry = arrays[rng.integers(len(arrays))]
    shape = [[], [1], [2], [1, 1], [3], [1, 2], [3, 3], [0], [2, 0]][rng.integers(9)]
    size = int(np.prod(shape))
    entry["shape"], entry["data"] = shape, [float(x) for x in rng.random(size)]
    return document


def loaded(path: Path) -> Any:
    """Return what a file holds, None if it is refused in our words."""
    try:
        return load(path)
    except ValueError as error:
        if not str(error).startswith(f"{path.name} is not a"):
            raise
        return None


def outcome(path: Path, document: dict[str, Any], source: str) -> str:
    """Load a document; raise unless it is refused in our words or gives probabilities."""
    path.write_text(json.dumps(document))
    cal = loaded(path)
    if cal is None:
        return "refused"
    vars(cal).pop("feature_names_in_", None)  # the rows have no names
    X = probes(cal.n_features_in_, cal.input)
    with np.errstate(all="ignore"):
        proba = cal.transform(X)
    assert proba.shape == (len(X), len(cal.classes_))
    assert np.isfinite(proba).all()
    assert proba.min() >= 0
    assert proba.max() <= 1 + 1e-9
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-6)
    return "kept"


def savable() -> list[str]:
    return [name for name, row in CALIBRATORS.items() if row.available and row.saves]


@pytest.mark.parametrize("source", ["logits", "proba"])
@pytest.mark.parametrize("n_classes", [2, 3, 5])
@pytest.mark.parametrize("name", savable())
def test_a_changed_file_is_refused_or_gives_probabilities(
    name: str, n_classes: int, source: str, tmp_path: Path
) -> None:
    X, y = sample(n_classes, source)
    if n_classes == 2 and source == "proba":
        X = X[:, 1:]
    cal = make_calibrator(name, input=source).fit(X, y)
    path = save(cal, tmp_path / "cal.json")
    document = json.loads(path.read_text())
    assert outcome(tmp_path / "same.json", document, source) == "kept"
    rng = np.random.default_rng(sum(map(ord, name)) + n_classes)
    counts = {"kept": 0, "refused": 0}
    for number in range(N_CHANGES):
        change = reshaped if number % 6 == 0 else changed
        counts[outcome(tmp_path / "changed.json", change(document, rng), source)] += 1
    assert counts["refused"] > 0


DETECTOR_MAPS = ("identity", "linear", "dependent_logistic", *savable())


@pytest.mark.parametrize("name", DETECTOR_MAPS)
@pytest.mark.filterwarnings("ignore::calib.warnings.FallbackWarning")
def test_a_changed_file_of_a_detector_is_refused_or_gives_scores(name: str, tmp_path: Path) -> None:
    found, truth = make_detection_scenes(60)
    try:
        cal = DetectionCalibrator(name).fit(found, truth)
    except ValueError as error:
        pytest.skip(str(error))
    document = json.loads(save(cal, tmp_path / "cal.json").read_text())
    rng = np.random.default_rng(sum(map(ord, name)))
    path = tmp_path / "changed.json"
    kept = 0
    for _ in range(N_CHANGES):
        path.write_text(json.dumps(changed(document, rng)))
        same = loaded(path)
        if same is None:
            continue
        kept += 1
        same.operating_mask(found, same.transform(found))
        with np.errstate(all="ignore"):
            scores = same.transform(found).scores
        assert np.isfinite(scores).all()
        assert scores.min() >= 0
        assert scores.max() <= 1
    assert kept < N_CHANGES


# ---------------------------------------------------------------------- labels and arrays


def change(tmp_path: Path, name: str, n_classes: int, edit: Any, **params: Any) -> str:
    """Return why a file is refused after an edit."""
    X, y = sample(n_classes, "logits")
    path = save(make_calibrator(name, input="logits", **params).fit(X, y), tmp_path / "cal.json")
    document = json.loads(path.read_text())
    edit(document)
    path.write_text(json.dumps(document))
    with pytest.raises(ValueError, match="not a usable calibrator file") as caught:
        load(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("dtype", "data"),
    [
        ("<U1", ["ant", "ape", "cat"]),
        ("<U2", ["ant", "bee", "cat"]),
        ("<i8", [0.5, 1.5, 2.5]),
        ("|i1", [0, 1, 300]),
        ("<f4", [0.1, 0.2, 0.30000000001]),
        ("|b1", [0, 1, 2]),
        ("|b1", ["True", "False", "x"]),
        ("<U1", [0, 1, 2]),
        ("<i8", ["0", "1", "2"]),
        ("<f2", [1, 2, 70000]),
        ("|S3", ["a", "b", "c"]),
        ("<M8[ns]", [1, 2, 3]),
        ("|V8", [1, 2, 3]),
        ("<c16", [1, 2, 3]),
        ("<U3", ["a", "b", "a"]),
        ("|O", [0, 1, True]),
    ],
)
def test_labels_are_compared_after_the_cast(dtype: str, data: list[Any], tmp_path: Path) -> None:
    def edit(document: dict[str, Any]) -> None:
        document["classes"] = {"dtype": dtype, "data": data}

    assert "classes" in change(tmp_path, "temperature", 3, edit)


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["2020", "2021"], "M8[D]"),
        np.array(["2020", "2021"], "M8[ns]"),
        np.array([1, 2], "m8[s]"),
        np.array([b"a", b"b"]),
        np.array([np.float64(1), "a"], dtype=object),
        np.array([(1, 2), (3, 4)], dtype=[("a", int), ("b", int)]),
        np.array([1 + 1j, 2]),
        np.array([0.0, np.inf]),
    ],
    ids=["day", "time", "duration", "bytes", "mixed", "record", "complex", "infinite"],
)
def test_labels_that_cannot_be_read_back_are_refused_by_save(labels: Any, tmp_path: Path) -> None:
    cal = make_calibrator("temperature", input="logits").fit([-1.0, 1.0, 0.3, 0.2], [0, 1, 0, 1])
    cal.classes_ = labels
    (tmp_path / "cal.json").write_text("good")
    with pytest.raises(TypeError, match=r"class labels .* cannot be saved as JSON.*skops"):
        save(cal, tmp_path / "cal.json")
    assert (tmp_path / "cal.json").read_text() == "good"


@pytest.mark.parametrize("dtype", ["i1", "u8", ">i4", "f2", "f4", ">f8", "?", "U9", "O"])
def test_labels_that_can_be_read_back(dtype: str, tmp_path: Path) -> None:
    cal = make_calibrator("temperature", input="logits").fit([-1.0, 1.0, 0.3, 0.2], [0, 1, 0, 1])
    cal.classes_ = np.array([0, 1]).astype(dtype) if dtype != "O" else np.array(["a", "b"], "O")
    same = load(save(cal, tmp_path / "cal.json"))
    assert same.classes_.dtype == cal.classes_.dtype
    np.testing.assert_array_equal(same.classes_, cal.classes_)


def put(name: str, *values: float | str) -> Any:
    def edit(document: dict[str, Any]) -> None:
        data = document["fitted"][name]["data"]
        data[: len(values)] = values

    return edit


def fill(name: str, value: float) -> Any:
    def edit(document: dict[str, Any]) -> None:
        data = document["fitted"][name]["data"]
        data[:] = [value] * len(data)

    return edit


def by_place(*places: Any) -> Any:
    """Members as files of format 1 give them."""

    def edit(document: dict[str, Any]) -> None:
        document["format"] = 1
        document["fitted"]["members_"].update(dtype="int64", data=list(places), shape=[len(places)])

    return edit


@pytest.mark.parametrize(
    ("method", "edit", "word"),
    [
        ("isotonic", put("values_", 799088.0), "values_ must"),
        ("isotonic", put("values_", 0.9, 0.1), "values_ must ascend"),
        ("isotonic", put("knots_", 0.9, 0.1), "knots_ must ascend"),
        ("histogram", put("values_", -0.1), "values_ must lie in"),
        ("histogram", put("edges_", 0.9), "edges_ must ascend"),
        ("venn_abers", put("lower_values_", 0.5, 0.4), "lower_values_ must ascend"),
        ("venn_abers", fill("upper_values_", 0.0), "must not exceed"),
        ("spline", put("end_slopes_", -1.0), "end_slopes_ must lie in"),
        ("spline", put("values_", 1e9), "values_ must ascend"),
        ("beta", put("coef_", -1.0), "coef_ must lie in"),
        ("ensemble_temperature", put("weights_", 0.9, 0.9, 0.9), "weights_ must sum to 1"),
        ("temperature", put("temperature_", -1.0), "temperature_ must"),
        ("temperature", put("smoothing_", 1.5), "smoothing_ must lie in"),
        ("platt", put("input_smoothing_", -0.5), "input_smoothing_ must"),
        ("quadratic", put("low_", 1e9), "low_ must not exceed"),
        ("quadratic", put("scale_", 0.0), "scale_ must"),
        ("h_calibration", put("slopes_", -1.0), "slopes_ must"),
        ("auto", put("members_", 99), "members_ must hold names of identity"),
        ("auto", put("members_", "ghost"), "members_ must hold names of identity"),
        ("auto", by_place(99), "members_ must lie in"),
        ("auto", by_place(0, "identity"), "members_"),
        ("auto", put("weights_", 2.0), "weights_ must"),
        ("auto", put("floor_", 0.9), "floor_ must"),
        ("auto", put("layout_", 3), "layout_"),
    ],
)
def test_each_array_is_held_against_its_declaration(
    method: str, edit: Any, word: str, tmp_path: Path
) -> None:
    assert word in change(tmp_path, method, 3, edit)


def test_members_of_a_pool_are_checked(tmp_path: Path) -> None:
    def edit(document: dict[str, Any]) -> None:
        fitted = document["fitted"]
        fitted["packed_"]["data"] = [-abs(x) - 2.0 for x in fitted["packed_"]["data"]]

    change(tmp_path, "auto", 3, edit)


def test_a_calibrator_that_was_changed_is_not_saved(tmp_path: Path) -> None:
    X, y = sample(3, "logits")
    cal = make_calibrator("temperature", input="logits").fit(X, y)
    cal.temperature_ = -1.0
    with pytest.raises(ValueError, match="temperature cannot be saved: temperature_ must"):
        save(cal, tmp_path / "cal.json")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", savable())
def test_files_hold_the_declared_arrays(name: str, tmp_path: Path) -> None:
    X, y = sample(3, "logits")
    cal = make_calibrator(name, input="logits").fit(X, y)
    document = json.loads(save(cal, tmp_path / "cal.json").read_text())
    assert list(document["fitted"]) == list(cal.traits.arrays) == list(cal.fitted_map.arrays)
