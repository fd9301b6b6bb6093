"""Surfaces and grids with known answers, for the tests of this folder."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from dals.geometry.label_map import LabelMap
from dals.geometry.mesh import TriangleMesh
from dals.geometry.transforms import apply_matrix
from dals.observations.contours import Contour


def ellipsoid(radii=(60.0, 45.0, 35.0), centre=(20.0, -30.0, 40.0), *, rings=48) -> TriangleMesh:
    """A closed ellipsoid in RAS millimetres, faces outwards, of rings and segments."""
    polar = np.linspace(0, np.pi, rings + 1)[1:-1]
    around = np.linspace(0, 2 * np.pi, 2 * rings, endpoint=False)
    p, a = np.meshgrid(polar, around, indexing="ij")
    grid = np.stack([np.sin(p) * np.cos(a), np.sin(p) * np.sin(a), np.cos(p)], axis=-1).reshape(-1, 3)
    vertices = np.vstack([grid, [[0, 0, 1], [0, 0, -1]]]) * radii + centre
    count, north, south = 2 * rings, len(grid), len(grid) + 1
    faces = []
    for j in range(count):
        k = (j + 1) % count
        faces.append((north, j, k))
        for ring in range(rings - 2):
            a0, a1, b0, b1 = ring * count + j, ring * count + k, (ring + 1) * count + j, (ring + 1) * count + k
            faces += [(a0, b0, a1), (a1, b0, b1)]
        faces.append((south, (rings - 2) * count + k, (rings - 2) * count + j))
    return TriangleMesh(vertices, np.array(faces))


def grid(shape_ijk, spacing, *, angles=(0.0, 0.0, 0.0), centre=(20.0, -30.0, 40.0), left_handed=False) -> LabelMap:
    """An empty grid around `centre`, rotated by Euler angles in degrees."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * np.asarray(spacing)
    if left_handed:
        matrix[:3, 0] *= -1
    matrix[:3, 3] = np.asarray(centre) - matrix[:3, :3] @ ((np.asarray(shape_ijk) - 1) / 2)
    return LabelMap(np.zeros(tuple(shape_ijk)[::-1], dtype=bool), matrix, "grid")


def marked_points(label_map: LabelMap) -> np.ndarray:
    """Centres of the marked voxels, (N, 3), RAS millimetres."""
    return apply_matrix(label_map.ijk_to_ras, np.argwhere(label_map.array)[:, ::-1])


def inside_ellipsoid(label_map: LabelMap, radii=(60.0, 45.0, 35.0), centre=(20.0, -30.0, 40.0)) -> np.ndarray:
    """Which voxel centres lie inside, (K, J, I) bool."""
    kji = np.indices(label_map.array.shape).reshape(3, -1)
    ras = apply_matrix(label_map.ijk_to_ras, kji[::-1].T)
    return ((((ras - centre) / radii) ** 2).sum(axis=1) < 1).reshape(label_map.array.shape)


def ellipse_contour(axis, offset=0.0, *, radii=(60.0, 45.0, 35.0), centre=(20.0, -30.0, 40.0), count=200, name=None):
    """The outline of the ellipsoid on the plane across `axis`, `offset` millimetres from its centre."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    others = [other for other in range(3) if other != axis]
    scale = np.sqrt(1 - (offset / radii[axis]) ** 2)
    points = np.zeros((count, 3))
    points[:, others[0]] = np.cos(angle) * radii[others[0]] * scale
    points[:, others[1]] = np.sin(angle) * radii[others[1]] * scale
    points[:, axis] = offset
    return Contour(points + centre, None, name or ("sagittal", "coronal", "axial")[axis])
