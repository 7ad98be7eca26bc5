"""A threshold for stopping early (reasoning, cascades, retries) whose risk is bounded."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from calib._border.checks import check_fraction, check_option
from calib._border.optional import require
from calib._border.typing import ArrayLike, Float64Array, IntArray
from calib._border.validation import check_score_vector
from calib._border.warn import warn
from calib._documents.document import (
    Block,
    Cell,
    Column,
    Document,
    Fold,
    Group,
    Notes,
    Table,
    Verdict,
)
from calib._documents.documented import Documented
from uq.correctness.step_rows import read_steps
from uq.correctness.step_tests import risk_test, upper_bound
from uq.selective.tied_risk import warn_if_reversed
from uq.warnings import RiskNotControlledWarning

Risk: TypeAlias = Literal["error", "excess"]
Procedure: TypeAlias = Literal["fixed_sequence", "bonferroni"]

#: Thresholds that are tested at once.
BLOCK = 64
#: Rows of the table that is printed.
TABLE_ROWS = 9
SENTENCES = {
    "stops": "Stop at confidence {threshold}: {saved} % of the {unit} saved, {promise} with "
    "confidence {level} %.",
    "end": "Run to the end: no earlier stop could be shown to keep {promised}.",
    "none": "Run to the end: no threshold could be shown to keep {promised}.",
    "observed": "On the {n_rows} calibration rows: error {error} % when stopping there, {end} % "
    "at the end of all steps; {mean} of {all} steps on average.",
    "bound": "Upper confidence bound of the {what} at this threshold alone: {bound} {measure}.",
    "shortage": "Error {end} % at the end of all steps ({n_rows} rows); the p-value {p} of {which} "
    "exceeds {needed}.",
}
PROMISES = {
    "error": ("error at most {target} %", "the error within {target} %"),
    "excess": (
        "error at most {target} points above that of all steps",
        "the error within {target} points of that of all steps",
    ),
}


@dataclass(frozen=True, eq=False, repr=False)
class StoppingThreshold(Documented):
    """Result of `control_stopping_risk`; printing it shows the answer and a table of thresholds.

    Attributes
    ----------
    threshold : float
        Stop at the first step with at least this confidence; inf to run to the end. Of all numbers
        between two neighbouring confidences, which share their p-value, the one with fewest digits.
    certified : bool
        Whether the guarantee holds. False only where no threshold passed; the threshold is then inf
        and, for ``risk="error"``, even running to the end may exceed the target.
    risk : float
        Risk on the calibration rows at the threshold.
    risk_bound : float
        Upper confidence bound of the risk at this threshold alone, at the level that was tested.
    error, error_at_end : float in [0, 1]
        Mean loss on the calibration rows when stopping at the threshold, and at the last step.
    mean_steps, mean_steps_at_end : float >= 1
        Mean number of steps taken, and available.
    steps_saved : float in [0, 1]
        Share of all steps that is not taken.
    cost_saved : float in [0, 1]
        The same in units of `cost`; equals `steps_saved` without it.
    target_risk : float in (0, 1)
        Largest risk allowed.
    confidence_level : float in (0, 1)
        Probability of the guarantee.
    kind : {"error", "excess"}
        Which risk is bounded.
    procedure : {"fixed_sequence", "bonferroni"}
        How the level is kept over the thresholds.
    n_rows, n_tested : int
        Calibration rows, and thresholds whose p-value was looked at.
    failed_p_value : float
        p-value at which the walk ended (``"bonferroni"``: the smallest that failed); NaN if all
        passed.
    level : float in (0, 1)
        What a p-value must not exceed.
    thresholds, risks, p_values, step_shares : ndarray of shape (n_thresholds,)
        All thresholds from the strictest on, with risk, p-value (NaN where not tested) and share of
        all steps that is saved, on the calibration rows.
    """

    threshold: float
    certified: bool
    risk: float
    risk_bound: float
    error: float
    error_at_end: float
    mean_steps: float
    mean_steps_at_end: float
    steps_saved: float
    cost_saved: float
    target_risk: float
    confidence_level: float
    kind: Risk
    procedure: Procedure
    n_rows: int
    n_tested: int
    failed_p_value: float
    level: float
    thresholds: Float64Array
    risks: Float64Array
    p_values: Float64Array
    step_shares: Float64Array

    def apply(self, confidence: ArrayLike) -> IntArray:
        """Return the step at which every row stops.

        Parameters
        ----------
        confidence : array-like of shape (n_rows, n_steps) or list of sequences
            As in `control_stopping_risk`; other numbers of steps are fine.

        Returns
        -------
        steps : ndarray of int, shape (n_rows,)
            Numbered from 0, so that ``answers[np.arange(n_rows), steps]`` are the answers. The last
            step of a row where none passes.

        Raises
        ------
        ValueError
            For NaN before a number, inf, or rows without steps.
        """
        return read_steps(confidence).stops(self.threshold)

    @property
    def answer(self) -> list[Verdict]:
        """Where to stop, what is saved and promised, and what was observed."""
        percent = f"{100 * self.target_risk:.4g}"
        promise, promised = (text.format(target=percent) for text in PROMISES[self.kind])
        priced = self.cost_saved != self.steps_saved
        end = f"{100 * self.error_at_end:.1f}"
        case = "none" if not self.certified else "end" if self.threshold == math.inf else "stops"
        verdicts = [
            Verdict(
                case,
                SENTENCES[case],
                {
                    "threshold": f"{self.threshold:.10g}",
                    "saved": f"{100 * self.cost_saved:.0f}",
                    "unit": "cost" if priced else "steps",
                    "promise": promise,
                    "promised": promised,
                    "level": f"{100 * self.confidence_level:g}",
                },
            )
        ]
        if case != "stops":
            shortage = {
                "end": end,
                "n_rows": f"{self.n_rows:,}",
                "p": f"{self.failed_p_value:.3g}",
                "which": "the first early stop"
                if case == "end"
                else "the first threshold"
                if self.procedure == "fixed_sequence"
                else "the best threshold",
                "needed": f"{self.level:.3g}",
            }
            return [*verdicts, Verdict("shortage", SENTENCES["shortage"], shortage)]
        observed = {
            "n_rows": f"{self.n_rows:,}",
            "error": f"{100 * self.error:.1f}",
            "end": end,
            "mean": f"{self.mean_steps:.2f}",
            "all": f"{self.mean_steps_at_end:.2f}",
        }
        bound = {
            "what": "error" if self.kind == "error" else "excess",
            "bound": f"{100 * self.risk_bound:.1f}",
            "measure": "%" if self.kind == "error" else "points",
        }
        return [
            *verdicts,
            Verdict("observed", SENTENCES["observed"], observed),
            Verdict("bound", SENTENCES["bound"], bound),
        ]

    @property
    def heading(self) -> str:
        """What was done, in one line."""
        return (
            f"{self.n_rows:,} calibration rows with {self.mean_steps_at_end:.4g} steps on average; "
            f"{self.n_tested:,} of {len(self.thresholds):,} thresholds tested"
        )

    def document(self) -> Document:
        """Return the answer, a table of thresholds, and how to read it."""
        what = "Error" if self.kind == "error" else "Excess error"
        titles = ("Steps saved", what, "p-value")
        rows = []
        for place in self._shown():
            chosen = self.certified and self.thresholds[place] == self.threshold
            p = self.p_values[place]
            share, risk = 100 * self.step_shares[place], 100 * self.risks[place]
            name = f"{self.thresholds[place]:.4g}"
            if chosen:
                name = f"{self.threshold:.10g}  chosen"
            elif self.thresholds[place] == math.inf:
                name = "run to the end"
            ink: Literal["recommended", "plain"] = "recommended" if chosen else "plain"
            rows.append(
                [
                    Cell(name, ink=ink),
                    Cell(f"{share:.1f} %"),
                    Cell(f"{risk:.1f} %"),
                    Cell("not tested" if math.isnan(p) else f"{p:.2g}"),
                ]
            )
        notes = [
            f"Stop at the first step whose confidence is at least the threshold, else at the last. "
            f"With probability {self.confidence_level:g} over the calibration rows, the risk of "
            f"future rows at the chosen threshold is at most {self.target_risk:g}.",
            f"A threshold passes where its p-value is at most {self.level:.3g}. "
            + (
                "From the strictest on, the walk ends at the first that does not pass."
                if self.procedure == "fixed_sequence"
                else "Each is tested on its own, at a share of the level."
            ),
            "The bound holds for the average over rows like those of the calibration, not for any "
            "group of them, and not after the model or the prompts have changed.",
        ]
        headline, *bullets = self.answer
        columns = [Column("Confidence", kind="text"), *(Column(title) for title in titles)]
        blocks: list[Block] = [
            Table(columns, [Group(rows)]),
            Fold("How to read this", [Notes(notes)]),
        ]
        return Document("Stopping with a guarantee", self.heading, blocks, headline, bullets)

    def _shown(self) -> IntArray:
        """Return thresholds evenly spread over the steps saved, and the chosen one."""
        wanted = np.linspace(self.step_shares[0], self.step_shares[-1], TABLE_ROWS)
        places = np.searchsorted(self.step_shares, wanted).clip(max=len(self.thresholds) - 1)
        chosen = np.flatnonzero(self.thresholds == self.threshold)
        return np.union1d(places, chosen).astype(np.intp)

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers but those of single thresholds as a dictionary, for JSON."""
        return {
            name: value for name, value in vars(self).items() if not isinstance(value, np.ndarray)
        }

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with one row per threshold.

        Returns
        -------
        frame : pandas.DataFrame
            Columns ``threshold``, ``risk``, ``p_value``, ``steps_saved``, strictest first.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        pandas = require("pandas", extra="pandas", purpose="StoppingThreshold.to_frame")
        return pandas.DataFrame(
            {
                "threshold": self.thresholds,
                "risk": self.risks,
                "p_value": self.p_values,
                "steps_saved": self.step_shares,
            }
        )


def control_stopping_risk(
    confidence: ArrayLike,
    correct: ArrayLike,
    *,
    target_risk: float = 0.1,
    confidence_level: float = 0.9,
    risk: Risk = "error",
    thresholds: ArrayLike = None,
    procedure: Procedure = "fixed_sequence",
    cost: ArrayLike = None,
) -> StoppingThreshold:
    """Choose the lowest confidence at which to stop so that the risk is surely in bounds.

    Steps are stages of reasoning, retries, or models of a cascade: one stops at the first whose
    confidence reaches the threshold, and takes the answer of the last where none does. With
    probability `confidence_level` over the calibration rows, the risk of this rule on future rows
    is at most `target_risk` (Learn then Test).

    Parameters
    ----------
    confidence : array-like of shape (n_rows, n_steps) or list of sequences
        Confidence after every step, larger for more certain, on any scale: only its order counts.
        Rows with fewer steps end in NaN, or are shorter sequences.
    correct : array-like of shape (n_rows, n_steps) or list of sequences
        Whether the answer after that step is right: 0 and 1, or a grade in [0, 1]. NaN exactly
        where `confidence` is NaN.
    target_risk : float in (0, 1), default=0.1
        Largest risk allowed.
    confidence_level : float in (0, 1), default=0.9
        Probability that the bound holds, ``1 - delta``.
    risk : {"error", "excess"}, default="error"
        ``"error"`` bounds the error rate of the answers that one stops with, over all rows.
        ``"excess"`` bounds by how much it exceeds the error rate of running to the end: use it
        where the error of the last step is not small enough itself, or is not the question.
    thresholds : array-like of shape (n_thresholds,) or None, default=None
        Thresholds that may be chosen, fixed without these rows. None allows every number, which
        needs no choice in advance (see Notes).
    procedure : {"fixed_sequence", "bonferroni"}, default="fixed_sequence"
        ``"fixed_sequence"`` lowers the threshold until one cannot be shown safe.
        ``"bonferroni"`` tests all of `thresholds`, which it needs, each at a share of the level:
        for risks that rise and fall, where the strictest thresholds are not the safest.
    cost : array-like of shape (n_steps,) or (n_rows, n_steps), or None, default=None
        What every step costs, >= 0, in any unit (tokens, money). Changes what is reported as saved,
        not the choice.

    Returns
    -------
    result : StoppingThreshold
        ``result.threshold``, ``result.steps_saved``, and ``result.apply(confidence)`` for new rows.

    Raises
    ------
    ValueError
        For NaN before a number or inf in `confidence`, values outside [0, 1] or missing in
        `correct`, shapes that differ, a single step, negative costs, ``"bonferroni"`` without
        thresholds, or an option out of range.

    Warns
    -----
    RiskNotControlledWarning
        If no threshold passes, or none but running to the end: the threshold is then inf.
    DegenerateScoresWarning
        If wrong answers of the first step come with higher confidence, far beyond chance.

    See Also
    --------
    control_selective_risk : Leave out rows, where this leaves out steps.

    Notes
    -----
    *p-values.* The loss of a row is ``1 - correct`` where it stops, for ``"excess"`` minus that of
    its last step. Errors of 0 and 1 are binomial: ``P(Bin(n, r) <= k)``. Their excess is the
    difference of harmed and rescued rows, a trinomial; its p-value is the largest over the rates of
    changed answers in their confidence range at ``delta / 20``, plus that share [2]. Grades are
    tested by betting [3]: ``1 / K`` with ``K`` the mean of ``prod(1 + b (r - loss))`` over bets b,
    whatever their distribution, with less power.

    *All thresholds, without a grid.* The hypotheses "the risk at t exceeds the target" for all real
    t are tested from the strictest on, until the first is not rejected; the order is fixed
    whatever the data are. p-values change at observed confidences only, so these are the places to
    look. If the chosen t is unsafe, then some unsafe thresholds, arbitrarily close to the strictest
    unsafe ones, have all been rejected, and each of those is rejected with probability at most
    ``1 - confidence_level``. The risk need not be monotone for this; where it is not, the walk only
    ends earlier. A grid of quantiles of the same confidences would not do: whether a p-value is
    valid at a threshold that the rows have chosen is another question.

    Rows must be independent and like those to come; steps of one row may depend on each other in
    any way. Neither weights nor several rows of one question have this guarantee: draw one row
    of each question. No threshold passes for ``risk="error"`` with fewer than ``log(1 -
    confidence_level) / log(1 - target_risk)`` rows. Cost: O(n s log(n s)) for n rows of s steps.

    References
    ----------
    .. [1] A. N. Angelopoulos, S. Bates, E. J. Candès, M. I. Jordan, L. Lei. Learn then Test:
       Calibrating Predictive Algorithms to Achieve Risk Control. 2021. arXiv:2110.01052
    .. [2] R. L. Berger, D. D. Boos. P Values Maximized Over a Confidence Set for the Nuisance
       Parameter. JASA 89, 1994. doi:10.1080/01621459.1994.10476836
    .. [3] I. Waudby-Smith, A. Ramdas. Estimating means of bounded random variables by betting.
       JRSS B 86, 2024. arXiv:2010.09686
    .. [4] T. Schuster et al. Confident Adaptive Language Modeling. NeurIPS 2022. arXiv:2207.07061

    Examples
    --------
    >>> import numpy as np
    >>> from uq import control_stopping_risk
    >>> rng = np.random.default_rng(0)
    >>> skill = np.linspace(0.5, 0.95, 4)  # of four models, small to large
    >>> confidence = rng.beta(4 * skill, 4 * (1 - skill), size=(1000, 4))
    >>> correct = rng.random((1000, 4)) < confidence
    >>> result = control_stopping_risk(confidence, correct, target_risk=0.1)
    >>> print(f"{result.threshold:.3f} {result.steps_saved:.3f} {result.risk:.3f}")
    0.775 0.332 0.087
    >>> result.apply([[0.4, 0.9, 0.5, 0.6], [0.1, 0.2, 0.3, 0.4]])
    array([1, 3])
    """
    target_risk = check_fraction("target_risk", target_risk)
    confidence_level = check_fraction("confidence_level", confidence_level)
    check_option("risk", risk, ("error", "excess"))
    check_option("procedure", procedure, ("fixed_sequence", "bonferroni"))
    allowed = _read_thresholds(thresholds, procedure)
    rows = read_steps(confidence)
    loss = rows.losses(correct)
    if (rows.lengths == 1).all():
        raise ValueError(
            "confidence has one step per row, so there is nothing to stop; pass two or more"
        )
    cumulative = rows.cumulative_costs(cost)
    warn_if_reversed(
        loss[:, 0],
        rows.confidence[:, 0],
        "correct",
        cure="pass 1 for right answers, or the negative of the doubt",
    )
    levels = rows.moves.levels
    places = np.arange(len(levels))
    if allowed is None:
        allowed = levels
    else:
        places = np.searchsorted(-levels, -allowed, side="right") - 1

    at_end = float(rows.at_end(loss).mean())
    excess = risk == "excess"
    if excess:
        loss = np.where(rows.exists, loss - rows.at_end(loss)[:, None], 0.0)
    level = 1 - confidence_level
    level = level if procedure == "fixed_sequence" else level / len(allowed)
    test = risk_test(rows, loss, excess=excess, level=level)
    known = int(excess and thresholds is None)  # the end does not exceed itself
    p_values = np.full(len(places), np.nan)
    passed = known - 1
    for start in range(known, len(places), BLOCK):
        block = slice(start, start + BLOCK)
        p_values[block] = test(places[block], target_risk)
        safe = p_values[block] <= level
        if procedure == "fixed_sequence" and not safe.all():
            failed = start + int(np.argmin(safe))
            p_values[failed + 1 :] = np.nan
            passed = failed - 1
            break
        passed = start + int(np.flatnonzero(safe)[-1]) if safe.any() else passed

    place = int(places[passed]) if passed >= 0 else 0
    if place and thresholds is None:
        below = levels[place + 1] if place + 1 < len(levels) else -math.inf
        allowed = allowed.copy()
        allowed[passed] = _roundest(float(levels[place]), float(below))
    risks = rows.totals(loss) / len(loss)
    steps = rows.totals(rows.numbers) / len(loss)
    costs = steps if cost is None else rows.totals(cumulative)
    tested = p_values[np.isfinite(p_values)]
    result = StoppingThreshold(
        threshold=float(allowed[passed]) if place else math.inf,
        certified=passed >= 0,
        risk=float(risks[place]),
        risk_bound=upper_bound(test, place, float(risks[place]), level),
        error=float(risks[place]) + (at_end if excess else 0.0),
        error_at_end=at_end,
        mean_steps=float(steps[place]),
        mean_steps_at_end=float(steps[0]),
        steps_saved=float(1 - steps[place] / steps[0]),
        cost_saved=float(1 - costs[place] / costs[0]),
        target_risk=target_risk,
        confidence_level=confidence_level,
        kind=risk,
        procedure=procedure,
        n_rows=len(loss),
        n_tested=len(tested),
        failed_p_value=float(np.min(tested, where=tested > level, initial=1.0))
        if (tested > level).any()
        else math.nan,
        level=level,
        thresholds=allowed,
        risks=risks[places],
        p_values=p_values,
        step_shares=1 - steps[places] / steps[0],
    )
    if not place:
        headline, reason = result.answer
        warn(
            f"{headline} {reason} Raise target_risk, lower confidence_level, or use more rows",
            RiskNotControlledWarning,
        )
    return result


def _roundest(threshold: float, below: float) -> float:
    """Return the number with the fewest digits, two or more, that is above one and up to another.

    Between two neighbouring confidences all thresholds have the same p-value, so they have all
    passed or none has.
    """
    place = math.floor(math.log10(abs(threshold))) if threshold else 0
    for decimals in range(1 - place, min(17 - place, 300)):
        number = round(math.floor(threshold * 10.0**decimals) / 10.0**decimals, max(decimals, 0))
        if below < number <= threshold:
            return number
    return threshold


def _read_thresholds(thresholds: ArrayLike, procedure: Procedure) -> Float64Array | None:
    """Return distinct thresholds from the strictest on, None for all numbers."""
    if thresholds is None:
        if procedure == "bonferroni":
            raise ValueError(
                "procedure='bonferroni' needs thresholds, fixed without these rows: pass for "
                "example thresholds=np.linspace(0, 1, 21) for confidences in [0, 1]"
            )
        return None
    return np.unique(check_score_vector(thresholds, "thresholds"))[::-1]
