"""Choosing the device by name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dals.errors import DeviceError
from dals.ops.device import choose_device

PACKAGE = Path(__file__).resolve().parents[3] / "DALSRefine"


def _has(monkeypatch: pytest.MonkeyPatch, *, cuda: int = 0, mps: bool = False) -> None:
    """Pretend that the machine has these accelerators."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(("cuda", "mps", "expected"), [(1, True, "cuda"), (0, True, "cpu"), (0, False, "cpu")])
def test_auto_takes_what_can_do_every_fit(cuda: int, mps: bool, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _has(monkeypatch, cuda=cuda, mps=mps)
    assert choose_device() == torch.device(expected)


def test_the_processor_is_always_there(monkeypatch: pytest.MonkeyPatch) -> None:
    _has(monkeypatch, cuda=1)
    assert choose_device("cpu") == torch.device("cpu")


def test_mps_has_to_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    _has(monkeypatch, mps=True)
    assert choose_device("mps") == torch.device("mps")


@pytest.mark.parametrize(("device", "expected"), [("mps", "1"), ("auto", None), ("cpu", None)])
def test_the_processor_helps_out_where_mps_is_asked_for(device: str, expected: str | None, tmp_path: Path) -> None:
    """Torch looks for the variable while it is imported, which a process of its own has not done yet."""
    code = f"""
import os, sys
from dals.cli import main, refine
refine.run = lambda options: 0 if "torch" not in sys.modules else 1
main(["refine", "--points", "a.ply", "--device", "{device}"]) == 0 or sys.exit(1)
print(os.environ.get("PYTORCH_ENABLE_MPS_FALLBACK"))
"""
    environment = {key: value for key, value in os.environ.items() if key != "PYTORCH_ENABLE_MPS_FALLBACK"}
    environment["PYTHONPATH"] = str(PACKAGE)
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=False, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, str(expected)), done.stderr


def test_a_numbered_device(monkeypatch: pytest.MonkeyPatch) -> None:
    _has(monkeypatch, cuda=2)
    assert choose_device("cuda:1") == torch.device("cuda", 1)


@pytest.mark.parametrize(("name", "message"), [("cuda", "CUDA"), ("cuda:0", "CUDA"), ("mps", "MPS")])
def test_an_absent_device_is_refused(name: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _has(monkeypatch)
    with pytest.raises(DeviceError, match=f"{message}.*choose auto or cpu"):
        choose_device(name)


@pytest.mark.parametrize("name", ["gpu", "", "auto:1", "cuda:x", "cuda:-1", "cuda:2", "cpu:"])
def test_a_device_that_does_not_exist_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _has(monkeypatch, cuda=2)
    with pytest.raises(DeviceError, match=f'no device "{name}"'):
        choose_device(name)
