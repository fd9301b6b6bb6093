"""What each shipped prior is trained on and judged by, as inputs of `dals.dataset.preparation.prepare`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from dals.dataset.preparation import PreparationReport, prepare
from dals.errors import DatasetError
from dals.io.coordinates import Space

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
LIVERS = DATA / "livers"
HIPPOCAMPI = DATA / "hippocampus"
SPLEENS = DATA / "spleens"

_CASES_TO_CHOOSE = 5
"""Patients of BTCV, the last ones, whose kidneys no prior sees."""
_PATIENTS_LEFT_OUT = 4
"""Patients of the head-and-neck cases, the last ones, whose organs no prior sees."""


@dataclass(frozen=True)
class Source:
    """Files that are prepared alike.

    Attributes
    ----------
    files : tuple of Path
    labels : tuple of int or None
        As in `prepare`, as are `space` and `mirror`.
    """

    files: tuple[Path, ...]
    labels: tuple[int, ...] | None = None
    space: Space | None = None
    mirror: bool = False

    def prepare(self, folder: Path) -> PreparationReport:
        """Add the shapes to a data set."""
        return prepare(self.files, folder, labels=self.labels, space=self.space, mirror=self.mirror)


@dataclass(frozen=True)
class Organ:
    """A shipped prior's data.

    Attributes
    ----------
    training, held_out : tuple of Source
    held_out_title : str
        What the held-out cases are, on the card.
    """

    training: tuple[Source, ...]
    held_out: tuple[Source, ...]
    held_out_title: str


ORGANS = ("liver", "hippocampus", "spleen", "kidney", "parotid", "brainstem")
HELD_OUT_TITLES = {
    "liver": "livers of msd_test",
    "hippocampus": "hippocampi of segmenter_test",
    "spleen": "spleens of test",
    "kidney": f"kidneys of the last {_CASES_TO_CHOOSE} patients of BTCV",
    "parotid": f"parotid glands of the last {_PATIENTS_LEFT_OUT} patients",
    "brainstem": f"brainstems of the last {_PATIENTS_LEFT_OUT} patients",
}


def organ_data(organ: str) -> Organ:
    """The data of an organ's prior.

    Raises
    ------
    DatasetError
        If they are not there.
    """
    if not DATA.is_dir():
        raise DatasetError(f"The shapes are not there: {DATA} is missing.")
    training, held_out = _SOURCES[organ]()
    return Organ(training, held_out, HELD_OUT_TITLES[organ])


def split_names(folder: Path, split: str) -> list[str]:
    """Names of the cases of a split of a folder's shapes.

    Raises
    ------
    DatasetError
        If they are not there.
    """
    splits = folder / "splits.json"
    if not splits.is_file():
        raise DatasetError(f"The shapes are not there: {folder} is missing.")
    return list(json.loads(splits.read_text(encoding="utf-8"))[split])


def _meshes(folder: Path, *splits: str) -> Source:
    names = [name for split in splits for name in split_names(folder, split)]
    return Source(tuple(folder / "meshes" / f"{name}.ply" for name in names), space="RAS")


def _liver() -> tuple[tuple[Source, ...], tuple[Source, ...]]:
    labelled = Source(tuple(sorted((LIVERS / "labels").glob("*.nii.gz"))))
    return (_meshes(LIVERS, "msd_train", "amos_train"), labelled), (_meshes(LIVERS, "msd_test"),)


def _hippocampus() -> tuple[tuple[Source, ...], tuple[Source, ...]]:
    def source(split: str) -> Source:
        files = tuple(HIPPOCAMPI / "labels" / f"{name}.nii.gz" for name in split_names(HIPPOCAMPI, split))
        return Source(files, labels=(1, 2))

    return (source("prior_train"),), (source("segmenter_test"),)


def _spleen() -> tuple[tuple[Source, ...], tuple[Source, ...]]:
    return (_meshes(SPLEENS, "train"),), (_meshes(SPLEENS, "test"),)


def _kidney() -> tuple[tuple[Source, ...], tuple[Source, ...]]:
    """Right kidneys, and left ones mirrored; the two of a patient on one side of the split."""
    folder = DATA / "kidneys" / "labels"
    # Patients are counted by their livers: one has no kidney labels.
    left_out = {path.name[:9] for path in sorted((LIVERS / "labels").glob("*.nii.gz"))[-_CASES_TO_CHOOSE:]}

    def source(side: str, *, held_out: bool) -> Source:
        files = (path for path in sorted(folder.glob(f"*_{side}.nii.gz")) if (path.name[:9] in left_out) == held_out)
        return Source(tuple(files), mirror=side == "left")

    return (
        tuple(source(side, held_out=False) for side in ("right", "left")),
        tuple(source(side, held_out=True) for side in ("right", "left")),
    )


def _head_and_neck(right: str, left: str | None) -> tuple[tuple[Source, ...], tuple[Source, ...]]:
    def sources(*, held_out: bool) -> tuple[Source, ...]:
        parts = []
        for name, mirror in ((right, False), (left, True)):
            if name is None:
                continue
            files = sorted((DATA / "headneck" / name).glob("*.nii.gz"))
            chosen = files[-_PATIENTS_LEFT_OUT:] if held_out else files[:-_PATIENTS_LEFT_OUT]
            parts.append(Source(tuple(chosen), mirror=mirror))
        return tuple(parts)

    return sources(held_out=False), sources(held_out=True)


_SOURCES = {
    "liver": _liver,
    "hippocampus": _hippocampus,
    "spleen": _spleen,
    "kidney": _kidney,
    "parotid": lambda: _head_and_neck("Parotid-Rt", "Parotid-Lt"),
    "brainstem": lambda: _head_and_neck("Brainstem", None),
}
