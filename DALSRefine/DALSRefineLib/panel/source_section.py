"""The panel's Source section: contours, a segmentation or points. For Slicer only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import slicer

from DALSRefineLib.i18n import tr as _
from DALSRefineLib.nodes.contour_list import ContourList
from DALSRefineLib.nodes.drawing import PlaneKeeper
from DALSRefineLib.nodes.inputs import (
    contours_from_curves,
    contours_from_painted_segment,
    points_from_node,
    segmentation_from_node,
)
from DALSRefineLib.nodes.segment_observations import segments_of
from DALSRefineLib.nodes.surface_contours import accept, is_proposed
from DALSRefineLib.nodes.watching import ChangeWatcher
from DALSRefineLib.panel.component_chooser import ComponentChooser
from DALSRefineLib.panel.contour_table import ContourTable
from DALSRefineLib.panel.drawing_section import DrawingSection
from DALSRefineLib.panel.fit_options import CONTOURS, EDITS, POINTS, SEGMENTATION, SOURCES
from DALSRefineLib.panel.organ_table import OrganTable, read_choice, written_choice

_SELECTORS = {  # widget: parameters for the node and for the segment
    "segmentSelector": ("segmentation", "segment"),
    "paintedSegmentSelector": ("paintedSegmentation", "paintedSegment"),
}


class SourceSection:
    """Lists contours, and makes the observation of the chosen source.

    Parameters
    ----------
    ui
        The panel's widgets.
    on_source : callable
        Called with the source before and after when the user changes the tab.
    guarded : callable
        Runs a function and shows its errors.

    Attributes
    ----------
    priors : mapping
        What each available prior is called, by its name.
    """

    priors: Mapping[str, str]

    def __init__(
        self, ui: Any, on_source: Callable[[str, str], None], guarded: Callable[[Callable[[], None]], None]
    ) -> None:
        self._ui, self._on_source, self._guarded = ui, on_source, guarded
        self._parameters: Any = None
        self._contours: ContourList | None = None
        self._updating = False
        self._keeper, self.watcher = PlaneKeeper(), ChangeWatcher(on_released=self._on_released)
        self._table = ContourTable(ui.contourTable, self.watcher.touch)
        self.drawing = DrawingSection(ui, lambda: self._table.selected, self._on_added, guarded)
        self._components = ComponentChooser(ui, self._on_component)
        self._organs, self.priors = OrganTable(ui, self._on_organs), {}
        self._connect()

    def set_parameters(self, parameters: Any) -> None:
        """Show and change another parameter node; None watches nothing any more."""
        self._parameters = parameters
        self._contours = None if parameters is None else ContourList(parameters.parameterNode)
        self.drawing.set_parameters(parameters)
        if parameters is None:
            self._keeper.close()
            self.watcher.close()

    @property
    def curves(self) -> list[Any]:
        """The curves in the table."""
        return [] if self._contours is None else self._contours.nodes

    @property
    def accepted(self) -> list[Any]:
        """Those of them that a refinement uses: not the proposed ones."""
        return [] if self._contours is None else self._contours.accepted

    def add_curve(self, node: Any) -> None:
        """Add a curve to the list."""
        if node is not None and self._contours is not None:
            self._contours.add(node)
            self._on_added(True)

    def update(self) -> None:
        """Bring the section up to date with the scene."""
        parameters, ui = self._parameters, self._ui
        if parameters is None or self._updating:
            return
        self._updating = True
        try:
            ui.sourceTabWidget.currentIndex = SOURCES.index(parameters.source)
            ui.paintedSegmentSelector.enabled = parameters.usePainted
            for widget, (node_name, segment_name) in _SELECTORS.items():
                selector, node = getattr(ui, widget), getattr(parameters, node_name)
                selector.setCurrentNode(node)
                if node is not None:
                    selector.setCurrentSegmentID(getattr(parameters, segment_name))
            if parameters.source == SEGMENTATION:
                self._show_components()
                self._organs.show(parameters.segmentation, parameters.segment, self.priors, self._chosen_organs())
            curves = self.curves
            self._keeper.keep(curves)
            self.watcher.watch(curves)
            self._table.show(curves)
            self.drawing.update()
        finally:
            self._updating = False

    def has_begun(self) -> bool:
        """Whether the user has chosen a first input, of any source."""
        p = self._parameters
        return bool(self.curves) or any(node is not None for node in (p.segmentation, p.paintedSegmentation, p.points))

    def obstacle(self) -> str:
        """Why nothing can be refined yet, or an empty text."""
        parameters = self._parameters
        if parameters.source == SEGMENTATION:
            if parameters.segmentation is None or not parameters.segment:
                return _("Choose a segmentation and a segment.")
            lacking = [name for name, prior, _identifier in self.other_organs if prior not in self.priors]
            return _("Choose a prior for {names}.").format(names=", ".join(lacking)) if lacking else ""
        if parameters.source == POINTS:
            return "" if parameters.points is not None else _("Choose a point list or a model.")
        if parameters.usePainted:
            chosen = parameters.paintedSegmentation is not None and parameters.paintedSegment
            return "" if chosen else _("Choose the segment that was painted on a few slices.")
        return "" if len(self.accepted) >= 2 else _("Draw contours on at least two planes, better on three.")

    @property
    def choices(self) -> dict[str, Any]:
        """Fields of `FitSettings` that the source's own widgets choose."""
        p = self._parameters
        if p.source != SEGMENTATION:
            return {}
        chosen = {"edits": p.edits, "complete": p.complete}
        return {name: value for name, value in chosen.items() if value not in (EDITS[0], False)}

    def observation(self) -> Any:
        """The observation of the chosen source; raises `DalsError` if something is wrong with it."""
        p = self._parameters
        if p.source == SEGMENTATION:
            self._show_components()  # the segment may have been edited in another module
            return segmentation_from_node(
                p.segmentation, p.segment, component=self._components.choice, probabilities_node=p.probabilities
            )
        if p.source == POINTS:
            return points_from_node(p.points)
        if p.usePainted:
            return contours_from_painted_segment(p.paintedSegmentation, p.paintedSegment)
        return contours_from_curves(self.accepted)

    @property
    def other_organs(self) -> list[tuple[str, str, str]]:
        """Name, prior and ID of each segment that is to be refined together with the chosen one."""
        p = self._parameters
        if p is None or p.source != SEGMENTATION:
            return []
        chosen = self._chosen_organs()
        return [(name, chosen[each], each) for each, name in segments_of(p.segmentation) if each in chosen]

    def observation_of(self, segment_id: str) -> Any:
        """The observation of another segment of the chosen segmentation."""
        return segmentation_from_node(self._parameters.segmentation, segment_id)

    def _chosen_organs(self) -> dict[str, str]:
        """Priors by segment IDs, of other segments than the chosen one."""
        chosen = read_choice(self._parameters.otherOrgans)
        return {each: prior for each, prior in chosen.items() if each != self._parameters.segment}

    def changed(self) -> bool:
        """Whether the user has changed contours and then paused; true once for each change."""
        if self._parameters is None or self.drawing.is_drawing or self.watcher.dragging or not self.watcher.due():
            return False
        self.update()
        return self.uses_curves

    @property
    def dragged(self) -> bool:
        """Whether the user is dragging a point of a contour and has moved it since the last refinement began."""
        watcher = self.watcher
        return self.uses_curves and watcher.dragging and watcher.pending and not self.drawing.is_drawing

    @property
    def takes_image(self) -> bool:
        """Whether an image has something to say: of contours that nobody is dragging, and of one segmentation alone."""
        p = self._parameters
        if p.source == CONTOURS:
            return not self.watcher.dragging
        return bool(p.source == SEGMENTATION and not self.other_organs)

    @property
    def released_gesture(self) -> int | None:
        """The movement of the hand that has just ended, None where a change was no such movement."""
        return self.watcher.released

    @property
    def uses_curves(self) -> bool:
        """Whether the chosen source is the curves of the table."""
        p = self._parameters
        return bool(p is not None and p.source == CONTOURS and not p.usePainted)

    def settle(self) -> None:
        """A refinement of the present contours begins: end drawing, ignore the changes so far."""
        self.drawing.stop()
        self.watcher.forget()

    def _show_components(self) -> None:
        p = self._parameters
        self._components.show(p.segmentation, p.segment, p.component)

    def _on_added(self, counts: bool) -> None:
        """Curves were added to the list or accepted; whether that is more than a beginning or a proposal."""
        if counts:
            self.watcher.touch()
        self.update()
        self._table.select_last()

    def _on_released(self, curve: Any) -> None:
        """A point was dragged: who bends a proposed outline has looked at it."""
        if is_proposed(curve):
            accept(curve)
            self._guarded(self.update)

    def _connect(self) -> None:
        ui = self._ui
        ui.contourTable.connect("itemSelectionChanged()", self.drawing.update)
        ui.sourceTabWidget.connect("currentChanged(int)", self._on_tab)
        for widget in _SELECTORS:
            selector = getattr(ui, widget)
            selector.connect("currentNodeChanged(vtkMRMLNode*)", lambda _node, widget=widget: self._on_segment(widget))
            selector.connect("currentSegmentChanged(QString)", lambda _id, widget=widget: self._on_segment(widget))

    def _on_tab(self, index: int) -> None:
        if self._parameters is not None and not self._updating:
            before, self._parameters.source = self._parameters.source, SOURCES[index]
            self._on_source(before, SOURCES[index])

    def _on_segment(self, widget: str) -> None:
        if self._parameters is None or self._updating:
            return
        parameters, selector, (node_name, segment_name) = (
            self._parameters,
            getattr(self._ui, widget),
            _SELECTORS[widget],
        )
        with slicer.util.NodeModify(parameters):
            before = parameters.segmentation, parameters.segment
            setattr(parameters, node_name, selector.currentNode())
            setattr(parameters, segment_name, selector.currentSegmentID() or "")
            if (parameters.segmentation, parameters.segment) != before:
                parameters.component = ""  # which was another segment's
            if parameters.segmentation is not before[0]:
                parameters.otherOrgans = ""

    def _on_organs(self, chosen: dict[str, str]) -> None:
        if self._parameters is not None and not self._updating:
            self._parameters.otherOrgans = written_choice(chosen)

    def _on_component(self, choice: str) -> None:
        if self._parameters is not None and not self._updating:
            self._parameters.component = choice
