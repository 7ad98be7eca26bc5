"""The border of texts: one reading for every column of words."""

from __future__ import annotations

import re
from typing import Any

from calib._border.checks import describe, is_number

#: Half of a character (a lone surrogate) and the characters that no text holds.
_UNREADABLE = re.compile("[\ud800-\udfff\x00]")


def checked_texts(values: Any, name: str) -> list[str]:
    """Return a column of texts; missing ones are empty, characters that are none are replaced.

    Parameters
    ----------
    values : sequence of str
        Lists, arrays, columns of any table. None, nan and the missing values of tables are empty
        texts: an answer that is missing is no exception. Lone surrogates and NUL become U+FFFD.
    name : str
        Argument or column, as an error calls it.

    Raises
    ------
    TypeError
        If a value is no text, or the whole is a single text.
    """
    if isinstance(values, (str, bytes)):
        raise TypeError(
            f"{name} is a single text. Pass one text per row, for example [{describe(values)}]."
        )
    listing = getattr(values, "to_pylist", getattr(values, "tolist", None))
    column = list(values) if listing is None else listing()
    texts = []
    for row, value in enumerate(column):
        if isinstance(value, str):
            texts.append(_UNREADABLE.sub("\ufffd", value))
        elif value is None or type(value).__name__ == "NAType" or _is_nan(value):
            texts.append("")
        else:
            raise TypeError(
                f"{name} holds {describe(value)} in row {row}: texts are needed. Turn the column "
                "into text, or pass it as numeric."
            )
    return texts


def _is_nan(value: object) -> bool:
    return is_number(value) and value != value
