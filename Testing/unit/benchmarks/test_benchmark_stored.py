from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.stored import store


@dataclass(frozen=True)
class _Row:
    case: str
    millimetres: float


def test_every_case_and_the_text_are_written(tmp_path: Path) -> None:
    store("some", _Row, [_Row("a", 1.5), _Row("b", 2.0)], "# Table\n\n", folder=tmp_path)
    assert (tmp_path / "some.csv").read_text() == "case,millimetres\na,1.5\nb,2.0\n"
    assert (tmp_path / "some.md").read_text() == "# Table\n"
    store("some", _Row, [], "none", folder=tmp_path)
    assert (tmp_path / "some.csv").read_text() == "case,millimetres\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["some.csv", "some.md"]
