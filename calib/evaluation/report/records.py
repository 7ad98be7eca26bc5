"""The records that a calibration report is made of: a measure, and all measures of a model."""

from __future__ import annotations

from dataclasses import dataclass

from calib.evaluation.binned.tables import BinnedCalibrationTable
from calib.evaluation.display.cumulative import CumulativeCurve
from calib.evaluation.report.further_measures import FURTHER
from calib.evaluation.sampling.intervals import Interval

#: How far sums in another order may push a value out of a range that has no width.
ROUNDING = 1e-12
ERROR_NOTE = (
    "Value: as the function of that name returns it. Chance alone keeps a calibration error above "
    "0, so its interval is of what is left without the part of chance (debiased) and starts above "
    "0 exactly where there is a star; it need not hold the value itself."
)
#: Measures whose value under calibration is a floor: only values above it speak against the model.
ERRORS = (
    "expected_calibration_error",
    "adaptive_calibration_error",
    "overconfidence",
    "underconfidence",
    *FURTHER,
)


@dataclass(frozen=True)
class MeasureResult:
    """A measure of one model.

    Attributes
    ----------
    interval : Interval
        Confidence interval. Its ``value`` is the number that it holds: of a calibration error what
        is left without the part of chance, of other measures the value of the sample.
    calibrated : Interval
        The same measure with labels redrawn from the predictions: ``mean`` is what the model would
        show on average if its probabilities were right. ``low`` and ``high`` bound what chance
        explains, for all measures of the report together at its confidence level.
    """

    interval: Interval
    calibrated: Interval

    @property
    def value(self) -> float:
        """The measure on the sample, as the function of its name returns it (the usual value)."""
        return self.interval.usual

    @property
    def usual(self) -> float:
        """The same as `value`."""
        return self.interval.usual

    @property
    def debiased(self) -> float:
        """The number that the interval holds: without the part of chance, for errors."""
        return self.interval.value

    @property
    def low(self) -> float:
        """Lower end of the interval; of an error above 0 exactly if it is beyond chance."""
        return self.interval.low

    @property
    def high(self) -> float:
        """Upper end of the interval."""
        return self.interval.high

    @property
    def floor(self) -> float:
        """What a calibrated model would show on average."""
        return self.calibrated.mean

    @property
    def floor_low(self) -> float:
        """Lower end of what chance explains, for all measures of the report together."""
        return self.calibrated.low

    @property
    def floor_high(self) -> float:
        """Upper end of what chance explains, for all measures of the report together."""
        return self.calibrated.high

    def surprises(self, name: str) -> bool:
        """Return whether a calibrated model would rarely show this value.

        Rarely means: in no more than ``1 - confidence_level`` of samples, for any measure of the
        report; there is one error rate for all of them.
        """
        above = self.value > self.calibrated.high + ROUNDING
        return above if name in ERRORS else above or self.value < self.calibrated.low - ROUNDING


@dataclass(frozen=True, eq=False)
class ModelReport:
    """All results of one model.

    Attributes
    ----------
    measures : dict of str to MeasureResult
        In the order of the report.
    table : BinnedCalibrationTable
        The bins of the expected calibration error.
    mean_prediction, mean_event : float
        Mean confidence and accuracy (top label), or mean probability and rate of the second class.
    n_impossible : int
        Samples whose label had probability 0; their log loss is infinite and was cut.
    class_table : BinnedCalibrationTable or None
        The bins of the adaptive calibration error, class after class; None where a report is made
        from sums.
    curve : CumulativeCurve or None
        Events minus predictions, added up in the order of the predictions; None likewise.
    """

    measures: dict[str, MeasureResult]
    table: BinnedCalibrationTable
    mean_prediction: float
    mean_event: float
    n_impossible: int
    class_table: BinnedCalibrationTable | None = None
    curve: CumulativeCurve | None = None
