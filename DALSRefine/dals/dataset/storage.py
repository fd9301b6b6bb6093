"""Data sets of normalised shapes on disk, between `dals.dataset.preparation` and training.

On disk::

    OUT/dataset.json               the shapes, and the cases that were skipped, with the reasons
    OUT/shapes/NAME.safetensors    "vertices" (V, 3) float32, canonical; "facets" (F, 3) int32; metadata
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from dals.dataset.normalisation import NormalisedShape
from dals.errors import DatasetError, OutputError
from dals.geometry.mesh import TriangleMesh
from dals.io.atomic import atomic_path

FORMAT = "dals-shape"
INDEX_FORMAT = "dals-dataset"
FORMAT_VERSION = 1
INDEX_NAME = "dataset.json"


def load_dataset(
    path: str | Path, *, names: Iterable[str] | None = None, exclude: Iterable[str] | None = None
) -> list[NormalisedShape]:
    """Read a data set made by `dals.dataset.preparation.prepare`.

    Parameters
    ----------
    path : str or Path
        Its folder.
    names : iterable of str, optional
        Read only these, in this order; by default all, in alphabetical order.
    exclude : iterable of str, optional
        Leave these out. Unknown names are no error.

    Returns
    -------
    list of NormalisedShape

    Raises
    ------
    DatasetError
        If the data set is missing, damaged, of a newer format or empty, or lacks one of `names`.
    """
    folder = Path(path)
    index = read_index(folder)
    known = sorted(index["shapes"])
    wanted = known if names is None else list(dict.fromkeys(names))
    missing = [name for name in wanted if name not in index["shapes"]]
    if missing:
        raise DatasetError(f"The data set {folder} has no shape {missing[0]!r} ({len(missing)} missing in all).")
    unwanted = set(exclude or ())
    shapes = [read_shape(shape_path(folder, name)) for name in wanted if name not in unwanted]
    if not shapes:
        raise DatasetError(f"The data set {folder} holds no shape to use.")
    return shapes


def read_shape(path: str | Path) -> NormalisedShape:
    """Read one shape file.

    Raises
    ------
    DatasetError
        If it is missing, damaged or of a newer format.
    """
    metadata = read_metadata(path)
    try:
        with safe_open(path, framework="numpy") as file:
            vertices, faces = file.get_tensor("vertices"), file.get_tensor("facets")
        centre = np.array(json.loads(metadata["centre_mm"]), dtype=np.float64)
        scale, volume = float(metadata["scale_mm"]), float(metadata["volume_ml"])
        if not len(faces) or faces.min() < 0 or faces.max() >= len(vertices) or not np.isfinite(vertices).all():
            raise ValueError("its mesh is inconsistent")
        if centre.shape != (3,) or not np.isfinite([*centre, scale, volume]).all() or scale <= 0:
            raise ValueError("its position or size is no number")
        mesh, repair = TriangleMesh(vertices, faces), metadata.get("repair", "")
        return NormalisedShape(metadata["name"], mesh, centre, scale, volume, repair)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"The shape file {path} cannot be read: {error}.") from None


def read_metadata(path: str | Path) -> dict[str, str]:
    """Read the metadata of one shape file, without its mesh.

    Raises
    ------
    DatasetError
        If it is missing, damaged or of a newer format.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = dict(file.metadata() or {})
        if metadata.get("format") != FORMAT:
            raise ValueError("it is no shape of a data set")
        version = int(metadata["version"])
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise DatasetError(f"The shape file {path} cannot be read: {error}.") from None
    if version > FORMAT_VERSION:
        raise DatasetError(f"The shape file {path} was written by a newer version of this program.")
    return metadata


def write_shape(shape: NormalisedShape, path: str | Path, *, metadata: dict[str, str] | None = None) -> None:
    """Write one shape file, whole or not at all.

    Parameters
    ----------
    shape : NormalisedShape
    path : str or Path
        A ``.safetensors`` file.
    metadata : dict of str to str, optional
        Further entries, such as the source.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    about = {
        **(metadata or {}),
        "format": FORMAT,
        "version": str(FORMAT_VERSION),
        "name": shape.name,
        "centre_mm": json.dumps(shape.centre_mm.tolist()),
        "scale_mm": repr(float(shape.scale_mm)),
        "volume_ml": repr(float(shape.volume_ml)),
        **({"repair": shape.repair} if shape.repair else {}),
    }
    tensors = {"vertices": shape.mesh.vertices.astype(np.float32), "facets": shape.mesh.faces.astype(np.int32)}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata=about)


def shape_path(folder: str | Path, name: str) -> Path:
    """The file of a shape in a data set."""
    return Path(folder) / "shapes" / f"{name}.safetensors"


def write_index(folder: str | Path, names: Iterable[str], skipped: dict[str, str]) -> None:
    """Write the index of a data set: its shapes with their metadata, and the skipped cases with the reasons."""
    shapes = {name: read_metadata(shape_path(folder, name)) for name in sorted(names)}
    index = {
        "format": INDEX_FORMAT,
        "version": FORMAT_VERSION,
        "shapes": {
            name: {
                "source": about.get("source", ""),
                "scale_mm": float(about["scale_mm"]),
                "volume_ml": float(about["volume_ml"]),
                "settings": json.loads(about.get("settings", "{}")),
                **({"repair": about["repair"]} if "repair" in about else {}),
            }
            for name, about in shapes.items()
        },
        "skipped": dict(sorted(skipped.items())),
    }
    with atomic_path(Path(folder) / INDEX_NAME) as temporary:
        temporary.write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


def check_index_replaceable(folder: str | Path) -> None:
    """Raise if the list of a data set would replace a file of another program, such as nnU-Net's `dataset.json`.

    Raises
    ------
    OutputError
    """
    path = Path(folder) / INDEX_NAME
    if path.exists():
        try:
            read_index(folder)
        except DatasetError as error:
            raise OutputError(
                f"{path} is no list of shapes that this program wrote, and would be overwritten; please choose another "
                "folder."
            ) from error


def read_index(folder: str | Path) -> dict[str, Any]:
    """Read the index that `write_index` wrote: ``shapes`` and ``skipped``, both by name.

    Raises
    ------
    DatasetError
        If it is missing, damaged or of a newer format.
    """
    path = Path(folder) / INDEX_NAME
    if not path.exists():
        raise DatasetError(f"{folder} is no data set: there is no {INDEX_NAME} in it; make one with dals prepare.")
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        if index["format"] != INDEX_FORMAT or not isinstance(index["shapes"], dict):
            raise ValueError("it is no list of shapes")
        if not isinstance(index["skipped"], dict):
            raise ValueError("it is no list of shapes")
        version = int(index["version"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"The data set list {path} cannot be read: {error}.") from None
    if version > FORMAT_VERSION:
        raise DatasetError(f"The data set {folder} was written by a newer version of this program.")
    return dict(index)
