"""The split-point calibrator inside: the share that is trusted, and heads in few steps."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone

from calib import (
    SplitPointCalibrator,
    TemperatureCalibrator,
)
from calib.calibrators import split_point
from tests.support.features import grouped, log_loss


def test_trusted_share_is_the_one_standard_error_rule() -> None:
    rng = np.random.default_rng(0)
    before = rng.uniform(0.05, 1, 300)
    after = np.clip(before + 0.3 * rng.normal(size=300) + 0.05, 1e-6, 1)
    weight = rng.integers(1, 4, 300).astype(float)
    shares = np.linspace(0, 1, 4001)
    for w in (np.ones(300), weight):
        rows = before + shares[:, None] * (after - before)
        loss = -np.log(np.column_stack([rows, np.maximum(1 - shares, 1e-30)]))  # imagined one
        w = np.append(w, 1.0)
        excess = loss - loss[np.argmin(loss @ w)]
        mean = excess @ w / w.sum()
        spread = np.sqrt(((excess - mean[:, None]) ** 2 @ w) / w.sum() / w.sum())
        expected = shares[np.flatnonzero(mean <= spread)[0]]
        found = split_point._trusted_share(before, after, w[:-1])
        assert 0 < found < 1
        assert abs(found - expected) < 2e-3
    repeated = np.repeat(np.arange(300), weight.astype(int))
    assert split_point._trusted_share(before, after, weight) == pytest.approx(
        split_point._trusted_share(before[repeated], after[repeated], None), abs=1e-9
    )


def test_trusted_share_at_its_ends() -> None:
    p = np.full(100, 0.5)
    assert split_point._trusted_share(p, p, None) == 0.0
    assert split_point._trusted_share(p, p - 0.1, None) == 0.0
    assert 0.7 < split_point._trusted_share(p, p + 0.1, None) < 1
    assert 0.5 < split_point._trusted_share(np.zeros(9), np.full(9, 1e-6), None) < 1
    assert (
        split_point._trusted_share(p[:3], p[:3] + 0.1, None) == 0.0
    )  # three samples prove nothing


@pytest.mark.parametrize("heads", ["hgb", "torch"])
@pytest.mark.parametrize("mode", ["mean", "authors"])
def test_other_heads(heads: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if heads == "torch":
        pytest.importorskip("torch")
        monkeypatch.setattr("calib._core.heads.STEPS", 300)
    X, z, y = grouped(400)
    cal = SplitPointCalibrator(
        input="logits", n_scores=3, heads=heads, mode=mode, random_state=0
    ).fit(X, y)
    p = cal.transform(X)
    again = clone(cal).fit(X, y)
    np.testing.assert_array_equal(again.transform(X), p)
    copy = pickle.loads(pickle.dumps(cal))
    np.testing.assert_array_equal(copy.transform(X), p)
    np.testing.assert_array_equal(copy.uncertainty(X), cal.uncertainty(X))
    if mode == "mean":
        np.testing.assert_allclose(p.sum(axis=1), 1)
        tempered = TemperatureCalibrator(input="logits").fit(z, y)
        assert log_loss(p, y) < log_loss(tempered.transform(z), y)
    else:
        assert cal.temperature_ == 1.0
        assert np.abs(p.sum(axis=1) - 1).max() > 1e-3


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
    cal = SplitPointCalibrator(input="logits", n_scores=3, heads=heads).fit(x, t)
    assert counts == [True]
    assert cal.shrinkage_ > 0.8  # the shares have nothing to do with the scores
