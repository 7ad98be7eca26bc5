"""Venn-ABERS predictors for classifiers and regressors."""
