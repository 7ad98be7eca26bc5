"""What may enter the pool of `AutoCalibrator`, and out-of-fold predictions of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from calib._border.typing import Array, Float64Array, InputKind, IntArray
from calib._core import links
from calib._core.estimators.folds import Folds
from calib._core.scores import Scores
from calib.base import BaseCalibrator
from calib.calibrators.ensemble import EnsembleTemperatureCalibrator
from calib.calibrators.isotonic import IsotonicCalibrator
from calib.calibrators.matrix import MatrixScalingCalibrator, VectorScalingCalibrator
from calib.calibrators.platt import PlattCalibrator
from calib.calibrators.spline import SplineCalibrator
from calib.calibrators.temperature import TemperatureCalibrator
from calib.calibrators.venn_abers.calibrator import VennAbersCalibrator
from calib.progress import Progress

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
)
LABELS = tuple(label for label, _, _ in CATALOGUE)
#: Candidates for two classes, for more, and for so many scores that few maps are affordable.
TWO = ("identity", "platt", "spline", "venn_abers")
MANY = (
    "identity",
    "temperature",
    "matrix_scaling",
    "matrix_scaling(strength=0.03)",
    "matrix_scaling(strength=0.001)",
    "isotonic",
)
LARGE = ("identity", "ensemble_temperature", "vector_scaling", "matrix_scaling")
HUGE = ("identity", "temperature", "ensemble_temperature", "vector_scaling")
#: Scores (samples times classes) from which `LARGE` applies, and classes from which `HUGE` does.
LARGE_ELEMENTS, HUGE_CLASSES = 2_000_000, 150
#: Scores, or samples if that is more, that choice and weighting are made on at most.
CHOICE_ELEMENTS, CHOICE_ROWS = 100_000, 4000


@dataclass(frozen=True)
class ClassCells:
    """Distinct samples of the choice, shared out among folds."""

    array: Array
    source: InputKind
    codes: IntArray
    folds: Folds
    numbers: range
    smoothing: float
    floor: float
    unit: float = 1.0

    def held_out(
        self,
        places: list[int],
        fitted: Mapping[int, BaseCalibrator | None],
        progress: Progress,
    ) -> Float64Array:
        """Return log-probabilities of the candidates, (n_candidates, n_pairs, n_classes).

        Pairs of fold and cell, fold after fold, as in `flat`. Candidates that are fitted to all
        folds already tell the share of smoothing of the input, which is costly to choose.
        """
        out = []
        for place in places:
            progress.step(f"trying {LABELS[place]}")
            share = getattr(fitted.get(place), "input_smoothing_", None)
            parts = []
            for number in self.numbers:
                held = self.folds.weight[:, number] > 0
                parts.append(self._predict(place, self.folds.train(number), held, share))
            out.append(np.concatenate(parts))
        return np.stack(out)

    def flat(self) -> tuple[IntArray, Float64Array, IntArray]:
        """Return class, weight and fold of every pair."""
        cell, fold = [], []
        for number in self.numbers:
            held = np.flatnonzero(self.folds.weight[:, number] > 0)
            cell.append(held)
            fold.append(np.full(len(held), number))
        rows, numbers = np.concatenate(cell), np.concatenate(fold)
        return self.codes[rows], self.folds.weight[rows, numbers], numbers

    def _predict(self, place: int, weight: Float64Array, held: Array, share: Any) -> Float64Array:
        new = Scores(self.array[held], self.source, "declared", unit=self.unit)
        identity = np.log(np.clip(new.in_domain("proba").dense(), self.floor, None))
        member = unfitted(place, self.source)
        train = weight > 0
        codes = self.codes[train]
        if member is None or len(codes) < 2 or codes.min() == codes.max():
            return identity
        scores = Scores(self.array[train], self.source, "declared", unit=self.unit)
        w = weight[train]
        target: Any = codes
        member.fit_scores(
            scores,
            target,
            None if (w == 1.0).all() else w,
            classes=np.arange(new.n_classes),
            input_smoothing=share,
        )
        proba = member.fitted_map.evaluate(new.dense(), self.source, np)
        return np.asarray(np.log(links.smooth(proba, np.asarray(self.smoothing))))


def candidates(n_samples: int, n_classes: int) -> list[int]:
    """Return places in the table of what is worth fitting at this size."""
    names: tuple[str, ...]
    if n_classes == 2:
        names = TWO
    elif n_classes > HUGE_CLASSES:
        names = HUGE
    else:
        names = LARGE if is_large(n_samples, n_classes) else MANY
    return [LABELS.index(name) for name in names]


def is_large(n_samples: int, n_classes: int) -> bool:
    """Say whether there are so many scores that few maps are affordable."""
    return n_samples * n_classes > LARGE_ELEMENTS


def thinning(n_samples: int, n_classes: int) -> int:
    """Return the step of the subsample on which the choice is made."""
    return max(1, n_samples // max(CHOICE_ELEMENTS // n_classes, CHOICE_ROWS))


def unfitted(place: int, source: InputKind) -> BaseCalibrator | None:
    """Return an unfitted member, None for the identity."""
    _, method, params = CATALOGUE[place]
    return None if method is None else method(input=source, **params)
