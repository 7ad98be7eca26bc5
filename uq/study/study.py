"""The whole study of models and calibrators on one small table."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from sklearn.utils import indexable

from calib._border.arrays import read_array, to_numpy
from calib._border.checks import check_fraction, check_integer, check_option, describe
from calib._border.labels import check_same_length, check_vector, unit_codes
from calib._border.limits import MOST_RESAMPLES
from calib._border.sklearn_compat import take_features
from calib._border.typing import ArrayLike, LabelArray
from calib._border.validation import check_score_vector
from calib._border.warn import warn
from uq.study.feature_sets import FeatureSets, read_feature_sets
from uq.study.methods import Method, StudyPredictions, apply_method, read_methods
from uq.study.models import software_of, study_models
from uq.study.results import StudyResult
from uq.study.scores import Entrant, Protocol, Scheme, StudyTable, held_out_cells
from uq.study.tuning import TUNING_FOLDS, Grids, prepared, read_grids

CALIBRATORS = ("raw", "platt", "isotonic", "venn_abers", "conformal")


def leave_one_out_study(
    models: Mapping[str, Any] | None,
    X: ArrayLike,
    y: ArrayLike,
    *,
    calibrators: Sequence[str] | Mapping[str, Method] = CALIBRATORS,
    groups: ArrayLike = None,
    feature_sets: FeatureSets | None = None,
    correlation_limit: float | None = None,
    tuning: bool | Grids = False,
    n_repeats: int = 10,
    scheme: Scheme = "pooled",
    inner_folds: int = 5,
    outer_folds: int | None = None,
    thresholds: ArrayLike = (0.8, 0.9),
    min_kept: int = 10,
    confidence_level: float = 0.95,
    n_resamples: int = 1000,
    n_simulations: int = 200,
    random_state: int = 0,
    n_jobs: int | None = None,
    cache: str | os.PathLike[str] | None = None,
    verbose: bool | None = None,
) -> StudyResult:
    """Compare models and calibrators on a small table, leaving out one row at a time.

    For tables of some fifty to a few hundred rows, where a test set would waste data. Every row is
    predicted by models and calibrators that have not seen it, with imputation, scaling and
    selection redone each time if they are part of the model. The result tells how well each pair
    ranks, whether its probabilities are calibrated, and what is gained by answering only where it
    is certain.

    Parameters
    ----------
    models : mapping of str to classifier, or None
        Unfitted classifiers or pipelines; None takes `study_models`, with imputation if `X` has
        missing values. Seeds that are open (``random_state=None``) are set, per repetition.
    X : array-like or table of shape (n_samples, n_features)
        Handed to the models as it is; missing values are allowed where all models take them.
    y : array-like of shape (n_samples,)
        Labels of two classes. Probabilities are those of the second in sorted order.
    calibrators : sequence of str, or mapping of str to str or calibrator, \
default=("raw", "platt", "isotonic", "venn_abers", "conformal")
        ``"raw"`` (a margin goes through the logistic function), ``"conformal"`` (normalised
        label-conditional p-values), ``"conformal_prevalence"`` (the same, weighted by the class
        shares), or any name of `calib.CALIBRATORS`; a mapping also holds calibrators themselves,
        whose parameter ``input`` is set to what a model gives.
    groups : array-like of shape (n_samples,), default=None
        Group of every row (the patient, for several rows of one patient): left out, put into folds
        and drawn as a whole.
    feature_sets : mapping of str to list of str or int, default=None
        Sets of columns, by name (tables) or position, that every model is tried on. A name that
        begins with ``+`` adds its columns to the set before, those that it lacks:
        ``{"dose": [...], "+ radiomic": [...]}``. The models of the result are then called
        ``"svm | dose"``, ``"svm | + radiomic"``, ... None takes all columns.
    correlation_limit : float in (0, 1) or None, default=None
        Put a `SpearmanFilter` with this limit before every model: of features whose rank
        correlation exceeds it, the one that says most about `y` is kept. It is chosen anew in every
        training part.
    tuning : bool or mapping of str to mapping, default=False
        Parameters to try, per model that was given, as `GridSearchCV` takes them; True takes
        `study_grids` for the default models. They are chosen by AUROC in 3 folds of every training
        part, which takes some ten times as long.
    n_repeats : int >= 1, default=10
        Repetitions with seeds `random_state`, `random_state` + 1, ...
    scheme : {"pooled", "per_fold", "split"}, default="pooled"
        Where calibrators get their scores from. ``"pooled"``: each row but those left out is scored
        by a model trained on the other inner folds, one calibrator is fitted on all these scores,
        and applied to the score of a model trained on all of them. ``"per_fold"``: the model of
        each fold has its own calibrator, and their answers are merged. ``"split"``: the first
        fold calibrates, the others train.
    inner_folds : int >= 2, default=5
        Stratified folds of the inner loop.
    outer_folds : int >= 2 or None, default=None
        Shuffled stratified folds for the outer loop, as a check of the leave-one-out bias (see
        Notes); None leaves out one row or group at a time.
    thresholds : array-like of floats, default=(0.8, 0.9)
        Certainties at which the tables cut.
    min_kept : int >= 1, default=10
        Fewer rows than this give no metric.
    confidence_level : float in (0, 1), default=0.95
        Level of the bootstrap intervals.
    n_resamples : int >= 2, default=1000
        Bootstrap draws of rows (groups).
    n_simulations : int >= 0, default=200
        Redrawn label vectors for the ACE of a calibrated model; 0 leaves it out.
    random_state : int >= 0, default=0
        Seed of the first repetition.
    n_jobs : int or None, default=None
        Processes that train models (joblib); None means 1 outside a joblib context.
    cache : str, path-like or None, default=None
        Folder for the scores of finished pairs of model and repetition. They are read back when the
        data, the model, the folds, the seed and the versions of NumPy and scikit-learn are the
        same; calibrators, cuts and intervals may change freely. A changed body of a function
        inside a model is not noticed.
    verbose : bool or None, default=None
        None names the model at work on a bar, where the error stream is a terminal and tqdm is
        installed. True writes a line per model and repetition elsewhere; False shows nothing.

    Returns
    -------
    result : StudyResult
        Predictions, tables, curves and a text with what follows from them.

    Raises
    ------
    ValueError
        For NaN in `y`, inf in `X`, other than two classes, too few rows of a class for the folds,
        unknown calibrators, unknown or repeated columns of a set, grids of unknown models, models
        that cannot be trained on `X` or give scores that are not finite, options out of range, or
        damaged cache files.

    Warns
    -----
    CalibrationWarning
        What calibrators complain about, once per model, method and text.

    See Also
    --------
    certainty_curve : The same curves for probabilities at hand.
    calib.CalibratedClassifier : The calibrated model itself, once the choice is made.

    Notes
    -----
    Platt scaling uses smoothed targets, isotonic regression is not smoothed, Venn-ABERS is merged
    by log loss. With margin m, conformal p-values are
    ``P_l = (1 + #{j: y_j = l, a_j >= a}) / (1 + n_l)``, ``a = -m`` for label 1 and m for label 0,
    and ``p = P_1 / (P_0 + P_1)``, a ranking device. The pair to begin with is Venn-ABERS
    probabilities with conformal confidence, ``1 - min(P_0, P_1)``, as certainty; the findings of
    the result say what it brings on the data at hand.

    Leaving out a row shifts the training prevalence against its class, which biases the pooled
    AUROC downwards, most for models that know little. The deviation over repetitions is that of
    seeds; the interval that of patients, given the predictions.

    The headline takes the lowest Brier score, and says which pairs of model and method cannot be
    told from it, or that the data are too few to choose. `StudyResult.claims` holds what published
    studies claim against the data, by paired differences.

    Cost: ``n_samples (inner_folds + 1)`` fits per model, set of features and repetition, that is
    606 for 101 rows. A default study of 80 rows and 10 columns takes two minutes of one core with
    XGBoost installed.

    References
    ----------
    P. Puttanawarut, R. Wabina, N. Sirirutbunkajorn, "Uncertainty quantification for improving
    radiomic-based models in radiation pneumonitis prediction", 2024, arXiv 2412.19511.
    T. Pereira et al., "Targeting the uncertainty of predictions at patient-level using an ensemble
    of classifiers coupled with calibration methods, Venn-ABERS, and Conformal Predictors", Journal
    of Biomedical Informatics 101, 2020, doi 10.1016/j.jbi.2019.103350.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from uq import leave_one_out_study
    >>> from uq import load_study_stand_in
    >>> X, y = load_study_stand_in()
    >>> study = leave_one_out_study(
    ...     {"lr": LogisticRegression(C=10)}, X[:40], y[:40],
    ...     calibrators=["raw", "conformal"], n_repeats=1, n_resamples=100,
    ... )
    >>> row = study.evaluate("lr", "conformal", shares=[0.5])[1]
    >>> print(f"{row.n_kept:.0f} kept, AUROC {row.metrics['auroc'].value:.2f}")
    20 kept, AUROC 0.77
    """
    methods = read_methods(calibrators)
    protocol = Protocol(
        scheme=scheme,
        inner_folds=check_integer("inner_folds", inner_folds, low=2),
        outer_folds=None
        if outer_folds is None
        else check_integer("outer_folds", outer_folds, low=2),
        n_repeats=check_integer("n_repeats", n_repeats, low=1),
        random_state=check_integer("random_state", random_state, low=0),
        correlation_limit=None
        if correlation_limit is None
        else check_fraction("correlation_limit", correlation_limit),
    )
    check_option("scheme", scheme, ("pooled", "per_fold", "split"))
    check_option("verbose", verbose, (None, True, False))
    cuts = tuple(sorted(set(check_score_vector(np.atleast_1d(thresholds), "thresholds").tolist())))
    if cuts[0] <= 0:
        raise ValueError(f"thresholds must be > 0; got {cuts[0]:g}")
    table, labels = _read_table(X, y, groups)
    chosen = _read_models(models, table)
    grids = read_grids(tuning, chosen)
    protocol = replace(protocol, tuned=tuple(grids))
    _check_sizes(table, protocol)
    entrants, members = _entrants(chosen, grids, table, feature_sets, protocol)
    result = StudyResult(
        predictions={(name, method): [] for name in entrants for method in methods},
        y_true=labels,
        codes=table.codes,
        groups=table.groups,
        protocol=protocol,
        thresholds=cuts,
        min_kept=check_integer("min_kept", min_kept, low=1),
        confidence_level=check_fraction("confidence_level", confidence_level),
        n_resamples=check_integer("n_resamples", n_resamples, low=2, high=MOST_RESAMPLES),
        n_simulations=check_integer("n_simulations", n_simulations, low=0, high=MOST_RESAMPLES),
        members=members,
        software={name: software_of(model) for name, model in chosen.items()},
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cells = held_out_cells(entrants, protocol, n_jobs=n_jobs, cache=cache, verbose=verbose)
        for name, cell in cells:
            for method, calibrator in methods.items():
                predictions: StudyPredictions = apply_method(calibrator, cell, table.codes)
                result.predictions[name, method].append(predictions)
    for category, text in dict.fromkeys(
        (warning.category, str(warning.message)) for warning in caught
    ):
        warn(text, category)
    return result


def _read_table(X: ArrayLike, y: ArrayLike, groups: ArrayLike) -> tuple[StudyTable, LabelArray]:
    """Return the checked data and the labels as given."""
    (X,) = indexable(X)
    if X is None or np.ndim(X) != 2:
        raise ValueError(
            f"X must have shape (n_samples, n_features); got {describe(np.shape(X))}"
            if X is not None
            else "X is None; pass a table with one row per sample"
        )
    if not np.shape(X)[0] or not np.shape(X)[1]:
        raise ValueError(f"X is empty (shape={np.shape(X)}); pass rows and columns")
    if isinstance(X, (list, tuple)):
        X = np.asarray(X)
    labels = check_vector(y, "y")
    check_same_length(np.shape(X)[0], len(labels), "X", "y")
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) != 2:
        raise ValueError(
            f"y must have two classes; got {len(classes)}: {describe(classes[:5].tolist())}"
        )
    members = None if groups is None else unit_codes(groups, len(labels), "groups", "X")
    finite = _check_finite(X)
    return StudyTable(X, codes.astype(np.intp), members, finite), labels


def _entrants(
    models: Mapping[str, Any],
    grids: Mapping[str, Mapping[str, Any]],
    table: StudyTable,
    feature_sets: FeatureSets | None,
    protocol: Protocol,
) -> tuple[dict[str, Entrant], dict[str, tuple[str, str | None]]]:
    """Return every model on every set of features, and which model and set each of them is."""
    tables: dict[str | None, StudyTable] = {None: table}
    if feature_sets is not None:
        tables = {}
        for name, columns in read_feature_sets(feature_sets, table.X).items():
            X = take_features(table.X, columns)
            tables[name] = replace(table, X=X, finite=_check_finite(X))
    entrants, members = {}, {}
    for feature_set, own in tables.items():
        for model, estimator in models.items():
            name = model if feature_set is None else f"{model} | {feature_set}"
            if name in entrants:
                raise ValueError(f"models and feature_sets make the name {name!r} twice")
            make = partial(
                prepared,
                estimator,
                correlation_limit=protocol.correlation_limit,
                grid=grids.get(model),
                grouped=table.groups is not None,
            )
            entrants[name], members[name] = Entrant(make, own), (model, feature_set)
    return entrants, members


def _check_finite(X: Any) -> bool:
    """Return whether X is numeric without NaN; raise for inf."""
    values = to_numpy(read_array(X, "X"))
    if values.dtype.kind not in "biuf":
        return False  # categories or texts: up to the models
    if np.isinf(values).any():
        row, column = np.argwhere(np.isinf(values))[0].tolist()
        raise ValueError(f"X contains inf in row {row}, column {column}; repair such values")
    return not bool(np.isnan(values).any())


def _check_sizes(table: StudyTable, protocol: Protocol) -> None:
    """Raise unless every class survives the outer and the inner loop."""
    counts = np.bincount(table.codes, minlength=2)
    k, inner = protocol.outer_folds, protocol.inner_folds
    unit = "rows"
    if table.groups is not None:
        unit = "groups"
        counts = np.array([len(np.unique(table.groups[table.codes == c])) for c in (0, 1)])
        if table.groups.max() < 2:
            raise ValueError(
                f"groups has {int(table.groups.max()) + 1} distinct group(s); leaving groups out "
                f"needs at least 3"
            )
    if k is not None and counts.min() < k:
        raise ValueError(
            f"outer_folds={k} needs at least {k} {unit} of each class; got {counts.tolist()}"
        )
    left = counts - (1 if k is None else -(-counts // k))
    if left.min() < inner:
        raise ValueError(
            f"y has too few {unit} of a class: {counts.tolist()}. inner_folds={inner} needs at "
            f"least {inner} of each class after {'one' if k is None else 'a fold'} is left out; "
            f"pass more data or fewer folds"
        )
    if protocol.tuned and (left - -(-left // inner)).min() < TUNING_FOLDS:
        raise ValueError(
            f"y has too few {unit} of a class to tune models: {counts.tolist()}. Every training "
            f"part is cut into {TUNING_FOLDS} folds that hold both; pass tuning=False or more data"
        )


def _read_models(models: Mapping[str, Any] | None, table: StudyTable) -> dict[str, Any]:
    if models is None:
        return study_models(impute=not table.finite)
    if not isinstance(models, Mapping) or not models:
        raise ValueError(
            f"models must be a mapping of names to classifiers, or None; got {describe(models)}"
        )
    for name, model in models.items():
        if not isinstance(name, str):
            raise ValueError(f"models must have texts as names; got {describe(name)}")
        if not hasattr(model, "fit") or not hasattr(model, "get_params"):
            raise ValueError(f"models[{name!r}] is no scikit-learn classifier: {describe(model)}")
    return dict(models)
