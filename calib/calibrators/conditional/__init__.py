"""What calibrators that read features beside scores share.

    reading   score and feature columns, texts as numbers, folds, guard, the map of scores alone
    learners  sums of steps, fitted without each fold in turn

The calibrators are `MulticalibrationCalibrator` and `GroupCalibrator`.
"""
