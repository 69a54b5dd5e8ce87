"""Commits of a repository: the log, and which commit touched a path last."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ops.hub.timestamp import timestamp
from ops.hub.tree import decoded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import IO

    from ops.hub.git_command import Git

_FIELDS = 5
_NEW_COMMIT = re.compile(rb"\x01[0-9a-f]{40}")
_PART = 64 * 1024


@dataclass(frozen=True)
class Commit:
    """A commit; `date` as the Hub writes times."""

    oid: str
    title: str
    message: str
    author: str
    date: str


def read_log(git: Git, commit: str, *, limit: int, skip: int = 0) -> tuple[Commit, ...]:
    """Commits from the newest on."""
    form = "%H%x00%an%x00%ct%x00%s%x00%b"
    options = [f"--format={form}", f"--max-count={limit}", f"--skip={skip}"]
    text = git.run("log", "-z", *options, commit, "--")
    words = [decoded(word) for word in text.split(b"\0")]
    rows = (words[start : start + _FIELDS] for start in range(0, len(words) - 1, _FIELDS))
    return tuple(
        Commit(oid, title, body.strip(), author, timestamp(int(date)))
        for oid, author, date, title, body in rows
    )


def count(git: Git, commit: str) -> int:
    """How many commits there are up to this one."""
    return int(git.run("rev-list", "--count", commit))


def last_commits(git: Git, commit: str, paths: Iterable[str]) -> dict[str, Commit]:
    """The newest commit on main's line that changed each path, or anything in it."""
    wanted = set(paths)
    found: dict[str, Commit] = {}
    process = git.start(
        "log",
        "-z",
        "--format=%x01%H%x00%ct%x00%s",
        "--name-only",
        "--no-renames",
        "--first-parent",
        commit,
        "--",
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None  # noqa: S101 -- it is a pipe
        for changed, path in _changes(process.stdout):
            for part in _and_folders(path):
                if part in wanted and part not in found:
                    found[part] = changed
            if len(found) == len(wanted):
                process.kill()  # the rest of the history does not matter
                break
    return found


def _changes(output: IO[bytes]) -> Iterator[tuple[Commit, str]]:
    words = _words(output)
    commit: Commit | None = None
    for word in words:
        if _NEW_COMMIT.fullmatch(word):
            date, title = next(words), next(words)
            commit = Commit(word[1:].decode(), decoded(title), "", "", timestamp(int(date)))
        elif commit is not None and (path := word.removeprefix(b"\n")):
            yield commit, path.decode(errors="surrogateescape")


def _words(output: IO[bytes]) -> Iterator[bytes]:
    rest = b""
    while part := output.read(_PART):
        *words, rest = (rest + part).split(b"\0")
        yield from words


def _and_folders(path: str) -> Iterator[str]:
    while path:
        yield path
        path = path.rpartition("/")[0]
