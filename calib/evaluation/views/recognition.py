"""Which measure a caller's function computes: measures leave a note of their call when asked to.

A metric is often passed inside a lambda or `functools.partial`. While one value is computed the
measures of this package note name, arguments and result, so that an interval can be built for what
the metric is and not for an unknown function.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, ParamSpec

P = ParamSpec("P")


class MeasureCall(NamedTuple):
    """A call of a measure: its name, its defaults and all arguments by name, and the result."""

    name: str
    defaults: dict[str, Any]
    arguments: dict[str, Any]
    result: float


_notes: ContextVar[list[MeasureCall] | None] = ContextVar("measure_calls", default=None)


def measure(function: Callable[P, float]) -> Callable[P, float]:
    """Let a measure be recognised wherever it is called."""
    signature = inspect.signature(function)
    defaults = {name: parameter.default for name, parameter in signature.parameters.items()}

    @functools.wraps(function)
    def noted(*args: P.args, **kwargs: P.kwargs) -> float:
        result = function(*args, **kwargs)
        calls = _notes.get()
        if calls is not None:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            calls.append(MeasureCall(function.__name__, defaults, dict(bound.arguments), result))
        return result

    return noted


@contextmanager
def noted_calls() -> Iterator[list[MeasureCall]]:
    """Collect the calls of measures."""
    calls: list[MeasureCall] = []
    token = _notes.set(calls)
    try:
        yield calls
    finally:
        _notes.reset(token)
