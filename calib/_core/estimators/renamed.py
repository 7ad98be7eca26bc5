"""Arguments that other libraries call by another name."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from calib._border.checks import describe

P = ParamSpec("P")
T = TypeVar("T")


def renamed(**names: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Let a constructor say how an argument is called here.

    Parameters
    ----------
    **names : str
        Foreign name -> what to write instead: an argument, or a sentence.

    Returns
    -------
    decorate : callable
        Decorator; the signature stays as it is.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> T:
            for name in kwargs.keys() & names.keys():
                owner = type(args[0]).__name__ if args else function.__name__
                cure = names[name]
                if cure.isidentifier():
                    cure = f"it is called {cure} here"
                raise TypeError(
                    f"{owner} takes no argument {name!r} (got {describe(kwargs[name])}): {cure}"
                )
            return function(*args, **kwargs)

        return checked

    return decorate
