import numpy as np

from dals.geometry.isosurface import flying_edges


def test_a_grid_in_millimetres_gives_the_surface_of_the_indices_there() -> None:
    field = np.random.default_rng(0).normal(size=(5, 6, 7))
    indices = flying_edges(field, 0.3)
    placed = flying_edges(field, 0.3, origin=(10, -20, 30), spacing=2.5)
    np.testing.assert_array_equal(placed.faces, indices.faces)
    np.testing.assert_allclose(placed.vertices, indices.vertices * 2.5 + [10, -20, 30], atol=1e-5)


def test_the_surface_faces_the_lower_values() -> None:
    k, j, i = np.indices((9, 9, 9)) - 4
    ball = flying_edges(3.0 - np.sqrt(k**2 + j**2 + i**2), 0.0)
    assert ball.is_sphere
    assert 0 < ball.volume < 4 / 3 * np.pi * 3**3
