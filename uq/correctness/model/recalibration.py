"""Maps of log-odds fitted to few labels: a shift that is drawn to zero, or a calibrator."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from scipy.special import expit, logit
from sklearn.base import clone

from calib import BaseCalibrator, make_calibrator
from calib._border.advice import Door, coming_through
from calib._border.checks import describe
from calib._border.typing import Float64Array, IntArray
from calib._border.warn import warn
from calib.warnings import CalibrationWarning, FallbackWarning
from uq.ood.ranking import auroc

How: TypeAlias = Literal["shift", "platt", "isotonic", "spline", "auto"]
HOWS: tuple[How, ...] = ("shift", "platt", "isotonic", "spline", "auto")
#: Log-odds beyond which a probability says the same.
FARTHEST_LOG_ODDS = 30.0
#: Standard deviation of the shifts that new models and data sets need, where none were seen.
USUAL_SHIFT = 1.0
#: The least that it is taken for, and what it takes to see it: models, and answers of each.
LEAST_SHIFT, FEWEST_MODELS, FEWEST_LABELS = 0.1, 4, 30
#: Steps towards the mode of a shift.
N_STEPS = 15
_DOOR = Door.of_model("P(right) of the records", "correct (1 means right), and whether rows match")


@dataclass(frozen=True, eq=False)
class LogOddsMap:
    """A fitted map from log-odds to probabilities of being right.

    Attributes
    ----------
    shift : float
        Added to the log-odds.
    calibrator : BaseCalibrator or None
        Applied after the shift.
    floor : float
        Smallest probability, and largest from 1: half a label of those that it was fitted to.
    """

    shift: float = 0.0
    calibrator: BaseCalibrator | None = None
    floor: float = 0.0

    def __call__(self, log_odds: Float64Array) -> Float64Array:
        """Return probabilities."""
        moved = np.clip(log_odds + self.shift, -FARTHEST_LOG_ODDS, FARTHEST_LOG_ODDS)
        proba = np.asarray(expit(moved))
        if self.calibrator is not None and len(moved):
            proba = np.asarray(self.calibrator.predict_proba(proba))[:, 1]
        return np.asarray(np.clip(proba, self.floor, 1.0 - self.floor))


def log_odds_of(proba: Float64Array) -> Float64Array:
    """Return finite log-odds of probabilities."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.clip(logit(proba), -FARTHEST_LOG_ODDS, FARTHEST_LOG_ODDS))


def calibrated(
    calibrator: str | BaseCalibrator | None,
    log_odds: Float64Array,
    correct: IntArray,
    weight: Float64Array,
    what: str,
) -> LogOddsMap:
    """Return the map of a calibrator fitted to held-out log-odds.

    Where all labels are alike no calibrator can be fitted: the log-odds are shifted to the share of
    right answers with half a right and half a wrong one added, and that is warned of.
    """
    if calibrator is None:
        return LogOddsMap()
    if (correct == correct[0]).all():
        warn(
            f"{what} holds {len(correct)} answers that are all "
            f"{'right' if correct[0] else 'wrong'}, so that no calibrator can be fitted; log-odds "
            f"are shifted to their share with half a label of each kind added. Pass more questions",
            FallbackWarning,
        )
        share = (float(weight @ correct) + 0.5) / (float(weight.sum()) + 1.0)
        return LogOddsMap(shift_to_share(log_odds, weight, share))
    fresh = new_calibrator(calibrator)
    with coming_through(_DOOR):
        fresh.fit(expit(log_odds), correct, sample_weight=weight, labels=[0, 1])
    return LogOddsMap(0.0, fresh, 0.5 / max(float(weight.sum()), 1.0))


def ranked(
    calibrator: str | BaseCalibrator | None,
    log_odds: Float64Array,
    correct: IntArray,
    weight: Float64Array,
) -> LogOddsMap:
    """Return the map of log-odds that may tell nothing, which are only shifted then.

    Nothing is warned of, because a caller can do nothing about it.
    """
    if calibrator is None or len(correct) == 0:
        return LogOddsMap()
    code = np.unique(log_odds, return_inverse=True)[1]
    right, wrong = (
        np.bincount(code, weight * (correct == kind)).astype(np.float64) for kind in (1, 0)
    )
    if right.any() and wrong.any() and auroc(right, wrong) > 0.5:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CalibrationWarning)
            return calibrated(calibrator, log_odds, correct, weight, "the records")
    share = (float(weight @ correct) + 0.5) / (float(weight.sum()) + 1.0)
    return LogOddsMap(shift_to_share(log_odds, weight, share))


def new_calibrator(calibrator: str | BaseCalibrator) -> BaseCalibrator:
    """Return an unfitted calibrator of probabilities."""
    if isinstance(calibrator, str):
        return make_calibrator(calibrator, input="proba")
    if isinstance(calibrator, BaseCalibrator):
        fresh: BaseCalibrator = clone(calibrator).set_params(input="proba")
        return fresh
    raise ValueError(
        f"calibrator must be a registry name, a calibrator instance or None; got "
        f"{describe(calibrator)}"
    )


def shift_to_share(log_odds: Float64Array, weight: Float64Array, share: float) -> float:
    """Return the shift at which the mean probability is a share in (0, 1)."""
    low, high = -2.0 * FARTHEST_LOG_ODDS, 2.0 * FARTHEST_LOG_ODDS
    wanted = share * float(weight.sum())
    for _ in range(80):
        middle = (low + high) / 2
        if float(weight @ expit(log_odds + middle)) < wanted:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def shrunk_shift(
    log_odds: Float64Array, correct: IntArray, weight: Float64Array, spread: float = USUAL_SHIFT
) -> float:
    """Return the most probable shift, if shifts have a Cauchy distribution about 0.

    Of the modes it is the one nearest to the shift that the labels alone ask for: each step solves
    ``sum_i w_i (a_i - expit(z_i + b)) = b / v``, whose left side falls in b, and takes
    ``v = (spread^2 + b^2) / 2``, which makes the normal prior touch the Cauchy one at b.
    """
    shift = _normal_mode(log_odds, correct, weight, 4.0)
    for _ in range(N_STEPS):
        shift = _normal_mode(log_odds, correct, weight, (spread**2 + shift**2) / 2)
    return shift


def _normal_mode(
    log_odds: Float64Array, correct: IntArray, weight: Float64Array, variance: float
) -> float:
    low, high = -2.0 * FARTHEST_LOG_ODDS, 2.0 * FARTHEST_LOG_ODDS
    for _ in range(40):
        middle = (low + high) / 2
        slope = float(weight @ (correct - expit(log_odds + middle))) - middle / variance
        low, high = (middle, high) if slope > 0 else (low, middle)
    return (low + high) / 2


def spread_of_shifts(
    log_odds: Float64Array, correct: IntArray, weight: Float64Array, models: IntArray
) -> float:
    """Return the standard deviation of the shifts that models need, their noise taken off.

    Parameters
    ----------
    log_odds : ndarray of shape (n,)
        Of models that were left out.
    correct, weight : ndarray of shape (n,)
    models : ndarray of int, shape (n,)
    """
    excesses = []
    for model in np.unique(models).tolist():
        rows = models == model
        if rows.sum() < FEWEST_LABELS:
            continue
        shift = _normal_mode(log_odds[rows], correct[rows], weight[rows], 4.0)
        proba = expit(log_odds[rows] + shift)
        excesses.append(shift**2 - 1.0 / max(float(weight[rows] @ (proba * (1 - proba))), 1e-9))
    if len(excesses) < FEWEST_MODELS:
        return USUAL_SHIFT
    return float(np.clip(np.sqrt(max(float(np.mean(excesses)), 0.0)), LEAST_SHIFT, USUAL_SHIFT))
