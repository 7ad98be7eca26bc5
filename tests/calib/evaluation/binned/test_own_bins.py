"""Own edges of bins: the same in every binned measure, the report, intervals and the terminal."""

from __future__ import annotations

import functools
import inspect
import json
from pathlib import Path

import numpy as np
import pytest

import calib.evaluation as evaluation
from calib.cli import main
from calib.evaluation import (
    ReliabilityDisplay,
    average_calibration_error,
    binned_calibration_table,
    calibration_report,
    classwise_calibration_error,
    expected_calibration_error,
    maximum_calibration_error,
    metric_interval,
    signed_calibration_error,
)

RNG = np.random.default_rng(0)
P2 = RNG.random(500)
Y2 = (RNG.random(500) < P2**2).astype(int)
P3 = RNG.dirichlet([1, 1, 1], 500)
Y3 = RNG.integers(0, 3, 500)
EDGES = [0.0, 0.3, 0.8, 0.9, 1.0]
DATA = {"two classes": (Y2, P2), "three classes": (Y3, P3)}


@pytest.mark.parametrize("case", DATA)
@pytest.mark.filterwarnings("ignore::calib.CalibWarning")
def test_a_report_on_own_bins_shows_the_numbers_of_the_measures(case: str, tmp_path: Path) -> None:
    y, p = DATA[case]
    report = calibration_report(
        y, p, bins=EDGES, n_resamples=20, tests=True,
        measures=["maximum_calibration_error", "average_calibration_error",
                  "classwise_calibration_error"],
    )  # fmt: skip
    found = {name: one.value for name, one in report.models["model"].measures.items()}
    for measure in (
        expected_calibration_error,
        maximum_calibration_error,
        average_calibration_error,
        classwise_calibration_error,
    ):
        expected = measure(y, p, bins=EDGES)
        assert found[measure.__name__] == pytest.approx(expected, abs=1e-14)
    assert found["maximum_calibration_error"] != pytest.approx(maximum_calibration_error(y, p))
    signed = signed_calibration_error(y, p, bins=EDGES)
    assert found["overconfidence"] == pytest.approx(signed.overconfidence, abs=1e-14)
    assert found["underconfidence"] == pytest.approx(signed.underconfidence, abs=1e-14)
    table = binned_calibration_table(y, p, bins=EDGES, average="auto")
    np.testing.assert_allclose(report.models["model"].table.left, table.left)
    np.testing.assert_array_equal(report.models["model"].table.right, EDGES[1:])
    assert report.n_bins == 4
    assert report.to_dict()["bins"] == EDGES
    assert "4 own bins" in str(report.titles)
    assert "equal-width" not in str(report.titles)
    report.to_html(tmp_path / "report.html")
    assert "own bins" in (tmp_path / "report.html").read_text()


def test_edges_of_equal_width_are_the_report_without_them() -> None:
    own = calibration_report(Y2, P2, bins=np.arange(11) / 10, n_resamples=50)
    plain = calibration_report(Y2, P2, n_bins=10, n_resamples=50)
    assert own.models["model"].measures == plain.models["model"].measures
    assert plain.to_dict()["bins"] is None


@pytest.mark.parametrize(
    "bins", [EDGES, np.array(EDGES), tuple(EDGES)], ids=["list", "array", "tuple"]
)
def test_an_interval_on_own_bins_is_that_of_the_report(bins) -> None:  # type: ignore[no-untyped-def]
    metric = functools.partial(expected_calibration_error, bins=bins)
    found = metric_interval(metric, Y2, P2, n_resamples=50, random_state=0)
    report = calibration_report(Y2, P2, bins=bins, n_resamples=50, random_state=0)
    shown = report.models["model"].measures["expected_calibration_error"]
    assert (found.low, found.high) == pytest.approx((shown.interval.low, shown.interval.high))


WRONG = [
    ([0.1, 1.0], "cover"), ([0, 0.5, 0.5, 1], "increase"), ([0, np.nan, 1], "NaN"),
    (["a", "b"], "numbers"), (15, "n_bins"), ([0], "n_bins"),
]  # fmt: skip


@pytest.mark.parametrize(("bins", "match"), WRONG)
def test_wrong_edges_are_refused_alike_everywhere(bins, match: str) -> None:  # type: ignore[no-untyped-def]
    for call in (
        expected_calibration_error,
        calibration_report,
        ReliabilityDisplay.from_predictions,
    ):
        with pytest.raises(ValueError, match=f"bins .*{match}"):
            call(Y2, P2, bins=bins)


def test_every_function_of_equal_width_bins_takes_edges() -> None:
    """Those without are of equal mass, of sums that were taken before, or of boxes."""
    without = {
        "adaptive_calibration_error", "calibration_measurements", "calibration_tests",
        "score_iou_rank_correlation", "segment_report", "multicalibration_error",
        "multilabel_report", "multilabel_calibration_error", "dense_report",
    }  # fmt: skip
    for name in evaluation.__all__:
        function = getattr(evaluation, name)
        if (
            not inspect.isfunction(function)
            or "y_prob" not in inspect.signature(function).parameters
        ):
            continue
        parameters = set(inspect.signature(function).parameters)
        if "n_bins" in parameters and name not in without:
            assert "bins" in parameters, name


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = "\n".join(f"{y},{p}" for y, p in zip(Y2, P2, strict=True))
    (tmp_path / "p.csv").write_text(f"y,p\n{rows}\n")
    return tmp_path / "p.csv"


def test_edges_on_the_command_line(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = data.with_suffix(".json")
    command = ["report", str(data), "--label", "y", "--proba", "p", "--resamples", "20"]
    assert main([*command, "--bins", "0,.3,0.8,.9,1", "--json", str(out)]) == 0
    assert capsys.readouterr().out
    content = json.loads(out.read_text())
    assert content["bins"] == EDGES
    assert "4 own bins" in content["titles"]["expected_calibration_error"]


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("0,a,1", "edges must be numbers"), ("0,,1", "edges must be numbers"),
        ("0.1,1", "bins must cover"), ("0,1,0.5", "bins must increase"), ("0,nan,1", "NaN"),
        ("0,1 --stream", "--bins 1, or the edges without --stream"),
        ("0;1", "invalid int value"), (",", "edges must be numbers"),
    ],
)  # fmt: skip
def test_wrong_edges_on_the_command_line(
    option: str, words: str, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = f"report {data} --label y --proba p --bins {option}"
    assert main(command.split(" ")) == 2
    err = capsys.readouterr().err
    assert words in err
    assert len(err.splitlines()) == 1
