"""What a report on predicted distributions holds of every model."""

from __future__ import annotations

from dataclasses import dataclass

from calib.evaluation.regression.curves import CoverageCurve, PitHistogram
from calib.evaluation.regression.quantiles import PitUniformity
from calib.evaluation.regression.report.measures import CONFIDENCE, ENCE, QCE, UCE
from calib.evaluation.report.answer import p_text
from calib.evaluation.report.records import MeasureResult
from calib.evaluation.sampling.intervals import Interval

#: Headings, what stands below them, and what the measures are.
HEADINGS = {
    "crps": ("CRPS", "lower is better"),
    "log_score": ("Log score", "lower is better"),
    **{
        f"coverage_{100 * level:.0f}": (f"{100 * level:.0f} % intervals", "labels inside")
        for level in CONFIDENCE
    },
    "mean_pit": ("Mean PIT", "0.5 if unbiased"),
    QCE: ("QCE", "bias removed"),
    ENCE: ("ENCE", "bias removed"),
    UCE: ("UCE", "bias removed"),
    "pit_distance": ("PIT uniform", "distance"),
}
#: Measures that several models are compared by.
COMPARED = ("crps", "coverage_90", QCE, ENCE)
COVERAGES = tuple(f"coverage_{100 * level:.0f}" for level in CONFIDENCE)


@dataclass(frozen=True, eq=False)
class DistributionReport:
    """All results of one model.

    Attributes
    ----------
    measures : dict of str to MeasureResult
        ``crps``, ``log_score`` (where there is a density), ``coverage_50``, ``coverage_80``,
        ``coverage_90``, ``mean_pit``, ``quantile_calibration_error``,
        ``expected_normalized_calibration_error``, ``uncertainty_calibration_error`` (where there is
        a finite standard deviation) and ``pit_distance``.
    pit : PitUniformity
        Test of the integral transforms.
    p_value : float
        Of that test; from redrawn labels where there are groups.
    histogram : PitHistogram
    coverage : CoverageCurve
    mean_std, mean_width : Interval
        Sharpness: standard deviation, and width of the central interval of 90 %.
    n_infinite : int
        Intervals of 90 % with an infinite end.
    """

    measures: dict[str, MeasureResult]
    pit: PitUniformity
    p_value: float
    histogram: PitHistogram
    coverage: CoverageCurve
    mean_std: Interval
    mean_width: Interval
    n_infinite: int

    @property
    def starred(self) -> tuple[str, ...]:
        """Measures that are beyond chance."""
        return tuple(key for key, m in self.measures.items() if m.surprises(key))

    def _side(self, key: str) -> int:
        """Return on which side of chance a measure is: 1 above, -1 below, 0 inside."""
        measure = self.measures[key]
        if not measure.surprises(key):
            return 0
        return 1 if measure.value > measure.calibrated.high else -1

    @property
    def told(self) -> str:
        """The interval that a sentence is about: the widest that is beyond chance."""
        return next((key for key in reversed(COVERAGES) if self._side(key)), COVERAGES[-1])

    @property
    def words(self) -> str:
        """What is wrong beyond chance, in a word or two."""
        if not self.starred:
            return "no sign of miscalibration"
        parts = []
        bias, cover = self._side("mean_pit"), self._side(self.told)
        if bias:
            parts.append("biased low" if bias > 0 else "biased high")
        # a bias lowers the coverage too; it is too sharp only where transforms spread more as well
        if cover < 0 and (not bias or self.pit.variance_ratio > 1):
            parts.append("too sharp")
        elif cover > 0:
            parts.append("too wide")
        if not parts and set(self.starred) <= {ENCE, UCE}:
            parts.append("wrong in its spread")
        return " and ".join(parts) or "miscalibrated"


def p_of(p: float) -> str:
    """Return a p-value as it stands behind the letter p."""
    text = p_text(p)
    return text if text.startswith("<") else f"= {text}"
