"""Predictive distributions around any regressor.

    system  `ConformalPredictiveSystem`
    models  models of predictions and scales, and the residuals of samples they have not seen
    law     what those residuals say of a new sample: distributions that know how many there are

Public names are imported from `uq`.
"""
