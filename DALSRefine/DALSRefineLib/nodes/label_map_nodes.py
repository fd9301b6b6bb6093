"""From segments to label maps."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage
from slicer import (
    vtkOrientedImageData,
    vtkOrientedImageDataResample,
    vtkSegmentation,
    vtkSegmentationConverter,
)

from dals.errors import InputError
from dals.geometry.label_map import LabelMap
from dals.geometry.transforms import apply_matrix
from DALSRefineLib.nodes.oriented_images import (
    box_of,
    geometry_of,
    grid_of,
    grown,
    image_of,
    marked_box,
    marked_voxels,
    matrix_of,
    reference_geometry,
    slices_of,
)
from DALSRefineLib.nodes.transforms import matrix_to_world, points_to_world, transform_to_world

_MOST_VOXELS = 1_000_000_000
_BINARY = vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()


def segment_label_map(segmentation_node: Any, segment_id: str) -> LabelMap:
    """One segment on the whole grid of its segmentation, in world coordinates.

    The grid is the segmentation's reference geometry, enlarged where the segment reaches beyond it. Without a
    reference geometry it is the segment's own grid with a margin of one voxel. Slicer converts a segment that is a
    surface. A linear parent transform goes into the geometry; under a non-linear one the segment is resampled on the
    smallest grid of the same axes and spacing that holds it. Neither the segmentation nor the scene changes.

    Parameters
    ----------
    segmentation_node : vtkMRMLSegmentationNode
    segment_id : str

    Returns
    -------
    LabelMap
        RAS millimetres, never empty; its name is the segment's.

    Raises
    ------
    InputError
        If there is no such segment, it is empty, or Slicer cannot convert it to voxels.
    """
    return in_world(local_label_map(segmentation_node, segment_id), segmentation_node)


def local_label_map(node: Any, segment_id: str) -> LabelMap:
    """As `segment_label_map`, but in the segmentation's own coordinates."""
    if node is None or not node.IsA("vtkMRMLSegmentationNode") or node.GetSegmentation() is None:
        raise InputError("No segmentation is chosen.")
    segmentation = node.GetSegmentation()
    segment = segmentation.GetSegment(segment_id) if segment_id else None
    if segment is None:
        raise InputError(f"The segmentation '{node.GetName()}' has no segment '{segment_id or ''}'.")
    name = segment.GetName() or segment_id
    image, label = _voxels(segmentation, segment_id, name)
    reference = reference_geometry(segmentation)
    mask, box = marked_voxels(image, label)
    if mask.size and reference is not None and not vtkOrientedImageDataResample.DoGeometriesMatch(reference, image):
        image = _on_grid_of(reference, image_of(mask, box, matrix_of(image)), name)
        mask, box = marked_voxels(image, 1)
    if not mask.size:
        raise InputError(f"The segment '{name}' of '{node.GetName()}' is empty.")
    if reference is None:
        whole = grown(box)
    else:
        image = reference
        given = box_of(reference)
        whole = np.stack([np.minimum(given[:, 0], box[:, 0]), np.maximum(given[:, 1], box[:, 1])], axis=1)
    grid = grid_of(image, whole, name=name)
    grid.array[slices_of(box - whole[:, :1])] = mask
    return grid


def _voxels(segmentation: vtkSegmentation, segment_id: str, name: str) -> tuple[vtkOrientedImageData, int]:
    """The image that holds a segment, perhaps with others, and the segment's label in it."""
    segment = segmentation.GetSegment(segment_id)
    image = segment.GetRepresentation(_BINARY)
    if image is None:
        # A copy of this segment is converted: the user's segmentation gains no representation.
        copy = vtkSegmentation()
        copy.SetSourceRepresentationName(segmentation.GetSourceRepresentationName())
        copy.CopyConversionParameters(segmentation)
        copy.CopySegmentFromSegmentation(segmentation, segment_id)
        segment = copy.GetSegment(segment_id)
        image = segment.GetRepresentation(_BINARY) if copy.CreateRepresentation(_BINARY) else None
    if image is None:
        raise InputError(f"The segment '{name}' cannot be converted to a label map.")
    return image, segment.GetLabelValue()


def _on_grid_of(reference: vtkOrientedImageData, image: vtkOrientedImageData, name: str) -> vtkOrientedImageData:
    """An image resampled on the grid of another one, enlarged to hold it."""
    result = vtkOrientedImageData()
    if not vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(
        image, reference, result, False, True
    ):
        raise InputError(f"The segment '{name}' cannot be resampled to its segmentation's grid.")
    return result


def in_world(local: LabelMap, node: Any) -> LabelMap:
    """A label map of `local_label_map` in world coordinates."""
    matrix = matrix_to_world(node)
    if matrix is not None:
        return LabelMap(local.array, matrix @ local.ijk_to_ras, local.name)
    return _warped(local, node)


def _warped(local: LabelMap, node: Any) -> LabelMap:
    """A segment resampled through a non-linear transform, on a grid of the same axes and spacing."""
    box = marked_box(local.array)
    assert box is not None
    mask = local.array[slices_of(box)]
    # Slicer's hardening transforms only the corners of the extent, and cuts off what bulges beyond them.
    edge = np.argwhere(mask & ~ndimage.binary_erosion(mask))[:, ::-1] + box[:, 0]
    points = points_to_world(node, apply_matrix(local.ijk_to_ras, edge))
    ijk = apply_matrix(local.ras_to_ijk, points)
    if not np.isfinite(ijk).all() or np.prod(np.ptp(ijk, axis=0) + 3) > _MOST_VOXELS:
        raise InputError(f"The transform takes the segment '{local.name}' too far apart; please check it.")
    space = grown(np.stack([np.floor(ijk.min(axis=0)), np.ceil(ijk.max(axis=0))], axis=1).astype(np.int64))
    warped = vtkOrientedImageData()
    done = vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(
        image_of(np.pad(mask, 1), grown(box), local.ijk_to_ras),
        geometry_of(space, local.ijk_to_ras),
        warped,
        False,
        False,
        transform_to_world(node),
    )
    mask, box = marked_voxels(warped, 1)
    if not done or not mask.size:
        raise InputError(f"The segment '{local.name}' is empty once it is transformed.")
    grid = grid_of(warped, grown(box), name=local.name)
    grid.array[1:-1, 1:-1, 1:-1] = mask
    return grid
