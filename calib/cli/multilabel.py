"""``--multilabel``: what ``calib fit`` and ``calib report`` do where a row has many labels."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from calib._border.advice import coming_through
from calib._border.columns import places_of
from calib._border.labels import check_weight
from calib._border.optional import require
from calib._border.typing import Float64Array, FloatArray, InputKind
from calib._core import links
from calib.cli.commands import (
    CROSS_FITTED,
    IN_SAMPLE,
    MIN_SAMPLES,
    N_FOLDS,
    column_files,
    column_of,
    load_calibrator,
    print_summary,
    read_parameters,
    unfitted_method,
)
from calib.cli.features import taken_rows
from calib.cli.files.columns import row_text, shorten
from calib.cli.files.readers import read_table
from calib.cli.files.tables import FileTable
from calib.cli.files.targets import check_files
from calib.cli.files.writers import report_outputs, write_calibrator, write_report
from calib.cli.report import names_of_scores
from calib.cli.saved_scores import DOOR, calibrated_labels, check_cells
from calib.multilabel.calibrator import MultilabelCalibrator
from calib.progress import Progress
from calib.registry import CALIBRATORS

#: Parameters of `MultilabelCalibrator` that ``--param`` sets, beside those of the method.
OF_LABELS = ("per_label", "prior_weight", "ignore_index")


def fit_labels(args: argparse.Namespace) -> None:
    """Fit a calibrator of many labels on a file of scores and save it."""
    if len(args.scores) != 1:
        raise ValueError("name the columns of scores once, with --proba or with --logits")
    _refuse(args, {"features": [], "adaptable": False, "positive": None})
    check_files({"--out": (args.out, "calibrator")}, [args.file, *column_files(args)])
    kind, columns = args.scores[0]
    method = "spline" if args.method == "auto" else args.method
    calibrator = _new(method, args.param, kind)
    with Progress(3 + N_FOLDS) as progress:
        progress.step(f"reading {args.file.name}")
        table = read_table(args.file)
        labels, targets = _read_labels(args, table, calibrator.ignore_index)
        names, matrix = _read_scores(args, table, kind, columns, labels, targets)
        weight = None
        if args.weight is not None:
            source, name = column_of(table, args.weight)
            weight = check_weight(source.numbers(name), len(targets))
        X, Y = _named(matrix, names), _named(targets, labels)
        progress.step(f"fitting {method}")
        with coming_through(DOOR):
            calibrator.fit(X, Y, sample_weight=weight)
        known = np.isfinite(targets)
        after, how = _held_out(calibrator, X, Y, known, weight, progress)
        progress.step("writing")
        write_calibrator(calibrator, args.out)
    print(f"{method} on {len(targets)} samples, {targets.shape[1]} labels")
    if names is not None and labels is not None:
        pairs = zip(names, labels, strict=True)
        print(f"columns: {shorten([f'{name} = label {label}' for name, label in pairs])}")
    cells = None if weight is None else np.broadcast_to(weight[:, None], known.shape)[known]
    before = links.expit(matrix, np) if kind == "logits" else matrix
    codes = targets[known].astype(np.intp)
    print_summary(before[known][:, None], after[known][:, None], how, codes, cells)
    print(f"wrote {args.out}")


def report_labels(args: argparse.Namespace) -> None:
    """Measure the probabilities of many labels, as they are and calibrated."""
    from calib.evaluation import multilabel_report

    unset = {"stream": False, "networks": [], "id": None, "by": [], "pairs": False, "weight": None}
    _refuse(args, {**unset, "measures": None, "reference": None, "positive": None, "json": None})
    if not isinstance(args.bins, int):
        raise ValueError("--bins with --multilabel is a number of bins of equal width, no edges")
    if not args.scores:
        raise ValueError("name the columns of scores with --proba or --logits")
    model_names = names_of_scores(args)
    check_files(report_outputs(args), [args.file, *args.calibrator, *column_files(args)])
    n_steps = 2 + len(args.scores) + len(args.calibrator)
    with Progress(n_steps) as progress:
        progress.step(f"reading {args.file.name}")
        table = read_table(args.file)
        labels, targets = _read_labels(args, table)
        groups = None
        if args.group is not None:
            source, name = column_of(table, args.group)
            groups = source.labels(name)
        matrices: dict[InputKind, FloatArray] = {}
        probas: dict[str, FloatArray] = {}
        for name, (kind, columns) in zip(model_names, args.scores, strict=True):
            _, matrix = _read_scores(args, table, kind, columns, labels, targets)
            matrices.setdefault(kind, matrix)
            probas[name] = links.expit(matrix, np) if kind == "logits" else matrix
        for path in args.calibrator:
            progress.step("calibrating")
            name = path.stem if path.stem not in probas else str(path)
            probas[name] = _calibrated(path, matrices)
        progress.step("resampling")
        report = multilabel_report(
            targets,
            probas,
            label_names=labels,
            groups=groups,
            n_bins=args.bins,
            confidence_level=args.level,
            n_resamples=args.resamples,
            random_state=args.seed,
        )
    write_report(report, args)


# ---------------------------------------------------------------------- options


def _refuse(args: argparse.Namespace, unset: dict[str, Any]) -> None:
    """Raise for options that say nothing where a row has many labels."""
    for name, value in unset.items():
        if getattr(args, name) != value:
            option = "scores" if name == "networks" else name
            raise ValueError(f"--multilabel does without --{option}; leave out one of them")


def _new(method: str, params: list[str], kind: InputKind) -> MultilabelCalibrator:
    """Return an unfitted calibrator, with parameters of its own and of the curve of all labels."""
    own = [text for text in params if text.partition("=")[0] in OF_LABELS]
    others = [text for text in params if text not in own]
    if method in CALIBRATORS and CALIBRATORS[method].load().needs_features:
        raise ValueError(
            f"{method} reads features beside the scores, which many labels have no place for; "
            f"choose another method, such as spline or platt"
        )
    curve = unfitted_method(method, others, kind, [], OF_LABELS)
    options = read_parameters(own, list(OF_LABELS), method)
    return MultilabelCalibrator(curve if others else method, input=kind, **options)


# ---------------------------------------------------------------------- reading


def _read_labels(
    args: argparse.Namespace, table: FileTable, ignore_index: float | None = None
) -> tuple[list[str] | None, Float64Array]:
    """Return the names of the labels and their cells: 0, 1, or nan where one is unknown."""
    source, patterns = column_of(table, args.label)
    names = source.select(patterns, exclude={args.weight} - {None})
    columns = [source.numbers_or_none(name) for name in names]
    for name, column in zip(names, columns, strict=True):
        if len(column) != len(columns[0]) or (column.ndim > 1 and len(names) > 1):
            raise ValueError(
                f"{names[0]!r} has shape {columns[0].shape}, but {name!r} has {column.shape}; name "
                f"one two-dimensional array of labels, or several one-dimensional ones"
            )
        if ignore_index is not None:
            column[column == ignore_index] = np.nan
        wrong = np.isfinite(column) & (column != 0) & (column != 1)
        if wrong.any():
            row, *rest = (int(k) for k in np.argwhere(wrong)[0])
            raise ValueError(
                f"column {name!r} of {source.path.name} has {column[(row, *rest)]:g} in "
                f"{row_text(row)}; labels of --multilabel are 0, 1, or empty where unknown (or a "
                f"code that --param ignore_index=CODE names)"
            )
    if columns[0].ndim > 1:
        return None, columns[0]
    return names, np.stack(columns, axis=1)


def _read_scores(
    args: argparse.Namespace,
    table: FileTable,
    kind: InputKind,
    columns: str,
    labels: list[str] | None,
    targets: Float64Array,
) -> tuple[list[str] | None, FloatArray]:
    """Return the columns of scores in the order of the labels, and their values."""
    roles = {args.weight, getattr(args, "group", None), *(labels or ())} - {None}
    names = table.select(columns, exclude=roles)
    places = None if labels is None else places_of(labels, names)
    names = names if places is None else [names[k] for k in places]
    matrix = table.scores(names)
    if matrix.shape[1] != targets.shape[1]:
        raise ValueError(
            f"{args.label} has {targets.shape[1]} columns, {columns} {matrix.shape[1]}; with "
            f"--multilabel every label needs one column of scores"
        )
    if len(matrix) != len(targets):
        raise ValueError(f"{columns} has {len(matrix)} rows, the columns of labels {len(targets)}")
    check_cells(matrix, kind, columns)
    return names if len(names) == matrix.shape[1] else None, matrix


def _named(matrix: FloatArray, names: list[str] | None) -> Any:
    """Return a matrix as a table where its columns have names."""
    if names is None:
        return matrix
    pyarrow = require("pyarrow", extra="cli", purpose="calibrating named columns of labels")
    return pyarrow.table({name: matrix[:, k] for k, name in enumerate(names)})


# ---------------------------------------------------------------------- calibrating


def _calibrated(path: Path, matrices: dict[InputKind, FloatArray]) -> FloatArray:
    """Return the probabilities of a calibrator, from the first scores of its kind."""
    calibrator = load_calibrator(path, multilabel=True)
    if not isinstance(calibrator, MultilabelCalibrator):
        raise ValueError(f"{path.name} calibrates classes; fit it with calib fit --multilabel")
    matrix = matrices.get(calibrator.input)
    if matrix is None:
        raise ValueError(
            f"{path.name} was fitted with --{calibrator.input}; name such columns with "
            f"--{calibrator.input}"
        )
    return calibrated_labels(calibrator, matrix)


def _held_out(
    calibrator: MultilabelCalibrator,
    X: Any,
    Y: Any,
    known: Any,
    weight: Float64Array | None,
    progress: Progress,
) -> tuple[FloatArray, str]:
    """Return cross-fitted probabilities, or those of the fit itself where data are few."""
    from sklearn.base import clone
    from sklearn.model_selection import KFold

    n_rows = len(known)
    used = np.arange(n_rows) if weight is None else np.flatnonzero(weight > 0)
    in_sample = calibrator.predict_proba(X), IN_SAMPLE
    if len(used) < MIN_SAMPLES:
        return in_sample
    proba = np.full(known.shape, 0.5)  # samples without weight count nowhere
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # rare labels; the full fit has warned of all else
        splits = KFold(N_FOLDS, shuffle=True, random_state=0).split(used)
        for number, (train, test) in enumerate(splits, start=1):
            progress.step(f"checking on held-out part {number}")
            rows, out = used[train], used[test]
            part = None if weight is None else weight[rows]
            fitted = clone(calibrator)
            try:
                fitted.fit(taken_rows(X, rows), taken_rows(Y, rows), sample_weight=part)
            except ValueError:  # too few labels for a part of them to be fitted to
                return in_sample
            proba[out] = fitted.predict_proba(taken_rows(X, out))
    return proba, CROSS_FITTED
