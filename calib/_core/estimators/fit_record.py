"""What a fitted map remembers of its fit: whose scores they were, how many, and how far apart."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from weakref import WeakSet

import numpy as np

from calib._border.arrays import (
    LOGIT_LIMIT,
    array_namespace,
    blocks_of,
    is_half,
    to_numpy,
    without_gradient as detached,
)
from calib._border.checks import describe
from calib._border.typing import Array, Float64Array, InputKind
from calib._border.warn import warn
from calib._core.rows import Sums
from calib._version import __version__
from calib.warnings import ScoreRangeWarning

#: How far beyond the range of n scores another one is far: so many widths of the range, plus a
#: number over the root of n, because the range of few scores is narrow by chance; and the share of
#: a call that has to be far. Simulated with 20 to 1,000 scores of a fit and one call of 10,000 new
#: ones of the same normal, exponential or t distribution (3 degrees of freedom): no alarm in 400
#: draws each. In calls of few rows a single one is enough, so that heavy tails are seen sooner or
#: later. Of calls of 1,000 that are ten times as wide 90 % and more are noticed, five times as wide
#: a third (t, 1,000 scores) to nearly all.
FAR_WIDTHS, FAR_WIDTHS_OF_FEW, FAR_SHARE = 1.0, 10.0, 0.005
#: Responses of a model that scores come from.
RESPONSES = ("decision_function", "predict_proba")
#: Scores up to which a row is looked at number by number.
FEW = 16

#: Estimators that have said so already; they leave this set when they are gone.
_SAID: WeakSet[Any] = WeakSet()


@dataclass(frozen=True)
class FitRecord:
    """What a calibrator was fitted on.

    Attributes
    ----------
    input : {"logits", "proba"}
        What the scores were declared to be.
    n_classes : int
        Number of classes.
    n_rows : int
        Rows of positive weight.
    low, high : float
        Range of the scores, in the form that a constant added to a row does not change: of two
        classes the log-odds or the probability of the second, of more the largest logit less the
        smallest of the same row, or all probabilities. What is infinite does not count.
    date : str
        Day of the fit (UTC), year first.
    library : str
        Version of the library.
    response : {"decision_function", "predict_proba"} or None
        What of a model was read; None for saved scores.
    model : str or None
        Class of the model.
    """

    input: InputKind
    n_classes: int
    n_rows: int
    low: float
    high: float
    date: str
    library: str = __version__
    response: str | None = None
    model: str | None = None

    @classmethod
    def of(cls, source: InputKind, n_classes: int, n_rows: int, ends: Float64Array) -> FitRecord:
        """Return the record of a fit today, given the ends of the range, which may be infinite."""
        low, high = (float(end) if math.isfinite(end) else 0.0 for end in ends)
        today = datetime.datetime.now(datetime.UTC).date().isoformat()
        return cls(source, n_classes, n_rows, low, high, today)

    @classmethod
    def from_dict(cls, values: Any) -> FitRecord:
        """Return what `to_dict` described, or raise a `ValueError`."""
        if not isinstance(values, Mapping) or not set(values) <= set(cls.__dataclass_fields__):
            raise ValueError(f"fit must hold {[*cls.__dataclass_fields__]}; got {describe(values)}")
        try:
            record = cls(**values)
            datetime.date.fromisoformat(record.date)
        except TypeError as error:
            raise ValueError(f"fit is incomplete: {error}") from None
        counts = (record.n_classes, record.n_rows)
        if any(type(count) is not int or count < 1 for count in counts):
            raise ValueError(f"n_classes and n_rows of fit must be integers >= 1; got {counts}")
        ends = (record.low, record.high)
        if not all(type(end) in (int, float) and math.isfinite(end) for end in ends):
            raise ValueError(f"low and high of fit must be finite numbers; got {ends}")
        words = (record.library, record.model or "", record.response or "")
        if (
            record.low > record.high
            or record.input not in ("logits", "proba")
            or record.response not in (None, *RESPONSES)
            or not all(isinstance(word, str) for word in words)
        ):
            raise ValueError(f"fit contradicts itself: {describe(dict(values))}")
        return record

    def to_dict(self) -> dict[str, str | int | float | None]:
        """Return the record as plain values, for files."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.scores}, {self.n_classes} classes, {self.size}, fitted {self.date}"

    @property
    def scores(self) -> str:
        """What the scores were, in words."""
        kind = "logits" if self.input == "logits" else "probabilities"
        return kind if self.model is None else f"{kind} of {self.model}.{self.response}"

    @property
    def size(self) -> str:
        """How many there were and how far apart, in words."""
        return f"{self.n_rows:,} rows, {self.quantity} from {self.low:.4g} to {self.high:.4g}"

    @property
    def quantity(self) -> str:
        """What the range is of, in words."""
        if self.input == "proba":
            return "probabilities" if self.n_classes > 2 else "probabilities of the second class"
        return "spread of a row" if self.n_classes > 2 else "log-odds"

    @property
    def limits(self) -> tuple[float, float]:
        """Values beyond which a score is far outside the range."""
        widths = FAR_WIDTHS + FAR_WIDTHS_OF_FEW / math.sqrt(self.n_rows)
        room = widths * (self.high - self.low)
        return self.low - room, self.high + room


def ranged_values(scores: Float64Array, source: InputKind) -> Float64Array:
    """Return of every row what the range is of; NaN where it is infinite or excluded.

    Parameters
    ----------
    scores : ndarray of shape (n, n_columns)
    source : {"logits", "proba"}
    """
    if source == "proba":
        return scores[:, -1] if scores.shape[1] <= 2 else scores.ravel()
    scores = np.where(np.abs(scores) > LOGIT_LIMIT, np.nan, scores)
    if scores.shape[1] == 1:
        return scores[:, 0]
    if scores.shape[1] == 2:
        return scores[:, 1] - scores[:, 0]
    least = np.where(np.isnan(scores), np.inf, scores).min(axis=1)
    spread: Float64Array = np.where(np.isnan(scores), -np.inf, scores).max(axis=1) - least
    return spread


def ends_of(scores: Float64Array, source: InputKind) -> Float64Array:
    """Return the smallest and the largest of what the range is of; infinite where nothing is."""
    low, high = np.inf, -np.inf
    for rows in blocks_of(scores, scores.shape[1]):
        values = ranged_values(np.asarray(scores[rows], dtype=np.float64), source)
        values = values[np.isfinite(values)]
        if values.size:
            low, high = min(low, float(values.min())), max(high, float(values.max()))
    return np.array([low, high])


def ends_of_part(part: Any) -> Sums:
    """Return the range of the scores of some rows, as `joined_ends` takes it."""
    return (ends_of(part.scores.array, part.scores.source),)


def joined_ends(parts: list[Sums]) -> Sums:
    """Return the range of all rows, given those of their parts."""
    ends = np.array([part[0] for part in parts])
    return (np.array([ends[:, 0].min(), ends[:, 1].max()]),)


def are_near(
    scores: Array,
    source: InputKind,
    limits: tuple[float, float],
    ends: tuple[float, float] | None = None,
) -> bool:
    """Return whether no score can be beyond the limits; False if in doubt.

    Parameters
    ----------
    scores : array of shape (n, n_columns)
        Checked, of any namespace.
    source : {"logits", "proba"}
    limits : (low, high)
        See `FitRecord.limits`.
    ends : (least, most), default=None
        Least and largest score where they are known.
    """
    low, high = limits
    if source == "proba" and low <= 0.0 and high >= 1.0:
        return True
    n, n_columns = scores.shape
    if ends is not None:
        least, most = ends
    elif n * n_columns <= FEW and type(scores) is np.ndarray:
        numbers = scores.ravel().tolist()
        least, most = min(numbers), max(numbers)
    else:
        xp = array_namespace(scores)
        plain = detached(scores)
        if is_half(plain):
            plain = xp.astype(plain, xp.float32)
        least, most = float(xp.min(plain)), float(xp.max(plain))
    if n_columns == 1 or source == "proba":
        return bool(low <= least and most <= high)
    # no difference within a row is larger than that of all
    return bool(most - least <= (high if n_columns > 2 else min(high, -low)))


def forget(estimator: Any) -> None:
    """Let an estimator that is fitted anew say again that scores are far."""
    _SAID.discard(estimator)


def warn_if_far(estimator: Any, record: FitRecord, scores: Array) -> None:
    """Warn, once an estimator, if checked scores are far outside the range of its fit.

    Parameters
    ----------
    estimator : object
        Whose fit it is.
    record : FitRecord
    scores : array of shape (n, n_columns)
        Of any namespace.
    """
    if estimator in _SAID:
        return
    low, high = record.limits
    values = ranged_values(to_numpy(detached(scores)).astype(np.float64), record.input)
    with np.errstate(invalid="ignore"):
        far = np.isfinite(values) & ((values < low) | (values > high))
    n_far = int(far.sum())
    if n_far == 0 or n_far < FAR_SHARE * len(values):
        return
    _SAID.add(estimator)
    place = int(np.argmax(far))
    row = place // (len(values) // len(scores))
    others = "" if n_far == 1 else f", and {n_far - 1:,} more such values"
    warn(
        f"X holds scores far outside those that this {type(estimator).__name__} was fitted on "
        f"({record.scores}): {record.quantity} from {record.low:.4g} to {record.high:.4g} then, "
        f"now {values[place]:.4g} in row {row}{others}. Beyond its fit the map is a guess. Check "
        f"that these scores come from the same model, by the same response (decision_function or "
        f"predict_proba) and in the same unit; if the model has changed, fit again. This is said "
        f"once",
        ScoreRangeWarning,
    )
