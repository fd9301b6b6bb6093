"""A synthetic CT around the synthetic liver: neighbours that look like it, partial volume and correlated noise.

All of it is a formula or drawn from a fixed seed. What makes a liver hard to outline in a CT is there: stomach, heart,
spleen and kidney touch it and have nearly its grey values, the diaphragm is thinner than a voxel, and the noise is not
independent from voxel to voxel.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import TypeAlias

import numpy as np
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray
from scipy import ndimage

from dals.geometry.label_map import BoolArray, LabelMap
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.geometry.signed_lattice import signed_distance
from dals.geometry.volume import Volume
from dals.geometry.voxelisation import mesh_to_label_map
from dals.io.atomic import atomic_path
from dals.io.coordinates import swap_lps_ras_matrix

Vector: TypeAlias = tuple[float, float, float]
Points: TypeAlias = NDArray[np.float32]
"""Places (3, N), RAS mm."""
Inside: TypeAlias = Callable[[Points], BoolArray]

BODY_CENTRE, BODY_RADII = (5.0, -18.0), (172.0, 122.0)
"""Of the elliptic torso, RAS mm along x and y."""
_AIR, _LUNG, _SKIN, _FAT, _OMENTUM, _MUSCLE, _RIB = -1000.0, -850.0, 40.0, -100.0, -60.0, 58.0, 340.0
_LIVER, _VESSEL = 110.0, 150.0
_TEXTURE_HU, _TEXTURE_MM = 4.0, 9.0
"""Of the liver's uneven enhancement."""
_DIAPHRAGM_MM, _FAT_MM, _HEART_MM = 3.0, 1.5, 2.5
"""Thickness of the diaphragm, and of what parts it from the liver; distance of the heart from the liver."""
_NOISE_HU = 14.0
_NOISE_MM = (0.9, 1.1, 1.1)
"""Standard deviations of the noise's smoothness along K, J and I."""
_RESOLUTION_MM = 0.7
_EDGE_HU = 2.0
_PARTS = 2
"""Of a voxel along each axis, where tissues meet."""


def synthetic_ct(liver: TriangleMesh, grid: LabelMap, *, seed: int = 0) -> Volume:
    """A scan of a liver in its surroundings, as in the portal venous phase.

    Parameters
    ----------
    liver : TriangleMesh
        `synthetic_liver`, RAS mm; its neighbours are where it expects them.
    grid : LabelMap
        Shape and geometry; its mask is ignored.
    seed : int
        Of noise and texture.

    Returns
    -------
    Volume
        Whole Hounsfield units, (K, J, I) float32.
    """
    rng = np.random.default_rng(seed)
    mask = mesh_to_label_map(liver, grid)
    distance = signed_distance(mask.array, grid.spacing)
    everywhere = np.indices(grid.array.shape, dtype=np.float32).reshape(3, -1)
    values = _tissue(_places(everywhere, grid), mask.array.ravel(), distance.ravel()).reshape(grid.array.shape)
    meeting = ndimage.maximum_filter(values, 3) - ndimage.minimum_filter(values, 3) > _EDGE_HU
    values[meeting] = _averaged(liver, grid, distance, np.argwhere(meeting))
    texture = ndimage.gaussian_filter(rng.standard_normal(values.shape), _TEXTURE_MM / grid.spacing[::-1])
    values += mask.array * (_TEXTURE_HU / texture.std()) * texture
    values = ndimage.gaussian_filter(values, _RESOLUTION_MM / grid.spacing[::-1])
    noise = ndimage.gaussian_filter(rng.standard_normal(values.shape), np.array(_NOISE_MM) / grid.spacing[::-1])
    values += (_NOISE_HU / noise.std()) * noise * (values > -950.0)
    return Volume(np.rint(np.clip(values, -1000.0, 1200.0)).astype(np.float32), grid.ijk_to_ras, "synthetic CT")


def write_ct(path: Path, image: Volume, *, step_hu: int = 1) -> None:
    """Write a CT as 16-bit numbers, rounded to multiples of a step: with a coarse one the file is smaller."""
    rounded = sitk.GetImageFromArray((step_hu * np.rint(image.array / step_hu)).astype(np.int16))
    matrix = swap_lps_ras_matrix(image.ijk_to_ras)
    rounded.SetOrigin(matrix[:3, 3].tolist())
    rounded.SetSpacing(image.spacing.tolist())
    rounded.SetDirection((matrix[:3, :3] / image.spacing).ravel().tolist())
    with atomic_path(path) as temporary:
        sitk.WriteImage(rounded, str(temporary), useCompression=True, compressionLevel=9)


def _averaged(
    liver: TriangleMesh, grid: LabelMap, distance: NDArray[np.float32], voxels: NDArray[np.intp]
) -> FloatArray:
    """Means (N,) over the parts of voxels (N, 3), given as (k, j, i); `distance` (K, J, I) is that from the liver."""
    total = np.zeros(len(voxels))
    offsets = (np.arange(_PARTS) + 0.5) / _PARTS - 0.5
    for offset in product(offsets, repeat=3):
        shift = np.eye(4)
        shift[:3, 3] = offset
        moved = LabelMap(grid.array, grid.ijk_to_ras @ shift)
        inside = mesh_to_label_map(liver, moved).array[tuple(voxels.T)]
        index = (voxels + np.array(offset[::-1])).T.astype(np.float32)
        far = ndimage.map_coordinates(distance, index, order=1, mode="nearest")
        total += _tissue(_places(index, grid), inside, far)
    return total / _PARTS**3


def _places(index: NDArray[np.float32], grid: LabelMap) -> Points:
    """Of indices (k, j, i), (3, N)."""
    matrix = grid.ijk_to_ras.astype(np.float32)
    return np.asarray(matrix[:3, 2::-1] @ index + matrix[:3, 3:])


def _tissue(points: Points, liver: BoolArray, distance: NDArray[np.float32]) -> FloatArray:
    """Hounsfield units (N,) at places of which some are liver, the others at a distance from it, mm."""
    values = _torso(points)
    for inside, value in _ORGANS:
        values[inside(points)] = value
    lungs = _RIGHT_LUNG(points) | _LEFT_LUNG(points)
    beside = lungs | (_wall_depth(points) > _WALL)
    values[lungs] = _LUNG
    values[_HEART(points) & (distance > _HEART_MM)] = 115.0
    values[beside & (distance <= _FAT_MM + _DIAPHRAGM_MM)] = _MUSCLE
    values[beside & (distance <= _FAT_MM)] = _OMENTUM
    values[_GALLBLADDER(points)] = 12.0
    values[liver] = _LIVER
    within = np.flatnonzero(liver)
    deep = points[:, within]
    for vessel in _HEPATIC_VESSELS:
        values[within[vessel(deep)]] = _VESSEL
    return values


def _wall_depth(points: Points) -> NDArray[np.float32]:
    """How far out (N,) places are in the torso: 0 in its middle, 1 on the skin."""
    x, y = ((points[axis] - BODY_CENTRE[axis]) / BODY_RADII[axis] for axis in range(2))
    return np.asarray(np.sqrt(x * x + y * y))


_WALL = 0.72
"""Depth beyond which the liver lies against diaphragm and abdominal wall."""


def _torso(points: Points) -> FloatArray:
    """Skin, fat, the muscles of the wall with the ribs, and the fat that fills the abdomen."""
    radial = _wall_depth(points)
    values = np.full(radial.shape, _AIR)
    for limit, value in ((1.0, _SKIN), (0.985, _FAT), (0.87, _MUSCLE), (0.81, _OMENTUM)):
        values[radial <= limit] = value
    wall = np.flatnonzero((np.abs(radial - 0.84) < 0.022) & (points[2] > -200.0))
    x, y, z = points[:, wall]
    angle = np.arctan2(y - BODY_CENTRE[1], x - BODY_CENTRE[0])
    ribs = np.cos((z + 34.0 * np.abs(np.sin(angle - np.pi / 2))) * 2 * np.pi / 32.0) > 0.55
    values[wall[ribs]] = _RIB
    return values


def _ellipsoid(centre: Vector, radii: Vector) -> Inside:
    def inside(points: Points) -> BoolArray:
        x, y, z = ((part - middle) / radius for part, middle, radius in zip(points, centre, radii, strict=True))
        return np.asarray(x * x + y * y + z * z <= 1.0)

    return inside


def _tube(start: Vector, end: Vector, radius: float) -> Inside:
    """A round bar between two points."""
    a, b = np.array(start, dtype=np.float32), np.array(end, dtype=np.float32)

    def inside(points: Points) -> BoolArray:
        offset = points - a[:, None]
        along = np.clip((b - a) @ offset / float((b - a) @ (b - a)), 0.0, 1.0)
        x, y, z = offset - (b - a)[:, None] * along
        return np.asarray(x * x + y * y + z * z <= radius**2)

    return inside


_RIGHT_LUNG, _LEFT_LUNG = _ellipsoid((78, -34, -52), (72, 76, 78)), _ellipsoid((-76, -34, -52), (62, 74, 66))
_HEART = _ellipsoid((-20, 30, -74), (70, 58, 46))
_GALLBLADDER = _ellipsoid((6, 4, -196), (14, 30, 24))

# Most of them reach into the liver, which is drawn over them: they touch it.
_ORGANS: tuple[tuple[Inside, float], ...] = (
    (_ellipsoid((66, -4, -238), (50, 60, 46)), 62.0),  # the wall of the bowel at the right flexure
    (_ellipsoid((66, -4, -238), (46, 56, 42)), 90.0),  # what is in it
    (_ellipsoid((66, 30, -246), (22, 14, 12)), -650.0),  # the gas over it
    (_ellipsoid((-10, 44, -246), (90, 32, 22)), 58.0),  # transverse colon
    (_ellipsoid((-36, 12, -176), (64, 54, 58)), 60.0),  # the stomach's wall
    (_ellipsoid((-36, 12, -176), (61, 51, 55)), 104.0),  # food and contrast medium in it
    (_ellipsoid((-60, 42, -186), (24, 12, 18)), -700.0),  # the gas over them
    (_ellipsoid((-98, -22, -136), (40, 54, 48)), 117.0),  # spleen, which reaches the left lobe
    (_ellipsoid((68, -64, -216), (32, 30, 50)), 128.0),  # kidneys
    (_ellipsoid((66, -62, -216), (11, 11, 26)), 55.0),
    (_ellipsoid((-72, -72, -218), (27, 26, 46)), 128.0),
    (_ellipsoid((-70, -68, -218), (10, 10, 24)), 55.0),
    (_ellipsoid((60, -58, -168), (12, 9, 10)), 70.0),  # right adrenal gland
    (_ellipsoid((-6, -8, -206), (52, 14, 15)), 92.0),  # pancreas
    (_tube((34, -112, -280), (34, -112, -40), 23.0), _MUSCLE),  # muscles of the back
    (_tube((-26, -112, -280), (-26, -112, -40), 23.0), _MUSCLE),
    (_tube((26, -84, -280), (20, -78, -120), 13.0), 62.0),  # psoas and crus of the diaphragm
    (_tube((4, -84, -280), (4, -84, -40), 22.0), 380.0),  # vertebrae
    (_tube((4, -84, -280), (4, -84, -40), 19.0), 190.0),
    (_tube((4, -112, -280), (4, -112, -40), 12.0), 420.0),
    (_tube((4, -111, -280), (4, -111, -40), 8.5), 25.0),  # spinal canal
    (_tube((-10, -54, -280), (-6, -54, -40), 11.0), 155.0),  # aorta
    (_tube((28, -46, -280), (36, -36, -40), 13.0), 132.0),  # inferior vena cava
)

_HEPATIC_VESSELS: tuple[Inside, ...] = (
    _tube((36, -34, -112), (92, 4, -142), 4.5),  # right, middle and left hepatic vein
    _tube((36, -32, -112), (58, 38, -140), 4.0),
    _tube((34, -32, -112), (-8, 32, -128), 4.0),
    _tube((30, -16, -176), (58, -12, -160), 6.0),  # portal vein and branches
    _tube((58, -12, -160), (102, -18, -152), 4.5),
    _tube((58, -12, -160), (84, -2, -196), 4.0),
    _tube((40, -10, -168), (4, 26, -140), 4.5),
    _tube((4, 26, -140), (-32, 42, -130), 3.5),
)
