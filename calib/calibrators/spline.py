"""Spline calibration: an increasing curve of the log-odds, as smooth as the data ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np

from calib._border.checks import check_integer, check_option, describe, is_number
from calib._border.limits import MOST_BINS
from calib._border.typing import Array, Float64Array, Namespace
from calib._core import links
from calib._core.fitted_map import SHARE, FittedArray, MapTraits
from calib._core.logistic import confined_problems, warn_of_classes
from calib._core.rows import Rows
from calib.base import BaseCalibrator
from calib.calibrators.natural_splines import SplineCurves, fill_cells, fit_curves


class SplineCalibrator(BaseCalibrator):
    """Fit an increasing penalised spline to the log-odds.

    With few labels it is Platt scaling, pulled a little towards the scores as they are; with
    thousands it follows any increasing distortion, without the steps of isotonic calibration and
    without wild ends. Beyond two classes every class is fitted against the rest and rows are
    renormalised.

    Parameters
    ----------
    input : {"proba", "logits"}, default="proba"
        What `X` holds; see `BaseCalibrator`.
    n_knots : int, default=24
        Number of knots, >= 3: an upper bound on the detail. The penalty, not this number, decides
        how smooth the curve is.
    prior_weight : float, default=4.0
        Total weight, >= 0, of pseudo-observations that agree with the (bounded) scores. They
        matter for few samples or rare classes and keep separable data finite.
    smooth_input : bool, default=True
        Bound log-odds by mixing the probabilities with the uniform distribution first, where that
        makes the curve fit better; the share is the one with which an affine map fits best.
        Classifiers that emit probabilities of exactly 0 and 1 need it.
    smoothing : bool, default=True
        Mix the output with the uniform distribution at a share of ``1 / (n + 1)`` (n samples, or
        their total weight), which bounds the log loss of any sample.

    Attributes
    ----------
    knots_, values_ : ndarray of shape (1, n_knots) or (n_classes, n_knots)
        Log-odds before and after calibration, between which the map is linear; one row for two
        classes (that of ``classes_[1]``), else one a class.
    end_slopes_ : ndarray of shape (1, 2) or (n_classes, 2)
        Slopes of the map below the first and above the last knot.
    input_smoothing_ : ndarray of shape (1,) or (n_classes,)
        Share of the uniform distribution mixed in before the log-odds are taken.
    smoothing_ : float
        Share of the uniform distribution in the output, in [0, 1).
    unit_ : float
        Number that logits are divided by first: 1 unless they are on another scale than
        log-probabilities (decision scores), then their standard deviation.
    classes_ : ndarray of shape (n_classes,)
        Class of each column.
    n_features_in_ : int
        Number of columns of `X` seen at fit.

    Raises
    ------
    ValueError
        At fit, for input that `BaseCalibrator.fit` refuses or an impossible parameter.

    Warns
    -----
    ConvergenceWarning
        If the solver does not meet its tolerance.

    See Also
    --------
    PlattCalibrator : the straight line that this map becomes for few samples.
    IsotonicCalibrator : increasing without smoothness.

    Notes
    -----
    The log-odds are first calibrated by an affine map; on that axis an increasing piecewise linear
    function with slopes d_j between neighbouring knots minimises

        sum of log losses + lambda / 2 * integral of (change of slope)^2
        + 2 * mean of (d_j - log d_j),

    whose penalties leave the affine map alone and forbid slopes of zero and below: the curve
    increases strictly, as the barrier of an interior-point method sees to. It is found for eight
    lambda from 0.01 to 100,000 by Newton steps, and the curves are averaged with weights
    proportional to their marginal likelihoods by Laplace's method, so that nothing jumps as data
    change. Knots lie half way between equal mass and equal widths of asinh of the axis. Beyond
    the outer knots the map is linear, never steeper than the affine one.

    Samples enter as 512 weighted cells of nearly equal log-odds: one pass over the data, and a fit
    that costs the same for a thousand samples and for a million. Cross-validation is not used.

    References
    ----------
    B. Lucena, "Spline-Based Probability Calibration", 2018, arXiv 1809.07751.
    P. H. C. Eilers, B. D. Marx, "Flexible smoothing with B-splines and penalties", Statistical
    Science 11(2), 1996, doi 10.1214/ss/1038425655.
    S. N. Wood, "Fast stable restricted maximum likelihood and marginal likelihood estimation of
    semiparametric generalized linear models", Journal of the Royal Statistical Society B 73(1),
    2011, doi 10.1111/j.1467-9868.2010.00749.x.

    Examples
    --------
    >>> import numpy as np
    >>> from calib import SplineCalibrator
    >>> rng = np.random.default_rng(0)
    >>> s = rng.normal(0, 3, 20_000)  # log-odds, overconfident on one side only
    >>> y = rng.random(20_000) < 1 / (1 + np.exp(-np.where(s > 0, 0.3 * s, s)))
    >>> cal = SplineCalibrator(input="logits").fit(s, y)
    >>> cal.transform(np.array([-3.0, 0.0, 3.0]))[:, 1].round(2)  # the truth: 0.05, 0.5, 0.71
    array([0.04, 0.47, 0.71])
    """

    traits: ClassVar[MapTraits] = MapTraits(
        arrays={
            "knots_": FittedArray(("problems", "knots"), ascending=True),
            "values_": FittedArray(("problems", "knots"), ascending=True),
            "end_slopes_": FittedArray(("problems", 2), low=0.0),
            "input_smoothing_": SHARE.of_shape("problems"),
            "smoothing_": SHARE,
        },
        block_rows=4096,
        cancels=True,
        rescales_from=2,
    )
    _least_per_class: ClassVar[int] = 5
    soft_targets: ClassVar[bool] = True
    _reads_shares: ClassVar[bool] = True

    knots_: Float64Array
    values_: Float64Array
    end_slopes_: Float64Array
    input_smoothing_: Float64Array
    smoothing_: float

    def __init__(
        self,
        *,
        input: Literal["proba", "logits"] = "proba",
        n_knots: int = 24,
        prior_weight: float = 4.0,
        smooth_input: bool = True,
        smoothing: bool = True,
    ) -> None:
        super().__init__(input=input)
        self.n_knots = n_knots
        self.prior_weight = prior_weight
        self.smooth_input = smooth_input
        self.smoothing = smoothing

    def _fit_rows(self, rows: Rows) -> None:
        n_knots = check_integer("n_knots", self.n_knots, low=3, high=MOST_BINS)
        prior = _check_prior_weight(self.prior_weight)
        check_option("smooth_input", self.smooth_input, (True, False))
        check_option("smoothing", self.smoothing, (True, False))
        known = self._known_smoothing
        parts: list[SplineCurves] = [
            fit_curves(
                fill_cells(odds),
                n_knots,
                prior,
                smooth_input=self.smooth_input,
                known=None if known is None else known[columns],
            )
            for columns, odds in confined_problems(rows)
        ]
        self.knots_ = np.concatenate([part.knots for part in parts])
        self.values_ = np.concatenate([part.values for part in parts])
        self.end_slopes_ = np.concatenate([part.slopes for part in parts])
        self.input_smoothing_ = np.concatenate([part.share for part in parts])
        self.smoothing_ = 1.0 / (rows.total + 1.0) if self.smoothing else 0.0
        failed = np.flatnonzero(~np.concatenate([part.converged for part in parts]))
        text = "spline calibration did not converge"
        warn_of_classes(text, failed.tolist(), self.classes_, len(self.knots_))

    @staticmethod
    def _map(scores: Array, fitted: Mapping[str, Array], xp: Namespace) -> Array:
        return links.through_log_odds(lambda s: _curves(s, fitted, xp), scores, fitted, xp)


def _curves(s: Array, fitted: Mapping[str, Array], xp: Namespace) -> Array:
    """Evaluate one curve a column; linear beyond the outer knots."""
    knots, values, slopes = fitted["knots_"], fitted["values_"], fitted["end_slopes_"]
    inside = links.interpolate(s, knots, values, xp)
    zero = xp.zeros_like(s)
    below = xp.minimum(s - knots[:, 0], zero) * slopes[:, 0]
    above = xp.maximum(s - knots[:, -1], zero) * slopes[:, 1]
    return inside + below + above


def _check_prior_weight(value: object) -> float:
    """Return the weight of the pseudo-observations as a finite float >= 0."""
    if not is_number(value) or not 0.0 <= float(value) < np.inf:
        raise ValueError(f"prior_weight must be a finite number >= 0; got {describe(value)}")
    return float(value)
