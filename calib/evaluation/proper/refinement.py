"""Proper scores split by cross-fitted recalibration: what a map could repair, and what not."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from calib._border.checks import check_integer, check_option, describe
from calib._border.random import generator
from calib._border.typing import (
    ArrayLike,
    Float64Array,
    FloatArray,
    IntArray,
    RandomState,
)
from calib.evaluation.proper.losses import SCORES, Score, sample_losses
from calib.evaluation.views.predictions import checked
from calib.registry import make_calibrator
from calib.warnings import CalibrationWarning

if TYPE_CHECKING:
    from calib.base import BaseCalibrator


class RefinementDecomposition(NamedTuple):
    """Result of `refinement_decomposition`: ``score = refinement + calibration``.

    Parameters
    ----------
    score : float
        Mean log loss (nats) or Brier score (summed over classes); >= 0, lower is better.
    refinement : float
        Score that remains after recalibration, out of sample; >= 0, lower is better.
    calibration : float
        What recalibration gained; negative where it did harm.
    """

    score: float
    refinement: float
    calibration: float


def refinement_decomposition(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    score: Score = "log_loss",
    recalibrator: str | BaseCalibrator | None = None,
    n_folds: int = 5,
    sample_weight: ArrayLike = None,
    labels: ArrayLike = None,
    pos_label: object = None,
    random_state: RandomState = None,
) -> RefinementDecomposition:
    """Split a proper score into refinement and calibration by cross-fitting a calibrator.

    Refinement is what to select models and stop training on when a calibrator comes afterwards:
    it does not punish errors that the calibrator repairs.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
        Probabilities in [0, 1], rows sum to 1 within 1e-3. One column means the probability of the
        second of two classes.
    score : {"log_loss", "brier"}, default="log_loss"
        Log loss in nats, or squared error summed over classes, in [0, 2].
    recalibrator : str, calibrator or None, default=None
        Registry name, or a calibrator that reads probabilities (it is cloned, not fitted). None
        means ``"isotonic"`` for two classes and ``"temperature"`` for more.
    n_folds : int in [2, n_samples], default=5
        Number of parts; each is recalibrated by what the others taught.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights, in fits and scores.
    labels : array-like of shape (n_classes,), default=None
        Class of every column, where `y_true` does not tell.
    pos_label : int, float, bool or str, default=None
        Class that a single column, and the binary view, belong to; None means the second.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the folds, which are stratified by class.

    Returns
    -------
    parts : RefinementDecomposition
        ``score``, ``refinement``, ``calibration``. Score and calibration are infinite if a label
        had probability 0 and `score` is the log loss.

    Raises
    ------
    ValueError
        As `expected_calibration_error`; also for an unknown `score` or registry name, fewer samples
        of positive weight than folds, fewer than two of them outside the most frequent class, or a
        calibrator that reads logits.

    See Also
    --------
    score_decomposition : In sample, by isotonic regression, without random folds.

    Notes
    -----
    Refinement is min over maps g of E[S(g(p), y)]; the class of maps is what `recalibrator` can
    represent, so the split depends on it. Because maps are judged on samples they have not seen,
    refinement is biased upwards a little (by about the number of parameters over 2 n_samples for
    the log loss) and calibration downwards; it is not cut at 0. Copies of a sample can fall into
    different folds: an integer weight is not quite the same as repeated rows here. Cost: `n_folds`
    fits of the calibrator.

    References
    ----------
    .. [1] E. Berta, D. Holzmüller, M. I. Jordan, F. Bach. Rethinking Early Stopping: Refine, Then
       Calibrate. 2025. arXiv:2501.19195

    Examples
    --------
    >>> import numpy as np
    >>> from calib.evaluation import refinement_decomposition
    >>> rng = np.random.default_rng(0)
    >>> p = rng.dirichlet([1, 1, 1], 3000)
    >>> y = (p.cumsum(axis=1) < rng.random((3000, 1))).sum(axis=1)
    >>> sharpened = p**2 / (p**2).sum(axis=1, keepdims=True)
    >>> parts = refinement_decomposition(y, sharpened, random_state=0)
    >>> print(f"{parts.score:.2f} = {parts.refinement:.2f} + {parts.calibration:.2f}")
    0.97 = 0.85 + 0.12
    """
    check_option("score", score, SCORES)
    check_integer("n_folds", n_folds, low=2)
    codes, proba, weight, _ = checked(y_true, y_prob, sample_weight, labels, pos_label).positive()
    if len(codes) < n_folds:
        raise ValueError(
            f"cross-fitting in n_folds={n_folds} parts needs as many samples (of positive weight); "
            f"got {len(codes)}"
        )
    if len(codes) - np.bincount(codes).max() < 2:
        raise ValueError(
            "cross-fitting needs at least 2 samples (of positive weight) outside the most frequent "
            "class, so that every part of y_true leaves two classes to learn from"
        )
    name = ("isotonic" if proba.shape[1] <= 2 else "temperature") if recalibrator is None else None
    method = _recalibrator(name or recalibrator)
    fold = _folds(codes, n_folds, generator(random_state))
    mapped = _cross_fit(method, proba, codes, weight, fold)
    column = 0 if score == "log_loss" else 1
    raw, remaining = (
        float(np.average(sample_losses(q, codes)[:, column], weights=weight))
        for q in (proba, mapped)
    )
    return RefinementDecomposition(raw, remaining, raw - remaining)


def _recalibrator(given: str | BaseCalibrator | None) -> BaseCalibrator:
    """Return an unfitted calibrator of probabilities."""
    if isinstance(given, str):
        return make_calibrator(given, input="proba")
    if given is None or isinstance(given, type) or not hasattr(given, "get_params"):
        raise ValueError(
            f"recalibrator must be a registry name, a calibrator or None; got {describe(given)}"
        )
    if given.get_params().get("input", "proba") != "proba":
        raise ValueError(
            "recalibrator has input='logits' but is fitted to probabilities; pass input='proba'"
        )
    return given


def _folds(codes: IntArray, n_folds: int, rng: np.random.Generator) -> IntArray:
    """Deal the samples to the folds, class after class, rare ones first and in random order."""
    rank = np.argsort(np.argsort(np.bincount(codes), kind="stable"))
    order = np.lexsort((rng.random(len(codes)), rank[codes]))
    fold = np.empty(len(codes), dtype=np.intp)
    fold[order] = np.arange(len(codes)) % n_folds
    return fold


def _cross_fit(
    method: BaseCalibrator,
    proba: FloatArray,
    codes: IntArray,
    weight: Float64Array | None,
    fold: IntArray,
) -> Float64Array:
    """Return out-of-fold probabilities, shape (n_samples, n_classes)."""
    from sklearn.base import clone

    out = np.empty((len(codes), max(2, proba.shape[1])))
    for number in np.unique(fold):
        train, test = fold != number, fold == number
        mass = None if weight is None else weight[train]
        with warnings.catch_warnings():  # poor scores make a poor refinement: that is the answer
            warnings.simplefilter("ignore", CalibrationWarning)
            fitted = clone(method).fit(proba[train], codes[train], sample_weight=mass)
            out[test] = fitted.transform(proba[test])
    return out
