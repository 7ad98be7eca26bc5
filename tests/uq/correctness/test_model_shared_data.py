"""CorrectnessModel on graded answers of real models."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from calib.evaluation import expected_calibration_error
from uq import CorrectnessModel, UnseenModelWarning

FOLDER = Path(__file__).resolve().parents[4] / "shared" / "data" / "llm"
CONFIDENCES = ("verbal_numerical", "logit_perplexity", "verbal_linguistic")

pytestmark = [pytest.mark.shared_data, pytest.mark.slow]


def logs(questions: np.ndarray, models: slice) -> tuple[dict[str, Any], np.ndarray]:
    """Return answers of some models to some questions."""
    with np.load(FOLDER / "mmlupro_confidences.npz") as data:
        names = data["models"][models]
        columns: dict[str, Any] = {
            "question_id": np.tile(data["question_id"][questions], len(names)),
            "model": np.repeat(names, len(questions)),
            "final": data["answer"][models][:, questions].ravel(),
        }
        for place, name in enumerate(CONFIDENCES):
            columns[name] = data["confidence"][models][:, questions, place].ravel()
        return columns, data["correct"][models][:, questions].ravel().astype(int)


def chosen(columns: dict[str, Any], rows: np.ndarray) -> dict[str, Any]:
    return {name: column[rows] for name, column in columns.items()}


def test_agreement_of_models_and_one_left_out() -> None:
    order = np.random.default_rng(0).permutation(12_032)
    parts = [logs(order[a:b], slice(0, None, 4)) for a, b in ((0, 500), (500, 1000), (1000, 1200))]
    (records, correct), (asked, truth), (pilot, grades) = parts
    options: dict[str, Any] = {"text": (), "confidence": CONFIDENCES, "random_state": 0}
    areas = []
    for agreement in (None, "final"):
        model = CorrectnessModel(**options, agreement=agreement).fit(records, correct)
        proba = model.score_samples(asked)
        areas.append(roc_auc_score(truth, proba))
        assert expected_calibration_error(truth, proba) < 0.03
    assert areas[0] > 0.78
    assert areas[1] > 0.89
    name = str(np.unique(records["model"])[3])
    known = records["model"] != name
    model = CorrectnessModel(**options, agreement="final")
    model.fit(chosen(records, known), correct[known])
    mine, graded = asked["model"] == name, pilot["model"] == name
    again = model.recalibrate(chosen(pilot, graded), grades[graded], among=chosen(pilot, ~graded))
    with pytest.warns(UnseenModelWarning):
        before = model.score_samples(chosen(asked, mine), chosen(asked, ~mine))
    after = again.score_samples(chosen(asked, mine), chosen(asked, ~mine))
    errors = [expected_calibration_error(truth[mine], proba) for proba in (before, after)]
    assert errors[1] < errors[0] + 0.02
    assert roc_auc_score(truth[mine], after) > 0.85


def test_texts_of_answers() -> None:
    def rows(name: str) -> list[dict[str, str]]:
        with gzip.open(FOLDER / name, "rt", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    questions = {row["question_id"]: row for row in rows("mmlupro_questions.csv.gz")[::5]}
    answers = [row for row in rows("mmlupro_responses.csv.gz") if row["question_id"] in questions]
    records: dict[str, Any] = {
        "question_id": np.array([row["question_id"] for row in answers]),
        "question": np.array([questions[r["question_id"]]["question"] for r in answers], object),
        "answer": np.array([row["response"] for row in answers], object),
        "model": np.array([row["model"] for row in answers]),
    }
    correct = np.array([int(row["correct"]) for row in answers])
    held = np.isin(records["question_id"], list(questions)[::4])
    model = CorrectnessModel(group=None, random_state=0)
    model.fit(chosen(records, ~held), correct[~held])
    proba = model.score_samples(chosen(records, held))
    assert roc_auc_score(correct[held], proba) > 0.70
    assert expected_calibration_error(correct[held], proba) < 0.06
