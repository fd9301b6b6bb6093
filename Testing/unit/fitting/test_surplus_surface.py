import numpy as np
import pytest

from dals.evaluation.metrics import sample_points
from dals.fitting.point_correction import onto_points
from dals.fitting.surface_places import Surface
from dals.fitting.surplus_surface import without_surplus
from dals.geometry.mesh import TriangleMesh
from dals.geometry.surface_distance import surface_distances
from dals.model.template import icosphere

LEVEL = 4
TIP = np.array([1.0, 0.0, 0.0])


def _sphere() -> TriangleMesh:
    template = icosphere(LEVEL)
    return TriangleMesh(np.asarray(template.vertices, dtype=np.float64), template.faces)


def _with_spur(length: float, *, width: float = 0.25) -> np.ndarray:
    """The sphere with a spur (a pocket if its length is negative) at `TIP`."""
    vertices = _sphere().vertices
    away = np.linalg.norm(vertices - TIP, axis=1)
    return vertices + length * np.exp(-((away / width) ** 4))[:, None] * TIP


def _points(count: int = 2_500, *, beyond: float = 2.0) -> np.ndarray:
    """Of the sphere, without its cap beyond a coordinate."""
    points = sample_points(_sphere(), count, np.random.default_rng(3))
    return points[points[:, 0] < beyond]


@pytest.mark.parametrize("length", [0.6, -0.8])
def test_spurs_and_pockets_without_points_go(length: float) -> None:
    vertices = _with_spur(length)
    surface, places = without_surplus(Surface.of(vertices, icosphere(LEVEL).faces), _points())
    assert np.abs(np.linalg.norm(vertices, axis=1) - 1).max() > 0.5
    assert np.abs(np.linalg.norm(surface.vertices, axis=1) - 1).max() < 0.14  # two mean distances between points
    assert np.abs(places.distances).max() < 0.14  # of the surface that is returned


def test_what_no_point_measured_stays() -> None:
    """The prior's cap over a region that the points leave out."""
    vertices = _with_spur(0.4, width=0.6)
    surface, _ = without_surplus(Surface.of(vertices, icosphere(LEVEL).faces), _points(beyond=0.7))
    assert np.array_equal(surface.vertices, vertices)


def test_a_surface_along_its_points_stays() -> None:
    mesh = _sphere()
    surface, _ = without_surplus(Surface.of(mesh.vertices, mesh.faces), _points(300))
    assert np.array_equal(surface.vertices, mesh.vertices)


def test_a_spur_that_the_points_have_stays() -> None:
    mesh = TriangleMesh(_with_spur(0.6), icosphere(LEVEL).faces)
    points = sample_points(mesh, 2_500, np.random.default_rng(4))
    surface, _ = without_surplus(Surface.of(mesh.vertices, mesh.faces), points)
    assert np.array_equal(surface.vertices, mesh.vertices)


def test_the_correction_to_points_leaves_no_pocket() -> None:
    points = _points()
    found = onto_points(_with_spur(-0.8), LEVEL, points)
    assert surface_distances(found.vertices, _sphere()).max() < 0.03
