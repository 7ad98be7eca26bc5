from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss

from calib.evaluation import (
    adaptive_calibration_error,
    calibration_report,
    expected_calibration_error,
    metric_interval,
    signed_calibration_error,
)
from tests.support.reports import MEASURES, simulate, softmax


@pytest.fixture
def report(rng: np.random.Generator):
    y, calibrated, sharp = simulate(rng)
    return calibration_report(y, {"raw": sharp, "true": calibrated}, n_resamples=100)


@pytest.mark.parametrize("n_classes", [2, 3, 6])
@pytest.mark.parametrize("weighted", [False, True])
def test_values_are_those_of_the_functions(
    n_classes: int, weighted: bool, rng: np.random.Generator
) -> None:
    pytest.importorskip("pandas")
    y, _, p = simulate(rng, 700, n_classes)
    w = rng.random(700) if weighted else None
    report = calibration_report(y, p, sample_weight=w, n_bins=7, n_resamples=10)
    frame, tidy = report.to_frame(tidy=False), report.to_frame()
    row = frame.loc["model"]
    options = {"n_bins": 7, "sample_weight": w}
    view = {"average": "binary" if n_classes == 2 else "top_label"}
    onehot = np.eye(n_classes)[y]
    over, under = signed_calibration_error(y, p, **options, **view)
    expected = [
        log_loss(y, p, sample_weight=w),
        np.average(((p - onehot) ** 2).sum(axis=1), weights=w),
        accuracy_score(y, p.argmax(axis=1), sample_weight=w),
        expected_calibration_error(y, p, **options, **view),
        adaptive_calibration_error(y, p, **options),
        over,
        under,
    ]
    assert list(frame.columns[:7]) == MEASURES
    np.testing.assert_allclose(row[MEASURES].astype(float), expected, rtol=1e-9, atol=1e-14)
    assert tidy["measure"].tolist() == MEASURES
    np.testing.assert_allclose(tidy["usual"], expected, rtol=1e-9, atol=1e-14)


def test_intervals_agree_with_the_generic_bootstrap(rng: np.random.Generator) -> None:
    y, _, p = simulate(rng, 800)
    report = calibration_report(y, p, n_resamples=600)
    for name, metric, reflect in (
        ("log_loss", lambda y, p: log_loss(y, p, labels=range(4)), False),
        ("accuracy", lambda y, p: accuracy_score(y, p.argmax(axis=1)), False),
        ("expected_calibration_error", expected_calibration_error, True),
    ):
        ours = report.models["model"].measures[name].interval
        method = "basic" if reflect else "percentile"
        theirs = metric_interval(metric, y, p, n_resamples=600, method=method, random_state=1)
        spread = theirs.standard_deviation
        assert ours.standard_deviation == pytest.approx(spread, rel=0.15)
        assert ours.low == pytest.approx(theirs.low, abs=0.5 * spread)
        assert ours.high == pytest.approx(theirs.high, abs=0.5 * spread)


def test_floor_is_analytic_for_proper_scores(report, rng: np.random.Generator) -> None:
    y, p, _ = simulate(np.random.default_rng(0))
    measures = calibration_report(y, p, n_resamples=400).models["model"].measures
    entropy = -(p * np.log(p)).sum(axis=1).mean()
    assert measures["log_loss"].calibrated.mean == pytest.approx(entropy, abs=3e-3)
    assert measures["brier"].calibrated.mean == pytest.approx(
        1 - (p**2).sum(axis=1).mean(), abs=3e-3
    )
    assert measures["accuracy"].calibrated.mean == pytest.approx(p.max(axis=1).mean(), abs=3e-3)


def test_calibrated_model_sits_in_its_floor_and_sharp_one_does_not(report) -> None:
    true, raw = (report.models[name].measures for name in ("true", "raw"))
    for name in MEASURES:
        assert not true[name].surprises(name), name
    for name in MEASURES[:-1]:
        assert raw[name].surprises(name), name
    assert report.verdict("raw").startswith("Overconfident ")
    assert report.verdict("true").startswith("No miscalibration seen; ")


def test_floors_hold_for_calibrated_simulations() -> None:
    inside = np.zeros(len(MEASURES))
    for seed in range(40):
        y, p, _ = simulate(np.random.default_rng(seed), 300, 3)
        measures = calibration_report(y, p, n_resamples=100).models["model"].measures
        inside += [not measures[name].surprises(name) for name in MEASURES]
    assert (inside >= 33).all(), f"{inside} of 40 inside, n=300, seeds 0..39"


def test_deterministic_and_paired(rng: np.random.Generator) -> None:
    y, p, q = simulate(rng, 400)
    both = calibration_report(y, {"a": p, "b": p, "c": q}, n_resamples=30)
    assert both.models["a"].measures == both.models["b"].measures
    alone = calibration_report(y, p, n_resamples=30)
    for name, found in alone.models["model"].measures.items():
        other = both.models["a"].measures[name]
        assert (found.interval, found.calibrated) == (other.interval, other.calibrated)
    other = calibration_report(y, p, n_resamples=30, random_state=1)
    assert other.models["model"].measures != alone.models["model"].measures


def test_groups_widen_intervals(rng: np.random.Generator) -> None:
    y, p, _ = simulate(rng, 100)
    y, p, groups = np.repeat(y, 9), np.repeat(p, 9, axis=0), np.repeat(np.arange(100), 9)
    single = calibration_report(y, p, n_resamples=300)
    grouped = calibration_report(y, p, n_resamples=300, groups=groups)
    spread = [
        r.models["model"].measures["brier"].interval.standard_deviation for r in (single, grouped)
    ]
    assert spread[1] / spread[0] == pytest.approx(3, rel=0.2)
    assert grouped.n_groups == 100
    assert "in 100 groups" in " ".join(grouped.details().split())


def test_rows_without_weight_are_absent(rng: np.random.Generator) -> None:
    y, p, _ = simulate(rng, 300)
    w = (np.arange(300) % 3 > 0).astype(float)
    kept = calibration_report(y[w > 0], p[w > 0], sample_weight=w[w > 0], n_resamples=20)
    zero = calibration_report(y, p, sample_weight=w, n_resamples=20)
    assert zero.models["model"].measures == kept.models["model"].measures
    assert zero.n_samples == 200


def test_binary_forms(rng: np.random.Generator) -> None:
    y, p, _ = simulate(rng, 500, 2)
    column = calibration_report(np.array(["no", "yes"])[y], p[:, 1], n_resamples=20)
    both = calibration_report(y, p, n_resamples=20)
    for name in MEASURES:
        value = column.models["model"].measures[name].value
        assert value == pytest.approx(both.models["model"].measures[name].value, abs=1e-12)
    assert "probability of class yes" in column.details()
    assert "happened in" in column.verdict("model")


@pytest.mark.parametrize(
    ("power", "shift", "words"),
    [
        (3.0, 0.0, "Probabilities too extreme: too low below "),
        (0.4, 0.0, "Probabilities too cautious: too high between "),
        (1.0, 0.15, "Probabilities too high "),
        (1.0, -0.15, "Probabilities too low "),
        (1.0, 0.0, "No sign of miscalibration: "),
    ],
)
def test_headline_of_two_classes(power: float, shift: float, words: str) -> None:
    rng = np.random.default_rng(1)
    p = rng.random(3000)
    y = (rng.random(3000) < p).astype(int)
    wrong = np.clip(p**power / (p**power + (1 - p) ** power) + shift, 0.01, 0.99)
    headline = calibration_report(y, wrong).headline
    assert headline.startswith(words)
    assert "temperature alone" not in headline  # one repairs what is too extreme or too cautious


def test_headline_in_both_directions() -> None:
    p = np.tile([[0.9, 0.05, 0.05], [0.5, 0.25, 0.25]], (300, 1))
    y = np.where(np.arange(600) % 2 == 0, np.arange(600) % 3 == 0, np.arange(600) % 9 == 0)
    report = calibration_report(y.astype(int), p, n_resamples=20)
    assert report.headline.startswith("Wrong in both directions: too low below ")
    assert ", too high above " in report.headline
    assert "underconfident below 0.53, overconfident above 0.87" in report.verdict("model").lower()


def test_frame_and_dictionary(report) -> None:
    pytest.importorskip("pandas")
    frame = report.to_frame(tidy=False)
    assert frame.index.tolist() == ["raw", "true"]
    assert frame.index.name == "model"
    value = frame.loc["raw", "adaptive_calibration_error"]
    assert value == report.models["raw"].measures["adaptive_calibration_error"].value
    floor = frame.loc["true", "expected_calibration_error_floor"]
    assert frame.loc["true", "expected_calibration_error_floor_low"] < floor
    assert floor < frame.loc["true", "expected_calibration_error_floor_high"]
    assert (frame["brier_low"] < frame["brier"]).all()
    assert frame.shape == (2, 7 * 7)  # with the number that the interval holds
    content = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert content["models"]["raw"]["measures"]["brier"]["value"] == frame.loc["raw", "brier"]
    assert list(content["models"]["raw"]["measures"]) == MEASURES
    assert content["models"]["raw"]["reliability"]["weight"]
    assert content["classes"] == [0, 1, 2, 3]


def test_text(report) -> None:
    text = str(report)
    assert repr(report) == text
    flat = " ".join(text.split())
    places = [flat.index(sentence) for sentence in report.findings]
    assert places == sorted(places)
    assert max(len(line) for line in text.splitlines()) <= 92
    details = " ".join(report.details().split())
    assert "1,500 samples, 4 classes; 95 % intervals from 100 replicates" in details
    places = [
        details.index(title, details.index("Usual value")) for title in report.titles.values()
    ]
    assert places == sorted(places)
    for sentence in (*report.findings, *report.notes):
        assert sentence in details


def test_html_is_self_contained_and_escaped(tmp_path: Path, rng: np.random.Generator) -> None:
    y, p, q = simulate(rng, 300)
    nasty = "<script>alert('x')</script> & \"co\""
    report = calibration_report(y, {nasty: p, "plain": q}, n_resamples=10)
    report.to_html(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert not re.search(r"https?:|src=|href=|@import|url\(", page)
    assert 'name="viewport"' in page
    figures = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    figures = [figure for figure in figures if "<title>" in figure]
    titles = [ET.fromstring(figure).findtext("title") for figure in figures]
    assert titles == ["Accuracy over ranges of the prediction", "Added-up gap"]
    for figure in figures:
        root = ET.fromstring(figure)
        assert root.attrib["role"] == "img"
        assert root.attrib["aria-label"]
        for name in (report.reference, report.recommended):
            assert f"{name}: " in root.findtext("desc", "")
        numbers = re.findall(r"(?:cx|cy|x|y|points|d)=.([-0-9., ]+)", figure)
        places = np.array([float(n) for part in numbers for n in re.split("[, ]+", part.strip())])
        assert len(places) > 20
        assert np.isfinite(places).all()
    assert report._repr_html_() in page
    assert "nan" not in page.replace("nance", "")


def test_plot(report) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    ax = report.plot()
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["raw", "true"]
    _, own = plt.subplots()
    assert report.plot(own) is own
    plt.close("all")


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([0, 1], {}), {}, "empty dict"),
        (([0, 1], {1: [0.1, 0.2]}), {}, "non-empty strings"),
        (([0, 1], {"": [0.1, 0.2]}), {}, "non-empty strings"),
        (([0, 1], {"a": [0.1, 0.2], "b": [0.1, 2.0]}), {}, "model 'b'"),
        (([0, 1], {"a": [0.1, 0.2], "b": np.full((2, 4), 0.25)}), {}, "the same classes"),
        (([0, 1], [0.1, 0.2]), {"groups": [1, 1]}, "at least 2 groups"),
        (([0, 1], [0.1, 0.2]), {"groups": [1, 1, 2]}, "groups has 3"),
        (([0], [0.1]), {}, "at least 2 samples"),
        (([0, 1], [0.1, 0.2]), {"n_bins": 0}, "n_bins must be"),
        (([0, 1], [0.1, 0.2]), {"n_resamples": 1}, "n_resamples must be"),
        (([0, 1], [0.1, 0.2]), {"confidence_level": 0}, "confidence_level must"),
        (([0, 1], [-3.0, 2.0]), {}, "not logits"),
    ],
)
def test_bad_input(arguments, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        calibration_report(*arguments, **options)


def test_constant_predictions_do_not_surprise_by_rounding() -> None:
    p = np.tile([0.3, 0.7], (90, 1))
    y = np.arange(90) % 10 < 7
    measures = calibration_report(y, p, n_resamples=20).models["model"].measures
    assert not any(measures[name].surprises(name) for name in MEASURES)


def test_one_class_only_is_measured() -> None:
    report = calibration_report([0, 0, 0], [[0.8, 0.1, 0.1]] * 3, n_resamples=40)
    assert report.models["model"].measures["accuracy"].value == 1
    assert report.headline == (
        "Too few data to judge: any miscalibration up to 0.20 would fit 3 samples."
    )


@pytest.mark.shared_data
def test_published_scores_of_a_real_network(densenet: dict[str, np.ndarray]) -> None:
    raw = softmax(densenet["logits_test"].astype(np.float64))
    cool = softmax(densenet["logits_test"].astype(np.float64) / 2.5)
    frame = calibration_report(
        densenet["labels_test"], {"raw": raw, "temperature": cool}, n_resamples=50
    ).to_frame(tidy=False)
    assert frame.loc["raw", "log_loss"] == pytest.approx(0.430059, abs=1e-6)
    assert frame.loc["raw", "brier"] == pytest.approx(0.127379, abs=1e-6)
    assert frame.loc["raw", "accuracy"] == pytest.approx(0.9242)
    assert (
        frame.loc["raw", "expected_calibration_error"]
        > 2.5 * frame.loc["temperature", "expected_calibration_error"]
    )
    assert frame.loc["raw", "underconfidence"] < frame.loc["raw", "underconfidence_floor_high"]


@pytest.mark.parametrize("values", ["usual", "debiased"])
@pytest.mark.parametrize("intervals", [True, False])
def test_tables_for_latex_hold_the_numbers_of_the_report(values: str, intervals: bool) -> None:
    y, true, wrong = simulate(np.random.default_rng(3))
    report = calibration_report(y, {"100 % & more": true, "hot_model": wrong}, random_state=0)
    table = report.to_latex(values, intervals=intervals)  # type: ignore[arg-type]
    assert table.count(r"\toprule") == table.count(r"\end{tabular}") == 1
    assert r"100 \% \& more" in table
    assert r"hot\_model" in table
    rows = {
        name: next(line for line in table.splitlines() if mark in line)
        for name, mark in (("100 % & more", "100 "), ("hot_model", "hot"))
    }
    for name, row in rows.items():
        measures = report.models[name].measures
        numbers = [float(part) for part in re.findall(r"\d+(?:\.\d+)?", row.replace("100 ", ""))]
        for key in MEASURES[:5]:
            number = measures[key].value if values == "usual" else measures[key].debiased
            number *= 100 if key == "accuracy" else 1
            assert min(abs(found - number) for found in numbers) <= 0.006 * max(number, 0.1), key
        ends = measures["log_loss"].low, measures["log_loss"].high
        near = [min(abs(found - end) for found in numbers) <= 0.006 for end in ends]
        assert near == [intervals, intervals]
        dagger = any(measures[key].surprises(key) for key in MEASURES[:5])
        assert ("dag" in row) == dagger
