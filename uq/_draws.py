"""One way to turn `random_state` into a generator for the draws of this package."""

from __future__ import annotations

import numpy as np

from calib._core.reading import describe
from calib._core.typing import RandomState

#: Sets the random numbers of this package apart from others drawn with the same seed.
STREAM = 0x5C02E


def generator(random_state: RandomState) -> np.random.Generator:
    """Turn what scikit-learn calls `random_state` into a Generator; never the global one.

    An integer gives another stream than ``default_rng(random_state)``, because the data may well
    have been simulated with that one.
    """
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(0, 2**31 - 1, size=4))
    if isinstance(random_state, (str, bool, float)):
        raise ValueError(
            f"random_state must be an int, a RandomState, a Generator or None; got "
            f"{describe(random_state)}"
        )
    if isinstance(random_state, (int, np.integer)):
        if random_state < 0:
            raise ValueError(f"random_state must be >= 0; got {random_state}")
        return np.random.default_rng(np.random.SeedSequence(int(random_state), spawn_key=(STREAM,)))
    return np.random.default_rng(random_state)
