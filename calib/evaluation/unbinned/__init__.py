"""Calibration errors without bins: cumulative, smooth, kernel, density, loess."""
