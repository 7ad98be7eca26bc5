"""Scores and detectors of inputs unlike the training data, and their report.

    scores          `energy_score`, `max_logit_score`, ...: from logits or probabilities
    concept_scores  from embeddings of images and of texts
    detectors       `MahalanobisDetector`, `KNearestDetector`
    report          `ood_report`; ranking: how well a score separates

Public names are imported from `uq`.
"""
