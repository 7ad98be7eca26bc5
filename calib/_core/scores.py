"""Calibration scores read block by block, so that no method copies all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from calib._border.typing import Domain, Float64Array, FloatArray, InputKind
from calib._core.links import (
    PROBA_FLOOR,
    binary_log_odds,
    both_columns,
    bounded_log_odds,
    convert,
    logits_from_proba,
    smooth,
)

#: Elements of a block: half a megabyte in float64, so that a few blocks fit in a core's cache.
BLOCK_ELEMENTS = 1 << 16


def row_blocks(n_rows: int, n_columns: int, *, at_least: int = 1) -> Iterator[slice]:
    """Yield consecutive row slices of at most `BLOCK_ELEMENTS` elements, or `at_least` rows."""
    step = max(at_least, BLOCK_ELEMENTS // max(1, n_columns))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


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
    """

    array: FloatArray
    source: InputKind
    domain: Domain
    share: float = 0.0

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
                return array[:, 0].astype(np.float64)
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

    def columns(self) -> Iterator[Float64Array]:
        """Yield the scores of one class after the other in the wanted domain, (n_samples,)."""
        if self.share > 0:
            yield from self.dense().T.copy()
            return
        if self.domain in (self.source, "declared") and self.array.shape[1] > 1:
            for k in range(self.n_classes):
                yield self.array[:, k].astype(np.float64)
            return
        if self.n_classes == 2 or self.domain == "logits":
            yield from self.dense().T.copy()
            return
        normaliser = np.empty(self.n_samples)  # of the softmax, once for all classes
        for rows, z in self.in_domain("declared"):
            peak = z.max(axis=1)
            normaliser[rows] = peak + np.log(np.exp(z - peak[:, None]).sum(axis=1))
        for k in range(self.n_classes):
            yield np.exp(self.array[:, k].astype(np.float64) - normaliser)

    def logit_columns(self, columns: slice) -> Float64Array:
        """Return the logits of some classes (three or more in all), float64, as a copy."""
        if self.share > 0:
            return self.in_domain("logits").dense()[:, columns].copy()
        part = self.array[:, columns].astype(np.float64)
        if self.source == "proba":
            return np.asarray(logits_from_proba(part, np))
        return part

    def every(self, step: int) -> Scores:
        """Return a systematic subsample (a view): rows 0, step, 2 step, ..."""
        return replace(self, array=self.array[::step])

    def in_domain(self, domain: Domain) -> Scores:
        """Return the same scores read in another domain."""
        return replace(self, domain=domain)

    def smoothed(self, share: float) -> Scores:
        """Return the same scores after mixing with the uniform distribution (Laplace smoothing)."""
        return replace(self, share=share)
