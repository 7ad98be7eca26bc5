"""Correctness models as files: archives of arrays and words, whose loading runs no code."""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.exceptions import NotFittedError

from calib import CALIBRATORS
from calib._border.checks import describe
from calib._border.files import atomic_write
from calib._border.optional import require
from calib._version import __version__
from uq.correctness.model.model import CorrectnessModel

#: What files say that they are, and the version of their layout.
KIND, FORMAT = "calib correctness model", 1
#: Types that a file may hold beside plain data, NumPy's and the estimators that skops knows itself:
#: the parts of a model, and what scikit-learn's trees are made of.
TYPES = (
    "builtins.frozenset",
    "calib.calibrators.auto.calibrator.CrossFittedGain",
    "functools.partial",
    "scipy.sparse._csr.csr_matrix",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
    "sklearn.utils.validation.check_array",
    "uq.correctness.model.features.FeatureTable",
    "uq.correctness.model.features.Scaled",
    "uq.correctness.model.features.TextVectors",
    "uq.correctness.model.history.History",
    "uq.correctness.model.judges.Judge",
    "uq.correctness.model.model.CorrectnessModel",
    "uq.correctness.model.recalibration.LogOddsMap",
    "uq.correctness.model.records.Fields",
    "uq.correctness.model.text_scores.LinearScores",
)
#: Types that an error lists.
N_LISTED = 3


@dataclass(frozen=True, eq=False)
class SavedModel:
    """A fitted model with what the command line has to know of its fit.

    Attributes
    ----------
    model : CorrectnessModel
    correct : str
        Column of the grades.
    marks : ndarray of uint64
        Marks of the answers of the fit, see `uq.cli.answers.marks_of`; sorted.
    """

    model: CorrectnessModel
    correct: str = "correct"
    marks: Any = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))


def save_correctness_model(model: CorrectnessModel, path: str | os.PathLike[str]) -> Path:
    """Write a fitted correctness model to a file that can be loaded without running code.

    Parameters
    ----------
    model : CorrectnessModel
        A fitted model, of scikit-learn's estimators and this library's calibrators.
    path : str or path-like
        File to write, such as ``judge.skops``; an existing one is replaced once the new one is
        whole.

    Returns
    -------
    path : pathlib.Path
        The file written.

    Raises
    ------
    NotFittedError
        If the model is not fitted.
    TypeError
        If it is no correctness model, or holds what cannot be loaded without running code: a
        function of your own in `embed`, a classifier or calibrator of another library. Use
        ``pickle`` for these, and load only files that you wrote yourself.
    ImportError
        If skops is not installed.
    OSError
        If the file cannot be written; what stood there stays as it was.

    See Also
    --------
    load_correctness_model : Read the file again.

    Notes
    -----
    The file is an archive of skops: numbers as arrays, everything else as JSON. Trees of another
    version of scikit-learn may not be read, which its warning says.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from uq import CorrectnessModel, load_correctness_model, save_correctness_model
    >>> records = {
    ...     "question": ["add two numbers", "prove it"] * 60,
    ...     "answer": ["so it is"] * 120,
    ...     "question_id": list(range(120)),
    ... }
    >>> judge = CorrectnessModel(model=None, classifier="linear", calibrator=None, random_state=0)
    >>> judge = judge.fit(records, [1, 0, 1, 0, 1, 1] * 20)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     same = load_correctness_model(
    ...         save_correctness_model(judge, pathlib.Path(folder) / "judge.skops")
    ...     )
    >>> bool((same.score_samples(records) == judge.score_samples(records)).all())
    True
    """
    return write_model(SavedModel(model), path)


def load_correctness_model(path: str | os.PathLike[str]) -> CorrectnessModel:
    """Read a correctness model that `save_correctness_model` or the command line wrote.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    model : CorrectnessModel
        Judges bit for bit like the saved one.

    Raises
    ------
    ValueError
        If the file is of another kind, damaged, of a newer version, or holds types that a
        correctness model does not consist of: these are not loaded, because they could run code.
    ImportError
        If skops is not installed.
    OSError
        If the file does not exist or must not be read.

    See Also
    --------
    save_correctness_model : Write such a file.

    Examples
    --------
    >>> from uq import load_correctness_model
    >>> load_correctness_model("judge.skops")  # doctest: +SKIP
    """
    return read_model(path).model


def write_model(saved: SavedModel, path: str | os.PathLike[str]) -> Path:
    """Write a model with what the command line knows of it."""
    skops = require("skops.io", extra="cli", purpose="saving a correctness model")
    model = saved.model
    if not isinstance(model, CorrectnessModel):
        raise TypeError(f"model must be a CorrectnessModel; got {describe(model)}")
    if not hasattr(model, "classes_"):
        raise NotFittedError("the model is not fitted; call fit before it is saved")
    content = {
        "kind": KIND,
        "format": FORMAT,
        "library": __version__,
        "model": model,
        "correct": saved.correct,
        "marks": saved.marks,
    }
    advice = (
        "A file holds estimators of scikit-learn and calibrators of this library only, because "
        "loading others could run code; use pickle for your own files"
    )
    try:
        data = skops.dumps(content, compression=zipfile.ZIP_DEFLATED)
        foreign = sorted(set(skops.get_untrusted_types(data=data)) - trusted_types())
    except Exception as error:  # of an object that skops has no form for, of whatever kind
        raise TypeError(f"the model cannot be saved: {error}. {advice}") from error
    if foreign:
        raise TypeError(f"the model holds {_listed(foreign)}. {advice}")
    with atomic_write(path, "wb") as file:
        file.write(data)
    return Path(path)


def read_model(path: str | os.PathLike[str]) -> SavedModel:
    """Read a model with what the command line knows of it."""
    skops = require("skops.io", extra="cli", purpose="loading a correctness model")
    path = Path(path)
    data = path.read_bytes()
    wanted = f"{path.name} is no correctness model; name a file that calib correctness fit wrote"
    if not data.startswith(b"PK\x03\x04"):
        raise ValueError(wanted)
    try:
        foreign = sorted(set(skops.get_untrusted_types(data=data)) - trusted_types())
        if not foreign:
            content = skops.loads(data, trusted=sorted(trusted_types()))
    except KeyError as error:
        raise ValueError(f"{wanted} (it lacks {error})") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, json.JSONDecodeError) as error:
        raise ValueError(f"{path.name} is damaged: {error}") from None
    except ImportError:
        raise
    except Exception as error:  # what a changed file makes of the parts of a model
        raise ValueError(f"{path.name} is damaged: {type(error).__name__}: {error}") from error
    if foreign:
        raise ValueError(
            f"{path.name} holds {_listed(foreign)}, which no correctness model consists of. It is "
            f"not loaded, because it could run code"
        )
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise ValueError(wanted)
    if not isinstance(content.get("format"), int) or content["format"] > FORMAT:
        raise ValueError(
            f"{path.name} has format {describe(content.get('format'))}, which is newer than this "
            f"version of the library reads; update it"
        )
    model, correct, marks = (content.get(key) for key in ("model", "correct", "marks"))
    whole = isinstance(correct, str) and isinstance(marks, np.ndarray)
    if not (whole and isinstance(model, CorrectnessModel) and hasattr(model, "classes_")):
        raise ValueError(f"{path.name} is damaged: parts of it are missing or of another kind")
    return SavedModel(model, str(correct), marks)


def trusted_types() -> set[str]:
    """Return the names of all types that a file may hold."""
    calibrators = (entry.load() for entry in CALIBRATORS.values() if entry.available)
    return {*TYPES, *(f"{kind.__module__}.{kind.__qualname__}" for kind in calibrators)}


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - N_LISTED} more" if len(names) > N_LISTED else ""
    return ", ".join(names[:N_LISTED]) + more
