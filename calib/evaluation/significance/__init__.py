"""Tests of calibration.

    tests    `calibration_tests`: the customary tests side by side
    moments  tests with a known law: Spiegelhalter, Hosmer-Lemeshow, Cox, in-the-large
    redrawn  tests whose law is simulated
    results  what the tests found, as text, table and page

Public names are imported from `calib.evaluation`.
"""
