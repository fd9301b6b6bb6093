"""Edits of real livers: a CT with a network's mask, and BTCV's masks with known errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

import dals
from dals.evaluation.metrics import dice
from dals.geometry.label_map import LabelMap
from dals.geometry.voxelisation import mesh_to_label_map
from dals.io.label_maps import read_label_map
from dals.refinement import Refinement

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
CT, BTCV = DATA / "chaos" / "ct", DATA / "livers" / "labels"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CT.is_dir() and BTCV.is_dir()), reason="the real masks are not here (../shared/data)"),
]


@pytest.fixture(scope="module")
def network() -> LabelMap:
    return read_label_map(CT / "chaos_ct3_liver_network.nii.gz")


@pytest.fixture(scope="module")
def refined_ct(network: LabelMap) -> Refinement:
    return dals.refine(dals.Segmentation(network), "liver", device="cpu")


def test_a_networks_mask_of_a_ct_is_not_made_worse(network: LabelMap, refined_ct: Refinement) -> None:
    truth = read_label_map(CT / "chaos_ct3_liver.nii.gz")
    assert refined_ct.label_map is not None
    assert dice(refined_ct.label_map, truth) >= dice(network, truth) - 1e-4
    assert dice(mesh_to_label_map(refined_ct.mesh, truth), truth) >= dice(network, truth) - 1e-3


def test_the_end_at_the_border_of_a_ct_is_kept_and_said(network: LabelMap, refined_ct: Refinement) -> None:
    border = np.flatnonzero(network.array.any(axis=(1, 2)))[[0, -1]]
    touched = [k for k in border if k in (0, len(network.array) - 1)]
    assert touched
    kept = mesh_to_label_map(refined_ct.mesh, network).array
    for k in touched:
        assert kept[k][network.array[k]].mean() > 0.97
    assert refined_ct.confidence is not None
    assert refined_ct.confidence.level != "high"
    assert any("border cuts the organ off" in sentence for sentence in refined_ct.warnings)


def test_a_true_mask_is_followed_and_a_bite_of_it_is_restored() -> None:
    whole = read_label_map(BTCV / "btcv_0001.nii.gz")
    clean = dals.refine(dals.Segmentation(whole), "liver", device="cpu")
    assert clean.label_map is not None
    assert dice(clean.label_map, whole) > 0.999
    assert clean.report["residuals_mm"][0]["mean"] < 0.1 * whole.spacing.min()
    bitten = whole.with_array(whole.array & ~bite(whole))
    mended = dals.refine(dals.Segmentation(bitten), "liver", device="cpu")
    assert mended.label_map is not None
    assert dice(mended.label_map, whole) > dice(bitten, whole)
    assert any(edit.kind == "missing part restored" and edit.applied for edit in mended.edits)


def bite(whole: LabelMap, radius: float = 18.0) -> np.ndarray:
    """A ball about the boundary's voxel that is furthest to the patient's right, within the organ."""
    depth = ndimage.distance_transform_edt(np.pad(whole.array, 1), sampling=whole.spacing[::-1])[1:-1, 1:-1, 1:-1]
    edge = np.argwhere((depth > 0) & (depth < 2))
    centre = edge[np.lexsort((edge[:, 0], (whole.ijk_to_ras[:3, :3] @ edge[:, ::-1].T)[0]))[-1]]
    offsets = (np.indices(whole.array.shape) - centre[:, None, None, None]) * whole.spacing[::-1][:, None, None, None]
    return (np.linalg.norm(offsets, axis=0) < radius) & whole.array
