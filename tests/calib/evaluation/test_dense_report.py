"""Reports on pixels and tokens: numbers of the flattened arrays, intervals and floors by image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import softmax

from calib.evaluation import (
    brier_score,
    dense_report,
    expected_calibration_error,
    log_loss,
)


def images(n_images: int = 12, n_classes: int = 3, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    z = 1.5 * rng.normal(size=(n_images, n_classes, 14, 11))
    return (z + rng.gumbel(size=z.shape)).argmax(axis=1), softmax(2 * z, axis=1)


def assert_flat(report: Any, y: Any, p: Any, weight: Any = None) -> None:
    got = {key: interval.value for key, interval in report.measures.items()}
    assert got["expected_calibration_error"] == pytest.approx(
        expected_calibration_error(y, p, sample_weight=weight), abs=1e-12
    )
    assert got["log_loss"] == pytest.approx(log_loss(y, p, sample_weight=weight), abs=1e-12)
    assert got["brier_score"] == pytest.approx(brier_score(y, p, sample_weight=weight), abs=1e-12)


def test_values_are_those_of_the_flattened_arrays() -> None:
    y, p = images()
    weight = np.random.default_rng(1).random(y.shape)
    flat = np.moveaxis(p, 1, -1).reshape(-1, 3)
    assert_flat(dense_report(y, p), y.ravel(), flat)
    assert_flat(dense_report(y, p, sample_weight=weight), y.ravel(), flat, weight.ravel())
    last = dense_report(y, np.moveaxis(p, 1, -1), class_axis=-1)
    assert last.measures["log_loss"].value == pytest.approx(log_loss(y.ravel(), flat), abs=1e-12)


@pytest.mark.parametrize("n_columns", [1, 2])
def test_two_classes_are_measured_as_elsewhere(n_columns: int) -> None:
    y, p = images(n_classes=2)
    shown = p[:, 1] if n_columns == 1 else p
    report = dense_report(y, shown, class_axis=None if n_columns == 1 else 1)
    assert_flat(report, y.ravel(), p[:, 1].ravel())


def test_batches_give_the_same_report() -> None:
    y, p = images()
    whole = dense_report(y, p)
    parts = dense_report((y[i : i + 5], p[i : i + 5]) for i in range(0, 12, 5))
    assert parts.to_dict() == whole.to_dict()
    small = images(2)
    mixed = dense_report([(y, p), (small[0][:, :5], small[1][:, :, :5], np.ones((2, 5, 11)))])
    assert (mixed.n_images, mixed.n_cells) == (14, 12 * 154 + 2 * 55)


def test_ignored_cells_enter_no_number() -> None:
    y, p = images()
    hidden = np.random.default_rng(1).random(y.shape) < 0.4
    hidden[3] = True
    p = np.where(hidden[:, None], np.nan, p)
    report = dense_report(np.where(hidden, 255, y), p, ignore_index=255)
    flat = np.moveaxis(p, 1, -1)[~hidden]
    assert_flat(report, y[~hidden], flat)
    assert (report.n_images, report.n_empty) == (11, 1)


def test_every_image_has_its_numbers() -> None:
    pytest.importorskip("pandas")
    y, p = images()
    y[3] = 255
    frame = dense_report(y, p, ignore_index=255).per_image
    flat = np.moveaxis(p[5], 0, -1).reshape(-1, 3)
    error = expected_calibration_error(y[5].ravel(), flat)
    assert frame.loc[5, "expected_calibration_error"] == pytest.approx(error, abs=1e-12)
    assert frame.loc[3, "n_cells"] == 0
    assert np.isnan(frame.loc[3, "log_loss"])


def test_intervals_are_by_image() -> None:
    rng = np.random.default_rng(0)
    shift = rng.normal(size=(40, 1, 1))  # of all cells of an image
    s = rng.normal(size=(40, 30, 30))
    p = 1 / (1 + np.exp(-s))
    y = rng.random(s.shape) < 1 / (1 + np.exp(-s - shift))
    report = dense_report(y, p, class_axis=None)
    gap = report.measures["confidence_gap"]
    by_image = (p - y).mean(axis=(1, 2)).std() / np.sqrt(40)
    assert gap.standard_deviation == pytest.approx(by_image, rel=0.15)
    assert not report.is_beyond_chance


@pytest.mark.slow
def test_floors_hold_their_level() -> None:
    rng = np.random.default_rng(0)
    beyond = 0
    for seed in range(200):
        p = rng.random((40, 8, 8))
        common = rng.random((40, 1, 1))
        y = np.where(rng.random((40, 8, 8)) < 0.3, common, rng.random(p.shape)) < p
        report = dense_report(y, p, class_axis=None, n_resamples=200, random_state=seed)
        beyond += report.is_beyond_chance
    assert beyond <= 22  # of a nominal 10


def test_few_images_are_told_and_errors_beyond_chance() -> None:
    y, p = images(6)
    report = dense_report(y, p)
    assert report.few_images
    assert "Only 6 images" in str(report)
    sure = dense_report(*images(60))
    assert sure.is_beyond_chance
    assert str(sure).startswith("The probabilities are off")


def test_the_report_is_a_page_and_a_table(tmp_path: Path) -> None:
    report = dense_report(*images())
    report.to_html(tmp_path / "report.html")
    assert "by image" in (tmp_path / "report.html").read_text()
    assert "tabular" in report.to_latex()


def flattened(p: Any) -> Any:
    return 0.7 * p + 0.1


def test_models_stand_side_by_side(tmp_path: Path) -> None:
    y, p = images(30)
    report = dense_report(y, {"raw": p, "flat": flattened(p)})
    assert report.reference == "raw"
    for name, proba in {"raw": p, "flat": flattened(p)}.items():  # as alone
        alone = dense_report(y, proba).models["model"]
        assert report.models[name].measures == alone.measures
        assert report.models[name].is_beyond_chance == alone.is_beyond_chance
    off, _, apart = report.findings
    assert off == report.headline
    assert off.startswith("raw is off: ECE")
    assert apart.startswith("flat has a lower log loss than raw: -0.0")
    assert str(report).startswith(off)
    assert "Changes against raw" in report.details()
    report.to_html(tmp_path / "report.html")
    assert "Changes against raw" in (tmp_path / "report.html").read_text()
    assert "tabular" in report.to_latex()
    assert json.loads(json.dumps(report.to_dict()))["models"].keys() == {"raw", "flat"}
    with pytest.raises(AttributeError, match=r"read report.models\['raw'\].measures"):
        _ = report.measures


def test_differences_are_paired_by_image() -> None:
    y, p = images(30)
    models = {"raw": p, "flat": flattened(p)}
    apart = dense_report(y, models).differences["flat"]
    by_image = [dense_report(y, proba).models["model"].sums for proba in models.values()]
    loss = (by_image[1][:, 1] - by_image[0][:, 1]) / by_image[0][:, 0]
    assert apart["log_loss"].value == pytest.approx(loss.mean(), abs=1e-12)
    expected = loss.std() / np.sqrt(len(loss))
    assert apart["log_loss"].standard_deviation == pytest.approx(expected, rel=0.15)
    whole = dense_report(y, models, reference="flat")
    assert whole.differences["raw"]["accuracy"].value == -apart["accuracy"].value == 0
    same = dense_report(y, {"one": p, "two": p}).compare("one", "two")
    assert all((found.low, found.high) == (0, 0) for found in same.values())
    with pytest.raises(ValueError, match="model must be"):
        whole.compare("other", "raw")


def test_models_have_a_frame_and_their_images() -> None:
    pytest.importorskip("pandas")
    y, p = images(12)
    report = dense_report(y, {"raw": p, "flat": flattened(p)})
    frame = report.to_frame().set_index(["model", "measure"])
    assert len(frame) == 10
    apart = report.differences["flat"]["brier_score"]
    assert frame.loc[("flat", "brier_score"), "difference_low"] == apart.low
    assert np.isnan(frame.loc[("raw", "brier_score"), "difference"])
    assert len(report.models["flat"].per_image) == 12
    assert len(dense_report(y, p).to_frame()) == 5


def test_batches_hold_models() -> None:
    y, p = images()
    models = {"raw": p, "flat": flattened(p)}
    parts = (
        (y[i : i + 5], {name: proba[i : i + 5] for name, proba in models.items()})
        for i in range(0, 12, 5)
    )
    assert dense_report(parts).to_dict() == dense_report(y, models).to_dict()
    with pytest.raises(ValueError, match=r"batch 1 has the models \['raw'\], those before have"):
        dense_report([(y, models), (y, {"raw": p})])
    with pytest.raises(ValueError, match="empty dict"):
        dense_report(y, {})
    with pytest.raises(ValueError, match="non-empty strings; got 3"):
        dense_report(y, {3: p})
    with pytest.raises(ValueError, match="reference must be"):
        dense_report(y, models, reference="best")
    with pytest.raises(ValueError, match=r"y_true must have the shape of y_prob\['flat'\]"):
        dense_report(y, {"raw": p, "flat": p[:, :, :4]})


def test_bad_input_is_refused() -> None:
    y, p = images()
    with pytest.raises(ValueError, match=r"in image 2, .* do not sum to 1"):
        dense_report(y, np.concatenate([p[:2], 0.5 * p[2:]]))
    with pytest.raises(ValueError, match="y_true must have the shape of y_prob"):
        dense_report(y[:, :5], p)
    with pytest.raises(ValueError, match="no labelled cell"):
        dense_report(np.full(y.shape, -1), p, ignore_index=-1)
    with pytest.raises(ValueError, match="soft targets"):
        dense_report(p, p)
    with pytest.raises(ValueError, match=r"y_true must hold labels; got 0\.5"):
        dense_report(np.full(y.shape, 0.5), p[:, 0], class_axis=None)
    with pytest.raises(ValueError, match="must yield"):
        dense_report([y])
    with pytest.raises(ValueError, match="sample_weight belongs into the batches"):
        dense_report([(y, p)], sample_weight=np.ones(y.shape))
    with pytest.raises(ValueError, match="batch 1 has 2 classes, those before have 3"):
        dense_report([(y, p), images(n_classes=2)])


def test_a_smaller_confidence_level_makes_narrower_intervals() -> None:
    y, p = images(24)
    wide, narrow = (dense_report(y, p, confidence_level=level) for level in (0.95, 0.5))
    for key, interval in narrow.measures.items():
        other = wide.measures[key]
        assert interval.confidence_level == 0.5
        assert interval.high - interval.low < other.high - other.low
