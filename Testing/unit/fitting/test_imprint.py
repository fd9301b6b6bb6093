from __future__ import annotations

import numpy as np
import pytest

from dals.fitting.imprint import Imprint, imprinted
from dals.fitting.plane_region import PlaneRegion
from dals.geometry.isosurface import flying_edges
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.geometry.surface_distance import SignedDistance
from dals.model.template import icosphere
from dals.observations import Contour, PlanarContours

UNIT = 100.0
BALL = icosphere(5)


def circle(radius_mm: float, normal: int, *centre: float, name: str = "", **more: bool) -> Contour:
    angles = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    flat = np.stack([np.zeros(120), radius_mm * np.cos(angles), radius_mm * np.sin(angles)], axis=1)
    return Contour(np.roll(flat, normal, axis=1) + centre, None, name or f"{normal} {centre}", **more)


def three_circles(radius_mm: float = 60.0) -> tuple[Contour, ...]:
    return tuple(circle(radius_mm, axis, 0, 0, 0) for axis in range(3))


def tip_and_section() -> tuple[Contour, Contour]:
    """On a plane of its own: an outline beside the ball of 60 mm, and the ball's."""
    return circle(6, 2, 30, 30, 55, name="plane 55"), circle(24, 2, 0, 0, 55, name="plane 55")


def ball(radius_mm: float = 60.0) -> TriangleMesh:
    return TriangleMesh(radius_mm * BALL.vertices, BALL.faces)


def made(mesh: TriangleMesh, *contours: Contour) -> Imprint | None:
    drawn = object.__new__(PlanarContours)  # without the checks for users' mistakes
    object.__setattr__(drawn, "contours", contours)
    regions = [PlaneRegion.of_contours(group, spacing_mm=4) for group in drawn.by_plane]
    return imprinted(mesh, drawn, regions, unit=UNIT)


def missed(mesh: TriangleMesh, points: FloatArray) -> float:
    return float(np.abs(SignedDistance(mesh).at(points)).max())


def test_a_surface_that_meets_its_contours_stays() -> None:
    assert made(ball(), *three_circles()) is None
    assert made(ball(61.5), *three_circles()) is None


def test_an_outline_that_the_surface_does_not_reach_is_reached() -> None:
    found = made(ball(), *three_circles(), *tip_and_section())
    assert found is not None
    tip, section = tip_and_section()
    assert missed(ball(), tip.points) > 12
    assert missed(found.mesh, tip.points) < 2
    others = np.concatenate([contour.points for contour in (*three_circles(), section)])
    assert missed(found.mesh, others) < 2
    assert found.pieces == 1
    assert found.depth_mm == pytest.approx(missed(ball(), tip.points), abs=3)
    assert found.place is not None
    assert np.linalg.norm(found.place - [30, 30, 55]) < 9
    assert found.note is not None
    assert "In 1 place" in found.note
    assert found.mesh.is_closed
    # Away from the tip nothing has changed.
    far = found.mesh.vertices[found.mesh.vertices[:, 2] < 25]
    assert np.abs(np.linalg.norm(far, axis=1) - 60).max() < 0.3


def test_a_dent_that_a_contour_goes_around_is_dug() -> None:
    angles = np.linspace(0, 2 * np.pi, 240, endpoint=False)
    radius = 60 - 15 * np.exp(-0.5 * ((angles - np.pi) / 0.15) ** 2)
    dented = Contour(np.stack([radius * np.cos(angles), radius * np.sin(angles), 0 * angles], axis=1), None, "dented")
    found = made(ball(), dented, circle(60, 0, 0, 0, 0), circle(50, 2, 0, 0, 33))
    assert found is not None
    assert missed(ball(), dented.points) > 10
    assert missed(found.mesh, dented.points) < 3
    assert found.mesh.volume < ball().volume


def test_a_hole_that_was_drawn_is_a_cavity() -> None:
    hole = circle(10, 2, 0, 0, 0, name="hole")
    beside = (circle(52, 0, 30, 0, 0), circle(52, 1, 0, 30, 0))
    found = made(ball(), *beside, circle(60, 2, 0, 0, 0), hole)
    assert found is not None
    assert missed(found.mesh, np.concatenate([contour.points for contour in (*beside, hole)])) < 2
    assert SignedDistance(found.mesh).at(np.array([[0.0, 0.0, 0.0]]))[0] > 2  # outside
    assert SignedDistance(found.mesh).at(np.array([[0.0, 0.0, 30.0]]))[0] < 0


def test_an_open_plane_says_nothing_about_what_was_not_outlined() -> None:
    # The lower half is on the plane, too, but only a part of the upper one was outlined.
    part = circle(20, 0, 0, 0, 40, name="part", open_plane=True)
    found = made(ball(), circle(60, 2, 0, 0, 0), circle(60, 1, 0, 0, 0), part)
    below = np.array([[0.0, 0.0, -40.0]])
    mesh = ball() if found is None else found.mesh
    assert SignedDistance(mesh).at(below)[0] < -15


def arc(radius_mm: float, normal: int, *centre: float, share: float) -> Contour:
    """A part of a circle, which begins on the first axis of its plane."""
    points = circle(radius_mm, normal, *centre).points
    return Contour(points[: round(share * len(points))], None, f"arc {normal} {centre}", closed=False)


def test_an_open_curve_is_reached_and_what_was_not_drawn_stays() -> None:
    tip = arc(10, 2, 30, 30, 55, share=0.7)
    section = circle(24, 2, 0, 0, 55)
    found = made(ball(), *three_circles(), tip, section)
    assert found is not None
    assert missed(ball(), tip.points) > 15
    assert missed(found.mesh, tip.points) < 2.5
    assert missed(found.mesh, section.points) < 2
    far = found.mesh.vertices[found.mesh.vertices[:, 2] < 20]
    assert np.abs(np.linalg.norm(far, axis=1) - 60).max() < 0.3


def test_half_an_outline_says_nothing_about_the_other_half() -> None:
    half = arc(66, 0, 0, 0, 0, share=0.5)  # with an offset of 6 mm
    found = made(ball(), circle(60, 2, 0, 0, 0), half)
    assert found is not None
    middle = half.points[10:-10]
    assert missed(found.mesh, middle) < 2
    opposite = -middle
    assert np.abs(SignedDistance(found.mesh).at(opposite * 60 / 66)).max() < 0.5


def test_an_open_outline_of_a_hole_is_dug_and_not_filled() -> None:
    hole = arc(12, 2, 0, 0, 0, share=0.7)
    found = made(ball(), *three_circles()[:2], circle(60, 2, 0, 0, 0), hole)
    assert found is not None
    beside = 0.5 * hole.points[len(hole.points) // 2]
    assert SignedDistance(found.mesh).at(beside[None])[0] > 1
    assert missed(found.mesh, hole.points[5:-5]) < 2.5


def test_what_cannot_be_imprinted_leaves_the_surface_as_it_is() -> None:
    # An outline of a hundredth of a millimetre encloses no pixel of its plane.
    assert made(ball(), *three_circles(), circle(0.01, 2, 30.27, 30.13, 55), circle(24, 2, 0, 0, 55)) is None


def ball_but(*, cavity: bool = False, cleft: bool = False, beside_mm: float = 0.0) -> TriangleMesh:
    """A ball of 60 mm around the origin, with a cavity of 7 mm, a cleft of 0.8 mm, or a ball of its own beside it."""
    step = 0.5
    z, y, x = np.mgrid[-30:30:step, -64:64:step, -64:116:step]
    field = np.sqrt(x**2 + y**2 + z**2) - 60
    if cavity:
        field = np.maximum(field, 7 - np.sqrt((x + 30) ** 2 + y**2 + z**2))
    if cleft:
        field = np.maximum(field, np.minimum(0.4 - np.abs(y - 0.6), x - 30))
    if beside_mm:
        field = np.minimum(field, np.sqrt((x - 66 - beside_mm) ** 2 + y**2 + z**2) - beside_mm)
    surface = flying_edges(np.pad(field, 1, constant_values=1.0).astype(np.float32), 0.0)
    vertices = (surface.vertices - 1) * step + [-64, -64, -30]
    mesh = TriangleMesh(vertices, surface.faces)
    return mesh if mesh.volume > 0 else TriangleMesh(vertices, surface.faces[:, ::-1])


def test_a_pocket_within_an_outline_is_filled_and_a_sliver_beside_it_cut_off() -> None:
    drawn = circle(60, 2, 0, 0, 0)
    with_pocket, with_sliver = ball_but(cavity=True), ball_but(beside_mm=6)
    filled = made(with_pocket, drawn)
    assert filled is not None
    assert SignedDistance(filled.mesh).at(np.array([[-30.0, 0.0, 0.0]]))[0] < -20
    assert filled.mesh.volume > with_pocket.volume + 1_200
    cut = made(with_sliver, drawn)
    assert cut is not None
    assert with_sliver.vertices[:, 0].max() > 77
    assert cut.mesh.vertices[:, 0].max() < 62


def test_a_pocket_is_filled_on_its_plane_and_stays_where_another_plane_shows_it() -> None:
    hole = circle(5.7, 2, -30, 0, 4)
    found = made(ball_but(cavity=True), circle(60, 2, 0, 0, 0), circle(59.9, 2, 0, 0, 4), hole)
    assert found is not None
    inside, in_the_hole = SignedDistance(found.mesh).at(np.array([[-30.0, 0.0, 0.0], [-30.0, 0.0, 4.0]]))
    assert inside < -1
    assert in_the_hole > 1
    assert missed(found.mesh, hole.points) < 2


def test_a_plane_stays_that_the_surface_is_right_about_to_within_a_voxel() -> None:
    angles = np.linspace(0, 2 * np.pi, 240, endpoint=False)
    radius = 60 + 12 * np.exp(-0.5 * ((angles - np.pi) / 0.12) ** 2)
    bump = Contour(np.stack([0 * angles, radius * np.cos(angles), radius * np.sin(angles)], axis=1), None, "bump")
    crossing = circle(60.6, 2, 0, 0, 0)
    found = made(ball(), bump, crossing, circle(60, 1, 0, 0, 0))
    assert found is not None
    at_the_bump = crossing.points[np.linalg.norm(crossing.points - [0, -60, 0], axis=1) < 25]
    assert missed(found.mesh, at_the_bump) < UNIT / 80
    assert missed(found.mesh, bump.points) < 2.5


def test_a_large_section_that_nobody_outlined_stays_for_a_note() -> None:
    beside = ball_but(beside_mm=20)
    assert made(beside, circle(60, 2, 0, 0, 0)) is None


def test_a_large_section_that_nobody_outlined_is_cut_back_to_a_missed_contour_alone() -> None:
    lobe = np.array([90.0, 0.0, 0.0])
    vertices = np.concatenate([60 * BALL.vertices, 40 * BALL.vertices + lobe])
    mesh = TriangleMesh(vertices, np.concatenate([BALL.faces, BALL.faces + len(BALL.vertices)]))
    drawn = circle(60, 2, 0, 0, 0)
    found = made(mesh, drawn)
    assert found is not None
    assert missed(found.mesh, drawn.points) < 2.5
    beside, far = SignedDistance(found.mesh).at(np.array([[65.0, 0.0, 0.0], [115.0, 0.0, 0.0]]))
    assert beside > 0
    assert far < -5


def test_a_cleft_that_was_drawn_is_not_lost_for_a_pocket() -> None:
    mesh = ball_but(cavity=True, cleft=True)
    angles = np.linspace(0.02, 2 * np.pi, 240)
    around = np.stack([60 * np.cos(angles), 60 * np.sin(angles), 0 * angles], axis=1)
    along = np.linspace(60, 30, 60)
    banks = [
        np.stack([along, np.full(60, 0.2), 0 * along], axis=1),
        np.stack([along, np.full(60, 1.0), 0 * along], axis=1),
    ]
    banks[1] = banks[1][::-1]
    drawn = Contour(np.concatenate([around, *banks]), None, "with a cleft")
    assert missed(mesh, drawn.points) < 1.5
    assert made(mesh, drawn) is None
    assert made(ball_but(cavity=True), circle(60, 2, 0, 0, 0)) is not None


def test_parts_that_overlap_are_united_and_what_is_inside_out_goes() -> None:
    twice = TriangleMesh(
        np.concatenate([60 * BALL.vertices, 30 * BALL.vertices + [50.0, 0, 0], 8 * BALL.vertices - [80.0, 0, 0]]),
        np.concatenate([BALL.faces, BALL.faces + len(BALL.vertices), BALL.faces[:, ::-1] + 2 * len(BALL.vertices)]),
    )
    found = made(twice, circle(60, 0, 0, 0, 0), circle(30, 0, 50, 0, 0))
    assert found is not None
    assert found.pieces == 0
    assert found.note is None
    assert found.overlap > 0.05
    assert found.mesh.is_closed
    distances = np.minimum(
        np.linalg.norm(found.mesh.vertices, axis=1) - 60,
        np.linalg.norm(found.mesh.vertices - [50.0, 0, 0], axis=1) - 30,
    )
    assert np.abs(distances).max() < 2.0  # at the crease
    assert np.abs(distances).mean() < 0.05


def test_the_same_again() -> None:
    a, b = (made(ball(), *three_circles(), *tip_and_section()) for _ in range(2))
    assert a is not None
    assert b is not None
    np.testing.assert_array_equal(a.mesh.vertices, b.mesh.vertices)
