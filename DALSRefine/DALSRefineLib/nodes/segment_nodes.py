"""Surfaces as new segments of segmentations."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from slicer import vtkSegment, vtkSegmentation, vtkSegmentationConverter

from dals.errors import DalsWarning, InputError, OutputError
from dals.geometry.label_map import LabelMap
from dals.geometry.mesh import TriangleMesh
from dals.geometry.transforms import apply_matrix
from dals.geometry.vtk_bridge import polydata_of
from dals.geometry.winding import enclosed
from DALSRefineLib.nodes.naming import unique_name
from DALSRefineLib.nodes.oriented_images import (
    box_of,
    grid_of,
    image_of,
    marked_box,
    reference_geometry,
    set_reference_geometry,
    slices_of,
)
from DALSRefineLib.nodes.transforms import is_mirrored, matrix_to_world, points_from_world
from DALSRefineLib.nodes.volume_nodes import grid_of_volume

_BINARY = vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
_SURFACE = vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()

_OFF_VOXELS = 0.1
"""By so much may the voxels of two grids be apart that count as the same."""


def new_segmentation(scene: Any, volume_or_grid: Any, *, name: str) -> Any:
    """Add an empty segmentation to the scene, with the grid of a volume.

    Parameters
    ----------
    scene : vtkMRMLScene
    volume_or_grid : vtkMRMLScalarVolumeNode or LabelMap
        Gives the grid, in world coordinates; the mask of a label map is ignored.
    name : str
        Made unique in the scene.

    Returns
    -------
    vtkMRMLSegmentationNode
        Under no transform.

    Raises
    ------
    InputError
        If the volume holds no image or is under a non-linear transform.
    """
    is_grid = isinstance(volume_or_grid, LabelMap)
    grid = volume_or_grid if is_grid else grid_of_volume(volume_or_grid)
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", unique_name(scene, name))
    node.CreateDefaultDisplayNodes()
    if is_grid:
        set_reference_geometry(node.GetSegmentation(), grid)
    else:
        node.SetReferenceImageGeometryParameterFromVolumeNode(volume_or_grid)
    return node


def write_segment(
    mesh: TriangleMesh,
    segmentation_node: Any,
    *,
    grid: LabelMap | None = None,
    label_map: LabelMap | None = None,
    name: str,
    colour: tuple[float, float, float],
    terminology: str | None = None,
) -> str:
    """Add a surface to a segmentation as a new segment with a layer of its own.

    No other segment changes, even where the new one overlaps it. The segment holds the voxels whose centres lie
    inside the surface, on the segmentation's reference geometry if it has one. In a segmentation whose source
    representation is closed surfaces, the surface itself becomes the segment.

    Parameters
    ----------
    mesh : TriangleMesh
        Closed surface, world RAS millimetres.
    segmentation_node : vtkMRMLSegmentationNode
        Under any transform.
    grid : LabelMap or None
        In world coordinates; for a segmentation without reference geometry.
    label_map : LabelMap or None
        In world coordinates: exactly the voxels inside the surface, used where they are voxels of that grid.
    name : str
        Of the segment; a number is added if there is one of that name.
    colour : tuple of 3 float
        Red, green and blue, 0 to 1.
    terminology : str or None
        A serialised terminology entry, "context~category~type~modifier~region context~region~modifier".

    Returns
    -------
    str
        The ID of the new segment.

    Raises
    ------
    InputError
        If there is no segmentation.
    OutputError
        If there is no grid, the surface lies outside of it, or the segmentation cannot hold the segment.
    """
    if segmentation_node is None or not segmentation_node.IsA("vtkMRMLSegmentationNode"):
        raise InputError("No segmentation is chosen.")
    segmentation = segmentation_node.GetSegmentation()
    segment = vtkSegment()
    segment.SetName(_unique_name(segmentation, name))
    segment.SetColor(*colour)
    if terminology is not None:
        _set_terminology(segment, terminology)
    faces = mesh.faces[:, ::-1] if is_mirrored(segmentation_node) else mesh.faces
    local = TriangleMesh(points_from_world(segmentation_node, mesh.vertices), faces)
    source = segmentation.GetSourceRepresentationName()
    if source == _SURFACE:
        segment.AddRepresentation(_SURFACE, polydata_of(local))
    elif source == _BINARY:
        space = _local_grid(segmentation_node, grid)
        exact = None if label_map is None else _same_voxels(label_map, segmentation_node, space)
        segment.AddRepresentation(_BINARY, _voxels_of(local, space) if exact is None else exact)
    else:
        raise OutputError(
            f"The segmentation '{segmentation_node.GetName()}' consists of '{source}'; please convert it to a binary "
            "labelmap first."
        )
    if not segmentation.AddSegment(segment):
        raise OutputError(f"The segment '{name}' could not be added to '{segmentation_node.GetName()}'.")
    return str(segmentation.GetSegmentIdBySegment(segment))


def _local_grid(node: Any, grid: LabelMap | None) -> LabelMap:
    """The grid to draw on, in the segmentation's own coordinates."""
    reference = reference_geometry(node.GetSegmentation())
    if reference is not None:
        return grid_of(reference, box_of(reference), name=node.GetName())
    matrix = matrix_to_world(node)
    if grid is None:
        raise OutputError(f"The segmentation '{node.GetName()}' has no grid; please choose a volume that gives one.")
    if matrix is None:
        raise OutputError(
            f"The segmentation '{node.GetName()}' is under a non-linear transform and has no grid of its own; please "
            "harden the transform."
        )
    return LabelMap(grid.array, np.linalg.inv(matrix) @ grid.ijk_to_ras, grid.name)


def _same_voxels(label_map: LabelMap, node: Any, grid: LabelMap) -> Any:
    """A label map in world coordinates as an oriented image; None if its voxels are not those of the local grid."""
    to_world = matrix_to_world(node)
    if to_world is None:
        return None
    steps = grid.ras_to_ijk @ np.linalg.inv(to_world) @ label_map.ijk_to_ras
    first = np.rint(steps[:3, 3]).astype(np.int64)
    last = first + np.array(label_map.array.shape[::-1]) - 1
    whole = np.eye(4)
    whole[:3, 3] = first
    off = np.abs(steps - whole)[:3] @ [*(last - first), 1.0]
    if off.max() > _OFF_VOXELS:
        return None
    return image_of(label_map.array, np.stack([first, last], axis=1), grid.ijk_to_ras)


def _voxels_of(mesh: TriangleMesh, grid: LabelMap) -> Any:
    """The voxels inside a surface as the smallest oriented image that holds them."""
    label_map = enclosed(mesh, grid)
    box = marked_box(label_map.array)
    if box is None:
        raise OutputError("The surface lies outside of the image; no segment can be made of it.")
    ijk = apply_matrix(grid.ras_to_ijk, mesh.vertices)
    if np.any(ijk.min(axis=0) < -0.5) or np.any(ijk.max(axis=0) > np.array(grid.array.shape[::-1]) - 0.5):
        warnings.warn(
            "The surface reaches beyond the image; the segment is cut off at its border.", DalsWarning, stacklevel=3
        )
    return image_of(label_map.array[slices_of(box)], box, grid.ijk_to_ras)


def _unique_name(segmentation: vtkSegmentation, name: str) -> str:
    taken = {segmentation.GetNthSegment(index).GetName() for index in range(segmentation.GetNumberOfSegments())}
    number, unique = 1, name
    while unique in taken:
        number += 1
        unique = f"{name} {number}"
    return unique


def _set_terminology(segment: vtkSegment, entry: str) -> None:
    if hasattr(segment, "SetTerminology"):
        segment.SetTerminology(entry)
    else:  # before Slicer 5.10
        segment.SetTag(segment.GetTerminologyEntryTagName(), entry)
