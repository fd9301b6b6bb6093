"""What a plain installation, not an editable one, puts on a user's machine."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIST_PRIORS = "import dals.model.prior_files as p; print(p.__file__, *sorted(p.available_priors()), sep='\\n')"

pytest.importorskip("hatchling", reason="hatchling builds the packages; it comes with the extra 'test'")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist."""
    return _build(ROOT, tmp_path_factory.mktemp("packages"), "wheel", "sdist")


@pytest.fixture(scope="module")
def site(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel installs."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(_only(packages, "*.whl")) as wheel:
        wheel.extractall(folder)
    return folder


@pytest.mark.parametrize("folder", ["Priors", "SampleData"])
def test_resources_lie_inside_the_package(site: Path, folder: str) -> None:
    shipped = _files_below(ROOT / "Resources" / folder)
    assert shipped
    assert _files_below(site / "dals" / "_resources" / folder) == shipped


def test_the_installed_package_finds_its_priors(site: Path, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DALS_PRIORS"}
    environment["PYTHONPATH"] = str(site)
    listed = subprocess.run(
        [sys.executable, "-c", LIST_PRIORS], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    module, *names = listed.stdout.splitlines()
    assert Path(module).is_relative_to(site), "the source tree was imported instead"
    assert names == sorted(path.stem for path in (ROOT / "Resources" / "Priors").glob("*.safetensors"))


def test_the_console_script_is_declared(site: Path) -> None:
    declared = next(site.glob("*.dist-info/entry_points.txt")).read_text(encoding="utf-8")
    assert "dals = dals.cli:main" in declared


def test_licence_and_attribution_come_along(site: Path) -> None:
    assert {"LICENSE", "NOTICE"} <= {path.name for path in site.glob("*.dist-info/licenses/*")}


def test_only_the_package_is_installed(site: Path) -> None:
    assert {path.name for path in site.iterdir() if path.suffix != ".dist-info"} == {"dals"}


def test_the_sdist_builds_the_same_wheel(packages: Path, tmp_path: Path) -> None:
    with tarfile.open(_only(packages, "*.tar.gz")) as sdist:
        # Python 3.11 knows filters from 3.11.4 on, and ignores the attribute before.
        sdist.extraction_filter = getattr(tarfile, "data_filter", None)
        sdist.extractall(tmp_path)
    source = next(path for path in tmp_path.iterdir() if path.is_dir())
    assert (source / "Testing" / "run.py").is_file()
    rebuilt = _build(source, tmp_path / "rebuilt", "wheel")
    assert _members(_only(rebuilt, "*.whl")) == _members(_only(packages, "*.whl"))


def _build(source: Path, target: Path, *kinds: str) -> Path:
    options = [option for kind in kinds for option in ("-t", kind)]
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(target), *options]
    subprocess.run(command, cwd=source, capture_output=True, check=True)
    return target


def _members(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def _only(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


def _files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
