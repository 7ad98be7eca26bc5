"""Calibration errors without bins: cumulative, smooth, kernel, density, loess.

    cumulative     cumulative errors, the Kolmogorov-Smirnov error and its test
    smooth         the smooth calibration error
    kernel         kernel errors and their test, from kernel_pairs and kernel_sums
    density        errors from estimates of densities
    loess          the integrated calibration index and its relatives
    brownian       laws of Brownian motion, for cumulative tests
    mirrored_grid  smoothing on [0, 1] with reflection, for smooth errors

Public names are imported from `calib.evaluation`.
"""
