"""Measures of tables of labels, each present or not.

    errors  `multilabel_calibration_error`, and the sums behind it
    report  `multilabel_report`: all labels together and each, with floors and verdicts
"""
