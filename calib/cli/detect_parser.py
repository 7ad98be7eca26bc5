"""What the commands ``calib detect fit | apply | report`` take on the command line."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

_EXAMPLES = """\
examples:
  calib detect fit --truth minival.json --detections found.json --out cal.json
  calib detect apply cal.json new.json.gz --out calibrated.json.gz
  calib detect report --truth minitest.json --detections found.json --calibrator cal.json
"""
_FILES = """\
Detections are COCO results: a list of rows with image_id, category_id, bbox and score
(Detectron2, MMDetection and Ultralytics write them). The truth is a COCO or LVIS annotation
file. Both may be gzip files. Detections in images that the truth does not list are left out.
Fit on images that the detector was not trained on, and report on others.
"""
#: Spellings of options on the command line.
PER_CLASS: dict[str, Any] = {"shrink": "shrink", "yes": True, "no": False}


def add_detect(commands: Any) -> None:
    """Add the command ``detect`` with its three parts.

    Parameters
    ----------
    commands : subparsers action
        What ``add_subparsers`` of the program returned.
    """
    detect = _add(commands, "detect", "calibrate the scores of an object detector", _EXAMPLES)
    parts = detect.add_subparsers(dest="part", required=True, metavar="COMMAND")
    fit = _add(parts, "fit", "find thresholds and fit a map of the scores on held-out images")
    _add_pair(fit)
    _add_fit(fit)
    apply = _add(parts, "apply", "write a file of detections with calibrated scores", "")
    _add_apply(apply)
    report = _add(parts, "report", "measure scores of a detector, raw and calibrated")
    _add_pair(report)
    _add_report(report)


def _add(parts: Any, name: str, summary: str, epilog: str = _FILES) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = parts.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    return parser


def _add_pair(parser: argparse.ArgumentParser) -> None:
    """Add the two files that are compared."""
    parser.add_argument(
        "--truth", type=Path, required=True, metavar="GT.JSON", help="annotated boxes"
    )
    parser.add_argument(
        "--detections", type=Path, required=True, metavar="DETS.JSON", help="boxes with scores"
    )
    _add_reading(parser)
    parser.add_argument(
        "--on-invalid",
        choices=("raise", "drop"),
        default="raise",
        help="rows with NaN, an infinity or a negative width or height (%(default)s)",
    )


def _add_reading(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--score-type",
        choices=("probability", "logit"),
        default="probability",
        help="what the scores are (%(default)s)",
    )
    parser.add_argument(
        "--category-map",
        type=Path,
        metavar="MAP.JSON",
        help='category id of each class id of the detections, such as {"0": 1, "1": 2}',
    )
    parser.add_argument(
        "--image-map",
        metavar="MAP.JSON|file_name",
        help='image id of the truth for each one of the detections, such as {"street_01": 7}; '
        "file_name: detections name the files that the truth lists",
    )


def _add_fit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, metavar="CAL.JSON", help="file to write")
    parser.add_argument(
        "--method",
        default="platt",
        help="identity, linear, grid_histogram, dependent_logistic or one of calib methods "
        "(%(default)s)",
    )
    parser.add_argument(
        "--form",
        choices=("default", "published"),
        default="default",
        help="what platt, temperature and isotonic stand for: the methods of calib, which keep "
        "scores of 0 and 1 in bounds, or the plain fits of published rows (%(default)s)",
    )
    parser.add_argument(
        "--target",
        choices=("iou", "tp"),
        default="iou",
        help="what a score shall say: expected overlap, or chance of being right (%(default)s)",
    )
    parser.add_argument(
        "--per-class",
        choices=tuple(PER_CLASS),
        default="shrink",
        help="a map per class, drawn towards the common one; free; or one for all (%(default)s)",
    )
    parser.add_argument(
        "--threshold",
        type=_threshold,
        default="lrp",
        metavar="lrp|NUMBER|none",
        help="operating point: optimal per class, one number, or keep all (%(default)s)",
    )
    parser.add_argument(
        "--iou-threshold",
        type=float,
        metavar="NUMBER",
        help="overlap from which a detection is right (0 for iou, 0.5 for tp)",
    )
    parser.add_argument(
        "--features",
        type=_names,
        default=(),
        metavar="NAMES",
        help="what histogram and dependent_logistic read too, for instance cx,cy,w,h (nothing)",
    )
    parser.add_argument(
        "--fallback",
        choices=("pooled", "keep"),
        default="pooled",
        help="threshold of classes without a true positive: the one of all classes, or none that "
        "drops anything (%(default)s)",
    )
    parser.add_argument(
        "--single-target",
        choices=("pooled", "own"),
        default="pooled",
        help="map of classes whose targets are all equal (%(default)s)",
    )
    _add_limit(parser, None, "highest scores per image and class that enter the fit")


def _add_apply(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "calibrator", type=Path, metavar="CAL.JSON", help="written by calib detect fit"
    )
    parser.add_argument("detections", type=Path, metavar="DETS.JSON", help="boxes with scores")
    parser.add_argument(
        "--out", type=Path, help="file to write: .json or .json.gz (DETS.calibrated.*)"
    )
    parser.add_argument(
        "--threshold",
        action="store_true",
        help="keep only rows that reach the raw and the calibrated threshold of their class",
    )
    parser.add_argument(
        "--keep-raw", action="store_true", help="keep the score of the file as score_raw"
    )
    parser.add_argument(
        "--truth",
        type=Path,
        metavar="GT.JSON",
        help="annotations with the sizes of the images, for calibrators fitted with --features",
    )
    _add_reading(parser)


def _add_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--calibrator",
        type=Path,
        nargs="+",
        action="extend",
        required=True,
        metavar="CAL.JSON",
        help="written by calib detect fit; several are reported side by side",
    )
    parser.add_argument(
        "--resamples", type=int, default=200, help="resamples of an interval (%(default)s)"
    )
    parser.add_argument(
        "--level", type=float, default=0.95, help="confidence level of intervals (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of resampling (%(default)s)")
    _add_limit(parser, 100, "highest scores per image and class that average precision reads")
    parser.add_argument("--html", type=Path, help="write the report with diagrams as a web page")
    parser.add_argument("--json", type=Path, help="write the numbers")


def _add_limit(parser: argparse.ArgumentParser, default: int | None, meaning: str) -> None:
    parser.add_argument(
        "--max-detections",
        type=_limit,
        default=default,
        metavar="NUMBER|none",
        help=f"{meaning} ({'none: all' if default is None else default})",
    )


def _limit(text: str) -> int | None:
    if text == "none":
        return None
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is neither none nor an integer >= 1")
    return number


def _threshold(text: str) -> float | str | None:
    if text in ("lrp", "none"):
        return text if text == "lrp" else None
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither lrp nor none nor a number") from None


def _names(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (part.strip() for part in text.split(","))))
