"""Judge what was served by the labels that have come: ``python watch.py labels.csv [folder]``.

Every line of the labels is ``id,label``, in the order in which they came. The monitor is a file and
goes on where it stopped; predictions wait in it for labels that are late.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

from calib import load, save
from calib.evaluation import CalibrationMonitor

labels, folder = Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else ".")
kept = folder / "monitor.json"
classes = load(folder / "calibrator.json").classes_
monitor = (
    load(kept)
    if kept.exists()
    else CalibrationMonitor(average="top_label", labels=classes.tolist())
)

served, told = folder / "served.jsonl", folder / "told.jsonl"
if served.exists():
    served.replace(told)  # the service begins a new one
    lines = [json.loads(line) for line in told.read_text(encoding="utf-8").splitlines()]
    monitor.expect([name for name, _ in lines], [row for _, row in lines])
with labels.open(encoding="utf-8", newline="") as file:
    rows = list(csv.reader(file))
kind = type(classes[0])
monitor.update([kind(label) for _, label in rows], ids=[name for name, _ in rows])

save(monitor, kept)
monitor.report().to_html(folder / "monitor.html")
print(monitor.report())
