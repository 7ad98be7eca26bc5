"""Decompositions and tests against model-diagnostics, MAPIE, statsmodels and scikit-learn.

* model-diagnostics decomposes mean scores by isotonic regression as CORP does; its squared error is
  that of one event, its log loss in nats (it keeps recalibrated values off 0 and 1).
* MAPIE's Spiegelhalter statistic is the one here; its **p-value is one-sided** (upper tail).
* statsmodels fits Cox's regression as a binomial GLM; frequency weights give its weighted estimate.
* probmetrics' refinement cross-fits temperature scaling; its folds differ.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from calib.evaluation import (
    calibration_tests,
    measurement_table,
    refinement_decomposition,
    score_decomposition,
)

pytestmark = pytest.mark.oracle


@pytest.fixture(scope="module")
def binary() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    p = rng.beta(0.7, 0.9, 1200)
    return (rng.random(1200) < p**1.4).astype(int), p


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("weighted", [False, True])
def test_model_diagnostics(weighted: bool, binary) -> None:
    scoring = pytest.importorskip("model_diagnostics.scoring")
    y, p = binary
    w = np.random.default_rng(1).exponential(size=1200) if weighted else None
    for name, function in (("brier", scoring.SquaredError()), ("log_loss", scoring.LogLoss())):
        row = scoring.decompose(y, p, weights=w, scoring_function=function).to_dicts()[0]
        theirs = [row[key] for key in ("miscalibration", "discrimination", "uncertainty", "score")]
        ours = score_decomposition(y, p, score=name, average="binary", sample_weight=w)
        assert tuple(ours) == pytest.approx((theirs[3], *theirs[:3]), abs=1e-6)


def test_mapie_spiegelhalter_but_for_the_side_of_its_p_value(binary) -> None:
    from scipy.stats import norm

    calibration = pytest.importorskip("mapie.metrics.calibration")
    y, p = binary
    ours = calibration_tests(y, p, average="binary", random_state=0)["spiegelhalter"]
    assert ours.statistic == pytest.approx(calibration.spiegelhalter_statistic(y, p), abs=1e-9)
    theirs = calibration.spiegelhalter_p_value(y, p)
    assert theirs == pytest.approx(norm.sf(ours.statistic))
    assert ours.p_value == pytest.approx(2 * min(theirs, 1 - theirs), abs=1e-12)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("weighted", [False, True])
def test_statsmodels_cox_and_in_the_large(weighted: bool, binary) -> None:
    statsmodels = pytest.importorskip("statsmodels.api")
    y, p = binary
    s = np.log(p / (1 - p))
    w = np.random.default_rng(1).exponential(size=1200) if weighted else None
    family = statsmodels.families.Binomial()
    tests = calibration_tests(y, p, average="binary", sample_weight=w, random_state=0)
    fit = statsmodels.GLM(y, statsmodels.add_constant(s), family=family, freq_weights=w).fit()
    ours = tests["cox"].estimates
    assert (ours["intercept"], ours["slope"]) == pytest.approx(tuple(fit.params), abs=1e-7)
    shift = statsmodels.GLM(y, np.ones(1200), family=family, offset=s, freq_weights=w).fit()
    ours = tests["in_the_large"].estimates
    assert ours["intercept"] == pytest.approx(shift.params[0], abs=1e-7)
    if w is None:
        null = np.sum(np.log(np.where(y, p, 1 - p)))
        assert tests["cox"].statistic == pytest.approx(2 * (fit.llf - null), abs=1e-6)
        assert ours["standard_error"] == pytest.approx(shift.bse[0], abs=1e-7)
    else:
        robust = statsmodels.GLM(y, np.ones(1200), family=family, offset=s, var_weights=w)
        theirs = robust.fit(cov_type="HC0").bse[0]  # residuals where we take their variance
        assert ours["standard_error"] == pytest.approx(theirs, rel=0.1)


def test_scikit_learn_fits_the_same_slope(binary) -> None:
    from sklearn.linear_model import LogisticRegression

    y, p = binary
    s = np.log(p / (1 - p))[:, None]
    fit = LogisticRegression(C=np.inf, tol=1e-10, solver="newton-cholesky").fit(s, y)
    ours = calibration_tests(y, p, average="binary", random_state=0)["cox"].estimates
    assert ours["slope"] == pytest.approx(fit.coef_[0, 0], abs=1e-6)
    assert ours["intercept"] == pytest.approx(fit.intercept_[0], abs=1e-6)


def test_scikit_learn_scores_and_area(binary) -> None:
    from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

    y, p = binary
    a, b = p.round(1), p[:300].round(1)
    table = measurement_table(y, p, p, scores_in=a, scores_out={"others": b})
    assert table["pre_NLL"] == pytest.approx(log_loss(y, p))
    assert table["pre_Brier"] == pytest.approx(2 * brier_score_loss(y, p))  # both classes
    is_inside = np.repeat([1, 0], [1200, 300])
    theirs = roc_auc_score(is_inside, np.concatenate([a, b]))
    assert table["pre_auc_others"] == pytest.approx(theirs)


@pytest.mark.filterwarnings("ignore")
def test_probmetrics_refinement() -> None:
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own imports
        metrics = pytest.importorskip("probmetrics.metrics")
    rng = np.random.default_rng(3)
    q = rng.dirichlet(np.full(4, 0.5), 3000)
    y = (q.cumsum(axis=1) < rng.random((3000, 1))).sum(axis=1).clip(max=3)
    p = q**2 / (q**2).sum(axis=1, keepdims=True)
    names = ["refinement_logloss_ts-mix_cv-5", "refinement_brier_ts-mix_cv-5"]
    chosen = metrics.Metrics.from_names(names)
    found = chosen.compute_all_from_labels_probs(torch.tensor(y), torch.tensor(p))
    for name, score in zip(names, ("log_loss", "brier"), strict=True):
        ours = refinement_decomposition(y, p, score=score, random_state=0)
        assert ours.refinement == pytest.approx(float(found[name]), abs=2e-3)
