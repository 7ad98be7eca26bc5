"""Split-point intervals beside conformal peers, and self-consistency beside distances under shift.

``python -m benchmarks.split_point_regression [--seeds 3] [--only intervals] [--sets concrete]``
prints three tables (about ten minutes on one core). It needs the shared data folder beside the
repository; crepes is left out where it is not installed.

Intervals: 60 % training, 20 % calibration, 20 % test, histogram gradient boosting as the base, at
most 3,000 rows, target standardised, level 0.90; rows without conformal step train on 80 %. Shift:
a network of 50 units as the base.
"""

from __future__ import annotations

import argparse
import logging
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import NearestNeighbors
from sklearn.neural_network import MLPRegressor

from calib.evaluation import interval_coverage, interval_quality
from uq import InSampleResidualsWarning, SplitPointRegressor

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "regression"
SETS = ("concrete", "wine_red", "power_plant", "protein")
LEVEL = 0.9
MOST_ROWS = 3000
#: Split-point rows of the table: name and parameters.
VARIANTS: dict[str, dict[str, Any]] = {
    "split-point, default (each side)": {},
    "split-point, one factor": {"conformal": "joint"},
    "split-point, not conformal": {"conformal": "none"},
    "split-point, not conformal, in-sample residuals": {"conformal": "none", "residuals": "train"},
    "split-point, inflation capped at 2, not conformal": {"conformal": "none", "inflation_cap": 2},
    "split-point, inflation capped at 2": {"inflation_cap": 2},
}


def load(name: str, seed: int, most: int = MOST_ROWS) -> tuple[np.ndarray, np.ndarray]:
    """Return features and the standardised target of a random subset."""
    table = np.genfromtxt(DATA / f"{name}.csv.gz", delimiter=",", skip_header=1)
    if len(table) > most:
        table = table[np.random.default_rng(seed).permutation(len(table))[:most]]
    X, y = table[:, :-1], table[:, -1]
    return X, (y - y.mean()) / y.std()


def boosting(**options: Any) -> HistGradientBoostingRegressor:
    return HistGradientBoostingRegressor(random_state=0, early_stopping=False, **options)


# ---------------------------------------------------------------------- intervals

Fitted = Callable[[np.ndarray], np.ndarray]


def peers(
    model: Any, X: np.ndarray, y: np.ndarray, X_cal: np.ndarray, y_cal: np.ndarray
) -> Iterator[tuple[str, Callable[[], Fitted]]]:
    """Yield name and fit of the peers; the base is trained already."""
    from mapie.conformity_scores import ResidualNormalisedScore
    from mapie.regression import ConformalizedQuantileRegressor, SplitConformalRegressor

    def mapie(score: Any) -> Fitted:
        method = SplitConformalRegressor(
            model, confidence_level=LEVEL, conformity_score=score, prefit=True
        )
        method.conformalize(X_cal, y_cal)
        return lambda new: np.asarray(method.predict_interval(new)[1][:, :, 0])

    def quantiles() -> Fitted:
        levels = ((1 - LEVEL) / 2, (1 + LEVEL) / 2, 0.5)
        models = [boosting(loss="quantile", quantile=q).fit(X, y) for q in levels]
        method = ConformalizedQuantileRegressor(models, confidence_level=LEVEL, prefit=True)
        method.conformalize(X_cal, y_cal)
        return lambda new: np.asarray(method.predict_interval(new)[1][:, :, 0])

    yield "MAPIE, split conformal", lambda: mapie("absolute")
    yield "MAPIE, CQR", quantiles
    yield (
        "MAPIE, normalised (half of the calibration rows)",
        lambda: mapie(ResidualNormalisedScore(boosting(), random_state=0, sym=True)),
    )
    if find_spec("crepes") is None:
        return
    from crepes import WrapRegressor
    from crepes.extras import DifficultyEstimator

    def crepes(**options: Any) -> Fitted:
        wrapped = WrapRegressor(model)
        estimator = DifficultyEstimator().fit(X=X, **options)
        wrapped.calibrate(X_cal, y_cal, de=estimator)
        return lambda new: np.asarray(wrapped.predict_int(new, confidence=LEVEL))

    yield (
        "crepes, normalised by neighbours' in-sample residuals",
        lambda: crepes(residuals=y - model.predict(X), scaler=True),
    )


def normalised(method: SplitPointRegressor, X_cal: np.ndarray, y_cal: np.ndarray) -> Fitted:
    """Scale by the total mean residual of fitted heads; the calibration rows are theirs."""
    sizes = np.abs(y_cal - method.predict(X_cal)) / method.mean_residuals(X_cal).total
    rank = int(np.ceil((len(sizes) + 1) * LEVEL - 1e-9))
    factor = np.sort(sizes)[rank - 1]

    def predict(X: np.ndarray) -> np.ndarray:
        point, width = method.predict(X), factor * method.mean_residuals(X).total
        return np.stack([point - width, point + width], axis=1)

    return predict


def quality(interval: np.ndarray, y: np.ndarray, point: np.ndarray) -> list[float]:
    """Return coverage, that of either side, mean width, interval score, worst third by width."""
    low, high = interval.T
    above = y > point
    whole = interval_quality(y, low, high, confidence_level=LEVEL)
    return [
        whole.coverage,
        interval_coverage(y[above], low[above], high[above]),
        interval_coverage(y[~above], low[~above], high[~above]),
        whole.mean_width,
        whole.mean_score,
        float(np.min(whole.tercile_coverage)),
    ]


def interval_rows(name: str, seed: int) -> Iterator[tuple[str, list[float]]]:
    """Yield one row per method: quality and seconds of the fit, training of the base aside."""
    X, y = load(name, seed)
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.2, random_state=seed)
    default = SplitPointRegressor(boosting(), random_state=seed, sds_heads=None)
    for label, options in VARIANTS.items():
        method = SplitPointRegressor(boosting(), random_state=seed, sds_heads=None, **options)
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InSampleResidualsWarning)
            method.fit(X, y)
        taken = time.perf_counter() - start
        found = quality(method.predict_interval(X_test), y_test, method.predict(X_test))
        yield label, [*found, taken]
        if label.startswith("split-point, default"):
            default = method
    # the peers get the base and the rows of the default
    held = default.calibration_rows_
    rest = np.setdiff1d(np.arange(len(y)), held)
    base = default.estimator_
    point = base.predict(X_test)
    found = quality(normalised(default, X[held], y[held])(X_test), y_test, point)
    yield "normalised by the mean-residual head", [*found, np.nan]
    for label, fit in peers(base, X[rest], y[rest], X[held], y[held]):
        start = time.perf_counter()
        predict = fit()
        taken = time.perf_counter() - start
        yield label, [*quality(predict(X_test), y_test, point), taken]


def interval_table(names: Sequence[str], n_seeds: int) -> None:
    """Print means over the seeds."""
    columns = ("data", "method", "coverage", "above", "below", "width", "interval score")
    print("| " + " | ".join((*columns, "worst third", "fit s")) + " |")
    print("|---" * (len(columns) + 2) + "|")
    for name in names:
        rows: dict[str, list[list[float]]] = defaultdict(list)
        for seed in range(n_seeds):
            for label, found in interval_rows(name, seed):
                rows[label].append(found)
        for label, found in rows.items():
            cells = " | ".join(f"{value:.3f}" for value in np.mean(found, axis=0))
            print(f"| {name} | {label} | {cells} |", flush=True)


# ---------------------------------------------------------------------- side probability


def side_table(names: Sequence[str], n_seeds: int) -> None:
    """Print the log loss of the probability that a label lies above its prediction."""
    print("| data | constant share | head | d / (u + d) | (m - d) / (u - d) |")
    print("|---|---|---|---|---|")
    for name in names:
        losses = []
        for seed in range(n_seeds):
            X, y = load(name, seed)
            X, X_test, y, y_test = train_test_split(X, y, test_size=0.2, random_state=seed)
            method = SplitPointRegressor(boosting(), random_state=seed, sds_heads=None).fit(X, y)
            above = y_test > method.predict(X_test)
            means = method.mean_residuals(X_test)
            m, u, d = means.total, means.upper, means.lower
            m = np.clip(m, np.minimum(u, d), np.maximum(u, d))
            share = method.side_probability(X_test)
            shares = (np.full(len(u), share.mean()), share, d / (u + d), (m - d) / (u - d))
            clipped = [np.clip(p, 0.02, 0.98) for p in shares]
            losses.append([-np.log(np.where(above, p, 1 - p)).mean() for p in clipped])
        cells = " | ".join(f"{value:.3f}" for value in np.mean(losses, axis=0))
        print(f"| {name} | {cells} |", flush=True)


# ---------------------------------------------------------------------- shift


def hidden(model: MLPRegressor) -> Callable[[np.ndarray], np.ndarray]:
    """Return the map from inputs to the activations of the hidden layer."""
    weights, bias = model.coefs_[0], model.intercepts_[0]
    return lambda X: np.maximum(X @ weights + bias, 0.0)


def network(seed: int) -> MLPRegressor:
    return MLPRegressor(hidden_layer_sizes=(50,), max_iter=300, random_state=seed)


class Doubts:
    """Scores of doubt fitted on one training set, larger for more doubtful."""

    def __init__(self, X: np.ndarray, y: np.ndarray, seed: int) -> None:
        self.ensemble = [network(seed + 100 * i).fit(X, y) for i in range(3)]
        self.neighbours = NearestNeighbors(n_neighbors=10).fit(X)
        self.mean, self.precision = X.mean(axis=0), np.linalg.pinv(np.cov(X.T))
        build = {"network": "mlp", "ridge": "ridge", "torch": "torch"}
        self.methods = {}
        for label, heads in build.items():
            method = SplitPointRegressor(network(seed), sds_heads=heads, random_state=seed)
            self.methods[label] = method.fit(X, y)
        # one model for base and activations: residuals of rows it has not seen
        half, other, y_half, y_other = train_test_split(X, y, test_size=0.5, random_state=seed)
        frozen = network(seed).fit(half, y_half)
        self.methods["network on the hidden layer, half of the rows"] = SplitPointRegressor(
            FrozenEstimator(frozen), features=hidden(frozen), random_state=seed
        ).fit(other, y_other)

    def __call__(self, X: np.ndarray) -> dict[str, np.ndarray]:
        """Return all scores of some inputs by name."""
        out = {}
        for label, method in self.methods.items():
            out[f"SDS, {label}"] = method.self_consistency(X)
            if label == "network":
                out["SDS, network, relative"] = method.self_consistency(X, "relative")
                out["total (authors)"] = method.uncertainty(X)
                out["mean residual, trees"] = method.mean_residuals(X).total
        out["3 networks, standard deviation"] = np.std(
            [m.predict(X) for m in self.ensemble], axis=0
        )
        out["10th neighbour distance"] = self.neighbours.kneighbors(X)[0][:, -1]
        gap = X - self.mean
        out["Mahalanobis distance"] = np.einsum("ij,jk,ik->i", gap, self.precision, gap)
        return out


def shift_rows(name: str, seed: int) -> dict[str, list[float]]:
    """Return, for every score, AUROC under the three shifts and correlation with the error."""
    X, y = load(name, seed, most=4000)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    first = np.linalg.svd(X, full_matrices=False)[2][0]
    far = X @ first > np.quantile(X @ first, 0.85)
    known, test, y_known, y_test = train_test_split(
        X[~far], y[~far], test_size=0.25, random_state=seed
    )
    rng = np.random.default_rng(seed)
    shifted = (
        X[far],
        test + 2 * rng.normal(size=test.shape),
        rng.uniform(-6, 6, size=test.shape),
    )
    doubts = Doubts(known, y_known, seed)
    inside = doubts(test)
    outside = [doubts(part) for part in shifted]
    error = np.abs(y_test - doubts.methods["network"].predict(test))
    out = {}
    for label, values in inside.items():
        areas = []
        for other in outside:
            both = np.concatenate([values, other[label]])
            both = np.minimum(both, np.finfo(float).max)  # the relative form may be infinite
            which = np.repeat([0, 1], [len(values), len(other[label])])
            areas.append(float(roc_auc_score(which, both)))
        out[label] = [*areas, float(spearmanr(values, error).statistic)]
    return out


def shift_table(names: Sequence[str], n_seeds: int) -> None:
    """Print means over the seeds, and the standard deviation of the self-consistency scores."""
    print("| data | score | A: far rows | B: noise | C: uniform | correlation with the error |")
    print("|---|---|---|---|---|---|")
    for name in names:
        rows: dict[str, list[list[float]]] = defaultdict(list)
        for seed in range(n_seeds):
            for label, found in shift_rows(name, seed).items():
                rows[label].append(found)
        for label, found in rows.items():
            mean, spread = np.mean(found, axis=0), np.std(found, axis=0)
            cells = " | ".join(f"{a:.2f} ± {b:.2f}" for a, b in zip(mean, spread, strict=True))
            print(f"| {name} | {label} | {cells} |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="repetitions (%(default)s)")
    parser.add_argument(
        "--only", choices=("intervals", "side", "shift"), help="a single table (default: all)"
    )
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS, help="data (default: all)")
    given = parser.parse_args()
    if not DATA.is_dir():
        raise SystemExit("the shared data folder is absent; it stands beside the repository")
    tables = {"intervals": interval_table, "side": side_table, "shift": shift_table}
    logging.disable(logging.INFO)  # MAPIE reports every crossing of its quantiles
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for key, table in tables.items():
            if given.only in (None, key):
                table(given.sets, given.seeds)
                print()


if __name__ == "__main__":
    main()
