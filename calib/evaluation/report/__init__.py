"""The report of one or several classifiers."""
