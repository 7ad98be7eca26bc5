"""Outputs of other frameworks, built by small stand-ins that behave like the originals."""

from __future__ import annotations

import copy
import dataclasses
from collections import OrderedDict
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from calib.detection import (
    Detections,
    GroundTruth,
    read_detections,
    read_ground_truth,
    with_new_scores,
)

torch = pytest.importorskip("torch")

SOURCES = ("torchvision", "ultralytics", "mmdet", "mmdet2", "detectron2", "supervision")
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
SIZED = ("ultralytics", "mmdet", "detectron2")
#: Boxes, scores, classes of two images and none of a third between them; heights and widths.
BOXES = [[[1, 2, 11, 22], [0, 0, 5, 5]], [], [[3, 3, 9, 8]]]
SCORES = [[0.75, 0.25], [], [0.5]]
LABELS = [[0, 2], [], [1]]
SHAPES = [(48, 64), (10, 12), (60, 80)]


# ---------------------------------------------------------------------- stand-ins


class Boxes:
    """A table x1, y1, x2, y2, score, class with columns as read-only properties."""

    def __init__(self, data: Any, orig_shape: tuple[int, int]) -> None:
        self.data, self.orig_shape = data, orig_shape

    xyxy = property(lambda self: self.data[:, :4])
    conf = property(lambda self: self.data[:, -2])
    cls = property(lambda self: self.data[:, -1])


class Results:
    """An image with boxes and masks; unknown attributes raise."""

    def __init__(self, boxes: Any, orig_shape: tuple[int, int]) -> None:
        self.boxes, self.orig_shape, self.masks = boxes, orig_shape, None

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


class Instances:
    """Fields of equal length in a table that a plain copy would share."""

    def __init__(self, image_size: tuple[int, int], **fields: Any) -> None:
        self.__dict__.update(_image_size=image_size, _fields={})
        for name, value in fields.items():
            setattr(self, name, value)

    image_size = property(lambda self: self._image_size)

    def __setattr__(self, name: str, value: Any) -> None:
        assert not self._fields or len(value) == len(next(iter(self._fields.values())))
        self._fields[name] = value

    def __getattr__(self, name: str) -> Any:
        if name == "_fields" or name not in self._fields:
            raise AttributeError(name)
        return self._fields[name]

    def get_fields(self) -> dict[str, Any]:
        return self._fields


class TensorBoxes:
    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor

    def __len__(self) -> int:
        return len(self.tensor)


class Element:
    """Data whose set of field names a plain copy would share."""

    def __init__(self, metainfo: dict[str, Any] | None = None, **data: Any) -> None:
        self.__dict__.update(_names=set(), _meta=dict(metainfo or {}))
        for name, value in data.items():
            setattr(self, name, value)

    metainfo = property(lambda self: dict(self._meta))

    def __setattr__(self, name: str, value: Any) -> None:
        self._names.add(name)
        self.__dict__[name] = value

    def clone(self) -> Element:
        return type(self)(self._meta, **{name: self.__dict__[name] for name in self._names})


@dataclasses.dataclass
class Supervised:
    xyxy: np.ndarray
    confidence: np.ndarray | None = None
    class_id: np.ndarray | None = None
    data: dict[str, Any] = dataclasses.field(default_factory=dict)


def outputs_of(
    source: str,
    *,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
    scores: Any = SCORES,
    gradient: bool = False,
) -> list[Any]:
    """Return three images as a framework would."""
    entries = []
    for box, score, label, shape in zip(BOXES, scores, LABELS, SHAPES, strict=True):
        xyxy = torch.tensor(box, dtype=dtype, device=device).reshape(-1, 4)
        conf = torch.tensor(score, dtype=dtype, device=device)
        xyxy, conf = xyxy.requires_grad_(gradient), conf.requires_grad_(gradient)
        cls = torch.tensor(label, dtype=torch.int64, device=device)
        table = torch.column_stack([xyxy, conf, cls.to(dtype)])
        instances = Element(bboxes=xyxy, scores=conf, labels=cls)
        arrays = table.detach().float().cpu().numpy()
        entries.append(
            {
                "torchvision": OrderedDict(boxes=xyxy, labels=cls, scores=conf),
                "ultralytics": Results(Boxes(table, shape), shape),
                "mmdet": Element({"ori_shape": shape}, pred_instances=instances, tag=None),
                "mmdet2": [arrays[arrays[:, 5] == k, :5] for k in range(3)],
                "detectron2": {
                    "instances": Instances(
                        shape, pred_boxes=TensorBoxes(xyxy), scores=conf, pred_classes=cls
                    ),
                },
                "supervision": Supervised(
                    arrays[:, :4], arrays[:, 4], cls.cpu().numpy(), {"name": [1]}
                ),
            }[source]
        )
    return entries


def raw_scores(source: str, entry: Any) -> Any:
    """Return the scores of one image as the framework itself would hand them out."""
    return {
        "torchvision": lambda: entry["scores"],
        "ultralytics": lambda: entry.boxes.conf,
        "mmdet": lambda: entry.pred_instances.scores,
        "mmdet2": lambda: np.concatenate([one[:, 4] for one in entry]),
        "detectron2": lambda: entry["instances"].scores,
        "supervision": lambda: entry.confidence,
    }[source]()


# ---------------------------------------------------------------------- reading


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("source", SOURCES)
def test_rows_stand_image_after_image(source: Any, gradient: bool) -> None:
    found = read_detections(outputs_of(source, gradient=gradient), source=source)
    assert found.boxes.tolist() == [[1, 2, 11, 22], [0, 0, 5, 5], [3, 3, 9, 8]]
    assert found.scores.tolist() == [0.75, 0.25, 0.5]
    assert found.labels.tolist() == [0, 2, 1]
    assert found.image_id.tolist() == [0, 0, 2]
    if source in SIZED:
        assert found.image_size.tolist() == [[64, 48], [64, 48], [80, 60]]  # type: ignore[union-attr]
    else:
        assert found.image_size is None


@pytest.mark.parametrize("source", SOURCES)
def test_ids_sizes_and_categories(source: Any) -> None:
    found = read_detections(
        outputs_of(source),
        ["a", "b", "c"],
        source=source,
        image_size=[[100, 50]] * 3,
        category_map={0: 1, 1: 18, 2: 44},
    )
    assert found.image_id.tolist() == ["a", "a", "c"]
    assert found.labels.tolist() == [1, 44, 18]
    assert found.image_size.tolist() == [[100, 50]] * 3  # type: ignore[union-attr]


@pytest.mark.parametrize("source", SOURCES)
def test_no_images(source: Any) -> None:
    assert len(read_detections([], source=source)) == 0
    assert with_new_scores([], [], source=source) == []
    assert len(read_detections(outputs_of(source)[1:2], source=source)) == 0


def test_ids_may_be_tensors() -> None:
    ids = [torch.tensor([5]), torch.tensor(3), 4]
    assert read_detections(
        outputs_of("torchvision"), ids, source="torchvision"
    ).image_id.tolist() == [5, 5, 4]


def test_mmdet_dumps_and_box_objects() -> None:
    plain = [
        {
            "pred_instances": {"bboxes": TensorBoxes(torch.tensor(box).reshape(-1, 4)),
                               "scores": torch.tensor(score), "labels": torch.tensor(label)},
            "ori_shape": (*shape, 3),
        }
        for box, score, label, shape in zip(BOXES, SCORES, LABELS, SHAPES, strict=True)
    ]  # fmt: skip
    found = read_detections(plain, source="mmdet")
    assert found.image_size.tolist() == [[64, 48], [64, 48], [80, 60]]  # type: ignore[union-attr]
    new = with_new_scores(plain, [0.1, 0.2, 0.3], source="mmdet")
    np.testing.assert_allclose(new[2]["pred_instances"]["scores"], [0.3])
    assert plain[2]["pred_instances"]["scores"].tolist() == [0.5]
    assert new[0]["pred_instances"]["bboxes"] is plain[0]["pred_instances"]["bboxes"]


def test_mmdet2_with_masks() -> None:
    masked = [(image, ["masks"]) for image in outputs_of("mmdet2")]
    assert read_detections(masked, source="mmdet2").scores.tolist() == [0.75, 0.25, 0.5]
    new = with_new_scores(masked, [0.5, 0.25, 0.125], source="mmdet2")
    assert new[0][0][2][0, 4] == 0.25
    assert new[0][1] is masked[0][1]


# ---------------------------------------------------------------------- the way back


@pytest.mark.parametrize("kind", [list, tuple])
@pytest.mark.parametrize("source", SOURCES)
def test_new_scores_in_copies(source: Any, kind: type) -> None:
    outputs = kind(outputs_of(source))
    before = copy.deepcopy([raw_scores(source, entry) for entry in outputs])
    found = read_detections(outputs, source=source)
    calibrated = found.with_scores(found.scores / 2)
    new = with_new_scores(outputs, calibrated, source=source)
    assert type(new) is kind
    assert len(new) == 3
    for old, entry, then, scores in zip(outputs, new, before, SCORES, strict=True):
        assert type(entry) is type(old)
        assert entry is not old
        now, kept = raw_scores(source, entry), raw_scores(source, old)
        assert type(now) is type(kept)
        assert now.dtype == kept.dtype
        np.testing.assert_allclose(now, np.array(scores) / 2)
        np.testing.assert_array_equal(kept, then)
    again = read_detections(new, source=source)
    np.testing.assert_array_equal(again.scores, calibrated.scores)
    for name in ("boxes", "labels", "image_id"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("source", ["torchvision", "ultralytics", "mmdet", "detectron2"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_types_of_tensors_are_kept(source: Any, dtype: torch.dtype, device: str) -> None:
    outputs = outputs_of(source, dtype=dtype, device=device, gradient=dtype == torch.float64)
    found = read_detections(outputs, source=source)
    assert found.scores.tolist() == [0.75, 0.25, 0.5]
    new = raw_scores(source, with_new_scores(outputs, found.scores / 4, source=source)[0])
    assert new.dtype == dtype
    assert new.device.type == device
    assert not new.requires_grad
    assert new.tolist() == [0.1875, 0.0625]


def test_lists_stay_lists_and_arrays_arrays() -> None:
    lists = [{"boxes": [[0, 0, 1, 1]], "scores": [0.5], "labels": [1]}]
    assert with_new_scores(lists, [0.25], source="torchvision")[0]["scores"] == [0.25]
    table = Boxes(np.array([[0, 0, 1, 1, 7, 0.5, 3]], dtype=np.float32), (9, 9))  # with a track
    new = with_new_scores([Results(table, (9, 9))], [0.25], source="ultralytics")[0]
    assert new.boxes.data.tolist() == [[0, 0, 1, 1, 7, 0.25, 3]]
    assert table.data[0, 5] == 0.5


def test_supervision_keeps_the_raw_confidence() -> None:
    outputs = outputs_of("supervision")
    new = with_new_scores(outputs, [0.1, 0.2, 0.3], source="supervision")
    assert new[0].data["confidence_raw"].tolist() == [0.75, 0.25]
    assert new[0].data["name"] is outputs[0].data["name"]
    assert list(outputs[0].data) == ["name"]
    with pytest.raises(ValueError, match=r"outputs\[0\].*'confidence_raw' already"):
        with_new_scores(new, [0.1, 0.2, 0.3], source="supervision")


def test_a_copy_shares_no_bookkeeping() -> None:
    outputs = outputs_of("mmdet")
    new = with_new_scores(outputs, [0.1, 0.2, 0.3], source="mmdet")
    new[0].added = new[0].pred_instances.added = 1
    assert "added" not in outputs[0]._names | outputs[0].pred_instances._names
    assert new[0].metainfo == outputs[0].metainfo


@given(st.lists(st.integers(0, 4), max_size=6), st.data())
def test_slices_find_their_images(counts: list[int], data: Any) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    outputs = [
        {
            "boxes": np.tile([0.0, 0, 1, 1], (n, 1)),
            "scores": rng.random(n),
            "labels": np.ones(n, int),
        }
        for n in counts
    ]
    found = read_detections(outputs, source="torchvision")
    new = with_new_scores(outputs, found.scores, source="torchvision")
    for old, entry in zip(outputs, new, strict=True):
        np.testing.assert_array_equal(entry["scores"], old["scores"])


# ---------------------------------------------------------------------- ground truth


def test_torchvision_targets() -> None:
    targets = [
        {"boxes": torch.tensor([[0.0, 0, 5, 5], [1, 1, 2, 2]]), "labels": torch.tensor([1, 2]),
         "iscrowd": torch.tensor([0, 1]), "area": torch.tensor([20.0, 1]), "image_id": 77},
        {"boxes": torch.empty((0, 4)), "labels": torch.empty(0, dtype=torch.int64),
         "area": torch.empty(0), "image_id": torch.tensor([78])},
    ]  # fmt: skip
    truth = read_ground_truth(
        targets, [t["image_id"] for t in targets], source="torchvision", image_size=[[9, 9]] * 2
    )
    assert truth.images.tolist() == [77, 78]
    assert truth.ignore.tolist() == [False, True]
    assert truth.area.tolist() == [20, 1]
    assert truth.sizes.tolist() == [[9, 9]] * 2  # type: ignore[union-attr]
    assert read_ground_truth(targets, source="torchvision").images.tolist() == [0, 1]
    del targets[1]["area"]
    with pytest.raises(ValueError, match="only some targets have an 'area'"):
        read_ground_truth(targets, source="torchvision")


def test_other_targets() -> None:
    boxes, labels = torch.tensor([[0.0, 0, 5, 5]]), torch.tensor([2])
    counted, ignored = (Element(bboxes=boxes + k, labels=labels + k) for k in (0, 1))
    entries: dict[Any, Any] = {
        "mmdet": Element({"ori_shape": (8, 9)}, gt_instances=counted),
        "detectron2": {
            "instances": Instances((8, 9), gt_boxes=TensorBoxes(boxes), gt_classes=labels)
        },
        "supervision": Supervised(boxes.numpy(), class_id=labels.numpy()),
    }
    for source, entry in entries.items():
        truth = read_ground_truth([entry], ["x"], source=source, category_map={2: 5})
        assert isinstance(truth, GroundTruth)
        assert truth.boxes.tolist() == [[0, 0, 5, 5]]
        assert truth.labels.tolist() == [5]
        assert truth.images.tolist() == ["x"]
        if source != "supervision":
            assert truth.sizes.tolist() == [[9, 8]]  # type: ignore[union-attr]
    entries["mmdet"].ignored_instances = ignored
    truth = read_ground_truth([entries["mmdet"]], source="mmdet")
    assert truth.ignore.tolist() == [False, True]
    assert truth.labels.tolist() == [2, 3]


def test_targets_that_do_not_exist() -> None:
    with pytest.raises(ValueError, match="source='ultralytics' has no targets of its own; use one"):
        read_ground_truth([], source="ultralytics")
    with pytest.raises(ValueError, match=r"targets\[0\], read as 'torchvision'.*'labels'"):
        read_ground_truth([{"boxes": []}], source="torchvision")


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("entry", [None, 3, "text", {}, SimpleNamespace(), [1], (1, 2), [[1]]])
def test_entries_of_another_kind(source: Any, entry: Any) -> None:
    if source == "mmdet2" and entry == []:
        return
    with pytest.raises(ValueError, match=rf"outputs\[1\], read as '{source}'"):
        read_detections([outputs_of(source)[0], entry], source=source)
    with pytest.raises(ValueError, match=rf"outputs\[1\], read as '{source}'"):
        with_new_scores([outputs_of(source)[0], entry], [0.5, 0.5], source=source)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1.5, -0.5])
def test_impossible_scores(source: Any, value: float) -> None:
    outputs = outputs_of(source, scores=[[0.75, 0.25], [], [value]])
    with pytest.raises(ValueError, match=rf"outputs\[2\], read as '{source}': scores.*row 0"):
        read_detections(outputs, source=source)
    with pytest.raises(ValueError, match="scores"):
        with_new_scores(outputs_of(source), [0.5, 0.5, value], source=source)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"scores": torch.tensor([0.5])}, r"scores must have shape \(2\); got \(1,\)"),
        ({"labels": torch.tensor([0])}, r"labels must have shape \(2,\)"),
        ({"labels": torch.tensor([0.5, 1])}, "labels must be integers"),
        ({"boxes": torch.zeros(2, 5)}, r"boxes must have shape \(n, 4\)"),
        ({"boxes": torch.tensor([[5.0, 5, 4, 9]] * 2)}, "negative width"),
        ({"boxes": torch.full((2, 4), torch.nan)}, "boxes contains NaN"),
        ({"scores": None}, "has no 'scores', or it is None"),
    ],
)
def test_fields_that_disagree(change: dict[str, Any], text: str) -> None:
    outputs = outputs_of("torchvision")
    outputs[0] = {**outputs[0], **change}
    with pytest.raises(ValueError, match=r"outputs\[0\], read as 'torchvision'.*" + text):
        read_detections(outputs, source="torchvision")


def test_missing_attributes_are_named() -> None:
    result = Results(None, (9, 9))
    with pytest.raises(ValueError, match=r"read as 'ultralytics'.*Results.*no 'boxes'"):
        read_detections([result], source="ultralytics")
    unlabelled = [Supervised(np.zeros((1, 4)), np.zeros(1))]
    with pytest.raises(ValueError, match=r"Supervised.*no 'class_id'"):
        read_detections(unlabelled, source="supervision")


@pytest.mark.parametrize("scores", [[0.5] * 2, [0.5] * 4, []])
def test_number_of_scores(scores: list[float]) -> None:
    text = f"one value for each of the 3 boxes in outputs; got {len(scores)}"
    with pytest.raises(ValueError, match=text):
        with_new_scores(outputs_of("mmdet2"), scores, source="mmdet2")


def test_scores_in_integers_cannot_be_replaced() -> None:
    outputs = [{"boxes": [[0, 0, 1, 1]], "scores": np.array([1]), "labels": [1]}]
    with pytest.raises(ValueError, match="scores of dtype int64 cannot hold new scores"):
        with_new_scores(outputs, [0.5], source="torchvision")


def test_arguments() -> None:
    outputs = outputs_of("torchvision")
    with pytest.raises(ValueError, match="source must be one of 'torchvision'"):
        read_detections(outputs, source="yolo")  # type: ignore[arg-type]
    with pytest.raises(
        ValueError, match=r"outputs must be a list.*got OrderedDict; pass \[outputs\]"
    ):
        read_detections(outputs[0], source="torchvision")
    with pytest.raises(ValueError, match=r"list\(outputs\) for a generator"):
        read_detections((one for one in outputs), source="torchvision")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"image_id must have shape \(3,\)"):
        read_detections(outputs, [1, 2], source="torchvision")
    with pytest.raises(ValueError, match="image_id lists 2 more than once"):
        read_detections(outputs, [1, 2, 2], source="torchvision")
    with pytest.raises(ValueError, match=r"image_size must have shape \(3, 2\)"):
        read_detections(outputs, source="torchvision", image_size=[9, 9])
    with pytest.raises(ValueError, match=r"category_map has no entry for class ids \[2\]"):
        read_detections(outputs, source="torchvision", category_map={0: 1, 1: 2})


def test_size_of_some_images_only() -> None:
    outputs = outputs_of("mmdet")
    outputs[1] = Element(pred_instances=outputs[1].pred_instances)
    with pytest.raises(ValueError, match=r"outputs\[1\] does not tell the size.*pass image_size"):
        read_detections(outputs, source="mmdet")


def test_results_join_with_other_batches() -> None:
    outputs = outputs_of("torchvision")
    parts = [
        read_detections(outputs, [10 * k, 10 * k + 1, 10 * k + 2], source="torchvision")
        for k in range(2)
    ]
    assert Detections.concat(parts).image_id.tolist() == [0, 0, 2, 10, 10, 12]
