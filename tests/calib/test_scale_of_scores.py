"""Decision scores of any scale: the ranking is kept, and so is the log loss."""

from __future__ import annotations

import warnings
from typing import Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from calib import CALIBRATORS, DegenerateScoresWarning, IsotonicCalibrator, make_calibrator

SCALES = [1e-6, 1e-3, 30.0, 1e3, 1e6, 1e20, 1e100, 1e300]
METHODS = [name for name in CALIBRATORS if name not in ("split_point", "h_calibration")]


def two_classes(n: int = 1200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    s = rng.normal(size=n)
    return s, (rng.random(n) < expit(0.3 + 1.7 * s)).astype(int)


def three_classes(n: int = 1500, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 3))
    return z, (1.7 * z + rng.gumbel(size=z.shape)).argmax(axis=1)


def log_loss(p: np.ndarray, y: np.ndarray) -> float:
    return float(-np.log(np.maximum(p[np.arange(len(y)), y], 1e-300)).mean())


def fitted(method: str, z: np.ndarray, y: np.ndarray, half: int) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cal = make_calibrator(method, input="logits").fit(z[:half], y[:half])
        return cal.transform(z[half:])


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("method", METHODS)
def test_two_classes(method: str, scale: float) -> None:
    s, y = two_classes()
    reference, p = fitted(method, s / s.std(), y, 600), fitted(method, s * scale, y, 600)
    auc = [roc_auc_score(y[600:], q[:, 1]) for q in (reference, p)]
    assert auc[1] >= auc[0] - 0.003
    assert log_loss(p, y[600:]) <= 1.01 * log_loss(reference, y[600:])


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("method", METHODS)
def test_three_classes(method: str, scale: float) -> None:
    z, y = three_classes()
    reference, p = fitted(method, z / z.std(), y, 750), fitted(method, z * scale, y, 750)
    accuracy = [(q.argmax(axis=1) == y[750:]).mean() for q in (reference, p)]
    assert accuracy[1] >= accuracy[0] - 0.015
    assert log_loss(p, y[750:]) <= 1.01 * log_loss(reference, y[750:])


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("scale", [1.0, 1e6, 1e300])
def test_isotonic_ranks_decision_scores_as_scikit_learn_does(scale: float, centred: bool) -> None:
    from sklearn.isotonic import IsotonicRegression

    s, y = two_classes()
    peer = IsotonicRegression(out_of_bounds="clip").fit(s[:600], y[:600]).predict(s[600:])
    cal = IsotonicCalibrator(input="logits", centred=centred).fit(scale * s[:600], y[:600])
    p = cal.transform(scale * s[600:])[:, 1]
    assert roc_auc_score(y[600:], p) >= roc_auc_score(y[600:], peer) - 0.002


@pytest.mark.parametrize("method", list(CALIBRATORS))
@pytest.mark.parametrize("scale", [1.0, 60.0])
@pytest.mark.parametrize("source", ["logits", "proba", "float32 proba"])
def test_order_of_two_classes_does_not_matter(method: str, scale: float, source: str) -> None:
    s, y = two_classes(401, 5)
    s = scale * s
    z = np.stack([-0.5 * s, 0.5 * s], axis=1)
    if source != "logits":
        z = np.stack([expit(-s), expit(s)], axis=1)
        z = z.astype(np.float32) if source.startswith("float32") else z
    kind = source.rpartition(" ")[2]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateScoresWarning)
        one = make_calibrator(method, input=kind).fit(z, y).transform(z)
        other = make_calibrator(method, input=kind).fit(z[:, ::-1], 1 - y).transform(z[:, ::-1])
    np.testing.assert_allclose(one, other[:, ::-1], atol=2e-6 if "32" in source else 1e-9)


def choices() -> list[tuple[str, str, object]]:
    """Return every value of every option with listed values, of every map."""
    found = []
    for method, entry in CALIBRATORS.items():
        for option, hint in get_type_hints(entry.load().__init__).items():
            values = [part for part in (hint, *get_args(hint)) if get_origin(part) is Literal]
            if option != "input":
                found += [(method, option, value) for part in values for value in get_args(part)]
            if hint is bool:
                found += [(method, option, value) for value in (True, False)]
    return found


#: Boosted heads cut their columns into quantiles from below, which a change of sign moves.
CUT_FROM_BELOW = ("split_point", "heads", "hgb", "logits")


@pytest.mark.parametrize(
    ("method", "option", "value"),
    [
        pytest.param(*choice, marks=pytest.mark.slow if choice[-1] == "torch" else ())
        for choice in choices()
    ],
)
@pytest.mark.parametrize("source", ["logits", "proba", "rounded"])
def test_order_of_two_classes_does_not_matter_in_any_option(
    method: str, option: str, value: object, source: str
) -> None:
    s, y = two_classes(401, 5)
    s = 2.0 * s
    z = np.stack([-0.5 * s, 0.5 * s], axis=1)
    if source != "logits":
        second = np.round(expit(s), 2 if source == "rounded" else 16)
        z = np.stack([1 - second, second], axis=1)
        z = np.round(z, 2) if source == "rounded" else z
    kind = "logits" if source == "logits" else "proba"
    near = 0.05 if (method, option, value, source) == CUT_FROM_BELOW else 1e-9
    calibrator = make_calibrator(method, input=kind, **{option: value})
    if "random_state" in calibrator.get_params():  # the same folds for both orders
        calibrator.set_params(random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one, other = (
            calibrator.fit(*given).transform(given[0]) for given in ((z, y), (z[:, ::-1], 1 - y))
        )
    np.testing.assert_allclose(one, other[:, ::-1], atol=near)


@pytest.mark.parametrize("n_bins", [1, 2, 3, 10, 15])
@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
@pytest.mark.parametrize("kind", ["rate", "scaling"])
@pytest.mark.parametrize("shift", [-1.5, 0.0, 1.5])
def test_order_of_two_classes_does_not_matter_for_bins(
    n_bins: int, strategy: str, kind: str, shift: float
) -> None:
    """Ties, values on the edges, exact zeros and ones, and masks of one class or the other."""
    rng = np.random.default_rng(n_bins)
    s = 3.0 * rng.normal(size=300) + shift
    y = (rng.random(300) < expit(s)).astype(int)
    weight = rng.integers(0, 4, 300).astype(float)
    z = np.stack([np.zeros(300), s], axis=1)
    z[y == 0, 1] = np.where(rng.random((y == 0).sum()) < 0.2, -1e9, z[y == 0, 1])
    z[y == 1, 0] = np.where(rng.random((y == 1).sum()) < 0.1, -np.inf, z[y == 1, 0])
    second = np.round(expit(s), 1)
    p = np.stack([np.round(1 - second, 1), second], axis=1)
    options = {"n_bins": n_bins, "strategy": strategy, "kind": kind}
    for given, source in ((z, "logits"), (p, "proba")):
        for w in (None, weight):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                cal = make_calibrator("histogram", input=source, **options)
                one = cal.fit(given, y, w).transform(given)
                other = cal.fit(given[:, ::-1], 1 - y, w).transform(given[:, ::-1])
            np.testing.assert_allclose(one, other[:, ::-1], atol=1e-9)
