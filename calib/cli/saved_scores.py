"""Saved scores: which columns of a file they are, and of which class each column is."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from calib._border import labels, validation
from calib._border.advice import Door
from calib._border.columns import (
    INTEGER,
    class_name,
    named_positive,
    order_of,
    places_of,
    told_classes,
)
from calib._border.typing import FloatArray, InputKind, IntArray, LabelArray
from calib._border.warn import warn
from calib._core import links
from calib.base import BaseCalibrator
from calib.cli.features import matrix_of, with_features
from calib.cli.files.columns import shorten
from calib.cli.files.tables import FileTable
from calib.cli.terminal import say
from calib.multilabel.calibrator import MultilabelCalibrator
from calib.warnings import ProbabilitiesAsLogitsWarning

#: Beginning of the names of the columns that hold calibrated probabilities.
ADDED = "calibrated_"

#: What the command line can do about scores that contradict the labels.
DOOR = Door(
    positive="pass --positive {label}",
    order=(
        "list the columns after --proba or --logits in the order of the sorted labels, or name "
        "them by the labels"
    ),
    sign="negate them in the file",
    shift="shift them back in the file",
    check=(
        "the order of the columns, the positive one of two classes (--positive), whether the "
        "labels are shifted, and the sign of the scores"
    ),
    declared="--logits was given",
    kind="pass --proba if they are",
    written=lambda label: shlex.quote(class_name(label)),
)


@dataclass(frozen=True)
class SavedScores:
    """Scores of a file with what is known about their columns.

    Attributes
    ----------
    kind : {"logits", "proba"}
        What they are, as the user said.
    names : list of str
        Columns of the file, or its one array.
    matrix : ndarray of shape (n_samples, n_columns)
        Their values.
    classes : ndarray of shape (n_classes,) or None
        Class of each column, or both classes of a single column, of which it is the second; None
        where nothing is known but that they are those of a calibrator.
    told : bool
        Whether names told the classes.
    """

    kind: InputKind
    names: list[str]
    matrix: FloatArray
    classes: LabelArray | None
    told: bool = False

    def turned(self) -> FloatArray:
        """Return the matrix with both classes in each other's place."""
        if self.matrix.shape[1] == 2:
            return self.matrix[:, ::-1]
        turned: FloatArray = 1 - self.matrix if self.kind == "proba" else -self.matrix
        return turned

    def probabilities(self) -> FloatArray:
        """Return the scores as probabilities."""
        if self.kind == "proba":
            return self.matrix
        z = self.matrix
        columns = links.both_columns(z, "logits", np) if z.shape[1] == 1 else z
        proba: FloatArray = links.softmax(columns, np)
        return proba


def labelled_scores(
    table: FileTable,
    kind: InputKind,
    columns: str,
    y: LabelArray,
    other: set[str],
    *,
    positive: str | None = None,
    kept: LabelArray | None = None,
    rows: IntArray | None = None,
    called: str | None = None,
) -> SavedScores:
    """Read scores, in the order of the classes where the names of their columns tell it.

    Parameters
    ----------
    table : Table
    kind : {"logits", "proba"}
    columns : str
        Names and globs.
    y : ndarray of shape (n_samples,)
        Labels.
    other : set of str
        Columns with another role, which globs leave out.
    positive : str, default=None
        The positive one of two classes, as ``--positive`` has it.
    kept : ndarray of bool, shape (n_samples,), default=None
        Rows of positive weight; None means all.
    rows : ndarray of int, shape (n_samples,), default=None
        Row of the table that belongs to each label; None means that they are in order.
    called : str, default=None
        What messages call the scores; None means `columns`.
    """
    called = called or columns
    names = table.select(columns, exclude=other)
    matrix = table.scores(names, masked=kind == "logits")
    if len(matrix) != len(y):
        raise ValueError(f"{called} has {len(matrix)} rows, the label column {len(y)}")
    matrix = matrix if rows is None else matrix[rows]
    seen = y if kept is None else y[kept]
    names, classes, order, told = settle(names, matrix.shape[1], seen, called, positive)
    if order is not None:
        matrix = np.take(matrix, order, axis=1)
    scored = SavedScores(kind, names, matrix, classes, told)
    _check(scored if kept is None else replace(scored, matrix=matrix[kept]), called)
    return scored


def settle(
    names: list[str], n_columns: int, y: LabelArray, columns: str, positive: str | None
) -> tuple[list[str], LabelArray, IntArray | None, bool]:
    """Return names in the order of the classes, the classes, the order, and whether names told."""
    given = names if len(names) == n_columns else None
    pos_label = None if positive is None else label_of(positive, y)
    told = given is not None and len(names) > 1 and told_classes(names, y) is not None
    classes, order = labels.settle_classes(
        y,
        n_columns,
        given,
        pos_label=pos_label,
        name="the label column",
        columns_of=columns,
        turn=True,
    )
    if order is not None and given is not None:
        names = [names[k] for k in order]
        say("note", f"columns are taken in the order of their classes: {shorten(names)}")
    if n_columns == 1 and positive is None and class_name(classes[1]) in names[0]:
        if named_positive(names[0], np.sort(classes)) == 0:
            say("note", f"{names[0]} is read as the score of {class_name(classes[1])}")
    return names, classes, order, told


def label_of(text: str, known: LabelArray) -> object:
    """Return the label that a text of the command line stands for."""
    for label in np.unique(known).tolist():
        if class_name(label) == text:
            return label
    if known.dtype.kind in "iuf" and INTEGER.fullmatch(text):
        return int(text)
    if known.dtype.kind == "b" and text in ("True", "False"):
        return text == "True"
    if known.dtype.kind in "UO":
        return text
    raise ValueError(f"--positive {text}: the labels are {shorten(class_names(np.unique(known)))}")


def _check(scored: SavedScores, columns: str) -> None:
    """Raise or warn where scores are not what the option says."""
    if scored.kind == "proba":
        hint = "but --proba was given; pass --logits if these are logits"
        validation.check_probabilities(scored.matrix, columns, hint=hint)
    elif validation.looks_like_probabilities(scored.matrix):
        warn(
            f"{columns} looks like probabilities but --logits was given; pass --proba if they are",
            ProbabilitiesAsLogitsWarning,
        )


def unlabelled_scores(
    table: FileTable,
    calibrator: BaseCalibrator,
    columns: tuple[InputKind, str] | None,
    positive: str | None = None,
) -> SavedScores:
    """Read the scores that a calibrator is to be applied to.

    Parameters
    ----------
    table : Table
    calibrator : BaseCalibrator
    columns : tuple of (kind, names and globs) or None
        What the user said; None means the columns of the fit, or else the only ones that can be
        meant.
    positive : str, default=None
        Class of a single column; None means that of the fit, unless the column is named by the
        other.
    """
    kind = calibrator.input
    names = _score_names(table, calibrator, columns)
    if len(names) > 1:
        told = told_classes(names, calibrator.classes_)
        order = None if told is None else order_of(told, calibrator.classes_)
        names = names if order is None else [names[k] for k in order]
    scored = SavedScores(kind, names, table.scores(names, masked=kind == "logits"), None)
    if columns is None and kind == "logits" and _contradicts(scored.matrix, calibrator):
        raise ValueError(
            f"the calibrator was fitted on logits, and {shorten(names)} of {table.path.name} looks "
            f"like probabilities; name the columns that hold logits, with --logits, or these if "
            f"they do"
        )
    _check(scored, shorten(names) if columns is None else columns[1])
    both = calibrator.classes_
    if positive is not None and positive not in class_names(both):
        raise ValueError(
            f"--positive {positive}: the classes of the calibrator are {shorten(class_names(both))}"
        )
    if scored.matrix.shape[1] == 1 and len(both) == 2:
        place = named_positive(names[0], both)
        if positive is not None:
            place = class_names(both).index(positive)
        if place == 0:
            say("note", f"{names[0]} is read as the score of {class_name(both[0])}")
            return replace(scored, matrix=scored.turned())
    return scored


def label_scores(
    table: FileTable, calibrator: MultilabelCalibrator, columns: tuple[InputKind, str] | None
) -> FloatArray:
    """Read the scores of many labels that a calibrator is to be applied to, in its order.

    Parameters
    ----------
    table : FileTable
    calibrator : MultilabelCalibrator
    columns : tuple of (kind, names and globs) or None
        What the user said; None means the columns of the fit, or else the only ones that can be
        meant.
    """
    names = _score_names(table, calibrator, columns)
    places = places_of(class_names(calibrator.classes_), names)
    names = names if places is None else [names[k] for k in places]
    matrix = table.scores(names)
    if matrix.shape[1] != calibrator.n_features_in_:
        raise ValueError(
            f"the calibrator reads {calibrator.n_features_in_} columns of scores, one per label; "
            f"{shorten(names)} has {matrix.shape[1]}"
        )
    check_cells(matrix, calibrator.input, shorten(names))
    return matrix


def check_cells(matrix: FloatArray, kind: InputKind, columns: str) -> None:
    """Raise unless scores of many labels, whose rows need not sum to 1, are what was said."""
    if kind == "proba":
        hint = "but --proba was given; pass --logits if these are logits"
        validation.check_probabilities(matrix.reshape(-1, 1), columns, hint=hint)


def _score_names(
    table: FileTable,
    calibrator: BaseCalibrator | MultilabelCalibrator,
    columns: tuple[InputKind, str] | None,
) -> list[str]:
    """Return the columns that a calibrator reads as scores."""
    kind = calibrator.input
    n_scores = _n_scores(calibrator)
    if columns is not None:
        given, patterns = columns
        if given != kind:
            raise ValueError(
                f"the calibrator was fitted with --{kind}; pass --{kind} instead of --{given}"
            )
        return table.select(patterns)
    recorded = getattr(calibrator, "feature_names_in_", None)
    if recorded is None:
        return _obvious(table, calibrator)
    recorded = [str(name) for name in recorded[:n_scores]]
    lost = [name for name in recorded if name not in table.columns]
    if not lost:
        return recorded
    matrices = {matrix_of(table, name) for name in recorded}
    (matrix,) = matrices if len(matrices) == 1 else (None,)
    if matrix is not None and table.widths()[matrix] == n_scores:
        return [matrix]
    if not table.holds_arrays:
        raise ValueError(
            f"{table.path.name} lacks the column {lost[0]!r} of the fit; name the columns with "
            f"--{kind}"
        )
    return _obvious(table, calibrator)


def _n_scores(calibrator: BaseCalibrator | MultilabelCalibrator) -> int:
    n_columns = calibrator.n_features_in_
    return (
        calibrator.n_score_columns(n_columns)
        if isinstance(calibrator, BaseCalibrator)
        else n_columns
    )


#: Values of one column, all in [0, 1], from which they are no log-odds of a fit that went beyond.
ENOUGH = 20


def _contradicts(matrix: FloatArray, calibrator: BaseCalibrator) -> bool:
    """Return whether scores are probabilities and not the logits that a calibrator reads."""
    if not validation.looks_like_probabilities(matrix):
        return False
    record = calibrator.fit_record_
    beyond = record is not None and not 0 <= record.low <= record.high <= 1
    return matrix.shape[1] > 1 or (len(matrix) >= ENOUGH and beyond)


def _obvious(table: FileTable, calibrator: BaseCalibrator | MultilabelCalibrator) -> list[str]:
    """Return the only columns that can be meant: one per class, or the only fitting matrix."""
    texts = class_names(calibrator.classes_)
    width = _n_scores(calibrator)
    ends = texts if width == len(texts) else [""]
    prefixes = {name.removesuffix(ends[0]) for name in table.columns if name.endswith(ends[0])}
    choices = [
        [prefix + end for end in ends]
        for prefix in sorted(prefixes - {ADDED})
        if all(prefix + end in table.columns for end in ends)  # ends at the first that lacks
    ]
    matrices = table.widths()
    if table.holds_arrays or (not choices and matrices):
        choices = [[name] for name, size in matrices.items() if size == width]
    if len(choices) != 1:
        raise ValueError(
            f"{'several' if choices else 'no'} columns of {table.path.name} can be the scores; "
            f"name them with --{calibrator.input}"
        )
    return choices[0]


def calibrated_scores(
    calibrator: BaseCalibrator, scored: SavedScores, features: Any = None
) -> FloatArray:
    """Calibrate a matrix, with its columns in the order of the classes where these are known.

    Probabilities are in the order of ``scored.classes`` or, where it is None, of the calibrator.
    `features` are those of `features_of`.
    """
    matrix = scored.matrix
    theirs = np.array(class_names(calibrator.classes_))
    ours = None if scored.classes is None else np.array(class_names(scored.classes))
    order = None if ours is None else order_of(theirs, ours)
    if ours is not None and order is not None:  # the same classes in another order
        back = np.argsort(order)
        matrix = scored.turned() if len(theirs) == 2 else np.take(matrix, back, axis=1)
    recorded = getattr(calibrator, "feature_names_in_", None)
    if recorded is not None:
        recorded = recorded[: _n_scores(calibrator)]
        if ours is None and len(recorded) > 1 and set(recorded) == set(scored.names):
            told = told_classes(list(recorded), theirs)
            by_class = None if told is None else order_of(told, theirs)
            wanted = list(recorded) if by_class is None else [recorded[k] for k in by_class]
            place = {name: k for k, name in enumerate(scored.names)}
            matrix = np.take(matrix, [place[name] for name in wanted], axis=1)
        del calibrator.feature_names_in_  # the matrix has no names to compare
    if features is not None:
        matrix = with_features(matrix, calibrator.classes_, features)
        calibrator.feature_names_in_ = np.array(matrix.column_names, dtype=object)
    proba: FloatArray = calibrator.transform(matrix)
    return proba if order is None else np.take(proba, order, axis=1)


def calibrated_labels(calibrator: MultilabelCalibrator, matrix: FloatArray) -> FloatArray:
    """Calibrate scores of many labels in the order of the calibrator."""
    calibrator.__dict__.pop("feature_names_in_", None)  # the matrix has no names to compare
    proba: FloatArray = calibrator.transform(matrix)
    return proba


def class_names(classes: LabelArray) -> list[str]:
    """Return classes as text."""
    return [class_name(label) for label in classes]
