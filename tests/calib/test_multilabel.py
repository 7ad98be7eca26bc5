"""Many labels at once: the formula, missing cells, tables, files, and where labels are few."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from calib import MultilabelCalibrator, PlattCalibrator, load, save
from calib.warnings import CalibrationWarning, DegenerateScoresWarning, FallbackWarning


def sample(n: int = 300, n_labels: int = 6, seed: int = 0) -> tuple[Any, Any]:
    """Return scores of labels that are off in the same and in their own way, and the labels."""
    rng = np.random.default_rng(seed)
    eta = rng.uniform(-3, 0, n_labels) + 1.5 * rng.normal(size=(n, n_labels))
    Y = (rng.random(eta.shape) < 1 / (1 + np.exp(-eta))).astype(float)
    X = 1 / (1 + np.exp(-(2 * eta + 1 + rng.normal(size=n_labels))))
    return X, Y


def log_loss(p: Any, y: Any) -> float:
    return float(-np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)))


@pytest.mark.parametrize("calibrator", ["spline", "platt", "isotonic", "temperature"])
def test_transform_is_a_line_on_the_log_odds_of_the_shared_curve(calibrator: str) -> None:
    X, Y = sample()
    cal = MultilabelCalibrator(calibrator).fit(X, Y)
    g = cal.pooled_map_.transform(X.reshape(-1, 1))[:, 1].reshape(X.shape)
    share = 1 / (X.size + 1)
    assert cal.smoothing_ == pytest.approx(share)
    g = np.clip((1 - share) * g + share / 2, 1e-7, 1 - 1e-7)
    eta = cal.intercept_ + cal.slope_ * (np.log(g) - np.log1p(-g))
    np.testing.assert_allclose(cal.transform(X), 1 / (1 + np.exp(-eta)), atol=1e-12)


def test_lines_are_better_than_raw_scores_and_one_map() -> None:
    X, Y = sample(2000, 10)
    shrunk = MultilabelCalibrator().fit(X[:1000], Y[:1000]).transform(X[1000:])
    one = MultilabelCalibrator(per_label=False).fit(X[:1000], Y[:1000]).transform(X[1000:])
    assert log_loss(shrunk, Y[1000:]) < log_loss(one, Y[1000:]) < log_loss(X[1000:], Y[1000:])


def test_order_of_rows_and_labels_leaves_no_trace() -> None:
    X, Y = sample()
    cal = MultilabelCalibrator().fit(X, Y)
    rows = np.random.default_rng(1).permutation(len(X))
    columns = np.array([3, 1, 5, 0, 2, 4])
    other = MultilabelCalibrator().fit(X[rows][:, columns], Y[rows][:, columns])
    np.testing.assert_allclose(
        other.transform(X[:, columns]), cal.transform(X)[:, columns], atol=1e-9
    )


def test_integer_weights_equal_repetition() -> None:
    X, Y = sample()
    weight = np.random.default_rng(1).integers(0, 3, len(X))
    repeated = np.repeat(np.arange(len(X)), weight)
    one = MultilabelCalibrator("platt").fit(X, Y, sample_weight=weight)
    two = MultilabelCalibrator("platt").fit(X[repeated], Y[repeated])
    np.testing.assert_allclose(one.transform(X), two.transform(X), atol=1e-9)
    np.testing.assert_allclose(one.n_positives_, two.n_positives_)


def test_missing_cells_are_not_there() -> None:
    X, Y = sample()
    Y[200:, 2:] = np.nan
    one = MultilabelCalibrator().fit(X, Y)
    moved = np.where(np.isnan(Y), 0.5, X)
    two = MultilabelCalibrator().fit(moved, Y)
    np.testing.assert_allclose(one.transform(X), two.transform(X), atol=1e-9)
    np.testing.assert_array_equal(one.n_labelled_, [300, 300, 200, 200, 200, 200])


def test_ignore_index_names_a_code_for_missing() -> None:
    X, Y = sample()
    coded = Y.copy()
    coded[::3, 1] = -1
    missing = np.where(coded < 0, np.nan, coded)
    one = MultilabelCalibrator(ignore_index=-1).fit(X, coded)
    np.testing.assert_array_equal(
        one.transform(X), MultilabelCalibrator().fit(X, missing).transform(X)
    )
    with pytest.raises(ValueError, match="Y holds -1 in 100 cells; pass ignore_index=-1"):
        MultilabelCalibrator().fit(X, coded)


def test_lists_of_two_columns_are_read_as_their_second() -> None:
    X, Y = sample()
    parts = [np.column_stack([1 - column, column]) for column in X.T]
    one, two = MultilabelCalibrator().fit(parts, Y), MultilabelCalibrator().fit(X, Y)
    np.testing.assert_array_equal(one.transform(parts), two.transform(X))
    parts[2] = parts[2][:, :1]
    with pytest.raises(ValueError, match=r"X\[2\] has shape \(300, 1\)"):
        two.transform(parts)


def test_columns_of_tables_are_paired_by_name() -> None:
    pd = pytest.importorskip("pandas")
    X, Y = sample(n_labels=3)
    labels = pd.DataFrame(Y, columns=["cat", "dog", "ant"])
    scores = pd.DataFrame(X, columns=["p_cat", "p_dog", "p_ant"])[["p_ant", "p_cat", "p_dog"]]
    cal = MultilabelCalibrator().fit(scores, labels)
    assert cal.classes_.tolist() == ["cat", "dog", "ant"]
    expected = MultilabelCalibrator().fit(X, Y).transform(X)
    np.testing.assert_allclose(cal.transform(scores), expected, atol=1e-12)
    out = cal.set_output(transform="pandas").transform(scores)
    assert list(out.columns) == ["cat", "dog", "ant"]


def test_columns_are_paired_where_both_tables_have_a_beginning_of_their_own() -> None:
    pd = pytest.importorskip("pandas")
    X, Y = sample(n_labels=3)
    labels = pd.DataFrame(Y, columns=["y_cat", "y_dog", "y_ant"])
    scores = pd.DataFrame(X, columns=["p_cat", "p_dog", "p_ant"])
    expected = MultilabelCalibrator().fit(X, Y).transform(X)
    cal = MultilabelCalibrator().fit(scores[["p_ant", "p_cat", "p_dog"]], labels)
    for order in (["p_ant", "p_cat", "p_dog"], ["p_dog", "p_cat", "p_ant"]):
        np.testing.assert_allclose(cal.transform(scores[order]), expected, atol=1e-12)


def test_a_label_without_a_positive_takes_the_prior_and_is_pulled_down() -> None:
    X, Y = sample()
    Y[:, 4] = 0
    cal = MultilabelCalibrator().fit(X, Y)
    assert not cal.fallbacks_
    assert cal.transform(X)[:, 4].mean() < 0.02


def test_a_label_without_labels_takes_the_mean() -> None:
    X, Y = sample()
    Y[:, 4] = np.nan
    cal = MultilabelCalibrator().fit(X, Y)
    assert list(cal.fallbacks_) == [4]
    assert np.isfinite(cal.transform(X)).all()


def test_a_constant_score_gets_the_smoothed_prevalence() -> None:
    X, Y = sample()
    X[:, 1] = 1e-7
    with pytest.warns(DegenerateScoresWarning, match="scores of 1 labels are constant"):
        cal = MultilabelCalibrator().fit(X, Y)
    expected = (Y[:, 1].sum() + 0.5) / (len(Y) + 1)
    np.testing.assert_allclose(cal.transform(X)[:, 1], expected)
    assert list(cal.fallbacks_) == [1]


def test_own_lines_fall_back_where_labels_are_all_equal() -> None:
    X, Y = sample()
    Y[:, 4] = 0
    with pytest.warns(FallbackWarning, match="1 of 6 labels"):
        cal = MultilabelCalibrator("platt", per_label=True).fit(X, Y)
    own = PlattCalibrator().fit(X[:, 0], Y[:, 0].astype(int)).transform(X[:, 0])[:, 1]
    np.testing.assert_allclose(cal.transform(X)[:, 0], own, atol=2e-3)


def test_fractions_equal_weighted_pairs() -> None:
    X, Y = sample()
    soft = 0.8 * Y + 0.1
    cal = MultilabelCalibrator("platt").fit(X, soft)
    assert cal.transform(X).mean() == pytest.approx(soft.mean(), abs=0.01)


def test_logits_are_log_odds() -> None:
    X, Y = sample()
    one = MultilabelCalibrator("platt").fit(X, Y)
    two = MultilabelCalibrator("platt", input="logits").fit(np.log(X) - np.log1p(-X), Y)
    np.testing.assert_allclose(
        two.transform(np.log(X) - np.log1p(-X)), one.transform(X), atol=0.02
    )  # probabilities are smoothed before their log-odds are taken


@pytest.mark.parametrize("calibrator", ["spline", PlattCalibrator(smooth_targets=True)])
def test_files_and_pickles_transform_bit_for_bit(calibrator: Any, tmp_path: Path) -> None:
    X, Y = sample()
    Y[:, 3] = np.nan
    cal = MultilabelCalibrator(calibrator).fit(X, Y)
    for same in (load(save(cal, tmp_path / "cal.json")), pickle.loads(pickle.dumps(cal))):
        np.testing.assert_array_equal(same.transform(X), cal.transform(X))
        assert same.fallbacks_ == cal.fallbacks_
        assert str(same.get_params()) == str(cal.get_params())


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    X, Y = sample()
    path = save(MultilabelCalibrator().fit(X, Y), tmp_path / "cal.json")
    document = json.loads(path.read_text())
    document["fitted"]["smoothing_"] = 7
    path.write_text(json.dumps(document))
    with pytest.raises(ValueError, match="smoothing_ must lie in"):
        load(path)


def test_clones_and_pipelines() -> None:
    X, Y = sample()
    pipeline = make_pipeline(FunctionTransformer(), MultilabelCalibrator("platt"))
    expected = MultilabelCalibrator("platt").fit(X, Y).transform(X)
    np.testing.assert_array_equal(clone(pipeline).fit(X, Y).transform(X), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_type_stays(dtype: str) -> None:
    X, Y = sample()
    out = MultilabelCalibrator().fit(X, Y).transform(X.astype(dtype))
    assert out.dtype == dtype


def test_tensors_and_modules_equal_arrays() -> None:
    torch = pytest.importorskip("torch")
    from calib.export import to_torch

    X, Y = sample()
    cal = MultilabelCalibrator().fit(X, Y)
    tensor = torch.tensor(X)
    np.testing.assert_allclose(cal.transform(tensor).numpy(), cal.transform(X), atol=1e-12)
    module = to_torch(cal)
    np.testing.assert_allclose(module(tensor).numpy(), cal.transform(X), atol=1e-12)
    assert module(tensor.reshape(30, 10, 6).float()).shape == (30, 10, 6)


def test_one_label_of_many_is_noticed() -> None:
    rng = np.random.default_rng(0)
    X = rng.dirichlet(np.ones(4), 300)
    Y = np.eye(4)[[rng.choice(4, p=row) for row in X]]
    with pytest.warns(CalibrationWarning, match="one label out of many"):
        MultilabelCalibrator("platt").fit(X, Y)


@pytest.mark.parametrize(
    ("X", "Y", "text"),
    [
        (np.full((4, 3), 0.5), np.zeros((4, 2)), r"X has shape \(4, 3\) but Y has shape \(4, 2\)"),
        (np.full((4, 2), 0.5), np.full((4, 2), np.nan), "0 labelled cells"),
        (np.full((4, 2), 0.5), np.zeros((4, 2)), "all 8 labelled cells of Y are 0"),
        (np.full((4, 2), 0.5), np.zeros(4), r"Y must have shape \(n_samples, n_labels\)"),
        (np.full((4, 2), 1.5), np.eye(4)[:, :2], "outside"),
        (np.full((4, 2), np.nan), np.eye(4)[:, :2], "NaN"),
        (np.full((4, 2), 0.5), 2 * np.eye(4)[:, :2], "Y holds 2 in 2 cells"),
    ],
)
def test_bad_inputs(X: Any, Y: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        MultilabelCalibrator("platt").fit(X, Y)


@pytest.mark.parametrize(
    "options", [{"per_label": "own"}, {"prior_weight": -1}, {"input": "odds"}, {"calibrator": "no"}]
)
def test_bad_options(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        MultilabelCalibrator(**options).fit(*sample())


@pytest.mark.parametrize("curve", ["spline", "platt", "isotonic"])
def test_onnx_models_of_many_labels_agree(curve: str, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    from calib.export import to_onnx

    rng = np.random.default_rng(0)
    p = rng.random((300, 5)).astype(np.float32)
    cal = MultilabelCalibrator(curve).fit(p, (rng.random(p.shape) < p**2).astype(float))
    to_onnx(cal, tmp_path / "labels.onnx")
    session = runtime.InferenceSession(str(tmp_path / "labels.onnx"))
    for rows in (p, p[:1]):
        (out,) = session.run(None, {"scores": rows})
        np.testing.assert_allclose(out, cal.transform(rows), atol=1e-6)
