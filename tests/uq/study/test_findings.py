"""What a study concludes: headlines case by case, claims with their verdicts, differences."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from tests.support.small_study import LR, study_of_two_models, thirty_samples
from uq import StudyResult, leave_one_out_study

N = 200


def study_with(probabilities: dict[tuple[str, str], np.ndarray], codes: np.ndarray) -> StudyResult:
    """Return a study whose predictions are those given."""
    study = study_of_two_models()
    kind = type(study.predictions["lr", "raw"][0])
    return replace(
        study,
        predictions={pair: [kind(y_prob=p)] for pair, p in probabilities.items()},
        codes=codes,
        y_true=codes,
        protocol=replace(study.protocol, n_repeats=1),
        n_resamples=300,
        members={name: (name, None) for name, _ in probabilities},
    )


@pytest.fixture(scope="module")
def sample() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    margin = 3 * rng.normal(size=N)
    return margin, (rng.random(N) < expit(margin)).astype(int)


def test_headline_names_the_only_pair_that_is_good(sample: tuple[np.ndarray, np.ndarray]) -> None:
    margin, y = sample
    poor = expit(0.1 * margin)
    pairs = {("a", "raw"): poor, ("a", "platt"): expit(margin), ("b", "raw"): poor}
    study = study_with({**pairs, ("b", "platt"): poor}, y)
    assert re.match(
        r"Use a with Platt probabilities: Brier score 0\.\d{3} \(0\.\d{3} to 0\.\d{3}\), "
        r"0\.\d{3} \(0\.\d{3} to 0\.\d{3}\) lower than for always answering \d\d%; no other pair",
        study.headline,
    )


def test_headline_names_the_ties(sample: tuple[np.ndarray, np.ndarray]) -> None:
    margin, y = sample
    poor = expit(0.1 * margin)
    pairs = {("a", "raw"): expit(margin), ("a", "platt"): expit(1.01 * margin)}
    study = study_with({**pairs, ("b", "raw"): poor, ("b", "platt"): 0.9 * poor}, y)
    assert study.headline.startswith("Use a with ")
    assert "is not distinguishable from it" in study.headline


def test_headline_of_too_few_data(sample: tuple[np.ndarray, np.ndarray]) -> None:
    margin, y = sample
    names = [(model, "raw") for model in "abc"]
    study = study_with({pair: expit((1 + k / 50) * margin) for k, pair in enumerate(names)}, y)
    assert study.headline.startswith("Too few data to choose: 200 rows cannot tell 3 of 3 pairs")


def test_headline_where_nothing_is_known(sample: tuple[np.ndarray, np.ndarray]) -> None:
    """No pair beats the constant answer, however many there are: a bound for all at once."""
    _, y = sample
    misled = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        pairs = {
            (f"m{k}", "raw"): np.clip(y.mean() + 0.05 * rng.normal(size=N), 0, 1) for k in range(8)
        }
        headline = study_with(pairs, y).headline
        misled += not headline.startswith("Too few data to tell that any model predicts class 1")
    assert misled <= 3  # binomial, 20 at 5 %: more with probability 0.016


def test_headline_without_numbers() -> None:
    study = replace(study_of_two_models(), min_kept=31)
    assert study.headline == (
        "Too few data to compare models: 30 rows, of which 31 are needed for a metric."
    )
    assert "nan" not in " ".join(map(str, study.claims()))


@pytest.mark.parametrize(
    ("raw", "after", "verdict"),
    [(4.0, 1.0, "true"), (1.0, 4.0, "false"), (1.0, 1.02, "not decidable")],
)
def test_claims_are_decided_by_the_interval(
    raw: float, after: float, verdict: str, sample: tuple[np.ndarray, np.ndarray]
) -> None:
    margin, y = sample
    study = study_with(
        {("a", "raw"): expit(raw * margin), ("a", "platt"): expit(after * margin)}, y
    )
    [claim] = study.claims()
    assert claim.text == "Platt scaling improves calibration"
    assert claim.verdict == verdict
    low, high = claim.difference.low, claim.difference.high
    assert (high < 0, low > 0) == (verdict == "true", verdict == "false")
    assert f": {verdict}" in str(claim)
    assert claim.text in study.details()


def test_claims_about_features_and_certainty() -> None:
    X, y = thirty_samples()
    options: dict[str, Any] = {"n_repeats": 1, "n_resamples": 50, "n_simulations": 0}
    study = leave_one_out_study(
        {"lr": LR}, X, y, feature_sets={"a": [0], "+ b": [1]}, inner_folds=3, **options
    )
    texts = [claim.text for claim in study.claims()]
    assert texts[:2] == ["+ b improves discrimination over a", "+ b improves calibration over a"]
    assert texts[-2:] == [
        "Conformal prediction improves discrimination",
        "Confidence of at least 0.8 improves discrimination",
    ]
    change = study.difference(("lr | + b", "raw"), ("lr | a", "raw"), "auroc")
    assert study.claims()[0].difference == change


def test_differences_are_paired(sample: tuple[np.ndarray, np.ndarray]) -> None:
    """On the same draws: a difference from itself is 0, and from a near copy narrow."""
    margin, y = sample
    study = study_with({("a", "raw"): expit(margin), ("b", "raw"): expit(1.1 * margin)}, y)
    itself = study.difference(("a", "raw"), ("a", "raw"), "auroc")
    assert (itself.value, itself.low, itself.high) == (0, 0, 0)
    change = study.difference(("a", "raw"), ("b", "raw"), "brier")
    values = [study.evaluate(model, "raw")[0].metrics["brier"] for model in ("a", "b")]
    assert change.value == pytest.approx(values[0].value - values[1].value)
    assert change.high - change.low < 0.3 * (values[0].high - values[0].low)
    half = study.difference(("a", "raw"), ("b", "raw"), "brier", share=0.5)
    kept = [study.evaluate(m, "raw", shares=[0.5])[1].metrics["brier"].value for m in ("a", "b")]
    assert half.value == pytest.approx(kept[0] - kept[1])
    for wrong, message in (
        ({"first": "a"}, r"first must be \(model, method\)"),
        ({"first": ("c", "raw")}, "model must be one of"),
        ({"metric": "ece"}, "metric must be one of"),
        ({"share": 0.0}, r"shares must lie in \(0, 1\]"),
    ):
        given: dict[str, Any] = {"first": ("a", "raw"), "second": ("b", "raw"), **wrong}
        with pytest.raises(ValueError, match=message):
            study.difference(**given)


def test_every_finding_has_an_interval() -> None:
    for sentence in study_of_two_models().findings():
        assert re.search(r"\([+-]?\d[\d.]*%? to [+-]?\d[\d.]*%?\)", sentence), sentence
        assert "nan" not in sentence


def test_the_software_is_named() -> None:
    import sklearn

    study = study_of_two_models()
    assert study.software["lr"] == f"LogisticRegression of scikit-learn {sklearn.__version__}"
    assert study.software["lr"] in study.notes[-1]


@pytest.mark.slow
def test_verdicts_on_two_calibrated_models() -> None:
    """One sharper than the other, both calibrated: a verdict is an error, 5 % of tables at most."""
    wrong = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        clear, noise = 1.2 * rng.normal(size=(2, 100))
        truth = expit(clear + noise)
        y = (rng.random(100) < truth).astype(int)
        nodes, weights = np.polynomial.hermite_e.hermegauss(20)
        blurred = expit(clear[:, None] + 1.2 * nodes) @ weights / weights.sum()
        study = study_with({("a", "raw"): blurred, ("a", "platt"): truth}, y)
        wrong += study.claims()[0].verdict != "not decidable"
    assert wrong <= 20  # binomial, 200 at 5 %: more with probability 0.001
