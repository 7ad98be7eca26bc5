"""Calibration errors from bins, and their tables.

    errors   `expected_calibration_error` and its relatives: one number from bins
    signed   over- and underconfidence apart
    squared  the squared error of bins, with and without its bias
    sweep    as many bins of equal mass as keep the observed rates in order
    tables   `binned_calibration_table`, which every binned error summarises

Public names are imported from `calib.evaluation`.
"""
