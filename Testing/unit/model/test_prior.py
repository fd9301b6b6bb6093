"""Priors on disk: what is written is read, anything else is refused with a sentence."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from shapes import generator, tiny_prior

from dals.errors import OutputError, PriorError
from dals.geometry.mesh import TriangleMesh
from dals.model import prior as prior_module
from dals.model.decoder import Decoder
from dals.model.prior import (
    ShapePrior,
    latent_distribution,
    load_prior,
    prior_digest,
    right_side_out,
    save_prior,
)
from dals.model.prior_files import FORMAT_VERSION
from dals.model.shape_space import PREFIX
from dals.model.template import icosphere


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "blob.safetensors"
    save_prior(path, tiny_prior())
    return path


def _with_metadata(path: Path, **changes: str | None) -> None:
    """Rewrite a prior with other metadata and a right checksum; None takes an entry away."""
    raw = path.read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    metadata = json.loads(raw[8 : 8 + size])["__metadata__"] | changes
    metadata = {k: v for k, v in metadata.items() if v is not None}
    tensors = load_file(path)
    if "sha256" not in changes:
        learnt = {name: tensor for name, tensor in tensors.items() if not name.startswith(PREFIX)}
        metadata["sha256"] = prior_module._digest(learnt, metadata)
        metadata["card_sha256"] = prior_module._text_digest(metadata.get("card", ""))
    save_file(tensors, path, metadata=metadata)


def _saved_with(path: Path, **changes: Any) -> Path:
    """A prior whose fields disagree, with a right checksum."""
    prior = tiny_prior()
    save_prior(path, replace(prior, known_space=prior.shape_space, **changes))
    return path


def test_what_is_saved_is_loaded_bit_by_bit(saved: Path) -> None:
    prior, loaded = tiny_prior(), load_prior(saved)
    assert loaded.name == "blob"
    assert loaded.card == prior.card
    assert loaded.template_radius == prior.template_radius
    assert loaded.decoder.settings == prior.decoder.settings
    for name in ("latents", "latent_mean", "latent_basis", "scales_mm"):
        assert torch.equal(getattr(loaded, name), getattr(prior, name))
    for name, value in prior.decoder.state_dict().items():
        assert torch.equal(loaded.decoder.state_dict()[name], value)
    assert loaded.digest == prior_digest(loaded) == prior_digest(prior)


def test_a_prior_that_is_inside_out_is_mirrored(ellipsoid_prior: ShapePrior, tmp_path: Path) -> None:
    template = icosphere(3)

    def volume(prior: ShapePrior) -> float:
        return TriangleMesh(prior.mean_shape(template).double().numpy(), template.faces).volume

    inside_out = replace(ellipsoid_prior, mirrored=True)
    assert volume(inside_out) < 0 < volume(ellipsoid_prior)
    assert not right_side_out(inside_out).mirrored
    assert right_side_out(ellipsoid_prior) is ellipsoid_prior
    assert prior_digest(inside_out) != prior_digest(ellipsoid_prior)
    path = tmp_path / "mirrored.safetensors"
    save_prior(path, inside_out)
    assert torch.equal(load_prior(path).mean_shape(template), inside_out.mean_shape(template))
    _with_metadata(path, mirrored=None, sha256=prior_digest(inside_out))
    with pytest.raises(PriorError, match="changed after it was made"):
        load_prior(path)


def test_saving_again_gives_the_same_digest(saved: Path, tmp_path: Path) -> None:
    save_prior(tmp_path / "again.safetensors", load_prior(saved))
    assert load_prior(tmp_path / "again.safetensors").digest == load_prior(saved).digest


def test_the_digest_depends_on_every_tensor_and_not_on_the_card() -> None:
    prior = tiny_prior()
    changed = replace(prior, scales_mm=prior.scales_mm + 1)
    assert len({prior_digest(p) for p in (prior, changed, tiny_prior(seed=1))}) == 3
    assert prior_digest(replace(prior, card={"licence": "none"})) == prior_digest(prior)
    assert prior.with_digest("abc").digest == "abc"


def test_a_loaded_prior_is_frozen(saved: Path) -> None:
    decoder = load_prior(saved).decoder
    assert not decoder.training
    assert not any(p.requires_grad for p in decoder.parameters())


def test_a_copy_on_a_device_is_independent() -> None:
    prior = tiny_prior()
    copy = prior.to("cpu")
    copy.decoder.output.bias.add_(1)
    assert not torch.equal(copy.decoder.output.bias, prior.decoder.output.bias)
    assert prior_digest(prior) == prior_digest(tiny_prior())


def test_mean_shape_is_the_decoders_output_at_the_mean_latent() -> None:
    prior, template = tiny_prior(), icosphere(2)
    assert np.allclose(prior.sphere(template).norm(dim=1), 0.1)
    every = prior.latent_mean.expand(162, -1)
    assert torch.allclose(prior.mean_shape(template), prior.decoder(every, prior.sphere(template)), atol=1e-6)


def test_log_scale() -> None:
    logs = np.log(np.linspace(90, 130, 10))
    assert tiny_prior().log_scale == pytest.approx((logs.mean(), logs.std(ddof=1)), rel=1e-5)
    assert replace(tiny_prior(), scales_mm=torch.full((5,), 100.0)).log_scale[1] == 0.02


# --- latents ------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [5, 100])
def test_whitened_latents_have_unit_variance(count: int) -> None:
    latents = torch.randn(count, 8, generator=generator()) * torch.linspace(0.1, 3, 8) + 5
    mean, basis = latent_distribution(latents)
    rank = min(count - 1, 8)
    assert mean.shape == (8,)
    assert basis.shape == (8, rank)
    whitened = torch.linalg.lstsq(basis, (latents - mean).T).solution.T
    assert torch.allclose(mean + whitened @ basis.T, latents, atol=1e-4)
    assert torch.allclose(whitened.mean(dim=0), torch.zeros(rank), atol=1e-4)
    assert torch.allclose(whitened.T @ whitened / (count - 1), torch.eye(rank), atol=1e-3)


def test_directions_come_longest_first_and_at_right_angles() -> None:
    _, basis = latent_distribution(torch.randn(50, 6, generator=generator()))
    gram = basis.T @ basis
    assert torch.allclose(gram, torch.diag(gram.diagonal()), atol=1e-5)
    assert (gram.diagonal().diff() <= 0).all()


def test_directions_without_variance_are_left_out() -> None:
    latents = torch.randn(50, 6, generator=generator())
    latents[:, 3:] = 1.0
    assert latent_distribution(latents)[1].shape == (6, 3)


def test_a_single_latent_has_a_mean_and_no_direction() -> None:
    mean, basis = latent_distribution(torch.ones(1, 4))
    assert torch.equal(mean, torch.ones(4))
    assert basis.shape == (4, 0)


# --- damage -------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.9999])
def test_a_truncated_file(saved: Path, share: float) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: int(share * len(content))])
    with pytest.raises(PriorError, match="damaged or incomplete"):
        load_prior(saved)


def test_one_changed_byte_of_a_tensor(saved: Path) -> None:
    content = bytearray(saved.read_bytes())
    content[-100] ^= 1
    saved.write_bytes(content)
    with pytest.raises(PriorError, match="changed after it was made"):
        load_prior(saved)


def test_a_missing_checksum(saved: Path) -> None:
    _with_metadata(saved, sha256=None)
    with pytest.raises(PriorError, match="checksum"):
        load_prior(saved)


def test_a_newer_format(saved: Path) -> None:
    _with_metadata(saved, format_version=str(FORMAT_VERSION + 1))
    with pytest.raises(PriorError, match=r"newer than this version can read.*update"):
        load_prior(saved)


@pytest.mark.parametrize("version", [None, "", "one", "-1"])
def test_no_format_version(saved: Path, version: str | None) -> None:
    _with_metadata(saved, format_version=version)
    with pytest.raises(PriorError, match="format version"):
        load_prior(saved)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_tensors_that_are_no_prior(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    path = tmp_path / "network.safetensors"
    save_file({"weight": torch.zeros(3)}, path, metadata=metadata)
    with pytest.raises(PriorError, match="not a shape prior"):
        load_prior(path)


@pytest.mark.parametrize(
    "settings",
    ["", "null", "[1]", "{}", '{"latent_size": 6}', '{"latent_size": 6, "hidden_sizes": []}',
     '{"latent_size": 7, "hidden_sizes": [16, 8]}', '{"latent_size": 6, "hidden_sizes": [16, 9]}',
     '{"latent_size": "6", "hidden_sizes": [16, 8]}', '{"latent_size": 6, "hidden_sizes": [16, -8]}'],
)  # fmt: skip
def test_settings_that_do_not_fit_the_weights(saved: Path, settings: str) -> None:
    _with_metadata(saved, decoder=settings)
    with pytest.raises(PriorError, match="inconsistent"):
        load_prior(saved)


def test_a_changed_card_is_noticed(saved: Path) -> None:
    _with_metadata(saved, card='{"licence": "anything goes"}', sha256=load_prior(saved).digest)
    with pytest.raises(PriorError, match="changed after it was made"):
        load_prior(saved)


@pytest.mark.parametrize("entry", ["name", "decoder", "template_radius", "card"])
def test_a_missing_entry(saved: Path, entry: str) -> None:
    _with_metadata(saved, **{entry: None})
    with pytest.raises(PriorError, match="inconsistent"):
        load_prior(saved)


@pytest.mark.parametrize("radius", ["wide", "nan", "inf", "0", "-0.1"])
def test_a_radius_that_is_none(saved: Path, radius: str) -> None:
    _with_metadata(saved, template_radius=radius)
    with pytest.raises(PriorError, match="inconsistent"):
        load_prior(saved)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_no_numbers(tmp_path: Path, value: float) -> None:
    prior = tiny_prior()
    known = replace(prior, known_space=prior.shape_space)
    prior.decoder.output.weight[0, 0] = value
    save_prior(tmp_path / "bad.safetensors", known)
    with pytest.raises(PriorError, match="inconsistent"):
        load_prior(tmp_path / "bad.safetensors")
    with pytest.raises(PriorError, match="diverged"):
        save_prior(tmp_path / "other.safetensors", replace(prior))
    assert not (tmp_path / "other.safetensors").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"latent_mean": torch.zeros(5)},
        {"latent_basis": torch.zeros(5, 3)},
        {"latent_basis": torch.zeros(6)},
        {"latents": torch.zeros(10, 5)},
        {"scales_mm": torch.zeros(10)},
        {"scales_mm": torch.ones(10, 2)},
    ],
)
def test_statistics_that_do_not_fit(tmp_path: Path, changes: dict[str, torch.Tensor]) -> None:
    path = _saved_with(tmp_path / "bad.safetensors", **changes)
    with pytest.raises(PriorError, match="inconsistent"):
        load_prior(path)


def test_a_missing_tensor(saved: Path) -> None:
    raw = saved.read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    metadata = json.loads(raw[8 : 8 + size])["__metadata__"]
    tensors = {name: value for name, value in load_file(saved).items() if name != "latents"}
    learnt = {name: value for name, value in tensors.items() if not name.startswith(PREFIX)}
    save_file(tensors, saved, metadata=metadata | {"sha256": prior_module._digest(learnt, metadata)})
    with pytest.raises(PriorError, match="inconsistent"):
        load_prior(saved)


def test_a_prior_without_its_shape_space_is_read(saved: Path) -> None:
    """Format 1 had none."""
    raw = saved.read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    metadata = json.loads(raw[8 : 8 + size])["__metadata__"] | {"format_version": "1"}
    tensors = {name: value for name, value in load_file(saved).items() if not name.startswith(PREFIX)}
    save_file(tensors, saved, metadata=metadata)
    loaded = load_prior(saved)
    assert loaded.known_space is None
    np.testing.assert_allclose(loaded.shape_space.mean, tiny_prior().shape_space.mean, atol=1e-6)


@pytest.mark.parametrize("name", ["mean", "modes", "mode_sizes", "latent_mean", "latent_modes", "latent_mode_sizes"])
@pytest.mark.parametrize("change", ["missing", "altered", "too short"])
def test_a_shape_space_that_is_not_as_it_was_made(saved: Path, name: str, change: str) -> None:
    raw = saved.read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    metadata = json.loads(raw[8 : 8 + size])["__metadata__"]
    tensors = load_file(saved)
    tensor = tensors.pop(PREFIX + name)
    if change == "altered":
        tensors[PREFIX + name] = tensor + 1
    elif change == "too short":
        tensors[PREFIX + name] = tensor[:-1].clone()
        space = {name: value for name, value in tensors.items() if name.startswith(PREFIX)}
        metadata["space_sha256"] = prior_module._digest(space, {})
    save_file(tensors, saved, metadata=metadata)
    with pytest.raises(PriorError, match="inconsistent" if change == "too short" else "changed"):
        load_prior(saved)


def test_tensors_of_an_unknown_kind(saved: Path) -> None:
    raw = saved.read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    metadata = json.loads(raw[8 : 8 + size])["__metadata__"]
    save_file({name: value.bfloat16() for name, value in load_file(saved).items()}, saved, metadata=metadata)
    with pytest.raises(PriorError):
        load_prior(saved)


class _Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("a pickle was run",))


def test_a_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    path = tmp_path / "evil.safetensors"
    torch.save({"format": "dalsrefine-prior", "bomb": _Bomb()}, path)
    with pytest.raises(PriorError, match="damaged or incomplete"):
        load_prior(path)


# --- writing ------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [OSError("disk full"), RuntimeError("no"), KeyboardInterrupt()])
def test_a_half_written_prior_never_appears(saved: Path, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()

    write_bytes = Path.write_bytes

    def stop_half_way(path: Path, data: bytes) -> int:
        write_bytes(path, data[: len(data) // 2])
        raise error

    monkeypatch.setattr(Path, "write_bytes", stop_half_way)
    with pytest.raises((OutputError, RuntimeError, KeyboardInterrupt)):
        save_prior(saved, tiny_prior(seed=1))
    with pytest.raises((OutputError, RuntimeError, KeyboardInterrupt)):
        save_prior(saved.with_name("new.safetensors"), tiny_prior(seed=1))
    assert [path.name for path in saved.parent.iterdir()] == ["blob.safetensors"]
    assert saved.read_bytes() == before


def test_a_default_prior_stays_below_eight_megabytes(tmp_path: Path) -> None:
    latents = torch.randn(400, 128, generator=generator())
    mean, basis = latent_distribution(latents)
    prior = ShapePrior("liver", Decoder(), latents, mean, basis, torch.full((400,), 120.0), 0.1)
    save_prior(tmp_path / "liver.safetensors", prior)
    assert (tmp_path / "liver.safetensors").stat().st_size < 8e6
