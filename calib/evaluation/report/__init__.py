"""The report of one or several classifiers.

    classification    `calibration_report`
    metric_intervals  `metric_interval`, `metric_difference`, `consistency_interval`
    measurements      `measurement_table`: all measurements of the benchmark study
    measures          the measures of a report and their replicates; further_measures on request
    measure_results   from replicates to intervals, in one place
    ranking           which models may be the best; comparison: what got worse
    diagnosis         what is wrong with a model, in words; answer: the sentences on top
    page              the report as a document, with its figures
    results           what users hold, made of records

Public names are imported from `calib.evaluation`.
"""
