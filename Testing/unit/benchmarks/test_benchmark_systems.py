"""The baselines of the benchmarks on ellipsoids, and the functions that make tables of their results."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

sys.path.append(str(Path(__file__).resolve().parents[2]))

from benchmarks import organs
from benchmarks.comparison import observations, paired, plans, report, runner, shapes
from benchmarks.comparison.registry import Context
from benchmarks.comparison.runner import Job, mesh_path
from benchmarks.comparison.sources import sources, statements
from benchmarks.systems.base import Observation, Section, System
from benchmarks.systems.dals_system import DalsSystem
from benchmarks.systems.dasm import DasmSettings, DasmSystem, graph_laplacian, regularised_share
from benchmarks.systems.hull import HullSystem
from benchmarks.systems.interpolation import InterpolationSystem
from benchmarks.systems.normals import loop_normals, point_normals
from benchmarks.systems.outlines import inside, is_hole
from benchmarks.systems.pca import PcaSystem, learn
from benchmarks.systems.poisson_rbf import PoissonSystem, RbfSystem, largest_at
from benchmarks.systems.voxel_surface import zero_surface

from dals.dataset.normalisation import NormalisedShape, canonical
from dals.errors import DalsError, InputError
from dals.evaluation.metrics import compare, sample_points
from dals.fitting.evidence import weighed
from dals.fitting.kinds.contours import independent_planes
from dals.geometry.cross_sections import section_loops
from dals.geometry.mesh import TriangleMesh
from dals.io.meshes import read_mesh
from dals.model.pose import Pose
from dals.model.prior import ShapePrior
from dals.model.template import icosphere
from dals.observations import PlanarContours
from dals.observations.contours import Contour

SEMI_AXES_MM = np.array([90.0, 70.0, 60.0])
CENTRE_MM = np.array([20.0, -35.0, 110.0])
FEW = DasmSettings(steps=(40, 30, 10), points=1_500, points_per_plane=300)


def ellipsoid_mesh(semi_axes: np.ndarray = SEMI_AXES_MM, centre: np.ndarray = CENTRE_MM) -> TriangleMesh:
    template = icosphere(4)
    return TriangleMesh(centre + semi_axes * template.vertices, template.faces)


def folded_ellipsoid(*, thickness: float, gap: float) -> TriangleMesh:
    """A flat ellipsoid bent around the y axis until its halves are `gap` apart, canonical."""
    template = icosphere(5)
    along, across, through = template.vertices.T * np.array([0.95, 0.7, thickness])[:, None]
    radius = gap / 2 + thickness
    angle = np.clip(along / radius, -np.pi / 2, np.pi / 2)
    outwards = np.stack([-np.cos(angle), np.zeros_like(angle), np.sin(angle)], axis=1)
    middle = np.stack([np.abs(along - radius * angle), across, np.zeros_like(angle)], axis=1)
    vertices = middle + (radius + through)[:, None] * outwards
    vertices -= vertices.mean(axis=0)
    mesh = TriangleMesh(vertices / np.linalg.norm(vertices, axis=1).max(), template.faces)
    return mesh if mesh.volume > 0 else TriangleMesh(mesh.vertices, mesh.faces[:, ::-1])


@pytest.fixture(scope="module")
def shape() -> NormalisedShape:
    return canonical(ellipsoid_mesh(), name="ellipsoid")


@pytest.fixture(scope="module")
def ellipsoids() -> PcaSystem:
    """A point distribution model of ellipsoids of many proportions, canonical."""
    rng = np.random.default_rng(0)
    axes = np.exp(0.2 * rng.standard_normal((30, 3))) * np.array([0.95, 0.75, 0.65])
    return PcaSystem(learn(axes[:, None] * icosphere(4).vertices))


def pose_of(shape: NormalisedShape) -> Pose:
    return Pose(shape.scale_mm, np.asarray(shape.centre_mm))


def parallel_planes(shape: NormalisedShape) -> Observation:
    """Seven axial outlines."""
    heights = np.linspace(-0.95, 0.95, 7) * SEMI_AXES_MM[2]
    loops = [
        section_loops(shape.patient_mesh, CENTRE_MM + np.array([0.0, 0, h]), np.array([0.0, 0, 1]))[0] for h in heights
    ]
    return PlanarContours(tuple(Contour(loop, None, f"axial {k}") for k, loop in enumerate(loops)))


def mean_distance(system: System, shape: NormalisedShape, observation: Observation) -> float:
    """Mean distance of a system's surface to the truth, mm; also checks that it can be measured."""
    mesh = system.fit(observation, pose=pose_of(shape))
    found = compare(mesh, shape.patient_mesh, samples=4_000, self_intersections=False)
    assert mesh.volume > 0
    return found.mean_distance


# Two samplings of 4,000 points of the same ellipsoid are 1.9 mm apart in the mean.
@pytest.mark.parametrize(
    ("system", "tolerance_mm"),
    [
        (HullSystem(), 2.2),
        (PoissonSystem(), 2.2),
        (RbfSystem(cells=48, most=500), 2.2),
        (DasmSystem(settings=FEW), 2.3),
        (DasmSystem(remeshed=True, settings=FEW, name="DASM+R"), 2.3),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_points_on_an_ellipsoid_give_it_back(system: System, tolerance_mm: float, shape: NormalisedShape) -> None:
    assert mean_distance(system, shape, observations.observation_of(shape, "points:1500")) < tolerance_mm


@pytest.mark.parametrize(
    ("system", "tolerance_mm"),
    [
        (HullSystem(), 8.0),
        (PoissonSystem(), 6.0),
        (RbfSystem(cells=48, per_plane=100), 3.5),
        (DasmSystem(settings=FEW), 3.5),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_three_planes_give_an_ellipsoid_roughly(system: System, tolerance_mm: float, shape: NormalisedShape) -> None:
    assert mean_distance(system, shape, observations.observation_of(shape, "planes")) < tolerance_mm


@pytest.mark.parametrize("condition", ["points:1500", "planes"])
def test_pca_finds_the_proportions(condition: str, shape: NormalisedShape, ellipsoids: PcaSystem) -> None:
    observation = observations.observation_of(shape, condition)
    mesh = ellipsoids.fit(observation, pose=pose_of(shape))
    assert np.allclose(np.ptp(mesh.vertices, axis=0), 2 * SEMI_AXES_MM, rtol=0.02)
    assert np.allclose(mesh.vertices.mean(axis=0), CENTRE_MM, atol=1.0)


def test_pca_keeps_the_variance_that_is_asked_for(ellipsoids: PcaSystem) -> None:
    assert ellipsoids.model.modes.shape == (2562, 3, 3)  # three proportions
    deviations = np.linalg.norm(ellipsoids.model.modes, axis=(0, 1))
    assert np.all(np.diff(deviations) <= 0)


def test_contours_are_interpolated_between_parallel_planes(shape: NormalisedShape) -> None:
    if find_spec("itk") is None:  # not imported here: see `itk_interpolation`
        pytest.skip("itk-morphologicalcontourinterpolation is not installed")
    assert mean_distance(InterpolationSystem(cells=48), shape, parallel_planes(shape)) < 3.0


def test_contours_on_crossing_planes_cannot_be_interpolated(shape: NormalisedShape) -> None:
    with pytest.raises(InputError, match="parallel"):
        InterpolationSystem().fit(observations.observation_of(shape, "planes"), pose=pose_of(shape))


@pytest.mark.parametrize("options", [{"single": True}, {"by_adam": True}, {}])
def test_the_method_itself_as_a_system(
    options: dict[str, bool], shape: NormalisedShape, ellipsoid_prior: ShapePrior
) -> None:
    system = DalsSystem(ellipsoid_prior, **options, changes=(("level", 3), ("local_steps", 10)))
    assert mean_distance(system, shape, observations.observation_of(shape, "points:500")) < 3.0


def test_a_larger_region_without_points_is_no_organ() -> None:
    ticks = np.linspace(-1.0, 1.0, 41)
    grid = np.stack(np.meshgrid(ticks, ticks, ticks, indexing="ij"), axis=-1)
    organ = 0.3 - np.linalg.norm(grid - 0.5, axis=-1)
    field = np.maximum(organ, 0.6 - np.linalg.norm(grid + 0.4, axis=-1))
    places = 0.5 + 0.2 * np.vstack([np.eye(3), -np.eye(3)])
    found = zero_surface(largest_at(field, places, np.full(3, -1.0), 0.05), np.full(3, -1.0), 0.05)
    assert np.allclose((found.vertices.min(axis=0) + found.vertices.max(axis=0)) / 2, 0.5, atol=1e-3)
    assert found.volume == pytest.approx(4 / 3 * np.pi * 0.3**3, rel=0.05)
    assert np.array_equal(largest_at(field, places + 10.0, np.full(3, -1.0), 0.05) > 0, field > 0)


def test_more_planes_loosen_the_prior(shape: NormalisedShape, ellipsoid_prior: ShapePrior) -> None:
    def weights(condition: str, **options: bool) -> tuple[float, float]:
        observation = observations.observation_of(shape, condition)
        settings = weighed(DalsSystem(ellipsoid_prior, by_adam=True, **options).settings(observation), observation)
        return settings.lambda_prior, settings.lambda_dir

    three, six, tilted = weights("planes"), weights("planes:6"), weights("planes/tilted")
    assert three == pytest.approx((1e-3, 5e-3), rel=1e-3)
    assert six == pytest.approx((three[0] / 2**1.5, three[1] / 2**1.5), rel=0.1)
    share = (independent_planes(observations.observation_of(shape, "planes/tilted")) / 3) ** -1.5
    assert tilted == pytest.approx((1e-3 * share, 5e-3 * share))
    assert tilted != pytest.approx(three, rel=1e-3)
    assert weights("planes:6", single=True) == (six[0], np.inf)
    unknown = [weights(condition, estimates_pose=True) for condition in ("planes", "planes:6")]
    assert unknown[1] == pytest.approx((unknown[0][0] / 2**1.5, unknown[0][1] / 2**1.5), rel=0.1)


def test_normals_point_outwards(shape: NormalisedShape) -> None:
    points = sample_points(shape.mesh, 800, np.random.default_rng(1))
    truth = points / (SEMI_AXES_MM / shape.scale_mm) ** 2
    truth /= np.linalg.norm(truth, axis=1, keepdims=True)
    assert np.einsum("ij,ij->i", point_normals(points), truth).min() > 0.85


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_normals_do_not_change_sides_where_an_organ_is_folded(seed: int) -> None:
    mesh = folded_ellipsoid(thickness=0.1, gap=0.06)
    points = sample_points(mesh, 2_500, np.random.default_rng(seed))
    corners = mesh.corners
    truth = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    nearest = cKDTree(corners.mean(axis=1)).query(points)[1]
    right = np.einsum("ij,ij->i", point_normals(points), truth[nearest]) > 0
    assert right.mean() > 0.98  # two of the three fail with signs passed on along a spanning tree


@pytest.mark.parametrize("turned", [False, True])
def test_normals_of_outlines_point_out_of_the_organ(turned: bool) -> None:
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    circle = np.stack([np.cos(angle), np.sin(angle), np.zeros(60)], axis=1)[:: -1 if turned else 1]
    normal = np.array([0.0, 0, 1])
    assert np.allclose(loop_normals(circle, normal), circle, atol=1e-6)
    assert np.allclose(loop_normals(circle, normal, hole=True), -circle, atol=1e-6)


def test_a_hole_is_outside() -> None:
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    circle = np.stack([np.cos(angle), np.zeros(60), np.sin(angle)], axis=1)
    section = Section(np.zeros(3), np.array([0.0, 1, 0]), (2 * circle, circle))
    assert inside(section, np.array([[0.0, 0, 0], [1.5, 0, 0], [0, 0, -1.5], [3, 0, 0]])).tolist() == [0, 1, 1, 0]
    assert [is_hole(section, index) for index in range(2)] == [False, True]


def test_surface_of_a_field_is_closed_at_the_grid_s_border() -> None:
    mesh = zero_surface(np.ones((5, 6, 7)), np.zeros(3), 0.5)
    assert mesh.is_closed
    assert mesh.volume > 2.0 * 2.5 * 3.0


def test_the_laplacian_of_a_constant_is_zero() -> None:
    laplacian = graph_laplacian(icosphere(2).faces)
    assert np.abs(laplacian @ np.ones(laplacian.shape[0])).max() < 1e-12


def test_conspicuous_vertices_are_regularised_in_full() -> None:
    template = icosphere(3)
    vertices = template.vertices.copy()
    vertices[5] *= 3
    share = regularised_share(TriangleMesh(vertices, template.faces), DasmSettings(adaptive_share=0.1))
    assert share[5] == 1.0
    assert (share == 0.1).mean() > 0.9


def test_conditions_are_the_same_each_time_and_differ_from_each_other(shape: NormalisedShape) -> None:
    for condition in ("planes/noise=2", "planes/tilted", "planes/missing=0.3", "points:100"):
        first, again = (observations.observation_of(shape, condition).points for _ in range(2))
        assert np.array_equal(first, again)
    conditions = dict.fromkeys((*plans.FAULTS, "planes:4", "points", "points:100"))
    found = {condition: observations.observation_of(shape, condition).points for condition in conditions}
    assert all(
        not np.array_equal(found[one], found[other]) for one in conditions for other in conditions if one != other
    )
    plain, noisy = found["planes"], found["planes/noise=2"]
    deviation = np.sqrt(((noisy - plain) ** 2).sum(axis=1).mean())
    assert 1.5 < deviation < 5.0


def test_planes_are_added_one_by_one(shape: NormalisedShape) -> None:
    contours = [observations.planes_of(shape, count) for count in range(1, 11)]
    assert [len(observations.unchecked(found).by_plane) for found in contours] == list(range(1, 11))
    normals = [np.abs(contour.plane.normal).argmax() for contour in contours[2]]
    assert sorted(normals) == [0, 1, 2]
    assert np.array_equal(contours[9][0].points, contours[0][0].points)


def rows() -> list[report.Row]:
    good = [
        {"system": "A", "condition": "points", "case": str(k), "error": "", "chamfer": 1e-3 * k, "quality": 0.5}
        for k in (1, 3)
    ]
    return [*good, {"system": "A", "condition": "points", "case": "5", "error": "It was empty."}]


def test_means_leave_out_what_failed_and_say_so() -> None:
    assert report.summary(rows(), "chamfer") == (2e-3, 1e-3, 2)
    columns = {"chamfer": ("Chamfer", "{:.1f}"), "hausdorff": ("Hausdorff", "{:.1f}")}
    lines = report.markdown(rows(), systems=["A", "B"], columns=columns).splitlines()
    assert lines[2] == "| A | 2.0 ± 1.0 | – | 2 (1 failed) |"
    assert len(lines) == 3


def test_a_system_that_cannot_do_it_is_not_applicable() -> None:
    text = report.markdown(rows()[2:], systems=["A"])
    assert "not applicable" in text
    assert "It was empty." in text


def test_systems_are_compared_on_the_cases_that_both_can_do() -> None:
    def row(system: str, case: int, chamfer: float, error: str = "") -> report.Row:
        return {"system": system, "case": str(case), "error": error, "chamfer": chamfer, "f_score_2": 90.0}

    ours = [row("A", case, 1e-3 * value) for case, value in enumerate((1, 2, 3, 4, 5, 6))]
    theirs = [row("B", case, 1e-3 * value) for case, value in enumerate((2, 4, 1.5, 8, 10))]
    found = paired.paired([*theirs, *ours, row("B", 5, float("nan"), "It was empty.")], "A", "B", "chamfer")
    assert found is not None
    assert found.medians == (3e-3, 4e-3)
    assert found.difference == pytest.approx(-2.1e-3)
    assert (found.better, found.cases) == (4, 5)
    # Only the difference of rank 2 has the other sign: ranks of none, 1 or 2 are 3 of 32 signings, on either side.
    assert found.p == pytest.approx(6 / 32)
    text = paired.markdown([*ours, *theirs], systems=["A", "B", "C"], reference="A")
    assert len(text.splitlines()) == 3
    assert "| B | 4.000 | 3.000 | -2.100 | 4 of 5 |" in text
    assert "| 90.0 | 90.0 | +0.0 | 0 of 5 | – |" in text
    assert paired.markdown(theirs, systems=["B"], reference="A") == ""


def test_a_fit_is_judged_against_the_truth_in_canonical_units(
    shape: NormalisedShape, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("igl", reason="libigl is not installed")
    pytest.importorskip("matplotlib", reason="Matplotlib is not installed")
    from benchmarks.comparison import outputs

    monkeypatch.setattr(runner, "_shape", lambda organ, split, name: shape)
    context, jobs = Context("liver", "test", quick=True), [Job("Convex hull", "points", shape.name)]
    row = runner.measure(jobs[0], context, tmp_path)
    cloud = observations.observation_of(shape, "points")
    expected = compare(HullSystem().fit(cloud, pose=pose_of(shape)), shape.patient_mesh)
    assert row["error"] == ""
    assert row["chamfer"] == pytest.approx(expected.chamfer / shape.scale_mm**2, rel=0.02)
    assert row["hausdorff_mm"] == pytest.approx(expected.hausdorff, rel=0.1)
    assert row["f_score_1"] == pytest.approx(expected.f_score_1, abs=1.0)
    assert 0 < row["seconds"] < 60
    surface = mesh_path(tmp_path, jobs[0], row["key"])
    assert read_mesh(surface).volume == pytest.approx(HullSystem().fit(cloud, pose=pose_of(shape)).volume, rel=1e-4)
    wrong = runner.measure(Job("Contour interpolation", "points", shape.name), context)
    assert "only where there are contours" in wrong["error"]
    plan = plans.Plan(tuple(jobs), ("Convex hull",))
    text = outputs.write("table1", plan, [row], [shape], context, folder=tmp_path, name="table1")
    assert f"| Convex hull | {1e3 * row['chamfer']:.3f} ± 0.000 |" in text
    assert "cases: 1 of 1 (liver, test)" in text
    assert "not to be quoted" in text
    assert "earlier" not in text
    assert (tmp_path / "table1.md").read_text(encoding="utf-8") == text
    assert f"{row['chamfer']}" in (tmp_path / "table1.csv").read_text(encoding="utf-8")
    kept = report.read_table(tmp_path / "table1.csv")
    text = outputs.write("table1", plan, kept, [shape], context, folder=tmp_path, name="table1")
    assert "rows of an earlier table: Convex hull (commits in the CSV" in text
    assert report.read_table(tmp_path / "table1.csv") == kept
    half = [*kept, {**row, "case": "another", "chamfer": 1.0}]  # what an update that ran out of time leaves
    text = outputs.write("table1", plan, half, [shape], context, folder=tmp_path, name="half")
    assert "rows of an earlier table: Convex hull (in part) (commits in the CSV" in text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["table3", "--full", "--systems", "RBF"], "name its --out"),
        (["table3", "--full", "--cases", "2"], "name its --out"),
        (["table3", "--update"], "--update goes with"),
        (["table3", "--full", "--update", "--systems", "RBF", "--cases", "2"], "--update goes with"),
        (["pictures", "--full", "--update", "--systems", "RBF"], "make them anew"),
        (["table2", "--split", "validation"], "trained on the validation shapes"),
        (["table3", "--systems", "Magic"], "there is no system 'Magic'"),
    ],
)
def test_a_table_that_would_mislead_is_not_made(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib", reason="Matplotlib is not installed")
    from benchmarks.comparison import command

    with pytest.raises(SystemExit) as stopped:
        command.main(arguments)
    assert stopped.value.code == 2
    assert sentence in capsys.readouterr().err


def test_curves_are_sorted_by_position() -> None:
    places, means, deviations = report.curve(rows(), "A", "chamfer", lambda row: -float(row["case"]))
    assert places == [-3.0, -1.0]
    assert means == [3e-3, 1e-3]
    assert deviations == [0.0, 0.0]


def test_a_line_that_was_cut_off_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(rows()[0]) + "\n" + '{"system": "A", "ca', encoding="utf-8")
    assert report.read_rows(path) == rows()[:1]
    assert report.read_rows(tmp_path / "none.jsonl") == []


def test_rows_that_were_measured_anew_replace_those_of_the_table(tmp_path: Path) -> None:
    report.write_rows(tmp_path / "t.csv", [{**row, "system": name} for name in ("A", "B") for row in rows()])
    before = report.read_table(tmp_path / "t.csv")
    assert before[0]["chamfer"] == 1e-3
    assert before[2] == {**rows()[2], "chamfer": None, "quality": None}
    anew = [{"system": "A", "condition": "points", "case": case, "error": "", "chamfer": 7e-3} for case in ("1", "5")]
    planned = [{name: row[name] for name in ("system", "condition", "case")} for row in before]
    found = report.updated(before, anew, planned)
    assert [(row["system"], row["case"], row["chamfer"]) for row in found] == [
        *(("A", "1", 7e-3), ("A", "3", 3e-3), ("A", "5", 7e-3)),
        *(("B", "1", 1e-3), ("B", "3", 3e-3), ("B", "5", None)),
    ]
    with pytest.raises(DalsError, match="no row of C, points, 1 to keep"):
        report.updated(before, anew, [*planned, {**planned[0], "system": "C"}])
    assert report.read_table(tmp_path / "none.csv") == []


def test_csv_has_every_column(tmp_path: Path) -> None:
    report.write_rows(tmp_path / "t.csv", rows())
    head, *lines = (tmp_path / "t.csv").read_text(encoding="utf-8").splitlines()
    assert head == "system,condition,case,error,chamfer,quality"
    assert len(lines) == 3


@pytest.mark.parametrize("table", plans.TABLES)
def test_no_fit_is_planned_twice_and_every_line_has_fits(table: str) -> None:
    plan = plans.plan_of(table, ["a", "b"])
    assert len(set(plan.jobs)) == len(plan.jobs)
    assert len({mesh_path(Path(), job, "") for job in plan.jobs}) == len(plan.jobs)
    assert {job.shown["system"] for job in plan.jobs} >= set(plan.systems)
    assert all({job.case for job in plan.jobs if job.shown["system"] == name} == {"a", "b"} for name in plan.systems)


def test_a_result_depends_on_statements_not_on_comments(tmp_path: Path) -> None:
    found = []
    for text in ('"""Old."""\nRATE = 0.1\n', '"""New."""\nRATE = 0.1  # tuned\n"""A share."""\n', "RATE = 0.2\n"):
        source = tmp_path / "system.py"
        source.write_text(text, encoding="utf-8")
        found.append(statements(source))
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_a_result_depends_on_what_its_module_imports_from_the_same_package(tmp_path: Path) -> None:
    package = tmp_path / "systems"
    package.mkdir()
    texts = {
        "a": "from benchmarks.systems.b import f\nimport json\n",
        "b": "from benchmarks.systems.a import g\n",
        "c": "",
    }
    for name, text in texts.items():
        (package / f"{name}.py").write_text(text, encoding="utf-8")
    assert sources(["a"], folder=package) == [package / "a.py", package / "b.py"]
    assert sources(["c"], folder=package) == [package / "c.py"]


def test_a_plan_of_some_systems_has_only_these() -> None:
    plan = plans.plan_of("table3", ["a"], systems=["RBF", "DALS"])
    assert plan.jobs == (Job("RBF", "planes", "a"), Job("DALS", "planes", "a"))
    assert plan.systems == ("RBF", "DALS")


def test_a_table_that_was_interrupted_has_the_cases_that_are_complete(tmp_path: Path) -> None:
    context, store = Context("liver", "test", quick=True), tmp_path / "rows.jsonl"
    jobs = [Job(system, "planes", case) for system in ("RBF", "Convex hull") for case in ("a", "b")]
    for job, chamfer in zip(jobs[:3], (1.0, 2.0, 3.0), strict=True):  # the hull of "b" is missing
        row = {**job.shown, "error": "", "chamfer": chamfer, "key": runner.key_of(job, context)}
        report.append_row(store, row)
    found = runner.run(jobs, context, store=store, workers=1, minutes=0)
    assert [(row["system"], row["case"], row["chamfer"]) for row in found] == [
        ("RBF", "a", 1.0),
        ("Convex hull", "a", 3.0),
    ]


def test_what_failed_is_tried_again_but_keeps_no_case_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, store = Context("liver", "test", quick=True), tmp_path / "rows.jsonl"
    jobs = [Job("RBF", "planes", "a"), Job("Convex hull", "planes", "a"), Job("RBF", "planes:3", "a", label="again")]
    for job, error in zip(jobs[:2], ("It needs a library.", ""), strict=True):
        report.append_row(store, {**job.shown, "error": error, "key": runner.key_of(job, context)})
    tried = []

    def fits(jobs: list[Job], context: Context, **_: object) -> list[report.Row]:
        tried.append(jobs)
        return [{**job.shown, "error": "", "chamfer": 1.0, "key": runner.key_of(job, context)} for job in jobs]

    monkeypatch.setattr(runner, "_fits", fits)
    before = runner.run(jobs, context, store=store, workers=1, minutes=0)
    assert [row["error"] for row in before] == ["It needs a library.", "", "It needs a library."]
    after = runner.run(jobs, context, store=store, workers=1)
    assert tried == [[], [jobs[2]]]  # of two jobs with the same key one is enough
    assert [row["error"] for row in after] == ["", "", ""]
    assert [row["system"] for row in after] == ["RBF", "Convex hull", "again"]


def test_the_same_fit_is_made_once_whatever_a_table_calls_it() -> None:
    context = Context("liver", "test", quick=True)
    keys = [runner.key_of(Job("RBF", c, "a", label=label), context) for c, label in (("planes", ""), ("planes:3", "x"))]
    assert keys[0] == keys[1]
    others = [Job("RBF", "planes:4", "a"), Job("RBF", "planes", "b"), Job("Poisson", "planes", "a")]
    assert len({keys[0], *(runner.key_of(job, context) for job in others)}) == 4


def test_no_system_is_trained_on_what_it_is_tuned_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"liver {k}" for k in range(20)]
    (tmp_path / "splits.json").write_text(json.dumps({"msd_train": names}), encoding="utf-8")
    monkeypatch.setattr(organs, "LIVERS", tmp_path)
    validation = shapes.validation_names("liver")
    assert validation == ["liver 0", "liver 8", "liver 16"]
    assert sorted([*validation, *shapes.training_names("liver")]) == sorted(names)


def test_all_spleens_are_trained_on_as_the_shipped_prior_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"spleen {k}" for k in range(20)]
    (tmp_path / "splits.json").write_text(json.dumps({"train": names}), encoding="utf-8")
    monkeypatch.setattr(organs, "SPLEENS", tmp_path)
    assert shapes.training_names("spleen") == names
