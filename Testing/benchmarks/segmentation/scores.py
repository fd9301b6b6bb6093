"""How good a segmentation is: the same for a network's, a smoothed and a refined one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from dals.evaluation.metrics import SAMPLES, compare, dice, sample_points
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
    hd95_mm : float
        The larger of the two directed 95% quantiles of the distance.
    """

    dice: float
    hausdorff_mm: float
    chamfer: float
    mean_mm: float
    hd95_mm: float = float("nan")


_QUANTILE = 0.95
_QUANTILE_SAMPLES = 30_000
NOTHING = Score(0.0, float("nan"), float("nan"), float("nan"))
"""Of an empty segmentation."""


def score(mesh: TriangleMesh, label_map: LabelMap, truth: Truth) -> Score:
    """Measure a surface (RAS mm) and its voxels on the truth's grid; surfaces are sampled at `SAMPLES` points each."""
    if len(mesh.faces) == 0:
        return NOTHING
    found = compare(mesh, truth.surface, samples=SAMPLES, self_intersections=False)
    return Score(
        dice(label_map, truth.label_map),
        found.hausdorff,
        found.canonical.chamfer,
        found.mean_distance,
        hd95(mesh, truth.surface),
    )


def hd95(mesh: TriangleMesh, truth: TriangleMesh) -> float:
    """The larger of the two directed 95% quantiles of the distance between samples of two surfaces."""
    rng = np.random.default_rng(0)
    ours, theirs = (sample_points(surface, _QUANTILE_SAMPLES, rng) for surface in (mesh, truth))
    directed = (cKDTree(b).query(a)[0] for a, b in ((ours, theirs), (theirs, ours)))
    return float(max(np.quantile(distance, _QUANTILE) for distance in directed))


def score_of_label_map(label_map: LabelMap, truth: Truth) -> Score:
    """Measure a label map on the truth's grid, its surface being what `Truth.of` takes it for."""
    return score(label_map_to_mesh(label_map), label_map, truth)
