"""A stand-in for `slicer.parameterNodeWrapper`: typed attributes kept by a parameter node and bound to widgets.

As in Slicer, values are remembered until the parameter node is modified, a union takes None only if it says so,
and what a validator refuses raises ValueError.
"""

from __future__ import annotations

import types
import typing
import weakref
from dataclasses import dataclass
from typing import Any

import slicer

_RESERVED = ("allParameters", "default", "isCached", "dataType", "getValue", "setValue", "connectGui")
_RESERVED += ("disconnectGui", "connectParametersToGui", "StartModify", "EndModify", "AddObserver", "RemoveObserver")


@dataclass(frozen=True)
class Choice:
    choices: list[Any]

    def validate(self, value: Any) -> None:
        if value not in self.choices:
            raise ValueError(f"{value!r} is none of {self.choices}")


@dataclass(frozen=True)
class WithinRange:
    minimum: float
    maximum: float

    def validate(self, value: Any) -> None:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"{value!r} is not between {self.minimum} and {self.maximum}")


class _Kind:
    """A type with its validators: how a value is written to a parameter node and read from it."""

    def __init__(self, annotation: Any) -> None:
        arguments = typing.get_args(annotation) if hasattr(annotation, "__metadata__") else (annotation,)
        self.type, self.validators = arguments[0], arguments[1:]
        options = typing.get_args(self.type)
        self.nodes = tuple(t for t in options or (self.type,) if issubclass(t, slicer.vtkMRMLNode))
        self.takes_none = bool(self.nodes) and (not options or type(None) in options)

    def initial(self) -> Any:
        return None if self.nodes else self.type()

    def check(self, value: Any) -> None:
        if value is None and not self.takes_none:
            raise TypeError(f"Unable to write value 'None' of type '{type(value)}'")
        wanted = self.nodes or ((int, float) if self.type is float else self.type)
        if value is not None and not isinstance(value, wanted):
            raise TypeError(f"{value!r} is no {wanted}")
        for validator in self.validators:
            validator.validate(value)

    def write(self, node: Any, name: str, value: Any) -> None:
        self.check(value)
        if self.nodes:
            node.SetParameter(name, "")
            node.SetNodeReferenceID(name, None if value is None else value.GetID())
        else:
            node.SetParameter(name, str(value))

    def read(self, node: Any, name: str) -> Any:
        if self.nodes:
            return node.GetNodeReference(name)
        text = node.GetParameter(name)
        return text == "True" if self.type is bool else self.type(text)


def parameter_node_wrapper(wrapped: type) -> type:
    """The decorator."""
    hints = typing.get_type_hints(wrapped, include_extras=True)
    kinds = {name: _Kind(annotation) for name, annotation in hints.items()}
    defaults = {name: getattr(wrapped, name, kind.initial()) for name, kind in kinds.items()}
    for name, kind in kinds.items():
        if name in _RESERVED:
            raise ValueError(f"Cannot use reserved name '{name}'")
        kind.check(defaults[name])
    members: dict[str, Any] = {name: _attribute(name) for name in kinds}
    members |= {"__doc__": wrapped.__doc__, "kinds": kinds, "defaults": defaults}
    return type(wrapped.__name__, (_Wrapper,), members)


def _attribute(name: str) -> property:
    return property(lambda self: self._values[name], lambda self, value: self._write(name, value))


class _Wrapper:
    kinds: dict[str, _Kind]
    defaults: dict[str, Any]

    def __init__(self, parameterNode: Any) -> None:
        self.parameterNode = parameterNode
        self._values: dict[str, Any] = {}
        self._guis: dict[int, dict[str, Any]] = {}
        self._next_tag = 0
        self._showing = False
        self._read()
        # Weakly, and taken away at the end, as Slicer's does: the node outlives what it would call.
        this = weakref.ref(self)
        self._tags = [parameterNode.AddObserver("ModifiedEvent", lambda *_: this() and this()._read())]

    def __del__(self) -> None:
        for tag in self._tags:
            self.parameterNode.RemoveObserver(tag)

    def _read(self) -> None:
        for name, kind in self.kinds.items():
            if not self.parameterNode.HasParameter(name):
                kind.write(self.parameterNode, name, self.defaults[name])
            self._values[name] = kind.read(self.parameterNode, name)

    def _write(self, name: str, value: Any) -> None:
        with slicer.util.NodeModify(self.parameterNode):
            self.kinds[name].write(self.parameterNode, name, value)
            self._values[name] = self.kinds[name].read(self.parameterNode, name)

    def connectGui(self, gui: Any) -> None:  # noqa: N802
        """Gives no tag, as in Slicer (issue 7547)."""
        named = ((widget.property("SlicerParameterName"), widget) for widget in vars(gui).values())
        self.connectParametersToGui({name: widget for name, widget in named if name})

    def connectParametersToGui(self, mapping: dict[str, Any]) -> int:  # noqa: N802
        for name in mapping:
            if name not in self.kinds:
                raise ValueError(f"Cannot find a param with the given name: {name}")
        tag, self._next_tag = self._next_tag, self._next_tag + 1
        bound = {name: _connector(widget, self.kinds[name]) for name, widget in mapping.items()}
        self._guis[tag] = bound
        self._show()
        for name, connector in bound.items():
            connector.bind(lambda name=name, connector=connector: self._on_gui(name, connector))
        # As in Slicer: this keeps the wrapper alive, and nobody takes it away when the widgets are disconnected.
        self.AddObserver("ModifiedEvent", lambda *_: self._show())
        return tag

    def disconnectGui(self, tag: Any) -> None:  # noqa: N802
        """A tag that is none is passed over, as in Slicer."""
        for connector in self._guis.pop(tag, {}).values():
            connector.unbind()

    def _show(self) -> None:
        if not self._showing:
            self._showing = True
            try:
                for bound in self._guis.values():
                    for name, connector in bound.items():
                        connector.write(self._values[name])
            finally:
                self._showing = False

    def _on_gui(self, name: str, connector: Any) -> None:
        if not self._showing:
            self._write(name, connector.read())

    def StartModify(self) -> Any:  # noqa: N802
        return self.parameterNode.StartModify()

    def EndModify(self, state: Any) -> None:  # noqa: N802
        self.parameterNode.EndModify(state)

    def AddObserver(self, event: Any, callback: Any, priority: float = 0.0) -> int:  # noqa: N802
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag: int) -> None:  # noqa: N802
        self.parameterNode.RemoveObserver(tag)


class _Connector:
    """A widget that shows one value."""

    def __init__(self, signal: Any, read: Any, write: Any) -> None:
        self._signal, self.read, self.write = signal, read, write
        self._slot: Any = None

    def bind(self, slot: Any) -> None:
        self._slot = lambda *_: slot()
        self._signal.connect(self._slot)

    def unbind(self) -> None:
        self._signal.disconnect(self._slot)


def _connector(widget: Any, kind: _Kind) -> _Connector:
    """Which widget can show what, as in Slicer's connectors."""
    class_ = type(widget).__name__
    if class_ == "QCheckBox" and kind.type is bool:
        return _Connector(widget.stateChanged, lambda: widget.checked, lambda value: setattr(widget, "checked", value))
    if (class_, kind.type) in (("QSpinBox", int), ("QDoubleSpinBox", float)):
        limits = next(v for v in kind.validators if isinstance(v, WithinRange))
        widget.setRange(limits.minimum, limits.maximum)
        return _Connector(widget.valueChanged, lambda: widget.value, lambda value: setattr(widget, "value", value))
    if class_ == "QComboBox" and kind.type is str:
        choices = next(v for v in kind.validators if isinstance(v, Choice)).choices
        widget.clear()
        widget.addItems(choices)
        return _Connector(
            widget.currentIndexChanged,
            lambda: choices[widget.currentIndex],
            lambda value: setattr(widget, "currentIndex", choices.index(value)),
        )
    if class_ == "QMRMLNodeComboBox" and kind.nodes:
        widget.nodeTypes = tuple(node().GetClassName() for node in kind.nodes)
        return _Connector(widget.currentNodeChanged, widget.currentNode, widget.setCurrentNode)
    raise RuntimeError(f"Unable to create GUI connector from {kind.type} to {class_}")


def make_module() -> types.ModuleType:
    """The module `slicer.parameterNodeWrapper`."""
    module = types.ModuleType("slicer.parameterNodeWrapper")
    module.Choice, module.WithinRange = Choice, WithinRange
    module.parameterNodeWrapper = parameter_node_wrapper
    return module
