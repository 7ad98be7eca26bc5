"""How much the logits of each sample look like those of the training data: scale included.

As everywhere in this package, what ends in `_score` is larger for samples that are more certain
and more like the training data.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np

from calib import ProbabilitiesAsLogitsWarning
from calib._border.arrays import to_numpy, without_gradient
from calib._border.checks import check_option
from calib._border.typing import Array, ArrayLike
from calib._border.validation import check_logits, looks_like_probabilities, read_matrix
from calib._border.warn import warn
from uq.ood.scores import margin_score, max_probability_score, negative_entropy_score
from uq.rows import by_rows, check_temperature, log_sum_exp

Method: TypeAlias = Literal["max_probability", "margin", "negative_entropy", "max_logit", "energy"]
#: How close to 0 every row's log-sum-exp must be for the rows to be log-probabilities.
NORMALISED = 1e-5


def max_logit_score(logits: ArrayLike) -> Array:
    """Return the largest logit of each sample.

    Parameters
    ----------
    logits : array-like or tensor of shape (n_samples, n_classes)
        Unnormalised class scores, ``n_classes >= 2``; minus infinity excludes a class.

    Returns
    -------
    score : array of shape (n_samples,)
        Unbounded, larger is more like the training data; type as for `max_probability_score`.

    Raises
    ------
    ValueError
        For NaN or plus infinity, rows that exclude every class, or fewer than two columns.

    Warns
    -----
    ProbabilitiesAsLogitsWarning
        If the rows look like probabilities.

    Notes
    -----
    ``max_k z_k``: the limit of `energy_score` as its temperature goes to 0. It uses the scale that
    the softmax removes, so a constant added to a row moves it. Cost: O(n_samples n_classes).

    References
    ----------
    .. [1] D. Hendrycks et al. Scaling Out-of-Distribution Detection for Real-World Settings.
       ICML 2022. arXiv:1911.11132

    Examples
    --------
    >>> from uq import max_logit_score
    >>> max_logit_score([[8.0, 1.0], [-1.0, -3.0]])
    array([ 8., -1.])
    """
    return by_rows(_check_logits(logits, "max_logit_score"), lambda z, xp: xp.max(z, axis=1))


def energy_score(logits: ArrayLike, *, temperature: float = 1.0) -> Array:
    """Return minus the energy of each sample: the log-sum-exp of its logits.

    Parameters
    ----------
    logits : array-like or tensor of shape (n_samples, n_classes)
        Unnormalised class scores, ``n_classes >= 2``; neither probabilities nor their logarithms;
        minus infinity excludes a class.
    temperature : float > 0, default=1.0
        Softness of the maximum.

    Returns
    -------
    score : array of shape (n_samples,)
        Unbounded, larger is more like the training data; type as for `max_probability_score`.

    Raises
    ------
    ValueError
        For NaN or plus infinity, rows that exclude every class, fewer than two columns,
        ``temperature <= 0``, or log-probabilities with temperature 1, whose score is exactly 0 in
        every row.

    Warns
    -----
    ProbabilitiesAsLogitsWarning
        If the rows look like probabilities.

    Notes
    -----
    ``T log sum_k exp(z_k / T)``. The energy of the literature is the negative of it. A constant
    added to a row shifts it by that constant. Between ``max_k z_k`` and
    ``max_k z_k + T log(n_classes)``. Cost: O(n_samples n_classes).

    References
    ----------
    .. [1] W. Liu, X. Wang, J. D. Owens, Y. Li. Energy-based Out-of-distribution Detection.
       NeurIPS 2020. arXiv:2010.03759

    Examples
    --------
    >>> from uq import energy_score
    >>> energy_score([[8.0, 1.0], [-1.0, -3.0]]).round(4)
    array([ 8.0009, -0.8731])
    """
    temperature = check_temperature(temperature)
    array = _check_logits(logits, "energy_score")
    score = by_rows(array, lambda z, xp: log_sum_exp(z, xp, temperature))
    if temperature == 1 and bool((np.abs(to_numpy(without_gradient(score))) < NORMALISED).all()):
        raise ValueError(
            "logits are normalised (every row's log-sum-exp is 0), so their energy says nothing; "
            "pass the logits before log_softmax"
        )
    return score


def ood_score(logits: ArrayLike, *, method: Method = "energy", temperature: float = 1.0) -> Array:
    """Return a score that separates samples like the training data from others, by name.

    Parameters
    ----------
    logits : array-like or tensor of shape (n_samples, n_classes)
        Unnormalised class scores, ``n_classes >= 2``; minus infinity excludes a class.
    method : {"max_probability", "margin", "negative_entropy", "max_logit", "energy"}, \
default="energy"
        Which score.
    temperature : float > 0, default=1.0
        As in the function of that score; must be 1 for ``"max_logit"``, which has none.

    Returns
    -------
    score : array of shape (n_samples,)
        Larger is more in-distribution; type as for `max_probability_score`.

    Raises
    ------
    ValueError
        For an unknown method, a temperature that the method has no use for, or as the function of
        that score.

    Warns
    -----
    ProbabilitiesAsLogitsWarning
        If the rows look like probabilities.

    See Also
    --------
    max_probability_score, margin_score, negative_entropy_score, max_logit_score, energy_score

    Notes
    -----
    To turn a score into the probability of being in-distribution, calibrate it like any binary
    score on held-out samples of both kinds (`calib.PlattCalibrator`, `calib.IsotonicCalibrator`).

    References
    ----------
    .. [1] J. Yang, K. Zhou, Y. Li, Z. Liu. Generalized Out-of-Distribution Detection: A Survey.
       International Journal of Computer Vision 132, 2024. arXiv:2110.11334

    Examples
    --------
    >>> from uq import ood_score
    >>> ood_score([[8.0, 1.0], [-1.0, -3.0]], method="max_probability").round(4)
    array([0.9991, 0.8808])
    """
    names = ("max_probability", "margin", "negative_entropy", "max_logit", "energy")
    check_option("method", method, names)
    temperature = check_temperature(temperature)
    if method == "energy":
        return energy_score(logits, temperature=temperature)
    if method == "max_logit":
        if temperature != 1:
            raise ValueError(f"max_logit has no temperature; got temperature={temperature}")
        return max_logit_score(logits)
    array = _check_logits(logits, "ood_score")
    function: Any = {
        "max_probability": max_probability_score,
        "margin": margin_score,
        "negative_entropy": negative_entropy_score,
    }[method]
    return function(array, input="logits", temperature=temperature)


def _check_logits(logits: ArrayLike, purpose: str) -> Array:
    array = read_matrix(logits, "logits")
    check_logits(array, "logits", limit=np.finfo(np.float64).max)
    if array.shape[1] < 2:
        raise ValueError(
            f"{purpose} needs the logits of at least 2 classes; got shape {tuple(array.shape)}"
        )
    if looks_like_probabilities(to_numpy(without_gradient(array))):
        warn(
            f"logits look like probabilities (all in [0, 1], rows sum to 1), whose scale carries "
            f"no information; {purpose} needs logits",
            ProbabilitiesAsLogitsWarning,
        )
    return array
