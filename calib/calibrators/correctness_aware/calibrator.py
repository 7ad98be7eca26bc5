"""Correctness-aware calibration: temperatures from how the top classes behave under views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from calib._border import validation
from calib._border.arrays import array_namespace, like, read_array, to_numpy
from calib._border.checks import (
    check_fraction,
    check_integer,
    check_number,
    check_option,
    describe,
    is_number,
)
from calib._border.random import generator
from calib._border.typing import (
    Array,
    ArrayLike,
    Float64Array,
    IntArray,
    LabelArray,
    Namespace,
    RandomState,
)
from calib._border.warn import warn
from calib._core import links
from calib._core.estimators.targets import at_target, class_target, holds_shares
from calib._core.fitted_map import NUMBER, POSITIVE, SHARE, FittedArray, FittedMap, MapTraits
from calib._core.scores import Scores
from calib.base import BaseCalibrator
from calib.calibrators.correctness_aware import network
from calib.calibrators.temperature import TemperatureCalibrator
from calib.warnings import DegenerateScoresWarning, FallbackWarning, ScarceLabelsWarning

#: Wrong (and right) samples from which the network is fitted.
FEWEST = 50
#: Area under the ROC curve of agreement for correctness below which views say nothing.
LEAST_AREA = 0.55
#: Share of right predictions that a view has to leave as they are.
LEAST_AGREEMENT = 0.5
#: Least value of integer options.
LEAST = {"top_k": 1, "hidden": 1, "max_epochs": 0, "batch_size": 1, "patience": 1}
#: Distance from the ends of the range, relative, at which a temperature counts as at its end, and
#: the share of the rows that may be there.
NEAR, MOST_AT_THE_END = 0.01, 0.05


class CorrectnessAwareCalibrator(BaseCalibrator):
    """Divide the logits of each sample by a temperature that its views tell.

    A network of one small layer reads the probabilities of the top classes in several versions of a
    sample (the original and views: rotated, noisy, masked inputs, see `calib.views`, or members
    of an ensemble) and answers with one temperature. It is fitted so that the top confidence meets
    the correctness, starts as temperature scaling, and stays that where held-out samples show no
    gain. Predictions never change. Prefer `TemperatureCalibrator` unless views tell right
    samples from wrong ones (``view_agreement_``); the gain is in the top confidence, at the cost
    of one forward pass of the model per view.

    Parameters
    ----------
    input : {"proba", "logits"}, default="proba"
        What `X` holds, views included; see `BaseCalibrator`.
    n_views : int, default=None
        Number of views, >= 0, behind the original in the rows of a two-dimensional `X`. None
        takes it from a three-dimensional `X`; a two-dimensional one then has none.
    top_k : int, default=4
        Number of top classes of the original that are looked at, >= 1; at most all are.
    hidden : int, default=5
        Units of the hidden layer, >= 1.
    include_original : bool, default=True
        Whether the network sees the original beside the views; it always does without views.
    features : {"log_proba", "proba"}, default="log_proba"
        Whether it sees logarithms (of the probability plus 1e-4) or the published raw
        probabilities.
    loss : {"correctness", "log_loss"}, default="correctness"
        The squared difference of top confidence and correctness, or the log loss of the true class.
    balanced : bool, default=False
        Whether right and wrong samples get the same total weight, as in the published code. That
        **re-bases the confidence to an accuracy of one half**: it is not the probability of being
        right, unless the model is right half of the time. `correctness` undoes it.
    temperature_range : tuple of two floats, default=(0.1, 10.0)
        Lowest and highest temperature, 0 < lowest < highest, in units of ``unit_``.
    learning_rate : float, default=0.003
        Length of the steps (Adam), > 0.
    max_epochs : int, default=300
        Most passes over the samples, >= 0; with 0 the result is temperature scaling.
    batch_size : int, default=1000
        Samples a step, >= 1.
    validation_fraction : float, default=0.1
        Share of the right and of the wrong samples that choose the epoch to stop at, in (0, 1).
    patience : int, default=20
        Epochs without a gain on these samples after which the fit ends, >= 1.
    random_state : int, RandomState instance or None, default=0
        Of the samples held out, the first weights and the batches; an integer makes the same map of
        the same data, None another one every time.

    Attributes
    ----------
    temperature_ : float
        T > 0 of temperature scaling, the start and the fallback, in units of ``unit_``.
    fallback_ : bool
        Whether temperature scaling was kept: too few wrong samples, or no gain on those held out.
    n_epochs_ : int
        Epochs after which the network was kept; 0 for temperature scaling.
    view_agreement_ : ndarray of shape (n_views, 2)
        Share of the samples for which a view predicts the same class as the original, among the
        right (first column) and the wrong ones, in [0, 1]; NaN where there are none.
    accuracy_ : float
        Accuracy on the calibration samples, in [0, 1].
    n_views_ : int
        Number of views in a row.
    hidden_weights_, hidden_bias_ : ndarray of shape (n_inputs, hidden) and (hidden,)
        Hidden layer.
    output_weights_, output_bias_ : ndarray of shape (hidden,) and float
        Output.
    offset_, bounds_ : float and ndarray of shape (2,)
        Place of the start on the scale of the output, and the range of the temperatures.
    odds_ : float
        What the odds of the confidence are multiplied by in `correctness`; 1 unless balanced.
    smoothing_, input_smoothing_ : float
        Shares of the uniform distribution that temperature scaling chose, in [0, 1].
    unit_ : float
        Number that logits are divided by first: 1 unless they are on another scale than
        log-probabilities.
    classes_ : ndarray of shape (n_classes,)
        Class of each column.
    n_features_in_ : int
        Number of columns of the flattened `X`, ``(1 + n_views) * n_classes``.

    Raises
    ------
    ValueError
        At fit, for input that `BaseCalibrator.fit` refuses (views are checked like the original),
        columns that are no whole number of versions, an unknown option, or a number out of its
        range.

    Warns
    -----
    FallbackWarning
        If views were made in vain: all samples are right, or all wrong, or the best temperature is
        out of range. Temperature scaling is kept; without views ``fallback_`` alone says so.
    ScarceLabelsWarning
        The same if fewer than 50 samples are wrong (or right).
    DegenerateScoresWarning
        If no view agrees with the original more often where it is right (area under the ROC curve
        of agreement below 0.55), if a view changes most of the right predictions, if more than 5 %
        of the temperatures are at the end of their range, or if a two-dimensional `X` without
        `n_views` has a multiple of the columns that the labels need.

    See Also
    --------
    TemperatureCalibrator : one temperature for all, fitted to the log loss.
    ViewScores : the scores of a model on views of its input, as the step before.

    Notes
    -----
    With ``phi`` the standardised log-probabilities of the top classes in all versions, the
    temperature is ``T = T0 + softplus(o + m) - softplus(o)`` for the move
    ``m = w2 . relu(W1 phi + b1) + b2``, cut at the highest temperature; ``o`` makes the lowest one
    the limit for ``m`` to minus infinity. The output weights start at 0, so that the start is
    temperature scaling exactly. The loss ``mean (c - a)^2`` of confidence c and correctness a is
    the Brier score of the top label, with ``dc/dT = -(c / T^2) (z_top - sum_k p_k z_k)``. It does
    not see the other classes: where these matter, use ``loss="log_loss"``. As c is at least
    1 / n_classes, no temperature repairs a model of two classes that is wrong more often than not.

    With right samples weighted by w1 and wrong ones by w0 the best confidence is
    ``w1 eta / (w1 eta + w0 (1 - eta))`` for the probability ``eta`` of being right, which
    `correctness` inverts.

    The order of the views must be the same at fit and later; it cannot be checked here. An epoch
    costs a softmax of all originals, about 1e-8 s times their number and that of the classes.

    **Measured** (means of 5 seeds; tables in ``docs/papers/correctness_aware.md``, made by
    ``benchmarks/correctness_aware.py``). On a made table of 10 classes the ECE of temperature
    scaling, of this method, of this method without views and balanced was 0.043, 0.022, 0.021 and
    0.212; under shift 0.074, 0.113, 0.109 and 0.117. On digits views raise the area under the ROC
    curve of confidence for correctness, under shift from 0.806 to 0.811 (0.827 with
    ``features="proba"`` and without the original); the ECE is that of temperature scaling.

    References
    ----------
    Y. Liu, L. Wang, Y. Zou, J. Zou, L. Zheng, "Optimizing Calibration by Gaining Aware of
    Prediction Correctness", 2024, arXiv 2404.13016.

    Examples
    --------
    >>> import numpy as np
    >>> from calib import CorrectnessAwareCalibrator
    >>> rng = np.random.default_rng(0)
    >>> z = 3 * rng.normal(size=(2000, 3))
    >>> y = (z / 2 + rng.gumbel(size=z.shape)).argmax(axis=1)
    >>> views = z[:, None] + 2 * rng.normal(size=(2000, 2, 3))
    >>> X = np.concatenate([z[:, None], views], axis=1)  # the original, then two views
    >>> cal = CorrectnessAwareCalibrator(input="logits", random_state=0).fit(X, y)
    >>> cal.view_agreement_.round(2)  # among right samples, among wrong ones
    array([[0.78, 0.66],
           [0.79, 0.65]])
    >>> cal.transform(X).shape
    (2000, 3)
    """

    traits: ClassVar[MapTraits] = MapTraits(
        arrays={
            "n_views_": FittedArray(low=0, integer=True, static=True),
            "temperature_": POSITIVE,
            "smoothing_": SHARE,
            "input_smoothing_": SHARE,
            "hidden_weights_": NUMBER.of_shape("inputs", "hidden"),
            "hidden_bias_": NUMBER.of_shape("hidden"),
            "output_weights_": NUMBER.of_shape("hidden"),
            "output_bias_": NUMBER,
            "offset_": NUMBER,
            "bounds_": FittedArray((2,), low=1e-305, ascending=True),
            "odds_": POSITIVE,
        },
        options=("features", "include_original"),
        rescales_from=2,
    )
    _reads_shares: ClassVar[bool] = True

    #: Whether the shape of X or n_views said how many views there are.
    _told: bool = True

    n_views_: int
    temperature_: float
    smoothing_: float
    input_smoothing_: float
    hidden_weights_: Float64Array
    hidden_bias_: Float64Array
    output_weights_: Float64Array
    output_bias_: float
    offset_: float
    bounds_: Float64Array
    odds_: float
    fallback_: bool
    n_epochs_: int
    view_agreement_: Float64Array
    accuracy_: float

    def __init__(
        self,
        *,
        input: Literal["proba", "logits"] = "proba",
        n_views: int | None = None,
        top_k: int = 4,
        hidden: int = 5,
        include_original: bool = True,
        features: Literal["log_proba", "proba"] = "log_proba",
        loss: network.Loss = "correctness",
        balanced: bool = False,
        temperature_range: tuple[float, float] = (0.1, 10.0),
        learning_rate: float = 3e-3,
        max_epochs: int = 300,
        batch_size: int = 1000,
        validation_fraction: float = 0.1,
        patience: int = 20,
        random_state: RandomState = 0,
    ) -> None:
        super().__init__(input=input)
        self.n_views = n_views
        self.top_k = top_k
        self.hidden = hidden
        self.include_original = include_original
        self.features = features
        self.loss = loss
        self.balanced = balanced
        self.temperature_range = temperature_range
        self.learning_rate = learning_rate
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.random_state = random_state

    # ------------------------------------------------------------------ public methods

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike = None,
        *,
        labels: ArrayLike = None,
        pos_label: object = None,
    ) -> Self:
        """Fit the temperatures on scores of held-out samples and of their views.

        Parameters
        ----------
        X : array-like of shape (n_samples, 1 + n_views, n_classes) or (n_samples, n_columns)
            Scores of samples the model was not trained on. Slice 0 of the second axis is the
            original. In two dimensions the same flattened, ``n_columns = (1 + n_views) *
            n_classes``, with `n_views` declared; the columns of every view are in the order of the
            original's, which may have names.
        y : array-like of shape (n_samples,)
            Labels, as in `BaseCalibrator.fit`.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights; samples, not their repetitions, are held out.
        labels : array-like of shape (n_classes,), default=None
            All classes, in the order of the columns of the original.
        pos_label : int, float, bool or str, default=None
            Class that a single column belongs to.

        Returns
        -------
        self : object
            The fitted calibrator.

        Raises
        ------
        ValueError
            As the class says.
        """
        if self.n_views is not None:
            check_integer("n_views", self.n_views, low=0)
        X, n_views = self._flat(X)
        given = 0 if self.n_views is None else int(self.n_views)
        self.n_views_ = given if n_views is None else n_views
        if n_views is not None and self.n_views is not None and n_views != given:
            raise ValueError(
                f"n_views={given} but X has {n_views + 1} slices along axis 1: the original and "
                f"{n_views} views"
            )
        self._told = n_views is not None or self.n_views is not None
        return super().fit(X, y, sample_weight, labels=labels, pos_label=pos_label)

    def checked(self, X: ArrayLike) -> Array:
        """Return scores of the fitted kind and shape, flattened, as a matrix of any namespace."""
        check_is_fitted(self)
        flat, n_views = self._flat(X)
        if n_views is not None and n_views != self.n_views_:
            raise ValueError(
                f"X has {n_views} views behind the original, but {type(self).__name__} was fitted "
                f"on {self.n_views_}"
            )
        return super().checked(flat)

    def temperatures(self, X: ArrayLike) -> Array:
        """Return the temperature of every sample, which is a score of doubt as well.

        Parameters
        ----------
        X : array-like of shape (n_samples, 1 + n_views, n_classes) or (n_samples, n_columns)
            Scores as at fit.

        Returns
        -------
        temperature : array of shape (n_samples,)
            What the logits of each sample are divided by, > 0; floating type, library and device of
            `X`.
        """
        array = self.checked(X)
        fitted = self.fitted_map
        of_rows = FittedMap(_temperatures, fitted.traits, fitted.arrays, fitted.options)
        return of_rows.map_rows(array, self.input)

    def correctness(self, X: ArrayLike) -> Array:
        """Return the probability that the prediction is right.

        Parameters
        ----------
        X : array-like of shape (n_samples, 1 + n_views, n_classes) or (n_samples, n_columns)
            Scores as at fit.

        Returns
        -------
        proba : array of shape (n_samples,)
            The calibrated top confidence, in [0, 1]; after ``balanced=True`` brought
            back from equal shares of right and wrong samples to those of the calibration set:
            ``a c / (a c + (1 - a) (1 - c))`` for its accuracy a. Floating type, library and device
            of `X`.
        """
        array = self.checked(X)
        xp = array_namespace(array)
        confidence = xp.max(self.map_checked(array), axis=1)
        if self.odds_ == 1.0:
            return confidence
        odds = like(self.odds_, confidence, xp) * confidence
        return odds / (odds + (1 - confidence))

    # ------------------------------------------------------------------ the shape of X

    def n_score_columns(self, n_columns: int) -> int:
        """Return how many leading columns of `X` are scores of the original."""
        n_versions = 1 + self._n_views()
        if n_versions == 1:
            return n_columns
        if n_columns % n_versions:
            raise ValueError(
                f"n_views={n_versions - 1} but X has {n_columns} columns, which is no multiple of "
                f"{n_versions}: the original and every view need one column per class"
            )
        if n_columns == n_versions:
            raise ValueError(
                f"n_views={n_versions - 1} and X has one column per version; pass one column for "
                f"each of two or more classes"
            )
        return n_columns // n_versions

    def check_map(self) -> None:
        """Raise a `ValueError` unless the fitted values can be those of a fit."""
        super().check_map()
        n_scores = self.n_score_columns(self.n_features_in_)
        if n_scores != len(self.classes_) and (n_scores, len(self.classes_)) != (1, 2):
            raise ValueError(
                f"n_views_={self.n_views_} does not go with {self.n_features_in_} columns and "
                f"{len(self.classes_)} classes"
            )
        n_blocks = network.n_blocks(self.n_views_, self.include_original)
        top_k, rest = divmod(len(self.hidden_weights_), n_blocks)
        if rest or not 1 <= top_k <= len(self.classes_):
            raise ValueError(
                f"hidden_weights_ must have 1 to {len(self.classes_)} rows for each of {n_blocks} "
                f"versions; got {len(self.hidden_weights_)}"
            )

    def _n_views(self) -> int:
        return int(getattr(self, "n_views_", self.n_views or 0))

    def _flat(self, X: ArrayLike) -> tuple[ArrayLike, int | None]:
        """Return `X` with the versions side by side, and the number of views that its shape tells.

        None where it is no three-dimensional array.
        """
        if isinstance(X, (list, tuple)):
            X = read_array(X, "X")
        if getattr(X, "ndim", 2) != 3:
            return X, None
        n_samples, n_versions, n_classes = X.shape
        if n_versions == 0:
            raise ValueError(f"X has shape {tuple(X.shape)}: no original along axis 1")
        if n_classes == 1 and n_versions > 1:
            raise ValueError(
                f"X must have 1 or 2 dimensions, or 3 with one column for each of two or more "
                f"classes in the last; got shape {tuple(X.shape)}"
            )
        return X.reshape(n_samples, n_versions * n_classes), n_versions - 1

    def _check_columns(
        self, array: Array, kept: IntArray | None = None, tolerance: float | None = None
    ) -> None:
        n_scores = self.n_score_columns(array.shape[1])
        if not self._told and self.input == "proba":
            n_versions = _n_versions(array)
            if n_versions > 1 and n_scores % n_versions == 0:
                raise ValueError(
                    f"X has rows that sum to {n_versions}; pass n_views={n_versions - 1} if X "
                    f"holds {n_versions} versions of {n_scores // n_versions} classes side by side"
                )
        for version in range(1 + self._n_views()):
            validation.check_scores(
                array[:, version * n_scores : (version + 1) * n_scores],
                self.input,
                "X" if version == 0 else f"view {version} of X",
                kept=kept,
                tolerance=tolerance,
            )

    def _columns_in_order(self, order: LabelArray, n_columns: int) -> LabelArray:
        starts = np.arange(0, n_columns, len(order))
        return np.asarray((starts[:, None] + order).ravel())

    # ------------------------------------------------------------------ the fit

    def _fit(self, scores: Scores, target: Float64Array, weight: Float64Array | None) -> None:
        lowest, highest = self._check_options()
        n_scores = self.n_score_columns(scores.array.shape[1])
        original = Scores(
            np.ascontiguousarray(scores.array[:, :n_scores]),
            scores.source,
            scores.domain,
            unit=scores.unit,
        )
        tempering = TemperatureCalibrator(input=self.input).fit_scores(original, target, weight)
        self.temperature_ = tempering.temperature_
        self.smoothing_ = tempering.smoothing_
        self.input_smoothing_ = tempering.input_smoothing_
        self.offset_ = network.offset_of(self.temperature_, lowest)
        self.bounds_ = np.array(
            [min(lowest, self.temperature_), max(highest, self.temperature_)], dtype=np.float64
        )
        sample = self._sample(scores, original, target, weight)
        start = network.Start(self.temperature_, self.offset_, self.bounds_, int(self.hidden))
        n_inputs = sample.features.shape[1]
        self._keep(start.arrays(start.parameters(n_inputs, None), n_inputs))
        self.odds_, self.n_epochs_ = 1.0, 0
        self.fallback_ = self.max_epochs > 0
        if not self.fallback_ or not self._can_learn(sample, lowest, highest):
            return
        self._learn(sample, start)
        self.fallback_ = self.n_epochs_ == 0
        if not self.fallback_:
            if self.balanced:
                self.odds_ = self.accuracy_ / (1.0 - self.accuracy_)
            self._look_at_the_ends(sample, lowest, highest)

    def _check_options(self) -> tuple[float, float]:
        """Check all numbers and words; return the range of the temperatures."""
        for name, low in LEAST.items():
            check_integer(name, getattr(self, name), low=low)
        check_option("include_original", self.include_original, (True, False))
        check_option("features", self.features, ("log_proba", "proba"))
        check_option("loss", self.loss, ("correctness", "log_loss"))
        check_option("balanced", self.balanced, (True, False))
        check_fraction("validation_fraction", self.validation_fraction)
        if not 0 < check_number("learning_rate", self.learning_rate) < np.inf:
            raise ValueError(f"learning_rate must be > 0; got {self.learning_rate}")
        ends: Any = self.temperature_range
        pair = isinstance(ends, (tuple, list)) and len(ends) == 2 and all(map(is_number, ends))
        if not pair or not 0 < ends[0] < ends[1] < np.inf:
            raise ValueError(
                f"temperature_range must be two numbers with 0 < lowest < highest; got "
                f"{describe(ends)}"
            )
        return float(ends[0]), float(ends[1])

    def _sample(
        self,
        scores: Scores,
        original: Scores,
        target: Float64Array,
        weight: Float64Array | None,
    ) -> network.NetworkSample:
        """Return what the network is fitted on; look at how views and original agree."""
        target = class_target(target)
        n_classes, n_views = original.n_classes, self.n_views_
        top_k = min(int(self.top_k), n_classes)
        n_inputs = top_k * network.n_blocks(n_views, self.include_original)
        features = np.empty((len(target), n_inputs))
        agrees = np.empty((len(target), n_views), dtype=bool)
        logits = np.empty((len(target), n_classes))
        true = np.empty(len(target))
        right = np.empty(len(target))
        for rows, block in scores:
            features[rows] = network.behaviour(block, n_views, top_k, vars(self), np)
            tops = block.reshape(len(block), 1 + n_views, n_classes).argmax(axis=2)
            on_top = block[:, :n_classes] == block[:, :n_classes].max(axis=1, keepdims=True)
            hits = at_target(on_top, target[rows])
            right[rows] = hits / on_top.sum(axis=1)  # guesses among ties, whatever their order
            agrees[rows] = tops[:, 1:] == tops[:, :1]
            z = links.smoothed_logits(block[:, :n_classes], np.asarray(self.input_smoothing_), np)
            z = z - z.max(axis=1, keepdims=True)
            true[rows] = at_target(z, target[rows])
            logits[rows] = -np.sort(-z, axis=1)
        weight = np.ones(len(target)) if weight is None else weight
        self.accuracy_ = float(np.average(right, weights=weight))
        self._compare(agrees, right, weight, target)
        return network.NetworkSample(features, logits, true, right, weight).canonical()

    def _compare(
        self,
        agrees: LabelArray,
        right: Float64Array,
        weight: Float64Array,
        target: LabelArray,
    ) -> None:
        """Keep how often views agree with the original, and warn where that says nothing."""
        n_classes = len(self.classes_)
        present = np.flatnonzero(target.any(axis=0)) if holds_shares(target) else np.unique(target)
        n_present = len(present)
        if not self._told and n_present > 1 and present[-1] < n_present < n_classes:
            n_versions, rest = divmod(n_classes, n_present)
            if rest == 0:
                warn(
                    f"X has {n_classes} columns and y only the classes of the first {n_present}; "
                    f"pass n_views={n_versions - 1} if X holds {n_versions} versions side by side, "
                    f"n_views=0 if all columns are classes",
                    DegenerateScoresWarning,
                )
        rates = [
            np.average(agrees, axis=0, weights=mass)
            if mass.any()
            else np.full(agrees.shape[1], np.nan)
            for mass in (weight * right, weight * (1.0 - right))
        ]
        self.view_agreement_ = np.stack(rates, axis=1)
        if not self.n_views_ or self._n_of_rarer(right, weight) < FEWEST:
            return
        changed = np.flatnonzero(self.view_agreement_[:, 0] < LEAST_AGREEMENT)
        area = 0.5 + 0.5 * float((self.view_agreement_[:, 0] - self.view_agreement_[:, 1]).max())
        if len(changed):
            view = int(changed[0])
            warn(
                f"view {view + 1} gives another class than the original for "
                f"{1 - self.view_agreement_[view, 0]:.0%} of the samples that are right: it may "
                f"change the label, or its columns be in another order. Drop it, or check that "
                f"slice",
                DegenerateScoresWarning,
            )
        elif area < LEAST_AREA:
            warn(
                f"the views tell right from wrong samples hardly better than chance (best area "
                f"under the ROC curve of agreement {area:.2f}, see view_agreement_): use stronger "
                f"views, or TemperatureCalibrator",
                DegenerateScoresWarning,
            )

    @staticmethod
    def _n_of_rarer(right: Float64Array, weight: Float64Array) -> float:
        """Return the weight of the wrong samples or of the right ones, whichever is less."""
        return float(min(weight @ right, weight @ (1.0 - right)))

    def _can_learn(self, sample: network.NetworkSample, lowest: float, highest: float) -> bool:
        """Return whether there is enough to fit a network to; say if views were made in vain."""
        category: type[Warning] = FallbackWarning
        n_rarer = self._n_of_rarer(sample.right, sample.weight)
        n_right, n_wrong = np.count_nonzero(sample.right), np.count_nonzero(sample.right < 1.0)
        if self.accuracy_ in (0.0, 1.0):
            every = "right" if self.accuracy_ == 1.0 else "wrong"
            reason = f"all calibration samples are {every}, which says nothing of single samples"
        elif not lowest < self.temperature_ < highest:
            reason = (
                f"the best temperature {self.temperature_:.3g} lies outside temperature_range="
                f"{describe(self.temperature_range)}"
            )
        elif n_rarer < FEWEST or min(n_right, n_wrong) < 2:
            rarer = "wrong" if self.accuracy_ > 0.5 else "right"
            reason, category = (
                f"{n_rarer:.6g} of the calibration samples are {rarer}, and a network of "
                f"{sample.features.shape[1]} inputs needs {FEWEST} that differ",
                ScarceLabelsWarning,
            )
        else:
            return True
        if self.n_views_:  # which cost a forward pass each
            warn(f"{reason}; temperature scaling is kept", category)
        return False

    def _learn(self, sample: network.NetworkSample, start: network.Start) -> None:
        """Fit the network to standardised features and keep it in those of the map."""
        rng = generator(self.random_state)
        centre = np.average(sample.features, axis=0, weights=sample.weight)
        scale = np.sqrt(np.average((sample.features - centre) ** 2, axis=0, weights=sample.weight))
        scale[scale < 1e-9] = 1.0
        ready = sample.balanced(self.accuracy_) if self.balanced else sample
        ready = replace(
            ready,
            features=(sample.features - centre) / scale,
            weight=ready.weight / ready.weight.mean(),
        )
        rows, held_out = network.split(sample, self.validation_fraction, rng)
        trained = network.train(
            ready.take(rows),
            ready.take(held_out),
            start,
            self.loss,
            learning_rate=float(self.learning_rate),
            max_epochs=int(self.max_epochs),
            batch_size=int(self.batch_size),
            patience=int(self.patience),
            rng=rng,
        )
        self.n_epochs_ = trained.n_epochs
        if trained.n_epochs:
            arrays = start.arrays(trained.x, len(scale))
            arrays["hidden_weights_"] = arrays["hidden_weights_"] / scale[:, None]
            arrays["hidden_bias_"] = arrays["hidden_bias_"] - centre @ arrays["hidden_weights_"]
            self._keep(arrays)

    def _keep(self, arrays: Mapping[str, Any]) -> None:
        self.hidden_weights_ = np.array(arrays["hidden_weights_"])
        self.hidden_bias_ = np.array(arrays["hidden_bias_"])
        self.output_weights_ = np.array(arrays["output_weights_"])
        self.output_bias_ = float(arrays["output_bias_"])

    def _look_at_the_ends(
        self, sample: network.NetworkSample, lowest: float, highest: float
    ) -> None:
        """Warn if many temperatures are as low or as high as they may be."""
        t = network.temperatures(sample.features, vars(self), np)
        at_the_end = (t <= lowest * (1 + NEAR)) | (t >= highest / (1 + NEAR))
        share = float(np.average(at_the_end, weights=sample.weight))
        if share > MOST_AT_THE_END:
            warn(
                f"{share:.0%} of the temperatures are at an end of temperature_range=({lowest:g}, "
                f"{highest:g}); widen it if such temperatures make sense, or look at "
                f"temperatures(X)",
                DegenerateScoresWarning,
            )

    # ------------------------------------------------------------------ the map

    @staticmethod
    def _map(scores: Array, fitted: Mapping[str, Array], xp: Namespace) -> Array:
        n_classes = scores.shape[1] // (1 + int(fitted["n_views_"]))
        logits = links.smoothed_logits(scores[:, :n_classes], fitted["input_smoothing_"], xp)
        t = xp.expand_dims(_temperatures(scores, fitted, xp), axis=1)
        proba = links.softmax((logits - xp.max(logits, axis=1, keepdims=True)) / t, xp)
        return links.smooth(proba, fitted["smoothing_"])


def _n_versions(array: Array) -> int:
    """Return the whole number that rows of numbers from 0 to 1 sum to, 0 where there is none."""
    part = np.asarray(to_numpy(array[:1000]), dtype=np.float64)
    total = part.sum(axis=1)
    whole = float(np.rint(np.median(total)))
    close = part.min() >= 0 and part.max() <= 1 and np.abs(total - whole).max() < 0.01
    return int(whole) if close else 0


def _temperatures(scores: Array, fitted: Mapping[str, Array], xp: Namespace) -> Array:
    n_views = int(fitted["n_views_"])
    n_inputs = fitted["hidden_weights_"].shape[0]
    top_k = n_inputs // network.n_blocks(n_views, bool(fitted["include_original"]))
    features = network.behaviour(scores, n_views, top_k, fitted, xp)
    return network.temperatures(features, fitted, xp)
