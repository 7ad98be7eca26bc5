"""What the wrappers share about estimators of others: fit parameters, folds, responses."""
