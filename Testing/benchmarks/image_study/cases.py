"""Images with true organs, and the slices of them that a clinician would paint."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813

from benchmarks.protocol import ROOT
from dals.errors import DatasetError
from dals.geometry.label_map import LabelMap
from dals.geometry.polylines import resample_loop
from dals.geometry.splines import sample_closed_spline
from dals.geometry.volume import Volume
from dals.io.images import ijk_to_ras
from dals.model.prior_files import Side
from dals.observations import Contour, PlanarContours

DATA = ROOT.parent / "shared" / "data"
_CLICK_MM, _CLOSEST_MM, _CLICKS, _TREMOR_MM = 20.0, 2.5, (15, 30), 0.5

CHOSEN_UP_TO = 8
"""Numbers of the MR cases on which settings are chosen; the others are reported."""
_IN_MR: dict[str, tuple[str, int, Side | None]] = {
    "mr": ("liver", 1, None),
    "right-kidney-mr": ("kidney", 2, "right"),
    "left-kidney-mr": ("kidney", 3, "left"),
    "spleen-mr": ("spleen", 4, None),
}
"""Prior, value in the label maps, and side of the organs of the MR cases."""


@dataclass(frozen=True, eq=False)
class Case:
    """An image with an organ.

    Attributes
    ----------
    name, prior : str
    image : Volume
    truth : LabelMap
        On the image's grid.
    side : "left", "right" or None
        That is stated.
    """

    name: str
    prior: str
    image: Volume
    truth: LabelMap
    side: Side | None = None


def names_of(group: str) -> list[str]:
    """The cases of a group: mr-chosen, mr, other organs in MR, ct, hippocampus-chosen or hippocampus."""
    if group.removesuffix("-chosen") in _IN_MR:
        numbers = sorted(int(path.name.split("_")[1].split(".")[0]) for path in (DATA / "chaos/mr").glob("image_*"))
        return [str(number) for number in numbers if (number <= CHOSEN_UP_TO) == group.endswith("chosen")]
    if group == "ct":
        return ["chaos_ct3"]
    splits = json.loads((DATA / "hippocampus/splits.json").read_text(encoding="utf-8"))
    return list(splits["segmenter_train" if group.endswith("chosen") else "segmenter_test"])


def load(group: str, name: str) -> Case:
    """Read a case.

    Raises
    ------
    DatasetError
        If its files are not there.
    """
    if group.removesuffix("-chosen") in _IN_MR:
        folder, (prior, value, side) = DATA / "chaos/mr", _IN_MR[group.removesuffix("-chosen")]
        case = _case(f"MR {name}", prior, folder / f"image_{name}.nii.gz", folder / f"label_{name}.nii.gz", (value,))
        return replace(case, side=side)
    if group == "ct":
        folder = DATA / "chaos/ct"
        return _case(name, "liver", folder / f"{name}_image.nii.gz", folder / f"{name}_liver.nii.gz", None)
    folder = DATA / "hippocampus"
    return _case(name, "hippocampus", folder / f"images/{name}.nii.gz", folder / f"labels/{name}.nii.gz", (1, 2))


def painted(truth: LabelMap, *, planes: int) -> LabelMap:
    """The organ on three orthogonal slices through its centroid, or on six at thirds of its extent."""
    marked = np.argwhere(truth.array)
    low, high, middle = marked.min(axis=0), marked.max(axis=0), marked.mean(axis=0)
    array = np.zeros_like(truth.array)
    for axis in range(3):
        thirds = low[axis] + (high[axis] - low[axis]) * np.array([1, 2]) / 3
        for index in np.rint([middle[axis]] if planes == 3 else thirds).astype(int):
            part = [slice(None)] * 3
            part[axis] = index
            array[tuple(part)] |= truth.array[tuple(part)]
    return truth.with_array(array, name="slices")


def _case(name: str, prior: str, image: Path, label: Path, values: tuple[int, ...] | None) -> Case:
    if not image.is_file() or not label.is_file():
        raise DatasetError(f"The case {name} is not there: {image} or {label} is missing.")
    picture, labels = sitk.ReadImage(str(image)), sitk.GetArrayFromImage(sitk.ReadImage(str(label)))
    matrix = ijk_to_ras(picture)
    mask = labels != 0 if values is None else np.isin(labels, values)
    return Case(
        name, prior, Volume(sitk.GetArrayFromImage(picture), matrix, name), LabelMap(mask, matrix, f"truth of {name}")
    )


def clicked(contours: PlanarContours, *, seed: int = 0) -> PlanarContours:
    """Curves as someone clicks them along contours: 15 to 30 points with a tremor of 0.5 mm, and a spline.

    On small islands they are fewer.
    """
    rng = np.random.default_rng(seed)
    return replace(contours, contours=tuple(_clicked(contour, rng) for contour in contours.contours))


def _clicked(contour: Contour, rng: np.random.Generator) -> Contour:
    count = min(int(np.clip(contour.length / _CLICK_MM, *_CLICKS)), max(5, int(contour.length / _CLOSEST_MM)))
    normal = contour.plane.normal
    noise = rng.normal(scale=_TREMOR_MM, size=(count, 3))
    points = resample_loop(contour.points, count, phase=rng.random()) + noise - np.outer(noise @ normal, normal)
    return replace(contour, points=sample_closed_spline(points), control_points=points)
