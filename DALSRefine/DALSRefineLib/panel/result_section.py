"""The panel's Result section: table, colours, undo, export, segment. For Slicer only."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer

from dals.errors import DalsError, InputError, collected_warnings
from dals.geometry.voxelisation import label_map_to_mesh
from DALSRefineLib.i18n import tr as _
from DALSRefineLib.nodes.inputs import grid_of_volume, segment_label_map
from DALSRefineLib.nodes.outputs import (
    colour_by_distance,
    colour_plainly,
    export_model,
    mesh_of_model,
    new_segmentation,
    write_segment,
)
from DALSRefineLib.panel.report_rows import report_rows
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
    """

    def __init__(self, ui: Any, session: RefineSession, guarded: Callable[[Callable[[], None]], None]) -> None:
        self._ui, self._session = ui, session
        self.parameters: Any = None
        self.organ: Organ | None = None
        self._items: list[Any] = []
        self._rows: list[tuple[str, str]] = []
        ui.resultTable.horizontalHeader().setSectionResizeMode(0, qt.QHeaderView.ResizeToContents)
        ui.resultTable.horizontalHeader().setStretchLastSection(True)
        ui.resultTable.verticalHeader().setSectionResizeMode(qt.QHeaderView.ResizeToContents)  # sentences wrap
        for button, action in (
            (ui.colourButton, self._colour),
            (ui.undoButton, self._undo),
            (ui.exportButton, self._export),
            (ui.segmentButton, self.add_segment),
        ):
            button.connect("clicked(bool)", lambda _checked=False, action=action: guarded(action))

    def update(self) -> None:
        """Bring the section up to date with the result's node."""
        ui, model = self._ui, self.model
        report = report_of(model)
        self._show_rows([] if report is None else report_rows(report))
        nothing = "" if model is not None and model.GetPolyData() is not None else _("There is no result yet.")
        _enable(ui.exportButton, nothing, _("Write the surface as STL, PLY, OBJ or VTP, in LPS coordinates."))
        # Undo changes the session's model, which need not be the shown one.
        can_undo = self._session.can_undo and model is self._session.model
        no_undo = "" if can_undo else _("There is no previous result.")
        _enable(ui.undoButton, no_undo, _("Show the previous result again."))
        _enable(ui.segmentButton, nothing or self._no_grid(), _("Add the surface as a new segment."))
        source = "" if self._has_source() else _("Choose a segmentation as the source first.")
        _enable(
            ui.colourButton, nothing or source, _("Colour the surface by its distance from the source segmentation.")
        )

    @property
    def model(self) -> Any:
        """The node of the result, or None."""
        return None if self.parameters is None else self.parameters.result

    def export(self, path: Path) -> None:
        """Write the result; the suffix decides on the format."""
        export_model(self.model, path)

    def add_segment(self) -> None:
        """Add the result as a segment to the chosen segmentation, or to a new one."""
        segmentation, organ = self.parameters.resultSegmentation, self.organ
        if self.model is None or organ is None:
            raise InputError(_("There is no result yet."))
        grid = self._grid()
        if segmentation is None:
            volume = self.parameters.referenceVolume
            segmentation = new_segmentation(slicer.mrmlScene, volume or grid, name=_("DALSRefine segmentation"))
            self.parameters.resultSegmentation = segmentation
        with collected_warnings() as told:
            write_segment(
                mesh_of_model(self.model),
                segmentation,
                grid=grid,
                name=organ.name,
                colour=organ.colour,
                terminology=organ.terminology,
            )
        if told:
            slicer.util.warningDisplay(" ".join(told), windowTitle="DALSRefine")

    def _grid(self) -> Any:
        volume, segmentation = self.parameters.referenceVolume, self.parameters.segmentation
        if volume is not None:
            return grid_of_volume(volume)
        if segmentation is not None and self.parameters.segment:
            return segment_label_map(segmentation, self.parameters.segment).empty_like()
        raise InputError(_("Choose a volume: the new segment takes its grid."))

    def _no_grid(self) -> str:
        known = self.parameters is not None and (
            self.parameters.referenceVolume is not None
            or (self.parameters.segmentation is not None and self.parameters.segment)
        )
        return "" if known else _("Choose a volume: the new segment takes its grid.")

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
        except DalsError:
            self._ui.colourButton.checked = False
            raise
        words = _("Red: outside of the segmentation. Blue: inside of it. The colours end at ±{limit:.1f} mm.")
        self._ui.statusLabel.text = words.format(limit=limit)

    def _undo(self) -> None:
        self._session.undo()
        self._ui.statusLabel.text = " ".join((_("The previous result is back."), *self._session.warnings))
        self._ui.colourButton.checked = False
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
