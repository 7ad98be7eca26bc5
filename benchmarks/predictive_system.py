"""Conformal predictive systems: distributions of a number beside those of crepes.

``python -m benchmarks.predictive_system [--seeds 3] [--sets concrete] [--base ridge] [--speed]``
prints one table per base model (about three minutes on one core). It needs the shared data folder
beside the repository; crepes is left out where it is not installed.

30 % of at most 4,000 rows test; split systems calibrate with 30 % of the rest. Means over the
seeds of the split. CRPS, exact for the support points; coverage and mean width of 90 % intervals;
variance of the probability integral transform over 1/12; splits where its uniformity is rejected at
5 %; CPU seconds with the training of the base. "labels on a lattice" stands only where labels are.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits

from calib.evaluation import pit_uniformity
from uq import ConformalPredictiveSystem

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "regression"
SETS = ("concrete", "wine_red", "power_plant", "energy", "yacht", "protein")
MOST_ROWS = 4000
TEST, CALIBRATION = 0.3, 0.3
LEVEL = 0.9
BASES: dict[str, Callable[[], Any]] = {
    "boosting": lambda: HistGradientBoostingRegressor(random_state=0),
    "ridge": RidgeCV,
}
#: Systems of this library: name and parameters.
SYSTEMS: dict[str, dict[str, Any]] = {
    "cross, shrunk scale (default)": {"y_support": None},
    "cross, labels on a lattice": {"y_support": "auto"},
    "cross, plain": {"y_support": None, "conformity_score": "absolute"},
    "split, shrunk scale": {"y_support": None, "method": "split"},
    "split, plain": {"y_support": None, "method": "split", "conformity_score": "absolute"},
}
Row = tuple[str, list[float]]


def load(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return features and target of at most `MOST_ROWS` rows."""
    table = np.genfromtxt(DATA / f"{name}.csv.gz", delimiter=",", skip_header=1)
    if len(table) > MOST_ROWS:
        rows = np.random.default_rng(0).choice(len(table), MOST_ROWS, replace=False)
        table = table[rows]
    return table[:, :-1], table[:, -1]


def points_crps(points: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the score of equally likely points, (n_rows, n_points), by its definition."""
    ordered = np.sort(points, axis=1)
    m = ordered.shape[1]
    spread = ordered @ (2.0 * np.arange(1, m + 1) - m - 1) / m**2
    return np.abs(ordered - y[:, None]).mean(axis=1) - spread


def own_rows(base: Any, train: Any, test: Any, seed: int) -> Iterator[Row]:
    """Yield a row for each system of this library."""
    X, y = test
    for label, options in SYSTEMS.items():
        system = ConformalPredictiveSystem(
            base, calibration_size=CALIBRATION, random_state=seed, **options
        )
        start = time.process_time()
        predicted = system.fit(*train).predict_distribution(X)
        crps = float(predicted.crps(y).mean())
        taken = time.process_time() - start
        if options["y_support"] == "auto" and system.support_ is None:
            continue
        low, high = predicted.interval(LEVEL).T
        pit = pit_uniformity(predicted.pit(y, random_state=seed), system)
        inside = float(((low <= y) & (y <= high)).mean())
        width = float((high - low).mean())
        rejected = float(pit.p_value < 0.05)
        yield label, [crps, inside, width, pit.variance_ratio, rejected, taken]


def crepes_rows(base: Any, train: Any, test: Any, seed: int) -> Iterator[Row]:
    """Yield a row for each system of crepes, with the rows that split systems have."""
    if find_spec("crepes") is None:
        return
    from crepes import WrapRegressor
    from crepes.extras import DifficultyEstimator, MondrianCategorizer

    X_fit, X_cal, y_fit, y_cal = train_test_split(*train, test_size=CALIBRATION, random_state=seed)
    X, y = test
    model = base.fit(X_fit, y_fit)

    def bins() -> dict[str, Any]:
        return {"mc": MondrianCategorizer().fit(X=X_cal, f=model.predict, no_bins=5)}

    def near(**known: Any) -> dict[str, Any]:
        return {"de": DifficultyEstimator().fit(X=X_fit, scaler=True, **known)}

    kinds: dict[str, Callable[[], dict[str, Any]]] = {
        "crepes, plain": dict,
        "crepes, 5 Mondrian bins": bins,
        "crepes, normalised by neighbours' labels": lambda: near(y=y_fit),
        "crepes, normalised by neighbours' residuals": lambda: near(
            residuals=y_fit - model.predict(X_fit)
        ),
        "crepes, normalised by neighbours' distance": near,
    }
    for label, options in kinds.items():
        start = time.process_time()
        base.fit(X_fit, y_fit)
        wrapped = WrapRegressor(model)
        wrapped.calibrate(X_cal, y_cal, cps=True, seed=seed, **options())
        points = wrapped.predict_cps(X, return_cpds=True)
        if isinstance(points, np.ndarray) and points.dtype != object:
            crps = points_crps(points, y)
        else:  # a vector of points for each row
            crps = np.array([points_crps(p[None], y[[row]])[0] for row, p in enumerate(points)])
        taken = time.process_time() - start
        ends = wrapped.predict_int(X, confidence=LEVEL, seed=seed)
        low, high = np.asarray(ends).T
        pit = pit_uniformity(np.ravel(wrapped.predict_cps(X, y=y, seed=seed)), len(y_cal))
        inside = float(((low <= y) & (y <= high)).mean())
        width, rejected = float((high - low).mean()), float(pit.p_value < 0.05)
        yield label, [float(crps.mean()), inside, width, pit.variance_ratio, rejected, taken]


def quality_table(base: str, names: Sequence[str], n_seeds: int) -> None:
    """Print means over the seeds, and how many of them crepes is behind in."""
    print(f"Base model: {base}\n")
    print("| data | system | CRPS | coverage | width | PIT variance | rejected | CPU s |")
    print("|---|---|---|---|---|---|---|---|")
    for name in names:
        X, y = load(name)
        rows: dict[str, list[list[float]]] = defaultdict(list)
        for seed in range(n_seeds):
            X_train, X_test, y_train, y_test = train_test_split(
                X, y, test_size=TEST, random_state=seed
            )
            train, test = (X_train, y_train), (X_test, y_test)
            for rows_of in (own_rows, crepes_rows):
                for label, found in rows_of(BASES[base](), train, test, seed):
                    rows[label].append(found)
        for label, found in rows.items():
            crps, inside, width, spread, rejected, taken = np.mean(found, axis=0)
            print(
                f"| {name} | {label} | {crps:.4f} | {inside:.3f} | {width:.3f} | {spread:.2f} | "
                f"{round(rejected * len(found))} of {len(found)} | {taken:.2f} |",
                flush=True,
            )


def answers(method: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield what 1e4 new rows are asked, against 1e5 calibration rows."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100_000, 1))
    y = X[:, 0] + rng.standard_t(4, size=len(X))
    base = FrozenEstimator(RidgeCV().fit(X[:1000], y[:1000]))
    system = ConformalPredictiveSystem(
        base, method=method, y_support=None, scale_estimator=RidgeCV(), random_state=0
    )
    if method == "split":  # the scale would take most rows
        system.set_params(conformity_score="absolute")
    predicted = system.fit(X, y).predict_distribution(rng.normal(size=(10_000, 1)))
    labels = rng.normal(size=10_000)
    yield "CDF at 9 thresholds", lambda: predicted.cdf(np.linspace(-3, 3, 9))
    yield "9 quantiles", lambda: predicted.quantile(np.arange(1, 10) / 10)
    yield "PIT", lambda: predicted.pit(labels, random_state=0)
    if method == "split":
        yield "CRPS", lambda: predicted.crps(labels)


def speed_table() -> None:
    """Print time and memory of answers."""
    print("| answer | method | CPU s | MB |\n|---|---|---|---|")
    for method in ("split", "cross"):
        for label, ask in answers(method):
            start = time.process_time()
            ask()
            taken = time.process_time() - start
            tracemalloc.start()
            ask()
            peak = tracemalloc.get_traced_memory()[1] / 2**20
            tracemalloc.stop()
            print(f"| {label} | {method} | {taken:.3f} | {peak:.0f} |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="splits (%(default)s)")
    parser.add_argument("--base", nargs="+", choices=BASES, default=list(BASES), help="models")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS, help="data (default: all)")
    parser.add_argument("--speed", action="store_true", help="only time and memory of answers")
    given = parser.parse_args()
    if not given.speed and not DATA.is_dir():
        raise SystemExit("the shared data folder is absent; it stands beside the repository")
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        if given.speed:
            speed_table()
            return
        for base in given.base:
            quality_table(base, given.sets, given.seeds)
            print()


if __name__ == "__main__":
    main()
