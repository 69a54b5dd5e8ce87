"""One repository on disk: a bare git repository, and the large files that git only points to.

Knows git and nothing of HTTP, tokens or Spaces. Everything is read and written by git itself.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import threading
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ops.hub import history
from ops.hub.checkout import check_out
from ops.hub.draft import Delete, Draft, Move, Operation, Write, WriteLarge
from ops.hub.errors import HubError, bad_request, no_entry, no_repository, no_revision
from ops.hub.git_command import Author, Git
from ops.hub.history import Commit
from ops.hub.tree import (
    LONGEST_POINTER,
    Entry,
    LargeFile,
    can_be_path,
    list_paths,
    list_tree,
    read_pointer,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

__all__ = [
    "LFS_THRESHOLD",
    "MAIN",
    "Author",
    "Commit",
    "Delete",
    "Entry",
    "LargeFile",
    "Move",
    "Operation",
    "Ref",
    "Repository",
    "Write",
    "WriteLarge",
    "looks_binary",
]

LFS_THRESHOLD = 10 * 1024 * 1024
"""Larger files, and binary ones, are kept outside git (Hub documentation, "Storage limits")."""

_SAMPLE = 8000
"""Bytes that are looked at for a NUL, as git does to tell binary files."""

MAIN = "refs/heads/main"
_COMMIT_ID = re.compile(r"[0-9a-f]{7,40}")
_WHOLE_ID = 40
_NO_COMMIT = "0" * _WHOLE_ID
_LONGEST_REF = 250
"""Bytes of a branch's or tag's name, which is a file's: git locks it by one of five more."""
_EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
"""git's name for a tree without entries, which every repository has."""


@dataclass(frozen=True)
class Ref:
    """A branch or a tag; `commit` is what it finally names, through an annotated tag."""

    name: str
    full_name: str
    commit: str


class Repository:
    """A bare git repository in `folder/git`, with large files in `folder/lfs`.

    There is one object for a folder in a process, so that commits of the API take turns. Pushes
    take none: a branch moves by git's own compare-and-swap, whoever moves it.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.git_dir = folder / "git"
        self._git = Git(self.git_dir)
        self._writing = threading.Lock()

    @classmethod
    def create(cls, folder: Path) -> Repository:
        """A new repository without a commit."""
        repository = cls(folder)
        folder.mkdir(parents=True)
        git_dir = str(repository.git_dir)
        # Without the machine's template: samples of hooks, which take longer than all the rest.
        options = ("--quiet", "--bare", "--template=", "--initial-branch=main")
        repository._git.run("init", *options, git_dir)
        return repository

    @property
    def is_gone(self) -> bool:
        """Whether it was deleted or moved, so that whatever is asked of it fails."""
        return self._git.is_gone

    def leave(self) -> None:
        """Know that it is no longer in its folder."""
        self._git.left.set()

    def resolve(self, revision: str) -> str:
        """The commit of a branch, tag or commit id; raises HubError when there is none."""
        is_id = _COMMIT_ID.fullmatch(revision) is not None
        if is_id and len(revision) == _WHOLE_ID and (found := self._commit(revision)):
            return found
        for kind in ("heads", "tags"):
            if (found := self._commit_at(f"refs/{kind}/{revision}")) is not None:
                return found
        if is_id and (found := self._commit(revision)):
            return found
        raise self._no_revision(revision)

    def head(self) -> str | None:
        """The newest commit of main, None in an empty repository."""
        return self._commit_at(MAIN)

    def branch(self, name: str) -> str:
        """The newest commit of a branch; raises HubError when there is no such branch."""
        found = self._commit_at(f"refs/heads/{name}")
        if found is None:
            raise self._no_revision(name)
        return found

    def has_branch(self, name: str) -> bool:
        """Whether there is such a branch."""
        return self._commit_at(f"refs/heads/{name}") is not None

    def tree(self, commit: str, path: str = "", *, recursive: bool = False) -> tuple[Entry, ...]:
        """What a folder holds, by path; raises HubError when it holds nothing."""
        if path and not can_be_path(path):
            raise no_entry(path)
        entries = tuple(list_tree(self._git, commit, path, recursive=recursive))
        if path and not entries:
            raise no_entry(path)
        return entries

    def entries(self, commit: str, paths: Sequence[str]) -> list[Entry]:
        """Those of the paths that there are."""
        return list_paths(self._git, commit, paths)

    def entry(self, commit: str, path: str) -> Entry:
        """One file or folder; raises HubError when there is none."""
        for entry in self.entries(commit, [path]):
            return entry
        raise no_entry(path)

    def read(self, entry: Entry) -> bytes:
        """The content of a file that is kept in git."""
        return self._git.run("cat-file", "blob", entry.oid)

    def text(self, commit: str, path: str) -> str:
        """A small file's text; empty when there is none, or it is a large one."""
        for entry in self.entries(commit, [path]):
            if entry.kind == "file" and entry.large is None:
                return self.read(entry).decode(errors="replace")
        return ""

    def large_path(self, large: LargeFile) -> Path:
        """Where a large file's content is, or goes."""
        return self.folder / "lfs" / large.sha256[:2] / large.sha256

    def draft(self, *, naming_large: bool = True) -> Draft:
        """A commit to be; what it is given is kept by git at once. Close it."""
        return Draft(self._git, naming_large=naming_large)

    def commit(
        self,
        operations: Iterable[Operation],
        *,
        message: str,
        author: Author,
        parent: str | None = None,
        branch: str = "main",
    ) -> str:
        """Add one commit to a branch, all operations or none; returns its id.

        Args:
            operations: what changes, in order.
            message: title, then a description after an empty line.
            author: who commits.
            parent: the commit that the branch must be at.
            branch: in a repository without a commit, main.

        Raises:
            HubError: the branch is elsewhere (412) or nowhere (404), or a path cannot be in a
                repository (400).
        """
        with closing(self.draft()) as draft:
            for operation in operations:
                draft.add(operation)
            return self.finish(draft, message=message, author=author, parent=parent, branch=branch)

    def finish(
        self,
        draft: Draft,
        *,
        message: str,
        author: Author,
        parent: str | None = None,
        branch: str = "main",
    ) -> str:
        """Add what a draft has as one commit, as `commit` does."""
        with self._writing:
            head = self._commit_at(f"refs/heads/{branch}")
            if head is None and (branch != "main" or self.refs()):
                raise self._no_revision(branch)
            if parent is not None and parent != head:
                raise _conflict()
            commit = self._write_commit(draft.write_tree(head), message, author, head)
            self._move(f"refs/heads/{branch}", commit, head)
            return commit

    def log(self, commit: str, *, limit: int, skip: int = 0) -> tuple[Commit, ...]:
        """Commits from the newest on."""
        return history.read_log(self._git, commit, limit=limit, skip=skip)

    def count(self, commit: str) -> int:
        """How many commits there are up to this one."""
        return history.count(self._git, commit)

    def last_commits(self, commit: str, entries: Iterable[Entry]) -> dict[str, Commit]:
        """By path, the commit that changed each of the entries last."""
        return history.last_commits(self._git, commit, [entry.path for entry in entries])

    def diff(self, before: str, after: str) -> str:
        """What changes from one commit to another, as `git diff` shows it."""
        text = self._git.run("diff", "--no-ext-diff", "--no-textconv", before, after, "--")
        return text.decode(errors="replace")

    def refs(self) -> tuple[Ref, ...]:
        """Branches and tags, by name."""
        form = "%(refname)%00%(objectname)%00%(*objectname)"
        text = self._git.run("for-each-ref", f"--format={form}", "refs/heads", "refs/tags")
        rows = (line.split("\0") for line in text.decode(errors="replace").splitlines())
        return tuple(Ref(full.split("/", 2)[2], full, peeled or oid) for full, oid, peeled in rows)

    def tag(self, name: str, commit: str, *, message: str, author: Author) -> None:
        """Name a commit for good; raises HubError when the tag exists (409) or is no name (400)."""
        full = self._checked_ref("tags", name)
        with self._writing, self._creating(full):
            options = ["--annotate", "--message", message] if message else []
            replace(self._git, author=author).run("tag", *options, name, commit)

    def delete_tag(self, name: str) -> None:
        """Remove a tag; raises HubError when there is none."""
        self._delete_ref(self._checked_ref("tags", name), name)

    def create_branch(self, name: str, commit: str | None, *, author: Author) -> None:
        """A new branch at a commit, or without any file; HubError as for tags."""
        full = self._checked_ref("heads", name)
        with self._writing, self._creating(full):
            start = commit or self._write_commit(_EMPTY_TREE, "initial commit\n", author, None)
            self._git.run("update-ref", full, start, _NO_COMMIT)

    def reset_branch(self, name: str, commit: str) -> None:
        """Have a branch name another commit; raises HubError when there is no such branch."""
        with self._writing:
            self._move(f"refs/heads/{name}", commit, self.branch(name))

    def delete_branch(self, name: str) -> None:
        """Remove a branch; raises HubError for main (403) and when there is none (404)."""
        full = self._checked_ref("heads", name)
        if full == MAIN:
            raise HubError(403, "The branch main cannot be deleted")
        self._delete_ref(full, name)

    def squash(self, branch: str, *, message: str, author: Author) -> str:
        """Forget a branch's history: its files as one commit without a parent; returns its id."""
        with self._writing:
            head = self.branch(branch)
            commit = self._write_commit(f"{head}^{{tree}}", message, author, None)
            self._move(f"refs/heads/{branch}", commit, head)
            return commit

    def large_files(self) -> dict[str, tuple[str, LargeFile]]:
        """What any commit of any branch or tag points to: a pointer's id -> (a path, the file)."""
        options = ["--all", "--objects", f"--filter=blob:limit={LONGEST_POINTER + 1}"]
        listing = self._git.run("rev-list", *options)
        names = dict(
            line.split(" ", 1)
            for line in listing.decode(errors="replace").splitlines()
            if " " in line
        )
        if not names:
            return {}
        request = "".join(f"{oid}\n" for oid in names).encode()
        kinds = self._git.run("cat-file", "--batch-check=%(objecttype)", stdin=request).split()
        blobs = [oid for oid, kind in zip(names, kinds, strict=True) if kind == b"blob"]
        with self._git.blobs() as read:
            found = {oid: read_pointer(read(oid)) for oid in blobs}
        return {oid: (names[oid], large) for oid, large in found.items() if large is not None}

    def import_folder(self, source: Path, *, message: str) -> str:
        """Commit a folder's files; in a new repository, the same files give the same commit."""
        names = {path.relative_to(source).as_posix(): path for path in source.rglob("*")}
        with closing(self.draft(naming_large=False)) as draft:
            for name, path in sorted(names.items()):
                if not path.is_file() or "__pycache__" in path.parts or name.startswith(".git/"):
                    continue
                if _is_large(path):
                    draft.add(WriteLarge(name, self._keep(path)))
                else:
                    draft.add(Write(name, path.read_bytes()))
            return self.finish(draft, message=message, author=Author("mirror", when=0))

    def take_over(self, other: Repository, *, message: str, author: Author) -> str:
        """Commit all files of another repository's main here, as one commit; returns its id."""
        other.branch("main")
        try:
            self._git.run("fetch", "--quiet", str(other.git_dir), MAIN)
        finally:
            if other.is_gone:  # what was fetched, or not, may be another repository's
                raise no_repository()
        source = self._git.run("rev-parse", "--verify", "FETCH_HEAD^{commit}").decode().strip()
        for entry in self.tree(source, recursive=True):
            if entry.large is not None and other.large_path(entry.large).is_file():
                self._keep_as(other.large_path(entry.large), entry.large)
        with self._writing:
            commit = self._write_commit(f"{source}^{{tree}}", message, author, None)
            self._move(MAIN, commit, None)
            return commit

    def export(self, commit: str, folder: Path) -> None:
        """Write a commit's files to a folder, large ones with their content."""
        entries = self.tree(commit, recursive=True)
        with self._git.blobs() as read:
            check_out(entries, folder, read=read, large_path=self.large_path)

    def clean(self) -> None:
        """Remove what a process left that died while it wrote; nobody may be writing."""
        leftovers = (
            self.git_dir.glob("*.lock"),
            self.git_dir.glob("fast_import_crash_*"),
            self.git_dir.glob("draft-*.index"),
            (self.git_dir / "refs").rglob("*.lock"),
            (self.git_dir / "objects" / "pack").glob("*tmp_*"),
            (self.folder / "lfs").glob("*/*.part"),
        )
        for path in [path for found in leftovers for path in found]:
            path.unlink(missing_ok=True)
        for folder in (self.git_dir / "objects").glob("tmp_objdir-*"):  # a push's
            shutil.rmtree(folder)

    def _commit_at(self, ref: str) -> str | None:
        """What a branch or tag names, by its full name: git's own ways to say more do not count."""
        if (
            "\0" in ref
            or (found := self._git.attempt("show-ref", "--verify", "--hash", "--dereference", ref))
            is None
        ):
            return None
        return self._commit(found.split()[-1].decode())

    def _no_revision(self, name: str) -> HubError:
        return no_repository() if self.is_gone else no_revision(name)

    def _commit(self, oid: str) -> str | None:
        found = self._git.attempt("rev-parse", "--verify", "--quiet", f"{oid}^{{commit}}")
        return found.decode().strip() if found else None

    def _write_commit(self, tree: str, message: str, author: Author, parent: str | None) -> str:
        git = replace(self._git, author=author)
        parents = ["-p", parent] if parent is not None else []
        written = git.run("commit-tree", *parents, "-F", "-", tree, stdin=message.encode())
        return written.decode().strip()

    def _move(self, ref: str, commit: str, before: str | None) -> None:
        """Compare and swap; raises HubError (412) when somebody else was first."""
        try:
            self._git.run("update-ref", ref, commit, before or _NO_COMMIT)
        except HubError:
            if self._commit_at(ref) != before:
                raise _conflict() from None
            raise

    def _delete_ref(self, full: str, name: str) -> None:
        if self._commit_at(full) is None:
            raise self._no_revision(name)
        self._git.run("update-ref", "-d", full)

    @contextmanager
    def _creating(self, full: str) -> Iterator[None]:
        """Raise HubError (409) when the name is taken, also by a push that was faster."""
        self._refuse_taken(full)
        try:
            yield
        except HubError:
            self._refuse_taken(full)
            raise

    def _refuse_taken(self, full: str) -> None:
        """Raise HubError (409) when there is such a branch or tag, or one that is its folder."""
        name = full.split("/", 2)[2]
        what = f"Tag {name}" if full.startswith("refs/tags/") else f"Branch {name}"
        for other in self.refs():
            if other.full_name == full:
                raise HubError(409, f"{what} already exists")
            if other.full_name.startswith(f"{full}/") or full.startswith(f"{other.full_name}/"):
                raise HubError(409, f"{what} cannot be beside {other.name}")

    def _checked_ref(self, kind: str, name: str) -> str:
        full = f"refs/{kind}/{name}"
        if len(name.encode()) > _LONGEST_REF:
            raise bad_request(f"A branch's or tag's name has at most {_LONGEST_REF} bytes")
        if "\0" in name or "/-" in full or self._git.attempt("check-ref-format", full) is None:
            raise bad_request(f"{name!r} is not a valid name")
        return full

    def _keep(self, path: Path) -> LargeFile:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        large = LargeFile(digest, path.stat().st_size)
        self._keep_as(path, large)
        return large

    def _keep_as(self, path: Path, large: LargeFile) -> None:
        target = self.large_path(large)
        if target.exists():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, target)
        except OSError:  # another file system, or not our file
            part = target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
            shutil.copyfile(path, part)
            part.replace(target)


def looks_binary(sample: bytes) -> bool:
    """Whether git would take a file that begins like this for binary."""
    return b"\0" in sample[:_SAMPLE]


def _is_large(path: Path) -> bool:
    if path.stat().st_size > LFS_THRESHOLD:
        return True
    with path.open("rb") as file:
        return looks_binary(file.read(_SAMPLE))


def _conflict() -> HubError:
    return HubError(412, "A commit has happened since. Please refresh and try again.")
