"""Cross-fitted recalibration: what it finds in data whose truth is known, and odd input."""

from __future__ import annotations

import numpy as np
import pytest

from calib import ExternalCalibrator, PlattCalibrator, TemperatureCalibrator
from calib.evaluation import refinement_decomposition


def simulated(k: int, power: float, n: int = 4000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, reported and true probabilities; the report is too extreme for power > 1."""
    rng = np.random.default_rng(11)
    q = rng.dirichlet(np.ones(k), n)
    y = (q.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(max=k - 1)
    p = q**power
    return y, p / p.sum(axis=1, keepdims=True), q


def scores(p: np.ndarray, y: np.ndarray) -> dict[str, float]:
    own = p[np.arange(len(y)), y]
    return {
        "log_loss": -np.log(own).mean(),
        "brier": ((p - np.eye(p.shape[1])[y]) ** 2).sum(axis=1).mean(),
    }


@pytest.mark.parametrize("k", [2, 5])
@pytest.mark.parametrize("score", ["log_loss", "brier"])
def test_an_overconfident_model_is_seen_through(k: int, score: str) -> None:
    y, p, q = simulated(k, 2.5)
    parts = refinement_decomposition(y, p, score=score, random_state=0)
    assert parts.score == pytest.approx(scores(p, y)[score])
    assert parts.refinement + parts.calibration == pytest.approx(parts.score, abs=1e-14)
    best = scores(q, y)[score]
    assert best - 1e-3 < parts.refinement < best + (0.01 if k == 2 else 0.002)
    assert parts.calibration > 0.02


@pytest.mark.parametrize("k", [2, 5])
def test_a_calibrated_model_gains_nothing(k: int) -> None:
    y, p, _ = simulated(k, 1.0)
    assert -0.01 < refinement_decomposition(y, p, random_state=0).calibration < 0.001


def test_one_column_equals_two_and_labels_are_free() -> None:
    y, p, _ = simulated(2, 2.0, 500)
    parts = refinement_decomposition(y, p, random_state=0)
    one = refinement_decomposition(y, p[:, 1], random_state=0)
    assert tuple(one) == pytest.approx(tuple(parts))
    named = refinement_decomposition(np.array(["no", "yes"])[y], p, random_state=0)
    assert named == parts


def test_any_recalibrator_of_probabilities() -> None:
    y, p, _ = simulated(2, 2.0, 500)
    named = refinement_decomposition(y, p, recalibrator="platt", random_state=0)
    given = PlattCalibrator()
    assert refinement_decomposition(y, p, recalibrator=given, random_state=0) == named
    assert not hasattr(given, "classes_")
    for wrong, message in (
        (TemperatureCalibrator(input="logits"), "input='logits'"),
        (TemperatureCalibrator, "must be a registry name"),
        ("nothing", "unknown calibrator"),
        (3, "must be a registry name"),
    ):
        with pytest.raises(ValueError, match=message):
            refinement_decomposition(y, p, recalibrator=wrong)


def test_external_calibrators() -> None:
    from sklearn.isotonic import IsotonicRegression

    y, p, _ = simulated(2, 2.0, 500)
    method = ExternalCalibrator(IsotonicRegression(out_of_bounds="clip", y_min=0.01, y_max=0.99))
    parts = refinement_decomposition(y, p, recalibrator=method, random_state=0)
    assert 0 < parts.refinement < parts.score


def test_weights_count() -> None:
    y, p, _ = simulated(3, 2.0, 600)
    w = np.arange(600) % 3
    parts = refinement_decomposition(y, p, sample_weight=w, random_state=0)
    assert parts.score == pytest.approx(np.average(-np.log(p[np.arange(600), y]), weights=w))
    scaled = refinement_decomposition(y, p, sample_weight=5.0 * w, random_state=0)
    assert tuple(scaled) == pytest.approx(tuple(parts), abs=1e-6)
    kept = w > 0
    alone = refinement_decomposition(y[kept], p[kept], sample_weight=w[kept], random_state=0)
    assert tuple(alone) == pytest.approx(tuple(parts), abs=1e-12)


def test_seeds() -> None:
    y, p, _ = simulated(3, 2.0, 300)
    assert refinement_decomposition(y, p, random_state=1) == refinement_decomposition(
        y, p, random_state=1
    )
    assert refinement_decomposition(y, p, random_state=1) != refinement_decomposition(
        y, p, random_state=2
    )


ODD = [
    ("constant", [0, 1] * 10, [0.5] * 20),
    ("ties", [0, 0, 1, 1] * 5, [0.2, 0.8] * 10),
    ("all right", [0, 1] * 10, [0.0, 1.0] * 10),
    ("a rare class", [1] * 18 + [0] * 2, np.linspace(0.1, 0.9, 20)),
]


@pytest.mark.parametrize(("name", "y", "p"), ODD, ids=[row[0] for row in ODD])
@pytest.mark.parametrize("score", ["log_loss", "brier"])
@pytest.mark.parametrize("k", [2, 3])
def test_odd_samples(name: str, y, p, score: str, k: int) -> None:
    p = np.asarray(p, dtype=float)
    proba = np.column_stack([1 - p, p, np.zeros((20, k - 2))])
    parts = refinement_decomposition(y, proba, score=score, random_state=0)
    assert np.isfinite(parts).all()
    assert parts.refinement >= 0
    if name == "constant":
        assert parts.refinement < (0.75 if score == "log_loss" else 0.55)


def test_all_wrong_and_certain() -> None:
    y, p = np.array([0, 1] * 10), np.array([1.0, 0.0] * 10)
    parts = refinement_decomposition(y, p, random_state=0)
    assert parts.score == np.inf
    assert parts.calibration == np.inf
    assert np.isfinite(parts.refinement)
    brier = refinement_decomposition(y, p, score="brier", random_state=0)
    assert brier.score == 2
    assert brier.refinement < 0.52


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_folds": 1}, "n_folds must be >= 2"),
        ({"n_folds": 5}, "n_folds=5"),
        ({"score": "auc"}, "score must be one of"),
        ({"n_folds": 2, "sample_weight": [1, 0, 0, 0]}, "positive weight"),
        ({"n_folds": 2, "random_state": "x"}, "random_state"),
    ],
)
def test_bad_input_is_refused_by_name(options, message) -> None:
    with pytest.raises(ValueError, match=message):
        refinement_decomposition([0, 1, 1, 0], [0.2, 0.7, 0.6, 0.4], **options)
    with pytest.raises(ValueError, match="got 1"):
        refinement_decomposition([1], [0.2])


@pytest.mark.parametrize("y", [[1] * 20, [1] * 19 + [0]])
def test_one_class_cannot_be_cross_fitted(y) -> None:
    with pytest.raises(ValueError, match="outside the most frequent class"):
        refinement_decomposition(y, np.linspace(0.1, 0.9, 20))


def test_single_samples_of_rare_classes_are_parted() -> None:
    p = np.full((21, 3), 1 / 3)  # sorted by label, both would meet in the first fold
    for seed in range(5):
        parts = refinement_decomposition([0] + [1] * 19 + [2], p, random_state=seed)
        assert np.isfinite(parts).all()
