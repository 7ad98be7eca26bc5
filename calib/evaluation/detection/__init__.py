"""Errors, intervals and tables of detectors."""
