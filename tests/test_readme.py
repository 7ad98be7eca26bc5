"""The README does what it says."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from calib.cli import main
from calib.datasets import make_detection_scenes

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
    write_coco_files()
    write_answers()
    assert len(CALIB_LINES) == 11
    for line in CALIB_LINES:
        assert main(shlex.split(line)[1:]) == 0, capsys.readouterr().err
    assert Path("report.html").is_file()
    assert Path("detector.html").is_file()
    assert "Abstention" in Path("answers.html").read_text()
    assert r"\toprule" in Path("table.tex").read_text()


def write_coco_files() -> None:
    """Write the files of a detector: detections in 120 scenes, annotations of either half."""
    found, truth = make_detection_scenes(120)
    rows = zip(found.image_id, found.labels, found.boxes, found.scores, strict=True)
    detections = [
        {"image_id": int(i), "category_id": int(k), "bbox": [x, y, w - x, h - y], "score": float(s)}
        for i, k, (x, y, w, h), s in rows
    ]
    Path("found.json").write_text(json.dumps(detections))
    for name, images in (("minival", range(60)), ("minitest", range(60, 120))):
        part = truth.in_images(list(images))
        boxes = enumerate(zip(part.image_id, part.labels, part.boxes, strict=True))
        document = {
            "images": [{"id": int(i), "width": 640, "height": 480} for i in part.images],
            "categories": [{"id": k, "name": v} for k, v in part.class_names.items()],
            "annotations": [
                {"id": n, "image_id": int(i), "category_id": int(k), "bbox": [x, y, w - x, h - y]}
                for n, (i, k, (x, y, w, h)) in boxes
            ],
        }
        Path(f"{name}.json").write_text(json.dumps(document))


def write_answers() -> None:
    """Write graded answers of two models to 60 questions, later ones to 60 others, and these."""
    rng = np.random.default_rng(0)
    asked = [f"{k},{'prove' if k % 2 else 'add'} item {k}" for k in range(120)]
    Path("questions.csv").write_text("\n".join(["question_id,question", *asked]))
    for name, ids in (("answers", range(60)), ("later", range(60, 120))):
        rows = [
            f"{k},{model},so it is,{int(rng.random() < (0.3 if k % 2 else 0.8))}"
            for k in ids
            for model in ("small", "large")
        ]
        Path(f"{name}.csv").write_text("\n".join(["question_id,model,response,correct", *rows]))


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_inside_the_repository_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        path = ROOT / target
        if not path.exists() and not (ROOT / target.split("/")[0]).exists():
            pytest.skip(f"{target} is not part of the source distribution")
        assert path.exists(), target
