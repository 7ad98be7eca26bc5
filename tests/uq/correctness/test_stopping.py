"""The guarantee of a threshold for stopping, what it is computed from, and what is refused."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import beta, binom, multinomial

from calib import DegenerateScoresWarning
from uq import RiskNotControlledWarning, StoppingThreshold, control_stopping_risk

pd = pytest.importorskip("pandas")

SKILL = np.linspace(0.5, 0.95, 4)


def cascade(n_rows: int = 600, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return confidence and correctness of four models, small to large."""
    rng = np.random.default_rng(seed)
    confidence = rng.beta(4 * SKILL, 4 * (1 - SKILL), size=(n_rows, 4))
    return confidence, (rng.random(confidence.shape) < confidence).astype(float)


def unequal(n_rows: int = 300, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of one to four steps with tied confidences, padded with NaN."""
    confidence, correct = cascade(n_rows, seed)
    confidence = np.round(confidence, 1)
    gone = np.arange(4) >= np.random.default_rng(seed).integers(1, 5, n_rows)[:, None]
    return np.where(gone, np.nan, confidence), np.where(gone, np.nan, correct)


def first_passing(row: np.ndarray, threshold: float) -> int:
    """Return where a row stops, step by step."""
    steps = row[~np.isnan(row)]
    for step, value in enumerate(steps):
        if value >= threshold:
            return step
    return len(steps) - 1


# ------------------------------------------------------------------------------------ what it is


def test_by_hand() -> None:
    confidence = np.tile([[0.9, 0.2], [0.6, 0.8]], (50, 1))
    correct = np.tile([[1, 1], [0, 1]], (50, 1))
    result = control_stopping_risk(confidence, correct, target_risk=0.05)
    assert isinstance(result, StoppingThreshold)
    assert (result.threshold, result.risk, result.error_at_end) == (0.9, 0.0, 0.0)
    assert (result.mean_steps, result.steps_saved) == (1.5, 0.25)
    assert result.thresholds.tolist() == [math.inf, 0.9, 0.6]
    assert result.risks.tolist() == [0.0, 0.0, 0.5]
    assert result.step_shares.tolist() == [0.0, 0.25, 0.5]
    assert result.apply([[0.95, 0.1], [0.89, 0.99], [0.1, 0.2]]).tolist() == [0, 1, 1]


@pytest.mark.parametrize("risk", ["error", "excess"])
def test_every_threshold_against_a_loop_over_rows(risk: str) -> None:
    confidence, correct = unequal()
    result = control_stopping_risk(confidence, correct, risk=risk, target_risk=0.4)
    rows = np.arange(len(confidence))
    lengths = (~np.isnan(confidence)).sum(axis=1)
    end = 1 - correct[rows, lengths - 1]
    for place, threshold in enumerate(result.thresholds):
        stops = np.array([first_passing(row, threshold) for row in confidence])
        loss = 1 - correct[rows, stops] - (end if risk == "excess" else 0)
        assert result.risks[place] == pytest.approx(loss.mean(), abs=1e-12)
        assert result.step_shares[place] == pytest.approx(1 - (stops + 1).sum() / lengths.sum())
    stops = np.array([first_passing(row, result.threshold) for row in confidence])
    np.testing.assert_array_equal(result.apply(confidence), stops)
    assert result.mean_steps == (stops + 1).mean()
    assert result.error == pytest.approx((1 - correct[rows, stops]).mean())
    assert result.error_at_end == pytest.approx(end.mean())


def test_errors_are_binomial_and_the_walk_ends_at_the_first_failure() -> None:
    confidence, correct = cascade()
    result = control_stopping_risk(confidence, correct, target_risk=0.12, confidence_level=0.95)
    tested = np.isfinite(result.p_values)
    errors = np.round(result.risks * 600)
    np.testing.assert_allclose(result.p_values[tested], binom.cdf(errors[tested], 600, 0.12))
    assert (result.p_values[tested][:-1] <= 0.05).all()
    assert result.p_values[tested][-1] > 0.05
    assert not tested[result.n_tested :].any()
    assert result.threshold == result.thresholds[result.n_tested - 2]
    wrong = round(result.risk * 600)
    assert result.risk_bound == pytest.approx(beta.ppf(0.95, wrong + 1, 600 - wrong), abs=1e-9)
    assert result.risk_bound <= 0.12


def test_excess_has_its_level_whatever_the_rate_of_changed_answers() -> None:
    """All outcomes of 14 rows that stop at once: a third of them changes, or nearly all."""
    n, target, level, passing = 14, 0.3, 0.2, []
    for harmed in range(n + 1):
        for rescued in range(n + 1 - harmed):
            kinds = [(0, 1)] * harmed + [(1, 0)] * rescued + [(1, 1)] * (n - harmed - rescued)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RiskNotControlledWarning)
                result = control_stopping_risk(
                    [[0.9, 0.5]] * n,
                    kinds,
                    risk="excess",
                    target_risk=target,
                    thresholds=[0.7],
                    confidence_level=1 - level,
                )
            if result.certified:
                passing.append((harmed, rescued))
    assert len(passing) > 10
    for rate in np.linspace(target, 1, 40):
        shares = [(rate + target) / 2, (rate - target) / 2, 1 - rate]
        chance = sum(multinomial.pmf([a, b, n - a - b], n, shares) for a, b in passing)
        assert chance <= level


def test_grades_are_tested_by_betting_with_less_power_than_errors() -> None:
    confidence, correct = cascade(2000)
    graded = np.where(correct == 1, 0.999, 0.001)
    sure = control_stopping_risk(confidence, correct, target_risk=0.12)
    bet = control_stopping_risk(confidence, graded, target_risk=0.12)
    assert sure.threshold < bet.threshold < math.inf
    assert bet.risk <= bet.risk_bound <= 0.12
    by_hand = np.zeros(7)
    stops = bet.apply(confidence)
    loss = 1 - graded[np.arange(2000), stops]
    for place, share in enumerate(2.0 ** -np.arange(0.5, 7)):
        by_hand[place] = np.log1p(share * (0.12 - loss) / 0.88).sum()
    p = bet.p_values[bet.thresholds == bet.threshold][0]
    assert p == pytest.approx(1 / np.exp(by_hand).mean())


def test_excess_is_allowed_where_the_error_is_not() -> None:
    confidence, correct = cascade()
    correct[::3] = 0  # questions that no model solves
    with pytest.warns(RiskNotControlledWarning, match="Run to the end"):
        error = control_stopping_risk(confidence, correct, target_risk=0.05)
    excess = control_stopping_risk(confidence, correct, target_risk=0.05, risk="excess")
    assert error.threshold == math.inf
    assert not error.certified
    assert excess.certified
    assert excess.steps_saved > 0.1
    assert excess.error == pytest.approx(excess.error_at_end + excess.risk)


@pytest.mark.parametrize("risk", ["error", "excess"])
def test_only_the_order_of_confidences_counts(risk: str) -> None:
    confidence, correct = unequal()
    plain = control_stopping_risk(confidence, correct, target_risk=0.4, risk=risk)
    bent = control_stopping_risk(np.exp(5 * confidence) - 1000, correct, target_risk=0.4, risk=risk)
    assert (bent.steps_saved, bent.risk) == (plain.steps_saved, plain.risk)
    np.testing.assert_array_equal(
        bent.apply(np.exp(5 * confidence) - 1000), plain.apply(confidence)
    )
    order = np.random.default_rng(3).permutation(len(confidence))
    mixed = control_stopping_risk(confidence[order], correct[order], target_risk=0.4, risk=risk)
    assert mixed.threshold == plain.threshold
    assert mixed.steps_saved == plain.steps_saved


# ---------------------------------------------------------------------------------------- options


def test_more_risk_and_less_confidence_save_more() -> None:
    confidence, correct = cascade()
    saved = [
        control_stopping_risk(confidence, correct, target_risk=target).steps_saved
        for target in (0.08, 0.12, 0.2)
    ]
    assert saved == sorted(set(saved))
    sure = control_stopping_risk(confidence, correct, confidence_level=0.99)
    assert sure.steps_saved < control_stopping_risk(confidence, correct).steps_saved
    assert sure.level == pytest.approx(0.01)


def test_thresholds_are_chosen_among_those_given() -> None:
    confidence, correct = cascade()
    result = control_stopping_risk(confidence, correct, thresholds=[0.2, 0.9, 0.8, 0.9])
    assert result.thresholds.tolist() == [0.9, 0.8, 0.2]
    assert result.threshold in (0.9, 0.8)
    every = control_stopping_risk(confidence, correct)
    assert result.threshold >= every.threshold


def test_bonferroni_passes_a_bump_that_ends_the_walk() -> None:
    rng = np.random.default_rng(5)
    confidence = rng.random((800, 2))
    confidence[:, 1] = 0.5
    late = confidence[:, 0] < 0.5  # the last step is worse than a first one of middling confidence
    correct = np.stack([rng.random(800) < 0.97, rng.random(800) < np.where(late, 0.97, 0.5)], 1)
    grid = np.linspace(0.1, 0.9, 9)
    with pytest.warns(RiskNotControlledWarning):
        walk = control_stopping_risk(confidence, correct, thresholds=grid)
    every = control_stopping_risk(confidence, correct, thresholds=grid, procedure="bonferroni")
    assert walk.threshold == math.inf
    assert every.threshold < 0.5
    assert every.level == pytest.approx(0.1 / 9)
    assert every.n_tested == 9
    with pytest.raises(ValueError, match="'bonferroni' needs thresholds"):
        control_stopping_risk(confidence, correct, procedure="bonferroni")


def test_costs_change_what_is_saved_and_not_the_choice() -> None:
    confidence, correct = cascade()
    plain = control_stopping_risk(confidence, correct)
    priced = control_stopping_risk(confidence, correct, cost=[1, 2, 4, 100])
    assert plain.cost_saved == plain.steps_saved
    assert (priced.threshold, priced.steps_saved) == (plain.threshold, plain.steps_saved)
    spent = np.cumsum([1, 2, 4, 100])[plain.apply(confidence)].mean()
    assert priced.cost_saved == pytest.approx(1 - spent / 107)
    assert "of the cost saved" in priced.headline
    assert "of the steps saved" in plain.headline
    each = control_stopping_risk(confidence, correct, cost=np.tile([1, 2, 4, 100], (600, 1)))
    assert each.cost_saved == pytest.approx(priced.cost_saved)


# ------------------------------------------------------------------------------- kinds of input


def test_lists_series_and_padding_mean_the_same() -> None:
    confidence, correct = unequal()
    padded = control_stopping_risk(confidence, correct, target_risk=0.4)
    short_c = [row[~np.isnan(row)].tolist() for row in confidence]
    short_y = [row[~np.isnan(row)].tolist() for row in correct]
    for make in (list, pd.Series):
        listed = control_stopping_risk(make(short_c), make(short_y), target_risk=0.4)
        assert listed.to_dict() == padded.to_dict()
        np.testing.assert_array_equal(listed.apply(make(short_c)), padded.apply(confidence))
    frame = control_stopping_risk(pd.DataFrame(confidence), pd.DataFrame(correct), target_risk=0.4)
    assert frame.to_dict() == padded.to_dict()


def test_the_last_confidence_decides_nothing() -> None:
    confidence, correct = cascade()
    other = confidence.copy()
    other[:, -1] = -7.0
    assert (
        control_stopping_risk(other, correct).to_dict()
        == control_stopping_risk(confidence, correct).to_dict()
    )


def test_one_row_certifies_nothing() -> None:
    with pytest.warns(RiskNotControlledWarning, match="1 rows"):
        result = control_stopping_risk([[0.9, 0.8]], [[1, 1]])
    assert result.threshold == math.inf
    assert result.steps_saved == 0.0
    assert result.apply([[0.99, 0.1]]).tolist() == [1]


BAD = {
    "nan in the middle": ([[0.1, np.nan, 0.3]], [[1, 1, 1]], {}, "row 0, step 1, before a later"),
    "no step": ([[np.nan, np.nan], [0.1, 0.2]], [[1, 1], [1, 1]], {}, "no step in row 0"),
    "inf": ([[0.1, np.inf]], [[1, 1]], {}, "inf in row 0, step 1"),
    "one step": ([[0.1], [0.2]], [[1], [0]], {}, "one step per row"),
    "vector": ([0.1, 0.2], [1, 0], {}, "must have shape"),
    "no rows": (np.empty((0, 3)), np.empty((0, 3)), {}, "at least one of each"),
    "other shape": ([[0.1, 0.2]], [[1, 1, 1]], {}, r"shape \(1, 3\) but confidence \(1, 2\)"),
    "lacking correct": ([[0.1, 0.2]], [[1, np.nan]], {}, "correct has no value in row 0, step 1"),
    "lacking step": ([[0.1, np.nan], [1, 1]], [[1, 1]] * 2, {}, "confidence has no value in row 0"),
    "percent": ([[0.1, 0.2]], [[1, 100]], {}, r"\[0, 1\].*got 100 in row 0, step 1"),
    "texts": ([["a", "b"]], [[1, 1]], {}, "confidence must hold numbers"),
    "target": ([[0.1, 0.2]], [[1, 1]], {"target_risk": 10}, "divide by 100"),
    "level": ([[0.1, 0.2]], [[1, 1]], {"confidence_level": 1.0}, r"lie in \(0, 1\)"),
    "risk": ([[0.1, 0.2]], [[1, 1]], {"risk": "err"}, "risk must be one of 'error', 'excess'"),
    "procedure": ([[0.1, 0.2]], [[1, 1]], {"procedure": "all"}, "procedure must be one of"),
    "threshold": ([[0.1, 0.2]], [[1, 1]], {"thresholds": [np.nan]}, "thresholds contains NaN"),
    "cost shape": ([[0.1, 0.2]] * 3, [[1, 1]] * 3, {"cost": [1, 2, 3, 4]}, "cost must have shape"),
    "cost sign": ([[0.1, 0.2]] * 3, [[1, 1]] * 3, {"cost": [1, -2]}, "got -2 in row 0, step 1"),
    "no cost": ([[0.1, 0.2]] * 3, [[1, 1]] * 3, {"cost": [0, 0]}, "0 for every step"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_names_the_argument(case: str) -> None:
    confidence, correct, options, text = BAD[case]
    with pytest.raises(ValueError, match=text):
        control_stopping_risk(confidence, correct, **options)


def test_weights_are_not_offered() -> None:
    with pytest.raises(TypeError, match="sample_weight"):
        control_stopping_risk(*cascade(), sample_weight=np.ones(600))  # type: ignore[call-arg]


def test_errors_in_the_place_of_right_answers_are_noticed() -> None:
    confidence, correct = cascade()
    with (
        pytest.warns(DegenerateScoresWarning, match="pass 1 for right answers"),
        pytest.warns(RiskNotControlledWarning),
    ):
        control_stopping_risk(confidence, 1 - correct)


# --------------------------------------------------------------------------------- what it says


def test_headlines() -> None:
    confidence, correct = cascade()
    result = control_stopping_risk(confidence, correct, target_risk=0.12)
    assert result.headline == (
        f"Stop at confidence {result.threshold!r}: {100 * result.steps_saved:.0f} % of the steps "
        f"saved, error at most 12 % with confidence 90 %."
    )
    assert len(repr(result.threshold)) < 7
    assert (confidence >= result.threshold).sum() > 0
    level = np.sort(confidence[confidence >= result.threshold])[0]
    assert not ((confidence > result.threshold) & (confidence < level)).any()
    excess = control_stopping_risk(confidence, correct, target_risk=0.025, risk="excess")
    assert "error at most 2.5 points above that of all steps" in excess.headline
    with pytest.warns(RiskNotControlledWarning, match="no earlier stop could be shown"):
        end = control_stopping_risk(confidence[:30, :2], [[0, 1]] * 30)
    assert end.certified
    assert end.threshold == math.inf
    assert end.headline == (
        "Run to the end: no earlier stop could be shown to keep the error within 10 %."
    )


def test_table_frame_and_page(tmp_path: Path) -> None:
    result = control_stopping_risk(*cascade(), target_risk=0.12)
    text = str(result)
    assert text.count("chosen") == 1
    assert "run to the end" in text
    assert "not tested" in text
    frame = result.to_frame()
    assert list(frame.columns) == ["threshold", "risk", "p_value", "steps_saved"]
    assert len(frame) == len(result.thresholds)
    numbers = json.loads(json.dumps(result.to_dict()))
    assert numbers["threshold"] == result.threshold
    assert "thresholds" not in numbers
    assert "From the strictest on" in result.details()
    result.to_html(tmp_path / "stop.html")
    assert "Stopping with a guarantee" in (tmp_path / "stop.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("level", [-0.00123456789, 0.0, 1e-300, -7e250, np.float64(1 / 3)])
def test_a_threshold_is_no_higher_than_the_confidence_that_passes(level: float) -> None:
    less = level - max(abs(level), 1.0)
    confidence = [[level, 9.0]] * 60 + [[less, 9.0]] * 60
    result = control_stopping_risk(confidence, [[1, 1]] * 120)
    assert result.threshold <= less
    assert result.apply([[less, 9.0]]).tolist() == [0]
    split = control_stopping_risk(confidence, [[1, 1]] * 60 + [[0, 1]] * 60)
    assert less < split.threshold <= level
    assert f"confidence {result.threshold:.10g}:" in result.headline


# --------------------------------------------------------------------------------- real answers


@pytest.mark.shared_data
def test_a_cascade_of_language_models(shared_data: Path) -> None:
    """Models in the order of their price on one part of the questions, the rule on a second."""
    with np.load(shared_data / "llm" / "mmlupro_confidences.npz") as file:
        models = ["gpt-4.1-nano", "gpt-4.1-mini", "o4-mini-2025-04-16"]
        chosen = [file["models"].tolist().index(name) for name in models]
        confidence = file["confidence"][chosen, :, 2].T.astype(float)
        correct = file["correct"][chosen].T.astype(float)
    confidence[np.isnan(confidence)] = -1.0  # no confidence extracted: go on
    part = np.random.default_rng(0).permutation(len(correct)) % 2
    result = control_stopping_risk(
        confidence[part == 0], correct[part == 0], target_risk=0.05, risk="excess"
    )
    assert result.certified
    assert result.steps_saved > 0.2
    held = correct[part == 1]
    stopped = held[np.arange(len(held)), result.apply(confidence[part == 1])]
    assert held[:, -1].mean() - stopped.mean() <= 0.05
