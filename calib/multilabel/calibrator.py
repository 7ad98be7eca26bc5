"""Calibration where a row has many labels, each of them present or not: `MultilabelCalibrator`."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from calib._border import labels as labels_, validation
from calib._border.arrays import (
    array_namespace,
    blocks_of,
    eager,
    read_array,
    take_columns,
    to_numpy,
)
from calib._border.checks import check_number, check_option, describe
from calib._border.columns import check_overlap, column_names, places_of
from calib._border.sklearn_compat import check_features
from calib._border.typing import Array, ArrayLike, Float64Array, IntArray, LabelArray, Namespace
from calib._border.warn import warn
from calib._core import links
from calib._core.features.glm import fit_groups
from calib._core.features.prior import Prior, empirical_prior
from calib._core.fitted_map import NUMBER, SHARE, FittedArray, check_arrays
from calib.base import BaseCalibrator
from calib.grouped.files import (
    contents_of_map,
    restored_calibrator_parameter,
    restored_map,
    stored_calibrator,
)
from calib.grouped.map_table import make_map
from calib.grouped.maps import FREE
from calib.grouped.pooling import both_shares
from calib.warnings import CalibrationWarning, DegenerateScoresWarning, FallbackWarning

#: Standard deviations of intercept and slope over labels that the estimate starts from, standard
#: units.
FIRST_SCALE = np.array([0.5, 0.25])
#: Distance from 0 and 1 at which pooled probabilities are cut before their log-odds are taken.
POOLED_CLIP = 1e-7
#: What the lines of all labels hold, as files and modules declare it.
ARRAYS: dict[str, FittedArray] = {
    "intercept_": NUMBER.of_shape("labels"),
    "slope_": FittedArray(("labels",), low=0.0),
    "smoothing_": SHARE,
    "prior_mean_": NUMBER.of_shape(2),
    "prior_scale_": FittedArray((2,), low=0.0),
    "n_labelled_": FittedArray(("labels",), low=0.0),
    "n_positives_": FittedArray(("labels",), low=0.0),
}


class MultilabelCalibrator(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Calibrate many labels at once: one curve for all, and a shrunken line for each.

    A two-class calibrator is fitted to all cells of the table of labels; a line on its log-odds
    follows for every label, drawn towards the others as strongly as the labels are alike, which is
    estimated. With few labelled rows that is one map, with many it is one map a label, and a label
    without a positive needs no special case.

    Parameters
    ----------
    calibrator : str or BaseCalibrator, default="spline"
        The curve that all labels share: a name of ``CALIBRATORS`` or an instance, which is cloned
        and reads scores as `input` says. ``"platt"`` where labels differ wildly.
    input : {"proba", "logits"}, default="proba"
        What `X` holds: probabilities in [0, 1], which need not sum to 1 over labels, or log-odds.
    per_label : {"shrink", True, False}, default="shrink"
        Lines drawn towards their mean; lines of their own without a prior (labels that are always
        or never positive take the shared curve); or the shared curve for all.
    prior_weight : "auto" or float, default="auto"
        Inverse variance of both coefficients over labels, in standard units; ``"auto"`` estimates
        it from the labels (empirical Bayes). Read with ``per_label="shrink"`` only.
    ignore_index : float, default=None
        One more code in `Y` for "not labelled", beside nan.

    Attributes
    ----------
    classes_ : ndarray of shape (n_labels,)
        Names of the labels: those of the columns of a table, else 0, 1, ...
    pooled_map_ : BaseCalibrator
        The shared curve g, a calibrator of one column.
    intercept_, slope_ : ndarray of shape (n_labels,)
        The lines: ``expit(intercept_ + slope_ * logit(g))``; slopes are >= 0.
    smoothing_ : float
        Share of 1/2 mixed into g first, 1 / (1 + number of labelled cells), so that log-odds are
        finite.
    prior_mean_, prior_scale_ : ndarray of shape (2,)
        Mean and standard deviation of intercept and slope over labels, in standard units.
    n_labelled_, n_positives_ : ndarray of shape (n_labels,)
        Labelled cells and the positives among them, by weight.
    fallbacks_ : dict
        Labels whose line was not estimated, with the reason.
    n_features_in_ : int
        Number of labels.

    Raises
    ------
    ValueError
        From `fit`, if `X` and `Y` differ in shape, `Y` holds other values than fractions in [0, 1]
        and codes for missing labels, no label is known or all known ones are equal, or `X`
        contradicts `input`.

    See Also
    --------
    CalibratedClassifier : any classifier with a calibrator.

    Notes
    -----
    Log-odds ``u`` of the curve enter in standard units ``z = (u - c) / d``, with centre and scale
    weighted by ``g (1 - g)``, so that both coefficients of a line are nearly independent. They are
    penalised by their distance from the mean over labels, over their variance over labels. A
    negative slope is set to 0 and the intercept fitted again. A label with a constant score gets
    the probability (k + 1/2) / (n + 1) of k positives in n. Labels that are missing because of
    their value, hierarchies of labels and several classes a label are out of reach: probabilities
    of single labels are calibrated, as thresholds need them. Rows are taken as independent, labels
    of a row need not be.

    References
    ----------
    C. N. Morris. Parametric empirical Bayes inference: theory and applications. Journal of the
    American Statistical Association 78, 1983. R. Stiratelli, N. Laird, J. H. Ware. Random-effects
    models for serial observations with binary response. Biometrics 40, 1984.

    Examples
    --------
    >>> import numpy as np
    >>> from calib import MultilabelCalibrator
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.beta(1, 4, (200, 5))
    >>> Y = (rng.random((200, 5)) < truth).astype(float)
    >>> Y[:100, 4] = np.nan  # not labelled
    >>> cal = MultilabelCalibrator().fit(np.sqrt(truth), Y)
    >>> cal.transform(np.sqrt([[0.1, 0.1, 0.3, 0.3, 0.3]])).round(1)
    array([[0.1, 0.1, 0.4, 0.3, 0.3]])
    """

    classes_: LabelArray
    pooled_map_: BaseCalibrator
    n_features_in_: int

    def __init__(
        self,
        calibrator: str | BaseCalibrator = "spline",
        *,
        input: Literal["proba", "logits"] = "proba",
        per_label: Literal["shrink"] | bool = "shrink",
        prior_weight: float | Literal["auto"] = "auto",
        ignore_index: float | None = None,
    ) -> None:
        self.calibrator = calibrator
        self.input = input
        self.per_label = per_label
        self.prior_weight = prior_weight
        self.ignore_index = ignore_index

    def fit(self, X: ArrayLike, Y: ArrayLike, sample_weight: ArrayLike = None) -> Self:
        """Fit the shared curve and the lines on scores of held-out samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_labels), or list of arrays of shape (n_samples, 2)
            Scores of samples that the model was not trained on, or what ``predict_proba`` of
            forests and of ``MultiOutputClassifier`` returns.
        Y : array-like of shape (n_samples, n_labels)
            0 or 1, fractions in [0, 1], or nan where a label is unknown. Columns of two tables are
            paired by name where the names of one tell those of the other (``p_cat``, ``y_cat``).
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of the rows; an integer weight equals repetition.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            See the class.

        Warns
        -----
        DegenerateScoresWarning
            If scores of a label are all equal, or scores rank against the labels.
        CalibrationWarning
            If every row of `Y` has one positive and rows of `X` sum to 1: one label of many.
        FallbackWarning
            If ``per_label=True`` and labels take the shared curve.
        """
        check_multilabel_options(self.get_params(deep=False))
        template = make_map(self.calibrator, 0).set_params(input=self.input)
        scores, table = read_score_columns(X)
        targets, names = read_label_table(Y, self.ignore_index)
        score_names = column_names(table)
        if tuple(scores.shape) != targets.shape:
            raise ValueError(
                f"X has shape {tuple(scores.shape)} but Y has shape {targets.shape}; one score for "
                f"every label{_names_that_differ(score_names, names)}"
            )
        array = to_numpy(scores).astype(np.float64, copy=False)
        check_features(self, table if score_names is not None else scores, reset=True)
        n_labels = targets.shape[1]
        self.classes_ = np.arange(n_labels)
        if names is not None or score_names is not None:
            self.classes_ = np.array(score_names if names is None else names, dtype=object)
        if names is not None and score_names is not None:
            order = self._order(score_names)
            array = array if order is None else array[:, order]
        weight = labels_.check_weight(sample_weight, len(array))
        if weight is not None:
            kept = weight > 0
            array, targets, weight = array[kept], targets[kept], weight[kept]
        self._fit_cells(template, array, targets, weight)
        return self

    def _fit_cells(
        self,
        template: BaseCalibrator,
        X: Float64Array,
        Y: Float64Array,
        row_weight: Float64Array | None,
    ) -> None:
        known = np.isfinite(Y)
        _check_targets(Y[known])
        _warn_of_one_label(X, Y, self.input)
        at = np.flatnonzero(known.T.ravel())  # label by label
        n_rows = len(X)
        cells = np.ascontiguousarray(X.T).reshape(-1)[at]
        target = np.ascontiguousarray(Y.T).reshape(-1)[at]
        weight = None if row_weight is None else row_weight[at % n_rows]
        y = both_shares(target) if labels_.is_soft_target(target) else target.astype(np.int64)
        with warnings.catch_warnings():
            # labels of a sample depend on each other: no guarantee is expected
            warnings.filterwarnings("ignore", "y holds soft targets", CalibrationWarning)
            self.pooled_map_ = template.fit(cells[:, None], y, sample_weight=weight)
        w = np.ones(len(cells)) if weight is None else weight
        sizes = known.sum(axis=0)
        present = np.flatnonzero(sizes)
        starts = np.concatenate([[0], np.cumsum(sizes[present])[:-1]])
        self.n_labelled_ = np.zeros(len(sizes))
        self.n_positives_ = np.zeros(len(sizes))
        self.n_labelled_[present] = np.add.reduceat(w, starts)
        self.n_positives_[present] = np.add.reduceat(w * target, starts)
        self.smoothing_ = 1.0 / (1.0 + float(w.sum()))
        self.fallbacks_: dict[Any, str] = {}
        pooled = self.pooled_map_.map_checked(cells[:, None])[:, 1]
        u = pooled_log_odds(pooled, self.smoothing_, np)
        del pooled, cells, at, w  # a large table of labels should fit into memory once more
        constant = (X == X[:1]).all(axis=0) & (n_rows > 1)
        self._fit_lines(u, target, weight, sizes, constant)
        if constant.any():
            self._take_prevalence(np.flatnonzero(constant & (sizes > 0)))

    def _fit_lines(
        self,
        u: Float64Array,
        target: Float64Array,
        weight: Float64Array | None,
        sizes: IntArray,
        constant: LabelArray,
    ) -> None:
        """Fit the lines of all labels whose scores say something."""
        n_labels = len(sizes)
        q = links.expit(u, np)
        information = q * (1.0 - q) if weight is None else weight * q * (1.0 - q)
        total = float(information.sum())
        centre = float(information @ u) / total
        width = float(np.sqrt(information @ (u - centre) ** 2 / total))
        d = width if width > 0 else 1.0
        del q, information
        self.prior_mean_, self.prior_scale_ = np.array([centre, d]), np.zeros(2)
        theta = np.tile(self.prior_mean_, (n_labels, 1))
        fitted = (sizes > 0) & np.logical_not(constant)
        if self.per_label is not False and fitted.any():
            rows = np.repeat(fitted, sizes)
            design = np.column_stack([np.ones(int(rows.sum())), (u[rows] - centre) / d])
            starts = np.concatenate([[0], np.cumsum(sizes[fitted])[:-1]])
            data = design, target[rows], starts
            w = None if weight is None else weight[rows]
            guess = None
            if self.per_label is True:
                prior = Prior(self.prior_mean_, np.full(2, FREE))
            elif self.prior_weight == "auto":
                prior, guess = empirical_prior(*data, self.prior_mean_, FIRST_SCALE, weight=w)
            else:
                precision = max(float(self.prior_weight), FREE)
                prior = Prior(self.prior_mean_, np.full(2, precision))
            fits = fit_groups(*data, prior, "logistic", weight=w, increasing=1, guess=guess)
            self.prior_mean_ = prior.centre
            self.prior_scale_ = np.sqrt(1.0 / prior.precision)
            theta = np.tile(prior.centre, (n_labels, 1))
            theta[fitted] = fits.coefficients
        names = self.classes_.tolist()
        for place in np.flatnonzero(sizes == 0).tolist():
            self.fallbacks_[names[place]] = "no cell is labelled: the mean of the other labels"
        if self.per_label is True:
            alone = (self.n_positives_ <= 0) | (self.n_positives_ >= self.n_labelled_)
            for place in np.flatnonzero(alone & fitted).tolist():
                theta[place] = self.prior_mean_
                self.fallbacks_[names[place]] = "all labels are equal: the shared curve"
            if self.fallbacks_:
                label, reason = next(iter(self.fallbacks_.items()))
                warn(
                    f"{len(self.fallbacks_)} of {n_labels} labels have no line of their own, for "
                    f"instance {label!r} ({reason}); see fallbacks_",
                    FallbackWarning,
                )
        self.slope_ = np.maximum(theta[:, 1], 0.0) / d
        self.intercept_ = theta[:, 0] - self.slope_ * centre

    def _take_prevalence(self, places: IntArray) -> None:
        """Give labels with a constant score their smoothed prevalence."""
        k, n = self.n_positives_[places], self.n_labelled_[places]
        self.slope_[places] = 0.0
        self.intercept_[places] = np.log((k + 0.5) / (n - k + 0.5))
        labels = self.classes_[places].tolist()
        for label in labels:
            self.fallbacks_[label] = "its scores are all equal: the smoothed prevalence"
        warn(
            f"the scores of {len(labels)} labels are constant ({describe(labels[:8])}), so that "
            f"they get the share of positives at fit",
            DegenerateScoresWarning,
        )

    def transform(self, X: ArrayLike) -> Array:
        """Map scores to calibrated probabilities, label by label.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_labels), or list of arrays of shape (n_samples, 2)
            Scores of the same kind as at fit.

        Returns
        -------
        proba : array of shape (n_samples, n_labels)
            Probabilities of the labels, in [0, 1]; rows need not sum to 1. The floating type,
            library and device of `X`; calculated in double precision.

        Raises
        ------
        NotFittedError
            If the calibrator is not fitted.
        ValueError
            If `X` has another number of labels, is not finite or contradicts `input`.
        """
        return self._mapped(X)

    def _mapped(self, X: ArrayLike) -> Array:
        check_is_fitted(self, "slope_")
        scores, table = read_score_columns(X)
        names = column_names(table)
        order = None if names is None else self._order(names)
        if order is None:
            check_features(self, scores if names is None else table, reset=False)
        else:
            scores = take_columns(scores, order)
        self.pooled_map_.checked(scores.reshape(-1, 1))
        return self.map_checked(scores)

    def predict_proba(self, X: ArrayLike) -> Array:
        """Return `transform(X)`, always as an array.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_labels), or list of arrays of shape (n_samples, 2)
            Scores of the same kind as at fit.

        Returns
        -------
        proba : array of shape (n_samples, n_labels)
        """
        return self._mapped(X)

    def map_checked(self, scores: Array) -> Array:
        """Map checked scores of any namespace, in blocks of rows in the host's memory.

        Parameters
        ----------
        scores : array of shape (n_samples, n_labels)

        Returns
        -------
        proba : array of shape (n_samples, n_labels)
        """
        xp = array_namespace(scores)
        lines = {"intercept_": self.intercept_, "slope_": self.slope_}
        if xp is not np:
            from array_api_compat import device

            lines = {k: xp.asarray(v, device=device(scores)) for k, v in lines.items()}
        parts = []
        for rows in blocks_of(scores, 2 * scores.shape[1]):
            block = _cast(scores[rows], xp.float64, xp)
            pooled = self.pooled_map_.map_checked(block.reshape(-1, 1))[:, 1]
            mapped = map_by_lines(
                pooled.reshape(block.shape), {**lines, "smoothing_": self.smoothing_}, xp
            )
            parts.append(_cast(mapped, scores.dtype, xp))
        return parts[0] if len(parts) == 1 else xp.concat(parts, axis=0)

    def _order(self, names: Sequence[str]) -> IntArray | None:
        """Return the places of the columns of the labels, None where they stand in order."""
        if self.classes_.dtype != object or len(names) != len(self.classes_):
            return None
        places = places_of(self.classes_.tolist(), names)
        if places is None:
            check_overlap(list(names), self.classes_, "Y", "X")
            return None
        return None if np.array_equal(places, np.arange(len(places))) else places

    def get_feature_names_out(self, input_features: ArrayLike = None) -> LabelArray:
        """Return the labels as column names, for ``set_output``.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Ignored.

        Returns
        -------
        names : ndarray of shape (n_labels,), dtype object
        """
        check_is_fitted(self, "slope_")
        return np.array([str(label) for label in self.classes_], dtype=object)

    def check_lines(self) -> None:
        """Raise a `ValueError` unless the fitted values can be those of a fit."""
        arrays = {name: getattr(self, name) for name in ARRAYS}
        check_arrays(arrays, ARRAYS, {"labels": len(self.classes_)})

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


# --------------------------------------------------------------------------------------- the map


def _cast(x: Array, dtype: Any, xp: Namespace) -> Array:
    return x.astype(dtype, copy=False) if xp is np else xp.astype(x, dtype, copy=False)


def pooled_log_odds(pooled: Array, share: float, xp: Namespace) -> Array:
    """Return log-odds of pooled probabilities, off 0 and 1."""
    p = xp.clip((1.0 - share) * pooled + 0.5 * share, POOLED_CLIP, 1.0 - POOLED_CLIP)
    return xp.log(p) - xp.log1p(-p)


def map_by_lines(pooled: Array, lines: Mapping[str, Any], xp: Namespace) -> Array:
    """Return the probabilities of labels (last axis) from those of the shared curve."""
    u = pooled_log_odds(pooled, lines["smoothing_"], xp)
    return links.expit(lines["intercept_"] + lines["slope_"] * u, xp)


# ---------------------------------------------------------------------------------- what is read


def check_multilabel_options(options: Mapping[str, Any]) -> None:
    """Raise unless the constructor arguments of a `MultilabelCalibrator` make sense."""
    check_option("input", options["input"], ("proba", "logits"))
    check_option("per_label", options["per_label"], ("shrink", True, False))
    weight = options["prior_weight"]
    if weight != "auto" and not 0 <= check_number("prior_weight", weight) < np.inf:
        raise ValueError(f"prior_weight must be 'auto' or a finite number >= 0; got {weight!r}")
    if options["ignore_index"] is not None:
        check_number("ignore_index", options["ignore_index"])


def read_score_columns(X: ArrayLike) -> tuple[Array, ArrayLike]:
    """Return scores as a matrix (n_samples, n_labels), and the table they came in."""
    if isinstance(X, (list, tuple)) and len(X) and all(np.ndim(part) == 2 for part in X):
        parts = [read_array(part, f"X[{place}]") for place, part in enumerate(X)]
        for place, part in enumerate(parts):
            if part.shape[1] != 2 or part.shape[0] != parts[0].shape[0]:
                raise ValueError(
                    f"X is a list of arrays, one a label, which must all have shape "
                    f"({parts[0].shape[0]}, 2); X[{place}] has shape {tuple(part.shape)}. One "
                    f"column is what a model returns for a label that was constant in training: "
                    f"put probability 1 or 0 in its place, as its classes_ say"
                )
        xp = array_namespace(parts[0])
        X = xp.stack([part[:, 1] for part in parts], axis=1)
    table = eager(X)
    scores = validation.check_matrix(table, "X")
    if getattr(table, "ndim", 2) == 1:
        raise ValueError("X has one dimension; pass an array of shape (n_samples, n_labels)")
    return scores, table


def read_label_table(
    Y: ArrayLike, ignore_index: float | None, name: str = "Y"
) -> tuple[Float64Array, list[str] | None]:
    """Return labels as float64 with nan where they are missing, and the names of the columns.

    Raises
    ------
    ValueError
        If `Y` is no matrix of numbers in [0, 1], nan and `ignore_index`.
    """
    table = eager(Y)
    array = to_numpy(read_array(table, name))
    try:
        values: Float64Array = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold 0, 1, fractions or nan; {error}") from error
    if values.ndim != 2:
        raise ValueError(
            f"{name} must have shape (n_samples, n_labels), a column of 0 and 1 for each label; "
            f"got shape {values.shape}"
        )
    if ignore_index is not None:
        values[values == ignore_index] = np.nan
    wrong = (values < 0) | (values > 1)
    if wrong.any():
        value = values[wrong][0]
        count = int((values == value).sum())
        advice = f"pass ignore_index={value:g} if it marks missing labels, or 0 where it means no"
        raise ValueError(f"{name} holds {value:g} in {count} cells; {advice}")
    return values, column_names(table)


def _names_that_differ(first: list[str] | None, second: list[str] | None) -> str:
    if first is None or second is None:
        return ""
    alone = [n for n in first if n not in second], [n for n in second if n not in first]
    return f". Only X has {describe(alone[0][:8])}, only Y has {describe(alone[1][:8])}"


def _check_targets(known: Float64Array) -> None:
    if len(known) < 2:
        raise ValueError(f"Y has {len(known)} labelled cells; calibration needs at least 2")
    if known.min() == known.max():
        raise ValueError(
            f"all {len(known)} labelled cells of Y are {known[0]:g}; calibration needs positives "
            f"and negatives"
        )


def _warn_of_one_label(X: Float64Array, Y: Float64Array, source: str) -> None:
    """Say if the table looks like one label of many, written as indicators."""
    if source != "proba" or Y.shape[1] < 3 or not (Y.sum(axis=1) == 1.0).all():
        return
    if np.abs(X.sum(axis=1) - 1.0).max() < 1e-3:
        warn(
            "every row of Y has exactly one positive and the rows of X sum to 1, as of one label "
            "out of many: a calibrator such as make_calibrator('auto') takes the labels "
            "Y.argmax(axis=1), and keeps the sum",
            CalibrationWarning,
        )


# ------------------------------------------------------------------------------------- in files

#: What files of these calibrators say that they are.
KIND = "calib multilabel calibrator"


def contents_of_multilabel(calibrator: MultilabelCalibrator) -> dict[str, Any]:
    """Return a fitted calibrator of many labels as plain values.

    Raises
    ------
    NotFittedError
        If it is not fitted.
    TypeError
        If its curve is more than arrays, or a parameter or name of a label is no plain value.
    ValueError
        If its fitted values cannot be those of a fit.
    """
    check_is_fitted(calibrator, "slope_")
    try:
        calibrator.check_lines()
    except ValueError as error:
        raise ValueError(f"MultilabelCalibrator cannot be saved: {error}") from error
    parameters = calibrator.get_params(deep=False)
    parameters["calibrator"] = stored_calibrator(parameters["calibrator"])
    for key, value in parameters.items():
        parameters[key] = value.item() if isinstance(value, np.generic) else value
    names = getattr(calibrator, "feature_names_in_", None)
    labels = calibrator.classes_.tolist()
    return {
        "parameters": parameters,
        "classes": labels,
        "feature_names_in": None if names is None else [str(name) for name in names],
        "fallbacks": [[label, reason] for label, reason in calibrator.fallbacks_.items()],
        "fitted": {
            name: np.asarray(getattr(calibrator, name), dtype=np.float64).tolist()
            for name in ARRAYS
        },
        "pooled_map": contents_of_map(calibrator.pooled_map_),
    }


def restored_multilabel(document: Mapping[str, Any]) -> MultilabelCalibrator:
    """Return the calibrator that `contents_of_multilabel` described, or raise a `ValueError`."""
    known = list(MultilabelCalibrator().get_params(deep=False))
    given = document["parameters"]
    if not isinstance(given, dict) or not set(given) <= set(known):
        raise ValueError(f"MultilabelCalibrator takes the parameters {known}, not {given!r:.80}")
    parameters = dict(given)
    parameters["calibrator"] = restored_calibrator_parameter(parameters["calibrator"])
    calibrator = MultilabelCalibrator(**parameters)
    check_multilabel_options(calibrator.get_params(deep=False))
    labels = document["classes"]
    if not isinstance(labels, list) or not labels or len(set(map(str, labels))) < len(labels):
        raise ValueError("classes must be a list of distinct labels")
    texts = all(isinstance(label, str) for label in labels)
    if not texts and labels != list(range(len(labels))):
        raise ValueError("classes must be texts, or 0, 1, ...")
    calibrator.classes_ = np.array(labels, dtype=object if texts else np.int64)
    calibrator.n_features_in_ = len(labels)
    names = document["feature_names_in"]
    if names is not None:
        if not isinstance(names, list) or len(names) != len(labels):
            raise ValueError(f"feature_names_in must name {len(labels)} columns")
        calibrator.feature_names_in_ = np.array([str(name) for name in names], dtype=object)
    fitted = document["fitted"]
    if not isinstance(fitted, dict) or set(fitted) != set(ARRAYS):
        raise ValueError(f"MultilabelCalibrator needs the fitted arrays {[*ARRAYS]}")
    for name, value in fitted.items():
        array = np.array(value, dtype=np.float64)
        setattr(calibrator, name, float(array) if array.ndim == 0 else array)
    calibrator.check_lines()
    calibrator.fallbacks_ = {label: str(reason) for label, reason in document["fallbacks"]}
    pooled = restored_map(document["pooled_map"])
    if len(pooled.classes_) != 2 or pooled.n_features_in_ != 1 or pooled.input != calibrator.input:
        raise ValueError("pooled_map must read one column as input says, and give two classes")
    calibrator.pooled_map_ = pooled
    return calibrator
