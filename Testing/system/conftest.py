"""A made-up liver as each kind of input, written once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from command import PRECIOUS, Refused, contents, write_markups
from liver_case import FLIP, LIVER_LABEL, OTHER_LABEL, LiverCase
from scipy.spatial.transform import Rotation

from dals.cli import main
from dals.demo.synthetic_liver import cut_contour, synthetic_liver
from dals.geometry.label_map import LabelMap
from dals.geometry.mesh import TriangleMesh
from dals.geometry.voxelisation import mesh_to_label_map
from dals.io.label_maps import write_label_map
from dals.io.meshes import write_mesh


@pytest.fixture
def refused(
    tmp_path: Path, ellipsoid_prior_file: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Refused:
    """Run `dals refine` on what must not work, and see that it says so and touches nothing; returns what it says."""
    folder = tmp_path / "results"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("out.stl", "out.nii.gz", "out.json"):
        (folder / name).write_bytes(PRECIOUS)
    monkeypatch.setattr("dals.organ_fit.fit", lambda *_, **__: pytest.fail("it went as far as fitting"))

    def refuse(*arguments: object, output: object = "out.stl", prior: object = ellipsoid_prior_file) -> str:
        before = contents(tmp_path)
        capfd.readouterr()
        given = [str(argument) for argument in arguments]
        named = [] if "--batch" in given else ["-o", str(output)]
        if "--prior" not in given:
            given += ["--prior", str(prior)]
        status = main(["refine", *named, "--device", "cpu", *given])
        printed = capfd.readouterr()
        assert status == 2
        assert printed.out == ""
        lines = [line for line in printed.err.splitlines() if not line.startswith("dals: warning:")]
        assert len(lines) == 1, printed.err
        assert lines[0].startswith("dals refine: ")
        assert lines[0].endswith((".", ")"))
        assert "Traceback" not in printed.err
        assert contents(tmp_path) == before
        return lines[0]

    return refuse


@pytest.fixture(scope="session")
def liver(tmp_path_factory: pytest.TempPathFactory) -> LiverCase:
    folder = tmp_path_factory.mktemp("inputs")
    truth = synthetic_liver()
    low, high = truth.vertices.min(axis=0), truth.vertices.max(axis=0)
    middle = 0.5 * (low + high)
    clicked, contours = [], []
    for axis, (name, offset) in enumerate((("sagittal", 0.05), ("coronal", -0.04), ("axial", 0.06))):
        origin = middle + offset * (high - low) * np.eye(3)[axis]
        clicked.append(cut_contour(truth, origin, np.eye(3)[axis], seed=axis))
        system = "RAS" if name == "axial" else "LPS"
        positions = clicked[-1] * (1 if system == "RAS" else FLIP)
        contours.append(write_markups(folder / f"{name}.mrk.json", [positions], system=system))
    points, mesh = folder / "points.xyz", folder / "truth.ply"
    chosen = np.random.default_rng(0).choice(len(truth.vertices), 1500, replace=False)
    np.savetxt(points, truth.vertices[chosen] * FLIP, fmt="%.3f")
    write_mesh(mesh, truth)
    return LiverCase(
        truth,
        contours,
        clicked,
        _segmentation(folder / "oblique.nrrd", truth),
        _sparse(folder / "sparse.nii.gz", truth),
        points,
        mesh,
    )


def _segmentation(path: Path, truth: TriangleMesh) -> Path:
    spacing, size = np.array([2.2, 2.6, 4.5]), np.array([150, 125, 70])
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", [12, -8, 20], degrees=True).as_matrix() * spacing
    middle = 0.5 * (truth.vertices.min(axis=0) + truth.vertices.max(axis=0))
    matrix[:3, 3] = middle - matrix[:3, :3] @ ((size - 1) / 2)
    inside = mesh_to_label_map(truth, LabelMap(np.zeros(size[::-1], dtype=bool), matrix, "grid"))
    assert not inside.touches_border
    write_label_map(path, inside, label=LIVER_LABEL)
    image = sitk.ReadImage(str(path))
    image[2:10, 2:10, 2:6] = OTHER_LABEL
    sitk.WriteImage(image, str(path), useCompression=True)
    return path


def _sparse(path: Path, truth: TriangleMesh) -> Path:
    low, high = truth.vertices.min(axis=0) - 12, truth.vertices.max(axis=0) + 12
    spacing = np.array([2.0, 2.0, 3.0])
    size = np.ceil((high - low) / spacing).astype(int)
    matrix = np.diag([*spacing, 1.0])
    matrix[:3, 3] = low
    full = mesh_to_label_map(truth, LabelMap(np.zeros(size[::-1], dtype=bool), matrix, "grid"))
    painted = np.zeros_like(full.array)
    i, j, k = (size * (0.52, 0.46, 0.55)).astype(int)
    painted[k] |= full.array[k]
    painted[:, j] |= full.array[:, j]
    painted[:, :, i] |= full.array[:, :, i]
    write_label_map(path, full.with_array(painted))
    return path
