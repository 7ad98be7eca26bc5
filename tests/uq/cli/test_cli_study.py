"""``calib study``: a table in, a page out; every error names the column or the option."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from calib.cli import main
from tests.support.small_study import thirty_samples

QUICK = ["--models", "logistic_regression", "--folds", "3", "--repeats", "1", "--resamples", "50"]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    X, y = thirty_samples()
    lines = ["age,dose_1,dose_2,site,ill"]
    for row, (values, label) in enumerate(zip(X, y, strict=True)):
        cells = [f"{value:.4f}" for value in values]
        cells[0] = "" if row == 4 else cells[0]
        lines.append(",".join([*cells, str(row // 2), "yes" if label else "no"]))
    path = tmp_path_factory.mktemp("study") / "patients.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_table_becomes_a_page(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "study.html"
    sets = ["--set", "dose=dose_*", "--set", "+ age=age"]
    code = main(["study", str(table), "--label", "ill", *sets, *QUICK, "--html", str(page)])
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    assert out.startswith("Too few data")
    assert "+ age improves discrimination over dose" in out
    assert f"wrote {page}" in out
    assert page.read_text(encoding="utf-8").count("<svg") == 2


def test_options_reach_the_study(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--group", "site", "--methods", "raw,beta", "--correlation-limit", "0.9"]
    more = ["--level", "0.9", "--seed", "3", "--tune", "--features", "dose_*"]
    assert main(["study", str(table), "--label", "ill", *QUICK, *options, *more]) == 0
    out = capsys.readouterr().out
    for part in ("30 rows in 15 groups", "90 % intervals from 50 draws", "beta"):
        assert part in " ".join(out.split())


def test_models_of_a_file_equal_those_of_python(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from uq import leave_one_out_study, study_models

    X, y = thirty_samples()
    assert main(["study", str(table), "--label", "ill", "--features", "dose_*", *QUICK]) == 0
    models = {"logistic_regression": study_models()["logistic_regression"]}
    labels = np.where(y, "yes", "no")
    study = leave_one_out_study(
        models, X[:, 1:].round(4), labels, outer_folds=3, n_repeats=1, n_resamples=50
    )
    assert capsys.readouterr().out == f"{study}\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--label", "il"], "unknown column 'il' (did you mean 'ill'?)"),
        (["--label", "age"], "column 'age' of patients.csv"),
        (["--set", "dose"], "--set dose: write it as NAME=COLUMNS"),
        (["--set", "a=dose_3"], "unknown column 'dose_3' (did you mean"),
        (["--set", "a=ill"], "--set a has the column 'ill', which is the label"),
        (["--set", "a=age", "--set", "a=age"], "--set names 'a' twice"),
        (["--set", "a=age", "--features", "age"], "--features and --set both name columns"),
        (["--features", "site,ill"], "--features has the column 'ill'"),
        (["--models", "svn"], "--models has 'svn', which is none of"),
        (["--methods", ","], "--methods names nothing"),
        (["--methods", "plat"], "calibrators has 'plat'"),
        (["--correlation-limit", "2"], "correlation_limit must lie"),
        (["--resamples", "x"], "invalid int value: 'x'"),
        (["--resamples", "99999999999"], "must be at most"),
        (["--tuna"], "did you mean --tune?"),
    ],
)
def test_refusals(
    options: list[str], message: str, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [] if "--label" in options else ["--label", "ill"]
    assert main(["study", str(table), *given, *QUICK[2:], *options]) == 2
    assert message in capsys.readouterr().err


def test_texts_and_empty_columns_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "texts.csv"
    for column, message in (("m", "column 'sex' of texts.csv is not numeric: 'm'"), ("", "empty")):
        path.write_text(f"sex,y\n{column},0\n{column},1\n", encoding="utf-8")
        assert main(["study", str(path), "--label", "y"]) == 2
        assert message in capsys.readouterr().err


def test_help_lists_the_command_without_importing_it() -> None:
    code = (
        "import sys\nfrom calib.cli import main\nassert main(['--help']) == 0\n"
        "assert not any(name.partition('.')[0] == 'uq' for name in sys.modules)\n"
    )
    run = [sys.executable, "-c", code]
    shown = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert re.search("study +compare models and calibrators on one small table", shown)
