"""Finding priors, and reading what they say of themselves without torch."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import save_file
from shapes import tiny_prior

from dals.errors import PriorError
from dals.model import prior_files
from dals.model.prior import load_prior, prior_digest, save_prior
from dals.model.prior_files import available_priors, read_header


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "blob.safetensors"
    save_prior(path, replace(tiny_prior(), card={"licence": "CC0", "shapes": 3}))
    return path


def test_priors_are_found_by_name_in_the_named_folders(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    save_prior(other / "blob.safetensors", tiny_prior(seed=1))
    save_prior(other / "pear.safetensors", tiny_prior(seed=2))
    monkeypatch.setenv("DALS_PRIORS", os.pathsep.join(map(str, (tmp_path, tmp_path / "missing", other))))
    assert available_priors()["blob"] == saved  # the first folder wins
    assert load_prior("blob").digest == prior_digest(tiny_prior())
    assert load_prior("pear").digest == prior_digest(tiny_prior(seed=2))


def test_an_unknown_name_lists_those_there_are(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prior_files, "prior_folders", lambda: [saved.parent])
    with pytest.raises(PriorError, match='named "spleen"; available: blob'):
        load_prior("spleen")


def test_no_prior_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prior_files, "prior_folders", list)
    with pytest.raises(PriorError, match="available: none"):
        load_prior("liver")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(PriorError, match="no prior file"):
        load_prior(tmp_path / "gone.safetensors")


def test_the_header_tells_name_and_card(saved: Path) -> None:
    header = read_header(saved)
    assert (header.path, header.name) == (saved, "blob")
    assert header.card == {"licence": "CC0", "shapes": 3}


@pytest.mark.parametrize(
    ("said", "side"), [("left", "left"), ("both", "both"), (None, None), ("upper", None), ([], None)]
)
def test_the_side_of_the_body_is_a_field_of_the_card(tmp_path: Path, said: object, side: str | None) -> None:
    path = tmp_path / "ear.safetensors"
    save_prior(path, replace(tiny_prior(), card={"side": said}))
    assert read_header(path).side == load_prior(path).side == side
    assert load_prior(path).digest == prior_digest(tiny_prior()), "the card is no part of the digest"


def test_the_header_is_read_without_torch(saved: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from dals.model.prior_files import available_priors, read_header;"
        "print(read_header(Path(sys.argv[1])).name, sorted(available_priors()));"
        "assert not {'torch', 'safetensors', 'scipy'} & set(sys.modules)"
    )
    package = Path(prior_files.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code, str(saved)], cwd=package, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("blob ")
    assert "'liver'" in done.stdout


@pytest.mark.parametrize(
    "content", [b"", b"\x05", b"\xff" * 40, b"\x02" + 7 * b"\0" + b"[]", b"\x02" + 7 * b"\0" + b"{}"]
)
def test_the_header_of_anything_else_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.safetensors"
    path.write_bytes(content)
    with pytest.raises(PriorError, match=r"damaged or incomplete|not a shape prior"):
        read_header(path)


def test_the_header_of_other_weights_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "network.safetensors"
    save_file({"latents": tiny_prior().latents}, path)
    with pytest.raises(PriorError, match="not a shape prior"):
        read_header(path)
