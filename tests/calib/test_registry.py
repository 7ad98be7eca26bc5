"""The registry."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calib import CALIBRATORS, TemperatureCalibrator, all_calibrators, load, make_calibrator, save


def test_filters() -> None:
    everything = all_calibrators()
    assert [name for name, _ in everything] == list(CALIBRATORS)
    assert all_calibrators(available=True) == everything
    assert all_calibrators(available=False) == []
    assert all(method.soft_targets for _, method in all_calibrators(soft_targets=True))
    assert ("temperature", TemperatureCalibrator) in everything


def test_missing_packages() -> None:
    row = replace(
        CALIBRATORS["platt"], target="calib.nowhere:Nothing", needs=("surely_not_installed",)
    )
    assert not row.available
    assert row.class_name == "Nothing"


def test_unknown_names_and_parameters() -> None:
    with pytest.raises(ValueError, match="unknown calibrator 'Temperature'; known names: auto"):
        make_calibrator("Temperature")
    with pytest.raises(ValueError, match="unknown calibrator"):
        make_calibrator(["temperature"])
    with pytest.raises(TypeError, match="cv"):
        make_calibrator("temperature", cv=3)


# ---------------------------------------------------------------------- what the rows claim


def small(n_classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n_classes)
    z = 2 * rng.normal(size=(300, n_classes))
    return z, (z / 2 + rng.gumbel(size=z.shape)).argmax(axis=1)


@pytest.mark.parametrize("name", CALIBRATORS)
def test_a_row_says_whether_its_map_saves(name: str, tmp_path: Path) -> None:
    z, y = small()
    cal = make_calibrator(name, input="logits").fit(z, y)
    if CALIBRATORS[name].saves:
        same = load(save(cal, tmp_path / "cal.json"))
        np.testing.assert_array_equal(same.transform(z), cal.transform(z))
    else:
        with pytest.raises(TypeError, match=f"{name} cannot be saved as JSON"):
            save(cal, tmp_path / "cal.json")


@pytest.mark.parametrize("name", CALIBRATORS)
def test_a_row_says_whether_its_map_becomes_a_torch_module(name: str) -> None:
    torch = pytest.importorskip("torch")
    from calib.export import to_torch

    z, y = small()
    cal = make_calibrator(name, input="logits").fit(z, y)
    if CALIBRATORS[name].torch:
        proba = to_torch(cal)(torch.tensor(z)).numpy()
        np.testing.assert_allclose(proba, cal.transform(z), atol=1e-12)
    else:
        with pytest.raises(TypeError, match="cannot become a torch module"):
            to_torch(cal)


@pytest.mark.parametrize("name", CALIBRATORS)
@pytest.mark.filterwarnings("ignore")
def test_a_row_says_what_takes_its_torch_module(name: str) -> None:
    torch = pytest.importorskip("torch")
    from calib.export import to_torch

    targets = CALIBRATORS[name].torch_targets
    if not CALIBRATORS[name].torch:
        assert targets == ()
        return
    z, y = small()
    cal = make_calibrator(name, input="logits").fit(z, y)
    scores, few = torch.tensor(z), torch.tensor(z[:50])
    made = {}
    if "jit" in targets:
        made["jit"] = torch.jit.script(torch.jit.trace(to_torch(cal), (few,), check_trace=False))
    if "export" in targets:
        shapes = ({0: torch.export.Dim("rows", min=2)},)
        program = torch.export.export(to_torch(cal), (few,), dynamic_shapes=shapes)
        made["export"] = program.module()
    if "compile" in targets:
        torch.compiler.reset()
        made["compile"] = torch.compile(to_torch(cal), backend="aot_eager", fullgraph=True)
    assert sorted(made) == sorted(targets)
    for module in made.values():
        with torch.no_grad():
            np.testing.assert_allclose(module(scores).numpy(), cal.transform(z), atol=1e-9)


@pytest.mark.parametrize("name", CALIBRATORS)
def test_a_row_says_whether_its_map_becomes_an_onnx_file(name: str) -> None:
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    from calib.export import to_onnx

    z, y = small()
    cal = make_calibrator(name, input="logits").fit(z, y)
    if CALIBRATORS[name].onnx:
        session = runtime.InferenceSession(to_onnx(cal).SerializeToString())
        (proba,) = session.run(None, {"scores": z[:7].astype(np.float32)})
        np.testing.assert_allclose(proba, cal.transform(z[:7].astype(np.float32)), atol=1e-6)
    else:
        with pytest.raises(TypeError, match="cannot become an ONNX model"):
            to_onnx(cal)


@pytest.mark.parametrize("name", CALIBRATORS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_row_says_whether_its_map_is_fitted_to_a_collection(name: str) -> None:
    pd = pytest.importorskip("pandas")
    dd = pytest.importorskip("dask.dataframe")
    from calib.distributed import fit

    z, y = small()
    columns = ["0", "1", "2"]
    table = pd.DataFrame(z, columns=columns)
    rows = dd.from_pandas(table.assign(y=y), npartitions=2)
    if CALIBRATORS[name].collections:
        there = fit(rows, name, label="y", scores=columns, input="logits")
        here = make_calibrator(name, input="logits").fit(table, y)
        np.testing.assert_allclose(there.predict_proba(table), here.transform(table), atol=1e-6)
    else:
        with pytest.raises(ValueError, match="method"):
            fit(rows, name, label="y", scores=columns, input="logits")
