"""Documents as results build them: many methods, a rare event, a detector before and after."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from calib._documents import charts, digits, document, html, latex, panels, text
from calib._documents.document import (
    Cell,
    Circle,
    Column,
    Definitions,
    Document,
    Drawing,
    Figure,
    Figures,
    Findings,
    Fold,
    Group,
    Heading,
    Line,
    Notes,
    Paragraph,
    Polygon,
    Polyline,
    Rect,
    Remark,
    Table,
    Text,
    Verdict,
    plain_table,
)

#: What tests of documents import from here.
__all__ = [
    "Cell", "Circle", "Column", "Definitions", "Document", "Drawing", "Figure", "Figures",
    "Findings", "Fold", "Group", "Heading", "Line", "Notes", "Paragraph", "Polygon", "Polyline",
    "Rect", "Remark", "Table", "Text", "Verdict", "charts", "digits", "doc", "html", "latex",
    "panels", "plain_table", "text",
]  # fmt: skip
doc = document
SIXTEEN = [
    "dirichlet", "auto", "matrix_scaling", "beta", "quadratic", "spline", "platt", "vector_scaling",
    "split_point", "h_calibration", "temperature", "ensemble_temperature", "isotonic", "venn_abers",
    "histogram", "raw (before)",
]  # fmt: skip
FOUR = ["matrix_scaling", "auto", "temperature", "raw (before)"]
MEASURES = {
    "Log loss": "lower is better",
    "Brier score": "lower is better",
    "Accuracy": "higher is better",
    "ECE": "bias removed",
    "ACE": "bias removed",
}
ESSENTIAL = ("Log loss", "ECE")
#: A word from right to left, 60 signs without a gap, and markup.
ARABIC = "\u0646\u0645\u0648\u0630\u062c"
HEBREW = "\u05de\u05d5\u05d3\u05dc"
LONG = "resnet152crossentropylabelsmoothingmixupepochs300seed17fold4a"[:60]
MARKUP = "<script>alert('x')</script> & \"b\""


def of_methods(
    names: Sequence[str], recommended: str, *, n_ties: int = 1, heading: str = "749 test samples"
) -> doc.Document:
    """Return the document of a comparison; the last model is the reference and far off."""
    rest = f"{len(names) - n_ties} others are clearly behind in log loss"
    return doc.Document(
        "Calibration report",
        f"{heading}, 10 classes, {len(names)} sets of probabilities",
        [
            comparison(names, recommended, n_ties),
            doc.Paragraph(
                "Dot and line: value and 95 % interval. Grey: what chance shows if calibrated. * "
                "and diamond: outside, so more than chance. Bold: best; grey figures: clearly "
                "worse than the best of the column.",
                "soft",
                "page",
            ),
            doc.Paragraph("* outside chance: the range if calibrated.", "soft", "terminal"),
            pair_of_panels(names[-1], recommended),
            *folds(names),
        ],
        doc.Verdict(
            "clean_after",
            "Use {rec}: it leaves no miscalibration that {n} samples can show.",
            {"rec": recommended, "n": "749"},
        ),
        [
            doc.Verdict(
                "effect",
                "Calibration error (ECE, bias removed) {a} before, {b} after (at most {high}).",
                {"a": "0.046", "b": "0.008", "high": "0.025"},
            ),
            doc.Verdict(
                "behind", "The {rest}; the closest is {name}.", {"rest": rest, "name": names[1]}
            ),
            doc.Verdict(
                "worse",
                "Worse than {ref} in some respect: {name} (Brier score, ACE).",
                {"ref": names[-1], "name": names[-2]},
            ),
        ],
    )


def comparison(names: Sequence[str], recommended: str, n_ties: int = 1) -> doc.Table:
    """Return a table of names and measures, ever worse downwards, the last four starred."""
    columns = [doc.Column("Method", "ranked by log loss", kind="text")]
    columns += [
        doc.Column(title, aside, scale=("0", "0.076"), essential=title in ESSENTIAL)
        for title, aside in MEASURES.items()
    ]
    rows = []
    for place, name in enumerate(names):
        share = place / max(len(names) - 1, 1)
        starred = place >= max(len(names) - 4, 1)
        words = "overconfident above 0.93" if starred else "no miscalibration seen"
        row = [doc.Cell(name, words, ink="recommended" if name == recommended else "plain")]
        for column, title in enumerate(MEASURES):
            dot = 0.15 + 0.6 * share + 0.03 * column
            off = 0.25 if starred else 0.02
            last = place == len(names) - 1
            text = f"{100 - 7 * dot:.1f} %" if title == "Accuracy" else f"{0.16 + 0.3 * dot:.3f}"
            row.append(
                doc.Cell(
                    text,
                    mark="*" if starred else "",
                    ink="best" if place == 0 else "level" if place < n_ties else "worse",
                    interval="0.12 to 0.20",
                    chance="0.13 to 0.24",
                    glyphs=[
                        doc.Glyph(
                            1.4 if last else dot,
                            (dot - 0.1, dot + 0.12),
                            (dot - 0.12 - off, dot + 0.12 - off),
                            beyond=starred,
                        )
                    ],
                )
            )
        rows.append(row)
    groups = [doc.Group(rows[:n_ties], "May be the best")]
    if n_ties < len(rows):
        groups.append(doc.Group(rows[n_ties:], "Clearly behind in log loss"))
    return doc.Table(
        columns,
        groups,
        kind="comparison",
        narrow='Brier score, accuracy and ACE are under "All numbers".',
    )


def pair_of_panels(before: str, after: str) -> doc.Figures:
    """Return two panels, over ranges and added up, with their key."""
    places = np.linspace(0.08, 0.92, 9)
    x, y = 70 + 336 * places, 284 - 272 * places
    width = 60 * np.sqrt(places * (1 - places))
    frame: list[doc.Mark] = [doc.Rect(70, 12, 336, 272, stroke="line")]
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        across, up = 70 + 336 * tick, 284 - 272 * tick
        frame += [
            doc.Line(across, 12, across, 284, "grid"),
            doc.Line(70, up, 406, up, "grid"),
            doc.Text(across, 300, f"{tick:g}"),
            doc.Text(64, up + 4, f"{tick:g}", "end"),
        ]
    low = [(a, b + c) for a, b, c in zip(x, y, width, strict=True)]
    high = [(a, b - c) for a, b, c in zip(x, y, width, strict=True)]
    squares = [
        doc.Rect(a - 4, b + 1.6 * c, 8, 8, "bg", "alarm", stroke_width=1.8)
        for a, b, c in zip(x[3:], y[3:], width[3:], strict=True)
    ]
    first: list[doc.Mark] = [
        *frame,
        doc.Polygon([*low, *reversed(high)], "band", stroke="edge"),
        doc.Line(70, 284, 406, 12, "muted", dash="2 3"),
        *squares,
        *(doc.Circle(a, b - 0.3 * c, 4.2, "dot") for a, b, c in zip(x, y, width, strict=True)),
        doc.Circle(x[0], 40, 3, "bg", "muted"),
        doc.Text(238, 322, "Confidence"),
        doc.Text(24, 148, "Accuracy", turned=True),
    ]
    steps = np.linspace(0, 1, 250)
    second: list[doc.Mark] = [
        *frame,
        doc.Rect(70, 60, 336, 80, "band", "edge", stroke_width=0.8),
        doc.Line(70, 100, 406, 100, "muted", dash="2 3"),
        doc.Polyline([(70 + 336 * t, 100 + 160 * t**0.7) for t in steps], "alarm", 1.5, "5 3"),
        doc.Polyline([(70 + 336 * t, 100 - 14 * np.sin(9 * t)) for t in steps], "dot", 2.0),
        doc.Text(238, 322, "Share of samples, from the least to the most confident"),
    ]
    key = [
        doc.Key(
            before,
            [doc.Line(1, 8, 27, 8, "muted", 1.5, "5 3"), doc.Rect(10, 4, 8, 8, "bg", "muted")],
        ),
        doc.Key(after, [doc.Line(1, 8, 27, 8, "dot", 2), doc.Circle(14, 8, 4.2, "dot")]),
        doc.Key(
            "chance, if calibrated", [doc.Rect(2, 2, 24, 12, "band", "edge", stroke_width=0.8)]
        ),
        doc.Key("outside: more than chance", [doc.Circle(14, 8, 4.2, "alarm")]),
    ]
    return doc.Figures(
        f"{before} leaves the band of chance, {after} stays inside it.",
        [
            doc.Figure(
                "",
                doc.Drawing("Reliability diagram", "6 of 9 squares lie outside.", 420, 330, first),
            ),
            doc.Figure("", doc.Drawing("Cumulative diagram", "From 0 to -0.05.", 420, 330, second)),
        ],
        "First: how often the top label was right, over ranges of confidence. Second: the same "
        "without ranges, added up. Both methods share the scales.",
        key=key,
    )


def folds(names: Sequence[str]) -> list[doc.Block]:
    """Return what a reader opens on demand."""
    columns = [
        doc.Column("Method", kind="text"),
        doc.Column("As usually computed"),
        doc.Column("If calibrated", "mean and range"),
        doc.Column("Bias removed", weight="strong"),
        doc.Column("95 % interval"),
        doc.Column("p", "all numbers together"),
    ]
    numbers = [
        doc.Group(
            [
                [
                    doc.Cell(name),
                    doc.Cell("0.247", mark="*" if place % 5 == 4 else ""),
                    doc.Cell("0.213", "(0.18 to 0.25)"),
                    doc.Cell("0.034"),
                    doc.Cell("0.20 to 0.29"),
                    doc.Cell("0.031"),
                ]
                for place, name in enumerate(names)
            ],
            title,
        )
        for title in MEASURES
    ]
    return [
        doc.Fold(
            "How to read this",
            [
                doc.Definitions(
                    [
                        ("Calibrated", "Of all cases that are given 80 %, 80 % come true."),
                        (
                            "Grey band",
                            "What this model would show if its probabilities were right.",
                        ),
                        ("Bold, black, grey", "Best; not distinguishable from it; clearly worse."),
                    ]
                )
            ],
        ),
        doc.Fold(
            "All numbers", [doc.Table(columns, numbers)], "usual ECE and ACE, ranges, p-values"
        ),
        doc.Fold(
            "Method by method",
            [
                doc.Remark(name, "no miscalibration seen; claims 93.4 %, right in 93.6 %.")
                for name in names
            ],
        ),
        doc.Fold(
            "How this was computed", [doc.Notes(["2,000 redraws of the samples.", "All in nats."])]
        ),
    ]


def rare() -> doc.Document:
    """Return the document of one model of a rare event, whose measures stand in rows."""
    columns = [
        doc.Column("Measure", kind="text"),
        doc.Column("Value"),
        doc.Column("95 % interval", essential=False),
        doc.Column("If calibrated", "chance", essential=False),
        doc.Column("In words", kind="text", essential=False),
    ]
    rows = [
        [
            doc.Cell("Events, per 100,000", "predicted 93.0"),
            doc.Cell("95.5"),
            doc.Cell("82.4 to 110.0"),
            doc.Cell("78.1 to 108.0"),
            doc.Cell("191 events where 186 were predicted"),
        ]
    ]
    for place, (title, aside) in enumerate(MEASURES.items()):
        glyph = doc.Glyph(0.5 - 0.1 * place, (0.2, 0.9 - 0.1 * place), (0.1, 0.8))
        rows.append(
            [
                doc.Cell(title, f"{aside}, x 1e-3"),
                doc.Cell("99.904 %" if title == "Accuracy" else "6.43", glyphs=[glyph]),
                doc.Cell("99.891 to 99.917 %" if title == "Accuracy" else "5.7 to 7.2"),
                doc.Cell("99.891 to 99.922 %" if title == "Accuracy" else "5.3 to 7.1"),
                doc.Cell("as the model itself promises"),
            ]
        )
    return doc.Document(
        "Calibration report",
        "fraud model, 200,000 samples, 191 events",
        [
            doc.Table(columns, [doc.Group(rows)]),
            doc.Paragraph("Each row has its own scale.", "soft", "page"),
            pair_of_panels("before", "fraud model"),
            *folds(["fraud model"]),
        ],
        doc.Verdict(
            "nothing_seen", "No sign of miscalibration: 191 events where 186 were predicted."
        ),
        [doc.Verdict("effect", "None of the five measures is beyond chance (p = 0.68).")],
    )


def detection() -> doc.Document:
    """Return the document of a detector before and after, two glyphs in a cell."""
    columns = [
        doc.Column("Measure", kind="text"),
        doc.Column("Raw", essential=False),
        doc.Column("Calibrated", essential=False),
        doc.Column("Before, after"),
        doc.Column("Change", "95 % interval"),
        doc.Column("So", kind="text", essential=False),
    ]
    rows = []
    for place, title in enumerate(("LaECE", "LaACE", "Squared error", "D-ECE", "LRP")):
        worse = title == "D-ECE"
        rows.append(
            [
                doc.Cell(title, "gap between score and overlap, class by class, %"),
                doc.Cell("17.7", chance="14.5"),
                doc.Cell("16.4", chance="14.7"),
                doc.Cell(
                    "",
                    interval="from 17.7 to 16.4",
                    glyphs=[
                        doc.Glyph(0.8, band=(0.05, 0.45), beyond=place < 3, hollow=True),
                        doc.Glyph(0.3 + 0.15 * place, band=(0.1, 0.5), beyond=place > 1),
                    ],
                ),
                doc.Cell("+3.8 points" if worse else "-1.3 points", interval="-2.3 to -0.9"),
                doc.Cell(
                    "worse, by design" if worse else "better", ink="alarm" if worse else "plain"
                ),
            ]
        )
    return doc.Document(
        "Detection report",
        "YOLOX-Nano, 615 images, 3,356 boxes, 2,557 detections",
        [
            doc.Table(columns, [doc.Group(rows)]),
            doc.Paragraph(
                "Upper: before, hollow; lower: after. Each row has its own scale.", "soft"
            ),
            pair_of_panels("raw", "calibrated"),
            *folds(["raw", "calibrated"]),
        ],
        doc.Verdict(
            "detection",
            "Calibration brings scores closer to the {target}: it removes {share} % of the error "
            "beyond chance.",
            {"target": "overlap", "share": "47"},
        ),
        [
            doc.Verdict(
                "kept", "Nothing is lost: all 2,557 detections are kept, AP stays at 26.3 %."
            )
        ],
    )


def nasty() -> doc.Document:
    """Return a comparison of models whose names are long, markup or from right to left."""
    names = [LONG, ARABIC, HEBREW, f"{ARABIC} {HEBREW} 2", MARKUP, "a_b/c.d" * 8, "raw (before)"]
    return of_methods(names, LONG, n_ties=4)


SAMPLES = {
    "sixteen": lambda: of_methods(SIXTEEN, "dirichlet"),
    "four": lambda: of_methods(FOUR, "matrix_scaling", n_ties=2),
    "rare": rare,
    "detection": detection,
    "nasty": nasty,
    "forty": lambda: of_methods([f"model {k}" for k in range(40)], "model 0", n_ties=9),
}
