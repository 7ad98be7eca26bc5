"""Probes of hidden states: which layer is chosen by which ranking, what is left of noise, and time.

``python -m benchmarks.probe [--only layers noise digits size] [--repeats 5] [--folder F]`` prints
one table per part. CPU seconds of one thread. ``size`` writes 2.6 GB of states into the folder,
reads them as a memory map, and is left out unless it is named.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from calib.evaluation import expected_calibration_error
from uq import HiddenStateProbe
from uq.correctness.readouts import area, choice, judging_pairs, layer_areas, left_out

Data = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # states and answers, then new ones

# ------------------------------------------------------------------------------------------- data


def layered(
    n: int, d: int, n_layers: int, gain: float, *, across: bool, seed: int, n_new: int = 2000
) -> Data:
    """A signal that is largest in the middle; `across`: at right angles to strong directions."""
    rng = np.random.default_rng(seed)
    correct = rng.integers(0, 2, n + n_new)
    H = np.empty((n + n_new, n_layers, d), dtype=np.float32)
    n_strong = max(4, d // 16)
    for layer in range(n_layers):
        strong = rng.normal(size=(n_strong, d))
        spread = 0.2 * np.arange(1, n_strong + 1) ** -0.7 * np.sqrt(d)
        X = (rng.normal(size=(len(correct), n_strong)) * spread) @ strong
        X += rng.normal(size=X.shape)
        signal = rng.normal(size=d)
        if across:
            basis, _ = np.linalg.qr(strong.T)
            signal -= basis @ (basis.T @ signal)
        size = gain * np.exp(-0.5 * ((layer - n_layers // 2) / (n_layers / 5)) ** 2)
        H[:, layer] = X + size * np.outer(correct - 0.5, signal / np.linalg.norm(signal))
    return H[:n], correct[:n], H[n:], correct[n:]


def digits(seed: int, n_train: int = 500) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Pixels and three hidden layers of a network trained on noisy labels; right; largest proba."""
    X, labels = load_digits(return_X_y=True)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(X))
    X, labels = X[order] / 16, labels[order]
    noisy = np.where(rng.random(n_train) < 0.5, rng.integers(10, size=n_train), labels[:n_train])
    network = MLPClassifier((64, 64, 64), random_state=seed, max_iter=150)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network.fit(X[:n_train], noisy)
    layers = [X[n_train:]]
    for weights, offset in zip(network.coefs_[:-1], network.intercepts_[:-1], strict=True):
        layers.append(np.maximum(layers[-1] @ weights + offset, 0))
    proba = network.predict_proba(X[n_train:])
    return layers, (proba.argmax(axis=1) == labels[n_train:]).astype(int), proba.max(axis=1)


def digits_states(seed: int) -> Data:
    layers, correct, _ = digits(seed)
    H = np.stack(layers, axis=1).astype(np.float32)
    return H[:700], correct[:700], H[700:], correct[700:]


# --------------------------------------------------------------------------------------- rankings


def by_path(X: np.ndarray, y: np.ndarray, fold: np.ndarray) -> float:
    fits = left_out(fold, nested=True)  # as in a fit: single folds and pairs
    return float(choice(layer_areas(X, y, fits), judging_pairs(fold, y))[0].max())


def by_means(X: np.ndarray, y: np.ndarray, fold: np.ndarray) -> float:
    fits = left_out(fold, nested=True)
    return float(choice(layer_areas(X, y, fits), judging_pairs(fold, y))[0][0])


def by_ridge(X: np.ndarray, y: np.ndarray, fold: np.ndarray) -> float:
    """Exact ridge regression at three penalties, from Gram matrices of folds."""
    parts = [X[fold == k].T @ X[fold == k] for k in range(fold.max() + 1)]
    pairs, out = judging_pairs(fold, y), np.zeros((3, len(parts)))
    for k in range(len(parts)):
        rows = fold != k
        target = X[rows].T @ (y[rows] - y[rows].mean()).astype(X.dtype)
        for place, penalty in enumerate((0.01, 0.1, 1.0)):
            gram = sum(part for j, part in enumerate(parts) if j != k)
            gram[np.diag_indices(len(gram))] += penalty * rows.sum()
            out[place, k] = area(X[~rows] @ cho_solve(cho_factor(gram), target), y[~rows])
    return float((out @ pairs / pairs.sum()).max())


def by_logistic(X: np.ndarray, y: np.ndarray, fold: np.ndarray) -> float:
    """What the probe itself reports of the layer."""
    splits = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(5)]
    return float(HiddenStateProbe(cv=splits, calibrator=None).fit(X, y).auroc_)


RANKINGS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], float]] = {
    "difference of means": by_means,
    "least-squares path (kept)": by_path,
    "ridge, Cholesky per fold": by_ridge,
    "logistic, C by folds": by_logistic,
}
SETS: dict[str, Callable[[int], Data]] = {
    "digits network, 4 x 64, n 700": digits_states,
    "12 x 256, n 1000": lambda seed: layered(1000, 256, 12, 1.2, across=False, seed=seed),
    "the same, signal across": lambda seed: layered(1000, 256, 12, 1.2, across=True, seed=seed),
    "12 x 1024, n 300, across": lambda seed: layered(300, 1024, 12, 4.0, across=True, seed=seed),
    "8 x 1024, n 3000, across": lambda seed: layered(3000, 1024, 8, 1.0, across=True, seed=seed),
}


def layers_table(repeats: int) -> None:
    """Area lost on new rows by the choice, against the best layer in hindsight, and CPU seconds."""
    for name, make in SETS.items():
        lost = {ranking: np.zeros(repeats) for ranking in RANKINGS}
        spent = dict.fromkeys(RANKINGS, 0.0)
        best = np.zeros(repeats)
        for seed in range(repeats):
            H, correct, new, truth = make(seed)
            fold = np.empty(len(correct), dtype=int)
            for k, (_, test) in enumerate(StratifiedKFold(5).split(H[:, 0], correct)):
                fold[test] = k
            real = np.zeros(H.shape[1])
            scores = {ranking: np.zeros(H.shape[1]) for ranking in RANKINGS}
            for layer in range(H.shape[1]):
                probe = HiddenStateProbe(layer=layer, calibrator=None).fit(H, correct)
                real[layer] = roc_auc_score(truth, probe.decision_function(new))
                X = H[:, layer] - H[:, layer].mean(axis=0)
                spread = X.std(axis=0)
                X /= np.where(spread > 0, spread, 1)
                for ranking, rank in RANKINGS.items():
                    start = time.process_time()
                    scores[ranking][layer] = rank(X, correct.astype(float), fold)
                    spent[ranking] += time.process_time() - start
            best[seed] = real.max()
            for ranking in RANKINGS:
                lost[ranking][seed] = real.max() - real[scores[ranking].argmax()]
        print(f"\n{name}: best layer {best.mean():.3f}")
        for ranking in RANKINGS:
            each = spent[ranking] / repeats / H.shape[1]
            print(
                f"  {ranking:<28}lost {lost[ranking].mean():.4f}, at most "
                f"{lost[ranking].max():.4f}; {each:8.4f} CPU s a layer"
            )


def noise_table(repeats: int) -> None:
    """Answers that have nothing to do with the states."""
    print("\nn, d, layers     auroc_ (s.e.)      largest layer score   sd of new probabilities")
    for n, d, n_layers in ((200, 20, 1), (200, 50, 24), (100, 400, 8), (1000, 64, 32)):
        areas, largest, spread = [], [], []
        for seed in range(repeats * 4):
            rng = np.random.default_rng(seed)
            H, correct = rng.normal(size=(n + 1000, n_layers, d)), rng.random(n) < 0.6
            probe = HiddenStateProbe().fit(H[:n], correct)
            areas.append(probe.auroc_)
            largest.append(probe.layer_scores_.max())
            spread.append(probe.predict_proba(H[n:])[:, 1].std())
        error = np.std(areas) / np.sqrt(len(areas))
        print(
            f"{n:5} {d:4} {n_layers:3}     {np.mean(areas):.3f} ({error:.3f})        "
            f"{np.mean(largest):.3f}                {np.mean(spread):.3f}"
        )


def digits_table(repeats: int) -> None:
    """Area and calibration error on new answers of networks of digits."""
    print(f"\n{'readout':<34}{'area':>7}{'ECE':>8}{'auroc_':>9}{'CPU s':>9}")
    options = {
        "linear": {},
        "linear, all layers joined": {"joined": True},
        "network (32,), C=1": {"hidden": (32,), "C": 1.0, "random_state": 0},
    }
    rows: dict[str, list[list[float]]] = {}
    for seed in range(repeats):
        layers, correct, largest = digits(seed)
        new = correct[800:]
        rows.setdefault("maximum probability", []).append(
            [roc_auc_score(new, largest[800:]), expected_calibration_error(new, largest[800:])]
        )
        for name, given in options.items():
            chosen = dict(given)
            joined = chosen.pop("joined", False)
            H = np.concatenate(layers, axis=1) if joined else np.stack(layers[1:], axis=1)
            start = time.process_time()
            probe = HiddenStateProbe(**chosen).fit(H[:800], correct[:800])
            spent = time.process_time() - start
            right = probe.predict_proba(H[800:])[:, 1]
            error = expected_calibration_error(new, right)
            rows.setdefault(name, []).append(
                [roc_auc_score(new, right), error, probe.auroc_, spent]
            )
    for name, values in rows.items():
        means = np.mean(values, axis=0)
        print(f"{name:<34}{means[0]:7.3f}{means[1]:8.3f}", end="")
        print("".join(f"{v:9.3f}" for v in means[2:]))


def size_table(folder: Path, n: int = 10_000, d: int = 4096, n_layers: int = 32) -> None:
    """CPU seconds and resident memory of a fit to a memory map of float16 states."""
    rng = np.random.default_rng(0)
    correct = rng.random(n) < 0.65
    H = np.memmap(folder / "states.f16", dtype=np.float16, mode="w+", shape=(n, n_layers, d))
    signal = rng.normal(size=d).astype(np.float32) / np.sqrt(d)
    strong = rng.normal(size=(64, d)).astype(np.float32) * 0.4
    for layer in range(n_layers):
        X = rng.standard_normal((n, d), dtype=np.float32)
        X += rng.standard_normal((n, 64), dtype=np.float32) @ strong
        size = 3 * np.exp(-0.5 * ((layer - 18) / 6) ** 2)
        H[:, layer] = X + np.float32(size) * (correct[:, None] - np.float32(0.65)) * signal
    H.flush()
    start = time.process_time()
    probe = HiddenStateProbe().fit(H, correct)
    spent = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"\nn {n}, d {d}, layers {n_layers}: {spent:.0f} CPU s, peak {peak:.1f} GB resident, ",
        end="",
    )
    print(f"layer {probe.layer_}, auroc_ {probe.auroc_:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=["layers", "noise", "digits"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    tables = {"layers": layers_table, "noise": noise_table, "digits": digits_table}
    with threadpool_limits(1):
        for name in options.only:
            if name != "size":
                tables[name](options.repeats)
                continue
            with tempfile.TemporaryDirectory(dir=options.folder) as folder:
                size_table(Path(folder))


if __name__ == "__main__":
    main()
