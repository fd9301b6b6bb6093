"""Signed distances of masks on lattices: known ellipsoids and half-spaces."""

from __future__ import annotations

import numpy as np
import pytest
from known_shapes import ellipsoid, grid, inside_ellipsoid

from dals.errors import InputError
from dals.geometry.label_map import LabelMap
from dals.geometry.signed_lattice import mesh_distance, signed_distance, signed_lattice
from dals.geometry.surface_distance import signed_distances, surface_distances
from dals.geometry.transforms import apply_matrix
from dals.geometry.voxelisation import label_map_to_mesh, mesh_to_label_map

RADII, CENTRE = (60.0, 45.0, 30.0), np.array([20.0, -30.0, 40.0])


def organ(spacing: tuple[float, float, float] = (3.0, 3.0, 3.0)) -> LabelMap:
    size = [int(2.4 * radius / step) for radius, step in zip(RADII, spacing, strict=True)]
    empty = grid((size[0], size[1], size[2]), spacing)
    return empty.with_array(inside_ellipsoid(empty, RADII))


def off_surface(points: np.ndarray) -> np.ndarray:
    """About the distance from the ellipsoid, mm."""
    away = points - CENTRE
    level = np.linalg.norm(away / RADII, axis=1)
    return level * (level - 1) / np.linalg.norm(away / np.square(RADII), axis=1)


def test_the_boundary_lies_half_way_between_voxels() -> None:
    mask = np.zeros((4, 6, 10), dtype=bool)
    mask[:, :, 5:] = True
    np.testing.assert_allclose(signed_distance(mask, np.array([2.0, 3.0, 4.0]))[2, 3], 2.0 * np.arange(10)[::-1] - 9)


def test_nothing_is_far_from_everything() -> None:
    assert signed_distance(np.zeros((3, 3, 3), dtype=bool), np.ones(3)).min() > 100


def test_without_averaging_the_lattice_has_the_voxels_and_their_signs() -> None:
    mask = organ()
    lattice = signed_lattice(mask, margin_mm=9.0, most_points=10**6)
    np.testing.assert_allclose(lattice.spacing, mask.spacing)
    voxels = apply_matrix(mask.ijk_to_ras, np.argwhere(mask.array)[:, ::-1].astype(float))
    assert lattice.at(lattice.values, voxels).max() < 0
    assert (lattice.values < 0).sum() == mask.array.sum()
    assert lattice.interpolated_axes == ()
    assert not lattice.is_cut
    assert lattice.surface().is_closed


def test_thick_slices_are_interpolated_and_keep_their_voxels() -> None:
    mask = organ((2.0, 2.0, 8.0))
    lattice = signed_lattice(mask, margin_mm=9.0, most_points=10**6)
    assert lattice.interpolated_axes == (2,)
    np.testing.assert_array_equal(mesh_to_label_map(lattice.surface(), mask).array, mask.array)
    off = np.abs(off_surface(lattice.surface().vertices))
    staircase = np.abs(off_surface(label_map_to_mesh(mask).vertices))
    assert off.mean() < 0.6 * staircase.mean()


def test_averaged_voxels_keep_the_boundary_to_a_part_of_a_voxel() -> None:
    mask = organ((1.0, 1.0, 2.0))
    lattice = signed_lattice(mask, margin_mm=9.0, most_points=100_000)
    assert lattice.spacing[0] >= 2.0
    off = off_surface(lattice.surface().vertices)
    assert abs(off.mean()) < 0.1
    assert np.abs(off).mean() < 0.4


def test_an_organ_at_the_border_goes_on_beyond_it() -> None:
    whole = organ()
    cut = whole.within((slice(8, whole.array.shape[0]), slice(0, whole.array.shape[1]), slice(0, whole.array.shape[2])))
    lattice = signed_lattice(cut, margin_mm=9.0, most_points=10**6)
    assert lattice.is_cut
    border = cut.ijk_to_ras[2, 3] - 1.5
    centre = np.array([[20.0, -30.0, border + dz] for dz in (-6.0, 6.0)])
    np.testing.assert_allclose(lattice.at(lattice.beyond, centre), [6.0, -6.0])
    assert lattice.at(lattice.values, centre).max() < -10


def test_distances_of_a_mesh_are_exact_near_it() -> None:
    mesh, empty = ellipsoid(RADII, rings=48), organ().empty_like()
    field = mesh_distance(mesh, empty.array.shape, empty.ijk_to_ras)
    points = apply_matrix(empty.ijk_to_ras, np.argwhere(np.abs(field) < 5)[:, ::-1].astype(float))
    found, expected = field[np.abs(field) < 5], signed_distances(points, mesh)
    assert np.abs(found - expected).mean() < 0.15
    assert np.abs(found - expected).max() < 1.5
    inward = mesh_distance(type(mesh)(mesh.vertices, mesh.faces[:, ::-1]), empty.array.shape, empty.ijk_to_ras)
    np.testing.assert_allclose(inward, field, atol=1e-4)


def test_large_lattices_have_it_on_every_second_point(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh, lattice = ellipsoid(RADII, rings=48), signed_lattice(organ(), margin_mm=9.0, most_points=10**6)
    exact = lattice.distance_of(mesh)
    monkeypatch.setattr("dals.geometry.signed_lattice._LARGE", 1000)
    coarse = lattice.distance_of(mesh)
    assert coarse.shape == exact.shape
    assert np.abs(coarse - exact)[np.abs(exact) < 5].mean() < 0.4
    assert surface_distances(lattice.surface(coarse).vertices, mesh).mean() < 0.4


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(InputError, match="empty"):
        signed_lattice(organ().empty_like(), margin_mm=1.0, most_points=1000)
