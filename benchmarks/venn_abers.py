"""Venn-ABERS beside the peers: fit, batch prediction, latency of one row; with and without numba.

Run as ``python -m benchmarks.venn_abers``. CPU seconds of one thread, the best of a few runs; every
time and its ratio come from the same process and the same data. A fit builds whatever the package
needs to predict: the ``venn-abers`` package and MAPIE build their tables at the first prediction,
so their fit includes the prediction of one row.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.measure import seconds
from calib import VennAbersCalibrator
from calib._border import optional

N_PREDICTED = 100_000


def data(n: int, decimals: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n)
    p = rng.random(n).round(decimals)
    return p, (rng.random(n) < p**2).astype(int)


def ours(p: np.ndarray, y: np.ndarray, *, compiled: bool) -> Callable[[], Any]:
    def fit() -> VennAbersCalibrator:
        optional.COMPILE_FROM = 0 if compiled else np.inf
        return VennAbersCalibrator().fit(p, y)

    return fit


def peer_package(p: np.ndarray, y: np.ndarray) -> Callable[[], Any]:
    from venn_abers import VennAbers

    both = np.stack([1 - p, p], axis=1)

    def fit() -> Any:
        model = VennAbers()
        model.fit(both, y)
        model.predict_proba(both[:1])
        return model

    return fit


def peer_mapie(p: np.ndarray, y: np.ndarray) -> Callable[[], Any]:
    from mapie._venn_abers import VennAbers  # the engine behind its public wrapper

    both = np.stack([1 - p, p], axis=1)

    def fit() -> Any:
        model = VennAbers()
        model.fit(both, y)
        model.predict_proba(both[:1])
        return model

    return fit


def candidates() -> dict[str, Callable[[np.ndarray, np.ndarray], Callable[[], Any]]]:
    found: dict[str, Any] = {"ours, plain Python": lambda p, y: ours(p, y, compiled=False)}
    if optional.is_installed("numba"):
        found["ours, numba"] = lambda p, y: ours(p, y, compiled=True)
    if optional.is_installed("venn_abers"):
        found["venn-abers"] = peer_package
    try:
        import mapie._venn_abers  # noqa: F401
    except ImportError:
        pass
    else:
        found["MAPIE"] = peer_mapie
    return found


def predict(name: str, model: Any, at: np.ndarray) -> None:
    if name.startswith("ours"):
        model.predict_interval(at)
    else:
        model.predict_proba(np.stack([1 - at, at], axis=1))


def _latency(name: str, model: Any, at: np.ndarray) -> float:
    def many() -> None:
        for _ in range(200):
            predict(name, model, at)

    return seconds(many)[0] / 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="up to 10,000 samples")
    parser.add_argument("--large", action="store_true", help="a million samples too, ours only")
    args = parser.parse_args()
    sizes = [1_000, 10_000] if args.quick else [1_000, 10_000, 100_000]
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(0)
    at = rng.random(N_PREDICTED)
    print(f"{'n':>9} {'scores':<10} {'what':<20} {'fit ms':>10} {'x peer':>8} "
          f"{'predict 1e5 ms':>15} {'x peer':>8} {'one row us':>11}")  # fmt: skip
    for n in [*sizes, *([1_000_000] if args.large else [])]:
        for label, decimals in (("distinct", 17), ("3 decimals", 3)):
            p, y = data(n, decimals)
            rows = {}
            for name, make in candidates().items():
                if n >= 1_000_000 and not name.startswith("ours") and label == "distinct":
                    continue  # a quarter of an hour
                fit = make(p, y)
                model = fit()
                rows[name] = (
                    seconds(fit)[0],
                    seconds(lambda name=name, model=model: predict(name, model, at))[0],
                    _latency(name, model, at[:1]),
                )
            peers = [row for name, row in rows.items() if not name.startswith("ours")]
            for name, (fit_time, batch, single) in rows.items():
                ratios = [
                    f"{min(peer[k] for peer in peers) / mine:8.1f}" if peers else " " * 8
                    for k, mine in ((0, fit_time), (1, batch))
                ]
                print(f"{n:>9} {label:<10} {name:<20} {fit_time * 1e3:>10.3f} {ratios[0]} "
                      f"{batch * 1e3:>15.2f} {ratios[1]} {single * 1e6:>11.0f}")  # fmt: skip


if __name__ == "__main__":
    main()
