"""A real network's mask of a liver that the image's border cuts: one CT of the CHAOS challenge."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.protocol import ROOT
from benchmarks.segmentation.refine import refined_row
from benchmarks.segmentation.rows import RAW, Job, Row, row_of
from benchmarks.segmentation.scores import Truth, score_of_label_map
from dals.errors import DatasetError
from dals.geometry.label_map import LabelMap
from dals.geometry.voxelisation import mesh_to_label_map
from dals.io.label_maps import read_label_map
from dals.model.prior import load_prior
from dals.observations import Segmentation
from dals.refinement import refine

FOLDER = ROOT.parent / "shared" / "data" / "chaos" / "ct"
CASE = "chaos_ct3"
LEAST_DICE, MOST_HD95_MM, MOST_HAUSDORFF_MM = 0.9784, 2.6, 14.0


def refine_ct(*, prior_name: str = "liver") -> list[Row]:
    """Score the network's mask as it is and refined, and print both beside what is required."""
    truth, network = (_read(FOLDER / f"{CASE}_{name}.nii.gz") for name in ("liver", "liver_network"))
    prior, judged = load_prior(prior_name), Truth.of(truth)
    rows = [
        row_of(Job("ct", CASE, RAW), score_of_label_map(network, judged)),
        refined_row(Job("ct", CASE, "refined"), prior, Segmentation(network), judged),
    ]
    for row in rows:
        print(
            f"{row.method:8} Dice {row.dice:.4f}  HD95 {row.hd95_mm:.2f} mm  Hausdorff {row.hausdorff_mm:.2f} mm  "
            f"mean {row.mean_mm:.3f} mm  {row.seconds:.1f} s  {row.confidence} {row.reasons}"
        )
    print(f"required Dice {LEAST_DICE}, HD95 {MOST_HD95_MM} mm, Hausdorff {MOST_HAUSDORFF_MM} mm")
    kept = mesh_to_label_map(refine(Segmentation(network), prior).mesh, network)
    print(f"of the slice at the image's border {100 * kept_share(network, kept):.1f}% is kept")
    return rows


def kept_share(given: LabelMap, result: LabelMap) -> float:
    """Share of a mask's voxels on the image's border that a result still has."""
    border = np.ones(given.array.shape, dtype=np.bool_)
    border[1:-1, 1:-1, 1:-1] = False
    there = given.array & border
    return float(result.array[there].mean()) if there.any() else 1.0


def _read(path: Path) -> LabelMap:
    if not path.is_file():
        raise DatasetError(f"The CT is not there: {path} is missing.")
    return read_label_map(path)
