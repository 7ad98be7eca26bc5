"""Measures of tables of labels, each present or not.

    errors  the calibration error of many labels, and the sums behind it
    report  all labels together and each, with floors and verdicts

Public names are imported from `calib.evaluation`.
"""
