import numpy as np
import pytest

from dals.geometry.transforms import apply_matrix
from dals.io.coordinates import from_ras, space_named_in, swap_lps_ras, swap_lps_ras_matrix, to_ras


def test_the_first_two_axes_flip_and_back():
    points = np.array([[1.0, 2.0, 3.0], [0.0, -4.0, 5.0]])
    np.testing.assert_array_equal(swap_lps_ras(points), [[-1, -2, 3], [0, 4, 5]])
    np.testing.assert_array_equal(swap_lps_ras(swap_lps_ras(points)), points)


def test_ras_stays_as_it_is():
    points = np.array([[1.0, 2.0, 3.0]])
    np.testing.assert_array_equal(to_ras(points, "RAS"), points)
    np.testing.assert_array_equal(from_ras(to_ras(points, "LPS"), "LPS"), points)


def test_a_matrix_and_its_points_agree():
    matrix = np.array([[0.7, 0.1, 0, 10], [0, 1.2, 0.3, -5], [0.2, 0, 2.5, 3], [0, 0, 0, 1]])
    ijk = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_allclose(
        apply_matrix(swap_lps_ras_matrix(matrix), ijk), swap_lps_ras(apply_matrix(matrix, ijk)), atol=1e-12
    )


def test_an_unknown_space_is_a_programming_error():
    with pytest.raises(ValueError, match="LPS"):
        to_ras(np.zeros((1, 3)), "SPL")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "space"),
    [("3D Slicer output. SPACE=LPS", "LPS"), ("SPACE=RAS;UNIT=mm", "RAS"), ("nothing", None), (None, None)],
)
def test_the_space_that_a_comment_names(text, space):
    assert space_named_in(text) == space
