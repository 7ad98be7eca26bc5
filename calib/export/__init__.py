"""Fitted calibrators for other runtimes: torch modules and ONNX files, loaded when asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from calib._lazy import lazy_exports

if TYPE_CHECKING:
    from calib.export.modules import (
        CalibratorModule,
        DenseCalibratorModule,
        DetectionCalibratorModule,
        DistributionCalibratorModule,
        MultilabelCalibratorModule,
        PriorShiftModule,
        to_torch,
    )
    from calib.export.onnx_model import to_onnx

__all__ = [
    "CalibratorModule",
    "DenseCalibratorModule",
    "DetectionCalibratorModule",
    "DistributionCalibratorModule",
    "MultilabelCalibratorModule",
    "PriorShiftModule",
    "to_onnx",
    "to_torch",
]

_MODULE_OF = {
    "CalibratorModule": "calib.export.modules",
    "DenseCalibratorModule": "calib.export.modules",
    "DetectionCalibratorModule": "calib.export.modules",
    "DistributionCalibratorModule": "calib.export.modules",
    "MultilabelCalibratorModule": "calib.export.modules",
    "PriorShiftModule": "calib.export.modules",
    "to_onnx": "calib.export.onnx_model",
    "to_torch": "calib.export.modules",
}

__getattr__, __dir__ = lazy_exports("calib.export", _MODULE_OF, __all__)
