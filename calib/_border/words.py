"""Words that are nearly one of those known; loads nothing heavy."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


def nearest(value: object, known: Iterable[object], *, cutoff: float = 0.6) -> object:
    """Return the one of the known words that a value stands for, None where none is near.

    Case and signs between the letters do not count; a word of the known one, or its beginning, is
    near; else it is the letters in common that count. A text is near what it is the text of.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    words = {_letters(str(one)): one for one in known if one is not None}
    given = _letters(str(value))
    if not given or given in words:
        return words.get(given)
    if not isinstance(value, str):
        return None
    if len(given) >= 3:
        begun = [word for word in words if word.startswith(given) or given.startswith(word)]
        if len(begun) == 1 and len(begun[0]) >= 3:
            return words[begun[0]]
    close = difflib.get_close_matches(given, words, n=1, cutoff=cutoff)
    return words[close[0]] if close else None


def did_you_mean(value: object, known: Iterable[object]) -> str:
    """Return the end of an error text: the known word that is near, if there is one."""
    meant = nearest(value, known)
    return "" if meant is None else f". Did you mean {meant!r}?"


def _letters(text: str) -> str:
    return re.sub(r"[\W_]", "", text.lower())
