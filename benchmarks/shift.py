"""Class frequencies that change: adapted predictions, intervals, tests, and time, beside QuaPy.

    python -m benchmarks.shift [draws]

CIFAR-10 logits of DenseNet-40 with Dirichlet priors (5,000 calibration rows; log loss on 4,000
fresh rows of the same priors), census scores under label and covariate shift, coverage of the
intervals. QuaPy's EM with its bias-corrected scaling stands beside it where it is installed.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from calib import PriorShiftAdapter, PriorShiftWarning

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
N_FRESH = 4000


def cifar() -> tuple[np.ndarray, ...]:
    """Return logits and labels of the validation and the test set."""
    data = np.load(SHARED / "classification" / "cifar10_densenet40_logits.npz")
    return tuple(data[name] for name in ("logits_val", "labels_val", "logits_test", "labels_test"))


def drawn(labels: np.ndarray, prior: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return rows whose labels follow the prior, with repetition."""
    counts = rng.multinomial(n, prior)
    return np.concatenate(
        [rng.choice(np.flatnonzero(labels == k), count) for k, count in enumerate(counts)]
    )


def log_loss(p: np.ndarray, y: np.ndarray) -> float:
    """Return the mean log loss."""
    return float(-np.log(np.maximum(p[np.arange(len(y)), y], 1e-38)).mean())


def losses(n_draws: int) -> None:
    """Print the log loss without adaptation, by QuaPy, and adapted."""
    z, y, new, labels = cifar()
    cal = PriorShiftAdapter(input="logits").fit(z, y)
    for alpha, n in [(None, 100), (None, 1000), (1, 100), (1, 1000), (1, 5000)] + [
        (0.1, n) for n in (100, 1000, 5000)
    ]:
        rows, seconds, n_refused = [], 0.0, 0
        for draw in range(n_draws):
            rng = np.random.default_rng(draw)
            prior = np.full(10, 0.1) if alpha is None else rng.dirichlet(np.full(10, alpha))
            target, fresh = (drawn(labels, prior, size, rng) for size in (n, N_FRESH))
            start = time.process_time()
            adapted = cal.adapt(new[target])
            seconds += time.process_time() - start
            n_refused += not adapted.adapted_
            before = log_loss(cal.transform(new[fresh]), labels[fresh])
            after = log_loss(adapted.transform(new[fresh]), labels[fresh])
            error = float(((adapted.prior_ - prior) ** 2).sum())
            rows.append([before, after, after - before, error])
        table = np.array(rows)
        print(
            f"alpha {alpha or 'none':>4}  n {n:5d}  none {table[:, 0].mean():.4f}  adapted "
            f"{table[:, 1].mean():.4f}  worst change {table[:, 2].max():+.4f}  squared error "
            f"{table[:, 3].mean():.5f}  refused {n_refused / n_draws:.2f}  "
            f"{1e3 * seconds / n_draws:.1f} ms"
        )


def census() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return log-odds, labels and ages of people that took no part in training."""
    data = np.load(SHARED / "groups" / "employment_ma_2015.npz")
    rows = data["split"] > 0
    return (
        data["score_boosting"][rows].astype(float),
        data["employed"][rows].astype(int),
        data["features"][rows, 0],
    )


def draws_of_census(kind: str, n_draws: int) -> Iterator[tuple[PriorShiftAdapter, float, float]]:
    """Yield the adapter, and the log loss before and after, of shifted batches of 2,000 people."""
    s, y, age = census()
    for draw in range(n_draws):
        rng = np.random.default_rng(draw)
        order = rng.permutation(len(y))
        fit, pool = order[:5000], order[5000:]
        cal = PriorShiftAdapter("platt", input="logits").fit(s[fit], y[fit])
        weight = {
            "label x3": np.where(y[pool] == 1, 3.0, 1.0),
            "label x1/3": np.where(y[pool] == 1, 1 / 3, 1.0),
            "young": np.where(age[pool] < 40, 5.0, 1.0),
            "old": np.where(age[pool] > 60, 5.0, 1.0),
            "under 20": (age[pool] < 20).astype(float),
            "none": np.ones(len(pool)),
        }[kind]
        batch = rng.choice(pool, 2000, p=weight / weight.sum())
        adapted = cal.adapt(s[batch])
        yield (
            adapted,
            log_loss(cal.transform(s[batch]), y[batch]),
            log_loss(adapted.transform(s[batch]), y[batch]),
        )


def kinds_of_shift(n_draws: int) -> None:
    """Print which shifts are adapted to, and what that changes."""
    for kind in ("none", "label x3", "label x1/3", "young", "old", "under 20"):
        found = list(draws_of_census(kind, n_draws))
        share = np.mean([adapter.adapted_ for adapter, _, _ in found])
        before, after = np.mean([row[1:] for row in found], axis=0)
        print(f"census, {kind:10s}  adapted {share:.2f}  log loss {before:.4f} -> {after:.4f}")


def coverage(n_draws: int) -> None:
    """Print how often intervals hold the prior, and the level of the test of shift."""
    z, y, new, labels = cifar()
    for n_fit in (500, 5000):
        for n in (100, 1000, 5000):
            held, rejected = [], []
            for draw in range(n_draws):
                rng = np.random.default_rng(draw)
                fit = rng.permutation(len(y))[:n_fit]
                cal = PriorShiftAdapter(input="logits").fit(z[fit], y[fit])
                prior = rng.dirichlet(np.full(10, 1.0))
                adapted = cal.adapt(new[drawn(labels, prior, n, rng)])
                low, high = adapted.prior_interval_.T
                held.append(((low <= prior) & (prior <= high)).mean())
                even = cal.adapt(new[drawn(labels, np.full(10, 0.1), n, rng)])
                rejected.append(even.shift_test_.p_value < 0.05)
            print(
                f"fitted to {n_fit}, n {n:4d}: intervals hold {np.mean(held):.3f}, shift test "
                f"rejects {np.mean(rejected):.3f} without shift"
            )


def quapy(n_draws: int) -> None:
    """Print the same of QuaPy's EM, and its time."""
    try:
        import quapy as qp
        from quapy.method.aggregative import EMQ
    except ImportError:
        print("QuaPy is not installed; it takes no part")
        return
    from sklearn.base import BaseEstimator, ClassifierMixin

    class Saved(ClassifierMixin, BaseEstimator):  # probabilities that are there already
        def fit(self, X: np.ndarray, y: np.ndarray) -> Saved:
            self.classes_ = np.arange(10)
            return self

        def predict_proba(self, X: np.ndarray) -> np.ndarray:
            e = np.exp(X - X.max(axis=1, keepdims=True)).astype(float)
            e = np.maximum(e, 1e-30)  # its calibration takes logarithms
            return e / e.sum(axis=1, keepdims=True)

        def predict(self, X: np.ndarray) -> np.ndarray:
            return X.argmax(axis=1)

    z, y, new, labels = cifar()
    qp.environ["SAMPLE_SIZE"] = 100
    method = EMQ(Saved(), calib="bcts", exact_train_prev=False)
    method.fit(z, y)
    for alpha, n in ((None, 1000), (0.1, 100), (0.1, 1000), (0.1, 5000)):
        seconds = []
        for draw in range(n_draws):
            rng = np.random.default_rng(draw)
            prior = np.full(10, 0.1) if alpha is None else rng.dirichlet(np.full(10, alpha))
            rows = drawn(labels, prior, n, rng)
            start = time.process_time()
            method.predict(new[rows])
            seconds.append(time.process_time() - start)
        print(f"QuaPy, alpha {alpha}, n {n}: {1e3 * np.mean(seconds):.1f} ms")


def main() -> None:
    """Print all tables."""
    n_draws = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    warnings.simplefilter("ignore", PriorShiftWarning)
    losses(n_draws)
    kinds_of_shift(n_draws)
    coverage(n_draws)
    quapy(n_draws)


if __name__ == "__main__":
    main()
