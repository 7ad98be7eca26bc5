"""Many labels per row, each present or not.

    calibrator  `MultilabelCalibrator`: a map per label, the same map, or shared in part
    pairs       how `CalibratedClassifier` fits models of many labels with it

Public names are imported from `calib`.
"""
