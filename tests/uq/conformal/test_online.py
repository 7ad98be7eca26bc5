"""Adaptive levels: the printed path, the bound that always holds, shifts, plot, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from sklearn.base import clone

from uq import AdaptiveConformal, conformal_quantile

MIXTURE = (0.001, 0.004, 0.016, 0.064, 0.256)


def test_oracle_path() -> None:
    online = AdaptiveConformal(0.9, step_size=0.05).fit(np.arange(100) / 100)
    path = []
    for number, missed in enumerate([0, 0, 1, 0, 1, 1, 0]):
        online.update(10.0 + number if missed else -1.0)
        assert online.misses_[-1] == bool(missed)
        path.append(online.level_)
    np.testing.assert_allclose(path, [0.105, 0.11, 0.065, 0.07, 0.025, -0.02, -0.015], atol=1e-15)
    np.testing.assert_allclose(online.levels_, [0.1, *path[:-1]], atol=1e-15)
    assert online.threshold_ == np.inf


def test_first_threshold_is_the_split_quantile() -> None:
    scores = np.random.default_rng(0).random(200)
    for level in (0.5, 0.8, 0.9, 0.95, 0.999):
        online = AdaptiveConformal(level).fit(scores)
        assert online.threshold_ == conformal_quantile(scores, level)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300),
    st.sampled_from([0.02, 0.1, 0.5]),
    st.sampled_from([0.5, 0.9, 0.95]),
    st.sampled_from([None, 1, 7]),
)
def test_miss_rate_is_bounded_for_any_sequence(
    stream: list[float], step: float, level: float, window: int | None
) -> None:
    online = AdaptiveConformal(level, step_size=step, window=window).fit([0.0, 1.0, 2.0])
    online.update(stream)
    bound = (max(level, 1 - level) + step) / (step * len(stream))
    assert abs(online.coverage_ - level) <= bound + 1e-9


def test_bound_on_adversarial_streams() -> None:
    """Scores chosen after the threshold was seen, always just outside or always just inside."""
    for outside in (True, False):
        online = AdaptiveConformal(0.9, step_size=0.02, window=100).fit(np.arange(100.0))
        for t in range(3000):
            limit = np.clip(online.threshold_, -1e9, 1e9)
            online.update(limit + 1 if outside else limit - 1 - t % 3)
        assert abs(online.coverage_ - 0.9) <= (0.9 + 0.02) / (0.02 * 3000) + 1e-12


@pytest.mark.parametrize("step", [0.01, 0.05, MIXTURE])
@pytest.mark.parametrize("seed", range(3))
def test_abrupt_shift(step: object, seed: int) -> None:
    rng = np.random.default_rng(seed)
    start = np.abs(rng.normal(size=500))
    stream = np.abs(rng.normal(size=5000)) * np.repeat([1.0, 1.8], [1500, 3500])
    split = np.mean(stream <= conformal_quantile(start, 0.9))
    online = AdaptiveConformal(0.9, step_size=step, window=500).fit(start).update(stream)
    assert split < 0.85, f"seed {seed}: the shift should hurt split conformal"
    assert abs(online.coverage_ - 0.9) < 0.01, f"seed {seed}: {online.coverage_}"
    assert online.running_coverage(500)[-1] == pytest.approx(0.9, abs=0.04)


def test_mixture_of_one_rate_repeated_is_that_rate() -> None:
    rng = np.random.default_rng(0)
    stream = rng.exponential(size=800)
    single = AdaptiveConformal(0.9, step_size=0.03).fit(stream[:100]).update(stream[100:])
    twice = AdaptiveConformal(0.9, step_size=[0.03, 0.03]).fit(stream[:100]).update(stream[100:])
    np.testing.assert_allclose(single.levels_, twice.levels_, atol=1e-12)
    assert single.misses_ == twice.misses_


def test_mixture_prefers_the_rate_that_suits() -> None:
    rng = np.random.default_rng(1)
    scale = np.where(np.arange(6000) // 300 % 2, 4.0, 1.0)
    stream = np.abs(rng.normal(size=6000)) * scale
    online = AdaptiveConformal(0.9, step_size=MIXTURE, window=100).fit(stream[:100])
    online.update(stream[100:])
    assert abs(online.coverage_ - 0.9) < 0.02


def test_one_by_one_is_the_same_as_at_once() -> None:
    rng = np.random.default_rng(2)
    stream = rng.random(300)
    whole = AdaptiveConformal(window=50).fit(rng.random(60))
    single = clone(whole).fit(list(whole._recent))
    whole.update(stream)
    for score in stream:
        single.update(score)
    assert whole.levels_ == single.levels_
    assert sorted(whole._recent) == whole._sorted
    assert len(whole._sorted) == 50


def test_sets_and_history() -> None:
    online = AdaptiveConformal(0.8, history=False).fit(np.arange(9.0))
    np.testing.assert_array_equal(online.predict_set([[0.0, 7.0, 8.0]]), [[True, True, False]])
    assert np.isnan(online.coverage_)
    online.update([0.0, 99.0])
    assert online.coverage_ == 0.5
    assert online.n_updates_ == 2
    assert online.levels_ == []
    with pytest.raises(ValueError, match="history=True"):
        online.running_coverage()


def test_small_start_covers_everything() -> None:
    online = AdaptiveConformal(0.99).fit([1.0])
    assert online.threshold_ == np.inf
    assert online.predict_set([[1e9, -5.0]]).all()


def test_running_coverage_and_plot() -> None:
    online = AdaptiveConformal(0.5).fit(np.arange(9.0)).update([0.0, 99.0, 99.0, 0.0])
    np.testing.assert_allclose(online.running_coverage(), [1, 1 / 2, 1 / 3, 1 / 2])
    np.testing.assert_allclose(online.running_coverage(2), [1, 1 / 2, 0, 1 / 2])
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    ax = online.plot_running_coverage(window=2)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), online.running_coverage(2))
    assert online.plot_running_coverage(window=None, ax=ax) is ax
    matplotlib.pyplot.close(ax.figure)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"confidence_level": 1.0}, "confidence_level"),
        ({"step_size": 0}, "step_size"),
        ({"step_size": []}, "step_size"),
        ({"step_size": [0.1, "a"]}, "step_size"),
        ({"step_size": np.nan}, "step_size"),
        ({"window": 0}, "window"),
        ({"history": 1}, "history"),
    ],
)
def test_bad_options(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AdaptiveConformal(**options).fit([1.0, 2.0])


def test_bad_scores() -> None:
    online = AdaptiveConformal().fit([1.0, 2.0])
    for scores in ([np.nan], [np.inf], []):
        with pytest.raises(ValueError, match="scores"):
            online.update(scores)
    assert online.n_updates_ == 0
