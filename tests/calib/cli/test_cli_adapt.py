"""``calib adapt``: frequencies given or estimated, from the file that ``calib fit`` wrote."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from calib import load
from calib.cli import main

pd = pytest.importorskip("pandas")


def files(folder: Path) -> tuple[str, str]:
    rng = np.random.default_rng(0)
    paths = []
    for name, rate, n in (("old", 0.5, 2000), ("new", 0.1, 1500)):
        y = rng.random(n) < rate
        z = rng.normal(2.0 * y - 1)
        frame = pd.DataFrame({"z_no": np.zeros(n), "z_yes": z, "y": np.where(y, "yes", "no")})
        (frame if name == "old" else frame.drop(columns="y")).to_csv(
            folder / f"{name}.csv", index=False
        )
        paths.append(str(folder / f"{name}.csv"))
    return paths[0], paths[1]


def fit(folder: Path, old: str, *options: str) -> str:
    out = str(folder / "cal.json")
    command = ["fit", old, "--label", "y", "--logits", "z_*", "--method", "platt", "--out", out]
    assert main([*command, *options]) == 0
    return out


def test_from_a_file_of_scores_and_from_given_frequencies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = files(tmp_path)
    cal = fit(tmp_path, old, "--adaptable")
    capsys.readouterr()
    out = str(tmp_path / "here.json")
    assert main(["adapt", cal, new, "--out", out]) == 0
    text = capsys.readouterr().out
    assert "adapted: estimated from 1,500 rows" in text
    assert "95 % interval" in text
    assert load(out).prior_[1] == pytest.approx(0.1, abs=0.05)
    assert main(["adapt", cal, "--prior", "yes=0.2,no=0.8", "--out", out]) == 0
    np.testing.assert_allclose(load(out).prior_, [0.8, 0.2])
    table = str(tmp_path / "calibrated.csv")
    assert main(["apply", out, new, "--out", table]) == 0
    assert pd.read_csv(table)["calibrated_yes"].mean() < 0.3


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ([], "name a FILE of unlabelled scores"),
        (["--prior", "yes=0.5"], "--prior must name the classes"),
        (["--prior", "yes=0.5,no=x"], "write it as CLASS=SHARE"),
        (["--prior", "yes=0.5,no=0.6"], "prior must sum to 1"),
    ],
)
def test_bad_arguments_are_named(
    options: list[str], text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cal = fit(tmp_path, files(tmp_path)[0], "--adaptable")
    capsys.readouterr()
    assert main(["adapt", cal, *options, "--out", str(tmp_path / "here.json")]) != 0
    assert text in capsys.readouterr().err


def test_other_calibrators_say_how_to_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = files(tmp_path)
    cal = fit(tmp_path, old)
    capsys.readouterr()
    assert main(["adapt", cal, new, "--out", str(tmp_path / "here.json")]) != 0
    assert "calib fit --adaptable" in capsys.readouterr().err
