"""Image ids of detections that are not those of the annotations: by a map, or by file names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeAlias

import numpy as np

from calib._border.checks import describe
from calib._border.typing import LabelArray
from calib.detection.lrp import BoolArray
from calib.detection.tables import checks
from calib.detection.tables.ground_truth import GroundTruth

#: Annotated image of each image id of detections, or the rule that finds it.
ImageMap: TypeAlias = Mapping[Any, Any] | Literal["file_name"]


def check_image_map(image_map: object, truth: GroundTruth | None) -> None:
    """Raise unless image ids can be translated in this way."""
    if image_map is None or isinstance(image_map, Mapping):
        return
    if not (isinstance(image_map, str) and image_map == "file_name"):
        raise ValueError(
            f"image_map must map image ids of detections to those of the annotations, or be "
            f"'file_name'; got {describe(image_map)}"
        )
    if truth is None:
        raise ValueError("image_map='file_name' needs ground_truth, which names the files")
    if truth.file_names is None:
        raise ValueError("image_map='file_name' needs a 'file_name' for every annotated image")


def translated(
    ids: LabelArray, image_map: ImageMap, truth: GroundTruth | None
) -> tuple[LabelArray, BoolArray]:
    """Return the annotated image of every id, and which ids have one; others stay empty.

    Raises
    ------
    ValueError
        If an id is the name of several files.
    """
    values, code = np.unique(ids, return_inverse=True)
    table = _by_file_name(values, truth) if isinstance(image_map, str) else dict(image_map)
    found = [table.get(value) for value in values.tolist()]
    known = np.array([one is not None for one in found], dtype=bool)
    images = checks.ids([one for one in found if one is not None], "image_map")
    whole = np.zeros(len(found), dtype=images.dtype)
    whole[known] = images
    return whole[code], known[code]


def names_files(ids: LabelArray, truth: GroundTruth) -> bool:
    """Return whether ids that are not annotated are the names of annotated files."""
    if truth.file_names is None or not len(ids):
        return False
    values = np.unique(ids)
    return len(_by_file_name(values, truth, strict=False)) > len(values) / 2


def _by_file_name(
    values: LabelArray, truth: GroundTruth | None, *, strict: bool = True
) -> dict[Any, Any]:
    """Return the annotated image of every id that is the name of a file.

    The path, the path without suffix, the name and the stem are compared, in this order. Stems of
    digits may have become integers.
    """
    if truth is None or truth.file_names is None:
        return {}
    levels: list[dict[str | int, set[Any]]] = [{}, {}, {}, {}]
    for image, name in zip(truth.images.tolist(), truth.file_names.tolist(), strict=True):
        for level, key in zip(levels, _spellings(name), strict=True):
            level.setdefault(key, set()).add(image)
            if key.isascii() and key.isdigit():
                level.setdefault(int(key), set()).add(image)
    out = {}
    for value in values.tolist():
        images = _images_of(value, levels)
        if strict and len(images) > 1:
            raise ValueError(
                f"image id {value!r} is the name of several images that are annotated "
                f"({sorted(images)[:5]}); pass image_map as a mapping from ids to ids"
            )
        if len(images) == 1:
            out[value] = next(iter(images))
    return out


def _images_of(value: str | int, levels: list[dict[str | int, set[Any]]]) -> set[Any]:
    spellings = [value] if isinstance(value, int) else list(_spellings(value))
    for spelling in spellings:
        for level in levels:
            if spelling in level:
                return level[spelling]
    return set()


def _spellings(path: str) -> Iterator[str]:
    """Yield a path, without its suffix, its last part, and that without suffix."""
    path = path.replace("\\", "/")
    name = path.rpartition("/")[2]
    stem, dot, suffix = name.rpartition(".")
    if not (dot and stem and suffix.isalnum() and not suffix.isdigit()):
        stem, dot, suffix = name, "", ""
    yield path
    yield path[: len(path) - len(dot + suffix)]
    yield name
    yield stem
