"""Flat tables of detections and annotations, and their checks."""
