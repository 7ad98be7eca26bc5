"""Metrics: time and memory beside peers, golden values, coverage of intervals, rows of a stream.

``python -m benchmarks.evaluation [--only SECTION] [--check] [--repeats 200] [--rows 8000000]``
takes about a minute and a half on one core. One thread; times are CPU seconds, best of up to five
calls. Peers that are not installed are named as such.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss as sklearn_log_loss
from threadpoolctl import threadpool_limits

from benchmarks import streaming
from benchmarks.data import Part, Size, make
from benchmarks.detection_data import Line
from benchmarks.measure import extra_megabytes, seconds
from benchmarks.peers import METRIC_PEERS
from calib import evaluation
from calib.evaluation import (
    average_calibration_error,
    brier_decomposition,
    calibration_report,
    calibration_tests,
    cumulative_calibration_error,
    density_calibration_error,
    expected_calibration_error,
    integrated_calibration_index,
    kernel_calibration_error,
    ks_calibration_error,
    maximum_calibration_error,
    maximum_mean_calibration_error,
    metric_interval,
    score_decomposition,
    smooth_calibration_error,
    sweep_calibration_error,
)

BINARY, MANY = Size(1_000_000, 1), Size(100_000, 100)
#: CPU seconds that each may take.
ECE_BINARY, ECE_MANY, SMOOTH, KS, REPORT = 0.08, 0.04, 0.4, 0.2, 5.0
ECE_MEGABYTES = 16.0
N_REPLICATES = 200
#: Digits of the table of golden values.
ROUNDING = 6e-7


# ---------------------------------------------------------------------- time and memory


def times(options: argparse.Namespace) -> Iterator[Line]:
    del options
    part = make(BINARY).fit
    y, p = part.y, part.proba
    where = str(BINARY)
    yield from _beside(
        f"expected calibration error, {where}",
        lambda: expected_calibration_error(y, p, average="binary"),
        ECE_BINARY,
        ECE_MEGABYTES,
    )
    yield from _peers("expected_calibration_error", part)
    yield _peer(
        "scikit-learn calibration_curve, 15 bins: the curve",
        "sklearn",
        lambda: float(calibration_curve(y, p, n_bins=15)[0].mean()),
    )
    yield from _beside(
        f"smooth calibration error, {where}",
        lambda: smooth_calibration_error(y, p, average="binary"),
        SMOOTH,
    )
    yield _peer("relplot smECE", "relplot", lambda: _relplot(y, p))
    yield from _beside(
        f"Kolmogorov-Smirnov error, {where}",
        lambda: ks_calibration_error(y, p, average="binary"),
        KS,
    )
    yield _peer("NumPy sort and cumulative sum", "numpy", lambda: _sort_and_sum(y, p))
    binary = {"average": "binary"}
    for function in (average_calibration_error, maximum_calibration_error):
        name = function.__name__
        yield from _beside(
            f"{name.replace('_', ' ')}, {where}", functools.partial(function, y, p, **binary)
        )
        yield from _peers(name, part)
    for function, keywords in (
        (sweep_calibration_error, binary),
        (density_calibration_error, binary),
        (maximum_mean_calibration_error, binary),
        (brier_decomposition, binary),
        (score_decomposition, binary),
        (score_decomposition, {"score": "log_loss", **binary}),
    ):
        name = " ".join([function.__name__, *keywords.values()][:-1]).replace("_", " ")
        yield from _beside(f"{name}, {where}", functools.partial(function, y, p, **keywords))
    yield _peer("scikit-learn brier_score_loss", "sklearn", lambda: brier_score_loss(y, p))
    yield _peer("scikit-learn log_loss", "sklearn", lambda: sklearn_log_loss(y, p))


def many(options: argparse.Namespace) -> Iterator[Line]:
    del options
    part = make(MANY).fit
    y, p = part.y, part.proba
    yield from _beside(
        f"expected calibration error, {MANY}",
        lambda: expected_calibration_error(y, p),
        ECE_MANY,
        ECE_MEGABYTES,
    )
    yield from _peers("expected_calibration_error", part)
    yield from _beside(f"smooth calibration error, {MANY}", lambda: smooth_calibration_error(y, p))
    yield from _beside(f"Kolmogorov-Smirnov error, {MANY}", lambda: ks_calibration_error(y, p))
    yield from _beside(
        f"report with {N_REPLICATES} replicates, {MANY}",
        lambda: calibration_report(y, p, n_resamples=N_REPLICATES),
        REPORT,
        value=lambda found: found.models["model"].measures["expected_calibration_error"].value,
    )


def _beside(
    what: str,
    call: Callable[[], Any],
    bound: float | None = None,
    megabytes: float | None = None,
    value: Callable[[Any], Any] | None = None,
) -> Iterator[Line]:
    """Yield time and extra memory of a call of this library, with its value."""
    taken, found = seconds(call)
    found = value(found) if value else getattr(found, "score", found)
    yield Line(what, taken, "s", bound, f"value {found:.6f}")
    yield Line("  extra memory", extra_megabytes(call), "MB", megabytes)


def _peer(label: str, package: str, call: Callable[[], Any]) -> Line:
    """Return time, memory and value of another package's call, or why there are none."""
    try:
        importlib.import_module(package)
        call()  # what it imports and compiles at the first call is not timed
        taken, value = seconds(call)
    except ModuleNotFoundError as error:
        return Line(f"  {label}", float("nan"), "s", None, f"not installed: {error.name}")
    except Exception as error:  # a peer that fails is a finding, not the end of the run
        return Line(f"  {label}", float("nan"), "s", None, f"failed: {error!s:.60}")
    text = f"value {float(value):.6f}, {extra_megabytes(call):.1f} MB"
    return Line(f"  {label}", taken, "s", None, text)


def _peers(metric: str, part: Part) -> Iterator[Line]:
    for peer in METRIC_PEERS[metric]:
        scores = getattr(part, peer.scores)
        yield _peer(peer.label, peer.package, functools.partial(peer.measure, scores, part))


def _relplot(y: np.ndarray, p: np.ndarray) -> float:
    return float(importlib.import_module("relplot").smECE(p, y))


def _sort_and_sum(y: np.ndarray, p: np.ndarray) -> float:
    order = np.argsort(p)
    return float(np.abs(np.cumsum((y - p)[order])).max() / len(y))


# ---------------------------------------------------------------------- values


def golden(options: argparse.Namespace) -> Iterator[Line]:
    """Compare with numbers made from the definitions, without any random generator."""
    del options
    for name, toy, wanted in (("A", _toy_a(), GOLDEN_A), ("B", _toy_b(), GOLDEN_B)):
        for (what, measure), number in zip(MEASURES.items(), wanted, strict=True):
            found = measure(*toy)
            text = f"{found:.6f}, wanted {number:.6f}"
            yield Line(f"toy {name}: {what}", abs(found - number), "", ROUNDING, text)


def _toy_a() -> tuple[np.ndarray, np.ndarray]:
    """Gaps of one sign only."""
    i = np.arange(1000)
    p = (i + 0.5) / 1000
    return ((i + 1) * (np.sqrt(5) - 1) / 2 % 1 < p**1.5).astype(int), p


def _toy_b() -> tuple[np.ndarray, np.ndarray]:
    """Gaps of both signs."""
    i = np.arange(1000)
    p = 0.02 + 0.96 * ((i + 0.5) / 1000) ** 2
    q = expit(0.5 * np.log(p / (1 - p)) + 0.3)
    return ((i + 1) * np.sqrt(2) % 1 < q).astype(int), p


def _binary(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    return functools.partial(function, average="binary", **options)


def _test(name: str) -> Callable[[np.ndarray, np.ndarray], float]:
    return lambda y, p: calibration_tests(y, p, average="binary", n_resamples=19)[name].statistic


MEASURES: dict[str, Callable[..., Any]] = {
    "ECE, 15 equal width": _binary(expected_calibration_error),
    "ECE, 15 equal mass": _binary(expected_calibration_error, strategy="quantile"),
    "ECE, 500 equal width": _binary(expected_calibration_error, n_bins=500),
    "root mean square, 15 equal width": _binary(expected_calibration_error, norm=2),
    "maximum, 15": _binary(maximum_calibration_error),
    "average, 15": _binary(average_calibration_error),
    "sweep": _binary(sweep_calibration_error),
    "Kolmogorov-Smirnov": _binary(ks_calibration_error),
    "cumulative, range": _binary(cumulative_calibration_error, kind="range"),
    "smooth": _binary(smooth_calibration_error),
    "MMCE": _binary(maximum_mean_calibration_error),
    "CORP Brier, miscalibration": lambda y, p: (
        score_decomposition(y, p, average="binary").miscalibration
    ),
    "CORP log loss, miscalibration": lambda y, p: (
        score_decomposition(y, p, score="log_loss", average="binary").miscalibration
    ),
    "Murphy, 10: reliability": lambda y, p: (
        brier_decomposition(y, p, n_bins=10, average="binary").reliability
    ),
    "Spiegelhalter z": _test("spiegelhalter"),
    "Hosmer-Lemeshow": _test("hosmer_lemeshow"),
}
# Equal mass in blocks of ranks; edges at interpolated quantiles would give .137320 on toy B.
GOLDEN_A = (
    *(0.102000, 0.102000, 0.193200, 0.110943, 0.166667, 0.102005, 0.102000, 0.102085),
    *(0.102085, 0.102000, 0.077090, 0.01361054, 0.04095684, 0.01220000, -0.927599, 63.403364),
)
GOLDEN_B = (
    *(0.137992, 0.136776, 0.241452, 0.151899, 0.208879, 0.110313, 0.137960, 0.126969),
    *(0.127049, 0.132500, 0.104207, 0.02427402, 0.10141974, 0.02280145, 15.146005, 326.853914),
)


def small(options: argparse.Namespace) -> Iterator[Line]:
    """Time what is quadratic or iterates, on few rows."""
    del options
    part = make(Size(10_000, 10)).fit
    y, p = part.y, part.proba
    for what, call in (
        ("kernel, unbiased, 10 classes", lambda: kernel_calibration_error(y, p)),
        (
            "integrated calibration index (loess)",
            lambda: integrated_calibration_index(y, p).ici,
        ),
        (
            "nine tests, smallest p-value",
            lambda: min(
                test.p_value for test in calibration_tests(y, p, random_state=0).tests.values()
            ),
        ),
    ):
        yield from _beside(f"{what}, n=1e4", call)


# ---------------------------------------------------------------------- coverage


def coverage(options: argparse.Namespace) -> Iterator[Line]:
    """Count how often 95 % intervals hold the population value, for a model that is too sure."""
    n, sharpness = 1000, 1.5
    y, p = _draw(np.random.default_rng(1), 4_000_000, sharpness)
    metrics: dict[str, Callable[..., float]] = {
        "Brier score": lambda y, p: float(np.mean((y - p) ** 2)),
        "log loss": lambda y, p: float(-np.mean(np.log(np.where(y == 1, p, 1 - p)))),
        "ECE, 15 bins": _binary(expected_calibration_error),
        "KS error": _binary(ks_calibration_error),
    }
    truth = {name: metric(y, p) for name, metric in metrics.items()}
    rng = np.random.default_rng(0)
    samples = [_draw(rng, n, sharpness) for _ in range(options.repeats)]
    for name, metric in metrics.items():
        for method in (
            ("percentile", "basic", "double") if "err" in name or "ECE" in name else ("double",)
        ):
            held, width, mean = 0, 0.0, 0.0
            for seed, (y, p) in enumerate(samples):
                interval = metric_interval(
                    metric, y, p, n_resamples=N_REPLICATES, method=method, random_state=seed
                )
                held += truth[name] in interval
                width += (interval.high - interval.low) / len(samples)
                mean += interval.value / len(samples)
            share = held / len(samples)
            text = (
                f"+- {100 * np.sqrt(share * (1 - share) / len(samples)):.1f}; population "
                f"{truth[name]:.4f}, mean {mean:.4f}, mean width {width:.4f}"
            )
            yield Line(f"{name}, {method}, n={n}", 100 * share, "%", None, text)
    names = {"log_loss": "log loss", "expected_calibration_error": "ECE, 15 bins"}
    counts = dict.fromkeys(names, 0)
    for y, p in samples:
        found = calibration_report(y, p, n_resamples=N_REPLICATES).models["model"].measures
        for key, name in names.items():
            counts[key] += truth[name] in found[key].interval
    for key, name in names.items():
        share = 100 * counts[key] / len(samples)
        yield Line(f"{name}, calibration_report, n={n}", share, "%")


def _draw(rng: np.random.Generator, n: int, sharpness: float) -> tuple[np.ndarray, np.ndarray]:
    z = 1.5 * rng.normal(size=n) - 0.3
    return (rng.random(n) < expit(z)).astype(np.int64), expit(sharpness * z)


# ---------------------------------------------------------------------- streams


def stream(options: argparse.Namespace) -> Iterator[Line]:
    """Count rows a second; `benchmarks.streaming` has larger files and the memory."""
    try:
        importlib.import_module("pyarrow")
    except ModuleNotFoundError:
        yield Line("stream of a parquet file", float("nan"), "", None, "not installed: pyarrow")
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        for n_rows in (options.rows // 2, options.rows):
            streaming.make_file(path, n_rows)
            spent = streaming.measure(path)[0]
            text = f"{spent:.2f} CPU s, of which about half a second whatever the number of rows"
            what = f"calib report --stream, {n_rows:,} rows"
            yield Line(what, n_rows / spent / 1e6, "M/s", None, text)
    for n_classes, size in ((2, BINARY), (10, Size(400_000, 10))):
        accumulator = evaluation.CalibrationAccumulator(n_classes)
        part = make(size).fit
        taken, _ = seconds(functools.partial(accumulator.update, part.y, part.proba))
        what = f"CalibrationAccumulator.update, {n_classes} classes, one batch"
        yield Line(what, len(part.y) / taken / 1e6, "M/s", None)


SECTIONS: dict[str, Callable[[argparse.Namespace], Iterator[Line]]] = {
    "times": times,
    "many": many,
    "small": small,
    "golden": golden,
    "coverage": coverage,
    "stream": stream,
}


def main(arguments: list[str] | None = None) -> int:
    """Print all sections; the exit code is 1 only if `--check` was given and a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluation", description=__doc__)
    parser.add_argument("--only", action="append", choices=tuple(SECTIONS), help="repeatable")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a target is missed")
    parser.add_argument("--repeats", type=int, default=200, help="test sets of the coverage table")
    parser.add_argument("--rows", type=int, default=8_000_000, help="rows of the streamed file")
    options = parser.parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"  # for libraries that are loaded later
    try:
        importlib.import_module("torch").set_num_threads(1)
    except ModuleNotFoundError:
        pass
    lines = []
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in options.only or SECTIONS:
            print(f"--- {name}", flush=True)
            for line in SECTIONS[name](options):
                lines.append(line)
                print(line, flush=True)
    missed = [line.what for line in lines if not line.met]
    print(f"\n{len([x for x in lines if x.bound is not None])} targets, {len(missed)} missed")
    return int(options.check and bool(missed))


if __name__ == "__main__":
    sys.exit(main())
