from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ops.hub.checkout import check_out
from ops.hub.errors import HubError
from ops.hub.tree import SYMLINK, Entry, LargeFile

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, files: dict[str, bytes], links: dict[str, bytes]) -> None:
    """Check out files and links, whose ids are their contents here."""
    contents = {f"f{path}": content for path, content in files.items()}
    contents |= {f"l{path}": content for path, content in links.items()}
    entries = [Entry("file", path, f"f{path}", 0) for path in files]
    entries += [Entry("file", path, f"l{path}", 0, mode=SYMLINK) for path in links]
    entries.sort(key=lambda entry: entry.path)
    check_out(entries, folder, read=contents.__getitem__, large_path=lambda _: folder / "none")


def test_links_within_the_folder_are_links(tmp_path: Path) -> None:
    """As a clone would have them, also through each other, and into the void."""
    links = {"a": b"d/file", "d/b": b"../a", "c": b"d", "void": b"d/none", "loop": b"loop"}
    write(tmp_path, {"d/file": b"text"}, links)
    assert all((tmp_path / name).is_symlink() for name in links)
    for name in ("a", "d/b", "c/file"):
        assert (tmp_path / name).read_bytes() == b"text"


@pytest.mark.parametrize(
    "links",
    [
        {"x": b"/etc/passwd"},
        {"x": b"../../etc/passwd"},
        {"x": b".."},
        {"up": b"d/e/..", "x": b"d/e/../../../up"},
        {"near": b"d/e", "x": b"near/../../.."},
        {"x": b"y", "y": b"z", "z": b"../.."},
    ],
)
def test_no_link_leads_out_of_the_folder(tmp_path: Path, links: dict[str, bytes]) -> None:
    """One that would is a file that says where it led; nothing leads out through another."""
    folder = tmp_path / "tree"
    write(folder, {"d/e/file": b""}, links)
    inside = os.path.realpath(folder)
    for path in folder.rglob("*"):
        assert os.path.realpath(path).startswith(inside)
    assert [name for name, content in links.items() if _is_text(folder / name, content)]
    assert [path.name for path in tmp_path.iterdir()] == ["tree"]


def _is_text(path: Path, content: bytes) -> bool:
    return not path.is_symlink() and path.is_file() and path.read_bytes() == content


@pytest.mark.parametrize("path", ["../x", "a/../../x", ".git/hooks/x", "/x"])
def test_a_path_that_leads_out_is_refused(tmp_path: Path, path: str) -> None:
    """No matter how it came into the repository."""
    folder = tmp_path / "tree"
    folder.mkdir()
    with pytest.raises(HubError):
        write(folder, {path: b"x"}, {})
    assert list(folder.iterdir()) == []


def test_a_large_file_that_was_never_uploaded_is_named(tmp_path: Path) -> None:
    """A build ends with its path rather than without it."""
    entry = Entry("file", "big.bin", "1", 5, large=LargeFile("0" * 64, 5))
    with pytest.raises(HubError, match=r"big\.bin"):
        check_out([entry], tmp_path, read=lambda _: b"", large_path=lambda _: tmp_path / "none")


def test_programs_and_odd_names_come_as_they_are(tmp_path: Path) -> None:
    """The executable bit, and a name that is not UTF-8."""
    entries = [
        Entry("file", "run", "1", 1, mode="100755"),
        Entry("file", b"\xff".decode(errors="surrogateescape"), "1", 1),
    ]
    check_out(entries, tmp_path, read=lambda _: b"x", large_path=lambda _: tmp_path)
    assert os.access(tmp_path / "run", os.X_OK)
    assert b"\xff" in {os.fsencode(path.name) for path in tmp_path.iterdir()}
