"""The table of calibrators of a detector: every number with its interval and its floor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.detection_data import N_RESAMPLES, Line, Real, metrics
from calib.detection import DetectionCalibrator, match
from calib.evaluation import detection_metric_interval

WAYS: dict[Any, str] = {True: "per class", False: "pooled", "shrink": "shrink"}


def quality(real: Real) -> Iterator[Line]:
    """Fit on minival, measure on minitest; in percent."""
    print(
        "  in %: LaECE, the interval of what is left without the part of chance, and the floor "
        "under perfect calibration\n  (mean +- sd), then that of"
        "\n  published code, which matches boxes that do not touch and fits every class by itself; "
        "D-ECE likewise;\n  squared error of score against overlap (against right or wrong below)\n"
    )
    print(
        f"  {'calibrator':<27}{'n':>5}  {'LaECE':>5} {'interval':>13} {'floor':>11} {'publ.':>6}"
        f"{'LaACE':>7} {'LRP':>6} {'Loc / FP / FN':>18}  {'D-ECE':>5} {'interval':>13} "
        f"{'floor':>11} {'publ.':>6} {'sq.err':>7}"
    )
    names = {"identity": "identity", "isotonic": "isotonic_regression", "platt": "platt_scaling"}
    names |= {"linear": "linear_regression", "temperature": "temperature_scaling"}
    for style, title in (("lrp", "LRP-optimal thresholds, overlap"), ("dece03", "0.3, binary")):
        print(f"  --- {title}")
        ways = {"lrp": (True, False, "shrink"), "dece03": (False, "shrink")}[style]
        more = ("beta", "venn_abers", "spline", "h_calibration")
        for name in (*names, *(one for one in more if style == "lrp" and _known(one))):
            for way in (False,) if name == "identity" else ways if name in names else ("shrink",):
                code = "cw" if way is True or (name == "identity" and style == "lrp") else "ca"
                key = f"{style}_{code}_{names.get(name)}"
                theirs = real.published.get(key, {}) if way != "shrink" else {}
                _print_row(real, name, way, style, theirs)
    print()
    for name, bound in (("platt", 0.0763), ("isotonic", 0.0766)):
        for way in ("shrink", True):
            calibrator = DetectionCalibrator(
                name, form="published", per_class=way, zero_iou="reference"
            )
            error = -calibrator.fit(*real.minival).score(*real.minitest)
            what = f"squared error, published matching: {name}, {WAYS[way]}"
            peer = f"pooled {bound:.4f}, uncalibrated 0.0816"
            yield Line(what, error, "", bound if way == "shrink" else None, peer)


def _known(name: str) -> bool:
    from calib import CALIBRATORS

    return name in CALIBRATORS and CALIBRATORS[name].available


def _print_row(real: Real, name: str, way: Any, style: str, theirs: dict[str, float]) -> None:
    options: dict[str, Any] = {"form": "published", "per_class": way}
    at = 0.0
    if style != "lrp":
        options, at = {**options, "target": "tp", "threshold": 0.3}, 0.5
    calibrator = DetectionCalibrator(name, **options)
    found, truth = real.minitest
    calibrator.fit(*real.minival)
    calibrated = calibrator.transform(found)
    kept = calibrated[calibrator.operating_mask(found, calibrated)]
    numbers = metrics(kept, truth, at)
    if at:
        right = match(kept, truth, iou_threshold=at)
        gap = (kept.scores - right.is_true_positive)[right.valid]
        numbers["squared"] = float(np.mean(gap**2))
    draws: dict[str, Any] = {"n_resamples": N_RESAMPLES, "random_state": 0}
    cells = []
    for metric, label, overlap in (
        ("localization_aware_calibration_error", "LaECE", at),
        ("detection_calibration_error", "D-ECE", 0.5),
    ):
        it = detection_metric_interval(metric, kept, truth, iou_threshold=overlap, **draws)
        span = f"{100 * it.interval.low:.2f}..{100 * it.interval.high:.2f}"
        floor = f"{100 * it.floor_mean:.2f}+-{100 * it.floor_sd:.2f}"
        other = f"{100 * theirs[label.replace('-', '')]:.2f}" if theirs else ""
        cells.append(f"{100 * it.value:5.2f} {span:>13} {floor:>11} {other:>6}")
    parts = " / ".join(f"{100 * numbers[one]:.1f}" for one in ("Loc", "FP", "FN"))
    print(
        f"  {f'{name}, {WAYS[way]}':<27}{len(kept):>5}  {cells[0]}{100 * numbers['LaACE']:7.2f}"
        f" {100 * numbers['LRP']:6.2f} {parts:>18}  {cells[1]} {100 * numbers['squared']:7.2f}",
        flush=True,
    )
