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
# # Which calibrator should I take?
#
# If you have labels to compare on: fit several and let the report say which one to use, and which
# others cannot be told from it. If you have not, take `AutoCalibrator`, the default; the second
# half of this page shows on a small arena why, and when a single map is the better choice. It
# takes about 25 seconds, and nothing is downloaded.

# %%
import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_wine, make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from calib import CALIBRATORS, CalibrationWarning, make_calibrator
from calib.datasets import load_digits_scores
from calib.evaluation import ClasswiseReliabilityDisplay, calibration_report

# %% [markdown]
# ## Fit the candidates
#
# The scores are those of an over-confident network on ten digits. Calibrators are fitted on images
# that the network has not seen, and compared on images that no calibrator has seen. Two slow maps
# are left out.

# %%
digits = load_digits_scores()
left_out = {"h_calibration", "split_point"}
names = [name for name in CALIBRATORS if name not in left_out]


def candidates(n_labels=None):
    """Return test probabilities, before and after every map fitted on that many labels."""
    proba = {"raw": digits.proba_test}
    for name in names:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CalibrationWarning)  # few labels are meant here
            calibrator = make_calibrator(name, input="logits")
            calibrator.fit(digits.logits_cal[:n_labels], digits.y_cal[:n_labels])
        proba[name] = calibrator.transform(digits.logits_test)
    return proba


proba = candidates()
report = calibration_report(digits.y_test, proba, reference="raw")
report

# %% [markdown]
# The first sentence is the answer. It rests on the log loss, a proper score: a method gains
# nothing by claiming what it does not believe. **May be the best** is the group that holds the
# truly best method with 95 % confidence, however many were tried; the recommended one is out of
# that group, and without a star if it can be. `reference` is what you use today: it is kept unless
# another one is better, and the report says who is worse than it in some respect.

# %%
print(report.headline)
print("recommended:", report.recommended, "| may be the best:", ", ".join(report.may_be_best))

# %% [markdown]
# ## How much better?
#
# `compare` takes one model minus another on the same draws, so that images that are hard for both
# cancel. Below 0 is better for losses and errors. The number of an error is the difference of what
# is left without the part of chance; `usual` is that of the values that papers print.

# %%
for other in ("auto", "temperature", "raw"):
    apart = report.compare(report.recommended, other)
    print(f"{report.recommended} minus {other}")
    for measure in ("log_loss", "expected_calibration_error"):
        found = apart[measure]
        print(f"    {measure:28}{found.value:+.3f} ({found.low:+.3f} to {found.high:+.3f})")

# %% [markdown]
# ## Class by class
#
# The top label can be right as often as it claims while single classes are off: that is a star on
# ACE alone, as for `temperature` here. `ClasswiseReliabilityDisplay` shows classes side by side on
# one scale, the worst first. Line options go to matplotlib: with 75 images a class, dots without a
# line are easier to read.

# %%
for name in ("temperature", report.recommended):
    ClasswiseReliabilityDisplay.from_predictions(
        digits.y_test, proba[name], name=name, n_panels=5, n_bins=5, linestyle="none"
    )

# %% [markdown]
# ## With fewer labels
#
# A map of a hundred numbers needs labels. With few of them the report prefers others, or says that
# it cannot tell.

# %%
for n_labels in (60, 150):
    few = calibration_report(digits.y_test, candidates(n_labels), reference="raw")
    print(f"{n_labels} labels: {few.headline}")
    print(f"    may be the best: {', '.join(few.may_be_best)}\n")

# %% [markdown]
# **Choose on one sample, judge on another.** The winner of fourteen methods was also lucky. Half
# of the test images choose here, and the other half say how good the chosen one is.

# %%
half = np.arange(len(digits.y_test)) % 2 == 0
chosen = calibration_report(
    digits.y_test[half], {name: p[half] for name, p in proba.items()}, reference="raw"
).recommended
judged = calibration_report(
    digits.y_test[~half], {name: proba[name][~half] for name in ("raw", chosen)}
)
print(judged)

# %% [markdown]
# ## Which map, if there is nothing to compare on?
#
# A small arena: a few tables, four classifiers on each, and every map on every classifier's scores.

# %%
tables = {
    "breast cancer": load_breast_cancer(return_X_y=True),
    "digits": load_digits(return_X_y=True),
    "odd digits": (load_digits().data, load_digits().target % 2),
    "wine": load_wine(return_X_y=True),
}
for name, n, n_classes, noise in (
    ("easy", 6000, 2, 0.0),
    ("noisy", 3000, 2, 0.2),
    ("five", 4000, 5, 0.1),
):
    tables[f"simulated, {name}"] = make_classification(
        n, 12, n_informative=6, n_classes=n_classes, flip_y=noise, random_state=0
    )


def classifiers():
    return {
        "logistic regression": make_pipeline(StandardScaler(), LogisticRegression()),
        "naive Bayes": GaussianNB(),
        "forest": RandomForestClassifier(60, random_state=0),
        "network": make_pipeline(
            StandardScaler(), MLPClassifier((60,), max_iter=120, random_state=0)
        ),
    }


# %% [markdown]
# ### Scores of every model
#
# Half of a table trains the models, a quarter calibrates them and a quarter judges. The three parts
# must not overlap: a model is surer on what it has been trained on than it is on anything else.

# %%
experiments = {}
for table, (X, y) in tables.items():
    X_train, X_rest, y_train, y_rest = train_test_split(
        X, y, test_size=0.5, stratify=y, random_state=0
    )
    X_cal, X_test, y_cal, y_test = train_test_split(
        X_rest, y_rest, test_size=0.5, stratify=y_rest, random_state=0
    )
    for name, model in classifiers().items():
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", ConvergenceWarning
            )  # a network that stops early is fine
            model.fit(X_train, y_train)
        scores = (model.predict_proba(X_cal), y_cal, model.predict_proba(X_test), y_test)
        experiments[table, name] = scores
print(
    f"{len(experiments)} experiments, {[len(e[1]) for e in experiments.values()][::4]} labels each"
)

# %% [markdown]
# ### Every map on every score
#
# The measure is the gain in Brier score, times 100: the squared distance between probabilities and
# truth, before minus after. Positive is better.


# %%
def brier(proba, y):
    return ((proba - np.eye(proba.shape[1])[y]) ** 2).sum(axis=1).mean()


gain = np.zeros((len(names), len(experiments)))
for column, (p, y, p_test, y_test) in enumerate(experiments.values()):
    for row, name in enumerate(names):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CalibrationWarning)
            calibrated = make_calibrator(name).fit(p, y).transform(p_test)
        gain[row, column] = 100 * (brier(p_test, y_test) - brier(calibrated, y_test))

print(f"{'map':<22}{'mean gain':>10}{'made worse':>12}{'worst':>8}{'wins':>6}")
worse, mean = (gain < -1e-6).mean(axis=1), gain.mean(axis=1)
wins = np.bincount(gain.argmax(axis=0), minlength=len(names))
for row in np.argsort(-mean):
    print(
        f"{names[row]:<22}{mean[row]:>10.2f}{worse[row]:>12.0%}{gain[row].min():>8.2f}{wins[row]:>6}"
    )

# %%
fig, axes = plt.subplots(1, 2, figsize=(13, 6), layout="constrained", width_ratios=[1, 1.5])
for row, name in enumerate(names):
    colour = "tab:red" if name == "auto" else "tab:blue"
    axes[0].scatter(100 * worse[row], mean[row], color=colour)
    left = name in ("vector_scaling", "beta", "venn_abers")
    axes[0].annotate(
        name,
        (100 * worse[row], mean[row]),
        xytext=(-4 if left else 4, -10 if name == "quadratic" else 4),
        textcoords="offset points",
        ha="right" if left else "left",
        fontsize=8,
        color=colour,
    )
axes[0].set(xlabel="experiments made worse, %", ylabel="mean gain in Brier score x 100")
axes[0].set_title("up and left is better")
axes[0].grid(alpha=0.3)
axes[0].margins(x=0.25)
image = axes[1].imshow(np.clip(gain, -3, 3), cmap="RdBu", vmin=-3, vmax=3, aspect="auto")
axes[1].set_yticks(range(len(names)), names)
labels = [f"{table}: {model}" for table, model in experiments]
axes[1].set_xticks(range(len(labels)), labels, rotation=90, fontsize=7)
fig.colorbar(image, ax=axes[1], label="gain in Brier score x 100, cut at 3")
plt.show()

# %% [markdown]
# ### Which map, for which scores?
#
# The same numbers by kind of classifier and by number of classes: mean gain of every map.

# %%
groups = {
    "all": [True] * len(experiments),
    "two classes": [p.shape[1] == 2 for p, *_ in experiments.values()],
    "more classes": [p.shape[1] > 2 for p, *_ in experiments.values()],
    "< 200 labels": [len(y) < 200 for _, y, *_ in experiments.values()],
    **{model: [m == model for _, m in experiments] for model in classifiers()},
}
print(f"{'map':<22}" + "".join(f"{group[:12]:>14}" for group in groups))
by_group = np.array([gain[:, chosen].mean(axis=1) for chosen in groups.values()]).T
best = by_group.argmax(axis=0)
for row in np.argsort(-mean):
    cells = [
        f"{value:.2f}{'*' if best[column] == row else ' '}"
        for column, value in enumerate(by_group[row])
    ]
    print(f"{names[row]:<22}" + "".join(f"{cell:>14}" for cell in cells))

# %%
certain = [f"{m} on {t}" for (t, m), (p, *_) in experiments.items() if (p == 0).mean() > 0.02]
print("more than 2 % of the probabilities are exactly 0:", ", ".join(certain))
for name in ("temperature", "matrix_scaling", "quadratic", "venn_abers"):
    column = gain[names.index(name)].argmin()
    print(f"worst case of {name:<15} {gain[names.index(name), column]:7.2f}  {labels[column]}")

# %% [markdown]
# **Reading it**, on these tables; columns hold 4 to 16 experiments each, so a lead of a tenth is a
# tie:
#
# * **Nothing to choose by: `auto`.** It has the best mean and hardly ever harms, because it keeps
#   scores as they are unless held-out samples speak against them. That caution has a price: with a
#   few dozen labels it does nothing where a map would have helped (the forest on wine).
# * **Two classes: `spline`**, with `beta` and `platt` close behind. With few labels the spline is
#   nearly Platt scaling; with thousands it can follow any increasing curve. Take `platt` or `beta`
#   if the map must be two or three numbers that can be explained.
# * **Few labels, or forests: `temperature`.** One number is learnt from 44 labels, and a forest is
#   mostly too timid or too sure as a whole. Within a row no class overtakes another.
# * **Naive Bayes and other badly bent scores**: everything with a shift and a slope repairs the
#   worst of it, a temperature alone only half.
# * **Ten classes and 450 labels: `matrix_scaling`** wins on digits for naive Bayes (of the single
#   maps) and logistic regression; it can learn which classes are mistaken for which.
# * **Forests and naive Bayes emit zeros.** A probability of exactly 0 has a logarithm of minus
#   infinity, here -87, and one such row that is wrong would rule every fit to logarithms. So
#   these maps mix the input with the uniform distribution where that fits better
#   (`smooth_input`). A handful of labels without such a row does not show that it is needed: that
#   is the worst case of `temperature` and `matrix_scaling`, on 44 wines.
# * **`isotonic`, `histogram` and `venn_abers` want more labels than these tables have.** They are
#   for shapes that no formula fits, and Venn-ABERS for its intervals with two classes; with many
#   classes and few labels they do harm.
#
# Models that are nearly calibrated, here logistic regression and the networks, leave little to
# gain and something to lose: half of the columns are pale. **Measure before you calibrate**: the
# report of the first half says "Keep raw" where nothing speaks against the scores.
