import numpy as np
import pytest
import torch

from dals.geometry.mesh import TriangleMesh
from dals.model.template import icosphere
from dals.ops.losses import triangle_quality


def sphere(level: int = 1) -> TriangleMesh:
    template = icosphere(level)
    return TriangleMesh(template.vertices, template.faces)


def torus(rings: int = 8, segments: int = 6) -> TriangleMesh:
    ring, segment = np.meshgrid(np.arange(rings), np.arange(segments), indexing="ij")
    u, v = 2 * np.pi * ring / rings, 2 * np.pi * segment / segments
    vertices = np.stack([(3 + np.cos(v)) * np.cos(u), (3 + np.cos(v)) * np.sin(u), np.sin(v)], axis=-1)
    a, b = ring * segments + segment, (ring + 1) % rings * segments + segment
    c, d = (ring + 1) % rings * segments + (segment + 1) % segments, ring * segments + (segment + 1) % segments
    faces = np.concatenate([np.stack(corners, axis=-1).reshape(-1, 3) for corners in ((a, b, c), (a, c, d))])
    return TriangleMesh(vertices.reshape(-1, 3), faces)


def test_the_quality_of_known_triangles() -> None:
    corners = np.array([[0, 0, 0], [1, 0, 0], [0.5, np.sqrt(3) / 2, 0], [0, 1, 0], [2, 0, 0]])
    mesh = TriangleMesh(corners, np.array([[0, 1, 2], [0, 1, 3], [0, 1, 4]]))
    np.testing.assert_allclose(mesh.face_qualities, [1, np.sqrt(3) / 2, 0], atol=1e-12)
    assert mesh.mean_quality == pytest.approx((1 + np.sqrt(3) / 2) / 3)


def test_the_quality_is_that_of_the_loss() -> None:
    vertices = np.random.default_rng(0).normal(size=(12, 3))
    faces = np.random.default_rng(1).permutation(12).reshape(4, 3)
    expected = triangle_quality(torch.from_numpy(vertices), torch.from_numpy(faces))
    np.testing.assert_allclose(TriangleMesh(vertices, faces).face_qualities, expected.numpy(), rtol=1e-12)


def test_the_centroid_does_not_depend_on_the_triangulation() -> None:
    corners = np.array([[0.0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0], [1, 2, 0], [9, 9, 9]])
    coarse = TriangleMesh(corners, np.array([[0, 1, 2], [0, 2, 3]]))
    fine = TriangleMesh(corners, np.array([[0, 1, 2], [0, 2, 4], [0, 4, 3]]))
    np.testing.assert_allclose(coarse.centroid, [1, 1, 0], atol=1e-12)
    np.testing.assert_allclose(fine.centroid, [1, 1, 0], atol=1e-12)


def test_a_sphere_with_or_without_a_hole_or_a_handle() -> None:
    whole = sphere()
    opened = TriangleMesh(whole.vertices, whole.faces[1:])
    assert (whole.euler_characteristic, whole.is_closed, whole.is_sphere) == (2, True, True)
    assert (opened.euler_characteristic, opened.is_closed, opened.is_sphere) == (1, False, False)
    assert (torus().euler_characteristic, torus().is_closed, torus().is_sphere) == (0, True, False)


def test_vertices_that_no_face_uses_do_not_count() -> None:
    whole = sphere()
    assert TriangleMesh(np.vstack([whole.vertices, [[9.0, 9, 9]]]), whole.faces).is_sphere


def test_a_mesh_without_faces_is_not_closed() -> None:
    empty = TriangleMesh(np.empty((0, 3)), np.empty((0, 3)))
    assert (empty.euler_characteristic, empty.is_closed) == (0, False)


def test_an_edge_of_three_faces_is_not_closed() -> None:
    whole = sphere()
    fin = np.array([[*whole.faces[0, :2], len(whole.vertices)]])
    assert not TriangleMesh(np.vstack([whole.vertices, [[2.0, 0, 0]]]), np.vstack([whole.faces, fin])).is_closed
