"""Calibrators as JSON files: readable, exact to the last bit, and unable to run code."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calib._border.checks import describe
from calib._border.files import atomic_write
from calib._version import __version__
from calib.base import BaseCalibrator
from calib.calibrators import distribution
from calib.calibrators.distribution import DistributionCalibrator
from calib.dense import KIND as DENSE_KIND, DenseCalibrator
from calib.grouped.files import contents_of_map, restored_map
from calib.multilabel import calibrator as multilabel
from calib.multilabel.calibrator import MultilabelCalibrator

if TYPE_CHECKING:
    from calib.detection.calibrator import DetectionCalibrator
    from calib.evaluation.stream.monitor import CalibrationMonitor

#: Version of the file layout; every older one is read. 2: members of a pool have names, which
#: format 1 gave as places.
FORMAT = 2
#: What files of calibrators of scores say that they are.
KIND = "calib calibrator"
#: The same of adapters to other class frequencies.
ADAPTER_KIND = "calib prior shift adapter"
#: And of monitors of streams.
MONITOR_KIND = "calib calibration monitor"


def save(
    calibrator: BaseCalibrator
    | DenseCalibrator
    | DetectionCalibrator
    | DistributionCalibrator
    | MultilabelCalibrator
    | CalibrationMonitor,
    path: str | os.PathLike[str],
) -> Path:
    """Write a fitted calibrator, or a monitor, to a JSON file.

    Parameters
    ----------
    calibrator : object
        A fitted calibrator of the registry, a `PriorShiftAdapter` around one, a `DenseCalibrator`,
        `DetectionCalibrator`, `DistributionCalibrator` or `MultilabelCalibrator`; or a
        `CalibrationMonitor`, which goes on from the file as if it had not stopped.
    path : str or path-like
        File to write; an existing one is replaced once the new one is whole.

    Returns
    -------
    path : pathlib.Path
        The file written.

    Raises
    ------
    NotFittedError
        If the calibrator is not fitted.
    TypeError
        If it cannot be written as JSON: a wrapper, an adapter, a calibrator with an inner model,
        or class labels of a kind that JSON cannot give back (dates, bytes, complex numbers).
        ``skops`` or ``pickle`` hold those.
    ValueError
        If its fitted arrays are not those of a fit, for instance because they were changed.
    OSError
        If the file cannot be written; what stood there stays as it was.

    See Also
    --------
    load : read the file again.

    Notes
    -----
    The file holds a format number, the library version, the registry name, the constructor
    parameters and the fitted arrays. Floats are written with the digits that restore them exactly,
    so that a loaded calibrator transforms bit for bit like the saved one.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from calib import TemperatureCalibrator, load, save
    >>> cal = TemperatureCalibrator(input="logits").fit([-2.0, 1.0, -1.0, 3.0], [0, 1, 1, 1])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     same = load(save(cal, pathlib.Path(folder) / "cal.json"))
    >>> same.temperature_ == cal.temperature_
    True
    """
    if isinstance(calibrator, BaseCalibrator) and hasattr(calibrator, "to_contents"):
        kind, contents = ADAPTER_KIND, calibrator.to_contents()
    elif isinstance(calibrator, BaseCalibrator):
        kind, contents = KIND, contents_of_map(calibrator)
    elif isinstance(calibrator, DenseCalibrator):
        kind, contents = DENSE_KIND, calibrator.contents()
    elif isinstance(calibrator, DistributionCalibrator):
        kind, contents = distribution.KIND, calibrator.to_contents()
    elif isinstance(calibrator, MultilabelCalibrator):
        kind, contents = multilabel.KIND, multilabel.contents_of_multilabel(calibrator)
    elif hasattr(calibrator, "to_contents"):
        kind, contents = MONITOR_KIND, calibrator.to_contents()
    else:
        from calib.detection import files

        kind, contents = files.KIND, files.contents_of_detector(calibrator)
    document = {"kind": kind, "format": FORMAT, "library": __version__, **contents}
    path = Path(path)
    text = json.dumps(document, indent=1, allow_nan=False) + "\n"
    with atomic_write(path) as file:
        file.write(text)
    return path


def load(path: str | os.PathLike[str]) -> Any:
    """Read a calibrator or a monitor that `save` wrote.

    Parameters
    ----------
    path : str or path-like
        File to read.

    Returns
    -------
    calibrator : object
        Of the class that was saved, fitted; transforms, or goes on, bit for bit like the saved
        one.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is truncated, is no calibrator file, has a newer format, names an unknown
        calibrator or parameter, or holds arrays that do not make a calibrator.

    Notes
    -----
    Only names in the registry are accepted and only numbers and strings are read, so that a file
    of unknown origin cannot run code. Every array is held against what the method declares of its
    fits (shape, range, order), and a loaded map is tried on rows of many kinds before it is
    returned.
    """
    path = Path(path)
    try:
        document = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
        return _decode_document(document)
    except RecursionError:
        raise ValueError(f"{path.name} is not a calibrator file: nested too deeply") from None
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        reason = f"missing key {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{path.name} is not a usable calibrator file: {reason}") from error


def _refuse_constant(text: str) -> float:
    raise ValueError(f"it holds {text}, which is not a number")


def _decode_document(document: Any) -> Any:
    kind = document.get("kind") if isinstance(document, dict) else None
    if kind == KIND:
        restored: Any = restored_map
    elif kind == ADAPTER_KIND:
        from calib.prior_shift import PriorShiftAdapter

        restored = PriorShiftAdapter.from_contents
    elif kind == DENSE_KIND:
        restored = DenseCalibrator.restored
    elif kind == distribution.KIND:
        restored = DistributionCalibrator.from_contents
    elif kind == multilabel.KIND:
        restored = multilabel.restored_multilabel
    elif kind == MONITOR_KIND:
        from calib.evaluation.stream.monitor import CalibrationMonitor

        restored = CalibrationMonitor.from_contents
    else:
        from calib.detection import files

        restored = files.restored_calibrator
        if kind != files.KIND:
            raise ValueError(f'it does not say "kind": "{KIND}"')
    number = document["format"]
    if type(number) is not int or not 1 <= number <= FORMAT:
        raise ValueError(
            f"it has format {describe(number)}, this version reads up to {FORMAT}; upgrade calib-uq"
        )
    return restored(document)
