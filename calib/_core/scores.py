"""Calibration scores read block by block, so that no method copies all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from calib._border.arrays import LOGIT_LIMIT, PROBA_FLOOR, row_blocks
from calib._border.typing import Domain, Float64Array, FloatArray, InputKind, LabelArray
from calib._core.links import (
    binary_log_odds,
    both_columns,
    bounded_log_odds,
    convert,
    in_units,
    logits_from_proba,
    smooth,
)


@dataclass(frozen=True)
class Scores:
    """Checked scores of the calibration set, handed to ``_fit`` in the domain it declared.

    Attributes
    ----------
    array : ndarray of shape (n_samples, n_columns)
        As received: any floating type, one column (positive class) or one column per class.
    source : {"logits", "proba"}
        What `array` holds.
    domain : {"logits", "proba", "declared"}
        What `block` and the iteration return; ``"declared"`` means as received.
    share : float, default=0.0
        Share of the uniform distribution that is mixed into the probabilities first, in [0, 1].
    unit : float, default=1.0
        What logits are divided by first, > 0.
    """

    array: FloatArray
    source: InputKind
    domain: Domain
    share: float = 0.0
    unit: float = 1.0

    @property
    def n_samples(self) -> int:
        return int(self.array.shape[0])

    @property
    def n_classes(self) -> int:
        return max(2, int(self.array.shape[1]))

    def block(self, rows: slice) -> Float64Array:
        """Return rows in the wanted domain, float64, shape (n_rows, n_classes).

        Not to be written to: it may be a view of what the user passed.
        """
        part = np.asarray(self.array[rows], dtype=np.float64)
        if part.shape[1] == 1:
            part = both_columns(part, self.source, np)
        part = self._in_units(part)
        source = self.source
        if self.share > 0:
            part, source = smooth(convert(part, source, "proba", np), self.share), "proba"
        out: Float64Array = convert(part, source, self.domain, np)
        return out

    def __iter__(self) -> Iterator[tuple[slice, Float64Array]]:
        for rows in row_blocks(self.n_samples, self.n_classes):
            yield rows, self.block(rows)

    def dense(self) -> Float64Array:
        """Return all rows in the wanted domain; for methods that sort columns."""
        out = np.empty((self.n_samples, self.n_classes))
        for rows, block in self:
            out[rows] = block
        return out

    def log_odds(self) -> Float64Array:
        """Return the log-odds of the second of two classes, shape (n_samples,), float64."""
        if self.n_classes != 2:
            raise ValueError(f"log-odds need 2 classes, these scores have {self.n_classes}")
        if self.share > 0:
            plain = replace(self, share=0.0).log_odds()
            return np.asarray(bounded_log_odds(plain, np.asarray(self.share), np))
        array = self.array
        if array.shape[1] == 1:
            if self.source == "logits":
                s = array[:, 0].astype(np.float64)[:, None]
                return np.asarray(in_units(s, self.unit, np) if self._wild(s) else s)[:, 0]
            positive = array[:, 0].astype(np.float64)
            return np.asarray(
                np.log(np.maximum(positive, PROBA_FLOOR))
                - np.log(np.maximum(1.0 - positive, PROBA_FLOOR))
            )
        out = np.empty(self.n_samples)
        as_logits = replace(self, domain="logits")
        for rows, block in as_logits:
            out[rows] = binary_log_odds(block)
        return out

    def pairs(self) -> Iterator[tuple[Float64Array, Float64Array]]:
        """Yield probability and complement of one class after the other, (n_samples,) each.

        Of two classes only those of the second. The complement is a sum over the other classes,
        so that it does not vanish where the probability is 1 to working precision.
        """
        plain = self.in_domain("proba")
        if self.n_classes == 2:
            both = plain.dense()
            yield both[:, 1].copy(), both[:, 0].copy()
            return
        top = np.empty(self.n_samples, dtype=np.intp)
        rest = np.empty(self.n_samples)
        normaliser = np.empty(self.n_samples)  # of the softmax, once for all classes
        by_logits = self.share == 0 and self.source == "logits"
        smoothed = plain.dense() if self.share > 0 else None
        for rows, block in self.in_domain("declared") if by_logits else plain:
            index = np.arange(len(block))
            top[rows] = block.argmax(axis=1)
            p = block
            if by_logits:
                peak = block[index, top[rows]]
                p = np.exp(block - peak[:, None])
                total = p.sum(axis=1)
                normaliser[rows] = peak + np.log(total)
                p /= total[:, None]
            else:
                p = block.copy()
            p[index, top[rows]] = 0.0
            rest[rows] = p.sum(axis=1)
        for k in range(self.n_classes):
            if by_logits:
                p = np.exp(self.logit_columns(slice(k, k + 1))[:, 0] - normaliser)
            elif smoothed is not None:
                p = smoothed[:, k].copy()
            else:
                p = self.array[:, k].astype(np.float64)
            yield p, np.where(top == k, rest, 1.0 - p)

    def logit_columns(self, columns: slice) -> Float64Array:
        """Return the logits of some classes (three or more in all), float64, as a copy."""
        if self.share > 0:
            return self.in_domain("logits").dense()[:, columns].copy()
        part = self.array[:, columns].astype(np.float64)
        if self.source == "proba":
            return np.asarray(logits_from_proba(part, np))
        return self._in_units(part)

    def _in_units(self, part: Float64Array) -> Float64Array:
        """Return a block of logits divided by the unit and without infinities."""
        if self.source == "proba" or not self._wild(part):
            return part
        return np.asarray(in_units(part, self.unit, np))

    def _wild(self, part: Float64Array) -> bool:
        """Return whether logits are not calculated with as they are."""
        one_sided = part.shape[1] > 1  # a single column may exclude either class
        return self.unit != 1.0 or not (
            part.min() >= -LOGIT_LIMIT and (one_sided or part.max() <= LOGIT_LIMIT)
        )

    def every(self, step: int) -> Scores:
        """Return a systematic subsample (a view): rows 0, step, 2 step, ..."""
        return self.take(slice(None, None, step))

    def take(self, rows: slice | LabelArray) -> Scores:
        """Return some of the rows, those of a slice as a view."""
        return replace(self, array=self.array[rows])

    def joined(self, others: Sequence[Scores]) -> Scores:
        """Return the rows of several (this one among them) in one."""
        return replace(self, array=np.concatenate([other.array for other in others]))

    def first_columns(self, n_columns: int) -> Scores:
        """Return the same scores without what stands behind them, as features do."""
        return replace(self, array=self.array[:, :n_columns])

    def in_domain(self, domain: Domain) -> Scores:
        """Return the same scores read in another domain."""
        return replace(self, domain=domain)

    def in_units(self, unit: float) -> Scores:
        """Return the same scores with logits divided by a number."""
        return self if unit == 1.0 else replace(self, unit=self.unit * unit)

    def smoothed(self, share: float) -> Scores:
        """Return the same scores after mixing with the uniform distribution (Laplace smoothing)."""
        return replace(self, share=share)
