"""The selective table: values by hand, ties, words, refusals, pictures that stay inside."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from calib import DegenerateScoresWarning
from uq import area_under_risk_coverage, risk_coverage_curve, selective_table

NAMES = np.array(["large", "small", "tiny"])


@pytest.fixture(scope="module")
def answers() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grades, scores and models, the stronger models with larger scores."""
    rng = np.random.default_rng(0)
    model = rng.integers(3, size=900)
    p = np.clip(0.9 - 0.3 * model + 0.25 * rng.normal(size=900), 0.02, 0.98)
    return (rng.random(900) < p).astype(int), np.round(p, 2), NAMES[model]


def test_rows_are_those_of_the_single_functions(answers):
    correct, scores, groups = answers
    table = selective_table(correct, scores, groups, coverage=0.3, risk=0.2)
    assert [row.name for row in table.rows[1:]] == ["large", "small", "tiny"]  # by area
    for row in table.rows:
        kept = groups == row.name if row.name in NAMES else np.ones(900, dtype=bool)
        loss, part = 1 - correct[kept], scores[kept]
        curve = risk_coverage_curve(loss, part)
        assert row.n == kept.sum()
        assert row.accuracy == pytest.approx(correct[kept].mean())
        assert row.auroc == pytest.approx(roc_auc_score(correct[kept], part))
        assert row.aurc == pytest.approx(area_under_risk_coverage(loss, part))
        assert row.excess_aurc == pytest.approx(curve.excess_area)
        assert row.accuracy_kept == pytest.approx(1 - curve.at_coverage(0.3))
        within = curve.best_within(0.2)
        assert (row.coverage_within, row.threshold_within) == (within.coverage, within.threshold)
        np.testing.assert_array_equal(table.curves[row.name].risk, curve.risk)


def test_by_hand_with_a_tie():
    row = selective_table([1, 0, 1, 0], [0.9, 0.9, 0.5, 0.1], risk=0.4).rows[0]
    # prefixes: 1/2, 1/2, 1/3, 1/2; two of four kept: one right; up to the third 1/3 is wrong
    assert row.aurc == pytest.approx((0.5 + 0.5 + 1 / 3 + 0.5) / 4)
    assert (row.accuracy_kept, row.coverage_within) == (0.5, 0.75)
    assert row.auroc == pytest.approx((0.5 + 1 + 0 + 1) / 4)


def test_a_monotone_map_of_scores_changes_no_row(answers):
    correct, scores, groups = answers
    first, second = (selective_table(correct, s, groups).rows for s in (scores, np.exp(3 * scores)))
    for a, b in zip(first, second, strict=True):
        assert (a.aurc, a.auroc, a.coverage_within) == (b.aurc, b.auroc, b.coverage_within)


def test_text_numbers_and_frame_agree(answers):
    table = selective_table(*answers, coverage=0.25, risk=0.15)
    text = str(table)
    assert "at 25 %" in text
    assert "15 % risk" in text
    assert text.startswith("Giving the 25 % of the answers")
    for row in table.rows:
        assert f"{row.aurc:.3f}" in text
        assert f"{row.accuracy_kept:.3f}" in text
    plain = json.loads(json.dumps(table.to_dict(), allow_nan=False))
    assert [row["name"] for row in plain["rows"]] == [row.name for row in table.rows]
    frame = pytest.importorskip("pandas") and table.to_frame()
    assert frame.aurc.tolist() == [row.aurc for row in table.rows]
    assert "Risk against coverage" in table._repr_html_()
    assert table.to_latex().count(r"\begin{tabular}") == 1


def test_groups_of_one_kind_missing_names_and_no_groups():
    correct, scores = [1, 1, 0, 1, 0], [0.9, 0.8, 0.1, 0.7, 0.2]
    table = selective_table(correct, scores, ["a", "a", None, "", float("nan")])
    assert {row.name for row in table.rows[1:]} == {"a", "(missing)"}
    alike = next(row for row in table.rows if row.name == "a")
    assert np.isnan(alike.auroc)
    assert "No ranking can be measured for a: all answers are alike." in str(table).replace(
        "\n  ", " "
    )
    assert table.to_dict()["rows"][1]["auroc"] is None
    assert len(selective_table(correct, scores).rows) == 1
    taken = selective_table(correct, scores, ["all answers"] * 5)
    assert [row.name for row in taken.rows] == ["all answers", "all answers (group)"]


def test_booleans_and_no_threshold_within_the_risk():
    table = selective_table([False, True, False], [0.9, 0.8, 0.1], risk=0.05)
    assert (table.rows[0].coverage_within, table.rows[0].threshold_within) == (0.0, np.inf)
    assert "none" in str(table)
    assert table.to_dict()["rows"][0]["threshold_within"] is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"correct": [1, 2, 0]}, r"correct must hold 1 \(right\) and 0 \(wrong\); got 2"),
        ({"correct": [1, 0]}, r"correct .*confidence"),
        ({"correct": [1, None, 0]}, "correct contains NaN, inf or None"),
        ({"confidence": [0.1, np.nan, 0.2]}, "confidence"),
        ({"groups": ["a", "b"]}, "groups"),
        ({"coverage": 0.0}, r"coverage must lie in \(0, 1\]; got 0.0"),
        ({"coverage": "half"}, r"coverage must lie in \(0, 1\]"),
        ({"risk": 10}, r"risk must lie in \(0, 1\); got 10; divide by 100"),
    ],
)
def test_refusals(change, message):
    given = {"correct": [1, 1, 0], "confidence": [0.3, 0.2, 0.1], "groups": None, **change}
    with pytest.raises(ValueError, match=message):
        selective_table(**given)


def test_reversed_scores_are_warned_of(answers):
    correct, scores, groups = answers
    with pytest.warns(DegenerateScoresWarning, match="pass 1 for right answers, or the negative"):
        selective_table(correct, -scores, groups)


# ---------------------------------------------------------------------- pictures


def names_in(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


def test_few_groups_are_named_and_differ_by_colour_and_dash(answers):
    plt = pytest.importorskip("matplotlib.pyplot")
    ax = selective_table(*answers).plot()
    assert names_in(ax) == ["large", "small", "tiny", "all answers"]
    curves = ax.lines[:4]
    styles = {(line.get_color(), line.get_linestyle()) for line in curves}
    assert len(styles) == 4
    assert len({line.get_color() for line in curves}) == 4
    assert len({line.get_linestyle() for line in curves[:3]}) == 3
    assert max(curves, key=lambda line: line.get_linewidth()).get_label() == "all answers"
    plt.close(ax.figure)


def test_many_groups_are_grey_and_the_pooled_curve_is_named():
    plt = pytest.importorskip("matplotlib.pyplot")
    rng = np.random.default_rng(1)
    table = selective_table(rng.integers(2, size=700), rng.random(700), np.arange(700) % 7)
    ax = table.plot()
    assert names_in(ax) == ["all answers"]
    assert {line.get_color() for line in ax.lines[:7]} == {"0.65"}
    assert ax.lines[7].get_linewidth() > 2
    plt.close(ax.figure)


@pytest.mark.parametrize("layout", [None, "constrained", "tight"])
@pytest.mark.parametrize("size", [(6.4, 4.8), (2.2, 1.4), (5.0, 1.8)])
def test_nothing_leaves_the_axes_of_the_user(answers, layout, size):
    plt = pytest.importorskip("matplotlib.pyplot")
    correct, scores, groups = answers
    long = np.array([f"{name}-of-a-very-long-name-instruct-v0.2" for name in groups])
    figure, panels = plt.subplots(1, 2, figsize=(2 * size[0], size[1]), layout=layout)
    for ax in panels:
        assert selective_table(correct, scores, long).plot(ax) is ax
    figure.canvas.draw()
    for ax in panels:
        frame = ax.get_window_extent()
        boxes = sorted((text.get_window_extent() for text in ax.texts), key=lambda box: box.y0)
        for box in boxes:
            assert box.x1 <= frame.x1 + 1
            assert frame.y0 - 2 <= box.y0
            assert box.y1 <= frame.y1 + 2
        for below, above in itertools.pairwise(boxes):
            assert below.y1 <= above.y0 + 0.35 * below.height
    plt.close(figure)
