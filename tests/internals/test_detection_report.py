"""The report of a detector inside: one product for all metrics, blocks, reused precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from calib.evaluation import (
    average_precision,
    detection_report,
)
from calib.evaluation.detection.image_draws import resampled_values
from calib.evaluation.detection.report.measures import plans_of, same_ranking
from calib.evaluation.detection.report.protocol import score_sets
from tests.support.detector_reports import CALIBRATORS, EMPTY, TEST, report_of_two_maps


@pytest.fixture(scope="module")
def report():
    return report_of_two_maps()


def test_one_product_serves_all_metrics_of_a_table() -> None:
    plans = plans_of(score_sets(*TEST, CALIBRATORS)["platt"])
    together = resampled_values(plans, 160, 4, np.random.default_rng(0))
    assert together.keys() == plans.keys()
    for name, plan in plans.items():
        alone = resampled_values({name: plan}, 160, 4, np.random.default_rng(0))[name]
        np.testing.assert_allclose(together[name], alone, rtol=1e-12, atol=1e-14)


def test_order_of_rows_and_blocks_do_not_matter(report, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of raw scores, which have no ties; equal scores are served in the order of the rows."""
    monkeypatch.setattr("calib.evaluation.detection.image_draws.BATCH_NUMBERS", 160 * 7)
    rows = np.random.default_rng(0).permutation(len(TEST[0]))
    other = detection_report(
        TEST[0][rows], TEST[1], calibrator=CALIBRATORS, n_resamples=60, n_floor=20
    )
    for key, measure in report.models["raw"].measures.items():
        again = other.models["raw"].measures[key]
        assert again.value == pytest.approx(measure.value)
        assert again.interval.low == pytest.approx(measure.interval.low)


def test_average_precision_is_reused_only_where_the_order_is_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = TEST[0].with_scores(np.clip(TEST[0].scores, 1e-5, 1 - 1e-5))  # log-odds are cut beyond
    assert same_ranking(found, CALIBRATORS["platt"].transform(found))
    assert not same_ranking(found, CALIBRATORS["isotonic"].transform(found))  # new ties
    assert not same_ranking(CALIBRATORS["isotonic"].transform(found), found)
    assert not same_ranking(found, found.with_scores(1 - found.scores))
    assert same_ranking(EMPTY, EMPTY)
    calls = []

    def counted(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        return average_precision(*args, **kwargs)

    monkeypatch.setattr("calib.evaluation.detection.report.reporting.average_precision", counted)
    report = detection_report(found, TEST[1], calibrator=CALIBRATORS, n_resamples=2, n_floor=2)
    assert len(calls) == 2  # raw, isotonic
    assert report.models["platt"].ap == report.models["raw"].ap
    assert report.models["isotonic"].ap != report.models["raw"].ap
