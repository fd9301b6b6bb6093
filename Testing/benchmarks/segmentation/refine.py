"""Networks' predictions refined with the hippocampus prior, and what that changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.protocol import HIPPOCAMPI
from benchmarks.segmentation.cases import label_path
from dals.fitting import FitSettings, fit
from dals.io.label_maps import read_label_map
from dals.label_map import LabelMap
from dals.mesh import TriangleMesh
from dals.metrics import bounding_radius, compare, dice
from dals.observations import Segmentation
from dals.prior import ShapePrior
from dals.voxelisation import label_map_to_mesh, mesh_to_label_map

SAMPLES = 30_000


def refined_case(
    prior: ShapePrior, backbone: str, case: str, *, folder: Path, settings: FitSettings | None = None
) -> dict[str, Any]:
    """Raw and refined figures of one case: Dice, Hausdorff and mean distance in mm, canonical Chamfer."""
    truth = _whole(HIPPOCAMPI / "labels" / f"{case}.nii.gz")
    raw = _whole(label_path(backbone, case, folder=folder))
    result = fit(prior, Segmentation(raw), settings=settings)
    row: dict[str, Any] = {"backbone": backbone, "case": case, "seconds": result.seconds}
    row |= _figures("raw", label_map_to_mesh(raw), raw, truth)
    row |= _figures("refined", result.mesh, mesh_to_label_map(result.mesh, truth), truth)
    row["overlap"] = dice(mesh_to_label_map(result.mesh, raw), raw)
    return row


def _whole(path: Path) -> LabelMap:
    """Both parts of the hippocampus together."""
    label_map = read_label_map(path, label=1)
    if path.parent.name != "labels":
        return label_map
    return label_map.with_array(label_map.array | read_label_map(path, label=2).array)


def _figures(name: str, mesh: TriangleMesh, label_map: LabelMap, truth: LabelMap) -> dict[str, float]:
    surface = label_map_to_mesh(truth)
    found = compare(mesh, surface, samples=SAMPLES, self_intersections=False)
    return {
        f"{name}_dice": dice(label_map, truth),
        f"{name}_hausdorff_mm": found.hausdorff,
        f"{name}_mean_mm": found.mean_distance,
        f"{name}_chamfer": found.scaled(1.0 / bounding_radius(surface)).chamfer,
    }


def summary(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Means, and the ratios and differences that are asked for."""

    def mean(name: str) -> float:
        return float(np.mean([row[name] for row in rows]))

    gains = [row["refined_dice"] - row["raw_dice"] for row in rows]
    return {
        "raw_dice": mean("raw_dice"),
        "refined_dice": mean("refined_dice"),
        "dice_gain": float(np.mean(gains)),
        "worst_gain": float(np.min(gains)),
        "hausdorff_ratio": mean("refined_hausdorff_mm") / mean("raw_hausdorff_mm"),
        "chamfer_ratio": mean("refined_chamfer") / mean("raw_chamfer"),
        "mean_mm": mean("refined_mean_mm"),
        "seconds": mean("seconds"),
    }
