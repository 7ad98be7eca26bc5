"""What detectors of each framework return: where boxes are found, and how scores are put back.

Objects are known by their attributes alone; no framework is imported.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from calib._border.arrays import array_namespace, is_half, like, read_array, to_numpy
from calib._border.typing import Array, Float64Array

Source = Literal["torchvision", "ultralytics", "mmdet", "mmdet2", "detectron2", "supervision"]

RAW_CONFIDENCE = "confidence_raw"
#: Keys of a target that say nothing of boxes: an image with no others has none.
_ASIDE = frozenset({"image_id", "size", "orig_size", "image_size", "file_name", "height", "width"})


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


def columns(entry: Any, *names: str) -> list[Any]:
    """Return fields of one image, the boxes first; None stands for no values in all or none.

    An image without boxes has empty boxes; its other fields may then be None, as may all of them.
    A field that is not there at all, or None beside boxes, is a mistake.
    """
    values = [_optional(entry, name) for name in names]
    there = [
        name in entry if isinstance(entry, Mapping) else hasattr(entry, name) for name in names
    ]
    if all(there) and all(is_empty(value) for value in values):
        return [[] if value is None else value for value in values]
    return [field(entry, name) for name in names]


def is_bare(target: Any) -> bool:
    """Return whether a target says nothing of boxes, as of an image that has none."""
    return isinstance(target, Mapping) and set(target) <= _ASIDE


def is_empty(values: Any) -> bool:
    """Return whether an array, tensor or list, or a box object, holds nothing."""
    if values is None:
        return True
    values = _corners(values)
    shape = getattr(values, "shape", None)
    if shape is not None:
        return 0 in tuple(shape)
    try:
        return all(hasattr(one, "__len__") and len(one) == 0 for one in values)
    except TypeError:
        return False


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
    if not len(values):
        return copy.copy(old)  # whatever stood for none
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
    return Found(*columns(entry, "boxes", "scores", "labels"))


def _torchvision_target(entry: Any) -> Annotated:
    boxes, labels = columns(entry, "boxes", "labels")
    return Annotated(boxes, labels, _optional(entry, "iscrowd"), _optional(entry, "area"))


def _torchvision_rescored(entry: Any, scores: Float64Array) -> Any:
    return _replaced(entry, scores=as_given(scores, entry["scores"]))


# ------------------------------------------------------------------ Ultralytics


def _ultralytics(entry: Any) -> Found:
    for name, what in (("obb", "rotated boxes"), ("probs", "probabilities of the image")):
        if _optional(entry, "boxes") is None and _optional(entry, name) is not None:
            raise ValueError(f"the result holds {what} ({name}) and no boxes along the axes")
    corners, scores, labels = columns(field(entry, "boxes"), "xyxy", "conf", "cls")
    return Found(corners, scores, labels, _width_height(_optional(entry, "orig_shape")))


def _ultralytics_rescored(entry: Any, scores: Float64Array) -> Any:
    """Write the column before the last of the boxes' table, of which ``conf`` is a view."""
    if not len(scores):
        return copy.copy(entry)
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
    boxes, scores, labels = columns(field(entry, "pred_instances"), "bboxes", "scores", "labels")
    return Found(_corners(boxes), scores, labels, _width_height(_mmdet_shape(entry)))


def _mmdet_target(entry: Any) -> Annotated:
    """Read what counts and, where there are some, the instances to ignore."""
    parts = [field(entry, "gt_instances"), _optional(entry, "ignored_instances")]
    pairs = [columns(part, "bboxes", "labels") for part in parts if part is not None]
    counted = [not is_empty(one) for one, _ in pairs]
    boxes = [_numpy(_corners(one)) for (one, _), any_ in zip(pairs, counted, strict=True) if any_]
    labels = [_numpy(one) for (_, one), any_ in zip(pairs, counted, strict=True) if any_]
    ignored = np.flatnonzero(counted) == 1
    return Annotated(
        np.concatenate([np.empty((0, 4)), *boxes]),
        np.concatenate(labels) if labels else np.empty(0, dtype=np.int64),
        ignore=np.repeat(ignored, [len(one) for one in labels]),
        size=_width_height(_mmdet_shape(entry)),
    )


def _mmdet_rescored(entry: Any, scores: Float64Array) -> Any:
    found = field(entry, "pred_instances")
    found = _replaced(found, scores=as_given(scores, _optional(found, "scores")))
    return _replaced(entry, pred_instances=found)


def _mmdet2_classes(entry: Any) -> list[Any]:
    """Return the arrays of one image; with masks they are the first of two."""
    classes = entry[0] if isinstance(entry, tuple) and len(entry) == 2 else entry
    if not isinstance(classes, list):
        raise ValueError(
            f"an image must be a list with one (n, 5) array per class; got {type(classes).__name__}"
        )
    for number, one in enumerate(classes):
        if not is_empty(one) and (getattr(one, "ndim", 0) != 2 or one.shape[1] != 5):
            shape = getattr(one, "shape", type(one).__name__)
            raise ValueError(f"class {number} must be an array of shape (n, 5); got {shape}")
    return classes


def _mmdet2(entry: Any) -> Found:
    classes = _mmdet2_classes(entry)
    filled = [k for k, one in enumerate(classes) if not is_empty(one)]
    rows = np.concatenate([np.empty((0, 5)), *(_numpy(classes[k]) for k in filled)])
    labels = np.repeat(np.array(filled, dtype=np.int64), [len(classes[k]) for k in filled])
    return Found(rows[:, :4], rows[:, 4], labels)


def _mmdet2_rescored(entry: Any, scores: Float64Array) -> Any:
    classes = []
    start = 0
    for old in _mmdet2_classes(entry):
        if is_empty(old):
            classes.append(old)
            continue
        new = old.copy() if isinstance(old, np.ndarray) else old.detach().clone()
        new[:, 4] = as_given(scores[start : start + len(old)], new[:, 4])
        classes.append(new)
        start += len(old)
    return (classes, *entry[1:]) if isinstance(entry, tuple) else classes


# ------------------------------------------------------------------ Detectron2


def _detectron2(entry: Any) -> Found:
    found = field(entry, "instances")
    boxes, scores, labels = columns(found, "pred_boxes", "scores", "pred_classes")
    return Found(_corners(boxes), scores, labels, _width_height(_optional(found, "image_size")))


def _detectron2_target(entry: Any) -> Annotated:
    truth = field(entry, "instances")
    boxes, labels = columns(truth, "gt_boxes", "gt_classes")
    return Annotated(_corners(boxes), labels, size=_width_height(_optional(truth, "image_size")))


def _detectron2_rescored(entry: Any, scores: Float64Array) -> Any:
    """Build new instances, because a copy would share its table of fields with the old ones."""
    old = field(entry, "instances")
    fields = {**field(old, "get_fields")(), "scores": as_given(scores, _optional(old, "scores"))}
    return _replaced(entry, instances=type(old)(old.image_size, **fields))


# ------------------------------------------------------------------ supervision


def _supervision(entry: Any) -> Found:
    return Found(*columns(entry, "xyxy", "confidence", "class_id"))


def _supervision_target(entry: Any) -> Annotated:
    return Annotated(*columns(entry, "xyxy", "class_id"))


def _supervision_rescored(entry: Any, scores: Float64Array) -> Any:
    old, data = _optional(entry, "confidence"), _optional(entry, "data") or {}
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
