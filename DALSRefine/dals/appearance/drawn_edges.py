"""Whether outlines lie where an image has edges: those of another patient, or of an image that moved, do not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dals.fitting.plane_region import PlaneRegion
from dals.geometry.mesh import FloatArray
from dals.geometry.transforms import apply_matrix
from dals.geometry.volume import Volume
from dals.observations import PlanarContours

ON_EDGES = 0.56
"""Least share of outlines on edges in the image that they were drawn on. On livers, kidneys, spleens and hippocampi it
was 0.58 and more, clicked or painted, on planes through the middle 0.69; in other images, or 15 mm away, mostly 0.3 to
0.6."""
_SPACING = 0.02
"""Canonical distance between points of the outlines that are looked at."""
_BESIDE = 0.3
"""Canonical distance to both sides of the outline in which edges are compared."""
_BLUNT = 0.02
"""Canonical distance over which an edge is measured, and by which an outline may miss it; a voxel at least."""
_STRONG = 0.8
"""Of the edges on both sides, this share has to be weaker."""
_MOSTLY = 0.7
"""Share of these edges that the image has to show."""
_FEWEST = 30


def share_on_edges(contours: PlanarContours, image: Volume, *, scale_mm: float) -> float | None:
    """The share of outlines, 0 to 1, that lie on one of the strongest edges beside them; None if too little is visible.

    Parameters
    ----------
    contours : PlanarContours
    image : Volume
    scale_mm : float
        Of the canonical unit.
    """
    voxel = float(np.sort(image.spacing)[:2].mean())
    blunt = max(_BLUNT * scale_mm, voxel)
    count = int(np.ceil(2 * _BESIDE * scale_mm / blunt))
    offsets = np.linspace(-_BESIDE * scale_mm, _BESIDE * scale_mm, 2 * count + 1)
    regions = [PlaneRegion.of_contours(group, spacing_mm=_SPACING * scale_mm) for group in contours.by_plane]
    values = image.array.astype(np.float32)
    steps = np.concatenate([_steps(region, values, image.ijk_to_ras, offsets, blunt) for region in regions])
    here = steps[:, np.abs(offsets) < 1.01 * blunt]
    seen = np.isfinite(here).all(axis=1) & (np.isfinite(steps).mean(axis=1) > _MOSTLY)
    steps, here = steps[seen], here[seen].max(axis=1)
    some = np.nanmax(steps, axis=1) > 0 if len(steps) else np.zeros(0, dtype=np.bool_)
    if np.count_nonzero(some) < _FEWEST:
        return None
    return float((here >= np.nanquantile(steps, _STRONG, axis=1))[some].mean())


def _steps(
    region: PlaneRegion, values: NDArray[np.float32], ijk_to_ras: FloatArray, offsets: FloatArray, blunt: float
) -> FloatArray:
    """Size of the image's step (N, M) across each offset from N points of outlines; not a number beyond the image."""
    along = np.stack([offsets - blunt, offsets + blunt])
    places = region.points[:, None, None] + region.normals[:, None, None] * along[None, ..., None]
    ijk = apply_matrix(np.linalg.inv(ijk_to_ras), places.reshape(-1, 3))
    found = ndimage.map_coordinates(values, ijk[:, ::-1].T, order=1, mode="constant", cval=np.nan)
    first, second = found.reshape(len(places), 2, len(offsets)).transpose(1, 0, 2)
    return np.abs(second - first)
