"""One repository on disk: a bare git repository, and the large files that git only points to.

Knows git and nothing of HTTP, tokens or Spaces. Everything is read and written by git itself.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from ops.hub.errors import HubError, bad_request, no_entry, no_revision
from ops.hub.timestamp import timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

LFS_THRESHOLD = 10 * 1024 * 1024
"""Larger files, and binary ones, are kept outside git (Hub documentation, "Storage limits")."""

_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\noid sha256:([0-9a-f]{64})\nsize (\d+)\n"
)
_LONGEST_POINTER = 200
_SAMPLE = 8000
"""Bytes that are looked at for a NUL, as git does to tell binary files."""

MAIN = "refs/heads/main"
_COMMIT_ID = re.compile(r"[0-9a-f]{7,40}")


@dataclass(frozen=True)
class LargeFile:
    """What a pointer names: the content's sha256 and its size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Entry:
    """A file or folder of a tree; `size` is the content's, `pointer_size` an LFS pointer's."""

    kind: Literal["file", "directory"]
    path: str
    oid: str
    size: int
    large: LargeFile | None = None
    pointer_size: int = 0


@dataclass(frozen=True)
class Commit:
    """A commit; `date` as the Hub writes times."""

    oid: str
    title: str
    message: str
    author: str
    date: str


@dataclass(frozen=True)
class Ref:
    """A branch or a tag; `commit` is what it finally names, through an annotated tag."""

    name: str
    full_name: str
    commit: str


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
    """A file or folder that goes."""

    path: str


Operation = Write | WriteLarge | Delete


@dataclass(frozen=True)
class Author:
    """Who commits, and when, in seconds since 1970; None for now."""

    name: str
    when: int | None = None


class Repository:
    """A bare git repository in `folder/git`, with large files in `folder/lfs`."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._git_dir = folder / "git"
        self._writing = threading.Lock()

    @classmethod
    def create(cls, folder: Path) -> Repository:
        """A new repository without a commit."""
        repository = cls(folder)
        folder.mkdir(parents=True)
        repository._git("init", "--quiet", "--bare", "--initial-branch=main", str(folder / "git"))
        return repository

    def resolve(self, revision: str) -> str:
        """The commit of a branch, tag or commit id; raises HubError when there is none."""
        names = [f"refs/heads/{revision}", f"refs/tags/{revision}"]
        if _COMMIT_ID.fullmatch(revision):
            names.append(revision)
        for name in names:
            found = self._try_git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
            if found is not None:
                return found.decode().strip()
        raise no_revision(revision)

    def head(self) -> str | None:
        """The newest commit of main, None in an empty repository."""
        found = self._try_git("rev-parse", "--verify", "--quiet", MAIN)
        return found.decode().strip() if found else None

    def tree(self, commit: str, path: str = "", *, recursive: bool = False) -> tuple[Entry, ...]:
        """What a folder holds, by path; raises HubError when it holds nothing."""
        options = ["-r", "-t"] if recursive else []
        prefix = [f"{_checked(path)}/"] if path else []
        listing = self._git("ls-tree", "-z", "-l", *options, commit, "--", *prefix)
        entries = tuple(self._entries(listing))
        if path and not entries:
            raise no_entry(path)
        return tuple(entry for entry in entries if entry.path != path)

    def entry(self, commit: str, path: str) -> Entry:
        """One file or folder; raises HubError when there is none."""
        listing = self._git("ls-tree", "-z", "-l", commit, "--", _checked(path))
        for entry in self._entries(listing):
            return entry
        raise no_entry(path)

    def read(self, entry: Entry) -> bytes:
        """The content of a file that is kept in git."""
        return self._git("cat-file", "blob", entry.oid)

    def large_path(self, large: LargeFile) -> Path:
        """Where a large file's content is, or goes."""
        return self.folder / "lfs" / large.sha256[:2] / large.sha256

    def commit(
        self,
        operations: Sequence[Operation],
        *,
        message: str,
        author: Author,
        parent: str | None = None,
    ) -> str:
        """Add one commit to main, all operations or none; returns its id.

        Args:
            operations: what changes, in order.
            message: title, then a description after an empty line.
            author: who commits.
            parent: the commit that main must be at.

        Raises:
            HubError: main is elsewhere (412), or a path cannot be in a repository (400).
        """
        with self._writing:
            head = self.head()
            if parent is not None and parent != head:
                raise HubError(412, "A commit has happened since. Please refresh and try again.")
            stream = b"".join(_fast_import(operations, message, author, head))
            self._git("fast-import", "--quiet", stdin=stream)
            return self.resolve("main")

    def log(self, commit: str, *, limit: int, skip: int = 0) -> tuple[Commit, ...]:
        """Commits from the newest on."""
        form = "%H%x00%an%x00%ct%x00%s%x00%b%x00%x01"
        text = self._git("log", f"--format={form}", f"-{limit}", f"--skip={skip}", commit, "--")
        rows = (row.strip("\n").split("\0") for row in text.decode().split("\x01") if row.strip())
        return tuple(
            Commit(oid, title, body.strip(), author, timestamp(int(date)))
            for oid, author, date, title, body, *_ in rows
        )

    def refs(self) -> tuple[Ref, ...]:
        """Branches and tags, by name."""
        form = "%(refname)%00%(refname:short)%00%(objectname)%00%(*objectname)"
        lines = self._git("for-each-ref", f"--format={form}", "refs/heads", "refs/tags").decode()
        rows = (line.split("\0") for line in lines.splitlines())
        return tuple(
            Ref(full.split("/", 2)[2], full, peeled or oid) for full, _, oid, peeled in rows
        )

    def tag(self, name: str, commit: str, *, message: str, author: Author) -> None:
        """Name a commit for good; raises HubError when the tag exists (409) or is no name (400)."""
        self._check_ref(f"refs/tags/{name}")
        with self._writing:
            if any(ref.full_name == f"refs/tags/{name}" for ref in self.refs()):
                raise HubError(409, f"Tag {name} already exists")
            options = ["--annotate", "--message", message] if message else []
            self._git("tag", *options, name, commit, author=author)

    def delete_tag(self, name: str) -> None:
        """Remove a tag; raises HubError when there is none."""
        self._check_ref(f"refs/tags/{name}")
        if self._try_git("tag", "--delete", name) is None:
            raise no_revision(name)

    def import_folder(self, source: Path, *, message: str) -> str:
        """Commit a folder's files; in a new repository, the same files give the same commit."""
        operations: list[Operation] = []
        for path in sorted(p for p in source.rglob("*") if p.is_file()):
            name = path.relative_to(source).as_posix()
            if "__pycache__" in path.parts or name.startswith(".git/"):
                continue
            if _is_large(path):
                operations.append(WriteLarge(name, self._keep(path)))
            else:
                operations.append(Write(name, path.read_bytes()))
        return self.commit(operations, message=message, author=Author("mirror", when=0))

    def export(self, commit: str, folder: Path) -> None:
        """Write a commit's files to a folder, large ones with their content."""
        for entry in self.tree(commit, recursive=True):
            target = folder / entry.path
            if entry.kind == "directory":
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            if entry.large is not None:
                shutil.copyfile(self.large_path(entry.large), target)
            else:
                target.write_bytes(self.read(entry))

    def _entries(self, listing: bytes) -> Iterator[Entry]:
        for line in listing.split(b"\0"):
            if not line:
                continue
            facts, _, path = line.partition(b"\t")
            _mode, kind, oid, size = facts.split()
            if kind == b"blob":
                yield self._file(path.decode(), oid.decode(), int(size))
            elif kind == b"tree":
                yield Entry("directory", path.decode(), oid.decode(), 0)

    def _file(self, path: str, oid: str, size: int) -> Entry:
        if size <= _LONGEST_POINTER:
            content = self._git("cat-file", "blob", oid)
            if match := _POINTER.fullmatch(content):
                large = LargeFile(match[1].decode(), int(match[2]))
                return Entry("file", path, oid, large.size, large, size)
        return Entry("file", path, oid, size)

    def _keep(self, path: Path) -> LargeFile:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        large = LargeFile(digest, path.stat().st_size)
        target = self.large_path(large)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path, target)
            except OSError:  # another file system, or not our file
                shutil.copyfile(path, target)
        return large

    def _check_ref(self, name: str) -> None:
        if self._try_git("check-ref-format", name) is None or "/-" in name:
            raise bad_request(f"{name} is not a valid name")

    def _git(self, *arguments: str, stdin: bytes = b"", author: Author | None = None) -> bytes:
        done = self._run(arguments, stdin, author)
        if done.returncode != 0:
            reason = done.stderr.decode(errors="replace").strip()
            raise HubError(500, f"git {arguments[0]} failed: {reason}")
        return done.stdout

    def _try_git(self, *arguments: str) -> bytes | None:
        done = self._run(arguments, b"", None)
        return done.stdout if done.returncode == 0 else None

    def _run(
        self, arguments: Sequence[str], stdin: bytes, author: Author | None
    ) -> subprocess.CompletedProcess[bytes]:
        who = author.name if author is not None else "hub"
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "GIT_DIR": str(self._git_dir),
            # Nothing of the machine's or the user's git configuration decides what a Hub does.
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_LITERAL_PATHSPECS": "1",
        } | {
            f"GIT_{role}_{field}": value
            for role in ("AUTHOR", "COMMITTER")
            for field, value in (("NAME", who), ("EMAIL", _email(who)))
        }
        return subprocess.run(
            ["git", *arguments], input=stdin, capture_output=True, env=environment, check=False
        )


def looks_binary(sample: bytes) -> bool:
    """Whether git would take a file that begins like this for binary."""
    return b"\0" in sample[:_SAMPLE]


def _is_large(path: Path) -> bool:
    if path.stat().st_size > LFS_THRESHOLD:
        return True
    with path.open("rb") as file:
        return looks_binary(file.read(_SAMPLE))


def _email(name: str) -> str:
    return f"{name}@users.noreply.localhost"


def _fast_import(
    operations: Iterable[Operation], message: str, author: Author, head: str | None
) -> Iterator[bytes]:
    """One commit as git-fast-import(1) reads it."""
    who = author.name.encode()
    yield b"commit %b\n" % MAIN.encode()
    when = int(time.time()) if author.when is None else author.when
    yield b"committer %b <%b> %d +0000\n" % (who, _email(author.name).encode(), when)
    yield _data(message.encode())
    if head is not None:
        yield b"from %b\n" % head.encode()
    for operation in operations:
        path = _quoted(_checked(operation.path.removesuffix("/")))
        match operation:
            case Delete():
                yield b"D %b\n" % path
            case Write():
                yield b"M 100644 inline %b\n" % path + _data(operation.content)
            case WriteLarge():
                yield b"M 100644 inline %b\n" % path + _data(_pointer(operation.large))
    yield b"\n"


def _data(content: bytes) -> bytes:
    return b"data %d\n" % len(content) + content + b"\n"


def _pointer(large: LargeFile) -> bytes:
    return (
        "version https://git-lfs.github.com/spec/v1\n"
        f"oid sha256:{large.sha256}\nsize {large.size}\n"
    ).encode()


def _quoted(path: str) -> bytes:
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return b'"' + escaped.encode() + b'"'


def _checked(path: str) -> str:
    parts = path.split("/")
    if "\0" in path or any(part in ("", ".", "..") or part.lower() == ".git" for part in parts):
        raise bad_request(f"{PurePosixPath(path)!s} cannot be a path of a repository")
    return path
