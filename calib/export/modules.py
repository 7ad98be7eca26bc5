"""Calibrators as torch modules, built on the same map as `transform`.

This is the one module that imports torch at its top, so that exported modules can be pickled; the
library itself loads it on demand only.
"""

from __future__ import annotations

from typing import Any, cast

from calib._border.optional import require

require("torch", extra="torch", purpose="to_torch")

import numpy as np  # noqa: E402
import torch  # noqa: E402
from sklearn.utils.validation import check_is_fitted  # noqa: E402

from calib._border.typing import InputKind  # noqa: E402
from calib.base import BaseCalibrator  # noqa: E402
from calib.detection.calibrator import DetectionCalibrator  # noqa: E402
from calib.grouped.map_table import stored_class, stored_name  # noqa: E402
from calib.grouped.maps import SCORE_CLIP  # noqa: E402
from calib.grouped.score_map import (  # noqa: E402
    ScoreMap,
    class_rows,
    evaluate_tables,
    mixture,
)
from calib.multilabel import MultilabelCalibrator, map_by_lines  # noqa: E402

__all__ = [
    "CalibratorModule",
    "DetectionCalibratorModule",
    "MultilabelCalibratorModule",
    "to_torch",
]


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
        method = stored_class(name)
        static = {  # plain integers, which a compiler takes for what they are
            key: np.asarray(value).tolist()
            for key, value in fitted.items()
            if method.traits.arrays[key].static
        }
        self.names = tuple(key for key in fitted if key not in static)
        self.fitted_map = method.map_from(static, options)
        for key in self.names:
            self.register_buffer(key, torch.as_tensor(np.array(fitted[key])))

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

        columns = scores.unsqueeze(1) if scores.ndim == 1 else scores
        buffers = {name: getattr(self, name) for name in self.names}
        arrays = {**self.fitted_map.arrays, **buffers}
        return cast(torch.Tensor, self.fitted_map.apply(columns, self.source, xp, arrays))

    def extra_repr(self) -> str:
        """Say which calibrator this is."""
        return f"{self.name}, input={self.source!r}"


class DetectionCalibratorModule(torch.nn.Module):
    """The score map of a fitted `DetectionCalibrator` as a torch module; made by `to_torch`.

    Tables are buffers, computed in float64 whatever arrives.

    Parameters
    ----------
    score_map : ScoreMap
        The compiled maps.
    """

    def __init__(self, score_map: ScoreMap) -> None:
        super().__init__()
        self.kind = score_map.kind
        self.names = tuple(score_map.tables)
        self.n_known = len(score_map.classes)
        self.last_row = score_map.last_row
        self.register_buffer("classes", torch.as_tensor(np.array(score_map.classes)))
        self.register_buffer("row", torch.as_tensor(np.array(score_map.row)))
        for key, value in score_map.tables.items():
            self.register_buffer(f"table_{key}", torch.as_tensor(np.array(value)))
        self.shares = tuple(share for _, share in score_map.parts)
        self.cuts = tuple(part.traits.domain != "proba" for part, _ in score_map.parts)
        self.n_columns = tuple(part.n_features_in_ for part, _ in score_map.parts)
        self.parts = torch.nn.ModuleList(_module(part) for part, _ in score_map.parts)

    def forward(
        self, scores: torch.Tensor, labels: torch.Tensor, features: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Map scores.

        Parameters
        ----------
        scores : tensor of shape (n_detections,)
            Raw scores in [0, 1]; not checked.
        labels : tensor of int of shape (n_detections,)
            Class of each detection; unknown ones take the pooled map.
        features : tensor of shape (n_detections, n_features), default=None
            What the calibrator reads beside the score.

        Returns
        -------
        calibrated : tensor of shape (n_detections,)
            Same dtype and device as `scores`.
        """
        import array_api_compat.torch as xp

        work = scores.double()
        labels = labels.to(cast(torch.Tensor, self.classes).dtype)
        rows = class_rows(self.classes, self.row, self.last_row, labels, xp)
        if self.kind != "any":
            tables = {name: getattr(self, f"table_{name}") for name in self.names}
            return cast(
                torch.Tensor, evaluate_tables(self.kind, tables, work, rows, xp).to(scores.dtype)
            )
        columns = work[:, None]
        if features is not None:
            columns = torch.cat([columns, features.double()], dim=1)
        out = mixture(lambda place: self._part(place, columns), self.shares, rows, xp)
        return cast(torch.Tensor, out.to(scores.dtype))

    def _part(self, place: int, columns: torch.Tensor) -> torch.Tensor:
        columns = columns[:, : self.n_columns[place]]
        if self.cuts[place]:
            first = columns[:, :1].clamp(SCORE_CLIP, 1 - SCORE_CLIP)
            columns = torch.cat([first, columns[:, 1:]], dim=1)
        return cast(torch.Tensor, self.parts[place](columns))[:, 1]

    def extra_repr(self) -> str:
        """Say how many classes the map knows."""
        return f"kind={self.kind!r}, {self.n_known} classes"


class MultilabelCalibratorModule(torch.nn.Module):
    """A fitted `MultilabelCalibrator` as a torch module; made by `to_torch`.

    Lines are buffers; everything is computed in float64 whatever arrives.

    Parameters
    ----------
    calibrator : MultilabelCalibrator
        Fitted.
    """

    def __init__(self, calibrator: MultilabelCalibrator) -> None:
        super().__init__()
        self.pooled = _module(calibrator.pooled_map_)
        self.smoothing = calibrator.smoothing_
        self.register_buffer("intercept", torch.as_tensor(np.array(calibrator.intercept_)))
        self.register_buffer("slope", torch.as_tensor(np.array(calibrator.slope_)))

    def forward(self, scores: torch.Tensor) -> torch.Tensor:
        """Map scores to probabilities of labels.

        Parameters
        ----------
        scores : tensor of shape (..., n_labels)
            Scores of the kind that the calibrator was fitted on; not checked.

        Returns
        -------
        proba : tensor of shape (..., n_labels)
            Same dtype and device.
        """
        import array_api_compat.torch as xp

        work = scores.double()
        pooled = self.pooled(work.reshape(-1, 1))[:, 1].reshape(work.shape)
        lines = {"intercept_": self.intercept, "slope_": self.slope, "smoothing_": self.smoothing}
        return cast(torch.Tensor, map_by_lines(pooled, lines, xp).to(scores.dtype))

    def extra_repr(self) -> str:
        """Say how many labels there are."""
        return f"{len(cast(torch.Tensor, self.slope))} labels"


def to_torch(
    calibrator: BaseCalibrator | DetectionCalibrator | MultilabelCalibrator,
) -> CalibratorModule | DetectionCalibratorModule | MultilabelCalibratorModule:
    """Turn a fitted calibrator into a torch module.

    Parameters
    ----------
    calibrator : BaseCalibrator, DetectionCalibrator or MultilabelCalibrator
        A fitted calibrator of the registry, or the calibrator of a detector or of many labels.

    Returns
    -------
    module : CalibratorModule, DetectionCalibratorModule or MultilabelCalibratorModule
        ``module(scores)`` equals ``calibrator.transform(scores)``; traceable by ``torch.export``.
        For a detector, ``module(scores, labels)`` equals the scores that ``transform`` gives.

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
    if isinstance(calibrator, DetectionCalibrator):
        check_is_fitted(calibrator, "score_map_")
        return DetectionCalibratorModule(calibrator.score_map_).eval()
    if isinstance(calibrator, MultilabelCalibrator):
        check_is_fitted(calibrator, "slope_")
        return MultilabelCalibratorModule(calibrator).eval()
    return _module(calibrator)


def _module(calibrator: BaseCalibrator) -> CalibratorModule:
    name = stored_name(calibrator)
    if name is None or not calibrator.traits.pure:
        raise TypeError(
            f"{type(calibrator).__name__} has no pure map, so it cannot become a torch module"
        )
    check_is_fitted(calibrator)
    fitted_map = calibrator.fitted_map
    arrays = {key: np.asarray(value) for key, value in fitted_map.arrays.items()}
    return CalibratorModule(name, calibrator.input, arrays, dict(fitted_map.options)).eval()
