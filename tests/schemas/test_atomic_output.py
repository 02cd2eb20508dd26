import os
import stat
from pathlib import Path

import pytest

from cellmark.schemas.atomic_output import refuse_existing, whole_file, whole_folder
from cellmark.schemas.errors import OutputError


def test_a_file_appears_whole_with_the_rights_that_the_umask_leaves(tmp_path: Path) -> None:
    out = tmp_path / "new folder" / "out.csv"
    with whole_file(out) as draft:
        assert draft.suffix == ".csv"
        assert draft.parent == out.parent
        draft.write_text("whole")
        assert not out.exists()
    assert out.read_text() == "whole"
    (reference := tmp_path / "plain").write_text("")
    assert stat.S_IMODE(out.stat().st_mode) == stat.S_IMODE(reference.stat().st_mode)
    assert os.listdir(out.parent) == ["out.csv"]


@pytest.mark.parametrize("ending", [KeyboardInterrupt(), ValueError("broken"), SystemExit(143)])
def test_a_file_that_fails_half_way_leaves_nothing(tmp_path: Path, ending: BaseException) -> None:
    with pytest.raises(type(ending)), whole_file(tmp_path / "out.csv") as draft:  # noqa: PT012
        draft.write_text("half")
        raise ending
    assert os.listdir(tmp_path) == []


def test_a_file_that_fails_half_way_leaves_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    out.write_text("old")
    with pytest.raises(ValueError, match="broken"), whole_file(out, force=True) as draft:  # noqa: PT012
        draft.write_text("half")
        raise ValueError("broken")
    assert out.read_text() == "old"
    assert os.listdir(tmp_path) == ["out.csv"]


def test_an_output_that_exists_is_replaced_only_by_force(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    out.write_text("old")
    for force, remedy in ((False, "with --force"), (None, "or remove this one")):
        with pytest.raises(OutputError, match=remedy) as caught, whole_file(out, force=force):
            pytest.fail("the block must not run")
        assert caught.value.code == "OUTPUT_EXISTS"
    with whole_file(out, force=True) as draft:
        draft.write_text("new")
    assert out.read_text() == "new"


def test_a_link_that_leads_nowhere_exists(tmp_path: Path) -> None:
    (tmp_path / "out.csv").symlink_to(tmp_path / "gone")
    with pytest.raises(OutputError, match="OUTPUT_EXISTS"):
        refuse_existing(tmp_path / "out.csv", force=False)


def test_a_place_that_cannot_be_written_is_ours(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file" / "out.csv", tmp_path / ("n" * 300)):
        with pytest.raises(OutputError) as caught, whole_file(out):
            pytest.fail("the block must not run")
        assert caught.value.code == "OUTPUT_UNWRITABLE"
        assert str(out) in str(caught.value)


def test_the_longest_name_that_the_file_system_takes_is_written(tmp_path: Path) -> None:
    out = tmp_path / ("n" * 251 + ".csv")
    with whole_file(out) as draft:
        draft.write_text("x")
    assert out.read_text() == "x"


def test_what_the_system_refuses_within_the_block_is_ours(tmp_path: Path) -> None:
    with pytest.raises(OutputError) as caught, whole_file(tmp_path / "out.csv"):
        raise OSError(28, "No space left on device")
    assert caught.value.code == "OUTPUT_UNWRITABLE"
    assert "No space left on device" in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    out = tmp_path / "made" / "folder"
    with pytest.raises(KeyboardInterrupt), whole_folder(out) as draft:  # noqa: PT012
        (draft / "half").write_text("")
        raise KeyboardInterrupt
    assert os.listdir(out.parent) == []
    with whole_folder(out) as draft:
        (draft / "file").write_text("whole")
        assert not out.exists()
    assert os.listdir(out.parent) == ["folder"]
    assert (out / "file").read_text() == "whole"


def test_a_folder_is_replaced_by_force_and_kept_when_the_new_one_fails(tmp_path: Path) -> None:
    out = tmp_path / "folder"
    out.mkdir()
    (out / "old").write_text("")
    with pytest.raises(OutputError, match="OUTPUT_EXISTS"), whole_folder(out):
        pytest.fail("the block must not run")
    with pytest.raises(ValueError, match="broken"), whole_folder(out, force=True):
        raise ValueError("broken")
    assert os.listdir(out) == ["old"]
    with whole_folder(out, force=True) as draft:
        (draft / "new").write_text("")
    assert os.listdir(out) == ["new"]
    assert os.listdir(tmp_path) == ["folder"]
