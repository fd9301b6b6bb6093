"""The terms of the training energy that the paper does not have, and the running mean."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dals.geometry.mesh import TriangleMesh
from dals.model.decoder import Decoder, DecoderSettings
from dals.model.template import icosphere
from dals.training.averaging import RunningMean
from dals.training.energy import batch_energy, lacking_volume
from dals.training.settings import TrainingSettings
from dals.training.start import starting_decoder

TEMPLATE = icosphere(2)
SPHERE = torch.as_tensor(TEMPLATE.vertices)
FACES = torch.as_tensor(TEMPLATE.faces)


def test_a_surface_lacks_volume_where_it_is_small_or_inside_out() -> None:
    volume = TriangleMesh(TEMPLATE.vertices, TEMPLATE.faces).volume
    enough, half, reflected = SPHERE[None], SPHERE[None] * 0.5 ** (1 / 3), -SPHERE[None]
    assert float(lacking_volume(enough, FACES, volume)) == pytest.approx(0.0)
    assert float(lacking_volume(half, FACES, volume)) == pytest.approx(0.25)
    assert float(lacking_volume(reflected, FACES, volume)) == pytest.approx(4.0)


def test_the_lack_of_volume_turns_a_shrunken_surface_the_right_way() -> None:
    scale = torch.tensor(-0.3, dtype=torch.float64, requires_grad=True)
    lacking_volume(scale * SPHERE[None], FACES, 1.0).backward()
    assert scale.grad is not None
    assert scale.grad < 0  # descent lets it grow towards positive volumes


def test_training_starts_from_a_sphere_that_is_right_side_out() -> None:
    torch.manual_seed(0)
    decoder = starting_decoder(TrainingSettings())
    surface = decoder(torch.randn(1, 128), SPHERE.float()).detach().double().numpy()
    assert np.abs(surface - TEMPLATE.vertices).max() < 0.2
    assert TriangleMesh(surface, TEMPLATE.faces).volume > 3


def energy_of(decoder: nn.Module, **changes: float) -> tuple[torch.Tensor, torch.Tensor]:
    settings = TrainingSettings(precision="float32", points=50).changed(lambda_volume=0.0, **changes)
    generator = torch.Generator().manual_seed(3)
    latents = torch.randn(2, 4, generator=generator)
    target = torch.nn.functional.normalize(torch.randn(2, 50, 3, generator=generator), dim=-1)
    return batch_energy(
        decoder,  # type: ignore[arg-type]
        latents,
        SPHERE.float().expand(2, -1, -1),
        FACES,
        target,
        settings=settings,
        least_volume=1.0,
        generator=generator,
    )


class Linear(nn.Module):
    """A decoder whose displacement is linear in the latent."""

    def forward(
        self, latents: torch.Tensor, positions: torch.Tensor, *, compute_dtype: torch.dtype | None = None
    ) -> torch.Tensor:
        return positions + 0.1 * latents[..., :1] * positions + 0.2 * latents[..., 1:4]


def test_blending_costs_a_linear_decoder_nothing_and_others_something() -> None:
    plain, blended = energy_of(Linear())[0], energy_of(Linear(), lambda_blend=100.0)[0]
    assert float(blended) == pytest.approx(float(plain), rel=1e-5)
    torch.manual_seed(0)
    bent = Decoder(DecoderSettings(4, (16,)))
    blended, plain = (energy_of(bent, lambda_blend=weight)[0].item() for weight in (100.0, 0.0))
    assert blended > plain + 1e-3


def test_the_parts_of_the_energy_are_its_terms() -> None:
    energy, parts = energy_of(Linear(), lambda_reg=0.5, lambda_norm=0.25)
    loss, fit, reg, norm = parts.tolist()
    assert float(energy) == pytest.approx(loss)
    assert loss == pytest.approx(fit + 0.5 * reg + 0.25 * norm)


def test_the_running_mean_is_the_mean_of_recent_parameters() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    mean = RunningMean([parameter], 0.9)
    expected = 0.0
    for step in range(200):
        with torch.no_grad():
            parameter.fill_(float(step % 7))
        mean.update(step)
        kept = min(0.9, (1 + step) / (10 + step))
        expected = kept * expected + (1 - kept) * (step % 7)
    assert float(mean.values[0]) == pytest.approx(expected, rel=1e-4)
    mean.apply()
    assert float(parameter) == pytest.approx(expected, rel=1e-4)


def test_no_decay_gives_the_last_parameters() -> None:
    parameter = nn.Parameter(torch.tensor([5.0]))
    mean = RunningMean([parameter], 0.0)
    with torch.no_grad():
        parameter.fill_(7.0)
    mean.update(10)
    assert float(mean.values[0]) == 7.0
