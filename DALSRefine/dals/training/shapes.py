"""Surface samples of the training shapes and of their warped variants."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dals.geometry.mesh import TriangleMesh
from dals.ops.nearest import nearest
from dals.ops.sampling import sample_surface
from dals.training.augmentation import PointWolfSettings, draw_warps
from dals.training.reports import OnSetUp

_POINTS_PER_SHAPE = 20_000
_POINTS_FOR_WARPS = 1_000
_BASIS_POINTS = 512
_POINTS_PER_DESCRIPTOR = 3_000
_ITEMS_AT_ONCE = 64
_SAMPLING, _DESCRIBING = 0.2, 0.4
"""Share of the set-up when the shapes are sampled, and when the warps are drawn."""


class ShapeBank:
    """N normalised shapes and `variants` warps of each, indexed by item.

    Items 0 to N - 1 are the shapes themselves; item N + i * variants + k is warp k of shape i.

    Parameters
    ----------
    meshes
        Canonical meshes.
    variants : int
    augmentation : PointWolfSettings
    seed : int
        Gives the same samples and warps on all devices.
    device
    on_set_up : callable, optional
    """

    def __init__(
        self,
        meshes: Sequence[TriangleMesh],
        *,
        variants: int,
        augmentation: PointWolfSettings,
        seed: int,
        device: torch.device,
        on_set_up: OnSetUp | None = None,
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        sampled = []
        for number, mesh in enumerate(meshes):
            tell(on_set_up, _SAMPLING * number / len(meshes), f"points of shape {number + 1} of {len(meshes)}")
            sampled.append(_sample(mesh, generator))
        tell(on_set_up, _SAMPLING, f"{variants} warps of each shape")
        samples = torch.stack(sampled)
        self.real = len(meshes)
        self.variants = variants
        few = samples[:, :_POINTS_FOR_WARPS].repeat_interleave(variants, dim=0)
        self.points = samples.to(device)
        self._warps = draw_warps(few, augmentation, generator=generator).to(device) if variants else None

    def __len__(self) -> int:
        return self.real * (1 + self.variants)

    def draw(self, items: Tensor, count: int, *, generator: torch.Generator) -> Tensor:
        """Draw surface points (B, count, 3) of items (B,), canonical units."""
        shape = torch.where(items < self.real, items, (items - self.real) // max(self.variants, 1))
        chosen = torch.randint(
            self.points.shape[1], (len(items), count), generator=generator, device=self.points.device
        )
        points = self.points[shape[:, None], chosen]
        if self._warps is None:
            return points
        warp = (items - self.real).clamp_min(0)
        warped = self._warps[warp].apply(points)
        return torch.where((items < self.real)[:, None, None], points, warped)


def descriptor_latents(
    bank: ShapeBank, size: int, *, scale: float, seed: int, on_set_up: OnSetUp | None = None
) -> Tensor:
    """Initial latents: principal components of each item's basis point set, (len(bank), size).

    The descriptor of a shape is the vectors from fixed points of the unit ball to the surface (Prokudin et al., ICCV
    2019). Each component is divided by the square root of its standard deviation: the main modes of variation stay
    the longest axes of the latent space but do not dominate it. The root mean square length of a latent is `scale`.
    """
    generator = torch.Generator().manual_seed(seed)
    direction = torch.randn(_BASIS_POINTS, 3, generator=generator)
    radius = torch.rand(_BASIS_POINTS, 1, generator=generator) ** (1 / 3)
    basis = torch.nn.functional.normalize(direction, dim=1) * radius
    device = bank.points.device
    basis = basis.to(device)
    on_device = torch.Generator(device=device).manual_seed(seed)
    rows = []
    for items in torch.arange(len(bank), device=device).split(_ITEMS_AT_ONCE):
        share = _DESCRIBING + (1 - _DESCRIBING) * int(items[0]) / len(bank)
        tell(on_set_up, share, f"starting latent of shape {int(items[0]) + 1} of {len(bank)}")
        points = bank.draw(items, _POINTS_PER_DESCRIPTOR, generator=on_device)
        found = nearest(basis.expand(len(items), -1, -1), points)
        rows.append((torch.gather(points, 1, found[..., None].expand(-1, -1, 3)) - basis).flatten(1).cpu())
    features = torch.cat(rows)
    features -= features[: bank.real].mean(dim=0)
    rank = min(size, len(features) - 1)
    variance, components = torch.linalg.eigh(features.T @ features / len(features))
    spread = variance[-rank:].clamp_min(1e-12).sqrt()
    scores = features @ components[:, -rank:] / spread.sqrt()
    latents = torch.zeros(len(features), size)
    latents[:, :rank] = scores
    latents *= scale / latents.square().sum(dim=1).mean().sqrt()
    return latents.to(device)


def _sample(mesh: TriangleMesh, generator: torch.Generator) -> Tensor:
    vertices = torch.as_tensor(mesh.vertices, dtype=torch.float32)
    return sample_surface(vertices, torch.as_tensor(mesh.faces), _POINTS_PER_SHAPE, generator=generator)


def tell(on_set_up: OnSetUp | None, share: float, text: str) -> None:
    """Tell of the set-up, if anyone listens."""
    if on_set_up is not None:
        on_set_up(share, text)
