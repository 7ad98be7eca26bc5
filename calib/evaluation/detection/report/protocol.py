"""The protocol of a detection report: raw threshold, calibration, calibrated threshold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import NotFittedError

from calib._border.checks import describe
from calib._border.warn import warn
from calib.detection.calibrator import DEFAULT_IOU, DetectionCalibrator
from calib.detection.lrp import BoolArray
from calib.detection.tables.detections import Detections, GroundTruth
from calib.detection.tables.fingerprints import fingerprints
from calib.detection.thresholds import apply_thresholds
from calib.evaluation.detection.report.measures import Rule, Scored
from calib.warnings import FitImagesWarning

#: Overlap of a true positive for the detection calibration error of scores that predict overlaps.
PRECISION_IOU = 0.5


@dataclass(frozen=True, eq=False)
class Entry:
    """One row of the report before it is measured."""

    scored: Scored
    baseline: str | None
    everything: Detections  # all detections with these scores


def named(calibrator: Any) -> dict[str, DetectionCalibrator]:
    """Return fitted calibrators by name."""
    given: dict[str, DetectionCalibrator]
    given = dict(calibrator) if isinstance(calibrator, Mapping) else {"calibrated": calibrator}
    if not given:
        raise ValueError("calibrator is an empty mapping; pass at least one fitted calibrator")
    for name, one in given.items():
        if not isinstance(name, str) or not name:
            raise ValueError(f"names of calibrators must be non-empty strings; got {name!r}")
        if not isinstance(one, DetectionCalibrator):
            raise ValueError(
                f"calibrator must be a fitted DetectionCalibrator, or a mapping from names to "
                f"them; got {describe(one)} ({name!r})"
            )
        if not hasattr(one, "score_map_"):
            raise NotFittedError(
                f"calibrator {name!r} is not fitted; call fit(detections, ground_truth) with "
                f"images other than those of the report"
            )
    return given


def warn_of_fit_images(
    ground_truth: GroundTruth, calibrators: Mapping[str, DetectionCalibrator]
) -> None:
    """Warn of images that calibrators were fitted to."""
    marks = fingerprints(ground_truth)
    again = []
    for name, one in calibrators.items():
        of_fit = getattr(one, "fit_images_", None)
        n = 0 if of_fit is None else int(np.isin(marks, of_fit).sum())
        if n and _learned(one):
            again.append(f"{name!r} ({n:,} of {len(marks):,})")
    if again:
        warn(
            f"the report is about images of the fit of {', '.join(again)}: same ids, same boxes; "
            f"its errors look smaller than they are elsewhere; report on other images",
            FitImagesWarning,
        )


def _learned(calibrator: DetectionCalibrator) -> bool:
    """Return whether a fit took anything from its images."""
    return calibrator.calibrator != "identity" or calibrator.threshold == "lrp"


def rule_of(calibrator: DetectionCalibrator) -> Rule:
    given, target = calibrator.iou_threshold, calibrator.target
    tau = DEFAULT_IOU[target] if given is None else float(given)
    return Rule(
        target=target,
        iou_threshold=tau,
        precision_iou=tau if target == "tp" else PRECISION_IOU,
        zero_iou=calibrator.zero_iou,
        max_detections=calibrator.max_detections,
    )


def baselines_of(calibrators: Mapping[str, DetectionCalibrator]) -> dict[str, str]:
    """Return the name of the raw scores that every calibrator is compared with."""
    groups: dict[object, list[str]] = {}
    for name, one in calibrators.items():
        point = (tuple(sorted(one.raw_thresholds_.items())), one.pooled_thresholds_[0])
        groups.setdefault((rule_of(one), point), []).append(name)
    out = {}
    for names in groups.values():
        raw = "raw" if len(groups) == 1 else f"raw ({', '.join(names)})"
        if raw in calibrators:
            raise ValueError(f"{raw!r} names the uncalibrated scores; rename that calibrator")
        out.update(dict.fromkeys(names, raw))
    return out


def entries_of(
    detections: Detections,
    ground_truth: GroundTruth,
    calibrators: Mapping[str, DetectionCalibrator],
    baselines: Mapping[str, str],
) -> dict[str, Entry]:
    """Apply the protocol: raw threshold, calibration, calibrated threshold; raw scores first."""
    entries: dict[str, Entry] = {}
    for raw in dict.fromkeys(baselines.values()):
        names = [name for name, baseline in baselines.items() if baseline == raw]
        first, rule = calibrators[names[0]], rule_of(calibrators[names[0]])
        above = apply_thresholds(
            detections, first.raw_thresholds_, default=first.pooled_thresholds_[0]
        )
        kept = detections[above]
        whole: BoolArray = np.ones(len(kept), dtype=bool)
        entries[raw] = Entry(Scored.of(kept, ground_truth, whole, rule), None, detections)
        for name in names:
            one = calibrators[name]
            everything = one.transform(detections)
            after = everything[above]
            second = apply_thresholds(
                after, one.calibrated_thresholds_, default=one.pooled_thresholds_[1]
            )
            entries[name] = Entry(Scored.of(after, ground_truth, second, rule), raw, everything)
    return entries
