"""A surface's field of signed distances, with pieces of drawn planes imprinted on it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dals.fitting.drawn_planes import DrawnPlane
from dals.fitting.plane_image import REACH, ROUND_ENDS, Piece
from dals.geometry.label_map import BoolArray
from dals.geometry.mesh import FloatArray
from dals.geometry.signed_lattice import Field, SignedLattice

_HELD, _HELD_UP_TO = 1.5, 6.0
"""Spacings from a plane that the surface is right about, over which the change by other planes fades in, and in all."""


def field_with(
    pieces: Sequence[Piece], lattice: SignedLattice, planes: Sequence[DrawnPlane], *, unit: float
) -> tuple[Field, BoolArray]:
    """A surface's field with pieces of planes imprinted, and where it may have changed, both (K, J, I).

    Where the transitions of several planes meet, each counts the more, the nearer its plane is. So does a plane that
    the surface is right about: the field stays there.

    Parameters
    ----------
    pieces : sequence of Piece
    lattice : SignedLattice
        Of the surface.
    planes : sequence of DrawnPlane
        All that were drawn on.
    unit : float
        Millimetres in one canonical unit.
    """
    total, weight = np.zeros_like(lattice.values), np.zeros_like(lattice.values)
    step, low = float(lattice.spacing[0]), lattice.ijk_to_ras[:3, 3]
    size = np.array(lattice.values.shape[::-1])
    for piece in pieces:
        image, region = piece.image, piece.image.plane.region
        corners = (np.argwhere(piece.change) * image.step + image.low) @ region.axes.T + region.origin
        first = np.floor((corners.min(axis=0) - REACH * piece.length - low) / step).astype(int)
        last = np.ceil((corners.max(axis=0) + REACH * piece.length - low) / step).astype(int)
        ranges = [np.arange(max(a, 0), min(b + 1, n)) for a, b, n in zip(first, last, size, strict=True)]
        places = np.stack(np.meshgrid(*ranges[::-1], indexing="ij")[::-1], axis=-1) * step + low
        change, away = (part.reshape(places.shape[:3]) for part in image.at(piece.change, places.reshape(-1, 3)))
        nearness = np.where(change != 0, 1 / np.maximum(away, step / 4), 0.0)
        box = tuple(slice(int(part[0]), int(part[-1]) + 1) for part in ranges[::-1])
        total[box] += nearness * change * np.exp(-0.5 * (away / piece.length) ** 2)
        weight[box] += nearness
    where = weight > 0
    places = np.argwhere(where)[:, ::-1] * step + low
    weight[where] += _held(lattice, planes, pieces, places, unit=unit)
    return np.asarray(lattice.values + total / np.maximum(weight, np.float32(1e-9)), dtype=np.float32), where


def _held(
    lattice: SignedLattice, planes: Sequence[DrawnPlane], pieces: Sequence[Piece], points: FloatArray, *, unit: float
) -> FloatArray:
    """How much it counts at points (N, 3) that the surface is right about planes beside them, 1 / mm.

    Where pieces change a plane, it is not.
    """
    step = float(lattice.spacing[0])
    held = np.zeros(len(points))
    for plane in planes:
        if plane.region.stretches:
            continue  # an open curve says too little of places far from it
        offsets = (points - plane.region.origin) @ plane.region.normal
        near = np.flatnonzero(np.abs(offsets) < _HELD_UP_TO * step)
        if len(near) == 0:
            continue
        on_plane = points[near] - offsets[near, None] * plane.region.normal
        away = np.abs(offsets[near])
        outside, known = plane.region.sides(on_plane, beyond_mm=ROUND_ENDS * unit)
        before = lattice.at(lattice.values, on_plane)
        right = np.where(((outside < 0) == (before < 0)) | (np.abs(before) < step), known, 0.0)
        for piece in pieces:
            if piece.image.plane is plane:
                right[piece.image.at(piece.change, on_plane)[0] != 0] = 0.0
        held[near] += right / np.maximum(away, step / 4) * np.exp(-0.5 * (away / (_HELD * step)) ** 2)
    return held
