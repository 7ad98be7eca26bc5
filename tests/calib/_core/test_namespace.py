"""Namespaces and optional packages."""

from __future__ import annotations

import numpy as np
import pytest

from calib._border.arrays import array_namespace, is_foreign_array, is_half, like, to_numpy
from calib._border.optional import is_installed, require


def test_numpy_is_its_own_namespace() -> None:
    assert array_namespace(np.zeros(2)) is np
    assert not is_foreign_array([1.0])
    assert not is_foreign_array(np.float64(1))
    assert is_half(np.zeros(1, np.float16))
    assert like(3, np.zeros(1, np.float32), np).dtype.kind == "i"
    assert like(3.0, np.zeros(1, np.float32), np).dtype == np.float32


def test_torch_round_trip() -> None:
    torch = pytest.importorskip("torch")
    x = torch.linspace(0, 1, 3, requires_grad=True)
    assert is_foreign_array(x)
    np.testing.assert_allclose(to_numpy(x), [0, 0.5, 1])
    assert to_numpy(torch.zeros(2, dtype=torch.bfloat16)).dtype == np.float32
    assert is_half(torch.zeros(2, dtype=torch.bfloat16))
    back = like(np.arange(3.0), x, array_namespace(x))
    assert back.dtype == torch.float32
    assert like(np.arange(3), x, array_namespace(x)).dtype == torch.int64


def test_missing_package_names_the_command() -> None:
    assert not is_installed("surely_not_installed")
    assert not is_installed("surely.not.installed")
    with pytest.raises(ImportError, match=r'to_x needs surely_not; pip install "calib-uq\[x\]"'):
        require("surely_not", extra="x", purpose="to_x")
    assert require("json", extra="x", purpose="y").loads("1") == 1
