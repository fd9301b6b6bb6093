"""Normalisation of one organ's surface or label map for training.

A mesh with holes or a label map with 5 mm slices becomes a closed surface of genus 0 in RAS axes, centred and scaled
into the unit sphere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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
    """A closed genus-0 surface in the canonical frame, with its place in the patient.

    Attributes
    ----------
    name : str
        Unique within its data set.
    mesh : TriangleMesh
        Canonical: the origin is the area-weighted centroid, the farthest vertex has norm 1, the axes are RAS.
    centre_mm : (3,) float64
        The centroid in RAS millimetres.
    scale_mm : float
        The canonical unit: ``mesh.vertices * scale_mm + centre_mm`` is in RAS millimetres.
    volume_ml : float
        Enclosed volume.
    repair : str
        What was done to handles, one sentence; empty if there were none.
    """

    name: str
    mesh: TriangleMesh
    centre_mm: FloatArray
    scale_mm: float
    volume_ml: float
    repair: str = ""

    @property
    def patient_mesh(self) -> TriangleMesh:
        """The surface in patient millimetres, RAS."""
        return TriangleMesh(self.mesh.vertices * self.scale_mm + self.centre_mm, self.mesh.faces)


def normalise(shape: TriangleMesh | LabelMap, *, name: str = "", mirror: bool = False) -> NormalisedShape:
    """Turn a surface or a label map into a normalised shape.

    The steps: resample to a 1 mm grid in RAS axes, keep the largest component, fill cavities, repair handles
    locally, extract the surface of the smoothed mask, and simplify it to about 20,000 faces within 0.3 mm.

    Parameters
    ----------
    shape : TriangleMesh or LabelMap
        A surface in RAS millimetres, which may have holes, or a label map.
    name : str
        Name of the result.
    mirror : bool
        Swap the patient's left and right, to bring all organs of a pair to one side.

    Returns
    -------
    NormalisedShape

    Raises
    ------
    InputError
        If the shape is empty or has no plausible size in millimetres, or if its handles cannot be repaired
        within 3% of its volume, nor within 1% at thin places.
    """
    mask, origin = _mesh_mask(shape) if isinstance(shape, TriangleMesh) else _label_mask(shape)
    solid = largest_solid_component(mask)
    sphere_like = genus_zero_surface(solid, smoothing=SMOOTHING_MM / SPACING_MM, max_volume_change=MAX_VOLUME_CHANGE)
    surface = sphere_like.surface
    # The budget of the repair counts voxels. Smoothing may still have lost a very thin organ.
    expected, found = float(solid.sum()), surface.volume
    if abs(found / expected - 1) > MAX_VOLUME_CHANGE:
        raise InputError(
            f"The surface holds {found / 1000:.2f} ml but the voxels {expected / 1000:.2f} ml: "
            "it is too small or thin for a 1 mm grid."
        )
    surface = simplify(TriangleMesh(surface.vertices * SPACING_MM + origin, surface.faces))
    if mirror:
        surface = TriangleMesh(surface.vertices * np.array([-1.0, 1.0, 1.0]), surface.faces[:, ::-1])
    return replace(canonical(surface, name=name), repair=str(sphere_like))


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
    """Reduce the number of faces by quadric edge collapse.

    Parameters
    ----------
    mesh : TriangleMesh
        Closed, genus 0.
    faces : int
        Target; more are kept if the surface would deviate too far.
    max_deviation : float
        Largest distance from the vertices of `mesh` to the result, in their unit; checked at 20,000 of them.

    Returns
    -------
    TriangleMesh
        Closed, genus 0; `mesh` itself if it has few faces already or cannot be simplified.
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
        # If merging slivers caused the deviation, more faces would not help.
        faces = faces if start is not mesh else int(1.6 * faces)
        start = mesh
    return mesh


def _without_slivers(mesh: TriangleMesh) -> TriangleMesh:
    """The surface with the vertices around each grid point merged, if it then still has genus 0.

    An isosurface has many slivers around grid points. Without them the decimation, the slowest step, takes half the
    time.
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
    """Origin (RAS millimetres) and size in voxels (x, y, z) of a 1 mm grid around a box, with a margin."""
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
    """Voxels whose centre is inside a surface, (Z, Y, X), and the position of the first, RAS millimetres.

    The stencil joins loose ends slice by slice, which bridges small holes of the mesh.
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
    """A label map resampled to the 1 mm RAS grid, (Z, Y, X), and the position of its first voxel, RAS millimetres.

    It interpolates the signed distance to the boundary, not the label, so that thick slices give slopes, not steps.
    """
    inside = label_map.array
    if not inside.any():
        raise InputError("The label map is empty.")
    boxes = [np.flatnonzero(inside.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    first = np.array([b[0] for b in boxes])
    crop = np.pad(inside[tuple(slice(b[0], b[-1] + 1) for b in boxes)], 2)
    affine = label_map.ijk_to_ras
    distance = _signed_distance(crop, label_map.spacing[::-1])

    # The array is indexed (k, j, i), the affine (i, j, k).
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
    """Distance to the nearest voxel of the other label, positive inside."""
    within = ndimage.distance_transform_edt(inside, sampling=spacing)
    without = ndimage.distance_transform_edt(~inside, sampling=spacing)
    return np.asarray(within - without, dtype=np.float32)
