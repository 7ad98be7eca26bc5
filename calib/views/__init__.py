"""Views of the input of a model that keep its label, and the scores of the model on them.

Tables: `Noise`, `Masking`, `Resampling`, which are made from the training table. Images, arrays of
shape (n_samples, height, width[, channels]): `Rotation`, `Shift`, `Blur`, `PixelNoise`, `Jitter`,
`Grey`. Flips and crops are left out, because they change labels (digits, text, traffic signs).
Any other callable serves as well. `ViewScores` runs a model on them.
"""

from __future__ import annotations

from calib.views.images import Blur, Grey, Jitter, PixelNoise, Rotation, Shift
from calib.views.scores import ViewScores
from calib.views.tables import Masking, Noise, Resampling

__all__ = [
    "Blur",
    "Grey",
    "Jitter",
    "Masking",
    "Noise",
    "PixelNoise",
    "Resampling",
    "Rotation",
    "Shift",
    "ViewScores",
]
