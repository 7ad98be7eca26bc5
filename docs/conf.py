"""Configuration of the site: Sphinx, PyData theme, notebooks as pages, numpydoc.

What is made from the library at build (the reference, the tables of methods and of measures, the
copies of the notebooks) is made by the extensions in ``_ext``.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_ext")]

import kernel

import calib

project = "calib"
author = "The calib-uq developers"
copyright = author
version = release = calib.__version__
language = "en"

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_nb",
    "sphinx_design",
    "made_pages",
    "known_names",
    "kernel",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_ext", "reference/generated/tables", "**.ipynb_checkpoints"]
root_doc = "index"
nitpicky = True
default_role = "known"
add_module_names = False
toc_object_entries = False

# the library ------------------------------------------------------------------------------------
autodoc_typehints = "none"  # types are in the docstrings
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

# pages and notebooks ----------------------------------------------------------------------------
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "attrs_inline", "attrs_block"]
myst_heading_anchors = 3
nb_execution_mode = "cache"
nb_execution_cache_path = str(kernel.cache_of_outputs(HERE / "_build" / "outputs"))
nb_execution_timeout = 60
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_output_stderr = "error"  # a warning that a page does not show on purpose fails the build
nb_merge_streams = True
nb_execution_in_temp = True

# the look ---------------------------------------------------------------------------------------
html_theme = "pydata_sphinx_theme"
html_title = "calib"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_logo = html_favicon = "_static/logo.svg"
# pages without others below them need no list of these
html_sidebars = {name: [] for name in ("index", "methods", "measures", "gallery")}
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "calib"},
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "header_links_before_dropdown": 6,
    "show_prev_next": False,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
}
