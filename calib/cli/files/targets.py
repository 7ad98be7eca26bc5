"""Files that a command reads and writes: no output takes the place of something else."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from calib._border.optional import DISTRIBUTION
from calib.cli.files.contents import FORMATS, format_of, kind_of, open_binary

#: What the outputs of the command line are called in errors.
_MEANING = {
    "html": "a web page",
    "report": "a report in JSON",
    "latex": "a report in LaTeX",
    "calibrator": "a calibrator",
    "detections": "a file of detections",
    "correctness": "a correctness model",
    "model": "an ONNX model",
}
#: Endings of the names of outputs, none of which takes that of another.
_ENDINGS = {
    "html": (".html", ".htm"), "report": (".json",), "latex": (".tex",), "correctness": (".skops",),
    "model": (".onnx",),
}  # fmt: skip
#: What an archive holds that is a correctness model.
_OF_MODELS = "schema.json"
#: Bytes of an existing file that are looked at, and what a report has among them.
_HEAD = 1 << 14
_OF_REPORTS = ('"n_samples"', '"n_detections"', '"n_resamples"')


def check_files(
    outputs: Mapping[str, tuple[Path | None, str]],
    inputs: Iterable[Path | None] = (),
    *,
    replaced: Path | None = None,
) -> None:
    """Raise before any work is done unless every output can be written and destroys nothing.

    Parameters
    ----------
    outputs : mapping of str to (Path or None, str)
        Path and kind (``"html"``, ``"report"``, ``"latex"``, ``"calibrator"``,
        ``"detections"``, ``"model"`` or ``"table"``) of the file that each option names.
    inputs : iterable of Path or None
        Files that the command reads.
    replaced : Path, default=None
        The input that an output of its own kind may replace.

    Raises
    ------
    ValueError
        If two options name one file, an option names an input (by whatever name or link), an
        existing file of another kind, a name of another kind, a folder, or a place where nothing
        can be written.
    """
    named = {option: (path, kind) for option, (path, kind) in outputs.items() if path is not None}
    read = [path for path in inputs if path is not None]
    seen: dict[str, Path] = {}
    for option, (path, kind) in named.items():
        for other, earlier in seen.items():
            if is_same_file(path, earlier):
                raise ValueError(f"{other} and {option} name the same file {path}")
        seen[option] = path
        for source in read:
            is_own = replaced is not None and is_same_file(source, replaced)
            if is_same_file(path, source) and not is_own:
                raise ValueError(
                    f"{option} {path} would replace a file that is read; name another file"
                )
        if kind == "calibrator" and path.suffix.lower() != ".json":
            raise ValueError(f"{option} {path}: calibrators are saved as .json files")
        check_file(path)
        if not is_special(path):
            _check_kind(option, path, kind)


def beside(path: Path) -> Path:
    """Return ``dir/scores.calibrated.csv`` for ``dir/scores.csv``, ``.npz`` for one array."""
    packed = path.name[len(path.name.lower().removesuffix(".gz")) :]
    plain = Path(path.name.removesuffix(packed))
    ending = f"{plain.suffix}{packed}"
    if FORMATS.get(plain.suffix.lower()) in ("npy", "pt"):
        ending = ".npz"
    return path.with_name(f"{plain.stem}.calibrated{ending}")


def is_same_file(first: Path, second: Path) -> bool:
    """Return whether two names lead to one file, through links of any kind."""
    if os.path.realpath(first) == os.path.realpath(second):
        return not is_special(first)
    try:
        return os.path.samefile(first, second) and not is_special(first)
    except OSError:
        return False


def is_special(path: Path) -> bool:
    """Return whether this is a terminal, a pipe or a device, which nothing is lost in."""
    try:
        return not stat.S_ISREG(path.stat().st_mode) and not path.is_dir()
    except OSError:
        return False


def _check_kind(option: str, path: Path, kind: str) -> None:
    """Raise if the name, or what stands there already, is of another kind."""
    name = path.name.lower().removesuffix(".gz")
    endings = (
        ending for ending in (*FORMATS, *sum(_ENDINGS.values(), ())) if name.endswith(ending)
    )
    ending, meant = next(endings, None), _MEANING.get(kind, "a table")
    if kind in _ENDINGS and ending is not None and ending not in _ENDINGS[kind]:
        raise ValueError(f"{option} {path}: {meant} has another ending than {ending}")
    if not path.exists() or not path.stat().st_size:
        return
    there = what_is_there(path)
    wanted = format_of(path) if kind == "table" else kind
    if there != wanted:
        what = _MEANING.get(there, f"a file of another kind ({there})")
        raise ValueError(
            f"{option} {path} would replace {what} by {meant}; name another file or remove it"
        )


def what_is_there(path: Path) -> str:
    """Return what an existing file is: one of our outputs, a kind of table, or ``"unknown"``."""
    try:
        with open_binary(path) as file:
            head = file.read(_HEAD).decode("utf-8-sig", errors="replace").lstrip()
    except (OSError, EOFError):
        return "unknown"
    start = head[:200].lower()
    if start.startswith(("<!doctype html", "<html")):
        return "html"
    if start.startswith(("%", "\\begin{tabular}")) and "\\begin{tabular}" in head:
        return "unknown" if "\\documentclass" in head else "latex"
    if start.startswith("{"):
        if '"kind": "calib ' in head[:200]:
            return "calibrator"
        if any(key in head for key in _OF_REPORTS):
            return "report"
        if '"images"' in head or '"annotations"' in head:
            return "JSON"
    if start.startswith("[") and '"bbox"' in head:
        return "detections"
    if start.startswith("\x08") and DISTRIBUTION in head[:64]:  # a version, then who wrote it
        return "model"
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if _OF_MODELS in archive.namelist():
                return "correctness"
    try:
        return kind_of(path)
    except ValueError:
        return "unknown"


def check_file(path: Path) -> None:
    """Raise before any work is done if a file cannot be written at `path`."""
    if str(path) == "-":
        raise ValueError("- is not written to; name a file, or /dev/stdout")
    if path.is_dir():
        raise ValueError(f"{path} is a directory; name a file")
    if not path.parent.is_dir():
        raise ValueError(f"cannot write {path}: there is no directory {path.parent}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise ValueError(f"cannot write {path}: permission denied")


def check_source(path: Path) -> None:
    """Raise if there is no file with content that can be read at `path`."""
    if path.is_dir():
        raise ValueError(f"{path} is a directory; name a file")
    if is_special(path):
        raise ValueError(f"{path} is a pipe or a device, which cannot be read twice; save it first")
    with path.open("rb") as file:
        if not file.read(1):
            raise ValueError(f"{path} is empty")
