"""What follows from a study: what to use, and sentences about methods, features and cuts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from calib._border.checks import describe
from calib._border.typing import Float64Array
from calib._documents.document import Verdict
from uq.study.methods import CONFIDENCE, MAX_PROBABILITY
from uq.study.numbers import KERNEL, SHARE, Key, StudyDifference, StudyNumbers

#: Share at which certainties are compared, and threshold at which their scales are.
HALF, STRICT = 0.5, 0.8
#: Methods in sentences.
NAMES = {
    "venn_abers": "Venn-ABERS",
    "conformal": "conformal",
    "platt": "Platt",
    "raw": "raw",
    "conformal_prevalence": "conformal by prevalence",
}
#: Metrics in sentences.
TITLES = {
    "auroc": "AUROC",
    "ace": "ACE",
    "brier": "Brier score",
    KERNEL: "SKCE",
    "accuracy": "accuracy",
}
#: Digits behind the point, where they are not 3.
DIGITS = {KERNEL: 4}
#: Whether a claim holds on the data at hand.
Decision = Literal["true", "false", "not decidable"]


def method_words(method: str) -> str:
    """Return a method as it stands in sentences."""
    return NAMES.get(method, method)


def everything(model: str, method: str) -> Key:
    """Return the row of all rows."""
    return (model, method, MAX_PROBABILITY, "none", 0.0)


def reference_of(study: StudyNumbers) -> str:
    """Return the method that others are compared with: raw, or the first."""
    return "raw" if "raw" in study.methods else study.methods[0]


def findings_of(study: StudyNumbers) -> list[Verdict]:
    """Return what to use, then what the numbers say about methods, features and certainties."""
    texts = (_features(study), _calibration(study), _pair(study), _scale(study))
    found = [Verdict("finding", "{text}", {"text": text}) for text in texts if text]
    answer = _answer(study)
    return found if answer is None else [answer, *found]


def plus_minus(difference: StudyDifference) -> str:
    """Return a change with its sign and its interval."""
    if np.isnan(difference.value):
        return "too few rows kept"
    digits = DIGITS.get(difference.metric, 3)
    change, low, high = difference.value, difference.low, difference.high
    ends = f"{low:+.{digits}f} to {high:+.{digits}f}" if np.isfinite(low) else "no interval"
    return f"{change:+.{digits}f} ({ends})"


def with_ends(number: StudyDifference) -> str:
    """Return a number with its interval."""
    digits, (low, high) = DIGITS.get(number.metric, 3), (number.low, number.high)
    ends = f"{low:.{digits}f} to {high:.{digits}f}" if np.isfinite(number.low) else "no interval"
    return f"{number.value:.{digits}f} ({ends})"


def in_percent(number: StudyDifference) -> str:
    """Return a share with its interval."""
    ends = f"{number.low:.0%} to {number.high:.0%}" if np.isfinite(number.low) else "no interval"
    return f"{number.value:.0%} ({ends})"


# ------------------------------------------------------------------------------------------ answer


def _answer(study: StudyNumbers) -> Verdict | None:
    """Return which pair of model and method to use, by Brier score."""
    pairs = [key for key in study.predictions if not key[1].startswith("conformal")]
    if not pairs:
        return None
    draws = np.stack([study.mean_draws([everything(*pair)], "brier") for pair in pairs])
    known = np.asarray(np.isfinite(draws).all(axis=0))
    if not known[0] or known[1:].sum() < 2:
        return Verdict(
            "no_numbers",
            "Too few data to compare models: {n} rows, of which {kept} are needed for a metric.",
            {"n": f"{len(study.codes):,}", "kept": str(study.min_kept)},
        )
    constant = _brier_of_shares(study)
    best = int(draws[:, 0].argmin())
    lead = _simultaneous(constant[known] - draws[:, known], study.confidence_level)
    from calib.evaluation.report.ranking import rank

    ranking = rank(draws[:, 0], draws[:, known][:, 1:].T, study.confidence_level)
    tied = [pair for pair, may in zip(pairs, ranking.may_be_best, strict=True) if may]
    others = [pair for pair in tied if pair != pairs[best]]
    share = float(study.codes.mean())
    lower = f"{lead.value[best]:.3f} ({lead.low[best]:.3f} to {lead.high[best]:.3f})"
    words = {
        "pair": _pair_named(pairs[best]),
        "brier": with_ends(study.contrast([everything(*pairs[best])], [], "brier")),
        "lower": lower,
        "share": f"{share:.0%}",
        "n": f"{len(study.codes):,}",
        "k": str(len(tied)),
        "m": str(len(pairs)),
        "label": describe(study.y_true[study.codes == 1][:1].tolist()[0]),
        "ties": _ties(others),
    }
    always = "{lower} lower than for always answering {share}"
    score = "Brier score {brier}, " + always
    if not (lead.low > 0).any():
        return Verdict(
            "no_signal",
            "Too few data to tell that any model predicts class {label}: the best of {m} pairs of "
            f"model and method, {{pair}}, has a {score}.",
            words,
        )
    if len(tied) == 1:
        return Verdict("use", f"Use {{pair}}: {score}; no other pair is as good.", words)
    if 2 * len(tied) > len(pairs) or lead.low[best] <= 0:
        return Verdict(
            "too_few",
            "Too few data to choose: {n} rows cannot tell {k} of {m} pairs of model and method "
            f"apart. The lowest is {{pair}}: {score}.",
            words,
        )
    return Verdict(
        "use_tied", f"Use {{pair}}: {score}; {{ties}} not distinguishable from it.", words
    )


def _pair_named(pair: tuple[str, str]) -> str:
    model, method = pair
    return f"{model} with {method_words(method)} probabilities"


def _ties(pairs: list[tuple[str, str]]) -> str:
    """Return up to three pairs in words, with the verb."""
    texts = [f"{model} with {method_words(method)}" for model, method in pairs]
    if len(texts) > 3:
        return f"{len(texts)} other pairs are"
    joined = " and ".join(filter(None, [", ".join(texts[:-1]), *texts[-1:]]))
    return f"{joined} {'is' if len(texts) == 1 else 'are'}"


def _brier_of_shares(study: StudyNumbers) -> Float64Array:
    """Return the Brier score of answering with the share of the class among the other rows."""
    codes = study.codes
    units = np.arange(len(codes)) if study.groups is None else study.groups
    size, ones = np.bincount(units), np.bincount(units, codes)
    share = (codes.sum() - ones) / (len(codes) - size)
    weight = study.weights()
    return np.asarray(weight @ (share[units] - codes) ** 2 / weight.sum(axis=1))


@dataclass(frozen=True, eq=False)
class Simultaneous:
    """Numbers with intervals that hold all of them at once.

    Attributes
    ----------
    value, low, high : ndarray of shape (n_numbers,)
    """

    value: Float64Array
    low: Float64Array
    high: Float64Array


def _simultaneous(draws: Float64Array, confidence_level: float) -> Simultaneous:
    """Return intervals by the largest standardised deviation of any number (max-t).

    Parameters
    ----------
    draws : ndarray of shape (n_numbers, 1 + n_draws)
        The numbers themselves come first.
    confidence_level : float in (0, 1)
    """
    value, noise = draws[:, 0], draws[:, 1:] - draws[:, 1:].mean(axis=1, keepdims=True)
    spread = noise.std(axis=1, ddof=1)
    ratio = np.abs(noise) / np.maximum(spread, 1e-300)[:, None]
    critical = float(np.quantile(ratio.max(axis=0), confidence_level, method="weibull"))
    return Simultaneous(value, value - critical * spread, value + critical * spread)


# --------------------------------------------------------------------------------------- sentences


def _calibration(study: StudyNumbers) -> str:
    """Return what methods do to the scores that hold calibration, as means over models."""
    reference = reference_of(study)
    if all(one == reference or one.startswith("conformal") for one in study.methods):
        return ""
    start = [everything(model, reference) for model in study.models]
    parts = []
    for metric in ("brier", KERNEL):
        changes = [
            f"{method_words(method)} "
            + plus_minus(study.contrast(_all(study, method), start, metric))
            for method in study.methods
            if method != reference and not method.startswith("conformal")
        ]
        before = with_ends(study.contrast(start, [], metric))
        parts.append(f"{TITLES[metric]} {method_words(reference)} {before}; {', '.join(changes)}")
    return f"Probabilities, mean over models: {'. '.join(parts)}."


def _all(study: StudyNumbers, method: str) -> list[Key]:
    return [everything(model, method) for model in study.models]


def compared_sets(study: StudyNumbers) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Return the first set, another one, and the members of all models that read one or the other.

    Returns
    -------
    pairs : list of (str, str, list of (str, str))
        Names of both sets, and per model the member with the first and that with the other.
    """
    sets = dict.fromkeys(name for _, name in study.members.values() if name is not None)
    first, *others = [*sets] or [""]
    member = {pair: name for name, pair in study.members.items()}
    models = dict.fromkeys(model for model, _ in study.members.values())
    return [
        (first, other, [(member[model, first], member[model, other]) for model in models])
        for other in others
    ]


def set_change(study: StudyNumbers, members: list[tuple[str, str]], metric: str) -> StudyDifference:
    """Return the change of a metric from the first set to another, as a mean over models."""
    method = reference_of(study)
    return study.contrast(
        [everything(other, method) for _, other in members],
        [everything(first, method) for first, _ in members],
        metric,
    )


def _features(study: StudyNumbers) -> str:
    parts = [
        f"{other}: AUROC {plus_minus(set_change(study, members, 'auroc'))}, "
        f"Brier score {plus_minus(set_change(study, members, 'brier'))}"
        for _, other, members in compared_sets(study)
    ]
    if not parts:
        return ""
    first = compared_sets(study)[0][0]
    return (
        f"Features, {method_words(reference_of(study))} probabilities, mean over models, against "
        f"{first}: {'; '.join(parts)}."
    )


def _scale(study: StudyNumbers) -> str:
    """Return how many rows one threshold keeps by the scales of several methods."""
    others = [name for name in ("raw", "platt", "venn_abers") if name in study.methods]
    if "conformal" not in study.methods or not others:
        return ""

    def share(method: str) -> str:
        keys: list[Key] = [
            (model, method, MAX_PROBABILITY, "threshold", STRICT) for model in study.models
        ]
        return in_percent(study.contrast(keys, [], SHARE))

    shares = _listed(["conformal", *others], share)
    return (
        f"Thresholds are not comparable: a certainty of {STRICT:g} keeps {shares} of the rows. "
        f"Compare at equal shares."
    )


def _listed(methods: list[str], value: Callable[[str], str]) -> str:
    return ", ".join(f"{method_words(name)} {value(name)}" for name in methods)


def _pair(study: StudyNumbers) -> str:
    """Return what the recommended certainty brings at half of the rows."""
    if study.recommended is None:
        return ""
    method, certainty = study.recommended

    def half(method: str, certainty: str) -> list[Key]:
        return [(model, method, certainty, "share", HALF) for model in study.models]

    own, borrowed = half(method, MAX_PROBABILITY), half(method, certainty)
    gains = []
    for metric in ("auroc", "accuracy", "brier"):
        pair = study.contrast(borrowed, [], metric)
        by_own = study.contrast(borrowed, own, metric)
        by_p = study.contrast(borrowed, half("conformal", CONFIDENCE), metric)
        if np.isfinite([pair.low, by_own.low, by_p.low]).all():
            gains.append(
                f"{TITLES[metric]} {with_ends(pair)}, {plus_minus(by_own)} against its own "
                f"certainty and {plus_minus(by_p)} against conformal p by confidence"
            )
    measured = f" With the more certain half kept: {'; '.join(gains)}." if gains else ""
    return (
        f"The default pair keeps rows by conformal confidence and reports Venn-ABERS "
        f"probabilities.{measured}"
    )
