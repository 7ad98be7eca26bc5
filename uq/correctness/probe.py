"""A probe of hidden states: the probability that the answer which follows is right."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.validation import check_is_fitted

from calib import BaseCalibrator, make_calibrator
from calib._border.checks import (
    check_fraction,
    check_integer,
    check_option,
    describe,
    is_integer,
    is_number,
)
from calib._border.labels import check_same_length, check_vector, unit_codes
from calib._border.sklearn_compat import check_features
from calib._border.typing import ArrayLike, Float64Array, IntArray, LabelArray
from calib._core.estimators.out_of_fold import check_two_classes, fold_of_rows, folds_of
from calib._core.links import expit
from uq.conformal.state import seed_of
from uq.correctness.readouts import (
    LeftOut,
    Linear,
    Readout,
    area,
    choice,
    judging_pairs,
    layer_areas,
    left_out,
)
from uq.correctness.states import HiddenStates, Pooling, product, read_states, scaled_layer
from uq.selective.risk_control import Procedure, SelectiveThreshold, control_selective_risk

#: Folds: every pair of them is left out once.
FEWEST_FOLDS, MOST_FOLDS = 3, 10
CLASSES = np.array([0, 1])
#: Share of the rows of `threshold_for` that may look like rows of `fit`, and how alike they are.
SHARE_SEEN, ALIKE = 0.5, 1e-9


class HiddenStateProbe(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Estimate from the hidden states of a network whether its answer is right, calibrated.

    A logistic regression (or a small network) reads the states of one layer; the layer, the
    strength of the penalty and the calibration map are chosen on rows that were left out, in whole
    groups where there are groups. Works on states of any network, with far more dimensions than
    rows. Prefer it to the network's own confidence where states are at hand before, or without, an
    answer; where the maximum probability is at hand, compare: it is a strong baseline.

    Parameters
    ----------
    layer : int or "auto", default="auto"
        Layer that is read, counted from 0 (from the end if negative). ``"auto"`` takes the one with
        the largest area under the ROC curve on left-out folds, the earlier one of equals.
    pooling : {"last", "mean"} or None, default="last"
        What the states of several tokens become: that of the last token (of those in `mask`), or
        their mean. None refuses tokens. Without effect on states without tokens.
    standardize : bool, default=True
        Whether each dimension is divided by its standard deviation. False divides all by one
        number, so that rotations of the states change nothing.
    reduce : int >= 1 or None, default=None
        Number of principal components that the readout sees, fitted on the training rows of each
        fit; None: all dimensions. The ranking of layers does not use it.
    hidden : tuple of int, default=()
        Widths of ReLU layers of a network that replaces the logistic regression, for instance
        ``(128, 64)``. The ranking of layers is that of linear scores all the same.
    C : float > 0 or "cv", default="cv"
        Inverse strength of the penalty, ``|w|^2 / 2 + C sum of losses`` on scaled states.
        ``"cv"`` takes the best log loss on left-out folds among six values (three for networks),
        which are 0.001 to 100 (1 to 100) over the mean squared length of a state.
    calibrator : str, BaseCalibrator or None, default="platt"
        Map from log-odds to probabilities: a name in ``calib.CALIBRATORS``, or an instance, which
        is handed log-odds if its `input` is "logits", else probabilities. None: no map.
    prevalence : float in (0, 1) or None, default=None
        Share of right answers where the probe is used. The odds are multiplied by its odds over
        those of `correct` in `fit`, which undoes a balanced choice of rows. None: as in `fit`.
    cv : int or splitter, default=5
        Folds, 3 to 10, each row in one. An integer means stratified folds in the order of the
        rows; whole groups where `groups` are passed.
    random_state : int, RandomState, Generator or None, default=None
        Of networks and of randomised principal components; all else is exact.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        0 (wrong) and 1 (right).
    layer_ : int
        Layer that is read.
    layer_scores_ : ndarray of shape (n_layers,)
        Area under the ROC curve of a fast linear score on left-out folds, by which the layer was
        chosen; NaN for layers that were not looked at. The largest of many is optimistic: quote
        `auroc_`.
    auroc_ : float
        Area under the ROC curve on left-out folds (mean over folds, weighted by pairs), where layer
        and `C` were chosen without the fold: what to expect on new rows.
    out_of_fold_log_odds_ : ndarray of shape (n_samples,)
        Log-odds before calibration, from the same fits as `auroc_`. The calibrator is fitted on
        them, and another model may take them as a feature.
    C_ : float
        Inverse strength of the penalty of the final readout.
    calibrator_ : BaseCalibrator or None
        The fitted map.
    coef_ : ndarray of shape (n_features,)
        Weights of the states of `layer_`, without `hidden`.
    intercept_ : float
        Log-odds of a state of zeros, without `hidden`.
    rate_ : float
        Share of right answers in `fit`.
    n_layers_, n_features_in_ : int
        Layers, and dimensions of a state.

    Raises
    ------
    ValueError
        At fit, for NaN or inf (the text names the layer), shapes that contradict each other, a mask
        with an empty row, `correct` other than 0 and 1 or of one class, folds outside 3 to 10, a
        training part of one class, states that are all constant, or an option out of range.

    See Also
    --------
    control_selective_risk : The guarantee behind `threshold_for`.
    calib.CalibratedClassifier : Calibration of a classifier that has probabilities.

    Notes
    -----
    *Layers.* Each layer gets the least-squares scores of `correct` after 1 to 10 conjugate-gradient
    steps (partial least squares; the first step is the difference of class means), and its score is
    the best of these. This is O(n d) a step, for all folds at once, one layer in memory at a time,
    so that memory maps of tens of gigabytes are read once. Differences of class means alone miss
    signals that lie across the strong directions of the states.

    *Nothing is judged on what chose it.* For the log-odds of fold k, layer and C are chosen by
    readouts that leave out fold k and one more; the final layer and C by readouts that leave out
    single folds. With permuted labels and 32 layers, calibrated probabilities stay at the rate of
    right answers. Means and standard deviations of dimensions, which know no labels, are those of
    all rows.

    *Cost.* O(n d) per layer and fold pair, and one matrix of squared size min(n, d) per distinct
    layer that wins.

    References
    ----------
    .. [1] D. Alnuhait, N. Kirtane, M. Khalifa, H. Peng. FactCheckmate: Preemptively Detecting and
       Mitigating Hallucinations in LMs. Findings of EMNLP 2025. arXiv:2410.02899
    .. [2] G. Alain, Y. Bengio. Understanding Intermediate Layers Using Linear Classifier Probes.
       ICLR Workshop 2017. arXiv:1610.01644
    .. [3] S. Marks, M. Tegmark. The Geometry of Truth: Emergent Linear Structure in Large Language
       Model Representations of True/False Datasets. COLM 2024. arXiv:2310.06824
    .. [4] A. Phatak, F. de Hoog. Exploiting the Connection between PLS, Lanczos Methods and
       Conjugate Gradients. Journal of Chemometrics 16, 2002. doi:10.1002/cem.728

    Examples
    --------
    >>> import numpy as np
    >>> from uq import HiddenStateProbe
    >>> rng = np.random.default_rng(0)
    >>> correct = rng.random(900) < 0.7
    >>> states = rng.normal(size=(900, 3, 40))  # rows, layers, dimensions
    >>> states[:, 1, :5] += 0.7 * correct[:, None]
    >>> probe = HiddenStateProbe().fit(states[:600], correct[:600])
    >>> print(probe.layer_, probe.layer_scores_.round(2), round(probe.auroc_, 2))
    1 [0.48 0.88 0.53] 0.88
    >>> gate = probe.threshold_for(states[600:], correct[600:], risk=0.2)
    >>> print(f"let through {gate.coverage:.2f}, wrong {gate.risk:.2f} <= {gate.risk_bound:.2f}")
    let through 0.67, wrong 0.16 <= 0.20
    """

    classes_: LabelArray
    calibrator_: BaseCalibrator | None
    coef_: Float64Array
    intercept_: float

    def __init__(
        self,
        *,
        layer: Any = "auto",
        pooling: Pooling = "last",
        standardize: bool = True,
        reduce: int | None = None,
        hidden: tuple[int, ...] = (),
        C: Any = "cv",
        calibrator: Any = "platt",
        prevalence: float | None = None,
        cv: Any = 5,
        random_state: Any = None,
    ) -> None:
        self.layer = layer
        self.pooling = pooling
        self.standardize = standardize
        self.reduce = reduce
        self.hidden = hidden
        self.C = C
        self.calibrator = calibrator
        self.prevalence = prevalence
        self.cv = cv
        self.random_state = random_state

    def fit(
        self,
        H: ArrayLike,
        correct: ArrayLike,
        groups: ArrayLike = None,
        *,
        mask: ArrayLike = None,
    ) -> Self:
        """Choose the layer, fit the readout and calibrate it.

        Parameters
        ----------
        H : array-like of shape (n_samples, n_features), (n_samples, n_layers, n_features) or \
(n_samples, n_layers, n_tokens, n_features), or sequence of arrays
            Hidden states; in a list or tuple, one array (n_samples, n_features) or (n_samples,
            n_tokens, n_features) per layer. Arrays, memory maps and tensors of any floating type;
            float16 is read as float32, block by block.
        correct : array-like of shape (n_samples,)
            1 (or True) where the answer was right, 0 where it was wrong.
        groups : array-like of shape (n_samples,), default=None
            Rows of a group, such as answers to one question, are in one fold.
        mask : array-like of shape (n_samples, n_tokens), default=None
            1 for tokens, 0 for padding on either side; None: all are tokens.

        Returns
        -------
        self : object
        """
        self._check_options()
        states = self._read(H, mask, reset=True)
        y = _check_correct(correct, states.n_samples)
        self.classes_, self.n_layers_ = CLASSES, len(states.layers)
        fits = self._left_out(y, groups)
        readout = self._readout(states, fits)

        final_layer, layer_of_fold = self._choose_layer(states, y, fits)
        self.layer_ = final_layer
        log_odds = np.empty(states.n_samples)
        sizes = np.bincount(fits.fold).astype(np.float64)
        for layer in [*set(layer_of_fold.tolist()) - {final_layer}, final_layer]:
            X, scale = scaled_layer(states, layer, standardize=self.standardize, dtype=np.float64)
            answers = readout.out_of_fold(X, y, fits)
            best, best_of_fold = _choose_penalty(answers, y, fits, sizes)
            for fold in np.flatnonzero(layer_of_fold == layer).tolist():
                rows = fits.fold == fold
                rate = y[~rows].mean()  # a fold's labels are missing from its own intercept
                at_rate = np.log(y.mean() / (1 - y.mean())) - np.log(rate / (1 - rate))
                log_odds[rows] = answers[best_of_fold[fold], rows, fold] + at_rate
        self.C_ = readout.grid(X)[best]
        fitted = readout.final(X, y, self.C_)
        self._fitted, self._scale = fitted, scale
        if isinstance(fitted, Linear):
            self.coef_ = fitted.weights * scale.factor
            self.intercept_ = float(fitted.intercept - scale.mean @ self.coef_)
        elif hasattr(self, "coef_"):
            del self.coef_, self.intercept_

        self.out_of_fold_log_odds_ = log_odds
        pairs = judging_pairs(fits.fold, y)
        areas = [area(log_odds[fits.fold == k], y[fits.fold == k]) for k in range(fits.n_folds)]
        self.auroc_ = float(pairs @ np.array(areas) / pairs.sum())
        self.rate_ = float(y.mean())
        self.calibrator_ = self._fit_calibrator(log_odds, y)
        self._seen = np.sort(self._log_odds_of(states, self.layer_))
        return self

    def decision_function(self, H: ArrayLike, *, mask: ArrayLike = None) -> Float64Array:
        """Return the log-odds of a right answer before calibration.

        Parameters
        ----------
        H : array-like
            States as in `fit`, or those of `layer_` alone.
        mask : array-like of shape (n_samples, n_tokens), default=None
            As in `fit`.

        Returns
        -------
        log_odds : ndarray of shape (n_samples,)
        """
        check_is_fitted(self)
        states = self._read(H, mask, reset=False)
        return self._log_odds_of(states, self.layer_ if len(states.layers) > 1 else 0)

    def predict_proba(self, H: ArrayLike, *, mask: ArrayLike = None) -> Float64Array:
        """Return the probabilities of a wrong and a right answer.

        Parameters
        ----------
        H : array-like
            States as in `fit`, or those of `layer_` alone.
        mask : array-like of shape (n_samples, n_tokens), default=None
            As in `fit`.

        Returns
        -------
        proba : ndarray of shape (n_samples, 2)
            Rows sum to 1; the second column is the probability of being right.
        """
        log_odds = self.decision_function(H, mask=mask)
        if self.calibrator_ is None:
            right = expit(log_odds, np)
        else:
            right = self.calibrator_.transform(_scores_for(self.calibrator_, log_odds))[:, 1]
        if self.prevalence is not None:
            gain = (1 - right) * (1 - self.prevalence) / (1 - self.rate_)
            right = right * self.prevalence / self.rate_
            right = right / (right + gain)
        return np.stack([1 - right, right], axis=1)

    def predict(self, H: ArrayLike, *, mask: ArrayLike = None) -> IntArray:
        """Return 1 where the answer is more likely right than wrong.

        Parameters
        ----------
        H : array-like
            States as in `fit`, or those of `layer_` alone.
        mask : array-like of shape (n_samples, n_tokens), default=None
            As in `fit`.

        Returns
        -------
        verdict : ndarray of shape (n_samples,)
            0 or 1.
        """
        return (self.predict_proba(H, mask=mask)[:, 1] > 0.5).astype(np.intp)

    def threshold_for(
        self,
        H: ArrayLike,
        correct: ArrayLike,
        *,
        risk: float = 0.1,
        confidence_level: float = 0.9,
        mask: ArrayLike = None,
        procedure: Procedure = "fixed_sequence",
        min_coverage: float = 0.2,
    ) -> SelectiveThreshold:
        """Choose the lowest probability at which answers are let through with a bounded error rate.

        With probability `confidence_level` over the rows passed here, at most a share `risk` of
        future answers with ``predict_proba(H)[:, 1] >= threshold`` is wrong. This needs rows that
        `fit` has not seen, drawn as future ones are; `prevalence` changes the scale of the
        threshold, not its guarantee.

        Parameters
        ----------
        H : array-like
            States of held-out rows, as in `fit`, or those of `layer_` alone.
        correct : array-like of shape (n_samples,)
            1 (or True) where the answer was right, 0 where it was wrong.
        risk : float in (0, 1), default=0.1
            Largest share of wrong answers among those let through.
        confidence_level : float in (0, 1), default=0.9
            Probability that the bound holds.
        mask : array-like of shape (n_samples, n_tokens), default=None
            As in `fit`.
        procedure : {"fixed_sequence", "bonferroni"}, default="fixed_sequence"
            How thresholds are tested, see `control_selective_risk`.
        min_coverage : float in (0, 1), default=0.2
            Share of the rows at which testing starts, see `control_selective_risk`.

        Returns
        -------
        result : SelectiveThreshold
            `threshold` is a probability of being right; inf where no threshold passed.

        Raises
        ------
        ValueError
            If at least half of the rows are rows of `fit`, besides what `fit` refuses.

        Warns
        -----
        NothingKeptWarning
            If no threshold can be shown to keep the risk.
        """
        right = self.predict_proba(H, mask=mask)[:, 1]
        wrong = 1 - _check_correct(correct, len(right), two_classes=False)
        self._refuse_seen(self.decision_function(H, mask=mask))
        return control_selective_risk(
            wrong,
            right,
            target_risk=risk,
            confidence_level=confidence_level,
            procedure=procedure,
            min_coverage=min_coverage,
        )

    # ------------------------------------------------------------------ private parts

    def _check_options(self) -> None:
        check_option("pooling", self.pooling, ("last", "mean", None))
        check_option("standardize", self.standardize, (True, False))
        if not (isinstance(self.layer, str) and self.layer == "auto") and not is_integer(
            self.layer
        ):
            raise ValueError(f"layer must be 'auto' or an integer; got {describe(self.layer)}")
        if self.reduce is not None:
            check_integer("reduce", self.reduce, low=1)
        if not isinstance(self.hidden, (tuple, list)):
            raise ValueError(
                f"hidden must be a tuple of widths, such as (64,); got {describe(self.hidden)}"
            )
        for width in self.hidden:
            check_integer("hidden", width, low=1)
        named = isinstance(self.C, str) and self.C == "cv"
        if not named and not (is_number(self.C) and 0 < self.C < np.inf):
            raise ValueError(f"C must be 'cv' or a finite number > 0; got {describe(self.C)}")
        if self.prevalence is not None:
            check_fraction("prevalence", self.prevalence)
        if not (self.calibrator is None or isinstance(self.calibrator, (str, BaseCalibrator))):
            raise ValueError(
                f"calibrator must be a name in calib.CALIBRATORS, a calibrator or None; got "
                f"{describe(self.calibrator)}"
            )
        if isinstance(self.calibrator, str):
            make_calibrator(self.calibrator)

    def _read(self, H: ArrayLike, mask: ArrayLike, *, reset: bool) -> HiddenStates:
        states = read_states(H, self.pooling, mask)
        if getattr(H, "ndim", 0) == 2:
            check_features(self, H, reset=reset)
        elif reset:
            self.n_features_in_ = states.n_features
        if states.n_features != self.n_features_in_:
            raise ValueError(
                f"H has {states.n_features} dimensions per state, but the probe was fitted on "
                f"{self.n_features_in_}"
            )
        if not reset and len(states.layers) not in (1, self.n_layers_):
            raise ValueError(
                f"H has {len(states.layers)} layers, but the probe was fitted on {self.n_layers_}; "
                f"pass as many, or the states of layer {self.layer_} alone: (n_samples, "
                f"n_features), or with tokens [(n_samples, n_tokens, n_features)]"
            )
        return states

    def _left_out(self, y: Float64Array, groups: ArrayLike) -> LeftOut:
        """Return the folds, and the pairs of them that are left out together."""
        if is_integer(self.cv):
            check_integer("cv", self.cv, low=FEWEST_FOLDS, high=MOST_FOLDS)
        split = None if groups is None else {"groups": unit_codes(groups, len(y), "groups", "H")}
        codes = y.astype(np.intp)
        folds = folds_of(
            self.cv, np.zeros((len(y), 1)), codes, classifier=True, split=split, partition=True
        )
        if not FEWEST_FOLDS <= len(folds) <= MOST_FOLDS:
            raise ValueError(
                f"cv must make {FEWEST_FOLDS} to {MOST_FOLDS} folds, because layer and C are "
                f"chosen without every pair of them; got {len(folds)}"
            )
        fold = fold_of_rows(folds, len(y))
        fits = left_out(fold, nested=self.C == "cv" or self._is_auto())
        for rows in fits.training.T:
            check_two_classes(codes[rows], CLASSES, len(folds))
        return fits

    def _is_auto(self) -> bool:
        return isinstance(self.layer, str) and self.n_layers_ > 1

    def _readout(self, states: HiddenStates, fits: LeftOut) -> Readout:
        fewest = int(fits.training.sum(axis=0).min())
        most = min(fewest - 1, states.n_features)
        if self.reduce is not None and self.reduce > most:
            raise ValueError(
                f"reduce={self.reduce} components need more than {self.reduce} training rows and "
                f"dimensions; the smallest training part has {fewest} rows of {states.n_features} "
                f"dimensions. Pass at most {most}"
            )
        C = None if isinstance(self.C, str) else float(self.C)
        return Readout(self.reduce, tuple(self.hidden), C, seed_of(self.random_state))

    def _choose_layer(
        self, states: HiddenStates, y: Float64Array, fits: LeftOut
    ) -> tuple[int, IntArray]:
        """Return the layer of the final readout, and that of the readout of each fold."""
        n_layers = len(states.layers)
        self.layer_scores_ = np.full(n_layers, np.nan)
        if isinstance(self.layer, str):
            looked_at = range(n_layers)
        elif -n_layers <= self.layer < n_layers:
            looked_at = range(self.layer % n_layers, self.layer % n_layers + 1)
        else:
            raise ValueError(f"layer={self.layer} is none of the {n_layers} layers of H")
        of_fold = np.full((n_layers, fits.n_folds), -np.inf)
        pairs, varies = judging_pairs(fits.fold, y), False
        for layer in looked_at:
            X, scale = scaled_layer(states, layer, standardize=self.standardize, dtype=None)
            varies |= scale.n_varying > 0
            final, each = choice(layer_areas(X, y, fits), pairs)
            self.layer_scores_[layer], of_fold[layer] = final.max(), each.max(axis=0)
        if not varies:
            raise ValueError(
                f"H is constant in every dimension of {len(looked_at)} layer(s), so nothing can be "
                f"read from it; pass states that differ between rows"
            )
        return int(np.nanargmax(self.layer_scores_)), of_fold.argmax(axis=0)

    def _fit_calibrator(self, log_odds: Float64Array, y: Float64Array) -> BaseCalibrator | None:
        if self.calibrator is None:
            return None
        calibrator = (
            make_calibrator(self.calibrator, input="logits")
            if isinstance(self.calibrator, str)
            else clone(self.calibrator)
        )
        return calibrator.fit(_scores_for(calibrator, log_odds), y.astype(np.intp))

    def _log_odds_of(self, states: HiddenStates, place: int) -> Float64Array:
        """Return the log-odds from the layer at a place of `states`, whose number is `layer_`."""
        if isinstance(self._fitted, Linear):
            return product(states, place, self.layer_, self.coef_) + self.intercept_
        out = np.empty(states.n_samples)
        for rows, block in states.blocks(place, self.layer_):
            out[rows] = self._fitted.log_odds((block - self._scale.mean) * self._scale.factor)
        return out

    def _refuse_seen(self, log_odds: Float64Array) -> None:
        """Raise if many rows have log-odds of rows of `fit`, to more digits than chance allows."""
        place = np.searchsorted(self._seen, log_odds).clip(1, len(self._seen) - 1)
        gap = np.minimum(
            np.abs(log_odds - self._seen[place - 1]), np.abs(log_odds - self._seen[place])
        )
        seen = gap <= ALIKE * (1 + np.abs(log_odds))
        varies = self._seen[-1] - self._seen[0] > 1e3 * ALIKE * len(self._seen)
        if varies and seen.mean() >= SHARE_SEEN:
            raise ValueError(
                f"{int(seen.sum())} of {len(seen)} rows are rows that the probe was fitted on, "
                f"where it errs less than on new ones; pass rows that were held out of fit"
            )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.three_d_array = True
        return tags


def _check_correct(correct: ArrayLike, n_samples: int, *, two_classes: bool = True) -> Float64Array:
    """Return which answers were right as 0.0 and 1.0."""
    values = check_vector(correct, "correct")
    check_same_length(n_samples, len(values), "H", "correct")
    if values.dtype.kind not in "biuf" or not np.isin(values, (0, 1)).all():
        strange = [value for value in np.unique(values).tolist() if value not in (0, 1)][:3]
        raise ValueError(
            f"correct must hold 1 (or True) for right and 0 for wrong answers; got {strange}. Pass "
            f"y_pred == y_true"
        )
    if two_classes and (values == values[0]).all():
        raise ValueError(
            f"correct has one class only: all {len(values)} answers are "
            f"{'right' if values[0] else 'wrong'}, and a probe needs both; pass more rows"
        )
    return values.astype(np.float64)


def _choose_penalty(
    answers: Float64Array, y: Float64Array, fits: LeftOut, sizes: Float64Array
) -> tuple[int, IntArray]:
    """Return the place in the grid for the final readout, and for the readout of each fold."""
    if len(answers) == 1:
        return 0, np.zeros(fits.n_folds, dtype=np.intp)
    table = np.full((len(answers), fits.n_folds, fits.n_folds), np.nan)
    for number, k, j, rows in fits.held_out():
        eta = answers[:, rows, number]
        loss = np.maximum(eta, 0.0) + np.log1p(np.exp(-np.abs(eta))) - y[rows] * eta
        table[:, k, j] = loss.mean(axis=1)
    final, of_fold = choice(table, sizes)
    return int(final.argmin()), of_fold.argmin(axis=0)


def _scores_for(calibrator: BaseCalibrator, log_odds: Float64Array) -> Float64Array:
    """Return what a calibrator reads: logits of both classes, or the probability of one.

    Two logits of opposite sign cannot be mistaken for probabilities, however small they are.
    """
    if calibrator.input == "logits":
        return np.stack([-log_odds / 2, log_odds / 2], axis=1)
    return np.asarray(expit(log_odds, np))
