"""How sure a classifier is of each sample, from its logits or probabilities.

One direction for the whole package: **what ends in `_score` is larger for samples that are more
certain and more like the training data**, as scikit-learn's `score_samples` has it. Doubt is the
negative of a score. Nothing here is trained.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np

from calib._border.arrays import (
    PROBA_FLOOR,
    array_namespace,
    is_half,
    read_array,
    row_blocks,
    to_numpy,
    without_gradient,
)
from calib._border.checks import check_option, describe, is_number
from calib._border.typing import Array, ArrayLike, InputKind
from calib._border.validation import (
    check_logits,
    check_scores,
    looks_like_probabilities,
    read_matrix,
)
from calib._border.warn import warn
from calib._core.links import both_columns, logits_from_proba, softmax
from calib.warnings import ProbabilitiesAsLogitsWarning

#: Largest temperature, and one over the smallest.
LARGEST_TEMPERATURE = 1e100


def check_temperature(temperature: object) -> float:
    """Return a temperature as a finite float above 0."""
    if not is_number(temperature) or not 0 < float(temperature) < np.inf:
        raise ValueError(f"temperature must be a finite number > 0; got {describe(temperature)}")
    if not 1 / LARGEST_TEMPERATURE <= float(temperature) <= LARGEST_TEMPERATURE:
        raise ValueError(
            f"temperature must lie in [{1 / LARGEST_TEMPERATURE:g}, {LARGEST_TEMPERATURE:g}]; got "
            f"{describe(temperature)}"
        )
    return float(temperature)


def log_sum_exp(logits: Array, xp: Any, temperature: float = 1.0) -> Array:
    """Return ``T log sum_k exp(z_k / T)`` of every row without overflow."""
    peak = xp.max(logits, axis=1, keepdims=True)
    total = xp.sum(xp.exp((logits - peak) / temperature), axis=1, keepdims=True)
    return (peak + temperature * xp.log(total))[:, 0]


def by_rows(array: Array, function: Callable[[Array, Any], Array]) -> Array:
    """Apply a function to blocks of rows and join the results."""
    xp = array_namespace(array)
    with np.errstate(over="ignore"):  # a difference beyond the largest number is that of certainty
        blocks = [
            function(working(array[rows], xp), xp) for rows in in_blocks(array, array.shape[1])
        ]
    return joined(blocks, xp)


def joined(blocks: list[Array], xp: Any) -> Array:
    """Return the results of several blocks of rows as one array."""
    return blocks[0] if len(blocks) == 1 else xp.concat(blocks)


def in_blocks(array: Array, n_columns: int, at_least: int = 1) -> list[slice]:
    """Return row blocks that fit a core's cache; tensors of other libraries go in one piece."""
    if not isinstance(array, np.ndarray):
        return [slice(None)]
    return list(row_blocks(array.shape[0], n_columns, at_least=at_least))


def working(block: Array, xp: Any) -> Array:
    """Return a block in the floating type that is computed in."""
    return xp.astype(block, xp.float32) if is_half(block) else block


def max_probability_score(
    scores: ArrayLike, *, input: InputKind = "proba", temperature: float = 1.0
) -> Array:
    """Return the largest class probability of each sample.

    The common baseline (MSP). Pass calibrated probabilities to make it the expected accuracy.

    Parameters
    ----------
    scores : array-like or tensor of shape (n_samples, n_classes), (n_samples,) or (n_samples, 1)
        What `input` says; one column belongs to the second of two classes.
    input : {"proba", "logits"}, default="proba"
        Probabilities in [0, 1] whose rows sum to 1 within 1e-3, or logits, of which minus infinity
        excludes a class.
    temperature : float > 0, default=1.0
        Divides the logits (the logarithms of probabilities) before the softmax.

    Returns
    -------
    score : array of shape (n_samples,)
        In [1 / n_classes, 1], larger is more certain; namespace, device and floating type of
        `scores` (16-bit floats give float32).

    Raises
    ------
    ValueError
        For NaN, infinities other than those of excluded classes, wrong shapes, values that
        contradict `input`, or ``temperature <= 0``.

    See Also
    --------
    energy_score : Keeps the scale of the logits.

    Notes
    -----
    ``max_k softmax(z / T)_k``. Unchanged by adding a constant to a row of logits. Monotone in `T`
    row by row, but not in the ranking of rows. Cost: O(n_samples n_classes).

    References
    ----------
    .. [1] D. Hendrycks, K. Gimpel. A Baseline for Detecting Misclassified and Out-of-Distribution
       Examples in Neural Networks. ICLR 2017. arXiv:1610.02136

    Examples
    --------
    >>> from uq import max_probability_score
    >>> max_probability_score([[0.7, 0.2, 0.1], [0.4, 0.3, 0.3]])
    array([0.7, 0.4])
    """
    return _from_proba(scores, input, temperature, lambda p, xp: xp.max(p, axis=1))


def margin_score(
    scores: ArrayLike, *, input: InputKind = "proba", temperature: float = 1.0
) -> Array:
    """Return by how much the largest class probability exceeds the second largest.

    Parameters
    ----------
    scores : array-like or tensor of shape (n_samples, n_classes), (n_samples,) or (n_samples, 1)
        What `input` says; one column belongs to the second of two classes.
    input : {"proba", "logits"}, default="proba"
        Probabilities in [0, 1] whose rows sum to 1 within 1e-3, or logits, of which minus infinity
        excludes a class.
    temperature : float > 0, default=1.0
        Divides the logits (the logarithms of probabilities) before the softmax.

    Returns
    -------
    score : array of shape (n_samples,)
        In [0, 1], larger is more certain; type as for `max_probability_score`.

    Raises
    ------
    ValueError
        As `max_probability_score`.

    Notes
    -----
    ``p_(1) - p_(2)``. Cost: O(n_samples n_classes).

    References
    ----------
    .. [1] T. Scheffer, C. Decomain, S. Wrobel. Active Hidden Markov Models for Information
       Extraction. IDA 2001. doi:10.1007/3-540-44816-0_31

    Examples
    --------
    >>> from uq import margin_score
    >>> margin_score([[0.75, 0.25, 0.0], [0.5, 0.5, 0.0]])
    array([0.5, 0. ])
    """
    return _from_proba(scores, input, temperature, _margin)


def negative_entropy_score(
    scores: ArrayLike, *, input: InputKind = "proba", temperature: float = 1.0
) -> Array:
    """Return minus the entropy of the class probabilities of each sample.

    Parameters
    ----------
    scores : array-like or tensor of shape (n_samples, n_classes), (n_samples,) or (n_samples, 1)
        What `input` says; one column belongs to the second of two classes.
    input : {"proba", "logits"}, default="proba"
        Probabilities in [0, 1] whose rows sum to 1 within 1e-3, or logits, of which minus infinity
        excludes a class.
    temperature : float > 0, default=1.0
        Divides the logits (the logarithms of probabilities) before the softmax.

    Returns
    -------
    score : array of shape (n_samples,)
        In nats, in [-log(n_classes), 0], larger is more certain; type as for
        `max_probability_score`.

    Raises
    ------
    ValueError
        As `max_probability_score`.

    Notes
    -----
    ``sum_k p_k log p_k`` with ``0 log 0 = 0``. Cost: O(n_samples n_classes).

    References
    ----------
    .. [1] C. E. Shannon. A Mathematical Theory of Communication. Bell System Technical Journal 27,
       1948. doi:10.1002/j.1538-7305.1948.tb01338.x

    Examples
    --------
    >>> from uq import negative_entropy_score
    >>> negative_entropy_score([[1.0, 0.0], [0.5, 0.5]]).round(4)
    array([ 0.    , -0.6931])
    """
    return _from_proba(scores, input, temperature, _negative_entropy)


def negative_mutual_information_score(
    scores: ArrayLike, *, input: InputKind = "proba", temperature: float = 1.0
) -> Array:
    """Return minus the disagreement of an ensemble: the mutual information of label and member.

    Parameters
    ----------
    scores : array-like or tensor of shape (n_members, n_samples, n_classes)
        Outputs of the members (networks, dropout passes, bootstrap fits), each as `input` says;
        ``n_members >= 2`` and ``n_classes >= 2``.
    input : {"proba", "logits"}, default="proba"
        Probabilities in [0, 1] whose rows sum to 1 within 1e-3, or logits, of which minus infinity
        excludes a class.
    temperature : float > 0, default=1.0
        Divides the logits (the logarithms of probabilities) of every member.

    Returns
    -------
    score : array of shape (n_samples,)
        In nats, in [-log(min(n_members, n_classes)), 0]; 0 where all members agree. Type as for
        `max_probability_score`.

    Raises
    ------
    ValueError
        For fewer than two members, other than three dimensions, or as `max_probability_score`.

    Notes
    -----
    ``I = H(mean_m p_m) - mean_m H(p_m)``, computed as the mean divergence
    ``mean_m sum_k p_mk log(p_mk / mean_m p_mk)``, in which nothing large cancels. It measures the
    part of the doubt that more training data could remove; the total is the negative of
    `negative_entropy_score` of the mean. Cost: O(n_members n_samples n_classes).

    References
    ----------
    .. [1] N. Houlsby, F. Huszár, Z. Ghahramani, M. Lengyel. Bayesian Active Learning for
       Classification and Preference Learning. 2011. arXiv:1112.5745

    Examples
    --------
    >>> from uq import negative_mutual_information_score
    >>> members = [[[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.5, 0.5]]]
    >>> negative_mutual_information_score(members).round(4) + 0.0
    array([-0.6931,  0.    ])
    """
    check_option("input", input, ("proba", "logits"))
    temperature = check_temperature(temperature)
    array = read_array(scores, "scores")
    if array.ndim != 3 or array.shape[0] < 2 or array.shape[2] < 2:
        raise ValueError(
            f"scores must have shape (n_members, n_samples, n_classes) with at least 2 members and "
            f"2 classes; got shape {tuple(array.shape)}"
        )
    n_members, n_samples, n_classes = array.shape
    flat = read_matrix(array.reshape(n_members * n_samples, n_classes), "scores")
    check_scores(flat, input, "scores")
    members = flat.reshape(n_members, n_samples, n_classes)
    xp = array_namespace(members)
    blocks = []
    for rows in in_blocks(members[0], n_members * n_classes):
        flat = working(members[:, rows], xp).reshape(-1, n_classes)
        proba = _probabilities(flat, input, temperature, xp).reshape(n_members, -1, n_classes)
        mean = xp.mean(proba, axis=0)
        ratio = xp.clip(proba, PROBA_FLOOR, None) / xp.clip(mean, PROBA_FLOOR, None)[None]
        gain = xp.sum(xp.mean(proba * xp.log(ratio), axis=0), axis=1)
        blocks.append(-xp.clip(gain, 0.0, None))
    return joined(blocks, xp)


# ---------------------------------------------------------------------------- private parts


def _margin(proba: Array, xp: Any) -> Array:
    """Return the gap between the two largest entries of every row."""
    best = xp.max(proba, axis=1)
    order = xp.arange(proba.shape[1], device=getattr(proba, "device", None))
    is_top = order[None, :] == xp.argmax(proba, axis=1)[:, None]
    return best - xp.max(xp.where(is_top, xp.full_like(proba, -1.0), proba), axis=1)


def _negative_entropy(proba: Array, xp: Any) -> Array:
    return xp.sum(proba * xp.log(xp.clip(proba, PROBA_FLOOR, None)), axis=1)


def _from_proba(
    scores: ArrayLike, source: InputKind, temperature: float, measure: Callable[[Array, Any], Array]
) -> Array:
    """Check scores and apply a function of probabilities, block by block."""
    check_option("input", source, ("proba", "logits"))
    temperature = check_temperature(temperature)
    array = read_matrix(scores, "scores")
    check_scores(array, source, "scores")

    def of_block(block: Array, xp: Any) -> Array:
        if block.shape[1] == 1:
            block = both_columns(block, source, xp)
        return measure(_probabilities(block, source, temperature, xp), xp)

    return by_rows(array, of_block)


def _probabilities(block: Array, source: InputKind, temperature: float, xp: Any) -> Array:
    if source == "proba" and temperature == 1:
        return xp.clip(block, 0.0, 1.0)  # rounding errors up to 1e-6 passed the check
    logits = block if source == "logits" else logits_from_proba(block, xp)
    return softmax((logits - xp.max(logits, axis=1, keepdims=True)) / temperature, xp)


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
