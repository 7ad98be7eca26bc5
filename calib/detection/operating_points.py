"""What `DetectionCalibrator` reads: its options, the columns of a map, and operating points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeAlias

import numpy as np

from calib._border.checks import check_integer, check_option, describe
from calib._border.typing import Float64Array, IntArray
from calib._border.warn import warn
from calib._border.words import did_you_mean
from calib.detection.lrp import BoolArray, MatchedScores, check_iou_threshold, check_number
from calib.detection.matching import Matches
from calib.detection.tables.detections import Detections
from calib.detection.tables.ground_truth import GroundTruth
from calib.detection.thresholds import apply_thresholds
from calib.grouped.pooling import ClassMaps
from calib.warnings import FallbackWarning, NoOptimalThresholdWarning

#: Columns of `Detections.position`.
POSITIONS = ("cx", "cy", "w", "h")
#: Seed of the folds of images.
FOLD_SEED = 0
#: Columns of `MatchedScores` with one entry per row.
_ROWS = ("labels", "scores", "is_true_positive", "iou")

Fallback: TypeAlias = Literal["pooled", "keep"]
Thresholds: TypeAlias = tuple[dict[int, float], float, tuple[int, ...]]


def check_tables(detections: object, ground_truth: object = None) -> None:
    """Raise unless the arguments are tables of boxes."""
    if not isinstance(detections, Detections):
        raise ValueError(
            f"detections must be a Detections table; got {type(detections).__name__}; build one "
            f"with Detections(boxes, scores, labels, image_id), or read a file with from_coco"
        )
    if ground_truth is not None and not isinstance(ground_truth, GroundTruth):
        raise ValueError(
            f"ground_truth must be a GroundTruth table; got {type(ground_truth).__name__}; note "
            f"the order of the arguments: detections, ground_truth"
        )


def check_same_length(detections: Detections, calibrated: Detections) -> None:
    """Raise unless calibrated detections may be those of the raw ones."""
    if len(calibrated) != len(detections):
        raise ValueError(
            f"calibrated has {len(calibrated)} rows but detections has {len(detections)}; pass "
            f"the result of transform on the same detections"
        )


def check_options(options: Mapping[str, Any]) -> None:
    """Raise unless the constructor arguments of a `DetectionCalibrator` make sense."""
    check_option("target", options["target"], ("iou", "tp"))
    check_option("per_class", options["per_class"], ("shrink", True, False))
    check_option("matching", options["matching"], ("coco", "any", "hungarian"))
    check_option("zero_iou", options["zero_iou"], ("strict", "reference"))
    check_option("fallback", options["fallback"], ("pooled", "keep"))
    check_option("single_target", options["single_target"], ("pooled", "own"))
    check_option("classes_without_gt", options["classes_without_gt"], ("skip", "fp"))
    check_integer("min_class_samples", options["min_class_samples"], low=1)
    if options["max_detections"] is not None:
        check_integer("max_detections", options["max_detections"], low=1)
    if options["threshold_folds"] is not None:
        check_integer("threshold_folds", options["threshold_folds"], low=2)
    weight = options["prior_weight"]
    if weight != "auto" and not 0 <= check_number(weight, "prior_weight") < np.inf:
        raise ValueError(f"prior_weight must be 'auto' or a finite number >= 0; got {weight!r}")
    if options["iou_threshold"] is not None:
        check_iou_threshold(options["iou_threshold"])
    threshold = options["threshold"]
    if isinstance(threshold, str) and threshold != "lrp":
        raise ValueError(
            f"threshold must be 'lrp', a number, a mapping from class to number, or None; got "
            f"{threshold!r}"
        )
    if isinstance(threshold, Mapping):
        for label, value in threshold.items():
            check_number(value, f"threshold[{label}]")
    elif threshold is not None and threshold != "lrp":
        check_number(threshold, "threshold")
    features = options["features"]
    if isinstance(features, str) or not isinstance(features, Sequence):
        raise ValueError(
            f"features must be a sequence, for instance {POSITIONS}; got {describe(features)}"
        )
    for one in features:
        column = isinstance(one, (int, np.integer)) and not isinstance(one, bool) and one >= 0
        if not column and one not in POSITIONS:
            raise ValueError(
                f"features must be names among {POSITIONS} or column numbers >= 0 of "
                f"Detections.features; got {describe(one)}{did_you_mean(one, POSITIONS)}"
            )


def map_inputs(detections: Detections, features: Sequence[str | int]) -> Float64Array:
    """Return the score and the features asked for, shape (n_detections, 1 + n_features)."""
    columns = [detections.scores]
    position = None
    for one in features:
        if isinstance(one, str):
            position = detections.position() if position is None else position
            columns.append(position[:, POSITIONS.index(one)])
            continue
        table = detections.features
        if table is None or one >= table.shape[1]:
            have = "none" if table is None else str(table.shape[1])
            raise ValueError(
                f"features asks for column {one} of Detections.features; it has {have}"
            )
        columns.append(table[:, one])
    return np.stack(columns, axis=1)


def find_thresholds(
    threshold: float | Mapping[int, float] | Literal["lrp"] | None,
    detections: Detections,
    ground_truth: GroundTruth,
    matches: Matches,
    iou_threshold: float,
    classes: IntArray,
    fallback: Fallback = "pooled",
) -> Thresholds:
    """Return the threshold of every class, the one of other classes, and classes without optimum.

    Notes
    -----
    A class without a true positive takes the optimum of all classes as one; if there is none
    either, or under ``fallback="keep"``, 0.
    """
    labels: list[int] = classes.tolist()
    if threshold is None:
        return dict.fromkeys(labels, 0.0), 0.0, ()
    if isinstance(threshold, Mapping):
        given = {int(label): float(value) for label, value in threshold.items()}
        return {label: given.get(label, 0.0) for label in {*labels, *given}}, 0.0, ()
    if threshold != "lrp":
        return dict.fromkeys(labels, float(threshold)), float(threshold), ()
    rows = MatchedScores.from_matches(
        detections, ground_truth, matches, iou_threshold=iou_threshold
    )
    optima = rows.optimal_thresholds()
    pooled = rows.pooled_threshold() if fallback == "pooled" else np.nan
    pooled = 0.0 if np.isnan(pooled) else float(pooled)
    missing = tuple(label for label in labels if label not in optima)
    return {label: optima.get(label, pooled) for label in labels}, pooled, missing


def reaches_thresholds_of_others(
    detections: Detections,
    ground_truth: GroundTruth,
    matches: Matches,
    iou_threshold: float,
    n_folds: int,
    fallback: Fallback = "pooled",
) -> BoolArray:
    """Tell which detections reach the LRP-optimal thresholds found without their own images.

    Notes
    -----
    Folds are a seeded permutation of the sorted ids of the images that have detections; with fewer
    images than folds, every image is one. Images without detections count their boxes in all folds.
    A class without a true positive on the other images takes their pooled optimum, or keeps
    everything under ``fallback="keep"``. One sort of all
    rows, then one pass per fold.
    """
    images, image = np.unique(detections.image_id, return_inverse=True)
    n_folds = min(n_folds, len(images))
    if n_folds < 2:  # there are no others
        labels = np.unique(np.concatenate([detections.labels, ground_truth.labels]))
        known, pooled, _ = find_thresholds(
            "lrp", detections, ground_truth, matches, iou_threshold, labels, fallback
        )
        return apply_thresholds(detections, known, default=pooled)
    fold_of = np.random.default_rng(FOLD_SEED).permutation(len(images)) % n_folds
    order = np.lexsort((-detections.scores, detections.labels))  # sorted once, cheap to sort again
    table, fold = detections[order], fold_of[image[order]]
    every = MatchedScores.from_matches(
        table, ground_truth, matches[order], iou_threshold=iou_threshold
    )
    judged = fold[matches.valid[order]]
    code = np.searchsorted(every.class_label, table.labels)
    boxes = ground_truth[~ground_truth.ignore & np.isin(ground_truth.image_id, images)]
    box_fold = fold_of[np.searchsorted(images, boxes.image_id)]
    box_code = np.searchsorted(every.class_label, boxes.labels)
    reaches = np.zeros(len(table), dtype=bool)
    for number in range(n_folds):
        rows = judged != number
        others = replace(
            every,
            **{name: getattr(every, name)[rows] for name in _ROWS},
            n_truth=every.n_truth
            - np.bincount(box_code[box_fold == number], minlength=len(every.class_label)),
        )
        optima = others.optimal_thresholds()
        limits = np.array([optima.get(label, np.nan) for label in every.class_label.tolist()])
        own = fold == number
        if np.isnan(limits[code[own]]).any():
            pooled = others.pooled_threshold() if fallback == "pooled" else np.nan
            limits[np.isnan(limits)] = 0.0 if np.isnan(pooled) else pooled
        reaches[order[own]] = table.scores[own] >= limits[code[own]]
    return reaches


def note_absent_classes(
    maps: ClassMaps, classes: IntArray, fitted: IntArray, annotated: IntArray
) -> None:
    """Note why classes without a single row in the fit take the pooled map."""
    for label in np.setdiff1d(classes, fitted).tolist():
        maps.fallbacks[label] = "no detection" if label in annotated else "no annotated box"


def warn_of_unseen(labels: IntArray, classes: IntArray, told: set[int]) -> None:
    """Say once which classes were not seen at fit."""
    unknown = np.setdiff1d(labels, classes)
    if told.issuperset(unknown.tolist()):
        return
    told.update(unknown.tolist())
    warn(
        f"{len(unknown)} classes were not seen at fit ({describe(unknown[:8].tolist())}); "
        f"they take the pooled map",
        FallbackWarning,
    )


def warn_of_fallbacks(calibrator: Any) -> None:
    """Say in one sentence each which classes of a fitted calibrator share maps and thresholds."""
    n_classes, maps = len(calibrator.classes_), calibrator.fallbacks_
    if calibrator.per_class is True and maps:
        label, reason = next(iter(maps.items()))
        warn(
            f"{len(maps)} of {n_classes} classes take the pooled map instead of their own, for "
            f"instance class {label} ({reason}); see fallbacks_",
            FallbackWarning,
        )
    missing = calibrator.threshold_fallbacks_
    taken = "all their detections are kept"
    if calibrator.fallback == "pooled":
        pooled = calibrator.pooled_thresholds_[0]
        taken = f"they take {pooled:.4g}, the optimum of all classes as one"
    if missing:
        warn(
            f"{len(missing)} of {n_classes} classes have no true positive and hence no LRP-optimal "
            f"threshold ({describe(list(missing[:8]))}); {taken}",
            NoOptimalThresholdWarning,
        )
