"""What a correctness model reads of records: vectors of texts, plain columns, agreement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

import numpy as np
from scipy import sparse

from calib._border.arrays import to_numpy
from calib._border.checks import describe
from calib._border.typing import ArrayLike, Float64Array, IntArray
from calib._border.validation import check_matrix
from uq.correctness.model.records import Fields, Records

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import TfidfVectorizer

Embed: TypeAlias = Literal["tfidf"] | Callable[[list[str]], ArrayLike]
#: Dense, or sparse of one row a text.
Matrix: TypeAlias = Any
#: Terms of each text column at most.
MOST_TERMS = 60_000
#: Texts from which on a term has to stand in two of them.
COMMON_FROM = 100
#: Names of a column that are told apart at most, as many as the trees take.
MOST_NAMES = 254
#: Standard deviations beyond which a number of the linear score is cut.
FARTHEST = 5.0
#: Rows of zero weight that a model's rate of right answers is drawn to the mean of all by.
PRIOR_ROWS = 10.0
AGREEMENT = ("agreement", "weighted_agreement", "agreement_lead", "n_other_answers")


# -------------------------------------------------------------------------------------------- texts


def shortened(text: str, most: int) -> str:
    """Return a text, of a long one its beginning and its end."""
    if len(text) <= most:
        return text
    return f"{text[: most - most // 2]} {text[len(text) - most // 2 :]}"


def new_vectorizer(least: int) -> TfidfVectorizer:
    """Return an unfitted vectorizer of terms that stand in so many texts at least."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(
        ngram_range=(1, 2),
        min_df=least,
        max_features=MOST_TERMS,
        sublinear_tf=True,
        token_pattern=r"(?u)\b\w+\b",
        dtype=np.float32,
    )


class TextVectors:
    """Vectors of one column of texts; equal texts are read once.

    Parameters
    ----------
    embed : {"tfidf"} or callable
    max_characters : int
        Longest text that is read whole.
    name : str
        Of the column, for errors.
    """

    def __init__(self, embed: Embed, max_characters: int, name: str) -> None:
        self.embed = embed
        self.max_characters = max_characters
        self.name = name
        self.vectorizer: TfidfVectorizer | None = None
        self.n_dimensions = 0

    def __getstate__(self) -> dict[str, Any]:
        """Return what files hold: terms as one text, in place of an object for each."""
        state = dict(self.__dict__)
        if self.vectorizer is not None:
            places = self.vectorizer.vocabulary_
            terms = sorted(places, key=places.__getitem__)
            state["vectorizer"] = ["\n".join(terms), self.vectorizer.idf_]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self.vectorizer is not None:
            terms, weights = state["vectorizer"]
            self.vectorizer = new_vectorizer(1)
            self.vectorizer.vocabulary_ = {term: k for k, term in enumerate(terms.split("\n"))}
            self.vectorizer.idf_ = weights

    def fit(self, texts: list[str]) -> Self:
        """Learn the vocabulary."""
        if self.embed != "tfidf":
            return self
        distinct = [shortened(text, self.max_characters) for text in dict.fromkeys(texts)]
        for least in (2, 1) if len(distinct) >= COMMON_FROM else (1,):
            vectorizer = new_vectorizer(least)
            try:
                self.vectorizer = vectorizer.fit(distinct)
            except ValueError:  # no term at all, or none that is common
                continue
            self.n_dimensions = len(vectorizer.vocabulary_)
            break
        return self

    def transform(self, texts: list[str]) -> Matrix:
        """Return one row per text."""
        places: dict[str, int] = {}
        code = [places.setdefault(text, len(places)) for text in texts]
        distinct = [shortened(text, self.max_characters) for text in places]
        if self.embed == "tfidf":
            if self.vectorizer is None:
                return sparse.csr_matrix((len(texts), 0), dtype=np.float32)
            return self.vectorizer.transform(distinct)[code]
        vectors = to_numpy(check_matrix(self.embed(distinct), "embed(texts)"))
        if vectors.shape[0] != len(distinct):
            raise ValueError(
                f"embed must return one row per text; got {vectors.shape[0]} for {len(distinct)} "
                f"texts of {self.name!r}"
            )
        if self.n_dimensions not in (0, vectors.shape[1]):
            raise ValueError(
                f"embed returned {vectors.shape[1]} dimensions for {self.name!r}, and "
                f"{self.n_dimensions} before; pass a function that always answers alike"
            )
        self.n_dimensions = vectors.shape[1]
        return vectors.astype(np.float32)[code]


def side_by_side(blocks: Sequence[Matrix]) -> Matrix:
    """Return matrices side by side: sparse if one of them is."""
    if any(sparse.issparse(block) for block in blocks):
        return sparse.hstack([sparse.csr_matrix(block) for block in blocks], format="csr")
    return np.hstack(blocks)


# ------------------------------------------------------------------------------------------ columns


@dataclass(frozen=True, eq=False)
class Features:
    """Everything that is known of n answers.

    Attributes
    ----------
    vectors : list of matrix
        Vectors of each text column.
    plain : ndarray of shape (n, n_plain)
        Numbers; nan where missing.
    codes : ndarray of int, shape (n, n_categorical)
        Number of each name, -1 where it is unknown or missing.
    models : ndarray of int, shape (n,)
        Number of the model, -1 where it is unknown, missing or not told.
    """

    vectors: list[Matrix]
    plain: Float64Array
    codes: IntArray
    models: IntArray

    def __len__(self) -> int:
        """Return the number of answers."""
        return len(self.plain)

    def take(self, rows: IntArray) -> Features:
        """Return those of some answers."""
        vectors = [vectors[rows] for vectors in self.vectors]
        return Features(vectors, self.plain[rows], self.codes[rows], self.models[rows])


class FeatureTable:
    """Turns records into features, with what it learned of those of the fit.

    Parameters
    ----------
    fields : Fields
    embed : {"tfidf"} or callable
    max_characters : int
    """

    def __init__(self, fields: Fields, embed: Embed, max_characters: int) -> None:
        self.fields = fields
        self.texts = [TextVectors(embed, max_characters, name) for name in fields.text]

    def fit(self, records: Records, correct: Float64Array, weight: Float64Array) -> Self:
        """Learn vocabularies, names and the rate of right answers of every model."""
        for vectors, texts in zip(self.texts, records.texts, strict=True):
            vectors.fit(texts)
        self.names = [_frequent(values) for values in records.categories]
        self.models = [] if records.models is None else _frequent(records.models, None)
        codes = self.model_codes(records)
        known = codes >= 0
        self.rate = float(np.average(correct, weights=weight))
        right, total = (
            np.bincount(codes[known], values[known], minlength=len(self.models))
            for values in (weight * correct, weight)
        )
        self.model_rates = (right + PRIOR_ROWS * self.rate) / (total + PRIOR_ROWS)
        return self

    def model_codes(self, records: Records) -> IntArray:
        """Return the number of every answer's model, -1 where it is unknown."""
        if records.models is None:
            return np.full(len(records), -1, dtype=np.intp)
        return _coded(records.models, self.models)

    def transform(self, records: Records) -> Features:
        """Return the features of records."""
        models = self.model_codes(records)
        columns = [records.numbers]
        for texts in records.texts:
            length = np.array([len(text) for text in texts], dtype=np.float64)
            empty = np.array([not text.strip() for text in texts], dtype=np.float64)
            columns.append(np.column_stack([np.log1p(length), empty]))
        if records.keys is not None:
            columns.append(np.array([[not key] for key in records.keys], dtype=np.float64))
            columns.append(agreement_columns(records, self._trust))
        codes = [
            _coded(values, names)
            for values, names in zip(records.categories, self.names, strict=True)
        ]
        return Features(
            [
                vectors.transform(texts)
                for vectors, texts in zip(self.texts, records.texts, strict=True)
            ],
            np.hstack(columns),
            np.column_stack(codes) if codes else np.empty((len(records), 0), dtype=np.intp),
            models,
        )

    def plain_names(self) -> list[str]:
        """Return the names of the plain columns."""
        fields = self.fields
        names = [*fields.confidence, *fields.numeric]
        for text in fields.text:
            names += [f"log_length({text})", f"is_empty({text})"]
        if fields.agreement is not None:
            names += [f"is_empty({fields.agreement})", *AGREEMENT]
        return names

    def _trust(self, records: Records) -> Float64Array:
        """Return how much an answer counts in the vote: the odds that its model is right."""
        models = self.model_codes(records)
        rates = np.append(self.model_rates, self.rate)[models]
        return np.asarray(rates / (1.0 - np.minimum(rates, 0.99)))


def _frequent(values: list[str], most: int | None = MOST_NAMES) -> list[str]:
    """Return the names of a column in sorted order; of too many the most frequent."""
    names, counts = np.unique([value for value in values if value], return_counts=True)
    if most is not None and len(names) > most:
        names = names[np.sort(np.argsort(-counts, kind="stable")[:most])]
    return [str(name) for name in names]


def _coded(values: list[str], names: list[str]) -> IntArray:
    place = {name: number for number, name in enumerate(names)}
    return np.array([place.get(value, -1) for value in values], dtype=np.intp)


# ---------------------------------------------------------------------------------------- agreement


def agreement_columns(records: Records, trust: Callable[[Records], Float64Array]) -> Float64Array:
    """Return how far the answers of other models to the same question agree with each answer.

    Parameters
    ----------
    records : Records
        With keys; those of the same batch count, and those `among` which it stands.
    trust : callable
        Function of records that returns the positive weight of every answer in the weighted vote.

    Returns
    -------
    columns : ndarray of shape (n, 4)
        Share of other models with the same key, the same with weights, the weighted lead over the
        key that most of the others have, and the logarithm of the number of other answers. The
        first three are nan without another answer; an answer without a key agrees with none.
    """
    n_asked, records = len(records), records if records.among is None else records.among
    vote_of = trust(records)
    keys = records.keys or []
    own = records.models if records.models is not None else list(map(str, range(len(records))))
    n_keys: dict[str, int] = {"": 0}
    key = np.array([n_keys.setdefault(k, len(n_keys)) for k in keys], dtype=np.int64)
    n_own: dict[str, int] = {}
    model = np.array([n_own.setdefault(m, len(n_own)) for m in own], dtype=np.int64)
    group = records.groups.astype(np.int64)
    answered = key > 0
    answer = np.unique(group * len(n_keys) + key, return_inverse=True)[1]
    columns = np.full((len(group), len(AGREEMENT)), np.nan)
    for place, vote in ((0, np.ones(len(group))), (1, vote_of)):
        everyone = _sum_by(group, vote)
        itself = _sum_by(_pairs(group, model), vote)
        alike = _sum_by(answer, vote) - _sum_by(_pairs(answer, model), vote)
        others = everyone - itself
        alone = others <= 1e-9 * everyone
        share = np.divide(alike, others, out=np.full(len(group), np.nan), where=~alone)
        columns[:, place] = np.where(answered | alone, np.clip(share, 0.0, 1.0), 0.0)
        if place == 0:
            columns[:, 3] = np.log1p(np.where(alone, 0.0, others))
        else:
            rival = _strongest_other(group, answer, vote * answered)
            lead = columns[:, 1] - np.divide(rival, others, out=np.zeros(len(group)), where=~alone)
            columns[:, 2] = np.where(alone, np.nan, np.maximum(lead, -1.0))
    return columns[:n_asked]


def _pairs(first: IntArray, second: IntArray) -> IntArray:
    return np.asarray(first * (int(second.max()) + 1) + second)


def _sum_by(code: IntArray, values: Float64Array) -> Float64Array:
    """Return for every row the sum over the rows of its code."""
    number = np.unique(code, return_inverse=True)[1]
    return np.asarray(np.bincount(number, values)[number])


def _strongest_other(group: IntArray, answer: IntArray, vote: Float64Array) -> Float64Array:
    """Return for every row the votes of the strongest other answer to the same question."""
    votes = np.bincount(answer, vote)
    group_of = np.empty(len(votes), dtype=np.intp)
    group_of[answer] = group
    order = np.lexsort((-votes, group_of))
    first = np.ones(len(order), dtype=bool)
    first[1:] = group_of[order][1:] != group_of[order][:-1]
    starts = np.flatnonzero(first)
    best = np.zeros(int(group.max()) + 1)
    second, winner = np.zeros_like(best), np.full(len(best), -1)
    best[group_of[order[starts]]] = votes[order[starts]]
    winner[group_of[order[starts]]] = order[starts]
    behind = starts[(starts + 1 < len(order)) & ~np.append(first[1:], True)[starts]] + 1
    second[group_of[order[behind]]] = votes[order[behind]]
    return np.where(winner[group] == answer, second[group], best[group])


# ---------------------------------------------------------------------------------- numbers in rows


class Scaled:
    """Plain columns for a linear score: standardised, cut, with marks of what is missing."""

    def fit(self, plain: Float64Array, weight: Float64Array) -> Self:
        """Learn mean and spread of every column."""
        there = np.isfinite(plain)
        share = np.where(there, weight[:, None], 0.0)
        total = np.maximum(share.sum(axis=0), np.finfo(float).tiny)
        filled = np.where(there, plain, 0.0)
        self.mean = (share * filled).sum(axis=0) / total
        spread = np.sqrt((share * (filled - self.mean) ** 2).sum(axis=0) / total)
        self.spread = np.where(spread > 1e-9 * (1 + np.abs(self.mean)), spread, np.inf)
        self.marked = (~there).any(axis=0) & there.any(axis=0)
        return self

    def transform(self, plain: Float64Array) -> Float64Array:
        """Return the columns, each with its square, and the marks."""
        scaled = np.clip((plain - self.mean) / self.spread, -FARTHEST, FARTHEST)
        missing = np.isnan(scaled)
        scaled[missing] = 0.0
        squares = np.where(missing | ~np.isfinite(self.spread), 0.0, scaled**2 - 1.0) / 3.0
        return np.hstack([scaled, squares, missing[:, self.marked]])


def one_hot(codes: IntArray, n_names: int) -> Matrix:
    """Return indicators as a sparse matrix; rows of -1 are all zero."""
    rows = np.flatnonzero(codes >= 0)
    values = np.ones(len(rows), dtype=np.float32)
    return sparse.csr_matrix((values, (rows, codes[rows])), shape=(len(codes), n_names))


def check_embed(embed: object) -> None:
    """Raise unless texts can be turned into vectors by it."""
    if embed != "tfidf" and not callable(embed):
        raise ValueError(
            f"embed must be 'tfidf' or a function of a list of texts that returns one row per "
            f"text; got {describe(embed)}"
        )
