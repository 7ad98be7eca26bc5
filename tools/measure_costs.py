"""Measure what a fit of every method costs, for the table of methods on the site.

``python tools/measure_costs.py`` writes ``docs/_static/costs.json``: CPU seconds of a fit over
those of temperature scaling on the same scores, best of three, one thread.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from calib import CALIBRATORS, make_calibrator  # noqa: E402

TARGET = ROOT / "docs" / "_static" / "costs.json"
#: Name of a size -> samples and classes.
SIZES = {"1,000 × 2": (1_000, 2), "10,000 × 10": (10_000, 10)}
REPEATS = 3


def scores(n_samples: int, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return over-confident logits and labels drawn from what they should be."""
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(n_samples, n_classes))
    noise = rng.gumbel(size=logits.shape)
    return 2 * logits, (logits + noise).argmax(axis=1)


def seconds(name: str, logits: np.ndarray, labels: np.ndarray) -> float:
    """Return CPU seconds of a fit, the best of some; one alone where it is long."""
    best = np.inf
    for _ in range(REPEATS):
        calibrator = make_calibrator(name, input="logits")
        start = time.process_time()
        calibrator.fit(logits, labels)
        best = min(best, time.process_time() - start)
        if best > 20:
            break
    return best


def main() -> None:
    """Measure and write."""
    warnings.simplefilter("ignore")
    costs: dict[str, dict[str, float]] = {}
    for size, shape in SIZES.items():
        logits, labels = scores(*shape)
        unit = seconds("temperature", logits, labels)
        for name in CALIBRATORS:
            try:
                ratio = seconds(name, logits, labels) / unit
            except (TypeError, ValueError) as error:  # methods that read more than scores
                print(f"{name}: {error}", flush=True)
                continue
            costs.setdefault(name, {})[size] = float(f"{ratio:.2g}")
            print(size, name, costs[name][size], flush=True)
    TARGET.write_text(json.dumps({"costs": costs}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
