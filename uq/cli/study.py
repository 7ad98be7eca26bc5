"""``calib study``: models and calibrators on one small table, without writing Python."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from calib._border.limits import MOST_RESAMPLES
from calib._border.typing import Float64Array
from calib._border.words import did_you_mean
from calib.cli.commands import column_files, column_of
from calib.cli.files.readers import read_table
from calib.cli.files.tables import FileTable
from calib.cli.files.targets import check_files
from uq.study.models import study_models
from uq.study.study import CALIBRATORS, leave_one_out_study

_EPILOG = """\
Every row is predicted by models and calibrators that have not seen it. The page begins with
which model and method to use, or that the rows are too few to tell.

Columns are named by comma-separated lists and globs, which leave out the label and the group.
Sets of features are tried one after the other; a name that begins with + adds its columns to
the set before. Empty cells are filled with the median of the training rows.

examples:
  calib study patients.csv --label pneumonitis --html study.html
  calib study patients.csv --label pneumonitis --set 'dose=dvh_*' --set '+ radiomic=rad_*' \\
      --correlation-limit 0.8 --repeats 3 --html study.html
"""


def add_study(commands: Any, summary: str) -> None:
    """Add the command and its options.

    Parameters
    ----------
    commands : argparse action
        What ``add_subparsers`` returned.
    summary : str
        What the list of commands says.
    """
    parser = commands.add_parser(
        "study",
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(run=study, command="study", weight=None)
    add = parser.add_argument
    add("file", metavar="FILE", type=Path, help="table with one row per patient, or other unit")
    add("--label", required=True, help="column of true labels of two classes")
    add("--group", help="column of groups that are left out and drawn together")
    add("--features", metavar="COLUMNS", help="columns of features (all others)")
    add(
        "--set",
        metavar="NAME=COLUMNS",
        action="append",
        default=[],
        dest="sets",
        help="set of features, in place of --features, once per set; '+ NAME' adds to the one "
        "before",
    )
    add("--models", metavar="NAMES", help=f"some of {', '.join(study_models())} (all)")
    methods = ",".join(CALIBRATORS)
    add("--methods", metavar="NAMES", default=methods, help="see calib methods (%(default)s)")
    add(
        "--correlation-limit",
        metavar="NUMBER",
        type=float,
        help="of features whose rank correlation exceeds this, keep the one that says most (none)",
    )
    add("--tune", action="store_true", help="choose parameters of models in every training part")
    add("--repeats", type=int, default=10, help="repetitions with other folds (%(default)s)")
    add("--folds", type=int, help="leave out folds, not single rows; needs less time")
    add("--resamples", type=_resamples, default=1000, help="draws of rows (%(default)s)")
    add("--level", type=float, default=0.95, help="confidence level of intervals (%(default)s)")
    add("--seed", type=int, default=0, help="seed of the first repetition (%(default)s)")
    add("--jobs", type=int, help="processes that train models (1)")
    add("--cache", metavar="FOLDER", type=Path, help="where finished parts are kept and read back")
    add("--html", type=Path, help="write the study with curves as a web page")


def _resamples(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"invalid int value: {text[:40]!r}") from None
    if value > MOST_RESAMPLES:
        raise argparse.ArgumentTypeError(f"must be at most {MOST_RESAMPLES:,}; got {text[:40]}")
    return value


def study(args: argparse.Namespace) -> None:
    """Run a study on a file, print it and write its page."""
    check_files({"--html": (args.html, "html")}, [args.file, *column_files(args)])
    if args.features is not None and args.sets:
        raise ValueError("--features and --set both name columns; pass one of them")
    table = read_table(args.file)
    source, name = column_of(table, args.label)
    y = source.labels(name)
    groups = None
    if args.group is not None:
        source, name = column_of(table, args.group)
        groups = source.labels(name)
    sets = _sets(args, table)
    names = list(dict.fromkeys(name for columns in sets.values() for name in columns))
    X = np.column_stack([_numbers(table, name, len(y)) for name in names])
    place = {name: position for position, name in enumerate(names)}
    result = leave_one_out_study(
        _models(args.models, missing=bool(np.isnan(X).any())),
        X,
        y,
        calibrators=_listed(args.methods, "--methods"),
        groups=groups,
        feature_sets={name: [place[column] for column in columns] for name, columns in sets.items()}
        if args.sets
        else None,
        correlation_limit=args.correlation_limit,
        tuning=args.tune,
        n_repeats=args.repeats,
        outer_folds=args.folds,
        n_resamples=args.resamples,
        confidence_level=args.level,
        random_state=args.seed,
        n_jobs=args.jobs,
        cache=args.cache,
    )
    if args.html is not None:
        result.to_html(args.html)
    print(result)
    if args.html is not None:
        print(f"wrote {args.html}")


def _sets(args: argparse.Namespace, table: FileTable) -> dict[str, list[str]]:
    """Return the columns of every set, or of all features under one name."""
    taken = {args.label, args.group} - {None}
    if not args.sets:
        found = {"": table.select(args.features or "*", exclude=taken)}
    else:
        found = {}
        for text in args.sets:
            name, equals, columns = (part.strip() for part in text.partition("="))
            if not equals or not name or not columns:
                raise ValueError(f"--set {text}: write it as NAME=COLUMNS, such as 'dose=dvh_*'")
            if name in found:
                raise ValueError(f"--set names {name!r} twice; give each set its own name")
            found[name] = table.select(columns, exclude=taken)
    for name, columns in found.items():
        used = [column for column in columns if column in taken]
        if used:
            where = f"--set {name}" if name else "--features"
            raise ValueError(
                f"{where} has the column {used[0]!r}, which is the label or the group; leave it out"
            )
    return found


def _numbers(table: FileTable, name: str, n_rows: int) -> Float64Array:
    """Return a column of numbers, NaN where a cell is empty."""
    values = table.values(name)
    if values.ndim != 1:
        raise ValueError(f"column {name!r} has {values.ndim} dimensions; name columns of one")
    if len(values) != n_rows:
        raise ValueError(f"column {name!r} has {len(values)} rows, but the labels have {n_rows}")
    known = [value for value in values.tolist() if value is not None]
    text = next((value for value in known if isinstance(value, str)), None)
    if text is not None:
        raise ValueError(
            f"column {name!r} of {table.path.name} is not numeric: {text!r}; write it as numbers, "
            f"or name the columns of features with --features or --set"
        )
    if not known:
        raise ValueError(f"column {name!r} of {table.path.name} is empty; leave it out")
    return np.array([np.nan if value is None else value for value in values.tolist()], dtype=float)


def _listed(text: str, option: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise ValueError(f"{option} names nothing")
    return names


def _models(text: str | None, *, missing: bool) -> dict[str, Any]:
    """Return the models that are named, all where none is."""
    models = study_models(impute=missing)
    names = list(models) if text is None else _listed(text, "--models")
    for name in names:
        if name not in models:
            raise ValueError(
                f"--models has {name!r}, which is none of {', '.join(models)}"
                f"{did_you_mean(name, models)}"
            )
    return {name: models[name] for name in names}
