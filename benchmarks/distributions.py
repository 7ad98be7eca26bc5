"""Predicted distributions: recalibrated, beside peers, and what it costs.

    python -m benchmarks.distributions                  # all parts
    python -m benchmarks.distributions systems [--seeds 3]
    python -m benchmarks.distributions given [--tables concrete] [--bases nets] [--seeds 3]
    python -m benchmarks.distributions times
    python -m benchmarks.distributions never_harm [--runs 60]

``systems`` are those of `benchmarks.predictive_system`.
``given`` takes distributions of four kinds of models (five networks, boosted quantiles, random
forests as samples, quantile forests) on four tables, at most 4,000 rows of each; 30 % of the rows
test, of the rest 30 % calibrate. It prints the ranked probability score (CRPS) of every method
over that of the distributions as given, log scores, and how many splits have a transform that is
not uniform at 5 % (with `n_calibration`, but for what was given). netcal and uncertainty-toolbox
stand beside it where they are installed and the distributions are normal. ``--keep FOLDER`` keeps
the predictions of the models for another run (about ten minutes on one core). ``never_harm``
recalibrates what is calibrated already.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import norm
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from benchmarks import predictive_system
from calib import CalibWarning, DistributionCalibrator
from calib.evaluation import PredictiveDistribution, pit_uniformity, predictive_distribution

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "regression"
TABLES = ("concrete", "wine_red", "power_plant", "protein")
MOST_ROWS = 4000
METHODS = ("scale", "t", "isotonic", "residual", "auto")
BOOSTED_LEVELS = (0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.975)
FOREST_LEVELS = tuple((np.arange(49) + 0.5) / 49)
#: A model of the distribution: what it predicts and the options that read it.
Predictions = tuple[np.ndarray, dict[str, Any]]
#: Training rows and labels, then rows to predict for.
Base = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def load(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return features and target of a table, of which a part is drawn."""
    table = np.genfromtxt(DATA / f"{name}.csv.gz", delimiter=",", skip_header=1)
    if len(table) > MOST_ROWS:
        table = table[np.random.default_rng(0).choice(len(table), MOST_ROWS, replace=False)]
    return table[:, :-1], table[:, -1]


def split(X: np.ndarray, y: np.ndarray, seed: int) -> tuple[np.ndarray, ...]:
    """Return features and labels of training, calibration and test rows."""
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.3, random_state=seed)
    X, X_cal, y, y_cal = train_test_split(X, y, test_size=0.3, random_state=seed)
    return X, y, X_cal, y_cal, X_test, y_test


# ---------------------------------------------------------------------- models


def networks(X: np.ndarray, y: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Return mean and standard deviation of five networks."""
    centre, unit = y.mean(), y.std()
    members = []
    for seed in range(5):
        network = MLPRegressor(
            hidden_layer_sizes=(50,), alpha=1e-3, max_iter=200, random_state=seed
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # 200 epochs are what is asked for
            model = make_pipeline(StandardScaler(), network).fit(X, (y - centre) / unit)
        members.append(centre + unit * model.predict(new))
    return np.column_stack([np.mean(members, axis=0), np.std(members, axis=0, ddof=1)])


def boosted(X: np.ndarray, y: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Return boosted quantiles in order."""
    columns = [
        HistGradientBoostingRegressor(loss="quantile", quantile=level, random_state=0)
        .fit(X, y)
        .predict(new)
        for level in BOOSTED_LEVELS
    ]
    return np.sort(np.column_stack(columns), axis=1)


def forest(X: np.ndarray, y: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Return the predictions of fully grown trees."""
    model = RandomForestRegressor(200, max_features=0.5, random_state=0).fit(X, y)
    return np.column_stack([tree.predict(new) for tree in model.estimators_])


def quantile_forest(X: np.ndarray, y: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Return quantiles of the training labels with the weights of the leaves."""
    model = RandomForestRegressor(100, min_samples_leaf=5, max_features=0.5, random_state=0)
    model.fit(X, y)
    order = np.argsort(y)
    seen, unseen = model.apply(X[order]), model.apply(new)
    out = np.empty((len(new), len(FOREST_LEVELS)))
    for row, leaves in enumerate(unseen):
        same = seen == leaves
        total = np.cumsum((same / same.sum(axis=0)).mean(axis=1))
        places = np.searchsorted(total, np.array(FOREST_LEVELS) - 1e-12)
        out[row] = y[order][np.minimum(places, len(y) - 1)]
    return out


BASES: dict[str, tuple[Base, dict[str, Any]]] = {
    "nets": (networks, {"input": "normal"}),
    "hgbq": (boosted, {"input": "quantiles", "levels": BOOSTED_LEVELS}),
    "rf": (forest, {"input": "samples"}),
    "qrf": (quantile_forest, {"input": "quantiles", "levels": FOREST_LEVELS}),
}


def predictions(
    base: str, table: str, seed: int, keep: Path | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return distributions and labels of calibration and test rows."""
    file = None if keep is None else keep / f"{base}_{table}_{seed}.npz"
    if file is not None and file.exists():
        data = np.load(file)
        return data["cal"], data["y_cal"], data["test"], data["y_test"]
    X, y, X_cal, y_cal, X_test, y_test = split(*load(table), seed)
    both = BASES[base][0](X, y, np.concatenate([X_cal, X_test]))
    cal, test = both[: len(X_cal)], both[len(X_cal) :]
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, cal=cal, y_cal=y_cal, test=test, y_test=y_test)
    return cal, y_cal, test, y_test


# ---------------------------------------------------------------------- peers

Recalibrated = Callable[[], PredictiveDistribution]


def peers(
    cal: np.ndarray, y_cal: np.ndarray, test: np.ndarray
) -> Iterator[tuple[str, Recalibrated]]:
    """Yield other packages on normal distributions."""
    if find_spec("netcal"):
        yield "netcal scaling", lambda: netcal_scaling(cal, y_cal, test)
        yield "netcal isotonic", lambda: netcal_isotonic(cal, y_cal, test)
    if find_spec("uncertainty_toolbox"):
        yield "toolbox scale", lambda: toolbox_scaling(cal, y_cal, test)


def netcal_scaling(cal: np.ndarray, y_cal: np.ndarray, test: np.ndarray) -> PredictiveDistribution:
    """Return what VarianceScaling makes."""
    from netcal.regression import VarianceScaling

    model = VarianceScaling()
    model.fit((cal[:, 0], cal[:, 1]), y_cal)
    std = np.asarray(model.transform((test[:, 0], test[:, 1]))).reshape(len(test))
    return predictive_distribution(mean=test[:, 0], std=std)


def netcal_isotonic(cal: np.ndarray, y_cal: np.ndarray, test: np.ndarray) -> PredictiveDistribution:
    """Return what IsotonicRegression makes, by the quantiles of its distribution functions."""
    from netcal.regression import IsotonicRegression

    model = IsotonicRegression()
    model.fit((cal[:, 0], cal[:, 1]), y_cal)
    t, _, cdf = model.transform((test[:, 0], test[:, 1]))
    levels = (np.arange(99) + 0.5) / 99
    t, cdf = np.asarray(t)[..., 0], np.asarray(cdf)[..., 0]
    rows = [np.interp(levels, cdf[:, i], t[:, i]) for i in range(len(test))]
    return predictive_distribution(quantiles=np.array(rows), levels=levels)


def toolbox_scaling(cal: np.ndarray, y_cal: np.ndarray, test: np.ndarray) -> PredictiveDistribution:
    """Return the scale that the toolbox finds best."""
    from uncertainty_toolbox.recalibration import optimize_recalibration_ratio

    scale = optimize_recalibration_ratio(cal[:, 0], cal[:, 1], y_cal, criterion="ma_cal")
    return predictive_distribution(mean=test[:, 0], std=scale * test[:, 1])


# ---------------------------------------------------------------------- tables


def given(options: argparse.Namespace) -> None:
    """Print the ranked probability score of methods over that of given distributions."""
    n_peers = {name for name, _ in peers(np.empty((0, 2)), np.empty(0), np.empty((0, 2)))}
    ratios: dict[str, list[float]] = {name: [] for name in (*METHODS, *sorted(n_peers))}
    cells: dict[str, list[float]] = {name: [] for name in METHODS}
    worst_log, rejected = [], dict.fromkeys(("given", *METHODS), 0)
    n_splits = 0
    print(f"{'':22}{'given':>8}" + "".join(f"{name:>10}" for name in METHODS) + "   log score")
    for base in options.bases:
        for table in options.tables:
            rows: dict[str, list[float]] = {}
            logs = np.zeros((options.seeds, 2))
            seconds: dict[str, float] = {}
            for seed in range(options.seeds):
                cal, y_cal, test, y_test = predictions(base, table, seed, options.keep)
                first = DistributionCalibrator("identity", **BASES[base][1]).fit(cal, y_cal)
                before = first.predict_distribution(test)
                score = float(before.crps(y_test).mean())
                rows.setdefault("given", []).append(score)
                n_splits += 1
                rejected["given"] += _rejected(before, y_test, None)
                for method in METHODS:
                    start = time.process_time()
                    fitted = DistributionCalibrator(method, **BASES[base][1]).fit(cal, y_cal)
                    d = fitted.predict_distribution(test)
                    seconds[method] = seconds.get(method, 0.0) + time.process_time() - start
                    rows.setdefault(method, []).append(float(d.crps(y_test).mean()))
                    ratios[method].append(rows[method][-1] / score)
                    rejected[method] += _rejected(d, y_test, fitted.n_calibration_)
                    if method == "auto":
                        logs[seed] = before.log_score(y_test).mean(), d.log_score(y_test).mean()
                if base == "nets":
                    for name, fit in peers(cal, y_cal, test):
                        start = time.process_time()
                        rows.setdefault(name, []).append(_peer_score(fit, y_test))
                        ratios[name].append(rows[name][-1] / score)
                        seconds[name] = seconds.get(name, 0.0) + time.process_time() - start
            mean = {name: float(np.mean(values)) for name, values in rows.items()}
            line = f"{base + ' ' + table:22}{mean['given']:8.4f}"
            for method in METHODS:
                cells[method].append(mean[method] / mean["given"])
                line += f"{cells[method][-1]:10.4f}"
            before_log, after_log = logs.mean(axis=0)
            worst_log.append(after_log - before_log)
            print(f"{line}   {before_log:.3f} -> {after_log:.3f}", flush=True)
            for name in sorted(n_peers & rows.keys()):
                shown = " ".join(
                    f"{value / given:.4f}"
                    for value, given in zip(rows[name], rows["given"], strict=True)
                )
                print(f"    {name}: {shown}  ({seconds[name] / options.seeds:.3f} s)")
    print(f"\n{'':22}" + "".join(f"{name:>10}" for name in METHODS))
    _summary("mean change, cells", [100 * (np.mean(cells[m]) - 1) for m in METHODS])
    _summary("worst cell", [100 * (max(cells[m]) - 1) for m in METHODS])
    _summary("mean change, splits", [100 * (np.mean(ratios[m]) - 1) for m in METHODS])
    _summary("worst split", [100 * (max(ratios[m]) - 1) for m in METHODS])
    _summary("not uniform", [100 * rejected[m] / n_splits for m in METHODS])
    print(f"given: not uniform {100 * rejected['given'] / n_splits:.1f} % of {n_splits} splits")
    print(f"auto: largest change of the log score of a cell {max(worst_log):+.4f}")


def _summary(name: str, values: list[float]) -> None:
    print(f"{name + ' (%)':22}" + "".join(f"{value:+10.2f}" for value in values))


def _rejected(d: PredictiveDistribution, y: np.ndarray, n_calibration: int | None) -> bool:
    pit = d.pit(y, random_state=0)
    return pit_uniformity(pit, n_calibration).p_value < 0.05


def _peer_score(fit: Recalibrated, y: np.ndarray) -> float:
    """Return the mean score of a peer; nan where it fails."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return float(fit().crps(y).mean())
    except Exception as error:  # what other packages raise is theirs
        print(f"    {type(error).__name__}: {str(error)[:70]}", file=sys.stderr)
        return float("nan")


def times(options: argparse.Namespace) -> None:
    """Print the time of fits of 100,000 rows and of answers."""
    rng = np.random.default_rng(0)
    n = 100_000
    mean, std = rng.normal(size=n), np.exp(0.5 * rng.normal(size=n))
    X, y = (
        np.column_stack([mean, std]),
        mean + 1.7 * std * rng.standard_t(4, n) + rng.normal(size=n),
    )
    levels = np.arange(1, 20) / 20
    wide = mean[:, None] + std[:, None] * norm.ppf(levels)
    print(
        f"{'CPU s':12}{'fit normal':>12}{'fit quantiles':>15}{'CRPS':>9}{'99 quantiles':>14}"
        f"{'cdf':>9}"
    )
    for method in METHODS:
        fit_time, cal = _timed(lambda m=method: DistributionCalibrator(m).fit(X, y))
        other = DistributionCalibrator(method, input="quantiles", levels=levels)
        wide_time, _ = _timed(lambda other=other: other.fit(wide, y))
        d = cal.predict_distribution(X[:10_000])
        answers = (
            _timed(lambda d=d: d.crps(y[:10_000]))[0],
            _timed(lambda d=d: d.quantile(np.arange(1, 100) / 100))[0],
            _timed(lambda d=d: d.cdf(y[:10_000, None]))[0],
        )
        crps, quantile, cdf = answers
        print(f"{method:12}{fit_time:12.4f}{wide_time:15.4f}{crps:9.4f}{quantile:14.4f}{cdf:9.4f}")


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return the least CPU time of three calls, and the answer."""
    seconds, out = [], None
    for _ in range(3):
        start = time.process_time()
        out = call()
        seconds.append(time.process_time() - start)
    return min(seconds), out


def never_harm(options: argparse.Namespace) -> None:
    """Print the change of the score of distributions that are calibrated already, in percent."""
    print(f"{'n':>6}" + "".join(f"{name:>18}" for name in METHODS) + "   equal, log-normal std")
    for n in (10, 30, 100, 300, 1000):
        line = f"{n:6d}"
        for method in METHODS:
            for spread in (0.0, 0.7):
                changes = []
                for run in range(options.runs):
                    rng = np.random.default_rng(run)
                    X = np.column_stack([rng.normal(size=n), np.exp(spread * rng.normal(size=n))])
                    y = X[:, 0] + X[:, 1] * rng.normal(size=n)
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore", CalibWarning)
                        cal = DistributionCalibrator(method).fit(X, y)
                    new = np.column_stack([np.zeros(2000), np.exp(spread * rng.normal(size=2000))])
                    drawn = new[:, 1] * rng.normal(size=2000)
                    before = predictive_distribution(mean=new[:, 0], std=new[:, 1]).crps(drawn)
                    after = cal.predict_distribution(new).crps(drawn)
                    changes.append(100 * (after.mean() / before.mean() - 1))
                line += f"{np.mean(changes):+9.2f}"
        print(line, flush=True)


def systems(options: argparse.Namespace) -> None:
    """Print distributions around a regressor beside crepes."""
    for base in predictive_system.BASES:
        predictive_system.quality_table(base, predictive_system.SETS, options.seeds)


PARTS = {"systems": systems, "given": given, "times": times, "never_harm": never_harm}


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.distributions", description=__doc__)
    parser.add_argument("part", nargs="?", choices=sorted(PARTS), help="one part (all)")
    parser.add_argument("--tables", nargs="+", default=TABLES, choices=TABLES)
    parser.add_argument("--bases", nargs="+", default=tuple(BASES), choices=tuple(BASES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.filterwarnings("ignore", message="y repeats few values")
        for part in PARTS if options.part is None else [options.part]:
            PARTS[part](options)


if __name__ == "__main__":
    main()
