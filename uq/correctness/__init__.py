"""Was this answer right: probabilities of being correct, probes, stopping rules, shift."""
