"""Calibration of images and sequences: every pixel or token is a row, and nothing is transposed.

Scores of a segmentation network have their classes on an axis of their own. Fits draw cells image
by image; maps run on views of the array, block by block, and keep its shape.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self, cast

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted

from calib._border.arrays import (
    BLOCK_ELEMENTS,
    array_namespace,
    blocks_of,
    read_array,
    to_numpy,
)
from calib._border.checks import check_integer, check_option, describe, is_integer
from calib._border.random import generator, stream
from calib._border.typing import Array, ArrayLike, Float64Array, IntArray, LabelArray, RandomState
from calib._border.validation import as_floating
from calib.base import BaseCalibrator
from calib.grouped.files import contents_of_map, is_plain, restored_map
from calib.registry import make_calibrator

#: What files of calibrators of images and sequences say that they are.
KIND = "calib dense calibrator"
#: Cells an image that ``samples_per_image="auto"`` draws at least, and cells that it draws of all
#: images together at least, where their number is known.
CELLS_PER_IMAGE, CELLS_OF_ALL = 4096, 200_000
#: Constructor arguments that a file holds as they are.
_PLAIN = ("class_axis", "ignore_index", "samples_per_image", "input", "random_state")
#: What a fit counts.
_COUNTS = ("n_images_", "n_sampled_", "n_ignored_")


class DenseCalibrator(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Calibrate the pixels of images or the tokens of sequences with any calibrator.

    Every cell (pixel, voxel, token) is a sample of the inner calibrator. A fit draws cells without
    replacement image by image, each with the number of cells that it stands for as its weight
    (Horvitz and Thompson), so that areas count as they should, one pass is enough and memory grows
    with the cells that are drawn alone. `transform` maps views of the array in blocks and keeps its
    shape.

    Parameters
    ----------
    calibrator : str or BaseCalibrator, default="auto"
        Registry name, or a calibrator whose `input` is the same. ``"temperature"`` where the most
        probable class must not change or speed counts; a temperature cannot repair a bias, such as
        that of most maps with two classes.
    class_axis : int or None, default=1
        Axis of the classes in `X`; negative ones count from the end. Images are on axis 0. None,
        or an axis of length 1: `X` holds the score of the positive class of two, and the result
        its probability.
    ignore_index : int or None, default=None
        Label of cells that have none, such as 255 or -100.
    samples_per_image : int, None or "auto", default="auto"
        Cells that are drawn of an image with more labelled ones, >= 1; None takes all. ``"auto"``
        is 4096, and in `fit` as many more as 200,000 cells of all images need.
    input : {"proba", "logits"}, default="logits"
        What `X` holds; never guessed.
    random_state : int, RandomState, Generator or None, default=0
        Decides which cells are drawn; every image has random numbers of its own.

    Attributes
    ----------
    calibrator_ : BaseCalibrator
        The fitted calibrator of cells.
    n_images_ : int
        Images that the fit saw.
    n_sampled_ : int
        Cells that it was fitted on.
    n_ignored_ : int
        Cells without a label or of weight 0.

    See Also
    --------
    calib.evaluation.dense_report : errors of such maps, with intervals by image.
    calib.export.to_torch : the map as a last layer of a segmentation network.

    Notes
    -----
    With ``samples_per_image=None`` the fit is that of the flattened array. Weights of drawn cells
    are scaled to a mean of 1, so that methods which trust large samples see how many cells there
    are. Cells of an image resemble each other: intervals need images as their units.

    References
    ----------
    Horvitz, D. G., Thompson, D. J. "A generalization of sampling without replacement from a finite
    universe". Journal of the American Statistical Association 47 (1952), 663-685.
    doi:10.1080/01621459.1952.10483446

    Examples
    --------
    >>> import numpy as np
    >>> from calib import DenseCalibrator
    >>> rng = np.random.default_rng(0)
    >>> logits = 2.0 * rng.normal(size=(4, 3, 64, 64))
    >>> noise = rng.gumbel(size=logits.shape)
    >>> y = (logits / 2.0 + noise).argmax(axis=1)
    >>> cal = DenseCalibrator("temperature").fit(logits, y)
    >>> cal.transform(logits).shape, round(cal.calibrator_.temperature_, 1)
    ((4, 3, 64, 64), 2.0)
    """

    calibrator_: BaseCalibrator
    n_images_: int
    n_sampled_: int
    n_ignored_: int

    def __init__(
        self,
        calibrator: str | BaseCalibrator = "auto",
        *,
        class_axis: int | None = 1,
        ignore_index: int | None = None,
        samples_per_image: int | Literal["auto"] | None = "auto",
        input: Literal["proba", "logits"] = "logits",
        random_state: RandomState = 0,
    ) -> None:
        self.calibrator = calibrator
        self.class_axis = class_axis
        self.ignore_index = ignore_index
        self.samples_per_image = samples_per_image
        self.input = input
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike = None) -> Self:
        """Fit on the cells of held-out images or sequences.

        Parameters
        ----------
        X : array-like of shape (n_images, n_classes, ...) or as `class_axis` says
            Scores; arrays, memory maps or tensors. Those of cells that are ignored may be NaN.
        y : array-like
            Labels 0..n_classes - 1, of the shape of `X` without the axis of the classes; or soft
            targets of the shape of `X`. For one score a cell also fractions in [0, 1].
        sample_weight : array-like of the shape of the labels, default=None
            Non-negative weights; cells of weight 0 are not there.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If shapes do not fit, labels are none of the classes, every cell is ignored, or the
            scores of a drawn cell contradict `input`.
        """
        self._check_parameters()
        array = read_array(X, "X")
        cells = _Cells(self.ignore_index, self._seed())
        n_images = int(array.shape[0]) if array.ndim else 0
        most = self.samples_per_image
        if most == "auto":
            most = max(CELLS_PER_IMAGE, math.ceil(CELLS_OF_ALL / max(1, n_images)))
        cells.add(DenseBatch.of(array, y, sample_weight, self.class_axis), most)
        return self._fit_cells(cells)

    def fit_batches(self, batches: Iterable[tuple[ArrayLike, ...]]) -> Self:
        """Fit on batches that are read one after the other, once.

        Parameters
        ----------
        batches : iterable of (X, y) or (X, y, sample_weight)
            What `fit` takes; batches may differ in the number and the size of images.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            As in `fit`; if there is no batch, or if batches differ in the number of classes.
        """
        self._check_parameters()
        cells = _Cells(self.ignore_index, self._seed())
        most = CELLS_PER_IMAGE if self.samples_per_image == "auto" else self.samples_per_image
        for place, batch in enumerate(batches):
            if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
                raise ValueError(
                    f"batches must yield (X, y) or (X, y, sample_weight); batch {place} is "
                    f"{describe(batch)}"
                )
            images, y, *weight = batch
            sample_weight = weight[0] if weight else None
            array = read_array(images, "X")
            cells.add(DenseBatch.of(array, y, sample_weight, self.class_axis), most)
        if not cells.n_batches:
            raise ValueError("batches is empty; pass at least one (X, y)")
        return self._fit_cells(cells)

    def transform(self, X: ArrayLike, out: Array | None = None) -> Array:
        """Map scores to calibrated probabilities of the same shape.

        Parameters
        ----------
        X : array-like
            Scores as at fit; images may be of another size and number.
        out : array of the shape of `X`, default=None
            Where to write the probabilities, for instance a memory map; may be `X` itself.

        Returns
        -------
        proba : array of the shape of `X`
            Probabilities along the axis of the classes, or of the positive class where a cell has
            one score; the floating type, library and device of `X`. It is `out` where that is
            given.

        Raises
        ------
        NotFittedError
            If the calibrator is not fitted.
        ValueError
            If `X` has another number of classes than at fit, is not finite, or contradicts
            `input`; if `out` is of another shape or library.
        """
        check_is_fitted(self, "calibrator_")
        array = as_floating(read_array(X, "X"), "X")
        axis = axis_of(array.shape, self.class_axis)
        n_columns = 1 if axis is None else int(array.shape[axis])
        if n_columns != self.calibrator_.n_features_in_:
            raise ValueError(
                f"X has {n_columns} classes on axis {axis} (shape {tuple(array.shape)}), but this "
                f"DenseCalibrator was fitted on {self.calibrator_.n_features_in_}"
            )
        xp = array_namespace(array)
        if out is not None:
            _check_out(out, array)
        if xp is not np and (array.requires_grad or array.device.type != "cpu"):
            whole = self._mapped(_rows(array, axis, xp))
            shape = _moved(array, axis, xp).shape
            proba = whole.reshape(shape)
            proba = proba[..., 0] if axis is None else xp.moveaxis(proba, -1, axis)
            if out is None:
                return proba
            out[...] = proba
            return out
        result = xp.empty_like(array) if out is None else out
        target = np.asarray(result) if xp is np else result
        for images in image_chunks(array, n_columns):
            try:
                self._map_into(array[images], target[images], axis)
            except ValueError as error:
                raise ValueError(
                    f"in images {images.start}..{images.stop - 1} of X, whose cells are counted as "
                    f"rows: {error}"
                ) from error
        return result

    # ------------------------------------------------------------------ for the rest of the library

    def contents(self) -> dict[str, Any]:
        """Return the parameters and the fitted map as plain values, for files."""
        check_is_fitted(self, "calibrator_")
        parameters = {name: getattr(self, name) for name in _PLAIN}
        parameters = {
            key: value.item() if isinstance(value, np.generic) else value
            for key, value in parameters.items()
        }
        for key, value in parameters.items():
            if not is_plain(value):
                raise TypeError(
                    f"parameter {key}={describe(value)} cannot be saved as JSON; use pickle"
                )
        return {
            "method": self.calibrator if isinstance(self.calibrator, str) else None,
            "dense": parameters,
            "counts": {name: getattr(self, name) for name in _COUNTS},
            "cells": contents_of_map(self.calibrator_),
        }

    @classmethod
    def restored(cls, document: Mapping[str, Any]) -> DenseCalibrator:
        """Return the calibrator that `contents` described, or raise a `ValueError`."""
        cells = restored_map(document["cells"])
        parameters, counts = document["dense"], document["counts"]
        if not isinstance(parameters, dict) or set(parameters) != set(_PLAIN):
            raise ValueError(f"a DenseCalibrator takes the parameters {[*_PLAIN]}")
        method = document["method"]
        calibrator = cls(clone(cells) if method is None else method, **parameters)
        calibrator._check_parameters()
        if cells.input != calibrator.input:
            raise ValueError(f"its cells hold {cells.input!r}, its images {calibrator.input!r}")
        for name in _COUNTS:
            setattr(calibrator, name, check_integer(name, counts[name], low=0))
        calibrator.calibrator_ = cells
        return calibrator

    # ------------------------------------------------------------------ parts

    def _check_parameters(self) -> None:
        check_option("input", self.input, ("proba", "logits"))
        if self.class_axis is not None and not is_integer(self.class_axis):
            raise ValueError(
                f"class_axis must be an integer or None; got {describe(self.class_axis)}"
            )
        if self.ignore_index is not None and not is_integer(self.ignore_index):
            raise ValueError(
                f"ignore_index must be an integer or None; got {describe(self.ignore_index)}"
            )
        most: Any = self.samples_per_image
        if most is not None and not (isinstance(most, str) and most == "auto"):
            if isinstance(most, str):
                raise ValueError(
                    f"samples_per_image must be 'auto', None or an integer >= 1; got {most!r}"
                )
            check_integer("samples_per_image", most, low=1)
        self._fresh()

    def _fresh(self) -> BaseCalibrator:
        """Return the unfitted calibrator of cells."""
        if isinstance(self.calibrator, str):
            return make_calibrator(self.calibrator, input=self.input)
        if not isinstance(self.calibrator, BaseCalibrator):
            raise ValueError(
                f"calibrator must be a registry name or a calibrator of scores; got "
                f"{describe(self.calibrator)}"
            )
        if self.calibrator.input != self.input:
            raise ValueError(
                f"calibrator reads input={self.calibrator.input!r}, but input={self.input!r}; "
                f"give both the same"
            )
        return cast(BaseCalibrator, clone(self.calibrator))

    def _seed(self) -> int:
        return int(generator(self.random_state).integers(2**63))

    def _fit_cells(self, cells: _Cells) -> Self:
        scores, target, weight = cells.joined()
        fresh = self._fresh()
        if target.ndim == 2:
            fresh.fit(scores, target, weight)
        else:
            labels = np.arange(max(2, scores.shape[1]))
            fresh.fit(scores, target, weight, labels=labels)
        self.calibrator_ = fresh
        self.n_images_ = cells.n_images
        self.n_sampled_ = len(scores)
        self.n_ignored_ = cells.n_ignored
        return self

    def _mapped(self, rows: Array) -> Array:
        """Return the probabilities of rows, in as many columns as these have."""
        proba = self.calibrator_.map_checked(self.calibrator_.checked(rows))
        return proba[:, 1:] if rows.shape[1] == 1 else proba

    def _map_into(self, images: Array, target: Array, axis: int | None) -> None:
        """Write the probabilities of images that lie in the host's memory."""
        xp = array_namespace(images)
        rows, places = _rows(images, axis, xp), _rows(target, axis, xp)
        direct = _is_view(places, target)
        proba = places if direct else xp.empty_like(rows)
        at_least = self.calibrator_.traits.block_rows
        for block in blocks_of(rows, max(2, rows.shape[1]), at_least=at_least):
            proba[block] = self._mapped(rows[block])
        if not direct:
            moved = _moved(target, axis, xp)
            moved[...] = proba.reshape(moved.shape)


@dataclass(frozen=True, eq=False)
class DenseBatch:
    """Checked images with their labels.

    Attributes
    ----------
    scores : array of shape (n_images, ...)
        Of any namespace.
    labels : array
        Of the same shape without the axis of the classes, or with it for soft targets.
    weight : array or None
        Of the shape of the labels without the axis of the classes.
    axis : int or None
        Of the classes, counted from the start; None where there is one score a cell.
    names : (str, str)
        What scores and labels are called in errors.
    """

    scores: Array
    labels: Array
    weight: Array | None
    axis: int | None
    names: tuple[str, str] = ("X", "y")

    @classmethod
    def of(
        cls,
        X: Array,
        y: ArrayLike,
        sample_weight: ArrayLike = None,
        class_axis: int | None = 1,
        names: tuple[str, str] = ("X", "y"),
    ) -> DenseBatch:
        """Check the shapes of one batch; `names` are those of scores and labels in errors."""
        x_name, y_name = names
        labels = read_array(y, y_name)
        shape = tuple(X.shape)
        axis = axis_of(shape, class_axis, x_name)
        if 0 in shape:
            raise ValueError(
                f"{x_name} of shape {shape} is empty; pass at least one image with cells"
            )
        plain = shape if axis is None else (*shape[:axis], *shape[axis + 1 :])
        seen = tuple(labels.shape)
        if seen not in (plain, shape):
            last = ""
            if axis is not None and axis != len(shape) - 1 and seen == shape[:-1]:
                last = "; pass class_axis=-1 if the classes are on the last axis"
            raise ValueError(
                f"{y_name} must have the shape of {x_name} without the axis of the classes, "
                f"{plain}, or that of {x_name}, {shape}, with class_axis={class_axis}; got "
                f"{seen}{last}"
            )
        weight = None
        if sample_weight is not None:
            weight = read_array(sample_weight, "sample_weight")
            if tuple(weight.shape) != plain:
                raise ValueError(
                    f"sample_weight must have the shape of the labels, {plain}; got "
                    f"{tuple(weight.shape)}"
                )
        if axis is not None and shape[axis] == 1 and seen == shape:
            labels = labels.reshape(plain)
        return cls(X, labels, weight, axis, names)

    @property
    def n_columns(self) -> int:
        """Number of scores of a cell."""
        return 1 if self.axis is None else int(self.scores.shape[self.axis])

    @property
    def n_cells(self) -> int:
        """Number of cells of an image."""
        return int(math.prod(self.scores.shape[1:])) // self.n_columns

    def rows(self, images: slice) -> LabelArray:
        """Return the scores of the cells of images, (n, n_columns): a view of a large image."""
        return cast(LabelArray, _rows(to_numpy(self.scores[images]), self.axis, np))

    def targets(self, images: slice) -> LabelArray:
        """Return the labels of the same cells, or their soft targets (n, n_columns)."""
        labels = np.asarray(to_numpy(self.labels[images]))
        soft = self.axis is not None and labels.ndim == self.scores.ndim
        return cast(LabelArray, _rows(labels, self.axis, np)) if soft else labels.reshape(-1)

    def weights(self, images: slice) -> Float64Array | None:
        """Return the weights of the same cells."""
        if self.weight is None:
            return None
        weight = np.asarray(to_numpy(self.weight[images]), dtype=np.float64).reshape(-1)
        if not (weight >= 0).all() or not np.isfinite(weight).all():
            raise ValueError("sample_weight must hold finite numbers >= 0")
        return weight

    def labelled(
        self, targets: LabelArray, weight: Float64Array | None, ignore_index: int | None
    ) -> LabelArray | None:
        """Return which cells count; None where all do.

        Raises
        ------
        ValueError
            If one that counts has a label that is none of the classes.
        """
        kept = None
        if ignore_index is not None:
            kept = targets != ignore_index
            kept = kept.all(axis=1) if kept.ndim == 2 else kept
        if weight is not None:
            kept = weight > 0 if kept is None else kept & (weight > 0)
        if kept is not None and kept.all():
            kept = None
        seen = targets if kept is None else targets[kept]
        if seen.size and targets.ndim == 1:
            self._check_labels(seen)
        return kept

    def _check_labels(self, seen: LabelArray) -> None:
        last = max(2, self.n_columns) - 1
        if seen.dtype.kind not in "biuf":
            raise ValueError(f"{self.names[1]} must hold class numbers 0..{last}; got {seen.dtype}")
        fractions = seen.dtype.kind == "f" and self.n_columns == 1
        if 0 <= seen.min() and seen.max() <= last:
            if seen.dtype.kind != "f" or fractions or (seen == np.floor(seen)).all():
                return
        wrong = ~((seen >= 0) & (seen <= last))
        if seen.dtype.kind == "f" and not fractions:
            wrong |= seen != np.floor(seen)
        value = seen[wrong][0]
        every = np.asarray(to_numpy(self.labels))
        count = int((np.isnan(every) if value != value else every == value).sum())
        hint = (
            f"ignore_index={int(value)} if it marks cells without a label"
            if value == np.floor(value)
            else "class numbers, and give cells without a label one of their own (ignore_index)"
        )
        raise ValueError(
            f"{self.names[1]} holds {value} in {count:,} cells, which is none of the classes "
            f"0..{last}; pass {hint}"
        )


@dataclass
class _Cells:
    """Cells that a fit is made of, gathered batch by batch."""

    ignore_index: int | None
    seed: int
    n_images: int = 0
    n_ignored: int = 0
    n_batches: int = 0
    n_columns: int = 0
    soft: bool = False
    scores: list[LabelArray] = field(default_factory=list)
    targets: list[LabelArray] = field(default_factory=list)
    weights: list[Float64Array | None] = field(default_factory=list)
    factors: list[float] = field(default_factory=list)

    def add(self, batch: DenseBatch, most: int | None) -> None:
        """Draw cells of every image of a batch; `most` of each, None for all."""
        soft = batch.labels.ndim == batch.scores.ndim and batch.axis is not None
        if self.n_batches and (batch.n_columns != self.n_columns or soft != self.soft):
            raise ValueError(
                f"batch {self.n_batches} has {batch.n_columns} classes"
                f"{' and soft targets' if soft else ''}, those before have {self.n_columns}"
                f"{' and soft targets' if self.soft else ''}"
            )
        self.n_columns, self.soft = batch.n_columns, soft
        most = None if most is None or batch.n_cells <= most else most
        chunks = [*image_chunks(batch.scores, batch.n_columns, single=most is not None)]
        n_rows = sum(self._n_drawn(batch, images, most) for images in chunks)
        space = np.empty((n_rows, batch.n_columns), dtype=to_numpy(batch.scores[:0]).dtype)
        self.scores.append(space)  # is filled at once: no score is held twice
        for images in chunks:
            space = space[self._add_images(batch, images, most, space) :]
        self.n_batches += 1
        self.n_images += int(batch.scores.shape[0])

    def _n_drawn(self, batch: DenseBatch, images: slice, most: int | None) -> int:
        """Return how many cells of images are taken."""
        n_cells = (images.stop - images.start) * batch.n_cells
        if self.ignore_index is not None or batch.weight is not None:
            kept = batch.labelled(batch.targets(images), batch.weights(images), self.ignore_index)
            n_cells = n_cells if kept is None else int(np.count_nonzero(kept))
        return int(n_cells if most is None else min(n_cells, most))

    def _add_images(
        self, batch: DenseBatch, images: slice, most: int | None, space: LabelArray
    ) -> int:
        """Write the scores of drawn cells into the first rows of `space`; return how many."""
        targets, weight = batch.targets(images), batch.weights(images)
        kept = batch.labelled(targets, weight, self.ignore_index)
        n_cells = len(targets)
        n_kept = n_cells if kept is None else int(np.count_nonzero(kept))
        self.n_ignored += n_cells - n_kept
        if not n_kept:
            return 0
        chosen: IntArray | None = None if kept is None else np.flatnonzero(kept)
        if most is not None and n_kept > most:
            rng = stream(self.seed, self.n_images + images.start)
            drawn = np.sort(rng.choice(n_kept, most, replace=False, shuffle=False))
            chosen = drawn if chosen is None else chosen[drawn]
        rows = batch.rows(images)
        n_taken = n_cells if chosen is None else len(chosen)
        # columns of a class-first image lie one behind the other: each is read on its own
        taken = rows if chosen is None else np.take(rows.T, chosen, axis=1).T
        space[:n_taken] = taken
        self.targets.append(targets if chosen is None else targets[chosen])
        if weight is not None and chosen is not None:
            weight = weight[chosen]
        self.weights.append(weight)
        self.factors.append(n_kept / n_taken)
        return n_taken

    def joined(self) -> tuple[LabelArray, LabelArray, Float64Array | None]:
        """Return scores, targets and weights of all cells; what was gathered is given up."""
        lengths = np.array([len(part) for part in self.targets], dtype=np.intp)
        n_cells = int(lengths.sum())
        if not n_cells:
            reason = "" if self.ignore_index is None else f" is ignore_index={self.ignore_index} or"
            raise ValueError(
                f"y has no labelled cell: each of {self.n_ignored:,}{reason} has weight 0"
            )
        scores = _joined(self.scores, n_cells)
        targets = _joined(self.targets, n_cells)
        if targets.ndim == 1 and (targets.dtype.kind == "f" and (targets % 1 == 0).all()):
            targets = targets.astype(np.int64)
        elif targets.dtype.kind == "b":
            targets = targets.astype(np.int64)
        weight = None
        factors = np.asarray(self.factors)
        if (factors != factors[0]).any():
            weight = np.repeat(factors * (n_cells / (factors @ lengths)), lengths)
        if any(part is not None for part in self.weights):
            own = [
                np.ones(length) if part is None else part
                for part, length in zip(self.weights, lengths, strict=True)
            ]
            weight = np.concatenate(own) * (1.0 if weight is None else weight)
        return scores, targets, weight


def _joined(parts: list[LabelArray], n_cells: int) -> LabelArray:
    """Return parts one below the other, row by row in memory; the parts are given up one by one."""
    if len(parts) == 1:
        return parts[0]
    dtype = np.result_type(*{part.dtype for part in parts})
    out = np.empty((n_cells, *parts[0].shape[1:]), dtype=dtype)
    start = 0
    for place, part in enumerate(parts):
        out[start : start + len(part)] = part
        start += len(part)
        parts[place] = out[:0]
    return out


def axis_of(shape: tuple[int, ...], class_axis: int | None, name: str = "X") -> int | None:
    """Return the axis of the classes, counted from the start, or raise a `ValueError`."""
    n_axes = len(shape)
    if n_axes < 2:
        raise ValueError(
            f"{name} must hold images or sequences on axis 0 and their cells behind it; got shape "
            f"{tuple(shape)}"
        )
    if class_axis is None:
        return None
    axis = class_axis + n_axes if class_axis < 0 else class_axis
    if not 1 <= axis < n_axes:
        raise ValueError(
            f"class_axis={class_axis} is no axis of classes of {name} of shape {tuple(shape)}: "
            f"images are on axis 0, so that it must be 1..{n_axes - 1}, -{n_axes - 1}..-1, or None "
            f"for one score a cell"
        )
    return int(axis)


def image_chunks(array: Array, n_columns: int, *, single: bool = False) -> Iterator[slice]:
    """Yield slices of images that are read together: one large image, or several small ones."""
    size = math.prod(array.shape[1:])
    together = 1 if single else max(1, BLOCK_ELEMENTS // max(1, size))
    for start in range(0, int(array.shape[0]), together):
        yield slice(start, min(start + together, int(array.shape[0])))


def _moved(array: Array, axis: int | None, xp: Any) -> Array:
    """Return a view with the classes on the last axis."""
    return array[..., None] if axis is None else xp.moveaxis(array, axis, -1)


def _rows(array: Array, axis: int | None, xp: Any) -> Array:
    """Return cells as rows (n, n_columns): a view of one image whose classes come first or last."""
    moved = _moved(array, axis, xp)
    return moved.reshape(-1, moved.shape[-1])


def _is_view(rows: Array, array: Array) -> bool:
    if isinstance(rows, np.ndarray):
        return bool(np.may_share_memory(rows, array))
    return bool(rows.data_ptr() == array.data_ptr())


def _check_out(out: Array, array: Array) -> None:
    same = isinstance(out, np.ndarray) == isinstance(array, np.ndarray)
    if not same or not hasattr(out, "shape"):
        raise ValueError(
            f"out must be an array of the library of X; got {type(out).__name__} for "
            f"{type(array).__name__}"
        )
    if tuple(out.shape) != tuple(array.shape):
        raise ValueError(
            f"out must have the shape of X, {tuple(array.shape)}; got {tuple(out.shape)}"
        )
    if isinstance(out, np.ndarray) and out.dtype.kind != "f":
        raise ValueError(f"out must hold floating numbers; got {out.dtype}")
