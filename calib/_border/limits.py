"""Limits beyond which memory and time end before anything is learnt; loads nothing."""

#: Bins (knots, groups) that a method may have.
MOST_BINS = 10_000
#: Redraws of a sample.
MOST_RESAMPLES = 1_000_000
