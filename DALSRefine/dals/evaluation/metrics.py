"""Distance of a surface from the ground truth, and quality of its triangles, as defined in the paper.

Distances are between 100,000 uniform random samples of each surface, as in the paper. They are therefore never zero:
two samplings of one liver in canonical units have a Chamfer distance of 0.4e-4.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from dals.errors import DalsError, InputError
from dals.geometry.label_map import LabelMap
from dals.geometry.mesh import FloatArray, TriangleMesh

SAMPLES = 100_000
F_SCORE_PERCENTAGES = (1.0, 2.0)


@dataclass(frozen=True)
class SurfaceMetrics:
    """Agreement of a mesh with the true surface, in their unit.

    Attributes
    ----------
    chamfer : float
        Mean squared distance from mesh to truth plus that from truth to mesh, in the square of the unit.
    hausdorff : float
        Largest distance in either direction.
    mean_distance : float
        Mean of the mean distances in both directions.
    f_score_1, f_score_2 : float
        Percent. Harmonic mean of precision (share of mesh samples closer to the truth than 1% or 2% of the
        diameter of the truth's bounding sphere) and recall (the same from truth to mesh).
    quality : float
        Mean of 4 sqrt(3) A / (a^2 + b^2 + c^2) over the faces; 1 if all are equilateral.
    volume_error : float or None
        Percent, positive if the mesh is larger than the truth; None unless both are closed.
    self_intersections : float or None
        Percent: pairs of intersecting faces that share no vertex, per face; None if not requested.
    bounding_radius : float
        Radius of the truth's bounding sphere about its area-weighted centroid: the canonical unit.
    """

    chamfer: float
    hausdorff: float
    mean_distance: float
    f_score_1: float
    f_score_2: float
    quality: float
    volume_error: float | None
    self_intersections: float | None
    bounding_radius: float

    @property
    def canonical(self) -> SurfaceMetrics:
        """The metrics in canonical units, in which the truth's bounding sphere has radius 1."""
        return self.scaled(1 / self.bounding_radius)

    def scaled(self, factor: float) -> SurfaceMetrics:
        """The metrics if both surfaces were scaled by a factor. Percentages and quality do not change."""
        return replace(
            self,
            chamfer=self.chamfer * factor**2,
            hausdorff=self.hausdorff * factor,
            mean_distance=self.mean_distance * factor,
            bounding_radius=self.bounding_radius * factor,
        )


def compare(
    mesh: TriangleMesh,
    truth: TriangleMesh,
    *,
    samples: int = SAMPLES,
    seed: int = 0,
    self_intersections: bool = True,
) -> SurfaceMetrics:
    """Compare a mesh with the true surface.

    Parameters
    ----------
    mesh, truth : TriangleMesh
        In the same frame and unit.
    samples : int
        Random points on each surface.
    seed : int
        Of the random points. The same seed gives the same figures.
    self_intersections : bool
        Whether to count self-intersections, which needs libigl.

    Returns
    -------
    SurfaceMetrics
        In the unit of the meshes.

    Raises
    ------
    InputError
        If a mesh has no area or coordinates that are not finite.
    DalsError
        If libigl is needed and not installed.
    """
    for role, surface in (("mesh", mesh), ("true surface", truth)):
        if len(surface.faces) == 0 or not np.isfinite(surface.vertices).all() or not surface.area > 0:
            raise InputError(f"The {role} has no area or coordinates that are not finite numbers.")
    rng = np.random.default_rng(seed)
    # Two independent draws: a mesh compared with itself shows the sampling error, not zero.
    ours, theirs = sample_points(mesh, samples, rng), sample_points(truth, samples, rng)
    to_truth, to_mesh = _distances(ours, theirs), _distances(theirs, ours)
    radius = bounding_radius(truth)
    f_scores = [f_score(to_truth, to_mesh, p / 100 * 2 * radius) for p in F_SCORE_PERCENTAGES]
    closed = mesh.is_closed and truth.is_closed
    return SurfaceMetrics(
        chamfer=float((to_truth**2).mean() + (to_mesh**2).mean()),
        hausdorff=float(max(to_truth.max(), to_mesh.max())),
        mean_distance=float(0.5 * (to_truth.mean() + to_mesh.mean())),
        f_score_1=f_scores[0],
        f_score_2=f_scores[1],
        quality=mesh.mean_quality,
        volume_error=100 * (abs(mesh.volume) / abs(truth.volume) - 1) if closed and truth.volume else None,
        self_intersections=self_intersection_percentage(mesh) if self_intersections else None,
        bounding_radius=radius,
    )


def sample_points(mesh: TriangleMesh, count: int, rng: np.random.Generator) -> FloatArray:
    """Draw points (count, 3) uniformly from a surface."""
    areas = mesh.face_areas
    faces = rng.choice(len(areas), size=count, p=areas / areas.sum())
    root, split = np.sqrt(rng.random(count)), rng.random(count)
    weights = np.stack([1 - root, root * (1 - split), root * split], axis=1)
    return np.asarray(np.einsum("nk,nkd->nd", weights, mesh.corners[faces]))


def f_score(to_truth: FloatArray, to_mesh: FloatArray, threshold: float) -> float:
    """Harmonic mean, in percent, of the shares of both sets of distances below a threshold."""
    precision, recall = 100 * float((to_truth < threshold).mean()), 100 * float((to_mesh < threshold).mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def bounding_radius(mesh: TriangleMesh) -> float:
    """Largest distance of a vertex with faces from the area-weighted centroid."""
    used = mesh.vertices[np.unique(mesh.faces)]
    return float(np.linalg.norm(used - mesh.centroid, axis=1).max())


def self_intersection_percentage(mesh: TriangleMesh) -> float:
    """Pairs of intersecting faces that share no vertex, per face, in percent.

    Raises
    ------
    DalsError
        If libigl is not installed.
    """
    try:
        from igl.predicates import find_self_intersections
    except ImportError as error:
        raise DalsError(
            "Counting self-intersections needs libigl; install it with: pip install dalsrefine[metrics]"
        ) from error
    _, pairs, _ = find_self_intersections(mesh.vertices, mesh.faces)
    if len(pairs) == 0:
        return 0.0
    first, second = mesh.faces[np.asarray(pairs).T]
    share = (first[:, :, None] == second[:, None, :]).any(axis=(1, 2))
    return 100 * float((~share).sum()) / len(mesh.faces)


def dice(first: LabelMap, second: LabelMap) -> float:
    """Dice coefficient of two label maps on one grid; 1 if both are empty.

    Raises
    ------
    InputError
        If their grids differ.
    """
    if first.array.shape != second.array.shape or not np.allclose(first.ijk_to_ras, second.ijk_to_ras, atol=1e-3):
        raise InputError(f"The label maps {first.name} and {second.name} have different grids.")
    total = int(first.array.sum()) + int(second.array.sum())
    return 2 * int((first.array & second.array).sum()) / total if total else 1.0


def _distances(points: FloatArray, references: FloatArray) -> FloatArray:
    """Distance (N,) of points (N, 3) from the nearest of references (M, 3)."""
    distances, _ = cKDTree(references).query(points)
    return np.asarray(distances)
