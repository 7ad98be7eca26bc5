"""Comparison tables of any names and numbers."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tests.support.internals.documents import Cell, Column, Group, Table

COLUMNS = [
    Column("Method", "ranked by log loss", kind="text"),
    Column("Log loss", "lower is better", terminal="brief", short="log loss"),
    Column("Brier score", "lower is better", terminal="none", short="Brier"),
    Column("Accuracy", "higher is better", terminal="brief", short="acc"),
    Column("ECE", "bias removed", terminal="all"),
    Column("ACE", "bias removed, x 1e-3", terminal="brief", short="ACE x 1e-3"),
]


def names(most: int = 40) -> st.SearchStrategy[list[str]]:
    """Return lists of 1 to 40 names of 1 to 60 signs."""
    any_sign = st.characters(exclude_categories=["Cs"])
    name = st.text("ab_\\{}&%$#^~[]*<>-1 ", min_size=1, max_size=60) | st.text(
        any_sign, min_size=1, max_size=60
    )
    return st.lists(name, min_size=1, max_size=most, unique=True)


def comparison(models: list[str], seed: int | None = None) -> Table:
    """Return a comparison: without a seed of plain numbers, with it of sizes that differ."""
    rng = np.random.default_rng(seed)
    rows = []
    for k, name in enumerate(models):
        step = k / 1000
        texts = [f"{0.1 + step:.4f}", f"{0.1001 + step:.4f}", f"{10.01 + 100 * step:.2f} %"]
        texts += [f"{0.003 + 10 * step:.3f}", f"{0.0004 + step:.4f}"]
        ranges = [
            (f"0.090 to {0.1 + step:.3f}", "0.080 to 0.090"),
            (f"0.090 to {0.101 + step:.3f}", "0.080 to 0.091"),
            ("9.00 to 11.00", "8.00 to 12.00"),
            ("0 to 0.010", "0 to 0.020"),
            ("0 to 0.0010", "0 to 0.0020"),
        ]
        marks = ["*", "", "", "", ""]
        if seed is not None:
            sizes = 10.0 ** rng.uniform(-4, 3, 5)
            texts = [f"{size:.{rng.integers(2, 6)}f}" for size in sizes]
            texts[2] += " %"
            ranges = [(f"{a:.4f} to {2 * a:.4f}", f"0 to {a:.5f}") for a in sizes]
            marks = ["*" if star else "" for star in rng.random(5) < 0.5]
        inks = ["best", "level", "worse", "level", "best"]
        words = (
            "overconfident above 0.93, underconfident below 0.2" if k else "no miscalibration seen"
        )
        briefs = ["over above 0.93, under below 0.2", "over and under"] if k else ["none seen"]
        ink = "plain" if k else "recommended"
        cells = [Cell(name, words, ink=ink, briefs=briefs)]  # type: ignore[arg-type]
        cells += [
            Cell(text, mark=mark, ink=ink, interval=low, chance=high)  # type: ignore[arg-type]
            for text, mark, ink, (low, high) in zip(texts, marks, inks, ranges, strict=True)
        ]
        rows.append(cells)
    groups = [Group(rows[:1], "May be the best"), Group(rows[1:], "Clearly behind")]
    shown = groups if len(rows) > 1 else groups[:1]
    return Table(COLUMNS, shown, kind="comparison", words="miscalibrated")
