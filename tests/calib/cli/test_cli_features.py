"""``calib fit --features``: columns beside the scores, in the file and at apply."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calib import CALIBRATORS, MulticalibrationCalibrator, load, make_calibrator, save
from calib.cli import main

pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

Run = Callable[..., str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object, code: int = 0) -> str:
        capsys.readouterr()
        assert main([str(argument) for argument in arguments]) == code
        out, err = capsys.readouterr()
        assert code == 0 or (out == "" and len(err.splitlines()) == 1)
        return out + err

    return call


def people(n: int = 1200, seed: int = 0) -> Any:
    """Return scores that are off by site and by age, some of both unknown."""
    rng = np.random.default_rng(seed)
    z, site = rng.normal(size=n), rng.integers(0, 3, n)
    age = rng.integers(20, 80, n).astype(float)
    shift = 1.5 * site - 1.5 + (age - 50) / 20
    y = np.where(rng.random(n) < 1 / (1 + np.exp(-z - shift)), "yes", "no")
    age[::50] = np.nan
    names = np.array(["north", "south", "west"], dtype=object)[site]
    names[7::90] = None
    return pd.DataFrame({"id": np.arange(n), "z": z, "site": names, "age": age, "y": y})


def write(frame: Any, path: Path) -> Path:
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    elif path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
    else:
        arrays = {name: frame[name].to_numpy() for name in frame.columns}
        np.savez(path, **{k: v.astype(str) if v.dtype == object else v for k, v in arrays.items()})
    return path


def fit(run: Run, path: Path, *options: object, method: str = "multicalibration") -> Path:
    out = path.with_name("cal.json")
    given = ("--label", "y", "--logits", "z", "--method", method, "--out", out)
    run("fit", path, *given, *options)
    return out


def read_csv(path: Path) -> Any:
    return pd.read_csv(path, float_precision="round_trip")


def read(path: Path) -> Any:
    return pd.read_parquet(path) if path.suffix == ".parquet" else read_csv(path)


@pytest.mark.filterwarnings("always:.*did not see")
@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("method", "names"), [("multicalibration", ["site", "age"]), ("group", ["site"])]
)
def test_fit_and_apply_equal_the_python_api(
    kind: str, method: str, names: list[str], tmp_path: Path, run: Run
) -> None:
    old, new = people(), people(300, 1)
    new.loc[3, "site"] = "east"  # not seen
    cal = fit(
        run, write(old, tmp_path / f"old.{kind}"), "--features", ",".join(names), method=method
    )
    expected = make_calibrator(method, input="logits", n_scores=1).fit(old[["z", *names]], old["y"])
    document = json.loads(cal.read_text())
    assert document["feature_names_in"] == ["z", *names]
    loaded = load(cal)
    assert loaded.used_
    assert loaded.used_ == expected.used_
    told = run("apply", cal, write(new, tmp_path / f"new.{kind}"))
    assert "1 row(s) of 'site' hold levels that the fit did not see" in told
    found = read(tmp_path / f"new.calibrated.{kind}")
    with pytest.warns(match="did not see"):
        wanted = expected.transform(new[["z", *names]])
    np.testing.assert_array_equal(found[["calibrated_no", "calibrated_yes"]], wanted)
    assert [*found.columns[:5]] == [*new.columns]


def test_arrays_and_matrices_are_columns_too(tmp_path: Path, run: Run) -> None:
    frame = people().dropna()
    more = np.stack([frame["age"], frame["id"]], axis=1)
    proba = 1 / (1 + np.exp(np.stack([frame["z"], -frame["z"]], axis=1)))
    arrays = {
        "p": proba,
        "by": more,
        "site": frame["site"].to_numpy(str),
        "y": frame["y"].to_numpy(str),
    }
    path = tmp_path / "data.npz"
    np.savez(path, **arrays)
    cal = tmp_path / "cal.json"
    options = ("--label", "y", "--proba", "p", "--method", "multicalibration", "--out", cal)
    run("fit", path, *options, "--features", "by,site")
    assert load(cal).feature_names_in_.tolist() == ["p_0", "p_1", "by_0", "by_1", "site"]
    table = pd.DataFrame({"a": proba[:, 0], "b": proba[:, 1], "c": more[:, 0], "d": more[:, 1]})
    table["site"] = arrays["site"]
    expected = MulticalibrationCalibrator(n_scores=2).fit(table, arrays["y"]).transform(table)
    run("apply", cal, path)
    with np.load(tmp_path / "data.calibrated.npz") as found:
        np.testing.assert_array_equal(found["calibrated"], expected)
    run("apply", cal, path, "--out", tmp_path / "flat.csv")
    flat = read_csv(tmp_path / "flat.csv").drop(columns=["calibrated_no", "calibrated_yes"])
    run("apply", cal, write(flat, tmp_path / "again.csv"))
    again = read_csv(tmp_path / "again.calibrated.csv")
    np.testing.assert_allclose(again[["calibrated_no", "calibrated_yes"]], expected, atol=1e-12)


def test_a_glob_takes_all_columns_without_another_role(tmp_path: Path, run: Run) -> None:
    frame = people().assign(w=1.0)
    cal = fit(run, write(frame, tmp_path / "a.csv"), "--weight", "w", "--features", "*")
    assert load(cal).feature_names_in_.tolist() == ["z", "id", "site", "age"]
    path = write(frame.drop(columns=["id", "w"]), tmp_path / "b.csv")
    options = ("--label", "y", "--logits", "*", "--method", "multicalibration", "--out", cal)
    run("fit", path, *options, "--features", "site", "--features", "age")
    assert load(cal).feature_names_in_.tolist() == ["z", "site", "age"]


def test_rows_of_weight_zero_are_not_there(tmp_path: Path, run: Run) -> None:
    frame = people()
    frame["w"] = np.arange(len(frame)) % 3 > 0
    frame["w"] = frame["w"].astype(int)
    cal = fit(run, write(frame, tmp_path / "a.csv"), "--weight", "w", "--features", "site,age")
    kept = write(frame[frame["w"] > 0], tmp_path / "b.csv")
    weighted = load(cal)
    other = load(fit(run, kept, "--features", "site,age"))
    X = frame[["z", "site", "age"]]
    for one in (weighted, other):
        one.feature_names_in_ = np.array(X.columns, dtype=object)
    np.testing.assert_allclose(weighted.transform(X), other.transform(X), atol=1e-9)


def test_a_report_applies_calibrators_to_features(tmp_path: Path, run: Run) -> None:
    path = write(people(), tmp_path / "a.parquet")
    cal = fit(run, path, "--features", "site,age")
    options = ("--label", "y", "--logits", "z", "--calibrator", cal, "--resamples", 20)
    assert "cal" in run("report", path, *options)
    assert "--stream" in run("report", path, *options, "--stream", code=2)


def test_other_scores_can_be_named_at_apply(tmp_path: Path, run: Run) -> None:
    frame = people()
    cal = fit(run, write(frame, tmp_path / "a.csv"), "--features", "site")
    run("apply", cal, tmp_path / "a.csv")
    renamed = write(frame.rename(columns={"z": "score"}), tmp_path / "b.csv")
    run("apply", cal, renamed, "--logits", "score")
    first, second = (read_csv(tmp_path / f"{name}.calibrated.csv") for name in "ab")
    np.testing.assert_array_equal(first["calibrated_yes"], second["calibrated_yes"])


def test_a_column_of_digits_stays_text_where_the_fit_read_text(tmp_path: Path, run: Run) -> None:
    frame = people().assign(site=lambda d: d["site"].replace({"north": "12"}))
    cal = fit(run, write(frame, tmp_path / "a.csv"), "--features", "site")
    some = frame[frame["site"] == "12"]
    assert "did not see" not in run("apply", cal, write(some, tmp_path / "b.csv"))
    found = read_csv(tmp_path / "b.calibrated.csv")["calibrated_yes"]
    run("apply", cal, tmp_path / "a.csv")
    whole = read_csv(tmp_path / "a.calibrated.csv")["calibrated_yes"]
    np.testing.assert_array_equal(found, whole[frame["site"].to_numpy() == "12"])


@pytest.mark.parametrize("method", [name for name in CALIBRATORS if CALIBRATORS[name].available])
def test_methods_without_features_say_which_have_some(
    method: str, tmp_path: Path, run: Run
) -> None:
    path = write(people(60), tmp_path / "a.csv")
    given = ("fit", path, "--label", "y", "--logits", "z", "--out", tmp_path / "cal.json")
    reads = CALIBRATORS[method].load().needs_features
    features = [] if reads else ["--features", "age"]
    told = run(*given, "--method", method, *features, code=2)
    assert ("name them with --features" if reads else "--method multicalibration or group") in told


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--features", "sit"], "unknown column 'sit' (did you mean 'site'?)"),
        (["--features", "site,y"], "--features names 'y', which is the label column"),
        (["--features", "site,z"], "--features names 'z', which is a column of scores"),
        (
            ["--features", "id", "--weight", "id"],
            "--features names 'id', which is the weight",
        ),
        (["--features", "x_*"], "no column matches 'x_*'"),
        (["--features", ","], "names no column"),
        (["--features", "site", "--adaptable"], "leave out --features or --adaptable"),
        (["--features", "site", "--param", "n_scores=1"], "--param n_scores"),
        (["--features", "height"], "column 'height' of a.csv has inf in row 4"),
    ],
)
def test_bad_arguments_are_named(options: list[str], text: str, tmp_path: Path, run: Run) -> None:
    frame = people(80).assign(height=1.5)
    frame.loc[4, "height"] = np.inf
    path = write(frame, tmp_path / "a.csv")
    given = ("--label", "y", "--logits", "z", "--method", "multicalibration")
    assert text in run("fit", path, *given, *options, "--out", tmp_path / "cal.json", code=2)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"site": None}, "lacks the column 'site', which the calibrator reads beside"),
        ({"site": 3}, "column 'site' of b.{kind} holds numbers, and held text at fit"),
        (
            {"age": "old"},
            "column 'age' of b.{kind} holds text, and held numbers at fit: 'old' in row 0",
        ),
        ({"age": np.inf}, "column 'age' of b.{kind} has inf in row 0"),
    ],
)
def test_columns_that_are_others_than_at_fit_are_named(
    kind: str, change: dict[str, Any], text: str, tmp_path: Path, run: Run
) -> None:
    frame = people()
    cal = fit(run, write(frame, tmp_path / f"a.{kind}"), "--features", "site,age")
    name, value = next(iter(change.items()))
    new = frame.drop(columns=name) if value is None else frame.assign(**{name: value})
    if isinstance(value, float):
        new[name] = np.where(np.arange(len(new)) == 0, value, frame[name])
    told = run("apply", cal, write(new, tmp_path / f"b.{kind}"), code=2)
    assert text.format(kind=kind) in told


def test_arrays_of_another_length_are_named(tmp_path: Path, run: Run) -> None:
    frame = people().dropna()
    cal = fit(run, write(frame, tmp_path / "a.npz"), "--features", "age")
    np.savez(tmp_path / "b.npz", z=frame["z"], age=frame["age"][:-1])
    assert "column 'age' of b.npz has" in run("apply", cal, tmp_path / "b.npz", code=2)


def test_calibrators_of_python_need_names(tmp_path: Path, run: Run) -> None:
    frame = people().dropna()
    path = write(frame, tmp_path / "a.csv")
    X = frame[["z", "age"]]
    for table, code in ((X.to_numpy(), 2), (X, 0)):
        cal = MulticalibrationCalibrator(input="logits", n_scores=1).fit(table, frame["y"])
        save(cal, tmp_path / "cal.json")
        told = run("apply", tmp_path / "cal.json", path, "--logits", "z", code=code)
        assert (code == 0) or "does not know the names of its features" in told
