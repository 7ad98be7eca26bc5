"""Scores made on the spot: over-confident models trained in seconds, and simulated detections."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from calib._border.checks import check_integer
from calib._border.limits import MOST_RESAMPLES
from calib._border.random import fixed
from calib._border.typing import Float64Array, IntArray
from calib._core import links
from calib.detection import Detections, GroundTruth

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


# ------------------------------------------------------------------------- simulated detections

#: Width and height of a simulated image, pixels.
SCENE_SIZE = (640.0, 480.0)
#: Classes of the simulated scenes, in order of id; later ones are rarer.
SCENE_CLASSES = ("person", "car", "bicycle", "dog", "bus", "boat", "kite", "clock")


def make_detection_scenes(
    n_images: int = 400,
    *,
    objects_per_image: float = 6.0,
    background_per_image: float = 8.0,
    overconfidence: float = 2.0,
    crowd_rate: float = 0.02,
    random_state: int = 0,
) -> tuple[Detections, GroundTruth]:
    """Simulate a detector on annotated scenes: boxes that miss, repeat, and promise too much.

    No image exists and no detector ran. Objects of eight classes, the later the rarer, lie in
    empty scenes; a simulated detector finds larger ones more often and more tightly, reports some
    twice, and adds background boxes. Each box gets the score that its quality deserves, with noise,
    and then distorted: stretched on the log-odds scale and shifted class by class, which is what
    a calibrator can repair.

    Parameters
    ----------
    n_images : int >= 1, default=400
        Number of scenes; their ids are ``0..n_images - 1``.
    objects_per_image : float >= 0, default=6.0
        Mean number of objects in a scene (Poisson).
    background_per_image : float >= 0, default=8.0
        Mean number of detections without an object.
    overconfidence : float > 0, default=2.0
        Factor by which log-odds are stretched; 1 leaves only the shifts of the classes.
    crowd_rate : float in [0, 1], default=0.02
        Share of objects marked as regions to ignore.
    random_state : int, default=0
        Seed, >= 0. Different seeds give independent scenes of the same detector.

    Returns
    -------
    detections : Detections
        What the simulated detector reports, with image sizes.
    ground_truth : GroundTruth
        Objects, all images and class names.

    Raises
    ------
    ValueError
        If a parameter is outside its range.

    Examples
    --------
    >>> from calib.datasets import make_detection_scenes
    >>> detections, ground_truth = make_detection_scenes(50)
    >>> detections
    Detections(602 boxes, 50 images, 8 classes)
    >>> ground_truth
    GroundTruth(318 boxes, 50 images, 8 classes)
    """
    _check_scene(n_images, objects_per_image, background_per_image, overconfidence, crowd_rate)
    rng = fixed(random_state)
    n_classes = len(SCENE_CLASSES)
    share = 0.7 ** np.arange(n_classes)
    image = np.repeat(np.arange(n_images), rng.poisson(objects_per_image, n_images))
    label = rng.choice(n_classes, size=len(image), p=share / share.sum())
    truth = _random_boxes(len(image), rng)
    ignore = rng.random(len(image)) < crowd_rate

    side = np.sqrt(np.prod(truth[:, 2:] - truth[:, :2], axis=1))
    ease = np.clip((np.log(side) - np.log(12.0)) / np.log(20.0), 0.0, 1.0)
    copies = (rng.random(len(image)) < 0.25 + 0.7 * ease).astype(int)
    copies += copies * (rng.random(len(image)) < 0.15)
    source = np.repeat(np.arange(len(image)), copies)
    quality = rng.beta(2.0 + 6.0 * ease[source], 2.0)
    found = _jittered(truth[source], 1 - quality, rng)
    wrong = rng.random(len(source)) < 0.06
    found_label = np.where(wrong, rng.integers(0, n_classes, len(source)), label[source])

    extra_image = np.repeat(np.arange(n_images), rng.poisson(background_per_image, n_images))
    extra = _random_boxes(len(extra_image), rng)
    extra_label = rng.choice(n_classes, size=len(extra_image), p=share / share.sum())
    worth = np.concatenate([quality * np.where(wrong, 0.5, 1.0), rng.beta(0.7, 5.0, len(extra))])
    labels = np.concatenate([found_label, extra_label])
    log_odds = np.log(worth + 1e-3) - np.log(1.001 - worth) + 0.7 * rng.standard_normal(len(worth))
    shift = np.linspace(0.8, -0.8, n_classes)
    stretched = overconfidence * log_odds + shift[labels]
    order = np.argsort(np.concatenate([image[source], extra_image]), kind="stable")
    detections = Detections(
        boxes=np.concatenate([found, extra])[order],
        scores=1 / (1 + np.exp(-np.clip(stretched, -30, 30)))[order],
        labels=labels[order],
        image_id=np.concatenate([image[source], extra_image])[order],
        image_size=np.tile(SCENE_SIZE, (len(order), 1)),
    )
    images = np.arange(n_images)
    sizes = np.tile(SCENE_SIZE, (n_images, 1))
    names = dict(enumerate(SCENE_CLASSES))
    return detections, GroundTruth(
        truth, label, image, ignore=ignore, images=images, sizes=sizes, class_names=names
    )


def _check_scene(
    n_images: int, objects: float, background: float, overconfidence: float, crowd_rate: float
) -> None:
    check_integer("n_images", n_images, low=1, high=MOST_RESAMPLES)
    for name, value, low, high in (
        ("objects_per_image", objects, 0.0, np.inf),
        ("background_per_image", background, 0.0, np.inf),
        ("overconfidence", overconfidence, 1e-6, np.inf),
        ("crowd_rate", crowd_rate, 0.0, 1.0),
    ):
        if not low <= value <= high or value == np.inf:
            raise ValueError(f"{name} must lie in [{low:g}, {high:g}]; got {value!r}")


def _random_boxes(n: int, rng: np.random.Generator) -> Float64Array:
    """Return boxes inside the scene, sides log-uniform between 12 and 240 pixels."""
    size = np.exp(rng.uniform(np.log(12.0), np.log(240.0), (n, 1)) + 0.25 * rng.normal(size=(n, 2)))
    size = np.minimum(size, np.array(SCENE_SIZE) * 0.9)
    corner = rng.random((n, 2)) * (np.array(SCENE_SIZE) - size)
    return np.hstack([corner, corner + size])


def _jittered(boxes: Float64Array, amount: Float64Array, rng: np.random.Generator) -> Float64Array:
    """Move corners by a share of the sides that grows with `amount`, inside the scene."""
    size = boxes[:, 2:] - boxes[:, :2]
    noise = 0.35 * amount[:, None] * np.tile(size, 2) * rng.standard_normal((len(boxes), 4))
    low = np.clip(boxes[:, :2] + noise[:, :2], 0.0, np.array(SCENE_SIZE) - 2)
    high = np.clip(boxes[:, 2:] + noise[:, 2:], low + 1, SCENE_SIZE)
    return np.hstack([low, high])
