"""Detections and ground truth as flat arrays over all images: checked once, sliced and merged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np

from calib._core.namespace import to_numpy
from calib._core.reading import check_option, read_array
from calib._core.typing import ArrayLike, Float64Array, IntArray, LabelArray
from calib.detection import _checks
from calib.detection._flat import Flat, kept, merged_rows, set_fields, summary

ScoreType = Literal["probability", "logit"]


@dataclass(frozen=True, eq=False, repr=False)
class Detections(Flat):
    """Boxes that a detector reported, over any number of images.

    Parameters
    ----------
    boxes : array-like of shape (n_detections, 4)
        Corners ``x1, y1, x2, y2`` in pixels, ``x2 >= x1``, ``y2 >= y1``.
    scores : array-like of shape (n_detections,)
        Confidence of each box, in [0, 1]. `from_arrays` reads logits.
    labels : array-like of int of shape (n_detections,)
        Class of each box, for instance a COCO category id.
    image_id : array-like of int or str of shape (n_detections,)
        Image of each box. Rows of an image need not stand together.
    image_size : array-like of shape (n_detections, 2), default=None
        Width and height of the image of each box, in pixels, > 0. Needed only by what reads
        positions relative to the image.
    features : array-like of shape (n_detections, n_features), default=None
        Further columns that travel with the boxes.

    Attributes
    ----------
    boxes, scores, labels, image_id, image_size, features : ndarray or None
        As given, as NumPy arrays: float64, labels int64, image ids int64 or str.

    Raises
    ------
    ValueError
        If shapes disagree, a value is NaN or infinite, a width or height is negative, or a score
        is outside [0, 1]. The text names the field and the row.

    Warns
    -----
    BoxFormatWarning
        If many boxes leave their images, as boxes do that were read in the wrong format.

    Examples
    --------
    >>> from calib.detection import Detections
    >>> found = Detections([[0, 0, 10, 10], [5, 5, 9, 9]], [0.9, 0.4], [1, 1], [7, 7])
    >>> found[found.scores >= 0.5]
    Detections(1 box, 1 image, 1 class)
    """

    boxes: Float64Array
    scores: Float64Array
    labels: IntArray
    image_id: LabelArray
    image_size: Float64Array | None = None
    features: Float64Array | None = None

    def __post_init__(self) -> None:
        set_fields(self, boxes=_checks.boxes(self.boxes))
        n = len(self.boxes)
        set_fields(self, scores=_checks.finite(self.scores, "scores", (n,)))
        low_high = (self.scores.min(), self.scores.max()) if n else (0.0, 1.0)
        if low_high[0] < 0 or low_high[1] > 1:
            row = int(np.argmax((self.scores < 0) | (self.scores > 1)))
            raise ValueError(
                f"scores has values outside [0, 1] (min={low_high[0]:.6g}, max={low_high[1]:.6g}, "
                f"first in row {row}); if they are logits, use "
                f"Detections.from_arrays(..., score_type='logit')"
            )
        set_fields(self, labels=_checks.labels(self.labels, n))
        set_fields(self, image_id=_checks.ids(self.image_id, "image_id", n))
        if self.image_size is not None:
            set_fields(self, image_size=_checks.image_sizes(self.image_size, n, "image_size"))
            _checks.warn_outside(self.boxes, self.image_size)
        if self.features is not None:
            set_fields(self, features=_checks.finite(self.features, "features", (n, None)))

    @classmethod
    def from_arrays(
        cls,
        boxes: ArrayLike,
        scores: ArrayLike,
        labels: ArrayLike,
        image_id: ArrayLike,
        *,
        box_format: _checks.BoxFormat = "xyxy",
        score_type: ScoreType = "probability",
        image_size: ArrayLike = None,
        features: ArrayLike = None,
        on_invalid: Literal["raise", "drop"] = "raise",
    ) -> Self:
        """Build detections from arrays in another convention.

        Parameters
        ----------
        boxes : array-like of shape (n_detections, 4)
            Boxes in pixels, as `box_format` says.
        scores, labels, image_id, image_size, features : array-like
            As for the class; `scores` as `score_type` says.
        box_format : {"xyxy", "xywh"}, default="xyxy"
            Two corners, or upper left corner with width and height; never guessed.
        score_type : {"probability", "logit"}, default="probability"
            Logits become probabilities by the logistic function.
        on_invalid : {"raise", "drop"}, default="raise"
            What to do with rows that hold NaN, infinities or negative sizes.

        Returns
        -------
        detections : Detections
            Boxes as corners, scores in [0, 1].

        Raises
        ------
        ValueError
            As for the class, or if an option is unknown.

        Warns
        -----
        InvalidRowsWarning
            If rows were dropped; the text says how many.
        """
        check_option("score_type", score_type, ("probability", "logit"))
        check_option("on_invalid", on_invalid, ("raise", "drop"))
        corners = _checks.corners(boxes, box_format)
        columns: dict[str, Any] = {
            "boxes": corners,
            "scores": _checks.floats(scores, "scores", (len(corners),)),
            "labels": to_numpy(read_array(labels, "labels")),
            "image_id": to_numpy(read_array(image_id, "image_id")),
            "image_size": None if image_size is None else np.asarray(image_size),
            "features": None if features is None else to_numpy(read_array(features, "features")),
        }
        if on_invalid == "drop":
            keep = np.isfinite(corners).all(axis=1) & np.isfinite(columns["scores"])
            keep &= (corners[:, 2:] >= corners[:, :2]).all(axis=1)
            columns = kept(columns, keep)
        if score_type == "logit":
            from scipy.special import expit

            columns["scores"] = expit(_checks.finite(columns["scores"], "scores", (None,)))
        return cls(**columns)

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """Stack detections of several batches, in the order given.

        Parameters
        ----------
        parts : sequence of Detections
            At least one; optional fields have to be present in all or in none.

        Returns
        -------
        detections : Detections
            All rows.
        """
        _checks.same_kind([part.image_id for part in parts])
        return parts[0].replaced(merged_rows(parts)) if parts else cls(**merged_rows(parts))

    def with_scores(self, scores: ArrayLike) -> Self:
        """Return the same boxes with other scores.

        Parameters
        ----------
        scores : array-like of shape (n_detections,)
            New confidences in [0, 1].

        Returns
        -------
        detections : Detections
            A new object; everything but the scores is shared.
        """
        new = _checks.finite(scores, "scores", (len(self),))
        if len(new) and (new.min() < 0 or new.max() > 1):
            raise ValueError(
                f"scores has values outside [0, 1] (min={new.min():.6g}, max={new.max():.6g})"
            )
        return self.replaced({"scores": new})

    def position(self) -> Float64Array:
        """Return centre and size of every box relative to its image.

        Returns
        -------
        position : ndarray of shape (n_detections, 4)
            Columns ``cx, cy, w, h``; 0 to 1 inside the image.

        Raises
        ------
        ValueError
            If `image_size` is not known.
        """
        if self.image_size is None:
            raise ValueError(
                "positions need the size of every image, but image_size is None; pass image_size "
                "(width and height per detection), or read the files with from_coco"
            )
        corners = self.boxes
        size = corners[:, 2:] - corners[:, :2]
        return np.hstack([corners[:, :2] + 0.5 * size, size]) / np.tile(self.image_size, 2)

    def __repr__(self) -> str:
        return summary(self, "box", self.image_id)


@dataclass(frozen=True, eq=False, repr=False)
class GroundTruth(Flat):
    """Annotated boxes over any number of images.

    Parameters
    ----------
    boxes : array-like of shape (n_boxes, 4)
        Corners ``x1, y1, x2, y2`` in pixels, ``x2 >= x1``, ``y2 >= y1``.
    labels : array-like of int of shape (n_boxes,)
        Class of each box.
    image_id : array-like of int or str of shape (n_boxes,)
        Image of each box.
    ignore : array-like of bool of shape (n_boxes,), default=None
        Regions that are never missed and absorb any number of detections: COCO's crowd flag.
        None means none.
    area : array-like of shape (n_boxes,), default=None
        Area in square pixels for the size ranges of average precision; None takes width times
        height.
    images : array-like of int or str of shape (n_images,), default=None
        All images that were annotated, those without a box included. None takes the images of the
        boxes.
    sizes : array-like of shape (n_images, 2), default=None
        Width and height of each of `images`, in pixels.
    class_names : mapping from int to str, default=None
        Names for reports.
    negative : array-like of shape (n_pairs, 2), default=None
        Pairs ``image, class`` verified to be absent (federated annotation as in LVIS). If given,
        only classes annotated or verified in an image are judged there.
    not_exhaustive : array-like of shape (n_pairs, 2), default=None
        Pairs ``image, class`` of which not every instance is annotated; unmatched detections there
        are ignored.

    Attributes
    ----------
    boxes, labels, image_id, ignore, area, images, sizes, class_names, negative, not_exhaustive
        As given, as NumPy arrays; `ignore`, `area` and `images` are filled in. `images` is sorted.

    Raises
    ------
    ValueError
        If shapes disagree, values are not finite, a width or height is negative, or a box lies in
        an image that `images` does not list.

    Examples
    --------
    >>> from calib.detection import GroundTruth
    >>> GroundTruth([[0, 0, 10, 10]], [1], [7], images=[7, 8])
    GroundTruth(1 box, 2 images, 1 class)
    """

    boxes: Float64Array
    labels: IntArray
    image_id: LabelArray
    ignore: np.ndarray[Any, np.dtype[np.bool_]] = None  # type: ignore[assignment]
    area: Float64Array = None  # type: ignore[assignment]
    images: LabelArray = field(default=None, metadata={"rows": False})  # type: ignore[arg-type]
    sizes: Float64Array | None = field(default=None, metadata={"rows": False})
    class_names: Mapping[int, str] | None = field(default=None, metadata={"rows": False})
    negative: LabelArray | None = field(default=None, metadata={"rows": False})
    not_exhaustive: LabelArray | None = field(default=None, metadata={"rows": False})

    def __post_init__(self) -> None:
        set_fields(self, boxes=_checks.boxes(self.boxes))
        n = len(self.boxes)
        set_fields(self, labels=_checks.labels(self.labels, n))
        set_fields(self, image_id=_checks.ids(self.image_id, "image_id", n))
        set_fields(self, ignore=_checks.flags(self.ignore, n))
        size = self.boxes[:, 2:] - self.boxes[:, :2]
        area = size[:, 0] * size[:, 1] if self.area is None else self.area
        set_fields(self, area=_checks.finite(area, "area", (n,)))
        images, sizes = _checks.image_table(self.images, self.sizes, self.image_id)
        set_fields(self, images=images, sizes=sizes)
        if sizes is not None and n:
            _checks.warn_outside(self.boxes, sizes[np.searchsorted(images, self.image_id)])
        for name in ("negative", "not_exhaustive"):
            if getattr(self, name) is not None:
                set_fields(self, **{name: _checks.pairs(getattr(self, name), name)})

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """Stack the annotations of several disjoint sets of images, in the order given.

        Parameters
        ----------
        parts : sequence of GroundTruth
            At least one; no image may occur in two of them.

        Returns
        -------
        ground_truth : GroundTruth
            All boxes and all images.

        Raises
        ------
        ValueError
            If an image occurs in two parts, or an optional field is given in some parts only.
        """
        rows = merged_rows(parts)
        _checks.same_kind([part.images for part in parts])
        images = np.concatenate([part.images for part in parts])
        order = np.argsort(images, kind="stable")
        repeated = images[order][1:] == images[order][:-1]
        if repeated.any():
            raise ValueError(
                f"image {images[order][1:][repeated][0]!r} occurs in more than one part; split "
                f"ground truth by image"
            )
        for name in ("sizes", "negative", "not_exhaustive"):
            values = [getattr(part, name) for part in parts]
            if any(v is None for v in values) != all(v is None for v in values):
                raise ValueError(f"{name} is given in some parts only; give it in all or none")
            rows[name] = None if values[0] is None else np.concatenate(values)
        rows["images"] = images[order]
        rows["sizes"] = None if rows["sizes"] is None else rows["sizes"][order]
        names = [part.class_names for part in parts if part.class_names is not None]
        rows["class_names"] = {k: v for one in names for k, v in one.items()} if names else None
        return parts[0].replaced(rows)

    def in_images(self, images: ArrayLike) -> Self:
        """Return the annotations of some images.

        Parameters
        ----------
        images : array-like of shape (n_selected,)
            Images to keep; each has to be one of ``images``.

        Returns
        -------
        ground_truth : GroundTruth
            The boxes in those images, and those images alone.
        """
        wanted = np.unique(to_numpy(read_array(images, "images")))
        unknown = wanted[~np.isin(wanted, self.images)]
        if unknown.size:
            raise ValueError(f"images has ids that are not annotated: {unknown[:5].tolist()}")
        rows = self[np.isin(self.image_id, wanted)]
        listed = np.isin(self.images, wanted)
        pairs = {}
        for name in ("negative", "not_exhaustive"):
            value = getattr(self, name)
            here = None if value is None else np.isin(value[:, 0], wanted.astype(value.dtype))
            pairs[name] = None if value is None else value[here]
        sizes = None if self.sizes is None else self.sizes[listed]
        return rows.replaced({"images": self.images[listed], "sizes": sizes, **pairs})

    def __repr__(self) -> str:
        return summary(self, "box", self.images)
