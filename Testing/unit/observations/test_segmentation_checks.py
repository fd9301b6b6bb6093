"""What is odd about a segmentation, told in patient terms on any grid."""

from __future__ import annotations

import numpy as np
import pytest
from known_shapes import grid, marked_points

from dals.errors import InputError
from dals.geometry.components import Components
from dals.geometry.label_map import LabelMap
from dals.observations.segmentation_checks import check_segmentation, component_options

SPACING = (3.0, 4.0, 5.0)


def balls(*placed: tuple[tuple[float, float, float], float], angles=(0.0, 0.0, 0.0), left_handed=False) -> LabelMap:
    """Balls of centres (RAS) and radii."""
    empty = grid((100, 70, 50), SPACING, angles=angles, centre=(0, 0, 0), left_handed=left_handed)
    points = marked_points(empty.with_array(np.ones_like(empty.array)))
    inside = np.zeros(len(points), dtype=bool)
    for centre, radius in placed:
        inside |= np.linalg.norm(points - centre, axis=1) < radius
    return empty.with_array(inside.reshape(empty.array.shape))


def test_nothing_is_odd_about_an_organ_with_islands_and_holes() -> None:
    organ = balls(((0, 0, 0), 50), ((90, 0, 0), 15), ((-80, 40, 0), 15))
    organ.array[24:27, 34:37, 49:52] = False
    assert check_segmentation(organ) == ()


def test_everything_is_marked() -> None:
    full = grid((5, 6, 7), SPACING)
    (finding,) = check_segmentation(full.with_array(~full.array))
    assert (finding.kind, finding.is_fatal) == ("full", True)
    assert "grid" in finding.message


@pytest.mark.parametrize("left_handed", [False, True])
@pytest.mark.parametrize("angles", [(0, 0, 0), (10, -20, 30), (0, 0, 180)])
def test_left_and_right(angles: tuple[float, float, float], left_handed: bool) -> None:
    pair = balls(((70, 0, 10), 42), ((-70, 10, -10), 40), ((0, 0, 0), 12), angles=angles, left_handed=left_handed)
    (finding,) = check_segmentation(pair)
    assert (finding.kind, finding.is_fatal) == ("sides", False)
    volumes = [4 / 3 * np.pi * radius**3 / 1e3 for radius in (42, 40)]
    right = float(finding.message.partition(" ml on the right (component 1)")[0].rpartition(" ")[2])
    left = float(finding.message.partition(" ml on the left (component 2)")[0].rpartition(" ")[2])
    assert [right, left] == pytest.approx(volumes, rel=0.03)


@pytest.mark.parametrize("component", ["largest", "left", "right", 1, 2])
def test_who_chose_is_not_told_again(component: int | str) -> None:
    pair = balls(((70, 0, 0), 42), ((-70, 0, 0), 40))
    assert check_segmentation(pair, component=component) == ()  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no component 3"):
        check_segmentation(pair, component=3)


@pytest.mark.parametrize(
    ("second", "larger", "smaller"),
    [
        (((0, 0, 78), 35), "(bottom)", "(top)"),  # above each other
        (((0, 78, 0), 35), "(back)", "(front)"),
        (((90, 0, 0), 25), "(left)", "(right)"),  # beside each other, but too different for a pair
        (((70, 0, -60), 35), "(left, top)", "(right, bottom)"),
    ],
)
def test_several_large_parts(second: tuple, larger: str, smaller: str) -> None:
    (finding,) = check_segmentation(balls(((0, 0, 0), 40), second))
    assert finding.kind == "several"
    assert "2 large separate components: 1: " in finding.message
    first, _, other = finding.message.partition(", 2: ")
    assert larger in first
    assert smaller in other


def test_three_parts_are_no_pair() -> None:
    (finding,) = check_segmentation(balls(((70, 0, 0), 40), ((-70, 0, 0), 38), ((0, 0, 70), 30)))
    assert finding.kind == "several"
    assert "3 large separate components" in finding.message


@pytest.mark.parametrize("left_handed", [False, True])
@pytest.mark.parametrize("angles", [(0, 0, 0), (15, -10, 20), (0, 0, 180), (90, 0, 0)])
@pytest.mark.parametrize(
    ("axis", "sign", "word"),
    [
        (0, 1, "right"),
        (0, -1, "left"),
        (1, 1, "anterior"),
        (1, -1, "posterior"),
        (2, 1, "superior"),
        (2, -1, "inferior"),
    ],
)
def test_sides_cut_by_the_border(axis: int, sign: int, word: str, angles: tuple, left_handed: bool) -> None:
    whole = balls(((0, 0, 0), 60), angles=angles, left_handed=left_handed)
    along = whole.ijk_to_ras[axis, :3] / whole.spacing
    image_axis = int(np.abs(along).argmax())  # the one that runs nearest to the patient's
    towards = sign * np.sign(along[image_axis])
    middle = whole.array.shape[2 - image_axis] // 2
    kept = [slice(None)] * 3
    kept[2 - image_axis] = slice(None, middle) if towards > 0 else slice(middle, None)
    matrix = whole.ijk_to_ras.copy()
    if towards < 0:
        matrix[:3, 3] += matrix[:3, image_axis] * middle
    (finding,) = check_segmentation(LabelMap(whole.array[tuple(kept)], matrix, "half"))
    assert finding.kind == "cut"
    assert f"half touches the image's border, {word}: " in finding.message
    share = float(finding.message.rpartition("%")[0].rpartition("(")[2])
    assert share == pytest.approx(100 / 3, abs=4)  # of a half ball's surface the flat part is a third


def test_a_corner_is_cut_on_several_sides() -> None:
    array = balls(((0, 0, 0), 60)).array[25:, :, 50:]
    (finding,) = check_segmentation(LabelMap(array, grid((50, 70, 25), SPACING).ijk_to_ras))
    assert "border, left and inferior" in finding.message or "border, inferior and left" in finding.message


def test_only_what_is_used_can_be_cut() -> None:
    island = balls(((0, 0, 0), 50), ((147, 0, 0), 10))
    assert island.touches_border
    assert check_segmentation(island) == ()
    whole = balls(((70, 0, 0), 50), ((-130, 0, 0), 45))
    assert [finding.kind for finding in check_segmentation(whole, component="left")] == ["cut"]
    assert [finding.kind for finding in check_segmentation(whole, component="right")] == []


def test_the_options_are_what_the_warning_lists() -> None:
    several = balls(((0, 0, 60), 42), ((0, 0, -60), 40), ((100, 0, 0), 30))
    components = Components(several)
    options = component_options(components)
    (finding,) = check_segmentation(several)
    assert [option.choice for option in options] == [1, 2, 3]
    assert all(option.description in finding.message for option in options)
    assert [components.rank_of(option.choice) for option in options] == [1, 2, 3]


def test_the_options_of_a_pair_are_its_sides() -> None:
    components = Components(balls(((70, 0, 0), 42), ((-70, 0, 0), 40)))
    options = component_options(components)
    assert [(option.choice, components.rank_of(option.choice)) for option in options] == [("right", 1), ("left", 2)]
    assert options[0].description == f"right: {components.large[0].volume / 1e3:.0f} ml"


def test_one_organ_with_islands_leaves_nothing_to_choose() -> None:
    assert component_options(Components(balls(((0, 0, 0), 50), ((90, 0, 0), 15)))) == ()
