"""Tensors in `transform`, and calibrators as torch modules: one map, the same numbers."""

from __future__ import annotations

import io
import pickle
import warnings

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.isotonic import IsotonicRegression

from calib import CALIBRATORS, ExternalCalibrator, TemperatureCalibrator, make_calibrator

torch = pytest.importorskip("torch")

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
METHODS = list(CALIBRATORS)
#: Reads features beside the scores, which no function of the scores alone can.
NO_MAP = [name for name, row in CALIBRATORS.items() if not row.torch]
PURE = [name for name in METHODS if name not in NO_MAP]


def fitted(name: str, n_classes: int, source: str = "logits"):
    rng = np.random.default_rng(0)
    z = 2 * rng.normal(size=(300, n_classes))
    y = (z / 3 + rng.gumbel(size=z.shape)).argmax(axis=1)
    if source == "proba":
        e = np.exp(z)
        z = e / e.sum(axis=1, keepdims=True)
    return make_calibrator(name, input=source).fit(z, y), z


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("source", ["logits", "proba"])
@pytest.mark.parametrize("device", DEVICES)
def test_tensors_in_tensors_out(name: str, n_classes: int, source: str, device: str) -> None:
    cal, z = fitted(name, n_classes, source)
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        x = torch.tensor(z, dtype=dtype, device=device)
        p = cal.transform(x)
        expected = cal.transform(x.double().cpu().numpy())
        assert isinstance(p, torch.Tensor)
        assert p.dtype == dtype
        assert p.device == x.device
        np.testing.assert_allclose(p.cpu().numpy(), expected, atol=tolerance)
    for dtype in (torch.float16, torch.bfloat16):
        p = cal.transform(torch.tensor(z, dtype=dtype, device=device))
        assert p.dtype == dtype
        np.testing.assert_allclose(p.double().cpu().sum(dim=1).numpy(), 1, atol=2e-2)


@pytest.mark.parametrize("name", METHODS)
def test_fitting_on_tensors(name: str) -> None:
    _, z = fitted(name, 3)
    y = np.random.default_rng(1).integers(0, 3, 300)
    tensor = make_calibrator(name, input="logits").fit(
        torch.tensor(z, requires_grad=True), torch.tensor(y), sample_weight=torch.ones(300)
    )
    plain = make_calibrator(name, input="logits").fit(z, y)
    np.testing.assert_allclose(tensor.transform(z), plain.transform(z), atol=1e-12)


def test_tensors_are_checked() -> None:
    cal, z = fitted("temperature", 3, "proba")
    with pytest.raises(ValueError, match="NaN or inf"):
        cal.transform(torch.full((2, 3), torch.nan))
    with pytest.raises(ValueError, match="divide by 3"):
        cal.transform(torch.tensor(3 * z))
    with pytest.raises(ValueError, match="X has 2 features"):
        cal.transform(torch.tensor(z[:, :2]))


@pytest.mark.parametrize("name", PURE)
@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("source", ["logits", "proba"])
def test_module_equals_transform(name: str, n_classes: int, source: str) -> None:
    from calib.export import to_torch

    cal, z = fitted(name, n_classes, source)
    module = to_torch(cal)
    x = torch.tensor(z, dtype=torch.float32)
    expected = cal.transform(x.numpy())
    with torch.no_grad():
        np.testing.assert_allclose(module(x).numpy(), expected, atol=1e-6)
        double = torch.tensor(z)
        np.testing.assert_allclose(module(double).numpy(), cal.transform(z), atol=1e-12)
        half = module(x.half())
        assert half.dtype == torch.float16
    assert not list(module.parameters())
    assert name in repr(module)
    buffer = io.BytesIO()
    torch.save(module.state_dict(), buffer)
    again = pickle.loads(pickle.dumps(module))
    assert torch.equal(again(x), module(x))


@pytest.mark.parametrize("name", NO_MAP)
def test_methods_without_a_map_say_so(name: str) -> None:
    from calib.export import to_torch

    with pytest.raises(TypeError):
        to_torch(fitted(name, 3)[0])


@pytest.mark.parametrize("name", PURE)
@pytest.mark.parametrize("n_classes", [2, 4])
def test_module_is_traceable(name: str, n_classes: int) -> None:
    from calib.export import to_torch

    cal, _ = fitted(name, n_classes)
    network = torch.nn.Sequential(torch.nn.Linear(6, n_classes), to_torch(cal)).eval()
    x = torch.randn(10, 6, generator=torch.Generator().manual_seed(0))
    batch = torch.export.Dim("batch", min=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch.export about its own internals
        program = torch.export.export(network, (x,), dynamic_shapes=({0: batch},))
    more = torch.randn(37, 6, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(program.module()(more), network(more), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["temperature", "isotonic", "venn_abers"])
@pytest.mark.parametrize("source", ["logits", "proba"])
def test_compiled_modules_give_the_same_numbers(name: str, source: str) -> None:
    from calib.export import to_torch

    cal, z = fitted(name, 3, source)
    compiled = torch.compile(to_torch(cal), backend="aot_eager", fullgraph=True)
    with torch.no_grad():
        got = compiled(torch.tensor(z))
    np.testing.assert_allclose(got.numpy(), cal.transform(z), atol=1e-12)


@pytest.mark.parametrize("name", ["temperature", "isotonic", "vector_scaling"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
def test_many_rows_of_tensors_are_those_of_few(name: str, dtype: torch.dtype) -> None:
    cal, z = fitted(name, 4)
    z[7, 1] = -np.inf
    few = torch.tensor(z, dtype=dtype)
    many = few.repeat(1000, 1)
    proba = cal.transform(many)
    assert proba.dtype == dtype
    torch.testing.assert_close(proba, cal.transform(few).repeat(1000, 1), rtol=1e-3, atol=0.0)
    assert proba[7, 1] == 0
    many[299_950, 2] = torch.nan
    with pytest.raises(ValueError, match="in row 299950, column 2"):
        cal.transform(many)


def test_one_column_and_gradients() -> None:
    from calib.export import to_torch

    cal = TemperatureCalibrator(input="logits").fit([-2.0, 1.0, -1.0, 3.0], [0, 1, 1, 1])
    module = to_torch(cal)
    s = torch.tensor([-1.0, 0.5], requires_grad=True)
    p = module(s)
    assert p.shape == (2, 2)
    p[:, 1].sum().backward()
    assert (s.grad > 0).all()
    torch.testing.assert_close(module(s[:, None]), p)


def test_what_cannot_be_exported() -> None:
    from calib.export import to_torch

    with pytest.raises(NotFittedError):
        to_torch(TemperatureCalibrator())
    with pytest.raises(TypeError, match="ExternalCalibrator has no pure map"):
        to_torch(ExternalCalibrator(IsotonicRegression()))


def with_exclusions(n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return scores of which some classes are excluded by a logit of minus infinity, and labels."""
    rng = np.random.default_rng(0)
    z = 3 * rng.normal(size=(300, n_classes))
    hidden = rng.random(z.shape) < 0.3
    hidden[np.arange(300), rng.integers(0, n_classes, 300)] = False
    z[hidden] = -np.inf
    return z, (z / 1.5 + rng.gumbel(size=z.shape)).argmax(axis=1)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PURE)
@pytest.mark.parametrize("n_classes", [2, 4])
def test_programs_exported_without_exclusions_understand_them(name: str, n_classes: int) -> None:
    from calib.export import to_torch

    z, y = with_exclusions(n_classes)
    cal = make_calibrator(name, input="logits").fit(z, y)
    tensor = torch.tensor(z)
    plain = torch.where(torch.isinf(tensor), -3.0, tensor)
    rows = torch.export.Dim("rows", min=2)
    program = torch.export.export(to_torch(cal), (plain,), dynamic_shapes=({0: rows},)).module()
    traced = torch.jit.trace(to_torch(cal), (plain,), check_trace=False)
    for run in (program, traced, to_torch(cal)):
        np.testing.assert_allclose(run(tensor).numpy(), cal.transform(z), atol=1e-9)
        assert (run(tensor)[torch.isinf(tensor)] == 0).all()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["temperature", "platt", "vector_scaling", "auto"])
def test_onnx_files_understand_exclusions(name: str) -> None:
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    from calib.export import to_torch

    z, y = with_exclusions(4)
    options = {"rank_preserving": True} if name == "auto" else {}  # others of its members search
    cal = make_calibrator(name, input="logits", **options).fit(z, y)
    tensor = torch.tensor(z, dtype=torch.float32)
    plain = torch.where(torch.isinf(tensor), -3.0, tensor)
    shapes = ({0: torch.export.Dim("rows", min=2)},)
    made = torch.onnx.export(
        to_torch(cal), (plain,), dynamo=True, verbose=False, dynamic_shapes=shapes
    )
    session = runtime.InferenceSession(
        made.model_proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (proba,) = session.run(None, {session.get_inputs()[0].name: tensor.numpy()})
    np.testing.assert_allclose(proba, cal.transform(z), atol=1e-5)
    assert (proba[np.isinf(z)] == 0).all()
