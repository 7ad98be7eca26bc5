"""How often right distributions are called wrong, and that wrong ones are found."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import train_test_split

from calib.evaluation import pit_uniformity, predictive_distribution, regression_report

SEED = 20_261_128


def conformal_pit(
    rng: np.random.Generator, n_calibration: int, n_test: int, n_draws: int
) -> list[np.ndarray]:
    """Return transforms of exactly valid split systems, whose scores are any continuous ones."""
    out = []
    for _ in range(n_draws):
        known, new = np.sort(rng.random(n_calibration)), rng.random(n_test)
        below = np.searchsorted(known, new)
        out.append((below + rng.random(n_test)) / (n_calibration + 1))
    return out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_calibration", "n_test", "naive"),
    [(200, 480, 0.59), (336, 480, 0.41), (721, 309, 0.14), (2800, 1200, 0.14)],
)
def test_the_size_of_the_test_of_transforms(n_calibration: int, n_test: int, naive: float) -> None:
    rng = np.random.default_rng(SEED)
    values = conformal_pit(rng, n_calibration, n_test, 4000)
    exact = np.mean([pit_uniformity(v, n_calibration).p_value < 0.05 for v in values])
    assert 0.035 <= exact <= 0.065
    assert np.mean([pit_uniformity(v).p_value < 0.05 for v in values]) > 0.8 * naive


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["independent", "groups", "calibration set"])
def test_right_distributions_are_rarely_called_wrong(kind: str) -> None:
    rng = np.random.default_rng(SEED)
    n, n_runs, called = 300, 200, 0
    for run in range(n_runs):
        mean, std = rng.normal(size=n), np.exp(0.5 * rng.normal(size=n))
        options: dict[str, object] = {}
        noise = rng.normal(size=n)
        if kind == "groups":
            groups = np.repeat(np.arange(n // 5), 5)
            noise = 0.5**0.5 * (rng.normal(size=n // 5)[groups] + noise)
            options["groups"] = groups
        if kind == "calibration set":  # shared by all rows
            known = np.sort(rng.normal(size=60))
            levels = np.arange(1, 61) / 61
            quantiles = mean[:, None] + std[:, None] * known
            given = predictive_distribution(quantiles=quantiles, levels=levels)
            options["n_calibration"] = 60
        else:
            given = predictive_distribution(mean=mean, std=std)
        report = regression_report(mean + std * noise, given, random_state=run, **options)
        called += bool(report.models["model"].starred)
    assert called / n_runs < 0.05 + 3 * np.sqrt(0.05 * 0.95 / n_runs)


@pytest.mark.slow
def test_faults_are_found_and_named() -> None:
    rng = np.random.default_rng(SEED)
    named = {"too sharp": 0, "too wide": 0, "biased low": 0}
    for _ in range(50):
        mean = rng.normal(size=300)
        y = mean + rng.normal(size=300)
        for words, shift, std in (
            ("too sharp", 0.0, 0.75),
            ("too wide", 0.0, 1.35),
            ("biased low", -0.3, 1.0),
        ):
            given = predictive_distribution(mean=mean + shift, std=np.full(300, std))
            named[words] += (
                regression_report(y, given, n_resamples=60).models["model"].words == words
            )
    assert min(named.values()) >= 40


@pytest.mark.slow
def test_a_report_on_real_residuals(shared_data) -> None:
    table = np.genfromtxt(shared_data / "regression" / "concrete.csv", delimiter=",", skip_header=1)
    X, y = table[:, :-1], table[:, -1]
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, random_state=0)
    model = Ridge().fit(X_train, y_train)
    spread = (y_train - model.predict(X_train)).std()
    mean = model.predict(X_test)
    given = predictive_distribution(mean=mean, std=np.full(len(mean), spread))
    sharp = predictive_distribution(mean=mean, std=np.full(len(mean), spread / 3))
    report = regression_report(y_test, {"sharp": sharp, "spread": given})
    assert report.recommended == "spread"
    assert "too sharp" in report.models["sharp"].words
