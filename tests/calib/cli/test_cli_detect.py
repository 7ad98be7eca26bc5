"""The command line of detectors, called as a function; bad files and options row by row."""

from __future__ import annotations

import copy
import gzip
import json
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calib import TemperatureCalibrator, load, save
from calib.cli import main
from calib.datasets import make_detection_scenes
from calib.detection import (
    DetectionCalibrator,
    Detections,
    FallbackWarning,
    GroundTruth,
    from_coco,
    read_coco_detections,
)

N_IMAGES = 150
Document = dict[str, Any]


def annotations_of(truth: GroundTruth) -> Document:
    """Write annotations by other means than the library's."""
    corners = truth.boxes.tolist()
    columns = zip(
        corners, truth.labels.tolist(), truth.image_id.tolist(), truth.ignore.tolist(), strict=True
    )
    return {
        "images": [
            {"id": i, "width": w, "height": h}
            for i, (w, h) in zip(truth.images.tolist(), truth.sizes.tolist(), strict=True)
        ],
        "categories": [{"id": k, "name": name} for k, name in truth.class_names.items()],
        "annotations": [
            {
                "id": number,
                "image_id": image,
                "category_id": label,
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "iscrowd": int(ignore),
            }
            for number, ((x0, y0, x1, y1), label, image, ignore) in enumerate(columns)
        ],
    }


def rows_of(found: Detections) -> list[Document]:
    columns = zip(
        found.boxes.tolist(),
        found.labels.tolist(),
        found.image_id.tolist(),
        found.scores.tolist(),
        strict=True,
    )
    return [
        {
            "image_id": image,
            "category_id": label,
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "score": score,
            "track": number,
        }
        for number, ((x0, y0, x1, y1), label, image, score) in enumerate(columns)
    ]


@pytest.fixture(scope="module")
def scenes() -> tuple[Detections, GroundTruth]:
    return make_detection_scenes(N_IMAGES, random_state=3)


@pytest.fixture(scope="module")
def rows(scenes: tuple[Detections, GroundTruth]) -> list[Document]:
    return rows_of(scenes[0])


@pytest.fixture
def folder(
    tmp_path: Path,
    scenes: tuple[Detections, GroundTruth],
    rows: list[Document],
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """Return a folder with all detections, all annotations, and annotations of 100 images."""
    _, truth = scenes
    write(tmp_path / "all.json.gz", annotations_of(truth))
    write(tmp_path / "gt.json", annotations_of(truth.in_images(np.arange(100))))
    write(tmp_path / "found.json.gz", rows)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, document: Any) -> Path:
    text = json.dumps(document).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def read(path: Path) -> Any:
    content = path.read_bytes()
    return json.loads(gzip.decompress(content) if path.suffix == ".gz" else content)


@pytest.fixture
def succeeds(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Return a function that runs a command; notes follow its output, other words are none."""

    def run(*arguments: object) -> str:
        code = main(["detect", *(str(argument) for argument in arguments)])
        out, err = capsys.readouterr()
        assert code == 0, err
        assert all(line.startswith("calib: note: ") for line in err.splitlines()), err
        return out + err

    return run


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def run(*arguments: object) -> str:
        code = main(["detect", *(str(argument) for argument in arguments)])
        out, err = capsys.readouterr()
        assert code == 2
        assert out == ""
        lines = err.splitlines()
        assert len(lines) == 1, err
        assert lines[0].startswith("calib: error: ")
        assert "Traceback" not in err
        return lines[0]

    return run


FIT = ("fit", "--truth", "all.json.gz", "--detections", "found.json.gz", "--out", "cal.json")


# ---------------------------------------------------------------------- fit


def test_fit_equals_python(folder, succeeds):
    text = succeeds(*FIT)
    found, truth = from_coco(folder / "found.json.gz", folder / "all.json.gz")
    wanted = DetectionCalibrator().fit(found, truth)
    fitted = load(folder / "cal.json")
    assert fitted.get_params() == wanted.get_params()
    assert fitted.raw_thresholds_ == wanted.raw_thresholds_
    assert fitted.transform(found).scores.tolist() == wanted.transform(found).scores.tolist()
    n_boxes = int((~truth.ignore).sum())
    assert text.startswith(
        f"platt on {len(found)} detections and {n_boxes} annotated boxes in 150 images"
    )
    assert "8 classes\n" in text
    assert "a calibrated score is the expected overlap" in text
    low, high = min(wanted.raw_thresholds_.values()), max(wanted.raw_thresholds_.values())
    assert f"raw thresholds: {low:.3f} to {high:.3f} (median " in text
    assert f"; {sum(wanted.class_counts_.values())} detections enter the fit\n" in text
    assert "\ncalibrated thresholds: 0." in text
    assert text.endswith("wrote cal.json\n")


def test_fit_leaves_out_images_without_annotation(folder, succeeds, scenes):
    text = succeeds(*FIT[:2], "gt.json", *FIT[3:])
    found, truth = scenes
    n_out = int((found.image_id >= 100).sum())
    assert (
        f"calib: note: found.json.gz: left out {n_out} of {len(found)} rows, in 50 images that "
        f"the annotations do not list\n"
    ) in text
    assert "in 100 images, 8 classes" in text
    part = found[found.image_id < 100]
    wanted = DetectionCalibrator().fit(part, truth.in_images(np.arange(100)))
    mapped = load(folder / "cal.json").transform(part).scores
    assert mapped == pytest.approx(wanted.transform(part).scores, abs=1e-12)


def test_fit_counts_images_without_detections(folder, succeeds, rows):
    write(folder / "few.json", [row for row in rows if row["image_id"] >= 10])
    text = succeeds(*FIT[:4], "few.json", *FIT[5:])
    assert "in 150 images (10 without a detection)" in text


def test_cross_check_is_out_of_fold(folder, succeeds):
    """An over-confident detector: calibration repairs the mean and lowers the squared error."""
    lines = succeeds(*FIT).splitlines()
    assert re.fullmatch(
        r"check of the \d+ detections that reach the raw thresholds, cross-fitted \(5 folds\):",
        lines[-5],
    )
    heading, before, after = (line.split("  ") for line in lines[-4:-1])
    assert [cell.strip() for cell in heading if cell] == [
        "mean score",
        "mean overlap",
        "squared error",
        "LaECE (25 bins)",
    ]
    first, second = ([cell.strip() for cell in row if cell] for row in (before, after))
    assert (first[0], second[0]) == ("before", "after")
    assert first[2] == second[2], "the same overlaps: the map keeps the order"
    numbers = np.array([first[1:], second[1:]], dtype=float)
    assert abs(numbers[1, 0] - numbers[1, 1]) < abs(numbers[0, 0] - numbers[0, 1]) / 3
    assert numbers[1, 2] < numbers[0, 2]
    again = succeeds(*FIT).splitlines()
    assert again == lines, "nothing random"


def test_few_images_are_checked_in_sample(folder, succeeds, scenes):
    _, truth = scenes
    write(folder / "small.json", annotations_of(truth.in_images(np.arange(15))))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what so few images lack
        text = succeeds(*FIT[:2], "small.json", *FIT[3:], "--threshold", "0.3")
    assert ", in-sample (optimistic):\n" in text


def test_options_of_fit(folder, succeeds):
    def fitted(*options: str) -> DetectionCalibrator:
        succeeds(*FIT, *options)
        found: DetectionCalibrator = load(folder / "cal.json")
        return found

    assert fitted("--method", "isotonic").calibrator == "isotonic"
    assert fitted("--per-class", "no").class_maps_ == {}
    assert fitted("--per-class", "shrink").per_class == "shrink"
    assert set(fitted("--threshold", "0.4").raw_thresholds_.values()) == {0.4}
    assert fitted("--threshold", "none").threshold is None
    assert fitted("--threshold", "lrp", "--iou-threshold", "0.25").iou_threshold == 0.25
    assert fitted("--form", "published").form == "published"
    grid = fitted("--method", "grid_histogram", "--features", "cx, cy")
    assert grid.features == ("cx", "cy")
    assert fitted("--target", "tp").target == "tp"


def test_texts_of_fit(folder, succeeds):
    text = succeeds(*FIT, "--target", "tp", "--threshold", "0.3")
    assert "a calibrated score is the chance of being right" in text
    assert "raw thresholds: 0.300; " in text
    assert "calibrated thresholds: 0.300\n" in text
    assert "share right  Brier score  D-ECE (10 bins)" in text
    assert "thresholds: none, all " in succeeds(*FIT, "--threshold", "none")
    assert "maps: " not in succeeds(*FIT, "--per-class", "no")
    identity = succeeds(*FIT, "--method", "identity")
    assert "maps: " not in identity
    assert "note" not in identity


def test_classes_that_share_the_pooled_map_are_named(folder, succeeds, rows):
    rare = [row for row in rows if row["category_id"] != 7]
    rare += [row for row in rows if row["category_id"] == 7][:25]
    rare = [row for row in rare if row["category_id"] != 5]
    write(folder / "rare.json", rare)
    for per_class in ("shrink", "yes"):  # no second word about them under "yes"
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "1 of 8 classes have no true positive")
            text = succeeds(*FIT[:4], "rare.json", *FIT[5:], "--per-class", per_class)
        assert "maps: 6 classes have one of their own, 2 take the pooled one\n" in text
        assert "  1 with fewer than 20 detections: clock\n" in text
        assert "  1 with no detection: boat\n" in text


def test_a_map_that_harms_is_noted(folder, succeeds):
    succeeds(*FIT)
    succeeds("apply", "cal.json", "found.json.gz", "--out", "good.json")
    options = ("--method", "grid_histogram", "--features", "cx,cy,w,h", "--per-class", "yes")
    text = succeeds(*FIT[:2], "gt.json", FIT[3], "good.json", *FIT[5:], *options)
    assert "calib: note: the map makes the squared error larger, from" in text


def test_logits_and_class_numbers(folder, succeeds, rows, scenes):
    found, truth = scenes
    other = copy.deepcopy(rows)
    for row in other:
        row["score"] = float(np.log(row["score"] / (1 - row["score"])))
        row["category_id"] += 10
    write(folder / "other.json", other)
    write(folder / "map.json", {str(k + 10): k for k in range(8)})
    reading = ("--score-type", "logit", "--category-map", "map.json")
    succeeds(*FIT[:4], "other.json", *FIT[5:], *reading)
    succeeds("apply", "cal.json", "other.json", "--out", "new.json", *reading)
    wanted = DetectionCalibrator().fit(found, truth).transform(found).scores
    new = read(folder / "new.json")
    assert [row["score"] for row in new] == pytest.approx(wanted, abs=1e-9)
    assert [row["category_id"] for row in new] == [row["category_id"] for row in other]


def test_impossible_rows_can_be_dropped(folder, succeeds, fails, rows):
    write(folder / "bad.json", [{**rows[0], "bbox": [0, 0, -1, 5]}, *rows])
    text = fails(*FIT[:4], "bad.json", *FIT[5:])
    assert "bad.json, row 0" in text
    assert "pass --on-invalid drop to" in text
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out = succeeds(*FIT[:4], "bad.json", *FIT[5:], "--on-invalid", "drop")
    assert f"platt on {len(rows)} detections" in out


# ---------------------------------------------------------------------- apply


@pytest.fixture
def fitted(folder: Path, succeeds: Callable[..., str]) -> DetectionCalibrator:
    succeeds(*FIT)
    calibrator: DetectionCalibrator = load(folder / "cal.json")
    return calibrator


def test_apply_changes_scores_alone(folder, succeeds, fitted, rows):
    text = succeeds("apply", "cal.json", "found.json.gz", "--out", "new.json")
    assert text == f"wrote {len(rows)} rows to new.json\n"
    new = read(folder / "new.json")
    wanted = fitted.transform(read_coco_detections(folder / "found.json.gz")).scores
    assert [row["score"] for row in new] == wanted.tolist()
    assert [{**row, "score": 0} for row in new] == [{**row, "score": 0} for row in rows]
    assert [list(row) for row in new] == [list(row) for row in rows]


def test_apply_writes_beside_the_file(folder, succeeds, fitted):
    assert "found.calibrated.json.gz" in succeeds("apply", "cal.json", "found.json.gz")
    assert read(folder / "found.calibrated.json.gz")
    (folder / "found.json").write_bytes(gzip.decompress((folder / "found.json.gz").read_bytes()))
    assert "found.calibrated.json\n" in succeeds("apply", "cal.json", "found.json")


def test_apply_can_keep_raw_scores(folder, succeeds, fails, fitted, rows):
    succeeds("apply", "cal.json", "found.json.gz", "--out", "new.json.gz", "--keep-raw")
    new = read(folder / "new.json.gz")
    assert [row["score_raw"] for row in new] == [row["score"] for row in rows]
    assert "score_raw" in fails("apply", "cal.json", "new.json.gz", "--keep-raw")


def test_apply_can_drop_what_is_below_both_thresholds(folder, succeeds, fitted, rows):
    text = succeeds("apply", "cal.json", "found.json.gz", "--out", "kept.json", "--threshold")
    found = read_coco_detections(folder / "found.json.gz")
    keep = fitted.operating_mask(found)
    new = read(folder / "kept.json")
    assert 0 < len(new) < len(rows)
    assert [row["track"] for row in new] == np.flatnonzero(keep).tolist()
    assert text == f"wrote {len(new)} of {len(rows)} rows, those above thresholds, to kept.json\n"
    for row in new:
        label = row["category_id"]
        assert row["score"] >= fitted.calibrated_thresholds_[label]
        assert rows[row["track"]]["score"] >= fitted.raw_thresholds_[label]


def test_apply_takes_images_of_any_number(folder, succeeds, fitted, rows):
    """No annotations are needed, and rows of any image are calibrated."""
    write(folder / "new.json", [{**row, "image_id": row["image_id"] + 10**6} for row in rows])
    assert f"wrote {len(rows)} rows" in succeeds("apply", "cal.json", "new.json")


def test_maps_of_positions_need_image_sizes(folder, succeeds, fails):
    options = ("--method", "dependent_logistic", "--features", "cx,cy,w,h")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        succeeds(*FIT, *options)
    text = fails("apply", "cal.json", "found.json.gz")
    assert "reads positions in the image" in text
    assert "--truth" in text
    command = ("apply", "cal.json", "found.json.gz", "--out", "new.json", "--truth")
    succeeds(*command, "all.json.gz")
    found, _ = from_coco(folder / "found.json.gz", folder / "all.json.gz")
    wanted = load(folder / "cal.json").transform(found).scores
    assert [row["score"] for row in read(folder / "new.json")] == wanted.tolist()
    assert "do not list" in fails(*command, "gt.json"), "every row is to be kept"


# ---------------------------------------------------------------------- report


REPORT = ("report", "--truth", "gt.json", "--detections", "found.json.gz", "--resamples", "10")


@pytest.mark.filterwarnings("ignore::calib.evaluation.FitImagesWarning")
def test_report(folder, succeeds, fitted):
    from calib.evaluation import detection_report

    succeeds(*FIT[:-1], "iso.json", "--method", "isotonic")
    text = succeeds(*REPORT, "--calibrator", "cal.json", "iso.json", "--html", "page.html",
                    "--json", "numbers.json", "--seed", "4", "--level", "0.9")  # fmt: skip
    assert "left out" in text
    assert "wrote page.html\nwrote numbers.json\n" in text
    truth = from_coco(folder / "found.json.gz", folder / "all.json.gz")[1]
    found = read_coco_detections(folder / "found.json.gz", truth)
    result = detection_report(
        found[found.image_id < 100],
        truth.in_images(np.arange(100)),
        calibrator={"cal": fitted, "iso": load(folder / "iso.json")},
        confidence_level=0.9,
        n_resamples=10,
        random_state=4,
    )
    assert str(result) in text
    assert read(folder / "numbers.json") == json.loads(json.dumps(result.to_dict()))
    page = (folder / "page.html").read_text(encoding="utf-8")
    assert "iso" in page
    assert page.lstrip().lower().startswith("<!doctype html")


def test_report_of_one_calibrator_prints_only(folder, succeeds, fitted):
    before = sorted(folder.iterdir())
    text = succeeds(*REPORT, "--calibrator", "cal.json")
    assert "LaECE" in text
    assert sorted(folder.iterdir()) == before


# ---------------------------------------------------------------------- bad input


def test_bad_command_line(folder, fails, fitted):
    assert "COMMAND" in fails()
    assert "invalid choice: 'fits'" in fails("fits")
    assert "--truth" in fails("fit", "--detections", "found.json.gz", "--out", "c.json")
    assert "'half' is neither lrp nor none nor a number" in fails(*FIT, "--threshold", "half")
    assert "invalid choice: 'maybe'" in fails(*FIT, "--per-class", "maybe")
    assert "invalid choice: 'loss'" in fails(*FIT, "--target", "loss")
    assert "unknown calibrator 'plat'; known names: identity" in fails(*FIT, "--method", "plat")
    assert "features must be names among" in fails(*FIT, "--features", "depth")
    assert "reads scores alone" in fails(*FIT, "--features", "cx")
    assert "iou_threshold must" in fails(*FIT, "--iou-threshold", "2")
    assert "saved as .json files" in fails(*FIT[:-1], "cal.pkl")
    assert "there is no directory" in fails(*FIT[:-1], "none/cal.json")
    assert "--calibrator" in fails(*REPORT)
    same = ("--html", "a", "--json", "a")
    assert "name the same file" in fails(*REPORT, "--calibrator", "cal.json", *same)
    assert "written as .json or .json.gz" in fails(
        "apply", "cal.json", "found.json.gz", "--out", "new.csv"
    )


def test_a_failed_fit_leaves_no_file(folder, fails, rows):
    write(folder / "found.json.gz", [{**row, "score": 2.0} for row in rows])
    text = fails(*FIT)
    assert "found.json.gz: score" in text
    assert "--score-type logit" in text
    assert not (folder / "cal.json").exists()


def damaged(folder: Path, rows: list[Document]) -> dict[str, str]:
    """Write damaged files of detections; return what is to be said of each."""
    whole = (folder / "found.json.gz").read_bytes()
    (folder / "cut.json.gz").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.json").touch()
    (folder / "text.json").write_text("image_id,score\n")
    (folder / "half.json").write_text(json.dumps(rows)[:1000])
    (folder / "binary.json").write_bytes(bytes(range(128, 256)))
    write(folder / "keyless.json", [{k: v for k, v in rows[0].items() if k != "bbox"}])
    write(folder / "object.json", {"detections": rows})
    write(folder / "none.json", [])
    write(folder / "class.json", [{**rows[0], "category_id": 99}])
    write(folder / "image.json", [{**rows[0], "image_id": 10**6}])
    write(folder / "nan.json", [{**rows[0], "score": "high"}])
    return {
        "cut.json.gz": "cut.json.gz is a damaged gzip file",
        "empty.json": "empty.json is empty",
        "text.json": "text.json is not complete, valid JSON",
        "half.json": "half.json is not complete, valid JSON",
        "binary.json": "binary.json is not complete, valid JSON",
        "keyless.json": "keyless.json, row 0 has no 'bbox'",
        "object.json": "object.json must be a list of detections",
        "none.json": "none.json holds no detections",
        "class.json": "do not know (--category-map translates class ids); such ids are [99]",
        "image.json": "image.json: none of its 1 rows lies in an image that the annotations list",
        "nan.json": "nan.json, row 0 has 'score' that must be a number",
        "absent.json": "no such file: absent.json",
        "all.json.gz": "are detections and annotations swapped?",
    }


def test_bad_files_of_detections(folder, fails, fitted, rows):
    for name, text in damaged(folder, rows).items():
        assert text in fails(*FIT[:4], name, *FIT[5:]), name
        assert text in fails(*REPORT[:4], name, "--calibrator", "cal.json"), name
        if name not in ("none.json", "class.json", "image.json"):
            assert text in fails("apply", "cal.json", name), name
    assert not list(folder.glob("*.calibrated.*"))


def test_bad_files_of_annotations(folder, fails, scenes):
    document = annotations_of(scenes[1])
    del document["annotations"][3]["bbox"]
    write(folder / "boxless.json", document)
    write(folder / "imageless.json", {k: v for k, v in document.items() if k != "images"})
    (folder / "cut.json.gz").write_bytes((folder / "all.json.gz").read_bytes()[:500])
    for name, text in {
        "boxless.json": "boxless.json, annotations, row 3 (id 3) has no 'bbox'",
        "imageless.json": "imageless.json has no 'images'",
        "cut.json.gz": "cut.json.gz is a damaged gzip file",
        "found.json.gz": "are detections and annotations swapped?",
        "absent.json": "no such file: absent.json",
    }.items():
        assert text in fails(*FIT[:2], name, *FIT[3:]), name


def test_bad_category_maps(folder, fails):
    for document, text in {
        "[1, 2]": "must be an object",
        '{"cat": 1}': '{"cat": 1}',
        '{"1": "cat"}': '{"1": "cat"}',
        '{"1": 1.5}': '{"1": 1.5}',
        '{"50": 1}': "category_map",
        "{": "map.json is not complete, valid JSON",
    }.items():
        (folder / "map.json").write_text(document)
        assert text in fails(*FIT, "--category-map", "map.json"), document


def test_bad_calibrator_files(folder, fails, fitted):
    text = (folder / "cal.json").read_text(encoding="utf-8")
    scores = np.linspace(0.1, 0.9, 20)
    save(TemperatureCalibrator().fit(scores, np.arange(20) % 2), folder / "classes.json")
    (folder / "cut.json").write_text(text[:1000])
    (folder / "empty.json").touch()
    for name, wanted in {
        "classes.json": "holds a TemperatureCalibrator of class scores",
        "cut.json": "cut.json",
        "empty.json": "is empty",
        "absent.json": "no such file: absent.json",
    }.items():
        assert wanted in fails("apply", name, "found.json.gz"), name
        assert wanted in fails(*REPORT, "--calibrator", "cal.json", name), name


def test_other_warnings_stay_warnings(folder, capsys, rows):
    write(folder / "high.json", [{**row, "category_id": 0} for row in rows[:40]])
    write(folder / "none.json", {**read(folder / "all.json.gz"), "annotations": []})
    command = ["detect", *FIT[:2], "none.json", "--detections", "high.json", *FIT[5:]]
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert main(command) == 0
    out, err = capsys.readouterr()
    assert "calib: warning: no calibration map can be fitted" in err
    assert "nan" in out
    with warnings.catch_warnings():
        warnings.simplefilter("error", FallbackWarning)
        assert main(command) == 2


def test_progress(folder, succeeds, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert main(["detect", *FIT]) == 0
    assert capsys.readouterr().err == ""


def test_interrupt(folder, monkeypatch, capsys):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(DetectionCalibrator, "fit", interrupted)
    assert main(["detect", *FIT]) == 130
    assert capsys.readouterr().err == "calib: error: interrupted\n"


@pytest.mark.shared_data
def test_real_detector(shared_data, tmp_path, monkeypatch, succeeds):
    """The detections cover 1229 images, the annotations half of them."""
    source = shared_data / "detection"
    monkeypatch.chdir(tmp_path)
    dets = source / "yolox_nano_dets.json.gz"
    half = source / "coco_val2017_1229_gt_minival.json.gz"
    text = succeeds("fit", "--truth", half, "--detections", dets, "--out", "cal.json")
    assert "left out 52054 of 104023 rows, in 615 images" in text
    assert "platt on 51969 detections and 3340 annotated boxes in 614 images, 80 classes" in text
    assert len(load(tmp_path / "cal.json").raw_thresholds_) == 80
    assert "wrote 104023 rows to" in succeeds("apply", "cal.json", dets, "--out", "new.json.gz")
