"""Reports from sums over batches.

    accumulator  `CalibrationAccumulator` and `accumulated_report`: one pass, pieces that merge
    sums         what an accumulator keeps
    redraws      from sums to values, replicates and values under calibration
    results      from sums to the measures of a report

Public names are imported from `calib.evaluation`.
"""
