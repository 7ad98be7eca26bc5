"""The table of the accumulator: coarser grids and classes."""

from __future__ import annotations

import numpy as np
import pytest

from calib.evaluation import (
    binned_calibration_table,
    expected_calibration_error,
)
from calib.evaluation.stream.redraws import coarse
from calib.evaluation.stream.sums import CLASS_CELLS, class_cells
from tests.support.report import accumulate, sample


def test_the_table_answers_every_number_of_bins_that_divides_it():
    y, p, _ = sample(5000, 2)
    table = accumulate(y, p[:, 1]).table
    for n_bins in (1, 3, 5, 15, 30, 60):
        exact = expected_calibration_error(y, p[:, 1], n_bins=n_bins, average="binary")
        assert coarse(table, n_bins).error(1)[0] == pytest.approx(exact, abs=1e-12)
        rows = binned_calibration_table(y, p[:, 1], n_bins=n_bins, average="binary")
        np.testing.assert_array_equal(coarse(table, n_bins).weight[0], rows.weight)


def test_class_cells_ascend():
    p = np.sort(np.concatenate([np.linspace(0, 1, 5001), 10.0 ** -np.arange(1, 12)]))
    p = np.sort(np.concatenate([p, 1 - 10.0 ** -np.arange(1, 12)]))
    cells = class_cells(p)
    assert (np.diff(cells) >= 0).all()
    assert cells[0] == 0
    assert cells[-1] == CLASS_CELLS - 1
