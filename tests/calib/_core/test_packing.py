from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from calib.calibrators.auto.packing import pack, unpack

ARRAYS = st_numpy.arrays(
    np.float64,
    st_numpy.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
    elements=st.floats(-1e6, 1e6),
)


@given(st.lists(st.lists(ARRAYS, max_size=3), max_size=4))
def test_what_was_packed_comes_back(groups):
    layout, packed = pack(groups)
    assert layout.shape == (sum(map(len, groups)), 6)
    assert packed.ndim == 1
    assert len(packed) >= 1
    for number, group in enumerate(groups):
        found = unpack(layout, packed, number)
        assert len(found) == len(group)
        for a, b in zip(found, group, strict=True):
            assert a.shape == b.shape
            np.testing.assert_array_equal(a, b)
    assert unpack(layout, packed, len(groups)) == []


def test_numbers_are_arrays_without_dimensions():
    layout, packed = pack([[1.5, np.int64(2)], []])
    assert layout.tolist() == [[0, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0]]
    assert packed.tolist() == [1.5, 2.0]
    first, second = unpack(layout, packed, 0)
    assert (first.shape, float(first), float(second)) == ((), 1.5, 2.0)


def test_nothing_is_a_zero():
    layout, packed = pack([[], []])
    assert layout.shape == (0, 6)
    assert packed.tolist() == [0.0]


def test_type_of_the_packed_array_is_kept():
    layout, packed = pack([[np.eye(2)]])
    assert unpack(layout, packed.astype(np.float32), 0)[0].dtype == np.float32
    torch = pytest.importorskip("torch")
    (found,) = unpack(torch.as_tensor(layout), torch.as_tensor(packed), 0)
    assert isinstance(found, torch.Tensor)
    assert found.tolist() == [[1, 0], [0, 1]]


def test_too_many_dimensions():
    with pytest.raises(AssertionError, match="4 dimensions"):
        pack([[np.zeros((1, 1, 1, 1))]])
