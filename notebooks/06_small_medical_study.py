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
# # A hundred patients: which model, which calibrator, and when should it stay silent?
#
# Clinical tables are often small: a hundred patients, a yes-or-no outcome, no data to spare for a
# test set. One call runs the whole study on such a table: every model with every calibrator,
# leaving out one patient at a time, and what is gained by answering only where the prediction is
# certain.
#
# The table here is a stand-in: 101 of the diabetes patients that come with scikit-learn, the
# outcome being progression above the median. It has the size of published studies with radiomic
# features, not their content; nothing about another disease follows from these numbers.

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

from uq import leave_one_out_study, load_study_stand_in, study_models

X, y = load_study_stand_in()
print(f"{X.shape[0]} patients, {X.shape[1]} features, {y.sum()} of class 1")

# %% [markdown]
# ## The whole study in one call
#
# For each patient, the 100 others are split into five folds; models trained on four folds score the
# fifth, which gives every one of them a score that its model has not seen. The calibrator learns
# from these scores. The model is then trained on all 100 and the calibrator applied to its score of
# the patient left out. Nothing that is learned, scaling included, ever sees that patient.
#
# To finish in seconds this page takes one repetition and the two fastest models. The real thing is
#
# ```python
# study = leave_one_out_study(None, X, y, n_jobs=-1, cache="scores")
# ```
#
# with four models, ten repetitions and a folder in which finished parts are kept: after an
# interruption it goes on where it stopped, and after a change of data or models it starts again.
# The same from a terminal: `calib study patients.csv --label outcome --html study.html`.

# %%
models = {name: study_models()[name] for name in ("logistic_regression", "svm")}
study = leave_one_out_study(models, X, y, n_repeats=1, n_resamples=500, cache="scores")
study

# %% [markdown]
# ## What to use, and what is true
#
# The **headline** takes the lowest Brier score, and says how many of the pairs of model and method
# these patients can tell from it. The **claims** are what published studies of this kind say; each
# is true, false or not decidable on these data, by a difference on the same draws of patients.

# %%
for claim in study.claims():
    print(claim)
print(study.difference(("svm", "platt"), ("logistic_regression", "platt"), "auroc"))

# %% [markdown]
# ## Do more features help?
#
# Sets of features are compared on the same patients. A name that begins with `+` adds its columns
# to the set before; near copies are left out by a rank correlation, anew in every training part.

# %%
sets = {"clinical": range(4), "+ blood": range(4, 10)}
by_set = leave_one_out_study(
    {"logistic_regression": models["logistic_regression"]},
    X,
    y,
    feature_sets=sets,
    correlation_limit=0.8,
    n_repeats=1,
    n_resamples=500,
)
print(by_set.findings()[1])

# %% [markdown]
# ## Reading the tables
#
# * **AUROC** says whether patients with the outcome get the higher scores, **ACE** (adaptive
#   calibration error) whether probabilities mean what they say, the **Brier score** both at once.
# * The **interval** is the honest part: with 101 patients the AUROC is known to about ± 0.1.
#   Differences between most rows of the first table are smaller than that.
# * The **floor** is the ACE that even a perfectly calibrated model would show with so few patients.
# * A cut at certainty 0.8 looks like progress for every method, but it keeps very different numbers
#   of patients: conformal p-values call twice as many of them "certain" as calibrated probabilities
#   do. That is a matter of scale, not of knowledge. Compare at equal shares:

# %%
fig, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
study.plot("logistic_regression", metric="accuracy", ax=axes[0])
study.plot("logistic_regression", metric="brier", ax=axes[1])

# %% [markdown]
# The band is the interval of the last curve. Where few patients are kept, curves jump: an AUROC of
# twenty patients, three of them with the outcome, can fall below one half by chance.
#
# ## Which certainty, which probability?
#
# Two questions are often answered by one number, and need not be. *Whom do we answer for?*
# Conformal confidence is a good order: it treats both outcomes alike and has few ties. *What do we
# say?* The ratio of conformal p-values is no probability; Venn-ABERS gives one, with an interval
# that tells how much a hundred patients can say. The default pair takes one from each. On a
# balanced table the difference is small. Here is the same study where one patient in five has the
# outcome:

# %%
everyone, progression = load_diabetes(return_X_y=True)
rare = (progression > np.quantile(progression, 0.8)).astype(int)
X_rare, _, y_rare, _ = train_test_split(
    everyone, rare, train_size=101, stratify=rare, random_state=0
)
linear = {"logistic_regression": models["logistic_regression"]}
rare_study = leave_one_out_study(linear, X_rare, y_rare, n_repeats=1, n_resamples=500)
titles = ("kept", "outcome", "AUROC", "-prev.", "ACE", "Brier")
print(f"{'probabilities, certainty':34}" + "".join(f"{title:>9}" for title in titles))
for method, certainty in (
    ("venn_abers", "max_probability"),
    ("conformal", "conformal_confidence"),
    ("venn_abers", "conformal_confidence"),
):
    for share in (1.0, 0.7, 0.5):
        row = rare_study.evaluate("logistic_regression", method, certainty, shares=[share])[1]
        values = [row.metrics[name].value for name in ("auroc", "auprc_gain", "ace", "brier")]
        cells = "".join(f"{value:9.3f}" for value in values)
        print(f"{method + ', ' + certainty:34}{row.share:9.0%}{row.prevalence:9.0%}{cells}")

# %% [markdown]
# Half of the patients kept: by their own certainty, calibrated probabilities drop most patients who
# *have* the rare outcome, because few of them get a probability near one; conformal confidence
# keeps certain patients of both kinds. (With the outcome rare among those kept, a low Brier score
# is easy; that flatters the third row.) But read as probabilities, the normalised p-values are far
# too high: they act as if half of the patients had the outcome, as ACE and Brier score show in the
# fourth row. The pair, in the last three, has the order of the one and the meaning of the other.
#
# ## One patient
#
# What the study would have said about single patients, each from models that never saw them:

# %%
model = "logistic_regression"
venn = rare_study.predictions[model, "venn_abers"][0]
p_values = rare_study.predictions[model, "conformal"][0].p_values
confidence = 1 - p_values.min(axis=1)
print("patient   outcome   probability   between       p-values (0, 1)    confidence")
for i in confidence.argsort()[[0, 1, 50, 80, 99, 100]]:
    low, high = venn.interval[i]
    print(
        f"{i:7}{y_rare[i]:10}{venn.y_prob[i]:14.2f}   {low:.2f} to {high:.2f}"
        f"{p_values[i, 0]:10.2f}, {p_values[i, 1]:.2f}{confidence[i]:16.2f}"
    )

# %% [markdown]
# ## What it cannot show
#
# * **Choosing the best cell is optimistic.** The largest of many noisy numbers is too large.
#   Decide on model, calibrator and cut beforehand, or confirm them on other patients.
# * **Leaving one out shifts prevalence** against the patient left out, and pulls the AUROC of weak
#   models down; `outer_folds=10` shows by how much. Intervals treat the predictions as given.
# * **One hospital.** All patients come from the same place. None of the promises survive a change
#   of scanner, protocol or population without new calibration data.

# %%
folds = leave_one_out_study(linear, X, y, n_repeats=2, outer_folds=10, n_resamples=500)
for name, one in (("leave one out", study), ("ten folds", folds)):
    found = one.evaluate("logistic_regression", "venn_abers")[0].metrics["auroc"]
    print(f"{name:14} AUROC of Venn-ABERS {found.value:.3f} ({found.low:.2f} to {found.high:.2f})")
study.to_html("study.html")
