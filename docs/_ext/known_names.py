"""Names of the library become links, however they are spelt; other code stays code."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from docutils.parsers.rst.states import Inliner
from docutils.utils import unescape
from public_names import paths
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode

#: Packages that docstrings refer to and that have a site of their own: plain text here.
FOREIGN = ("sklearn", "numpy", "scipy", "pandas", "torch", "mapie", "netcal", "matplotlib")


def known(
    name: str, raw: str, text: str, line: int, inliner: Inliner, *_: Any
) -> tuple[list[nodes.Node], list[nodes.Node]]:
    """Return a reference that is a link if the name is known, and code if not."""
    text = unescape(text)
    environment = inliner.document.settings.env
    reference = pending_xref(
        "",
        nodes.literal(text, text, classes=["xref", "py"]),
        refdomain="py",
        reftype="known",
        reftarget=text,
        refwarn=False,
        refdoc=environment.docname,
        **{"py:module": environment.ref_context.get("py:module")},
        **{"py:class": environment.ref_context.get("py:class")},
    )
    return [reference], []


def resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.Element
) -> nodes.Node | None:
    """Return the link of a name that the library documents, or the text of a foreign one."""
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"].lstrip("~.").removesuffix("()")
    objects = env.domains.python_domain.objects
    module, holder = node.get("py:module"), node.get("py:class")
    candidates = [target, paths().get(target, "")]
    head, _, member = target.rpartition(".")
    if head in paths():
        candidates.append(f"{paths()[head]}.{member}")
    if module and holder:
        candidates.append(f"{module}.{holder}.{target}")
    for name in candidates:
        if name in objects:
            page, anchor = objects[name][:2]
            return make_refnode(app.builder, node["refdoc"], page, anchor, content, name)
    if node["reftype"] == "known" or target.partition(".")[0] in FOREIGN:
        return content
    return None


def escape(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Keep words of a type that end in an underscore, as ``(n_iter_,)``, from being links."""
    for number, line in enumerate(lines):
        if " : " in line:
            lines[number] = re.sub(r'(?<=[(, "])(\w+)_(?=[,)"])', r"\1\_", line)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the role and the resolver."""
    app.add_role("known", known)
    app.connect("missing-reference", resolve)
    app.connect("autodoc-process-docstring", escape, priority=400)  # before numpydoc reads it
    return {"parallel_read_safe": True, "parallel_write_safe": True}
