"""What all bin-free measures share: golden numbers, invariances, views, containers, refusals."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from calib.evaluation import (
    cumulative_calibration_error,
    density_calibration_error,
    dirichlet_calibration_error,
    integrated_calibration_index,
    kernel_calibration_error,
    ks_calibration_error,
    maximum_mean_calibration_error,
    signed_cumulative_error,
    smooth_calibration_error,
    sweep_bin_count,
    sweep_calibration_error,
)
from tests.support.bin_free import Toy, toy_a, toy_b

RANGE = partial(cumulative_calibration_error, kind="range")
FIXED = partial(smooth_calibration_error, bandwidth=0.05)
DENSITY = partial(density_calibration_error, bandwidth=0.2)
BIASED = partial(kernel_calibration_error, estimator="biased", bandwidth=1.0)
UNBIASED = partial(kernel_calibration_error, bandwidth=1.0)


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def toy_c() -> Toy:
    j, k = np.arange(600), np.arange(4)
    phi = (np.sqrt(5) - 1) / 2
    z = 2 * np.sin(2 * np.pi * phi * (j[:, None] + 1) * (k + 1)) + 0.3 * k
    u = ((j + 1) * (np.sqrt(2) - 1)) % 1
    return (np.cumsum(softmax(z / 1.8), axis=1) < u[:, None]).sum(axis=1), softmax(z)


TOYS: dict[str, Callable[[], Toy]] = {"A": toy_a, "B": toy_b, "C": toy_c}
GOLDEN = [
    # toy, function, options, value, tolerance: 1e-6, or the last printed digit where there are more
    ("A", ks_calibration_error, {}, 0.102085, 1e-6),
    ("B", ks_calibration_error, {}, 0.126969, 1e-6),
    ("C", ks_calibration_error, {}, 0.118018, 1e-6),
    ("A", RANGE, {}, 0.102085, 1e-6),
    ("B", RANGE, {}, 0.127049, 1e-6),
    ("A", sweep_calibration_error, {}, 0.102000, 1e-6),
    ("B", sweep_calibration_error, {}, 0.137960, 1e-6),
    ("A", sweep_calibration_error, {"norm": 2}, 0.111474, 1e-6),
    ("B", sweep_calibration_error, {"norm": 2}, 0.152466, 1e-6),
    ("A", sweep_bin_count, {}, 22, 0),
    ("B", sweep_bin_count, {}, 20, 0),
    ("A", maximum_mean_calibration_error, {}, 0.077090, 1e-6),
    ("B", maximum_mean_calibration_error, {}, 0.104207, 1e-6),
    ("A", BIASED, {"bandwidth": 0.4}, 0.00594292, 5.1e-9),
    ("B", BIASED, {"bandwidth": 0.4}, 0.01085917, 5.1e-9),
    ("A", BIASED, {}, 0.00812970, 5.1e-9),
    ("B", BIASED, {}, 0.01241673, 5.1e-9),
    ("A", UNBIASED, {}, 0.00797636, 5.1e-9),
    ("B", UNBIASED, {}, 0.01219634, 5.1e-9),
    ("C", BIASED, {"average": "canonical"}, 0.00267108, 5.1e-9),
    ("C", UNBIASED, {"average": "canonical"}, 0.00155611, 5.1e-9),
    ("A", smooth_calibration_error, {}, 0.102000, 1e-6),
    ("B", smooth_calibration_error, {}, 0.132500, 1e-6),
]


@pytest.mark.parametrize(("toy", "function", "options", "value", "tolerance"), GOLDEN)
def test_golden_numbers(toy, function, options, value, tolerance) -> None:
    y, p = TOYS[toy]()
    options = options if toy == "C" else {"average": "binary", **options}
    assert function(y, p, **options) == pytest.approx(value, abs=tolerance)


def parts(function: Callable[..., Any], field: str) -> Callable[..., float]:
    return lambda *args, **kwargs: float(getattr(function(*args, **kwargs), field))


#: name -> function of (y_true, y_prob, average=, sample_weight=), one that takes weights
WEIGHTED: dict[str, Callable[..., float]] = {
    "ks": ks_calibration_error,
    "range": RANGE,
    "over": parts(signed_cumulative_error, "overconfidence"),
    "under": parts(signed_cumulative_error, "underconfidence"),
    "sweep": sweep_calibration_error,
    "sweep2": partial(sweep_calibration_error, norm=2),
    "bins": sweep_bin_count,
    "mmce": maximum_mean_calibration_error,
    "smooth": smooth_calibration_error,
    "fixed": FIXED,
    "density": density_calibration_error,
    "fixed density": DENSITY,
    "ici": parts(integrated_calibration_index, "ici"),
    "e50": parts(integrated_calibration_index, "e50"),
    "e90": parts(integrated_calibration_index, "e90"),
    "e_max": parts(integrated_calibration_index, "e_max"),
}
UNWEIGHTED: dict[str, Callable[..., float]] = {
    "skce": kernel_calibration_error,
    "skce biased": BIASED,
    "skce linear": partial(kernel_calibration_error, estimator="linear", random_state=0),
}
ALL = WEIGHTED | UNWEIGHTED
ONE_VIEW = {"over", "under", "bins", "ici", "e50", "e90", "e_max"}
VALUES = [name for name in ALL if name != "bins"]


def views_of(name: str) -> list[str]:
    return ["binary", "top_label"] + ([] if name in ONE_VIEW else ["classwise"])


@pytest.fixture
def tied(rng: np.random.Generator) -> Toy:
    """Scores on a coarse grid, 0 and 1 among them."""
    p = rng.integers(0, 13, 120) / 12
    return (rng.random(120) < p**2).astype(int), p


@pytest.mark.parametrize("name", [name for name in ALL if name != "skce linear"])
def test_row_order_is_irrelevant(name: str, tied: Toy, rng: np.random.Generator) -> None:
    y, p = tied
    order = rng.permutation(len(y))
    for view in views_of(name):
        first, second = ALL[name](y, p, average=view), ALL[name](y[order], p[order], average=view)
        assert first == pytest.approx(second, abs=1e-12)


@pytest.mark.parametrize(("name", "view"), [(n, view) for n in WEIGHTED for view in views_of(n)])
def test_integer_weights_are_repetitions(name: str, view: str, rng: np.random.Generator) -> None:
    n_classes = 2 if view == "binary" else 3
    p = np.round(rng.dirichlet(np.ones(n_classes), 150) * 20 + 0.3)
    p /= p.sum(axis=1, keepdims=True)
    y = rng.integers(0, n_classes, 150)
    w = rng.integers(0, 4, 150)
    weighted = WEIGHTED[name](y, p, average=view, sample_weight=w)
    repeated = WEIGHTED[name](np.repeat(y, w), np.repeat(p, w, axis=0), average=view)
    assert weighted == pytest.approx(repeated, abs=1e-9)


@pytest.mark.parametrize("name", WEIGHTED)
def test_only_ratios_of_weights_count(name: str, tied: Toy, rng: np.random.Generator) -> None:
    y, p = tied
    w = rng.random(len(y))
    first = WEIGHTED[name](y, p, average="binary", sample_weight=w)
    second = WEIGHTED[name](y, p, average="binary", sample_weight=w / 8)
    assert first == pytest.approx(second, abs=1e-9)


@pytest.mark.parametrize("name", WEIGHTED)
def test_rows_of_weight_zero_do_not_exist(name: str, tied: Toy) -> None:
    y, p = tied
    more = np.concatenate([y, 1 - y[:40]]), np.concatenate([p, p[:40]])
    w = np.repeat([1.0, 0.0], [len(y), 40])
    assert WEIGHTED[name](*more, average="binary", sample_weight=w) == pytest.approx(
        WEIGHTED[name](y, p, average="binary"), abs=1e-12
    )
    with pytest.raises(ValueError, match="zero for every sample"):
        WEIGHTED[name](y, p, average="binary", sample_weight=np.zeros(len(y)))


#: Of the sweep the larger bins come first; the absolute sum starts at the lowest score.
ONE_SIDED = {"sweep", "sweep2", "bins", "ks"}


@pytest.mark.parametrize("name", [name for name in ALL if name not in ONE_SIDED])
def test_exchanging_the_two_classes(name: str, tied: Toy) -> None:
    """Binary errors are symmetric; over- and underconfidence change places."""
    y, p = tied
    p = p / 2 + 0.25
    other = {"over": "under", "under": "over"}.get(name, name)
    assert ALL[name](y, p, average="binary") == pytest.approx(
        ALL[other](1 - y, 1 - p, average="binary"), abs=1e-9
    )


@pytest.mark.parametrize("name", ALL)
def test_views(name: str) -> None:
    y, p = toy_c()
    confidence, correct = p.max(axis=1), p.argmax(axis=1) == y
    top = ALL[name](y, p, average="top_label")
    assert top == pytest.approx(ALL[name](correct, confidence, average="binary"), abs=1e-12)
    if "classwise" in views_of(name):
        single = [ALL[name](y == k, p[:, k], average="binary") for k in range(4)]
        value = ALL[name](y, p, average="classwise")
        assert value == pytest.approx(np.mean(single), abs=1e-12)
    with pytest.raises(ValueError, match="needs two classes"):
        ALL[name](y, p, average="binary")
    with pytest.raises(ValueError, match="average must be one of"):
        ALL[name](y, p, average="macro")


@pytest.mark.parametrize("name", ALL)
def test_one_column_equals_two(name: str) -> None:
    y, p = toy_b()
    both = np.column_stack([1 - p, p])
    for view in views_of(name):
        value = ALL[name](y, p, average=view)
        assert ALL[name](y, p[:, None], average=view) == value
        assert ALL[name](y, both, average=view) == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("name", [*ALL, "dirichlet"])
def test_labels_tensors_and_tables(name: str) -> None:
    torch = pytest.importorskip("torch")
    pandas = pytest.importorskip("pandas")
    function = dirichlet_calibration_error if name == "dirichlet" else ALL[name]
    y, p = toy_c()
    value = function(y, p)
    assert function(torch.tensor(y), torch.tensor(p, requires_grad=True)) == value
    assert function(pandas.Series(y), pandas.DataFrame(p)) == value
    assert function(y.tolist(), p.tolist()) == value
    names = np.array(["ant", "bee", "cat", "dog"])
    assert function(names[y], p) == value
    turned = function(names[y], p[:, ::-1].copy(), labels=names[::-1].copy())
    assert turned == pytest.approx(value, abs=1e-10)
    single = function(torch.tensor(y), torch.tensor(p, dtype=torch.float32))
    assert single == function(y, p.astype(np.float32))
    assert single == pytest.approx(value, abs=1e-3)


@pytest.mark.parametrize("name", VALUES)
def test_perfect_predictions(name: str) -> None:
    y = np.arange(40) % 2
    p = y.astype(float)
    expected = 0.0
    if name == "density":  # smears 0 and 1 over its width
        expected = 35 / 128 * 1.06 * 0.5 * 40**-0.2
    if name == "fixed density":
        expected = 35 / 128 * 0.2
    for view in views_of(name):
        if "density" in name and view == "top_label":
            assert ALL[name](y, p, average=view) == 0  # all confidences are equal
            continue
        assert ALL[name](y, p, average=view) == pytest.approx(expected, abs=1e-6)


DEGENERATE: dict[str, tuple[Any, Any, float]] = {
    # y_true, y_prob, the error that every measure shows
    "constant": (np.arange(40) % 4 == 0, np.full(40, 0.4), 0.15),
    "constant and right": (np.arange(40) % 4 == 0, np.full(40, 0.25), 0.0),
    "certain and wrong": (np.ones(30, int), np.zeros(30), 1.0),
    "one sample": ([1], [0.3], 0.7),
    "one sample, certain": ([0], [0.0], 0.0),
    "one weight": ([1, 0, 0], [0.3, 0.9, 0.5], 0.7),
}


@pytest.mark.parametrize(
    ("name", "case"),
    [(n, c) for n in VALUES for c in DEGENERATE if n in WEIGHTED or c != "one weight"],
)
def test_degenerate_input(name: str, case: str) -> None:
    y, p, value = DEGENERATE[case]
    options: dict[str, Any] = {"average": "binary"}
    if case == "one weight":
        options["sample_weight"] = [2.0, 0.0, 0.0]
    if name in ("skce", "skce linear"):
        if len(y) == 1:
            with pytest.raises(ValueError, match="needs at least 2"):
                ALL[name](y, p, **options)
            return
        bound = 1.0 if name == "skce linear" else abs(value**2 - np.mean((y - p) ** 2)) / 30
        assert abs(ALL[name](y, p, **options) - value**2) <= bound
        return
    if name == "over":
        value *= float(np.average(p, weights=options.get("sample_weight")) > np.mean(y))
    if name == "under" and case == "constant":
        value = 0.0
    if name == "skce biased":
        value **= 2
    assert ALL[name](y, p, **options) == pytest.approx(value, abs=1e-6)


AWKWARD: dict[str, Toy] = {
    "all right": (np.ones(50, int), np.linspace(0.01, 0.99, 50)),
    "all wrong": (np.zeros(50, int), np.linspace(0.01, 0.99, 50)),
    "the opposite": (np.arange(50) % 2, 1.0 - np.arange(50) % 2),
    "saturated": (np.arange(60) % 3 == 0, np.r_[np.zeros(25), np.ones(25), np.linspace(0, 1, 10)]),
    "one heavy tie": (np.arange(60) % 3 == 0, np.r_[np.zeros(56), [0.2, 0.4, 0.6, 0.8]]),
    "two scores": (np.arange(60) % 3 == 0, np.repeat([0.2, 0.7], 30)),
    "hardly any spread": (np.arange(60) % 3 == 0, 0.5 + 1e-12 * np.arange(60)),
    "beyond float32": (np.arange(60) % 3 == 0, np.repeat([1e-300, 1 - 1e-16], 30)),
    "signed zero": (np.arange(60) % 3 == 0, np.tile([-0.0, 0.0, 0.5], 20)),
    "a rounding below 0": (np.arange(60) % 3 == 0, np.linspace(-5e-7, 1 + 5e-7, 60)),
    "two samples": (np.array([0, 1]), np.array([0.2, 0.7])),
}


@pytest.mark.parametrize("name", [*ALL, "dirichlet"])
@pytest.mark.parametrize("case", AWKWARD)
def test_awkward_input_gives_numbers_in_range(name: str, case: str) -> None:
    y, p = AWKWARD[case]
    if name == "dirichlet":
        assert 0 <= dirichlet_calibration_error(y, p) <= 2 + 1e-6
        return
    for view in views_of(name):
        value = ALL[name](y, p, average=view)
        low, high = (1, len(y)) if name == "bins" else (-1, 1) if "skce" in name else (0, 1)
        assert low <= value <= high + 1e-5


def test_gaps_of_one_sign_add_up_to_the_mean_gap() -> None:
    for case in ("all right", "all wrong"):
        y, p = AWKWARD[case]
        gap = abs(y.mean() - p.mean())
        for name in ("ks", "range", "sweep", "smooth", "fixed", "ici"):
            assert ALL[name](y, p, average="binary") == pytest.approx(gap, abs=1e-9)
    assert density_calibration_error(y, p, bandwidth=0.01, average="binary") == pytest.approx(
        gap, abs=1e-4
    )


@pytest.mark.parametrize("name", [*ALL, "dirichlet"])
@pytest.mark.parametrize(
    ("y", "p", "message"),
    [
        ([0, 1], [0.2, np.nan], "y_prob contains NaN or inf"),
        ([0, 1], [0.3, 1.2], "outside"),
        ([0, 1], [[0.5, 0.4], [0.5, 0.5]], "do not sum to 1"),
        ([0, 1, 1], [0.2, 0.3], "2 samples but y_true has 3"),
        ([], [], "0 samples"),
    ],
)
def test_bad_input_is_refused_by_name(name: str, y, p, message: str) -> None:
    function = dirichlet_calibration_error if name == "dirichlet" else ALL[name]
    with pytest.raises(ValueError, match=message):
        function(y, p)


@pytest.mark.parametrize("bandwidth", [0, -1.0, np.nan, np.inf, "wide", True, [0.1]])
def test_bandwidths_are_checked(bandwidth: object) -> None:
    y, p = toy_b()
    for function in (
        smooth_calibration_error,
        maximum_mean_calibration_error,
        kernel_calibration_error,
        density_calibration_error,
        dirichlet_calibration_error,
    ):
        with pytest.raises(ValueError, match="bandwidth must be"):
            function(y, p, bandwidth=bandwidth)


@pytest.mark.parametrize("name", WEIGHTED)
def test_memory_is_a_few_vectors(name: str) -> None:
    n = 1 << 18
    p = (np.arange(n) * 0.6180339887 % 1).astype(float)
    y = np.arange(n) * 0.414213562 % 1 < p
    tracemalloc.start()
    WEIGHTED[name](y, p, average="binary")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * p.nbytes + 20e6


@pytest.mark.parametrize("name", ["smooth", "density"])
def test_errors_on_a_grid_hold_little_more_than_the_scores(name: str) -> None:
    n = 1 << 20
    p = (np.arange(n) * 0.6180339887 % 1).astype(float)
    y = (np.arange(n) * 0.414213562 % 1 < p).astype(int)
    tracemalloc.start()
    WEIGHTED[name](y, p, average="binary")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * p.nbytes  # sorting and merging equal scores takes 7 times as much
