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
# # From a point to a whole distribution
#
# A regressor says 140. How likely is more than 200? What is the worst case in a hundred? Three
# ways to an answer: a distribution around any regressor, the repair of an ensemble that is too
# sure of itself, and a report that says which one to believe. Data that come with scikit-learn,
# less than a minute.

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from calib import DistributionCalibrator
from calib.evaluation import (
    PITDisplay,
    PredictiveDistributionDisplay,
    predictive_distribution,
    regression_report,
)
from uq import ConformalPredictiveSystem

X, y = load_diabetes(return_X_y=True)
X_fit, X_new, y_fit, y_new = train_test_split(X, y, test_size=0.35, random_state=0)

# %% [markdown]
# ## 1. Around any regressor
#
# `ConformalPredictiveSystem` trains on folds and takes the errors on rows that a fold has not
# seen. The result is one object that is asked: probabilities, quantiles, intervals, draws.

# %%
system = ConformalPredictiveSystem(RidgeCV(), random_state=0).fit(X_fit, y_fit)
d = system.predict_distribution(X_new)
print(d)
print("P(Y > 200)     ", (1 - d.cdf(200)[:4, 0]).round(2))
print("1 % and 99 %   ", d.quantile([0.01, 0.99])[:2].round().tolist())
print("three draws    ", d.sample(3, random_state=0)[:1].round().tolist())

# %%
PredictiveDistributionDisplay.from_predictions(y_new, d)
plt.show()

# %% [markdown]
# ## 2. An ensemble that is too sure
#
# Five networks differ by little, and their spread is taken for the error. It is far too small:
# networks that make the same mistake agree.

# %%
X_train, X_cal, y_train, y_cal = train_test_split(X_fit, y_fit, test_size=0.5, random_state=0)
networks = [
    make_pipeline(
        StandardScaler(), MLPRegressor(hidden_layer_sizes=(20,), max_iter=2000, random_state=seed)
    ).fit(X_train, (y_train - 150) / 80)
    for seed in range(5)
]


def given(X):
    """Return mean and standard deviation of the networks."""
    members = 150 + 80 * np.stack([network.predict(X) for network in networks])
    return np.column_stack([members.mean(axis=0), members.std(axis=0, ddof=1)])


calibrator = DistributionCalibrator("auto", input="normal").fit(given(X_cal), y_cal)
mean, std = given(X_new).T
models = {
    "networks": predictive_distribution(mean=mean, std=std),
    "recalibrated": calibrator.predict_distribution(given(X_new)),
    "conformal": d,
}
report = regression_report(y_new, models, n_calibration=len(y_cal))
report

# %% [markdown]
# The given distributions are a U in the histogram of the integral transform: labels fall into the
# tails far too often. After recalibration it is flat within the band of chance.

# %%
_, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
for ax, name in zip(axes, ("networks", "recalibrated"), strict=True):
    PITDisplay.from_predictions(y_new, models[name], ax=ax, name=name)
plt.show()

# %% [markdown]
# What was found: the weights of the given distribution, its widened form and the plain errors.

# %%
print(calibrator.method_, np.round(calibrator.weights_, 2))

# %% [markdown]
# ## 3. Labels on a lattice
#
# Grades and counts take a few values. The system finds them, and answers with values that occur.

# %%
grade = np.digitize(y, np.quantile(y, [0.2, 0.4, 0.6, 0.8]))
boosting = HistGradientBoostingRegressor(max_iter=40, max_leaf_nodes=6, random_state=0)
grades = ConformalPredictiveSystem(boosting, cv=5, random_state=0)
grades.fit(X[:300], grade[:300].astype(float))
of_grade = grades.predict_distribution(X[300:])
print("quantiles", of_grade.quantile([0.1, 0.5, 0.9])[:3].tolist())
print("P(grade <= 2)", of_grade.cdf(2)[:3, 0].round(2))

# %% [markdown]
# ## What to take along
#
# * One number for the whole distribution is the CRPS, in units of y.
# * Calibration first, sharpness second: compare widths among calibrated models only.
# * The exact promise is that of `method="split"`; the default uses all rows and is sharper.
