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
# # The calibrator is fitted: how does it get into service, and stay right?
#
# A bank wants to know how likely a loan is to default. The model is trained and calibrated; now it
# has to be saved, run where no Python is, decide with unequal costs, be watched month by month, and
# be repaired when the world moves. One page, five steps, data made on the spot, about a minute.

# %%
from pathlib import Path
from tempfile import mkdtemp

import matplotlib.pyplot as plt
import numpy as np
import onnxruntime
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import confusion_matrix, make_scorer
from sklearn.model_selection import TunedThresholdClassifierCV

from calib import CalibratedClassifier, load, make_calibrator, save
from calib.evaluation import CalibrationAccumulator, accumulated_report, calibration_report
from calib.export import to_onnx

folder = Path(mkdtemp())


def loans(n, month, seed):
    """Return n applications of a month and which default; hard times begin in month 7."""
    rng = np.random.default_rng((seed, month))
    X = rng.normal(size=(n, 6)).astype(np.float32)
    crisis = 0.4 * np.clip(month - 6, 0, 2)
    log_odds = -2.4 + 1.2 * X[:, 0] + 0.8 * X[:, 1] * (X[:, 2] > 0) + 0.5 * X[:, 3] ** 2 + crisis
    return X, (rng.random(n) < 1 / (1 + np.exp(-log_odds))).astype(int)


X_train, y_train = loans(3_000, month=0, seed=0)
X_cal, y_cal = loans(2_000, month=0, seed=1)
X_test, y_test = loans(4_000, month=0, seed=2)
model = HistGradientBoostingClassifier(max_iter=200, random_state=0).fit(X_train, y_train)

# %% [markdown]
# ## 1. Fit, and look before anything is shipped
#
# `FrozenEstimator` says that the trees are trained; the 2,000 loans it has not seen teach the
# calibrator. The report judges on loans that neither has seen.

# %%
calibrated = CalibratedClassifier(FrozenEstimator(model), "beta").fit(X_cal, y_cal)
calibration_report(
    y_test,
    {"trees": model.predict_proba(X_test), "calibrated": calibrated.predict_proba(X_test)},
    random_state=0,
)

# %% [markdown]
# ## 2. Save it
#
# The fitted calibrator inside the wrapper is a small file of text. It restores every bit, loading
# it runs no code, and it remembers what it was fitted on, so that another model's scores are
# noticed. It reads what the wrapper gave it: of boosted trees that is `decision_function`, one
# column of log-odds.

# %%
calibrator = calibrated.calibrator_
path = save(calibrator, folder / "loans.json")
again = load(path)
scores = model.decision_function(X_test)[:, None]
same = again.transform(scores) == calibrator.transform(scores)
print(f"{path.stat().st_size:,} bytes; same numbers: {same.all()}")
print(again.fit_record_)

# %% [markdown]
# ## 3. Run it where there is no Python
#
# `to_onnx` writes the calibrator, or trees and calibrator in one file. An ONNX runtime exists for
# C++, Java, JavaScript and phones. Always compare a few hundred rows with `transform` before
# shipping: ONNX computes in single precision what comes in in single precision.

# %%
to_onnx(calibrator, folder / "calibrator.onnx")
session = onnxruntime.InferenceSession(folder / "calibrator.onnx")
(served,) = session.run(["probabilities"], {"scores": scores.astype(np.float32)})
gap = np.abs(served - calibrator.transform(scores)).max()
print(f"largest difference, calibrator alone: {gap:.1e}")
facts = session.get_modelmeta().custom_metadata_map
print({name: facts[name] for name in ("method", "input", "classes", "version")})

to_onnx(calibrated, folder / "loans.onnx")
session = onnxruntime.InferenceSession(folder / "loans.onnx")
(whole,) = session.run(["probabilities"], {session.get_inputs()[0].name: X_test})
gap = np.abs(whole - calibrated.predict_proba(X_test)).max()
print(f"largest difference, trees and calibrator: {gap:.1e}")

# %% [markdown]
# [A small web service](https://github.com/calib-uq/calib-uq/tree/main/examples/service) shows the
# rest: 50 lines that answer probabilities, sets of labels and a doubt for every request.
#
# ## 4. Decide: a threshold from costs
#
# A default costs the bank 10, a refused good loan costs 1. With calibrated probabilities the best
# threshold needs no data: refuse where $p \cdot 10 > (1 - p) \cdot 1$, that is above $1 / 11$.
# scikit-learn's `TunedThresholdClassifierCV` searches for it on labelled rows instead, which also
# works for scores that are no probabilities, and wanders with the few rows it has.


# %%
def cost(y_true, refused):
    """Return the mean cost of a loan."""
    (_, false_alarms), (misses, _) = confusion_matrix(y_true, refused)
    return (10 * misses + 1 * false_alarms) / len(y_true)


def tuned(classifier, rows):
    search = TunedThresholdClassifierCV(
        classifier, scoring=make_scorer(cost, greater_is_better=False), cv="prefit", refit=False
    )
    return search.fit(X_tune[rows], y_tune[rows]).best_threshold_


X_tune, y_tune = loans(2_000, month=0, seed=4)
p_trees, p_calibrated = (m.predict_proba(X_test)[:, 1] for m in (model, calibrated))
print(f"threshold from the costs, 1 / 11 = {1 / 11:.3f}:")
print(f"  trees      cost {cost(y_test, p_trees > 1 / 11):.3f}")
print(f"  calibrated cost {cost(y_test, p_calibrated > 1 / 11):.3f}")
for n in (100, 500, 2_000):
    found = [
        tuned(FrozenEstimator(calibrated), np.random.default_rng(k).permutation(2_000)[:n])
        for k in range(5)
    ]
    mean_cost = np.mean([cost(y_test, p_calibrated > threshold) for threshold in found])
    thresholds = f"{min(found):.3f} to {max(found):.3f}"
    print(f"tuned on {n:>5} rows: thresholds {thresholds}, mean cost {mean_cost:.3f}")

# %% [markdown]
# The formula holds for *these* costs. When they change, a tuned threshold has to be searched
# again; a calibrated probability only meets another number.
#
# ## 5. Watch it, month by month
#
# Labels come in late, but they come. `CalibrationAccumulator` takes each month's rows and keeps
# sums, not rows: 0.4 MB however many there are, and months add up to quarters. The grey range is
# what a calibrated model would show by chance on so many loans; a star is a value outside of it.

# %%
months = np.arange(1, 13)
stream = {month: loans(1_500, month, seed=3) for month in months}
watched = {
    month: CalibrationAccumulator(2).update(y, calibrated.predict_proba(X))
    for month, (X, y) in stream.items()
}
errors = [
    watched[month].report().models["model"].measures["expected_calibration_error"]
    for month in months
]
observed = [y.mean() for _, y in stream.values()]
claimed = [calibrated.predict_proba(X)[:, 1].mean() for X, _ in stream.values()]

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
low, high = np.transpose([(error.calibrated.low, error.calibrated.high) for error in errors])
left.fill_between(months, low, high, color="0.85", label="if calibrated")
left.plot(months, [error.value for error in errors], "o-", label="calibration error")
left.set(xlabel="month", ylabel="expected calibration error", ylim=(0, None))
left.legend(loc="upper left")
right.plot(months, observed, "o-", label="defaults")
right.plot(months, claimed, "s--", label="defaults that the model expects")
right.set(xlabel="month", ylabel="share of loans", ylim=(0, None))
right.legend(loc="lower left")
plt.show()

# %% [markdown]
# **What to look at.** Until month 6 the line stays where chance alone would put it, also in the
# months in which it happens to rise. From month 8 on it has left the grey range: more loans default
# than the model expects. A single month outside can be chance (here the range holds all measures of
# a month together with 95 %); two in a row, in the same direction, are not.
#
# The order of the loans is as good as it was, so the model need not be trained again.
#
# ## 6. Recalibrate
#
# The last two months with labels teach a new map; the probabilities that are in service go in, so
# that a handful of numbers suffices (`"platt"` has two). Loans of the months after judge.

# %%
late_X, late_y = (np.concatenate(parts) for parts in zip(stream[8], stream[9], strict=True))
update = make_calibrator("platt").fit(calibrated.predict_proba(late_X), late_y)
in_service, updated = CalibrationAccumulator(2), CalibrationAccumulator(2)
for month in (10, 11, 12):
    X, y = stream[month]
    proba = calibrated.predict_proba(X)
    in_service.update(y, proba)
    updated.update(y, update.transform(proba))
accumulated_report({"in service": in_service, "updated": updated})

# %% [markdown]
# The update removes the error, and the order of the loans is still the model's own. What was learnt
# from the past holds as long as the future is like it: here the hard times stayed as they were in
# months 8 and 9. Go on watching, with the updated probabilities. Save the update under a new name
# and keep the old file: `fit_record_` says which is which.
#
# ## Which file for what
#
# | you need | take |
# |---|---|
# | the same numbers again, in Python | `save` and `load`: JSON, exact, runs no code |
# | the whole wrapper with its model, in Python | `pickle` or `skops`, with the risks they have |
# | C++, Java, JavaScript, a phone, a small server | `to_onnx` |
# | a network with calibrated answers | `to_torch`, appended as its last layer |
# | a job without Python code of your own | `calib apply loans.json new.csv --out calibrated.csv` |
