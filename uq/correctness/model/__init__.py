"""Correctness models: records of answers to the probability that each is right.

    model          `CorrectnessModel`
    records        answers as columns, by what they mean
    features       what the model reads of them; text_scores: linear scores of texts
    history        what became of similar questions
    judges         the last stage: trees and their maps
    recalibration  maps fitted to few labels
    groups_table   how the model does on every group

Public names are imported from `uq`.
"""
