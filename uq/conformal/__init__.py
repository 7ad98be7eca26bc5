"""Conformal sets, p-values and quantiles."""
