"""Links: identities, extremes, the same numbers in every namespace."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from calib._core import links


def namespaces() -> list[object]:
    found: list[object] = [np]
    torch = pytest.importorskip("torch", reason="the second namespace")
    import array_api_compat.torch as xp

    assert torch is not None
    return [*found, xp]


def test_against_scipy_in_every_namespace() -> None:
    rng = np.random.default_rng(0)
    z = 20 * rng.normal(size=(50, 4))
    for xp in namespaces():
        x = xp.asarray(z)  # type: ignore[attr-defined]
        np.testing.assert_allclose(links.softmax(x, xp), special.softmax(z, axis=1), atol=1e-14)
        np.testing.assert_allclose(
            links.log_softmax(x, xp), special.log_softmax(z, axis=1), atol=1e-12
        )
        np.testing.assert_allclose(links.expit(x, xp), special.expit(z), atol=1e-15)
        expected = np.stack(
            [z[:, k] - special.logsumexp(np.delete(z, k, axis=1), axis=1) for k in range(4)], axis=1
        )
        np.testing.assert_allclose(links.log_odds_one_vs_rest(x, xp), expected, atol=1e-10)


def test_expit_has_no_overflow() -> None:
    np.testing.assert_array_equal(links.expit(np.array([-1e308, 0.0, 1e308]), np), [0, 0.5, 1])


def test_zero_probability_has_the_float32_floor() -> None:
    z = links.logits_from_proba(np.array([[0.0, 1.0], [-1e-9, 1.0], [1e-30, 1.0]]), np)
    np.testing.assert_allclose(z[:2, 0], -87.3365, atol=1e-4)
    assert z[2, 0] == pytest.approx(np.log(1e-30))


def test_interpolate_matches_numpy() -> None:
    rng = np.random.default_rng(0)
    knots = np.sort(rng.random(20))
    values = rng.random(20)
    x = np.r_[rng.uniform(-0.5, 1.5, 300), knots]
    padded_knots, padded_values = np.pad(knots, (0, 5), "edge"), np.pad(values, (0, 5), "edge")
    for xp in namespaces():
        arrays = (x[:, None], padded_knots[None], padded_values[None])
        got = links.interpolate(*(xp.asarray(a) for a in arrays), xp)  # type: ignore[attr-defined]
        np.testing.assert_allclose(got[:, 0], np.interp(x, knots, values), atol=1e-12)
    one = links.interpolate(x[:, None], knots[None, :1], values[None, :1], np)
    np.testing.assert_allclose(one, values[0])


@pytest.mark.parametrize("n_knots", [1, 2, 3, 7, 8, 9, 40])
def test_columns_searched_together_are_those_searched_alone(
    n_knots: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few rows of many columns: the same bits, with ties, padding and values beyond the ends."""
    rng = np.random.default_rng(n_knots)
    knots = np.sort(rng.integers(0, 20, (6, n_knots)) / 20.0, axis=1)
    knots[::2, n_knots // 2 :] = knots[::2, n_knots // 2 : n_knots // 2 + 1]
    values = np.sort(rng.random((6, n_knots + 1)), axis=1)
    x = rng.integers(-2, 23, (30, 6)) / 20.0
    p = np.clip(x, 0.0, 1.0)

    def evaluated() -> list[np.ndarray]:
        steps = [(knots, values, side) for side in ("left", "right")]
        inside = [knots, 1.0 - knots, values[:, 1:]]
        return [
            *links.step_functions(x, steps, np),  # type: ignore[arg-type]
            links.interpolate(x, knots, values[:, 1:], np),
            links.interpolate_pairs((p, 1.0 - p), inside, np),
        ]

    together = evaluated()
    monkeypatch.setattr(links, "TOGETHER_BELOW", 0)
    for a, b in zip(together, evaluated(), strict=True):
        assert a.tobytes() == b.tobytes()


def test_no_knots_are_one_step() -> None:
    table = (np.empty((3, 0)), np.arange(3.0)[:, None], "right")
    (got,) = links.step_functions(np.zeros((2, 3)), [table], np)  # type: ignore[list-item]
    np.testing.assert_array_equal(got, [[0.0, 1.0, 2.0]] * 2)


def test_smooth_and_renormalise() -> None:
    p = np.array([[1.0, 0.0], [0.25, 0.75]])
    np.testing.assert_allclose(links.smooth(p, 0.1), [[0.95, 0.05], [0.275, 0.725]])
    q = np.array([[0.0, 0.0], [2.0, 2.0]])
    np.testing.assert_allclose(links.renormalise(q, p, np), [[1.0, 0.0], [0.5, 0.5]])


@pytest.mark.parametrize("side", ["left", "right"])
def test_sorted_and_single_searches_agree(side: str) -> None:
    rng = np.random.default_rng(0)
    knots = np.sort(rng.integers(0, 50, 30) / 50.0)
    knots = np.pad(np.unique(knots), (0, 4), mode="edge")
    values = np.sort(rng.random(len(knots) + 1))
    values[-5:] = values[-5]
    x = np.r_[rng.random(5000), knots, -1.0, 2.0][:, None]
    tables = [(knots[None], values[None], side)]
    (batch,) = links.step_functions(x, tables, np)  # type: ignore[arg-type]
    single = [links.step_functions(row[None], tables, np)[0][0] for row in x]  # type: ignore[arg-type]
    np.testing.assert_array_equal(batch, single)
    torch = pytest.importorskip("torch")
    import array_api_compat.torch as xp

    tensors = [(torch.tensor(knots)[None], torch.tensor(values)[None], side)]
    (tensor,) = links.step_functions(torch.tensor(x), tensors, xp)  # type: ignore[arg-type]
    np.testing.assert_array_equal(tensor.numpy(), batch)


def test_confident_rows_keep_their_log_odds() -> None:
    z = np.array([[800.0, 0.0, -5.0], [1.0, 0.5, 0.0], [0.0, 2.0, 1.0], [-3.0, 0.0, 900.0]])
    s = links.log_odds_one_vs_rest(z, np)
    assert s[0, 0] == pytest.approx(800 - np.logaddexp(0, -5))
    assert s[3, 2] == pytest.approx(900 - np.logaddexp(0, -3))
    assert np.isfinite(s).all()
