"""The calibrator of a detector: reference numbers, guarantees, edge cases, files."""

from __future__ import annotations

import copy
import gzip
import json
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from calib import (
    CALIBRATORS,
    IsotonicCalibrator,
    PlattCalibrator,
    TemperatureCalibrator,
    load,
    make_calibrator,
    save,
)
from calib.detection import (
    DETECTION_MAPS,
    DetectionCalibrator,
    Detections,
    FallbackWarning,
    GroundTruth,
    LinearCalibrator,
    NoOptimalThresholdWarning,
    match,
)
from tests.support.detector import DETECTIONS, TRUTH, fitted, scene

#: Every name that a detector's calibrator takes.
MAPS = [*DETECTION_MAPS, *CALIBRATORS]
#: Maps that are monotone in the score.
MONOTONE = ["identity", "linear", "temperature", "platt", "isotonic", "venn_abers"]


# ---------------------------------------------------------------------- reference numbers


def coco(folder: Path, part: str) -> tuple[Detections, GroundTruth]:
    """Read half of the shared detections with nothing but the JSON module."""
    with gzip.open(folder / "detection" / f"coco_val2017_1229_gt_{part}.json.gz") as file:
        truth = json.load(file)
    with gzip.open(folder / "detection" / "yolox_nano_dets.json.gz") as file:
        rows = json.load(file)
    sizes = {one["id"]: (one["width"], one["height"]) for one in truth["images"]}
    notes = truth["annotations"]
    rows = [row for row in rows if row["image_id"] in sizes]
    annotated = GroundTruth.from_arrays(
        [one["bbox"] for one in notes],
        [one["category_id"] for one in notes],
        [one["image_id"] for one in notes],
        box_format="xywh",
        ignore=[one.get("iscrowd", 0) for one in notes],
        images=list(sizes),
        sizes=list(sizes.values()),
    )
    found = Detections.from_arrays(
        [row["bbox"] for row in rows],
        [row["score"] for row in rows],
        [row["category_id"] for row in rows],
        [row["image_id"] for row in rows],
        box_format="xywh",
        image_size=[sizes[row["image_id"]] for row in rows],
    )
    return found, annotated


@pytest.fixture(scope="module")
def halves(shared_data: Path) -> dict[str, tuple[Detections, GroundTruth]]:
    return {part: coco(shared_data, part) for part in ("minival", "minitest")}


@pytest.mark.shared_data
@pytest.mark.oracle
def test_pooled_platt_equals_the_converged_reference(halves: Any) -> None:
    cal = DetectionCalibrator(
        "platt", form="published", per_class=False, zero_iou="reference", threshold_folds=None
    ).fit(*halves["minival"])
    assert cal.pooled_map_.slope_[0] == pytest.approx(0.99056, abs=5e-6)
    assert cal.pooled_map_.intercept_[0] == pytest.approx(-0.25283, abs=5e-6)


@pytest.mark.shared_data
@pytest.mark.oracle
@pytest.mark.parametrize(
    ("calibrator", "per_class", "error", "n_kept"),
    [
        ("identity", False, 0.0816, 2586),
        ("platt", False, 0.0763, 2586),
        ("platt", "shrink", 0.0762, 2586),
        ("isotonic", False, 0.0766, 2586),  # 2561 in the reference, which cuts between equal scores
        ("isotonic", "shrink", 0.0766, None),
        ("linear", False, 0.0768, 2586),
        ("temperature", False, 0.0821, 2586),
    ],
)
def test_squared_error_on_other_images(
    halves: Any, calibrator: str, per_class: Any, error: float, n_kept: int | None
) -> None:
    """Numbers and counts of the reference code at its operating point (its zero-overlap rule)."""
    cal = DetectionCalibrator(
        calibrator,
        form="published",
        per_class=per_class,
        zero_iou="reference",
        threshold_folds=None,
    )
    cal.fit(*halves["minival"])
    found, truth = halves["minitest"]
    assert round(-cal.score(found, truth), 4) <= error
    if n_kept is not None:
        assert cal.operating_mask(found).sum() == n_kept


@pytest.mark.shared_data
@pytest.mark.oracle
@pytest.mark.parametrize(
    ("calibrator", "n_kept"),
    [("identity", 2179), ("isotonic", 1924), ("platt", 1889), ("temperature", 1835)],
)
def test_counts_at_a_fixed_threshold(halves: Any, calibrator: str, n_kept: int) -> None:
    """Binary targets, 0.3 before and after calibration: the counts of the reference code."""
    cal = DetectionCalibrator(
        calibrator,
        form="published",
        target="tp",
        threshold=0.3,
        per_class=False,
        zero_iou="reference",
    ).fit(*halves["minival"])
    assert cal.operating_mask(halves["minitest"][0]).sum() == n_kept


@pytest.mark.shared_data
def test_shrinking_beats_its_ends(halves: Any) -> None:
    """With maps and thresholds on the same images, and nearly so (both directions) without."""
    both = [(halves["minival"], halves["minitest"]), (halves["minitest"], halves["minival"])]
    for folds, pairs, slack in ((None, both[:1], 0.0), (10, both, 2e-4)):
        error = {}
        for per_class in (False, True, "shrink"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FallbackWarning)
                cals = [
                    DetectionCalibrator("platt", per_class=per_class, threshold_folds=folds)
                    for _ in pairs
                ]
                scores = [
                    cal.fit(*fit).score(*test) for cal, (fit, test) in zip(cals, pairs, strict=True)
                ]
            error[per_class] = -np.mean(scores)
        assert error["shrink"] < error[False] + slack
        assert error["shrink"] < error[True] - 1e-3


@pytest.mark.shared_data
@pytest.mark.parametrize("rule", ["strict", "reference"])
@pytest.mark.parametrize("name", ["platt", "isotonic"])
def test_thresholds_of_other_images_remove_the_optimism(halves: Any, rule: Any, name: str) -> None:
    """On a real detector, whichever half is fitted."""
    for fit, test in (("minival", "minitest"), ("minitest", "minival")):
        error, bias = {}, {}
        found, truth = halves[test]
        for folds in (None, 10):
            cal = DetectionCalibrator(name, zero_iou=rule, threshold_folds=folds)
            cal.fit(*halves[fit])
            error[folds], bias[folds] = -cal.score(found, truth), optimism(cal, found, truth)
        assert error[10] < error[None] - 8e-4
        assert bias[None] > 0.024
        assert abs(bias[10]) < 0.01


def optimism(cal: DetectionCalibrator, found: Detections, truth: GroundTruth) -> float:
    """Return the mean of calibrated score minus overlap at the operating point."""
    kept = found[cal.operating_mask(found)]
    matches = match(kept, truth, iou_threshold=0.0, zero_iou=cal.zero_iou)
    gap = (cal.transform(kept).scores - matches.iou)[matches.valid]
    return float(gap.mean())


@pytest.mark.shared_data
@pytest.mark.oracle
@pytest.mark.parametrize(
    ("features", "nll", "brier"),
    [((), 0.4635, 0.1544), (("cx", "cy"), 0.4650, 0.1550), (("w", "h"), 0.4647, 0.1547)],
)
def test_dependent_logistic_against_netcal(
    halves: Any, features: Any, nll: float, brier: float
) -> None:
    """The convex form is at or below the error of netcal's optimiser (score >= 0.3)."""
    found, truth = halves["minitest"]
    cal = DetectionCalibrator(
        "dependent_logistic", target="tp", threshold=0.3, per_class=False, features=features
    ).fit(*halves["minival"])
    kept = found[found.scores >= 0.3]
    matches = match(kept, truth, iou_threshold=0.5)
    rows = matches.valid
    p, y = cal.transform(kept).scores[rows], matches.is_true_positive[rows]
    assert -np.log(np.where(y, p, 1 - p)).mean() <= nll + 6e-4
    assert ((p - y) ** 2).mean() <= brier + 6e-4


# ---------------------------------------------------------------------- what transform keeps


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("target", ["iou", "tp"])
@pytest.mark.parametrize("per_class", ["shrink", False])
def test_every_registered_calibrator(name: str, target: Any, per_class: Any) -> None:
    """Overlaps as targets work for all of them, whether they accept fractions or not."""
    cal = fitted(name, target=target, per_class=per_class)
    out = cal.transform(DETECTIONS)
    assert len(out) == len(DETECTIONS)
    for field, value in DETECTIONS.rows().items():
        if field != "scores":
            assert getattr(out, field) is value, field
    assert out.scores.min() >= 0
    assert out.scores.max() <= 1
    if name != "identity":
        assert (out.scores != DETECTIONS.scores).any()
        same = fitted(name, target=target, per_class=per_class, threshold_folds=None)
        assert same.score(DETECTIONS, TRUTH) > fitted("identity", target=target).score(
            DETECTIONS, TRUTH
        ), "on the images and detections that it was fitted to"
    if name in MONOTONE:
        order = np.lexsort((DETECTIONS.scores, DETECTIONS.labels))
        rises = np.diff(out.scores[order]) >= -1e-12
        assert rises[np.diff(DETECTIONS.labels[order]) == 0].all()


@pytest.mark.parametrize("name", ["platt", "isotonic", "venn_abers", "linear"])
def test_order_of_rows_images_and_classes_does_not_matter(name: str) -> None:
    rng = np.random.default_rng(1)
    cal = fitted(name)
    rows, boxes = rng.permutation(len(DETECTIONS)), rng.permutation(len(TRUTH))
    shuffled = DetectionCalibrator(name).fit(DETECTIONS[rows], TRUTH[boxes])
    np.testing.assert_allclose(
        shuffled.transform(DETECTIONS).scores, cal.transform(DETECTIONS).scores, rtol=1e-9
    )
    assert shuffled.raw_thresholds_ == cal.raw_thresholds_
    # other ids of the same images and classes; folds are made of images in the order of their ids
    image = np.sort(rng.permutation(1000)[: len(TRUTH.images)])
    names = np.array([0, 40, 30, 20, 10])
    found = DETECTIONS.replaced(
        {"labels": names[DETECTIONS.labels], "image_id": image[DETECTIONS.image_id]}
    )
    truth = GroundTruth(
        TRUTH.boxes, names[TRUTH.labels], image[TRUTH.image_id], images=image[TRUTH.images]
    )
    renamed = DetectionCalibrator(name).fit(found, truth)
    np.testing.assert_allclose(
        renamed.transform(found).scores, cal.transform(DETECTIONS).scores, rtol=1e-9
    )


def test_calibrator_is_an_estimator() -> None:
    cal = DetectionCalibrator(IsotonicCalibrator(centred=True), per_class=False, features=())
    again = clone(cal)
    assert again.get_params()["calibrator__centred"] is True
    assert again.set_params(calibrator="platt", prior_weight=5.0).prior_weight == 5.0
    assert cal.fit(DETECTIONS, TRUTH) is cal
    assert "DetectionCalibrator" in repr(cal)
    same = pickle.loads(pickle.dumps(cal)).transform(DETECTIONS)
    np.testing.assert_array_equal(same.scores, cal.transform(DETECTIONS).scores)
    with pytest.raises(NotFittedError):
        clone(cal).transform(DETECTIONS)
    with pytest.raises(NotFittedError):
        clone(cal).operating_mask(DETECTIONS)


# ---------------------------------------------------------------------- sharing between classes


def test_prior_weight_leads_from_one_end_to_the_other() -> None:
    platt = PlattCalibrator(smooth_input=False)  # else the classes share the smoothing of all
    pooled, own = fitted(platt, per_class=False), fitted(platt, per_class=True)
    weak, strong = fitted(platt, prior_weight=0), fitted(platt, prior_weight=1e9)
    at = pooled.transform(DETECTIONS).scores
    np.testing.assert_allclose(strong.transform(DETECTIONS).scores, at, atol=1e-5)
    np.testing.assert_allclose(
        weak.transform(DETECTIONS).scores, own.transform(DETECTIONS).scores, atol=1e-5
    )
    between = fitted(platt).class_maps_
    for label, cal in between.items():
        x, y = pooled.pooled_map_.intercept_[0], own.class_maps_[label].intercept_[0]
        assert (cal.intercept_[0] - x) * (cal.intercept_[0] - y) <= 1e-3


def test_other_maps_are_mixed_with_the_pooled_one() -> None:
    cal = fitted("venn_abers")
    own = fitted("venn_abers", per_class=True)
    pooled = fitted("venn_abers", per_class=False)
    parts = [one.transform(DETECTIONS).scores for one in (own, pooled)]
    share = np.array([cal.shares_[label] for label in DETECTIONS.labels.tolist()])
    np.testing.assert_allclose(
        cal.transform(DETECTIONS).scores, share * parts[0] + (1 - share) * parts[1], atol=1e-12
    )
    for label, n in cal.class_counts_.items():
        assert cal.shares_[label] == n / (n + 200)
    assert fitted("venn_abers", prior_weight=50.0).shares_[1] == pytest.approx(
        cal.class_counts_[1] / (cal.class_counts_[1] + 50)
    )


def test_isotonic_tables_equal_the_maps_they_were_made_of() -> None:
    for centred in (False, True):
        cal = fitted(IsotonicCalibrator(centred=centred))
        assert cal.score_map_.kind == "curves"
        p = np.concatenate([np.linspace(0, 1, 500), DETECTIONS.scores])
        for label in cal.classes_.tolist():
            own = cal.class_maps_[label].transform(p)[:, 1]
            pooled = cal.pooled_map_.transform(p)[:, 1]
            share = cal.shares_[label]
            np.testing.assert_allclose(
                cal.score_map_(p, np.full(len(p), label)),
                share * own + (1 - share) * pooled,
                atol=1e-12,
            )


@pytest.mark.parametrize("form", ["default", "published"])
@pytest.mark.parametrize("name", ["platt", "temperature", "linear"])
def test_affine_tables_equal_the_maps_they_were_made_of(name: str, form: str) -> None:
    cal = fitted(name, per_class=True, form=form)
    assert cal.score_map_.kind == ("linear" if name == "linear" else "logistic")
    assert ("input_smoothing" in cal.score_map_.tables) == (name != "linear" and form == "default")
    p = np.linspace(0.001, 0.999, 300)
    for label in cal.classes_.tolist():
        np.testing.assert_allclose(
            cal.score_map_(p, np.full(300, label)),
            cal.class_maps_[label].transform(p)[:, 1],
            atol=1e-12,
        )
    everything = np.concatenate([[0.0], p, [1.0]])
    assert np.isfinite(cal.score_map_(everything, np.full(302, 1))).all()


def test_options_without_a_form_are_mixed_rather_than_dropped() -> None:
    smooth = fitted(PlattCalibrator(smooth_targets=True), target="tp")
    assert all(share < 1 for share in smooth.shares_.values())
    assert smooth.score_map_.kind == "any"
    assert fitted(TemperatureCalibrator(smoothing=True)).pooled_map_.smoothing_ > 0


@pytest.mark.parametrize("name", ["platt", "temperature", "linear"])
@pytest.mark.parametrize("per_class", [True, False, "shrink"])
@pytest.mark.filterwarnings("ignore::calib.DegenerateScoresWarning")
def test_scores_that_rank_backwards_give_a_constant(name: str, per_class: Any) -> None:
    found, truth = scene(seed=3)
    found = found.with_scores(1 - found.scores)
    cal = DetectionCalibrator(name, per_class=per_class, threshold=None).fit(found, truth)
    p = np.linspace(0.05, 0.95, 20)
    for label in cal.classes_.tolist():
        mapped = cal.score_map_(p, np.full(20, label))
        assert (np.diff(mapped) >= -1e-12).all()
        assert np.ptp(mapped) < 1e-4


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from(["platt", "temperature", "linear", "isotonic", "venn_abers"]),
    st.sampled_from([True, False, "shrink"]),
    st.integers(2, 40),
)
def test_monotone_and_bounded_for_any_data(
    seed: int, name: str, per_class: Any, n_images: int
) -> None:
    found, truth = scene(n_images, n_classes=3, seed=seed)
    rng = np.random.default_rng(seed)
    found = found.with_scores(np.round(rng.random(len(found)), 2))  # ties, noise, exact 0 and 1
    cal = DetectionCalibrator(name, per_class=per_class, threshold=None, min_class_samples=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cal.fit(found, truth)
    p = np.linspace(0, 1, 101)
    for label in [*cal.classes_.tolist(), 99]:
        mapped = cal.score_map_(p, np.full(101, label))
        assert mapped.min() >= 0
        assert mapped.max() <= 1
        assert (np.diff(mapped) >= -1e-12).all()


# ---------------------------------------------------------------------- names


@pytest.mark.parametrize("name", CALIBRATORS)
def test_a_name_stands_for_what_make_calibrator_builds(name: str) -> None:
    by_name, by_instance = fitted(name), fitted(make_calibrator(name))
    scores = by_name.transform(DETECTIONS).scores
    np.testing.assert_array_equal(scores, by_instance.transform(DETECTIONS).scores)
    assert by_name.raw_thresholds_ == by_instance.raw_thresholds_


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("platt", {"smooth_input": False}),
        ("temperature", {"smooth_input": False}),
        ("isotonic", {"smoothing": False}),
        ("beta", {}),
        ("histogram", {}),
    ],
)
def test_the_published_form_is_an_option(name: str, options: dict[str, Any]) -> None:
    published, same = fitted(name, form="published"), fitted(make_calibrator(name, **options))
    scores = published.transform(DETECTIONS).scores
    np.testing.assert_array_equal(scores, same.transform(DETECTIONS).scores)
    if name in ("platt", "isotonic"):
        assert np.abs(scores - fitted(name).transform(DETECTIONS).scores).max() > 1e-4


def test_an_instance_has_its_own_form() -> None:
    with pytest.raises(ValueError, match=r"form='published' is for calibrators by name.*Platt"):
        fitted(PlattCalibrator(), form="published")


@pytest.mark.parametrize("name", ["platt", "isotonic", "histogram", "linear"])
@pytest.mark.parametrize("folder", ["format_1", "format_2"])
def test_names_in_older_files_stand_for_the_published_forms(
    folder: str, name: str, tmp_path: Path
) -> None:
    files = Path(__file__).parents[2] / "files"
    path = files / folder / f"detection_{name}.json"
    assert json.loads(path.read_text())["parameters"]["calibrator"] == name
    old = load(path)
    assert old.form == "published"
    assert old.calibrator == ("grid_histogram" if name == "histogram" else name)
    wanted = fitted(**old.get_params(deep=False)).transform(DETECTIONS).scores
    again = load(save(old, tmp_path / "cal.json"))
    assert repr(again) == repr(old)
    np.testing.assert_array_equal(again.fit(DETECTIONS, TRUTH).transform(DETECTIONS).scores, wanted)


# ---------------------------------------------------------------------- features


@pytest.mark.parametrize("name", ["grid_histogram", "dependent_logistic", "split_point"])
@pytest.mark.parametrize("features", [("cx", "cy"), ("cx", "cy", "w", "h"), (1, "w"), (0, 1)])
def test_features(name: str, features: Any) -> None:
    cal = fitted(name, features=features)
    out = cal.transform(DETECTIONS).scores
    assert out.min() >= 0
    assert out.max() <= 1
    position = DETECTIONS.position()
    columns = {"cx": position[:, 0], "cy": position[:, 1], "w": position[:, 2], "h": position[:, 3]}
    columns |= {0: DETECTIONS.features[:, 0], 1: DETECTIONS.features[:, 1]}
    expected = cal.pooled_map_.transform(
        np.column_stack([DETECTIONS.scores, *(columns[one] for one in features)])
    )[:, 1]
    pooled = fitted(name, features=features, per_class=False).transform(DETECTIONS).scores
    np.testing.assert_allclose(pooled, expected, atol=1e-12)


def test_features_that_are_missing() -> None:
    cal = DetectionCalibrator("grid_histogram", features=("cx",))
    with pytest.raises(ValueError, match="image_size"):
        cal.fit(DETECTIONS.replaced({"image_size": None}), TRUTH)
    cal = fitted("grid_histogram", features=(1,))
    with pytest.raises(ValueError, match=r"column 1 of Detections\.features; it has none"):
        cal.transform(DETECTIONS.replaced({"features": None}))


# ---------------------------------------------------------------------- thresholds


def test_thresholds_in_two_units() -> None:
    cal = fitted("isotonic")
    mapped = cal.transform(DETECTIONS)
    raw = np.array([cal.raw_thresholds_[label] for label in DETECTIONS.labels.tolist()])
    after = np.array([cal.calibrated_thresholds_[label] for label in DETECTIONS.labels.tolist()])
    expected = (DETECTIONS.scores >= raw) & (mapped.scores >= after)
    np.testing.assert_array_equal(cal.operating_mask(DETECTIONS), expected)
    np.testing.assert_array_equal(cal.operating_mask(DETECTIONS, mapped), expected)
    assert 0 < expected.sum() < len(DETECTIONS)
    with pytest.raises(ValueError, match="calibrated has"):
        cal.operating_mask(DETECTIONS, mapped[:3])


def test_fixed_thresholds() -> None:
    cal = fitted(threshold=0.6)
    assert set(cal.raw_thresholds_.values()) == {0.6}
    assert set(cal.calibrated_thresholds_.values()) == {0.6}
    assert cal.pooled_thresholds_ == (0.6, 0.6)
    kept = DETECTIONS[DETECTIONS.scores >= 0.6]
    assert sum(cal.class_counts_.values()) == len(kept)
    one = fitted(threshold={1: 0.6, 77: 0.2})
    assert one.raw_thresholds_ == {1: 0.6, 2: 0.0, 3: 0.0, 4: 0.0, 77: 0.2}
    assert fitted(threshold=None).operating_mask(DETECTIONS).all()


@pytest.mark.parametrize("threshold", [None, 0.5, {1: 0.4}])
def test_folds_matter_for_searched_thresholds_alone(threshold: Any) -> None:
    a, b = (fitted(threshold=threshold, threshold_folds=folds) for folds in (None, 10))
    np.testing.assert_array_equal(a.transform(DETECTIONS).scores, b.transform(DETECTIONS).scores)
    assert a.class_counts_ == b.class_counts_


def test_one_image_has_no_others() -> None:
    one = DETECTIONS[DETECTIONS.image_id == 5]
    truth = TRUTH.in_images([5])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        a, b = (DetectionCalibrator(threshold_folds=k).fit(one, truth) for k in (None, 10))
    np.testing.assert_array_equal(a.transform(one).scores, b.transform(one).scores)
    assert a.class_counts_ == b.class_counts_


def test_optimism_of_many_small_classes() -> None:
    """Thirty classes of twenty boxes: one set of images for thresholds and maps flatters itself."""
    bias = {None: [], 10: []}
    for seed in range(6):
        fit, test = scene(80, n_classes=30, seed=seed), scene(300, n_classes=30, seed=100 + seed)
        for folds, values in bias.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NoOptimalThresholdWarning)
                cal = DetectionCalibrator(threshold_folds=folds).fit(*fit)
            values.append(optimism(cal, *test))
    assert np.mean(bias[None]) > 0.02
    assert abs(np.mean(bias[10])) < 0.5 * np.mean(bias[None])


def test_rows_below_the_threshold_do_not_change_the_map_but_are_calibrated() -> None:
    cal = fitted(threshold=0.6)
    kept = DETECTIONS[DETECTIONS.scores >= 0.6]
    same = DetectionCalibrator(threshold=None).fit(kept, TRUTH)
    np.testing.assert_array_equal(
        same.transform(DETECTIONS).scores, cal.transform(DETECTIONS).scores
    )


def test_rows_beyond_the_limit_are_not_fitted_but_calibrated() -> None:
    cal = fitted(max_detections=1, threshold=None)
    groups = {(i, c) for i, c in zip(DETECTIONS.image_id, DETECTIONS.labels, strict=True)}
    assert sum(cal.class_counts_.values()) == len(groups) < len(DETECTIONS)
    assert len(cal.transform(DETECTIONS)) == len(DETECTIONS)
    everything = fitted(max_detections=None, threshold=None)
    assert sum(everything.class_counts_.values()) == len(DETECTIONS)


@pytest.mark.parametrize("matching", ["coco", "any", "hungarian"])
@pytest.mark.parametrize("zero_iou", ["strict", "reference"])
def test_matching_modes(matching: Any, zero_iou: Any) -> None:
    cal = fitted(matching=matching, zero_iou=zero_iou)
    assert cal.score(DETECTIONS, TRUTH) > fitted(
        "identity", matching=matching, zero_iou=zero_iou
    ).score(DETECTIONS, TRUTH)


# ---------------------------------------------------------------------- edge cases


def test_no_detections_at_all() -> None:
    nothing = DETECTIONS[:0]
    with (
        pytest.warns(FallbackWarning, match="no calibration map can be fitted"),
        pytest.warns(NoOptimalThresholdWarning, match="4 of 4 classes"),
    ):
        cal = DetectionCalibrator().fit(nothing, TRUTH)
    assert len(cal.transform(nothing)) == 0
    np.testing.assert_array_equal(cal.transform(DETECTIONS).scores, DETECTIONS.scores)
    assert cal.operating_mask(DETECTIONS).all()
    assert np.isnan(cal.score(nothing, TRUTH))


def test_nothing_at_all() -> None:
    with pytest.warns(FallbackWarning, match="no calibration map"):
        cal = DetectionCalibrator().fit(DETECTIONS[:0], TRUTH[:0])
    with pytest.warns(FallbackWarning, match="4 classes were not seen"):
        out = cal.transform(DETECTIONS)
    np.testing.assert_array_equal(out.scores, DETECTIONS.scores)


def test_all_false_positives() -> None:
    with pytest.warns(FallbackWarning, match="all targets are equal"):
        cal = DetectionCalibrator(threshold=None, classes_without_gt="fp").fit(
            DETECTIONS, TRUTH[:0]
        )
    np.testing.assert_array_equal(cal.transform(DETECTIONS).scores, DETECTIONS.scores)


def test_images_without_detections_or_boxes_change_nothing() -> None:
    found, truth = scene(empty=0)
    more = GroundTruth(
        truth.boxes, truth.labels, truth.image_id, images=np.arange(1000), class_names={1: "one"}
    )
    a, b = (DetectionCalibrator().fit(found, one) for one in (truth, more))
    np.testing.assert_array_equal(a.transform(found).scores, b.transform(found).scores)


def test_a_class_without_boxes_is_left_out_or_false() -> None:
    extra = DETECTIONS[:40].replaced({"labels": np.full(40, 9)})
    found = Detections.concat([DETECTIONS, extra])
    with pytest.warns(NoOptimalThresholdWarning, match=r"1 of 5 classes .*\[9\]"):
        skipped = DetectionCalibrator().fit(found, TRUTH)
    assert skipped.class_counts_[9] == 0
    assert skipped.fallbacks_ == {9: "no annotated box"}
    assert skipped.threshold_fallbacks_ == (9,)
    assert skipped.raw_thresholds_[9] == skipped.pooled_thresholds_[0] > 0
    np.testing.assert_array_equal(
        skipped.transform(DETECTIONS).scores, fitted().transform(DETECTIONS).scores
    )
    with pytest.warns(NoOptimalThresholdWarning):
        counted = DetectionCalibrator(classes_without_gt="fp").fit(found, TRUTH)
    assert counted.class_counts_[9] > 0
    kept = DETECTIONS[skipped.operating_mask(DETECTIONS)]
    assert counted.transform(kept).scores.mean() < skipped.transform(kept).scores.mean()


def test_a_class_with_boxes_but_no_detection() -> None:
    truth = GroundTruth.concat(
        [TRUTH, GroundTruth([[0, 0, 9, 9]], [8], [900], images=[900], sizes=[[200.0, 200.0]])]
    )
    with pytest.warns(NoOptimalThresholdWarning, match=r"\[8\]"):
        cal = DetectionCalibrator().fit(DETECTIONS, truth)
    assert cal.fallbacks_ == {8: "no detection"}


def test_small_and_uniform_classes_take_the_pooled_map() -> None:
    rows = np.flatnonzero(DETECTIONS.labels == 2)[:10]
    small = DETECTIONS[np.sort(np.concatenate([np.flatnonzero(DETECTIONS.labels != 2), rows]))]
    with pytest.warns(FallbackWarning, match=r"1 of 4 classes take the pooled map.*class 2 \("):
        cal = DetectionCalibrator(per_class=True, threshold=None).fit(small, TRUTH)
    assert cal.fallbacks_ == {2: "10 detections, min_class_samples=20"}
    pooled = cal.pooled_map_.transform(DETECTIONS.scores)[:, 1]
    two = DETECTIONS.labels == 2
    np.testing.assert_allclose(cal.transform(DETECTIONS).scores[two], pooled[two], atol=1e-12)
    # the same class with boxes that all miss
    missed = DETECTIONS.replaced(
        {"boxes": np.where(two[:, None], [0.0, 0.0, 1.0, 1.0], DETECTIONS.boxes)}
    )
    cal = DetectionCalibrator(threshold=None).fit(missed, TRUTH)  # no warning: that is shrinking
    assert cal.fallbacks_ == {2: "all targets equal 0"}


def test_ignored_boxes_leave_their_detections_out() -> None:
    ignore = np.zeros(len(TRUTH), dtype=bool)
    ignore[::2] = True
    crowd = TRUTH.replaced({"ignore": ignore})
    cal = DetectionCalibrator(threshold=None).fit(DETECTIONS, crowd)
    assert sum(cal.class_counts_.values()) < len(DETECTIONS)


def test_unseen_classes_take_the_pooled_map_and_warn_once() -> None:
    cal = fitted()
    new = DETECTIONS.replaced({"labels": np.full(len(DETECTIONS), 50)})
    with pytest.warns(FallbackWarning, match=r"1 classes were not seen at fit \(\[50\]\)"):
        first = cal.transform(new)
    second = cal.transform(new)  # an error if it warned again
    expected = cal.pooled_map_.transform(DETECTIONS.scores)[:, 1]
    np.testing.assert_allclose(first.scores, expected, atol=1e-12)
    np.testing.assert_array_equal(second.scores, first.scores)
    raw, after = cal.pooled_thresholds_
    np.testing.assert_array_equal(
        cal.operating_mask(new), (new.scores >= raw) & (first.scores >= after)
    )


def test_scores_of_exactly_zero_and_one() -> None:
    scores = DETECTIONS.scores.copy()
    scores[:5], scores[5:10] = 0.0, 1.0
    for name in ("platt", "temperature", "venn_abers", "isotonic"):
        cal = DetectionCalibrator(name, threshold=None).fit(DETECTIONS.with_scores(scores), TRUTH)
        out = cal.transform(DETECTIONS.with_scores(scores)).scores
        assert np.isfinite(out).all()
        near = DETECTIONS.with_scores(np.clip(scores, 1e-7, 1 - 1e-7))
        np.testing.assert_allclose(cal.transform(near).scores, out, atol=1e-9)


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"calibrator": "plat"}, "known names"),
        ({"calibrator": object()}, "instance of BaseCalibrator"),
        ({"target": "giou"}, "target"),
        ({"per_class": "yes"}, "per_class"),
        ({"prior_weight": -1}, "prior_weight"),
        ({"prior_weight": "weak"}, "prior_weight"),
        ({"features": "cx"}, "features must be a sequence"),
        ({"features": ("x",), "calibrator": "grid_histogram"}, "features must be names"),
        ({"features": (-1,), "calibrator": "grid_histogram"}, "features must be names"),
        ({"features": ("cx",)}, "reads scores alone"),
        ({"threshold": "best"}, "threshold"),
        ({"threshold": {1: "a"}}, "threshold"),
        ({"iou_threshold": 1.0}, "iou_threshold"),
        ({"min_class_samples": 0}, "min_class_samples"),
        ({"classes_without_gt": "drop"}, "classes_without_gt"),
        ({"zero_iou": "no"}, "zero_iou"),
        ({"matching": "best"}, "matching"),
        ({"max_detections": 0}, "max_detections"),
        ({"threshold_folds": 1}, "threshold_folds"),
        ({"threshold_folds": 2.5}, "threshold_folds"),
        ({"threshold_folds": "many"}, "threshold_folds"),
        ({"threshold_folds": 0, "threshold": 0.3}, "threshold_folds"),
    ],
)
def test_bad_options(parameters: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        DetectionCalibrator(**parameters).fit(DETECTIONS, TRUTH)


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="detections must be a Detections table"):
        DetectionCalibrator().fit(TRUTH, DETECTIONS)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="ground_truth must be a GroundTruth table"):
        DetectionCalibrator().fit(DETECTIONS, DETECTIONS)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="image"):
        DetectionCalibrator().fit(DETECTIONS, TRUTH.in_images([0, 1]))


# ---------------------------------------------------------------------- files and modules


def jsonable() -> list[str]:
    return [name for name in MAPS if name not in ("split_point",)]


CASES: list[dict[str, Any]] = [
    *({"calibrator": name} for name in ("platt", "isotonic", "venn_abers", "linear", "identity")),
    {"calibrator": "grid_histogram", "features": ("cx", 1), "per_class": True},
    {"calibrator": "dependent_logistic", "features": ("w", "h"), "threshold": 0.4},
    {"calibrator": IsotonicCalibrator(centred=True), "threshold": {1: 0.5}, "target": "tp"},
    {"calibrator": LinearCalibrator(), "per_class": False, "threshold": None},
    {"threshold_folds": None},
    {"threshold_folds": 3},
    {"form": "published"},
]


@pytest.mark.parametrize("parameters", CASES, ids=str)
def test_round_trip_is_exact(parameters: dict[str, Any], tmp_path: Path) -> None:
    cal = fitted(**parameters)
    same = load(save(cal, tmp_path / "cal.json"))
    assert isinstance(same, DetectionCalibrator)
    assert same.transform(DETECTIONS).scores.tobytes() == cal.transform(DETECTIONS).scores.tobytes()
    for name in (
        "raw_thresholds_",
        "calibrated_thresholds_",
        "pooled_thresholds_",
        "threshold_fallbacks_",
        "class_counts_",
        "shares_",
        "fallbacks_",
    ):
        assert getattr(same, name) == getattr(cal, name), name
    np.testing.assert_array_equal(same.classes_, cal.classes_)
    assert repr(same) == repr(cal)
    assert save(same, tmp_path / "b.json").read_text() == (tmp_path / "cal.json").read_text()
    assert same.fit(DETECTIONS, TRUTH).raw_thresholds_ == cal.raw_thresholds_
    other = load(tmp_path / "cal.json")
    with pytest.warns(FallbackWarning):
        other.transform(DETECTIONS.replaced({"labels": np.full(len(DETECTIONS), 50)}))


def test_what_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(NotFittedError):
        save(DetectionCalibrator(), tmp_path / "x.json")
    with pytest.raises(TypeError, match="inner model"):
        save(fitted("split_point"), tmp_path / "x.json")
    assert not (tmp_path / "x.json").exists()


@pytest.mark.parametrize(
    "path",
    [
        ("format",),
        ("parameters",),
        ("parameters", "calibrator"),
        ("parameters", "target"),
        ("parameters", "features"),
        ("parameters", "matching"),
        ("parameters", "threshold_folds"),
        ("classes",),
        ("class_counts",),
        ("raw_thresholds",),
        ("calibrated_thresholds",),
        ("pooled_thresholds",),
        ("fallbacks",),
        ("threshold_fallbacks",),
        ("pooled_map",),
        ("pooled_map", "calibrator"),
        ("pooled_map", "fitted"),
        ("class_maps",),
        ("class_maps", 0, "class"),
        ("class_maps", 0, "share"),
        ("class_maps", 0, "map"),
    ],
    ids=str,
)
@pytest.mark.parametrize("value", ["os.system", -7, [1, 2, 3], {"a": 1}, [["a", "b"]]], ids=str)
def test_hostile_files_are_refused(path: tuple[Any, ...], value: Any, tmp_path: Path) -> None:
    document = json.loads(save(fitted(), tmp_path / "cal.json").read_text())
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    if path == ("threshold_fallbacks",) and value == [1, 2, 3]:
        return  # which are classes
    inner[path[-1]] = copy.deepcopy(value)
    (tmp_path / "bad.json").write_text(json.dumps(document))
    with pytest.raises(ValueError, match=r"bad\.json is not a usable calibrator file"):
        load(tmp_path / "bad.json")


@pytest.mark.parametrize("name", jsonable())
@pytest.mark.parametrize("per_class", ["shrink", False])
def test_torch_module_equals_transform(name: str, per_class: Any) -> None:
    torch = pytest.importorskip("torch")
    from calib.export import to_torch

    with_features = "grid_histogram", "dependent_logistic"
    features = ("cx", "cy") if name in with_features else ()
    cal = fitted(name, per_class=per_class, features=features)
    module = to_torch(cal)
    labels = DETECTIONS.labels.copy()
    labels[::7] = 99
    found = DETECTIONS.replaced({"labels": labels})
    with pytest.warns(FallbackWarning):
        expected = cal.transform(found).scores
    args = [torch.tensor(found.scores), torch.tensor(labels)]
    if features:
        args.append(torch.tensor(found.position()[:, :2]))
    out = module(*args)
    assert out.dtype == torch.float64
    np.testing.assert_allclose(out.numpy(), expected, atol=1e-9)
    half = module(args[0].float(), *args[1:])
    assert half.dtype == torch.float32
    again = pickle.loads(pickle.dumps(module))
    np.testing.assert_array_equal(again(*args).numpy(), out.numpy())
    assert f"{len(cal.classes_)} classes" in repr(module)


@pytest.mark.parametrize("name", jsonable())
@pytest.mark.parametrize("per_class", ["shrink", True, False])
@pytest.mark.filterwarnings("ignore::calib.warnings.FallbackWarning")
def test_onnx_file_equals_transform(name: str, per_class: Any) -> None:
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    from calib.export import to_onnx

    with_features = "grid_histogram", "dependent_logistic"
    features = ("cx", "cy") if name in with_features else ()
    cal = fitted(name, per_class=per_class, features=features)
    labels = DETECTIONS.labels.astype(np.int64)
    labels[::7] = 99
    scores = DETECTIONS.scores.astype(np.float32)
    scores[:4] = 0.0, 1.0, 0.5, np.float32(1e-30)
    found = DETECTIONS.replaced({"labels": labels, "scores": scores.astype(np.float64)})
    expected = cal.transform(found).scores
    model = to_onnx(cal)
    session = runtime.InferenceSession(model.SerializeToString())
    given = {"scores": scores, "labels": labels}
    if features:
        given["features"] = found.position()[:, :2].astype(np.float32)
    (got,) = session.run(["probabilities"], given)
    assert got.dtype == np.float32
    assert got.shape == scores.shape
    near = np.abs(got - expected) < 1e-6
    # features that float32 rounds may lie in the next cell of a grid
    assert near.mean() > 0.98 if name == "grid_histogram" else near.all()
    one_row = {key: value[:1] for key, value in given.items()}
    np.testing.assert_array_equal(session.run(None, one_row)[0], got[:1])


def test_torch_module_can_be_exported() -> None:
    torch = pytest.importorskip("torch")
    from calib.export import to_torch

    module = to_torch(fitted("isotonic"))
    scores, labels = torch.tensor(DETECTIONS.scores[:50]), torch.tensor(DETECTIONS.labels[:50])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(module, (scores, labels))
    np.testing.assert_allclose(program.module()(scores, labels), module(scores, labels))
    with pytest.raises(NotFittedError):
        to_torch(DetectionCalibrator())
