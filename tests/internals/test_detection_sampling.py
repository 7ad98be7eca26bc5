"""Sums per image against the metrics of repeated images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from calib.detection import GroundTruth
from calib.evaluation import (
    detection_metric_interval,
)
from calib.evaluation.detection.image_draws import PerImage
from calib.evaluation.detection.sampling import PLANS

DECE = "detection_calibration_error"


FIVE = ("score", "cx", "cy", "w", "h")


VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in PLANS),
    (
        DECE,
        {"average": "macro", "reduce": "ace", "features": FIVE, "n_bins": 3},
    ),
    (DECE, {"average": "weighted", "reduce": "mce", "min_samples": 2}),
    (
        DECE,
        {"classes_without_gt": "fp", "renormalise": True, "min_samples": 3},
    ),
    ("localization_aware_calibration_error", {"reference_compat": True, "threshold": 0.3}),
    ("localization_aware_absolute_error", {"reference_compat": True, "threshold": 0.3}),
]


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_weights_equal_copies_of_images(
    scene: Callable[..., Any], name: str, options: dict[str, Any]
) -> None:
    rng = np.random.default_rng(5)
    for seed in range(6):
        found, truth = scene(seed)
        plan = PLANS[name](found, truth, **options)
        images = PerImage(plan.binned, 12)
        weight = rng.integers(0, 4, (3, 12))
        values = images.values([plan], weight.astype(float))[0]
        for row, value in zip(weight, values, strict=True):
            drawn = np.repeat(np.arange(12), row)
            copies = copied(found, drawn), copied(truth, drawn)
            expected = PLANS[name](*copies, **options).value()
            assert value == pytest.approx(expected, abs=1e-12, nan_ok=True)
        whole = images.values([plan], np.ones((1, 12)))[0]
        assert whole[0] == pytest.approx(plan.value(), abs=1e-13)


def copied(table: Any, drawn: np.ndarray) -> Any:
    """Repeat whole images under new numbers."""
    rows = [np.flatnonzero(table.image_id == image) for image in drawn]
    number = np.repeat(np.arange(len(drawn)), [len(part) for part in rows])
    part = table[np.concatenate(rows)].replaced({"image_id": number})
    if isinstance(table, GroundTruth):
        part = part.replaced({"images": np.arange(len(drawn)), "sizes": None})
    return part


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_terms_make_up_the_error(
    scene: Callable[..., Any], name: str, options: dict[str, Any]
) -> None:
    for seed in range(6):
        plan = PLANS[name](*scene(seed), **options)
        if plan.options is None:
            assert plan.gaps() is None
            continue
        terms = plan.terms()
        size = np.abs(terms.signed)
        if plan.options.reduce == "mce":
            largest = [size[terms.table == table].max() for table in np.unique(terms.table)]
            assert np.sum(largest) == pytest.approx(plan.value(), abs=1e-13)
        else:
            assert size.sum() == pytest.approx(plan.value(), abs=1e-13)


@pytest.mark.parametrize(
    "options", [{}, {"threshold": 0.3}, {"reference_compat": True}, {"classes_without_gt": "fp"}]
)
@pytest.mark.parametrize("name", PLANS)
def test_spread_of_a_mean_is_that_of_its_draws(
    scene: Callable[..., Any], name: str, options: dict[str, Any]
) -> None:
    """The moments of images are the limit of those of draws of images."""
    for seed in range(2):
        try:
            plan = PLANS[name](*scene(seed, n_images=400, n_boxes=1200), **options)
        except TypeError:
            continue
        if plan.ratio is None:
            continue
        images = PerImage(plan.binned, 400)
        moments = images.moments(plan)
        assert moments.mean == pytest.approx(plan.value(), abs=1e-13)
        weight = np.random.default_rng(0).multinomial(400, [1 / 400] * 400, 4000)
        draws = images.values([plan], weight)[0]
        assert np.sqrt(moments.square) == pytest.approx(draws.std(), rel=0.06)
        assert abs(draws.mean() - moments.mean) < 0.2 * draws.std()


@given(seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_intervals_stay_in_bounds(scene: Callable[..., Any], seed: int) -> None:
    found, truth = scene(seed)
    for name in PLANS:
        for method in ("auto", "percentile"):
            result = detection_metric_interval(
                name, found, truth, n_resamples=20, n_floor=3, method=method, random_state=seed
            )
            assert 0 <= result.interval.low <= result.interval.high <= 1
            if method == "auto":
                assert result.low <= result.debiased <= result.high, name
