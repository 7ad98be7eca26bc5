"""Setups and calls of the rows of `benchmarks.felt`.

Packages are imported where they are used: a setup imports what its call needs by name, and what the
call then loads by itself is part of the time of the first call.
"""

from __future__ import annotations

import functools
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.data import Part, Size, make

if TYPE_CHECKING:
    from uq.conformal.nonconformity import ConformityScore

#: Rows that a map is fitted to before one more is mapped: the larger of this and five a class.
FITTED_TO = 2_000
#: Rows of a batch of a stream.
BATCH = 100_000
#: Training samples against which a detector of neighbors measures its threshold.
QUERIES = 1_000
#: The command line in a process that says at its end how large it was, in kB, where the system can.
COMMAND = """
import sys
from calib.cli import main
code = 1
try:
    code = main()
finally:
    try:
        lines = open("/proc/self/status").readlines()
        print(*(line.split()[1] for line in lines if line.startswith("VmHWM")), file=sys.stderr)
    except OSError:
        pass
sys.exit(code)
"""

Setup = Callable[[Size], Any]

# --------------------------------------------------------------------------------- arrays


def part(size: Size) -> Part:
    """Return scores and labels."""
    return make(size).fit


def probabilities(size: Size) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and probabilities, with the library's evaluation imported."""
    import calib.evaluation  # noqa: F401

    rows = part(size)
    return rows.y, rows.proba


def report(data: tuple[np.ndarray, np.ndarray]) -> Any:
    from calib.evaluation import calibration_report

    return calibration_report(*data)


def calibration_error(data: tuple[np.ndarray, np.ndarray]) -> Any:
    from calib.evaluation import expected_calibration_error

    return expected_calibration_error(*data, average="binary")


def part_to_count(size: Size) -> tuple[Callable[..., float], np.ndarray, Part]:
    from benchmarks.peers import bincount

    rows = part(size)
    return bincount, rows.proba, rows


def _batches(data: tuple[Any, Any]) -> Iterator[tuple[Any, Any]]:
    for start in range(0, len(data[0]), BATCH):
        rows = slice(start, start + BATCH)
        yield data[0][rows], data[1][rows]


def stream(data: tuple[np.ndarray, np.ndarray]) -> Any:
    """Evaluate batch by batch."""
    from calib.evaluation import CalibrationAccumulator

    accumulator = CalibrationAccumulator(data[1].shape[1])
    for y, p in _batches(data):
        accumulator.update(y, p)
    return accumulator.sums


def probability_tensors(size: Size) -> tuple[Any, Any]:
    import torchmetrics.classification  # noqa: F401

    rows = part(size)
    return rows.y_tensor, rows.proba_tensor


def stream_peer(data: tuple[Any, Any]) -> float:
    from torchmetrics.classification import MulticlassCalibrationError

    metric = MulticlassCalibrationError(data[1].shape[1], validate_args=False)
    for y, p in _batches(data):
        metric.update(p, y)
    return float(metric.compute())


# --------------------------------------------------------------------------------- fits


@dataclass(frozen=True)
class ToFit:
    """An estimator that is not fitted yet, and what to fit it to."""

    estimator: Any
    X: np.ndarray
    y: np.ndarray


def fit(data: ToFit) -> Any:
    return data.estimator.fit(data.X, data.y)


def logits(name: str) -> Setup:
    """Return the setup of the fit of a registered calibrator to logits."""

    def setup(size: Size) -> ToFit:
        rows = part(size)
        return ToFit(_calibrator(name, "logits"), rows.logits, rows.y)

    return setup


def _calibrator(name: str, kind: str) -> Any:
    import inspect

    from calib import CALIBRATORS

    method: Any = CALIBRATORS[name].load()
    seeded = "random_state" in inspect.signature(method).parameters
    return method(input=kind, **({"random_state": 0} if seeded else {}))


def isotonic_scores(size: Size) -> ToFit:
    rows = part(size)
    return ToFit(_calibrator("isotonic", "proba"), rows.proba, rows.y)


def isotonic_peer_scores(size: Size) -> ToFit:
    from sklearn.isotonic import IsotonicRegression

    rows = part(size)
    return ToFit(IsotonicRegression(out_of_bounds="clip"), rows.proba, rows.y)


def venn_abers_scores(size: Size) -> ToFit:
    rows = part(size)
    return ToFit(_calibrator("venn_abers", "proba"), rows.proba, rows.y)


def fit_venn_abers(data: ToFit) -> Any:
    """Fit, and map one row: the peer builds its tables at the first prediction."""
    return fit(data).predict_proba(data.X[:1])


def venn_abers_peer_scores(size: Size) -> tuple[np.ndarray, np.ndarray]:
    import venn_abers  # noqa: F401

    rows = part(size)
    return np.stack([1 - rows.proba, rows.proba], axis=1), rows.y


def fit_venn_abers_peer(data: tuple[np.ndarray, np.ndarray]) -> Any:
    return _fitted_venn_abers(*data).predict_proba(data[0][:1])


def _fitted_venn_abers(both: np.ndarray, y: np.ndarray) -> Any:
    from venn_abers import VennAbers

    model = VennAbers()
    model.fit(both, y)
    return model


def features(size: Size) -> np.ndarray:
    """Return features of one cloud, with the detectors imported."""
    import uq  # noqa: F401

    return np.random.default_rng(0).normal(size=(size.n_samples, size.n_classes))


def fit_nearest(X: np.ndarray) -> Any:
    from uq import KNearestDetector

    return KNearestDetector().fit(X)


def fit_nearest_peer(X: np.ndarray) -> Any:
    """Do the least that gives a threshold: scale, and look up the neighbors of some samples."""
    from sklearn.neighbors import NearestNeighbors
    from sklearn.preprocessing import normalize

    scaled = normalize(X)
    model = NearestNeighbors(n_neighbors=51, algorithm="brute").fit(scaled)
    return model.kneighbors(scaled[:QUERIES])


# --------------------------------------------------------------------------------- one row


def predict_proba(data: tuple[Any, np.ndarray]) -> Any:
    model, row = data
    return model.predict_proba(row)


def own_row(name: str) -> Setup:
    """Return the setup that fits a registered calibrator and draws one row for it."""

    def setup(size: Size) -> tuple[Any, np.ndarray]:
        from calib import CALIBRATORS

        rows = _rows_to_fit(size)
        domain = CALIBRATORS[name].load().traits.domain
        kind = "proba" if domain == "proba" else "logits"
        scores = getattr(rows, kind)
        return _calibrator(name, kind).fit(scores, rows.y), scores[:1].copy()

    return setup


def _rows_to_fit(size: Size) -> Part:
    return part(Size(max(FITTED_TO, 5 * size.n_classes), size.n_classes))


def venn_abers_peer_row(size: Size) -> tuple[Any, np.ndarray]:
    rows = _rows_to_fit(size)
    model = _fitted_venn_abers(rows.proba, rows.y)
    model.predict_proba(rows.proba[:2])
    return model, rows.proba[:1].copy()


def peer_row(name: str, which: int) -> Setup:
    """Return the setup of one row through a peer of `benchmarks.peers`, fitted as it is there."""

    def setup(size: Size) -> tuple[Any, Any, Any]:
        from benchmarks.peers import CALIBRATOR_PEERS

        rows = _rows_to_fit(size)
        if size.n_classes == 2:  # the peers take one column for two classes
            rows = Part(rows.logits[:, 1] - rows.logits[:, 0], rows.y)
        peer = CALIBRATOR_PEERS[name][which]
        peer.load()
        scores = getattr(rows, peer.scores)
        return peer.apply, peer.fit(scores, rows), scores[:1].copy()

    return setup


def apply(data: tuple[Callable[..., Any], Any, Any]) -> Any:
    function, *arguments = data
    return function(*arguments)


# --------------------------------------------------------------------------------- sets


def prediction_sets(score: ConformityScore) -> Setup:
    """Return the setup of sets from probabilities that a model hands on as they are."""

    def setup(size: Size) -> tuple[Any, np.ndarray]:
        from sklearn.frozen import FrozenEstimator

        from uq import ConformalClassifier

        model, X, y, new = _handed_on(size)
        sets = ConformalClassifier(FrozenEstimator(model), conformity_score=score, random_state=0)
        return sets.fit(X, y).predict_set, new

    return setup


def mapie_sets(score: str) -> Setup:
    """Return the setup of the same sets by MAPIE."""

    def setup(size: Size) -> tuple[Any, np.ndarray]:
        from mapie.classification import SplitConformalClassifier

        model, X, y, new = _handed_on(size)
        sets = SplitConformalClassifier(
            model, confidence_level=0.9, conformity_score=score, prefit=True
        )
        return sets.conformalize(X, y).predict_set, new

    return setup


def _handed_on(size: Size) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray]:
    from benchmarks.peers import ScoresAsTheyAre

    data = make(size)
    model = ScoresAsTheyAre(np.arange(size.n_classes))
    model.fit(data.test.proba, data.test.y)
    return model, data.test.proba, data.test.y, data.fit.proba


def predict_set(data: tuple[Any, np.ndarray]) -> Any:
    predict, new = data
    return predict(new)


# --------------------------------------------------------------------------------- tensors


def tensors(size: Size) -> tuple[Any, Any]:
    """Return a fitted temperature and logits in single precision, as networks give them."""
    from calib import TemperatureCalibrator

    rows = part(size)
    model = TemperatureCalibrator(input="logits").fit(rows.logits[:FITTED_TO], rows.y[:FITTED_TO])
    return model, rows.logits_tensor.float()


def transform_tensor(data: tuple[Any, Any]) -> Any:
    model, scores = data
    return model.transform(scores)


def softmax_tensor(data: tuple[Any, Any]) -> Any:
    import torch

    model, scores = data
    return torch.softmax(scores / float(model.temperature_), dim=1)


# --------------------------------------------------------------------------------- commands


@dataclass(frozen=True)
class Ended:
    """What is known of a process that ended: the most memory that it held, 0 if not known."""

    megabytes: float


@dataclass(frozen=True)
class Table:
    """A table of scores in a folder that is deleted with it."""

    folder: tempfile.TemporaryDirectory[str]
    path: Path


def command(*words: str) -> Setup:
    """Return the setup of a command that reads no data."""
    return lambda size: words


def run_command(words: tuple[str, ...]) -> Ended:
    """Run the command line in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )
    last = done.stderr.split()[-1:]
    return Ended(int(last[0]) / 1024 if last and last[0].isdigit() else 0.0)


def score_table(kind: str) -> Setup:
    """Return the setup that writes labels and probabilities as Parquet or CSV."""

    def setup(size: Size) -> Table:
        from pyarrow import csv, parquet, table

        rows = part(size)
        columns = {f"p_{k}": rows.proba[:, k] for k in range(size.n_classes)}
        folder = tempfile.TemporaryDirectory()
        path = Path(folder.name) / f"scores.{kind}"
        write = parquet.write_table if kind == "parquet" else csv.write_csv
        write(table({"y": rows.y, **columns}), path)
        return Table(folder, path)

    return setup


def run_report(table: Table) -> Ended:
    return run_command(("report", str(table.path), "--label", "y", "--proba", "p_*"))


@functools.singledispatch
def megabytes_of(thing: object) -> float:
    """Return the MB of the arrays in what a setup or a call returned."""
    if isinstance(thing, ToFit):
        return megabytes_of((thing.X, thing.y))
    return float(getattr(thing, "nbytes", 0)) / (1 << 20)


@megabytes_of.register
def _(thing: tuple) -> float:  # type: ignore[type-arg]
    return sum(map(megabytes_of, thing))
