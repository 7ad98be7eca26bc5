"""Samples on which a report gives every one of its answers."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from scipy.special import expit, softmax

from calib.evaluation import CalibrationReport, calibration_report

OPTIONS = {"random_state": 0, "n_resamples": 100}


def logits(seed: int, n: int, n_classes: int, spread: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from the softmax of logits."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, spread, (n, n_classes))
    true = softmax(z, axis=1)
    return (true.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(max=n_classes - 1), z


def events(
    seed: int, n: int, spread: float = 1.5, shift: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Events drawn from the logistic function of logits."""
    rng = np.random.default_rng(seed)
    z = rng.normal(shift, spread, n)
    return (rng.random(n) < expit(z)).astype(int), z


def scaled(seed: int, n: int, n_classes: int, **models: float) -> CalibrationReport:
    """Report on models that multiply the true logits."""
    y, z = logits(seed, n, n_classes)
    made = {name: softmax(scale * z, axis=1) for name, scale in models.items()}
    return calibration_report(y, made, **OPTIONS)


def few_draws(**models: float) -> CalibrationReport:
    """Report from fewer redraws than a star needs."""
    y, z = logits(0, 1000, 3)
    made = {name: softmax(scale * z, axis=1) for name, scale in models.items()}
    return calibration_report(y, made, random_state=0, n_resamples=18)


def binary(
    seed: int, n: int, spread: float = 1.5, shift: float = 0.0, **models: tuple[float, float]
) -> CalibrationReport:
    """Report on models that multiply the true logits of an event and add to them."""
    y, z = events(seed, n, spread, shift)
    made = {name: expit(scale * z + move) for name, (scale, move) in models.items()}
    return calibration_report(y, made, **OPTIONS)


def one_sided(happened: int) -> CalibrationReport:
    """Report on predictions of an event that never happens, or always."""
    p = np.abs(happened - 2e-3 * np.linspace(0.5, 1.5, 800))
    return calibration_report(np.full(800, happened), {"net": p}, labels=[0, 1], **OPTIONS)


def coarse(seed: int, slope: float) -> CalibrationReport:
    """Report on the rates of the classes, which are calibrated, and a sharper model."""
    y, z = logits(seed, 3000, 3)
    rates = np.tile(np.bincount(y, minlength=3) / len(y), (len(y), 1))
    return calibration_report(y, {"rates": rates, "net": softmax(slope * z, axis=1)}, **OPTIONS)


def two_directions() -> CalibrationReport:
    """Report on a model that claims too little and too much."""
    rng = np.random.default_rng(0)
    claim = rng.choice([0.5, 0.9], 4000)
    hit = rng.random(4000) < np.where(claim > 0.7, 0.7, 0.65)
    p = np.column_stack([claim, (1 - claim) / 2, (1 - claim) / 2])
    return calibration_report(np.where(hit, 0, 1 + (rng.random(4000) < 0.5)), p, **OPTIONS)


def two_sharp() -> CalibrationReport:
    """Report on two models that are wrong alike and differ by noise."""
    y, z = logits(0, 3000, 4)
    rng = np.random.default_rng(1)
    made = {
        name: softmax(1.5 * z + rng.normal(0, 0.3, z.shape), axis=1) for name in ("raw", "other")
    }
    return calibration_report(y, made, **OPTIONS)


def swapped_tails() -> CalibrationReport:
    """Report on a model that is right about the top label and wrong about the others."""
    y, z = logits(1, 3000, 3)
    p = softmax(z, axis=1)
    order, rows = np.argsort(p, axis=1), np.arange(len(y))
    wrong = p.copy()
    wrong[rows, order[:, 0]], wrong[rows, order[:, 1]] = p[rows, order[:, 1]], p[rows, order[:, 0]]
    return calibration_report(y, wrong, **OPTIONS)


def impossible(alone: bool) -> CalibrationReport:
    """Report on a model that gives probability 0 to labels that occur."""
    y, z = logits(2, 2000, 3)
    p = softmax(z, axis=1)
    cut = np.where(p < 0.05, 0, p)
    cut /= cut.sum(axis=1, keepdims=True)
    return calibration_report(y, cut if alone else {"cut": cut, "net": p}, **OPTIONS)


def many_tied() -> CalibrationReport:
    """Report on seven models of which six cannot be told apart."""
    scales = {f"m{k}": 1 + 0.005 * k for k in range(6)}
    return scaled(3, 3000, 3, **scales, sharp=3.0)


def weighted() -> CalibrationReport:
    """Report on calibrated probabilities of an event whose samples have weights."""
    y, z = events(4, 4000)
    weight = np.random.default_rng(1).random(4000) + 0.5
    return calibration_report(y, expit(z), sample_weight=weight, **OPTIONS)


#: Case -> the report that gives it, and the whole sentence as a pattern.
ANSWERS: dict[str, list[tuple[Callable[[], CalibrationReport], str]]] = {
    "clean_after": [
        (
            lambda: scaled(0, 3000, 4, raw=2.5, scaled=1.0),
            r"Use scaled: it leaves no miscalibration that 3,000 samples can show\.",
        ),
        (
            lambda: scaled(0, 3000, 4, raw=2.5, a=1.0, b=1.01, c=1.02),
            r"Use [abc]: it leaves no miscalibration that 3,000 samples can show; [abc] and [abc] "
            r"are not distinguishable from it\.",
        ),
    ],
    "both_clean": [
        (
            lambda: coarse(5, 1.0),
            r"Use net: it is better than rates in log loss, and neither shows miscalibration in "
            r"3,000 samples\.",
        )
    ],
    "rest_left": [
        (
            lambda: scaled(0, 3000, 4, raw=2.5, half=1.4),
            r"Use half: it removes \d\d % of the calibration error\.",
        )
    ],
    "better_but": [
        (
            lambda: coarse(5, 1.5),
            r"Use net: it is better than rates in log loss, but overconfident above 0\.\d+\.",
        )
    ],
    "keep": [
        (
            lambda: scaled(0, 3000, 4, raw=1.0, other=1.01),
            r"Keep raw: no other method is better beyond chance; other is not distinguishable "
            r"from it\.",
        ),
        (
            many_tied,
            r"Keep m0: no other method is better beyond chance; m\d, m\d, m\d and 2 others are "
            r"not distinguishable from it\.",
        ),
        (
            two_sharp,
            r"Keep raw: no other method is better beyond chance; other is not distinguishable "
            r"from it\.",
        ),
    ],
    "all_worse": [
        (
            lambda: scaled(0, 3000, 4, raw=1.0, sharp=2.0),
            r"Keep raw: sharp is worse \(log loss \+0\.\d+, at least \+0\.\d+\)\.",
        ),
        (
            lambda: scaled(0, 3000, 4, raw=1.0, sharp=2.0, sharper=3.0),
            r"Keep raw: every other method is worse \(the closest, sharp: log loss \+0\.\d+, at "
            r"least \+0\.\d+\)\.",
        ),
    ],
    "too_few": [
        (
            lambda: scaled(1, 40, 3, a=1.2, b=1.0, c=0.9),
            r"Too few data to choose: 40 samples cannot tell the 3 methods apart; any "
            r"miscalibration up to 0\.\d+ would fit\.",
        ),
        (
            lambda: scaled(1, 40, 3, a=1.2, b=1.0),
            r"Too few data to choose: 40 samples cannot tell the two methods apart; any "
            r"miscalibration up to 0\.\d+ would fit\.",
        ),
        (
            lambda: scaled(1, 80, 3, a=1.0, b=0.98, c=0.96, d=9.0),
            r"Too few data to choose: 80 samples cannot tell 3 of 4 methods apart; any "
            r"miscalibration up to 0\.\d+ would fit\.",
        ),
    ],
    "too_few_single": [
        (
            lambda: scaled(1, 40, 3, net=1.0),
            r"Too few data to judge: any miscalibration up to 0\.\d+ would fit 40 samples\.",
        ),
        (
            lambda: binary(5, 30_000, 1.0, -7.0, net=(1, 0)),
            r"Too few data to judge: any miscalibration up to \d+ per 100,000 would fit \d+ "
            r"events\.",
        ),
    ],
    "no_events": [
        (
            lambda: one_sided(0),
            r"Too few data to judge: no event among 800 samples, where 1\.6 were predicted; any "
            r"rate up to 461 per 100,000 would fit\.",
        ),
        (
            lambda: one_sided(1),
            r"Too few data to judge: no sample without the event among 800 samples, where 1\.6 "
            r"were predicted; any rate up to 461 per 100,000 would fit\.",
        ),
    ],
    "nothing_seen_binary": [
        (
            lambda: binary(4, 4000, net=(1, 0)),
            r"No sign of miscalibration: 2,\d+ events happened where [12],\d+ were predicted\.",
        )
    ],
    "nothing_seen": [
        (
            lambda: scaled(3, 4000, 3, net=1.0),
            r"No sign of miscalibration: right in 6\d\.\d %, claimed 6\d\.\d %\.",
        ),
        (
            weighted,
            r"No sign of miscalibration: happened in \d\d\.\d %, predicted \d\d\.\d %\.",
        ),
    ],
    "off": [
        (
            lambda: scaled(3, 4000, 3, net=2.0),
            r"Overconfident above 0\.\d+: claims \d\d\.\d %, right in \d\d\.\d %\. Calibrate it\.",
        ),
        (
            lambda: scaled(3, 4000, 3, net=0.5),
            r"Underconfident between 0\.\d+ and 0\.\d+: claims \d\d\.\d %, right in \d\d\.\d %\. "
            r"Calibrate it\.",
        ),
    ],
    "off_binary": [
        (
            lambda: binary(4, 4000, net=(1, 0.5)),
            r"Probabilities too high between 0\.\d+ and 0\.\d+: predicted \d\d\.\d %, happened in "
            r"\d\d\.\d %\. Calibrate them\.",
        ),
        (
            lambda: binary(5, 30_000, 1.0, -7.0, net=(1, 1)),
            r"Probabilities too high below 0\.\d+: predicted \d+ per 100,000, happened in \d+ per "
            r"100,000\. Calibrate them\.",
        ),
    ],
    "too_extreme": [
        (
            lambda: binary(4, 4000, net=(2, 0)),
            r"Probabilities too extreme: too low below 0\.\d+, too high above 0\.\d+\. "
            r"Calibrate them\.",
        )
    ],
    "too_cautious": [
        (
            lambda: binary(4, 4000, net=(0.5, 0)),
            r"Probabilities too cautious: too high between 0\.\d+ and 0\.\d+, too low between "
            r"0\.\d+ and 0\.\d+\. Calibrate them\.",
        )
    ],
    "both_directions": [
        (
            two_directions,
            r"Wrong in both directions: too low below 0\.\d+, too high above 0\.\d+\. "
            r"A temperature alone cannot repair that\.",
        )
    ],
    "place_unknown": [
        (
            swapped_tails,
            r"Miscalibrated by log loss, Brier score and ACE; no range stands out\.",
        )
    ],
    "effect": [
        (
            lambda: scaled(0, 3000, 4, raw=2.5, scaled=1.0),
            r"Calibration error \(ECE, bias removed\) 0\.\d+ before, 0(\.\d+)? after \(at most "
            r"0\.\d+\); log loss 1\.\d+ before, 0\.\d+ after\.",
        ),
        (
            lambda: scaled(0, 3000, 4, raw=2.5, half=1.4),
            r"Calibration error \(ECE, bias removed\) 0\.\d+ before, 0\.\d+ after \(0\.\d+ to "
            r"0\.\d+\); log loss 1\.\d+ before, 0\.\d+ after\.",
        ),
    ],
    "effect_kept": [
        (
            lambda: scaled(0, 3000, 4, raw=1.0, sharp=2.0),
            r"Calibration error of raw \(ECE, bias removed\) 0(\.\d+)? \(at most 0\.\d+\); log "
            r"loss 0\.\d+\.",
        )
    ],
    "promise": [
        (
            lambda: scaled(3, 4000, 3, net=2.0),
            r"Calibration error \(ECE, bias removed\) 0\.\d+ \(0\.\d+ to 0\.\d+\); log loss "
            r"0\.\d+ where its own probabilities promise 0\.\d+\.",
        )
    ],
    "left": [
        (
            lambda: scaled(0, 3000, 4, raw=2.5, half=1.4),
            r"What is left is more than chance: half is still overconfident above 0\.\d+ \(claims "
            r"\d\d\.\d % on average, right in \d\d\.\d %\)\.",
        ),
        (
            lambda: scaled(0, 20_000, 4, raw=3.0, less=1.15),
            r"What is left is small but more than chance: less is still overconfident .*\.",
        ),
        (
            lambda: binary(4, 4000, raw=(2, 0), platt=(1.1, 0.2)),
            r"What is left is more than chance: platt is still too high .* \(predicts \d\d\.\d % "
            r"on average, happened in \d\d\.\d %\)\.",
        ),
    ],
    "still_off": [
        (
            lambda: scaled(0, 3000, 4, raw=1.4, sharp=2.5),
            r"raw is overconfident above 0\.\d+ \(claims \d\d\.\d % on average, right in \d\d\.\d "
            r"%\), more than chance explains\.",
        ),
        (
            lambda: binary(4, 4000, raw=(2, 0), sharp=(4, 0)),
            r"raw is too low below 0\.\d+, too high above 0\.\d+, more than chance explains\.",
        ),
    ],
    "beyond": [
        (
            lambda: scaled(3, 4000, 3, net=2.0),
            r"More than chance: log loss, Brier score, accuracy, ECE, ACE and overconfidence\.",
        ),
        (
            swapped_tails,
            r"More than chance: log loss, Brier score and ACE \(overconfident, place unknown\)\.",
        ),
        (
            lambda: binary(4, 4000, net=(1, 0.5)),
            r"More than chance: .* and predictions above the rates\.",
        ),
    ],
    "nothing_beyond": [
        (
            lambda: scaled(3, 4000, 3, net=1.0),
            r"None of the measures is beyond chance \(p = [01](\.\d+)? for all together\): a "
            r"calibrator would have nothing to correct\.",
        )
    ],
    "nothing_beyond_few": [
        (
            lambda: scaled(1, 40, 3, net=1.0),
            r"None of the measures is beyond chance \(p = [01](\.\d+)? for all together\), but a "
            r"fault of that size would not show either\.",
        )
    ],
    "what_fits": [
        (
            lambda: scaled(3, 4000, 3, net=1.0),
            r"What 4,000 samples can tell: the mean gap between claim and outcome is at most "
            r"0\.\d+\. Smaller faults would not show\.",
        )
    ],
    "what_events_fit": [
        (
            lambda: binary(5, 30_000, 1.0, -7.0, net=(1, 0)),
            r"What \d+ events can tell: the true rate lies between 0\.\d+ and 1\.\d+ times the "
            r"predicted one, and the mean gap over ranges is at most \d+ per 100,000 \(the rate is "
            r"1\d\d\)\. Smaller faults would not show\.",
        )
    ],
    "few_draws": [
        (
            lambda: few_draws(raw=2.5, net=1.0),
            r"Use net: it is better than raw in log loss\. Too few draws to say whether it is "
            r"calibrated\.",
        )
    ],
    "few_draws_single": [
        (
            lambda: few_draws(raw=2.5),
            r"Too few draws to judge: 18 redraws of the labels cannot show what is more than "
            r"chance\.",
        )
    ],
    "needed": [
        (
            lambda: few_draws(raw=2.5),
            r"No stars: 18 draws cannot show what is more than chance at 95 %; at least 19 are "
            r"needed \(n_resamples\)\.",
        )
    ],
    "behind": [
        (
            lambda: scaled(0, 3000, 4, raw=2.5, sharp=3.0, scaled=1.0),
            r"The other 2 are clearly behind in log loss; the closest is raw \(1\.\d+\)\.",
        )
    ],
    "one_behind": [
        (
            lambda: scaled(0, 3000, 4, raw=2.5, scaled=1.0),
            r"raw is clearly behind in log loss \(1\.\d+\)\.",
        ),
    ],
    "worse": [
        (
            lambda: scaled(0, 3000, 4, raw=1.0, sharp=2.5, sharper=4.0),
            r"Worse than raw in some respect: sharp and sharper \(Brier score, ECE, ACE\)\.",
        )
    ],
    "impossible": [
        (
            lambda: impossible(alone=False),
            r"cut gave probability 0 to labels that occurred: the log loss is infinite, so the "
            r"Brier score ranks the methods\.",
        )
    ],
    "impossible_single": [
        (
            lambda: impossible(alone=True),
            r"\d+ labels that occurred had probability 0: the log loss is infinite, the number "
            r"shown depends on how 0 is cut\.",
        )
    ],
}


@cache
def answered(case: str, place: int) -> Any:
    """Report that gives an answer."""
    return ANSWERS[case][place][0]()
