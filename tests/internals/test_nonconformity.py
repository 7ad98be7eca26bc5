"""Scores of this package against those of MAPIE."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from tests.support.many_classes import LEVELS, Data, five_classes, trained_on_first_rows
from uq.conformal.nonconformity import class_scores


@pytest.fixture(scope="module")
def data() -> Data:
    return five_classes()


@pytest.fixture(scope="module")
def trained() -> LogisticRegression:
    return trained_on_first_rows()


def test_randomised_scores_are_those_of_mapie(data: Data, trained: LogisticRegression) -> None:
    """With the same numbers drawn: MAPIE reuses its seed for calibration and new samples."""
    from mapie.classification import SplitConformalClassifier

    X, y = data
    theirs = SplitConformalClassifier(
        trained, confidence_level=LEVELS, conformity_score="aps", prefit=True, random_state=7
    ).conformalize(X[600:1600], y[600:1600])
    sets = theirs.predict_set(
        X[1600:], conformity_score_params={"include_last_label": "randomized"}
    )[1]
    uniform = np.random.RandomState(7).uniform(size=len(X) - 1600)
    scores = class_scores(trained.predict_proba(X[1600:]), "aps", uniform=uniform)
    cal = np.sort(np.ravel(theirs.conformity_scores))
    for position, level in enumerate(LEVELS):
        rank = int(np.ceil(1001 * level))
        np.testing.assert_array_equal(sets[:, :, position], scores <= cal[rank - 1])


def test_raps_with_the_numbers_that_mapie_tuned(data: Data, trained: LogisticRegression) -> None:
    """Same calibration scores, and sets that hold at most the boundary label less."""
    from mapie.classification import SplitConformalClassifier
    from mapie.conformity_scores import RAPSConformityScore

    X, y = data
    score = RAPSConformityScore()
    theirs = SplitConformalClassifier(
        trained, confidence_level=0.9, conformity_score=score, prefit=True, random_state=7
    ).conformalize(X[600:1600], y[600:1600])
    sets = theirs.predict_set(X[1600:])[1][:, :, 0]
    n = len(theirs.conformity_scores)
    proba = trained.predict_proba(X[1600:])
    rank, weight = int(score.k_star[0]), float(np.ravel(score.lambda_star)[0])
    limit = float(np.ravel(score.quantiles_)[0])
    ours = class_scores(proba, "raps", rank=rank, weight=weight) <= limit
    assert n == 900
    assert not (ours & ~sets).any()
    assert (sets.sum(axis=1) - ours.sum(axis=1)).max() <= 1
