"""Signed distances of training shapes at points near their surface: computed once, kept compactly."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from torch import Tensor

from dals.dataset.normalisation import NormalisedShape, canonical
from dals.evaluation.metrics import sample_points
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.io.atomic import atomic_path
from dals.training.augmentation import PointWolfSettings, draw_warps

BOX = 1.1
"""Half the side of the cube in which samples may lie, canonical units."""
_STEPS = 32_000
_POINTS_FOR_WARPS = 1_000


@dataclass(frozen=True)
class SampleSettings:
    """Where signed distances are taken.

    Attributes
    ----------
    samples : int
        Of each shape.
    spreads : tuple of float
        Standard deviations of the two perturbations of surface points, canonical units; half of the
        samples near the surface have the one and half the other.
    uniform_share : float
        Share of the samples that are uniform in the cube around the unit sphere.
    variants : int
        Warped copies of each shape (PointWOLF, as the project's method is trained with).
    variant_samples : int
        Of each warped copy.
    augmentation : PointWolfSettings
    seed : int
    """

    samples: int = 100_000
    spreads: tuple[float, float] = (0.05, 0.0158)
    uniform_share: float = 0.1
    variants: int = 0
    variant_samples: int = 25_000
    augmentation: PointWolfSettings = field(default_factory=PointWolfSettings)
    seed: int = 0


class SampleBank:
    """Signed distances of N shapes and of warps of each, addressed by item.

    Items 0 to N - 1 are the shapes themselves; item N + i * variants + k is warp k of shape i.
    """

    def __init__(self, shapes: list[tuple[Tensor, Tensor]], *, real: int) -> None:
        self._shapes = shapes
        self.real = real

    def __len__(self) -> int:
        return len(self._shapes)

    @property
    def digest(self) -> str:
        """The same for the same samples."""
        digest = hashlib.sha256()
        for _, distances in self._shapes:
            digest.update(distances.numpy().tobytes())
        return digest.hexdigest()

    def draw(self, items: Tensor, count: int, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Random samples of items (B,): points (B, count, 3) in canonical units, and their distances (B, count)."""
        points, distances = [], []
        for item in items.tolist():
            stored_points, stored_distances = self._shapes[item]
            chosen = torch.randint(len(stored_points), (count,), generator=generator)
            points.append(stored_points[chosen])
            distances.append(stored_distances[chosen])
        return torch.stack(points).float() * (BOX / _STEPS), torch.stack(distances).float()


def sample_bank(
    shapes: Sequence[NormalisedShape],
    settings: SampleSettings,
    *,
    folder: Path | None = None,
    on_shape: Callable[[str], None] | None = None,
) -> SampleBank:
    """Compute the samples of shapes, or read them where an earlier run has left them.

    Parameters
    ----------
    shapes
        With canonical meshes.
    settings : SampleSettings
    folder : Path, optional
        Of the cache; nothing is kept without.
    on_shape
        Told the name of each shape that had to be computed.
    """
    found = [_cached(shape, settings, folder, on_shape) for shape in shapes]
    originals = [part for parts in found for part in parts[:1]]
    variants = [part for parts in found for part in parts[1:]]
    return SampleBank(originals + variants, real=len(originals))


def signed_distances(mesh: TriangleMesh, points: FloatArray) -> FloatArray:
    """Distance of points (N, 3) to a closed mesh, (N,), negative inside; in its unit."""
    import igl

    kind: Any = igl.SIGNED_DISTANCE_TYPE_FAST_WINDING_NUMBER
    return np.asarray(igl.signed_distance(points, mesh.vertices, mesh.faces, kind)[0])


def _cached(
    shape: NormalisedShape,
    settings: SampleSettings,
    folder: Path | None,
    on_shape: Callable[[str], None] | None,
) -> list[tuple[Tensor, Tensor]]:
    path = folder / f"{shape.name}-{_key(shape.mesh, settings)}.safetensors" if folder else None
    if path is None or not path.exists():
        stored = _compute(shape, settings)
        if on_shape is not None:
            on_shape(shape.name)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(path) as temporary:
                save_file(stored, temporary)
    else:
        stored = load_file(path)
    return [
        (torch.from_numpy(stored[f"points.{k}"]), torch.from_numpy(stored[f"distances.{k}"]))
        for k in range(len(stored) // 2)
    ]


def _compute(shape: NormalisedShape, settings: SampleSettings) -> dict[str, NDArray[Any]]:
    seed = zlib.crc32(f"{shape.name} {settings.seed}".encode())
    rng = np.random.default_rng(seed)
    meshes = [(shape.mesh, settings.samples)]
    meshes += [(mesh, settings.variant_samples) for mesh in _warped(shape.mesh, settings, seed)]
    stored: dict[str, NDArray[Any]] = {}
    for index, (mesh, count) in enumerate(meshes):
        # The distance is taken at the rounded position, so that rounding costs no accuracy.
        rounded = np.round(_positions(mesh, settings, count, rng) * (_STEPS / BOX)).astype(np.int16)
        stored[f"points.{index}"] = rounded
        stored[f"distances.{index}"] = signed_distances(mesh, rounded.astype(np.float64) * (BOX / _STEPS)).astype(
            np.float16
        )
    return stored


def _positions(mesh: TriangleMesh, settings: SampleSettings, count: int, rng: np.random.Generator) -> FloatArray:
    uniform = round(settings.uniform_share * count)
    near = sample_points(mesh, count - uniform, rng)
    spread = np.where(np.arange(len(near)) % 2, *settings.spreads)
    near = near + spread[:, None] * rng.standard_normal(near.shape)
    return np.clip(np.concatenate([near, rng.uniform(-BOX, BOX, (uniform, 3))]), -BOX, BOX)


def _warped(mesh: TriangleMesh, settings: SampleSettings, seed: int) -> list[TriangleMesh]:
    if not settings.variants:
        return []
    points = torch.as_tensor(sample_points(mesh, _POINTS_FOR_WARPS, np.random.default_rng(seed))).float()
    generator = torch.Generator().manual_seed(seed)
    many = points[None].expand(settings.variants, -1, -1)
    warps = draw_warps(many, settings.augmentation, generator=generator)
    vertices = torch.as_tensor(mesh.vertices).float()[None].expand(settings.variants, -1, -1)
    return [canonical(TriangleMesh(v.double().numpy(), mesh.faces)).mesh for v in warps.apply(vertices)]


def _key(mesh: TriangleMesh, settings: SampleSettings) -> str:
    digest = hashlib.sha256(json.dumps(asdict(settings), sort_keys=True).encode())
    digest.update(mesh.vertices.tobytes() + mesh.faces.tobytes())
    return digest.hexdigest()[:12]
