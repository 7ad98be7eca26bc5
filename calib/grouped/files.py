"""Fitted maps as plain values of JSON, and back: numbers and names, nothing that runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from calib._border.checks import describe
from calib._border.random import fixed
from calib._border.typing import Float64Array, LabelArray
from calib._core import links
from calib._core.estimators.fit_record import FitRecord
from calib._core.fitted_map import FittedArray
from calib.base import BaseCalibrator
from calib.grouped.map_table import stored_class, stored_name
from calib.registry import parameter_names

_DTYPES = frozenset({"float64", "int64", "bool"})
#: More classes than any classifier has; a file that asks for more is refused before allocation.
_MAX_CLASSES = 1_000_000
#: A loaded map is tried on rows in which each class comes first, up to this many, and on scores of
#: these sizes.
MOST_TRIALS = 32
TRIAL_SIZES = (1e-3, 1.0, 30.0, 1e3, 1e6)


def contents_of_map(calibrator: BaseCalibrator) -> dict[str, Any]:
    """Return the name, parameters and fitted arrays of a calibrator as plain values."""
    name = stored_name(calibrator)
    if name is None:
        raise TypeError(
            f"{type(calibrator).__name__} cannot be saved as JSON: only registered calibrators "
            f"can; use skops or pickle for it"
        )
    if not calibrator.traits.pure:
        raise TypeError(
            f"{name} cannot be saved as JSON: it holds an inner model, not just arrays; use skops "
            f"or pickle for it"
        )
    check_is_fitted(calibrator)
    try:
        calibrator.check_map()
    except ValueError as error:
        raise ValueError(f"{name} cannot be saved: {error}") from error
    parameters = {
        key: value.item() if isinstance(value, np.generic) else value
        for key, value in calibrator.get_params(deep=False).items()
    }
    for key, value in parameters.items():
        if not is_plain(value):
            raise TypeError(
                f"parameter {key}={describe(value)} cannot be saved as JSON; use skops or pickle"
            )
    return {
        "calibrator": name,
        "parameters": parameters,
        "n_features_in": int(calibrator.n_features_in_),
        "feature_names_in": _names(calibrator),
        "classes": _encode_labels(calibrator.classes_),
        "fitted": {
            key: _encode(value, calibrator.traits.arrays[key])
            for key, value in calibrator.fitted_map.arrays.items()
        },
        **contents_of_record(calibrator.fit_record_),
    }


def contents_of_record(record: FitRecord | None) -> dict[str, Any]:
    """Return what files say of a fit; nothing of one that is not remembered."""
    return {} if record is None else {"fit": record.to_dict()}


def remembered(document: Mapping[str, Any]) -> FitRecord | None:
    """Return what a file says of a fit; files of older versions say nothing."""
    return FitRecord.from_dict(document["fit"]) if "fit" in document else None


def restored_map(document: dict[str, Any]) -> BaseCalibrator:
    """Return the calibrator that `contents_of` described, or raise a `ValueError`."""
    calibrator = unfitted_map(document["calibrator"], document["parameters"])
    traits = calibrator.traits
    if calibrator.input not in ("proba", "logits"):
        raise ValueError(f"input must be 'proba' or 'logits'; got {describe(calibrator.input)}")
    fitted = document["fitted"]
    required = {name for name, array in traits.arrays.items() if array.absent is None}
    if not isinstance(fitted, dict) or not required <= set(fitted) <= set(traits.arrays):
        raise ValueError(f"{type(calibrator).__name__} needs the fitted arrays {[*traits.arrays]}")
    arrays = {name: _decode(name, entry, traits.arrays[name]) for name, entry in fitted.items()}
    for name, value in traits.completed(arrays).items():
        setattr(calibrator, name, value)
    calibrator.classes_ = _decode_labels(document["classes"])
    n_columns = document["n_features_in"]
    if type(n_columns) is not int or not 1 <= n_columns <= _MAX_CLASSES:
        raise ValueError(f"n_features_in is {describe(n_columns)}")
    calibrator.n_features_in_ = n_columns
    names = document["feature_names_in"]
    if names is not None:
        if not isinstance(names, list) or len(names) != n_columns:
            raise ValueError(f"feature_names_in must name {n_columns} columns")
        calibrator.feature_names_in_ = np.array([str(name) for name in names], dtype=object)
    calibrator.check_map()
    _try(calibrator)
    record = remembered(document)
    if record is not None:
        if (record.input, record.n_classes) != (calibrator.input, len(calibrator.classes_)):
            raise ValueError(f"fit is of another calibrator: {record}")
        calibrator.remember(record)
    return calibrator


def stored_calibrator(given: Any) -> Any:
    """Return a constructor argument that is a calibrator as plain values; names stay as they are.

    Raises
    ------
    TypeError
        If it is in no table, or has parameters that are no plain values.
    """
    if not isinstance(given, BaseCalibrator):
        return given
    inner = given.get_params(deep=False)
    name = stored_name(given)
    if name is None or not all(map(is_plain, inner.values())):
        raise TypeError(f"calibrator={describe(given)} cannot be saved as JSON; use pickle")
    return {"calibrator": name, "parameters": inner}


def restored_calibrator_parameter(given: Any) -> Any:
    """Return the constructor argument that `stored_calibrator` described."""
    if isinstance(given, dict):
        return unfitted_map(given["calibrator"], given["parameters"])
    return given


def unfitted_map(name: Any, parameters: Any) -> BaseCalibrator:
    """Return the unfitted calibrator that a file names, or raise a `ValueError`."""
    method = stored_class(name)
    known = parameter_names(method)
    if not isinstance(parameters, dict) or not set(parameters) <= set(known):
        raise ValueError(f"{method.__name__} takes the parameters {known}, not {parameters!r:.80}")
    parameters = {
        key: tuple(value) if isinstance(value, list) else value for key, value in parameters.items()
    }
    if not all(is_plain(value) for value in parameters.values()):
        raise ValueError("parameters must be plain numbers or strings")
    return method(**parameters)


def _try(calibrator: BaseCalibrator) -> None:
    """Refuse fitted arrays that do not map rows of scores to rows of probabilities."""
    rows = _trial_rows(calibrator)
    n_classes = len(calibrator.classes_)
    try:
        with np.errstate(all="ignore"):
            out = calibrator.map_checked(rows)
    except Exception as error:
        raise ValueError(f"its arrays do not fit together ({error})") from error
    if out.shape != (len(rows), n_classes) or not np.isfinite(out).all():
        raise ValueError(f"its arrays do not give probabilities of {n_classes} classes")
    if out.min() < 0 or out.max() > 1 + 1e-9 or np.abs(out.sum(axis=1) - 1).max() > 1e-6:
        raise ValueError("its arrays do not give probabilities")


def _trial_rows(calibrator: BaseCalibrator) -> Float64Array:
    """Return even, certain and wild rows of scores: each class first, and of every size."""
    n_columns = calibrator.n_features_in_
    n_scores = calibrator.n_score_columns(n_columns)
    n_tops = min(n_scores, MOST_TRIALS)
    rng = fixed(0)
    sizes = np.repeat(TRIAL_SIZES, 3)[:, None]
    logits = np.concatenate(
        [
            np.zeros((1, n_scores)),
            1e4 * np.eye(n_tops, n_scores),
            -1e4 * np.eye(n_tops, n_scores),
            sizes * rng.standard_normal((len(sizes), n_scores)),
        ]
    )
    if calibrator.input == "proba":
        logits = links.both_columns(logits, "logits", np) if n_scores == 1 else logits
        logits = links.softmax(logits, np)[:, -n_scores:]
    features = rng.random((len(logits), n_columns - n_scores))
    return np.concatenate([logits, features], axis=1)


# ---------------------------------------------------------------------- plain values


def is_plain(value: object) -> bool:
    """Return whether JSON gives a value back as it is."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, (tuple, list)):
        return all(map(is_plain, value))
    return value is None or isinstance(value, (bool, int, str))


def _names(calibrator: BaseCalibrator) -> list[str] | None:
    names = getattr(calibrator, "feature_names_in_", None)
    return None if names is None else [str(name) for name in names]


def _encode(value: Any, declared: FittedArray) -> dict[str, Any]:
    array = np.asarray(value)
    if declared.text:
        return {"dtype": "text", "shape": list(array.shape), "data": array.ravel().tolist()}
    if declared.names:
        names = [declared.names[place] for place in array.ravel().tolist()]
        return {"dtype": "name", "shape": list(array.shape), "data": names}
    kind = {"f": "float64", "i": "int64", "u": "int64", "b": "bool"}[array.dtype.kind]
    plain = array.astype(kind)
    if kind == "float64" and not np.isfinite(plain).all():
        raise TypeError("fitted arrays must be finite to be saved as JSON")
    return {"dtype": kind, "shape": list(array.shape), "data": plain.ravel().tolist()}


def _encode_labels(classes: LabelArray) -> dict[str, Any]:
    """Return class labels as plain values; a kind that could not be read back is refused."""
    entry = {"dtype": classes.dtype.str, "data": classes.tolist()}
    try:
        _decode_labels(entry)
    except ValueError as error:
        raise TypeError(
            f"class labels {describe(classes.tolist())} of dtype {classes.dtype} cannot be saved "
            f"as JSON: {error}; use text or numbers as labels, or skops or pickle for the file"
        ) from error
    return entry


def _decode(name: str, entry: Any, declared: FittedArray) -> Any:
    if declared.names and isinstance(entry, dict) and entry.get("dtype") == "name":
        entry = {**entry, "dtype": "int64", "data": _places(name, entry["data"], declared.names)}
    kinds = {"text"} if declared.text else _DTYPES
    if not isinstance(entry, dict) or entry.get("dtype") not in kinds:
        raise ValueError(f"array {name!r} has no known dtype")
    shape, data = entry["shape"], entry["data"]
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"array {name!r} has shape {describe(shape)}")
    types = (str,) if declared.text else (int, float, bool)
    if not isinstance(data, list) or not all(type(x) in types for x in data):
        kind = "texts" if declared.text else "numbers"
        raise ValueError(f"array {name!r} does not hold {kind}")
    if math.prod(shape) != len(data):
        raise ValueError(f"array {name!r} has {len(data)} values for shape {shape}")
    dtype = object if declared.text else entry["dtype"]
    array: Any = np.array(data, dtype=dtype).reshape(shape)
    return array if shape else array.item()


def _places(name: str, members: Any, known: tuple[str, ...]) -> list[int]:
    """Return the places of names, or raise a `ValueError` that lists the known ones."""
    unknown = [x for x in members if x not in known] if isinstance(members, list) else [members]
    if unknown:
        raise ValueError(
            f"{name} must hold names of {', '.join(known)}; got {describe(unknown[0])}"
        )
    return [known.index(x) for x in members]


def _decode_labels(entry: Any) -> LabelArray:
    data, dtype = entry["data"], entry["dtype"]
    if not isinstance(data, list) or not 2 <= len(data) <= _MAX_CLASSES:
        raise ValueError(f"classes must be a list of at least 2 labels; got {describe(data)}")
    if not all(type(x) in (bool, int, float, str) for x in data) or len(set(data)) != len(data):
        raise ValueError("classes must be distinct numbers or strings")
    if any(isinstance(x, float) and not math.isfinite(x) for x in data):
        raise ValueError("classes must be finite")
    if not isinstance(dtype, str) or np.dtype(dtype).kind not in "biufUO":
        raise ValueError(f"classes have dtype {describe(dtype)}")
    wanted: Any = object if np.dtype(dtype).kind == "O" else dtype
    try:
        with np.errstate(all="ignore"):
            classes: LabelArray = np.array(data, dtype=wanted)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"classes {describe(data)} are not of dtype {dtype}: {error}") from error
    restored = classes.tolist()  # a cast may cut text, round numbers, or make labels equal
    if [(type(x), x) for x in restored] != [(type(x), x) for x in data]:
        raise ValueError(f"classes {describe(data)} are not of dtype {dtype}")
    if len({type(x) is str for x in data}) > 1 and classes.dtype.kind != "O":
        raise ValueError("classes mix text and numbers")
    return classes
