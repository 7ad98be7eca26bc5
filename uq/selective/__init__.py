"""Abstention: selective classifiers, risk against coverage, certainty."""
