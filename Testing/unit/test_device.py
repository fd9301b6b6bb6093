"""Choosing the device by name."""

from __future__ import annotations

import pytest
import torch

from dals.device import choose_device
from dals.errors import DeviceError


def _has(monkeypatch: pytest.MonkeyPatch, *, cuda: int = 0, mps: bool = False) -> None:
    """Pretend that the machine has these accelerators."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(("cuda", "mps", "expected"), [(1, True, "cuda"), (0, True, "mps"), (0, False, "cpu")])
def test_auto_takes_the_fastest(cuda: int, mps: bool, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _has(monkeypatch, cuda=cuda, mps=mps)
    assert choose_device() == torch.device(expected)


def test_the_processor_is_always_there(monkeypatch: pytest.MonkeyPatch) -> None:
    _has(monkeypatch, cuda=1)
    assert choose_device("cpu") == torch.device("cpu")


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
