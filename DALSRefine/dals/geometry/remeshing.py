"""Even triangles on the same surface, by the method of Botsch and Kobbelt."""

from __future__ import annotations

import warnings

import numpy as np

from dals.errors import DalsError, DalsWarning, InputError
from dals.geometry.mesh import TriangleMesh

ITERATIONS = 5
MAX_FACES = 2_000_000
TARGET_QUALITY = 0.97
_ATTEMPTS = ((1.0, 1), (1.0, 2), (0.8, 2), (0.6, 2))
"""Shares of the edge length and multiples of the iterations to try in turn: more rounds for triangles
that are very uneven, finer edges to get through narrow places without tearing."""


def remesh(mesh: TriangleMesh, *, edge_length: float | None = None, iterations: int = ITERATIONS) -> TriangleMesh:
    """Split, collapse, flip and smooth edges until all are about equally long.

    New vertices lie on the input surface. Between them the result cuts corners: with the default edge
    length, thin rims and tips of a liver lose a few millimetres and the volume 0.3%, with half of it
    about half as much, for four times the faces.

    Parameters
    ----------
    mesh : TriangleMesh
        Closed; any unit.
    edge_length : float, optional
        Length to aim at, in the unit of the mesh; the mean edge length by default, which keeps the
        number of faces about as it is.
    iterations : int
        Rounds of the method; the paper uses 5. Twice as many are made if the mean triangle quality is
        still below 0.97.

    Returns
    -------
    TriangleMesh
        Closed, with the Euler characteristic of the input. The input itself, with a `DalsWarning`, if
        that cannot be had.

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
    """The remeshed surface, without vertices that no face uses; None if it is torn."""
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
