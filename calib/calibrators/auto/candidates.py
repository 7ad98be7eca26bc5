"""What may enter the pool, and what a number of samples and classes can bear of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from calib._border.typing import Float64Array, InputKind
from calib.base import BaseCalibrator
from calib.calibrators.empirical_bayes import EmpiricalBayesCalibrator
from calib.calibrators.ensemble import EnsembleTemperatureCalibrator
from calib.calibrators.isotonic import IsotonicCalibrator
from calib.calibrators.matrix import MatrixScalingCalibrator, VectorScalingCalibrator
from calib.calibrators.platt import PlattCalibrator
from calib.calibrators.spline import SplineCalibrator
from calib.calibrators.temperature import TemperatureCalibrator
from calib.calibrators.venn_abers.calibrator import VennAbersCalibrator

#: Label, class and parameters of everything that may enter the pool. Files hold the
#: labels, those of format 1 the places: append, never reorder. The first is the identity.
CATALOGUE: tuple[tuple[str, type[BaseCalibrator] | None, dict[str, Any]], ...] = (
    ("identity", None, {}),
    ("temperature", TemperatureCalibrator, {"smoothing": True}),
    ("ensemble_temperature", EnsembleTemperatureCalibrator, {}),
    ("spline", SplineCalibrator, {}),
    ("isotonic", IsotonicCalibrator, {}),
    ("venn_abers", VennAbersCalibrator, {}),
    ("platt", PlattCalibrator, {}),
    ("vector_scaling", VectorScalingCalibrator, {}),
    ("matrix_scaling", MatrixScalingCalibrator, {}),
    ("matrix_scaling(strength=0.03)", MatrixScalingCalibrator, {"strength": 0.03}),
    ("matrix_scaling(strength=0.001)", MatrixScalingCalibrator, {"strength": 0.001}),
    ("empirical_bayes", EmpiricalBayesCalibrator, {}),
    ("matrix_scaling(rank=20)", MatrixScalingCalibrator, {"rank": 20}),
    (
        "matrix_scaling(rank=20, strength=0.03)",
        MatrixScalingCalibrator,
        {"rank": 20, "strength": 0.03},
    ),
)
LABELS = tuple(label for label, _, _ in CATALOGUE)
EMPIRICAL_BAYES = LABELS.index("empirical_bayes")

#: Labels with the shares of a pool that the weights are pulled towards.
Shares = dict[str, float]
TWO: Shares = {"identity": 0.04, "empirical_bayes": 0.6, "spline": 0.18, "venn_abers": 0.18}
MANY: Shares = {
    "identity": 0.05,
    "temperature": 0.2,
    "matrix_scaling": 0.35,
    "matrix_scaling(strength=0.03)": 0.25,
    "matrix_scaling(strength=0.001)": 0.05,
    "venn_abers": 0.1,
}
#: For more classes than `MOST_FULL`: matrices through a few directions, or whole ones.
THIN: Shares = {
    "identity": 0.05,
    "temperature": 0.25,
    "vector_scaling": 0.25,
    "matrix_scaling(rank=20)": 0.25,
    "matrix_scaling(rank=20, strength=0.03)": 0.1,
    "isotonic": 0.1,
}
WIDE: Shares = {
    "identity": 0.05,
    "temperature": 0.15,
    "vector_scaling": 0.15,
    "matrix_scaling": 0.35,
    "matrix_scaling(strength=0.03)": 0.2,
    "isotonic": 0.1,
}
#: For so many scores that few maps are affordable.
LARGE: Shares = dict.fromkeys(
    ("identity", "ensemble_temperature", "vector_scaling", "matrix_scaling"), 0.25
)
HUGE: Shares = dict.fromkeys(
    ("identity", "temperature", "ensemble_temperature", "vector_scaling"), 0.25
)
#: Small pools that vouch for the large ones, or stand in for them.
SMALL_TWO: Shares = {"empirical_bayes": 1.0}
SMALL_MANY: Shares = {"identity": 0.05, "temperature": 0.45, "vector_scaling": 0.5}
SMALL_THIN: Shares = {
    "identity": 0.05,
    "temperature": 0.3,
    "vector_scaling": 0.35,
    "matrix_scaling(rank=20)": 0.3,
}
#: Maps that keep the order of the scores: of samples for two classes, in every row for more.
MONOTONE_TWO: Shares = {"identity": 0.05, "empirical_bayes": 0.95}
MONOTONE_MANY: Shares = {"identity": 0.05, "temperature": 0.5, "ensemble_temperature": 0.45}

#: Pull of the weights towards those shares, in nats for a distance of sqrt(2).
PULL_TWO, PULL_MANY = 10.0, 3.0
#: Members below these weights are left out.
LEAST_WEIGHT_TWO, LEAST_WEIGHT = 0.1, 0.05
#: Classes up to which matrices have all their coefficients.
MOST_FULL = 50
#: Beyond, samples of a class from which they have, and products of squared classes and samples up
#: to which that is affordable.
MANY_A_CLASS, AFFORDABLE = 20, 50_000_000
#: Samples up to which a rich pool must be better than the small one by `MARGIN` nats a class:
#: so many a class, or a share of the number of classes.
SCARCE, SCARCE_SHARE, MARGIN = 5, 0.2, 0.2
#: Scores (samples times classes) from which `LARGE` applies, and those from which thin matrices of
#: more classes than `HUGE_CLASSES` are too dear.
LARGE_ELEMENTS, THIN_ELEMENTS, HUGE_CLASSES = 2_000_000, 500_000, 150
#: Scores, or samples if that is more, that choice and weighting are made on, up to twice as many;
#: of two classes samples.
CHOICE_ELEMENTS, CHOICE_ROWS, CHOICE_TWO = 100_000, 4000, 5000


@dataclass(frozen=True)
class Pool:
    """Members of a pool and the weights that theirs are pulled towards.

    Attributes
    ----------
    places : tuple of int
        In `CATALOGUE`.
    centre : ndarray of shape (n_members,)
        Weights >= 0, sum 1.
    pull : float
        Half of it times the squared distance from them is added to the total log loss.
    """

    places: tuple[int, ...]
    centre: Float64Array
    pull: float

    @classmethod
    def of(cls, shares: Shares, pull: float) -> Pool:
        """Return the pool of some labels."""
        places = tuple(LABELS.index(label) for label in shares)
        return cls(places, np.array(list(shares.values())), pull)


@dataclass(frozen=True)
class Strategy:
    """What is tried at some number of samples and classes.

    Attributes
    ----------
    rich, small : Pool
        The small pool vouches for the rich one, or stands in for it.
    margin : float
        Nats by which the rich pool must beat the small one; minus infinity where it need not.
    least_weight : float
        Members below it are left out.
    large : bool
        Whether scores are so many that few maps are affordable, and one fold.
    step : int
        Of the systematic subsample on which the choice is made.
    """

    rich: Pool
    small: Pool
    margin: float
    least_weight: float
    large: bool
    step: int

    @property
    def places(self) -> list[int]:
        """Everything that is fitted."""
        return [*dict.fromkeys((*self.rich.places, *self.small.places))]


def strategy(n_samples: int, total: float, n_classes: int, *, rank_preserving: bool) -> Strategy:
    """Return what is worth trying with that many samples, of some total weight, and classes."""
    large = is_large(n_samples, n_classes)
    rich, small = _shares(n_samples, total, n_classes, rank_preserving)
    pull = PULL_TWO if n_classes == 2 else PULL_MANY
    scarce = n_classes > 2 and total <= n_classes * max(SCARCE, SCARCE_SHARE * n_classes)
    margin = MARGIN * n_classes if scarce else -np.inf
    rows = CHOICE_TWO if n_classes == 2 else max(CHOICE_ELEMENTS // n_classes, CHOICE_ROWS)
    step = max(1, n_samples // rows)
    least = LEAST_WEIGHT_TWO if n_classes == 2 else LEAST_WEIGHT
    return Strategy(Pool.of(rich, pull), Pool.of(small, pull), margin, least, large, step)


def _shares(
    n_samples: int, total: float, n_classes: int, rank_preserving: bool
) -> tuple[Shares, Shares]:
    """Return the shares of the rich and of the small pool."""
    if rank_preserving:
        monotone = MONOTONE_TWO if n_classes == 2 else MONOTONE_MANY
        return monotone, monotone
    if n_classes == 2:
        return TWO, SMALL_TWO
    if n_classes > HUGE_CLASSES and n_samples * n_classes > THIN_ELEMENTS:
        return HUGE, HUGE
    if is_large(n_samples, n_classes):
        return LARGE, LARGE
    if n_classes <= MOST_FULL:
        return MANY, SMALL_MANY
    many = total > MANY_A_CLASS * n_classes
    if many and n_samples * n_classes**2 <= AFFORDABLE:
        return WIDE, SMALL_MANY
    return THIN, SMALL_THIN


def spoken_name(label: str) -> str:
    """Return a label as it is read: ``venn_abers`` is Venn-ABERS."""
    name, opened, params = label.partition("(")
    text = {"venn_abers": "Venn-ABERS", "empirical_bayes": "empirical Bayes"}.get(
        name, name.replace("_", " ")
    )
    return f"{text} ({params}" if opened else text


def is_large(n_samples: int, n_classes: int) -> bool:
    """Say whether there are so many scores that few maps are affordable."""
    return n_samples * n_classes > LARGE_ELEMENTS


def unfitted(place: int, source: InputKind) -> BaseCalibrator | None:
    """Return an unfitted member, None for the identity."""
    _, method, params = CATALOGUE[place]
    return None if method is None else method(input=source, **params)
