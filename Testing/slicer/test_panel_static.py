"""The panel's code and form against each other and against Slicer's interfaces, without running them."""

from __future__ import annotations

import ast
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

MODULE = Path(__file__).resolve().parents[2] / "DALSRefine"
LIBRARY = MODULE / "DALSRefineLib"
FILES = (
    *sorted((LIBRARY / "panel").glob("[!_]*.py")),
    *sorted((LIBRARY / "self_test").glob("[!_]*.py")),
    *(LIBRARY / f"{name}.py" for name in ("install", "sample_data")),
    MODULE / "DALSRefine.py",
)
FORM = ET.parse(MODULE / "Resources" / "UI" / "DALSRefine.ui").getroot()
WIDGETS = {widget.get("name"): widget for widget in FORM.iter("widget")}

PROVIDED_BY_SLICER = {"ctkCollapsibleButton", "qMRMLNodeComboBox", "qMRMLSegmentSelectorWidget", "qMRMLWidget"}
PROVIDED_BY_SLICER |= {"qMRMLCheckableNodeComboBox"}
QT = {"QWidget", "QFrame", "QLabel", "QPushButton", "QCheckBox", "QComboBox", "QSpinBox", "QDoubleSpinBox"}
QT |= {"QTableWidget", "QTabWidget", "QProgressBar", "QSlider"}
NEED_A_SCENE = {"qMRMLNodeComboBox", "qMRMLCheckableNodeComboBox", "qMRMLSegmentSelectorWidget"}
NEED_A_TOOL_TIP = {"QPushButton", "QCheckBox", "QComboBox", "QSpinBox", "QDoubleSpinBox", "QTableWidget"} | NEED_A_SCENE
NEED_A_TOOL_TIP |= {"QSlider"}
REPRESENTS = {"QCheckBox": "bool", "QSpinBox": "int", "QDoubleSpinBox": "float", "QComboBox": "Choice"}
SIGNALS = {
    "QPushButton": {"clicked(bool)", "toggled(bool)"},
    "QComboBox": {"currentIndexChanged(int)"},
    "QCheckBox": {"toggled(bool)"},
    "QSlider": {"valueChanged(int)", "sliderReleased()"},
    "QSpinBox": {"valueChanged(int)"},
    "QShortcut": {"activated()"},
    "QTableWidget": {"itemChanged(QTableWidgetItem*)", "itemSelectionChanged()", "cellClicked(int,int)"},
    "QTabWidget": {"currentChanged(int)"},
    "QLabel": {"linkActivated(QString)"},
    "QTimer": {"timeout()"},
    "qMRMLSegmentSelectorWidget": {"currentNodeChanged(vtkMRMLNode*)", "currentSegmentChanged(QString)"},
    "qMRMLNodeComboBox": {"currentNodeChanged(vtkMRMLNode*)"},
    "qSlicerApplication": {"startupCompleted()"},
}
OTHER_SENDERS = {  # what connects a signal and is no widget by its name in the form
    "button": "QPushButton",
    "selector": "qMRMLSegmentSelectorWidget",
    "shortcut": "QShortcut",
    "table": "QTableWidget",
    "box": "QComboBox",
    "_timer": "QTimer",
    "app": "qSlicerApplication",
}
RESERVED = {"allParameters", "default", "isCached", "dataType", "getValue", "setValue", "connectGui", "disconnectGui"}
RESERVED |= {"connectParametersToGui", "StartModify", "EndModify", "AddObserver", "RemoveObserver", "Modified"}
RESERVED |= {"parameterNode"}
HEAVY = {"torch", "scipy", "SimpleITK", "numpy", "safetensors"}
TRANSLATES = {"_", "translate"}
DISPLAYS = {"errorDisplay", "infoDisplay", "warningDisplay", "confirmYesNoDisplay"}
PROPER_NAMES = {"DALSRefine"}


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=path.name)


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def name_of(node: ast.AST) -> str:
    """The last part of a dotted name."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def property_of(widget: ET.Element, name: str) -> ET.Element | None:
    return next((each for each in widget.findall("property") if each.get("name") == name), None)


def parameters() -> dict[str, str]:
    """Annotations of the parameter node's attributes, as text."""
    (wrapped,) = (node for node in tree_of(LIBRARY / "panel" / "parameters.py").body if isinstance(node, ast.ClassDef))
    return {n.target.id: ast.unparse(n.annotation) for n in wrapped.body if isinstance(n, ast.AnnAssign)}


# --- the form


def test_names_are_unique():
    assert len(WIDGETS) == len(list(FORM.iter("widget")))


def test_widget_classes_exist_in_slicer():
    custom = {each.findtext("class") for each in FORM.iter("customwidget")}
    assert custom <= PROVIDED_BY_SLICER
    assert {widget.get("class") for widget in WIDGETS.values()} <= QT | custom


@pytest.mark.parametrize("name", [n for n, w in WIDGETS.items() if w.get("class") in NEED_A_TOOL_TIP])
def test_what_can_be_used_has_a_tool_tip(name):
    tip = property_of(WIDGETS[name], "toolTip")
    assert tip is not None
    assert len(tip.findtext("string", "")) > 10


def test_what_needs_the_scene_is_connected_with_it():
    connected = set()
    for each in FORM.iter("connection"):
        sender, receiver = each.findtext("sender"), each.findtext("receiver")
        assert WIDGETS[sender].get("class") == "qMRMLWidget"
        assert each.findtext("signal") == "mrmlSceneChanged(vtkMRMLScene*)"
        assert each.findtext("slot") == "setMRMLScene(vtkMRMLScene*)"
        connected.add(receiver)
    assert connected == {name for name, widget in WIDGETS.items() if widget.get("class") in NEED_A_SCENE}


def test_names_for_slicer_are_not_for_translators():
    found = 0
    for widget in WIDGETS.values():
        for name in ("nodeTypes", "SlicerParameterName"):
            value = property_of(widget, name)
            if value is not None:
                assert value[0].get("notr") == "true", (widget.get("name"), name)
                found += 1
    assert found > 15


# --- the parameter node


def bound_widgets() -> list[tuple[str, str, str]]:
    rows = []
    for name, widget in WIDGETS.items():
        bound = property_of(widget, "SlicerParameterName")
        if bound is not None:
            assert bound.get("stdset") == "0", "a dynamic property"
            rows.append((name, widget.get("class"), bound.findtext("string")))
    return rows


@pytest.mark.parametrize(("widget", "class_name", "parameter"), bound_widgets())
def test_a_bound_widget_can_show_its_parameter(widget, class_name, parameter):
    annotation = parameters()[parameter]
    if class_name == "qMRMLNodeComboBox":
        shown = [each.text for each in property_of(WIDGETS[widget], "nodeTypes").iter("string")]
        assert shown == re.findall(r"vtkMRML\w+", annotation)
    else:
        assert re.search(rf"\b{REPRESENTS[class_name]}\b", annotation)
    if class_name in ("QSpinBox", "QDoubleSpinBox"):
        assert "WithinRange" in annotation


def test_a_parameter_is_bound_once():
    names = [parameter for _, _, parameter in bound_widgets()]
    assert len(names) == len(set(names)) > 8


def test_names_of_parameters_are_free():
    assert not set(parameters()) & RESERVED


def test_unions_of_nodes_can_be_unset():
    # Slicer's serializer of a union writes None, the initial value, only if the union names it.
    unions = [text for text in parameters().values() if "Union" in text]
    assert unions
    assert all(text.rstrip("]").endswith("None") for text in unions)


def test_annotations_are_no_text():
    # Slicer evaluates them, which fails for names that only the function knows
    assert "from __future__" not in (LIBRARY / "panel" / "parameters.py").read_text(encoding="utf-8")


# --- the code


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_widgets_in_the_code_are_in_the_form(path):
    used = {
        node.attr
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute) and name_of(node.value) in ("ui", "_ui")
    }
    assert used <= set(WIDGETS)


def test_widgets_that_are_looked_up_by_name_are_in_the_form():
    (table,) = (
        node.value
        for node in tree_of(LIBRARY / "panel" / "source_section.py").body
        if isinstance(node, ast.Assign) and name_of(node.targets[0]) == "_SELECTORS"
    )
    for widget, names in ast.literal_eval(table).items():
        assert WIDGETS[widget].get("class") == "qMRMLSegmentSelectorWidget"
        assert set(names) <= set(parameters())


def test_every_widget_for_pressing_and_choosing_is_used():
    code = "".join(path.read_text(encoding="utf-8") for path in FILES)
    bound = {name for name, _, _ in bound_widgets()}
    idle = {n for n, w in WIDGETS.items() if w.get("class") in NEED_A_TOOL_TIP and n not in bound and n not in code}
    assert not idle


def connections() -> list[tuple[str, str, ast.AST, ast.Module]]:
    rows = []
    for path in FILES:
        tree = tree_of(path)
        for call in calls(tree):
            if name_of(call.func) == "connect" and isinstance(call.args[0], ast.Constant):
                sender = name_of(call.func.value)
                class_name = OTHER_SENDERS.get(sender) or WIDGETS[sender].get("class")
                rows.append((class_name, call.args[0].value, call.args[1], tree))
    return rows


def test_signals_exist_and_slots_do_too():
    rows = connections()
    assert len(rows) > 10
    for class_name, signal, slot, tree in rows:
        assert signal in SIGNALS[class_name], (class_name, signal)
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert isinstance(slot, ast.Lambda) or name_of(slot) in functions, ast.unparse(slot)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_actions_are_methods(path):
    tree = tree_of(path)
    for class_ in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and not node.bases):
        known = {node.name for node in class_.body if isinstance(node, ast.FunctionDef)}
        known |= {
            node.attr
            for node in ast.walk(class_)
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and name_of(node.value) == "self"
        }
        used = {n.attr for n in ast.walk(class_) if isinstance(n, ast.Attribute) and name_of(n.value) == "self"}
        assert used <= known


# --- translation


def bare_texts(node: ast.AST) -> list[str]:
    """Words in an expression that no translation sees."""
    if isinstance(node, ast.Call) and name_of(node.func) in TRANSLATES:
        return []
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        text = re.sub(r"<[^>]*>|\{[^}]*\}", "", node.value)
        return [node.value] if re.search(r"[A-Za-z]{2}", text) and text not in PROPER_NAMES else []
    if isinstance(node, ast.Attribute | ast.Subscript):
        return bare_texts(node.value)  # a key is for no reader
    if isinstance(node, ast.Compare):
        return []
    return [text for child in ast.iter_child_nodes(node) for text in bare_texts(child)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_people_read_is_translated(path):
    bare = []
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                pairs = [(target, node.value)]
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    pairs = list(zip(target.elts, node.value.elts, strict=True))
                bare += [t for to, value in pairs if name_of(to) in ("text", "toolTip") for t in bare_texts(value)]
        elif isinstance(node, ast.Call) and name_of(node.func) in DISPLAYS:
            bare += [text for argument in node.args for text in bare_texts(argument)]
            bare += [text for keyword in node.keywords for text in bare_texts(keyword.value)]
        elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and path.parent.name != "self_test":
            bare += [text for argument in node.exc.args for text in bare_texts(argument)]
    assert not bare


@pytest.mark.parametrize("path", [*sorted(LIBRARY.rglob("*.py")), MODULE / "DALSRefine.py"], ids=lambda path: path.stem)
def test_a_translated_text_is_whole(path):
    # Slicer's script takes the literals from calls of `_`, and of nothing else: values have to be put in afterwards.
    tree, code = tree_of(path), path.read_text(encoding="utf-8")
    for call in calls(tree):
        assert name_of(call.func) != "tr", ast.unparse(call)
        if name_of(call.func) == "_":
            (text,) = call.args
            assert isinstance(text, ast.Constant), ast.unparse(call)
            written = ast.get_source_segment(code, call) or ""
            assert re.fullmatch(r'_\(\s*".+"\s*\)', written, re.DOTALL), f"{written}: not even a comma may follow"
    stored = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    assert "_" not in stored or not any(name_of(call.func) == "_" for call in calls(tree)), "_ is the translation"


# --- imports


def test_an_older_python_can_read_the_entry_points():
    """Slicer 5.8 comes with Python 3.9 or 3.11, as it was built; 3.9 shall get a sentence, not a traceback."""
    ast.parse((MODULE / "DALSRefine.py").read_text(encoding="utf-8"), feature_version=(3, 9))
    assert "DALSRefineLib" not in {name.split(".")[0] for name in imported_at_once(MODULE / "DALSRefine.py")}


def imported_at_once(path: Path) -> set[str]:
    """Modules that importing a file imports, what it imports of this project included."""
    found: set[str] = set()
    waiting, seen = [path], set()
    while waiting:
        file = waiting.pop()
        if file in seen:
            continue
        seen.add(file)
        for node in tree_of(file).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            for name in names:
                found.add(name.split(".")[0])
                base = MODULE.joinpath(*name.split("."))
                waiting += [each for each in (base.with_suffix(".py"), base / "__init__.py") if each.is_file()]
    return found


@pytest.mark.parametrize("path", [MODULE / "DALSRefine.py", LIBRARY / "sample_data.py"], ids=lambda path: path.stem)
def test_slicer_starts_as_fast_as_before(path):
    """The module's file is imported when Slicer starts, and the sample is registered."""
    found = imported_at_once(path)
    assert "slicer" in found
    assert not found & HEAVY
