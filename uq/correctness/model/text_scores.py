"""Linear scores of texts: one for all models together, one for every model with enough answers."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from calib._border.typing import ArrayLike, Float64Array, IntArray
from calib._core.estimators.out_of_fold import Fold
from uq.correctness.model.features import Features, Matrix, Scaled, one_hot, side_by_side

#: Inverse strengths of the penalty to choose from, weak ones last: every fit starts from the last.
COMMON_C = (0.05, 0.1, 0.2, 0.5)
OWN_C = (0.25, 0.5, 1.0)
#: Answers, and answers of the rarer kind, from which on a model has a score of its own.
FEWEST_ANSWERS, FEWEST_OF_A_KIND = 200, 20
#: Of a regression: coefficients serve as scores, whose last digits decide nothing.
TOLERANCE, MOST_STEPS = 1e-3, 300


@dataclass(frozen=True, eq=False)
class TextScore:
    """Fitted scores.

    Attributes
    ----------
    common : ndarray of shape (n,)
        Log-odds by all models together, the model's own part left out.
    named : ndarray of shape (n,)
        The same with the part of the model.
    own : ndarray of shape (n,)
        Log-odds by the model's own history; nan where that is too short.
    """

    common: Float64Array
    named: Float64Array
    own: Float64Array

    def columns(self) -> Float64Array:
        """Return the three beside each other."""
        return np.column_stack([self.common, self.named, self.own])


@dataclass(eq=False)
class LinearScores:
    """Logistic regressions on vectors, plain columns and names.

    Parameters
    ----------
    n_names : sequence of int
        Names of each categorical column.
    n_models : int
        Models told apart; 0 for none.
    own : bool
        Whether models with enough answers have scores of their own.
    """

    n_names: Sequence[int]
    n_models: int
    own: bool
    common_C: float = 0.0
    own_C: float = 0.0
    told_apart: set[int] = field(default_factory=set)
    scaled: Scaled = field(default_factory=Scaled)
    coefficients: Float64Array | None = None
    intercept: float = 0.0
    own_parts: dict[int, tuple[Float64Array, float]] = field(default_factory=dict)

    def out_of_fold(
        self,
        features: Features,
        correct: IntArray,
        weight: Float64Array,
        folds: Sequence[Fold],
    ) -> TextScore:
        """Return scores of models that were trained without the row.

        The first fold chooses the penalties: those with the least log loss on what it holds out.
        """
        scaled = Scaled().fit(features.plain, weight)
        matrix = self._matrix(features, scaled)
        base = matrix.shape[1] - self.n_models
        self.told_apart = set(range(self.n_models))
        out = TextScore(*(np.full(len(features), np.nan) for _ in range(3)))
        for train, test in folds:
            parts = (matrix[train], correct[train], weight[train])
            outside, truth, share = matrix[test], correct[test], weight[test]
            if not self.common_C:
                fits = _path(COMMON_C, *parts)
                best = _least_loss([outside @ w + b for w, b in fits], truth, share)
                self.common_C, coefficients, intercept = COMMON_C[best], *fits[best]
            else:
                ((coefficients, intercept),) = _path((self.common_C,), *parts)
            out.common[test] = outside[:, :base] @ coefficients[:base] + intercept
            out.named[test] = out.common[test] + outside[:, base:] @ coefficients[base:]
            strengths = (self.own_C,) if self.own_C else OWN_C
            own = np.full((len(strengths), len(test)), np.nan)
            long_enough = self._with_history(features, correct, train)
            self.told_apart &= {model for model, _ in long_enough}
            for model, rows in long_enough:
                held = np.flatnonzero(features.models[test] == model)
                alone = outside[held][:, :base]
                fits = _path(strengths, matrix[rows][:, :base], correct[rows], weight[rows])
                own[:, held] = [alone @ w + b for w, b in fits]
            there = np.isfinite(own[0])
            best = _least_loss(own[:, there], truth[there], share[there])
            out.own[test] = own[best]
            if there.any():
                self.own_C = strengths[best]
        return out

    def fit(self, features: Features, correct: IntArray, weight: Float64Array) -> None:
        """Fit with the penalties that were chosen."""
        self.scaled.fit(features.plain, weight)
        matrix = self._matrix(features, self.scaled)
        ((self.coefficients, self.intercept),) = _path((self.common_C,), matrix, correct, weight)
        base = matrix.shape[1] - self.n_models
        for model, rows in self._with_history(features, correct, np.arange(len(features))):
            if model not in self.told_apart:  # the last stage has seen no such score
                continue
            part = matrix[rows][:, :base]
            (self.own_parts[model],) = _path((self.own_C,), part, correct[rows], weight[rows])

    def scores(self, features: Features) -> TextScore:
        """Return the scores of answers."""
        matrix, coefficients = self._matrix(features, self.scaled), self.coefficients
        if coefficients is None:
            raise AssertionError("scores are asked for after the fit")
        base = matrix.shape[1] - self.n_models
        plain = matrix[:, :base]
        common = plain @ coefficients[:base] + self.intercept
        named = common + matrix[:, base:] @ coefficients[base:]
        own = np.full(len(features), np.nan)
        for model in np.unique(features.models).tolist():
            if model in self.own_parts:
                rows = np.flatnonzero(features.models == model)
                weights, intercept = self.own_parts[model]
                own[rows] = plain[rows] @ weights + intercept
        return TextScore(common, named, own)

    def _matrix(self, features: Features, scaled: Scaled) -> Matrix:
        """Return all columns, those of the models last."""
        blocks = [*features.vectors, scaled.transform(features.plain).astype(np.float32)]
        for place, n_names in enumerate(self.n_names):
            blocks.append(one_hot(features.codes[:, place], n_names))
        if self.n_models:
            blocks.append(one_hot(features.models, self.n_models))
        if not any(hasattr(block, "nnz") for block in features.vectors):
            blocks = [b.toarray() if hasattr(b, "nnz") else b for b in blocks]
        return side_by_side(blocks)

    def _with_history(
        self, features: Features, correct: IntArray, rows: IntArray
    ) -> list[tuple[int, IntArray]]:
        """Return the models that have enough answers among some rows, with these."""
        if not self.own or self.n_models < 2:
            return []
        kept = []
        models = features.models[rows]
        for model in range(self.n_models):
            answers = rows[models == model]
            rarer = min(correct[answers].sum(), len(answers) - correct[answers].sum())
            if len(answers) >= FEWEST_ANSWERS and rarer >= FEWEST_OF_A_KIND:
                kept.append((model, answers))
        return kept


def _path(
    strengths: Sequence[float], matrix: Matrix, correct: IntArray, weight: Float64Array
) -> list[tuple[Float64Array, float]]:
    """Return coefficients and intercept for every penalty; each fit starts from the one before."""
    from sklearn.linear_model import LogisticRegression

    model: Any = LogisticRegression(
        solver="lbfgs", tol=TOLERANCE, max_iter=MOST_STEPS, warm_start=True
    )
    fits = []
    with warnings.catch_warnings():  # the last digits of a coefficient decide nothing
        warnings.simplefilter("ignore", ConvergenceWarning)
        for strength in strengths:
            model.set_params(C=strength).fit(matrix, correct, sample_weight=weight)
            fits.append((model.coef_[0].astype(np.float64), float(model.intercept_[0])))
    return fits


def _least_loss(scores: ArrayLike, correct: IntArray, weight: Float64Array) -> int:
    """Return the row of the scores with the least log loss."""
    scores = np.asarray(scores)
    signed = np.where(correct == 1, scores, -scores)
    losses = np.logaddexp(0.0, -signed) @ weight
    return int(np.argmin(losses))
