"""The command line: calibrate saved scores and report on them without writing Python."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from calib._border.limits import MOST_BINS, MOST_RESAMPLES
from calib._border.words import nearest
from calib._version import __version__
from calib.cli.detect_parser import add_detect
from calib.cli.terminal import say, warnings_as_lines

#: Exit codes: bad input, Ctrl-C, and a reader such as ``head`` that closed the pipe.
BAD_INPUT, INTERRUPTED, BROKEN_PIPE = 2, 130, 141

_COLUMNS = """\
Columns are named by shell-style globs or comma-separated lists. A glob takes
columns in the order of the file, except where their names end with the labels
(p_cat, p_dog), which then say the class of each column. One column means the
positive class (--positive, or the second of two). Arrays of an .npz file may have two
dimensions, and a column of a table may hold a list in every row. Text files may be separated
by commas, semicolons, tabs or bars; gzip is recognised by content. Quote globs: 'p_*'.
"""
_EXAMPLES = """\
examples:
  calib demo
  calib report preds.parquet --label y --proba 'p_*' --html report.html
  calib fit preds.csv --label y --logits 'z_*' --out cal.json
  calib apply cal.json new.csv --out calibrated.csv
  calib detect fit --truth minival.json --detections found.json --out cal.json
"""


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are raised, so that every error takes the same way out."""

    def error(self, message: str) -> NoReturn:
        unknown = re.search(r"unrecognized arguments: (--[^\s=]+)", message)
        options = [option for action in _actions(self) for option in action.option_strings]
        near = nearest(unknown[1], options) if unknown else None
        hint = "" if near is None else f"; did you mean {near}?"
        raise ValueError(f"{message}{hint} (see {self.prog} --help)")


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the options of a parser and of the commands below it."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from _actions(below)
        else:
            yield action


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


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv : sequence of str, default=None
        Arguments after the program's name; None takes those of the process.

    Returns
    -------
    code : int
        0 for success; 2 for bad input, of which one line on the error stream tells; 130 after
        Ctrl-C; 141 if the output was closed early.
    """
    try:
        with warnings_as_lines():
            args = _parser().parse_args(argv)
            if hasattr(sys.stdout, "reconfigure"):
                sys.stdout.reconfigure(errors="replace")  # rather than fail on an ASCII terminal
            _run(args)
            sys.stdout.flush()
        return 0
    except SystemExit as stop:  # of --help and --version
        return int(stop.code or 0)
    except KeyboardInterrupt:
        say("error", "interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except FileNotFoundError as error:
        say("error", f"no such file: {error.filename}")
    except OSError as error:
        say("error", f"{error.filename}: {error.strerror}" if error.filename else error)
    except (ValueError, ImportError, Warning) as error:
        say("error", error)
    except MemoryError as error:
        say("error", f"out of memory. {error}")
    except Exception as error:  # a fault of ours, but a line all the same
        say("error", f"unexpected {type(error).__name__}: {error}; please report this command")
    return BAD_INPUT


def _run(args: argparse.Namespace) -> None:
    from calib.cli import (
        commands,
        detect,
        stream,  # NumPy and all else are imported only now
    )

    name = args.command if args.command != "detect" else f"detect {args.part}"
    {
        "demo": commands.demo,
        "report": stream.report_in_batches,
        "fit": commands.fit_file,
        "apply": commands.apply_to_file,
        "methods": commands.methods,
        "detect fit": detect.fit_detections,
        "detect apply": detect.apply_to_detections,
        "detect report": detect.report_on_detections,
    }[name](args)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="calib",
        description="Make saved scores of classifiers and detectors into probabilities that hold, "
        "and measure whether they do.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"calib {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, summary: str, epilog: str = _COLUMNS) -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    demo = add("demo", "train an over-confident network on digits, calibrate it, report", "")
    demo.add_argument(
        "--html", type=Path, default=Path("report.html"), help="report to write (%(default)s)"
    )

    report = add("report", "measure how well saved probabilities hold")
    _add_data(report, required=True)
    report.add_argument(
        "--name",
        action="append",
        default=[],
        help="name of the scores in the report, once per --proba or --logits (raw)",
    )
    report.add_argument(
        "--calibrator",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        metavar="CAL.JSON",
        help="calibrators to apply to the scores and to report beside them",
    )
    report.add_argument("--group", help="column (or file) of groups that are resampled together")
    report.add_argument(
        "--stream",
        action="store_true",
        help="read a .parquet, .feather, .csv or .jsonl file, or a folder of .parquet files, in "
        "batches, as is done by itself for .parquet from 5,000,000 rows on",
    )
    report.add_argument(
        "--bins",
        type=_bins,
        default=15,
        metavar="N|EDGES",
        help="number of bins (%(default)s), or their edges: 0,0.5,0.9,1",
    )
    report.add_argument(
        "--resamples",
        type=_at_most(MOST_RESAMPLES),
        default=200,
        help="resamples of an interval (%(default)s)",
    )
    report.add_argument(
        "--level", type=float, default=0.95, help="confidence level of intervals (%(default)s)"
    )
    report.add_argument("--seed", type=int, default=0, help="seed of resampling (%(default)s)")
    report.add_argument("--html", type=Path, help="write the report with diagrams as a web page")
    report.add_argument("--json", type=Path, help="write the numbers")

    fit = add("fit", "fit a calibrator on saved scores of samples the model has not seen")
    _add_data(fit, required=True)
    fit.add_argument("--method", default="auto", help="see calib methods (%(default)s)")
    fit.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="parameter of the method, repeatable",
    )
    fit.add_argument("--out", type=Path, required=True, metavar="CAL.JSON", help="file to write")

    apply = add("apply", "add calibrated probabilities to a file of scores")
    apply.add_argument("calibrator", type=Path, metavar="CAL.JSON", help="written by calib fit")
    _add_data(apply, required=False)
    apply.add_argument(
        "--out",
        type=Path,
        help="file to write: .parquet, .feather, .csv, .tsv, .jsonl or .npz (FILE.calibrated.*)",
    )

    add("methods", "list the calibration methods", "")
    add_detect(commands)
    return parser


def _add_data(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Add the file, its scores and, where needed, its labels and weights."""
    parser.add_argument(
        "file",
        type=Path,
        metavar="FILE",
        help="table or arrays: .parquet, .feather, .csv, .tsv, .jsonl, .npz, .npy, .pt; may be .gz",
    )
    if required:
        parser.add_argument(
            "--label", required=True, help="column of true labels, or a file that holds them alone"
        )
        parser.add_argument("--weight", help="column (or file) of sample weights")
    default = "" if required else " (default: as at fit)"
    parser.add_argument(
        "--positive",
        metavar="LABEL",
        help=f"class that a single column of scores belongs to{default or ' (second in order)'}",
    )
    parser.set_defaults(scores=[])
    parser.add_argument(
        "--proba", action=_Scores, metavar="COLUMNS", help=f"columns of probabilities{default}"
    )
    parser.add_argument(
        "--logits",
        action=_Scores,
        metavar="COLUMNS",
        help=f"columns of logits, or of the log-odds of the positive class{default}",
    )


if __name__ == "__main__":
    sys.exit(main())
