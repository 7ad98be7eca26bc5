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
#: Where the site and the files of the repository are.
SITE = "https://calib-uq.readthedocs.io/en/latest/"
FILES = "https://github.com/calib-uq/calib-uq/blob/main/"
PICTURES = "https://raw.githubusercontent.com/calib-uq/calib-uq/main/"
#: A walk through the command line; the README shows some of these lines, the site all.
WALK = """
calib report scores.csv --label y --logits 'z_*' --html report.html
calib fit scores.csv --label y --logits 'z_*' --method temperature --out cal.json
calib apply cal.json new.csv --out calibrated.csv
calib report calibrated.csv --label y --logits 'z_*' --name raw --proba 'calibrated_*' --name calibrated
calib report --scores old=scores.csv --scores new=new.csv --label y --logits 'z_*' --reference old --latex table.tex
calib detect fit --truth minival.json --detections found.json --out detector.json
calib detect apply detector.json found.json --out repaired.json.gz
calib detect report --truth minitest.json --detections found.json --calibrator detector.json --html detector.html
calib correctness fit answers.csv --questions questions.csv --out judge.skops
calib correctness apply judge.skops later.csv --questions questions.csv --out judged.csv
calib correctness report judge.skops later.csv --questions questions.csv --html answers.html
""".strip().splitlines()  # noqa: E501


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
    for line in WALK:
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


def test_command_lines_are_those_that_run():
    assert len(CALIB_LINES) >= 6
    assert set(CALIB_LINES) <= set(WALK)


def test_first_contact_is_short():
    assert len(TEXT.splitlines()) <= 150


def addresses() -> list[str]:
    """Return what the README links to and shows."""
    return re.findall(r"\]\(([^)]+)\)", TEXT) + re.findall(r'src="([^"]+)"', TEXT)


def test_links_are_absolute():
    assert [link for link in addresses() if not link.startswith((SITE, FILES, PICTURES))] == []


@pytest.mark.parametrize("link", addresses())
def test_links_lead_somewhere(link):
    """To a page that the site is built with, or to a file of the repository."""
    if not (ROOT / "docs").is_dir():
        pytest.skip("the site is not part of the source distribution")
    if link.startswith(SITE):
        page = ROOT / "docs" / link.removeprefix(SITE).partition("#")[0]
        assert page.suffix == ".html"
        assert page.with_suffix(".md").is_file(), link
    else:
        name = link.removeprefix(FILES).removeprefix(PICTURES)
        assert (ROOT / name).is_file(), link


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_inside_the_repository_lead_somewhere(page):
    if not (ROOT / page).is_file():
        pytest.skip(f"{page} is not part of the source distribution")
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (ROOT / target).exists(), target
