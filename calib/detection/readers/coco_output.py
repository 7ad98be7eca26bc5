"""Files in the format of COCO results with other scores; everything else stays as it was."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from calib._border.arrays import read_array, to_numpy
from calib._border.typing import ArrayLike
from calib.detection.readers.coco import detection_rows
from calib.detection.readers.json import JsonSource, json_text, load_source, write_text
from calib.detection.readers.json_columns import Columns
from calib.detection.tables import checks

RAW_SCORE = "score_raw"


def rescored_coco(
    source: JsonSource, scores: ArrayLike, *, keep_raw: bool = False, keep: ArrayLike = None
) -> list[dict[str, Any]]:
    """Return the rows of a COCO results file with other scores.

    Parameters
    ----------
    source : path, list or dict
        Detections as `read_coco_detections` takes them; what is loaded is not changed.
    scores : array-like of shape (n_rows,)
        New scores in [0, 1], one for each row of `source` in its order.
    keep_raw : bool, default=False
        Keep the score of the file under ``score_raw``.
    keep : array-like of bool of shape (n_rows,), default=None
        Rows to return, for instance those above a threshold; None returns all.

    Returns
    -------
    rows : list of dict
        New dicts in the order of the file with all their other keys, whose values are shared with
        `source`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, the number of scores or flags is not that of the rows, a score is
        NaN or outside [0, 1], or `keep_raw` meets rows that have a ``score_raw``.

    Examples
    --------
    >>> from calib.detection import rescored_coco
    >>> rows = [{"image_id": 7, "category_id": 3, "bbox": [1, 0, 10, 10], "score": 0.8, "track": 5}]
    >>> rescored_coco(rows, [0.6], keep_raw=True)[0]["score"]
    0.6
    """
    return _rescored(detection_rows(*load_source(source, "detections")), scores, keep_raw, keep)


def write_coco_detections(
    source: JsonSource,
    scores: ArrayLike,
    out: str | os.PathLike[str],
    *,
    keep_raw: bool = False,
    keep: ArrayLike = None,
) -> Path:
    """Write a COCO results file with other scores.

    Parameters
    ----------
    source : path, list or dict
        Detections as `read_coco_detections` takes them. May be the same file as `out`.
    scores : array-like of shape (n_rows,)
        New scores in [0, 1], one for each row of `source` in its order.
    out : path
        File to write; gzip if the name ends in ``.gz``. An existing file is replaced when all is
        written, never left in part.
    keep_raw : bool, default=False
        Keep the score of the file under ``score_raw``.
    keep : array-like of bool of shape (n_rows,), default=None
        Rows to write, for instance those above a threshold; None writes all.

    Returns
    -------
    out : Path
        The file written: rows in the order of `source` with all their other keys. An object
        around the rows keeps its other keys as well.

    Raises
    ------
    FileNotFoundError
        If `source` or the folder of `out` does not exist.
    IsADirectoryError
        If `out` is a folder.
    ValueError
        As for `rescored_coco`, or if a row holds what JSON cannot: NaN, infinities, arrays.

    Notes
    -----
    Equal input gives equal bytes, compressed or not. Numbers keep their values; their spelling may
    change (``1e1`` becomes ``10.0``).

    Examples
    --------
    >>> import json, pathlib, tempfile
    >>> from calib.detection import write_coco_detections
    >>> rows = [{"image_id": 7, "category_id": 3, "bbox": [1, 0, 10, 10], "score": 0.8}]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_coco_detections(rows, [0.6], pathlib.Path(folder) / "new.json")
    ...     print(path.read_text())
    [{"image_id":7,"category_id":3,"bbox":[1,0,10,10],"score":0.6}]
    <BLANKLINE>
    """
    document, name = load_source(source, "detections")
    old = detection_rows(document, name)
    rows = _rescored(old, scores, keep_raw, keep)
    inside = isinstance(document, Mapping)
    try:
        text = json_text({**document, "annotations": rows} if inside else rows, name)
    except ValueError:
        for row, one in enumerate(old.rows):  # find the row to name
            json_text(one if keep_raw else {**one, "score": 0}, old.where(row))
        raise
    return write_text(text + "\n", out)


def _rescored(
    rows: Columns, scores: ArrayLike, keep_raw: bool, keep: ArrayLike
) -> list[dict[str, Any]]:
    new = checks.floats(scores, "scores", (None,))
    if len(new) != len(rows):
        raise ValueError(
            f"scores must have one value for each of the {len(rows)} rows of {rows.name}; got "
            f"{len(new)} (rows that were dropped at reading have none)"
        )
    new = checks.probabilities(checks.finite(new, "scores", (None,)), hint=False)
    raw = rows.column("score")
    if keep_raw:
        taken = np.array([RAW_SCORE in row for row in rows.rows], dtype=bool)
        rows.refuse_where(taken, f"has a {RAW_SCORE!r} already; write without keep_raw")
    selected = list(range(len(rows)))
    if keep is not None:
        mask = to_numpy(read_array(keep, "keep"))
        if mask.dtype.kind != "b" or mask.shape != (len(rows),):
            raise ValueError(
                f"keep must hold {len(rows)} booleans, one for each row; got shape {mask.shape} of "
                f"{mask.dtype}"
            )
        selected = np.flatnonzero(mask).tolist()
    values, old = new.tolist(), rows.rows
    if keep_raw:
        return [{**old[i], "score": values[i], RAW_SCORE: raw[i]} for i in selected]
    return [{**old[i], "score": values[i]} for i in selected]
