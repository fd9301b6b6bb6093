"""Choosing the compute device."""

from __future__ import annotations

import torch

from dals.errors import DeviceError

CHOICES = ("auto", "cpu", "cuda", "mps")


def widest_float(device: torch.device) -> torch.dtype:
    """float64, or float32 on Apple's MPS, which has no float64."""
    return torch.float32 if device.type == "mps" else torch.float64


def choose_device(name: str = "auto") -> torch.device:
    """The device of this name; "auto" is CUDA if available, else the CPU.

    "auto" never picks Apple's MPS: in most versions of torch it lacks sparse tensors and 3D `grid_sample`, and fits
    fail.

    Raises
    ------
    DeviceError
        If the device does not exist.
    """
    kind = name.split(":", maxsplit=1)[0]
    if kind not in CHOICES:
        raise DeviceError(f'There is no device "{name}"; choose one of {", ".join(CHOICES)}.')
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if cuda else "cpu")
    if kind == "cuda" and not cuda:
        raise DeviceError("CUDA was asked for, but no CUDA device is available; choose auto or cpu.")
    if kind == "mps" and not mps:
        raise DeviceError("MPS was asked for, but it is not available on this machine; choose auto or cpu.")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f'There is no device "{name}"; choose one of {", ".join(CHOICES)}.') from error
    if kind == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(f'There is no device "{name}"; this machine has {torch.cuda.device_count()} CUDA device(s).')
    return device
