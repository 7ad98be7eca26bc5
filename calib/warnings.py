"""Every warning of `calib`; all are exported by the package that issues them.

`CalibWarning` is the base of all of them and of those of `uq`, so that one filter reaches every
word of the library. The warnings of a fit that did not converge are scikit-learn's
``ConvergenceWarning``.
"""

from __future__ import annotations


class CalibWarning(UserWarning):
    """Base of every warning of the library."""


class CalibrationWarning(CalibWarning):
    """Base of the warnings about scores or labels that look wrong but may be meant."""


class ProbabilitiesAsLogitsWarning(CalibrationWarning):
    """Scores declared as logits look like probabilities."""


class DegenerateScoresWarning(CalibrationWarning):
    """Scores carry no information, or contradict the labels."""


class ScarceLabelsWarning(CalibrationWarning):
    """There are too few labels, of some class or of all, for the map that was asked for."""


class ScoreRangeWarning(CalibrationWarning):
    """Scores lie far outside the range that a map was fitted on."""


class CostWarning(CalibWarning):
    """A fit will take long where a related method is quick."""


class RefitWarning(CalibWarning):
    """A trained model was passed without `FrozenEstimator`, so it is trained again."""


class FallbackWarning(CalibrationWarning):
    """A map could not be fitted as asked; a simpler one stands in."""


class NoOptimalThresholdWarning(CalibrationWarning):
    """Some classes have no true positive, hence no optimal threshold of their own."""


class NothingToMeasureWarning(CalibrationWarning):
    """No detection, or no annotated box, is left that the metric could count."""


class BoxFormatWarning(CalibWarning):
    """Boxes look as if they had been read in the wrong format."""


class InvalidRowsWarning(CalibWarning):
    """Rows were dropped because they hold impossible values, as was asked for."""


class UnknownImagesWarning(CalibWarning):
    """Detections were left out because the annotations do not list their images."""


class CorrespondenceWarning(CalibrationWarning):
    """Boxes or classes of detections hardly meet those of the annotations."""


class FitImagesWarning(CalibrationWarning):
    """Images that a calibrator was fitted to are used to judge it."""


class PriorShiftWarning(CalibrationWarning):
    """Class frequencies could not be adapted to as asked, or a class takes no part."""


class CrossingQuantilesWarning(CalibrationWarning):
    """A lower quantile was predicted above a higher one; they were put in order."""


class SmallCalibrationSetWarning(CalibWarning):
    """Too few calibration samples for what is asked: the answer is valid and says nothing."""
