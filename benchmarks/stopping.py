"""A cascade of language models that stops early, and designs of a two-sample test.

``python -m benchmarks.stopping [--draws 400]`` prints the tables of ``docs/papers/stopping.md`` and
``docs/papers/shift_test.md``. The cascade needs the shared data folder beside the repository.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from scipy.stats import mannwhitneyu, rankdata
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from uq import RiskNotControlledWarning, control_stopping_risk, distribution_shift_test

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "llm" / "mmlupro_confidences.npz"
CASCADES = {
    "Qwen2.5 3B, 7B, 14B, 32B": [f"Qwen2.5-{size}B-Instruct" for size in (3, 7, 14, 32)],
    "Gemini 1.5 Flash-8B, Flash, Pro": [f"gemini-1.5-{n}" for n in ("flash-8b", "flash", "pro")],
    "GPT-4.1 nano, mini, o4-mini": ["gpt-4.1-nano", "gpt-4.1-mini", "o4-mini-2025-04-16"],
    "Qwen3 4B, 14B, 14B thinking": ["Qwen3-4B", "Qwen3-14B", "Qwen3-14B-think"],
}  # fmt: skip
TARGETS = (("excess", 0.01), ("excess", 0.02), ("excess", 0.05), ("error", 0.3), ("error", 0.2))
Cascade = tuple[np.ndarray, np.ndarray, np.ndarray]


def load(names: list[str]) -> Cascade:
    """Return verbal confidences (NaN: none extracted), answers and correctness of some models."""
    with np.load(DATA) as file:
        chosen = [file["models"].tolist().index(name) for name in names]
        confidence = file["confidence"][chosen][:, :, [0, 2]].transpose(1, 0, 2).astype(float)
        return confidence, file["answer"][chosen].T, file["correct"][chosen].T.astype(float)


def step_features(confidence: np.ndarray, answer: np.ndarray, step: int) -> np.ndarray:
    """Return what is known after a step: its confidences, and which earlier answers agree."""
    now = confidence[:, step]
    agrees = answer[:, :step] == answer[:, step : step + 1]
    return np.hstack([np.nan_to_num(now, nan=0.0), np.isnan(now), agrees])


def learned(data: Cascade, tuning: np.ndarray) -> np.ndarray:
    """Return the probability of being right after every step, by a model per step."""
    confidence, answer, correct = data
    out = []
    for step in range(correct.shape[1]):
        x = step_features(confidence, answer, step)
        model = make_pipeline(StandardScaler(), LogisticRegression())
        out.append(model.fit(x[tuning], correct[tuning, step]).predict_proba(x)[:, 1])
    return np.stack(out, axis=1)


def cascade_rows(seed: int) -> Iterator[list[str]]:
    """Yield what is saved and what the error is on questions that nothing was chosen on."""
    for title, names in CASCADES.items():
        data = load(names)
        correct = data[2]
        part = np.random.default_rng(seed).permutation(len(correct)) % 4
        tuning, calibration, new = part < 2, part == 2, part == 3  # half, quarter, quarter
        kinds = {
            "as stated": np.nan_to_num(data[0][:, :, 0], nan=-1.0),
            "learned": learned(data, tuning),
        }
        rows = np.arange(new.sum())
        for kind, confidence in kinds.items():
            for risk, target in TARGETS:
                result = control_stopping_risk(
                    confidence[calibration], correct[calibration], risk=risk, target_risk=target
                )
                stops = result.apply(confidence[new])
                error = 1 - correct[new][rows, stops].mean()
                end = 1 - correct[new][:, -1].mean()
                realised = error - end if risk == "excess" else error
                yield [
                    title, kind, f"{risk} {100 * target:g} %",
                    f"{result.threshold:.4g}" if result.steps_saved else "run to the end",
                    f"{100 * (1 - (stops + 1).mean() / correct.shape[1]):.0f} %",
                    f"{100 * realised:.1f} %", f"{100 * error:.1f} %", f"{100 * end:.1f} %",
                ]  # fmt: skip


# ------------------------------------------------------------------------------ two-sample tests


def direction(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the weights of a linear discriminant with a little ridge."""
    centred = x - x.mean(axis=0)
    gram = centred.T @ centred + 10.0 * np.eye(x.shape[1])
    return np.linalg.solve(gram, centred.T @ (y - y.mean()))


def out_of_fold(x: np.ndarray, y: np.ndarray, seed: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return out-of-fold scores of a linear classifier, and the folds."""
    rng = np.random.default_rng(seed)
    fold, score = np.empty(len(y), dtype=int), np.empty(len(y))
    for label in (0, 1):
        rows = rng.permutation(np.flatnonzero(y == label))
        fold[rows] = np.arange(len(rows)) % k
    for number in range(k):
        held = fold == number
        train, labels = x[~held], y[~held]
        score[held] = (x[held] - train.mean(axis=0)) @ direction(train, labels)
    return score, fold


def pooled(x: np.ndarray, y: np.ndarray, seed: int) -> float:
    """Mann-Whitney test of all out-of-fold scores, as if they were independent."""
    score, _ = out_of_fold(x, y, seed, 5)
    return float(mannwhitneyu(score[y == 1], score[y == 0], alternative="greater").pvalue)


def ranked(x: np.ndarray, y: np.ndarray, seed: int) -> float:
    """The same with the ranks within each fold."""
    score, fold = out_of_fold(x, y, seed, 5)
    for number in np.unique(fold):
        own = fold == number
        score[own] = np.argsort(np.argsort(score[own])) / own.sum()
    return float(mannwhitneyu(score[y == 1], score[y == 0], alternative="greater").pvalue)


def split(x: np.ndarray, y: np.ndarray, seed: int) -> float:
    """Mann-Whitney test on one half of a classifier that was trained on the other."""
    _, fold = out_of_fold(x, y, seed, 2)
    held = fold == 0
    score, label = x[held] @ direction(x[~held], y[~held]), y[held]
    return float(mannwhitneyu(score[label == 1], score[label == 0], alternative="greater").pvalue)


def refitted(x: np.ndarray, y: np.ndarray, seed: int) -> float:
    """Permutations of the labels with all classifiers trained again: the out-of-fold AUROC."""
    rng, areas = np.random.default_rng(seed), []
    for draw in range(40):
        labels = rng.permutation(y) if draw else y
        score, _ = out_of_fold(x, labels, seed, 5)
        n_b = labels.sum()
        ranks = rankdata(score)[labels == 1].sum() - n_b * (n_b + 1) / 2
        areas.append(ranks / n_b / (len(y) - n_b))
    return float(np.mean(np.array(areas) >= areas[0]))


def ours(x: np.ndarray, y: np.ndarray, seed: int) -> float:
    """`distribution_shift_test`."""
    result = distribution_shift_test(x[y == 0], x[y == 1], n_permutations=199, random_state=seed)
    return result.p_value


DESIGNS: dict[str, Callable[[np.ndarray, np.ndarray, int], float]] = {
    "out-of-fold scores, Mann-Whitney": pooled,
    "the same, ranks within folds": ranked,
    "one half trains, Mann-Whitney on the other": split,
    "permutations, out-of-fold AUROC (39)": refitted,
    "permutations, fit and largest correlation (this library)": ours,
}
#: Rows of a, rows of b, columns, shift of the first one.
SETTINGS = {
    "level 30/30, 5": (30, 30, 5, 0.0),
    "level 20/200, 5": (20, 200, 5, 0.0),
    "level 100/100, 50": (100, 100, 50, 0.0),
    "power 200/200, 10": (200, 200, 10, 0.5),
    "power 60/60, 5": (60, 60, 5, 0.6),
}


def design_rows(n_draws: int) -> Iterator[list[str]]:
    """Yield how often every design rejects at 0.05, and its CPU time at 200 rows each."""
    for name, design in DESIGNS.items():
        cells, spent = [name], 0.0
        draws = n_draws if design is not refitted else max(n_draws // 4, 50)
        for n_a, n_b, width, shift in SETTINGS.values():
            rng, count = np.random.default_rng(1), 0
            start = time.process_time()
            for draw in range(draws):
                x = rng.normal(size=(n_a + n_b, width))
                x[n_a:, 0] += shift
                count += design(x, np.repeat([0, 1], [n_a, n_b]), draw) <= 0.05
            if (n_a, shift) == (200, 0.5):
                spent = (time.process_time() - start) / draws
            cells.append(f"{count / draws:.3f}")
        yield [*cells, f"{1000 * spent:.0f} ms"]


def show(titles: list[str], rows: Iterator[list[str]]) -> None:
    """Print a table of Markdown as its rows come."""
    print("|", " | ".join(titles), "|")
    print("|", " | ".join("---" for _ in titles), "|")
    for row in rows:
        print("|", " | ".join(row), "|", flush=True)
    print()


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=400, help="draws for every cell of the test")
    parser.add_argument("--only-designs", action="store_true", help="leave out the cascades")
    parser.add_argument("--seed", type=int, default=0, help="seed of the parts of the questions")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", RiskNotControlledWarning)
    if DATA.is_file() and not arguments.only_designs:
        titles = ["cascade", "confidence", "target", "threshold", "steps saved", "risk, new",
                  "error, new", "at the end"]  # fmt: skip
        show(titles, cascade_rows(arguments.seed))
    elif not arguments.only_designs:
        print(f"no {DATA.name} beside the repository: the cascade is left out\n")
    show(["design", *SETTINGS, "CPU"], design_rows(arguments.draws))


if __name__ == "__main__":
    main()
