"""Correctness-aware calibration: its start, its loss, its fallbacks, and what it refuses."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import expit, softmax
from sklearn.metrics import roc_auc_score

from calib import (
    CorrectnessAwareCalibrator,
    DegenerateScoresWarning,
    FallbackWarning,
    ScarceLabelsWarning,
    TemperatureCalibrator,
    load,
    save,
)

pd = pytest.importorskip("pandas")


def data(
    n: int = 2000,
    n_classes: int = 4,
    n_views: int = 2,
    seed: int = 0,
    *,
    size: float = 2.0,
    share: float = 0.5,
) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are too sharp on a share of the rows, where views scatter."""
    rng = np.random.default_rng(seed)
    z = size * rng.normal(size=(n, n_classes))
    y = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
    hard = rng.random(n) < share
    y = np.where(hard, (0.4 * z + rng.gumbel(size=z.shape)).argmax(axis=1), y)
    spread = np.where(hard, 3.0, 0.5)[:, None, None]
    views = z[:, None] + spread * rng.normal(size=(n, n_views, n_classes))
    return np.concatenate([z[:, None], views], axis=1), y


def fitted(X: np.ndarray, y: np.ndarray, **options: Any) -> CorrectnessAwareCalibrator:
    return CorrectnessAwareCalibrator(input="logits", **options).fit(X, y)


def brier(p: np.ndarray, y: np.ndarray) -> float:
    return float(((p.max(axis=1) - (p.argmax(axis=1) == y)) ** 2).mean())


X, Y = data()
X_TEST, Y_TEST = data(seed=1)


# ---------------------------------------------------------------------- the start and the loss


@pytest.mark.parametrize("source", ["logits", "proba"])
def test_without_epochs_it_is_temperature_scaling_to_the_last_bit(source: Any) -> None:
    given = X if source == "logits" else softmax(X, axis=2)
    plain = TemperatureCalibrator(input=source).fit(given[:, 0], Y)
    cal = CorrectnessAwareCalibrator(input=source, max_epochs=0).fit(given, Y)
    assert cal.temperature_ == plain.temperature_
    assert not cal.fallback_
    np.testing.assert_array_equal(cal.transform(given), plain.transform(given[:, 0]))
    np.testing.assert_array_equal(cal.temperatures(given), plain.temperature_)


def test_views_that_know_more_sharpen_the_confidence() -> None:
    """On new samples: lower Brier score of the top label and better ranking than one temperature.

    The predictions are the same.
    """
    plain = TemperatureCalibrator(input="logits").fit(X[:, 0], Y).transform(X_TEST[:, 0])
    cal = fitted(X, Y)
    p = cal.transform(X_TEST)
    np.testing.assert_array_equal(p.argmax(axis=1), X_TEST[:, 0].argmax(axis=1))
    right = p.argmax(axis=1) == Y_TEST
    assert brier(p, Y_TEST) < brier(plain, Y_TEST) - 0.005
    areas = [roc_auc_score(right, q.max(axis=1)) for q in (plain, p)]
    assert areas[1] > areas[0] + 0.02
    agree = (X_TEST[:, 1:].argmax(axis=2) == X_TEST[:, :1].argmax(axis=2)).all(axis=1)
    t = cal.temperatures(X_TEST)
    assert t[~agree].mean() > t[agree].mean() + 0.1
    assert (cal.view_agreement_[:, 0] > cal.view_agreement_[:, 1] + 0.1).all()
    assert 0 < cal.n_epochs_ <= 300
    assert cal.n_views_ == 2


def test_views_that_say_nothing_leave_the_best_single_temperature() -> None:
    """With a constant input the bias alone learns: the optimum of a search along one axis."""
    z, right = X[:, 0], X[:, 0].argmax(axis=1) == Y

    def top_label_brier(log_temperature: float) -> float:
        confidence = softmax(z / np.exp(log_temperature), axis=1).max(axis=1)
        return float(((confidence - right) ** 2).mean())

    best = minimize_scalar(top_label_brier, bounds=(-2, 2), method="bounded")
    still = np.stack([z, np.zeros_like(z)], axis=1)
    with pytest.warns(DegenerateScoresWarning, match="view 1 gives another class"):
        cal = fitted(
            still, Y, include_original=False, validation_fraction=0.01, patience=300, max_epochs=300
        )
    t = cal.temperatures(still)
    assert np.ptp(t) < 1e-9
    assert top_label_brier(np.log(t[0])) < best.fun + 2e-5
    assert top_label_brier(np.log(cal.temperature_)) > best.fun


def test_the_log_loss_reaches_a_lower_log_loss() -> None:
    losses = {}
    for loss in ("correctness", "log_loss"):
        p = fitted(X, Y, loss=loss).transform(X_TEST)
        losses[loss] = -np.log(p[np.arange(len(Y_TEST)), Y_TEST]).mean()
    plain = TemperatureCalibrator(input="logits").fit(X[:, 0], Y).transform(X_TEST[:, 0])
    assert losses["log_loss"] < losses["correctness"]
    assert losses["log_loss"] < -np.log(plain[np.arange(len(Y_TEST)), Y_TEST]).mean()


@pytest.mark.filterwarnings("ignore:.*end of temperature_range:calib.DegenerateScoresWarning")
def test_balanced_weights_lose_calibration_and_have_an_exact_inverse() -> None:
    """The published weights re-base the confidence to an accuracy of one half."""
    x, y = data(6000, seed=2, size=4.0, share=0.3)
    x_test, y_test = data(6000, seed=3, size=4.0, share=0.3)
    wide = (0.1, 1000.0)  # doubt wants all classes alike
    plain, balanced = fitted(x, y), fitted(x, y, balanced=True, temperature_range=wide)
    right = x_test[:, 0].argmax(axis=1) == y_test
    a = balanced.accuracy_
    assert abs(a - (x[:, 0].argmax(axis=1) == y).mean()) < 1e-12
    c = balanced.transform(x_test).max(axis=1)
    gap = {"unweighted": plain.transform(x_test).max(axis=1).mean() - right.mean()}
    gap["balanced"] = c.mean() - right.mean()
    assert abs(gap["unweighted"]) < 0.02
    assert gap["balanced"] < -0.07
    eta = balanced.correctness(x_test)
    np.testing.assert_allclose(eta, a * c / (a * c + (1 - a) * (1 - c)), rtol=1e-12)
    assert abs(eta.mean() - right.mean()) < 0.02
    np.testing.assert_array_equal(plain.correctness(x_test), plain.transform(x_test).max(axis=1))


def test_it_keeps_temperature_scaling_where_held_out_samples_show_no_gain() -> None:
    """A learning rate far too large makes every epoch worse than the start."""
    cal = fitted(X, Y, learning_rate=1e3)
    assert cal.fallback_
    assert cal.n_epochs_ == 0
    plain = TemperatureCalibrator(input="logits").fit(X[:, 0], Y)
    np.testing.assert_array_equal(cal.transform(X), plain.transform(X[:, 0]))


# ---------------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("top_k", 2), ("hidden", 2), ("include_original", False), ("features", "proba"),
        ("loss", "log_loss"), ("balanced", True), ("learning_rate", 0.03), ("max_epochs", 3),
        ("batch_size", 100), ("validation_fraction", 0.4), ("random_state", 1),
        ("temperature_range", (1.0, 1.8)),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*end of temperature_range:calib.DegenerateScoresWarning")
def test_every_option_changes_the_map(option: str, value: Any) -> None:
    usual = fitted(X, Y)
    other = fitted(X, Y, **{option: value})
    assert np.abs(usual.temperatures(X) - other.temperatures(X)).max() > 1e-4
    if option == "max_epochs":
        assert other.n_epochs_ <= 3
    if option == "hidden":
        assert other.hidden_weights_.shape == (12, 2)
    if option == "top_k":
        assert other.hidden_weights_.shape == (6, 5)


@pytest.mark.filterwarnings("ignore:.*end of temperature_range:calib.DegenerateScoresWarning")
def test_patience_is_how_long_a_gain_is_waited_for() -> None:
    rough = {"learning_rate": 0.05, "batch_size": 50}
    epochs = [fitted(X, Y, patience=patience, **rough).n_epochs_ for patience in (1, 60)]
    assert epochs[0] < epochs[1]


def test_temperatures_stay_in_their_range_and_a_crowd_at_its_end_is_told() -> None:
    with pytest.warns(DegenerateScoresWarning, match=r"\d+% of the temperatures are at an end"):
        cal = fitted(X, Y, temperature_range=(1.0, 1.8))
    t = cal.temperatures(X)
    assert 1.0 <= t.min() < t.max() == 1.8


def test_more_top_classes_than_there_are_count_as_all() -> None:
    few = fitted(X, Y, top_k=4)
    np.testing.assert_array_equal(few.transform(X), fitted(X, Y, top_k=9).transform(X))
    x, y = data(n_classes=2)
    assert fitted(x, y).hidden_weights_.shape[0] == 3 * 2


def test_the_same_data_give_the_same_map_unless_no_seed_is_wanted() -> None:
    np.testing.assert_array_equal(fitted(X, Y).transform(X), fitted(X, Y).transform(X))
    free = [fitted(X, Y, random_state=None).transform(X) for _ in range(2)]
    assert (free[0] != free[1]).any()


# ---------------------------------------------------------------------- the shape of X


def test_flattened_input_is_the_same() -> None:
    deep = fitted(X, Y)
    flat = fitted(X.reshape(len(X), -1), Y, n_views=2)
    assert deep.n_features_in_ == flat.n_features_in_ == 12
    np.testing.assert_array_equal(deep.transform(X), flat.transform(X.reshape(len(X), -1)))
    np.testing.assert_array_equal(deep.transform(X), flat.transform(X))
    np.testing.assert_array_equal(fitted(X.tolist(), Y).transform(X), deep.transform(X.tolist()))


def test_without_views_the_original_alone_is_read() -> None:
    z = X[:, 0]
    p = fitted(z, Y).transform(z)
    np.testing.assert_array_equal(fitted(z, Y, n_views=0).transform(z), p)
    np.testing.assert_array_equal(fitted(X[:, :1], Y).transform(X[:, :1]), p)
    np.testing.assert_array_equal(fitted(z, Y, include_original=False).transform(z), p)


def test_one_column_is_the_score_of_the_second_of_two_classes() -> None:
    s = X[:, 0, 0]
    y = (np.random.default_rng(0).random(len(s)) < expit(0.5 * s)).astype(int)
    both = fitted(np.stack([np.zeros_like(s), s], axis=1), y)
    one = fitted(s, y)
    np.testing.assert_allclose(
        one.transform(s), both.transform(np.stack([np.zeros_like(s), s], axis=1))
    )
    assert one.correctness(s).shape == one.temperatures(s).shape == s.shape


def test_columns_of_a_table_meet_classes_in_every_version() -> None:
    names = ["d", "b", "a", "c"]
    labels = np.array(names)[Y]
    columns = names + [f"{name}.{view}" for view in (1, 2) for name in names]
    table = pd.DataFrame(X.reshape(len(X), -1), columns=columns)
    cal = fitted(table, labels, n_views=2)
    assert cal.classes_.tolist() == ["a", "b", "c", "d"]
    order = np.argsort(names)
    same = fitted(X[:, :, order], order.argsort()[Y])
    np.testing.assert_allclose(cal.transform(table), same.transform(X[:, :, order]))


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        (X.reshape(len(X), -1)[:, :-1], {"n_views": 2}, "11 columns, which is no multiple of 3"),
        (X[:, :, 0], {"n_views": 2}, "one column per version"),
        (X[:, :, :1], {}, "one column for each of two or more classes"),
        (X, {"n_views": 1}, "n_views=1 but X has 3 slices"),
        (X[:, :0], {}, "no original along axis 1"),
        (X[:, :, :3], {}, "y has 4 distinct labels|labels"),
        ([[[1.0, 2.0], [1.0]]] * 10, {}, "ragged"),
        (X, {"n_views": -1}, "n_views must be >= 0"),
        (X, {"n_views": 1.5}, "n_views must be an integer"),
        (X, {"top_k": 0}, "top_k must be >= 1"),
        (X, {"hidden": 0}, "hidden must be >= 1"),
        (X, {"max_epochs": -1}, "max_epochs must be >= 0"),
        (X, {"batch_size": 0}, "batch_size must be >= 1"),
        (X, {"patience": 0}, "patience must be >= 1"),
        (X, {"learning_rate": 0}, "learning_rate must be > 0"),
        (X, {"validation_fraction": 1}, r"validation_fraction must lie in \(0, 1\)"),
        (X, {"temperature_range": (2, 1)}, "0 < lowest < highest"),
        (X, {"temperature_range": 3}, "temperature_range must be two numbers"),
        (X, {"loss": "brier"}, "loss must be one of"),
        (X, {"features": "logits"}, "features must be one of"),
        (X, {"balanced": "balanced"}, "balanced must be one of"),
        (X, {"include_original": 1}, "include_original must be one of"),
    ],
)
def test_what_it_refuses(given: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CorrectnessAwareCalibrator(input="logits", **options).fit(given, Y[: len(given)])


def test_every_version_is_checked_like_the_original() -> None:
    p = softmax(X, axis=2)
    p[3, 2] *= 0.9
    with pytest.raises(ValueError, match="view 2 of X has rows that do not sum to 1"):
        CorrectnessAwareCalibrator().fit(p, Y)
    z = X.copy()
    z[5, 1, 0] = np.nan
    with pytest.raises(ValueError, match=r"view 1 of X contains NaN or inf: nan in row 5"):
        fitted(z, Y)
    cal = fitted(X, Y)
    with pytest.raises(ValueError, match="X has 1 views behind the original"):
        cal.transform(X[:, :2])
    with pytest.raises(ValueError, match=r"X has 8 features.*expecting 12"):
        cal.transform(X[:, :2].reshape(len(X), -1))


def test_flattened_versions_that_nobody_declared_are_told() -> None:
    flat = X.reshape(len(X), -1)
    with pytest.warns(DegenerateScoresWarning, match="pass n_views=2 if X holds 3 versions"):
        fitted(flat, Y, max_epochs=0)
    with pytest.raises(ValueError, match="rows that sum to 3; pass n_views=2 if X holds 3 versi"):
        CorrectnessAwareCalibrator().fit(softmax(X, axis=2).reshape(len(X), -1), Y)


# ---------------------------------------------------------------------- views


def test_copies_of_the_original_are_worth_as_much_as_none() -> None:
    copies = np.repeat(X[:, :1], 3, axis=1)
    with pytest.warns(DegenerateScoresWarning, match="hardly better than chance"):
        cal = fitted(copies, Y)
    new = np.repeat(X_TEST[:, :1], 3, axis=1)
    alone = fitted(X[:, 0], Y).transform(X_TEST[:, 0])
    assert abs(brier(cal.transform(new), Y_TEST) - brier(alone, Y_TEST)) < 0.003


def test_the_order_of_the_views_does_not_matter_if_it_is_kept() -> None:
    swapped = [0, 2, 1]
    one, other = fitted(X, Y), fitted(X[:, swapped], Y)
    scores = [
        brier(cal.transform(x), Y_TEST) for cal, x in ((one, X_TEST), (other, X_TEST[:, swapped]))
    ]
    assert abs(scores[0] - scores[1]) < 0.003
    np.testing.assert_allclose(one.view_agreement_, other.view_agreement_[::-1])


def test_views_that_change_the_label_or_their_columns_are_told() -> None:
    mixed = X.copy()
    mixed[:, 2] = mixed[:, 2][:, [1, 2, 3, 0]]
    with pytest.warns(DegenerateScoresWarning, match="view 2 gives another class"):
        cal = fitted(mixed, Y)
    assert cal.view_agreement_[1, 0] < 0.5 < cal.view_agreement_[0, 0]


def test_views_of_other_samples_are_told() -> None:
    strange = X.copy()
    strange[:, 1:] = X[np.random.default_rng(0).permutation(len(X)), 1:]
    with pytest.warns(DegenerateScoresWarning, match="view 1 gives another class"):
        fitted(strange, Y)


# ---------------------------------------------------------------------- little data, wild scores


@pytest.mark.parametrize("every", ["right", "wrong"])
def test_samples_that_are_all_right_or_all_wrong_keep_the_temperature(every: str) -> None:
    y = X[:, 0].argmax(axis=1) if every == "right" else X[:, 0].argmin(axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateScoresWarning)  # all wrong: of the columns
        with pytest.warns(FallbackWarning, match=f"all calibration samples are {every}"):
            cal = fitted(X, y)
        plain = TemperatureCalibrator(input="logits").fit(X[:, 0], y)
    assert cal.fallback_
    np.testing.assert_array_equal(cal.transform(X), plain.transform(X[:, 0]))


def test_few_wrong_samples_keep_the_temperature() -> None:
    wrong = X[:, 0].argmax(axis=1) != Y
    rows = np.sort(np.r_[np.flatnonzero(~wrong), np.flatnonzero(wrong)[:49]])
    with pytest.warns(ScarceLabelsWarning, match="49 of the calibration samples are wrong"):
        cal = fitted(X[rows], Y[rows])
    plain = TemperatureCalibrator(input="logits").fit(X[rows, 0], Y[rows])
    assert cal.fallback_
    np.testing.assert_array_equal(cal.transform(X), plain.transform(X[:, 0]))
    assert fitted(X[rows, 0], Y[rows]).fallback_  # without views, without a word
    more = np.sort(np.r_[np.flatnonzero(~wrong), np.flatnonzero(wrong)[:50]])
    assert fitted(X[more], Y[more]).hidden_weights_.any()


def test_a_best_temperature_out_of_range_is_kept_and_told() -> None:
    with pytest.warns(FallbackWarning, match=r"lies outside temperature_range=\(5, 6\)"):
        cal = fitted(X, Y, temperature_range=(5, 6))
    plain = TemperatureCalibrator(input="logits").fit(X[:, 0], Y)
    np.testing.assert_array_equal(cal.transform(X), plain.transform(X[:, 0]))


def test_saturated_scores_give_probabilities() -> None:
    p = softmax(X, axis=2)
    p[::7] = np.eye(4)[p[::7].argmax(axis=2)]  # exactly 0 and 1
    out = CorrectnessAwareCalibrator().fit(p, Y).transform(p)
    assert np.isfinite(out).all()
    np.testing.assert_allclose(out.sum(axis=1), 1, atol=1e-12)
    z = X.copy()
    z[::5, 1:, 3] = -np.inf  # views that exclude a class
    cal = fitted(z, Y)
    assert np.isfinite(cal.transform(z)).all()
    z[:3, 0, 2] = -np.inf
    assert (cal.transform(z)[:3, 2] == 0).all()
    assert np.isfinite(cal.temperatures(z)).all()


def test_a_constant_added_to_a_row_changes_nothing() -> None:
    moves = np.random.default_rng(0).normal(scale=5, size=X.shape[:2])[:, :, None]
    cal = fitted(X, Y)
    np.testing.assert_allclose(cal.transform(X + moves), cal.transform(X), atol=1e-10)
    np.testing.assert_allclose(fitted(X + moves, Y).transform(X), cal.transform(X), atol=1e-6)


def test_order_and_repetition_of_samples_change_nothing() -> None:
    rng = np.random.default_rng(0)
    order = rng.permutation(len(Y))
    cal = fitted(X, Y)
    np.testing.assert_allclose(fitted(X[order], Y[order]).transform(X), cal.transform(X), atol=1e-9)
    w = rng.integers(0, 3, len(Y))
    weighted = CorrectnessAwareCalibrator(input="logits").fit(X, Y, sample_weight=w)
    repeated = fitted(np.repeat(X, w, axis=0), np.repeat(Y, w))
    np.testing.assert_allclose(weighted.transform(X), repeated.transform(X), atol=1e-9)
    np.testing.assert_allclose(weighted.view_agreement_, repeated.view_agreement_)


# ---------------------------------------------------------------------- where it lives


def test_single_precision_stays_single() -> None:
    cal, small = fitted(X, Y), X.astype(np.float32)
    for answer in (cal.transform, cal.temperatures, cal.correctness):
        assert answer(small).dtype == np.float32
        np.testing.assert_allclose(answer(small), answer(X), rtol=2e-4, atol=1e-6)


def test_files_and_pickles_give_the_same_map(tmp_path: Path) -> None:
    cal = fitted(X, Y, balanced=True, temperature_range=(0.1, 12.0))
    for same in (load(save(cal, tmp_path / "cal.json")), pickle.loads(pickle.dumps(cal))):
        np.testing.assert_array_equal(same.transform(X), cal.transform(X))
        np.testing.assert_array_equal(same.correctness(X), cal.correctness(X))
        assert same.get_params() == cal.get_params()
    text = (tmp_path / "cal.json").read_text()
    at = text.index('"data": [', text.index('"n_views_"')) + len('"data": [')
    (tmp_path / "cal.json").write_text(text[:at] + text[at:].replace("2", "5", 1))
    with pytest.raises(ValueError, match="n_views_=5 does not go with"):
        load(tmp_path / "cal.json")


def test_the_torch_module_reads_views() -> None:
    torch = pytest.importorskip("torch")
    from calib.export import to_torch

    cal = fitted(X, Y)
    flat = torch.tensor(X.reshape(len(X), -1))
    np.testing.assert_allclose(to_torch(cal)(flat).numpy(), cal.transform(X), atol=1e-12)
    np.testing.assert_allclose(cal.temperatures(torch.tensor(X)).numpy(), cal.temperatures(X))


@pytest.mark.shared_data
def test_a_real_network_without_views(densenet: dict[str, np.ndarray]) -> None:
    """CIFAR-10: the top confidence is as good as after temperature scaling, accuracy the same."""
    z, y = densenet["logits_test"].astype(np.float64), densenet["labels_test"]
    fit = densenet["logits_val"].astype(np.float64), densenet["labels_val"]
    p = fitted(*fit).transform(z)
    q = TemperatureCalibrator(input="logits").fit(*fit).transform(z)
    assert (p.argmax(axis=1) == y).mean() == pytest.approx(0.9242, abs=1e-6)
    assert abs(brier(p, y) - brier(q, y)) < 0.0005
