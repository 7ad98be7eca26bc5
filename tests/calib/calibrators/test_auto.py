from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, softmax

from calib import AutoCalibrator, TemperatureCalibrator, load, save
from tests.support.bent import bent, log_loss


def brier(proba, y):
    return ((proba - np.eye(proba.shape[1])[y]) ** 2).sum(axis=1).mean()


@pytest.mark.shared_data
def test_real_network(densenet, two_class):
    y = densenet["labels_test"]
    cal = AutoCalibrator(input="logits").fit(densenet["logits_val"], densenet["labels_val"])
    p = cal.transform(densenet["logits_test"].astype(float))
    assert brier(p, y) <= 0.10945
    assert log_loss(p, y) <= 0.2208
    two = AutoCalibrator(input="logits").fit(*two_class["val"])
    odds, y = two_class["test"]
    p = two.transform(odds)
    assert brier(p, y) <= 0.01698
    assert log_loss(p, y) <= 0.0298


@pytest.mark.shared_data
def test_no_experiment_of_the_arena_is_made_worse(shared_data):
    for name in ("banana__MLP", "magic__RandomForest", "banana__LogReg", "optdigits__GaussianNB"):
        data = np.load(shared_data / "arena_dev" / f"{name}.npz")
        p = data["probas_test"].astype(float)
        cal = AutoCalibrator().fit(data["probas_cal"].astype(float), data["labels_cal"])
        assert brier(cal.transform(p), data["labels_test"]) <= brier(p, data["labels_test"]) + 1e-9


@pytest.mark.parametrize("n_classes", [2, 4])
def test_bad_scores_are_repaired(n_classes):
    z, y = bent(800, n_classes)
    z_new, y_new = bent(4000, n_classes, seed=1)
    cal = AutoCalibrator(input="logits").fit(z, y)
    assert cal.used_
    assert cal.gain_log_loss_.low > 0
    assert cal.weights_.sum() == pytest.approx(1.0)
    assert set(cal.member_names) <= set(cal.candidates_)
    assert log_loss(cal.transform(z_new), y_new) < log_loss(softmax(z_new, axis=1), y_new) - 0.1


@pytest.mark.parametrize("n_classes", [2, 4])
def test_good_scores_are_left_alone(n_classes):
    rng = np.random.default_rng(0)
    kept = 0
    for seed in range(12):
        z = 1.5 * np.random.default_rng(seed).normal(size=(150, n_classes))
        y = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
        cal = AutoCalibrator(input="logits").fit(z, y)
        if not cal.used_:
            kept += 1
            assert cal.member_names == ["identity"]
            np.testing.assert_allclose(cal.transform(z), softmax(z, axis=1), atol=1e-12)
    assert kept >= 8


def test_certain_mistakes_have_a_bounded_loss_even_then():
    p = np.tile([[0.7, 0.3], [0.3, 0.7]], (60, 1))
    y = np.tile([0, 1, 0, 1, 0, 1, 0, 1, 1, 0], 12)
    cal = AutoCalibrator().fit(p, y)
    out = cal.transform(np.array([[1.0, 0.0], [0.0, 1.0]]))
    assert out.min() >= 0.9 * cal.floor_


def test_weights_equal_repetition():
    z, y = bent(90, 3)
    weight = np.random.default_rng(0).integers(1, 4, size=90)
    a = AutoCalibrator(input="logits").fit(z, y, sample_weight=weight)
    order = np.random.default_rng(1).permutation(weight.sum())
    rows = np.repeat(np.arange(90), weight)[order]
    b = AutoCalibrator(input="logits").fit(z[rows], y[rows])
    assert a.member_names == b.member_names
    np.testing.assert_allclose(a.transform(z), b.transform(z), atol=1e-6)


def test_saved_and_loaded(tmp_path):
    z, y = bent(300, 3)
    cal = AutoCalibrator(input="logits").fit(z, y)
    again = load(save(cal, tmp_path / "auto.json"))
    np.testing.assert_array_equal(cal.transform(z), again.transform(z))
    assert again.member_names == cal.member_names


@pytest.mark.parametrize(
    ("z", "y"),
    [
        (np.tile([[1.0, 0.0], [0.0, 1.0]], (2, 1)), [0, 1, 1, 0]),
        (np.eye(3)[[0, 1, 2, 0, 1, 2]], [0, 1, 2, 0, 1, 2]),
        (np.zeros((20, 2)), [0, 1] * 10),
        (np.vstack([np.full((10, 2), 5.0), np.eye(2)]), [0] * 11 + [1]),
    ],
    ids=["duplicates", "one row a class, twice", "constant", "one sample of a class"],
)
@pytest.mark.filterwarnings("ignore:All rows:UserWarning", "ignore:X:UserWarning")
def test_tiny_sets(z, y):
    p = AutoCalibrator(input="logits").fit(z, y).transform(z)
    assert np.isfinite(p).all()
    np.testing.assert_allclose(p.sum(axis=1), 1.0)


# ---------------------------------------------------------------------- pools and folds


def test_steps_of_a_fit_are_said_only_if_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    p = np.linspace(0.02, 0.98, 200)
    y = (np.arange(200) * 0.618 % 1 < p).astype(int)
    silent = AutoCalibrator().fit(p, y)
    assert capsys.readouterr() == ("", "")
    spoken = AutoCalibrator(verbose=True).fit(p, y)
    out, err = capsys.readouterr()
    assert out == ""
    steps = [line.partition("] ")[2] for line in err.splitlines()]
    names = spoken.candidates_
    assert steps == [
        *(f"fitting {name}" for name in names),
        *(f"trying {name}" for name in names),
        "weighing",
        "fitting all samples",
    ]
    np.testing.assert_array_equal(spoken.transform(p), silent.transform(p))
    with pytest.raises(ValueError, match="verbose"):
        AutoCalibrator(verbose="loud").fit(p, y)  # type: ignore[arg-type]


def calibrated(n, seed):
    rng = np.random.default_rng(seed)
    s = rng.normal(0.0, 2.0, n)
    return s, (rng.random(n) < expit(s)).astype(int)


def test_a_fitted_one_says_what_it_chose():
    assert repr(AutoCalibrator(input="logits")) == "AutoCalibrator(input='logits')"
    z, y = bent(400, 3)
    cal = AutoCalibrator(input="logits").fit(z, y)
    parts = cal.choice.split("; ")
    assert repr(cal) == f"AutoCalibrator(input='logits'): {cal.choice}"
    assert parts[1] == f"gain {cal.gain_nats_:.3g} nats"
    assert [float(part.rpartition(" ")[2]) for part in parts[0].split(", ")] == [
        round(w, 2) for w in cal.weights_
    ]
    assert "matrix scaling" in parts[0]
    alone = AutoCalibrator(input="logits").fit(*calibrated(60, 0))
    assert alone.choice.startswith("scores left alone; the best pool gains ")


def test_what_a_file_brings_back_is_said_without_the_gain(tmp_path):
    z, y = bent(400, 3)
    cal = AutoCalibrator(input="logits").fit(z, y)
    save(cal, tmp_path / "cal.json")
    again = load(tmp_path / "cal.json")
    assert again.choice == cal.choice.partition("; ")[0]


@pytest.mark.parametrize("n", [30, 300, 12_000])
def test_rank_preserving_keeps_the_order_of_two_classes(n):
    rng = np.random.default_rng(n)
    s = np.round(rng.normal(0.0, 4.0, n), 2)
    y = (rng.random(n) < expit(np.where(s > 0, 0.2, 0.9) * s - 0.5)).astype(int)
    cal = AutoCalibrator(input="logits", rank_preserving=True).fit(s, y)
    distinct = np.unique(s)
    assert (np.diff(cal.transform(distinct)[:, 1]) > 0).all()
    assert set(cal.member_names) <= {"identity", "empirical_bayes"}


def test_rank_preserving_keeps_the_order_of_classes():
    z, y = bent(900, 5)
    cal = AutoCalibrator(input="logits", rank_preserving=True).fit(z, y)
    assert cal.used_
    np.testing.assert_array_equal(cal.transform(z).argsort(axis=1), z.argsort(axis=1))


def test_rank_preserving_is_true_or_false():
    with pytest.raises(ValueError, match="rank_preserving must be"):
        AutoCalibrator(rank_preserving="auto").fit([0.1, 0.9], [0, 1])


def test_samples_far_out_keep_their_order():
    """A bound on probabilities would make them equal; models that are sure say much there."""
    s, y = calibrated(400, 1)
    cal = AutoCalibrator(input="logits").fit(4.0 * s, y)
    far = np.array([-200.0, -100.0, -60.0, -40.0, 40.0, 60.0, 100.0, 200.0])
    for one in (cal, AutoCalibrator(input="logits").fit(s, y)):
        assert (np.diff(one.transform(far)[:, 1]) > 0).all()


def test_few_labels_of_many_classes_are_safe():
    """One label a class: richer maps than a temperature must earn their place."""
    rng = np.random.default_rng(0)
    z = rng.normal(0.0, 1.5, (4100, 60))
    y = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
    few, rest = slice(0, 100), slice(100, None)
    cal = AutoCalibrator(input="logits").fit(2.5 * z[few], y[few])
    one = TemperatureCalibrator(input="logits").fit(2.5 * z[few], y[few])
    p, q = cal.transform(2.5 * z[rest]), one.transform(2.5 * z[rest])
    assert brier(p, y[rest]) <= brier(q, y[rest]) + 1e-3
