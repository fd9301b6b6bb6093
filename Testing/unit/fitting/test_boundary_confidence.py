"""How sure a network was of its boundary."""

from __future__ import annotations

import numpy as np
import pytest

from dals.fitting.boundary_confidence import boundary_confidence
from dals.geometry.label_map import LabelMap


def ramp(width: float, matrix: np.ndarray) -> tuple[np.ndarray, LabelMap]:
    """Probabilities that fall along I over `width` voxels, half way at 9.5."""
    i = np.arange(20)
    along = np.clip(0.5 - (i - 9.5) / width, 0, 1).astype(np.float32)
    probabilities = np.broadcast_to(along, (6, 7, 20)).copy()
    return probabilities, LabelMap(probabilities > 0.5, matrix)


def oblique() -> np.ndarray:
    angle = np.deg2rad(25)
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return matrix @ np.diag([0.8, 1.5, -3.0, 1.0])


@pytest.mark.parametrize("matrix", [np.eye(4), oblique()], ids=["upright", "oblique"])
@pytest.mark.parametrize(("width", "expected"), [(1.0, 1.0), (4.0, 0.5), (8.0, 0.25), (40.0, 0.05)])
def test_certainty_is_the_slope_relative_to_a_step(width: float, expected: float, matrix: np.ndarray) -> None:
    probabilities, grid = ramp(width, matrix)
    ijk = np.array([[9.5, 3, 3, 1], [9.5, 2.4, 1.7, 1]])
    certainty = boundary_confidence(probabilities, grid, (ijk @ matrix.T)[:, :3])
    assert certainty == pytest.approx(expected, rel=1e-4)


def test_certainty_never_vanishes() -> None:
    probabilities, grid = np.full((4, 4, 4), 0.5, np.float32), LabelMap(np.ones((4, 4, 4)), np.eye(4))
    outside = np.array([[1.0, 1.0, 1.0], [-50.0, 0.0, 0.0]])
    assert boundary_confidence(probabilities, grid, outside) == pytest.approx(0.02)
