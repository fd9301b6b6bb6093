"""How Sphinx builds the documentation: `python -m sphinx -W -b html docs work/docs`, or `Testing/run.py test`."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "DALSRefine"))

import dals  # noqa: E402 - found on the path just set

project = "DALSRefine"
author = "DALSRefine contributors"
copyright = author
version = release = dals.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4

napoleon_google_docstring = False
napoleon_use_rtype = False
autodoc_typehints = "none"  # docstrings say more: shapes, units, coordinate systems
autodoc_member_order = "bysource"
autoclass_content = "class"

html_theme = "furo"
html_title = f"DALSRefine {version}"
html_theme_options = {
    "source_repository": "https://github.com/DALSRefine/SlicerDALSRefine/",
    "source_branch": "main",
    "source_directory": "docs/",
}
