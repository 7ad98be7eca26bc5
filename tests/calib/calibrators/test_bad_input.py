"""Calibration sets that are too small, too equal or too full of classes, for every map.

The answer is a matrix of probabilities or an error that says what is missing, never NaN.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.special import softmax

from calib import CALIBRATORS, MatrixScalingCalibrator, ScarceLabelsWarning, make_calibrator

RNG = np.random.default_rng(0)
ROW = RNG.normal(size=(1, 4))
#: Logits and labels.
SMALL = {
    "fewer rows than classes": (RNG.normal(size=(4, 7)), np.array([0, 3, 5, 6])),
    "two rows": (RNG.normal(size=(2, 3)), np.array([0, 2])),
    "one row a class": (RNG.normal(size=(5, 5)), np.arange(5)),
    "one row a class, all right": (9 * np.eye(5), np.arange(5)),
    "one row a class, all wrong": (9 * np.eye(5), (np.arange(5) + 1) % 5),
    "one row over and over": (np.tile(ROW, (12, 1)), np.arange(12) % 4),
    "one row over and over, two classes": (np.tile(ROW[:, :2], (12, 1)), np.arange(12) % 2),
    "two rows over and over": (np.repeat(3 * np.eye(3)[:2], 6, axis=0), np.arange(12) % 3),
    "twenty rows, ten classes": (3 * RNG.normal(size=(20, 10)), RNG.integers(0, 10, 20)),
}
#: Maps that are not made for a thousand classes: they fit a million numbers, train networks, or
#: calibrate half a million pairs of classes.
NOT_HUGE = {"matrix_scaling", "dirichlet", "h_calibration", "split_point", "venn_abers"}


def check(p: np.ndarray, shape: tuple[int, int]) -> None:
    assert p.shape == shape
    assert np.isfinite(p).all()
    assert p.min() >= 0
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-9)


def many_classes(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return logits of 1000 classes and labels, 600 classes or more being absent."""
    rng = np.random.default_rng(seed)
    z, y = 3 * rng.normal(size=(n, 1000)), 2 * rng.integers(0, 400, n)
    z[np.arange(n), y] += 6
    return z, y


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("method", CALIBRATORS)
@pytest.mark.parametrize("input", ["logits", "proba"])
@pytest.mark.filterwarnings("ignore::calib.CalibrationWarning")
def test_small_sets(method: str, kind: str, input: str) -> None:
    z, y = SMALL[kind]
    x = z if input == "logits" else softmax(z, axis=1)
    cal = make_calibrator(method, input=input).fit(x, y)
    check(cal.transform(x), x.shape)
    new = 4 * np.random.default_rng(1).normal(size=(50, z.shape[1]))  # unlike anything at fit
    check(cal.transform(new if input == "logits" else softmax(new, axis=1)), new.shape)


@pytest.mark.parametrize("method", CALIBRATORS)
def test_sets_without_information_are_refused(method: str) -> None:
    cal = make_calibrator(method, input="logits")
    with pytest.raises(ValueError, match=r"X has 1 sample.*at least 2"):
        cal.fit(ROW, [1])
    with pytest.raises(ValueError, match="y has a single class"):
        cal.fit(np.tile(ROW, (5, 1)), [2] * 5)
    with pytest.raises(ValueError, match=r"y has a single class.*positive weight"):
        cal.fit(np.tile(ROW, (4, 1)), [0, 0, 1, 1], sample_weight=[1, 2, 0, 0])


@pytest.mark.parametrize("n", [20, 800])
@pytest.mark.parametrize("method", [name for name in CALIBRATORS if name not in NOT_HUGE])
def test_a_thousand_classes_most_of_them_absent(method: str, n: int) -> None:
    z, y = many_classes(n)
    assert len(np.unique(y)) <= 400
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScarceLabelsWarning)  # less than one label a class
        cal = make_calibrator(method, input="logits").fit(z, y)
    check(cal.transform(z[:200]), (min(n, 200), 1000))
    new, _ = many_classes(30, seed=1)
    check(cal.transform(new), (30, 1000))


def test_a_thousand_classes_through_a_few_directions() -> None:
    z, y = many_classes(20)
    p = MatrixScalingCalibrator(input="logits", rank=5).fit(z, y).transform(z)
    check(p, (20, 1000))
