"""Shape priors: decoder, training latents, canonical frame and model card in one file."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from dals.errors import PriorError
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.io.atomic import atomic_path
from dals.model.decoder import Decoder, DecoderSettings
from dals.model.prior_files import (
    FORMAT,
    FORMAT_VERSION,
    OTHER_SIDES,
    Side,
    check_format,
    damaged,
    find_prior,
    side_of,
)
from dals.model.shape_space import LEVEL, PREFIX, ShapeSpace
from dals.model.template import Template, icosphere

_MIRRORED = "mirrored"
_AT_ONCE = 8
_STATISTICS = ("latents", "latent_mean", "latent_basis", "scales_mm")


@dataclass(frozen=True)
class ShapePrior:
    """A decoder with the statistics of the shapes that it was trained on.

    Attributes
    ----------
    name : str
        Name of the organ, as in the file name.
    decoder : Decoder
        In evaluation mode, weights frozen.
    latents : (N, d)
        Latents of the training shapes.
    latent_mean : (d,)
    latent_basis : (d, k)
        Principal directions of the latents, scaled by their standard deviations: in
        z = latent_mean + latent_basis @ w, w has mean zero and unit variance over the training shapes.
    scales_mm : (N,)
        Radius of each training shape's bounding sphere about its centroid: the canonical unit in millimetres.
    template_radius : float
        Radius of the template sphere that the decoder was trained on.
    card : mapping
        Model card: data, licence, training, held-out figures, intended use.
    digest : str
        SHA-256 of tensors and settings, hexadecimal. The card and the shape space have their own.
    mirrored : bool
        Whether training turned the sphere inside out. The template is then reflected through its centre, so that
        the faces of decoded surfaces point outwards.
    known_space : ShapeSpace, optional
        `shape_space`, if it is known already.
    """

    name: str
    decoder: Decoder
    latents: Tensor
    latent_mean: Tensor
    latent_basis: Tensor
    scales_mm: Tensor
    template_radius: float
    card: Mapping[str, Any] = field(default_factory=dict)
    digest: str = ""
    mirrored: bool = False
    known_space: ShapeSpace | None = None

    @cached_property
    def shape_space(self) -> ShapeSpace:
        """The linear space of the training shapes. Without a known one, all of them are decoded."""
        return self.known_space or ShapeSpace.spanned_by(*_decoded_shapes(self))

    @property
    def side(self) -> Side | None:
        """The side of the body that the training shapes are of; None where the card does not say."""
        return side_of(self.card)

    def sphere(self, template: Template) -> Tensor:
        """Template vertices (V, 3) as input of the decoder, float32."""
        device = self.latent_mean.device
        radius = -self.template_radius if self.mirrored else self.template_radius
        return torch.as_tensor(template.vertices, dtype=torch.float32, device=device) * radius

    @torch.no_grad()
    def mean_shape(self, template: Template) -> Tensor:
        """Vertices (V, 3) of the shape of the mean latent, canonical units."""
        return self.decoder(self.latent_mean[None], self.sphere(template))

    @cached_property
    def log_scale(self) -> tuple[float, float]:
        """Mean and standard deviation of the natural logarithm of `scales_mm`."""
        logs = self.scales_mm.cpu().double().log()
        return float(logs.mean()), float(logs.std().clamp_min(0.02))

    def to(self, device: torch.device | str) -> ShapePrior:
        """A copy on a device."""
        decoder = Decoder(self.decoder.settings).to(device)
        decoder.load_state_dict(self.decoder.state_dict())
        moved = {name: getattr(self, name).to(device) for name in _STATISTICS}
        return replace(self, decoder=frozen(decoder), **moved)

    def of_other_side(self) -> ShapePrior:
        """A prior of the mirrored organs, left and right swapped; latents, statistics and digest stay.

        Raises
        ------
        PriorError
            If the prior is not of one side of the body.
        """
        other = OTHER_SIDES.get(self.side)
        if other is None:
            raise PriorError(f"The prior {self.name} is not of one side of the body; leave out the side.")
        decoder, space = frozen(self.decoder.reflected()), self.known_space
        card = {**self.card, "side": other}
        return replace(self, decoder=decoder, card=card, known_space=None if space is None else space.reflected())

    def with_digest(self, digest: str) -> ShapePrior:
        """A copy with this digest."""
        return replace(self, digest=digest)


def right_side_out(prior: ShapePrior) -> ShapePrior:
    """The prior, with its template reflected if the faces of the mean shape point inwards.

    The Chamfer distance ignores orientation, so training may turn the sphere inside out. Reflecting the template
    through its centre reverses the faces and leaves the surface where it is.
    """
    template = icosphere(3)
    mean = TriangleMesh(prior.mean_shape(template).cpu().double().numpy(), template.faces)
    return replace(prior, mirrored=not prior.mirrored, known_space=None) if mean.volume < 0 else prior


@torch.no_grad()
def _decoded_shapes(prior: ShapePrior) -> tuple[FloatArray, FloatArray]:
    """The training shapes (N, V, 3), on the template of the shape space, with their latents (N, d)."""
    sphere = prior.sphere(icosphere(LEVEL))
    parts = [prior.decoder(latents[:, None], sphere) for latents in prior.latents.split(_AT_ONCE)]
    return torch.cat(parts).cpu().double().numpy(), prior.latents.cpu().double().numpy()


def frozen(decoder: Decoder) -> Decoder:
    """The decoder in evaluation mode, without gradients on its weights."""
    return decoder.eval().requires_grad_(False)


def latent_distribution(latents: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (d,) and principal directions (d, k) of latents (N, d), k <= min(N - 1, d).

    Directions are scaled by their standard deviations, largest first.
    """
    mean = latents.double().mean(dim=0)
    _, singular, directions = torch.linalg.svd(latents.double() - mean, full_matrices=False)
    rank = min(len(latents) - 1, latents.shape[1])
    spread = singular[:rank] / (len(latents) - 1) ** 0.5
    keep = spread > 1e-4 * spread[:1]  # a single shape has no directions
    return mean.float(), (directions[:rank][keep].T * spread[keep]).float()


def save_prior(path: Path, prior: ShapePrior) -> None:
    """Write a prior as safetensors, with its card in the metadata, whole or not at all."""
    tensors, facts, space = _tensors(prior), _facts(prior), prior.shape_space.packed()
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "sha256": _digest(tensors, facts),
        "space_sha256": _digest(space, {}),
        "card_sha256": _text_digest(facts["card"]),
        **facts,
    }
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(tensors | space, metadata=metadata))  # save_file would ignore the umask


def load_prior(name_or_path: str | Path) -> ShapePrior:
    """Load a prior by its name, such as `liver`, or from a file.

    Raises
    ------
    PriorError
        If the name is unknown (the message lists the available ones), or the file is damaged, altered, of a
        newer format or no prior.
    """
    path = find_prior(name_or_path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            check_format(path, metadata)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        space = {name: tensors.pop(name) for name in list(tensors) if name.startswith(PREFIX)}
        digests = {"sha256": _digest(tensors, metadata), "card_sha256": _text_digest(metadata.get("card", ""))}
        if space:  # priors of format 1 have none
            digests["space_sha256"] = _digest(space, {})
    except PriorError:
        raise
    except Exception as error:
        raise damaged(path) from error
    if any(metadata.get(name) != digest for name, digest in digests.items()):
        raise PriorError(f"The prior {path} was changed after it was made (its checksum differs); get it again.")
    try:
        known = ShapeSpace.unpacked(space) if space else None
        return replace(_assemble(metadata, tensors, digests["sha256"]), known_space=known)
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise PriorError(f"The prior {path} is inconsistent: its weights do not fit its settings.") from error


def prior_digest(prior: ShapePrior) -> str:
    """SHA-256 of a prior's tensors and settings, hexadecimal; the card does not count."""
    return _digest(_tensors(prior), _facts(prior))


def _tensors(prior: ShapePrior) -> dict[str, Tensor]:
    tensors = {f"decoder.{name}": value for name, value in prior.decoder.state_dict().items()}
    tensors |= {name: getattr(prior, name) for name in _STATISTICS}
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}


def _facts(prior: ShapePrior) -> dict[str, str]:
    """All but the tensors, as metadata of the file."""
    return {
        "name": prior.name,
        "decoder": json.dumps(asdict(prior.decoder.settings)),
        "template_radius": repr(prior.template_radius),
        "card": json.dumps(dict(prior.card)),
        **({_MIRRORED: "yes"} if prior.mirrored else {}),
    }


def _text_digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _digest(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    digest = hashlib.sha256()
    for fact in ("name", "decoder", "template_radius"):
        digest.update(metadata.get(fact, "").encode() + b"\0")
    if _MIRRORED in metadata:  # absent if false, so that digests of older priors stay
        digest.update(_MIRRORED.encode() + b"\0")
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name].numpy())
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _assemble(metadata: Mapping[str, str], tensors: dict[str, Tensor], digest: str) -> ShapePrior:
    sizes = json.loads(metadata["decoder"])
    decoder = Decoder(DecoderSettings(sizes["latent_size"], tuple(sizes["hidden_sizes"])))
    decoder.load_state_dict({k.removeprefix("decoder."): v for k, v in tensors.items() if k.startswith("decoder.")})
    _check_statistics(tensors, sizes["latent_size"])
    if not all(bool(torch.isfinite(value).all()) for value in tensors.values()):
        raise ValueError("not-a-number among the weights")
    radius = float(metadata["template_radius"])
    if not (math.isfinite(radius) and radius > 0):
        raise ValueError("a sphere without a radius")
    return ShapePrior(
        name=metadata["name"],
        decoder=frozen(decoder),
        latents=tensors["latents"],
        latent_mean=tensors["latent_mean"],
        latent_basis=tensors["latent_basis"],
        scales_mm=tensors["scales_mm"],
        template_radius=radius,
        card=json.loads(metadata["card"]),
        digest=digest,
        mirrored=_MIRRORED in metadata,
    )


def _check_statistics(tensors: Mapping[str, Tensor], size: int) -> None:
    latents, mean, basis, scales = (tensors[name] for name in _STATISTICS)
    if mean.shape != (size,) or any(value.ndim != 2 for value in (latents, basis)):
        raise ValueError("latent statistics of a wrong size")
    if latents.shape[1] != size or len(basis) != size:
        raise ValueError("latents of a wrong size")
    if scales.ndim != 1 or not bool((scales > 0).all()):
        raise ValueError("sizes that are not positive")
