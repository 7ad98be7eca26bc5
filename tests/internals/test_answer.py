"""Every sentence of a report on a sample that brings it about, and the comparisons below it."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from calib.evaluation.report import answer, ranking
from tests.support.answers import ANSWERS, answered

PLACES = [(case, place) for case, answers in ANSWERS.items() for place in range(len(answers))]


def test_every_sentence_has_a_sample() -> None:
    assert list(ANSWERS) == [case for case in answer.SENTENCES if case in ANSWERS]
    assert set(ANSWERS) == set(answer.SENTENCES)


@pytest.mark.parametrize(("case", "place"), PLACES)
def test_a_sample_brings_its_sentence_about(case: str, place: int) -> None:
    report = answered(case, place)
    said = {verdict.case: verdict.text for verdict in report.answer}
    assert case in said, said
    assert re.fullmatch(ANSWERS[case][place][1], said[case]), said[case]
    assert report.headline == report.findings[0]
    assert len(said) == len(report.answer) <= 1 + answer.MOST_BULLETS
    for text in said.values():
        assert "  " not in text
        assert not re.search(r"nan|inf\b|\(\)|[{}]|,,|\.\.|e[+-]?\d\d", text), text
        assert text[-1] == "."


@pytest.mark.parametrize(("case", "place"), PLACES)
def test_a_sentence_reaches_terminal_and_page(case: str, place: int) -> None:
    report = answered(case, place)
    text = " ".join(str(report).split())
    page = " ".join(re.sub(r"<[^>]*>", "", report._repr_html_()).split())
    page = page.replace("\N{NO-BREAK SPACE}", " ")
    for sentence in report.findings:
        assert sentence in text
        assert sentence in page


# ---------------------------------------------------------------- comparisons with the best


def paired(rng: np.random.Generator, values: np.ndarray, spread: float = 1.0) -> np.ndarray:
    common = rng.normal(size=(2000, 1))
    return values + 5 * common + spread * rng.normal(size=(2000, len(values)))


def test_one_model_may_be_the_best() -> None:
    found = ranking.rank(np.array([0.3]), np.random.default_rng(0).normal(size=(100, 1)), 0.95)
    assert found.order.tolist() == [0]
    assert found.may_be_best.tolist() == [True]
    assert found.behind_at_least.tolist() == [0]
    assert found.p_value.tolist() == [1]


def test_identical_models_cannot_be_told_apart() -> None:
    draws = np.repeat(np.random.default_rng(0).normal(size=(100, 1)), 4, axis=1)
    found = ranking.rank(np.full(4, 0.3), draws, 0.95)
    assert found.order.tolist() == [0, 1, 2, 3]
    assert found.may_be_best.all()
    assert not found.behind_at_least.any()
    assert (found.p_value == 1).all()


def test_a_model_that_is_better_in_every_draw_alike_is_the_best() -> None:
    draws = np.random.default_rng(0).normal(size=(100, 1)) + np.array([0.5, 0.2, 0.5])
    found = ranking.rank(np.array([0.5, 0.2, 0.5]), draws, 0.95)
    assert found.order.tolist() == [1, 0, 2]
    assert found.may_be_best.tolist() == [False, True, False]
    assert found.behind_at_least == pytest.approx([0.3, 0, 0.3])
    assert found.p_value == pytest.approx([1 / 101, 1, 1 / 101])


def test_two_models_are_told_apart_by_their_paired_difference() -> None:
    rng = np.random.default_rng(0)
    for gap, inside in ((1.0, True), (2.2, True), (2.6, False), (6.0, False)):
        values = np.array([0.0, gap])
        found = ranking.rank(
            values, paired(rng, values), 0.95
        )  # the difference has a spread of 1.41
        assert found.may_be_best.tolist() == [True, inside]
        assert (found.behind_at_least[1] > 0) == (not inside)
        # one-sided: 1.645 times 1.41 is 2.33
        assert found.behind_at_least[1] == pytest.approx(max(gap - 2.33, 0), abs=0.15)


def test_the_critical_value_grows_with_the_number_of_models() -> None:
    rng = np.random.default_rng(1)
    bounds = []
    for n_models in (2, 5, 40):
        values = np.zeros(n_models)
        values[-1] = 9.0
        bounds.append(ranking.rank(values, paired(rng, values), 0.95).behind_at_least[-1])
    assert bounds[0] > bounds[1] > bounds[2] > 0


def test_the_best_of_forty_equal_models_is_seldom_lost() -> None:
    lost = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        values = rng.normal(size=40) + rng.normal() * 5
        lost += not ranking.rank(values, paired(rng, np.zeros(40)), 0.95).may_be_best[0]
    assert lost <= 10 + 3 * 3.1, f"{lost} of 200; 10 expected at most"


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n_models=st.integers(1, 12),
    n_draws=st.sampled_from([2, 20, 200]),
    level=st.sampled_from([0.5, 0.9, 0.99]),
)
def test_the_set_is_closed_downwards(seed: int, n_models: int, n_draws: int, level: float) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=n_models).round(int(rng.integers(0, 3)))  # with ties
    draws = values + rng.normal(size=(n_draws, n_models)) * rng.exponential(size=n_models)
    found = ranking.rank(values, draws, level)
    assert (np.diff(values[found.order]) >= 0).all()
    inside = found.may_be_best
    assert inside[found.order[0]]
    assert values[inside].max() < min(values[~inside], default=np.inf)
    assert ((found.behind_at_least > 0) == ~inside).all()
    assert (found.behind_at_least <= values - values.min() + 1e-9).all()
    assert ((found.p_value > 0) & (found.p_value <= 1)).all()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), shift=st.floats(-5, 5), scale=st.sampled_from([1e-6, 1, 1e6]))
def test_units_do_not_matter(seed: int, shift: float, scale: float) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=5) * 2
    draws = paired(rng, values)
    here, there = (
        ranking.rank(values, draws, 0.9),
        ranking.rank(scale * (values + shift), scale * draws, 0.9),
    )
    assert here.may_be_best.tolist() == there.may_be_best.tolist()
    assert there.behind_at_least == pytest.approx(scale * here.behind_at_least, abs=1e-9 * scale)


def test_nothing_is_worse_than_itself_and_a_certain_loss_is() -> None:
    draws = np.zeros((50, 2, 3))
    excess = np.array([[0.0, 0.0, 0.0], [0.2, -0.2, 0.0]])
    found = ranking.worse_than_reference(excess, draws, 0.95)
    assert found.worse.tolist() == [[False] * 3, [True, False, False]]
    assert found.at_least == pytest.approx(np.maximum(excess, 0))


def test_a_worsening_has_to_stand_out_of_the_whole_family() -> None:
    rng = np.random.default_rng(0)
    found = []
    for n_models in (1, 39):
        excess = np.zeros((n_models, 5))
        excess[0, 0], excess[0, 1] = 2.5, 6.0
        draws = excess + rng.normal(size=(4000, n_models, 5))
        found.append(ranking.worse_than_reference(excess, draws, 0.95))
        assert found[-1].worse[0, 1]
        assert found[-1].worse.sum() <= 2
    # one of five: 2.32 spreads; one of 195: 3.4
    assert found[0].worse[0, 0]
    assert not found[1].worse[0, 0]
    assert found[0].at_least[0, 1] == pytest.approx(6 - 2.32, abs=0.1)
    assert found[1].at_least[0, 1] == pytest.approx(6 - 3.47, abs=0.2)


def test_what_got_better_is_not_worse() -> None:
    rng = np.random.default_rng(0)
    excess = np.full((3, 5), -4.0)
    found = ranking.worse_than_reference(excess, excess + rng.normal(size=(500, 3, 5)), 0.95)
    assert not found.worse.any()
    assert not found.at_least.any()


@pytest.mark.parametrize("weighted", [False, True])
def test_draws_of_means_have_the_moments_of_means(weighted: bool) -> None:
    rng = np.random.default_rng(0)
    losses = rng.normal(size=(500, 1)) + rng.normal(size=(500, 3)) * [0.1, 0.2, 2]
    weight = rng.random(500) if weighted else None
    draws = ranking.draws_of_means(losses, weight, None, 20_000, np.random.default_rng(1))
    mass = np.full(500, 1 / 500) if weight is None else weight / weight.sum()
    mean = mass @ losses
    assert draws.mean(axis=0) == pytest.approx(mean, abs=0.005)
    expected = ((losses - mean) * mass[:, None]).T @ ((losses - mean) * mass[:, None])
    np.testing.assert_allclose(np.cov(draws.T), expected, rtol=0.06, atol=2e-6)


def test_groups_are_drawn_whole() -> None:
    rng = np.random.default_rng(0)
    losses = np.repeat(rng.normal(size=(100, 2)), 9, axis=0)
    alone, whole = (
        ranking.draws_of_means(losses, None, groups, 5000, np.random.default_rng(1)).std(axis=0)
        for groups in (None, np.repeat(np.arange(100), 9))
    )
    assert whole / alone == pytest.approx([3, 3], rel=0.05)
