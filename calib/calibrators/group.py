"""One line per group on the log-odds, drawn to the line of all as strongly as rows ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np

from calib._border.checks import check_number
from calib._border.typing import Array, Float64Array, IntArray, Namespace, RandomState
from calib._core import links
from calib._core.features.codes import filled
from calib._core.features.glm import fit_groups
from calib._core.features.prior import Prior
from calib._core.fitted_map import FittedArray, MapTraits
from calib._core.scores import Scores
from calib.calibrators.conditional.reading import (
    ALONE_ARRAYS,
    ConditionalCalibrator,
    both_classes,
    bounded,
    bounded_rows,
    fitted_lines,
    log_losses,
    map_alone,
)

#: Inverse variances that left-out rows choose among; the last is one line for all.
PRIOR_WEIGHTS = (0.5, 2.0, 8.0, 32.0, 128.0, 512.0, np.inf)


class GroupCalibrator(ConditionalCalibrator):
    """Calibrate each group of samples by a line of its own, drawn to that of all; two classes.

    For one known partition into a few or many groups (sites, age bands, sexes), some of them
    small. Groups that differ get maps that differ, groups of three rows get nearly that of all,
    and groups that the fit did not see get that of all. Used only if left-out rows gain beyond
    chance; otherwise it is `AutoCalibrator` on the scores, bit for bit. For several features, or
    numbers, take `MulticalibrationCalibrator`.

    Parameters
    ----------
    input : {"proba", "logits"}, default="proba"
        What the score columns of `X` hold; see `BaseCalibrator`.
    n_scores : int, default=None
        Number of leading columns of `X` that are scores: 1, or 2 for one per class. One column
        follows: the group, a number or (in a table) a text; nan is a group of its own. Two
        partitions at once are one column that joins them. None: all columns are scores, and the
        map is that of `AutoCalibrator`. `CalibratedClassifier` sets it.
    prior_weight : "cv" or float, default="cv"
        Inverse variance of intercepts and slopes around those of all, >= 0; infinity is one line
        for all. ``"cv"`` takes what left-out rows like best of 0.5, 2, 8, 32, 128, 512, infinity.
    cv : int, splitter or iterable, default=5
        Folds that learn and judge; integers (>= 2, at most as many as the rarer class has rows)
        mean stratified folds, of whole groups where groups are passed to `fit`.
    guard : bool, default=True
        Whether the map has to prove itself. False always uses what was learnt.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the folds.

    Attributes
    ----------
    used_ : bool
        Whether groups are used.
    fallback_reason_ : str or None
        Why they are not.
    gain_nats_ : float or None
        Total log loss that left-out rows gain over the best of the scores as they are, a line on
        their log-odds, and `AutoCalibrator`; None if nothing was learnt.
    gain_log_loss_ : CrossFittedGain or None
        Mean gain over the line, in nats a row, with its 95 % interval.
    level_ : ndarray of shape (n_groups,)
        Groups as numbers, ascending; texts count from 0 in sorted order.
    intercept_, slope_ : ndarray of shape (n_groups,)
        Lines on the log-odds; slopes are not negative.
    line_ : ndarray of shape (2,)
        Intercept and slope for groups that the fit did not see.
    prior_weight_ : float
        Inverse variance in use.
    classes_ : ndarray of shape (2,)
        Class of each column of the answer.
    n_features_in_ : int
        Number of columns of `X` seen at fit, the group included.

    Raises
    ------
    ValueError
        At fit, for input that `BaseCalibrator.fit` refuses, a number of columns that is not
        `n_scores` plus one, more than two classes, an infinite group, or an option out of range.

    See Also
    --------
    MulticalibrationCalibrator : any features.
    calib.evaluation.segment_report : says for whom a model is off.

    Notes
    -----
    ``logit q = a_g + b_g s`` with ``(a_g, b_g)`` normal around the line of all, which is itself
    drawn to the identity. The guard is that of `MulticalibrationCalibrator`.

    References
    ----------
    .. [1] C. N. Morris. Parametric Empirical Bayes Inference: Theory and Applications. JASA
       78(381), 1983. doi:10.1080/01621459.1983.10477920

    Examples
    --------
    >>> import numpy as np
    >>> from calib import GroupCalibrator
    >>> rng = np.random.default_rng(0)
    >>> s, site = rng.normal(size=3000), rng.integers(0, 3, 3000)
    >>> y = (rng.random(3000) < 1 / (1 + np.exp(1 - s - site))).astype(int)
    >>> cal = GroupCalibrator(input="logits", n_scores=1).fit(np.c_[s, site], y)
    >>> cal.transform([[0.0, 0], [0.0, 1], [0.0, 2]])[:, 1].round(2)
    array([0.28, 0.47, 0.75])
    """

    _name = "group"

    traits: ClassVar[MapTraits] = MapTraits(
        arrays={
            **ALONE_ARRAYS,
            "level_": FittedArray(("groups",), ascending=True, empty=True),
            "intercept_": FittedArray(("groups",), empty=True),
            "slope_": FittedArray(("groups",), low=0.0, empty=True),
            "line_": FittedArray((2,)),
        },
        domain="declared",
        double=True,
        block_rows=4096,
        rescales_from=2,
        n_scores="n_scores_",
    )

    level_: Float64Array
    intercept_: Float64Array
    slope_: Float64Array
    line_: Float64Array
    prior_weight_: float

    def __init__(
        self,
        *,
        input: Literal["proba", "logits"] = "proba",
        n_scores: int | None = None,
        prior_weight: float | Literal["cv"] = "cv",
        cv: Any = 5,
        guard: bool = True,
        random_state: RandomState = 0,
    ) -> None:
        super().__init__(input=input)
        self.n_scores = n_scores
        self.prior_weight = prior_weight
        self.cv = cv
        self.guard = guard
        self.random_state = random_state

    @property
    def used_(self) -> bool:
        """Whether groups are used."""
        return bool(len(self.level_))

    def _check_options(self, n_columns: int) -> None:
        super()._check_options(n_columns)
        if self.prior_weight != "cv" and not check_number("prior_weight", self.prior_weight) >= 0:
            raise ValueError(f"prior_weight must be 'cv' or a number >= 0; got {self.prior_weight}")
        if n_columns > self.n_scores_ + 1:
            raise ValueError(
                f"n_scores={self.n_scores_} and X has {n_columns} columns: 'group' reads one "
                f"column after the scores; join several into one, or use 'multicalibration'"
            )

    def _start_empty(self) -> None:
        self.level_, self.intercept_, self.slope_ = np.empty((3, 0))
        self.line_, self.prior_weight_ = np.array([0.0, 1.0]), np.inf

    def _learn(
        self,
        scores: Scores,
        features: Float64Array,
        codes: IntArray,
        weight: Float64Array | None,
        gain_alone: float,
    ) -> None:
        rows = self._folds(scores, features, codes, weight, self.cv)
        self.share_ = np.array([1.0 / (float(rows.total.sum()) + 1.0)])
        raw = bounded(scores.log_odds()[rows.rows], self.share_)
        lines, self.line_ = fitted_lines(raw, rows)
        level, group = np.unique(filled(features[rows.rows])[:, 0], return_inverse=True)
        fold, place = rows.pairs()
        target, mass = rows.target[place], rows.left_out[fold, place]
        best, losses = np.inf, np.empty(0)
        choices = PRIOR_WEIGHTS if self.prior_weight == "cv" else (float(self.prior_weight),)
        for choice in choices:
            of_fold = np.stack(
                [
                    _lines_of_groups(raw, rows.target, learnt, group, len(level), line, choice)
                    for learnt, line in zip(rows.learnt, lines, strict=True)
                ]
            )
            own = of_fold[fold, group[place]]
            tried = log_losses(own[:, 0] + own[:, 1] * raw[place], target)
            if float(mass @ tried) < best:
                best, losses, self.prior_weight_ = float(mass @ tried), tried, choice
        offset = lines[fold, 0] + lines[fold, 1] * raw[place]
        if not self._passes(losses, offset, raw[place], target, mass, gain_alone):
            return
        found = _lines_of_groups(
            raw, rows.target, rows.total, group, len(level), self.line_, self.prior_weight_
        )
        self.level_, self.intercept_, self.slope_ = level, found[:, 0].copy(), found[:, 1].copy()

    def _learnt_in_words(self) -> str:
        return f"{len(self.level_)} groups, prior weight {self.prior_weight_:g}"

    @staticmethod
    def _map(scores: Array, fitted: Mapping[str, Any], xp: Namespace) -> Array:
        level = fitted["level_"]
        if not level.shape[0]:
            return map_alone(scores, fitted, xp)
        s, features = bounded_rows(scores, fitted, xp)
        group = 1.0 * features[:, 0]
        last = level.shape[0] - 1
        place = xp.clip(links.places(level, group, "left", xp), 0, last)
        known = xp.take(level, place, axis=0) == group
        line = fitted["line_"]
        intercept = xp.where(known, xp.take(fitted["intercept_"], place, axis=0), line[0])
        slope = xp.where(known, xp.take(fitted["slope_"], place, axis=0), line[1])
        return both_classes(intercept + slope * s, xp)


def _lines_of_groups(
    s: Float64Array,
    target: Float64Array,
    weight: Float64Array,
    group: IntArray,
    n_groups: int,
    line: Float64Array,
    prior_weight: float,
) -> Float64Array:
    """Return intercept and slope of every group, (n_groups, 2); those without rows get the line."""
    out = np.tile(line, (n_groups, 1))
    if np.isinf(prior_weight):
        return out
    order = np.argsort(group, kind="stable")
    order = order[weight[order] > 0]
    there, starts = np.unique(group[order], return_index=True)
    design = np.stack([np.ones(len(order)), s[order]], axis=1)
    out[there] = fit_groups(
        design,
        target[order],
        starts,
        Prior(line, np.full(2, max(prior_weight, 1e-6))),
        "logistic",
        weight=weight[order],
        increasing=1,
    ).coefficients
    return out
