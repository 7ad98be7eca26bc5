"""Ground truth out of files in the format of COCO or LVIS annotations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from calib._border.checks import check_option, describe
from calib._border.typing import IntArray, LabelArray
from calib.detection.readers.json import JsonSource, load_source
from calib.detection.readers.json_columns import Columns, OnInvalid, check_known, rows_with_boxes
from calib.detection.tables import checks
from calib.detection.tables.flat import kept
from calib.detection.tables.ground_truth import GroundTruth


def read_coco_annotations(source: JsonSource, *, on_invalid: OnInvalid = "raise") -> GroundTruth:
    """Read annotations in COCO or LVIS format.

    Parameters
    ----------
    source : path or dict
        JSON file, plain or gzip (recognised by content), or what it holds: an object with
        ``images`` (``id``, ``width``, ``height``, ``file_name``), ``annotations`` (``id``,
        ``image_id``, ``category_id``, ``bbox`` as x, y, width, height in pixels; ``area``,
        ``iscrowd`` and ``ignore`` where given) and ``categories`` (``id``, ``name``). Other keys
        are not read.
    on_invalid : {"raise", "drop"}, default="raise"
        What to do with boxes that hold NaN, an infinity or a negative width or height. Their
        images stay annotated.

    Returns
    -------
    ground_truth : GroundTruth
        ``ignore`` is set where ``iscrowd`` or ``ignore`` is; ``area`` is the file's, or width
        times height. LVIS's ``neg_category_ids`` and ``not_exhaustive_category_ids`` become
        ``negative`` and ``not_exhaustive``; ``file_name`` of the images ``file_names``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, a row lacks a key or holds an impossible value, an image,
        annotation or category id is repeated, or an annotation refers to an unknown image or
        category. The text names file and row.

    Warns
    -----
    InvalidRowsWarning
        If rows were dropped; the text says how many.

    Examples
    --------
    >>> from calib.detection import read_coco_annotations
    >>> read_coco_annotations(
    ...     {"images": [{"id": 7}, {"id": 8}], "annotations": [], "categories": []}
    ... )
    GroundTruth(0 boxes, 2 images, 0 classes)
    """
    return read_annotations(source, on_invalid)


def read_annotations(source: JsonSource, on_invalid: OnInvalid) -> GroundTruth:
    """Read annotations for a public function, one call above."""
    check_option("on_invalid", on_invalid, ("raise", "drop"))
    document, name = load_source(source, "annotations")
    if not isinstance(document, Mapping):
        swapped = "a list; are detections and annotations swapped?"
        raise ValueError(
            f"{name} must be an object with 'images', 'annotations' and 'categories'; got "
            f"{swapped if isinstance(document, (list, tuple)) else describe(document)}"
        )
    missing = [key for key in ("images", "annotations", "categories") if key not in document]
    if missing:
        raise ValueError(f"{name} has no {' and no '.join(map(repr, missing))}")
    images, rows, categories = (
        Columns(f"{name}, {key}", document[key]) for key in ("images", "annotations", "categories")
    )
    image_ids, classes = images.ids("id"), categories.integers("id")
    _check_unique(images, image_ids)
    _check_unique(categories, classes)
    _check_unique(rows, rows.ids("id"))
    columns: dict[str, Any] = {
        "labels": rows.integers("category_id"),
        "image_id": rows.ids("image_id"),
        "ignore": rows.flags("iscrowd") | rows.flags("ignore"),
    }
    checks.same_kind([columns["image_id"], image_ids], (f"{rows.name}: image_id", images.name))
    check_known(rows, "image_id", columns["image_id"], image_ids, "'images' does not list")
    check_known(rows, "category_id", columns["labels"], classes, "'categories' does not list")
    boxes, (area, given) = rows.boxes("bbox"), rows.optional_numbers("area")
    usable = rows_with_boxes(rows, boxes, "area", area, on_invalid)
    rows.refuse_where(area < 0, "has an 'area' that is not >= 0")
    with np.errstate(over="ignore", invalid="ignore"):
        columns |= {"boxes": boxes, "area": np.where(given, area, boxes[:, 2] * boxes[:, 3])}
    sizes = None
    if images.has("width") | images.has("height"):
        sizes = np.column_stack([images.numbers("width"), images.numbers("height")])
        good = np.isfinite(sizes) & (sizes > 0)
        images.refuse_where(~good.all(axis=1), "has a width or height that is not > 0")
    return GroundTruth.from_arrays(
        **kept(columns, usable, where=f"{rows.name}: "),
        box_format="xywh",
        images=image_ids,
        sizes=sizes,
        file_names=_file_names(images),
        class_names=dict(zip(classes.tolist(), _names(categories), strict=True)),
        negative=_federated(images, image_ids, "neg_category_ids", classes),
        not_exhaustive=_federated(images, image_ids, "not_exhaustive_category_ids", classes),
    )


def _check_unique(rows: Columns, ids: LabelArray) -> None:
    values, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        raise ValueError(
            f"{rows.name} has the same id in several rows: {values[counts > 1][:5].tolist()}"
        )


def _names(categories: Columns) -> list[str]:
    names = categories.column("name")
    for row, name in enumerate(names):
        if not isinstance(name, str):
            categories.refuse(row, f"has 'name' that must be a text; got {describe(name)}")
    return names


def _file_names(images: Columns) -> list[str] | None:
    """Return the files of the images; None unless all have one."""
    names = [row.get("file_name") for row in images.rows]
    return names if names and all(isinstance(name, str) for name in names) else None  # type: ignore[return-value]


def _federated(
    images: Columns, image_ids: LabelArray, key: str, classes: IntArray
) -> LabelArray | None:
    """Return pairs of image and class from a list of classes per image; None if there is none."""
    if not images.has(key):
        return None
    lists = images.column(key)
    pairs: list[tuple[Any, int]] = []
    known = set(classes.tolist())
    for row, (image, listed) in enumerate(zip(image_ids.tolist(), lists, strict=True)):
        if not isinstance(listed, (list, tuple)):
            images.refuse(row, f"has {key!r} that must be a list; got {describe(listed)}")
        for label in listed:
            if type(label) is not int or label not in known:
                images.refuse(row, f"has {describe(label)} in {key!r}, which is no category id")
            pairs.append((image, label))
    return np.array(pairs) if pairs else np.empty((0, 2), dtype=np.int64)
