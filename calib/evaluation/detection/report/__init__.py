"""The report of one or several detectors."""
