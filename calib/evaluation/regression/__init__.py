"""Intervals and quantiles of regressors against what happened."""
