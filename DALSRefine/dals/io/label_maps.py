"""Label maps from and to medical image files."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray

from dals.errors import DalsWarning, InputError, OutputError
from dals.io import nifti
from dals.io.atomic import atomic_path, check_writable
from dals.io.coordinates import swap_lps_ras_matrix
from dals.io.segments import Segment, segment_metadata, segments_in
from dals.label_map import LabelMap
from dals.mesh import FloatArray

__all__ = ["LabelMap", "check_label_map_writable", "read_grid", "read_label_map", "write_label_map"]

READABLE_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".seg.nrrd", ".mha", ".mhd")
WRITABLE_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".seg.nrrd", ".mha")
MAXIMUM_VOXELS = 2_000_000_000
_MAXIMUM_COMPRESSION = 1_100
"""Deflate cannot do better: a file that promises more per byte is truncated or damaged."""


def read_label_map(path: str | os.PathLike[str], *, label: int | str | None = None) -> LabelMap:
    """Read the voxels of one organ.

    Parameters
    ----------
    path : path-like
        A three-dimensional .nii, .nii.gz, .nrrd, .seg.nrrd, .mha or .mhd image of whole numbers. A
        .seg.nrrd may hold several layers, as Slicer writes overlapping segments.
    label : int, str or None
        The label value, or the name of a segment of a .seg.nrrd. None takes all that is not zero, and
        warns if that is more than one label.

    Returns
    -------
    LabelMap
        RAS millimetres, never empty.

    Raises
    ------
    InputError
        If the file is missing, unreadable, not three-dimensional, empty or not a label map, or the
        label is not in it.
    """
    path = Path(path)
    reader = _reader(path)
    with _as_input_error(path):
        image = reader.Execute()
    segments = segments_in(image)
    layers = _layers(image, path)
    chosen = _segments_for(label, segments, path)
    present = [np.unique(layer[layer != 0]) for layer in layers]
    if not any(values.size for values in present):
        raise InputError(f"{path} is empty: no voxel is labelled.")
    mask = np.zeros(layers[0].shape, dtype=np.bool_)
    if label is None:
        _warn_of_several(present, segments, path)
        for layer in layers:
            mask |= layer != 0
    elif chosen:
        for segment in chosen:
            if segment.layer >= len(layers):
                raise InputError(f"{path} names a layer {segment.layer} that it does not hold.")
            mask |= layers[segment.layer] == segment.value
    else:
        for layer in layers:
            mask |= layer == int(label)
    if not mask.any():
        raise InputError(f"{path} does not hold the label {label!r}; it holds {_listed(present, segments)}.")
    return LabelMap(mask, _ijk_to_ras(image), path.name)


def read_grid(path: str | os.PathLike[str]) -> LabelMap:
    """Read the grid of a reference image: an empty label map with its size and geometry.

    Raises
    ------
    InputError
        If the file is missing, unreadable or not three-dimensional.
    """
    path = Path(path)
    reader = _reader(path)
    dimension = reader.GetDimension()
    direction = np.reshape(reader.GetDirection(), (dimension, dimension))[:3, :3]
    matrix = _geometry(reader.GetOrigin(), reader.GetSpacing(), direction)
    return LabelMap(np.zeros(reader.GetSize()[2::-1], dtype=np.bool_), matrix, path.name)


def check_label_map_writable(path: str | os.PathLike[str]) -> None:
    """Make sure that `write_label_map` can write to `path`; to be called before a long computation.

    Raises
    ------
    OutputError
        For an unknown extension, or a folder that is missing or not writable.
    """
    if not Path(path).name.lower().endswith(WRITABLE_SUFFIXES):
        raise OutputError(f"Cannot write {path}: the name must end in one of {', '.join(WRITABLE_SUFFIXES)}.")
    check_writable(path)


def write_label_map(path: str | os.PathLike[str], label_map: LabelMap, *, label: int = 1) -> None:
    """Write a mask with its geometry, compressed where the format can.

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
        For an unknown extension, or a place where nothing can be written.
    """
    path = Path(path)
    check_label_map_writable(path)
    if not 1 <= label <= np.iinfo(np.uint16).max:
        raise OutputError(f"Cannot write {path}: the label must be between 1 and 65535, not {label}.")
    values = label_map.array.astype(np.uint8 if label < 256 else np.uint16) * label
    image = sitk.GetImageFromArray(values.astype(np.uint8 if label < 256 else np.uint16))
    ijk_to_lps = swap_lps_ras_matrix(label_map.ijk_to_ras)
    try:
        image.SetOrigin(ijk_to_lps[:3, 3].tolist())
        image.SetSpacing(label_map.spacing.tolist())
        image.SetDirection((ijk_to_lps[:3, :3] / label_map.spacing).ravel().tolist())
        if path.name.lower().endswith(".seg.nrrd"):
            for key, value in segment_metadata(path, label_map, label).items():
                image.SetMetaData(key, value)
        with atomic_path(path) as temporary, _quiet_itk():
            sitk.WriteImage(image, str(temporary), useCompression=True)
    except RuntimeError as error:
        raise OutputError(
            f"Could not write {path}: the format cannot hold this geometry, or the disk is full."
        ) from error


def _reader(path: Path) -> Any:
    """An image reader that knows the header, after all checks that the header allows."""
    if not path.name.lower().endswith(READABLE_SUFFIXES):
        raise InputError(f"{path} is no label map that can be read; these are: {', '.join(READABLE_SUFFIXES)}.")
    if not path.is_file():
        raise InputError(f"{path} does not exist or is not a file.")
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    with _as_input_error(path):
        reader.ReadImageInformation()
    size = reader.GetSize()
    if len(size) < 3 or any(extent != 1 for extent in size[3:]) or min(size) < 1:
        raise InputError(f"{path} is not a three-dimensional image (its size is {' x '.join(map(str, size))}).")
    voxels = int(np.prod([int(extent) for extent in size], dtype=object))
    if voxels > MAXIMUM_VOXELS:
        raise InputError(f"{path} has {voxels:,} voxels, more than can be read.")
    detached = path.suffix.lower() == ".mhd" or _is_detached_nrrd(path)
    if not detached and voxels > _MAXIMUM_COMPRESSION * path.stat().st_size:
        raise InputError(f"{path} is truncated or damaged: it is too short for {voxels:,} voxels.")
    if path.name.lower().endswith(nifti.SUFFIXES):
        component = sitk.Image(1, 1, 1, reader.GetPixelID()).GetSizeOfPixelComponent()
        nifti.check_complete(path, voxel_bytes=voxels * component * reader.GetNumberOfComponents())
    return reader


def _is_detached_nrrd(path: Path) -> bool:
    if path.suffix.lower() != ".nrrd":
        return False
    with path.open("rb") as file:
        header = file.read(65_536).partition(b"\n\n")[0].lower()
    return b"data file:" in header or b"datafile:" in header


def _layers(image: Any, path: Path) -> list[NDArray[Any]]:
    """The layers of an image, each (K, J, I) of whole numbers."""
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


def _segments_for(label: int | str | None, segments: tuple[Segment, ...], path: Path) -> list[Segment]:
    """The segments that a label means; none if the file describes no segments or the label is a bare value."""
    if label is None:
        return []
    if isinstance(label, str):
        named = [segment for segment in segments if label in (segment.name, segment.identifier)]
        if named:
            return named
        if not re.fullmatch(r"[+-]?[0-9]+", label.strip()):
            known = ", ".join(f"'{segment.name}'" for segment in segments) or "no segment names, only label values"
            raise InputError(f"{path} has no segment '{label}'; it has {known}.")
    chosen = [segment for segment in segments if segment.value == int(label)]
    if len(chosen) > 1:
        names = ", ".join(f"'{segment.name}'" for segment in chosen)
        raise InputError(f"The label {label} stands for several segments in {path}; please name one of {names}.")
    return chosen


def _warn_of_several(present: list[NDArray[Any]], segments: tuple[Segment, ...], path: Path) -> None:
    if sum(values.size for values in present) > 1:
        warnings.warn(
            f"{path} holds several labels ({_listed(present, segments)}); their union is used. Name one with --label "
            "if only one of them is the organ.",
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


def _ijk_to_ras(image: Any) -> FloatArray:
    dimension = image.GetDimension()
    direction = np.reshape(image.GetDirection(), (dimension, dimension))[:3, :3]
    return _geometry(image.GetOrigin(), image.GetSpacing(), direction)


def _geometry(origin: tuple[float, ...], spacing: tuple[float, ...], direction: FloatArray) -> FloatArray:
    matrix = np.eye(4)
    matrix[:3, :3] = direction * np.asarray(spacing[:3])
    matrix[:3, 3] = origin[:3]
    return swap_lps_ras_matrix(matrix)


@contextmanager
def _as_input_error(path: Path) -> Iterator[None]:
    try:
        with _quiet_itk():
            yield
    except (RuntimeError, MemoryError, UnicodeError) as error:
        if "orthonormal" in str(error):
            raise InputError(
                f"{path} has axes that are not at right angles, which this format's reader refuses."
            ) from error
        raise InputError(f"{path} cannot be read as an image: it is damaged, truncated or of another kind.") from error


@contextmanager
def _quiet_itk() -> Iterator[None]:
    """Keep ITK's warnings off the terminal."""
    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)
