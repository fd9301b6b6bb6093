from __future__ import annotations

import itertools

import numpy as np
import pytest
from known_shapes import ellipsoid, grid, inside_ellipsoid

from dals.geometry.label_map import LabelMap
from dals.geometry.mesh import TriangleMesh
from dals.geometry.voxelisation import mesh_to_label_map
from dals.geometry.winding import enclosed, winding_numbers
from dals.model.template import icosphere

BALL = icosphere(3)
GRIDS = [
    {"shape_ijk": (140, 110, 90), "spacing": (1.0, 1.0, 1.0)},
    {"shape_ijk": (120, 80, 40), "spacing": (1.2, 1.5, 4.0), "angles": (20.0, -30.0, 50.0)},
    {"shape_ijk": (120, 80, 40), "spacing": (1.2, 1.5, 4.0), "angles": (20.0, -30.0, 50.0), "left_handed": True},
]


def balls(*parts: tuple[float, float, bool]) -> TriangleMesh:
    """Balls of a radius about a place on the first axis, some of them inside out."""
    vertices, faces = [], []
    for number, (radius, at, turned) in enumerate(parts):
        vertices.append(radius * BALL.vertices + [at, 0, 0])
        faces.append((BALL.faces[:, ::-1] if turned else BALL.faces) + number * len(BALL.vertices))
    return TriangleMesh(np.concatenate(vertices), np.concatenate(faces))


def solid_angle_winding(mesh: TriangleMesh, points: np.ndarray) -> np.ndarray:
    """Winding numbers by the solid angles of all triangles (van Oosterom and Strackee)."""
    found = []
    for point in points:
        a, b, c = np.moveaxis(mesh.corners - point, 1, 0)
        la, lb, lc = (np.linalg.norm(side, axis=1) for side in (a, b, c))
        top = np.einsum("ij,ij->i", a, np.cross(b, c))
        bottom = la * lb * lc + (a * b).sum(1) * lc + (b * c).sum(1) * la + (c * a).sum(1) * lb
        found.append(2 * np.arctan2(top, bottom).sum() / (4 * np.pi))
    return np.array(found)


@pytest.mark.parametrize("parameters", GRIDS)
@pytest.mark.parametrize("turned", [False, True])
def test_a_surface_without_overlap_is_filled_as_by_parity(parameters: dict, turned: bool) -> None:
    mesh = ellipsoid()
    mesh = TriangleMesh(mesh.vertices, mesh.faces[:, ::-1]) if turned else mesh
    empty = grid(**parameters)
    filled = enclosed(mesh, empty)
    assert np.mean(filled.array != inside_ellipsoid(empty)) < 0.002
    assert np.mean(filled.array != mesh_to_label_map(mesh, empty).array) < 1e-4


def test_what_two_parts_share_is_inside() -> None:
    mesh, empty = balls((20, 0, False), (20, 24, False)), grid((80, 60, 60), (1, 1, 1), centre=(12, 0, 0))
    numbers = winding_numbers(mesh, empty)
    middle = numbers[30, 30, 40]
    assert middle == 2
    assert enclosed(mesh, empty).array[30, 30, 40]
    assert not mesh_to_label_map(mesh, empty).array[30, 30, 40]


def test_a_cavity_and_a_part_that_is_inside_out_are_outside() -> None:
    mesh = balls((25, 0, False), (10, 0, True), (8, 50, True))
    empty = grid((110, 60, 60), (1, 1, 1), centre=(20, 0, 0))
    numbers = winding_numbers(mesh, empty)
    assert set(np.unique(numbers)) == {-1, 0, 1}
    at = np.rint(empty.ras_to_ijk[:3, :3] @ [50, 0, 0] + empty.ras_to_ijk[:3, 3]).astype(int)
    assert numbers[tuple(at[::-1])] == -1
    assert enclosed(mesh, empty).volume == pytest.approx(4 / 3 * np.pi * (25**3 - 10**3), rel=0.02)


def test_as_by_solid_angles() -> None:
    rng = np.random.default_rng(0)
    bumpy = BALL.vertices * (1 + 0.9 * rng.normal(size=(len(BALL.vertices), 1)))  # folds and overlaps everywhere
    mesh = TriangleMesh(10 * bumpy, BALL.faces)
    mesh = mesh if mesh.volume > 0 else TriangleMesh(mesh.vertices, mesh.faces[:, ::-1])
    empty = grid((9, 9, 9), (2.3, 2.9, 3.1), angles=(5.0, 7.0, 11.0), centre=(0, 0, 0))
    k, j, i = np.indices(empty.array.shape).reshape(3, -1)
    points = np.stack([i, j, k], axis=1) @ empty.ijk_to_ras[:3, :3].T + empty.ijk_to_ras[:3, 3]
    expected = np.rint(solid_angle_winding(mesh, points)).astype(int)
    assert len(np.unique(expected)) > 2
    np.testing.assert_array_equal(winding_numbers(mesh, empty).ravel(), expected)


def test_lines_through_corners_and_edges() -> None:
    # Every line towards a voxel meets corners and edges of this box or runs within its sides.
    corners = np.array(list(itertools.product((0, 2, 4), repeat=3)), dtype=np.float64)
    index = {tuple(corner): number for number, corner in enumerate(corners)}
    faces = []
    for axis in range(3):
        for side, (p, q) in itertools.product((0, 4), itertools.product((0, 2), repeat=2)):
            quad = [np.insert([p + a, q + b], axis, side) for a, b in ((0, 0), (2, 0), (2, 2), (0, 2))]
            quad = quad if (side == 4) == (axis != 1) else quad[::-1]
            a, b, c, d = (index[tuple(float(x) for x in corner)] for corner in quad)
            faces += [(a, b, c), (a, c, d)]
    mesh = TriangleMesh(corners, np.array(faces))
    assert mesh.volume == pytest.approx(64)
    empty = LabelMap(np.zeros((7, 7, 7), dtype=bool), np.diag([1.0, 1, 1, 1]), "grid")
    empty.ijk_to_ras[:3, 3] = -1.0
    numbers = winding_numbers(mesh, empty)
    assert (numbers[2:5, 2:5, 2:5] == 1).all()
    outside = np.ones((7, 7, 7), dtype=bool)
    outside[1:6, 1:6, 1:6] = False
    assert (numbers[outside] == 0).all()
    assert numbers.sum() == 64  # voxels on the box's own sides count on one of two opposite ones


def test_what_lies_outside_the_grid_is_cut_off() -> None:
    part = grid((30, 110, 90), (1, 1, 1), centre=(20.0, -30.0, 40.0))
    assert np.mean(enclosed(ellipsoid(), part).array != inside_ellipsoid(part)) < 0.005
    assert enclosed(ellipsoid(), grid((30, 30, 30), (1, 1, 1), centre=(500.0, 0, 0))).is_empty
    assert enclosed(TriangleMesh(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64)), part).is_empty
