"""What stands between a caller and the library: arrays, files, packages, seeds."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calib._border import files, optional, random
from calib._border.arrays import array_namespace, is_foreign_array, is_half, like, to_numpy


def test_numpy_is_its_own_namespace() -> None:
    assert array_namespace(np.zeros(2)) is np
    assert not is_foreign_array([1.0])
    assert not is_foreign_array(np.float64(1))
    assert is_half(np.zeros(1, np.float16))
    assert like(3, np.zeros(1, np.float32), np).dtype.kind == "i"
    assert like(3.0, np.zeros(1, np.float32), np).dtype == np.float32


def test_torch_round_trip() -> None:
    torch = pytest.importorskip("torch")
    x = torch.linspace(0, 1, 3, requires_grad=True)
    assert is_foreign_array(x)
    np.testing.assert_allclose(to_numpy(x), [0, 0.5, 1])
    assert to_numpy(torch.zeros(2, dtype=torch.bfloat16)).dtype == np.float32
    assert is_half(torch.zeros(2, dtype=torch.bfloat16))
    back = like(np.arange(3.0), x, array_namespace(x))
    assert back.dtype == torch.float32
    assert like(np.arange(3), x, array_namespace(x)).dtype == torch.int64


def test_missing_package_names_the_command() -> None:
    assert not optional.is_installed("surely_not_installed")
    assert not optional.is_installed("surely.not.installed")
    with pytest.raises(ImportError, match=r'to_x needs surely_not; pip install "calib-uq\[x\]"'):
        optional.require("surely_not", extra="x", purpose="to_x")
    assert optional.require("json", extra="x", purpose="y").loads("1") == 1


def test_random_state_kinds() -> None:
    for kind in (0, None, np.random.default_rng(0), np.random.RandomState(0)):
        assert isinstance(random.generator(kind), np.random.Generator)
    first, second = (random.generator(np.random.RandomState(5)).random() for _ in range(2))
    assert first == second
    assert (
        random.generator(0).random() != np.random.default_rng(0).random()
    )  # the data may use that
    with pytest.raises(ValueError, match="random_state must be"):
        random.generator("seed")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, MemoryError])
def test_an_error_between_writes_leaves_the_old_file(
    error: type[BaseException], tmp_path: Path
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail() -> None:
        with files.atomic_write(path) as file:
            file.write("new")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_links_and_permissions_stay(tmp_path: Path) -> None:
    real, link = tmp_path / "real.txt", tmp_path / "link.txt"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    with files.atomic_write(link) as file:
        file.write("new\r\n")
    assert link.is_symlink()
    assert real.read_bytes() == b"new\r\n"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_a_read_only_file_or_folder_is_named(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    monkeypatch.setattr(os, "access", lambda *_: False)  # the superuser may do everything
    with pytest.raises(PermissionError, match=r"a\.txt"), files.atomic_write(path) as file:
        file.write("new")
    assert path.read_text() == "old"
    with pytest.raises(IsADirectoryError, match="folder"), files.atomic_write(tmp_path):
        pass
    with (
        pytest.raises(FileNotFoundError, match="does not exist"),
        files.atomic_write(path / "no" / "b"),
    ):
        pass


def test_what_is_no_ordinary_file_is_written_to() -> None:
    before = Path(os.devnull).stat()
    with files.atomic_write(os.devnull) as file:
        file.write("text")
    after = Path(os.devnull).stat()
    assert (before.st_ino, before.st_mode) == (after.st_ino, after.st_mode)


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    texts: list[str] = []
    reader = threading.Thread(target=lambda: texts.append(pipe.read_text()))
    reader.start()
    with files.atomic_write(pipe) as file:
        file.write("through")
    reader.join(10)
    assert texts == ["through"]


def test_writers_of_one_target_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with files.atomic_write(path) as first, files.atomic_write(path) as second:
        for row in range(100):
            first.write(f"first {row}\n")
            second.write(f"second {row}\n")
    lines = path.read_text().splitlines()
    assert len(lines) == 100
    assert len({line.split()[0] for line in lines}) == 1
