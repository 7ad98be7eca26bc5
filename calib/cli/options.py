"""What every command takes on the command line: one table of commands, options declared once."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from calib._border.limits import MOST_BINS, MOST_RESAMPLES

_COLUMNS = """\
Columns are named by shell-style globs or comma-separated lists. A glob takes
columns in the order of the file, except where their names end with the labels
(p_cat, p_dog), which then say the class of each column. One column means the
positive class (--positive, or the second of two). Arrays of an .npz file may have two
dimensions, and a column of a table may hold a list in every row. Text files may be separated
by commas, semicolons, tabs or bars; gzip is recognised by content. Quote globs: 'p_*'.
"""
_NETWORKS = """
Several networks, a file for each: --scores NAME=FILE, once per network, with --proba or
--logits for the columns of all of them ('*': all but labels, weights, groups and ids), or
one of these per network in the same order. Labels are those of FILE or, without it, those of
the first network's file that has them.
"""
_MANY_LABELS = """
With --multilabel, columns whose names end alike (y_cat, p_cat) belong together in any order,
others in the order given; each has a line of its own, drawn to one curve (spline). calib apply
knows such calibrators by their file.
"""
_DETECT_EXAMPLES = """\
examples:
  calib detect fit --truth minival.json --detections found.json --out cal.json
  calib detect apply cal.json new.json.gz --out calibrated.json.gz
  calib detect report --truth minitest.json --detections found.json --calibrator cal.json
"""
_DETECTIONS = """\
Detections are COCO results: a list of rows with image_id, category_id, bbox and score
(Detectron2, MMDetection and Ultralytics write them). The truth is a COCO or LVIS annotation
file. Both may be gzip files. Detections in images that the truth does not list are left out.
Fit on images that the detector was not trained on, and report on others.
"""
#: Spellings of options on the command line.
PER_CLASS: dict[str, Any] = {"shrink": "shrink", "yes": True, "no": False}


# ---------------------------------------------------------------------- kinds of arguments


def _at_most(limit: int) -> Callable[[str], int]:
    """Return a type of argument: an integer up to a limit beyond which nothing can be meant."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"invalid int value: {text[:40]!r}") from None
        if value > limit:
            raise argparse.ArgumentTypeError(f"must be at most {limit:,}; got {text[:40]}")
        return value

    return read


def _bins(text: str) -> int | list[float]:
    """Read a number of bins, or their edges with commas between them."""
    if "," not in text:
        return _at_most(MOST_BINS)(text)
    try:
        edges = [float(edge) for edge in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"edges must be numbers; {error}"[:200]) from None
    _at_most(MOST_BINS)(str(len(edges) - 1))
    return edges


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
    return tuple(filter(None, (name.strip() for name in text.split(","))))


def _measures(text: str) -> str | tuple[str, ...]:
    """Read names of measures, or a word for a set of them."""
    names = _names(text)
    if not names:
        raise argparse.ArgumentTypeError(f"{text!r} names no measure; write names or all")
    return text if text in ("core", "all") else names


def _network(text: str) -> tuple[str, Path]:
    """Read the name of a network and the file of its scores."""
    name, _, file = (part.strip() for part in text.partition("="))
    if not name or not file:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not NAME=FILE; write it as resnet=resnet.npz, once per network"
        )
    return name, Path(file)


class _Scores(argparse.Action):
    """Collect ``--logits`` and ``--proba`` in the order in which they were given."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        kind = str(option_string).removeprefix("--")
        namespace.scores = [*namespace.scores, (kind, values)]


# ---------------------------------------------------------------------- options

#: The name of an argument and what argparse has to know of it.
_Option = tuple[str, dict[str, Any]]


def _option(form: str, meaning: str, **settings: Any) -> _Option:
    """Return an option from its form in the help, such as ``--out CAL.JSON``.

    The first of choices, as in ``--target {iou,tp}``, is the default.
    """
    name, _, value = form.partition(" ")
    if value.startswith("{"):
        choices = value.strip("{}").split(",")
        settings |= {"choices": choices, "default": choices[0]}
    elif value:
        settings["metavar"] = value
    return name, {"help": meaning, **settings}


def _file(form: str, meaning: str, **settings: Any) -> _Option:
    return _option(form, meaning, type=Path, **settings)


def _scores(default: str = "") -> list[_Option]:
    """Return the options that say which columns are scores, and of which kind."""
    settings: dict[str, Any] = {"action": _Scores, "dest": "scores", "default": []}
    single = f"class that a single column of scores belongs to{default or ' (second in order)'}"
    log_odds = f"columns of logits, or of the log-odds of the positive class{default}"
    return [
        _option("--positive LABEL", single),
        _option("--proba COLUMNS", f"columns of probabilities{default}", **settings),
        _option("--logits COLUMNS", log_odds, **settings),
    ]


def _calibrators(meaning: str, **settings: Any) -> _Option:
    return _file("--calibrator CAL.JSON", meaning, nargs="+", action="extend", **settings)


def _most_detections(meaning: str, default: int | None = None) -> _Option:
    meaning = f"{meaning} ({'none: all' if default is None else default})"
    return _option("--max-detections NUMBER|none", meaning, type=_limit, default=default)


_KINDS_OF_FILES = ".parquet, .feather, .csv, .tsv, .jsonl, .npz, .npy, .pt; may be .gz"
_TABLE = f"table or arrays: {_KINDS_OF_FILES}"
_TARGET = [
    _option("--label", "column of true labels, or a file that holds them alone", required=True),
    _option("--weight", "column (or file) of sample weights"),
]
_MULTILABEL = _option(
    "--multilabel",
    "many labels a row: --label names a column of 0 and 1 for each (empty where unknown), --proba "
    "or --logits as many columns of scores",
    action="store_true",
)
_OUT = _file("--out CAL.JSON", "file to write", required=True)
_RESAMPLES = {"type": _at_most(MOST_RESAMPLES), "default": 200}
RESAMPLING = [
    _option("--resamples", "resamples of an interval (%(default)s)", **_RESAMPLES),
    _option("--level", "confidence level of intervals (%(default)s)", type=float, default=0.95),
    _option("--seed", "seed of resampling (%(default)s)", type=int, default=0),
]
OUTPUTS = [
    _file("--html", "write the report with diagrams as a web page"),
    _file("--json", "write the numbers"),
    _file("--latex", "write the tables for LaTeX"),
]
_READING = [
    _option("--score-type {probability,logit}", "what the scores are (%(default)s)"),
    _file(
        "--category-map MAP.JSON",
        'category id of each class id of the detections, such as {"0": 1, "1": 2}',
    ),
    _option(
        "--image-map MAP.JSON|file_name",
        'image id of the truth for each one of the detections, such as {"street_01": 7}; '
        "file_name: detections name the files that the truth lists",
    ),
]
_PAIR = [
    _file("--truth GT.JSON", "annotated boxes", required=True),
    _file("--detections DETS.JSON", "boxes with scores", required=True),
    *_READING,
    _option(
        "--on-invalid {raise,drop}",
        "rows with NaN, an infinity or a negative width or height (%(default)s)",
    ),
]


# ---------------------------------------------------------------------- commands

#: Command -> its summary, its options, and what its help ends with.
_COMMANDS: dict[str, tuple[str, list[_Option], str]] = {
    "demo": (
        "train an over-confident network on digits, calibrate it, report",
        [_file("--html", "report to write (%(default)s)", default=Path("report.html"))],
        "",
    ),
    "report": (
        "measure how well saved probabilities hold",
        [
            _file("file FILE", _TABLE, nargs="?"),
            *_TARGET,
            *_scores(),
            _option(
                "--scores NAME=FILE",
                f"name of a network and the file of its scores, once per network: "
                f"{_KINDS_OF_FILES}",
                type=_network,
                action="append",
                default=[],
                dest="networks",
            ),
            _option("--id", "column of ids that the rows of all files of --scores are matched by"),
            _option(
                "--name",
                "name of the scores in the report, once per --proba or --logits (raw)",
                action="append",
                default=[],
            ),
            _calibrators(
                "calibrators to apply to the scores and to report beside them", default=[]
            ),
            _option("--group", "column (or file) of groups that are resampled together"),
            _option(
                "--by COLUMNS",
                "columns whose levels and ranges are segments: the report says for whom the "
                "probabilities are off; again, or with commas between, for several",
                action="append",
                default=[],
            ),
            _MULTILABEL,
            _option("--pairs", "take products of two columns of --by as well", action="store_true"),
            _option(
                "--tolerance SHARE",
                "gap of a segment that does not matter (0.02, which is 2 points)",
                type=float,
                default=0.02,
            ),
            _option(
                "--stream",
                "read a .parquet, .feather, .csv or .jsonl file, or a folder of .parquet files, in "
                "batches, as is done by itself for .parquet from 5,000,000 rows on",
                action="store_true",
            ),
            _option(
                "--measures NAMES|all",
                "what is measured: all, or names with commas between them (core)",
                type=_measures,
            ),
            _option("--reference NAME", "model that the others are compared with (the first)"),
            _option(
                "--bins N|EDGES",
                "number of bins (%(default)s), or their edges: 0,0.5,0.9,1",
                type=_bins,
                default=15,
            ),
            *RESAMPLING,
            *OUTPUTS,
        ],
        _COLUMNS + _NETWORKS + _MANY_LABELS,
    ),
    "fit": (
        "fit a calibrator on saved scores of samples the model has not seen",
        [
            _file("file FILE", _TABLE),
            *_TARGET,
            *_scores(),
            _option("--method", "see calib methods (%(default)s)", default="auto"),
            _option(
                "--features COLUMNS",
                "columns that multicalibration and group read beside the scores, numbers or text; "
                "again, or with commas between, for several; '*' takes all other columns",
                action="append",
                default=[],
            ),
            _MULTILABEL,
            _option(
                "--adaptable",
                "remember the class frequencies, so that calib adapt can correct for others",
                action="store_true",
            ),
            _option(
                "--param KEY=VALUE",
                "parameter of the method, repeatable",
                action="append",
                default=[],
            ),
            _OUT,
        ],
        _COLUMNS + _MANY_LABELS,
    ),
    "apply": (
        "add calibrated probabilities to a file of scores",
        [
            _file("calibrator CAL.JSON", "written by calib fit"),
            _file("file FILE", _TABLE),
            *_scores(" (default: as at fit)"),
            _file(
                "--out",
                "file to write: .parquet, .feather, .csv, .tsv, .jsonl or .npz (FILE.calibrated.*)",
            ),
        ],
        _COLUMNS,
    ),
    "adapt": (
        "correct a calibrator for other class frequencies, given or estimated without labels",
        [
            _file("calibrator CAL.JSON", "written by calib fit --adaptable"),
            _file("file FILE", f"unlabelled scores: {_TABLE}", nargs="?"),
            *_scores(" (default: as at fit)"),
            _option(
                "--prior CLASS=SHARE,...",
                "known frequencies of all classes, in place of FILE",
            ),
            _OUT,
        ],
        _COLUMNS,
    ),
    "export": (
        "write a calibrator as an ONNX model",
        [
            _file("calibrator CAL.JSON", "written by calib fit or calib detect fit"),
            _file("--out CAL.ONNX", "file to write (CAL.onnx)"),
            _option(
                "--opset NUMBER",
                "version of the operators, 17 or newer (%(default)s)",
                type=int,
                default=17,
            ),
        ],
        "",
    ),
    "methods": ("list the calibration methods", [], ""),
    "detect": ("calibrate the scores of an object detector", [], _DETECT_EXAMPLES),
    "detect fit": (
        "find thresholds and fit a map of the scores on held-out images",
        [
            *_PAIR,
            _OUT,
            _option(
                "--method",
                "identity, linear, grid_histogram, dependent_logistic or one of calib methods "
                "(%(default)s)",
                default="platt",
            ),
            _option(
                "--form {default,published}",
                "what platt, temperature and isotonic stand for: the methods of calib, which keep "
                "scores of 0 and 1 in bounds, or the plain fits of published rows (%(default)s)",
            ),
            _option(
                "--target {iou,tp}",
                "what a score shall say: expected overlap, or chance of being right (%(default)s)",
            ),
            _option(
                f"--per-class {{{','.join(PER_CLASS)}}}",
                "a map per class, drawn towards the common one; free; or one for all (%(default)s)",
            ),
            _option(
                "--threshold lrp|NUMBER|none",
                "operating point: optimal per class, one number, or keep all (%(default)s)",
                type=_threshold,
                default="lrp",
            ),
            _option(
                "--iou-threshold NUMBER",
                "overlap from which a detection is right (0 for iou, 0.5 for tp)",
                type=float,
            ),
            _option(
                "--features NAMES",
                "what histogram and dependent_logistic read too, for instance cx,cy,w,h (nothing)",
                type=_names,
                default=(),
            ),
            _option(
                "--fallback {pooled,keep}",
                "threshold of classes without a true positive: the one of all classes, or none "
                "that drops anything (%(default)s)",
            ),
            _option(
                "--single-target {pooled,own}",
                "map of classes whose targets are all equal (%(default)s)",
            ),
            _most_detections("highest scores per image and class that enter the fit"),
        ],
        _DETECTIONS,
    ),
    "detect apply": (
        "write a file of detections with calibrated scores",
        [
            _file("calibrator CAL.JSON", "written by calib detect fit"),
            _file("detections DETS.JSON", "boxes with scores"),
            _file("--out", "file to write: .json or .json.gz (DETS.calibrated.*)"),
            _option(
                "--threshold",
                "keep only rows that reach the raw and the calibrated threshold of their class",
                action="store_true",
            ),
            _option("--keep-raw", "keep the score of the file as score_raw", action="store_true"),
            _file(
                "--truth GT.JSON",
                "annotations with the sizes of the images, for calibrators fitted with --features",
            ),
            *_READING,
        ],
        "",
    ),
    "detect report": (
        "measure scores of a detector, raw and calibrated",
        [
            *_PAIR,
            _calibrators(
                "written by calib detect fit; several are reported side by side", required=True
            ),
            *RESAMPLING,
            _most_detections(
                "highest scores per image and class that average precision reads", 100
            ),
            *OUTPUTS,
        ],
        _DETECTIONS,
    ),
}


def add_commands(parser: argparse.ArgumentParser) -> Any:
    """Add all commands and their options to the parser of the program.

    Returns
    -------
    commands : argparse action
        Where further commands are added.
    """
    parsers: dict[str, Any] = {"": parser}
    groups: dict[str, Any] = {}
    for name, (summary, options, epilog) in _COMMANDS.items():
        group, _, last = name.rpartition(" ")
        if group not in groups:
            groups[group] = parsers[group].add_subparsers(required=True, metavar="COMMAND")
        parsers[name] = groups[group].add_parser(
            last,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        parsers[name].set_defaults(command=name)
        for form, settings in options:
            parsers[name].add_argument(form, **settings)
    return groups[""]
