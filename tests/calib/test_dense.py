"""Images and sequences: shapes are kept, cells are drawn fairly, and every bad shape is refused."""

from __future__ import annotations

import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from calib import DenseCalibrator, TemperatureCalibrator, load, make_calibrator, save

SMOOTH = ["temperature", "vector_scaling", "matrix_scaling", "platt"]


def images(
    n_images: int = 5, n_classes: int = 3, size: tuple[int, ...] = (12, 9), seed: int = 0
) -> tuple[Any, Any]:
    """Return logits twice too large and labels."""
    rng = np.random.default_rng(seed)
    z = 1.5 * rng.normal(size=(n_images, n_classes, *size))
    return 2.0 * z, (z + rng.gumbel(size=z.shape)).argmax(axis=1)


def flat(x: Any, axis: int = 1) -> Any:
    return np.moveaxis(x, axis, -1).reshape(-1, x.shape[axis])


@pytest.mark.parametrize("name", [*SMOOTH, "isotonic"])
def test_with_every_cell_fit_and_map_are_those_of_the_flattened_array(name: str) -> None:
    x, y = images()
    dense = DenseCalibrator(name, samples_per_image=None).fit(x, y)
    plain = make_calibrator(name, input="logits").fit(flat(x), y.ravel())
    for key, value in plain.fitted_map.arrays.items():
        np.testing.assert_array_equal(dense.calibrator_.fitted_map.arrays[key], value)
    out = dense.transform(x)
    assert out.shape == x.shape
    tolerance = 1e-6 if name in SMOOTH else 1e-4
    np.testing.assert_allclose(flat(out), plain.transform(flat(x)), atol=tolerance)


@pytest.mark.parametrize("axis", [1, 2, 3, -1, -2, -3])
def test_any_axis_gives_the_same_map(axis: int) -> None:
    x, y = images()
    moved = np.moveaxis(x, 1, axis)
    first = DenseCalibrator("temperature").fit(x, y)
    other = DenseCalibrator("temperature", class_axis=axis).fit(moved, y)
    assert other.calibrator_.temperature_ == first.calibrator_.temperature_
    out = other.transform(moved)
    np.testing.assert_allclose(np.moveaxis(out, axis, 1), first.transform(x), atol=1e-12)


def test_tokens() -> None:
    x, y = images(40, 7, (11,))
    tokens = np.ascontiguousarray(np.moveaxis(x, 1, 2))
    cal = DenseCalibrator("temperature", class_axis=-1).fit(tokens, y)
    np.testing.assert_allclose(cal.transform(tokens).sum(axis=2), 1.0)
    assert cal.n_sampled_ == 40 * 11


@pytest.mark.parametrize("single", [False, True])
def test_one_score_a_cell_gives_the_probability_of_the_positive_class(single: bool) -> None:
    rng = np.random.default_rng(0)
    s = rng.normal(size=(4, 20, 20))
    y = rng.random(s.shape) < 1 / (1 + np.exp(-s))
    x = 3 * (s[:, None] if single else s)
    cal = DenseCalibrator("platt", class_axis=1 if single else None, samples_per_image=None)
    out = cal.fit(x, y).transform(x)
    plain = make_calibrator("platt", input="logits").fit(x.reshape(-1, 1), y.ravel().astype(int))
    assert out.shape == x.shape
    np.testing.assert_allclose(out.ravel(), plain.transform(x.reshape(-1, 1))[:, 1], atol=1e-12)


def test_fractions_are_targets_of_one_score_a_cell() -> None:
    rng = np.random.default_rng(0)
    s = rng.normal(size=(4, 30, 30))
    cal = DenseCalibrator("platt", class_axis=None).fit(2 * s, 1 / (1 + np.exp(-s)))
    np.testing.assert_allclose(cal.transform(2 * s), 1 / (1 + np.exp(-s)), atol=1e-3)


@pytest.mark.parametrize("code", [-100, -1, 255])
def test_codes_and_weights_of_ignored_cells_agree(code: int) -> None:
    x, y = images()
    hidden = np.random.default_rng(1).random(y.shape) < 0.3
    x = np.where(hidden[:, None], np.nan, x)
    by_code = DenseCalibrator("temperature", ignore_index=code, samples_per_image=30)
    by_code.fit(x, np.where(hidden, code, y))
    by_weight = DenseCalibrator("temperature", samples_per_image=30)
    by_weight.fit(x, y, (~hidden).astype(float))
    assert by_code.calibrator_.temperature_ == pytest.approx(
        by_weight.calibrator_.temperature_, abs=1e-9
    )
    assert by_code.n_ignored_ == by_weight.n_ignored_ == hidden.sum()


def test_drawn_cells_count_for_the_cells_that_they_stand_for() -> None:
    rng = np.random.default_rng(0)
    s = rng.normal(size=(2, 200, 200))
    p = 1 / (1 + np.exp(-s))
    y = (rng.random(s.shape) < p).astype(int)
    y[1] = 1 - y[1]  # the second image says the opposite, on few cells
    y[1, :, 20:] = 255
    cal = DenseCalibrator("platt", class_axis=None, ignore_index=255, samples_per_image=3000)
    every = clone(cal).set_params(samples_per_image=None).fit(s, y)
    mean = cal.fit(s, y).transform(s).mean()
    assert cal.n_sampled_ == 6000
    np.testing.assert_allclose(cal.transform(s), every.transform(s), atol=0.03)
    assert mean == pytest.approx(every.transform(s).mean(), abs=0.01)


def test_draws_are_of_the_image_and_repeat() -> None:
    x, y = images(6, 3, (40, 40))
    cal = DenseCalibrator("temperature", samples_per_image=100)
    first = cal.fit(x, y).calibrator_.temperature_
    assert cal.fit(x, y).calibrator_.temperature_ == first
    batches = [(x[:1], y[:1]), (x[1:4], y[1:4]), (x[4:], y[4:])]
    assert cal.fit_batches(iter(batches)).calibrator_.temperature_ == first
    assert (cal.n_images_, cal.n_sampled_) == (6, 600)
    assert cal.set_params(random_state=1).fit(x, y).calibrator_.temperature_ != first


@pytest.mark.parametrize("ignore_index", [None, 255])
@pytest.mark.parametrize("samples", [None, 2000])
def test_a_fit_holds_drawn_scores_once(samples: int | None, ignore_index: int | None) -> None:
    x, y = images(12, 19, (64, 64))
    if ignore_index is not None:
        y[:, 1::2] = ignore_index
    cal = DenseCalibrator("temperature", samples_per_image=samples, ignore_index=ignore_index)
    cal.fit(x[:2], y[:2])  # imports
    tracemalloc.start()
    cal.fit(x, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    drawn = cal.n_sampled_ * 19 * 8
    assert peak < 1.3 * drawn + 2e6


def test_batches_of_different_sizes() -> None:
    small, large = images(2, 3, (5, 8)), images(3, 3, (30, 20), seed=1)
    cal = DenseCalibrator("temperature").fit_batches([small, (*large, np.ones(large[1].shape))])
    assert (cal.n_images_, cal.n_sampled_) == (5, 2 * 40 + 3 * 600)
    assert cal.transform(small[0]).shape == small[0].shape
    with pytest.raises(ValueError, match="batch 1 has 4 classes, those before have 3"):
        cal.fit_batches([small, images(2, 4)])
    with pytest.raises(ValueError, match="batches is empty"):
        cal.fit_batches([])
    with pytest.raises(ValueError, match=r"batches must yield \(X, y\).*batch 0"):
        cal.fit_batches([small[0]])


def test_images_without_labelled_cells_add_nothing() -> None:
    x, y = images(6)
    y[2] = 255
    cal = DenseCalibrator("temperature", ignore_index=255).fit(x, y)
    rest = DenseCalibrator("temperature").fit(np.delete(x, 2, 0), np.delete(y, 2, 0))
    assert cal.calibrator_.temperature_ == rest.calibrator_.temperature_
    assert (cal.n_images_, cal.n_ignored_) == (6, 108)


def test_memory_maps_are_read_and_written(tmp_path: Path) -> None:
    x, y = images(5, 3, (64, 64))
    stored = np.memmap(tmp_path / "x", "float32", "w+", shape=x.shape)
    stored[:] = x
    out = np.memmap(tmp_path / "out", "float32", "w+", shape=x.shape)
    cal = DenseCalibrator("temperature").fit(stored, y)
    assert cal.transform(stored, out=out) is out
    np.testing.assert_array_equal(out, cal.transform(np.asarray(stored)))
    assert type(cal.transform(stored)) is np.ndarray


@pytest.mark.parametrize("axis", [1, 2])
def test_the_result_may_replace_the_scores(axis: int) -> None:
    x, y = images(3, 3, (50, 70))
    x = np.moveaxis(x, 1, axis).copy()
    cal = DenseCalibrator("temperature", class_axis=axis).fit(x, y)
    out = cal.transform(x)
    cal.transform(x, out=x)
    np.testing.assert_array_equal(x, out)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_floating_type_is_kept(dtype: str) -> None:
    x, y = images()
    cal = DenseCalibrator("temperature").fit(x.astype(dtype), y)
    assert cal.transform(x.astype(dtype)).dtype == dtype
    assert cal.transform(x.astype(np.int64)).dtype == np.float64


@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "float64"])
def test_tensors_stay_tensors(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    x, y = images(3, 3, (30, 40))
    tensor = torch.from_numpy(x).to(getattr(torch, dtype))
    cal = DenseCalibrator("temperature").fit(tensor, torch.from_numpy(y))
    out = cal.transform(tensor)
    assert out.dtype is tensor.dtype
    tolerance = {"bfloat16": 1e-2, "float32": 1e-6, "float64": 1e-12}[dtype]
    expected = cal.transform(tensor.double().numpy())
    np.testing.assert_allclose(out.double().numpy(), expected, atol=tolerance)
    kept = torch.empty_like(tensor)
    assert cal.transform(tensor, out=kept) is kept
    assert torch.equal(kept, out)


def test_gradients_go_through() -> None:
    torch = pytest.importorskip("torch")
    x, y = images()
    cal = DenseCalibrator("temperature").fit(x, y)
    tensor = torch.from_numpy(x).requires_grad_()
    out = cal.transform(tensor)
    out[:, 0].sum().backward()
    assert torch.isfinite(tensor.grad).all()
    np.testing.assert_allclose(out.detach().numpy(), cal.transform(x), atol=1e-12)


@pytest.mark.parametrize("method", ["platt", TemperatureCalibrator(input="logits")])
def test_files_and_pickles_map_bit_for_bit(method: Any, tmp_path: Path) -> None:
    x, y = images()
    cal = DenseCalibrator(method, ignore_index=255, class_axis=-3).fit(x, y)
    for same in (load(save(cal, tmp_path / "cal.json")), pickle.loads(pickle.dumps(cal))):
        assert type(same) is DenseCalibrator
        assert same.get_params().keys() == cal.get_params().keys()
        assert str(same) == str(cal)
        assert same.transform(x).tobytes() == cal.transform(x).tobytes()
        assert (same.n_images_, same.n_sampled_, same.n_ignored_) == (5, 540, 0)
    again = save(load(tmp_path / "cal.json"), tmp_path / "again.json")
    assert again.read_text() == (tmp_path / "cal.json").read_text()


def test_a_clone_is_unfitted() -> None:
    x, y = images()
    cal = DenseCalibrator("temperature").fit(x, y)
    with pytest.raises(NotFittedError):
        clone(cal).transform(x)
    assert repr(DenseCalibrator("platt", ignore_index=255)) == (
        "DenseCalibrator(calibrator='platt', ignore_index=255)"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_axis": 0}, r"class_axis=0 is no axis of classes of X of shape \(5, 3, 12, 9\)"),
        ({"class_axis": 4}, "class_axis=4 is no axis of classes"),
        ({"class_axis": -4}, "class_axis=-4 is no axis of classes"),
        ({"class_axis": 1.0}, "class_axis must be an integer or None; got 1.0"),
        ({"class_axis": -1}, r"y must have the shape of X.*\(5, 3, 12\).*got \(5, 12, 9\)"),
        ({"ignore_index": "x"}, "ignore_index must be an integer or None"),
        ({"samples_per_image": 0}, "samples_per_image must be >= 1"),
        ({"samples_per_image": "all"}, "samples_per_image must be 'auto', None or an integer"),
        ({"input": "scores"}, "input must be one of"),
        ({"calibrator": "nothing"}, "unknown calibrator 'nothing'"),
        ({"calibrator": 3}, "calibrator must be a registry name"),
        ({"calibrator": TemperatureCalibrator()}, "calibrator reads input='proba', but input='lo"),
    ],
)
def test_bad_parameters_are_refused(change: dict[str, Any], message: str) -> None:
    x, y = images()
    with pytest.raises(ValueError, match=message):
        DenseCalibrator(**{"calibrator": "temperature", **change}).fit(x, y)


def test_bad_labels_are_refused() -> None:
    x, y = images()
    cal = DenseCalibrator("temperature")
    wrong = y.copy()
    wrong[:, 0] = 255
    with pytest.raises(ValueError, match=r"y holds 255 in 45 cells.*ignore_index=255"):
        cal.fit(x, wrong)
    with pytest.raises(ValueError, match=r"y holds -1 in 45 cells.*ignore_index=-1"):
        cal.fit(x, np.where(wrong == 255, -1, y))
    with pytest.raises(ValueError, match="y holds nan in 45 cells"):
        cal.fit(x, np.where(wrong == 255, np.nan, y))
    with pytest.raises(ValueError, match=r"y holds 0\.5 in"):
        cal.fit(x, np.where(y == 1, 0.5, y))
    with pytest.raises(ValueError, match="y has no labelled cell: each of 540"):
        cal.set_params(ignore_index=255).fit(x, np.full(y.shape, 255))
    with pytest.raises(ValueError, match="y must hold class numbers"):
        cal.fit(x, y.astype(str))


def test_channels_last_are_told() -> None:
    x, y = images()
    with pytest.raises(ValueError, match="pass class_axis=-1 if the classes are on the last"):
        DenseCalibrator("temperature").fit(np.moveaxis(x, 1, -1), y)


def test_other_bad_shapes_are_refused() -> None:
    x, y = images()
    cal = DenseCalibrator("temperature")
    with pytest.raises(ValueError, match=r"X must hold images.*\(5,\)"):
        cal.fit(x[:, 0, 0, 0], y)
    with pytest.raises(ValueError, match=r"X of shape \(0, 3, 12, 9\) is empty"):
        cal.fit(x[:0], y[:0])
    with pytest.raises(ValueError, match=r"sample_weight must have the shape of the labels"):
        cal.fit(x, y, np.ones(5))
    with pytest.raises(ValueError, match="sample_weight must hold finite numbers >= 0"):
        cal.fit(x, y, np.full(y.shape, -1.0))
    cal.fit(x, y)
    with pytest.raises(ValueError, match=r"X has 2 classes on axis 1.*fitted on 3"):
        cal.transform(x[:, :2])
    with pytest.raises(ValueError, match="out must have the shape of X"):
        cal.transform(x, out=np.empty((5, 3, 12, 8)))
    with pytest.raises(ValueError, match="out must hold floating numbers; got int64"):
        cal.transform(x, out=np.empty(x.shape, dtype=np.int64))
    with pytest.raises(ValueError, match="out must be an array of the library of X"):
        cal.transform(x, out=[])  # type: ignore[arg-type]
    x[3, 1, 2, 2] = np.nan
    with pytest.raises(
        ValueError, match=r"in images .* of X, whose cells are counted as rows.*nan"
    ):
        cal.transform(x)
