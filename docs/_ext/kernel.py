"""Code on pages runs in a kernel of the interpreter that builds them, whatever is installed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]


def cache_of_outputs(folder: Path) -> Path:
    """Return the folder of outputs that this very library has computed; delete those of others."""
    digest = hashlib.sha256()
    for package in ("calib", "uq"):
        for path in sorted((ROOT / package).rglob("*.py")):
            digest.update(path.read_bytes())
    current = folder / digest.hexdigest()[:16]
    for other in folder.glob("*"):
        if other != current:
            shutil.rmtree(other)
    return current


def prepare(app: Sphinx) -> None:
    """Write the kernel's description and let the pages' kernels import this checkout."""
    folder = Path(app.doctreedir).parent / ".jupyter"
    kernel = folder / "kernels" / "python3"
    kernel.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": command, "display_name": "Python 3", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    os.environ["JUPYTER_PATH"] = str(folder)
    os.environ["JUPYTER_RUNTIME_DIR"] = str(folder / "runtime")
    os.environ["IPYTHONDIR"] = str(folder / "ipython")
    search = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(part for part in search if part)
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    os.environ.pop("PYTHONWARNINGS", None)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the step."""
    app.connect("builder-inited", prepare)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
