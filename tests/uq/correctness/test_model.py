"""CorrectnessModel: what it learns, which fields count, splits, calibration, scikit-learn."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from calib import BetaCalibrator, PlattCalibrator
from uq import CorrectnessModel, UnseenModelWarning
from uq.warnings import DuplicateQuestionsWarning

HARD, EASY = ("prove", "derive", "theorem"), ("add", "name", "colour")
UNSURE, SURE = ("perhaps", "maybe"), ("clearly", "certainly")
MODELS = ("small", "medium", "large")
QUICK: dict[str, Any] = {"calibrator": "platt", "random_state": 0}
LINEAR = {**QUICK, "classifier": "linear"}


def logs(
    n_questions: int = 200, seed: int = 0, models: tuple[str, ...] = MODELS
) -> tuple[dict[str, Any], np.ndarray]:
    """Return answers of some models to questions whose words tell how hard they are."""
    rng = np.random.default_rng(seed)
    columns: dict[str, list[Any]] = {
        name: [] for name in ("question_id", "question", "answer", "model", "sure", "final")
    }
    correct = []
    for number in range(n_questions):
        hard, solution = rng.random() < 0.5, rng.integers(4)
        words = rng.choice(HARD if hard else EASY, 3)
        for place, name in enumerate(models):
            p = (0.25 if hard else 0.75) + 0.08 * place
            right = rng.random() < p
            unsure = rng.random() < (0.2 if right else 0.7)
            columns["question_id"].append(seed * 10_000 + number)
            columns["question"].append(f"{' '.join(words)} number{seed}x{number}")
            columns["answer"].append(f"{rng.choice(UNSURE if unsure else SURE)} so")
            columns["model"].append(name)
            columns["sure"].append(np.clip(p + 0.1 * rng.normal(), 0, 1))
            columns["final"].append("abcd"[solution if right else rng.integers(4)])
            correct.append(int(right))
    return columns, np.array(correct)


@pytest.fixture(scope="module")
def fitted() -> CorrectnessModel:
    return CorrectnessModel(**QUICK).fit(*logs())


@pytest.fixture(scope="module")
def asked() -> tuple[dict[str, Any], np.ndarray]:
    return logs(seed=1)


def area(model: CorrectnessModel, asked: tuple[dict[str, Any], np.ndarray]) -> float:
    return float(roc_auc_score(asked[1], model.score_samples(asked[0])))


def test_texts_tell_right_from_wrong(
    fitted: CorrectnessModel, asked: tuple[dict[str, Any], np.ndarray]
) -> None:
    assert area(fitted, asked) > 0.8
    proba = fitted.predict_proba(asked[0])
    np.testing.assert_allclose(proba.sum(axis=1), 1.0)
    np.testing.assert_array_equal(proba[:, 1], fitted.score_samples(asked[0]))
    np.testing.assert_array_equal(fitted.predict(asked[0]), (proba[:, 1] > 0.5).astype(int))
    assert abs(proba[:, 1].mean() - asked[1].mean()) < 0.06
    assert fitted.classes_.tolist() == [0, 1]
    assert fitted.models_ == sorted(MODELS)
    assert fitted.feature_names_in_.tolist() == ["question", "answer", "model", "question_id"]


def test_fields_decide_what_is_learned(asked: tuple[dict[str, Any], np.ndarray]) -> None:
    data = logs()
    areas = {
        name: area(CorrectnessModel(**QUICK, **options, classifier="linear").fit(*data), asked)
        for name, options in {
            "answerless": {"text": ("question",)},
            "answer": {"text": ("answer",)},
            "both": {},
        }.items()
    }
    assert areas["both"] > areas["answerless"] + 0.03
    assert areas["both"] > areas["answer"] + 0.03
    nameless = CorrectnessModel(**QUICK, model=None, classifier="linear").fit(*data)
    moved = {**asked[0], "model": ["another"] * len(asked[1])}
    np.testing.assert_array_equal(nameless.score_samples(asked[0]), nameless.score_samples(moved))


def test_the_name_of_the_model_counts(asked: tuple[dict[str, Any], np.ndarray]) -> None:
    model = CorrectnessModel(**QUICK, text=()).fit(*logs(400))
    records = {"question_id": [0, 1], "model": ["small", "large"]}
    small, large = model.score_samples(records)
    assert large - small == pytest.approx(0.16, abs=0.1)


@pytest.mark.parametrize("classifier", ["linear", RandomForestClassifier(50, random_state=0)])
def test_other_classifiers(classifier: Any, asked: tuple[dict[str, Any], np.ndarray]) -> None:
    assert area(CorrectnessModel(**QUICK, classifier=classifier).fit(*logs()), asked) > 0.78


def test_confidences_numbers_and_names(asked: tuple[dict[str, Any], np.ndarray]) -> None:
    (records, correct), (new, truth) = logs(), asked
    plain = CorrectnessModel(**QUICK, text=())
    without = area(plain.fit(records, correct), asked)
    for field in ("confidence", "numeric"):
        told = clone(plain).set_params(**{field: ("sure",)}).fit(records, correct)
        assert area(told, asked) > without + 0.1
        gaps = {**new, "sure": [None if k % 2 else s for k, s in enumerate(new["sure"])]}
        assert without < area(told, (gaps, truth)) < area(told, asked)
    kinds = [[question.split()[0] for question in part["question"]] for part in (records, new)]
    named = clone(plain).set_params(categorical=("kind",))
    named.fit({**records, "kind": kinds[0]}, correct)
    assert area(named, ({**new, "kind": kinds[1]}, truth)) > without + 0.1
    unknown = {**new, "kind": ["never seen"] * len(truth)}
    assert np.isfinite(named.score_samples(unknown)).all()


# ---------------------------------------------------------------------------------------- agreement


def test_agreement_counts_other_models_in_the_batch(
    asked: tuple[dict[str, Any], np.ndarray],
) -> None:
    without = CorrectnessModel(**QUICK, text=()).fit(*logs())
    model = CorrectnessModel(**QUICK, text=(), agreement="final").fit(*logs())
    assert area(model, asked) > area(without, asked) + 0.15

    def batch(finals: list[str], names: tuple[str, ...] = MODELS) -> np.ndarray:
        records = {"question_id": [1] * len(finals), "model": names[: len(finals)], "final": finals}
        return model.score_samples(records)

    agreeing, split = batch(["a", "a", "a"]), batch(["a", "b", "c"])
    assert (agreeing > split + 0.2).all()
    # an answer that is missing agrees with none
    assert batch(["", "", "a"])[0] < agreeing[0] - 0.2
    # a model does not agree with itself
    repeated = batch(["a", "a"], ("small", "small"))
    np.testing.assert_allclose(repeated, batch(["a"])[0])


def test_agreement_among_further_answers(asked: tuple[dict[str, Any], np.ndarray]) -> None:
    records, _ = asked
    model = CorrectnessModel(**QUICK, text=(), agreement="final").fit(*logs())
    whole = model.score_samples(records)
    is_small = np.array(records["model"]) == "small"
    own, others = (
        {name: [v for v, chosen in zip(column, part, strict=True) if chosen]
         for name, column in records.items()}
        for part in (is_small, ~is_small)
    )  # fmt: skip
    np.testing.assert_allclose(model.score_samples(own, others), whole[is_small])
    np.testing.assert_allclose(model.predict_proba(own, others)[:, 1], whole[is_small])
    np.testing.assert_array_equal(model.predict(own, others), whole[is_small] > 0.5)
    assert np.abs(model.score_samples(own) - whole[is_small]).max() > 0.1
    with pytest.raises(ValueError, match="among holds answers to compare with"):
        CorrectnessModel(**QUICK, text=()).fit(*logs()).score_samples(own, others)


# ------------------------------------------------------------------------------------------ history


def test_history_of_similar_questions(asked: tuple[dict[str, Any], np.ndarray]) -> None:
    options = {**QUICK, "text": ("question",), "history_neighbors": 20}
    model = CorrectnessModel(**options, classifier=LogisticRegression(C=0.1)).fit(*logs())
    assert area(model, asked) > 0.7


def test_history_does_not_leak_the_label() -> None:
    """Labels by chance: a question's own outcome must not be among its neighbours."""
    rng = np.random.default_rng(0)
    records, _ = logs(150)
    luck = np.repeat(rng.integers(0, 2, 150), 3)  # all answers to a question alike
    model = CorrectnessModel(**QUICK, text=("question",), history_neighbors=5, cv=5)
    model.fit(records, luck)
    new, _ = logs(150, seed=3)
    chance = roc_auc_score(np.repeat(rng.integers(0, 2, 150), 3), model.score_samples(new))
    assert abs(chance - 0.5) < 0.15
    assert abs(model.score_samples(new) - 0.5).mean() < 0.1  # nothing was learned with certainty


# ------------------------------------------------------------------------------------------- splits


def test_questions_stay_whole() -> None:
    records, correct = logs(60)
    rows = np.arange(len(correct))
    with pytest.raises(ValueError, match="cv puts 1 questions on both sides of a split"):
        CorrectnessModel(**LINEAR, cv=[(rows[:100], rows[100:])]).fit(records, correct)
    one_split = CorrectnessModel(**LINEAR, cv=[(rows[:90], rows[90:])]).fit(records, correct)
    assert one_split.n_calibration_ == 90
    folds = CorrectnessModel(**LINEAR, cv=GroupKFold(3)).fit(records, correct)
    assert folds.n_calibration_ == 180
    assert CorrectnessModel(**LINEAR).fit(records, correct).n_calibration_ == 180
    assert CorrectnessModel(**LINEAR, cv=None, calibration_fraction=0.3).fit(
        records, correct
    ).n_calibration_ == pytest.approx(54, abs=3)


def test_the_same_question_under_two_names() -> None:
    records, correct = logs(60)
    records["question"][3:6] = [text.upper() + " !" for text in records["question"][:3]]
    with pytest.warns(DuplicateQuestionsWarning, match="1 of 60 questions have the text"):
        CorrectnessModel(**LINEAR).fit(records, correct)
    rows = np.arange(len(correct))
    split = [(rows[3:], rows[:3])]
    with (
        pytest.warns(DuplicateQuestionsWarning),
        pytest.raises(ValueError, match="both sides of a split"),
    ):
        CorrectnessModel(**LINEAR, cv=split).fit(records, correct)
    with pytest.raises(ValueError, match="both sides of a split"):
        CorrectnessModel(**LINEAR, cv=split, group=None).fit(records, correct)
    CorrectnessModel(**LINEAR, group=None).fit(records, correct)  # told apart by text: no warning


# -------------------------------------------------------------------------------------- calibration


@pytest.mark.parametrize("calibrator", [BetaCalibrator(), "isotonic", "auto", None])
def test_calibrators(calibrator: Any, asked: tuple[dict[str, Any], np.ndarray]) -> None:
    model = CorrectnessModel(calibrator=calibrator, random_state=0).fit(*logs())
    proba = model.score_samples(asked[0])
    assert abs(proba.mean() - asked[1].mean()) < 0.08
    if calibrator == "isotonic":  # half a label of those that calibrated
        least = 0.5 / model.n_calibration_
        assert proba.min() >= least - 1e-12
        assert proba.max() <= 1 - least + 1e-12


def test_a_calibrator_repairs_the_level(asked: tuple[dict[str, Any], np.ndarray]) -> None:
    """A model that is trained on weights which favour right answers promises too much."""
    records, correct = logs(400)
    options = {"random_state": 0, "calibrator": None, "classifier": "linear"}
    weight = np.where(correct == 1, 4.0, 1.0)
    model = CorrectnessModel(**options).fit(records, correct, weight)
    assert model.score_samples(asked[0]).mean() > asked[1].mean() + 0.1
    repaired = model.recalibrate(*logs(100, seed=5), how="platt")
    assert abs(repaired.score_samples(asked[0]).mean() - asked[1].mean()) < 0.05


@pytest.mark.parametrize("how", ["shift", "platt", "isotonic", "spline", "auto"])
def test_recalibrate(fitted: CorrectnessModel, how: Any) -> None:
    records, correct = logs(150, seed=6)
    harder = correct * (np.random.default_rng(0).random(len(correct)) < 0.5)
    before = fitted.score_samples(records)
    new = fitted.recalibrate(records, harder, how)
    assert new is not fitted
    np.testing.assert_array_equal(fitted.score_samples(records), before)
    after = new.score_samples(records)
    assert abs(after.mean() - harder.mean()) < 0.02 < before.mean() - harder.mean()
    assert roc_auc_score(harder, after) > roc_auc_score(harder, before) - 0.02
    twice = new.recalibrate(records, harder, how)
    np.testing.assert_allclose(twice.score_samples(records), after)


def test_recalibrate_by_weights(fitted: CorrectnessModel) -> None:
    records, correct = logs(50, seed=7)
    weight = np.tile([2, 0, 1], 50)
    rows = np.repeat(np.arange(150), weight)
    repeated = {name: [column[row] for row in rows] for name, column in records.items()}
    by_weight = fitted.recalibrate(records, correct, "shift", weight)
    by_rows = fitted.recalibrate(repeated, correct[rows])
    np.testing.assert_allclose(
        by_weight.score_samples(records), by_rows.score_samples(records), atol=1e-12
    )


def test_few_labels_shift_little(fitted: CorrectnessModel) -> None:
    records, _ = logs(60, seed=8)
    before = fitted.score_samples(records)
    few = {name: column[:2] for name, column in records.items()}
    after = fitted.recalibrate(few, [0, 0]).score_samples(records)
    assert (after < before).all()
    assert after.mean() > before.mean() / 2


def test_labels_move_less_where_models_are_alike(fitted: CorrectnessModel) -> None:
    assert fitted.shift_spread_ == 1.0  # three models show nothing
    rng = np.random.default_rng(0)
    sure = rng.random(2400)

    def records(names: np.ndarray) -> dict[str, Any]:
        return {"question_id": np.arange(2400) // 8, "model": names, "sure": sure}

    names = np.tile(list("abcdefgh"), 300)
    options = {**QUICK, "text": (), "confidence": ("sure",), "classifier": "linear"}
    spreads, shifts = [], []
    for far in (0.0, 0.3):
        level = np.clip(sure + far * (names > "d") - far / 2, 0.02, 0.98)
        model = CorrectnessModel(**options).fit(records(names), rng.random(2400) < level)
        spreads.append(model.shift_spread_)
        few = {name: column[:40] for name, column in records(np.repeat("z", 2400)).items()}
        labels = np.arange(40) % 10 < 7  # more right ones than promised
        again = model.recalibrate(few, labels)
        shifts.append((again.score_samples(few) - labels.mean()).mean())
    assert spreads[0] < 0.35 < spreads[1]
    assert abs(shifts[1]) < abs(shifts[0])


def test_unseen_models_are_judged_without_the_name(fitted: CorrectnessModel) -> None:
    records, correct = logs(100, seed=9)
    model = pickle.loads(pickle.dumps(fitted))
    assert model.unseen_models_ == []
    new = {**records, "model": ["huge"] * 300}
    with pytest.warns(UnseenModelWarning, match="300 of 300 answers .* at fit: 'huge'"):
        proba = model.score_samples(new)
    assert model.unseen_models_ == ["huge"]
    assert roc_auc_score(correct, proba) > 0.78
    again = model.recalibrate(new, correct)
    again.score_samples(new)  # known by now: no warning
    missing = {**records, "model": [None] * 300}
    with pytest.warns(UnseenModelWarning):
        np.testing.assert_array_equal(model.score_samples(missing), proba)


# ------------------------------------------------------------------------------------------ weights


def test_rows_of_weight_zero_are_not_there() -> None:
    records, correct = logs(60)
    broken = {name: [*column, column[0]] for name, column in records.items()}
    broken["question_id"][-1] = None
    broken["answer"][-1] = 3.5
    weight = np.append(np.ones(180), 0)
    model = CorrectnessModel(**LINEAR).fit(broken, [*correct, np.nan], weight)
    alone = CorrectnessModel(**LINEAR).fit(records, correct)
    np.testing.assert_array_equal(model.score_samples(records), alone.score_samples(records))
    split = [(np.append(np.arange(90), 180), np.arange(90, 180))]
    CorrectnessModel(**LINEAR, cv=split).fit(broken, [*correct, np.nan], weight)


def test_weights_count(asked: tuple[dict[str, Any], np.ndarray]) -> None:
    records, correct = logs()
    for options in ({}, {"classifier": "linear"}):
        model = CorrectnessModel(calibrator=None, random_state=0, text=("question",), **options)
        plain = model.fit(records, correct).score_samples(asked[0])
        weight = np.where(correct == 1, 5.0, 1.0)
        favoured = model.fit(records, correct, weight).score_samples(asked[0])
        assert favoured.mean() > plain.mean() + 0.1


# ------------------------------------------------------------------------------------- scikit-learn


def test_clone_parameters_and_pickle(
    fitted: CorrectnessModel, asked: tuple[dict[str, Any], np.ndarray]
) -> None:
    other = clone(fitted)
    assert other.get_params() == fitted.get_params()
    assert not hasattr(other, "classes_")
    other.set_params(text=("question",), calibrator=PlattCalibrator())
    assert other.text == ("question",)
    restored = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(restored.score_samples(asked[0]), fitted.score_samples(asked[0]))
    same = CorrectnessModel(**QUICK).fit(*logs())
    np.testing.assert_array_equal(same.score_samples(asked[0]), fitted.score_samples(asked[0]))
    assert "CorrectnessModel(" in repr(fitted)


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_tables(library: str, asked: tuple[dict[str, Any], np.ndarray]) -> None:
    module = pytest.importorskip(library)
    records, correct = logs(60)
    make = module.table if library == "pyarrow" else module.DataFrame
    model = CorrectnessModel(**LINEAR).fit(make(records), correct)
    columns = CorrectnessModel(**LINEAR).fit(records, correct)
    np.testing.assert_array_equal(
        model.score_samples(make(asked[0])), columns.score_samples(asked[0])
    )


def test_pipelines_and_cross_validation() -> None:
    pandas = pytest.importorskip("pandas")
    records, correct = logs(100)
    table = pandas.DataFrame(records)
    pipeline = make_pipeline(FunctionTransformer(), CorrectnessModel(**LINEAR))
    areas = cross_val_score(
        pipeline, table, correct, cv=GroupKFold(2), groups=table["question_id"], scoring="roc_auc"
    )
    assert areas.min() > 0.7


# ------------------------------------------------------------------------------------------- texts


def test_embeddings_of_the_caller(asked: tuple[dict[str, Any], np.ndarray]) -> None:
    calls = []

    def embed(texts: list[str]) -> np.ndarray:
        calls.append(len(texts))
        words = (*HARD, *EASY, *UNSURE, *SURE)
        return np.array([[text.count(word) for word in words] for text in texts], dtype=float)

    model = CorrectnessModel(**LINEAR, embed=embed).fit(*logs())
    assert area(model, asked) > 0.8
    assert max(calls) <= 200  # equal texts are embedded once


def test_texts_that_are_none_and_long_ones() -> None:
    records, correct = logs(60)
    records["answer"][:4] = ["", None, "half \ud800 a sign", "with \x00 NUL"]
    records["answer"][5] = "beginning " + "word " * 200_000 + "end"
    model = CorrectnessModel(**LINEAR).fit(records, correct)
    assert np.isfinite(model.score_samples(records)).all()


def test_long_texts_are_read_by_both_ends() -> None:
    records, correct = logs(60)
    filler = "x " * 300
    records["answer"] = [f"{answer} {filler} end" for answer in records["answer"]]
    seen: list[str] = []

    def embed(texts: list[str]) -> np.ndarray:
        seen.extend(texts)
        return np.ones((len(texts), 1))

    CorrectnessModel(**LINEAR, text=("answer",), embed=embed, max_characters=100).fit(
        records, correct
    )
    assert max(map(len, seen)) == 101
    assert all(text.endswith("end") and text.split()[0] in (*UNSURE, *SURE) for text in seen)


def test_no_words_at_all() -> None:
    records, correct = logs(60)
    records["answer"] = ["?!"] * len(correct)
    assert np.isfinite(
        CorrectnessModel(**LINEAR).fit(records, correct).score_samples(records)
    ).all()
