"""Training state on disk, as safetensors."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from dals.errors import DatasetError
from dals.io.atomic import atomic_path, remove_leftovers
from dals.training.averaging import RunningMean

_FORMAT = "dalsrefine-checkpoint-2"


@dataclass
class TrainingProgress:
    """The progress of a training run.

    Attributes
    ----------
    step, epoch : int
        Completed steps and epochs.
    seconds : float
        Training time over all runs.
    best_loss : float
        Lowest loss of an epoch, for the plateau schedule.
    stale_epochs : int
        Epochs since `best_loss`.
    learning_rate : float
    """

    step: int = 0
    epoch: int = 0
    seconds: float = 0.0
    best_loss: float = float("inf")
    stale_epochs: int = 0
    learning_rate: float = 0.0


def save_checkpoint(
    path: Path,
    *,
    decoder: nn.Module,
    latents: nn.Parameter,
    optimiser: torch.optim.Adam,
    progress: TrainingProgress,
    key: str,
    mean: RunningMean | None = None,
) -> None:
    """Write weights, latents, their mean, the state of Adam and the progress; `key` identifies data and settings."""
    tensors = {f"decoder.{k}": v for k, v in decoder.state_dict().items()} | {"latents": latents.data}
    for index, parameter in enumerate(_parameters(optimiser)):
        for name, value in optimiser.state.get(parameter, {}).items():
            tensors[f"adam.{index}.{name}"] = torch.as_tensor(value)
    if mean is not None:
        tensors |= {f"mean.{index}": value for index, value in enumerate(mean.values)}
    contiguous = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    metadata = {"format": _FORMAT, "key": key, "progress": json.dumps(progress.__dict__)}
    remove_leftovers(path)
    with atomic_path(path) as temporary:
        # save_file would use its own temporary files, which a killed process leaves behind.
        temporary.write_bytes(save(contiguous, metadata=metadata))


def load_checkpoint(
    path: Path,
    *,
    decoder: nn.Module,
    latents: nn.Parameter,
    optimiser: torch.optim.Adam,
    key: str,
    mean: RunningMean | None = None,
) -> TrainingProgress:
    """Restore what `save_checkpoint` wrote.

    Raises
    ------
    DatasetError
        If the file is no checkpoint, or of other data or settings.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except Exception as error:
        raise DatasetError(f"The checkpoint {path} cannot be read; delete it to start the training anew.") from error
    if metadata.get("format") != _FORMAT or metadata.get("key") != key:
        raise DatasetError(
            f"The checkpoint {path} belongs to another data set or to other settings; choose a new output name "
            "or delete it to start anew."
        )
    decoder.load_state_dict({k.removeprefix("decoder."): v for k, v in tensors.items() if k.startswith("decoder.")})
    latents.data.copy_(tensors["latents"])
    if mean is not None:
        mean.restore([tensors[f"mean.{index}"] for index in range(len(mean.values))])
    for index, parameter in enumerate(_parameters(optimiser)):
        state = {k.rsplit(".", 1)[1]: v for k, v in tensors.items() if k.startswith(f"adam.{index}.")}
        if state:
            optimiser.state[parameter] = {k: _place(k, v, parameter) for k, v in state.items()}
    return TrainingProgress(**json.loads(metadata["progress"]))


def _parameters(optimiser: torch.optim.Adam) -> list[Tensor]:
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]


def _place(name: str, value: Tensor, parameter: Tensor) -> Tensor:
    """The moments of Adam are on the device of their parameter; the step counter only on CUDA, where Adam is fused."""
    on_device = name != "step" or parameter.device.type == "cuda"
    return value.to(parameter.device) if on_device else value
