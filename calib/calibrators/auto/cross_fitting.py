"""Out-of-fold predictions of the members of a pool."""

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
from calib.calibrators.auto.candidates import LABELS, unfitted
from calib.progress import Progress


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
