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
# # My classifier is over-confident: how do I wrap it?
#
# A classifier says "99 %" and is right nine times out of ten. This page shows how to notice it, how
# to repair it without training again, and how to read the report that says whether it worked. It
# takes about ten seconds to run and needs nothing but scikit-learn's digits.

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from calib import CalibratedClassifier, TemperatureCalibrator, load, save
from calib.evaluation import ReliabilityDisplay, calibration_report

# %% [markdown]
# ## A model that is too sure
#
# We keep three parts of the data apart: one to train the network, one to calibrate it, one to judge
# the result. A calibrator must not see the training part, because there the network is right almost
# always; and the judge must see neither.

# %%
images, digits = load_digits(return_X_y=True)
X_train, X_rest, y_train, y_rest = train_test_split(
    images / 16, digits, train_size=300, stratify=digits, random_state=0
)
X_cal, X_test, y_cal, y_test = train_test_split(
    X_rest, y_rest, test_size=0.5, stratify=y_rest, random_state=0
)
model = MLPClassifier((64, 64), alpha=0.0, learning_rate_init=0.01, random_state=0)
for _ in range(200):
    model.partial_fit(X_train, y_train, classes=np.arange(10))

claimed = model.predict_proba(X_test).max(axis=1).mean()
print(f"right on {model.score(X_test, y_test):.1%} of the test images, claims {claimed:.1%}")

# %% [markdown]
# ## Wrap it
#
# `FrozenEstimator` says that the model is finished: everything passed to `fit` calibrates it and
# nothing trains it. `"temperature"` divides all logits by one number, so the ranking of the
# classes, and with it the accuracy, stays as it is.

# %%
served = CalibratedClassifier(FrozenEstimator(model), "temperature").fit(X_cal, y_cal)
print(f"temperature: {served.calibrator_.temperature_:.2f} (above 1: the model was over-confident)")
print("same answers as before:", np.array_equal(served.predict(X_test), model.predict(X_test)))

# %% [markdown]
# ## Did it help?
#
# The report compares both on images that neither the model nor the calibrator has seen. It says
# first what to do, and then what is left; one table and one figure show why. Methods are ranked by
# log loss, which rewards a model for being right *and* honest.

# %%
report = calibration_report(
    y_test,
    {"raw": model.predict_proba(X_test), "temperature": served.predict_proba(X_test)},
)
report

# %% [markdown]
# **How to read it.** A calibration error is never zero on finite data, not even for a perfect
# model: with a few hundred images some ranges are off by chance. The report takes off what chance
# adds (*bias removed*; 0 is no more than chance), and the grey range behind each value is what
# this very model would show if its probabilities were exactly right. A star marks a value outside.
# A value inside does not prove that the model is calibrated; it says that these data cannot tell
# it from a calibrated one.
#
# The answer alone, for a log or a test:

# %%
print(report.headline)
print("to use:", report.recommended)

# %% [markdown]
# The same in a picture: points below the diagonal are claims that were too high, and the band shows
# where the points of a calibrated model would fall. Most claims of this network lie near 1;
# `scale="logit"` stretches the ends, with ranges that hold equally many images. A hollow dot at the
# edge is a range in which every answer, or none, was right.

# %%
_, axes = plt.subplots(1, 2, figsize=(10, 5), sharex=True, sharey=True, layout="constrained")
options = {"scale": "logit", "strategy": "quantile", "n_bins": 10, "histogram": False}
for ax, name, classifier in zip(axes, ("raw", "temperature"), (model, served), strict=True):
    ReliabilityDisplay.from_estimator(classifier, X_test, y_test, name=name, ax=ax, **options)

# %% [markdown]
# ## Let cross-validation choose the calibrator
#
# The wrapper is an ordinary scikit-learn classifier. An estimator that is *not* frozen is trained
# inside: out-of-fold scores fit the calibrator, and the estimator is then trained on all data. So
# no part has to be kept apart by hand, and a grid search can compare calibrators by a proper score.

# %%
pipeline = make_pipeline(
    StandardScaler(), CalibratedClassifier(GaussianNB(var_smoothing=1e-2), cv=5)
)
search = GridSearchCV(
    pipeline,
    {"calibratedclassifier__calibrator": ["temperature", "platt", "isotonic"]},
    scoring="neg_log_loss",
    cv=3,
)
search.fit(images, digits)
for parameters, score in zip(
    search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
):
    print(f"{parameters['calibratedclassifier__calibrator']:12} log loss {-score:.3f}")

# %% [markdown]
# ## Keep it
#
# A calibrator is a few numbers. `save` writes them to a readable JSON file, and `load` runs no code
# from it. Here a calibrator is fitted on saved probabilities, without any wrapper, and restored.

# %%
calibrator = TemperatureCalibrator(input="proba").fit(model.predict_proba(X_cal), y_cal)
path = save(calibrator, "digits_calibrator.json")
restored = load(path)
np.array_equal(
    restored.transform(model.predict_proba(X_test)),
    calibrator.transform(model.predict_proba(X_test)),
)
