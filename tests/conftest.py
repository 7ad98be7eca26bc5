"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.special import logsumexp

from calib.cli import main
from tests.support.scenes import RealDetector, Scene, make_scene, real_detector

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the shared real data; absence skips, unless CALIB_REQUIRE_SHARED=1."""
    if SHARED_DATA.is_dir():
        return SHARED_DATA
    reason = "the shared data folder is absent; it stands beside the project where there is one"
    if os.environ.get("CALIB_REQUIRE_SHARED") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def densenet(shared_data: Path) -> dict[str, np.ndarray]:
    """CIFAR-10 DenseNet-40 logits and labels, calibration and test part."""
    with np.load(shared_data / "classification" / "cifar10_densenet40_logits.npz") as file:
        return {key: file[key] for key in file.files}


@pytest.fixture(scope="session")
def two_class(densenet: dict[str, np.ndarray]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Log-odds of animals against machines, and labels, of the parts "val" and "test"."""
    animals, machines = [2, 3, 4, 5, 6, 7], [0, 1, 8, 9]
    out = {}
    for part in ("val", "test"):
        z = densenet[f"logits_{part}"].astype(np.float64)
        s = logsumexp(z[:, animals], axis=1) - logsumexp(z[:, machines], axis=1)
        out[part] = (s, np.isin(densenet[f"labels_{part}"], animals).astype(int))
    return out


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def succeeds(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Return a function that runs a command and returns what it printed."""

    def run(*arguments: object) -> str:
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert code == 0, err
        return out

    return run


@pytest.fixture(scope="session")
def yolox(shared_data: Path) -> RealDetector:
    return real_detector(shared_data / "detection")


@pytest.fixture(scope="session")
def scene() -> Callable[..., Scene]:
    return make_scene
