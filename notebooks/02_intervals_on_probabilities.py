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
# # How sure is this probability? Intervals from Venn-ABERS
#
# A calibrated 0.8 that rests on ten examples and a calibrated 0.8 that rests on ten thousand look
# alike. Venn-ABERS prediction returns two probabilities instead of one. This page shows what their
# interval means, what it does not mean, and how its width falls with the number of calibration
# examples. It runs in a few seconds on scikit-learn's digits.

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from calib import CalibratedClassifier, VennAbersCalibrator
from calib.evaluation import calibration_report

# %% [markdown]
# ## Two classes: is the digit odd?
#
# We train a logistic regression on 200 images and keep the rest for calibration and judgement.

# %%
images, digits = load_digits(return_X_y=True)
odd = digits % 2
X_train, X_rest, y_train, y_rest = train_test_split(
    images / 16, odd, train_size=200, stratify=digits, random_state=0
)
X_cal, X_test, y_cal, y_test = train_test_split(X_rest, y_rest, test_size=597, random_state=0)
model = LogisticRegression(C=100, max_iter=5000).fit(X_train, y_train)
served = CalibratedClassifier(FrozenEstimator(model), "venn_abers").fit(X_cal, y_cal)

# %% [markdown]
# `predict_interval` has the shape `(n_samples, n_classes, 2)`. Here are five test images, with the
# lower and upper probability of *odd*, and the single number that `predict_proba` makes of them.

# %%
intervals = served.predict_interval(X_test)[:, 1]
merged = served.predict_proba(X_test)[:, 1]
order = np.argsort(merged)[:: len(merged) // 5]
for low, high, p in np.column_stack([intervals, merged])[order]:
    print(f"between {low:.3f} and {high:.3f}, merged {p:.3f}")

# %% [markdown]
# ## What the two numbers mean
#
# The test image is added to the calibration set twice, once labelled *even* and once labelled
# *odd*, and an isotonic curve is fitted to each version. The curve's values at the image are the
# two numbers. One of the two labels was the true one, so one of the two curves is what an honest
# fit on all data would have given, and its value is **exactly calibrated** whatever the model, as
# long as calibration and test images come from the same source. We do not know which one it is;
# the interval says how much that matters.
#
# It is *not* an interval that contains "the true probability of this image" in 95 % of cases.
# Nothing can promise that without further assumptions.
#
# The promise can be checked by simulation: take the number that belongs to the true label, group
# the cases by its value, and compare with how often *odd* occurred.

# %%
rng = np.random.default_rng(0)
truth = {}
for _ in range(3000):
    s = rng.random(11).round(1)  # ten scores to calibrate, one to predict
    y = rng.random(11) < s
    if y[:10].all() or not y[:10].any():
        continue  # a calibrator wants both classes
    tiny = VennAbersCalibrator().fit(s[:10], y[:10])
    low, high = tiny.predict_interval(s[10:])[0, 1]
    value = round(float(high if y[10] else low), 3)
    truth.setdefault(value, []).append(y[10])
for value, outcomes in sorted(truth.items()):
    if len(outcomes) >= 120:
        error = np.sqrt(value * (1 - value) / len(outcomes))
        print(f"said {value:.3f}, happened {np.mean(outcomes):.3f} (+- {2 * error:.3f})")

# %% [markdown]
# ## Width against the number of calibration examples
#
# The interval is never narrower than 1 / (n + 1), and wider where scores like this one are rare.

# %%
sizes = [25, 50, 100, 200, 400, 800, 1000]
scores_cal, scores_test = model.decision_function(X_cal), model.decision_function(X_test)
widths = []
for n in sizes:
    interval = (
        VennAbersCalibrator(input="logits")
        .fit(scores_cal[:n], y_cal[:n])
        .predict_interval(scores_test)[:, 1]
    )
    widths.append(interval[:, 1] - interval[:, 0])

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.loglog(sizes, [np.mean(w) for w in widths], "o-", label="mean width")
left.loglog(sizes, [np.quantile(w, 0.9) for w in widths], "s--", label="90 % quantile")
left.loglog(sizes, 1 / (np.array(sizes) + 1), "k:", label="least possible, 1 / (n + 1)")
left.set(xlabel="calibration examples", ylabel="width of the interval")
left.legend()
grid = np.linspace(scores_test.min(), scores_test.max(), 400)
for n, colour in ((50, "tab:orange"), (1000, "tab:blue")):
    cal = VennAbersCalibrator(input="logits").fit(scores_cal[:n], y_cal[:n])
    low, high = cal.predict_interval(grid)[:, 1].T
    right.fill_between(grid, low, high, alpha=0.4, color=colour, label=f"n = {n}")
right.set(xlabel="log-odds of the model", ylabel="probability of odd")
_ = right.legend()

# %% [markdown]
# ## As one probability
#
# Most tools want one number. The merge `p1 / (1 - p0 + p1)` is the one whose log loss is worst by
# the least over the two possible labels; it never is exactly 0 or 1. The merged number loses the
# exact promise, so the report judges it like any other.

# %%
report = calibration_report(
    y_test, {"raw": model.predict_proba(X_test)[:, 1], "venn_abers": merged}
)
report

# %% [markdown]
# Fitting folds instead of a frozen model gives the *cross* predictor: every fold has its own pair
# of numbers, and their geometric means are merged. It uses all data for both training and
# calibration.

# %%
crossed = CalibratedClassifier(
    LogisticRegression(C=100, max_iter=5000), "venn_abers", cv=5, ensemble=True
).fit(np.concatenate([X_train, X_cal]), np.concatenate([y_train, y_cal]))
p = crossed.predict_proba(X_test)[np.arange(len(y_test)), y_test]
print(f"log loss of the cross predictor {-np.log(p).mean():.3f}, accuracy", end=" ")
print(f"{crossed.score(X_test, y_test):.3f}")
