from __future__ import annotations

import numpy as np
import pytest

from dals.fitting.local_kernel import local_basis
from dals.model.template import icosphere


@pytest.mark.parametrize("level", [2, 3])
def test_a_field_has_variance_one_and_neighbours_are_alike(level: int) -> None:
    basis, template = local_basis(level), icosphere(level)
    covariance = basis @ basis.T
    assert np.allclose(np.diag(covariance), 1, atol=0.05)
    assert covariance.min() > -0.02
    opposite = np.linalg.norm(template.vertices + template.vertices[0], axis=1).argmin()
    assert abs(covariance[0, opposite]) < 0.01
    start, end = template.edges.T
    assert (covariance[start, end] > 0.65).all()


def test_the_functions_are_the_same_on_every_level() -> None:
    coarse = local_basis(2)
    assert np.allclose(local_basis(3)[: len(coarse)], coarse)
