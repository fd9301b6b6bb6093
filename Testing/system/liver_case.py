"""What the made-up liver of these tests consists of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dals.geometry.mesh import TriangleMesh

FLIP = np.array([-1.0, -1.0, 1.0])
"""Between LPS and RAS."""
LIVER_LABEL, OTHER_LABEL = 3, 7


@dataclass(frozen=True)
class LiverCase:
    """The truth in RAS millimetres, and files of what a user could have of it."""

    truth: TriangleMesh
    contours: list[Path]
    contours_ras: list[np.ndarray]
    segmentation: Path  # oblique and anisotropic, with a second organ
    sparse: Path
    points: Path
    mesh: Path
