"""Saved scores: which columns of a file they are, and of which class each column is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calib._border.typing import FloatArray, InputKind, LabelArray
from calib._border.warn import warn
from calib._cli.columns import class_name, classes_in_names, shorten
from calib._cli.tables import Table
from calib._cli.terminal import say
from calib._core import labels, links, validation
from calib.base import BaseCalibrator
from calib.warnings import ProbabilitiesAsLogitsWarning

#: Beginning of the names of the columns that hold calibrated probabilities.
ADDED = "calibrated_"


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
    classes : ndarray of shape (n_columns,) or None
        Class of each column where the names tell.
    """

    kind: InputKind
    names: list[str]
    matrix: FloatArray
    classes: LabelArray | None

    def probabilities(self) -> FloatArray:
        if self.kind == "proba":
            return self.matrix
        z = self.matrix
        columns = links.both_columns(z, "logits", np) if z.shape[1] == 1 else z
        proba: FloatArray = links.softmax(columns, np)
        return proba


def labelled_scores(
    table: Table, kind: InputKind, columns: str, y: LabelArray, other: set[str]
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
    """
    names = table.select(columns, exclude=other)
    classes = classes_in_names(names, y) if len(names) > 1 else None
    if classes is not None:
        order = np.argsort(classes, kind="stable")
        classes, in_file = classes[order], names
        names = [names[k] for k in order]
        if names != in_file:
            say("note", f"columns are taken in the order of their classes: {shorten(names)}")
    scored = SavedScores(kind, names, table.scores(names, masked=kind == "logits"), classes)
    if len(scored.matrix) != len(y):
        raise ValueError(f"{columns} has {len(scored.matrix)} rows, the label column {len(y)}")
    _check(scored, columns)
    if classes is None:
        n_classes = max(2, scored.matrix.shape[1])
        labels.classes_of(y, n_classes, "the label column", columns)
    return scored


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
    table: Table, calibrator: BaseCalibrator, columns: tuple[InputKind, str] | None
) -> SavedScores:
    """Read the scores that a calibrator is to be applied to.

    Parameters
    ----------
    table : Table
    calibrator : BaseCalibrator
    columns : tuple of (kind, names and globs) or None
        What the user said; None means the columns of the fit, or else the only ones that can be
        meant.
    """
    kind = calibrator.input
    recorded = getattr(calibrator, "feature_names_in_", None)
    if columns is not None:
        given, patterns = columns
        if given != kind:
            raise ValueError(
                f"the calibrator was fitted with --{kind}; pass --{kind} instead of --{given}"
            )
        names = table.select(patterns)
    elif recorded is not None and (not table.holds_arrays or set(recorded) <= set(table.columns)):
        lost = [name for name in recorded if name not in table.columns]
        if lost:
            raise ValueError(
                f"{table.path.name} lacks the column {lost[0]!r} of the fit; name the columns with "
                f"--{kind}"
            )
        names = list(recorded)
    else:
        names = _obvious(table, calibrator)
    classes = classes_in_names(names, calibrator.classes_) if len(names) > 1 else None
    if classes is not None and class_names(np.sort(classes)) == class_names(calibrator.classes_):
        names = [names[k] for k in np.argsort(classes, kind="stable")]
    scored = SavedScores(kind, names, table.scores(names, masked=kind == "logits"), None)
    _check(scored, shorten(names) if columns is None else columns[1])
    return scored


def _obvious(table: Table, calibrator: BaseCalibrator) -> list[str]:
    """Return the only columns that can be meant: one per class, or the only fitting matrix."""
    texts = class_names(calibrator.classes_)
    ends = texts if calibrator.n_features_in_ == len(texts) else [""]
    prefixes = {name.removesuffix(ends[0]) for name in table.columns if name.endswith(ends[0])}
    choices = [
        [prefix + end for end in ends]
        for prefix in sorted(prefixes - {ADDED})
        if all(prefix + end in table.columns for end in ends)  # ends at the first that lacks
    ]
    width = calibrator.n_features_in_
    matrices = table.widths()
    if table.holds_arrays or (not choices and matrices):
        choices = [[name] for name, size in matrices.items() if size == width]
    if len(choices) != 1:
        raise ValueError(
            f"{'several' if choices else 'no'} columns of {table.path.name} can be the scores; "
            f"name them with --{calibrator.input}"
        )
    return choices[0]


def calibrate(calibrator: BaseCalibrator, scored: SavedScores) -> FloatArray:
    """Calibrate a matrix, with its columns in the order of the fit where names are known."""
    matrix = scored.matrix
    recorded = getattr(calibrator, "feature_names_in_", None)
    if recorded is not None:
        if set(recorded) == set(scored.names):
            place = {name: k for k, name in enumerate(scored.names)}
            matrix = np.take(matrix, [place[name] for name in recorded], axis=1)
        del calibrator.feature_names_in_  # the matrix has no names to compare
    proba: FloatArray = calibrator.transform(matrix)
    return proba


def class_names(classes: LabelArray) -> list[str]:
    return [class_name(label) for label in classes]
