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
# # How can a model say that it does not know?
#
# A calibrated probability is one answer. This page shows four others: a *set* of labels that holds
# the true one, an *interval* for a number, *silence* where the model is unsure, and a *doubt score*
# for inputs unlike anything seen before. Each comes with what it promises and with what it does
# not. It runs in less than a minute on data that come with scikit-learn.

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes, load_digits
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from uq import (
    AdaptiveConformal,
    ConformalClassifier,
    ConformalRegressor,
    KNearestDetector,
    MahalanobisDetector,
    SelectiveClassifier,
    SplitPointRegressor,
    max_probability_score,
    ood_report,
    risk_coverage_curve,
)

rng = np.random.default_rng(0)

# %% [markdown]
# ## Sets of labels
#
# We train on few images of digits, so that there is something to doubt, and keep the rest for
# calibration and for judging. `ConformalClassifier` asks how strange the true label of each
# calibration image looked to the model, and puts into a set every label that looks no stranger.
# If calibration images and new ones are exchangeable (roughly: drawn alike, in any order), the set
# holds the true label with at least the probability asked for, however bad the model is. A bad
# model pays with large sets.

# %%
images, digits = load_digits(return_X_y=True)
X_train, X_rest, y_train, y_rest = train_test_split(
    images / 16, digits, train_size=150, stratify=digits, random_state=0
)
X_cal, X_test, y_cal, y_test = train_test_split(
    X_rest, y_rest, test_size=0.5, stratify=y_rest, random_state=0
)
model = FrozenEstimator(LogisticRegression().fit(X_train, y_train))
conformal = ConformalClassifier(model).fit(X_cal, y_cal)
row = np.arange(len(y_test))
for level in (0.8, 0.9, 0.95, 0.99):
    sets = conformal.predict_set(X_test, confidence_level=level)
    print(
        f"asked for {level:.0%}: {sets[row, y_test].mean():.1%} of the sets hold the true digit; "
        f"mean size {sets.sum(axis=1).mean():.2f}, single {np.mean(sets.sum(axis=1) == 1):.0%}"
    )

# %% [markdown]
# **What it does not promise.** The promise is an average over all images. Some digits are harder,
# and their sets miss more often, while easy ones make up for it. Asking for coverage *within each
# label* repairs that, at the price of calibrating each digit on its own few images.

# %%
by_label = ConformalClassifier(model, mondrian="label").fit(X_cal, y_cal)
coverage = {}
for name, method in (("all digits together", conformal), ("digit by digit", by_label)):
    inside = method.predict_set(X_test, confidence_level=0.9)[row, y_test]
    coverage[name] = np.array([inside[y_test == digit].mean() for digit in range(10)])
    worst = coverage[name].argmin()
    print(f"calibrated on {name}: worst digit {worst} with {coverage[name][worst]:.0%}")
fig, ax = plt.subplots(figsize=(7, 3), layout="constrained")
for shift, (name, values) in zip((-0.2, 0.2), coverage.items(), strict=True):
    ax.bar(np.arange(10) + shift, values, width=0.4, label=name)
ax.axhline(0.9, color="black", linestyle="--", linewidth=1)
ax.set(xlabel="digit", ylabel="coverage", ylim=(0.6, 1.02), xticks=range(10))
ax.legend(loc="lower right")

# %% [markdown]
# With about eighty images of each digit, single bars still wander by some three percent: that is
# the chance of the test images, not a broken promise.
#
# A set says little about a *single* image. Two numbers help there: **credibility**, the p-value of
# the best label (small: no label fits), and **confidence**, one minus the p-value of the second
# best (large: no other label fits).

# %%
forced = conformal.predict_credibility_confidence(X_test)
strange = forced.credibility.argsort()[:6]
fig, axes = plt.subplots(1, 6, figsize=(9, 1.9), layout="constrained")
for ax, i in zip(axes, strange, strict=True):
    ax.imshow(X_test[i].reshape(8, 8), cmap="gray_r")
    ax.set_title(f"{forced.labels[i]}? true {y_test[i]}\ncredibility {forced.credibility[i]:.3f}")
    ax.title.set_fontsize(9)
    ax.axis("off")

# %% [markdown]
# ## When the world changes
#
# Exchangeability is a strong word. Here a stream of images turns noisy after 400 of them. Sets that
# were calibrated once now miss far more than one in ten. `AdaptiveConformal` watches its misses and
# moves its own level; over a long run its share of misses comes to the one asked for, for *any*
# sequence.

# %%
order = rng.integers(len(X_test), size=1600)
stream, truth = X_test[order].copy(), y_test[order]
stream[400:] += 0.4 * rng.normal(size=stream[400:].shape)
scores = conformal.predict_scores(stream)[np.arange(1600), truth]
fixed = conformal.predict_set(stream, confidence_level=0.9)[np.arange(1600), truth]
adaptive = AdaptiveConformal(0.9, step_size=0.02, window=300)
adaptive.fit(conformal.conformity_scores_).update(scores)
followed = ~np.array(adaptive.misses_)
for name, part in (("before", slice(0, 400)), ("after", slice(400, None))):
    print(
        f"{name} the change: fixed {fixed[part].mean():.1%}, adaptive {followed[part].mean():.1%}"
    )
ax = adaptive.plot_running_coverage(window=150)
running = np.convolve(fixed, np.ones(150) / 150, mode="valid")
ax.plot(np.arange(150, 1601), running, label="calibrated once, last 150 labels")
ax.axvline(400, color="gray", linewidth=1)
ax.legend(loc="lower right", fontsize="small")

# %% [markdown]
# **Limits.** The true label has to arrive after each image, or nothing can be corrected. The
# promise is about the long run: just after the change the sets are too small. And coverage can be
# bought with sets of all ten digits, so watch their size as well.
#
# ## Intervals for numbers
#
# `ConformalRegressor` does the same for a number: past absolute errors give the half-width. All
# intervals are then equally wide, wherever the patient stands. Scaling by a predicted error
# (`"normalised"`), or starting from predicted quantiles (`"quantile"`), makes them differ.
# `SplitPointRegressor` calibrates each *side* of the prediction, so that labels above and labels
# below are both covered.

# %%
X, y = load_diabetes(return_X_y=True)
ridge = make_pipeline(StandardScaler(), Ridge())
quantiles = HistGradientBoostingRegressor(
    loss="quantile", quantile=0.5, max_iter=60, max_leaf_nodes=8, random_state=0
)
methods = {
    "fixed width": ConformalRegressor(ridge, random_state=0),
    "cross-conformal (CV+)": ConformalRegressor(ridge, method="cross"),
    "normalised": ConformalRegressor(ridge, conformity_score="normalised", random_state=0),
    "quantiles (CQR)": ConformalRegressor(quantiles, conformity_score="quantile", random_state=0),
    "split-point, side by side": SplitPointRegressor(ridge, sds_heads=None, random_state=0),
}
table = {name: [] for name in methods}
for seed in range(10):
    X_fit, X_new, y_fit, y_new = train_test_split(X, y, test_size=0.4, random_state=seed)
    for name, method in methods.items():
        fitted = method.fit(X_fit, y_fit)
        low, high = fitted.predict_interval(X_new, confidence_level=0.9).T
        above = y_new > fitted.predict(X_new)
        inside = (low <= y_new) & (y_new <= high)
        table[name].append(
            [inside.mean(), inside[above].mean(), inside[~above].mean(), (high - low).mean()]
        )
print(f"{'':27}{'inside':>8}{'above':>8}{'below':>8}{'width':>8}")
for name, rows in table.items():
    inside, above, below, width = np.mean(rows, axis=0)
    print(f"{name:27}{inside:8.1%}{above:8.1%}{below:8.1%}{width:8.0f}")

# %% [markdown]
# **Reading it.** Ten splits of 442 patients: differences of one or two percent are chance. The
# first column should be near 90 %; all methods promise that on average over calibration sets (CV+
# promises less on paper and keeps it in practice). Only the last row promises the two columns
# beside it. Intervals that differ between patients are not narrower here: what makes one patient
# less predictable than another has to be learned, and 200 patients teach little of it. No method
# promises coverage *for each patient*; without assumptions about the data nobody can.
#
# ## Silence
#
# Answer where you are sure, pass the rest to a person. `SelectiveClassifier` sets the threshold so
# that the error rate *among its answers* stays below a target, with a probability that you choose.

# %%
probabilities = model.predict_proba(X_test)
wrong = model.predict(X_test) != y_test
curve = risk_coverage_curve(wrong, max_probability_score(probabilities))
selective = SelectiveClassifier(model, target_risk=0.03, confidence_level=0.9).fit(X_cal, y_cal)
answered = selective.accepts(X_test)
print(f"without silence {wrong.mean():.1%} wrong; with it {wrong[answered].mean():.1%} wrong among")
print(f"the {answered.mean():.0%} that are answered (target 3 %, kept with 90 % confidence)")
ax = curve.plot()
ax.axhline(0.03, color="black", linestyle="--", linewidth=1)

# %% [markdown]
# **Limits.** The promise holds for images like those of the calibration set, and it needs enough of
# them: with fifty, no threshold can prove a 3 % error rate and the model stays silent throughout.
#
# ## Inputs unlike anything before
#
# A probability compares the classes a model knows; a picture that is none of them can still get a
# high one. Detectors look at the features instead. The report measures several kinds of
# strangeness, because a score that is good at one can be blind to another.

# %%
known = X_train[y_train < 8], y_train[y_train < 8]
inside_images, new_classes = X_test[y_test < 8], X_test[y_test >= 8]
outside = {
    "digits 8 and 9 (never trained on)": new_classes,
    "with noise": inside_images + 0.4 * rng.normal(size=inside_images.shape),
    "upside down": inside_images[:, ::-1],
}
small_model = LogisticRegression().fit(*known)
detectors = {
    "largest probability": lambda X: max_probability_score(small_model.predict_proba(X)),
    "Mahalanobis distance": MahalanobisDetector().fit(*known).score_samples,
    "nearest neighbours": KNearestDetector(n_neighbors=5).fit(known[0]).score_samples,
}
for name, detector in detectors.items():
    report = ood_report(
        detector(inside_images),
        {kind: detector(pictures) for kind, pictures in outside.items()},
        n_resamples=200,
        random_state=0,
    )
    values = {kind: result.auroc.value for kind, result in report.sets.items()}
    print(f"{name:22}", "; ".join(f"{kind} {value:.2f}" for kind, value in values.items()))
report

# %% [markdown]
# The last report in full. Largest probability is best at the new classes here and nearly blind to
# noise, which both distances see; no score is best at all three. The area under the ROC curve is
# the probability that an ordinary image scores higher than a strange one: 0.5 is blind, below 0.5
# worse. The last column is the share of strange images that pass at a threshold where 95 % of the
# ordinary ones do.
#
# ## Which one when
#
# | you need | take | it promises, if new data are like the calibration data |
# |---|---|---|
# | a short list of labels | `ConformalClassifier` | the true one is in it in a share you choose |
# | the same for every category | `mondrian="label"` or `categories` | the share in each of them |
# | the same in a stream that changes | `AdaptiveConformal` | the share in the long run, always |
# | a range for a number | `ConformalRegressor` | the label is inside in a share you choose |
# | a range right on both sides | `SplitPointRegressor` | the share above and below |
# | answers you can rely on | `SelectiveClassifier` | an error rate among answers |
# | an alarm for strange inputs | a detector, `ood_report` | nothing: measure it on your kinds |
