"""Online Platt scaling: a calibrator that goes on learning from labels as they come in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Literal, Self

import numpy as np

from calib._border import labels as labels_, validation
from calib._border.arrays import eager, to_numpy, without_gradient
from calib._border.checks import check_number
from calib._border.typing import Array, ArrayLike, Float64Array, Namespace
from calib._core import links
from calib._core.fitted_map import NUMBER, SHARE, FittedArray, MapTraits
from calib._core.online.experts import LARGEST_ODDS, LEAST, N_OFFSETS, ExpertMixture
from calib._core.rows import Rows
from calib.calibrators.platt import PlattCalibrator

#: Precision of the prior of intercept and slope of the line that forgets.
PRIOR = (5.0, 5.0)


class OnlinePlattCalibrator(PlattCalibrator):
    """Fit Platt scaling, and go on from there with every batch of labels that comes in.

    For a model in service whose labels arrive later: ``fit`` on what there is, serve
    ``transform``, hand labelled rows to ``partial_fit``. The map is a mixture of the fitted one,
    which stays as it is, of two lines of its log-odds that learn from the stream, one of them with
    forgetting, and of an offset for every tenth of the scale. Weights follow Bayes' rule and a
    little is shared out all the time, so that breaks are followed.

    For two classes the log loss over *any* sequence of rows exceeds that of the fitted map by
    ``0.17 + 0.5 log((t + 100) / 100)`` nats in all, t rows taken together, if every row is served
    by the map that knows the labels before it: 1.4 nats after 1,000 rows and 3.7 after 100,000.
    Rows that are served before those labels come cost the more the faster things change. Beyond two
    classes every class is updated against the rest and rows are renormalised, which carries no such
    promise.

    Parameters
    ----------
    input : {"proba", "logits"}, default="proba"
        What `X` holds; see `BaseCalibrator`.
    smooth_targets, smooth_input : {"auto", True, False}, default="auto"
        Of the fit; see `PlattCalibrator`.
    forget : float in (0, 1], default=0.995
        What a row weighs after one more row for the line that forgets: it remembers
        ``1 / (1 - forget)`` rows.

    Attributes
    ----------
    static_ : PlattCalibrator
        The map that was fitted, as it is without updates.
    expert_weights_ : ndarray of shape (1, 4) or (n_classes, 4)
        Weights of the fitted map, of the lines without and with forgetting, and of the offsets;
        rows sum to 1.
    lines_ : ndarray of shape (1, 2, 2) or (n_classes, 2, 2)
        Intercept and slope of both lines, in log-odds of the fitted map.
    offsets_ : ndarray of shape (1, 10) or (n_classes, 10)
        What is added to the probabilities of the fitted map in every tenth of the scale.
    n_updates_ : int
        Rows that `partial_fit` has seen.
    input_smoothing_, intercept_, slope_, unit_
        Of the fitted map; see `PlattCalibrator`.
    classes_ : ndarray of shape (n_classes,)
        Class of each column.
    n_features_in_ : int
        Number of columns of `X` seen at fit.

    Raises
    ------
    ValueError
        At fit, for input that `BaseCalibrator.fit` refuses or an unknown option.

    Warns
    -----
    ConvergenceWarning
        If the solver of the fit does not meet its tolerance.

    See Also
    --------
    PlattCalibrator : the fit alone.
    calib.evaluation.CalibrationMonitor : whether anything has to be done.

    Notes
    -----
    The lines take a Newton step after every 20 rows (and at the end of a call of `partial_fit`),
    from intercept 0 and slope 1 with a prior. Rows count in their order. Labels may come late, but
    `X` has to be what was known when they were served. Updates take about 3 microseconds a row; 1e5
    rows take a third of a second.

    References
    ----------
    C. Gupta, A. Ramdas, "Online Platt Scaling with Calibeating", ICML 2023, arXiv 2305.00070.
    M. Herbster, M. K. Warmuth, "Tracking the Best Expert", Machine Learning 32, 1998, doi
    10.1023/A:1007424614876.

    Examples
    --------
    >>> import numpy as np
    >>> from calib import OnlinePlattCalibrator
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(4000)
    >>> y = (rng.random(4000) < np.where(np.arange(4000) < 1000, p, p**2)).astype(int)
    >>> cal = OnlinePlattCalibrator().fit(p[:1000], y[:1000])
    >>> cal.transform([0.5])[:, 1].round(1)
    array([0.5])
    >>> cal.partial_fit(p[1000:], y[1000:]).transform([0.5])[:, 1].round(1)
    array([0.2])
    """

    traits: ClassVar[MapTraits] = MapTraits(
        arrays={
            "intercept_": NUMBER.of_shape("problems"),
            "slope_": NUMBER.of_shape("problems"),
            "input_smoothing_": SHARE.of_shape("problems"),
            "lines_": NUMBER.of_shape("problems", 2, 2),
            "expert_weights_": FittedArray(("problems", 4), low=0.0, high=1.0, total=1.0),
            "offsets_": FittedArray(("problems", N_OFFSETS), low=-1.0, high=1.0),
            "information_": NUMBER.of_shape("problems", 2, 3),
            "offset_gaps_": NUMBER.of_shape("problems", N_OFFSETS),
            "offset_rows_": FittedArray(("problems", N_OFFSETS), low=0.0),
            "n_updates_": FittedArray(low=0, integer=True, static=True),
        },
        double=True,
        rescales_from=3,
    )

    lines_: Float64Array
    expert_weights_: Float64Array
    offsets_: Float64Array
    information_: Float64Array
    offset_gaps_: Float64Array
    offset_rows_: Float64Array
    n_updates_: int

    def __init__(
        self,
        *,
        input: Literal["proba", "logits"] = "proba",
        smooth_targets: Literal["auto", True, False] = "auto",
        smooth_input: Literal["auto", True, False] = "auto",
        forget: float = 0.995,
    ) -> None:
        super().__init__(input=input, smooth_targets=smooth_targets, smooth_input=smooth_input)
        self.forget = forget

    def _fit_rows(self, rows: Rows) -> None:
        forget = self._checked_forget()
        super()._fit_rows(rows)
        self._take(ExpertMixture.new(len(self.slope_), forget, PRIOR))

    def _checked_forget(self) -> float:
        forget = check_number("forget", self.forget)
        if not 0 < forget <= 1:
            raise ValueError(f"forget must lie in (0, 1]; got {self.forget}")
        return forget

    def partial_fit(self, X: ArrayLike, y: ArrayLike, *, classes: ArrayLike = None) -> Self:
        """Update the map with labelled rows, in their order.

        Parameters
        ----------
        X : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
            Scores of the same kind and number of columns as at fit, as they were served.
        y : array-like of shape (n_samples,)
            Labels among ``classes_``; all of one class are fine.
        classes : array-like of shape (n_classes,), default=None
            Classes, for a first call that stands in the place of `fit`, and fits.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If `X` or `y` is not finite, of the wrong shape or length, contradicts `input`, or if a
            label is unknown; before a fit, as `fit`. A refused batch changes nothing.
        """
        named = None if classes is None else labels_.check_vector(classes, "classes")
        if not self.__sklearn_is_fitted__():
            n_columns = max(2, int(validation.read_matrix(eager(X), "X").shape[1]))
            complete = named is not None and len(named) == n_columns
            return self.fit(X, y, labels=named if complete else None)
        if named is not None:
            labels_.encode_labels(named, self.classes_, "classes")
        forget = self._checked_forget()
        scores = self.checked(X)
        target = labels_.check_vector(y, "y")
        labels_.check_same_length(int(scores.shape[0]), len(target), "X", "y")
        codes = labels_.encode_labels(target, self.classes_, "y")
        array = np.asarray(to_numpy(without_gradient(scores)), dtype=np.float64)
        served = replace(self.fitted_map, function=map_at_rest).map_rows(array, self.input)
        if not self.n_updates_:  # they were served by the fitted map: no other one gains on it
            served = np.clip(served, LEAST, 1.0 - LEAST)
        columns = [1] if len(self.classes_) == 2 else range(len(self.classes_))
        mixture = self._mixture(forget)
        mixture.learn(served.T[columns], np.array([codes == k for k in columns], dtype=np.float64))
        mixture.end_block()
        self._take(mixture)
        return self

    @property
    def static_(self) -> PlattCalibrator:
        """The fitted map as it is without updates."""
        static = PlattCalibrator(
            input=self.input, smooth_targets=self.smooth_targets, smooth_input=self.smooth_input
        )
        for name in ("classes_", "n_features_in_", "unit_", "intercept_", "slope_"):
            setattr(static, name, getattr(self, name))
        static.input_smoothing_ = self.input_smoothing_
        return static

    def _mixture(self, forget: float) -> ExpertMixture:
        """Return the mixture in the state of the fitted arrays."""
        none = np.empty((len(self.slope_), 0))
        return ExpertMixture(
            forget=forget,
            prior=PRIOR,
            lines=self.lines_,
            precision=self.information_,
            gaps=self.offset_gaps_,
            counts=self.offset_rows_,
            weights=self.expert_weights_,
            n_rows=int(self.n_updates_),
            open_proba=none,
            open_event=none,
        )

    def _take(self, mixture: ExpertMixture) -> None:
        """Set the fitted arrays to the state of the mixture."""
        self.lines_, self.information_ = mixture.lines, mixture.precision
        self.offsets_, self.expert_weights_ = mixture.offsets, mixture.weights
        self.offset_gaps_, self.offset_rows_ = mixture.gaps, mixture.counts
        self.n_updates_ = mixture.n_rows

    @staticmethod
    def _map(scores: Array, fitted: Mapping[str, Array], xp: Namespace) -> Array:
        return links.through_log_odds(
            lambda s: mixed_log_odds(served_log_odds(s, fitted), fitted, xp), scores, fitted, xp
        )


def served_log_odds(s: Array, fitted: Mapping[str, Array]) -> Array:
    """Return log-odds of the map at rest."""
    return fitted["intercept_"] + fitted["slope_"] * s


def map_at_rest(scores: Array, fitted: Mapping[str, Array], xp: Namespace) -> Array:
    """Return the probabilities of the map at rest; beyond two classes they need not sum to 1."""
    share = fitted["input_smoothing_"]
    if scores.shape[1] == 2:
        return links.through_log_odds(lambda s: served_log_odds(s, fitted), scores, fitted, xp)
    s = links.bounded_log_odds(links.log_odds_one_vs_rest(scores, xp), share, xp)
    return links.expit(served_log_odds(s, fitted), xp)


def mixed_log_odds(eta: Array, fitted: Mapping[str, Array], xp: Namespace) -> Array:
    """Return log-odds of the mean of all maps, given those of the map at rest; (n, n_problems)."""
    if fitted["n_updates_"] == 0:
        return eta
    weights, lines, offsets = (fitted[key] for key in ("expert_weights_", "lines_", "offsets_"))
    lower, upper = xp.full_like(eta, LEAST), xp.full_like(eta, 1.0 - LEAST)
    least, most = xp.full_like(eta, -LARGEST_ODDS), xp.full_like(eta, LARGEST_ODDS)
    odds = xp.minimum(xp.maximum(eta, least), most)
    served = links.expit(eta, xp)
    event = weights[:, 0] * served
    other = weights[:, 0] * links.expit(-eta, xp)
    for k in (0, 1):
        z = xp.minimum(xp.maximum(lines[:, k, 0] + lines[:, k, 1] * odds, least), most)
        event = event + weights[:, k + 1] * links.expit(z, xp)
        other = other + weights[:, k + 1] * links.expit(-z, xp)
    offset = xp.zeros_like(eta) + offsets[:, 0]
    for k in range(1, N_OFFSETS):
        offset = xp.where(served >= k / N_OFFSETS, offsets[:, k], offset)
    moved = xp.minimum(xp.maximum(served + offset, lower), upper)
    event = event + weights[:, 3] * moved
    other = other + weights[:, 3] * (1.0 - moved)
    return xp.log(event) - xp.log(other)
