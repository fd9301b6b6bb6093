"""Examples of the public interface, in docstrings and in the README: they run, and give what they say."""

from __future__ import annotations

import doctest
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import dals

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "Resources" / "SampleData"
PLANES = ("axial", "coronal", "sagittal")
NAMES = sorted(dals.__all__)


@pytest.fixture
def sample_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The present folder while an example runs: the sample data, and the contours by the names that texts use."""
    for path in SAMPLES.iterdir():
        shutil.copy(path, tmp_path)
    for plane in PLANES:
        shutil.copy(SAMPLES / f"SyntheticLiver-{plane}.mrk.json", tmp_path / f"{plane}.mrk.json")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def examples_of(name: str) -> list[doctest.DocTest]:
    """Examples in the docstring of a public name and of its members."""
    target: Any = dals if name == "dals" else getattr(dals, name)
    tests = doctest.DocTestFinder(recurse=name != "dals").find(target, name, module=False, globs={"dals": dals})
    return [test for test in tests if test.examples]


WITH_EXAMPLES = [name for name in ("dals", *NAMES) if examples_of(name)]


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_examples_of_a_docstring(name: str, sample_folder: Path) -> None:
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for test in examples_of(name):
        runner.run(test)
    assert runner.summarize(verbose=False).failed == 0


def test_the_use_case_has_an_example() -> None:
    assert "refine" in WITH_EXAMPLES or "dals" in WITH_EXAMPLES


def example_in(page: str) -> str:
    """The one Python example of a page."""
    (code,) = re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return str(code)


@pytest.mark.slow
def test_the_example_of_the_readme(sample_folder: Path) -> None:
    exec(compile(example_in("README.md"), "README.md", "exec"), {})
    assert (sample_folder / "liver.stl").stat().st_size > 0


def test_the_documentation_begins_with_that_example() -> None:
    assert example_in("docs/python.md") == example_in("README.md")
