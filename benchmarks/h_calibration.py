"""h-calibration: its objective against the reference mode and the published form, and whole fits.

Run as ``python -m benchmarks.h_calibration``. CPU seconds of one thread, the best of a few runs.
The published form (one sort, one 201-tap convolution, one clustering per left-out class) is the
oracle of the tests; the reference mode is the same objective with one sort and prefix sums.
"""

from __future__ import annotations

import argparse
import runpy
from pathlib import Path

import numpy as np

from benchmarks.measure import seconds
from calib import HCalibrator
from calib._core.links import softmax
from calib.calibrators.h_calibration.windowed import PUBLISHED_RULE, Events, WindowRule

ORACLE = Path(__file__).resolve().parents[1] / "tests" / "calib" / "_core" / "test_windowed.py"


def data(n: int, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    z = 2 * rng.normal(size=(n, n_classes))
    z[np.arange(n), rng.integers(0, n_classes, n)] += np.log(n_classes) + 1
    return z, (z / 2 + rng.gumbel(size=z.shape)).argmax(axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true", help="fit (25 000, 1000) too")
    args = parser.parse_args()
    z, y = data(5_000, 10)
    p = softmax(z, np)
    occurrence = np.eye(10)[y].ravel()
    pooled = Events(occurrence)
    by_class = Events(occurrence, codes=np.repeat(y, 10), n_classes=10)
    published = runpy.run_path(str(ORACLE))["published_error"]
    rows = {
        "default": seconds(lambda: pooled.error(p.ravel(), WindowRule()))[0],
        "mode='reference'": seconds(lambda: by_class.error(p.ravel(), PUBLISHED_RULE))[0],
        "published form": seconds(lambda: published(p, y))[0],
    }
    print("loss and gradient at (5 000, 10)")
    for name, spent in rows.items():
        print(f"  {name:<18} {spent * 1e3:9.2f} ms   {spent / rows['default']:6.1f} x default")
    sizes = [(5_000, 10), (5_000, 100), *([(25_000, 1_000)] if args.large else [])]
    print("fit, default options")
    for n, n_classes in sizes:
        z, y = data(n, n_classes)
        spent = seconds(lambda z=z, y=y: HCalibrator(input="logits").fit(z, y))[0]
        print(f"  ({n}, {n_classes})  {spent:8.2f} s")


if __name__ == "__main__":
    main()
