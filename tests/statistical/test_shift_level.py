"""Level and power of the test of a shift between two samples."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from uq import SharedRowsWarning, distribution_shift_test

pd = pytest.importorskip("pandas")

SEED, N_DRAWS, LEVEL = 20_261_127, 2000, 0.05
WORDS = np.array([f"word{number}" for number in range(300)])
FREQUENCY = 1 / np.arange(1, 301)
FREQUENCY /= FREQUENCY.sum()


def small(rng: np.random.Generator) -> tuple:
    return rng.normal(size=(12, 4)), rng.normal(size=(12, 4))


def unequal(rng: np.random.Generator) -> tuple:
    return rng.normal(size=(15, 6)), rng.normal(size=(150, 6))


def correlated(rng: np.random.Generator) -> tuple:
    common = rng.normal(size=(120, 1))
    x = common + 0.3 * rng.normal(size=(120, 8))
    return x[:60], x[60:]


def heavy(rng: np.random.Generator) -> tuple:
    x = rng.standard_cauchy((100, 5))
    return x[:50], x[50:]


def wide(rng: np.random.Generator) -> tuple:
    x = rng.normal(size=(60, 100))
    return x[:30], x[30:]


def discrete(rng: np.random.Generator) -> tuple:
    x = rng.integers(0, 3, (100, 4)).astype(float)
    return x[:50], x[50:]


def mixed(rng: np.random.Generator) -> tuple:
    n = 90
    frame = pd.DataFrame(
        {
            "age": np.where(rng.random(n) < 0.2, np.nan, rng.normal(40, 10, n)),
            "city": rng.choice(["Rome", "Oslo", "Lima", "Cairo"], n),
            "yes": rng.random(n) < 0.3,
        }
    )
    return frame[:40], frame[40:]


def texts(rng: np.random.Generator) -> tuple:
    sizes = rng.integers(5, 25, 80)
    rows = [" ".join(rng.choice(WORDS, size, p=FREQUENCY)) for size in sizes]
    return rows[:40], rows[40:]


def grouped(rng: np.random.Generator) -> tuple:
    """Rows of one unit are nearly alike, and units have one to nine rows."""
    groups = np.repeat(np.arange(40), rng.integers(1, 10, 40))
    x = rng.normal(size=(40, 3))[groups] + 0.1 * rng.normal(size=(len(groups), 3))
    first = groups < 20
    return x[first], x[~first], (groups[first], groups[~first])


def paired(rng: np.random.Generator) -> tuple:
    """Most units have rows in both samples."""
    units = rng.normal(size=(30, 3))
    in_a, in_b = np.arange(25), np.arange(5, 30).repeat(2)
    noise = rng.normal(size=(75, 3))
    return units[in_a] + noise[:25], units[in_b] + noise[25:], (in_a, in_b)


def rejections(draw, n_draws: int) -> float:
    rng, count = np.random.default_rng(SEED), 0
    for _ in range(n_draws):
        a, b, *groups = draw(rng)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SharedRowsWarning)  # discrete rows do repeat
            result = distribution_shift_test(
                a, b, groups=groups[0] if groups else None, n_permutations=99, random_state=rng
            )
        count += result.p_value <= LEVEL
    return count / n_draws


@pytest.mark.slow
@pytest.mark.parametrize(
    "draw",
    [small, unequal, correlated, heavy, wide, discrete, mixed, texts, grouped, paired],
    ids=lambda f: f.__name__,
)
def test_one_population_is_rejected_at_the_level(draw) -> None:
    rate = rejections(draw, N_DRAWS)
    text = f"{draw.__name__}: {rate:.4f} of {N_DRAWS} draws rejected, {SEED=}"
    print(text)
    assert 0.03 <= rate <= 0.07, text


@pytest.mark.slow
def test_half_a_standard_deviation_in_one_of_ten_features_is_found() -> None:
    def shifted(rng: np.random.Generator) -> tuple:
        x = rng.normal(size=(400, 10))
        x[200:, 3] += 0.5
        return x[:200], x[200:]

    rate = rejections(shifted, 1000)
    text = f"power {rate:.4f}, {SEED=}"
    print(text)
    assert rate > 0.95, text


@pytest.mark.slow
def test_the_interval_holds_the_area_of_the_trained_scores() -> None:
    """The AUROC that classifiers of four fifths of such samples have on new rows, on average."""
    rng, inside, values, areas = np.random.default_rng(SEED), 0, [], []
    for _ in range(600):
        x = rng.normal(size=(160, 5))
        x[80:, 0] += 0.8
        area = distribution_shift_test(x[:80], x[80:], n_permutations=19, random_state=rng).auroc
        areas.append(area)
        values.append(area.value)
    inside = np.mean([area.low <= np.mean(values) <= area.high for area in areas])
    print(f"coverage {inside:.3f} of {np.mean(values):.3f}")
    assert 0.92 <= inside <= 0.98
