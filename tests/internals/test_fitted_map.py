"""The fitted map as a value: what `transform` does, without the calibrator."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.exceptions import NotFittedError

from calib import CALIBRATORS, IsotonicCalibrator, make_calibrator

PURE = [name for name, row in CALIBRATORS.items() if row.saves]


def sample(n_classes: int, source: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n_classes)
    z = 2 * rng.normal(size=(300, n_classes))
    y = (z / 2 + rng.gumbel(size=z.shape)).argmax(axis=1)
    return (z if source == "logits" else softmax(z, axis=1)), y


@pytest.mark.parametrize("name", PURE)
@pytest.mark.parametrize("source", ["logits", "proba"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_a_map_is_all_that_transform_needs(name: str, source: str, dtype: type) -> None:
    X, y = sample(3, source)
    cal = make_calibrator(name, input=source).fit(X, y)
    fitted_map = pickle.loads(pickle.dumps(cal.fitted_map))
    scores = X.astype(dtype)
    proba = fitted_map.apply(scores, source, np)
    assert proba.dtype == dtype
    np.testing.assert_array_equal(proba, cal.transform(scores))
    np.testing.assert_array_equal(fitted_map.map_rows(scores, source), proba)


@pytest.mark.parametrize("name", PURE)
def test_rows_are_mapped_independently(name: str) -> None:
    """Blocks may be of any length, so the map of many rows is that of every one."""
    X, y = sample(4, "logits")
    cal = make_calibrator(name, input="logits").fit(X, y)
    single = np.concatenate([cal.transform(X[k : k + 1]) for k in range(20)])
    np.testing.assert_allclose(cal.transform(X)[:20], single, rtol=1e-12)


def test_many_rows_are_mapped_in_blocks() -> None:
    X, y = sample(3, "logits")
    cal = make_calibrator("temperature", input="logits").fit(X, y)
    many = np.tile(X, (200, 1))
    sizes = []
    inner = cal.fitted_map.function

    def counted(scores, fitted, xp):  # type: ignore[no-untyped-def]
        sizes.append(len(scores))
        return inner(scores, fitted, xp)

    proba = replace(cal.fitted_map, function=counted).map_rows(many, "logits")
    assert len(sizes) > 1
    assert sum(sizes) == len(many)
    np.testing.assert_array_equal(proba, cal.transform(many))


def test_a_map_follows_the_calibrator_and_does_not_change() -> None:
    X, y = sample(3, "logits")
    cal = make_calibrator("temperature", input="logits").fit(X, y)
    before = cal.fitted_map
    cal.temperature_ = 5.0
    assert before.arrays["temperature_"] != cal.fitted_map.arrays["temperature_"] == 5.0
    with pytest.raises(FrozenInstanceError):
        before.function = None  # type: ignore[misc, assignment]


def test_calibrators_without_a_map_say_so() -> None:
    X, y = sample(3, "logits")
    with pytest.raises(NotFittedError):
        _ = make_calibrator("temperature").fitted_map
    with pytest.raises(TypeError, match="SplitPointCalibrator has no pure map"):
        _ = make_calibrator("split_point", input="logits").fit(X, y).fitted_map


def test_what_older_pickles_lack_is_completed() -> None:
    X, y = sample(3, "proba")
    cal = IsotonicCalibrator().fit(X, y)
    expected = cal.transform(X)
    del cal.complements_
    np.testing.assert_allclose(cal.transform(X), expected, atol=1e-12)
