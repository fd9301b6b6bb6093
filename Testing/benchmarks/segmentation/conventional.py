"""What people do to a segmentation today: what Slicer's Segment Editor offers under Islands and Smoothing.

Its filters and defaults, from SegmentEditorSmoothingEffect: kernels in whole odd voxels, a median over boxes, a
Gaussian cut at one half, and joint smoothing with a windowed sinc filter on the surface, in voxel coordinates.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from vtkmodules.vtkFiltersCore import vtkWindowedSincPolyDataFilter

from dals.geometry.label_map import BoolArray, LabelMap
from dals.geometry.mesh import TriangleMesh
from dals.geometry.transforms import apply_matrix
from dals.geometry.voxelisation import label_map_to_mesh
from dals.geometry.vtk_bridge import mesh_of, polydata_of
from dals.observations import Segmentation
from dals.ops.distance_field import distance_field

SINC_ITERATIONS = 100


def tidied(label_map: LabelMap, *, closing_mm: float) -> LabelMap:
    """The largest component of a mask that is not empty, without cavities, closed with a ball of that diameter."""
    components, _ = ndimage.label(label_map.array)
    largest = components == np.bincount(components.ravel())[1:].argmax() + 1
    width = kernel(label_map, closing_mm)
    pad = [(n, n) for n in width]
    inside = ndimage.binary_closing(np.pad(ndimage.binary_fill_holes(largest), pad), _ball(width))
    return label_map.with_array(inside[tuple(slice(n, -n) for n in width)])


def median(label_map: LabelMap, *, kernel_mm: float) -> TriangleMesh:
    """The surface of the mask after a median filter over boxes."""
    width = kernel(label_map, kernel_mm)
    share = ndimage.uniform_filter(label_map.array.astype(np.float32), width, mode="constant")
    return label_map_to_mesh(label_map.with_array(share > 0.5))


def gaussian(label_map: LabelMap, *, deviation_mm: float) -> TriangleMesh:
    """The surface of the mask after a Gaussian filter."""
    blurred = ndimage.gaussian_filter(
        label_map.array.astype(np.float32), deviation_mm / label_map.spacing[::-1], mode="constant"
    )
    return label_map_to_mesh(label_map.with_array(blurred > 0.5))


def joint(label_map: LabelMap, *, factor: float) -> TriangleMesh:
    """The smoothed surface, with Slicer's smoothing factor of 0 to 1."""
    matrix = label_map.ijk_to_ras
    surface = label_map_to_mesh(LabelMap(label_map.array, np.eye(4)))
    sinc = vtkWindowedSincPolyDataFilter()
    sinc.SetInputData(polydata_of(surface))
    sinc.SetNumberOfIterations(SINC_ITERATIONS)
    sinc.SetPassBand(10 ** (-4 * factor))
    sinc.BoundarySmoothingOff()
    sinc.FeatureEdgeSmoothingOff()
    sinc.NonManifoldSmoothingOn()
    sinc.NormalizeCoordinatesOn()
    sinc.Update()
    smooth = mesh_of(sinc.GetOutput())
    return TriangleMesh(apply_matrix(matrix, smooth.vertices), smooth.faces)


def interpolated(label_map: LabelMap) -> TriangleMesh:
    """The largest component without cavities, its boundary interpolated between the slices."""
    solid = Segmentation(label_map).solid
    return distance_field(solid.array, solid.ijk_to_ras).surface()


def kernel(label_map: LabelMap, size_mm: float) -> list[int]:
    """Size in voxels along the array's axes, (K, J, I): Slicer's rounding to odd numbers."""
    return [max(1, round((size_mm / step + 1) / 2) * 2 - 1) for step in label_map.spacing[::-1].tolist()]


def _ball(width: list[int]) -> BoolArray:
    """An ellipsoid that touches the faces of a box of voxels."""
    axes: list[NDArray[Any]] = [(np.arange(n) - (n - 1) / 2) / (n / 2) for n in width]
    return np.asarray(axes[0][:, None, None] ** 2 + axes[1][:, None] ** 2 + axes[2] ** 2 <= 1.0)
