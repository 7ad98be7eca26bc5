"""The study: protocol by hand, published table, intervals, cache, groups, formats, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import make_column_transformer
from sklearn.dummy import DummyClassifier
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from calib import (
    DegenerateScoresWarning,
    PlattCalibrator,
    TemperatureCalibrator,
    VennAbersCalibrator,
)
from tests.support.small_study import LR, QUICK, study_of_two_models, thirty_samples
from uq import (
    Protocol,
    StudyResult,
    leave_one_out_study,
    load_study_stand_in,
    study_models,
)


@pytest.fixture(scope="module")
def small() -> tuple[np.ndarray, np.ndarray]:
    return thirty_samples()


@pytest.fixture(scope="module")
def study() -> StudyResult:
    return study_of_two_models()


# ------------------------------------------------------------------------------------- protocol


@pytest.mark.parametrize("repeat", [0, 1])
def test_protocol_by_hand(
    small: tuple[np.ndarray, np.ndarray], study: StudyResult, repeat: int
) -> None:
    """Everything again, row by row, with scikit-learn's parts and the formulas."""
    X, y = small
    for i in range(len(y)):
        rest = np.delete(np.arange(len(y)), i)
        oof = np.empty(len(rest))
        folds = StratifiedKFold(3, shuffle=True, random_state=repeat)
        for train, held in folds.split(X[rest], y[rest]):
            model = LogisticRegression(C=0.3).fit(X[rest][train], y[rest][train])
            oof[held] = model.decision_function(X[rest][held])
        margin = LogisticRegression(C=0.3).fit(X[rest], y[rest]).decision_function(X[[i]])
        found = {name: study.predictions["lr", name][repeat] for name in study.methods}
        assert found["raw"].y_prob[i] == pytest.approx(expit(margin[0]))
        platt = PlattCalibrator(input="logits", smooth_targets=True).fit(oof, y[rest])
        assert found["platt"].y_prob[i] == pytest.approx(platt.transform(margin)[0, 1])
        isotonic = IsotonicRegression(out_of_bounds="clip").fit(expit(oof), y[rest])
        assert found["isotonic"].y_prob[i] == pytest.approx(isotonic.predict(expit(margin))[0])
        venn = VennAbersCalibrator(input="logits").fit(oof, y[rest])
        assert found["venn_abers"].y_prob[i] == pytest.approx(venn.transform(margin)[0, 1])
        pair = found["venn_abers"].interval
        assert pair is not None
        np.testing.assert_allclose(pair[i], venn.predict_interval(margin)[0, 1])
        p = [
            (1 + np.sum(sign * oof[y[rest] == label] >= sign * margin))
            / (1 + np.sum(y[rest] == label))
            for label, sign in ((0, 1), (1, -1))
        ]
        p_values = found["conformal"].p_values
        assert p_values is not None
        np.testing.assert_allclose(p_values[i], p)
        assert found["conformal"].y_prob[i] == pytest.approx(p[1] / sum(p))


@pytest.mark.slow
def test_reference_table_of_the_stand_in() -> None:
    """Logistic regression on 101 patients; the values were measured with another implementation."""
    X, y = load_study_stand_in()
    models = {"lr": study_models()["logistic_regression"]}
    study = leave_one_out_study(models, X, y, n_repeats=2, n_resamples=2, n_simulations=0)
    expected = {  # AUROC, AUPRC, ACE of all; share and AUROC at 0.8
        ("raw", "max_probability"): (0.795, 0.817, 0.073, 0.21, 0.894),
        ("platt", "max_probability"): (0.793, 0.821, 0.093, 0.30, 0.870),
        ("isotonic", "max_probability"): (0.767, 0.773, 0.129, 0.42, 0.826),
        ("venn_abers", "max_probability"): (0.758, 0.776, 0.114, 0.23, 0.817),
        ("conformal", "max_probability"): (0.804, 0.831, 0.115, 0.61, 0.850),
        ("conformal", "conformal_confidence"): (0.804, 0.831, 0.115, 0.85, 0.818),
    }
    for (method, certainty), numbers in expected.items():
        everything, cut = study.evaluate("lr", method, certainty, thresholds=[0.8])
        assert everything.metrics["auroc"].value == pytest.approx(numbers[0], abs=0.02)
        assert everything.metrics["auprc"].value == pytest.approx(numbers[1], abs=0.03)
        assert everything.metrics["ace"].value == pytest.approx(numbers[2], abs=0.03)
        assert cut.share == pytest.approx(numbers[3], abs=0.04)
        assert cut.metrics["auroc"].value == pytest.approx(numbers[4], abs=0.04)


@pytest.mark.slow
def test_reference_table_of_all_models() -> None:
    X, y = load_study_stand_in()
    study = leave_one_out_study(None, X, y, n_repeats=2, n_resamples=2, n_simulations=0)
    expected = {
        "logistic_regression": {"platt": 0.793, "venn_abers": 0.758, "conformal": 0.804},
        "svm": {"platt": 0.789, "venn_abers": 0.762, "conformal": 0.805},
        "random_forest": {"venn_abers": 0.760, "conformal": 0.782},
    }
    try:
        import xgboost  # noqa: F401
    except ImportError:
        pass
    else:
        expected["gradient_boosting"] = {
            **{"raw": 0.725, "platt": 0.706, "venn_abers": 0.672, "conformal": 0.733}
        }
    for model, methods in expected.items():
        for method, auroc in methods.items():
            row = study.evaluate(model, method)[0]
            assert row.metrics["auroc"].value == pytest.approx(auroc, abs=0.02), (model, method)


def test_methods_of_the_registry_and_own_calibrators(
    small: tuple[np.ndarray, np.ndarray],
) -> None:
    X, y = small
    y = (np.arange(30) % 3 == 0).astype(int)  # a third is positive
    calibrators = {
        "temperature": "temperature",
        "mine": TemperatureCalibrator(),
        "conformal": "conformal",
        "corrected": "conformal_prevalence",
    }
    study = leave_one_out_study({"lr": LR}, X, y, calibrators=calibrators, inner_folds=3, **QUICK)
    got = {name: study.predictions["lr", name][0] for name in calibrators}
    np.testing.assert_array_equal(got["temperature"].y_prob, got["mine"].y_prob)
    p_values = got["corrected"].p_values
    assert p_values is not None
    share = (y.sum() - y) / 29
    one, zero = share * p_values[:, 1], (1 - share) * p_values[:, 0]
    np.testing.assert_allclose(got["corrected"].y_prob, one / (one + zero))
    assert got["corrected"].y_prob.mean() < got["conformal"].y_prob.mean()
    assert study.recommended is None


def test_a_model_that_knows_nothing_has_auroc_0(small: tuple[np.ndarray, np.ndarray]) -> None:
    """Leaving a row out lowers the share of its class: the bias that the notes speak of."""
    X, _ = small
    y = np.arange(30) % 2
    given: dict[str, Any] = {"calibrators": ["raw"], **QUICK}
    study = leave_one_out_study({"none": DummyClassifier()}, X, y, **given)
    assert study.evaluate("none", "raw")[0].metrics["auroc"].value == 0
    assert any("shows 0, not 0.5" in note for note in study.notes)
    folds = leave_one_out_study({"none": DummyClassifier()}, X, y, outer_folds=5, **given)
    assert folds.evaluate("none", "raw")[0].metrics["auroc"].value == 0.5


def test_complaints_of_calibrators_come_once(small: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.warns(DegenerateScoresWarning) as caught:
        leave_one_out_study({"zero": Counting()}, np.zeros((30, 1)), small[1], **QUICK)
    assert len(caught) == 1


# -------------------------------------------------------------------------------------- metrics


def test_rows_average_repetitions(study: StudyResult) -> None:
    row = study.evaluate("lr", "platt")[0]
    values = [roc_auc_score(study.codes, one.y_prob) for one in study.predictions["lr", "platt"]]
    number = row.metrics["auroc"]
    assert number.value == pytest.approx(np.mean(values))
    assert number.deviation == pytest.approx(np.std(values, ddof=1))
    assert number.low < number.value < number.high
    assert row.n_repeats == 2
    few = study.evaluate("lr", "platt", thresholds=[0.999])[1]
    assert few.n_repeats == 0
    assert np.isnan(few.metrics["auroc"].value)


# --------------------------------------------------------------------------- groups, cache, jobs


class Counting(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Counts trainings of all its copies."""

    fits = 0

    def __init__(self, shift: float = 0.0) -> None:
        self.shift = shift

    def fit(self, X: np.ndarray, y: np.ndarray) -> Counting:
        Counting.fits += 1
        self.classes_ = np.unique(y)
        self.mean_ = X[:, 0].mean()
        return self

    def decision_function(self, X: np.ndarray) -> np.ndarray:
        return np.asarray(X[:, 0] - self.mean_ + self.shift)


def test_cache_is_read_back_and_invalidated(
    small: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    X, y = small
    folder = tmp_path / "deep" / "cache"

    def run(shift: float = 0.0, labels: np.ndarray = y, **options: Any) -> tuple[Any, int]:
        Counting.fits = 0
        given = {**QUICK, "inner_folds": 3, "cache": folder, "calibrators": ["raw"], **options}
        result = leave_one_out_study({"m / 1": Counting(shift)}, X, labels, **given)
        return result.predictions["m / 1", "raw"][0].y_prob, Counting.fits

    whole = 1 + 30 * 4  # one to see that it works
    first, fits = run()
    assert fits == whole
    again, fits = run()
    assert fits == 1
    np.testing.assert_array_equal(first, again)
    assert run(calibrators=["raw", "platt"], n_resamples=10)[1] == 1
    assert run(n_repeats=2)[1] == whole  # only the second repetition is new
    assert run(shift=1.0)[1] == whole
    assert run(labels=np.where(np.arange(30) == 3, 1 - y, y))[1] == whole
    assert run(inner_folds=4)[1] > whole
    assert run(scheme="split")[1] == 1 + 30
    files = sorted(folder.glob("*.npz"))
    assert len(files) == 6
    assert not list(folder.glob("*.part"))
    files[0].unlink()
    for file in files[1:]:
        file.write_bytes(b"half a file")
    with pytest.raises(ValueError, match="is damaged"):
        run(n_repeats=2)


def test_workers_and_progress_change_nothing(
    small: tuple[np.ndarray, np.ndarray], capfd: pytest.CaptureFixture[str]
) -> None:
    from joblib import parallel_config

    options = {**QUICK, "inner_folds": 3, "calibrators": ["raw", "conformal"]}
    one = leave_one_out_study({"lr": LR}, *small, **options)
    with parallel_config("threading", n_jobs=2):
        two = leave_one_out_study({"lr": LR}, *small, verbose=True, **options)
    for key, predictions in one.predictions.items():
        np.testing.assert_array_equal(predictions[0].y_prob, two.predictions[key][0].y_prob)
    assert "s] lr, 1 of 1" in capfd.readouterr().err  # a line where there is no terminal
    for verbose in (None, False):
        leave_one_out_study({"lr": LR}, *small, verbose=verbose, outer_folds=3, **options)
        assert capfd.readouterr().err == ""


# ------------------------------------------------------------------------- tables and their form


def test_tables_with_missing_values_and_categories(
    small: tuple[np.ndarray, np.ndarray],
) -> None:
    pandas = pytest.importorskip("pandas")
    X, y = small
    frame = pandas.DataFrame(X, columns=["a", "b", "c"])
    frame["kind"] = np.where(np.arange(30) % 2, "left", "right")
    encode = make_column_transformer((OneHotEncoder(), ["kind"]), remainder="passthrough")
    model = make_pipeline(encode, LogisticRegression())
    labels = np.where(y, "yes", "no")
    study = leave_one_out_study(
        {"lr": model}, frame, labels, calibrators=["raw"], inner_folds=3, **QUICK
    )
    assert "of class 'yes'" in study.heading
    X = X.copy()
    X[3, 1] = np.nan
    assert np.isfinite(
        leave_one_out_study(
            {"lr": study_models(impute=True)["logistic_regression"]},
            X,
            y,
            calibrators=["raw"],
            inner_folds=3,
            **QUICK,
        )
        .predictions["lr", "raw"][0]
        .y_prob
    ).all()
    with pytest.raises(ValueError, match=r"models\['lr'\] cannot be trained[\s\S]*pipeline"):
        leave_one_out_study({"lr": LR}, X, y, **QUICK)


def test_default_models_impute_where_needed() -> None:
    for impute, model in ((False, "StandardScaler"), (True, "SimpleImputer")):
        first = study_models(impute=impute)["svm"].steps[0][1]
        assert type(first).__name__ == model
    with pytest.raises(ValueError, match="impute must be one of"):
        study_models(impute=1)  # type: ignore[arg-type]


def test_text_html_frame_and_plot(study: StudyResult, tmp_path: Path) -> None:
    text = str(study)
    assert text == repr(study)
    for part in ("30 rows", "Brier", "details()"):
        assert part in text
    details = study.details()
    for part in ("venn_abers | confidence", "certainty of at least 0.9", "How to read this"):
        assert part in details
    assert study.headline == study.findings()[0]
    assert "The default pair keeps rows by conformal confidence" in " ".join(text.split())
    assert max(len(line) for line in text.splitlines()) <= 115
    assert study.recommended == ("venn_abers", "conformal_confidence")
    frame = pytest.importorskip("pandas") and study.to_frame()
    assert len(frame) == 2 * 7 * 3
    assert {"auroc", "auroc_sd", "auroc_low", "ace_calibrated"} <= set(frame.columns)
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    path = tmp_path / "study.html"
    study.to_html(path)
    html = path.read_text(encoding="utf-8")
    assert html.count("<svg") == 2
    assert "<svg" not in study._repr_html_()
    import matplotlib.pyplot as plt

    ax = study.plot("lr", metric="accuracy", against="threshold")
    assert len(ax.lines) == 6
    assert study.plot("tree", ax=ax) is ax
    plt.close("all")


def test_the_pair_wins_nothing_it_does_not_report(study: StudyResult) -> None:
    """Findings quote rows of the study."""
    [pair] = [text for text in study.findings() if text.startswith("The default pair")]
    rows = [
        study.evaluate(model, "venn_abers", "conformal_confidence", shares=[0.5])[1]
        for model in study.models
    ]
    assert f"{np.mean([row.metrics['accuracy'].value for row in rows]):.3f}" in pair


# -------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": np.zeros(30, int)}, "y must have two classes; got 1"),
        ({"y": np.arange(30) % 3}, "y must have two classes; got 3"),
        ({"y": np.where(np.arange(30) == 2, np.nan, 1.0)}, "y contains NaN"),
        ({"y": np.arange(30) < 5}, "too few rows of a class"),
        ({"y": np.ones(29, int)}, "inconsistent|samples but"),
        ({"X": np.full((30, 2), np.inf)}, "X contains inf in row 0, column 0"),
        ({"X": np.zeros(30)}, r"X must have shape \(n_samples, n_features\)"),
        ({"X": np.zeros((30, 0))}, "X is empty"),
        ({"X": None}, "X is None"),
        ({"calibrators": ["plat"]}, "calibrators has 'plat'.*'venn_abers'"),
        ({"calibrators": "platt"}, "calibrators must be a list of names"),
        ({"calibrators": []}, "calibrators is empty"),
        ({"calibrators": ["raw", "raw"]}, "names a method twice"),
        ({"calibrators": {"mine": 3}}, r"calibrators has 3 \(under 'mine'\)"),
        ({"groups": np.zeros(30)}, "groups has 1 distinct"),
        ({"groups": np.arange(30) % 5}, "too few groups of a class"),
        ({"groups": np.arange(29)}, "groups has 29"),
        ({"groups": np.where(np.arange(30) == 1, np.nan, 0.0)}, "groups contains NaN"),
        ({"models": {}}, "models must be a mapping"),
        ({"models": [LR]}, "models must be a mapping"),
        ({"models": {1: LR}}, "models must have texts as names"),
        ({"models": {"lr": "lr"}}, r"models\['lr'\] is no scikit-learn classifier"),
        ({"models": {"s": StandardScaler()}}, r"models\['s'\] cannot be trained"),
        ({"scheme": "loo"}, "scheme must be one of"),
        ({"inner_folds": 1}, "inner_folds must be >= 2"),
        ({"outer_folds": 29}, "outer_folds=29 needs at least 29 rows of each class"),
        ({"n_repeats": 0}, "n_repeats must be >= 1"),
        ({"n_resamples": 1}, "n_resamples must be >= 2"),
        ({"min_kept": 0}, "min_kept must be >= 1"),
        ({"thresholds": [np.nan]}, "thresholds contains NaN"),
        ({"thresholds": [0.0, 0.9]}, "thresholds must be > 0"),
        ({"confidence_level": 1.0}, "confidence_level must lie"),
        ({"random_state": None}, "random_state must be an integer"),
        ({"verbose": 1}, "verbose must be one of"),
        ({"correlation_limit": 1.0}, "correlation_limit must lie"),
        ({"feature_sets": ["a"]}, "feature_sets must be a mapping"),
        ({"feature_sets": {}}, "feature_sets must be a mapping"),
        ({"feature_sets": {1: [0]}}, "feature_sets must have texts as names"),
        ({"feature_sets": {"a": "x"}}, r"feature_sets\['a'\] must be a list of columns"),
        ({"feature_sets": {"a": []}}, r"feature_sets\['a'\] has no columns"),
        ({"feature_sets": {"a": [0, 3]}}, r"feature_sets\['a'\] has column 3.*0 to 2"),
        ({"feature_sets": {"a": ["x"]}}, r"feature_sets\['a'\] has 'x'.*have no names"),
        ({"feature_sets": {"a": [0, 0]}}, r"feature_sets\['a'\] has a column twice: 0"),
        ({"feature_sets": {"+ a": [0]}}, r"feature_sets\['\+ a'\] comes first"),
        ({"tuning": True}, "tuning=True knows grids for the models of study_models alone"),
        ({"tuning": 3}, "tuning must be True, False or a mapping"),
        (
            {"tuning": {"svm": {"C": [1]}}},
            "tuning has 'svm', which is no model of this study: 'lr'",
        ),
        ({"tuning": {"lr": {}}}, r"tuning\['lr'\] must map parameters to lists"),
        ({"tuning": {"lr": {"C": 1.0}}}, r"tuning\['lr'\] must map parameters to lists"),
        ({"tuning": {"lr": {"D": [1.0]}}}, r"models\['lr'\] cannot be trained"),
    ],
)
def test_refusals(
    small: tuple[np.ndarray, np.ndarray], change: dict[str, Any], message: str
) -> None:
    given: dict[str, Any] = {"models": {"lr": LR}, "X": small[0], "y": small[1], **QUICK}
    with pytest.raises(ValueError, match=message):
        leave_one_out_study(**{**given, **change})


def test_refusals_of_results(study: StudyResult) -> None:
    with pytest.raises(ValueError, match="model must be one of 'lr', 'tree'"):
        study.evaluate("svm", "raw")
    with pytest.raises(ValueError, match="method must be one of"):
        study.evaluate("lr", "beta")
    with pytest.raises(ValueError, match="certainty must be one of"):
        study.evaluate("lr", "raw", "interval_width")
    with pytest.raises(ValueError, match=r"shares must lie in \(0, 1\]"):
        study.evaluate("lr", "raw", shares=[0.5, 1.5])
    with pytest.raises(ValueError, match="metric must be one of"):
        study.plot("lr", metric="ece")  # type: ignore[arg-type]


def test_models_that_answer_with_nan(small: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(ValueError, match="gives scores that are NaN or inf"):
        leave_one_out_study({"bad": Counting(np.nan)}, *small, inner_folds=3, **QUICK)


def test_protocol_is_recorded(study: StudyResult) -> None:
    assert study.protocol == Protocol("pooled", 3, None, 2, 0)
    assert study.methods == ("raw", "platt", "isotonic", "venn_abers", "conformal")


def test_findings_without_enough_rows(small: tuple[np.ndarray, np.ndarray]) -> None:
    """Where half of the rows are too few for a metric, no number is quoted."""
    study = leave_one_out_study({"lr": LR}, *small, inner_folds=3, min_kept=20, **QUICK)
    [pair] = [text for text in study.findings() if text.startswith("The default pair")]
    assert "nan" not in "".join(study.findings())
    assert "With the more certain half" not in pair
