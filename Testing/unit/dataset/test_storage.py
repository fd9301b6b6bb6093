"""Data sets: made from a folder of cases, gone on with, and read back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from dals.dataset.normalisation import NormalisedShape, canonical
from dals.dataset.preparation import prepare
from dals.dataset.storage import load_dataset, read_index, read_shape, shape_path, write_index, write_shape
from dals.errors import DatasetError, InputError, OutputError
from dals.geometry.label_map import LabelMap
from dals.geometry.mesh import TriangleMesh
from dals.io.input_files import find_sources, unique_names
from dals.io.label_maps import write_label_map
from dals.io.meshes import write_mesh
from dals.model.template import icosphere


def ball(radius: float, x: float = 0.0) -> TriangleMesh:
    template = icosphere(3)
    return TriangleMesh(radius * template.vertices + np.array([x, 0.0, 0.0]), template.faces)


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    folder = tmp_path / "cases"
    folder.mkdir()
    write_mesh(folder / "a.ply", ball(12, 100), space="RAS")
    write_mesh(folder / "b.stl", ball(14), space="RAS")
    index = np.stack(np.meshgrid(*[np.arange(30.0)] * 3, indexing="ij"), axis=-1)
    inside = np.linalg.norm(index - 15, axis=-1) < 10
    write_label_map(folder / "c.nii.gz", LabelMap(inside, np.eye(4)), label=2)
    (folder / "broken.ply").write_text("ply\nnonsense\n")
    (folder / "notes.txt").write_text("no case")
    return folder


def test_prepare_then_load(cases: Path, tmp_path: Path) -> None:
    calls: list[tuple[int, int, str, str | None]] = []
    out = tmp_path / "out"
    report = prepare([cases], out, workers=1, progress=lambda *call: calls.append(call))
    assert report.prepared == ("a", "b", "c")
    assert list(report.skipped) == ["broken"]
    assert report.usable == 3
    assert [call[:2] for call in calls] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert {call[2] for call in calls if call[3]} == {"broken"}
    shapes = load_dataset(out)
    assert [shape.name for shape in shapes] == ["a", "b", "c"]
    np.testing.assert_allclose(shapes[0].centre_mm, [100, 0, 0], atol=0.1)
    assert shapes[1].scale_mm == pytest.approx(14, abs=0.4)
    assert shapes[2].volume_ml == pytest.approx(4 / 3 * np.pi, rel=0.03)
    index = read_index(out)
    assert index["shapes"]["c"]["source"] == "c.nii.gz"
    assert "broken" in index["skipped"]
    assert str(tmp_path) not in (out / "dataset.json").read_text().replace(index["skipped"]["broken"], "")


def test_second_run_makes_only_what_is_missing_or_changed(cases: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare([cases], out, workers=1)
    again = prepare([cases], out, workers=1)
    assert again.prepared == ()
    assert again.already_there == ("a", "b", "c")

    shape_path(out, "a").unlink()
    shape_path(out, "c").write_bytes(b"cut off")
    write_mesh(cases / "b.stl", ball(20), space="RAS")
    report = prepare([cases], out, workers=1)
    assert report.prepared == ("a", "b", "c")
    assert load_dataset(out, names=["b"])[0].scale_mm == pytest.approx(20, abs=0.4)

    other = prepare([cases / "c.nii.gz"], out, labels=[1, 2], workers=1)
    assert other.prepared == ("c",)
    assert len(load_dataset(out)) == 3  # the others stay


def test_shape_of_a_source_that_went_bad_is_withdrawn(cases: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare([cases], out, workers=1)
    (cases / "a.ply").write_text("gone")
    report = prepare([cases], out, workers=1)
    assert set(report.skipped) == {"a", "broken"}
    assert [shape.name for shape in load_dataset(out)] == ["b", "c"]


def test_two_processes_give_the_same(cases: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    code = (
        "import sys; from dals.dataset.preparation import prepare\n"
        "if __name__ == '__main__':\n"
        "    r = prepare([sys.argv[1]], sys.argv[2], workers=2); print(len(r.prepared), len(r.skipped))\n"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    package = Path(sys.modules["dals"].__path__[0]).parent
    done = subprocess.run(
        [sys.executable, str(script), str(cases), str(two)],
        env={**__import__("os").environ, "PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["3", "1"]
    prepare([cases], one, workers=1)
    for left, right in zip(load_dataset(one), load_dataset(two), strict=True):
        np.testing.assert_array_equal(left.mesh.vertices, right.mesh.vertices)


def test_labels_are_joined_and_an_absent_one_is_a_reason(tmp_path: Path) -> None:
    array = np.zeros((24, 24, 24), dtype=bool)
    array[6:18, 6:18, 6:18] = True
    write_label_map(tmp_path / "organ.nrrd", LabelMap(array, np.eye(4)), label=5)
    assert prepare([tmp_path / "organ.nrrd"], tmp_path / "x", labels=[5, 6], workers=1).prepared == ("organ",)
    assert "6" in prepare([tmp_path / "organ.nrrd"], tmp_path / "y", labels=6, workers=1).skipped["organ"]


def test_space_and_mirror(tmp_path: Path) -> None:
    lines = (tmp_path / "m.obj", ball(10, 50))
    write_mesh(*lines, space="RAS")
    plain = lines[0].read_text().splitlines()
    lines[0].write_text("\n".join(line for line in plain if not line.startswith("#")))
    prepare([lines[0]], tmp_path / "out", space="RAS", workers=1)
    prepare([lines[0]], tmp_path / "out", space="RAS", mirror=True, workers=1)
    shapes = {shape.name: shape for shape in load_dataset(tmp_path / "out")}
    assert shapes["m"].centre_mm[0] == pytest.approx(50, abs=0.1)
    assert shapes["m-mirrored"].centre_mm[0] == pytest.approx(-50, abs=0.1)
    prepare([lines[0]], tmp_path / "lps", workers=1)
    assert load_dataset(tmp_path / "lps")[0].centre_mm[0] == pytest.approx(-50, abs=0.1)


def test_sources_are_named_apart(tmp_path: Path) -> None:
    for part in ("s1/x/liver.nii.gz", "s2/x/liver.nii.gz", "s2/x/my organ.seg.nrrd"):
        (tmp_path / part).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / part).touch()
    sources = find_sources([str(tmp_path / "*" / "x" / "*"), tmp_path / "s1" / "x"])
    assert len(sources) == 3
    assert sorted(unique_names(sources)) == ["my_organ", "s1_x_liver", "s2_x_liver"]
    with pytest.raises(InputError, match="same name"):
        unique_names([tmp_path / "a.ply", tmp_path / "a.stl"])
    with pytest.raises(InputError, match="no file or folder"):
        find_sources([tmp_path / "nothing"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no mesh or label map"):
        find_sources([tmp_path / "empty"])


def test_folder_that_cannot_be_made(cases: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="Cannot make the folder"):
        prepare([cases], tmp_path / "file" / "out", workers=1)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    (tmp_path / "set" / "shapes").mkdir(parents=True)
    for name in ("p", "q"):
        write_shape(canonical(ball(10), name=name), shape_path(tmp_path / "set", name))
    write_index(tmp_path / "set", ["p", "q"], {})
    return tmp_path / "set"


def test_round_trip_of_a_shape(tmp_path: Path) -> None:
    shape = NormalisedShape("s", canonical(ball(10)).mesh, np.array([1.5, -2, 1 / 3]), 123.456789, 1500.25)
    write_shape(shape, tmp_path / "s.safetensors", metadata={"source": "s.ply"})
    back = read_shape(tmp_path / "s.safetensors")
    assert (back.name, back.scale_mm, back.volume_ml) == ("s", 123.456789, 1500.25)
    np.testing.assert_array_equal(back.centre_mm, shape.centre_mm)
    np.testing.assert_allclose(back.mesh.vertices, shape.mesh.vertices, atol=1e-6)
    np.testing.assert_array_equal(back.mesh.faces, shape.mesh.faces)


def test_selection(small: Path) -> None:
    assert [s.name for s in load_dataset(small, names=["q", "p"])] == ["q", "p"]
    assert [s.name for s in load_dataset(small, exclude=["q", "unknown"])] == ["p"]
    with pytest.raises(DatasetError, match="no shape 'r'"):
        load_dataset(small, names=["r"])
    with pytest.raises(DatasetError, match="no shape to use"):
        load_dataset(small, exclude=["p", "q"])


def test_missing_data_set(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no data set"):
        load_dataset(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"format": "other"}', '{"format": "dals-dataset"}'])
def test_damaged_list(small: Path, content: str) -> None:
    (small / "dataset.json").write_text(content)
    with pytest.raises(DatasetError, match="cannot be read"):
        load_dataset(small)


def test_newer_list(small: Path) -> None:
    index = json.loads((small / "dataset.json").read_text())
    (small / "dataset.json").write_text(json.dumps({**index, "version": 99}))
    with pytest.raises(DatasetError, match="newer"):
        load_dataset(small)


@pytest.mark.parametrize("damage", ["missing", "truncated", "foreign", "facets", "nan", "scale", "newer"])
def test_damaged_shape(small: Path, damage: str) -> None:
    path = shape_path(small, "p")
    mesh = ball(1)
    about = {"format": "dals-shape", "version": "1", "name": "p", "centre_mm": "[0, 0, 0]"}
    about |= {"scale_mm": "1.0", "volume_ml": "1.0"}
    tensors = {"vertices": mesh.vertices.astype(np.float32), "facets": mesh.faces.astype(np.int32)}
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:200])
    else:
        about["format"] = "other" if damage == "foreign" else about["format"]
        about["scale_mm"] = "nan" if damage == "scale" else "1.0"
        about["version"] = "7" if damage == "newer" else "1"
        if damage == "facets":
            tensors["facets"] = tensors["facets"] + 10_000
        if damage == "nan":
            tensors["vertices"][3] = np.nan
        save_file(tensors, path, metadata=about)
    with pytest.raises(DatasetError, match="newer" if damage == "newer" else "cannot be read"):
        load_dataset(small)
