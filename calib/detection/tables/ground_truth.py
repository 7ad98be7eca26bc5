"""Ground truth as flat arrays over all images: checked once, sliced and merged."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np

from calib._border.arrays import read_array, to_numpy
from calib._border.checks import check_option
from calib._border.typing import ArrayLike, Float64Array, IntArray, LabelArray
from calib._core.matching import first_of_each
from calib.detection.tables import checks
from calib.detection.tables.flat import Flat, kept, merged_rows, set_fields, summary

Fingerprints = np.ndarray[Any, np.dtype[np.uint64]]
#: Boxes are compared to a tenth of a pixel in them, whatever type they went through.
STEPS = 10.0
#: Coordinates are cut there, far beyond any image.
FARTHEST = 1e15


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
        Area in square pixels for the size ranges of average precision, >= 0; None takes width
        times height.
    images : array-like of int or str of shape (n_images,), default=None
        All images that were annotated, those without a box included. None takes the images of the
        boxes.
    sizes : array-like of shape (n_images, 2), default=None
        Width and height of each of `images`, in pixels.
    class_names : mapping from int to str, default=None
        Names for reports.
    negative : array-like of shape (n_pairs, 2), default=None
        Pairs ``image, class`` verified to be absent (federated annotation as in LVIS). If given,
        only classes annotated or verified in an image are judged there. Where image ids are texts,
        classes are texts as well (``[["a", "3"]]``).
    not_exhaustive : array-like of shape (n_pairs, 2), default=None
        Pairs ``image, class`` of which not every instance is annotated; unmatched detections there
        are ignored.
    file_names : array-like of str of shape (n_images,), default=None
        File of each of `images`, by which detections can be found that name files.
    ids_made_up : bool, default=False
        Whether a reader counted the images, for want of ids. Such tables do not merge.

    Attributes
    ----------
    boxes, labels, image_id, ignore, area, images, sizes, class_names, negative, not_exhaustive, \
file_names, ids_made_up
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
    file_names: LabelArray | None = field(default=None, metadata={"rows": False})
    ids_made_up: bool = field(default=False, metadata={"rows": False})

    def __post_init__(self) -> None:
        set_fields(self, boxes=checks.boxes(self.boxes))
        n = len(self.boxes)
        set_fields(self, labels=checks.labels(self.labels, n))
        set_fields(self, image_id=checks.ids(self.image_id, "image_id", n))
        set_fields(self, ignore=checks.flags(self.ignore, n))
        with np.errstate(over="ignore", invalid="ignore"):
            size = self.boxes[:, 2:] - self.boxes[:, :2]
            area = size[:, 0] * size[:, 1] if self.area is None else self.area
        set_fields(self, area=checks.finite(area, "area", (n,)))
        if (self.area < 0).any():
            row = int(np.argmax(self.area < 0))
            raise ValueError(f"area must be >= 0; got {self.area[row]} in row {row}")
        images, sizes, files = checks.image_table(
            self.images, self.sizes, self.file_names, self.image_id
        )
        set_fields(self, images=images, sizes=sizes, file_names=files)
        if sizes is not None and n:
            checks.warn_outside(self.boxes, sizes[np.searchsorted(images, self.image_id)])
        for name in ("negative", "not_exhaustive"):
            if getattr(self, name) is not None:
                set_fields(
                    self, **{name: checks.pairs_of_numbers(getattr(self, name), name, images)}
                )

    @classmethod
    def from_arrays(
        cls,
        boxes: ArrayLike,
        labels: ArrayLike,
        image_id: ArrayLike,
        *,
        box_format: checks.BoxFormat = "xyxy",
        ignore: ArrayLike = None,
        area: ArrayLike = None,
        images: ArrayLike = None,
        sizes: ArrayLike = None,
        class_names: Mapping[int, str] | None = None,
        negative: ArrayLike = None,
        not_exhaustive: ArrayLike = None,
        file_names: ArrayLike = None,
        on_invalid: Literal["raise", "drop"] = "raise",
    ) -> Self:
        """Build ground truth from boxes in another convention.

        Parameters
        ----------
        boxes : array-like of shape (n_boxes, 4)
            Boxes in pixels, as `box_format` says.
        labels, image_id, ignore, area, images, sizes, negative, not_exhaustive : array-like
            As for the class.
        file_names : array-like of str of shape (n_images,), default=None
            As for the class.
        class_names : mapping from int to str, default=None
            Names for reports.
        box_format : {"xyxy", "xywh"}, default="xyxy"
            Two corners, or upper left corner with width and height; never guessed.
        on_invalid : {"raise", "drop"}, default="raise"
            What to do with rows that hold NaN, an infinity or a negative width or height. Their
            images stay annotated.

        Returns
        -------
        ground_truth : GroundTruth
            Boxes as corners.

        Raises
        ------
        ValueError
            As for the class, or if an option is unknown.

        Warns
        -----
        InvalidRowsWarning
            If rows were dropped; the text says how many.
        """
        check_option("on_invalid", on_invalid, ("raise", "drop"))
        corners = checks.corners(boxes, box_format)
        columns: dict[str, Any] = {
            "boxes": corners,
            "labels": labels,
            "image_id": image_id,
            "ignore": ignore,
            "area": None if area is None else checks.floats(area, "area", (len(corners),)),
        }
        if on_invalid == "drop":
            for name in ("labels", "image_id", "ignore"):
                if columns[name] is not None:
                    columns[name] = to_numpy(read_array(columns[name], name))
            if images is None:
                images = np.unique(checks.ids(image_id, "image_id", len(corners)))
            columns = kept(columns, checks.usable_rows(corners, columns["area"]))
        return cls(
            **columns,
            images=images,
            sizes=sizes,
            class_names=class_names,
            negative=negative,
            not_exhaustive=not_exhaustive,
            file_names=file_names,
        )

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
            If there is no part, an image occurs in two parts, an optional field is given in some
            parts only (those without images aside), two parts give a class different names, or
            image ids were made up by a reader, so that different images share an id.
        """
        rows = merged_rows(parts)
        rows["ids_made_up"] = checks.refuse_made_up(parts, [len(part.images) for part in parts])
        checks.same_kind([part.images for part in parts])
        images = np.concatenate([part.images for part in parts])
        order = np.argsort(images, kind="stable")
        repeated = images[order][1:] == images[order][:-1]
        if repeated.any():
            first = images[order][1:][repeated][0].item()
            raise ValueError(
                f"image {first!r} occurs in more than one part; split ground truth by image"
            )
        filled = [part for part in parts if len(part.images)] or parts[:1]
        for name in ("sizes", "negative", "not_exhaustive", "file_names"):
            values = [getattr(part, name) for part in filled]
            if name == "file_names" and any(v is None for v in values):
                values = [None]  # they help to find images and are no part of the annotations
            if any(v is None for v in values) != all(v is None for v in values):
                raise ValueError(f"{name} is given in some parts only; give it in all or none")
            rows[name] = None if values[0] is None else np.concatenate(values)
        rows["images"] = images[order]
        for name in ("sizes", "file_names"):
            rows[name] = None if rows[name] is None else rows[name][order]
        rows["class_names"] = _merged_names(parts)
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
            The boxes in those images, and those images alone, once each.

        Raises
        ------
        ValueError
            If an image is not annotated.
        """
        wanted = np.unique(checks.ids(images, "images"))
        checks.same_kind([wanted, self.images], ("images", "the annotated images"))
        unknown = wanted[~np.isin(wanted, self.images)]
        if unknown.size:
            raise ValueError(f"images has ids that are not annotated: {unknown[:5].tolist()}")
        rows = self[np.isin(self.image_id, wanted)]
        listed = np.isin(self.images, wanted)
        columns = {}
        for name in ("negative", "not_exhaustive"):
            value = getattr(self, name)
            columns[name] = None if value is None else value[np.isin(value[:, 0], wanted)]
        for name in ("sizes", "file_names"):
            value = getattr(self, name)
            columns[name] = None if value is None else value[listed]
        return rows.replaced({"images": self.images[listed], **columns})

    def __repr__(self) -> str:
        return summary(self, "box", self.images)


def _merged_names(parts: Sequence[GroundTruth]) -> dict[int, str] | None:
    given = [part.class_names for part in parts if part.class_names is not None]
    names: dict[int, str] = {}
    for one in given:
        for label, name in one.items():
            if names.setdefault(label, name) != name:
                raise ValueError(
                    f"class {label} is called {names[label]!r} in one part and {name!r} in another"
                )
    return names if given else None


def fingerprints(ground_truth: GroundTruth) -> Fingerprints:
    """Return a hash of the id and the annotated boxes of every image that has some, ascending.

    Different data sets may number their images alike; with their boxes no two images agree by
    chance. Images without a box are left out.
    """
    counted = ~ground_truth.ignore
    images, labels = ground_truth.image_id[counted], ground_truth.labels[counted]
    with np.errstate(over="ignore"):
        steps = np.clip(ground_truth.boxes[counted] * STEPS, -FARTHEST, FARTHEST)
    corners = np.rint(steps).astype(np.int64)
    rows = np.column_stack([labels, corners])
    order = np.lexsort((*rows.T[::-1], images))
    rows = np.ascontiguousarray(rows[order], dtype="<i8")
    starts = first_of_each(images[order])
    ends = [*starts[1:].tolist(), len(rows)][: len(starts)]
    hashes = [
        hashlib.blake2b(f"{image}:".encode() + rows[start:end].tobytes(), digest_size=8).digest()
        for image, start, end in zip(
            images[order][starts].tolist(), starts.tolist(), ends, strict=True
        )
    ]
    return np.unique(np.frombuffer(b"".join(hashes), dtype="<u8").astype(np.uint64))
