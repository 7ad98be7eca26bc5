"""Separation measures: scikit-learn's numbers, ties, intervals, output forms, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from calib import DegenerateScoresWarning
from uq import ood_report


def make(rng: np.random.Generator, digits: int, n_in: int = 300, n_out: int = 200):  # type: ignore[no-untyped-def]
    inside = np.round(rng.normal(1.0, 1.0, n_in), digits)
    return inside, np.round(rng.normal(0.0, 1.2, n_out), digits)


@pytest.mark.oracle
@pytest.mark.parametrize("digits", [12, 1, 0])  # none, some and many ties
def test_scikit_learn_agrees(rng: np.random.Generator, digits: int) -> None:
    inside, outside = make(rng, digits)
    weight = rng.integers(1, 4, 300)
    for w in (None, weight):
        report = ood_report(inside, outside, sample_weight=w, n_resamples=2, random_state=0)
        truth, score = np.r_[np.ones(300), np.zeros(200)], np.r_[inside, outside]
        both = np.ones(500) if w is None else np.r_[w, np.ones(200)]
        fpr, tpr, thresholds = roc_curve(truth, score, sample_weight=both, drop_intermediate=False)
        first = np.argmax(tpr >= 0.95 - 1e-12)
        found = report.mean
        assert found.auroc.value == pytest.approx(roc_auc_score(truth, score, sample_weight=both))
        expected = average_precision_score(truth, score, sample_weight=both)
        assert found.aupr_in.value == pytest.approx(expected)
        expected = average_precision_score(1 - truth, -score, sample_weight=both)
        assert found.aupr_out.value == pytest.approx(expected)
        assert found.fpr_at_tpr.value == pytest.approx(fpr[first])
        assert report.threshold == thresholds[first]


def test_integer_weight_equals_repetition(rng: np.random.Generator) -> None:
    inside, outside = make(rng, 1)
    weight = rng.integers(0, 3, 300)
    a = ood_report(inside, outside, sample_weight=weight, n_resamples=2, random_state=0)
    b = ood_report(np.repeat(inside, weight), outside, n_resamples=2, random_state=0)
    for (_, x), (_, y) in zip(a.mean.items(), b.mean.items(), strict=True):
        assert x.value == pytest.approx(y.value, abs=1e-12)


def test_perfect_and_swapped(rng: np.random.Generator) -> None:
    report = ood_report([2.0, 3.0, 4.0], [0.0, 1.0], n_resamples=10, random_state=0)
    values = [m.value for _, m in report.mean.items()]
    assert values == [1.0, 1.0, 1.0, 0.0]
    assert report.threshold == 2.0
    inside, outside = make(rng, 12)
    a = ood_report(inside, outside, n_resamples=2, random_state=0).mean
    b = ood_report(-outside, -inside, n_resamples=2, random_state=0).mean
    assert a.auroc.value == pytest.approx(b.auroc.value)
    assert a.aupr_in.value == pytest.approx(b.aupr_out.value)
    turned = ood_report(-inside, -outside, n_resamples=200, random_state=0)
    assert "pass its negative" in str(turned)


def test_all_tied_says_so() -> None:
    with pytest.warns(DegenerateScoresWarning, match="all scores are equal"):
        report = ood_report(np.ones(30), np.ones(20), n_resamples=10, random_state=0)
    found = report.mean
    assert found.auroc.value == 0.5
    assert found.aupr_in.value == pytest.approx(0.6)
    assert found.aupr_out.value == pytest.approx(0.4)
    assert found.fpr_at_tpr.value == 1.0


def test_several_sets_share_the_draws(rng: np.random.Generator) -> None:
    inside, outside = make(rng, 12)
    sets = {"near": outside + 0.5, "far": outside - 2}
    report = ood_report(inside, sets, n_resamples=200, random_state=1)
    values = [result.auroc.value for result in report.sets.values()]
    assert report.mean.auroc.value == pytest.approx(np.mean(values))
    assert report.mean.n_out == 400
    assert list(report.sets) == ["near", "far"]
    again = ood_report(inside, sets, n_resamples=200, random_state=1)
    assert again.to_dict() == report.to_dict()


def test_interval_covers(rng: np.random.Generator) -> None:
    """AUROC of N(1, 1) against N(0, 1) is Phi(1 / sqrt 2)."""
    truth, hits, n_repeats = 0.7602499389065233, 0, 100
    for seed in range(n_repeats):
        report = ood_report(
            rng.normal(1, 1, 150),
            rng.normal(0, 1, 100),
            confidence_level=0.9,
            n_resamples=200,
            random_state=seed,
        )
        hits += truth in report.mean.auroc
    assert abs(hits / n_repeats - 0.9) < 4 * np.sqrt(0.09 / n_repeats) + 0.02, hits


def test_output_forms(rng: np.random.Generator) -> None:
    inside, outside = make(rng, 12)
    report = ood_report(inside, {"a": outside, "b": outside - 1}, n_resamples=20, random_state=0)
    text = str(report)
    assert "AUROC" in text
    assert "mean" in text
    assert repr(report) == text
    assert json.loads(json.dumps(report.to_dict()))["sets"]["a"]["n_out"] == 200
    pytest.importorskip("pandas")
    frame = report.to_frame()
    assert list(frame.index) == ["a", "b", "mean"]
    assert frame.loc["a", "auroc"] == report.sets["a"].auroc.value
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    ax = report.plot(n_bins=10)
    assert len(ax.patches) == 3
    assert ax is report.plot(ax)
    matplotlib.pyplot.close("all")
    with pytest.raises(ValueError, match="n_bins"):
        report.plot(n_bins=0)


@pytest.mark.parametrize(
    ("inside", "outside", "options", "match"),
    [
        ([1.0, np.nan], [0.0], {}, "scores_in contains NaN"),
        ([1.0], [np.inf], {}, "scores_out contains NaN or inf"),
        ([], [0.0], {}, "scores_in has 0 samples"),
        ([1.0], [], {}, "scores_out has 0 samples"),
        ([[1.0]], [0.0], {}, "scores_in must have shape"),
        (["a"], [0.0], {}, "must hold numbers"),
        ([1.0], {}, {}, "empty mapping"),
        ([1.0], {"mean": [1.0]}, {}, "named 'mean'"),
        ([1.0], {"a": [1.0], "b": [np.nan]}, {}, r"scores_out\['b'\]"),
        ([1.0], [0.0], {"confidence_level": 1.0}, "confidence_level"),
        ([1.0], [0.0], {"true_positive_rate": 0.0}, "true_positive_rate"),
        ([1.0], [0.0], {"n_resamples": 1}, "n_resamples"),
        ([1.0], [0.0], {"sample_weight": [1.0, 2.0]}, "sample_weight"),
        ([1.0], [0.0], {"sample_weight": [-1.0]}, "sample_weight must be >= 0"),
    ],
)
def test_refusals(inside, outside, options, match: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=match):
        ood_report(inside, outside, **options)


# ---------------------------------------------------------------------------------- the answer

INSIDE = np.random.default_rng(0).normal(1, 1, 300)
OTHERS = {
    "far": np.random.default_rng(1).normal(-2, 1, 80),
    "same": np.random.default_rng(2).normal(1, 1, 80),
    "turned": np.random.default_rng(3).normal(3, 1, 80),
}


@pytest.mark.parametrize(
    ("sets", "cases"),
    [
        (["far"], ["separates"]),
        (["same"], ["nothing"]),
        (["turned"], ["turned", "sign"]),
        (["far", "same"], ["separates", "hardest", "blind"]),
        (["far", "turned"], ["separates", "hardest", "sign"]),
        (["far", "same", "turned"], ["nothing", "hardest", "blind", "sign"]),
    ],
)
def test_every_answer_is_said_in_all_forms(
    sets: list[str], cases: list[str], tmp_path: Path
) -> None:
    report = ood_report(INSIDE, {name: OTHERS[name] for name in sets}, random_state=0)
    first = report.answer[0].case
    assert [verdict.case for verdict in report.answer][1:] == cases[1:]
    area = report.mean.auroc
    expected = "turned" if area.high < 0.5 else "separates" if area.low > 0.5 else "nothing"
    assert first == expected
    if len(sets) == 1:
        assert first == cases[0]
    report.to_html(tmp_path / "ood.html")
    page = " ".join((tmp_path / "ood.html").read_text(encoding="utf-8").split())
    text, details = (" ".join(form.split()) for form in (str(report), report.details()))
    for verdict in report.answer:
        for form in (text, details):
            assert " ".join(verdict.text.split()) in form
    assert f"AUROC {area.value:.3f}" in page
    assert "300 in-distribution samples" in text
    assert all(len(line) <= 80 for line in str(report).splitlines())
    assert "\\begin{tabular}" in report.to_latex()
    for name in sets:
        assert name in text
        assert name in report.to_latex()
