"""Whatever comes, the mixture loses little against the probabilities that were served."""

from __future__ import annotations

import numpy as np
from hypothesis import given, strategies as st

from calib import OnlinePlattCalibrator
from calib.evaluation import CalibrationMonitor

PROBABILITIES = st.one_of(
    st.floats(0, 1),
    st.sampled_from([0.0, 1.0, 1e-300, 1e-9, 1e-6, 0.5, 1 - 1e-6, 1 - 1e-12]),
)


def largest_harm(n_rows: int) -> float:
    """Return the bound of the published weights: log 2 and what is shared out."""
    return float(np.log(2) - np.log1p(-0.5 / (np.arange(n_rows) + 100)).sum())


@given(
    st.lists(st.tuples(PROBABILITIES, st.sampled_from([0, 1, "right", "wrong"])), max_size=300),
    st.integers(1, 40),
)
def test_no_sequence_costs_more_than_the_bound(rows: list, repeats: int) -> None:
    p = np.array([value for value, _ in rows] * repeats)
    y = np.array(
        [
            outcome if isinstance(outcome, int) else int((value > 0.5) == (outcome == "right"))
            for value, outcome in rows
        ]
        * repeats,
        dtype=int,
    )
    possible = np.where(y == 1, p, 1 - p) > 0
    monitor = CalibrationMonitor(tolerance=0).update(y, p)
    if possible.all():
        assert monitor.log_e_value_ >= -largest_harm(len(p)) - 1e-9
    else:
        assert monitor.impossible_at_ == np.argmin(possible) + 1


@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=1, max_size=60),
    st.integers(1, 20),
    st.integers(1, 30),
)
def test_no_updates_cost_more_than_the_bound(rows: list, repeats: int, size: int) -> None:
    rng = np.random.default_rng(0)
    start = rng.random(200)
    cal = OnlinePlattCalibrator().fit(start, (rng.random(200) < start).astype(int))
    p, y = (np.array(part * repeats) for part in zip(*rows, strict=True))
    rest = cal.transform(p)[:, 1]
    saved = 0.0
    for k in range(0, len(p), size):  # batches are forecast as a whole: weights inside stay
        batch = slice(k, k + size)
        served = cal.transform(p[batch])
        hit = served[np.arange(len(served)), y[batch]]
        still = np.where(y[batch] == 1, rest[batch], 1 - rest[batch])
        if size == 1:
            saved += np.log(hit / still).sum() if still.all() else 0.0
        assert np.isfinite(served).all()
        np.testing.assert_allclose(served.sum(axis=1), 1)
        cal.partial_fit(p[batch], y[batch])
    assert saved >= -largest_harm(len(p)) - 1e-6


@given(st.lists(st.tuples(PROBABILITIES, st.integers(0, 1)), max_size=120), st.data())
def test_batches_may_be_cut_anywhere(rows: list, data: st.DataObject) -> None:
    p, y = np.array([row[0] for row in rows]), np.array([row[1] for row in rows], dtype=int)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=6)))
    whole, pieces = CalibrationMonitor().update(y, p), CalibrationMonitor()
    for start, stop in zip([0, *cuts], [*cuts, len(rows)], strict=True):
        pieces.update(y[start:stop], p[start:stop])
    assert pieces.to_contents() == whole.to_contents()
