"""Predicted distributions of a number, one per row.

    law            what a family of distributions answers, rows unchecked
    predictive     `PredictiveDistribution`: the checked object that users hold
    score_law      increasing functions of a score with one law: given and recalibrated ones
    shapes         the laws of that score: normal, Student's t
    pool           averages of quantile functions
    lattice        equally likely points, and any law for labels that take few values
    given          distributions as they are handed over, checked
    recalibration  fits of the law of scores
    scores         ranked probability scores of known families
    search         places of numbers in sorted rows

Families know their own formulas; the object checks what comes in, works in blocks of rows and
draws the random numbers.
"""
