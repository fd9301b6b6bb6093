"""How far a surface is from one that a single latent makes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from known_shapes import ellipse_contour, ellipsoid

from dals.evaluation.plain_shape import departure, with_plain
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


def test_a_fit_from_the_beginning_has_it_and_one_that_went_on_makes_it_from_that(ellipsoid_prior: ShapePrior) -> None:
    contours = PlanarContours(tuple(ellipse_contour(axis) for axis in range(3)))
    two = fit(ellipsoid_prior, PlanarContours(contours.contours[:2]))
    three = fit(ellipsoid_prior, contours)
    again = fit(ellipsoid_prior, contours, start=two.state)
    assert three.plain is not None
    assert again.plain is None
    assert again.state.plain is two.state.plain is not None
    assert with_plain(contours, three, ellipsoid_prior) is three
    made = with_plain(contours, again, ellipsoid_prior)
    assert made.plain is not None
    assert surface_distances(made.plain.vertices, three.plain).mean() < 0.5
    assert made.state.plain is not again.state.plain
    nearer = with_plain(contours, replace(made, plain=None), ellipsoid_prior)
    assert nearer.plain is not None
    assert surface_distances(nearer.plain.vertices, three.plain).mean() < 0.1


def test_a_state_of_older_fits_has_none(ellipsoid_prior: ShapePrior) -> None:
    contours = PlanarContours(tuple(ellipse_contour(axis) for axis in range(3)))
    first = fit(ellipsoid_prior, contours)
    assert first.plain is not None
    older = replace(first, plain=None, state=replace(first.state, plain=None))
    made = with_plain(contours, older, ellipsoid_prior)
    assert made.plain is not None
    np.testing.assert_array_equal(made.plain.vertices, first.plain.vertices)


def test_the_method_of_the_paper_has_none(ellipsoid_prior: ShapePrior) -> None:
    contours = PlanarContours(tuple(ellipse_contour(axis) for axis in range(3)))
    first = fit(ellipsoid_prior, contours)
    papers = replace(first, plain=None, settings=replace(first.settings, method="adam"))
    assert with_plain(contours, papers, ellipsoid_prior).plain is None
