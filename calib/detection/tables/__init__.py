"""Flat tables of detections and annotations, and their checks.

    detections    `Detections`: boxes and scores of all images as flat arrays
    ground_truth  `GroundTruth`: annotations alike
    image_map     image ids that differ between the two
    flat          what both share; checks: their border

Public names are imported from `calib.detection`.
"""
