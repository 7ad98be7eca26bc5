"""Residual heads: exact leave-one-out, quantiles, weights, and the bookkeeping they rest on."""

from __future__ import annotations

import pickle
import sys
from dataclasses import replace

import numpy as np
import pytest

from calib._core import heads


@pytest.fixture
def problem() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3)) * [1.0, 100.0, 1e-3] + [0.0, 1e4, 5.0]
    standard = (x - x.mean(axis=0)) / x.std(axis=0)
    t = np.stack([standard @ [1.0, -1.0, 0.5], np.abs(standard[:, 0])], axis=1)
    return x, t + 0.3 * rng.normal(size=t.shape)


def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "STEPS", 400)


# ---------------------------------------------------------------------- ridge


def test_ridge_is_the_closed_form(problem: tuple[np.ndarray, np.ndarray]) -> None:
    x, t = problem
    fitted = heads.fit_heads("ridge", x, t)
    assert isinstance(fitted, heads.RidgeHeads)
    standard = (x - x.mean(axis=0)) / x.std(axis=0)
    system = standard.T @ standard / len(x) + fitted.penalty * np.eye(3)
    slope = np.linalg.solve(system, standard.T @ (t - t.mean(axis=0)) / len(x))
    np.testing.assert_allclose(fitted.predict(x), t.mean(axis=0) + standard @ slope, atol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_held_out_predictions_are_exact(
    problem: tuple[np.ndarray, np.ndarray], weighted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refitting without a unit of a sample, in the same frame and at the same penalty."""
    x, t = problem
    weight = np.random.default_rng(1).integers(1, 4, len(x)).astype(float) if weighted else None
    fitted, held_out = heads.fit_with_held_out("ridge", x, t, weight)
    assert isinstance(fitted, heads.RidgeHeads)
    standard = (x - fitted.centre) / fitted.unit
    w = np.ones(len(x)) if weight is None else weight
    design = np.hstack([np.ones((len(x), 1)), standard])
    ridge = w.sum() * fitted.penalty * np.diag([0.0, 1.0, 1.0, 1.0])
    for i in (0, 7, 199):
        less = w - np.eye(len(x))[i]
        slope = np.linalg.solve(
            design.T @ (less[:, None] * design) + ridge, design.T @ (less[:, None] * t)
        )
        np.testing.assert_allclose(held_out[i], design[i] @ slope, atol=1e-10)


def test_ridge_is_linear_in_its_targets(problem: tuple[np.ndarray, np.ndarray]) -> None:
    x, t = problem
    fitted = heads.fit_heads("ridge", x, np.hstack([t, t[:, :1] + t[:, 1:]]))
    out = fitted.predict(x)
    np.testing.assert_allclose(out[:, 2], out[:, 0] + out[:, 1], atol=1e-12)


def test_ridge_weights_equal_repetitions_and_small_ones_leave_all_out(
    problem: tuple[np.ndarray, np.ndarray],
) -> None:
    x, t = problem
    w = np.random.default_rng(1).integers(1, 4, len(x))
    weighted, held_out = heads.fit_with_held_out("ridge", x, t, w.astype(float))
    repeated, copies = heads.fit_with_held_out(
        "ridge", np.repeat(x, w, axis=0), np.repeat(t, w, axis=0)
    )
    np.testing.assert_allclose(weighted.predict(x), repeated.predict(x), atol=1e-10)
    np.testing.assert_allclose(np.repeat(held_out, w, axis=0), copies, atol=1e-10)
    _, tiny = heads.fit_with_held_out("ridge", x, t, np.full(len(x), 1e-3))
    _, plain = heads.fit_with_held_out("ridge", x, t)
    np.testing.assert_allclose(tiny, plain, atol=1e-10)


def test_ridge_rows_do_not_depend_on_their_batch(problem: tuple[np.ndarray, np.ndarray]) -> None:
    x, t = problem
    fitted = heads.fit_heads("ridge", x, t)
    whole = fitted.predict(x)
    for n in range(1, 70):
        np.testing.assert_array_equal(fitted.predict(x[:n]), whole[:n])
        np.testing.assert_array_equal(fitted.predict(x[n : n + 3]), whole[n : n + 3])


def test_ridge_survives_constant_collinear_and_huge_inputs() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(30, 1))
    x = np.hstack([a, a, np.full((30, 1), 0.1), np.zeros((30, 1)), 1e300 * a, 1e-300 * a])
    fitted, held_out = heads.fit_with_held_out("ridge", x, a)
    assert np.isfinite(held_out).all()
    np.testing.assert_allclose(fitted.predict(x), a, atol=1e-3)
    two, left = heads.fit_with_held_out("ridge", np.zeros((2, 3)), np.array([[0.0], [1.0]]))
    np.testing.assert_allclose(left, [[1.0], [0.0]])
    np.testing.assert_allclose(two.predict(np.ones((1, 3))), 0.5)


def test_ridge_has_no_quantiles(problem: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(ValueError, match="no quantile loss"):
        heads.fit_heads("ridge", *problem, quantile=0.9)


# ---------------------------------------------------------------------- the others


@pytest.mark.parametrize("kind", ["hgb", "torch"])
def test_flexible_heads_learn_a_curve(
    kind: str, problem: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "torch":
        pytest.importorskip("torch")
        quick(monkeypatch)
    x, t = problem
    fitted, held_out = heads.fit_with_held_out(kind, x, t, random_state=0)
    assert isinstance(fitted, {"hgb": heads.BoostedHeads, "torch": heads.NetworkHeads}[kind])
    assert held_out.shape == t.shape
    linear = heads.fit_with_held_out("ridge", x, t)[1]
    curved = ((held_out - t)[:, 1] ** 2).mean()
    assert curved < 0.8 * ((linear - t)[:, 1] ** 2).mean()
    again, same = heads.fit_with_held_out(kind, x, t, random_state=0)
    np.testing.assert_array_equal(held_out, same)
    np.testing.assert_array_equal(fitted.predict(x), again.predict(x))
    copy = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copy.predict(x), fitted.predict(x))


@pytest.mark.parametrize("kind", ["hgb", "torch"])
@pytest.mark.parametrize("level", [0.2, 0.9])
def test_quantile_heads(kind: str, level: float, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "torch":
        pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x = rng.uniform(1, 3, size=(1500, 1))
    t = x * rng.exponential(size=(1500, 1))
    q = heads.fit_heads(kind, x, t, quantile=level, random_state=0).predict(x)
    assert abs((t <= q).mean() - level) < 0.04
    wide = x[:, 0] > 2
    assert q[wide].mean() > 1.3 * q[~wide].mean()


@pytest.mark.parametrize("kind", ["hgb", "torch"])
def test_weights_shift_flexible_heads(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "torch":
        pytest.importorskip("torch")
        quick(monkeypatch)
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(300, 2)), (np.arange(300) % 2)[:, None].astype(float)
    weight = np.where(t[:, 0] > 0, 9.0, 1.0)
    assert abs(heads.fit_heads(kind, x, t, weight, random_state=0).predict(x).mean() - 0.9) < 0.05


def test_few_rows_give_constants() -> None:
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(heads.FEWEST_ROWS - 1, 2)), rng.normal(size=(heads.FEWEST_ROWS - 1, 2))
    weight = rng.integers(1, 4, len(x)).astype(float)
    mean = heads.fit_heads("hgb", x, t, weight)
    assert isinstance(mean, heads.ConstantHeads)
    np.testing.assert_allclose(mean.predict(x[:2]), [np.average(t, axis=0, weights=weight)] * 2)
    median = heads.fit_heads("torch", x, t, weight, quantile=0.5).predict(x[:1])[0]
    copies = np.repeat(t, weight.astype(int), axis=0)
    np.testing.assert_allclose(median, np.quantile(copies, 0.5, axis=0, method="inverted_cdf"))
    nothing = heads.fit_heads("hgb", x[:0], t[:0])
    np.testing.assert_array_equal(nothing.predict(x), np.zeros((len(x), 2)))


def test_copies_of_a_row_share_a_fold() -> None:
    x = np.repeat(np.arange(40.0), 3)[:, None]
    random = np.random.RandomState(0)
    order = np.random.default_rng(0).permutation(len(x))
    fold = heads._folds(x, random)
    assert set(fold) == set(range(heads.N_FOLDS))
    assert (fold.reshape(40, 3) == fold.reshape(40, 3)[:, :1]).all()
    np.testing.assert_array_equal(heads._folds(x[order], np.random.RandomState(0)), fold[order])
    assert not heads._folds(np.zeros((9, 2)), random).any()
    _, held_out = heads.fit_with_held_out("hgb", np.zeros((30, 2)), np.arange(30.0)[:, None])
    np.testing.assert_allclose(held_out, 14.5)


def test_networks_leave_global_states_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    quick(monkeypatch)
    x = np.random.default_rng(0).normal(size=(heads.BATCH, 2))
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    with torch.no_grad():  # a caller's block must not stop the training
        fitted = heads.fit_heads("torch", x, x, random_state=0)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    assert np.corrcoef(fitted.predict(x)[:, 0], x[:, 0])[0, 1] > 0.9


def test_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"heads='torch' needs torch; pip install"):
        heads.fit_heads("torch", np.zeros((30, 1)), np.zeros((30, 1)))


def test_heads_are_plain_arrays(problem: tuple[np.ndarray, np.ndarray]) -> None:
    x, t = problem
    fitted = heads.fit_heads("ridge", x, t)
    assert isinstance(fitted, heads.RidgeHeads)
    doubled = replace(fitted, slope=2 * fitted.slope, intercept=2 * fitted.intercept)
    np.testing.assert_allclose(doubled.predict(x), 2 * fitted.predict(x), rtol=1e-12)


@pytest.mark.parametrize("kind", ["ridge", "hgb", "torch"])
def test_heads_are_equivariant(
    kind: str, problem: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Heads of 4 t are 4 times the heads of t, and no unit of the inputs matters."""
    if kind == "torch":
        pytest.importorskip("torch")
        quick(monkeypatch)
    x, t = problem
    once = heads.fit_heads(kind, x, t, random_state=0).predict(x)
    scaled = heads.fit_heads(kind, 4 * x, 4 * t, random_state=0).predict(4 * x)
    np.testing.assert_allclose(scaled, 4 * once, rtol=1e-4, atol=1e-4)
