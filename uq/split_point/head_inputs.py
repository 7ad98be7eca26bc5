"""What the heads of residuals see: inputs, predictions, or features of the user's making."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np

from calib._border.arrays import read_array, to_numpy
from calib._border.checks import check_option
from calib._border.labels import check_same_length
from calib._border.typing import ArrayLike, Float64Array
from calib._border.validation import check_matrix

HeadInputs: TypeAlias = Literal["X+pred", "X", "pred"] | Callable[[Any], ArrayLike]


def check_head_inputs(features: object) -> None:
    """Raise unless `features` is a known name or a callable."""
    if not callable(features):
        check_option("features", features, ("X+pred", "X", "pred"))


def read_inputs(
    features: HeadInputs, X: ArrayLike, n_samples: int | None = None
) -> Float64Array | None:
    """Return what is read from X, shape (n_samples, n_inputs); None where only predictions are."""
    if features == "pred":
        return None
    name = "features(X)" if callable(features) else "X"
    matrix = _finite(features(X) if callable(features) else X, name)
    if n_samples is not None:
        check_same_length(n_samples, len(matrix), "y", name)
    return matrix


def head_inputs(
    features: HeadInputs, matrix: Float64Array | None, predicted: Float64Array
) -> Float64Array:
    """Return the inputs of the heads for rows with predictions of shape (n_rows, n_targets)."""
    if matrix is None:
        return predicted
    check_same_length(len(predicted), len(matrix), "X", "features(X)")
    return np.hstack([matrix, predicted]) if features == "X+pred" else matrix


def _finite(X: ArrayLike, name: str) -> Float64Array:
    array = read_array(X, name)
    if array.ndim != 2:
        raise ValueError(
            f"{name} must have 2 dimensions (n_samples, n_features); got shape "
            f"{tuple(array.shape)}. Reshape your data: {name}.reshape(-1, 1) for a single feature"
        )
    return np.asarray(to_numpy(check_matrix(array, name)), dtype=np.float64)
