"""Soft targets: a distribution of the classes of every row."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from calib import CALIBRATORS, make_calibrator


def scores_and_shares(n: int = 240, k: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    z = 2.0 * rng.normal(size=(n, k))
    return z, softmax(z / 1.5 + rng.normal(size=(n, k)), axis=1)


@pytest.mark.parametrize("method", list(CALIBRATORS))
def test_one_hot_equals_labels(method: str) -> None:
    z, t = scores_and_shares()
    y = t.argmax(axis=1)
    hot = make_calibrator(method, input="logits").fit(z, np.eye(3)[y])
    hard = make_calibrator(method, input="logits").fit(z, y)
    np.testing.assert_allclose(hot.transform(z), hard.transform(z), atol=1e-12)


@pytest.mark.parametrize("method", ["temperature", "platt", "matrix_scaling", "isotonic"])
def test_equal_split_weights(method: str) -> None:
    z, t = scores_and_shares()
    soft = make_calibrator(method, input="logits").fit(z, t)
    hard = make_calibrator(method, input="logits").fit(
        np.repeat(z, 3, axis=0), np.tile(np.arange(3), len(z)), sample_weight=t.ravel()
    )
    np.testing.assert_allclose(soft.transform(z), hard.transform(z), atol=1e-8)


@pytest.mark.parametrize("method", ["temperature", "platt", "isotonic"])
def test_two_classes_equal_fractions(method: str) -> None:
    z, t = scores_and_shares(k=2)
    both = make_calibrator(method, input="logits").fit(z, t)
    second = make_calibrator(method, input="logits").fit(z, t[:, 1])
    np.testing.assert_allclose(both.transform(z), second.transform(z), atol=1e-7)


def test_columns_of_tables_meet_by_name() -> None:
    pd = pytest.importorskip("pandas")
    z, t = scores_and_shares()
    names = ["a", "b", "c"]
    plain = make_calibrator("vector_scaling", input="logits").fit(z, t)
    named = make_calibrator("vector_scaling", input="logits").fit(
        pd.DataFrame(z, columns=names), pd.DataFrame(t, columns=names)[["c", "a", "b"]]
    )
    assert named.classes_.tolist() == ["c", "a", "b"]
    out = named.transform(pd.DataFrame(z, columns=names))
    np.testing.assert_allclose(out[:, [1, 2, 0]], plain.transform(z), atol=1e-7)


def test_what_is_refused() -> None:
    z, t = scores_and_shares()
    cal = make_calibrator("temperature", input="logits")
    with pytest.raises(ValueError, match=r"do not sum to 1 .*MultilabelCalibrator"):
        cal.fit(z, 2 * t)
    with pytest.raises(ValueError, match=r"row 5 is .*>= 0"):
        cal.fit(z, np.where(np.arange(len(z))[:, None] == 5, -t, t))
    with pytest.raises(ValueError, match="4 columns"):
        cal.fit(z, np.pad(t, ((0, 0), (0, 1))))
