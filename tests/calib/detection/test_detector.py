"""A wrapped detector returns what it returned, with the scores that transform gives."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from calib.detection import (
    CalibratedDetector,
    DetectionCalibrator,
    Detections,
    GroundTruth,
    ImageBoxes,
)


def scene(n: int = 300, seed: int = 0) -> tuple[Detections, GroundTruth]:
    """One box per image; seven in ten detections overlap it."""
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 80, size=(n, 2))
    labels = rng.integers(1, 4, n)
    hit = rng.random(n) < 0.7
    shifted = np.clip(corner + np.where(hit[:, None], 1.5, 40.0), 0, 110)
    scores = np.where(hit, rng.beta(8, 2, n), rng.beta(5, 3, n))
    truth = GroundTruth(np.hstack([corner, corner + 10]), labels, np.arange(n))
    found = Detections(
        np.hstack([shifted, shifted + 10]),
        scores,
        labels,
        np.arange(n),
        image_size=np.full((n, 2), 120.0),
    )
    return found, truth


FOUND, TRUTH = scene()
IMAGE = FOUND[:20].replaced({"image_id": np.zeros(20, dtype=np.int64)})
CAL = DetectionCalibrator(threshold=None).fit(FOUND, TRUTH)
NEW = CAL.transform(IMAGE).scores


def same(output: Any) -> Any:
    return output


def test_arrays() -> None:
    detector = CalibratedDetector(same, CAL)
    boxes, scores, labels = detector((IMAGE.boxes, IMAGE.scores, IMAGE.labels))
    assert boxes is IMAGE.boxes
    assert labels is IMAGE.labels
    np.testing.assert_array_equal(scores, NEW)
    entry = {"boxes": IMAGE.boxes, "scores": IMAGE.scores, "labels": IMAGE.labels, "id": 3}
    out = detector(entry)
    np.testing.assert_array_equal(out["scores"], NEW)
    assert entry["scores"] is IMAGE.scores
    assert list(out) == list(entry)
    several = detector([entry, (IMAGE.boxes[:2], IMAGE.scores[:2].tolist(), [1, 99])])
    np.testing.assert_array_equal(several[0]["scores"], NEW)
    assert isinstance(several[1][1], list)


def test_float32_and_tensors_keep_their_kind() -> None:
    detector = CalibratedDetector(same, CAL)
    single = detector((IMAGE.boxes, IMAGE.scores.astype(np.float32), IMAGE.labels))[1]
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, NEW, atol=1e-6)
    torch = pytest.importorskip("torch")
    scores = torch.tensor(IMAGE.scores, dtype=torch.float32, requires_grad=True)
    entry = {"boxes": torch.tensor(IMAGE.boxes), "scores": scores}
    entry["labels"] = torch.tensor(IMAGE.labels)
    out = CalibratedDetector(same, CAL, adapter="torchvision")([entry])[0]
    assert isinstance(out["scores"], torch.Tensor)
    assert out["scores"].dtype == torch.float32
    assert out["boxes"] is entry["boxes"]
    np.testing.assert_allclose(out["scores"].numpy(), NEW, atol=1e-6)


def test_frameworks_single_and_several() -> None:
    one = SimpleNamespace(xyxy=IMAGE.boxes, confidence=IMAGE.scores, class_id=IMAGE.labels, data={})
    out = CalibratedDetector(same, CAL, adapter="supervision")(one)
    np.testing.assert_array_equal(out.confidence, NEW)
    np.testing.assert_array_equal(out.data["confidence_raw"], IMAGE.scores)
    assert one.confidence is IMAGE.scores
    # MMDetection 2: the boxes of one image are a list by class; class index k is class k here
    by_class = [
        np.column_stack([IMAGE.boxes, IMAGE.scores])[IMAGE.labels == label] for label in range(4)
    ]
    detector = CalibratedDetector(same, CAL, adapter="mmdet2")
    for out_one in (detector(by_class), detector([by_class])[0]):
        for label in range(4):
            np.testing.assert_allclose(out_one[label][:, 4], NEW[IMAGE.labels == label])


def test_own_reader_and_writer_and_class_numbers() -> None:
    def read(output: Any) -> ImageBoxes:
        return ImageBoxes(output.boxes, output.scores, output.labels - 1)

    detector = CalibratedDetector(
        same,
        CAL,
        adapter=(read, lambda output, scores: output.with_scores(scores)),
        category_map={0: 1, 1: 2, 2: 3},
    )
    np.testing.assert_array_equal(detector(IMAGE).scores, NEW)
    with pytest.raises(ValueError, match="category_map"):
        detector(IMAGE.replaced({"labels": np.full(20, 9)}))


def test_positions() -> None:
    cal = DetectionCalibrator("grid_histogram", features=("cx", "w"), threshold=None).fit(
        FOUND, TRUTH
    )
    expected = cal.transform(IMAGE).scores
    detector = CalibratedDetector(
        same,
        cal,
        adapter=(
            lambda output: (*output, (120, 120)),
            lambda output, scores: (output[0], scores, output[2]),
        ),
    )
    np.testing.assert_array_equal(detector((IMAGE.boxes, IMAGE.scores, IMAGE.labels))[1], expected)
    with pytest.raises(ValueError, match="image_size"):
        CalibratedDetector(same, cal)((IMAGE.boxes, IMAGE.scores, IMAGE.labels))


@pytest.mark.parametrize("name", ["platt", "isotonic", "linear", "venn_abers", "identity"])
def test_equal_to_transform(name: str) -> None:
    cal = DetectionCalibrator(name, threshold=None).fit(FOUND, TRUTH)
    out = CalibratedDetector(same, cal)((IMAGE.boxes, IMAGE.scores, IMAGE.labels))[1]
    np.testing.assert_array_equal(out, cal.transform(IMAGE).scores)


def test_arguments_reach_the_detector() -> None:
    def predict(image: str, *, level: float) -> Any:
        assert (image, level) == ("a.jpg", 0.1)
        return IMAGE.boxes, IMAGE.scores, IMAGE.labels

    np.testing.assert_array_equal(CalibratedDetector(predict, CAL)("a.jpg", level=0.1)[1], NEW)


def test_images_without_boxes() -> None:
    empty = (np.empty((0, 4)), np.empty(0), np.empty(0, dtype=int))
    assert CalibratedDetector(same, CAL)(empty) is empty
    assert CalibratedDetector(same, CAL)([]) == []


@pytest.mark.parametrize("bad", [1.5, -0.1, np.nan, np.inf])
def test_scores_that_are_none(bad: float) -> None:
    with pytest.raises(ValueError, match=r"scores must lie in \[0, 1\]"):
        CalibratedDetector(same, CAL)((IMAGE.boxes[:2], [0.5, bad], [1, 1]))


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="predict must be callable"):
        CalibratedDetector(3, CAL)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="calibrator must be a DetectionCalibrator"):
        CalibratedDetector(same, "platt")  # type: ignore[arg-type]
    with pytest.raises(NotFittedError):
        CalibratedDetector(same, DetectionCalibrator())
    for adapter in ("yolo", same, (same,), ("a", "b")):
        with pytest.raises(ValueError, match="adapter must be one of 'arrays', 'torchvision'"):
            CalibratedDetector(same, CAL, adapter=adapter)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="reads a tuple"):
        CalibratedDetector(same, CAL)(IMAGE)
