"""Correctness models: records of answers to the probability that each is right."""
