"""The report of one or several detectors.

    reporting  `detection_report`
    protocol   raw threshold, calibration, calibrated threshold
    measures   the numbers of one set of scores
    answer     the sentences on top; page: the document, with its figures
    results    what users hold, made of records

Public names are imported from `calib.evaluation`.
"""
