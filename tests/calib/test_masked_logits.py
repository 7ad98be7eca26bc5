"""Masked classes: logits of -1e4 down to -inf rule no fit and stay excluded."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy.special import logsumexp, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator

from calib import (
    CALIBRATORS,
    CalibratedClassifier,
    DegenerateScoresWarning,
    TemperatureCalibrator,
    load,
    make_calibrator,
    save,
)

LOWEST = float(np.finfo(np.float64).min)
MASKS = [-1e4, -65504.0, -1e9, -1e12, float(np.finfo(np.float32).min), LOWEST, -np.inf]
SHARES = [0.001, 0.03, 0.3, 0.6]
#: Maps that fit one number or a few; the others cost too much to try at every mask.
METHODS = [name for name in CALIBRATORS if name not in ("dirichlet", "h_calibration")]


def masked(
    share: float, mask: float, n_classes: int = 10, n: int = 3000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Overconfident logits (1.5 is the right temperature) with masked cells beside the label."""
    rng = np.random.default_rng(seed)
    z = 3.0 * rng.normal(size=(n, n_classes))
    hidden = rng.random(z.shape) < share
    hidden[np.arange(n), rng.integers(0, n_classes, n)] = False
    z[hidden] = -np.inf
    y = (z / 1.5 + rng.gumbel(size=z.shape)).argmax(axis=1)
    return np.where(hidden, mask, z), y


def log_loss(p: np.ndarray, y: np.ndarray) -> float:
    return float(-np.log(np.maximum(p[np.arange(len(y)), y], 1e-300)).mean())


def raw_loss(z: np.ndarray, y: np.ndarray) -> float:
    return float((logsumexp(z, axis=1) - z[np.arange(len(y)), y]).mean())


@pytest.mark.parametrize("n_classes", [2, 3, 10])
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("mask", MASKS)
def test_temperature_is_that_of_the_other_cells(mask: float, share: float, n_classes: int) -> None:
    z, y = masked(share, mask, n_classes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cal = TemperatureCalibrator(input="logits").fit(z, y)
    exact, _ = masked(share, -np.inf, n_classes)
    grid = np.exp(np.linspace(np.log(0.7), np.log(3), 47))
    best = min(raw_loss(exact / t, y) for t in grid)
    assert cal.smoothing_ == 0.0
    assert log_loss(cal.transform(z), y) <= best + 1e-9
    assert cal.n_evaluations_ < 30


@pytest.mark.parametrize("mask", [-1e4, -1e9, LOWEST, -np.inf])
@pytest.mark.parametrize(("share", "n_classes"), [(0.002, 10), (0.3, 10), (0.6, 4), (0.3, 2)])
@pytest.mark.parametrize("method", METHODS)
def test_never_worse_than_raw_beyond_noise(
    method: str, share: float, n_classes: int, mask: float
) -> None:
    z, y = masked(share, mask, n_classes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateScoresWarning)
        warnings.simplefilter("error", ConvergenceWarning)
        warnings.simplefilter("error", RuntimeWarning)
        cal = make_calibrator(method, input="logits").fit(z[:1500], y[:1500])
        p = cal.transform(z[1500:])
    assert np.isfinite(p).all()
    np.testing.assert_allclose(p.sum(axis=1), 1.0, atol=1e-12)
    exact, _ = masked(share, -np.inf, n_classes)
    # step functions pay for their steps, as without masks (the histogram 0.055 nats there)
    steps = {"histogram": 0.06, "isotonic": 0.06, "venn_abers": 0.06, "split_point": 0.06}
    room = steps.get(method, 0.01)
    assert log_loss(p, y[1500:]) <= raw_loss(exact[1500:], y[1500:]) + room
    if mask == -np.inf:
        assert (p[np.isneginf(z[1500:])] == 0.0).all()


@pytest.mark.parametrize("mask", [-1e4, -1e9, LOWEST, -np.inf])
@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
@pytest.mark.parametrize(("share", "n_classes"), [(0.001, 10), (0.3, 10), (0.6, 10), (0.3, 2)])
def test_bins_lose_no_more_than_without_masks(
    share: float, n_classes: int, strategy: str, mask: float
) -> None:
    """Masked cells would dilute the rate of the lowest bin: 0.12 nats at a share of 0.6."""
    excess = {}
    for hidden in (0.0, share):
        losses = []
        for seed in range(3):
            z, y = masked(hidden, mask, n_classes, seed=seed)
            exact, _ = masked(hidden, -np.inf, n_classes, seed=seed)
            cal = make_calibrator("histogram", input="logits", strategy=strategy)
            p = cal.fit(z[:1500], y[:1500]).transform(z[1500:])
            losses.append(log_loss(p, y[1500:]) - raw_loss(exact[1500:], y[1500:]))
        excess[hidden] = float(np.mean(losses))
    assert excess[share] <= max(excess[0.0], 0.0) + 0.01


@pytest.mark.parametrize("method", ["dirichlet", "h_calibration"])
@pytest.mark.parametrize("mask", [-1e9, -np.inf])
def test_slow_maps_cope_too(method: str, mask: float) -> None:
    z, y = masked(0.3, mask, 4, n=2000)
    cal = make_calibrator(method, input="logits").fit(z[:1200], y[:1200])
    p = cal.transform(z[1200:])
    exact, _ = masked(0.3, -np.inf, 4, n=2000)
    assert log_loss(p, y[1200:]) <= raw_loss(exact[1200:], y[1200:]) + 0.01
    if mask == -np.inf:
        assert (p[np.isneginf(z[1200:])] == 0.0).all()


@pytest.mark.parametrize("mask", [-1e4, -1e9, LOWEST, -np.inf])
def test_a_dirichlet_map_reads_a_masked_class_as_an_unlikely_one(mask: float) -> None:
    """As one of 1e-38 it cost two nats after a fit without masks, and 0.04 after one with them."""
    z, y = masked(0.5, mask)
    exact, _ = masked(0.5, -np.inf)
    plain, plain_y = masked(0.0, -np.inf, seed=1)
    best = raw_loss(exact[1500:] / 1.5, y[1500:])
    for scores, labels in ((z[:1500], y[:1500]), (plain[:1500], plain_y[:1500])):
        cal = make_calibrator("dirichlet", input="logits", penalty=1e-1).fit(scores, labels)
        assert log_loss(cal.transform(z[1500:]), y[1500:]) <= best + 0.03
        # files of versions that had no such value
        older = {k: v for k, v in vars(cal).items() if k != "masked_log_proba_"}
        completed = cal.traits.completed(older)["masked_log_proba_"]
        assert completed == pytest.approx(np.log(np.finfo(np.float32).tiny))


@pytest.mark.shared_data
def test_a_dirichlet_map_of_images(shared_data: Path) -> None:
    benchmark = pytest.importorskip("benchmarks.soft_and_masked")
    path = shared_data / "classification" / "cifar10_densenet40_logits.npz"
    loss = {row.column: row.value for row in benchmark.masked_rows(path, ["dirichlet"])}
    assert loss["log loss, fitted masked"] <= 0.136
    assert loss["log loss, fitted whole"] <= 0.1315


def test_a_bound_means_separable_only_where_it_is() -> None:
    z, y = masked(0.3, -1e9)
    errors = int((z.argmax(axis=1) != y).sum())
    assert errors > 100
    assert TemperatureCalibrator(input="logits").fit(z, y).smoothing_ == 0.0
    right = z.argmax(axis=1)
    cal = TemperatureCalibrator(input="logits").fit(z, right)
    assert cal.smoothing_ == pytest.approx(1 / 3001)
    one_wrong = right.copy()
    one_wrong[0] = np.argsort(z[0])[-2]
    assert TemperatureCalibrator(input="logits").fit(z, one_wrong).smoothing_ == 0.0


@pytest.mark.parametrize("method", ["temperature", "platt", "vector_scaling", "auto"])
@pytest.mark.parametrize("mask", [-1e4, -1e9, LOWEST, -np.inf])
def test_labels_of_masked_classes_are_left_out_and_named(method: str, mask: float) -> None:
    z, y = masked(0.3, mask)
    clean = make_calibrator(method, input="logits").fit(z, y)
    wrong_z = np.concatenate([z, z[:5]])
    wrong_y = np.concatenate([y, z[:5].argmin(axis=1)])
    with pytest.warns(DegenerateScoresWarning, match="5 of 3005 rows .* label"):
        cal = make_calibrator(method, input="logits").fit(wrong_z, wrong_y)
    np.testing.assert_allclose(cal.transform(z), clean.transform(z), atol=2e-3)


@pytest.mark.parametrize("method", list(CALIBRATORS))
def test_excluded_classes_of_two_in_one_column(method: str) -> None:
    rng = np.random.default_rng(0)
    s = 2.0 * rng.normal(size=400)
    y = (rng.random(400) < 1 / (1 + np.exp(-s))).astype(int)
    s[:10], y[:10] = -np.inf, 0
    s[10:20], y[10:20] = np.inf, 1
    one = make_calibrator(method, input="logits").fit(s, y).transform(s)
    two = np.stack([np.where(s > 0, -s, 0.0), np.where(s > 0, 0.0, s)], axis=1)
    np.testing.assert_array_equal(one[:10], np.tile([1.0, 0.0], (10, 1)))
    np.testing.assert_array_equal(one[10:20], np.tile([0.0, 1.0], (10, 1)))
    again = make_calibrator(method, input="logits").fit(two, y).transform(two)
    np.testing.assert_allclose(one, again, atol=1e-9)


def test_what_is_refused() -> None:
    z, y = masked(0.3, -np.inf, 3)
    for value in (np.nan, np.inf, 1e307):
        bad = z.copy()
        bad[7, 1] = value
        with pytest.raises(ValueError, match="row 7, column 1"):
            TemperatureCalibrator(input="logits").fit(bad, y)
    bad = z.copy()
    bad[7] = -np.inf
    with pytest.raises(ValueError, match="every class in row 7"):
        TemperatureCalibrator(input="logits").fit(bad, y)
    p = softmax(z, axis=1)
    p[3, 1] = -np.inf
    with pytest.raises(ValueError, match="row 3, column 1"):
        TemperatureCalibrator().fit(p, y)
    impossible = np.where(np.arange(3) == y[:, None], -np.inf, 0.0)
    with pytest.raises(ValueError, match="label"):
        TemperatureCalibrator(input="logits").fit(impossible, y)


@pytest.mark.parametrize(
    "method",
    [
        "temperature", "platt", "quadratic", "beta", "vector_scaling", "ensemble_temperature",
        "spline", "isotonic", "histogram", "venn_abers",
    ],
)  # fmt: skip
@pytest.mark.parametrize("mask", [-1e4, -1e9, LOWEST, -np.inf])
@pytest.mark.parametrize("n_classes", [2, 5])
def test_fits_on_collections_are_the_same(method: str, mask: float, n_classes: int) -> None:
    pd = pytest.importorskip("pandas")
    dd = pytest.importorskip("dask.dataframe")
    from calib.distributed import fit

    z, y = masked(0.4, mask, n_classes, n=600)
    names = [f"z{k}" for k in range(n_classes)]
    frame = pd.DataFrame(z, columns=names).assign(y=y)
    rows = dd.from_pandas(frame, npartitions=3)
    there = fit(rows, method, label="y", scores=names, input="logits")
    here = make_calibrator(method, input="logits").fit(z, y)
    np.testing.assert_allclose(there.predict_proba(frame[names]), here.transform(z), atol=1e-7)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("method", [m for m in CALIBRATORS if m != "split_point"])
def test_tensors_and_exported_modules_accept_exclusions(method: str, dtype: str) -> None:
    torch = pytest.importorskip("torch")
    from calib.export import to_torch

    z, y = masked(0.3, -np.inf, 4, n=300)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        cal = make_calibrator(method, input="logits").fit(z, y)
    tensor = torch.tensor(z, dtype=getattr(torch, dtype))
    hidden = torch.isneginf(tensor)
    for out in (cal.transform(tensor), to_torch(cal)(tensor)):
        assert out.dtype == tensor.dtype
        assert torch.isfinite(out).all()
        assert (out[hidden] == 0).all()


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("method", list(CALIBRATORS))
def test_excluded_classes_get_nothing_and_other_rows_keep_their_bits(
    method: str, n_classes: int
) -> None:
    z, y = masked(0.3, -np.inf, n_classes, n=300)
    plain, plain_y = masked(0.0, -np.inf, n_classes, n=300, seed=1)
    for scores, labels in ((z, y), (plain, plain_y)):  # fitted with and without exclusions
        cal = make_calibrator(method, input="logits").fit(scores, labels)
        p = cal.transform(np.concatenate([z, plain]))
        assert (p[:300][np.isneginf(z)] == 0.0).all()
        np.testing.assert_allclose(p.sum(axis=1), 1.0, atol=1e-12)
        np.testing.assert_array_equal(p[300:], cal.transform(plain))
        row = z[np.isneginf(z).any(axis=1)][:1]
        assert (cal.transform(row)[np.isneginf(row)] == 0.0).all()


@pytest.mark.parametrize("mask", [LOWEST, -np.inf])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("method", [name for name, row in CALIBRATORS.items() if row.saves])
def test_fits_with_exclusions_are_saved(
    method: str, n_classes: int, mask: float, tmp_path: Path
) -> None:
    z, y = masked(0.3, mask, n_classes, n=300)
    cal = make_calibrator(method, input="logits").fit(z, y)
    save(cal, tmp_path / "cal.json")
    np.testing.assert_array_equal(load(tmp_path / "cal.json").transform(z), cal.transform(z))


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("method", [name for name, row in CALIBRATORS.items() if row.onnx])
def test_onnx_models_of_fits_with_exclusions(method: str, n_classes: int) -> None:
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    from calib.export import to_onnx

    z, y = masked(0.3, -np.inf, n_classes, n=300)
    z = z.astype(np.float32)
    cal = make_calibrator(method, input="logits").fit(z, y)
    model = to_onnx(cal, opset=17).SerializeToString()
    session = runtime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (p,) = session.run(["probabilities"], {"scores": z})
    np.testing.assert_allclose(p, cal.transform(z), atol=1e-6)
    assert (p[np.isneginf(z)] == 0.0).all()


@pytest.mark.parametrize("method", [name for name, row in CALIBRATORS.items() if row.saves])
def test_exclusions_on_collections(method: str) -> None:
    pd = pytest.importorskip("pandas")
    dd = pytest.importorskip("dask.dataframe")
    from calib.distributed import apply

    z, y = masked(0.3, -np.inf, 4, n=300)
    cal = make_calibrator(method, input="logits").fit(z, y)
    names = [f"z{k}" for k in range(4)]
    rows = dd.from_pandas(pd.DataFrame(z, columns=names), npartitions=2)
    out = apply(rows, cal, scores=names).compute()
    p = out[[f"calibrated_{k}" for k in range(4)]].to_numpy()
    np.testing.assert_allclose(p, cal.transform(z), atol=1e-12)
    assert (p[np.isneginf(z)] == 0.0).all()


@pytest.mark.parametrize("method", ["auto", "temperature", "isotonic"])
def test_exclusions_in_tables_of_the_command_line(method: str, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    from calib.cli import main

    z, y = masked(0.3, -np.inf, 3, n=300)
    path, cal, out = (str(tmp_path / name) for name in ("a.csv", "cal.json", "out.csv"))
    np.savetxt(path, np.column_stack([z, y]), delimiter=",", header="z_0,z_1,z_2,y", comments="")
    columns = ["--label", "y", "--logits", "z_*"]
    assert main(["fit", path, *columns, "--method", method, "--out", cal]) == 0
    assert main(["apply", cal, path, "--logits", "z_*", "--out", out]) == 0
    header, *rows = Path(out).read_text().splitlines()
    places = [header.split(",").index(f"calibrated_{k}") for k in range(3)]
    p = np.array([[float(row.split(",")[place]) for place in places] for row in rows])
    assert (p[np.isneginf(z)] == 0.0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1.0, atol=1e-12)


class RulesOut(ClassifierMixin, BaseEstimator):
    """A classifier whose decision function is its first three columns: minus infinity rules out."""

    def fit(self, X: np.ndarray, y: np.ndarray) -> RulesOut:
        self.classes_ = np.unique(y)
        return self

    def decision_function(self, X: np.ndarray) -> np.ndarray:
        return np.asarray(np.where(X < -1e5, -np.inf, X))

    def predict(self, X: np.ndarray) -> np.ndarray:
        return np.asarray(self.classes_[self.decision_function(X).argmax(axis=1)])


@pytest.mark.parametrize("method", ["auto", "temperature", "isotonic"])
@pytest.mark.parametrize("prefit", [True, False])
def test_models_may_rule_out_classes(method: str, prefit: bool) -> None:
    z, y = masked(0.3, -1e6, 3, n=300)
    model = FrozenEstimator(RulesOut().fit(z, y)) if prefit else RulesOut()
    p = CalibratedClassifier(model, calibrator=method).fit(z, y).predict_proba(z)
    assert (p[z < -1e5] == 0.0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1.0, atol=1e-12)
