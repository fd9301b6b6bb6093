from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dals.fitting.plane_region import PlaneRegion
from dals.geometry.mesh import FloatArray
from dals.observations import Contour

CENTRE = np.array([10.0, -5.0, 30.0])


def circle(radius: float, *, reverse: bool = False, shift: float = 0.0) -> Contour:
    """A circle in an oblique plane through CENTRE."""
    angles = np.linspace(0, 2 * np.pi, 180, endpoint=False)[:: -1 if reverse else 1]
    first, second = axes()
    flat = radius * np.cos(angles)[:, None] * first + radius * np.sin(angles)[:, None] * second
    return Contour(CENTRE + shift * first + flat)


def axes() -> tuple[FloatArray, FloatArray]:
    first = np.array([0.6, 0.0, 0.8])
    return first, np.cross(np.array([0.0, 1.0, 0.0]), first)


def at(distance: float, shift: float = 0.0) -> FloatArray:
    return (CENTRE + (shift + distance) * axes()[0])[None]


def distances(region: PlaneRegion, points: FloatArray) -> FloatArray:
    return region.signed_distances(points, points - region.origin)[0]


@pytest.mark.parametrize("reverse", [False, True])
def test_distances_are_negative_inside_and_normals_point_outwards(reverse: bool) -> None:
    region = PlaneRegion.of_contours([circle(40, reverse=reverse)], spacing_mm=4)
    assert distances(region, at(0.0))[0] == pytest.approx(-40, abs=0.05)
    assert distances(region, at(25.0))[0] == pytest.approx(-15, abs=0.05)
    assert distances(region, at(70.0))[0] == pytest.approx(30, abs=0.05)
    rays = (region.points - CENTRE) / np.linalg.norm(region.points - CENTRE, axis=1, keepdims=True)
    assert ((region.normals * rays).sum(axis=1) > 0.99).all()
    assert np.allclose(np.linalg.norm(region.normals, axis=1), 1)


def test_a_contour_within_another_is_a_hole() -> None:
    region = PlaneRegion.of_contours([circle(40), circle(15)], spacing_mm=4)
    assert distances(region, at(0.0))[0] > 0
    assert distances(region, at(20.0))[0] == pytest.approx(-5, abs=0.05)
    inner = np.linalg.norm(region.points - CENTRE, axis=1) < 20
    rays = (region.points - CENTRE) / np.linalg.norm(region.points - CENTRE, axis=1, keepdims=True)
    assert ((region.normals * rays).sum(axis=1)[inner] < -0.99).all()


def test_two_parts_on_one_plane_are_one_region() -> None:
    region = PlaneRegion.of_contours([circle(20), circle(10, shift=60)], spacing_mm=4)
    assert distances(region, at(0.0, shift=60))[0] == pytest.approx(-10, abs=0.05)
    assert distances(region, at(35.0))[0] == pytest.approx(15, abs=0.05)


def test_distances_are_those_from_the_segments_and_not_from_samples() -> None:
    square = np.array([[-30.0, -30, 0], [30, -30, 0], [30, 30, 0], [-30, 30, 0]])
    region = PlaneRegion.of_contours([Contour(square)], spacing_mm=4)
    points = np.random.default_rng(0).uniform(-50, 50, (300, 3)) * [1, 1, 0]
    beyond = np.abs(points[:, :2]) - 30
    expected = np.where((beyond < 0).all(axis=1), beyond.max(axis=1), np.linalg.norm(np.maximum(beyond, 0), axis=1))
    assert np.allclose(distances(region, points), expected, atol=0.4)  # samples cut corners
    away = np.abs(np.abs(points[:, :2]) - 30).max(axis=1) > 8
    sideways = away & ((beyond < 0).sum(axis=1) == 1)
    assert np.allclose(distances(region, points)[sideways], expected[sideways], atol=1e-9)


def test_points_are_about_as_far_apart_as_asked() -> None:
    region = PlaneRegion.of_contours([circle(40)], spacing_mm=5)
    steps = np.linalg.norm(region.points - np.roll(region.points, 1, axis=0), axis=1)
    assert np.allclose(steps, 5, atol=0.1)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("share", [0.2, 0.7])
def test_an_open_curve_knows_its_two_sides_and_not_what_lies_beyond_its_ends(share: float, reverse: bool) -> None:
    whole = circle(40).points
    half = round(0.5 * share * len(whole))
    arc = np.roll(whole, half, axis=0)[: 2 * half + 1][:: -1 if reverse else 1]  # its middle is on the first axis
    region = PlaneRegion.of_contours([Contour(arc, closed=False)], spacing_mm=4, middle=CENTRE)
    facing = axes()[0][None]
    inside, known = region.signed_distances(at(35.0), facing)
    assert inside[0] == pytest.approx(-5, abs=0.05)
    assert known[0] > 0.9
    outside, known = region.signed_distances(at(46.0), facing)
    assert outside[0] == pytest.approx(6, abs=0.05)
    assert known[0] > 0.8
    rays = (region.points - CENTRE) / np.linalg.norm(region.points - CENTRE, axis=1, keepdims=True)
    assert ((region.normals * rays).sum(axis=1) > 0.98).all()
    opposite = region.signed_distances(at(-40.0), -facing)[1]
    assert opposite[0] == 0  # what is missing there
    other_side = region.signed_distances(at(35.0), -facing)[1]
    assert other_side[0] == 0  # a section that faces the other way belongs to what was not drawn


def opened(contour: Contour, share: float = 0.7) -> Contour:
    return Contour(contour.points[: round(share * len(contour.points))], closed=False)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("outer_open", "inner_open"), [(False, True), (True, False), (True, True)])
def test_a_contour_within_another_is_a_hole_also_where_they_are_open(
    outer_open: bool, inner_open: bool, reverse: bool
) -> None:
    inner = opened(circle(15)) if inner_open else circle(15)
    inner = replace(inner, points=inner.points[::-1]) if reverse else inner
    contours = [opened(circle(40), 0.8) if outer_open else circle(40), inner]
    region = PlaneRegion.of_contours(contours, spacing_mm=4, middle=CENTRE)
    inside = CENTRE + 6 * axes()[1] + 6 * axes()[0]  # towards the middle of the part that was drawn
    assert distances(region, inside[None])[0] > 5
    within = CENTRE + 14 * axes()[1] + 14 * axes()[0]
    assert distances(region, within[None])[0] == pytest.approx(-(14 * np.sqrt(2) - 15), abs=0.1)
    near = np.linalg.norm(region.points - CENTRE, axis=1) < 20
    rays = (region.points - CENTRE) / np.linalg.norm(region.points - CENTRE, axis=1, keepdims=True)
    assert ((region.normals * rays).sum(axis=1)[near] < -0.95).all()
    assert ((region.normals * rays).sum(axis=1)[~near] > 0.95).all()


def test_the_two_parts_of_an_outline_are_on_the_same_side_also_in_a_dent() -> None:
    # A disc from which a bite was taken: the rest of its edge, and the edge of the bite.
    disc, bite = circle(40), circle(20, shift=40)
    middle = CENTRE + 40 * axes()[0]
    edge = disc.points[np.linalg.norm(disc.points - middle, axis=1) > 20]
    start = int(np.argmax(np.linalg.norm(np.diff(edge, axis=0, append=edge[:1]), axis=1))) + 1
    dent = bite.points[np.linalg.norm(bite.points - CENTRE, axis=1) < 40]
    region = PlaneRegion.of_contours(
        [Contour(np.roll(edge, -start, axis=0), closed=False), Contour(dent, closed=False)],
        spacing_mm=4,
        middle=CENTRE - 5 * axes()[0],
    )
    assert distances(region, at(15.0))[0] == pytest.approx(-5, abs=0.1)
    assert distances(region, at(25.0))[0] == pytest.approx(5, abs=0.1)


def test_the_sides_of_an_open_curve_fade_beyond_its_ends() -> None:
    arc = opened(circle(40), 0.5)
    region = PlaneRegion.of_contours([arc], spacing_mm=4, middle=CENTRE)
    first, second = axes()
    beside = region.sides((CENTRE + 10 * second)[None], beyond_mm=8)
    assert beside[0][0] == pytest.approx(-30, abs=0.1)
    assert beside[1][0] == 1
    beyond = [region.sides((CENTRE + 40 * first - step * second)[None], beyond_mm=8)[1][0] for step in (2, 6, 9)]
    assert beyond[0] == 1
    assert 0 < beyond[1] < 1
    assert beyond[2] == 0


def test_on_an_open_plane_only_what_is_within_or_beside_a_contour_is_known() -> None:
    region = PlaneRegion.of_contours([replace(circle(40), open_plane=True)], spacing_mm=4)
    assert not region.complete
    known = [region.signed_distances(at(distance), axes()[0][None])[1][0] for distance in (0.0, 39.0, 44.0, 60.0)]
    assert known[:2] == [1, 1]
    assert 0.3 < known[2] < 1
    assert known[3] == 0
