"""Errors, intervals and tables of detectors.

    errors                  `detection_calibration_error` and its table (D-ECE)
    localization            errors against the overlap of boxes (LaECE, LaACE)
    lrp                     localisation recall precision
    average_precision_coco  `average_precision`; coco_peers: from other packages
    precision_recall        precision and recall of every class, size and overlap
    sampling                intervals and differences over images, from image_draws
    image_intervals         from draws of images to the interval of a measure
    metrics                 what every metric compares; cell_sums: how sums become it
    outcomes                matched detections as flat rows; tables: sums that merge
    report                  the report of detectors, a room of its own

Public names are imported from `calib.evaluation`.
"""
