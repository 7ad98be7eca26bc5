"""Commands of `calib` that need `uq`; `calib.cli.program` names them and imports them on demand.

    correctness   `calib correctness`; correctness_report: its report
    answers       logs of answers as records
    saved_models  `save_correctness_model`, `load_correctness_model`
    study         `calib study`

Public names are imported from `uq`.
"""
