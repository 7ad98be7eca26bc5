"""Predictive distributions around any regressor.

    system        `ConformalPredictiveSystem`
    distribution  what it predicts: distributions that know how many samples calibrate them
    models        models of predictions and scales, and the residuals of samples they have not seen
    law           what those residuals say, in blocks

Public names are imported from `uq`.
"""
