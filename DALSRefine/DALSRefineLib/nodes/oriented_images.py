"""Label maps to the oriented images of Slicer's segmentations, and back."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from slicer import vtkOrientedImageData, vtkSegmentation, vtkSegmentationConverter
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.vtkCommonMath import vtkMatrix4x4

from dals.geometry import label_map
from dals.geometry.label_map import BoolArray, LabelMap
from dals.geometry.mesh import FloatArray
from DALSRefineLib.nodes.transforms import array_of, vtk_matrix_of

Box: TypeAlias = NDArray[np.int64]
"""First and last index along I, J and K, (3, 2), both inclusive."""


def box_of(image: vtkOrientedImageData) -> Box:
    """The extent of an image."""
    return np.array(image.GetExtent(), dtype=np.int64).reshape(3, 2)


def matrix_of(image: vtkOrientedImageData) -> FloatArray:
    """From the indices of an image to millimetres, (4, 4); its extent need not begin at 0."""
    matrix = vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    return array_of(matrix)


def reference_geometry(segmentation: vtkSegmentation) -> vtkOrientedImageData | None:
    """The reference geometry of a segmentation, in its own coordinates; None if it has none."""
    name = vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
    serialized = segmentation.GetConversionParameter(name)
    geometry = vtkOrientedImageData()
    if not serialized or not vtkSegmentationConverter.DeserializeImageGeometry(serialized, geometry, False):
        return None
    box = box_of(geometry)
    return geometry if np.all(box[:, 1] >= box[:, 0]) else None


def set_reference_geometry(segmentation: vtkSegmentation, grid: LabelMap) -> None:
    """Set the reference geometry of a segmentation to a grid in the segmentation's own coordinates."""
    box = np.array([[0, size - 1] for size in grid.array.shape[::-1]], dtype=np.int64)
    segmentation.SetConversionParameter(
        vtkSegmentationConverter.GetReferenceImageGeometryParameterName(),
        vtkSegmentationConverter.SerializeImageGeometry(geometry_of(box, grid.ijk_to_ras)),
    )


def geometry_of(box: Box, matrix: FloatArray) -> vtkOrientedImageData:
    """An oriented image without voxels, from a box of indices and their matrix to millimetres, (4, 4)."""
    geometry = vtkOrientedImageData()
    geometry.SetImageToWorldMatrix(vtk_matrix_of(matrix))
    geometry.SetExtent(*box.ravel().tolist())
    return geometry


def grid_of(image: vtkOrientedImageData, box: Box, *, name: str) -> LabelMap:
    """An empty label map over a box of an image's indices."""
    matrix = matrix_of(image)
    matrix[:3, 3] += matrix[:3, :3] @ box[:, 0]
    shape = (box[:, 1] - box[:, 0] + 1)[::-1]
    return LabelMap(np.zeros(tuple(shape.tolist()), dtype=np.bool_), matrix, name)


def marked_voxels(image: vtkOrientedImageData, label: int) -> tuple[BoolArray, Box]:
    """The voxels with a label: the smallest mask (K, J, I) that holds them, and its box.

    Without such voxels the mask has size 0.
    """
    box = box_of(image)
    scalars = image.GetPointData().GetScalars()
    if scalars is None or bool(np.any(box[:, 1] < box[:, 0])):
        return np.zeros((0, 0, 0), dtype=np.bool_), box
    mask: BoolArray = np.asarray(vtk_to_numpy(scalars).reshape((box[:, 1] - box[:, 0] + 1)[::-1]) == label)
    within = marked_box(mask)
    if within is None:
        return np.zeros((0, 0, 0), dtype=np.bool_), box
    return mask[slices_of(within)], within + box[:, :1]


def marked_box(mask: BoolArray) -> Box | None:
    """The smallest box around the marked voxels of a mask (K, J, I); None if there is none."""
    parts = label_map.marked_box(mask)
    return None if parts is None else np.array([[p.start, p.stop - 1] for p in parts[::-1]], dtype=np.int64)


def grown(box: Box) -> Box:
    """A box with one more voxel on each side."""
    return np.stack([box[:, 0] - 1, box[:, 1] + 1], axis=1)


def slices_of(box: Box) -> tuple[slice, slice, slice]:
    """A box as an index into an array (K, J, I)."""
    columns, rows, slices = (slice(int(first), int(last) + 1) for first, last in box)
    return slices, rows, columns


def image_of(mask: BoolArray, box: Box, matrix: FloatArray) -> vtkOrientedImageData:
    """An oriented image of zeros and ones.

    Parameters
    ----------
    mask : (K, J, I) bool
        The voxels of `box`.
    box : (3, 2) int64
    matrix : (4, 4) float64
        From indices to millimetres.
    """
    image = geometry_of(box, matrix)
    scalars = numpy_to_vtk(np.ascontiguousarray(mask).view(np.uint8).ravel(), deep=True)
    scalars.SetName("ImageScalars")
    image.GetPointData().SetScalars(scalars)
    return image
