import gzip
import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from known_shapes import grid, inside_ellipsoid, marked_points

from dals.errors import DalsError, DalsWarning, InputError, OutputError
from dals.geometry.label_map import LabelMap
from dals.io import label_maps
from dals.io.label_maps import (
    Labelled,
    check_label_map_writable,
    read_grid,
    read_label_map,
    read_label_maps,
    write_label_map,
    write_label_maps,
)

FORMATS = ("nii", "nii.gz", "nrrd", "seg.nrrd", "mha")
OBLIQUE = {"angles": (12.0, -25.0, 40.0), "spacing": (2.0, 3.0, 5.0)}


def _organ(left_handed=False):
    empty = grid((80, 50, 30), OBLIQUE["spacing"], angles=OBLIQUE["angles"], left_handed=left_handed)
    return empty.with_array(inside_ellipsoid(empty))


def _image(array, path, **metadata):
    image = sitk.GetImageFromArray(array, isVector=array.ndim == 4)
    for key, value in metadata.items():
        image.SetMetaData(key, value)
    sitk.WriteImage(image, str(path))
    return path


@pytest.mark.parametrize("left_handed", [False, True])
@pytest.mark.parametrize("suffix", FORMATS)
def test_round_trip_of_an_oblique_anisotropic_grid(tmp_path, suffix, left_handed):
    organ = _organ(left_handed)
    write_label_map(tmp_path / f"a.{suffix}", organ)
    back = read_label_map(tmp_path / f"a.{suffix}", label=1)
    np.testing.assert_array_equal(back.array, organ.array)
    np.testing.assert_allclose(back.ijk_to_ras, organ.ijk_to_ras, atol=1e-4)
    np.testing.assert_allclose(back.spacing, OBLIQUE["spacing"], rtol=1e-5)
    reference = read_grid(tmp_path / f"a.{suffix}")
    assert reference.is_empty
    assert reference.array.shape == organ.array.shape
    np.testing.assert_allclose(reference.ijk_to_ras, organ.ijk_to_ras, atol=1e-4)


def test_ras_position_against_simpleitk(tmp_path):
    organ = _organ()
    write_label_map(tmp_path / "a.nrrd", organ)
    image = sitk.ReadImage(str(tmp_path / "a.nrrd"))
    lps = np.array(image.TransformIndexToPhysicalPoint((7, 11, 13)))
    ras = organ.ijk_to_ras @ [7, 11, 13, 1]
    np.testing.assert_allclose(ras[:3], lps * [-1, -1, 1], atol=1e-6)
    np.testing.assert_allclose(marked_points(organ).mean(axis=0), [20, -30, 40], atol=0.5)
    assert organ.volume == pytest.approx(4 / 3 * np.pi * 60 * 45 * 35, rel=0.01)


def test_label_values_and_the_file_on_disk(tmp_path):
    write_label_map(tmp_path / "a.seg.nrrd", _organ(), label=300)
    image = sitk.ReadImage(str(tmp_path / "a.seg.nrrd"))
    assert set(np.unique(sitk.GetArrayViewFromImage(image))) == {0, 300}
    assert image.GetMetaData("Segment0_LabelValue") == "300"
    assert read_label_map(tmp_path / "a.seg.nrrd", label="a").array.any()


def test_the_union_of_labels_comes_with_a_warning(tmp_path):
    array = np.zeros((6, 7, 8), np.uint8)
    array[2, 2, 2], array[3, 3, 3], array[3, 3, 4] = 1, 2, 7
    path = _image(array, tmp_path / "a.nii.gz")
    with pytest.warns(DalsWarning, match="1, 2, 7"):
        assert read_label_map(path).array.sum() == 3
    assert read_label_map(path, label=7).array.sum() == 1
    assert read_label_map(path, label="2").array.sum() == 1
    with pytest.raises(InputError, match=r"label 5.*1, 2, 7"):
        read_label_map(path, label=5)
    with pytest.raises(InputError, match="no segment 'liver'"):
        read_label_map(path, label="liver")


def _layered(tmp_path):
    """Two overlapping segments on layers of their own, with the same label value, and a third."""
    layers = np.zeros((6, 7, 8, 2), np.uint8)
    layers[1:4, 2:5, 2:5, 0] = 1
    layers[5, 5, 5, 0] = 2
    layers[3:5, 2:5, 2:5, 1] = 1
    described = {}
    for number, (name, layer, value) in enumerate([("liver", 0, 1), ("vessel", 0, 2), ("tumour", 1, 1)]):
        described |= {f"Segment{number}_ID": f"Segment_{number}", f"Segment{number}_Name": name}
        described |= {f"Segment{number}_Layer": str(layer), f"Segment{number}_LabelValue": str(value)}
    return _image(layers, tmp_path / "a.seg.nrrd", **described)


def test_segments_on_several_layers(tmp_path):
    path = _layered(tmp_path)
    assert read_label_map(path, label="liver").array.sum() == 27
    assert read_label_map(path, label="tumour").array.sum() == 18
    assert read_label_map(path, label="vessel").array.sum() == 1
    assert read_label_map(path, label=2).array.sum() == 1
    with pytest.warns(DalsWarning, match=r"1 \(liver\), 2 \(vessel\), 1 \(tumour\)"):
        assert read_label_map(path).array.sum() == 37
    with pytest.raises(InputError, match=r"several segments .*'liver', 'tumour'"):
        read_label_map(path, label=1)
    with pytest.raises(InputError, match=r"no segment 'spleen'.*'liver', 'vessel', 'tumour'"):
        read_label_map(path, label="spleen")


def test_segments_of_slicer_before_layers(tmp_path):
    layers = np.zeros((6, 7, 8, 2), np.uint8)
    layers[1, 1, 1, 0] = layers[2, 2, 2:4, 1] = 1
    described = {"Segment0_ID": "A", "Segment0_Name": "liver", "Segment1_ID": "B", "Segment1_Name": "spleen"}
    path = _image(layers, tmp_path / "old.seg.nrrd", **described)
    assert read_label_map(path, label="spleen").array.sum() == 2


def test_whole_numbers_in_floating_point_are_labels(tmp_path):
    array = np.zeros((5, 5, 5), np.float32)
    array[2, 2, 2] = 3.0
    assert read_label_map(_image(array, tmp_path / "a.nii"), label=3).array.sum() == 1


def test_a_fourth_axis_of_one_is_no_obstacle(tmp_path):
    image = sitk.GetImageFromArray(np.ones((1, 4, 5, 6), np.uint8), isVector=False)
    sitk.WriteImage(image, str(tmp_path / "a.nii"))
    assert read_label_map(tmp_path / "a.nii").array.shape == (4, 5, 6)


@pytest.mark.parametrize(
    ("array", "match"),
    [
        (np.zeros((5, 5, 5), np.uint8), "empty"),
        (np.full((5, 5, 5), 0.25, np.float32), "probabilities"),
        (np.full((5, 5, 5), np.nan, np.float32), "finite"),
        (np.full((5, 5, 5), 1e30, np.float64), "fractions"),
        (np.ones((5, 5), np.uint8), "not a three-dimensional image"),
    ],
)
def test_images_that_are_no_label_maps(tmp_path, array, match):
    with pytest.raises(InputError, match=match):
        read_label_map(_image(array, tmp_path / "a.nrrd"))


@pytest.mark.parametrize("suffix", ["nii", "nii.gz"])
@pytest.mark.parametrize("left", [0, 100, 200, -1])
def test_a_writer_that_does_not_notice_a_full_disk(tmp_path, monkeypatch, suffix, left):
    write = sitk.WriteImage

    def fill(image, name, **options):
        write(image, name, **options)
        os.truncate(name, left if left >= 0 else Path(name).stat().st_size + left)

    monkeypatch.setattr(label_maps.sitk, "WriteImage", fill)
    mask = np.random.default_rng(0).random((9, 9, 9)) > 0.5
    with pytest.raises(OutputError, match="full"):
        write_label_map(tmp_path / f"a.{suffix}", LabelMap(mask, np.eye(4)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [*FORMATS, "mhd"])
@pytest.mark.parametrize("content", [b"", b"rubbish " * 100])
def test_what_is_no_image(tmp_path, capfd, suffix, content):
    (tmp_path / f"a.{suffix}").write_bytes(content)
    with pytest.raises(InputError, match="cannot be read"):
        read_label_map(tmp_path / f"a.{suffix}")
    assert capfd.readouterr() == ("", "")


def test_missing_and_unknown(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_label_map(tmp_path / "no.nii.gz")
    with pytest.raises(InputError, match="these are"):
        read_label_map(tmp_path / "a.png")


def test_a_header_that_promises_too_much(tmp_path):
    write_label_map(tmp_path / "a.nrrd", _organ())
    data = (tmp_path / "a.nrrd").read_bytes()
    (tmp_path / "b.nrrd").write_bytes(data.replace(b"sizes: 80 50 30", b"sizes: 999 999 999"))
    with pytest.raises(InputError, match="too short"):
        read_label_map(tmp_path / "b.nrrd")
    (tmp_path / "c.nrrd").write_bytes(data.replace(b"sizes: 80 50 30", b"sizes: 99999 99999 99999"))
    with pytest.raises(InputError):
        read_label_map(tmp_path / "c.nrrd")


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(OutputError, match="must end in"):
        check_label_map_writable(tmp_path / "a.mhd")
    with pytest.raises(OutputError, match="does not exist"):
        write_label_map(tmp_path / "no" / "a.nii", _organ())
    with pytest.raises(OutputError, match="65535"):
        write_label_map(tmp_path / "a.nii", _organ(), label=0)
    assert list(tmp_path.iterdir()) == []


def test_touching_the_border():
    array = np.zeros((5, 6, 7), bool)
    array[2, 3, 4] = True
    assert not LabelMap(array, np.eye(4)).touches_border
    for index in [(0, 3, 4), (4, 3, 4), (2, 0, 4), (2, 5, 4), (2, 3, 0), (2, 3, 6)]:
        other = array.copy()
        other[index] = True
        assert LabelMap(other, np.eye(4)).touches_border


@pytest.mark.parametrize(
    ("array", "matrix"),
    [
        (np.zeros((5, 5), bool), np.eye(4)),
        (np.zeros((5, 0, 5), bool), np.eye(4)),
        (np.zeros((5, 5, 5), bool), np.diag([1.0, 1, 0, 1])),
        (np.zeros((5, 5, 5), bool), np.full((4, 4), np.nan)),
    ],
)
def test_grids_that_are_none(array, matrix):
    with pytest.raises(InputError):
        LabelMap(array, matrix)


@pytest.fixture(scope="module")
def valid_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("valid")
    empty = grid((9, 8, 7), (1.0, 2.0, 3.0))
    array = np.zeros((7, 8, 9), bool)
    array[2:5, 2:5, 2:5] = True
    contents = {}
    for suffix in FORMATS:
        write_label_map(folder / f"a.{suffix}", empty.with_array(array))
        contents[suffix] = (folder / f"a.{suffix}").read_bytes()
    return folder, contents


@settings(max_examples=120, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@pytest.mark.filterwarnings("ignore::dals.errors.DalsWarning")
@given(data=st.data())
def test_fuzz_cut_and_overwritten_bytes(valid_files, data):
    folder, contents = valid_files
    suffix = data.draw(st.sampled_from(FORMATS))
    content = bytearray(contents[suffix])
    inner = suffix == "nii.gz" and data.draw(st.booleans())  # damage below the compression
    if inner:
        content = bytearray(gzip.decompress(bytes(content)))
    reach = data.draw(st.sampled_from([min(len(content), 400), len(content)]))
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, reach - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(content[: data.draw(st.integers(0, len(content)) | st.just(len(content)))])
    path = folder / f"fuzz.{suffix}"
    path.write_bytes(gzip.compress(damaged) if inner else damaged)
    try:
        label_map = read_label_map(path, label=data.draw(st.sampled_from([None, 1, "a"])))
    except DalsError as error:
        assert str(error)  # noqa: PT017
    else:
        assert label_map.array.any()


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_cut_nifti_file_is_refused(suffix: str, kept: float, tmp_path: Path) -> None:
    # ITK reads it and fills the missing voxels with whatever lies in memory.
    array = np.random.default_rng(0).random((20, 24, 28)) > 0.5
    path = tmp_path / f"mask{suffix}"
    write_label_map(path, LabelMap(array, np.eye(4), "mask"))
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(InputError, match="truncated or damaged"):
        read_label_map(path)


def test_several_labels_at_once(tmp_path):
    path = _layered(tmp_path)
    read = read_label_maps(path, ["tumour", 2])
    assert [(label.value, label.name, int(label.label_map.array.sum())) for label in read] == [
        (1, "tumour", 18),
        (2, "vessel", 1),
    ]
    with pytest.raises(InputError, match="'vessel' and 2 are the same"):
        read_label_maps(path, ["liver", "vessel", 2])
    with pytest.raises(InputError, match="no segment 'spleen'"):
        read_label_maps(path, ["liver", "spleen"])


@pytest.mark.parametrize("suffix", FORMATS)
def test_several_labels_are_written_with_their_values(tmp_path, suffix):
    empty = grid((9, 8, 7), (1.0, 2.0, 3.0))
    masks = [np.zeros((7, 8, 9), bool) for _ in range(3)]
    values = (300, 5, 7)
    masks[0][:3], masks[1][2:5], masks[2][6:] = True, True, True
    labels = [
        Labelled(empty.with_array(mask), value, f"organ {value}") for mask, value in zip(masks, values, strict=True)
    ]
    path = tmp_path / f"a.{suffix}"
    write_label_maps(path, labels)
    masks[1] &= ~masks[0]  # the first one keeps what two claim
    for mask, label in zip(masks, labels, strict=True):
        np.testing.assert_array_equal(read_label_map(path, label=label.value).array, mask)
        if suffix == "seg.nrrd":
            np.testing.assert_array_equal(read_label_map(path, label=label.name).array, mask)


def test_values_that_no_file_holds(tmp_path):
    check_label_map_writable(tmp_path / "a.nii", values=[1, 65_535])
    for value in (0, -2, 65_536):
        with pytest.raises(OutputError, match="between 1 and 65535"):
            check_label_map_writable(tmp_path / "a.nii", values=[3, value])
