"""Calibration with a bounded error: the calibrator, its sample and its maps."""
