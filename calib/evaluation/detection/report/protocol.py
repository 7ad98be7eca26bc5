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
from calib.detection.lrp import BoolArray, apply_thresholds
from calib.detection.matching import Matches, match
from calib.detection.tables.detections import Detections
from calib.detection.tables.ground_truth import GroundTruth, fingerprints
from calib.evaluation.detection.outcomes import Outcomes, Target, collect
from calib.warnings import FitImagesWarning

#: Overlap of a true positive for the detection calibration error of scores that predict overlaps.
PRECISION_IOU = 0.5


@dataclass(frozen=True, eq=False)
class ScoreSet:
    """One set of scores at its operating point, matched: what a row of the report is about.

    Attributes
    ----------
    everything : Detections
        All detections with these scores.
    detections : Detections
        All that reach the raw threshold.
    keep : ndarray of bool of shape (n_detections,)
        Those that also reach the threshold of these scores.
    ground_truth : GroundTruth
    matches : dict of Matches
        Of all `detections`, at the overlap where overlaps are measured (``"iou"``), and at that
        where only being a true positive counts (``"tp"``).
    calibrator : DetectionCalibrator
        Whose target, thresholds and overlaps these are.
    baseline : str or None
        Name of the raw scores to compare with; None for raw scores.
    """

    everything: Detections
    detections: Detections
    keep: BoolArray
    ground_truth: GroundTruth
    matches: Mapping[Target, Matches]
    calibrator: DetectionCalibrator
    baseline: str | None

    @property
    def target(self) -> Target:
        """What the scores are calibrated to."""
        return self.calibrator.target

    def outcomes(self, target: Target, *, kept: bool) -> Outcomes:
        """Line up the detections that are judged, at the overlap of the target."""
        rows = self.keep if kept else np.ones(len(self.detections), dtype=bool)
        return collect(
            self.detections[rows],
            self.ground_truth,
            iou_threshold=overlaps_of(self.calibrator)[target],
            zero_iou=self.calibrator.zero_iou,
            threshold=None,
            matches=self.matches[target][rows],
        )


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


def overlaps_of(calibrator: DetectionCalibrator) -> dict[Target, float]:
    """Return the overlaps of a true positive: where overlaps count, and where only being one."""
    given, target = calibrator.iou_threshold, calibrator.target
    tau = DEFAULT_IOU[target] if given is None else float(given)
    return {"iou": tau, "tp": tau if target == "tp" else PRECISION_IOU}


def score_sets(
    detections: Detections,
    ground_truth: GroundTruth,
    calibrators: Mapping[str, DetectionCalibrator],
) -> dict[str, ScoreSet]:
    """Apply the protocol: raw threshold, calibration, calibrated threshold; raw scores first.

    Calibrators that judge alike at the same operating point are compared with the same raw scores.
    """
    groups: dict[object, list[str]] = {}
    for name, one in calibrators.items():
        rule = (one.target, *overlaps_of(one).values(), one.zero_iou, one.max_detections)
        point = (tuple(sorted(one.raw_thresholds_.items())), one.pooled_thresholds_[0])
        groups.setdefault((rule, point), []).append(name)
    sets: dict[str, ScoreSet] = {}
    for names in groups.values():
        raw = "raw" if len(groups) == 1 else f"raw ({', '.join(names)})"
        if raw in calibrators:
            raise ValueError(f"{raw!r} names the uncalibrated scores; rename that calibrator")
        first = calibrators[names[0]]
        above = apply_thresholds(
            detections, first.raw_thresholds_, default=first.pooled_thresholds_[0]
        )
        whole = np.ones(int(above.sum()), dtype=bool)
        sets[raw] = _score_set(detections, above, whole, ground_truth, first, None)
        for name in names:
            one = calibrators[name]
            everything = one.transform(detections)
            keep = apply_thresholds(
                everything[above], one.calibrated_thresholds_, default=one.pooled_thresholds_[1]
            )
            sets[name] = _score_set(everything, above, keep, ground_truth, one, raw)
    return sets


def _score_set(
    everything: Detections,
    above: BoolArray,
    keep: BoolArray,
    ground_truth: GroundTruth,
    calibrator: DetectionCalibrator,
    baseline: str | None,
) -> ScoreSet:
    """Match as the COCO evaluation does; once if both overlaps are the same."""
    detections, overlaps = everything[above], overlaps_of(calibrator)
    matches = {
        iou: match(
            detections,
            ground_truth,
            iou_threshold=iou,
            zero_iou=calibrator.zero_iou,
            max_detections=calibrator.max_detections,
        )
        for iou in set(overlaps.values())
    }
    of_target = {target: matches[iou] for target, iou in overlaps.items()}
    return ScoreSet(everything, detections, keep, ground_truth, of_target, calibrator, baseline)
