"""Tables of methods and of measures, made from the registries."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path

from numpydoc.docscrape import FunctionDoc
from public_names import Name, paths, public_names

from calib.evaluation.detection.metrics import METRICS
from calib.evaluation.report.further_measures import FURTHER, information
from calib.evaluation.report.measures import MeasureInfo, describe_measures
from calib.registry import CALIBRATORS, Entry

#: CPU seconds of a fit, over that of temperature scaling; by ``tools/measure_costs.py``.
COSTS = Path(__file__).resolve().parents[1] / "_static" / "costs.json"
#: What a map of each domain reads.
DOMAINS = {"logits": "logits", "proba": "probabilities", "declared": "either, as declared"}
#: Fields of a registry row that are no property of the method.
DESCRIBED = {"target", "summary", "reference", "needs"}
#: Headings of properties where the field's name alone does not say it.
HEADINGS = {
    "saves": "JSON",
    "onnx": "ONNX",
    "torch": "PyTorch",
    "torch_targets": "torch targets",
    "collections": "Dask",
}


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown."""
    lines = [list(head), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def link(name: str) -> str:
    """Return the link to a public name."""
    return f"{{py:obj}}`{name} <{paths()[name]}>`"


def methods() -> str:
    """Return what every method does and reads."""
    rows = []
    for name, row in CALIBRATORS.items():
        method = row.load()
        reads = DOMAINS[method.traits.domain]
        if not method.traits.pure:
            reads = "logits and features"
        soft = ", soft targets" if method.soft_targets else ""
        named = f"{{py:obj}}`{name} <{paths()[row.class_name]}>`"
        rows.append((named, row.summary, reads + soft, row.reference))
    return table(("name", "what it does", "reads", "reference"), rows)


def properties() -> str:
    """Return where every method goes, and what its fit costs."""
    shown = [field.name for field in fields(Entry) if field.name not in DESCRIBED]
    costs = json.loads(COSTS.read_text(encoding="utf-8"))["costs"]
    head = ["name", *(HEADINGS.get(name, name.replace("_", " ")) for name in shown)]
    sizes = list(next(iter(costs.values())))
    rows = []
    for name, row in CALIBRATORS.items():
        cells = [_cell(getattr(row, field)) for field in shown]
        times = [_times(costs.get(name, {}).get(size)) for size in sizes]
        rows.append((f"`{name}`", *cells, *times))
    return table((*head, *(f"fit, {size}" for size in sizes)), rows)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "–"
    if isinstance(value, (tuple, list, set, frozenset)):
        return ", ".join(map(str, value)) or "–"
    return str(value) or "–"


def _times(value: float | None) -> str:
    return "–" if value is None else f"{value:.2g}×" if value < 10 else f"{value:.0f}×"


def measures() -> str:
    """Return the measures of a classifier's report."""
    info = describe_measures(15, "top_label", None) | information(tuple(FURTHER), 15)
    rows = [
        (_titled(name, measure), _range(measure), measure.best, *_chance(measure.error))
        for name, measure in info.items()
    ]
    head = ("measure", "range", "better", "bias at few samples", "floor under calibration")
    return table(head, rows)


#: Names that measures of a report have as functions.
FUNCTIONS = {"brier": "brier_score"}


def _titled(name: str, measure: MeasureInfo) -> str:
    title = measure.title.partition(", 15 ")[0].partition(", class-wise, 15")[0]
    function = FUNCTIONS.get(name, name)
    return f"{title}<br>{link(function)}" if function in paths() else f"{title}<br>`{name}`"


def _range(measure: MeasureInfo) -> str:
    low, high = measure.bounds
    return f"{low:g} to {high:g}".replace("inf", "∞")


def _chance(error: bool) -> tuple[str, str]:
    if error:
        return "upwards; the report subtracts it", "above 0; the report shows it"
    return "none to speak of", "that of the true probabilities, unknown"


def detection_measures() -> str:
    """Return the measures of a detector."""
    rows = []
    for name, metric in METRICS.items():
        compared = {"tp": "being a true positive", "iou": "the overlap (IoU)"}[metric.target]
        function = link(name) if name in paths() else f"`{name}`"
        floor = "above 0; the report shows it" if metric.has_floor else "none of its own"
        kind = "mean" if metric.ratio is not None else "gaps of bins"
        rows.append((f"{metric.name}<br>{function}", compared, kind, metric.average, floor))
    head = ("measure", "scores are compared with", "made of", "classes", "floor under calibration")
    return table(head, rows)


def functions() -> str:
    """Return every function of `calib.evaluation` and `uq` that gives one number."""
    rows = []
    for entry in public_names():
        if (returned := _number(entry)) is not None:
            rows.append((link(entry.name), entry.summary, returned))
    return table(("function", "what it computes", "what it returns"), rows)


def _number(entry: Name) -> str | None:
    """Return what the docstring says of a returned number, None for everything else."""
    if entry.facade != "calib.evaluation" or entry.name[0].isupper():
        return None
    returned = FunctionDoc(entry.value)["Returns"]
    if len(returned) != 1 or not returned[0].type.startswith("float"):
        return None
    text = " ".join(returned[0].desc).strip()
    return text.replace("``", "`").replace("|", "\\|") or "a number"


#: File -> what writes its text.
TABLES: dict[str, Callable[[], str]] = {
    "methods": methods,
    "properties": properties,
    "measures": measures,
    "detection_measures": detection_measures,
    "functions": functions,
}
