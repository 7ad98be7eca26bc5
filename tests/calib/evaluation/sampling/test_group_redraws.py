"""Floors and tests of grouped samples: labels redrawn as dependent as the observed ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr

from calib.evaluation import (
    calibration_report,
    calibration_tests,
    consistency_interval,
    expected_calibration_error,
)


def log_loss(y, p) -> float:
    return float(-np.log(np.where(y, p, 1 - p)).mean())


def latent(rng, n_groups: int, size: int, correlation: float, power: float = 1.0):
    """Calibrated predictions whose labels share a latent number inside groups."""
    groups = np.repeat(np.arange(n_groups), size)
    p = rng.random(len(groups)) ** power
    shared = rng.normal(size=n_groups)[groups]
    u = ndtr(np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * rng.normal(size=len(p)))
    return (u < p).astype(int), p, groups


def repeated(rng, n_groups: int, size: int):
    """Every sample several times: rows of a group are the same."""
    p = rng.random(n_groups)
    y = (rng.random(n_groups) < p).astype(int)
    return np.repeat(y, size), np.repeat(p, size), np.repeat(np.arange(n_groups), size)


def three_classes(rng, n_groups: int, size: int):
    """Rows of a group are right or wrong together."""
    groups = np.repeat(np.arange(n_groups), size)
    p = rng.dirichlet(np.ones(3), len(groups))
    ordered = np.argsort(-p, axis=1)
    sorted_p = np.take_along_axis(p, ordered, axis=1)
    u = ndtr(
        np.sqrt(0.6) * rng.normal(size=n_groups)[groups] + np.sqrt(0.4) * rng.normal(size=len(p))
    )
    rank = (sorted_p.cumsum(axis=1) < u[:, None]).sum(axis=1).clip(max=2)
    return ordered[np.arange(len(p)), rank], p, groups


CASES = {
    "repeated rows": lambda rng: repeated(rng, 60, 8),
    "half correlated": lambda rng: latent(rng, 60, 10, 0.5),
    "few groups": lambda rng: latent(rng, 20, 25, 0.3),
    "rare events": lambda rng: latent(rng, 80, 10, 0.5, power=8.0),
    "independent": lambda rng: latent(rng, 60, 8, 0.0),
    "three classes": lambda rng: three_classes(rng, 60, 8),
}
STARRED = ("log_loss", "brier", "expected_calibration_error", "adaptive_calibration_error")


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_reports_of_calibrated_groups_star_at_the_level(case: str) -> None:
    rng = np.random.default_rng(11)
    starred = dict.fromkeys(STARRED, 0)
    n_draws = 200
    for seed in range(n_draws):
        y, p, groups = CASES[case](rng)
        report = calibration_report(
            y,
            p,
            groups=groups,
            n_resamples=100,
            random_state=seed,
            labels=range(max(2, p.ndim + 1)),
        )
        found = report.models["model"].measures
        for name in STARRED:
            floor = found[name].calibrated
            value = found[name].value
            starred[name] += value > floor.high or (
                name in ("log_loss", "brier") and value < floor.low
            )
    rates = {name: count / n_draws for name, count in starred.items()}
    print(case, rates)
    # one-sided errors are starred at 2.5 %, scores at 5 %, from 100 replicates
    assert max(rates.values()) <= 0.12, rates


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::calib.DegenerateScoresWarning")
@pytest.mark.parametrize("case", CASES)
def test_tests_of_calibrated_groups_keep_their_level(case: str) -> None:
    rng = np.random.default_rng(12)
    rejected: dict[str, int] = {}
    n_draws = 300
    for _ in range(n_draws):
        y, p, groups = CASES[case](rng)
        average = "top_label" if p.ndim == 2 else "binary"
        tests = calibration_tests(
            y, p, groups=groups, average=average, n_resamples=99, random_state=rng
        )
        for name, test in tests.tests.items():
            rejected[name] = rejected.get(name, 0) + (test.p_value <= 0.05)
    rates = {name: count / n_draws for name, count in rejected.items()}
    print(case, rates)
    assert max(rates.values()) <= 0.10, rates


def test_floors_of_groups_are_those_of_the_distinct_rows() -> None:
    """Rows repeated eight times say as much as one, and their floor shows it."""
    rng = np.random.default_rng(0)
    y, p, groups = repeated(rng, 300, 8)
    metric = lambda y, p: expected_calibration_error(y, p, average="binary")  # noqa: E731
    single = consistency_interval(metric, p[::8], random_state=1, n_resamples=300)
    grouped = consistency_interval(
        metric, p, y_true=y, groups=groups, random_state=1, n_resamples=300
    )
    plain = consistency_interval(metric, p, random_state=1, n_resamples=300)
    assert grouped.mean == pytest.approx(single.mean, rel=0.1)
    assert plain.mean < 0.5 * grouped.mean


@pytest.mark.parametrize("metric", [log_loss, lambda y, p: expected_calibration_error(y, p)])
def test_groups_of_one_row_change_nothing_but_the_draws(metric) -> None:
    rng = np.random.default_rng(1)
    y, p, _ = latent(rng, 400, 1, 0.0)
    plain = consistency_interval(metric, p, random_state=1, n_resamples=400)
    alone = consistency_interval(
        metric, p, y_true=y, groups=np.arange(400), random_state=2, n_resamples=400
    )
    assert alone.mean == pytest.approx(plain.mean, rel=0.05)
    assert alone.standard_deviation == pytest.approx(plain.standard_deviation, rel=0.2)


def test_redrawn_labels_of_groups_keep_their_probabilities() -> None:
    rng = np.random.default_rng(2)
    y, p, groups = three_classes(rng, 50, 10)
    seen = np.zeros_like(p)

    def count(labels, _):
        seen[np.arange(len(p)), labels] += 1
        return 0.0

    consistency_interval(count, p, y_true=y, groups=groups, n_resamples=2000, random_state=0)
    error = np.abs(seen / 2000 - p) / np.sqrt(p * (1 - p) / 2000)
    assert np.sqrt((error**2).mean()) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("measures", ["core", "all"])
def test_floors_of_a_report_widen_with_groups(measures: str) -> None:
    rng = np.random.default_rng(3)
    y, p, groups = repeated(rng, 80, 6)
    options = {"n_resamples": 30, "measures": measures, "random_state": 0}
    plain = calibration_report(y, p, **options).models["model"].measures
    grouped = calibration_report(y, p, groups=groups, **options).models["model"].measures
    for name in plain:
        if name == "accuracy":
            continue
        spread = grouped[name].calibrated.standard_deviation
        assert spread > 1.3 * plain[name].calibrated.standard_deviation, name
        if "error" in name and name != "maximum_calibration_error":
            assert grouped[name].calibrated.mean > 1.2 * plain[name].calibrated.mean, name


def test_groups_without_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="groups needs y_true"):
        consistency_interval(log_loss, [0.1, 0.9], groups=[0, 1])


def test_the_report_of_tests_knows_its_groups() -> None:
    rng = np.random.default_rng(4)
    y, p, groups = repeated(rng, 100, 5)
    names = np.array([f"patient {code}" for code in groups])
    tests = calibration_tests(y, p, average="binary", groups=names, n_resamples=99, random_state=0)
    assert tests.n_groups == 100
    assert {test.law for test in tests.tests.values()} == {"labels redrawn by group"}
    assert "in 100 groups" in str(tests)
    assert "dependent inside groups" in " ".join(tests.details().split())
    report = calibration_report(y, p, groups=names, tests=True, n_resamples=30)
    assert report.tests["model"].n_groups == 100
    assert "do not know of the groups" not in str(report)


def test_miscalibration_is_seen_through_correlation() -> None:
    rng = np.random.default_rng(5)
    y, p, groups = latent(rng, 100, 10, 0.3)
    sharp = p**3 / (p**3 + (1 - p) ** 3)
    tests = calibration_tests(
        y, sharp, average="binary", groups=groups, n_resamples=199, random_state=0
    )
    assert {"cox", "spiegelhalter", "ece"} <= set(tests.rejected())
