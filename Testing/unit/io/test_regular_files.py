from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from dals.errors import InputError
from dals.io.regular_files import check_regular


def test_a_file_within_the_limit_is_fine(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1234")
    check_regular(tmp_path / "a", limit=4)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_a_link_to_a_file_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1234")
    (tmp_path / "link").symlink_to("a")
    check_regular(tmp_path / "link", limit=4)


def test_a_larger_file_says_how_large(tmp_path: Path) -> None:
    with (tmp_path / "a").open("wb") as file:
        file.truncate(3 << 30)  # sparse: takes no space
    with pytest.raises(InputError, match="3 GiB; no more than 2 GiB"):
        check_regular(tmp_path / "a", limit=2 << 30)


@pytest.mark.parametrize(("name", "words"), [("none", "does not exist"), (".", "is a folder"), ("a\0b", "file name")])
def test_what_is_no_file(name: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        check_regular(tmp_path / name, limit=1)


def test_a_file_below_a_file_does_not_exist(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1234")
    with pytest.raises(InputError, match="does not exist"):
        check_regular(tmp_path / "a" / "b", limit=1)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with a name on this system")
def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="pipe or a device"):
        check_regular(tmp_path / "pipe", limit=1)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no such device on this system")
def test_a_device_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "zero").symlink_to("/dev/zero")
    with pytest.raises(InputError, match="pipe or a device"):
        check_regular(tmp_path / "zero", limit=1)
