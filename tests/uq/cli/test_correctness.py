"""``calib correctness``: a log as a user has it, the way through, files, bad input row by row."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from calib import CALIBRATORS, TemperatureCalibrator, save
from calib.cli import main
from uq import (
    CorrectnessModel,
    load_correctness_model,
    save_correctness_model,
    selective_table,
)

pytest.importorskip("skops.io")
pyarrow = pytest.importorskip("pyarrow")
from pyarrow import parquet  # noqa: E402

QUICK = ("--param", "classifier=linear", "--param", "calibrator=platt")


def log(seed: int = 0, n_questions: int = 150) -> dict[str, list[Any]]:
    """Graded answers of three models, with gaps in their confidences."""
    rng = np.random.default_rng(seed)
    columns: dict[str, list[Any]] = {
        name: [] for name in ("question_id", "model", "pred", "correct", "sure", "response")
    }
    for number in range(n_questions):
        for place, name in enumerate(("small", "medium", "large")):
            p = (0.2 if number % 2 else 0.7) + 0.1 * place
            right = int(rng.random() < p)
            words = "perhaps so" if rng.random() < (0.2 if right else 0.7) else "clearly so"
            columns["question_id"].append(1000 * seed + number)
            columns["model"].append(name)
            columns["pred"].append("A" if right else "BCD"[rng.integers(3)])
            columns["correct"].append(right)
            columns["sure"].append("" if rng.random() < 0.2 else round(p, 3))
            columns["response"].append(words)
    return columns


def questions(seed: int = 0, n_questions: int = 150) -> dict[str, list[Any]]:
    """Texts, topics and solutions of the questions of a log."""
    ids = [1000 * seed + number for number in range(n_questions)]
    return {
        "question_id": ids,
        "question": [f"{'prove' if k % 2 else 'add'} item {seed} {k}" for k in ids],
        "topic": ["proofs" if k % 2 else "sums" for k in ids],
        "answer": ["A"] * n_questions,
    }


def write(path: Path, columns: dict[str, list[Any]]) -> Path:
    opened = gzip.open(path, "wt", newline="") if path.suffix == ".gz" else path.open("w")
    with opened as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def read(path: Path) -> dict[str, list[str]]:
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    return {name: [row[k] for row in rows[1:]] for k, name in enumerate(rows[0])}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write(Path("answers.csv"), log())
    write(Path("later.csv"), log(1))
    write(Path("questions.csv"), questions())
    write(Path("later_questions.csv"), questions(1))
    return tmp_path


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def run(*arguments: object) -> str:
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert code == 2
        assert out == ""
        assert err.startswith("calib: error: ")
        return err

    return run


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that the command line has fitted."""
    place = tmp_path_factory.mktemp("saved")
    write(place / "answers.csv", log())
    write(place / "questions.csv", questions())
    names = ("answers.csv", "--questions", "questions.csv", "--out", "judge.skops")
    files = [str(place / name) if "." in name else name for name in names]
    choices = ("--categorical", "topic", "--confidence", "sure", *QUICK)
    assert main(["correctness", "fit", *files, *choices]) == 0
    return place / "judge.skops"


# ---------------------------------------------------------------------- the whole way


def test_fit_apply_report_equal_the_python_api(succeeds, capsys):
    both = ("--questions", "questions.csv")
    options = ("--categorical", "topic", "--confidence", "sure", "--agreement", "pred", *QUICK)
    text = succeeds("correctness", "fit", "answers.csv", *both, *options, "--out", "cm")
    assert "450 answers to 150 questions by 3 models" in text
    assert (
        "columns: question = question; answer = response; model = model; group = question_id; "
        "agreement = pred; confidence = sure; categorical = topic; correct = correct"
    ) in text
    assert "check of 90 answers to 30 questions that a first fit has not seen:" in text
    rates, judge = (
        [float(number) for number in line.split()[-5:]]
        for line in text.splitlines()
        if line.startswith(("rate of each model", "judge"))
    )
    assert judge[0] < rates[0]
    assert judge[3] > rates[3]

    def records(seed: int) -> dict[str, Any]:
        answers, asked = log(seed), questions(seed)
        row = {key: k for k, key in enumerate(asked["question_id"])}
        joined = [row[key] for key in answers["question_id"]]
        answers["sure"] = [float(x) if x != "" else np.nan for x in answers["sure"]]
        shared = {name: [asked[name][k] for k in joined] for name in ("question", "topic")}
        return answers | shared

    known, new = records(0), records(1)
    model = CorrectnessModel(
        text=("question", "response"), confidence=("sure",), categorical=("topic",),
        agreement="pred", classifier="linear", calibrator="platt", random_state=0,
    ).fit(known, known["correct"])  # fmt: skip
    expected = model.score_samples(new)

    both = ("--questions", "later_questions.csv")
    succeeds("correctness", "apply", "cm", "later.csv", *both, "--out", "judged.csv")
    table = read(Path("judged.csv"))
    assert list(table) == [*log(), "p_correct"]
    np.testing.assert_array_equal(np.array(table["p_correct"], dtype=float), expected)

    files = ("--html", "r.html", "--json", "r.json", "--latex", "r.tex")
    text = succeeds("correctness", "report", "cm", "later.csv", *both, "--resamples", 20, *files)
    document = json.loads(Path("r.json").read_text())
    assert document["view"] == "binary"
    assert document["n_groups"] == 150
    rows = {row["name"]: row for row in document["groups"]["rows"]}
    assert set(rows) == {"all answers", "small", "medium", "large", "proofs", "sums"}
    assert rows["all answers"]["mean_proba"] == pytest.approx(expected.mean())
    selective = {row["name"]: row for row in document["selective"]["rows"]}
    python = selective_table(new["correct"], expected, new["model"])
    assert {name: row["aurc"] for name, row in selective.items()} == {
        row.name: row.aurc for row in python.rows
    }
    for words in ("By group", "Abstention", "right instead of", "wrote r.tex"):
        assert words in text
        assert words in Path("r.html").read_text() or words.startswith("wrote")
    assert Path("r.tex").read_text().count(r"\begin{tabular}") == 3


@pytest.mark.parametrize("name", ["answers.parquet", "answers.jsonl", "answers.csv.gz"])
def test_kinds_of_tables(name, succeeds):
    columns = log() | {"question": [f"item {k}" for k in log()["question_id"]]}
    columns["correct"] = [bool(grade) for grade in columns["correct"]]
    if name.endswith("parquet"):
        parquet.write_table(pyarrow.table(columns | {"sure": [0.5] * 450}), name)
    elif name.endswith("jsonl"):
        rows = zip(*columns.values(), strict=True)
        lines = [json.dumps(dict(zip(columns, row, strict=True)) | {"sure": None}) for row in rows]
        Path(name).write_text("\n".join(lines))
    else:
        write(Path(name), columns)
    succeeds("correctness", "fit", name, *QUICK, "--check", 0, "--out", "cm.skops")
    succeeds("correctness", "apply", "cm.skops", name)
    assert Path(name.replace("answers", "answers.calibrated")).is_file()


def test_words_for_grades_and_usual_names(succeeds):
    columns = log()
    table = {
        "prompt": [f"item {k}" for k in columns["question_id"]],
        "completion": columns["response"],
        "model_name": columns["model"],
        "is_correct": ["Yes" if grade else "no" for grade in columns["correct"]],
    }
    write(Path("other.csv"), table)
    text = succeeds("correctness", "fit", "other.csv", *QUICK, "--out", "cm")
    assert "question = prompt; answer = completion; model = model_name; correct" in text
    assert f"{100 * np.mean(columns['correct']):.3g} % of them right" in text


def test_none_takes_no_column(succeeds):
    both = ("answers.csv", "--questions", "questions.csv")
    nothing = ("--answer", "none", "--model", "none")
    text = succeeds("correctness", "fit", *both, *nothing, *QUICK, "--out", "cm")
    assert "columns: question = question; group = question_id; correct" in text
    assert "rate of right answers" in text
    model = load_correctness_model("cm")
    assert (model.text, model.model) == (("question",), None)


def test_several_texts_numbers_and_no_check(succeeds, capsys):
    both = ("answers.csv", "--questions", "questions.csv", "--question", "question,topic")
    main(["correctness", "fit", *both, "--numeric", "sure", *QUICK, "--check", "0", "--out", "cm"])
    out, err = capsys.readouterr()
    assert "check of" not in out
    assert "no check" not in err
    assert "'pred' may hold final answers: --agreement pred" in err
    model = load_correctness_model("cm")
    assert (model.text, model.numeric) == (("question", "topic", "response"), ("sure",))


def test_what_a_fit_could_not_do_is_said(capsys):
    write(Path("answers.csv"), log(n_questions=15))
    assert main(["correctness", "fit", "answers.csv", *QUICK, "--out", "cm"]) == 0
    out, err = capsys.readouterr()
    assert "check of" not in out
    assert "no check: 15 questions are too few" in err
    assert "without the texts of their questions; --question names" in err


def test_seed_and_parameters_reach_the_model(succeeds):
    both = ("answers.csv", "--questions", "questions.csv", "--seed", 7, "--check", 0)
    more = ("--param", "history_neighbors=3", "--param", "calibration_fraction=0.2")
    more = (*more, "--param", "cv=none")
    succeeds("correctness", "fit", *both, *QUICK, *more, "--out", "cm")
    model = load_correctness_model("cm")
    assert (model.random_state, model.history_neighbors) == (7, 3)
    assert model.n_calibration_ == 90


def test_recalibrate(saved, succeeds):
    both = ("later.csv", "--questions", "later_questions.csv")
    columns = log(1) | {"correct": [0] * 400 + [1] * 50}
    write(Path("later.csv"), columns)
    text = succeeds("correctness", "recalibrate", saved, *both, "--out", "new.skops")
    before, after = (float(text.split(word)[0].split()[-1]) for word in (" before", " after"))
    assert after < before - 0.1
    succeeds("correctness", "apply", "new.skops", *both, "--out", "judged.csv")
    assert np.mean(np.array(read(Path("judged.csv"))["p_correct"], dtype=float)) == pytest.approx(
        after, abs=5e-4
    )
    how = ("--how", "platt", "--out", "platt.skops")
    assert "platt of 450 graded answers" in succeeds(
        "correctness", "recalibrate", saved, *both, *how
    )


def test_agreement_among_further_answers(succeeds, fails, saved):
    both = ("--questions", "questions.csv")
    options = ("--agreement", "pred", *QUICK, "--check", 0, "--out", "cm")
    succeeds("correctness", "fit", "answers.csv", *both, *options)
    columns = log(1)
    parts = {}
    for name, wanted in (("own.csv", True), ("others.csv", False)):
        rows = [k for k, model in enumerate(columns["model"]) if (model == "large") is wanted]
        parts[name] = {key: [values[k] for k in rows] for key, values in columns.items()}
        write(Path(name), parts[name])
    both = ("--questions", "later_questions.csv", "--out", "judged.csv")
    succeeds("correctness", "apply", "cm", "later.csv", *both)
    table = read(Path("judged.csv"))
    whole = [
        p for p, name in zip(table["p_correct"], table["model"], strict=True) if name == "large"
    ]
    succeeds("correctness", "apply", "cm", "own.csv", "--among", "others.csv", *both)
    assert read(Path("judged.csv"))["p_correct"] == whole
    succeeds("correctness", "apply", "cm", "own.csv", *both)
    assert read(Path("judged.csv"))["p_correct"] != whole
    error = fails("correctness", "apply", saved, "own.csv", "--among", "others.csv", *both)
    assert "judge.skops compares no final answers; fit it with --agreement" in error


def test_report_says_that_it_was_fitted_to_these_answers(saved, capsys):
    code = main(["correctness", "report", str(saved), "answers.csv", "--questions",
                 "questions.csv", "--resamples", "20"])  # fmt: skip
    assert code == 0
    assert "450 of 450 answers of answers.csv are those that the model was fitted to" in (
        capsys.readouterr().err
    )


def test_report_by_other_columns(saved, succeeds):
    both = ("later.csv", "--questions", "later_questions.csv", "--resamples", 20)
    text = succeeds("correctness", "report", saved, *both, "--by", "pred", "--correct", "correct")
    assert "\npred\n" in text
    assert "\ntopic\n" not in text


@pytest.mark.filterwarnings("default")
def test_an_unseen_model_is_named(saved, capsys):
    columns = log(1)
    columns["model"] = ["brand-new"] * len(columns["model"])
    write(Path("later.csv"), columns)
    both = ("later.csv", "--questions", "later_questions.csv", "--out", "judged.csv")
    assert main(["correctness", "apply", str(saved), *both]) == 0
    assert "by models that were not there at fit: 'brand-new'" in capsys.readouterr().err


# ---------------------------------------------------------------------- bad input

FIT = ("correctness", "fit", "answers.csv", "--questions", "questions.csv", "--out", "cm")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*FIT, "--model", "models"), "unknown column 'models' (did you mean 'model'?)"),
        ((*FIT, "--question", "questions"), "did you mean 'question'"),
        ((*FIT, "--answer", "topic"), "--answer topic: this is a column of questions.csv alone"),
        ((*FIT, "--correct", "topic"), "--correct topic: this is a column of questions.csv alone"),
        ((*FIT, "--correct", "pred"), "column 'pred' of answers.csv must hold 1 (right)"),
        ((*FIT, "--confidence", "pred"), "column 'pred' of answers.csv is not numeric: 'A' in row"),
        ((*FIT, "--numeric", "topic"), "column 'topic' of questions.csv is not numeric"),
        ((*FIT, "--group", "model"), "questions.csv lacks the column 'model'"),
        ((*FIT, "--group", "none"), "--questions needs a column that both files have"),
        ((*FIT, "--check", "1.5"), "--check must lie in [0, 1); got 1.5"),
        ((*FIT, "--param", "embed=x"), "--param embed: the correctness model has no such"),
        ((*FIT, "--param", "cv"), "--param cv: write it as KEY=VALUE"),
        ((*FIT[:-1], "answers.csv"), "--out answers.csv would replace a file that is read"),
        ((*FIT[:-1], "cm.csv"), "--out cm.csv: a correctness model has another ending than .csv"),
        (("correctness", "fit", "answers.csv", "--out", "cm", "--group", "none"),
         "name the column of the texts of questions with --question"),
        (("correctness", "fit", "nothing.csv", "--out", "cm"), "no such file: nothing.csv"),
        ((*FIT, "--qestion", "x"), "did you mean --question?"),
    ],
)  # fmt: skip
def test_bad_arguments(arguments, message, fails):
    assert message in fails(*arguments)
    assert not Path("cm").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"question_id": [0] * 150}, "has '0' more than once; a question has one row"),
        ({"question_id": range(1, 151)}, "lacks 1 of the questions of answers.csv, such as '0'"),
    ],
)
def test_questions_that_do_not_match(change, message, fails):
    write(Path("questions.csv"), questions() | {k: list(v) for k, v in change.items()})
    assert message in fails(*FIT)


@pytest.mark.parametrize(
    ("grade", "message"),
    [("", "column 'correct' of answers.csv has no value in row 4"), ("2", "it has 2. Grade")],
)
def test_missing_and_odd_grades(grade, message, fails):
    columns = log()
    columns["correct"][4] = grade
    write(Path("answers.csv"), columns)
    assert message in fails(*FIT)


def test_no_column_of_grades(fails):
    columns = log()
    del columns["correct"]
    write(Path("answers.csv"), columns)
    assert "name the column that says whether an answer is right with --correct" in fails(*FIT)


def test_columns_that_a_table_lacks(saved, fails):
    error = fails("correctness", "apply", saved, "later.csv", "--out", "judged.csv")
    assert "no column 'question' in later.csv" in error
    assert "--questions adds columns of a table of questions" in error


def test_outputs_destroy_nothing(saved, fails, tmp_path):
    both = ("later.csv", "--questions", "later_questions.csv")
    apply = ("correctness", "apply", saved, *both)
    Path("judge.csv").write_bytes(saved.read_bytes())
    assert "would replace a correctness model by a table" in fails(*apply, "--out", "judge.csv")
    Path("cm").write_text("notes of mine")
    assert "would replace a file of another kind" in fails(*FIT)
    twice = log(1) | {"p_correct": [0.5] * 450}
    write(Path("later.csv"), twice)
    assert "already has a column 'p_correct'" in fails(*apply, "--out", "out.csv")


# ---------------------------------------------------------------------- files of models


def fitted(**options: Any) -> tuple[CorrectnessModel, dict[str, list[Any]]]:
    records = log() | {"question": [f"item {k % 2}" for k in log()["question_id"]]}
    given = {"text": ("question", "response"), "random_state": 0, "classifier": "linear"}
    model = CorrectnessModel(**(given | {"calibrator": None} | options))
    return model.fit(records, records["correct"]), records


@pytest.mark.parametrize(
    "options",
    [
        {"classifier": None},
        {"classifier": None, "history_neighbors": 3, "categorical": ("pred",), "cv": 3},
        {"calibrator": "auto", "agreement": "pred"},
        {"model": None, "group": "question_id"},
        {"text": (), "categorical": ("pred",)},
    ],
    ids=str,
)
def test_round_trip_is_exact(options, tmp_path):
    model, records = fitted(**options)
    path = save_correctness_model(model, tmp_path / "cm.skops")
    same = load_correctness_model(path)
    np.testing.assert_array_equal(same.score_samples(records), model.score_samples(records))
    assert same.get_params() == model.get_params()
    assert same.recalibrate(records, records["correct"]).predict(records).shape == (450,)


@pytest.mark.parametrize(
    "name", [name for name, entry in CALIBRATORS.items() if entry.available and name != "auto"]
)
def test_every_calibrator_round_trips_or_says_why_not(name, tmp_path):
    model, records = fitted(calibrator=name, text=("response",))
    if name == "split_point":
        with pytest.raises(TypeError, match="RidgeHeads"):
            save_correctness_model(model, tmp_path / "cm")
        return
    same = load_correctness_model(save_correctness_model(model, tmp_path / "cm"))
    np.testing.assert_array_equal(same.score_samples(records), model.score_samples(records))


def lengths(texts: list[str]) -> list[list[float]]:
    return [[float(len(text))] for text in texts]


def test_what_cannot_be_saved(tmp_path):
    path = tmp_path / "cm.skops"
    path.write_text("as it was")
    model, _ = fitted(embed=lengths)
    with pytest.raises(TypeError, match=r"lengths.*could run code; use pickle"):
        save_correctness_model(model, path)
    with pytest.raises(TypeError, match="must be a CorrectnessModel"):
        save_correctness_model(TemperatureCalibrator(), path)
    with pytest.raises(NotFittedError, match="call fit"):
        save_correctness_model(CorrectnessModel(), path)
    assert path.read_text() == "as it was"


def changed(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Rewrite the JSON of a saved model, as somebody would who wants code to run."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(members["schema.json"])
    change(schema)
    members["schema.json"] = json.dumps(schema).encode()
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    path.write_bytes(data.getvalue())


def test_a_tampered_file_runs_no_code(saved, tmp_path, fails):
    path = tmp_path / "evil.skops"
    path.write_bytes(saved.read_bytes())

    def insert(schema: dict[str, Any]) -> None:
        schema["content"]["model"] = {
            "__class__": "system", "__module__": "os", "__loader__": "FunctionNode",
            "__id__": 1, "content": {"module_path": "os", "function": "system"},
        }  # fmt: skip

    changed(path, insert)
    with pytest.raises(ValueError, match=r"evil.skops holds (os|posix).system, .*not loaded"):
        load_correctness_model(path)
    both = ("later.csv", "--questions", "later_questions.csv", "--out", "judged.csv")
    assert "could run code" in fails("correctness", "apply", path, *both)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_damaged_file_is_named(saved, share, tmp_path):
    data = bytearray(saved.read_bytes())
    place = int(share * len(data))
    data[place : place + 40] = bytes(byte ^ 0xFF for byte in data[place : place + 40])
    path = tmp_path / "broken.skops"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"broken\.skops"):
        load_correctness_model(path)
    path.write_bytes(saved.read_bytes()[: len(data) // 2])
    with pytest.raises(ValueError, match=r"broken\.skops"):
        load_correctness_model(path)


def test_files_of_another_kind(saved, tmp_path, fails):
    calibrator = TemperatureCalibrator(input="logits").fit([-2.0, 1.0, -1.0, 3.0], [0, 1, 1, 1])
    both = ("later.csv", "--questions", "later_questions.csv", "--out", "judged.csv")
    other = save(calibrator, tmp_path / "cal.json")
    np.savez(tmp_path / "arrays.npz", a=np.ones(3))
    import skops.io

    skops.io.dump(calibrator, tmp_path / "temperature.skops")
    skops.io.dump({"kind": "calib correctness model", "format": 99}, tmp_path / "newer.skops")
    skops.io.dump({"kind": "calib correctness model", "format": 1}, tmp_path / "parts.skops")
    for path in (other, "arrays.npz", "temperature.skops"):
        assert "is no correctness model" in fails("correctness", "apply", path, *both)
    assert "newer than this version" in fails("correctness", "apply", "newer.skops", *both)
    assert "parts of it are missing" in fails("correctness", "apply", "parts.skops", *both)
    assert "no such file" in fails("correctness", "apply", "nothing.skops", *both)


# ---------------------------------------------------------------------- as a new user types it


@pytest.mark.slow
@pytest.mark.shared_data
@pytest.mark.filterwarnings("default")
def test_a_real_log(shared_data, capsys):
    with gzip.open(shared_data / "llm" / "mmlupro_responses.csv.gz", "rt", newline="") as file:
        header, *rows = csv.reader(file)
    ids = sorted({row[0] for row in rows}, key=int)
    for name, chosen in (("graded.csv", set(ids[::8])), ("new.csv", set(ids[1::8]))):
        part = [row for row in rows if row[0] in chosen]
        write(Path(name), {key: [row[k] for row in part] for k, key in enumerate(header)})
    both = ("--questions", str(shared_data / "llm" / "mmlupro_questions.csv.gz"))
    options = ("--categorical", "category", "--agreement", "pred")
    assert main(["correctness", "fit", "graded.csv", *both, *options, "--out", "cm"]) == 0
    assert "5,000 answers to 499 questions by 10 models" in capsys.readouterr().out  # one twice
    assert main(["correctness", "apply", "cm", "new.csv", *both, "--out", "judged.csv"]) == 0
    table = read(Path("judged.csv"))
    rows = selective_table(
        np.array(table["correct"], dtype=int), np.array(table["p_correct"], dtype=float)
    ).rows
    assert rows[0].auroc > 0.8  # 0.5 without learning; agreement carries most of it
    assert rows[0].accuracy_kept > rows[0].accuracy + 0.15
