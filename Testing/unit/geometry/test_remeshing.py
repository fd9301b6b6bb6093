"""Botsch-Kobbelt remeshing: even triangles, same surface."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from dals.dataset.normalisation import normalise
from dals.errors import DalsError, DalsWarning, InputError
from dals.evaluation.metrics import compare
from dals.geometry.mesh import TriangleMesh
from dals.geometry.remeshing import remesh
from dals.io.meshes import read_mesh
from dals.model.template import icosphere

LIVERS = Path(__file__).parents[4] / "shared" / "data" / "livers" / "meshes"


def stretched(level: int = 4) -> TriangleMesh:
    """A smooth closed surface whose triangles are badly shaped."""
    template = icosphere(level)
    x, y, z = template.vertices.T
    return TriangleMesh(np.stack([90 * x + 10 * y**2, 60 * y, 30 * z], axis=1), template.faces)


def test_triangles_become_even_and_the_surface_stays() -> None:
    pytest.importorskip("gpytoolbox")
    mesh = stretched()
    even = remesh(mesh)
    assert even.is_sphere
    assert mesh.mean_quality < 0.9
    assert even.mean_quality > 0.97
    metrics = compare(even, mesh, samples=20_000, self_intersections=False)
    assert metrics.hausdorff < 4
    assert metrics.volume_error == pytest.approx(0, abs=0.6)
    assert even.mean_edge_length == pytest.approx(mesh.mean_edge_length, rel=0.1)


def test_edge_length_is_in_the_unit_of_the_mesh() -> None:
    pytest.importorskip("gpytoolbox")
    mesh = stretched()
    canonical = TriangleMesh(mesh.vertices / 100, mesh.faces)
    in_mm, in_units = remesh(mesh, edge_length=9), remesh(canonical, edge_length=0.09)
    assert in_mm.mean_edge_length == pytest.approx(9, rel=0.15)
    np.testing.assert_allclose(len(in_mm.faces), len(in_units.faces), rtol=0.02)


def test_input_is_not_changed() -> None:
    pytest.importorskip("gpytoolbox")
    mesh = stretched(3)
    vertices, faces = mesh.vertices.copy(), mesh.faces.copy()
    remesh(mesh)
    np.testing.assert_array_equal(mesh.vertices, vertices)
    np.testing.assert_array_equal(mesh.faces, faces)


def test_bad_requests() -> None:
    pytest.importorskip("gpytoolbox")
    mesh = stretched(2)
    with pytest.raises(InputError, match="closed"):
        remesh(TriangleMesh(mesh.vertices, mesh.faces[1:]))
    for length in (0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match="positive"):
            remesh(mesh, edge_length=length)
    with pytest.raises(InputError, match="too fine"):
        remesh(mesh, edge_length=1e-4)
    with pytest.raises(InputError, match="at least one"):
        remesh(mesh, iterations=0)


def test_without_gpytoolbox_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gpytoolbox", None)
    with pytest.raises(DalsError, match=r"pip install dalsrefine\[remesh\]"):
        remesh(stretched(2))


def test_torn_result_is_not_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    gpytoolbox = pytest.importorskip("gpytoolbox")
    mesh = stretched(2)
    monkeypatch.setattr(gpytoolbox, "remesh_botsch", lambda v, f, i, h, project: (v, f[1:]))
    with pytest.warns(DalsWarning, match="left as it was"):
        assert remesh(mesh) is mesh


@pytest.mark.skipif(not LIVERS.is_dir(), reason="the real livers are not here (../shared/data)")
def test_real_liver_reaches_the_quality_asked_for() -> None:
    pytest.importorskip("gpytoolbox")
    shape = normalise(read_mesh(LIVERS / "msd_022.ply", space="RAS")).patient_mesh
    even = remesh(shape)
    assert even.is_sphere
    assert even.mean_quality > 0.97
    metrics = compare(even, shape, samples=30_000, self_intersections=False).canonical
    assert metrics.chamfer < 2.0e-4  # of which the floor at 30,000 samples is 1.2e-4
    assert abs(metrics.volume_error or 100) < 0.5
