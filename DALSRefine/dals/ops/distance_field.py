"""The distance to a segmentation's boundary as a differentiable field (appendix B)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813
import torch
from numpy.typing import NDArray
from torch import Tensor

from dals.errors import InputError
from dals.geometry.isosurface import flying_edges
from dals.geometry.label_map import marked_box
from dals.geometry.mesh import TriangleMesh
from dals.geometry.transforms import apply_matrix

_MAX_VOXELS = 2_300_000
_MARGIN = 0.2  # of the segmentation's extent, on every side


@dataclass(frozen=True)
class DistanceField:
    """Unsigned Euclidean distance to a boundary and its gradient, on an isotropic axis-aligned grid.

    Attributes
    ----------
    values : (4, K, J, I) float32
        Signed distance (negative inside) in the unit of the grid, and its x, y and z derivatives (Sobel). The
        sign is dropped after interpolation, so that the distance falls to zero between two voxels on either
        side of the boundary.
    origin : (3,)
        Position of voxel (0, 0, 0).
    spacing : float
    """

    values: Tensor
    origin: Tensor
    spacing: float

    def __call__(self, points: Tensor) -> Tensor:
        """Distance (V,) at points (V, 3), trilinear. Its gradient comes from the Sobel images.

        Outside the grid, the distance to the grid is added.
        """
        return _Lookup.apply(points, self)

    def signed(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Signed distance (V,) and gradient (V, 3) at points (V, 3); outside the grid, those at its border."""
        index = (points - self.origin) / self.spacing
        last = torch.tensor(self.values.shape[:0:-1], device=points.device) - 1
        sampled = _trilinear(self.values, index.minimum(last.to(index)).clamp_min(0))
        return sampled[0], sampled[1:].T

    def surface(self) -> TriangleMesh:
        """The boundary as a mesh, in the unit of the grid.

        Raises
        ------
        InputError
            If the segmentation is too thin to enclose a voxel of the grid.
        """
        mesh = flying_edges(self.values[0].cpu().numpy(), 0.0)
        if len(mesh.faces) == 0:
            raise InputError("The segmentation is too thin for the surface of an organ.")
        # The isosurface faces lower values, which are inside here.
        return TriangleMesh(mesh.vertices * self.spacing + self.origin.cpu().double().numpy(), mesh.faces[:, ::-1])

    def to(self, device: torch.device | str) -> DistanceField:
        """A copy on a device."""
        return DistanceField(self.values.to(device), self.origin.to(device), self.spacing)

    def scaled(self, factor: float, shift: NDArray[np.float64]) -> DistanceField:
        """The field in coordinates factor (x - shift)."""
        values = self.values.clone()
        values[0] *= factor
        origin = (self.origin - torch.as_tensor(shift, dtype=self.origin.dtype)) * factor
        return DistanceField(values, origin, self.spacing * factor)


def distance_field(mask: NDArray[Any], ijk_to_ras: NDArray[np.float64]) -> DistanceField:
    """Distance field of a mask, in millimetres and RAS.

    Signed distances are computed on the grid of the mask and then interpolated to an isotropic grid along the RAS
    axes (shape-based interpolation, Raya and Udupa 1990). The boundary therefore runs obliquely between thick
    slices, not in steps, and oblique direction matrices are exact. A mask with finer voxels than the field is
    resampled first, which bounds the memory.

    Parameters
    ----------
    mask : (K, J, I)
        Non-zero inside. Integer indices are voxel centres.
    ijk_to_ras : (4, 4)
        Millimetres.

    Raises
    ------
    InputError
        If the mask is empty or holds only scattered voxels.
    """
    grid = _grid_around(mask, ijk_to_ras)
    native = _signed_distance(mask, ijk_to_ras, grid)
    # The SimpleITK image is in voxel indices; the transform maps RAS to them.
    inverse = np.linalg.inv(ijk_to_ras)
    to_ijk = sitk.AffineTransform(inverse[:3, :3].ravel().tolist(), inverse[:3, 3].tolist())
    signed = sitk.GetArrayFromImage(_resampled(native, to_ijk, grid.origin, [grid.spacing] * 3, grid.size))
    values = torch.from_numpy(np.concatenate([signed[None], _sobel(signed, grid.spacing)]))
    return DistanceField(values, torch.as_tensor(grid.origin, dtype=torch.float32), grid.spacing)


@dataclass(frozen=True)
class _Grid:
    """An isotropic grid along the RAS axes."""

    origin: NDArray[np.float64]
    spacing: float
    size: NDArray[np.int64]

    @property
    def corners(self) -> NDArray[np.float64]:
        """(8, 3), RAS."""
        return self.origin + np.array(list(product(*((0, n - 1) for n in self.size.tolist())))) * self.spacing


def _grid_around(mask: NDArray[Any], ijk_to_ras: NDArray[np.float64]) -> _Grid:
    """A grid around the mask, with half its finest spacing, or more to bound the memory.

    At half the spacing, interpolating twice blurs little.
    """
    box = marked_box(np.asarray(mask) != 0)
    if box is None:
        raise InputError("The segmentation is empty; choose a label that is painted somewhere.")
    ends = [(part.start - 0.5, part.stop - 0.5) for part in box[::-1]]
    corners = apply_matrix(ijk_to_ras, list(product(*ends)))
    extent = np.ptp(corners, axis=0)
    margin = _MARGIN * extent.max()
    size_mm = extent + 2 * margin
    finest = float(np.linalg.norm(ijk_to_ras[:3, :3], axis=0).min())
    spacing = max(0.5 * finest, float((size_mm.prod() / _MAX_VOXELS) ** (1 / 3)))
    return _Grid(corners.min(axis=0) - margin, spacing, np.ceil(size_mm / spacing).astype(np.int64) + 1)


def _signed_distance(mask: NDArray[Any], ijk_to_ras: NDArray[np.float64], grid: _Grid) -> sitk.Image:
    """Signed distance in millimetres, negative inside, on the part of the mask's grid that covers `grid`.

    The boundary lies midway between voxels. Distances to voxel centres on the other side are therefore half a voxel
    too long, which is subtracted. If the mask is too thin to fill a voxel after resampling, the boundary lies at
    half the largest fraction. The image is in voxel indices.
    """
    inverse, native = np.linalg.inv(ijk_to_ras), np.linalg.norm(ijk_to_ras[:3, :3], axis=0)
    corners = apply_matrix(inverse, grid.corners)
    step = np.maximum(grid.spacing / native, 1.0)  # voxels
    first = np.floor(corners.min(axis=0))
    size = np.ceil((corners.max(axis=0) - first) / step).astype(np.int64) + 1
    image = sitk.GetImageFromArray((np.asarray(mask) != 0).astype(np.float32))
    same = sitk.Transform(3, sitk.sitkIdentity)
    share = sitk.GetArrayFromImage(_resampled(image, same, first, step.tolist(), size, beyond=0.0))
    if not share.any():
        raise InputError("The segmentation consists of a few voxels far apart; choose one of a whole organ.")
    spacing = (step * native).tolist()
    inside = sitk.GetImageFromArray((share >= 0.5 * min(1.0, float(share.max()))).astype(np.uint8))
    inside.SetSpacing(spacing)
    to_inside, to_outside = (
        np.maximum(sitk.GetArrayFromImage(sitk.SignedMaurerDistanceMap(part, False, False, True)), 0)
        for part in (inside, 1 - inside)
    )
    half = 0.5 * min(spacing)
    signed = sitk.GetImageFromArray(np.where(to_inside > 0, to_inside - half, half - to_outside).astype(np.float32))
    signed.SetOrigin(first.tolist())
    signed.SetSpacing(step.tolist())
    return signed


def _resampled(
    image: sitk.Image,
    transform: sitk.Transform,
    origin: NDArray[np.float64],
    spacing: list[float],
    size: NDArray[np.int64],
    *,
    beyond: float | None = None,
) -> sitk.Image:
    """Linear interpolation; outside the image, `beyond` or the value of the nearest voxel."""
    resample = sitk.ResampleImageFilter()
    resample.SetTransform(transform)
    resample.SetInterpolator(sitk.sitkLinear)
    resample.SetOutputOrigin(origin.tolist())
    resample.SetOutputSpacing(spacing)
    resample.SetSize(size.tolist())
    resample.SetUseNearestNeighborExtrapolator(beyond is None)
    resample.SetDefaultPixelValue(0.0 if beyond is None else beyond)
    return resample.Execute(image)


def _sobel(values: NDArray[np.float32], spacing: float) -> NDArray[np.float32]:
    """Derivatives (3, K, J, I) along x, y and z by normalised Sobel filters."""
    image = sitk.GetImageFromArray(values)
    components = []
    for axis in range(3):
        component = sitk.Derivative(image, axis, 1, False)
        for other in range(3):
            if other != axis:
                component = _smooth(component, other)
        components.append(sitk.GetArrayFromImage(component) / spacing)
    return np.stack(components)


def _smooth(image: sitk.Image, axis: int) -> sitk.Image:
    """Weights 1/4, 1/2, 1/4 along one axis."""
    array = sitk.GetArrayFromImage(image)
    padded = np.pad(array, [(1, 1) if a == 2 - axis else (0, 0) for a in range(3)], mode="edge")
    view = np.moveaxis(padded, 2 - axis, 0)
    smooth = (view[:-2] + 2 * view[1:-1] + view[2:]) / 4
    return sitk.GetImageFromArray(np.ascontiguousarray(np.moveaxis(smooth, 0, 2 - axis)))


class _Lookup(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, points: Tensor, field: DistanceField) -> Tensor:
        index = (points - field.origin) / field.spacing
        sizes = field.values.shape[:0:-1]
        clamped = torch.stack([index[:, axis].clamp(0, size - 1) for axis, size in enumerate(sizes)], dim=-1)
        sampled = _trilinear(field.values, clamped)  # (4, V)
        beyond = (index - clamped) * field.spacing
        overshoot = torch.linalg.vector_norm(beyond, dim=-1)
        direction = beyond / overshoot.clamp_min(1e-12)[:, None]
        inside = torch.where(sampled[0] < 0, -1.0, 1.0)
        gradient = torch.where((overshoot > 0)[:, None], direction, (inside * sampled[1:]).T)
        ctx.save_for_backward(gradient)
        return sampled[0].abs() + overshoot

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return upstream[:, None] * gradient, None


def _trilinear(values: Tensor, index: Tensor) -> Tensor:
    """Interpolate values (C, K, J, I) at voxel indices (V, 3), in the order i, j, k; (C, V)."""
    sizes = values.shape[:0:-1]
    grid = torch.stack([2 * index[:, axis] / (size - 1) - 1 for axis, size in enumerate(sizes)], dim=-1)
    sampled = torch.nn.functional.grid_sample(
        values[None], grid[None, None, None].to(values.dtype), mode="bilinear", align_corners=True
    )
    return sampled[0, :, 0, 0].to(index.dtype)
