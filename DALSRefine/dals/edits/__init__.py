"""A segmentation corrected where a prior finds it implausible, and kept everywhere else.

The edits and the plan that carries them out need no torch, so that a front end can show and choose them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dals.edits.edit import Edit, EditKind
from dals.edits.plan import Composition, EditPlan

if TYPE_CHECKING:
    from dals.edits.editing import EditedFit, edited_fit

__all__ = ["Composition", "Edit", "EditKind", "EditPlan", "EditedFit", "edited_fit"]


def __getattr__(name: str) -> Any:
    """Import what needs torch when it is first used."""
    if name not in ("EditedFit", "edited_fit"):
        raise AttributeError(f"module 'dals.edits' has no attribute {name!r}")
    from dals.edits import editing

    return getattr(editing, name)
