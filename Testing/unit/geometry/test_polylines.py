import numpy as np
import pytest

from dals.geometry.polylines import enclosed_area, loop_length, resample_loop

SQUARE = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])


def test_the_closing_edge_counts() -> None:
    assert loop_length(SQUARE) == 4


def test_points_are_at_equal_arc_length() -> None:
    expected = [[0.25, 0, 0], [0.75, 0, 0], [1, 0.25, 0], [1, 0.75, 0], [0.75, 1, 0], [0.25, 1, 0], [0, 0.75, 0]]
    np.testing.assert_allclose(resample_loop(SQUARE, 8), [*expected, [0, 0.25, 0]], atol=1e-12)


def test_the_phase_counts_in_steps_from_the_first_point() -> None:
    np.testing.assert_allclose(resample_loop(SQUARE, 4, phase=0.0), SQUARE, atol=1e-12)
    assert resample_loop(SQUARE, 2, phase=0.25).tolist() == [[0.5, 0, 0], [0.5, 1, 0]]


@pytest.mark.parametrize("count", [0, 1])
def test_few_points(count: int) -> None:
    assert resample_loop(SQUARE, count).shape == (count, 3)


def test_what_a_loop_encloses() -> None:
    corners = np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 2.0], [0.0, 2.0]]) + 7.0
    assert enclosed_area(corners) == pytest.approx(6.0)
    assert enclosed_area(corners[::-1]) == pytest.approx(6.0)
