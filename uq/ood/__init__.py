"""Scores and detectors of inputs unlike the training data, and their report."""
