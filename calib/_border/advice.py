"""What a caller can do about scores that contradict the labels: it depends on what was called."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np

from calib._border.typing import LabelArray

#: Classes listed in a message.
N_LISTED = 12


def shown(label: object) -> str:
    """Return a label as it is written in Python."""
    return repr(label.item() if isinstance(label, np.generic) else label)


@dataclass(frozen=True)
class Door:
    """The words of one way into the library, for scores that contradict the labels.

    Attributes
    ----------
    scores : str or None
        What the caller knows the scores as; None for the name of the argument.
    positive : str
        What to do where a single column belongs to the other class; may hold ``{label}``.
    order : str
        What to do where columns stand in another order; may hold ``{labels}``.
    sign : str
        What to do where the sign of the scores is reversed.
    shift : str
        What to do where the labels are shifted by one.
    check : str
        What to look at where no cause stands out.
    declared, kind : str
        What was said of the scores where they are taken for logits, and what to do if they are
        probabilities.
    classes : tuple of str or None
        What the classes are to the caller, where not their labels.
    written : callable
        How a label is written where it is to be passed.
    """

    scores: str | None = None
    positive: str = "pass pos_label={label}"
    order: str = "pass labels={labels}, or a table whose columns are named by the labels"
    sign: str = "negate them"
    shift: str = "shift them back"
    check: str = (
        "the order of the columns (labels=), the positive one of two classes (pos_label=), whether "
        "the labels are shifted, and the sign of the scores"
    )
    declared: str = "input='logits'"
    kind: str = "pass input='proba' if they are"
    classes: tuple[str, ...] | None = None
    written: Callable[[object], str] = shown

    @classmethod
    def of_model(cls, scores: str, check: str, **words: Any) -> Door:
        """Return the words where scores are made inside, so that no option orders or turns them."""
        cure = f"check {check}"
        return cls(
            **{"positive": cure, "order": cure, "sign": cure, "kind": cure, **words},
            scores=scores,
            check=check,
        )

    def shown(self, label: object, place: int) -> str:
        """Return how the class at a place is called."""
        return shown(label) if self.classes is None else self.classes[place]

    def turn(self, label: object) -> str:
        """Return what to do for a single column that belongs to `label`."""
        return self.positive.format(label=self.written(label))

    def reorder(self, labels: LabelArray) -> str:
        """Return what to do for columns that belong to `labels`."""
        listed = f"[{', '.join(map(self.written, labels))}]"
        if len(labels) > N_LISTED:
            listed = " in the order of the columns"
        return self.order.format(labels=listed)


#: Of calibrators and reports, whose arguments name the classes of columns.
ARGUMENTS = Door()
_door: ContextVar[Door] = ContextVar("door", default=ARGUMENTS)


def current_door() -> Door:
    """Return the words of the call that is under way."""
    return _door.get()


@contextmanager
def coming_through(door: Door) -> Iterator[None]:
    """Give advice in the words of `door` while the block runs."""
    token = _door.set(door)
    try:
        yield
    finally:
        _door.reset(token)
