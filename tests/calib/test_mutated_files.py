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


def outcome(path: Path, document: dict[str, Any], source: str) -> str:
    """Load a document; raise unless it is refused in our words or gives probabilities."""
    path.write_text(json.dumps(document))
    try:
        cal = load(path)
    except ValueError as error:
        assert str(error).startswith(f"{path.name} is not a"), error
        return "refused"
    if not hasattr(cal, "predict_proba"):
        return "detector"
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
    names = []
    for name, row in CALIBRATORS.items():
        if row.available and name != "split_point":
            names.append(name)
    return names


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
        try:
            same = load(path)
        except ValueError as error:
            assert str(error).startswith("changed.json is not a")
            continue
        kept += 1
        same.operating_mask(found, same.transform(found))
        with np.errstate(all="ignore"):
            scores = same.transform(found).scores
        assert np.isfinite(scores).all()
        assert scores.min() >= 0
        assert scores.max() <= 1
    assert kept < N_CHANGES
