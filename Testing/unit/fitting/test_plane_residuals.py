from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dals.fitting.plane_region import PlaneRegion
from dals.fitting.plane_residuals import PlaneResiduals, section_segments
from dals.fitting.residuals import Residuals
from dals.geometry.mesh import FloatArray
from dals.model.pose import Pose
from dals.model.template import icosphere
from dals.observations import Contour

POSE = Pose(100.0, np.array([5.0, 6.0, 7.0]))
BALL = icosphere(4)


def circle(radius_mm: float, normal: int, centre: FloatArray = POSE.translation) -> Contour:
    angles = np.linspace(0, 2 * np.pi, 240, endpoint=False)
    flat = np.stack([np.zeros(240), radius_mm * np.cos(angles), radius_mm * np.sin(angles)], axis=1)
    return Contour(np.roll(flat, normal, axis=1) + centre)


def term(*contours: Contour, robust_scale: float = np.inf, complete: bool = True) -> PlaneResiduals:
    marked = [replace(contour, open_plane=not complete) for contour in contours]
    regions = [PlaneRegion.of_contours([contour], spacing_mm=4) for contour in marked]
    return PlaneResiduals(regions, weight=30.0, robust_scale=robust_scale)


@pytest.mark.parametrize(("radius", "value"), [(100.0, 0.0), (110.0, 0.1), (93.0, -0.07)])
def test_a_ball_has_to_grow_or_shrink_to_the_contours(radius: float, value: float) -> None:
    residuals = term(*(circle(radius, axis) for axis in range(3)))(BALL.vertices, BALL.faces, POSE)
    assert np.allclose(residuals.values, value, atol=2e-3)
    assert residuals.weights.sum() == pytest.approx(180)
    assert residuals.loss == pytest.approx(180 * value**2, abs=5e-3 + 0.05 * 180 * value**2)


def test_places_are_on_the_planes_or_nearest_to_the_contours() -> None:
    residuals = term(circle(100, 0), circle(100, 2))(BALL.vertices, BALL.faces, POSE)
    places = residuals.at_places(BALL.vertices, BALL.faces)
    assert (np.abs(places[:, [0, 2]]).min(axis=1) < 0.02).all()


def test_a_section_beside_what_was_outlined_has_to_leave_the_plane() -> None:
    # A second ball on the plane, which nobody has outlined: all of it has to shrink, also where it is far away.
    away = np.array([2.5, 0.0, 0.0])
    vertices = np.concatenate([BALL.vertices, 0.5 * BALL.vertices + away])
    faces = np.concatenate([BALL.faces, BALL.faces + len(BALL.vertices)])
    residuals = term(circle(100, 1))(vertices, faces, POSE)
    stray = residuals.faces >= len(BALL.faces)
    assert stray.sum() > 20
    assert (residuals.values[stray] < -0.8).all()
    forgiven = term(circle(100, 1), robust_scale=0.1)(vertices, faces, POSE)
    assert forgiven.loss < 0.02 * residuals.loss
    assert (forgiven.values[stray] == residuals.values[stray]).all()
    assert (forgiven.weights[stray] <= 1e-3 * residuals.weights[stray]).all()


def test_nothing_is_known_of_an_incomplete_plane_but_the_contour() -> None:
    away = np.array([2.5, 0.0, 0.0])
    vertices = np.concatenate([BALL.vertices, 0.5 * BALL.vertices + away])
    faces = np.concatenate([BALL.faces, BALL.faces + len(BALL.vertices)])
    incomplete = term(circle(100, 1), complete=False)
    residuals = incomplete(vertices, faces, POSE)
    elsewhere = residuals.faces >= len(BALL.faces)
    assert elsewhere.any()
    assert (residuals.weights[elsewhere] == 0).all()
    assert residuals.weights[~elsewhere].sum() > 30


def test_an_open_curve_says_nothing_of_its_gap() -> None:
    """A ball that bulges where an outline was not drawn stays as it is; where one was, it has to shrink."""
    outline = circle(100, 1)
    rays = (outline.points - POSE.translation) / 100
    arc = Contour(np.roll(outline.points, -int(np.argmax(rays @ [1.0, 0, 0])) - 60, axis=0)[:120], closed=False)
    assert ((arc.points - POSE.translation)[:, 0] < 1).all() or ((arc.points - POSE.translation)[:, 2] > -1).all()
    undrawn = -(arc.points.mean(axis=0) - POSE.translation) / 100
    undrawn /= np.linalg.norm(undrawn)
    bulge = BALL.vertices * (1 + 0.3 * np.clip(BALL.vertices @ undrawn - 0.3, 0, None))[:, None]
    residuals = term(arc)(bulge, BALL.faces, POSE)
    places = residuals.at_places(bulge, BALL.faces)
    in_gap = places @ undrawn > 0.5
    assert in_gap.sum() > 20
    assert residuals.weights[in_gap].sum() < 0.05 * residuals.weights.sum()
    chord = term(Contour(arc.points))(bulge, BALL.faces, POSE)
    assert chord.loss > 20 * residuals.loss


def test_a_plane_that_misses_the_mesh_pulls_it_by_its_contours() -> None:
    above = POSE.translation + np.array([0.0, 0.0, 120.0])
    residuals = term(circle(20, 2, above))(BALL.vertices, BALL.faces, POSE)
    assert residuals.values.min() > 0.1
    assert np.isfinite(residuals.loss)


def test_partners_face_the_same_way() -> None:
    # A thin slab: the contour's upper side is nearer to the slab's lower side, and still belongs to the upper one.
    slab = BALL.vertices * [1.0, 1.0, 0.05]
    angles = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    outline = np.stack([100 * np.cos(angles), np.zeros(400), 5 * np.sin(angles) - 8], axis=1) + POSE.translation
    residuals = term(Contour(outline))(slab, BALL.faces, POSE)
    contour_z = term(Contour(outline)).regions[0].normals[:, 2]
    facing = residuals.at_places(residuals.vertex_normals, BALL.faces)[:, 2]
    facing = facing[: len(contour_z)]  # those of the contour come first
    clear = np.abs(contour_z) > 0.9
    assert (np.sign(facing[clear]) == np.sign(contour_z[clear])).mean() > 0.95


def test_the_frame_of_the_pose_does_not_matter() -> None:
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    contours = circle(110, 0), circle(104, 2)
    straight = term(*contours)(BALL.vertices, BALL.faces, POSE)
    turned = term(*contours)(BALL.vertices @ turn, BALL.faces, Pose(POSE.scale, POSE.translation, turn))
    assert turned.loss == pytest.approx(straight.loss)
    assert np.allclose(turned.values, straight.values)


def test_segments_lie_on_the_plane_and_in_their_faces() -> None:
    origin, normal = np.array([0.1, 0.2, 0.3]), np.array([0.48, 0.6, 0.64])
    met, ends = section_segments(BALL.vertices, BALL.faces, origin, normal)
    positions = np.einsum("nek,nkd->ned", ends, BALL.vertices[BALL.faces[met]])
    assert np.allclose((positions - origin) @ normal, 0, atol=1e-12)
    assert ends.min() >= 0
    assert np.allclose(ends.sum(axis=2), 1)
    length = np.linalg.norm(positions[:, 1] - positions[:, 0], axis=1).sum()
    assert length == pytest.approx(2 * np.pi * np.sqrt(1 - (origin @ normal) ** 2), rel=0.01)


def test_many_planes_make_a_bounded_number_of_residuals() -> None:
    heights = 5.0 * np.arange(-18, 19)
    contours = [circle(np.sqrt(100**2 - z**2), 2, POSE.translation + np.array([0, 0, z])) for z in heights]
    residuals: Residuals = term(*contours)(BALL.vertices, BALL.faces, POSE)
    sections = len(residuals.values) - sum(len(region.points) for region in term(*contours).regions)
    assert 300 < sections <= 1_500
