from __future__ import annotations

import numpy as np
import pytest

from dals.geometry.mesh import TriangleMesh
from dals.geometry.neighbours import neighbour_average
from dals.geometry.smoothing import without_steps
from dals.model.template import icosphere


def test_steps_go_and_the_volume_stays() -> None:
    ball = icosphere(5)
    rng = np.random.default_rng(0)
    noise = rng.uniform(-0.4, 0.4, size=(len(ball.vertices), 1))
    steps = noise - neighbour_average(TriangleMesh(ball.vertices, ball.faces)) @ noise
    stepped = TriangleMesh(ball.vertices * (40 + steps), ball.faces)
    smooth = without_steps(stepped)
    before, after = (np.linalg.norm(mesh.vertices, axis=1).std() for mesh in (stepped, smooth))
    assert after < 0.8 * before
    assert smooth.volume == pytest.approx(stepped.volume, rel=2e-3)
    np.testing.assert_array_equal(smooth.faces, stepped.faces)
