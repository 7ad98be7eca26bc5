"""What `regression_report` shows of predicted distributions.

    reporting  `regression_report`
    measures   the measures of a sample, and what chance and calibration make of them
    records    what is held of every model
    results    the report: sentences, and the forms it is read in
    tables     its tables, and what their words mean
    figures    histogram of the integral transforms and curve of the coverage

Public names are imported from `calib.evaluation`.
"""
