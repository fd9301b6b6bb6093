"""Pieces that the image refutes or misses, on spheres of 50 mm."""

from __future__ import annotations

import numpy as np
import pytest

from dals.appearance.image_use import ImageUse
from dals.appearance.mending import Mending, _coarser, mended
from dals.fitting.plane_residuals import PlaneResiduals
from dals.fitting.residuals import residual_term
from dals.geometry.cross_sections import section_loops
from dals.geometry.log_odds import LogOdds
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.geometry.surface_distance import surface_distances
from dals.model.pose import Pose
from dals.model.template import icosphere
from dals.observations import Contour, PlanarContours

CENTRE = np.array([10.0, -20.0, 30.0])
RADIUS = 50.0
POSE = Pose(RADIUS, CENTRE)
TOWARDS = np.array([1.0, 1.0, 1.0]) / 3**0.5
"""Between the drawn planes."""


@pytest.fixture(scope="module")
def sphere() -> TriangleMesh:
    template = icosphere(4)
    return TriangleMesh(CENTRE + RADIUS * template.vertices, template.faces)


@pytest.fixture(scope="module")
def drawn(sphere: TriangleMesh) -> PlaneResiduals:
    loops = [section_loops(sphere, CENTRE + 0.3, axis)[0] for axis in np.eye(3)]
    contours = PlanarContours(tuple(Contour(loop, None, f"plane {k}") for k, loop in enumerate(loops)))
    term = residual_term(contours, PlanarContours.defaults)
    assert isinstance(term, PlaneResiduals)
    return term


def pulled(sphere: TriangleMesh, millimetres: float) -> TriangleMesh:
    """A sphere with a bump of this height, or a dent, 0.3 radii wide."""
    directions = (sphere.vertices - CENTRE) / RADIUS
    heights = millimetres * np.exp(-((np.arccos(np.clip(directions @ TOWARDS, -1, 1)) / 0.3) ** 2))
    return TriangleMesh(sphere.vertices + heights[:, None] * directions, sphere.faces)


def odds_of_sphere(*, slice_mm: float = 4.0, until: float = np.inf) -> LogOdds:
    """Log-odds 3 inside of the sphere and -3 outside, on voxels of 2 x 2 mm; none beyond an R coordinate."""
    spacing = np.array([2.0, 2.0, slice_mm])
    low, size = CENTRE - 80, np.ceil(160 / spacing).astype(int)
    if np.isfinite(until):
        size[0] = int((until - low[0]) / spacing[0])
    axes = [low[axis] + spacing[axis] * np.arange(size[axis]) for axis in range(3)]
    r, a, s = np.meshgrid(*axes, indexing="ij")
    inside = (r - CENTRE[0]) ** 2 + (a - CENTRE[1]) ** 2 + (s - CENTRE[2]) ** 2 < RADIUS**2
    matrix = np.diag([*spacing, 1.0])
    matrix[:3, 3] = low
    return LogOdds(np.where(inside, 3.0, -3.0).transpose(2, 1, 0).astype(np.float32), matrix)


def mean_distance(found: Mending, truth: TriangleMesh) -> float:
    return float(surface_distances(found.mesh.vertices, truth).mean())


@pytest.mark.parametrize("height", [25.0, -25.0], ids=["horn", "dent"])
def test_a_horn_is_cut_off_and_a_dent_filled(sphere: TriangleMesh, drawn: PlaneResiduals, height: float) -> None:
    surface = pulled(sphere, height)
    found = mended(surface, odds_of_sphere(), drawn, trust=1.0, pose=POSE)
    assert found is not None
    assert found.pieces == 1
    assert found.depth_mm == pytest.approx(25, abs=13)  # of the horn's inside to its own wall, or of the dent's bottom
    assert np.linalg.norm(found.place - (CENTRE + RADIUS * TOWARDS)) < 30
    assert found.mesh.volume == pytest.approx(sphere.volume, rel=0.01)
    assert mean_distance(found, sphere) < 0.5
    assert surface_distances(found.mesh.vertices, sphere).max() < 3.5


def test_a_piece_apart_is_left_away(sphere: TriangleMesh, drawn: PlaneResiduals) -> None:
    # Its neighbours look like the organ at the horn's tip, but nothing leads there.
    odds = odds_of_sphere()
    places = np.argwhere(odds.array < 0)
    centres = places[:, ::-1] @ odds.ijk_to_ras[:3, :3].T + odds.ijk_to_ras[:3, 3]
    tip = np.linalg.norm(centres - (CENTRE + (RADIUS + 25) * TOWARDS), axis=1) < 12
    odds.array[tuple(places[tip].T)] = 2.0
    found = mended(pulled(sphere, 30.0), odds, drawn, trust=1.0, pose=POSE)
    assert found is not None
    assert found.mesh.volume == pytest.approx(sphere.volume, rel=0.015)


def test_contours_stay_where_they_are(sphere: TriangleMesh, drawn: PlaneResiduals) -> None:
    found = mended(pulled(sphere, 25.0), odds_of_sphere(slice_mm=7.7), drawn, trust=1.0, pose=POSE)
    assert found is not None
    points = np.concatenate([region.points for region in drawn.regions])
    assert surface_distances(points, found.mesh).max() < 0.8


def test_a_surface_that_the_image_bears_out_stays(sphere: TriangleMesh, drawn: PlaneResiduals) -> None:
    assert mended(sphere, odds_of_sphere(), drawn, trust=1.0, pose=POSE) is None
    assert mended(pulled(sphere, 1.5), odds_of_sphere(), drawn, trust=1.0, pose=POSE) is None


def test_an_image_that_is_not_trusted_changes_nothing(sphere: TriangleMesh, drawn: PlaneResiduals) -> None:
    assert mended(pulled(sphere, 25.0), odds_of_sphere(), drawn, trust=0.1, pose=POSE) is None


def test_the_surface_goes_on_where_the_image_ends(sphere: TriangleMesh, drawn: PlaneResiduals) -> None:
    surface, cut = pulled(sphere, 25.0), odds_of_sphere(until=CENTRE[0] - 10)
    assert mended(surface, cut, drawn, trust=1.0, pose=POSE) is None  # the horn lies where the image ends
    seen = odds_of_sphere(until=CENTRE[0] + 40)
    found = mended(surface, seen, drawn, trust=1.0, pose=POSE)
    assert found is not None
    assert found.mesh.vertices[:, 0].max() == pytest.approx(sphere.vertices[:, 0].max(), abs=1.5)


def test_the_report_names_the_place() -> None:
    nothing: FloatArray = np.zeros((0, 3))
    mending = Mending(TriangleMesh(nothing, nothing.astype(np.int64)), 2, 9.4, np.array([-56.0, 12.0, 108.0]))
    use = ImageUse(name="CT", trust=1.0, mending=mending)
    assert use.note is not None
    assert use.note.startswith("In 2 places the image clearly contradicts")
    assert "9 mm" in use.note
    assert use.entry()["mended"] == {"pieces": 2, "depth_mm": 9.4, "deepest_at_ras_mm": [-56.0, 12.0, 108.0]}
    assert ImageUse(name="CT", trust=1.0).note is None
    assert "mended" not in ImageUse(name="CT", trust=1.0).entry()


def test_fine_voxels_are_averaged() -> None:
    odds = odds_of_sphere()
    blocks = _coarser(odds, spacing_mm=4.5)
    assert np.linalg.norm(blocks.ijk_to_ras[:3, :3], axis=0) == pytest.approx([4.0, 4.0, 4.0])
    assert blocks.array.shape == (40, 40, 40)
    assert blocks.array[7, 3, 2] == pytest.approx(odds.array[7, 6:8, 4:6].mean())
    corners = np.array([[i, j, 7.0, 1.0] for i in (4, 5) for j in (6, 7)])
    centre = blocks.ijk_to_ras @ np.array([2.0, 3.0, 7.0, 1.0])
    assert centre == pytest.approx((corners @ odds.ijk_to_ras.T).mean(axis=0))
    assert _coarser(odds, spacing_mm=3.9) is odds


def test_what_is_mended_does_not_depend_on_the_size_of_voxels(sphere: TriangleMesh, drawn: PlaneResiduals) -> None:
    truth_odds, surface = odds_of_sphere(slice_mm=2.0), pulled(sphere, 25.0)
    fine = LogOdds(truth_odds.array.repeat(2, 0).repeat(2, 1).repeat(2, 2), truth_odds.ijk_to_ras.copy())
    fine.ijk_to_ras[:3, 3] -= 0.5
    fine.ijk_to_ras[:3, :3] /= 2
    found = [mended(surface, odds, drawn, trust=1.0, pose=POSE) for odds in (truth_odds, fine)]
    assert found[0] is not None
    assert found[1] is not None
    assert surface_distances(found[0].mesh.vertices, found[1].mesh).max() < 0.7
