"""Tables of p-values and scores: the names of their columns decide."""

from __future__ import annotations

import numpy as np
import pytest

from uq import certainty_curve, forced_prediction, mondrian_p_values

pd = pytest.importorskip("pandas")


def test_forced_prediction_reads_names() -> None:
    p = np.array([[0.75, 0.2], [0.25, 0.4]])
    table = pd.DataFrame(p, columns=["no", "yes"])[["yes", "no"]]
    for labels in (["no", "yes"], None):
        assert forced_prediction(table, labels).labels.tolist() == ["no", "yes"]
    assert forced_prediction(pd.DataFrame(p)).labels.tolist() == [0, 1]


def test_categories_of_columns_are_their_names() -> None:
    rng = np.random.default_rng(0)
    scores, y = rng.random(50), np.array(["no", "yes"])[rng.integers(0, 2, 50)]
    tests = rng.random((5, 2))
    plain = mondrian_p_values(scores, y, tests, ["no", "yes"])
    table = pd.DataFrame(tests, columns=["no", "yes"])[["yes", "no"]]
    found = mondrian_p_values(scores, y, table, ["no", "yes"])
    np.testing.assert_array_equal(found, plain[:, ::-1])


def test_certainty_curve_reads_names_and_pos_label() -> None:
    p = np.linspace(0.01, 0.99, 200)
    y = (np.arange(200) * 0.618 % 1 < p).astype(int)
    words = np.where(y == 1, "diseased", "healthy")
    certainty = np.maximum(p, 1 - p)
    plain = certainty_curve(y, p, certainty, n_simulations=0)
    for curve in (
        certainty_curve(words, p, certainty, n_simulations=0, pos_label="diseased"),
        certainty_curve(words, pd.Series(p, name="diseased"), certainty, n_simulations=0),
    ):
        assert repr(curve.areas) == repr(plain.areas)
