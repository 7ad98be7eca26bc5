"""Probabilities of pixels and tokens, with images as the units of all intervals.

    report  `dense_report`: errors, intervals and floors by image
    sums    what is kept of an image

Public names are imported from `calib.evaluation`.
"""
