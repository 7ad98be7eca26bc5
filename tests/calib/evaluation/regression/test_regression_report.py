"""A report on predicted distributions: what it says, what it shows, what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest

from calib.evaluation import (
    CoverageDisplay,
    crps,
    expected_normalized_calibration_error,
    interval_coverage,
    predictive_distribution,
    quantile_calibration_error,
    regression_report,
    uncertainty_calibration_error,
)
from tests.support.golden import golden

Y, MEAN, STD = golden()


def normal(shift: float = 0.0, factor: float = 1.5):
    return predictive_distribution(mean=MEAN + shift, std=factor * STD)


@pytest.fixture(scope="module")
def single():
    return regression_report(Y, normal(factor=1.0))


@pytest.fixture(scope="module")
def several():
    return regression_report(
        Y, {"given": normal(factor=1.0), "scaled": normal(), "shifted": normal(-0.5)}
    )


# ------------------------------------------------------------------------------------------ answer


@pytest.mark.parametrize(
    ("shift", "factor", "start"),
    [
        (0.0, 1.0, "Too sharp: the 90 % intervals hold 72.8 % of 500 labels; PIT not uniform"),
        (0.0, 3.0, "Too wide: the 90 % intervals hold 100 % of 500 labels; PIT not uniform"),
        (-0.5, 1.5, "Biased low: labels lie above what was predicted (mean PIT 0.64)"),
        (0.5, 1.5, "Biased high: labels lie below what was predicted (mean PIT 0.36)"),
        (0.5, 0.8, "Biased high and too sharp: "),
        (0.0, 1.5, "No sign of miscalibration; the 90 % intervals hold 90.0 % of 500 labels."),
    ],
)
def test_the_answer_comes_first(shift: float, factor: float, start: str) -> None:
    report = regression_report(Y, normal(shift, factor))
    assert report.headline.startswith(start)
    asked = "Recalibrate with DistributionCalibrator." in report.headline
    assert asked == (report.models["model"].words != "no sign of miscalibration")
    assert str(report).replace("\n", " ").startswith(report.headline[:60])


def test_spread_that_does_not_follow_the_error_is_said(rng: np.random.Generator) -> None:
    true = np.where(np.arange(2000) % 2, 2.0, 0.5)
    claimed = np.linspace(1.0, 1.5, 2000)[rng.permutation(2000)]
    claimed = np.where(np.arange(2000) % 2, 0.99 * claimed, claimed)
    y = true * rng.normal(size=2000)
    report = regression_report(y, predictive_distribution(mean=np.zeros(2000), std=claimed))
    assert report.models["model"].starred


def test_of_several_models_the_better_is_recommended(several) -> None:
    assert several.recommended == "scaled"
    assert several.order == ("scaled", "given", "shifted")
    assert several.may_be_best == ("scaled",)
    assert several.headline.startswith("Use scaled: its CRPS is 0.019")
    assert "no sign of miscalibration" in several.headline
    told = [verdict.text for verdict in several.findings[1:]]
    assert told[0].startswith("given is too sharp: ")
    assert told[1].startswith("shifted is biased low: ")
    gain = several.compare("scaled")
    assert gain.value == pytest.approx(crps(Y, normal()) - crps(Y, normal(factor=1.0)))
    assert gain.high < 0
    with pytest.raises(ValueError, match="model must be"):
        several.compare("given")


def test_the_first_model_is_kept_unless_another_is_better_beyond_chance() -> None:
    report = regression_report(Y, {"first": normal(), "second": normal(factor=1.49)})
    assert report.recommended == "first"
    assert report.headline.startswith("Keep first: no other model has a lower CRPS beyond chance")


# ----------------------------------------------------------------------------------------- numbers


def test_values_are_those_of_the_functions(single) -> None:
    measures, given = single.models["model"].measures, normal(factor=1.0)
    expected = {
        "crps": crps(Y, given),
        "log_score": given.log_score(Y).mean(),
        "coverage_90": interval_coverage(Y, *given.interval(0.9).T),
        "mean_pit": given.pit(Y).mean(),
        "quantile_calibration_error": quantile_calibration_error(Y, given),
        "expected_normalized_calibration_error": expected_normalized_calibration_error(
            Y, MEAN, STD
        ),
        "uncertainty_calibration_error": uncertainty_calibration_error(Y, MEAN, STD),
    }
    for key, value in expected.items():
        assert measures[key].value == pytest.approx(value, rel=1e-12), key
        assert measures[key].low <= measures[key].debiased <= measures[key].high
    assert single.models["model"].mean_std.value == pytest.approx(STD.mean())
    width = single.models["model"].mean_width
    assert width.value == pytest.approx(3.2897 * STD.mean(), rel=1e-4)
    assert width.low < width.value < width.high


def test_stars_are_rows_beyond_chance_alone(several) -> None:
    for model in several.models.values():
        for key, measure in model.measures.items():
            assert measure.surprises(key) == (key in model.starred)
            assert (measure.low > 0) == (key in model.starred) or "error" not in key


def test_the_same_seed_gives_the_same_report(single) -> None:
    again = regression_report(Y, normal(factor=1.0), random_state=0)
    assert again.to_dict() == single.to_dict()


def test_models_alone_and_together_have_the_same_values(single, several) -> None:
    for key, measure in several.models["given"].measures.items():
        assert measure.value == single.models["model"].measures[key].value


def test_groups_widen_intervals_and_what_chance_shows(rng: np.random.Generator) -> None:
    groups = np.repeat(np.arange(60), 20)
    mean = rng.normal(size=1200)
    common = np.repeat(rng.normal(size=60), 20)
    y = mean + np.sqrt(0.6) * common + np.sqrt(0.4) * rng.normal(size=1200)
    given = predictive_distribution(mean=mean, std=np.ones(1200))
    alone, grouped = regression_report(y, given), regression_report(y, given, groups=groups)
    for key in ("crps", "coverage_90", "mean_pit"):
        narrow, wide = alone.models["model"].measures[key], grouped.models["model"].measures[key]
        assert wide.high - wide.low > 1.3 * (narrow.high - narrow.low)
        assert wide.floor_high - wide.floor_low > 1.3 * (narrow.floor_high - narrow.floor_low)
    assert not grouped.models["model"].starred
    assert grouped.n_groups == 60
    assert "1,200 samples in 60 groups" in grouped.document().heading


def test_a_small_calibration_set_explains_more(rng: np.random.Generator) -> None:
    known, y = rng.normal(size=100), rng.normal(size=3000)
    points = np.tile(np.sort(known), (3000, 1))
    given = predictive_distribution(samples=points)
    alone = regression_report(y, given, n_resamples=60)
    shared = regression_report(y, given, n_calibration=100, n_resamples=60)
    for key in ("coverage_90", "mean_pit", "quantile_calibration_error"):
        narrow, wide = alone.models["model"].measures[key], shared.models["model"].measures[key]
        assert wide.floor_high > narrow.floor_high
    assert shared.n_calibration == 100
    assert shared.models["model"].pit.n_calibration == 100


def test_a_density_between_calibration_points_is_not_judged(rng: np.random.Generator) -> None:
    levels = np.arange(1, 61) / 61
    quantiles = np.tile(np.sort(rng.normal(size=60)), (300, 1))
    given = predictive_distribution(quantiles=quantiles, levels=levels)
    y = rng.normal(size=300)
    report = regression_report(y, given, n_calibration=60, n_resamples=40)
    measure = report.models["model"].measures["log_score"]
    assert not measure.is_judged
    assert not measure.surprises("log_score")
    assert "inf" not in report.details().lower().replace("infinite", "")
    json.dumps(report.to_dict(), allow_nan=False)


def test_labels_on_a_lattice_have_no_log_score(rng: np.random.Generator) -> None:
    y = rng.integers(0, 5, 300).astype(float)
    given = predictive_distribution(mean=np.full(300, 2.0), std=np.full(300, 1.5))
    report = regression_report(y, given, n_resamples=40)
    assert "log_score" not in report.models["model"].measures


def test_too_few_draws_judge_nothing() -> None:
    report = regression_report(Y, normal(factor=1.0), n_resamples=20, confidence_level=0.99)
    assert report.headline.startswith("Too few draws to judge: 20 redraws")
    assert "*" not in str(report).split("\n\n")[1].split("* outside")[0]


def test_samples_have_no_log_score() -> None:
    draws = normal().sample(40, 0)
    given = predictive_distribution(samples=draws)
    report = regression_report(Y, {"members": given, "normal": normal()}, n_resamples=40)
    has = {name: "log_score" in model.measures for name, model in report.models.items()}
    assert has == {"members": given.has_density, "normal": True}
    assert report.details()


# ------------------------------------------------------------------------------------------- forms


def test_forms(several, single, tmp_path) -> None:
    frame = several.to_frame()
    assert set(frame["model"]) == {"given", "scaled", "shifted"}
    assert frame.columns[:4].tolist() == ["model", "measure", "value", "low"]
    assert frame["beyond_chance"].sum() == sum(len(m.starred) for m in several.models.values())
    again = json.loads(json.dumps(several.to_dict(), allow_nan=False))
    assert again["recommended"] == "scaled"
    assert len(again["models"]["given"]["coverage"]["levels"]) == 19
    for report in (several, single):
        assert r"\toprule" in report.to_latex()
        report.to_html(tmp_path / "report.html")
        page = (tmp_path / "report.html").read_text(encoding="utf-8")
        assert report.findings[0].text.split(";")[0].replace("<", "&lt;") in page
        assert "Histogram of the integral transforms" in page
        assert "<h1" in report._repr_html_()
        assert max(map(len, str(report).splitlines())) <= 80


def test_plot_draws_every_model(several) -> None:
    pytest.importorskip("matplotlib")
    ax = several.plot()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "given", "scaled", "shifted",
    ]  # fmt: skip
    assert CoverageDisplay(several.models["given"].coverage).curve.n_samples == 500


# ---------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: regression_report(Y, MEAN), "must be a PredictiveDistribution"),
        (lambda: regression_report(Y, {}), "empty dict"),
        (lambda: regression_report(Y, {"": normal()}), "non-empty strings"),
        (lambda: regression_report(Y, {"a": normal(), "b": 3}), r"distribution\['b'\]"),
        (lambda: regression_report(Y[:9], normal()), "9"),
        (lambda: regression_report([np.inf, *Y[1:]], normal()), "inf"),
        (lambda: regression_report(Y[:1], normal()[:1]), "at least 2 samples"),
        (lambda: regression_report(Y, normal(), groups=np.zeros(500)), "at least 2 groups"),
        (lambda: regression_report(Y, normal(), groups=[1, 2]), "groups"),
        (lambda: regression_report(Y, normal(), n_resamples=5), "n_resamples"),
        (lambda: regression_report(Y, normal(), n_calibration=2.5), "n_calibration"),
        (lambda: regression_report(Y, normal(), confidence_level=90), "confidence_level"),
    ],
)
def test_refusals_name_the_argument(call, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()
