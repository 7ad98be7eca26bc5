"""The same precision and recall from the packages that others compute them with."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import Any

import numpy as np

from calib._border.optional import require
from calib._border.typing import Float64Array, IntArray, LabelArray
from calib.detection.tables.detections import Detections
from calib.detection.tables.ground_truth import GroundTruth
from calib.evaluation.detection.precision_recall import AREA_RANGES, RECALLS, Curves, curves

AREA_NAMES = ["all", "small", "medium", "large"]


def peer_curves(
    backend: str,
    detections: Detections,
    ground_truth: GroundTruth,
    labels: IntArray,
    iou_thresholds: Float64Array,
    limits: list[int],
) -> Curves:
    """Compute all curves with the package named; `limits` end with the largest."""
    purpose = f"average_precision(backend={backend!r})"
    known = np.isin(detections.labels, labels)
    annotations = _dataset(ground_truth, labels)
    results = _results(detections[known], ground_truth.images)
    with contextlib.redirect_stdout(io.StringIO()):
        if backend == "pycocotools":
            data = require("pycocotools.coco", extra="detection", purpose=purpose).COCO()
            data.dataset = annotations
            data.createIndex()
            rules = require("pycocotools.cocoeval", extra="detection", purpose=purpose)
            evaluation = rules.COCOeval
        else:
            faster = require("faster_coco_eval", extra="detection", purpose=purpose)
            data, evaluation = faster.COCO(annotations), faster.COCOeval_faster
        if not len(results):  # both refuse an empty list
            nothing = detections[:0]
            return curves(nothing, ground_truth, labels, iou_thresholds, limits, limits[-1])
        run = evaluation(data, data.loadRes(results), iouType="bbox")
        run.params.iouThrs = iou_thresholds
        run.params.recThrs = RECALLS
        run.params.maxDets = limits
        run.params.areaRng = [list(area_range) for area_range in AREA_RANGES]
        run.params.areaRngLbl = AREA_NAMES
        run.evaluate()
        run.accumulate()
    shape = (len(iou_thresholds), len(RECALLS), len(labels), len(AREA_RANGES), len(limits))
    precision = np.asarray(run.eval["precision"]).reshape(shape)[..., -1]
    recall = np.asarray(run.eval["recall"]).reshape(shape[:1] + shape[2:])
    return Curves(
        _undefined(precision.transpose(3, 0, 1, 2)), _undefined(recall.transpose(2, 0, 3, 1))
    )


def _undefined(values: Float64Array) -> Float64Array:
    return np.where(values < 0, np.nan, values)


def _dataset(ground_truth: GroundTruth, labels: IntArray) -> dict[str, Any]:
    """Return annotations in the form of COCO files; ids start at 1, as 0 means none there."""
    rows = _rows(ground_truth, ground_truth.images, ground_truth.area, ground_truth.ignore)
    return {
        "info": {},
        "images": [{"id": i + 1} for i in range(len(ground_truth.images))],
        "categories": [{"id": label, "name": str(label)} for label in labels.tolist()],
        "annotations": [
            {
                "id": number,
                "image_id": i,
                "category_id": label,
                "bbox": box,
                "area": area,
                "iscrowd": int(ignore),
            }
            for number, (i, label, box, area, ignore) in enumerate(rows, start=1)
        ],
    }


def _results(detections: Detections, images: Any) -> list[dict[str, Any]]:
    rows = _rows(detections, images, detections.scores)
    return [
        {"image_id": i, "category_id": label, "bbox": box, "score": score}
        for i, label, box, score in rows
    ]


def _rows(
    table: Detections | GroundTruth, images: LabelArray, *columns: LabelArray
) -> Iterator[tuple[Any, ...]]:
    """Return image (from 1), label, box as x, y, width, height, and further columns by row."""
    image = np.searchsorted(images, table.image_id) + 1
    boxes = np.hstack([table.boxes[:, :2], table.boxes[:, 2:] - table.boxes[:, :2]])
    columns = (image, table.labels, boxes, *columns)
    return zip(*(column.tolist() for column in columns), strict=True)
