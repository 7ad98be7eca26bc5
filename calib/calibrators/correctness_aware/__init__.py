"""Correctness-aware calibration: one temperature per sample from several views of it."""
