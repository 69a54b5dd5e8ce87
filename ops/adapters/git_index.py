"""Puts files into git's index byte for byte, and those that the Hub wants so into git-lfs.

There is no working tree: a link in a Space could lead out of it, and git could change line ends.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ops.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ops.adapters.git_process import GitProcess

_FILE = "100644"
_GONE, _NO_OBJECT = "0", "0" * 40
_ATTRIBUTES = ".gitattributes"
_LFS = "filter=lfs diff=lfs merge=lfs -text"
_LARGEST = 10 * 1024 * 1024
_SAMPLE = 8000


def stage(
    git: GitProcess, parent: str, add: Mapping[str, bytes], delete: Sequence[str]
) -> tuple[str, ...]:
    """Have a commit's files in the index, with these changes.

    Returns the names that git-lfs has for the large files among them, whose content it has taken.

    Raises:
        ConfigError: there are such files, and no git-lfs.
    """
    git.run("read-tree", parent)
    _index(git, [(path, _NO_OBJECT) for path in delete], mode=_GONE)
    _add(git, add)
    named = given_to_lfs(git, add)
    refused = {path for path, content in add.items() if _is_refused(content)}
    large = {path: add[path] for path in sorted(named | refused)}
    if not large:
        return ()
    _require_lfs(large)
    _add(git, {path: _pointer(git, path, content) for path, content in large.items()})
    if unnamed := sorted(refused - named):
        _add(git, {_ATTRIBUTES: _attributes_naming(git, unnamed)})
    return tuple(hashlib.sha256(content).hexdigest() for content in large.values())


def given_to_lfs(git: GitProcess, paths: Iterable[str], *, at: Path | None = None) -> set[str]:
    """Those of the files that `.gitattributes`, as it is in the index, gives to git-lfs."""
    asked = _listed(paths)
    told = git.run("check-attr", "--cached", "--stdin", "-z", "filter", stdin=asked, at=at)
    words = told.split("\0")  # path, attribute, value
    return {path for path, value in zip(words[::3], words[2::3], strict=False) if value == "lfs"}


def has_lfs() -> bool:
    """Whether git-lfs is installed."""
    return shutil.which("git-lfs") is not None


def _add(git: GitProcess, files: Mapping[str, bytes]) -> None:
    with TemporaryDirectory(dir=git.home) as folder:
        paths = [Path(folder) / str(number) for number in range(len(files))]
        for path, content in zip(paths, files.values(), strict=True):
            path.write_bytes(content)
        asked = "".join(f"{path}\n" for path in paths).encode()
        oids = git.run("hash-object", "-w", "--no-filters", "--stdin-paths", stdin=asked)
    _index(git, zip(files, oids.split(), strict=True), mode=_FILE)


def _index(git: GitProcess, entries: Iterable[tuple[str, str]], *, mode: str) -> None:
    listed = _listed(f"{mode} {oid}\t{path}" for path, oid in entries)
    git.run("update-index", "-z", "--index-info", stdin=listed)


def _listed(words: Iterable[str]) -> bytes:
    return "".join(f"{word}\0" for word in words).encode()


def _pointer(git: GitProcess, path: str, content: bytes) -> bytes:
    """What stands for a large file; git-lfs keeps its content until it is sent."""
    return git.run("lfs", "clean", "--", path, stdin=content).encode()


def _attributes_naming(git: GitProcess, paths: Iterable[str]) -> bytes:
    """`.gitattributes` as it is in the index, with a line for each of the paths."""
    there = git.run("ls-files", _ATTRIBUTES)
    text = git.run("cat-file", "blob", f":{_ATTRIBUTES}") if there else ""
    if text and not text.endswith("\n"):
        text += "\n"
    return (text + "".join(f"{_pattern(path)} {_LFS}\n" for path in paths)).encode()


def _pattern(path: str) -> str:
    """What means this path alone, as `git lfs track --filename` writes it."""
    return "/" + re.sub(r"\s", "[[:space:]]", re.sub(r"[\\*?\[]", r"\\\g<0>", path))


def _is_refused(content: bytes) -> bool:
    """Whether the Hub refuses this in a push, as git holds it (its "Storage limits")."""
    return len(content) > _LARGEST or b"\0" in content[:_SAMPLE]


def _require_lfs(paths: Iterable[str]) -> None:
    if not has_lfs():
        raise ConfigError(
            f"git-lfs is not installed, and has to push {', '.join(paths)}. Nothing was pushed.",
            cause="By git the Hub takes binary files, and those of more than 10 MiB, only so.",
            next_step="Install it (https://git-lfs.com), or deploy without --via git.",
        )
