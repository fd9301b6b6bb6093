"""A segmentation corrected where a prior finds it implausible, and kept everywhere else."""

from dals.edits.edit import Edit, EditKind
from dals.edits.editing import EditedFit, edited_fit

__all__ = ["Edit", "EditKind", "EditedFit", "edited_fit"]
