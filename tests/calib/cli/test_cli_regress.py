"""``calib regress``: distributions in files are measured and recalibrated."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calib import DistributionCalibrator, PlattCalibrator, load, save
from calib.cli import main
from calib.evaluation import predictive_distribution, regression_report
from tests.support.golden import golden

pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

Y, MEAN, STD = golden(300)
LEVELS = [0.05, 0.25, 0.5, 0.75, 0.95]
Run = Callable[..., str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object, code: int = 0) -> str:
        capsys.readouterr()
        assert main([str(argument) for argument in arguments]) == code
        out, err = capsys.readouterr()
        assert code == 0 or (out == "" and len(err.splitlines()) == 1), err
        return out + err

    return call


def frame() -> Any:
    given = predictive_distribution(mean=MEAN, std=STD)
    columns = {"y": Y, "mu": MEAN, "s": STD, "site": np.arange(300) // 10}
    columns |= {
        f"q_{level}": column
        for level, column in zip(LEVELS[::-1], given.quantile(LEVELS[::-1]).T, strict=True)
    }
    columns |= {f"draw_{k}": column for k, column in enumerate(given.sample(30, 0).T)}
    return pd.DataFrame(columns)


@pytest.fixture(params=["csv", "parquet"])
def file(request, tmp_path: Path) -> Path:
    path = tmp_path / f"preds.{request.param}"
    if request.param == "csv":
        frame().to_csv(path, index=False)
    else:
        frame().to_parquet(path, index=False)
    return path


NORMAL = ("--mean", "mu", "--std", "s")


def test_a_report_is_that_of_the_function(run: Run, file: Path, tmp_path: Path) -> None:
    page, numbers = tmp_path / "report.html", tmp_path / "report.json"
    out = run(
        "regress", "report", file, "--label", "y", *NORMAL, "--group", "site",
        "--resamples", 40, "--html", page, "--json", numbers, "--latex", tmp_path / "r.tex",
    )  # fmt: skip
    given = predictive_distribution(mean=MEAN, std=STD)
    expected = regression_report(Y, given, groups=np.arange(300) // 10, n_resamples=40)
    assert out.startswith(str(expected)[:60])
    found = json.loads(numbers.read_text(encoding="utf-8"))
    assert found["models"]["model"]["measures"]["crps"]["usual"] == pytest.approx(
        expected.models["model"].measures["crps"].value
    )
    assert found["n_groups"] == 30
    assert expected.headline.split(";")[0] in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "columns",
    [("--quantiles", "q_*"), ("--quantiles", "q_0.5,q_0.05,q_0.95"), ("--samples", "draw_*")],
)
def test_other_forms(run: Run, file: Path, columns: tuple[str, str]) -> None:
    out = run("regress", "report", file, "--label", "y", *columns, "--resamples", 40)
    assert out.startswith("Too sharp: the 90 % intervals hold ")


def test_levels_of_columns_are_given_in_their_order(run: Run, file: Path, tmp_path: Path) -> None:
    a, b = tmp_path / "a.json", tmp_path / "b.json"
    common = ("regress", "report", file, "--label", "y", "--resamples", 40)
    run(*common, "--quantiles", "q_*", "--json", a)
    given = ",".join(map(str, LEVELS[::-1]))
    run(*common, "--quantiles", "q_*", "--at", given, "--json", b)
    assert json.loads(a.read_text()) == json.loads(b.read_text())


@pytest.mark.parametrize(
    "columns", [NORMAL, ("--quantiles", "q_*"), ("--samples", "draw_*")], ids=lambda c: c[0]
)
def test_fit_apply_and_report(run: Run, file: Path, tmp_path: Path, columns) -> None:
    saved, out = tmp_path / "cal.json", tmp_path / "out.csv"
    told = run("regress", "fit", file, "--label", "y", *columns, "--out", saved)
    assert "auto on 300 rows" in told
    assert "after, 5 folds" in told
    assert isinstance(load(saved), DistributionCalibrator)
    run("regress", "apply", saved, file, *columns, "--levels", "0.9,0.1", "--out", out)
    table = pd.read_csv(out, float_precision="round_trip")
    new = [name for name in table.columns if name.startswith("calibrated_")]
    assert new == ["calibrated_mean", "calibrated_std", "calibrated_q_0.1", "calibrated_q_0.9"]
    inside = (table["calibrated_q_0.1"] <= Y) & (table["calibrated_q_0.9"] >= Y)
    assert 0.75 < inside.mean() < 0.85
    both = run(
        "regress", "report", file, "--label", "y", *columns, "--calibrator", saved,
        "--resamples", 40,
    )  # fmt: skip
    assert both.startswith("Use cal: its CRPS is ")


def test_weights_enter_the_fit(run: Run, file: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    common = ("regress", "fit", file, "--label", "y", *NORMAL, "--method", "scale", "--out")
    run(*common, one)
    run(*common, two, "--weight", "s")
    assert load(one).scale_ != load(two).scale_


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--mean", "mu"), "name the columns by --mean and --std"),
        ((*NORMAL, "--samples", "draw_*"), "name the columns by --mean and --std"),
        (("--quantiles", "mu,s"), "does not end with a level"),
        (("--quantiles", "draw_*"), "does not end with a level"),
        (("--quantiles", "q_*", "--at", "0.1,0.9"), "--at has 2 levels for 5 columns"),
        (("--quantiles", "q_*", "--at", "5,95"), "levels lie in (0, 1)"),
        (("--quantiles", "p_*"), "no column matches"),
        (("--mean", "mu", "--std", "sd"), "unknown column 'sd'"),
        ((*NORMAL, "--resamples", "3"), "n_resamples"),
    ],
)
def test_bad_input_is_one_line(run: Run, tmp_path: Path, arguments, words: str) -> None:
    path = tmp_path / "preds.csv"
    frame().to_csv(path, index=False)
    assert words in run("regress", "report", path, "--label", "y", *arguments, code=2)


def test_files_of_other_calibrators_are_refused(run: Run, tmp_path: Path) -> None:
    path, other, cal = (tmp_path / name for name in ("preds.csv", "platt.json", "cal.json"))
    frame().to_csv(path, index=False)
    save(PlattCalibrator().fit([0.1, 0.4, 0.6, 0.9], [0, 1, 0, 1]), other)
    words = run("regress", "apply", other, path, *NORMAL, code=2)
    assert "holds a PlattCalibrator" in words
    run("regress", "fit", path, "--label", "y", "--quantiles", "q_*", "--out", cal)
    assert "was fitted on quantiles" in run("regress", "apply", cal, path, *NORMAL, code=2)
    fewer = ("--quantiles", "q_0.05,q_0.5")
    assert "was fitted on quantiles at" in run("regress", "apply", cal, path, *fewer, code=2)
