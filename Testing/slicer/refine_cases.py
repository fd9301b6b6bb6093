"""One liver as nodes of every kind, and as the files that `dals refine` would get; Slicer has to be there."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scene_nodes import add_segment, curve_node, segmentation_node

from dals.demo.synthetic_liver import cut_contour
from dals.geometry.label_map import LabelMap
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.geometry.voxelisation import mesh_to_label_map

AXES = ("sagittal", "coronal", "axial")
OFFSETS = (0.06, -0.05, 0.07)
"""Of the planes from the middle, in extents."""


class Segment(NamedTuple):
    """A segment's place, and what is in it."""

    node: object
    identifier: str
    label_map: LabelMap


def clicks_on(mesh: TriangleMesh) -> list[FloatArray]:
    """Control points on a sagittal, a coronal and an axial plane off the centre, RAS mm."""
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    clicks = []
    for axis, offset in enumerate(OFFSETS):
        origin = 0.5 * (low + high)
        origin[axis] += offset * (high - low)[axis]
        clicks.append(cut_contour(mesh, origin, np.eye(3)[axis], seed=axis))
    return clicks


def curves_on(scene, mesh: TriangleMesh) -> list:
    """The same as closed curves of the scene."""
    return [curve_node(scene, points, name=name) for name, points in zip(AXES, clicks_on(mesh), strict=True)]


def grid_about(mesh: TriangleMesh, *, spacing=(4.0, 4.0, 5.0), margin=15.0) -> LabelMap:
    """An empty upright grid around a surface."""
    low, high = mesh.vertices.min(axis=0) - margin, mesh.vertices.max(axis=0) + margin
    matrix = np.diag([*spacing, 1.0])
    matrix[:3, 3] = low
    size = np.ceil((high - low) / np.asarray(spacing)).astype(int)
    return LabelMap(np.zeros(size[::-1], dtype=bool), matrix, "grid")


def full_segment(scene, mesh: TriangleMesh, *, name="liver") -> Segment:
    """A segment that fills the surface, on the grid of a volume."""
    label_map = mesh_to_label_map(mesh, grid_about(mesh))
    return _segment(scene, label_map, name)


def painted_segment(scene, mesh: TriangleMesh, *, name="painted") -> Segment:
    """A segment that is painted on one slice in each direction."""
    whole = mesh_to_label_map(mesh, grid_about(mesh, spacing=(2.0, 2.0, 3.0)))
    painted = np.zeros_like(whole.array)
    k, j, i = (np.array(whole.array.shape) * (0.55, 0.46, 0.52)).astype(int)
    painted[k] |= whole.array[k]
    painted[:, j] |= whole.array[:, j]
    painted[:, :, i] |= whole.array[:, :, i]
    return _segment(scene, whole.with_array(painted), name)


def point_list(scene, points: FloatArray, *, name="points"):
    """A point list through points in RAS mm."""
    return curve_node(scene, points, name=name, kind="vtkMRMLMarkupsFiducialNode")


def _segment(scene, label_map: LabelMap, name: str) -> Segment:
    node = segmentation_node(scene, label_map.empty_like(), name=name)
    return Segment(node, add_segment(node, label_map, name=name), label_map)
