"""A stand-in for the application: `slicer.app`, `slicer.util`, `slicer.ScriptedLoadableModule`, `slicer.i18n`."""

from __future__ import annotations

import sys
import types
import unittest
from pathlib import Path
from typing import Any

import slicer
import slicer.util
from PySide6.QtWidgets import QApplication, QVBoxLayout
from slicer.util import VTKObservationMixin
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkStringArray

from stand_ins import mrml_widgets, parameter_nodes, pythonqt

MESSAGES: list[str] = []
"""What message boxes have said."""

_MODULE = Path(__file__).resolve().parents[3] / "DALSRefine"


class App:
    """`slicer.app`: without a main window."""

    def __init__(self, settings: Path) -> None:
        self.slicerUserSettingsFilePath = str(settings / "Slicer.ini")
        self.started: list[Any] = []

    def connect(self, signal: str, slot: Any) -> None:
        assert signal == "startupCompleted()", signal
        self.started.append(slot)

    def processEvents(self) -> None:  # noqa: N802
        QApplication.processEvents()

    def focusWidget(self) -> Any:  # noqa: N802
        return QApplication.focusWidget()

    def layoutManager(self) -> None:  # noqa: N802
        return None

    def testingEnabled(self) -> bool:  # noqa: N802
        return True


class ScriptedLoadableModule:
    def __init__(self, parent: Any) -> None:
        self.parent = parent


class ScriptedLoadableModuleWidget:
    def __init__(self, parent: Any = None) -> None:
        super().__init__()
        self.parent, self.layout = parent, parent.layout()

    def setup(self) -> None:
        pass

    def onReload(self) -> None:  # noqa: N802
        MESSAGES.append("reloaded")

    def resourcePath(self, name: str) -> str:  # noqa: N802
        return str(_MODULE / "Resources" / name)


class ScriptedLoadableModuleLogic:
    def __init__(self) -> None:
        self.moduleName = type(self).__name__.removesuffix("Logic")

    def getParameterNode(self) -> Any:  # noqa: N802
        found = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if found is None:
            node = slicer.vtkMRMLScriptedModuleNode()
            node.SetSingletonTag(self.moduleName)
            node.SetName(self.moduleName)
            found = slicer.mrmlScene.AddNode(node)
        found.SetAttribute("ModuleName", self.moduleName)
        return found


class ScriptedLoadableModuleTest(unittest.TestCase):
    def runTest(self) -> None:  # noqa: N802
        pass

    def delayDisplay(self, message: str) -> None:  # noqa: N802
        MESSAGES.append(message)


def install(core: Any, settings: Path) -> None:
    """Put the stand-ins where `import qt` and `import slicer...` find them."""
    QApplication.instance() or QApplication(["stand-in", "-platform", "offscreen"])
    sys.modules["qt"] = pythonqt.make_module()
    slicer.util = sys.modules["slicer.util"]  # not so if it was imported while another `slicer` was there
    _submodule("parameterNodeWrapper", vars(parameter_nodes.make_module()))
    for_scripts = (
        ScriptedLoadableModule,
        ScriptedLoadableModuleWidget,
        ScriptedLoadableModuleLogic,
        ScriptedLoadableModuleTest,
    )
    _submodule("ScriptedLoadableModule", {class_.__name__: class_ for class_ in for_scripts})
    _submodule("i18n", {"tr": lambda text: text, "translate": lambda _context, text: text})
    slicer.app, slicer.mrmlScene = App(settings), core.scene
    loaders = {
        "Volume": _load_volume,
        "Markups": _load_markups,
        "Segmentation": _load_segmentation,
        "Model": _load_model,
    }
    for name, function in loaders.items():
        setattr(slicer.util, f"load{name}", function)
    slicer.util.loadUI = mrml_widgets.load_ui
    slicer.util.childWidgetVariables = mrml_widgets.child_widget_variables
    slicer.util.mainWindow = lambda: None
    for kind in ("info", "warning", "error"):
        setattr(slicer.util, f"{kind}Display", lambda text, windowTitle=None, detailedText="": MESSAGES.append(text))
    slicer.util.confirmYesNoDisplay = lambda text, windowTitle=None: False
    slicer.util.saveScene = slicer.mrmlScene.WriteToMRB
    slicer.util.loadScene = lambda path: slicer.mrmlScene.ReadFromMRB(path, True)

    def array_of_segment(node: Any, identifier: str, volume: Any) -> Any:
        ids, labels = vtkStringArray(), slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
        ids.InsertNextValue(identifier)
        assert core.segmentations_logic.ExportSegmentsToLabelmapNode(node, ids, labels, volume)
        image = labels.GetImageData()
        array = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1]).copy()
        slicer.mrmlScene.RemoveNode(labels)
        return array

    slicer.util.arrayFromSegmentBinaryLabelmap = array_of_segment


def open_module(widget_class: type) -> Any:
    """A module's widget, set up in a module panel as Slicer does."""
    panel = mrml_widgets.QMRMLWidget()
    panel.setLayout(QVBoxLayout(panel))
    parent = types.SimpleNamespace(layout=panel.layout, isEntered=True, widget=panel)
    widget = widget_class(parent)
    widget.setup()
    slicer.util.getModuleWidget = lambda name: widget
    return widget


def remove() -> None:
    """Take the stand-ins away again, for other tests that want slicer-core alone."""
    sys.modules.pop("qt", None)
    for name in ("parameterNodeWrapper", "ScriptedLoadableModule", "i18n"):
        sys.modules.pop(f"slicer.{name}", None)
    for name in ("app", "mrmlScene", "parameterNodeWrapper", "ScriptedLoadableModule", "i18n"):
        if hasattr(slicer, name):
            delattr(slicer, name)


def _submodule(name: str, members: dict[str, Any]) -> None:
    module = types.ModuleType(f"slicer.{name}")
    vars(module).update({key: value for key, value in members.items() if not key.startswith("__")})
    sys.modules[module.__name__] = module
    setattr(slicer, name, module)


def _load(class_name: str, storage: Any, path: str) -> Any:
    node = slicer.mrmlScene.AddNewNodeByClass(class_name, Path(path).name.split(".")[0])
    storage.SetFileName(path)
    assert storage.ReadData(node), path
    node.CreateDefaultDisplayNodes()
    return node


def _load_volume(path: str) -> Any:
    return _load("vtkMRMLScalarVolumeNode", slicer.vtkMRMLVolumeArchetypeStorageNode(), path)


def _load_markups(path: str) -> Any:
    return _load("vtkMRMLMarkupsClosedCurveNode", slicer.vtkMRMLMarkupsJsonStorageNode(), path)


def _load_segmentation(path: str) -> Any:
    return _load("vtkMRMLSegmentationNode", slicer.vtkMRMLSegmentationStorageNode(), path)


def _load_model(path: str) -> Any:
    return _load("vtkMRMLModelNode", slicer.vtkMRMLModelStorageNode(), path)


__all__ = ["MESSAGES", "App", "VTKObservationMixin", "install", "open_module", "remove"]
