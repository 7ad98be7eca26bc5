"""Fitted calibrators as ONNX models: the graph that their maps leave in a recording namespace."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from calib._border.checks import check_integer, describe
from calib._border.files import atomic_write
from calib._border.optional import require
from calib._border.random import generator
from calib._core.features.columns import feature_places
from calib._version import __version__
from calib.base import BaseCalibrator
from calib.classifier import CalibratedClassifier
from calib.detection.calibrator import DetectionCalibrator
from calib.export.graph import INT64, Graph, Tensor
from calib.grouped.map_table import stored_name
from calib.grouped.score_map import ScoreMap, class_rows, cut_columns, evaluate_tables, mixture
from calib.multilabel.calibrator import MultilabelCalibrator, map_by_lines

if TYPE_CHECKING:
    from onnx import ModelProto

PRODUCER = "calib-uq"
#: Oldest operators that have all that maps use.
OLDEST_OPSET = 17
#: Operators of trees and linear models of scikit-learn.
ML_OPSET = 3


def to_onnx(
    calibrator: BaseCalibrator
    | MultilabelCalibrator
    | DetectionCalibrator
    | CalibratedClassifier
    | Pipeline,
    path: str | os.PathLike[str] | None = None,
    *,
    opset: int = OLDEST_OPSET,
) -> ModelProto:
    """Turn a fitted calibrator, or a calibrated classifier, into an ONNX model.

    Parameters
    ----------
    calibrator : BaseCalibrator, MultilabelCalibrator, DetectionCalibrator, CalibratedClassifier \
or Pipeline
        A fitted calibrator of the registry, that of many labels or of a detector, a calibrated
        classifier whose model skl2onnx converts, or a pipeline that ends with one.
    path : path-like, default=None
        File that is written, if given; the old one stays if something fails.
    opset : int >= 17, default=17
        Version of the operators.

    Returns
    -------
    model : onnx.ModelProto
        Inputs and outputs are float32 (labels: int64), with any number of rows. A calibrator maps
        ``scores`` of shape (rows, n_columns) to ``probabilities`` of shape (rows, n_classes). The
        calibrator of a detector maps ``scores`` and ``labels`` of shape (rows,), and ``features``
        of shape (rows, n_features) where it reads them, to ``probabilities`` of shape (rows,). A
        classifier maps ``features`` to ``probabilities``. ``metadata_props`` hold ``version``,
        ``method``, ``classes`` (JSON), ``input`` ("logits" or "proba") and ``n_columns``.

    Raises
    ------
    ImportError
        If onnx is not installed, or skl2onnx for a classifier.
    NotFittedError
        If `calibrator` is not fitted.
    TypeError
        If `calibrator` is none of the above, its map is no pure function of fitted arrays, or
        skl2onnx has no converter for the model of a classifier.
    ValueError
        If `opset` is below 17 or newer than the installed packages know.

    Notes
    -----
    Scores are not checked. Maps are calculated in float64 and agree with ``transform`` to about
    1e-6, that of excluded classes (logits of minus infinity) included. The model of a classifier
    is calculated as skl2onnx does, in float64 where runtimes have the operators: compare with what
    the classifier answers to float64 rows. A row within rounding of the threshold of a tree may go
    the other way.

    Examples
    --------
    >>> import pytest
    >>> onnx = pytest.importorskip("onnx")
    >>> from calib import TemperatureCalibrator
    >>> from calib.export import to_onnx
    >>> cal = TemperatureCalibrator(input="logits").fit([-2.0, 1.0, -1.0, 3.0], [0, 1, 1, 1])
    >>> model = to_onnx(cal)
    >>> [value.name for value in model.graph.output]
    ['probabilities']
    """
    onnx = require("onnx", extra="onnx", purpose="to_onnx")
    newest = onnx.defs.onnx_opset_version()
    check_integer("opset", opset, low=OLDEST_OPSET, high=newest)
    graph = Graph(opset)
    steps: list[Any] = []
    if isinstance(calibrator, Pipeline):
        check_is_fitted(calibrator)
        *steps, (_, calibrator) = calibrator.steps
        if not isinstance(calibrator, CalibratedClassifier):
            raise TypeError(
                f"the last step of a pipeline must be a CalibratedClassifier; got "
                f"{type(calibrator).__name__}"
            )
    if isinstance(calibrator, DetectionCalibrator):
        check_is_fitted(calibrator, "score_map_")
        written = _write_detector(graph, calibrator)
    elif isinstance(calibrator, CalibratedClassifier):
        check_is_fitted(calibrator)
        written = _write_classifier(graph, calibrator, steps)
    elif isinstance(calibrator, MultilabelCalibrator):
        check_is_fitted(calibrator, "slope_")
        written = _write_labels(graph, calibrator)
    elif isinstance(calibrator, BaseCalibrator):
        written = _write_calibrator(graph, calibrator)
    else:
        raise TypeError(
            f"calibrator must be a calibrator, a DetectionCalibrator or a CalibratedClassifier; "
            f"got {describe(calibrator)}"
        )
    model = _model(graph, written)
    onnx.checker.check_model(model, full_check=True)
    if path is not None:
        with atomic_write(path, "wb") as file:
            file.write(model.SerializeToString())
    return model


@dataclass(frozen=True)
class _Written:
    """A graph with its ends, and what its file says of it."""

    inputs: Sequence[Tensor]
    output: Tensor
    metadata: Mapping[str, str]


def _model(graph: Graph, written: _Written) -> ModelProto:
    from onnx import helper

    def declared(name: str, tensor: Tensor) -> Any:
        kind = helper.np_dtype_to_tensor_dtype(tensor.dtype)
        shape = ["rows", *tensor.shape[1:]]
        return helper.make_tensor_value_info(name, kind, shape)

    output = graph.astype(written.output, np.float32)
    graph.rename(output, "probabilities")
    body = helper.make_graph(
        graph.nodes,
        "calibrator",
        [declared(tensor.name, tensor) for tensor in written.inputs],
        [declared("probabilities", output)],
        graph.initializers,
    )
    opsets = [helper.make_opsetid("", graph.opset)]
    if any(node.domain for node in graph.nodes):
        opsets.append(helper.make_opsetid("ai.onnx.ml", ML_OPSET))
    model = helper.make_model(
        body,
        producer_name=PRODUCER,
        producer_version=__version__,
        opset_imports=opsets,
        ir_version=helper.find_min_ir_version_for(opsets),
    )
    helper.set_model_props(model, {"version": __version__, **written.metadata})
    return model


# ---------------------------------------------------------------------- calibrators


def _write_calibrator(graph: Graph, calibrator: BaseCalibrator) -> _Written:
    check_is_fitted(calibrator)
    n_columns = calibrator.n_features_in_
    scores = graph.variable("scores", graph.float32, (None, n_columns))
    return _Written([scores], _mapped(graph, calibrator, scores), _described(calibrator))


def _write_labels(graph: Graph, calibrator: MultilabelCalibrator) -> _Written:
    n_labels = calibrator.n_features_in_
    scores = graph.variable("scores", graph.float32, (None, n_labels))
    cells = graph.reshape(graph.astype(scores, graph.float64), (-1, 1))
    pooled = _mapped(graph, calibrator.pooled_map_, cells)[:, 1]
    lines = {
        "smoothing_": calibrator.smoothing_,
        "intercept_": graph.constant(calibrator.intercept_),
        "slope_": graph.constant(calibrator.slope_),
    }
    out = map_by_lines(graph.reshape(pooled, (-1, n_labels)), lines, graph)
    described = {
        "method": "multilabel",
        "classes": json.dumps(np.asarray(calibrator.classes_).tolist(), default=str),
        "input": calibrator.input,
        "n_columns": str(n_labels),
    }
    return _Written([scores], out, described)


def _mapped(graph: Graph, calibrator: BaseCalibrator, scores: Tensor) -> Tensor:
    """Write down what a calibrator does to its columns, in float64."""
    if stored_name(getattr(calibrator, "calibrator_", calibrator)) is None:
        raise TypeError(
            f"{type(calibrator).__name__} has no map of its own, so it cannot become an ONNX "
            f"model; those of CALIBRATORS can"
        )
    out: Tensor = calibrator.traced(graph.astype(scores, graph.float64), graph)
    return out


def _described(calibrator: BaseCalibrator) -> dict[str, str]:
    described = {
        "method": stored_name(calibrator) or type(calibrator).__name__,
        "classes": json.dumps(np.asarray(calibrator.classes_).tolist(), default=str),
        "input": calibrator.input,
        "n_columns": str(calibrator.n_features_in_),
    }
    record = getattr(calibrator, "fit_record_", None)
    return described if record is None else {**described, "fit": json.dumps(record.to_dict())}


# ---------------------------------------------------------------------- detectors


def _write_detector(graph: Graph, calibrator: DetectionCalibrator) -> _Written:
    score_map = calibrator.score_map_
    scores = graph.variable("scores", graph.float32, (None,))
    labels = graph.variable("labels", INT64, (None,))
    inputs = [scores, labels]
    columns = graph.expand_dims(graph.astype(scores, graph.float64), axis=1)
    if len(calibrator.features):
        features = graph.variable("features", graph.float32, (None, len(calibrator.features)))
        inputs.append(features)
        columns = graph.concat([columns, graph.astype(features, graph.float64)], axis=1)
    out = graph.clip(_scores(graph, score_map, columns, labels), 0.0, 1.0)
    method = calibrator.calibrator
    name = method if isinstance(method, str) else stored_name(method) or type(method).__name__
    metadata = {
        "method": name,
        "classes": json.dumps(score_map.classes.tolist()),
        "input": "proba",
        "n_columns": str(columns.shape[1]),
    }
    record = getattr(calibrator, "fit_record_", None)
    if record is not None:
        metadata["fit"] = json.dumps(record.to_dict())
    return _Written(inputs, out, metadata)


def _scores(graph: Graph, score_map: ScoreMap, columns: Tensor, labels: Tensor) -> Tensor:
    classes, row = graph.constant(score_map.classes), graph.constant(score_map.row)
    rows = class_rows(classes, row, score_map.last_row, labels, graph)
    if score_map.kind != "any":
        tables = {name: graph.constant(value) for name, value in score_map.tables.items()}
        mapped: Tensor = evaluate_tables(score_map.kind, tables, columns[:, 0], rows, graph)
        return mapped

    def part(place: int) -> Tensor:
        calibrator = score_map.parts[place][0]
        return _mapped(graph, calibrator, cut_columns(calibrator, columns, graph))[:, 1]

    out: Tensor = mixture(part, [share for _, share in score_map.parts], rows, graph)
    return out


# ---------------------------------------------------------------------- classifiers


def _write_classifier(
    graph: Graph, classifier: CalibratedClassifier, steps: Sequence[tuple[str, Any]]
) -> _Written:
    if classifier.multilabel_:
        raise TypeError("a classifier of many labels does not become an ONNX model")
    first = classifier.pairs_[0][0]
    n_features = (steps[0][1] if steps else first).n_features_in_
    features = graph.variable("features", graph.float32, (None, n_features))
    scored = []
    for number, (model, calibrator) in enumerate(classifier.pairs_):
        if not np.array_equal(model.classes_, classifier.classes_):
            raise TypeError(
                f"model {number} of the classifier knows the classes {describe(model.classes_)}, "
                f"the classifier {describe(classifier.classes_)}; only models of all classes in "
                f"that order become ONNX models"
            )
        raw = classifier.response_ == "decision_function"
        answer = _answer(graph, model, steps, raw, f"model_{number}_")
        read = _places_read(classifier, model)
        if read and steps:
            raise TypeError(
                "features= behind other steps of a pipeline does not become an ONNX model; put the "
                "pipeline inside the CalibratedClassifier"
            )
        n_scores = calibrator.n_features_in_ - len(read)
        if answer.shape[1] != n_scores:  # the second of two columns says it all
            answer = answer[:, -n_scores:]
        if read:
            double = graph.astype(features, graph.float64)
            chosen = graph.take(double, graph.constant(np.array(read, INT64)), axis=1)
            answer = graph.concat([graph.astype(answer, graph.float64), chosen], axis=1)
        scored.append((calibrator, answer))
    if len(scored) > 1 and hasattr(scored[0][0], "merge_columns"):
        doubled = [(cal, graph.astype(answer, graph.float64)) for cal, answer in scored]
        out: Tensor = scored[0][0].merge_columns(doubled, graph)
    else:
        out = _mapped(graph, *scored[0])
        for calibrator, answer in scored[1:]:
            out = out + _mapped(graph, calibrator, answer)
        out = out / float(len(scored))
    described = _described(scored[0][0])
    return _Written([features], out, {**described, "response": classifier.response_})


def _places_read(classifier: CalibratedClassifier, model: Any) -> list[int]:
    """Return the places of the columns of `X` that the calibrator reads beside the scores.

    Raises
    ------
    TypeError
        If a function makes them, or names of columns are not known.
    """
    if classifier.features is None:
        return []
    if callable(classifier.features):
        raise TypeError(
            "features= is a function, which does not become an ONNX model; name columns of X"
        )
    names = getattr(model, "feature_names_in_", None)
    known = int(model.n_features_in_) if names is None else [str(name) for name in names]
    try:
        return feature_places(known, classifier.features)
    except ValueError as error:
        raise TypeError(f"the columns of features= are not those of the model: {error}") from error


def _answer(
    graph: Graph, model: Any, steps: Sequence[tuple[str, Any]], raw: bool, prefix: str
) -> Tensor:
    """Write down a fitted model, as skl2onnx converts it, and return its scores of all classes."""
    from onnx import compose
    from sklearn.frozen import FrozenEstimator

    while isinstance(model, FrozenEstimator):
        model = model.estimator
    whole = Pipeline([*steps, ("model", model)]) if steps else model
    try:  # probabilities near 1 need double precision, of which runtimes lack some operators
        made = _converted(whole, raw, graph.opset, graph.float64)
        answer = _checked_answer(made, whole, raw, graph.float64)
    except Exception:
        made = _converted(whole, raw, graph.opset, graph.float32)
        answer = _checked_answer(made, whole, raw, graph.float32)
    graph.score_rounding = SINGLE_ROUNDING
    part = compose.add_prefix(made, prefix).graph
    features = graph.variable("features", graph.float32, (None,))
    read = graph.float64 if made.graph.input[0].type.tensor_type.elem_type == 11 else graph.float32
    graph.rename(graph.astype(features, read), part.input[0].name)
    graph.nodes.extend(part.node)
    graph.initializers.extend(part.initializer)
    n_outputs = answer.shape[1]
    out = graph.variable(part.output[1].name, answer.dtype, (None, n_outputs))
    return out if n_outputs > 1 else graph.expand_dims(out[:, 0], axis=1)


def _converted(whole: Any, raw: bool, opset: int, dtype: np.dtype[Any]) -> ModelProto:
    """Return the model of skl2onnx, or say why there is none."""
    convert = require("skl2onnx", extra="onnx", purpose="to_onnx of a classifier")
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
    from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator

    newest = int(convert.__max_supported_opset__)
    if opset > newest:
        raise ValueError(f"opset must be at most {newest} for models of skl2onnx; got {opset}")
    last = _last_step(whole)
    kind = DoubleTensorType if dtype == np.float64 else FloatTensorType
    scores = {"raw_scores": True} if raw else {}
    for options in ({"zipmap": False, **scores}, scores):
        try:
            made: ModelProto = convert.convert_sklearn(
                whole,
                initial_types=[("features", kind([None, whole.n_features_in_]))],
                options={id(last): options},
                target_opset={"": opset, "ai.onnx.ml": ML_OPSET},
            )
            return made
        except (MissingConverter, MissingShapeCalculator, NameError, RuntimeError) as error:
            cause = error  # NameError: an option that the converter does not know
            if not isinstance(error, NameError):
                break
    response, other = _RESPONSES if raw else _RESPONSES[::-1]
    raise TypeError(
        f"skl2onnx does not convert {type(whole).__name__} with the {response} of "
        f"{type(last).__name__}; models of skl2onnx.supported_converters() convert, some with "
        f"response={other!r} only"
    ) from cause


#: What a calibrated classifier reads of its model.
_RESPONSES = ("decision_function", "predict_proba")
#: Rows on which a converted model is compared with the original, and what rounding explains.
CHECK_ROWS, CHECK_TOLERANCE = 64, 1e-3
#: Relative error of scores of a model: one of both sides may calculate in single precision.
SINGLE_ROUNDING = 2.0**-20


def _last_step(model: Any) -> Any:
    return _last_step(model.steps[-1][1]) if isinstance(model, Pipeline) else model


def _checked_answer(
    made: ModelProto, whole: Any, raw: bool, dtype: np.dtype[Any]
) -> np.ndarray[tuple[int, ...], np.dtype[Any]]:
    """Return the scores of a converted model on some rows, if they are those of the model.

    Converters exist that give other numbers than the model; most of some drawn rows have to agree.
    """
    runtime = require("onnxruntime", extra="onnx", purpose="to_onnx of a classifier")
    rng = generator(0)
    X = rng.normal(size=(CHECK_ROWS, whole.n_features_in_))
    X = (X * np.geomspace(0.1, 100.0, CHECK_ROWS)[:, None]).astype(np.float32).astype(dtype)
    quiet = runtime.SessionOptions()
    quiet.log_severity_level = 4
    session = runtime.InferenceSession(
        made.SerializeToString(), quiet, providers=["CPUExecutionProvider"]
    )
    given = np.asarray(session.run(None, {session.get_inputs()[0].name: X})[1])
    given = given.reshape(len(X), -1)
    expected = getattr(whole, _RESPONSES[0 if raw else 1])(X).reshape(len(X), -1)
    gap = np.abs(given[:, -expected.shape[1] :] - expected) / (1.0 + np.abs(expected))
    if not np.mean(gap.max(axis=1) < CHECK_TOLERANCE) > 0.9:
        raise TypeError(
            f"the ONNX model that skl2onnx makes of {type(whole).__name__} gives other scores than "
            f"its {_RESPONSES[0 if raw else 1]}; try response={_RESPONSES[1 if raw else 0]!r}"
        )
    return given
