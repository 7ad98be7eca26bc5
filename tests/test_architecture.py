"""The rules of the tree: who imports whom, what stays light, what has to be listed and documented.

Everything is enumerated from the files and the registry: adding a calibrator needs no edit here.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from calib import CALIBRATORS, BaseCalibrator

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("calib", "uq")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

#: What every part may import.
BELOW = ("calib._border", "calib._lazy", "calib.warnings", "calib.progress", "calib._version")
#: Part of the tree -> parts it may import, itself aside. What has no row sits on top of `calib`.
LAYERS: dict[str, tuple[str, ...]] = {
    "calib._border": ("calib.warnings",),
    "calib._lazy": (),
    "calib._names": (),
    "calib.warnings": (),
    "calib.progress": ("calib._border",),
    "calib._core": BELOW,
    "calib._documents": ("calib._border",),
    "calib.base": (*BELOW, "calib._core", "calib._documents"),
    "calib.calibrators": (*BELOW, "calib._core", "calib.base"),
    "calib.registry": (*BELOW, "calib._core"),
    "calib.classifier": (
        *BELOW,
        "calib._core",
        "calib._documents",
        "calib.base",
        "calib.registry",
        "calib.multilabel",
    ),
    "calib.grouped": (*BELOW, "calib._core", "calib.base", "calib.registry"),
    "calib.dense": (*BELOW, "calib._core", "calib.base", "calib.registry", "calib.grouped"),
    "calib.multilabel": (*BELOW, "calib._core", "calib.base", "calib.registry", "calib.grouped"),
    "calib.detection": (
        *BELOW,
        "calib._core",
        "calib._documents",
        "calib.base",
        "calib.registry",
        "calib.grouped",
    ),
    "calib.evaluation.views": (*BELOW, "calib._core"),
    "calib.evaluation.sampling": (*BELOW, "calib._core"),
    "calib.evaluation.regression.report": (
        *BELOW,
        "calib._core",
        "calib._documents",
        "calib.evaluation.sampling",
        "calib.evaluation.regression",
        "calib.evaluation.display",
        "calib.evaluation.report",
    ),
    "calib.evaluation.regression": (*BELOW, "calib._core"),
    "calib.evaluation.binned": (*BELOW, "calib._core", "calib.evaluation.views"),
    "calib.evaluation.unbinned": (
        *BELOW,
        "calib._core",
        "calib.evaluation.views",
        "calib.evaluation.sampling",
    ),
    "calib.evaluation.segments": (
        *BELOW,
        "calib._core",
        "calib._documents",
        "calib.evaluation.views",
        "calib.evaluation.sampling",
        "calib.evaluation.unbinned",
    ),
    "calib.evaluation.proper": (
        *BELOW,
        "calib._core",
        "calib.base",
        "calib.registry",
        "calib.evaluation.views",
        "calib.evaluation.sampling",
        "calib.evaluation.binned",
    ),
    "calib.evaluation.significance": (
        *BELOW,
        "calib._core",
        "calib._documents",
        "calib.evaluation.views",
        "calib.evaluation.sampling",
        "calib.evaluation.unbinned",
    ),
    "calib.evaluation": (
        *BELOW,
        "calib._core",
        "calib._documents",
        "calib.registry",
        "calib.dense",
        "calib.detection",
        "calib.multilabel",
    ),
    "uq": ("calib",),
}
#: Part of `uq` -> parts of `calib` without a public list that it is built of, too.
SHARED = {
    "uq.cli": ("calib.cli",),
    "uq.costs": ("calib.evaluation.display.axes",),
    "uq.selective.selective_table": ("calib.evaluation.display.axes",),
}
#: Packages that are slow to import or optional: only inside functions.
HEAVY = {
    "dask", "distributed", "faiss", "jinja2", "mapie", "matplotlib", "netcal", "numba", "onnx",
    "onnxruntime", "onnxscript", "pandas", "polars", "pyarrow", "rich", "skl2onnx", "skops",
    "torch", "tqdm",
}  # fmt: skip
HEAVY_AT_TOP = {("calib/export/modules.py", "torch")}
#: Must not be loaded by importing the packages, by whatever route.
NEVER_LOADED = ("jinja2", "torch", "matplotlib", "pandas", "netcal", "mapie")
#: Call -> the only file that makes it.
ONE_PLACE = {
    "warnings.warn": "calib/_border/warn.py",
    "np.random.default_rng": "calib/_border/random.py",
    "np.random.RandomState": "calib/_border/random.py",
    "rng.multinomial": "calib/evaluation/sampling/draws.py",
}
#: Where values are asked whether they are numbers.
ASKS_FOR_NUMBERS = "calib/_border/checks.py"
#: The only file that opens others for writing.
WRITER = "calib/_border/files.py"
#: The only folder that holds tags, the file that knows pages by theirs, and what a tag is.
TEMPLATES, RECOGNISES_PAGES = "calib/_documents/templates", "calib/cli/files/targets.py"
TAG = re.compile(
    r"<!doctype|</?(?:a|b|body|circle|code|desc|details|div|em|figcaption|figure|h[1-6]|head|html"
    r"|i|li|line|meta|ol|p|path|polygon|polyline|pre|rect|small|span|strong|style|summary|svg"
    r"|table|tbody|td|text|th|thead|title|tr|tspan|ul)(?=[\s/>]|$)",
    re.IGNORECASE,
)
#: What tests and examples import from; all other modules may move.
FACADES = {
    "calib", "calib.cli", "calib.datasets", "calib.detection", "calib.distributed",
    "calib.evaluation", "calib.export", "calib.views", "calib.warnings", "uq", "uq.warnings",
}  # fmt: skip
#: Lines that import other modules, in the tests of private parts together.
MOST_PRIVATE_IMPORTS = 60
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "misc", "common"}
#: Lines of code, without blank lines, comments and docstrings.
LONGEST_FILE = 450
#: CPU seconds that an import may take beyond `import sklearn`.
LIGHT = 0.5
MACHINE_PATH = re.compile(
    r"(?<![\w.:/~*)\]}>-])/(?:home|root|Users|opt|work|mnt|tmp)/\w|file:///?\w"
)


@dataclasses.dataclass(frozen=True)
class Import:
    """One imported module (or name in a module) with where it stands."""

    module: str
    name: str | None
    line: int
    at_top: bool


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path) for path in FILES}


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def imports_of(path: Path) -> list[Import]:
    """Return the imports that run; those under ``if TYPE_CHECKING`` do not."""
    return list(_imports(tree_of(path), at_top=True))


def _imports(node: ast.AST, *, at_top: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, None, child.lineno, at_top)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"line {child.lineno}: relative import"
            for alias in child.names:
                whole = f"{child.module}.{alias.name}"
                if whole in MODULES:
                    yield Import(whole, None, child.lineno, at_top)
                else:
                    yield Import(str(child.module), alias.name, child.lineno, at_top)
        function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        yield from _imports(child, at_top=at_top and not function)


def within(module: str, part: str) -> bool:
    return module == part or module.startswith(part + ".")


def private_modules(tree: ast.AST) -> tuple[list[str], list[str]]:
    """Return the modules beside the façades that are imported, and those named in texts."""
    imported = dict.fromkeys(
        f"line {found.line}: {found.module}" for found in _imports(tree, at_top=True)
        if found.module.partition(".")[0] in PACKAGES and found.module not in FACADES
    )  # fmt: skip
    named = [
        f"line {node.lineno}: {path}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for path in re.findall(r"\b(?:calib|uq)(?:\.\w+)+", node.value)
        if not any(module in FACADES for module in longest_module(path))
    ]
    return list(imported), named


def longest_module(path: str) -> list[str]:
    """Return the module that a dotted path begins with, the deepest; empty where there is none."""
    parts = path.split(".")
    starts = [".".join(parts[:size]) for size in range(len(parts), 0, -1)]
    return [start for start in starts if start in MODULES][:1]


@pytest.fixture(params=FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def source(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


# ---------------------------------------------------------------------- syntax trees


def test_imports_point_downwards(source: Path) -> None:
    module = module_of(source)
    layer = next((part for part in LAYERS if within(module, part)), None)
    if module == "calib":
        # other names are imported when they are used
        allowed: tuple[str, ...] = ("calib._lazy", "calib._names", "calib._version")
    else:
        allowed = ("calib",) if layer is None else (layer, *LAYERS[layer])
    for found in imports_of(source):
        if any(within(found.module, package) for package in PACKAGES):
            legal = any(within(found.module, part) for part in allowed)
            assert legal, f"{module}, line {found.line}: must not import {found.module}"


def test_uq_uses_public_names_of_calib(source: Path) -> None:
    module = module_of(source)
    if not within(module, "uq"):
        return
    listed = [part for owner, parts in SHARED.items() if within(module, owner) for part in parts]
    for found in imports_of(source):
        if not within(found.module, "calib") or any(
            within(found.module, part)
            for part in ("calib._core", "calib._documents", *BELOW, *listed)
        ):
            continue
        public = getattr(importlib.import_module(found.module), "__all__", ())
        named = found.name is None or found.name in {*public, *importable(found.module)}
        assert named, f"line {found.line}: {found.module}.{found.name} is not public"


def test_heavy_packages_are_imported_inside_functions(source: Path) -> None:
    name = source.relative_to(ROOT).as_posix()
    heavy = {
        found.module.partition(".")[0]: found.line for found in imports_of(source) if found.at_top
    }
    found = {package for package in heavy.keys() & HEAVY if (name, package) not in HEAVY_AT_TOP}
    assert not found, f"imported at the top: {sorted(found)}"


def test_only_one_file_touches_internals_of_sklearn(source: Path) -> None:
    if source.name == "sklearn_compat.py":
        return
    for found in imports_of(source):
        parts = [*found.module.split("."), found.name or ""]
        private = any(part.startswith("_") and not part.startswith("__") for part in parts)
        assert parts[0] != "sklearn" or not private, f"line {found.line}: {'.'.join(parts)}"


def test_files_are_short_and_named_for_what_they_hold(source: Path) -> None:
    assert not VAGUE_NAMES & set(source.relative_to(ROOT).with_suffix("").parts)
    assert lines_of_code(source.read_text(encoding="utf-8")) <= LONGEST_FILE


def lines_of_code(text: str) -> int:
    tree, documented = ast.parse(text), set[int]()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and (
            ast.get_docstring(node, clean=False) is not None
        ):
            documented |= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return sum(
        1
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and number not in documented and not line.strip().startswith("#")
    )


def test_warnings_files_and_generators_have_one_place(source: Path) -> None:
    """Each of these calls stands in one file; everything else asks that file."""
    name = source.relative_to(ROOT).as_posix()
    for node in ast.walk(tree_of(source)):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            for call, place in ONE_PLACE.items():
                assert called != call or name == place, f"{name}, line {node.lineno}: {call}"
            number = called == "isinstance" and re.search(
                r"np\.(number|integer|floating)", ast.unparse(node)
            )
            assert not number or name == ASKS_FOR_NUMBERS, f"{name}, line {node.lineno}"
            writes = writing_call(node)
            assert writes is None or name == WRITER, f"{name}, line {node.lineno}: {writes}"
        if isinstance(node, ast.ClassDef) and node.name.endswith("Warning"):
            assert source.name == "warnings.py", f"{name}, line {node.lineno}: {node.name}"


def test_tags_stand_in_templates(source: Path) -> None:
    if source.relative_to(ROOT).as_posix() == RECOGNISES_PAGES:
        return
    found = tags_in(source.read_text(encoding="utf-8"))
    assert not found, f"{found}: say it in a block, and show it in {TEMPLATES}"
    assert (ROOT / TEMPLATES / "blocks.html").is_file()


def tags_in(text: str) -> list[str]:
    """Return the tags in the strings of a file, docstrings aside."""
    tree = ast.parse(text)
    documented = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    strings = (
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in documented
    )
    return [tag for string in strings for tag in TAG.findall(string)]


def writing_call(node: ast.Call) -> str | None:
    """Return the text of a call that opens or replaces a file at a path, None for any other.

    An ``open`` counts unless its mode is written out and only reads. Members of an ``archive`` and
    writers that are handed an open ``file`` or ``stream`` write into what was opened elsewhere.
    """
    called, text = ast.unparse(node.func), ast.unparse(node)
    last = called.rpartition(".")[2]
    if called.startswith("archive.") or "os.devnull" in text:
        return None
    if last in ("open", "fdopen"):
        place = 0 if called not in ("open", "os.open", "gzip.open", "io.open", "os.fdopen") else 1
        modes = [k.value for k in node.keywords if k.arg == "mode"] + node.args[place : place + 1]
        if not modes:
            return None
        constant = isinstance(modes[0], ast.Constant) and isinstance(modes[0].value, str)
        mode = modes[0].value if constant else "+"
        return text if set(str(mode)) & set("wax+") else None
    handed_over = {"file", "stream"} & {ast.unparse(argument) for argument in node.args[:2]}
    if last in ("save", "savez", "savez_compressed", "write_table", "savefig", "dump"):
        owner = called.rpartition(".")[0]
        libraries = ("np", "numpy", "parquet", "feather", "figure", "plt", "torch", "pickle")
        return text if owner in libraries and not handed_over else None
    if last in ("write_text", "write_bytes", "touch", "mkstemp", "NamedTemporaryFile"):
        return text if called != "write_text" else None
    if called in ("os.replace", "os.rename", "shutil.move", "shutil.copy", "shutil.copyfile"):
        return text
    return None


TESTS = sorted((ROOT / "tests").rglob("*.py"))


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_tests_import_from_facades(path: Path) -> None:
    """Tests of private parts stand together; every other test outlives a move of modules."""
    if "internals" in path.parts:
        return
    imported, named = private_modules(tree_of(path))
    assert not imported
    assert not named or path.name == Path(__file__).name


def test_few_tests_know_private_modules() -> None:
    known = {
        f"{path.name}, {line.partition(':')[0]}"
        for path in TESTS
        if "internals" in path.parts
        for line in private_modules(tree_of(path))[0]
    }
    assert len(known) <= MOST_PRIVATE_IMPORTS, "\n".join(sorted(known))


def test_examples_import_from_facades(source: Path) -> None:
    for line in re.findall(r"^\s*(?:>>>|\.\.\.) (.*)", source.read_text(encoding="utf-8"), re.M):
        found = re.match(r"\s*(?:from|import) ((?:calib|uq)\b[\w.]*)", line)
        assert found is None or found[1] in FACADES, line


def test_the_rules_would_notice() -> None:
    tree = ast.parse(
        "from typing import TYPE_CHECKING\nimport calib._core.links\nif TYPE_CHECKING:\n"
        "    import torch\ndef f():\n    from sklearn.utils import _hidden\n"
        "try:\n    import pandas\nexcept ImportError: ...\n"
    )
    found = [(one.module, one.name, one.at_top) for one in _imports(tree, at_top=True)]
    assert found == [
        ("typing", "TYPE_CHECKING", True),
        ("calib._core.links", None, True),
        ("sklearn.utils", "_hidden", False),
        ("pandas", None, True),
    ]
    for text, writes in {
        'open(path, "w")': True, 'path.open("wb")': True, 'path.open(mode="a")': True,
        "path.open(mode)": True, 'gzip.open(path, "wt")': True, "path.write_text(text)": True,
        "os.replace(a, b)": True, "np.savez(path, a=a)": True, "parquet.write_table(t, path)": True,
        "open(path)": False, 'path.open("rb")': False, 'archive.open("a", "w")': False,
        "np.savez(file, a=a)": False, "parquet.write_table(t, file)": False,
        "os.open(os.devnull, os.O_WRONLY)": False,
        'text.replace("a", "b")': False, "write_text(text, out)": False,
    }.items():  # fmt: skip
        call = ast.parse(text, mode="eval").body
        assert isinstance(call, ast.Call)
        assert (writing_call(call) is not None) is writes, text
    assert tags_in("x = f'<td>{number}'\ny = '</table'") == ["</table", "<td"]
    assert tags_in("def f():\n    '''A <b>docstring</b>.'''\n    return 'n_bins < 3'") == []
    tree = ast.parse(
        "import calib, uq.warnings\nfrom calib.evaluation import brier\n"
        "def f():\n    from calib._core import links, newton\n    g('calib._core.heads.STEPS', 1)\n"
        "    g('ignore::calib.warnings.CalibWarning', 'calib.evaluation.brier')\n"
    )
    assert private_modules(tree) == (
        ["line 4: calib._core.links", "line 4: calib._core.newton"],
        ["line 5: calib._core.heads.STEPS"],
    )
    slash = chr(47)
    assert MACHINE_PATH.search(f'"{slash}home{slash}someone"')
    assert not MACHINE_PATH.search("https://example.org/home/page")


# ---------------------------------------------------------------------- rooms, circles, privacy

#: Modules a folder may hold; `calibrators` is a catalogue, one method a file.
MOST_MODULES = 14
CATALOGUES = {"calib/calibrators"}
#: A module with fewer lines of code and a single importer belongs into that importer; a form that
#: documents are rendered to is a file whatever its length.
FEWEST_LINES, FORMS = 60, {"calib._documents.html", "calib._documents.latex"}
#: The lists of public names, which import everything and are imported by no module of theirs.
LISTS = {"calib", "uq", "calib.cli", "calib.distributed", "calib.evaluation", "calib.detection"}
#: Equal lines of code in a row that may not stand in two files.
LONGEST_COPY = 8


def all_imports_of(path: Path) -> set[str]:
    """Return the modules that a file names in an import: at the top, in a function, for types."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            wholes = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {whole if whole in MODULES else str(node.module) for whole in wholes}
    return found & MODULES


GRAPH = {module_of(path): all_imports_of(path) - {module_of(path)} for path in FILES}


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the groups of modules that reach each other (strongly connected components)."""
    reached: dict[str, set[str]] = {}
    for start in graph:
        seen, waiting = set[str](), [start]
        while waiting:
            for module in graph[waiting.pop()] - seen:
                seen.add(module)
                waiting.append(module)
        reached[start] = seen
    groups = {
        tuple(sorted(b for b in reached[a] if a in reached[b])) for a in graph if a in reached[a]
    }
    return [list(group) for group in sorted(groups)]


def test_files_import_each_other_in_no_circle() -> None:
    inner = {module: found for module, found in GRAPH.items() if module not in LISTS}
    lists_aside = {module: found - LISTS for module, found in inner.items()}
    assert circles(lists_aside) == []
    for module, found in inner.items():
        own = {one for one in LISTS & found if module.startswith(one + ".")}
        assert not own, f"{module} imports {own}, which imports it"


def test_rooms_are_small() -> None:
    for folder in {path.parent for path in FILES}:
        modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
        name = folder.relative_to(ROOT).as_posix()
        assert len(modules) <= MOST_MODULES or name in CATALOGUES, f"{name}: {len(modules)}"


def test_small_modules_serve_several(source: Path) -> None:
    module = module_of(source)
    importers = [other for other, found in GRAPH.items() if module in found and other not in LISTS]
    kept = source.name == "__init__.py" or module in FORMS or exported(module)
    if len(importers) == 1 and not kept:
        lines = lines_of_code(source.read_text(encoding="utf-8"))
        assert lines >= FEWEST_LINES, f"{lines} lines for {importers[0]} alone"


def exported(module: str) -> bool:
    return any(module in GRAPH[name] for name in LISTS)


def test_names_with_an_underscore_stay_at_home(source: Path) -> None:
    """Reaching into another object is for its own class and file, and methods of tuples."""
    tree = ast.parse(source.read_text(encoding="utf-8"))
    made_here = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and private(node.attr):
            owner = ast.unparse(node.value)
            home = owner in ("self", "cls", "type(self)", "super()") or node.attr in OF_TUPLES
            home = home or node.attr in made_here
            listed = (source.relative_to(ROOT).as_posix(), node.attr) in FOREIGN
            assert home or listed, f"line {node.lineno}: {owner}.{node.attr}"
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] in PACKAGES:
            hidden = [alias.name for alias in node.names if private(alias.name)]
            hidden = [name for name in hidden if f"{node.module}.{name}" not in MODULES]
            assert not hidden, f"line {node.lineno}: {hidden}"


#: Public methods of named tuples, whose names begin with an underscore.
OF_TUPLES = {"_replace", "_asdict", "_fields"}
#: Members of other libraries that have no public spelling.
FOREIGN = {
    ("calib/_border/warn.py", "_getframe"),
    ("calib/cli/program.py", "_actions"),
    ("calib/cli/program.py", "_SubParsersAction"),
}


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def test_a_name_means_one_thing() -> None:
    """No two public functions or classes of one name at the top of modules."""
    places: dict[str, list[str]] = {}
    for path in FILES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            if (function or isinstance(node, ast.ClassDef)) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(module_of(path))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def code_of(path: Path) -> list[tuple[int, str]]:
    """Return number and text of the lines of code; imports and signatures are none."""
    text = path.read_text(encoding="utf-8")
    tree, skipped = ast.parse(text), set[int]()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            skipped |= set(range(node.lineno, (node.end_lineno or 0) + 1))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            skipped |= set(range(node.lineno, node.body[0].lineno))
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and (
            ast.get_docstring(node, clean=False) is not None
        ):
            skipped |= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return [
        (number, line.strip())
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip()
        and number not in skipped
        and not line.strip().startswith("#")
        and not re.fullmatch(r"self\.(\w+) = \1", line.strip())  # as scikit-learn demands
    ]


def test_no_code_stands_twice() -> None:
    seen: dict[tuple[str, ...], str] = {}
    copies = []
    for path in FILES:
        if path.name == "__init__.py":
            continue
        lines, name = code_of(path), path.relative_to(ROOT).as_posix()
        for start in range(len(lines) - LONGEST_COPY + 1):
            run = lines[start : start + LONGEST_COPY]
            texts = tuple(text for _, text in run)
            before = seen.setdefault(texts, f"{name}:{run[0][0]}")
            if before.partition(":")[0] != name:
                copies.append(f"{name}:{run[0][0]} ~ {before}")
    assert copies == []


def test_summaries_are_in_the_indicative_of_the_field(source: Path) -> None:
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            summary = (ast.get_docstring(node) or "").partition("\n")[0]
            assert not summary.startswith("Tell "), f"line {node.lineno}: {summary}"


# ---------------------------------------------------------------------- light imports

IMPORT = """
import json, sys, time
{before}
known, start = set(sys.modules), time.process_time()
{statement}
elapsed = time.process_time() - start
print(json.dumps([elapsed, sorted(set(sys.modules) - known)]))
"""


@pytest.mark.parametrize(
    ("before", "statement"),
    [
        ("", "import calib"),
        ("import sklearn", "import calib; calib.TemperatureCalibrator"),
        ("import sklearn", "import calib; [getattr(calib, name) for name in calib.__all__]"),
        (
            "import sklearn",
            "import calib.evaluation as e; [getattr(e, name) for name in e.__all__]",
        ),
        ("import sklearn", "import uq; [getattr(uq, name) for name in uq.__all__]"),
    ],
    ids=["calib alone", "one calibrator", "all of calib", "all of evaluation", "all of uq"],
)
def test_imports_are_light(before: str, statement: str) -> None:
    """What scikit-learn loads itself (pandas, where there is one) is not counted."""
    best, loaded = float("inf"), set()
    for _ in range(3):
        code = IMPORT.format(before=before, statement=statement)
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
        )
        assert done.returncode == 0, done.stderr
        elapsed, modules = json.loads(done.stdout)
        best, loaded = min(best, elapsed), {name.partition(".")[0] for name in modules}
        if best < LIGHT:
            break
    assert not loaded & set(NEVER_LOADED)
    assert best < LIGHT, f"{best:.2f} s of CPU beyond scikit-learn"


# ---------------------------------------------------------------------- registry and exports


@pytest.mark.parametrize("name", CALIBRATORS)
def test_registry_row(name: str) -> None:
    row = CALIBRATORS[name]
    module, _, class_name = row.target.partition(":")
    assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
    assert re.fullmatch(r"calib\.calibrators\.[a-z][a-z0-9_]*(\.calibrator)?", module)
    assert re.fullmatch(r"[A-Z]\w*Calibrator", class_name)
    assert row.summary
    assert row.reference
    method = row.load()
    assert issubclass(method, BaseCalibrator)
    assert method.__module__ == module, "defined where the row says"
    assert len(inspect.getmro(method)) - len(inspect.getmro(BaseCalibrator)) <= 2
    assert isinstance(method(), BaseCalibrator), "every parameter has a default"


def test_every_calibrator_is_registered() -> None:
    registered = {row.target for row in CALIBRATORS.values()}
    for path in sorted((ROOT / "calib" / "calibrators").rglob("*.py")):
        module = importlib.import_module(module_of(path))
        for name, found in inspect.getmembers(module, inspect.isclass):
            if not issubclass(found, BaseCalibrator) or found.__module__ != module.__name__:
                continue
            needs_argument = any(
                parameter.default is parameter.empty
                for parameter in inspect.signature(found).parameters.values()
            )
            target, has_children = f"{module.__name__}:{name}", bool(found.__subclasses__())
            assert needs_argument or has_children or target in registered, target


def test_generated_lists_are_up_to_date() -> None:
    tool = ROOT / "tools" / "generate_exports.py"
    if not tool.is_file():
        pytest.skip("the tool is not part of the source distribution")
    done = subprocess.run(
        [sys.executable, str(tool), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def importable(package: str) -> set[str]:
    """Return the names that a package imports as themselves: importable, and in no list."""
    path = next((path for path in FILES if module_of(path) == package), None)
    return {
        alias.name
        for node in (ast.walk(tree_of(path)) if path else ())
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname == alias.name
    }


def public_lists() -> dict[str, list[str]]:
    """Return ``__all__`` of every module that has one, read without importing it."""
    lists = {}
    for path in FILES:
        for node in tree_of(path).body:
            if isinstance(node, (ast.Assign, ast.AnnAssign)):
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                if isinstance(target, ast.Name) and target.id == "__all__" and node.value:
                    lists[module_of(path)] = ast.literal_eval(node.value)
    return lists


PUBLIC = public_lists()


@pytest.mark.parametrize("module", PUBLIC)
def test_public_list_is_sorted(module: str) -> None:
    rank = {name: 0 if name.isupper() else 1 if name[0].isupper() else 2 for name in PUBLIC[module]}
    assert PUBLIC[module] == sorted(rank, key=lambda name: (rank[name], name))


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module in PUBLIC for name in PUBLIC[module]]
)
def test_public_name_is_documented(module: str, name: str) -> None:
    path = next(path for path in FILES if module_of(path) == module)
    for one in imports_of(path):
        if one.at_top and one.module in HEAVY:
            pytest.importorskip(one.module)
    found = getattr(importlib.import_module(module), name)
    if not (inspect.isclass(found) or inspect.isfunction(found)):
        return
    text = vars(found).get("__doc__") if inspect.isclass(found) else found.__doc__
    assert text, "no docstring"
    if inspect.isclass(found) and issubclass(found, BaseException):
        return
    documented = documented_parameters(inspect.cleandoc(text), found)
    missing = [parameter for parameter in parameters_of(found) if parameter not in documented]
    assert not missing, f"not under Parameters: {missing}"
    if inspect.isclass(found):
        for method, value in inspect.getmembers(found, inspect.isfunction):
            own = value.__module__.partition(".")[0] in PACKAGES
            assert method.startswith("_") or not own or inspect.getdoc(value), method


def parameters_of(found: type) -> list[str]:
    try:
        parameters = inspect.signature(found).parameters.values()
    except ValueError:
        return []
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    return [stars.get(parameter.kind, "") + parameter.name for parameter in parameters]


def documented_parameters(text: str, found: object) -> set[str]:
    """Return the names in the section Parameters; for records in Attributes as well."""
    record = dataclasses.is_dataclass(found) or hasattr(found, "_fields")
    wanted = {"Parameters", "Attributes"} if record else {"Parameters"}
    lines, section, names = text.splitlines(), "", set()
    for number, line in enumerate(lines):
        if number + 1 < len(lines) and re.fullmatch(r"-{3,}", lines[number + 1]):
            section = line.strip()
        elif section in wanted and (match := re.match(r"([\w*][\w*, ]*?)\s*:\s", line)):
            names |= {part.strip() for part in match[1].split(",")}
    return names


# ---------------------------------------------------------------------- the repository


#: Folders of what is made and not kept.
BUILT = {"__pycache__", "build", "dist", "_build", "generated"}


def repository_files() -> list[Path]:
    """Return the text files of the repository; what is built, cached or hidden aside."""
    kept = []
    for path in ROOT.rglob("*"):
        parts = path.relative_to(ROOT).parts
        hidden = any(part.startswith(".") and part not in (".ci", ".github") for part in parts[:-1])
        built = any(part in BUILT for part in parts[:-1])
        if path.is_file() and not hidden and not built and "egg-info" not in str(path):
            kept.append(path)
    return kept


def test_no_file_names_a_place_on_a_machine() -> None:
    for path in repository_files():
        if path.suffix in (".html", ".png", ".pyc"):
            continue
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(lines, start=1):
            assert not MACHINE_PATH.search(line), f"{path.relative_to(ROOT)}, line {number}: {line}"
