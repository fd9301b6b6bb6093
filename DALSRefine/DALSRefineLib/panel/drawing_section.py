"""Drawing contours in the panel: by clicks, freehand, or bent from the surface's own outline. For Slicer only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer

from dals.errors import DalsError, InputError
from DALSRefineLib.i18n import tr as _
from DALSRefineLib.nodes import drawing, surface_contours
from DALSRefineLib.nodes.contour_list import ContourList
from DALSRefineLib.nodes.freehand import FreehandPen
from DALSRefineLib.nodes.inputs import described
from DALSRefineLib.nodes.outputs import mesh_of_model
from DALSRefineLib.nodes.related_curves import curves_of_organ
from DALSRefineLib.nodes.suggestions import suggested_slice
from DALSRefineLib.panel.contour_table import plane_text

_COLOURS = {"axial": (0.95, 0.29, 0.26), "sagittal": (0.93, 0.84, 0.29), "coronal": (0.43, 0.69, 0.29)}
_ORIENTATIONS = {view: orientation for orientation, view in drawing.SLICE_VIEWS.items()}


class DrawingSection:
    """The buttons that make, continue, propose and delete curves.

    Parameters
    ----------
    ui
        The panel's widgets.
    selected : callable
        Returns the curve that is selected in the table, or None.
    on_added : callable
        Called after curves were added to the list or accepted, with False for those that are begun or proposed.
    guarded : callable
        Runs a function and shows its errors.

    Attributes
    ----------
    suggested : str
        Layout name of the view that shows a suggested slice; empty if none does.
    """

    def __init__(
        self,
        ui: Any,
        selected: Callable[[], Any],
        on_added: Callable[[bool], None],
        guarded: Callable[[Callable[[], None]], None],
    ) -> None:
        self._ui, self._selected, self._on_added, self._guarded = ui, selected, on_added, guarded
        self._parameters: Any = None
        self._contours: ContourList | None = None
        self._pen: FreehandPen | None = None
        self._view: Any = None  # that has the pen
        self.suggested = ""
        self._connect()

    def set_parameters(self, parameters: Any) -> None:
        """Show another parameter node; None ends drawing."""
        self._parameters = parameters
        self._contours = None if parameters is None else ContourList(parameters.parameterNode)
        self._forget_suggestion()
        if parameters is None:
            self.stop()

    @property
    def keys(self) -> list[tuple[str, Callable[[], None]]]:
        """The section's keys and what they do."""
        return [
            ("Alt+1", lambda: self.draw("axial")),
            ("Alt+2", lambda: self.draw("sagittal")),
            ("Alt+3", lambda: self.draw("coronal")),
            ("Alt+N", self.suggest),
            ("Alt+D", self.predraw),
            ("Return", self.enter),
            ("Enter", self.enter),  # that of the number pad
            ("Escape", self.stop),
        ]

    @property
    def is_drawing(self) -> bool:
        """Whether points are placed by the mouse."""
        return self._pen is not None or drawing.is_placing(slicer.mrmlScene)

    @property
    def proposals(self) -> list[Any]:
        """Curves that were drawn in advance and are not accepted yet."""
        curves = [] if self._contours is None else self._contours.nodes
        return [curve for curve in curves if surface_contours.is_proposed(curve)]

    def draw(self, orientation: str) -> None:
        """Begin a curve on the slice that the view of an orientation shows."""
        view = drawing.SLICE_VIEWS[orientation]
        slice_node = self._slice_node(view)
        curve = drawing.new_contour(slicer.mrmlScene, slice_node, colour=_COLOURS[orientation])
        self._forget_suggestion()
        self._add([curve], counts=False)
        self._place(curve, view)

    def predraw(self, view: str | None = None) -> None:
        """Draw the outline of the present surface on the slice of a view, as proposals.

        Parameters
        ----------
        view : str, optional
            Its layout name; the one that was scrolled last unless given.
        """
        view = view or drawing.view_scrolled_last(slicer.mrmlScene) or "Red"
        slice_node = self._slice_node(view)
        if self._parameters.result is None:
            raise InputError(_("There is no surface yet whose outline could be drawn."))
        outlines = surface_contours.outlines_on(mesh_of_model(self._parameters.result), drawing.plane_shown(slice_node))
        curves = []
        for outline in outlines:
            curve = drawing.new_contour(slicer.mrmlScene, slice_node, colour=_COLOURS[_ORIENTATIONS[view]])
            surface_contours.fill_proposed(curve, outline)
            curves.append(curve)
        self._forget_suggestion()
        self._add(curves, counts=False)

    def suggest(self) -> None:
        """Show the slice on which a further contour would help most."""
        p = self._parameters
        if p.result is None:
            raise InputError(_("There is no surface yet: refine first."))
        plane = suggested_slice(p.result, self._accepted(), oblique=p.obliqueSuggestion)
        view = drawing.show_plane(slicer.mrmlScene, plane)
        if view is None:
            raise DalsError(_("There is no slice view to show it in."))
        _show_view(view)
        self.suggested = view
        words = _("Suggested: {plane}. Enter draws its outline in advance.")
        self._ui.suggestionLabel.text = words.format(plane=plane_text(described(plane)))
        self.update()

    @property
    def awaits_enter(self) -> bool:
        """Whether Enter has something to do: a suggested slice is shown, or an outline waits to be accepted."""
        return bool(self.suggested or self.proposals)

    @property
    def waiting_keys(self) -> dict[str, bool]:
        """Keys that other widgets want, too, and whether they have something to do here."""
        enter = self.awaits_enter
        return {"Return": enter, "Enter": enter, "Escape": self._pen is not None}

    def enter(self) -> None:
        """Accept the proposals; without any, draw the outline on the suggested slice in advance."""
        if self.proposals:
            self.accept()
        elif self.suggested:
            self.predraw(self.suggested)

    def accept(self) -> None:
        """Use all proposals as they are."""
        for curve in self.proposals:
            surface_contours.accept(curve)
        self._on_added(True)

    def stop(self) -> None:
        """End drawing; the points so far stay."""
        drawing.stop_placing(slicer.mrmlScene)
        if self._pen is not None:
            self._pen.close()
            self._on_pen_end()

    def update(self) -> None:
        """Enable what can be done."""
        chosen = self._selected() is not None
        for button in (self._ui.drawMoreButton, self._ui.jumpButton, self._ui.deleteContourButton):
            button.enabled = chosen
        self._ui.acceptButton.enabled = bool(self.proposals)
        known = self._parameters is not None and self._parameters.result is not None
        self._ui.predrawButton.enabled = self._ui.suggestButton.enabled = known
        self._ui.suggestionLabel.visible = bool(self._ui.suggestionLabel.text)

    def _forget_suggestion(self) -> None:
        self.suggested = self._ui.suggestionLabel.text = ""

    def _accepted(self) -> list[Any]:
        return [] if self._contours is None else self._contours.accepted

    def _place(self, curve: Any, view: str) -> None:
        """Let the mouse place points of a curve."""
        self.stop()
        slice_view = _slice_view(view) if self._parameters.freehand else None
        if slice_view is None:
            drawing.start_placing(slicer.mrmlScene, curve)
            return
        node = drawing.slice_node_of(slicer.mrmlScene, view)
        self._view = slice_view
        _set_cursor(slice_view, qt.QCursor(qt.Qt.CrossCursor))
        self._pen = FreehandPen(slice_view.interactor(), node, curve, self._on_pen_end)

    def _on_pen_end(self) -> None:
        view, self._view, self._pen = self._view, None, None
        if view is not None:
            _set_cursor(view, qt.QCursor(qt.Qt.ArrowCursor))

    def _continue(self) -> None:
        curve = self._selected()
        plane = drawing.plane_of(curve)
        view = None if plane is None else drawing.show_plane(slicer.mrmlScene, plane)
        self._place(curve, view or "Red")

    def _add(self, curves: list[Any], *, counts: bool = True) -> None:
        if self._contours is not None:
            for curve in curves:
                self._contours.add(curve)
            self._on_added(counts)

    def _slice_node(self, view: str) -> Any:
        _show_view(view)
        node = drawing.slice_node_of(slicer.mrmlScene, view)
        if node is None:
            raise DalsError(_("There is no {view} slice view to draw in.").format(view=view))
        return node

    def _connect(self) -> None:
        ui, scene = self._ui, slicer.mrmlScene
        actions: list[tuple[Any, Callable[[], None]]] = [
            (ui.axialButton, lambda: self.draw("axial")),
            (ui.sagittalButton, lambda: self.draw("sagittal")),
            (ui.coronalButton, lambda: self.draw("coronal")),
            (ui.suggestButton, self.suggest),
            (ui.predrawButton, self.predraw),
            (ui.acceptButton, self.accept),
            (ui.drawMoreButton, self._continue),
            (ui.jumpButton, lambda: drawing.jump_to(scene, self._selected())),
            (ui.deleteContourButton, lambda: scene.RemoveNode(self._selected())),
            (
                ui.addCurveButton,
                lambda: self._add([node for node in ui.curveSelector.checkedNodes() if node is not None]),
            ),
            (ui.addAllCurvesButton, lambda: self._add(curves_of_organ(scene, self._listed()))),
        ]
        for button, action in actions:
            button.connect("clicked(bool)", lambda _checked=False, action=action: self._guarded(action))

    def _listed(self) -> list[Any]:
        return [] if self._contours is None else self._contours.nodes


def _show_view(view: str) -> None:
    """Change to the four-up layout if a slice view is hidden."""
    manager = slicer.app.layoutManager()
    if manager is None:  # no main window
        return
    widget = manager.sliceWidget(view)
    if widget is None or not widget.visible:
        manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)


def _slice_view(view: str) -> Any:
    """The widget of a slice view, or None without a main window."""
    manager = slicer.app.layoutManager()
    widget = None if manager is None else manager.sliceWidget(view)
    return None if widget is None else widget.sliceView()


def _set_cursor(view: Any, cursor: Any) -> None:
    """The view's present cursor, and that to which it returns after the mouse was over a point."""
    view.setViewCursor(cursor)
    view.setDefaultViewCursor(cursor)
