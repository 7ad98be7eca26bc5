"""Split-point intervals of regressors.

    regressor   `SplitPointRegressor`
    heads       `SideMeans` and learned quantiles of both sides; head_inputs: what they see
    intervals   conformal scaling of the two sides
    residuals   residuals on rows that a regressor has not seen
    model       all that is learned of one target
    identities  algebra of mean residuals

Public names are imported from `uq`.
"""
