from __future__ import annotations

import multiprocessing
import os
import stat
from typing import TYPE_CHECKING

import pytest

from ops import files

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_keeps_its_mode_and_owner(tmp_path: Path) -> None:
    """A new content is all that is new; a mode that is asked for is set."""
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o604)
    if os.geteuid() == 0:
        os.chown(path, 12, 34)
    before = path.stat()
    files.write(path, b"new")
    after = path.stat()
    assert path.read_bytes() == b"new"
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )
    files.write(path, b"secret", mode=0o600)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_link_is_replaced_not_followed(tmp_path: Path) -> None:
    """Whatever somebody has planted there, no other file is written to."""
    (tmp_path / "other").write_text("mine")
    (tmp_path / "file").symlink_to("other")
    files.write(tmp_path / "file", b"new")
    assert (tmp_path / "other").read_text() == "mine"
    assert not (tmp_path / "file").is_symlink()


def test_what_fails_leaves_everything_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old content stays, and nothing lies beside it."""
    (tmp_path / "file").write_text("old")

    def full(_: int) -> None:
        raise OSError

    monkeypatch.setattr("ops.files.os.fsync", full)
    with pytest.raises(OSError):  # noqa: PT011 -- any
        files.write(tmp_path / "file", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "old"


def test_one_process_at_a_time(tmp_path: Path) -> None:
    """Processes that count up under the lock lose no count, and leave no lock behind."""
    path = tmp_path / "count"
    path.write_text("0")
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_count, args=(path,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert path.read_text() == "100"
    assert [path.name for path in tmp_path.iterdir()] == ["count"]


def test_a_lock_that_is_never_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting ends with an error that says why."""
    monkeypatch.setattr("ops.files._LOCK_LIMIT", 0)
    with (
        files.locked(tmp_path / "a"),
        pytest.raises(TimeoutError, match="another process keeps it locked"),
        files.locked(tmp_path / "b"),
    ):
        pytest.fail("it was locked twice")


def _count(path: Path) -> None:
    for _ in range(25):
        with files.locked(path):
            files.write(path, str(int(path.read_text()) + 1).encode())
