"""Other packages, by what they compete with; keys are registry names and metric names.

Each peer is entered where it is fastest among its public entries: scores are converted and
tensors are made beforehand, validation and copies are left out where an argument or a method
does so.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

from benchmarks.data import Part


@dataclass(frozen=True)
class CalibratorPeer:
    """A calibrator of another package.

    Attributes
    ----------
    package : str
        Package that must be installed.
    label : str
        What is called.
    scores : str
        Attribute of `Part` that it receives.
    fit, apply : callable
        ``fit(scores, part) -> model`` and ``apply(model, scores) -> probabilities``.
    binary : bool or None
        Whether it is for two classes only (True), more only (False) or any number (None).
    """

    package: str
    label: str
    scores: str
    fit: Callable[[Any, Part], Any]
    apply: Callable[[Any, Any], Any]
    binary: bool | None = None

    def load(self) -> None:
        """Import the package, before any clock runs."""
        importlib.import_module(self.package)


class ScoresAsTheyAre(ClassifierMixin, BaseEstimator):
    """A classifier whose decision function, or whose probabilities, are its input."""

    def __init__(self, classes: np.ndarray) -> None:
        self.classes_ = self.classes = classes

    def fit(self, X: np.ndarray, y: np.ndarray) -> ScoresAsTheyAre:
        """Learn nothing."""
        return self

    def decision_function(self, X: np.ndarray) -> np.ndarray:
        """Return `X`."""
        return X

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return `X`."""
        return X

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the class of the largest score."""
        return self.classes_[np.argmax(X, axis=1)]


def _sklearn(method: str, scores: str) -> CalibratorPeer:
    def fit(x: np.ndarray, part: Part) -> Any:
        # one pair and a slice of everything: the public entry without folds and copies
        model = FrozenEstimator(ScoresAsTheyAre(np.unique(part.y)))
        cv = [(slice(0, 1), slice(None))]
        return CalibratedClassifierCV(model, method=method, cv=cv, ensemble=True).fit(x, part.y)

    return CalibratorPeer(
        "sklearn",
        f"scikit-learn CalibratedClassifierCV({method})",
        scores,
        fit,
        lambda model, x: model.predict_proba(x),
    )


def _netcal(module: str, name: str) -> CalibratorPeer:
    def fit(x: np.ndarray, part: Part) -> Any:
        model = getattr(importlib.import_module(f"netcal.{module}"), name)()
        options = {"tensorboard": False} if module == "scaling" else {}
        return model.fit(x, part.y, **options)

    return CalibratorPeer(
        f"netcal.{module}", f"netcal {name}", "proba", fit, lambda model, x: model.transform(x)
    )


def _probmetrics(name: str, binary: bool | None = None) -> CalibratorPeer:
    def distribution(x: Any) -> Any:
        return importlib.import_module("probmetrics.distributions").CategoricalLogits(x)

    def fit(x: Any, part: Part) -> Any:
        model = importlib.import_module("probmetrics.calibrators").get_calibrator(name)
        return model.fit_torch(distribution(x), part.y_tensor)

    def apply(model: Any, x: Any) -> np.ndarray:
        proba: np.ndarray = model.predict_proba_torch(distribution(x)).get_probs().numpy()
        return proba

    return CalibratorPeer(
        "probmetrics.calibrators",
        f"probmetrics {name} (fit_torch)",
        "logits_tensor",
        fit,
        apply,
        binary,
    )


CALIBRATOR_PEERS: dict[str, tuple[CalibratorPeer, ...]] = {
    "temperature": (
        _sklearn("temperature", "logits"),
        _netcal("scaling", "TemperatureScaling"),
        _probmetrics("temp-scaling"),
    ),
    "platt": (
        _sklearn("sigmoid", "log_odds"),
        _netcal("scaling", "LogisticCalibration"),
        _probmetrics("affine-scaling", binary=True),
    ),
    "isotonic": (
        _sklearn("isotonic", "proba"),
        _netcal("binning", "IsotonicRegression"),
        _probmetrics("isotonic"),
    ),
    "beta": (_netcal("scaling", "BetaCalibration"), _probmetrics("beta")),
    "histogram": (_netcal("binning", "HistogramBinning"),),
    "quadratic": (_probmetrics("quadratic-scaling", binary=True),),
    "vector_scaling": (_probmetrics("svs"),),
    "matrix_scaling": (_probmetrics("sms"),),
    "venn_abers": (_probmetrics("ivap"),),
}


@dataclass(frozen=True)
class MetricPeer:
    """A metric of another package: ``measure(part) -> number`` on probabilities."""

    package: str
    label: str
    scores: str
    measure: Callable[[Any, Part], Any]

    def load(self) -> None:
        """Import the package, before any clock runs."""
        importlib.import_module(self.package)


def _netcal_metric(name: str) -> MetricPeer:
    def measure(p: np.ndarray, part: Part) -> float:
        metric = getattr(importlib.import_module("netcal.metrics"), name)(bins=15)
        return float(metric.measure(p, part.y))

    return MetricPeer("netcal.metrics", f"netcal {name}", "proba", measure)


def _torchmetrics(norm: str) -> MetricPeer:
    def measure(p: Any, part: Part) -> float:
        functions = importlib.import_module("torchmetrics.functional.classification")
        options = {"n_bins": 15, "norm": norm, "validate_args": False}
        if p.ndim == 1:
            return float(functions.binary_calibration_error(p, part.y_tensor, **options))
        return float(
            functions.multiclass_calibration_error(
                p, part.y_tensor, num_classes=p.shape[1], **options
            )
        )

    label = f"torchmetrics calibration_error({norm})"
    return MetricPeer("torchmetrics.functional.classification", label, "proba_tensor", measure)


def bincount(p: np.ndarray, part: Part) -> float:
    """Do the least work that yields the number: one pass, no checks, no weights."""
    if p.ndim == 1:
        confidence, correct = p, part.y.astype(np.float64)
    else:
        confidence = p.max(axis=1)
        correct = (p.argmax(axis=1) == part.y).astype(np.float64)
    index = np.minimum((confidence * 15).astype(np.intp), 14)
    gap = np.bincount(index, confidence - correct, minlength=15)
    return float(np.abs(gap).sum() / len(part.y))


METRIC_PEERS: dict[str, tuple[MetricPeer, ...]] = {
    "expected_calibration_error": (
        MetricPeer("numpy", "one bincount pass", "proba", bincount),
        _netcal_metric("ECE"),
        _torchmetrics("l1"),
    ),
    "average_calibration_error": (_netcal_metric("ACE"),),
    "maximum_calibration_error": (_netcal_metric("MCE"), _torchmetrics("max")),
}
