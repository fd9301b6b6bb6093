"""How far a surface is from one that a single latent makes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from known_shapes import ellipse_contour, ellipsoid

from dals.evaluation.plain_shape import departure, plain_surface
from dals.fitting import fit
from dals.geometry.mesh import TriangleMesh
from dals.geometry.surface_distance import surface_distances
from dals.model.prior import ShapePrior
from dals.observations import PlanarContours


def test_a_surface_moved_everywhere() -> None:
    mesh = ellipsoid()
    assert departure(mesh, mesh) == pytest.approx(0, abs=1e-6)
    away = mesh.vertices - mesh.vertices.mean(axis=0)
    grown = TriangleMesh(mesh.vertices + 5.0 * away / np.linalg.norm(away, axis=1, keepdims=True), mesh.faces)
    assert departure(grown, mesh) == pytest.approx(5.0, abs=0.5)


def test_a_lobe_of_one_only_counts_whichever_has_it() -> None:
    mesh = ellipsoid()
    vertices = mesh.vertices.copy()
    right = vertices[:, 0] > np.quantile(vertices[:, 0], 0.85)
    vertices[right, 0] += 25.0
    lobed = TriangleMesh(vertices, mesh.faces)
    assert departure(lobed, mesh) > 10.0
    assert departure(lobed, mesh) == departure(mesh, lobed)


def test_a_small_part_does_not_count() -> None:
    mesh = ellipsoid()
    vertices = mesh.vertices.copy()
    vertices[int(vertices[:, 0].argmax()), 0] += 40.0
    assert departure(TriangleMesh(vertices, mesh.faces), mesh) < 1.0


def test_a_fit_from_the_beginning_has_it_and_one_that_went_on_makes_it(ellipsoid_prior: ShapePrior) -> None:
    contours = PlanarContours(tuple(ellipse_contour(axis) for axis in range(3)))
    first = fit(ellipsoid_prior, contours)
    again = fit(ellipsoid_prior, contours, start=first.state)
    assert first.plain is not None
    assert again.plain is None
    assert plain_surface(contours, first, ellipsoid_prior) is first.plain
    made = plain_surface(contours, again, ellipsoid_prior)
    assert made is not None
    assert surface_distances(made.vertices, first.plain).mean() < 1.0


def test_the_method_of_the_paper_has_none(ellipsoid_prior: ShapePrior) -> None:
    contours = PlanarContours(tuple(ellipse_contour(axis) for axis in range(3)))
    first = fit(ellipsoid_prior, contours)
    papers = replace(first, plain=None, settings=replace(first.settings, method="adam"))
    assert plain_surface(contours, papers, ellipsoid_prior) is None
