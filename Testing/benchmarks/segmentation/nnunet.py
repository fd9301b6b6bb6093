"""nnU-Net on the sparse slices: `nnunetv2` itself, from its fingerprint and plans to its predictor.

Differences to its defaults, for one core and minutes instead of a GPU and hours: half the features, and the short
schedule of `nnunet_trainer`. Unlabelled voxels have its ignore label.

It is driven from Python and not by its commands, which look for classes by importing every
trainer there is, also those that need further packages.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
import torch
from numpy.typing import NDArray

from benchmarks.segmentation.cases import FOLDER, image_path, names_of, read_case
from benchmarks.segmentation.slices import BACKGROUND, ORGAN, UNLABELLED, sparse_annotation

DATASET_ID, DATASET = 4, "Dataset004_SparseHippocampus"
CONFIGURATION, PLANS = "3d_fullres", "nnUNetPlans"
FEATURES = 16
"""Of the first stage; 32 by default, which takes four times as long."""
FOLD = 0


def train_nnunet(*, minutes: float, folder: Path = FOLDER) -> Path:
    """Convert, plan, preprocess and train what is not there yet; an interrupted training goes on.

    Parameters
    ----------
    minutes : float
        Of one core that is otherwise idle: about that many are planned, by a fixed number of epochs.
    folder : Path
        What nnU-Net writes goes to `nnunet` in it. Its checkpoints are pickles; only those of this folder are read.

    Returns
    -------
    Path
        Of the final checkpoint.
    """
    folder = folder / "nnunet"
    _point_to(folder)
    if not (folder / "raw" / DATASET / "dataset.json").exists():
        _convert(folder / "raw" / DATASET)
    if not (folder / "preprocessed" / DATASET / "splits_final.json").exists():
        _plan_and_preprocess(folder / "preprocessed" / DATASET)
    trainer = _trainer(folder, minutes=minutes)
    output = Path(trainer.output_folder)
    final = output / "checkpoint_final.pth"
    if not final.exists():
        if (output / "checkpoint_latest.pth").exists():
            trainer.load_checkpoint(str(output / "checkpoint_latest.pth"))
        trainer.run_training()
    return final


def nnunet_probabilities(names: list[str], checkpoint: Path) -> Iterator[NDArray[np.float32]]:
    """Probability of the organ in each voxel of the named images, (K, J, I) each.

    Parameters
    ----------
    names : list of str
    checkpoint : Path
        What `train_nnunet` returned.
    """
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    folder = checkpoint.parents[4]
    _point_to(folder)
    trainer = _trainer(folder, minutes=0)
    trainer.load_checkpoint(str(checkpoint))
    trainer.set_deep_supervision_enabled(False)
    trainer.network.eval()
    predictor = nnUNetPredictor(
        use_mirroring=False, perform_everything_on_device=False, device=torch.device("cpu"), allow_tqdm=False
    )
    predictor.manual_initialization(
        trainer.network,
        trainer.plans_manager,
        trainer.configuration_manager,
        [trainer.network.state_dict()],
        trainer.dataset_json,
        type(trainer).__name__,
        None,
    )
    for name in names:
        image = SimpleITK.ReadImage(image_path(name), SimpleITK.sitkFloat32)
        array = SimpleITK.GetArrayFromImage(image)[None]
        properties = {"spacing": list(image.GetSpacing()[::-1])}
        yield predictor.predict_single_npy_array(array, properties, None, None, True)[1][ORGAN]


def _point_to(folder: Path) -> None:
    """nnU-Net takes its folders and the number of its processes from the environment."""
    for name in ("raw", "preprocessed", "results"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        os.environ[f"nnUNet_{name}"] = str(folder / name)
    os.environ["nnUNet_def_n_proc"] = "1"  # noqa: SIM112 - so it is named
    os.environ["nnUNet_n_proc_DA"] = "1"  # noqa: SIM112
    torch.set_num_threads(1)


def _convert(folder: Path) -> None:
    """Write the training images and sparse labels as a raw data set of nnU-Net."""
    from nnunetv2.dataset_conversion.generate_dataset_json import generate_dataset_json

    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    names = [*names_of("training"), *names_of("validation")]
    for name in names:
        image, case = SimpleITK.ReadImage(image_path(name), SimpleITK.sitkFloat32), read_case(name)
        labels = SimpleITK.GetImageFromArray(sparse_annotation(case.truth, name))
        labels.CopyInformation(image)
        SimpleITK.WriteImage(image, folder / "imagesTr" / f"{name}_0000.nii.gz")
        SimpleITK.WriteImage(labels, folder / "labelsTr" / f"{name}.nii.gz")
    values = {"background": BACKGROUND, "hippocampus": ORGAN, "ignore": UNLABELLED}
    generate_dataset_json(
        str(folder), {0: "MRI"}, values, len(names), ".nii.gz", license="CC BY-SA 4.0", converted_by=""
    )


def _plan_and_preprocess(folder: Path) -> None:
    from nnunetv2.experiment_planning import plan_and_preprocess_api as api
    from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner

    class SmallPlanner(ExperimentPlanner):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.UNet_base_num_features = FEATURES

    api.extract_fingerprint_dataset(DATASET_ID, num_processes=1, check_dataset_integrity=False, show_progress_bar=False)
    api.plan_experiment_dataset(DATASET_ID, SmallPlanner)
    api.preprocess_dataset(DATASET_ID, PLANS, (CONFIGURATION,), num_processes=(1,), show_progress_bar=False)
    split = {"train": names_of("training"), "val": names_of("validation")}
    (folder / "splits_final.json").write_text(json.dumps([split]), encoding="utf-8")


def _trainer(folder: Path, *, minutes: float) -> Any:
    from benchmarks.segmentation.nnunet_trainer import ShortTrainer

    preprocessed = folder / "preprocessed" / DATASET
    plans = json.loads((preprocessed / f"{PLANS}.json").read_text(encoding="utf-8"))
    dataset = json.loads((preprocessed / "dataset.json").read_text(encoding="utf-8"))
    os.environ["nnUNet_n_proc_DA"] = "0"  # noqa: SIM112 - in this process; the planner takes it for torch's threads
    trainer = ShortTrainer({**plans, "continue_training": False}, CONFIGURATION, FOLD, dataset, torch.device("cpu"))
    trainer.plan_minutes(minutes)
    return trainer
