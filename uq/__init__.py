"""Uncertainty on top of calibrated probabilities: sets, intervals, doubt scores, decisions."""

__all__: list[str] = []
