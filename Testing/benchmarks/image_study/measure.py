"""One case with every method."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy.spatial import cKDTree

from benchmarks.image_study import peers
from benchmarks.image_study.cases import clicked, load, painted
from benchmarks.image_study.principal import model_of, principal_components
from benchmarks.systems.pca import PcaModel
from dals.evaluation.metrics import dice, sample_points
from dals.evaluation.uncertainty import error_between_planes
from dals.fitting import FitResult, fit
from dals.geometry.label_map import LabelMap
from dals.geometry.mesh import TriangleMesh
from dals.geometry.volume import Volume
from dals.geometry.voxelisation import label_map_to_mesh, mesh_to_label_map
from dals.geometry.winding import enclosed
from dals.model.prior import ShapePrior, load_prior
from dals.model.prior_files import Side
from dals.observations import PlanarContours
from dals.observations.painted_slices import contours_from_painted_slices
from dals.organ_fit import follow_image, imprint_on

CONTOURS, IMAGE = "contours only", "contours and image"
PRINCIPAL, PRINCIPAL_IMAGE = "principal components, contours only", "principal components, contours and image"
CLASSIFIER, SEEDS, WALKER = "classifier without a prior", "Grow from seeds", "random walker"
METHODS = (CONTOURS, IMAGE, PRINCIPAL, PRINCIPAL_IMAGE, CLASSIFIER, SEEDS, WALKER)
PAINTED, CLICKED = "painted slices", "clicked curves"
_SAMPLES = 30_000


@dataclass(frozen=True)
class Row:
    """A case by a method: average symmetric distance, 95th percentile, overlap, volume, trust, seconds."""

    group: str
    case: str
    drawn: str
    planes: int
    method: str
    assd_mm: float
    hd95_mm: float
    dice: float
    volume_percent: float
    trust: float
    seconds: float


def _final(mesh: TriangleMesh, contours: PlanarContours, result: FitResult) -> TriangleMesh:
    """What `dals.refine` makes of the surface of a fit."""
    imprint = imprint_on(mesh, contours, result)
    return mesh if imprint is None else imprint.mesh


@cache
def _prior(name: str, side: Side | None) -> ShapePrior:
    prior = load_prior(name)
    return prior if side in (None, prior.side) else prior.of_other_side()


@cache
def _model(name: str, side: Side | None) -> PcaModel:
    return model_of(_prior(name, side))


def measure(
    group: str,
    name: str,
    *,
    planes: int,
    drawn: str = PAINTED,
    methods: tuple[str, ...] = METHODS,
    image: Volume | None = None,
) -> list[Row]:
    """All methods on one case, from the same planes; the pose is not known. `image` takes the place of the case's."""
    case = load(group, name)
    case = case if image is None else replace(case, image=image)
    prior = _prior(case.prior, case.side)
    truth = case.truth
    slices = painted(truth, planes=planes)
    contours = contours_from_painted_slices(slices)
    if drawn == CLICKED:
        contours = clicked(contours)
    began = time.process_time()
    alone = fit(prior, contours)
    seconds = time.process_time() - began
    surface = label_map_to_mesh(truth)  # all are compared as voxels of the image: none gains by its staircase
    rows = []

    def add(method: str, label_map: LabelMap, used: float, *, trust: float = float("nan")) -> None:
        rng, mesh = np.random.default_rng(0), label_map_to_mesh(label_map)
        ours, theirs = sample_points(mesh, _SAMPLES, rng), sample_points(surface, _SAMPLES, rng)
        out, back = cKDTree(theirs).query(ours)[0], cKDTree(ours).query(theirs)[0]
        rows.append(
            Row(
                group,
                case.name,
                drawn,
                planes,
                method,
                float(out.mean() + back.mean()) / 2,
                float(max(np.percentile(out, 95), np.percentile(back, 95))),
                dice(label_map, truth),
                100 * (label_map.volume / truth.volume - 1),
                trust,
                used,
            )
        )

    error = error_between_planes(contours, alone, prior, known=False)
    began = time.process_time()
    mesh = _final(alone.mesh, contours, alone)
    add(CONTOURS, enclosed(mesh, truth), seconds + time.process_time() - began)
    if IMAGE in methods:
        began = time.process_time()
        found, use = follow_image(prior, contours, case.image, alone)
        mesh = _final(use.surface(found.mesh), contours, found)
        used = seconds + time.process_time() - began
        add(IMAGE, enclosed(mesh, truth), used, trust=use.trust)
    for method, image in ((PRINCIPAL, None), (PRINCIPAL_IMAGE, case.image)):
        if method in methods:
            model, began = _model(case.prior, case.side), time.process_time()
            mesh = principal_components(model, contours, alone, image, error=error)
            add(method, mesh_to_label_map(mesh, truth), seconds + time.process_time() - began)
    scale = alone.state.pose.scale
    low, high = alone.mesh.vertices.min(axis=0), alone.mesh.vertices.max(axis=0)
    patch = peers.patch_around(case.image, low, high, scale)
    seeds = peers.seeds_of(patch, slices)
    makers = {
        CLASSIFIER: lambda: peers.classified(patch, contours, alone.mesh, scale=scale, error=error),
        SEEDS: lambda: peers.grown_from_seeds(patch, seeds),
        WALKER: lambda: peers.walked(patch, seeds),
    }
    for method, make in makers.items():
        if method in methods:
            began = time.process_time()
            label_map = peers.on_grid(make(), patch, truth)
            if not label_map.is_empty:
                add(method, label_map, time.process_time() - began)
    return rows
