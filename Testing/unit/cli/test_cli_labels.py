"""What `--label LABEL:PRIOR` means, and where several organs are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from dals.cli.labels import LabelledOrgan, organs_of, output_paths, plain_label
from dals.errors import InputError


def test_only_the_first_colon_divides() -> None:
    texts = [r"1:C:\priors\spleen.safetensors", "left kidney : kidney", "-3:/a:b/c.safetensors"]
    assert organs_of(texts) == (
        LabelledOrgan(1, r"C:\priors\spleen.safetensors"),
        LabelledOrgan("left kidney", "kidney"),
        LabelledOrgan(-3, "/a:b/c.safetensors"),
    )


@pytest.mark.parametrize(("texts", "label"), [(None, None), ([], None), (["3"], 3), (["liver"], "liver")])
def test_plain_labels(texts: list[str] | None, label: int | str | None) -> None:
    assert organs_of(texts) == ()
    assert plain_label(texts) == label


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["1:liver", "2"], "--label 2 must be"),
        (["1:"], "--label 1: must be"),
        ([":liver"], "--label :liver must be"),
        (["1:liver", "01:spleen"], "1 is named twice"),
        (["a:liver", "a :spleen"], "a is named twice"),
    ],
)
def test_organs_there_cannot_be(texts: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        organs_of(texts)


def test_names_of_files() -> None:
    labels: list[int | str] = [1, "left kidney", "left/kidney", "Left_Kidney", "../..", "größe", -1]
    paths = output_paths(Path("folder") / "a.b.stl", [LabelledOrgan(label, "liver") for label in labels])
    assert {path.parent for path in paths} == {Path("folder")}
    assert [path.name for path in paths] == [
        "a.b_1.stl",
        "a.b_left_kidney.stl",
        "a.b_left_kidney_2.stl",
        "a.b_Left_Kidney_3.stl",
        "a.b_label.stl",
        "a.b_größe.stl",
        "a.b_-1.stl",
    ]
