"""Rows with soft targets are read once, and are one sample of every split."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from calib import make_calibrator
from calib._core.scores import Scores
from calib.calibrators import split_point
from calib.calibrators.correctness_aware import network


def scores_and_shares(n: int, k: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    z = 2.0 * rng.normal(size=(n, k))
    return z, softmax(z / 1.5 + rng.normal(size=(n, k)), axis=1)


@pytest.mark.parametrize("method", ["temperature", "vector_scaling", "matrix_scaling", "platt"])
def test_a_fit_reads_no_copies(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would take as many times longer as there are classes."""
    z, t = scores_and_shares(n=4000, k=20)
    most = 0
    block = Scores.block

    def counted(self: Scores, rows: slice) -> np.ndarray:
        nonlocal most
        most = max(most, self.n_samples)
        return block(self, rows)

    monkeypatch.setattr(Scores, "block", counted)
    make_calibrator(method, input="logits").fit(z, t)
    assert most == len(z)


def test_no_row_is_on_both_sides_of_a_split(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that has seen a row knows its other labels."""
    seen, train = [], network.train

    def watched(sample: network.NetworkSample, held_out: network.NetworkSample, *rest, **options):
        seen.append((sample.logits, held_out.logits))
        return train(sample, held_out, *rest, **options)

    monkeypatch.setattr(network, "train", watched)
    z, t = scores_and_shares(n=400)
    make_calibrator("correctness_aware", input="logits", max_epochs=2).fit(z, t)
    ((fitted, held_out),) = seen
    assert len(fitted) + len(held_out) == len(z)
    assert not {row.tobytes() for row in fitted} & {row.tobytes() for row in held_out}


@pytest.mark.parametrize("heads", ["ridge", "hgb"])
def test_left_out_predictions_do_not_see_the_row(
    heads: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Left out one label at a time, the other labels of a row would vouch for what was learnt."""
    counts, fit = [], split_point.fit_with_held_out

    def watched(kind: str, inputs: np.ndarray, *rest, **options):
        counts.append(len(np.unique(inputs, axis=0)) == len(inputs))
        return fit(kind, inputs, *rest, **options)

    monkeypatch.setattr(split_point, "fit_with_held_out", watched)
    rng = np.random.default_rng(0)
    x = np.hstack([rng.normal(size=(60, 3)), rng.normal(size=(60, 30))])
    t = rng.dirichlet(np.full(3, 0.4), size=60)
    cal = make_calibrator("split_point", input="logits", n_scores=3, heads=heads).fit(x, t)
    assert counts == [True]
    assert cal.shrinkage_ > 0.8  # the shares have nothing to do with the scores
