"""Held-out scores of a small table: an outer loop leaves rows out, an inner one scores the rest."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

import numpy as np
import sklearn
from sklearn.base import clone
from sklearn.model_selection import LeaveOneGroupOut, StratifiedGroupKFold, StratifiedKFold
from sklearn.utils.parallel import Parallel, delayed

from calib._border.files import atomic_write
from calib._border.sklearn_compat import is_search, take_rows
from calib._border.typing import Float64Array, InputKind, IntArray, LabelArray
from calib._core.estimators.responses import choose_response, columns_by_class, positive_score
from calib.progress import Progress
from uq.study.forests import grow_forest, grows_alike

Scheme: TypeAlias = Literal["pooled", "per_fold", "split"]
#: Changes whenever the same input would give other scores.
CACHE_VERSION = 1
#: Pieces into which the outer loop of a cell is cut, for workers.
PIECES = 12


@dataclass(frozen=True)
class Protocol:
    """How scores are held out.

    Attributes
    ----------
    scheme : {"pooled", "per_fold", "split"}
        Whether one calibrator serves all inner folds, each fold has its own, or the first fold
        alone calibrates.
    inner_folds : int
        Folds among the rows that are not left out.
    outer_folds : int or None
        Folds of the outer loop; None leaves out one row, or one group, at a time.
    n_repeats : int
        Repetitions with other seeds.
    random_state : int
        Seed of the first repetition; the next ones count up from it.
    correlation_limit : float or None
        Largest rank correlation of two features that a model reads; None reads all.
    tuned : tuple of str
        Models whose parameters are chosen inside every training part.
    """

    scheme: Scheme
    inner_folds: int
    outer_folds: int | None
    n_repeats: int
    random_state: int
    correlation_limit: float | None = None
    tuned: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class StudyTable:
    """The checked data of a study.

    Attributes
    ----------
    X : table or array of shape (n_samples, n_features)
        As it was given.
    codes : ndarray of shape (n_samples,)
        0 and 1.
    groups : ndarray of shape (n_samples,) or None
        Integer code of the group of each row.
    finite : bool
        Whether `X` is known to hold neither NaN nor inf.
    """

    X: Any
    codes: IntArray
    groups: IntArray | None
    finite: bool


@dataclass(frozen=True, eq=False)
class StudyCell:
    """All held-out scores of one model and one repetition.

    Attributes
    ----------
    kind : {"logits", "proba"}
        What the scores are: log-odds (or margins), or probabilities of the second class.
    split : ndarray of shape (n_samples,)
        Outer split in which each row is left out.
    fold : ndarray of shape (n_splits, n_samples)
        Per outer split, the inner fold that scored each row; -1 for rows that do not calibrate.
    calibration : ndarray of shape (n_splits, n_samples)
        Per outer split, the inner held-out score of each row; NaN where there is none.
    final : ndarray of shape (n_models, n_samples)
        Scores of left-out rows: one model trained on all others, or one per inner fold.
    """

    kind: InputKind
    split: IntArray
    fold: IntArray
    calibration: Float64Array
    final: Float64Array


def outer_splits(table: StudyTable, protocol: Protocol, repeat: int) -> IntArray:
    """Return the outer split that leaves each row out, numbered from 0."""
    n_samples, k = len(table.codes), protocol.outer_folds
    seed = protocol.random_state + repeat
    splitter: Any
    if k is None and table.groups is None:
        return np.arange(n_samples)
    if k is None:
        splitter = LeaveOneGroupOut()
    elif table.groups is None:
        splitter = StratifiedKFold(k, shuffle=True, random_state=seed)
    else:
        splitter = StratifiedGroupKFold(k, shuffle=True, random_state=seed)
    split = np.empty(n_samples, dtype=np.intp)
    rows = np.zeros((n_samples, 1))
    for number, (_, test) in enumerate(splitter.split(rows, table.codes, table.groups)):
        split[test] = number
    return np.unique(split, return_inverse=True)[1].astype(np.intp)  # without empty ones


def inner_folds_of(table: StudyTable, train: IntArray, n_folds: int, seed: int) -> IntArray:
    """Return the inner fold of each training row.

    Raises
    ------
    ValueError
        If a fold leaves rows of one class only.
    """
    codes = table.codes[train]
    groups = None if table.groups is None else table.groups[train]
    kind: Any = StratifiedKFold if groups is None else StratifiedGroupKFold
    splitter = kind(n_folds, shuffle=True, random_state=seed)
    fold = np.empty(len(train), dtype=np.intp)
    for k, (rest, held) in enumerate(splitter.split(np.zeros((len(train), 1)), codes, groups)):
        fold[held] = k
        if np.ptp(codes[rest]) == 0:
            raise ValueError(
                f"inner_folds={n_folds} leaves training rows of one class only; pass fewer folds "
                f"or more groups of each class"
            )
    return fold


def seeded(estimator: Any, seed: int) -> Any:
    """Return a clone whose open seeds (``random_state=None`` at any depth) are set."""
    fresh = clone(estimator)
    open_seeds = {
        name: seed
        for name, value in fresh.get_params().items()
        if name.rpartition("__")[2] == "random_state" and value is None
    }
    return fresh.set_params(**open_seeds)


def check_model(
    name: str, estimator: Any, table: StudyTable, protocol: Protocol
) -> tuple[str, bool]:
    """Train a model once, so that what is wrong with it or with X shows before the long run.

    Returns
    -------
    response : {"decision_function", "predict_proba"}
    grown : bool
        Whether `grow_forest` trains the same model, in less time.

    Raises
    ------
    ValueError
        Under the name of the model, whatever it complained about.
    """
    train = np.flatnonzero(outer_splits(table, protocol, 0) != 0)
    try:
        model = seeded(estimator, protocol.random_state)
        inputs = take_rows(table.X, train)
        model.fit(inputs, table.codes[train], **groups_of(model, table, train))
        response = choose_response(model, inputs, "auto")
        return response, grows_alike(clone(model), model, inputs, table.codes[train])
    except (TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"models[{name!r}] cannot be trained on this table: {error}\nModels must be "
            f"classifiers that take X as it is; put encoding, imputation and scaling into a "
            f"pipeline."
        ) from error


def groups_of(model: Any, table: StudyTable, rows: IntArray) -> dict[str, Any]:
    """Return what `fit` takes beside X and y: the groups, where folds of a search need them."""
    if table.groups is None or not is_search(model):
        return {}
    return {"groups": table.groups[rows]}


#: What a file of the cache holds.
CELL_FIELDS = ("kind", "split", "fold", "calibration", "final")
#: Folds and calibration scores of all rows, and the scores of the rows left out.
SplitScores: TypeAlias = tuple[IntArray, Float64Array, Float64Array]


@dataclass(frozen=True, eq=False)
class StudyRun:
    """One model and one repetition, before its scores are known.

    Attributes
    ----------
    name : str
        Name of the model.
    estimator : estimator
    response : str
        Method of the model that gives scores.
    grown : bool
        Whether the model is a forest that `grow_forest` trains.
    table : StudyTable
    protocol : Protocol
    repeat : int
        Number of the repetition, from 0.
    """

    name: str
    estimator: Any
    response: str
    grown: bool
    table: StudyTable
    protocol: Protocol
    repeat: int

    @property
    def seed(self) -> int:
        """Seed of the repetition."""
        return self.protocol.random_state + self.repeat

    def split(self) -> IntArray:
        """Return the outer split that leaves each row out."""
        return outer_splits(self.table, self.protocol, self.repeat)

    def score(self, numbers: IntArray) -> list[SplitScores]:
        """Score some outer splits.

        Parameters of scikit-learn's estimators were checked once, so checking is switched off.
        """
        settings = {"skip_parameter_validation": True, "assume_finite": self.table.finite}
        split = self.split()
        with sklearn.config_context(**settings):
            return [self._score_split(split == number) for number in numbers]

    def _fitted(self, rows: IntArray) -> Any:
        model = seeded(self.estimator, self.seed)
        inputs, codes = take_rows(self.table.X, rows), self.table.codes[rows]
        if self.grown:
            return grow_forest(model, inputs, codes)
        return model.fit(inputs, codes, **groups_of(model, self.table, rows))

    def _scores(self, model: Any, rows: IntArray) -> Float64Array:
        inputs = take_rows(self.table.X, rows)
        answer = columns_by_class(model, inputs, self.response, np.arange(2))
        return positive_score(answer, logits=self.response == "decision_function")

    def _score_split(self, left_out: LabelArray) -> SplitScores:
        protocol, n_samples = self.protocol, len(left_out)
        train, test = np.flatnonzero(~left_out), np.flatnonzero(left_out)
        inner = inner_folds_of(self.table, train, protocol.inner_folds, self.seed)
        calibration, fold = np.full(n_samples, np.nan), np.full(n_samples, -1, dtype=np.intp)
        finals = []
        for k in range(protocol.inner_folds if protocol.scheme != "split" else 1):
            held = train[inner == k]
            model = self._fitted(train[inner != k])
            calibration[held], fold[held] = self._scores(model, held), k
            if protocol.scheme != "pooled":
                finals.append(self._scores(model, test))
        if protocol.scheme == "pooled":
            finals.append(self._scores(self._fitted(train), test))
        return fold, calibration, np.stack(finals)

    def cell(self, scores: list[SplitScores]) -> StudyCell:
        """Return the scores of all outer splits, in their order, as one record."""
        split = self.split()
        final = np.empty((len(scores[0][2]), len(split)))
        for number, (_, _, left_out) in enumerate(scores):
            final[:, split == number] = left_out
        fold = np.stack([folds for folds, _, _ in scores])
        calibration = np.stack([inner for _, inner, _ in scores])
        if not np.isfinite(final).all() or not np.isfinite(calibration[fold >= 0]).all():
            raise ValueError(f"models[{self.name!r}] gives scores that are NaN or inf")
        kind: InputKind = "logits" if self.response == "decision_function" else "proba"
        return StudyCell(kind, split, fold, calibration, final)

    def file_name(self, data: str) -> str:
        """Return a name that changes with anything the scores depend on; `data`: with the table."""
        protocol = self.protocol
        folds = (protocol.inner_folds, protocol.outer_folds)
        rules = (protocol.scheme, *folds, self.seed, self.response)
        versions = (CACHE_VERSION, sklearn.__version__, np.__version__)
        try:
            key = _fingerprint((data, clone(self.estimator), rules, versions))
        except Exception as error:  # whatever pickling it raises
            raise ValueError(
                f"cache: models[{self.name!r}] cannot be fingerprinted ({error}); define its "
                f"functions in a module, or pass cache=None"
            ) from error
        readable = re.sub(r"\W+", "_", self.name)[:40]
        return f"{readable}-seed{self.seed}-{key}.npz"


@dataclass(frozen=True, eq=False)
class Entrant:
    """A model of a study, and what it reads.

    Attributes
    ----------
    make : callable
        Returns the unfitted model, given ``seed=`` of the folds that choose its parameters.
    table : StudyTable
        With its features alone.
    """

    make: Callable[..., Any]
    table: StudyTable


def held_out_cells(
    entrants: Mapping[str, Entrant],
    protocol: Protocol,
    *,
    n_jobs: int | None,
    cache: str | os.PathLike[str] | None,
    verbose: bool | None,
) -> Iterator[tuple[str, StudyCell]]:
    """Yield the scores of every model and repetition, read from the cache where they are known.

    Raises
    ------
    ValueError
        If a model cannot be trained, gives scores that are not finite, or a file of the cache is
        damaged.
    """
    runs = [
        StudyRun(
            name,
            entrant.make(seed=protocol.random_state + repeat),
            *found,
            entrant.table,
            protocol,
            repeat,
        )
        for name, entrant in entrants.items()
        for found in [
            check_model(name, entrant.make(seed=protocol.random_state), entrant.table, protocol)
        ]
        for repeat in range(protocol.n_repeats)
    ]
    files: list[Path | None] = [None] * len(runs)
    if cache is not None:
        data = {
            name: _fingerprint((one.table.X, one.table.codes, one.table.groups))
            for name, one in entrants.items()
        }
        files = [Path(cache) / run.file_name(data[run.name]) for run in runs]
        Path(cache).mkdir(parents=True, exist_ok=True)
    pieces: list[list[IntArray]] = []
    for run, file in zip(runs, files, strict=True):
        known = file is not None and file.is_file()
        numbers = np.arange(0 if known else run.split().max() + 1)
        pieces.append([piece for piece in np.array_split(numbers, PIECES) if len(piece)])
    results = Parallel(n_jobs=n_jobs, return_as="generator")(
        delayed(run.score)(piece)
        for run, run_pieces in zip(runs, pieces, strict=True)
        for piece in run_pieces
    )
    with Progress(len(runs), shown=verbose) as progress:
        for run, file, run_pieces in zip(runs, files, pieces, strict=True):
            progress.step(f"{run.name}, {run.repeat + 1} of {protocol.n_repeats}")
            if file is not None and not run_pieces:
                yield run.name, _read(file)
                continue
            scores = [split for _ in run_pieces for split in next(results)]
            cell = run.cell(scores)
            if file is not None:
                _write(file, cell)
            yield run.name, cell


# ------------------------------------------------------------------------------------------- cache


def _fingerprint(what: object) -> str:
    """Return a text that changes with the content, whatever it is made of."""
    return str(import_module("joblib").hash(what))  # comes with scikit-learn


def _write(file: Path, cell: StudyCell) -> None:
    """Write a cell so that a file of its name is always whole."""
    with atomic_write(file, "wb") as stream:
        np.savez_compressed(stream, **{name: getattr(cell, name) for name in CELL_FIELDS})


def _read(file: Path) -> StudyCell:
    try:
        with np.load(file, allow_pickle=False) as stored:
            kind = cast(InputKind, str(stored["kind"]))
            return StudyCell(kind, *(stored[name] for name in CELL_FIELDS[1:]))
    except Exception as error:  # zip, key and value errors alike
        raise ValueError(f"the cache file {file.name} is damaged ({error}); delete it") from error
