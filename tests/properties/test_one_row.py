"""One row of a plain array takes a short way: the same bits and errors as every other way."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from calib import CALIBRATORS, TemperatureCalibrator, make_calibrator

METHODS = [name for name, row in CALIBRATORS.items() if row.saves]
#: Maps that treat every number by itself, whatever stands beside it.
ELEMENTWISE = ["temperature", "platt", "beta", "spline", "isotonic", "histogram", "venn_abers"]
#: Scores of every kind that is accepted or refused.
VALUES = [0.0, -0.0, 1.0, 0.25, 0.75, 0.5, 1e-300, 1e-40, -1e-7, 1 + 1e-7, -1e-5, 2.0, 50.0]
EXTREMES = [-8.0, 3.0, 1e30, 1e300, -1e305, 2e305, -1e9, -1e12, -np.inf, np.inf, np.nan]


class Subclass(np.ndarray):
    """An array that is read like a foreign one."""


@cache
def fitted(name: str, source: str, n_columns: int) -> Any:
    rng = np.random.default_rng(n_columns)
    z = 2 * rng.normal(size=(200, n_columns))
    if n_columns == 1:
        y = (rng.random(200) < 1 / (1 + np.exp(-z[:, 0]))).astype(int)
        X = z if source == "logits" else 1 / (1 + np.exp(-z))
    else:
        y = (z / 2 + rng.gumbel(size=z.shape)).argmax(axis=1)
        X = z if source == "logits" else np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make_calibrator(name, input=source).fit(X, y)


@st.composite
def rows(draw: st.DrawFn, n_columns: int) -> np.ndarray:
    """A few rows: ordinary scores, probabilities, and everything that is neither."""
    width = draw(st.sampled_from([n_columns] * 6 + [n_columns + 1]))
    n = draw(st.integers(1, 3))
    values = draw(st.sampled_from([VALUES, EXTREMES, VALUES + EXTREMES]))
    numbers = st.one_of(st.sampled_from(values), st.floats(0.0, 1.0))
    x = np.array(draw(st.lists(numbers, min_size=n * width, max_size=n * width)))
    x = x.reshape(n, width)
    if draw(st.booleans()):  # mostly rows of probabilities, up to a gap
        x = np.abs(np.nan_to_num(x, posinf=1.0, neginf=1.0)) + 1e-9
        gap = draw(st.sampled_from([0.0, 0.0, 4e-4, 9.9e-4, -1.01e-3]))
        x = x / x.max()
        x = x / x.sum(axis=1, keepdims=True) * (1 + gap)
    with np.errstate(over="ignore"):
        return x.astype(draw(st.sampled_from([np.float64, np.float32])))


def answer(calibrator: Any, x: np.ndarray) -> tuple[object, ...]:
    try:
        out = calibrator.transform(x)
    except ValueError as error:
        return type(error), str(error)
    return out.dtype, out.shape, out.tobytes()


@pytest.mark.parametrize("name", METHODS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_plain_arrays_are_read_like_all_others(name: str, data: st.DataObject) -> None:
    source = data.draw(st.sampled_from(["logits", "proba"]))
    n_columns = data.draw(st.sampled_from([1, 2, 3]))
    calibrator = fitted(name, source, n_columns)
    x = data.draw(rows(n_columns))
    expected = answer(calibrator, x.view(Subclass))
    assert answer(calibrator, x) == expected
    if n_columns == 1 and x.shape[1] == 1:
        assert answer(calibrator, x[:, 0]) == expected


@pytest.mark.parametrize("name", ELEMENTWISE)
@pytest.mark.parametrize("source", ["logits", "proba"])
@pytest.mark.parametrize("n_columns", [1, 2])
def test_one_row_has_the_bits_of_many(name: str, source: str, n_columns: int) -> None:
    rng = np.random.default_rng(3)
    second = rng.random(100) ** 3
    second[:4] = 0.0, 1.0, 0.5, 1e-40
    x = np.stack([1 - second, second], axis=1)
    x = x if source == "proba" else 40 * (x - 0.5)
    x = x[:, -n_columns:]
    calibrator = fitted(name, source, n_columns)
    single = np.concatenate([calibrator.transform(x[k : k + 1]) for k in range(len(x))])
    np.testing.assert_array_equal(single, calibrator.transform(x))


def test_names_of_columns_and_masks_are_seen_by_the_short_way() -> None:
    pd = pytest.importorskip("pandas")
    calibrator = fitted("temperature", "proba", 2)
    x = np.array([[0.25, 0.75]])
    with pytest.raises(ValueError, match="masked array"):
        calibrator.transform(np.ma.masked_array(x, mask=x > 0.5))
    rng = np.random.default_rng(0)
    p = rng.random(50)
    frame = pd.DataFrame({"first": 1 - p, "second": p})
    named = TemperatureCalibrator().fit(frame, (rng.random(50) < p).astype(int))
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        plain = named.transform(x)
    named.set_output(transform="pandas")
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        table = named.transform(x)
    np.testing.assert_array_equal(table.to_numpy(), plain)
