"""Conformal p-values, smoothed or not, by category or not, and the prediction they force."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calib._border.arrays import eager, read_array, to_numpy
from calib._border.checks import check_option, describe
from calib._border.columns import column_names, told_classes
from calib._border.labels import check_same_length, check_vector
from calib._border.random import generator
from calib._border.typing import ArrayLike, Float64Array, IntArray, LabelArray, RandomState
from calib._border.validation import check_numbers, number_matrix
from calib._border.warn import warn
from uq.conformal.categories import CategoryTable, codes_of_known, known_categories
from uq.conformal.quantiles import (
    check_unit_range,
    scaled_calibration_ratio,
    scaled_test_ratio,
    score_vector,
)
from uq.warnings import SmallCalibrationSetWarning

#: Test scores answered in one go (8 MB), so that memory stays bounded beside the result.
BLOCK = 1 << 20


@dataclass(frozen=True)
class ForcedPrediction:
    """One label per sample, with what the p-values say for and against it.

    Attributes
    ----------
    labels : ndarray of shape (n_samples,)
        Label with the largest p-value; of equal ones the first column.
    credibility : ndarray of shape (n_samples,)
        Largest p-value, in [0, 1]; a small one means that the sample is strange under every label.
    confidence : ndarray of shape (n_samples,)
        One minus the second largest p-value, in [0, 1]: the largest level at which the set holds at
        most one label.
    """

    labels: LabelArray
    credibility: Float64Array
    confidence: Float64Array


def conformal_p_values(
    calibration_scores: ArrayLike,
    test_scores: ArrayLike,
    *,
    smoothed: bool = False,
    tau: ArrayLike = None,
    calibration_ratio: ArrayLike = None,
    test_ratio: ArrayLike = None,
    random_state: RandomState = None,
) -> Float64Array:
    """Return the share of calibration samples at least as strange as each test score.

    For the true label of a sample that is exchangeable with the calibration samples, the p-value is
    at most epsilon with probability at most epsilon, for every epsilon; smoothed p-values are
    exactly uniform.

    Parameters
    ----------
    calibration_scores : array-like of shape (n_calibration,)
        Finite nonconformity scores of the calibration samples; larger is stranger.
    test_scores : array-like of shape (n_test,) or (n_test, n_classes)
        Finite scores of the test samples, one per hypothetical label.
    smoothed : bool, default=False
        Count a random share of the ties, of which the test sample is one.
    tau : float or array-like of shape (n_test,), default=None
        The random shares, in [0, 1], for ``smoothed=True``; None draws one per test sample.
    calibration_ratio : array-like of shape (n_calibration,), default=None
        Likelihood ratios dP_test / dP_calibration under covariate shift, >= 0, up to a factor.
    test_ratio : array-like of shape (n_test,), default=None
        The same for the test samples; needed with `calibration_ratio`.
    random_state : int, RandomState, Generator or None, default=None
        Source of the random shares.

    Returns
    -------
    p_values : ndarray of the shape of `test_scores`
        In [0, 1], at least ``1 / (n_calibration + 1)`` without weights and smoothing.

    Raises
    ------
    ValueError
        For empty or non-finite scores, `tau` outside [0, 1] or without smoothing, ratios that are
        negative, all zero or given for one side only.

    See Also
    --------
    mondrian_p_values : The same inside categories.

    Notes
    -----
    ``P = (#{a_j >= a} + 1) / (n + 1)``, smoothed ``(#{a_j > a} + tau (#{a_j = a} + 1)) / (n + 1)``;
    under weights every count becomes a sum of ratios and the 1 the ratio of the test sample. One
    sort of the calibration scores, one binary search per test score (two if smoothed). p-values of
    test samples that share a calibration set depend on each other.

    References
    ----------
    V. Vovk, A. Gammerman, G. Shafer, "Algorithmic Learning in a Random World", Springer 2005.
    R. J. Tibshirani, R. Foygel Barber, E. J. Candès, A. Ramdas, "Conformal Prediction Under
    Covariate Shift", NeurIPS 2019, arXiv 1904.06019.

    Examples
    --------
    >>> from uq import conformal_p_values
    >>> scores = [0.1, 0.2, 0.2, 0.4, 0.5, 0.7, 0.8, 0.9, 0.95]
    >>> conformal_p_values(scores, [0.05, 0.2, 0.6, 0.95, 1.0])
    array([1. , 0.9, 0.5, 0.2, 0.1])
    >>> conformal_p_values(scores, [0.05, 0.2, 0.6, 0.95, 1.0], smoothed=True, tau=0.5)
    array([0.95, 0.75, 0.45, 0.1 , 0.05])
    """
    scores = score_vector(calibration_scores, "calibration_scores")
    tests, shape = _test_matrix(test_scores)
    weight, ratio = _ratios(calibration_ratio, test_ratio, len(scores), len(tests))
    shares = _shares(smoothed, tau, len(tests), random_state)
    category = np.zeros(len(scores), dtype=np.intp)
    table = CategoryTable.build(scores, category, 1, weight=weight)
    out = np.empty_like(tests)
    step = max(1, BLOCK // tests.shape[1])
    for start in range(0, len(tests), step):
        rows = slice(start, start + step)
        out[rows] = _p_values(table, 0, tests[rows], _at(ratio, rows), _at(shares, rows))
    return out.reshape(shape)


def mondrian_p_values(
    calibration_scores: ArrayLike,
    calibration_category: ArrayLike,
    test_scores: ArrayLike,
    test_category: ArrayLike,
    *,
    smoothed: bool = False,
    tau: ArrayLike = None,
    random_state: RandomState = None,
) -> Float64Array:
    """Return p-values that compare each test score with its own category alone.

    Categories may be labels, sorts of samples or both; validity then holds inside each of them.

    Parameters
    ----------
    calibration_scores : array-like of shape (n_calibration,)
        Finite nonconformity scores; larger is stranger.
    calibration_category : array-like of shape (n_calibration,)
        Category of each calibration sample, of any type.
    test_scores : array-like of shape (n_test,) or (n_test, n_classes)
        Finite scores of the test samples, one per hypothetical label.
    test_category : array-like of shape (n_test,) or (n_classes,)
        Category of each row, or, where `test_scores` has columns and `n_classes` entries are given,
        of each column (label-conditional p-values), unless the columns of a table are named by
        them. With as many rows as columns, rows are meant.
    smoothed : bool, default=False
        See `conformal_p_values`.
    tau : float or array-like of shape (n_test,), default=None
        See `conformal_p_values`.
    random_state : int, RandomState, Generator or None, default=None
        Source of the random shares.

    Returns
    -------
    p_values : ndarray of the shape of `test_scores`
        1 (smoothed: `tau`) in categories without calibration samples.

    Raises
    ------
    ValueError
        For input that `conformal_p_values` refuses, or categories of another number.

    Warns
    -----
    SmallCalibrationSetWarning
        If no category of the test samples occurs at calibration.

    References
    ----------
    V. Vovk, "Conditional validity of inductive conformal predictors", Machine Learning 92, 2013,
    arXiv 1209.2673.

    Examples
    --------
    >>> from uq import mondrian_p_values
    >>> p1 = [0.1, 0.2, 0.4, 0.6, 0.7, 0.8, 0.3]           # probability of class 1
    >>> y = [0, 0, 0, 1, 1, 1, 1]
    >>> scores = [1 - p if label else p for p, label in zip(p1, y)]
    >>> mondrian_p_values(scores, y, [[0.15, 0.85], [0.5, 0.5], [0.9, 0.1]], [0, 1])
    array([[0.75, 0.2 ],
           [0.25, 0.4 ],
           [0.25, 1.  ]])
    """
    scores = score_vector(calibration_scores, "calibration_scores")
    tests, shape = _test_matrix(test_scores)
    names = check_vector(calibration_category, "calibration_category")
    check_same_length(len(scores), len(names), "calibration_scores", "calibration_category")
    known, codes = known_categories(names, "calibration_category")
    given = check_vector(test_category, "test_category")
    by_column = len(given) != len(tests)
    columns = column_names(eager(test_scores))
    if by_column and columns is not None and len(columns) == len(given) == len(np.unique(given)):
        told = told_classes(columns, given)
        given = given if told is None else told  # names decide
    wanted = codes_of_known(given, known, "test_category")
    if by_column and (len(shape) == 1 or len(wanted) != tests.shape[1]):
        raise ValueError(
            f"test_category must have one entry per row ({len(tests)}) or per column of "
            f"test_scores {shape}; got {len(wanted)}"
        )
    if (wanted < 0).all():
        warn(
            f"no test_category occurs in calibration_category ({describe(known[:5].tolist())}): "
            f"every p-value is 1 (smoothed: random); check spelling and order of the arguments",
            SmallCalibrationSetWarning,
        )
    shares = _shares(smoothed, tau, len(tests), random_state)
    table = CategoryTable.build(scores, codes.astype(np.intp), len(known) + 1)
    wanted = np.where(wanted < 0, len(known), wanted)  # the last category is empty
    out = np.empty_like(tests)
    for category in np.unique(wanted):
        chosen = np.flatnonzero(wanted == category)
        if by_column:
            out[:, chosen] = _p_values(table, int(category), tests[:, chosen], None, shares)
        else:
            out[chosen] = _p_values(table, int(category), tests[chosen], None, _at(shares, chosen))
    return out.reshape(shape)


def forced_prediction(p_values: ArrayLike, labels: ArrayLike = None) -> ForcedPrediction:
    """Return the label with the largest p-value, its credibility and its confidence.

    Parameters
    ----------
    p_values : array-like of shape (n_samples, n_classes)
        p-values in [0, 1] of every label, two columns or more.
    labels : array-like of shape (n_classes,), default=None
        Label of each column; None takes the names of a table, or else numbers them. In a table
        whose columns are named by the labels, the names decide.

    Returns
    -------
    prediction : ForcedPrediction

    Raises
    ------
    ValueError
        For non-finite p-values, values outside [0, 1], a single column, or a number of labels other
        than that of the columns.

    References
    ----------
    C. Saunders, A. Gammerman, V. Vovk, "Transduction with confidence and credibility", IJCAI 1999.

    Examples
    --------
    >>> from uq import forced_prediction
    >>> forced = forced_prediction([[0.75, 0.2], [0.25, 0.4]], labels=["no", "yes"])
    >>> forced.labels.tolist(), forced.credibility.tolist(), forced.confidence.tolist()
    (['no', 'yes'], [0.75, 0.4], [0.8, 0.75])
    """
    p_values = eager(p_values)
    matrix = check_p_values(p_values)
    n_classes = matrix.shape[1]
    columns = column_names(p_values)
    if labels is None and columns is not None:
        labels = columns
    names = np.arange(n_classes) if labels is None else check_vector(labels, "labels")
    if len(names) != n_classes:
        raise ValueError(f"labels must name the {n_classes} columns; got {len(names)} labels")
    if len(set(names.tolist())) != n_classes:
        raise ValueError(f"labels must name every column once; got {describe(names.tolist())}")
    told = None if columns is None else told_classes(columns, names)
    names = names if told is None else told
    best = matrix.argmax(axis=1)
    top = np.partition(matrix, n_classes - 2, axis=1)
    return ForcedPrediction(names[best], top[:, -1].copy(), 1 - top[:, -2])


def check_p_values(p_values: ArrayLike) -> Float64Array:
    """Return p-values of two or more labels, shape (n_samples, n_labels)."""
    matrix = number_matrix(p_values, "p_values")
    if matrix.shape[1] < 2:
        raise ValueError(
            f"p_values must have one column per label, at least 2; got shape {matrix.shape}"
        )
    check_unit_range(matrix, "p_values")
    return matrix


def _p_values(
    table: CategoryTable,
    category: int,
    scores: Float64Array,
    ratio: Float64Array | None,
    shares: Float64Array | None,
) -> Float64Array:
    below = table.below(category, 0, scores)
    upper = None if shares is None else table.below(category, 0, scores, "right")
    weight = 1.0 if ratio is None else ratio[:, None]
    tau = 1.0 if shares is None else shares[:, None]
    return table.p_value(category, below, upper, weight, tau)


def _at(values: Float64Array | None, rows: slice | IntArray) -> Float64Array | None:
    return None if values is None else values[rows]


def _test_matrix(test_scores: ArrayLike) -> tuple[Float64Array, tuple[int, ...]]:
    given = to_numpy(check_numbers(test_scores, "test_scores"))
    return number_matrix(given, "test_scores"), given.shape


def _ratios(
    calibration: ArrayLike, test: ArrayLike, n_calibration: int, n_test: int
) -> tuple[Float64Array | None, Float64Array | None]:
    if (calibration is None) != (test is None):
        raise ValueError(
            "calibration_ratio and test_ratio belong together; pass both (with the same factor) or "
            "none"
        )
    if calibration is None:
        return None, None
    weight, scale = scaled_calibration_ratio(calibration, n_calibration, "calibration_ratio")
    return weight, scaled_test_ratio(test, n_test, scale, "test_ratio")


def _shares(
    smoothed: bool, tau: ArrayLike, n_test: int, random_state: RandomState
) -> Float64Array | None:
    check_option("smoothed", smoothed, (True, False))
    if not smoothed:
        if tau is not None:
            raise ValueError(f"tau={describe(tau)} has no effect; pass smoothed=True with it")
        return None
    if tau is None:
        return generator(random_state).random(n_test)
    shares = score_vector(np.ravel(to_numpy(read_array(tau, "tau"))), "tau")
    if len(shares) not in (1, n_test) or shares.min() < 0 or shares.max() > 1:
        raise ValueError(
            f"tau must be one number in [0, 1], or one for each of {n_test} test samples; got "
            f"{describe(tau)}"
        )
    return np.broadcast_to(shares, (n_test,))
