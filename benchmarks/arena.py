"""Score every registered calibrator, and peers, on a folder of experiments.

    python -m benchmarks.arena FOLDER [--out RESULTS] [--methods a,b] [--no-peers] [--plot FILE]

An experiment is a ``<table>__<model>.npz`` with ``probas_cal, labels_cal, probas_test,
labels_test``; `benchmarks.arena_build` makes such a folder. Every method is fitted on the
calibration part and judged on the test part, all in one process on one thread. With ``--out`` the
numbers go to one CSV a method in the format of the public benchmark CalArena (arXiv 2605.30188),
and methods whose file is complete are not run again.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.arena_table import BASE, MEASURES, Line, measures, table, text
from calib import CALIBRATORS, make_calibrator

#: Variants of registered calibrators that the public benchmark lists as methods.
VARIANTS: dict[str, tuple[str, dict[str, object]]] = {
    "isotonic_centred": ("isotonic", {"centred": True}),
    "vector_scaling_plain": ("vector_scaling", {"structured": False}),
    "venn_abers_pairwise": ("venn_abers", {"multiclass": "pairwise"}),
}
#: Not run unless asked for by name: minutes where the others take seconds.
SLOW = ("h_calibration", "split_point")
#: Entries of probmetrics, with the output smoothing that its authors recommend.
PROBMETRICS = {
    "ts-mix": None,
    "affine-scaling": True,
    "quadratic-scaling": True,
    "beta": True,
    "cir": None,
    "isotonic": None,
    "ivap": None,
    "svs": False,
    "sms": False,
    "ETSCalibrator": None,
    "MLISplineCalibrator": True,
}
#: Packages without which some of these entries cannot run.
NEEDED = {"beta": "betacal", "cir": "cir_model", "MLISplineCalibrator": "splinecalib"}

Method = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
Experiment = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def load(path: Path) -> Experiment:
    """Return the arrays of an experiment: float64 probabilities and integer labels."""
    with np.load(path) as data:
        arrays = [
            data[f"{kind}_{part}"] for part in ("cal", "test") for kind in ("probas", "labels")
        ]
    probas = [p.astype(np.float64) for p in arrays[::2]]
    labels = [y.astype(np.intp) for y in arrays[1::2]]
    return probas[0], labels[0], probas[1], labels[1]


def ours(name: str, params: dict[str, object]) -> Method:
    """Return a registered calibrator as a method."""

    def run(p: np.ndarray, y: np.ndarray, p_new: np.ndarray) -> np.ndarray:
        return np.asarray(make_calibrator(name, **params).fit(p, y).transform(p_new))

    return run


def probmetrics(name: str) -> Method:
    """Return a calibrator of probmetrics as a method."""

    def run(p: np.ndarray, y: np.ndarray, p_new: np.ndarray) -> np.ndarray:
        from probmetrics import calibrators

        mixture = name in ("cir", "isotonic", "quadratic-scaling", "affine-scaling", "beta")
        if name.endswith("Calibrator"):
            model = getattr(calibrators, name)()
        else:
            model = calibrators.get_calibrator(name, calibrate_with_mixture=mixture)
        model.fit(p.astype(np.float32), y)
        return np.asarray(model.predict_proba(p_new.astype(np.float32)), dtype=np.float64)

    return run


def sklearn_peer(method: str) -> Method:
    """Return a method of scikit-learn, which reads the probabilities."""

    def run(p: np.ndarray, y: np.ndarray, p_new: np.ndarray) -> np.ndarray:
        from sklearn.base import BaseEstimator, ClassifierMixin
        from sklearn.calibration import CalibratedClassifierCV
        from sklearn.frozen import FrozenEstimator

        class AsProba(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
            """A classifier whose probabilities are its input."""

            def __init__(self, classes: np.ndarray) -> None:
                self.classes_ = self.classes = classes

            def fit(self, X: np.ndarray, y: np.ndarray) -> AsProba:
                return self

            def predict_proba(self, X: np.ndarray) -> np.ndarray:
                return X

        # one pair and everything for calibration: a frozen model needs no folds
        cv = [(slice(0, 1), slice(None))]
        frozen = FrozenEstimator(AsProba(np.arange(p.shape[1])))
        model = CalibratedClassifierCV(frozen, method=method, cv=cv, ensemble=True).fit(p, y)
        return np.asarray(model.predict_proba(p_new))

    return run


def methods(wanted: list[str] | None, *, peers: bool) -> dict[str, tuple[Method, bool | None]]:
    """Return methods by name, each with whether it is for two classes (True), more, or any."""
    out: dict[str, tuple[Method, bool | None]] = {
        name: (ours(name, {}), None)
        for name, entry in CALIBRATORS.items()
        if entry.available and (name not in SLOW or (wanted and name in wanted))
    }
    for name, (base, params) in VARIANTS.items():
        out[name] = (ours(base, params), None)
    if peers:
        from calib._border.optional import is_installed

        if is_installed("probmetrics"):
            importlib.import_module("probmetrics.calibrators")  # before any clock runs
            for name, binary in PROBMETRICS.items():
                if name not in NEEDED or is_installed(NEEDED[name]):
                    out[f"probmetrics: {name}"] = (probmetrics(name), binary)
        for name in ("sigmoid", "isotonic", "temperature"):
            out[f"sklearn: {name}"] = (sklearn_peer(name), None)
    if wanted:
        unknown = [name for name in wanted if name not in out]
        if unknown:
            raise SystemExit(f"unknown methods {unknown}; known: {', '.join(out)}")
        out = {name: out[name] for name in wanted}
    return out


def score(method: Method, experiment: Experiment) -> dict[str, float]:
    """Return the measures and the CPU time of one fit; NaN measures if there is no valid answer."""
    p, y, p_new, y_new = experiment
    start = time.process_time()
    failed = dict.fromkeys(MEASURES, float("nan"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            out = method(p, y, p_new)
    except Exception as error:
        print(f"  failed: {type(error).__name__}: {error}", file=sys.stderr)
        return {**failed, "time": time.process_time() - start}
    elapsed = time.process_time() - start
    valid = out.shape == p_new.shape and np.isfinite(out).all() and out.min() >= -1e-6
    return {**(measures(np.clip(out, 0, 1), y_new) if valid else failed), "time": elapsed}


def run(
    folder: Path, wanted: list[str] | None = None, *, peers: bool = True, out: Path | None = None
) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    """Run methods on all experiments of a folder.

    Returns
    -------
    results : dict
        Measures by ``"binary"`` or ``"multiclass"``, method and experiment.
    """
    from tqdm import tqdm

    paths = sorted(folder.glob("*.npz"))
    if not paths:
        raise SystemExit(f"{folder} holds no .npz files")
    results: dict[str, dict[str, dict[str, dict[str, float]]]] = {"binary": {}, "multiclass": {}}
    chosen = methods(wanted, peers=peers)
    saved = {name: read_csv(out, name) for name in chosen} if out else {}
    sizes = {}
    for path in tqdm(paths, file=sys.stderr):
        experiment = load(path)
        p, y, p_new, y_new = experiment
        binary = p.shape[1] == 2
        kind = "binary" if binary else "multiclass"
        sizes[path.stem] = (len(y), len(y_new), p.shape[1])
        base = {**measures(p_new, y_new), "time": 0.0}
        results[kind].setdefault(BASE, {})[path.stem] = base
        for name, (method, only) in chosen.items():
            if only is not None and only != binary:
                continue
            found = saved.get(name, {}).get(path.stem) or score(method, experiment)
            results[kind].setdefault(name, {})[path.stem] = found
    if out:
        for name in chosen:
            rows = {e: row for kind in results.values() for e, row in kind.get(name, {}).items()}
            write_csv(out, name, rows, sizes)
    return results


def _file(out: Path, name: str) -> Path:
    return out / f"{name.replace(': ', '_')}.csv"


def read_csv(out: Path, name: str) -> dict[str, dict[str, float]]:
    """Return the rows of a method's file, if there is one."""
    path = _file(out, name)
    if not path.exists():
        return {}
    with path.open(encoding="utf-8") as file:
        return {
            f"{row['dataset']}__{row['model']}": {
                key: float(row[f"{name}_{key}"]) for key in (*MEASURES, "time")
            }
            for row in csv.DictReader(file)
        }


def write_csv(
    out: Path,
    name: str,
    rows: dict[str, dict[str, float]],
    sizes: dict[str, tuple[int, int, int]],
) -> None:
    """Write a method's numbers in the public benchmark's format."""
    out.mkdir(parents=True, exist_ok=True)
    with _file(out, name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        keys = (*MEASURES, "time")
        writer.writerow(
            [
                "dataset",
                "model",
                "cal_size",
                "test_size",
                "n_classes",
                *(f"{name}_{k}" for k in keys),
            ]
        )
        for experiment, row in sorted(rows.items()):
            dataset, _, model = experiment.partition("__")
            writer.writerow([dataset, model, *sizes[experiment], *(row[key] for key in keys)])


def plot(tables: dict[str, list[Line]], path: Path) -> None:
    """Draw mean gain against the share of experiments made worse."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(tables), figsize=(6.6 * len(tables), 5.2), squeeze=False)
    for ax, (kind, lines) in zip(axes[0], tables.items(), strict=True):
        best = max(line.gain_brier for line in lines)
        shown = [line for line in lines if line.method != BASE and line.gain_brier >= -0.3 * best]
        height = 0.031 * (best - min(line.gain_brier for line in shown))  # of a label
        lowest: dict[float, float] = {}  # below which a label of the same column fits
        for line in sorted(shown, key=lambda line: -line.gain_brier):
            peer = ": " in line.method
            x, y = 100 * line.worse_brier, line.gain_brier
            strong = line.method == "auto"
            colour = "#cf222e" if strong else "#8c959f" if peer else "#0969da"
            ax.scatter(x, y, s=60 if strong else 26, color=colour, zorder=3)
            column = round(x / 5)
            place = min(y, lowest.get(column, np.inf))
            lowest[column] = place - height
            ax.annotate(
                line.method.replace("probmetrics: ", "pm: ").replace("sklearn: ", "skl: "),
                (x, y),
                xytext=(x + 1.0, place),
                va="center",
                fontsize=7,
                color=colour,
            )
        ax.set_xlim(right=1.14 * max(100 * line.worse_brier for line in shown) + 4)
        ax.set_title(f"{kind}: {len(lines) - 1} methods")
        ax.set_xlabel("experiments made worse (Brier), %")
        ax.set_ylabel("mean gain in Brier score x 100")
        ax.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Run the command line."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, help="folder of CSV files; complete ones are reused")
    parser.add_argument("--methods", help="comma-separated names; default: all but the slow ones")
    parser.add_argument("--no-peers", action="store_true", help="leave other packages out")
    parser.add_argument("--plot", type=Path, help="PNG to write")
    arguments = parser.parse_args()
    wanted = arguments.methods.split(",") if arguments.methods else None
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        results = run(arguments.folder, wanted, peers=not arguments.no_peers, out=arguments.out)
    tables = {kind: table(found) for kind, found in results.items() if found}
    for kind, lines in tables.items():
        count = len(results[kind][BASE])
        print(text(lines, f"{kind}: {count} experiments of {arguments.folder.name}"), end="\n\n")
    if arguments.plot:
        plot(tables, arguments.plot)


if __name__ == "__main__":
    main()
