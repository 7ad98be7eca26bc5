"""Whether detections and annotations speak of the same boxes and classes, and what if not.

Wrong units, corners taken for sizes or class ids that count from another number leave a detector
that is wrong everywhere. The mistake shows in what the surest detections overlap, and the likely
cause is the cheap correction after which they overlap what they should.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from calib._border.typing import Float64Array, IntArray
from calib._border.warn import warn
from calib._core import matching as core
from calib.detection.matching import Matches
from calib.detection.tables.detections import Detections
from calib.detection.tables.ground_truth import GroundTruth
from calib.warnings import CorrespondenceWarning

#: Overlap from which a detection is on a box.
HALF = 0.5
#: Detections that are looked at, the surest ones, and pairs with boxes that are compared at most.
MAX_ROWS, MAX_PAIRS = 2000, 100_000
#: Detections below which nothing is refused.
FEW = 10
#: Share of the surest detections that are on a box of their class, from which nothing is asked.
HEALTHY = 0.75
#: A correction counts if this share is on a box after it, and so many times more than before.
MENDED, TIMES = 0.3, 3.0
#: Share on a box, or on one of their class, below which a fit is hopeless if the cause is known.
HOPELESS = 0.01
#: Share on boxes of other classes alone that is asked about, and that is said without a cause.
ASKED, ESTRANGED = 0.3, 0.8
#: Share of the surest detections that must be on a box before anything is said of classes.
PLACED = 0.1
#: Largest coordinate of boxes that are normalised to their image.
UNIT = 1.5
#: Sides to which networks resize their images.
SIDES = (224, 256, 300, 320, 384, 416, 448, 480, 512, 544, 608, 640, 672, 736, 768, 800, 896, 960,
         1024, 1088, 1120, 1152, 1280, 1333, 1344, 1536, 1920)  # fmt: skip


class Finding(NamedTuple):
    """What is wrong, and whether nothing that was fitted to these matches could be of use."""

    text: str
    hopeless: bool


def check_correspondence(
    detections: Detections, ground_truth: GroundTruth, matches: Matches, *, refuse: bool = True
) -> None:
    """Say what makes matches implausible; raise where nothing fitted to them could be of use.

    Parameters
    ----------
    detections : Detections
    ground_truth : GroundTruth
    matches : Matches
        Of the two, at any overlap.
    refuse : bool, default=True
        Whether hopeless matches raise; they warn otherwise.

    Raises
    ------
    ValueError
        If `refuse` and the matches are hopeless.

    Warns
    -----
    CorrespondenceWarning
    """
    finding = finding_of(detections, ground_truth, matches)
    if finding is None:
        return
    if refuse and finding.hopeless:
        raise ValueError(finding.text)
    warn(finding.text, CorrespondenceWarning)


@dataclass(frozen=True, eq=False)
class _Sample:
    """The surest detections, and all boxes of their images that count.

    Attributes
    ----------
    boxes, labels, image : ndarray of shape (n_rows, ...)
        Corners, classes and position of the image of the detections.
    sizes : ndarray of shape (n_rows, 2) or None
        Width and height of the image.
    truth_boxes, truth_labels, truth_image : ndarray of shape (n_boxes, ...)
    detection, truth : ndarray of int of shape (n_pairs,)
        All pairs within an image.
    """

    boxes: Float64Array
    labels: IntArray
    image: IntArray
    sizes: Float64Array | None
    truth_boxes: Float64Array
    truth_labels: IntArray
    truth_image: IntArray
    detection: IntArray
    truth: IntArray

    def overlaps(self, boxes: Float64Array) -> Float64Array:
        """Return the overlap of every pair if the detections had these corners."""
        found, true = boxes[self.detection], self.truth_boxes[self.truth]
        plain = np.zeros(len(found), dtype=bool)
        with np.errstate(over="ignore", invalid="ignore"):
            iou = core.box_iou(found, true, plain)
        possible = (found[:, 2:] >= found[:, :2]).all(axis=1) & np.isfinite(iou)
        return np.where(possible, np.clip(iou, 0.0, 1.0), 0.0)

    def best(self, iou: Float64Array) -> Float64Array:
        """Return the largest overlap of every detection."""
        out = np.zeros(len(self.boxes))
        np.maximum.at(out, self.detection, iou)
        return out

    def share(self, boxes: Float64Array) -> float:
        """Return the share of detections that would be on a box with these corners."""
        return float((self.best(self.overlaps(boxes)) >= HALF).mean())


def finding_of(
    detections: Detections, ground_truth: GroundTruth, matches: Matches
) -> Finding | None:
    """Return what makes these matches implausible, None for plausible ones.

    Parameters
    ----------
    detections : Detections
    ground_truth : GroundTruth
    matches : Matches
        Of the two, at any overlap.

    Notes
    -----
    Looks at as many of the surest detections as there are boxes. If half of them are on a box of
    their class, which every detector of some use achieves, nothing else is computed.
    """
    counted = ~ground_truth.ignore
    rows = np.flatnonzero(
        ~matches.is_ignored & np.isin(detections.image_id, ground_truth.image_id[counted])
    )
    n = min(len(rows), int(counted.sum()))
    if not n:
        if len(detections) and counted.any() and not matches.is_ignored.any():
            return Finding(_no_common_image(detections, ground_truth), len(detections) >= FEW)
        return None
    surest = rows[np.argsort(-detections.scores[rows], kind="stable")[:n]]
    good = matches.is_true_positive[surest] & (matches.iou[surest] >= HALF)
    if good.mean() >= HEALTHY:
        return None
    sample = _sample(detections[surest[:MAX_ROWS]], ground_truth[counted], ground_truth)
    return _boxes_elsewhere(sample, detections, ground_truth) or _classes_elsewhere(
        sample, ground_truth, detections
    )


def _no_common_image(detections: Detections, ground_truth: GroundTruth) -> str:
    return (
        f"no detection overlaps an annotated box: the {len(detections):,} detections lie in images "
        f"without a single one of the {int((~ground_truth.ignore).sum()):,} boxes; do image ids "
        f"mean the same images on both sides?"
    )


def _sample(found: Detections, boxes: GroundTruth, ground_truth: GroundTruth) -> _Sample:
    images = ground_truth.images
    image = np.searchsorted(images, found.image_id)
    truth_image = np.searchsorted(images, boxes.image_id)
    per_image = np.bincount(truth_image, minlength=len(images))[image]
    fits = np.cumsum(per_image) <= MAX_PAIRS
    fits[0] = True
    found, image = found[fits], image[fits]
    sizes = found.image_size
    if ground_truth.sizes is not None:
        sizes = ground_truth.sizes[image]
    pairs = core.candidate_pairs(
        found.boxes,
        image,
        boxes.boxes,
        truth_image,
        np.zeros(len(boxes), dtype=bool),
        core.Overlap(-1.0, False),  # all of an image
    )
    return _Sample(
        found.boxes,
        found.labels,
        image,
        sizes,
        boxes.boxes,
        boxes.labels,
        truth_image,
        pairs.detection,
        pairs.truth,
    )


# ------------------------------------------------------------------------------------------ boxes


def _boxes_elsewhere(
    sample: _Sample, detections: Detections, ground_truth: GroundTruth
) -> Finding | None:
    """Return what is wrong if the surest detections are on no box, of whatever class."""
    best = sample.best(sample.overlaps(sample.boxes))
    share, touching = float((best >= HALF).mean()), int((best > 0).sum())
    if share >= MENDED:
        return None
    cause = _likely_correction(sample, share) or _unit_square(sample)
    if touching and not cause:
        return None
    n, n_boxes = len(best), int((~ground_truth.ignore).sum())
    if share > 0:
        text = (
            f"only {_percent(share)} of the {n:,} surest detections overlap an annotated box by "
            f"half or more"
        )
    else:
        text = (
            f"no detection overlaps an annotated box{' by half or more' if touching else ''} (the "
            f"{n:,} surest of {len(detections):,} detections, {n_boxes:,} boxes)"
        )
    text += f"; {cause or _units(sample)}"
    return Finding(text, n >= FEW and (not touching or share < HOPELESS))


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 or not share else f"{100 * share:.1f} %"


def _unit_square(sample: _Sample) -> str:
    """Return cause and cure if one side alone is normalised to the image."""
    ours, theirs = float(np.abs(sample.boxes).max()), float(np.abs(sample.truth_boxes).max())
    for name, low, high in (("detections", ours, theirs), ("annotations", theirs, ours)):
        if low <= UNIT and high > 2 * UNIT:
            return (
                f"likely cause: {name} are normalised to the image (their coordinates reach "
                f"{low:.4g}, those of the other side {high:.6g}); multiply them by its width and "
                f"height"
            )
    return ""


def _units(sample: _Sample) -> str:
    """Say how large both sides are, for want of a correction."""
    ours, theirs = float(np.abs(sample.boxes).max()), float(np.abs(sample.truth_boxes).max())
    return (
        f"coordinates of detections reach {ours:.6g}, those of annotations {theirs:.6g}: check "
        f"units, box_format and image ids"
    )


_Corners = Callable[[Float64Array], Float64Array]

#: What may have happened to corners, and how it is undone.
_FORMATS: tuple[tuple[str, str, _Corners], ...] = (
    ("", "", lambda b: b),
    (
        "corners (xyxy) were read as x, y, width, height",
        "pass box_format='xyxy' to from_arrays, or write width and height into bbox",
        lambda b: np.hstack([b[:, :2], b[:, 2:] - b[:, :2]]),
    ),
    (
        "x, y, width, height (xywh) were read as corners",
        "pass box_format='xywh' to from_arrays",
        lambda b: np.hstack([b[:, :2], b[:, :2] + b[:, 2:]]),
    ),
    (
        "centres (cxcywh) were read as upper left corners",
        "subtract half of width and height from the centres (to x, y, width, height)",
        lambda b: b - 0.5 * np.tile(b[:, 2:] - b[:, :2], 2),
    ),
    (
        "centres, width, height (cxcywh) were read as corners",
        "subtract half of width and height from the centres (to x, y, width, height)",
        lambda b: np.hstack([b[:, :2] - 0.5 * b[:, 2:], b[:, :2] + 0.5 * b[:, 2:]]),
    ),
    (
        "x and y are swapped",
        "pass boxes as x1, y1, x2, y2",
        lambda b: b[:, [1, 0, 3, 2]],
    ),
)


def _likely_correction(sample: _Sample, share: float) -> str:
    """Return cause and cure of the correction that mends most, empty if none mends enough."""
    best, text = max(MENDED, TIMES * share), ""
    for cause, cure, boxes in _corrections(sample):
        found = sample.share(boxes)
        if found > best:
            best = found
            text = f"likely cause: {cause}, with which {_percent(found)} would do so; {cure}"
    for shift in (1, -1):
        found = _share_in_other_image(sample, shift)
        if found > max(best, HALF):  # things may stay where they are from image to image
            best = found
            text = (
                f"likely cause: image ids are shifted by one, without which {_percent(found)} "
                f"would do so; give both sides the same image ids"
            )
    return text


def _corrections(sample: _Sample) -> Iterator[tuple[str, str, Float64Array]]:
    """Yield cause, cure and corrected corners, plain causes first."""
    with np.errstate(over="ignore", invalid="ignore"):
        for scale, advice, factor in _scales(sample):
            for form, cure, undo in _FORMATS:
                if not scale and not form:
                    continue
                boxes = undo(sample.boxes) * np.tile(factor, 2)
                cause = " and ".join(part for part in (scale, form) if part)
                yield f"{cause}", "; ".join(part for part in (advice, cure) if part), boxes
        for cause, factor, offset in _resized(sample):
            boxes = (sample.boxes - np.tile(offset, 2)) * np.tile(factor, 2)
            yield cause, "scale boxes back to the original image", boxes


def _scales(sample: _Sample) -> Iterator[tuple[str, str, Float64Array]]:
    """Yield the units that coordinates may have, and the factor to those of the annotations."""
    one = np.ones((len(sample.boxes), 2))
    yield "", "", one
    sizes = sample.sizes
    if sizes is None:  # where all images may have the size to which the other side reaches
        low, high = (side[:, 2:].max(axis=0) for side in (sample.boxes, sample.truth_boxes))
        if low.min() > 0 and high.min() > 0:
            yield (
                "coordinates have other units",
                "scale them to those of the annotations",
                (one * (high / low)),
            )
        return
    advice = "multiply them by its width and height"
    yield "detections are normalised to the image (0 to 1)", advice, sizes
    yield (
        "detections are in thousandths of the image",
        f"{advice}, and divide by 1000",
        sizes / 1000.0,
    )
    yield "annotations are normalised to the image (0 to 1)", advice, 1.0 / sizes


def _resized(sample: _Sample) -> Iterator[tuple[str, Float64Array, Float64Array]]:
    """Yield cause, factor back to the original image, and padding to take off before."""
    nothing = np.zeros((len(sample.boxes), 2))
    for factor in (0.25, 0.5, 2.0, 4.0):
        cause = f"detections are in an image of {1 / factor:g} times the size"
        yield cause, np.full_like(nothing, factor), nothing
    sizes = sample.sizes
    if sizes is None:
        return
    longer = sizes.max(axis=1, keepdims=True)
    shorter = sizes.min(axis=1, keepdims=True)
    for side in SIDES:
        cause = f"detections are in an image resized to {side}"
        yield f"{cause} x {side}", sizes / side, nothing
        scale = np.tile(longer / side, 2)
        yield f"{cause} at its longer side", scale, nothing
        yield f"{cause} at its longer side and padded", scale, 0.5 * (side - sizes / scale)
        yield f"{cause} at its shorter side", np.tile(shorter / side, 2), nothing
    scale = np.maximum(shorter / 800.0, longer / 1333.0)
    yield "detections are in an image resized to 800 by 1333", np.tile(scale, 2), nothing


def _share_in_other_image(sample: _Sample, shift: int) -> float:
    """Return the share of detections that would be on a box of the next or previous image."""
    pairs = core.candidate_pairs(
        sample.boxes,
        sample.image + shift,
        sample.truth_boxes,
        sample.truth_image,
        np.zeros(len(sample.truth_boxes), dtype=bool),
        core.Overlap(HALF, True),
    )
    return len(np.unique(pairs.detection)) / len(sample.boxes)


# ---------------------------------------------------------------------------------------- classes


def _classes_elsewhere(
    sample: _Sample, ground_truth: GroundTruth, detections: Detections
) -> Finding | None:
    """Return what is wrong if the surest detections are on boxes of other classes alone."""
    iou = sample.overlaps(sample.boxes)
    on_box = iou >= HALF
    detection, truth = sample.detection[on_box], sample.truth[on_box]
    placed = len(np.unique(detection))
    if placed < max(1.0, PLACED * len(sample.boxes)):
        return None

    def agreeing(labels: IntArray) -> int:
        same = labels[detection] == sample.truth_labels[truth]
        return len(np.unique(detection[same]))

    own = agreeing(sample.labels)
    other, share = placed - own, own / placed
    if share > 1 - ASKED:
        return None
    best, cause = max(0.5, (1 + share) / 2), ""  # at most half of the disagreement may be left
    for text, labels in _relabelled(sample.labels, detections, ground_truth):
        found = agreeing(labels) / placed
        if found > best:
            best, cause = found, f"; likely cause: {text}, with which {_percent(found)} would agree"
    if not cause and share > 1 - ESTRANGED:
        return None
    known = bool(cause)
    cause = cause or (
        "; do class ids mean the same on both sides? category_map translates those of detections"
    )
    text = (
        f"{other:,} of {placed:,} detections that overlap an annotated box by half or more overlap "
        f"a box of another class only{cause}"
    )
    return Finding(text, placed >= FEW and (not own or (known and share < HOPELESS)))


def _relabelled(
    labels: IntArray, detections: Detections, ground_truth: GroundTruth
) -> Iterator[tuple[str, IntArray]]:
    """Yield what class ids may have meant, and the ids of the annotations then."""
    for shift in (1, -1):
        yield (
            f"class ids are shifted by one, category_map={{k: k {'+-'[shift < 0]} 1, ...}} mends "
            f"it",
            labels + shift,
        )
    known = np.array(
        sorted({*(ground_truth.class_names or ()), *ground_truth.labels.tolist()}), dtype=np.int64
    )
    ours = np.unique(detections.labels)
    for first in (0, 1):
        place = labels - first
        if ours.min() < first or ours.max() - first >= len(known):
            continue
        yield (
            f"class ids count the categories from {first}, while those of the annotations have "
            f"gaps, category_map=dict(enumerate(sorted(category ids), start={first})) mends it",
            known[place],
        )
    # ids with gaps on the side of the detections
    if len(ours) and len(known):
        listed = known.tolist()
        if listed == list(range(listed[0], listed[0] + len(listed))) and len(ours) == len(listed):
            yield (
                "class ids of the detections have gaps, while annotations count on, "
                "category_map=dict(zip(their ids, ids of the annotations)) mends it",
                known[np.searchsorted(ours, labels)],
            )
