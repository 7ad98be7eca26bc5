"""Evaluating, applying and fitting on Dask collections: the numbers of one machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calib import ProbabilitiesAsLogitsWarning, TemperatureCalibrator, make_calibrator
from calib.distributed import METHODS, accumulate, apply, evaluate, fit
from calib.evaluation import CalibrationAccumulator, calibration_report

pd = pytest.importorskip("pandas")
dask = pytest.importorskip("dask")
pytest.importorskip("distributed")
import dask.dataframe as dd  # noqa: E402

EXACT = (
    "log_loss", "brier", "accuracy", "expected_calibration_error", "overconfidence",
    "underconfidence",
)  # fmt: skip


@pytest.fixture(autouse=True)
def local() -> Iterator[None]:
    with dask.config.set(scheduler="synchronous"):
        yield


def data(n: int, n_classes: int, seed: int = 0) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray]:
    """Frame of logits z_*, probabilities p_*, labels y and weights w; and z, p, y."""
    rng = np.random.default_rng(seed)
    z = 2.0 * rng.normal(size=(n, n_classes))
    q = np.exp(0.6 * z + 0.3 * np.arange(n_classes) / n_classes)
    q /= q.sum(axis=1, keepdims=True)
    y = (q.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(max=n_classes - 1)
    p = np.exp(z)
    p /= p.sum(axis=1, keepdims=True)
    frame = pd.DataFrame({f"z_{k}": z[:, k] for k in range(n_classes)})
    frame = frame.assign(**{f"p_{k}": p[:, k] for k in range(n_classes)}, y=y)
    return frame.assign(w=rng.integers(0, 3, n).astype(float)), z, p, y


def split(frame: Any, cuts: list[int]) -> Any:
    """Return a collection with these partitions, some of them empty."""
    pieces = [frame.iloc[a:b] for a, b in zip([0, *cuts], [*cuts, len(frame)], strict=True)]
    return dd.from_delayed([dask.delayed(piece) for piece in pieces], meta=frame.iloc[:0])


def columns(kind: str, n_classes: int) -> list[str]:
    return [f"{kind}_{k}" for k in range(n_classes)]


def largest_gap(one: Any, other: Any) -> float:
    pairs = [(getattr(one, name), getattr(other, name)) for name in one.traits.arrays]
    return max(float(np.abs(np.asarray(a) - np.asarray(b)).max()) for a, b in pairs)


# ---------------------------------------------------------------------- evaluate and apply


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("weight", [None, "w"])
def test_evaluate_equals_the_report_in_memory(n_classes, weight):
    frame, _, p, y = data(1000, n_classes)
    report = evaluate(
        split(frame, [0, 100, 100, 640]), label="y", proba=columns("p", n_classes), weight=weight
    )
    w = None if weight is None else frame["w"].to_numpy()
    expected = calibration_report(y, p, sample_weight=w, n_resamples=2).models["model"].measures
    for name in EXACT:
        found = report.models["model"].measures[name].value
        assert found == pytest.approx(expected[name].value, abs=1e-12)


def test_partitions_do_not_change_the_report():
    frame, _, _, _ = data(800, 3)
    one, other = (
        evaluate(split(frame, cuts), label="y", proba=columns("p", 3)).models["model"].measures
        for cuts in ([], [5, 5, 300, 799])
    )
    for name, a in one.items():
        assert other[name].interval.low == pytest.approx(a.interval.low, abs=1e-9)
        assert other[name].calibrated.high == pytest.approx(a.calibrated.high, abs=1e-9)


def test_labels_of_text_and_absent_classes():
    frame, _, p, y = data(300, 3)
    names = np.array(["ant", "bee", "cat"])
    text = frame.assign(y=names[y])
    found = accumulate(split(text, [50]), label="y", proba=columns("p", 3))
    assert list(found.classes) == ["ant", "bee", "cat"]
    kept = y < 2
    part = split(text[kept], [20])
    known = accumulate(part, label="y", proba=columns("p", 3), labels=names)
    expected = CalibrationAccumulator(3, labels=names).update(names[y[kept]], p[kept])
    np.testing.assert_allclose(known.sums, expected.sums, rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match="2 distinct labels"):
        accumulate(part, label="y", proba=columns("p", 3))


def test_apply_equals_transform_and_keeps_partitions():
    frame, z, _, y = data(200, 3)
    cal = TemperatureCalibrator(input="logits").fit(z, y)
    out = apply(split(frame, [0, 70, 70]), cal, scores=columns("z", 3))
    assert out.npartitions == 4
    found = out.compute()
    added = [f"calibrated_{k}" for k in range(3)]
    assert list(found.columns) == [*frame.columns, *added]
    np.testing.assert_allclose(found[added].to_numpy(), cal.transform(z), rtol=1e-12)
    single = frame.astype(dict.fromkeys(columns("z", 3), np.float32))
    out = apply(split(single, [70]), cal, scores=columns("z", 3), prefix="q_")
    assert out.dtypes["q_0"] == np.float32
    assert out.compute()["q_0"].dtype == np.float32


# ---------------------------------------------------------------------- fit


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize(
    ("n", "kind", "weight"),
    [
        *((600, kind, weight) for kind in ("logits", "proba") for weight in (None, "w")),
        (40_000, "logits", None),
        (40_000, "proba", "w"),
    ],
)
def test_fit_equals_one_machine(method, n_classes, kind, weight, n):
    """40,000 rows make every method start from a subsample."""
    frame, z, p, y = data(n, n_classes)
    x = z if kind == "logits" else p
    w = None if weight is None else frame["w"].to_numpy()
    here = make_calibrator(method, input=kind).fit(x, y, sample_weight=w)
    names = columns(kind.replace("logits", "z").replace("proba", "p"), n_classes)
    rows = split(frame, [0, n // 7, n // 7, n // 2])
    there = fit(rows, method, label="y", scores=names, input=kind, weight=weight)
    assert largest_gap(here, there) < 1e-9
    assert list(there.classes_) == list(here.classes_)
    np.testing.assert_allclose(there.transform(frame[names]), here.transform(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("temperature", {"smoothing": True}),
        ("temperature", {"smooth_input": True}),
        ("platt", {"smooth_targets": True}),
        ("platt", {"smooth_input": True}),
        ("quadratic", {"monotone": False}),
        ("beta", {"smooth_input": True}),
        ("vector_scaling", {"structured": False}),
        ("vector_scaling", {"smooth_input": True}),
    ],
)
def test_options_reach_the_fit(method, params):
    frame, z, _, y = data(500, 3)
    here = make_calibrator(method, input="logits", **params).fit(z, y)
    there = fit(
        split(frame, [200]), method, label="y", scores=columns("z", 3), input="logits", **params
    )
    assert largest_gap(here, there) < 1e-9
    assert there.get_params() == here.get_params()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", ["separable", "backwards", "bent", "saturated", "flat"])
def test_hard_shapes_equal_one_machine(method, shape):
    rng = np.random.default_rng(0)
    s = 3.0 * rng.normal(size=400)
    u = rng.random(400)
    y = {
        "separable": s > 0.3,
        "backwards": u < 1 / (1 + np.exp(s)),
        "bent": u < 1 / (1 + np.exp(-np.abs(s))),
        "saturated": u < 1 / (1 + np.exp(-s)),
        "flat": u < 0.3,
    }[shape].astype(int)
    if shape == "flat":
        s = np.full(400, 0.7)
    if shape == "saturated":
        p = np.clip(1 / (1 + np.exp(-5 * s)), 0.0, 1.0).round(2)
        kind, x = "proba", p
    else:
        kind, x = "logits", s
    frame = pd.DataFrame({"x": x, "y": y})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # constant scores
        here = make_calibrator(method, input=kind).fit(x, y)
        there = fit(split(frame, [30, 30, 200]), method, label="y", scores="x", input=kind)
    grid = np.linspace(0.01, 0.99, 50) if kind == "proba" else np.linspace(-6, 6, 50)
    if shape == "flat":  # nothing tells what other scores mean
        grid = np.full(3, 0.7)
    del there.feature_names_in_
    np.testing.assert_allclose(there.transform(grid), here.transform(grid), rtol=0, atol=1e-9)


def said(call: Any) -> list[tuple[type, str]]:
    """Return the warnings of a call, with the names of the arguments taken out."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [(w.category, str(w.message).replace("scores", "X")) for w in caught]


@pytest.mark.parametrize("method", ["temperature", "platt", "beta", "matrix_scaling"])
@pytest.mark.parametrize("shape", ["backwards", "constant", "masked", "proba", "few", "good"])
def test_the_same_is_said_as_on_one_machine(method, shape):
    n, n_classes = (40, 12) if shape == "few" else (600, 3 if shape == "masked" else 2)
    frame, z, p, y = data(n, n_classes)
    x = {"backwards": -z, "constant": np.full_like(z, 0.7), "proba": p}.get(shape, z)
    if shape == "masked":
        x = np.where((np.arange(n)[:, None] % 50 == 7) & (np.arange(3) == y[:, None]), -np.inf, z)
    names = columns("z", n_classes)
    rows = split(frame.assign(**dict(zip(names, x.T, strict=True))), [0, n // 5, n // 2])
    here = said(lambda: make_calibrator(method, input="logits").fit(x, y))
    there = said(lambda: fit(rows, method, label="y", scores=names, input="logits"))
    assert here == there
    assert bool(here) == (shape not in ("good", "few") or (shape, method) in FEW)


#: Methods that say when labels are few.
FEW = {("few", "platt"), ("few", "beta")}


def test_boolean_and_text_labels():
    frame, z, _, y = data(300, 2)
    for labels in (y == 1, np.array(["no", "yes"])[y]):
        here = make_calibrator("platt", input="logits").fit(z, labels)
        rows = split(frame.assign(y=labels), [100])
        there = fit(rows, "platt", label="y", scores=columns("z", 2), input="logits")
        assert list(there.classes_) == list(here.classes_)
        assert largest_gap(here, there) < 1e-9


# ---------------------------------------------------------------------- bad input


def test_a_gap_names_its_partition():
    frame, _, _, _ = data(300, 2)
    frame.loc[170, "p_1"] = np.nan
    rows = split(frame, [100, 150])
    text = "partition 2.*column 'p_1' has nan in row 20"
    with pytest.raises(ValueError, match=text):
        evaluate(rows, label="y", proba="p_1")
    with pytest.raises(ValueError, match=text):
        fit(rows, "platt", label="y", scores="p_1")
    cal = TemperatureCalibrator().fit([0.2, 0.7, 0.6], [0, 1, 0])
    with pytest.raises(ValueError, match=r"column 'p_1' has nan in row 20"):
        apply(rows, cal, scores="p_1").compute()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"label": "x"}, "no column 'x'"),
        ({"proba": ["p_0", "q"]}, "no column 'q'"),
        ({"proba": []}, "names no column"),
        ({"weight": "v"}, "no column 'v'"),
        ({"labels": [1, 1]}, "labels must name"),
        ({"proba": ["z_0", "z_1"]}, "outside"),
        ({"proba": ["t"]}, "column 't' is not numeric"),
        ({"weight": "n"}, r"\(weights\) has -1.0 in row 0"),
    ],
)
def test_bad_columns_are_named(change, text):
    frame, _, _, _ = data(50, 2)
    rows = split(frame.assign(t="a", n=-1.0), [20])
    arguments = {"label": "y", "proba": columns("p", 2)} | change
    with pytest.raises(ValueError, match=text):
        accumulate(rows, **arguments)


def test_what_cannot_be_fitted_is_refused():
    frame, _, _, _ = data(50, 2)
    rows = split(frame, [20])
    good = {"label": "y", "scores": columns("z", 2), "input": "logits"}
    with pytest.raises(ValueError, match="method"):
        fit(rows, "h_calibration", **good)
    with pytest.raises(ValueError, match="smoothing"):
        fit(rows, "temperature", smoothing="yes", **good)
    with pytest.raises(ValueError, match="single class"):
        fit(split(frame.assign(y=1), [20]), "platt", **good)
    with pytest.raises(ValueError, match="rows of positive weight"):
        fit(split(frame.assign(w=0.0), [20]), "platt", weight="w", **good)
    with pytest.raises(ValueError, match="no rows"):
        fit(split(frame.iloc[:0], [0]), "platt", **good)
    with pytest.raises(ValueError, match="no rows"):
        evaluate(split(frame.iloc[:0], [0]), label="y", proba="p_1")
    with pytest.raises(ValueError, match="Dask DataFrame"):
        fit(frame, "platt", **good)
    with pytest.raises(ValueError, match="outside"):
        fit(rows, "platt", label="y", scores=columns("z", 2))
    with pytest.warns(ProbabilitiesAsLogitsWarning):
        fit(rows, "platt", label="y", scores="p_1", input="logits")
    cal = TemperatureCalibrator(input="logits").fit([-1.0, 2.0, 0.5], [0, 1, 0])
    with pytest.raises(ValueError, match="names 2 columns"):
        apply(rows, cal, scores=columns("z", 2))
    with pytest.raises(ValueError, match="another prefix"):
        apply(split(frame.assign(calibrated_0=1.0), [20]), cal, scores="z_0")


# ---------------------------------------------------------------------- a cluster

#: Warnings of Dask itself: a port that is taken, a worker that is killed on purpose.
OF_DASK = (
    "ignore:Port 8787 is already in use",
    "ignore:.*:ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)


@contextmanager
def two_workers() -> Iterator[Any]:
    """Two worker processes."""
    from distributed import Client, LocalCluster

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 5}),
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as nodes,
        Client(nodes) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with two_workers() as client:
        yield client


@pytest.fixture
def mortal_cluster() -> Iterator[Any]:
    with two_workers() as client:
        yield client


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, np.ndarray, np.ndarray, np.ndarray]:
    frame, z, p, y = data(6000, 3)
    for k in range(8):
        part = frame.iloc[k * 750 : (k + 1) * 750]
        part.to_parquet(tmp_path / f"part-{k}.parquet", index=False, row_group_size=250)
    return tmp_path, z, p, y


def _slow(frame: Any, folder: str) -> Any:
    """Take a while, and leave the process number of the worker behind."""
    Path(folder, f"{os.getpid()}.worker").touch()
    time.sleep(0.3)
    return frame


def _read(folder: Path) -> Any:
    rows = dd.read_parquet(str(folder / "*.parquet"))
    return rows.map_partitions(_slow, str(folder), meta=rows._meta)


def _kill_one(folder: Path, client: Any) -> int:
    """Kill a worker that has begun to work, and only such a one."""
    workers = set(client.run(os.getpid).values())
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        begun = [int(path.stem) for path in folder.glob("*.worker")]
        ours = [pid for pid in begun if pid in workers]
        if ours:
            os.kill(ours[0], signal.SIGKILL)
            return ours[0]
        time.sleep(0.02)
    raise AssertionError("no worker began")


@pytest.mark.slow
@pytest.mark.filterwarnings(*OF_DASK)
@pytest.mark.parametrize("what", ["evaluate", "fit"])
def test_a_worker_that_is_killed_changes_nothing(what, mortal_cluster, files):
    folder, z, p, y = files
    cluster = mortal_cluster
    with dask.config.set(scheduler=cluster.get):
        rows = _read(folder)
        killed: list[int] = []
        killer = threading.Thread(target=lambda: killed.append(_kill_one(folder, cluster)))
        killer.start()
        if what == "evaluate":
            found = evaluate(rows, label="y", proba=columns("p", 3)).models["model"].measures
        else:
            fitted = fit(rows, "temperature", label="y", scores=columns("z", 3), input="logits")
        killer.join()
    assert len(killed) == 1
    if what == "evaluate":
        expected = calibration_report(y, p, n_resamples=2).models["model"].measures
        for name in EXACT:
            assert found[name].value == pytest.approx(expected[name].value, abs=1e-12)
    else:
        here = TemperatureCalibrator(input="logits").fit(z, y)
        assert largest_gap(here, fitted) < 1e-9


@pytest.mark.filterwarnings(*OF_DASK)
@pytest.mark.parametrize("method", METHODS)
def test_fit_and_apply_on_a_cluster(method, cluster, files):
    folder, z, _, y = files
    with dask.config.set(scheduler=cluster.get):
        rows = dd.read_parquet(str(folder / "*.parquet"))
        names = columns("z", 3)
        there = fit(rows, method, label="y", scores=names, input="logits")
        here = make_calibrator(method, input="logits").fit(z, y)
        assert largest_gap(here, there) < 1e-9
        found = apply(rows, there, scores=names).compute()
    added = [f"calibrated_{k}" for k in range(3)]
    np.testing.assert_allclose(found[added].to_numpy(), here.transform(z), rtol=0, atol=1e-12)


@pytest.mark.filterwarnings(*OF_DASK)
def test_errors_of_a_worker_arrive(cluster, tmp_path):
    frame, _, _, _ = data(100, 2)
    frame.loc[70, "p_1"] = 1.5
    with dask.config.set(scheduler=cluster.get):
        rows = dd.from_pandas(frame, npartitions=2)
        with pytest.raises(ValueError, match=r"partition 1 .*outside \[0, 1\]"):
            evaluate(rows, label="y", proba="p_1")


# ---------------------------------------------------------------------- torch.distributed


def _rank(rank: int, folder: str) -> None:
    """Run the recipe of the documentation."""
    import torch

    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
    )
    _, z, _, y = data(1000, 3)
    acc = CalibrationAccumulator(3)
    for rows in np.array_split(np.arange(1000)[rank::2], 4):
        acc.update(torch.from_numpy(y[rows]), torch.from_numpy(z[rows]).softmax(dim=1))
    sums = torch.from_numpy(acc.sums)
    torch.distributed.all_reduce(sums)
    np.save(Path(folder, f"{rank}.npy"), acc.sums)
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_the_recipe_for_torch_distributed(tmp_path):
    torch = pytest.importorskip("torch")
    code = (
        "import importlib.util as u, sys; s = u.spec_from_file_location('ranks', sys.argv[1]); "
        "m = u.module_from_spec(s); s.loader.exec_module(m); m._rank(int(sys.argv[2]), sys.argv[3])"
    )
    ranks = [
        subprocess.Popen([sys.executable, "-c", code, __file__, str(k), str(tmp_path)])
        for k in range(2)
    ]
    assert [rank.wait(timeout=120) for rank in ranks] == [0, 0]
    _, z, _, y = data(1000, 3)
    expected = CalibrationAccumulator(3).update(y, torch.from_numpy(z).softmax(dim=1))
    for k in range(2):
        found = np.load(tmp_path / f"{k}.npy")
        assert found[0] == 1000
        np.testing.assert_allclose(found, expected.sums, rtol=1e-9, atol=1e-9)
