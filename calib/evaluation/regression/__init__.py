"""Intervals and quantiles of regressors against what happened.

    intervals      coverage, width and score of prediction intervals
    distributions  predicted distributions as they are given
    quantiles      ranked probability score and integral transform of predicted quantiles

Public names are imported from `calib.evaluation`.
"""
