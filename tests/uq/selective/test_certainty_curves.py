"""Certainty curves: reference study, equal shares with ties, undefined metrics, refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from sklearn.model_selection import LeaveOneOut, StratifiedShuffleSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from calib.evaluation import adaptive_calibration_error
from uq import certainty_curve


@pytest.fixture
def data(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    p = rng.beta(0.8, 0.8, 400)
    return (rng.random(400) < p).astype(int), p


def test_reference_study() -> None:
    """Logistic regression, leave one out, 101 of the diabetes patients: published table."""
    X, target = load_diabetes(return_X_y=True)
    y = (target > np.median(target)).astype(int)
    split = StratifiedShuffleSplit(1, train_size=101, random_state=0)
    rows, _ = next(split.split(X, y))
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1))
    p = cross_val_predict(model, X[rows], y[rows], cv=LeaveOneOut(), method="predict_proba")[:, 1]
    curve = certainty_curve(y[rows], p, np.maximum(p, 1 - p), n_simulations=0)
    points = curve.by_threshold["certainty"]
    expected = {0: (1.0, 0.795, 0.817, 0.073), 6: (0.21, 0.894, 0.955, 0.200)}
    for index, (share, auroc, auprc, ace) in expected.items():
        assert points.share[index] == pytest.approx(share, abs=0.006)
        assert points.metrics["auroc"][index] == pytest.approx(auroc, abs=0.02)
        assert points.metrics["auprc"][index] == pytest.approx(auprc, abs=0.02)
        assert points.metrics["ace"][index] == pytest.approx(ace, abs=0.02)
    assert points.at[6] == 0.8


@pytest.mark.oracle
def test_metrics_equal_scikit_learn(data: tuple[np.ndarray, np.ndarray]) -> None:
    y, p = data
    certainty = np.maximum(p, 1 - p)
    curve = certainty_curve(y, p, certainty, n_simulations=0)
    for points, kept_of in (
        (curve.by_threshold["certainty"], lambda at: certainty >= at),
        (
            curve.by_share["certainty"],
            lambda at: certainty >= np.sort(certainty)[::-1][round(at * 400) - 1],
        ),
    ):
        for i, at in enumerate(points.at):
            kept = kept_of(at)
            assert points.n_kept[i] == kept.sum()
            assert points.prevalence[i] == pytest.approx(y[kept].mean())
            found = {name: values[i] for name, values in points.metrics.items()}
            assert found["auroc"] == pytest.approx(roc_auc_score(y[kept], p[kept]))
            assert found["auprc"] == pytest.approx(average_precision_score(y[kept], p[kept]))
            assert found["auprc_gain"] == pytest.approx(found["auprc"] - y[kept].mean())
            assert found["brier"] == pytest.approx(brier_score_loss(y[kept], p[kept]))
            assert found["accuracy"] == pytest.approx(((p > 0.5) == y)[kept].mean())
            expected = adaptive_calibration_error(y[kept], p[kept], n_bins=10)
            assert found["ace"] == pytest.approx(expected)


def test_equal_shares_with_ties_do_not_depend_on_the_order(
    data: tuple[np.ndarray, np.ndarray], rng: np.random.Generator
) -> None:
    y, p = data
    flag = (np.abs(p - 0.5) > 0.2).astype(float)  # a singleton flag: two values only
    curve = certainty_curve(y, p, flag, n_simulations=0, shares=[0.05, 0.5, 1.0])
    points = curve.by_share["certainty"]
    np.testing.assert_allclose(points.share, [0.05, 0.5, 1.0])
    sure = flag == 1
    assert points.prevalence[0] == pytest.approx(y[sure].mean())
    assert points.metrics["brier"][0] == pytest.approx(np.mean((p - y)[sure] ** 2))
    assert points.metrics["auroc"][0] == pytest.approx(roc_auc_score(y[sure], p[sure]))
    order = rng.permutation(400)
    again = certainty_curve(y[order], p[order], flag[order], n_simulations=0, shares=[0.05, 0.5, 1])
    np.testing.assert_allclose(
        again.by_share["certainty"].metrics["auroc"], points.metrics["auroc"]
    )


def test_all_tied_is_the_whole_sample_at_every_share(data: tuple[np.ndarray, np.ndarray]) -> None:
    y, p = data
    curve = certainty_curve(y, p, np.full(400, 0.7), n_simulations=0)
    points = curve.by_share["certainty"]
    np.testing.assert_allclose(points.metrics["auroc"], roc_auc_score(y, p))
    np.testing.assert_allclose(points.share, points.at)
    assert curve.areas["certainty"]["auroc"] == pytest.approx(roc_auc_score(y, p))
    assert (curve.by_threshold["certainty"].n_kept == [400] * 5 + [0] * 5).all()


def test_empty_small_and_one_sided_sets_are_nan(data: tuple[np.ndarray, np.ndarray]) -> None:
    y, p = data
    curve = certainty_curve(y, p, p, thresholds=[0.5, 0.9999], n_simulations=0, min_kept=30)
    points = curve.by_threshold["certainty"]
    assert points.n_kept[1] < 30
    assert np.isnan([values[1] for values in points.metrics.values()]).all()
    assert np.isfinite(points.metrics["auroc"][0])
    empty = certainty_curve(y, p, p, thresholds=[2.0], n_simulations=0)
    assert empty.by_threshold["certainty"].n_kept[0] == 0
    assert np.isnan(empty.by_threshold["certainty"].prevalence[0])
    one = certainty_curve(np.ones(50, dtype=int), p[:50], p[:50], labels=[0, 1], n_simulations=0)
    assert np.isnan(one.by_share["certainty"].metrics["accuracy"]).all()
    assert np.isnan(one.areas["certainty"]["auroc"])
    assert "-" in str(one)


def test_areas_use_common_shares(data: tuple[np.ndarray, np.ndarray]) -> None:
    y, p = data
    certainty = {"good": np.maximum(p, 1 - p), "side": p}
    curve = certainty_curve(y, p, certainty, n_simulations=0)
    table = np.array([curve.by_share[name].metrics["auroc"] for name in certainty])
    common = np.isfinite(table).all(axis=0)
    share = curve.by_share["good"].at[common]
    expected = np.trapezoid(table[0][common], share) / (share[-1] - share[0])
    assert curve.areas["good"]["auroc"] == pytest.approx(expected)
    assert curve.areas["good"]["accuracy"] > curve.areas["side"]["accuracy"]


def test_own_probabilities_per_certainty(data: tuple[np.ndarray, np.ndarray]) -> None:
    y, p = data
    sharp = p**3 / (p**3 + (1 - p) ** 3)
    both = {"raw": p, "sharp": np.column_stack([1 - sharp, sharp])}
    certainty = {"raw": np.maximum(p, 1 - p), "sharp": np.maximum(p, 1 - p)}
    curve = certainty_curve(y, both, certainty, n_simulations=0)
    a, b = (curve.by_share[name].metrics for name in both)
    np.testing.assert_allclose(a["auroc"], b["auroc"])
    assert (b["ace"][4:] > a["ace"][4:]).all()


def test_floor_of_small_sets_is_far_from_zero(rng: np.random.Generator) -> None:
    p, certainty = rng.random(400), rng.random(400)
    y = (rng.random(400) < p).astype(int)
    calls = [certainty_curve(y, p, certainty, random_state=0, shares=[0.05, 1.0]) for _ in "ab"]
    floors = [curve.by_share["certainty"].metrics["ace_calibrated"] for curve in calls]
    assert floors[0][0] > 0.15
    assert floors[0][1] < 0.06
    np.testing.assert_array_equal(*floors)


def test_output_forms(data: tuple[np.ndarray, np.ndarray]) -> None:
    y, p = data
    names = np.array(["benign", "malign"])[y]
    curve = certainty_curve(names, p, {"a": p, "b": -p}, n_simulations=0)
    text = str(curve)
    assert repr(curve) == text
    assert "mean over common shares" in text
    assert json.loads(json.dumps(curve.to_dict()))["n_samples"] == 400
    pytest.importorskip("pandas")
    frame = curve.to_frame()
    assert len(frame) == 2 * (10 + 10)
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    ax = curve.plot(metric="brier", against="threshold")
    assert len(curve.plot(ax).lines) == 4
    matplotlib.pyplot.close("all")
    with pytest.raises(ValueError, match="metric must be one of"):
        curve.plot(metric="f1")
    with pytest.raises(ValueError, match="against must be one of"):
        curve.plot(against="time")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"certainty": [0.5, np.nan, 0.5]}, "certainty contains NaN"),
        ({"certainty": [0.5, 0.5]}, "certainty has 2"),
        ({"certainty": {}}, "empty mapping"),
        ({"y_prob": {"x": [0.1, 0.2, 0.3]}}, "same keys"),
        ({"y_prob": [0.1, np.inf, 0.3]}, "y_prob contains NaN or inf"),
        ({"y_prob": [0.1, 1.2, 0.3]}, "outside"),
        ({"y_prob": np.full((3, 3), 1 / 3)}, "for two classes"),
        ({"shares": [0.0, 0.5]}, "shares must lie"),
        ({"shares": [1.5]}, "shares must lie"),
        ({"thresholds": [np.nan]}, "thresholds contains NaN"),
        ({"min_kept": 0}, "min_kept"),
        ({"n_simulations": -1}, "n_simulations"),
        ({"n_simulations": 1}, "0 or >= 2"),
        ({"y_true": [0, 1]}, "y_prob has 3 samples but y_true has 2"),
    ],
)
def test_refusals(changes: dict[str, object], match: str) -> None:
    call: dict[str, object] = {
        "y_true": [0, 1, 1],
        "y_prob": [0.1, 0.6, 0.7],
        "certainty": [0.9, 0.6, 0.7],
    }
    with pytest.raises(ValueError, match=match):
        certainty_curve(**{**call, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("n", "certainty", "answer"),
    [
        (400, ["right"], "Certainty pays: keeping the most certain 50 % raises the accuracy from"),
        (400, ["wrong"], "Do not select by certainty: keeping the most certain 50 % lowers the"),
        (400, ["right", "wrong"], " by right, the best of 2. 400 samples. Mean accuracy over"),
        (8, ["right"], "Too few samples or one class only: the accuracy is known at fewer than"),
    ],
)
def test_the_answer_comes_first(n: int, certainty: list[str], answer: str) -> None:
    p = np.linspace(0.01, 0.99, n)
    y = (np.arange(n) * 0.618 % 1 < p).astype(int)
    right = np.maximum(p, 1 - p)
    scores = {name: {"right": right, "wrong": -right}[name] for name in certainty}
    given = scores if len(scores) > 1 else next(iter(scores.values()))
    curve = certainty_curve(y, p, given, n_simulations=0)
    text = " ".join(str(curve).split())
    assert answer in text[:300]
    points = next(iter(curve.by_share.values()))
    if n == 400:
        accuracy = points.metrics["accuracy"]
        assert f"from {accuracy[-1]:.4f} to {accuracy[4]:.4f}" in text[:300]


def test_certainty_that_brings_nothing() -> None:
    y, p = np.tile([0, 1], 100), np.tile([0.2, 0.8], 100)
    curve = certainty_curve(y, p, np.ones(200), n_simulations=0)
    assert str(curve).startswith("Certainty brings nothing: keeping the most certain 50 % leaves")
