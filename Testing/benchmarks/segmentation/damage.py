"""Errors that networks make on a CT of the liver, put into a true mask: reproducible, from mild to severe.

The boundary is displaced by smooth noise; parts of neighbours leak in as one to three blobs; the boundary is eaten
into; of many cases a lobe is missing; islands float outside and holes lie inside; and all of it is seen on slices of
5 mm.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.protocol import rng_of
from dals.geometry.label_map import BoolArray, LabelMap
from dals.geometry.mesh import FloatArray, TriangleMesh

SLICE_MM = 5.0
FINER = 3
"""Slices of the fine grid in one of the image; odd, so that one of them is in its middle."""
PIXEL_MM = 1.5
MARGIN_MM = 35.0

BLUR_MM = (0.8, 1.6)
"""Standard deviation of the boundary's displacement for severity 0 and 1, as all pairs here; up to 3 mm."""
BLUR_LENGTH_MM = 15.0
LEAK_MM = (10.0, 20.0)
BITE_MM = (8.0, 17.0)
ROUNDING_MM = 6.0
RAGGED_MM = 2.5
"""Standard deviation of the displacement of blobs and cuts, which makes them irregular."""
LOBE_FRACTION = (0.01, 0.10)
LOBE_PROBABILITY = 0.6
SPOT_MM = (3.0, 8.0)
"""Radii of islands and holes, whatever the severity."""

VOXEL_MM = 2.0
BLEMISHES = 4
BLEMISH_MM = (10.0, 20.0)
BLEMISH_REACH_MM = 12.0
ISLAND_MM = (4.0, 9.0)


def fine_grid(mesh: TriangleMesh) -> LabelMap:
    """An empty grid around an organ, RAS, on which `thick_slices` can be taken."""
    spacing = np.array([PIXEL_MM, PIXEL_MM, SLICE_MM / FINER])
    low, high = mesh.vertices.min(axis=0) - MARGIN_MM, mesh.vertices.max(axis=0) + MARGIN_MM
    size = np.ceil((high - low) / spacing).astype(int) + 1
    size[2] += -size[2] % FINER
    matrix = np.diag([*spacing, 1.0])
    matrix[:3, 3] = low
    return LabelMap(np.zeros(size[::-1], dtype=np.bool_), matrix, "fine grid")


def damaged(truth: LabelMap, name: str) -> LabelMap:
    """Put errors into a mask.

    Parameters
    ----------
    truth : LabelMap
        With room around it.
    name : str
        Of the case; the same name gives the same errors.

    Returns
    -------
    LabelMap
        On the same grid.
    """
    rng = rng_of(f"{name}: damage")
    severity, spacing = float(rng.uniform()), truth.spacing[::-1]
    outside = _signed_distance(truth.array, spacing)
    ragged = RAGGED_MM * _smooth_noise(outside.shape, spacing, rng)
    field = outside + _between(BLUR_MM, severity) * _smooth_noise(outside.shape, spacing, rng)
    if rng.uniform() < LOBE_PROBABILITY:
        field = np.maximum(field, _lobe(truth.array, spacing, _between(LOBE_FRACTION, severity), rng) + ragged)
    for _ in range(int(rng.integers(1, 4))):
        blob = _blob_at_boundary(outside, spacing, _radius(BITE_MM, severity, rng), rng, depth=0.0)
        field = -_smooth_minimum(-field, blob + ragged)
    for _ in range(int(rng.integers(1, 4))):
        blob = _blob_at_boundary(outside, spacing, _radius(LEAK_MM, severity, rng), rng, depth=0.4)
        field = _smooth_minimum(field, blob + ragged)
    islands = _spots(outside, spacing, rng, count=int(rng.integers(1, 5)))
    holes = _spots(-outside, spacing, rng, count=int(rng.integers(0, 4)))
    return truth.with_array(((field < 0) & ~holes) | islands)


def even_grid(mesh: TriangleMesh) -> LabelMap:
    """An empty grid of cubic voxels around an organ, RAS, for `blemished`."""
    low, high = mesh.vertices.min(axis=0) - MARGIN_MM, mesh.vertices.max(axis=0) + MARGIN_MM
    size = np.ceil((high - low) / VOXEL_MM).astype(int) + 1
    matrix = np.diag([VOXEL_MM, VOXEL_MM, VOXEL_MM, 1.0])
    matrix[:3, 3] = low
    return LabelMap(np.zeros(size[::-1], dtype=np.bool_), matrix, "even grid")


def blemished(truth: LabelMap, name: str) -> LabelMap:
    """A good mask with four balls at its boundary bitten off or added, and an island.

    Parameters are those of `damaged`.
    """
    rng = rng_of(f"{name}: blemish")
    spacing, mask = truth.spacing[::-1], truth.array.copy()
    outside = _signed_distance(truth.array, spacing)
    for _ in range(BLEMISHES):
        centre = rng.choice(np.argwhere(np.abs(outside) <= BLEMISH_REACH_MM))
        ball = _ellipsoid(mask.shape, spacing, centre, np.full(3, rng.uniform(*BLEMISH_MM))) < 0
        mask = mask & ~ball if rng.uniform() < 0.5 else mask | ball
    radius = rng.uniform(*ISLAND_MM)
    room = np.argwhere((outside > radius + 4.0) & (outside < MARGIN_MM - 5.0))
    return truth.with_array(mask | (_ellipsoid(mask.shape, spacing, rng.choice(room), np.full(3, radius)) < 0))


def thick_slices(fine: LabelMap, name: str) -> LabelMap:
    """What a scan with slices of 5 mm shows of a fine mask: every third slice of it, as chosen by the name."""
    first = int(rng_of(f"{name}: slices").integers(FINER))
    matrix = fine.ijk_to_ras @ np.diag([1.0, 1.0, FINER, 1.0])
    matrix[:3, 3] += first * fine.ijk_to_ras[:3, 2]
    return LabelMap(fine.array[first::FINER], matrix, name)


def on_grid(label_map: LabelMap, grid: LabelMap) -> LabelMap:
    """Nearest voxels, on another grid with parallel axes; nothing beyond the map's own voxels."""
    step = label_map.ras_to_ijk @ grid.ijk_to_ras
    array = label_map.array
    for axis in range(3):  # of the arrays; the matrices' are in reverse
        i = 2 - axis
        index = np.rint(step[i, i] * np.arange(grid.array.shape[axis]) + step[i, 3]).astype(int)
        within = (index >= 0) & (index < array.shape[axis])
        array = array.take(np.clip(index, 0, array.shape[axis] - 1), axis)
        array &= within.reshape([-1 if other == axis else 1 for other in range(3)])
    return grid.with_array(array, name=label_map.name)


def _between(ends: tuple[float, float], severity: float) -> float:
    return ends[0] + severity * (ends[1] - ends[0])


def _radius(ends: tuple[float, float], severity: float, rng: np.random.Generator) -> float:
    return _between(ends, severity) * float(rng.uniform(0.8, 1.2))


def _signed_distance(inside: BoolArray, spacing: FloatArray) -> NDArray[np.float32]:
    """Millimetres from the boundary, which is half way between voxels; negative inside."""
    beyond = ndimage.distance_transform_edt(~inside, sampling=spacing)
    within = ndimage.distance_transform_edt(inside, sampling=spacing)
    half = float(spacing.min()) / 2
    return np.where(inside, half - within, beyond - half).astype(np.float32)


def _smooth_noise(shape: tuple[int, ...], spacing: FloatArray, rng: np.random.Generator) -> NDArray[np.float32]:
    """Standard deviation 1, varying over `BLUR_LENGTH_MM`."""
    coarse = [int(np.ceil(n * step / BLUR_LENGTH_MM)) + 2 for n, step in zip(shape, spacing, strict=True)]
    noise = rng.normal(size=coarse).astype(np.float32)
    fine = ndimage.zoom(noise, [n / few for n, few in zip(shape, coarse, strict=True)], order=3)
    return np.asarray(fine / fine.std())


def _smooth_minimum(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Minimum with a rounded crease."""
    blend = np.clip(0.5 + 0.5 * (b - a) / ROUNDING_MM, 0.0, 1.0)
    return np.asarray(b + (a - b) * blend - ROUNDING_MM * blend * (1.0 - blend))


def _lobe(inside: BoolArray, spacing: FloatArray, fraction: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Distance beyond a plane that cuts off this fraction of the organ, at a random side."""
    direction = rng.normal(size=3)
    direction /= np.linalg.norm(direction)
    along = _coordinate(inside.shape, spacing, direction)
    return along - np.float32(np.quantile(along[inside], 1 - fraction))


def _coordinate(shape: tuple[int, ...], spacing: FloatArray, direction: FloatArray) -> NDArray[np.float32]:
    parts = [(np.arange(n) * s * d).astype(np.float32) for n, s, d in zip(shape, spacing, direction, strict=True)]
    return np.asarray(parts[0][:, None, None] + parts[1][:, None] + parts[2])


def _blob_at_boundary(
    outside: NDArray[np.float32], spacing: FloatArray, radius: float, rng: np.random.Generator, *, depth: float
) -> NDArray[np.float32]:
    """Distance from an ellipsoid whose centre lies a part `depth` of its radius outside of the organ."""
    shell = np.abs(outside - depth * radius) <= spacing.max()
    centre = rng.choice(np.argwhere(shell))
    return _ellipsoid(outside.shape, spacing, centre, radius * rng.uniform(0.7, 1.3, size=3))


def _spots(room: NDArray[np.float32], spacing: FloatArray, rng: np.random.Generator, *, count: int) -> BoolArray:
    """Balls in the part of the grid with distances `room` > 0, not far from the boundary and not at it."""
    spots = np.zeros(room.shape, dtype=np.bool_)
    for radius in rng.uniform(*SPOT_MM, size=count):
        centres = np.argwhere((room > radius + 3.0) & (room < MARGIN_MM - radius))
        if len(centres):
            spots |= _ellipsoid(room.shape, spacing, rng.choice(centres), np.full(3, radius)) < 0
    return spots


def _ellipsoid(
    shape: tuple[int, ...], spacing: FloatArray, centre: NDArray[np.int64], radii: FloatArray
) -> NDArray[np.float32]:
    """Signed distance to first order, negative inside, from an ellipsoid about a voxel; radii in millimetres."""
    offsets = [((np.arange(n) - c) * s).astype(np.float32) for n, c, s in zip(shape, centre, spacing, strict=True)]

    def length(powers: int) -> NDArray[np.float32]:
        squares = [np.square(o / np.float32(r**powers)) for o, r in zip(offsets, radii, strict=True)]
        return np.asarray(np.sqrt(squares[0][:, None, None] + squares[1][:, None] + squares[2]))

    level = length(1)
    return np.asarray(level * (level - 1) / np.maximum(length(2), np.float32(1e-6)))
