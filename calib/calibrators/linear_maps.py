"""What the linear maps of log-probabilities share: a temperature first, then one convex fit."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from calib._border.checks import check_option, describe, is_number
from calib._border.typing import Array, Float64Array, Namespace
from calib._border.warn import warn
from calib._core import links
from calib._core.fitted_map import NUMBER, POSITIVE, SHARE, FittedArray, MapTraits
from calib._core.logistic import smooths_input
from calib._core.multinomial import (
    MASK_LOSS,
    MultinomialProblem,
    masks,
    tempered,
    tempered_logits,
)
from calib._core.newton import LargeMinimum
from calib._core.rows import Rows, rescored
from calib._core.scores import Scores
from calib.base import BaseCalibrator
from calib.calibrators.temperature import best_temperature, choose_share

#: Stands for "no penalty": directions that the data leave free stay where they are.
NO_PENALTY = 1e-7
#: Elements of the subsample on which maps with and without smoothing of the input are compared.
COMPARED_ELEMENTS = 1 << 19
#: Fitted arrays of a full linear map.
LINEAR_MAP: Mapping[str, FittedArray] = {
    "temperature_": POSITIVE,
    "input_smoothing_": SHARE,
    "tempered_smoothing_": SHARE,
    "smoothing_": SHARE,
    "coef_": NUMBER.of_shape("classes", "classes"),
    "intercept_": NUMBER.of_shape("classes"),
}


@dataclass(frozen=True)
class LinearStart:
    """What comes before a linear map, and the convex problem of the map itself."""

    input_smoothing: float
    temperature: float
    tempered_smoothing: float
    smoothing: float
    scale: float
    problem: MultinomialProblem

    def solved(self) -> LinearFit:
        """Return the fitted map."""
        minimum = self.problem.solve(self.problem.scaled(self.scale))
        return LinearFit(*self._before(), self.problem, minimum)

    def posed(self, problem: MultinomialProblem) -> LinearStart:
        """Return another problem, not fitted yet, behind the same first steps."""
        return LinearStart(*self._before(), problem)

    def _before(self) -> tuple[float, float, float, float, float]:
        smoothing = self.input_smoothing, self.temperature, self.tempered_smoothing
        return *smoothing, self.smoothing, self.scale


@dataclass(frozen=True)
class LinearFit(LinearStart):
    """A fitted linear map and what comes before it."""

    minimum: LargeMinimum

    def solved(self) -> LinearFit:
        """Return the fit itself."""
        return self

    @property
    def x(self) -> Float64Array:
        """Intercepts and departures from the identity, one row a class."""
        return self.minimum.x.reshape(self.problem.penalty.shape)


class LinearMapCalibrator(BaseCalibrator):
    """What the linear maps of log-probabilities share; `coef_` is (K,) or (K, K)."""

    traits: ClassVar[MapTraits] = MapTraits(arrays=LINEAR_MAP, cancels=True)
    _reads_shares: ClassVar[bool] = True

    temperature_: float
    input_smoothing_: float
    tempered_smoothing_: float
    smoothing_: float
    coef_: Float64Array
    intercept_: Float64Array
    n_evaluations_: int
    structured: bool
    strength: float
    smooth_input: Literal["auto", True, False]

    @abstractmethod
    def _problem(self, rows: Rows, n_classes: int, total: float) -> MultinomialProblem:
        """Return the convex problem for the map's form and penalties, on rows of `Logits`."""

    def _check_structure(self) -> None:
        check_option("structured", self.structured, (True, False))
        if not is_number(self.strength) or not 0.0 < self.strength < np.inf:
            raise ValueError(f"strength must be a number > 0; got {describe(self.strength)}")

    def _fit_linear(self, rows: Rows) -> LinearFit:
        """Fit, and keep all attributes but the coefficients."""
        return self._kept(self._start(rows).solved())

    def _start(self, rows: Rows) -> LinearStart:
        """Return the problem on all rows, fitted already if that is how it was chosen."""
        start = self._choose(rows)
        if start.problem.rows.n_samples < rows.n_samples:
            start = self._prepared(start.input_smoothing, rows, rows.total)
        return start

    def _kept(self, fit: LinearFit) -> LinearFit:
        """Set the attributes, warn if the solver fell short."""
        self.temperature_, self.input_smoothing_ = fit.temperature, fit.input_smoothing
        self.tempered_smoothing_, self.smoothing_ = fit.tempered_smoothing, fit.smoothing
        self.n_evaluations_ = fit.minimum.n_evaluations
        if not fit.minimum.converged:
            warn(
                f"{type(self).__name__} did not converge in {self.n_evaluations_} passes",
                ConvergenceWarning,
            )
        return fit

    def _choose(self, rows: Rows) -> LinearStart:
        """Fit with and without smoothing of the input, many samples on a part; return the better.

        Without a choice to make, nothing is compared and nothing fitted yet.
        """
        share, known = 0.0, self._known_smoothing
        searched = smooths_input(self.smooth_input, rows.source)
        if known is not None:
            share = float(known)
        elif searched:
            share = choose_share(rows)
        if known is not None or share == 0.0:
            return self._prepared(share, rows, rows.total)
        sample = rows.every(max(1, rows.n_samples * rows.n_classes // COMPARED_ELEMENTS))
        plain, smoother = (self._prepared(s, sample, rows.total).solved() for s in (0.0, share))
        return smoother if smoother.minimum.value < plain.minimum.value else plain

    def _prepared(self, share: float, rows: Rows, total: float) -> LinearStart:
        """Fit the temperature to scores that are smoothed by `share`; the map comes next."""
        rows = rows.mapped(rescored, Scores.smoothed, share)
        temperature, level = best_temperature(rows).temperature, 1.0 / (rows.total + 1.0)
        if self.structured:
            source, scale, smoothing = tempered(rows, temperature, level), 1.0, 0.0
        else:
            masked = self._of_masked_classes(temperature, rows.n_classes)
            source, scale, smoothing = tempered(rows, 1.0, 0.0, masked), 1.0 / temperature, level
            temperature, level = 1.0, 0.0
        problem = self._problem(source, rows.n_classes, total)
        return LinearStart(share, temperature, level, smoothing, scale, problem)

    def _of_masked_classes(self, temperature: float, n_classes: int) -> float | None:
        """Return the log-probability that stands for masked classes; None for their own."""
        return None

    @staticmethod
    def _map(scores: Array, fitted: Mapping[str, Array], xp: Namespace) -> Array:
        scores = links.smoothed_logits(scores, fitted["input_smoothing_"], xp)
        z = tempered_logits(scores, fitted["temperature_"], fitted["tempered_smoothing_"], xp)
        masked = fitted.get("masked_log_proba_")
        hidden = None if masked is None else masks(scores, xp)
        if hidden is not None:
            z = xp.where(hidden, masked, z)
        coef = fitted["coef_"]
        moved = z * coef if coef.ndim == 1 else xp.matmul(z, xp.matrix_transpose(coef))
        moved = moved + fitted["intercept_"]
        if hidden is not None:
            moved = xp.where(hidden, moved - MASK_LOSS, moved)
        return links.smooth(links.softmax(moved, xp), fitted["smoothing_"])
