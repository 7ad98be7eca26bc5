"""Refusals say what to do: done to the letter, it works, and gives the right numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.lib.recfunctions import structured_to_unstructured
from scipy.sparse import csr_matrix
from scipy.special import log_softmax, softmax

import uq
from calib import PlattCalibrator, TemperatureCalibrator, make_calibrator
from calib.evaluation import calibration_report, expected_calibration_error

RNG = np.random.default_rng(0)
N = 300
Z = 2 * RNG.normal(size=(N, 3))
P = softmax(Z, axis=1)
Y = (P.cumsum(axis=1) < RNG.random((N, 1))).sum(axis=1).clip(max=2)
P2 = P[:, 1] / (P[:, 0] + P[:, 1])
Y2 = (RNG.random(N) < P2).astype(int)
RECORD = np.zeros(N, dtype=[("a", float), ("b", float), ("c", float)])
for name, column in zip("abc", P.T, strict=True):
    RECORD[name] = column
GAPS = P.copy()
GAPS[5, 1] = np.nan
FULL = np.delete(np.arange(N), 5)


def ece(y: Any = Y, p: Any = P, **options: Any) -> float:
    return expected_calibration_error(y, p, **options)


def told(x: Any, y: Any = Y, **options: Any) -> Any:
    return TemperatureCalibrator(**options).fit(x, y).transform(P[:5])


class Case(NamedTuple):
    """What is refused, the words of its advice, the advice followed, and what it must give."""

    refused: Callable[[], Any]
    advice: str
    followed: Callable[[], Any]
    right: Callable[[], Any]


CASES = {
    "percentages": Case(lambda: ece(p=100 * P), "divide by 100", lambda: ece(p=100 * P / 100), ece),
    "percentages, one column": Case(
        lambda: ece(Y2, 100 * P2), "divide by 100", lambda: ece(Y2, 100 * P2 / 100),
        lambda: ece(Y2, P2),
    ),
    "log-probabilities": Case(
        lambda: ece(p=np.log(P)), r"pass np\.exp\(y_prob\)", lambda: ece(p=np.exp(np.log(P))), ece
    ),
    "log-probabilities at fit": Case(
        lambda: told(np.log(P)), r"pass np\.exp\(X\) or input='logits'",
        lambda: told(np.exp(np.log(P))), lambda: told(P),
    ),
    "log-probabilities at fit, the option": Case(
        lambda: told(np.log(P)), "or input='logits'",
        lambda: TemperatureCalibrator(input="logits").fit(np.log(P), Y).transform(np.log(P)),
        lambda: TemperatureCalibrator().fit(P, Y).transform(P),
    ),
    "logits": Case(
        lambda: told(Z), "pass input='logits'",
        lambda: TemperatureCalibrator(input="logits").fit(Z, Y).transform(Z),
        lambda: TemperatureCalibrator().fit(P, Y).transform(P),
    ),
    "swapped arguments": Case(
        lambda: ece(P2, Y2), "swapped", lambda: ece(Y2, P2), lambda: ece(Y2, P2)
    ),
    "counts": Case(
        lambda: ece(p=P * 7 * (1 + np.arange(N)[:, None] % 2)), "divide by the row sums",
        lambda: ece(p=(7 * P) / (7 * P).sum(axis=1, keepdims=True)), ece,
    ),
    "shares of a constant": Case(
        lambda: ece(p=255 * P), "divide by 255", lambda: ece(p=255 * P / 255), ece
    ),
    "rounded": Case(
        lambda: ece(p=0.995 * P), r"y_prob / y_prob\.sum\(axis=1, keepdims=True\)",
        lambda: ece(p=0.995 * P / (0.995 * P).sum(axis=1, keepdims=True)), ece,
    ),
    "rounding beyond 1": Case(
        lambda: ece(Y2, np.where(P2 > 0.9, 1.0001, P2)), r"np\.clip\(y_prob, 0, 1\)",
        lambda: ece(Y2, np.clip(np.where(P2 > 0.9, 1.0001, P2), 0, 1)),
        lambda: ece(Y2, np.where(P2 > 0.9, 1.0, P2)),
    ),
    "sparse": Case(
        lambda: ece(p=csr_matrix(P)), r"y_prob\.toarray\(\)",
        lambda: ece(p=csr_matrix(P).toarray()), ece,
    ),
    "texts": Case(
        lambda: ece(p=P.astype(str)), "convert them to floats",
        lambda: ece(p=P.astype(str).astype(float)), ece,
    ),
    "structured array": Case(
        lambda: ece(p=RECORD), "from numpy.lib.recfunctions import structured_to_unstructured",
        lambda: ece(p=structured_to_unstructured(RECORD)), ece,
    ),
    "masked array": Case(
        lambda: ece(p=np.ma.masked_invalid(GAPS)), "drop the masked values",
        lambda: ece(Y[FULL], np.ma.masked_invalid(GAPS)[FULL].filled()),
        lambda: ece(Y[FULL], P[FULL]),
    ),
    "NaN": Case(
        lambda: ece(p=GAPS), "row 5, column 1; remove", lambda: ece(Y[FULL], GAPS[FULL]),
        lambda: ece(Y[FULL], P[FULL]),
    ),
    "one column for three classes": Case(
        lambda: ece(p=P[:, 1]), "one column of scores per class", ece, ece
    ),
    "labels of another length": Case(
        lambda: ece(labels=[0, 1]), "must name the 3 columns of y_prob once each",
        lambda: ece(labels=[0, 1, 2]), ece
    ),
    "a bound for the masked": Case(
        lambda: uq.margin_score(np.where(Z < -3, -np.inf, Z)), "input='logits' takes",
        lambda: uq.margin_score(np.where(Z < -3, -np.inf, Z), input="logits"),
        lambda: uq.margin_score(softmax(np.where(Z < -3, -np.inf, Z), axis=1)),
    ),
    "normalised logits": Case(
        lambda: uq.energy_score(log_softmax(Z, axis=1)), "pass the logits before log_softmax",
        lambda: uq.energy_score(Z), lambda: uq.energy_score(Z, temperature=1.0),
    ),
    "percent level": Case(
        lambda: uq.conformal_quantile(P2, 90), "divide by 100",
        lambda: uq.conformal_quantile(P2, 90 / 100), lambda: uq.conformal_quantile(P2, 0.9),
    ),
    "misspelt option": Case(
        lambda: ece(average="top-label"), "Did you mean 'top_label'",
        lambda: ece(average="top_label"), ece,
    ),
    "misspelt name": Case(
        lambda: make_calibrator("temprature"), "Did you mean 'temperature'",
        lambda: make_calibrator("temperature").fit(P, Y).transform(P),
        lambda: TemperatureCalibrator().fit(P, Y).transform(P),
    ),
    "number of bins as edges": Case(
        lambda: ece(bins=10), "a number of bins is n_bins", lambda: ece(n_bins=10),
        lambda: ece(bins=np.arange(11) / 10),
    ),
    "edges that do not reach": Case(
        lambda: ece(bins=[0.2, 0.5]), "add 0 and 1 as outer edges",
        lambda: ece(bins=[0, 0.2, 0.5, 1]), lambda: ece(bins=np.array([0, 0.2, 0.5, 1])),
    ),
    "counts of classes": Case(
        lambda: PlattCalibrator().fit(P, 4 * np.eye(3)[Y]), "divide counts by their row sums",
        lambda: PlattCalibrator().fit(P, 4 * np.eye(3)[Y] / 4).transform(P),
        lambda: PlattCalibrator().fit(P, Y).transform(P),
    ),
    "images": Case(
        lambda: ece(Y, P.reshape(10, 30, 3)), "1 or 2 dimensions",
        lambda: ece(Y, P.reshape(10, 30, 3).reshape(-1, 3)), ece,
    ),
    "report of percentages": Case(
        lambda: calibration_report(Y, 100 * P), "divide by 100",
        lambda: calibration_report(Y, 100 * P / 100, n_resamples=9).verdict("model"),
        lambda: calibration_report(Y, P, n_resamples=9).verdict("model"),
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::calib.CalibWarning")
@pytest.mark.parametrize("name", CASES)
def test_the_advice_works(name: str) -> None:
    case = CASES[name]
    with pytest.raises((ValueError, TypeError), match=case.advice) as refusal:
        case.refused()
    assert str(refusal.value)
    found, right = case.followed(), case.right()
    if isinstance(right, str):
        assert found == right
    else:
        np.testing.assert_allclose(found, right, rtol=1e-6, atol=1e-6)


def test_further_columns_of_a_table() -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(P, columns=[0, 1, 2]).assign(image="a")
    with pytest.raises((ValueError, TypeError), match="y_prob"):
        ece(p=table)
    np.testing.assert_allclose(ece(p=table[[0, 1, 2]]), ece())
