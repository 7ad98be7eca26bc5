"""What a family of distributions answers: one distribution per row, arguments unchecked."""

from __future__ import annotations

from typing import Protocol, Self, runtime_checkable

from calib._border.typing import Float64Array, IntArray


class Law(Protocol):
    """Distributions of a number, one per row.

    Arguments are float64 matrices that broadcast against rows: (1, k) asks all rows the same,
    (n_rows, k) each its own. Results have shape (n_rows, k), or (n_rows,) where there is no k.
    """

    @property
    def kind(self) -> str:
        """Word that names the family, such as ``"normal"`` or ``"points"``."""

    @property
    def n_rows(self) -> int:
        """Number of distributions."""

    @property
    def row_size(self) -> int:
        """Numbers that one argument of one row takes to work out; blocks are made for them."""

    def take(self, rows: slice | IntArray) -> Self:
        """Return the law of some rows."""

    def cdf(self, t: Float64Array) -> Float64Array:
        """Return P(Y <= t), in [0, 1], non-decreasing in t."""

    def quantile(self, levels: Float64Array) -> Float64Array:
        """Return quantiles at levels in (0, 1), non-decreasing in the level; they may be inf."""

    def sample(self, uniform: Float64Array) -> Float64Array:
        """Return finite draws made of uniform random numbers in (0, 1)."""

    def mean(self) -> Float64Array:
        """Return means."""

    def std(self) -> Float64Array:
        """Return standard deviations."""

    def crps(self, y: Float64Array) -> Float64Array:
        """Return the continuous ranked probability score of a label (n_rows,) per row."""

    def pit(self, y: Float64Array, uniform: Float64Array) -> Float64Array:
        """Return P(Y < y) + uniform P(Y = y) for a label (n_rows,) and a number in (0, 1) per row.

        Where ties count otherwise, as in conformal systems, it is what is uniform under validity.
        """


@runtime_checkable
class DensityLaw(Law, Protocol):
    """Distributions that have densities."""

    def log_density(self, y: Float64Array) -> Float64Array:
        """Return log densities at a label (n_rows,) per row."""
