"""Real scores made on the spot: over-confident models trained in seconds on bundled data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from calib._core import links
from calib._core.typing import Float64Array, IntArray

#: Images the network is trained on; so few that it can learn them by heart.
N_TRAIN = 300
#: Passes over them; far more than accuracy needs, which is what makes the network over-confident.
N_EPOCHS = 200
#: Largest value of a pixel in scikit-learn's digits.
FULL_INK = 16.0


@dataclass(frozen=True)
class DigitsScores:
    """Scores of a trained network on images it has not seen.

    Attributes
    ----------
    logits_cal, logits_test : ndarray of shape (n_samples, 10)
        Inputs of the network's softmax.
    y_cal, y_test : ndarray of shape (n_samples,)
        True digits, integers in 0..9.
    X_cal, X_test : ndarray of shape (n_samples, 64)
        The images, one row each, pixels in [0, 1].
    model : MLPClassifier
        The trained network.
    target_names : ndarray of shape (10,)
        Class of each column.
    """

    logits_cal: Float64Array
    y_cal: IntArray
    logits_test: Float64Array
    y_test: IntArray
    X_cal: Float64Array
    X_test: Float64Array
    model: MLPClassifier
    target_names: IntArray

    @property
    def proba_cal(self) -> Float64Array:
        """Probabilities of the network on the calibration images, shape (n_samples, 10)."""
        proba: Float64Array = links.softmax(self.logits_cal, np)
        return proba

    @property
    def proba_test(self) -> Float64Array:
        """Probabilities of the network on the test images, shape (n_samples, 10)."""
        proba: Float64Array = links.softmax(self.logits_test, np)
        return proba


def load_digits_scores(*, random_state: int = 0) -> DigitsScores:
    """Train an over-confident network on digits and return its scores on unseen images.

    A small network learns 300 of the 1,797 images that come with scikit-learn until it makes no
    error on them, in about a second. On the others it is right less often than it claims, which
    is what a calibrator can repair: half of them are for fitting one, half for judging it.

    Parameters
    ----------
    random_state : int, default=0
        Seed of the split and of the training, >= 0.

    Returns
    -------
    scores : DigitsScores
        Logits and labels of 748 calibration and 749 test images, the images and the network.

    See Also
    --------
    calib.evaluation.calibration_report : measures such scores.

    Notes
    -----
    Nothing is downloaded and no file is read but scikit-learn's own. Equal seeds give equal scores
    on one machine; elsewhere the last digits differ with the linear algebra library.

    References
    ----------
    E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
    Repository, 1998, doi 10.24432/C50P49 (scikit-learn bundles its test part).

    Examples
    --------
    >>> from calib import TemperatureCalibrator
    >>> from calib.datasets import load_digits_scores
    >>> scores = load_digits_scores()
    >>> scores.logits_cal.shape, scores.logits_test.shape
    ((748, 10), (749, 10))
    >>> accuracy = (scores.proba_test.argmax(axis=1) == scores.y_test).mean()
    >>> bool(scores.proba_test.max(axis=1).mean() > accuracy + 0.02)  # it claims too much
    True
    >>> calibrator = TemperatureCalibrator(input="logits").fit(scores.logits_cal, scores.y_cal)
    >>> bool(calibrator.temperature_ > 1.5)
    True
    """
    images, digits = load_digits(return_X_y=True)
    X_train, X_rest, y_train, y_rest = train_test_split(
        images / FULL_INK, digits, train_size=N_TRAIN, stratify=digits, random_state=random_state
    )
    X_cal, X_test, y_cal, y_test = train_test_split(
        X_rest, y_rest, test_size=0.5, stratify=y_rest, random_state=random_state
    )
    model = MLPClassifier((64, 64), alpha=0.0, learning_rate_init=0.01, random_state=random_state)
    names = np.unique(digits)
    for _ in range(N_EPOCHS):
        model.partial_fit(X_train, y_train, classes=names)
    return DigitsScores(
        logits_cal=_logits(model, X_cal),
        y_cal=y_cal,
        logits_test=_logits(model, X_test),
        y_test=y_test,
        X_cal=X_cal,
        X_test=X_test,
        model=model,
        target_names=names,
    )


def _logits(model: MLPClassifier, X: Float64Array) -> Float64Array:
    """Run the layers of a rectifier network up to the softmax."""
    *hidden, last = zip(model.coefs_, model.intercepts_, strict=True)
    for weights, bias in hidden:
        X = np.maximum(X @ weights + bias, 0.0)
    weights, bias = last
    out: Float64Array = X @ weights + bias
    return out
