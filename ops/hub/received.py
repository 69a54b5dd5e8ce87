"""The check of a push, run by git as its hook: `python received.py KIND`, refs on standard input.

The Hub refuses a push whose commits, old ones of the same push included, hold files of more than
10 MiB or binary files that are not pointers to large files (Hub documentation, "Storage limits";
hub.md in what users report). Run outside the package, with the standard library alone.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_LARGEST = 10 * 1024 * 1024
_SAMPLE = 8000
_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\noid sha256:([0-9a-f]{64})\nsize \d+\n"
)
_LARGE_FILES = Path(os.environ.get("GIT_DIR", ".")).resolve().parent / "lfs"
"""Beside the git folder, as `repository` keeps them; git runs a hook with GIT_DIR set."""
_ABSENT = (
    "Your push was rejected because it names large files whose content was not sent.\n"
    "Send it first: git lfs push --all origin main"
)
_NONE = re.compile(r"0+")
_MOST_NAMED = 10
_LARGE = (
    "Your push was rejected because it contains files larger than 10 MiB.\n"
    "Please use https://git-lfs.github.com/ to store larger files.\n"
    "See also: https://hf.co/docs/hub/repositories-getting-started#terminal"
)
_BINARY = (
    "Your push was rejected because it contains binary files.\n"
    "Please use https://huggingface.co/docs/hub/xet to store binary files.\n"
    "See also: https://huggingface.co/docs/hub/xet/using-xet-storage#git"
)


def main() -> int:
    """0 when the push may go on; else what is wrong is on standard error."""
    refs = [line.split() for line in sys.stdin if line.strip()]
    new = [after for _, after, _ in refs if not _NONE.fullmatch(after)]
    if bad := [name for _, _, name in refs if not name.startswith(("refs/heads/", "refs/tags/"))]:
        return _refuse("Only branches and tags can be pushed.", bad)
    if not new:
        return 0
    listed = _git("rev-list", "--objects", *new, "--not", "--all").decode("utf-8", "replace")
    names = dict(line.split(" ", 1) for line in listed.splitlines() if " " in line)
    sizes = _sizes(list(names))
    if large := [names[oid] for oid, size in sizes.items() if size > _LARGEST]:
        return _refuse(_LARGE, large)
    small = dict(_blobs(list(sizes)))
    if binary := [names[oid] for oid, content in small.items() if b"\0" in content[:_SAMPLE]]:
        return _refuse(_BINARY, binary)
    if absent := [names[oid] for oid, content in small.items() if _is_absent(content)]:
        return _refuse(_ABSENT, absent)
    return 0


def _is_absent(content: bytes) -> bool:
    """Whether this is a pointer to a large file that was never sent."""
    pointer = _POINTER.fullmatch(content)
    if pointer is None:
        return False
    oid = pointer[1].decode()
    return not (_LARGE_FILES / oid[:2] / oid).is_file()


def _blobs(oids: list[str]) -> Iterator[tuple[str, bytes]]:
    """The beginning of each file, all read by one process."""
    asked = "".join(f"{oid}\n" for oid in oids).encode()
    with tempfile.TemporaryFile() as questions:
        questions.write(asked)
        questions.seek(0)
        command = ["git", "cat-file", "--batch"]
        with subprocess.Popen(command, stdin=questions, stdout=subprocess.PIPE) as git:
            assert git.stdout is not None  # noqa: S101 -- a pipe
            for oid in oids:
                size = int(git.stdout.readline().split()[2])
                yield oid, git.stdout.read(size)[:_SAMPLE]
                git.stdout.read(1)


def _sizes(oids: list[str]) -> dict[str, int]:
    """Bytes of each object that is a file."""
    asked = "".join(f"{oid}\n" for oid in oids).encode()
    told = _git("cat-file", "--batch-check=%(objectname) %(objecttype) %(objectsize)", stdin=asked)
    rows = (line.split() for line in told.decode().splitlines())
    return {oid: int(size) for oid, kind, size in rows if kind == "blob"}


def _git(*arguments: str, stdin: bytes = b"") -> bytes:
    return subprocess.run(
        ["git", *arguments],
        input=stdin,
        stdout=subprocess.PIPE,
        check=True,
    ).stdout


def _refuse(why: str, names: list[str]) -> int:
    named = "".join(f"\n  - {name}" for name in sorted(names)[:_MOST_NAMED])
    rest = f"\n  and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    sys.stderr.write(f"{'-' * 73}\n{why}\nOffending files:{named}{rest}\n{'-' * 73}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
