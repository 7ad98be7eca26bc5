"""Every public function that takes scores, with every kind of value that scores come in."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.special import logsumexp, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.frozen import FrozenEstimator

import uq

RNG = np.random.default_rng(0)
N = 60
Z = 2 * RNG.normal(size=(N, 3))
P = softmax(Z, axis=1)
S = RNG.random(N)
E = (np.arange(N) % 2).astype(int)
Y = RNG.integers(0, 3, N)
X = RNG.normal(size=(N, 2))
ONES = np.ones(N)
LOOSE = np.full((N, 3), 0.25)


class Told(ClassifierMixin, BaseEstimator):
    """A classifier that answers with what it was given."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer
        self.classes_ = np.arange(3)

    def fit(self, X: Any, y: Any) -> Told:
        return self

    def predict_proba(self, X: Any) -> Any:
        return self.answer[: len(X)]

    def predict(self, X: Any) -> Any:
        return np.zeros(len(X), dtype=int)


def told(answer: Any) -> Any:
    return FrozenEstimator(Told(answer))


def stepwise(values: Any) -> Any:
    """Return rows of two steps: the values twice, the row of a missing one with a last step."""
    steps = np.stack([values, values], axis=1)
    if steps.dtype.kind == "f":
        steps[np.isnan(steps[:, 0]), 1] = 0.5
    return steps


Call = Callable[[Any], Any]

#: What reads a matrix of logits: (argument, call).
LOGITS: dict[str, tuple[str, Call]] = {
    "max_probability_score": ("scores", lambda v: uq.max_probability_score(v, input="logits")),
    "margin_score": ("scores", lambda v: uq.margin_score(v, input="logits")),
    "negative_entropy_score": ("scores", lambda v: uq.negative_entropy_score(v, input="logits")),
    "negative_mutual_information_score": (
        "scores",
        lambda v: uq.negative_mutual_information_score(np.stack([v, v]), input="logits"),
    ),
    "max_logit_score": ("logits", uq.max_logit_score),
    "energy_score": ("logits", uq.energy_score),
    "ood_score": ("logits", uq.ood_score),
    "ood_score, margin": ("logits", lambda v: uq.ood_score(v, method="margin")),
}
#: What reads a matrix of probabilities or p-values.
PROBABILITIES: dict[str, tuple[str, Call]] = {
    "max_probability_score": ("scores", uq.max_probability_score),
    "margin_score": ("scores", uq.margin_score),
    "negative_entropy_score": ("scores", uq.negative_entropy_score),
    "negative_mutual_information_score": (
        "scores",
        lambda v: uq.negative_mutual_information_score(np.stack([v, v])),
    ),
    "forced_prediction": ("p_values", uq.forced_prediction),
    "conformal_confidence": ("p_values", uq.conformal_confidence),
    "conformal_credibility": ("p_values", uq.conformal_credibility),
    "is_conformal_singleton": ("p_values", uq.is_conformal_singleton),
    "interval_width_certainty": (
        "interval",
        lambda v: uq.interval_width_certainty(v[:, [0, 0]]),
    ),
    "interval_lower_certainty": (
        "interval",
        lambda v: uq.interval_lower_certainty(v[:, [0, 0]]),
    ),
    "certainty_curve": ("y_prob", lambda v: uq.certainty_curve(E, v[:, 0], S, n_simulations=0)),
    "abstention_utility": ("confidence", lambda v: uq.abstention_utility(E, v[:, 0])),
    "ConformalClassifier": (
        "predict_proba",
        lambda v: uq.ConformalClassifier(told(v), random_state=0).fit(X, Y).predict_p(X),
    ),
    "SelectiveClassifier": (
        "scores",
        lambda v: uq.SelectiveClassifier(told(v), random_state=0).fit(X, Y).score_samples(X),
    ),
}
#: What reads scores of any unit: their order or their differences.
RANKS: dict[str, tuple[str, Call]] = {
    "conformal_p_values": ("calibration_scores", lambda v: uq.conformal_p_values(v, S)),
    "conformal_p_values, tests": ("test_scores", lambda v: uq.conformal_p_values(S, v)),
    "mondrian_p_values": (
        "calibration_scores",
        lambda v: uq.mondrian_p_values(v, E, S, E),
    ),
    "mondrian_p_values, tests": ("test_scores", lambda v: uq.mondrian_p_values(S, E, v, E)),
    "conformal_quantile": ("scores", lambda v: uq.conformal_quantile(v, 0.9)),
    "weighted_conformal_quantile": (
        "scores",
        lambda v: uq.weighted_conformal_quantile(v, 0.9, calibration_ratio=ONES, test_ratio=[1.0]),
    ),
    "effective_sample_size": ("weight", uq.effective_sample_size),
    "AdaptiveConformal.fit": ("scores", lambda v: uq.AdaptiveConformal().fit(v).threshold_),
    "AdaptiveConformal.update": (
        "scores",
        lambda v: uq.AdaptiveConformal().fit(S).update(v).level_,
    ),
    "AdaptiveConformal.predict_set": (
        "scores",
        lambda v: uq.AdaptiveConformal().fit(S).predict_set(np.stack([v, v], axis=1)),
    ),
    "risk_coverage_curve": ("confidence", lambda v: uq.risk_coverage_curve(E, v).risk),
    "risk_coverage_curve, loss": ("loss", lambda v: uq.risk_coverage_curve(v, S).risk),
    "area_under_risk_coverage": ("confidence", lambda v: uq.area_under_risk_coverage(E, v)),
    "excess_area_under_risk_coverage": (
        "confidence",
        lambda v: uq.excess_area_under_risk_coverage(E, v),
    ),
    "control_selective_risk": (
        "confidence",
        lambda v: uq.control_selective_risk(E, v).threshold,
    ),
    "selective_table": ("confidence", lambda v: uq.selective_table(E, v, E).rows[0].aurc),
    "control_stopping_risk": (
        "confidence",
        lambda v: uq.control_stopping_risk(stepwise(v), np.stack([E, E], axis=1)),
    ),
    "abstention_utility, threshold": (
        "confidence",
        lambda v: uq.abstention_utility(E, v, threshold=0.5),
    ),
    "certainty_curve, certainty": (
        "certainty",
        lambda v: uq.certainty_curve(E, S, v, n_simulations=0),
    ),
    "ood_report": ("scores_in", lambda v: uq.ood_report(v, S, n_resamples=5, random_state=0)),
    "ood_report, others": (
        "scores_out",
        lambda v: uq.ood_report(S, v, n_resamples=5, random_state=0),
    ),
}
ALL = [
    *((f"logits: {name}", Z, argument, call) for name, (argument, call) in LOGITS.items()),
    *((f"proba: {name}", P, argument, call) for name, (argument, call) in PROBABILITIES.items()),
    *((f"ranks: {name}", S, argument, call) for name, (argument, call) in RANKS.items()),
]
EVERY = pytest.mark.parametrize(
    ("good", "argument", "call"), [row[1:] for row in ALL], ids=[row[0] for row in ALL]
)


def number(value: Any) -> np.ndarray:
    return np.asarray(value, dtype=np.float64)


def with_cell(good: np.ndarray, value: float) -> np.ndarray:
    changed = good.copy()
    changed[(3, *[0] * (good.ndim - 1))] = value
    return changed


REFUSED: dict[str, Call] = {
    "text": lambda good: good.astype(str),
    "bytes": lambda good: good.astype("S12"),
    "text among objects": lambda good: good.astype(str).astype(object),
    "one text": lambda good: with_cell(good.astype(object), "a"),  # type: ignore[arg-type]
    "datetimes": lambda good: (1000 * good).astype("datetime64[D]"),
    "timedeltas": lambda good: (1000 * good).astype("timedelta64[D]"),
    "complex": lambda good: good * 1j,
    "NaN": lambda good: with_cell(good, np.nan),
    "plus infinity": lambda good: with_cell(good, np.inf),
}


@pytest.mark.filterwarnings("ignore::calib.CalibWarning")
@EVERY
@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_score_is_refused_by_name(
    kind: str, good: np.ndarray, argument: str, call: Call
) -> None:
    with pytest.raises((ValueError, TypeError), match=argument) as refusal:
        call(REFUSED[kind](good))
    words = ("numbers", "NaN or inf", "Complex data not supported")
    assert any(word in str(refusal.value) for word in words), refusal.value


@pytest.mark.filterwarnings("ignore::calib.CalibWarning")
@pytest.mark.parametrize(
    ("argument", "call"),
    [row[2:] for row in ALL if "interval" not in row[2]],
    ids=[row[0] for row in ALL if "interval" not in row[2]],
)
def test_a_structured_array_is_refused_by_name(argument: str, call: Call) -> None:
    record = np.zeros((N, 3), dtype=[("a", float), ("b", float)])
    with pytest.raises(ValueError, match=f"{argument} .*a structured array"):
        call(record if call in [row[3] for row in ALL if row[1] is not S] else record[:, 0])


@pytest.mark.filterwarnings("ignore::calib.CalibWarning")
@EVERY
def test_numbers_among_objects_are_numbers(good: np.ndarray, argument: str, call: Call) -> None:
    call(good.astype(object))


@pytest.mark.filterwarnings("ignore::calib.CalibWarning")
@pytest.mark.parametrize("name", PROBABILITIES)
def test_probabilities(name: str) -> None:
    argument, call = PROBABILITIES[name]
    exact, rounded = P.copy(), P.copy()
    exact[3], rounded[3] = [1, 0, 0], [1.0000001, 0, -1e-8]
    call(rounded)
    call(P == P.max(axis=1, keepdims=True))  # truth values are the numbers 0 and 1
    call(exact)
    with pytest.raises(ValueError, match=rf"{argument} .*divide by 100"):
        call(100 * P)
    with pytest.raises(ValueError, match=rf"{argument} .*-inf in row 3"):
        call(with_cell(P, -np.inf))


@pytest.mark.filterwarnings("ignore::calib.CalibWarning")
@pytest.mark.parametrize("name", RANKS)
def test_ranks(name: str) -> None:
    argument, call = RANKS[name]
    with pytest.raises(ValueError, match=f"{argument} .*-inf in row 3"):
        call(with_cell(S, -np.inf))


# ------------------------------------------------------------------------------- excluded classes

MASKED = Z.copy()
MASKED[::3, 1] = -np.inf
MASKED[1::3, [0, 2]] = -np.inf  # one class is left


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", LOGITS)
def test_minus_infinity_is_the_logarithm_of_0(name: str) -> None:
    argument, call = LOGITS[name]
    exact, low = number(call(MASKED)), number(call(np.where(np.isinf(MASKED), -1e9, MASKED)))
    assert np.isfinite(exact).all()
    np.testing.assert_allclose(exact, low, rtol=1e-13, atol=1e-13)
    with pytest.raises(ValueError, match=f"{argument} excludes every class in row 3"):
        call(np.where(np.arange(N)[:, None] == 3, -np.inf, MASKED))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_excluded_classes_under_a_temperature(temperature: float) -> None:
    p = softmax(MASKED / temperature, axis=1)
    options = {"input": "logits", "temperature": temperature}
    np.testing.assert_allclose(uq.max_probability_score(MASKED, **options), p.max(axis=1))  # type: ignore[arg-type]
    np.testing.assert_allclose(
        uq.energy_score(MASKED, temperature=temperature),
        temperature * logsumexp(MASKED / temperature, axis=1),
    )


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_excluded_classes_of_other_types(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    few = MASKED.astype(dtype)
    tensor = torch.tensor(few, requires_grad=True)
    for name, (_, call) in LOGITS.items():
        if name == "negative_mutual_information_score":
            continue  # it stacks
        found = call(tensor)
        np.testing.assert_allclose(found.detach().numpy(), call(few), rtol=1e-5, atol=1e-6)
        (gradient,) = torch.autograd.grad(found.sum(), tensor)
        assert torch.isfinite(gradient).all(), name


def test_infinite_log_odds_exclude_one_of_two_classes() -> None:
    s = np.array([-np.inf, 0.0, np.inf])
    np.testing.assert_array_equal(uq.max_probability_score(s, input="logits"), [1, 0.5, 1])
    np.testing.assert_array_equal(uq.margin_score(s, input="logits"), [1, 0, 1])
    np.testing.assert_allclose(uq.negative_entropy_score(s, input="logits"), [0, -np.log(2), 0])


def test_masked_logits_in_the_place_of_probabilities_are_told_the_option() -> None:
    with pytest.raises(ValueError, match="input='logits' takes minus infinity"):
        uq.margin_score(MASKED)


@pytest.mark.filterwarnings("ignore::calib.CalibWarning")
def test_sets_and_abstentions_of_masked_classes() -> None:
    """A class of probability 0 is never in a set; the wrappers read rows with exact zeros."""
    proba = softmax(MASKED, axis=1)
    wrapper = uq.ConformalClassifier(told(proba), random_state=0).fit(X, Y)
    assert np.isfinite(wrapper.predict_p(X)).all()
    selective = uq.SelectiveClassifier(told(proba), random_state=0).fit(X, Y)
    np.testing.assert_allclose(selective.score_samples(X), proba.max(axis=1))


def test_the_table_knows_every_function_of_scores() -> None:
    first = {"scores", "logits", "p_values", "confidence", "calibration_scores", "scores_in"}
    named = {row[0].split(": ")[1].split(",")[0] for row in ALL}
    for name in uq.__all__:
        function = getattr(uq, name)
        if inspect.isfunction(function) and first & set(inspect.signature(function).parameters):
            assert name in named, f"{name} is in no table of this file"
