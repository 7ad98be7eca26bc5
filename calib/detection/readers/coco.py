"""Detections out of files in the format of COCO results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import numpy as np

from calib._border.checks import check_option, describe
from calib._border.typing import LabelArray
from calib._border.warn import warn
from calib.detection.lrp import BoolArray
from calib.detection.readers.coco_annotations import read_annotations
from calib.detection.readers.json import JsonSource, load_source
from calib.detection.readers.json_columns import Columns, OnInvalid, check_known, rows_with_boxes
from calib.detection.tables import checks
from calib.detection.tables.detections import Detections, ScoreType
from calib.detection.tables.flat import kept
from calib.detection.tables.ground_truth import GroundTruth
from calib.detection.tables.image_map import ImageMap, check_image_map, names_files, translated
from calib.warnings import UnknownImagesWarning

UnknownImages: TypeAlias = Literal["raise", "drop"]


def from_coco(
    detections: JsonSource,
    annotations: JsonSource,
    *,
    score_type: ScoreType = "probability",
    on_invalid: OnInvalid = "raise",
    unknown_images: UnknownImages = "raise",
    category_map: Mapping[int, int] | None = None,
    image_map: ImageMap | None = None,
) -> tuple[Detections, GroundTruth]:
    """Read detections and the annotations they belong to from COCO files.

    Parameters
    ----------
    detections : path, list or dict
        COCO results: rows with ``image_id``, ``category_id``, ``bbox`` (x, y, width, height in
        pixels) and ``score``; see `read_coco_detections`.
    annotations : path or dict
        COCO or LVIS annotations; see `read_coco_annotations`.
    score_type : {"probability", "logit"}, default="probability"
        What ``score`` holds; logits become probabilities by the logistic function.
    on_invalid : {"raise", "drop"}, default="raise"
        What to do with rows that hold NaN, an infinity or a negative width or height.
    unknown_images : {"raise", "drop"}, default="raise"
        What to do with detections in images that the annotations do not list: ``"drop"`` leaves
        them out, for instance where a file of detections covers more images than were kept for
        calibration.
    category_map : mapping from int to int, default=None
        Category id of each class id in `detections`, where they differ.
    image_map : mapping, "file_name" or None, default=None
        Annotated image of each image id in `detections`, where they differ. ``"file_name"`` finds
        it by the ``file_name`` of the annotations: the path, the name or the stem of the file, as
        text or (digits alone) as integer, as Ultralytics writes them.

    Returns
    -------
    detections : Detections
        Rows in the order of the file, with the size of each image.
    ground_truth : GroundTruth
        All images and categories, also those without a box.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a file is damaged, a row lacks a key or holds an impossible value, an id is repeated,
        detections refer to unknown images (under ``"drop"``: all of them) or categories. The text
        names file and row.

    Warns
    -----
    InvalidRowsWarning
        If impossible rows were dropped; the text says how many.
    UnknownImagesWarning
        If rows in unknown images were left out; the text says how many.
    BoxFormatWarning
        If many boxes leave their images.

    See Also
    --------
    write_coco_detections : the way back.

    Examples
    --------
    >>> from calib.detection import from_coco
    >>> annotations = {
    ...     "images": [{"id": 7, "width": 64, "height": 48}],
    ...     "categories": [{"id": 3, "name": "cat"}],
    ...     "annotations": [{"id": 0, "image_id": 7, "category_id": 3, "bbox": [0, 0, 10, 10]}],
    ... }
    >>> rows = [{"image_id": 7, "category_id": 3, "bbox": [1, 0, 10, 10], "score": 0.8}]
    >>> found, truth = from_coco(rows, annotations)
    >>> found.boxes.tolist(), found.image_size.tolist(), truth.class_names
    ([[1.0, 0.0, 11.0, 10.0]], [[64.0, 48.0]], {3: 'cat'})
    """
    truth = read_annotations(annotations, on_invalid)
    found = _read_detections(
        detections, truth, score_type, on_invalid, unknown_images, category_map, image_map
    )
    return found, truth


def read_coco_detections(
    source: JsonSource,
    ground_truth: GroundTruth | None = None,
    *,
    score_type: ScoreType = "probability",
    on_invalid: OnInvalid = "raise",
    unknown_images: UnknownImages = "raise",
    category_map: Mapping[int, int] | None = None,
    image_map: ImageMap | None = None,
) -> Detections:
    """Read detections in the format of COCO results.

    Detectron2's ``coco_instances_results.json``, MMDetection's ``*.bbox.json`` and Ultralytics'
    ``predictions.json`` (``save_json=True``) are such files. Ultralytics numbers the classes of
    one's own data itself, from 0 or 1; `category_map` then leads to the ids of the annotations.

    Parameters
    ----------
    source : path, list or dict
        JSON file, plain or gzip (recognised by content), or what it holds: a list of rows with
        ``image_id``, ``category_id``, ``bbox`` (x, y, width, height in pixels) and ``score``.
        Other keys are not read. An object is accepted if ``annotations`` is its only list of rows
        with scores.
    ground_truth : GroundTruth, default=None
        Annotations of the same images. If given, ids have to be known there, and the sizes of the
        images are filled in.
    score_type : {"probability", "logit"}, default="probability"
        What ``score`` holds; logits become probabilities by the logistic function.
    on_invalid : {"raise", "drop"}, default="raise"
        What to do with rows that hold NaN, an infinity or a negative width or height. Scores
        outside [0, 1] always raise.
    unknown_images : {"raise", "drop"}, default="raise"
        What to do with rows in images that `ground_truth` does not list. ``"drop"`` leaves them
        out. Unknown category ids always raise.
    category_map : mapping from int to int, default=None
        Category id of each class id in the file, where they differ.
    image_map : mapping, "file_name" or None, default=None
        Annotated image of each image id in the file, where they differ. ``"file_name"`` finds
        it by the ``file_name`` of the annotations: the path, the name or the stem of the file, as
        text or (digits alone) as integer, as Ultralytics writes them.

    Returns
    -------
    detections : Detections
        Rows in the order of the file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, a row lacks a key or holds an impossible value, or an id is
        unknown; under ``unknown_images="drop"`` if no image is known, or `ground_truth` is
        missing. The text names file and row.

    Warns
    -----
    InvalidRowsWarning
        If impossible rows were dropped; the text says how many.
    UnknownImagesWarning
        If rows in unknown images were left out; the text says how many.
    BoxFormatWarning
        If many boxes leave their images.

    Notes
    -----
    A million rows are held as Python objects while they are read, about 0.6 kB each.

    Examples
    --------
    >>> from calib.detection import read_coco_detections
    >>> row = {"image_id": 7, "category_id": 0, "bbox": [1, 0, 10, 10], "score": 0.8}
    >>> read_coco_detections([row], category_map={0: 3}).labels
    array([3])
    """
    return _read_detections(
        source, ground_truth, score_type, on_invalid, unknown_images, category_map, image_map
    )


def detection_rows(document: Any, name: str) -> Columns:
    """Return the rows of a results file: the list itself, or the only one with scores."""
    if not isinstance(document, Mapping):
        return Columns(name, document)
    scored = [
        key
        for key, rows in document.items()
        if isinstance(rows, (list, tuple))
        and any(isinstance(row, Mapping) and "score" in row for row in rows[:1])
    ]
    empty = not scored and document.get("annotations") == []
    if scored != ["annotations"] and not empty:
        raise ValueError(
            f"{name} must be a list of detections with 'image_id', 'category_id', 'bbox' and "
            f"'score'; got an object with keys {describe(list(document))}"
            + ("; are detections and annotations swapped?" if not scored else "")
        )
    return Columns(f"{name}, annotations", document["annotations"])


def _read_detections(
    source: JsonSource,
    ground_truth: GroundTruth | None,
    score_type: ScoreType,
    on_invalid: OnInvalid,
    unknown_images: UnknownImages,
    category_map: Mapping[int, int] | None,
    image_map: ImageMap | None,
) -> Detections:
    check_option("score_type", score_type, ("probability", "logit"))
    check_option("on_invalid", on_invalid, ("raise", "drop"))
    check_option("unknown_images", unknown_images, ("raise", "drop"))
    if unknown_images == "drop" and ground_truth is None:
        raise ValueError("unknown_images='drop' needs ground_truth, which says what is known")
    check_image_map(image_map, ground_truth)
    rows = detection_rows(*load_source(source, "detections"))
    scores = rows.numbers("score", "; are these annotations instead of detections?")
    boxes = rows.boxes("bbox")
    usable = rows_with_boxes(rows, boxes, "score", scores, on_invalid)
    columns: dict[str, Any] = {
        "boxes": boxes,
        "scores": scores,
        "labels": rows.integers("category_id"),
        "image_id": rows.ids("image_id"),
        "image_size": None,
    }
    if score_type == "probability":
        checks.probabilities(scores, name=f"{rows.name}: score")
    try:
        columns["labels"] = checks.mapped_labels(columns["labels"], category_map)
    except ValueError as error:
        raise ValueError(f"{rows.name}: {error}") from None
    mapped, given = None, columns["image_id"]
    if image_map is not None:
        mapped = _mapped_images(rows, columns, ground_truth, image_map, unknown_images)
    if ground_truth is not None:
        known = mapped if mapped is not None else np.ones(len(rows), dtype=bool)
        known = known & _known_images(rows, columns["image_id"], ground_truth, unknown_images)
        _check_classes(rows, columns["labels"], ground_truth)
        if not known.all():
            n_images = len(np.unique(given[~known]))
            warn(
                f"{rows.name}: left out {(~known).sum()} of {len(rows)} rows, in {n_images} images "
                f"that the annotations do not list",
                UnknownImagesWarning,
            )
            columns = {key: None if v is None else v[known] for key, v in columns.items()}
            usable = usable[known]
        if ground_truth.sizes is not None:
            place = np.searchsorted(ground_truth.images, columns["image_id"])
            columns["image_size"] = ground_truth.sizes[place]
    columns = kept(columns, usable, where=f"{rows.name}: ")
    return Detections.from_arrays(**columns, box_format="xywh", score_type=score_type)


def _mapped_images(
    rows: Columns,
    columns: dict[str, Any],
    truth: GroundTruth | None,
    image_map: ImageMap,
    unknown_images: UnknownImages,
) -> BoolArray:
    """Put annotated images in the place of image ids; return which rows have one."""
    given = columns["image_id"]
    try:
        images, known = translated(given, image_map, truth)
    except ValueError as error:
        raise ValueError(f"{rows.name}: {error}") from None
    missing = np.unique(given[~known])
    if len(missing) and (unknown_images == "raise" or truth is None or not known.any()):
        what = "image_map has no entry" if isinstance(image_map, Mapping) else "no file is found"
        raise ValueError(
            f"{rows.name}: {what} for {len(missing)} image ids, first {missing[:5].tolist()}"
            + ("; unknown_images='drop' leaves such rows out" if known.any() else "")
        )
    if truth is not None and len(truth.images):
        images[~known] = truth.images[0]  # rows that are left out
    columns["image_id"] = images
    return known


def _known_images(
    rows: Columns, image_id: LabelArray, truth: GroundTruth, unknown_images: UnknownImages
) -> BoolArray:
    """Return which rows lie in annotated images; unknown ones raise unless they may be dropped."""
    images = truth.images
    mixed = (
        len(images) and len(image_id) and (image_id.dtype.kind == "U") != (images.dtype.kind == "U")
    )
    known: BoolArray = np.zeros(len(rows), dtype=bool) if mixed else np.isin(image_id, images)
    if known.all() or (known.any() and unknown_images == "drop"):
        return known
    if names_files(image_id[~known], truth):
        raise ValueError(
            f"{rows.name}: its image ids, such as {image_id[~known][0].item()!r}, are names of "
            f"files that the annotations list; pass image_map='file_name'"
        )
    checks.same_kind([image_id, images], (f"{rows.name}: image_id", "the annotated images"))
    if unknown_images == "raise":
        check_known(
            rows,
            "image_id",
            image_id,
            images,
            "the annotations do not list (unknown_images='drop' leaves such rows out, image_map "
            "translates image ids)",
        )
    theirs = images[:3].tolist() if len(images) else "none"
    raise ValueError(
        f"{rows.name}: none of its {len(rows)} rows lies in an image that the annotations "
        f"list; its image ids begin {np.unique(image_id)[:3].tolist()}, theirs {theirs}; image_map "
        f"translates image ids"
    )


def _check_classes(rows: Columns, labels: LabelArray, truth: GroundTruth) -> None:
    if truth.class_names is not None:
        n = len(truth.class_names)
        counts = ""
        for first in (0, 1):
            if len(labels) and labels.min() == first and labels.max() < n + first:
                counts = f"; these seem to count the {n} categories from {first}"
        check_known(
            rows,
            "category_id",
            labels,
            list(truth.class_names),
            f"the annotations do not know (category_map translates class ids{counts})",
        )
