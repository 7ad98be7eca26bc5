"""Run calibrators, metrics and their peers; one row of numbers each."""

from __future__ import annotations

import functools
import importlib
import inspect
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.data import Data, Part, Size, brier, log_loss, make
from benchmarks.measure import extra_megabytes, seconds
from benchmarks.peers import CALIBRATOR_PEERS, METRIC_PEERS, CalibratorPeer, MetricPeer

#: What counts as this library in the table.
OURS = "calib"


@dataclass
class Row:
    """One line of the table; numbers that do not apply are None.

    Attributes
    ----------
    subject : str
        Registry name or metric name.
    who : str
        This library, or the peer and what of it is called.
    size : str
        Rows and classes.
    seconds : float
        CPU time of the fit, or of the metric.
    ratio : float
        The same divided by the time of this library: above 1 means this library is faster.
    megabytes, megabytes_float32 : float
        Peak memory beyond the arguments; the second for scores in single precision.
    apply_seconds : float
        CPU time to map the held-out rows.
    loss_on_fit : float
        Log loss on the rows of the fit: the objective.
    log_loss, brier : float
        On held-out rows.
    value : float
        Of a metric.
    cold_seconds, cold_ratio : float
        CPU time of the first call of a process, and the same over that of this library.
    input_ratio : float
        Memory over that of the arguments.
    rate : float
        Million rows a second.
    growth_rows, growth_classes : float
        Exponents of the time in the number of rows and of classes.
    noise : float
        By how much, relatively, the times of this row may be off (see the README).
    note : str
        Why there are no numbers.
    """

    subject: str
    who: str
    size: str
    seconds: float | None = None
    ratio: float | None = None
    megabytes: float | None = None
    megabytes_float32: float | None = None
    apply_seconds: float | None = None
    loss_on_fit: float | None = None
    log_loss: float | None = None
    brier: float | None = None
    value: float | None = None
    cold_seconds: float | None = None
    cold_ratio: float | None = None
    input_ratio: float | None = None
    rate: float | None = None
    growth_rows: float | None = None
    growth_classes: float | None = None
    noise: float | None = None
    note: str = ""


class Budget:
    """Leaves out what would take too long, judged by the time at smaller sizes, and stops it."""

    #: How time is taken to grow with the number of elements.
    GROWTH = 1.25
    #: Multiple of the limit (in wall time, for all calls of a row) after which a row is stopped.
    STOP = 6

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.rate: dict[tuple[str, str], float] = {}

    def refuses(self, row: Row, size: Size) -> bool:
        """Tell, and note in the row, whether it is expected to take longer than the limit."""
        expected = self.rate.get((row.subject, row.who), 0.0) * size.n_elements**self.GROWTH
        refused = bool(expected > self.limit)
        if refused:
            row.note = f"left out: over {self.limit:g} s expected"
        return refused

    def learn(self, row: Row, size: Size) -> None:
        """Keep the time per element, of what was stopped the least that it can be."""
        taken = self.STOP * self.limit if row.note.startswith("stopped") else row.seconds
        if taken is not None:
            self.rate[row.subject, row.who] = taken / size.n_elements**self.GROWTH

    @contextmanager
    def stop_late(self) -> Iterator[None]:
        """Raise `TimeoutError` in a block that takes far too long, where the system can."""
        if not hasattr(signal, "setitimer"):
            yield
            return
        previous = signal.signal(signal.SIGALRM, _raise_timeout)
        signal.setitimer(signal.ITIMER_REAL, self.STOP * self.limit)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)


def _raise_timeout(signum: int, frame: object) -> None:
    raise TimeoutError


def measure(row: Row, size: Size, budget: Budget, fill: Callable[[Row], None]) -> Row:
    """Fill a row, or say in its note why not."""
    if budget.refuses(row, size):
        return row
    try:
        with warnings.catch_warnings(), budget.stop_late():
            warnings.simplefilter("ignore")
            fill(row)
    except TimeoutError:
        row.seconds, row.note = None, f"stopped after {budget.STOP * budget.limit:.0f} s"
    except ModuleNotFoundError as error:
        row.note = f"not installed: {error.name}"
    except Exception as error:  # a peer that fails is a finding, not the end of the run
        row.note = f"failed: {type(error).__name__}: {str(error)[:60]!r}"
    budget.learn(row, size)
    return row


def calibrator_rows(name: str, data: Data, budget: Budget, *, peers: bool) -> Iterator[Row]:
    """Yield the row of a registered calibrator, then those of its peers."""
    ours = measure(Row(name, OURS, str(data.size)), data.size, budget, _filler(name, data))
    ours.ratio = 1.0 if ours.seconds else None
    yield ours
    for peer in CALIBRATOR_PEERS.get(name, ()) if peers else ():
        if peer.binary is not None and peer.binary != (data.size.n_classes == 1):
            continue
        row = Row(name, peer.label, str(data.size))
        measure(row, data.size, budget, functools.partial(_fill_calibrator, peer=peer, data=data))
        yield _compare(row, ours)


def _compare(row: Row, ours: Row) -> Row:
    if row.seconds and ours.seconds:
        row.ratio = row.seconds / ours.seconds
    return row


def _filler(name: str, data: Data) -> Callable[[Row], None]:
    """Fit a registered calibrator to the scores in the domain where it works."""
    from calib import CALIBRATORS

    def fill(row: Row) -> None:
        method = CALIBRATORS[name].load()
        kind = "proba" if method.traits.domain == "proba" else "logits"
        options: dict[str, Any] = {"input": kind}
        if "random_state" in inspect.signature(method).parameters:
            options["random_state"] = 0
        own = CalibratorPeer(
            "calib",
            OURS,
            kind,
            lambda scores, part: method(**options).fit(scores, part.y),
            lambda model, scores: model.predict_proba(scores),
        )
        _fill_calibrator(row, peer=own, data=data)
        single = getattr(data.fit, own.scores).astype(np.float32)
        row.megabytes_float32 = extra_megabytes(lambda: own.fit(single, data.fit))

    return fill


def _fill_calibrator(row: Row, peer: CalibratorPeer, data: Data) -> None:
    peer.load()
    fit, test, small = data.fit, data.test, _small(data.size.n_classes == 1)
    peer.apply(peer.fit(getattr(small, peer.scores), small), getattr(small, peer.scores))
    scores, test_scores = getattr(fit, peer.scores), getattr(test, peer.scores)
    row.seconds, model = seconds(lambda: peer.fit(scores, fit))
    row.megabytes = extra_megabytes(lambda: peer.fit(scores, fit))
    row.loss_on_fit = log_loss(fit.y, peer.apply(model, scores))
    row.apply_seconds, proba = seconds(lambda: peer.apply(model, test_scores))
    row.log_loss, row.brier = log_loss(test.y, proba), brier(test.y, proba)


@functools.cache
def _small(binary: bool) -> Part:
    """Rows for a first call, which imports and compiles what it needs before any clock runs."""
    return make(Size(400, 1 if binary else 3)).fit


def metric_names() -> list[str]:
    """Return the metrics of `calib.evaluation` that compare labels with probabilities."""
    evaluation = importlib.import_module("calib.evaluation")
    names = [
        name
        for name in evaluation.__all__
        if name.endswith("_calibration_error") and not name.startswith("multilabel_")
    ]
    return [name for name in names if _takes_labels_and_proba(getattr(evaluation, name))]


def _takes_labels_and_proba(function: Callable[..., Any]) -> bool:
    return list(inspect.signature(function).parameters)[:2] == ["y_true", "y_prob"]


def metric_rows(name: str, data: Data, budget: Budget, *, peers: bool) -> Iterator[Row]:
    """Yield the row of a metric, then those of its peers."""
    function = getattr(importlib.import_module("calib.evaluation"), name)
    options: dict[str, Any] = {}
    if data.size.n_classes == 1 and "average" in inspect.signature(function).parameters:
        options["average"] = "binary"

    def call(scores: np.ndarray, part: Part) -> Any:
        return function(part.y, scores, **options)

    ours = Row(name, OURS, str(data.size))
    own = MetricPeer("calib.evaluation", OURS, "proba", call)
    measure(ours, data.size, budget, functools.partial(_fill_metric, peer=own, data=data))
    ours.ratio = 1.0 if ours.seconds else None
    yield ours
    for peer in METRIC_PEERS.get(name, ()) if peers else ():
        row = Row(name, peer.label, str(data.size))
        measure(row, data.size, budget, functools.partial(_fill_metric, peer=peer, data=data))
        yield _compare(row, ours)


def _fill_metric(row: Row, peer: MetricPeer, data: Data) -> None:
    peer.load()
    scores, part = getattr(data.fit, peer.scores), data.fit
    small = _small(data.size.n_classes == 1)
    peer.measure(getattr(small, peer.scores), small)
    row.seconds, value = seconds(lambda: peer.measure(scores, part))
    row.megabytes = extra_megabytes(lambda: peer.measure(scores, part))
    row.value = float(np.sum(value))  # of a metric in parts, the total


def reference_rows(data: Data) -> Iterator[Row]:
    """Yield what is reached without calibration and with the true probabilities."""
    test = data.test
    yield Row(
        "(none)",
        "raw scores",
        str(data.size),
        loss_on_fit=log_loss(data.fit.y, data.fit.proba),
        log_loss=log_loss(test.y, test.proba),
        brier=brier(test.y, test.proba),
    )
    yield Row("(none)", "true probabilities", str(data.size), log_loss=data.true_log_loss)
