"""One organ as it was found to one shape that a prior can learn from.

Whatever comes in, a mesh with holes or a label map with five-millimetre slices, leaves as a
closed surface of genus 0 in RAS axes, centred and scaled into the unit sphere.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from vtkmodules.vtkCommonCore import reference
from vtkmodules.vtkCommonDataModel import vtkPolyData, vtkStaticCellLocator
from vtkmodules.vtkFiltersCore import vtkQuadricDecimation

from dals.dataset.topology_repair import genus_zero_surface, largest_solid_component
from dals.errors import InputError
from dals.geometry.label_map import BoolArray, LabelMap
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.geometry.voxelisation import mesh_to_label_map
from dals.geometry.vtk_bridge import mesh_of, polydata_of

SPACING_MM = 1.0
SMOOTHING_MM = 1.0
FACES = 20_000
MAX_DEVIATION_MM = 0.3
MAX_VOLUME_CHANGE = 0.03
MIN_EXTENT_MM = 5.0
MAX_EXTENT_MM = 700.0
_MARGIN = 8
_DEVIATION_CHECKS = 20_000


@dataclass(frozen=True)
class NormalisedShape:
    """A closed genus-0 surface in the canonical frame, and the way back to the patient.

    Attributes
    ----------
    name : str
        Unique within its data set.
    mesh : TriangleMesh
        Canonical: the area-weighted centroid of the surface (the mean of uniform samples of it)
        is the origin, the vertex farthest from it has norm 1. Axes are RAS.
    centre_mm : (3,) float64
        That centroid in patient millimetres, RAS.
    scale_mm : float
        Length of the canonical unit; ``mesh.vertices * scale_mm + centre_mm`` are patient millimetres.
    volume_ml : float
        Enclosed volume.
    """

    name: str
    mesh: TriangleMesh
    centre_mm: FloatArray
    scale_mm: float
    volume_ml: float

    @property
    def patient_mesh(self) -> TriangleMesh:
        """The surface in patient millimetres, RAS."""
        return TriangleMesh(self.mesh.vertices * self.scale_mm + self.centre_mm, self.mesh.faces)


def normalise(shape: TriangleMesh | LabelMap, *, name: str = "", mirror: bool = False) -> NormalisedShape:
    """Turn a surface or a label map into a standard shape.

    The shape is put on a 1 mm isotropic grid in RAS axes, its largest component is kept, cavities are
    filled, handles are repaired where they are, and the surface of the smoothed mask is simplified to
    about 20,000 faces that stay within 0.3 mm of it.

    Parameters
    ----------
    shape : TriangleMesh or LabelMap
        A surface in patient millimetres, RAS, with or without holes; or a label map.
    name : str
        Name of the result.
    mirror : bool
        Flip the patient's left and right, to bring all organs of a pair to one side.

    Returns
    -------
    NormalisedShape

    Raises
    ------
    InputError
        If there is nothing in it, it has no plausible size in millimetres, or its handles cannot be
        repaired within 3% of its volume.
    """
    mask, origin = _mesh_mask(shape) if isinstance(shape, TriangleMesh) else _label_mask(shape)
    solid = largest_solid_component(mask)
    surface, _ = genus_zero_surface(solid, smoothing=SMOOTHING_MM / SPACING_MM, max_volume_change=MAX_VOLUME_CHANGE)
    # The budget of the repair counts voxels; smoothing may still have eaten a very thin organ.
    expected, found = float(solid.sum()), surface.volume
    if abs(found / expected - 1) > MAX_VOLUME_CHANGE:
        raise InputError(
            f"The surface holds {found / 1000:.2f} ml but the voxels {expected / 1000:.2f} ml: "
            "it is too small or thin for a 1 mm grid."
        )
    surface = simplify(TriangleMesh(surface.vertices * SPACING_MM + origin, surface.faces))
    if mirror:
        surface = TriangleMesh(surface.vertices * np.array([-1.0, 1.0, 1.0]), surface.faces[:, ::-1])
    return canonical(surface, name=name)


def canonical(mesh: TriangleMesh, *, name: str = "") -> NormalisedShape:
    """Centre a closed surface on its area-weighted centroid and scale it into the unit sphere.

    Parameters
    ----------
    mesh : TriangleMesh
        Patient millimetres, RAS.
    name : str
        Name of the result.

    Returns
    -------
    NormalisedShape
        With all vertices of `mesh` in their order.
    """
    centre = mesh.centroid
    scale = float(np.linalg.norm(mesh.vertices - centre, axis=1).max())
    return NormalisedShape(
        name=name,
        mesh=TriangleMesh((mesh.vertices - centre) / scale, mesh.faces),
        centre_mm=centre,
        scale_mm=scale,
        volume_ml=mesh.volume / 1000,
    )


def simplify(mesh: TriangleMesh, *, faces: int = FACES, max_deviation: float = MAX_DEVIATION_MM) -> TriangleMesh:
    """Fewer faces at the same surface, by quadric edge collapse.

    Parameters
    ----------
    mesh : TriangleMesh
        Closed, genus 0.
    faces : int
        Number of faces to aim at; more are kept where the surface would deviate.
    max_deviation : float
        Largest distance of the vertices of `mesh` to the result (checked at 20,000 of them), in its unit.

    Returns
    -------
    TriangleMesh
        Closed, genus 0; `mesh` itself if it has few faces or cannot be simplified.
    """
    start = _without_slivers(mesh)
    while faces < len(start.faces):
        decimation = vtkQuadricDecimation()
        decimation.SetInputData(polydata_of(start))
        decimation.SetTargetReduction(1 - faces / len(start.faces))
        decimation.Update()
        candidate = mesh_of(decimation.GetOutput())
        if candidate.is_sphere and _deviation(mesh, decimation.GetOutput()) <= max_deviation:
            return candidate
        # The merging may itself be what deviates; more faces would not cure that.
        faces = faces if start is not mesh else int(1.6 * faces)
        start = mesh
    return mesh


def _without_slivers(mesh: TriangleMesh) -> TriangleMesh:
    """The surface with all vertices near one grid point merged, if that leaves it a sphere.

    An isosurface has many slivers around grid points; without them the decimation, which takes
    most of the time, takes half of it.
    """
    _, cluster, counts = np.unique(
        np.round(mesh.vertices / SPACING_MM), axis=0, return_inverse=True, return_counts=True
    )
    cluster = cluster.ravel()
    vertices = np.stack([np.bincount(cluster, weights=axis) / counts for axis in mesh.vertices.T], axis=1)
    faces = cluster[mesh.faces]
    whole = (faces != np.roll(faces, 1, axis=1)).all(axis=1)
    merged = TriangleMesh(vertices, faces[whole])
    return merged if merged.is_sphere else mesh


def _deviation(mesh: TriangleMesh, simplified: vtkPolyData) -> float:
    locator = vtkStaticCellLocator()
    locator.SetDataSet(simplified)
    locator.BuildLocator()
    nearest, cell, part, squared = [0.0] * 3, reference(0), reference(0), reference(0.0)
    largest = 0.0
    for vertex in mesh.vertices[:: max(1, len(mesh.vertices) // _DEVIATION_CHECKS)]:
        locator.FindClosestPoint(vertex, nearest, cell, part, squared)
        largest = max(largest, float(squared.get()))
    return float(np.sqrt(largest))


def _grid(lower: FloatArray, upper: FloatArray) -> tuple[FloatArray, NDArray[np.int64]]:
    """Origin (mm, RAS) and size in voxels (x, y, z) of a 1 mm grid around a box, with a margin."""
    extent = float((upper - lower).max())
    if not np.isfinite(extent):
        raise InputError("The shape has coordinates that are not finite numbers.")
    if not MIN_EXTENT_MM <= extent <= MAX_EXTENT_MM:
        raise InputError(
            f"The shape is {extent:.3g} mm across, not between {MIN_EXTENT_MM:.0f} and {MAX_EXTENT_MM:.0f} mm: "
            "perhaps it is not in millimetres."
        )
    origin = np.floor(lower / SPACING_MM) * SPACING_MM - _MARGIN * SPACING_MM
    return origin, np.ceil((upper - origin) / SPACING_MM).astype(np.int64) + _MARGIN + 1


def _mesh_mask(mesh: TriangleMesh) -> tuple[BoolArray, FloatArray]:
    """Voxels whose centre is inside a surface, (Z, Y, X), and the position of the first (mm, RAS).

    The stencil joins loose ends slice by slice, which bridges the small holes of meshes as they are found.
    """
    if len(mesh.faces) == 0:
        raise InputError("The mesh has no faces.")
    points = mesh.vertices[np.unique(mesh.faces)]
    origin, size = _grid(points.min(axis=0), points.max(axis=0))
    ijk_to_ras = np.diag([SPACING_MM] * 3 + [1.0])
    ijk_to_ras[:3, 3] = origin
    grid = LabelMap(np.zeros(size[::-1], dtype=np.bool_), ijk_to_ras)
    return mesh_to_label_map(mesh, grid).array, origin


def _label_mask(label_map: LabelMap) -> tuple[BoolArray, FloatArray]:
    """A label map of any spacing and direction on the 1 mm RAS grid, (Z, Y, X), and its first position (mm, RAS).

    Interpolated between slices is the signed distance to the boundary, not the label, so thick slices
    give slopes and not steps.
    """
    inside = label_map.array
    if not inside.any():
        raise InputError("The label map is empty.")
    boxes = [np.flatnonzero(inside.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    first = np.array([b[0] for b in boxes])
    crop = np.pad(inside[tuple(slice(b[0], b[-1] + 1) for b in boxes)], 2)
    affine = label_map.ijk_to_ras
    distance = _signed_distance(crop, label_map.spacing[::-1])

    # Index order of the array is (k, j, i), that of the affine (i, j, k).
    crop_to_ras = affine[:3, :3][:, ::-1]
    crop_origin = affine[:3, 3] + crop_to_ras @ (first - 2)
    ends = [(1.0, float(n) - 2.0) for n in crop.shape]
    corners = np.array([crop_origin + crop_to_ras @ np.array(c) for c in product(*ends)])
    origin, size = _grid(corners.min(axis=0), corners.max(axis=0))
    ras_to_crop = np.linalg.inv(crop_to_ras)
    field = ndimage.affine_transform(
        distance,
        matrix=(ras_to_crop * SPACING_MM)[:, ::-1],
        offset=ras_to_crop @ (origin - crop_origin),
        output_shape=tuple(size[::-1].tolist()),
        order=1,
        mode="nearest",
    )
    return field > 0, origin


def _signed_distance(inside: BoolArray, spacing: FloatArray) -> NDArray[np.float32]:
    """Distance to the nearest voxel of the other kind, positive inside; zero half-way between voxels."""
    within = ndimage.distance_transform_edt(inside, sampling=spacing)
    without = ndimage.distance_transform_edt(~inside, sampling=spacing)
    return np.asarray(within - without, dtype=np.float32)
