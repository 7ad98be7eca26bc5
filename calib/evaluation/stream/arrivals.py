"""What comes with rows of a stream: ids of predictions that wait for labels, and time stamps."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from calib._border.arrays import eager, read_array, to_numpy
from calib._border.checks import check_integer, check_number, describe, is_integer
from calib._border.labels import check_same_length
from calib._border.typing import ArrayLike

Name: TypeAlias = int | str


@dataclass
class Waiting:
    """Predictions without a label yet.

    Attributes
    ----------
    predictions : dict of id to (float, int)
        Watched probability as it was served, and the code of its class.
    """

    predictions: dict[Name, tuple[float, int]] = field(default_factory=dict)

    def new_names(self, ids: ArrayLike) -> list[Name]:
        """Return ids of new predictions, each of which comes once."""
        names = read_ids(ids)
        seen: set[Name] = set()
        for name in names:
            if name in seen:
                raise ValueError(f"ids has {name!r} more than once; every prediction needs its own")
            if name in self.predictions:
                raise ValueError(
                    f"ids has {name!r}, which waits for its label already; a prediction counts "
                    f"once, as it was served first"
                )
            seen.add(name)
        return names

    def known_names(self, ids: ArrayLike) -> list[Name]:
        """Return ids whose labels have come, each of a prediction that waits."""
        names = read_ids(ids)
        seen: set[Name] = set()
        for name in names:
            if name in seen:
                raise ValueError(f"ids has {name!r} more than once; a prediction has one label")
            if name not in self.predictions:
                raise ValueError(
                    f"ids has {name!r}, which no prediction waits under: expect was not told of "
                    f"it, or its label came before"
                )
            seen.add(name)
        return names

    @classmethod
    def restored(cls, rows: Any, n_classes: int) -> Waiting:
        """Return predictions of a file."""
        waiting = cls()
        for name, value, code in rows:
            proba = check_number("waiting", value)
            if type(name) not in (int, str) or not 0 <= proba <= 1:
                raise ValueError(f"waiting holds {describe([name, value, code])}")
            last = max(n_classes - 1, 0)
            waiting.predictions[name] = (proba, check_integer("waiting", code, low=0, high=last))
        return waiting


def read_ids(ids: ArrayLike) -> list[Name]:
    """Return ids as plain integers or texts."""
    if isinstance(ids, str) or np.ndim(ids) == 0:
        raise ValueError(f"ids must have shape (n_samples,); got {describe(ids)}")
    values: Sequence[Any] = to_numpy(read_array(eager(ids), "ids")).tolist()
    for value in values:
        if not (isinstance(value, str) or is_integer(value)):
            raise ValueError(f"ids must hold integers or texts; got {describe(value)}")
    return [value if isinstance(value, str) else int(value) for value in values]


@dataclass(frozen=True)
class Stamps:
    """How far the time of a stream has come.

    Attributes
    ----------
    kind : {"", "none", "number", "date"}
        What time stamps are; empty before the first row.
    last : float or None
        The latest; dates as seconds since 1970.
    """

    kind: str = ""
    last: float | None = None

    def after(self, timestamps: ArrayLike, n_rows: int) -> Stamps:
        """Return how far time has come after another batch, or raise if it runs backwards."""
        kind = "none"
        last = self.last
        if timestamps is not None:
            kind, seconds = seconds_of(timestamps)
            check_same_length(n_rows, len(seconds), "y_true", "timestamps")
            order = seconds if last is None else np.append(last, seconds)
            back = np.flatnonzero(np.diff(order) < 0)
            if len(back):
                row = int(back[0]) + (1 if last is None else 0)
                before = "the last of the batch before" if row == 0 else f"row {row - 1}"
                raise ValueError(
                    f"timestamps must not descend, and row {row} lies before {before}; sort rows "
                    f"by the time at which their labels came, or leave timestamps out"
                )
            last = float(seconds[-1]) if n_rows else last
        if n_rows and self.kind not in ("", kind):
            raise ValueError(
                f"timestamps are given with every batch, of one kind, or with none; got {kind} "
                f"after {self.kind}"
            )
        return Stamps(kind, last) if n_rows else self

    @classmethod
    def restored(cls, values: Any) -> Stamps:
        """Return those of a file."""
        kind, last = values["kind"], values["last"]
        if kind not in ("", "none", "number", "date") or (last is None) != (kind in ("", "none")):
            raise ValueError(f"stamps are {describe(values)}")
        return cls(kind, None if last is None else check_number("stamps", last))


def seconds_of(timestamps: ArrayLike) -> tuple[str, Any]:
    """Return the kind of time stamps, and numbers in their order."""
    values = np.asarray(eager(timestamps))
    if values.ndim != 1:
        raise ValueError(f"timestamps must have shape (n_samples,); got shape {values.shape}")
    if values.dtype.kind == "O" and all(isinstance(v, datetime.datetime) for v in values):
        kind, seconds = "date", np.array([_seconds(value) for value in values], dtype=np.float64)
    elif values.dtype.kind == "M":
        kind, seconds = "date", values.astype("datetime64[ns]").astype(np.float64) / 1e9
        seconds[np.isnat(values)] = np.nan
    elif values.dtype.kind in "iuf":
        kind, seconds = "number", values.astype(np.float64)
    else:
        raise ValueError(
            f"timestamps must be numbers or dates; got {describe(values[:1].tolist())}; convert "
            f"texts by pandas.to_datetime"
        )
    if not np.isfinite(seconds).all():
        row = int(np.argmax(~np.isfinite(seconds)))
        raise ValueError(f"timestamps has no time in row {row}; leave such rows out")
    return kind, seconds


def _seconds(value: datetime.datetime) -> float:
    aware = value if value.tzinfo else value.replace(tzinfo=datetime.UTC)
    return aware.timestamp()
