"""The panel's choices, saved with the scene. For Slicer only: slicer-core has no `parameterNodeWrapper`."""

from typing import Annotated, Any, Union

from slicer import vtkMRMLMarkupsFiducialNode, vtkMRMLModelNode, vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper

from DALSRefineLib.panel.fit_options import (
    CONTOURS,
    DEVICES,
    EDITS,
    LATENTS,
    PER_VERTEX,
    SIDES,
    SOURCES,
    default_options,
)

_DEFAULTS = default_options(CONTOURS)


@parameterNodeWrapper
class Parameters:
    """Every choice in the panel except the curves, which `ContourList` keeps on the same node."""

    prior: str = "liver"
    side: Annotated[str, Choice(list(SIDES))] = SIDES[0]
    source: Annotated[str, Choice(list(SOURCES))] = CONTOURS
    usePainted: bool = False
    paintedSegmentation: vtkMRMLSegmentationNode
    paintedSegment: str
    segmentation: vtkMRMLSegmentationNode
    segment: str
    component: str  # text of a `ComponentChoice`; empty where the user has not chosen
    otherOrgans: str  # JSON: names of priors by the IDs of segments that are refined together with `segment`
    edits: Annotated[str, Choice(list(EDITS))] = EDITS[0]
    complete: bool = False
    probabilities: vtkMRMLScalarVolumeNode
    points: Union[vtkMRMLMarkupsFiducialNode, vtkMRMLModelNode, None]  # None lets the user unset it
    freehand: bool = False
    obliqueSuggestion: bool = False
    autoRefine: bool = True
    useImage: bool = True
    device: Annotated[str, Choice(list(DEVICES))] = DEVICES[0]
    iterations: Annotated[int, WithinRange(5, 5000)] = _DEFAULTS.iterations
    lambdaReg: Annotated[float, WithinRange(0.0, 10.0)] = _DEFAULTS.lambda_reg
    lambdaDir: Annotated[float, WithinRange(0.0, 1000.0)] = _DEFAULTS.lambda_dir
    latents: Annotated[str, Choice(list(LATENTS))] = PER_VERTEX
    level: Annotated[int, WithinRange(2, 6)] = _DEFAULTS.level
    remesh: bool = False
    seed: Annotated[int, WithinRange(0, 1_000_000)] = 0
    result: vtkMRMLModelNode
    resultSegmentation: vtkMRMLSegmentationNode
    referenceVolume: vtkMRMLScalarVolumeNode


def bound_widgets(ui: Any) -> dict[str, Any]:
    """Widgets by the names of the parameters that the form binds them to.

    `connectGui` finds them too, but returns no tag to disconnect them (Slicer issue 7547): the user's choices would
    still reach a parameter node that is no longer shown.
    """
    bound = ((widget.property("SlicerParameterName"), widget) for widget in vars(ui).values())
    return {name: widget for name, widget in bound if name}
