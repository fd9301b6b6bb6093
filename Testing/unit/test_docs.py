"""The texts for people: links lead somewhere, the README is short and its examples are true."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

import dals

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY = "https://github.com/DALSRefine/SlicerDALSRefine/"
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob(".github/**/*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "Resources").rglob("*.md"),
        *(ROOT / "Testing").rglob("*.md"),
    ]
)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def links_of(page: Path) -> Iterator[str]:
    """Targets of a page's links and pictures."""
    yield from _LINK.findall(_CODE.sub("", page.read_text(encoding="utf-8")))


def anchors_of(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", _CODE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files_and_headings_of_this_repository(page: Path) -> None:
    dead = []
    for link in links_of(page):
        target, _, anchor = unquote(link).partition("#")
        inside = re.match(re.escape(REPOSITORY) + r"(?:blob|tree)/main/(.*)", target)
        if inside:
            path = ROOT / inside[1]
        elif re.match(r"[a-z]+:", target):
            continue
        else:
            path = page.parent / target if target else page
        if not path.exists() or (anchor and path.suffix == ".md" and anchor not in anchors_of(path)):
            dead.append(link)
    assert not dead


def test_the_readme_is_read_to_its_end() -> None:
    assert len(readme().splitlines()) <= 150


def test_the_first_screen_says_what_it_is_not_for() -> None:
    assert "not a medical device" in "\n".join(readme().splitlines()[:20])


@pytest.mark.parametrize("command", ["demo", "test"])
def test_the_readme_has_the_two_commands(command: str) -> None:
    assert f"```console\npython3 Testing/run.py {command}\n```" in readme()


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(r"^(\d{3}-[\w-]+)$", (folder / "index.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert listed == sorted(path.stem for path in folder.glob("[0-9]*.md"))
    assert [int(name[:3]) for name in listed] == list(range(1, len(listed) + 1))


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
@pytest.mark.parametrize("package", ["dals", "DALSRefineLib"])
def test_every_room_is_listed(page: str, package: str) -> None:
    folders = {path.parent.name for path in (ROOT / "DALSRefine" / package).glob("*/__init__.py")}
    text = (ROOT / page).read_text(encoding="utf-8")
    assert {name for name in folders if f"`{name}`" not in text} == set()


def test_every_public_name_is_in_the_reference() -> None:
    text = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\.\. auto\w+:: dals\.(\w+)$", text, re.MULTILINE)
    assert sorted(documented) == sorted(name for name in dals.__all__ if not name.startswith("__"))
