"""Evaluate, apply and fit calibrators on Dask collections, where the rows are.

Evaluation is a sum, applying is row by row, and the fit of a smooth map with few parameters is a
handful of passes that add up Newton's terms. Maps that only order the scores are fitted to sketches
of them. Rows stay on the workers; only sums, and for fits a systematic subsample, travel. Without a
cluster the same calls run on the threads of one machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
from sklearn.utils.validation import check_is_fitted

from calib._border.advice import Door, coming_through
from calib._border.checks import check_option
from calib._border.labels import check_vector, settle_classes
from calib._border.sklearn_compat import check_features
from calib._border.typing import ArrayLike, InputKind, LabelArray, RandomState
from calib._core.rows import Sums
from calib.base import BaseCalibrator
from calib.distributed.partitions import (
    ColumnNames,
    check_columns,
    check_frame,
    check_names,
    distinct_labels,
    labels_of,
    meta_of,
    naming,
    naming_partitions,
    numbers_in,
    reduce,
    weighted,
)
from calib.distributed.rows import read_rows
from calib.evaluation.stream.accumulator import CalibrationAccumulator
from calib.evaluation.stream.results import AccumulatedReport
from calib.registry import CALIBRATORS, make_calibrator

__all__ = ["METHODS", "accumulate", "apply", "evaluate", "fit"]

#: Methods that can be fitted on a collection: those that need nothing but sums over rows.
METHODS = tuple(name for name, row in CALIBRATORS.items() if row.collections)
#: The words of a fit on a collection.
DOOR = Door(scores="scores")


def accumulate(
    ddf: Any,
    *,
    label: str,
    proba: str | Sequence[str],
    weight: str | None = None,
    labels: ArrayLike = None,
    pos_label: object = None,
    n_bins: int = 15,
) -> CalibrationAccumulator:
    """Gather the sums of a calibration report from all partitions.

    Parameters
    ----------
    ddf : dask.dataframe.DataFrame
        One row per sample; empty partitions are allowed.
    label : str
        Column of true labels.
    proba : str or list of str
        Columns of probabilities in [0, 1], one per class in the order of the classes; a single one
        means the second of two classes.
    weight : str, default=None
        Column of non-negative weights.
    labels : array-like of shape (n_classes,), default=None
        Class of every column. None finds it from the distinct labels of all partitions, which
        takes a pass over the label column. Names of columns that are the labels decide.
    pos_label : int, float, bool or str, default=None
        Class that a single column belongs to; None means the second, or the one of its name.
    n_bins : int >= 1, default=15
        Number of bins of the calibration errors.

    Returns
    -------
    accumulator : CalibrationAccumulator

    Raises
    ------
    ValueError
        If `ddf` is no Dask DataFrame or has no rows, if a column is missing, not numeric or not
        finite, or holds no probabilities, or if labels match no column. Errors of a row name its
        partition.
    ImportError
        If Dask is not installed.

    Notes
    -----
    One task per partition, then a tree of additions in a fixed order, so that repeated runs give
    the same bits. Tasks have no side effects: what a lost worker held is computed again elsewhere.

    Examples
    --------
    >>> import pandas as pd
    >>> import dask.dataframe as dd
    >>> from calib.distributed import accumulate
    >>> frame = pd.DataFrame({"p": [0.1, 0.8, 0.7, 0.4], "y": [0, 1, 1, 0]})
    >>> accumulate(dd.from_pandas(frame, npartitions=2), label="y", proba="p").n_samples
    4
    """
    frame = check_frame(ddf, "calib.distributed.accumulate")
    columns = check_columns(frame, label, proba, weight)
    with naming_partitions(frame, columns.names):
        columns, classes = _classes_in(frame, columns, labels, pos_label)
        empty = CalibrationAccumulator(len(classes), labels=classes, n_bins=n_bins)
        parts = list(enumerate(frame[columns.names].to_delayed()))
        (total,) = reduce(parts, _accumulate_part, columns, empty)
    return cast(CalibrationAccumulator, total)


def evaluate(
    ddf: Any,
    *,
    label: str,
    proba: str | Sequence[str],
    weight: str | None = None,
    labels: ArrayLike = None,
    pos_label: object = None,
    n_bins: int = 15,
    confidence_level: float = 0.95,
    n_resamples: int = 200,
    random_state: RandomState = 0,
) -> AccumulatedReport:
    """Make a calibration report of the probabilities in a collection.

    Parameters
    ----------
    ddf : dask.dataframe.DataFrame
        One row per sample; empty partitions are allowed.
    label : str
        Column of true labels.
    proba : str or list of str
        Columns of probabilities, as for `accumulate`.
    weight : str, default=None
        Column of non-negative weights.
    labels : array-like of shape (n_classes,), default=None
        Class of every column, as for `accumulate`.
    pos_label : int, float, bool or str, default=None
        Class that a single column belongs to; None means the second, or the one of its name.
    n_bins : int >= 1, default=15
        Number of bins of the calibration errors.
    confidence_level : float in (0, 1), default=0.95
        Level of the intervals and of the ranges under calibration.
    n_resamples : int >= 2, default=200
        Number of bootstrap draws and of redrawn label vectors.
    random_state : int, RandomState, Generator or None, default=0
        Seed of both.

    Returns
    -------
    report : AccumulatedReport
        A `CalibrationReport` whose notes say what is approximate.

    Raises
    ------
    ValueError
        As `accumulate`, or if there are fewer than two rows of positive weight.
    ImportError
        If Dask is not installed.

    Examples
    --------
    >>> import pandas as pd
    >>> import dask.dataframe as dd
    >>> from calib.distributed import evaluate
    >>> frame = pd.DataFrame({"p": [0.1, 0.8, 0.7, 0.4], "y": [0, 1, 1, 0]})
    >>> report = evaluate(dd.from_pandas(frame, npartitions=2), label="y", proba="p")
    >>> round(report.models["model"].measures["brier"].value, 3)
    0.15
    """
    total = accumulate(
        ddf,
        label=label,
        proba=proba,
        weight=weight,
        labels=labels,
        pos_label=pos_label,
        n_bins=n_bins,
    )
    return total.report(
        confidence_level=confidence_level, n_resamples=n_resamples, random_state=random_state
    )


def apply(
    ddf: Any,
    calibrator: BaseCalibrator,
    *,
    scores: str | Sequence[str],
    prefix: str = "calibrated_",
) -> Any:
    """Add calibrated probabilities to a collection, lazily.

    Parameters
    ----------
    ddf : dask.dataframe.DataFrame
        Rows with scores of the kind that the calibrator was fitted on.
    calibrator : BaseCalibrator
        A fitted calibrator.
    scores : str or list of str
        Columns of scores (and features, for calibrators that read them), in the order of the fit.
    prefix : str, default="calibrated_"
        Beginning of the names of the new columns; the class follows.

    Returns
    -------
    calibrated : dask.dataframe.DataFrame
        The same rows and partitions with one more column per class, of the floating type of the
        scores. Nothing is computed yet.

    Raises
    ------
    ValueError
        If `ddf` is no Dask DataFrame, a column is missing, or a new column would replace an old
        one. When computed: for scores that `calibrator` refuses; the text names the partition.
    NotFittedError
        If the calibrator is not fitted.
    ImportError
        If Dask is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> import dask.dataframe as dd
    >>> from calib import TemperatureCalibrator
    >>> from calib.distributed import apply
    >>> z = np.array([-2.0, 1.0, 0.5, 3.0])
    >>> cal = TemperatureCalibrator(input="logits").fit(z, [0, 0, 1, 1])
    >>> frame = dd.from_pandas(pd.DataFrame({"z": [-1.0, 2.0]}), npartitions=1)
    >>> list(apply(frame, cal, scores="z").columns)
    ['z', 'calibrated_0', 'calibrated_1']
    """
    frame = check_frame(ddf, "calib.distributed.apply")
    check_is_fitted(calibrator)
    names = [scores] if isinstance(scores, str) else list(scores)
    check_names(frame, names)
    if len(names) != calibrator.n_features_in_:
        raise ValueError(
            f"scores names {len(names)} columns; the calibrator was fitted on "
            f"{calibrator.n_features_in_}"
        )
    added = [f"{prefix}{label}" for label in calibrator.classes_]
    taken = [name for name in added if name in frame.columns]
    if taken:
        raise ValueError(f"ddf already has a column {taken[0]!r}; pass another prefix")
    single = all(frame.dtypes[name] == np.float32 for name in names)
    kind = np.dtype(np.float32 if single else np.float64)
    meta = meta_of(frame).assign(**{name: np.empty(0, dtype=kind) for name in added})
    return frame.map_partitions(_apply_part, calibrator, names, added, kind, meta=meta)


def fit(
    ddf: Any,
    method: str,
    *,
    label: str,
    scores: str | Sequence[str],
    input: InputKind = "proba",
    weight: str | None = None,
    labels: ArrayLike = None,
    pos_label: object = None,
    **params: Any,
) -> BaseCalibrator:
    """Fit a calibrator on a collection without bringing its rows together.

    Parameters
    ----------
    ddf : dask.dataframe.DataFrame
        Rows the model was not trained on; empty partitions are allowed.
    method : str
        Name in the registry, one of ``METHODS``: ``"auto"``, ``"temperature"``,
        ``"ensemble_temperature"``, ``"platt"``, ``"quadratic"``, ``"beta"``, ``"spline"``,
        ``"vector_scaling"``, ``"matrix_scaling"``, ``"dirichlet"``, ``"histogram"``,
        ``"isotonic"`` or ``"venn_abers"``.
    label : str
        Column of true labels.
    scores : str or list of str
        Columns of scores, one per class in the order of the classes; a single one means the second
        of two classes.
    input : {"proba", "logits"}, default="proba"
        What the scores are.
    weight : str, default=None
        Column of non-negative weights.
    labels : array-like of shape (n_classes,), default=None
        Class of every column, as for `accumulate`.
    pos_label : int, float, bool or str, default=None
        Class that a single column belongs to; None means the second, or the one of its name.
    **params : object
        Further parameters of the method.

    Returns
    -------
    calibrator : BaseCalibrator
        Fitted, and like any other from here on: save it, apply it, export it.

    Raises
    ------
    ValueError
        If the method cannot be fitted this way, if `ddf` is no Dask DataFrame, if a column is
        missing, not numeric or not finite, if scores contradict `input`, if there are fewer than
        two rows or classes, or if labels match no column. Errors of a row name its partition.
    ImportError
        If Dask is not installed.

    Warns
    -----
    ProbabilitiesAsLogitsWarning
        If ``input="logits"`` but all scores look like probabilities.
    DegenerateScoresWarning, ScarceLabelsWarning
        Where ``calibrator.fit`` would say so of the same rows.
    ConvergenceWarning
        If the solver does not meet its tolerance.

    Notes
    -----
    Every Newton step adds up derivatives over the partitions. Starting points, the smoothing of the
    input and approximate Hessians come from the systematic subsample (every so-manieth row in the
    order of the partitions, at most about 32,000 rows, for temperatures 10**6 numbers) that the
    calibrator takes on one machine, so that the result is that of ``calibrator.fit`` on the same
    rows up to the rounding of sums, however they are split.

    Isotonic and Venn-ABERS maps, and the bins of equal mass of histograms, are fitted to a sketch:
    the weight of either label at every distinct score while these are at most 65,536, which gives
    the fit in memory, and beyond at every cell of the finest grid of log-odds that fills no more
    cells (with more than 16 one-vs-rest problems, ``2**20`` cells are shared out, at least 4096
    each). The fit is then that to scores rounded down to the smallest of their cell. If d is the
    largest share of the total weight in a cell with several scores, the values that isotonic
    regression gives to the rounded rows below any threshold differ in total from those in memory by
    at most ``d / 4`` of the total weight, and in mean square by at most ``9 d / 4``. Bins of equal
    mass hold their shares up to d at every edge, and their rates are exact. The sketch, like any
    sum of integers, does not depend on partitions or the order of the rows.

    Scores (and for two classes and one-vs-rest methods their log-odds) are read once and kept in
    the memory of the workers. There are about 5 to 15 passes.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> import dask.dataframe as dd
    >>> from calib import TemperatureCalibrator
    >>> from calib.distributed import fit
    >>> rng = np.random.default_rng(0)
    >>> z = 3 * rng.normal(size=1000)
    >>> frame = pd.DataFrame({"z": z, "y": rng.random(1000) < 1 / (1 + np.exp(-z / 2))})
    >>> rows = dd.from_pandas(frame, npartitions=4)
    >>> there = fit(rows, "temperature", label="y", scores="z", input="logits")
    >>> here = TemperatureCalibrator(input="logits").fit(z, frame["y"].to_numpy())
    >>> bool(abs(there.temperature_ - here.temperature_) < 1e-9)
    True
    """
    check_option("method", method, METHODS)
    check_option("input", input, ("proba", "logits"))
    frame = check_frame(ddf, "calib.distributed.fit")
    columns = check_columns(frame, label, scores, weight)
    calibrator = make_calibrator(method, input=input, **params)
    with naming_partitions(frame, columns.names):
        columns, classes = _classes_in(frame, columns, labels, pos_label)
        check_features(calibrator, meta_of(frame[columns.scores]), reset=True)
        with coming_through(DOOR):
            return calibrator.fit_rows(
                read_rows(frame, columns, classes, input), classes, labels_of=f"column {label!r}"
            )


def _classes_in(
    frame: Any, columns: ColumnNames, labels: ArrayLike, pos_label: object = None
) -> tuple[ColumnNames, LabelArray]:
    """Return the columns in the order of the classes, and the class of every column."""
    names = columns.scores
    known = (
        distinct_labels(frame, columns.label, columns.weight)
        if labels is None
        else check_vector(labels, "labels")
    )
    classes, order = settle_classes(
        known,
        len(names),
        names,
        labels=labels,
        pos_label=pos_label,
        name=columns.label if labels is None else "labels",
        columns_of="scores",
        turn=True,
    )
    if order is not None:
        columns = replace(columns, scores=[names[k] for k in order])
    return columns, classes


def _accumulate_part(
    numbered: tuple[int, Any], columns: ColumnNames, empty: CalibrationAccumulator
) -> Sums:
    """Return the accumulator of one partition."""
    number, frame = numbered
    total = empty.copy()
    with naming(number):
        frame, weight = weighted(frame, columns.weight)
        if len(frame):
            matrix = numbers_in(frame, columns.scores)
            total.update(labels_of(frame, columns.label), matrix, weight)
    return (total,)


def _apply_part(
    frame: Any,
    calibrator: BaseCalibrator,
    names: list[str],
    added: list[str],
    kind: np.dtype[Any],
    partition_info: dict[str, Any] | None = None,
) -> Any:
    """Return one partition with calibrated probabilities beside its columns."""
    if not len(frame):
        return frame.assign(**{name: np.empty(0, dtype=kind) for name in added})
    number = -1 if partition_info is None else int(partition_info["number"])
    with naming(number):
        checked = names
        if getattr(calibrator, "needs_features", False):  # which may have gaps
            checked = names[: calibrator.n_score_columns(len(names))]
        numbers_in(frame, checked, logits=calibrator.input == "logits")  # names the row of a gap
        known = hasattr(calibrator, "feature_names_in_")
        scores = frame[names] if known else frame[names].to_numpy()
        proba = calibrator.predict_proba(scores)
    return frame.assign(**{name: proba[:, k].astype(kind) for k, name in enumerate(added)})
