# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # One row, many labels; one image, many rows
#
# Two kinds of scores that "one row, one class" does not fit: an ECG with thirty statements, some of
# them rare and some never looked for, and a segmentation network with a softmax per pixel. Both are
# calibrated by what they share, and judged by what is independent: the patient, the image. Data
# made on the spot, about half a minute.

# %%
import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.special import expit, softmax

from calib import DenseCalibrator, MultilabelCalibrator, PlattCalibrator
from calib.evaluation import dense_report, multilabel_report
from uq import label_thresholds

# %% [markdown]
# ## 1. Thirty statements
#
# The scores of a network, over-confident and off in different ways for different statements; labels
# of 500 patients, from rare (1 %) to common. A fifth of the statements was never looked for: `nan`.

# %%
rng = np.random.default_rng(0)
rate, slope = np.linspace(-4.6, -0.2, 30), rng.uniform(0.4, 0.9, 30)


def patients(n):
    """Return probabilities of a network and what the cardiologists wrote."""
    illness = rng.normal(size=(n, 1))
    s = rng.normal(size=(n, 30)) * 1.5 + illness
    y = (rng.random((n, 30)) < expit(rate + slope * s)).astype(float)
    y[rng.random((n, 30)) < 0.2] = np.nan
    return expit(s + 0.5 * rate), y


p, y = patients(500)
new_p, new_y = patients(5_000)
calibrator = MultilabelCalibrator().fit(p, y)
print("fewest positives:", calibrator.n_positives_.min(), "of", calibrator.n_labelled_.min())

# %% [markdown]
# A map per label, as a loop would fit it, against one that shares: the rare labels tell them apart.

# %%
own = np.column_stack(
    [
        PlattCalibrator()
        .fit(p[known, label], y[known, label].astype(int), labels=[0, 1])
        .transform(new_p[:, label])[:, 1]
        for label, known in enumerate(~np.isnan(y).T)
        if len(np.unique(y[known, label])) == 2
    ]
)
shared = calibrator.transform(new_p)


def loss(q):
    """Return the log loss of every label."""
    q = np.clip(q, 1e-6, 1 - 1e-6)
    return np.nanmean(-(new_y * np.log(q) + (1 - new_y) * np.log(1 - q)), axis=0)


fig, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
if own.shape == shared.shape:
    ax.plot(loss(own) - loss(shared), "o-", color="#b34a3c", label="a map per label")
ax.plot(loss(new_p) - loss(shared), "s-", color="0.6", label="raw")
ax.axhline(0, color="black", lw=0.8)
ax.set(xlabel="statement, from rare to common", ylabel="log loss above the shared map")
ax.set_ylim(-0.02, 0.2)
ax.legend()

# %%
multilabel_report(new_y, {"raw": new_p, "calibrated": shared})

# %% [markdown]
# Whom to call? Thresholds that maximise expected F1 come from calibrated probabilities alone.

# %%
threshold, known = label_thresholds(shared), ~np.isnan(new_y)


def macro_f1(q, at):
    """Return the mean F1 of the labels."""
    said = (q >= at) & known
    return np.mean(2 * (said & (new_y == 1)).sum(0) / (said.sum(0) + (new_y == 1).sum(0)))


print(f"raw at 0.5: {macro_f1(new_p, 0.5):.3f}, expected F1: {macro_f1(shared, threshold):.3f}")

# %% [markdown]
# ## 2. Pixels
#
# Forty slices with three tissues; what lies outside the head is 255 and counts nowhere. The network
# is over-confident, and a little too fond of the first tissue.

# %%


def slices(n, size=64):
    """Return logits (n, 3, size, size) and labels (n, size, size)."""
    true = 30 * gaussian_filter(rng.normal(size=(n, 3, size, size)), (0, 0, 4, 4))
    true += 1.5 * rng.normal(size=(n, 3, 1, 1))  # slices differ
    labels = (true + rng.gumbel(size=true.shape)).argmax(axis=1)
    yy, xx = np.mgrid[:size, :size] - size / 2
    labels[:, np.hypot(yy, xx) > 0.48 * size] = 255
    seen = 2.2 * (true - 1.5 * rng.normal(size=(n, 3, 1, 1)) * 0.3)
    seen[:, 0] += 0.8
    return seen, labels


logits, labels = slices(40)
new_logits, new_labels = slices(40)
methods = {
    "raw": None,
    "temperature": DenseCalibrator("temperature", ignore_index=255),
    "auto": DenseCalibrator("auto", ignore_index=255),
}
reports = {}
for name, method in methods.items():
    if method is None:
        probability = softmax(new_logits, axis=1)
    else:
        probability = method.fit(logits, labels).transform(new_logits)
    reports[name] = dense_report(new_labels, probability, ignore_index=255)
    print(f"{name:12} {reports[name].headline}")

# %%
reports["auto"]

# %% [markdown]
# The interval counts **images**. Counted by pixel it would be several times too narrow, because
# neighbouring pixels err together:

# %%
right = (probability.argmax(axis=1) == new_labels)[new_labels != 255]
confidence = probability.max(axis=1)[new_labels != 255]
by_pixel = (confidence - right).std() / np.sqrt(right.size)
by_image = np.std(
    [
        (q.max(axis=0) - (q.argmax(axis=0) == truth))[truth != 255].mean()
        for q, truth in zip(probability, new_labels, strict=True)
    ]
) / np.sqrt(len(new_labels))
print(f"standard error of the confidence gap: by pixel {by_pixel:.5f}, by image {by_image:.5f}")

# %%
fig, axes = plt.subplots(1, 3, figsize=(8, 2.8), layout="constrained")
hidden = new_labels[0] == 255
for ax, (title, image) in zip(
    axes,
    {
        "tissues": np.where(hidden, np.nan, new_labels[0]),
        "confidence, raw": np.where(hidden, np.nan, softmax(new_logits[0], axis=0).max(axis=0)),
        "calibrated": np.where(hidden, np.nan, probability[0].max(axis=0)),
    }.items(),
    strict=True,
):
    ax.imshow(image, vmin=0 if title == "tissues" else 0.33, vmax=2 if title == "tissues" else 1)
    ax.set(title=title, xticks=[], yticks=[])

# %% [markdown]
# ## What to take along
#
# * Many labels share a curve; how far each has its own is estimated, not chosen. Rare labels need
#   no special case, and unknown is `nan`.
# * Pixels are fitted by a few thousand cells an image, mapped in place, and judged by image.
# * In a network the map is one more layer: `to_torch(calibrator)` keeps (B, K, H, W).
