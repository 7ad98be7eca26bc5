"""Folds, seeds and metrics of a study, against parts of scikit-learn and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from calib import (
    VennAbersCalibrator,
)
from tests.support.small_study import LR, QUICK, study_of_two_models, thirty_samples
from uq import (
    StudyResult,
    certainty_curve,
    leave_one_out_study,
    study_models,
)
from uq.selective.kept_rows import METRICS, kept_metrics
from uq.study.numbers import draw_weights
from uq.study.scores import StudyTable, inner_folds_of, outer_splits, seeded


@pytest.fixture(scope="module")
def small() -> tuple[np.ndarray, np.ndarray]:
    return thirty_samples()


@pytest.fixture(scope="module")
def study() -> StudyResult:
    return study_of_two_models()


def test_fold_schemes(small: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = small
    by_scheme = {
        scheme: leave_one_out_study(
            {"lr": LR}, X, y, inner_folds=3, scheme=scheme, outer_folds=3, **QUICK
        )
        for scheme in ("pooled", "per_fold", "split")
    }
    table = StudyTable(X, y, None, True)
    split = outer_splits(table, by_scheme["split"].protocol, 0)
    rest, test = np.flatnonzero(split != 0), np.flatnonzero(split == 0)
    inner = inner_folds_of(table, rest, 3, 0)
    parts = []
    for k in range(3):
        model = LogisticRegression(C=0.3).fit(X[rest[inner != k]], y[rest[inner != k]])
        held = rest[inner == k]
        venn = VennAbersCalibrator(input="logits")
        venn.fit(model.decision_function(X[held]), y[held])
        parts.append((venn, model.decision_function(X[test])))
    found = by_scheme["per_fold"].predictions["lr", "venn_abers"][0].y_prob
    np.testing.assert_allclose(found[test], parts[0][0].merge_folds(parts)[:, 1])
    found = by_scheme["split"].predictions["lr", "venn_abers"][0].y_prob
    np.testing.assert_allclose(found[test], parts[0][0].transform(parts[0][1])[:, 1])
    for study in by_scheme.values():
        p_values = study.predictions["lr", "conformal"][0].p_values
        assert p_values is not None
        assert (p_values > 0).all()
        assert (p_values <= 1).all()
    pooled = by_scheme["pooled"].predictions["lr", "raw"][0].y_prob
    assert not np.allclose(pooled, by_scheme["per_fold"].predictions["lr", "raw"][0].y_prob)


def test_open_seeds_are_set_and_others_left() -> None:
    pipeline = make_pipeline(StandardScaler(), RandomForestClassifier())
    assert seeded(pipeline, 3).get_params()["randomforestclassifier__random_state"] == 3
    assert pipeline.get_params()["randomforestclassifier__random_state"] is None
    assert seeded(RandomForestClassifier(random_state=9), 3).random_state == 9


def test_values_equal_the_certainty_curve(study: StudyResult) -> None:
    """The vectorised metrics against those of `certainty_curve`, at all cuts and ties."""
    for model in study.models:
        for method in study.methods:
            for certainty in study.certainties_of(method):
                rows = study.evaluate(
                    model,
                    method,
                    certainty,
                    thresholds=np.round(np.arange(0.5, 0.96, 0.05), 2),
                    shares=np.round(np.arange(0.1, 1.01, 0.1), 1),
                )
                for repeat in range(2):
                    found = study.predictions[model, method][repeat]
                    own = found.certainties()
                    if certainty not in own:
                        own = study.predictions[model, "conformal"][repeat].certainties()
                    curve = certainty_curve(
                        study.codes, found.y_prob, own[certainty], n_simulations=0
                    )
                    for cut, points in (
                        ("threshold", curve.by_threshold["certainty"]),
                        ("share", curve.by_share["certainty"]),
                    ):
                        for i, at in enumerate(points.at):
                            metrics, kept = kept_metrics(
                                study.codes,
                                found.y_prob,
                                own[certainty],
                                np.ones((1, 30)),
                                cut=cut,
                                at=at,
                                min_kept=10,
                                uniform=np.empty((0, 30)),
                            )
                            assert kept["n_kept"] == pytest.approx(points.n_kept[i])
                            for name in METRICS:
                                expected = pytest.approx(
                                    points.metrics[name][i], abs=1e-12, nan_ok=True
                                )
                                assert metrics[name][0] == expected
                assert len(rows) == 21


def test_draws_equal_repeated_rows(rng: np.random.Generator) -> None:
    p = rng.random(60).round(1)
    y = (rng.random(60) < p).astype(int)
    weight = draw_weights(None, 60, 20, 0)
    assert (weight[0] == 1).all()
    assert (weight.sum(axis=1) == 60).all()
    metrics, _ = kept_metrics(
        y, p, p, weight, cut="none", at=0, min_kept=10, uniform=np.empty((0, 60))
    )
    for line, counts in enumerate(weight.astype(int)):
        yy, pp = np.repeat(y, counts), np.repeat(p, counts)
        assert metrics["auroc"][line] == pytest.approx(roc_auc_score(yy, pp))
        assert metrics["auprc"][line] == pytest.approx(average_precision_score(yy, pp))
        assert metrics["brier"][line] == pytest.approx(brier_score_loss(yy, pp))
        gain = metrics["auprc"][line] - yy.mean()
        assert metrics["auprc_gain"][line] == pytest.approx(gain)


def test_floor_and_interval_of_calibrated_probabilities(rng: np.random.Generator) -> None:
    """With true probabilities the error is about its floor; draws show more of it."""
    p = rng.random(400)
    y = (rng.random(400) < p).astype(int)
    weight = draw_weights(None, 400, 200, 0)
    metrics, kept = kept_metrics(
        y, p, p, weight, cut="none", at=0, min_kept=10, uniform=rng.random((200, 400))
    )
    assert kept["ace_calibrated"] == pytest.approx(metrics["ace"][0], abs=0.03)
    assert metrics["ace"][1:].mean() > metrics["ace"][0]  # the bias that reflecting undoes


def test_groups_stay_together(small: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = np.repeat(small[0], 2, axis=0), np.repeat(small[1], 2)
    names = np.repeat([f"patient {i}" for i in range(30)], 2)
    study = leave_one_out_study({"lr": LR}, X, y, groups=names, inner_folds=3, **QUICK)
    groups = study.groups
    assert groups is not None
    table = StudyTable(X, y, groups, True)
    split = outer_splits(table, study.protocol, 0)
    assert (split[::2] == split[1::2]).all()
    train = np.flatnonzero(split != 4)
    fold = inner_folds_of(table, train, 3, 0)
    assert (fold[::2] == fold[1::2]).all()
    weight = draw_weights(groups, 60, 10, 0)
    assert (weight[:, ::2] == weight[:, 1::2]).all()
    raw = study.predictions["lr", "raw"][0].y_prob
    np.testing.assert_allclose(raw[::2], raw[1::2])
    plain = leave_one_out_study(
        {"lr": LR}, X, y, calibrators=["raw"], inner_folds=3, **{**QUICK, "n_resamples": 400}
    ).evaluate("lr", "raw")[0]
    wide = leave_one_out_study(
        {"lr": LR},
        X,
        y,
        groups=names,
        calibrators=["raw"],
        inner_folds=3,
        **{**QUICK, "n_resamples": 400},
    ).evaluate("lr", "raw")[0]
    width = [row.metrics["auroc"].high - row.metrics["auroc"].low for row in (plain, wide)]
    assert width[1] > width[0]
    assert "30 groups" in str(study)


def test_gradient_boosting_without_xgboost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uq.study.models.is_installed", lambda package: False)
    model = study_models()["gradient_boosting"]
    assert type(model).__name__ == "GradientBoostingClassifier"
