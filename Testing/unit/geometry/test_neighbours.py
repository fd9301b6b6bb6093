import numpy as np

from dals.geometry.mesh import TriangleMesh
from dals.geometry.neighbours import neighbour_average


def test_each_neighbour_counts_once() -> None:
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [9, 9, 9]])
    average = neighbour_average(TriangleMesh(vertices, np.array([[0, 1, 2], [0, 2, 3]])))
    values = np.array([1.0, 10.0, 100.0, 1000.0, 5.0])
    np.testing.assert_allclose(average @ values, [1110 / 3, 101 / 2, 1011 / 3, 101 / 2, 0])


def test_the_direction_of_a_face_does_not_matter() -> None:
    vertices, faces = np.eye(4, 3), np.array([[0, 1, 2], [1, 0, 3]])
    turned = neighbour_average(TriangleMesh(vertices, np.array([[0, 2, 1], [1, 0, 3]])))
    assert (turned != neighbour_average(TriangleMesh(vertices, faces))).nnz == 0
