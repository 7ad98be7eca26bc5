"""Every warning of `uq`; all are exported by the package."""

from __future__ import annotations

from calib.warnings import (
    CalibWarning,
    CrossingQuantilesWarning as CrossingQuantilesWarning,
    SmallCalibrationSetWarning as SmallCalibrationSetWarning,
)


class ConformalWarning(CalibWarning):
    """Base of the warnings about conformal sets that hold less, or more, than expected."""


class EffectiveSampleSizeWarning(ConformalWarning):
    """Likelihood ratios are so uneven that few calibration samples carry the result."""


class PooledCategoryWarning(ConformalWarning):
    """A category uses the scores of all samples, so its own coverage is not guaranteed."""


class EmptyIntervalWarning(ConformalWarning):
    """Lower ends passed upper ends; both were put in the middle."""


class UnmatchedBoxesWarning(CalibWarning):
    """Predicted and true boxes hardly overlap, or have sizes of another unit."""


class InSampleResidualsWarning(CalibWarning):
    """Heads are fitted on residuals of rows that the estimator was trained on."""


class FewSideRowsWarning(CalibWarning):
    """One side of the split points has too few residuals to learn from inputs."""


class BiasedSplitPointWarning(CalibWarning):
    """Residuals do not average zero, as they do for a model of the conditional mean."""


class NothingKeptWarning(CalibWarning):
    """No threshold could be shown to keep the risk below its target, so nothing is answered."""


class RiskNotControlledWarning(CalibWarning):
    """No threshold could be shown to keep the risk within its target."""


class SharedRowsWarning(CalibWarning):
    """Rows are in both of two samples that are compared."""


class InvalidConfidenceWarning(CalibWarning):
    """Numbers of records cannot be what they are said to be, and count as missing."""


class DuplicateQuestionsWarning(CalibWarning):
    """Questions of equal text stand under several names."""


class UnseenModelWarning(CalibWarning):
    """Records name models that were not there at fit."""


class UnlabelledEstimateWarning(CalibWarning):
    """An estimate without labels leaves something out, or rests on probabilities that are off."""
