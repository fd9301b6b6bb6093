"""How held-out cases are made and judged: the same for every system that is measured."""

from __future__ import annotations

import sys
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.organs import ROOT, organ_data
from dals.dataset.normalisation import NormalisedShape
from dals.dataset.storage import load_dataset
from dals.demo.synthetic_liver import cut_contour
from dals.evaluation.metrics import compare, sample_points
from dals.geometry.cross_sections import section_loops
from dals.geometry.mesh import TriangleMesh
from dals.geometry.splines import sample_closed_spline
from dals.model.pose import Pose
from dals.observations import Contour, PlanarContours, PointCloud

_FOLDERS = {"liver": "msd_test", "hippocampus": "segmenter_test"}
CACHE = ROOT / "work" / "benchmarks"
AXES = ("sagittal", "coronal", "axial")
OFF_CENTRE = 0.08  # of the extent, at most
CLICKS = 28
NOISE_MM = 0.5


def held_out(organ: str) -> list[NormalisedShape]:
    """Held-out organs as standard shapes, prepared once and cached outside version control."""
    folder = CACHE / _FOLDERS.get(organ, f"{organ}_test")
    reports = [source.prepare(folder) for source in organ_data(organ).held_out]
    return load_dataset(folder, names=sorted(name for report in reports for name in report.names))


def training_shapes(organ: str) -> Path:
    """Folder of the training shapes of an organ's prior, prepared once and cached outside version control."""
    folder = CACHE / f"{organ}_train"
    for source in organ_data(organ).training:
        report = source.prepare(folder)
        for name, reason in sorted(report.skipped.items()):
            print(f"not usable: {name}: {reason}", file=sys.stderr)
    return folder


def rng_of(name: str) -> np.random.Generator:
    """Randomness of a case, the same on every machine and in every order."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def known_pose(shape: NormalisedShape) -> Pose:
    """The true centre and scale, as the paper hands them to its method."""
    return Pose(shape.scale_mm, np.asarray(shape.centre_mm))


def points_of(shape: NormalisedShape, *, count: int = 2_500) -> PointCloud:
    """Points drawn uniformly from the true surface, RAS mm."""
    return PointCloud(sample_points(shape.patient_mesh, count, rng_of(shape.name)))


def central_planes_of(shape: NormalisedShape) -> PlanarContours:
    """All outlines on the three orthogonal planes through the true centre."""
    mesh = shape.patient_mesh
    contours = [
        Contour(loop, None, f"{name} {k}")
        for axis, name in enumerate(AXES)
        for k, loop in enumerate(section_loops(mesh, np.asarray(shape.centre_mm), np.eye(3)[axis]))
    ]
    return PlanarContours(tuple(contours))


def clinician_of(shape: NormalisedShape) -> PlanarContours:
    """Three closed curves of 28 clicks with tremor on planes off the centre, RAS mm."""
    mesh, rng = shape.patient_mesh, rng_of(shape.name)
    extent = np.ptp(mesh.vertices, axis=0)
    contours = []
    for axis, name in enumerate(AXES):
        origin = np.array(shape.centre_mm, dtype=np.float64)
        origin[axis] += rng.uniform(-OFF_CENTRE, OFF_CENTRE) * extent[axis]
        clicks = cut_contour(
            mesh,
            origin,
            np.eye(3)[axis],
            control_points=CLICKS,
            noise_mm=NOISE_MM,
            seed=int(rng.integers(1 << 30)),
        )
        contours.append(Contour(sample_closed_spline(clicks), clicks, name))
    return PlanarContours(tuple(contours))


def judge(mesh: TriangleMesh, shape: NormalisedShape) -> dict[str, Any]:
    """The paper's metrics in canonical units, and mean distance and Hausdorff in millimetres."""
    millimetres = compare(mesh, shape.patient_mesh)
    return {
        **asdict(millimetres.scaled(1.0 / shape.scale_mm)),
        "mean_distance_mm": millimetres.mean_distance,
        "hausdorff_mm": millimetres.hausdorff,
    }
