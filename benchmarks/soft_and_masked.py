"""Distributions of classes as targets, and classes that are ruled out, on real logits.

``python -m benchmarks.soft_and_masked DATA [--auto] [--csv FILE]`` prints three tables; DATA holds
``multilabel_and_shapes/mni_slices.npz`` and ``classification/cifar10_densenet40_logits.npz``.
Nothing beyond the core is needed; half a minute on one core, with ``--auto`` two.

Soft targets: logits of a small network for the tissue of every pixel of 60 slices of a brain;
targets are the fractions of grey matter, white matter and the rest. Fitted on every 15th valid
pixel of the even slices, once to the largest fraction as a label and once to the fractions;
measured on all valid pixels of the odd slices: cross entropy and squared error (sum over classes)
against the fractions. Probabilities below 1e-300 count as that, which decides the raw entropy.

Masked classes: CIFAR-10 logits of DenseNet-40; each wrong class of a row is ruled out with
probability one half by a logit of minus infinity, in the fit and in the test, or only in the test.
Means over three draws, of which a single one moves all numbers by up to 0.003.

Cost: time of a map on rows with and without one ruled-out class.
"""

from __future__ import annotations

import argparse
import csv
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from benchmarks.measure import seconds
from calib import make_calibrator

METHODS = ("temperature", "vector_scaling", "matrix_scaling", "platt", "isotonic", "dirichlet")
#: Every so-manieth pixel of the fit.
STEP = 15
#: Share of the wrong classes of a row that are ruled out.
MASKED = 0.5
#: Draws of what is ruled out.
N_DRAWS = 3


class Row(NamedTuple):
    """One number of a table."""

    table: str
    method: str
    column: str
    value: float


def distribution_scores(p: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """Return cross entropy and squared error against distributions."""
    entropy = -(target * np.log(np.maximum(p, 1e-300))).sum(axis=1).mean()
    return float(entropy), float(((p - target) ** 2).sum(axis=1).mean())


def pixels(path: Path, first: int, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Return logits and fractions of the valid pixels of every second slice."""
    with np.load(path) as file:
        slices = slice(first, None, 2)
        valid = file["labels"][slices] != 255
        logits = np.moveaxis(file["logits"][slices], 1, -1)[valid][::step].astype(np.float64)
        grey, white = (file[name][slices][valid][::step] / 255.0 for name in ("grey", "white"))
    shares = np.stack([np.maximum(1.0 - grey - white, 0.0), grey, white], axis=1)
    return logits, shares / shares.sum(axis=1, keepdims=True)


def soft_rows(path: Path, methods: Iterable[str]) -> Iterator[Row]:
    """Yield the numbers of the table of soft targets."""
    z, target = pixels(path, 0, STEP)
    z_test, target_test = pixels(path, 1, 1)
    columns = ("cross entropy", "squared error")
    fits = {"labels": target.argmax(axis=1), "fractions": target}
    for name in ("raw", *methods):
        for kind, y in fits.items():
            if name == "raw":
                p = softmax(z_test, axis=1)
            else:
                p = make_calibrator(name, input="logits").fit(z, y).transform(z_test)
            for column, value in zip(columns, distribution_scores(p, target_test), strict=True):
                yield Row("soft targets", name, f"{column}, {kind}", value)


def masked(z: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return logits of which about half of those of wrong classes are minus infinity."""
    hidden = rng.random(z.shape) < MASKED
    hidden[np.arange(len(y)), y] = False
    return np.where(hidden, -np.inf, z)


def masked_rows(path: Path, methods: Iterable[str]) -> Iterator[Row]:
    """Yield the numbers of the table of masked classes."""
    with np.load(path) as file:
        z, z_test = (file[f"logits_{part}"].astype(np.float64) for part in ("val", "test"))
        y, y_test = (file[f"labels_{part}"].ravel().astype(int) for part in ("val", "test"))
    index = np.arange(len(y_test))
    for name in ("raw", *methods):
        losses: dict[str, list[float]] = {"fitted masked": [], "fitted whole": []}
        whole = None if name == "raw" else make_calibrator(name, input="logits").fit(z, y)
        for seed in range(N_DRAWS):
            rng = np.random.default_rng(seed)
            hidden, test = masked(z, y, rng), masked(z_test, y_test, rng)
            for kind, values in losses.items():
                cal = whole
                if cal is not None and kind == "fitted masked":
                    cal = make_calibrator(name, input="logits").fit(hidden, y)
                p = softmax(test, axis=1) if cal is None else cal.transform(test)
                if (p[np.isneginf(test)] != 0).any():
                    raise AssertionError(f"{name} gives a ruled-out class a probability")
                values.append(float(-np.log(np.maximum(p[index, y_test], 1e-300)).mean()))
        for kind, values in losses.items():
            yield Row("masked classes", name, f"log loss, {kind}", float(np.mean(values)))


def cost_rows() -> Iterator[Row]:
    """Yield the time of a map on rows that rule out no class, or one."""
    rng = np.random.default_rng(0)
    z = 3 * rng.normal(size=(100_000, 10))
    y = (z / 2 + rng.gumbel(size=z.shape)).argmax(axis=1)
    hole = z.copy()
    hole[:, 0] = -np.inf
    for name in ("temperature", "matrix_scaling"):
        cal = make_calibrator(name, input="logits").fit(z[:5000], y[:5000])
        for kind, scores in (("whole", z), ("with a hole", hole)):
            row = scores[:1]
            one = seconds(lambda cal=cal, row=row: [cal.transform(row) for _ in range(1000)])[0]
            many = seconds(lambda cal=cal, scores=scores: cal.transform(scores))[0]
            yield Row("cost", name, f"us for one row, {kind}", 1e3 * one)
            yield Row("cost", name, f"ms for 1e5 x 10, {kind}", 1e3 * many)


def show(rows: list[Row]) -> None:
    """Print a table: methods down, columns across."""
    columns = list(dict.fromkeys(row.column for row in rows))
    print(f"\n{rows[0].table}")
    for number, column in enumerate(columns, start=1):
        print(f"  ({number}) {column}")
    print(f"  {'':<16}" + "".join(f"{f'({n})':>10}" for n in range(1, len(columns) + 1)))
    for name in dict.fromkeys(row.method for row in rows):
        values = {row.column: row.value for row in rows if row.method == name}
        print(f"  {name:<16}" + "".join(f"{values[column]:>10.4f}" for column in columns))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the two files")
    parser.add_argument("--auto", action="store_true", help="AutoCalibrator too")
    parser.add_argument("--csv", type=Path, help="write all numbers there")
    args = parser.parse_args()
    methods = (*METHODS, "auto") if args.auto else METHODS
    warnings.simplefilter("ignore")
    tables = [
        soft_rows(args.data / "multilabel_and_shapes" / "mni_slices.npz", methods),
        masked_rows(args.data / "classification" / "cifar10_densenet40_logits.npz", methods),
        cost_rows(),
    ]
    rows = []
    for table in tables:
        made = list(table)
        show(made)
        rows += made
    if args.csv:
        with args.csv.open("w", newline="") as file:
            csv.writer(file).writerows([Row._fields, *rows])


if __name__ == "__main__":
    main()
