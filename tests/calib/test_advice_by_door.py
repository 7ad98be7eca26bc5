"""What is said of scores that contradict the labels names the caller's labels, and what he can do.

A calibrator takes `labels` and `pos_label`, the command line ``--positive``; who calls a wrapper, a
detector or a study can pass neither.
"""

from __future__ import annotations

import shlex
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold

from calib import (
    CalibratedClassifier,
    CalibrationWarning,
    PlattCalibrator,
    TemperatureCalibrator,
    make_calibrator,
)
from calib.cli import main
from calib.detection import DetectionCalibrator, Detections, GroundTruth
from calib.evaluation import calibration_report
from uq import ConformalClassifier, leave_one_out_study

pd = pytest.importorskip("pandas")

PAIR = np.array(["healthy", "ill"])
FIVE = np.array(["ant", "bee", "cat", "dog", "elk"])


def said(call: Any) -> str:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return " ".join(str(w.message) for w in caught if issubclass(w.category, CalibrationWarning))


def rows(names: np.ndarray, n: int = 600) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 3))
    score = X[:, 0] + 0.2 * rng.normal(size=n)
    return X, names[
        np.searchsorted(np.quantile(score, np.arange(1, len(names)) / len(names)), score)
    ]


def turned(y: np.ndarray, names: np.ndarray) -> np.ndarray:
    """Return labels moved on by one."""
    return names[(np.searchsorted(names, y) + 1) % len(names)]


@pytest.mark.parametrize("names", [PAIR, FIVE, np.array([3, 7]), np.array([10, 20, 30])])
@pytest.mark.parametrize("method", ["temperature", "platt", "isotonic", "auto"])
@pytest.mark.parametrize("response", ["decision_function", "predict_proba"])
def test_the_wrapper(names: np.ndarray, method: str, response: str) -> None:
    X, y = rows(names)
    model = FrozenEstimator(LogisticRegression().fit(X, y))
    wrapper = CalibratedClassifier(model, method, response=response)
    text = said(lambda: wrapper.fit(X, turned(y, names)))
    assert repr(names[1].item()) in text
    assert f"the {response} of LogisticRegression" in text
    assert "labels that the model was trained on" in text
    for impossible in ("pos_label=", "labels=", "--positive", "negate", "X ranks", "X contra"):
        assert impossible not in text
    np.testing.assert_array_equal(wrapper.calibrator_.classes_, names)
    assert said(lambda: wrapper.fit(X, y)) == ""


def test_the_wrapper_that_trains() -> None:
    rng = np.random.default_rng(0)
    X = np.repeat(rng.normal(size=(150, 40)), 2, axis=0)
    y = np.tile(PAIR, 150)  # two rows of a unit have the two labels

    class Neighbour(LogisticRegression):
        def decision_function(self, X: np.ndarray) -> np.ndarray:
            nearest = ((X[:, None] - self.seen_[None]) ** 2).sum(axis=2).argmin(axis=1)
            return np.asarray(np.where(self.labels_[nearest] == "ill", 1.0, -1.0))

        def predict(self, X: np.ndarray) -> np.ndarray:
            return PAIR[(self.decision_function(X) > 0).astype(int)]

        def fit(self, X: np.ndarray, y: np.ndarray) -> Any:
            self.seen_, self.labels_ = X, y
            return super().fit(X, y)

    folds = KFold(30, shuffle=True, random_state=0)
    text = said(lambda: CalibratedClassifier(Neighbour(), "temperature", cv=folds).fit(X, y))
    assert "as a score of 'ill'" in text
    assert "pass groups=" in text
    assert "pos_label=" not in text


def test_classes_that_calibrators_of_wrappers_warn_of() -> None:
    """Rare classes, impossible classes and constant scores are named as the caller knows them."""
    X, y = rows(FIVE, 60)

    class Constant(LogisticRegression):
        def predict_proba(self, X: np.ndarray) -> np.ndarray:
            return np.tile([0.0, 0.25, 0.25, 0.25, 0.25], (len(X), 1)) + 1e-3 * (
                np.abs(X[:, :1]) * [[0, 1, 0, 0, -1]]
            )

        def predict(self, X: np.ndarray) -> np.ndarray:
            return self.classes_[self.predict_proba(X).argmax(axis=1)]

    model = FrozenEstimator(Constant().fit(X, y))
    text = said(lambda: CalibratedClassifier(model, "platt", response="predict_proba").fit(X, y))
    assert "the predict_proba of Constant gives probability 0 to class 'ant'" in text


def test_scores_that_look_like_probabilities_in_a_wrapper() -> None:
    X, y = rows(PAIR)

    class Sure(LogisticRegression):
        def decision_function(self, X: np.ndarray) -> np.ndarray:
            return np.asarray(1 / (1 + np.exp(-super().decision_function(X))))

        def predict(self, X: np.ndarray) -> np.ndarray:
            return np.full(len(X), "ill")

    model = FrozenEstimator(Sure().fit(X, y))
    wrapper = CalibratedClassifier(model, "temperature", response="decision_function")
    text = said(lambda: wrapper.fit(X, y))
    assert "the decision_function of Sure looks like probabilities" in text
    assert "response='predict_proba'" in text
    assert "input=" not in text


def test_calibrators_and_reports() -> None:
    X, y = rows(PAIR)
    p = 1 / (1 + np.exp(-3 * X[:, 0]))
    other = turned(y, PAIR)
    for call in (
        lambda: TemperatureCalibrator().fit(p, other),
        lambda: calibration_report(other, p, n_resamples=5),
        lambda: calibration_report(other, pd.Series(p), n_resamples=5),
        lambda: calibration_report(other, p[:, None].tolist(), n_resamples=5),
    ):
        text = said(call)
        assert "pass pos_label='healthy'" in text
        assert "--positive" not in text
        assert "another order: pass labels=" not in text
    both = np.stack([1 - p, p], axis=1)
    for call in (
        lambda: TemperatureCalibrator().fit(both, other),
        lambda: calibration_report(other, both, n_resamples=5),
    ):
        assert "pass labels=['ill', 'healthy']" in said(call)
    assert "pos_label=" in said(lambda: PlattCalibrator().fit(p, other))
    assert said(lambda: TemperatureCalibrator().fit(both, other, labels=["ill", "healthy"])) == ""


def test_columns_of_five_classes_can_be_put_right_as_told() -> None:
    X, y = rows(FIVE)
    p = LogisticRegression().fit(X, y).predict_proba(X)
    for order in ([1, 2, 3, 4, 0], [0, 2, 1, 3, 4], [2, 0, 1, 4, 3]):
        text = said(lambda o=order: TemperatureCalibrator().fit(p[:, o], y))
        listed = [str(FIVE[k]) for k in order]
        assert f"pass labels={listed}" in text
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            TemperatureCalibrator().fit(p[:, order], y, labels=listed)


@pytest.mark.parametrize("method", ["temperature", "platt"])
def test_collections(method: str) -> None:
    dd = pytest.importorskip("dask.dataframe")
    from calib.distributed import fit

    X, y = rows(PAIR)
    frame = pd.DataFrame({"s": X[:, 0], "y": turned(y, PAIR)})
    given = {"label": "y", "scores": "s", "input": "logits"}
    table = dd.from_pandas(frame, npartitions=2)
    text = said(lambda: fit(table, method, **given))
    assert "as a score of 'ill'" in text
    assert "pass pos_label='healthy'" in text
    assert "--positive" not in text
    assert said(lambda: fit(table, method, pos_label="healthy", **given)) == ""


@pytest.mark.filterwarnings("always::calib.CalibrationWarning")
@pytest.mark.parametrize("command", ["fit", "report"])
@pytest.mark.parametrize("names", [PAIR, np.array(["no", "it is"]), np.array([0, 1])])
def test_the_command_line(
    command: str, names: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = np.sort(names)
    X, y = rows(names)
    path = tmp_path / "d.csv"
    p = 1 / (1 + np.exp(-3 * X[:, 0]))
    pd.DataFrame({"s": p, "y": turned(y, names)}).to_csv(path, index=False)
    given = [command, str(path), "--label", "y", "--proba", "s"]
    given += ["--out", str(tmp_path / "c.json")] if command == "fit" else ["--resamples", "10"]
    assert main([*given, "--positive", str(names[1])]) == 0
    told = capsys.readouterr().err
    assert f"pass --positive {shlex.quote(str(names[0]))}" in told
    assert "pos_label" not in told
    assert told.count("ranks against") == 1
    assert main([*given, "--positive", str(names[0])]) == 0
    assert "ranks against" not in capsys.readouterr().err


@pytest.mark.filterwarnings("always::calib.CalibrationWarning")
@pytest.mark.parametrize("n", [40, 600])
def test_columns_on_the_command_line(
    n: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    X, y = rows(FIVE[:3], n)
    p = LogisticRegression(C=100).fit(X, y).predict_proba(X)
    path = tmp_path / "d.csv"
    columns = {f"c{k}": p[:, place] for k, place in enumerate([1, 2, 0])}
    pd.DataFrame({**columns, "y": y}).to_csv(path, index=False)
    given = ["fit", str(path), "--label", "y", "--out", str(tmp_path / "c.json")]
    assert main([*given, "--proba", "c0,c1,c2"]) == 0
    told = capsys.readouterr().err
    assert told.count("contradicts the labels") == 1
    assert "'bee'" in told
    assert "in the order of the sorted labels" in told
    assert "labels=" not in told
    assert main([*given, "--proba", "c2,c0,c1"]) == 0
    assert "contradicts" not in capsys.readouterr().err


@pytest.mark.parametrize("method", ["platt", "temperature", "isotonic"])
def test_detections(method: str) -> None:
    rng = np.random.default_rng(0)
    n = 200
    boxes = np.tile([0.0, 0.0, 10.0, 10.0], (n, 1))
    right = rng.random(n) < 0.5
    found = boxes + np.where(right, 0.0, 100.0)[:, None]
    score = np.where(right, 0.2, 0.8) + 0.1 * rng.random(n)
    images = np.arange(n)
    labels = np.zeros(n, dtype=int)
    detections = Detections(boxes=found, scores=score, labels=labels, image_id=images)
    truth = GroundTruth(boxes=boxes, labels=labels, image_id=images)
    text = said(lambda: DetectionCalibrator(method).fit(detections, truth))
    assert "the score of the detections ranks against" in text
    assert "a right detection" in text
    assert "larger scores mean surer detections" in text
    for impossible in ("pos_label=", "labels=", "--positive"):
        assert impossible not in text


def test_studies_and_conformal_wrappers() -> None:
    X, y = rows(PAIR, 60)

    class Reversed(LogisticRegression):
        def fit(self, X: np.ndarray, y: np.ndarray) -> Any:
            super().fit(X, y)
            self.seen_ = X
            return self

        def decision_function(self, X: np.ndarray) -> np.ndarray:
            score = np.asarray(super().decision_function(X))
            known = (X[:, None] == self.seen_[None]).all(axis=2).any(axis=1)
            return np.where(known, score, -score)

        def predict(self, X: np.ndarray) -> np.ndarray:
            return np.asarray(self.classes_[(self.decision_function(X) > 0).astype(int)])

        def predict_proba(self, X: np.ndarray) -> np.ndarray:
            p = 1 / (1 + np.exp(-self.decision_function(X)))
            return np.stack([1 - p, p], axis=1)

    few = {"outer_folds": 3, "n_repeats": 1, "n_resamples": 20, "n_simulations": 20}
    text = said(lambda: leave_one_out_study({"m": Reversed()}, X, y, calibrators=["platt"], **few))
    assert "the held-out score of the model" in text
    assert "pass groups=" in text
    assert "pos_label=" not in text
    X, y = rows(PAIR)
    model = FrozenEstimator(LogisticRegression().fit(X, y))
    inner = FrozenEstimator(CalibratedClassifier(model, "platt").fit(X, y))
    text = said(lambda: ConformalClassifier(inner).fit(X, turned(y, PAIR)))
    assert "pos_label=" not in text
    text = said(
        lambda: ConformalClassifier(CalibratedClassifier(model, "platt")).fit(X, turned(y, PAIR))
    )
    assert "as a score of 'ill'" in text
    assert "pos_label=" not in text


def test_words_end_with_the_call() -> None:
    X, y = rows(PAIR)
    model = FrozenEstimator(LogisticRegression().fit(X, y))
    with pytest.raises(ValueError, match="smooth_targets"):
        CalibratedClassifier(model, make_calibrator("platt", smooth_targets="no")).fit(X, y)
    text = said(lambda: TemperatureCalibrator(input="logits").fit(X[:, 0], turned(y, PAIR)))
    assert "X ranks against the labels" in text
