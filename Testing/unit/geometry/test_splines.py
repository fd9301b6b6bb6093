import numpy as np
import pytest
from vtkmodules.vtkCommonComputationalGeometry import vtkCardinalSpline, vtkParametricSpline
from vtkmodules.vtkCommonCore import vtkPoints

from dals.geometry.splines import sample_closed_spline, sample_open_spline


def _circle(count, radius=50.0):
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), np.zeros(count)], axis=1)


def _area(loop):
    x, y = loop[:, 0], loop[:, 1]
    return abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def test_a_circle_of_twelve_clicks_keeps_its_area():
    true = np.pi * 50**2
    assert _area(_circle(12)) < 0.96 * true  # what straight chords would lose
    assert _area(sample_closed_spline(_circle(12))) == pytest.approx(true, rel=0.01)


def test_ten_samples_a_segment_through_every_control_point():
    control = np.random.default_rng(1).normal(size=(7, 3)) * 30
    samples = sample_closed_spline(control)
    assert samples.shape == (70, 3)
    np.testing.assert_allclose(samples[::10], control, atol=1e-9)


def test_against_a_periodic_cubic_spline_in_the_index():
    """The smoothest interpolating cubic is unique: scipy's must be the same, also across the seam."""
    interpolate = pytest.importorskip("scipy.interpolate")
    control = _circle(9) * [1.0, 0.6, 1.0] + np.random.default_rng(2).normal(size=(9, 3))
    spline = interpolate.CubicSpline(np.arange(10), np.vstack([control, control[:1]]), bc_type="periodic")
    np.testing.assert_allclose(sample_closed_spline(control), spline(np.arange(90) / 10), atol=1e-6)


@pytest.mark.parametrize("closed", [True, False])
def test_against_the_spline_that_slicer_draws(closed):
    """The cardinal spline of VTK, one for each coordinate, by the index."""
    for count in (3, 4, 9, 50):
        control = np.random.default_rng(count).normal(size=(count, 3)) * 30
        points = vtkPoints()
        points.SetDataTypeToDouble()
        for position in control:
            points.InsertNextPoint(position)
        spline = vtkParametricSpline()
        spline.SetXSpline(vtkCardinalSpline())
        spline.SetYSpline(vtkCardinalSpline())
        spline.SetZSpline(vtkCardinalSpline())
        spline.SetPoints(points)
        spline.SetClosed(closed)
        spline.ParameterizeByLengthOff()
        pieces = 10 * (count if closed else count - 1)
        expected = np.empty((pieces if closed else pieces + 1, 3))
        for index in range(len(expected)):
            spline.Evaluate([index / pieces, 0, 0], expected[index], np.empty(9))
        sampled = sample_closed_spline(control) if closed else sample_open_spline(control)
        np.testing.assert_allclose(sampled, expected, atol=1e-9)


def test_very_many_clicks_need_no_samples_between():
    assert len(sample_closed_spline(_circle(1_999))) == 19_990
    assert len(sample_closed_spline(_circle(5_000))) == 20_000
    assert len(sample_closed_spline(_circle(60_000))) == 60_000
    assert len(sample_closed_spline(_circle(60_000), points_per_segment=2)) == 120_000


def test_where_the_user_started_makes_no_difference():
    control = np.random.default_rng(3).normal(size=(8, 3)) * 30
    rolled = sample_closed_spline(np.roll(control, 3, axis=0))
    np.testing.assert_allclose(rolled, np.roll(sample_closed_spline(control), 30, axis=0), atol=1e-6)


def test_too_few_points_are_a_programming_error():
    with pytest.raises(ValueError, match="closed spline"):
        sample_closed_spline(np.zeros((2, 3)))
