import os
from pathlib import Path

import pytest

from dals.errors import OutputError
from dals.io.atomic import all_or_none, atomic_path, check_writable, remove_leftovers


def _names(folder):
    return [path.name for path in folder.iterdir()]


def test_the_file_appears_when_the_block_ends(tmp_path):
    target = tmp_path / "organ.seg.nrrd"
    with atomic_path(target) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.name.endswith(".seg.nrrd")
        temporary.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert _names(tmp_path) == ["organ.seg.nrrd"]


@pytest.mark.parametrize("interruption", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, interruption):
    target = tmp_path / "organ.stl"
    target.write_text("old")

    def write():
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise interruption

    with pytest.raises(interruption):
        write()
    assert target.read_text() == "old"
    assert _names(tmp_path) == ["organ.stl"]


def test_no_space_left_is_told_in_a_sentence(tmp_path):
    with pytest.raises(OutputError, match="no space left"), atomic_path(tmp_path / "a.stl"):
        raise OSError(28, "No space left on device")


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(OutputError, match="nothing was written"), atomic_path(tmp_path / "a.stl"):
        pass


def test_a_missing_folder(tmp_path):
    with pytest.raises(OutputError, match="does not exist"):
        check_writable(tmp_path / "no" / "a.stl")


def test_a_file_in_place_of_the_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is not a folder"):
        check_writable(tmp_path / "file" / "a.stl")


def test_a_folder_in_place_of_the_file(tmp_path):
    with pytest.raises(OutputError, match="is a folder"):
        check_writable(tmp_path)


def test_a_name_that_no_file_can_have(tmp_path):
    with pytest.raises(OutputError):
        check_writable(tmp_path / "a\0b.stl")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="not writable"):
        check_writable(tmp_path / "a.stl")
    tmp_path.chmod(0o700)


def test_a_read_only_file_system():
    if not Path("/proc/self").is_dir():
        pytest.skip("needs /proc as an example of a folder that takes no files")
    with pytest.raises(OutputError, match="not writable"):
        check_writable("/proc/self/organ.stl")


def test_checking_leaves_nothing_behind(tmp_path):
    check_writable(tmp_path / "a.stl")
    assert _names(tmp_path) == []


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path):
    others = ["liver[1].stl", ".0123abcd.partial.liver1.stl", ".0123abcd.partial.spleen.stl", "partial.liver[1].stl"]
    for name in [".0123abcd.partial.liver[1].stl", ".89abcdef.partial.liver[1].stl", *others]:
        (tmp_path / name).touch()
    remove_leftovers(tmp_path / "liver[1].stl")
    assert sorted(_names(tmp_path)) == sorted(others)


def _contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _write_both(folder, *, failing=False):
    with all_or_none():
        for name in ("a", "b"):
            with atomic_path(folder / name) as temporary:
                temporary.write_bytes(b"new " + name.encode())
                if failing and name == "b":
                    raise OSError(28, "No space left on device")
            assert (folder / "a").read_bytes() == b"old a"  # nothing appears before the end


def test_several_files_appear_together(tmp_path):
    (tmp_path / "a").write_bytes(b"old a")
    _write_both(tmp_path)
    assert _contents(tmp_path) == {"a": b"new a", "b": b"new b"}


def test_a_disk_that_is_full_at_the_second_file_leaves_all_as_it_was(tmp_path):
    (tmp_path / "a").write_bytes(b"old a")
    with pytest.raises(OutputError, match="b: no space left"):
        _write_both(tmp_path, failing=True)
    assert _contents(tmp_path) == {"a": b"old a"}


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("error", [OSError(13, "Permission denied"), KeyboardInterrupt()])
def test_a_name_that_cannot_be_had_brings_the_earlier_files_back(error, links, tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"old a")
    if not links:
        monkeypatch.setattr(os, "link", lambda *_, **__: (_ for _ in ()).throw(OSError("no links here")))
    rename = Path.replace

    def replace(self, target):
        if Path(target).name == "b":
            raise error
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else OutputError):
        _write_both(tmp_path)
    assert _contents(tmp_path) == {"a": b"old a"}


def test_files_written_after_a_failed_block_appear_at_once(tmp_path):
    (tmp_path / "a").write_bytes(b"old a")
    with pytest.raises(OutputError):
        _write_both(tmp_path, failing=True)
    with atomic_path(tmp_path / "c") as temporary:
        temporary.write_bytes(b"new")
    assert (tmp_path / "c").read_bytes() == b"new"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with a name on this system")
def test_a_pipe_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputError, match="pipe or a device"):
        check_writable(tmp_path / "pipe")
