"""Step functions: sorted batches and single searches agree, in every namespace."""

from __future__ import annotations

import numpy as np
import pytest

from calib._core import links


@pytest.mark.parametrize("side", ["left", "right"])
def test_sorted_and_single_searches_agree(side: str) -> None:
    rng = np.random.default_rng(0)
    knots = np.sort(rng.integers(0, 50, 30) / 50.0)
    knots = np.pad(np.unique(knots), (0, 4), mode="edge")
    values = np.sort(rng.random(len(knots) + 1))
    values[-5:] = values[-5]
    x = np.r_[rng.random(5000), knots, -1.0, 2.0]
    (batch,) = links.step_functions(x, [(knots, values, side)], np)  # type: ignore[list-item]
    single = np.array(
        [
            links.step_functions(x[i : i + 1], [(knots, values, side)], np)[0][0]
            for i in range(len(x))
        ]  # type: ignore[list-item]
    )
    np.testing.assert_array_equal(batch, single)
    torch = pytest.importorskip("torch")
    import array_api_compat.torch as xp

    tables = [(torch.tensor(knots), torch.tensor(values), side)]
    (tensor,) = links.step_functions(torch.tensor(x), tables, xp)  # type: ignore[arg-type]
    np.testing.assert_array_equal(tensor.numpy(), batch)
