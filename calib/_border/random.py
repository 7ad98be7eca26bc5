"""The only place where generators of random numbers are made from `random_state`."""

from __future__ import annotations

import numpy as np

from calib._border.checks import describe, is_integer
from calib._border.typing import RandomState

#: Sets the random numbers of the library apart from others drawn with the same seed.
STREAM = 0xCA11B


def generator(random_state: RandomState) -> np.random.Generator:
    """Return what scikit-learn calls `random_state` as a Generator; never the global one.

    An integer gives another stream than ``default_rng(random_state)``, because the data may well
    have been simulated with that one.

    Raises
    ------
    ValueError
        For a negative integer, and for what is no source of random numbers.
    """
    if random_state is None or isinstance(random_state, np.random.Generator):
        return np.random.default_rng(random_state)
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(0, 2**31 - 1, size=4))
    if not is_integer(random_state):
        raise ValueError(
            f"random_state must be an int >= 0, a RandomState, a Generator or None; got "
            f"{describe(random_state)}"
        )
    if random_state < 0:
        raise ValueError(f"random_state must be >= 0; got {random_state}")
    return stream(int(random_state), STREAM)


def stream(seed: int, *key: int) -> np.random.Generator:
    """Return the generator of a seed and a key: other keys give independent numbers."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def fixed(seed: int) -> np.random.Generator:
    """Return the generator of a number, for draws that are the same in every process."""
    return np.random.default_rng(seed)


def scrambled(
    x: np.ndarray[tuple[int, ...], np.dtype[np.uint64]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
    """Mix the bits of integers (the finaliser of splitmix64): as good as random, without a seed."""
    x = x * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
