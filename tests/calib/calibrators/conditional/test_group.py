"""One line per group: large groups get their own, small ones nearly that of all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from calib import AutoCalibrator, GroupCalibrator, load, save
from tests.support.people import log_loss


def sites(n: int = 3000, n_sites: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    s, site = rng.normal(size=n), rng.integers(0, n_sites, n)
    shift, slope = np.linspace(-1.5, 1.5, n_sites), np.linspace(0.5, 1.5, n_sites)
    return np.c_[s, site], (rng.random(n) < expit(shift[site] + slope[site] * s)).astype(int)


def fitted(X: Any, y: np.ndarray, **options: Any) -> GroupCalibrator:
    return GroupCalibrator(input="logits", n_scores=1, **options).fit(X, y)


def test_lines_of_large_groups_are_found() -> None:
    cal = fitted(*sites(40_000))
    np.testing.assert_array_equal(cal.level_, [0, 1, 2, 3])
    np.testing.assert_allclose(cal.intercept_, [-1.5, -0.5, 0.5, 1.5], atol=0.12)
    np.testing.assert_allclose(cal.slope_, [0.5, 5 / 6, 7 / 6, 1.5], atol=0.12)
    assert cal.used_


def test_the_answer_is_the_line() -> None:
    X, y = sites()
    cal = fitted(X, y)
    site = X[:, 1].astype(int)
    u = cal.intercept_[site] + cal.slope_[site] * X[:, 0]
    np.testing.assert_allclose(cal.transform(X)[:, 1], expit(u), atol=2e-3)  # 1 / (n + 1) smoothed


def test_groups_that_the_fit_did_not_see_get_the_line_of_all() -> None:
    X, y = sites()
    cal = fitted(X, y)
    p = cal.transform([[0.3, 17.0], [0.3, 0.5], [0.3, np.nan]])[:, 1]
    assert p[0] == p[1] == p[2]
    a, b = cal.line_
    assert p[0] == pytest.approx(expit(a + b * 0.3), abs=1e-3)


def test_a_group_of_three_rows_of_one_class_gets_nearly_the_line_of_all() -> None:
    X, y = sites(600, n_sites=2)
    few = np.c_[[0.1, 0.2, -0.1], [9.0, 9.0, 9.0]]
    cal = fitted(np.r_[X, few], np.r_[y, [1, 1, 1]])
    assert cal.used_
    assert np.isfinite(cal.intercept_).all()
    assert cal.intercept_[2] - cal.line_[0] < 1.5  # its own line would be infinite


def test_groups_of_noise_are_left_to_the_scores() -> None:
    rng = np.random.default_rng(2)
    s = rng.normal(size=500)
    y = (rng.random(500) < expit(1.5 * s)).astype(int)
    X = np.c_[s, rng.integers(0, 30, 500)]
    cal = fitted(X, y)
    assert not cal.used_
    np.testing.assert_array_equal(
        cal.transform(X), AutoCalibrator(input="logits").fit(s, y).transform(s)
    )


def test_many_small_groups_gain_over_one_line_and_over_own_lines() -> None:
    rng = np.random.default_rng(0)
    shift = rng.normal(size=60)

    def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
        s, g = rng.normal(size=n), rng.integers(0, 60, n)
        return np.c_[s, g], (rng.random(n) < expit(s + shift[g])).astype(int)

    X, y = draw(1000)
    new, truth = draw(20_000)
    loss = {
        weight: log_loss(fitted(X, y, prior_weight=weight, guard=False).transform(new), truth)
        for weight in ("cv", 0.0, np.inf)
    }
    assert loss["cv"] < loss[0.0] - 0.01
    assert loss["cv"] < loss[np.inf] - 0.01


def test_texts_and_files(tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    X, y = sites()
    names = np.array(["north", "east", "south", "west"], dtype=object)
    frame = pd.DataFrame({"score": X[:, 0], "site": names[X[:, 1].astype(int)]})
    cal = fitted(frame, y)
    same = load(save(cal, tmp_path / "cal.json"))
    np.testing.assert_array_equal(same.transform(frame), cal.transform(frame))
    np.testing.assert_allclose(cal.transform(frame), fitted(X, y).transform(X), atol=2e-3)


def test_exports_agree(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    runtime = pytest.importorskip("onnxruntime")
    from calib.export import to_onnx, to_torch

    X, y = sites()
    cal = fitted(X, y)
    X = np.r_[X, [[0.3, 17.0], [0.0, -4.0]]].astype(np.float32)
    np.testing.assert_allclose(to_torch(cal)(torch.tensor(X)).numpy(), cal.transform(X), atol=1e-6)
    to_onnx(cal, tmp_path / "cal.onnx")
    session = runtime.InferenceSession(str(tmp_path / "cal.onnx"))
    (out,) = session.run(None, {session.get_inputs()[0].name: X})
    np.testing.assert_allclose(out, cal.transform(X), atol=1e-6)


def test_weights_are_repetitions() -> None:
    X, y = sites(500)
    weight = np.random.default_rng(0).integers(0, 3, 500)
    rows = np.repeat(np.arange(500), weight)
    heavy = GroupCalibrator(input="logits", n_scores=1).fit(X, y, weight)
    np.testing.assert_allclose(heavy.transform(X), fitted(X[rows], y[rows]).transform(X), atol=1e-9)


def test_several_columns_are_refused_with_the_way_out() -> None:
    X, y = sites(200)
    with pytest.raises(ValueError, match="join several into one, or use 'multicalibration'"):
        fitted(np.c_[X, X[:, 1]], y)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"prior_weight": -1.0}, "prior_weight must be 'cv' or a number >= 0"),
        ({"prior_weight": "auto"}, "prior_weight must be a number"),
        ({"cv": 1}, "cv must be >= 2"),
        ({"guard": "yes"}, "guard must be one of"),
    ],
)
def test_options_are_checked(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        fitted(*sites(100), **options)
