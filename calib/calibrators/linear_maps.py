"""What the linear maps of log-probabilities share: a temperature first, then one convex fit."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from calib._border.checks import check_option, describe
from calib._border.typing import Array, Float64Array, IntArray, Namespace
from calib._border.warn import warn
from calib._core import links
from calib._core.fitted_map import NUMBER, POSITIVE, SHARE, FittedArray, MapTraits
from calib._core.multinomial import LogitSource, MultinomialProblem, Tempered, kept, tempered_logits
from calib._core.newton import LargeMinimum
from calib._core.scores import Scores
from calib.base import BaseCalibrator
from calib.calibrators.temperature import CHOICE_ELEMENTS, TemperatureCalibrator, choose_share

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
class LinearFit:
    """A fitted linear map and what comes before it."""

    input_smoothing: float
    temperature: float
    tempered_smoothing: float
    smoothing: float
    scale: float
    problem: MultinomialProblem
    minimum: LargeMinimum

    @property
    def x(self) -> Float64Array:
        """Intercepts and departures from the identity, one row a class."""
        return self.minimum.x.reshape(self.problem.penalty.shape)

    @property
    def source_samples(self) -> int:
        """Number of samples that were fitted."""
        return self.problem.source.n_samples


class _LinearMapCalibrator(BaseCalibrator):
    """What the linear maps of log-probabilities share; `coef_` is (K,) or (K, K)."""

    traits: ClassVar[MapTraits] = MapTraits(arrays=LINEAR_MAP)

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
    def _problem(
        self, source: LogitSource, codes: IntArray, weight: Float64Array | None, total: float
    ) -> MultinomialProblem:
        """Return the convex problem for the map's form and penalties."""

    def _check_structure(self) -> None:
        check_option("structured", self.structured, (True, False))
        number = isinstance(self.strength, (int, float, np.number))
        if isinstance(self.strength, bool) or not number or not 0.0 < self.strength < np.inf:
            raise ValueError(f"strength must be a number > 0; got {describe(self.strength)}")

    def _fit_linear(
        self, scores: Scores, target: Float64Array, weight: Float64Array | None
    ) -> LinearFit:
        """Fit, and keep all attributes but the coefficients."""
        check_option("smooth_input", self.smooth_input, ("auto", True, False))
        total = float(scores.n_samples if weight is None else weight.sum())
        found = self._choose(scores, target, weight, total)
        if found.source_samples < scores.n_samples:
            found = self._fit_share(found.input_smoothing, scores, target, weight, total)
        return self._kept(found)

    def _kept(self, found: LinearFit) -> LinearFit:
        """Set the attributes, warn if the solver fell short."""
        self.temperature_, self.input_smoothing_ = found.temperature, found.input_smoothing
        self.tempered_smoothing_, self.smoothing_ = found.tempered_smoothing, found.smoothing
        self.n_evaluations_ = found.minimum.n_evaluations
        if not found.minimum.converged:
            warn(
                f"{type(self).__name__} did not converge in {self.n_evaluations_} passes",
                ConvergenceWarning,
            )
        return found

    def _choose(
        self, scores: Scores, target: Float64Array, weight: Float64Array | None, total: float
    ) -> LinearFit:
        """Fit with and without smoothing of the input, many samples on a part; return the better.

        Without a choice to make, nothing is compared and all samples are fitted.
        """
        share = 0.0
        if self._known_smoothing is not None:
            return self._fit_share(float(self._known_smoothing), scores, target, weight, total)
        if self.smooth_input is True or (self.smooth_input == "auto" and scores.source == "proba"):
            share = choose_share(*_part(scores, target, weight, CHOICE_ELEMENTS), total)
        if share == 0.0:
            return self._fit_share(0.0, scores, target, weight, total)
        return self.better_share(share, *_part(scores, target, weight, COMPARED_ELEMENTS), total)

    def better_share(
        self,
        share: float,
        scores: Scores,
        target: Float64Array,
        weight: Float64Array | None,
        total: float,
    ) -> LinearFit:
        """Return the better of two fits: to the scores as they are, and smoothed by `share`."""
        plain, smoothed = (self._fit_share(s, scores, target, weight, total) for s in (0.0, share))
        return smoothed if smoothed.minimum.value < plain.minimum.value else plain

    def _fit_share(
        self,
        share: float,
        scores: Scores,
        target: Float64Array,
        weight: Float64Array | None,
        total: float,
    ) -> LinearFit:
        """Fit the temperature, then the linear map, to scores that are smoothed by `share`."""
        scores = scores.smoothed(share)
        first = TemperatureCalibrator(input="logits", smoothing=True, smooth_input=False)
        first.fit_scores(scores, target, weight)
        temperature, tempered = first.temperature_, first.smoothing_
        smoothing, scale = 0.0, 1.0
        if not self.structured:
            temperature, tempered = 1.0, 0.0
            smoothing, scale = first.smoothing_, 1.0 / first.temperature_
        source = kept(Tempered(scores, temperature, tempered))
        problem = self._problem(source, target.astype(np.intp), weight, total)
        minimum = problem.solve(problem.scaled(scale))
        return LinearFit(share, temperature, tempered, smoothing, scale, problem, minimum)

    @staticmethod
    def _map(scores: Array, fitted: Mapping[str, Array], xp: Namespace) -> Array:
        scores = links.smoothed_logits(scores, fitted["input_smoothing_"], xp)
        z = tempered_logits(scores, fitted["temperature_"], fitted["tempered_smoothing_"], xp)
        coef = fitted["coef_"]
        moved = z * coef if coef.ndim == 1 else xp.matmul(z, xp.matrix_transpose(coef))
        return links.smooth(links.softmax(moved + fitted["intercept_"], xp), fitted["smoothing_"])


def _part(
    scores: Scores, target: Float64Array, weight: Float64Array | None, elements: int
) -> tuple[Scores, Float64Array, Float64Array | None]:
    """Return a systematic subsample of about so many scores."""
    step = max(1, scores.n_samples * scores.n_classes // elements)
    return scores.every(step), target[::step], None if weight is None else weight[::step]
