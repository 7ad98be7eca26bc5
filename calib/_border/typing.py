"""Type aliases used across both packages."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

#: Anything a user may hand over: nested lists, arrays, tensors, tables of any dataframe library.
ArrayLike: TypeAlias = Any
#: An array of whatever namespace serves the call (NumPy, torch, CuPy).
Array: TypeAlias = Any
#: The namespace module itself.
Namespace: TypeAlias = Any
FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]
Float64Array: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.intp]
LabelArray: TypeAlias = npt.NDArray[Any]
#: What the scores handed to an estimator are.
InputKind: TypeAlias = Literal["logits", "proba"]
#: What a method works on: one kind, or whatever was handed over.
Domain: TypeAlias = Literal["logits", "proba", "declared"]
#: `random_state` as scikit-learn understands it.
RandomState: TypeAlias = int | np.random.RandomState | np.random.Generator | None
