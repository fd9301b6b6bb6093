"""From segments to what `dals` observes in them, in world coordinates."""

from __future__ import annotations

import warnings
from collections.abc import Hashable
from typing import Any

from dals.errors import DalsWarning, InputError
from dals.geometry.components import ComponentChoice, Components
from dals.geometry.label_map import LabelMap
from dals.observations import PlanarContours, Segmentation
from dals.observations.painted_slices import contours_from_painted_slices
from dals.observations.segmentation_checks import ComponentOption, check_segmentation, component_options
from DALSRefineLib.nodes.label_map_nodes import in_world, local_label_map, segment_label_map
from DALSRefineLib.nodes.transforms import matrix_to_world
from DALSRefineLib.nodes.volume_nodes import probabilities_of_volume


def segmentation_from_node(
    segmentation_node: Any,
    segment_id: str,
    *,
    component: ComponentChoice | None = None,
    probabilities_node: Any = None,
) -> Segmentation:
    """A segment as a full segmentation of the organ.

    Its `notices` tell of several large components of which none is chosen, of a component that the border of the
    segmentation's reference geometry cuts, and of doubtful probabilities.

    Parameters
    ----------
    segmentation_node : vtkMRMLSegmentationNode
    segment_id : str
    component : "largest", "left", "right", int or None
        The part to fit: left and right are the patient's, a number is a rank by volume. None takes the largest.
    probabilities_node : vtkMRMLScalarVolumeNode, optional
        A network's probabilities of the organ, on any grid.

    Returns
    -------
    Segmentation
        World RAS millimetres.

    Raises
    ------
    InputError
        As `segment_label_map` and `probabilities_of_volume`, and if there is no such component.
    """
    local = local_label_map(segmentation_node, segment_id)
    label_map = in_world(local, segmentation_node)
    if matrix_to_world(segmentation_node) is None:
        _tell_of_border(local)  # the resampled grid is larger than the segment and has no border that cuts
    probabilities = None if probabilities_node is None else probabilities_of_volume(probabilities_node, label_map)
    return Segmentation(label_map, probabilities, component)


def contours_from_painted_segment(segmentation_node: Any, segment_id: str) -> PlanarContours:
    """The outlines of a segment that was painted on a few slices, in world coordinates.

    Raises
    ------
    InputError
        As `segment_label_map`, and if the segment is painted on no slice or on almost all, or its
        contours are not on at least two planes or contradict each other.
    """
    return contours_from_painted_slices(segment_label_map(segmentation_node, segment_id))


def component_options_of(segmentation_node: Any, segment_id: str) -> tuple[ComponentOption, ...]:
    """The large components of a segment that a user can choose between; none where there are not several."""
    try:
        return component_options(Components(segment_label_map(segmentation_node, segment_id)))
    except InputError:  # a fit will say so
        return ()


def segments_of(segmentation_node: Any) -> list[tuple[str, str]]:
    """IDs and names of a segmentation's segments; none where there is no segmentation."""
    if segmentation_node is None:
        return []
    segmentation = segmentation_node.GetSegmentation()
    return [(each, segmentation.GetSegment(each).GetName()) for each in segmentation.GetSegmentIDs()]


def state_of_segment(segmentation_node: Any, segment_id: str) -> Hashable:
    """What differs once a segment, or its place in the world, has changed; None where there is no segment."""
    if segmentation_node is None or not segment_id:
        return None
    segmentation = segmentation_node.GetSegmentation()
    segment = segmentation.GetSegment(segment_id)
    if segment is None:
        return None
    voxels = segment.GetRepresentation(segmentation.GetSourceRepresentationName())
    transform = segmentation_node.GetParentTransformNode()
    return (
        segmentation_node.GetID(),
        segment_id,
        None if voxels is None else voxels.GetMTime(),  # that of the segment stays where it is painted on
        None if transform is None else (transform.GetID(), transform.GetTransformToWorldMTime()),
    )


def _tell_of_border(local: LabelMap) -> None:
    """Warn (`DalsWarning`) of a border that only the segment's own grid shows; the largest component stands for all."""
    for finding in check_segmentation(local, component="largest"):
        if finding.kind == "cut":
            warnings.warn(finding.message, DalsWarning, stacklevel=3)
