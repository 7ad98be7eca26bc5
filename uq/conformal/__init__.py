"""Conformal sets, p-values and quantiles.

    classifier         `ConformalClassifier`; state: what it knows once fitted
    regressor          `ConformalRegressor`, from interval_fitting, bands and ends
    boxes              `ConformalBoxes`
    online             `AdaptiveConformal`
    p_values           `conformal_p_values`, `mondrian_p_values`, `forced_prediction`
    quantiles          `conformal_quantile`, with and without weights
    likelihood_ratio   `LikelihoodRatio`: weights under covariate shift
    nonconformity      scores of every class
    categories         calibration scores by category and fold
    calibrated_scores  sets and p-values out of them

Public names are imported from `uq`.
"""
