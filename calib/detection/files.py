"""`DetectionCalibrator` as JSON: thresholds, class ids and the maps of all classes."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from calib._border.checks import describe
from calib._border.typing import IntArray
from calib.base import BaseCalibrator
from calib.detection.calibrator import DetectionCalibrator, check_detection_options
from calib.detection.tables.ground_truth import Fingerprints
from calib.grouped.files import (
    contents_of_map as contents_of_map,
    contents_of_record,
    is_plain,
    remembered,
    restored_calibrator_parameter,
    restored_map,
    stored_calibrator,
)
from calib.grouped.map_table import make_map
from calib.grouped.pooling import ClassMaps

#: What files of the calibrators of detectors say that they are.
KIND = "calib detection calibrator"


def contents_of_detector(calibrator: object) -> dict[str, Any]:
    """Return a fitted calibrator of a detector as plain values.

    Raises
    ------
    NotFittedError
        If it is not fitted.
    TypeError
        If it is another object, or holds a map that is more than arrays.
    """
    if not isinstance(calibrator, DetectionCalibrator):
        raise TypeError(
            f"{type(calibrator).__name__} cannot be saved as JSON: only registered calibrators "
            f"and DetectionCalibrator can; use skops or pickle for it"
        )
    check_is_fitted(calibrator, "score_map_")
    labels = calibrator.classes_.tolist()
    return {
        "parameters": _encode_parameters(calibrator.get_params(deep=False)),
        "classes": labels,
        "class_counts": [calibrator.class_counts_[label] for label in labels],
        "raw_thresholds": _pairs(calibrator.raw_thresholds_),
        "calibrated_thresholds": _pairs(calibrator.calibrated_thresholds_),
        "pooled_thresholds": list(calibrator.pooled_thresholds_),
        "threshold_fallbacks": list(calibrator.threshold_fallbacks_),
        "fit_images": None if calibrator.fit_images_ is None else _as_text(calibrator.fit_images_),
        "fallbacks": _pairs(calibrator.fallbacks_),
        "pooled_map": contents_of_map(calibrator.pooled_map_),
        "class_maps": [
            {"class": label, "share": calibrator.shares_[label], "map": contents_of_map(own)}
            for label, own in calibrator.class_maps_.items()
        ],
        **contents_of_record(calibrator.fit_record_),
    }


def restored_calibrator(document: Mapping[str, Any]) -> DetectionCalibrator:
    """Return the calibrator that `contents_of` described, or raise a `ValueError`."""
    calibrator = DetectionCalibrator(**_decode_parameters(document["parameters"]))
    check_detection_options(calibrator.get_params(deep=False))
    make_map(calibrator.calibrator, len(calibrator.features), calibrator.form)
    classes = _integers(document["classes"], "classes")
    if (np.diff(classes) <= 0).any():
        raise ValueError("classes must ascend")
    counts = _integers(document["class_counts"], "class_counts")
    if len(counts) != len(classes):
        raise ValueError(f"class_counts has {len(counts)} values for {len(classes)} classes")
    maps = ClassMaps(_binary(document["pooled_map"], len(calibrator.features)))
    for entry in _list(document["class_maps"], "class_maps"):
        label, share = _label(entry["class"]), _number(entry["share"], "share")
        if label not in classes or label in maps.own or not 0 < share <= 1:
            raise ValueError(f"class_maps has class {label} with share {share}")
        maps.own[label] = _binary(entry["map"], len(calibrator.features))
        maps.share[label] = share
    for label, reason in _list(document["fallbacks"], "fallbacks"):
        maps.fallbacks[_label(label)] = str(reason)
    calibrator.set_maps(maps, classes)
    calibrator.class_counts_ = dict(zip(classes.tolist(), counts.tolist(), strict=True))
    calibrator.raw_thresholds_ = _thresholds(document["raw_thresholds"])
    calibrator.calibrated_thresholds_ = _thresholds(document["calibrated_thresholds"])
    raw, after = _list(document["pooled_thresholds"], "pooled_thresholds")
    calibrator.pooled_thresholds_ = _number(raw, "threshold"), _number(after, "threshold")
    fallbacks = _integers(document["threshold_fallbacks"], "threshold_fallbacks")
    calibrator.threshold_fallbacks_ = tuple(fallbacks.tolist())
    marks = document.get("fit_images")  # files of older versions have none
    calibrator.fit_images_ = None if marks is None else _from_text(marks)
    record = remembered(document)
    if record is not None:
        calibrator.remember(record)
    return calibrator


def _binary(contents: Any, n_features: int) -> BaseCalibrator:
    calibrator = restored_map(contents)
    if len(calibrator.classes_) != 2 or calibrator.n_features_in_ not in (1, 1 + n_features):
        raise ValueError("a map must read one score (and the features) and give two classes")
    if getattr(calibrator, "input", "proba") != "proba":
        raise ValueError("a map must read probabilities")
    return calibrator


# ---------------------------------------------------------------------- plain values


def _encode_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(parameters)
    out["features"] = [x if isinstance(x, str) else int(x) for x in parameters["features"]]
    if isinstance(out["threshold"], Mapping):
        out["threshold"] = {"per_class": _pairs(out["threshold"])}
    out["calibrator"] = stored_calibrator(parameters["calibrator"])
    for name, value in out.items():
        if isinstance(value, np.generic):
            out[name] = value.item()
    return out


def _decode_parameters(given: Any) -> dict[str, Any]:
    known = list(DetectionCalibrator().get_params(deep=False))
    if not isinstance(given, dict) or not set(given) <= set(known):
        raise ValueError(f"DetectionCalibrator takes the parameters {known}, not {given!r:.80}")
    out = dict(given)
    out["features"] = tuple(_list(out.get("features", []), "features"))
    if isinstance(out.get("threshold"), dict):
        out["threshold"] = _thresholds(out["threshold"]["per_class"])
    inner = out.get("calibrator", "platt")
    if isinstance(inner, dict):
        out["calibrator"] = restored_calibrator_parameter(inner)
    elif "form" not in out:  # files of older versions, in which names stood for published forms
        out["calibrator"] = "grid_histogram" if inner == "histogram" else inner
        out["form"] = "published"
    for name, value in out.items():
        if name not in ("features", "threshold", "calibrator") and not is_plain(value):
            raise ValueError(f"parameter {name} is {describe(value)}")
    return out


def _pairs(values: Mapping[int, Any]) -> list[list[Any]]:
    return [[int(label), value] for label, value in sorted(values.items())]


def _thresholds(entry: Any) -> dict[int, float]:
    return {_label(label): _number(value, "threshold") for label, value in _list(entry, "pairs")}


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{name} must be a list; got {describe(value)}")
    return value


def _label(value: Any) -> int:
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise ValueError(f"a class must be an integer; got {describe(value)}")
    return value


def _integers(values: Any, name: str) -> IntArray:
    return np.array([_label(value) for value in _list(values, name)], dtype=np.int64)


def _number(value: Any, name: str) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"a {name} must be a finite number; got {describe(value)}")
    return float(value)


def _as_text(marks: Fingerprints) -> str:
    """Return fingerprints as text for a file."""
    return base64.b64encode(marks.astype("<u8").tobytes()).decode("ascii")


def _from_text(text: Any) -> Fingerprints:
    """Return the fingerprints that `_as_text` wrote, or raise a `ValueError`."""
    try:
        content = base64.b64decode(text, validate=True) if isinstance(text, str) else b"?"
    except ValueError:
        content = b"?"
    if len(content) % 8:
        raise ValueError(f"fit_images must be fingerprints in base64; got {describe(text)}")
    return np.unique(np.frombuffer(content, dtype="<u8").astype(np.uint64))
