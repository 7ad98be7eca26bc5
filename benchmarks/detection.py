"""Detectors: time, memory and quality on real detections, beside peers and targets.

``python -m benchmarks.detection [FOLDER] [--only NAME] [--check]``. The folder holds detections of
YOLOX-Nano on 1229 COCO images, the annotations, and numbers of published code; by default it is
looked for beside the repository. One thread; times are CPU seconds, best of up to five calls.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.detection_data import N_RESAMPLES, Line, Real, metrics
from benchmarks.detection_table import quality
from benchmarks.measure import MEGABYTE, _release, _reset_peak, _status, seconds
from calib.datasets import make_detection_scenes
from calib.detection import (
    CalibratedDetector,
    DetectionCalibrator,
    Detections,
    Matches,
    match,
    read_coco_detections,
)
from calib.detection.readers.json import read_json
from calib.evaluation import (
    average_precision,
    detection_calibration_error,
    detection_calibration_table,
    detection_metric_interval,
    localization_aware_calibration_error,
    localization_recall_precision_of,
    localization_table,
)
from calib.evaluation.detection.sampling import PLANS

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data" / "detection"
#: What the published code (Kuzucu et al. 2024) needs for one pass over 52 k detections.
PUBLISHED_PASS = 1.0


# ---------------------------------------------------------------------- time


def times(real: Real) -> Iterator[Line]:
    halves = (real.minival, real.minitest)
    taken, _ = seconds(lambda: [match(*half, iou_threshold=0.0) for half in halves])
    peer = f"published code {2 * PUBLISHED_PASS:.1f} (its authors' loop, as measured earlier)"
    yield Line("match, 2 x 52 k detections", taken, "s", 0.06, peer)
    taken, _ = seconds(lambda: [metrics(*half) for half in halves])
    theirs = real.published["lrp_cw_identity"]["t_eval"]
    peer = f"published code {theirs:.1f} wall on 2.6 k, busy machine"
    yield Line("two matches and 8 metrics, 2 x 52 k", taken, "s", 0.2, peer)
    for name, per_class, key, bound in (
        ("isotonic", False, "lrp_ca_isotonic_regression", 1.5),
        ("isotonic", "shrink", "lrp_cw_isotonic_regression", 1.5),
        ("platt", True, "lrp_cw_platt_scaling", 2.0),
        ("platt", "shrink", "lrp_cw_platt_scaling", 2.0),
    ):

        def whole(name: str = name, per_class: Any = per_class) -> dict[str, float]:
            calibrator = DetectionCalibrator(name, form="published", per_class=per_class)
            calibrator.fit(*real.minival)
            found, truth = real.minitest
            calibrated = calibrator.transform(found)
            return metrics(calibrated[calibrator.operating_mask(found, calibrated)], truth)

        taken, _ = seconds(whole)
        theirs = sum(real.published[key][f"t_{part}"] for part in ("fit", "transform", "eval"))
        peer = f"published code {theirs:.0f} wall, busy machine"
        yield Line(f"fit, transform, evaluate: {name}, {per_class=}", taken, "s", bound, peer)


def precision(real: Real) -> Iterator[Line]:
    taken, ours = seconds(lambda: average_precision(*real.whole))
    yield Line("average precision, 104 k detections", taken, "s", 1.0, f"AP {100 * ours.ap:.3f}")
    for package in ("pycocotools", "faster_coco_eval"):
        try:
            run = _coco_peer(package, real.folder)
        except ModuleNotFoundError as error:
            print(f"  {package}: not installed ({error.name})")
            continue
        start = time.process_time()
        with contextlib.redirect_stdout(io.StringIO()):
            run.evaluate()
            run.accumulate()
        taken = time.process_time() - start
        values = np.asarray(run.eval["precision"])
        values = values.reshape(10, 101, 80, -1, 3)[:, :, :, 0, 2]
        value = 100 * values[values >= 0].mean()
        yield Line(f"  {package}, evaluate and accumulate", taken, "s", None, f"AP {value:.3f}")


def _coco_peer(package: str, folder: Path) -> Any:
    truth = read_json(folder / "coco_val2017_1229_gt_all.json.gz")
    rows = read_json(folder / "yolox_nano_dets.json.gz")
    with contextlib.redirect_stdout(io.StringIO()):
        if package == "pycocotools":
            from pycocotools.coco import COCO
            from pycocotools.cocoeval import COCOeval as Evaluation
        else:
            from faster_coco_eval import COCO, COCOeval_faster as Evaluation
        data = COCO()
        data.dataset = truth
        data.createIndex()
        return Evaluation(data, data.loadRes(rows), iouType="bbox")


def bootstrap(real: Real) -> Iterator[Line]:
    found, truth = real.minitest
    options = {"n_resamples": N_RESAMPLES, "random_state": 0}

    def every() -> None:
        for name in PLANS:
            detection_metric_interval(name, found, truth, **options)

    def anew() -> None:
        detection_metric_interval(
            localization_aware_calibration_error, found, truth, n_resamples=10, random_state=0
        )

    slow = seconds(anew)[0] * N_RESAMPLES / 10
    peer = f"each draw computed anew: {slow:.0f} for one metric (20 times 10 draws)"
    taken, _ = seconds(every)
    yield Line(f"{len(PLANS)} intervals and floors, 200 draws, 52 k", taken, "s", 10.0, peer)


def latency(real: Real) -> Iterator[Line]:
    rng = np.random.default_rng(0)
    labels = rng.choice(real.minival[1].labels, 100)
    scores, boxes = rng.random(100), rng.random((100, 4))
    for name in ("platt", "isotonic", "linear", "beta", "venn_abers"):
        calibrator = DetectionCalibrator(name, form="published").fit(*real.minival)
        detector = CalibratedDetector(lambda image: (boxes, scores, labels), calibrator)
        bare, whole = calibrator.score_map_, detector
        fast = name in ("platt", "isotonic", "linear")
        bound = 100.0 if fast else None
        what = f"100 detections, {len(np.unique(labels))} classes: {name}"
        taken = _microseconds(lambda bare=bare: bare(scores, labels))
        yield Line(f"{what}, ScoreMap", taken, "us", bound)
        taken = _microseconds(lambda whole=whole: whole(None))
        yield Line(f"{what}, CalibratedDetector", taken, "us", bound)
    from sklearn.isotonic import IsotonicRegression

    peer = IsotonicRegression(out_of_bounds="clip").fit(scores, scores)
    taken = _microseconds(lambda: peer.predict(scores))
    yield Line("  scikit-learn IsotonicRegression, one class", taken, "us")


def _microseconds(call: Callable[[], Any], repeats: int = 500) -> float:
    def many() -> None:
        for _ in range(repeats):
            call()

    return 1e6 * seconds(many)[0] / repeats


# ---------------------------------------------------------------------- other packages' numbers


def netcal(real: Real) -> Iterator[Line]:
    try:
        from netcal.metrics import ECE
    except ModuleNotFoundError as error:
        print(f"  netcal: not installed ({error.name})")
        return
    found, truth = real.minitest
    matches = match(found, truth)
    corner, side = found.boxes[:, :2], found.boxes[:, 2:] - found.boxes[:, :2]
    side = side.round(6)  # as in the file: the difference of corners may just miss an edge
    rows = np.column_stack([found.scores, np.hstack([corner + side / 2, side])])
    rows[:, 1:] /= np.tile(found.image_size, 2)
    for threshold in (0.3, 0.0):
        for names, bins in (
            (("score",), 10),
            (("score",), 20),
            (("score", "cx", "cy"), 8),
            (("score", "w", "h"), 8),
            (("score", "cx", "cy", "w", "h"), 5),
        ):
            columns = [("score", "cx", "cy", "w", "h").index(name) for name in names]
            used = (found.scores >= threshold) & matches.valid
            X, y = rows[used][:, columns], matches.is_true_positive[used].astype(int)
            for least in (1, 8) if len(names) > 1 else (1,):
                peer = ECE(bins=[bins] * len(names), detection=True, sample_threshold=least)
                theirs, value = seconds(lambda peer=peer, X=X, y=y: peer.measure(X, y))

                def ours(t: float = threshold, f: Any = names, n: int = bins, k: int = least):
                    return detection_calibration_error(
                        found, truth, threshold=t, features=f, n_bins=n, min_samples=k,
                        classes_without_gt="fp", matches=matches,
                    )  # fmt: skip

                taken, own = seconds(ours)
                what = f"D-ECE {' '.join(names)} >= {threshold}, {bins} bins, cells >= {least}"
                text = f"ours {own:.8f} netcal {value:.8f} in {1000 * theirs:.1f} ms"
                yield Line(what, 1000 * taken, "ms", None, text)


# ---------------------------------------------------------------------- size


def million(real: Real) -> Iterator[Line]:
    del real
    found, truth = make_detection_scenes(
        20_000, objects_per_image=23.0, background_per_image=34.5, random_state=1
    )
    first = found.image_id < 10_000
    fit_part = found[first], truth.in_images(np.arange(10_000))
    test_part = found[~first], truth.in_images(np.arange(10_000, 20_000))
    _release()
    before = _reset_peak()
    start = time.process_time()
    calibrator = DetectionCalibrator("isotonic", form="published").fit(*fit_part)
    calibrated = calibrator.transform(found)
    keep = calibrator.operating_mask(found, calibrated) & ~first
    metrics(calibrated[keep], test_part[1])
    for name in PLANS:
        detection_metric_interval(
            name, calibrated[keep], test_part[1], n_resamples=N_RESAMPLES, random_state=0
        )
    metrics(calibrated, truth)
    ap = average_precision(calibrated, truth).ap
    taken, peak = time.process_time() - start, _status("VmHWM")
    what = f"{len(found)} detections, 20 000 images, all of the above"
    yield Line(what, taken, "s", 60.0, f"simulated scenes; AP {100 * ap:.2f}")
    peer = f"of which {before / MEGABYTE:.0f} MB before; largest resident set"
    yield Line("  memory", peak / 2**30, "GB", 4.0, peer)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "found.json"
        corners = found.boxes.round(2)
        boxes = np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2]]).tolist()
        columns = (found.image_id.tolist(), found.labels.tolist(), boxes, found.scores.tolist())
        keys = ("image_id", "category_id", "bbox", "score")
        rows = (dict(zip(keys, row, strict=True)) for row in zip(*columns, strict=True))
        path.write_text(json.dumps(list(rows)))
        del boxes, columns, rows
        _release()
        _reset_peak()
        start = time.process_time()
        read_coco_detections(path, truth)
        taken, peak = time.process_time() - start, _status("VmHWM")
    yield Line("  reading the same from a JSON file", taken, "s", None, f"{peak / 2**30:.2f} GB")


def merging(real: Real) -> Iterator[Line]:
    found, truth = real.minitest
    parts = np.array_split(np.random.default_rng(0).permutation(truth.images), 7)
    pieces = [(found[np.isin(found.image_id, ids)], truth.in_images(ids)) for ids in parts]
    worst = 0.0
    for table_of, read in (
        (localization_table, lambda table: table.calibration_error(average="macro")),
        (localization_table, lambda table: localization_recall_precision_of(table).value),
        (detection_calibration_table, lambda table: table.calibration_error()),
    ):
        first, *rest = (table_of(*piece) for piece in pieces)
        for one in rest:
            first += one
        worst = max(worst, abs(read(first) - read(table_of(found, truth))))
    yield Line("7 parts merged against the whole: LaECE, LRP, D-ECE", worst, "", 1e-12)
    whole = match(Detections.concat([p for p, _ in pieces]), truth)
    merged = np.concatenate([_outcome(match(*piece)) for piece in pieces])
    differ = float((_outcome(whole) != merged).sum())
    yield Line("  detections matched differently", differ, "", 0.0)


def _outcome(matches: Matches) -> np.ndarray:
    return np.column_stack([matches.is_true_positive, matches.iou, matches.is_ignored])


SECTIONS: dict[str, Callable[[Real], Iterator[Line]]] = {
    "times": times,
    "precision": precision,
    "bootstrap": bootstrap,
    "latency": latency,
    "netcal": netcal,
    "million": million,
    "merging": merging,
    "quality": quality,
}


def main(arguments: list[str] | None = None) -> int:
    """Print all sections; the exit code is 1 only if `--check` was given and a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER, help="folder of the data")
    parser.add_argument("--only", action="append", choices=tuple(SECTIONS), help="repeatable")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a target is missed")
    options = parser.parse_args(arguments)
    if not options.folder.is_dir():
        parser.error(f"no such folder: {options.folder}")
    os.environ["OMP_NUM_THREADS"] = "1"  # for libraries that are loaded later
    lines = []
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        real = Real.read(options.folder)
        for name in options.only or SECTIONS:
            print(f"--- {name}", flush=True)
            for line in SECTIONS[name](real):
                lines.append(line)
                print(line, flush=True)
    missed = [line.what for line in lines if not line.met]
    print(f"\n{len([x for x in lines if x.bound is not None])} targets, {len(missed)} missed")
    return int(options.check and bool(missed))


if __name__ == "__main__":
    sys.exit(main())
