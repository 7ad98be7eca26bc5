"""The border of the detection arrays: every error names the field, the row and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from calib._border.arrays import read_array, to_numpy
from calib._border.checks import check_option, describe, is_integer
from calib._border.typing import ArrayLike, Float64Array, IntArray, LabelArray
from calib._border.validation import RANGE_TOLERANCE
from calib._border.warn import warn
from calib.warnings import BoxFormatWarning

BoxFormat = Literal["xyxy", "xywh"]

#: A box leaves its image when it exceeds it by more than this share of the image's side.
OUTSIDE_MARGIN = 0.1
#: Share of boxes outside their images that raises a warning about the box format.
OUTSIDE_SHARE = 0.05
#: What to do with names of classes.
_NAMES = "; translate names of classes into ids first, for instance [ids[name] for name in labels]"


def floats(
    x: ArrayLike, name: str, shape: tuple[int | None, ...], *, kinds: str = "fiu"
) -> Float64Array:
    """Return numbers as float64 of the wanted shape; None stands for any length."""
    array = to_numpy(read_array(x, name))
    if array.shape[:1] == (0,) or array.shape == (1, 0):  # no rows, of whatever type and width
        widths = array.shape[1:] if array.ndim == len(shape) else (0,) * len(shape)
        array = np.zeros([0, *(n or k for n, k in zip(shape[1:], widths, strict=False))])
    if array.dtype.kind not in kinds:
        raise ValueError(f"{name} must hold numbers; got dtype {array.dtype}")
    fits = array.ndim == len(shape) and all(
        n is None or n == m for n, m in zip(shape, array.shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("n" if n is None else str(n) for n in shape)
        raise ValueError(f"{name} must have shape ({wanted}); got {array.shape}")
    return np.ascontiguousarray(array, dtype=np.float64)


def finite(
    x: ArrayLike, name: str, shape: tuple[int | None, ...], *, kinds: str = "fiu"
) -> Float64Array:
    """Return finite numbers as float64 of the wanted shape."""
    array = floats(x, name, shape, kinds=kinds)
    bad = ~np.isfinite(array)
    if bad.any():
        row = int(np.argwhere(bad)[0][0])
        raise ValueError(
            f"{name} contains NaN or inf in row {row}: {array[row].tolist()}; repair the row, or "
            f"read with on_invalid='drop' (from_arrays, from_coco) to drop such rows"
        )
    return array


def probabilities(array: Float64Array, *, name: str = "scores", hint: bool = True) -> Float64Array:
    """Return scores, of which all finite ones lie in [0, 1]; what rounding exceeds it is cut."""
    outside = ((array < 0) | (array > 1)) & np.isfinite(array)
    if not outside.any():
        return array
    outside &= (array < -RANGE_TOLERANCE) | (array > 1 + RANGE_TOLERANCE)
    if outside.any():
        low, high = array[outside].min(), array[outside].max()
        row = int(np.argmax(outside))
        finite = array[np.isfinite(array)]
        percent = "; if they are percentages, divide them by 100"
        advice = percent if finite.min() >= 0 and 1 < finite.max() <= 100 else ""
        advice += "; if they are logits, read them with score_type='logit' (from_arrays, from_coco)"
        raise ValueError(
            f"{name} has values outside [0, 1] (from {low:.6g} to {high:.6g}, first in row {row})"
            f"{advice if hint else ''}"
        )
    return np.clip(array, 0.0, 1.0)


def corners(x: ArrayLike, box_format: BoxFormat) -> Float64Array:
    """Return boxes in a declared format as corners; values are not checked."""
    check_option("box_format", box_format, ("xyxy", "xywh"))
    array = floats(x, "boxes", (None, 4))
    if box_format == "xywh":
        array = array.copy()
        with np.errstate(over="ignore", invalid="ignore"):  # such rows are refused or dropped
            array[:, 2:] += array[:, :2]
    return array


def usable_rows(boxes: Float64Array, *columns: Float64Array | None) -> Any:
    """Return which rows hold finite values and no negative width or height."""
    usable = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] >= boxes[:, :2]).all(axis=1)
    for column in columns:
        if column is not None:
            usable &= np.isfinite(column.reshape(len(column), -1)).all(axis=1)
    return usable


def boxes(x: ArrayLike) -> Float64Array:
    """Return finite boxes whose sides are not negative."""
    array = finite(x, "boxes", (None, 4))
    negative = (array[:, 2:] < array[:, :2]).any(axis=1)
    if negative.any():
        row = int(np.argmax(negative))
        raise ValueError(
            f"boxes has a negative width or height in row {row}: {array[row].tolist()} as corners "
            f"x1, y1, x2, y2; if boxes are given as x, y, width, height, pass box_format='xywh' "
            f"to from_arrays"
        )
    return array


def labels(x: ArrayLike, n: int) -> IntArray:
    """Return class ids as int64."""
    array = to_numpy(read_array(x, "labels"))
    if n == 0 == array.size:
        return np.empty(0, dtype=np.int64)
    if array.shape != (n,):
        raise ValueError(f"labels must have shape ({n},), one class per box; got {array.shape}")
    whole = integers(array)
    if whole is None:
        raise ValueError(
            f"labels must be integers (class or category ids) of at most 64 bits; got "
            f"{_what(array)}{_NAMES if array.dtype.kind in 'UST' or _holds_texts(array) else ''}"
        )
    return whole


def _holds_texts(array: LabelArray) -> bool:
    return array.dtype.kind == "O" and any(isinstance(one, str) for one in array.ravel().tolist())


def integers(array: LabelArray) -> IntArray | None:
    """Return whole numbers as int64, also those stored as floats or objects; None for others."""
    if array.size == 0:
        return np.zeros(array.shape, dtype=np.int64)
    if array.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            array = array.astype(np.float64, copy=False)
            whole = (np.abs(array) < 2.0**63) & (array == np.rint(array))
            return array.astype(np.int64) if whole.all() else None
    if array.dtype.kind == "O":
        kinds = set(map(type, array.ravel()))
        if not all(issubclass(k, (int, np.integer)) and k is not bool for k in kinds):
            return None
        try:
            return array.astype(np.int64)
        except OverflowError:
            return None
    if array.dtype.kind == "u" and int(array.max()) >= 2**63:
        return None
    return array.astype(np.int64, copy=False) if array.dtype.kind in "iu" else None


def mapped_labels(labels: IntArray, category_map: Mapping[int, int] | None) -> IntArray:
    """Return labels translated by a map that knows all of them."""
    if category_map is None:
        return labels
    if not isinstance(category_map, Mapping):
        raise ValueError(
            f"category_map must map class ids to category ids; got {describe(category_map)}; a "
            f"list of category ids becomes a map by dict(enumerate(...))"
        )
    values = integers(np.array([*category_map.keys(), *category_map.values()], dtype=object))
    if values is None:
        raise ValueError("category_map must map integers to integers")
    known, code = np.unique(labels, return_inverse=True)
    unknown = [int(label) for label in known if label not in category_map]
    if unknown:
        raise ValueError(f"category_map has no entry for class ids {unknown[:5]}")
    return np.array([category_map[int(label)] for label in known], dtype=np.int64)[code]


def _what(array: LabelArray) -> str:
    """Describe the first entry that is no integer, or the type if all could be."""
    for row, value in enumerate(array.ravel()[:10_000].tolist()):
        whole = is_integer(value) or (isinstance(value, float) and value.is_integer())
        if not whole or abs(value) >= 2**63:
            return f"dtype {array.dtype}, for instance {describe(value)} in row {row}"
    return f"dtype {array.dtype}"


def ids(x: ArrayLike, name: str, n: int | None = None) -> LabelArray:
    """Return image ids as int64 or str."""
    array = to_numpy(read_array(x, name))
    if array.size == 0 and not n:
        return np.empty(0, dtype=np.int64)
    if array.ndim != 1 or (n is not None and len(array) != n):
        wanted = "(n,)" if n is None else f"({n},)"
        raise ValueError(f"{name} must have shape {wanted}; got {array.shape}")
    if array.dtype.kind == "U" and isinstance(x, (list, tuple)):  # NumPy turns 1 into "1"
        array = np.array(x, dtype=object)
    if array.dtype.kind in "OT" and array.size and all(isinstance(v, str) for v in array):
        array = array.astype(str)
    if array.dtype.kind == "U":
        return array
    whole = integers(array)
    if whole is None:
        raise ValueError(
            f"{name} must hold integers of at most 64 bits, or texts, and not both; got "
            f"{_what(array)}"
        )
    return whole


def flags(x: ArrayLike | None, n: int) -> Any:
    """Return ignore flags as booleans; None means none."""
    if x is None:
        return np.zeros(n, dtype=bool)
    array = to_numpy(read_array(x, "ignore"))
    if n == 0 == array.size:
        return np.zeros(0, dtype=bool)
    if array.shape != (n,):
        raise ValueError(f"ignore must have shape ({n},); got {array.shape}")
    if array.dtype.kind not in "biuf" or not np.isin(array, (0, 1)).all():
        raise ValueError(f"ignore must hold booleans (or 0 and 1); got dtype {array.dtype}")
    return array.astype(bool)


def image_table(
    images: ArrayLike | None,
    sizes: ArrayLike | None,
    file_names: ArrayLike | None,
    image_id: LabelArray,
) -> tuple[LabelArray, Float64Array | None, LabelArray | None]:
    """Return the sorted ids of all annotated images, their sizes and their files in that order."""
    if images is None:
        for name, given in (("sizes", sizes), ("file_names", file_names)):
            if given is not None:
                raise ValueError(f"{name} needs images: one row belongs to each of them")
        return np.unique(image_id), None, None
    listed = ids(images, "images")
    same_kind([listed, image_id], ("images", "image_id"))
    order = np.argsort(listed, kind="stable")
    listed = listed[order]
    twice = listed[1:] == listed[:-1]
    if twice.any():
        raise ValueError(f"images lists {listed[1:][twice][0].item()!r} more than once")
    unknown = np.unique(image_id[~np.isin(image_id, listed)])
    if unknown.size:
        raise ValueError(f"image_id has ids that images does not list: {unknown[:5].tolist()}")
    if sizes is not None:
        sizes = image_sizes(sizes, len(listed), "sizes")[order]
    return listed, sizes, None if file_names is None else _texts(file_names, len(order))[order]


def _texts(x: ArrayLike, n: int) -> LabelArray:
    """Return the names of the files of images."""
    array = to_numpy(read_array(x, "file_names"))
    if array.shape != (n,) or not all(isinstance(one, str) for one in array.tolist()):
        raise ValueError(f"file_names must hold {n} texts, one for each image")
    return array.astype(str)


def image_sizes(x: ArrayLike, n: int, name: str) -> Float64Array:
    """Return widths and heights, all positive."""
    array = finite(x, name, (n, 2))
    if (array <= 0).any():
        row = int(np.argmax((array <= 0).any(axis=1)))
        raise ValueError(f"{name} must be > 0; got {array[row].tolist()} in row {row}")
    return array


def pairs_of_numbers(x: ArrayLike, name: str, images: LabelArray) -> LabelArray:
    """Return pairs of image and class: int64, or texts where image ids are texts."""
    array = to_numpy(read_array(x, name))
    if array.size == 0:
        return np.empty((0, 2), dtype=np.int64)
    if array.ndim != 2 or array.shape[1] != 2:
        raise ValueError(f"{name} must have shape (n_pairs, 2): image, class; got {array.shape}")
    column = array[:, 0]
    image_id = ids(column.tolist() if column.dtype.kind == "O" else column, name)
    same_kind([image_id, images], (name, "images"))
    try:
        texts = array.dtype.kind == "U"
        classes = array[:, 1].astype(np.int64) if texts else integers(array[:, 1])
    except ValueError:
        classes = None
    if classes is None:
        raise ValueError(f"{name} must hold pairs of an image and an integer class")
    unknown = image_id[~np.isin(image_id, images)]
    if unknown.size:
        raise ValueError(f"{name} has images that are not annotated: {unknown[:5].tolist()}")
    return np.column_stack([image_id, classes])


def same_kind(arrays: Sequence[LabelArray], names: Sequence[str] | None = None) -> None:
    """Raise if some image ids are texts and others are integers."""
    kinds = [array.dtype.kind == "U" for array in arrays if len(array)]
    if any(kinds) and not all(kinds):
        what = " and ".join(names) if names else "image ids"
        raise ValueError(
            f"{what} mix texts and integers; use one kind of image id (image_map translates those "
            f"of COCO results)"
        )


def refuse_made_up(parts: Sequence[Any], counts: Sequence[int]) -> bool:
    """Return whether image ids were made up; raise if such tables would merge."""
    filled = [k for k, n in enumerate(counts) if n]
    made_up = [k for k in filled if parts[k].ids_made_up]
    if made_up and len(filled) > 1:
        raise ValueError(
            f"the image ids of part {made_up[0]} were made up by counting, so that images of "
            f"different parts would become one; pass image_id to read_detections and "
            f"read_ground_truth, with an id of its own for every image"
        )
    return bool(made_up)


def warn_outside(array: Float64Array, sizes: Float64Array) -> None:
    """Warn when many boxes exceed their images, the mark of a wrong box format."""
    over = array[:, 2:] > sizes * (1 + OUTSIDE_MARGIN)
    under = array[:, :2] < -OUTSIDE_MARGIN * sizes
    share = float((over | under).any(axis=1).mean()) if len(array) else 0.0
    if share > OUTSIDE_SHARE:
        row = int(np.argmax((over | under).any(axis=1)))
        warn(
            f"{share:.0%} of the boxes leave their images, for instance row {row}: corners "
            f"{array[row].tolist()} in an image of {sizes[row].tolist()}; were corners (xyxy) read "
            f"as x, y, width, height (xywh)? Check box_format",
            BoxFormatWarning,
        )
