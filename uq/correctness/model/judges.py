"""The last stage of a correctness model: trees over scores, numbers and names, and their maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from sklearn.base import clone

from calib._border.typing import Float64Array, IntArray, LabelArray
from calib._border.warn import warn
from calib._core.estimators.fit_parameters import weight_parameter
from calib._core.estimators.out_of_fold import Fold
from uq.correctness.model.features import MOST_NAMES, Features, one_hot
from uq.correctness.model.recalibration import LogOddsMap, log_odds_of
from uq.correctness.model.text_scores import TextScore

#: A leaf of the trees holds so many answers at least, and the answers of so many questions: those
#: to one question are alike.
LEAST_LEAF, LEAST_QUESTIONS = 20, 5


@dataclass(frozen=True, eq=False)
class Evidence:
    """All that the last stage reads of n answers.

    Attributes
    ----------
    features : Features
    text : TextScore or None
        Linear scores, out of fold where the rows trained them.
    history : ndarray of shape (n, 2) or None
        Of the model and of all, out of group where the rows are those of the fit.
    """

    features: Features
    text: TextScore | None
    history: Float64Array | None

    def __len__(self) -> int:
        """Return the number of answers."""
        return len(self.features)

    def take(self, rows: IntArray) -> Evidence:
        """Return that of some answers."""
        text = self.text
        if text is not None:
            text = TextScore(text.common[rows], text.named[rows], text.own[rows])
        history = None if self.history is None else self.history[rows]
        return Evidence(self.features.take(rows), text, history)


@dataclass(eq=False)
class Judge:
    """A classifier of answers with the map that calibrates it.

    Parameters
    ----------
    classifier : estimator, "linear" or None
        None grows boosted trees; "linear" hands the linear score on.
    n_names : sequence of int
        Names of each categorical column.
    n_models : int
        Models told apart; 0 judges without the name of the model.
    answers_per_question : float
        Mean number.
    seed : int
        Of the trees.
    """

    classifier: Any
    n_names: Sequence[int]
    n_models: int
    answers_per_question: float
    seed: int
    fitted: Any = None
    empty: LabelArray | None = None
    calibration: LogOddsMap = field(default_factory=LogOddsMap)

    def fit(self, evidence: Evidence, correct: IntArray, weight: Float64Array) -> Judge:
        """Train the classifier."""
        # equal weights are none, which saves the trees half of their time
        share = weight if (weight != weight[0]).any() else None
        if self.classifier == "linear":
            return self
        columns = self._columns(evidence)
        self.empty = np.asarray(np.isnan(columns).all(axis=0))
        columns = self._filled(columns)
        if self.classifier is None:
            from sklearn.ensemble import HistGradientBoostingClassifier

            n_columns, n_coded = columns.shape[1], len(self._coded())
            least = round(max(LEAST_LEAF, LEAST_QUESTIONS * self.answers_per_question))
            trees = HistGradientBoostingClassifier(
                max_iter=100,
                learning_rate=0.1,
                max_leaf_nodes=15,
                min_samples_leaf=least,
                l2_regularization=5.0,
                early_stopping=False,
                categorical_features=list(range(n_columns - n_coded, n_columns)),
                random_state=self.seed,
            )
            self.fitted = trees.fit(columns, correct, sample_weight=share)
            return self
        fresh, name = clone(self.classifier), weight_parameter(self.classifier)
        if name is None and share is not None:
            warn(
                f"{type(fresh).__name__}.fit takes no sample_weight; the weights are used for the "
                f"scores of texts and the calibrator only",
                UserWarning,
            )
        given = {} if name is None or share is None else {name: share}
        self.fitted = fresh.fit(columns, correct, **given)
        return self

    def log_odds(self, evidence: Evidence) -> Float64Array:
        """Return log-odds of being right, before calibration."""
        if self.classifier == "linear":
            if evidence.text is None:
                raise AssertionError("a linear judge has a linear score")
            return evidence.text.named if self.n_models else evidence.text.common
        return log_odds_of(
            np.asarray(self.fitted.predict_proba(self._filled(self._columns(evidence))))[:, 1]
        )

    def proba(self, evidence: Evidence) -> Float64Array:
        """Return calibrated probabilities of being right."""
        return self.calibration(self.log_odds(evidence))

    def out_of_fold(
        self,
        evidence: Evidence,
        correct: IntArray,
        weight: Float64Array,
        folds: Sequence[Fold],
    ) -> Float64Array:
        """Return log-odds of judges that were trained without the row; nan in no held-out part."""
        out = np.full(len(evidence), np.nan)
        for train, test in folds:
            other = replace(self, fitted=None, calibration=LogOddsMap())
            other.fit(evidence.take(train), correct[train], weight[train])
            out[test] = other.log_odds(evidence.take(test))
        return out

    def _filled(self, columns: Float64Array) -> Float64Array:
        """Return columns of which those that held nothing in the fit are 0."""
        return columns if self.empty is None else np.where(self.empty, 0.0, columns)

    def _coded(self) -> list[int]:
        """Return the columns of names that trees read as numbers of names."""
        return [*range(len(self.n_names)), *([-1] if 1 < self.n_models <= MOST_NAMES else [])]

    def _columns(self, evidence: Evidence) -> Float64Array:
        """Return numbers, then names: coded for trees, as indicators for other classifiers."""
        blocks = [evidence.features.plain]
        if evidence.text is not None:
            text = evidence.text
            named = [text.common, text.named, text.own] if self.n_models else [text.common]
            blocks.append(np.column_stack(named))
        if evidence.history is not None:
            blocks.append(evidence.history if self.n_models else evidence.history[:, 1:])
        names = [
            *zip(evidence.features.codes.T, self.n_names, strict=True),
            *([(evidence.features.models, self.n_models)] if self.n_models > 1 else []),
        ]
        if self.classifier is None:
            coded = [np.where(c >= 0, c, np.nan) for c, n_names in names if n_names <= MOST_NAMES]
            blocks += [column[:, None] for column in coded]
        else:
            blocks += [one_hot(codes, n_names).toarray() for codes, n_names in names]
        columns = np.hstack(blocks).astype(np.float64)
        return columns if columns.shape[1] else np.zeros((len(evidence), 1))
