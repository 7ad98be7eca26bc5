"""The figure of a report: reference and recommended model, over ranges and without."""

from __future__ import annotations

from calib._documents import document as doc
from calib.evaluation.report.answer import Facts


def figure_pair(facts: Facts) -> doc.Figures | None:
    """Return two panels with shared scales."""
    return None
