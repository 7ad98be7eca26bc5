"""The leave-one-out study of uncertainty in classification.

    study         `leave_one_out_study`
    models        `study_models`, `load_study_stand_in`; forests: fast small forests
    tuning        `study_grids` and choices inside every training part
    feature_sets  `SpearmanFilter` and sets of features
    scores        held-out scores; methods: what each method makes of them
    numbers       metrics and differences on the same draws
    claims        claims of published studies against the data
    results       what users hold; findings: what follows, in sentences

Public names are imported from `uq`.
"""
