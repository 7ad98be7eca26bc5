"""Modules for scores with an axis of classes: the same numbers as `transform`, in their shape."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from calib import DenseCalibrator, make_calibrator

torch = pytest.importorskip("torch")

from calib.export import to_torch  # noqa: E402


def images(n_classes: int = 3) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    z = 1.5 * rng.normal(size=(4, n_classes, 12, 9))
    return 2.0 * z, (z + rng.gumbel(size=z.shape)).argmax(axis=1)


@pytest.mark.parametrize("name", ["temperature", "matrix_scaling", "platt", "isotonic"])
def test_the_module_of_images_equals_transform(name: str) -> None:
    x, y = images()
    cal = DenseCalibrator(name).fit(x, y)
    out = to_torch(cal)(torch.from_numpy(x))
    tolerance = 1e-4 if name == "isotonic" else 1e-12
    np.testing.assert_allclose(out.numpy(), cal.transform(x), atol=tolerance)
    other = to_torch(cal, class_dim=-1)(torch.from_numpy(x).movedim(1, -1))
    np.testing.assert_allclose(other.movedim(-1, 1).numpy(), out.numpy(), atol=1e-12)


def test_any_calibrator_takes_an_axis() -> None:
    x, y = images()
    cal = make_calibrator("temperature", input="logits")
    cal.fit(np.moveaxis(x, 1, -1).reshape(-1, 3), y.ravel())
    network = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), to_torch(cal, class_dim=1))
    out = network(torch.rand(2, 2, 8, 8))
    assert out.shape == (2, 3, 6, 6)
    np.testing.assert_allclose(out.detach().numpy().sum(axis=1), 1.0, atol=1e-6)


@pytest.mark.parametrize("axis", [None, 1])
def test_one_score_a_cell_keeps_its_shape(axis: int | None) -> None:
    x, y = images(1)
    y = (x[:, 0] + np.random.default_rng(1).logistic(size=y.shape) > 0).astype(int)
    x = x[:, 0] if axis is None else x
    cal = DenseCalibrator("platt", class_axis=axis).fit(x, y)
    out = to_torch(cal)(torch.from_numpy(x))
    np.testing.assert_allclose(out.numpy(), cal.transform(x), atol=1e-12)


def test_the_module_can_be_exported() -> None:
    x, y = images()
    cal = DenseCalibrator("matrix_scaling").fit(x, y)
    tensor = torch.from_numpy(x)
    program = torch.export.export(to_torch(cal), (tensor,))
    np.testing.assert_allclose(program.module()(tensor).numpy(), cal.transform(x), atol=1e-12)


def test_bad_axes_are_refused() -> None:
    x, y = images()
    cal = DenseCalibrator("temperature").fit(x, y)
    for wrong in (0, 1.5, "1"):
        with pytest.raises(ValueError, match="class_dim must be an integer other than 0"):
            to_torch(cal, class_dim=wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="class_axis=7 is no axis"):
        to_torch(cal, class_dim=7)(torch.from_numpy(x))
