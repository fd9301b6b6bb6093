import json
import math
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from known_shapes import ellipse_contour

from dals.errors import DalsError, DalsWarning, InputError, OutputError
from dals.io.markups import read_contours, read_control_points, write_contours
from dals.observations.contours import Contour

SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)
SQUARE = [[10.0, 0, 5], [0, 10, 5], [-10, 0, 5], [0, -10, 5]]


def _document(points=SQUARE, **changes):
    markup = {
        "type": "ClosedCurve",
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "controlPoints": [{"position": list(point), "positionStatus": "defined"} for point in points],
    }
    markup.update(changes)
    return {"@schema": SCHEMA, "markups": [{k: v for k, v in markup.items() if v is not None}]}


def _file(tmp_path, document, name="liver.mrk.json"):
    path = tmp_path / name
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


@pytest.mark.parametrize(
    ("system", "flipped"),
    [("LPS", True), ("RAS", False), ("0", False), ("1", True), (0, False), (1, True), (None, True)],
)
def test_coordinate_systems_as_slicer_takes_them(tmp_path, system, flipped):
    (contour,) = read_contours(_file(tmp_path, _document(coordinateSystem=system)))
    sign = [-1, -1, 1] if flipped else [1, 1, 1]
    np.testing.assert_allclose(contour.control_points, np.array(SQUARE) * sign)
    assert contour.points.shape == (40, 3)
    assert contour.name == "liver"


@pytest.mark.parametrize("units", ["mm", None, ["mm", "UCUM", "millimeter"]])
def test_millimetres_in_every_spelling(tmp_path, units):
    assert len(read_contours(_file(tmp_path, _document(coordinateUnits=units)))) == 1


@pytest.mark.parametrize("units", ["um", "m", ["um", "UCUM", "micrometer"], 3, []])
def test_other_units_are_refused(tmp_path, units):
    with pytest.raises(InputError, match="millimetres"):
        read_contours(_file(tmp_path, _document(coordinateUnits=units)))


def test_only_defined_points_count(tmp_path):
    document = _document()
    control = document["markups"][0]["controlPoints"]
    control.insert(1, {"position": [99, 99, 99], "positionStatus": "undefined"})
    control.insert(3, {"position": [99, 99, 99], "positionStatus": "preview"})
    control.append({"position": "", "positionStatus": "missing"})
    control.append({"label": "no position"})
    del control[0]["positionStatus"]
    (contour,) = read_contours(_file(tmp_path, document))
    assert len(contour.control_points) == 4


def test_round_trip_of_several_curves(tmp_path):
    contours = [ellipse_contour(axis, 3.0, count=28) for axis in range(3)]
    write_contours(tmp_path / "all.mrk.json", contours)
    back = read_contours(tmp_path / "all.mrk.json")
    assert [contour.name for contour in back] == ["sagittal", "coronal", "axial"]
    for one, other in zip(contours, back, strict=True):
        np.testing.assert_allclose(other.control_points, one.points, atol=1e-9)
        assert len(other.points) == 280


def test_written_files_say_what_slicer_needs(tmp_path):
    write_contours(tmp_path / "a.mrk.json", [Contour(np.array(SQUARE), np.array(SQUARE), "axial")])
    document = json.loads((tmp_path / "a.mrk.json").read_text())
    assert document["@schema"] == SCHEMA
    (markup,) = document["markups"]
    assert (markup["type"], markup["coordinateSystem"], markup["coordinateUnits"]) == ("ClosedCurve", "LPS", "mm")
    first = markup["controlPoints"][0]
    assert first["position"] == [-10.0, 0.0, 5.0]
    assert first["positionStatus"] == "defined"
    assert len(first["orientation"]) == 9


def test_writing_to_nowhere(tmp_path):
    with pytest.raises(OutputError, match="does not exist"):
        write_contours(tmp_path / "no" / "a.mrk.json", [])


def test_an_open_curve_is_a_stretch_of_an_outline(tmp_path):
    (contour,) = read_contours(_file(tmp_path, _document(type="Curve")))
    assert not contour.closed
    assert len(contour.points) == 10 * (len(contour.control_points) - 1) + 1
    np.testing.assert_allclose(contour.points[[0, -1]], contour.control_points[[0, -1]], atol=1e-9)
    write_contours(tmp_path / "again.mrk.json", [contour])
    (again,) = read_contours(tmp_path / "again.mrk.json")
    assert not again.closed
    np.testing.assert_allclose(again.points, contour.points, atol=1e-9)


def test_other_markups_beside_a_curve_are_passed_over_aloud(tmp_path):
    document = _document()
    document["markups"].append({"type": "Fiducial", "controlPoints": []})
    with pytest.warns(DalsWarning, match="Fiducial"):
        assert len(read_contours(_file(tmp_path, document))) == 1


@pytest.mark.parametrize(
    ("document", "match"),
    [
        ("", "not a Slicer markups file"),
        ("no json", "not a Slicer markups file"),
        ("[1, 2]", "not a Slicer markups file"),
        ('{"a": 1}', "not a Slicer markups file"),
        ('{"markups": 5}', "not a Slicer markups file"),
        ('{"markups": [5]}', "not a Slicer markups file"),
        ('{"markups": []}', "no curve"),
        ("[" * 100_000, "not a Slicer markups file"),
        ({**_document(), "@schema": "https://example.org/other.json#"}, "schema"),
        ({**_document(), "@schema": "markups-schema-v2.0.0.json#"}, "version 1"),
        (_document(type="Fiducial"), "no curve, only Fiducial"),
        (_document(coordinateSystem="IJK"), "coordinate system"),
        (_document(points=SQUARE[:2]), r"2 defined point\(s\)"),
        (_document(points=[]), "at least 3"),
        (_document(points=[SQUARE[0]] * 5), "1 different points"),
        (_document(points=[[0, 0, 0], [1, 1, 1], [2, 2, 2]]), "straight line"),
        (_document(points=[*SQUARE, [math.nan, 0, 0]]), "finite"),
        (_document(points=[*SQUARE, [math.inf, 0, 0]]), "finite"),
        (_document(points=[*SQUARE, [10**400, 0, 0]]), "finite"),
        (_document(points=[*SQUARE, [1e200, 0, 0]]), "patient"),
        (_document(points=[*SQUARE, [1, 2]]), "three numbers"),
        (_document(points=[*SQUARE, ["1", "2", "3"]]), "three numbers"),
        (_document(controlPoints={}), "control points"),
        (_document(controlPoints=[7]), "not an object"),
        (_document(controlPoints=[{"position": [1, 2, 3], "positionStatus": "maybe"}]), "position status"),
    ],
)
def test_bad_files(tmp_path, document, match):
    with pytest.raises(InputError, match=match):
        read_contours(_file(tmp_path, document))


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_contours(tmp_path / "no.mrk.json")
    with pytest.raises(InputError, match="is a folder"):
        read_contours(tmp_path)


def test_binary_rubbish(tmp_path):
    (tmp_path / "a.mrk.json").write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match="not a Slicer markups file"):
        read_control_points(tmp_path / "a.mrk.json")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=6,
)
FUZZ = settings(
    max_examples=150, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


def _read_or_refused(path):
    """What there is to check of the result: the points, or the sentence that refuses the file."""
    try:
        contours = read_contours(path)
    except DalsError as error:
        return str(error)
    return np.concatenate([contour.points for contour in contours])


def _is_sound(outcome):
    return bool(outcome.strip()) if isinstance(outcome, str) else bool(len(outcome) and np.isfinite(outcome).all())


@FUZZ
@pytest.mark.filterwarnings("ignore::dals.errors.DalsWarning")
@given(data=st.data())
def test_fuzz_any_value_in_any_place(tmp_path_factory, data):
    document = _document()
    markup = document["markups"][0]
    place = data.draw(st.sampled_from([document, markup, markup["controlPoints"][1]]))
    place[data.draw(st.sampled_from(sorted(place)))] = data.draw(JSON)
    path = tmp_path_factory.getbasetemp() / "fuzz.mrk.json"
    path.write_text(json.dumps(document))
    assert _is_sound(_read_or_refused(path))


@FUZZ
@pytest.mark.filterwarnings("ignore::dals.errors.DalsWarning")
@given(data=st.data())
def test_fuzz_cut_and_overwritten_bytes(tmp_path_factory, data):
    content = bytearray(json.dumps(_document()).encode())
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "bytes.mrk.json"
    path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    assert _is_sound(_read_or_refused(path))


def test_a_curve_of_very_many_points_is_read_in_no_time(tmp_path):
    """It took minutes, growing with the square of the number."""
    angle = np.linspace(0, 2 * np.pi, 60_000, endpoint=False)
    points = 80 * np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    write_contours(tmp_path / "a.mrk.json", [Contour(points, name="traced")])
    began = time.process_time()
    (contour,) = read_contours(tmp_path / "a.mrk.json")
    assert time.process_time() - began < 5.0  # a search of every pair took minutes
    np.testing.assert_allclose(contour.points, points, atol=1e-6)
