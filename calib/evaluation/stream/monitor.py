"""A watch over a stream: an alarm when probabilities stop meaning what they say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, Literal, Self

import numpy as np

from calib._border.arrays import eager, read_array, to_numpy
from calib._border.checks import (
    check_fraction,
    check_integer,
    check_number,
    check_option,
    describe,
)
from calib._border.labels import check_classes, check_same_length
from calib._border.typing import ArrayLike, Float64Array, IntArray, LabelArray
from calib._core.online.bets import BinBets, log_ratio
from calib._core.online.experts import ExpertMixture
from calib._core.predictions import check_predictions
from calib.evaluation.stream.accumulator import CalibrationAccumulator
from calib.evaluation.stream.arrivals import Name, Stamps, Waiting
from calib.evaluation.stream.monitor_results import MonitorReport, WatchedBin
from calib.evaluation.stream.results import AccumulatedReport

#: Version of the state that files hold.
STATE = 1
#: Memory and prior of the line that forgets: fitter for what follows a break than those of a map
#: that is served.
BETTOR = 0.991, (7.5, 2.5)
#: Points of the history of the e-value; beyond twice as many every second one is dropped.
N_POINTS = 256
#: Rows that a window may have at most.
MOST_ROWS = 10_000_000


class CalibrationMonitor:
    """Watch labelled predictions as they come in and raise an alarm once they are miscalibrated.

    The monitor bets on every outcome at the odds of the served probabilities. While these are right
    no strategy makes money in the long run; the e-value is what 1 has become. The alarm is raised
    when it reaches ``1 / alpha``, and the probability that this *ever* happens to calibrated
    predictions is at most `alpha`, however often one looks and however long the stream.

    Parameters
    ----------
    alpha : float in (0, 1), default=0.05
        Probability of a false alarm, ever.
    tolerance : float in [0, 0.5), default=0.02
        How far probabilities may be off without an alarm: the null hypothesis is that the true
        probability of every row lies within that distance of the served one. A map that was fitted
        to finite data is never exactly right, so that a monitor with tolerance 0 will say so in the
        end.
    average : {"binary", "top_label"}, default="binary"
        What is watched: the probability of the second of two classes, or the largest probability
        against whether that class was right.
    n_bins : int >= 1, default=10
        Bins of equal width in which `where` looks for the fault.
    window : int >= 2, default=5000
        Latest rows that `recent` reports on; they are kept, 16 bytes each.
    labels : array-like of shape (n_classes,), default=None
        Class of every column of probabilities; None means the integers from 0. A single column
        belongs to the second of two.

    Attributes
    ----------
    n_rows_ : int
        Rows so far.
    e_value_, log_e_value_ : float
        The e-value after the last row, >= 0, and its logarithm; infinite once an outcome came that
        was given probability 0 (and `tolerance` is 0).
    p_value_ : float
        ``min(1, 1 / largest e-value so far)``, in [0, 1]; valid at any time.
    alarm_ : bool
        Whether there was an alarm. It stays: make a new monitor after a repair.
    alarm_at_ : int or None
        Row that raised it, counted from 1.
    alarm_time_ : str or None
        Time stamp of that row, where they are given.
    impossible_at_ : int or None
        First row whose outcome had probability 0.
    n_waiting_ : int
        Predictions that wait for their labels.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    See Also
    --------
    calibration_tests : One look at a sample of fixed size.
    CalibrationAccumulator : Reports from sums over batches, in any order.
    calib.OnlinePlattCalibrator : The map that the bets are made with, as a repair.

    Notes
    -----
    ``e_t = prod_i q_i(y_i) / r_i(y_i)``: q is a mixture of the served probability, two lines of its
    log-odds (one of which forgets) and an offset for every tenth of the scale, learnt from earlier
    rows alone; r is the probability within the tolerance of the served one that is nearest to q. By
    Ville's inequality ``P(ever e_t >= 1 / alpha) <= alpha``. Without a tolerance, ``log e`` is the
    log loss that recalibration would have saved so far. Batches may be cut anywhere: the numbers
    are the same.

    The order of rows is that in which labels come, and it must not depend on the labels: where bad
    news comes late, pass rows in the order of the predictions once all of a period are known.
    Probabilities have to be those that were *served*; recomputed by a newer map they prove nothing.
    A monitor is ordered, so two cannot be merged. 1e5 rows take a third of a second.

    References
    ----------
    .. [1] S. Arnold, A. Henzi, J. F. Ziegel. Sequentially valid tests for forecast calibration.
       Annals of Applied Statistics 17(3), 2023. arXiv:2109.11761
    .. [2] I. Waudby-Smith, A. Ramdas. Estimating means of bounded random variables by betting.
       JRSS B 86(1), 2024. arXiv:2010.09686
    .. [3] M. Herbster, M. K. Warmuth. Tracking the Best Expert. Machine Learning 32, 1998.

    Examples
    --------
    >>> import numpy as np
    >>> from calib.evaluation import CalibrationMonitor
    >>> rng = np.random.default_rng(0)
    >>> p = rng.uniform(0.05, 0.95, 6000)
    >>> y = rng.random(6000) < np.where(np.arange(6000) < 3000, p, p**1.5)  # a break
    >>> monitor = CalibrationMonitor().update(y[:3000], p[:3000])
    >>> monitor.alarm_
    False
    >>> monitor.update(y[3000:], p[3000:]).alarm_at_ > 3000
    True
    """

    def __init__(
        self,
        *,
        alpha: float = 0.05,
        tolerance: float = 0.02,
        average: Literal["binary", "top_label"] = "binary",
        n_bins: int = 10,
        window: int = 5000,
        labels: ArrayLike = None,
    ) -> None:
        self.alpha = check_fraction("alpha", alpha)
        self.tolerance = check_number("tolerance", tolerance)
        if not 0 <= self.tolerance < 0.5:
            raise ValueError(f"tolerance must lie in [0, 0.5); got {tolerance}")
        check_option("average", average, ("binary", "top_label"))
        self.average = average
        self.n_bins = check_integer("n_bins", n_bins, low=1, high=1000)
        self.window = check_integer("window", window, low=2, high=MOST_ROWS)
        self.classes: LabelArray | None = None
        if labels is not None:
            self.classes = check_classes(labels, np.size(np.asarray(labels)), "classes")
            if len(self.classes) < 2 or (average == "binary" and len(self.classes) > 2):
                raise ValueError(
                    f"labels must name {'two' if average == 'binary' else 'two or more'} classes "
                    f"for average={average!r}; got {describe(self.classes.tolist())}"
                )
        elif average == "binary":
            self.classes = np.arange(2)
        self.n_rows_ = 0
        self.log_e_value_ = 0.0
        self.alarm_at_: int | None = None
        self.alarm_time_: str | None = None
        self.impossible_at_: int | None = None
        self._highest = 0.0
        self._mixture = ExpertMixture.new(1, *BETTOR)
        self._bets = BinBets.new(self.n_bins, self.tolerance)
        self._latest = np.empty((2, 0))
        self._history: list[float] = [0.0]  # of the e-value, after every n-th row
        self._every = 1
        self._stamps = Stamps()
        self._waiting = Waiting()

    # ------------------------------------------------------------------ rows come in

    def expect(self, ids: ArrayLike, y_prob: ArrayLike) -> Self:
        """Keep predictions as they are served, until their labels come.

        Parameters
        ----------
        ids : array-like of shape (n_samples,)
            Integers or texts, each once; those of rows that still wait must not come again.
        y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
            Probabilities in [0, 1], rows sum to 1 within 1e-3.

        Returns
        -------
        self : CalibrationMonitor

        Raises
        ------
        ValueError
            If an id comes twice or waits already, if lengths differ, or if `y_prob` holds no
            probabilities; nothing is kept then.
        """
        names = self._waiting.new_names(ids)
        table = eager(y_prob)
        check_same_length(len(names), len(read_array(table, "y_prob")), "ids", "y_prob")
        if not names:
            return self
        classes = self._classes_of(table)
        _, values = self._read(np.resize(classes, len(names)), table, classes)
        if self.average == "binary":
            codes = [1] * len(names)
            watched = values[:, 1].tolist()
        else:
            codes, watched = values.argmax(axis=1).tolist(), values.max(axis=1).tolist()
        self.classes = classes
        kept = zip(watched, codes, strict=True)
        self._waiting.predictions.update(zip(names, kept, strict=True))
        return self

    def update(
        self,
        y_true: ArrayLike,
        y_prob: ArrayLike = None,
        *,
        ids: ArrayLike = None,
        timestamps: ArrayLike = None,
    ) -> Self:
        """Bet on a batch of rows, in their order.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Labels, among the classes.
        y_prob : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
            Probabilities in [0, 1] as they were served. None with `ids`.
        ids : array-like of shape (n_samples,), default=None
            Which of the predictions that `expect` was told the labels belong to, instead of
            `y_prob`.
        timestamps : array-like of shape (n_samples,), default=None
            Numbers or dates that do not descend, in this batch and after the last one. Given with
            every batch or with none.

        Returns
        -------
        self : CalibrationMonitor
            An empty batch is allowed and changes nothing.

        Raises
        ------
        ValueError
            If an argument is not finite, of the wrong shape or length, if `y_prob` holds no
            probabilities, if a label or an id is unknown, or if time runs backwards. A refused
            batch changes nothing.
        """
        if (y_prob is None) == (ids is None):
            raise ValueError(
                f"update takes y_prob, or the ids of predictions that expect was told, and got "
                f"{'neither' if ids is None else 'both'}; pass one of them"
            )
        names: list[Name] = []
        if ids is None:
            proba, event, classes = self._watched(y_true, y_prob)
        else:
            names = self._waiting.known_names(ids)
            proba, event, classes = self._settled(y_true, names)
        stamps = self._stamps.after(timestamps, len(proba))
        if not len(proba):
            return self
        self.classes, self._stamps = classes, stamps
        for name in names:
            del self._waiting.predictions[name]
        self._learn(proba, event, timestamps)
        return self

    def _read(
        self, y_true: ArrayLike, table: ArrayLike, classes: LabelArray
    ) -> tuple[IntArray, Float64Array]:
        """Return checked codes, and probabilities of all classes."""
        codes, checked, _, found = check_predictions(y_true, table, labels=classes)
        values = np.clip(checked.astype(np.float64), 0.0, 1.0)
        if values.shape[1] == 1:
            if found[0] != classes[0]:  # the column is named like the other class
                codes, values = 1 - codes, 1.0 - values
            values = np.concatenate([1.0 - values, values], axis=1)
        return codes, values

    def _watched(
        self, y_true: ArrayLike, y_prob: ArrayLike
    ) -> tuple[Float64Array, Float64Array, LabelArray | None]:
        """Return the watched probabilities, and whether their events came."""
        table = eager(y_prob)
        n_rows = len(read_array(table, "y_prob"))
        check_same_length(n_rows, len(read_array(y_true, "y_true")), "y_prob", "y_true")
        if not n_rows:
            return np.empty(0), np.empty(0), self.classes
        classes = self._classes_of(table)
        codes, values = self._read(y_true, table, classes)
        if self.average == "binary":
            return values[:, 1].copy(), codes.astype(np.float64), classes
        return values.max(axis=1), (values.argmax(axis=1) == codes).astype(np.float64), classes

    def _settled(
        self, y_true: ArrayLike, names: list[Name]
    ) -> tuple[Float64Array, Float64Array, LabelArray | None]:
        """Return the same for predictions that waited."""
        labels = to_numpy(read_array(y_true, "y_true"))
        check_same_length(len(names), len(labels), "ids", "y_true")
        if not names or self.classes is None:
            return np.empty(0), np.empty(0), self.classes
        kept = [self._waiting.predictions[name] for name in names]
        even = np.full((len(names), len(self.classes)), 1.0 / len(self.classes))
        codes, _ = self._read(labels, even, self.classes)
        proba = np.array([value for value, _ in kept])
        return proba, (codes == [code for _, code in kept]).astype(np.float64), self.classes

    def _classes_of(self, table: ArrayLike) -> LabelArray:
        """Return the classes; where no labels were given, as many as there are columns."""
        array = read_array(table, "y_prob")
        n_columns = 1 if array.ndim == 1 else int(array.shape[-1])
        classes = np.arange(max(2, n_columns)) if self.classes is None else self.classes
        if n_columns != len(classes) and not (n_columns == 1 and len(classes) == 2):
            more = (
                "; average='top_label' watches more than two classes"
                if self.average == "binary"
                else ""
            )
            raise ValueError(
                f"y_prob has {n_columns} columns; this monitor watches {len(classes)} classes{more}"
            )
        return classes

    def _learn(self, proba: Float64Array, event: Float64Array, timestamps: ArrayLike) -> None:
        forecast, likelihood = self._mixture.learn(proba[None], event[None])
        gain = log_ratio(likelihood[0], forecast[0], proba, event, self.tolerance)
        path = np.cumsum(np.append(self.log_e_value_, gain))
        limit = -math.log(self.alpha)
        impossible = np.flatnonzero(np.isinf(gain))
        if len(impossible) and self.impossible_at_ is None:
            self.impossible_at_ = self.n_rows_ + int(impossible[0]) + 1
        reached = np.flatnonzero(path[1:] >= limit)
        if len(reached) and self.alarm_at_ is None:
            first = int(reached[0])
            self.alarm_at_ = self.n_rows_ + first + 1
            if timestamps is not None:
                self.alarm_time_ = str(np.asarray(eager(timestamps))[first])
        self._remember(path)
        self._bets.learn(proba, event)
        self._latest = np.concatenate([self._latest, [proba, event]], axis=1)[:, -self.window :]
        self.n_rows_ += len(proba)
        self.log_e_value_ = float(path[-1])
        self._highest = max(self._highest, float(path.max()))

    def _remember(self, path: Float64Array) -> None:
        """Keep the e-value after every n-th row, with n doubled where there are many."""
        while True:
            next_row = len(self._history) * self._every
            places = np.arange(next_row - self.n_rows_, len(path), self._every)
            if len(self._history) + len(places) <= 2 * N_POINTS:
                self._history += path[places].tolist()
                return
            free = 2 * N_POINTS - len(self._history)
            self._history += path[places[:free]].tolist()
            self._history = self._history[::2]
            self._every *= 2

    # ------------------------------------------------------------------ what it says

    @property
    def e_value_(self) -> float:
        """The e-value after the last row."""
        return _exp(self.log_e_value_)

    @property
    def p_value_(self) -> float:
        """The smallest p-value so far, valid at any time."""
        return math.exp(-self._highest)

    @property
    def alarm_(self) -> bool:
        """Whether there was an alarm."""
        return self.alarm_at_ is not None

    @property
    def n_waiting_(self) -> int:
        """Number of predictions that wait for their labels."""
        return len(self._waiting.predictions)

    def where(self) -> tuple[WatchedBin, ...]:
        """Return what happened in every bin of the scale.

        Returns
        -------
        bins : tuple of WatchedBin
            By probability. A bin is flagged once its own e-value has reached ``n_bins / alpha``, so
            that the probability of any false flag, ever, is at most `alpha`.
        """
        bets = self._bets.now()
        edges = np.linspace(0.0, 1.0, self.n_bins + 1)
        limit = math.log(self.n_bins) - math.log(self.alpha)
        lately = bets.gaps / np.maximum(bets.counts, 1.0)
        return tuple(
            WatchedBin(
                low=float(edges[k]),
                high=float(edges[k + 1]),
                n=int(bets.rows[k]),
                predicted=float(bets.predicted[k] / bets.rows[k]) if bets.rows[k] else math.nan,
                observed=float(bets.events[k] / bets.rows[k]) if bets.rows[k] else math.nan,
                recent_gap=float(lately[k]) if bets.rows[k] else math.nan,
                e_value=_exp(float(bets.wealth[k])),
                flagged=bool(bets.peak[k] >= limit),
            )
            for k in range(self.n_bins)
        )

    def recent(self) -> AccumulatedReport:
        """Return a calibration report of the last `window` rows.

        Returns
        -------
        report : AccumulatedReport
            For ``average="top_label"`` the event is that the top label was right.

        Raises
        ------
        ValueError
            If there are fewer than two rows.
        """
        binary = self.average == "binary" and self.classes is not None
        labels: LabelArray = self.classes if binary else np.array(["wrong", "right"])  # type: ignore[assignment]
        accumulator = CalibrationAccumulator(2, labels=labels)
        proba, event = self._latest
        accumulator.update(labels[event.astype(np.intp)], proba)
        return accumulator.report(name="served")

    def report(self) -> MonitorReport:
        """Return what the monitor knows as a result that prints, and writes a page.

        Returns
        -------
        report : MonitorReport
        """
        n = self._latest.shape[1]
        proba, event = (float(part.mean()) if n else math.nan for part in self._latest)
        return MonitorReport(
            n_rows=self.n_rows_,
            log_e_value=self.log_e_value_,
            p_value=self.p_value_,
            alarm_at=self.alarm_at_,
            alarm_time=self.alarm_time_,
            impossible_at=self.impossible_at_,
            bins=self.where(),
            history=tuple((k * self._every, value) for k, value in enumerate(self._history)),
            n_recent=n,
            recent_predicted=proba,
            recent_observed=event,
            n_waiting=self.n_waiting_,
            alpha=self.alpha,
            tolerance=self.tolerance,
            average=self.average,
        )

    def __repr__(self) -> str:
        return (
            f"CalibrationMonitor(alpha={self.alpha:g}, tolerance={self.tolerance:g}, "
            f"average={self.average!r}): {self.report().headline}"
        )

    def merge(self, other: object) -> Self:
        """Refuse: a stream is ordered.

        Parameters
        ----------
        other : object
            Anything.

        Raises
        ------
        TypeError
            Always.
        """
        raise TypeError(
            "monitors cannot be merged: bets are made in the order of the rows; feed all rows to "
            "one monitor, or watch parts of the traffic with a monitor each at alpha / number"
        )

    # ------------------------------------------------------------------ files

    def to_contents(self) -> dict[str, Any]:
        """Return the whole state as plain values, for `calib.save`."""
        classes = None if self.classes is None else self.classes.tolist()
        if classes is not None and not all(type(x) in (bool, int, float, str) for x in classes):
            raise TypeError(
                f"class labels {describe(classes)} cannot be saved as JSON; use text or numbers"
            )
        return {
            "state": STATE,
            "parameters": {name: getattr(self, name) for name in PARAMETERS},
            "classes": classes,
            "n_rows": self.n_rows_,
            "log_e_value": _plain(self.log_e_value_),
            "highest": _plain(self._highest),
            "alarm_at": self.alarm_at_,
            "alarm_time": self.alarm_time_,
            "impossible_at": self.impossible_at_,
            "mixture": _state(self._mixture),
            "bins": _state(self._bets),
            "latest": self._latest.tolist(),
            "history": [_plain(value) for value in self._history],
            "every": self._every,
            "stamps": asdict(self._stamps),
            "waiting": [[name, *kept] for name, kept in self._waiting.predictions.items()],
        }

    @classmethod
    def from_contents(cls, document: Mapping[str, Any]) -> CalibrationMonitor:
        """Return the monitor that `to_contents` described, or raise a `ValueError`."""
        if document["state"] != STATE or type(document["state"]) is not int:
            raise ValueError(
                f"it holds a monitor of version {describe(document['state'])}, and this library "
                f"goes on with version {STATE}; use the calib-uq that wrote it "
                f"({describe(document.get('library'))}), or start a new monitor"
            )
        parameters = document["parameters"]
        if not isinstance(parameters, dict) or set(parameters) != set(PARAMETERS):
            raise ValueError(f"a monitor has the parameters {[*PARAMETERS]}")
        new = cls(**parameters, labels=document["classes"])
        new._go_on(document)
        return new

    def _go_on(self, document: Mapping[str, Any]) -> None:
        """Take over the state of a file."""
        self.n_rows_ = check_integer("n_rows", document["n_rows"], low=0)
        self.log_e_value_ = _number("log_e_value", document["log_e_value"])
        self._highest = _number("highest", document["highest"])
        for name in ("alarm_at", "impossible_at"):
            row = document[name]
            if row is not None:
                check_integer(name, row, low=1, high=max(self.n_rows_, 1))
            setattr(self, f"{name}_", row)
        if (self.alarm_at_ is None) != (self._highest < -math.log(self.alpha)):
            raise ValueError("alarm_at contradicts the e-value")
        time = document["alarm_time"]
        self.alarm_time_ = None if time is None else str(time)
        _restore(self._mixture, document["mixture"])
        _restore(self._bets, document["bins"])
        latest = _array("latest", document["latest"])
        n_latest = min(self.n_rows_, self.window)
        if latest.shape != (2, n_latest) or (
            n_latest and not 0 <= latest.min() <= latest.max() <= 1
        ):
            raise ValueError(f"latest must hold probabilities and events of {n_latest} rows")
        self._latest = latest
        self._every = check_integer("every", document["every"], low=1)
        self._history = [_number("history", value) for value in document["history"]]
        if len(self._history) != self.n_rows_ // self._every + 1:
            raise ValueError("history has another length than the rows ask for")
        self._stamps = Stamps.restored(document["stamps"])
        n_classes = 0 if self.classes is None else len(self.classes)
        self._waiting = Waiting.restored(document["waiting"], n_classes)


#: Constructor arguments that files hold; labels are held as classes.
PARAMETERS = ("alpha", "tolerance", "average", "n_bins", "window")


def _exp(number: float) -> float:
    """Return the exponential, infinite where it would overflow."""
    return math.exp(number) if number < 709.0 else math.inf


def _plain(number: float) -> float | None:
    """Return a number for JSON, which has no infinite ones; no other ones arise."""
    return number if math.isfinite(number) else None


def _number(name: str, value: object) -> float:
    return math.inf if value is None else check_number(name, value)


def _array(name: str, value: Any) -> Float64Array:
    """Return an array of a file, None as infinity."""
    array = np.array(value, dtype=object)
    array[array == None] = math.inf  # noqa: E711
    numbers = array.astype(np.float64)
    if np.isnan(numbers).any() or np.isneginf(numbers).any():
        raise ValueError(f"{name} must hold numbers")
    return numbers


def _state(engine: ExpertMixture | BinBets) -> dict[str, Any]:
    """Return the arrays and counts of an engine as plain values."""
    out: dict[str, Any] = {}
    for part in fields(engine):
        if part.init and part.name not in ("forget", "prior", "tolerance"):
            value = getattr(engine, part.name)
            if isinstance(value, np.ndarray):
                plain = value.astype(object)
                plain[~np.isfinite(value)] = None
                value = plain.tolist()
            out[part.name] = value
    return out


def _restore(engine: ExpertMixture | BinBets, values: Mapping[str, Any]) -> None:
    """Set the arrays and counts of a new engine to those of a file."""
    wanted = _state(engine)
    if not isinstance(values, dict) or set(values) != set(wanted):
        raise ValueError(f"the state of a monitor has the parts {sorted(wanted)}")
    for name, value in values.items():
        now = getattr(engine, name)
        if not isinstance(now, np.ndarray):
            setattr(engine, name, check_integer(name, value, low=0))
            continue
        array = _array(name, value)
        open_rows = name.startswith("open_")
        shape = (*now.shape[:-1], -1) if open_rows else now.shape
        if array.shape != now.shape and not (
            open_rows and array.size % max(1, math.prod(now.shape[:-1])) == 0
        ):
            raise ValueError(f"{name} must have shape {now.shape}; got {array.shape}")
        setattr(engine, name, array.reshape(shape))
    if engine.open_proba.shape != engine.open_event.shape:
        raise ValueError("open_proba and open_event must have one length")
