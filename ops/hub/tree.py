"""What a commit holds: files and folders, and the pointers that stand for large files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal

from ops.hub.errors import bad_request

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ops.hub.git_command import Git

FILE, SYMLINK = "100644", "120000"
"""Modes of git's trees; a symbolic link's content is where it points to."""

_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\noid sha256:([0-9a-f]{64})\nsize (\d+)\n"
)
LONGEST_POINTER = 200
_LONGEST_PATH = 1000
"""Characters, as the Hub's OpenAPI description has it for large files."""
_LONGEST_NAME = 255
"""Bytes of one part of a path, which is what file systems can hold."""
_PATHS_AT_ONCE = 100


@dataclass(frozen=True)
class LargeFile:
    """What a pointer names: the content's sha256 and its size in bytes."""

    sha256: str
    size: int

    def pointer(self) -> bytes:
        """What git keeps in its place."""
        return (
            "version https://git-lfs.github.com/spec/v1\n"
            f"oid sha256:{self.sha256}\nsize {self.size}\n"
        ).encode()


@dataclass(frozen=True)
class Entry:
    """A file or folder of a tree; `size` is the content's, `pointer_size` an LFS pointer's.

    A path that is not UTF-8 has its odd bytes as surrogates, as Python's file functions want it.
    """

    kind: Literal["file", "directory"]
    path: str
    oid: str
    size: int
    large: LargeFile | None = None
    pointer_size: int = 0
    mode: str = FILE

    @property
    def shown(self) -> str:
        """The path as it can be sent to a client."""
        return decoded(self.path.encode(errors="surrogateescape"))


def read_pointer(content: bytes) -> LargeFile | None:
    """What a file's content points to, None when it is no pointer."""
    match = _POINTER.fullmatch(content)
    return LargeFile(match[1].decode(), int(match[2])) if match else None


def list_tree(git: Git, commit: str, path: str = "", *, recursive: bool = False) -> list[Entry]:
    """What the folder of that path holds, by path; nothing when there is no such folder."""
    options = ["-r", "-t"] if recursive else []
    prefix = [f"{checked_path(path)}/"] if path else []
    listing = git.run("ls-tree", "-z", "-l", *options, commit, "--", *prefix)
    return [entry for entry in _entries(git, listing) if entry.path != path]


def list_paths(git: Git, commit: str, paths: Sequence[str]) -> list[Entry]:
    """Those of the paths that there are, each once."""
    asked = [path for path in dict.fromkeys(paths) if can_be_path(path)]
    found: dict[str, Entry] = {}
    for start in range(0, len(asked), _PATHS_AT_ONCE):
        part = asked[start : start + _PATHS_AT_ONCE]
        # Without -t, a folder is not listed when something in it is asked for too.
        listing = git.run("ls-tree", "-z", "-l", "-t", commit, "--", *part)
        found |= {entry.path: entry for entry in _entries(git, listing)}
    return [found[path] for path in asked if path in found]


def _entries(git: Git, listing: bytes) -> Iterator[Entry]:
    entries = list(_parsed(listing))
    small = [e for e in entries if e.mode == FILE and 0 < e.size <= LONGEST_POINTER]
    pointers = _pointers(git, {entry.oid for entry in small})
    for entry in entries:
        large = pointers.get(entry.oid) if entry.kind == "file" else None
        if large is None:
            yield entry
        else:
            yield Entry("file", entry.path, entry.oid, large.size, large, entry.size)


def _parsed(listing: bytes) -> Iterator[Entry]:
    for line in listing.split(b"\0"):
        facts, _, path = line.partition(b"\t")
        if not path:
            continue
        mode, kind, oid, size = facts.decode().split()
        name = path.decode(errors="surrogateescape")
        if kind == "blob":
            yield Entry("file", name, oid, int(size), mode=mode)
        elif kind == "tree":
            yield Entry("directory", name, oid, 0, mode=mode)
        # What is left are submodules, of which the Hub has no content.


def _pointers(git: Git, oids: Iterable[str]) -> dict[str, LargeFile]:
    found: dict[str, LargeFile] = {}
    if oids:
        with git.blobs() as read:
            for oid in oids:
                if (large := read_pointer(read(oid))) is not None:
                    found[oid] = large
    return found


def can_be_path(path: str) -> bool:
    """Whether a repository can have such a path, and every file system a file there."""
    if len(path) > _LONGEST_PATH or "\0" in path:
        return False
    try:
        parts = path.encode().split(b"/")
    except UnicodeEncodeError:
        return False
    return all(
        part not in (b"", b".", b"..") and part.lower() != b".git" and len(part) <= _LONGEST_NAME
        for part in parts
    )


def checked_path(path: str) -> str:
    """A path from outside; raises HubError (400) when a repository cannot have it."""
    if not can_be_path(path):
        shown = decoded(str(PurePosixPath(path)).encode(errors="surrogatepass")[:_LONGEST_PATH])
        raise bad_request(f"{shown} cannot be a path of a repository")
    return path


def decoded(text: bytes) -> str:
    """Text of git's for a reply: what is not UTF-8 is shown as such."""
    return text.decode(errors="replace")
