"""Collections whose partitions are not alike: the odd one is named, or does not matter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from calib import TemperatureCalibrator
from calib.distributed import METHODS, accumulate, apply, evaluate, fit

pd = pytest.importorskip("pandas")
dask = pytest.importorskip("dask")
pytest.importorskip("distributed")
import dask.dataframe as dd  # noqa: E402

RNG = np.random.default_rng(0)
N = 400
Z = 2 * RNG.normal(size=N)
Y = (RNG.random(N) < 1 / (1 + np.exp(-0.6 * Z))).astype(int)
FRAME = pd.DataFrame({"p": 1 / (1 + np.exp(-Z)), "z": Z, "y": Y, "w": RNG.integers(1, 3, N) * 1.0})
CAL = TemperatureCalibrator(input="logits").fit(Z, Y)


@pytest.fixture(autouse=True)
def local() -> Iterator[None]:
    with dask.config.set(scheduler="synchronous"):
        yield


def with_odd(change: Callable[[Any], Any], where: int = 2) -> Any:
    """Return four partitions, one of them changed behind the back of the collection."""
    pieces = [FRAME.iloc[start : start + 100] for start in range(0, N, 100)]
    pieces[where] = change(pieces[where])
    delayed = [dask.delayed(piece, traverse=False) for piece in pieces]
    return dd.from_delayed(delayed, meta=FRAME.iloc[:0], verify_meta=False)


CALLS: dict[str, Callable[[Any], Any]] = {
    "evaluate": lambda ddf: evaluate(ddf, label="y", proba="p", weight="w"),
    "accumulate": lambda ddf: accumulate(ddf, label="y", proba="p", weight="w"),
    **{
        method: lambda ddf, method=method: fit(  # type: ignore[misc]
            ddf, method, label="y", scores="z", input="logits", weight="w"
        )
        for method in METHODS
    },
}
EVERY = pytest.mark.parametrize("name", CALLS)
SCORE = {name: "p" if name in ("evaluate", "accumulate") else "z" for name in CALLS}


@EVERY
@pytest.mark.parametrize("role", ["score", "label", "weight"])
def test_a_column_that_one_partition_lacks(name: str, role: str) -> None:
    column = {"score": SCORE[name], "label": "y", "weight": "w"}[role]
    ddf = with_odd(lambda part: part.drop(columns=column))
    with pytest.raises(ValueError, match=rf"partition 2 .*has no column '{column}'"):
        CALLS[name](ddf)


def test_a_column_that_one_partition_lacks_where_it_is_mapped() -> None:
    ddf = with_odd(lambda part: part.drop(columns="z"))
    with pytest.raises(ValueError, match=r"partition 2 .*has no column 'z'"):
        apply(ddf, CAL, scores="z").compute()


def shown(name: str, ddf: Any) -> Any:
    found = CALLS[name](ddf)
    if name == "evaluate":
        (model,) = found.models.values()
        return [model.measures[key].value for key in ("log_loss", "brier", "accuracy")]
    if name == "accumulate":
        return [found.n_samples, *np.ravel(found.table.prob), *np.ravel(found.table.label)]
    return np.concatenate([np.ravel(getattr(found, part)) for part in found.traits.arrays])


def integer_weights(part: Any) -> Any:
    return part.assign(w=part["w"].astype(int))


def emptied(part: Any) -> Any:
    return pd.concat([part])  # a copy


ALIKE: dict[str, Callable[[Any], Any]] = {
    "nullable": lambda part: part.assign(
        p=part["p"].astype("Float64"), z=part["z"].astype("Float64")
    ),
    "integer weights": integer_weights,
    "float labels": lambda part: part.assign(y=part["y"].astype(float)),
    "other order of columns": lambda part: part[["w", "y", "z", "p"]],
    "further columns": lambda part: part.assign(more="text"),
}


@EVERY
@pytest.mark.parametrize("kind", ALIKE)
def test_what_holds_the_same_numbers_gives_the_same_results(kind: str, name: str) -> None:
    np.testing.assert_allclose(
        shown(name, with_odd(ALIKE[kind])), shown(name, with_odd(emptied)), rtol=1e-12
    )


@EVERY
@pytest.mark.parametrize("dtype", [None, object])
def test_an_empty_partition_does_not_matter(name: str, dtype: Any) -> None:
    pieces = [FRAME.iloc[:150], FRAME.iloc[:0], FRAME.iloc[150:]]
    if dtype is not None:
        pieces[1] = pieces[1].astype(dtype)
    delayed = [dask.delayed(piece, traverse=False) for piece in pieces]
    ddf = dd.from_delayed(delayed, meta=FRAME.iloc[:0], verify_meta=False)
    np.testing.assert_allclose(shown(name, ddf), shown(name, with_odd(emptied)), rtol=1e-9)


ODD: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "text": ("score", lambda column: column.map(str)),
    "objects": ("score", lambda column: column.astype(object)),
    "words": ("score", lambda column: column.map(lambda _: "a")),
    "datetimes": ("score", lambda column: pd.to_datetime((1e6 * column).astype(int))),
    "text labels": ("label", lambda column: column.map(str)),
    "other words as labels": ("label", lambda column: column.map({0: "no", 1: "yes"})),
    "datetime labels": ("label", lambda column: pd.to_datetime(column)),
    "text weights": ("weight", lambda column: column.map(str)),
    "negative weights": ("weight", lambda column: -column),
}


@EVERY
@pytest.mark.parametrize("kind", ODD)
def test_what_holds_something_else_is_named(kind: str, name: str) -> None:
    role, change = ODD[kind]
    column = {"score": SCORE[name], "label": "y", "weight": "w"}[role]
    ddf = with_odd(lambda part: part.assign(**{column: change(part[column])}))
    with pytest.raises((ValueError, TypeError)) as refusal:
        CALLS[name](ddf)
    assert "partition 2" in str(refusal.value), refusal.value
    assert repr(column) in str(refusal.value), refusal.value
