"""Was this answer right: probabilities learned from the record of past answers."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from calib import BaseCalibrator
from calib._border.checks import (
    check_fraction,
    check_integer,
    check_option,
    describe,
    is_integer,
)
from calib._border.labels import check_same_length, check_vector, check_weight, positive_rows
from calib._border.limits import MOST_RESAMPLES
from calib._border.random import generator
from calib._border.typing import ArrayLike, Float64Array, IntArray, LabelArray, RandomState
from calib._border.warn import warn
from calib._core.estimators.out_of_fold import (
    Fold,
    check_estimator,
    draw_held_out,
    fold_of_rows,
    folds_of,
)
from uq.correctness.model.features import Embed, Features, FeatureTable, check_embed
from uq.correctness.model.groups_table import GroupsTable, groups_table
from uq.correctness.model.history import History
from uq.correctness.model.judges import Evidence, Judge
from uq.correctness.model.recalibration import (
    HOWS,
    USUAL_SHIFT,
    How,
    LogOddsMap,
    calibrated,
    log_odds_of,
    new_calibrator,
    ranked,
    shrunk_shift,
    spread_of_shifts,
)
from uq.correctness.model.records import Fields, Records, names_of, read_columns, read_records
from uq.correctness.model.text_scores import LinearScores
from uq.warnings import UnseenModelWarning

#: Folds of the out-of-fold scores of texts.
N_FOLDS = 5
#: Parts of the models that those who judge new models are calibrated on.
N_MODEL_FOLDS = 4
#: Models that a warning lists.
N_LISTED = 5


class CorrectnessModel(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Estimate the probability that an answer is right, from graded answers of the past.

    A record is a question, the text of an answer, the name of the model that gave it, and whatever
    confidences, numbers and names stand beside it. Which fields are named decides what is learned:
    all of them a general model; ``model=None`` on the records of one model a specific one;
    ``text=("question",)`` without the answer how hard a question is for a model.

    Parameters
    ----------
    text : sequence of str, default=("question", "answer")
        Columns of texts. The first is that of the question where it is the same for all answers
        to it. May be empty.
    model : str or None, default="model"
        Column of the names of the models that answered; None for a judgement without names.
    group : str or None, default="question_id"
        Column that names the question. Splits keep questions whole, because the same question on
        both sides would show its difficulty. None tells questions apart by their text (the first
        of `text`, without case and marks), or takes every row for its own where there is none.
    confidence : sequence of str, default=()
        Columns of confidences in [0, 1]; missing values allowed. Others (percentages, -1) count as
        missing and are warned of: nothing is divided by 100 here.
    numeric : sequence of str, default=()
        Columns of other numbers, such as the logarithm of the number of tokens; missing allowed.
    categorical : sequence of str, default=()
        Columns of names, such as the subject; names not seen at fit count as missing.
    agreement : str or None, default=None
        Column of the final answers, such as the letter chosen. Adds the share of the other models
        of the batch that give the same final answer to the same question, that share with models
        weighted by their odds of being right, its lead over the strongest other answer, and the
        number of other answers. An empty answer agrees with none. The same row has another score
        in a batch with other rows.
    history_neighbors : int >= 0, default=0
        Nearest questions of the fit whose outcomes are averaged, see Notes; 0 for none.
    embed : {"tfidf"} or callable, default="tfidf"
        Vectors of texts: TF-IDF of words and pairs of words, or ``embed(list of str)`` that returns
        an array of shape (n_texts, n_dimensions), such as that of a sentence encoder.
    classifier : {"linear"}, estimator or None, default=None
        Last stage. None: boosted trees over the scores of texts, all numbers and all names.
        ``"linear"``: one logistic regression over everything. An estimator with ``predict_proba``
        replaces the trees; it reads numbers with nan where missing, and names as indicators.
    calibrator : str, BaseCalibrator or None, default="auto"
        Registry name (see `calib.CALIBRATORS`) or an unfitted calibrator, fitted to
        held-out questions; None for none.
    calibration_fraction : float in (0, 1), default=0.1
        Share of the answers that calibrate with ``cv=None``, in whole questions.
    cv : int, splitter, iterable or None, default=5
        Folds, in whole questions, of the out-of-fold scores of all answers that the calibrator is
        fitted to; all parts are then fitted again on everything. None holds out one part. A single
        pair of (training, calibration) rows is a split of your own. The level of few questions is
        uncertain however many models answered them, so folds calibrate better than one part.
    max_characters : int >= 100, default=20000
        Texts longer than that are read by their first and last halves of it. Their length counts
        in full.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the split and of the trees.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        0 for wrong, 1 for right.
    models_ : list of str
        Names of the models seen at fit.
    unseen_models_ : list of str
        Names of other models that were judged since, in the order of their coming.
    n_features_in_ : int
        Number of columns that are read.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names.
    n_calibration_ : int
        Answers that the calibrator was fitted to.
    shift_spread_ : float
        Usual size of the shift of log-odds that a model needs which was left out; 1 where fewer
        than four models show none.

    Raises
    ------
    TypeError
        If records are no table, or a text is none.
    ValueError
        At fit, for missing columns, labels that are not 0 and 1, answers that are all right or all
        wrong, too few questions, a question on both sides of a split, or an option out of range.

    Warns
    -----
    InvalidConfidenceWarning
        If confidences lie outside [0, 1], or numbers are infinite: they count as missing.
    DuplicateQuestionsWarning
        If questions of equal text have several names; they are kept together.
    UnseenModelWarning
        If records name models that were not there at fit: their answers are judged without the
        name. Then see `recalibrate`.
    FallbackWarning
        If the answers that calibrate are all right or all wrong.

    See Also
    --------
    SelectiveClassifier : Answer only where the probability is large enough.
    calib.evaluation.calibration_report : All measures of `predict_proba`.

    Notes
    -----
    Texts get linear scores: a logistic regression of the answers of all models with one indicator
    per model, and one of the answers of each model that has 200 or more. Their penalties have the
    least log loss out of fold. The trees are trained on out-of-fold scores, never on those of rows
    that trained the regressions; vocabularies are those of all training texts. A second forest of
    trees knows no names of models and judges those that were not there at fit; its calibrator is
    fitted to scores out of fold over models.

    History is ``(sum_j w_j a_j + 2 base) / (sum_j w_j + 2)`` over the nearest questions of the fit,
    with cosines w_j of their vectors and mean correctness a_j, once over the answers of the same
    model with its rate as base, once over all. In the fit a question's own answers are left out.

    References
    ----------
    .. [1] H. Xiao, V. Patil, H. Lee, E. Stengel-Eskin, M. Bansal. Generalized Correctness Models:
       Learning Calibrated and Model-Agnostic Correctness Predictors from Historical Patterns.
       2025. arXiv:2509.24988

    Examples
    --------
    >>> import numpy as np
    >>> from uq import CorrectnessModel
    >>> rng = np.random.default_rng(0)
    >>> number, hard = np.arange(600), rng.random(600) < 0.5
    >>> records = {
    ...     "question_id": number,
    ...     "question": [f"prove {k}" if h else f"add {k}" for k, h in zip(number, hard)],
    ...     "answer": ["so it is"] * 600,
    ...     "model": rng.choice(["small", "large"], 600),
    ... }
    >>> correct = rng.random(600) < np.where(hard, 0.3, 0.9)
    >>> judge = CorrectnessModel(calibrator="platt", random_state=0).fit(records, correct)
    >>> new = {"question_id": [1, 2], "question": ["prove it", "add them"],
    ...        "answer": ["so it is"] * 2, "model": ["small", "large"]}
    >>> judge.predict(new)
    array([0, 1])
    >>> print(judge.score_samples(new).round(1))
    [0.4 0.9]
    """

    classes_: LabelArray
    models_: list[str]
    unseen_models_: list[str]
    n_features_in_: int
    feature_names_in_: LabelArray
    n_calibration_: int
    shift_spread_: float

    def __init__(
        self,
        *,
        text: Sequence[str] = ("question", "answer"),
        model: str | None = "model",
        group: str | None = "question_id",
        confidence: Sequence[str] = (),
        numeric: Sequence[str] = (),
        categorical: Sequence[str] = (),
        agreement: str | None = None,
        history_neighbors: int = 0,
        embed: Embed = "tfidf",
        classifier: Any = None,
        calibrator: str | BaseCalibrator | None = "auto",
        calibration_fraction: float = 0.1,
        cv: Any = 5,
        max_characters: int = 20_000,
        random_state: RandomState = None,
    ) -> None:
        self.text = text
        self.model = model
        self.group = group
        self.confidence = confidence
        self.numeric = numeric
        self.categorical = categorical
        self.agreement = agreement
        self.history_neighbors = history_neighbors
        self.embed = embed
        self.classifier = classifier
        self.calibrator = calibrator
        self.calibration_fraction = calibration_fraction
        self.cv = cv
        self.max_characters = max_characters
        self.random_state = random_state

    # ------------------------------------------------------------------ fit

    def fit(self, records: Any, correct: ArrayLike, sample_weight: ArrayLike = None) -> Self:
        """Learn from graded answers.

        Parameters
        ----------
        records : table of any dataframe library, or mapping of str to columns
            One answer per row.
        correct : array-like of shape (n_answers,)
            1 (or True) for right answers, 0 for wrong ones.
        sample_weight : array-like of shape (n_answers,), default=None
            Non-negative weights. Rows of weight 0 are not there: nothing of them is looked at.

        Returns
        -------
        self : object
        """
        fields = self._check_options()
        kept = None if sample_weight is None else positive_rows(sample_weight, _length(correct))
        labels = _checked_labels(correct, kept)
        n_rows = len(labels)
        weight = check_weight(sample_weight, n_rows)
        weight = np.ones(n_rows) if weight is None else weight
        if kept is not None:
            labels, weight = labels[kept], weight[kept]
        weight = weight / weight.mean()
        checked = read_records(records, fields, kept=kept, duplicates=True)
        check_same_length(len(checked), len(labels), "records", "correct")
        _check_two_kinds(labels, "correct")
        rng = generator(self.random_state)
        self._seed = int(rng.integers(2**31 - 1))
        folds = self._split(checked, labels, rng, kept)
        self.shift_spread_ = USUAL_SHIFT
        self._fields = fields
        if len(folds) == 1:
            ((train, held),) = folds
            _check_two_kinds(labels[train], "the training part of correct")
            self._fit_parts(checked.take(train), labels[train], weight[train], None)
            evidence = self._evidence(checked.take(held))
            self._known.calibration = calibrated(
                self.calibrator,
                self._known.log_odds(evidence),
                labels[held],
                weight[held],
                "the part that calibrates",
            )
            self.n_calibration_ = len(held)
        else:
            self._fit_parts(checked, labels, weight, folds)
            self.n_calibration_ = len(labels)
        self.classes_ = np.array([0, 1])
        self.models_ = list(self._table.models)
        self.unseen_models_ = []
        self.feature_names_in_ = np.array(fields.names, dtype=object)
        self.n_features_in_ = len(fields.names)
        self._recalibration: LogOddsMap | None = None
        self._met_models: frozenset[str] = frozenset(self.models_)
        return self

    # ------------------------------------------------------------------ answers

    def predict_proba(self, records: Any, among: Any = None) -> Float64Array:
        """Return the probabilities that answers are wrong, and that they are right.

        Parameters
        ----------
        records : table of any dataframe library, or mapping of str to columns
            The columns of the fit; others are not looked at.
        among : table, mapping or None, default=None
            Further answers to the same questions that agreement is counted among, beside those in
            `records`; they get no score. Columns: final answer, model, question.

        Returns
        -------
        proba : ndarray of shape (n_answers, 2)
            Columns in the order of ``classes_``: wrong, right. Rows sum to 1.
        """
        right = self.score_samples(records, among)
        return np.column_stack([1.0 - right, right])

    def score_samples(self, records: Any, among: Any = None) -> Float64Array:
        """Return the probability that each answer is right.

        Parameters
        ----------
        records : table of any dataframe library, or mapping of str to columns
            The columns of the fit.
        among : table, mapping or None, default=None
            Further answers to the same questions that agreement is counted among, beside those in
            `records`; they get no score. Columns: final answer, model, question.

        Returns
        -------
        right : ndarray of shape (n_answers,)
            In [0, 1].
        """
        check_is_fitted(self)
        return self._judged(read_records(records, self._fields, among=among))

    def predict(self, records: Any, among: Any = None) -> LabelArray:
        """Return 1 for answers that are more likely right than wrong, else 0.

        Parameters
        ----------
        records : table of any dataframe library, or mapping of str to columns
            The columns of the fit.
        among : table, mapping or None, default=None
            Further answers to the same questions that agreement is counted among, beside those in
            `records`; they get no score. Columns: final answer, model, question.

        Returns
        -------
        judgement : ndarray of int, shape (n_answers,)
        """
        return self.classes_[(self.score_samples(records, among) > 0.5).astype(np.intp)]

    def recalibrate(
        self,
        records: Any,
        correct: ArrayLike,
        how: How = "shift",
        sample_weight: ArrayLike = None,
        among: Any = None,
    ) -> Self:
        """Return a model whose probabilities fit graded answers of a new model or data set.

        What was learned stays as it is; a map of its log-odds is added. Ranking survives a change
        of model or data, probabilities do not: a few hundred graded answers repair them.

        Parameters
        ----------
        records : table of any dataframe library, or mapping of str to columns
            Answers of the model or data set in question, to questions that were not in the fit: on
            those of the fit the probabilities look better than they are.
        correct : array-like of shape (n_answers,)
            1 for right answers, 0 for wrong ones.
        how : {"shift", "platt", "isotonic", "spline", "auto"}, default="shift"
            ``"shift"`` adds one number to the log-odds; the choice for fewer than about 300
            answers. A number that few labels leave open is drawn to 0: it is the most probable one
            if the shifts that new models need have a Cauchy distribution of scale
            ``shift_spread_``, whose long tails let large shifts pass. The others fit that
            calibrator.
        sample_weight : array-like of shape (n_answers,), default=None
            Non-negative weights.
        among : table, mapping or None, default=None
            Further answers to the same questions that agreement is counted among, beside those in
            `records`; they need no grade. Columns: final answer, model, question.

        Returns
        -------
        model : CorrectnessModel
            A new fitted object; this one is unchanged. Recalibrating twice is no sum: each starts
            from what was fitted.

        Raises
        ------
        ValueError
            For labels that are not 0 and 1, other lengths, or an unknown `how`.

        Warns
        -----
        FallbackWarning
            If all answers are right, or all wrong, and `how` is a calibrator: log-odds are shifted.
        """
        check_is_fitted(self)
        check_option("how", how, HOWS)
        kept = None if sample_weight is None else positive_rows(sample_weight, _length(correct))
        labels = _checked_labels(correct, kept)
        weight = check_weight(sample_weight, len(labels))
        weight = np.ones(len(labels)) if weight is None else weight
        if kept is not None:
            labels, weight = labels[kept], weight[kept]
        checked = read_records(records, self._fields, kept=kept, among=among)
        check_same_length(len(checked), len(labels), "records", "correct")
        log_odds = log_odds_of(self._base_proba(checked))
        if how == "shift":
            added = LogOddsMap(shrunk_shift(log_odds, labels, weight, self.shift_spread_))
        else:
            added = calibrated(how, log_odds, labels, weight, "the part that recalibrates")
        new = copy.copy(self)
        new.__dict__.update(
            _recalibration=added,
            _met_models=self._met_models | set(checked.models or ()),
            unseen_models_=list(self.unseen_models_),
        )
        return new

    def explain_groups(
        self,
        records: Any,
        correct: ArrayLike,
        *,
        by: Sequence[str] | None = None,
        confidence_level: float = 0.95,
        n_resamples: int = 400,
        random_state: int = 0,
        among: Any = None,
    ) -> GroupsTable:
        """Measure the probabilities on every model and category of graded answers.

        Parameters
        ----------
        records : table of any dataframe library, or mapping of str to columns
            Answers that the model was not fitted to.
        correct : array-like of shape (n_answers,)
            1 for right answers, 0 for wrong ones.
        by : sequence of str or None, default=None
            Columns whose values are the groups; None takes that of the models and the categorical
            ones.
        confidence_level : float in (0, 1), default=0.95
            Level of the intervals of the calibration errors, which draw whole questions.
        n_resamples : int >= 2, default=400
            Draws of each interval.
        random_state : int, default=0
            Seed of the draws.
        among : table, mapping or None, default=None
            Further answers to the same questions that agreement is counted among, beside those in
            `records`; they are not measured. Columns: final answer, model, question.

        Returns
        -------
        table : GroupsTable
            Number of answers, share of right ones, mean probability, AUROC and calibration error
            with its interval, for all answers and every group.

        Raises
        ------
        ValueError
            If there is no column to group by, or an argument is out of range.
        """
        check_is_fitted(self)
        level = check_fraction("confidence_level", confidence_level)
        check_integer("n_resamples", n_resamples, low=2, high=MOST_RESAMPLES)
        check_integer("random_state", random_state, low=0)
        if isinstance(by, str):
            by = (by,)
        fields = self._fields
        if by is None:
            by = [*([fields.model] if fields.model is not None else []), *fields.categorical]
        if not by:
            raise ValueError(
                "by names no column, and the model has neither model= nor categorical=; pass by="
            )
        labels = _checked_labels(correct, None)
        columns = {
            name: names_of(values) for name, values in read_columns(records, list(by)).items()
        }
        checked = read_records(records, fields, among=among)
        check_same_length(len(checked), len(labels), "records", "correct")
        return groups_table(
            columns,
            labels,
            self._judged(checked),
            checked.units,
            confidence_level=level,
            n_resamples=n_resamples,
            random_state=random_state,
        )

    # ------------------------------------------------------------------ private parts

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.no_validation = True
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.classifier_tags.multi_class = False
        return tags

    def _check_options(self) -> Fields:
        """Check the parameters and return the columns to read."""
        several = {}
        for name in ("text", "confidence", "numeric", "categorical"):
            value = getattr(self, name)
            if isinstance(value, str):
                raise ValueError(
                    f"{name} must be a sequence of column names; got the text {value!r}. Pass "
                    f"({value!r},)"
                )
            several[name] = tuple(value)
            for column in several[name]:
                _check_column(name, column)
        for name in ("model", "group", "agreement"):
            if getattr(self, name) is not None:
                _check_column(name, getattr(self, name))
        fields = Fields(
            several["text"],
            self.model,
            self.group,
            several["confidence"],
            several["numeric"],
            several["categorical"],
            self.agreement,
        )
        read = [*fields.text, *fields.confidence, *fields.numeric, *fields.categorical]
        if not read and self.model is None and self.agreement is None:
            raise ValueError(
                "nothing to learn from: name columns in text=, model=, confidence=, numeric=, "
                "categorical= or agreement="
            )
        check_integer("history_neighbors", self.history_neighbors, low=0)
        check_integer("max_characters", self.max_characters, low=100)
        if self.history_neighbors and not fields.text:
            raise ValueError(
                f"history_neighbors={self.history_neighbors} needs the text of the question; name "
                f"its column first in text=, or pass history_neighbors=0"
            )
        check_embed(self.embed)
        if isinstance(self.classifier, str):
            check_option("classifier", self.classifier, ("linear",))
        elif self.classifier is not None:
            check_estimator(self.classifier, kind="classifier", answers=("predict_proba",))
        if self.calibrator is not None:
            new_calibrator(self.calibrator)
        check_fraction("calibration_fraction", self.calibration_fraction)
        return fields

    def _split(
        self, records: Records, labels: IntArray, rng: Any, kept: LabelArray | None
    ) -> list[Fold]:
        """Return one pair of rows that train and calibrate, or a partition in folds."""
        units = records.units
        n_units = len(np.unique(units))
        if n_units < 4:
            raise ValueError(
                f"records has {n_units} questions; at least 4 are needed, because splits keep "
                f"questions whole"
            )
        if self.cv is None:
            n_held = max(1, round(self.calibration_fraction * len(units)))
            return [draw_held_out(np.arange(len(units)), n_held, rng, units)]
        cv = self.cv
        if kept is not None and isinstance(cv, Iterable) and not hasattr(cv, "split"):
            place = np.cumsum(kept) - 1
            cv = [tuple(place[r[kept[r]]] for r in map(np.asarray, pair)) for pair in cv]
        folds = folds_of(
            cv,
            np.zeros((len(units), 1)),
            labels,
            classifier=False,
            split={"groups": units} if is_integer(cv) or hasattr(cv, "split") else None,
            partition=False,
        )
        for train, held in folds:
            shared = np.intersect1d(units[train], units[held])
            if len(shared):
                row = int(train[np.argmax(units[train] == shared[0])])
                other = int(held[np.argmax(units[held] == shared[0])])
                raise ValueError(
                    f"cv puts {len(shared)} questions on both sides of a split (rows {row} and "
                    f"{other} hold the same one): their difficulty would be known. Split by "
                    f"question, for example with GroupKFold, or pass an integer"
                )
        if len(folds) > 1:
            fold_of_rows(folds, len(units))
        return folds

    def _fit_parts(
        self,
        records: Records,
        labels: IntArray,
        weight: Float64Array,
        folds: list[Fold] | None,
    ) -> None:
        """Fit all parts on some records; with folds their calibrator too."""
        table = FeatureTable(self._fields, self.embed, self.max_characters)
        self._table = table.fit(records, labels.astype(np.float64), weight)
        features = table.transform(records)
        n_names = [len(names) for names in table.names]
        n_models = len(table.models) if len(table.models) > 1 else 0
        history = None
        self._history = None
        if self.history_neighbors:
            self._history = History(self.history_neighbors)
            self._history.fit(
                features.vectors[0],
                records.units,
                features.models,
                labels.astype(np.float64),
                weight,
                table.model_rates,
                table.rate,
            )
            history = self._history.transform(features.vectors[0], features.models, records.units)
        self._linear = None
        text = None
        if self._fields.text or self.classifier == "linear":
            self._linear = LinearScores(n_names, n_models, own=self.classifier != "linear")
            inner = folds
            if inner is None:
                number = min(N_FOLDS, len(np.unique(records.units)))
                inner = folds_of(
                    number,
                    np.zeros((len(labels), 1)),
                    labels,
                    classifier=False,
                    split={"groups": records.units},
                    partition=True,
                )
            read = self._with_history(features, history)
            text = self._linear.out_of_fold(read, labels, weight, inner)
            self._linear.fit(read, labels, weight)
        evidence = Evidence(features, text, history)
        crowd = len(labels) / len(np.unique(records.units))
        self._known = Judge(self.classifier, n_names, n_models, crowd, self._seed)
        self._known.fit(evidence, labels, weight)
        if folds is not None:
            out = self._known.out_of_fold(evidence, labels, weight, folds)
            self._known.calibration = calibrated(
                self.calibrator, out, labels, weight, "the records"
            )
        self._nameless = (
            self._fit_nameless(evidence, labels, weight, records.units) if n_models else self._known
        )

    def _fit_nameless(
        self, evidence: Evidence, labels: IntArray, weight: Float64Array, units: IntArray
    ) -> Judge:
        """Return the judge of new models, calibrated on models and questions new to it."""
        judge = replace(self._known, n_models=0, calibration=LogOddsMap())
        judge.fit(evidence, labels, weight)
        models = evidence.features.models
        number = min(N_MODEL_FOLDS, int(models.max()) + 1)
        by_model = np.where(models >= 0, models % number, -1)
        by_question = np.unique(units, return_inverse=True)[1] % number
        folds = []
        for k in range(number):
            train = np.flatnonzero((by_model != k) & (by_question != k))
            held = np.flatnonzero((by_model == k) & (by_question == k))
            if len(held) and 0 < labels[train].sum() < len(train):
                folds.append((train, held))
        out = judge.out_of_fold(evidence, labels, weight, folds)
        there = np.isfinite(out)
        judge.calibration = ranked(self.calibrator, out[there], labels[there], weight[there])
        log_odds = log_odds_of(judge.calibration(out[there]))
        self.shift_spread_ = spread_of_shifts(log_odds, labels[there], weight[there], models[there])
        return judge

    def _with_history(self, features: Features, history: Float64Array | None) -> Features:
        """Return features whose plain columns hold the history too."""
        if history is None:
            return features
        plain = np.hstack([features.plain, history])
        return Features(features.vectors, plain, features.codes, features.models)

    def _evidence(self, records: Records) -> Evidence:
        features = self._table.transform(records)
        history = None
        if self._history is not None:
            history = self._history.transform(features.vectors[0], features.models)
        text = None
        if self._linear is not None:
            text = self._linear.scores(self._with_history(features, history))
        return Evidence(features, text, history)

    def _judged(self, records: Records) -> Float64Array:
        """Return the probability that each answer is right, and warn of new models."""
        self._note_unseen(records)
        proba = self._base_proba(records)
        return proba if self._recalibration is None else self._recalibration(log_odds_of(proba))

    def _base_proba(self, records: Records) -> Float64Array:
        """Return the probabilities of the fit, before any recalibration."""
        evidence = self._evidence(records)
        if self._known is self._nameless:
            return self._known.proba(evidence)
        out = np.empty(len(records))
        known = evidence.features.models >= 0
        for judge, chosen in ((self._known, known), (self._nameless, ~known)):
            rows = np.flatnonzero(chosen)
            if len(rows):
                out[rows] = judge.proba(evidence.take(rows))
        return out

    def _note_unseen(self, records: Records) -> None:
        """Remember and warn of models that the fit has not seen."""
        if records.models is None:
            return
        names = list(dict.fromkeys(records.models))
        new = [name for name in names if name not in self._met_models]
        if not new:
            return
        self.unseen_models_ += [name for name in new if name not in self.unseen_models_]
        n_rows = sum(name in set(new) for name in records.models)
        shown = ", ".join(repr(name) for name in new[:N_LISTED])
        more = f" and {len(new) - N_LISTED} more" if len(new) > N_LISTED else ""
        warn(
            f"{n_rows} of {len(records)} answers are by models that were not there at fit: {shown}"
            f"{more}. They are judged without the name, and one much better or worse than those of "
            f"the fit is judged wrongly; grade a few hundred answers and call recalibrate",
            UnseenModelWarning,
        )


def _check_column(name: str, column: object) -> None:
    if not isinstance(column, str) or not column:
        raise ValueError(f"{name} must name columns by texts; got {describe(column)}")


def _length(correct: ArrayLike) -> int:
    return len(correct) if hasattr(correct, "__len__") else 0


def _checked_labels(correct: ArrayLike, kept: LabelArray | None) -> IntArray:
    """Return 0 and 1 of the rows that are there."""
    labels = check_vector(correct, "correct", kept)
    seen = labels if kept is None else labels[kept]
    wrong = [value for value in np.unique(seen).tolist() if value not in (0, 1)]
    if wrong:
        raise ValueError(
            f"correct must hold 1 (right) and 0 (wrong); got {describe(wrong[0])}. Grade answers "
            f"by comparing them with the solution before"
        )
    out = np.zeros(len(labels), dtype=np.intp)
    rows = slice(None) if kept is None else kept
    out[rows] = seen.astype(np.intp)
    return out


def _check_two_kinds(labels: IntArray, what: str) -> None:
    if (labels == labels[0]).all():
        raise ValueError(
            f"{what} holds {len(labels)} answers that are all "
            f"{'right' if labels[0] else 'wrong'}; pass some of both kinds"
        )
