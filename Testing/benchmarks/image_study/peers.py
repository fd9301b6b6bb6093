"""What others make of the same planes: Grow from seeds, a random walker, and the classifier without a prior."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dals.appearance.drawn_samples import drawn_samples
from dals.appearance.features import ImageFeatures
from dals.appearance.learning import learn
from dals.appearance.log_odds_map import log_odds_map, with_drawn
from dals.appearance.nearness import Nearness
from dals.appearance.patch import ImagePatch, image_patch
from dals.fitting.plane_region import PlaneRegion
from dals.geometry.label_map import LabelMap
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.geometry.transforms import apply_matrix
from dals.geometry.volume import Volume
from dals.observations import PlanarContours

_BAND, _FINEST = 0.15, 0.02  # as in dals.appearance.view and .features
_OUTSIDE, _INSIDE = 1, 2
_BETA = 130.0  # scikit-image's default


def patch_around(image: Volume, low: FloatArray, high: FloatArray, scale: float) -> ImagePatch:
    """The image around an organ that all peers see, at the resolution of the project's own method."""
    margin = 1.5 * _BAND * scale
    patch = image_patch(image, low - margin, high + margin, spacing_mm=_FINEST * scale)
    assert patch is not None
    return patch


def classified(
    patch: ImagePatch, contours: PlanarContours, mesh: TriangleMesh, *, scale: float, error: float
) -> NDArray[np.bool_]:
    """The project's classifier around the surface from contours alone, without a prior after it: its largest piece."""
    features, surface = ImageFeatures(patch, scale_mm=scale), Nearness(mesh)
    regions = [PlaneRegion.of_contours(group, spacing_mm=4.0) for group in contours.by_plane]
    planes = [drawn_samples(region, features, surface, band_mm=_BAND * scale) for region in regions]
    appearance = learn(planes, scale_mm=scale, band_mm=_BAND * scale, error=error)
    assert appearance is not None
    odds = log_odds_map(appearance, features, surface, band_mm=_BAND * scale)
    odds = with_drawn(odds, regions, surface)
    return largest_piece(odds.array > 0)


def grown_from_seeds(patch: ImagePatch, seeds: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Grow from seeds as Slicer's Segment Editor computes it (slicer-core's vtkImageGrowCutSegment)."""
    vtkImageGrowCutSegment = _slicers_filter()
    from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
    from vtkmodules.vtkCommonDataModel import vtkImageData

    def picture(values: NDArray[np.int16]) -> vtkImageData:
        image = vtkImageData()
        image.SetDimensions(*values.shape[::-1])
        image.SetSpacing(*patch.spacing)
        image.GetPointData().SetScalars(numpy_to_vtk(values.ravel(), deep=True))
        return image

    grow = vtkImageGrowCutSegment()
    grow.SetIntensityVolume(picture((1_000 * patch.values).astype(np.int16)))
    grow.SetSeedLabelVolume(picture(seeds.astype(np.int16)))
    grow.Update()
    found = vtk_to_numpy(grow.GetOutput().GetPointData().GetScalars()).reshape(seeds.shape)
    return np.asarray(found == _INSIDE)


def _slicers_filter() -> Any:
    """The class of slicer-core, which would also look into `Testing/slicer` for its own modules."""
    if "slicer" not in sys.modules:
        path, sys.path = sys.path, [part for part in sys.path if Path(part).name != "Testing"]
        try:
            import_module("slicer")
        finally:
            sys.path = path
    return sys.modules["slicer"].vtkImageGrowCutSegment


def walked(patch: ImagePatch, seeds: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """A random walker (Grady) of scikit-image."""
    from skimage.segmentation import random_walker

    labels = random_walker(
        patch.values, seeds.astype(np.int32), beta=_BETA, mode="cg_j", tol=1e-3, spacing=patch.spacing[::-1]
    )
    return np.asarray(labels == _INSIDE)


def seeds_of(patch: ImagePatch, slices: LabelMap) -> NDArray[np.uint8]:
    """Seeds on the painted planes: inside where painted, outside elsewhere; 0 between the planes."""
    voxels = np.argwhere(np.ones(patch.values.shape, dtype=bool))
    index = np.rint(apply_matrix(slices.ras_to_ijk, patch.centres(voxels))).astype(int)[:, ::-1]
    index = np.clip(index, 0, np.array(slices.array.shape) - 1)
    half = np.maximum(np.rint(patch.spacing / slices.spacing).astype(int)[::-1] // 2, 0)
    seeds = np.zeros(patch.values.shape, dtype=np.uint8)
    for axis in range(3):
        counts = slices.array.sum(axis=tuple(other for other in range(3) if other != axis))
        for plane in _planes(counts):
            on = np.abs(index[:, axis] - plane) <= half[axis]
            at = index[on].copy()
            at[:, axis] = plane
            seeds[tuple(voxels[on].T)] = np.where(slices.array[tuple(at.T)], _INSIDE, _OUTSIDE)
    return seeds


def on_grid(mask: NDArray[np.bool_], patch: ImagePatch, grid: LabelMap) -> LabelMap:
    """A mask on the patch's grid as one on another."""
    smooth = mask.astype(np.float32)
    array = np.zeros(grid.array.shape, dtype=np.bool_)
    for k in range(len(array)):
        index = np.argwhere(np.ones(array.shape[1:], dtype=bool))
        points = apply_matrix(grid.ijk_to_ras, np.column_stack([index[:, ::-1], np.full(len(index), k)]).astype(float))
        array[k] = (ndimage.map_coordinates(smooth, patch.indices(points), order=1) > 0.5).reshape(array.shape[1:])
    return grid.with_array(array)


def largest_piece(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest connected part."""
    pieces, count = ndimage.label(mask)
    return mask if count < 2 else np.asarray(pieces == np.bincount(pieces.ravel())[1:].argmax() + 1)


def _planes(counts: NDArray[np.intp]) -> list[int]:
    """Slices with far more paint than their neighbours, which hold the lines of other planes only."""
    usual = ndimage.median_filter(counts, 5)
    return [int(i) for i in np.flatnonzero(counts > 2 * usual + 4)]
