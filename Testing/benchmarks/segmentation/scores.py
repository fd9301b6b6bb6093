"""What the networks' own segmentations are worth, before any refinement."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.segmentation.cases import FOLDER, label_path, names_of, read_case
from dals.io.label_maps import read_label_map
from dals.label_map import LabelMap
from dals.metrics import compare, dice
from dals.voxelisation import label_map_to_mesh

SAMPLES = 30_000
"""On each surface, for the distances: 15 a square millimetre."""


@dataclass(frozen=True)
class Score:
    """A segmentation against the truth.

    Attributes
    ----------
    name : str
        Of the case.
    dice : float
    hausdorff_mm, mean_distance_mm : float
        Between the surfaces; infinite where nothing was segmented.
    """

    name: str
    dice: float
    hausdorff_mm: float
    mean_distance_mm: float


def score(label_map: LabelMap, truth: LabelMap, name: str) -> Score:
    """Overlap and distances of a segmentation and the truth, on one grid."""
    if label_map.is_empty:
        return Score(name, 0.0, float("inf"), float("inf"))
    surfaces = label_map_to_mesh(label_map), label_map_to_mesh(truth)
    distances = compare(*surfaces, samples=SAMPLES, self_intersections=False)
    return Score(name, dice(label_map, truth), distances.hausdorff, distances.mean_distance)


def scores(backbone: str, split: str, *, folder: Path = FOLDER) -> list[Score]:
    """Of all predictions of a backbone on "validation" or "test"."""
    return [
        score(read_label_map(label_path(backbone, name, folder=folder), label=1), read_case(name).truth, name)
        for name in names_of(split)
    ]


def summary(found: list[Score]) -> dict[str, Any]:
    """Means and standard deviations over the cases."""
    values = {key: [getattr(s, key) for s in found] for key in ("dice", "hausdorff_mm", "mean_distance_mm")}
    figures = {key: {"mean": float(np.mean(v)), "std": float(np.std(v))} for key, v in values.items()}
    return {**figures, "cases": [asdict(s) for s in found]}
