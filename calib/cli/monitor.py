"""``calib monitor``: what a batch of labelled predictions does to a monitor that goes on."""

from __future__ import annotations

import argparse
from typing import Any, Literal

import numpy as np

from calib._border.typing import LabelArray
from calib.cli.commands import column_files, column_of
from calib.cli.files.readers import read_table
from calib.cli.files.targets import check_files
from calib.cli.files.writers import report_outputs, write_calibrator, write_report
from calib.cli.saved_scores import labelled_scores
from calib.evaluation import CalibrationMonitor
from calib.persistence import load

#: What a new monitor is told, by parameter.
SETTINGS = ("alpha", "tolerance", "window")


def watch(args: argparse.Namespace) -> None:
    """Go on with a monitor on the rows of a file, or begin one; keep it and report."""
    if len(args.scores) != 1:
        raise ValueError("name the columns of scores once, with --proba or with --logits")
    files = [args.file, *column_files(args)]
    check_files({"--state": (args.state, "calibrator"), **report_outputs(args)}, files)
    monitor = _earlier(args)
    table = read_table(args.file)
    source, name = column_of(table, args.label)
    y = source.labels(name)
    times = None if args.time is None else _times(table.values(args.time), args.time)
    kind, columns = args.scores[0]
    roles = {args.label, args.time} - {None}
    known = None if monitor is None else monitor.classes
    scored = labelled_scores(table, kind, columns, y, roles, positive=args.positive, known=known)
    if monitor is None:
        monitor = _begun(args, scored.classes)
    monitor.update(y, scored.probabilities(), timestamps=times)
    if args.state is not None:
        write_calibrator(monitor, args.state)
    write_report(monitor.report(), args)
    if args.state is not None:
        print(f"wrote {args.state}")


def _times(values: LabelArray, name: str) -> LabelArray:
    """Return times as numbers or dates; texts have to be dates of ISO 8601."""
    if values.dtype.kind not in "UO":
        return values
    try:
        times = np.array([str(value) for value in values], dtype="datetime64[us]")
    except ValueError as error:
        raise ValueError(
            f"--time {name} holds neither numbers nor dates such as 2026-01-31 or "
            f"2026-01-31T08:00:00 ({error})"
        ) from error
    seconds = times.astype("datetime64[s]")
    return seconds if (seconds == times).all() else times


def _earlier(args: argparse.Namespace) -> CalibrationMonitor | None:
    """Return the monitor that a file holds, None where there is none yet."""
    if args.state is None or not args.state.exists():
        return None
    monitor = load(args.state)
    if not isinstance(monitor, CalibrationMonitor):
        raise ValueError(f"--state {args.state} holds no monitor but a {type(monitor).__name__}")
    for setting in SETTINGS:
        given, begun = getattr(args, setting), getattr(monitor, setting)
        if given is not None and given != begun:
            raise ValueError(
                f"--{setting} {given:g}: the monitor of {args.state} was begun with {begun:g}, and "
                f"what it promises holds for that; leave the option out, or begin another file"
            )
    return monitor


def _begun(args: argparse.Namespace, classes: LabelArray | None) -> CalibrationMonitor:
    """Return a new monitor of these classes."""
    given: dict[str, Any] = {name: getattr(args, name) for name in SETTINGS}
    settings = {name: value for name, value in given.items() if value is not None}
    many = classes is not None and len(classes) > 2
    average: Literal["binary", "top_label"] = "top_label" if many else "binary"
    return CalibrationMonitor(average=average, labels=classes, **settings)
