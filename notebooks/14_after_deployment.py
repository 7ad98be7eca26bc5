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
# # After deployment
#
# The model was calibrated in spring. It is autumn now. How good is it, before any label is in?
# Labels trickle in: has it broken, where, and since when? What to do until it is trained again,
# and where to cut when mistakes do not cost the same? A stream made on the spot, less than a
# minute.

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score

from calib import AutoCalibrator, OnlinePlattCalibrator
from calib.evaluation import CalibrationMonitor, log_loss, score_difference_sequence
from uq import cost_threshold, decision_curve, estimate_performance

rng = np.random.default_rng(0)
EFFECT = np.array([1.0, -0.8, 0.5])


def cases(n, offset=0.0, inputs=0.0):
    """Return measurements and outcomes; `inputs` moves the former, `offset` what follows."""
    X = rng.normal(inputs, 1, (n, 3))
    odds = X @ EFFECT + 0.8 * np.sin(2 * X[:, 0]) - 0.5 + offset
    return X, (rng.random(n) < 1 / (1 + np.exp(-odds))).astype(int)


X_train, y_train = cases(2000)
X_cal, y_cal = cases(800)
X_ref, y_ref = cases(800)
model = LogisticRegression().fit(X_train, y_train)
calibrator = AutoCalibrator(input="logits").fit(model.decision_function(X_cal)[:, None], y_cal)


def served(X):
    """Return the probabilities that the service answers."""
    return calibrator.transform(model.decision_function(X)[:, None])[:, 1]


# %% [markdown]
# ## 1. Before labels come
#
# Other inputs, same effect: probabilities stay right, and they tell how good the decisions are.

# %%
X_new, y_new = cases(1500, inputs=0.6)
p = served(X_new)
estimate = estimate_performance(p, reference=(y_ref, served(X_ref)), random_state=0)
print("accuracy", estimate["accuracy"], "realised", round(accuracy_score(y_new, p >= 0.5), 3))
print("AUROC   ", estimate["roc_auc"], "realised", round(roc_auc_score(y_new, p), 3))

# %% [markdown]
# ## 2. Labels trickle in
#
# From row 2,000 on the outcome is rarer than it was. The monitor may be asked after every row;
# under right probabilities the chance that it ever alarms is at most 5 %.

# %%
blocks = [cases(250, offset=-0.7 if start >= 2000 else 0.0) for start in range(0, 5000, 250)]
monitor = CalibrationMonitor(alpha=0.05, tolerance=0.02)
path = []
for X_block, y_block in blocks:
    monitor.update(y_block, served(X_block))
    path.append(monitor.e_value_)
monitor.report()

# %%
_, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
ax.semilogy(250 * np.arange(1, len(path) + 1), path, color="#3c6e9f")
ax.axhline(20, color="black", linestyle="--", linewidth=1, label="alarm")
ax.axvline(2000, color="#b34a3c", linewidth=1, label="break")
ax.set(xlabel="rows", ylabel="e-value")
ax.legend()
plt.show()

# %% [markdown]
# ## 3. Until it is trained again
#
# `OnlinePlattCalibrator` learns with every block, and never loses more than a few nats in total
# against the map it started with.

# %%
online = OnlinePlattCalibrator().fit(served(X_ref)[:, None], y_ref)
pairs = []
for X_block, y_block in blocks:
    before = served(X_block)
    pairs.append((y_block, before, online.transform(before[:, None])[:, 1]))
    online.partial_fit(before[:, None], y_block)
y_all, static, moving = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
print(
    "log loss after the break: served",
    round(log_loss(y_all[2500:], static[2500:]), 4),
    "online",
    round(log_loss(y_all[2500:], moving[2500:]), 4),
)
score_difference_sequence(y_all, static, moving)

# %% [markdown]
# ## 4. Where to cut
#
# A miss costs ten needless visits. The threshold follows from the costs, not from data.

# %%
print("act from", round(cost_threshold(cost_fp=1, cost_fn=10), 3), "on")
decision_curve(y_all[2500:], moving[2500:]).plot()
plt.show()
