"""Adapters, calibrators of features and of many labels run where the rows are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from calib import MulticalibrationCalibrator, MultilabelCalibrator, PriorShiftAdapter
from tests.support.people import people

pd = pytest.importorskip("pandas")
dd = pytest.importorskip("dask.dataframe")


def applied(calibrator: Any, rows: np.ndarray) -> np.ndarray:
    from calib.distributed import apply

    names = [f"x{k}" for k in range(rows.shape[1])]
    frame = dd.from_pandas(pd.DataFrame(rows, columns=names), npartitions=3)
    out = apply(frame, calibrator, scores=names).compute()
    return out[[name for name in out if name.startswith("calibrated_")]].to_numpy()


def test_other_frequencies() -> None:
    X, y = people(600)
    z = X[:, :1]
    cal = PriorShiftAdapter("platt", input="logits").fit(z, y).adapt(prior=[0.9, 0.1])
    np.testing.assert_allclose(applied(cal, z), cal.transform(z), atol=1e-12)


def test_features() -> None:
    X, y = people(600)
    cal = MulticalibrationCalibrator(input="logits", n_scores=1, guard=False).fit(X, y)
    np.testing.assert_allclose(applied(cal, X), cal.transform(X), atol=1e-12)


def test_many_labels() -> None:
    rng = np.random.default_rng(0)
    p = rng.random((300, 4))
    cal = MultilabelCalibrator().fit(p, (rng.random(p.shape) < p**2).astype(float))
    np.testing.assert_allclose(applied(cal, p), cal.transform(p), atol=1e-12)
