"""The images, their whole truth, and who trains, validates and tests."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from benchmarks.organs import HIPPOCAMPI
from benchmarks.protocol import CACHE, rng_of
from dals.errors import DatasetError
from dals.geometry.label_map import LabelMap
from dals.io.label_maps import read_grid

FOLDER = CACHE / "segmentation"
VALIDATION = 4
"""Images of the training split that no network learns from."""
CERTAIN = 255
"""Probability one in the probability maps, which are uint8."""


@dataclass(frozen=True, eq=False)
class Case:
    """An image and its true organ.

    Attributes
    ----------
    name : str
    image : (K, J, I) float32
        Intensities with zero mean and unit variance: the scanners' have no common scale.
    truth : LabelMap
        The whole hippocampus on the image's grid.
    """

    name: str
    image: NDArray[np.float32]
    truth: LabelMap


def names_of(split: str) -> list[str]:
    """The cases of "training" (16), "validation" (4) or "test" (40).

    Raises
    ------
    DatasetError
        If the images are not there.
    """
    path = HIPPOCAMPI / "splits.json"
    if not path.is_file():
        raise DatasetError(f"The images are not there: {HIPPOCAMPI} is missing.")
    splits = json.loads(path.read_text(encoding="utf-8"))
    if split == "test":
        return sorted(splits["segmenter_test"])
    names = sorted(splits["segmenter_train"])
    kept = set(rng_of("segmentation: validation").permutation(names)[:VALIDATION].tolist())
    return [name for name in names if (name in kept) == (split == "validation")]


def predicted(backbone: str, split: str, *, folder: Path = FOLDER) -> list[str]:
    """The cases of a split that a network has segmented."""
    return [name for name in names_of(split) if label_path(backbone, name, folder=folder).is_file()]


def image_path(name: str) -> Path:
    """Where the image of a case lies."""
    return HIPPOCAMPI / "images" / f"{name}.nii.gz"


def read_case(name: str) -> Case:
    """Read the image and the truth of a case.

    Raises
    ------
    DatasetError
        If their grids differ, or the grid is not parallel to the body's axes.
    """
    label_path = HIPPOCAMPI / "labels" / f"{name}.nii.gz"
    image: NDArray[Any] = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(image_path(name), SimpleITK.sitkFloat32))
    # Anterior and posterior part together are the organ.
    labels: NDArray[Any] = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(label_path)) > 0
    grid = read_grid(label_path)
    axes = np.abs(grid.ijk_to_ras[:3, :3])
    if image.shape != labels.shape or not np.allclose(axes, np.diag(np.diag(axes))):
        raise DatasetError(f"The image and the labels of {name} are not on one grid along the body's axes.")
    return Case(name, (image - image.mean()) / image.std(), grid.with_array(labels))


def label_path(backbone: str, name: str, *, folder: Path = FOLDER) -> Path:
    """Of a predicted label map: 1 is hippocampus."""
    return folder / "predictions" / backbone / f"{name}.nii.gz"


def probability_path(backbone: str, name: str, *, folder: Path = FOLDER) -> Path:
    """Of a predicted probability map: uint8, `CERTAIN` is one."""
    return folder / "predictions" / backbone / f"{name}_probability.nii.gz"


def read_prediction(backbone: str, name: str, *, folder: Path = FOLDER) -> LabelMap:
    """A predicted label map; empty if the network found nothing."""
    path = label_path(backbone, name, folder=folder)
    labels: NDArray[Any] = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(path))
    return read_grid(path).with_array(labels > 0)


def read_probabilities(backbone: str, name: str, *, folder: Path = FOLDER) -> NDArray[np.float32]:
    """A predicted probability map, (K, J, I), 0 to 1."""
    path = probability_path(backbone, name, folder=folder)
    stored: NDArray[Any] = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(path))
    return np.asarray(stored / CERTAIN, dtype=np.float32)
