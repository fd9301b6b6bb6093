"""The organs that a table is made on: test, validation and training shapes."""

from __future__ import annotations

import json

from benchmarks import protocol
from dals.dataset import load_dataset
from dals.errors import DatasetError
from dals.preparation import prepare
from dals.standardise import StandardShape

EVERY = 8
"""Every so many training shapes are left out for validation: settings are tuned on them."""


def validation_names(training: list[str]) -> list[str]:
    """The training shapes that are left out."""
    return training[::EVERY]


def shapes_of(organ: str, split: str) -> list[StandardShape]:
    """Shapes of a split, prepared once and cached outside version control.

    Parameters
    ----------
    organ : "liver" or "hippocampus"
    split : "test", "validation" or "training"
        Training excludes validation.
    """
    if split == "test":
        return protocol.held_out(organ)
    names = split_names(organ)
    left_out = validation_names(names)
    chosen = left_out if split == "validation" else [name for name in names if name not in left_out]
    return prepared(organ, chosen)


def split_names(organ: str) -> list[str]:
    """Names of all training shapes, validation included."""
    source, split = (protocol.LIVERS, "msd_train") if organ == "liver" else (protocol.HIPPOCAMPI, "prior_train")
    splits = source / "splits.json"
    if not splits.is_file():
        raise DatasetError(f"The training shapes are not there: {source} is missing.")
    return list(json.loads(splits.read_text(encoding="utf-8"))[split])


def prepared(organ: str, names: list[str]) -> list[StandardShape]:
    """Standard shapes by name; those that cannot be prepared are left out."""
    folder = protocol.CACHE / f"{organ}_tables"
    if organ == "liver":
        prepare([protocol.LIVERS / "meshes" / f"{name}.ply" for name in names], folder, space="RAS")
    else:
        prepare([protocol.HIPPOCAMPI / "labels" / f"{name}.nii.gz" for name in names], folder, labels=(1, 2))
    known = {shape.name: shape for shape in load_dataset(folder)}
    return [known[name] for name in names if name in known]
