"""``--multilabel``: a column of 0 and 1 for every label, and one of scores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calib import MultilabelCalibrator, PlattCalibrator, load
from calib.cli import main
from calib.evaluation import multilabel_report

pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

Run = Callable[..., str]
TAGS = ["cat", "dog", "ant"]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object, code: int = 0) -> str:
        capsys.readouterr()
        assert main([str(argument) for argument in arguments]) == code
        out, err = capsys.readouterr()
        assert code == 0 or (out == "" and len(err.splitlines()) == 1)
        return out + err

    return call


def tags(n: int = 400, seed: int = 0) -> tuple[Any, Any]:
    """Return over-confident probabilities and labels, some of which are unknown."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 3)) - [0, 1, 2]
    y = (rng.random((n, 3)) < 1 / (1 + np.exp(-z))).astype(float)
    y[rng.random((n, 3)) < 0.1] = np.nan
    p = 1 / (1 + np.exp(-1.8 * z))
    return (
        pd.DataFrame(p, columns=[f"p_{tag}" for tag in TAGS]),
        pd.DataFrame(y, columns=[f"y_{tag}" for tag in TAGS]),
    )


def read_csv(path: Path) -> Any:
    return pd.read_csv(path, float_precision="round_trip")


def write(frame: Any, path: Path) -> Path:
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    elif path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
    else:
        np.savez(path, **{name: frame[name].to_numpy() for name in frame.columns})
    return path


def fit(run: Run, path: Path, *options: object, code: int = 0, label: str = "y_*") -> str:
    given = ("fit", path, "--multilabel", "--label", label, "--out", path.with_name("cal.json"))
    options = (
        options
        if any(o in ("--logits", "--proba") for o in options)
        else ("--proba", "p_*", *options)
    )
    return run(*given, *options, code=code)


@pytest.mark.parametrize("kind", ["csv", "parquet", "npz"])
def test_fit_and_apply_equal_the_python_api(kind: str, tmp_path: Path, run: Run) -> None:
    p, y = tags()
    turned = p[["p_dog", "p_ant", "p_cat"]]  # met by name
    path = write(pd.concat([turned, y], axis=1), tmp_path / f"old.{kind}")
    told = fit(run, path)
    assert "spline on 400 samples, 3 labels" in told
    assert "p_cat = label y_cat" in told
    assert "cross-fitted (5 folds)" in told
    expected = MultilabelCalibrator().fit(p, y)
    loaded = load(tmp_path / "cal.json")
    assert loaded.classes_.tolist() == [*y.columns]
    new, _ = tags(50, 1)
    run("apply", tmp_path / "cal.json", write(new, tmp_path / f"new.{kind}"))
    out = tmp_path / f"new.calibrated.{kind}"
    if kind == "npz":
        with np.load(out) as arrays:
            assert arrays["classes_of_calibrated"].tolist() == [*y.columns]
            found = arrays["calibrated"]
    else:
        frame = read_csv(out) if kind == "csv" else pd.read_parquet(out)
        found = frame[[f"calibrated_{name}" for name in y.columns]]
    np.testing.assert_array_equal(found, expected.transform(new))


def test_matrices_have_labels_by_number(tmp_path: Path, run: Run) -> None:
    p, y = tags()
    path = tmp_path / "a.npz"
    np.savez(path, p=p.to_numpy(), y=y.to_numpy())
    fit(run, path, "--proba", "p", label="y")
    np.save(tmp_path / "new.npy", p.to_numpy()[:20])
    run("apply", tmp_path / "cal.json", tmp_path / "new.npy")
    expected = MultilabelCalibrator().fit(p.to_numpy(), y.to_numpy())
    with np.load(tmp_path / "new.calibrated.npz") as found:
        np.testing.assert_array_equal(found["calibrated"], expected.transform(p.to_numpy()[:20]))
    np.save(tmp_path / "labels.npy", y.to_numpy())  # a file in place of columns
    fit(run, path, "--proba", "p", label=str(tmp_path / "labels.npy"))
    np.testing.assert_array_equal(load(tmp_path / "cal.json").slope_, expected.slope_)


def test_logits_weights_methods_and_parameters(tmp_path: Path, run: Run) -> None:
    p, y = tags()
    z = pd.DataFrame(np.log(p / (1 - p)).to_numpy(), columns=[f"z_{tag}" for tag in TAGS])
    weight = np.arange(len(p)) % 3
    path = write(pd.concat([z, y, pd.Series(weight, name="w")], axis=1), tmp_path / "a.parquet")
    options = ("--logits", "z_*", "--weight", "w", "--method", "platt")
    fit(run, path, *options, "--param", "per_label=true")
    expected = MultilabelCalibrator("platt", input="logits", per_label=True)
    expected.fit(z, y, sample_weight=weight)
    np.testing.assert_array_equal(load(tmp_path / "cal.json").slope_, expected.slope_)
    fit(run, path, *options, "--param", "smooth_targets=false")
    inner = PlattCalibrator(input="logits", smooth_targets=False)
    expected = MultilabelCalibrator(inner, input="logits").fit(z, y, sample_weight=weight)
    np.testing.assert_array_equal(load(tmp_path / "cal.json").slope_, expected.slope_)
    y = y.fillna(-1).astype(int)
    path = write(pd.concat([z, y], axis=1), tmp_path / "b.csv")
    fit(run, path, "--logits", "z_*", "--param", "ignore_index=-1")
    expected = MultilabelCalibrator(input="logits", ignore_index=-1).fit(z, y)
    np.testing.assert_array_equal(load(tmp_path / "cal.json").slope_, expected.slope_)


def test_truth_values_are_labels(tmp_path: Path, run: Run) -> None:
    p, y = tags()
    for kind in ("csv", "parquet"):
        truth = (y == 1).astype(bool)
        fit(run, write(pd.concat([p, truth], axis=1), tmp_path / f"a.{kind}"))
        expected = MultilabelCalibrator().fit(p, truth.astype(float))
        np.testing.assert_array_equal(load(tmp_path / "cal.json").slope_, expected.slope_)


def test_report_prints_what_python_prints(tmp_path: Path, run: Run) -> None:
    p, y = tags()
    path = write(pd.concat([p[["p_ant", "p_dog", "p_cat"]], y], axis=1), tmp_path / "a.csv")
    fit(run, path)
    options = ("--label", "y_*", "--proba", "p_*", "--resamples", 50, "--seed", 3)
    html = tmp_path / "report.html"
    cal = tmp_path / "cal.json"
    told = run("report", path, "--multilabel", *options, "--calibrator", cal, "--html", html)
    models = {"raw": p, "cal": load(cal).transform(p)}
    expected = multilabel_report(y, models, n_resamples=50, random_state=3)
    assert told == f"{expected}\nwrote {html}\n"
    assert html.exists()
    run("apply", cal, path)
    told = run(
        "report", tmp_path / "a.calibrated.csv", "--multilabel", "--label", "y_*",
        "--proba", "p_*", "--name", "raw", "--proba", "calibrated_*", "--name", "cal",
        "--resamples", 50, "--seed", 3,
    )  # fmt: skip
    assert told == f"{expected}\n"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--features", "p_ant"], "--features"),
        (["--adaptable"], "--adaptable"),
        (["--positive", "1"], "--positive"),
        (["--method", "group"], "reads features"),
        (["--method", "plat"], "Did you mean 'platt'"),
        (["--param", "n_bin=3"], "has no such parameter; it takes"),
        (["--param", "input=logits"], "--param input"),
        (["--proba", "p_cat,p_dog"], "y_* has 3 columns, p_cat,p_dog 2"),
        (["--proba", "q_*"], "no column matches 'q_*'"),
        (["--logits", "p_*", "--proba", "p_*"], "once"),
        (["--proba", "s_*"], "values outside [0, 1]"),
        (["--label", "n_*"], "column 'n_cat' of a.csv has 2 in row 5"),
        (["--label", "t_*"], "column 't_cat' of a.csv is not numeric: 'yes' in row 0"),
    ],
)
def test_bad_arguments_are_named(options: list[str], text: str, tmp_path: Path, run: Run) -> None:
    p, y = tags(100)
    frame = pd.concat([p, y], axis=1)
    for tag in TAGS:
        frame[f"s_{tag}"] = 3 * frame[f"p_{tag}"]
        frame[f"n_{tag}"] = np.where(np.arange(100) == 5, 2, 1)
        frame[f"t_{tag}"] = "yes"
    path = write(frame, tmp_path / "a.csv")
    given = ["fit", path, "--multilabel", "--label", "y_*", "--out", tmp_path / "cal.json"]
    given += [] if "--proba" in options else ["--proba", "p_*"]
    assert text in run(*given, *options, code=2)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--stream"], "--stream"),
        (["--by", "p_cat"], "--by"),
        (["--measures", "all"], "--measures"),
        (["--weight", "p_cat"], "--weight"),
        (["--bins", "0,0.5,1"], "--bins"),
        (["--json", "a.json"], "--json"),
    ],
)
def test_reports_name_what_they_cannot(
    options: list[str], text: str, tmp_path: Path, run: Run
) -> None:
    p, y = tags(100)
    path = write(pd.concat([p, y], axis=1), tmp_path / "a.csv")
    given = ("report", path, "--multilabel", "--label", "y_*", "--proba", "p_*")
    told = run(*given, *options, code=2)
    assert "--multilabel" in told
    assert text in told


def test_calibrators_of_another_kind_are_named(tmp_path: Path, run: Run) -> None:
    p, y = tags(100)
    path = write(pd.concat([p, y], axis=1).fillna(0), tmp_path / "a.csv")
    fit(run, path)
    many, one = tmp_path / "cal.json", tmp_path / "one.json"
    run("fit", path, "--label", "y_cat", "--proba", "p_cat", "--out", one)
    given = ("report", path, "--proba", "p_cat", "--label", "y_cat", "--calibrator", many)
    assert "calibrates many labels" in run(*given, code=2)
    given = ("report", path, "--proba", "p_*", "--label", "y_*", "--calibrator", one)
    assert "fit it with calib fit --multilabel" in run(*given, "--multilabel", code=2)
    assert "many labels" in run("adapt", many, path, "--out", tmp_path / "b.json", code=2)


def test_apply_names_what_lacks(tmp_path: Path, run: Run) -> None:
    p, y = tags()
    fit(run, write(pd.concat([p, y], axis=1), tmp_path / "a.csv"))
    cal = tmp_path / "cal.json"
    path = write(p.drop(columns="p_dog"), tmp_path / "b.csv")
    assert "lacks the column 'p_dog' of the fit" in run("apply", cal, path, code=2)
    assert "reads 3 columns of scores" in run("apply", cal, path, "--proba", "p_*", code=2)
    assert "pass --proba" in run("apply", cal, path, "--logits", "p_*", code=2)
    renamed = p.rename(columns=lambda name: name.replace("p_", "q_"))[["q_dog", "q_ant", "q_cat"]]
    run("apply", cal, write(renamed, tmp_path / "c.csv"), "--proba", "q_*")
    found = read_csv(tmp_path / "c.calibrated.csv")["calibrated_y_cat"]
    np.testing.assert_array_equal(found, load(cal).transform(p)[:, 0])
