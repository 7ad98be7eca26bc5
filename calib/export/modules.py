"""Calibrators as torch modules, built on the same map as `transform`.

This is the one module that imports torch at its top, so that exported modules can be pickled; the
library itself loads it on demand only.
"""

from __future__ import annotations

from typing import Any, cast

from calib._border.checks import describe, is_integer
from calib._border.optional import require

require("torch", extra="torch", purpose="to_torch")

import numpy as np  # noqa: E402
import torch  # noqa: E402
from sklearn.utils.validation import check_is_fitted  # noqa: E402

from calib._border.typing import ArrayLike, InputKind  # noqa: E402
from calib.base import BaseCalibrator  # noqa: E402
from calib.calibrators.distribution import DistributionCalibrator  # noqa: E402
from calib.dense import DenseCalibrator, axis_of  # noqa: E402
from calib.detection.calibrator import DetectionCalibrator  # noqa: E402
from calib.grouped.map_table import stored_class, stored_name  # noqa: E402
from calib.grouped.maps import SCORE_CLIP  # noqa: E402
from calib.grouped.score_map import (  # noqa: E402
    ScoreMap,
    class_rows,
    evaluate_tables,
    mixture,
)
from calib.multilabel.calibrator import MultilabelCalibrator, map_by_lines  # noqa: E402
from calib.prior_shift import PriorShiftAdapter, corrected_for  # noqa: E402

__all__ = [
    "CalibratorModule",
    "DenseCalibratorModule",
    "DetectionCalibratorModule",
    "DistributionCalibratorModule",
    "MultilabelCalibratorModule",
    "PriorShiftModule",
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


class DenseCalibratorModule(torch.nn.Module):
    """A map of cells for scores with an axis of classes; made by `to_torch`.

    Parameters
    ----------
    cells : Module
        The map of one cell.
    class_dim : int or None
        Axis of the classes; None for one score a cell.
    single : bool, default=False
        Whether cells have one score, that of the positive class.
    """

    def __init__(
        self, cells: torch.nn.Module, class_dim: int | None, *, single: bool = False
    ) -> None:
        super().__init__()
        self.cells = cells
        self.class_dim = class_dim
        self.single = single

    def forward(self, scores: torch.Tensor) -> torch.Tensor:
        """Map scores to probabilities of the same shape.

        Parameters
        ----------
        scores : tensor of shape (n_images, n_classes, ...) or as `class_dim` says
            Not checked, so that the module can be traced and compiled.

        Returns
        -------
        proba : tensor of the shape of `scores`
            Probabilities along the axis of the classes, or of the positive class where a cell has
            one score; same dtype and device.
        """
        axis = axis_of(tuple(scores.shape), self.class_dim)
        last = scores.unsqueeze(-1) if axis is None else scores.movedim(axis, -1)
        proba = cast(torch.Tensor, self.cells(last.reshape(-1, last.shape[-1])))
        if self.single:
            proba = proba[:, 1:]
        proba = proba.reshape(last.shape)
        return proba.squeeze(-1) if axis is None else proba.movedim(-1, axis)

    def extra_repr(self) -> str:
        """Say where the classes are."""
        return f"class_dim={self.class_dim}"


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
    class_dim : int, default=-1
        Axis of the labels.
    """

    def __init__(self, calibrator: MultilabelCalibrator, class_dim: int = -1) -> None:
        super().__init__()
        self.class_dim = class_dim
        self.pooled = _module(calibrator.pooled_map_)
        self.smoothing = calibrator.smoothing_
        self.register_buffer("intercept", torch.as_tensor(np.array(calibrator.intercept_)))
        self.register_buffer("slope", torch.as_tensor(np.array(calibrator.slope_)))

    def forward(self, scores: torch.Tensor) -> torch.Tensor:
        """Map scores to probabilities of labels.

        Parameters
        ----------
        scores : tensor with an axis of labels
            Scores of the kind that the calibrator was fitted on; not checked.

        Returns
        -------
        proba : tensor of the shape of `scores`
            Same dtype and device.
        """
        import array_api_compat.torch as xp

        work = scores.double().movedim(self.class_dim, -1)
        pooled = self.pooled(work.reshape(-1, 1))[:, 1].reshape(work.shape)
        lines = {"intercept_": self.intercept, "slope_": self.slope, "smoothing_": self.smoothing}
        proba = map_by_lines(pooled, lines, xp).to(scores.dtype)
        return cast(torch.Tensor, proba.movedim(-1, self.class_dim))

    def extra_repr(self) -> str:
        """Say how many labels there are."""
        return f"{len(cast(torch.Tensor, self.slope))} labels"


def to_torch(
    calibrator: BaseCalibrator
    | DenseCalibrator
    | DetectionCalibrator
    | DistributionCalibrator
    | MultilabelCalibrator,
    class_dim: int | None = None,
    *,
    levels: ArrayLike = None,
) -> torch.nn.Module:
    """Turn a fitted calibrator into a torch module.

    Parameters
    ----------
    calibrator : BaseCalibrator, DenseCalibrator, DetectionCalibrator, DistributionCalibrator or \
MultilabelCalibrator
        A fitted calibrator of the registry, a `PriorShiftAdapter` around one, or that of images, of
        a detector, of normal distributions or of many labels.
    class_dim : int, default=None
        Axis of the classes in what the module receives, such as 1 for the output (n_images,
        n_classes, height, width) of a segmentation network; negative ones count from the end. None
        takes rows of scores, and for a `DenseCalibrator` its own axis.
    levels : array-like of shape (n_levels,), default=None
        Levels of the quantiles that the module of a `DistributionCalibrator` gives. None gives mean
        and standard deviation, but for ``"residual"`` and a pool.

    Returns
    -------
    module : CalibratorModule, PriorShiftModule, DenseCalibratorModule, DetectionCalibratorModule, \
DistributionCalibratorModule or MultilabelCalibratorModule
        ``module(scores)`` equals ``calibrator.transform(scores)``; traceable by ``torch.export``.
        With an axis of classes the shape of the scores is kept. For a detector,
        ``module(scores, labels)`` equals the scores that ``transform`` gives.

    Raises
    ------
    NotFittedError
        If the calibrator is not fitted.
    TypeError
        If its map is not a pure function of fitted arrays (an adapter or an inner model), or if
        `class_dim` is given for a detector or for distributions, or `levels` for anything but
        distributions; if a `DistributionCalibrator` has another input than normal distributions.
    ValueError
        If `class_dim` is no integer, or 0, the axis of images.

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
    >>> pixels = torch.nn.Sequential(torch.nn.Conv2d(3, 1, 3), to_torch(cal, class_dim=1))
    >>> pixels(torch.zeros(5, 3, 8, 8)).shape
    torch.Size([5, 1, 6, 6])
    """
    if class_dim is not None and (not is_integer(class_dim) or class_dim == 0):
        raise ValueError(
            f"class_dim must be an integer other than 0, which is the axis of images, or None; "
            f"got {describe(class_dim)}"
        )
    if isinstance(calibrator, DistributionCalibrator):
        if class_dim is not None:
            raise TypeError("class_dim is an axis of classes, which distributions do not have")
        return DistributionCalibratorModule(calibrator.lines(levels)).eval()
    if levels is not None:
        raise TypeError(
            f"levels are those of a DistributionCalibrator; {type(calibrator).__name__} gives "
            f"probabilities"
        )
    if isinstance(calibrator, DetectionCalibrator):
        if class_dim is not None:
            raise TypeError("class_dim is an axis of classes, which tables of boxes do not have")
        check_is_fitted(calibrator, "score_map_")
        return DetectionCalibratorModule(calibrator.score_map_).eval()
    if isinstance(calibrator, MultilabelCalibrator):
        check_is_fitted(calibrator, "slope_")
        labels = -1 if class_dim is None else int(class_dim)
        return MultilabelCalibratorModule(calibrator, labels).eval()
    if not isinstance(calibrator, DenseCalibrator):
        cells = _module(calibrator)
        if class_dim is None:
            return cells
        single = calibrator.n_features_in_ == 1
        return DenseCalibratorModule(cells, int(class_dim), single=single).eval()
    check_is_fitted(calibrator, "calibrator_")
    cells = _module(calibrator.calibrator_)
    axis = calibrator.class_axis if class_dim is None else class_dim
    single = calibrator.calibrator_.n_features_in_ == 1
    return DenseCalibratorModule(cells, None if axis is None else int(axis), single=single).eval()


class DistributionCalibratorModule(torch.nn.Module):
    """Recalibrated normal distributions as a torch module; made by `to_torch`.

    Parameters
    ----------
    lines : ndarray of shape (3, n_outputs)
        Output k is ``lines[0, k] mean + lines[1, k] std + lines[2, k]``.
    """

    lines: torch.Tensor

    def __init__(self, lines: np.ndarray[Any, Any]) -> None:
        super().__init__()
        self.register_buffer("lines", torch.as_tensor(lines))

    def forward(self, pairs: torch.Tensor) -> torch.Tensor:
        """Map means and standard deviations.

        Parameters
        ----------
        pairs : tensor of shape (n_samples, 2)
            Mean and standard deviation, not checked.

        Returns
        -------
        outputs : tensor of shape (n_samples, n_outputs)
            Quantiles, or mean and standard deviation; same dtype and device.
        """
        lines = self.lines.to(pairs.dtype)
        return pairs @ lines[:2] + lines[2]


class PriorShiftModule(torch.nn.Module):
    """A fitted `PriorShiftAdapter` as a torch module; made by `to_torch`.

    Parameters
    ----------
    inner : Module
        The calibrator that it corrects.
    ratio : ndarray of shape (n_classes,) or None
        New over old class frequencies; None corrects nothing.
    """

    def __init__(self, inner: torch.nn.Module, ratio: np.ndarray[Any, Any] | None) -> None:
        super().__init__()
        self.inner = inner
        self.register_buffer("ratio", None if ratio is None else torch.as_tensor(ratio))

    def forward(self, scores: torch.Tensor) -> torch.Tensor:
        """Map scores, as the calibrator does, and correct for the class frequencies.

        Parameters
        ----------
        scores : tensor of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
            Not checked.

        Returns
        -------
        proba : tensor of shape (n_samples, n_classes)
            Same dtype and device.
        """
        import array_api_compat.torch as xp

        proba = self.inner(scores)
        buffer = cast("torch.Tensor | None", self.ratio)
        if buffer is None:
            return cast(torch.Tensor, proba)
        ratio = buffer.to(proba.dtype)
        return cast(torch.Tensor, corrected_for(proba, ratio, xp))


def _module(calibrator: BaseCalibrator) -> CalibratorModule | PriorShiftModule:
    if isinstance(calibrator, PriorShiftAdapter):
        check_is_fitted(calibrator)
        ratio = calibrator.ratio if calibrator.adapted_ else None
        return PriorShiftModule(_module(calibrator.calibrator_), ratio).eval()
    name = stored_name(calibrator)
    if name is None or not calibrator.traits.pure:
        raise TypeError(
            f"{type(calibrator).__name__} has no pure map, so it cannot become a torch module"
        )
    check_is_fitted(calibrator)
    fitted_map = calibrator.fitted_map
    arrays = {key: np.asarray(value) for key, value in fitted_map.arrays.items()}
    return CalibratorModule(name, calibrator.input, arrays, dict(fitted_map.options)).eval()
