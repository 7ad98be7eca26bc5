"""Proper scores, their decompositions, and what post-hoc calibration gains."""
