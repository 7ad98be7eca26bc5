"""Columns of a file that a calibrator reads beside the scores."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from calib._border.columns import class_name
from calib._border.optional import require
from calib._border.typing import FloatArray, IntArray, LabelArray
from calib._border.words import nearest
from calib._core.features.columns import FeatureColumn, beside_scores, feature_columns
from calib.base import BaseCalibrator
from calib.calibrators.conditional.reading import ConditionalCalibrator
from calib.cli.files.columns import first_without_number, row_text, to_list
from calib.cli.files.tables import FileTable
from calib.registry import CALIBRATORS


def check_takes_features(method: str, patterns: list[str], *, adaptable: bool) -> None:
    """Raise unless features are named where the method reads some, and only there."""
    needs = CALIBRATORS[method].load().needs_features
    if needs and not patterns:
        raise ValueError(
            f"{method} reads features beside the scores; name them with --features COLUMNS ('*' "
            f"takes all other columns), or pass --method auto for scores alone"
        )
    if patterns and not needs:
        readers = " or ".join(name for name, e in CALIBRATORS.items() if e.load().needs_features)
        raise ValueError(
            f"--features: {method} reads scores alone here; pass --method {readers}, or leave out "
            f"--features"
        )
    if patterns and adaptable:
        raise ValueError(
            "--adaptable is for methods that read scores alone; leave out --features or --adaptable"
        )


def named_alone(table: FileTable, patterns: list[str]) -> set[str]:
    """Return the columns that are named as they are, which globs of scores leave out."""
    names = (part.strip() for text in patterns for part in text.split(","))
    return {name for name in names if name in table.columns}


def features_at_fit(
    table: FileTable, patterns: list[str], roles: dict[str, str], n_rows: int
) -> Any:
    """Return the columns that ``--features`` names, as an Arrow table.

    Parameters
    ----------
    table : FileTable
    patterns : list of str
        Names and globs; globs leave out columns with another role.
    roles : dict of str to str
        What other columns are.
    n_rows : int
        Rows of the scores.
    """
    names = table.select(",".join(patterns), exclude=roles)
    for name in names:
        if name in roles:
            raise ValueError(f"--features names {name!r}, which is {roles[name]}; leave it out")
    columns: dict[str, FeatureColumn] = {}
    for name in names:
        columns |= _columns_of(table, name)
    return _as_table(table, columns.values(), n_rows)


def features_of(calibrator: BaseCalibrator, table: FileTable, n_rows: int) -> Any:
    """Return the columns of a table that a fitted calibrator reads beside scores, by their names.

    Parameters
    ----------
    calibrator : BaseCalibrator
    table : FileTable
    n_rows : int
        Rows of the scores.

    Returns
    -------
    features : pyarrow.Table or None
        None where it reads scores alone.

    Raises
    ------
    ValueError
        If a column is lacking, of another length, or holds text for numbers or numbers for text.
    """
    if not reads_features(calibrator):
        return None
    recorded = getattr(calibrator, "feature_names_in_", None)
    if recorded is None:
        raise ValueError(
            "the calibrator does not know the names of its features; fit it with calib fit "
            "--features, or in Python on a table"
        )
    n_scores = calibrator.n_score_columns(calibrator.n_features_in_)
    columns = [
        _as_at_fit(table, name, place, calibrator)
        for place, name in enumerate(recorded)
        if place >= n_scores
    ]
    return _as_table(table, columns, n_rows)


def reads_features(calibrator: BaseCalibrator) -> bool:
    """Return whether a fitted calibrator reads columns beside scores."""
    return calibrator.n_score_columns(calibrator.n_features_in_) < calibrator.n_features_in_


def with_features(matrix: FloatArray, classes: LabelArray, features: Any) -> Any:
    """Return scores with features behind them as one table, scores named by their classes."""
    return beside_scores(matrix, [f"score of {class_name(label)}" for label in classes], features)


def taken_rows(X: Any, rows: IntArray) -> Any:
    """Return rows of a matrix, or of an Arrow table."""
    return X[rows] if isinstance(X, np.ndarray) else X.take(rows)


# ---------------------------------------------------------------------- one column


def column_parts(table: FileTable, name: str) -> dict[str, LabelArray]:
    """Return a column, or those of a matrix under numbered names, as they are written."""
    values = table.values(name)
    if values.ndim == 1:
        return {name: values}
    if values.ndim != 2:
        raise ValueError(
            f"array {name!r} of {table.path.name} has shape {values.shape}; features have one or "
            f"two dimensions"
        )
    return {f"{name}_{k}": values[:, k] for k in range(values.shape[1])}


def matrix_of(table: FileTable, name: str) -> str | None:
    """Return the matrix that holds a column of a numbered name, None if there is none."""
    stem, _, number = name.rpartition("_")
    width = table.widths().get(stem) if stem in table.columns and number.isdecimal() else None
    return stem if width is not None and int(number) < width else None


def _columns_of(table: FileTable, name: str) -> dict[str, FeatureColumn]:
    columns = feature_columns(column_parts(table, name), "--features")
    for column in columns:
        _check_finite(table, column)
    return {column.name: column for column in columns}


def _as_at_fit(
    table: FileTable, name: str, place: int, calibrator: BaseCalibrator
) -> FeatureColumn:
    """Return a column of the kind that the fit has seen."""
    source = name if name in table.columns else matrix_of(table, name)
    if source is None:
        near = nearest(name, table.columns)
        hint = "" if near is None else f" (did you mean {near!r}?)"
        raise ValueError(
            f"{table.path.name} lacks the column {name!r}, which the calibrator reads beside the "
            f"scores{hint}; add it, or rename the one that holds it"
        )
    (column,) = feature_columns({name: column_parts(table, source)[name]}, "features")
    levels: list[str] = []
    if isinstance(calibrator, ConditionalCalibrator):
        levels = calibrator.text_level_[calibrator.text_column_ == place].tolist()
    called = f"column {name!r} of {table.path.name}"
    if column.kind == "number" and levels and not np.isnan(column.values).all():
        texts = _texts(table, source)
        if not set(texts) & set(levels):
            raise ValueError(
                f"{called} holds numbers, and held text at fit such as {levels[0]!r}; pass the "
                f"same levels"
            )
        return FeatureColumn(name, "category", np.array(texts, dtype=object))
    present = [value for value in column.values if column.kind == "category" and value is not None]
    if present and not levels and name in _known_numbers(calibrator):
        raise ValueError(
            f"{called} holds text, and held numbers at fit: {_first_text(table, source, present)}; "
            f"pass numbers, and leave out what is missing"
        )
    _check_finite(table, column)
    return column


def _known_numbers(calibrator: BaseCalibrator) -> set[str]:
    """Return the columns of the fit that held numbers, or nothing."""
    texts = getattr(calibrator, "text_column_", np.empty(0, dtype=np.int64))
    names = [str(name) for name in calibrator.feature_names_in_]
    return {name for place, name in enumerate(names) if place not in set(texts.tolist())}


def _first_text(table: FileTable, name: str, present: list[Any]) -> str:
    column = table.column(name)
    if table.kind == "csv":  # what is empty is no text
        column = [text if text.strip() else None for text in to_list(column)]
    if isinstance(present[0], str):
        return first_without_number(column)
    return repr(present[0])


def _texts(table: FileTable, name: str) -> list[str | None]:
    """Return a column of a text file as it is written, nothing of any other."""
    if table.kind != "csv":
        return []
    return [text.strip() or None for text in to_list(table.column(name))]


def _check_finite(table: FileTable, column: FeatureColumn) -> None:
    if column.kind == "number" and np.isinf(column.values).any():
        row = int(np.argmax(np.isinf(column.values)))
        raise ValueError(
            f"column {column.name!r} of {table.path.name} has {column.values[row]} in "
            f"{row_text(row)}; features are finite, or empty where they are missing"
        )


def _as_table(table: FileTable, columns: Iterable[FeatureColumn], n_rows: int) -> Any:
    pyarrow = require("pyarrow", extra="cli", purpose="reading features")
    arrays = {}
    for column in columns:
        if len(column.values) != n_rows:
            raise ValueError(
                f"column {column.name!r} of {table.path.name} has {len(column.values):,} rows, the "
                f"scores {n_rows:,}"
            )
        values = column.values
        if column.kind == "category":
            texts = [None if value is None else str(value) for value in values]
            arrays[column.name] = pyarrow.array(texts, pyarrow.string())
        else:
            arrays[column.name] = pyarrow.array(values, from_pandas=False)
    return pyarrow.table(arrays)
