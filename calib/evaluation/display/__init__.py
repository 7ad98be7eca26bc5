"""Diagrams.

    reliability    `ReliabilityDisplay`; classwise: the same for many classes
    cumulative     `CumulativeDisplay` and its curve
    distributions  `PITDisplay`, `CoverageDisplay`, `PredictiveDistributionDisplay`
    detection      `DetectionHeatmapDisplay`: the gap by position in the image
    axes           what all pictures share, and `save_figure`

Public names are imported from `calib.evaluation`.
"""
