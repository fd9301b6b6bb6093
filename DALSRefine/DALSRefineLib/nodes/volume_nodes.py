"""From volumes to grids, probabilities and images."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonMath import vtkMatrix4x4

from dals.errors import DalsWarning, InputError
from dals.geometry.label_map import LabelMap
from dals.geometry.volume import Volume
from dals.observations import Observation, Segmentation
from dals.observations.probability_checks import checked_probabilities
from DALSRefineLib.i18n import tr as _
from DALSRefineLib.nodes.transforms import array_of, matrix_to_world

_SAME_VOXELS = 1e-3  # grids that differ by less, in voxels, are one
_SLACK = 0.1
"""Of the diagonal of what was observed: so far it may grow before a part of the image, which shows half of the diagonal
around it, is cut out anew."""


def grid_of_volume(volume_node: Any) -> LabelMap:
    """The grid of a volume as an empty label map, in world coordinates.

    Raises
    ------
    InputError
        If there is no volume, it holds no image, or it is under a non-linear transform.
    """
    if volume_node is None or not volume_node.IsA("vtkMRMLVolumeNode"):
        raise InputError("No volume is chosen.")
    name = volume_node.GetName()
    image = volume_node.GetImageData()
    if image is None or min(image.GetDimensions()) < 1:
        raise InputError(f"The volume '{name}' holds no image.")
    to_world = matrix_to_world(volume_node)
    if to_world is None:
        raise InputError(
            f"The volume '{name}' is under a non-linear transform and has no regular grid; please harden the transform."
        )
    ijk_to_ras = vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(ijk_to_ras)
    shape = image.GetDimensions()[::-1]
    return LabelMap(np.zeros(shape, dtype=np.bool_), to_world @ array_of(ijk_to_ras), name)


def probabilities_of_volume(volume_node: Any, segment: LabelMap) -> NDArray[np.float32]:
    """A network's probabilities on the grid of the segment that they belong to.

    A volume on another grid is interpolated linearly; beyond it the probability is 0.

    Parameters
    ----------
    volume_node : vtkMRMLScalarVolumeNode
        Values 0 to 1; under no transform or a linear one.
    segment : LabelMap
        World RAS millimetres.

    Returns
    -------
    (K, J, I) float32
        Within 0 to 1.

    Raises
    ------
    InputError
        As `grid_of_volume`; if a voxel has several values; if the values are not probabilities.
    """
    grid = grid_of_volume(volume_node)
    source = f"'{grid.name}'"
    scalars = volume_node.GetImageData().GetPointData().GetScalars()
    if scalars is None or scalars.GetNumberOfComponents() != 1:
        raise InputError(f"{source} has no single value for each voxel; choose the volume of the organ's own channel.")
    values = vtk_to_numpy(scalars).reshape(grid.array.shape)
    segment_to_volume = grid.ras_to_ijk @ segment.ijk_to_ras
    if values.shape != segment.array.shape or not _is_identity(segment_to_volume, values.shape):
        values = _interpolated(values, segment_to_volume, segment.array.shape)
    return checked_probabilities(values, source=source)


def image_around(volume_node: Any, observation: Observation) -> Volume:
    """The part of a CT or MR volume that a fit to an observation can need, as a copy in world coordinates.

    Parameters
    ----------
    volume_node : vtkMRMLScalarVolumeNode
        Under no transform or a linear one.
    observation : Observation
        Contours, painted slices or a segmentation, RAS mm.

    Raises
    ------
    InputError
        As `grid_of_volume`; if a voxel has several values; if the volume does not reach the observation.
    """
    grid = grid_of_volume(volume_node)
    scalars = volume_node.GetImageData().GetPointData().GetScalars()
    if scalars is None or scalars.GetNumberOfComponents() != 1:
        raise InputError(f"'{grid.name}' has no single value for each voxel; choose the patient's CT or MR.")
    values = vtk_to_numpy(scalars).reshape(grid.array.shape)
    part = Volume(values, grid.ijk_to_ras, grid.name).around(*observation.bounds)
    if part is None:
        done = "segmented" if isinstance(observation, Segmentation) else "outlined"
        raise InputError(f"'{grid.name}' does not show the place that was {done}; choose the image that was {done}.")
    return part


class ImageParts:
    """`image_around`, cut out anew only where it has to be: a contour that is dragged on asks for it many times."""

    def __init__(self) -> None:
        self._source: tuple[Any, ...] = ()
        self._low, self._high = np.zeros(3), np.zeros(3)
        self._part: Volume | None = None

    def shown(self, volume_node: Any, observation: Observation) -> Volume | None:
        """The part around an observation; None without a volume and, with a warning, where it does not show it.

        It is the same object as before if neither volume nor observation has moved away from what it shows.
        """
        if volume_node is None:
            return None
        try:
            return self._around(volume_node, observation)
        except InputError as error:
            warnings.warn(_("The image was not used. {reason}").format(reason=error), DalsWarning, stacklevel=2)
            return None

    def _around(self, volume_node: Any, observation: Observation) -> Volume:
        grid, (low, high) = grid_of_volume(volume_node), observation.bounds
        source = (volume_node.GetID(), volume_node.GetImageData().GetMTime(), grid.name, grid.ijk_to_ras.tobytes())
        slack = _SLACK * float(np.linalg.norm(self._high - self._low))
        near = (low >= self._low - slack).all() and (high <= self._high + slack).all()
        if self._part is None or source != self._source or not near:
            self._part, self._source, self._low, self._high = image_around(volume_node, observation), source, low, high
        return self._part


def _interpolated(
    values: NDArray[Any], matrix: NDArray[np.float64], shape: tuple[int, int, int]
) -> NDArray[np.float32]:
    """Values (K, J, I) at the voxels of another grid, linearly; 0 beyond them.

    Parameters
    ----------
    values : (K, J, I) array
    matrix : (4, 4) float64
        From the other grid's indices (i, j, k) to those of the values.
    shape : tuple of 3 int
        Of the other grid's array (K, J, I).
    """
    import SimpleITK as sitk  # noqa: N813 - several times as fast as SciPy

    image = sitk.GetImageFromArray(values.astype(np.float32, copy=False))
    to_values = sitk.AffineTransform(matrix[:3, :3].ravel().tolist(), matrix[:3, 3].tolist())
    origin, spacing, direction = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), np.eye(3).ravel().tolist()
    resampled = sitk.Resample(
        image, shape[::-1], to_values, sitk.sitkLinear, origin, spacing, direction, 0.0, sitk.sitkFloat32
    )
    return np.asarray(sitk.GetArrayFromImage(resampled))


def _is_identity(matrix: NDArray[np.float64], shape: tuple[int, ...]) -> bool:
    """Whether the corners of an image of a shape (K, J, I) stay where they are."""
    last = np.array(shape[::-1]) - 1
    corners = np.array(np.meshgrid(*([0, end] for end in last))).reshape(3, -1)
    moved = matrix[:3, :3] @ corners + matrix[:3, 3:]
    return bool(np.abs(moved - corners).max() < _SAME_VOXELS)
