"""Likelihood ratios between two samples of features, for conformal sets under covariate shift."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import StratifiedKFold
from sklearn.utils.validation import check_is_fitted

from calib import BaseCalibrator, CalibratedClassifier
from calib._border.checks import check_integer, describe, is_number
from calib._border.typing import ArrayLike, Float64Array
from calib._border.validation import number_matrix
from calib._border.warn import warn
from uq.conformal.quantiles import effective_sample_size
from uq.conformal.state import seed_of
from uq.warnings import EffectiveSampleSizeWarning

#: Below this effective sample size the ratios deserve a warning.
FEW_EFFECTIVE_SAMPLES = 30


class LikelihoodRatio(BaseEstimator):  # type: ignore[misc]
    """Estimate how much more often feature vectors occur in new data than in calibration data.

    A classifier learns to tell the two samples apart; its calibrated odds, with the odds of the
    sample sizes removed, are the ratio.

    Parameters
    ----------
    estimator : estimator or None, default=None
        Classifier; None means logistic regression.
    calibrator : str or BaseCalibrator, default="platt"
        How its probabilities are calibrated; see `calib.CALIBRATORS`.
    cv : int, default=5
        Folds, >= 2: ratios of the samples passed to `fit` come from models that have not seen them.
    max_ratio : float, default=100.0
        Ratios are limited to [1 / max_ratio, max_ratio], > 1; how many were is counted.
    random_state : int, RandomState or None, default=None
        Source of the folds.

    Attributes
    ----------
    model_ : CalibratedClassifier
        Fitted on both samples.
    calibration_ratio_ : ndarray of shape (n_calibration,)
        Out-of-fold ratios of the calibration sample.
    new_ratio_ : ndarray of shape (n_new,)
        Out-of-fold ratios of the new sample.
    effective_sample_size_ : float
        ``(sum w)^2 / sum w^2`` over the calibration sample.
    n_limited_ : int
        Number of these ratios (both samples) that `max_ratio` changed.

    Raises
    ------
    ValueError
        At fit, for samples with different columns, too few rows for the folds, or bad options.

    Warns
    -----
    EffectiveSampleSizeWarning
        If the ratios leave an effective size below 30, or below a tenth of the sample.

    See Also
    --------
    ConformalClassifier : takes the ratios, or the fitted object's `ratio` as a function.

    Notes
    -----
    Coverage under estimated ratios falls short by at most half the mean absolute error of the
    normalised ratios. Limiting ratios gives up coverage where the new data have no counterpart.

    References
    ----------
    R. J. Tibshirani, R. Foygel Barber, E. J. Candès, A. Ramdas, "Conformal Prediction Under
    Covariate Shift", NeurIPS 2019, arXiv 1904.06019.
    L. Lei, E. J. Candès, "Conformal Inference of Counterfactuals and Individual Treatment Effects",
    JRSS B 83, 2021, arXiv 2006.06138.

    Examples
    --------
    >>> import numpy as np
    >>> from uq import LikelihoodRatio
    >>> rng = np.random.default_rng(0)
    >>> old, new = rng.normal(size=(4000, 1)), rng.normal(1.0, size=(4000, 1))
    >>> found = LikelihoodRatio(random_state=0).fit(old, new).ratio([[0.5], [1.5]])
    >>> np.abs(np.log(found) - [0.0, 1.0]).max() < 0.1   # the truth is exp(x - 1 / 2)
    np.True_
    """

    def __init__(
        self,
        estimator: Any = None,
        *,
        calibrator: str | BaseCalibrator = "platt",
        cv: int = 5,
        max_ratio: float = 100.0,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.calibrator = calibrator
        self.cv = cv
        self.max_ratio = max_ratio
        self.random_state = random_state

    def fit(self, X: ArrayLike, X_new: ArrayLike) -> Self:
        """Learn to tell two samples apart.

        Parameters
        ----------
        X : array-like of shape (n_calibration, n_features)
            Features of the calibration sample.
        X_new : array-like of shape (n_new, n_features)
            Features of the new sample; no labels are needed.

        Returns
        -------
        self : object
        """
        check_integer("cv", self.cv, low=2)
        top = self.max_ratio
        if not is_number(top) or not top > 1:
            raise ValueError(f"max_ratio must be a number > 1; got {describe(top)}")
        self._names = None
        self._names, old = names_of_columns(X), number_matrix(X, "X")
        new = self._read(X_new, "X_new")
        if old.shape[1] != new.shape[1]:
            raise ValueError(
                f"X has {old.shape[1]} columns and X_new {new.shape[1]}; they must be the same"
            )
        if min(len(old), len(new)) < self.cv:
            raise ValueError(
                f"cv={self.cv} folds need as many samples on both sides; got {len(old)} and "
                f"{len(new)}"
            )
        self.n_features_in_ = old.shape[1]
        both = np.concatenate([old, new])
        side = np.repeat([0, 1], [len(old), len(new)])
        self._odds = len(old) / len(new)
        ratio = np.empty(len(both))
        folds = StratifiedKFold(self.cv, shuffle=True, random_state=seed_of(self.random_state))
        for train, test in folds.split(both, side):
            ratio[test] = self._raw(self._model().fit(both[train], side[train]), both[test])
        self.model_ = self._model().fit(both, side)
        limited = self._limited(ratio)
        self.n_limited_ = int((limited != ratio).sum())
        self.calibration_ratio_, self.new_ratio_ = limited[: len(old)], limited[len(old) :]
        self.effective_sample_size_ = effective_sample_size(self.calibration_ratio_)
        size = self.effective_sample_size_
        if size < FEW_EFFECTIVE_SAMPLES or size < len(old) / 10:
            warn(
                f"the ratios leave an effective sample size of {size:.3g} of {len(old)}: the new "
                f"data lie where the calibration data are sparse",
                EffectiveSampleSizeWarning,
            )
        return self

    def ratio(self, X: ArrayLike) -> Float64Array:
        """Return the likelihood ratios of other samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        Returns
        -------
        ratio : ndarray of shape (n_samples,)
            In [1 / max_ratio, max_ratio].
        """
        check_is_fitted(self)
        features = self._read(X, "X")
        if features.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {features.shape[1]} columns; the ratio was fitted on {self.n_features_in_}"
            )
        return self._limited(self._raw(self.model_, features))

    # ------------------------------------------------------------------ private parts

    def _read(self, X: ArrayLike, name: str) -> Float64Array:
        """Return features in the order of the columns at fit, by name where there are names."""
        features, names = number_matrix(X, name), names_of_columns(X)
        if names is None or self._names is None or names == self._names:
            return features
        if sorted(names) != sorted(self._names) or len(set(names)) != len(names):
            raise ValueError(
                f"{name} has the columns {describe(names)}, but the calibration sample had "
                f"{describe(self._names)}; pass the same columns"
            )
        return features[:, [names.index(column) for column in self._names]]

    def _model(self) -> CalibratedClassifier:
        from sklearn.linear_model import LogisticRegression

        inner = LogisticRegression(max_iter=1000) if self.estimator is None else self.estimator
        return CalibratedClassifier(clone(inner), self.calibrator, cv=self.cv)

    def _raw(self, model: CalibratedClassifier, X: Float64Array) -> Float64Array:
        proba = np.asarray(model.predict_proba(X))
        with np.errstate(divide="ignore"):
            return np.asarray(proba[:, 1] / proba[:, 0] * self._odds)

    def _limited(self, ratio: Float64Array) -> Float64Array:
        return np.clip(ratio, 1 / self.max_ratio, self.max_ratio)


def names_of_columns(X: ArrayLike) -> list[str] | None:
    """Return the names of the columns of a table, None for anything else."""
    columns = getattr(X, "columns", None)
    if columns is None:
        return None
    names = list(columns)
    return names if all(isinstance(name, str) for name in names) else None
