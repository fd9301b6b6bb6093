"""Reading and writing label maps."""

from __future__ import annotations

import functools
import os
import re
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray

from dals.errors import DalsWarning, InputError, OutputError
from dals.geometry.label_map import LabelMap
from dals.io import nifti
from dals.io.atomic import atomic_path, check_writable
from dals.io.coordinates import swap_lps_ras_matrix
from dals.io.images import ijk_to_ras, open_image, read_image
from dals.io.segments import Labelled, Segment, segmentation_metadata, segments_in
from dals.io.silence import quiet_itk

__all__ = [
    "LabelMap",
    "Labelled",
    "check_label_map_writable",
    "read_grid",
    "read_label_map",
    "read_label_maps",
    "write_label_map",
    "write_label_maps",
]

WRITABLE_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".seg.nrrd", ".mha")
_LARGEST_VALUE = int(np.iinfo(np.uint16).max)


def read_label_map(path: str | os.PathLike[str], *, label: int | str | None = None) -> LabelMap:
    """Read the voxels of one organ.

    Parameters
    ----------
    path : path-like
        A three-dimensional .nii, .nii.gz, .nrrd, .seg.nrrd, .mha or .mhd image of whole numbers. A
        .seg.nrrd may hold several layers, as Slicer writes overlapping segments.
    label : int, str or None
        The label value, or the name of a segment of a .seg.nrrd. None takes all voxels that are not zero
        and warns if there is more than one label.

    Returns
    -------
    LabelMap
        In RAS millimetres, never empty.

    Raises
    ------
    InputError
        If the file is missing, unreadable, not three-dimensional, empty or no label map, or lacks the label.
    """
    file = _read_file(Path(path))
    if label is not None:
        return _labelled(file, label).label_map
    _warn_of_several(file)
    mask = functools.reduce(np.logical_or, [layer != 0 for layer in file.layers])
    return LabelMap(mask, ijk_to_ras(file.image), file.path.name)


def read_label_maps(path: str | os.PathLike[str], labels: Sequence[int | str]) -> list[Labelled]:
    """Read several organs from one label map, in the order of `labels`.

    Raises
    ------
    InputError
        As `read_label_map`, and if two labels mark the same voxels.
    """
    file = _read_file(Path(path))
    found: list[Labelled] = []
    for label in labels:
        found.append(_labelled(file, label))
        for earlier, name in zip(found[:-1], labels, strict=False):
            if np.array_equal(earlier.label_map.array, found[-1].label_map.array):
                raise InputError(f"The labels {name!r} and {label!r} are the same in {path}; name each organ once.")
    return found


def read_grid(path: str | os.PathLike[str]) -> LabelMap:
    """Read the size and geometry of a reference image as an empty label map.

    Raises
    ------
    InputError
        If the file is missing, unreadable or not three-dimensional.
    """
    path = Path(path)
    opened = open_image(path)
    return LabelMap(np.zeros(opened.shape, dtype=np.bool_), ijk_to_ras(opened.reader), path.name)


def check_label_map_writable(path: str | os.PathLike[str], *, values: Iterable[int] = ()) -> None:
    """Check, before a long computation, that a label map can be written to `path`.

    Raises
    ------
    OutputError
        For an unknown extension, a missing or read-only folder, or values out of range.
    """
    if not Path(path).name.lower().endswith(WRITABLE_SUFFIXES):
        raise OutputError(f"Cannot write {path}: the name must end in one of {', '.join(WRITABLE_SUFFIXES)}.")
    for value in values:
        if not 1 <= value <= _LARGEST_VALUE:
            raise OutputError(f"Cannot write {path}: the label must be between 1 and {_LARGEST_VALUE}, not {value}.")
    check_writable(path)


def write_label_map(path: str | os.PathLike[str], label_map: LabelMap, *, label: int = 1) -> None:
    """Write a mask with its geometry, compressed where the format allows it.

    Parameters
    ----------
    path : path-like
        .nii, .nii.gz, .nrrd, .seg.nrrd (which Slicer opens as a segmentation) or .mha.
    label_map : LabelMap
        May be empty.
    label : int
        The value of marked voxels, 1 to 65,535.

    Raises
    ------
    OutputError
        For an unknown extension, or if the file cannot be written.
    """
    name = Path(path).name.partition(".seg.nrrd")[0] or "organ"
    write_label_maps(path, [Labelled(label_map, label, name)])


def write_label_maps(path: str | os.PathLike[str], labels: Sequence[Labelled]) -> None:
    """Write several organs as one label map, each with its own value; in overlaps the first one wins.

    Parameters
    ----------
    path : path-like
        As for `write_label_map`.
    labels : sequence of Labelled
        At least one, all on one grid, each with its own value.

    Raises
    ------
    OutputError
        As `write_label_map`.
    """
    path = Path(path)
    check_label_map_writable(path, values=[label.value for label in labels])
    grid = labels[0].label_map
    small = all(label.value < 256 for label in labels)
    values = np.zeros(grid.array.shape, dtype=np.uint8 if small else np.uint16)
    for label_map, value, _ in reversed(labels):
        values[label_map.array] = value
    image = sitk.GetImageFromArray(values)
    ijk_to_lps = swap_lps_ras_matrix(grid.ijk_to_ras)
    try:
        image.SetOrigin(ijk_to_lps[:3, 3].tolist())
        image.SetSpacing(grid.spacing.tolist())
        image.SetDirection((ijk_to_lps[:3, :3] / grid.spacing).ravel().tolist())
        if path.name.lower().endswith(".seg.nrrd"):
            for key, text in segmentation_metadata(labels).items():
                image.SetMetaData(key, text)
        with atomic_path(path) as temporary:
            with quiet_itk():
                sitk.WriteImage(image, str(temporary), useCompression=True)
            _check_written(temporary, path, values.nbytes)
    except RuntimeError as error:
        raise OutputError(
            f"Could not write {path}: the format cannot hold this geometry, or the disk is full."
        ) from error


def _check_written(temporary: Path, path: Path, voxel_bytes: int) -> None:
    """Raise if voxels are missing: the NIfTI library does not notice a full disk."""
    if not path.name.lower().endswith(nifti.SUFFIXES):
        return
    try:
        nifti.check_voxels(temporary, nifti.read_header(temporary), voxel_bytes=voxel_bytes)
    except InputError as error:
        raise OutputError(f"Could not write {path}: the disk may be full.") from error


class _File(NamedTuple):
    """Content of a label map file."""

    path: Path
    image: Any
    layers: list[NDArray[Any]]
    segments: tuple[Segment, ...]
    present: list[NDArray[Any]]  # the non-zero values of each layer


def _read_file(path: Path) -> _File:
    image = read_image(open_image(path))
    segments, components = segments_in(image), image.GetNumberOfComponentsPerPixel()
    if components > 1 and not segments:
        raise InputError(f"{path} holds {components} values for each voxel, as colours do, and is no label map.")
    layers = _layers(image, path)
    present = [np.unique(layer[layer != 0]) for layer in layers]
    if not any(values.size for values in present):
        raise InputError(f"{path} is empty: no voxel is labelled.")
    return _File(path, image, layers, segments, present)


def _labelled(file: _File, label: int | str) -> Labelled:
    """The voxels of one label, never empty."""
    chosen = _segments_for(label, file.segments, file.path)
    value = chosen[0].value if chosen else int(label)
    if value == 0:
        raise InputError(f"The label {label!r} of {file.path} is the background and no organ; please name another one.")
    mask = np.zeros(file.layers[0].shape, dtype=np.bool_)
    for segment in chosen:
        if segment.layer >= len(file.layers):
            raise InputError(f"{file.path} names a layer {segment.layer} that it does not hold.")
        mask |= file.layers[segment.layer] == segment.value
    if not chosen:
        for layer in file.layers:
            mask |= layer == value
    if not mask.any():
        listed = _listed(file.present, file.segments)
        raise InputError(f"{file.path} does not hold the label {label!r}; it holds {listed}.")
    name = chosen[0].name if chosen else str(label)
    return Labelled(LabelMap(mask, ijk_to_ras(file.image), file.path.name), value, name)


def _layers(image: Any, path: Path) -> list[NDArray[Any]]:
    """The layers of an image, each (K, J, I), whole numbers."""
    if "complex" in image.GetPixelIDTypeAsString():
        raise InputError(f"{path} holds complex numbers and is no label map.")
    array: NDArray[Any] = sitk.GetArrayViewFromImage(image)
    count = image.GetNumberOfComponentsPerPixel()
    if count == 1:
        array = array[..., None]
    array = array.reshape(*image.GetSize()[2::-1], count)
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise InputError(f"{path} holds values that are not finite numbers.")
        rounded = np.round(array)
        if np.abs(rounded).max() > 2**31 or np.abs(array - rounded).max() > 1e-3:
            raise InputError(
                f"{path} holds fractions and is no label map; probabilities have to be thresholded (for example at "
                "0.5) first."
            )
        array = rounded.astype(np.int64)
    return [array[..., index].copy() for index in range(count)]


def _segments_for(label: int | str, segments: tuple[Segment, ...], path: Path) -> list[Segment]:
    """The segments that a label names; empty if the file describes none, or for a plain value."""
    if isinstance(label, str):
        named = [segment for segment in segments if label in (segment.name, segment.identifier)]
        if named:
            return named
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", label.strip()):
            known = ", ".join(f"'{segment.name}'" for segment in segments) or "no segment names, only label values"
            raise InputError(f"{path} has no segment '{label}'; it has {known}.")
    chosen = [segment for segment in segments if segment.value == int(label)]
    if len(chosen) > 1:
        names = ", ".join(f"'{segment.name}'" for segment in chosen)
        raise InputError(f"The label {label} stands for several segments in {path}; please name one of {names}.")
    return chosen


def _warn_of_several(file: _File) -> None:
    if sum(values.size for values in file.present) > 1:
        warnings.warn(
            f"{file.path} holds several labels ({_listed(file.present, file.segments)}); their union is used. Name one "
            "with --label if only one of them is the organ.",
            DalsWarning,
            stacklevel=3,
        )


def _listed(present: list[NDArray[Any]], segments: tuple[Segment, ...]) -> str:
    parts = []
    for layer, values in enumerate(present):
        for value in values.tolist():
            names = [f" ({s.name})" for s in segments if s.layer == layer and s.value == value]
            parts.append(f"{value}{names[0] if names else ''}")
    return ", ".join(parts[:20]) + (" and more" if len(parts) > 20 else "")
