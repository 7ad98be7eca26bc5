"""The gradient of the network of correctness-aware calibration against finite differences."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

from calib import CorrectnessAwareCalibrator

network: Any = inspect.getmodule(CorrectnessAwareCalibrator).network  # type: ignore[union-attr]


@pytest.mark.parametrize("loss", ["correctness", "log_loss"])
@pytest.mark.parametrize("bounds", [(0.1, 10.0), (0.1, 1.6)])
def test_gradient_of_the_loss(loss: str, bounds: tuple[float, float]) -> None:
    rng = np.random.default_rng(0)
    logits = -np.sort(-rng.normal(scale=3, size=(200, 5)), axis=1)
    logits -= logits[:, :1]
    column = rng.integers(0, 5, 200)
    sample = network.NetworkSample(
        rng.normal(size=(200, 6)),
        logits,
        logits[np.arange(200), column],
        (column == 0).astype(float),
        rng.uniform(0.5, 2, 200),
    )
    start = network.Start(1.5, network.offset_of(1.5, bounds[0]), np.array(bounds), 4)
    evaluate = network.objective(sample, start, loss)
    x = start.parameters(6, rng)
    x += 0.3 * rng.standard_normal(len(x))
    t = network.temperatures(sample.features, start.arrays(x, 6), np)
    assert np.ptp(t) > 0.1
    assert ((t == bounds[1]).mean() > 0.1) == (bounds[1] < 2)
    gradient, step = evaluate(x)[1], 1e-6
    numeric = [
        (evaluate(x + step * e)[0] - evaluate(x - step * e)[0]) / (2 * step) for e in np.eye(len(x))
    ]
    np.testing.assert_allclose(gradient, numeric, atol=1e-8)


def test_equal_logits_have_no_gradient() -> None:
    sample = network.NetworkSample(
        np.ones((3, 2)), np.zeros((3, 4)), np.zeros(3), np.array([1.0, 0.0, 1.0]), np.ones(3)
    )
    value, slope = network.loss_and_slopes(sample, np.full(3, 2.0), "correctness")
    assert value == pytest.approx((2 * 0.75**2 + 0.25**2) / 3)
    np.testing.assert_array_equal(slope, 0)


def test_no_row_is_on_both_sides_of_a_split(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that has seen a row knows its other labels."""
    seen, train = [], network.train

    def watched(sample: network.NetworkSample, held_out: network.NetworkSample, *rest, **options):
        seen.append((sample.logits, held_out.logits))
        return train(sample, held_out, *rest, **options)

    monkeypatch.setattr(network, "train", watched)
    rng = np.random.default_rng(0)
    z = 2.0 * rng.normal(size=(400, 3))
    t = np.exp(z / 1.5 + rng.normal(size=z.shape))
    t /= t.sum(axis=1, keepdims=True)
    CorrectnessAwareCalibrator(input="logits", max_epochs=2).fit(z, t)
    ((fitted, held_out),) = seen
    assert len(fitted) + len(held_out) == len(z)
    assert not {row.tobytes() for row in fitted} & {row.tobytes() for row in held_out}
