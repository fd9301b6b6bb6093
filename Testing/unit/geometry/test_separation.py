"""Overlapping surfaces give way, and only there."""

from __future__ import annotations

import numpy as np
import pytest
from known_shapes import grid
from vtkmodules.vtkCommonTransforms import vtkTransform
from vtkmodules.vtkFiltersModeling import vtkCollisionDetectionFilter

from dals.errors import InputError
from dals.geometry.label_map import LabelMap
from dals.geometry.mesh import TriangleMesh
from dals.geometry.separation import separate
from dals.geometry.surface_distance import signed_distances
from dals.geometry.voxelisation import label_map_to_mesh, mesh_to_label_map
from dals.geometry.vtk_bridge import polydata_of
from dals.model.template import icosphere


def ball(centre=(0.0, 0.0, 0.0), radii=(30.0, 25.0, 20.0), *, level: int = 3) -> TriangleMesh:
    template = icosphere(level)
    return TriangleMesh(template.vertices * radii + centre, template.faces)


def contacts(a: TriangleMesh, b: TriangleMesh) -> int:
    """Pairs of faces that cross each other."""
    detection = vtkCollisionDetectionFilter()
    for port, mesh in enumerate((a, b)):
        detection.SetInputData(port, polydata_of(mesh))
        detection.SetTransform(port, vtkTransform())
    detection.Update()
    return int(detection.GetNumberOfContacts())


def shared_voxels(a: TriangleMesh, b: TriangleMesh) -> int:
    centre = 0.5 * (a.vertices.mean(axis=0) + b.vertices.mean(axis=0))
    fine = grid((260, 200, 180), (0.5, 0.5, 0.5), angles=(3, 5, 7), centre=centre)
    marked = [mesh_to_label_map(mesh, fine).array for mesh in (a, b)]
    assert all(mask.any() for mask in marked)
    return int(np.count_nonzero(marked[0] & marked[1]))


@pytest.mark.parametrize("level", [2, 3])
@pytest.mark.parametrize("offset", [(57, 0, 0), (50, 7, 4), (40, 10, -8), (2, 37, 1)])
def test_an_overlap_is_undone(offset: tuple[float, float, float], level: int) -> None:
    a, b = ball(level=level), ball(offset, level=level)
    assert contacts(a, b) > 0
    assert shared_voxels(a, b) > 0
    apart = separate([a, b])
    assert contacts(*apart) == 0
    assert shared_voxels(*apart) == 0
    for mesh, other, before in zip(apart, apart[::-1], (a, b), strict=True):
        assert signed_distances(mesh.vertices, other).min() > 0.05
        assert signed_distances(mesh.vertices, before).max() < 0.2  # nobody grows
        assert mesh.is_closed
        np.testing.assert_array_equal(mesh.faces, before.faces)
        assert (mesh.vertices == before.vertices).all(axis=1).mean() > 0.3  # away from the overlap nothing moves


def test_both_give_way_alike_and_no_further_than_needed() -> None:
    a, b = ball(level=4), ball((50.0, 0, 0), level=4)
    apart = separate([a, b])
    shifts = [np.linalg.norm(new.vertices - old.vertices, axis=1).max() for new, old in zip(apart, (a, b), strict=True)]
    assert shifts == pytest.approx([5.0, 5.0], abs=0.5)  # an overlap of 10 mm
    assert apart[0].vertices[:, 0].max() == pytest.approx(25, abs=0.5)
    assert apart[1].vertices[:, 0].min() == pytest.approx(25, abs=0.5)


def test_the_displacement_fades_out() -> None:
    a, b = ball(level=4), ball((50.0, 0, 0), level=4)
    shift = np.linalg.norm(separate([a, b])[0].vertices - a.vertices, axis=1)
    outside = signed_distances(a.vertices, b) > 0.2
    assert 0.1 < shift[outside].max() < 0.6 * shift.max()
    steps = np.abs(shift[a.faces] - shift[np.roll(a.faces, 1, axis=1)])
    assert steps.max() < 0.5 * shift.max()


def test_what_is_apart_is_returned_as_it_is() -> None:
    a, b, c = ball(), ball((61, 0, 0)), ball((0, 0, 300))
    assert all(new is old for new, old in zip(separate([a, b, c]), (a, b, c), strict=True))
    assert separate([a]) == [a]
    assert separate([]) == []


def test_three_neighbours() -> None:
    meshes = [ball(), ball((48, 0, 0)), ball((25, 38, 0)), ball((-200, 0, 0))]
    apart = separate(meshes)
    assert apart[3] is meshes[3]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert contacts(meshes[i], meshes[j]) > 0
        assert contacts(apart[i], apart[j]) == 0
        assert shared_voxels(apart[i], apart[j]) == 0


def stairs(centre: tuple[float, float, float], radii: tuple[float, float, float]) -> TriangleMesh:
    """An ellipsoid on slices 5 mm thick, with its steps."""
    k, j, i = np.meshgrid(5.0 * np.arange(14), np.arange(80.0), np.arange(130.0), indexing="ij")
    places = zip((i, j, k), centre, radii, strict=True)
    inside = sum(((x - middle) / radius) ** 2 for x, middle, radius in places) < 1
    return label_map_to_mesh(LabelMap(inside, np.diag([1.0, 1.0, 5.0, 1.0]), "stairs"))


@pytest.mark.parametrize("overlap", [1, 2, 4])
def test_stairs_of_thick_slices_part(overlap: int) -> None:
    """Where steps of both are parallel, both distances are flat: nothing there says which way to go."""
    a, b = stairs((40, 38, 33), (30, 28, 26)), stairs((90, 42, 36), (22 + overlap, 24, 25))
    assert shared_voxels(a, b) > 0
    apart = separate([a, b])
    assert contacts(*apart) == 0
    assert shared_voxels(*apart) == 0
    for mesh, before in zip(apart, (a, b), strict=True):
        assert np.linalg.norm(mesh.vertices - before.vertices, axis=1).max() < 5.0
        assert (mesh.vertices == before.vertices).all(axis=1).mean() > 0.5


def test_the_same_with_what_is_asked_of_every_vertex(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds leave out what cannot count, and nothing else."""
    meshes = [ball(level=4), ball((50.0, 3, 2), level=4), ball((20, 38, 0), level=3)]
    quick = separate(meshes)
    monkeypatch.setattr("dals.geometry.separation._Retreat._first_bounds", lambda self: np.inf)
    for mesh, expected in zip(quick, separate(meshes), strict=True):
        np.testing.assert_allclose(mesh.vertices, expected.vertices, atol=1e-9)


def test_faces_may_face_inwards() -> None:
    a, b = ball(), ball((50, 0, 0))
    inverted = TriangleMesh(b.vertices, b.faces[:, ::-1])
    for straight, turned in zip(separate([a, b]), separate([a, inverted]), strict=True):
        np.testing.assert_allclose(turned.vertices, straight.vertices, atol=1e-6)


def test_one_within_the_other_is_refused() -> None:
    with pytest.raises(InputError, match="surfaces of liver and tumour lie too deep"):
        separate([ball(), ball((3, 2, 0), (8.0, 8.0, 8.0), level=2)], names=["liver", "tumour"])
