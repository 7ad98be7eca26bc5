from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from calib.detection import Detections, GroundTruth, match
from calib.evaluation import (
    NothingToMeasureWarning,
    detection_calibration_error,
    detection_calibration_table,
)

BOX = [0.0, 0.0, 4.0, 4.0]
FIVE = ("score", "cx", "cy", "w", "h")


def rows(score: list[float], real: list[int], label: Any = 1) -> tuple[Detections, GroundTruth]:
    """One image per detection; those that are real lie exactly on a box."""
    n, hit = len(score), np.flatnonzero(real)
    labels = np.broadcast_to(label, n)
    boxes = np.tile(BOX, (n, 1))
    found = Detections(boxes, score, labels, np.arange(n), image_size=np.full((n, 2), 8.0))
    return found, GroundTruth(boxes[hit], labels[hit], hit, images=np.arange(n))


# ---------------------------------------------------------------------- numbers of real detectors


@pytest.mark.shared_data
def test_published_code_at_operating_thresholds(yolox: Any) -> None:
    value = detection_calibration_error(
        yolox.found,
        yolox.truth,
        threshold=yolox.threshold,
        reference_compat=True,
        matches=yolox.half,
    )
    assert value == pytest.approx(0.05241707106399686, abs=1e-12)


@pytest.mark.shared_data
def test_published_code_at_a_fixed_threshold(yolox: Any) -> None:
    for compat in (False, True):  # no score lies on an edge
        value = detection_calibration_error(
            yolox.found, yolox.truth, threshold=0.3, reference_compat=compat, matches=yolox.half
        )
        assert value == pytest.approx(0.05875893410138247, abs=1e-12)


#: features, bins, min_samples, value at score >= 0.3, value of all; from netcal 1.4.0.
NETCAL = [
    (("score",), 10, 1, 0.05875893, 0.00759221),
    (("score",), 20, 1, 0.06524434, 0.00786425),
    (("score",), 20, 8, 0.06524434, 0.00786425),
    (("score", "cx", "cy"), 8, 1, 0.13019629, 0.01244178),
    (("score", "cx", "cy"), 8, 8, 0.06610780, 0.00978334),
    (("score", "w", "h"), 8, 1, 0.11385602, 0.01116581),
    (("score", "w", "h"), 8, 8, 0.05982798, 0.00844282),
    (FIVE, 5, 1, 0.18099225, 0.01576816),
    (FIVE, 5, 8, 0.03945636, 0.00940907),
]


@pytest.mark.shared_data
@pytest.mark.parametrize(("features", "n_bins", "min_samples", "confident", "everything"), NETCAL)
def test_numbers_of_netcal(
    yolox: Any,
    features: tuple[str, ...],
    n_bins: int,
    min_samples: int,
    confident: float,
    everything: float,
) -> None:
    """Cells are the same, one box aside: its centre is 4/5 of the image, netcal sees less."""
    tolerance = 5e-6 if features == FIVE else 1e-7
    for threshold, expected, error in ((0.3, confident, 1e-7), (None, everything, tolerance)):
        value = detection_calibration_error(
            yolox.found,
            yolox.truth,
            features=features,
            n_bins=n_bins,
            min_samples=min_samples,
            threshold=threshold,
            matches=yolox.half,
        )
        assert value == pytest.approx(expected, abs=error)


@pytest.mark.oracle
def test_netcal_on_random_scenes(scene: Callable[..., Any]) -> None:
    netcal = pytest.importorskip("netcal.metrics")
    found, truth = scene(3, n_boxes=300)
    matches = match(found, truth)
    value = detection_calibration_error(
        found,
        truth,
        features=("score", "w", "h"),
        n_bins=(4, 3, 2),
        min_samples=3,
        classes_without_gt="fp",
        matches=matches,
    )
    kept = matches.valid
    columns = np.column_stack([found.scores, found.position()[:, 2:]])[kept]
    peer = netcal.ECE(bins=[4, 3, 2], detection=True, sample_threshold=3)
    expected = peer.measure(columns, matches.is_true_positive[kept].astype(int))
    assert value == pytest.approx(expected, abs=1e-7)


# ---------------------------------------------------------------------------------- options by hand


def test_ace_and_mce_by_hand() -> None:
    found, truth = rows([0.1, 0.1, 0.1, 0.9], [0, 0, 0, 1])
    kwargs: dict[str, Any] = {"n_bins": 2}
    assert detection_calibration_error(found, truth, **kwargs) == pytest.approx(0.1)
    found, truth = rows([0.2, 0.2, 0.2, 0.9], [0, 0, 0, 1])
    assert detection_calibration_error(found, truth, **kwargs) == pytest.approx(0.175)
    assert detection_calibration_error(found, truth, reduce="ace", **kwargs) == pytest.approx(0.15)
    assert detection_calibration_error(found, truth, reduce="mce", **kwargs) == pytest.approx(0.2)


def test_ace_averages_columns_of_position_first() -> None:
    found, truth = rows([0.2, 0.8, 0.3], [0, 1, 0])
    boxes = found.boxes.copy()
    boxes[2] += [4, 0, 4, 0]  # right half of the image
    found = Detections(
        boxes, found.scores, found.labels, found.image_id, image_size=found.image_size
    )
    value = detection_calibration_error(
        found, truth, features=("score", "cx"), n_bins=2, reduce="ace"
    )
    assert value == pytest.approx(((0.2 + 0.2) / 2 + 0.3) / 2)


def test_sparse_cells_and_their_share() -> None:
    found, truth = rows([0.2, 0.2, 0.2, 0.9], [0, 0, 0, 1])
    kwargs: dict[str, Any] = {"n_bins": 2, "min_samples": 2}
    assert detection_calibration_error(found, truth, **kwargs) == pytest.approx(0.15)
    value = detection_calibration_error(found, truth, renormalise=True, **kwargs)
    assert value == pytest.approx(0.2)
    table = detection_calibration_table(found, truth, n_bins=2)
    assert table.coverage(min_samples=2) == 0.75
    assert table.coverage() == 1.0
    assert detection_calibration_error(found, truth, n_bins=2, min_samples=4) == 0.0


def test_edges_close_on_either_side() -> None:
    found, truth = rows([0.5, 0.3], [1, 0])
    right_open = detection_calibration_error(found, truth, n_bins=2)
    assert right_open == pytest.approx((0.5 + 0.3) / 2)
    right_closed = detection_calibration_error(found, truth, n_bins=2, reference_compat=True)
    assert right_closed == pytest.approx(abs(0.8 - 1) / 2)


def test_equal_mass_keeps_ties_together() -> None:
    found, truth = rows([0.5, 0.5, 0.5, 0.6], [1, 0, 1, 1])
    table = detection_calibration_table(found, truth, n_bins=2, strategy="quantile")
    assert table.edges[0].tolist() == [[0.0, 0.5, 1.0]]
    for compat in (False, True):
        value = detection_calibration_error(
            found, truth, n_bins=2, strategy="quantile", reference_compat=compat
        )
        assert 0 <= value <= 1


def test_averages_over_classes() -> None:
    found, truth = rows([0.2, 0.2, 0.2, 0.9], [1, 0, 0, 1], [1, 1, 1, 2])
    errors = [abs(0.2 - 1 / 3), 0.1]
    macro = detection_calibration_error(found, truth, average="macro")
    assert macro == pytest.approx(np.mean(errors))
    weighted = detection_calibration_error(found, truth, average="weighted")
    assert weighted == pytest.approx(np.average(errors, weights=[3, 1]))
    for strategy in ("uniform", "quantile"):
        value = detection_calibration_error(
            found, truth, average="macro", n_bins=1, strategy=strategy
        )
        assert value == pytest.approx(np.mean(errors))


def test_classes_without_boxes() -> None:
    found, truth = rows([0.2, 0.9], [0, 1], [3, 1])
    assert detection_calibration_error(found, truth) == pytest.approx(0.1)
    as_false = detection_calibration_error(found, truth, classes_without_gt="fp")
    assert as_false == pytest.approx(0.15)
    table = detection_calibration_table(found, truth)
    assert (table.n_detections, table.n_skipped) == (2, 1)


def test_map_over_positions() -> None:
    found, truth = rows([0.2, 0.8], [0, 0])
    truth = GroundTruth([BOX], [1], [9], images=range(10))
    table = detection_calibration_table(
        found, truth, features=("cx", "score", "w"), n_bins=(2, 4, 1)
    )
    assert table.n_bins == (2, 4, 1)
    expected = [[0.5], [np.nan]]
    np.testing.assert_allclose(table.map(), expected)
    assert np.isnan(table.map(min_samples=2)).all()
    score_only = detection_calibration_table(found, truth)
    assert score_only.map() == pytest.approx(0.5)


# ----------------------------------------------------------------------------------------- edges


def test_no_detections() -> None:
    empty = Detections(np.empty((0, 4)), [], [], [])
    truth = GroundTruth([BOX], [1], [7])
    for average in ("pooled", "macro", "weighted"):
        for reduce in ("ece", "ace", "mce"):
            with pytest.warns(NothingToMeasureWarning, match="no detection counts"):
                value = detection_calibration_error(empty, truth, average=average, reduce=reduce)
            assert np.isnan(value)
    assert np.isnan(detection_calibration_table(empty, truth).coverage())


def test_everything_ignored() -> None:
    found = Detections([BOX, BOX], [0.9, 0.5], [1, 1], [7, 7])
    truth = GroundTruth([BOX, BOX], [1, 1], [7, 8], ignore=[True, False])
    with pytest.warns(NothingToMeasureWarning, match="no detection counts"):
        assert np.isnan(detection_calibration_error(found, truth))


def test_only_ignored_boxes() -> None:
    found = Detections([BOX, [20, 0, 24, 4]], [0.9, 0.5], [1, 1], [7, 7])
    truth = GroundTruth([BOX], [1], [7], ignore=[True])
    with pytest.warns(NothingToMeasureWarning, match="no annotated box"):
        assert np.isnan(detection_calibration_error(found, truth))


def test_all_classes_without_boxes() -> None:
    found, _ = rows([0.9], [0], [2])
    truth = GroundTruth([BOX], [1], [0])
    with pytest.warns(NothingToMeasureWarning, match="of classes without"):
        assert np.isnan(detection_calibration_error(found, truth))


def test_images_without_detections_have_no_effect() -> None:
    found, truth = rows([0.9, 0.2], [1, 0])
    more = GroundTruth(truth.boxes, truth.labels, truth.image_id, images=range(100))
    assert detection_calibration_error(found, more) == detection_calibration_error(found, truth)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"features": ("cx",)}, "features must name 'score'"),
        ({"features": ("score", "area")}, "features must name 'score'"),
        ({"n_bins": (2, 3)}, "one integer or one for each"),
        ({"n_bins": 0}, "n_bins must be >= 1"),
        ({"strategy": "equal"}, "strategy must be one of"),
        ({"reduce": "max"}, "reduce must be one of"),
        ({"average": "micro"}, "average must be one of"),
        ({"classes_without_gt": "drop"}, "classes_without_gt must be one of"),
        ({"min_samples": 0}, "min_samples must be >= 1"),
        ({"renormalise": 1}, "renormalise must be one of"),
        ({"iou_threshold": 1.0}, "iou_threshold must lie in"),
        ({"threshold": "lrp"}, "threshold must be a number"),
        ({"threshold": {2: 0.5}}, "no entry for 1 classes"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    found, truth = rows([0.9], [1])
    with pytest.raises(ValueError, match=message):
        detection_calibration_error(found, truth, **options)


def test_positions_need_image_sizes() -> None:
    found = Detections([BOX], [0.9], [1], [7])
    with pytest.raises(ValueError, match="image_size"):
        detection_calibration_error(found, GroundTruth([BOX], [1], [7]), features=("score", "cx"))


def test_matches_of_something_else() -> None:
    found, truth = rows([0.9, 0.5], [1, 0])
    matches = match(found, truth)
    with pytest.raises(ValueError, match="matches has 2 rows"):
        detection_calibration_error(found[:1], truth, matches=matches)


def test_matches_at_a_lower_threshold() -> None:
    found = Detections([[0, 0, 4, 1]], [0.9], [1], [7])
    truth = GroundTruth([BOX], [1], [7])
    matches = match(found, truth, iou_threshold=0.1)
    with pytest.raises(ValueError, match="below iou_threshold"):
        detection_calibration_error(found, truth, matches=matches)


# -------------------------------------------------------------------------------------- properties


@given(
    seed=st.integers(0, 10_000),
    reduce=st.sampled_from(["ece", "ace", "mce"]),
    average=st.sampled_from(["pooled", "macro", "weighted"]),
    features=st.sampled_from([("score",), ("score", "cx"), FIVE]),
    n_bins=st.integers(1, 6),
)
@settings(max_examples=60, deadline=None)
def test_bounds_and_order_of_rows(
    scene: Callable[..., Any], seed: int, reduce: Any, average: Any, features: Any, n_bins: int
) -> None:
    found, truth = scene(seed)
    kwargs = {"reduce": reduce, "average": average, "features": features, "n_bins": n_bins}
    value = detection_calibration_error(found, truth, **kwargs)
    assert 0 <= value <= 1
    rng = np.random.default_rng(seed)
    found = found.with_scores(rng.random(len(found)))  # ties go by row, so have none
    first = detection_calibration_error(found, truth, **kwargs)
    again = detection_calibration_error(
        found[rng.permutation(len(found))], truth[rng.permutation(len(truth))], **kwargs
    )
    assert again == pytest.approx(first, abs=1e-12)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_perfect_scores(scene: Callable[..., Any], seed: int) -> None:
    found, truth = scene(seed)
    matches = match(found, truth)
    exact = found.with_scores(matches.is_true_positive.astype(float))
    for average in ("pooled", "macro", "weighted"):
        for reduce in ("ece", "ace", "mce"):
            value = detection_calibration_error(
                exact, truth, average=average, reduce=reduce, matches=matches, features=FIVE
            )
            assert value == 0.0


@given(seed=st.integers(0, 10_000), cut=st.integers(1, 11), second=st.integers(1, 11))
@settings(max_examples=25, deadline=None)
def test_tables_of_parts_add_up(
    scene: Callable[..., Any], seed: int, cut: int, second: int
) -> None:
    found, truth = scene(seed)
    whole = detection_calibration_table(found, truth, features=FIVE, n_bins=3)
    parts = []
    low, high = sorted((cut, second))
    for images in (range(low), range(low, high), range(high, 12)):
        here = np.isin(found.image_id, list(images))
        if len(images):
            parts.append(
                detection_calibration_table(
                    found[here], truth.in_images(list(images)), features=FIVE, n_bins=3
                )
            )
    merged = parts[-1]
    for part in parts[-2::-1]:
        merged = merged + part
    for average in ("pooled", "macro", "weighted"):
        for kwargs in ({"reduce": "ace"}, {"min_samples": 2}, {"debiased": True}):
            value = merged.calibration_error(average=average, **kwargs)
            expected = whole.calibration_error(average=average, **kwargs)
            assert value == pytest.approx(expected, abs=1e-12)
    np.testing.assert_allclose(merged.map(), whole.map(), atol=1e-12)
    assert merged.coverage(min_samples=2) == whole.coverage(min_samples=2)
    assert merged.n_skipped == whole.n_skipped


def test_tables_that_do_not_fit() -> None:
    found, truth = rows([0.9, 0.5, 0.1], [1, 0, 0])
    one = detection_calibration_table(found, truth)
    for other, message in (
        (detection_calibration_table(found, truth, n_bins=5), "different edges"),
        (detection_calibration_table(found, truth, iou_threshold=0.75), "iou_threshold"),
        (detection_calibration_table(found, truth, features=("cx", "score")), "features"),
        (detection_calibration_table(found, truth, strategy="quantile"), "different edges"),
    ):
        with pytest.raises(ValueError, match=message):
            one + other
    with pytest.raises(TypeError):
        one + 1  # type: ignore[operator]


def test_debiased_is_unbiased_for_the_squared_gap() -> None:
    """One cell of 20 detections scored 0.6 of which 0.8 are right: 0.2 squared on average."""
    rng = np.random.default_rng(0)
    squares, plain = [], []
    for _ in range(400):
        found, truth = rows([0.6] * 20, (rng.random(20) < 0.8).astype(int).tolist())
        table = detection_calibration_table(found, truth, n_bins=1)
        n, r, r2 = (
            table.entries[0, 0],
            table.entries[1, 0] - table.entries[2, 0],
            table.entries[3, 0],
        )
        raw = r**2 - n * (r2 - r**2 / n) / (n - 1)
        assert table.calibration_error(debiased=True) == pytest.approx(np.sqrt(max(raw, 0)) / n)
        squares.append(raw / n**2)
        plain.append(r**2 / n**2)
    error = np.std(squares) / 20
    assert np.mean(squares) == pytest.approx(0.04, abs=4 * error)
    assert np.mean(plain) - 0.04 > 3 * error
