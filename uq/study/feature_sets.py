"""Sets of features that a study compares, and the filter of features that say the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from scipy.stats import rankdata
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from calib._border.checks import check_fraction, describe, is_integer
from calib._border.columns import column_names
from calib._border.sklearn_compat import take_features
from calib._border.typing import ArrayLike, Float64Array, LabelArray
from calib._border.words import did_you_mean

#: Beginning of the name of a set that is added to the one before.
ADDED = "+"
#: Features: names of columns of a table, or positions.
FeatureSets = Mapping[str, Sequence[str | int]]


def read_feature_sets(feature_sets: FeatureSets | None, X: Any) -> dict[str, list[int]]:
    """Return the positions of the columns of every set; a set that is added holds those before it.

    Raises
    ------
    ValueError
        For no sets, names that are no texts, unknown or repeated columns, and a first set that is
        added to nothing.
    """
    if feature_sets is None:
        return {}
    if not isinstance(feature_sets, Mapping) or not feature_sets:
        raise ValueError(
            f"feature_sets must be a mapping of names to columns, or None; got "
            f"{describe(feature_sets)}"
        )
    names, n_features = column_names(X), int(np.shape(X)[1])
    found: dict[str, list[int]] = {}
    before: list[int] = []
    for name, columns in feature_sets.items():
        if not isinstance(name, str) or not name.strip():
            raise ValueError(f"feature_sets must have texts as names; got {describe(name)}")
        if isinstance(columns, str) or not isinstance(columns, (Sequence, np.ndarray)):
            raise ValueError(
                f"feature_sets[{name!r}] must be a list of columns; got {describe(columns)}"
            )
        own = [_position(name, column, names, n_features) for column in columns]
        if len(set(own)) < len(own):
            twice = next(column for column in own if own.count(column) > 1)
            raise ValueError(
                f"feature_sets[{name!r}] has a column twice: "
                f"{describe(twice if names is None else names[twice])}; name it once"
            )
        if name.startswith(ADDED):
            if not found:
                raise ValueError(
                    f"feature_sets[{name!r}] comes first, so there is nothing that its columns are "
                    f"added to; put the set to begin with before it, or leave out the {ADDED}"
                )
            own = before + [column for column in own if column not in before]
        if not own:
            raise ValueError(f"feature_sets[{name!r}] has no columns; name at least one")
        found[name] = before = own
    return found


def _position(name: str, column: object, names: list[str] | None, n_features: int) -> int:
    """Return the position of a column that a set names."""
    if is_integer(column):
        if not 0 <= column < n_features:
            raise ValueError(
                f"feature_sets[{name!r}] has column {column}, but X has the columns 0 to "
                f"{n_features - 1}"
            )
        return int(column)
    if names is None:
        raise ValueError(
            f"feature_sets[{name!r}] has {describe(column)}, but the columns of X have no names; "
            f"pass positions, or X as a table"
        )
    if column not in names:
        raise ValueError(
            f"feature_sets[{name!r}] has {describe(column)}, which is no column of X"
            f"{did_you_mean(column, names)}"
        )
    return names.index(str(column))


class SpearmanFilter(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Leaves out features that rank the rows as a better one does.

    Features are taken in the order of their rank correlation with `y`, the strongest first. Each is
    kept unless its rank correlation with one that is kept already exceeds the limit. Tables of
    radiomic features hold dozens of near copies; what remains after this filter tells more about
    itself, and models on few rows are steadier.

    The filter reads `y`, so it belongs inside cross-validation: as the first step of a pipeline, or
    by ``leave_one_out_study(..., correlation_limit=0.8)``.

    Parameters
    ----------
    limit : float in (0, 1), default=0.8
        Largest absolute rank correlation between two features that are both kept.

    Attributes
    ----------
    kept_ : ndarray of int, shape (n_kept,)
        Positions of the kept features, in the order of the table.
    association_ : ndarray of shape (n_features,)
        Absolute rank correlation of every feature with `y`; 0 for constant ones, which stay only
        where all are constant.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        For tables alone.

    Raises
    ------
    ValueError
        For a limit outside (0, 1), columns that are not numeric, or inf.

    Notes
    -----
    Missing values take the middle rank of their column. Ties of the association go to the column
    that comes first. Costs ``n_features**2 n_samples``.

    References
    ----------
    C. Spearman, "The Proof and Measurement of Association between Two Things", American Journal of
    Psychology 15, 1904, doi 10.2307/1412159.

    Examples
    --------
    >>> import numpy as np
    >>> from uq import SpearmanFilter
    >>> X = np.array([[1, 2, 5], [2, 4, 1], [3, 7, 4], [4, 9, 2], [5, 11, 3]])
    >>> SpearmanFilter(limit=0.9).fit(X, [0, 0, 1, 0, 1]).kept_.tolist()
    [0, 2]
    """

    def __init__(self, limit: float = 0.8) -> None:
        self.limit = limit

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Choose the features.

        Parameters
        ----------
        X : array-like or table of shape (n_samples, n_features)
            Numeric; NaN for missing values.
        y : array-like of shape (n_samples,)
            Classes in sorted order, or numbers.

        Returns
        -------
        self : SpearmanFilter
        """
        limit = check_fraction("limit", self.limit)
        options = {"dtype": np.float64, "ensure_all_finite": "allow-nan", "ensure_min_samples": 2}
        values, labels = validate_data(self, X, y, **options)
        codes = np.unique(labels, return_inverse=True)[1].astype(np.float64)
        ranks = _unit(np.column_stack([_ranks(values), rankdata(codes)]))
        features = ranks[:, :-1]
        self.association_ = np.abs(features.T @ ranks[:, -1])
        likeness = np.abs(features.T @ features)
        kept: list[int] = []
        for feature in np.argsort(-self.association_.round(12), kind="stable").tolist():
            varies = likeness[feature, feature] > 0.5
            if (varies or not kept) and (likeness[feature, kept] <= limit).all():
                kept.append(feature)
        self.kept_ = np.sort(np.array(kept, dtype=np.intp))
        return self

    def transform(self, X: ArrayLike) -> Any:
        """Return the kept features, in the kind of table that is given.

        Parameters
        ----------
        X : array-like or table of shape (n_samples, n_features)

        Returns
        -------
        X : array or table of shape (n_samples, n_kept)
        """
        check_is_fitted(self)
        values = validate_data(self, X, reset=False, dtype=None, ensure_all_finite="allow-nan")
        return take_features(X if hasattr(X, "columns") else values, self.kept_)

    def get_feature_names_out(self, input_features: ArrayLike = None) -> LabelArray:
        """Return the names of the kept features, ``x0``, ``x1``, ... where they have none.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of all features; None takes those of `fit`.

        Returns
        -------
        names : ndarray of str, shape (n_kept,)
        """
        check_is_fitted(self)
        names = input_features
        if names is None:
            numbered = [f"x{number}" for number in range(self.n_features_in_)]
            names = getattr(self, "feature_names_in_", numbered)
        return np.asarray(names, dtype=object)[self.kept_]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.target_tags.required = True
        return tags


def _ranks(values: Float64Array) -> Float64Array:
    """Return the ranks of every column; missing values take the middle one."""
    gaps = np.isnan(values)
    if not gaps.any():
        return np.asarray(rankdata(values, axis=0), dtype=np.float64)
    ranks = np.asarray(rankdata(values, axis=0, nan_policy="omit"), dtype=np.float64)
    middle = (1 + (~gaps).sum(axis=0)) / 2
    return np.where(gaps, middle, ranks)


def _unit(ranks: Float64Array) -> Float64Array:
    """Return columns of mean 0 and length 1; constant ones become 0."""
    centred = ranks - ranks.mean(axis=0)
    length = np.sqrt((centred**2).sum(axis=0))
    return np.asarray(np.divide(centred, length, out=np.zeros_like(centred), where=length > 1e-9))
