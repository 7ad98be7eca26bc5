"""Too few labels for a map: said at the fit, with the numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from calib._border.typing import Float64Array, FloatArray, LabelArray
from calib._border.warn import warn
from calib.warnings import ScarceLabelsWarning

#: Number of classes from which one-vs-rest maps are watched.
MANY_CLASSES = 10
#: Rows of the systematic subsample on which mean probabilities are compared with frequencies.
COMPARED_ROWS = 4096


def warn_of_few_per_class(name: str, total: float, n_classes: int, least: int) -> None:
    """Warn of a map that is fitted class by class to fewer labels a class than it needs."""
    if n_classes < MANY_CLASSES or total >= least * n_classes:
        return
    warn(
        f"{name} fits a map for each of {n_classes} classes to {total:,.6g} labels in all, "
        f"{total / n_classes:.2g} a class; with fewer than {least} a class its log loss is usually "
        f"far above that of one temperature. Use TemperatureCalibrator, VectorScalingCalibrator or "
        f"AutoCalibrator, or more labels",
        ScarceLabelsWarning,
    )


def warn_of_missed_rates(
    name: str,
    apply: Callable[[FloatArray], Any],
    array: FloatArray,
    target: LabelArray,
    weight: Float64Array | None,
    classes: LabelArray,
) -> None:
    """Warn of rare classes whose mean probability is far above their frequency, beyond noise."""
    total = float(len(target) if weight is None else weight.sum())
    if target.dtype.kind == "f":
        positive = float(target.sum() if weight is None else target @ weight)
        counts = np.array([total - positive, positive])
    else:
        counts = np.bincount(target, weight, minlength=len(classes)).astype(np.float64)
    step = max(1, len(array) // COMPARED_ROWS)
    proba = np.asarray(apply(array[::step]), dtype=np.float64)
    part = None if weight is None else weight[::step]
    expected = total * np.average(proba, axis=0, weights=part)
    limit = 2.0 * (counts + 1.0 + 2.0 * np.sqrt(counts))
    wrong = np.flatnonzero((counts > 0) & (expected > limit))
    if not len(wrong):
        return
    k = int(wrong[np.argmax(expected[wrong] / counts[wrong])])
    more = f" (and {len(wrong) - 1} more classes)" if len(wrong) > 1 else ""
    label = classes[k : k + 1].tolist()[0]
    warn(
        f"{name} gives class {label!r} a mean probability of {expected[k] / total:.3g}, "
        f"{expected[k] / counts[k]:.2g} times its share of y ({counts[k]:,.6g} of {total:,.6g})"
        f"{more}: this map cannot follow a class so rare. Use PlattCalibrator, BetaCalibrator or "
        f"AutoCalibrator, or more labels of it",
        ScarceLabelsWarning,
    )
