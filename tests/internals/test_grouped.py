"""Maps of groups: stationarity, groups as if alone, pooling and names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from calib import (
    CALIBRATORS,
    PlattCalibrator,
    TemperatureCalibrator,
)
from calib.detection import (
    DETECTION_MAPS,
    DependentLogisticCalibrator,
)
from calib.grouped import map_table, maps, pooling
from tests.support.detector import DETECTIONS, fitted
from tests.support.fractions import sample


def test_an_instance_is_not_touched() -> None:
    inner = map_table.make_map("platt", 0).set_params(input="logits")
    cal = fitted(inner)
    assert inner.input == "logits"
    assert not hasattr(inner, "slope_")
    np.testing.assert_array_equal(
        cal.transform(DETECTIONS).scores, fitted("platt").transform(DETECTIONS).scores
    )


@pytest.mark.parametrize("penalty", [0.0, 3.0])
def test_dependent_logistic_is_stationary(penalty: float) -> None:
    X, t = sample(500, 4)
    cal = DependentLogisticCalibrator(penalty=penalty).fit(X, t)
    assert cal.coefficients_.shape == (21,)
    columns = np.column_stack([maps.log_odds(X[:, 0]), X[:, 1:]])
    design = maps.monomials((columns - cal.centre_) / cal.scale_, np)
    ridge = penalty * cal.coefficients_
    ridge[:2] = 0
    slope = design.T @ (cal.transform(X)[:, 1] - t) + ridge
    np.testing.assert_allclose(slope, 0, atol=1e-5)


@pytest.mark.parametrize("link", ["logistic", "identity"])
def test_groups_are_fitted_as_if_alone(link: Any) -> None:
    rng = np.random.default_rng(0)
    sizes = [1, 5, 30, 400]
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    design = np.column_stack([np.ones(sum(sizes)), rng.normal(size=sum(sizes))])
    t, w = rng.random((2, sum(sizes)))
    gaussian = pooling.Prior(np.array([0.3, 0.8]), np.array([20.0, 5.0]))
    together = pooling.fit_groups(design, t, starts, gaussian, link, weight=w)
    assert together.converged.all()
    for g, (start, size) in enumerate(zip(starts, sizes, strict=True)):
        rows = slice(start, start + size)
        alone = pooling.fit_groups(
            design[rows], t[rows], np.array([0]), gaussian, link, weight=w[rows]
        )
        np.testing.assert_allclose(together.coefficients[g], alone.coefficients[0], atol=1e-8)
        eta = design[rows] @ together.coefficients[g]
        mean = 1 / (1 + np.exp(-eta)) if link == "logistic" else eta
        bend = mean * (1 - mean) if link == "logistic" else np.ones_like(mean)
        hessian = design[rows].T @ (design[rows] * (w[rows] * bend)[:, None])
        hessian += np.diag(gaussian.precision)
        np.testing.assert_allclose(together.covariance[g] @ hessian, np.eye(2), atol=1e-8)
        slope = design[rows].T @ (w[rows] * (mean - t[rows]))
        slope += gaussian.precision * (together.coefficients[g] - gaussian.centre)
        np.testing.assert_allclose(slope, 0, atol=1e-6)


@pytest.mark.parametrize("link", ["logistic", "identity"])
def test_a_falling_slope_is_held_at_zero(link: Any) -> None:
    x = np.linspace(-2, 2, 60)
    design = np.column_stack([np.ones(60), x])
    t = np.concatenate([0.5 - 0.2 * x[:30], 0.5 + 0.2 * x[30:]])
    gaussian = pooling.Prior(np.array([0.0, 0.0]), np.array([1e-9, 1e-9]))
    fits = pooling.fit_groups(design, t, np.array([0, 30]), gaussian, link, increasing=1)
    found = fits.coefficients
    assert found[0, 1] == 0
    assert found[1, 1] > 0
    mean = t[:30].mean()
    assert found[0, 0] == pytest.approx(np.log(mean / (1 - mean)) if link == "logistic" else mean)


def test_names() -> None:
    names = map_table.map_names()
    assert names[:4] == ["identity", "linear", "dependent_logistic", "grid_histogram"]
    assert len(set(names)) == len(names) == len(DETECTION_MAPS) + len(CALIBRATORS)
    for name in DETECTION_MAPS:
        stored = map_table.stored_name(DETECTION_MAPS[name]())
        assert stored == f"detection.{name}"
        assert map_table.stored_class(stored) is DETECTION_MAPS[name]
    grid = map_table.stored_class("detection.histogram")  # the name in older files
    assert grid is DETECTION_MAPS["grid_histogram"]
    assert map_table.stored_name(PlattCalibrator()) == "platt"
    assert map_table.stored_class("platt") is PlattCalibrator
    assert map_table.stored_name(object()) is None
    for name in ("linear", "detection.platt", "os.system"):
        with pytest.raises(ValueError, match="unknown calibrator"):
            map_table.stored_class(name)


def test_make_map() -> None:
    given_map = TemperatureCalibrator(input="logits", smoothing=False)
    made = map_table.make_map(given_map, 0)
    assert made is not given_map
    assert made.get_params() == {"input": "proba", "smoothing": False, "smooth_input": "auto"}
    assert map_table.make_map("temperature", 0).get_params()["smooth_input"] == "auto"
    published = map_table.make_map("temperature", 0, "published")
    assert published.get_params()["smooth_input"] is False
    assert map_table.make_map("split_point", 2).get_params()["n_scores"] == 1
    with pytest.raises(ValueError, match="known names: identity, linear"):
        map_table.make_map("plat", 0)
    with pytest.raises(ValueError, match="instance of BaseCalibrator"):
        map_table.make_map(3, 0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="PlattCalibrator reads scores alone"):
        map_table.make_map("platt", 2)
