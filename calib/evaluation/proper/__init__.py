"""Proper scores, their decompositions, and what post-hoc calibration gains.

    scores       `log_loss`, `brier_score`, and the Brier score taken apart by bins
    losses       losses of single samples
    corp         `score_decomposition`: scores taken apart by isotonic recalibration
    refinement   `refinement_decomposition`: what a map could repair, cross-fitted
    improvement  `post_hoc_improvement`: what a calibrator gained, with its interval

Public names are imported from `calib.evaluation`.
"""
