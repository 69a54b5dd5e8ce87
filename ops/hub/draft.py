"""A commit in the making: files' contents go to git as they come, the tree is made at the end.

Contents are objects that nothing names until there is a commit, so a draft that is given up, or
whose process dies, leaves the repository as it was.
"""

from __future__ import annotations

import hashlib
import secrets
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from ops.hub.attributes import ATTRIBUTES, Attributes
from ops.hub.errors import HubError, bad_request
from ops.hub.tree import FILE, LargeFile, checked_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ops.hub.git_command import Git

_NO_OBJECT = "0" * 40


@dataclass(frozen=True)
class Write:
    """A file's new content."""

    path: str
    content: bytes


@dataclass(frozen=True)
class WriteLarge:
    """A file whose content was uploaded to the large-file store before."""

    path: str
    large: LargeFile


@dataclass(frozen=True)
class Delete:
    """A file or folder that goes; `only` says which of the two it must be."""

    path: str
    only: Literal["file", "folder"] | None = None


@dataclass(frozen=True)
class Move:
    """A file that is somewhere else from now on."""

    source: str
    path: str


Operation = Write | WriteLarge | Delete | Move


@dataclass(frozen=True)
class _Placed:
    """A file of a tree: what git keeps of it, and whether that is a pointer."""

    mode: str
    oid: str
    is_large: bool = False


class Draft:
    """Takes operations in order; `write_tree` carries them out on a commit's files.

    With `naming_large`, a large file that `.gitattributes` does not name is added there: "the
    commit endpoint will automatically edit the `.gitattributes` file" (the Hub's OpenAPI
    description, preupload).
    """

    def __init__(self, git: Git, *, naming_large: bool):
        self._git = git
        self._naming_large = naming_large
        self._changes: list[tuple[Operation, _Placed | None]] = []
        self._blobs: subprocess.Popen[bytes] | None = None

    def add(self, operation: Operation) -> None:
        """Take one more; raises HubError (400) for a path that cannot be."""
        checked_path(operation.path.removesuffix("/"))
        placed = None
        match operation:
            case Write(_, content):
                placed = _Placed(FILE, self._keep(content))
                operation = replace(operation, content=b"")
            case WriteLarge(_, large):
                placed = _Placed(FILE, self._keep(large.pointer()), is_large=True)
        self._changes.append((operation, placed))

    def write_tree(self, base: str | None) -> str:
        """The tree that a commit's files become; raises HubError when they cannot."""
        self._end_blobs()
        plan = _Plan(dict(self._files(base)))
        for operation, placed in self._changes:
            plan.take(operation, placed)
        plan.check()
        if self._naming_large:
            self._name_large_files(plan)
        with self._index(base) as git:
            git.run("update-index", "-z", "--index-info", stdin=b"".join(plan.index_lines()))
            return git.run("write-tree").decode().strip()

    def close(self) -> None:
        """Give it up, unless its tree was written; may be called again."""
        process, self._blobs = self._blobs, None
        if process is not None and process.stdin is not None:
            # git ends by itself, and so leaves no half-written pack behind.
            process.communicate()

    def _keep(self, content: bytes) -> str:
        if self._blobs is None:
            self._blobs = self._git.start(
                # Speed before size: what is uploaded is seldom like what came just before.
                *("-c", "core.compression=1", "fast-import", "--quiet", "--depth=0"),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        assert self._blobs.stdin is not None  # noqa: S101 -- it is a pipe
        try:
            self._blobs.stdin.write(b"blob\ndata %d\n" % len(content))
            self._blobs.stdin.write(content)
            self._blobs.stdin.write(b"\n")
        except BrokenPipeError:
            self._end_blobs()
        header = b"blob %d\0" % len(content)
        return hashlib.sha1(header + content, usedforsecurity=False).hexdigest()

    def _end_blobs(self) -> None:
        process, self._blobs = self._blobs, None
        if process is None:
            return
        _, said = process.communicate()
        if process.returncode != 0:
            raise self._git.failure("fast-import", said)

    def _files(self, commit: str | None) -> Iterator[tuple[str, _Placed]]:
        if commit is None:
            return
        for line in self._git.run("ls-tree", "-r", "-z", "--full-tree", commit).split(b"\0"):
            facts, _, path = line.partition(b"\t")
            if path:
                mode, _kind, oid = facts.decode().split()
                yield path.decode(errors="surrogateescape"), _Placed(mode, oid)

    def _name_large_files(self, plan: _Plan) -> None:
        large = [p for p, placed in plan.changed.items() if placed is not None and placed.is_large]
        if not large:
            return
        kept = plan.files.get(ATTRIBUTES)
        text = self._git.run("cat-file", "blob", kept.oid).decode(errors="replace") if kept else ""
        after = Attributes(text).naming(large)
        if after != text:
            oid = self._git.run("hash-object", "-w", "--stdin", stdin=after.encode())
            plan.place(ATTRIBUTES, _Placed(FILE, oid.decode().strip()))

    @contextmanager
    def _index(self, commit: str | None) -> Iterator[Git]:
        path = self._git.folder / f"draft-{secrets.token_hex(8)}.index"
        git = replace(self._git, index=path)
        try:
            if commit is not None:
                git.run("read-tree", commit)
            yield git
        finally:
            path.unlink(missing_ok=True)
            path.with_name(f"{path.name}.lock").unlink(missing_ok=True)


class _Plan:
    """The files of a commit, and what becomes of them."""

    def __init__(self, files: dict[str, _Placed]):
        self.files = files
        self.changed: dict[str, _Placed | None] = {}

    def take(self, operation: Operation, placed: _Placed | None) -> None:
        match operation:
            case Delete(path, only):
                for gone in self._named(path.removesuffix("/"), only):
                    self._remove(gone)
            case Move(source, path):
                if source not in self.files:
                    raise _missing(source)
                moved = self.files[source]
                self._remove(source)
                self.place(path, moved)
            case _ if placed is not None:
                self.place(operation.path, placed)

    def place(self, path: str, placed: _Placed) -> None:
        self.files[path] = self.changed[path] = placed

    def check(self) -> None:
        """Raise HubError (400) when something is to be a file and a folder."""
        folders = {folder for path in self.files for folder in _folders(path)}
        for path, placed in self.changed.items():
            if placed is None:
                continue
            both = [p for p in (*_folders(path), path) if p in self.files and p in folders]
            if both:
                raise bad_request(f"{both[0]} cannot be a file and a folder")

    def index_lines(self) -> Iterator[bytes]:
        """As `git update-index` reads them; what is added takes the place of what has its name."""
        for path, placed in self.changed.items():
            mode, oid = (placed.mode, placed.oid) if placed is not None else ("0", _NO_OBJECT)
            yield f"{mode} {oid}\t".encode() + path.encode(errors="surrogateescape") + b"\0"

    def _remove(self, path: str) -> None:
        del self.files[path]
        self.changed[path] = None

    def _named(self, path: str, only: Literal["file", "folder"] | None) -> list[str]:
        if only != "folder" and path in self.files:
            return [path]
        inside = [p for p in self.files if p.startswith(f"{path}/")] if only != "file" else []
        if not inside:
            raise _missing(path)
        return inside


def _folders(path: str) -> Iterable[str]:
    parts = path.split("/")
    return ("/".join(parts[:end]) for end in range(1, len(parts)))


def _missing(path: str) -> HubError:
    """In the words by which the client explains how files and folders are told apart."""
    return HubError(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")
