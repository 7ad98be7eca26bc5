"""Every warning of the library points at the line of the caller's own code, however deep it is."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import DataConversionWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression, QuantileRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

import calib
import uq
from calib import detection, evaluation

CASES: dict[str, tuple[type[Warning], Callable[[], Any]]] = {}


def case(category: type[Warning]) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Register a function whose own last statement has to be the line that is blamed."""

    def register(function: Callable[[], Any]) -> Callable[[], Any]:
        CASES[function.__name__] = (category, function)
        return function

    return register


def binary(n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    p = rng.uniform(0.05, 0.95, n)
    return p, (rng.random(n) < p).astype(int)


def table(n: int = 300, n_classes: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    X = rng.normal(size=(n, 3))
    return X, (X[:, 0] + rng.normal(size=n) > 0).astype(int) + (n_classes > 2) * (X[:, 1] > 1)


def boxes(n: int = 3) -> dict[str, Any]:
    return {
        "boxes": np.tile([10.0, 10, 20, 20], (n, 1)),
        "labels": np.ones(n, int),
        "image_id": np.arange(n),
    }


@case(calib.DegenerateScoresWarning)
def constant_scores() -> None:
    y = np.arange(20) % 2
    calib.PlattCalibrator().fit(np.full(20, 0.3), y)


@case(calib.ProbabilitiesAsLogitsWarning)
def probabilities_as_logits() -> None:
    p, y = binary()
    calib.TemperatureCalibrator(input="logits").fit(p, y)


@case(calib.ProbabilitiesAsLogitsWarning)
def inside_a_pipeline() -> None:
    p, y = binary()
    make_pipeline(calib.TemperatureCalibrator(input="logits")).fit(p[:, None], y)


@case(calib.ProbabilitiesAsLogitsWarning)
def inside_set_output() -> None:
    p, y = binary()
    calib.PlattCalibrator(input="logits").set_output(transform="pandas").fit_transform(
        p[:, None], y
    )


@case(DataConversionWarning)
def column_of_labels() -> None:
    p, y = binary()
    calib.PlattCalibrator().fit(p, y[:, None])


@case(calib.RefitWarning)
def trained_model() -> None:
    X, y = table()
    calib.CalibratedClassifier(GaussianNB().fit(X, y), cv=3).fit(X, y)


@case(calib.RefitWarning)
def trained_model_of_the_conformal_classifier() -> None:
    X, y = table()
    uq.ConformalClassifier(GaussianNB().fit(X, y), random_state=0).fit(X, y)


@case(calib.RefitWarning)
def trained_model_of_the_conformal_regressor() -> None:
    X, _ = table()
    uq.ConformalRegressor(LinearRegression().fit(X, X[:, 0]), random_state=0).fit(X, X[:, 0])


@case(calib.BoxFormatWarning)
def corners_as_sizes() -> None:
    rng = np.random.default_rng(0)
    centre, half = rng.uniform(20, 80, (200, 2)), rng.uniform(2, 18, (200, 2))
    detection.Detections.from_arrays(
        np.hstack([centre - half, centre + half]),
        np.ones(200),
        labels=np.ones(200, int),
        image_id=np.arange(200),
        box_format="xywh",
        image_size=np.full((200, 2), 100.0),
    )


@case(calib.InvalidRowsWarning)
def a_missing_score() -> None:
    detection.Detections.from_arrays(
        **boxes(), scores=[0.5, np.nan, 0.2], box_format="xyxy", on_invalid="drop"
    )


@case(calib.FallbackWarning)
def no_detections() -> None:
    found = detection.Detections(np.empty((0, 4)), [], [], [])
    truth = detection.GroundTruth(**boxes())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", calib.NoOptimalThresholdWarning)
        detection.DetectionCalibrator().fit(found, truth)


@case(calib.NoOptimalThresholdWarning)
def no_threshold() -> None:
    found = detection.Detections(np.empty((0, 4)), [], [], [])
    detection.lrp_optimal_thresholds(found, detection.GroundTruth(**boxes()))


@case(calib.UnknownImagesWarning)
def unknown_images() -> None:
    row = {"image_id": 9, "category_id": 1, "bbox": [1, 1, 5, 5], "score": 0.5}
    truth = {
        "images": [{"id": 1, "width": 50, "height": 50}],
        "annotations": [],
        "categories": [{"id": 1, "name": "cat"}],
    }
    detection.from_coco([row, row | {"image_id": 1}], truth, unknown_images="drop")


@case(calib.NothingToMeasureWarning)
def nothing_to_measure() -> None:
    found = detection.Detections(**boxes(), scores=[0.5, 0.4, 0.3])
    truth = detection.GroundTruth(np.empty((0, 4)), [], [], images=np.arange(3))
    evaluation.average_precision(found, truth)


@case(uq.SmallCalibrationSetWarning)
def few_samples() -> None:
    X, y = table(20)
    model = uq.ConformalClassifier(
        FrozenEstimator(LogisticRegression().fit(X, y)), random_state=0
    ).fit(X, y)
    model.predict_set(X, 0.999)


@case(uq.SmallCalibrationSetWarning)
def few_samples_of_a_distribution() -> None:
    X, _ = table(20)
    frozen = FrozenEstimator(LinearRegression().fit(X, X[:, 0]))
    system = uq.ConformalPredictiveSystem(frozen, random_state=0).fit(X, X[:, 0] + X[:, 0] ** 2)
    system.predict_distribution(X).quantile(0.999)


@case(uq.EffectiveSampleSizeWarning)
def uneven_ratios() -> None:
    X, y = table()
    ratio = np.ones(len(y))
    ratio[0] = 1e200
    model = uq.ConformalClassifier(
        FrozenEstimator(LogisticRegression().fit(X, y)), random_state=0
    ).fit(X, y, likelihood_ratio=ratio)
    model.predict_set(X, 0.8, likelihood_ratio=np.ones(len(y)))


@case(uq.UnlabelledEstimateWarning)
def no_reference() -> None:
    uq.estimate_performance(binary()[0])


@case(uq.CrossingQuantilesWarning)
def crossing_quantiles() -> None:
    X, _ = table()
    low, mid, high = (LinearRegression().fit(X, X[:, 0] + k) for k in (-1, 0, 1))
    models = tuple(FrozenEstimator(model) for model in (high, mid, low))
    uq.ConformalRegressor(models, conformity_score="quantile").fit(X, X[:, 0])


@case(calib.CrossingQuantilesWarning)
def crossing_columns() -> None:
    evaluation.predictive_distribution(quantiles=[[1.0, 0.0, 2.0]], levels=[0.1, 0.5, 0.9])


@case(calib.SmallCalibrationSetWarning)
def few_distributions() -> None:
    X = np.column_stack([np.arange(9.0), np.ones(9)])
    calib.DistributionCalibrator().fit(X, np.arange(9.0))


@case(uq.EmptyIntervalWarning)
def empty_intervals() -> None:
    x = np.arange(3.0)[:, None]
    band = [LinearRegression(fit_intercept=False).fit(x, k * x[:, 0]) for k in (-6, 0, 6)]
    model = uq.ConformalRegressor(
        tuple(FrozenEstimator(b) for b in band), conformity_score="quantile"
    ).fit(np.ones((100, 1)), np.tile([-1.0, 1.0], 50))
    model.predict_interval([[0.1], [1.0]])


@case(uq.InSampleResidualsWarning)
def residuals_of_training_rows() -> None:
    X, _ = table()
    y = X[:, 0] + np.random.default_rng(0).normal(size=len(X))
    tree = DecisionTreeRegressor(min_samples_leaf=3, random_state=0)
    uq.SplitPointRegressor(tree, residuals="train", conformal="none", random_state=0).fit(X, y)


@case(uq.BiasedSplitPointWarning)
def median_of_skewed_noise() -> None:
    X, _ = table(600)
    y = X[:, 0] + np.random.default_rng(0).exponential(size=len(X))
    uq.SplitPointRegressor(QuantileRegressor(alpha=0.0), random_state=0).fit(X, y)


@case(uq.NothingKeptWarning)
def nothing_kept() -> None:
    uq.control_selective_risk(np.ones(100), np.arange(100.0) / 100)


@case(uq.RiskNotControlledWarning)
def no_early_stop() -> None:
    uq.control_stopping_risk(np.arange(200.0).reshape(100, 2), np.zeros((100, 2)))


@case(uq.SharedRowsWarning)
def the_same_sample_twice() -> None:
    rows = np.arange(40.0).reshape(20, 2)
    uq.distribution_shift_test(rows, rows, random_state=0)


@case(uq.RiskNotControlledWarning)
def no_valid_threshold() -> None:
    X, y = table(60)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    uq.RiskControlledClassifier(FrozenEstimator(model), target_level=0.999).fit(X, y)


def answers(n: int = 40) -> tuple[dict[str, Any], np.ndarray]:
    columns = {"question_id": np.arange(n), "model": ["a", "b"] * (n // 2), "sure": [0.5] * n}
    return columns, np.arange(n) // 2 % 2


def judge(**options: Any) -> uq.CorrectnessModel:
    return uq.CorrectnessModel(
        **{"text": (), "calibrator": None, "classifier": "linear", "random_state": 0, **options}
    )


@case(uq.InvalidConfidenceWarning)
def confidences_in_per_cent() -> None:
    records, correct = answers()
    judge(confidence=("sure",)).fit({**records, "sure": [85.0] * 40}, correct)


@case(uq.DuplicateQuestionsWarning)
def questions_twice() -> None:
    records, correct = answers()
    texts = {"question": [f"what is {k // 2}" for k in range(40)], "answer": ["so"] * 40}
    judge(text=("question", "answer")).fit({**records, **texts}, correct)


@case(uq.UnseenModelWarning)
def new_models() -> None:
    records, correct = answers()
    fitted = judge().fit(records, correct)
    fitted.predict_proba({"question_id": [1], "model": ["c"]})


@pytest.mark.parametrize("name", CASES)
def test_the_callers_line_is_blamed(name: str) -> None:
    category, function = CASES[name]
    lines, start = inspect.getsourcelines(function)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function()
    found = [seen for seen in caught if issubclass(seen.category, category)]
    assert found, [str(seen.message) for seen in caught]
    for seen in found:
        assert seen.filename == __file__
        assert start <= seen.lineno < start + len(lines)


def test_a_reading_of_the_caller_stops_at_the_first_frame_outside() -> None:
    """A caller's own helper is blamed, not the caller's caller."""
    p, y = binary()

    def helper() -> None:
        calib.TemperatureCalibrator(input="logits").fit(p, y)  # this line

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        helper()
    source, start = inspect.getsourcelines(helper)
    wanted = start + next(i for i, line in enumerate(source) if "this line" in line)
    assert caught[0].lineno == wanted
