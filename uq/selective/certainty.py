"""Certainty of single predictions from probability intervals and from conformal p-values."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from calib._border.arrays import to_numpy
from calib._border.checks import check_fraction
from calib._border.typing import ArrayLike, Float64Array
from calib._border.validation import RANGE_TOLERANCE, check_matrix, check_numbers
from uq.conformal.p_values import check_p_values
from uq.conformal.quantiles import check_unit_range


def interval_width_certainty(interval: ArrayLike) -> Float64Array:
    """Return 1 minus the width of the probability interval of the predicted class.

    Measures how much is known about the probability, not which class it favours: a narrow interval
    around one half is certain in this sense. Cutting by it drops other samples than cutting by the
    probability.

    Parameters
    ----------
    interval : array-like of shape (n_samples, 2) or (n_samples, n_classes, 2)
        Lower and upper probability of the second of two classes, or of every class, in [0, 1]; for
        instance ``VennAbersCalibrator.predict_interval``.

    Returns
    -------
    certainty : ndarray of shape (n_samples,)
        In [0, 1].

    Raises
    ------
    ValueError
        For NaN or inf, values outside [0, 1], a lower end above the upper one, or other shapes.

    Notes
    -----
    ``1 - (p1 - p0)``. With more than two classes, of the class with the largest lower end.

    References
    ----------
    .. [1] V. Vovk, I. Petej, V. Fedorova. Large-Scale Probabilistic Predictors with and without
       Guarantees of Validity. NeurIPS 2015. arXiv:1511.00213

    Examples
    --------
    >>> from uq import interval_width_certainty
    >>> interval_width_certainty([[0.25, 0.5], [0.5, 1.0]])
    array([0.75, 0.5 ])
    """
    low, high = _ends(interval)
    row = np.arange(len(low))
    best = low.argmax(axis=1)
    return np.asarray(1 - (high[row, best] - low[row, best]))


def interval_lower_certainty(interval: ArrayLike) -> Float64Array:
    """Return the largest lower probability of any class.

    Parameters
    ----------
    interval : array-like of shape (n_samples, 2) or (n_samples, n_classes, 2)
        Lower and upper probability of the second of two classes, or of every class, in [0, 1].

    Returns
    -------
    certainty : ndarray of shape (n_samples,)
        In [0, 1]; above 1/2 every probability in the interval favours the same class.

    Raises
    ------
    ValueError
        As `interval_width_certainty`.

    Notes
    -----
    ``max(p0, 1 - p1)`` for two classes.

    References
    ----------
    .. [1] V. Vovk, I. Petej, V. Fedorova. Large-Scale Probabilistic Predictors with and without
       Guarantees of Validity. NeurIPS 2015. arXiv:1511.00213

    Examples
    --------
    >>> from uq import interval_lower_certainty
    >>> interval_lower_certainty([[0.125, 0.25], [0.25, 0.875]])
    array([0.75, 0.25])
    """
    return np.asarray(_ends(interval)[0].max(axis=1))


def conformal_confidence(p_values: ArrayLike) -> Float64Array:
    """Return 1 minus the second largest conformal p-value: the certainty of the best label.

    Parameters
    ----------
    p_values : array-like of shape (n_samples, n_classes)
        Conformal p-value of every label, in [0, 1]; rows need not sum to 1. At least two columns.

    Returns
    -------
    confidence : ndarray of shape (n_samples,)
        In [0, 1]: the highest confidence level at which the prediction set is a single label, or
        empty.

    Raises
    ------
    ValueError
        For NaN or inf, values outside [0, 1], or fewer than two columns.

    See Also
    --------
    conformal_credibility : Whether any label fits.

    References
    ----------
    .. [1] C. Saunders, A. Gammerman, V. Vovk. Transduction with Confidence and Credibility.
       IJCAI 1999.

    Examples
    --------
    >>> from uq import conformal_confidence
    >>> conformal_confidence([[0.75, 0.25], [0.25, 0.5]])
    array([0.75, 0.75])
    """
    return np.asarray(1 - np.partition(check_p_values(p_values), -2, axis=1)[:, -2])


def conformal_credibility(p_values: ArrayLike) -> Float64Array:
    """Return the largest conformal p-value: how well the sample fits its best label.

    A low value marks a sample that is unusual under every label. Use it to reject, not as certainty
    about the class.

    Parameters
    ----------
    p_values : array-like of shape (n_samples, n_classes)
        Conformal p-value of every label, in [0, 1]. At least two columns.

    Returns
    -------
    credibility : ndarray of shape (n_samples,)
        In [0, 1].

    Raises
    ------
    ValueError
        As `conformal_confidence`.

    References
    ----------
    .. [1] C. Saunders, A. Gammerman, V. Vovk. Transduction with Confidence and Credibility.
       IJCAI 1999.

    Examples
    --------
    >>> from uq import conformal_credibility
    >>> conformal_credibility([[0.75, 0.25], [0.25, 0.5]])
    array([0.75, 0.5 ])
    """
    return np.asarray(check_p_values(p_values).max(axis=1))


def is_conformal_singleton(
    p_values: ArrayLike, *, confidence_level: float = 0.9
) -> npt.NDArray[np.bool_]:
    """Return whether the conformal prediction set holds exactly one label.

    Parameters
    ----------
    p_values : array-like of shape (n_samples, n_classes)
        Conformal p-value of every label, in [0, 1]. At least two columns.
    confidence_level : float in (0, 1), default=0.9
        Level of the set: labels with p-value above ``1 - confidence_level`` belong to it.

    Returns
    -------
    singleton : ndarray of shape (n_samples,)
        True where exactly one label belongs to the set.

    Raises
    ------
    ValueError
        As `conformal_confidence`, or if `confidence_level` is outside (0, 1).

    Notes
    -----
    P-values within 1e-12 of the limit count as equal to it and stay out, so that 1 - 0.9 is 0.1.

    References
    ----------
    .. [1] V. Vovk, A. Gammerman, G. Shafer. Algorithmic Learning in a Random World. Springer 2005.
       doi:10.1007/b106715

    Examples
    --------
    >>> from uq import is_conformal_singleton
    >>> is_conformal_singleton([[0.75, 0.05], [0.3, 0.5], [0.1, 0.05]])
    array([ True, False, False])
    """
    limit = 1 - check_fraction("confidence_level", confidence_level)
    return np.asarray((check_p_values(p_values) > limit + 1e-12).sum(axis=1) == 1)


def _ends(interval: ArrayLike) -> tuple[Float64Array, Float64Array]:
    """Return lower and upper probability of every class, shape (n_samples, n_classes) each."""
    array = to_numpy(check_numbers(interval, "interval"))
    if array.ndim not in (2, 3) or array.shape[-1] != 2 or (array.ndim == 3 and array.shape[1] < 2):
        raise ValueError(
            f"interval must have shape (n_samples, 2) or (n_samples, n_classes, 2); got shape "
            f"{array.shape}"
        )
    flat = check_matrix(array.reshape(-1, 2), "interval").astype(np.float64)
    check_unit_range(flat, "interval")
    if (flat[:, 0] > flat[:, 1] + RANGE_TOLERANCE).any():
        row = int(np.argmax(flat[:, 0] > flat[:, 1] + RANGE_TOLERANCE))
        raise ValueError(
            f"interval has a lower end above its upper end: {flat[row].tolist()} (pair {row}); "
            f"pass (lower, upper)"
        )
    if array.ndim == 3:
        ends = flat.reshape(array.shape)
        return ends[..., 0], ends[..., 1]
    low, high = flat.T
    return np.stack([1 - high, low], axis=1), np.stack([1 - low, high], axis=1)
