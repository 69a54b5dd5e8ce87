from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest
from fakes.runner import FakeRunner

from ops.errors import ConfigError, FolderInUse
from ops.hub import LocalHub, User
from ops.hub.data_folder import LOCK, hold, kept_token, reset, token_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_a_folder_is_one_hubs_at_a_time(tmp_path: Path) -> None:
    """A second Hub is refused and named the first, and may have the folder after it."""
    with LocalHub(tmp_path / "hub", FakeRunner()):
        with pytest.raises(FolderInUse, match=r"process [0-9]+"):
            LocalHub(tmp_path / "hub", FakeRunner())
        with pytest.raises(FolderInUse):
            reset(tmp_path / "hub")
    with LocalHub(tmp_path / "hub", FakeRunner()):
        pass


def test_a_hub_that_cannot_start_gives_its_folder_back(tmp_path: Path) -> None:
    """A wrong mirror is corrected and the Hub started again in the same process."""
    mirrors = {"org/model": tmp_path / "missing"}
    with pytest.raises(Exception, match="cannot be served"):
        LocalHub(tmp_path / "hub", FakeRunner(), mirrors=mirrors)
    hold(tmp_path / "hub").release()


@pytest.mark.parametrize(
    "use",
    [
        lambda data: LocalHub(data, FakeRunner()),
        lambda data: kept_token(data, "me", "write"),
        hold,
    ],
)
def test_a_folder_that_cannot_be_is_said_so(tmp_path: Path, use: Callable[[Path], object]) -> None:
    """With its path and the system's reason, and as a mistake of the caller's."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="Not a directory") as caught:
        use(tmp_path / "file" / "hub")
    assert str(tmp_path / "file" / "hub") in caught.value.message


@pytest.mark.parametrize("name", ["ending.lock", "xet"])
def test_what_cannot_be_used_in_a_folder_is_said_so(tmp_path: Path, name: str) -> None:
    """Whatever of it the system refuses, the Hub does not start, and gives the folder back."""
    (tmp_path / "hub").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "hub" / name).symlink_to(tmp_path / "file" / "none")
    with pytest.raises(ConfigError, match="cannot be used"):
        LocalHub(tmp_path / "hub", FakeRunner(), users=[User("me", {"hf_x": "write"})])
    hold(tmp_path / "hub").release()


def test_tokens_are_made_once_and_are_their_owners_alone(tmp_path: Path) -> None:
    """Each person and role has one, which the next start finds again."""
    token = kept_token(tmp_path, "me", "write")
    assert kept_token(tmp_path, "me", "write") == token
    assert kept_token(tmp_path, "me", "read") != token
    file = tmp_path / "tokens" / "me.write"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sorted(path.name for path in file.parent.iterdir()) == ["me.read", "me.write"]


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"hf_a\nhf_b", b"\xff\xfe"])
def test_a_file_without_a_token_is_refused(tmp_path: Path, content: bytes) -> None:
    """Its content is not shown, and it is not overwritten."""
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        token_in(file)
    assert "hf_a" not in str(caught.value)
    assert file.read_bytes() == content


def test_a_reset_deletes_what_a_hub_kept_and_nothing_else(tmp_path: Path) -> None:
    """The folder goes; what a link in it leads to stays."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    data = tmp_path / "hub"
    with LocalHub(data, FakeRunner()):
        (data / "link").symlink_to(outside)
    reset(data)
    assert not data.exists()
    assert (outside / "kept").read_text() == "x"


@pytest.mark.parametrize("exists", [True, False])
def test_a_folder_that_is_no_hubs_is_left_alone(tmp_path: Path, *, exists: bool) -> None:
    """A wrong --data deletes nothing and makes nothing."""
    folder = tmp_path / "precious"
    if exists:
        folder.mkdir()
        (folder / "file").write_text("x")
    with pytest.raises(ConfigError, match="not a Hub's folder"):
        reset(folder)
    assert folder.exists() is exists
    assert not (folder / LOCK).exists()


def test_a_planted_link_is_not_written_through(tmp_path: Path) -> None:
    """Neither the lock nor a token is written to a file that somebody's link names."""
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / LOCK).symlink_to(tmp_path / "victim")
    with pytest.raises(ConfigError, match="cannot be used"):
        hold(tmp_path / "hub")
    (tmp_path / "token").symlink_to(tmp_path / "missing")
    assert token_in(tmp_path / "token").startswith("hf_")
    assert not (tmp_path / "missing").exists()
    assert (tmp_path / "victim").read_text() == "mine"
