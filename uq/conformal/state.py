"""What a fitted conformal classifier knows, and how it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from calib._border.checks import check_integer, check_option, describe, is_integer, is_number
from calib._border.random import generator
from calib._border.sklearn_compat import take_rows
from calib._border.typing import ArrayLike, Float64Array, IntArray, LabelArray
from calib._core.estimators.out_of_fold import fit_on_rows, fold_of_rows, is_frozen, split_rows
from calib._core.estimators.responses import (
    check_probability_model,
    class_probabilities,
    classes_of_models,
)
from calib._core.estimators.wrapper import ClassifierData, fit_folds
from uq.conformal.calibrated_scores import CalibratedScores
from uq.conformal.categories import codes_of_known, read_categories, read_ratios
from uq.conformal.nonconformity import CONFORMITY_SCORES, NewScores, true_class_scores
from uq.conformal.quantiles import scaled_calibration_ratio, scaled_test_ratio
from uq.mapie import mapie_can, mapie_sets

OPTIONS = {
    "method": ("split", "cross"),
    "conformity_score": CONFORMITY_SCORES,
    "backend": ("native", "mapie"),
    "aggregation": ("cv_plus", "mean"),
    "allow_empty": (True, False),
    "randomize": (True, False),
    "small": ("infinite", "raise"),
}


def check_set_options(params: dict[str, Any]) -> None:
    """Raise for unknown options and for options that exclude each other."""
    for name, allowed in OPTIONS.items():
        check_option(name, params[name], allowed)
    check_integer("raps_rank", params["raps_rank"], low=1)
    check_integer("pool_below", params["pool_below"], low=0)
    weight = params["raps_weight"]
    if not is_number(weight) or not 0 <= weight < np.inf:
        raise ValueError(f"raps_weight must be a finite number >= 0; got {describe(weight)}")
    if not callable(params["mondrian"]):
        check_option("mondrian", params["mondrian"], (None, "label", "cluster"))
    if params["likelihood_ratio"] is not None and not callable(params["likelihood_ratio"]):
        raise ValueError(
            f"likelihood_ratio must be a function of X or None; pass arrays to fit and the "
            f"predictions; got {describe(params['likelihood_ratio'])}"
        )
    if params["backend"] == "mapie":
        _check_mapie(params)


def seed_of(random_state: Any) -> int:
    """Return an integer seed: `random_state` itself, or a number drawn from it."""
    if is_integer(random_state):
        check_random_state(random_state)
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))


def _check_mapie(params: dict[str, Any]) -> None:
    if params["mondrian"] is not None or params["likelihood_ratio"] is not None:
        raise ValueError(
            "backend='mapie' has neither categories nor weights; use backend='native' with "
            "mondrian and likelihood_ratio"
        )
    if params["method"] == "cross" and params["conformity_score"] not in ("lac", "aps"):
        raise ValueError(
            f"backend='mapie' has method='cross' for 'lac' and 'aps' only; use backend='native' "
            f"for {params['conformity_score']!r}"
        )
    folds_compared = params["method"] == "cross" and params["aggregation"] == "cv_plus"
    if folds_compared and params["conformity_score"] == "aps" and not params["randomize"]:
        raise ValueError(
            "backend='mapie' with 'aps' and aggregation='cv_plus' covers less than the level "
            "unless sets are randomised; pass randomize=True or backend='native'"
        )


@dataclass(frozen=True)
class HeldOut:
    """Models, and the probabilities they give to samples they were not trained on.

    Attributes
    ----------
    models : list of estimator
        One, or one per fold.
    classes : ndarray of shape (n_classes,)
        Class of each column.
    rows : ndarray of shape (n_calibration,)
        Rows of the data passed to `fit`, ascending.
    proba : ndarray of shape (n_calibration, n_classes)
        Their probabilities.
    fold : ndarray of shape (n_calibration,)
        Position in `models` of the model that gave them.
    """

    models: list[Any]
    classes: LabelArray
    rows: IntArray
    proba: Float64Array
    fold: IntArray


def held_out(wrapper: Any, data: ClassifierData, seed: int) -> HeldOut:
    """Train as the options of a ConformalClassifier say, and score the samples left out."""
    if is_frozen(wrapper.estimator):
        check_probability_model(wrapper.estimator, data.X)
        proba = class_probabilities(wrapper.estimator, data.X, data.classes)
        rows = np.arange(len(proba))
        return HeldOut([wrapper.estimator], data.classes, rows, proba, np.zeros_like(rows))
    return _split(wrapper, data, seed) if wrapper.method == "split" else _cross(wrapper, data)


def _split(wrapper: Any, data: ClassifierData, seed: int) -> HeldOut:
    """Train on a random part, calibrate on the rest."""
    size, parameters = wrapper.calibration_size, data.parameters
    train, rows = split_rows(len(data.y), size, seed, groups=parameters.groups)
    if len(np.unique(data.y[train])) < 2:
        raise ValueError(
            f"the training part ({len(train)} of {len(data.y)} samples) has one class; a "
            f"classifier needs two. Pass more samples, or a trained model as FrozenEstimator(model)"
        )
    model = fit_on_rows(wrapper.estimator, data.X, data.y, train, parameters)
    check_probability_model(model, data.X)
    classes = classes_of_models([model], data.classes)
    proba = class_probabilities(model, take_rows(data.X, rows), classes)
    return HeldOut([model], classes, rows, proba, np.zeros_like(rows))


def _cross(wrapper: Any, data: ClassifierData) -> HeldOut:
    """Train without each fold in turn and score the fold."""
    folds, models = fit_folds(wrapper, data, partition=True)
    check_probability_model(models[0], data.X)
    classes = classes_of_models(models, data.classes)
    proba = np.empty((len(data.y), len(classes)))
    for model, (_, test) in zip(models, folds, strict=True):
        proba[test] = class_probabilities(model, take_rows(data.X, test), classes)
    rows = np.arange(len(data.y))
    return HeldOut(models, classes, rows, proba, fold_of_rows(folds, len(rows)))


@dataclass(frozen=True)
class ConformalState:
    """Models, calibration scores and options of a fitted conformal classifier.

    Attributes
    ----------
    params : dict
        Constructor arguments.
    classes : ndarray of shape (n_classes,)
    held : HeldOut
        Models and the held-out probabilities that calibrate.
    codes : ndarray of shape (n_calibration,)
        Class of each calibration sample.
    seed : int
        Source of everything random.
    scores : ndarray of shape (n_calibration,)
        Nonconformity of the true labels.
    calibrated : CalibratedScores
    category_of : callable or None
        Category of each row of `X`.
    ratio_of : callable or None
        Likelihood ratio of each row of `X`.
    ratio_scale : float or None
        What ratios are divided by; None without weights.
    """

    params: dict[str, Any]
    classes: LabelArray
    held: HeldOut
    codes: IntArray
    seed: int
    scores: Float64Array
    calibrated: CalibratedScores
    category_of: Callable[[Any], ArrayLike] | None
    ratio_of: Callable[[Any], ArrayLike] | None
    ratio_scale: float | None

    @classmethod
    def calibrate(
        cls,
        params: dict[str, Any],
        classes: LabelArray,
        held: HeldOut,
        X: Any,
        codes: IntArray,
        categories: ArrayLike,
        ratio: ArrayLike,
        seed: int,
    ) -> ConformalState:
        """Compute and sort calibration scores; the arrays belong to all rows of X."""
        mondrian, ratio_of = params["mondrian"], params["likelihood_ratio"]
        category_of = mondrian if callable(mondrian) else None
        if params["backend"] == "mapie" and (categories is not None or ratio is not None):
            raise ValueError("backend='mapie' takes neither categories nor likelihood_ratio")
        names = read_categories(category_of, categories, X, len(codes))
        names = None if names is None else names[held.rows]
        ratios = read_ratios(ratio_of, ratio, X, len(codes))
        weight = scale = None
        if ratios is not None:
            weight, scale = scaled_calibration_ratio(ratios[held.rows], None, "likelihood_ratio")
        codes = codes[held.rows]
        uniform = check_random_state(seed).uniform(size=len(codes))
        scores = true_class_scores(
            held.proba, codes, params["conformity_score"], uniform=uniform, **_raps(params)
        )
        several = params["aggregation"] == "cv_plus" and len(held.models) > 1
        calibrated = CalibratedScores.build(
            params,
            classes,
            scores,
            codes,
            fold=held.fold if several else np.zeros_like(held.fold),
            n_folds=len(held.models) if several else 1,
            names=names,
            weight=weight,
            seed=seed,
        )
        return cls(
            params, classes, held, codes, seed, scores, calibrated, category_of, ratio_of, scale
        )

    # ------------------------------------------------------------------ answers

    def probabilities(self, X: Any) -> list[Float64Array]:
        """Return the probabilities of every model."""
        return [class_probabilities(model, X, self.classes) for model in self.held.models]

    def sets(
        self, X: Any, levels: list[float], categories: ArrayLike, ratio: ArrayLike
    ) -> LabelArray:
        """Return prediction sets, shape (n_samples, n_classes, n_levels)."""
        probas = self.probabilities(X)
        codes, ratios = self._categories(X, len(probas[0]), categories, ratio)
        if self.params["backend"] == "native":
            out = self.calibrated.sets(self.new_scores(probas), codes, ratios, levels)
        else:
            out = self._sets_of_mapie(probas, levels)
        if not self.params["allow_empty"]:
            row, level = np.nonzero(~out.any(axis=1))
            best = np.mean([proba[row] for proba in probas], axis=0).argmax(axis=1)
            out[row, best, level] = True
        return out

    def p_values(
        self, X: Any, smoothed: bool, categories: ArrayLike, ratio: ArrayLike
    ) -> Float64Array:
        """Return p-values, shape (n_samples, n_classes)."""
        probas = self.probabilities(X)
        codes, ratios = self._categories(X, len(probas[0]), categories, ratio)
        shares = generator(self.seed + 1).random(len(probas[0])) if smoothed else None
        return self.calibrated.p_values(self.new_scores(probas), codes, ratios, shares)

    def new_scores(self, probas: list[Float64Array]) -> NewScores:
        """Return the scores of all labels, given the probabilities of every model."""
        uniform = generator(self.seed).random(len(probas[0])) if self.params["randomize"] else None
        averaged = self.params["aggregation"] == "mean"
        kind = self.params["conformity_score"]
        return NewScores(probas, averaged, kind, uniform, **_raps(self.params))

    # ------------------------------------------------------------------ private parts

    def _categories(
        self, X: Any, n_samples: int, categories: ArrayLike, ratio: ArrayLike
    ) -> tuple[IntArray | None, Float64Array | None]:
        """Return the category and the scaled likelihood ratio of each new sample."""
        names = read_categories(self.category_of, categories, X, n_samples)
        known = self.calibrated.row_categories
        if (names is None) != (known is None):
            told = "without categories"
            if known is not None:
                told = "with categories; pass them here as well"
            raise ValueError(f"this classifier was fitted {told}")
        codes = None
        if names is not None and known is not None:
            codes = codes_of_known(names, known, "categories")
        ratios = read_ratios(self.ratio_of, ratio, X, n_samples)
        if (ratios is None) != (self.ratio_scale is None):
            with_or = "without" if self.ratio_scale is None else "with"
            raise ValueError(
                f"this classifier was fitted {with_or} likelihood_ratio, on which both fit and "
                f"prediction have to agree"
            )
        if self.ratio_scale is None:
            return codes, None
        return codes, scaled_test_ratio(ratios, n_samples, self.ratio_scale, "likelihood_ratio")

    def _sets_of_mapie(self, probas: list[Float64Array], levels: list[float]) -> LabelArray:
        """Ask MAPIE, and the own code for levels that MAPIE refuses."""
        kind, n_samples = self.params["conformity_score"], len(self.codes)
        able = np.array([mapie_can(n_samples, self.codes, kind, level) for level in levels])
        out = np.empty((*probas[0].shape, len(levels)), dtype=bool)
        if able.any():
            out[:, :, able] = mapie_sets(
                self.held.proba,
                self.codes,
                self.held.fold,
                probas,
                kind,
                np.array(levels)[able].tolist(),
                aggregation=self.params["aggregation"],
                randomize=self.params["randomize"],
                seed=self.seed,
            )
        if not able.all():
            refused = np.array(levels)[~able].tolist()
            out[:, :, ~able] = self.calibrated.sets(self.new_scores(probas), None, None, refused)
        return out


def _raps(params: dict[str, Any]) -> dict[str, Any]:
    return {"rank": params["raps_rank"], "weight": params["raps_weight"]}
