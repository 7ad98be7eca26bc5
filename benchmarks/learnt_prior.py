"""Learn the prior of `EmpiricalBayesCalibrator` from folders of experiments.

    python -m benchmarks.learnt_prior FOLDER [FOLDER ...] [--half 0|1]

Folders are made by `benchmarks.arena_build`. Experiments with two classes count, with their
calibration and test parts together; those of related tables (all that are named after ``ecoli``)
weigh as much as one other table. Expectation-maximisation: the maps of every experiment given the
prior by Laplace's method, then the prior given the maps. With ``--half`` every second group of
tables is left out, so that what is learnt can be judged there.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from pathlib import Path

import numpy as np

from benchmarks.arena import load
from calib._core.logistic import Regressions, one_vs_rest
from calib._core.rows import in_memory
from calib._core.scores import Scores
from calib.calibrators.empirical_bayes import Posterior, PriorComponent, posterior

#: Shares of smoothing that stand for kinds of models.
SHARES = (1e-30, 1e-3, 2e-2, 1e-1)
ROUNDS = 15
#: Experiments that the first guess counts as, of all.
CAUTION = 0.02
#: Models whose scores say the opposite of what they should say nothing of usual ones.
LEAST_AREA = 0.5


def group(stem: str) -> str:
    """Return the word that tables made of the same source share."""
    table = stem.partition("__")[0]
    word = re.split(r"[-_0-9]", table)[0]
    return {"wdbc": "wisconsin", "winequality": "wine-quality"}.get(word, word)


def halves(groups: list[str]) -> dict[str, int]:
    """Return 0 or 1 for every group of tables, alternately in the order of their names."""
    return {name: place % 2 for place, name in enumerate(sorted(set(groups)))}


def read(path: Path) -> Regressions | None:
    """Return the labelled log-odds of an experiment, None unless it has two classes."""
    p_cal, y_cal, p_test, y_test = load(path)
    if p_cal.shape[1] != 2:
        return None
    p, y = np.concatenate([p_cal, p_test]), np.concatenate([y_cal, y_test])
    p /= p.sum(axis=1, keepdims=True)
    scores = Scores(p, "proba", "declared").in_domain("logits")
    odds = scores.log_odds()
    above = odds[y == 1][:, None] > odds[y == 0]
    if above.mean() <= LEAST_AREA:
        return None
    ((_, rows),) = one_vs_rest(in_memory(scores, y, None))
    return Regressions(rows).confined()


def learn(
    experiments: list[Regressions], share: np.ndarray, rounds: int = ROUNDS
) -> tuple[PriorComponent, ...]:
    """Fit the prior; `share` is the weight of every experiment, sum 1."""
    guess = [PriorComponent(s, 1.0 / len(SHARES), -0.2, 0.7, 0.7, 0.7, 0.0) for s in SHARES]
    prior = tuple(guess)
    for _ in range(rounds):
        found = [posterior(odds, prior) for odds in experiments]
        evidence = np.concatenate([one.log_evidence for one in found])
        belief = np.exp(evidence - evidence.max(axis=1, keepdims=True))
        belief *= (share / belief.sum(axis=1))[:, None]
        prior = tuple(_component(first, belief[:, j], found, j) for j, first in enumerate(guess))
    return prior


def _component(
    guess: PriorComponent, belief: np.ndarray, found: list[Posterior], j: int
) -> PriorComponent:
    mode = np.concatenate([one.mode[:, j] for one in found])
    spread = np.linalg.inv(np.concatenate([one.curvature[:, j] for one in found]))
    total = belief.sum() + CAUTION
    slope = (belief @ mode[:, 0] + CAUTION * guess.slope) / total
    distance = mode - [slope, 0.0, 0.0]
    squares = distance[:, :, None] * distance[:, None, :] + spread
    moments = np.einsum("n,nij->ij", belief, squares) + CAUTION * np.diag(
        [guess.slope_sd**2, guess.bend_sd**2, guess.shift_sd**2]
    )
    sd = np.sqrt(np.diag(moments) / total)
    return PriorComponent(
        guess.share,
        float(total / (1.0 + CAUTION * len(SHARES))),
        float(slope),
        float(sd[0]),
        float(sd[1]),
        float(sd[2]),
        float(moments[1, 2] / total / (sd[1] * sd[2])),
    )


def main() -> None:
    """Print the components as they stand in the library."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument(
        "--half", type=int, choices=(0, 1), help="learn from one half of the tables"
    )
    options = parser.parse_args()
    paths = [path for folder in options.folders for path in sorted(folder.glob("*.npz"))]
    known = {path: odds for path in paths if (odds := read(path)) is not None}
    side = halves([group(path.stem) for path in known])
    if options.half is not None:
        known = {p: o for p, o in known.items() if side[group(p.stem)] == options.half}
    size = Counter(group(path.stem) for path in known)
    share = np.array([1.0 / size[group(path.stem)] for path in known])
    print(f"{len(known)} experiments, {len(size)} groups of tables")
    for component in learn(list(known.values()), share / share.sum()):
        numbers = ", ".join(f"{x:.3g}" for x in vars(component).values())
        print(f"    PriorComponent({numbers}),")


if __name__ == "__main__":
    main()
