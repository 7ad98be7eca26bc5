"""Correctness models on graded answers: texts of 10 models, confidences of 60, models left out.

    python -m benchmarks.correctness [--only texts|confidences|unseen] [--models 60]

Needs the folder of shared data beside the repository. The first table holds logs of answers to
4,000 questions, split by question 70/5/25; the second and third the confidences of 60 models.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import re
import time
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import brier_score_loss, roc_auc_score

from calib.evaluation import expected_calibration_error
from uq import CorrectnessModel, area_under_risk_coverage

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data" / "llm"
#: Questions of the confidence logs that train, and that test.
N_TRAIN, N_TEST, N_TRAIN_UNSEEN = 1_500, 1_500, 800
#: Graded answers of a new model.
N_TARGET = 200


def read_csv(name: str) -> list[dict[str, str]]:
    """Return the rows of a compressed table."""
    csv.field_size_limit(10**9)
    with gzip.open(FOLDER / name, "rt", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def load_texts() -> tuple[dict[str, Any], np.ndarray]:
    """Return 40,000 graded answers as columns, and which are right."""
    questions = {row["question_id"]: row for row in read_csv("mmlupro_questions.csv.gz")}
    rows = read_csv("mmlupro_responses.csv.gz")
    asked = [questions[row["question_id"]] for row in rows]
    # three questions stand there twice, under two names
    texts_of = [re.sub(r"[\W_]+", " ", f"{q['question']} {q['options']}".lower()) for q in asked]
    records = {
        "question_id": np.unique(texts_of, return_inverse=True)[1],
        "question": np.array([f"{q['question']}\n{q['options']}" for q in asked], dtype=object),
        "answer": np.array([row["response"] for row in rows], dtype=object),
        "model": np.array([row["model"] for row in rows]),
        "final": np.array([row["pred"] for row in rows]),
        "category": np.array([q["category"] for q in asked]),
        "log_characters": np.log1p([float(row["response_chars"]) for row in rows]),
        "no_final_answer": np.array([float(row["pred"] == "") for row in rows]),
    }
    return records, np.array([int(row["correct"]) for row in rows])


def load_confidences(
    questions: np.ndarray | None = None,
) -> tuple[dict[str, Any], np.ndarray]:
    """Return answers of 60 models to some of 12,032 questions as columns, and which are right."""
    with np.load(FOLDER / "mmlupro_confidences.npz") as data:
        logs = {name: data[name] for name in data.files}
    n_models, n_questions = logs["correct"].shape
    chosen = np.arange(n_questions) if questions is None else questions
    records: dict[str, Any] = {
        "question_id": np.tile(logs["question_id"][chosen], n_models),
        "model": np.repeat(logs["models"], len(chosen)),
        "category": np.tile(logs["category"][chosen], n_models),
        "final": logs["answer"][:, chosen].ravel(),
        "log_tokens": np.log1p(logs["token_length"][:, chosen].ravel().astype(float)),
    }
    for place, name in enumerate(logs["confidence_names"].tolist()):
        records[name] = logs["confidence"][:, chosen, place].ravel().astype(float)
    return records, logs["correct"][:, chosen].ravel().astype(int)


CONFIDENCES = ("verbal_numerical", "logit_perplexity", "verbal_linguistic")


def rows_of(records: dict[str, Any], chosen: np.ndarray) -> dict[str, Any]:
    """Return some rows of all columns."""
    return {name: column[chosen] for name, column in records.items()}


def measures(correct: np.ndarray, proba: np.ndarray) -> dict[str, float]:
    """Return the numbers of a row of the tables."""
    return {
        "accuracy": float(((proba > 0.5) == correct).mean()),
        "AUROC": float(roc_auc_score(correct, proba)),
        "ECE": expected_calibration_error(correct, proba, labels=[0, 1]),
        "Brier": float(brier_score_loss(correct, proba)),
        "AURC": area_under_risk_coverage(1 - correct, proba),
    }


def excess_error(correct: np.ndarray, proba: np.ndarray, seed: int = 0) -> float:
    """Return the expected calibration error beyond the mean of calibrated labels."""
    rng = np.random.default_rng(seed)
    floor = [
        expected_calibration_error(
            (rng.random(len(proba)) < proba).astype(int), proba, labels=[0, 1]
        )
        for _ in range(50)
    ]
    return expected_calibration_error(correct, proba, labels=[0, 1]) - float(np.mean(floor))


def split_questions(groups: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows that train, calibrate and test: 70, 5 and 25 % of the questions."""
    names = np.unique(groups)
    order = np.random.default_rng(seed).permutation(names)
    ends = [round(0.70 * len(names)), round(0.75 * len(names))]
    parts = np.split(order, ends)
    return tuple(np.flatnonzero(np.isin(groups, part)) for part in parts)  # type: ignore[return-value]


def printed(name: str, values: dict[str, float]) -> None:
    """Print one row."""
    numbers = "  ".join(f"{key} {value:.4f}" for key, value in values.items())
    print(f"{name:34s} {numbers}", flush=True)


def texts(seeds: Iterable[int] = range(3), only: Iterable[str] = ()) -> None:
    """Print the table of texts: variants (all, or some) by mean over seeds, with CPU seconds."""
    records, correct = load_texts()
    base = {"numeric": ("log_characters", "no_final_answer")}
    variants: dict[str, dict[str, Any]] = {
        "answerless, linear": {"text": ("question",), "classifier": "linear"},
        "general, linear, no name": {**base, "model": None, "classifier": "linear"},
        "general, linear": {**base, "classifier": "linear"},
        "general": base,
        "general, calibrated on the 5 %": {**base, "cv": None},
        "general + history": {**base, "history_neighbors": 50},
        "general + category": {**base, "categorical": ("category",)},
        "general + agreement": {**base, "agreement": "final"},
    }
    table: dict[str, list[dict[str, float]]] = {}
    for seed in seeds:
        train, held, test = split_questions(records["question_id"], seed)
        both = np.concatenate([train, held])
        pair = [(np.arange(len(train)), np.arange(len(train), len(both)))]
        part, truth = rows_of(records, both), correct[both]
        asked = rows_of(records, test)
        for name, options in variants.items():
            if only and name not in only:
                continue
            options = {**options, "cv": pair if "cv" in options else 5}
            start = time.process_time()
            model = CorrectnessModel(**options, random_state=seed).fit(part, truth)
            fitted = time.process_time()
            proba = model.score_samples(asked)
            row = measures(correct[test], proba)
            row["fit s"], row["predict s"] = fitted - start, time.process_time() - fitted
            table.setdefault(name, []).append(row)
            printed(f"seed {seed}: {name}", row)
        specific = np.empty(len(test))
        start = time.process_time()
        for name in np.unique(records["model"]):
            own = np.flatnonzero(records["model"][both] == name)
            options = {**base, "model": None, "classifier": "linear"}
            model = CorrectnessModel(**options, random_state=seed)
            model.fit(rows_of(part, own), truth[own])
            mine = np.flatnonzero(asked["model"] == name)
            specific[mine] = model.score_samples(rows_of(asked, mine))
        row = measures(correct[test], specific)
        printed(f"seed {seed}: specific, linear", row)
        table.setdefault("specific, linear", []).append(
            row | {"fit s": time.process_time() - start, "predict s": np.nan}
        )
    print(f"{len(correct):,} answers, base rate {correct.mean():.3f}; mean over seeds")
    for name, rows in table.items():
        printed(name, {key: float(np.mean([row[key] for row in rows])) for key in rows[0]})


def options_of_confidences(agreement: bool) -> dict[str, Any]:
    """Return the parameters for the logs of confidences."""
    return {
        "text": (),
        "confidence": CONFIDENCES,
        "numeric": ("log_tokens",),
        "categorical": ("category",),
        "agreement": "final" if agreement else None,
    }


def draw_questions(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return questions of the confidence logs that train and that test."""
    order = np.random.default_rng(seed).permutation(12_032)
    return order[:N_TRAIN], order[N_TRAIN : N_TRAIN + N_TEST]


def confidences(seed: int = 0) -> None:
    """Print the table of confidences pooled over 60 models."""
    train, test = draw_questions(seed)
    (records, correct), (asked, truth) = load_confidences(train), load_confidences(test)
    print(f"{len(correct):,} answers train, {len(truth):,} test")
    for agreement in (False, True):
        start = time.process_time()
        model = CorrectnessModel(**options_of_confidences(agreement), random_state=0)
        model.fit(records, correct)
        fitted = time.process_time()
        row = measures(truth, model.score_samples(asked))
        row["fit s"], row["predict s"] = fitted - start, time.process_time() - fitted
        printed("general + agreement" if agreement else "general", row)


def unseen(
    models: slice = slice(None), seed: int = 0, agreement: bool = True, hows: Iterable[str] = ()
) -> None:
    """Print how each model is judged that the fit has not seen, before and after recalibration."""
    train, test = draw_questions(seed)
    train = train[:N_TRAIN_UNSEEN]
    fresh = np.random.default_rng(seed).permutation(12_032)[-N_TARGET:]
    (records, correct), (asked, truth) = load_confidences(train), load_confidences(test)
    pilot, grades = load_confidences(fresh)
    table = []
    for name in np.unique(records["model"])[models]:
        others, mine = records["model"] != name, asked["model"] == name
        model = CorrectnessModel(**options_of_confidences(agreement), random_state=0)
        model.fit(rows_of(records, others), correct[others])
        new = pilot["model"] == name
        target, labels = rows_of(pilot, new), grades[new]
        context = rows_of(pilot, ~new) if agreement else None
        beside = rows_of(asked, ~mine) if agreement else None
        own, right = rows_of(asked, mine), truth[mine]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            before = model.score_samples(own, beside)
            row = {"AUROC": float(roc_auc_score(right, before)), "rate": float(right.mean())}
            row["before"] = excess_error(right, before)
            for how in ("shift", *hows):
                after = model.recalibrate(target, labels, how, among=context)
                row[how] = excess_error(right, after.score_samples(own, beside))
        table.append(row)
        printed(str(name), row)
    columns = {key: np.array([row[key] for row in table]) for key in table[0]}
    for word, function in (("median", np.median), ("mean", np.mean), ("largest", np.max)):
        printed(word, {key: float(function(values)) for key, values in columns.items()})
    worse = columns["shift"] - columns["before"]
    print(
        f"shift: worse than before by at most {worse.max():.4f}; {(worse > 0).sum()} models worse"
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("texts", "confidences", "unseen"))
    parser.add_argument("--step", type=int, default=1, help="every how many models are left out")
    parser.add_argument("--start", type=int, default=0, help="the first model that is left out")
    arguments = parser.parse_args()
    if arguments.only in (None, "texts"):
        texts()
    if arguments.only in (None, "confidences"):
        confidences()
    if arguments.only in (None, "unseen"):
        for agreement in (True, False):
            print(f"models left out, {'with' if agreement else 'without'} agreement")
            unseen(slice(arguments.start, None, arguments.step), agreement=agreement)


if __name__ == "__main__":
    main()
