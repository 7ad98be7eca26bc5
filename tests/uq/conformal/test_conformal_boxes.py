"""ConformalBoxes: coverage by simulation, identities, geometry of the overlap set, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from uq import ConformalBoxes, SmallCalibrationSetWarning


def scene(rng: np.random.Generator, n: int, image: np.ndarray | None = None):
    """Boxes with errors in proportion to their size, shared within an image if there is one."""
    size = np.exp(rng.normal(3.5, 0.5, (n, 2)))
    corner = rng.uniform(0, 500, (n, 2))
    true = np.concatenate([corner, corner + size], axis=1)
    sd = np.full((n, 1), 0.05) if image is None else (0.02 + 0.06 * rng.random(n))[image][:, None]
    found = true + sd * np.tile(size, 2) * rng.normal(size=(n, 4))
    return found, true


def sides_held(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    return np.concatenate([outer[:, :2] <= inner[:, :2], outer[:, 2:] >= inner[:, 2:]], axis=1)


@pytest.mark.parametrize("unit", ["pixels", "size"])
@pytest.mark.parametrize("method", ["max", "bonferroni", "marginal", "iou"])
def test_coverage_over_calibration_sets(method: str, unit: str) -> None:
    rng = np.random.default_rng(0)
    outer, inner, sides, overlap = [], [], [], []
    for _ in range(200):
        boxes = ConformalBoxes(method=method, unit=unit).fit(*scene(rng, 100))
        found, true = scene(rng, 200)
        held = sides_held(boxes.predict(found, 0.9), true)
        outer.append(held.all(axis=1).mean())
        sides.append(held.mean())
        small = boxes.predict_inner(found, 0.9)
        inner.append((np.isnan(small[:, 0]) | sides_held(true, small).all(axis=1)).mean())
        overlap.append((iou(found, true) >= boxes.minimum_iou(0.9)).mean())

    def band(values: list[float]) -> tuple[float, float]:
        error = 4 * np.std(values) / np.sqrt(200)
        return np.mean(values) - error, np.mean(values) + error

    for values in (outer, inner):
        low, high = band(values)
        if method == "max":  # k / (n + 1) = 91 / 101
            assert low < 91 / 101 < high
        elif method == "marginal":
            assert high < 0.75
        else:
            assert low > 0.9
    if method == "marginal":
        assert band(sides)[0] < 91 / 101 < band(sides)[1]
    assert band(overlap)[0] < 91 / 101 < band(overlap)[1]


def test_image_level_coverage() -> None:
    """Boxes of one image share their difficulty: counting boxes undercovers whole images."""
    rng = np.random.default_rng(1)
    by_image, by_box = [], []
    image = np.repeat(np.arange(60), 5)
    for _ in range(200):
        found, true = scene(rng, 300, image)
        per_image = ConformalBoxes(unit="size").fit(found, true, image_id=image)
        per_box = ConformalBoxes(unit="size").fit(found, true)
        assert per_image.n_calibration_ == 60
        assert per_box.n_calibration_ == 300
        found, true = scene(rng, 300, image)
        for boxes, shares in ((per_image, by_image), (per_box, by_box)):
            held = sides_held(boxes.predict(found), true).all(axis=1)
            shares.append(held.reshape(60, 5).all(axis=1).mean())
    error = 4 * np.std(by_image) / np.sqrt(200)
    assert abs(np.mean(by_image) - 55 / 61) < error
    assert np.mean(by_box) < 0.8


def test_margins_by_hand() -> None:
    rng = np.random.default_rng(2)
    found, true = scene(rng, 59)
    e = np.stack(
        [
            found[:, 0] - true[:, 0],
            found[:, 1] - true[:, 1],
            true[:, 2] - found[:, 2],
            true[:, 3] - found[:, 3],
        ],
        axis=1,
    )
    new = np.array([[10.0, 20, 110, 70]])
    outward = np.array([-1, -1, 1, 1])
    q = np.sort(e.max(axis=1))[53]  # ceil(0.9 * 60) = 54th
    fit = ConformalBoxes().fit(found, true)
    np.testing.assert_array_equal(fit.errors_, e)
    np.testing.assert_allclose(fit.predict(new), new + outward * q)
    q = np.sort(e, axis=0)[58]  # ceil(0.975 * 60) = 59th
    fit = ConformalBoxes(method="bonferroni").fit(found, true)
    np.testing.assert_allclose(fit.predict(new), new + outward * q)
    q = np.sort(e, axis=0)[53]
    fit = ConformalBoxes(method="marginal").fit(found, true)
    np.testing.assert_allclose(fit.predict(new), new + outward * q)
    q = np.sort(-e, axis=0)[53]
    np.testing.assert_allclose(fit.predict_inner(new), new - outward * q)
    size = np.tile(found[:, 2:] - found[:, :2], 2)
    q = np.sort((e / size).max(axis=1))[53]
    fit = ConformalBoxes(unit="size").fit(found, true)
    np.testing.assert_allclose(fit.predict(new), new + outward * q * [100, 50, 100, 50])


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    low, high = np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:], b[:, 2:])
    common = np.maximum(high - low, 0).prod(axis=1)
    area = (a[:, 2:] - a[:, :2]).prod(axis=1) + (b[:, 2:] - b[:, :2]).prod(axis=1)
    return common / (area - common)


@given(st.integers(0, 2**32 - 1), st.floats(0.3, 0.95))
def test_overlap_boxes_hold_all_that_reach_the_overlap(seed: int, wanted: float) -> None:
    rng = np.random.default_rng(seed)
    p = np.array([[0.0, 0.0, 10.0, 4.0]])
    other = p + np.tile([10, 4], 2) * rng.normal(0, 0.3, (3000, 4))
    other = other[(other[:, 2:] > other[:, :2]).all(axis=1)]
    best = [[0, 0, 10, 4 * wanted], [0, 0, 10 / wanted, 4]]  # the extreme ones
    true = np.concatenate([[best[0]], np.repeat(p, 20, axis=0)])
    fit = ConformalBoxes(method="iou").fit(np.repeat(p, 21, axis=0), true)
    level = 21 / 22 - 1e-6  # the largest loss, that of the first pair
    assert fit.minimum_iou(level) == pytest.approx(wanted)
    reach = np.concatenate([best, other[iou(np.repeat(p, len(other), 0), other) >= wanted]])
    outer, inner = fit.predict(p, level), fit.predict_inner(p, level)
    tiny = np.array([-1, -1, 1, 1]) * 1e-9
    assert sides_held(outer + tiny, reach).all()
    assert outer[0, 2] == pytest.approx(10 / wanted)
    if wanted > 0.51:
        assert sides_held(reach, inner - tiny).all()
        assert inner[0, 3] == pytest.approx(4 * wanted)
    elif wanted < 0.49:
        assert np.isnan(inner).all()


def test_few_pairs_give_infinite_boxes() -> None:
    found, true = scene(np.random.default_rng(3), 10)
    for method in ("max", "bonferroni", "marginal", "iou"):
        boxes = ConformalBoxes(method=method).fit(found, true)
        with pytest.warns(SmallCalibrationSetWarning, match="10 calibration pairs"):
            outer = boxes.predict(found[:1], 0.99)
        np.testing.assert_array_equal(outer, [[-np.inf, -np.inf, np.inf, np.inf]])
        with pytest.warns(SmallCalibrationSetWarning):
            assert np.isnan(boxes.predict_inner(found[:1], 0.99)).all()
        with pytest.warns(SmallCalibrationSetWarning):
            assert boxes.minimum_iou(0.99) == 0
        with pytest.raises(ValueError, match="do not suffice for level"):
            boxes.set_params(small="raise").predict(found, 0.99)


def test_signed_margins_shrink_boxes_that_are_always_too_large() -> None:
    rng = np.random.default_rng(4)
    found, true = scene(rng, 200)
    large = true + np.array([-5.0, -5, 5, 5]) + rng.random((200, 4))
    outer = ConformalBoxes().fit(large, true).predict(large, 0.9)
    assert ((outer[:, 2:] - outer[:, :2]) < (large[:, 2:] - large[:, :2])).all()
    point = ConformalBoxes().fit(large, true).predict([[0.0, 0, 1, 100]], 0.9)[0]
    assert point[0] == point[2] == 0.5  # sides passed each other
    assert found.shape == (200, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": [[0, 0, 1]]}, r"X must hold boxes x1, y1, x2, y2, shape \(n, 4\)"),
        ({"X": [[5, 5, 1, 9]]}, "negative width or height in row 0"),
        ({"y": [[0, 0, np.nan, 1]]}, "y contains NaN or inf"),
        ({"y": [[0, 0, np.inf, 1]]}, "y contains NaN or inf"),
        ({"y": [[0, 0, 1, 1]] * 2}, "X has 1 samples but y has 2"),
        ({"X": np.empty((0, 4))}, "X has 0 samples"),
        ({"X": [[0, 0, 0, 4]], "unit": "size"}, "without width or height in row 0"),
        ({"method": "mean"}, "method must be one of"),
        ({"unit": "share"}, "unit must be one of"),
        ({"small": "full"}, "small must be one of"),
        ({"image_id": [1, 2]}, "X has 1 samples but image_id has 2"),
    ],
)
def test_bad_input(change: dict, message: str) -> None:
    arguments = {"X": [[0, 0, 4, 4]], "y": [[0, 0, 4, 5]], **change}
    options = {k: arguments.pop(k) for k in ("method", "unit", "small") if k in arguments}
    with pytest.raises(ValueError, match=message):
        ConformalBoxes(**options).fit(**arguments)


def test_estimator_and_levels() -> None:
    boxes = ConformalBoxes(method="iou")
    assert clone(boxes).get_params() == boxes.get_params()
    with pytest.raises(NotFittedError):
        boxes.predict([[0, 0, 1, 1]])
    boxes.fit([[0, 0, 4, 4]] * 30, [[0, 0, 4, 5]] * 30)
    assert boxes.minimum_iou(0.9) == pytest.approx(0.8)
    for level in (0, 1, 2, np.nan, [0.5, 0.9]):
        with pytest.raises(ValueError, match="confidence_level must"):
            boxes.predict([[0, 0, 1, 1]], level)
    apart = ConformalBoxes(method="iou").fit([[0, 0, 1, 1]] * 30, [[5, 5, 6, 6]] * 30)
    np.testing.assert_array_equal(apart.predict([[0, 0, 1, 1]]), [[-np.inf] * 2 + [np.inf] * 2])
    nothing = ConformalBoxes(method="iou").fit([[1, 1, 1, 1]] * 30, [[1, 1, 1, 1]] * 30)
    assert nothing.minimum_iou() == 0
