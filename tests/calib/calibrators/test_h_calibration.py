"""h-calibration: the guard, invariances at sizes where a map is fitted, options, real data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from calib import HCalibrator, TemperatureCalibrator
from calib.evaluation import expected_calibration_error


def bent(n: int = 1500, n_classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores that one temperature fits badly: overconfident at the top only."""
    rng = np.random.default_rng(seed)
    z = 3 * rng.normal(size=(n, n_classes))
    y = (3 * np.tanh(z / 3) + rng.gumbel(size=z.shape)).argmax(axis=1)
    return z, y


def calibrated(prior: tuple[float, ...], n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    z = 1.5 * rng.normal(size=(n, len(prior))) + np.log(prior)
    return z, (z + rng.gumbel(size=z.shape)).argmax(axis=1)


def log_loss(y: np.ndarray, p: np.ndarray) -> float:
    return float(-np.log(p[np.arange(len(y)), y]).mean())


def brier(y: np.ndarray, p: np.ndarray) -> float:
    return float(((p - np.eye(p.shape[1])[y]) ** 2).sum(axis=1).mean())


def fit(z: np.ndarray, y: np.ndarray, **options: object) -> HCalibrator:
    weight = options.pop("sample_weight", None)
    cal = HCalibrator(**{"input": "logits", "max_iter": 40, **options})  # type: ignore[arg-type]
    return cal.fit(z, y, sample_weight=weight)


# ----------------------------------------------------------------------------- what it does


@pytest.mark.parametrize("kind", ["auto", "mixture", "piecewise"])
def test_repairs_what_one_temperature_cannot(kind: str) -> None:
    z, y = bent(4000)
    z_test, y_test = bent(50_000, seed=1)
    cal = fit(z, y, map=kind, max_iter=100)
    assert not cal.fallback_
    assert cal.map_ in ("mixture", "piecewise")
    assert kind in ("auto", cal.map_)
    p = cal.transform(z_test)
    q = TemperatureCalibrator(input="logits").fit(z, y).transform(z_test)
    assert log_loss(y_test, p) < log_loss(y_test, q)
    assert brier(y_test, p) < brier(y_test, q)
    ratio = expected_calibration_error(y_test, p) / expected_calibration_error(y_test, q)
    assert ratio < (1.0 if kind == "mixture" else 0.7)  # a mixture cannot flatten the top


def test_attributes() -> None:
    z, y = bent()
    cal = fit(z, y)
    exact = TemperatureCalibrator(input="logits").fit(z, y)
    assert cal.temperature_ == pytest.approx(exact.temperature_, rel=1e-12)
    assert cal.n_iter_ == len(cal.loss_curve_) == 40
    assert cal.loss_curve_[-1] < cal.loss_curve_[0]
    assert cal.slopes_.shape == (len(cal.weights_), len(cal.knots_))
    assert cal.weights_.sum() == pytest.approx(1, abs=1e-12)
    assert (cal.slopes_ > 0).all()
    assert len(cal.guard_scores_) == 9
    chosen = cal.guard_scores_[f"{cal.map_} {cal.share_}"]
    assert chosen[0] < cal.guard_scores_["temperature"][0]
    assert chosen[1] <= cal.guard_scores_["temperature"][1]


@pytest.mark.parametrize("n_classes", [2, 5])
@pytest.mark.parametrize("mode", ["default", "reference"])
@pytest.mark.parametrize("kind", ["mixture", "piecewise"])
def test_order_in_every_row_is_untouched(n_classes: int, mode: str, kind: str) -> None:
    z, y = bent(600, n_classes)
    cal = fit(z, y, map=kind, mode=mode, guard=False)
    assert cal.share_ == 1.0
    assert cal.guard_scores_ == {}
    p = cal.transform(np.round(3 * z))  # with ties
    ranked = np.take_along_axis(p, np.argsort(np.round(3 * z), axis=1), axis=1)
    assert (np.diff(ranked, axis=1) >= -1e-15).all()
    assert (cal.transform(z).argmax(axis=1) == z.argmax(axis=1)).all()


def test_piecewise_slope_of_rare_events_is_that_of_the_temperature() -> None:
    z, y = bent()
    cal = fit(z, y, map="piecewise", guard=False, n_knots=5)
    assert len(cal.knots_) == 5
    assert cal.knots_[0] == 0
    assert cal.slopes_[0, -1] == pytest.approx(1 / cal.temperature_, rel=1e-12)
    assert np.ptp(cal.slopes_) > 0.01


# ----------------------------------------------------------------------------- when it does not


@pytest.mark.parametrize(
    ("n", "kind"), [(200, "auto"), (999, "auto"), (49, "mixture"), (49, "piecewise")]
)
def test_few_samples_mean_one_temperature(n: int, kind: str) -> None:
    z, y = bent(n)
    cal = fit(z, y, map=kind)
    exact = TemperatureCalibrator(input="logits").fit(z, y)
    assert cal.fallback_
    assert cal.map_ == "temperature"
    assert cal.share_ == 0
    assert cal.n_iter_ == exact.n_evaluations_
    np.testing.assert_allclose(cal.transform(z), exact.transform(z), atol=1e-14)


def test_guard_returns_temperature_where_nothing_is_to_gain() -> None:
    kept = []
    for seed in range(6):
        z, y = calibrated((0.25,) * 4, 1500, seed)
        kept.append(fit(z, y).share_)
    assert sum(share == 0 for share in kept) >= 2, kept
    assert np.mean(kept) < 0.5, kept


@pytest.mark.filterwarnings("ignore::calib.DegenerateScoresWarning")
def test_separable_and_flat_scores() -> None:
    y = np.arange(1200) % 3
    separable = 5 * np.eye(3)[y] + 0.1 * np.random.default_rng(0).normal(size=(1200, 3))
    cal = fit(separable, y)
    assert cal.fallback_
    assert cal.smoothing_ > 0
    with pytest.warns(UserWarning, match="same scores in every row"):
        flat = fit(np.zeros((1200, 3)), y)
    assert flat.fallback_
    np.testing.assert_allclose(flat.transform(np.zeros((2, 3))), 1 / 3)
    backwards = fit(-separable, y, map="mixture", guard=False)
    assert np.isfinite(backwards.transform(separable)).all()


@pytest.mark.parametrize(("n", "n_classes"), [(200, 2), (200, 50), (60, 3)])
def test_small_samples_on_request(n: int, n_classes: int) -> None:
    z, y = bent(n, n_classes)
    keep = y != n_classes - 1 if n_classes > 2 else slice(None)
    for kind in ("mixture", "piecewise"):
        p = fit(z[keep], y[keep], map=kind).transform(z)
        assert np.isfinite(p).all()
        np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-12)


# ----------------------------------------------------------------------------- invariances


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("kind", ["mixture", "piecewise"])
@pytest.mark.parametrize("mode", ["default", "reference"])
def test_order_of_samples_and_classes(n_classes: int, kind: str, mode: str) -> None:
    z, y = bent(1200, n_classes)
    z = z.round(1)
    rng = np.random.default_rng(1)
    expected = fit(z, y, map=kind, mode=mode)
    rows, columns = rng.permutation(len(y)), np.roll(np.arange(n_classes), 1)
    moved = fit(z[rows], y[rows], map=kind, mode=mode)
    np.testing.assert_allclose(moved.transform(z), expected.transform(z), atol=1e-9)
    relabelled = fit(z[:, columns], np.argsort(columns)[y], map=kind, mode=mode)
    np.testing.assert_allclose(
        relabelled.transform(z[:, columns]), expected.transform(z)[:, columns], atol=1e-9
    )
    assert relabelled.guard_scores_.keys() == expected.guard_scores_.keys()


@pytest.mark.parametrize("kind", ["mixture", "piecewise"])
@pytest.mark.parametrize("max_events", [500_000, 2000])
def test_integer_weight_equals_repetition(kind: str, max_events: int) -> None:
    z, y = bent(900)
    w = np.random.default_rng(0).integers(0, 4, size=900)
    options = {"map": kind, "max_events": max_events}
    weighted = fit(z, y, sample_weight=w, **options)
    repeated = fit(np.repeat(z, w, axis=0), np.repeat(y, w), **options)
    assert weighted.share_ == repeated.share_
    np.testing.assert_allclose(weighted.transform(z), repeated.transform(z), atol=1e-8)


def test_shift_and_unit_of_the_logits() -> None:
    z, y = bent(1200)
    expected = fit(z, y).transform(z)
    shift = np.random.default_rng(0).normal(size=(1200, 1))
    np.testing.assert_allclose(fit(z + shift, y).transform(z), expected, atol=1e-9)
    np.testing.assert_allclose(fit(1024 * z, y).transform(1024 * z), expected, atol=1e-6)


def test_one_and_two_columns_and_probabilities() -> None:
    z, y = bent(1200, 2)
    s = z[:, 1] - z[:, 0]
    two = fit(z, y, guard=False)
    one = fit(s, y, guard=False)
    assert not two.fallback_
    np.testing.assert_allclose(one.transform(s), two.transform(z), atol=1e-9)
    p = 1 / (1 + np.exp(-s))
    from_proba = fit(p, y, input="proba", guard=False)
    np.testing.assert_allclose(from_proba.transform(p), two.transform(z), atol=1e-8)


def test_zeros_and_ones_among_probabilities() -> None:
    rng = np.random.default_rng(0)
    p = rng.integers(0, 11, size=(3000, 3)).astype(float)
    p[p.sum(axis=1) == 0] = 1
    p /= p.sum(axis=1, keepdims=True)
    y = np.array([rng.choice(3, p=0.1 + 0.7 * row) for row in p])
    for kind in ("mixture", "piecewise"):
        out = fit(p, y, input="proba", map=kind, guard=False).transform(p)
        assert np.isfinite(np.log(out[np.arange(3000), y])).all()


# ----------------------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"map": "network"}, "map must be one of 'auto', 'mixture', 'piecewise'"),
        ({"mode": "paper"}, "mode must be one of"),
        ({"guard": 1}, "guard must be one of True, False"),
        ({"n_components": 0}, "n_components must be >= 1"),
        ({"n_knots": 1}, "n_knots must be >= 2"),
        ({"window": "wide"}, "window must be an integer >= 2"),
        ({"window": 1}, "window must be >= 2"),
        ({"margin": -1.0}, "margin must be a number >= 0"),
        ({"margin": np.nan}, "margin must be a number >= 0"),
        ({"margin": "1"}, "margin must be a number >= 0"),
        ({"max_iter": 0}, "max_iter must be >= 1"),
        ({"max_events": 10}, "max_events must be >= 1000"),
    ],
)
def test_bad_options(options: dict[str, object], message: str) -> None:
    z, y = bent(60)
    with pytest.raises(ValueError, match=message):
        fit(z, y, **options)


def test_options_change_what_they_say() -> None:
    z, y = bent(1200)
    one = fit(z, y, map="mixture", guard=False)
    assert len(fit(z, y, map="mixture", guard=False, n_components=2).weights_) == 2
    assert fit(z, y, map="mixture", guard=False, max_iter=7).n_iter_ == 7
    wide = fit(z, y, map="mixture", guard=False, window=800)
    assert wide.loss_curve_[0] != one.loss_curve_[0]
    published = fit(z, y, map="mixture", guard=False, window=200)
    np.testing.assert_array_equal(published.loss_curve_, one.loss_curve_)
    strict = fit(z, y, map="mixture", guard=False, margin=0.0)
    assert strict.loss_curve_[0] > one.loss_curve_[0]
    lenient = fit(z, y, map="mixture", guard=False, margin=50.0)  # nothing to do: the start stays
    assert lenient.n_iter_ == 1
    by_class = fit(z, y, map="mixture", guard=False, mode="reference", margin=50.0)
    assert by_class.loss_curve_[0] > one.loss_curve_[0]
    sampled = fit(z, y, map="mixture", guard=False, max_events=1500)
    np.testing.assert_allclose(sampled.transform(z), one.transform(z), atol=0.05)
    assert not np.array_equal(sampled.loss_curve_, one.loss_curve_)


# ----------------------------------------------------------------------------- bias, size, data


@pytest.mark.slow
@pytest.mark.parametrize("prior", [(0.9, 0.1), (0.8, 0.15, 0.05)])
def test_calibrated_scores_stay_as_they_are(prior: tuple[float, ...]) -> None:
    found = []
    for seed in range(6):
        z, y = calibrated(prior, 20_000, seed)
        cal = fit(z, y, map="mixture", n_components=1, guard=False, margin=0.0, max_iter=100)
        found.append(1 / cal.slopes_[0, 0])
    assert np.mean(found) == pytest.approx(1.0, abs=0.02), found
    q = fit(z, y).transform(z)
    e = np.exp(z - z.max(axis=1, keepdims=True))
    assert np.abs(q - e / e.sum(axis=1, keepdims=True)).max() < 0.03


@pytest.mark.slow
@pytest.mark.parametrize(("n", "n_classes"), [(2000, 1000), (1_000_000, 2)])
def test_large_problems(n: int, n_classes: int) -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(n, n_classes))
    z[np.arange(n), rng.integers(0, n_classes, n)] += np.log(n_classes) + 1
    y = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
    cal = HCalibrator(input="logits").fit(2 * z, y)
    assert cal.temperature_ == pytest.approx(2.0, abs=0.1)


@pytest.mark.slow
@pytest.mark.shared_data
def test_cifar_10_densenet(densenet: dict[str, np.ndarray]) -> None:
    z, z_test = (densenet[f"logits_{part}"].astype(float) for part in ("val", "test"))
    y, y_test = (densenet[f"labels_{part}"].astype(int) for part in ("val", "test"))
    cal = HCalibrator(input="logits").fit(z, y)
    p = cal.transform(z_test)
    assert (p.argmax(axis=1) == z_test.argmax(axis=1)).all()
    assert (p.argmax(axis=1) == y_test).mean() == 0.9242
    assert expected_calibration_error(y_test, p) <= 0.0105  # of temperature: 0.0095
    q = TemperatureCalibrator(input="logits").fit(z, y).transform(z_test)
    assert log_loss(y_test, p) <= 1.002 * log_loss(y_test, q)
    assert brier(y_test, p) <= 1.002 * brier(y_test, q)


@pytest.mark.slow
@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["wideresnet-16-4-cifar-10", "densenet-bc-100-cifar-100"])
def test_never_much_worse_than_temperature(name: str, shared_data: Path) -> None:
    with np.load(shared_data / "classification" / f"{name}.npz") as file:
        proba, labels = file["predictions"], file["ground_truth"].astype(int)
    change = []
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(len(labels))
        half = len(labels) // 2
        a, b = order[:half], order[half:]
        p = HCalibrator().fit(proba[a], labels[a]).transform(proba[b].astype(float))
        q = TemperatureCalibrator().fit(proba[a], labels[a]).transform(proba[b].astype(float))
        assert log_loss(labels[b], p) <= 1.01 * log_loss(labels[b], q)
        assert brier(labels[b], p) <= 1.005 * brier(labels[b], q)
        change.append(
            expected_calibration_error(labels[b], p) - expected_calibration_error(labels[b], q)
        )
    assert sum(difference <= 0.001 for difference in change) >= 4, change


def test_a_fallback_is_the_temperature_of_the_library():
    """Models that are certain here and there want smoothed input, few labels or not."""
    rng = np.random.default_rng(3)
    z = 3.0 * rng.normal(size=(300, 2))
    y = (0.3 * z + rng.gumbel(size=z.shape)).argmax(axis=1)
    p = softmax(z, axis=1)
    p[::5] = np.eye(2)[p[::5].argmax(axis=1)]
    cal, temperature = HCalibrator().fit(p, y), TemperatureCalibrator().fit(p, y)
    assert cal.fallback_
    assert temperature.input_smoothing_ > 0
    np.testing.assert_allclose(cal.transform(p), temperature.transform(p), rtol=1e-12)
    published = HCalibrator(mode="reference").fit(p, y)
    assert published.input_smoothing_ == 0
