"""Every sentence of a report, on a sample that brings it about."""

from __future__ import annotations

import re

import pytest

from calib.evaluation.report.answer import MOST_BULLETS, SENTENCES
from tests.support.answers import ANSWERS, answered

PLACES = [(case, place) for case, answers in ANSWERS.items() for place in range(len(answers))]


def test_every_sentence_has_a_sample() -> None:
    assert list(ANSWERS) == [case for case in SENTENCES if case in ANSWERS]
    assert set(ANSWERS) == set(SENTENCES)


@pytest.mark.parametrize(("case", "place"), PLACES)
def test_a_sample_brings_its_sentence_about(case: str, place: int) -> None:
    report = answered(case, place)
    said = {verdict.case: verdict.text for verdict in report.answer}
    assert case in said, said
    assert re.fullmatch(ANSWERS[case][place][1], said[case]), said[case]
    assert report.headline == report.findings[0]
    assert len(said) == len(report.answer) <= 1 + MOST_BULLETS
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
