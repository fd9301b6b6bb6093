"""The synthetic liver, its contours and its damaged label map."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from dals.demo.synthetic_liver import BoolArray, cut_contour, damaged_mask, synthetic_liver
from dals.errors import InputError
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.geometry.vtk_bridge import mesh_of

SPACING = (3.0, 2.0, 2.5)


@pytest.fixture(scope="module")
def liver() -> TriangleMesh:
    return synthetic_liver()


@pytest.fixture(scope="module")
def ball_mask() -> BoolArray:
    grid = np.stack(np.meshgrid(*(np.arange(n) * s for n, s in zip((60, 90, 72), SPACING, strict=True)), indexing="ij"))
    return np.asarray(np.linalg.norm(grid - np.array([90.0, 90.0, 90.0])[:, None, None, None], axis=0) < 55.0)


@pytest.mark.parametrize("spacing", [2.5, 3.0, 4.0])
def test_liver_is_one_closed_surface_without_handles(spacing: float) -> None:
    mesh = synthetic_liver(spacing=spacing)
    assert mesh.is_closed
    assert mesh.euler_characteristic == 2


def test_liver_has_the_size_of_a_liver(liver: TriangleMesh) -> None:
    assert 1.3e6 < liver.volume < 1.8e6
    np.testing.assert_allclose(np.ptp(liver.vertices, axis=0), [210, 160, 150], atol=10)


def test_liver_lies_as_livers_do(liver: TriangleMesh) -> None:
    x, y, z = (liver.vertices - liver.vertices.mean(axis=0)).T
    right, left = x > np.quantile(x, 0.8), x < np.quantile(x, 0.2)
    assert np.ptp(z[right]) > 1.5 * np.ptp(z[left])  # the big lobe is on the right
    assert y[left].mean() > y[right].mean() + 20  # the left lobe lies anterior
    assert z[left].mean() > z[right].mean() + 10  # and superior


def test_liver_is_the_same_every_time(liver: TriangleMesh) -> None:
    again = synthetic_liver()
    np.testing.assert_array_equal(again.vertices, liver.vertices)
    np.testing.assert_array_equal(again.faces, liver.faces)


@pytest.mark.parametrize("normal", [(1, 0, 0), (0, 1, 0), (0, 0, 2), (0.3, -0.4, 0.8)])
def test_contour_points_lie_on_the_plane_and_near_the_surface(liver: TriangleMesh, normal: FloatArray) -> None:
    origin = liver.vertices.mean(axis=0)
    points = cut_contour(liver, origin, normal, noise_mm=0.5, seed=3)
    assert points.shape == (28, 3)
    unit = np.asarray(normal) / np.linalg.norm(normal)
    np.testing.assert_allclose((points - origin) @ unit, 0.0, atol=1e-3)
    gaps = np.linalg.norm(points[:, None] - liver.vertices[None], axis=2).min(axis=1)
    assert gaps.max() < 5.0


def test_contour_of_a_sphere_runs_round_its_circle() -> None:
    sphere = _sphere(50.0)
    points = cut_contour(sphere, (0, 0, 30), (0, 0, 1), control_points=40, noise_mm=0.0)
    np.testing.assert_allclose(np.linalg.norm(points[:, :2], axis=1), 40.0, atol=0.3)
    steps = np.linalg.norm(points - np.roll(points, 1, axis=0), axis=1)
    np.testing.assert_allclose(steps, 2 * np.pi * 40.0 / 40, rtol=0.03)


def test_contour_tremor_has_the_size_asked_for_and_stays_in_the_plane() -> None:
    sphere = _sphere(50.0)
    still = cut_contour(sphere, (0, 0, 0.1), (0, 0, 1), control_points=2000, noise_mm=0.0, seed=5)
    shaken = cut_contour(sphere, (0, 0, 0.1), (0, 0, 1), control_points=2000, noise_mm=0.5, seed=5)
    np.testing.assert_allclose((shaken - still).std(axis=0), [0.5, 0.5, 0.0], atol=0.05)


def test_contour_depends_on_the_seed_alone(liver: TriangleMesh) -> None:
    origin = liver.vertices.mean(axis=0)
    first, second, other = (cut_contour(liver, origin, (0, 0, 1), seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - other).max() > 0.1


def test_contour_takes_the_larger_of_two_loops() -> None:
    small, large = _sphere(10.0), _sphere(30.0)
    both = TriangleMesh(
        np.concatenate([small.vertices, large.vertices + np.array([100.0, 0.0, 0.0])]),
        np.concatenate([small.faces, large.faces + len(small.vertices)]),
    )
    points = cut_contour(both, (0, 0, 0.1), (0, 0, 1))
    assert points[:, 0].min() > 65.0


def test_contour_of_a_plane_beside_the_organ_is_refused(liver: TriangleMesh) -> None:
    with pytest.raises(InputError, match="does not meet"):
        cut_contour(liver, (0, 0, 1000), (0, 0, 1))


@pytest.mark.parametrize("seed", range(4))
def test_damage_is_of_every_kind_and_leaves_most_of_the_organ(ball_mask: BoolArray, seed: int) -> None:
    damaged = damaged_mask(ball_mask, SPACING, seed=seed)
    overlap = 2 * (damaged & ball_mask).sum() / (damaged.sum() + ball_mask.sum())
    assert 0.85 < overlap < 0.98
    missing, added = ball_mask & ~damaged, damaged & ~ball_mask
    assert missing.sum() > 0.05 * ball_mask.sum()
    assert added.any()
    assert ndimage.label(damaged)[1] > 1, "no island"
    assert (ndimage.binary_fill_holes(damaged) & ~damaged).any(), "no hole"


def test_damage_is_the_same_for_the_same_seed(ball_mask: BoolArray) -> None:
    before = ball_mask.copy()
    first = damaged_mask(ball_mask, SPACING, seed=7)
    np.testing.assert_array_equal(first, damaged_mask(ball_mask, SPACING, seed=7))
    np.testing.assert_array_equal(ball_mask, before)
    assert (first != damaged_mask(ball_mask, SPACING, seed=8)).any()


def test_damage_finds_room_in_a_tight_image() -> None:
    tight = np.ones((12, 12, 12), dtype=np.uint8)
    assert damaged_mask(tight, (1.0, 1.0, 1.0)).shape == tight.shape


@pytest.mark.parametrize("mask", [np.zeros((4, 4, 4)), np.ones((4, 4))])
def test_damage_needs_something_to_damage(mask: FloatArray) -> None:
    with pytest.raises(InputError, match="not empty"):
        damaged_mask(mask, (1.0, 1.0, 1.0))


def _sphere(radius: float) -> TriangleMesh:
    from vtkmodules.vtkFiltersSources import vtkSphereSource

    source = vtkSphereSource()
    source.SetRadius(radius)
    source.SetThetaResolution(96)
    source.SetPhiResolution(96)
    source.Update()
    return mesh_of(source.GetOutput())
