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
# # A paper says "ECE 0.021": how far can I trust it?
# The expected calibration error (ECE) sorts predictions into bins, compares the mean claim of each
# bin with how often it came true, and averages the gaps. It is one number, it is in every paper,
# and it depends on the size of the test set, on the bins and on luck. This page shows by how much,
# and what to ask for instead. Most data here are simulated, because only then is the true error
# known. It runs in less than a minute.

# %%
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import SVG
from scipy.special import expit

from calib import TemperatureCalibrator
from calib.datasets import load_digits_scores
from calib.evaluation import (
    CalibrationAccumulator,
    CumulativeDisplay,
    ReliabilityDisplay,
    brier_decomposition,
    calibration_report,
    calibration_tests,
    consistency_interval,
    expected_calibration_error,
    ks_calibration_error,
    metric_difference,
    metric_interval,
    post_hoc_improvement,
    refinement_decomposition,
    save_figure,
    score_decomposition,
    smooth_calibration_error,
    sweep_calibration_error,
)

rng = np.random.default_rng(0)


def simulate(n, sharpness):
    """Return labels, what the model says, and the true probabilities."""
    z = rng.normal(scale=2, size=n)
    return (rng.random(n) < expit(z)).astype(int), expit(sharpness * z), expit(z)


def ece(y_true, y_prob, n_bins=15):
    return expected_calibration_error(y_true, y_prob, n_bins=n_bins, average="binary")


# %% [markdown]
# ## A perfect model does not have an ECE of zero
# The model below states the true probability of every case. Its error is zero by construction. Its
# *measured* error is not: in every bin the rate of events is off by chance, the ECE counts the size
# of each gap and not its sign, so chance never cancels.

# %%
sizes, bins = (100, 300, 1000, 3000, 10_000, 30_000), (10, 15, 100)
floor = {m: [] for m in bins}
for n in sizes:
    draws = [simulate(n, 1)[:2] for _ in range(60)]
    for m in bins:
        floor[m].append(np.mean([ece(y, p, m) for y, p in draws]))
fig, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
for m, values in floor.items():
    ax.loglog(sizes, values, marker="o", label=f"{m} bins")
ax.set(xlabel="size of the test set", ylabel="mean ECE", title="A perfect model")
ax.legend()
for m, values in floor.items():
    print(f"{m:>3} bins: {values[2]:.3f} with 1,000 test cases, {values[4]:.3f} with 10,000")

# %% [markdown]
# So 0.038 on a thousand cases may well be a perfect model, and two papers with test sets of
# different size cannot be compared at all. The bias falls with the square root of the sample size
# and rises with the square root of the number of bins. It also depends on the model: one that
# mostly says 0.99 has a lower floor than this one, which says everything between 0 and 1. No table
# of corrections can be printed once and for all.
#
# ## Ask for the floor
# You need no simulation of your own: `consistency_interval` draws new labels from *your* model's
# probabilities and measures the error again. That is what you would see if the model were right. An
# error inside the range says: these data cannot tell the model from a calibrated one. It does not
# say that the model is calibrated.

# %%
for name, sharpness in (("perfect", 1.0), ("a little too sure", 1.2), ("too sure", 1.6)):
    y, p, truth = simulate(1000, sharpness)
    calibrated = consistency_interval(ece, p, n_resamples=500, random_state=0)
    print(
        f"{name:18} ECE {ece(y, p):.3f}, true error {np.mean(np.abs(p - truth)):.3f}, "
        f"if calibrated {calibrated.mean:.3f} ({calibrated.low:.3f} to {calibrated.high:.3f})"
    )

# %% [markdown]
# ## The bins decide who wins
# Model A claims two hundredths too much everywhere. Model B swings: too much, too little, ten times
# between 0 and 1. With ten bins the swings of B cancel inside each bin and B looks perfect; with
# twenty or thirty they do not. With hundreds of bins a good part of both numbers is chance. Nobody
# has cheated, and the ranking has changed.

# %%
n = 50_000
truth = rng.uniform(0.05, 0.93, n)
y = (rng.random(n) < truth).astype(int)
says_a = truth + 0.02
says_b = truth + 0.05 * np.sin(20 * np.pi * truth)
print(
    f"true error: A {np.mean(np.abs(says_a - truth)):.3f}, B {np.mean(np.abs(says_b - truth)):.3f}"
)
print("bins      A      B")
for m in (5, 10, 20, 30, 100, 500):
    a, b = ece(y, says_a, m), ece(y, says_b, m)
    print(f"{m:>4}  {a:.3f}  {b:.3f}  the smaller error: {'A' if a < b else 'B'}")

# %% [markdown]
# ## One number, one interval
# `metric_interval` gives both numbers of an error. The *usual* one is what papers print and what
# the function returns; it holds chance and error together. `value` has the bias removed: 0 is no
# more than chance, and the interval belongs to this number. Use the usual one to compare with
# tables in papers, and the other one to say how wrong a model is.

# %%
for name, sharpness in (("perfect", 1.0), ("a little too sure", 1.2), ("too sure", 1.6)):
    y, p, truth = simulate(1000, sharpness)
    found = metric_interval(ece, y, p, random_state=0)
    print(
        f"{name:18} usual {found.usual:.3f}, of which chance {found.floor:.3f}; bias removed "
        f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f}); "
        f"true {np.mean(np.abs(p - truth)):.3f}"
    )

# %% [markdown]
# ## Does the interval hold the truth?
# Resampling the test set adds chance on top of chance, so draws lie *above* the measured value,
# which lies above the truth already. Intervals that take the draws as they are
# (`method="percentile"`) double the bias; those that mirror the draws about the value (`"basic"`)
# take it off. The default asks for every size of the true error whether such a value would be
# seen, and keeps the sizes that pass. We count how often intervals of nominal 95 % hold the true
# error of a model that is too sure, with 500 test cases.

# %%
y, p, _ = simulate(1_000_000, 1.5)
target = ece(y, p)  # with a million cases chance is negligible
held = {"percentile": 0, "basic": 0, "auto": 0}
repeats = 60
for _ in range(repeats):
    y, p, _ = simulate(500, 1.5)
    for method in held:
        held[method] += target in metric_interval(
            ece, y, p, n_resamples=150, method=method, random_state=0
        )
for method, count in held.items():
    print(f"{method:10} holds {target:.3f} in {count / repeats:.0%} of {repeats} test sets")

# %% [markdown]
# The percentile interval is not a little short, it is in the wrong place. If several rows belong
# together (images of one patient, boxes of one image), pass `groups`: otherwise every interval is
# too short.
#
# ## Is it calibrated at all? Tests
# A test answers a question that an error cannot: could this be chance? We go to real scores, of an
# over-confident network on digits that it has not seen. `calibration_tests` runs nine tests that
# look at different things; choose one *before* looking. The first needs no bins and no choices.

# %%
digits = load_digits_scores()
temperature = TemperatureCalibrator(input="logits").fit(digits.logits_cal, digits.y_cal)
before, after = digits.proba_test, temperature.predict_proba(digits.logits_test)
calibration_tests(digits.y_test, before, random_state=0)

# %%
tests = calibration_tests(digits.y_test, after, random_state=0)
print("after temperature scaling, p-value of ecce_mad:", f"{tests['ecce_mad'].p_value:.2f}")
print("rejected by:", ", ".join(tests.rejected(0.95)) or "none of the nine")

# %% [markdown]
# Eight of the tests look at the largest probability, `skce` looks at all ten classes at once.
# Looking at nine tests and quoting the worst would be unfair: about one calibrated model in four
# fails at least one of them. A large p-value is no certificate either: with few samples every
# test accepts, with millions every test rejects. Report the size of the error *and* the test.
#
# ## Measures without bins
# Three errors that need no number of bins, and one that is corrected for them. The cumulative
# (Kolmogorov-Smirnov) error is the largest gap between two running sums; the smooth error averages
# over neighbours, at a width that follows from the error itself; the sweep takes as many bins as
# keep the rates in order; and the debiased reliability subtracts what chance adds on average. It is
# a squared error, hence the smaller numbers, and it may fall below zero. Below: the mean over 20
# test sets of a perfect model and of one that is too sure.


# %%
def debiased(y_true, y_prob):
    parts = brier_decomposition(y_true, y_prob, average="binary", strategy="quantile")
    return parts.debiased_reliability


measures = {
    "ECE, 15 bins": ece,
    "sweep": lambda y, p: sweep_calibration_error(y, p, average="binary"),
    "smooth": lambda y, p: smooth_calibration_error(y, p, average="binary"),
    "cumulative (KS)": lambda y, p: ks_calibration_error(y, p, average="binary"),
    "debiased, squared": debiased,
}
print(f"{'':18}{'perfect':^24}{'too sure':^24}")
print(f"{'':18}" + 2 * "".join(f"{n:>8,}" for n in (200, 1000, 5000)))
tables = {
    (s, n): [simulate(n, s)[:2] for _ in range(20)] for s in (1.0, 1.6) for n in (200, 1000, 5000)
}
for name, measure in measures.items():
    row = [np.mean([measure(*draw) for draw in draws]) for draws in tables.values()]
    print(f"{name:18}" + "".join(f"{value:8.4f}" for value in row))

# %% [markdown]
# All but the last are above zero for the perfect model: no bins does not mean no bias. Only the
# debiased one says about the same at every size of the test set, which is what a comparison between
# papers needs; a single value of it is as uncertain as the others. They measure different things,
# so compare models within a row, never across.
#
# The cumulative error has a picture. A calibrated model leaves the band anywhere with a probability
# of about 5 %, and the slope of the curve is the mean gap.

# %%
_, axes = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained")
for ax, name, proba in zip(axes, ("raw", "temperature"), (before, after), strict=True):
    CumulativeDisplay.from_predictions(digits.y_test, proba, name=name, ax=ax)

# %% [markdown]
# ## What would better calibration be worth?
# A calibration error has no price. A proper score (log loss, Brier score) has one, and splits into
# what a calibrator could win back and what only a better model could. `score_decomposition` uses
# the best monotone map of these very data, so its first part is a little too large;
# `refinement_decomposition` fits the calibrator on other folds, so its first part can fall below
# zero: then there is nothing left to gain.

# %%
for name, proba in (("raw", before), ("temperature", after)):
    corp = score_decomposition(digits.y_test, proba, score="brier")
    parts = refinement_decomposition(digits.y_test, proba, score="log_loss", random_state=0)
    print(
        f"{name:12} Brier of the top label {corp.score:.4f}, of which calibration "
        f"{corp.miscalibration:.4f}; log loss {parts.score:.4f}, of which calibration "
        f"{parts.calibration:+.4f}"
    )

# %% [markdown]
# ## Which of two models is better? Compare them on the same cases
# Two intervals that overlap do not mean that there is no difference: both models are judged on the
# same images, and hard images are hard for both. Resample the *difference*.

# %%
print(post_hoc_improvement(digits.y_test, before, after, random_state=0))


# %% [markdown]
# The gain in log loss is beyond doubt. The Brier score punishes confident mistakes far less, and
# its interval is the place to see whether these data show a gain in it.
#
# `metric_difference` does the same for any metric. Two calibration errors are subtracted with their
# bias removed: it differs between models, and would otherwise stay in the difference.


# %%
def ks(y_true, y_prob):
    return ks_calibration_error(y_true, y_prob, average="top_label")


for name, metric in (("ECE", expected_calibration_error), ("KS error", ks)):
    gap = metric_difference(metric, digits.y_test, after, before, random_state=0)
    print(
        f"{name:8} temperature minus raw: {gap.value:+.4f} ({gap.low:+.4f} to {gap.high:+.4f}); "
        f"of the usual values {gap.usual:+.4f}"
    )

# %% [markdown]
# ## More data than memory
# The best cure for the bias is more test data. `CalibrationAccumulator` reads it batch by batch and
# keeps sums only; accumulators of several machines add up. The report has the same columns, the
# floor included, whatever the number of rows.

# %%
machines = [CalibrationAccumulator(2), CalibrationAccumulator(2)]
for machine in machines:
    for _ in range(5):
        y, p, _ = simulate(100_000, 1.05)
        machine.update(y, p)
(machines[0] + machines[1]).report(name="a million rows")

# %% [markdown]
# An error below 0.01 is plain to see here; with a thousand cases it would have drowned.
#
# ## What to publish, and what to ask of a paper
# * the number of test cases, and the error *with its bias removed*, its interval and what chance
#   shows;
# * a proper score, because an error of zero is easy to reach by saying nothing (always state the
#   base rate);
# * the difference between two models with an interval on the same cases;
# * one measure without bins, chosen before looking, and its test;
# * the bins and which probabilities went into them (the largest of each row here), if it must be
#   the ECE.
#
# The report has the first three. Its headline is the answer, and every star in the table has a
# voice in the sentences.

# %%
report = calibration_report(digits.y_test, {"raw": before, "temperature": after})
report

# %% [markdown]
# `to_frame()` has one row per model and measure, both numbers, the interval of the second and the
# range of chance: what a table or a plot of your own needs.

# %%
frame = report.to_frame()
errors = frame[frame.measure.str.endswith("calibration_error")]
columns = ["model", "measure", "usual", "if_calibrated", "value", "low", "high", "beyond_chance"]
errors[columns].round(4)

# %% [markdown]
# A table for LaTeX. `"usual"` shows errors as other papers print them, `"debiased"` with bias
# removed and their intervals.

# %%
print(report.to_latex("usual", intervals=False))

# %% [markdown]
# ## Figures for a paper
# Every display draws on your axes and stays within them, and takes the options of matplotlib's
# lines. A single column of 3.3 inches, with scales that are stretched towards 0 and 1, where the
# claims are:

# %%
fig, ax = plt.subplots(figsize=(3.3, 3.0), layout="constrained")
options = {"strategy": "quantile", "n_bins": 10, "scale": "logit", "histogram": False, "ax": ax}
for name, proba, style in (("raw", before, ":"), ("temperature", after, "-")):
    ReliabilityDisplay.from_predictions(digits.y_test, proba, name=name, linestyle=style, **options)

# %% [markdown]
# Five panels with shared scales: the same network with temperatures from too sharp to too flat.

# %%
fig, axes = plt.subplots(1, 5, figsize=(6.9, 2.2), sharex=True, sharey=True, layout="constrained")
for ax, factor in zip(axes, (0.25, 0.5, 1, 2, 4), strict=True):
    z = digits.logits_test / (factor * temperature.temperature_)
    proba = np.exp(z - z.max(axis=1, keepdims=True))
    proba /= proba.sum(axis=1, keepdims=True)
    ReliabilityDisplay.from_predictions(digits.y_test, proba, ax=ax, n_bins=10, histogram=False)
    ax.set_title(f"{factor:g} T", fontsize=8)

# %% [markdown]
# The cumulative diagram needs no bins; one column again.

# %%
fig, ax = plt.subplots(figsize=(3.3, 2.5), layout="constrained")
CumulativeDisplay.from_predictions(digits.y_test, before, name="raw", ax=ax, band=False)
display = CumulativeDisplay.from_predictions(digits.y_test, after, name="temperature", ax=ax)

# %% [markdown]
# `save_figure` writes PDF and SVG files in which text is text: it can be searched, and edited.

# %%
save_figure(display.figure_, "cumulative.pdf")
save_figure(display.figure_, "cumulative.svg")
SVG("cumulative.svg")
