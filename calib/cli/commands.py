"""What each command of the command line does with its arguments."""

from __future__ import annotations

import argparse
import ast
import warnings
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from calib._border import labels
from calib._border.advice import coming_through
from calib._border.typing import Float64Array, FloatArray, InputKind, IntArray, LabelArray
from calib._core import links
from calib.base import BaseCalibrator
from calib.cli.features import (
    check_takes_features,
    features_at_fit,
    features_of,
    named_alone,
    taken_rows,
    with_features,
)
from calib.cli.files.columns import shorten
from calib.cli.files.readers import read_table, single_column
from calib.cli.files.tables import FileTable
from calib.cli.files.targets import beside, check_files, check_source
from calib.cli.files.writers import writable_format, write_calibrator, write_table
from calib.cli.saved_scores import (
    ADDED,
    DOOR,
    SavedScores,
    calibrated_labels,
    calibrated_scores,
    class_names,
    label_scores,
    labelled_scores,
    unlabelled_scores,
)
from calib.cli.terminal import print_table, say
from calib.multilabel.calibrator import MultilabelCalibrator
from calib.progress import Progress
from calib.registry import CALIBRATORS, get_entry, make_calibrator, parameter_names

#: Folds of the summary that `fit` prints, and samples below which it makes none.
N_FOLDS, MIN_SAMPLES = 5, 50
#: How the probabilities of that summary are made.
CROSS_FITTED, IN_SAMPLE = f"cross-fitted ({N_FOLDS} folds)", "in-sample (optimistic)"


# ---------------------------------------------------------------------- commands


def demo(args: argparse.Namespace) -> None:
    """Calibrate an over-confident network with every method that takes its logits."""
    from calib.datasets import load_digits_scores
    from calib.evaluation import calibration_report

    check_files({"--html": (args.html, "html")})
    skipped = {}
    with Progress(len(CALIBRATORS) + 3) as progress:
        progress.step("training a network")
        scores = load_digits_scores()
        probas = {"raw": scores.proba_test}
        for name, entry in CALIBRATORS.items():
            progress.step(f"fitting {name}")
            if not entry.available:
                skipped[name] = f"needs {', '.join(entry.needs)}"
                continue
            if entry.load().needs_features:  # without any it is "auto"
                continue
            try:
                calibrator = make_calibrator(name, input="logits")
                if "random_state" in calibrator.get_params():
                    calibrator.set_params(random_state=0)
                calibrator.fit(scores.logits_cal, scores.y_cal)
                probas[name] = calibrator.transform(scores.logits_test)
            except (TypeError, ValueError) as error:  # such as a method for two classes only
                skipped[name] = str(error)
        progress.step("resampling")
        report = calibration_report(scores.y_test, probas)
        progress.step("writing")
        report.to_html(args.html)
    print(report)
    for name, reason in skipped.items():
        say("note", f"{name} is left out: {reason}")
    print(f"\nwrote {args.html}")


def fit_file(args: argparse.Namespace) -> None:
    """Fit a calibrator on a file of scores and save it."""
    if len(args.scores) != 1:
        raise ValueError("name the columns of scores once, with --proba or with --logits")
    check_files({"--out": (args.out, "calibrator")}, [args.file, *column_files(args)])
    kind, columns = args.scores[0]
    calibrator = unfitted_method(args.method, args.param, kind, args.features)
    check_takes_features(args.method, args.features, adaptable=args.adaptable)
    if args.adaptable:
        from calib.prior_shift import PriorShiftAdapter

        calibrator = PriorShiftAdapter(calibrator, input=kind)
    with Progress(3 + N_FOLDS) as progress:
        progress.step(f"reading {args.file.name}")
        table = read_table(args.file)
        y, weight = read_target(args, table)
        roles = {args.label, args.weight} - {None}
        roles |= named_alone(table, args.features)
        kept = weighted_rows(weight)
        scored = labelled_scores(table, kind, columns, y, roles, positive=args.positive, kept=kept)
        features = _features(args, table, scored, len(y)) if args.features else None
        classes, matrix = scored.classes, scored.matrix
        if kept is not None and weight is not None:  # rows of weight 0 are not there
            y, weight, matrix = y[kept], weight[kept], matrix[kept]
            scored = replace(scored, matrix=matrix)
            features = None if features is None else taken_rows(features, np.flatnonzero(kept))
        n_scores = matrix.shape[1]
        names = scored.names if len(scored.names) == n_scores else None
        X: Any = matrix
        if features is not None and classes is not None:
            calibrator.set_params(n_scores=n_scores)
            X = with_features(matrix, classes, features)
            names = names or [f"{scored.names[0]}_{k}" for k in range(n_scores)]
            names = [*names, *features.column_names]
        progress.step(f"fitting {args.method}")
        with coming_through(DOOR):
            calibrator.fit(X, y, sample_weight=weight, labels=classes)
        if names is not None:
            calibrator.feature_names_in_ = np.array(names, dtype=object)
        codes = labels.encode_labels(y, calibrator.classes_, args.label)
        after, how = _held_out(calibrator, X, codes, weight, progress)
        progress.step("writing")
        write_calibrator(calibrator, args.out)
    print(f"{args.method} on {len(y)} samples, {len(calibrator.classes_)} classes")
    if (choice := getattr(calibrator, "choice", None)) is not None:
        print(f"chosen: {choice}")
    if not scored.told and len(scored.names) > 1:
        pairs = zip(scored.names, class_names(calibrator.classes_), strict=True)
        print(f"columns: {shorten([f'{name} = class {label}' for name, label in pairs])}")
    print_summary(scored.probabilities(), after, how, codes, weight)
    print(f"wrote {args.out}")


def print_summary(
    before: FloatArray,
    after: FloatArray,
    how: str,
    codes: IntArray,
    weight: Float64Array | None,
) -> None:
    """Print measures of probabilities as they were and calibrated.

    Parameters
    ----------
    before, after : ndarray of shape (n_samples, n_columns)
    how : str
        How the calibrated ones were made.
    codes : ndarray of shape (n_samples,)
        Class of each row.
    weight : ndarray of shape (n_samples,) or None
    """
    rows = [("before", before), (f"after, {how}", after)]
    print_table(
        ["", "log loss", "Brier score", "ECE (15 bins)", "accuracy"],
        [
            [name, *(f"{value:.5f}" for value in _measures(proba, codes, weight))]
            for name, proba in rows
        ],
    )


def _features(args: argparse.Namespace, table: FileTable, scored: SavedScores, n_rows: int) -> Any:
    """Return the columns that are named as features, none of which has another role."""
    roles = dict.fromkeys(scored.names, "a column of scores")
    roles |= {} if args.weight is None else {args.weight: "the weight column"}
    return features_at_fit(table, args.features, roles | {args.label: "the label column"}, n_rows)


def apply_to_file(args: argparse.Namespace) -> None:
    """Add calibrated probabilities to a file of scores."""
    out = args.out or beside(args.file)
    if len(args.scores) > 1:
        raise ValueError("name the columns of scores once, with --proba or with --logits")
    writable_format(out)
    check_files({"--out": (out, "table")}, [args.calibrator, args.file], replaced=args.file)
    with Progress(3) as progress:
        progress.step(f"reading {args.file.name}")
        calibrator = load_calibrator(args.calibrator, multilabel=True)
        table = read_table(args.file)
        columns = next(iter(args.scores), None)
        if isinstance(calibrator, MultilabelCalibrator):
            if args.positive is not None:
                raise ValueError("--positive is for two classes, not for many labels; leave it out")
            matrix = label_scores(table, calibrator, columns)
            progress.step("calibrating")
            proba = calibrated_labels(calibrator, matrix)
        else:
            scored = unlabelled_scores(table, calibrator, columns, args.positive)
            features = features_of(calibrator, table, len(scored.matrix))
            progress.step("calibrating")
            proba = calibrated_scores(calibrator, scored, features)
        progress.step(f"writing {out.name}")
        texts = class_names(calibrator.classes_)
        if out.name.lower().endswith(".npz"):
            stem = ADDED.rstrip("_")
            added = {stem: proba, f"classes_of_{stem}": np.array(texts)}
        else:
            added = {f"{ADDED}{label}": proba[:, k] for k, label in enumerate(texts)}
        write_table(table, added, out)
    print(f"wrote {len(proba)} rows to {out}, with {shorten(list(added), 4)}")


def adapt_file(args: argparse.Namespace) -> None:
    """Write a calibrator that is corrected for other class frequencies."""
    from calib.prior_shift import PriorShiftAdapter

    if (args.file is None) == (args.prior is None):
        raise ValueError("name a FILE of unlabelled scores, or known frequencies with --prior")
    inputs = [args.calibrator, *([args.file] if args.file else [])]
    check_files({"--out": (args.out, "calibrator")}, inputs)
    adapter = load_calibrator(args.calibrator)
    if not isinstance(adapter, PriorShiftAdapter):
        raise ValueError(
            f"{args.calibrator.name} does not know the frequencies that it was fitted on; fit it "
            f"with calib fit --adaptable"
        )
    names = class_names(adapter.classes_)
    if args.prior is not None:
        adapted = adapter.adapt(prior=_read_prior(args.prior, names))
    else:
        table = read_table(args.file)
        scored = unlabelled_scores(table, adapter, next(iter(args.scores), None), args.positive)
        named = adapter.__dict__.pop("feature_names_in_", None)  # a matrix has no names
        adapted = adapter.adapt(scored.matrix)
        if named is not None:
            adapted.feature_names_in_ = named
    write_calibrator(adapted, args.out)
    interval = adapted.prior_interval_
    rows = [
        [
            name,
            f"{adapter.source_prior_[k]:.4f}",
            f"{adapted.prior_[k]:.4f}",
            "" if interval is None else f"{interval[k, 0]:.4f} to {interval[k, 1]:.4f}",
        ]
        for k, name in enumerate(names)
    ]
    print(("adapted: " if adapted.adapted_ else "not adapted: ") + adapted.reason_)
    print_table(["class", "at fit", "now", "95 % interval"], rows)
    print(f"wrote {args.out}")


def _read_prior(text: str, names: list[str]) -> list[float]:
    """Return frequencies in the order of the classes, from CLASS=SHARE with commas between."""
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, equals, share = part.strip().rpartition("=")
        try:
            shares[name] = float(share)
        except ValueError:
            equals = ""
        if not equals:
            raise ValueError(
                f"--prior {part.strip()}: write it as CLASS=SHARE, e.g. {names[0]}=0.9"
            )
    if set(shares) != set(names):
        raise ValueError(
            f"--prior must name the classes {shorten(names)}; got {shorten(list(shares))}"
        )
    return [shares[name] for name in names]


def export_file(args: argparse.Namespace) -> None:
    """Write the calibrator of a file as an ONNX model."""
    from calib.export import to_onnx
    from calib.persistence import load

    out = args.out or args.calibrator.with_suffix(".onnx")
    check_files({"--out": (out, "model")}, [args.calibrator])
    check_source(args.calibrator)
    try:
        model = to_onnx(load(args.calibrator), out, opset=args.opset)
    except TypeError as error:
        raise ValueError(f"{args.calibrator.name}: {error}") from error
    names = ", ".join(value.name for value in model.graph.input)
    print(f"wrote {out}: {names} -> {model.graph.output[0].name}, opset {args.opset}")


# ---------------------------------------------------------------------- reading


def read_target(
    args: argparse.Namespace, table: FileTable
) -> tuple[LabelArray, Float64Array | None]:
    """Return the labels and the weights of a table, or of files named in place of its columns."""
    source, name = column_of(table, args.label)
    y = source.labels(name)
    weight = None
    if args.weight is not None:
        source, name = column_of(table, args.weight)
        weight = source.numbers(name)
    return y, labels.check_weight(weight, len(y))


def column_files(args: argparse.Namespace) -> list[Path]:
    """Return the files that are named in place of columns.

    Parameters
    ----------
    args : Namespace
        With `label`, `weight` and, where the command has one, `group`.
    """
    names = (args.label, args.weight, getattr(args, "group", None))
    return [Path(name) for name in names if name and _is_file(name)]


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # too long for a name, or no name at all
        return False


def column_of(table: FileTable, name: str) -> tuple[FileTable, str]:
    """Return where a column is: in the table, or alone in a file of that name.

    Parameters
    ----------
    table : FileTable
    name : str
        Of a column, or of a file that holds it alone.

    Returns
    -------
    table : FileTable
    name : str
        What the column is called there.
    """
    if name in table.columns or not _is_file(name):
        return table, name
    source, only = single_column(Path(name))
    return source, only


def weighted_rows(weight: Float64Array | None) -> LabelArray | None:
    """Return which rows have a positive weight, None where all have."""
    return None if weight is None or weight.all() else weight > 0


# ---------------------------------------------------------------------- calibrating


def load_calibrator(path: Path, *, multilabel: bool = False) -> Any:
    """Return the calibrator of a file, or say of what kind it is.

    Parameters
    ----------
    path : Path
    multilabel : bool, default=False
        Whether it may be one of many labels.

    Returns
    -------
    calibrator : BaseCalibrator or MultilabelCalibrator
    """
    from calib.persistence import load

    check_source(path)
    calibrator = load(path)
    if isinstance(calibrator, MultilabelCalibrator):
        if not multilabel:
            raise ValueError(
                f"{path.name} calibrates many labels; calib apply and calib report --multilabel "
                f"take it"
            )
    elif not isinstance(calibrator, BaseCalibrator):
        raise ValueError(f"{path.name} calibrates a detector; use calib detect instead")
    return calibrator


def unfitted_method(
    method: str, params: list[str], kind: InputKind, features: list[str], more: Iterable[str] = ()
) -> BaseCalibrator:
    """Return an unfitted calibrator with the parameters of the command line.

    Parameters
    ----------
    method : str
        Registry name.
    params : list of str
        Written as KEY=VALUE.
    kind : {"logits", "proba"}
    features : list of str
        Columns beside the scores, which say how many columns are scores.
    more : iterable of str
        Parameters that are known beside those of the method, for errors.
    """
    entry = get_entry(method)
    if not entry.available:
        raise ValueError(f"{method} needs {', '.join(entry.needs)}, which is not installed")
    if any(text.partition("=")[:2] == ("input", "=") for text in params):
        raise ValueError("--param input: --logits and --proba say what the scores are")
    if features and any(text.partition("=")[:2] == ("n_scores", "=") for text in params):
        raise ValueError("--param n_scores: --features says which columns follow the scores")
    known = sorted({*parameter_names(entry.load()), *more} - {"input"})
    values = read_parameters(params, known, method)
    return make_calibrator(
        method, input=kind, **{key: value for key, value in values.items() if key not in more}
    )


def read_parameters(params: list[str], known: list[str], method: str) -> dict[str, Any]:
    """Return the values of parameters that are written as KEY=VALUE."""
    values = {}
    for text in params:
        key, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"--param {text}: write it as KEY=VALUE")
        if key not in known:
            takes = f"takes {', '.join(known)}" if known else "takes none"
            raise ValueError(f"--param {key}: {method} has no such parameter; it {takes}")
        values[key] = _value(value)
    return values


def _value(text: str) -> Any:
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text  # the method says what it takes


def _held_out(
    calibrator: BaseCalibrator,
    X: Any,
    codes: IntArray,
    weight: Float64Array | None,
    progress: Progress,
) -> tuple[FloatArray, str]:
    """Return cross-fitted probabilities, or those of the fit itself where data are few."""
    from sklearn.base import clone
    from sklearn.model_selection import StratifiedKFold

    classes = np.arange(len(calibrator.classes_))
    used = np.arange(len(codes)) if weight is None else np.flatnonzero(weight > 0)
    counts = np.sort(np.bincount(codes[used]))
    if len(used) < MIN_SAMPLES or counts[-2] < N_FOLDS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the same fit has warned before
            fitted = clone(calibrator).fit(X, codes, sample_weight=weight, labels=classes)
        return fitted.transform(X), IN_SAMPLE
    n_classes = len(calibrator.classes_)  # samples without weight count nowhere: uniform
    proba = np.full((len(codes), n_classes), 1.0 / n_classes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # rare classes; the full fit has warned of all else
        folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=0).split(used, codes[used])
        for number, (train, test) in enumerate(folds, start=1):
            progress.step(f"checking on held-out part {number}")
            rows, out = used[train], used[test]
            part = None if weight is None else weight[rows]
            fitted = clone(calibrator).fit(
                taken_rows(X, rows), codes[rows], sample_weight=part, labels=classes
            )
            proba[out] = fitted.transform(taken_rows(X, out))
    return proba, CROSS_FITTED


def _measures(proba: FloatArray, codes: IntArray, weight: Float64Array | None) -> list[float]:
    """Return log loss, Brier score, expected calibration error and accuracy."""
    from calib.evaluation import brier_score, expected_calibration_error, log_loss

    columns = links.both_columns(proba, "proba", np) if proba.shape[1] == 1 else proba
    options = {"sample_weight": weight, "labels": np.arange(columns.shape[1])}
    functions = (log_loss, brier_score, expected_calibration_error)
    accuracy = float(np.average(columns.argmax(axis=1) == codes, weights=weight))
    return [*(function(codes, columns, **options) for function in functions), accuracy]
