"""Streams of labelled predictions: reports from sums over batches, and alarms.

    accumulator  `CalibrationAccumulator` and `accumulated_report`: one pass, pieces that merge
    sums         what an accumulator keeps
    redraws      from sums to values, replicates and values under calibration
    results      from sums to the measures of a report
    monitor      `CalibrationMonitor`: an alarm once probabilities are miscalibrated
    monitor_results  what it knows, as a document
    arrivals     ids of predictions that wait for labels, and time stamps
    score_sequence  `score_difference_sequence`: two models compared at any time

Public names are imported from `calib.evaluation`.
"""
