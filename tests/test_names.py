"""Public names: one object each, whatever is imported first, and nothing else in the lists."""

from __future__ import annotations

import dataclasses
import importlib
import json
import pkgutil
import random
import re
import subprocess
import sys
import textwrap
import warnings
from types import ModuleType
from typing import Any

import pytest
from sklearn.frozen import FrozenEstimator

FACADES = ("calib", "calib.evaluation", "calib.detection", "uq")

#: Runs every code as if nothing of the packages had been imported, and prints what came of it.
FRESH = """
import json, sys, traceback
results = []
for code in json.load(sys.stdin):
    for name in [name for name in sys.modules if name.partition(".")[0] in ("calib", "uq")]:
        del sys.modules[name]
    space = {}
    try:
        exec(code, space)
        results.append(["", space.get("result")])
    except BaseException:
        results.append([traceback.format_exc(), None])
print(json.dumps(results))
"""

#: Imports all public names in the given order and notes what each of them is.
LOOK = """
import importlib
kinds, ids = {{}}, {{}}
for package, name in {names}:
    module = importlib.import_module(package)
    local = {{}}
    exec(f"from {{package}} import {{name}}", local)
    value = getattr(module, name)
    assert value is local[name], (package, name)
    kinds[f"{{package}}:{{name}}"] = [type(value).__name__, callable(value)]
    ids.setdefault(name, set()).add(id(value))
result = [kinds, [name for name, found in ids.items() if len(found) > 1]]
"""

#: Records that users make, though no class method of theirs makes one.
MADE_BY_USERS = {
    "ImageBoxes": "what the functions return that `CalibratedDetector` is given",
    "PredictiveDistribution": "what `predictive_distribution` returns that reports are given",
}
#: Names that are importable and stand in no list: records that the library alone makes, and
#: warning classes, which `calib` and `uq` list. Annotations and filters use them.
UNLISTED = {
    "calib.evaluation": """
        AccumulatedReport AveragePrecision BinnedCalibrationTable BrierDecomposition
        CalibrationCurveSummary CalibrationReport CalibrationTest CalibrationTests ClassTable
        CorrespondenceWarning CumulativeCurve CumulativeTest DetectionMeasure
        DetectionMetricInterval DetectionModelReport DetectionReport DetectionTable
        FitImagesWarning Interval IntervalQuality KernelTest LocalizationRecallPrecision
        MeasureResult Measurement MeasurementTable ModelReport NothingToMeasureWarning
        PitUniformity PositionMap PostHocImprovement
        RefinementDecomposition ReliabilityBins
        ScoreDecomposition SignedCalibrationError SignedCumulativeError SquaredCalibrationError
    """.split(),
    "calib.detection": """
        BoxFormatWarning CorrespondenceWarning FallbackWarning InvalidRowsWarning LRPCurve
        NoOptimalThresholdWarning UnknownImagesWarning
    """.split(),
    "uq": """
        CertaintyCurve DecisionCurve DistributionShift ForcedPrediction GroupRow GroupsTable
        OODReport Protocol RiskCoverageCurve SelectiveRow SelectiveTable SelectiveThreshold
        SeparatingFeature SideMeans StoppingThreshold StudyClaim StudyDifference StudyResult
    """.split(),
}
SUBPACKAGES = ["datasets", "detection", "distributed", "evaluation", "export", "warnings"]
FUNCTIONS = """
import uq
from uq import ConformalClassifier, conformal_quantile, study_models
assert callable(conformal_quantile) and callable(study_models)
assert callable(uq.conformal_quantile) and callable(uq.study_models)
"""


def public_names() -> list[tuple[str, str]]:
    return [(f, name) for f in FACADES for name in importable(f)]


def importable(facade: str) -> list[str]:
    """Return what users can import: the list, and the records and warnings that are not in it."""
    package = importlib.import_module(facade)
    return sorted({*package.__all__, *UNLISTED.get(facade, ())})


def shuffled(seed: int) -> list[tuple[str, str]]:
    names = public_names()
    random.Random(seed).shuffle(names)
    return names


@pytest.fixture(scope="module")
def fresh() -> dict[str, tuple[str, Any]]:
    """Return error and result of all codes, run one after the other in one new process."""
    codes = {
        "functions": FUNCTIONS,
        **{f"order {seed}": LOOK.format(names=shuffled(seed)) for seed in range(4)},
        **{
            name: f"import calib; assert calib.{name}.__name__ == 'calib.{name}'"
            for name in SUBPACKAGES
        },
    }
    done = subprocess.run(
        [sys.executable, "-c", FRESH],
        input=json.dumps(list(codes.values())),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(codes, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("seed", range(4))
def test_a_name_is_one_object_in_any_order_of_imports(
    seed: int, fresh: dict[str, tuple[str, Any]]
) -> None:
    error, result = fresh[f"order {seed}"]
    assert not error, error
    kinds, several = result
    assert not several, f"one name, several objects: {several}"
    for name, (kind, is_callable) in kinds.items():
        constant = name.rpartition(":")[2].isupper()
        assert kind != "module", name
        assert is_callable or constant, f"{name} is a {kind}"


def is_record(value: object) -> bool:
    """Return whether a class is a frozen dataclass or a named tuple."""
    if not isinstance(value, type):
        return False
    frozen = dataclasses.is_dataclass(value) and value.__dataclass_params__.frozen  # type: ignore[attr-defined]
    return frozen or (issubclass(value, tuple) and hasattr(value, "_fields"))


def made_by_users(record: type) -> bool:
    """Return whether a class method makes one, or users return it to the library."""
    methods = [name for name, value in vars(record).items() if isinstance(value, classmethod)]
    return any(name[0] != "_" for name in methods) or record.__name__ in MADE_BY_USERS


@pytest.mark.parametrize(("facade", "name"), public_names())
def test_lists_hold_what_users_construct_or_call(facade: str, name: str) -> None:
    """A record that the library alone makes is importable, and in no list."""
    package = importlib.import_module(facade)
    value = getattr(package, name)
    home = facade in ("calib", "uq") or not (isinstance(value, type) and issubclass(value, Warning))
    listed = home and (not is_record(value) or made_by_users(value))
    assert (name in package.__all__) == listed
    assert (name in dir(package)) == listed


@pytest.mark.parametrize("facade", FACADES)
def test_no_public_name_is_a_module_of_its_package(facade: str) -> None:
    package = importlib.import_module(facade)
    for name in package.__all__:
        assert importlib.util.find_spec(f"{facade}.{name}") is None, name


@pytest.mark.parametrize("facade", FACADES)
def test_star_imports_hold_no_module(facade: str) -> None:
    names: dict[str, object] = {}
    exec(f"from {facade} import *", names)
    modules = [name for name, value in names.items() if isinstance(value, ModuleType)]
    assert not modules


@pytest.mark.parametrize("facade", FACADES)
def test_dir_lists_public_names(facade: str) -> None:
    package = importlib.import_module(facade)
    listed = {name for name in dir(package) if not name.startswith("__")}
    assert set(package.__all__) <= listed
    for name in listed - set(package.__all__):
        assert isinstance(getattr(package, name), ModuleType), name
        assert getattr(package, name).__name__ == f"{facade}.{name}", name


@pytest.mark.parametrize("module", SUBPACKAGES)
def test_subpackages_are_attributes(module: str, fresh: dict[str, tuple[str, Any]]) -> None:
    if module == "export":
        pytest.importorskip("torch", reason="an extra; without it the error names the extra")
    assert not fresh[module][0], fresh[module][0]


def test_functions_are_no_modules_after_any_import(fresh: dict[str, tuple[str, Any]]) -> None:
    assert not fresh["functions"][0], fresh["functions"][0]


@pytest.mark.parametrize("facade", FACADES)
def test_an_unknown_name_is_an_attribute_error(facade: str) -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        importlib.import_module(facade).nothing  # noqa: B018


def test_every_warning_is_exported_and_has_one_base() -> None:
    import calib
    import uq

    for facade in (calib, uq):
        module = importlib.import_module(f"{facade.__name__}.warnings")
        classes = {
            name
            for name, value in vars(module).items()
            if isinstance(value, type) and value.__module__ == module.__name__
        }
        assert classes <= set(facade.__all__)
        assert all(issubclass(getattr(facade, name), calib.CalibWarning) for name in classes)
    with warnings.catch_warnings():
        warnings.simplefilter("error", calib.CalibWarning)
        with pytest.raises(uq.ConformalWarning):
            warnings.warn("one filter reaches all", uq.PooledCategoryWarning, stacklevel=1)


#: Packages whose docstring is a map of what lives in them.
MAPPED = ("calib", "calib.evaluation", "calib.detection", "uq")


@pytest.mark.parametrize("package", MAPPED)
def test_help_names_every_part(package: str) -> None:
    """A package's docstring says where its public rooms and modules are, on one screen."""
    module = importlib.import_module(package)
    lines = str(module.__doc__).rstrip().splitlines()
    assert len(lines) <= 24
    parts = {name for _, name, _ in pkgutil.iter_modules(module.__path__)}
    hidden = {"base", "calibrators", "classifier", "grouped", "persistence", "progress", "registry"}
    hidden = hidden if package == "calib" else set()
    named = set(re.findall(rf"\b{package}\.(\w+)", str(module.__doc__)))
    missing = {name for name in parts if name[0] != "_"} - hidden - named
    assert not missing


@pytest.mark.parametrize("package", MAPPED)
def test_help_names_what_exists(package: str) -> None:
    text = str(importlib.import_module(package).__doc__)
    spaces = [importlib.import_module(facade) for facade in FACADES]
    for name in set(re.findall(r"`(\w{6,})[`(]", text)):
        assert any(name in space.__all__ for space in spaces), name
    for name in re.findall(r"(?:calib|uq)\.\w+", text):
        module = importlib.util.find_spec(name)
        assert module or hasattr(spaces[0], name.partition(".")[2]), name


@pytest.mark.parametrize("package", ["calib", "uq"])
def test_help_shows_lines_that_run(package: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = str(importlib.import_module(package).__doc__)
    code = textwrap.dedent(text.partition("::\n\n")[2])
    digits = importlib.import_module("calib.datasets").load_digits_scores()
    model = FrozenEstimator(digits.model)
    names = {
        "logits": digits.logits_cal, "y": digits.y_cal, "new_logits": digits.logits_test,
        "new_y": digits.y_test, "model": model, "X": digits.X_cal, "new_X": digits.X_test,
    }  # fmt: skip
    exec(code, names)
    assert "if calibrated" in capsys.readouterr().out if package == "calib" else "sets" in names
