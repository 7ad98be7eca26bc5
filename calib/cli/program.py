"""The command line: calibrate saved scores and report on them without writing Python."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import NoReturn

from calib._border.words import nearest
from calib._version import __version__
from calib.cli.options import add_commands
from calib.cli.terminal import print_table, say, warnings_as_lines

#: Exit codes: bad input, Ctrl-C, and a reader such as ``head`` that closed the pipe.
BAD_INPUT, INTERRUPTED, BROKEN_PIPE = 2, 130, 141

#: Commands with modules of their own, in `uq` too: the module that is imported when one is used,
#: and what the list of commands says. It has a function such as ``add_study(commands, summary)``,
#: which sets ``run``.
FURTHER = {
    "correctness": ("uq.cli.correctness", "judge whether answers of language models are right"),
    "regress": ("calib.cli.regress", "recalibrate and measure distributions of a regressor"),
    "study": ("uq.cli.study", "compare models and calibrators on one small table"),
}

_EXAMPLES = """\
examples:
  calib demo
  calib report preds.parquet --label y --proba 'p_*' --html report.html
  calib fit preds.csv --label y --logits 'z_*' --out cal.json
  calib apply cal.json new.csv --out calibrated.csv
  calib fit preds.csv --label y --proba p --method multicalibration --features age,sex \
      --out cal.json
  calib fit tags.csv --multilabel --label 'y_*' --proba 'p_*' --out cal.json
  calib monitor today.csv --label y --proba p --state monitor.json --html monitor.html
  calib export cal.json --out cal.onnx
  calib correctness fit answers.csv --questions questions.csv --out judge.skops
  calib regress report preds.parquet --label y --mean mu --std s --html report.html
  calib study patients.csv --label outcome --html study.html
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
            words = sys.argv[1:] if argv is None else argv
            args = _parser(next(iter(words), "")).parse_args(argv)
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
    if args.command in FURTHER:
        args.run(args)
        return
    if args.command == "methods":
        _list_methods()
        return
    from calib.cli import (  # NumPy and all else are imported only now
        commands,
        detect,
        monitor,
        multilabel,
        report,
    )

    run: dict[str, Callable[[argparse.Namespace], None]] = {
        "demo": commands.demo,
        "report": report.report,
        "fit": commands.fit_file,
        "adapt": commands.adapt_file,
        "apply": commands.apply_to_file,
        "export": commands.export_file,
        "monitor": monitor.watch,
        "detect fit": detect.fit_detections,
        "detect apply": detect.apply_to_detections,
        "detect report": detect.report_on_detections,
    }
    if getattr(args, "multilabel", False):
        run |= {"fit": multilabel.fit_labels, "report": multilabel.report_labels}
    run[args.command](args)


def _parser(command: str) -> argparse.ArgumentParser:
    """Return the parser; the options of a further command are known only if it is the one used."""
    parser = _Parser(
        prog="calib",
        description="Make saved scores of classifiers and detectors into probabilities that hold, "
        "and measure whether they do.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"calib {__version__}")
    commands = add_commands(parser)
    for name, (module, summary) in FURTHER.items():
        if name == command:
            getattr(import_module(module), f"add_{name}")(commands, summary)
        else:
            commands.add_parser(name, help=summary)
    return parser


if __name__ == "__main__":
    sys.exit(main())


def _list_methods() -> None:
    """Print the registry, which loads no method."""
    from calib.registry import CALIBRATORS

    rows = [
        [
            name,
            entry.class_name,
            "yes" if entry.available else f"needs {', '.join(entry.needs)}",
            entry.summary,
            entry.reference,
        ]
        for name, entry in CALIBRATORS.items()
    ]
    print_table(["name", "class", "available", "what it does", "reference"], rows)
