"""Every exported evaluation function takes torch tensors and gives the numbers of NumPy."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import numpy as np
import pytest

import calib.evaluation as evaluation
from calib.evaluation import CalibrationAccumulator

torch = pytest.importorskip("torch")

rng = np.random.default_rng(0)
P = rng.dirichlet(np.ones(3), size=200)
Y = (P.cumsum(axis=1) < rng.random((200, 1))).sum(axis=1).clip(max=2)
W = rng.random(200)
MEAN = rng.normal(size=200)
LEVELS = np.array([0.1, 0.5, 0.9])
QUANTILES = np.sort(rng.normal(size=(200, 3)), axis=1)
STD = 0.5 + W
DISTRIBUTION = evaluation.predictive_distribution(mean=MEAN, std=STD)

#: Functions of labels and probabilities.
PREDICTIONS = (
    "adaptive_calibration_error", "average_calibration_error", "binned_calibration_table",
    "calibration_report", "expected_calibration_error", "maximum_calibration_error",
    "signed_calibration_error",
)  # fmt: skip
#: Other functions of arrays, with arguments.
OTHERS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "consistency_interval": (
        (evaluation.expected_calibration_error, P),
        {"random_state": 0, "n_resamples": 20},
    ),
    "score_difference_sequence": ((Y, P, P), {}),
    "multicalibration_error": ((Y, P, np.arange(len(Y)) % 2), {}),
    "multilabel_calibration_error": ((np.eye(P.shape[1])[Y], P), {}),
    "multilabel_report": ((np.eye(P.shape[1])[Y], P), {"n_resamples": 20, "n_redraws": 20}),
    "segment_report": ((Y, P, np.arange(len(Y)) % 2), {}),
    "expand_soft_targets": ((np.eye(P.shape[1])[Y],), {}),
    "interval_coverage": ((MEAN, MEAN - 1, MEAN + 0.5), {}),
    "interval_quality": ((MEAN, MEAN - 1, MEAN + 0.5), {"confidence_level": 0.9}),
    "interval_score": ((MEAN, MEAN - 1, MEAN + 0.5), {"confidence_level": 0.9}),
    "mean_interval_width": ((MEAN - 1, MEAN + 0.5), {}),
    "metric_interval": (
        (evaluation.expected_calibration_error, Y, P),
        {"random_state": 0, "n_resamples": 20},
    ),
    "metric_difference": (
        (evaluation.expected_calibration_error, Y, P, 0.8 * P + 0.2 / 3),
        {"random_state": 0, "n_resamples": 20},
    ),
    "measurement_table": ((Y, P, 0.8 * P + 0.2 / 3), {}),
    "post_hoc_improvement": ((Y, P, 0.8 * P + 0.2 / 3), {"random_state": 0, "n_resamples": 20}),
    "pit_uniformity": ((rng.random(100),), {}),
    "pit_histogram": ((rng.random(100),), {}),
    "pinball_loss": ((MEAN, QUANTILES), {"levels": LEVELS}),
    "predictive_distribution": ((), {"mean": MEAN, "std": STD}),
    "quantile_crps": ((MEAN, QUANTILES), {"levels": LEVELS}),
    "sample_crps": ((MEAN, QUANTILES), {"sample_weight": W}),
    "normal_crps": ((MEAN, 0.9 * MEAN, STD), {"sample_weight": W}),
    "crps": ((MEAN, DISTRIBUTION), {"sample_weight": W}),
    "coverage_curve": ((MEAN, DISTRIBUTION), {"levels": LEVELS, "sample_weight": W}),
    "quantile_calibration_error": ((MEAN, DISTRIBUTION), {"levels": LEVELS}),
    "expected_normalized_calibration_error": ((MEAN, 0.9 * MEAN, STD), {}),
    "uncertainty_calibration_error": ((MEAN, 0.9 * MEAN, STD), {}),
    "regression_report": ((MEAN, DISTRIBUTION), {"n_resamples": 20}),
    "quantile_pit": ((MEAN, QUANTILES), {"levels": LEVELS, "random_state": 0}),
}
#: These take `Detections` and `GroundTruth`, whose constructors read tensors.
DETECTIONS = "detection", "localization", "average_precision", "score_iou"


def tensor(value: Any) -> Any:
    return torch.from_numpy(value) if isinstance(value, np.ndarray) else value


def assert_same(one: Any, other: Any) -> None:
    if dataclasses.is_dataclass(one):
        for field in dataclasses.fields(one):
            assert_same(getattr(one, field.name), getattr(other, field.name))
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, tuple):
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    elif isinstance(one, (str, type(None))):
        assert one == other
    else:
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def functions() -> set[str]:
    names = {n for n in evaluation.__all__ if inspect.isfunction(getattr(evaluation, n))}
    optimal = {n for n in names if "detection" not in n} - {"accumulated_report", "save_figure"}
    return {n for n in optimal if not any(part in n for part in DETECTIONS)}


def test_every_exported_function_is_here():
    """A new function of arrays has to be added above."""
    first = {n: list(inspect.signature(getattr(evaluation, n)).parameters)[:2] for n in functions()}
    plain = {n for n, names in first.items() if names == ["y_true", "y_prob"]}
    assert functions() == plain | set(OTHERS)
    assert set(PREDICTIONS) <= plain


@pytest.mark.parametrize(
    "name",
    sorted(
        n
        for n in functions() - set(OTHERS)
        if list(inspect.signature(getattr(evaluation, n)).parameters)[:2] == ["y_true", "y_prob"]
    ),
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_metrics_of_tensors_equal_those_of_arrays(name, dtype):
    function = getattr(evaluation, name)
    known = inspect.signature(function).parameters
    options = {"random_state": 0} if "random_state" in known else {}
    p = P.astype(dtype)
    for weight in (None, W):
        if weight is not None:
            if "sample_weight" not in known:
                continue
            options = options | {"sample_weight": weight}
        here = function(Y, p, **options)
        there = function(tensor(Y), tensor(p), **{k: tensor(v) for k, v in options.items()})
        assert_same(here, there)


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_other_functions_of_tensors(name):
    arguments, options = OTHERS[name]
    function = getattr(evaluation, name)
    there = function(*map(tensor, arguments), **{k: tensor(v) for k, v in options.items()})
    assert_same(function(*arguments, **options), there)


def test_tensors_that_require_gradients():
    p = torch.tensor(P, requires_grad=True)
    assert_same(
        evaluation.expected_calibration_error(Y, P),
        evaluation.expected_calibration_error(tensor(Y), p),
    )


def test_the_accumulator():
    here = CalibrationAccumulator(3).update(Y, P, W)
    there = CalibrationAccumulator(3).update(tensor(Y), tensor(P), tensor(W))
    there.update(tensor(Y[:0]), tensor(P[:0]))
    np.testing.assert_array_equal(here.sums, there.sums)
