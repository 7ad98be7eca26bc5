"""Detections and ground truth: what is refused, what is kept, and what slicing preserves."""

from __future__ import annotations

import pickle
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from calib.detection import BoxFormatWarning, Detections, GroundTruth, InvalidRowsWarning

BOXES = [[0.0, 0, 10, 10], [5, 5, 9, 9], [1, 2, 3, 4]]


def some(**changes: Any) -> dict[str, Any]:
    """Return the arguments of three good detections, some of them replaced."""
    good = {"boxes": BOXES, "scores": [0.9, 0.4, 0.0], "labels": [1, 1, 2], "image_id": [7, 8, 7]}
    return {**good, **changes}


def truth(**changes: Any) -> dict[str, Any]:
    return {"boxes": BOXES, "labels": [1, 1, 2], "image_id": [7, 8, 7], **changes}


def spoilt(row: int, value: list[float]) -> list[list[float]]:
    return [value if i == row else box for i, box in enumerate(BOXES)]


# ---------------------------------------------------------------------- what is accepted


def test_arrays_of_any_container() -> None:
    found = Detections(**some(boxes=np.array(BOXES), labels=(1.0, 1, 2)))
    assert found.boxes.dtype == np.float64
    assert found.labels.dtype == np.int64
    np.testing.assert_array_equal(found.boxes, BOXES)
    assert repr(found) == "Detections(3 boxes, 2 images, 2 classes)"
    assert len(found) == 3
    assert found.image_size is None


def test_tensors() -> None:
    torch = pytest.importorskip("torch")
    found = Detections(**some(boxes=torch.tensor(BOXES, requires_grad=True)))
    assert found.boxes.dtype == np.float64
    np.testing.assert_array_equal(found.boxes, BOXES)
    assert found[torch.tensor([True, False, False])].scores.tolist() == [0.9]
    new = found.with_scores(torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64))
    assert new.scores.tolist() == [0.1, 0.2, 0.3]
    assert Detections(torch.empty((0, 4)), [], [], []).boxes.shape == (0, 4)


@pytest.mark.parametrize("boxes", [[], np.empty((0, 4))])
def test_no_detections(boxes: Any) -> None:
    found = Detections(boxes, [], [], [])
    assert found.boxes.shape == (0, 4)
    assert len(found[found.scores > 0.5]) == 0
    assert repr(found) == "Detections(0 boxes, 0 images, 0 classes)"
    assert Detections.concat([found, found]).labels.dtype == np.int64
    sized = Detections(boxes, [], [], [], image_size=[], features=np.empty((0, 3)))
    assert sized.position().shape == (0, 4)
    assert sized.features is not None
    assert sized.features.shape == (0, 3)


def test_no_boxes_in_annotated_images() -> None:
    empty = GroundTruth([], [], [], images=["b", "a"])
    assert empty.images.tolist() == ["a", "b"]
    assert empty.area.shape == empty.ignore.shape == (0,)
    assert len(empty.in_images(["a"])) == 0


def test_text_ids() -> None:
    found = Detections(**some(image_id=["x", "yy", "x"]))
    assert found.image_id.dtype.kind == "U"
    objects = Detections(**some(image_id=np.array(["x", "yy", "x"], dtype=object)))
    assert objects.image_id.tolist() == ["x", "yy", "x"]
    annotated = GroundTruth(**truth(image_id=["x", "yy", "x"], negative=[["x", "3"]]))
    assert annotated.in_images(["x"]).negative.tolist() == [["x", "3"]]  # type: ignore[union-attr]
    assert len(annotated.in_images(["yy"]).negative) == 0  # type: ignore[arg-type]


def test_probabilities_of_zero_and_one_and_boxes_without_area_are_fine() -> None:
    found = Detections([[1, 1, 1, 5]] * 2, [0, 1], [1, 1], [1, 1])
    assert found.scores.tolist() == [0.0, 1.0]
    assert GroundTruth([[1, 1, 1, 5]], [1], [1]).area.tolist() == [0.0]


def test_pickle() -> None:
    again = pickle.loads(pickle.dumps(GroundTruth(**truth(class_names={1: "cat", 2: "dog"}))))
    np.testing.assert_array_equal(again.boxes, BOXES)
    assert again.class_names == {1: "cat", 2: "dog"}


# ---------------------------------------------------------------------- what is refused

REFUSED = {
    "NaN box": ({"boxes": spoilt(1, [0, np.nan, 1, 1])}, r"boxes contains NaN or inf in row 1"),
    "infinite box": ({"boxes": spoilt(2, [0, 0, 1, np.inf])}, r"boxes contains .* in row 2"),
    "negative width": ({"boxes": spoilt(1, [5, 5, 4, 9])}, r"negative width .* row 1.*xywh"),
    "negative height": ({"boxes": spoilt(2, [5, 5, 6, 4])}, r"negative .* row 2"),
    "five columns": ({"boxes": np.zeros((3, 5))}, r"boxes must have shape \(n, 4\); got \(3, 5\)"),
    "no columns": ({"boxes": np.zeros((3, 0))}, r"boxes must have shape"),
    "texts as boxes": ({"boxes": [["a"] * 4] * 3}, r"boxes must hold numbers"),
    "no labels": ({"labels": None}, "None for labels"),
    "short labels": ({"labels": [1, 2]}, r"labels must have shape \(3,\).*got \(2,\)"),
    "fractional label": ({"labels": [1, 1.5, 2]}, r"labels must be integers.*1.5 in row 1"),
    "NaN label": ({"labels": [1, np.nan, 2]}, r"labels must be integers.*nan in row 1"),
    "boolean labels": ({"labels": [True, False, True]}, r"labels must be integers.*dtype bool"),
    "huge label": ({"labels": [1, 2**63, 3]}, r"labels must be integers.*64 bits"),
    "very huge label": ({"labels": [1, 2**70, 3]}, r"64 bits.*row 1"),
    "short ids": ({"image_id": [1]}, r"image_id must have shape \(3,\)"),
    "mixed ids": ({"image_id": [1, "a", 2]}, r"image_id must hold integers.*or texts.*row 1"),
    "missing id": ({"image_id": [1, None, 2]}, r"image_id must hold.*None in row 1"),
    "boolean ids": ({"image_id": [True, True, False]}, r"image_id must hold"),
    "huge ids": ({"image_id": np.array([1, 2, 2**63], dtype=np.uint64)}, r"64 bits.*row 2"),
}


@pytest.mark.parametrize("table", [Detections, GroundTruth])
@pytest.mark.parametrize(("change", "text"), REFUSED.values(), ids=REFUSED)
def test_refused(table: type, change: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        table(**(some if table is Detections else truth)(**change))


REFUSED_DETECTIONS = {
    "NaN score": ({"scores": [0.1, 0.2, np.nan]}, r"scores contains NaN or inf in row 2.*drop"),
    "inf score": ({"scores": [0.1, -np.inf, 0.2]}, r"scores contains NaN or inf in row 1"),
    "logits": ({"scores": [0.1, 3.5, -2]}, r"outside \[0, 1\] \(from -2 to 3.5, first in row 1\)"),
    "logits, the hint": ({"scores": [0.1, 3.5, -2]}, r"score_type='logit'"),
    "boolean scores": (
        {"scores": [True, False, True]},
        r"scores must hold numbers; got dtype bool",
    ),
    "long scores": ({"scores": [0.1] * 4}, r"scores must have shape \(3\); got \(4,\)"),
    "one size": ({"image_size": [10, 10]}, r"image_size must have shape \(3, 2\)"),
    "empty image": ({"image_size": [[9, 9], [9, 0], [9, 9]]}, r"image_size must be > 0.* row 1"),
    "flat features": ({"features": [1, 2, 3]}, r"features must have shape \(3, n\)"),
    "NaN feature": ({"features": [[1], [np.nan], [3]]}, r"features contains NaN or inf in row 1"),
}


@pytest.mark.parametrize(("change", "text"), REFUSED_DETECTIONS.values(), ids=REFUSED_DETECTIONS)
def test_refused_detections(change: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Detections(**some(**change))


REFUSED_TRUTH = {
    "flags in numbers": ({"ignore": [0, 1, 2]}, "ignore must hold booleans"),
    "flags in texts": ({"ignore": ["0", "1", "0"]}, "ignore must hold booleans"),
    "short flags": ({"ignore": [0, 1]}, r"ignore must have shape \(3,\)"),
    "negative area": ({"area": [1, -1, 1]}, r"area must be >= 0; got -1.0 in row 1"),
    "NaN area": ({"area": [1, np.nan, 1]}, "area contains NaN or inf in row 1"),
    "unlisted image": ({"images": [7]}, r"image_id has ids that images does not list: \[8\]"),
    "image twice": ({"images": [7, 8, 8]}, "images lists 8 more than once"),
    "kinds of ids": ({"images": ["7", "8"]}, "images and image_id mix texts and integers"),
    "sizes alone": ({"sizes": [[1, 1]]}, "sizes needs images"),
    "a size short": ({"images": [7, 8], "sizes": [[1, 1]]}, r"sizes must have shape \(2, 2\)"),
    "pairs of three": ({"negative": [[7, 1, 1]]}, r"negative must have shape \(n_pairs, 2\)"),
    "pair elsewhere": ({"not_exhaustive": [[9, 1]]}, r"not_exhaustive has images.*\[9\]"),
    "pair of text": ({"negative": [["7", "1"]]}, "negative and images mix texts and integers"),
    "half a class": ({"negative": [[7, 1.5]]}, "negative must hold"),
}


@pytest.mark.parametrize(("change", "text"), REFUSED_TRUTH.values(), ids=REFUSED_TRUTH)
def test_refused_truth(change: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        GroundTruth(**truth(**change))


@pytest.mark.parametrize(
    ("table", "arguments", "name"),
    [
        (Detections, some(box_format="cxcywh"), "box_format"),
        (Detections, some(score_type="logits"), "score_type"),
        (Detections, some(on_invalid=True), "on_invalid"),
        (GroundTruth, truth(box_format=None), "box_format"),
        (GroundTruth, truth(on_invalid="ignore"), "on_invalid"),
    ],
)
def test_options(table: Any, arguments: dict[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be one of"):
        table.from_arrays(**arguments)


# ---------------------------------------------------------------------- box formats


def test_corners_read_as_sizes_warn_where_the_images_are_known() -> None:
    rng = np.random.default_rng(0)
    centre, half = rng.uniform(20, 80, (200, 2)), rng.uniform(2, 18, (200, 2))
    xyxy = np.hstack([centre - half, centre + half])
    shared: dict[str, Any] = {
        "labels": np.ones(200, int), "image_id": np.arange(200), "box_format": "xywh",
    }  # fmt: skip
    size = np.full((200, 2), 100.0)
    with pytest.warns(BoxFormatWarning, match="of the boxes leave their images, for instance row"):
        Detections.from_arrays(xyxy, np.ones(200), image_size=size, **shared)
    with pytest.warns(BoxFormatWarning, match="Check box_format"):
        GroundTruth.from_arrays(xyxy, images=np.arange(200), sizes=size, **shared)


def test_sizes_read_as_corners_raise() -> None:
    with pytest.raises(ValueError, match="box_format='xywh'"):
        Detections(**some(boxes=[[50, 50, 10, 10]] * 3))


def test_a_few_boxes_at_the_border_do_not_warn() -> None:
    boxes = np.tile([0.0, 0, 50, 50], (100, 1))
    boxes[0] = [-3, -3, 105, 100]
    boxes[1:4] = [0, 0, 150, 50]
    size = np.full((100, 2), 100.0)
    Detections(boxes, np.ones(100), np.ones(100, int), np.zeros(100, int), image_size=size)


coordinates = st.floats(-1e4, 1e4)
sides = st.floats(0, 1e4)


@given(st.lists(st.tuples(coordinates, coordinates, sides, sides), max_size=8))
def test_box_formats_agree(rows: list[tuple[float, ...]]) -> None:
    xywh = np.array(rows).reshape(-1, 4)
    n = len(xywh)
    columns = (np.ones(n), np.ones(n, int), np.arange(n))
    found = Detections.from_arrays(xywh, *columns, box_format="xywh")
    again = Detections.from_arrays(found.boxes, *columns, box_format="xyxy")
    np.testing.assert_array_equal(again.boxes, found.boxes)
    np.testing.assert_array_equal(found.boxes[:, :2], xywh[:, :2])
    np.testing.assert_allclose(found.boxes[:, 2:] - found.boxes[:, :2], xywh[:, 2:], atol=1e-11)
    annotated = GroundTruth.from_arrays(xywh, *columns[1:], box_format="xywh")
    np.testing.assert_array_equal(annotated.boxes, found.boxes)


def test_logits() -> None:
    found = Detections.from_arrays(**some(scores=[0.0, -800.0, 800.0]), score_type="logit")
    assert found.scores.tolist() == [0.5, 0.0, 1.0]
    with pytest.raises(ValueError, match="scores contains NaN or inf in row 0"):
        Detections.from_arrays(**some(scores=[np.inf, 0, 0]), score_type="logit")


# ---------------------------------------------------------------------- rows to drop


@pytest.mark.parametrize(
    "change",
    [
        {"boxes": spoilt(1, [0, 0, np.nan, 1])},
        {"boxes": spoilt(1, [0, 0, -np.inf, np.inf])},
        {"boxes": spoilt(1, [5, 5, 4, 9])},
        {"scores": [0.9, np.nan, 0.0]},
        {"scores": [0.9, np.inf, 0.0]},
        {"features": [[1.0], [np.nan], [3.0]]},
        {"image_size": [[99.0, 99], [np.nan, 99], [99, 99]]},
    ],
)
def test_invalid_detections_are_dropped_and_counted(change: dict[str, Any]) -> None:
    with pytest.warns(InvalidRowsWarning, match="dropped 1 of 3 rows"):
        found = Detections.from_arrays(**some(**change), on_invalid="drop")
    assert found.image_id.tolist() == [7, 7]
    np.testing.assert_array_equal(found.boxes, [BOXES[0], BOXES[2]])


def test_invalid_annotations_are_dropped_and_their_images_stay() -> None:
    with pytest.warns(InvalidRowsWarning, match="dropped 1 of 3 rows"):
        left = GroundTruth.from_arrays(
            **truth(boxes=spoilt(1, [5, 5, 4, 9]), ignore=[0, 1, 1], area=[1, 2, 3]),
            on_invalid="drop",
        )
    assert left.images.tolist() == [7, 8]
    assert left.ignore.tolist() == [False, True]
    assert left.area.tolist() == [1, 3]


def test_dropping_nothing_is_silent_and_impossible_scores_still_raise() -> None:
    assert len(Detections.from_arrays(**some(), on_invalid="drop")) == 3
    boxes = spoilt(0, [0, np.nan, 1, 1])
    with pytest.raises(ValueError, match=r"from 3.5 to 3.5, first in row 2"):
        Detections.from_arrays(**some(boxes=boxes, scores=[0, 0, 3.5]), on_invalid="drop")


def test_lengths_are_checked_before_rows_are_dropped() -> None:
    with pytest.raises(ValueError, match="labels must have one entry for each of the 3 boxes"):
        Detections.from_arrays(**some(labels=[1]), on_invalid="drop")


# ---------------------------------------------------------------------- selection


def test_selection() -> None:
    found = Detections(**some(image_size=[[99, 98]] * 3, features=[[1.0], [2], [3]]))
    kept = found[found.scores >= 0.4]
    assert kept.image_id.tolist() == [7, 8]
    assert kept.features.tolist() == [[1.0], [2.0]]  # type: ignore[union-attr]
    assert found[[2, 0]].labels.tolist() == [2, 1]
    assert found[-1].labels.tolist() == found[np.array(2)].labels.tolist() == [2]
    assert found[np.array([True, False, False])].scores.tolist() == [0.9]
    assert len(found[[]]) == 0
    assert [one.labels.tolist() for one in found] == [[1], [1], [2]]


@pytest.mark.parametrize(
    ("index", "text"),
    [
        ([True, False], r"mask has shape \(2,\), but there are 3 rows"),
        (np.zeros((1, 2), int), r"array of shape \(1, 2\)"),
        (3, "out of bounds"),
        ([0.5], "arrays used as indices"),
    ],
)
def test_selection_refuses(index: Any, text: str) -> None:
    with pytest.raises(IndexError, match=text):
        Detections(**some())[index]


def test_selected_annotations_keep_their_images() -> None:
    annotated = GroundTruth(**truth(images=[8, 7, 9], sizes=[[80, 80], [70, 70], [9, 9]]))
    assert annotated.images.tolist() == [7, 8, 9]
    assert annotated.sizes.tolist() == [[70, 70], [80, 80], [9, 9]]  # type: ignore[union-attr]
    assert annotated[annotated.labels == 2].images.tolist() == [7, 8, 9]


def test_in_images() -> None:
    annotated = GroundTruth(
        **truth(images=[7, 8, 9], sizes=[[70, 70], [80, 80], [90, 90]], class_names={1: "cat"}),
        negative=[[7, 3], [9, 3]],
        not_exhaustive=[[8, 1]],
    )
    part = annotated.in_images([9, 7, 7])
    assert part.images.tolist() == [7, 9]
    assert part.image_id.tolist() == [7, 7]
    assert part.sizes.tolist() == [[70, 70], [90, 90]]  # type: ignore[union-attr]
    assert part.negative.tolist() == [[7, 3], [9, 3]]  # type: ignore[union-attr]
    assert part.not_exhaustive.tolist() == []  # type: ignore[union-attr]
    assert part.class_names == {1: "cat"}
    with pytest.raises(ValueError, match=r"images has ids that are not annotated: \[5\]"):
        annotated.in_images([7, 5])
    with pytest.raises(ValueError, match="mix texts and integers"):
        annotated.in_images(["7"])


def test_position() -> None:
    found = Detections(**some(image_size=[[20, 10], [10, 10], [10, 10]]))
    np.testing.assert_allclose(found.position()[0], [0.25, 0.5, 0.5, 1.0])
    with pytest.raises(ValueError, match=r"image_size is None; pass image_size.*from_coco"):
        Detections(**some()).position()


def test_with_scores() -> None:
    found = Detections(**some())
    new = found.with_scores([0.1, 0.2, 0.3])
    assert new.scores.tolist() == [0.1, 0.2, 0.3]
    assert found.scores.tolist() == [0.9, 0.4, 0.0]
    assert new.boxes is found.boxes
    for scores, text in [([0.1, 0.2, 1.1], "outside"), ([0.1] * 2, "shape"), ([np.nan] * 3, "NaN")]:
        with pytest.raises(ValueError, match=text):
            found.with_scores(scores)


# ---------------------------------------------------------------------- concatenation


def test_concat_refuses() -> None:
    plain, sized = Detections(**some()), Detections(**some(image_size=[[99, 99]] * 3))
    texts = Detections(**some(image_id=["a", "b", "c"]))
    one, two = (Detections(**some(features=np.ones((3, k)))) for k in (1, 2))
    for parts, text in [
        ([], "nothing to concatenate"),
        ([plain, sized], "image_size is missing in part 0 but given in part 1"),
        ([plain, texts], "mix texts and integers"),
        ([one, two], "features has 1 and 2 columns"),
    ]:
        with pytest.raises(ValueError, match=text):
            Detections.concat(parts)


def test_concat_of_annotations() -> None:
    a = GroundTruth(**truth(images=[9, 7, 8], sizes=[[9, 9], [70, 70], [80, 80]]))
    b = GroundTruth([[0, 0, 1, 1]], [1], [3], images=[5, 3], sizes=[[5, 5], [3, 3]])
    both = GroundTruth.concat([a, b])
    assert both.images.tolist() == [3, 5, 7, 8, 9]
    assert both.sizes.tolist() == [[3, 3], [5, 5], [70, 70], [80, 80], [9, 9]]  # type: ignore[union-attr]
    assert both.image_id.tolist() == [7, 8, 7, 3]


def test_concat_of_annotations_refuses() -> None:
    a = GroundTruth(**truth(class_names={1: "cat"}))
    for other, text in [
        (GroundTruth([], [], [], images=[8]), "image 8 occurs in more than one part"),
        (GroundTruth([], [], [], images=["a"]), "mix texts and integers"),
        (GroundTruth([], [], [], images=[1], sizes=[[1, 1]]), "sizes is given in some parts only"),
        (GroundTruth([], [], [], images=[1], negative=[]), "negative is given in some parts only"),
        (GroundTruth([], [], [], images=[1], class_names={1: "dog"}), "called 'cat' in one part"),
    ]:
        with pytest.raises(ValueError, match=text):
            GroundTruth.concat([a, other])
    with pytest.raises(ValueError, match="nothing to concatenate"):
        GroundTruth.concat([])


@given(st.integers(0, 12).flatmap(lambda n: st.tuples(
    arrays(np.float64, (n, 4), elements=st.floats(0, 100)),
    arrays(np.float64, n, elements=st.floats(0, 1)),
    arrays(np.int64, n, elements=st.integers(0, 3)),
    st.lists(st.integers(0, n), max_size=3).map(sorted),
)))  # fmt: skip
def test_cutting_and_joining_is_the_identity(drawn: Any) -> None:
    xywh, scores, labels, cuts = drawn
    whole = Detections.from_arrays(xywh, scores, labels, labels * 10, box_format="xywh")
    edges = [0, *cuts, len(whole)]
    joined = Detections.concat([whole[a:b] for a, b in pairwise(edges)])
    for name, column in whole.rows().items():
        np.testing.assert_array_equal(getattr(joined, name), column)
    mask = scores > 0.5
    order = np.argsort(np.concatenate([np.flatnonzero(mask), np.flatnonzero(~mask)]))
    again = Detections.concat([whole[mask], whole[~mask]])[order]
    np.testing.assert_array_equal(again.boxes, whole.boxes)


@given(arrays(np.int64, st.integers(1, 20), elements=st.integers(0, 5)), st.data())
def test_splitting_annotations_by_image_is_undone_by_concat(image_id: Any, data: Any) -> None:
    n = len(image_id)
    boxes = np.tile([0.0, 0, 1, 1], (n, 1))
    whole = GroundTruth(boxes, np.arange(n), image_id, images=np.arange(6))
    chosen = data.draw(st.sets(st.integers(0, 5)))
    parts = [whole.in_images(sorted(chosen)), whole.in_images(sorted(set(range(6)) - chosen))]
    both = GroundTruth.concat(parts)
    assert sorted(both.labels.tolist()) == list(range(n))
    np.testing.assert_array_equal(both.images, whole.images)
    assert sum(map(len, parts)) == n
