"""The measurements of the benchmark study are those of the functions they are named for."""

from __future__ import annotations

import json

import numpy as np
import pytest

from calib.evaluation import (
    density_calibration_error,
    expected_calibration_error,
    ks_calibration_error,
    maximum_calibration_error,
    maximum_mean_calibration_error,
    measurement_table,
)


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def toy_c() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    j = np.arange(600)
    phi = (np.sqrt(5) - 1) / 2
    k = np.arange(4)
    z = 2 * np.sin(2 * np.pi * phi * (j[:, None] + 1) * (k + 1)) + 0.3 * k
    u = ((j + 1) * (np.sqrt(2) - 1)) % 1
    y = (np.cumsum(softmax(z / 1.8), axis=1) < u[:, None]).sum(axis=1)
    return y, softmax(z), softmax(z / 1.8)


GOLDEN = {
    "pre_ECE_15": 0.124404,
    "pre_ECE_10": 0.122111,
    "pre_ECE_em_15": 0.127022,
    "pre_ECE_em_10": 0.124923,
    "pre_MCE_10": 0.222716,
    "pre_MCE_15": 0.222716,
    "pre_cwCE_15": 0.065042,
    "pre_cwCE_10": 0.065709,
    "pre_cwCE_em_15": 0.068190,
    "pre_cwCE_em_10": 0.065121,
    "pre_Brier": 0.67054192,
    "pre_NLL": 1.25008439,
    "pre_KSCE": 0.118018,
}


def test_golden_numbers() -> None:
    table = measurement_table(*toy_c())
    for name, value in GOLDEN.items():
        assert table[name] == pytest.approx(value, abs=1e-6), name


def test_there_are_102_with_two_sets_of_others() -> None:
    y, p, q = toy_c()
    others = {"corrupted": q.max(axis=1), "street": p.max(axis=1)[:50]}
    table = measurement_table(y, p, q, scores_in=p.max(axis=1), scores_out=others)
    names = list(table.to_dict())
    assert len(names) == len(set(names)) == len(table.rows) == 102
    assert sum(row.n_bins is not None for row in table.rows) == 90
    assert names[-2:] == ["pre_auc_corrupted", "pre_auc_street"]
    greater = (p.max(axis=1)[:, None] > q.max(axis=1)).mean()
    equal = (p.max(axis=1)[:, None] == q.max(axis=1)).mean()
    assert table["pre_auc_corrupted"] == pytest.approx(greater + equal / 2)
    assert len(measurement_table(y, p, q).rows) == 100


@pytest.mark.parametrize("weights", [None, "integer", "real"])
@pytest.mark.parametrize("k", [2, 5])
def test_every_number_is_that_of_its_function(weights, k: int, rng) -> None:
    p = rng.multinomial(20, rng.dirichlet(np.full(k, 0.3), 400)) / 20  # ties, 0, 1 and edges
    q = rng.dirichlet(np.ones(k), 400)
    y = rng.integers(0, k, 400)
    w = {"integer": rng.integers(0, 4, 400), "real": rng.exponential(size=400)}.get(weights)
    table = measurement_table(y, p, q, sample_weight=w)
    for stage, proba in (("pre", p), ("post", q)):
        for m in (5, 10, 15, 20, 25, 50, 100, 200, 500):
            options = {"n_bins": m, "sample_weight": w}
            for name, more in (
                ("ECE", {}),
                ("ECE_em", {"strategy": "quantile"}),
                ("cwCE", {"average": "classwise"}),
                ("cwCE_em", {"average": "classwise", "strategy": "quantile"}),
            ):
                expected = expected_calibration_error(y, proba, **options, **more)
                assert table[f"{stage}_{name}_{m}"] == pytest.approx(expected, abs=1e-11)
            expected = maximum_calibration_error(y, proba, **options)
            assert table[f"{stage}_MCE_{m}"] == pytest.approx(expected, abs=1e-11)
        for name, function in (
            ("KSCE", ks_calibration_error),
            ("KDECE", density_calibration_error),
            ("MMCE", maximum_mean_calibration_error),
        ):
            expected = function(y, proba, sample_weight=w)
            assert table[f"{stage}_{name}"] == pytest.approx(expected, abs=1e-9), name
    brier = np.average(((q - np.eye(k)[y]) ** 2).sum(axis=1), weights=w)
    assert table["post_Brier"] == pytest.approx(brier)


def test_one_column_and_two() -> None:
    rng = np.random.default_rng(0)
    p, y = rng.random(200), rng.integers(0, 2, 200)
    one = measurement_table(y, p, p)
    two = measurement_table(y, np.column_stack([1 - p, p]), p)
    assert one.to_dict() == pytest.approx(two.to_dict())


def test_overconfident_models_are_ranked_alike() -> None:
    """The study's third answer: ECE, ECE_em, KS and MMCE agree about a pool of such models."""
    from scipy.stats import kendalltau

    rng = np.random.default_rng(1)
    columns = ("pre_ECE_15", "pre_ECE_em_15", "pre_KSCE", "pre_MMCE", "pre_KDECE")
    rows = []
    for _ in range(25):
        q = rng.dirichlet(np.full(10, rng.uniform(0.05, 0.5)), 3000)
        y = (q.cumsum(axis=1) < rng.random((3000, 1))).sum(axis=1).clip(max=9)
        p = q ** rng.uniform(1.2, 4.0)
        p /= p.sum(axis=1, keepdims=True)
        table = measurement_table(y, p, p)
        rows.append([table[name] for name in columns])
    values = np.array(rows)
    for column in range(1, len(columns)):
        tau = kendalltau(values[:, 0], values[:, column]).statistic
        assert tau > 0.85, f"{columns[column]}: {tau:.2f} (seed 1, 25 models)"


@pytest.mark.parametrize(
    ("y", "p"),
    [
        ([0, 1, 0, 1], [0.5] * 4),
        ([0, 0, 1, 1], [0.0, 0.0, 1.0, 1.0]),
        ([1, 1, 0, 0], [0.0, 0.0, 1.0, 1.0]),
        ([1, 1, 1, 1], [0.2, 0.2, 0.7, 0.7]),
        ([1], [0.3]),
    ],
)
def test_odd_samples(y, p) -> None:
    table = measurement_table(y, p, np.clip(p, 0.1, 0.9))
    assert np.isfinite(list(table.to_dict().values())).all()


def test_an_absent_class_and_labels() -> None:
    p = np.full((6, 3), 1 / 3)
    named = measurement_table(list("aabbab"), p, p, labels=list("abc"))
    assert named.rows == measurement_table([0, 0, 1, 1, 0, 1], p, p).rows


def test_forms() -> None:
    pytest.importorskip("pandas")
    y, p, q = toy_c()
    scores = {"noise": [0.1, 0.2]}
    table = measurement_table(y, p, q, scores_in=[0.15, 0.3], scores_out=scores)
    assert table["pre_auc_noise"] == 0.75
    frame = table.to_frame()
    assert frame.shape == (101, 4)
    assert frame.loc["post_cwCE_em_200", "n_bins"] == 200
    assert frame["n_bins"].isna().sum() == 11
    assert frame.loc["pre_ECE_15", "value"] == table["pre_ECE_15"]
    json.dumps(table.to_dict(), allow_nan=False)
    text = str(table)
    assert "600 samples" in text
    assert "pre_auc_noise: 0.7500" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scores_in": [0.1]}, "scores_in is given without scores_out"),
        ({"scores_out": {"a": [0.1]}}, "scores_out is given without scores_in"),
        ({"scores_in": [0.1], "scores_out": [0.1]}, "must be a dict"),
        ({"scores_in": [np.nan], "scores_out": {"a": [0.1]}}, "scores_in contains NaN"),
        ({"scores_in": [0.1], "scores_out": {"a": [[0.1, 0.2]]}}, "one score per sample"),
        ({"scores_in": [0.1], "scores_out": {"a": []}}, "0 samples"),
        ({"sample_weight": [0, 0]}, "zero for every sample"),
    ],
)
def test_bad_input_is_refused_by_name(options, message) -> None:
    with pytest.raises(ValueError, match=message):
        measurement_table([0, 1], [0.2, 0.7], [0.3, 0.6], **options)
    with pytest.raises(ValueError, match="classes"):
        measurement_table([0, 1], [0.2, 0.7], [[0.1, 0.2, 0.7]] * 2)


def test_the_answer_comes_first() -> None:
    y, p, q = toy_c()
    table = measurement_table(y, p, q)
    first, second = str(table).replace("\n  ", " ").replace("\n", " ").split(". ")[:2]
    numbers = ("pre_ECE_15", "post_ECE_15", "pre_NLL", "post_NLL")
    before, after, loss_before, loss = (f"{table[name]:.4f}" for name in numbers)
    assert first == (
        f"Recalibration lowers the calibration error (ECE, 15 bins) from {before} to {after} and "
        f"the log loss from {loss_before} to {loss}"
    )
    values = table.to_dict()
    names = [name[5:] for name in values if name.startswith("post_")]
    n_lower = sum(values[f"post_{name}"] < values[f"pre_{name}"] for name in names)
    assert second.startswith(f"{n_lower} of {len(names)} measurements on 600 samples are lower")


@pytest.mark.parametrize(
    ("before", "after", "start"),
    [
        (1.0, 2.5, "Keep the probabilities before: recalibration raises the calibration error"),
        (1.0, 1.0, "Recalibration changes neither the calibration error"),
        (0.0, 1.8, "Recalibration changes the calibration error (ECE, 15 bins) from 0 to 0.1"),
    ],
)
def test_every_answer(before: float, after: float, start: str) -> None:
    y, p, _ = toy_c()
    z = np.log(p) / 1.8
    table = measurement_table(y, softmax(before * z), softmax(after * z))
    if start.endswith("0.1"):
        rates = np.tile(np.bincount(y) / len(y), (len(y), 1))  # calibrated, and useless
        table = measurement_table(y, rates, softmax(after * z))
    text = " ".join(str(table).split())
    assert text.startswith(start)
    assert ("trust the log loss" in text) == ("from 0 " in start)


def test_tiny_errors_are_not_zeros() -> None:
    y = np.zeros(1000, int)
    p = np.column_stack([np.full(1000, 1 - 1e-6), np.full(1000, 1e-6)])
    text = str(measurement_table(y, p, p))
    assert "0.000001" in text
    assert "0.0000 " not in text


def test_names_of_the_published_tables() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet([1.0, 1.0, 1.0], 50)
    y = rng.integers(0, 3, 50)
    scores = {"scores_in": p.max(axis=1), "scores_out": {"cifar10c": p[:9, 0], "svhn": p[9:, 0]}}
    table = measurement_table(y, p, p, **scores)
    assert list(table.to_dict())[-2:] == ["pre_auc_cifar10c", "pre_auc_svhn"]
    assert {"pre_ECE_15", "post_cwCE_em_500", "pre_KSCE", "post_Brier"} < set(table.to_dict())
    assert "pre_auc_svhn" in str(table)
    assert set(table.to_frame()["stage"]) == {"pre", "post"}
