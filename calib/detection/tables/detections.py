"""Detections as flat arrays over all images: checked once, sliced and merged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np

from calib._border.arrays import read_array, to_numpy
from calib._border.checks import check_option
from calib._border.typing import ArrayLike, Float64Array, IntArray, LabelArray
from calib.detection.tables import checks
from calib.detection.tables.flat import Flat, kept, merged_rows, set_fields, summary
from calib.detection.tables.ground_truth import GroundTruth as GroundTruth

ScoreType = Literal["probability", "logit"]


@dataclass(frozen=True, eq=False, repr=False)
class Detections(Flat):
    """Boxes that a detector reported, over any number of images.

    Parameters
    ----------
    boxes : array-like of shape (n_detections, 4)
        Corners ``x1, y1, x2, y2`` in pixels, ``x2 >= x1``, ``y2 >= y1``.
    scores : array-like of shape (n_detections,)
        Confidence of each box, in [0, 1]; up to 1e-6 beyond it, as rounding leaves them, is cut.
        `from_arrays` reads logits.
    labels : array-like of int of shape (n_detections,)
        Class of each box, for instance a COCO category id.
    image_id : array-like of int or str of shape (n_detections,)
        Image of each box. Rows of an image need not stand together.
    image_size : array-like of shape (n_detections, 2), default=None
        Width and height of the image of each box, in pixels, > 0. Needed only by what reads
        positions relative to the image.
    features : array-like of shape (n_detections, n_features), default=None
        Further columns that travel with the boxes.
    ids_made_up : bool, default=False
        Whether a reader counted the images, for want of ids. Such tables do not merge.

    Attributes
    ----------
    boxes, scores, labels, image_id, image_size, features : ndarray or None
        As given, as NumPy arrays: float64, labels int64, image ids int64 or str.
    ids_made_up : bool
        As given.

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
    ids_made_up: bool = field(default=False, metadata={"rows": False})

    def __post_init__(self) -> None:
        set_fields(self, boxes=checks.boxes(self.boxes))
        n = len(self.boxes)
        scores = checks.finite(self.scores, "scores", (n,))
        set_fields(self, scores=checks.probabilities(scores))
        set_fields(self, labels=checks.labels(self.labels, n))
        set_fields(self, image_id=checks.ids(self.image_id, "image_id", n))
        if self.image_size is not None:
            set_fields(self, image_size=checks.image_sizes(self.image_size, n, "image_size"))
            checks.warn_outside(self.boxes, self.image_size)
        if self.features is not None:
            features = checks.finite(self.features, "features", (n, None), kinds="fiub")
            set_fields(self, features=features)

    @classmethod
    def from_arrays(
        cls,
        boxes: ArrayLike,
        scores: ArrayLike,
        labels: ArrayLike,
        image_id: ArrayLike,
        *,
        box_format: checks.BoxFormat = "xyxy",
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
            What to do with rows that hold NaN, an infinity or a negative width or height.
            Scores outside [0, 1] always raise.

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
        corners = checks.corners(boxes, box_format)
        n = len(corners)
        columns: dict[str, Any] = {
            "boxes": corners,
            "scores": checks.floats(scores, "scores", (n,)),
            "labels": labels,
            "image_id": image_id,
            "image_size": image_size,
            "features": features,
        }
        if image_size is not None:
            columns["image_size"] = checks.floats(image_size, "image_size", (n, 2))
        if features is not None:
            columns["features"] = checks.floats(features, "features", (n, None), kinds="fiub")
        if on_invalid == "drop":
            columns["labels"] = to_numpy(read_array(labels, "labels"))
            columns["image_id"] = to_numpy(read_array(image_id, "image_id"))
            if score_type == "probability":
                checks.probabilities(columns["scores"])  # rows counted before any is dropped
            numbers = (columns[name] for name in ("scores", "image_size", "features"))
            columns = kept(columns, checks.usable_rows(corners, *numbers))
        if score_type == "logit":
            from scipy.special import expit

            columns["scores"] = expit(checks.finite(columns["scores"], "scores", (None,)))
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

        Raises
        ------
        ValueError
            If there is no part, an optional field is given in some parts only (those without a
            row aside), features differ in number, some image ids are texts and others integers,
            or image ids were made up by a reader, so that different images share an id.
        """
        rows = merged_rows(parts)
        checks.same_kind([part.image_id for part in parts])
        rows["ids_made_up"] = checks.refuse_made_up(parts, [len(part) for part in parts])
        return parts[0].replaced(rows)

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

        Raises
        ------
        ValueError
            If the number of scores differs, or one is NaN or outside [0, 1].
        """
        new = checks.finite(scores, "scores", (len(self),))
        return self.replaced({"scores": checks.probabilities(new, hint=False)})

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
