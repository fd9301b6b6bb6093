"""How good a segmentation is: the same for a network's, a smoothed and a refined one."""

from __future__ import annotations

from dataclasses import dataclass

from dals.evaluation.metrics import SAMPLES, compare, dice
from dals.geometry.label_map import LabelMap
from dals.geometry.mesh import TriangleMesh
from dals.geometry.voxelisation import label_map_to_mesh

__all__ = ["SAMPLES", "Score", "Truth", "score", "score_of_label_map"]


@dataclass(frozen=True, eq=False)
class Truth:
    """The true organ.

    Attributes
    ----------
    label_map : LabelMap
        On the grid on which overlap is measured.
    surface : TriangleMesh
        From which distances are measured, RAS mm.
    """

    label_map: LabelMap
    surface: TriangleMesh

    @classmethod
    def of(cls, label_map: LabelMap) -> Truth:
        """A label map and the surface half way between its marked and unmarked voxels."""
        return cls(label_map, label_map_to_mesh(label_map))


@dataclass(frozen=True)
class Score:
    """A segmentation against the truth.

    Attributes
    ----------
    dice : float
        Overlap on the truth's grid.
    hausdorff_mm, mean_mm : float
        Largest distance, and average of the two directed mean distances; not a number where nothing is segmented.
    chamfer : float
        Canonical units (squared): sum of the mean squared distances in both directions.
    """

    dice: float
    hausdorff_mm: float
    chamfer: float
    mean_mm: float


NOTHING = Score(0.0, float("nan"), float("nan"), float("nan"))
"""Of an empty segmentation."""


def score(mesh: TriangleMesh, label_map: LabelMap, truth: Truth) -> Score:
    """Measure a surface (RAS mm) and its voxels on the truth's grid; surfaces are sampled at `SAMPLES` points each."""
    if len(mesh.faces) == 0:
        return NOTHING
    found = compare(mesh, truth.surface, samples=SAMPLES, self_intersections=False)
    return Score(dice(label_map, truth.label_map), found.hausdorff, found.canonical.chamfer, found.mean_distance)


def score_of_label_map(label_map: LabelMap, truth: Truth) -> Score:
    """Measure a label map on the truth's grid, its surface being what `Truth.of` takes it for."""
    return score(label_map_to_mesh(label_map), label_map, truth)
