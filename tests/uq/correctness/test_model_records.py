"""Records and options that CorrectnessModel refuses, or reads with a warning."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from calib.warnings import FallbackWarning
from uq import CorrectnessModel
from uq.warnings import InvalidConfidenceWarning

N = 120
QUICK: dict[str, Any] = {"calibrator": "platt", "classifier": "linear", "random_state": 0}


def numbers(n: int = N) -> tuple[dict[str, Any], np.ndarray]:
    """Return answers with a confidence that tells right from wrong."""
    rng = np.random.default_rng(0)
    sure = rng.random(n)
    records = {
        "question_id": np.arange(n) // 2,
        "model": np.tile(["a", "b"], n // 2),
        "question": [f"what is {k // 2}" for k in range(n)],
        "answer": [f"it is {k}" for k in range(n)],
        "sure": sure,
    }
    return records, (rng.random(n) < sure).astype(int)


def model(**options: Any) -> CorrectnessModel:
    return CorrectnessModel(**{**QUICK, "text": (), "confidence": ("sure",), **options})


def test_a_missing_column_is_named() -> None:
    records, correct = numbers()
    with pytest.raises(ValueError, match=r"no column 'questions'\. Did you mean 'question'\? It"):
        model(text=("questions",)).fit(records, correct)
    with pytest.raises(ValueError, match=r"has no column 'verbal'\. It has 'question_id', 'mod"):
        model(confidence=("verbal",)).fit(records, correct)
    fitted = model().fit(records, correct)
    with pytest.raises(ValueError, match="no column 'sure'"):
        fitted.predict({"question_id": [1], "model": ["a"]})


@pytest.mark.parametrize(
    ("records", "error", "text"),
    [
        ([{"question_id": 1}], TypeError, "must be a table .* got list.*pandas.DataFrame"),
        (np.ones((3, 2)), TypeError, "must be a table .* got ndarray"),
        ({"question_id": [], "model": [], "sure": []}, ValueError, "records has no rows"),
        (
            {"question_id": [1, 2], "model": ["a"], "sure": [0.5, 0.5]},
            ValueError,
            r"records\['sure'\] has 2 samples but records\['model'\] has 1",
        ),
        (
            {"question_id": [1], "model": "a", "sure": [0.5]},
            TypeError,
            r"records\['model'\] is 'a': one value per row",
        ),
        (
            {"question_id": [1], "model": ["a"], "sure": ["high"]},
            ValueError,
            r"records\['sure'\] must hold numbers; got str 'high'",
        ),
        (
            {"question_id": [None], "model": ["a"], "sure": [0.5]},
            ValueError,
            r"records\['question_id'\] is missing in row 0.*group=None",
        ),
    ],
)
def test_records_that_are_none(records: Any, error: type[Exception], text: str) -> None:
    fitted = model().fit(*numbers())
    with pytest.raises(error, match=text):
        fitted.predict_proba(records)


def test_texts_have_to_be_texts() -> None:
    records, correct = numbers()
    records["answer"][3] = 7
    with pytest.raises(TypeError, match=r"records\['answer'\] holds 7 in row 3: texts are needed"):
        model(text=("answer",)).fit(records, correct)


@pytest.mark.parametrize(
    ("correct", "text"),
    [
        (np.ones(N), "all right; pass some of both kinds"),
        (np.zeros(N), "all wrong; pass some of both kinds"),
        (np.arange(N) % 3, r"correct must hold 1 \(right\) and 0 \(wrong\); got 2"),
        (["yes", "no"] * (N // 2), "correct must hold 1 .* got 'no'"),
        (np.full(N, 0.5), "got 0.5"),
        (np.ones(N - 1) * (np.arange(N - 1) % 2), "records has 120 samples but correct has 119"),
        ([np.nan, *[0, 1] * (N // 2)][:N], "correct contains NaN"),
    ],
)
def test_labels_that_are_none(correct: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        model().fit(numbers()[0], correct)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"text": "question"}, r"text must be a sequence of column names; .* Pass \('question',\)"),
        ({"confidence": (1,)}, "confidence must name columns by texts; got 1"),
        ({"model": 3}, "model must name columns by texts; got 3"),
        ({"model": None, "confidence": ()}, "nothing to learn from: name columns in text="),
        ({"history_neighbors": 5}, "history_neighbors=5 needs the text of the question"),
        ({"history_neighbors": -1}, "history_neighbors must be >= 0"),
        ({"max_characters": 10}, "max_characters must be >= 100"),
        ({"embed": "bert"}, "embed must be 'tfidf' or a function"),
        ({"classifier": "liner"}, "classifier must be one of 'linear'.*Did you mean 'linear'"),
        ({"calibrator": "plat"}, "unknown calibrator 'plat'.*Did you mean 'platt'"),
        ({"calibrator": 3}, "calibrator must be a registry name, a calibrator instance or None"),
        ({"calibration_fraction": 10}, "calibration_fraction must lie in .* divide by 100"),
        ({"cv": 1}, "k-fold cross-validation requires at least one|cv must be"),
        ({"cv": "prefit"}, "cv='prefit' is no way to make folds"),
    ],
)
def test_options(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        model(**options).fit(*numbers())


def test_a_classifier_has_to_be_one() -> None:
    with pytest.raises(TypeError, match="estimator must be a scikit-learn classifier"):
        model(classifier=3).fit(*numbers())


def test_too_few_questions() -> None:
    records, correct = numbers()
    records["question_id"] = np.arange(N) % 3
    with pytest.raises(ValueError, match="records has 3 questions; at least 4 are needed"):
        model().fit(records, correct)


def test_what_embed_returns_is_checked() -> None:
    def fit(embed: Any) -> None:
        model(text=("answer",), embed=embed).fit(*numbers())

    with pytest.raises(ValueError, match="one row per text; got 1 for 120 texts"):
        fit(lambda texts: np.ones((1, 3)))
    with pytest.raises(ValueError, match=r"embed\(texts\)"):
        fit(lambda texts: np.full((len(texts), 3), np.nan))
    sizes = iter([2, 3, 4, 5])
    with pytest.raises(ValueError, match="embed returned 3 dimensions for 'answer', and 2 before"):
        model(text=("answer",), cv=None, embed=lambda t: np.ones((len(t), next(sizes)))).fit(
            *numbers()
        )


# ---------------------------------------------------------------------------------------- warnings


def test_percentages_are_missing_and_not_divided() -> None:
    records, correct = numbers()
    records["sure"] = records["sure"].copy()
    records["sure"][:5] = [85, 100, 12, -1, np.inf]
    with pytest.warns(
        InvalidConfidenceWarning,
        match=r"5 of 120 values of records\['sure'\] are outside \[0, 1\] \(-1 to inf\).*per cent",
    ):
        fitted = model().fit(records, correct)
    one = {"question_id": [1], "model": ["a"]}
    missing = fitted.score_samples({**one, "sure": [None]})
    with pytest.warns(InvalidConfidenceWarning):
        np.testing.assert_array_equal(fitted.score_samples({**one, "sure": [85.0]}), missing)
    assert fitted.score_samples({**one, "sure": [0.85]}) != missing


def test_infinite_numbers_are_missing() -> None:
    records, correct = numbers()
    with np.errstate(divide="ignore"):
        records["log"] = np.log(np.where(np.arange(N) < 3, 0.0, records["sure"]))
    with pytest.warns(InvalidConfidenceWarning, match=r"3 of 120 values of records\['log'\]"):
        model(numeric=("log",)).fit(records, correct)


def test_one_kind_of_answers_in_the_part_that_calibrates() -> None:
    records, correct = numbers()
    correct[:20] = 1
    rows = np.arange(N)
    options = {"cv": [(rows[20:], rows[:20])], "text": ()}
    with pytest.warns(FallbackWarning, match="holds 20 answers that are all right"):
        fitted = model(**options).fit(records, correct)
    proba = fitted.score_samples(records)
    assert proba[:20].mean() == pytest.approx(20.5 / 21, abs=1e-6)
    assert (proba < 1).all()


def test_one_kind_of_answers_to_recalibrate() -> None:
    records, correct = numbers()
    fitted = model().fit(records, correct)
    with pytest.warns(FallbackWarning, match="the part that recalibrates holds 120 answers"):
        right = fitted.recalibrate(records, np.ones(N), "platt").score_samples(records)
    assert right.mean() == pytest.approx(120.5 / 121, abs=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shifted = fitted.recalibrate(records, np.ones(N)).score_samples(records)
    assert 0.9 < shifted.mean() < 1
    with pytest.raises(ValueError, match=r"how must be one of 'shift'.*Did you mean 'platt'"):
        fitted.recalibrate(records, correct, "plat")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="records has 120 samples but correct has 119"):
        fitted.recalibrate(records, correct[1:])


# -------------------------------------------------------------------------------------- the groups


def test_explain_groups() -> None:
    records, correct = numbers(400)
    records["kind"] = ["x", "x", "y", "y"] * 100
    fitted = model(categorical=("kind",)).fit(records, correct)
    table = fitted.explain_groups(records, correct, n_resamples=50)
    assert [(row.by, row.name, row.n) for row in table.rows] == [
        ("", "all answers", 400),
        ("model", "a", 200),
        ("model", "b", 200),
        ("kind", "x", 200),
        ("kind", "y", 200),
    ]
    everyone = table.rows[0]
    assert everyone.base_rate == pytest.approx(correct.mean())
    assert everyone.mean_proba == pytest.approx(fitted.score_samples(records).mean())
    assert everyone.auroc > 0.75
    assert everyone.ece.low <= everyone.ece.value <= everyone.ece.high
    text = str(table)
    for number in (f"{everyone.auroc:.3f}", f"{everyone.base_rate:.3f}", "400", "kind"):
        assert number in text
    assert table.to_dict()["rows"][0]["auroc"] == everyone.auroc
    by_kind = fitted.explain_groups(records, correct, by=("kind",), n_resamples=50)
    assert [row.name for row in by_kind.rows[1:]] == ["x", "y"]
    assert (
        by_kind.to_dict()
        == fitted.explain_groups(records, correct, by="kind", n_resamples=50).to_dict()
    )


def test_explain_groups_as_a_table() -> None:
    pytest.importorskip("pandas")
    records, correct = numbers(200)
    frame = (
        model().fit(records, correct).explain_groups(records, correct, n_resamples=20).to_frame()
    )
    assert list(frame.columns) == [
        "by", "name", "n", "base_rate", "mean_proba", "auroc", "ece", "ece_low", "ece_high",
    ]  # fmt: skip
    assert frame["n"].tolist() == [200, 100, 100]


def test_groups_of_one_kind_have_no_ranking() -> None:
    records, correct = numbers(200)
    correct[::2] = 1
    table = model().fit(records, correct).explain_groups(records, correct, n_resamples=20)
    assert np.isnan(table.rows[1].auroc)
    assert "No ranking can be measured for a" in " ".join(str(table).split())


def test_groups_need_a_column() -> None:
    records, correct = numbers()
    fitted = model(model=None).fit(records, correct)
    with pytest.raises(ValueError, match="by names no column"):
        fitted.explain_groups(records, correct)
    with pytest.raises(ValueError, match="no column 'subject'"):
        fitted.explain_groups(records, correct, by=("subject",))
    with pytest.raises(ValueError, match="confidence_level must lie in"):
        fitted.explain_groups(records, correct, by=("model",), confidence_level=95)
