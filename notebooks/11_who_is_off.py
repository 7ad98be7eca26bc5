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
# # The model is calibrated. For whom?
#
# A clinic predicts who will be readmitted. On average the probabilities are right, and the curve of
# the whole is straight. Is anybody worse off: the old, a ward, women past sixty? And when the model
# moves to a clinic where readmission is rarer? Data made on the spot, about half a minute.

# %%
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.frozen import FrozenEstimator

from calib import CalibratedClassifier, GroupCalibrator, PriorShiftAdapter, PriorShiftWarning
from calib.evaluation import calibration_report, log_loss, segment_report

#: Shares of the wards.
WARDS = [0.3, 0.2, 0.15, 0.12, 0.1, 0.08, 0.04, 0.01]


def patients(n, seed, rate=0.0):
    """Return a table of n patients and who is readmitted; `rate` moves the log-odds of all."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "pressure": rng.normal(size=n),
            "sugar": rng.normal(size=n),
            "days": rng.exponential(4, n),
            "age": rng.integers(18, 95, n),
            "sex": rng.choice(["f", "m"], n),
            "ward": rng.choice(
                list("ABCDEFGH"), n, p=[0.3, 0.2, 0.15, 0.12, 0.1, 0.08, 0.04, 0.01]
            ),
        }
    )
    odds = -1 + table["pressure"] + 0.6 * table["sugar"] + 0.1 * table["days"] + rate
    odds += 1.1 * ((table["sex"] == "f") & (table["age"] > 60)) - 0.3 * (table["age"] < 40)
    of_ward = {"B": 0.1, "C": -0.1, "E": 0.9, "F": -0.6, "G": 0.3, "H": 1.0}
    odds += table["ward"].map(of_ward).fillna(0)
    return table, (rng.random(n) < 1 / (1 + np.exp(-odds))).astype(int)


X_train, y_train = patients(4_000, seed=0)
X_cal, y_cal = patients(6_000, seed=1)
X_test, y_test = patients(12_000, seed=2)
measured = ["pressure", "sugar", "days"]  # the model was trained on these alone


class OnMeasurements(HistGradientBoostingClassifier):
    """Boosted trees that look at the measurements only."""

    def fit(self, X, y, sample_weight=None):
        return super().fit(X[measured], y, sample_weight)

    def predict_proba(self, X):
        return super().predict_proba(X[measured])

    def decision_function(self, X):
        return super().decision_function(X[measured])

    def predict(self, X):
        return super().predict(X[measured])


model = FrozenEstimator(OnMeasurements(max_iter=60, random_state=0).fit(X_train, y_train))
plain = CalibratedClassifier(model, "auto").fit(X_cal, y_cal)
p = plain.predict_proba(X_test)[:, 1]

# %% [markdown]
# ## 1. The whole looks fine; the report by segments does not
#
# `by=` takes any table. Every level and range is a segment, and with `pairs` every product of two
# columns; one error rate of 5 % holds for all of them together.

# %%
people = X_test[["age", "sex", "ward"]]
report = calibration_report(y_test, {"model": p}, by=people, pairs=True)
report

# %% [markdown]
# The numbers of the whole stay inside what chance shows, and still some segments are off: what is
# too low for one group is too high for another. The frame holds everything, sorted by evidence.

# %%
frame = report.segments.to_frame()
frame.head(8)[["segment", "n", "predicted", "observed", "gap", "low", "high", "state"]].round(3)

# %% [markdown]
# How many segments are fine, and how many cannot be judged? "Undecided" is an answer: too few rows
# to call a segment off, or to vouch for two points.

# %%
frame["state"].value_counts()

# %% [markdown]
# ## 2. Repair: a map that reads features
#
# The calibrator gets three columns of the table beside the score. It boosts small trees from the
# calibrated start, and is used only because left-out rows gain more than chance explains.

# %%
repaired = CalibratedClassifier(model, "multicalibration", features=["age", "sex", "ward"])
repaired.fit(X_cal, y_cal)
after = repaired.predict_proba(X_test)[:, 1]
print(repaired.calibrator_)
both = segment_report(y_test, {"before": p, "after": after}, people, pairs=True)
for name, values in {"before": p, "after": after}.items():
    worst = both.multicalibration_error[name]
    print(f"{name:7} log loss {log_loss(y_test, values):.4f}, worst segment {worst:.1f} sigma")
print(both.verdict("after"))

# %%
shown = [row.segment for row in both.worst(200, "before") if "," not in row.segment]
fig, ax = plt.subplots(figsize=(7, 5.4), layout="constrained")
for shift, (name, ink) in enumerate({"before": "#b34a3c", "after": "#3c6e9f"}.items()):
    for row in both.rows:
        if row.model == name and row.segment in shown:
            place = shown.index(row.segment) + 0.3 * shift
            ax.plot([100 * row.low, 100 * row.high], [place, place], color=ink, lw=1.5)
            ax.plot(100 * row.gap, place, "o", color=ink, ms=4)
ax.axvspan(-2, 2, color="0.92")
ax.set(yticks=range(len(shown)), yticklabels=shown, xlabel="observed minus predicted, points")
ax.set_title("red: before, blue: after; intervals hold for all segments together")
# %% [markdown]
# ## 3. One partition, some of it small
#
# Ward H has 1 % of the patients. A map of its own would follow the noise, the map of all ignores
# it; `GroupCalibrator` draws every ward's line to that of all, as strongly as left-out rows like.

# %%
scores = model.decision_function(X_cal)
wards = pd.DataFrame({"score": scores, "ward": X_cal["ward"]})
group = GroupCalibrator(input="logits", n_scores=1).fit(wards, y_cal)
print(group)
pd.DataFrame(
    {"intercept": group.intercept_, "slope": group.slope_},
    index=[str(name) for name in group.text_level_],
).round(2)

# %% [markdown]
# ## 4. Another clinic: readmission is rarer there
#
# Nothing else has changed, and there are no labels yet. The adapter estimates the new frequency
# from the new patients' scores, says how sure it is, and would refuse if more had changed.

# %%
adapter = CalibratedClassifier(model, PriorShiftAdapter()).fit(X_cal, y_cal)
rng = np.random.default_rng(3)
pool, pool_y = patients(30_000, seed=4)
keep = (pool_y == 0) | (rng.random(len(pool_y)) < 0.2)  # four of five readmissions do not happen
there, there_y = pool[keep], pool_y[keep]
adapted = adapter.adapt(there[:3_000])
inner = adapted.calibrator_
print(inner.reason_)
print(
    f"frequency {inner.prior_[1]:.3f}, interval {inner.prior_interval_[1].round(3)}, "
    f"true {there_y.mean():.3f}"
)
new, new_y = there[3_000:], there_y[3_000:]
for name, fitted in {"as it was": adapter, "adapted": adapted}.items():
    print(f"{name:10} log loss {log_loss(new_y, fitted.predict_proba(new)[:, 1]):.4f}")

# %% [markdown]
# If the *patients* change instead of the frequency, the correction would do harm. It refuses:

# %%
old = pool[pool["sugar"] > 0.8]
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always", PriorShiftWarning)
    refused = adapter.adapt(old)
print("adapted:", refused.calibrator_.adapted_, "-", refused.calibrator_.reason_)

# %% [markdown]
# ## What to take along
#
# * Ask for whom, with one error rate for the whole question; "nothing found" and "too few rows" are
#   different answers.
# * A map with features repairs groups; its guard keeps noise out on average, not in every fit. A
#   report by a protected attribute needs no map that reads it.
# * Frequencies that change can be corrected without labels; inputs that change cannot, and the
#   adapter says which it is.
