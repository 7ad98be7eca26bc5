"""Abstention: selective classifiers, risk against coverage, certainty.

    classifier        `SelectiveClassifier`
    risk_control      `control_selective_risk`, `abstention_utility`
    risk_coverage     `risk_coverage_curve` and areas under it; tied_risk: its ties
    selective_table   `selective_table`: what abstention gains for every model
    certainty         certainty from intervals and p-values
    certainty_curves  `certainty_curve`, on the rows of kept_rows

Public names are imported from `uq`.
"""
