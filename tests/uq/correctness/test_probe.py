"""The probe of hidden states: what each option does, exact cases, gates, refusals."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, StratifiedKFold
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from calib import BetaCalibrator, PlattCalibrator
from tests.support.hidden_states import layered_states
from uq import HiddenStateProbe, control_selective_risk

OWN_LABELS = "right and wrong are 1 and 0, not any two labels"
OWN_NAME = "the target is called correct"
EXPECTED = {
    "check_classifiers_classes": OWN_LABELS,
    "check_classifiers_regression_target": OWN_LABELS,
    "check_classifier_not_supporting_multiclass": OWN_LABELS,
    "check_classifier_data_not_an_array": OWN_LABELS,
    "check_estimators_dtypes": OWN_LABELS,
    "check_fit2d_1feature": OWN_LABELS,
    "check_fit_score_takes_y": OWN_NAME,
    "check_requires_y_none": OWN_NAME,
    "check_supervised_y_2d": OWN_NAME,
}


@parametrize_with_checks([HiddenStateProbe(cv=3)], expected_failed_checks=lambda _: EXPECTED)
def test_scikit_learn_contract(estimator: object, check: object) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(estimator)  # type: ignore[operator]


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    return layered_states(400, 30)


def rotation(d: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(1).normal(size=(d, d)))[0]


# ------------------------------------------------------------------------------------- layers


def test_the_layer_with_the_signal_is_read(data: tuple[np.ndarray, np.ndarray]) -> None:
    H, correct = data
    probe = HiddenStateProbe().fit(H, correct)
    assert (probe.layer_, probe.n_layers_, probe.n_features_in_) == (1, 3, 30)
    assert probe.layer_scores_.argmax() == 1
    assert probe.layer_scores_[1] > 0.75
    assert (abs(probe.layer_scores_[[0, 2]] - 0.5) < 0.12).all()
    alone = HiddenStateProbe().fit(H[:, 1], correct)
    assert alone.layer_ == 0
    np.testing.assert_array_equal(alone.predict_proba(H[:, 1]), probe.predict_proba(H))
    np.testing.assert_array_equal(probe.predict_proba(H[:, 1]), probe.predict_proba(H))
    assert (probe.predict(H) == (probe.predict_proba(H)[:, 1] > 0.5)).all()


def test_equal_layers_give_the_earlier_one(data: tuple[np.ndarray, np.ndarray]) -> None:
    H, correct = data
    assert HiddenStateProbe().fit(H[:, [0, 1, 1]], correct).layer_ == 1


@pytest.mark.parametrize(("layer", "place"), [(2, 2), (-1, 2), (0, 0)])
def test_a_layer_that_is_named(data: tuple[np.ndarray, np.ndarray], layer: int, place: int) -> None:
    H, correct = data
    probe = HiddenStateProbe(layer=layer).fit(H, correct)
    assert probe.layer_ == place
    assert np.flatnonzero(np.isfinite(probe.layer_scores_)) == [place]


def test_a_signal_across_strong_directions_is_found() -> None:
    """The difference of class means, which the path starts with, does not see it."""
    rng = np.random.default_rng(3)
    n, d = 600, 20
    correct = rng.integers(2, size=n)
    H = rng.normal(size=(n, 2, d))
    nuisance = rng.normal(size=n) * 10
    H[:, 1] = rng.normal(size=(n, d)) * 0.05
    H[:, 1] += nuisance[:, None]
    H[:, 1, 0] += 0.1 * correct
    H[:, 0, 0] += 0.5 * correct
    means = [H[correct == k, 1].mean(axis=0) for k in (0, 1)]
    assert abs(roc_auc_score(correct, H[:, 1] @ (means[1] - means[0])) - 0.5) < 0.06
    probe = HiddenStateProbe().fit(H, correct)
    assert probe.layer_ == 1
    assert probe.layer_scores_[1] > 0.85


# ------------------------------------------------------------------------------ the readout


@pytest.mark.parametrize("n", [300, 50])
def test_the_readout_is_a_penalised_logistic_regression(n: int) -> None:
    """With more rows than dimensions and with fewer."""
    H, correct = layered_states(n, 80, 1, informative=0)
    probe = HiddenStateProbe(C=0.02, calibrator=None, cv=3).fit(H, correct)
    X = StandardScaler().fit_transform(H[:, 0])
    model = LogisticRegression(C=0.02, tol=1e-10, max_iter=10_000).fit(X, correct)
    np.testing.assert_allclose(probe.decision_function(H), model.decision_function(X), atol=2e-5)
    np.testing.assert_allclose(probe.predict_proba(H), model.predict_proba(X), atol=1e-5)
    states = np.random.default_rng(0).normal(size=(5, 80))
    np.testing.assert_allclose(
        probe.decision_function(states), states @ probe.coef_ + probe.intercept_, rtol=1e-9
    )
    assert probe.C_ == 0.02


def test_out_of_fold_log_odds_are_of_models_without_the_row() -> None:
    H, correct = layered_states(90, 12, 1, informative=0)
    probe = HiddenStateProbe(C=0.1, cv=3, standardize=False).fit(H, correct)
    X = H[:, 0] - H[:, 0].mean(axis=0)
    X /= np.sqrt(X.var(axis=0).mean())
    for train, test in StratifiedKFold(3).split(X, correct):
        model = LogisticRegression(C=0.1, tol=1e-10, max_iter=10_000).fit(X[train], correct[train])
        rates = np.array([correct.mean(), correct[train].mean()])
        moved = np.diff(np.log(rates / (1 - rates)))  # the fold's labels lack in its intercept
        expected = model.decision_function(X[test]) - moved
        np.testing.assert_allclose(probe.out_of_fold_log_odds_[test], expected, atol=2e-3)


@pytest.mark.parametrize("n", [400, 60])
def test_rotated_states_give_the_same_probe(n: int) -> None:
    """With more rows than dimensions and with fewer; with standardisation they do not."""
    H, correct = layered_states(n, 70, 2)
    turned = H @ rotation(70)
    probe, other = (HiddenStateProbe(standardize=False).fit(h, correct) for h in (H, turned))
    assert probe.layer_ == other.layer_
    np.testing.assert_allclose(probe.layer_scores_, other.layer_scores_, atol=1e-3)
    np.testing.assert_allclose(probe.predict_proba(H), other.predict_proba(turned), atol=1e-5)
    np.testing.assert_allclose(probe.coef_ @ rotation(70), other.coef_, atol=1e-5)
    H[:, :, 0] *= 20
    scaled, plain = (HiddenStateProbe(standardize=s).fit(H, correct) for s in (True, False))
    assert np.abs(scaled.predict_proba(H) - plain.predict_proba(H)).max() > 0.02


def test_constant_dimensions_change_nothing(data: tuple[np.ndarray, np.ndarray]) -> None:
    H, correct = data
    wider = np.concatenate([H, np.full((400, 3, 2), 1e4 / 3)], axis=2)
    probe, other = (HiddenStateProbe().fit(h, correct) for h in (H, wider))
    assert (other.coef_[-2:] == 0).all()
    np.testing.assert_allclose(probe.predict_proba(H), other.predict_proba(wider), atol=1e-6)
    with pytest.raises(ValueError, match=r"H is constant in every dimension of 3 layer\(s\)"):
        HiddenStateProbe().fit(np.ones((400, 3, 2)), correct)
    one = np.concatenate([np.ones((400, 1, 30)), H], axis=1)
    assert HiddenStateProbe().fit(one, correct).layer_scores_[0] == 0.5


def test_all_components_change_nothing_and_few_do(data: tuple[np.ndarray, np.ndarray]) -> None:
    H, correct = data
    probes = [HiddenStateProbe(reduce=k, C=0.3).fit(H, correct) for k in (None, 30, 2)]
    every, same, few = (probe.predict_proba(H)[:, 1] for probe in probes)
    np.testing.assert_allclose(every, same, atol=1e-5)
    assert roc_auc_score(correct, few) < 0.62 < roc_auc_score(correct, every)
    assert probes[2].coef_.shape == (30,)
    with pytest.raises(ValueError, match=r"reduce=31 components .* Pass at most 30"):
        HiddenStateProbe(reduce=31).fit(H, correct)
    with pytest.raises(ValueError, match="smallest training part has 24 rows"):
        HiddenStateProbe(reduce=24).fit(H[:40], correct[:40])


def test_a_network_reads_what_no_line_does() -> None:
    rng = np.random.default_rng(0)
    H = rng.normal(size=(500, 2, 4))
    correct = H[:, 1, 0] * H[:, 1, 1] > 0
    options: dict[str, Any] = {"layer": 1, "cv": 3, "C": 1.0, "calibrator": None}
    new = rng.normal(size=(500, 2, 4))
    truth = new[:, 1, 0] * new[:, 1, 1] > 0
    line = HiddenStateProbe(**options).fit(H, correct)
    net = HiddenStateProbe(**options, hidden=(16,), random_state=0).fit(H, correct)
    assert roc_auc_score(truth, line.predict_proba(new)[:, 1]) < 0.6
    assert roc_auc_score(truth, net.predict_proba(new)[:, 1]) > 0.85
    assert net.auroc_ > 0.8
    assert not hasattr(net, "coef_")
    again = clone(net).fit(H, correct)
    np.testing.assert_array_equal(net.predict_proba(new), again.predict_proba(new))
    other = clone(net).set_params(random_state=1).fit(H, correct)
    assert (net.predict_proba(new) != other.predict_proba(new)).any()
    reduced = clone(net).set_params(reduce=3).fit(H, correct)
    assert reduced.predict_proba(new).shape == (500, 2)
    assert not hasattr(line.set_params(hidden=(2,)).fit(H, correct), "coef_")


def test_the_penalty_is_chosen_by_left_out_folds(data: tuple[np.ndarray, np.ndarray]) -> None:
    H, correct = data
    probe = HiddenStateProbe(layer=1).fit(H, correct)
    noise = HiddenStateProbe(layer=0).fit(H, correct)
    assert noise.C_ < probe.C_
    assert {round(float(np.log10(p.C_ * 30)), 9) for p in (probe, noise)} <= set(range(-3, 3))
    strong = HiddenStateProbe(layer=1, C=1e-6, calibrator=None).fit(H, correct)
    np.testing.assert_allclose(strong.predict_proba(H)[:, 1], correct.mean(), atol=0.01)
    net = HiddenStateProbe(layer=1, hidden=(4,), cv=3, random_state=0)
    net.fit(H[:120], correct[:120])
    assert round(float(np.log10(net.C_ * 30)), 9) in range(4)


# ------------------------------------------------------------------------------- calibration


def test_calibrators_by_name_by_instance_and_none(data: tuple[np.ndarray, np.ndarray]) -> None:
    H, correct = data
    raw = HiddenStateProbe(calibrator=None).fit(H, correct)
    assert raw.calibrator_ is None
    log_odds = raw.decision_function(H)
    np.testing.assert_allclose(raw.predict_proba(H)[:, 1], 1 / (1 + np.exp(-log_odds)))
    platt = HiddenStateProbe().fit(H, correct)
    expected = PlattCalibrator(input="logits").fit(raw.out_of_fold_log_odds_, correct)
    np.testing.assert_allclose(platt.predict_proba(H), expected.transform(log_odds), atol=1e-9)
    given = HiddenStateProbe(calibrator=PlattCalibrator(input="logits")).fit(H, correct)
    np.testing.assert_array_equal(platt.predict_proba(H), given.predict_proba(H))
    beta = HiddenStateProbe(calibrator=BetaCalibrator()).fit(H, correct)  # reads probabilities
    named = HiddenStateProbe(calibrator="beta").fit(H, correct)
    np.testing.assert_allclose(beta.predict_proba(H), named.predict_proba(H), atol=1e-6)
    steps = HiddenStateProbe(calibrator="isotonic").fit(H, correct).predict_proba(H)
    assert len(np.unique(steps)) < 100
    with pytest.raises(ValueError, match="platt"):
        HiddenStateProbe(calibrator="plat").fit(H, correct)
    with pytest.raises(ValueError, match="calibrator must be a name"):
        HiddenStateProbe(calibrator=3).fit(H, correct)


def test_prevalence_undoes_a_balanced_choice() -> None:
    H, correct = layered_states(4000, 10)
    kept = np.concatenate([np.flatnonzero(correct == 0), np.flatnonzero(correct == 1)[:1000]])
    balanced = HiddenStateProbe(layer=1).fit(H[kept], correct[kept])
    shifted = HiddenStateProbe(layer=1, prevalence=0.65).fit(H[kept], correct[kept])
    assert abs(balanced.predict_proba(H)[:, 1].mean() - 0.65) > 0.05
    assert abs(shifted.predict_proba(H)[:, 1].mean() - correct.mean()) < 0.01
    odds = [p[:, 1] / p[:, 0] for p in (shifted.predict_proba(H), balanced.predict_proba(H))]
    rate = correct[kept].mean()
    np.testing.assert_allclose(odds[0] / odds[1], (0.65 / 0.35) / (rate / (1 - rate)))


# ------------------------------------------------------------------------------- folds, groups


@pytest.mark.filterwarnings("ignore::calib.warnings.DegenerateScoresWarning")  # nothing is left
def test_rows_of_a_group_are_in_one_fold() -> None:
    """States that identify the group tell its answer only where the group is split."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(120), 4)
    H = np.repeat(rng.normal(size=(120, 60)), 4, axis=0) + 0.01 * rng.normal(size=(480, 60))
    correct = np.repeat(rng.integers(2, size=120), 4)
    order = rng.permutation(480)
    H, correct, group = H[order], correct[order], group[order]
    split = HiddenStateProbe().fit(H, correct)
    whole = HiddenStateProbe().fit(H, correct, groups=[f"question {g}" for g in group])
    assert split.auroc_ > 0.8
    assert split.layer_scores_[0] > 0.8
    assert abs(whole.auroc_ - 0.5) < 3 * 0.053  # standard error of 120 groups
    assert whole.layer_scores_[0] < 0.5 + 3 * 0.053
    by_splitter = HiddenStateProbe(cv=GroupKFold(4)).fit(H, correct, groups=group)
    assert abs(by_splitter.auroc_ - 0.5) < 3 * 0.053


@pytest.mark.parametrize(
    ("cv", "message"),
    [
        (2, "cv must be >= 3"),
        (11, "cv must be at most 10"),
        (StratifiedKFold(2), "cv must make 3 to 10 folds, .* got 2"),
        ("prefit", "is no way to make folds"),
    ],
)
def test_folds_that_are_refused(data: tuple[np.ndarray, np.ndarray], cv: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HiddenStateProbe(cv=cv).fit(*data)


def test_a_training_part_of_one_class_is_refused(data: tuple[np.ndarray, np.ndarray]) -> None:
    H, _ = data
    correct = np.r_[np.zeros(2), np.ones(398)]
    folds = np.repeat([0, 1, 2, 3], 100)
    pairs = [(np.flatnonzero(folds != k), np.flatnonzero(folds == k)) for k in range(4)]
    with pytest.raises(ValueError, match="training samples of one class"):
        HiddenStateProbe(cv=pairs).fit(H, correct)
    with pytest.raises(ValueError, match="need as many groups; got 2"):
        HiddenStateProbe().fit(H, data[1], groups=np.repeat([0, 1], 200))


# ------------------------------------------------------------------------------- gate


def test_threshold_for_is_the_controlled_risk_of_held_out_rows() -> None:
    H, correct = layered_states(1500, 30, gain=1.2)
    probe = HiddenStateProbe().fit(H[:600], correct[:600])
    held, truth = H[600:], correct[600:]
    gate = probe.threshold_for(held, truth, risk=0.15, confidence_level=0.95, min_coverage=0.1)
    right = probe.predict_proba(held)[:, 1]
    assert gate == control_selective_risk(
        1 - truth, right, target_risk=0.15, confidence_level=0.95, min_coverage=0.1
    )
    assert gate.risk_bound <= 0.15
    assert 0.2 < gate.coverage < 1
    safe = probe.threshold_for(held, truth, risk=0.15, procedure="bonferroni")
    assert safe.procedure == "bonferroni"
    assert probe.threshold_for(held[:, 1], truth, risk=0.15).coverage > 0.2
    assert probe.threshold_for(held, np.ones(900), risk=0.05).threshold == -np.inf


def test_threshold_for_refuses_rows_of_fit(data: tuple[np.ndarray, np.ndarray]) -> None:
    H, correct = data
    probe = HiddenStateProbe().fit(H[:300], correct[:300])
    with pytest.raises(ValueError, match="50 of 50 rows are rows that the probe was fitted on"):
        probe.threshold_for(H[100:150], correct[100:150])
    with pytest.raises(ValueError, match="300 of 400 rows"):
        probe.threshold_for(H, correct)
    with pytest.raises(ValueError, match="H has 100 samples but correct has 99"):
        probe.threshold_for(H[300:], correct[301:])


# ------------------------------------------------------------------------------- refusals, state


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": "best"}, "layer must be 'auto' or an integer; got 'best'"),
        ({"layer": True}, "layer must be 'auto' or an integer"),
        ({"layer": 3}, "layer=3 is none of the 3 layers"),
        ({"layer": -4}, "layer=-4 is none of the 3 layers"),
        ({"pooling": "max"}, "pooling must be one of 'last', 'mean', None"),
        ({"standardize": 1}, "standardize must be one of True, False"),
        ({"reduce": 0}, "reduce must be >= 1"),
        ({"hidden": 64}, r"hidden must be a tuple of widths, such as \(64,\)"),
        ({"hidden": (0,)}, "hidden must be >= 1"),
        ({"C": 0}, "C must be 'cv' or a finite number > 0"),
        ({"C": "auto"}, "C must be 'cv'"),
        ({"prevalence": 65}, "divide by 100"),
        ({"random_state": -1}, "random_state|seed|Seed|between"),
    ],
)
def test_options_that_are_refused(
    data: tuple[np.ndarray, np.ndarray], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        HiddenStateProbe(**options).fit(*data)


@pytest.mark.parametrize(
    ("correct", "message"),
    [
        (np.full(400, 2.0), r"correct must hold 1 \(or True\) .* got \[2.0\]"),
        (np.array(["yes", "no"] * 200), "correct must hold 1"),
        (np.linspace(0, 1, 400), "correct must hold 1"),
        (np.ones(400), "one class only: all 400 answers are right"),
        (np.zeros(400), "all 400 answers are wrong"),
        (np.r_[np.nan, np.ones(399)], "correct contains NaN"),
        (np.ones(399), "H has 400 samples but correct has 399"),
    ],
)
def test_answers_that_are_refused(
    data: tuple[np.ndarray, np.ndarray], correct: np.ndarray, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        HiddenStateProbe().fit(data[0], correct)


def test_states_unlike_those_of_fit_are_refused(data: tuple[np.ndarray, np.ndarray]) -> None:
    H, correct = data
    probe = HiddenStateProbe().fit(H, correct)
    with pytest.raises(ValueError, match=r"29 dimensions per state, .* fitted on 30"):
        probe.predict_proba(H[:, :, :-1])
    with pytest.raises(ValueError, match=r"H has 2 layers, .* fitted on 3; .* of layer 1 alone"):
        probe.predict_proba(H[:, :2])


def test_a_probe_survives_pickle(data: tuple[np.ndarray, np.ndarray]) -> None:
    H, correct = data
    probe = HiddenStateProbe().fit(H, correct)
    copy = pickle.loads(pickle.dumps(probe))
    np.testing.assert_array_equal(copy.predict_proba(H), probe.predict_proba(H))
