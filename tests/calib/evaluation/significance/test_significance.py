"""The table of tests: golden numbers, exact null laws on small samples, weights, odd input."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from calib import DegenerateScoresWarning
from calib.evaluation import calibration_tests, expected_calibration_error

EVERY = (
    "ecce_mad",
    "ecce_range",
    "in_the_large",
    "cox",
    "spiegelhalter",
    "hosmer_lemeshow",
    "t_cal",
    "ece",
    "skce",
)


def toy_a() -> tuple[np.ndarray, np.ndarray]:
    i = np.arange(1000)
    p = (i + 0.5) / 1000
    return ((((i + 1) * (np.sqrt(5) - 1) / 2) % 1) < p**1.5).astype(int), p


def toy_b() -> tuple[np.ndarray, np.ndarray]:
    i = np.arange(1000)
    p = 0.02 + 0.96 * ((i + 0.5) / 1000) ** 2
    q = 1 / (1 + np.exp(-(0.5 * np.log(p / (1 - p)) + 0.3)))
    return (((i + 1) * np.sqrt(2)) % 1 < q).astype(int), p


def run(y, p, **options):
    options = {"average": "binary", "n_resamples": 199, "random_state": 0, **options}
    return calibration_tests(y, p, **options)


GOLDEN = [
    # test, quantity, toy A, toy B
    ("ecce_mad", "statistic", 0.102085, 0.126969),
    ("ecce_range", "statistic", 0.102085, 0.127049),
    ("spiegelhalter", "statistic", -0.927599, 15.146005),
    ("hosmer_lemeshow", "statistic", 63.403364, 326.853914),
    ("cox", "intercept", -0.66725117, 0.30823325),
    ("cox", "slope", 1.14968528, 0.50201083),
    ("in_the_large", "intercept", -0.61982986, 0.76949761),
    ("in_the_large", "observed_to_expected", 0.796000, 1.338236),
    ("ece", "statistic", 0.102000, 0.137992),
]


@pytest.mark.parametrize(("name", "what", "a", "b"), GOLDEN)
def test_golden_numbers(name: str, what: str, a: float, b: float) -> None:
    for toy, expected in ((toy_a, a), (toy_b, b)):
        test = run(*toy())[name]
        value = test.statistic if what == "statistic" else test.estimates[what]
        assert value == pytest.approx(expected, abs=1e-6)


def test_golden_p_values() -> None:
    a, b = run(*toy_a()), run(*toy_b())
    assert a["spiegelhalter"].p_value == pytest.approx(0.3536, abs=5e-5)
    assert a["ecce_mad"].estimates["standardized"] == pytest.approx(7.9074, abs=5e-5)
    assert b["ecce_mad"].estimates["standardized"] == pytest.approx(10.6370, abs=5e-5)
    assert b["ecce_range"].estimates["standardized"] == pytest.approx(10.6437, abs=5e-5)
    assert tuple(a.tests) == EVERY
    assert [name for name in EVERY if name not in a.rejected()] == ["spiegelhalter", "skce"]


def test_hosmer_lemeshow_on_the_fitting_data_has_two_degrees_less() -> None:
    from scipy.stats import chi2

    new = run(*toy_a())["hosmer_lemeshow"]
    same = run(*toy_a(), fitted_on_same_data=True)["hosmer_lemeshow"]
    assert new.p_value == pytest.approx(chi2.sf(new.statistic, 10), rel=1e-9)
    assert same.p_value == pytest.approx(chi2.sf(new.statistic, 8), rel=1e-9)
    assert (new.law, same.law) == ("chi2(10)", "chi2(8)")


def t_statistic(y: np.ndarray, p: np.ndarray, m: int) -> float:
    total = 0.0
    for b in range(m):
        inside = np.minimum((p * m).astype(int), m - 1) == b
        r = (y - p)[inside]
        if len(r):
            total += (r.sum() ** 2 - (r**2).sum()) / len(r)
    return total / len(p)


def test_t_cal_is_the_debiased_squared_gap_at_the_chosen_number_of_cells() -> None:
    for toy in (toy_a, toy_b):
        test = run(*toy())["t_cal"]
        expected = t_statistic(*toy(), int(test.estimates["n_cells"]))
        assert test.statistic == pytest.approx(expected, abs=1e-11)


def test_t_cal_sees_what_changes_sign_within_wide_cells() -> None:
    rng = np.random.default_rng(5)
    p = rng.random(4000)
    q = np.clip(p + 0.25 * np.sign(np.sin(32 * np.pi * p)), 0, 1)
    tests = run((rng.random(4000) < q).astype(int), p, n_bins=8)
    assert tests["t_cal"].p_value == 1 / 200
    assert tests["t_cal"].estimates["n_cells"] >= 16
    assert tests["in_the_large"].p_value > 0.05


@pytest.mark.filterwarnings("ignore:cox has no finite slope")
def test_redrawn_labels_give_exact_p_values() -> None:
    """All 2^n labels with their probabilities: the level is never above the nominal one."""
    p = np.array([0.1, 0.3, 0.3, 0.6, 0.8])
    below = dict.fromkeys(("t_cal", "ece"), 0.0)
    for y in itertools.product([0, 1], repeat=5):
        tests = run(np.array(y), p, n_resamples=999, n_bins=4)
        chance = np.prod(np.where(y, p, 1 - p))
        for name in below:
            below[name] += chance * (tests[name].p_value <= 0.1)
    assert max(below.values()) < 0.13
    assert min(below.values()) > 0.02


def test_the_floor_of_the_error_is_that_of_redrawn_labels() -> None:
    from calib.evaluation import consistency_interval

    _, p = toy_b()
    error = lambda y, p: expected_calibration_error(y, p, average="binary")  # noqa: E731
    floor = consistency_interval(error, p, n_resamples=400, random_state=1)
    test = run(*toy_b(), n_resamples=400)["ece"]
    assert test.estimates["floor"] == pytest.approx(floor.mean, rel=0.05)


@pytest.mark.filterwarnings("ignore:cox has no finite slope")
def test_the_kernel_statistic_is_the_mean_over_pairs() -> None:
    from calib.evaluation import kernel_calibration_error

    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), 200)
    for rows in ([0, 1], [2, 3]):
        test = run([0, 2], p[rows], average="top_label", labels=[0, 1, 2])["skce"]
        assert test.statistic == pytest.approx(kernel_calibration_error([0, 2], p[rows]))
    y = (p.cumsum(axis=1) < 0.5).sum(axis=1)
    values = [run(y, p, average="top_label", random_state=seed)["skce"] for seed in range(200)]
    expected = kernel_calibration_error(y, p)  # the mean over all pairs
    found = [test.statistic for test in values]
    assert abs(np.mean(found) - expected) < 4 * np.std(found) / np.sqrt(200)
    assert values[0].estimates["n_pairs"] == 100


def test_cox_and_in_the_large_solve_their_equations() -> None:
    y, p = toy_b()
    rng = np.random.default_rng(0)
    w = rng.exponential(size=1000)
    s = np.log(p / (1 - p))
    tests = run(y, p, sample_weight=w)
    a, b = (tests["cox"].estimates[name] for name in ("intercept", "slope"))
    residual = w * (y - 1 / (1 + np.exp(-(a + b * s))))
    assert residual.sum() == pytest.approx(0, abs=1e-6)
    assert residual @ s == pytest.approx(0, abs=1e-6)
    shift = tests["in_the_large"].estimates["intercept"]
    assert (w * (y - 1 / (1 + np.exp(-(shift + s))))).sum() == pytest.approx(0, abs=1e-8)
    difference = tests["in_the_large"].estimates["mean_difference"]
    assert difference == pytest.approx(np.average(y - p, weights=w))


def test_weights_are_importances() -> None:
    y, p = toy_b()
    w = np.random.default_rng(0).exponential(size=1000) + 0.1
    plain, equal = run(y, p), run(y, p, sample_weight=np.full(1000, 7.3))
    weighted, scaled = run(y, p, sample_weight=w), run(y, p, sample_weight=1e5 * w)
    assert plain["skce"] != weighted["skce"]
    assert weighted["skce"].p_value == scaled["skce"].p_value
    dropped = run(np.append(y, 0), np.append(p, 0.9), sample_weight=np.append(w, 0))
    for name in EVERY[:-1]:
        for one, two in ((plain, equal), (weighted, scaled), (weighted, dropped)):
            assert one[name].statistic == pytest.approx(two[name].statistic, rel=1e-9), name
            assert one[name].p_value == pytest.approx(two[name].p_value, abs=1e-9), name
            assert one[name].estimates == pytest.approx(two[name].estimates, rel=1e-9), name
    ece = expected_calibration_error(y, p, average="binary", sample_weight=w)
    assert weighted["ece"].statistic == pytest.approx(ece, abs=1e-11)


def test_row_order_is_irrelevant_under_ties() -> None:
    rng = np.random.default_rng(0)
    p = rng.integers(1, 10, 300) / 10
    y = rng.integers(0, 2, 300)
    order = rng.permutation(300)
    one, two = run(y, p), run(y[order], p[order])
    for name in EVERY[:-1]:  # skce pairs rows at random
        assert one[name].statistic == pytest.approx(two[name].statistic, rel=1e-9), name


def test_top_label_is_the_pair_of_confidence_and_hit() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4), 500)
    y = rng.integers(0, 4, 500)
    top = run(y, p, average="top_label")
    pair = run(p.argmax(axis=1) == y, p.max(axis=1))
    for name in EVERY[:-1]:
        assert top[name] == pair[name]
    names = np.array(["ant", "bee", "cat", "dog"])
    named = run(names[y], p, average="top_label")
    assert named["cox"] == top["cox"]
    one_column = run(y > 1, p[:, :2].sum(axis=1))
    two = np.column_stack([1 - p[:, :2].sum(axis=1), p[:, :2].sum(axis=1)])
    assert one_column.tests == run(y > 1, two).tests


# ------------------------------------------------------------------------------- odd input

ALL_RIGHT = ([0, 0, 1, 1] * 5, [0.0, 0.0, 1.0, 1.0] * 5)
ALL_WRONG = ([1, 1, 0, 0] * 5, [0.0, 0.0, 1.0, 1.0] * 5)


def check_p_values(tests) -> None:
    for name, test in tests.tests.items():
        assert 0 <= test.p_value <= 1, name
        assert not np.isnan(test.statistic), name
    assert "p-value" in str(tests)
    json.dumps(tests.to_dict(), allow_nan=False)


@pytest.mark.parametrize(("sample", "p_value"), [(ALL_RIGHT, 1.0), (ALL_WRONG, 0.0)])
def test_certain_predictions(sample, p_value: float) -> None:
    with pytest.warns(DegenerateScoresWarning) as caught:
        tests = run(*sample)
    texts = " ".join(str(one.message) for one in caught)
    names = ("spiegelhalter", "hosmer_lemeshow", "t_cal", "ece", "skce") if p_value else ()
    for part in ("cox has no finite slope", *(f"{name} cannot tell" for name in names)):
        assert part in texts
    assert len(tests.notes) == 1 + len(names)
    check_p_values(tests)
    for name in EVERY[:6]:
        if name != "in_the_large":  # which finds as many events as predicted
            assert tests[name].p_value == pytest.approx(p_value, abs=1e-9), name
    for name in ("t_cal", "ece", "skce"):
        assert tests[name].p_value == (1.0 if p_value else 1 / 200)
    assert np.isnan(tests["cox"].estimates["slope"])
    assert tests["in_the_large"].p_value == 1


def test_one_wrong_certainty_is_impossible() -> None:
    y, p = np.array([0, 0, 1, 0]), np.array([0.0, 0.0, 0.0, 1.0])
    with pytest.warns(DegenerateScoresWarning):
        tests = run(y, p)
    assert tests["spiegelhalter"].statistic == np.inf
    assert tests["in_the_large"].p_value == 1  # both mistakes cancel
    assert tests["hosmer_lemeshow"].statistic == np.inf
    assert tests["hosmer_lemeshow"].p_value == 0
    check_p_values(tests)


@pytest.mark.parametrize("value", [0.5, 0.3])
def test_constant_predictions(value: float) -> None:
    y = np.arange(40) % 10 < 3
    with pytest.warns(DegenerateScoresWarning) as caught:
        tests = run(y, np.full(40, value))
    assert len(caught) == 1
    assert tests.notes[0].startswith("cox has no slope")
    assert len(tests.notes) == (2 if value == 0.5 else 1)
    check_p_values(tests)
    assert np.isnan(tests["cox"].estimates["slope"])
    expected = np.log(3 / 7) - np.log(value / (1 - value))
    assert tests["cox"].estimates["intercept"] == pytest.approx(expected, abs=1e-8)
    assert tests["cox"].law == "chi2(1)"
    for name in ("cox", "in_the_large", "ecce_mad"):
        assert (tests[name].p_value < 0.05) == (value == 0.5)
    if value == 0.5:
        assert (tests["spiegelhalter"].statistic, tests["spiegelhalter"].p_value) == (0, 1)


@pytest.mark.parametrize("label", [0, 1])
def test_one_class(label: int) -> None:
    with pytest.warns(DegenerateScoresWarning, match="cox has no finite slope"):
        tests = run(np.full(30, label), np.linspace(0.2, 0.8, 30))
    check_p_values(tests)
    assert tests["in_the_large"].estimates["intercept"] == (np.inf if label else -np.inf)
    assert tests["in_the_large"].p_value < 1e-5
    assert tests["cox"].p_value < 1e-5


def test_one_sample_and_three() -> None:
    with pytest.warns(DegenerateScoresWarning, match="cox has no slope"):
        tests = run([1], [0.01])
    check_p_values(tests)
    assert tests["t_cal"].p_value == tests["skce"].p_value == 1
    assert "skce cannot tell: no redrawn label changes its statistic" in tests.notes
    assert tests["ece"].p_value < 0.1
    check_p_values(run([1, 0, 1], [0.2, 0.5, 0.9]))


def test_separation_takes_the_limit_of_the_likelihood() -> None:
    p = np.array([0.2, 0.3, 0.5, 0.5, 0.5, 0.8, 0.9])
    y = np.array([0, 0, 0, 1, 1, 1, 1])
    for labels, scores in ((y, p), (1 - y, p)):
        with pytest.warns(DegenerateScoresWarning, match="no finite slope"):
            test = run(labels, scores)["cox"]
        own = np.where(labels, scores, 1 - scores)
        best = 2 * np.log(2 / 3) + np.log(1 / 3)
        assert test.statistic == pytest.approx(2 * (best - np.log(own).sum()), abs=1e-9)


def test_saturated_predictions_among_others() -> None:
    rng = np.random.default_rng(0)
    p = np.concatenate([rng.random(200), np.zeros(50), np.ones(50)])
    y = (rng.random(300) < p).astype(int)
    check_p_values(run(y, p))
    assert len(run(y, p).rejected()) == 0
    y[-1] = 0  # a certainty that fails
    tests = run(y, p)
    check_p_values(tests)
    assert tests["cox"].p_value < 1e-9


def test_few_groups_of_fitted_predictions_leave_nothing() -> None:
    y, p = np.arange(40) % 2, np.repeat([0.4, 0.6], 20)
    with pytest.warns(DegenerateScoresWarning, match="hosmer_lemeshow is undefined"):
        tests = run(y, p, fitted_on_same_data=True)
    assert np.isnan(tests["hosmer_lemeshow"].p_value)
    assert tests.to_dict()["tests"]["hosmer_lemeshow"]["p_value"] is None
    assert "hosmer_lemeshow" not in tests.rejected()


def test_rounding_beyond_the_unit_interval() -> None:
    p = np.array([1 + 5e-7, -5e-7, 0.5, 0.4])
    with pytest.warns(DegenerateScoresWarning, match="no finite slope"):
        check_p_values(run([1, 0, 1, 0], p))


def test_forms() -> None:
    pytest.importorskip("pandas")
    tests = run(*toy_a())
    frame = tests.to_frame()
    assert list(frame.index) == list(EVERY)
    assert frame.loc["cox", "p_value"] == tests["cox"].p_value
    assert (frame["n_samples"] == 1000).all()
    text = str(tests)
    assert all(name in text for name in EVERY)
    assert "slope 1.15" in text
    assert tests.rejected(0.5) == tuple(n for n in EVERY if tests[n].p_value <= 0.5)
    assert run(*toy_a()).tests == tests.tests


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_groups": 0}, "n_groups must be >= 1"),
        ({"n_bins": 0}, "n_bins must be >= 1"),
        ({"n_resamples": 18}, "n_resamples must be >= 19"),
        ({"fitted_on_same_data": "yes"}, "fitted_on_same_data must be one of"),
        ({"average": "classwise"}, "average must be one of"),
        ({"sample_weight": [0, 0]}, "zero for every sample"),
        ({"random_state": "x"}, "random_state"),
    ],
)
def test_bad_input_is_refused_by_name(options, message) -> None:
    with pytest.raises(ValueError, match=message):
        run([0, 1], [0.2, 0.7], **options)
    with pytest.raises(ValueError, match="confidence_level"):
        run(*toy_a()).rejected(1.0)


@pytest.mark.parametrize(
    ("p_values", "cases", "headline"),
    [
        ((0.001, 0.2), ["rejected", "level"], "Calibration is rejected by 1 of 2 tests (t0)."),
        ((0.001,), ["rejected_single"], "Calibration is rejected by t0."),
        ((0.5, 0.2), ["none", "no_proof"], "No test rejects calibration (2 computed)."),
        ((0.001, np.nan), ["rejected_single", "missing"], "Calibration is rejected by t0."),
        (
            (0.3, np.nan),
            ["none", "no_proof", "missing"],
            "No test rejects calibration (1 computed).",
        ),
        ((np.nan, np.nan), ["undefined"], "No test can be computed on these data."),
    ],
)
def test_the_headline_of_the_tests_is_true_in_every_case(p_values, cases, headline):
    from calib.evaluation import CalibrationTest, CalibrationTests

    tests = {
        f"t{i}": CalibrationTest(1.0, value, "normal", "a question", {})
        for i, value in enumerate(p_values)
    }
    result = CalibrationTests(tests, 100, "binary")
    document = result.document()
    assert [verdict.case for verdict in (document.headline, *document.bullets)] == cases
    assert result.headline == headline
    assert headline in str(result)
    assert "p-value is the probability" not in str(result)
    assert "p-value is the probability" in result.details()
    assert headline in result._repr_html_()
    assert r"\begin{tabular}" in result.to_latex()
