"""Split-point intervals of regressors."""
