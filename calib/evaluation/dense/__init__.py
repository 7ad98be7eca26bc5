"""Probabilities of pixels and tokens, with images as the units of all intervals.

    report   `dense_report`: errors, intervals and floors by image, of one model or several
    results  `DenseReport` and the models in it, their differences, tables and sentences
    sums     what is kept of an image

Public names are imported from `calib.evaluation`.
"""
