"""Isotropic remeshing (Botsch and Kobbelt 2004)."""

from __future__ import annotations

import warnings

import numpy as np

from dals.errors import DalsError, DalsWarning, InputError
from dals.geometry.mesh import TriangleMesh

ITERATIONS = 5
MAX_FACES = 2_000_000
TARGET_QUALITY = 0.97
_ATTEMPTS = ((1.0, 1), (1.0, 2), (0.8, 2), (0.6, 2))
"""Attempts in turn, each a factor on the edge length and one on the iterations. More iterations even out bad
triangles; shorter edges keep narrow places from tearing."""


def remesh(mesh: TriangleMesh, *, edge_length: float | None = None, iterations: int = ITERATIONS) -> TriangleMesh:
    """Split, collapse, flip and smooth edges until they are about equally long.

    New vertices lie on the input surface, but faces between them cut corners. With the default edge length a
    liver loses a few millimetres at thin rims and tips and 0.3% of its volume. Half the edge length halves
    the loss and gives four times the faces.

    Parameters
    ----------
    mesh : TriangleMesh
        Closed; any unit.
    edge_length : float, optional
        Target length, in the unit of the mesh. The default is the mean edge length, which about keeps the
        number of faces.
    iterations : int
        Rounds; the paper uses 5. If the mean triangle quality stays below 0.97, further attempts follow.

    Returns
    -------
    TriangleMesh
        Closed, with the Euler characteristic of the input. If every attempt tears the surface, the input
        itself, with a `DalsWarning`.

    Raises
    ------
    InputError
        If the mesh is not closed, or the edge length is not positive or would give millions of faces.
    DalsError
        If gpytoolbox is not installed.
    """
    try:
        import gpytoolbox  # noqa: F401
    except ImportError as error:
        raise DalsError("Remeshing needs gpytoolbox; install it with: pip install dalsrefine[remesh]") from error
    if not np.isfinite(mesh.vertices).all() or not mesh.is_closed:
        raise InputError("Only a closed surface can be remeshed, and this one is not.")
    length = mesh.mean_edge_length if edge_length is None else float(edge_length)
    _check(mesh, length, iterations)
    best: TriangleMesh | None = None
    for share, rounds in _ATTEMPTS:
        result = _botsch(mesh, share * length, rounds * iterations)
        if result is not None and (best is None or result.mean_quality > best.mean_quality):
            best = result
        if best is not None and best.mean_quality >= TARGET_QUALITY:
            return best
    if best is not None:
        return best
    message = "The surface could not be remeshed without tearing it; it is left as it was."
    warnings.warn(message, DalsWarning, stacklevel=2)
    return mesh


def _botsch(mesh: TriangleMesh, length: float, iterations: int) -> TriangleMesh | None:
    """The remeshed surface without unused vertices; None if it is torn."""
    from gpytoolbox import remesh_botsch

    vertices, faces = remesh_botsch(mesh.vertices, mesh.faces.astype(np.int32), iterations, length, True)
    used, faces = np.unique(faces, return_inverse=True)
    result = TriangleMesh(vertices[used], faces.reshape(-1, 3))
    whole = np.isfinite(result.vertices).all() and result.is_closed
    return result if whole and result.euler_characteristic == mesh.euler_characteristic else None


def _check(mesh: TriangleMesh, length: float, iterations: int) -> None:
    if iterations < 1:
        raise InputError(f"Remeshing takes at least one iteration, not {iterations}.")
    if not np.isfinite(length) or length <= 0:
        raise InputError(f"The edge length for remeshing must be positive, not {length:g}.")
    faces = mesh.area / (np.sqrt(3) / 4 * (min(share for share, _ in _ATTEMPTS) * length) ** 2)
    if faces > MAX_FACES:
        raise InputError(
            f"An edge length of {length:g} would give {faces:.2g} faces; more than {MAX_FACES:.2g} is too fine."
        )
