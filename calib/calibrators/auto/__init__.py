"""The calibrator that chooses or averages others.

    calibrator     `AutoCalibrator`
    candidates     what may enter the pool
    cross_fitting  out-of-fold predictions of its members
    pooling        weights of a log-linear pool

Public names are imported from `calib`.
"""
