"""Venn-ABERS predictors for classifiers and regressors.

    calibrator  `VennAbersCalibrator`
    regressor   `VennAbersRegressor`
    bridge      the isotonic value of one added point, for all its places

Public names are imported from `calib`.
"""
