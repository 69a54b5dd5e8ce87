from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from ops.adapters.git_checkout import github_name, source_commit, top_folder

if TYPE_CHECKING:
    from pathlib import Path


def git(folder: Path, *arguments: str) -> str:
    """Real git, for a person of its own."""
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    return subprocess.run(
        ["git", "-C", folder, *identity, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with one commit."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "--initial-branch", "main")
    (folder / "file").write_text("1")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "first")
    return folder


def test_a_commit_and_changes_on_top_of_it(checkout: Path) -> None:
    """What is running can be named, and says when that is not all."""
    head = git(checkout, "rev-parse", "HEAD")
    assert source_commit(checkout) == head
    (checkout / "file").write_text("2")
    assert source_commit(checkout) == f"{head}+changes"


def test_no_commit(tmp_path: Path) -> None:
    """A folder that is no checkout, is not there, or has no commit yet, has none."""
    assert source_commit(tmp_path) is None
    assert source_commit(tmp_path / "none") is None
    git(tmp_path, "init")
    assert source_commit(tmp_path) is None


def test_the_top_folder(checkout: Path, tmp_path: Path) -> None:
    """From any folder within; from outside there is none."""
    (checkout / "a" / "b").mkdir(parents=True)
    assert top_folder(checkout / "a" / "b") == top_folder(checkout) == checkout
    assert top_folder(tmp_path) is None


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("https://github.com/owner/name.git", "owner/name"),
        ("https://github.com/owner/name", "owner/name"),
        ("https://me:secret@github.com/owner/name/", "owner/name"),
        ("git@github.com:owner/name.git", "owner/name"),
        ("ssh://git@github.com/owner/name.git", "owner/name"),
        ("https://example.org/owner/name.git", None),
        ("https://github.com.example.org/owner/name", None),
        ("/srv/git/name.git", None),
        ("../name", None),
    ],
)
def test_the_name_on_github(checkout: Path, address: str, name: str | None) -> None:
    """Of every form of address, without what opens it; other hosts have none."""
    git(checkout, "remote", "add", "origin", address)
    assert github_name(checkout) == name


def test_without_an_origin_there_is_no_name(checkout: Path, tmp_path: Path) -> None:
    """Neither for a repository of its own, nor outside of one."""
    assert github_name(checkout) is None
    assert github_name(tmp_path) is None
