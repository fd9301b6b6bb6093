"""The state of an unfinished training on disk; safetensors, never unpickled."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel

from dals.errors import DatasetError
from dals.io.atomic import atomic_path


@dataclass
class TrainingState:
    """What a training changes.

    Attributes
    ----------
    network : nn.Module
    averaged : AveragedModel
        Moving average of its weights.
    optimiser : torch.optim.AdamW
    step : int
        Completed steps.
    seconds : float
        Processor time over all starts.
    best : float
        Lowest validation loss.
    """

    network: nn.Module
    averaged: AveragedModel
    optimiser: torch.optim.AdamW
    step: int = 0
    seconds: float = 0.0
    best: float = float("inf")


def save_state(path: Path, state: TrainingState, *, key: str) -> None:
    """Write weights, their average, AdamW's moments and the progress; `key` names the settings."""
    tensors = {f"network.{name}": value for name, value in state.network.state_dict().items()}
    tensors |= {f"averaged.{name}": value for name, value in state.averaged.state_dict().items()}
    for index, moments in state.optimiser.state_dict()["state"].items():
        tensors |= {f"adam.{index}.{name}": torch.as_tensor(value) for name, value in moments.items()}
    progress = json.dumps({"step": state.step, "seconds": state.seconds, "best": state.best})
    with atomic_path(path) as temporary:
        # Cloned, because safetensors refuses tensors that share memory.
        save_file(
            {k: v.clone().contiguous() for k, v in tensors.items()},
            temporary,
            metadata={"key": key, "progress": progress},
        )


def load_state(path: Path, state: TrainingState, *, key: str) -> None:
    """Restore into `state` what `save_state` wrote.

    Raises
    ------
    DatasetError
        If the file belongs to another training.
    """
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if metadata.get("key") != key:
        raise DatasetError(f"The file {path} belongs to another training; delete it to start anew.")
    state.network.load_state_dict(_part(tensors, "network."))
    state.averaged.load_state_dict(_part(tensors, "averaged."))
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in _part(tensors, "adam.").items():
        index, moment = name.split(".")
        moments.setdefault(int(index), {})[moment] = value
    state.optimiser.load_state_dict({**state.optimiser.state_dict(), "state": moments})
    for name, value in json.loads(metadata["progress"]).items():
        setattr(state, name, value)


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
