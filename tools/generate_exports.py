"""Write the generated lists: lazy exports of packages, and the README's table of methods.

Run without arguments after adding a row to the registry; with ``--check`` nothing is written and
the exit code is 1 if a list is out of date.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import inspect
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import calib.warnings  # noqa: E402
from calib.registry import CALIBRATORS  # noqa: E402

LINE_LENGTH = 100
#: Public names beside the registered calibrators.
OTHERS = {
    "BaseCalibrator": "calib.base",
    "CALIBRATORS": "calib.registry",
    "CalibratedClassifier": "calib.classifier",
    "DenseCalibrator": "calib.dense",
    "DistributionCalibrator": "calib.calibrators.distribution",
    "ExternalCalibrator": "calib.calibrators.external",
    "PriorShiftAdapter": "calib.prior_shift",
    "MultilabelCalibrator": "calib.multilabel.calibrator",
    "all_calibrators": "calib.registry",
    "ViewScores": "calib.views.scores",
    "VennAbersRegressor": "calib.calibrators.venn_abers.regressor",
    "load": "calib.persistence",
    "make_calibrator": "calib.registry",
    "save": "calib.persistence",
    "undersampled_prior": "calib.prior_shift",
}
#: File, first line and last line of each generated block.
INIT = (ROOT / "calib" / "__init__.py", "# <generated>", "# </generated>")
EVALUATION = (ROOT / "calib" / "evaluation" / "__init__.py", "# <generated>", "# </generated>")
README = (ROOT / "README.md", "<!-- calibrators:begin -->", "<!-- calibrators:end -->")


def module_of() -> dict[str, str]:
    """Return the module of every public name of `calib`."""
    names = OTHERS | warnings_of(calib.warnings)
    for row in CALIBRATORS.values():
        names[row.class_name] = row.target.partition(":")[0]
    return dict(sorted(names.items()))


def warnings_of(module: ModuleType) -> dict[str, str]:
    """Return the module of every warning class that it defines."""
    return {
        name: module.__name__
        for name, value in vars(module).items()
        if inspect.isclass(value) and value.__module__ == module.__name__
    }


def constants_first(name: str) -> tuple[int, str]:
    """Sort as ruff does: constants, classes, functions."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


def exports(names: dict[str, str]) -> str:
    """Return the imports for type checkers, the table for lazy imports, and ``__all__``."""
    lines = ["if TYPE_CHECKING:"]
    for module in sorted(set(names.values())):
        found = [name for name in names if names[name] == module]
        found.sort(key=lambda name: (*constants_first(name)[:1], name.casefold()))
        lines += import_lines(module, found)
    return "\n".join([*lines, "", lookup(names)])


def lookup(names: dict[str, str], unlisted: frozenset[str] = frozenset()) -> str:
    """Return the table for lazy imports, and ``__all__`` without what is merely importable."""
    lines = ["_MODULE_OF = {"]
    lines += [f'    "{name}": "{module}",' for name, module in names.items()]
    lines += ["}", "", "__all__ = ["]
    lines += [f'    "{name}",' for name in sorted(names.keys() - unlisted, key=constants_first)]
    return "\n".join([*lines, "]"])


def typed_imports(path: Path) -> tuple[dict[str, str], frozenset[str]]:
    """Return the module of every name that a package imports for type checkers.

    The second result holds the names imported as themselves (``Interval as Interval``), which stay
    importable and are not listed.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    (block,) = [
        node.body
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    aliases = [
        (alias, str(node.module))
        for node in block
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    modules = dict(sorted((alias.name, module) for alias, module in aliases))
    return modules, frozenset(alias.name for alias, _ in aliases if alias.asname)


def import_lines(module: str, names: list[str]) -> list[str]:
    """Return one import statement, broken where it does not fit."""
    line = f"    from {module} import {', '.join(names)}"
    if len(line) <= LINE_LENGTH:
        return [line]
    return [f"    from {module} import (", *(f"        {name}," for name in names), "    )"]


def table() -> str:
    """Return the README's table of calibrators."""
    lines = ["| name | what it does |", "|---|---|"]
    lines += [f'| `"{name}"` | {row.summary} |' for name, row in CALIBRATORS.items()]
    return "\n".join(lines)


def renewed(path: Path, begin: str, end: str, body: str) -> str:
    """Return the text of a file with the lines between two marker lines replaced."""
    lines = path.read_text(encoding="utf-8").split("\n")
    starts = [number for number, line in enumerate(lines) if line.startswith(begin)]
    ends = [number for number, line in enumerate(lines) if line.startswith(end)]
    if len(starts) != 1 or len(ends) != 1 or ends[0] < starts[0]:
        raise SystemExit(f"{path.name}: needs one line {begin!r} and, after it, one {end!r}")
    return "\n".join([*lines[: starts[0] + 1], body, *lines[ends[0] :]])


def main(arguments: list[str] | None = None) -> int:
    """Write or check all blocks; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if out of date")
    options = parser.parse_args(arguments)
    stale = 0
    blocks = (
        (INIT, exports(module_of())),
        (EVALUATION, lookup(*typed_imports(EVALUATION[0]))),
        (README, table()),
    )
    for (path, begin, end), body in blocks:
        old, new = path.read_text(encoding="utf-8"), renewed(path, begin, end, body)
        if old == new:
            continue
        stale = 1
        if options.check:
            name = path.relative_to(ROOT).as_posix()
            sys.stdout.writelines(
                difflib.unified_diff(
                    old.splitlines(keepends=True),
                    new.splitlines(keepends=True),
                    name,
                    f"{name} (generated)",
                )
            )
        else:
            path.write_text(new, encoding="utf-8")
    return stale if options.check else 0


if __name__ == "__main__":
    sys.exit(main())
