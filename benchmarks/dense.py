"""Pixels: quality on MRI slices, sampling, and time and memory on a memory map of 2 GB.

Run as ``python -m benchmarks.dense [--images 200]``. Even slices are fitted, odd ones judged:
on all labelled cells, and on samples of each slice. The memory map of (images, 19, 256, 512)
float32 is made in a temporary folder and mapped into another; times are CPU seconds on one thread.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np

from calib import DenseCalibrator
from calib.evaluation import dense_report

DATA = Path(__file__).parents[2] / "shared" / "data" / "multilabel_and_shapes" / "mni_slices.npz"
METHODS = ("temperature", "vector_scaling", "matrix_scaling", "isotonic", "auto")
SAMPLES = (None, 4096, 1000, 100)
#: Classes, height and width of an image, as in street scenes.
SHAPE = (19, 256, 512)


def measured(y: Any, p: Any) -> Any:
    return dense_report(y, p, ignore_index=255).measures


def quality() -> None:
    """Print log loss, Brier score and ECE on the odd slices."""
    data = np.load(DATA)
    x, y = data["logits"].astype(np.float32), data["labels"]
    print("method            samples  log loss   Brier     ECE   floor  sd of gap")
    for method in METHODS:
        for samples in SAMPLES:
            cal = DenseCalibrator(method, ignore_index=255, samples_per_image=samples)
            found = measured(y[1::2], cal.fit(x[::2], y[::2]).transform(x[1::2]))
            ece = found["expected_calibration_error"]
            print(
                f"{method:16} {samples or 'all':>8} {found['log_loss'].value:9.5f} "
                f"{found['brier_score'].value:7.5f} {ece.value:7.4f} {ece.floor:7.4f} "
                f"{found['confidence_gap'].standard_deviation:10.5f}"
            )


def memory_map(n_images: int, folder: Path) -> None:
    """Print time and memory of a temperature on a memory map, beside softmax of torch."""
    import torch

    torch.set_num_threads(1)
    shape = (n_images, *SHAPE)
    x = np.memmap(folder / "x", "float32", "w+", shape=shape)
    out = np.memmap(folder / "out", "float32", "w+", shape=shape)
    y = np.empty((n_images, *SHAPE[1:]), np.uint8)
    rng = np.random.default_rng(0)
    for image in range(n_images):
        z = 2 * rng.standard_normal(SHAPE, dtype=np.float32)
        exponential = rng.standard_exponential(SHAPE, dtype=np.float32)
        noise = -np.log(np.maximum(exponential, 1e-30))
        y[image] = (z + noise).argmax(axis=0)
        x[image] = 2 * z
    cal = DenseCalibrator("temperature")
    tracemalloc.start()
    cal.fit(x, y)
    fit_peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.reset_peak()
    cal.transform(x, out=out)
    map_peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    start = time.process_time()
    cal.fit(x, y)
    fitted = time.process_time() - start
    mapped, peer = np.inf, np.inf
    tensor, target = torch.from_numpy(np.asarray(x)), torch.from_numpy(np.asarray(out))
    for _ in range(2):
        start = time.process_time()
        cal.transform(x, out=out)
        mapped = min(mapped, time.process_time() - start)
        start = time.process_time()
        for image in range(n_images):  # all at once would take as much memory again
            target[image] = torch.softmax(tensor[image] / 2.0, 0)
        peer = min(peer, time.process_time() - start)
    print(f"{shape} float32, T = {cal.calibrator_.temperature_:.4f}, {cal.n_sampled_:,} cells")
    print(f"fit {fitted:.2f} s, {fit_peak:.0f} MB; transform {mapped:.2f} s, {map_peak:.0f} MB")
    print(f"torch.softmax {peer:.2f} s; ratio {mapped / peer:.2f}")


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=200)
    images = parser.parse_args().images
    if DATA.exists():
        quality()
    with tempfile.TemporaryDirectory() as folder:
        memory_map(images, Path(folder))


if __name__ == "__main__":
    main()
