"""Segmentations with errors, edited by shape alone and by shape and image."""

from __future__ import annotations

import time
from dataclasses import dataclass

from benchmarks.image_study.cases import DATA, load
from benchmarks.segmentation.damage import blemished, damaged
from benchmarks.segmentation.scores import Truth, score_of_label_map
from dals.appearance.segmentation_image import use_of, witness_of
from dals.edits import edited_fit
from dals.geometry.label_map import LabelMap
from dals.io.label_maps import read_label_map
from dals.model.prior import load_prior
from dals.observations import Segmentation

RAW, SHAPE, IMAGE = "as given", "shape", "shape and image"
METHODS = (RAW, SHAPE, IMAGE)
ERRORS = {"damaged": damaged, "blemished": blemished}
NETWORK = "network"
COPIES = 3
"""Sets of errors of a kind that each case gets."""


@dataclass(frozen=True)
class EditRow:
    """A mask by a method: distances, overlap, trust, edits that the image changed, seconds."""

    group: str
    case: str
    errors: str
    copy: int
    method: str
    assd_mm: float
    hd95_mm: float
    hausdorff_mm: float
    dice: float
    trust: float = float("nan")
    changed: int = 0
    seconds: float = float("nan")


def masks(group: str, name: str, *, copies: int = COPIES) -> list[tuple[str, int, LabelMap]]:
    """The masks of a case: kind of errors, number, mask on the image's grid."""
    case = load(group, name)
    made = [
        (kind, copy, put(case.truth, f"{case.name} {copy}")) for kind, put in ERRORS.items() for copy in range(copies)
    ]
    if group == "ct":
        made.append((NETWORK, 0, read_label_map(DATA / f"chaos/ct/{name}_liver_network.nii.gz")))
    return made


def measure(group: str, name: str, *, copies: int = COPIES) -> list[EditRow]:
    """All masks of a case by all methods."""
    case = load(group, name)
    truth, prior = Truth.of(case.truth), load_prior(case.prior)
    rows: list[EditRow] = []
    for errors, copy, mask in masks(group, name, copies=copies):

        def add(method: str, label_map: LabelMap, *, errors: str = errors, copy: int = copy, **more: float) -> None:
            found = score_of_label_map(label_map, truth)
            distances = found.mean_mm, found.hd95_mm, found.hausdorff_mm
            rows.append(EditRow(group, case.name, errors, copy, method, *distances, found.dice, **more))  # type: ignore[arg-type]

        given = Segmentation(mask)
        add(RAW, mask)
        began = time.process_time()
        add(SHAPE, edited_fit(prior, given, settings=given.defaults).segment, seconds=time.process_time() - began)
        began = time.process_time()
        fit = edited_fit(prior, given, settings=given.defaults, witness=witness_of(case.image, given))
        spent, use = time.process_time() - began, use_of(fit, case.image)
        add(IMAGE, fit.segment, trust=use.trust, changed=use.edits_changed or 0, seconds=spent)
    return rows
