from __future__ import annotations

import numpy as np
import pytest

from calib import TemperatureCalibrator
from calib.datasets import (
    N_TRAIN,
    SCENE_SIZE,
    DigitsScores,
    load_digits_scores,
    make_detection_scenes,
)


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


def test_scenes_are_reproducible_and_differ_by_seed():
    first, truth = make_detection_scenes(30, random_state=3)
    again, _ = make_detection_scenes(30, random_state=3)
    other, _ = make_detection_scenes(30, random_state=4)
    np.testing.assert_array_equal(first.scores, again.scores)
    assert len(first) != len(other) or not np.array_equal(first.scores, other.scores)
    assert truth.images.tolist() == list(range(30))
    assert set(first.labels) <= set(truth.class_names)


def test_scenes_lie_inside_their_images():
    found, truth = make_detection_scenes(40)
    for boxes in (found.boxes, truth.boxes):
        assert boxes.min() >= 0
        assert (boxes[:, 2:] <= SCENE_SIZE).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert found.position().max() <= 1


def test_scenes_may_be_empty_and_crowded():
    found, truth = make_detection_scenes(3, objects_per_image=0, background_per_image=0)
    assert len(found) == len(truth) == 0
    assert len(truth.images) == 3
    assert make_detection_scenes(5, crowd_rate=1.0)[1].ignore.all()


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"n_images": 0}, "n_images must be >= 1"),
        ({"objects_per_image": -1}, "objects_per_image must lie in"),
        ({"background_per_image": float("inf")}, "background_per_image must lie in"),
        ({"overconfidence": 0}, "overconfidence must lie in"),
        ({"crowd_rate": float("nan")}, "crowd_rate must lie in"),
    ],
)
def test_scenes_refuse_impossible_parameters(params, text):
    with pytest.raises(ValueError, match=text):
        make_detection_scenes(**params)
