"""What detectors of each framework return: where boxes are found, and how scores are put back.

Objects are known by their attributes alone; no framework is imported.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from calib._border.typing import Array, Float64Array
from calib._core.namespace import array_namespace, is_half, like, to_numpy
from calib._core.reading import read_array

Source = Literal["torchvision", "ultralytics", "mmdet", "mmdet2", "detectron2", "supervision"]

RAW_CONFIDENCE = "confidence_raw"


class Found(NamedTuple):
    """Raw columns of one image; `size` is width and height."""

    boxes: Array
    scores: Array
    labels: Array
    size: tuple[Any, Any] | None = None


class Annotated(NamedTuple):
    """Raw columns of the annotations of one image."""

    boxes: Array
    labels: Array
    ignore: Array = None
    area: Array = None
    size: tuple[Any, Any] | None = None


@dataclass(frozen=True)
class Framework:
    """How to read one image of a framework and how to write its scores."""

    found: Callable[[Any], Found]
    rescored: Callable[[Any, Float64Array], Any]
    annotated: Callable[[Any], Annotated] | None = None


def field(entry: Any, name: str) -> Any:
    """Return a key of a dict or an attribute of an object; absence and None raise."""
    if isinstance(entry, Mapping):
        value = entry.get(name)
    else:
        value = getattr(entry, name, None)
    if value is None:
        known = ", ".join(map(repr, entry)) if isinstance(entry, Mapping) else ""
        what = f"dict with keys {known or 'none'}" if isinstance(entry, Mapping) else "object"
        raise ValueError(f"the {type(entry).__name__} {what} has no {name!r}, or it is None")
    return value


def _optional(entry: Any, name: str) -> Any:
    return entry.get(name) if isinstance(entry, Mapping) else getattr(entry, name, None)


def _width_height(shape: Any) -> tuple[Any, Any] | None:
    """Turn a shape (height, width, ...) into width and height."""
    return None if shape is None else (shape[1], shape[0])


def _corners(boxes: Any) -> Array:
    """Return the array inside a box object, or the array itself."""
    inner = getattr(boxes, "tensor", None)
    return boxes if inner is None else inner


def _numpy(x: Array) -> Any:
    return to_numpy(read_array(x, "boxes"))


def as_given(values: Float64Array, old: Array) -> Any:
    """Return numbers in the container, type and device of the old ones."""
    if isinstance(old, (list, tuple)):
        return type(old)(values.tolist())
    array = read_array(old, "scores")
    xp = array_namespace(array)
    if not xp.isdtype(array.dtype, "real floating") and not is_half(array):
        raise ValueError(f"scores of dtype {array.dtype} cannot hold new scores; use a float type")
    return like(values, array, xp)


def _replaced(entry: Any, **values: Any) -> Any:
    """Return a copy of a dict or an object with other fields."""
    new = entry.clone() if callable(getattr(entry, "clone", None)) else copy.copy(entry)
    for name, value in values.items():
        if isinstance(entry, Mapping):
            new[name] = value
        else:
            setattr(new, name, value)
    return new


# ------------------------------------------------------------------ torchvision


def _torchvision(entry: Any) -> Found:
    return Found(field(entry, "boxes"), field(entry, "scores"), field(entry, "labels"))


def _torchvision_target(entry: Any) -> Annotated:
    return Annotated(
        field(entry, "boxes"),
        field(entry, "labels"),
        _optional(entry, "iscrowd"),
        _optional(entry, "area"),
    )


def _torchvision_rescored(entry: Any, scores: Float64Array) -> Any:
    return _replaced(entry, scores=as_given(scores, entry["scores"]))


# ------------------------------------------------------------------ Ultralytics


def _ultralytics(entry: Any) -> Found:
    boxes = field(entry, "boxes")
    corners, scores, labels = (field(boxes, name) for name in ("xyxy", "conf", "cls"))
    return Found(corners, scores, labels, _width_height(_optional(entry, "orig_shape")))


def _ultralytics_rescored(entry: Any, scores: Float64Array) -> Any:
    """Write the column before the last of the boxes' table, of which ``conf`` is a view."""
    boxes = copy.copy(entry.boxes)
    table = field(boxes, "data")
    table = table.copy() if isinstance(table, np.ndarray) else table.detach().clone()
    table[:, -2] = as_given(scores, table[:, -2])
    boxes.data = table
    return _replaced(entry, boxes=boxes)


# ------------------------------------------------------------------ MMDetection


def _mmdet_shape(entry: Any) -> Any:
    meta = _optional(entry, "metainfo")
    shape = None if meta is None else meta.get("ori_shape")
    return _optional(entry, "ori_shape") if shape is None else shape


def _mmdet(entry: Any) -> Found:
    found = field(entry, "pred_instances")
    boxes, scores, labels = (field(found, name) for name in ("bboxes", "scores", "labels"))
    return Found(_corners(boxes), scores, labels, _width_height(_mmdet_shape(entry)))


def _mmdet_target(entry: Any) -> Annotated:
    """Read what counts and, where there are some, the instances to ignore."""
    parts = [field(entry, "gt_instances"), _optional(entry, "ignored_instances")]
    parts = [part for part in parts if part is not None]
    boxes = [_numpy(_corners(field(part, "bboxes"))) for part in parts]
    labels = [_numpy(field(part, "labels")) for part in parts]
    return Annotated(
        np.concatenate([one.reshape(-1, 4) for one in boxes]),
        np.concatenate(labels),
        ignore=np.repeat(np.arange(len(parts)) == 1, [len(one) for one in labels]),
        size=_width_height(_mmdet_shape(entry)),
    )


def _mmdet_rescored(entry: Any, scores: Float64Array) -> Any:
    found = field(entry, "pred_instances")
    found = _replaced(found, scores=as_given(scores, field(found, "scores")))
    return _replaced(entry, pred_instances=found)


def _mmdet2_classes(entry: Any) -> list[Any]:
    """Return the arrays of one image; with masks they are the first of two."""
    classes = entry[0] if isinstance(entry, tuple) and len(entry) == 2 else entry
    if not isinstance(classes, list):
        raise ValueError(
            f"an image must be a list with one (n, 5) array per class; got {type(classes).__name__}"
        )
    for number, one in enumerate(classes):
        if getattr(one, "ndim", 0) != 2 or one.shape[1] != 5:
            shape = getattr(one, "shape", type(one).__name__)
            raise ValueError(f"class {number} must be an array of shape (n, 5); got {shape}")
    return classes


def _mmdet2(entry: Any) -> Found:
    classes = _mmdet2_classes(entry)
    rows = np.concatenate([np.empty((0, 5)), *(_numpy(one) for one in classes)])
    labels = np.repeat(np.arange(len(classes)), [len(one) for one in classes])
    return Found(rows[:, :4], rows[:, 4], labels)


def _mmdet2_rescored(entry: Any, scores: Float64Array) -> Any:
    classes = []
    start = 0
    for old in _mmdet2_classes(entry):
        new = old.copy() if isinstance(old, np.ndarray) else old.detach().clone()
        new[:, 4] = as_given(scores[start : start + len(old)], new[:, 4])
        classes.append(new)
        start += len(old)
    return (classes, *entry[1:]) if isinstance(entry, tuple) else classes


# ------------------------------------------------------------------ Detectron2


def _detectron2(entry: Any) -> Found:
    found = field(entry, "instances")
    boxes, scores, labels = (field(found, n) for n in ("pred_boxes", "scores", "pred_classes"))
    return Found(_corners(boxes), scores, labels, _width_height(_optional(found, "image_size")))


def _detectron2_target(entry: Any) -> Annotated:
    truth = field(entry, "instances")
    size = _width_height(_optional(truth, "image_size"))
    return Annotated(_corners(field(truth, "gt_boxes")), field(truth, "gt_classes"), size=size)


def _detectron2_rescored(entry: Any, scores: Float64Array) -> Any:
    """Build new instances, because a copy would share its table of fields with the old ones."""
    old = field(entry, "instances")
    fields = {**field(old, "get_fields")(), "scores": as_given(scores, field(old, "scores"))}
    return _replaced(entry, instances=type(old)(old.image_size, **fields))


# ------------------------------------------------------------------ supervision


def _supervision(entry: Any) -> Found:
    return Found(field(entry, "xyxy"), field(entry, "confidence"), field(entry, "class_id"))


def _supervision_target(entry: Any) -> Annotated:
    return Annotated(field(entry, "xyxy"), field(entry, "class_id"))


def _supervision_rescored(entry: Any, scores: Float64Array) -> Any:
    old, data = field(entry, "confidence"), _optional(entry, "data") or {}
    if RAW_CONFIDENCE in data:
        raise ValueError(f"data has {RAW_CONFIDENCE!r} already: these scores are not the raw ones")
    data = {**data, RAW_CONFIDENCE: copy.copy(old)}
    return _replaced(entry, confidence=as_given(scores, old), data=data)


FRAMEWORKS: dict[str, Framework] = {
    "torchvision": Framework(_torchvision, _torchvision_rescored, _torchvision_target),
    "ultralytics": Framework(_ultralytics, _ultralytics_rescored),
    "mmdet": Framework(_mmdet, _mmdet_rescored, _mmdet_target),
    "mmdet2": Framework(_mmdet2, _mmdet2_rescored),
    "detectron2": Framework(_detectron2, _detectron2_rescored, _detectron2_target),
    "supervision": Framework(_supervision, _supervision_rescored, _supervision_target),
}
