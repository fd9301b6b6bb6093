"""Results as new segments: of which segmentation, on which grid. For Slicer only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import slicer

from dals.errors import InputError, collected_warnings
from dals.geometry.label_map import LabelMap
from DALSRefineLib.i18n import tr as _
from DALSRefineLib.nodes.destination import segmentation_of, shown_volume
from DALSRefineLib.nodes.inputs import grid_of_volume, segment_label_map
from DALSRefineLib.nodes.outputs import mesh_of_model, new_segmentation, write_segment
from DALSRefineLib.panel.fit_options import CONTOURS, SEGMENTATION
from DALSRefineLib.priors import Organ


class SegmentExport:
    """Adds surfaces to the segmentation where a user expects them.

    Attributes
    ----------
    parameters
        The parameter node that is shown, or None.
    """

    def __init__(self) -> None:
        self.parameters: Any = None

    @property
    def volume(self) -> Any:
        """The chosen volume, or the one that is shown; None where there is none."""
        return self.parameters.referenceVolume or shown_volume(slicer.mrmlScene)

    @property
    def obstacle(self) -> str:
        """Why no segment can be added, or an empty text."""
        p = self.parameters
        known = p is not None and (self.volume is not None or (p.segmentation is not None and p.segment))
        return "" if known else _("Choose a volume: the new segment takes its grid.")

    @property
    def destination_name(self) -> str:
        """The segmentation that receives segments, for people."""
        node = None if self.parameters is None else self._destination()
        return _("a new segmentation") if node is None else f"'{node.GetName()}'"

    def add(self, results: Sequence[tuple[Any, Organ, LabelMap | None]]) -> None:
        """Add models as segments, each with a layer of its own.

        Parameters
        ----------
        results : sequence of (vtkMRMLModelNode, Organ, LabelMap or None)
            With the exact voxels, where they are known.
        """
        grid, segmentation = self._grid(), self._destination()
        if segmentation is None:
            volume = self.volume
            segmentation = new_segmentation(slicer.mrmlScene, volume or grid, name=_("DALSRefine segmentation"))
        self.parameters.resultSegmentation = segmentation
        with collected_warnings() as told:
            for model, organ, label_map in results:
                write_segment(
                    mesh_of_model(model),
                    segmentation,
                    grid=grid,
                    label_map=label_map,
                    name=organ.name,
                    colour=organ.colour,
                    terminology=organ.terminology,
                )
        if told:
            slicer.util.warningDisplay(" ".join(told), windowTitle="DALSRefine")

    def _destination(self) -> Any:
        """The segmentation that receives new segments; None for a new one."""
        p = self.parameters
        if p.resultSegmentation is not None:
            return p.resultSegmentation
        if p.source == SEGMENTATION and p.segmentation is not None:
            return p.segmentation
        if p.source == CONTOURS and p.usePainted and p.paintedSegmentation is not None:
            return p.paintedSegmentation
        return segmentation_of(slicer.mrmlScene, self.volume)

    def _grid(self) -> Any:
        volume, segmentation = self.volume, self.parameters.segmentation
        if volume is not None:
            return grid_of_volume(volume)
        if segmentation is not None and self.parameters.segment:
            return segment_label_map(segmentation, self.parameters.segment).empty_like()
        raise InputError(self.obstacle)
