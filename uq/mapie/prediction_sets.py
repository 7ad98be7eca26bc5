"""MAPIE as the engine: held-out probabilities replayed to its split and cross classifiers.

MAPIE fixes its levels when an object is built, and trains the model itself. Here the model has been
trained already; MAPIE receives a stand-in that repeats the probabilities, so that any level can be
asked for without training anything again.
"""

from __future__ import annotations

import math
import warnings
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import PredefinedSplit

from calib._border.typing import ArrayLike, Float64Array, IntArray, LabelArray
from uq.conformal.nonconformity import ConformityScore

#: MAPIE's names of the ways to merge folds.
AGGREGATION = {"mean": "mean", "cv_plus": "crossval"}
#: Share of the calibration samples on which MAPIE tunes ``"raps"``.
RAPS_SHARE = 0.1


class Replay(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Answer with probabilities that are part of the input: fold number, then a block per fold.

    Parameters
    ----------
    n_folds : int
        Number of blocks, aside from the last one, which belongs to no fold.
    n_classes : int
        Columns of a block.
    """

    def __init__(self, n_folds: int, n_classes: int) -> None:
        self.n_folds = n_folds
        self.n_classes = n_classes

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Find out which fold is missing; that one's block is the answer."""
        missing = np.setdiff1d(np.arange(self.n_folds), np.unique(np.asarray(X)[:, 0]))
        self.block_ = int(missing[0]) if len(missing) else self.n_folds
        self.classes_ = np.arange(self.n_classes)
        return self

    def predict_proba(self, X: ArrayLike) -> Float64Array:
        """Return the block."""
        start = 1 + self.block_ * self.n_classes
        return np.asarray(np.asarray(X)[:, start : start + self.n_classes])

    def predict(self, X: ArrayLike) -> LabelArray:
        """Return the most probable column."""
        return np.asarray(self.predict_proba(X).argmax(axis=1))


def mapie_can(n_samples: int, codes: IntArray, kind: ConformityScore, level: float) -> bool:
    """Tell whether MAPIE answers: enough samples, and more than two labels beyond ``"lac"``."""
    counts = np.unique(codes, return_counts=True)[1]
    if kind == "raps":  # tuned on a stratified tenth, which needs each label, twice in all
        tuning = math.ceil(n_samples * RAPS_SHARE)
        if counts.min() < 2 or tuning < len(counts):
            return False
        n_samples = tuning
    enough = n_samples * min(level, 1 - level) >= 1 + 1e-9
    return enough and (kind == "lac" or len(counts) > 2)


def split_sets(
    proba: Float64Array,
    codes: IntArray,
    test: Float64Array,
    kind: ConformityScore,
    levels: list[float],
    *,
    randomize: bool,
    seed: int,
) -> LabelArray:
    """Return the sets of `SplitConformalClassifier`, shape (n_samples, n_classes, n_levels)."""
    from mapie.classification import SplitConformalClassifier

    n_classes = proba.shape[1]
    stand_in = Replay(0, n_classes).fit(np.zeros((1, 1)), None)
    engine = SplitConformalClassifier(
        stand_in,
        confidence_level=levels,
        conformity_score=kind,
        prefit=True,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="WARNING: your conformalization dataset has less")
        engine.conformalize(_rows(np.zeros(len(proba)), [proba]), codes)
    sets = engine.predict_set(
        _rows(np.zeros(len(test)), [test]), conformity_score_params=_last_label(randomize)
    )[1]
    return np.asarray(sets, dtype=bool)


def cross_sets(
    proba: Float64Array,
    codes: IntArray,
    fold: IntArray,
    tests: list[Float64Array],
    kind: ConformityScore,
    levels: list[float],
    *,
    aggregation: str,
    randomize: bool,
    seed: int,
) -> LabelArray:
    """Return the sets of `CrossConformalClassifier`, shape (n_samples, n_classes, n_levels)."""
    from mapie.classification import CrossConformalClassifier

    n_folds, n_classes = len(tests), proba.shape[1]
    engine = CrossConformalClassifier(
        Replay(n_folds, n_classes),
        confidence_level=levels,
        conformity_score=kind,
        cv=PredefinedSplit(fold),
        random_state=seed,
    )
    engine.fit_conformalize(_rows(fold, [proba] * (n_folds + 1)), codes)
    blocks = [*tests, np.mean(tests, axis=0)]
    sets = engine.predict_set(
        _rows(np.zeros(len(tests[0])), blocks),
        conformity_score_params=_last_label(randomize),
        agg_scores=AGGREGATION[aggregation],
    )[1]
    return np.asarray(sets, dtype=bool)


def _last_label(randomize: bool) -> dict[str, Any]:
    return {"include_last_label": "randomized" if randomize else True}


def _rows(fold: Any, blocks: list[Float64Array]) -> Float64Array:
    return np.hstack([np.asarray(fold, dtype=np.float64)[:, None], *blocks])
