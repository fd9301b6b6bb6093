"""From files to observations, as the command line and the Python interface take them."""

from __future__ import annotations

from pathlib import Path

from dals.geometry.components import ComponentChoice
from dals.io import markups, points
from dals.io.coordinates import Space
from dals.io.label_maps import read_label_map
from dals.io.probabilities import read_probabilities
from dals.observations import PlanarContours, PointCloud, Segmentation
from dals.observations.painted_slices import contours_from_painted_slices


def read_contours(*paths: str | Path) -> PlanarContours:
    """Read curves on at least two planes from Slicer markups (`.mrk.json`).

    An open curve is a stretch of an outline; nothing is taken for known between its ends. Where not all of the organ
    was outlined on a plane, say so with `PlanarContours.with_open_planes`.

    Returns
    -------
    PlanarContours
        RAS mm.

    Raises
    ------
    InputError
        If a file cannot be used, all curves lie on one plane, or two contradict each other.
    """
    return PlanarContours(tuple(contour for path in paths for contour in markups.read_contours(path)))


def read_painted_slices(path: str | Path, *, label: int | str | None = None) -> PlanarContours:
    """Read the outlines of slices that were painted in a label map.

    Parameters
    ----------
    path : path-like
    label : int or str, optional
        Label value or name of a segment; needed where the file holds several.

    Returns
    -------
    PlanarContours
        RAS mm.

    Raises
    ------
    InputError
        If the file cannot be used, or no slice or almost every one is painted.
    """
    return contours_from_painted_slices(read_label_map(path, label=label))


def read_segmentation(
    path: str | Path,
    *,
    label: int | str | None = None,
    component: ComponentChoice | None = None,
    probabilities: str | Path | None = None,
) -> Segmentation:
    """Read a full three-dimensional segmentation of an organ.

    Parameters
    ----------
    path : path-like
    label : int or str, optional
        Label value or name of a segment; needed where the file holds several.
    component : "largest", "left", "right" or int, optional
        Which separate part; a number is a rank by volume.
    probabilities : path-like, optional
        How sure a network was of each voxel, on the same grid.

    Returns
    -------
    Segmentation
        Its `notices` say what is odd about it.

    Raises
    ------
    InputError
        If a file cannot be used, every voxel is marked, or there is no such component.
    """
    label_map = read_label_map(path, label=label)
    values = None if probabilities is None else read_probabilities(probabilities, label_map)
    return Segmentation(label_map, values, component)


def read_points(path: str | Path, *, space: Space | None = None) -> PointCloud:
    """Read points on an organ's surface: a mesh's vertices, markups, text or `.npy`.

    Parameters
    ----------
    path : path-like
    space : "LPS" or "RAS", optional
        Axes of a file that does not state them; LPS unless given.

    Returns
    -------
    PointCloud
        RAS mm.

    Raises
    ------
    InputError
        If the file cannot be used.
    """
    return PointCloud(points.read_points(path, space=space))
