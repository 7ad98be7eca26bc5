"""Calibration maps, one method a file; the public names live in `calib`."""
