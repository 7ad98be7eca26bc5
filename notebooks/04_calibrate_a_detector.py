# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # My detector's scores: what do they mean, and how do I repair them?
#
# A detector puts "0.9" on a box. Are nine such boxes out of ten right? Does the box overlap its
# object by 0.9? Nothing in the training of a detector makes either true. This page measures what
# the scores say, and repairs them in two lines.
#
# **The scenes are simulated.** No image exists and no detector ran: `make_detection_scenes` draws
# objects of eight classes, and boxes that miss, repeat and promise too much. Everything below works
# the same way on files of a real detector.

# %%
import json

import matplotlib.pyplot as plt

from calib import load, save
from calib.datasets import make_detection_scenes
from calib.detection import (
    CalibratedDetector,
    DetectionCalibrator,
    from_coco,
    write_coco_detections,
)
from calib.evaluation import DetectionHeatmapDisplay, detection_report

# %% [markdown]
# ## Files in
#
# Most frameworks write detections as COCO results: a list of rows with `image_id`, `category_id`,
# `bbox` (x, y, width, height) and `score`. We write two pairs of such files, one to calibrate on
# and one to judge, and read them back. Calibrate on images that the detector was *not* trained on,
# keep low scores in the file (the operating point is chosen below), and judge on images that
# neither has seen.


# %%
def write_files(name, scenes):
    found, truth = scenes
    size = found.boxes[:, 2:] - found.boxes[:, :2]
    true_size = truth.boxes[:, 2:] - truth.boxes[:, :2]
    rows = [
        {
            "image_id": int(found.image_id[i]),
            "category_id": int(found.labels[i]),
            "bbox": [*found.boxes[i, :2].tolist(), *size[i].tolist()],
            "score": float(found.scores[i]),
        }
        for i in range(len(found))
    ]
    annotations = {
        "images": [
            {"id": int(image), "width": int(width), "height": int(height)}
            for image, (width, height) in zip(truth.images, truth.sizes, strict=True)
        ],
        "categories": [{"id": k, "name": v} for k, v in truth.class_names.items()],
        "annotations": [
            {
                "id": i,
                "image_id": int(truth.image_id[i]),
                "category_id": int(truth.labels[i]),
                "bbox": [*truth.boxes[i, :2].tolist(), *true_size[i].tolist()],
                "iscrowd": int(truth.ignore[i]),
            }
            for i in range(len(truth))
        ],
    }
    for kind, content in (("detections", rows), ("truth", annotations)):
        with open(f"{name}_{kind}.json", "w") as file:
            json.dump(content, file)


write_files("minival", make_detection_scenes(500, random_state=0))
write_files("minitest", make_detection_scenes(500, random_state=1))

found, truth = from_coco("minival_detections.json", "minival_truth.json")
new, new_truth = from_coco("minitest_detections.json", "minitest_truth.json")
print(found)
print(truth)

# %% [markdown]
# ## Two lines

# %%
calibrator = DetectionCalibrator().fit(found, truth)
repaired = calibrator.transform(new)  # same boxes, same order, other scores

# %% [markdown]
# What `fit` did: for each class it chose the score threshold at which the detector is most useful
# (the minimum of the LRP error, which counts missed, false and badly placed boxes), matched the
# boxes above it with the annotated ones, and fitted a map from score to **expected overlap** with a
# true box, false positives counting zero. Each class has a map of its own, drawn towards a common
# one as far as its number of boxes demands. `target="tp"` asks for the chance of being right
# instead.

# %%
names = truth.class_names
print("class      raw threshold  calibrated  boxes in the fit")
for label in calibrator.classes_.tolist():
    print(
        f"{names[label]:10} {calibrator.raw_thresholds_[label]:13.2f}"
        f"  {calibrator.calibrated_thresholds_[label]:10.2f}  {calibrator.class_counts_[label]:16}"
    )

# %% [markdown]
# ## Did it help?
#
# Calibration and accuracy of the same detections, on images that the calibrator has not seen. The
# report opens with what to do; its measures are these:
#
# * **Squared error** of score against overlap is a proper score: lower is better, and it cannot be
#   fooled. It ranks the calibrators.
# * **LaECE** compares mean score with mean overlap bin by bin and class by class. It is never zero
#   on finite data: *chance* is what a perfectly calibrated detector shows with as many boxes. Only
#   what is left without it can be repaired; that number and its interval stand under *All numbers*.
# * **LRP** and **AP** should hardly move: a map that keeps the order of the scores within a class
#   finds the same boxes. Isotonic maps have flat pieces; the ties cost a little AP.
# * **D-ECE** asks for the share of boxes that are right at an overlap of 0.5. Scores that mean
#   overlaps are lower than that by design; choose `target="tp"` if this is what you need.

# %%
report = detection_report(
    new,
    new_truth,
    calibrator={
        "platt": calibrator,
        "isotonic": DetectionCalibrator("isotonic").fit(found, truth),
    },
)
report

# %% [markdown]
# Score against overlap, before and after. Points below the diagonal are promises that were too
# high.

# %%
_, ax = plt.subplots(figsize=(5, 5), layout="constrained")
ax = report.plot(ax)

# %% [markdown]
# Where in the image do scores promise too much? Mean score minus mean overlap by the centre of the
# box, before and after, on one scale of colours.

# %%
_, axes = plt.subplots(1, 2, figsize=(6.6, 3.2), sharex=True, sharey=True, layout="constrained")
maps = {"before": report.models["raw"].position, "after": report.models["platt"].position}
for ax, (when, gaps) in zip(axes, maps.items(), strict=True):
    DetectionHeatmapDisplay(gaps, name=when).plot(ax, limit=0.35, colorbar=False)

# %% [markdown]
# ## Class by class
#
# How much a score promises too much differs between classes, most for persons and least for clocks
# here; that is why classes have maps of their own. `score_raw`, `score_calibrated` and `mean_iou`
# are means over the boxes that are kept: the second should meet the third.

# %%
columns = ["name", "n_truth", "n_kept", "score_raw", "score_calibrated", "mean_iou", "precision"]
report.per_class_frame().loc["platt", columns].round(3)

# %% [markdown]
# ## Put it to work
#
# A calibrator is a readable JSON file. `write_coco_detections` gives the detections back with new
# scores and all else as it was; `operating_mask` says which of them reach both thresholds; and
# `CalibratedDetector` wraps a running model (torchvision, Ultralytics, MMDetection, Detectron2,
# supervision, or plain arrays) at some thirty microseconds per image.

# %%
save(calibrator, "detector.json")
same = load("detector.json")
write_coco_detections("minitest_detections.json", repaired.scores, "minitest_calibrated.json")
keep = same.operating_mask(new, repaired)
print(f"{keep.sum()} of {len(new)} boxes reach the operating point")

some = new[:3]
detector = CalibratedDetector(lambda image: (some.boxes, some.scores, some.labels), same)
_, scores, _ = detector("image.jpg")
print("raw       ", some.scores.round(3))
print("calibrated", scores.round(3))

# %% [markdown]
# The same without Python:
#
# ```sh
# calib detect fit --truth minival_truth.json --detections minival_detections.json \
#     --out detector.json
# calib detect apply detector.json minitest_detections.json --out minitest_calibrated.json
# calib detect report --truth minitest_truth.json --detections minitest_detections.json \
#     --calibrator detector.json --html report.html
# ```
