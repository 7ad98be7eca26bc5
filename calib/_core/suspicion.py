"""Signs that scores and labels do not belong together, with the evidence and the likely cause."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from calib._border.advice import N_LISTED, current_door, shown
from calib._border.typing import Float64Array, FloatArray, InputKind, IntArray, LabelArray
from calib._border.warn import warn
from calib._core.estimators.targets import holds_shares
from calib._core.rows import LocalRows, Rows, ScoredPart, Sums, copied
from calib._core.scores import Scores
from calib.warnings import ScarceLabelsWarning

#: Rows that are looked at, and numbers among which they are taken where classes are many.
MOST_ROWS, MOST_NUMBERS = 20_000, 4_000_000
#: Two-sided quantile of the normal law at the level at which evidence counts.
LEVEL, QUANTILE = 0.999, 3.290526731
#: Two-sided quantile at which scores count as noise.
NOISE_QUANTILE = 1.959964
#: Classes up to which another order of the columns is looked for.
MOST_CLASSES = 1000


def suspicion(
    scores: FloatArray,
    source: InputKind,
    target: LabelArray,
    weight: Float64Array | None,
    classes: LabelArray,
    name: str,
) -> str | None:
    """Return what speaks against scores and labels belonging together, None where nothing does.

    Two classes: the area under the ROC curve lies below one half. More: the largest score names the
    right class less often than chance has it, or another order of the columns fits far better on
    rows that it was not chosen on. Chance is what the same predictions and labels would show if
    they were independent, so that neither imbalance nor a biased model is suspicious.

    Parameters
    ----------
    scores : ndarray of shape (n_samples, n_columns)
        Logits or probabilities, at least one column.
    source : {"logits", "proba"}
    target : ndarray of shape (n_samples,)
        Column indices, or fractions in [0, 1] for two classes.
    weight : ndarray of shape (n_samples,) or None
    classes : ndarray of shape (n_classes,)
    name : str
        Of the scores, for the text, unless the door has another (see `advice.Door`).
    """
    name = current_door().scores or name
    part, y, w = _systematic(scores, target, weight)
    if len(y) < 2:
        return None
    if part.shape[1] <= 2:
        return _two_classes(part.astype(np.float64, copy=False), source, y, w, classes, name)
    return _many_classes(part, y.astype(np.intp), w, classes, name)


def _systematic(
    scores: FloatArray, target: LabelArray, weight: Float64Array | None
) -> tuple[FloatArray, LabelArray, Float64Array]:
    """Return every so-manieth row of positive weight, with weights of at most 1."""
    step = _step(*scores.shape)
    part, y = scores[::step], target[::step]
    w = np.ones(len(y)) if weight is None else weight[::step] / weight.max()
    kept = w > 0
    return (part, y, w) if kept.all() else (part[kept], y[kept], w[kept])


def _step(n_samples: int, n_columns: int) -> int:
    return -(-n_samples // _n_looked_at(n_columns))


def _n_looked_at(n_columns: int) -> int:
    return max(1, min(MOST_ROWS, max(2000, MOST_NUMBERS // n_columns)))


def looked_at(rows: Rows) -> LocalRows:
    """Return the rows that are looked at; copies of those with soft targets."""
    if rows.soft:
        rows = rows.mapped(copied, _n_looked_at(rows.n_classes))
    return rows.every(_step(rows.n_samples, rows.n_classes))


# ---------------------------------------------------------------------- two classes


def _two_classes(
    part: Float64Array,
    source: InputKind,
    y: LabelArray,
    w: Float64Array,
    classes: LabelArray,
    name: str,
) -> str | None:
    score = part[:, -1]
    if source == "logits" and part.shape[1] == 2:
        with np.errstate(invalid="ignore", over="ignore"):
            score = np.nan_to_num(part[:, 1] - part[:, 0])
    area, low, high = ranking(score, y, w)
    if not high < 0.5:
        return None
    door = current_door()
    other, chosen = (door.shown(label, k) for k, label in enumerate(classes))
    if part.shape[1] == 1:
        cure = door.turn(classes[0])
        if door.sign != cure:
            cure = f"if it belongs to {other}, {cure}; if its sign is reversed, {door.sign}"
        what = f"{name} ranks against the labels: as a score of {chosen} it has"
    else:
        cure = f"the columns probably stand in another order: {door.reorder(classes[::-1])}"
        what = f"{name} ranks against the labels: for {chosen} it has"
    return (
        f"{what} an AUC of {area:.3f} ({LEVEL:.1%} interval {low:.3f} to {high:.3f}), where "
        f"chance is 0.5; {cure}"
    )


def ranking(
    score: Float64Array, y: LabelArray, weight: Float64Array | None
) -> tuple[float, float, float]:
    """Return the area under the ROC curve with its interval; NaN where one class has no rows.

    Parameters
    ----------
    score : ndarray of shape (n_samples,)
    y : ndarray of shape (n_samples,)
        0 or 1, or fractions.
    weight : ndarray of shape (n_samples,) or None
    """
    w = np.ones(len(y)) if weight is None else weight / weight.max()
    positive, negative = w * y, w * (1.0 - y)
    if positive.sum() == 0 or negative.sum() == 0:
        return np.nan, np.nan, np.nan
    area = _area(score, positive, negative)
    return area, *area_interval(area, _effective(positive), _effective(negative))


def _area(score: Float64Array, positive: Float64Array, negative: Float64Array) -> float:
    """Return the area under the ROC curve of weighted (or shared) rows, ties counting half."""
    order = np.argsort(score, kind="stable")
    ordered = score[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    ones = np.add.reduceat(positive[order], starts)
    zeros = np.add.reduceat(negative[order], starts)
    below = np.cumsum(zeros) - 0.5 * zeros
    return float(ones @ below / (ones.sum() * zeros.sum()))


def _effective(weight: Float64Array) -> float:
    """Return how many rows of equal weight would be as informative."""
    return float(weight.sum() ** 2 / (weight @ weight))


def area_interval(area: float, n_positive: float, n_negative: float) -> tuple[float, float]:
    """Return the score interval of an area under the ROC curve (Newcombe 2006, method 5)."""
    middle = (n_positive + n_negative) / 2 - 1

    def outside(x: float) -> bool:
        spread = x * (1 - x) * (1 + middle * ((1 - x) / (2 - x) + x / (1 + x)))
        return (area - x) ** 2 > QUANTILE**2 * spread / (n_positive * n_negative)

    ends = []
    for far in (0.0, 1.0):
        near = area
        for _ in range(40):
            half = 0.5 * (near + far)
            near, far = (near, half) if outside(half) else (half, far)
        ends.append(far)
    return ends[0], ends[1]


# ---------------------------------------------------------------------- more classes


def _many_classes(
    part: FloatArray, codes: IntArray, w: Float64Array, classes: LabelArray, name: str
) -> str | None:
    n_classes = len(classes)
    chosen = part.argmax(axis=1)
    moves = _better_order(chosen, codes, w, n_classes) if n_classes <= MOST_CLASSES else None
    right = float(w @ (chosen == codes) / w.sum())
    n_rows = _effective(w)
    called = np.bincount(chosen, w, n_classes) / w.sum()
    rate = np.bincount(codes, w, n_classes) / w.sum()
    chance = float(called @ rate)
    variance = chance + chance**2 - float((called * rate) @ (called + rate))  # given both margins
    spread = math.sqrt(max(variance, 0.0) / n_rows)
    low, high = _share_interval(right, n_rows)
    evidence = (
        f"its largest score names the right class in {right:.1%} of the rows ({LEVEL:.1%} interval "
        f"{low:.1%} to {high:.1%}), where chance is {chance:.1%}"
    )
    below = chance - right > QUANTILE * spread + 0.5 / n_rows
    if below:
        turned = float(w @ (part.argmin(axis=1) == codes) / w.sum())
        if turned > (chance if moves is None else max(chance, moves[1])):
            return (
                f"{name} contradicts the labels: {evidence}, and {turned:.1%} for its smallest "
                f"score; the sign of the scores is probably reversed: {current_door().sign}"
            )
    if moves is not None:
        belongs, rows_in_order = moves
        cause = _cause(belongs, classes)
        return f"{name} contradicts the labels: {evidence}, and {rows_in_order:.1%} if {cause}"
    if below:
        return f"{name} contradicts the labels: {evidence}; check {current_door().check}"
    if right - chance > QUANTILE * spread:
        return None
    return _against_ranks(part, codes, w, name)


def _against_ranks(part: FloatArray, codes: IntArray, w: Float64Array, name: str) -> str | None:
    """Return the evidence where right classes stand lower in their rows than others do."""
    own, mean, error = _places(part, codes, w)
    if mean + QUANTILE * error >= -0.01:
        return None
    return (
        f"{name} ranks against the labels: on average the right class stands above {own:.1%} of "
        f"the classes of its row, {-mean:.1%} less than by chance ({LEVEL:.1%} interval of the "
        f"difference {mean - QUANTILE * error:.1%} to {mean + QUANTILE * error:.1%}); check "
        f"{current_door().check}"
    )


def _places(part: FloatArray, codes: IntArray, w: Float64Array) -> tuple[float, float, float]:
    """Return the mean share of its row that the label stands above, less chance, its error."""
    n_classes = part.shape[1]
    place = np.empty(part.shape)
    step = max(1, MOST_ROWS * 10 // n_classes)
    for start in range(0, len(part), step):
        block = part[start : start + step]
        np.put_along_axis(
            place[start : start + step],
            block.argsort(axis=1),
            np.broadcast_to(np.arange(n_classes) / (n_classes - 1.0), block.shape),
            axis=1,
        )
    rate = np.bincount(codes, w, n_classes) / w.sum()
    own = place[np.arange(len(codes)), codes]
    gap = own - place @ rate  # of mean 0 under independence
    mean = float(w @ gap / w.sum())
    error = math.sqrt(float(w**2 @ (gap - mean) ** 2)) / float(w.sum())
    return float(w @ own / w.sum()), mean, error


def says_nothing(scores: Scores, target: LabelArray, weight: Float64Array | None) -> bool:
    """Return whether the ranks of scores are those of noise, at a level of 95 %."""
    if scores.n_classes == 2:
        w = np.ones(len(target)) if weight is None else weight / weight.max()
        positive, negative = w * target, w * (1.0 - target)
        n_pairs = _effective(positive) * _effective(negative)
        n_rows = _effective(positive) + _effective(negative)
        error = math.sqrt((n_rows + 1.0) / (12.0 * n_pairs))  # of the area under independence
        return abs(_area(scores.log_odds(), positive, negative) - 0.5) < NOISE_QUANTILE * error
    part, y, w = _systematic(scores.array, target, weight)
    _, mean, error = _places(part, y.astype(np.intp), w)
    return abs(mean) < NOISE_QUANTILE * error


def _better_order(
    chosen: IntArray, codes: IntArray, w: Float64Array, n_classes: int
) -> tuple[IntArray, float] | None:
    """Return the class each column would better belong to, with the share it would get right.

    The order is chosen on every other row and judged on the rest; None where it is no better.
    """
    first = _lift(chosen[::2], codes[::2], w[::2], n_classes)
    gain = first.max(axis=1) - first.diagonal()
    if gain.sum() <= QUANTILE * math.sqrt(max(gain.sum(), 0.0) / max(_effective(w[::2]), 1.0)):
        return None
    from scipy.optimize import linear_sum_assignment

    preferred = first + np.eye(n_classes) * (0.5 / len(chosen))  # of equal ones, the order as it is
    belongs = linear_sum_assignment(preferred, maximize=True)[1].astype(np.intp)
    moved = belongs != np.arange(n_classes)
    if not moved.any():
        return None
    second = _lift(chosen[1::2], codes[1::2], w[1::2], n_classes)
    own = float(second.diagonal()[moved].sum())
    other = float(second[moved, belongs[moved]].sum())
    mine, test = w[1::2], moved[chosen[1::2]]
    differs = test & ((codes[1::2] == chosen[1::2]) | (codes[1::2] == belongs[chosen[1::2]]))
    error = math.sqrt(float(mine**2 @ differs)) / float(mine.sum())
    if other - own <= QUANTILE * error or own > 0.5 * other:
        return None
    return belongs, float(w @ (belongs[chosen] == codes) / w.sum())


def _lift(chosen: IntArray, codes: IntArray, w: Float64Array, n_classes: int) -> Float64Array:
    """Return by how much column and class coincide more often than if independent."""
    pairs = np.bincount(chosen * n_classes + codes, w, n_classes**2) / w.sum()
    table = pairs.reshape(n_classes, n_classes)
    return np.asarray(table - np.outer(table.sum(axis=1), table.sum(axis=0)))


def _cause(belongs: IntArray, classes: LabelArray) -> str:
    n_classes, door = len(classes), current_door()
    moved = np.flatnonzero(belongs != np.arange(n_classes))
    cure = door.reorder(classes[belongs])
    for shift in (1, -1):
        shifted = (moved + shift) % n_classes == belongs[moved]
        if len(moved) >= 3 and shifted.mean() > 0.9 and len(moved) >= 0.9 * n_classes:
            first = moved[0]
            return (
                f"the labels are shifted by one (column {first} belongs to class "
                f"{shown(classes[belongs[first]])}, not {shown(classes[first])}): {door.shift}, or "
                f"{cure}"
            )
    if len(moved) == 2:
        return (
            f"the columns of {shown(classes[moved[0]])} and {shown(classes[moved[1]])} change "
            f"places: {cure}"
        )
    listed = ", ".join(shown(label) for label in classes[belongs][:N_LISTED])
    return (
        f"the columns stand in another order, that of [{listed}"
        f"{', ...' if n_classes > N_LISTED else ''}]: {cure}"
    )


def _share_interval(share: float, n_rows: float) -> tuple[float, float]:
    """Return the score (Wilson) interval of a share."""
    square = QUANTILE**2 / n_rows
    centre = (share + square / 2) / (1 + square)
    reach = math.sqrt(square * (share * (1 - share) + square / 4)) / (1 + square)
    return max(0.0, centre - reach), min(1.0, centre + reach)


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
    name: str, apply: Callable[[FloatArray], Any], rows: Rows, classes: LabelArray
) -> None:
    """Warn of rare classes whose mean probability is far above their frequency, beyond noise."""
    total = rows.total
    (counts,) = rows.reduce(_class_weights, len(classes))
    sample = rows.every(max(1, rows.n_samples // COMPARED_ROWS)).part
    proba, part = np.asarray(apply(sample.scores.array), dtype=np.float64), sample.weight
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


def _class_weights(part: ScoredPart, n_classes: int) -> Sums:
    """Return the weight of every class."""
    target, weight = part.target, part.weight
    if holds_shares(target):
        return (target.sum(axis=0) if weight is None else weight @ target,)
    if target.dtype.kind == "f":
        positive = float(target.sum() if weight is None else target @ weight)
        return (np.array([part.total - positive, positive]),)
    return (np.bincount(target, weight, minlength=n_classes).astype(np.float64),)
