"""Resampling, floors and intervals of measures.

    draws           draws with replacement as counts, of samples or groups
    redrawn_labels  labels drawn from the predictions: what chance alone shows
    group_redraws   the same with dependence inside groups
    wild            floors by random signs of units, whatever the dependence inside them
    intervals       from draws to intervals
    wild            floors of binned errors by random signs of whole units
    loops           inner loops that numba compiles where it is installed

Public names are imported from `calib.evaluation`.
"""
