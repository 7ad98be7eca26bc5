"""A fit remembers what it calibrates, and says once that scores are far from it."""

from __future__ import annotations

import json
import pickle
import warnings
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from calib import (
    CALIBRATORS,
    CalibratedClassifier,
    ScoreRangeWarning,
    TemperatureCalibrator,
    load,
    make_calibrator,
    save,
)
from calib.cli import main
from calib.datasets import make_detection_scenes
from calib.detection import DetectionCalibrator


def scores(n: int, n_classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    z = 2 * rng.normal(size=(n, n_classes))
    return z, (z / 2 + rng.gumbel(size=z.shape)).argmax(axis=1)


@pytest.fixture
def said() -> Any:
    """Collect warnings about far scores."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ScoreRangeWarning)
        yield caught


# ---------------------------------------------------------------------- the record


@pytest.mark.parametrize("name", CALIBRATORS)
@pytest.mark.parametrize("n_classes", [2, 4])
def test_every_method_remembers_its_fit(name: str, n_classes: int, tmp_path: Path) -> None:
    z, y = scores(300, n_classes)
    weight = np.r_[np.zeros(20), np.ones(280)]
    cal = make_calibrator(name, input="logits")
    assert cal.fit_record_ is None
    record = cal.fit(z, y, sample_weight=weight).fit_record_
    spread = z[20:, 1] - z[20:, 0] if n_classes == 2 else np.ptp(z[20:], axis=1)
    assert (record.low, record.high) == (spread.min(), spread.max())
    assert (record.input, record.n_classes, record.n_rows) == ("logits", n_classes, 280)
    assert record.date == datetime.now(UTC).date().isoformat()
    assert record.model is record.response is None
    assert pickle.loads(pickle.dumps(cal)).fit_record_ == record
    assert clone(cal).fit_record_ is None
    if CALIBRATORS[name].saves:
        assert load(save(cal, tmp_path / "cal.json")).fit_record_ == record


def test_the_range_does_not_depend_on_what_the_map_ignores() -> None:
    z, y = scores(200, 3)
    shifted = z + np.linspace(-50, 50, 200)[:, None]
    masked = np.where(np.arange(3) == (y[:, None] + 1) % 3, -np.inf, z)
    record = [TemperatureCalibrator(input="logits").fit(x, y).fit_record_ for x in (z, shifted)]
    assert record[0].high == pytest.approx(record[1].high)
    hidden = TemperatureCalibrator(input="logits").fit(masked, y).fit_record_
    assert 0 <= hidden.low <= hidden.high <= record[0].high
    one, two = (
        make_calibrator("platt", input="logits").fit(x, y == 1).fit_record_
        for x in (z[:, 1] - z[:, 0], z[:, :2])
    )
    assert (one.low, one.high) == (two.low, two.high)


def test_collections_remember_as_arrays_do() -> None:
    dataframe = pytest.importorskip("dask.dataframe")
    pandas = pytest.importorskip("pandas")
    from calib.distributed import fit

    z, y = scores(300, 3)
    table = pandas.DataFrame(z, columns=["z0", "z1", "z2"]).assign(y=y)
    parts = dataframe.from_pandas(table, npartitions=4)
    there = fit(parts, "temperature", label="y", scores=["z0", "z1", "z2"], input="logits")
    here = TemperatureCalibrator(input="logits").fit(z, y)
    assert there.fit_record_ == here.fit_record_


def test_the_wrapper_names_the_model_and_its_response() -> None:
    X, y = load_iris(return_X_y=True)
    model = FrozenEstimator(GaussianNB().fit(X[::2], y[::2]))
    record = CalibratedClassifier(model).fit(X[1::2], y[1::2]).calibrator_.fit_record_
    assert (record.model, record.response) == ("GaussianNB", "predict_proba")
    assert str(record).startswith("probabilities of GaussianNB.predict_proba, 3 classes, 75 rows")
    record = CalibratedClassifier(LogisticRegression(max_iter=2000), "temperature").fit(X, y)
    assert record.calibrator_.fit_record_.response == "decision_function"


def test_detectors_remember_their_fit(tmp_path: Path) -> None:
    found, truth = make_detection_scenes(60)
    cal = DetectionCalibrator().fit(found, truth)
    assert cal.fit_record_.n_rows == sum(cal.class_counts_.values())
    assert load(save(cal, tmp_path / "cal.json")).fit_record_ == cal.fit_record_


@pytest.mark.parametrize(
    ("key", "value", "match"),
    [
        ("n_rows", 0, "n_rows"),
        ("n_rows", "many", "n_rows"),
        ("low", 1e9, "contradicts itself"),
        ("high", "far", "low and high"),
        ("input", "proba", "another calibrator"),
        ("n_classes", 7, "another calibrator"),
        ("date", "yesterday", "usable calibrator file"),
        ("response", "guess", "contradicts itself"),
        ("model", 3, "contradicts itself"),
        ("colour", "red", "must hold"),
    ],
)
def test_a_changed_record_is_refused(tmp_path: Path, key: str, value: object, match: str) -> None:
    path = save(TemperatureCalibrator(input="logits").fit(*scores(50, 3)), tmp_path / "cal.json")
    document = json.loads(path.read_text())
    document["fit"][key] = value
    path.write_text(json.dumps(document))
    with pytest.raises(ValueError, match=match):
        load(path)


def test_files_without_a_record_load_and_stay_silent(tmp_path: Path, said: list[Any]) -> None:
    path = save(TemperatureCalibrator(input="logits").fit(*scores(50, 3)), tmp_path / "cal.json")
    document = json.loads(path.read_text())
    del document["fit"]
    path.write_text(json.dumps(document))
    cal = load(path)
    assert cal.fit_record_ is None
    cal.transform(1e6 * scores(50, 3)[0])
    assert not said


# ---------------------------------------------------------------------- far scores


@pytest.mark.parametrize("n_columns", [1, 2, 5])
@pytest.mark.parametrize("n_rows", [1, 3, 2000])
def test_far_logits_are_said_once(n_columns: int, n_rows: int, said: list[Any]) -> None:
    z, y = scores(300, max(n_columns, 2))
    z = z[:, 1:] - z[:, :1] if n_columns == 1 else z
    cal = make_calibrator("temperature", input="logits").fit(z, y)
    before = dict(vars(cal))
    cal.transform(z[:n_rows])
    assert not said
    far = 100 * np.resize(z[np.abs(z).max(axis=1) > 3], (n_rows, z.shape[1]))
    cal.transform(far)
    cal.transform(far)
    assert len(said) == 1
    assert said[0].filename == __file__
    assert "far outside those that this TemperatureCalibrator was fitted on (logits)" in str(
        said[0].message
    )
    assert vars(cal) == before
    pickle.loads(pickle.dumps(cal)).transform(far)
    assert len(said) == 2


def test_far_probabilities_of_rare_events_are_said(said: list[Any]) -> None:
    rng = np.random.default_rng(0)
    p = 0.01 * rng.random(500)
    cal = make_calibrator("platt").fit(p, (rng.random(500) < 20 * p).astype(int))
    cal.transform(p)
    assert not said
    cal.transform([0.9])
    assert "from " in str(said[0].message)


@pytest.mark.parametrize("n", [20, 100, 1000])
@pytest.mark.parametrize("kind", ["normal", "exponential", "heavy"])
def test_scores_like_those_of_the_fit_raise_no_alarm(n: int, kind: str, said: list[Any]) -> None:
    rng = np.random.default_rng(0)
    draw = {"normal": rng.normal, "exponential": rng.exponential}.get(kind)
    for _ in range(20):
        z = draw(size=n + 10_000) if draw else rng.standard_t(3, size=n + 10_000)
        y = np.arange(n) % 2
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            cal = make_calibrator("platt", input="logits").fit(z[:n], y)
        cal.transform(z[n:])
    assert not said


def test_tensors_are_looked_at_as_well(said: list[Any]) -> None:
    torch = pytest.importorskip("torch")
    z, y = scores(300, 3)
    cal = make_calibrator("temperature", input="logits").fit(z, y)
    cal.transform(torch.tensor(z))
    cal.transform(100 * torch.tensor(z))
    assert len(said) == 1


def test_the_command_line_refuses_probabilities_for_logits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    z, y = scores(200, 3)
    proba = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    for name, x in (("logits.csv", z), ("proba.csv", proba)):
        table = np.column_stack([x, y])
        np.savetxt(name, table, "%.17g", ",", header="s_0,s_1,s_2,y", comments="")
    fit = ["fit", "logits.csv", "--label", "y", "--logits", "s_*", "--method", "temperature"]
    assert main([*fit, "--out", "cal.json"]) == 0
    assert main(["apply", "cal.json", "logits.csv", "--out", "out.csv"]) == 0
    assert main(["apply", "cal.json", "proba.csv", "--out", "no.csv"]) != 0
    error = capsys.readouterr().err
    assert "fitted on logits" in error
    assert "looks like probabilities" in error
    assert not Path("no.csv").exists()
    assert main(["apply", "cal.json", "proba.csv", "--proba", "s_*", "--out", "no.csv"]) != 0


@pytest.mark.filterwarnings("ignore::calib.warnings.ProbabilitiesAsLogitsWarning")
def test_few_log_odds_between_0_and_1_are_no_probabilities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    z, y = scores(200, 2)
    save(make_calibrator("platt", input="logits").fit(z[:, 1] - z[:, 0], y), "cal.json")
    for name, values in (("few.csv", [0.4, 0.7]), ("many.csv", np.linspace(0, 1, 50))):
        np.savetxt(name, np.array(values)[:, None], header="s", comments="")
    assert main(["apply", "cal.json", "few.csv", "--out", "out.csv"]) == 0
    assert main(["apply", "cal.json", "many.csv", "--out", "no.csv"]) != 0


def test_a_new_fit_may_say_it_again(said: list[Any]) -> None:
    z, y = scores(300, 3)
    cal = TemperatureCalibrator(input="logits")
    for _ in range(2):
        cal.fit(z, y).transform(100 * z)
    assert len(said) == 2


# ---------------------------------------------------------------------- notebooks


class Elements(HTMLParser):
    """Counts elements and checks that they are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.counts: dict[str, int] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        self.counts[tag] = self.counts.get(tag, 0) + 1
        if tag not in ("br", "img", "input", "link", "meta", "hr"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: Any) -> None:
        self.counts[tag] = self.counts.get(tag, 0) + 1

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def panel(estimator: Any) -> str:
    return str(estimator._repr_html_().partition("<div class='calib-learnt'>")[2])


@pytest.mark.parametrize("name", CALIBRATORS)
@pytest.mark.parametrize("n_classes", [2, 4])
def test_notebooks_show_what_was_learnt(name: str, n_classes: int) -> None:
    z, y = scores(300, n_classes)
    cal = make_calibrator(name, input="logits")
    assert "calib-learnt" not in cal._repr_html_()
    cal.fit(z, y)
    text = panel(cal)
    elements = Elements("<div>" + text)
    assert not elements.open
    assert elements.counts["polyline"] >= 1
    assert "300 rows" in text
    assert cal._repr_mimebundle_()["text/html"].count("calib-learnt'") == 1
    with config_context(display="text"):
        assert "text/html" not in cal._repr_mimebundle_()
    if name == "temperature":
        assert f"{cal.temperature_:.4g}" in text
    if name == "auto":
        assert "gain" in text


def test_names_of_classes_and_models_are_escaped() -> None:
    X, y = load_breast_cancer(return_X_y=True)
    labels = np.where(y == 1, "<b>", "a&b")
    model = make_pipeline(StandardScaler(), LogisticRegression())
    fitted = CalibratedClassifier(model, "platt", ensemble=True, cv=3).fit(X, labels)
    text = panel(fitted)
    assert "a&amp;b: " in text
    assert "a&b" not in text
    assert "3 models with a calibrator each" in text


def test_detectors_show_their_maps() -> None:
    cal = DetectionCalibrator()
    assert "calib-learnt" not in cal._repr_html_()
    text = panel(cal.fit(*make_detection_scenes(60)))
    assert "pooled threshold" in text
    assert "polyline" in text
