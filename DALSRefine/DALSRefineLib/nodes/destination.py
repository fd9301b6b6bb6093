"""Where a result belongs: the volume that is shown, and the segmentation on it."""

from __future__ import annotations

from typing import Any

from slicer import vtkMRMLSegmentationNode


def shown_volume(scene: Any) -> Any:
    """The volume in the background of the slice views; where none is shown, the only one of the scene; else None."""
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLSliceCompositeNode")):
        composite = scene.GetNthNodeByClass(index, "vtkMRMLSliceCompositeNode")
        volume = scene.GetNodeByID(composite.GetBackgroundVolumeID() or "")
        if _has_image(volume):
            return volume
    volumes = [
        scene.GetNthNodeByClass(index, "vtkMRMLScalarVolumeNode")
        for index in range(scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode"))
    ]
    volumes = [volume for volume in volumes if _has_image(volume) and not volume.IsA("vtkMRMLLabelMapVolumeNode")]
    return volumes[0] if len(volumes) == 1 else None


def segmentation_of(scene: Any, volume: Any) -> Any:
    """The segmentation whose geometry is that of a volume; the first of several; None where there is none."""
    if volume is None:
        return None
    role = vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")):
        node = scene.GetNthNodeByClass(index, "vtkMRMLSegmentationNode")
        if not node.GetHideFromEditors() and node.GetNodeReference(role) is volume:
            return node
    return None


def _has_image(node: Any) -> bool:
    return node is not None and node.IsA("vtkMRMLVolumeNode") and node.GetImageData() is not None
