"""Make the pictures of the module's panel: `python Resources/Screenshots/make_panel.py`.

The form, its code, the nodes and the fit are real. The widgets are Qt's, with the stand-ins of `Testing/slicer` for
those of Slicer: sections look a little different there. Needs `pip install '.[slicer]'`.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
WIDTH = 520
GAP = 16
PATIENCE_S = 120.0
STYLE = "QGroupBox { font-weight: bold; } QGroupBox * { font-weight: normal; }"


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=HERE, metavar="FOLDER")
    folder = parser.parse_args().output
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    from trame_slicer.core import SlicerApp  # before `Testing` is on the path: it has a folder `slicer`

    core = SlicerApp()
    sys.path[:0] = [str(HERE.parents[1] / "DALSRefine"), str(HERE.parents[1] / "Testing" / "slicer")]
    from stand_ins import application

    with tempfile.TemporaryDirectory() as settings:
        application.install(core, Path(settings))
        import DALSRefine

        try:
            for name, choose in (("panel", choose_contours), ("panel-segmentation", choose_segmentation)):
                core.scene.Clear()
                widget = application.open_module(DALSRefine.DALSRefineWidget)
                choose(widget.panel)
                refine(widget.panel)
                saved = drawn(widget).save(str(folder / f"{name}.png"))
                widget.cleanup()
                if not saved:
                    raise SystemExit(f"{folder} cannot be written to.")
        finally:
            application.remove()


def choose_contours(panel: Any) -> None:
    """The sample's three curves."""
    from DALSRefineLib import sample_data

    for curve in sample_data.load()[1:4]:
        panel.source.add_curve(curve)


def choose_segmentation(panel: Any) -> None:
    """The sample's network's segmentation."""
    from DALSRefineLib import sample_data

    segmentation, parameters = sample_data.load()[-1], panel.parameters
    parameters.source, parameters.segmentation = "segmentation", segmentation
    parameters.segment = segmentation.GetSegmentation().GetNthSegmentID(0)
    panel.priors.fold(once=True)
    panel.update()


def refine(panel: Any) -> None:
    """Press Refine and wait."""
    import slicer

    panel.ui.refineButton.click()
    began = time.monotonic()
    while panel.session.running:
        if time.monotonic() - began > PATIENCE_S:
            raise SystemExit("The fit does not end.")
        slicer.app.processEvents()
        time.sleep(0.01)


def drawn(widget: Any) -> Any:
    """The panel as Qt draws it, its last sections beside the others; a QPixmap."""
    import slicer
    from PySide6.QtCore import QPoint
    from PySide6.QtGui import QPainter, QPixmap
    from PySide6.QtWidgets import QWidget
    from stand_ins.mrml_widgets import CtkCollapsibleButton

    root = widget.parent.widget
    ui = widget.panel.ui
    ui.resultCollapsibleButton.setProperty("collapsed", False)
    for section in root.findChildren(CtkCollapsibleButton):
        if section.property("collapsed"):
            for child in section.findChildren(QWidget):
                QWidget.hide(child)
    root.setStyleSheet(STYLE)
    QWidget.show(root)
    slicer.app.processEvents()
    QWidget.resize(root, WIDTH, QWidget.sizeHint(root).height())
    slicer.app.processEvents()
    whole = QWidget.grab(root)
    right = ui.resultCollapsibleButton if ui.editsCollapsibleButton.isHidden() else ui.editsCollapsibleButton
    cut = QWidget.mapTo(right, root, QPoint(0, 0)).y() - 4
    height = max(cut, whole.height() - cut)
    picture = QPixmap(2 * whole.width() + GAP, height)
    picture.fill("white")
    painter = QPainter(picture)
    painter.drawPixmap(0, 0, whole, 0, 0, whole.width(), cut)
    painter.drawPixmap(whole.width() + GAP, 0, whole, 0, cut, whole.width(), whole.height() - cut)
    painter.end()
    return picture


if __name__ == "__main__":
    main()
