"""Signed distances of masks on a lattice that holds the mask's voxel centres."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree
from scipy.special import ndtr, ndtri

from dals.errors import InputError
from dals.geometry.isosurface import flying_edges
from dals.geometry.label_map import BoolArray, LabelMap, marked_box
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.geometry.normals import Normals
from dals.geometry.transforms import apply_matrix
from dals.geometry.winding import enclosed

Field = NDArray[np.float32]

_HALF = 0.5
_LARGE = 300_000
_WIDTH, _REACH, _LEAST_SLANT = 0.6, 1.5, 0.2
_NEAR = 2.5
"""Spacings from a mesh within which its distance is exact to first order."""


@dataclass(frozen=True, eq=False)
class SignedLattice:
    """Signed distance of a mask, negative inside, on a lattice along the mask's own axes.

    Thick slices are interpolated (shape-based interpolation, Raya and Udupa 1990), and voxels much finer than the
    lattice can be are averaged. On an axis where neither happens, and at the slices between which others were
    interpolated, voxel centres are points of the lattice, and the field has the sign of the mask there. Where the mask
    touches the image's border it is continued unchanged beyond it.

    Attributes
    ----------
    values : (K, J, I) float32
        Millimetres.
    ijk_to_ras : (4, 4)
        Of the lattice.
    beyond : (K, J, I) float32
        Distance outside the image through the sides that the mask touches, half a voxel beyond its outermost voxel
        centres; negative inside, millimetres. Minus infinity if it touches none.
    to_voxels : (4, 4)
        Lattice indices to voxel indices (i, j, k) of the mask.
    """

    values: Field
    ijk_to_ras: FloatArray
    beyond: Field
    to_voxels: FloatArray

    @property
    def spacing(self) -> FloatArray:
        """(3,), along I, J and K, mm."""
        return np.asarray(np.linalg.norm(self.ijk_to_ras[:3, :3], axis=0))

    @property
    def voxel_ml(self) -> float:
        """Volume of one point of the lattice."""
        return float(abs(np.linalg.det(self.ijk_to_ras[:3, :3]))) / 1e3

    @property
    def is_cut(self) -> bool:
        """Whether the mask touches the image's border."""
        return bool(np.isfinite(self.beyond.flat[0]))

    def surface(self, field: Field | None = None) -> TriangleMesh:
        """Zero surface of the field, or of another one on the lattice, RAS mm; closed at the lattice's border."""
        padded = np.pad(self.values if field is None else field, 1, constant_values=float(self.spacing.max()))
        mesh = flying_edges(padded, 0.0)
        if len(mesh.faces) == 0:
            raise InputError("The segmentation is too thin for the surface of an organ.")
        faces = mesh.faces[:, ::-1] if np.linalg.det(self.ijk_to_ras[:3, :3]) > 0 else mesh.faces
        return TriangleMesh(apply_matrix(self.ijk_to_ras, mesh.vertices - 1), faces)

    @property
    def interpolated_axes(self) -> tuple[int, ...]:
        """Axes of the mask, 0 to 2 for I to K, on which slices were interpolated."""
        return tuple(axis for axis in range(3) if self.to_voxels[axis, axis] < 1 - 1e-9)

    def distance_of(self, mesh: TriangleMesh) -> Field:
        """Signed distance of a closed, smooth mesh on this lattice, (K, J, I); on every second point if it is large."""
        if self.values.size <= _LARGE:
            return mesh_distance(mesh, self.values.shape, self.ijk_to_ras)
        shape = tuple(n // 2 + 1 for n in self.values.shape)
        coarse = mesh_distance(mesh, shape, self.ijk_to_ras @ np.diag([2.0, 2.0, 2.0, 1.0]))
        fine = _interpolated(coarse, np.array([2, 2, 2]))
        return np.ascontiguousarray(fine[tuple(slice(0, n) for n in self.values.shape)])

    def at(self, field: Field, points: FloatArray) -> FloatArray:
        """Values (N,) of a field on this lattice at points (N, 3), RAS mm, trilinear; outside, those at its border."""
        ijk = apply_matrix(np.linalg.inv(self.ijk_to_ras), points)
        return np.asarray(ndimage.map_coordinates(field, ijk[:, ::-1].T, order=1, mode="nearest"), dtype=np.float64)


def signed_lattice(mask: LabelMap, *, margin_mm: float, most_points: int) -> SignedLattice:
    """Signed distance of a mask that is not empty.

    Parameters
    ----------
    mask : LabelMap
        On the grid of the whole image: its border is where the image ends.
    margin_mm : float
        Around the mask.
    most_points : int
        The lattice has about so many points at most.
    """
    box = marked_box(mask.array)
    if box is None:
        raise InputError("The segmentation is empty; choose a label that is painted somewhere.")
    spacing = mask.spacing[::-1]  # of the array's axes from here on
    margin = np.ceil(margin_mm / spacing).astype(int)
    low = np.array([part.start for part in box])
    high = np.array([part.stop for part in box])
    touching = [(low[axis] == 0, high[axis] == mask.array.shape[axis]) for axis in range(3)]
    extent = (high - low + 2 * margin) * spacing
    target = max(float((extent.prod() / most_points) ** (1 / 3)), 1e-6)
    stride = np.maximum(np.floor(target / spacing), 1).astype(int)
    part = mask.array[box]
    for axis in range(3):
        widths = [(0, 0)] * 3
        widths[axis] = (int(margin[axis]), int(margin[axis]))
        ends = [np.pad(part, widths, mode=mode) for mode in ("constant", "edge")]
        before, after = (ends[int(side)] for side in touching[axis])
        middle = part.shape[axis] // 2 + int(margin[axis])
        part = np.concatenate(
            [before.take(range(middle), axis), after.take(range(middle, after.shape[axis]), axis)], axis
        )
    first = (low - margin).astype(np.float64)
    shares = _averaged(part, stride)
    first += (stride - 1) / 2
    level = _HALF * min(1.0, float(shares.max()))
    steps = stride * spacing
    values = signed_distance(shares >= level, steps[::-1])
    if (stride > 1).any() and level == _HALF:
        values = _refined(values, shares, stride, steps)
    # Slices much thicker than the other voxels are interpolated.
    finest = max(float(steps.min()), target * 1.25)
    parts = np.maximum(np.rint(steps / finest), 1).astype(int)
    values = _interpolated(values, parts)
    scale = stride / parts
    to_voxels = np.diag([*scale[::-1], 1.0])
    to_voxels[:3, 3] = first[::-1]
    return SignedLattice(
        values, mask.ijk_to_ras @ to_voxels, _beyond(values.shape, first, scale, spacing, touching, mask), to_voxels
    )


def signed_distance(mask: BoolArray, spacing: FloatArray) -> Field:
    """Millimetres from the boundary of a mask (K, J, I), negative inside; it lies half-way between voxels.

    `spacing` is (3,), along I, J and K.
    """
    if not mask.any():
        return np.full(mask.shape, 1e3, dtype=np.float32)
    distances = []
    for side in (mask, ~mask):
        image = sitk.GetImageFromArray(side.astype(np.uint8))
        image.SetSpacing([float(step) for step in spacing])
        distances.append(sitk.GetArrayFromImage(sitk.SignedMaurerDistanceMap(image, False, False, True)))
    half = 0.5 * float(min(spacing))
    # Distances to voxel centres on the other side are half a voxel too long.
    return np.where(mask, half - np.maximum(distances[1], 0), np.maximum(distances[0], 0) - half).astype(np.float32)


def in_one_piece(field: Field, drawn: BoolArray | None = None) -> Field:
    """The field of the largest component, without cavities but those that hold a place that was drawn (K, J, I)."""
    inside = field < 0
    labels, count = ndimage.label(inside)
    kept = inside if count <= 1 else labels == np.bincount(labels.ravel())[1:].argmax() + 1
    around, count = ndimage.label(~kept)
    opened = np.zeros(count + 1, dtype=np.bool_)
    for axis, end in product(range(3), (0, -1)):
        opened[around.take(end, axis)] = True  # not a cavity
    if drawn is not None:
        opened[around[drawn]] = True
    opened[0] = False
    filled = ~opened[around]
    tiny = np.float32(1e-3)
    return np.where(filled, np.minimum(field, -tiny), np.maximum(field, tiny))


def mesh_distance(
    mesh: TriangleMesh, shape: tuple[int, ...], ijk_to_ras: FloatArray, *, inside: BoolArray | None = None
) -> Field:
    """Signed distance of a closed mesh on a grid (K, J, I), negative inside, millimetres.

    Near the mesh it is that from the tangent plane at the nearest vertex or middle of a face, unless that is far from
    the distance by voxels, as it is at folds; elsewhere it is the latter. `inside` is what the mesh encloses, if known.
    """
    spacing = np.linalg.norm(ijk_to_ras[:3, :3], axis=0)
    if inside is None:
        inside = enclosed(mesh, LabelMap(np.zeros(shape, dtype=np.bool_), ijk_to_ras)).array
    field = signed_distance(inside, spacing)
    near = np.abs(field) < _NEAR * spacing.max()
    points = apply_matrix(ijk_to_ras, np.argwhere(near)[:, ::-1])
    normals = Normals.of(mesh.vertices, mesh.faces)
    outwards = np.concatenate([normals.vertices, normals.faces]) * np.sign(mesh.volume)
    places = np.concatenate([mesh.vertices, mesh.corners.mean(axis=1)])
    _, nearest = cKDTree(places).query(points, workers=-1)
    along = ((points - places[nearest]) * outwards[nearest]).sum(axis=1)
    field[near] = np.where(np.abs(along - field[near]) < spacing.max(), along, field[near])
    return field


def _averaged(mask: BoolArray, stride: NDArray[np.int64]) -> Field:
    """Share of marked voxels in blocks, the last ones filled up with unmarked voxels."""
    if (stride == 1).all():
        return mask.astype(np.float32)
    padded = np.pad(mask, [(0, int(-n % step)) for n, step in zip(mask.shape, stride, strict=True)])
    k, j, i = (n // step for n, step in zip(padded.shape, stride, strict=True))
    blocks = padded.reshape(k, stride[0], j, stride[1], i, stride[2])
    return np.asarray(blocks.mean(axis=(1, 3, 5), dtype=np.float32))


def _refined(values: Field, shares: Field, stride: NDArray[np.int64], steps: FloatArray) -> Field:
    """Distances of blocks of voxels, with the boundary where the blocks' shares say it is rather than half-way.

    The share of a block that a plane cuts, smoothed by a Gaussian, is a normal distribution's of its distance from it.
    """
    width = np.where(stride > 1, _WIDTH, 0.0)
    smooth = ndimage.gaussian_filter(shares, width, truncate=3.0)
    low, high = ndtr(-_REACH), ndtr(_REACH)
    near = (smooth > low) & (smooth < high)
    spread = float(np.hypot(_WIDTH, 1 / np.sqrt(12)) * steps[stride > 1].mean())
    # Along the averaged axes a slanted boundary is further away than at right angles.
    slope = np.zeros(values.shape, dtype=np.float32)
    blurred = ndimage.gaussian_filter(values, 1.0, truncate=2.0)
    for axis in np.flatnonzero(stride > 1):
        slope += np.gradient(blurred, float(steps[axis]), axis=axis) ** 2
    slant = np.clip(np.sqrt(slope[near]), _LEAST_SLANT, 1.0)
    refined = values.copy()
    refined[near] = -spread * ndtri(smooth[near]) * slant
    return refined


def _interpolated(values: Field, parts: NDArray[np.int64]) -> Field:
    """Linear interpolation that puts `parts` - 1 points between neighbours along each axis."""
    for axis in np.flatnonzero(parts > 1):
        count = int(parts[axis])
        moved = np.moveaxis(values, axis, 0)
        finer = np.empty(((len(moved) - 1) * count + 1, *moved.shape[1:]), dtype=np.float32)
        finer[::count] = moved
        for part in range(1, count):
            finer[part::count] = moved[:-1] + (moved[1:] - moved[:-1]) * np.float32(part / count)
        values = np.ascontiguousarray(np.moveaxis(finer, 0, axis))
    return values


def _beyond(
    shape: tuple[int, ...],
    first: FloatArray,
    scale: FloatArray,
    spacing: FloatArray,
    touching: list[tuple[bool, bool]],
    mask: LabelMap,
) -> Field:
    found = np.full(shape, -np.inf, dtype=np.float32)
    for axis in range(3):
        index = first[axis] + scale[axis] * np.arange(shape[axis])
        for end, touched in enumerate(touching[axis]):
            if not touched:
                continue
            away = index - (mask.array.shape[axis] - 0.5) if end else -0.5 - index
            away = (away * spacing[axis]).astype(np.float32)
            np.maximum(found, away.reshape([-1 if other == axis else 1 for other in range(3)]), out=found)
    return found
