"""What Slicer's build and Extensions Manager take from this repository."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "DALSRefine"
SCRIPTED = "lib/Slicer-5.10/qt-scripted-modules"
PACKAGES = ("DALSRefineLib", "dals")
SHARED = ("Resources/Priors/", "Resources/SampleData/")
MUST_BE_INSTALLED = (
    "DALSRefine.py",
    "DALSRefineLib/__init__.py",
    "dals/io/markups.py",
    "dals/cli/demo.py",
    "Resources/UI/DALSRefine.ui",
    "Resources/Icons/DALSRefine.png",
    "Resources/Priors/liver.safetensors",
    "Resources/Priors/liver.md",
    "Resources/SampleData/SyntheticLiver-CT.nrrd",
    "NOTICE",
)
ASK_THE_INSTALLED = """
import json
from pathlib import Path
import dals
import dals.model.prior_files
print(json.dumps({
    "package": str(Path(dals.__file__).resolve().parent),
    "priors": {name: str(path) for name, path in dals.model.prior_files.available_priors().items()},
}))
"""


def on_disk(folder: Path, base: Path) -> set[str]:
    """Files below a folder, relative to `base`, without what Python leaves behind."""
    return {
        path.relative_to(base).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def settings_of_the_extension() -> dict[str, str]:
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    return dict(re.findall(r'^set\(EXTENSION_(\w+) "([^"]*)"\)', text, re.MULTILINE))


def description_file() -> dict[str, str]:
    lines = (ROOT / "DALSRefine.s4ext").read_text(encoding="utf-8").splitlines()
    return dict(line.split(maxsplit=1) for line in lines if line.strip() and not line.startswith("#"))


# --- what the Extensions Manager is told


def test_the_description_file_has_every_key() -> None:
    described = description_file()
    assert set(described) == {
        *("scm", "scmurl", "scmrevision", "depends", "build_subdirectory", "homepage", "contributors"),
        *("category", "iconurl", "status", "description", "screenshoturls", "enabled"),
    }
    assert (described["scm"], described["enabled"], described["build_subdirectory"]) == ("git", "1", ".")


@pytest.mark.parametrize(
    "key", ["homepage", "category", "contributors", "description", "iconurl", "screenshoturls", "depends"]
)
def test_cmake_and_the_description_file_agree(key: str) -> None:
    assert settings_of_the_extension()[key.upper()] == description_file()[key]


def test_the_help_links_to_the_tutorial() -> None:
    code = (MODULE / "DALSRefine.py").read_text(encoding="utf-8")
    (link,) = re.findall(r'^_TUTORIAL = "([^"]*)"$', code, re.MULTILINE)
    page, anchor = link.split("#")
    assert page == description_file()["homepage"]
    headings = re.findall(r"^#+ (.*)$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert anchor in [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]


@pytest.mark.parametrize("key", ["iconurl", "screenshoturls"])
def test_pictures_are_taken_from_files_of_this_repository(key: str) -> None:
    host = "https://raw.githubusercontent.com/"
    for url in description_file()[key].split():
        assert url.startswith(host)
        _owner, _repository, _branch, path = url.removeprefix(host).split("/", maxsplit=3)
        assert (ROOT / path).is_file()


def test_the_catalog_entry_follows_the_schema() -> None:
    """Rules of slicer-extension-catalog-entry-schema-v1.0.2.json."""
    entry = json.loads((ROOT / "DALSRefine.json").read_text(encoding="utf-8"))
    texts = {"$schema", "category", "scm_url", "scm_revision", "scm_type", "dicom_support_rule", "build_subdirectory"}
    assert {"$schema", "category", "scm_url"} <= set(entry)
    assert set(entry) <= texts | {"build_dependencies", "enabled", "tier"}
    assert all(isinstance(entry[key], str) for key in texts & set(entry))
    assert entry["$schema"].endswith("/slicer-extension-catalog-entry-schema-v1.0.2.json#")
    assert entry["scm_type"] in ("git", "local")
    assert isinstance(entry["build_dependencies"], list)
    assert all(isinstance(name, str) for name in entry["build_dependencies"])
    assert isinstance(entry["enabled"], bool)
    assert type(entry["tier"]) is int
    assert 1 <= entry["tier"] <= 5


def test_the_catalog_entry_agrees_with_the_description_file() -> None:
    entry = json.loads((ROOT / "DALSRefine.json").read_text(encoding="utf-8"))
    described = description_file()
    assert entry["category"] == described["category"]
    assert entry["build_dependencies"] == described["depends"].split() == ["PyTorch"]
    assert (entry["scm_url"], entry["scm_revision"]) == (described["scmurl"], described["scmrevision"])


@pytest.mark.parametrize("folder", [ROOT / "Resources" / "Icons", MODULE / "Resources" / "Icons"])
def test_icons_are_png_files_of_128_pixels(folder: Path) -> None:
    content = (folder / "DALSRefine.png").read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width, height, _depth, colour_type = struct.unpack(">IIBB", content[16:26])
    assert (width, height) == (128, 128)
    assert colour_type == 6, "the background is not transparent"


# --- what lies where after an installation


def check_installed(folder: Path, cwd: Path) -> None:
    """With nothing but the module's folder on the path, everything is found there and nowhere else."""
    missing = [name for name in MUST_BE_INSTALLED if not (folder / name).is_file()]
    assert not missing
    environment = {name: value for name, value in os.environ.items() if name != "DALS_PRIORS"}
    environment["PYTHONPATH"] = str(folder)
    asked = subprocess.run(
        [sys.executable, "-B", "-c", ASK_THE_INSTALLED],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert asked.returncode == 0, asked.stderr
    answer = json.loads(asked.stdout)
    assert Path(answer["package"]) == folder.resolve() / "dals", "the source tree was imported instead"
    assert Path(answer["priors"]["liver"]) == folder.resolve() / "Resources" / "Priors" / "liver.safetensors"


# --- with CMake and as much of Slicer as the build asks for

STUB_CONFIG = f"""
set(Slicer_USE_FILE "${{CMAKE_CURRENT_LIST_DIR}}/UseSlicer.cmake")
set(Slicer_EXTENSION_GENERATE_CONFIG "${{CMAKE_CURRENT_LIST_DIR}}/Nothing.cmake")
set(Slicer_EXTENSION_CPACK "${{CMAKE_CURRENT_LIST_DIR}}/Nothing.cmake")
set(Slicer_QTSCRIPTEDMODULES_LIB_DIR "{SCRIPTED}")
set(Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR "{SCRIPTED}")
"""
STUB_USE = """
# Like Slicer's: what is missing is an error, copies keep their subfolders, and the folder of copies is installed.
function(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MY "WITH_GENERIC_TESTS" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  if(MY_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "Unknown: ${MY_UNPARSED_ARGUMENTS}")
  endif()
  set(_folder "${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR}")
  foreach(_file IN LISTS MY_SCRIPTS MY_RESOURCES)
    if(NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${_file}")
      message(FATAL_ERROR "There is no ${_file}")
    endif()
    add_custom_command(
      OUTPUT "${_folder}/${_file}"
      COMMAND ${CMAKE_COMMAND} -E copy "${CMAKE_CURRENT_SOURCE_DIR}/${_file}" "${_folder}/${_file}"
      )
    list(APPEND _copies "${_folder}/${_file}")
  endforeach()
  add_custom_target(Copy${MY_NAME} ALL DEPENDS ${_copies})
  install(DIRECTORY "${_folder}/" DESTINATION "${Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR}"
    COMPONENT RuntimeLibraries)
endfunction()

function(slicer_add_python_unittest)
  cmake_parse_arguments(MY "" "SCRIPT" "" ${ARGN})
  file(APPEND "${CMAKE_BINARY_DIR}/unittests.txt" "${MY_SCRIPT}\\n")
endfunction()
"""


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the extension built in `build` and installed in `installed`."""
    if not shutil.which("cmake") or not (shutil.which("ninja") or shutil.which("make")) or not shutil.which("c++"):
        pytest.skip("building the extension needs CMake, Ninja or Make, and a compiler")
    folder = tmp_path_factory.mktemp("extension")
    for name, text in (("SlicerConfig", STUB_CONFIG), ("UseSlicer", STUB_USE), ("Nothing", "")):
        (folder / f"{name}.cmake").write_text(text, encoding="utf-8")
    generator = "Ninja" if shutil.which("ninja") else "Unix Makefiles"
    configure = ["-S", ROOT, "-B", folder / "build", "-G", generator, f"-DSlicer_DIR={folder}", "-DBUILD_TESTING=ON"]
    install = ["--install", folder / "build", "--prefix", folder / "installed", "--component", "RuntimeLibraries"]
    for arguments in (configure, ["--build", folder / "build"], install):
        done = subprocess.run(["cmake", *map(str, arguments)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.parametrize("tree", ["build", "installed"])
def test_cmake_leaves_a_module_that_works(build: Path, tmp_path: Path, tree: str) -> None:
    check_installed(build / tree / SCRIPTED, tmp_path)


@pytest.mark.parametrize("tree", ["build", "installed"])
def test_cmake_ships_every_file_and_nothing_else(build: Path, tree: str) -> None:
    expected = {"DALSRefine.py", "LICENSE", "NOTICE"}
    for package in PACKAGES:
        expected |= on_disk(MODULE / package, MODULE)
    expected |= on_disk(MODULE / "Resources", MODULE)
    expected |= {name for name in on_disk(ROOT / "Resources", ROOT) if name.startswith(SHARED) and ".py" not in name}
    assert on_disk(build / tree / SCRIPTED, build / tree / SCRIPTED) == expected


def test_cmake_registers_the_module_s_own_test(build: Path) -> None:
    assert (build / "build" / "unittests.txt").read_text(encoding="utf-8").split() == ["DALSRefine.py"]
