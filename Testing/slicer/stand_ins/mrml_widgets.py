"""Stand-ins for the widgets of Slicer and CTK that the panel's form uses, and for loading the form."""

from __future__ import annotations

import types
import weakref
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any, ClassVar

from PySide6.QtCore import QBuffer, QByteArray, QObject, Signal
from PySide6.QtUiTools import QUiLoader
from PySide6.QtWidgets import QComboBox, QGroupBox, QVBoxLayout, QWidget
from shiboken6 import isValid

from stand_ins.pythonqt import CLASSES, Habits, with_habits


class CtkCollapsibleButton(with_habits(QGroupBox)):
    """A section with a heading; `text` and `collapsed` are set by the form."""

    text = property(lambda self: self.property("text"), lambda self, value: self.setProperty("text", value))
    collapsed = property(lambda self: self.property("collapsed"), lambda self, on: self.setProperty("collapsed", on))

    def settle(self) -> None:
        self.setTitle(self.property("text") or "")

    def paintEvent(self, event: Any) -> None:  # noqa: N802
        if self.title != self.property("text"):
            self.settle()
        super().paintEvent(event)


class QMRMLWidget(with_habits(QWidget)):
    """The form's root: passes its scene on to those that the form connects with it."""

    receivers: tuple[str, ...] = ()

    def setMRMLScene(self, scene: Any) -> None:  # noqa: N802
        for name in self.receivers:
            self.findChild(QObject, name).setMRMLScene(scene)


class QMRMLNodeComboBox(with_habits(QComboBox)):
    """Nodes of some types, and "None"; follows the scene."""

    currentNodeChanged = Signal(object)  # noqa: N815
    own_signals: ClassVar[dict[str, str]] = {"currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged"}

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._scene: Any = None
        self._nodes: list[Any] = [None]
        self._shown: Any = None
        self.addItem("None")
        self.currentIndexChanged.connect(self._on_index)

    def setMRMLScene(self, scene: Any) -> None:  # noqa: N802
        self._scene = scene
        this = weakref.ref(self)
        for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndCloseEvent, scene.EndImportEvent):
            scene.AddObserver(event, lambda *_: this() and this()._refresh())
        self._refresh()

    def currentNode(self) -> Any:  # noqa: N802
        return self._shown

    def setCurrentNode(self, node: Any) -> None:  # noqa: N802
        self.setCurrentIndex(self._nodes.index(node) if node in self._nodes else 0)

    def _refresh(self) -> None:
        if not isValid(self) or self._scene.IsClosing() or self._scene.IsImporting():  # Qt may have deleted it
            return
        found = [None]
        types_ = self.nodeTypes if hasattr(self, "nodeTypes") else self.property("nodeTypes")
        for name in types_ or ():
            nodes = self._scene.GetNodesByClass(name)
            nodes.UnRegister(None)
            candidates = (nodes.GetItemAsObject(index) for index in range(nodes.GetNumberOfItems()))
            exact = not self.property("showChildNodeTypes")
            found += [n for n in candidates if not n.GetHideFromEditors() and (n.GetClassName() == name or not exact)]
        self.blockSignals(True)
        self.clear()
        self._nodes = found
        self.addItems(["None" if node is None else node.GetName() for node in found])
        self.setCurrentIndex(found.index(self._shown) if self._shown in found else 0)
        self.blockSignals(False)
        self._on_index(self.currentIndex)

    def _on_index(self, index: int) -> None:
        node = self._nodes[index] if 0 <= index < len(self._nodes) else None
        if node is not self._shown:
            self._shown = node
            self.currentNodeChanged.emit(node)


class QMRMLCheckableNodeComboBox(QMRMLNodeComboBox):
    """Nodes of which several can be ticked."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._ticked: set[str] = set()

    def checkedNodes(self) -> list[Any]:  # noqa: N802
        return [node for node in self._nodes if node is not None and node.GetID() in self._ticked]

    def setCheckState(self, node: Any, state: Any) -> None:  # noqa: N802
        (self._ticked.add if state else self._ticked.discard)(node.GetID())


class QMRMLSegmentSelectorWidget(with_habits(QWidget)):
    """A segmentation and one of its segments; the first one is taken when a segmentation is chosen."""

    currentNodeChanged = Signal(object)  # noqa: N815
    currentSegmentChanged = Signal(str)  # noqa: N815
    own_signals: ClassVar[dict[str, str]] = {
        "currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged",
        "currentSegmentChanged(QString)": "currentSegmentChanged",
    }

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._node: Any = None
        self._observed: tuple[Any, list[int]] | None = None
        self._ids: list[str] = [""]
        self._nodes, self._segments = QMRMLNodeComboBox(self), QComboBox(self)
        self._nodes.nodeTypes = ("vtkMRMLSegmentationNode",)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._nodes)
        layout.addWidget(self._segments)
        self._nodes.currentNodeChanged.connect(self._on_node)
        self._segments.currentIndexChanged.connect(self._on_index)

    def setMRMLScene(self, scene: Any) -> None:  # noqa: N802
        self._nodes.setMRMLScene(scene)

    def currentNode(self) -> Any:  # noqa: N802
        return self._nodes.currentNode()

    def setCurrentNode(self, node: Any) -> None:  # noqa: N802
        self._nodes.setCurrentNode(node)

    def currentSegmentID(self) -> str:  # noqa: N802
        index = self._segments.currentIndex()
        return self._ids[index] if 0 <= index < len(self._ids) else ""

    def setCurrentSegmentID(self, identifier: str) -> None:  # noqa: N802
        if identifier in self._ids:
            self._segments.setCurrentIndex(self._ids.index(identifier))

    def _on_node(self, node: Any) -> None:
        if self._observed is not None:
            segmentation, tags = self._observed
            for tag in tags:
                segmentation.RemoveObserver(tag)
        self._observed, self._node = None, node
        if node is not None:
            segmentation = node.GetSegmentation()
            events = (segmentation.SegmentAdded, segmentation.SegmentRemoved)
            self._observed = segmentation, [segmentation.AddObserver(e, lambda *_: self._fill()) for e in events]
        self._fill(first=True)
        self.currentNodeChanged.emit(node)

    def _fill(self, *, first: bool = False) -> None:
        before = self.currentSegmentID()
        known = () if self._node is None else self._node.GetSegmentation().GetSegmentIDs()
        self._segments.blockSignals(True)
        self._segments.clear()
        self._ids = ["", *known]
        self._segments.addItems(["None", *known])
        wanted = before if before in self._ids and not first else self._ids[min(1, len(known))]
        self._segments.setCurrentIndex(self._ids.index(wanted))
        self._segments.blockSignals(False)
        if wanted != before:
            self.currentSegmentChanged.emit(wanted)

    def _on_index(self, _index: int) -> None:
        self.currentSegmentChanged.emit(self.currentSegmentID())


CUSTOM: dict[str, type] = {
    "ctkCollapsibleButton": CtkCollapsibleButton,
    "qMRMLWidget": QMRMLWidget,
    "qMRMLCheckableNodeComboBox": QMRMLCheckableNodeComboBox,
    "qMRMLNodeComboBox": QMRMLNodeComboBox,
    "qMRMLSegmentSelectorWidget": QMRMLSegmentSelectorWidget,
}


class _Loader(QUiLoader):
    def createWidget(self, name: str, parent: Any = None, object_name: str = "") -> Any:  # noqa: N802
        widget = (CUSTOM | CLASSES)[name](parent)  # an unknown class is an error in Slicer, too
        widget.setObjectName(object_name)
        self.made.append(widget)
        return widget


def load_ui(path: str) -> Any:
    """The form's root widget, its connections to the scene included."""
    root = ET.fromstring(Path(path).read_text(encoding="utf-8"))
    connections = root.find("connections")
    receivers = tuple(connection.findtext("receiver") for connection in connections)
    root.remove(connections)  # they name signals with MRML types, which are no Qt types here
    buffer = QBuffer()
    buffer.setData(QByteArray(ET.tostring(root)))
    loader = _Loader()
    loader.made = []
    widget = loader.load(buffer)
    widget.receivers, widget.made = receivers, loader.made
    return widget


def child_widget_variables(widget: Any) -> Any:
    """The named children as attributes, as Slicer's function gives them."""
    return types.SimpleNamespace(**{QObject.objectName(child): child for child in _named(widget)})


def _named(widget: Any) -> list[Any]:
    return [child for child in widget.findChildren(QWidget) if QObject.objectName(child).isidentifier()]


__all__ = ["CUSTOM", "Habits", "child_widget_variables", "load_ui"]
