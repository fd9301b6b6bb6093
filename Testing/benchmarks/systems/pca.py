"""A point distribution model (Cootes et al.): principal components of corresponding vertices, fitted by closest points.

Correspondences come from the project's own spheres: each training shape is fitted with a prior of the same shapes,
one latent for each vertex, and vertex i of one fit stands for vertex i of all others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from benchmarks.systems.base import Observation, Section, canonical_points, canonical_sections, in_patient
from dals.dataset.normalisation import NormalisedShape
from dals.evaluation.metrics import sample_points
from dals.fit_settings import FitSettings
from dals.fitting.kinds.contours import resample_closed
from dals.geometry.mesh import FloatArray, IntArray, TriangleMesh
from dals.io.atomic import atomic_path
from dals.model.pose import Pose
from dals.model.prior import ShapePrior, load_prior
from dals.model.template import icosphere
from dals.observations import PlanarContours, PointCloud
from dals.ops.plane_cuts import cut_mesh, planes_met, sample_cuts
from dals.refinement import refine

LEVEL = 4
TRAINING_POINTS = 5_000


@dataclass(frozen=True)
class PcaModel:
    """Mean and principal components of corresponding shapes.

    Attributes
    ----------
    mean : (V, 3)
        Canonical.
    modes : (V, 3, K)
        Each as long as one standard deviation over the training shapes.
    """

    mean: FloatArray
    modes: FloatArray

    @property
    def faces(self) -> IntArray:
        """Of all shapes, (F, 3)."""
        return icosphere(LEVEL).faces

    @property
    def size(self) -> int:
        """Numbers that the model stores."""
        return self.mean.size + self.modes.size

    def shape(self, coefficients: FloatArray) -> FloatArray:
        """Vertices (V, 3) for coefficients (K,) in standard deviations."""
        return np.asarray(self.mean + self.modes @ coefficients)


def learn(shapes: FloatArray, *, variance: float = 1.0) -> PcaModel:
    """The model of corresponding vertices (N, V, 3), with the components that hold a share of the variance."""
    mean = shapes.mean(axis=0)
    centred = (shapes - mean).reshape(len(shapes), -1)
    _, lengths, directions = np.linalg.svd(centred, full_matrices=False)
    explained = np.cumsum(lengths**2) / max(float((lengths**2).sum()), 1e-30)
    count = min(int(np.searchsorted(explained, variance * (1 - 1e-9))) + 1, len(shapes) - 1)
    modes = directions[:count] * lengths[:count, None] / np.sqrt(len(shapes) - 1)
    return PcaModel(mean, modes.T.reshape(*mean.shape, count))


@torch.no_grad()
def decoded_shapes(prior: ShapePrior) -> FloatArray:
    """Vertices (N, V, 3) of a prior's own idea of its training shapes: rougher than fits, but there at once."""
    sphere = prior.sphere(icosphere(LEVEL))
    return np.stack([prior.decoder(latent[None], sphere).double().numpy() for latent in prior.latents])


def correspondences(prior: str, shapes: Sequence[NormalisedShape], folder: Path, *, workers: int = 1) -> FloatArray:
    """Vertices (N, V, 3) of per-vertex fits of a prior to training shapes, canonical.

    Each fit is kept as a file, so that what was interrupted goes on.

    Parameters
    ----------
    prior : str
        Name or file.
    shapes : sequence of NormalisedShape
    folder : Path
        For the fits.
    workers : int
        Processes that fit what is missing.
    """
    key = hashlib.sha256(f"{load_prior(prior).digest} {_settings()} {TRAINING_POINTS}".encode()).hexdigest()[:12]
    paths = [folder / f"{key}-{shape.name}.safetensors" for shape in shapes]
    missing = [(prior, shape, path) for shape, path in zip(shapes, paths, strict=True) if not path.is_file()]
    folder.mkdir(parents=True, exist_ok=True)
    if len(missing) > 1 and workers > 1:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            list(pool.map(_correspond, missing))
    else:
        for job in missing:
            _correspond(job)
    return np.stack([load_file(path)["vertices"].astype(np.float64) for path in paths])


def _settings() -> FitSettings:
    return FitSettings(
        lambda_reg=1e-3, lambda_dir=1e-3, lambda_prior=1e-4, shared_steps=60, points=TRAINING_POINTS, level=LEVEL
    )


def _correspond(job: tuple[str, NormalisedShape, Path]) -> None:
    """Fit one training shape in its canonical frame and keep the vertices."""
    prior, shape, path = job
    torch.set_num_threads(1)
    cloud = PointCloud(sample_points(shape.mesh, TRAINING_POINTS, np.random.default_rng(0)))
    mesh = refine(cloud, load_prior(prior), settings=_settings(), pose=Pose(1.0, np.zeros(3))).mesh
    with atomic_path(path) as temporary:
        save_file({"vertices": mesh.vertices.astype(np.float32)}, temporary)


@dataclass(frozen=True)
class PcaSettings:
    """Of the closest-point iterations.

    Tuned on four livers of msd_train that are for tuning, never on test shapes. Chamfer distances in 1e-3 canonical
    units for a sigma of 0.125, 0.05, 0.02, 0.01, 0.005 and 0.002 from points: 3.17, 1.66, 1.12, 0.919, 0.868 and 0.871;
    of 0.125, 0.05, 0.03, 0.02 and 0.01 from planes: 4.38, 3.07, 2.88, 2.91 and 3.19. Tangential weights of 0.03 and
    0.3 changed less than 0.02.

    Attributes
    ----------
    iterations : int
    sigma : float
        Expected residual, canonical: how far the data may stay from the model for one standard deviation less of
        a coefficient, of all N observations together.
    tangential : float
        Weight of a residual along the surface beside one across it.
    backward : float
        Weight of the distances from the model to the observation beside those from the observation.
    count : int
        Points drawn from the model, or from each of its sections.
    """

    iterations: int = 40
    sigma: float = 0.05
    tangential: float = 0.1
    backward: float = 1.0
    count: int = 1_000


POINTS = PcaSettings(sigma=0.005)
PLANES = PcaSettings(sigma=0.03)


@dataclass(frozen=True)
class PcaSystem:
    """Least squares on the model's coefficients with a Gaussian prior, at correspondences found anew each time."""

    model: PcaModel
    settings: PcaSettings | None = None
    name: str = "PCA"

    def fit(self, observation: Observation, *, pose: Pose) -> TriangleMesh:
        """Fit the coefficients, RAS mm."""
        flat = isinstance(observation, PlanarContours)
        settings = self.settings or (PLANES if flat else POINTS)
        sections = canonical_sections(observation, pose) if isinstance(observation, PlanarContours) else ()
        points = _targets(observation, pose, sections, settings)
        rng = np.random.default_rng(0)
        coefficients = np.zeros(self.model.modes.shape[2])
        for iteration in range(settings.iterations):
            mesh = TriangleMesh(self.model.shape(coefficients), self.model.faces)
            pairs = [_forward(mesh, points)]
            if settings.backward > 0:
                found = (
                    _sections(mesh, sections, settings, iteration) if flat else _backward(mesh, points, settings, rng)
                )
                pairs += found
            coefficients = self._solve(mesh, pairs, settings, backward=settings.backward)
        return in_patient(TriangleMesh(self.model.shape(coefficients), self.model.faces), pose)

    def _solve(self, mesh: TriangleMesh, pairs: list[_Pairs], settings: PcaSettings, *, backward: float) -> FloatArray:
        """Coefficients (K,) for pairs of points on the model and where they should be."""
        size = self.model.modes.shape[2]
        normal_matrix, right = np.zeros((size, size)), np.zeros(size)
        vertex_normals = _vertex_normals(mesh)
        shares = [1.0, *[backward / max(len(pairs) - 1, 1)] * (len(pairs) - 1)]
        for pair, share in zip(pairs, shares, strict=True):
            corners = mesh.faces[pair.faces]
            modes = np.einsum("nc,ncdk->ndk", pair.weights, self.model.modes[corners])
            residual = pair.targets - np.einsum("nc,ncd->nd", pair.weights, self.model.mean[corners])
            across = np.einsum("nc,ncd->nd", pair.weights, vertex_normals[corners])
            across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-12)
            scale = share / len(residual)
            flat_modes, flat_residual = modes.reshape(-1, size), residual.ravel()
            normal_modes = np.einsum("nd,ndk->nk", across, modes)
            normal_residual = (across * residual).sum(axis=1)
            tangential = settings.tangential
            normal_matrix += scale * (
                tangential * flat_modes.T @ flat_modes + (1 - tangential) * normal_modes.T @ normal_modes
            )
            right += scale * (
                tangential * flat_modes.T @ flat_residual + (1 - tangential) * normal_modes.T @ normal_residual
            )
        return np.linalg.solve(normal_matrix + settings.sigma**2 / size * np.eye(size), right)


@dataclass(frozen=True)
class _Pairs:
    """Points on the model, by face and barycentric coordinates, and where they should be: (N,), (N, 3), (N, 3)."""

    faces: IntArray
    weights: FloatArray
    targets: FloatArray


def _targets(observation: Observation, pose: Pose, sections: tuple[Section, ...], settings: PcaSettings) -> FloatArray:
    if sections:
        return np.concatenate([resample_closed(list(section.loops), settings.count) for section in sections])
    return canonical_points(observation, pose)


def _forward(mesh: TriangleMesh, points: FloatArray) -> _Pairs:
    """The closest point of the mesh to each observed point."""
    import igl

    _, faces, closest = igl.point_mesh_squared_distance(points, mesh.vertices, mesh.faces)
    faces = np.asarray(faces).ravel()
    return _Pairs(faces, _barycentric(closest, mesh.corners[faces]), points)


def _backward(mesh: TriangleMesh, points: FloatArray, settings: PcaSettings, rng: np.random.Generator) -> list[_Pairs]:
    """The closest observed point to points drawn on the mesh."""
    from scipy.spatial import cKDTree

    count = max(settings.count, len(points))
    areas = mesh.face_areas
    faces = rng.choice(len(areas), size=count, p=areas / areas.sum())
    weights = rng.dirichlet(np.ones(3), size=count)
    drawn = np.einsum("nk,nkd->nd", weights, mesh.corners[faces])
    return [_Pairs(faces, weights, points[cKDTree(points).query(drawn)[1]])]


def _sections(mesh: TriangleMesh, sections: tuple[Section, ...], settings: PcaSettings, seed: int) -> list[_Pairs]:
    """The closest contour point in the plane to points along the mesh's own section, where there is one."""
    from scipy.spatial import cKDTree

    vertices, faces = torch.as_tensor(mesh.vertices), torch.as_tensor(mesh.faces)
    origins = torch.as_tensor(np.stack([section.origin for section in sections]))
    normals = torch.as_tensor(np.stack([section.normal for section in sections]))
    cuts = cut_mesh(vertices, faces, origins, normals)
    generator = torch.Generator().manual_seed(seed)
    samples = sample_cuts(vertices, faces, cuts, settings.count, generator=generator).numpy()
    pairs = []
    for section, points, met in zip(sections, samples, planes_met(cuts).tolist(), strict=True):
        if met:
            contour = resample_closed(list(section.loops), settings.count)
            on_mesh = _forward(mesh, points)
            pairs.append(_Pairs(on_mesh.faces, on_mesh.weights, contour[cKDTree(contour).query(points)[1]]))
    return pairs


def _barycentric(points: FloatArray, corners: FloatArray) -> FloatArray:
    """Barycentric coordinates (N, 3) of points (N, 3) in their triangles (N, 3, 3)."""
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    offset = points - corners[:, 0]
    d00, d01, d11 = (np.einsum("nd,nd->n", a, b) for a, b in ((first, first), (first, second), (second, second)))
    d20, d21 = np.einsum("nd,nd->n", offset, first), np.einsum("nd,nd->n", offset, second)
    determinant = np.maximum(d00 * d11 - d01**2, 1e-30)
    b, c = (d11 * d20 - d01 * d21) / determinant, (d00 * d21 - d01 * d20) / determinant
    return np.stack([1 - b - c, b, c], axis=1)


def _vertex_normals(mesh: TriangleMesh) -> FloatArray:
    """Sums of the adjacent faces' area vectors, (V, 3)."""
    a, b, c = np.moveaxis(mesh.corners, 1, 0)
    vectors = np.cross(b - a, c - a)
    normals = np.zeros_like(mesh.vertices)
    for corner in range(3):
        np.add.at(normals, mesh.faces[:, corner], vectors)
    return normals
