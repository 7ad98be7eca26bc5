"""Who is off? Calibration of the segments of a table.

    levels      columns of a table as segments, and their products
    statistics  gaps, exact tails, shapes and intervals of many segments at once
    results     what users hold: verdict, frame, page
    report      `segment_report`, `multicalibration_error`

Public names are imported from `calib.evaluation`.
"""
