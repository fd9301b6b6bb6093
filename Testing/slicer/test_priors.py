"""Which priors the panel offers, and what it says of them; no Slicer is needed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dals.errors import OutputError, PriorError
from dals.model.prior_files import PriorHeader, available_priors, find_prior, read_header
from DALSRefineLib.priors import add_prior, card_lines, offered_priors, organ_of, side_note

PACKAGE = Path(__file__).resolve().parents[2] / "DALSRefine"


def header_with(card) -> PriorHeader:
    return PriorHeader(Path("organ.safetensors"), "organ", card)


def test_neither_slicer_nor_torch_is_imported():
    modules = ("panel.fit_options", "priors", "panel.report_rows", "process.interpreter")
    code = (
        f"import sys; sys.path.insert(0, {str(PACKAGE)!r}); "
        + "; ".join(f"import DALSRefineLib.{name}" for name in modules)
        + "; print([name for name in ('torch', 'qt', 'vtk') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("name", ["liver", "Spleen", "hippocampus", "kidney", "something else"])
def test_an_organ_has_a_name_a_colour_and_a_term(name):
    organ = organ_of(name)
    assert organ.name == name.capitalize()
    assert all(0.0 <= part <= 1.0 for part in organ.colour)
    known = name != "something else"
    meaning = organ.name if known else "Anatomical Structure"
    # Context, category, type, type modifier; context, region, region modifier of the place.
    parts = organ.terminology.split("~")
    assert len(parts) == 7
    assert parts[1] == "SCT^123037004^Anatomical Structure"
    assert re.fullmatch(rf"SCT\^\d+\^{meaning}", parts[2])
    assert parts[3] == parts[5] == parts[6] == "^^"


def test_the_liver_is_slicers_liver():
    organ = organ_of("liver")
    assert organ.terminology.split("~")[2] == "SCT^10200004^Liver"
    assert organ.colour == pytest.approx((221 / 255, 130 / 255, 101 / 255))


def test_the_shipped_priors_are_offered(tmp_path):
    offered = offered_priors()
    assert set(offered) == set(available_priors())
    assert offered["liver"].name == "liver"
    assert offered_priors(tmp_path / "missing") == offered


def test_a_user_s_prior_is_offered_once_added(ellipsoid_prior_file, tmp_path):
    folder = tmp_path / "a folder" / "priors"
    assert add_prior(ellipsoid_prior_file, folder) == "ellipsoid"
    offered = offered_priors(folder)
    assert offered["ellipsoid"].path == folder / "ellipsoid.safetensors"
    assert offered["ellipsoid"].name == "ellipsoid"
    assert "liver" in offered
    assert add_prior(folder / "ellipsoid.safetensors", folder) == "ellipsoid"  # what is there already
    assert (folder / "ellipsoid.safetensors").read_bytes() == ellipsoid_prior_file.read_bytes()


def test_a_prior_is_found_again_whatever_its_file_was_called(ellipsoid_prior_file, tmp_path):
    odd = tmp_path / "my prior (1).bin"
    shutil.copyfile(ellipsoid_prior_file, odd)
    name = add_prior(odd, tmp_path / "priors")
    assert offered_priors(tmp_path / "priors")[name].name == "ellipsoid"


def test_what_is_no_prior_is_not_added(tmp_path):
    nonsense = tmp_path / "nonsense.safetensors"
    nonsense.write_bytes(b"nothing")
    with pytest.raises(PriorError):
        add_prior(nonsense, tmp_path / "priors")
    with pytest.raises(PriorError):
        add_prior(tmp_path / "missing.safetensors", tmp_path / "priors")
    assert not (tmp_path / "priors").exists()


def test_a_folder_that_cannot_be_made(ellipsoid_prior_file, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be made"):
        add_prior(ellipsoid_prior_file, tmp_path / "file" / "priors")


def test_a_damaged_file_is_left_out(ellipsoid_prior_file, tmp_path):
    add_prior(ellipsoid_prior_file, tmp_path)
    (tmp_path / "damaged.safetensors").write_bytes(ellipsoid_prior_file.read_bytes()[:40])
    (tmp_path / "empty.safetensors").touch()
    assert set(offered_priors(tmp_path)) == {*available_priors(), "ellipsoid"}


def test_the_card_of_the_shipped_prior():
    header = read_header(find_prior("liver"))
    lines = card_lines(header)
    text = "\n".join(lines)
    assert lines[0] == header.card["intended_use"]
    assert f"({header.card['shapes']} shapes)" in text
    assert "Licence: CC BY-SA 4.0." in text
    assert f"Trained for {header.card['training']['minutes']} minutes" in text
    figures = header.card["held_out"]["clinician"]
    assert f"3 clicked curves, pose unknown: {figures['mean_distance_mm']:.1f} mm" in text
    assert f"volume off by {figures['volume_error_absolute']:.1f}%" in text
    assert "Bias: CT of adults" in text
    assert all(line.strip() for line in lines)


def test_a_prior_of_one_side_is_known_by_its_card():
    assert side_note(read_header(find_prior("liver"))) == ""
    for header in (read_header(find_prior("hippocampus")), header_with({"side": "right"})):
        assert side_note(header).startswith("Fits left and right organs.")


@pytest.mark.parametrize("card", [{}, {"side": None}, {"side": "both"}, {"side": ["left"]}, {"side": "l"}, "text"])
def test_a_card_that_names_no_single_side_says_nothing_of_it(card):
    assert side_note(header_with(card)) == ""


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        ({}, []),
        ([1, 2], []),
        ({"data": "71 livers", "shapes": 71}, ["Data: 71 livers (71 shapes)."]),
        ({"data": 5}, ["Data: 5 (? shapes)."]),
        ({"training": None, "held_out": None}, []),
        ({"training": "long", "held_out": "good"}, []),
        ({"held_out": {"points": {"mean_distance_mm": "small"}}}, []),
        (
            {"held_out": {"points": {"mean_distance_mm": 1}}},
            ["  2,500 points: 1.0 mm from the truth on average."],
        ),
    ],
)
def test_a_card_in_another_form_is_no_error(card, expected):
    assert card_lines(header_with(json.loads(json.dumps(card)))) == expected
