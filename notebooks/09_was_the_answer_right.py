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
# # Was this answer right?
# Language models say how sure they are, and say it badly. Whoever keeps a log of graded answers has
# something better: a model that learns from the log when answers are right. This page fits one,
# judges answers of a model that the log does not know, and decides which answers to give.
# The data are made on the spot, so that the truth is known. It runs in less than a minute.

# %%
import warnings

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import expit

from calib.evaluation import ReliabilityDisplay, calibration_report
from uq import (
    CorrectnessModel,
    HiddenStateProbe,
    control_selective_risk,
    control_stopping_risk,
    distribution_shift_test,
    selective_table,
)

TOPICS = {
    "algebra": ["equation", "polynomial", "root", "matrix"],
    "history": ["empire", "treaty", "century", "revolution"],
    "biology": ["cell", "enzyme", "species", "protein"],
    "law": ["contract", "court", "statute", "liability"],
}
HARD = ["derive", "prove", "reconcile", "distinguish"]
EASY = ["name", "state", "recall", "list"]
SURE = ["clearly", "therefore", "by definition", "so"]
UNSURE = ["perhaps", "it seems", "wait", "probably"]
#: Strength of each model, and the topic that it is good at.
MODELS = {
    "tiny-3b": (-0.9, "history"),
    "small-8b": (-0.2, "biology"),
    "medium-14b": (0.3, "law"),
    "large-70b": (1.1, "algebra"),
}


def log_of(n_questions, models, seed):
    """Return records and grades of the answers of some models to questions of four topics."""
    rng = np.random.default_rng(seed)
    rows, correct = [], []
    for number in range(n_questions):
        topic = rng.choice(list(TOPICS))
        difficulty = rng.normal()
        verbs = [rng.choice(HARD if rng.normal() < 1.5 * difficulty else EASY) for _ in range(2)]
        question = (
            " ".join([*verbs, *rng.choice(TOPICS[topic], 3)]) + f" of case {10_000 * seed + number}"
        )
        solution, trap = rng.choice(list("ABCDEFGH"), 2, replace=False)
        for name, (strength, good_at) in models.items():
            z = strength + 0.9 * (topic == good_at) - 1.3 * difficulty + 0.7 * rng.normal()
            right = rng.random() < expit(z)
            doubt = rng.random(4) < expit(-1.2 * right + 0.4)
            words = [rng.choice(UNSURE if unsure else SURE) for unsure in doubt]
            wrong = (
                trap if rng.random() < 0.4 else rng.choice(list("ABCDEFGH".replace(solution, "")))
            )
            verbal = np.round(np.clip(0.9 + 0.04 * z + 0.05 * rng.normal(), 0, 1), 2)
            rows.append(
                {
                    "question_id": f"{seed}-{number}",
                    "topic": topic,
                    "question": question,
                    "model": name,
                    "answer": f"{words[0]} the {rng.choice(TOPICS[topic])} {' '.join(words[1:])}",
                    "final": solution if right else wrong,
                    "verbal": np.nan if rng.random() < 0.15 else verbal,
                }
            )
            correct.append(int(right))
    return {name: [row[name] for row in rows] for name in rows[0]}, np.array(correct)


records, correct = log_of(1000, MODELS, seed=1)
later, later_correct = log_of(500, MODELS, seed=2)
for name in ("model", "question", "answer", "final", "verbal"):
    print(f"{name:9}", records[name][0])
print(f"{len(correct):,} graded answers, {correct.mean():.0%} of them right")

# %% [markdown]
# ## What the models say about themselves
# They state 0.90 on average, and every second answer is right. Some state nothing.

# %%
verbal, stated = np.array(later["verbal"]), ~np.isnan(later["verbal"])
mean, rate = verbal[stated].mean(), later_correct[stated].mean()
print(f"stated on {stated.mean():.0%} of the answers: mean {mean:.2f}, right {rate:.2f}")

# %% [markdown]
# ## Learn from the log
# Name what the columns mean. The split that calibrates keeps questions whole: the same question on
# both sides would show how hard it is. Missing confidences are allowed.

# %%
judge = CorrectnessModel(
    text=("question", "answer"), confidence=("verbal",), categorical=("topic",), random_state=0
)
judge.fit(records, correct)
p = judge.score_samples(later)
fig, axes = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
ReliabilityDisplay.from_predictions(
    later_correct[stated], verbal[stated], name="stated confidence", ax=axes[0]
)
ReliabilityDisplay.from_predictions(later_correct, p, name="judge", ax=axes[1])

# %% [markdown]
# The report says the same in numbers, with questions drawn whole for its intervals. It takes the
# *binary* view: the probability of being right against being right.

# %%
calibration_report(later_correct, {"judge": p}, groups=later["question_id"], random_state=0)

# %% [markdown]
# ## Where is it off?
# A judge may be right on average and wrong for every model. `explain_groups` shows all models and
# topics.

# %%
judge.explain_groups(later, later_correct, n_resamples=100)

# %% [markdown]
# ## Which answers to give
# Sort the answers by the probability, give the first part and withhold the rest. The table shows
# what that gains for each model, and the picture the share of wrong answers at every coverage.

# %%
table = selective_table(later_correct, p, later["model"])
table

# %%
table.plot()
# %% [markdown]
# The coverage at a risk in the table was chosen on these very answers and is therefore a little too
# good. A threshold with a guarantee comes from a bound:

# %%
threshold = control_selective_risk(1 - later_correct, p, target_risk=0.2)
share = f"{threshold.coverage:.0%} of all, {threshold.risk:.1%} of them wrong"
print(f"give answers from {threshold.threshold:.2f} on: {share}")
print(f"with 90 % confidence at most {threshold.risk_bound:.1%} are wrong in the long run")

# %% [markdown]
# ## Do the models agree?
# Where several models answer the same question, the best sign of a right answer is that others give
# it, too. `agreement` names the column of the final answers.

# %%
with_agreement = CorrectnessModel(
    text=("question", "answer"),
    confidence=("verbal",),
    categorical=("topic",),
    agreement="final",
    random_state=0,
).fit(records, correct)
agreed = with_agreement.score_samples(later)
for name, proba in (("without", p), ("with agreement", agreed)):
    row = selective_table(later_correct, proba).rows[0]
    print(f"{name:15} AUROC {row.auroc:.3f}, right at half coverage {row.accuracy_kept:.3f}")

# %% [markdown]
# It is counted among the answers that are judged together. A single answer has nobody to agree
# with; hand the answers of the other models over as `among=`.
#
# ## A model that the log does not know
# A new model is judged without its name, and a warning says so. One that is much better than those
# of the log is underestimated. A hundred graded answers repair the level.

# %%
new, new_correct = log_of(600, {"huge-400b": (2.6, "law")}, seed=3)
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    before = judge.score_samples(new)
print(str(said[0].message).partition(". They")[0])
graded = np.arange(600) < 100


def part(columns, rows):
    return {name: [values[k] for k in np.flatnonzero(rows)] for name, values in columns.items()}


repaired = judge.recalibrate(part(new, graded), new_correct[graded])
after = repaired.score_samples(part(new, ~graded))
truth = new_correct[~graded]
print(
    f"right {truth.mean():.3f}, promised {before[~graded].mean():.3f}, repaired {after.mean():.3f}"
)

# %% [markdown]
# Could one see the change without grades? `distribution_shift_test` asks whether two logs come from
# one population, and names what separates them: here the answers of the largest known model and
# those of the new one, one answer to each question.

# %%
large = part(records, np.array(records["model"]) == "large-70b")
columns = ("topic", "question", "answer")
distribution_shift_test(
    {name: large[name] for name in columns},
    {name: new[name] for name in columns},
    texts=("question", "answer"),
    n_permutations=99,
    random_state=0,
)

# %% [markdown]
# It sees no difference: the texts look alike, and what has changed is how often they are right. No
# test without grades could tell. Grade some answers of every new model.
#
# ## Inside the network
# Whoever runs the model sees more than its text: hidden states often show that an answer will be
# wrong before it is given. Here 900 states of three layers are simulated, the middle one of which
# knows something. `HiddenStateProbe` finds it.

# %%
rng = np.random.default_rng(0)
right = rng.random(900) < 0.6
states = rng.normal(size=(900, 3, 64))
states[:, 1, :6] += 0.6 * right[:, None]
probe = HiddenStateProbe().fit(states[:600], right[:600])
print(f"layer {probe.layer_}, AUROC of each", probe.layer_scores_.round(2))
promised = probe.predict_proba(states[600:])[:, 1]
print(f"on new rows: promised {promised.mean():.2f}, right {right[600:].mean():.2f}")

# %% [markdown]
# ## Ask the small model first
# A cascade asks the models from small to large and stops at the first whose answer is probably
# right. `control_stopping_risk` chooses where to stop so that the error exceeds that of the last
# model by no more than is allowed, with a bound that holds at finite sample size.

# %%
order = list(MODELS)
steps = {"confidence": p.reshape(500, 4), "correct": later_correct.reshape(500, 4)}
print("in this order:", ", ".join(later["model"][:4]))
control_stopping_risk(**steps, risk="excess", target_risk=0.05)

# %% [markdown]
# ## In production
# * Keep grading a few answers of every model, and look at `explain_groups`: where the promised and
#   the true rate part, recalibrate.
# * Report on questions that the fit has not seen.
# * The command line does the same on tables: `calib correctness fit`, `apply`, `report` and
#   `recalibrate`. `save_correctness_model` writes files whose loading runs no code.
