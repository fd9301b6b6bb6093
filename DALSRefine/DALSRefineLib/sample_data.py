"""The synthetic liver of the extension, for the Sample Data module and the self test. For Slicer only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer

from dals.errors import InputError
from DALSRefineLib.i18n import tr as _

CATEGORY, NAME = "DALSRefine", "SyntheticLiver"
PLANES = ("axial", "sagittal", "coronal")
_VOLUME, _NETWORK = f"{NAME}-CT.nrrd", f"{NAME}-network.seg.nrrd"
_CURVES = tuple(f"{NAME}-{plane}.mrk.json" for plane in PLANES)
_FILES = (_VOLUME, *_CURVES, _NETWORK)


def sample_folder() -> Path:
    """The folder of the sample files, in an installed module or in the source tree.

    Raises
    ------
    InputError
        If they are not there.
    """
    here = Path(__file__).resolve().parent
    for resources in (here.parent / "Resources", here.parents[1] / "Resources"):
        if (resources / "SampleData" / _VOLUME).is_file():
            return resources / "SampleData"
    raise InputError(_("The sample data of DALSRefine are missing; please install the extension again."))


def register() -> None:
    """Offer the sample in the Sample Data module; nothing is loaded yet."""
    import SampleData

    folder, names = sample_folder(), list(_FILES)
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=NAME,
        # The downloader makes these unused, but Slicer needs lists of the same length.
        uris=[(folder / name).as_uri() for name in names],
        fileNames=names,
        nodeNames=[name.split(".")[0] for name in names],
        thumbnailFileName=str(folder / f"{NAME}.png"),
        customDownloader=lambda _source: load(),
    )


def load() -> list[Any]:
    """Load and return, in this order, the volume, the three contours and the network's segmentation."""
    folder = sample_folder()
    volume = slicer.util.loadVolume(str(folder / _VOLUME))
    curves = [slicer.util.loadMarkups(str(folder / name)) for name in _CURVES]
    segmentation = slicer.util.loadSegmentation(str(folder / _NETWORK))
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    return [volume, *curves, segmentation]
