"""The loess curve against weighted least squares at every score, and what is done beyond that."""

from __future__ import annotations

import numpy as np
import pytest

from calib.evaluation import integrated_calibration_index


@pytest.mark.parametrize("span", [0, -0.5, 1.1, np.nan, True, "0.75"])
def test_span_is_checked(span: object) -> None:
    with pytest.raises(ValueError, match="span must be a number in"):
        integrated_calibration_index([0, 1], [0.2, 0.7], span=span)


def test_small_spans_stay_finite(rng: np.random.Generator) -> None:
    p = np.concatenate([rng.random(100), np.full(50, 0.5)])
    y = rng.random(150) < p
    for span in (1e-9, 0.01, 0.05):
        summary = integrated_calibration_index(y, p, span=span, average="binary")
        assert np.isfinite(summary).all()
        assert 0 <= summary.ici <= summary.e_max <= 1
