"""The result in the panel: summary, table, colours, undo, export, segment. For Slicer only."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer

from dals.errors import DalsError, InputError
from dals.geometry.voxelisation import label_map_to_mesh
from DALSRefineLib.i18n import tr as _
from DALSRefineLib.nodes.inputs import segment_label_map
from DALSRefineLib.nodes.marks import jump_to_place, remove_mark, show_mark
from DALSRefineLib.nodes.outputs import (
    colour_by_distance,
    colour_plainly,
    export_model,
)
from DALSRefineLib.panel.edits_section import EditsSection
from DALSRefineLib.panel.look_section import LookSection
from DALSRefineLib.panel.report_places import MARKED_MM, ReportPlace, places_of
from DALSRefineLib.panel.report_rows import report_rows, summary_of
from DALSRefineLib.panel.segment_export import SegmentExport
from DALSRefineLib.panel.uncertainty_section import UncertaintySection
from DALSRefineLib.priors import Organ
from DALSRefineLib.session import RefineSession, report_of

_FORMATS = "STL (*.stl);;PLY (*.ply);;OBJ (*.obj);;VTP (*.vtp)"


class ResultSection:
    """Shows the result and exports it.

    Parameters
    ----------
    ui
        The panel's widgets.
    session : RefineSession
    guarded : callable
        Runs a function and shows its errors.
    on_history : callable
        Called after an undo or a redo has moved curves.
    """

    def __init__(
        self,
        ui: Any,
        session: RefineSession,
        guarded: Callable[[Callable[[], None]], None],
        on_history: Callable[[], None],
    ) -> None:
        self._ui, self._session, self._on_history = ui, session, on_history
        self._segments, self._filling = SegmentExport(), False
        self.organ: Organ | None = None
        self._items: list[Any] = []
        self._names: list[str] = []  # of organs, in the combo box
        self._rows: list[tuple[str, str]] = []
        self._places: list[ReportPlace] = []
        self._look = LookSection(ui, session, guarded, self._renew)
        self.uncertainty = UncertaintySection(ui, guarded)
        self.edits = EditsSection(ui, session, guarded)
        ui.organComboBox.connect("currentIndexChanged(int)", lambda index: guarded(lambda: self._on_organ(index)))
        ui.resultTable.horizontalHeader().setSectionResizeMode(0, qt.QHeaderView.ResizeToContents)
        ui.resultTable.horizontalHeader().setStretchLastSection(True)
        ui.resultTable.verticalHeader().setSectionResizeMode(qt.QHeaderView.ResizeToContents)  # sentences wrap
        for button, action in (
            (ui.colourButton, self._colour),
            (ui.undoButton, self._undo),
            (ui.redoButton, self._redo),
            (ui.worstPlaceButton, lambda: self.go_to_place(0)),
            (ui.exportButton, self._export),
            (ui.segmentButton, self.add_segment),
        ):
            button.connect("clicked(bool)", lambda _checked=False, action=action: guarded(action))
        ui.resultTable.connect("cellClicked(int,int)", lambda row, _column: guarded(lambda: self._on_row(row)))

    def update(self) -> None:
        """Bring the section up to date with the result's node."""
        ui, model = self._ui, self.model
        report = report_of(model)
        self._places = places_of(report)
        self._show_rows([] if report is None else report_rows(report))
        ui.summaryLabel.text = "" if report is None else summary_of(report)
        ui.summaryLabel.visible = bool(ui.summaryLabel.text)
        self._look.show(model)
        self.uncertainty.update(model)
        self.edits.update(model)
        self._show_organs(model)
        nothing = "" if model is not None and model.GetPolyData() is not None else _("There is no result yet.")
        _enable(ui.exportButton, nothing, _("Write the surface as STL, PLY, OBJ or VTP, in LPS coordinates."))
        # Undo changes the session's model, which need not be the shown one.
        ours = self._session.models.index_of(model) is not None
        no_undo = "" if self._session.can_undo and ours else _("There is no previous result.")
        _enable(ui.undoButton, no_undo, _("Show the previous result again, with its curves."))
        no_redo = "" if self._session.can_redo and ours else _("Nothing was undone.")
        _enable(ui.redoButton, no_redo, _("Show the result again that was undone last, with its curves."))
        tip = _("Add the surface as a new segment to {name}; other segments never change.")
        _enable(ui.segmentButton, nothing or self._segments.obstacle, tip.format(name=self._segments.destination_name))
        source = "" if self._has_source() else _("Choose a segmentation as the source first.")
        _enable(
            ui.colourButton, nothing or source, _("Colour the surface by its distance from the source segmentation.")
        )
        self._show_worst()

    @property
    def parameters(self) -> Any:
        """The parameter node that is shown, or None."""
        return self._segments.parameters

    @parameters.setter
    def parameters(self, parameters: Any) -> None:
        self._segments.parameters = parameters

    @property
    def model(self) -> Any:
        """The node of the result, or None."""
        return None if self.parameters is None else self.parameters.result

    def export(self, path: Path) -> None:
        """Write the result; the suffix decides on the format."""
        export_model(self.model, path)

    def add_segment(self) -> None:
        """Add the result as a segment to the chosen segmentation, or to a new one; of several organs all."""
        session = self._session
        if session.models.index_of(self.model) is not None:
            pairs = zip(session.models.nodes, session.models.organs, strict=True)
            present = [(node, organ) for node, organ in pairs if node.GetScene() is slicer.mrmlScene]
            self._segments.add([(node, organ, session.label_map_of(node)) for node, organ in present])
        elif self.model is not None and self.organ is not None:
            self._segments.add([(self.model, self.organ, None)])
        else:
            raise InputError(_("There is no result yet."))

    def go_to_place(self, index: int) -> None:
        """Mark one of the places of the report and show the slices through it."""
        found = self._places[index]
        self._mark(found)
        jump_to_place(slicer.mrmlScene, found.place)
        self._ui.statusLabel.text = found.text

    def mark_worst(self) -> None:
        """Mark the place where a new result is furthest from what was drawn, if that is far."""
        places = places_of(report_of(self._session.model))
        if places and places[0].millimetres > MARKED_MM:
            self._mark(places[0])
        else:
            remove_mark(slicer.mrmlScene)

    def _mark(self, found: ReportPlace) -> None:
        text = _("{distance:.1f} mm").format(distance=found.millimetres)
        show_mark(slicer.mrmlScene, found.place, text, name=_("Please check"))

    def _show_worst(self) -> None:
        button = self._ui.worstPlaceButton
        nothing = "" if self._places else _("No place is known where the surface is far from what was drawn.")
        button.text = (
            _("Worst: {distance:.1f} mm").format(distance=self._places[0].millimetres)
            if self._places
            else (_("Worst place"))
        )
        _enable(button, nothing, self._places[0].text if self._places else "")

    def _on_row(self, row: int) -> None:
        """A row of the table was clicked: go to the place that it tells of."""
        name = self._rows[row][0] if 0 <= row < len(self._rows) else ""
        for index, found in enumerate(self._places):
            if found.row == name:
                self.go_to_place(index)
                return

    @property
    def volume(self) -> Any:
        """The chosen volume, or the one that is shown; None where there is none."""
        return self._segments.volume

    def edits_chosen(self) -> None:
        """The result shows another choice of its edits."""
        self._ui.statusLabel.text = self.edits.said()
        self._renew()

    def _show_organs(self, model: Any) -> None:
        """The choice between several results of one refinement."""
        box, models = self._ui.organComboBox, self._session.models
        index = models.index_of(model)
        several = index is not None and len(models.nodes) > 1
        names = [organ.name for organ in models.organs] if several else []
        box.visible = several
        self._filling = True
        try:
            if names != self._names:  # not while the user chooses
                self._names = names
                box.clear()
                for name in names:
                    box.addItem(name)
            if several:
                box.currentIndex = index
        finally:
            self._filling = False

    def _on_organ(self, index: int) -> None:
        nodes = self._session.models.nodes
        if not self._filling and 0 <= index < len(nodes) and nodes[index].GetScene() is slicer.mrmlScene:
            self.parameters.result = nodes[index]

    def _has_source(self) -> bool:
        return bool(self.parameters is not None and self.parameters.segmentation and self.parameters.segment)

    def _colour(self) -> None:
        if not self._ui.colourButton.checked:
            colour_plainly(self.model)
            self._ui.statusLabel.text = ""
            return
        try:
            source = segment_label_map(self.parameters.segmentation, self.parameters.segment)
            limit = colour_by_distance(self.model, label_map_to_mesh(source))
            self._ui.uncertaintyButton.checked = False
        except DalsError:
            self._ui.colourButton.checked = False
            raise
        words = _("Red: outside of the segmentation. Blue: inside of it. The colours end at ±{limit:.1f} mm.")
        self._ui.statusLabel.text = words.format(limit=limit)

    def _undo(self) -> None:
        self._session.undo()
        self._say_back(_("The previous result is back, with its curves."))

    def _redo(self) -> None:
        self._session.redo()
        self._say_back(_("The later result is back, with its curves."))

    def _say_back(self, sentence: str) -> None:
        self._ui.statusLabel.text = " ".join((sentence, *self._session.warnings))
        self.mark_worst()
        self._on_history()
        self._renew()

    def _renew(self) -> None:
        """The model has another surface."""
        self._ui.colourButton.checked = False
        self.uncertainty.renew()
        self.update()

    def _export(self) -> None:
        dialog = qt.QFileDialog(slicer.util.mainWindow(), _("Export the surface"), str(Path.home()), _FORMATS)
        dialog.acceptMode = qt.QFileDialog.AcceptSave
        dialog.selectFile(f"{self.model.GetName()}.stl")
        accepted = dialog.exec_()
        chosen, name_filter = Path(next(iter(dialog.selectedFiles()), "")), dialog.selectedNameFilter()
        dialog.deleteLater()
        if not accepted:
            return
        path = chosen if chosen.suffix else Path(f"{chosen}{_suffix_of(name_filter)}")
        question = _("{name} exists already. Replace it?").format(name=path.name)
        # The dialogue has already asked about the typed name.
        if path == chosen or not path.exists() or slicer.util.confirmYesNoDisplay(question, windowTitle="DALSRefine"):
            self.export(path)

    def _show_rows(self, rows: list[tuple[str, str]]) -> None:
        if rows == self._rows:
            return
        table, self._rows, self._items = self._ui.resultTable, rows, []
        table.setRowCount(len(rows))
        for number, row in enumerate(rows):
            for column, text in enumerate(row):
                item = qt.QTableWidgetItem(text)
                self._items.append(item)  # keeps the Python object alive
                table.setItem(number, column, item)


def _enable(button: Any, obstacle: str, tip: str) -> None:
    """Enable a button, or disable it and say why in its tooltip."""
    button.enabled, button.toolTip = not obstacle, obstacle or tip


def _suffix_of(name_filter: str) -> str:
    """The suffix of a filter in `_FORMATS`, by default of the first one."""
    found = re.search(r"\*(\.\w+)", name_filter) or re.search(r"\*(\.\w+)", _FORMATS)
    assert found is not None
    return found[1]
