"""Maps for the scores of detectors that stand beside the registered calibrators.

Their `X` has the score in its first column; further columns are features of the box, where the map
reads any. They follow the calibrator contract and serve inside `DetectionCalibrator`.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations_with_replacement
from typing import ClassVar, Literal

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from calib._border.checks import check_integer, describe, is_number
from calib._border.limits import MOST_BINS
from calib._border.typing import Array, Float64Array, Namespace
from calib._border.warn import warn
from calib._core import links
from calib._core.features.glm import fit_groups
from calib._core.features.prior import Prior
from calib._core.fitted_map import NUMBER, POSITIVE, SHARE, FittedArray, MapTraits
from calib._core.scores import Scores
from calib.base import BaseCalibrator

#: Distance from 0 and 1 at which scores are cut before their log-odds are taken. Scores in single
#: precision end there; closer ones would carry weight that they do not deserve.
SCORE_CLIP = 1e-7
#: Bins per dimension of `GridHistogramCalibrator` for few, some and many dimensions.
DEFAULT_BINS = {1: 15, 2: 5, 3: 5}
MANY_DIMENSIONS_BINS = 3
#: Precision of the prior of coefficients that are as good as free, and never singular.
FREE = 1e-9
#: Cells beyond which a grid is refused.
MAX_CELLS = 1 << 20


class _ScoreFirst(BaseCalibrator):
    """Base of the maps of this file: one column of scores, then features."""

    soft_targets: ClassVar[bool] = True
    #: Whether columns after the score are read.
    reads_features: ClassVar[bool] = False

    def n_score_columns(self, n_columns: int) -> int:
        """Return how many leading columns of `X` are scores."""
        if n_columns > 1 and not self.reads_features:
            raise ValueError(
                f"X has {n_columns} columns, but {type(self).__name__} reads one column of scores "
                f"and no features"
            )
        return 1


class IdentityCalibrator(_ScoreFirst):
    """Leave scores as they are.

    The baseline, and what `DetectionCalibrator` falls back to where nothing can be fitted.

    Parameters
    ----------
    input : {"proba", "logits"}, default="proba"
        What `X` holds; see `BaseCalibrator`.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        0 and 1.
    n_features_in_ : int
        Number of columns of `X` seen at fit.

    Examples
    --------
    >>> from calib.detection import IdentityCalibrator
    >>> IdentityCalibrator().fit([0.2, 0.4], [0.1, 0.8]).transform([0.3])[:, 1]
    array([0.3])
    """

    traits: ClassVar[MapTraits] = MapTraits(domain="proba")

    def __init__(self, *, input: Literal["proba", "logits"] = "proba") -> None:
        super().__init__(input=input)

    def _fit(self, scores: Scores, target: Float64Array, weight: Float64Array | None) -> None:
        pass

    @staticmethod
    def _map(scores: Array, fitted: Mapping[str, Array], xp: Namespace) -> Array:
        return scores


class LinearCalibrator(_ScoreFirst):
    """Fit ``a p + b`` to the scores ``p`` by least squares, with ``a >= 0``, clipped to [0, 1].

    Predicts the mean overlap of a detection directly. Two parameters; prefer Platt scaling where
    scores come close to 0 or 1.

    Parameters
    ----------
    input : {"proba", "logits"}, default="proba"
        What `X` holds; see `BaseCalibrator`.

    Attributes
    ----------
    slope_, intercept_ : float
        a >= 0 and b.
    classes_ : ndarray of shape (2,)
        Classes; the map gives the probability of the second.
    n_features_in_ : int
        1.

    Raises
    ------
    ValueError
        At fit, for input that `BaseCalibrator.fit` refuses, or more than one column.

    Notes
    -----
    Where the best slope is negative, the map is the constant mean of the targets. O(n).

    References
    ----------
    S. Kuzucu, K. Oksuz, J. Sadeghi, P. K. Dokania, "On Calibration of Object Detectors: Pitfalls,
    Evaluation and Baselines", ECCV 2024, arXiv 2405.20459.

    Examples
    --------
    >>> from calib.detection import LinearCalibrator
    >>> cal = LinearCalibrator().fit([0.2, 0.4, 0.8], [0.1, 0.3, 0.7])
    >>> cal.transform([0.05, 0.6])[:, 1].round(6)
    array([0. , 0.5])
    """

    traits: ClassVar[MapTraits] = MapTraits(
        arrays={
            "slope_": FittedArray(low=0.0),
            "intercept_": NUMBER,
        },
        domain="proba",
    )

    slope_: float
    intercept_: float

    def __init__(self, *, input: Literal["proba", "logits"] = "proba") -> None:
        super().__init__(input=input)

    def _fit(self, scores: Scores, target: Float64Array, weight: Float64Array | None) -> None:
        p = scores.dense()[:, 1]
        w = np.ones(len(p)) if weight is None else weight
        centre, mean = np.average(p, weights=w), np.average(target, weights=w)
        spread = np.average((p - centre) ** 2, weights=w)
        moment = np.average((p - centre) * (target - mean), weights=w)
        flat = not spread > np.finfo(np.float64).eps ** 2
        self.slope_ = 0.0 if flat else max(0.0, float(moment / spread))
        self.intercept_ = float(mean - self.slope_ * centre)

    @staticmethod
    def _map(scores: Array, fitted: Mapping[str, Array], xp: Namespace) -> Array:
        p = scores[:, 1]
        q = xp.clip(fitted["slope_"] * p + fitted["intercept_"], 0.0, 1.0)
        return xp.stack([1 - q, q], axis=1)


class GridHistogramCalibrator(_ScoreFirst):
    """Give every cell of a grid over score and box position the mean of its targets.

    The multivariate histogram binning of detectors. The grid overfits quickly: with five
    dimensions a few thousand detections already leave most of the 243 cells nearly empty.

    Parameters
    ----------
    input : {"proba", "logits"}, default="proba"
        What the score column holds; see `BaseCalibrator`. Bins are over the probability.
    n_bins : int, default=None
        Bins of equal width per dimension, >= 1; None takes 15 for the score alone, 5 for two or
        three dimensions, 3 for more.

    Attributes
    ----------
    values_ : ndarray of shape (n_bins, ...)
        Value of every cell, one axis per column of `X`.
    classes_ : ndarray of shape (2,)
        Classes; the map gives the probability of the second.
    n_features_in_ : int
        Number of columns of `X` seen at fit.

    Raises
    ------
    ValueError
        At fit, for input that `BaseCalibrator.fit` refuses, a bad `n_bins`, or a grid of more than
        2**20 cells.

    Notes
    -----
    Bins are ``[a, b)`` on [0, 1], the last one closed; features outside [0, 1] belong to the outer
    bins. An empty cell gives the centre of its score bin.

    References
    ----------
    F. Kueppers, J. Kronenberger, A. Shantia, A. Haselhoff, "Multivariate Confidence Calibration for
    Object Detection", CVPR Workshops 2020, arXiv 2004.13546.

    Examples
    --------
    >>> from calib.detection import GridHistogramCalibrator
    >>> cal = GridHistogramCalibrator(n_bins=4).fit([0.1, 0.2, 0.9], [0.0, 0.5, 0.6])
    >>> cal.transform([0.0, 0.6, 1.0])[:, 1]
    array([0.25 , 0.625, 0.6  ])
    """

    traits: ClassVar[MapTraits] = MapTraits(
        arrays={
            "values_": FittedArray(low=0.0, high=1.0),  # one axis a column: see `check_map`
        },
        domain="declared",
        double=True,
    )
    reads_features: ClassVar[bool] = True

    values_: Float64Array

    def __init__(
        self, *, input: Literal["proba", "logits"] = "proba", n_bins: int | None = None
    ) -> None:
        super().__init__(input=input)
        self.n_bins = n_bins

    def _fit(self, scores: Scores, target: Float64Array, weight: Float64Array | None) -> None:
        array = np.asarray(scores.array, dtype=np.float64)
        n_dimensions = array.shape[1]
        n_bins = DEFAULT_BINS.get(n_dimensions, MANY_DIMENSIONS_BINS)
        if self.n_bins is not None:
            n_bins = check_integer("n_bins", self.n_bins, low=1, high=MOST_BINS)
        if n_bins**n_dimensions > MAX_CELLS:
            raise ValueError(
                f"n_bins={n_bins} in {n_dimensions} dimensions makes {n_bins**n_dimensions} cells; "
                f"at most {MAX_CELLS} are allowed"
            )
        cell = _cells(_columns(array, n_dimensions, self.input, "proba", np), n_bins, np)
        w = np.ones(len(cell)) if weight is None else weight
        mass = np.bincount(cell, w, n_bins**n_dimensions)
        total = np.bincount(cell, w * target, n_bins**n_dimensions)
        centres = np.repeat((np.arange(n_bins) + 0.5) / n_bins, n_bins ** (n_dimensions - 1))
        means = np.clip(total / np.where(mass > 0, mass, 1.0), 0.0, 1.0)
        self.values_ = np.where(mass > 0, means, centres).reshape([n_bins] * n_dimensions)

    def check_map(self) -> None:
        """Raise a `ValueError` unless the fitted values can be those of a fit."""
        cells = SHARE.of_shape(*["bins"] * self.n_features_in_)
        cells.check("values_", self.values_, {})

    @staticmethod
    def _map(scores: Array, fitted: Mapping[str, Array], xp: Namespace) -> Array:
        values = fitted["values_"]
        n_dimensions, n_bins = values.ndim, values.shape[0]
        cell = _cells(_columns(scores, n_dimensions, fitted["input"], "proba", xp), n_bins, xp)
        q = xp.take(xp.reshape(values, (-1,)), cell, axis=0)
        return xp.stack([1 - q, q], axis=1)


class DependentLogisticCalibrator(_ScoreFirst):
    """Fit a logistic regression on log-odds and features with all their squares and products.

    The position-dependent calibration of detectors in its convex form: the ratio of two Gaussians
    with free covariances has log-odds that are quadratic in its argument, and every quadratic
    function arises in this way. Without features, a parabola in the log-odds of the score; it need
    not be monotone. Gains little over Platt scaling unless position matters.

    Parameters
    ----------
    input : {"proba", "logits"}, default="proba"
        What the score column holds; see `BaseCalibrator`.
    penalty : float, default=1.0
        Weight of the ridge, >= 0: half its product with the sum of the squared coefficients of
        standardised monomials, intercept and log-odds aside, is added to the total log loss.

    Attributes
    ----------
    centre_, scale_ : ndarray of shape (n_features_in_,)
        Mean and standard deviation of log-odds and features.
    coefficients_ : ndarray of shape (n_monomials,)
        Of ``1, s_1, s_2, ..., s_1 s_1, s_1 s_2, ...`` in standardised columns.
    classes_ : ndarray of shape (2,)
        Classes; the map gives the probability of the second.
    n_features_in_ : int
        Number of columns of `X` seen at fit.

    Raises
    ------
    ValueError
        At fit, for input that `BaseCalibrator.fit` refuses, or a negative penalty.

    Notes
    -----
    ``(K + 1) (K + 2) / 2`` parameters for K columns, found by Newton's method. Log-odds are taken
    of scores cut at 1e-7 from 0 and 1.

    References
    ----------
    F. Kueppers, J. Kronenberger, A. Shantia, A. Haselhoff, "Multivariate Confidence Calibration for
    Object Detection", CVPR Workshops 2020, arXiv 2004.13546.

    Examples
    --------
    >>> import numpy as np
    >>> from calib.detection import DependentLogisticCalibrator
    >>> rng = np.random.default_rng(0)
    >>> p, x = rng.random((2, 2000))
    >>> y = (rng.random(2000) < p * x).astype(int)  # boxes to the right are more often right
    >>> cal = DependentLogisticCalibrator().fit(np.c_[p, x], y)
    >>> cal.transform([[0.8, 0.1], [0.8, 0.9]])[:, 1].round(2)
    array([0.1 , 0.68])
    """

    traits: ClassVar[MapTraits] = MapTraits(
        arrays={
            "centre_": NUMBER.of_shape("columns"),
            "scale_": POSITIVE.of_shape("columns"),
            "coefficients_": NUMBER.of_shape("monomials"),
        },
        domain="declared",
    )
    reads_features: ClassVar[bool] = True

    centre_: Float64Array
    scale_: Float64Array
    coefficients_: Float64Array

    def __init__(
        self, *, input: Literal["proba", "logits"] = "proba", penalty: float = 1.0
    ) -> None:
        super().__init__(input=input)
        self.penalty = penalty

    def _fit(self, scores: Scores, target: Float64Array, weight: Float64Array | None) -> None:
        if not is_number(self.penalty):
            raise ValueError(f"penalty must be a number >= 0; got {describe(self.penalty)}")
        if not 0 <= self.penalty < np.inf:
            raise ValueError(f"penalty must be finite and >= 0; got {self.penalty}")
        array = np.asarray(scores.array, dtype=np.float64)
        columns = _columns(array, array.shape[1], self.input, "logits", np)
        w = np.ones(len(columns)) if weight is None else weight
        self.centre_ = np.average(columns, axis=0, weights=w)
        spread = np.sqrt(np.average((columns - self.centre_) ** 2, axis=0, weights=w))
        self.scale_ = np.where(spread > 1e-12 * (1.0 + np.abs(self.centre_)), spread, 1.0)
        design = monomials((columns - self.centre_) / self.scale_, np)
        identity = np.zeros(design.shape[1])
        identity[:2] = self.centre_[0], self.scale_[0]
        precision = np.full(design.shape[1], float(self.penalty))
        precision[:2] = FREE
        prior = Prior(identity, precision)
        goal = target.astype(np.float64)
        fits = fit_groups(design, goal, np.array([0]), prior, "logistic", weight=weight)
        self.coefficients_ = fits.coefficients[0]
        if not fits.converged[0]:
            warn(
                "dependent logistic calibration did not converge; a larger penalty helps",
                ConvergenceWarning,
            )

    def _sizes(self) -> dict[str, int]:
        n = self.n_features_in_
        return {**super()._sizes(), "monomials": (n + 1) * (n + 2) // 2}

    @staticmethod
    def _map(scores: Array, fitted: Mapping[str, Array], xp: Namespace) -> Array:
        n_columns = fitted["centre_"].shape[0]
        columns = _columns(scores, n_columns, fitted["input"], "logits", xp)
        design = monomials((columns - fitted["centre_"]) / fitted["scale_"], xp)
        eta = xp.sum(design * fitted["coefficients_"], axis=1)
        return links.expit(xp.stack([-eta, eta], axis=1), xp)


def monomials(columns: Array, xp: Namespace) -> Array:
    """Return 1, the columns, and all products of two of them, shape (n, (K + 1) (K + 2) / 2)."""
    one = [columns[:, k] for k in range(columns.shape[1])]
    two = [a * b for a, b in combinations_with_replacement(one, 2)]
    return xp.stack([xp.ones_like(one[0]), *one, *two], axis=1)


def cut(calibrator: BaseCalibrator, X: Float64Array) -> Float64Array:
    """Keep scores off 0 and 1 for calibrators that take their log-odds."""
    if calibrator.traits.domain == "proba":
        return X
    X = X.copy()
    np.clip(X[:, 0], SCORE_CLIP, 1 - SCORE_CLIP, out=X[:, 0])
    return X


def log_odds(score: Array) -> Float64Array:
    """Return log-odds of probabilities cut at `SCORE_CLIP`, as NumPy float64."""
    clipped = np.clip(np.asarray(score, dtype=np.float64), SCORE_CLIP, 1 - SCORE_CLIP)
    return np.asarray(np.log(clipped) - np.log(1 - clipped))


def standard_monomials(cal: DependentLogisticCalibrator, X: Float64Array) -> Float64Array:
    """Return the regressors of a fitted map for a matrix of probabilities and features."""
    columns = _columns(X, X.shape[1], "proba", "logits", np)
    design: Float64Array = monomials((columns - cal.centre_) / cal.scale_, np)
    return design


def _columns(array: Array, n: int, source: str, wanted: str, xp: Namespace) -> Array:
    """Return score and features, shape (n_samples, n), the score as probability or log-odds.

    A score without features stands in the last column: the base makes two columns of one.
    """
    score = array[:, -1] if n == 1 else array[:, 0]
    if wanted == "proba":
        score = links.expit(score, xp) if source == "logits" else score
    elif source == "proba":
        clipped = xp.clip(score, SCORE_CLIP, 1 - SCORE_CLIP)
        score = xp.log(clipped) - xp.log(1 - clipped)
    score = xp.expand_dims(score, axis=1)
    return score if n == 1 else xp.concat([score, array[:, 1:]], axis=1)


def _cells(columns: Array, n_bins: int, xp: Namespace) -> Array:
    """Return the number of the cell of every row in a grid on the unit cube."""
    bins = xp.clip(xp.floor(columns * n_bins), 0, n_bins - 1)
    cell = bins[:, 0]
    for k in range(1, columns.shape[1]):
        cell = cell * n_bins + bins[:, k]
    return xp.astype(cell, xp.int64)
