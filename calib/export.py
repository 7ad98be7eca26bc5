"""Calibrators as torch modules, built on the same map as `transform`.

This is the one module that imports torch at its top, so that exported modules can be pickled; the
library itself loads it on demand only.
"""

from __future__ import annotations

from typing import Any, cast

from calib._core.optional import require

require("torch", extra="torch", purpose="to_torch")

import numpy as np  # noqa: E402
import torch  # noqa: E402
from sklearn.utils.validation import check_is_fitted  # noqa: E402

from calib._core.typing import InputKind  # noqa: E402
from calib.base import BaseCalibrator, map_columns, working_array  # noqa: E402
from calib.registry import get_entry, name_of  # noqa: E402

__all__ = ["CalibratorModule", "to_torch"]


class CalibratorModule(torch.nn.Module):
    """A fitted calibrator as a torch module; made by `to_torch`.

    The fitted arrays are buffers in float64: ``module.to(device)`` moves them, ``state_dict`` holds
    them, no parameter is trained.

    Parameters
    ----------
    name : str
        Registry name of the calibrator.
    source : {"proba", "logits"}
        What the module receives.
    fitted : dict of str to array
        Fitted values by attribute name.
    options : dict of str to str, bool or float
        Constructor arguments that the map reads.
    """

    def __init__(
        self,
        name: str,
        source: InputKind,
        fitted: dict[str, np.ndarray[tuple[int, ...], np.dtype]],
        options: dict[str, Any],
    ) -> None:
        super().__init__()
        self.name = name
        self.source = source
        self.names = tuple(fitted)
        self.options = dict(options)
        for key, value in fitted.items():
            self.register_buffer(key, torch.as_tensor(np.array(value)))

    def forward(self, scores: torch.Tensor) -> torch.Tensor:
        """Map scores to probabilities.

        Parameters
        ----------
        scores : tensor of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
            Scores of the kind that the calibrator was fitted on. Not checked, so that the module
            can be traced and compiled.

        Returns
        -------
        proba : tensor of shape (n_samples, n_classes)
            Calibrated probabilities, same dtype and device.
        """
        import array_api_compat.torch as xp

        method = get_entry(self.name).load()
        columns = scores.unsqueeze(1) if scores.ndim == 1 else scores
        work = working_array(method, columns, xp)
        values: dict[str, Any] = dict(self.options)
        for name in self.names:
            value = getattr(self, name)
            values[name] = value.to(work.dtype) if value.is_floating_point() else value
        proba = map_columns(method._map, method, self.source, values, work, xp)
        return cast(torch.Tensor, proba.to(scores.dtype))

    def extra_repr(self) -> str:
        """Say which calibrator this is."""
        return f"{self.name}, input={self.source!r}"


def to_torch(calibrator: BaseCalibrator) -> CalibratorModule:
    """Turn a fitted calibrator into a torch module.

    Parameters
    ----------
    calibrator : BaseCalibrator
        A fitted calibrator of the registry.

    Returns
    -------
    module : CalibratorModule
        ``module(scores)`` equals ``calibrator.transform(scores)``; traceable by ``torch.export``.

    Raises
    ------
    NotFittedError
        If the calibrator is not fitted.
    TypeError
        If its map is not a pure function of fitted arrays (an adapter or an inner model).

    Examples
    --------
    >>> import pytest
    >>> torch = pytest.importorskip("torch")
    >>> from calib import TemperatureCalibrator
    >>> from calib.export import to_torch
    >>> cal = TemperatureCalibrator(input="logits").fit([-2.0, 1.0, -1.0, 3.0], [0, 1, 1, 1])
    >>> network = torch.nn.Sequential(torch.nn.Linear(8, 1), to_torch(cal))
    >>> network(torch.zeros(5, 8)).shape
    torch.Size([5, 2])
    """
    name = name_of(calibrator)
    if name is None or type(calibrator)._map is BaseCalibrator._map:
        raise TypeError(
            f"{type(calibrator).__name__} has no pure map, so it cannot become a torch module"
        )
    check_is_fitted(calibrator)
    fitted = {key: np.asarray(value) for key, value in calibrator._fitted_values().items()}
    options = {key: getattr(calibrator, key) for key in calibrator._options}
    return CalibratorModule(name, calibrator.input, fitted, options).eval()
