"""Train, calibrate and write what the service loads: ``python prepare.py [folder]``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from calib import TemperatureCalibrator, save
from calib.export import to_onnx
from uq import conformal_quantile, energy_score

LEVEL = 0.9  # share of the sets that hold the true label

folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
X, y = load_digits(return_X_y=True)
X_train, X_rest, y_train, y_rest = train_test_split(X / 16, y, train_size=200, random_state=0)
X_cal, X_sets, y_cal, y_sets = train_test_split(X_rest, y_rest, test_size=0.5, random_state=0)
model = LogisticRegression(C=100, max_iter=2000).fit(X_train, y_train)

calibrator = TemperatureCalibrator(input="logits").fit(model.decision_function(X_cal), y_cal)
save(calibrator, folder / "calibrator.json")
to_onnx(calibrator, folder / "calibrator.onnx")

# other rows than those of the calibrator, so that the promise of the sets holds exactly
logits = model.decision_function(X_sets)
misfit = 1 - calibrator.transform(logits)[np.arange(len(y_sets)), y_sets]
facts = {
    "least_probability": 1 - float(conformal_quantile(misfit, LEVEL)),
    "energy": np.sort(energy_score(logits)).tolist(),
}
(folder / "facts.json").write_text(json.dumps(facts), encoding="utf-8")
print(f"a set holds the labels with probability {facts['least_probability']:.3f} and more")
