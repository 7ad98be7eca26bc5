"""Out-of-distribution scores of image embeddings against text embeddings of classes and negatives.

As everywhere in this package, what ends in `_score` is larger for samples that are more like the
known classes. Nothing here is trained; embeddings are given.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from calib._border.arrays import array_namespace, is_half, read_array, to_numpy, without_gradient
from calib._border.checks import check_fraction, check_integer
from calib._border.labels import unit_codes
from calib._border.limits import MOST_BINS
from calib._border.random import generator
from calib._border.typing import Array, ArrayLike, IntArray, RandomState
from calib._border.validation import check_matrix
from calib._core.links import expit
from uq.ood.scores import check_temperature, in_blocks, joined, log_sum_exp

#: Rows of a block at least, so that matrix products with thousands of texts stay efficient.
ROWS_AT_LEAST = 256


def concept_matching_score(
    image_embeddings: ArrayLike, text_embeddings: ArrayLike, *, temperature: float = 1.0
) -> Array:
    """Return the largest softmax probability of the cosines to the class texts (MCM).

    Parameters
    ----------
    image_embeddings : array-like or tensor of shape (n_samples, n_dimensions)
        Embeddings of the samples; normalised here.
    text_embeddings : array-like or tensor of shape (n_classes, n_dimensions)
        Embeddings of the class texts; normalised here.
    temperature : float > 0, default=1.0
        Divides the cosines. The published value is 1, not the 0.01 used for classification.

    Returns
    -------
    score : array of shape (n_samples,)
        In [1 / n_classes, 1], larger is more like a known class; float64, because with temperature
        1 the scores differ only in their third digit or later.

    Raises
    ------
    ValueError
        For NaN or inf, zero vectors, different dimensions, or ``temperature <= 0``.

    See Also
    --------
    negative_label_score : Uses texts that are none of the classes as well.

    Notes
    -----
    ``max_k softmax(s / T)_k`` with cosines ``s_k``. Tends to 1 for ``T -> 0``. Unchanged by a
    common rotation of all embeddings and by positive scale factors. Cost:
    O(n_samples n_classes n_dimensions) time, blocks of bounded size.

    References
    ----------
    .. [1] Y. Ming, Z. Cai, J. Gu, Y. Sun, W. Li, Y. Li. Delving into Out-of-Distribution Detection
       with Vision-Language Representations. NeurIPS 2022. arXiv:2211.13445

    Examples
    --------
    >>> from uq import concept_matching_score
    >>> concept_matching_score([[2.0, 0.0], [1.0, 1.0]], [[1.0, 0.0], [0.0, 3.0]]).round(4)
    array([0.7311, 0.5   ])
    """
    temperature = check_temperature(temperature)
    images = _unit_rows(image_embeddings, "image_embeddings")
    texts = _unit_rows(text_embeddings, "text_embeddings")
    _check_same_space(images, texts, "text_embeddings")
    xp = array_namespace(images)
    blocks = []
    for rows in in_blocks(images, len(texts), ROWS_AT_LEAST):
        cosine = xp.astype(images[rows] @ texts.T, xp.float64)
        best = xp.max(cosine, axis=1)
        blocks.append(xp.exp((best - log_sum_exp(cosine, xp, temperature)) / temperature))
    return joined(blocks, xp)


def negative_label_score(
    image_embeddings: ArrayLike,
    text_embeddings: ArrayLike,
    negative_embeddings: ArrayLike,
    *,
    temperature: float = 0.01,
    n_groups: int | None = None,
    random_state: RandomState = None,
) -> Array:
    """Return the share of softmax mass on class texts rather than on negative texts (NegLabel).

    Parameters
    ----------
    image_embeddings : array-like or tensor of shape (n_samples, n_dimensions)
        Embeddings of the samples; normalised here.
    text_embeddings : array-like or tensor of shape (n_classes, n_dimensions)
        Embeddings of the class texts; normalised here.
    negative_embeddings : array-like or tensor of shape (n_negatives, n_dimensions)
        Embeddings of texts far from every class, see `select_negatives`; normalised here. With
        ``n_negatives = 0`` every score is 1.
    temperature : float > 0, default=0.01
        Divides the cosines.
    n_groups : int >= 1 or None, default=None
        Split the negatives at random into this many groups, sizes differing by at most one, and
        average the scores of the groups (100 in the original). None uses all at once.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the split; unused without groups.

    Returns
    -------
    score : array of shape (n_samples,)
        In [0, 1], larger is more like a known class; float64.

    Raises
    ------
    ValueError
        For NaN or inf, zero vectors, different dimensions, ``temperature <= 0``, or more groups
        than negatives.

    Notes
    -----
    With cosines ``s_k`` to classes and ``g_j`` to negatives the score is
    ``expit(lse(s / T) - lse(g / T))``. Duplicating every class text and every negative changes
    nothing. At small `T` scores of clear cases round to 0 or 1. Cost:
    O(n_samples (n_classes + n_negatives) n_dimensions) time, blocks of bounded size.

    References
    ----------
    .. [1] X. Jiang, F. Liu, Z. Fang, H. Chen, T. Liu, F. Zheng, B. Han. Negative Label Guided OOD
       Detection with Pretrained Vision-Language Models. ICLR 2024. arXiv:2403.20078
    .. [2] J. Kim, S. J. Hwang. Enhanced OoD Detection through Cross-Modal Alignment of Multi-Modal
       Representations. CVPR 2025. arXiv:2503.18817

    Examples
    --------
    >>> from uq import negative_label_score
    >>> images, classes, negatives = [[1.0, 0.1], [0.1, 1.0]], [[1.0, 0.0]], [[0.0, 1.0]]
    >>> negative_label_score(images, classes, negatives, temperature=0.5).round(4)
    array([0.8571, 0.1429])
    """
    temperature = check_temperature(temperature)
    images = _unit_rows(image_embeddings, "image_embeddings")
    texts = _unit_rows(text_embeddings, "text_embeddings")
    _check_same_space(images, texts, "text_embeddings")
    xp = array_namespace(images)
    given = read_array(negative_embeddings, "negative_embeddings")
    if given.shape[0] == 0:
        if n_groups is not None:
            raise ValueError(f"n_groups={n_groups} needs as many negatives; got none")
        return xp.ones_like(xp.astype(images[:, 0], xp.float64))
    negatives = _unit_rows(given, "negative_embeddings")
    _check_same_space(images, negatives, "negative_embeddings")
    n_negatives = negatives.shape[0]
    starts = [0, n_negatives]
    if n_groups is not None:
        check_integer("n_groups", n_groups, low=1, high=MOST_BINS)
        if n_groups > n_negatives:
            raise ValueError(f"n_groups={n_groups} exceeds the {n_negatives} negatives")
        order = generator(random_state).permutation(n_negatives)
        negatives = negatives[order.tolist()]
        starts = np.linspace(0, n_negatives, n_groups + 1).round().astype(int).tolist()
    blocks = []
    for rows in in_blocks(images, len(texts) + n_negatives, ROWS_AT_LEAST):
        block = images[rows]
        positive = log_sum_exp(xp.astype(block @ texts.T, xp.float64), xp, temperature)
        cosine = xp.astype(block @ negatives.T, xp.float64)
        total = xp.zeros_like(positive)
        for left, right in pairwise(starts):
            negative = log_sum_exp(cosine[:, left:right], xp, temperature)
            total = total + expit((positive - negative) / temperature, xp)
        blocks.append(total / (len(starts) - 1))
    return joined(blocks, xp)


def select_negatives(
    candidate_embeddings: ArrayLike,
    text_embeddings: ArrayLike,
    *,
    quantile: float = 0.95,
    fraction: float = 0.15,
    categories: ArrayLike = None,
) -> IntArray:
    """Choose the texts that are farthest from all classes, as negatives (NegMining).

    Parameters
    ----------
    candidate_embeddings : array-like of shape (n_candidates, n_dimensions)
        Embeddings of candidate texts, for instance the nouns and adjectives of a dictionary.
    text_embeddings : array-like of shape (n_classes, n_dimensions)
        Embeddings of the class texts.
    quantile : float in (0, 1), default=0.95
        Which quantile (interpolated) of a candidate's cosines to the classes ranks it; below 1 so
        that one close class does not decide.
    fraction : float in (0, 1), default=0.15
        Share of candidates to keep, rounded down but at least one per category.
    categories : array-like of shape (n_candidates,), default=None
        Category of every candidate, for instance its part of speech; the share is kept in each
        separately. None ranks all together.

    Returns
    -------
    indices : ndarray of shape (n_selected,)
        Rows of `candidate_embeddings` to keep, ascending.

    Raises
    ------
    ValueError
        For NaN or inf, zero vectors, different dimensions or lengths, or shares outside (0, 1).

    Notes
    -----
    Candidates with equal quantiles are taken in row order. Cost:
    O(n_candidates n_classes n_dimensions) time, blocks of bounded size.

    References
    ----------
    .. [1] X. Jiang, F. Liu, Z. Fang, H. Chen, T. Liu, F. Zheng, B. Han. Negative Label Guided OOD
       Detection with Pretrained Vision-Language Models. ICLR 2024. arXiv:2403.20078

    Examples
    --------
    >>> from uq import select_negatives
    >>> words = [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [1.0, 1.0]]
    >>> select_negatives(words, [[1.0, 0.0], [1.0, 0.2]], fraction=0.5)
    array([1, 2])
    """
    quantile = check_fraction("quantile", quantile)
    fraction = check_fraction("fraction", fraction)
    candidates = to_numpy(
        without_gradient(_unit_rows(candidate_embeddings, "candidate_embeddings"))
    )
    texts = to_numpy(without_gradient(_unit_rows(text_embeddings, "text_embeddings")))
    _check_same_space(candidates, texts, "text_embeddings", "candidate_embeddings")
    closeness = np.empty(len(candidates))
    for rows in in_blocks(candidates, len(texts), ROWS_AT_LEAST):
        closeness[rows] = np.quantile(candidates[rows] @ texts.T, quantile, axis=1)
    if categories is None:
        codes = np.zeros(len(candidates), dtype=np.intp)
    else:
        codes = unit_codes(categories, len(candidates), "categories", "candidate_embeddings")
    chosen = []
    for category in range(int(codes.max()) + 1):
        members = np.flatnonzero(codes == category)
        n_kept = max(1, int(fraction * len(members) + 1e-9))
        chosen.append(members[np.argsort(closeness[members], kind="stable")[:n_kept]])
    return np.sort(np.concatenate(chosen))


def _unit_rows(x: ArrayLike, name: str) -> Array:
    """Return the rows scaled to length 1."""
    array = read_array(x, name)
    if array.ndim != 2:
        raise ValueError(
            f"{name} must have shape (n_rows, n_dimensions); got shape {tuple(array.shape)}"
        )
    array = check_matrix(array, name)
    xp = array_namespace(array)
    if is_half(array):
        array = xp.astype(array, xp.float32)
    largest = xp.max(xp.abs(array), axis=1, keepdims=True)
    zero = to_numpy(without_gradient(largest))[:, 0] == 0
    if zero.any():
        raise ValueError(
            f"{name} has a zero vector in row {int(np.argmax(zero))}, which has no direction; "
            f"remove such rows"
        )
    array = array / largest  # so that squares neither overflow nor vanish
    return array / xp.sqrt(xp.sum(array * array, axis=1, keepdims=True))


def _check_same_space(
    images: Array, others: Array, name: str, first: str = "image_embeddings"
) -> None:
    if isinstance(images, np.ndarray) is not isinstance(others, np.ndarray):
        raise ValueError(f"{first} and {name} must both be tensors or both be arrays")
    if images.shape[1] != others.shape[1]:
        raise ValueError(
            f"{first} have {images.shape[1]} dimensions but {name} have {others.shape[1]}; take "
            f"both from the same model"
        )
    if images.dtype != others.dtype and not isinstance(images, np.ndarray):
        raise ValueError(f"{first} and {name} have types {images.dtype} and {others.dtype}")
