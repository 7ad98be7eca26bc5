"""The figure of a report, over ranges and without, and the tables of ranges and classes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from calib._border.typing import Float64Array, LabelArray
from calib._core.binning import BinTable, cells_between
from calib._documents import document as doc
from calib._documents.digits import printed
from calib._documents.panels import Panel, Scale, key_of, runs, signed, thinned
from calib.evaluation.binned.tables import BinnedCalibrationTable, rows_of
from calib.evaluation.report.answer import Facts, percent
from calib.evaluation.report.records import ModelReport

#: Ranges of the prediction in the first panel.
N_RANGES = 10
#: The scale is stretched where the median prediction is so close to 0 or 1.
_NEAR_END = 0.1
#: A range whose outcomes are nearly certain shows nothing of its own.
_LEAST_INFORMATION = 1.0
#: Curves that reach less, or more, in half-widths of the band leave it only just, or widely.
_NARROW, _WIDE = 1.25, 2.0
#: Single classes that are listed.
_MOST_CLASSES = 25


def informative_table(
    prediction: Float64Array, event: LabelArray, weight: Float64Array | None
) -> BinnedCalibrationTable:
    """Return ranges that hold alike of both the samples and what they can tell, half and half.

    What a sample can tell is p (1 - p); so no range is nearly empty of either.
    """
    order = np.argsort(prediction, kind="stable")
    p = np.clip(prediction[order], 0.0, 1.0)
    mass = np.ones(len(p)) if weight is None else weight[order]
    information = mass * p * (1 - p)
    content = mass / mass.sum()
    if information.sum() > 0:
        content = (content + information / information.sum()) / 2
    reached = np.cumsum(content)
    cuts = np.searchsorted(reached, np.arange(1, N_RANGES) / N_RANGES)
    inner = np.unique(p[np.minimum(cuts, len(p) - 1)])
    edges = np.concatenate([[0.0], inner[(inner > 0) & (inner < 1)], [1.0]])
    cells = cells_between(prediction, edges)
    size = len(edges) - 1
    w = np.ones(len(prediction)) if weight is None else weight
    weights, predictions, events = (
        np.bincount(cells, part, size)[None].astype(np.float64)
        for part in (w, w * prediction, w * event)
    )
    table = BinTable(edges[None], weights, predictions, events)
    return rows_of(table, prediction[:, None], weight, np.array([None], dtype=object))


def figure_pair(facts: Facts) -> doc.Figures | None:
    """Return two panels with shared scales; nothing for a report without curves."""
    comparison = facts.comparison
    names = list(dict.fromkeys((comparison.reference, comparison.recommended)))
    chosen = comparison.recommended
    shown = {name: facts.models[name] for name in names}
    if any(model.curve is None or model.ranges is None for model in shown.values()):
        return None
    before = comparison.reference if comparison.reference != chosen else ""
    binary = facts.view == "binary"
    ranges = _ranges_panel(facts, shown, chosen)
    excess = {name: _excess(model, facts.confidence_level) for name, model in shown.items()}
    sums = _sums_panel(facts, shown, chosen)
    outcome = "events minus predictions" if binary else "right minus claimed"
    what = "how often the event happened" if binary else "how often the top label was right"
    ends = "; both scales are stretched towards 0 and 1, where the samples are"
    order = f"the least to the most {'likely' if binary else 'confident'}"
    falling = "too high" if binary else "overconfident"
    stretched = ends if _scale(facts, shown).stretched else ""
    note = (
        f"First: {what}, over ranges of the prediction{stretched}. Second: the same without "
        f"ranges: {outcome}, added up from {order} sample; a falling line "
        f"means {falling}. Dots on an edge lie beyond; small rings stand for ranges that can tell "
        "nothing."
    )
    key = key_of(before, chosen, f"chance, if {chosen} is calibrated", "outside: more than chance")
    return doc.Figures(_finding(excess, before, chosen), [ranges, sums], note, key=key)


def _finding(excess: Mapping[str, float], before: str, chosen: str) -> str:
    """Return what the second panel shows, as the title of both."""
    far = excess[chosen]
    if not before:
        verb = "leaves the band of chance" if far > 1 else "stays inside the band of chance"
        return f"{chosen} {verb}{_degree(far)}."
    first = excess[before]
    if first > 1 and far > 1:
        if _degree(first) == _degree(far):
            return f"Both {before} and {chosen} leave the band of chance{_degree(far)}."
        return (
            f"{before} leaves the band of chance{_degree(first)}, {chosen} "
            f"{_degree(far).strip() or 'clearly'}."
        )
    if first > 1:
        return f"{before} leaves the band of chance{_degree(first)}, {chosen} stays inside it."
    if far > 1:
        return f"{chosen} leaves the band of chance{_degree(far)}, {before} stays inside it."
    return f"Both {before} and {chosen} stay inside the band of chance."


def _degree(excess: float) -> str:
    """Return how far a curve leaves the band, in half-widths of the band; in words."""
    if excess <= 1:
        return ""
    return " widely" if excess > _WIDE else " only just" if excess < _NARROW else ""


def _excess(model: ModelReport, confidence_level: float) -> float:
    """Return the largest added-up gap in half-widths of the band."""
    curve = model.curve
    assert curve is not None
    largest, half = float(np.abs(curve.difference).max()), curve.band(confidence_level)
    if half > 0:
        return largest / half
    return float("inf") if largest > 0 else 0.0


def _scale(facts: Facts, shown: Mapping[str, ModelReport]) -> Scale:
    """Return the scale of predictions and rates, stretched where most lie near an end."""
    medians = []
    for model in shown.values():
        assert model.curve is not None
        place = int(np.searchsorted(model.curve.share, 0.5))
        medians.append(float(model.curve.score[min(max(place, 1), len(model.curve.score) - 1)]))
    if any(min(median, 1 - median) < _NEAR_END for median in medians):
        end = min(0.3 / facts.n_samples, 0.05)
        tables = [model.ranges for model in shown.values() if model.ranges is not None]
        places = np.concatenate([table.mean_prediction[table.weight > 0] for table in tables])
        low, high = max(end, float(places.min()) / 2), min(1 - end, (1 + float(places.max())) / 2)
        if facts.view != "binary":
            return Scale(max(low, 0.02), 1 - end, stretched=True)
        return Scale(low, max(high, 0.5) if high > 0.5 else max(high, 4 * low), stretched=True)
    return Scale(0.0, 1.0)


def _ranges_panel(facts: Facts, shown: Mapping[str, ModelReport], chosen: str) -> doc.Figure:
    """Return rates over ranges of the prediction, against the band of the recommended model."""
    binary, scale = facts.view == "binary", _scale(facts, shown)
    panel = Panel(
        scale,
        scale,
        "Predicted probability" if binary else "Confidence",
        "Observed rate" if binary else "Accuracy",
    )
    sentences, tables = [], []
    for name in sorted(shown, key=lambda name: name != chosen):  # the band lies below all points
        table = shown[name].ranges
        assert table is not None
        tables.append(table)
        filled = np.flatnonzero(table.weight > 0)
        low, high = table.consistency_band(1 - (1 - facts.confidence_level) / len(filled))
        p, rate = table.mean_prediction, table.observed_rate
        if name == chosen:
            panel.band(p[filled], low[filled], high[filled])
            panel.diagonal()
        outside = 0
        for place in filled:
            alarm = bool(rate[place] < low[place] - 1e-12 or rate[place] > high[place] + 1e-12)
            outside += alarm
            poor = table.effective_count[place] * p[place] * (1 - p[place]) < _LEAST_INFORMATION
            shape = "square" if name != chosen else "ring" if poor and not alarm else "dot"
            panel.point(p[place], rate[place], shape, alarm)  # type: ignore[arg-type]
        sentences.append(f"{name}: {outside} of {len(filled)} ranges outside the band of chance.")
    if scale.stretched:
        seen = np.concatenate([table.observed_rate[table.weight > 0] for table in tables])
        panel.note(
            f"upper edge: {'only events' if binary else 'no miss'} seen" if seen.max() == 1 else "",
            f"lower edge: no {'event' if binary else 'hit'} seen" if seen.min() == 0 else "",
        )
    title = f"{'Observed rate' if binary else 'Accuracy'} over ranges of the prediction"
    return doc.Figure("", panel.drawing(title, " ".join(sentences)))


def _sums_panel(facts: Facts, shown: Mapping[str, ModelReport], chosen: str) -> doc.Figure:
    """Return cumulative differences, against the band of the recommended model."""
    binary = facts.view == "binary"
    rare = binary and facts.models[chosen].mean_event < 0.01
    factor = 1e5 if rare else 1.0
    curves = {name: model.curve for name, model in shown.items() if model.curve is not None}
    half = {name: curve.band(facts.confidence_level) for name, curve in curves.items()}
    lows = [float(curve.difference.min()) for curve in curves.values()]
    highs = [float(curve.difference.max()) for curve in curves.values()]
    low, high = min(*lows, -half[chosen]) * factor, max(*highs, half[chosen]) * factor
    margin = 0.04 * max(high - low, 1e-9)
    panel = Panel(
        Scale(0.0, 1.0),
        Scale(low - margin, high + margin),
        f"Share of samples, from the least to the most {'likely' if binary else 'confident'}",
        "Added-up gap, per 100,000" if rare else "Added-up gap",
        x_text=lambda tick: f"{100 * tick:.0f} %",
    )
    ends = np.array([0.0, 1.0])
    reach = np.full(2, half[chosen] * factor)
    panel.band(ends, -reach, reach)
    panel.level(0.0)
    sentences = []
    for name in sorted(curves, key=lambda name: name == chosen):
        curve = curves[name]
        kept = thinned(curve.difference)
        share, gap = curve.share[kept], curve.difference[kept]
        dash, width, ink = ("", 2.0, "dot") if name == chosen else ("5 3", 1.5, "muted")
        for start, stop, alarm in runs(np.abs(gap) > half[name]):
            stretch = slice(max(start - 1, 0), stop)
            panel.curve(
                share[stretch], factor * gap[stretch], "alarm" if alarm else ink, dash, width
            )
        largest = float(gap[np.argmax(np.abs(gap))])
        verb = "leaves" if abs(largest) > half[name] else "stays within"
        sentences.append(
            f"{name}: largest added-up gap {signed(f'{factor * largest:.4g}')}, {verb} plus or "
            f"minus {factor * half[name]:.4g}."
        )
    return doc.Figure("", panel.drawing("Added-up gap", " ".join(sentences)))


# ----------------------------------------------------------------------- ranges and single classes


def ranges_table(table: BinnedCalibrationTable, view: str, confidence_level: float) -> doc.Table:
    """Return the bins of a model that are not empty."""
    filled = np.flatnonzero(table.weight > 0)
    low, high = table.consistency_band(1 - (1 - confidence_level) / max(len(filled), 1))
    rate = table.observed_rate
    claim, outcome = ("Predicted", "Happened") if view == "binary" else ("Claimed", "Right")
    rows = []
    for place in filled:
        outside = rate[place] < low[place] - 1e-12 or rate[place] > high[place] + 1e-12
        rows.append(
            [
                doc.Cell(f"{table.left[place]:.3g} to {table.right[place]:.3g}"),
                doc.Cell(f"{table.weight[place]:,.10g}"),
                doc.Cell(f"{percent(float(table.mean_prediction[place]))} %"),
                doc.Cell(f"{percent(float(rate[place]))} %", mark="*" if outside else ""),
                doc.Cell(f"{percent(float(low[place]))} to {percent(float(high[place]))} %"),
            ]
        )
    columns = [
        doc.Column("Range", kind="text"),
        doc.Column("Samples"),
        doc.Column(claim),
        doc.Column(outcome),
        doc.Column("Chance", "all ranges together"),
    ]
    return doc.Table(columns, [doc.Group(rows)])


def classes_fold(
    table: BinnedCalibrationTable, classes: LabelArray, n_bins: int, name: str, level: float
) -> doc.Fold:
    """Return how often every class was predicted and happened, the worst ones of many."""
    weight, predicted, happened, error = _class_sums(table, len(classes), n_bins)
    gap = predicted - happened
    size = np.abs(gap) / np.where(error > 0, error, np.inf)
    shown = np.arange(len(classes))
    note = ""
    if len(classes) > _MOST_CLASSES:
        shown = np.sort(np.argsort(-size, kind="stable")[:_MOST_CLASSES])
        note = f"the {_MOST_CLASSES} of {len(classes):,} that deviate most"
    from scipy.special import ndtri

    reach = float(ndtri(1 - (1 - level) / (2 * len(classes)))) * error
    bound = float(np.max(np.maximum(np.abs(gap[shown]), reach[shown]))) or 1.0
    rows = []
    for k in map(int, shown):
        beyond = bool(abs(gap[k]) > reach[k] + 1e-12)
        points = printed(100 * gap[k] if abs(gap[k]) > 1e-12 else 0.0, 2)
        glyph = doc.Glyph(
            dot=float((gap[k] / bound + 1) / 2),
            band=(float((1 - reach[k] / bound) / 2), float((1 + reach[k] / bound) / 2)),
            beyond=beyond,
        )
        rows.append(
            [
                doc.Cell(str(classes[k])),
                doc.Cell(f"{weight[k] * happened[k]:,.10g}"),
                doc.Cell(f"{percent(float(predicted[k]))} %"),
                doc.Cell(f"{percent(float(happened[k]))} %"),
                doc.Cell(
                    f"+{points}" if gap[k] > 1e-12 else points,
                    mark="*" if beyond else "",
                    chance=f"{printed(-100 * reach[k], 2)} to {printed(100 * reach[k], 2)}",
                    glyphs=[glyph],
                ),
            ]
        )
    columns = [
        doc.Column("Class", kind="text"),
        doc.Column("Samples"),
        doc.Column("Mean probability"),
        doc.Column("Happened"),
        doc.Column("Gap, points", "* more than chance"),
    ]
    blocks: list[doc.Block] = [
        doc.Paragraph(
            "Mean probability of each class against how often it occurred. A star marks more than "
            "chance, all classes together.",
            "soft",
        ),
        doc.Table(columns, [doc.Group(rows)]),
    ]
    return doc.Fold(f"Single classes of {name}", blocks, note)


def _class_sums(
    table: BinnedCalibrationTable, n_classes: int, n_bins: int
) -> tuple[Float64Array, ...]:
    """Return weight, mean prediction, rate and its standard error if calibrated, per class."""
    weight = table.weight.reshape(n_classes, n_bins)
    total = weight.sum(axis=1)

    def mean(values: Float64Array) -> Float64Array:
        filled = np.where(weight > 0, np.nan_to_num(values.reshape(n_classes, n_bins)), 0.0)
        return np.asarray((weight * filled).sum(axis=1) / total)

    predicted, happened = mean(table.mean_prediction), mean(table.observed_rate)
    variance = mean(table.mean_prediction * (1 - table.mean_prediction))
    effective = table.effective_count.reshape(n_classes, n_bins).sum(axis=1)
    return total, predicted, happened, np.sqrt(variance / np.maximum(effective, 1))
