"""Golden numbers of the specification, conventions, and refusals of the binned errors."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from calib import evaluation
from calib.evaluation import (
    adaptive_calibration_error,
    average_calibration_error,
    binned_calibration_table,
    expected_calibration_error,
    maximum_calibration_error,
    signed_calibration_error,
    squared_calibration_error,
)

Toy = tuple[np.ndarray, np.ndarray]


def toy_a() -> Toy:
    i = np.arange(1000)
    p = (i + 0.5) / 1000
    u = ((i + 1) * (np.sqrt(5) - 1) / 2) % 1
    return (u < p**1.5).astype(int), p


def toy_b() -> Toy:
    i = np.arange(1000)
    p = 0.02 + 0.96 * ((i + 0.5) / 1000) ** 2
    q = 1 / (1 + np.exp(-(0.5 * np.log(p / (1 - p)) + 0.3)))
    return (((i + 1) * np.sqrt(2)) % 1 < q).astype(int), p


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def toy_c() -> Toy:
    j = np.arange(600)
    phi = (np.sqrt(5) - 1) / 2
    k = np.arange(4)
    z = 2 * np.sin(2 * np.pi * phi * (j[:, None] + 1) * (k + 1)) + 0.3 * k
    u = ((j + 1) * (np.sqrt(2) - 1)) % 1
    y = (np.cumsum(softmax(z / 1.8), axis=1) < u[:, None]).sum(axis=1)
    return y, softmax(z)


TOYS: dict[str, Callable[[], Toy]] = {"A": toy_a, "B": toy_b, "C": toy_c}


def test_the_toys_are_those_of_the_specification() -> None:
    assert toy_a()[0].sum() == 398
    assert toy_b()[0].sum() == 455
    assert toy_b()[1].mean() == pytest.approx(0.33999992, abs=1e-8)
    y, p = toy_c()
    np.testing.assert_array_equal(np.bincount(y), [120, 134, 158, 188])
    assert (p.argmax(axis=1) == y).mean() == pytest.approx(0.475)


ECE = expected_calibration_error
MCE = maximum_calibration_error
AVERAGE = average_calibration_error
GOLDEN = [
    # toy, function, n_bins, options, value
    ("A", ECE, 10, {}, 0.102000),
    ("A", ECE, 15, {}, 0.102000),
    ("A", ECE, 100, {}, 0.105900),
    ("A", ECE, 500, {}, 0.193200),
    ("A", ECE, 10, {"strategy": "quantile"}, 0.102000),
    ("A", ECE, 15, {"strategy": "quantile"}, 0.102000),
    ("A", MCE, 10, {}, 0.150000),
    ("A", MCE, 15, {}, 0.166667),
    ("A", MCE, 500, {}, 0.673000),
    ("A", ECE, 15, {"norm": 2}, 0.110943),
    ("A", ECE, 15, {"norm": 2, "strategy": "quantile"}, 0.110936),
    ("A", ECE, 15, {"norm": 2, "strategy": "quantile", "debias": True}, 0.100148),
    ("A", ECE, 10, {"norm": 2, "strategy": "quantile", "debias": True}, 0.103392),
    ("A", AVERAGE, 10, {}, 0.102000),
    ("A", AVERAGE, 15, {}, 0.102005),
    ("B", ECE, 10, {}, 0.137698),
    ("B", ECE, 15, {}, 0.137992),
    ("B", ECE, 100, {}, 0.146169),
    ("B", ECE, 500, {}, 0.241452),
    ("B", ECE, 10, {"strategy": "quantile"}, 0.137320),
    ("B", ECE, 15, {"strategy": "quantile"}, 0.136776),
    ("B", MCE, 10, {}, 0.207400),
    ("B", MCE, 15, {}, 0.208879),
    ("B", MCE, 500, {}, 0.973292),
    ("B", ECE, 15, {"norm": 2}, 0.151899),
    ("B", ECE, 15, {"norm": 2, "strategy": "quantile"}, 0.151549),
    ("B", ECE, 15, {"norm": 2, "strategy": "quantile", "debias": True}, 0.140627),
    ("B", ECE, 10, {"norm": 2, "strategy": "quantile", "debias": True}, 0.143550),
    ("B", AVERAGE, 10, {}, 0.110068),
    ("B", AVERAGE, 15, {}, 0.110313),
    ("C", ECE, 10, {}, 0.122111),
    ("C", ECE, 15, {}, 0.124404),
    ("C", ECE, 10, {"strategy": "quantile"}, 0.124923),
    ("C", ECE, 15, {"strategy": "quantile"}, 0.127022),
    ("C", MCE, 10, {}, 0.222716),
    ("C", MCE, 15, {}, 0.222716),
    ("C", ECE, 10, {"average": "classwise"}, 0.065709),
    ("C", ECE, 15, {"average": "classwise"}, 0.065042),
    ("C", ECE, 10, {"average": "classwise", "strategy": "quantile"}, 0.065121),
    ("C", ECE, 15, {"average": "classwise", "strategy": "quantile"}, 0.068190),
    ("C", adaptive_calibration_error, 15, {}, 0.068190),  # 600 = 15 * 40: all ranges weigh alike
    ("C", adaptive_calibration_error, 10, {}, 0.065121),
]


@pytest.mark.parametrize(("toy", "function", "n_bins", "options", "value"), GOLDEN)
def test_golden_numbers(toy, function, n_bins, options, value) -> None:
    y, p = TOYS[toy]()
    options = options if toy == "C" else {"average": "binary", **options}
    assert function(y, p, n_bins=n_bins, **options) == pytest.approx(value, abs=1e-6)


def test_debiasing_is_right_on_average() -> None:
    """Ten predictions, each its own bin: the estimate of the squared error has no bias."""
    rng = np.random.default_rng(0)
    p = np.repeat((np.arange(10) + 0.5) / 10, 12)
    true = np.clip(p + 0.06, 0, 1)
    found = [
        squared_calibration_error(rng.random(120) < true, p, n_bins=10, average="binary")
        for _ in range(4000)
    ]
    plugin, debiased = np.mean(found, axis=0)
    error = np.std([f.debiased for f in found]) / np.sqrt(4000)
    truth = np.mean((p - true) ** 2)
    assert abs(debiased - truth) < 3 * error
    assert plugin > truth + 10 * error
    assert min(f.debiased for f in found) < 0


def test_debiased_errors_are_closer_to_the_truth() -> None:
    rng = np.random.default_rng(1)
    p = rng.random((200, 500))
    y = rng.random(p.shape) < p**1.2
    truth = 0.5 - 1 / 2.2  # all gaps have one sign
    options = {"average": "binary", "strategy": "quantile"}
    plain = np.mean([ECE(a, b, **options) for a, b in zip(y, p, strict=True)])
    less = np.mean([ECE(a, b, debias=True, **options) for a, b in zip(y, p, strict=True)])
    assert abs(less - truth) < 0.5 * abs(plain - truth)


def test_debiasing_by_class_averages_before_the_root() -> None:
    y, p = toy_c()
    found = squared_calibration_error(y, p, average="classwise")
    options = {"norm": 2, "strategy": "quantile", "average": "classwise"}
    assert ECE(y, p, debias=True, **options) == pytest.approx(np.sqrt(found.debiased))
    parts = [
        squared_calibration_error(y == k, p[:, k], average="binary").debiased for k in range(4)
    ]
    assert found.debiased == pytest.approx(np.mean(parts))


def test_debiasing_counts_weights_as_samples_and_leaves_single_ones_out() -> None:
    y, p = toy_b()
    w = np.arange(len(y)) % 3
    for norm in (1, 2):
        options = {"average": "binary", "norm": norm, "debias": True}
        repeated = ECE(np.repeat(y, w), np.repeat(p, w), **options)
        assert ECE(y, p, sample_weight=w, **options) == pytest.approx(repeated)
    single = squared_calibration_error([0, 1], [0.2, 0.7], n_bins=10, average="binary")
    assert single.debiased == 0
    assert single.plugin > 0
    assert ECE([0, 1], [0.0, 1.0], average="binary", debias=True) == 0


def test_debiasing_has_no_maximum() -> None:
    with pytest.raises(ValueError, match="debias=True takes norm=1 or norm=2"):
        ECE([0, 1], [0.2, 0.7], average="binary", norm="max", debias=True)
    with pytest.raises(ValueError, match="debias must be"):
        ECE([0, 1], [0.2, 0.7], average="binary", debias="yes")


@pytest.mark.parametrize("toy", ["A", "B", "C"])
@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
@pytest.mark.parametrize("n_bins", [5, 15, 100])
def test_signed_parts_and_norms(toy: str, strategy: str, n_bins: int) -> None:
    y, p = TOYS[toy]()
    options = {"n_bins": n_bins, "strategy": strategy}
    options["average"] = "top_label" if toy == "C" else "binary"
    over, under = signed_calibration_error(y, p, **options)
    one, two, top = (ECE(y, p, norm=norm, **options) for norm in (1, 2, "max"))
    assert over + under == pytest.approx(one, abs=1e-14)
    mean_gap = p.max(axis=1).mean() - 0.475 if toy == "C" else p.mean() - y.mean()
    assert over - under == pytest.approx(mean_gap, abs=1e-12)
    assert one <= two + 1e-14
    assert two <= top + 1e-14
    assert top == pytest.approx(MCE(y, p, **options), abs=0)


@pytest.mark.parametrize("n_bins", [1, 7, 15])
@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_gaps_of_one_sign_add_up_to_the_mean_gap(n_bins: int, strategy: str) -> None:
    y, p = toy_a()
    error = ECE(y, p, n_bins=n_bins, strategy=strategy, average="binary")
    assert error == pytest.approx(abs(p.mean() - y.mean()), abs=1e-13)


@pytest.mark.parametrize("average", ["top_label", "classwise", "binary"])
@pytest.mark.parametrize("n_bins", [1, 2, 10, 15, 499])
def test_perfect_predictions_have_no_error(average: str, n_bins: int) -> None:
    y = np.arange(40) % 2
    p = np.eye(2)[y]
    for strategy in ("uniform", "quantile"):
        assert ECE(y, p, n_bins=n_bins, strategy=strategy, average=average) == 0
    assert adaptive_calibration_error(y, p, n_bins=n_bins) == 0


def test_probabilities_on_the_edges_are_all_counted() -> None:
    p = np.array([0.0, 0.1, 0.2, 0.3, 0.6, 0.7, 0.9, 1.0])
    table = binned_calibration_table(np.zeros(8, int), p, n_bins=10, average="binary")
    np.testing.assert_array_equal(table.weight, [1, 1, 1, 1, 0, 0, 1, 1, 0, 2])
    assert ECE(np.zeros(8, int), p, n_bins=10, average="binary") == pytest.approx(p.mean())


def test_float32_is_compared_as_it_is() -> None:
    p = np.array([0.7], dtype=np.float32)  # 0.699999988, below the edge 0.7
    table = binned_calibration_table([1], p, n_bins=10, average="binary")
    assert np.flatnonzero(table.weight) == [6]


FUNCTIONS = [
    (ECE, {}),
    (ECE, {"strategy": "quantile"}),
    (ECE, {"average": "classwise"}),
    (ECE, {"average": "classwise", "strategy": "quantile", "norm": 2}),
    (adaptive_calibration_error, {}),
    (adaptive_calibration_error, {"threshold": 0.1}),
    (AVERAGE, {}),
    (MCE, {}),
    (lambda y, p, **kwargs: signed_calibration_error(y, p, **kwargs)[0], {}),
]


@pytest.mark.parametrize(("function", "options"), FUNCTIONS)
def test_weight_two_equals_a_repeated_row(function, options, rng: np.random.Generator) -> None:
    p = rng.dirichlet(np.ones(3), 250)
    p = np.round(p * 20 + 0.5)
    p /= p.sum(axis=1, keepdims=True)  # with ties
    y = rng.integers(0, 3, 250)
    w = rng.integers(0, 4, 250)
    weighted = function(y, p, sample_weight=w, **options)
    repeated = function(np.repeat(y, w), np.repeat(p, w, axis=0), **options)
    assert weighted == pytest.approx(repeated, abs=1e-12)


@pytest.mark.parametrize(("function", "options"), FUNCTIONS)
def test_row_order_is_irrelevant_under_ties(function, options, rng: np.random.Generator) -> None:
    levels = np.array([[0.6, 0.3, 0.1], [0.2, 0.2, 0.6], [0.1, 0.8, 0.1], [1, 0, 0]])
    p = levels[rng.integers(0, 4, 200)]
    y = rng.integers(0, 3, 200)
    order = rng.permutation(200)
    assert function(y, p, **options) == pytest.approx(function(y[order], p[order], **options))


@pytest.mark.parametrize(("function", "options"), FUNCTIONS)
def test_one_column_equals_two(function, options) -> None:
    y, p = toy_b()
    both = np.column_stack([1 - p, p])
    assert function(y, p, **options) == pytest.approx(function(y, both, **options), abs=1e-12)
    assert function(y, p[:, None], **options) == function(y, p, **options)


def test_adaptive_threshold_leaves_small_entries_out() -> None:
    y, p = toy_c()
    expected = []
    for k in range(4):
        kept = p[:, k] >= 0.2
        options = {"n_bins": 5, "strategy": "quantile", "average": "binary"}
        table = binned_calibration_table((y == k)[kept], p[kept, k], **options)
        expected.append(np.abs(table.gap).mean())
    value = adaptive_calibration_error(y, p, n_bins=5, threshold=0.2)
    assert value == pytest.approx(np.mean(expected))
    with pytest.raises(ValueError, match="leaves no entry"):
        adaptive_calibration_error(y, p, threshold=0.9999)
    p = np.tile([0.9, 0.1], (6, 1))  # the second class has no entry and is not counted
    assert adaptive_calibration_error([0] * 6, p, threshold=0.5) == pytest.approx(0.1)


def test_ranges_emptied_by_ties_are_not_counted() -> None:
    p = np.full(30, 0.4)
    y = (np.arange(30) < 15).astype(int)
    assert adaptive_calibration_error(y, p, n_bins=10) == pytest.approx(0.1)


def test_maximum_takes_all_classes_and_a_minimum_weight() -> None:
    y, p = toy_c()
    tables = binned_calibration_table(y, p, average="classwise")
    value = MCE(y, p, average="classwise")
    assert value == pytest.approx(np.nanmax(np.abs(tables.gap)))
    assert value >= ECE(y, p, average="classwise", norm="max")
    large = np.abs(tables.gap)[tables.weight >= 40].max()
    assert MCE(y, p, average="classwise", min_weight=40) == pytest.approx(large)
    with pytest.raises(ValueError, match="min_weight=1000"):
        MCE(y, p, min_weight=1000)
    with pytest.raises(ValueError, match="min_weight must be"):
        MCE(y, p, min_weight=-1)


def test_table_rows_and_forms() -> None:
    pytest.importorskip("pandas")
    y, p = toy_c()
    names = np.array(["ant", "bee", "cat", "dog"])
    table = binned_calibration_table(names[y], p, average="classwise", n_bins=5)
    assert len(table.gap) == 20
    frame = table.to_frame()
    assert list(frame.columns[:3]) == ["class", "left", "right"]
    per_class = frame.groupby("class")["weight"].sum()
    assert per_class.to_dict() == dict.fromkeys(names, 600.0)
    weighted_gap = (frame["weight"] * frame["gap"].abs()).sum() / 600 / 4
    assert weighted_gap == pytest.approx(ECE(y, p, average="classwise", n_bins=5))
    import json

    rows = json.loads(json.dumps(table.to_dict(), allow_nan=False))
    assert rows["class"][:1] == ["ant"]
    top = binned_calibration_table(y, p, n_bins=5).to_dict()
    assert top["class"] == [None] * 5
    assert top["gap"][0] is None  # no top label below 0.2


def test_effective_count_and_band() -> None:
    y, p = toy_b()
    plain = binned_calibration_table(y, p, average="binary", n_bins=5)
    np.testing.assert_array_equal(plain.effective_count, plain.weight)
    double = binned_calibration_table(
        y, p, average="binary", n_bins=5, sample_weight=np.full(1000, 2)
    )
    np.testing.assert_allclose(double.effective_count, plain.weight)
    np.testing.assert_allclose(double.weight, 2 * plain.weight)
    low, high = plain.consistency_band(0.9)
    assert (low <= plain.mean_prediction).all()
    assert (plain.mean_prediction <= high).all()
    wide_low, wide_high = plain.consistency_band(0.99)
    assert (wide_low <= low).all()
    assert (wide_high >= high).all()
    empty = binned_calibration_table([1, 1], [1.0, 1.0], average="binary", n_bins=2)
    assert np.isnan(empty.consistency_band()[0][0])
    assert empty.consistency_band()[0][1] == 1


@pytest.mark.parametrize(
    ("y", "p", "options", "message"),
    [
        ([0, 1, 1], [[0.5, 0.5]] * 2, {}, "2 samples but y_true has 3"),
        ([0, 1], [0.2, np.nan], {}, "y_prob contains NaN or inf"),
        ([0, 1], [0.2, np.inf], {}, "y_prob contains NaN or inf"),
        ([0, 1], [[0.5, 0.4], [0.5, 0.5]], {}, "do not sum to 1"),
        ([0, 1], [[-2.0, 3.0], [0.5, 0.5]], {}, "metrics take probabilities, not logits"),
        ([0, 1], [0.3, 1.2], {}, "outside"),
        ([], np.empty((0, 2)), {}, "0 samples"),
        ([0, 2], [[0.5, 0.5]] * 2, {"labels": [0, 1]}, "not among the classes"),
        ([0, 5, 7], [[0.5, 0.5]] * 3, {}, "3 distinct labels"),
        (["a", "a"], [[0.5, 0.5]] * 2, {}, "unclear which class"),
        ([0, 1], [[0.5, 0.5]] * 2, {"labels": [0, 1, 2]}, "labels must name the 2 columns"),
        ([0, 1], [0.2, 0.7], {"n_bins": 0}, "n_bins must be >= 1"),
        ([0, 1], [0.2, 0.7], {"n_bins": 2.5}, "n_bins must be an integer"),
        ([0, 1], [0.2, 0.7], {"strategy": "kmeans"}, "strategy must be one of"),
        ([0, 1], [0.2, 0.7], {"norm": 3}, "norm must be one of"),
        ([0, 1], [0.2, 0.7], {"norm": True}, "norm must be one of"),
        ([0, 1], [0.2, 0.7], {"average": "macro"}, "average must be one of"),
        ([0, 1, 2], np.full((3, 3), 1 / 3), {"average": "binary"}, "needs two classes"),
        ([0, 1], [0.2, 0.7], {"sample_weight": [1, -1]}, "must be >= 0"),
        ([0, 1], [0.2, 0.7], {"sample_weight": [1]}, "one weight per sample"),
        ([0, None], [0.2, 0.7], {}, "None"),
        (None, [0.2, 0.7], {}, "y_true is None"),
    ],
)
def test_bad_input_is_refused_by_name(y, p, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        expected_calibration_error(y, p, **options)


def test_full_checks_follow_where_the_fast_one_is_in_doubt() -> None:
    spread = np.full((2, 30), -9e-7)  # rows sum to 1, one entry is above 1 by more than rounding
    spread[:, 0] = 1 - spread[:, 1:].sum(axis=1)
    with pytest.raises(ValueError, match="outside"):
        ECE([0, 0], spread, n_bins=5)
    loose = np.array([[0.4996, 0.5], [0.5, 0.5004]])  # four decimals are good enough
    assert ECE([0, 1], loose, n_bins=5) >= 0


def test_threshold_is_checked() -> None:
    for threshold in (-0.1, 1.0, True, "0.1"):
        with pytest.raises(ValueError, match="threshold must be"):
            adaptive_calibration_error([0, 1], [0.2, 0.7], threshold=threshold)


def test_labels_of_any_type() -> None:
    y, p = toy_c()
    names = np.array(["ant", "bee", "cat", "dog"])
    assert ECE(names[y], p) == ECE(y, p)
    one_class = ECE(["bee"] * 3, [[0.1, 0.8, 0.1]] * 3, labels=["ant", "bee", "cat"])
    assert one_class == pytest.approx(0.2)
    shuffled = ["dog", "ant", "cat", "bee"]
    columns = [list(names).index(name) for name in shuffled]
    assert ECE(names[y], p[:, columns], labels=shuffled) == pytest.approx(ECE(y, p))
    assert ECE([True, False], [0.9, 0.2], average="binary") == pytest.approx(0.15)


def test_tensors_tables_and_lists() -> None:
    torch = pytest.importorskip("torch")
    pandas = pytest.importorskip("pandas")
    y, p = toy_c()
    value = ECE(y, p)
    assert ECE(torch.tensor(y), torch.tensor(p, requires_grad=True)) == value
    assert ECE(pandas.Series(y), pandas.DataFrame(p)) == value
    assert ECE(y.tolist(), p.tolist()) == value
    assert ECE(y, np.asfortranarray(p)) == pytest.approx(value)
    half = torch.tensor(p, dtype=torch.float16)
    assert ECE(torch.tensor(y), half) == pytest.approx(value, abs=1e-3)


def test_memory_of_a_large_call(rng: np.random.Generator) -> None:
    p = rng.random((20_000, 100), dtype=np.float64)
    p /= p.sum(axis=1, keepdims=True)
    y = rng.integers(0, 100, 20_000)
    tracemalloc.start()
    ECE(y, p)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4e6  # the matrix itself has 16 MB


def test_import_is_light() -> None:
    code = (
        "import sys, sklearn.base; known = set(sys.modules); import calib.evaluation; "
        "heavy = {'matplotlib', 'pandas', 'torch', 'scipy.stats'} & (set(sys.modules) - known); "
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_public_names_exist() -> None:
    assert all(hasattr(evaluation, name) for name in evaluation.__all__)
    assert evaluation.__all__ == sorted(evaluation.__all__)
