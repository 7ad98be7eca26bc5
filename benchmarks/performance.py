"""Performance without labels and decisions with costs: errors, coverage, excess costs.

    python -m benchmarks.performance [FOLDER] [draws]

FOLDER holds ``employment_MA_{reference,analysis,analysis_target}.pq``, census scores in the wheel
of nannyml 0.13.1 (Apache-2.0): 68,785 labelled rows and 208,892 later ones. Without it the errors
and the coverage are left out. Chunks are in the order of the file, shuffled, or shuffled together
with the labelled rows, so that nothing has changed between both. The table of excess costs has
the two-class experiments of the arena.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.arena import load
from calib import make_calibrator
from uq import UnlabelledEstimateWarning, cost_threshold, estimate_performance

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
NAMES = ("accuracy", "f1", "roc_auc", "brier_score", "log_loss", "cost")
COST = (1, 5)
#: Labelled rows, calibrator and rows of a chunk.
SETTINGS = (
    (300, "platt", 500),
    (300, "auto", 500),
    (300, "isotonic", 500),
    (1000, "platt", 2000),
    (5000, "isotonic", 2000),
    (5000, "auto", 2000),
)

Scores = tuple[np.ndarray, np.ndarray, np.ndarray]


def census(folder: Path) -> tuple[Scores, Scores]:
    """Return scores, decisions and labels of the labelled and of the later rows."""
    import pandas as pd

    old, new, target = (
        pd.read_parquet(folder / f"employment_MA_{part}.pq")
        for part in ("reference", "analysis", "analysis_target")
    )
    new = new.merge(target, on="id", validate="one_to_one")
    columns = ("predicted_probability", "prediction", "employed")
    first, second = (tuple(table[name].to_numpy() for name in columns) for table in (old, new))
    return first, second  # type: ignore[return-value]


def realised(y: np.ndarray, p: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Return the metrics once labels are there."""
    hits, false = int(((d == 1) & (y == 1)).sum()), int(((d == 1) & (y == 0)).sum())
    missed = int((y == 1).sum()) - hits
    chance = np.where(y == 1, p, 1 - p)
    return np.array(
        [
            (y == d).mean(),
            2 * hits / (2 * hits + false + missed),
            roc_auc_score(y, p),
            ((y - p) ** 2).mean(),
            -np.log(np.maximum(chance, np.finfo(np.float32).tiny)).mean(),
            (COST[0] * false + COST[1] * missed) / len(y),
        ]
    )


def errors(old: Scores, new: Scores) -> None:
    """Print mean absolute errors on chunks of 2,000 in the order of the file."""
    s, _, y = old
    for name in ("isotonic", "auto"):
        cal = make_calibrator(name).fit(s, y)
        reference = y, cal.transform(s)[:, 1]
        gaps, start = [], time.process_time()
        for first in range(0, len(new[0]) - 1999, 2000):
            score, d, labels = (part[first : first + 2000] for part in new)
            p = cal.transform(score)[:, 1]
            found = estimate_performance(p, d, cost=COST, reference=reference, n_resamples=2)
            gaps.append([found[key].value for key in NAMES] - realised(labels, p, d))
        seconds = time.process_time() - start
        print(f"{name:9s} mean absolute error of {len(gaps)} chunks", end="")
        print(
            "".join(f"  {key} {e:.4f}" for key, e in zip(NAMES, np.abs(gaps).mean(0), strict=True))
        )
        print(f"          {seconds / len(gaps):.3f} CPU s a chunk, {len(s):,} reference rows")


def nannyml_errors(old: Scores, new: Scores) -> None:
    """Print the same errors of NannyML's CBPE, and how often its band holds the realised values."""
    os.environ.setdefault("NML_DISABLE_USAGE_LOGGING", "1")
    try:
        import nannyml
        import pandas as pd
    except ImportError:
        print("NannyML is not installed; it takes no part")
        return
    names = list(NAMES[:3])
    tables = [pd.DataFrame({"p": p, "d": d.astype(int), "y": y}) for p, d, y in (old, new)]
    n_rows = len(tables[1]) // 2000 * 2000
    start = time.process_time()
    method = nannyml.CBPE(
        y_pred_proba="p",
        y_pred="d",
        y_true="y",
        metrics=names,
        problem_type="classification_binary",
        chunk_size=2000,
    ).fit(tables[0])
    found = method.estimate(tables[1][:n_rows].drop(columns="y"))
    frame = found.filter(period="analysis").to_df()
    seconds = time.process_time() - start
    shown = np.array(
        [
            realised(y, p, d)[:3]
            for p, d, y in (
                tuple(part[first : first + 2000] for part in new)
                for first in range(0, n_rows, 2000)
            )
        ]
    )
    print(f"NannyML   {seconds:.1f} CPU s for {len(shown)} chunks", end="")
    for k, name in enumerate(names):
        value = frame[(name, "value")].to_numpy(float)
        low, high = (
            frame[(name, f"{side}_confidence_boundary")].to_numpy(float)
            for side in ("lower", "upper")
        )
        held = ((shown[:, k] >= low) & (shown[:, k] <= high)).mean()
        print(f"  {name} {np.abs(value - shown[:, k]).mean():.4f}, held {held:.3f}", end="")
    print()


def coverage(old: Scores, new: Scores, order: str, n_draws: int) -> None:
    """Print how often 95 % intervals hold the realised values, of new maps and chunks."""
    print(f"coverage, {order}: " + "  ".join(NAMES))
    for n, name, size in SETTINGS:
        held = []
        for draw in range(n_draws):
            rng = np.random.default_rng([draw, n])
            if order == "pooled":
                rows = rng.choice(len(old[0]) + len(new[0]), n + size, replace=False)
                s, d, y = (np.concatenate(pair)[rows] for pair in zip(old, new, strict=True))
            else:
                first = rng.choice(len(old[0]), n, replace=False)
                if order == "shuffled":
                    then = rng.choice(len(new[0]), size, replace=False)
                else:
                    then = np.arange(size) + rng.integers(len(new[0]) - size)
                s, d, y = (
                    np.concatenate([a[first], b[then]]) for a, b in zip(old, new, strict=True)
                )
            cal = make_calibrator(name).fit(s[:n], y[:n])
            p = cal.transform(s)[:, 1]
            found = estimate_performance(
                p[n:], d[n:], cost=COST, reference=(y[:n], p[:n]), random_state=draw
            )
            shown = realised(y[n:], p[n:], d[n:])
            held.append([v in found[key] for key, v in zip(NAMES, shown, strict=True)])
        print(f"  {n:5d} {name:9s} {size:5d} ", end="")
        print("  ".join(f"{share:.3f}" for share in np.mean(held, axis=0)), flush=True)


def excess(p: np.ndarray, y: np.ndarray, t: float, cost: tuple[float, float]) -> float:
    """Return the mean cost of a threshold beyond that of the best one on these rows."""
    points = np.unique(np.append(p, [0.0, np.inf, t]))
    costs = [
        cost[0] * ((p >= u) & (y == 0)).mean() + cost[1] * ((p < u) & (y == 1)).mean()
        for u in np.append(points[:: max(1, len(points) // 1000)], [np.inf, t])
    ]
    return float(costs[-1] - min(costs))


def excess_costs(n_draws: int) -> None:
    """Print the excess cost of thresholds from costs: scores as they are, and calibrated."""
    paths = sorted((SHARED / "arena_dev").glob("*.npz"))
    pairs = [data for path in paths if (data := load(path))[0].shape[1] == 2]
    for n in (100, 1000):
        for ratio in (5.0, 20.0):
            t, found = cost_threshold(1.0, ratio), []
            for p, y, new, labels in pairs:
                for draw in range(n_draws):
                    rows = np.random.default_rng(draw).permutation(len(y))[:n]
                    if len(np.unique(y[rows])) < 2:
                        continue
                    maps = [
                        make_calibrator(name).fit(p[rows], y[rows]).transform(new)[:, 1]
                        for name in ("platt", "auto")
                    ]
                    tried = (new[:, 1], *maps)
                    found.append([excess(q, labels, t, (1.0, ratio)) for q in tried])
            mean, median = np.mean(found, axis=0), np.median(found, axis=0)
            print(f"{n:5d} rows, 1:{ratio:.0f}, excess cost, mean (median)", end="")
            for name, a, b in zip(("raw", "platt", "auto"), mean, median, strict=True):
                print(f"  {name} {a:.3f} ({b:.3f})", end="")
            print(flush=True)


def main() -> None:
    """Print all tables."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    n_draws = int(sys.argv[2]) if len(sys.argv) > 2 else 300
    warnings.simplefilter("ignore", UnlabelledEstimateWarning)
    excess_costs(3)
    if folder is None:
        print("no folder with the census files: errors and coverage are left out")
        return
    old, new = census(folder)
    errors(old, new)
    nannyml_errors(old, new)
    for order in ("pooled", "shuffled", "in order"):
        coverage(old, new, order, n_draws)


if __name__ == "__main__":
    main()
