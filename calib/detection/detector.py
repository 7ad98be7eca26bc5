"""A running detector with calibrated scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from sklearn.utils.validation import check_is_fitted

from calib._border.arrays import read_array, to_numpy
from calib._border.checks import describe
from calib._border.typing import ArrayLike, Float64Array, IntArray
from calib._border.validation import RANGE_TOLERANCE
from calib._border.words import did_you_mean
from calib.detection.calibrator import DetectionCalibrator
from calib.detection.readers.frameworks import FRAMEWORKS, as_given, columns
from calib.detection.tables.checks import mapped_labels
from calib.detection.tables.detections import Detections

#: Finds boxes, scores and labels (and, where known, the size of the image) of one image.
Reader: TypeAlias = Callable[[Any], Any]
#: Puts new scores into what a detector returned for one image.
Writer: TypeAlias = Callable[[Any, Float64Array], Any]


class ImageBoxes(NamedTuple):
    """What a reader returns for one image; a plain tuple does as well.

    Attributes
    ----------
    boxes : array of shape (n_detections, 4)
        Corners in pixels; read only where the calibrator reads positions.
    scores : array of shape (n_detections,)
        Raw scores.
    labels : array of int of shape (n_detections,)
        Classes.
    size : tuple of (float, float) or None
        Width and height of the image.
    """

    boxes: ArrayLike
    scores: ArrayLike
    labels: ArrayLike
    size: tuple[float, float] | None = None


class CalibratedDetector:
    """Wrap a running detector so that it returns calibrated scores.

    Boxes, classes, order and number of detections stay as they are; the objects that come out are
    of the kind that the detector returned.

    Parameters
    ----------
    predict : callable
        The detector. For one image it returns what `adapter` says; for several, a list of that.
    calibrator : DetectionCalibrator
        Fitted.
    adapter : str or pair of callables, default="arrays"
        ``"arrays"``: a tuple ``(boxes, scores, labels)`` or a dict of these names, of arrays,
        tensors or lists. A framework that `read_detections` knows: ``"torchvision"``,
        ``"ultralytics"``, ``"mmdet"``, ``"mmdet2"``, ``"detectron2"``, ``"supervision"``. Or a pair
        ``(read, write)``: ``read(output)`` returns boxes, scores, labels and, if known, the size
        of the image; ``write(output, scores)`` returns a copy of the output with new scores.
    category_map : mapping from int to int, default=None
        Category id of each class index, where the calibrator was fitted on category ids.

    Attributes
    ----------
    predict, calibrator, adapter, category_map
        As given.

    Raises
    ------
    ValueError
        If `predict` or the adapter is not usable; when called, if a score is NaN or outside [0, 1],
        a field is missing, a class has no category, or the calibrator reads positions and the size
        of the image is not known.
    NotFittedError
        If the calibrator is not fitted.

    See Also
    --------
    DetectionCalibrator : fits the map.

    Notes
    -----
    A hundred detections of 13 classes cost 20 to 30 microseconds where the map is affine or
    piecewise linear in every class (temperature, Platt, linear, isotonic), otherwise one evaluation
    per class that occurs. Beyond the range of the scores nothing of what the detector returned is
    checked. To drop detections, compare the new scores with
    ``calibrator.calibrated_thresholds_``.

    Examples
    --------
    >>> import numpy as np
    >>> from calib.detection import Detections, GroundTruth
    >>> from calib.detection import DetectionCalibrator
    >>> from calib.detection import CalibratedDetector
    >>> boxes = np.tile([0.0, 0.0, 10.0, 10.0], (40, 1))
    >>> found = Detections(boxes, np.linspace(0.5, 0.9, 40), np.ones(40, int), np.arange(40))
    >>> truth = GroundTruth(boxes[::2], np.ones(20, int), np.arange(0, 40, 2), images=np.arange(40))
    >>> cal = DetectionCalibrator("isotonic", threshold=None).fit(found, truth)
    >>> detector = CalibratedDetector(lambda image: (boxes[:2], [0.6, 0.8], [1, 1]), cal)
    >>> detector("image.jpg")[1]
    [0.5, 0.5]
    """

    def __init__(
        self,
        predict: Callable[..., Any],
        calibrator: DetectionCalibrator,
        *,
        adapter: str | tuple[Reader, Writer] = "arrays",
        category_map: Mapping[int, int] | None = None,
    ) -> None:
        if not callable(predict):
            raise ValueError(f"predict must be callable; got {describe(predict)}")
        if not isinstance(calibrator, DetectionCalibrator):
            raise ValueError(
                f"calibrator must be a DetectionCalibrator; got {type(calibrator).__name__}"
            )
        check_is_fitted(calibrator, "score_map_")
        self.predict = predict
        self.calibrator = calibrator
        self.adapter = adapter
        self.category_map = category_map
        self._read, self._write = _adapter(adapter)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the detector and calibrate what it returns.

        Parameters
        ----------
        *args, **kwargs
            Arguments of the detector.

        Returns
        -------
        output : object
            Of the kind that the detector returned.
        """
        return self.calibrate(self.predict(*args, **kwargs))

    def calibrate(self, output: Any) -> Any:
        """Calibrate what the detector returned earlier.

        Parameters
        ----------
        output : object
            What `adapter` says for one image, or a list of that. Not changed.

        Returns
        -------
        output : object
            The same with calibrated scores.
        """
        several = isinstance(output, list)
        if self.adapter == "mmdet2":  # the detections of one image are a list already
            several = several and all(isinstance(entry, (list, tuple)) for entry in output)
        if several:
            return [self._one(entry) for entry in output]
        return self._one(output)

    def _one(self, output: Any) -> Any:
        boxes, raw, raw_labels, *size = self._read(output)
        scores = np.asarray(to_numpy(read_array(raw, "scores")), dtype=np.float64)
        if not len(scores):
            return output
        if not (scores.min() >= 0 and scores.max() <= 1):
            inside = np.clip(scores, 0.0, 1.0)
            if not np.abs(scores - inside).max() <= RANGE_TOLERANCE:  # NaN is not either
                raise ValueError(
                    f"scores must lie in [0, 1]; the detector returned values from "
                    f"{scores.min():.6g} to {scores.max():.6g}"
                )
            scores = inside
        labels = np.asarray(to_numpy(read_array(raw_labels, "labels")), dtype=np.int64)
        if self.category_map is not None:
            labels = mapped_labels(labels, self.category_map)
        if self.calibrator.features:
            new = self._with_features(boxes, scores, labels, size[0] if size else None)
        else:
            new = self.calibrator.score_map_(scores, labels)
        return self._write(output, new)

    def _with_features(
        self, boxes: ArrayLike, scores: Float64Array, labels: IntArray, size: Any
    ) -> Float64Array:
        """Take the long way, for calibrators that read positions."""
        image = np.zeros(len(scores), dtype=np.int64)
        sizes = (
            None if size is None else np.tile(np.asarray(size, dtype=np.float64), (len(image), 1))
        )
        return self.calibrator.transform(Detections(boxes, scores, labels, image, sizes)).scores


def _adapter(adapter: Any) -> tuple[Reader, Writer]:
    """Return the reader and the writer that an adapter names."""
    if isinstance(adapter, str) and adapter == "arrays":
        return _read_arrays, _write_arrays
    if isinstance(adapter, str) and adapter in FRAMEWORKS:
        return FRAMEWORKS[adapter].found, FRAMEWORKS[adapter].rescored
    if isinstance(adapter, Sequence) and len(adapter) == 2 and all(map(callable, adapter)):
        return adapter[0], adapter[1]
    known = ", ".join(repr(name) for name in ("arrays", *FRAMEWORKS))
    raise ValueError(
        f"adapter must be one of {known}, or a pair of callables (read, write); got "
        f"{describe(adapter)}{did_you_mean(adapter, ('arrays', *FRAMEWORKS))}"
    )


def _read_arrays(output: Any) -> ImageBoxes:
    if isinstance(output, Mapping):
        return ImageBoxes(*columns(output, "boxes", "scores", "labels"))
    if not isinstance(output, tuple) or len(output) != 3:
        raise ValueError(
            f"adapter='arrays' reads a tuple (boxes, scores, labels), a dict of these names, or a "
            f"list of those; got {type(output).__name__}; for other outputs name a framework or "
            f"pass a pair (read, write)"
        )
    return ImageBoxes(*output)


def _write_arrays(output: Any, scores: Float64Array) -> Any:
    old = output["scores"] if isinstance(output, Mapping) else output[1]
    new = as_given(scores, old)
    return {**output, "scores": new} if isinstance(output, Mapping) else (output[0], new, output[2])
