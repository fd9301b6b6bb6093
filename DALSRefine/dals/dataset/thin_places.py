"""Where a handle of a voxel mask is thinnest, and where its hole is narrowest.

A ball is grown inside the mask, deepest voxels first, and never closes a ring. The voxels that it has to leave out lie
across each handle, where the fronts met: at its thinnest place. Grown outside the mask, from the border inwards, the
same leaves a membrane across the narrowest place of each hole.
"""

from __future__ import annotations

import heapq
from functools import cache
from itertools import product

import numpy as np
from scipy import ndimage

from dals.dataset.patches import Patch
from dals.geometry.label_map import BoolArray

_MOST_VOXELS = 400_000
"""Of a box; a larger one is searched on a coarser grid."""
_NEIGHBOURS = tuple(step for step in product((-1, 0, 1), repeat=3) if any(step))
_FACES = frozenset(n for n, step in enumerate(_NEIGHBOURS) if sum(map(abs, step)) == 1)
_NO_CORNERS = frozenset(n for n, step in enumerate(_NEIGHBOURS) if sum(map(abs, step)) < 3)


def thin_patches(mask: BoolArray, margin: int) -> list[Patch]:
    """Patches across handles and across their holes, smallest first.

    Parameters
    ----------
    mask : (Z, Y, X) bool
        One component without cavities, not at the border.
    margin : int
        Voxels around a patch in its box.

    Returns
    -------
    list of Patch
        Each inside the mask, to cut, or outside, to fill; at least three voxels thick.
    """
    frame = tuple(slice(max(s.start - 2, 0), s.stop + 2) for s in ndimage.find_objects(mask.astype(np.uint8))[0])
    framed = mask[frame]
    factor = int(np.ceil((framed.size / _MOST_VOXELS) ** (1 / 3)))
    patches = []
    for side in (framed, ~framed):
        for tight, thin in _left_out(side, factor, from_border=side is not framed):
            patch = np.zeros_like(mask)
            patch[frame][tight] = thin
            box = tuple(
                slice(max(outer.start + inner.start - margin, 0), outer.start + inner.stop + margin)
                for outer, inner in zip(frame, tight, strict=True)
            )
            patches.append((box, patch[box]))
    return sorted(patches, key=lambda found: int(found[1].sum()))


def _left_out(side: BoolArray, factor: int, *, from_border: bool) -> list[Patch]:
    """What a growth on one side of the surface leaves out, three voxels thick."""
    coarse = _coarse(side, factor)
    left = _upsampled(coarse & ~_grown(coarse, from_border=from_border), factor, side.shape)
    labels, _ = ndimage.label(left, structure=np.ones((3, 3, 3)))
    patches = []
    for number, tight in enumerate(ndimage.find_objects(labels), start=1):
        box = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in tight)
        # Smoothing would heal a cut of one voxel.
        thick = ndimage.binary_dilation(labels[box] == number, structure=np.ones((3, 3, 3)))
        patches.append((box, thick & side[box]))
    return patches


def _coarse(side: BoolArray, factor: int) -> BoolArray:
    """Blocks that hold any voxel of the side, so that its thin parts stay whole."""
    padded = np.pad(side, [(0, -n % factor) for n in side.shape], mode="edge")
    blocks = padded.reshape(*(part for n in padded.shape for part in (n // factor, factor)))
    return np.asarray(blocks.any(axis=(1, 3, 5)))


def _upsampled(coarse: BoolArray, factor: int, shape: tuple[int, ...]) -> BoolArray:
    fine = coarse.repeat(factor, 0).repeat(factor, 1).repeat(factor, 2)
    return np.asarray(fine[tuple(slice(n) for n in shape)])


def _grown(domain: BoolArray, *, from_border: bool) -> BoolArray:
    """The largest part of a domain, nearly, that grows without closing a ring: from its deepest voxel or the border."""
    padded = np.pad(domain, 1)
    depth = ndimage.distance_transform_edt(np.pad(domain, 1, constant_values=from_border)).ravel()
    strides = [padded.shape[1] * padded.shape[2], padded.shape[2], 1]
    steps = [int(np.dot(step, strides)) for step in _NEIGHBOURS]
    allowed, codes, inside = bytearray(padded.tobytes()), [0] * padded.size, bytearray(padded.size)
    queued = bytearray(padded.size)
    queue: list[tuple[float, int]] = []

    def add(voxel: int) -> None:
        inside[voxel] = 1
        for number, step in enumerate(steps):
            other = voxel + step
            codes[other] |= 1 << (25 - number)  # the opposite neighbour
            if allowed[other] and not inside[other] and not queued[other]:
                queued[other] = 1
                heapq.heappush(queue, (-depth[other], other))

    if from_border:
        # The margin stands for everything around: a sphere's outside, without a ring.
        margin = np.ones(padded.shape, dtype=bool)
        margin[1:-1, 1:-1, 1:-1] = False
        _add_margin(margin, codes, inside)
        rim = domain.copy()
        rim[1:-1, 1:-1, 1:-1] = False
        for voxel in np.flatnonzero(np.pad(rim, 1)).tolist():
            queued[voxel] = 1
            heapq.heappush(queue, (-depth[voxel], voxel))
    else:
        add(int(depth.argmax()))
    while queue:
        _, voxel = heapq.heappop(queue)
        queued[voxel] = 0
        if _is_simple(codes[voxel]):
            add(voxel)
    result = np.frombuffer(inside, dtype=np.uint8).reshape(padded.shape).astype(bool)
    return np.asarray(result[1:-1, 1:-1, 1:-1])


def _add_margin(margin: BoolArray, codes: list[int], inside: bytearray) -> None:
    """Mark the margin as grown, and tell the voxels beside it."""
    inside[:] = margin.tobytes()
    told = np.zeros(margin.shape, dtype=np.int64)
    for number, step in enumerate(_NEIGHBOURS):
        shifted = np.roll(margin, [-s for s in step], axis=(0, 1, 2))
        told |= shifted.astype(np.int64) << number
    codes[:] = told.ravel().tolist()


@cache
def _is_simple(code: int) -> bool:
    """Whether adding a voxel, whose grown neighbours are the bits of `code`, changes no component, ring or cavity.

    The grown neighbours touch each other (26 directions), and so do the others (6 directions, without the corners).
    """
    grown = {number for number in range(26) if code >> number & 1}
    rest = _NO_CORNERS - grown
    return _pieces(grown, 2) == 1 and _pieces(rest, 1, touching=_FACES) == 1


def _pieces(members: set[int] | frozenset[int], reach: int, *, touching: frozenset[int] | None = None) -> int:
    """Number of connected pieces among neighbours; only those that hold one of `touching` count."""
    left, count = set(members), 0
    while left:
        piece, front = set(), [left.pop()]
        while front:
            number = front.pop()
            piece.add(number)
            near = {other for other in left if _adjacent(number, other, reach)}
            left -= near
            front.extend(near)
        count += touching is None or bool(piece & touching)
    return count


def _adjacent(first: int, second: int, reach: int) -> bool:
    offsets = [abs(a - b) for a, b in zip(_NEIGHBOURS[first], _NEIGHBOURS[second], strict=True)]
    return max(offsets) == 1 and (reach == 2 or sum(offsets) == 1)
