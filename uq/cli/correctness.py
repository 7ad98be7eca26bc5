"""``calib correctness``: judge answers of language models by a log of graded ones."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from calib._border.random import generator
from calib._border.typing import Float64Array, IntArray
from calib._core.estimators.out_of_fold import draw_held_out
from calib.cli.commands import read_parameters
from calib.cli.files.targets import beside, check_files
from calib.cli.files.writers import report_outputs, writable_format, write_report, write_table
from calib.cli.options import OUTPUTS, RESAMPLING
from calib.cli.terminal import print_table, say
from calib.progress import Progress
from uq.cli.answers import FINAL_ANSWERS, AnswerLog, Roles, marks_of
from uq.cli.correctness_report import correctness_report
from uq.cli.saved_models import SavedModel, read_model, write_model
from uq.correctness.model.model import CorrectnessModel
from uq.correctness.model.recalibration import HOWS
from uq.correctness.model.records import Fields, read_records
from uq.selective.selective_table import selective_table

#: Column that `apply` adds.
ADDED = "p_correct"
#: Questions below which no check is made.
FEWEST_QUESTIONS = 20
#: Parameters of the model that ``--param`` takes.
PARAMETERS = [
    "calibration_fraction", "calibrator", "classifier", "cv", "history_neighbors", "max_characters"
]  # fmt: skip

_EPILOG = """\
examples:
  calib correctness fit graded.csv --questions questions.csv --out judge.skops
  calib correctness apply judge.skops new.csv --questions questions.csv --out judged.csv
  calib correctness report judge.skops graded_later.csv --questions questions.csv --html report.html
  calib correctness recalibrate judge.skops graded_of_a_new_model.csv --out judge2.skops
"""
_COLUMNS = """\
Tables have one row per answer: .parquet, .feather, .csv, .tsv or .jsonl; may be .gz. Columns are
named by comma-separated lists and globs. Those of usual names (question or prompt, response or
answer, model, question_id, correct) are found without being named, and fit prints which it took;
"none" takes none. A table of questions (--questions) has one row per question and is matched by
the column of --group: its texts and categories then count as columns of the answers.

The same question is never used for training and for calibration or the check.
"""
_HELP: dict[str, dict[str, Any]] = {
    "fit": {"help": "learn from graded answers, and check on questions that are held out"},
    "apply": {"help": "add the probability of being right to a table of answers"},
    "report": {"help": "measure the probabilities on graded answers that were not learned from"},
    "recalibrate": {"help": "fit the probabilities to some graded answers of a new model or topic"},
}


def add_correctness(commands: Any, summary: str) -> None:
    """Add the command, and those below it, with their options.

    Parameters
    ----------
    commands : argparse action
        What ``add_subparsers`` returned.
    summary : str
        What the list of commands says.
    """
    form: dict[str, Any] = {
        "formatter_class": argparse.RawDescriptionHelpFormatter,
        "allow_abbrev": False,
    }
    parser = commands.add_parser(
        "correctness",
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=_EPILOG,
        **form,
    )
    below = parser.add_subparsers(required=True, metavar="COMMAND")
    parsers = {
        name: below.add_parser(
            name, description=f"{texts['help'].capitalize()}.", epilog=_COLUMNS, **form, **texts
        )
        for name, texts in _HELP.items()
    }
    run = {
        "fit": fit_log,
        "apply": judge_table,
        "report": report_on_answers,
        "recalibrate": recalibrate_model,
    }
    for name, command in parsers.items():
        command.set_defaults(run=run[name], command="correctness")
        add = command.add_argument
        if name != "fit":
            add("model_file", metavar="MODEL", type=Path, help="written by calib correctness fit")
        add("file", metavar="FILE", type=Path, help="table of answers, one row each")
        add("--questions", metavar="FILE", type=Path, help="table of questions, one row each")
        also = "" if name == "fit" else " (as at fit)"
        add("--group", metavar="COLUMN", help=f"name of the question of an answer{also}")
        if name != "apply":
            add("--correct", metavar="COLUMN", help=f"1 for right answers, 0 for wrong ones{also}")
    _add_fit(parsers["fit"].add_argument)
    for name in ("apply", "report", "recalibrate"):
        parsers[name].add_argument(
            "--among",
            metavar="FILE",
            type=Path,
            help="further answers to these questions, which --agreement of the fit compares with",
        )
    endings = ".parquet, .feather, .csv, .tsv or .jsonl"
    parsers["apply"].add_argument(
        "--out", type=Path, help=f"table to write: {endings} (FILE.calibrated.*)"
    )
    parsers["report"].add_argument(
        "--by", metavar="COLUMNS", help="groups that are measured (model and categories of the fit)"
    )
    for option, settings in (*RESAMPLING, *OUTPUTS):
        parsers["report"].add_argument(option, **settings)
    add = parsers["recalibrate"].add_argument
    add("--how", choices=HOWS, default="shift", help="map of the log-odds (%(default)s)")
    add("--out", metavar="MODEL", type=Path, required=True, help="file to write")


def _add_fit(add: Any) -> None:
    add("--question", metavar="COLUMNS", help="text of the question, such as question,options")
    add("--answer", metavar="COLUMNS", help="text of the answer; none judges before one is given")
    add("--model", metavar="COLUMN", help="name of the model that answered; none tells none apart")
    add("--confidence", metavar="COLUMNS", help="confidences in [0, 1], gaps allowed")
    add("--numeric", metavar="COLUMNS", help="other numbers, gaps allowed")
    add("--categorical", metavar="COLUMNS", help="names, such as the topic")
    add(
        "--agreement",
        metavar="COLUMN",
        help="final answers, which are compared with those of other models to the same question",
    )
    add(
        "--param",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help=f"parameter of the model, repeatable: {', '.join(PARAMETERS)}",
    )
    add(
        "--check",
        metavar="SHARE",
        type=float,
        default=0.2,
        help="share of the questions that a first fit is measured on; 0 for none (%(default)s)",
    )
    add("--seed", type=int, default=0, help="seed of splits and trees (%(default)s)")
    add("--out", metavar="MODEL", type=Path, required=True, help="file to write")


# ---------------------------------------------------------------------- commands


def fit_log(args: argparse.Namespace) -> None:
    """Fit a correctness model to a log, check it on held-out questions, and save it."""
    if not 0 <= args.check < 1:
        raise ValueError(f"--check must lie in [0, 1); got {args.check:g}")
    check_files({"--out": (args.out, "correctness")}, [args.file, args.questions])
    options = read_parameters(args.param, PARAMETERS, "the correctness model")
    with Progress(4) as progress:
        progress.step(f"reading {args.file.name}")
        log = AnswerLog(args.file, args.questions)
        roles = _roles(args, log)
        log.match(roles.group)
        name = log.own("--correct", args.correct, "correct")
        grades = log.grades(name)
        records = log.records(roles)
        model = CorrectnessModel(
            text=roles.texts,
            model=roles.model,
            group=roles.group,
            confidence=roles.confidence,
            numeric=roles.numeric,
            categorical=roles.categorical,
            agreement=roles.agreement,
            random_state=args.seed,
            **options,
        )
        units = _questions(records, roles)
        checked = None
        progress.step("checking on held-out questions")
        if args.check and len(np.unique(units)) >= FEWEST_QUESTIONS:
            checked = _check(model, records, grades, units, roles, args.check)
        progress.step("fitting")
        model.fit(records, grades)
        progress.step(f"writing {args.out.name}")
        write_model(SavedModel(model, str(name), np.unique(marks_of(records, roles))), args.out)
    n_questions = len(np.unique(units))
    by = f" by {len(model.models_)} models" if model.models_ else ""
    print(
        f"{len(grades):,} answers to {n_questions:,} questions{by}, {100 * grades.mean():.3g} % of "
        f"them right"
    )
    print(f"columns: {roles.described()}; correct = {name}")
    if not roles.question:
        say(
            "note",
            "answers are judged without the texts of their questions; --question names a column of "
            "them, --questions a table that holds it",
        )
    if checked is None and args.check:
        say("note", f"no check: {n_questions} questions are too few to hold some of them out")
    elif checked is not None:
        title, rows = checked
        print(title)
        print_table(["", *MEASURES], rows)
    _propose(log, roles, model)
    print(f"wrote {args.out}")


def judge_table(args: argparse.Namespace) -> None:
    """Add the probability of being right to a table of answers."""
    out = args.out or beside(args.file)
    writable_format(out)
    inputs = [args.model_file, args.file, args.questions, args.among]
    check_files({"--out": (out, "table")}, inputs, replaced=args.file)
    with Progress(3) as progress:
        progress.step(f"reading {args.file.name}")
        saved, log, records, among = _read(args)
        progress.step("judging")
        proba = saved.model.score_samples(records, among)
        progress.step(f"writing {out.name}")
        write_table(log.table, {ADDED: proba}, out)
    print(f"wrote {len(proba):,} rows to {out}, with {ADDED} (mean {proba.mean():.3f})")


def report_on_answers(args: argparse.Namespace) -> None:
    """Measure the probabilities of a model on graded answers."""
    inputs = [args.model_file, args.file, args.questions, args.among]
    check_files(report_outputs(args), inputs)
    with Progress(3) as progress:
        progress.step(f"reading {args.file.name}")
        saved, log, records, among = _read(args)
        grades = log.grades(args.correct or saved.correct)
        roles = Roles.of_model(saved.model)
        by = log.several("--by", args.by, shared=True)
        columns = {name: log.words(name) for name in by}
        n_known = int(np.isin(marks_of(records, roles), saved.marks).sum())
        if n_known:
            say(
                "warning",
                f"{n_known:,} of {len(grades):,} answers of {args.file.name} are those that the "
                f"model was fitted to, of which it knows more than of others: the numbers are too "
                f"good. Report on other answers, or read the check that fit prints",
            )
        progress.step("judging")
        result = correctness_report(
            saved.model,
            records,
            grades,
            columns,
            among,
            confidence_level=args.level,
            n_resamples=args.resamples,
            random_state=args.seed,
            progress=progress,
        )
    write_report(result, args)


def recalibrate_model(args: argparse.Namespace) -> None:
    """Fit the probabilities of a model to graded answers of a new model or topic."""
    inputs = [args.model_file, args.file, args.questions, args.among]
    check_files({"--out": (args.out, "correctness")}, inputs)
    saved, log, records, among = _read(args)
    grades = log.grades(args.correct or saved.correct)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of new models, for which this is done
        before = saved.model.score_samples(records, among)
        model = saved.model.recalibrate(records, grades, args.how, among=among)
        after = model.score_samples(records, among)
    write_model(SavedModel(model, saved.correct, saved.marks), args.out)
    print(
        f"{args.how} of {len(grades):,} graded answers, {100 * grades.mean():.3g} % of them right: "
        f"mean probability {before.mean():.3f} before, {after.mean():.3f} after"
    )
    print(f"wrote {args.out}")


# ---------------------------------------------------------------------- reading


def _roles(args: argparse.Namespace, log: AnswerLog) -> Roles:
    """Return which column of a log holds what, by options and by usual names."""
    question = log.texts("--question", args.question, shared=True)
    group = log.own("--group", args.group, "group")
    if not question and group is None:
        raise ValueError(
            f"name the column of the texts of questions with --question, or the one that names "
            f"them with --group: answers to one question are kept together. {log.table.path.name} "
            f"has: {', '.join(log.table.columns)}"
        )
    return Roles(
        question=question,
        answer=log.texts("--answer", args.answer, shared=False),
        model=log.own("--model", args.model, "model"),
        group=group,
        agreement=log.own("--agreement", args.agreement, "agreement"),
        confidence=log.several("--confidence", args.confidence, shared=False),
        numeric=log.several("--numeric", args.numeric, shared=True),
        categorical=log.several("--categorical", args.categorical, shared=True),
    )


def _read(
    args: argparse.Namespace,
) -> tuple[SavedModel, AnswerLog, dict[str, list[Any]], dict[str, list[Any]] | None]:
    """Return a model, a table of answers, what the model reads of it, and answers beside it."""
    saved = read_model(args.model_file)
    log = AnswerLog(args.file, args.questions)
    roles = Roles.of_model(saved.model)
    log.match(args.group or roles.group)
    among = None
    if args.among is not None:
        if roles.agreement is None:
            raise ValueError(
                f"--among {args.among}: {args.model_file.name} compares no final answers; fit it "
                f"with --agreement"
            )
        asked = () if roles.group is not None else roles.answer[:1]
        compared = Roles((), asked, roles.model, roles.group, roles.agreement)
        among = AnswerLog(args.among).records(compared)
    return saved, log, log.records(roles), among


def _questions(records: dict[str, list[Any]], roles: Roles) -> IntArray:
    """Return the number of the question of every answer, those of equal text as one."""
    fields = Fields(
        roles.texts,
        roles.model,
        roles.group,
        roles.confidence,
        roles.numeric,
        roles.categorical,
        roles.agreement,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the fit says the same
        return read_records(records, fields, duplicates=True).units


# ---------------------------------------------------------------------- what fit says

#: Columns of the check.
MEASURES = ("log loss", "Brier score", "ECE (15 bins)", "AUROC", "right at 50 % coverage")


def _check(
    model: CorrectnessModel,
    records: dict[str, list[Any]],
    grades: IntArray,
    units: IntArray,
    roles: Roles,
    share: float,
) -> tuple[str, list[list[str]]] | None:
    """Return what was checked and the rows of its table: rates of models, and a first fit."""
    from sklearn.base import clone

    rows = np.arange(len(grades))
    n_held = max(1, round(share * len(grades)))
    train, held = draw_held_out(rows, n_held, generator(model.random_state), units)

    def part(chosen: IntArray) -> dict[str, list[Any]]:
        places = chosen.tolist()
        return {name: [column[k] for k in places] for name, column in records.items()}

    names = np.array(records[roles.model] if roles.model else [""] * len(grades), dtype=object)
    rate = float(grades[train].mean())
    rates = {name: float(grades[train[names[train] == name]].mean()) for name in set(names[train])}
    base = np.array([rates.get(name, rate) for name in names[held]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the fit to all answers warns of the same
        try:
            judged = clone(model).fit(part(train), grades[train]).score_samples(part(held))
        except ValueError:  # too little for a part of it to be fitted to; the full fit says why
            return None
        what = "rate of each model" if roles.model else "rate of right answers"
        table = [
            [name, *(f"{value:.4f}" for value in _measures(grades[held], proba))]
            for name, proba in ((what, base), ("judge", judged))
        ]
    return (
        f"check of {len(held):,} answers to {len(np.unique(units[held])):,} questions that a first "
        f"fit has not seen:",
        table,
    )


def _measures(grades: IntArray, proba: Float64Array) -> list[float]:
    from calib.evaluation import brier_score, expected_calibration_error, log_loss

    row = selective_table(grades, proba).rows[0]
    return [
        log_loss(grades, proba, labels=[0, 1]),
        brier_score(grades, proba, labels=[0, 1]),
        expected_calibration_error(grades, proba, labels=[0, 1]),
        row.auroc,
        row.accuracy_kept,
    ]


def _propose(log: AnswerLog, roles: Roles, model: CorrectnessModel) -> None:
    """Name a column of final answers that was not used, where several models answered."""
    final = next((name for name in FINAL_ANSWERS if name in log.table.columns), None)
    if final is not None and roles.agreement is None and len(model.models_) > 1:
        say(
            "note",
            f"{final!r} may hold final answers: --agreement {final} compares those of the models, "
            f"which says much where tables to be judged hold answers of several models, too",
        )
