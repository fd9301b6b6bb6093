"""The organs that a table is made on, and those that the learnt systems are trained on."""

from __future__ import annotations

from pathlib import Path

from benchmarks import organs, protocol
from dals.dataset.normalisation import NormalisedShape
from dals.dataset.preparation import prepare
from dals.dataset.storage import load_dataset

EVERY = 8
"""Every so many shapes of the training split are left out of all training: settings are tuned on them."""
_SPLITS = {"liver": "msd_train", "hippocampus": "prior_train", "spleen": "train"}


def shapes_of(organ: str, split: str) -> list[NormalisedShape]:
    """Shapes of a split, prepared once and cached outside version control.

    Parameters
    ----------
    organ : "liver", "hippocampus" or "spleen"
    split : "test" or "validation"
    """
    return protocol.held_out(organ) if split == "test" else prepared(organ, validation_names(organ))


def validation_names(organ: str) -> list[str]:
    """What settings are tuned on."""
    return _split_names(organ)[::EVERY]


def training_names(organ: str) -> list[str]:
    """What every learnt system is trained on: all spleens, as nothing is tuned on them."""
    names = _split_names(organ)
    return names if organ == "spleen" else [name for index, name in enumerate(names) if index % EVERY]


def _source(organ: str) -> Path:
    return {"liver": organs.LIVERS, "hippocampus": organs.HIPPOCAMPI, "spleen": organs.SPLEENS}[organ]


def _split_names(organ: str) -> list[str]:
    return organs.split_names(_source(organ), _SPLITS[organ])


def dataset_folder(organ: str) -> Path:
    """The prepared data set of the training split's shapes."""
    return protocol.CACHE / f"{organ}_tables"


def prepared(organ: str, names: list[str]) -> list[NormalisedShape]:
    """Standard shapes by name; those that cannot be prepared are left out."""
    folder, source = dataset_folder(organ), _source(organ)
    if organ == "hippocampus":
        prepare([source / "labels" / f"{name}.nii.gz" for name in names], folder, labels=(1, 2))
    else:
        prepare([source / "meshes" / f"{name}.ply" for name in names], folder, space="RAS")
    known = {shape.name: shape for shape in load_dataset(folder)}
    return [known[name] for name in names if name in known]
