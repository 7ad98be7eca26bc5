"""Resampling, floors and intervals of measures."""
