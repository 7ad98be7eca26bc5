"""Split-point correction against temperature, and its doubt score against others under shift.

``python -m benchmarks.split_point_shifts [--seeds 5]`` prints the two tables of
``docs/papers/split_point.md``. Wine needs the shared data folder beside the repository.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from scipy.special import logsumexp, softmax
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import NearestNeighbors
from sklearn.neural_network import MLPClassifier

from calib import SplitPointCalibrator, TemperatureCalibrator
from calib.evaluation import expected_calibration_error

WINE = Path(__file__).resolve().parents[2] / "shared" / "data" / "regression" / "wine_red.csv.gz"
HEADS = ("ridge", "hgb", "torch")


@dataclass(frozen=True)
class Part:
    """Inputs, hidden activations, logits and labels of some samples."""

    X: np.ndarray
    hidden: np.ndarray
    logits: np.ndarray
    y: np.ndarray

    def columns(self, features: str) -> np.ndarray:
        """Return logits followed by the named features."""
        extra = {"none": self.X[:, :0], "inputs": self.X, "hidden": self.hidden}[features]
        return np.hstack([self.logits, extra])


def run(model: MLPClassifier, X: np.ndarray, y: np.ndarray | None = None) -> Part:
    """Run the layers of a rectifier network."""
    *inner, (weights, bias) = zip(model.coefs_, model.intercepts_, strict=True)
    hidden = X
    for w, b in inner:
        hidden = np.maximum(hidden @ w + b, 0.0)
    return Part(X, hidden, hidden @ weights + bias, np.zeros(len(X), int) if y is None else y)


def train(X: np.ndarray, y: np.ndarray, seed: int, epochs: int, rate: float) -> MLPClassifier:
    """Train far beyond need, so that the network is over-confident."""
    model = MLPClassifier((128, 64), alpha=0.0, learning_rate_init=rate, random_state=seed)
    for _ in range(epochs):
        model.partial_fit(X, y, classes=np.unique(y))
    return model


Split = tuple[MLPClassifier, Part, Part, Part, np.ndarray]


def digits(seed: int, known: int = 10) -> Split:
    """Return the network, its training, calibration and test part, and the digits >= `known`."""
    X, y = load_digits(return_X_y=True)
    X, others = X[y < known] / 16, X[y >= known] / 16
    y = y[y < known]
    a, b, c, d = train_test_split(X, y, train_size=500, stratify=y, random_state=seed)
    b, t, d, u = train_test_split(b, d, test_size=0.5, stratify=d, random_state=seed)
    model = train(a, c, seed, epochs=150, rate=0.005)
    return model, run(model, a, c), run(model, b, d), run(model, t, u), others


def wine(seed: int) -> Split:
    """Return 800 training, 350 calibration, 449 test rows of red wine, quality in four groups."""
    table = np.genfromtxt(WINE, delimiter=",", skip_header=1)
    X, y = table[:, :-1], np.digitize(table[:, -1], [4.5, 5.5, 6.5])
    a, b, c, d = train_test_split(X, y, train_size=800, stratify=y, random_state=seed)
    b, t, d, u = train_test_split(b, d, train_size=350, stratify=d, random_state=seed)
    centre, unit = a.mean(axis=0), a.std(axis=0)
    a, b, t = ((part - centre) / unit for part in (a, b, t))
    model = train(a, c, seed, epochs=60, rate=0.003)
    return model, run(model, a, c), run(model, b, d), run(model, t, u), X[:0]


def quality(p: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Return log loss, expected calibration error and accuracy; rows need not sum to 1."""
    picked = np.clip(p[np.arange(len(y)), y], 1e-12, None)
    legal = np.clip(p, 0, 1)
    legal /= legal.sum(axis=1, keepdims=True)
    error = expected_calibration_error(y, legal)
    return float(-np.log(picked).mean()), float(error), float((p.argmax(axis=1) == y).mean())


def methods() -> Iterator[tuple[str, str, dict[str, object]]]:
    """Yield the rows of the first table: name, features, parameters."""
    yield "tempered scores, not corrected", "none", {"shrinkage": 1.0}
    for features in ("none", "inputs", "hidden"):
        yield f"ridge, {features}", features, {}
    yield "ridge, hidden, no shrinkage", "hidden", {"shrinkage": 0.0}
    yield "ridge, hidden, untempered", "hidden", {"split_point": "scores"}
    for heads in ("hgb", "torch"):
        yield f"{heads}, hidden", "hidden", {"heads": heads}
    yield "authors, torch, hidden", "hidden", {"heads": "torch", "mode": "authors"}


def calibration_table(n_seeds: int) -> None:
    """Print log loss relative to temperature scaling (mean, worst), calibration error, accuracy."""
    print("| data | method | log loss / temperature: mean | worst | ECE | accuracy | fit s |")
    print("|---|---|---|---|---|---|---|")
    for name, make in (("digits", digits), ("wine", wine)):
        if name == "wine" and not WINE.exists():
            continue
        rows: dict[str, list[tuple[float, ...]]] = defaultdict(list)
        for seed in range(n_seeds):
            _, _, cal, test, _ = make(seed)
            tempered = TemperatureCalibrator(input="logits").fit(cal.logits, cal.y)
            base = quality(tempered.transform(test.logits), test.y)[0]
            loss, *rest = quality(softmax(test.logits, axis=1), test.y)
            rows["raw scores"].append((loss / base, *rest, 0.0))
            for label, features, options in methods():
                method = SplitPointCalibrator(
                    input="logits", n_scores=cal.logits.shape[1], random_state=seed, **options
                )
                start = time.perf_counter()
                method.fit(cal.columns(features), cal.y)
                taken = time.perf_counter() - start
                loss, *rest = quality(method.transform(test.columns(features)), test.y)
                rows[label].append((loss / base, *rest, taken))
        for label, found in rows.items():
            ratio, error, accuracy, seconds = np.array(found).T
            print(
                f"| {name} | {label} | {ratio.mean():.3f} | {ratio.max():.3f} | "
                f"{error.mean():.3f} | {accuracy.mean():.3f} | {seconds.mean():.2f} |"
            )


def shifts(test: Part, others: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Return the inputs of the four shifts."""
    rng = np.random.default_rng(seed)
    return {
        "unseen classes 8, 9": others,
        "uniform noise": rng.random(test.X.shape),
        "shuffled pixels": rng.permuted(test.X, axis=1),
        "test + noise 0.3": test.X + 0.3 * rng.normal(size=test.X.shape),
    }


def fit_doubts(known: Part, cal: Part, seed: int) -> dict[str, SplitPointCalibrator]:
    """Fit heads on the calibration part, and on the training part as the authors do."""
    fitted = {}
    for heads, features in product(HEADS, ("hidden", "inputs")):
        for where, part, split_point in (
            ("calibration rows", cal, "tempered"),
            ("training rows", known, "scores"),
        ):
            method = SplitPointCalibrator(
                input="logits",
                n_scores=part.logits.shape[1],
                heads=heads,
                split_point=split_point,
                shrinkage=1.0,
                random_state=seed,
            )
            fitted[f"{heads}, {features}, {where}"] = method.fit(part.columns(features), part.y)
    return fitted


def doubts(
    known: Part, fitted: dict[str, SplitPointCalibrator], new: Part
) -> dict[str, np.ndarray]:
    """Return scores of doubt by name, larger for more doubtful."""
    p = softmax(new.logits, axis=1)
    found = {
        "entropy": -(p * np.log(p + 1e-300)).sum(axis=1),
        "energy": -logsumexp(new.logits, axis=1),
    }
    pairs = {"hidden": (known.hidden, new.hidden), "inputs": (known.X, new.X)}
    for name, (memory, query) in pairs.items():
        neighbours = NearestNeighbors(n_neighbors=10).fit(memory)
        found[f"10-NN distance, {name}"] = neighbours.kneighbors(query)[0][:, -1]
    for key, method in fitted.items():
        found[f"SDS {key}"] = method.uncertainty(new.columns(key.split(", ")[1]))
    return found


def shift_table(n_seeds: int) -> None:
    """Print the area under the ROC curve of each score for test samples against shifted ones."""
    rows: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for seed in range(n_seeds):
        model, known, cal, test, others = digits(seed, known=8)
        fitted = fit_doubts(known, cal, seed)
        inside = doubts(known, fitted, test)
        for shift, X in shifts(test, others, seed).items():
            outside = doubts(known, fitted, run(model, X))
            for name, values in inside.items():
                labels = np.repeat([0, 1], [len(values), len(X)])
                area = roc_auc_score(labels, np.concatenate([values, outside[name]]))
                rows[name][shift].append(float(area))
    names = list(next(iter(rows.values())))
    print("| score | " + " | ".join(names) + " |")
    print("|---" * (len(names) + 1) + "|")
    for score, found in rows.items():
        cells = [f"{np.mean(v):.3f} ± {np.std(v):.3f}" for v in found.values()]
        print(f"| {score} | " + " | ".join(cells) + " |")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="repetitions (%(default)s)")
    n_seeds = parser.parse_args().seeds
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        calibration_table(n_seeds)
        print()
        shift_table(n_seeds)


if __name__ == "__main__":
    main()
