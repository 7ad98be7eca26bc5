"""Correctness-aware calibration: one temperature per sample from several views of it.

    calibrator  `CorrectnessAwareCalibrator`
    network     from the behaviour of the top classes to a temperature

Public names are imported from `calib`.
"""
