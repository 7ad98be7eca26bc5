"""Labels and probabilities with many ties, for identities on arbitrary data."""

from __future__ import annotations

import numpy as np
from hypothesis import settings, strategies as st

modest = settings(deadline=None, max_examples=60)


#: Arbitrary probabilities, and ones that lie on edges.
probabilities = st.one_of(
    st.floats(0, 1),
    st.integers(0, 60).map(lambda j: j / 60),
    st.sampled_from([0.0, 1.0, 0.1, 0.3, 0.7, 1 / 3]),
)


bins = st.integers(1, 40)


strategies = st.sampled_from(["uniform", "quantile"])


@st.composite
def pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    p = draw(st.lists(probabilities, min_size=1, max_size=40))
    y = draw(st.lists(st.integers(0, 1), min_size=len(p), max_size=len(p)))
    return np.array(y), np.array(p)
