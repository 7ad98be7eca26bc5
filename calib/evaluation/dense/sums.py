"""What is kept of an image: a few sums, whatever its size."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from calib._border.arrays import row_blocks
from calib._border.checks import describe
from calib._border.typing import Float64Array
from calib._border.validation import as_floating, check_scores
from calib._core.binning import uniform_cells
from calib.dense import DenseBatch
from calib.evaluation.proper.losses import sample_losses, zero_floor

#: Sums of an image before those of the bins: weight, log loss, Brier score, right answers.
N_SCALARS = 4


def image_sums(
    batch: DenseBatch, n_bins: int, ignore_index: int | None, first: int
) -> Iterator[Float64Array]:
    """Yield the sums of every image: scalars, then weights, predictions and events by bin.

    Parameters
    ----------
    batch : DenseBatch
        Probabilities and labels.
    n_bins : int
    ignore_index : int or None
    first : int
        Number of the first image, for errors.

    Yields
    ------
    sums : ndarray of shape (N_SCALARS + 3 * n_bins,)
        All 0 for an image without labelled cells.
    """
    if batch.labels.ndim == batch.scores.ndim and batch.axis is not None:
        raise ValueError("y_true holds soft targets; dense_report needs labels")
    for place in range(int(batch.scores.shape[0])):
        image = slice(place, place + 1)
        targets, weight = batch.targets(image), batch.weights(image)
        kept = batch.labelled(targets, weight, ignore_index)
        rows = as_floating(batch.rows(image), "y_prob")
        sums = np.zeros(N_SCALARS + 3 * n_bins)
        for block in row_blocks(*rows.shape):
            proba, label = rows[block], targets[block]
            mass = None if weight is None else weight[block]
            if kept is not None:
                chosen = np.flatnonzero(kept[block])
                if not len(chosen):
                    continue
                proba, label = proba[chosen], label[chosen]
                mass = None if mass is None else mass[chosen]
            if label.dtype.kind == "f" and (label % 1 != 0).any():
                raise ValueError(
                    f"y_true must hold labels; got {describe(float(label[label % 1 != 0][0]))}"
                )
            try:
                check_scores(proba, "proba", "y_prob")
            except ValueError as error:
                raise ValueError(
                    f"in image {first + place}, whose labelled cells are counted as rows from cell "
                    f"{block.start}: {error}"
                ) from error
            _add(sums, proba, label.astype(np.intp), mass, n_bins)
        yield sums


def _add(
    sums: Float64Array,
    proba: Float64Array,
    codes: np.ndarray[tuple[int, ...], np.dtype[np.intp]],
    weight: Float64Array | None,
    n_bins: int,
) -> None:
    floor = zero_floor(proba.dtype)
    proba = proba.astype(np.float64)
    if proba.shape[1] == 1:
        proba = np.concatenate([1.0 - proba, proba], axis=1)
    n_cells, n_classes = proba.shape
    losses, brier = sample_losses(proba, codes, floor=floor).T
    answer = proba.argmax(axis=1)
    right = (answer == codes).astype(np.float64)
    if n_classes == 2:
        level, event = proba[:, 1], codes.astype(np.float64)
    else:
        level, event = proba[np.arange(n_cells), answer], right
    mass = np.ones(n_cells) if weight is None else weight
    sums[:N_SCALARS] += [mass.sum(), mass @ losses, mass @ brier, mass @ right]
    bins = uniform_cells(level, n_bins)
    table = sums[N_SCALARS:].reshape(3, n_bins)
    for row, values in zip(table, (mass, mass * level, mass * event), strict=True):
        row += np.bincount(bins, values, n_bins)
