"""The README does what it says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from calib.cli import main

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
CALIB_LINES = re.findall(r"^calib .+$", TEXT, flags=re.MULTILINE)


def test_python_snippets_run_in_order(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for snippet in re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL):
        exec(compile(snippet, "README.md", "exec"), names)
    assert "if calibrated" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"report.html", "temperature.json"}


def test_command_lines_run_in_order(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(200, 3)) * 4
    y = np.where(rng.random(200) < 0.7, logits.argmax(axis=1), rng.integers(0, 3, 200))
    table = np.column_stack([logits, y])
    for name in ("scores.csv", "new.csv"):
        np.savetxt(name, table, "%.17g", ",", header="z_0,z_1,z_2,y", comments="")
    assert len(CALIB_LINES) == 4
    for line in CALIB_LINES:
        assert main(shlex.split(line)[1:]) == 0, capsys.readouterr().err
    assert Path("report.html").is_file()


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_inside_the_repository_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        path = ROOT / target
        if not path.exists() and not (ROOT / target.split("/")[0]).exists():
            pytest.skip(f"{target} is not part of the source distribution")
        assert path.exists(), target
