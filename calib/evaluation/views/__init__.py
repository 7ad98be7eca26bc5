"""Which probabilities and events a measure looks at.

    predictions  the border of every metric: checked predictions
    views        from a matrix of probabilities to pairs of score and event
    distinct     distinct scores, ties collapsed once
    soft_targets distributions of classes as labels and weights
    recognition  which measure a caller's function computes

Public names are imported from `calib.evaluation`.
"""
