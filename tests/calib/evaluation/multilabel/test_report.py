"""Reports of many labels: verdicts, floors that know of dependent labels, forms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import ndtr

from calib.evaluation import multilabel_report


def dependent(
    seed: int, rho: float, n: int = 500, n_labels: int = 40, bias: float = 0.0
) -> tuple[Any, Any]:
    """Return labels with a common factor a sample, and their probabilities with a bias."""
    rng = np.random.default_rng(seed)
    p = rng.beta(1, 4, (n, n_labels))
    z = np.sqrt(rho) * rng.normal(size=(n, 1)) + np.sqrt(1 - rho) * rng.normal(size=p.shape)
    y = (ndtr(z) < p).astype(float)
    return y, 1 / (1 + (1 - p) / p * np.exp(-bias))


def test_calibrated_labels_have_no_findings() -> None:
    y, p = dependent(0, 0.3)
    report = multilabel_report(y, p, n_resamples=300)
    assert "no sign of miscalibration in 40 labels" in report.headline
    assert {row.verdict for row in report.models["model"].labels} == {"calibrated"}


def test_a_wrong_label_is_named_and_the_error_of_all_cells_is_found() -> None:
    y, p = dependent(0, 0.3)
    wrong = p.copy()
    wrong[:, 7] = 0.5 + p[:, 7] / 2
    report = multilabel_report(y, {"right": p, "wrong": wrong}, n_resamples=300)
    off = [row.label for row in report.models["wrong"].labels if row.verdict != "calibrated"]
    assert off == [7]
    model = report.models["wrong"]
    assert model.micro_error > model.micro_limit
    assert any("7: claims too much" in verdict.text for verdict in report.findings)


def test_the_floor_of_all_cells_grows_with_the_dependence_of_labels() -> None:
    floors = []
    for rho in (0.0, 0.5):
        y, p = dependent(1, rho)
        floors.append(multilabel_report(y, p, n_resamples=300).models["model"].micro_floor)
    assert floors[1] > 1.3 * floors[0]


def test_repeated_rows_in_groups_change_no_interval() -> None:
    y, p = dependent(2, 0.3, n=100, n_labels=5)
    one = multilabel_report(y, p, n_resamples=300).models["model"]
    rows = np.repeat(np.arange(100), 3)
    three = multilabel_report(y[rows], p[rows], groups=rows, n_resamples=300).models["model"]
    np.testing.assert_allclose(three.cardinality_bias, one.cardinality_bias)
    assert three.micro_floor == pytest.approx(one.micro_floor)


def test_counts_of_rare_labels_are_held_against_their_exact_law() -> None:
    y = np.zeros((200, 2))
    y[:3, 0] = 1
    row = multilabel_report(y, np.full((200, 2), 0.01)).models["model"].labels[1]
    assert row.p_value == pytest.approx(2 * 0.99**200)


def test_labels_without_cells_and_names() -> None:
    y, p = dependent(0, 0.0, n_labels=3)
    y[:, 1] = np.nan
    report = multilabel_report(y, p, label_names=["a", "b", "c"], n_resamples=100)
    labels = report.models["model"].labels
    assert [row.label for row in labels] == ["a", "b", "c"]
    assert labels[1].verdict == "no labels"
    assert np.isnan(labels[1].error)


def test_frame_page_and_text(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    y, p = dependent(0, 0.0, n_labels=30)
    report = multilabel_report(y, {"one": p, "two": p**0.5}, n_resamples=100)
    assert len(report.to_frame()) == 60
    report.to_html(tmp_path / "report.html")
    assert "two" in (tmp_path / "report.html").read_text()
    assert "labels a sample" in str(report)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"y_prob": {}}, "y_prob holds no model"),
        ({"label_names": ["a"]}, "label_names has 1 names for 2 labels"),
        ({"y_true": [[0.5, 0.0], [1, 0]]}, "y_true holds fractions"),
    ],
)
def test_bad_inputs(change: dict[str, Any], text: str) -> None:
    arguments = {"y_true": [[1, 0], [0, 1]], "y_prob": [[0.5, 0.5], [0.5, 0.5]], **change}
    with pytest.raises(ValueError, match=text):
        multilabel_report(**arguments)


@pytest.mark.slow
@pytest.mark.parametrize("rho", [0.0, 0.3])
def test_the_error_of_all_cells_rejects_calibrated_labels_at_its_level(rho: float) -> None:
    """Also the interval of the number of labels covers."""
    beyond, covered = [], []
    for seed in range(200):
        y, p = dependent(seed, rho)
        model = multilabel_report(y, p, n_resamples=400, n_redraws=2).models["model"]
        beyond.append(model.micro_error > model.micro_limit)
        covered.append(model.cardinality_bias[1] <= 0 <= model.cardinality_bias[2])
    assert 0.015 <= np.mean(beyond) <= 0.095
    assert 0.91 <= np.mean(covered) <= 0.985
