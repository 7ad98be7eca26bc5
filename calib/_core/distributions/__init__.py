"""Predicted distributions of a number, one per row.

    law         what a family of distributions answers, rows unchecked
    predictive  `PredictiveDistribution`: the checked object that users hold

Families know their own formulas; the object checks what comes in, works in blocks of rows and
draws the random numbers.
"""
