"""One map per group, one for all, and everything between; knows nothing of boxes.

    maps       maps of detectors beside the registered calibrators
    map_table  all maps that a detector can be calibrated with, by name
    pooling    one map for all groups, one each, and between
    glm        linear and logistic regressions of many groups at once
    prior      what regressions of groups are drawn to, and its estimate from the groups
    score_map  fitted maps as a few array operations
    files      fitted maps as values of JSON, and back

Public names are imported from `calib.detection`.
"""
