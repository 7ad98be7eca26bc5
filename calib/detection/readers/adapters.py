"""Detections out of what a detector returned, and back: same objects, other scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from calib._border.checks import check_option
from calib._border.typing import ArrayLike, Float64Array, LabelArray
from calib.detection.readers.frameworks import FRAMEWORKS, Annotated, Framework, Source, is_bare
from calib.detection.tables import checks
from calib.detection.tables.detections import Detections
from calib.detection.tables.ground_truth import GroundTruth

_Outputs = TypeVar("_Outputs", bound=Sequence[Any])
#: What a target says of an image without boxes.
_NO_BOXES = Annotated([], [])


def read_detections(
    outputs: Sequence[Any],
    image_id: ArrayLike = None,
    *,
    source: Source,
    image_size: ArrayLike = None,
    category_map: Mapping[int, int] | None = None,
) -> Detections:
    """Read what a detector of another framework returned for a list of images.

    The framework itself is not needed; objects are read by their attributes. Tensors may live on
    any device and carry gradients.

    Parameters
    ----------
    outputs : list or tuple
        One entry per image, as `source` says; boxes are corners in pixels of the original image.
        An image without detections has empty boxes; its other fields may then be None.
    image_id : array-like of int or str of shape (n_images,), default=None
        Id of each image. None counts from 0 and marks the ids as made up: such tables do not merge
        with others, so give ids wherever there is more than one batch.
    source : str
        Framework that made the outputs:

        * ``"torchvision"``: dicts with ``boxes``, ``scores``, ``labels``;
        * ``"ultralytics"``: ``Results`` with ``boxes.xyxy``, ``.conf``, ``.cls``;
        * ``"mmdet"``: ``DetDataSample`` of version 3 with ``pred_instances.bboxes``, ``.scores``,
          ``.labels``, or dicts of the same names as its dump holds;
        * ``"mmdet2"``: version 2, a list with one array ``x1, y1, x2, y2, score`` per class (or a
          pair of that and masks);
        * ``"detectron2"``: dicts whose ``instances`` have ``pred_boxes``, ``scores``,
          ``pred_classes``;
        * ``"supervision"``: ``Detections`` with ``xyxy``, ``confidence``, ``class_id``.
    image_size : array-like of shape (n_images, 2), default=None
        Width and height of each image in pixels. None takes the size that the outputs of
        Ultralytics, MMDetection 3 and Detectron2 carry; others carry none.
    category_map : mapping from int to int, default=None
        Category id of each class index, where annotations count otherwise.

    Returns
    -------
    detections : Detections
        All boxes of the first image, then those of the second, and so on, each in the order given.

    Raises
    ------
    ValueError
        If `outputs` is no list, an entry lacks a field, lengths disagree, a value is NaN, a score
        is outside [0, 1], only some images have a size, or a class has no category. The text names
        the entry.

    Warns
    -----
    BoxFormatWarning
        If many boxes leave their images.

    See Also
    --------
    with_new_scores : the way back.

    Examples
    --------
    >>> import numpy as np
    >>> from calib.detection import read_detections
    >>> boxes, labels = np.array([[1, 2, 9, 8]]), np.array([1])
    >>> image = {"boxes": boxes, "scores": np.array([0.7]), "labels": labels}
    >>> read_detections([image, image], source="torchvision").image_id
    array([0, 1])
    """
    framework = _framework(outputs, "outputs", source)
    ids = _image_ids(image_id, len(outputs))
    parts, sizes = [], []
    for number, entry in enumerate(outputs):
        try:
            found = framework.found(entry)
            boxes = checks.boxes(found.boxes)
            scores = checks.probabilities(checks.finite(found.scores, "scores", (len(boxes),)))
            parts.append((boxes, scores, checks.labels(found.labels, len(boxes))))
        except (ValueError, TypeError) as error:
            raise ValueError(f"outputs[{number}], read as {source!r}: {error}") from error
        sizes.append(found.size)
    table = _sizes(sizes, image_size, "outputs")
    counts = [len(part[0]) for part in parts]
    labels = np.concatenate([np.empty(0, dtype=np.int64), *(part[2] for part in parts)])
    return Detections(
        boxes=np.concatenate([np.empty((0, 4)), *(part[0] for part in parts)]),
        scores=np.concatenate([np.empty(0), *(part[1] for part in parts)]),
        labels=checks.mapped_labels(labels, category_map),
        image_id=np.repeat(ids, counts),
        image_size=None if table is None else np.repeat(table, counts, axis=0),
        ids_made_up=image_id is None,
    )


def read_ground_truth(
    targets: Sequence[Any],
    image_id: ArrayLike = None,
    *,
    source: Source,
    image_size: ArrayLike = None,
    category_map: Mapping[int, int] | None = None,
) -> GroundTruth:
    """Read the annotations that another framework holds for a list of images.

    Parameters
    ----------
    targets : list or tuple
        One entry per image, as `source` says; boxes are corners, in the same pixels as those of
        the detections. An image without boxes has empty ones, or a dict of nothing but its id and
        size. Training pipelines resize: take targets of a test pipeline.
    image_id : array-like of int or str of shape (n_images,), default=None
        Id of each image, the same as for `read_detections`. None counts from 0 and marks the ids as
        made up; an ``image_id`` in a target is not read, because the outputs of a detector have
        none.
    source : str
        Framework that made the targets:

        * ``"torchvision"``: dicts with ``boxes``, ``labels`` and, where given, ``iscrowd``,
          ``area``;
        * ``"mmdet"``: ``gt_instances`` with ``bboxes``, ``labels``; ``ignored_instances``, where
          given, are ignored regions;
        * ``"detectron2"``: dicts whose ``instances`` have ``gt_boxes``, ``gt_classes``;
        * ``"supervision"``: ``Detections`` with ``xyxy``, ``class_id``.
    image_size : array-like of shape (n_images, 2), default=None
        Width and height of each image in pixels. None takes the size that the targets of
        MMDetection and Detectron2 carry.
    category_map : mapping from int to int, default=None
        Category id of each class index, where detections count otherwise.

    Returns
    -------
    ground_truth : GroundTruth
        All boxes, and all images also where there is no box.

    Raises
    ------
    ValueError
        If `targets` is no list, an entry lacks a field, lengths disagree, a value is NaN, only
        some images have a size or an area, a class has no category, or `source` has no targets.

    Warns
    -----
    BoxFormatWarning
        If many boxes leave their images.

    Examples
    --------
    >>> import numpy as np
    >>> from calib.detection import read_ground_truth
    >>> target = {"boxes": np.array([[1, 2, 9, 8]]), "labels": np.array([1])}
    >>> read_ground_truth([target, target], source="torchvision")
    GroundTruth(2 boxes, 2 images, 1 class)
    """
    framework = _framework(targets, "targets", source)
    if framework.annotated is None:
        known = [name for name, one in FRAMEWORKS.items() if one.annotated is not None]
        raise ValueError(
            f"source={source!r} has no targets of its own; use one of {known}, "
            f"GroundTruth.from_arrays or read_coco_annotations"
        )
    ids = _image_ids(image_id, len(targets))
    parts, sizes = [], []
    for number, entry in enumerate(targets):
        try:
            one = _NO_BOXES if is_bare(entry) else framework.annotated(entry)
            boxes = checks.boxes(one.boxes)
            n = len(boxes)
            area = None if one.area is None else checks.finite(one.area, "area", (n,))
            parts.append((boxes, checks.labels(one.labels, n), checks.flags(one.ignore, n), area))
        except (ValueError, TypeError) as error:
            raise ValueError(f"targets[{number}], read as {source!r}: {error}") from error
        sizes.append(one.size)
    areas = [part[3] for part in parts if part[3] is not None]
    if areas and len(areas) < len([entry for entry in targets if not is_bare(entry)]):
        raise ValueError("only some targets have an 'area'; give it for all images or for none")
    labels = np.concatenate([np.empty(0, dtype=np.int64), *(part[1] for part in parts)])
    return GroundTruth(
        boxes=np.concatenate([np.empty((0, 4)), *(part[0] for part in parts)]),
        labels=checks.mapped_labels(labels, category_map),
        image_id=np.repeat(ids, [len(part[0]) for part in parts]),
        ignore=np.concatenate([np.empty(0, dtype=bool), *(part[2] for part in parts)]),
        area=np.concatenate(areas) if areas else None,  # type: ignore[arg-type]
        images=ids,
        sizes=_sizes(sizes, image_size, "targets"),
        ids_made_up=image_id is None,
    )


def with_new_scores(
    outputs: _Outputs, scores: ArrayLike | Detections, *, source: Source
) -> _Outputs:
    """Return what a detector returned, with other scores.

    Parameters
    ----------
    outputs : list or tuple
        As for `read_detections`; not changed.
    scores : array-like of shape (n_detections,) or Detections
        New scores in [0, 1] in the order of `read_detections`, none left out.
    source : str
        As for `read_detections`.

    Returns
    -------
    outputs : list or tuple
        Copies of the entries: the same classes, order, and type and device of the scores.
        Everything but scores is shared with the old entries. supervision's old confidence is
        kept in ``data["confidence_raw"]``.

    Raises
    ------
    ValueError
        If the number of scores is not that of the boxes, a score is NaN or outside [0, 1], an entry
        lacks a field, or supervision's ``data`` has a ``confidence_raw`` already.

    Examples
    --------
    >>> import numpy as np
    >>> from calib.detection import with_new_scores
    >>> boxes, labels = np.array([[1, 2, 9, 8]]), np.array([1])
    >>> image = {"boxes": boxes, "scores": np.array([0.7]), "labels": labels}
    >>> with_new_scores([image], [0.5], source="torchvision")[0]["scores"], image["scores"]
    (array([0.5]), array([0.7]))
    """
    framework = _framework(outputs, "outputs", source)
    given = scores.scores if isinstance(scores, Detections) else scores
    new = checks.finite(given, "scores", (None,))
    counts = []
    for number, entry in enumerate(outputs):
        try:
            counts.append(len(framework.found(entry).scores))
        except (ValueError, TypeError) as error:
            raise ValueError(f"outputs[{number}], read as {source!r}: {error}") from error
    if sum(counts) != len(new):
        raise ValueError(
            f"scores must have one value for each of the {sum(counts)} boxes in outputs; got "
            f"{len(new)}"
        )
    new = checks.probabilities(new, hint=False)
    rows = np.split(new, np.cumsum(counts)[:-1]) if counts else []
    entries = []
    for number, (entry, part) in enumerate(zip(outputs, rows, strict=True)):
        try:
            entries.append(framework.rescored(entry, part))
        except ValueError as error:
            raise ValueError(f"outputs[{number}], written as {source!r}: {error}") from error
    return tuple(entries) if isinstance(outputs, tuple) else entries  # type: ignore[return-value]


def _framework(entries: Any, name: str, source: str) -> Framework:
    check_option("source", source, tuple(FRAMEWORKS))
    if not isinstance(entries, (list, tuple)):
        raise ValueError(
            f"{name} must be a list with one entry per image; got {type(entries).__name__}; pass "
            f"[{name}] for one image, list({name}) for a generator"
        )
    return FRAMEWORKS[source]


def _image_ids(image_id: ArrayLike, n: int) -> LabelArray:
    if image_id is None:
        return np.arange(n)
    if isinstance(image_id, (list, tuple)):  # of numbers, texts, or tensors of one element
        image_id = [one.item() if hasattr(one, "item") else one for one in image_id]
    ids = checks.ids(image_id, "image_id", n)
    values, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        raise ValueError(f"image_id lists {values[counts > 1][0].item()!r} more than once")
    return ids


def _sizes(sizes: list[Any], given: ArrayLike, name: str) -> Float64Array | None:
    if given is not None:
        return checks.image_sizes(given, len(sizes), "image_size")
    known = [size is not None for size in sizes]
    if not any(known):
        return None
    if not all(known):
        raise ValueError(
            f"{name}[{known.index(False)}] does not tell the size of its image, but "
            f"{name}[{known.index(True)}] does; pass image_size"
        )
    return checks.image_sizes(np.array(sizes, dtype=np.float64), len(sizes), "image_size")
