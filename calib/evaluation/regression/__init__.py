"""Intervals, quantiles and distributions of regressors against what happened.

    intervals      coverage, width and score of prediction intervals
    distributions  predicted distributions as they are given
    quantiles      ranked probability score and integral transform of predicted quantiles
    scores         ranked probability scores of distributions and samples
    errors         calibration errors: of quantiles (QCE), and of the spread (ENCE, UCE)
    curves         integral transforms and coverage, level by level

`regression_report` and its parts live in the room `report`. Public names are imported from
`calib.evaluation`.
"""
