"""Streams of labelled predictions: false alarms, delays, online recalibration, and time.

    python -m benchmarks.monitoring [WHEEL]

Census scores of the shared data or, with the wheel of nannyml 0.13.1 (which is opened, not
installed), its 68,785 reference and 208,892 later rows. Online Platt scaling and its tracked form
(Gupta and Ramdas 2023) are written down here; detectors of river stand beside where it is
installed.
"""

from __future__ import annotations

import io
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calib import PlattCalibrator
from calib._core.online.bets import log_ratio
from calib._core.online.experts import ExpertMixture
from calib.calibrators.online import PRIOR
from calib.evaluation import CalibrationMonitor, score_difference_sequence
from calib.evaluation.stream.monitor import BETTOR

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
#: Rows of a stream of the table of online maps.
BLOCK = 6000
#: Rows that are simulated at once.
CHUNK = 1000


@dataclass(frozen=True)
class Census:
    """Probabilities and outcomes: rows to fit on, and a later stream."""

    fit_p: np.ndarray
    fit_y: np.ndarray
    p: np.ndarray
    y: np.ndarray


def census(wheel: str | None) -> Census:
    """Return the rows of a wheel, or those of the shared data."""
    if wheel is None:
        data = np.load(SHARED / "groups" / "employment_ma_2015.npz")
        p = expit(data["score_boosting"].astype(np.float64))
        y = data["employed"].astype(np.float64)
        fit, late = data["split"] == 1, data["split"] == 2
        return Census(p[fit], y[fit], p[late], y[late])
    import pandas as pd

    with zipfile.ZipFile(wheel) as archive:
        tables = [
            pd.read_parquet(
                io.BytesIO(archive.read(f"nannyml/datasets/data/employment_MA_{name}.pq"))
            )
            for name in ("reference", "analysis", "analysis_target")
        ]
    before, after, labels = tables
    name = "predicted_probability"
    columns = (before[name], before["employed"], after[name], labels["employed"])
    return Census(*(column.to_numpy(np.float64) for column in columns))


def expit(z: np.ndarray) -> np.ndarray:
    """Return probabilities of log-odds."""
    return 1.0 / (1.0 + np.exp(-z))


def logit(p: np.ndarray) -> np.ndarray:
    """Return log-odds."""
    return np.log(p / (1.0 - p))


# ---------------------------------------------------------------------- e-values of many streams


def paths(
    p: np.ndarray, y: np.ndarray, tolerances: tuple[float, ...]
) -> Iterator[tuple[int, list[np.ndarray]]]:
    """Yield first rows, and logarithms of e-values after every row of streams, chunk by chunk.

    The same numbers as of a `CalibrationMonitor` for each stream; p and y have shape (n_streams,
    n_rows).
    """
    mixture = ExpertMixture.new(len(p), *BETTOR)
    so_far = [np.zeros((len(p), 1)) for _ in tolerances]
    for start in range(0, p.shape[1], CHUNK):
        rows = slice(start, start + CHUNK)
        q, likelihood = mixture.learn(p[:, rows], y[:, rows])
        for k, tolerance in enumerate(tolerances):
            gain = log_ratio(likelihood, q, p[:, rows], y[:, rows], tolerance)
            so_far[k] = np.cumsum(np.concatenate([so_far[k][:, -1:], gain], axis=1), axis=1)
        yield start, [path[:, 1:] for path in so_far]


def alarms(
    p: np.ndarray, y: np.ndarray, tolerances: tuple[float, ...], alpha: float = 0.05
) -> np.ndarray:
    """Return rows of alarms from 0 on, -1 where there is none, (n_tolerances, n_streams)."""
    at = np.full((len(tolerances), len(p)), -1)
    for start, chunk in paths(p, y, tolerances):
        for k, path in enumerate(chunk):
            over = path >= -np.log(alpha)
            new = (at[k] < 0) & over.any(axis=1)
            at[k, new] = start + over.argmax(axis=1)[new]
    return at


def false_alarms(scores: np.ndarray, n_streams: int, n_rows: int, seed: int = 0) -> None:
    """Print how often calibrated streams raise an alarm, ever, with a look at every row."""
    rng = np.random.default_rng(seed)
    counts = dict.fromkeys(("exact, .05", "exact, .01", "off by the tolerance .02"), 0.0)
    size = 250
    for _ in range(n_streams // size):
        p = rng.choice(scores, (size, n_rows))
        u = rng.random(p.shape)
        y = (u < p).astype(np.float64)
        for name, alpha in (("exact, .05", 0.05), ("exact, .01", 0.01)):
            counts[name] += (alarms(p, y, (0.0,), alpha) >= 0).mean() * size / n_streams
        off = (u < np.minimum(p + 0.02, 1.0)).astype(np.float64)
        rate = (alarms(p, off, (0.02,)) >= 0).mean() * size / n_streams
        counts["off by the tolerance .02"] += rate
    print(f"\nFalse alarms, ever: {n_streams:,} streams of {n_rows:,} rows, a look at every row")
    for name, share in counts.items():
        print(f"  {name:28s} {share:.4f}")


#: What becomes of the true probability at a break.
BREAKS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "logit -.5": lambda p: expit(logit(p) - 0.5),
    "logit -.2": lambda p: expit(logit(p) - 0.2),
    "slope .6": lambda p: expit(0.6 * logit(p)),
    "local -.2": lambda p: np.where((p > 0.4) & (p < 0.6), p - 0.2, p),
}


def delays(scores: np.ndarray, n_streams: int, n_peer: int = 60, seed: int = 1) -> None:
    """Print alarms and median delays after a break at row 1,000, with 2,000 rows left."""
    rng = np.random.default_rng(seed)
    p, u = rng.choice(scores, (n_streams, 3000)), rng.random((n_streams, 3000))
    print(f"\nDelay after a break at row 1,000: {n_streams} streams ({n_peer} of them for peers)")
    print(f"  {'':30s} " + "".join(f"{name:>18s}" for name in BREAKS) + "   alarms before")
    rows: dict[str, list[str]] = {}
    before: dict[str, list[float]] = {}
    for change in BREAKS.values():
        truth = p.copy()
        truth[:, 1000:] = change(p[:, 1000:])
        y = (u < truth).astype(np.float64)
        found = dict(zip(("monitor, tolerance 0", "monitor, tolerance .02"),
                         alarms(p, y, (0.0, 0.02)), strict=True))  # fmt: skip
        found |= peers(p[:n_peer], y[:n_peer])
        for name, at in found.items():
            late = at[at >= 1000] - 1000
            share = len(late) / max(1, (at < 0).sum() + len(late))
            median = f"{np.median(late):.0f}" if len(late) else ""
            rows.setdefault(name, []).append(f"{share:.2f} {median:>6s}")
            before.setdefault(name, []).append(((at >= 0) & (at < 1000)).mean())
    for name, cells in rows.items():
        early = f"{np.mean(before[name]):10.3f}"
        print(f"  {name:30s} " + "".join(f"{cell:>18s}" for cell in cells) + early)


def peers(p: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """Return first alarms of river's detectors at their defaults; nothing without river."""
    try:
        from river import drift
    except ImportError:
        return {}
    watched = {
        "river ADWIN on y - p": (drift.ADWIN, y - p),
        "river ADWIN on Brier": (drift.ADWIN, (y - p) ** 2),
        "river PageHinkley on y - p": (drift.PageHinkley, y - p),
    }
    found = {}
    for name, (kind, values) in watched.items():
        at = np.full(len(p), -1)
        for k, row in enumerate(values):
            detector = kind()
            for t, value in enumerate(row.tolist()):
                detector.update(value)
                if detector.drift_detected:
                    at[k] = t
                    break
        found[name] = at
    return found


# ---------------------------------------------------------------------- online maps


def platt_scaled_online(p: np.ndarray, y: np.ndarray, step: float) -> np.ndarray:
    """Return forecasts of online Platt scaling by online Newton steps (Algorithm 1, D = 1).

    ``A_t = A_{t-1} + g_t g_t'`` from ``I / (step D)^2``, ``theta_{t+1} = theta_t - A_t^-1 g_t /
    step``, within a ball of radius 100. p and y have shape (n_streams, n_rows).
    """
    s = logit(np.clip(p, 1e-6, 1 - 1e-6))
    a, b = np.zeros(len(p)), np.ones(len(p))
    first = np.full(len(p), 1.0 / step**2)
    h00, h01, h11 = first.copy(), np.zeros(len(p)), first.copy()
    out = np.empty_like(p)
    for t in range(p.shape[1]):
        x = s[:, t]
        out[:, t] = q = expit(np.clip(a + b * x, -30, 30))
        g0 = q - y[:, t]
        g1 = g0 * x
        h00 += g0 * g0
        h01 += g0 * g1
        h11 += g1 * g1
        determinant = h00 * h11 - h01 * h01
        a -= (h11 * g0 - h01 * g1) / determinant / step
        b -= (h00 * g1 - h01 * g0) / determinant / step
        shrink = np.maximum(np.hypot(a, b) / 100.0, 1.0)
        a, b = a / shrink, b / shrink
    return np.clip(out, 1e-6, 1 - 1e-6)


def tracked(forecast: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return what calibeating makes of forecasts: the mean outcome so far in their tenth.

    With a prior outcome at the centre of the tenth, so that no forecast is 0 or 1.
    """
    streams = np.arange(len(y))
    events = np.tile((np.arange(10) + 0.5) / 10, (len(y), 1))
    counts = np.ones((len(y), 10))
    out = np.empty_like(forecast)
    for t in range(y.shape[1]):
        place = np.minimum((10 * forecast[:, t]).astype(int), 9)
        out[:, t] = events[streams, place] / counts[streams, place]
        events[streams, place] += y[:, t]
        counts[streams, place] += 1
    return np.clip(out, 1e-6, 1 - 1e-6)


def streams_of(y: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return outcomes as they are, and with positives lost."""
    t = np.arange(y.shape[1])
    u = rng.random(y.shape)
    stretches = ((t >= 1500) & (t < 3000)) | ((t >= 4500) & (t < 6000))
    return {
        "as it is": y,
        "30 % of positives lost from row 3,000": np.where((t >= 3000) & (u < 0.3), 0.0, y),
        "40 % lost in two stretches": np.where(stretches & (u < 0.4), 0.0, y),
    }


def online(data: Census, n_seeds: int = 3) -> None:
    """Print the mean log loss of online maps on blocks of the census stream."""
    n_blocks = min(len(data.p) // BLOCK, 26)
    y = data.y[: n_blocks * BLOCK].reshape(n_blocks, BLOCK)
    print(f"\nOnline maps: mean log loss, {n_blocks} streams of {BLOCK:,} rows, {n_seeds} draws")
    names = ["static", "OPS .1", "OPS .3", "OPS 1", "TOPS .1", "mixture", "worst block"]
    print(f"  {'':46s}" + "".join(f"{name:>12s}" for name in names))
    for n_labelled in (200, 5000):
        sums: dict[str, np.ndarray] = {}
        for seed in range(n_seeds):
            rng = np.random.default_rng(seed)
            fit = rng.choice(len(data.fit_p), n_labelled, replace=False)
            cal = PlattCalibrator().fit(data.fit_p[fit], data.fit_y[fit])
            p = cal.transform(data.p[: y.size])[:, 1].reshape(y.shape)
            for name, outcome in streams_of(y, rng).items():
                steps = [platt_scaled_online(p, outcome, step) for step in (0.1, 0.3, 1.0)]
                _, likelihood = ExpertMixture.new(n_blocks, 0.995, PRIOR).learn(p, outcome)
                static, *others = (
                    -np.log(np.where(outcome > 0, q, 1 - q)).mean(axis=1)
                    for q in (p, *steps, tracked(steps[0], outcome))
                )
                mixed = -np.log(likelihood).mean(axis=1)
                means = [part.mean() for part in (static, *others, mixed)]
                row = np.array([*means, (mixed - static).max()])
                sums[name] = sums.get(name, 0.0) + row / n_seeds
        for name, row in sums.items():
            cells = "".join(f"{value:12.4f}" for value in row[:-1]) + f"{row[-1]:+12.5f}"
            print(f"  {n_labelled:>5} labelled, {name:29s}{cells}")


# ---------------------------------------------------------------------- sequences and time


def sequences(n_streams: int = 200, n_rows: int = 20_000) -> None:
    """Print how often intervals of a score difference miss at some of 40 looks."""
    missed = fixed = 0
    widths = []
    for seed in range(n_streams):
        rng = np.random.default_rng(seed)
        p = rng.random(n_rows)
        other = np.clip(p + rng.normal(0, 0.1, n_rows), 0, 1)
        y = (rng.random(n_rows) < p).astype(int)
        sequence = score_difference_sequence(y, other, p)
        truth = np.cumsum(2 * (other - p) ** 2) / np.arange(1, n_rows + 1)
        looks = np.searchsorted(sequence.rows, np.linspace(n_rows / 40, n_rows, 40))
        looks = np.minimum(looks, len(sequence.rows) - 1)
        at = sequence.rows[looks] - 1
        low, high = sequence.low[looks], sequence.high[looks]
        missed += bool(((truth[at] < low) | (truth[at] > high)).any())
        d = 2 * ((other - y) ** 2 - (p - y) ** 2)
        mean, square = (np.cumsum(v)[at] / (at + 1) for v in (d, d * d))
        error = 1.96 * np.sqrt((square - mean**2) / (at + 1))
        fixed += bool((np.abs(mean - truth[at]) > error).any())
        places = np.searchsorted(sequence.rows, [1000, 5000, n_rows])
        widths.append((sequence.high - sequence.low)[places])
    width = " / ".join(f"{value:.4f}" for value in np.mean(widths, axis=0))
    print(f"\nScore difference, {n_streams} streams of {n_rows:,} rows, 40 looks")
    print(f"  ever missed {missed / n_streams:.3f}; 1.96 standard errors {fixed / n_streams:.3f}")
    print(f"  width at 1,000 / 5,000 / {n_rows:,} rows: {width}")


def speed() -> None:
    """Print the CPU time of one stream, in one call and row by row."""
    rng = np.random.default_rng(0)
    print("\nOne stream, CPU seconds")
    for n in (100_000, 1_000_000):
        p = rng.uniform(0.02, 0.98, n)
        y = (rng.random(n) < p).astype(int)
        start = time.process_time()
        CalibrationMonitor().update(y, p)
        print(f"  {n:>9,} rows in one call   {time.process_time() - start:6.2f}")
    monitor, start = CalibrationMonitor(), time.process_time()
    for k in range(2000):
        monitor.update(y[k : k + 1], p[k : k + 1])
    print(f"  {2000:>9,} rows one by one    {time.process_time() - start:6.2f}")


def main() -> None:
    """Print all tables."""
    data = census(sys.argv[1] if len(sys.argv) > 1 else None)
    cal = PlattCalibrator().fit(data.fit_p, data.fit_y)
    scores = cal.transform(data.fit_p)[:, 1]
    speed()
    delays(scores, 300)
    online(data)
    sequences()
    false_alarms(scores, 2000, 20_000)


if __name__ == "__main__":
    main()
