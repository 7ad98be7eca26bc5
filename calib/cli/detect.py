"""What ``calib detect fit | apply | report`` do with their arguments."""

from __future__ import annotations

import argparse
import json
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import clone

from calib._border.random import fixed
from calib.cli.files.targets import beside, check_files, check_source
from calib.cli.files.writers import report_outputs, write_calibrator, write_report
from calib.cli.options import PER_CLASS
from calib.cli.terminal import print_table, say
from calib.detection import (
    DetectionCalibrator,
    Detections,
    FallbackWarning,
    GroundTruth,
    apply_thresholds,
    match,
    read_coco_annotations,
    read_coco_detections,
    write_coco_detections,
)
from calib.detection.readers.json import read_json
from calib.detection.tables.image_map import ImageMap
from calib.grouped.map_table import map_class
from calib.progress import Progress
from calib.warnings import FitImagesWarning, UnknownImagesWarning

#: Folds of the check that `fit` prints, and images below which it makes none.
N_FOLDS, MIN_IMAGES = 5, 20
#: Classes that are listed by name.
N_LISTED = 5
#: Endings of a file of detections.
ENDINGS = (".json.gz", ".json")
#: What the readers call their options, and how the command line spells them.
_SPELLINGS = {
    "on_invalid='drop'": "--on-invalid drop",
    "score_type='logit'": "--score-type logit",
    "category_map translates": "--category-map translates",
    "image_map='file_name'": "--image-map file_name",
    "image_map": "--image-map",
}


# ---------------------------------------------------------------------- commands


def fit_detections(args: argparse.Namespace) -> None:
    """Fit the calibrator of a detector on two files and save it."""
    check_files(
        {"--out": (args.out, "calibrator")}, [args.truth, args.detections, args.category_map]
    )
    map_class(args.method)
    calibrator = DetectionCalibrator(
        args.method,
        form=args.form,
        target=args.target,
        per_class=PER_CLASS[args.per_class],
        features=args.features,
        threshold=args.threshold,
        iou_threshold=args.iou_threshold,
        max_detections=args.max_detections,
        fallback=args.fallback,
        single_target=args.single_target,
    )
    with Progress(4 + N_FOLDS) as progress:
        found, truth = _read_pair(args, progress)
        progress.step(f"fitting {args.method}")
        with warnings.catch_warnings():  # the summary lists these classes
            warnings.filterwarnings("ignore", r"\d+ of \d+ classes take the", FallbackWarning)
            calibrator.fit(found, truth)
        before, after, how = _held_out(calibrator, found, truth, progress)
        progress.step("writing")
        write_calibrator(calibrator, args.out)
    _print_fit(calibrator, found, truth)
    names, first = _measures(calibrator, before, truth)
    _, second = _measures(calibrator, after, truth)
    print(f"check of the {len(before)} detections that reach the raw thresholds, {how}:")
    print_table(
        ["", *names],
        [
            [name, *(f"{value:.4f}" for value in values)]
            for name, values in (("before", first), ("after", second))
        ],
    )
    print(f"wrote {args.out}")
    if second[2] > first[2]:
        say(
            "note",
            f"the map makes the {names[2]} larger, from {first[2]:.4f} to {second[2]:.4f}; try "
            f"another --method, or --per-class shrink or no",
        )


def apply_to_detections(args: argparse.Namespace) -> None:
    """Write a file of detections with calibrated scores and all else as it was."""
    out = args.out or beside(args.detections)
    if not out.name.lower().endswith(ENDINGS):
        raise ValueError(f"--out {out}: detections are written as .json or .json.gz files")
    check_files(
        {"--out": (out, "detections")},
        [args.calibrator, args.detections, args.truth, args.category_map],
        replaced=args.detections,
    )
    with Progress(3) as progress:
        progress.step(f"reading {args.detections.name}")
        calibrator = _load(args.calibrator)
        with _command_line_words():
            truth = None if args.truth is None else read_coco_annotations(args.truth)
            if truth is None and any(isinstance(one, str) for one in calibrator.features):
                raise ValueError(
                    f"{args.calibrator.name} reads positions in the image; name the annotations "
                    f"that hold the sizes of the images with --truth"
                )
            found = read_coco_detections(
                args.detections,
                truth,
                score_type=args.score_type,
                category_map=_category_map(args.category_map),
                image_map=_image_map(args.image_map),
            )
        progress.step("calibrating")
        calibrated = calibrator.transform(found)
        keep = calibrator.operating_mask(found, calibrated) if args.threshold else None
        progress.step(f"writing {out.name}")
        write_coco_detections(
            args.detections, calibrated.scores, out, keep_raw=args.keep_raw, keep=keep
        )
    if keep is None:
        print(f"wrote {len(found)} rows to {out}")
    else:
        print(f"wrote {int(keep.sum())} of {len(found)} rows, those above thresholds, to {out}")


def report_on_detections(args: argparse.Namespace) -> None:
    """Measure the scores of a detector as they are and calibrated."""
    from calib.evaluation.detection.report.reporting import detection_report

    check_files(
        report_outputs(args),
        [args.truth, args.detections, args.category_map, *args.calibrator],
    )
    calibrators: dict[str, DetectionCalibrator] = {}
    with Progress(3) as progress:
        for path in args.calibrator:
            name = path.stem if path.stem not in calibrators else str(path)
            calibrators[name] = _load(path)
        found, truth = _read_pair(args, progress)
        progress.step("resampling")
        with _as_note(FitImagesWarning):
            result = detection_report(
                found,
                truth,
                calibrator=calibrators,
                confidence_level=args.level,
                n_resamples=args.resamples,
                max_detections=args.max_detections,
                random_state=args.seed,
            )
    write_report(result, args)


# ---------------------------------------------------------------------- reading


def _read_pair(args: argparse.Namespace, progress: Progress) -> tuple[Detections, GroundTruth]:
    """Read the detections in the images of the truth; a note counts those in others."""
    with _command_line_words(), _as_note(UnknownImagesWarning):
        progress.step(f"reading {args.truth.name}")
        truth = read_coco_annotations(args.truth, on_invalid=args.on_invalid)
        progress.step(f"reading {args.detections.name}")
        found = read_coco_detections(
            args.detections,
            truth,
            score_type=args.score_type,
            on_invalid=args.on_invalid,
            unknown_images="drop",
            category_map=_category_map(args.category_map),
            image_map=_image_map(args.image_map),
        )
    if not len(found):
        raise ValueError(f"{args.detections.name} holds no detections")
    return found, truth


def _category_map(path: Path | None) -> dict[int, int] | None:
    """Read the category id of each class id; JSON has texts alone as keys."""
    if path is None:
        return None
    pairs = _pairs(path, 'class ids and category ids, such as {"0": 1}', (int,), numbered=True)
    return {int(key): value for key, value in pairs.items()}


def _image_map(given: str | None) -> ImageMap | None:
    """Read the image id of the truth for each image id; digits also stand for a number."""
    if given is None or given == "file_name":
        return given  # type: ignore[return-value]
    check_source(Path(given))
    pairs = _pairs(Path(given), 'image ids, such as {"street_01": 7}', (int, str))
    return pairs | {int(key): value for key, value in pairs.items() if _is_integer(key)}


def _pairs(
    path: Path, content: str, kinds: tuple[type, ...], *, numbered: bool = False
) -> dict[Any, Any]:
    """Return the object that a file of JSON holds, or say what it should hold."""
    document = read_json(path)
    wanted = f"{path.name} must be an object of {content}"
    if not isinstance(document, Mapping):
        raise ValueError(wanted)
    for key, value in document.items():
        if type(value) not in kinds or (numbered and not _is_integer(key)):
            raise ValueError(f"{wanted}; got {json.dumps({key: value})[:80]}")
    return dict(document)


def _is_integer(text: str) -> bool:
    return text.removeprefix("-").isdecimal()


def _load(path: Path) -> DetectionCalibrator:
    from calib.persistence import load

    check_source(path)
    calibrator = load(path)
    if not isinstance(calibrator, DetectionCalibrator):
        raise ValueError(
            f"{path.name} holds a {type(calibrator).__name__} of class scores; calib detect reads "
            f"what calib detect fit wrote"
        )
    return calibrator


@contextmanager
def _command_line_words() -> Iterator[None]:
    """Say in errors what the options of the readers are called on the command line."""
    try:
        yield
    except ValueError as error:
        text = str(error)
        for name, spelling in _SPELLINGS.items():
            text = text.replace(name, spelling)
        raise ValueError(text) from error


@contextmanager
def _as_note(kind: type[Warning]) -> Iterator[None]:
    """Say warnings of a kind as notes; all others go their usual way."""
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: object) -> None:
            if issubclass(category, kind):
                say("note", message)
            else:
                usual(message, category, *rest)  # type: ignore[arg-type]

        warnings.simplefilter("always", kind)
        warnings.showwarning = show  # type: ignore[assignment]
        yield


# ---------------------------------------------------------------------- what fit says


def _print_fit(calibrator: DetectionCalibrator, found: Detections, truth: GroundTruth) -> None:
    names = truth.class_names or {}
    n_empty = len(truth.images) - len(np.unique(found.image_id))
    without = f" ({n_empty} without a detection)" if n_empty else ""
    print(
        f"{calibrator.calibrator} on {len(found)} detections and {int((~truth.ignore).sum())} "
        f"annotated boxes in {len(truth.images)} images{without}, {len(calibrator.classes_)} "
        f"classes"
    )
    meant = (
        "expected overlap with a true box"
        if calibrator.target == "iou"
        else "chance of being right"
    )
    print(f"a calibrated score is the {meant}")
    n_used = sum(calibrator.class_counts_.values())
    if calibrator.threshold is None:
        print(f"thresholds: none, all {n_used} detections enter the fit")
    else:
        raw, after = calibrator.raw_thresholds_, calibrator.calibrated_thresholds_
        print(f"raw thresholds: {_span(raw.values())}; {n_used} detections enter the fit")
        print(f"calibrated thresholds: {_span(after.values())}")
    own, fallbacks = len(calibrator.class_maps_), calibrator.fallbacks_
    if own or fallbacks:
        print(f"maps: {own} classes have one of their own, {len(fallbacks)} take the pooled one")
    reasons = Counter(_reason(text) for text in fallbacks.values())
    for reason, count in reasons.most_common():
        labels = [k for k, text in sorted(fallbacks.items()) if _reason(text) == reason]
        listed = ", ".join(names.get(k, str(k)) for k in labels[:N_LISTED])
        print(f"  {count} with {reason}: {listed}{', ...' if count > N_LISTED else ''}")


def _reason(text: str) -> str:
    """Return why a class has no map of its own, without its own number."""
    if "min_class_samples" in text:
        return f"fewer than {text.rpartition('=')[2]} detections"
    return "targets that are all equal" if text.startswith("all targets equal") else text


def _span(values: Iterable[float]) -> str:
    low, middle, high = np.quantile(list(values), [0, 0.5, 1])
    return f"{low:.3f}" if low == high else f"{low:.3f} to {high:.3f} (median {middle:.3f})"


def _held_out(
    calibrator: DetectionCalibrator, found: Detections, truth: GroundTruth, progress: Progress
) -> tuple[Detections, Detections, str]:
    """Return detections at the operating point, raw and calibrated by fits on other images."""
    kept = _kept(calibrator, found)
    in_sample = kept, calibrator.transform(kept), "in-sample (optimistic)"
    if len(truth.images) < MIN_IMAGES:
        return in_sample
    before, after = [], []
    images = fixed(0).permutation(truth.images)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # classes that a fold lacks; the full fit has warned
        for number, part in enumerate(np.array_split(images, N_FOLDS), start=1):
            progress.step(f"checking on held-out part {number}")
            out = np.isin(found.image_id, part)
            others = truth.in_images(np.setdiff1d(truth.images, part))
            try:
                fitted = clone(calibrator).fit(found[~out], others)
            except ValueError:  # too little is right for a part of it to be fitted to
                return in_sample
            kept = _kept(fitted, found[out])
            before.append(kept)
            after.append(fitted.transform(kept))
    return Detections.concat(before), Detections.concat(after), f"cross-fitted ({N_FOLDS} folds)"


def _kept(calibrator: DetectionCalibrator, found: Detections) -> Detections:
    keep = apply_thresholds(
        found, calibrator.raw_thresholds_, default=calibrator.pooled_thresholds_[0]
    )
    return found[keep]


def _measures(
    calibrator: DetectionCalibrator, found: Detections, truth: GroundTruth
) -> tuple[list[str], list[float]]:
    """Return names and values: mean score, mean target, squared error, calibration error."""
    from calib.evaluation import detection_calibration_error, localization_aware_calibration_error

    overlap = calibrator.target == "iou"
    iou_threshold = calibrator.iou_threshold
    if iou_threshold is None:
        iou_threshold = 0.0 if overlap else 0.5
    matches = match(found, truth, iou_threshold=iou_threshold)
    rows = matches.valid
    scores = found.scores[rows]
    outcome = matches.iou if overlap else matches.is_true_positive.astype(np.float64)
    target = outcome[rows]
    error = localization_aware_calibration_error if overlap else detection_calibration_error
    names = ["mean score", "mean overlap", "squared error", "LaECE (25 bins)"]
    if not overlap:
        names = ["mean score", "share right", "Brier score", "D-ECE (10 bins)"]
    if not len(scores):
        return names, [float("nan")] * 4
    gap = scores - target
    return names, [
        float(scores.mean()),
        float(target.mean()),
        float(np.mean(gap * gap)),
        error(found, truth, iou_threshold=iou_threshold, matches=matches),
    ]
