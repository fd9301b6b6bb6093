"""Label and probability maps of the validation and test images, on the images' own grids."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import SimpleITK
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from benchmarks.segmentation.cases import CERTAIN, FOLDER, image_path, label_path, names_of, probability_path, read_case
from benchmarks.segmentation.networks import make_network
from benchmarks.segmentation.train import canvas_margins, on_canvas
from dals.io.atomic import atomic_path


def predict(backbone: str, weights: Path, *, folder: Path = FOLDER) -> int:
    """Segment the validation and test images that are older than the weights or not there.

    Parameters
    ----------
    backbone : str
        A key of NETWORKS, or "nnunet".
    weights : Path
        The trained network's file.
    folder : Path
        Of the benchmark's results.

    Returns
    -------
    int
        How many images were segmented.
    """

    def files(name: str) -> tuple[Path, Path]:
        return label_path(backbone, name, folder=folder), probability_path(backbone, name, folder=folder)

    names = [name for name in (*names_of("validation"), *names_of("test")) if not _are_current(files(name), weights)]
    if not names:
        return 0
    files(names[0])[0].parent.mkdir(parents=True, exist_ok=True)
    for name, probability in zip(names, _probabilities(backbone, names, weights), strict=True):
        image = SimpleITK.ReadImage(image_path(name))
        label, certainty = files(name)
        _write(label, probability > 0.5, image)
        _write(certainty, np.rint(CERTAIN * probability), image)
    return len(names)


def _are_current(made: tuple[Path, ...], weights: Path) -> bool:
    return all(path.exists() and path.stat().st_mtime >= weights.stat().st_mtime for path in made)


def _probabilities(backbone: str, names: list[str], weights: Path) -> Iterator[NDArray[np.float32]]:
    if backbone == "nnunet":
        from benchmarks.segmentation.nnunet import nnunet_probabilities

        yield from nnunet_probabilities(names, weights)
        return
    torch.set_num_threads(1)
    network = make_network(backbone, seed=0)
    network.load_state_dict(load_file(weights))
    network.eval()
    for name in names:
        image = read_case(name).image
        with torch.no_grad():
            whole = network(torch.from_numpy(on_canvas(image))[None, None]).sigmoid()[0, 0].numpy()
        inside = tuple(
            slice(low, low + n) for (low, _), n in zip(canvas_margins(image.shape), image.shape, strict=True)
        )
        yield whole[inside]


def _write(path: Path, array: NDArray[np.generic], like: SimpleITK.Image) -> None:
    image = SimpleITK.GetImageFromArray(array.astype(np.uint8))
    image.CopyInformation(like)
    with atomic_path(path) as temporary:
        SimpleITK.WriteImage(image, temporary, useCompression=True)
