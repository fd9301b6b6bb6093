"""Contours from a label map that was painted on a few slices."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.vtkCommonDataModel import vtkImageData
from vtkmodules.vtkFiltersCore import vtkFlyingEdges2D

from dals.errors import DalsWarning, InputError
from dals.geometry.label_map import BoolArray, LabelMap
from dals.geometry.mesh import FloatArray
from dals.geometry.polylines import enclosed_area
from dals.geometry.transforms import apply_matrix
from dals.observations.contours import Contour
from dals.observations.planar_contours import PlanarContours

MAXIMUM_COVERAGE = 0.7
"""A label map with more than this fraction of slices painted along an axis is a full segmentation."""
THICKEST_STROKE = 3
"""Up to this many adjacent slices count as one painted plane, of which the middle slice is used."""
MINIMUM_FRAGMENT = 0.02
"""Fragments smaller than this fraction of the slice's largest piece are dropped."""
MINIMUM_FRAGMENT_VOXELS = 9
_AXIS_NAMES = "IJK"


def contours_from_painted_slices(label_map: LabelMap) -> PlanarContours:
    """Outline the painted slices of a label map.

    Slices may be painted along one or more of the three image axes. A painted plane appears as a line in the slices
    that cross it; lines are distinguished from painted sections by their width.

    Parameters
    ----------
    label_map : LabelMap
        Any spacing, orientation and handedness; voxel centres are at integer indices.

    Returns
    -------
    PlanarContours
        Outer contours in RAS millimetres, half-way between marked and unmarked voxels.

    Raises
    ------
    InputError
        If the map is empty, no slice or nearly every slice is painted, or the contours lie on a single plane or
        contradict each other.
    """
    if label_map.is_empty:
        raise InputError(f"The label map {label_map.name} is empty.")
    mask = label_map.array.T  # (I, J, K)
    used = [np.flatnonzero(mask.any(axis=_others(axis))) for axis in range(3)]
    low = np.array([indices[0] for indices in used])
    mask = np.ascontiguousarray(mask[tuple(slice(indices[0], indices[-1] + 1) for indices in used)])
    painted = _painted_slices(mask)
    for axis, slices in enumerate(painted):
        if len(slices) > max(THICKEST_STROKE, MAXIMUM_COVERAGE * mask.shape[axis]):
            raise InputError(
                f"The label map {label_map.name} is painted on almost every slice ({len(slices)} of {mask.shape[axis]} "
                f"along {_AXIS_NAMES[axis]}); please give it as a full segmentation."
            )
    if not any(painted):
        raise InputError(f"The label map {label_map.name} has no slice with a painted section of the organ.")
    spacing = np.linalg.norm(label_map.ijk_to_ras[:3, :3], axis=0)
    contours: list[Contour] = []
    for axis, slices in enumerate(painted):
        pixel = np.delete(spacing, axis)
        for index in _one_per_stroke(slices, mask.sum(axis=_others(axis))):
            name = f"{label_map.name}, slice {_AXIS_NAMES[axis]} {index + low[axis]}"
            section = _section(mask, axis, index, painted, pixel)
            for number, outline in enumerate(_outlines(section, pixel, name), start=1):
                ijk = np.insert(outline, axis, index, axis=1) + low
                points = apply_matrix(label_map.ijk_to_ras, ijk)
                contours.append(Contour(points, None, name if number == 1 else f"{name} ({number})"))
    return PlanarContours(tuple(contours))


def _others(axis: int) -> tuple[int, ...]:
    return tuple(other for other in range(3) if other != axis)


def _painted_slices(mask: BoolArray) -> list[list[int]]:
    """Indices of the painted slices along each axis."""
    for width in (2 * THICKEST_STROKE - 1, THICKEST_STROKE):
        painted = []
        for axis in range(3):
            shape = [width] * 3
            shape[axis] = 1
            wide = ndimage.binary_erosion(mask, np.ones(shape, dtype=np.bool_))
            painted.append(np.flatnonzero(wide.any(axis=_others(axis))).tolist())
        if any(painted):
            return painted
    return painted


def _one_per_stroke(slices: list[int], areas: NDArray[Any]) -> list[int]:
    """Replace each run of up to `THICKEST_STROKE` adjacent slices by the middle one (of two, the larger one)."""
    runs: list[list[int]] = []
    for index in slices:
        if runs and runs[-1][-1] == index - 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    chosen: list[int] = []
    for run in runs:
        if len(run) > THICKEST_STROKE:
            chosen.extend(run)
        elif len(run) == 2:
            chosen.append(max(run, key=lambda index: int(areas[index])))
        else:
            chosen.append(run[len(run) // 2])
    return chosen


def _section(mask: BoolArray, axis: int, index: int, painted: list[list[int]], pixel: FloatArray) -> BoolArray:
    """The filled section on one slice with pixels of (2,) mm, without the lines of other painted planes outside it."""
    section = mask.take(index, axis)
    crossing = []
    for position, other in enumerate(_others(axis)):
        near = np.zeros(mask.shape[other], dtype=np.bool_)
        near[painted[other]] = True
        crossing.append(np.broadcast_to(np.expand_dims(near, 1 - position), section.shape))
    # A pixel belongs to a line if it lies on another painted plane, no square wider than a line covers it, and nothing
    # of the section lies beside the line there. A coarse row is as wide as a square: a lobe, not a line.
    width = np.maximum(1, np.rint((THICKEST_STROKE + 1) * pixel.min() / pixel)).astype(int)
    margin = THICKEST_STROKE + 1
    padded = np.pad(section, margin)
    opened = ndimage.binary_opening(padded, np.ones(width, dtype=np.bool_))[margin:-margin, margin:-margin]
    if opened.any():
        kept = section & (opened | ~(crossing[0] | crossing[1]))
        for position, lines in enumerate(crossing):
            across = np.ones((3, 1) if position == 0 else (1, 3), dtype=np.bool_)
            kept |= ndimage.binary_dilation(kept, across, iterations=THICKEST_STROKE, mask=section & lines)
        section = kept
    return np.asarray(ndimage.binary_fill_holes(section))


def _outlines(section: BoolArray, pixel: FloatArray, name: str) -> list[FloatArray]:
    """Closed outlines of a section's pieces, largest first, each (N, 2) in indices of the slice; `pixel` in mm."""
    pieces, count = ndimage.label(section)
    areas = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    order = np.argsort(areas)[::-1]
    least = max(MINIMUM_FRAGMENT_VOXELS, MINIMUM_FRAGMENT * areas.max(initial=0))
    kept = [piece for piece in order if areas[piece] >= least]
    if len(kept) < count:
        warnings.warn(
            f"{name}: {count - len(kept)} fragment(s) of fewer than {least:.0f} voxels are not used.",
            DalsWarning,
            stacklevel=3,
        )
    return [_outline(pieces == piece + 1, pixel) for piece in kept]


def _outline(piece: BoolArray, pixel: FloatArray) -> FloatArray:
    """Outer outline of one connected piece, (N, 2), in indices: the zero line of the slightly smoothed signed distance.

    Between rows far apart the line runs straight from end to end (shape-based interpolation). Within rows it stays
    half-way between marked and unmarked pixels.
    """
    pad = 3
    marked = np.pad(piece, pad)
    inside, outside = (ndimage.distance_transform_edt(part, sampling=pixel) for part in (marked, ~marked))
    values = inside - outside
    for axis, side in enumerate((pixel.min() / pixel) ** 2 / 4):  # of like width in mm: coarse rows keep their ends
        values = ndimage.convolve1d(values, np.array([side, 1 - 2 * side, side]), axis=axis, mode="nearest")
    image = vtkImageData()
    image.SetDimensions(values.shape[0], values.shape[1], 1)
    image.GetPointData().SetScalars(numpy_to_vtk(values.T.ravel(), deep=True))
    edges = vtkFlyingEdges2D()
    edges.SetInputData(image)
    edges.SetValue(0, 0.0)
    edges.Update()
    polydata = edges.GetOutput()
    points = vtk_to_numpy(polydata.GetPoints().GetData())[:, :2].astype(np.float64)
    segments = vtk_to_numpy(polydata.GetLines().GetConnectivityArray()).reshape(-1, 2)
    return max((points[loop] for loop in _loops(segments)), key=enclosed_area) - pad


def _loops(segments: NDArray[Any]) -> list[list[int]]:
    """Chain the segments of closed curves, (N, 2) point indices, into loops of point indices."""
    neighbours: dict[int, list[int]] = {}
    for a, b in segments.tolist():
        neighbours.setdefault(a, []).append(b)
        neighbours.setdefault(b, []).append(a)
    loops = []
    while neighbours:
        start = next(iter(neighbours))
        loop, current = [], start
        while neighbours.get(current):
            loop.append(current)
            following = neighbours[current].pop()
            neighbours[following].remove(current)
            current = following
        neighbours = {point: others for point, others in neighbours.items() if others}
        loops.append(loop)
    return loops
