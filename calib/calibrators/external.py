"""Adapter that makes any object with fit and transform on probabilities a calibrator."""

from __future__ import annotations

import copy
import inspect
from typing import Any, ClassVar, Literal

import numpy as np

from calib._border.arrays import array_namespace, like, to_numpy
from calib._border.typing import Array, Float64Array, FloatArray
from calib._core import links
from calib._core.fitted_map import MapTraits
from calib._core.scores import Scores
from calib.base import BaseCalibrator


class ExternalCalibrator(BaseCalibrator):
    """Wrap a calibrator of another library behind this library's contract.

    The wrapped object is copied, fitted on probabilities and asked for probabilities; input is
    checked, labels are encoded, and rows are renormalised before and after it.

    Parameters
    ----------
    calibrator : object
        Has ``fit(p, y)`` and ``transform(p)`` or ``predict_proba(p)`` or ``predict(p)``, tried in
        this order. For two classes it receives the probability of the positive class, shape
        (n_samples,); otherwise all columns. `y` holds column indices. Calibrators of ``netcal``
        and scikit-learn's ``IsotonicRegression`` fit this.
    input : {"proba", "logits"}, default="proba"
        What `X` holds; see `BaseCalibrator`. The wrapped object always sees probabilities.

    Attributes
    ----------
    calibrator_ : object
        Fitted copy of `calibrator`.
    classes_ : ndarray of shape (n_classes,)
        Class of each column.
    n_features_in_ : int
        Number of columns of `X` seen at fit.

    Raises
    ------
    ValueError
        If weights are given but the wrapped object takes none, or if it returns values outside
        [0, 1], NaN, or another shape than it was given.
    TypeError
        If the wrapped object lacks the methods.

    Notes
    -----
    Files: use ``skops`` or ``pickle``; the JSON format holds this library's own methods only.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.isotonic import IsotonicRegression
    >>> from calib import ExternalCalibrator
    >>> p = np.array([0.1, 0.2, 0.3, 0.4, 0.6, 0.9])
    >>> cal = ExternalCalibrator(IsotonicRegression(out_of_bounds="clip"))
    >>> cal.fit(p, [0, 1, 0, 0, 1, 1]).transform(np.array([0.25]))[:, 1].round(3)
    array([0.333])
    """

    traits: ClassVar[MapTraits] = MapTraits(domain="proba", pure=False)

    calibrator_: Any

    def __init__(self, calibrator: Any, *, input: Literal["proba", "logits"] = "proba") -> None:
        super().__init__(input=input)
        self.calibrator = calibrator

    def _fit(self, scores: Scores, target: Float64Array, weight: Float64Array | None) -> None:
        if not hasattr(self.calibrator, "fit") or self._answer_of(self.calibrator) is None:
            raise TypeError(
                f"calibrator must have fit and one of transform, predict_proba, predict; got "
                f"{type(self.calibrator).__name__}"
            )
        self.calibrator_ = copy.deepcopy(self.calibrator)
        keywords = {}
        if weight is not None:
            if "sample_weight" not in inspect.signature(self.calibrator_.fit).parameters:
                raise ValueError(
                    f"sample_weight was given, but {type(self.calibrator).__name__}.fit takes "
                    f"none; fit without weights or choose another calibrator"
                )
            keywords["sample_weight"] = weight
        self.calibrator_.fit(self._outgoing(scores.dense()), target, **keywords)

    def map_checked(self, array: Array) -> Array:
        """Map rows that `checked` returned, or that are known to be what it returns."""
        xp = array_namespace(array)
        columns = links.both_columns(array, self.input, xp) if array.shape[1] == 1 else array
        proba = to_numpy(links.convert(columns, self.input, "proba", xp)).astype(np.float64)
        method = self._answer_of(self.calibrator_)
        answer = np.asarray(getattr(self.calibrator_, str(method))(self._outgoing(proba)))
        out = like(self._incoming(answer.astype(np.float64), proba), array, xp)
        if self.input == "proba":
            return out
        return links.without_excluded(out, links.excluded(columns, xp), xp)

    @staticmethod
    def _answer_of(calibrator: Any) -> str | None:
        names = ("transform", "predict_proba", "predict")
        return next((name for name in names if hasattr(calibrator, name)), None)

    @staticmethod
    def _outgoing(proba: Float64Array) -> Float64Array:
        proba = links.renormalise(proba, proba, np)
        return proba[:, 1].copy() if proba.shape[1] == 2 else proba

    def _incoming(self, answer: Float64Array, proba: Float64Array) -> FloatArray:
        name = type(self.calibrator).__name__
        n_samples, n_classes = proba.shape
        if n_classes == 2 and answer.size == n_samples:
            positive = answer.reshape(n_samples)
            answer = np.stack([1.0 - positive, positive], axis=1)
        if answer.shape != proba.shape:
            raise ValueError(
                f"{name} returned shape {answer.shape} for probabilities of shape {proba.shape}"
            )
        if not np.isfinite(answer).all() or answer.min() < -1e-6 or answer.max() > 1 + 1e-6:
            raise ValueError(f"{name} returned values that are not probabilities in [0, 1]")
        clipped = np.clip(answer, 0.0, 1.0)  # rounding only, by the check above
        out: FloatArray = links.renormalise(clipped, proba, np)
        return out

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "calibrator_")
