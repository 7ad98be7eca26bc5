"""Calibration errors from bins, and their tables."""
