"""What corrections of log-odds are made of: boosted trees, and sums of one step function a column.

Both are fitted without each fold in turn and mapped as the mean over folds, so that what is judged
on left-out rows is what serves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calib._border.typing import Array, Float64Array, Namespace
from calib._core.features.codes import BinnedColumns
from calib._core.features.glm import fit_groups
from calib._core.features.prior import Prior
from calib.calibrators.conditional.reading import FoldRows, log_losses

#: Precisions of the steps that left-out rows choose among, strongest first.
PENALTIES = (1280.0, 320.0, 80.0, 20.0, 5.0)
#: Precisions of the constant and of the change of slope.
CONSTANT_PRECISION, SLOPE_PRECISION = 1e-3, 20.0
#: Most bins of a column.
N_STEPS = 8
#: Cut that no number exceeds.
NO_CUT = 1e300


@dataclass(frozen=True, eq=False)
class Steps:
    """Sums of step functions of several folds.

    Attributes
    ----------
    cut : ndarray of shape (n_folds, n_columns, n_cuts)
        Ascending, filled up with `NO_CUT`.
    value : ndarray of shape (n_folds, n_columns, n_cuts + 1)
        What a column adds to the log-odds, by the number of cuts that its value exceeds.
    line : ndarray of shape (n_folds, 2)
        Constant, and factor of the offset.
    """

    cut: Float64Array
    value: Float64Array
    line: Float64Array


def fit_steps(
    binned: Sequence[BinnedColumns], offset: Float64Array, rows: FoldRows
) -> tuple[Steps, Float64Array]:
    """Fit a ridge logistic regression on bins, from an offset, without each fold in turn.

    Parameters
    ----------
    binned : sequence of BinnedColumns
        Bins of all rows, one per fold.
    offset : ndarray of shape (n_folds, n_rows)
        Log-odds that are corrected.
    rows : FoldRows

    Returns
    -------
    steps : Steps
        At the penalty that left-out rows like best.
    correction : ndarray of shape (n_folds, n_rows)
        What is added to the offset.

    Notes
    -----
    At the optimum the residuals of a bin sum to the penalty times its step: the equations of
    multiaccuracy, with a slack that is known.
    """
    n_folds, n = offset.shape
    designs, starts = [], []
    for fold in range(n_folds):
        one_hot = np.zeros((n, binned[fold].n_bins))
        one_hot[np.arange(n)[:, None], binned[fold].codes] = 1.0
        designs.append(np.column_stack([np.ones(n), offset[fold], one_hot]))
        starts.append(np.zeros(designs[-1].shape[1]))
    best, chosen = np.inf, [start.copy() for start in starts]
    for penalty in PENALTIES:
        loss = 0.0
        for fold, design in enumerate(designs):
            learnt, judged = rows.learnt[fold] > 0, rows.left_out[fold] > 0
            starts[fold] = _ridge(
                design[learnt],
                offset[fold][learnt],
                rows.target[learnt],
                rows.learnt[fold][learnt],
                penalty,
                starts[fold],
            )
            eta = offset[fold][judged] + design[judged] @ starts[fold]
            losses = log_losses(eta, rows.target[judged])
            loss += float(rows.left_out[fold][judged] @ losses)
        if loss < best:
            best, chosen = loss, [start.copy() for start in starts]
    correction = np.stack([d @ x for d, x in zip(designs, chosen, strict=True)])
    return _as_steps(binned, chosen), correction


def _ridge(
    design: Float64Array,
    offset: Float64Array,
    target: Float64Array,
    weight: Float64Array,
    penalty: float,
    start: Float64Array,
) -> Float64Array:
    precision = np.full(design.shape[1], penalty)
    precision[:2] = CONSTANT_PRECISION, SLOPE_PRECISION
    prior = Prior(np.zeros(design.shape[1]), precision)
    fits = fit_groups(
        design,
        target,
        np.array([0]),
        prior,
        "logistic",
        weight=weight,
        guess=start[None],
        offset=offset,
    )
    return np.asarray(fits.coefficients[0])


def _as_steps(binned: Sequence[BinnedColumns], coefficients: Sequence[Float64Array]) -> Steps:
    most = max(len(cuts) for bins in binned for cuts in bins.cuts)
    n_columns = len(binned[0].cuts)
    cut = np.full((len(binned), n_columns, most), NO_CUT)
    value = np.zeros((len(binned), n_columns, most + 1))
    for fold, (bins, x) in enumerate(zip(binned, coefficients, strict=True)):
        for column, cuts in enumerate(bins.cuts):
            cut[fold, column, : len(cuts)] = cuts
            first = 2 + bins.starts[column]
            value[fold, column, : len(cuts) + 1] = x[first : first + len(cuts) + 1]
    return Steps(cut, value, np.stack([x[:2] for x in coefficients]))


def step_sums(values: Array, cut: Array, value: Array, xp: Namespace) -> Array:
    """Return the sum of the step functions of one fold for rows; pure.

    Parameters
    ----------
    values : array of shape (n_samples, n_columns)
    cut : array of shape (n_columns, n_cuts)
    value : array of shape (n_columns, n_cuts + 1)
    xp : namespace
        That of `values`.

    Returns
    -------
    total : array of shape (n_samples,)
    """
    n_cuts = cut.shape[1]
    total = None
    for number in range(n_cuts):
        above = xp.astype(values > cut[:, number], values.dtype)
        part = above * (value[:, number + 1] - value[:, number])
        total = part if total is None else total + part
    out = xp.zeros_like(values) + value[:, 0]
    return xp.sum(out if total is None else out + total, axis=1)
