"""What each method of a study makes of held-out scores: probabilities, intervals, p-values."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from sklearn.base import clone

from calib import CALIBRATORS, BaseCalibrator, VennAbersCalibrator, make_calibrator
from calib._border.advice import Door, coming_through
from calib._border.checks import describe
from calib._border.typing import Float64Array, IntArray
from calib._border.words import did_you_mean
from calib._core.links import expit
from calib.warnings import ProbabilitiesAsLogitsWarning
from uq.selective.certainty import (
    conformal_confidence,
    conformal_credibility,
    interval_lower_certainty,
    interval_width_certainty,
)
from uq.study.scores import StudyCell

#: Methods that are no calibrator of the registry.
OWN_METHODS = ("raw", "conformal", "conformal_prevalence")
#: Certainty from the probability itself: the distance from one half, on the scale [1/2, 1].
MAX_PROBABILITY = "max_probability"
CONFIDENCE = "conformal_confidence"
Method: TypeAlias = str | BaseCalibrator
#: What can be done about held-out scores that contradict the labels.
DOOR = Door.of_model(
    "the held-out score of the model",
    "that X and y belong together row by row, and pass groups= if rows are related",
    classes=("the first class", "the second class"),
)


@dataclass(frozen=True, eq=False)
class StudyPredictions:
    """Predictions for rows that were left out, by one model, method and repetition.

    Attributes
    ----------
    y_prob : ndarray of shape (n_samples,)
        Probability of the second class, in [0, 1]; for ``"conformal"`` the normalised p-value, a
        ranking device and no calibrated probability.
    interval : ndarray of shape (n_samples, 2) or None
        Lower and upper probability (Venn-ABERS).
    p_values : ndarray of shape (n_samples, 2) or None
        Label-conditional conformal p-values of both classes.
    """

    y_prob: Float64Array
    interval: Float64Array | None = None
    p_values: Float64Array | None = None

    def certainties(self) -> dict[str, Float64Array]:
        """Return every certainty that is defined for these predictions, larger for more certain.

        Returns
        -------
        certainties : dict of str to ndarray of shape (n_samples,)
            ``"max_probability"`` always; ``"interval_width"`` and ``"interval_lower"`` with an
            interval; ``"conformal_confidence"`` and ``"conformal_credibility"`` with p-values.
        """
        values = {MAX_PROBABILITY: np.maximum(self.y_prob, 1 - self.y_prob)}
        if self.interval is not None:
            values["interval_width"] = interval_width_certainty(self.interval)
            values["interval_lower"] = interval_lower_certainty(self.interval)
        if self.p_values is not None:
            values[CONFIDENCE] = conformal_confidence(self.p_values)
            values["conformal_credibility"] = conformal_credibility(self.p_values)
        return values


def read_methods(calibrators: Sequence[str] | Mapping[str, Method]) -> dict[str, Method]:
    """Return the methods by name, or say which are unknown.

    Raises
    ------
    ValueError
        For an empty list, repeated or unknown names, or values that are no calibrators.
    """
    known = (*OWN_METHODS, *CALIBRATORS)
    if isinstance(calibrators, str) or not isinstance(calibrators, (Mapping, Sequence)):
        raise ValueError(
            f"calibrators must be a list of names or a mapping of names to calibrators; got "
            f"{describe(calibrators)}"
        )
    if isinstance(calibrators, Mapping):
        named = dict(calibrators)
    else:
        named = {str(name): name for name in calibrators}
        if len(named) != len(calibrators):
            raise ValueError(f"calibrators names a method twice: {list(calibrators)}")
    if not named:
        raise ValueError("calibrators is empty; pass at least one name")
    for name, method in named.items():
        if isinstance(method, BaseCalibrator):
            continue
        if not isinstance(method, str) or method not in known:
            raise ValueError(
                f"calibrators has {describe(method)} (under {name!r}), which is neither a "
                f"calibrator nor one of {', '.join(repr(method_name) for method_name in known)}"
                f"{did_you_mean(method, known)}"
            )
    return named


def apply_method(method: Method, cell: StudyCell, codes: IntArray) -> StudyPredictions:
    """Calibrate on the inner scores of every outer split and predict the rows it leaves out."""
    n_samples = len(codes)
    y_prob = np.empty(n_samples)
    interval = np.full((n_samples, 2), np.nan)
    p_values = np.full((n_samples, 2), np.nan)
    template = None if method in OWN_METHODS else _calibrator(method, cell.kind)
    with coming_through(DOOR), warnings.catch_warnings():
        # what the scores are is known here, so small margins are no suspicion
        warnings.simplefilter("ignore", ProbabilitiesAsLogitsWarning)
        for number in range(len(cell.fold)):
            test = np.flatnonzero(cell.split == number)
            parts = _parts(cell, codes, number, test)
            if method == "raw":
                y_prob[test] = np.mean([_probability(s, cell.kind) for _, _, s in parts], axis=0)
            elif template is None:
                p_values[test] = _p_values(parts)
                share = 0.5
                if method == "conformal_prevalence":
                    share = float(codes[cell.split != number].mean())
                second, first = share * p_values[test, 1], (1 - share) * p_values[test, 0]
                y_prob[test] = second / (second + first)
            else:
                y_prob[test], interval[test] = _calibrated(template, parts)
    return StudyPredictions(
        y_prob=np.clip(y_prob, 0.0, 1.0),
        interval=None if np.isnan(interval).any() else np.clip(interval, 0.0, 1.0),
        p_values=None if np.isnan(p_values).any() else p_values,
    )


#: Calibration scores, their labels, and the scores of the rows left out.
Part: TypeAlias = tuple[Float64Array, IntArray, Float64Array]


def _parts(cell: StudyCell, codes: IntArray, number: int, test: IntArray) -> list[Part]:
    """Return one part per final model: all inner scores for a single one, else its own fold's."""
    fold, scores = cell.fold[number], cell.calibration[number]
    if len(cell.final) == 1:
        rows = fold >= 0
        return [(scores[rows], codes[rows], cell.final[0, test])]
    return [
        (scores[fold == k], codes[fold == k], cell.final[k, test]) for k in range(len(cell.final))
    ]


def _probability(scores: Float64Array, kind: str) -> Float64Array:
    return np.asarray(expit(scores, np)) if kind == "logits" else scores


def _p_values(parts: list[Part]) -> Float64Array:
    """Return label-conditional p-values; counts of several folds add up."""
    columns = []
    for label, sign in ((0, 1.0), (1, -1.0)):
        at_least = np.zeros(len(parts[0][2]))
        total = 0
        for scores, y, new in parts:
            known = np.sort(sign * scores[y == label])
            at_least += len(known) - np.searchsorted(known, sign * new, side="left")
            total += len(known)
        columns.append((1 + at_least) / (1 + total))
    return np.stack(columns, axis=1)


def _calibrator(method: Method, kind: str) -> Any:
    """Return an unfitted calibrator of log-odds or probabilities, with the study's settings."""
    if isinstance(method, BaseCalibrator):
        return clone(method).set_params(input=kind)
    if method == "platt":
        return make_calibrator("platt", input=kind, smooth_targets=True)
    if method == "isotonic":
        return make_calibrator("isotonic", input=kind, smoothing=False)
    return make_calibrator(method, input=kind)


def _calibrated(template: Any, parts: list[Part]) -> tuple[Float64Array, Float64Array]:
    """Return probabilities and the ends of their interval (NaN for calibrators without one)."""
    fitted = [clone(template).fit(scores, y) for scores, y, _ in parts]
    tests = [new for _, _, new in parts]
    ends = np.full((len(tests[0]), 2), np.nan)
    if isinstance(template, VennAbersCalibrator):
        pairs = [
            model.predict_interval(new)[:, 1] for model, new in zip(fitted, tests, strict=True)
        ]
        ends = np.mean(pairs, axis=0)
        if len(fitted) > 1:
            proba = fitted[0].merge_folds(list(zip(fitted, tests, strict=True)))
            return np.asarray(proba[:, 1]), ends
    columns = [model.transform(new)[:, 1] for model, new in zip(fitted, tests, strict=True)]
    return np.mean(columns, axis=0), ends
