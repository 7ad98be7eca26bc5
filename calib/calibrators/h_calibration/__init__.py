"""Calibration with a bounded error: the calibrator, its sample and its maps.

    calibrator        `HCalibrator`
    canonical         rows in a form that depends on their content alone
    order_preserving  maps that keep the order of the classes
    windowed          the windowed error and its gradient

Public names are imported from `calib`.
"""
