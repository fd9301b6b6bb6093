"""Distance to a segmentation's boundary, and its look-up at mesh vertices (appendix B)."""

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

_MAX_VOXELS = 2_300_000
_MARGIN = 0.2  # of the segmentation's extent, on every side


@dataclass(frozen=True)
class DistanceField:
    """Unsigned Euclidean distance to a boundary and its gradient, on an isotropic axis-aligned grid.

    Attributes
    ----------
    values : (4, K, J, I) float32
        Signed distance (negative inside) in the unit of the grid, then its x, y and z
        derivatives (Sobel). The sign is dropped after the look-up and not before: between two
        voxels on either side of the boundary the distance then falls to zero as it should.
    origin : (3,)
        Position of voxel (0, 0, 0).
    spacing : float
    """

    values: Tensor
    origin: Tensor
    spacing: float

    def __call__(self, points: Tensor) -> Tensor:
        """Distance at points (V, 3), (V,), trilinear; the gradient is the Sobel image's.

        Outside the grid, the distance grows by the distance to the grid.
        """
        return _Lookup.apply(points, self)

    def to(self, device: torch.device | str) -> DistanceField:
        """The same field on a device."""
        return DistanceField(self.values.to(device), self.origin.to(device), self.spacing)

    def scaled(self, factor: float, shift: NDArray[np.float64]) -> DistanceField:
        """The field after its world has been mapped by x -> factor (x - shift)."""
        values = self.values.clone()
        values[0] *= factor
        origin = (self.origin - torch.as_tensor(shift, dtype=self.origin.dtype)) * factor
        return DistanceField(values, origin, self.spacing * factor)


def distance_field(mask: NDArray[Any], ijk_to_ras: NDArray[np.float64]) -> DistanceField:
    """Distance field of a mask, in millimetres and RAS.

    The mask is resampled to an isotropic grid along the RAS axes, which makes anisotropic
    voxels and oblique direction matrices exact and keeps memory bounded.

    Parameters
    ----------
    mask : (K, J, I)
        Non-zero inside; voxel centres lie at integer IJK.
    ijk_to_ras : (4, 4)
        Millimetres.

    Raises
    ------
    InputError
        If the mask is empty or holds no more than scattered voxels.
    """
    inside = np.argwhere(np.asarray(mask) != 0)
    if len(inside) == 0:
        raise InputError("The segmentation is empty; choose a label that is painted somewhere.")
    fraction, origin, spacing = _resample(mask, ijk_to_ras, inside)
    if not fraction.any():
        raise InputError("The segmentation consists of a few voxels far apart; choose one of a whole organ.")
    signed = _signed_distance(fraction, spacing)
    values = torch.from_numpy(np.concatenate([signed[None], _sobel(signed, spacing)]).astype(np.float32))
    return DistanceField(values, torch.as_tensor(origin, dtype=torch.float32), spacing)


def _resample(
    mask: NDArray[Any], ijk_to_ras: NDArray[np.float64], inside: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float64], float]:
    """Share of "inside" on an isotropic RAS grid around the mask: (K, J, I), origin, spacing."""
    low, high = inside.min(axis=0) - 0.5, inside.max(axis=0) + 0.5
    corners = np.array([[i, j, k, 1.0] for k, j, i in product(*zip(low, high, strict=True))])
    ras = (corners @ ijk_to_ras.T)[:, :3]
    extent = np.ptp(ras, axis=0)
    margin = _MARGIN * extent.max()
    size_mm = extent + 2 * margin
    finest = float(np.linalg.norm(ijk_to_ras[:3, :3], axis=0).min())
    spacing = max(finest, float((size_mm.prod() / _MAX_VOXELS) ** (1 / 3)))
    size = np.ceil(size_mm / spacing).astype(int) + 1
    origin = ras.min(axis=0) - margin
    # SimpleITK's image lives in IJK space; the affine takes output RAS points there.
    image = sitk.GetImageFromArray((np.asarray(mask) != 0).astype(np.float32))
    inverse = np.linalg.inv(ijk_to_ras)
    to_ijk = sitk.AffineTransform(inverse[:3, :3].ravel().tolist(), inverse[:3, 3].tolist())
    resampled = sitk.Resample(
        image, size.tolist(), to_ijk, sitk.sitkLinear, origin.tolist(), [spacing] * 3, np.eye(3).ravel().tolist(), 0.0
    )
    return sitk.GetArrayFromImage(resampled), origin, spacing


def _signed_distance(fraction: NDArray[np.float32], spacing: float) -> NDArray[np.float32]:
    """Distance to the half-level of a fraction image, negative inside.

    Distances to voxel centres of the other side reach up to half a voxel too far, which is
    taken off. Where a mask is so thin that no fraction reaches one, the level is half the
    largest fraction.
    """
    image = sitk.GetImageFromArray((fraction >= 0.5 * min(1.0, float(fraction.max()))).astype(np.uint8))
    options = {"insideIsPositive": False, "squaredDistance": False, "useImageSpacing": False}
    outside = sitk.GetArrayFromImage(sitk.SignedMaurerDistanceMap(image, **options))
    inside = sitk.GetArrayFromImage(sitk.SignedMaurerDistanceMap(1 - image, **options))
    to_inside, to_outside = np.maximum(outside, 0), np.maximum(inside, 0)
    signed = np.where(to_inside > 0, to_inside - 0.5, 0.5 - to_outside)
    return (signed * spacing).astype(np.float32)


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
    """Average with weights 1/4, 1/2, 1/4 along one axis."""
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
    """Values (C, K, J, I) at voxel indices (V, 3) in IJK order, (C, V)."""
    sizes = values.shape[:0:-1]
    grid = torch.stack([2 * index[:, axis] / (size - 1) - 1 for axis, size in enumerate(sizes)], dim=-1)
    sampled = torch.nn.functional.grid_sample(
        values[None], grid[None, None, None].to(values.dtype), mode="bilinear", align_corners=True
    )
    return sampled[0, :, 0, 0].to(index.dtype)
