"""The drawing of detection displays."""

from __future__ import annotations

import numpy as np

from calib.evaluation import ReliabilityBins
from calib.evaluation.display.detection import draw_reliability


def test_reliability_skips_empty_bins() -> None:
    edges = np.linspace(0, 1, 4)
    nan = np.nan
    bins = ReliabilityBins(
        left=edges[:-1],
        right=edges[1:],
        n_detections=np.array([4, 0, 1]),
        mean_score=np.array([0.2, nan, 0.8]),
        mean_target=np.array([0.1, nan, 1.0]),
        low=np.array([0.05, nan, nan]),
        high=np.array([0.2, nan, nan]),
    )
    ax = draw_reliability(bins, "tp", "one")
    again = draw_reliability(bins, "tp", "two", ax)
    assert again is ax
    assert len(ax.lines) == 3  # one diagonal, two curves
    np.testing.assert_array_equal(ax.lines[1].get_xdata(), [0.2, 0.8])
    assert ax.get_ylabel() == "Precision"
    ax.figure.canvas.draw()
