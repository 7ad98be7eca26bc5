"""Many labels: `MultilabelCalibrator` beside one map a label and scikit-learn's loops.

    python -m benchmarks.multilabel

Prints log loss per cell (probabilities cut to [1e-4, 1 - 1e-4], means of four splits) on the yeast
set (14 labels, three models) and on labels of COCO images from the scores of a detector (80
labels), macro and micro F1 by thresholds, and CPU time and memory of 5,000 rows of 71 labels.
"""

from __future__ import annotations

import gzip
import json
import time
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.calibration import _SigmoidCalibration
from sklearn.isotonic import IsotonicRegression

from calib import MultilabelCalibrator, PlattCalibrator
from calib.evaluation import multilabel_calibration_error
from uq import label_thresholds

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
#: A fitted way: calibration scores and labels, test scores -> test probabilities.
Way = Callable[[Any, Any, Any], Any]


def yeast() -> dict[str, list[tuple[Any, Any]]]:
    """Return probabilities and labels of four splits, by model."""
    file = np.load(DATA / "multilabel_and_shapes" / "yeast_scores.npz")
    return {
        name: [
            (file[f"{key}{s}_P"].astype(float), file[f"gnb{s}_Y"].astype(float)) for s in range(4)
        ]
        for name, key in (("GaussianNB", "gnb"), ("forest", "rf"), ("LogReg", "lr"))
    }


def coco_images() -> tuple[Any, Any]:
    """Return the largest score of every category in an image, and whether it is there."""
    with gzip.open(DATA / "detection" / "coco_val2017_1229_gt_all.json.gz") as file:
        truth = json.load(file)
    with gzip.open(DATA / "detection" / "yolox_nano_dets.json.gz") as file:
        boxes = json.load(file)
    image = {key: n for n, key in enumerate(sorted(x["id"] for x in truth["images"]))}
    label = {key: n for n, key in enumerate(sorted(x["id"] for x in truth["categories"]))}
    Y = np.zeros((len(image), len(label)))
    P = np.full(Y.shape, 0.0005)
    for box in truth["annotations"]:
        Y[image[box["image_id"]], label[box["category_id"]]] = 1
    for box in boxes:
        if box["image_id"] in image:
            cell = image[box["image_id"]], label[box["category_id"]]
            P[cell] = max(P[cell], box["score"])
    return P, Y


def log_loss(p: Any, y: Any) -> float:
    p = np.clip(p, 1e-4, 1 - 1e-4)
    return float(-(y * np.log(p) + (1 - y) * np.log(1 - p)).mean())


def together(calibrator: str, **options: Any) -> Way:
    def way(P: Any, Y: Any, new: Any) -> Any:
        return MultilabelCalibrator(calibrator, **options).fit(P, Y).transform(new)

    return way


def one_by_one(fit: Callable[[Any, Any, Any], Any]) -> Way:
    """Return a map a label; labels with one class keep their raw scores."""

    def way(P: Any, Y: Any, new: Any) -> Any:
        out = np.array(new, dtype=float)
        for k in range(P.shape[1]):
            if 0 < Y[:, k].sum() < len(Y):
                out[:, k] = fit(P[:, k], Y[:, k], new[:, k])
        return out

    return way


WAYS: dict[str, Way] = {
    "raw": lambda P, Y, new: new,
    "pooled Platt": together("platt", per_label=False),
    "Platt each": one_by_one(
        lambda p, y, new: PlattCalibrator().fit(p, y.astype(int)).transform(new)[:, 1]
    ),
    "sk sigmoid": one_by_one(lambda p, y, new: _SigmoidCalibration().fit(p, y).predict(new)),
    "sk isotonic": one_by_one(
        lambda p, y, new: (
            IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(p, y).predict(new)
        )
    ),
    "fixed 20": together("platt", prior_weight=20.0),
    "EB Platt": together("platt"),
    "EB spline": together("spline"),
}


def row(name: str, splits: list[tuple[Any, Any, Any, Any]]) -> None:
    """Print the mean log loss of all ways over (P, Y, test P, test Y)."""
    losses = [
        np.mean([log_loss(way(P, Y, new), truth) for P, Y, new, truth in splits])
        for way in WAYS.values()
    ]
    print(f"{name:18s}" + "".join(f"{loss:13.4f}" for loss in losses))


def f1(chosen: Any, y: Any) -> tuple[float, float]:
    """Return macro F1 over labels with a positive or a claim, and micro F1."""
    both, either = (chosen * y).sum(axis=0), chosen.sum(axis=0) + y.sum(axis=0)
    own = 2 * both / np.maximum(either, 1)
    return float(own.mean()), float(2 * both.sum() / either.sum())


def cost() -> None:
    """Print CPU seconds (best of five) and peak memory of 5,000 rows of 71 labels."""
    rng = np.random.default_rng(0)
    truth = rng.beta(0.5, 4, (5000, 71))
    Y = (rng.random(truth.shape) < truth).astype(float)
    P = truth**0.7
    print(f"\n(5000, 71), {P.nbytes / 1e6:.1f} MB: CPU s of fit and transform")
    for name in ("Platt each", "sk sigmoid", "sk isotonic", "pooled Platt", "EB spline"):
        seconds = []
        for _ in range(5):
            start = time.process_time()
            WAYS[name](P, Y, P)
            seconds.append(time.process_time() - start)
        tracemalloc.start()
        WAYS[name](P, Y, P)
        peak = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
        print(f"{name:18s}{min(seconds):8.2f}   peak {peak:5.0f} MB")


def main() -> None:
    """Print all tables."""
    warnings.simplefilter("ignore")
    print(f"{'':18s}" + "".join(f"{name:>13s}" for name in WAYS))
    for name, splits in yeast().items():
        for n in (30, 100, 300, 1000):
            parts = []
            for s, (P, Y) in enumerate(splits):
                i = np.random.default_rng(100 + s).permutation(len(P))
                test = i[max(n, 700) :]
                parts.append((P[i[:n]], Y[i[:n]], P[test], Y[test]))
            row(f"{name} {n}", parts)
    P, Y = coco_images()
    orders = [np.random.default_rng(100 + s).permutation(len(P)) for s in range(4)]
    for n in (50, 100, 300, 614):
        row(f"COCO images {n}", [(P[i[:n]], Y[i[:n]], P[i[614:]], Y[i[614:]]) for i in orders])
    print("\nCOCO images: macro / micro F1 (means of four splits), micro ECE, labels too many")
    for n in (100, 300):
        table: dict[str, list[tuple[float, ...]]] = {}
        for i in orders:
            fit, test = i[:n], i[614:]
            q = MultilabelCalibrator().fit(P[fit], Y[fit]).transform(P[test])
            for name, p, t in (
                ("raw at .5", P[test], 0.5),
                ("calibrated at .5", q, 0.5),
                ("expected F1", q, label_thresholds(q)),
            ):
                error = float(multilabel_calibration_error(Y[test], p))
                excess = float((p - Y[test]).sum(axis=1).mean())
                table.setdefault(name, []).append((*f1(p >= t, Y[test]), error, excess))
        for name, values in table.items():
            macro, micro, error, excess = np.mean(values, axis=0)
            print(f"{n:4d} {name:18s}{macro:8.3f} /{micro:6.3f}{error:9.4f}{excess:8.2f}")
    cost()


if __name__ == "__main__":
    main()
