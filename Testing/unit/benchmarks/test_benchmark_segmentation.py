"""The segmentation benchmark without its networks: damage, smoothing, rows, tables and pictures."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
from known_shapes import ellipsoid, marked_points
from scipy import ndimage

sys.path.append(str(Path(__file__).resolve().parents[2]))

from benchmarks.segmentation import conventional, damage, refine, rows
from benchmarks.segmentation.chaos_study import kept_share
from benchmarks.segmentation.livers import SMOOTHINGS
from benchmarks.segmentation.requirements import requirements
from benchmarks.segmentation.rows import RAW, Job, Row
from benchmarks.segmentation.scores import NOTHING, Truth, score, score_of_label_map
from benchmarks.segmentation.table import best_median_worst, brief, change, made_worse, markdown, pairs_of

from dals.evaluation.metrics import dice
from dals.geometry.label_map import LabelMap
from dals.geometry.voxelisation import label_map_to_mesh, mesh_to_label_map

ORGAN = ellipsoid((50.0, 40.0, 30.0), rings=24)


@pytest.fixture(scope="module")
def truth() -> LabelMap:
    return mesh_to_label_map(ORGAN, damage.fine_grid(ORGAN))


@pytest.fixture(scope="module")
def damaged(truth) -> LabelMap:
    return damage.damaged(truth, "a case")


def row(case: str, method: str, overlap: float, *, group: str = "net", confidence: str = "", **figures: float) -> Row:
    return Row(group, case, method, overlap, **{"hausdorff_mm": 4.0, "chamfer": 1e-3, "mean_mm": 0.5} | figures,
               confidence=confidence)  # fmt: skip


# --- damage


def test_damage_is_that_of_the_name(truth, damaged):
    np.testing.assert_array_equal(damaged.array, damage.damaged(truth, "a case").array)
    assert (damaged.array != damage.damaged(truth, "another case").array).any()


def test_damage_takes_away_and_adds(truth, damaged):
    assert 0.6 < dice(damaged, truth) < 0.98
    assert (truth.array & ~damaged.array).sum() > 0.01 * truth.array.sum()
    assert (damaged.array & ~truth.array).sum() > 0.01 * truth.array.sum()
    assert not damaged.touches_border


def test_blemishes_are_few_and_deep():
    whole = mesh_to_label_map(ORGAN, damage.even_grid(ORGAN))
    np.testing.assert_allclose(whole.spacing, 2.0)
    seen = damage.blemished(whole, "a case")
    np.testing.assert_array_equal(seen.array, damage.blemished(whole, "a case").array)
    assert 0.8 < dice(seen, whole) < 0.99
    assert ndimage.label(seen.array)[1] >= 2  # the organ and an island


def test_smooth_noise_is_smooth_and_of_unit_deviation():
    spacing = np.array([1.5, 1.5, 2.0])
    noise = damage._smooth_noise((60, 50, 40), spacing, np.random.default_rng(0))
    assert noise.shape == (60, 50, 40)
    assert noise.std() == pytest.approx(1.0, abs=1e-3)
    assert np.abs(np.diff(noise, axis=0)).mean() < 0.3


def test_a_lobe_of_the_wanted_size_is_cut_off(truth):
    spacing = truth.spacing[::-1]
    beyond = damage._lobe(truth.array, spacing, 0.1, np.random.default_rng(3)) > 0
    assert (beyond & truth.array).sum() == pytest.approx(0.1 * truth.array.sum(), rel=0.02)


def test_thick_slices_lie_where_the_fine_ones_are(truth):
    thick = damage.thick_slices(truth, "a case")
    assert thick.spacing[2] == pytest.approx(damage.SLICE_MM)
    np.testing.assert_allclose(marked_points(thick).mean(axis=0), marked_points(truth).mean(axis=0), atol=0.3)
    assert thick.volume == pytest.approx(truth.volume, rel=0.02)


def test_thick_slices_on_the_fine_grid_are_three_voxels_thick(truth):
    thick = damage.thick_slices(truth, "a case")
    fine = damage.on_grid(thick, truth)
    assert fine.volume == pytest.approx(thick.volume, rel=1e-6)
    np.testing.assert_allclose(marked_points(fine).mean(axis=0), marked_points(thick).mean(axis=0), atol=1e-6)
    assert 0.9 < dice(fine, truth) < 1.0


def test_on_the_same_grid_nothing_changes(truth):
    np.testing.assert_array_equal(damage.on_grid(truth, truth).array, truth.array)


# --- smoothing


def test_kernels_are_rounded_as_in_slicer(truth):
    assert conventional.kernel(truth, 5.0) == [3, 3, 3]
    assert conventional.kernel(truth, 9.0) == [5, 7, 7]
    assert conventional.kernel(damage.thick_slices(truth, "a case"), 5.0) == [1, 3, 3]


def test_tidying_drops_islands_and_fills_holes(truth):
    array = truth.array.copy()
    array[2:4, 2:4, 2:4] = True
    centre = tuple(n // 2 for n in array.shape)
    array[centre] = False
    tidy = conventional.tidied(truth.with_array(array), closing_mm=5.0)
    assert tidy.array[centre]
    assert not tidy.array[:5, :5, :5].any()
    assert dice(tidy, truth) > 0.99


def test_closing_does_not_stop_at_the_image_border():
    whole = LabelMap(np.ones((4, 5, 6), dtype=bool), np.eye(4))
    np.testing.assert_array_equal(conventional.tidied(whole, closing_mm=3.0).array, whole.array)


@pytest.mark.parametrize("method", SMOOTHINGS)
def test_smoothing_leaves_a_smooth_organ_and_its_place(method, truth):
    smooth = SMOOTHINGS[method].apply(truth)
    assert dice(mesh_to_label_map(smooth, truth), truth) > 0.97
    assert smooth.volume == pytest.approx(truth.volume, rel=0.05)


@pytest.mark.parametrize("method", SMOOTHINGS)
def test_smoothing_takes_the_staircase_off(method, truth):
    stairs = damage.on_grid(damage.thick_slices(truth, "a case"), truth)
    smooth = SMOOTHINGS[method].apply(stairs)
    assert smooth.area < 0.97 * label_map_to_mesh(stairs).area


# --- scores


def test_the_truth_scores_full_marks(truth):
    found = score_of_label_map(truth, Truth.of(truth))
    assert found.dice == 1.0
    assert found.hausdorff_mm < 2.0
    assert found.mean_mm < 0.3


def test_chamfer_is_canonical(truth):
    far = ellipsoid((52.0, 42.0, 32.0), rings=24)
    found = score(far, mesh_to_label_map(far, truth), Truth(truth, ORGAN))
    assert found.chamfer == pytest.approx(2 * 2.0**2 / 50.0**2, rel=0.3)


def test_an_empty_segmentation_has_no_distances(truth):
    assert score_of_label_map(truth.empty_like(), Truth.of(truth)) == NOTHING
    assert NOTHING.dice == 0.0


# --- rows


def test_keys_change_with_every_part():
    job = Job("net", "a", RAW)
    keys = {rows.key_of(job, "x"), rows.key_of(job, "y"), rows.key_of(Job("net", "b", RAW), "x")}
    assert len(keys) == 3
    assert rows.key_of(job, "x") in keys


def test_what_was_measured_is_not_measured_again(tmp_path, capsys):
    job, made = Job("net", "a", RAW), row("a", RAW, 0.9)
    (tmp_path / "key.json").write_text('{"group": "net", "case": "a", "method": "raw", "dice": 0.9, '
                                       '"hausdorff_mm": 4.0, "chamfer": 0.001, "mean_mm": 0.5}')  # fmt: skip
    found = rows.measure_all([("key", job)], _never, folder=tmp_path, workers=1)
    assert found == [made]
    assert "1 of 1" in capsys.readouterr().out


def test_rows_as_csv(tmp_path):
    rows.write_csv(tmp_path / "rows.csv", [row("a", RAW, 0.9), row("a", "m", 0.95, confidence="low")], prior="abc")
    with (tmp_path / "rows.csv").open(newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    assert [line["dice"] for line in read] == ["0.9", "0.95"]
    assert read[1]["confidence"] == "low"
    assert read[1]["prior"] == "abc"


def _never(job: Job) -> Row:
    raise AssertionError(f"{job} was measured")


def test_the_image_is_a_variant_where_there_is_one(tmp_path, monkeypatch):
    monkeypatch.setattr(refine, "image_path", lambda name: tmp_path / name)
    (tmp_path / "seen").touch()
    methods = {case: [job.method for job in refine.jobs_of("unet", [case])] for case in ("seen", "unseen")}
    assert "image" in methods["seen"]
    assert [method for method in methods["seen"] if method != "image"] == methods["unseen"]
    assert refine.VARIANTS["image"].settings == refine.VARIANTS["defaults"].settings


def test_variants_are_the_papers_the_defaults_and_the_probabilities():
    paper = refine.VARIANTS["paper"].settings
    assert paper.lambda_reg == 0
    assert paper.single_latent
    assert refine.VARIANTS["probabilities"].probabilities
    assert refine.VARIANTS["probabilities"].settings == refine.VARIANTS["defaults"].settings


# --- tables


BEFORE = [row(name, RAW, overlap) for name, overlap in zip("abcdef", (0.80, 0.82, 0.84, 0.86, 0.88, 0.90), strict=True)]
AFTER = [
    row("a", "m", 0.90, hausdorff_mm=2.0, confidence="high"),
    row("b", "m", 0.86, hausdorff_mm=2.1, confidence="high"),
    row("c", "m", 0.85, hausdorff_mm=2.2, confidence="medium"),
    row("d", "m", 0.862, hausdorff_mm=2.3, confidence="high"),
    row("e", "m", 0.86, hausdorff_mm=2.4, confidence="high"),
    row("f", "m", 0.85, hausdorff_mm=1.0, confidence="low"),
]


def test_changes_are_paired_by_case():
    pairs = pairs_of([*BEFORE, *reversed(AFTER)], "net", "m")
    assert all(before.case == after.case for before, after in pairs)
    found = change(pairs, "dice")
    assert found.difference == pytest.approx(np.mean([r.dice for r in AFTER]) - 0.85)
    assert found.p > 0.1
    distance = change(pairs, "hausdorff_mm")
    assert distance.ratio == pytest.approx(0.5)
    assert distance.p == pytest.approx(2 / 2**6)  # all six fall: the least that six cases allow


def test_no_change_has_no_p():
    assert np.isnan(change([(r, r) for r in BEFORE], "dice").p)


def test_cases_without_a_distance_are_left_out_of_it():
    empty = row("g", RAW, 0.0, hausdorff_mm=float("nan"))
    found = change([(BEFORE[0], AFTER[0]), (empty, empty)], "hausdorff_mm")
    assert found.mean == pytest.approx(2.0)


def test_losers_and_examples():
    pairs = pairs_of([*BEFORE, *AFTER], "net", "m")
    assert [after.case for after in made_worse(pairs)] == ["e", "f"]
    assert [after.case for _, after in best_median_worst(pairs)] == ["a", "c", "f"]


def test_requirements_compare_with_the_input_and_with_smoothing():
    def both(group: str, before: float, after: float, **figures: float) -> list[Row]:
        raw = row("a", RAW, before, group=group, hd95_mm=2.0)
        return [raw, row("a", "refined", after, group=group, **{"hd95_mm": 1.9, "mean_mm": 0.4} | figures)]

    rows_of = [*both("blemished", 0.990, 0.995), *both("damaged", 0.94, 0.961, hausdorff_mm=19.0)]
    rows_of += [row("a", "median", 0.962, group="damaged"), *both("clean", 0.98, 0.99, hausdorff_mm=3.0)]
    rows_of += [row("a", "interpolated", 0.99, group="clean")]
    said = requirements(rows_of)
    assert said.count("| yes |") == 8
    assert "| damaged | Dice above every smoothing's | 0.9610, median 0.9620 | no |" in said
    worse = requirements(both("blemished", 0.990, 0.9885, hd95_mm=2.1))
    assert "falls by more than 0.001 | -0.0015 | no |" in worse
    assert worse.count("| no |") == 3


def test_the_end_at_the_border_that_is_kept():
    array = np.zeros((4, 5, 6), dtype=bool)
    array[:3, 1:4, 1:5] = True
    given = LabelMap(array, np.eye(4))
    rounded = array.copy()
    rounded[0, 1, 1:5] = False
    assert kept_share(given, given.with_array(rounded)) == pytest.approx(2 / 3)


def test_the_table_counts_losers_that_nobody_was_told_of():
    text = markdown([*BEFORE, *AFTER], {"m": "Method"}, group_title="network")
    lines = text.splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert lines[2].startswith("| net | raw | 6 | 0.850 ± 0.037 |")
    assert lines[3].startswith("| net | Method | 6 |")
    assert lines[3].endswith("| 2 | 1 | 2 |")
    assert "not flagged 1" in brief([*BEFORE, *AFTER])


def test_methods_that_tell_nothing_are_not_counted_as_unflagged():
    silent = [row(r.case, "m", r.dice) for r in AFTER]
    assert markdown([*BEFORE, *silent], {}, group_title="network").splitlines()[3].endswith("| 2 | – | – |")


# --- pictures


def test_paired_plot(tmp_path):
    plots = pytest.importorskip("benchmarks.segmentation.plots", exc_type=ImportError)
    plots.paired_plot(tmp_path / "a.png", [*BEFORE, *AFTER], [("net", "m")], titles=["net"])
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_slices_show_the_organ_where_most_differs():
    plots = pytest.importorskip("benchmarks.segmentation.plots", exc_type=ImportError)
    organ, differing = np.zeros((2, 9, 6, 6), dtype=bool)
    organ[2:7, 1:4, 1:4] = True
    differing[0] = True  # far from the organ
    differing[5, 1:3, 1:3] = True
    differing[3, 1, 1] = True
    maps = LabelMap(differing, np.eye(4)), LabelMap(organ, np.eye(4))
    assert plots.busiest_slice(*maps, 0) == 5


def test_outlines_lie_on_the_image(tmp_path):
    plots = pytest.importorskip("benchmarks.segmentation.plots", exc_type=ImportError)
    matrix = np.diag([-2.0, 3.0, 2.5, 1.0])
    matrix[:3, 3] = (60.0, -90.0, 0.0)
    organ = mesh_to_label_map(ORGAN, LabelMap(np.zeros((40, 40, 50), dtype=bool), matrix))
    mesh = label_map_to_mesh(organ)
    example = plots.Example("a", mesh, mesh, mesh, organ.array.astype(np.float32), organ, organ)
    _, axis = plots.plt.subplots()
    plots._slice(axis, example, 1)
    left, right = axis.get_xlim()
    assert left > right  # the patient's right is on the left
    extent, pixels = axis.images[0].get_extent(), np.asarray(axis.images[0].get_array())
    columns, lines = np.flatnonzero(pixels.any(axis=0)), np.flatnonzero(pixels.any(axis=1))
    drawn = np.asarray(axis.lines[0].get_xydata())
    across, up = np.linspace(*extent[:2], pixels.shape[1] + 1), np.linspace(*extent[2:], pixels.shape[0] + 1)
    ends = across[[columns[0], columns[-1] + 1]]
    assert sorted(ends) == pytest.approx([drawn[:, 0].min(), drawn[:, 0].max()], abs=1.5)
    assert up[[lines[0], lines[-1] + 1]] == pytest.approx([drawn[:, 1].min(), drawn[:, 1].max()], abs=1.5)
    plots.plt.close("all")
