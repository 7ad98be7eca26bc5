"""Was this answer right: probabilities of being correct, probes, stopping rules, shift.

    model       `CorrectnessModel`, a room of its own; texts: the border of words
    probe       `HiddenStateProbe`, with states and readouts
    stopping    `control_stopping_risk`, with step_rows and step_tests
    shift_test  `distribution_shift_test`, with shift_features

Public names are imported from `uq`.
"""
