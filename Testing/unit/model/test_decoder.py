"""The pointwise decoder."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dals.model.decoder import Decoder, DecoderSettings

SMALL = DecoderSettings(latent_size=5, hidden_sizes=(16, 12, 8))


def _decoder(settings: DecoderSettings = SMALL, *, seed: int = 0) -> Decoder:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Decoder(settings)


def _inputs(*batch: int, vertices: int = 7, seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*batch, vertices, 5, generator=generator), torch.randn(*batch, vertices, 3, generator=generator)


def _plain_network(decoder: Decoder) -> nn.Sequential:
    """The paper's network with the same weights: its first layer acts on the concatenation."""
    first = nn.Linear(decoder.settings.latent_size + 3, decoder.settings.hidden_sizes[0])
    with torch.no_grad():
        first.weight.copy_(torch.cat([decoder.latent_input.weight, decoder.position_input.weight], dim=1))
        first.bias.copy_(decoder.position_input.bias)
    layers: list[nn.Module] = [first, decoder.norms[0], nn.ReLU()]
    for layer, norm in zip(decoder.hidden, decoder.norms[1:], strict=True):
        layers += [layer, norm, nn.ReLU()]
    return nn.Sequential(*layers, decoder.output)


def test_equals_a_plain_network_on_the_concatenation() -> None:
    decoder = _decoder()
    latents, positions = _inputs(2)
    expected = positions + _plain_network(decoder)(torch.cat([latents, positions], dim=-1))
    assert torch.allclose(decoder(latents, positions), expected, atol=1e-6)


def test_a_shared_latent_equals_a_copy_at_each_vertex() -> None:
    decoder = _decoder()
    latents, positions = _inputs(3)
    shared = latents[:, :1]
    assert torch.allclose(decoder(shared, positions), decoder(shared.expand(-1, 7, -1), positions), atol=1e-6)


def test_vertices_do_not_see_each_other() -> None:
    decoder = _decoder()
    latents, positions = _inputs()
    order = torch.tensor([3, 0, 6, 1, 2, 5, 4])
    assert torch.allclose(decoder(latents[order], positions[order]), decoder(latents, positions)[order], atol=1e-6)


def test_the_output_is_an_offset() -> None:
    decoder = _decoder()
    nn.init.zeros_(decoder.output.weight)
    nn.init.zeros_(decoder.output.bias)
    latents, positions = _inputs()
    assert torch.equal(decoder(latents, positions), positions)


def test_gradients_reach_latents_positions_and_weights() -> None:
    decoder = _decoder().double()
    latents, positions = (x.double().requires_grad_() for x in _inputs(vertices=3))
    assert torch.autograd.gradcheck(decoder, (latents, positions))
    decoder(latents, positions).sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in decoder.parameters())


def test_gradient_of_a_shared_latent_is_the_sum_over_vertices() -> None:
    decoder = _decoder().double()
    latents, positions = (x.double() for x in _inputs())
    shared = latents[:1].clone().requires_grad_()
    copies = latents[:1].repeat(7, 1).requires_grad_()
    decoder(shared, positions).square().sum().backward()
    decoder(copies, positions).square().sum().backward()
    assert torch.allclose(shared.grad, copies.grad.sum(dim=0, keepdim=True))


def test_bfloat16_is_close_and_keeps_the_outer_dtype() -> None:
    decoder = _decoder(DecoderSettings(latent_size=5, hidden_sizes=(64, 64, 32)))
    latents, positions = _inputs(vertices=200)
    exact = decoder(latents, positions)
    rough = decoder(latents, positions, compute_dtype=torch.bfloat16)
    assert rough.dtype == torch.float32
    assert not torch.equal(rough, exact)
    assert (rough - exact).abs().max() < 0.03 * (exact - positions).abs().max()


def test_default_sizes_are_the_papers() -> None:
    decoder = Decoder()
    assert decoder.latent_input.in_features == 128
    assert [norm.normalized_shape[0] for norm in decoder.norms] == [724, 724, 362]


def test_the_first_layer_starts_like_one_linear_layer() -> None:
    decoder = Decoder()
    bound = (128 + 3) ** -0.5
    for parameter in (decoder.latent_input.weight, decoder.position_input.weight, decoder.position_input.bias):
        assert 0.9 * bound < parameter.abs().max() <= bound


@pytest.mark.parametrize("sizes", [(0, (8,)), (4, ()), (4, (8, 0))])
def test_impossible_sizes_are_refused(sizes: tuple[int, tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match="positive"):
        DecoderSettings(*sizes)
