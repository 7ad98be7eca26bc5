"""Out-of-distribution detectors on features: distances to what was seen in training."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias, cast

import numpy as np
from scipy.linalg import LinAlgError, cholesky, solve_triangular
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from calib._border.arrays import row_blocks
from calib._border.checks import check_fraction, check_integer, check_option, describe, is_number
from calib._border.labels import check_same_length, check_vector
from calib._border.optional import require
from calib._border.random import fixed
from calib._border.typing import ArrayLike, Float64Array, IntArray, LabelArray

Shrinkage: TypeAlias = float | Literal["auto"]
#: Smallest ratio of pivots in a Cholesky factor (squared: about 1e-12 of the largest variance)
#: below which a covariance counts as singular.
PIVOT_RATIO = 1e-6
#: Candidates beyond the neighbours asked for, as single precision may mistake their order.
SPARE_NEIGHBORS = 16
#: Training samples that a threshold on distances is found from, at most.
MOST_MEASURED = 1000


def covariance_of(centred: Float64Array, shrinkage: Shrinkage) -> tuple[Float64Array, float]:
    """Return the covariance of centred rows (divided by n), shrunk, and the share of identity."""
    from sklearn.covariance import ledoit_wolf, shrunk_covariance

    if shrinkage == "auto":
        covariance, share = ledoit_wolf(centred, assume_centered=True)
    else:
        share = shrinkage
        covariance = shrunk_covariance(centred.T @ centred / len(centred), shrinkage=share)
    return covariance, max(float(share), 0.0)


def check_shrinkage(shrinkage: Any) -> None:
    """Raise a `ValueError` unless the shrinkage is "auto" or in [0, 1]."""
    named = isinstance(shrinkage, str) and shrinkage == "auto"
    if not named and not (is_number(shrinkage) and 0 <= shrinkage <= 1):
        raise ValueError(f"shrinkage must be 'auto' or in [0, 1]; got {describe(shrinkage)}")


def factor_of(covariance: Float64Array, what: str) -> Float64Array:
    """Return the lower Cholesky factor of a covariance that is not singular."""
    try:
        factor = cast(Float64Array, cholesky(covariance, lower=True))
    except LinAlgError:
        factor = np.zeros((1, 1))
    pivots = np.diag(factor) / np.sqrt(np.diag(covariance).max() or 1.0)
    if pivots.min() < PIVOT_RATIO:
        raise ValueError(
            f"{what} is singular: features repeat each other, are constant, or outnumber the "
            f"samples; pass shrinkage='auto' or above 0, or remove such features"
        )
    return factor


def whiten(factor: Float64Array, rows: Float64Array) -> Float64Array:
    """Return rows in coordinates in which their covariance is the identity."""
    return cast(Float64Array, solve_triangular(factor, rows.T, lower=True, check_finite=False).T)


#: Rows of a block at least, so that matrix products stay efficient.
ROWS_AT_LEAST = 256
#: Largest feature whose squares, summed and divided by small variances, stay finite.
LARGEST_FEATURE = 1e100


class _Detector(OutlierMixin, BaseEstimator, ABC):  # type: ignore[misc]
    """What both detectors share: the threshold and the verdict."""

    contamination: float
    offset_: float

    @abstractmethod
    def score_samples(self, X: ArrayLike) -> Float64Array:
        """Return a score per sample, larger for samples more like the training data."""

    def decision_function(self, X: ArrayLike) -> Float64Array:
        """Return the score minus the threshold: negative for outliers.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        Returns
        -------
        decision : ndarray of shape (n_samples,)
            Larger is more like the training data.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X: ArrayLike) -> IntArray:
        """Return 1 for samples like the training data and -1 for outliers.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        Returns
        -------
        verdict : ndarray of shape (n_samples,)
            1 or -1.
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def _features(self, X: ArrayLike, *, reset: bool) -> Float64Array:
        least = 2 if reset else 1
        checked = validate_data(self, X, dtype=np.float64, reset=reset, ensure_min_samples=least)
        return cast(Float64Array, checked)


class MahalanobisDetector(_Detector):
    """Score samples by the distance to the nearest class, in units of the spread within classes.

    All classes share one covariance matrix. The relative form subtracts the distance to the whole
    training set, which takes out directions that say nothing about class, and is the better one
    for samples that are near the training data. Nothing is trained beyond means and covariances.

    Parameters
    ----------
    relative : bool, default=False
        Whether to subtract the distance to the single Gaussian of all training samples; needs at
        least two classes.
    shrinkage : "auto" or float in [0, 1], default="auto"
        Share of the scaled identity in both covariance matrices; ``"auto"`` estimates it (Ledoit
        and Wolf), 0 is the published form, which needs more samples than features.
    contamination : float in (0, 1), default=0.05
        Share of the training samples that fall below the threshold of `predict`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels seen in `fit`; one label 0 without `y`.
    means_ : ndarray of shape (n_classes, n_features)
        Class means.
    covariance_ : ndarray of shape (n_features, n_features)
        Shared covariance, after shrinkage.
    shrinkage_ : float
        Share of the identity in `covariance_`.
    offset_ : float
        Threshold of `predict` on the scale of `score_samples`.
    n_features_in_ : int
        Number of features.

    Raises
    ------
    ValueError
        At fit, for NaN or inf, lengths that differ, ``relative=True`` with one class, a covariance
        that stays singular, or an option out of range.

    See Also
    --------
    KNearestDetector : Makes no assumption about the shape of classes.

    Notes
    -----
    With ``S = (1/n) sum_i (x_i - mu_{y_i})(x_i - mu_{y_i})'`` the score is
    ``-min_k (x - mu_k)' S^-1 (x - mu_k)``, in the relative form
    ``-min_k [(x - mu_k)' S^-1 (x - mu_k) - (x - m)' S_0^-1 (x - m)]`` with mean ``m`` and
    covariance ``S_0`` (divided by n) of all samples. Shrinkage replaces ``S`` by
    ``(1 - a) S + a (tr S / d) I``, so features should have comparable scales; without shrinkage
    the score does not change under invertible linear maps of the features. The threshold comes
    from the training samples themselves, which lie closer to their means than new ones do when
    there are few samples per feature: set thresholds on held-out data then. Cost:
    O(n d^2 + d^3) to fit, O(n d (d + n_classes)) to score.

    References
    ----------
    .. [1] K. Lee, K. Lee, H. Lee, J. Shin. A Simple Unified Framework for Detecting
       Out-of-Distribution Samples and Adversarial Attacks. NeurIPS 2018. arXiv:1807.03888
    .. [2] J. Ren, S. Fort, J. Liu, A. G. Roy, S. Padhy, B. Lakshminarayanan. A Simple Fix to
       Mahalanobis Distance for Improving Near-OOD Detection. 2021. arXiv:2106.09022
    .. [3] O. Ledoit, M. Wolf. A Well-Conditioned Estimator for Large-Dimensional Covariance
       Matrices. Journal of Multivariate Analysis 88, 2004. doi:10.1016/S0047-259X(03)00096-4

    Examples
    --------
    >>> from uq import MahalanobisDetector
    >>> X = [[-2.0, 0.0], [0.0, 0.0], [-1.0, 1.0], [-1.0, -1.0],
    ...      [4.0, 0.0], [6.0, 0.0], [5.0, 1.0], [5.0, -1.0]]
    >>> detector = MahalanobisDetector(shrinkage=0.0).fit(X, [0, 0, 0, 0, 1, 1, 1, 1])
    >>> (-detector.score_samples([[5.0, 0.0], [2.0, 0.0]])).round(6) + 0.0
    array([ 0., 18.])
    """

    classes_: LabelArray
    means_: Float64Array
    covariance_: Float64Array
    shrinkage_: float

    def __init__(
        self, *, relative: bool = False, shrinkage: Shrinkage = "auto", contamination: float = 0.05
    ) -> None:
        self.relative = relative
        self.shrinkage = shrinkage
        self.contamination = contamination

    def fit(self, X: ArrayLike, y: ArrayLike = None) -> Self:
        """Estimate the class means and the shared covariance.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features of training samples.
        y : array-like of shape (n_samples,), default=None
            Class labels; None means a single class.

        Returns
        -------
        self : object
        """
        check_option("relative", self.relative, (True, False))
        check_shrinkage(self.shrinkage)
        contamination = check_fraction("contamination", self.contamination)
        features = self._bounded(X, reset=True)
        n_samples = len(features)
        labels = np.zeros(n_samples, dtype=np.intp) if y is None else check_vector(y, "y")
        if labels.dtype.kind == "f" and not np.array_equal(labels, np.rint(labels)):
            raise ValueError(
                f"y holds continuous values such as {labels[labels != np.rint(labels)][0]:.6g}; "
                f"pass class labels, or None for a single class"
            )
        check_same_length(n_samples, len(labels), "X", "y")
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if self.relative and len(self.classes_) < 2:
            raise ValueError(
                "relative=True needs at least two classes in y: with one, both distances are the "
                "same and every score is 0; pass class labels or relative=False"
            )
        count = np.bincount(codes).astype(np.float64)
        order = np.argsort(codes, kind="stable")
        starts = np.concatenate([[0], np.cumsum(count)[:-1]]).astype(np.intp)
        self.means_ = np.add.reduceat(features[order], starts, axis=0) / count[:, None]
        self._centre = features.mean(axis=0)
        covariance, self.shrinkage_ = covariance_of(features - self.means_[codes], self.shrinkage)
        self.covariance_ = covariance
        self._factor = factor_of(covariance, "the covariance within classes")
        if self.relative:
            background, _ = covariance_of(features - self._centre, self.shrinkage)
            self._background = factor_of(background, "the covariance of all samples")
        self.offset_ = float(np.quantile(self._score(features), contamination))
        return self

    def score_samples(self, X: ArrayLike) -> Float64Array:
        """Return minus the (relative) squared distance to the nearest class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        Returns
        -------
        score : ndarray of shape (n_samples,)
            Larger is more like the training data; at most 0 unless ``relative=True``.
        """
        check_is_fitted(self)
        return self._score(self._bounded(X, reset=False))

    def _bounded(self, X: ArrayLike, *, reset: bool) -> Float64Array:
        features = self._features(X, reset=reset)
        largest = float(np.abs(features).max())
        if largest > LARGEST_FEATURE:
            raise ValueError(
                f"X has values up to {largest:.6g}, whose squares overflow; divide features by a "
                f"constant (at most {LARGEST_FEATURE:g} is read)"
            )
        return features

    def _score(self, features: Float64Array) -> Float64Array:
        means = whiten(self._factor, self.means_ - self._centre)
        squares = np.einsum("kd,kd->k", means, means)
        out = np.empty(len(features))
        for rows in row_blocks(*features.shape, at_least=ROWS_AT_LEAST):
            centred = features[rows] - self._centre
            white = whiten(self._factor, centred)
            nearest = (squares - 2 * (white @ means.T)).argmin(axis=1)
            gap = white - means[nearest]
            out[rows] = -np.einsum("nd,nd->n", gap, gap)
            if self.relative:
                white = whiten(self._background, centred)
                out[rows] += np.einsum("nd,nd->n", white, white)
        return out


class KNearestDetector(_Detector):
    """Score samples by the distance to their k-th nearest training sample.

    Features are scaled to length 1 first, so the distance is one of directions. Makes no assumption
    about the shape of classes; keeps all training features.

    Parameters
    ----------
    n_neighbors : int >= 1, default=50
        Which neighbour counts; at most the number of training samples minus one.
    contamination : float in (0, 1), default=0.05
        Share of the training samples that fall below the threshold of `predict`, each measured
        against the others. Beyond 1,000 samples, 1,000 random ones are measured (always the same):
        the share is met up to its sampling error, 0.007 for 0.05.
    n_jobs : int or None, default=None
        Threads of the search; None means 1 outside a joblib context.
    backend : {"native", "faiss"}, default="native"
        Who searches: scikit-learn, or faiss (extra ``neighbors``), twice as fast beyond about 100
        features. It looks for candidates in single precision; distances are then computed in
        double, and more candidates asked for until the neighbours are certain.

    Attributes
    ----------
    offset_ : float
        Threshold of `predict` on the scale of `score_samples`.
    n_features_in_ : int
        Number of features.

    Raises
    ------
    ValueError
        At fit, for NaN or inf, zero vectors, ``n_neighbors`` not below the number of samples, or an
        option out of range.
    ImportError
        At fit, with ``backend="faiss"`` if faiss is not installed.

    See Also
    --------
    MahalanobisDetector : Uses labels and needs no training features later.

    Notes
    -----
    The score is ``-||x/|x| - z_(k)||`` with the k-th nearest of the normalised training features,
    in [-2, 0]. `score_samples` of a training sample counts the sample itself as its first
    neighbour; the threshold does not. Cost: O(n_train n_samples n_features) time by exact search in
    blocks of bounded size; a fit is linear in n_train.

    References
    ----------
    .. [1] Y. Sun, Y. Ming, X. Zhu, Y. Li. Out-of-Distribution Detection with Deep Nearest
       Neighbors. ICML 2022. arXiv:2204.06507

    Examples
    --------
    >>> from uq import KNearestDetector
    >>> detector = KNearestDetector(n_neighbors=1).fit([[1.0, 0.0], [3.0, 3.0], [0.0, 1.0]])
    >>> detector.score_samples([[2.0, 0.0], [-1.0, 0.0]]).round(4) + 0.0
    array([ 0.    , -1.4142])
    """

    def __init__(
        self,
        *,
        n_neighbors: int = 50,
        contamination: float = 0.05,
        n_jobs: int | None = None,
        backend: Literal["native", "faiss"] = "native",
    ) -> None:
        self.n_neighbors = n_neighbors
        self.contamination = contamination
        self.n_jobs = n_jobs
        self.backend = backend

    def fit(self, X: ArrayLike, y: ArrayLike = None) -> Self:
        """Store the normalised features.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features of training samples; no zero vectors.
        y : Ignored
            Present for the common interface.

        Returns
        -------
        self : object
        """
        k = check_integer("n_neighbors", self.n_neighbors, low=1)
        contamination = check_fraction("contamination", self.contamination)
        check_option("backend", self.backend, ("native", "faiss"))
        features = self._unit(X, reset=True)
        if k >= len(features):
            raise ValueError(
                f"n_neighbors={k} needs more than {k} training samples; X has n_samples = "
                f"{len(features)}. Lower n_neighbors"
            )
        self._search: Any
        if self.backend == "faiss":
            self._search = _FaissNeighbors.of(features, k, self.n_jobs)
        else:
            from sklearn.neighbors import NearestNeighbors

            search = NearestNeighbors(n_neighbors=k, algorithm="brute", n_jobs=self.n_jobs)
            self._search = search.fit(features)
        measured = features
        if len(features) > MOST_MEASURED:
            measured = features[fixed(0).choice(len(features), MOST_MEASURED, replace=False)]
        distance, _ = self._search.kneighbors(measured, k + 1)  # the first is the sample itself
        self.offset_ = float(np.quantile(-distance[:, -1], contamination))
        return self

    def score_samples(self, X: ArrayLike) -> Float64Array:
        """Return minus the distance to the k-th nearest training sample.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features; no zero vectors.

        Returns
        -------
        score : ndarray of shape (n_samples,)
            In [-2, 0], larger is more like the training data.
        """
        check_is_fitted(self)
        distance, _ = self._search.kneighbors(self._unit(X, reset=False))
        return cast(Float64Array, -distance[:, -1])

    def _unit(self, X: ArrayLike, *, reset: bool) -> Float64Array:
        features = self._features(X, reset=reset)
        largest = np.abs(features).max(axis=1, keepdims=True)
        if not largest.all():
            raise ValueError(
                f"X has a zero vector in row {int(np.argmin(largest))}, which has no direction; "
                f"remove such rows"
            )
        scaled = features / largest
        return cast(Float64Array, scaled / np.sqrt(np.einsum("nd,nd->n", scaled, scaled))[:, None])


@dataclass(frozen=True)
class _FaissNeighbors:
    """Exact search among unit vectors by faiss, which answers like scikit-learn's.

    Attributes
    ----------
    features : ndarray of shape (n_train, n_features)
    single : ndarray of shape (n_train, n_features)
        The same in single precision.
    n_neighbors : int
    n_jobs : int or None
    """

    features: Float64Array
    single: LabelArray
    n_neighbors: int
    n_jobs: int | None

    @classmethod
    def of(cls, features: Float64Array, n_neighbors: int, n_jobs: int | None) -> _FaissNeighbors:
        _faiss()
        return cls(features, features.astype(np.float32), n_neighbors, n_jobs)

    def kneighbors(
        self, rows: Float64Array, n_neighbors: int | None = None
    ) -> tuple[Float64Array, IntArray]:
        """Return distances, ascending, and places of the nearest neighbours.

        A row is looked up again, among more candidates, until no other can be nearer.
        """
        k = self.n_neighbors if n_neighbors is None else n_neighbors
        distance, place = np.empty((len(rows), k)), np.empty((len(rows), k), dtype=np.intp)
        left, spare = np.arange(len(rows)), SPARE_NEIGHBORS
        while len(left):
            found, beyond = self._candidates(rows[left], min(k + spare, len(self.features)))
            for block in row_blocks(len(left), found.shape[1] * rows.shape[1], at_least=8):
                gap = self.features[found[block]] - rows[left[block], None]
                far = np.sqrt(np.einsum("nkd,nkd->nk", gap, gap))
                order = np.argsort(far, axis=1, kind="stable")[:, :k]
                distance[left[block]] = np.take_along_axis(far, order, axis=1)
                place[left[block]] = np.take_along_axis(found[block], order, axis=1)
            left, spare = left[distance[left, -1] > beyond], 4 * spare
        return distance, place

    def _candidates(self, rows: Float64Array, k: int) -> tuple[IntArray, Float64Array]:
        """Return the k nearest in single precision, and how far away all others are at least."""
        from joblib import effective_n_jobs

        faiss = _faiss()
        before = faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(effective_n_jobs(self.n_jobs))
        try:
            cosine, found = faiss.knn(
                rows.astype(np.float32), self.single, k, metric=faiss.METRIC_INNER_PRODUCT
            )
        finally:
            faiss.omp_set_num_threads(before)
        if k == len(self.features):
            return found, np.full(len(rows), np.inf)
        rounding = (rows.shape[1] + 4) * float(np.finfo(np.float32).eps)  # of squared distances
        least = 2.0 - 2.0 * cosine[:, -1].astype(np.float64) - rounding
        return found, np.sqrt(np.maximum(least, 0.0))


def _faiss() -> Any:
    return require("faiss", extra="neighbors", purpose="KNearestDetector(backend='faiss')")
