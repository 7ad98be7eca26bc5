"""The adapter for calibrators of other libraries."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from calib import ExternalCalibrator, IsotonicCalibrator


class Doubler:
    """Returns what it is told to, to see what is refused."""

    def __init__(self, factor: float = 1.0, shape: str = "same") -> None:
        self.factor, self.shape = factor, shape

    def fit(self, p: np.ndarray, y: np.ndarray) -> Doubler:
        self.seen_ = p.shape
        return self

    def transform(self, p: np.ndarray) -> np.ndarray:
        out = self.factor * p
        return out if self.shape == "same" else out[:-1]


def multiclass() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(60, 3))
    e = np.exp(z)
    return e / e.sum(axis=1, keepdims=True), np.arange(60) % 3


def test_scikit_learn_isotonic_is_ours() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(300)
    y = (rng.random(300) < p**2).astype(int)
    w = rng.uniform(0.5, 2, 300)
    peer = ExternalCalibrator(IsotonicRegression(out_of_bounds="clip")).fit(p, y, sample_weight=w)
    ours = IsotonicCalibrator(smoothing=False).fit(p, y, sample_weight=w)
    np.testing.assert_allclose(peer.transform(p), ours.transform(p), atol=1e-12)


def test_rows_are_renormalised_and_strings_encoded() -> None:
    p, y = multiclass()
    labels = np.array(["a", "b", "c"])[y]
    cal = ExternalCalibrator(Doubler(0.5)).fit(p, labels)
    np.testing.assert_allclose(cal.transform(p), p, atol=1e-12)
    assert cal.classes_.tolist() == ["a", "b", "c"]
    assert cal.calibrator_.seen_ == (60, 3)
    assert not hasattr(cal.calibrator, "seen_")  # fitted on a copy


def test_two_classes_arrive_as_one_column() -> None:
    p, y = multiclass()
    cal = ExternalCalibrator(Doubler(), input="logits").fit(np.log(p[:, :2]), y > 0)
    assert cal.calibrator_.seen_ == (60,)


def test_answers_that_are_no_probabilities_are_refused() -> None:
    p, y = multiclass()
    with pytest.raises(ValueError, match="Doubler returned values that are not probabilities"):
        ExternalCalibrator(Doubler(3.0)).fit(p, y).transform(p)
    with pytest.raises(ValueError, match=r"Doubler returned shape \(59, 3\)"):
        ExternalCalibrator(Doubler(shape="short")).fit(p, y).transform(p)
    with pytest.raises(ValueError, match=r"Doubler\.fit takes none"):
        ExternalCalibrator(Doubler()).fit(p, y, sample_weight=np.ones(60))
    with pytest.raises(TypeError, match="calibrator must have fit"):
        ExternalCalibrator(object()).fit(p, y)


@pytest.mark.oracle
def test_netcal() -> None:
    pytest.importorskip("netcal")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from netcal.binning import HistogramBinning
        from netcal.scaling import TemperatureScaling

        p, y = multiclass()
        cal = ExternalCalibrator(TemperatureScaling()).fit(p, y)
        out = cal.transform(p)
        binned = ExternalCalibrator(HistogramBinning(bins=4)).fit(p, y).transform(p)
        positive = ExternalCalibrator(HistogramBinning(bins=4)).fit(p[:, 0], y == 0)
        two = positive.transform(p[:, 0])
    for answer, columns in ((out, 3), (binned, 3), (two, 2)):
        assert answer.shape == (60, columns)
        np.testing.assert_allclose(answer.sum(axis=1), 1, atol=1e-6)
