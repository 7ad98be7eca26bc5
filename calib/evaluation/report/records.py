"""The records that a calibration report is made of: a measure, and all measures of a model."""

from __future__ import annotations

import math
from dataclasses import dataclass

from calib._border.typing import Float64Array
from calib.evaluation.binned.tables import BinnedCalibrationTable
from calib.evaluation.display.cumulative import CumulativeCurve
from calib.evaluation.report.further_measures import FURTHER
from calib.evaluation.report.ranking import Ranking
from calib.evaluation.sampling.intervals import Interval, least_redraws

#: The measures that a report compares models by.
MAIN = (
    "log_loss",
    "brier",
    "accuracy",
    "expected_calibration_error",
    "adaptive_calibration_error",
)
#: How far sums in another order may push a value out of a range that has no width.
ROUNDING = 1e-12
ERROR_NOTE = (
    "Value: as the function of that name returns it. Chance alone keeps a calibration error above "
    "0, so its interval is of what is left without the part of chance (debiased) and starts above "
    "0 exactly where there is a star; it need not hold the value itself."
)
#: What the expected calibration error is the sum of.
PARTS_OF_ECE = ("overconfidence", "underconfidence")
#: Measures whose value under calibration is a floor: only values above it speak against the model.
ERRORS = (
    "expected_calibration_error",
    "adaptive_calibration_error",
    *PARTS_OF_ECE,
    *FURTHER,
    "quantile_calibration_error",
    "expected_normalized_calibration_error",
    "uncertainty_calibration_error",
    "pit_distance",
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
    p_value : float
        Share of redrawn samples in which any measure of the report is as far out as this one.
    debiased_limit : float
        The largest number without the part of chance that chance explains; `debiased` is above it
        exactly where there is a star.
    """

    interval: Interval
    calibrated: Interval
    p_value: float = math.nan
    debiased_limit: float = math.nan

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

    @property
    def is_judged(self) -> bool:
        """Whether there are enough redraws for any value to be beyond chance."""
        return self.calibrated.n_resamples >= least_redraws(self.calibrated.confidence_level)

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
    ranges : BinnedCalibrationTable or None
        About ten ranges of the prediction, each with as much mass and information as the others,
        that the figure shows; None likewise.
    """

    measures: dict[str, MeasureResult]
    table: BinnedCalibrationTable
    mean_prediction: float
    mean_event: float
    n_impossible: int
    class_table: BinnedCalibrationTable | None = None
    curve: CumulativeCurve | None = None
    ranges: BinnedCalibrationTable | None = None


@dataclass(frozen=True, eq=False)
class Comparison:
    """Models of a report compared on draws that they share.

    Attributes
    ----------
    reference : str
        Model that the others are compared with, such as the uncalibrated one.
    criterion : {"log_loss", "brier"}
        Measure that ranks the models; the Brier score where a label had probability 0, whose log
        loss is infinite.
    recommended : str
        Of the models that may be the best by the criterion, those without a departure from
        calibration if there are any; among these the reference, else the best.
    order : tuple of str
        Models from best to worst by the criterion.
    rankings : dict of str to Ranking
        By measure, in the order of the models; a measure without numbers has none.
    worse : dict of str to dict of str to float
        Per model the measures that are worse than those of the reference beyond chance, all models
        and measures together, with the least worsening that fits the sample.
    draws : dict of str to ndarray of shape (n_resamples, n_measures)
        Bootstrap draws of all measures, paired between models.
    """

    reference: str
    criterion: str
    recommended: str
    order: tuple[str, ...]
    rankings: dict[str, Ranking]
    worse: dict[str, dict[str, float]]
    draws: dict[str, Float64Array]

    @property
    def names(self) -> tuple[str, ...]:
        """Models in the order given."""
        return tuple(self.draws)

    def may_be_best(self, model: str, measure: str = "") -> bool:
        """Return whether a model cannot be told from the best, by the criterion or a measure."""
        ranking = self.rankings[measure or self.criterion]
        return bool(ranking.may_be_best[self.names.index(model)])

    def behind_at_least(self, model: str, measure: str = "") -> float:
        """Return the least distance to the best model that fits the sample."""
        ranking = self.rankings[measure or self.criterion]
        return float(ranking.behind_at_least[self.names.index(model)])

    @property
    def candidates(self) -> tuple[str, ...]:
        """Models that may be the best by the criterion, from best to worst."""
        return tuple(name for name in self.order if self.may_be_best(name))
