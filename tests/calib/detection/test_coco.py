"""COCO files: what is read, what is refused with which words, and what is written back."""

from __future__ import annotations

import copy
import gzip
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from calib.detection import (
    BoxFormatWarning,
    Detections,
    GroundTruth,
    InvalidRowsWarning,
    UnknownImagesWarning,
    from_coco,
    read_coco_annotations,
    read_coco_detections,
    rescored_coco,
    write_coco_detections,
)


def annotated() -> dict[str, Any]:
    """Return three images, one of them without a box, and boxes of two of three categories."""
    return {
        "info": {"year": 2024},
        "images": [
            {"id": 8, "width": 80, "height": 60, "file_name": "8.jpg"},
            {"id": 7, "width": 64, "height": 48},
            {"id": 9, "width": 90, "height": 90},
        ],
        "categories": [
            {"id": 3, "name": "cat", "supercategory": "animal"},
            {"id": 1, "name": "dog"},
            {"id": 90, "name": "kite"},
        ],
        "annotations": [
            {"id": 0, "image_id": 7, "category_id": 3, "bbox": [1, 2, 10, 20], "area": 150.5},
            {"id": 5, "image_id": 8, "category_id": 1, "bbox": [0.5, 0, 4, 5], "iscrowd": 1},
            {"id": 2, "image_id": 7, "category_id": 3, "bbox": [3, 3, 0, 0], "ignore": 1},
        ],
    }


def detected() -> list[dict[str, Any]]:
    return [
        {"image_id": 8, "category_id": 1, "bbox": [0, 0, 4, 5], "score": 0.25, "id": 11},
        {"image_id": 7, "category_id": 3, "bbox": [1.5, 2, 10, 20], "score": 1},
        {"image_id": 8, "category_id": 90, "bbox": [5, 5, 4, 5], "score": 0.0, "x": {"y": [None]}},
    ]


def changed(rows: list[dict[str, Any]], row: int, **values: Any) -> list[dict[str, Any]]:
    rows = copy.deepcopy(rows)
    rows[row].update(values)
    return rows


def without(rows: list[dict[str, Any]], row: int, key: str) -> list[dict[str, Any]]:
    rows = copy.deepcopy(rows)
    del rows[row][key]
    return rows


def saved(path: Path, value: Any) -> Path:
    text = json.dumps(value)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


# ---------------------------------------------------------------------- reading


def test_every_field_is_filled() -> None:
    found, truth = from_coco(detected(), annotated())
    assert found.boxes.tolist() == [[0, 0, 4, 5], [1.5, 2, 11.5, 22], [5, 5, 9, 10]]
    assert found.scores.tolist() == [0.25, 1, 0]
    assert found.labels.tolist() == [1, 3, 90]
    assert found.image_id.tolist() == [8, 7, 8]
    assert found.image_size.tolist() == [[80, 60], [64, 48], [80, 60]]  # type: ignore[union-attr]
    assert truth.boxes.tolist() == [[1, 2, 11, 22], [0.5, 0, 4.5, 5], [3, 3, 3, 3]]
    assert truth.labels.tolist() == [3, 1, 3]
    assert truth.image_id.tolist() == [7, 8, 7]
    assert truth.ignore.tolist() == [False, True, True]
    assert truth.area.tolist() == [150.5, 20, 0]
    assert truth.images.tolist() == [7, 8, 9]
    assert truth.sizes.tolist() == [[64, 48], [80, 60], [90, 90]]  # type: ignore[union-attr]
    assert truth.class_names == {3: "cat", 1: "dog", 90: "kite"}
    assert truth.negative is None
    assert truth.not_exhaustive is None


@pytest.mark.parametrize("names", [("d.json", "a.json"), ("d.json.gz", "a.gz")])
@pytest.mark.parametrize("kind", [Path, str])
def test_files(tmp_path: Path, names: tuple[str, str], kind: type) -> None:
    paths = saved(tmp_path / names[0], detected()), saved(tmp_path / names[1], annotated())
    found, truth = from_coco(*map(kind, paths))
    again, _ = from_coco(detected(), annotated())
    np.testing.assert_array_equal(found.boxes, again.boxes)
    assert len(truth) == 3


def test_gzip_is_told_by_content(tmp_path: Path) -> None:
    packed = saved(tmp_path / "d.json.gz", detected()).rename(tmp_path / "packed.json")
    plain = saved(tmp_path / "d.json", detected()).rename(tmp_path / "plain.json.gz")
    assert len(read_coco_detections(packed)) == len(read_coco_detections(plain)) == 3
    marked = tmp_path / "marked.json"
    marked.write_bytes(b"\xef\xbb\xbf" + json.dumps(detected()).encode())
    assert len(read_coco_detections(marked)) == 3


def test_nothing_found_and_nothing_annotated() -> None:
    empty = {"images": [], "annotations": [], "categories": []}
    found, truth = from_coco([], empty)
    assert (len(found), len(truth), len(truth.images)) == (0, 0, 0)
    found, truth = from_coco([], {**annotated(), "annotations": []})
    assert found.position().shape == (0, 4)
    assert truth.images.tolist() == [7, 8, 9]


def test_detections_alone_and_with_annotations() -> None:
    alone = read_coco_detections(detected())
    assert alone.image_size is None
    truth = read_coco_annotations(annotated())
    np.testing.assert_array_equal(
        read_coco_detections(detected(), truth).position()[0], [2 / 80, 2.5 / 60, 4 / 80, 5 / 60]
    )
    arrays = GroundTruth(truth.boxes, truth.labels, truth.image_id)  # no sizes, no categories
    assert read_coco_detections(detected(), arrays).image_size is None


def test_detections_in_an_object() -> None:
    assert len(read_coco_detections({"annotations": detected(), "info": {}})) == 3
    assert len(read_coco_detections({"annotations": []})) == 0
    for unclear in (
        {"annotations": detected(), "predictions": detected()},
        {"predictions": detected()},
        {},
    ):
        with pytest.raises(ValueError, match="detections must be a list of detections with"):
            read_coco_detections(unclear)


def test_text_ids_and_whole_floats() -> None:
    rows = [{**row, "image_id": str(row["image_id"])} for row in detected()]
    assert read_coco_detections(rows).image_id.tolist() == ["8", "7", "8"]
    truth = annotated()
    for row in truth["images"]:
        row["id"] = str(row["id"])
    for row in truth["annotations"]:
        row["image_id"] = str(row["image_id"])
    found, read = from_coco(rows, truth)
    assert found.image_size.tolist()[1] == [64, 48]  # type: ignore[union-attr]
    assert read.images.tolist() == ["7", "8", "9"]
    floats = changed(detected(), 0, image_id=8.0, category_id=1.0)
    assert read_coco_detections(floats).image_id.tolist() == [8, 7, 8]
    large = changed(detected(), 0, image_id=2**62 + 1)
    large[1]["image_id"] = 7.0
    assert read_coco_detections(large).image_id[0] == 2**62 + 1


def test_logits_and_class_indices() -> None:
    rows = changed(detected(), 0, score=-3.0)
    with pytest.raises(ValueError, match=r"detections: score has values outside.*'logit'"):
        read_coco_detections(rows)
    assert read_coco_detections(rows, score_type="logit").scores[2] == 0.5
    mapped = read_coco_detections(detected(), category_map={1: 10, 3: 10, 90: 4})
    assert mapped.labels.tolist() == [10, 10, 4]
    for mapping, text in [
        ({1: 10}, r"detections: category_map has no entry for class ids \[3, 90\]"),
        ([1, 2], r"dict\(enumerate\(...\)\)"),
        ({"1": 10}, "integers to integers"),
    ]:
        with pytest.raises(ValueError, match=text):
            read_coco_detections(detected(), category_map=mapping)  # type: ignore[arg-type]


def test_federated_annotations() -> None:
    document = annotated()
    for row, negative, partial in zip(
        document["images"], ([90], [], [1, 90]), ([1], [], []), strict=True
    ):
        row |= {"neg_category_ids": negative, "not_exhaustive_category_ids": partial}
    truth = read_coco_annotations(document)
    assert truth.negative.tolist() == [[8, 90], [9, 1], [9, 90]]  # type: ignore[union-attr]
    assert truth.not_exhaustive.tolist() == [[8, 1]]  # type: ignore[union-attr]
    for wrong, text in [(["1"], r"'1' in 'neg.*no category id"), ([4], "4 in"), (3, "a list")]:
        document["images"][2]["neg_category_ids"] = wrong
        with pytest.raises(ValueError, match=r"images, row 2 \(id 9\).*" + text):
            read_coco_annotations(document)
    del document["images"][2]["neg_category_ids"]
    with pytest.raises(ValueError, match=r"row 2 \(id 9\) has no 'neg_category_ids', but other"):
        read_coco_annotations(document)


# ---------------------------------------------------------------------- rows that are refused

ROWS = {
    "no score": (without(detected(), 1, "score"), r"row 1 has no 'score'; are these annotations"),
    "no box": (without(detected(), 0, "bbox"), r"row 0 \(id 11\) has no 'bbox'"),
    "no image": (without(detected(), 2, "image_id"), r"row 2 has no 'image_id'"),
    "no class": (without(detected(), 2, "category_id"), r"row 2 has no 'category_id'"),
    "boolean score": (changed(detected(), 1, score=True), r"row 1 .*'score'.*number; got True"),
    "text score": (changed(detected(), 1, score="0.5"), r"row 1 .*'score'.*number; got '0.5'"),
    "null score": (changed(detected(), 1, score=None), r"row 1 .*'score'.*number; got None"),
    "NaN score": (changed(detected(), 1, score=float("nan")), r"row 1 holds NaN.*score nan"),
    "high score": (changed(detected(), 1, score=1.5), r"outside \[0, 1\].*first in row 1"),
    "null box": (changed(detected(), 1, bbox=None), r"row 1 .*'bbox'.*four numbers.*got None"),
    "short box": (changed(detected(), 1, bbox=[1, 2, 3]), r"row 1 .*'bbox'.*four numbers"),
    "text box": (changed(detected(), 1, bbox="1234"), r"row 1 .*'bbox'.*four numbers"),
    "texts in box": (changed(detected(), 1, bbox=[1, 2, "3", 4]), r"row 1 .*'bbox'"),
    "booleans in box": (changed(detected(), 1, bbox=[1, 2, True, 4]), r"row 1 .*'bbox'"),
    "nested box": (changed(detected(), 1, bbox=[1, 2, [3], 4]), r"row 1 .*'bbox'"),
    "NaN box": (changed(detected(), 1, bbox=[0, 0, float("nan"), 1]), r"row 1 holds NaN"),
    "negative": (changed(detected(), 1, bbox=[9, 9, -1, 1]), r"row 1 .*negative.*x, y, width"),
    "tiny negative": (changed(detected(), 1, bbox=[9, 9, -1e-20, 1]), r"row 1 .*negative"),
    "overflow": (changed(detected(), 1, bbox=[1e308, 0, 1e308, 1]), r"row 1 holds NaN, an inf"),
    "huge box": (changed(detected(), 1, bbox=[10**400, 0, 1, 1]), r"row 1 .*fits a float"),
    "huge score": (changed(detected(), 1, score=10**400), r"row 1 .*fits a float"),
    "huge id": (changed(detected(), 1, image_id=10**30), r"row 1 .*'image_id'.*64 bits"),
    "text class": (changed(detected(), 1, category_id="3"), r"row 1 .*'category_id'.*integer"),
    "half a class": (changed(detected(), 1, category_id=1.5), r"row 1 .*'category_id'.*got 1.5"),
    "boolean id": (changed(detected(), 1, image_id=True), r"row 1 .*'image_id'.*got True"),
    "mixed ids": (changed(detected(), 1, image_id="7"), r"row 1 .*a text in every row; got '7'"),
    "null id": (changed(detected(), 1, image_id=None), r"row 1 .*'image_id'.*got None"),
    "a list as row": ([*detected(), []], r"row 3 must be an object; got a list"),
    "null as row": ([None], r"row 0 must be an object; got null"),
}  # fmt: skip


@pytest.mark.parametrize("as_file", [False, True], ids=["loaded", "file"])
@pytest.mark.parametrize(("rows", "text"), ROWS.values(), ids=ROWS)
def test_refused_detections(tmp_path: Path, rows: Any, text: str, as_file: bool) -> None:
    source = saved(tmp_path / "found.json", rows) if as_file else rows
    with pytest.raises(ValueError, match=("found.json" if as_file else "detections") + ".*" + text):
        read_coco_detections(source)


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        (changed(detected(), 1, image_id=70), r"row 1 .*'image_id'.*do not list.*\[70\]"),
        (changed(detected(), 1, category_id=2), r"row 1 .*'category_id'.*do not know.*\[2\]"),
        (changed(detected(), 1, category_id=2), "category_map"),
        ([{**row, "image_id": "7"} for row in detected()], "mix texts and integers"),
    ],
)
def test_unknown_ids(rows: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        from_coco(rows, annotated())


def test_the_first_unknown_ids_are_listed() -> None:
    rows = [{**detected()[0], "image_id": i} for i in [8, *range(500, 400, -1)]]
    with pytest.raises(ValueError, match=r"first of 100 rows.*\[500, 499, 498, 497, 496\]"):
        from_coco(rows, annotated())


def test_rows_of_unknown_images_can_be_dropped() -> None:
    strangers = [{**detected()[0], "image_id": i} for i in (500, 400, 500)]
    rows = [strangers[0], *detected()[:2], *strangers[1:], detected()[2]]
    text = "^detections: left out 3 of 6 rows, in 2 images that the annotations do not list$"
    with pytest.warns(UnknownImagesWarning, match=text) as caught:
        found, truth = from_coco(rows, annotated(), unknown_images="drop")
    assert caught[0].filename == __file__
    wanted, _ = from_coco(detected(), annotated())
    assert found.image_id.tolist() == wanted.image_id.tolist()
    assert found.image_size.tolist() == wanted.image_size.tolist()  # type: ignore[union-attr]
    assert found.scores.tolist() == wanted.scores.tolist()
    assert found.labels.tolist() == wanted.labels.tolist()
    with pytest.warns(UnknownImagesWarning) as caught:
        read_coco_detections(rows, truth, unknown_images="drop")
    assert caught[0].filename == __file__
    assert len(from_coco(detected(), annotated(), unknown_images="drop")[0]) == 3, "no warning"
    assert len(from_coco([], annotated(), unknown_images="drop")[0]) == 0


def test_dropping_unknown_images_hides_no_other_fault() -> None:
    stranger = {**detected()[0], "image_id": 500}
    text = r"none of its 1 rows lies in .* begin \[500\], theirs \[7, 8, 9\]"
    with pytest.raises(ValueError, match=text):
        from_coco([stranger], annotated(), unknown_images="drop")
    for row in ({**stranger, "category_id": 2}, {**stranger, "bbox": [0, 0, -1, 1]}):
        with pytest.raises(ValueError, match="row 3"):
            from_coco([*detected(), row], annotated(), unknown_images="drop")
    broken = {**detected()[0], "bbox": [0, 0, -1, 1]}
    with (
        pytest.warns(UnknownImagesWarning, match="1 of 5"),
        pytest.warns(InvalidRowsWarning, match="1 of 4"),
    ):
        found, _ = from_coco(
            [broken, *detected(), stranger],
            annotated(),
            unknown_images="drop",
            on_invalid="drop",
        )
    assert len(found) == 3
    with pytest.raises(ValueError, match="needs ground_truth"):
        read_coco_detections(detected(), unknown_images="drop")
    with pytest.raises(ValueError, match="unknown_images must be one of"):
        from_coco(detected(), annotated(), unknown_images="skip")  # type: ignore[arg-type]


def test_swapped_arguments() -> None:
    with pytest.raises(ValueError, match="are detections and annotations swapped"):
        from_coco(annotated(), annotated())
    with pytest.raises(ValueError, match="are detections and annotations swapped"):
        from_coco(detected(), detected())
    with pytest.raises(ValueError, match="are these annotations instead"):
        read_coco_detections(annotated()["annotations"])


def spoilt(part: str, row: int, **values: Any) -> dict[str, Any]:
    document = annotated()
    document[part][row].update(values)
    return document


def lacking(part: str, row: int, key: str) -> dict[str, Any]:
    document = annotated()
    del document[part][row][key]
    return document


DOCUMENTS = {
    "no images": ({"annotations": [], "categories": []}, "has no 'images'"),
    "no categories": ({"annotations": [], "images": []}, "has no 'categories'"),
    "empty object": ({}, "no 'images' and no 'annotations' and no 'categories'"),
    "object for list": ({**annotated(), "images": {}}, "images must be a list; got an object"),
    "no box": (lacking("annotations", 1, "bbox"), r"row 1 \(id 5\) has no 'bbox'"),
    "null box": (spoilt("annotations", 1, bbox=None), r"row 1 \(id 5\).*'bbox'.*got None"),
    "no box, id 0": (lacking("annotations", 0, "bbox"), r"row 0 \(id 0\) has no 'bbox'"),
    "no id": (lacking("annotations", 1, "id"), r"annotations, row 1 has no 'id'"),
    "id twice": (spoilt("annotations", 1, id=0), r"annotations has the same id .*: \[0\]"),
    "image twice": (spoilt("images", 1, id=8), r"images has the same id in several rows: \[8\]"),
    "category twice": (spoilt("categories", 1, id=3), r"categories has the same id .*\[3\]"),
    "text category": (spoilt("categories", 1, id="1"), r"categories, row 1 .*'id'.*integer"),
    "no name": (lacking("categories", 2, "name"), r"categories, row 2 \(id 90\) has no 'name'"),
    "number as name": (spoilt("categories", 2, name=5), r"'name' that must be a text; got 5"),
    "image unknown": (spoilt("annotations", 2, image_id=70), r"row 2 \(id 2\).*'images'.*\[70\]"),
    "class unknown": (spoilt("annotations", 2, category_id=4), r"'categories' does not.*\[4\]"),
    "crowd of 2": (spoilt("annotations", 2, iscrowd=2), r"row 2 .*'iscrowd'.*0 or 1; got 2"),
    "crowd list": (spoilt("annotations", 2, iscrowd=[]), r"row 2 .*'iscrowd'.*0 or 1"),
    "null ignore": (spoilt("annotations", 2, ignore=None), r"row 2 .*'ignore'.*got None"),
    "text area": (spoilt("annotations", 2, area="1"), r"row 2 .*'area'.*number; got '1'"),
    "null area": (spoilt("annotations", 2, area=None), r"row 2 .*'area'.*number; got None"),
    "negative area": (spoilt("annotations", 2, area=-1), r"row 2 \(id 2\) has an 'area'.*>= 0"),
    "NaN area": (spoilt("annotations", 2, area=float("nan")), r"row 2 .*area nan"),
    "negative width": (spoilt("annotations", 2, bbox=[9, 9, -3, 1]), r"row 2 \(id 2\) .*negative"),
    "infinite box": (spoilt("annotations", 2, bbox=[9, 9, float("inf"), 1]), "row 2 .*inf"),
    "no width": (lacking("images", 1, "width"), r"row 1 \(id 7\) has no 'width', but other"),
    "empty image": (spoilt("images", 1, width=0), r"images, row 1 \(id 7\) has a width or height"),
    "text height": (spoilt("images", 1, height="48"), r"images, row 1 .*'height'.*number"),
    "mixed image ids": (spoilt("images", 1, id="7"), r"images, row 1 .*'id'.*a text in every row"),
}  # fmt: skip


@pytest.mark.parametrize("as_file", [False, True], ids=["loaded", "file"])
@pytest.mark.parametrize(("document", "text"), DOCUMENTS.values(), ids=DOCUMENTS)
def test_refused_annotations(tmp_path: Path, document: Any, text: str, as_file: bool) -> None:
    source = saved(tmp_path / "truth.json", document) if as_file else document
    with pytest.raises(ValueError, match=text) as caught:
        read_coco_annotations(source)
    assert str(caught.value).startswith("truth.json" if as_file else "annotations")


def test_sizes_may_be_absent() -> None:
    document = annotated()
    for row in document["images"]:
        del row["width"], row["height"]
    found, truth = from_coco(detected(), document)
    assert truth.sizes is None
    assert found.image_size is None
    for row in document["images"]:
        row["width"] = 9
    with pytest.raises(ValueError, match=r"row 0 \(id 8\) has no 'height'"):
        read_coco_annotations(document)


def test_invalid_rows_can_be_dropped() -> None:
    rows = changed(changed(detected(), 0, score=float("nan")), 1, bbox=[9, 9, -1, 1])
    with pytest.warns(InvalidRowsWarning, match="^detections: dropped 2 of 3 rows") as caught:
        left = read_coco_detections(rows, on_invalid="drop")
    assert left.labels.tolist() == [90]
    assert caught[0].filename == __file__
    document = spoilt("annotations", 0, area=float("inf"))
    with pytest.warns(
        InvalidRowsWarning, match="^annotations, annotations: dropped 1 of 3"
    ) as caught:
        _, truth = from_coco(detected(), document, on_invalid="drop")
    assert truth.images.tolist() == [7, 8, 9]
    assert len(truth) == 2
    assert caught[0].filename == __file__


def test_wrong_box_format_in_a_file_is_suspected() -> None:
    rows = [{**detected()[0], "bbox": [40, 30, 70, 55]} for _ in range(3)]
    with pytest.warns(BoxFormatWarning):
        from_coco(rows, annotated())


@pytest.mark.parametrize("name", ["score_type", "on_invalid"])
def test_options(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be one of"):
        from_coco(detected(), annotated(), **{name: "no"})


# ---------------------------------------------------------------------- files that are refused

DEEP = b"[" * 200_000 + b"]" * 200_000
BROKEN = {
    "empty": (b"", "is empty"),
    "cut": (json.dumps(detected()).encode()[:-20], "is not complete, valid JSON"),
    "gzip that ends early": (gzip.compress(json.dumps(detected()).encode())[:-9], "damaged gzip"),
    "gzip of nothing": (b"\x1f\x8b", "damaged gzip"),
    "gzip with an error": (b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xffabcdefgh", "damaged gzip"),
    "binary": (b"\x80\x81\x00", "is not complete, valid JSON"),
    "deep": (DEEP, "nested too deeply"),
    "deep inside": (b'[{"score": ' + DEEP + b"}]", "nested too deeply"),
    "thousands of digits": (b'[{"score": ' + b"9" * 5000 + b"}]", "valid JSON"),
    "number": (b"3", "must be a list; got a value of type int"),
    "text": (b'"a"', "must be a list; got a text"),
    "null": (b"null", "must be a list; got null"),
    "two values": (b"[] []", "valid JSON"),
}


@pytest.mark.parametrize(("content", "text"), BROKEN.values(), ids=BROKEN)
def test_broken_files(tmp_path: Path, content: bytes, text: str) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="broken.json.*" + text):
        read_coco_detections(path)
    with pytest.raises(ValueError, match=r"broken\.json"):
        read_coco_annotations(path)


def test_nan_literals_name_the_row(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    for literal in ("NaN", "Infinity", "-Infinity", "1e999"):
        text = json.dumps(detected()).replace("1.5", literal)
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=r"found\.json, row 1 holds NaN, an inf"):
            read_coco_detections(path)
        with pytest.warns(InvalidRowsWarning, match=r"found\.json: dropped 1 of 3"):
            read_coco_detections(path, on_invalid="drop")


def test_what_is_no_source(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_coco_detections(tmp_path / "absent.json")
    for source in (None, 3, {1, 2}, Detections([], [], [], [])):
        with pytest.raises(ValueError, match="detections must be a path, or the lists"):
            read_coco_detections(source)  # type: ignore[arg-type]


def json_values(**limits: bool) -> st.SearchStrategy[Any]:
    leaves = st.none() | st.booleans() | st.floats(**limits) | st.integers() | st.text(max_size=3)
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner),
        max_leaves=6,
    )


finite_values = json_values(allow_nan=False, allow_infinity=False)


@given(
    st.sampled_from(["image_id", "category_id", "bbox", "score"]),
    json_values() | st.lists(st.floats(-5, 60), min_size=4, max_size=4),
)
def test_any_value_is_read_or_refused(key: str, value: Any) -> None:
    rows = changed(detected(), 1, **{key: value})
    try:
        found = read_coco_detections(rows)
    except ValueError:
        return
    assert len(found) == 3
    assert np.isfinite(found.boxes).all()
    assert ((found.scores >= 0) & (found.scores <= 1)).all()


@given(st.sampled_from(["images", "annotations", "categories"]), json_values())
def test_any_part_is_read_or_refused(part: str, value: Any) -> None:
    try:
        read_coco_annotations({**annotated(), part: value})
    except ValueError:
        return
    assert isinstance(value, list)


# ---------------------------------------------------------------------- writing


def test_only_scores_change() -> None:
    rows = detected()
    before = copy.deepcopy(rows)
    new = rescored_coco(rows, [0.5, 0.25, 1])
    assert rows == before
    assert [row.pop("score") for row in new] == [0.5, 0.25, 1.0]
    assert new == [{k: v for k, v in row.items() if k != "score"} for row in before]
    assert [list(row) for row in rescored_coco(rows, [0.5] * 3)] == [list(row) for row in before]


def test_raw_scores_and_selection() -> None:
    new = rescored_coco(detected(), [0.5, 0.25, 1], keep_raw=True, keep=[True, False, True])
    assert [(row["score"], row["score_raw"], row["category_id"]) for row in new] == [
        (0.5, 0.25, 1), (1.0, 0.0, 90),
    ]  # fmt: skip
    assert rescored_coco(detected(), [0.5] * 3, keep=np.zeros(3, bool)) == []
    with pytest.raises(ValueError, match=r"row 0 \(id 11\) has a 'score_raw' already"):
        rescored_coco(new, [0.5, 0.5], keep_raw=True)
    assert rescored_coco(new, [0.5, 0.5])[0]["score_raw"] == 0.25


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"scores": [0.5] * 2}, "one value for each of the 3 rows of detections; got 2"),
        ({"scores": [0.5, np.nan, 0.5]}, "scores contains NaN or inf in row 1"),
        ({"scores": [0.5, 0.5, 1.5]}, r"scores has values outside \[0, 1\].*row 2"),
        ({"scores": [True] * 3}, "scores must hold numbers"),
        ({"scores": [[0.5]] * 3}, "scores must have shape"),
        ({"keep": [True]}, "keep must hold 3 booleans"),
        ({"keep": [0, 1, 2]}, "keep must hold 3 booleans"),
    ],
)
def test_writing_refuses(tmp_path: Path, change: dict[str, Any], text: str) -> None:
    arguments = {"scores": [0.5] * 3, **change}
    with pytest.raises(ValueError, match=text):
        rescored_coco(detected(), **arguments)
    with pytest.raises(ValueError, match=text):
        write_coco_detections(detected(), out=tmp_path / "out.json", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_written_files_are_equal_for_equal_input(tmp_path: Path) -> None:
    names = ["a.json", "b.json", "a.json.gz", "b.json.gz"]
    paths = [write_coco_detections(detected(), [0.5] * 3, tmp_path / name) for name in names]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[2].read_bytes() == paths[3].read_bytes()
    assert gzip.decompress(paths[2].read_bytes()) == paths[0].read_bytes()
    assert sorted(os.listdir(tmp_path)) == sorted(names)
    assert json.loads(paths[0].read_text()) == rescored_coco(detected(), [0.5] * 3)


def test_an_object_stays_an_object_and_a_file_may_be_replaced(tmp_path: Path) -> None:
    path = saved(tmp_path / "found.json", {"model": "m", "annotations": detected(), "n": 3})
    path.chmod(0o640)
    write_coco_detections(path, [0.5] * 3, path, keep_raw=True)
    written = json.loads(path.read_text())
    assert list(written) == ["model", "annotations", "n"]
    assert [row["score_raw"] for row in written["annotations"]] == [0.25, 1, 0.0]
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    target = saved(tmp_path / "target.json", [])
    link = tmp_path / "link.json"
    link.symlink_to(target)
    write_coco_detections(detected(), [0.5] * 3, link)
    assert link.is_symlink()
    assert len(json.loads(target.read_text())) == 3


def test_a_failure_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "found.json", detected())
    before = path.read_bytes()
    for bad, text in [
        (float("nan"), r"detections, row 1 cannot be written as JSON"),
        ({1, 2}, r"detections, row 1 cannot be written as JSON"),
    ]:
        with pytest.raises(ValueError, match=text):
            write_coco_detections(changed(detected(), 1, note=bad), [0.5] * 3, path)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ValueError, match="nested too deeply to be written"):
        write_coco_detections(changed(detected(), 1, note=deep), [0.5] * 3, path)
    while deep:  # taken apart by hand: freeing it in one go may exhaust the stack
        deep = deep.pop()

    def broken(*_: Any) -> None:
        raise OSError("disk")

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(OSError, match="disk"):
        write_coco_detections(detected(), [0.5] * 3, path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["found.json"]


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match="out is a folder"):
        write_coco_detections(detected(), [0.5] * 3, tmp_path)
    with pytest.raises(FileNotFoundError, match="folder of out does not exist"):
        write_coco_detections(detected(), [0.5] * 3, tmp_path / "absent" / "out.json")


@given(st.lists(st.dictionaries(st.text(max_size=5), finite_values, max_size=3), max_size=4))
def test_unknown_keys_survive(tmp_path_factory: pytest.TempPathFactory, extras: Any) -> None:
    rows = [{**extra, **detected()[0]} for extra in extras]
    path = tmp_path_factory.mktemp("unknown") / "out.json.gz"
    write_coco_detections(rows, np.full(len(rows), 0.5), path)
    written = json.loads(gzip.decompress(path.read_bytes()))
    assert written == [{**row, "score": 0.5} for row in rows]
    assert [list(row) for row in written] == [list(row) for row in rows]


# ---------------------------------------------------------------------- real files


@pytest.mark.shared_data
def test_real_files(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "detection"
    names = ("yolox_nano_dets.json.gz", "coco_val2017_1229_gt_all.json.gz")
    found, truth = from_coco(*(folder / name for name in names))
    rows, document = (json.loads(gzip.decompress((folder / name).read_bytes())) for name in names)
    assert repr(found) == "Detections(104023 boxes, 1229 images, 80 classes)"
    assert repr(truth) == "GroundTruth(6712 boxes, 1229 images, 80 classes)"
    assert found.scores.tolist() == [row["score"] for row in rows]
    assert truth.ignore.sum() == sum(row["iscrowd"] for row in document["annotations"])
    assert truth.area.tolist() == [row["area"] for row in document["annotations"]]
    image = {row["id"]: [row["width"], row["height"]] for row in document["images"]}
    wanted = [image[row["image_id"]] for row in rows]
    assert found.image_size.tolist() == wanted  # type: ignore[union-attr]
    half = read_coco_annotations(folder / "coco_val2017_1229_gt_minival.json.gz")
    with pytest.raises(ValueError, match="annotations do not list"):
        read_coco_detections(folder / names[0], half)
    with pytest.warns(UnknownImagesWarning, match="of 104023 rows, in 615 images"):
        part = read_coco_detections(folder / names[0], half, unknown_images="drop")
    wanted_rows = found[np.isin(found.image_id, half.images)]
    assert len(np.unique(part.image_id)) == 614
    assert part.scores.tolist() == wanted_rows.scores.tolist()
    out = write_coco_detections(folder / names[0], found.scores, tmp_path / "out.json.gz")
    assert json.loads(gzip.decompress(out.read_bytes())) == rows
