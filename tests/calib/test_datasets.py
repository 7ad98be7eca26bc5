from __future__ import annotations

import numpy as np
import pytest

from calib import TemperatureCalibrator
from calib.datasets import N_TRAIN, DigitsScores, load_digits_scores


@pytest.fixture(scope="module")
def scores() -> DigitsScores:
    return load_digits_scores()


def test_shapes_and_types(scores):
    assert scores.logits_cal.shape == (748, 10)
    assert scores.logits_test.shape == (749, 10)
    assert scores.X_cal.shape == (748, 64)
    assert scores.X_test.shape == (749, 64)
    assert N_TRAIN + 748 + 749 == 1797
    assert set(scores.y_cal) == set(scores.y_test) == set(range(10))
    assert scores.target_names.tolist() == list(range(10))
    assert 0 <= scores.X_cal.min() < scores.X_cal.max() <= 1


def test_logits_are_those_of_the_model(scores):
    np.testing.assert_allclose(scores.proba_cal, scores.model.predict_proba(scores.X_cal))
    np.testing.assert_allclose(scores.proba_test, scores.model.predict_proba(scores.X_test))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_network_is_over_confident(seed):
    scores = load_digits_scores(random_state=seed)
    accuracy = (scores.logits_test.argmax(axis=1) == scores.y_test).mean()
    confidence = scores.proba_test.max(axis=1).mean()
    assert 0.91 < accuracy < 0.97
    assert confidence > accuracy + 0.015
    temperature = TemperatureCalibrator(input="logits").fit(scores.logits_cal, scores.y_cal)
    assert temperature.temperature_ > 1.3
    after = temperature.transform(scores.logits_test)
    rows = np.arange(len(scores.y_test))
    assert (
        -np.log(after[rows, scores.y_test]).mean()
        < -np.log(scores.proba_test[rows, scores.y_test]).mean() - 0.02
    )


def test_equal_seeds_give_equal_scores(scores):
    again = load_digits_scores()
    np.testing.assert_array_equal(again.logits_cal, scores.logits_cal)
    np.testing.assert_array_equal(again.y_test, scores.y_test)
