"""``calib regress fit | apply | report``: predicted distributions of a regressor in files."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import KFold

from calib._border.advice import coming_through
from calib._border.labels import check_weight
from calib._border.typing import Float64Array
from calib._core.distributions.predictive import PredictiveDistribution
from calib.calibrators.distribution import METHODS, DistributionCalibrator
from calib.cli.commands import column_files, column_of
from calib.cli.files.columns import shorten
from calib.cli.files.readers import read_table
from calib.cli.files.tables import FileTable
from calib.cli.files.targets import beside, check_files
from calib.cli.files.writers import (
    report_outputs,
    writable_format,
    write_calibrator,
    write_report,
    write_table,
)
from calib.cli.options import OUTPUTS, RESAMPLING
from calib.cli.saved_scores import ADDED, DOOR
from calib.cli.terminal import print_table
from calib.progress import Progress

_EPILOG = """\
examples:
  calib regress report preds.parquet --label y --mean mu --std s --html report.html
  calib regress fit held_out.csv --label y --quantiles 'q_*' --out cal.json
  calib regress apply cal.json new.csv --quantiles 'q_*' --levels 0.05,0.5,0.95
"""
_COLUMNS = """\
A predicted distribution is a mean and a standard deviation, columns of quantiles whose names
end with their levels (q_0.05, q_0.5, ...; or --at), or columns of equally likely samples.
Columns are named by shell-style globs or comma-separated lists; quote globs: 'q_*'.
"""
#: Command -> what the list of commands says.
_HELP = {
    "report": "say whether distributions are too sharp, too wide or biased, with intervals",
    "fit": "learn from held-out rows how to make distributions right",
    "apply": "add recalibrated means, standard deviations and quantiles to a table",
}
#: Quantiles that `apply` writes.
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
#: Folds of the summary that `fit` prints, and rows below which it makes none.
N_FOLDS, MIN_ROWS = 5, 50
#: The level at the end of the name of a column.
_LEVEL = re.compile(r"(?<!\d)(?<!\d\.)(\d*\.?\d+(?:[eE]-?\d+)?)$")


class Given(NamedTuple):
    """Predicted distributions as the columns of a table hold them."""

    kind: Literal["normal", "quantiles", "samples"]
    array: Float64Array
    levels: Float64Array | None

    def distribution(self) -> PredictiveDistribution:
        """Return the distributions as they are given."""
        from calib.evaluation import predictive_distribution

        if self.kind == "normal":
            return predictive_distribution(mean=self.array[:, 0], std=self.array[:, 1])
        if self.kind == "quantiles":
            return predictive_distribution(quantiles=self.array, levels=self.levels)
        return predictive_distribution(samples=self.array)


# ---------------------------------------------------------------------- commands


def report_distributions(args: argparse.Namespace) -> None:
    """Measure distributions of a file, as they are and recalibrated."""
    from calib.evaluation import regression_report

    inputs = [args.file, *args.calibrator, *column_files(args)]
    check_files(report_outputs(args), inputs)
    with Progress(3 + len(args.calibrator)) as progress:
        progress.step(f"reading {args.file.name}")
        table = read_table(args.file)
        y = _labels(args, table)
        groups = None
        if args.group is not None:
            source, name = column_of(table, args.group)
            groups = source.labels(name)
        given = _given(args, table)
        models = {"given" if args.calibrator else "model": given.distribution()}
        for path in args.calibrator:
            progress.step(f"recalibrating by {path.name}")
            name = path.stem if path.stem not in models else str(path)
            models[name] = _recalibrated(path, given)
        progress.step("resampling")
        with coming_through(DOOR):
            report = regression_report(
                y,
                models,
                groups=groups,
                n_calibration=args.calibration_rows,
                confidence_level=args.level,
                n_resamples=args.resamples,
                random_state=args.seed,
            )
    write_report(report, args)


def fit_distributions(args: argparse.Namespace) -> None:
    """Fit a calibrator of distributions on held-out rows of a file and save it."""
    check_files({"--out": (args.out, "calibrator")}, [args.file, *column_files(args)])
    with Progress(3) as progress:
        progress.step(f"reading {args.file.name}")
        table = read_table(args.file)
        y = _labels(args, table)
        weight = None
        if args.weight is not None:
            source, name = column_of(table, args.weight)
            weight = check_weight(source.numbers(name), len(y))
        given = _given(args, table)
        calibrator = DistributionCalibrator(
            args.method, input=given.kind, levels=given.levels, random_state=args.seed
        )
        progress.step(f"fitting {args.method}")
        with coming_through(DOOR):
            calibrator.fit(given.array, y, sample_weight=weight)
        rows = _summary(calibrator, given, y, weight)
        progress.step("writing")
        write_calibrator(calibrator, args.out)
    print(f"{args.method} on {len(y):,} rows")
    if args.method == "auto":
        names = ("as given", "Student's t", "residuals")
        weights = zip(names, calibrator.weights_, strict=True)
        print("weights: " + ", ".join(f"{name} {share:.2f}" for name, share in weights))
    print_table(["", "CRPS", "90 % intervals hold", "mean width"], rows)
    print(f"wrote {args.out}")


def apply_to_distributions(args: argparse.Namespace) -> None:
    """Add recalibrated distributions to a table."""
    out = args.out or beside(args.file)
    writable_format(out)
    check_files({"--out": (out, "table")}, [args.calibrator, args.file], replaced=args.file)
    with Progress(3) as progress:
        progress.step(f"reading {args.file.name}")
        table = read_table(args.file)
        progress.step("recalibrating")
        distribution = _recalibrated(args.calibrator, _given(args, table))
        added = {f"{ADDED}mean": distribution.mean(), f"{ADDED}std": distribution.std()}
        args.levels.sort()
        quantiles = distribution.quantile(args.levels)
        added |= {
            f"{ADDED}q_{level:g}": column
            for level, column in zip(args.levels, quantiles.T, strict=True)
        }
        progress.step(f"writing {out.name}")
        write_table(table, added, out)
    print(f"{len(distribution):,} rows: {', '.join(added)}")
    print(f"wrote {out}")


# ---------------------------------------------------------------------- parts


def _labels(args: argparse.Namespace, table: FileTable) -> Float64Array:
    source, name = column_of(table, args.label)
    labels = source.numbers(name)
    if labels.ndim != 1:
        raise ValueError(
            f"column {name!r} of {source.path.name} has shape {labels.shape}; a label is one number"
        )
    return labels.astype(np.float64)


def _given(args: argparse.Namespace, table: FileTable) -> Given:
    """Return the distributions that the options name."""
    named = [option for option in ("mean", "std", "quantiles", "samples") if getattr(args, option)]
    if named not in (["mean", "std"], ["quantiles"], ["samples"]):
        told = " ".join(f"--{option}" for option in named) or "none of them"
        raise ValueError(
            f"name the columns by --mean and --std, --quantiles or --samples; got {told}"
        )
    others = (getattr(args, role, None) for role in ("label", "weight", "group"))
    roles = [name for name in others if name is not None]
    if named == ["mean", "std"]:
        return Given("normal", _matrix(table, [args.mean, args.std]), None)
    columns = table.select(args.samples or args.quantiles, exclude=roles)
    if named == ["samples"]:
        return Given("samples", _matrix(table, columns), None)
    if args.at is not None:
        order = np.argsort(args.at, kind="stable")
        matrix = _matrix(table, columns)
        if matrix.shape[1] != len(args.at):
            raise ValueError(
                f"--at has {len(args.at)} levels for {matrix.shape[1]} columns of quantiles"
            )
        return Given("quantiles", matrix[:, order], np.array(args.at)[order])
    levels = np.array([_level_of(name) for name in columns])
    order = np.argsort(levels, kind="stable")
    return Given("quantiles", _matrix(table, [columns[k] for k in order]), levels[order])


def _matrix(table: FileTable, columns: list[str]) -> Float64Array:
    return np.asarray(table.scores(columns), dtype=np.float64)


def _level_of(name: str) -> float:
    """Return the level at the end of the name of a column."""
    found = _LEVEL.search(name)
    level = float(found[1]) if found else 0.0
    if not 0 < level < 1:
        raise ValueError(
            f"column {name!r} does not end with a level in (0, 1), as q_0.05 does; rename it, or "
            f"give the levels of the columns in their order by --at 0.05,0.5,0.95"
        )
    return level


def _recalibrated(path: Path, given: Given) -> PredictiveDistribution:
    """Return distributions after the calibrator of a file."""
    from calib.persistence import load

    calibrator = load(path)
    if not isinstance(calibrator, DistributionCalibrator):
        raise ValueError(
            f"{path.name} holds a {type(calibrator).__name__}; name a file that calib regress fit "
            f"wrote"
        )
    if calibrator.input != given.kind:
        raise ValueError(
            f"{path.name} was fitted on {calibrator.input} distributions, these are {given.kind}"
        )
    if given.levels is not None and not np.array_equal(given.levels, calibrator.levels):
        raise ValueError(
            f"{path.name} was fitted on quantiles at {shorten(list(map(str, calibrator.levels)))}, "
            f"these are at {shorten(list(map(str, given.levels.tolist())))}"
        )
    return calibrator.predict_distribution(given.array)


def _summary(
    calibrator: DistributionCalibrator,
    given: Given,
    y: Float64Array,
    weight: Float64Array | None,
) -> list[list[str]]:
    """Return the quality before and after, in rows of a table: cross-fitted where rows allow."""
    before = given.distribution()
    rows = [_quality("before", y, [(before, np.arange(len(y)))], weight)]
    if len(y) < MIN_ROWS:
        after = calibrator.predict_distribution(given.array)
        part = [(after, np.arange(len(y)))]
        return [*rows, _quality("after, on the rows of the fit", y, part, weight)]
    parts = []
    for train, test in KFold(N_FOLDS, shuffle=True, random_state=0).split(y):
        own = None if weight is None else weight[train]
        fold = clone(calibrator).fit(given.array[train], y[train], sample_weight=own)
        parts.append((fold.predict_distribution(given.array[test]), test))
    return [*rows, _quality(f"after, {N_FOLDS} folds", y, parts, weight)]


def _quality(
    name: str, y: Float64Array, parts: list[tuple[PredictiveDistribution, Any]], weight: Any
) -> list[str]:
    score, inside, width = (np.empty(len(y)) for _ in range(3))
    for distribution, rows in parts:
        low, high = distribution.interval(0.9).T
        score[rows] = distribution.crps(y[rows])
        inside[rows] = (low <= y[rows]) & (y[rows] <= high)
        width[rows] = high - low
    values = [float(np.average(part, weights=weight)) for part in (score, inside, width)]
    return [name, f"{values[0]:.5g}", f"{100 * values[1]:.1f} %", f"{values[2]:.5g}"]


# ---------------------------------------------------------------------- options


def add_regress(commands: Any, summary: str) -> None:
    """Add the command, and those below it, with their options.

    Parameters
    ----------
    commands : argparse action
        What ``add_subparsers`` returned.
    summary : str
        What the list of commands says.
    """
    raw = argparse.RawDescriptionHelpFormatter
    parser = commands.add_parser(
        "regress", help=summary, epilog=_EPILOG, formatter_class=raw, allow_abbrev=False
    )
    below = parser.add_subparsers(required=True, metavar="COMMAND")
    run = {
        "report": report_distributions,
        "fit": fit_distributions,
        "apply": apply_to_distributions,
    }
    for name, function in run.items():
        command = below.add_parser(
            name, help=_HELP[name], epilog=_COLUMNS, formatter_class=raw, allow_abbrev=False
        )
        command.set_defaults(run=function, command="regress", weight=None)
        add = command.add_argument
        if name == "apply":
            add("calibrator", metavar="CAL.JSON", type=Path, help="written by calib regress fit")
        add("file", metavar="FILE", type=Path, help="table or arrays, as calib report reads them")
        if name != "apply":
            add("--label", required=True, help="column of labels, or a file that holds them alone")
        add("--mean", metavar="COLUMN", help="column of predicted means")
        add("--std", metavar="COLUMN", help="column of predicted standard deviations")
        add("--quantiles", metavar="COLUMNS", help="columns of predicted quantiles")
        at = "levels of the columns of --quantiles, in their order (ends of their names)"
        add("--at", metavar="LEVELS", type=_levels, help=at)
        add("--samples", metavar="COLUMNS", help="columns of equally likely values")
        _ADD[name](add)


def _add_report(add: Any) -> None:
    calibrators = "calibrators to apply, and to report beside what is given"
    add("--calibrator", metavar="CAL.JSON", type=Path, nargs="+", default=[], help=calibrators)
    add("--group", help="column (or file) of groups that are resampled together")
    rows = "rows of the one calibration set that all distributions were computed from"
    add("--calibration-rows", metavar="NUMBER", type=int, help=rows)
    for option, settings in (*RESAMPLING, *OUTPUTS):
        add(option, **settings)


def _add_fit(add: Any) -> None:
    add("--method", choices=METHODS, default="auto", help="map of distributions (%(default)s)")
    add("--weight", help="column (or file) of sample weights")
    add("--seed", type=int, default=0, help="seed of folds and of ties (%(default)s)")
    add("--out", metavar="CAL.JSON", type=Path, required=True, help="file to write")


def _add_apply(add: Any) -> None:
    levels = f"levels of the quantiles to write ({', '.join(map(str, LEVELS))})"
    add("--levels", metavar="LEVELS", type=_levels, default=list(LEVELS), help=levels)
    add("--out", type=Path, help="table to write (FILE.calibrated.*)")


_ADD = {"report": _add_report, "fit": _add_fit, "apply": _add_apply}


def _levels(text: str) -> list[float]:
    """Read levels in (0, 1) with commas between them."""
    try:
        levels = [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} holds more than numbers") from None
    if not all(0 < level < 1 for level in levels) or len(set(levels)) < len(levels):
        raise argparse.ArgumentTypeError(f"levels lie in (0, 1), each once; got {text[:40]}")
    return levels
